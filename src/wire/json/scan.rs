//! Where a string or a container ends, in blocks of 64 bytes, and whether the escapes of a string are sound.

use super::block::{
    BLOCK_BYTES, Block, any, backslashes, blocks, brackets, escaped, lowest, parity, quotes, stops,
};
use super::ends::known_end;
use super::word::specials;
use super::wrong;
use crate::error::Fault;

/// Strings are first looked at in words of eight bytes: most keys end before a block would pay.
const WORDWISE_MAX: usize = 32;

/// One past the closing quote of the string whose opening quote stands at `start`. Control characters in it are refused
/// (RFC 8259 7); escapes are skipped over, not judged.
pub(super) fn string_end(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    end_of_string::<false>(bytes, start)
}

/// The same, its escapes judged.
pub(super) fn sound_string_end(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    end_of_string::<true>(bytes, start)
}

#[inline(always)]
fn end_of_string<const JUDGED: bool>(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start + 1;
    while at <= start + WORDWISE_MAX {
        let rest = &bytes[at..];
        // The last word is filled up with what is no stop.
        let word = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut word = [b' '; 8];
            word[..rest.len()].copy_from_slice(rest);
            word
        });
        let stops = specials(u64::from_le_bytes(word));
        if stops == 0 && rest.len() < word.len() {
            return Err(wrong(start, "a string without an end"));
        }
        at += stops.trailing_zeros() as usize / 8; // all of the word if there is none
        if stops != 0 {
            match bytes[at] {
                b'"' => return Ok(at + 1),
                b'\\' => break,
                _ => return Err(wrong(at, "a control character in a string")),
            }
        }
    }
    let mut carry = 0;
    blocks(&bytes[at..], |offset, block| {
        let mut stops = stops(block);
        if !JUDGED && stops == 0 && block[BLOCK_BYTES - 1] != b'\\' {
            carry = 0;
            return None;
        }
        let backslash = backslashes(block);
        if JUDGED && stops | backslash | carry == 0 {
            return None;
        }
        let escaped = escaped(backslash, &mut carry);
        stops &= !escaped | !quotes(block);
        let base = at + offset;
        let bit = stops.trailing_zeros();
        if JUDGED {
            let before = 1_u64.checked_shl(bit).unwrap_or(0).wrapping_sub(1);
            if !are_sound(bytes, base, block, escaped & before) {
                return Some(Err(wrong(base, "a malformed escape")));
            }
        }
        if stops == 0 {
            return None;
        }
        let end = base + bit as usize;
        Some(if block[bit as usize] == b'"' {
            Ok(end + 1)
        } else {
            Err(wrong(end, "a control character in a string"))
        })
    })
    .unwrap_or_else(|| Err(wrong(start, "a string without an end")))
}

/// What stands behind a backslash (RFC 8259 7).
const LETTERS: [u8; 256] = {
    let mut letters = [WRONG; 256];
    let sound = b"\"\\/bfnrt";
    let mut at = 0;
    while at < sound.len() {
        letters[sound[at] as usize] = 0;
        at += 1;
    }
    letters[b'u' as usize] = HEX;
    letters
};
/// No escape begins like this.
const WRONG: u8 = 1;
/// Four hex digits follow.
const HEX: u8 = 2;

/// Whether each of the `escaped` bytes of `block`, which stands at `base`, makes an escape.
#[inline(always)]
fn are_sound(bytes: &[u8], base: usize, block: &Block, escaped: u64) -> bool {
    let (mut rest, mut seen) = (escaped, 0);
    while rest != 0 {
        seen |= LETTERS[usize::from(block[lowest(&mut rest)])];
    }
    seen == 0 || (seen & WRONG == 0 && are_hex(bytes, base, block, escaped))
}

fn are_hex(bytes: &[u8], base: usize, block: &Block, mut escaped: u64) -> bool {
    while escaped != 0 {
        let bit = lowest(&mut escaped);
        if block[bit] == b'u' {
            let digits = bytes.get(base + bit + 1..base + bit + 5);
            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                return false;
            }
        }
    }
    true
}

