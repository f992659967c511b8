//! A JSON string as it travels between two protocols: the inside of the quotes, still escaped. It is pasted, joined and
//! compared as it is; it is decoded only where its meaning is needed. Borrowed on the fast path, owned where we made it.

use crate::wire::json::{self, Raw};
use std::borrow::Cow;
use std::fmt;

/// The inside of a JSON string token. Its escapes are well formed; two of them joined are again one (which also mends an
/// emoji whose surrogates came in two pieces).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// The string that `raw` is. None: it is not a string, or an escape in it is malformed.
    pub fn of(raw: Raw<'a>) -> Option<Text<'a>> {
        let inner = raw.string_inner()?;
        json::escapes_are_sound(inner).then_some(Text(Cow::Borrowed(inner)))
    }

    /// The string whose inside `bytes` begin with, and what follows its closing quote. None: it is none, or it has no end.
    pub fn front(bytes: &'a [u8]) -> Option<(Text<'a>, &'a [u8])> {
        let mut end = 0;
        loop {
            end += json::literal_bytes(&bytes[end..]);
            match bytes.get(end)? {
                b'"' => break,
                b'\\' => end += escape_bytes(&bytes[end..])?,
                _ => return None, // a control character
            }
        }
        let inner = std::str::from_utf8(&bytes[..end]).ok()?;
        Some((Text(Cow::Borrowed(inner)), &bytes[end + 1..]))
    }

    /// Plain text, escaped where it must be.
    pub fn plain(text: &'a str) -> Text<'a> {
        if text.bytes().all(is_literal) {
            return Text(Cow::Borrowed(text));
        }
        // Source code grows by a fifth or so.
        let mut out = Vec::with_capacity(text.len() + text.len() / 4 + 16);
        json::write_escaped(&mut out, text);
        Text(Cow::Owned(String::from_utf8(out).unwrap_or_default())) // write_escaped adds ASCII to a str
    }

    /// Plain text that nobody lends.
    pub fn owned(text: String) -> Text<'static> {
        if text.bytes().all(is_literal) {
            return Text(Cow::Owned(text));
        }
        Text::plain(&text).into_owned()
    }

    /// Text that is already escaped, such as a slice of another one between two escapes.
    pub fn escaped(text: impl Into<Cow<'a, str>>) -> Text<'a> {
        Text(text.into())
    }

    /// Text known when this was written, without anything to escape.
    pub const fn constant(text: &'static str) -> Text<'static> {
        Text(Cow::Borrowed(text))
    }

    /// The empty text.
    pub const EMPTY: Text<'static> = Text(Cow::Borrowed(""));

    /// As it stands between the quotes.
    pub fn as_escaped(&self) -> &str {
        &self.0
    }

    /// What it means. Lone surrogates become U+FFFD.
    pub fn decode(&self) -> Cow<'_, str> {
        json::decode(&self.0).unwrap_or_default() // every way to make one checks the escapes
    }

    /// Whether it means exactly that.
    pub fn is(&self, plain: &str) -> bool {
        if self.0.contains('\\') {
            self.decode() == plain
        } else {
            self.0 == plain
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is nothing but white space in it. Looks no further than the first character that is something.
    pub fn is_blank(&self) -> bool {
        let mut rest = self.0.as_ref();
        while let Some(first) = rest.chars().next() {
            let width = match (first, rest.as_bytes().get(1)) {
                ('\\', Some(b'n' | b'r' | b't' | b'f')) => 2,
                ('\\', Some(b'u')) if is_blank_escape(&rest[..6]) => 6,
                (first, _) if first.is_whitespace() => first.len_utf8(),
                _ => return false,
            };
            rest = &rest[width..];
        }
        true
    }

    /// Whether each byte is a character: ASCII, and nothing escaped.
    pub fn is_simple(&self) -> bool {
        json::is_simple(&self.0)
    }

    /// How many characters it means. A pair of escaped surrogates is one.
    pub fn chars(&self) -> u64 {
        if self.is_simple() {
            return self.0.len() as u64;
        }
        let (mut count, mut rest) = (0, self.0.as_ref());
        while let Some(at) = rest.find('\\') {
            count += rest[..at].chars().count() + 1;
            let escape = &rest.as_bytes()[at..];
            let width = match escape[1] {
                b'u' if is_surrogate(escape, b"89ab") && is_surrogate(&escape[6..], b"cdef") => 12,
                b'u' => 6,
                _ => 2,
            };
            rest = &rest[at + width..];
        }
        (count + rest.chars().count()) as u64
    }

    /// The same, borrowed from this one.
    pub fn borrow(&self) -> Text<'_> {
        Text(Cow::Borrowed(&self.0))
    }

    /// The same, owning its bytes.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }

    /// Appends another text.
    pub fn push(&mut self, more: &Text<'_>) {
        if !more.is_empty() {
            self.0.to_mut().push_str(&more.0);
        }
    }

    /// Several texts as one, with `between` (plain, without anything to escape but line feeds) between them.
    pub fn join<'t>(texts: impl IntoIterator<Item = &'t Text<'t>>, between: &str) -> Text<'static> {
        let between = Text::plain(between);
        let mut out = String::new();
        for (at, text) in texts.into_iter().enumerate() {
            if at > 0 {
                out.push_str(&between.0);
            }
            out.push_str(&text.0);
        }
        Text(Cow::Owned(out))
    }

    /// Appends it to `out`, with its quotes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.0.as_bytes());
        out.push(b'"');
    }

    /// What is left after the first `at` bytes of the escaped form, which must not lie inside an escape.
    pub fn drop_front(self, at: usize) -> Text<'a> {
        Text(match self.0 {
            Cow::Borrowed(inner) => Cow::Borrowed(&inner[at..]),
            Cow::Owned(inner) => Cow::Owned(inner[at..].to_owned()),
        })
    }

    /// The first `length` bytes of the escaped form, which must not end inside an escape.
    pub fn truncated(self, length: usize) -> Text<'a> {
        Text(match self.0 {
            Cow::Borrowed(inner) => Cow::Borrowed(&inner[..length]),
            Cow::Owned(mut inner) => {
                inner.truncate(length);
                Cow::Owned(inner)
            }
        })
    }

    /// Cuts after the first `at` bytes of the escaped form, which must not lie inside an escape.
    pub fn split_at(&self, at: usize) -> (Text<'_>, Text<'_>) {
        let (head, tail) = self.0.split_at(at);
        (Text(Cow::Borrowed(head)), Text(Cow::Borrowed(tail)))
    }
}

