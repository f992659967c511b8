//! 64 bytes at a time, as bits: bit `i` of an answer speaks of byte `i`. One compare marks all quotes of a block, all
//! backslashes, all brackets; which of them are escaped follows from arithmetic (simdjson, "odd-length sequences of
//! backslashes").

pub(super) const BLOCK_BYTES: usize = 64;
pub(super) type Block = [u8; BLOCK_BYTES];

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

/// The bytes that pass `test`. Without branches, so that the loop becomes 16-byte compares (SSE2, NEON). Intrinsics would
/// save the transposition, but cannot be called without `unsafe`.
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

/// Quotes.
#[inline(always)]
pub(super) fn quotes(block: &Block) -> u64 {
    mark(block, |b| b == b'"')
}

/// Backslashes.
#[inline(always)]
pub(super) fn backslashes(block: &Block) -> u64 {
    mark(block, |b| b == b'\\')
}

/// The four brackets.
#[inline(always)]
pub(super) fn brackets(block: &Block) -> u64 {
    // `[` and `]` differ from `{` and `}` in this one bit.
    mark(block, |b| ((b | 0x20) == b'{') | ((b | 0x20) == b'}'))
}

/// What may end a string or must not stand in it: quotes and control characters.
#[inline(always)]
pub(super) fn stops(block: &Block) -> u64 {
    mark(block, |b| (b == b'"') | (b < b' '))
}

/// What a string cannot hold as it is: quotes, backslashes and control characters.
#[inline(always)]
pub(super) fn specials(block: &Block) -> u64 {
    mark(block, |b| (b == b'"') | (b == b'\\') | (b < b' '))
}

/// Whether any byte passes `test`: less than what marking them costs.
#[inline(always)]
pub(super) fn any(block: &Block, test: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(0, |any, &b| any | u8::from(test(b))) != 0
}

/// Which bytes a backslash escapes. `carry` is 1 when the block before ended in a backslash that escapes.
#[inline(always)]
pub(super) fn escaped(backslash: u64, carry: &mut u64) -> u64 {
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
pub(super) fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Takes the lowest bit that is set out of `bits`, and says which it was.
#[inline(always)]
pub(super) fn lowest(bits: &mut u64) -> usize {
    let bit = bits.trailing_zeros() as usize;
    *bits &= bits.wrapping_sub(1);
    bit
}

/// Calls `block` with each block of `bytes` and where it starts, the last one filled up with blanks, until it answers.
#[inline(always)]
pub(super) fn blocks<A>(
    bytes: &[u8],
    mut block: impl FnMut(usize, &Block) -> Option<A>,
) -> Option<A> {
    let (whole, tail) = bytes.as_chunks::<BLOCK_BYTES>();
    let mut last = [b' '; BLOCK_BYTES];
    let mut at = 0;
    // One place that calls, so that what is called becomes part of the loop.
    loop {
        let bytes = match whole.get(at) {
            Some(bytes) => bytes,
            None if at == whole.len() && !tail.is_empty() => {
                last[..tail.len()].copy_from_slice(tail);
                &last
            }
            None => return None,
        };
        if let Some(answer) = block(at * BLOCK_BYTES, bytes) {
            return Some(answer);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_marked_as_what_it_is() {
        for byte in 0..=255_u8 {
            for place in 0..BLOCK_BYTES {
                let mut block = [b'.'; BLOCK_BYTES];
                block[place] = byte;
                let bit = 1_u64 << place;
                let expected = |is: bool| if is { bit } else { 0 };
                let is_stop = byte == b'"' || byte < 0x20;
                assert_eq!(quotes(&block), expected(byte == b'"'));
                assert_eq!(backslashes(&block), expected(byte == b'\\'));
                assert_eq!(brackets(&block), expected(b"[]{}".contains(&byte)));
                assert_eq!(stops(&block), expected(is_stop));
                assert_eq!(specials(&block), expected(is_stop || byte == b'\\'));
            }
        }
    }

    #[test]
    fn the_lowest_bit_is_taken() {
        let mut bits = 0b1010;
        assert_eq!((lowest(&mut bits), bits), (1, 0b1000));
        assert_eq!((lowest(&mut bits), bits), (3, 0));
    }
}