/// Whether each backslash of the inside of a string begins an escape (RFC 8259 7).
pub fn escapes_are_sound(inner: &str) -> bool {
    const SHORT_BYTES_MAX: usize = 32; // a name, mostly
    let bytes = inner.as_bytes();
    if bytes.len() <= SHORT_BYTES_MAX && !bytes.contains(&b'\\') {
        return true;
    }
    let mut carry = 0;
    let wrong = blocks(bytes, |base, block| {
        let backslash = backslashes(block);
        if backslash | carry == 0 {
            return None;
        }
        let escaped = escaped(backslash, &mut carry);
        (!are_sound(bytes, base, block, escaped)).then_some(())
    });
    wrong.is_none() && carry == 0
}

/// The kinds of the open brackets, a bit each: 64 levels in a register, the others in words below.
#[derive(Default)]
pub(super) struct Nest {
    top: u64,
    depth: usize,
    below: Vec<u64>,
}

impl Nest {
    #[inline(always)]
    pub(super) fn open(&mut self, brace: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.below.push(self.top);
        }
        self.top = self.top << 1 | u64::from(brace);
        self.depth += 1;
    }

    /// Whether the innermost bracket is a brace. None: none is open.
    pub(super) fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.top & 1 == 1)
    }

    /// Closes the innermost bracket, and says whether it was of that kind.
    #[inline(always)]
    pub(super) fn close(&mut self, brace: bool) -> bool {
        let same = (self.top & 1 == 1) == brace;
        self.top >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.top = self.below.pop().unwrap_or_default(); // pushed when this depth was passed
        }
        same
    }
}

/// One past the bracket that closes the one at `start`. Brackets outside strings must pair by kind; nothing else is judged.
/// Linear in time; a bit of memory a level.
pub(super) fn container_end(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    match known_end(bytes, start) {
        Some(end) => Ok(end),
        None => each_container::<0>(bytes, start, |_, _| {}),
    }
}

