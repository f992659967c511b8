//! Strings between their two forms (RFC 8259 7): escaped as they travel, plain as they are meant. Source code has an escape
//! every few bytes: blocks of 64 bytes tell where, and what stands between two of them is copied in steps of a fixed
//! size, since a call of memcpy for each would cost more than the copying.

use super::block::{BLOCK_BYTES, backslashes, blocks, escaped, lowest, specials};
use std::borrow::Cow;

/// Bytes copied in one step.
const STEP_BYTES: usize = 16;

/// Copies `bytes[from..end]` to `room[to..]` and answers where it ends there. `room` holds a step more than is written,
/// so that a step may copy more than is wanted.
#[inline(always)]
fn paste(bytes: &[u8], from: usize, end: usize, room: &mut [u8], to: usize) -> usize {
    let wanted = end - from;
    let (bytes, room) = (&bytes[from..], &mut room[to..]);
    match (bytes.first_chunk(), room.first_chunk_mut::<STEP_BYTES>()) {
        (Some(step), Some(place)) if wanted <= STEP_BYTES => *place = *step,
        _ => room[..wanted].copy_from_slice(&bytes[..wanted]),
    }
    to + wanted
}

/// Decodes the inside of a string token: borrowed when it has no escapes, lone surrogates become U+FFFD.
/// None: an escape is malformed.
pub fn decode(inner: &str) -> Option<Cow<'_, str>> {
    const SHORT_BYTES_MAX: usize = 32; // a key, mostly: a search that has to be set up costs more
    let is_plain = match inner.len() {
        ..SHORT_BYTES_MAX => inner.bytes().all(|b| b != b'\\'),
        _ => !inner.contains('\\'),
    };
    if is_plain {
        return Some(Cow::Borrowed(inner));
    }
    let mut out = Vec::new();
    write_plain(&mut out, inner)?;
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// What the letter behind a backslash stands for; 0: it is `u`, or no escape.
const MEANT: [u8; 256] = {
    let mut meant = [0; 256];
    meant[b'"' as usize] = b'"';
    meant[b'\\' as usize] = b'\\';
    meant[b'/' as usize] = b'/';
    meant[b'b' as usize] = 0x8;
    meant[b'f' as usize] = 0xc;
    meant[b'n' as usize] = b'\n';
    meant[b'r' as usize] = b'\r';
    meant[b't' as usize] = b'\t';
    meant
};

/// Appends what the inside of a string token means: UTF-8, a lone surrogate as U+FFFD.
/// None: an escape is malformed, and nothing was appended.
pub fn write_plain(out: &mut Vec<u8>, inner: &str) -> Option<()> {
    let bytes = inner.as_bytes();
    let begun = out.len();
    // No escape is shorter than what it means.
    out.resize(begun + bytes.len() + STEP_BYTES, 0);
    let room = &mut out[begun..];
    let (mut from, mut to, mut carry) = (0, 0, 0);
    let wrong = blocks(bytes, |offset, block| {
        let backslash = backslashes(block);
        let mut starts = backslash & !escaped(backslash, &mut carry);
        while starts != 0 {
            let at = offset + lowest(&mut starts);
            if at < from {
                continue; // the second of a pair of surrogates
            }
            to = paste(bytes, from, at, room, to);
            let meant = bytes.get(at + 1).map_or(0, |&b| MEANT[usize::from(b)]);
            if meant != 0 {
                room[to] = meant;
                to += 1;
                from = at + 2;
                continue;
            }
            let Some((character, width)) = unicode_escape(&bytes[at..]) else {
                return Some(());
            };
            to += character.encode_utf8(&mut room[to..]).len();
            from = at + width;
        }
        None
    });
    if wrong.is_some() {
        out.truncate(begun);
        return None;
    }
    to = paste(bytes, from, bytes.len(), room, to);
    out.truncate(begun + to);
    Some(())
}

/// The character that `\uXXXX`, or a pair of surrogates so written, stands for, and how many bytes that is.
fn unicode_escape(escape: &[u8]) -> Option<(char, usize)> {
    let unit = hex4(escape.strip_prefix(b"\\u")?)?;
    let low = match unit {
        0xd800..=0xdbff => escape[6..]
            .strip_prefix(b"\\u")
            .and_then(hex4)
            .filter(|low| (0xdc00..=0xdfff).contains(low)),
        _ => None,
    };
    let (code, width) = match low {
        Some(low) => (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12),
        None => (unit, 6),
    };
    Some((
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
        width,
    ))
}

