//! Server-sent events, both ways (WHATWG HTML 9.2). Works on bytes: a UTF-8 character, a CRLF or a BOM may be split between two
//! pushes. Holds one unfinished event, bounded by EVENT_BYTES_MAX; a finished one is lent from the buffer, not copied.

use super::find::{find, line_end};
use crate::error::Fault;

/// An unfinished event larger than this is refused. Providers send a whole answer in their last event, and a base64 image of
/// 1536 x 1024 pixels in one: up to 4 MB. This is twice that, and what one stream may hold at most, besides one push.
pub const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// An empty buffer larger than this is given back, so that one large event does not stay in memory for the rest of the stream.
const KEPT_BYTES_MAX: usize = 256 * 1024;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field; empty where there was none, which means `message`.
    pub name: &'a [u8],
    /// The `data` fields, joined with line feeds.
    pub data: &'a [u8],
}

/// Takes events apart as they come. `id` and `retry` are ignored: nothing here reconnects.
///
/// An event is given as soon as its empty line has come, at a CR already: the LF that may follow is skipped when it comes.
/// An event without any `data` field is none (9.2.6).
#[derive(Default)]
pub struct Parser {
    /// Given events, the joined data of the unfinished one, bytes no longer needed, then the unfinished line.
    bytes: Vec<u8>,
    /// Where the data of the unfinished event stands.
    data: (usize, usize),
    has_data: bool,
    /// Where the unfinished line starts.
    line: usize,
    /// No line ends between `line` and here.
    searched: usize,
    /// The line before ended in CR, so a LF that comes first now belongs to it.
    after_cr: bool,
    /// The first bytes are known to be no BOM, or one that was skipped.
    begun: bool,
    name: Vec<u8>,
    /// The event was given; its place is free from now on.
    given: bool,
}

impl Parser {
    /// A parser at the start of a stream.
    pub fn new() -> Parser {
        Parser::default()
    }

    /// Takes the next bytes. Call [`Parser::next`] until it gives nothing before the next push.
    ///
    /// # Errors
    /// The unfinished event is larger than [`EVENT_BYTES_MAX`] already.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.compact();
        if self.bytes.len() + self.name.len() > EVENT_BYTES_MAX {
            return Err(Fault::bad(format!(
                "an event of the stream is larger than {EVENT_BYTES_MAX} bytes"
            )));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next event that is complete. None: push more.
    #[allow(clippy::should_implement_trait)] // an Iterator cannot lend
    pub fn next(&mut self) -> Option<Event<'_>> {
        self.advance().then(|| self.lend())
    }

