//! Finds token counts in a response that passes by verbatim, whole or streamed, in any protocol: it looks for the bytes
//! `"usage"` and reads the object behind them, where it lies. Nothing is decoded for it and nothing held but an unfinished
//! object of at most HELD_BYTES_MAX. A write without `"usage"` costs one vectorised scan. Inside a JSON string the quotes would be escaped,
//! so text that merely talks about usage never matches.

use crate::wire::find::find;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A usage object larger than this is not read. Real ones take 100 to 700 bytes.
pub const HELD_BYTES_MAX: usize = 4096;

const NEEDLE: &[u8; 7] = b"\"usage\"";
/// The most of a needle that can lie before a split.
const TAIL_BYTES_MAX: usize = NEEDLE.len() - 1;
/// Its `u` and its `g`: events are full of quotes, and of `u` some way before one.
const RARE: [usize; 2] = [1, 4];

/// Token counts as the upstream sent them; `None` where it said nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `prompt_tokens` or `input_tokens`.
    pub input: Option<u64>,
    /// `completion_tokens` or `output_tokens`, reasoning included.
    pub output: Option<u64>,
    /// Input tokens read from a cache.
    pub cached: Option<u64>,
    /// Input tokens written to a cache.
    pub cache_write: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<u64>,
    /// True in Messages, whose `input_tokens` excludes both cache figures (protocols.md 3.5).
    pub cache_apart: bool,
}

impl Usage {
    /// True if nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Usage::default()
    }

    /// All input tokens, cached ones included, in whatever protocol they were counted.
    pub fn input_total(&self) -> Option<u64> {
        let input = self.input?;
        if !self.cache_apart {
            return Some(input);
        }
        let apart = [self.cached, self.cache_write].into_iter().flatten();
        Some(apart.fold(input, u64::saturating_add))
    }

    /// What a later object says replaces what an earlier one said; what it does not say stays (Messages sends the input
    /// in `message_start`, cumulative output in `message_delta`).
    fn merge(&mut self, later: Usage) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cached = later.cached.or(self.cached);
        self.cache_write = later.cache_write.or(self.cache_write);
        self.reasoning = later.reasoning.or(self.reasoning);
        self.cache_apart |= later.cache_apart;
    }
}

/// Fed with the bytes of one response in order, however they are split.
#[derive(Debug, Default)]
pub struct UsageFinder {
    found: Usage,
    place: Place,
    /// The last bytes before this write, in case the needle is split.
    tail: [u8; TAIL_BYTES_MAX],
    tail_len: usize,
    held: Vec<u8>,
}

/// Where in `"usage" : { … }` the next byte is.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Before,
    Colon,
    Value,
    Object {
        depth: u32,
        in_string: bool,
        escaped: bool,
    },
}

impl UsageFinder {
    /// Nothing seen yet.
    pub fn new() -> UsageFinder {
        UsageFinder::default()
    }

    /// What has been found so far: the last complete object wins, member by member.
    pub fn usage(&self) -> Usage {
        self.found
    }

