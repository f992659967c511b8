//! The event that makes up nearly all of a stream, learnt from the last that said a text and nothing else. Most servers write all
//! but the text alike, and perhaps a number that counts; then the text is found without reading the rest again: what stands in
//! its place is one JSON string, so the event means the same but for it.

use super::text::Text;
use crate::wire::json::Raw;

/// An event with more around its text is always read in full.
const AROUND_BYTES_MAX: usize = 1024;

/// What stands around the text.
#[derive(Default)]
pub struct Pattern {
    /// What comes before the number, between number and text, and behind the text. Empty: nothing was learnt.
    around: Vec<u8>,
    /// Where the number stands, and the text. Equal: there is no number.
    number: usize,
    text: usize,
}

impl Pattern {
    /// Remembers an event by its text, and by a number before it that nobody looks at. Both are parts of `event`.
    pub fn learn(&mut self, event: &[u8], number: Option<Raw<'_>>, text: Raw<'_>) {
        self.forget();
        let place = |part: Raw<'_>| {
            let start = part.text().as_ptr() as usize - event.as_ptr() as usize;
            (start, start + part.text().len())
        };
        let (text, behind) = place(text);
        let (number, between) = match number.map(place) {
            Some((_, end)) if end > text => return,
            Some(found) => found,
            None => (text, text),
        };
        if event.len() - (behind - text) <= AROUND_BYTES_MAX {
            self.around.extend_from_slice(&event[..number]);
            self.around.extend_from_slice(&event[between..text]);
            self.around.extend_from_slice(&event[behind..]);
            (self.number, self.text) = (number, text - (between - number));
        }
    }

    /// What follows is another event.
    pub fn forget(&mut self) {
        self.around.clear();
    }

    /// The text of an event that is the remembered one but for it. None: it is another.
    pub fn text<'e>(&self, event: &'e [u8]) -> Option<Text<'e>> {
        if self.around.is_empty() {
            return None;
        }
        let (front, behind) = self.around.split_at(self.text);
        let (before, between) = front.split_at(self.number);
        let mut rest = after(event, before)?;
        if !between.is_empty() {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest = after(&rest[digits..], between).filter(|_| digits > 0)?;
        }
        let (text, end) = rest.split_at(rest.len().checked_sub(behind.len())?);
        if !is_same(end, behind) {
            return None;
        }
        Text::of(Raw::parse(std::str::from_utf8(text).ok()?).ok()?)
    }
}

fn after<'e>(event: &'e [u8], front: &[u8]) -> Option<&'e [u8]> {
    let (found, rest) = event.split_at_checked(front.len())?;
    is_same(found, front).then_some(rest)
}

/// Whether they are alike. In blocks: musl's memcmp goes byte by byte.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((blocks, tail), (other_blocks, other_tail)) =
        (one.as_chunks::<16>(), other.as_chunks::<16>());
    let words = blocks.iter().zip(other_blocks);
    let bytes = tail.iter().zip(other_tail);
    one.len() == other.len()
        && words.fold(true, |same, (a, b)| {
            same & (u128::from_ne_bytes(*a) == u128::from_ne_bytes(*b))
        })
        && bytes.fold(true, |same, (a, b)| same & (a == b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Object;

    fn learnt(event: &str) -> Pattern {
        let object = Object::parse(event.as_bytes()).unwrap();
        let mut pattern = Pattern::default();
        pattern.learn(event.as_bytes(), object.get("n"), object.get("t").unwrap());
        pattern
    }

    #[test]
    fn an_event_that_differs_in_its_text_alone_is_known() {
        let pattern = learnt(r#"{"a":"0123456789abcdef","t":"one","z":[1,2]}"#);
        let found = |event: &str| {
            pattern
                .text(event.as_bytes())
                .map(|text| text.as_escaped().to_owned())
        };
        for text in ["", "two", r#"a\"b"#, r#"\",\"z\":[1,2]}"#, "é"] {
            let event = format!(r#"{{"a":"0123456789abcdef","t":"{text}","z":[1,2]}}"#);
            assert_eq!(found(&event).as_deref(), Some(text));
        }
        for other in [
            r#"{"a":"0123456789abcdeg","t":"one","z":[1,2]}"#,
            r#"{"a":"0123456789abcdef","t":"one","z":[1,3]}"#,
            r#"{"a":"0123456789abcdef","t":"one","z":[1,2]"#,
            r#"{"a":"0123456789abcdef","t":"a","x":"b","z":[1,2]}"#,
            r#"{"a":"0123456789abcdef","t":7,"z":[1,2]}"#,
            r#"{"a":"0123456789abcdef","t":"\x","z":[1,2]}"#,
            r#"{"a":"0123456789abcdef","t","z":[1,2]}"#,
            r#"{"a":"#,
            "",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn a_number_before_it_may_differ_too() {
        let pattern = learnt(r#"{"n":9,"t":"one"}"#);
        let found = |event: &str| pattern.text(event.as_bytes()).is_some();
        assert!(found(r#"{"n":10,"t":"two"}"#));
        assert!(!found(r#"{"n":,"t":"two"}"#) && !found(r#"{"n":-1,"t":"two"}"#));
        assert!(!found(r#"{"n":1.5,"t":"two"}"#));
    }

    #[test]
    fn what_cannot_be_a_pattern_is_none() {
        let behind = r#"{"t":"one","n":9}"#;
        assert!(learnt(behind).text(behind.as_bytes()).is_none());
        let long = format!(r#"{{"a":"{}","t":"one"}}"#, "a".repeat(AROUND_BYTES_MAX));
        assert!(learnt(&long).text(long.as_bytes()).is_none());
    }
}