    /// The next event at the end of the stream: one whose empty line never came counts, because some servers leave it out.
    /// Whether it was cut inside is for the reader of its data to see. None: there is nothing more.
    pub fn finish(&mut self) -> Option<Event<'_>> {
        if self.advance() {
            return Some(self.lend());
        }
        let end = self.bytes.len();
        if self.line < end {
            self.field(self.line, end);
            self.line = end;
            self.searched = end;
        }
        self.has_data.then(|| self.lend())
    }

    /// The next event, lent from `bytes`, which are then what follows it. None: nothing is left, or what comes next has to be
    /// pushed as far as [`event_end`] says, because it is unfinished or not of the form that nearly all have: one `data` field,
    /// lines that end in LF or CRLF.
    pub fn lent<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Event<'b>> {
        self.forget_given();
        if self.has_data || self.line < self.bytes.len() || self.after_cr || !self.name.is_empty() {
            return None;
        }
        if !self.begun {
            if bytes.first().is_none_or(|first| BOM.contains(first)) {
                return None;
            }
            self.begun = true;
        }
        let (mut rest, mut name, mut data) = (*bytes, &b""[..], None);
        loop {
            let end = line_end(rest)?;
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = match rest[end] {
                b'\r' => after.strip_prefix(b"\n")?,
                _ => after,
            };
            let value = |field: &[u8]| {
                let value = line.strip_prefix(field)?.strip_prefix(b":")?;
                Some(value.strip_prefix(b" ").unwrap_or(value))
            };
            match (line.first(), data) {
                (None, Some(data)) => {
                    *bytes = rest;
                    return Some(Event { name, data });
                }
                (None, None) => (*bytes, name) = (rest, b""),
                (Some(b'd'), None) => data = Some(value(b"data")?),
                (Some(b'd'), Some(_)) => return None,
                (Some(b'e'), _) => name = value(b"event")?,
                _ => {}
            }
        }
    }

    /// Bytes of the unfinished event, once [`Parser::next`] has given nothing.
    pub fn held_bytes(&self) -> usize {
        let joined = if self.has_data {
            self.data.1 - self.data.0
        } else {
            0
        };
        joined + self.bytes.len() - self.line
    }

    fn lend(&mut self) -> Event<'_> {
        self.given = true;
        Event {
            name: &self.name,
            data: &self.bytes[self.data.0..self.data.1],
        }
    }

    /// Reads lines until an event is complete.
    fn advance(&mut self) -> bool {
        self.forget_given();
        if !self.begun && !self.skip_bom() {
            return false;
        }
        loop {
            if self.after_cr && self.line < self.bytes.len() {
                self.after_cr = false;
                if self.bytes[self.line] == b'\n' {
                    self.line += 1;
                    self.searched = self.line;
                }
            }
            let Some(offset) = line_end(&self.bytes[self.searched..]) else {
                self.searched = self.bytes.len();
                return false;
            };
            let (start, end) = (self.line, self.searched + offset);
            self.after_cr = self.bytes[end] == b'\r';
            self.line = end + 1;
            self.searched = self.line;
            if start < end {
                self.field(start, end);
            } else if self.has_data {
                return true;
            } else {
                self.name.clear();
            }
        }
    }

    fn forget_given(&mut self) {
        if self.given {
            self.given = false;
            self.has_data = false;
            self.name.clear();
        }
    }

    /// False: the bytes may still become a BOM.
    fn skip_bom(&mut self) -> bool {
        if self.bytes.len() < BOM.len() && BOM.starts_with(&self.bytes) {
            return false;
        }
        self.begun = true;
        if self.bytes.starts_with(BOM) {
            self.line = BOM.len();
            self.searched = self.line;
        }
        true
    }

    /// One line that is not empty: a field, or a comment.
    fn field(&mut self, start: usize, end: usize) {
        let line = &self.bytes[start..end];
        let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
        let blank = usize::from(line.get(colon + 1) == Some(&b' '));
        let value = (start + colon + 1 + blank).min(end);
        match &line[..colon] {
            b"data" if !self.has_data => {
                self.has_data = true;
                self.data = (value, end);
            }
            b"data" => {
                // Joined in place: this field's own name leaves room for the line feed.
                let to = self.data.1;
                self.bytes[to] = b'\n';
                self.bytes.copy_within(value..end, to + 1);
                self.data.1 = to + 1 + (end - value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(&self.bytes[value..end]);
            }
            _ => {}
        }
    }

    /// Moves what is unfinished to the front: the joined data once, an unfinished line once for each line that ended before it.
    /// In the common case there is nothing to move: a push ends where an event does.
    fn compact(&mut self) {
        self.forget_given();
        let (from, to) = if self.has_data { self.data } else { (0, 0) };
        let kept = to - from;
        if from > 0 {
            self.bytes.copy_within(from..to, 0);
        }
        self.data = (0, kept);
        let gap = self.line - kept;
        if gap > 0 {
            self.bytes.copy_within(self.line.., kept);
            self.bytes.truncate(self.bytes.len() - gap);
            self.line -= gap;
            self.searched -= gap;
        }
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }
}

/// One past the first empty line, or past all of it: as much as has to be pushed where [`Parser::lent`] gives nothing.
pub fn event_end(bytes: &[u8]) -> usize {
    let end = find(bytes, b"\n\n", [0, 1]).map_or(bytes.len(), |at| at + 2);
    find(&bytes[..end], b"\n\r\n", [0, 1]).map_or(end, |at| at + 3)
}