    /// Looks at the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        if matches!(self.place, Place::Before) {
            match self.find_split(bytes) {
                Some(after) => at = after,
                None => at = self.find_whole(bytes, 0),
            }
        }
        while at < bytes.len() {
            at = match self.place {
                Place::Before => self.find_whole(bytes, at),
                Place::Colon => self.skip(bytes, at, b':', Place::Value),
                Place::Value => {
                    let object = Place::Object {
                        depth: 0,
                        in_string: false,
                        escaped: false,
                    };
                    // The brace itself is counted, and kept, by the next step.
                    let opened = self.skip(bytes, at, b'{', object);
                    if matches!(self.place, Place::Object { .. }) {
                        self.read_whole(bytes, opened - 1)
                    } else {
                        opened
                    }
                }
                Place::Object { .. } => self.hold(bytes, at),
            };
        }
    }

    /// A needle that began in an earlier write: returns where this write goes on behind it.
    fn find_split(&mut self, bytes: &[u8]) -> Option<usize> {
        let first = *bytes.first().filter(|_| self.tail_len > 0)?;
        let tail = &self.tail[..self.tail_len];
        let after = (1..NEEDLE.len()).find(|&here| {
            let (before, rest) = NEEDLE.split_at(NEEDLE.len() - here);
            rest[0] == first && tail.ends_with(before) && bytes.starts_with(rest)
        })?;
        self.tail_len = 0;
        self.place = Place::Colon;
        Some(after)
    }

    /// The next needle from `from` on: returns where to go on behind it, or the end, with the tail kept.
    fn find_whole(&mut self, bytes: &[u8], from: usize) -> usize {
        if let Some(found) = find(&bytes[from..], NEEDLE, RARE) {
            self.tail_len = 0;
            self.place = Place::Colon;
            return from + found + NEEDLE.len();
        }
        let fresh = &bytes[from..];
        if fresh.len() >= TAIL_BYTES_MAX {
            self.tail
                .copy_from_slice(&fresh[fresh.len() - TAIL_BYTES_MAX..]);
            self.tail_len = TAIL_BYTES_MAX;
        } else {
            let kept = self.tail_len.min(TAIL_BYTES_MAX - fresh.len());
            self.tail
                .copy_within(self.tail_len - kept..self.tail_len, 0);
            self.tail[kept..kept + fresh.len()].copy_from_slice(fresh);
            self.tail_len = kept + fresh.len();
        }
        bytes.len()
    }

    /// White space, then the byte that leads to `next`. Any other byte: it was not a member named usage with an object.
    fn skip(&mut self, bytes: &[u8], from: usize, wanted: u8, next: Place) -> usize {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let Some(ahead) = bytes[from..].iter().position(|byte| !is_space(byte)) else {
            return bytes.len();
        };
        if bytes[from + ahead] == wanted {
            self.place = next;
            return from + ahead + 1;
        }
        self.place = Place::Before;
        from + ahead
    }

    /// Reads the object that opens at `from` and gives where it ends, if all of it is there; else it stays to be held.
    fn read_whole(&mut self, bytes: &[u8], from: usize) -> usize {
        let end = bytes.len().min(from + HELD_BYTES_MAX);
        let json = serde_json::Deserializer::from_slice(&bytes[from..end]);
        let mut values = json.into_iter::<Usage>();
        let Some(Ok(usage)) = values.next() else {
            return from;
        };
        if !usage.is_empty() {
            self.found.merge(usage);
        }
        self.place = Place::Before;
        from + values.byte_offset()
    }

    /// Keeps the bytes of the object up to its last brace, then reads it.
    fn hold(&mut self, bytes: &[u8], from: usize) -> usize {
        let Place::Object {
            mut depth,
            mut in_string,
            mut escaped,
        } = self.place
        else {
            return from;
        };
        let room = HELD_BYTES_MAX - self.held.len();
        for (index, &byte) in bytes[from..].iter().take(room).enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' if !in_string => depth += 1,
                b'}' if !in_string => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.held.extend_from_slice(&bytes[from..=from + index]);
                if let Some(usage) = read(&self.held) {
                    self.found.merge(usage);
                }
                self.held.clear();
                self.place = Place::Before;
                return from + index + 1;
            }
        }
        let end = bytes.len().min(from + room);
        self.held.extend_from_slice(&bytes[from..end]);
        self.place = Place::Object {
            depth,
            in_string,
            escaped,
        };
        if self.held.len() == HELD_BYTES_MAX {
            self.held = Vec::new();
            self.place = Place::Before;
        }
        end
    }
}

/// Reads a usage object. `None` if it is not JSON or counts nothing that is known here.
fn read(object: &[u8]) -> Option<Usage> {
    let usage: Usage = serde_json::from_slice(object).ok()?;
    (!usage.is_empty()).then_some(usage)
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Usage, D::Error> {
        json.deserialize_map(Members { inside: "" })
    }
}

/// The members of a usage object, or of one of its `…_details` objects, named by `inside`.
struct Members {
    inside: &'static str,
}