/// The same, and tells where each container of the first `LEVELS` levels starts and ends, when it ends.
#[inline(always)]
pub(super) fn each_container<const LEVELS: usize>(
    bytes: &[u8],
    start: usize,
    mut found: impl FnMut(usize, usize),
) -> Result<usize, Fault> {
    let mut starts = [0; LEVELS];
    let mut carry = 0;
    let mut inside = 0; // all ones while the block before ended inside a string
    let mut plain = false; // the block before was the middle of a string, without escapes: prose goes on like this
    let mut nest = Nest::default();
    blocks(&bytes[start..], |offset, block| {
        if plain && !any(block, |b| (b == b'"') | (b == b'\\')) {
            return None;
        }
        plain = false;
        let quotes = quotes(block);
        let backslash = backslashes(block);
        let quotes = quotes & !escaped(backslash, &mut carry);
        if quotes == 0 && inside != 0 {
            plain = backslash == 0;
            return None; // the middle of a string
        }
        let strings = parity(quotes) ^ inside;
        inside = ((strings as i64) >> 63) as u64;
        let mut brackets = brackets(block) & !strings;
        let stray = backslash & !strings;
        while brackets != 0 {
            let bit = lowest(&mut brackets);
            let byte = block[bit];
            let brace = byte & 0x20 != 0;
            let at = start + offset + bit;
            if byte & 0b111 == 0b011 {
                if let Some(start) = starts.get_mut(nest.depth) {
                    *start = at;
                }
                nest.open(brace);
                continue;
            }
            if !nest.close(brace) {
                return Some(Err(wrong(at, "a bracket closes another kind")));
            }
            if let Some(&start) = starts.get(nest.depth) {
                found(start, at + 1);
            }
            if nest.depth == 0 {
                let before = (1 << bit) - 1;
                return Some(if stray & before == 0 {
                    Ok(at + 1)
                } else {
                    Err(wrong(start + offset, "a backslash outside a string"))
                });
            }
        }
        (stray != 0).then(|| Err(wrong(start + offset, "a backslash outside a string")))
    })
    .unwrap_or_else(|| Err(wrong(start, "a bracket without its partner")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dice::Dice;

    /// The same rules, one byte at a time.
    fn naive_string_end(bytes: &[u8], start: usize) -> Option<usize> {
        let mut at = start + 1;
        loop {
            match *bytes.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => {
                    at += 1;
                    if *bytes.get(at)? < b' ' {
                        return None;
                    }
                }
                0..b' ' => return None,
                _ => {}
            }
            at += 1;
        }
    }

    fn naive_container_end(bytes: &[u8], start: usize) -> Option<usize> {
        let mut stack = Vec::new();
        let mut at = start;
        loop {
            match *bytes.get(at)? {
                b'"' => loop {
                    at += 1;
                    match *bytes.get(at)? {
                        b'"' => break,
                        b'\\' => at += 1,
                        _ => {}
                    }
                },
                b'{' => stack.push(b'}'),
                b'[' => stack.push(b']'),
                close @ (b'}' | b']') => {
                    if stack.pop() != Some(close) {
                        return None;
                    }
                    if stack.is_empty() {
                        return Some(at + 1);
                    }
                }
                b'\\' => return None,
                _ => {}
            }
            at += 1;
        }
    }

    fn check(bytes: &[u8], start: usize) {
        let shown = bytes.escape_ascii();
        if bytes[start] == b'"' {
            let expected = naive_string_end(bytes, start);
            assert_eq!(string_end(bytes, start).ok(), expected, "{shown}");
        } else {
            let expected = naive_container_end(bytes, start);
            assert_eq!(container_end(bytes, start).ok(), expected, "{shown}");
        }
    }

    #[test]
    fn blocks_agree_with_a_bytewise_reference_at_every_offset() {
        let mut dice = Dice::new(1);
        let (mut strings, mut containers) = (0, 0);
        for round in 0..4_000 {
            // Runs of backslashes, few quotes in some rounds, many in others.
            let alphabet: &[u8] = match round % 4 {
                0 => b"\\\\\\\"a",
                1 => b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\\"",
                2 => b"[]{}\"\\ab,",
                _ => b"[[[[{{\"a\"aaaaaaaaaaaaaaaaaa\\n\x01\xc3]}",
            };
            let length = dice.below(200);
            let body: Vec<u8> = (0..length).map(|_| dice.pick(alphabet)).collect();
            for (open, close) in [(b'"', b'"'), (b'[', b']'), (b'{', b'}')] {
                let lead = dice.below(130);
                let mut bytes = vec![b' '; lead];
                bytes.push(open);
                bytes.extend_from_slice(&body);
                bytes.push(close);
                strings += usize::from(open == b'"' && naive_string_end(&bytes, lead).is_some());
                containers += usize::from(naive_container_end(&bytes, lead).is_some());
                check(&bytes, lead);
            }
        }
        // The reference must say yes and no often enough to be one.
        assert!(
            strings > 1_000 && containers > 300,
            "{strings} {containers}"
        );
    }

    #[test]
    fn every_offset_of_one_escaped_string() {
        let inner = br#"a\\\"b\\" , [ "{\"}" ] }"#;
        for lead in 0..140 {
            for pad in 0..70 {
                let mut bytes = vec![b' '; lead];
                bytes.push(b'"');
                bytes.extend(std::iter::repeat_n(b'x', pad));
                bytes.extend_from_slice(inner);
                check(&bytes, lead);
                bytes[lead] = b'{';
                check(&bytes, lead);
            }
        }
    }

    #[test]
    fn a_deep_nest_is_a_bit_a_level() {
        let depth = 1_000_000;
        let mut text = vec![b'['; depth];
        for at in (0..depth).step_by(3) {
            text[at] = b'{';
        }
        for at in (0..depth).rev() {
            text.push(if text[at] == b'{' { b'}' } else { b']' });
        }
        assert_eq!(container_end(&text, 0).unwrap(), 2 * depth);
        let middle = depth + depth / 2;
        text[middle] ^= 0x20;
        assert!(container_end(&text, 0).is_err());
    }
}