/// The number of the four hex digits that `text` begins with.
fn hex4(text: &[u8]) -> Option<u32> {
    let digits = text.get(..4)?;
    digits
        .iter()
        .try_fold(0, |sum, &b| Some(sum << 4 | (b as char).to_digit(16)?))
}

/// Appends `text` as a JSON string: quoted, with quote, backslash and control characters escaped and all else as it is.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// The letter of the short escape of a byte that a string cannot hold as it is; 0: it has none.
const SHORT: [u8; 256] = {
    let mut short = [0; 256];
    short[b'"' as usize] = b'"';
    short[b'\\' as usize] = b'\\';
    short[b'\n' as usize] = b'n';
    short[b'\r' as usize] = b'r';
    short[b'\t' as usize] = b't';
    short[0x8] = b'b';
    short[0xc] = b'f';
    short
};
/// Bytes of the longest escape: `\u001f`.
const ESCAPE_BYTES_MAX: usize = 6;

/// Writes the escape of `byte` to `room[to..]` and answers where it ends.
#[inline(always)]
fn escape(byte: u8, room: &mut [u8], to: usize) -> usize {
    let short = SHORT[usize::from(byte)];
    if short != 0 {
        (room[to], room[to + 1]) = (b'\\', short);
        return to + 2;
    }
    let low = b"0123456789abcdef"[usize::from(byte & 15)];
    let long = [b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), low];
    room[to..to + ESCAPE_BYTES_MAX].copy_from_slice(&long);
    to + ESCAPE_BYTES_MAX
}

/// Appends `text` escaped, without quotes: what [`super::Raw::string_inner`] takes apart.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let (whole, tail) = bytes.as_chunks::<BLOCK_BYTES>();
    if !whole.is_empty() {
        out.reserve(bytes.len());
        let mut room = [0; BLOCK_BYTES * ESCAPE_BYTES_MAX + STEP_BYTES];
        for (index, block) in whole.iter().enumerate() {
            let mut marks = specials(block);
            if marks == 0 {
                out.extend_from_slice(block);
                continue;
            }
            let offset = index * BLOCK_BYTES;
            let (mut from, mut to) = (offset, 0);
            while marks != 0 {
                let at = offset + lowest(&mut marks);
                to = paste(bytes, from, at, &mut room, to);
                to = escape(bytes[at], &mut room, to);
                from = at + 1;
            }
            to = paste(bytes, from, offset + BLOCK_BYTES, &mut room, to);
            out.extend_from_slice(&room[..to]);
        }
    }
    // What is shorter than a block is a name or a word, mostly, without anything to escape.
    let mut kept = 0;
    for (at, &byte) in tail.iter().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&tail[kept..at]);
        let mut room = [0; ESCAPE_BYTES_MAX];
        let length = escape(byte, &mut room, 0);
        out.extend_from_slice(&room[..length]);
        kept = at + 1;
    }
    out.extend_from_slice(&tail[kept..]);
}

