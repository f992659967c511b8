//! Where a string or a container ends, in blocks of 64 bytes. One compare marks all quotes of a block, all backslashes,
//! all brackets; which quotes are escaped follows from arithmetic on the backslash marks (simdjson, "odd-length
//! sequences of backslashes").

use super::{specials, wrong};
use crate::error::Fault;

const BLOCK_BYTES: usize = 64;
/// Strings are first looked at in words of eight bytes: most keys end before a block would pay.
const WORDWISE_MAX: usize = 32;

type Block = [u8; BLOCK_BYTES];

/// Byte `8 * k + j` is told by bit `k` of lane `j`.
const LANE_BITS: Block = {
    let mut bits = [0; BLOCK_BYTES];
    let mut at = 0;
    while at < BLOCK_BYTES {
        bits[at] = 1 << (at / 8);
        at += 1;
    }
    bits
};

/// The bytes that pass `test`: bit `i` of the answer speaks of byte `i`. Without branches, so that the loop becomes
/// 16-byte compares (SSE2, NEON). Intrinsics would save the transposition, but cannot be called without `unsafe`.
#[inline(always)]
fn mark(block: &Block, test: impl Fn(u8) -> bool) -> u64 {
    let mut lanes = [0; BLOCK_BYTES];
    for at in 0..BLOCK_BYTES {
        lanes[at] = u8::from(test(block[at])).wrapping_neg() & LANE_BITS[at];
    }
    let (words, _) = lanes.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(0, |sum, word| sum | u64::from_le_bytes(*word));
    transpose(sum)
}

/// Whether a byte passes `test`: a third of what [`mark`] costs.
#[inline(always)]
fn any(block: &Block, test: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(0, |any, &b| any | u8::from(test(b))) != 0
}

/// Turns an 8 by 8 matrix of bits over: bit `k` of byte `j` becomes bit `j` of byte `k` (Hacker's Delight 7-3).
#[inline(always)]
fn transpose(mut bits: u64) -> u64 {
    for (shift, mask) in [
        (7, 0x00aa_00aa_00aa_00aa),
        (14, 0x0000_cccc_0000_cccc),
        (28, 0x0000_0000_f0f0_f0f0),
    ] {
        let swap = (bits ^ (bits >> shift)) & mask;
        bits ^= swap ^ (swap << shift);
    }
    bits
}

fn is_bracket(byte: u8) -> bool {
    // `[` and `]` differ from `{` and `}` in this one bit.
    let folded = byte | 0x20;
    (folded == b'{') | (folded == b'}')
}

/// Which bytes a backslash escapes. `carry` is 1 when the block before ended in a backslash that escapes.
#[inline(always)]
fn escaped(backslash: u64, carry: &mut u64) -> u64 {
    if backslash == 0 {
        return std::mem::take(carry);
    }
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    // Subtracting the run starts from their successors walks each run to its end; parity tells who escapes whom.
    let starts = backslash & !*carry;
    let walked = ((starts << 1) | ODD).wrapping_sub(starts) ^ ODD;
    let escaped = walked ^ (backslash | *carry);
    *carry = (walked & backslash) >> 63;
    escaped
}

/// Bit `i` is the parity of the bits up to and including `i`.
#[inline(always)]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Calls `block` with each block of `bytes` and where it starts, the last one filled up with blanks, until it answers.
#[inline(always)]
fn blocks<A>(bytes: &[u8], mut block: impl FnMut(usize, &Block) -> Option<A>) -> Option<A> {
    let (whole, tail) = bytes.as_chunks::<BLOCK_BYTES>();
    for (at, bytes) in whole.iter().enumerate() {
        if let Some(answer) = block(at * BLOCK_BYTES, bytes) {
            return Some(answer);
        }
    }
    if tail.is_empty() {
        return None;
    }
    let mut last = [b' '; BLOCK_BYTES];
    last[..tail.len()].copy_from_slice(tail);
    block(whole.len() * BLOCK_BYTES, &last)
}

/// One past the closing quote of the string whose opening quote stands at `start`. Control characters in it are refused
/// (RFC 8259 7); escapes are skipped over, not judged.
pub(super) fn string_end(bytes: &[u8], start: usize) -> Result<usize, Fault> {
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
        let mut stops = mark(block, |b| (b == b'"') | (b < b' '));
        if stops == 0 && block[BLOCK_BYTES - 1] != b'\\' {
            carry = 0;
            return None;
        }
        let escaped = escaped(mark(block, |b| b == b'\\'), &mut carry);
        while stops != 0 {
            let bit = stops.trailing_zeros() as usize;
            stops &= stops - 1;
            if block[bit] != b'"' {
                let at = at + offset + bit;
                return Some(Err(wrong(at, "a control character in a string")));
            }
            if escaped >> bit & 1 == 0 {
                return Some(Ok(at + offset + bit + 1));
            }
        }
        None
    })
    .unwrap_or_else(|| Err(wrong(start, "a string without an end")))
}

/// The kinds of the open brackets, a bit each: 64 levels in a register, the others in words below.
#[derive(Default)]
struct Nest {
    top: u64,
    depth: usize,
    below: Vec<u64>,
}

impl Nest {
    #[inline(always)]
    fn open(&mut self, brace: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.below.push(self.top);
        }
        self.top = self.top << 1 | u64::from(brace);
        self.depth += 1;
    }

    /// Whether the innermost bracket was of that kind.
    #[inline(always)]
    fn close(&mut self, brace: bool) -> bool {
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
    let mut carry = 0;
    let mut inside = 0; // all ones while the block before ended inside a string
    let mut plain = false; // the block before was the middle of a string, without escapes: prose goes on like this
    let mut nest = Nest::default();
    blocks(&bytes[start..], |offset, block| {
        if plain && !any(block, |b| (b == b'"') | (b == b'\\')) {
            return None;
        }
        plain = false;
        let quotes = mark(block, |b| b == b'"');
        let backslash = mark(block, |b| b == b'\\');
        let quotes = quotes & !escaped(backslash, &mut carry);
        if quotes == 0 && inside != 0 {
            plain = backslash == 0;
            return None; // the middle of a string
        }
        let strings = parity(quotes) ^ inside;
        inside = ((strings as i64) >> 63) as u64;
        let mut brackets = mark(block, is_bracket) & !strings;
        let stray = backslash & !strings;
        while brackets != 0 {
            let bit = brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            let byte = block[bit];
            let brace = byte & 0x20 != 0;
            if byte & 0b111 == 0b011 {
                nest.open(brace);
                continue;
            }
            if !nest.close(brace) {
                return Some(Err(wrong(
                    start + offset + bit,
                    "a bracket closes another kind",
                )));
            }
            if nest.depth == 0 {
                let before = (1 << bit) - 1;
                return Some(if stray & before == 0 {
                    Ok(start + offset + bit + 1)
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
    fn every_byte_is_marked_as_what_it_is() {
        for byte in 0..=255_u8 {
            for place in 0..BLOCK_BYTES {
                let mut bytes = [b'.'; BLOCK_BYTES];
                bytes[place] = byte;
                let bit = 1_u64 << place;
                let expected = |is: bool| if is { bit } else { 0 };
                assert_eq!(mark(&bytes, |b| b == byte) & bit, bit);
                assert_eq!(mark(&bytes, is_bracket), expected(b"[]{}".contains(&byte)));
                assert_eq!(mark(&bytes, |b| b < b' '), expected(byte < 0x20));
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