impl fmt::Debug for Text<'_> {
    /// Its size only: what users write is nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// Whether `\uXXXX` is white space.
fn is_blank_escape(escape: &str) -> bool {
    let unit = u32::from_str_radix(&escape[2..], 16).unwrap_or_default(); // sound, or it would be no text
    char::from_u32(unit).is_some_and(char::is_whitespace)
}

/// Whether an escape stands here whose number is that of a surrogate, with one of those digits behind the `d`.
fn is_surrogate(bytes: &[u8], digits: &[u8; 4]) -> bool {
    match bytes {
        [b'\\', b'u', b'd' | b'D', digit, ..] => digits.contains(&digit.to_ascii_lowercase()),
        _ => false,
    }
}

fn is_literal(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

/// How long the escape of RFC 8259 section 7 is that `bytes` begin with. None: it is none.
fn escape_bytes(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = bytes.get(2..6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_escape_is_no_text() {
        for bad in [r#""\x""#, r#""\u12""#, r#""\u12g4""#] {
            assert!(Text::of(Raw::parse(bad).unwrap()).is_none(), "{bad}");
        }
        let good = Text::of(Raw::parse(r#""a\n\u00e9\"""#).unwrap()).unwrap();
        assert_eq!(good.decode(), "a\né\"");
        assert!(good.is("a\né\""));
    }

    #[test]
    fn the_front_of_bytes_is_the_string_that_ends_there() {
        for inner in [
            "",
            "a",
            "é\u{20ac}",
            r"\\",
            r#"\"\\\""#,
            r"\u00e9x",
            "0123456789abcde\u{7f}",
        ] {
            for before in 0..18 {
                let inner = format!("{}{inner}", "-".repeat(before));
                let bytes = format!("{inner}\",\"b\":\"");
                let (text, rest) = Text::front(bytes.as_bytes()).unwrap();
                assert_eq!(text.as_escaped(), inner);
                assert_eq!(rest, b",\"b\":\"");
                assert!(
                    Text::front(inner.as_bytes()).is_none(),
                    "{inner} has no end"
                );
                let simple = inner.is_ascii() && !inner.contains('\\');
                assert_eq!(text.is_simple(), simple, "{inner}");
                for bad in ["\n", "\u{0}", "\u{1f}", r"\x", r"\u00g0"] {
                    assert!(Text::front(format!("{inner}{bad}\"").as_bytes()).is_none());
                }
            }
        }
        assert!(Text::front(b"a\xc3\"").is_none(), "half a character");
    }

    #[test]
    fn plain_text_is_escaped_and_comes_back() {
        let text = Text::plain("a\"b\\c\nd");
        assert_eq!(text.as_escaped(), r#"a\"b\\c\nd"#);
        assert_eq!(text.decode(), "a\"b\\c\nd");
        assert_eq!(text.chars(), 7);
    }

    #[test]
    fn blank_and_counted_as_it_would_be_decoded() {
        for text in [
            "",
            " \u{3000}\\n\\r\\t\\f",
            "\\u0020\\u3000\\u00A0",
            " \\u0041",
            "\\u000b \\b",
            " \\\\n",
            "\\\"",
            "a\\ud83d\\ude00b",
            "\\uD83D\\uDE00\\uD83D",
            "\\ude00\\ud83d\\u0041",
            "\\ud83d\\ud83d\\ude00",
            "é\\/😀\\u00e9",
        ] {
            let quoted = format!("\"{text}\"");
            let text = Text::of(Raw::parse(&quoted).unwrap()).unwrap();
            let plain = text.decode();
            assert_eq!(text.is_blank(), plain.trim().is_empty(), "{plain:?}");
            assert_eq!(text.chars(), plain.chars().count() as u64, "{plain:?}");
        }
    }

    #[test]
    fn two_halves_of_an_emoji_join() {
        let mut text = Text::escaped(r"\ud83d");
        text.push(&Text::escaped(r"\ude00"));
        assert_eq!(text.decode(), "😀");
    }
}
