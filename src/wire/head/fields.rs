//! The fields of a parsed head, looked up by name. Most of what is asked for is absent, so a head remembers a bit for each
//! name it holds: a name whose bit is missing costs no comparison.

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: u16,
    len: u16,
}

impl Span {
    /// Where `part`, a slice of `whole`, lies in it.
    pub fn within(whole: &[u8], part: &[u8]) -> Span {
        // Both come from the same parse of `whole`, at most HEAD_BYTES_MAX long, so the offset fits.
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        if part.is_empty() {
            Span::default()
        } else {
            Span {
                start: start as u16,
                len: part.len() as u16,
            }
        }
    }

    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.start as usize + self.len as usize]
    }
}

/// Where the fields of a head lie in its bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    spans: Vec<(Span, Span)>,
    /// The [`bit`] of each name.
    named: u64,
}

impl Fields {
    pub fn clear(&mut self) {
        self.spans.clear();
        self.named = 0;
    }

    /// Takes what was parsed of `bytes`.
    pub fn fill(&mut self, bytes: &[u8], parsed: &[httparse::Header<'_>]) {
        self.spans.reserve(parsed.len());
        for field in parsed {
            let name = Span::within(bytes, field.name.as_bytes());
            let value = Span::within(bytes, field.value.trim_ascii());
            self.spans.push((name, value));
            self.named |= bit(field.name.as_bytes());
        }
    }

    /// Those among which a field of that name is, if there is one.
    #[inline(always)]
    fn among(&self, name: &[u8]) -> &[(Span, Span)] {
        if self.named & bit(name) == 0 {
            &[]
        } else {
            &self.spans
        }
    }
}

/// One bit of 64 for a name, the same in any case. Made of length, first and last byte, so that it is a constant where the
/// name is one.
#[inline(always)]
const fn bit(name: &[u8]) -> u64 {
    let [first, .., last] = name else {
        return 1;
    };
    let mixed = name.len() ^ ((*first | 0x20) as usize) << 1 ^ ((*last | 0x20) as usize) << 2;
    1 << (mixed % 64)
}

/// The fields of a head, in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    pub(super) bytes: Vec<u8>,
    pub(super) fields: Fields,
}

impl Headers {
    /// The first value of that name, compared without case.
    #[inline]
    pub fn get<'h>(&'h self, name: &str) -> Option<&'h [u8]> {
        match self.fields.among(name.as_bytes()) {
            [] => None,
            spans => self.find(spans, name.as_bytes()),
        }
    }

    fn find(&self, spans: &[(Span, Span)], name: &[u8]) -> Option<&[u8]> {
        let (_, value) = spans.iter().find(|(field, _)| self.is(*field, name))?;
        Some(value.of(&self.bytes))
    }

    fn is(&self, field: Span, name: &[u8]) -> bool {
        usize::from(field.len) == name.len() && field.of(&self.bytes).eq_ignore_ascii_case(name)
    }

    /// The first value of that name, if it is UTF-8.
    #[inline]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of that name, in order.
    #[inline]
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let spans = self.fields.among(name.as_bytes()).iter();
        spans
            .filter(move |(field, _)| self.is(*field, name.as_bytes()))
            .map(|(_, value)| value.of(&self.bytes))
    }

    /// Every field: its name (a token) as it was spelt, and its value without surrounding white space.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = self.fields.spans.iter();
        fields.map(|(name, value)| (name.of(&self.bytes), value.of(&self.bytes)))
    }

    /// The same with the whole line, its end included, if that stands as we would write it: one blank, and no white space
    /// behind the value. No value of a parsed head can start a line of its own.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.fields.spans.iter().map(|(name, value)| {
            let (start, colon) = (usize::from(name.start), usize::from(name.len));
            let end = usize::from(value.start) + usize::from(value.len) + 2;
            let whole = self.bytes.get(start..end).filter(|line| {
                start + colon + 2 == usize::from(value.start)
                    && line[colon..].starts_with(b": ")
                    && line.ends_with(b"\r\n")
            });
            Line {
                name: name.of(&self.bytes),
                value: value.of(&self.bytes),
                whole,
            }
        })
    }

    /// Whether a comma-separated list field, possibly given several times, holds that word (RFC 9110 5.6.1).
    #[inline]
    pub fn lists(&self, name: &str, word: impl AsRef<[u8]>) -> bool {
        match self.fields.among(name.as_bytes()) {
            [] => false,
            _ => self.has_item(name, word.as_ref()),
        }
    }

    fn has_item(&self, name: &str, word: &[u8]) -> bool {
        self.all(name)
            .any(|value| list_items(value).any(|item| item.eq_ignore_ascii_case(word)))
    }
}

/// One field of a parsed head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'h> {
    /// Its name, as it was spelt.
    pub name: &'h [u8],
    /// Its value without surrounding white space.
    pub value: &'h [u8],
    whole: Option<&'h [u8]>,
}

impl Line<'_> {
    /// Appends it, as [`super::write_field`] would.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.whole {
            Some(line) => out.extend_from_slice(line),
            None => super::write_field(out, self.name, self.value),
        }
    }
}

/// The items of a comma-separated list field, trimmed, empty ones left out.
pub fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::{Searched, parse_response};
    use super::*;

    fn headers(lines: &str) -> Headers {
        let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        let mut head = super::super::ResponseHead::default();
        parse_response(text.as_bytes(), &mut Searched::default(), &mut head).unwrap();
        head.headers
    }

    #[test]
    fn a_name_is_found_in_any_case_whatever_its_bit() {
        let names: Vec<String> = (1..=FIELDS)
            .map(|n| format!("{}{n}", "aZ-_~x".repeat(n % 5)))
            .collect();
        let lines: String = names
            .iter()
            .map(|name| format!("{name}: v-{name}\r\n"))
            .collect();
        let headers = headers(&lines);
        for name in &names {
            let value = format!("v-{name}");
            for asked in [
                name.clone(),
                name.to_ascii_uppercase(),
                name.to_ascii_lowercase(),
            ] {
                assert_eq!(headers.get(&asked), Some(value.as_bytes()));
                assert_eq!(headers.all(&asked).count(), 1);
                assert!(headers.lists(&asked, &value));
            }
            assert_eq!(headers.get(&format!("{name}!")), None);
        }
        assert_eq!(headers.get(""), None);
    }

    const FIELDS: usize = 100;

    #[test]
    fn a_line_is_written_as_it_would_be_from_its_parts() {
        let headers = headers("A: b\r\nc:d\r\nE:  f \r\nG:\r\nh: \r\ni: j\t\r\nK-l: m: n\r\n");
        let (mut lines, mut parts) = (Vec::new(), Vec::new());
        for line in headers.lines() {
            line.write(&mut lines);
            super::super::write_field(&mut parts, line.name, line.value);
        }
        assert_eq!(
            lines.escape_ascii().to_string(),
            parts.escape_ascii().to_string()
        );
        assert!(lines.ends_with(b"h: \r\ni: j\r\nK-l: m: n\r\n"));
    }
}