/// Appends an event. An empty name is left out; data of several lines becomes several fields. `name` has no line ends.
pub fn write_event(out: &mut Vec<u8>, name: &[u8], data: &[u8]) {
    debug_assert!(line_end(name).is_none());
    out.reserve(name.len() + data.len() + 18);
    if !name.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name);
        out.push(b'\n');
    }
    let mut rest = data;
    loop {
        out.extend_from_slice(b"data: ");
        let Some(end) = line_end(rest) else {
            out.extend_from_slice(rest);
            out.extend_from_slice(b"\n\n");
            return;
        };
        out.extend_from_slice(&rest[..end]);
        out.push(b'\n');
        let pair = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(pair)..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dice::Dice;

    type Owned = (String, String);

    fn owned(event: Event<'_>) -> Owned {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        (text(event.name), text(event.data))
    }

    /// All pushed, and as much lent as can be: that must be the same.
    fn parse<'p>(pieces: impl IntoIterator<Item = &'p [u8]> + Clone, finish: bool) -> Vec<Owned> {
        let pushed = parse_with(pieces.clone(), finish, false);
        assert_eq!(parse_with(pieces, finish, true), pushed);
        pushed
    }

    fn parse_with<'p>(
        pieces: impl IntoIterator<Item = &'p [u8]>,
        finish: bool,
        lends: bool,
    ) -> Vec<Owned> {
        let mut parser = Parser::new();
        let mut events = Vec::new();
        for mut piece in pieces {
            while !piece.is_empty() {
                while lends && let Some(event) = parser.lent(&mut piece) {
                    events.push(owned(event));
                }
                let end = if lends { event_end(piece) } else { piece.len() };
                let (head, tail) = piece.split_at(end);
                parser.push(head).unwrap();
                while let Some(event) = parser.next() {
                    events.push(owned(event));
                }
                piece = tail;
            }
        }
        while finish && let Some(event) = parser.finish() {
            events.push(owned(event));
        }
        events
    }

    /// Whole, at every split, at pairs of splits, and byte by byte.
    fn check_with(stream: &[u8], finish: bool, expected: &[(&str, &str)]) {
        let expected: Vec<Owned> = expected
            .iter()
            .map(|&(a, b)| (a.to_owned(), b.to_owned()))
            .collect();
        let shown = stream.escape_ascii();
        assert_eq!(parse([stream], finish), expected, "whole {shown}");
        assert_eq!(
            parse(stream.chunks(1), finish),
            expected,
            "byte by byte {shown}"
        );
        for at in 0..=stream.len() {
            let (a, b) = stream.split_at(at);
            assert_eq!(parse([a, b], finish), expected, "split at {at} {shown}");
            let (b, c) = b.split_at(b.len().min(3));
            assert_eq!(
                parse([a, b, c], finish),
                expected,
                "split at {at} and 3 on {shown}"
            );
        }
    }

    fn check(stream: impl AsRef<[u8]>, expected: &[(&str, &str)]) {
        check_with(stream.as_ref(), false, expected);
    }

    #[test]
    fn rule_42_every_line_end() {
        for end in ["\n", "\r\n", "\r"] {
            let stream =
                "event: a\ndata: 1\n\ndata: 2\ndata: 3\n\n\n: c\ndata: 4\n\n".replace('\n', end);
            check(stream, &[("a", "1"), ("", "2\\n3"), ("", "4")]);
        }
        check(
            "data: 1\r\r\ndata: 2\n\r\ndata: 3\r\n\n",
            &[("", "1"), ("", "2"), ("", "3")],
        );
        check("data: 1\r\n\rdata: 2\r\r\n\r\n", &[("", "1"), ("", "2")]);
    }

    #[test]
    fn an_event_leaves_at_the_cr_of_its_empty_line() {
        let mut parser = Parser::new();
        parser.push(b"data: 1\r\n\r").unwrap();
        assert_eq!(owned(parser.next().unwrap()).1, "1");
        assert!(parser.next().is_none());
        parser.push(b"\ndata: 2\r\n\r\n").unwrap();
        assert_eq!(owned(parser.next().unwrap()).1, "2");
        assert!(parser.next().is_none());
    }

    #[test]
    fn rule_42_fields_as_the_standard_reads_them() {
        check("data:x\n\n", &[("", "x")]);
        check("data:  x \n\n", &[("", " x ")]);
        check("data: a:b\n\n", &[("", "a:b")]);
        check("data\n\n", &[("", "")]);
        check("data:\n\n", &[("", "")]);
        check("data\ndata\n\n", &[("", "\\n")]);
        check("data: \ndata:x\ndata\n\n", &[("", "\\nx\\n")]);
        check("Data: x\n data: y\ndatax: z\n\n", &[]);
        check("event: a\n\ndata: x\n\n", &[("", "x")]);
        check("event: a\nevent: b\ndata: x\n\n", &[("b", "x")]);
        check("data: x\nevent: a\n\n", &[("a", "x")]);
        check("event: a\nevent:\ndata: x\n\n", &[("", "x")]);
        check(
            "id: 1\nretry: 10\nfoo: bar\n:\n: comment\ndata: x\n\n",
            &[("", "x")],
        );
        check("data: a\n: comment\nid: 7\ndata: b\n\n", &[("", "a\\nb")]);
        check(
            "data: a\u{2028}b\u{2029}\u{85}\u{c}\n\n",
            &[("", "a\\xe2\\x80\\xa8b\\xe2\\x80\\xa9\\xc2\\x85\\x0c")],
        );
        check("data: 😀\n\n", &[("", "\\xf0\\x9f\\x98\\x80")]);
        check(b"data: \xff\0\n\n", &[("", "\\xff\\x00")]);
        check(
            format!("data: {}\n\n", "x".repeat(100)),
            &[("", &"x".repeat(100))],
        );
        check("", &[]);
        check("\n\n\r\r\n", &[]);
    }

    #[test]
    fn rule_42_a_byte_order_mark_is_skipped_once() {
        check(b"\xef\xbb\xbfdata: x\n\n", &[("", "x")]);
        check(
            b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\ndata: y\n\n",
            &[("", "y")],
        );
        check(b"\xef\xbbdata: x\n\ndata: y\n\n", &[("", "y")]);
        check_with(b"\xef\xbb", true, &[]);
    }

    #[test]
    fn an_unfinished_event_is_dropped_or_finished_on_demand() {
        for stream in [
            "data: 1\n\ndata: 2",
            "data: 1\n\ndata: 2\n",
            "data: 1\n\ndata: 2\r",
            "data: 1\r\n\r\ndata: 2\r\n",
        ] {
            check_with(stream.as_bytes(), false, &[("", "1")]);
            check_with(stream.as_bytes(), true, &[("", "1"), ("", "2")]);
        }
        check_with(b"event: a\ndata: x\nda", true, &[("a", "x")]);
        check_with(b"event: a\n", true, &[]);
        check_with(b"data: a\ndata: b", true, &[("", "a\\nb")]);
        check_with(b"data", true, &[("", "")]);
        let mut parser = Parser::new();
        parser.push(b"data: 1\n\ndata: 2\n\ndata: 3").unwrap();
        for expected in ["1", "2", "3"] {
            assert_eq!(owned(parser.finish().unwrap()).1, expected);
        }
        assert!(parser.finish().is_none() && parser.next().is_none());
    }

    #[test]
    fn an_event_has_a_limit_and_a_row_of_comments_has_none() {
        let piece = vec![b'x'; 64 * 1024];
        let mut parser = Parser::new();
        parser.push(b"data: ").unwrap();
        let mut pushed = 0;
        let fault = loop {
            if let Err(fault) = parser.push(&piece) {
                break fault;
            }
            assert!(parser.next().is_none());
            pushed += piece.len();
            assert!(pushed <= EVENT_BYTES_MAX + piece.len());
        };
        assert!(pushed >= EVENT_BYTES_MAX && fault.message.contains("larger than"));

        let mut parser = Parser::new();
        parser.push(b"event: a\ndata: 1\n").unwrap();
        for _ in 0..100_000 {
            parser.push(b": a comment inside the event\n").unwrap();
            assert!(parser.next().is_none());
        }
        parser.push(b"data: 2\n\n").unwrap();
        assert_eq!(owned(parser.next().unwrap()), ("a".into(), "1\\n2".into()));
        assert!(parser.bytes.capacity() < 1_024);
    }

    #[test]
    fn a_large_event_leaves_no_large_buffer() {
        let mut parser = Parser::new();
        let mut event = b"data: ".to_vec();
        event.resize(1_000_000, b'x');
        for piece in event.chunks(1_000) {
            parser.push(piece).unwrap();
            assert!(parser.next().is_none());
        }
        parser.push(b"\n\n").unwrap();
        assert_eq!(parser.next().unwrap().data.len(), 1_000_000 - 6);
        assert!(parser.next().is_none());
        parser.push(b"data: y\n\n").unwrap();
        assert_eq!(parser.next().unwrap().data, b"y");
        assert!(parser.bytes.capacity() < KEPT_BYTES_MAX);
    }

    #[test]
    fn small_events_allocate_nothing_once_the_buffer_is_there() {
        let mut parser = Parser::new();
        let mut sizes = std::collections::BTreeSet::new();
        for n in 0..1_000 {
            parser
                .push(b"event: delta\ndata: {\"text\":\"hello\"}\n\n")
                .unwrap();
            assert_eq!(parser.next().unwrap().name, b"delta");
            assert!(parser.next().is_none());
            if n > 2 {
                sizes.insert((parser.bytes.capacity(), parser.name.capacity()));
            }
        }
        assert_eq!(sizes.len(), 1);
    }

    #[test]
    fn a_written_event_reads_back() {
        let mut out = Vec::new();
        write_event(&mut out, b"delta", b"{\"a\":1}");
        assert_eq!(out, b"event: delta\ndata: {\"a\":1}\n\n");
        out.clear();
        write_event(&mut out, b"", b"");
        assert_eq!(out, b"data: \n\n");
        out.clear();
        write_event(&mut out, b"", b"a\nb\r\nc\rd\n");
        check(&out, &[("", "a\\nb\\nc\\nd\\n")]);
    }

    /// The standard, line by line, on a whole stream.
    fn naive(stream: &[u8]) -> Vec<Owned> {
        let stream = stream.strip_prefix(BOM).unwrap_or(stream);
        let latin: String = stream.iter().map(|&b| b as char).collect();
        let unified = latin.replace("\r\n", "\n").replace('\r', "\n");
        let bytes = |text: &str| -> Vec<u8> { text.chars().map(|c| c as u8).collect() };
        let (mut events, mut name, mut data) = (Vec::new(), String::new(), None::<String>);
        let mut lines: Vec<&str> = unified.split('\n').collect();
        lines.pop();
        for line in lines {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if let Some(data) = data.take() {
                        events.push(owned(Event {
                            name: &bytes(&name),
                            data: &bytes(&data),
                        }));
                    }
                    name.clear();
                }
                "data" => {
                    data = Some(data.map_or(value.to_owned(), |before| before + "\n" + value))
                }
                "event" => name = value.to_owned(),
                _ => {}
            }
        }
        events
    }

    #[test]
    fn mutated_streams_are_read_as_the_standard_reads_them() {
        let seeds: [&[u8]; 3] = [
            b"\xef\xbb\xbfevent: a\r\ndata: {\"x\":1}\r\n\r\n: ping\r\n\r\ndata: [DONE]\r\n\r\n",
            b"data: a\ndata: b\nid: 1\n\nevent: c\ndata:d\n\n\n",
            b"data: a\rdata\r\rretry: 1\r:x\revent:y\rdata: \xf0\x9f\x98\x80\r\r",
        ];
        let mut dice = Dice::new(42);
        let mut count = 0;
        for round in 0..40_000 {
            let stream = dice.mutate(seeds[round % 3], b"\r\n: dataevn\xef\xbb\xbf");
            let expected = naive(&stream);
            count += expected.len();
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((1 + dice.below(12)).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(parse(pieces, false), expected, "{}", stream.escape_ascii());
            assert_eq!(
                parse([&stream[..]], false),
                expected,
                "{}",
                stream.escape_ascii()
            );
        }
        assert!(count > 40_000, "{count}");
    }
}