/// How many bytes [`write_escaped`] appends.
pub fn escaped_bytes(text: &str) -> usize {
    let mut more = 0;
    let _ = blocks(text.as_bytes(), |_, block| -> Option<()> {
        let mut marks = specials(block);
        more += marks.count_ones() as usize;
        while marks != 0 {
            if SHORT[usize::from(block[lowest(&mut marks)])] == 0 {
                more += ESCAPE_BYTES_MAX - 2;
            }
        }
        None
    });
    text.len() + more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dice::Dice;
    use crate::wire::json::{Raw, escapes_are_sound, member};

    #[test]
    fn strings_decode() {
        let text = |token| Raw::parse(token).unwrap().as_str();
        assert!(matches!(
            text("\"plain ü\""),
            Some(Cow::Borrowed("plain ü"))
        ));
        assert_eq!(
            text(r#""\"\\\/\b\f\n\r\t""#).unwrap(),
            "\"\\/\u{8}\u{c}\n\r\t"
        );
        assert_eq!(text(r#""\u00fc\u20AC\uD83D\uDE00!""#).unwrap(), "ü€😀!");
        assert_eq!(text(r#""a\ud83d""#).unwrap(), "a\u{fffd}");
        assert_eq!(text(r#""\ude00a""#).unwrap(), "\u{fffd}a");
        assert_eq!(text(r#""\ud83d\ud83d\ude00""#).unwrap(), "\u{fffd}😀");
        assert_eq!(text(r#""\ud83d\u0041""#).unwrap(), "\u{fffd}A");
        assert_eq!(text(r#""\ud83dx\n""#).unwrap(), "\u{fffd}x\n");
        for bad in [
            r#""\q""#,
            r#""\u12""#,
            r#""\u12g4""#,
            r#""\u+123""#,
            r#""\uü12""#,
            r#""\ü""#,
        ] {
            assert_eq!(text(bad), None, "{bad}");
        }
        assert_eq!(text("1"), None);
        let halves = [r#""\ud83d""#, r#""\ude00""#].map(|half| Raw::parse(half).unwrap());
        let joined = halves.map(|half| half.string_inner().unwrap()).concat();
        assert_eq!(decode(&joined).unwrap(), "😀");
    }

    #[test]
    fn every_place_of_an_escape_in_a_word() {
        for special in ["\"", "\\", "\n", "\u{1}", "\u{1f}", "é", "\u{7f}", "😀"] {
            for lead in 0..20 {
                for tail in 0..20 {
                    let plain = "a".repeat(lead) + special + &"!".repeat(tail) + special;
                    let mut out = Vec::new();
                    write_string(&mut out, &plain);
                    let text = String::from_utf8(out).unwrap();
                    assert_eq!(text, serde_json::to_string(&plain).unwrap());
                    assert_eq!(Raw::parse(&text).unwrap().as_str().unwrap(), plain);
                }
            }
        }
    }

    #[test]
    fn written_strings_read_back() {
        let mut every = String::new();
        every.extend((0..0x250).filter_map(char::from_u32));
        every.push_str("\u{2028}\u{2029}😀");
        let mut out = Vec::new();
        write_string(&mut out, &every);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), every);
        assert_eq!(Raw::parse(&text).unwrap().as_str().unwrap(), every);
        assert!(text.contains("\\u0000") && text.contains("\\u001f") && text.contains("\u{2028}"));
        assert_eq!(member("a\"b", "[1]"), r#""a\"b":[1]"#);
    }

    /// The same rules, one character after the other, by serde_json.
    fn meant(inner: &str) -> Option<String> {
        let token = format!("\"{inner}\"");
        serde_json::from_str(&token).ok()
    }

    #[test]
    fn blocks_agree_with_serde_json_on_seeded_strings() {
        let mut dice = Dice::new(7);
        let (mut sound, mut unsound) = (0, 0);
        for round in 0..30_000 {
            let pieces: &[&str] = match round % 4 {
                0 => &["\\n", "\\\"", "\\\\", "a", "\\t", "bc"],
                1 => &[
                    "plain text that is longer than a step ",
                    "\\u00e9",
                    "é",
                    "😀",
                ],
                2 => &["\\ud83d\\ude00", "\\/", "x", "\\b\\f\\r", "\\u0000"],
                _ => &["\\", "u", "n", "0", "12ab", "\\u", "q", "\\\\"],
            };
            let inner: String = (0..dice.below(60)).map(|_| dice.pick(pieces)).collect();
            // An open escape at the end would escape the closing quote: no such token can come.
            let open = inner.len() - inner.trim_end_matches('\\').len();
            if open % 2 == 1 {
                continue;
            }
            let expected = meant(&inner);
            match &expected {
                Some(_) => sound += 1,
                None => unsound += 1,
            }
            assert_eq!(decode(&inner).as_deref(), expected.as_deref(), "{inner}");
            assert_eq!(escapes_are_sound(&inner), expected.is_some(), "{inner}");
            let mut out = b"before".to_vec();
            let written = write_plain(&mut out, &inner);
            assert_eq!(written.is_some(), expected.is_some());
            assert_eq!(&out[6..], expected.unwrap_or_default().as_bytes());
        }
        assert!(sound > 10_000 && unsound > 1_000, "{sound} {unsound}");
    }

    #[test]
    fn what_is_escaped_is_as_long_as_was_said_and_means_the_same() {
        let mut dice = Dice::new(8);
        let pieces = [
            "\"",
            "\\",
            "\n",
            "\u{1}",
            "\u{1f}",
            "a",
            "word and word ",
            "é",
            "\u{7f}",
        ];
        for round in 0..20_000 {
            let few = if round % 2 == 0 { pieces.len() } else { 3 };
            let text: String = (0..dice.below(80))
                .map(|_| pieces[dice.below(few)])
                .collect();
            let mut out = Vec::new();
            write_escaped(&mut out, &text);
            assert_eq!(out.len(), escaped_bytes(&text));
            let inner = String::from_utf8(out).unwrap();
            assert_eq!(meant(&inner).as_deref(), Some(text.as_str()));
            assert_eq!(decode(&inner).as_deref(), Some(text.as_str()));
        }
    }
}