impl<'de> Visitor<'de> for Members {
    type Value = Usage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("token counts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Usage, A::Error> {
        let mut usage = Usage::default();
        while let Some(key) = map.next_key_seed(Key)? {
            match (self.inside, &*key) {
                ("", "prompt_tokens" | "input_tokens") => {
                    usage.input = map.next_value_seed(Count)?
                }
                ("", "completion_tokens" | "output_tokens") => {
                    usage.output = map.next_value_seed(Count)?
                }
                ("", "cache_read_input_tokens") => {
                    usage.cached = map.next_value_seed(Count)?;
                    usage.cache_apart = true;
                }
                ("", "cache_creation_input_tokens") => {
                    usage.cache_write = map.next_value_seed(Count)?;
                    usage.cache_apart = true;
                }
                // Spellings of DeepSeek and Kimi, beside or instead of the details.
                ("", "prompt_cache_hit_tokens" | "cached_tokens") => {
                    let cached: Option<u64> = map.next_value_seed(Count)?;
                    usage.cached = usage.cached.or(cached);
                }
                ("", "prompt_tokens_details" | "input_tokens_details") => {
                    usage.merge(map.next_value_seed(Details("input"))?);
                }
                ("", "completion_tokens_details" | "output_tokens_details") => {
                    usage.merge(map.next_value_seed(Details("output"))?);
                }
                ("input", "cached_tokens") => usage.cached = map.next_value_seed(Count)?,
                ("input", "cache_write_tokens") => {
                    usage.cache_write = map.next_value_seed(Count)?
                }
                ("output", "reasoning_tokens" | "thinking_tokens") => {
                    usage.reasoning = map.next_value_seed(Count)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(usage)
    }
}

/// A member's name, borrowed where it holds no escapes.
struct Key;

impl<'de> serde::de::DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Cow<'de, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A details object, or null.
struct Details(&'static str);

impl<'de> serde::de::DeserializeSeed<'de> for Details {
    type Value = Usage;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Usage, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Details {
    type Value = Usage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("details or null")
    }

    fn visit_none<E>(self) -> Result<Usage, E> {
        Ok(Usage::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<Usage, D::Error> {
        json.deserialize_map(Members { inside: self.0 })
    }
}

/// A count. Null, or a number that is no count, is `None`; anything else spoils the object.
struct Count;

impl<'de> serde::de::DeserializeSeed<'de> for Count {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<u64>, D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for Count {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count or null")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Option<u64>, E> {
        Ok(Some(count))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<u64>, E> {
        Ok(None)
    }

    /// Some servers write 12.0.
    fn visit_f64<E: serde::de::Error>(self, count: f64) -> Result<Option<u64>, E> {
        if count.fract() == 0.0 && (0.0..=9e15).contains(&count) {
            return Ok(Some(count as u64));
        }
        Err(E::custom("a count is a whole number"))
    }

    fn visit_unit<E>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same answer whole, at every split, and byte by byte.
    fn found(text: &str) -> Usage {
        let bytes = text.as_bytes();
        let fed = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut finder = UsageFinder::new();
            pieces.for_each(|piece| finder.feed(piece));
            finder.usage()
        };
        let whole = fed(&mut [bytes].into_iter());
        for at in 0..=bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(fed(&mut [a, b].into_iter()), whole, "split at {at}: {text}");
        }
        for size in 1..=9 {
            assert_eq!(
                fed(&mut bytes.chunks(size)),
                whole,
                "pieces of {size}: {text}"
            );
        }
        whole
    }

    fn usage(input: u64, output: u64) -> Usage {
        Usage {
            input: Some(input),
            output: Some(output),
            ..Usage::default()
        }
    }

    #[test]
    fn chat_counts_with_details() {
        let text = r#"{"id":"c","choices":[{"message":{"content":"the \"usage\":{\"prompt_tokens\":1} of it"}}],
            "usage":{"prompt_tokens":120,"completion_tokens":60,"total_tokens":180,"prompt_tokens_details":{"cached_tokens":100},
            "completion_tokens_details":{"reasoning_tokens":15,"audio_tokens":null}},"service_tier":null}"#;
        let expected = Usage {
            cached: Some(100),
            reasoning: Some(15),
            ..usage(120, 60)
        };
        assert_eq!(found(text), expected);
        assert_eq!(expected.input_total(), Some(120));
    }

    #[test]
    fn chat_stream_sends_null_until_the_last_chunk() {
        let text = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n\
                    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"prompt_tokens_details\":null}}\n\n\
                    data: [DONE]\n\n";
        assert_eq!(found(text), usage(3, 4));
    }

    #[test]
    fn responses_counts() {
        let text = r#"data: {"type":"response.completed","response":{"usage" : {"input_tokens":120,"input_tokens_details":{"cached_tokens":100,"cache_write_tokens":7},"output_tokens":60,"output_tokens_details":{"reasoning_tokens":15},"total_tokens":180}}}"#;
        let expected = Usage {
            cached: Some(100),
            cache_write: Some(7),
            reasoning: Some(15),
            ..usage(120, 60)
        };
        assert_eq!(found(text), expected);
    }

    #[test]
    fn messages_start_and_delta_are_merged() {
        let text = concat!(
            r#"data: {"type":"message_start","message":{"usage":{"input_tokens":20,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"cache_creation":{"ephemeral_5m_input_tokens":5},"output_tokens":1,"service_tier":"standard"}}}"#,
            "\n\n",
            r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":60,"output_tokens_details":{"thinking_tokens":15}}}"#,
        );
        let expected = Usage {
            cached: Some(100),
            cache_write: Some(5),
            reasoning: Some(15),
            cache_apart: true,
            ..usage(20, 60)
        };
        assert_eq!(found(text), expected);
        assert_eq!(expected.input_total(), Some(125));
    }

    #[test]
    fn the_last_object_wins() {
        let text = r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}} {"usage":{"prompt_tokens":1,"completion_tokens":9}}"#;
        assert_eq!(found(text), usage(1, 9));
    }

    #[test]
    fn other_spellings_and_number_forms() {
        let deepseek = r#""usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":1}"#;
        assert_eq!(found(deepseek).cached, Some(8));
        let kimi = r#"{"choices":[{"index":0,"usage":{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":4}}]}"#;
        assert_eq!(found(kimi).cached, Some(4));
        assert_eq!(
            found(r#""usage":{"prompt_tokens":9.0,"completion_tokens":-1}"#).input,
            Some(9)
        );
        assert_eq!(
            found(r#""usage":{"prompt\u005ftokens":9,"note":"a \"}\" \\"}"#).input,
            Some(9)
        );
        assert_eq!(
            found(r#""usage":{"input_tokens":18446744073709551615}"#).input,
            Some(u64::MAX)
        );
    }

    #[test]
    fn what_is_no_usage_object_is_passed_over() {
        for text in [
            r#"{"name":"usage","prompt_tokens":5}"#,
            r#"{"usage":"none","x":{"prompt_tokens":5}}"#,
            r#"{"usage":[{"prompt_tokens":5}]}"#,
            r#"{"properties":{"usage":{"type":"object","description":"prompt_tokens: 5"}}}"#,
            r#"{"usage":{"prompt_tokens":"5"}}"#,
            r#"{"usage":{"prompt_tokens":5"#,
            r#"{"usages":{"prompt_tokens":5}}"#,
            r#"\"usage\":{"prompt_tokens":5}"#,
            "",
        ] {
            assert_eq!(found(text), Usage::default(), "{text}");
        }
        assert_eq!(found(r#""usage""usage":{"input_tokens":5}"#).input, Some(5));
        assert_eq!(found(r#""""usage":{"input_tokens":5}"#).input, Some(5));
    }

    #[test]
    fn an_object_without_end_is_let_go() {
        let mut finder = UsageFinder::new();
        finder.feed(br#""usage":{"note":""#);
        for _ in 0..HELD_BYTES_MAX {
            finder.feed(b"xx");
            assert!(finder.held.len() <= HELD_BYTES_MAX);
        }
        finder.feed(br#""},"usage":{"input_tokens":5}"#);
        assert_eq!(finder.usage().input, Some(5));
    }
}
