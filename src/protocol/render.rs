//! JSON written member by member straight into the outgoing bytes. No tree, no copy of what is only pasted.

use super::text::Text;
use crate::wire::json;
use std::borrow::Cow;

/// JSON without line feeds: between tokens a body may have them, inside an event's line they would end it.
pub fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) {
        // Inside a string they would be escaped.
        Cow::Owned(json.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(json)
    }
}

/// Writes one object: `Members::object(out, |m| m.str("type", "text").text("text", &text))`.
pub struct Members<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Members<'o> {
    /// Writes `{`, what `fill` adds, `}`.
    pub fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Members<'_>)) {
        out.push(b'{');
        let mut members = Members { out, first: true };
        fill(&mut members);
        out.push(b'}');
    }

    /// Goes on with an object whose `{` (and perhaps some members: `first` is false then) was already written.
    pub fn resume(out: &'o mut Vec<u8>, first: bool) -> Members<'o> {
        Members { out, first }
    }

    /// The comma, the key and the colon; the caller writes the value into what it returns. `key` needs no escapes.
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key).extend_from_slice(json.as_bytes());
        self
    }

    /// Such a value, if there is one.
    pub fn raw_if(&mut self, key: &str, json: Option<&str>) -> &mut Self {
        if let Some(json) = json {
            self.raw(key, json);
        }
        self
    }

    /// A string that is still escaped.
    pub fn text(&mut self, key: &str, text: &Text<'_>) -> &mut Self {
        text.write(self.key(key));
        self
    }

    /// Such a string, if there is one.
    pub fn text_if(&mut self, key: &str, text: Option<&Text<'_>>) -> &mut Self {
        if let Some(text) = text {
            self.text(key, text);
        }
        self
    }

    /// Several texts pasted into one string: `m.texts("url", &[&Text::plain("data:"), &media_type])`.
    pub fn texts(&mut self, key: &str, texts: &[&Text<'_>]) -> &mut Self {
        let out = self.key(key);
        out.push(b'"');
        for text in texts {
            out.extend_from_slice(text.as_escaped().as_bytes());
        }
        out.push(b'"');
        self
    }

    /// A plain string, escaped here.
    pub fn str(&mut self, key: &str, plain: &str) -> &mut Self {
        json::write_string(self.key(key), plain);
        self
    }

    /// A whole number.
    pub fn number(&mut self, key: &str, number: u64) -> &mut Self {
        write_number(self.key(key), number);
        self
    }

    /// `true` or `false`.
    pub fn bool(&mut self, key: &str, yes: bool) -> &mut Self {
        self.raw(key, if yes { "true" } else { "false" })
    }

    /// `null`.
    pub fn null(&mut self, key: &str) -> &mut Self {
        self.raw(key, "null")
    }

    /// An object of its own.
    pub fn nested(&mut self, key: &str, fill: impl FnOnce(&mut Members<'_>)) -> &mut Self {
        Members::object(self.key(key), fill);
        self
    }

    /// An array.
    pub fn array(&mut self, key: &str, fill: impl FnOnce(&mut Elements<'_>)) -> &mut Self {
        Elements::array(self.key(key), fill);
        self
    }
}

/// Writes one array.
pub struct Elements<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl Elements<'_> {
    /// Writes `[`, what `fill` adds, `]`.
    pub fn array(out: &mut Vec<u8>, fill: impl FnOnce(&mut Elements<'_>)) {
        out.push(b'[');
        let mut elements = Elements { out, first: true };
        fill(&mut elements);
        out.push(b']');
    }

    /// The comma, if one is needed; the caller writes the value into what it returns.
    pub fn item(&mut self) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out
    }

    /// An object.
    pub fn object(&mut self, fill: impl FnOnce(&mut Members<'_>)) -> &mut Self {
        Members::object(self.item(), fill);
        self
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.item().extend_from_slice(json.as_bytes());
        self
    }

    /// A string that is still escaped.
    pub fn text(&mut self, text: &Text<'_>) -> &mut Self {
        text.write(self.item());
        self
    }
}

/// Appends a whole number without making a string of it.
pub fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_separated() {
        let mut out = Vec::new();
        Members::object(&mut out, |m| {
            m.str("a", "x\"").number("n", u64::MAX).null("z");
            m.array("l", |l| {
                l.raw("1").object(|m| {
                    m.bool("b", true);
                });
            });
            m.nested("o", |_| {});
            m.texts("t", &[&Text::plain("a\n"), &Text::escaped("b")]);
        });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":"x\"","n":18446744073709551615,"z":null,"l":[1,{"b":true}],"o":{},"t":"a\nb"}"#
        );
    }
}
