//! The fast lane of a stream. Nearly all its events say a piece of one text and are alike in all else, but perhaps for a number
//! that counts, a word that hides their length, and blanks that do. What stands around the text is learnt from one that was
//! read in full; the next is known by comparing bytes. In each place that may differ stands what JSON would have there, so
//! the event means the same but for its text, which is found without reading the rest again.

use super::neutral::{BlockKey, Inside};
use super::text::Text;
use crate::wire::json::{JsonKind, Raw};

/// An event with more around its text is always read in full.
const AROUND_BYTES_MAX: usize = 1024;
/// How an event ends whose data is one line of JSON and comes last. Before the brace there may be blanks.
const ENDS: [&[u8]; 2] = [b"}\n\n", b"}\r\n\r\n"];

/// What a reader answers for an event that said a piece of text and nothing else: one that differs from it only in the text (and
/// in what nobody looks at) says more of the same block, and changes nothing in the reader but what its `more` does.
#[derive(Debug)]
pub struct Told<'e> {
    /// The block.
    pub block: BlockKey,
    /// Its kind.
    pub inside: Inside,
    /// The string that the text is.
    pub text: Raw<'e>,
    /// A number that nobody looks at.
    pub number: Option<Raw<'e>>,
    /// A string that nobody looks at.
    pub padding: Option<Raw<'e>>,
}

/// What may differ.
#[derive(Clone, Copy)]
enum Gap {
    /// The string that the text is, behind its opening quote.
    Text,
    /// Digits.
    Number,
    /// Letters and digits, and the closing quote.
    Padding,
}

/// What an event has in common with the one it was learnt from.
pub struct Pattern {
    /// All of it but the gaps, and but for blanks before the end.
    around: Vec<u8>,
    /// Where in it the gaps are. None: nothing was learnt.
    gaps: Vec<(usize, Gap)>,
    /// How long the end is.
    end: usize,
    block: BlockKey,
    inside: Inside,
}

impl Pattern {
    /// One that knows nothing.
    pub fn new() -> Pattern {
        Pattern {
            around: Vec::new(),
            gaps: Vec::new(),
            end: 0,
            block: 0,
            inside: Inside::Text,
        }
    }

    /// What its events say more of.
    pub fn block(&self) -> (BlockKey, Inside) {
        (self.block, self.inside)
    }

    /// Remembers an event, all its lines; what it told are parts of it.
    pub fn learn(&mut self, event: &[u8], told: &Told<'_>) {
        self.forget();
        let place = |part: Raw<'_>| {
            let start = part.text().as_ptr() as usize - event.as_ptr() as usize;
            start..start + part.text().len()
        };
        let opened = |string: Raw<'_>| place(string).start + 1..place(string).end;
        let padding = told.padding.filter(|raw| raw.kind() == JsonKind::String);
        let mut gaps = [
            Some((opened(told.text), Gap::Text)),
            told.number.map(|number| (place(number), Gap::Number)),
            padding.map(|string| (opened(string), Gap::Padding)),
        ];
        gaps.sort_unstable_by_key(|gap| gap.as_ref().map(|(place, _)| place.start));
        let mut from = 0;
        for (place, gap) in gaps.into_iter().flatten() {
            self.around.extend_from_slice(&event[from..place.start]);
            self.gaps.push((self.around.len(), gap));
            from = place.end;
        }
        let end = ENDS[usize::from(event.ends_with(ENDS[1]))];
        let last = event[from..].strip_suffix(end);
        match last.filter(|last| self.around.len() + last.len() <= AROUND_BYTES_MAX) {
            Some(last) if !last.contains(&b'\n') => {
                let blanks = last.iter().rev().take_while(|&&b| b == b' ').count();
                self.around.extend_from_slice(&last[..last.len() - blanks]);
                self.around.extend_from_slice(end);
                self.end = end.len();
                (self.block, self.inside) = (told.block, told.inside);
            }
            _ => self.forget(),
        }
    }

    /// What follows is another event.
    pub fn forget(&mut self) {
        self.around.clear();
        self.gaps.clear();
    }

    /// The text of the event that `bytes` begin with, if it is the remembered one but for what may differ; then they are what
    /// follows it.
    pub fn next<'b>(&self, bytes: &mut &'b [u8]) -> Option<Text<'b>> {
        let (mut rest, mut from, mut text) = (*bytes, 0, None);
        for &(to, gap) in &self.gaps {
            rest = after(rest, &self.around[from..to])?;
            from = to;
            match gap {
                Gap::Text => {
                    let (found, behind) = Text::front(rest)?;
                    (text, rest) = (Some(found), behind);
                }
                Gap::Number => {
                    let digits = row(rest, u8::is_ascii_digit);
                    if digits == 0 || (digits > 1 && rest[0] == b'0') {
                        return None;
                    }
                    rest = &rest[digits..];
                }
                Gap::Padding => {
                    rest = &rest[row(rest, u8::is_ascii_alphanumeric)..];
                    rest = rest.strip_prefix(b"\"")?;
                }
            }
        }
        let text = text?;
        let last = &self.around[from..];
        *bytes = match after(rest, last) {
            Some(next) => next,
            None => {
                let (before, end) = last.split_at(last.len() - self.end);
                let rest = after(rest, before)?;
                after(&rest[row(rest, |&byte| byte == b' ')..], end)?
            }
        };
        Some(text)
    }
}

