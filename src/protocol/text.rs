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
        escapes_are_sound(inner).then_some(Text(Cow::Borrowed(inner)))
    }

    /// Plain text, escaped where it must be.
    pub fn plain(text: &'a str) -> Text<'a> {
        if text.bytes().all(is_literal) {
            return Text(Cow::Borrowed(text));
        }
        let mut out = Vec::with_capacity(text.len() + 16);
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

    /// Whether there is nothing but white space in it.
    pub fn is_blank(&self) -> bool {
        self.0.is_empty() || self.decode().trim().is_empty()
    }

    /// How many characters it means.
    pub fn chars(&self) -> u64 {
        let count = if self.0.contains('\\') {
            self.decode().chars().count()
        } else {
            self.0.chars().count()
        };
        count as u64
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

fn is_literal(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

/// Whether each backslash starts an escape of RFC 8259 section 7.
fn escapes_are_sound(inner: &str) -> bool {
    let bytes = inner.as_bytes();
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|&b| b == b'\\') {
        at += next + 1;
        match bytes.get(at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 1,
            Some(b'u') => {
                let digits = bytes.get(at + 1..at + 5);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return false;
                }
                at += 5;
            }
            _ => return false,
        }
    }
    true
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
    fn plain_text_is_escaped_and_comes_back() {
        let text = Text::plain("a\"b\\c\nd");
        assert_eq!(text.as_escaped(), r#"a\"b\\c\nd"#);
        assert_eq!(text.decode(), "a\"b\\c\nd");
        assert_eq!(text.chars(), 7);
    }

    #[test]
    fn two_halves_of_an_emoji_join() {
        let mut text = Text::escaped(r"\ud83d");
        text.push(&Text::escaped(r"\ude00"));
        assert_eq!(text.decode(), "😀");
    }
}
