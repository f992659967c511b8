//! What [`block`](super::block) tests on words of eight bytes: keys, and the pieces of a stream, end within a few.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Marks the bytes of a word that are `byte`. Whether there is one, and the lowest mark, are right; those above it may not be.
fn equal(word: u64, byte: u8) -> u64 {
    let rest = word ^ (ONES * u64::from(byte));
    rest.wrapping_sub(ONES) & !rest & HIGHS
}

/// The same for what a string cannot hold as it is: quotes, backslashes and control characters.
pub(super) fn specials(word: u64) -> u64 {
    let controls = word.wrapping_sub(ONES * u64::from(b' ')) & !word & HIGHS;
    controls | equal(word, b'"') | equal(word, b'\\')
}

/// How many bytes come before the first that is a quote, a backslash or a control character.
pub fn literal_bytes(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let marks = specials(u64::from_le_bytes(*word));
        if marks != 0 {
            return at * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let is_literal = |&&byte: &&u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    words.len() * 8 + tail.iter().take_while(is_literal).count()
}

/// Whether each byte is a character: ASCII, and no backslash. The last word is over what was looked at already.
pub fn is_simple(escaped: &str) -> bool {
    let bytes = escaped.as_bytes();
    let marks = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        (word | equal(word, b'\\')) & HIGHS
    };
    match bytes.last_chunk() {
        Some(last) => {
            let words = bytes.as_chunks().0.iter();
            words.fold(marks(last), |any, word| any | marks(word)) == 0
        }
        None => bytes.iter().all(|&b| b.is_ascii() && b != b'\\'),
    }
}