/// How many such bytes come first.
fn row(bytes: &[u8], belongs: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| belongs(byte)).count()
}

/// What follows `front`.
fn after<'e>(event: &'e [u8], front: &[u8]) -> Option<&'e [u8]> {
    let (found, rest) = event.split_at_checked(front.len())?;
    is_same(found, front).then_some(rest)
}

/// Whether two slices of one length are alike. In blocks, the last of them over what was compared already: musl's memcmp goes
/// byte by byte.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    in_blocks::<32>(one, other)
        .or_else(|| in_blocks::<8>(one, other))
        .or_else(|| in_blocks::<4>(one, other))
        .unwrap_or_else(|| one.iter().zip(other).all(|(a, b)| a == b))
}

/// None: they are shorter than a block.
fn in_blocks<const N: usize>(one: &[u8], other: &[u8]) -> Option<bool> {
    let ends = one.last_chunk::<N>()? == other.last_chunk()?;
    let mut blocks = one.as_chunks::<N>().0.iter().zip(other.as_chunks().0);
    Some(ends && blocks.all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Object;

    fn learnt_of(event: &str) -> Pattern {
        let data = event.split_once("data: ").unwrap().1;
        let object = Object::parse(data.split('\n').next().unwrap().as_bytes()).unwrap();
        let told = Told {
            block: 7,
            inside: Inside::Reasoning,
            text: object.get("t").unwrap(),
            number: object.get("n"),
            padding: object.get("p"),
        };
        let mut pattern = Pattern::new();
        pattern.learn(event.as_bytes(), &told);
        pattern
    }

    fn learnt(data: &str) -> Pattern {
        learnt_of(&format!("event: x\ndata: {data}\n\n"))
    }

    /// The text found in that data, with something behind its event.
    fn found(pattern: &Pattern, data: &str) -> Option<String> {
        let events = format!("event: x\ndata: {data}\n\nmore");
        let mut rest = events.as_bytes();
        let text = pattern
            .next(&mut rest)
            .map(|text| text.as_escaped().to_owned());
        let left = if text.is_some() { "more" } else { &events };
        assert_eq!(rest, left.as_bytes());
        text
    }

    #[test]
    fn an_event_that_differs_in_its_text_alone_is_known() {
        let pattern = learnt(r#"{"a":"0123456789abcdef","t":"one","z":[1,2]}"#);
        assert_eq!(pattern.block(), (7, Inside::Reasoning));
        for text in ["", "two", r#"a\"b"#, r#"\",\"z\":[1,2]}"#, "é", r"\u00e9\\"] {
            let data = format!(r#"{{"a":"0123456789abcdef","t":"{text}","z":[1,2]}}"#);
            assert_eq!(found(&pattern, &data).as_deref(), Some(text));
        }
        for other in [
            r#"{"a":"0123456789abcdeg","t":"one","z":[1,2]}"#,
            r#"{"a":"0123456789abcdef","t":"one","z":[1,3]}"#,
            r#"{"a":"0123456789abcdef","t":"one","z":[1,2]"#,
            r#"{"a":"0123456789abcdef","t":"a","x":"b","z":[1,2]}"#,
            r#"{"a":"0123456789abcdef","t":7,"z":[1,2]}"#,
            r#"{"a":"0123456789abcdef","t":"\x","z":[1,2]}"#,
            "{\"a\":\"0123456789abcdef\",\"t\":\"\n\",\"z\":[1,2]}",
            r#"{"a":"0123456789abcdef","t","z":[1,2]}"#,
            r#"{"a":"#,
            "",
        ] {
            assert_eq!(found(&pattern, other), None, "{other}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_no_text() {
        let pattern = learnt(r#"{"t":"one"}"#);
        let event = b"event: x\ndata: {\"t\":\"\xff\"}\n\n";
        assert!(pattern.next(&mut &event[..]).is_none());
    }

    #[test]
    fn an_event_that_has_not_come_whole_is_not_known() {
        let pattern = learnt(r#"{"n":9,"t":"one","p":"x"}"#);
        let event = "event: x\ndata: {\"n\":9,\"t\":\"one\",\"p\":\"x\"}\n\n";
        for end in 0..event.len() {
            assert!(pattern.next(&mut &event.as_bytes()[..end]).is_none());
        }
        assert!(pattern.next(&mut event.as_bytes()).is_some());
    }

    #[test]
    fn a_number_padding_and_blanks_may_differ_too() {
        for pattern in [
            r#"{"n":9,"t":"one","p":"abc"}"#,
            r#"{"p":"abc","t":"one","n":9}"#,
        ] {
            let known = learnt(pattern);
            let with = |number: &str, padding: &str, blanks: &str| {
                let data = pattern.replace('9', number).replace("abc", padding);
                found(&known, &data.replace('}', &format!("{blanks}}}"))).is_some()
            };
            assert!(with("10", "x", "") && with("9", "Y2", "   "));
            assert!(
                !with("01", "x", "")
                    && !with("", "x", "")
                    && !with("-1", "x", "")
                    && !with("1.5", "x", "")
            );
            assert!(!with("1", "\\n", "") && !with("1", "é", "") && !with("1", "x", "\t"));
        }
        assert!(found(&learnt("{\"t\":\"one\"  }"), "{\"t\":\"two\"}").is_some());
    }

    #[test]
    fn lines_may_end_in_crlf() {
        let event = "event: x\r\ndata: {\"t\":\"one\"}\r\n\r\n";
        let pattern = learnt_of(event);
        assert!(pattern.next(&mut event.as_bytes()).is_some());
        for other in [event.replace('\r', ""), event.replace("\r\n\r\n", "\r\n\n")] {
            assert!(pattern.next(&mut other.as_bytes()).is_none());
        }
    }

    #[test]
    fn what_cannot_be_a_pattern_is_none() {
        let long = format!(r#"{{"a":"{}","t":"one"}}"#, "a".repeat(AROUND_BYTES_MAX));
        for data in [long.as_str(), "{\"t\":\"one\"} "] {
            assert_eq!(found(&learnt(data), data), None);
        }
        for event in [
            "data: {\"t\":\"one\"}\nid: {}\n\n",
            "data: {\"t\":\"one\"}\r\n\n",
        ] {
            assert!(learnt_of(event).next(&mut event.as_bytes()).is_none());
        }
    }
}
