//! Strings between their two forms (RFC 8259 7): escaped as they travel, plain as they are meant.

use std::borrow::Cow;

/// Decodes the inside of a string token: borrowed when it has no escapes, lone surrogates become U+FFFD.
/// None: an escape is malformed.
pub fn decode(inner: &str) -> Option<Cow<'_, str>> {
    const SHORT_BYTES_MAX: usize = 32; // a key, mostly: a search that has to be set up costs more
    let found = match inner.len() {
        ..SHORT_BYTES_MAX => inner.bytes().position(|b| b == b'\\'),
        _ => inner.find('\\'),
    };
    let Some(mut escape) = found else {
        return Some(Cow::Borrowed(inner));
    };
    let mut out = Vec::with_capacity(inner.len());
    out.extend_from_slice(&inner.as_bytes()[..escape]);
    while escape < inner.len() {
        let rest = &inner[escape + 1..];
        let letter = *rest.as_bytes().first()?;
        let plain = match letter {
            b'"' | b'\\' | b'/' => Some(letter),
            b'b' => Some(0x8),
            b'f' => Some(0xc),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'u' => None,
            _ => return None,
        };
        let width = match plain {
            Some(byte) => {
                out.push(byte);
                2
            }
            None => {
                let unit = hex4(&rest[1..])?;
                let low = match unit {
                    0xd800..=0xdbff => rest[5..]
                        .strip_prefix("\\u")
                        .and_then(hex4)
                        .filter(|low| (0xdc00..=0xdfff).contains(low)),
                    _ => None,
                };
                let (code, width) = match low {
                    Some(low) => (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12),
                    None => (unit, 6),
                };
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                width
            }
        };
        let from = escape + width;
        escape = from
            + copy_until(&inner.as_bytes()[from..], &mut out, |word| {
                zeros(word, b'\\')
            });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Marks the bytes of a word that are `byte`. The lowest mark is right; those above it may not be.
fn zeros(word: u64, byte: u8) -> u64 {
    let rest = word ^ (ONES * u64::from(byte));
    rest.wrapping_sub(ONES) & !rest & HIGHS
}

/// The same for those a string cannot hold as they are: quote, backslash, control characters.
fn specials(word: u64) -> u64 {
    let controls = word.wrapping_sub(ONES * u64::from(b' ')) & !word & HIGHS;
    controls | zeros(word, b'"') | zeros(word, b'\\')
}

/// Copies up to the first byte that `marks` finds and answers how many were. In words of eight bytes: source code has an
/// escape every few, and a call of musl's memcpy costs more than copying them.
fn copy_until(bytes: &[u8], out: &mut Vec<u8>, marks: impl Fn(u64) -> u64) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        out.extend_from_slice(word);
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            let kept = found.trailing_zeros() as usize / 8;
            out.truncate(out.len() - 8 + kept);
            return at * 8 + kept;
        }
    }
    // Filled up with what is never marked.
    let mut last = [b' '; 8];
    last[..tail.len()].copy_from_slice(tail);
    let kept = (marks(u64::from_le_bytes(last)).trailing_zeros() as usize / 8).min(tail.len());
    out.extend_from_slice(&tail[..kept]);
    words.len() * 8 + kept
}

/// The number of the four hex digits that `text` begins with.
fn hex4(text: &str) -> Option<u32> {
    let digits = text.as_bytes().get(..4)?;
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

/// Appends `text` escaped, without quotes: what [`Raw::string_inner`] takes apart.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len());
    let mut at = copy_until(bytes, out, specials);
    while let Some(&byte) = bytes.get(at) {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x8 => b'b',
            0xc => b'f',
            _ => 0,
        };
        if short == 0 {
            out.extend_from_slice(b"\\u00");
            out.push(b'0' + (byte >> 4));
            out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
        at += 1;
        at += copy_until(&bytes[at..], out, specials);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::{Raw, member};

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
}
