//! Where a line ends and where a word stands. Blocks of 64 bytes are tested without a branch a byte, so that the tests become
//! vector compares (SSE2, NEON): a third of an instruction a byte. Only a block that may hold something is looked at closer.

const BLOCK_BYTES: usize = 64;

type Block = [u8; BLOCK_BYTES];

/// Where the first CR or LF stands.
pub fn line_end(bytes: &[u8]) -> Option<usize> {
    if let Some(b'\n' | b'\r') = bytes.first() {
        return Some(0);
    }
    let (blocks, tail) = bytes.as_chunks::<BLOCK_BYTES>();
    for (at, block) in blocks.iter().enumerate() {
        if may_hold_line_end(block)
            && let Some(found) = line_end_by_words(block)
        {
            return Some(at * BLOCK_BYTES + found);
        }
    }
    line_end_by_words(tail).map(|found| bytes.len() - tail.len() + found)
}

/// Whether one of the bytes is CR or less. What is not, but a tab, is rare in text.
#[inline(always)]
fn may_hold_line_end(block: &Block) -> bool {
    let (lanes, _) = block.as_chunks::<16>();
    let [a, b, c, d] = lanes else {
        return true; // never: four times 16 are 64
    };
    let mut any = false;
    for at in 0..16 {
        any |= a[at].min(b[at]).min(c[at].min(d[at])) <= b'\r';
    }
    any
}

/// The same as [`line_end`], eight bytes at a time.
#[inline(always)]
fn line_end_by_words(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The high bit of every byte of CR or less, and perhaps of bytes behind such a one (Bit Twiddling Hacks, hasless).
        let mut low = word.wrapping_sub(ONES * (b'\r' as u64 + 1)) & !word & (ONES << 7);
        while low != 0 {
            let bit = low.trailing_zeros();
            low &= low - 1;
            if let b'\n' | b'\r' = (word >> (bit - 7)) as u8 {
                return Some(at * 8 + bit as usize / 8);
            }
        }
    }
    let is_end = |&byte: &u8| matches!(byte, b'\n' | b'\r');
    let found = tail.iter().position(is_end)?;
    Some(words.len() * 8 + found)
}

/// Where `word` first stands. `rare`: the places of two of its bytes that seldom stand so far apart; where they do not, nothing
/// else is looked at.
///
/// # Panics
/// If a rare place is not within the word, or the word is longer than 64 bytes.
#[inline]
pub fn find(bytes: &[u8], word: &[u8], rare: [usize; 2]) -> Option<usize> {
    assert!(rare[0].max(rare[1]) < word.len() && word.len() <= BLOCK_BYTES);
    let [first, second] = rare.map(|place| word[place]);
    let may_begin_in = |bytes: &[u8]| {
        let block = |place: usize| bytes[place..].first_chunk::<BLOCK_BYTES>();
        let (Some(firsts), Some(seconds)) = (block(rare[0]), block(rare[1])) else {
            return true;
        };
        let mut any = false;
        for at in 0..BLOCK_BYTES {
            any |= (firsts[at] == first) & (seconds[at] == second);
        }
        any
    };
    let plain = |bytes: &[u8]| {
        let mut windows = bytes.windows(word.len());
        windows.position(|window| window[rare[0]] == first && window == word)
    };
    let window_bytes = BLOCK_BYTES + word.len() - 1;
    let mut at = 0;
    while let Some(window) = bytes[at..].get(..window_bytes) {
        if may_begin_in(window)
            && let Some(found) = plain(window)
        {
            return Some(at + found);
        }
        at += BLOCK_BYTES;
    }
    let rest = &bytes[at..];
    // What is left is tested with what lies before it, which does not hold the word.
    let last = &bytes[bytes.len().saturating_sub(window_bytes)..];
    if rest.len() < word.len() || !may_begin_in(last) {
        return None;
    }
    plain(rest).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Dice;

    fn plain_line_end(bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|&b| b == b'\n' || b == b'\r')
    }

    #[test]
    fn every_byte_is_an_end_or_not_at_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..150 {
                for after in [0, 1, 7, 70] {
                    let mut bytes = vec![b'x'; place + 1 + after];
                    bytes[place] = byte;
                    assert_eq!(line_end(&bytes), plain_line_end(&bytes), "{byte} {place}");
                    // Something low before it must not hide it.
                    for low in [0, b'\t', 0x0c, 0x0e, 0x80, 0x8a, 0xff] {
                        bytes[place.saturating_sub(1)] = low;
                        bytes[place] = byte;
                        assert_eq!(line_end(&bytes), plain_line_end(&bytes), "{byte} {low}");
                    }
                }
            }
        }
    }

    #[test]
    fn line_ends_are_those_of_a_bytewise_search_in_any_text() {
        let mut dice = Dice::new(9);
        let mut found = 0;
        for round in 0..40_000 {
            let alphabet: &[u8] = match round % 4 {
                0 => b"ab\t\x0b\x0c\x0e\0\x8d\x8a\xff",
                1 => b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\n",
                2 => b"\t\t\t\t\t\t\t\t\x0b\x0b\x0b\x0b\x0b\r",
                _ => b"\x8d\x8d\x8d\x8d\x8a\x8a\x8a\x8a\x00\x00\x01\n\r",
            };
            let bytes: Vec<u8> = (0..dice.below(220)).map(|_| dice.pick(alphabet)).collect();
            let from = dice.below(bytes.len() + 1);
            let bytes = &bytes[from..];
            assert_eq!(
                line_end(bytes),
                plain_line_end(bytes),
                "{}",
                bytes.escape_ascii()
            );
            found += usize::from(line_end(bytes).is_some());
        }
        assert!(found > 10_000, "{found}");
    }

    #[test]
    fn a_word_is_found_where_it_first_stands() {
        let plain =
            |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).position(|window| window == word);
        let mut dice = Dice::new(10);
        let mut found = 0;
        for word in [&b"\"usage\""[..], b"ab", b"a", b"\0\0"] {
            for before in 0..140 {
                for after in 0..140 {
                    let mut bytes = vec![b'.'; before];
                    bytes.extend_from_slice(word);
                    bytes.resize(before + word.len() + after, b'.');
                    let rare = [dice.below(word.len()), dice.below(word.len())];
                    assert_eq!(find(&bytes, word, rare), Some(before), "{before} {after}");
                }
            }
            for _ in 0..10_000 {
                let pieces: [&[u8]; 6] =
                    [word, b"\"us", b"age\"", b"u", b"g", b"................\0"];
                let mut bytes = Vec::new();
                for _ in 0..dice.below(24) {
                    let piece = pieces[dice.below(pieces.len())];
                    bytes.extend_from_slice(&piece[..dice.below(piece.len() + 1)]);
                }
                let rare = [dice.below(word.len()), dice.below(word.len())];
                let expected = plain(&bytes, word);
                assert_eq!(find(&bytes, word, rare), expected, "{bytes:?}");
                found += usize::from(expected.is_some());
            }
        }
        assert!(found > 5_000, "{found}");
        assert_eq!(find(b"", b"ab", [0, 1]), None);
    }
}
