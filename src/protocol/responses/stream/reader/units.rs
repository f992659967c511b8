//! How much of a text was sent, and what of a snapshot of it is left, in the one measure that does not depend on how it was
//! escaped and cut.

use crate::wire::json::is_simple;

/// UTF-16 units of an escaped text. Two texts that mean the same have the same, however they are escaped; and the units of
/// pieces add up, even where a pair of surrogates was cut.
pub(super) fn units(escaped: &str) -> usize {
    if is_simple(escaped) {
        return escaped.len();
    }
    let mut count = 0;
    walk(escaped, |width| {
        count += width;
        true
    });
    count
}

/// Where in the escaped text that many units end; its end, if there are no more.
pub(super) fn after_units(escaped: &str, sent: usize) -> usize {
    let mut left = sent;
    if left == 0 {
        return 0;
    }
    if is_simple(escaped) {
        return sent.min(escaped.len());
    }
    walk(escaped, |width| {
        let more = left >= width && left > 0;
        left = left.saturating_sub(width);
        more
    })
}

/// Calls `step` with the units of each character or escape; stops before the first that it refuses. Answers where it stopped.
fn walk(escaped: &str, mut step: impl FnMut(usize) -> bool) -> usize {
    let mut rest = escaped.char_indices();
    while let Some((at, character)) = rest.next() {
        let width = match character {
            '\\' => 1,
            character => character.len_utf16(),
        };
        if !step(width) {
            return at;
        }
        if character == '\\' && matches!(rest.next(), Some((_, 'u'))) {
            rest.nth(3);
        }
    }
    escaped.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_do_not_depend_on_how_a_text_is_escaped() {
        for same in [
            "é😀\\n",
            "\\u00e9\\ud83d\\ude00\\u000a",
            "é\\ud83d\\ude00\\n",
        ] {
            assert_eq!(units(same), 4, "{same}");
        }
        assert_eq!(after_units("a\\nb", 2), 3);
        assert_eq!(after_units("a\\u00e9b", 2), 7);
        assert_eq!(after_units("ab", 7), 2);
        assert_eq!(after_units("\\ud83d\\ude00x", 1), 6);
        assert_eq!(after_units("😀x", 1), 0);
    }
}
