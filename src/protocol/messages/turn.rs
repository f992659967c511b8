//! What an upstream has said of a turn that it paused (`pause_turn`, protocols.md 7.3), in its own blocks, signatures included:
//! it gets them back as the beginning of its answer, and goes on from there. Of a stream the blocks are put together again, of
//! whole answers they are the bytes that came.

use super::counts::{self, Counts};
use super::{input_of, text_at};
use crate::error::{Blame, Error};
use crate::protocol::neutral::Usage;
use crate::protocol::render::Members;
use crate::protocol::text::Text;
use crate::wire::json::{Edit, JsonKind, Object, Raw, member, splice};
use crate::wire::sse;

/// One answer is gone on with so often, and ends like one at the output limit then.
pub const CONTINUATIONS_MAX: u32 = 10;

/// A block that has begun and not ended.
struct Block {
    /// The upstream's number for it.
    index: u64,
    /// As it began.
    head: String,
    text: Text<'static>,
    thinking: Text<'static>,
    signature: Text<'static>,
    input: Text<'static>,
    /// Joined by commas.
    citations: Vec<u8>,
}

impl Block {
    fn new(index: u64, head: &str) -> Block {
        Block {
            index,
            head: head.to_owned(),
            text: Text::EMPTY,
            thinking: Text::EMPTY,
            signature: Text::EMPTY,
            input: Text::EMPTY,
            citations: Vec::new(),
        }
    }

    /// Writes it as a client sends it. Nothing: it is a text without any text, which no request may hold.
    fn write(&self, out: &mut Vec<u8>) {
        let Ok(head) = Object::parse(self.head.as_bytes()) else {
            return;
        };
        let whole = |key: &str, more: &Text<'_>| {
            let mut text = text_at(&head, key).unwrap_or_default().into_owned();
            text.push(more);
            text
        };
        let kind = head.get("type").and_then(Raw::as_str).unwrap_or_default();
        let (is_text, is_thinking) = (kind == "text", kind == "thinking");
        let text = whole("text", &self.text);
        if is_text && text.is_empty() {
            return;
        }
        let input = input_of(&self.input).filter(|_| !self.input.is_blank());
        if !out.is_empty() {
            out.push(b',');
        }
        Members::object(out, |m| {
            for (key, value) in head.iter() {
                let told_below = match key {
                    "text" | "citations" => is_text,
                    "thinking" | "signature" => is_thinking,
                    "input" => input.is_some(),
                    _ => false,
                };
                if !told_below {
                    m.raw(Text::plain(key).as_escaped(), value.text());
                }
            }
            if is_text {
                m.text("text", &text);
                let mut citations = head.get("citations").map_or(Vec::new(), inner);
                join(&mut citations, &self.citations);
                if let Ok(citations) = std::str::from_utf8(&citations)
                    && !citations.is_empty()
                {
                    m.raw("citations", &format!("[{citations}]"));
                }
            }
            if is_thinking {
                m.text("thinking", &whole("thinking", &self.thinking));
                // A later signature replaces an earlier one.
                let first = text_at(&head, "signature").unwrap_or_default();
                let is_later = !self.signature.is_empty();
                m.text("signature", if is_later { &self.signature } else { &first });
            }
            m.raw_if("input", input.as_deref());
        });
    }
}

/// The blocks of one turn, as a stream tells them. Holds what it was told: whoever feeds it looks at [`Turn::bytes`].
#[derive(Default)]
pub struct Turn {
    /// Blocks that have ended, joined by commas.
    ended: Vec<u8>,
    /// The reader of the same stream bounds their number.
    open: Vec<Block>,
    open_bytes: usize,
    calls: bool,
}

impl Turn {
    /// Takes the next event. What is no block is the reader's to judge.
    pub fn hear(&mut self, event: sse::Event<'_>) {
        let Ok(frame) = Object::parse(event.data) else {
            return;
        };
        let kind = match frame.get("type").and_then(Raw::as_str) {
            Some(kind) => kind,
            None => String::from_utf8_lossy(event.name),
        };
        let index = frame.get("index").and_then(Raw::as_u64).unwrap_or(0);
        match kind.as_ref() {
            "content_block_start" => {
                self.end(index);
                if let Some(block) = frame.get("content_block") {
                    self.begin(index, block);
                }
            }
            "content_block_delta" => {
                let delta = frame.get("delta").and_then(|raw| raw.as_object().ok());
                if let Some(delta) = delta {
                    self.add(index, &delta);
                }
            }
            "content_block_stop" => self.end(index),
            _ => {}
        }
    }

    fn begin(&mut self, index: u64, block: Raw<'_>) {
        let kind = block.as_object().ok();
        let kind = kind.and_then(|block| text_at(&block, "type"));
        self.calls |= kind.is_some_and(|kind| kind.is("tool_use"));
        self.open_bytes += block.text().len();
        self.open.push(Block::new(index, block.text()));
    }

    fn add(&mut self, index: u64, delta: &Object<'_>) {
        let kind = delta.get("type").and_then(Raw::as_str).unwrap_or_default();
        let (key, bare) = match kind.as_ref() {
            "text_delta" => ("text", r#"{"type":"text"}"#),
            "thinking_delta" => ("thinking", r#"{"type":"thinking"}"#),
            "signature_delta" => ("signature", r#"{"type":"thinking"}"#),
            "input_json_delta" => ("partial_json", ""),
            "citations_delta" => ("citation", r#"{"type":"text"}"#),
            _ => return,
        };
        let Some(value) = delta.get(key) else {
            return;
        };
        let at = self.open.iter().position(|block| block.index == index);
        let at = match at {
            Some(at) => at,
            // The upstream forgot to begin it.
            None if !bare.is_empty() => {
                self.open.push(Block::new(index, bare));
                self.open.len() - 1
            }
            None => return,
        };
        self.open_bytes += value.text().len();
        let block = &mut self.open[at];
        let text = Text::of(value).unwrap_or_default();
        match key {
            "text" => block.text.push(&text),
            "thinking" => block.thinking.push(&text),
            "signature" => block.signature = text.into_owned(),
            "partial_json" => block.input.push(&text),
            _ => join(&mut block.citations, value.text().as_bytes()),
        }
    }

    fn end(&mut self, index: u64) {
        if let Some(at) = self.open.iter().position(|block| block.index == index) {
            self.open.remove(at).write(&mut self.ended);
        }
        if self.open.is_empty() {
            self.open_bytes = 0;
        }
    }

    /// The stream has ended, and with it what it left open.
    pub fn finish(&mut self) {
        for block in std::mem::take(&mut self.open) {
            block.write(&mut self.ended);
        }
        self.open_bytes = 0;
    }

    /// The blocks that have ended, joined by commas.
    pub fn said(&self) -> &[u8] {
        &self.ended
    }

    /// Whether a tool of the client's was called: then it is the client's turn.
    pub fn calls(&self) -> bool {
        self.calls
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        self.ended.len() + self.open_bytes
    }
}

/// Whole answers of one turn, made one.
#[derive(Default)]
pub struct WholeTurn {
    said: Vec<u8>,
    spent: Usage,
    continued: u32,
}

impl WholeTurn {
    /// Takes a whole answer. True: it was paused, and the upstream is to be asked to go on; else it is the last one.
    pub fn hear(&mut self, body: &[u8]) -> bool {
        let Ok(answer) = Object::parse(body) else {
            return false;
        };
        let reason = answer.get("stop_reason").and_then(Raw::as_str);
        if self.continued == CONTINUATIONS_MAX || reason.as_deref() != Some("pause_turn") {
            return false;
        }
        let Some(content) = answer.get("content") else {
            return false;
        };
        let said = inner(content);
        let calls = content.elements().into_iter().flatten().any(|block| {
            let block = block.as_object().ok();
            block
                .and_then(|block| text_at(&block, "type"))
                .is_some_and(|kind| kind.is("tool_use"))
        });
        if said.is_empty() || calls {
            return false;
        }
        join(&mut self.said, &said);
        self.spent = self.spent.plus(&usage_of(&answer));
        self.continued += 1;
        true
    }

    /// The blocks so far, joined by commas.
    pub fn said(&self) -> &[u8] {
        &self.said
    }

    /// The last answer with all that was said before it, and what all of them cost.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn whole(mut self, last: &[u8]) -> Result<Vec<u8>, Error> {
        let answer = Object::parse(last).map_err(|fault| fault.blame(Blame::Upstream))?;
        join(
            &mut self.said,
            &answer.get("content").map_or(Vec::new(), inner),
        );
        let mut content = vec![b'['];
        content.append(&mut self.said);
        content.push(b']');
        let mut usage = Vec::new();
        let spent = self.spent.plus(&usage_of(&answer));
        Members::object(&mut usage, |m| counts::write(&spent, m));
        let edited = |key: &str, value: Vec<u8>| {
            let value = String::from_utf8(value).unwrap_or_default(); // pieces of a str and ASCII
            member(key, &value)
        };
        let (content, usage) = (edited("content", content), edited("usage", usage));
        let edits = [("content", &content), ("usage", &usage)];
        let edits = edits.map(|(key, member)| Edit::Set { key, member });
        Ok(splice(&answer, &edits).to_vec())
    }
}

fn usage_of(answer: &Object<'_>) -> Usage {
    let mut counts = Counts::default();
    if let Some(usage) = answer.get("usage") {
        counts.merge(usage);
    }
    counts.totals().unwrap_or_default()
}

/// The elements of an array as they were written, without its brackets.
fn inner(array: Raw<'_>) -> Vec<u8> {
    let text = array.text();
    let inner = match array.kind() {
        JsonKind::Array => text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']')),
        _ => None,
    };
    inner.unwrap_or_default().trim().as_bytes().to_vec()
}

/// Adds elements to those of a list.
fn join(list: &mut Vec<u8>, more: &[u8]) {
    if !list.is_empty() && !more.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(more);
}

/// The request that lets the upstream go on: the same, and behind its messages what it has `said`.
///
/// # Errors
/// The request is no JSON object.
pub fn continuation(request: &[u8], said: &[u8]) -> Result<Vec<u8>, Error> {
    let request = Object::parse(request).map_err(|fault| fault.blame(Blame::Gateway))?;
    let mut messages = request.get("messages").map_or(Vec::new(), inner);
    let mut turn = br#"{"role":"assistant","content":["#.to_vec();
    turn.extend_from_slice(said);
    turn.extend_from_slice(b"]}");
    join(&mut messages, &turn);
    let messages = String::from_utf8(messages).unwrap_or_default(); // pieces of a str and of JSON that was read as one
    let member = format!("\"messages\":[{messages}]");
    let edits = [Edit::Set {
        key: "messages",
        member: &member,
    }];
    Ok(splice(&request, &edits).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(frames: &[&str]) -> String {
        let mut turn = Turn::default();
        for frame in frames {
            turn.hear(sse::Event {
                name: b"",
                data: frame.as_bytes(),
            });
        }
        assert!(turn.bytes() > 0);
        turn.finish();
        String::from_utf8(turn.said().to_vec()).unwrap()
    }

    #[test]
    fn blocks_come_back_as_the_upstream_gave_them() {
        let found = said(&[
            r#"{"type":"message_start","message":{}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a\n"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"\"b\""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQ="}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"server_tool_use","id":"s1","name":"web_search","input":{}}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"query\": "}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\"x\"}"}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"web_search_tool_result","tool_use_id":"s1","content":[{"type":"web_search_result","url":"u","encrypted_content":"E"}]}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"content_block_start","index":4,"content_block":{"type":"text","text":"c","citations":[]}}"#,
            r#"{"type":"content_block_delta","index":4,"delta":{"type":"citations_delta","citation":{"n":1}}}"#,
            r#"{"type":"content_block_delta","index":4,"delta":{"type":"text_delta","text":"d"}}"#,
            r#"{"type":"content_block_delta","index":4,"delta":{"type":"citations_delta","citation":{"n":2}}}"#,
            // Not ended, and one that never began.
            r#"{"type":"content_block_delta","index":5,"delta":{"type":"text_delta","text":"e"}}"#,
        ]);
        let expected = [
            r#"{"type":"thinking","thinking":"a\n\"b\"","signature":"EqQ="}"#,
            r#"{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query": "x"}}"#,
            r#"{"type":"web_search_tool_result","tool_use_id":"s1","content":[{"type":"web_search_result","url":"u","encrypted_content":"E"}]}"#,
            r#"{"type":"text","text":"cd","citations":[{"n":1},{"n":2}]}"#,
            r#"{"type":"text","text":"e"}"#,
        ];
        assert_eq!(found, expected.join(","));
    }

    #[test]
    fn the_request_goes_on_behind_its_messages() {
        let go_on = |body: &str, said: &str| {
            String::from_utf8(continuation(body.as_bytes(), said.as_bytes()).unwrap()).unwrap()
        };
        assert_eq!(
            go_on(r#"{"a":1,"messages":[{"role":"user"} ],"b":2}"#, "{},{}"),
            r#"{"a":1,"messages":[{"role":"user"},{"role":"assistant","content":[{},{}]}],"b":2}"#
        );
        assert_eq!(
            go_on(r#"{"messages":[]}"#, "{}"),
            r#"{"messages":[{"role":"assistant","content":[{}]}]}"#
        );
    }

    #[test]
    fn whole_answers_are_joined_and_their_costs_added() {
        let mut turn = WholeTurn::default();
        let first = br#"{"id":"m1","content":[{"type":"text","text":"a"}],"stop_reason":"pause_turn","usage":{"input_tokens":5,"cache_read_input_tokens":2,"output_tokens":3}}"#;
        let last = br#"{"id":"m2","content":[ {"type":"text","text":"b"} ],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":4}}"#;
        assert!(turn.hear(first) && !turn.hear(last));
        assert_eq!(turn.said(), br#"{"type":"text","text":"a"}"#);
        let whole = String::from_utf8(turn.whole(last).unwrap()).unwrap();
        assert_eq!(
            whole,
            r#"{"id":"m2","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"stop_reason":"end_turn","usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":2,"output_tokens":7}}"#
        );
    }

    #[test]
    fn a_turn_is_gone_on_with_ten_times_and_never_past_a_call() {
        let paused = br#"{"content":[{"type":"text","text":"a"}],"stop_reason":"pause_turn"}"#;
        let mut turn = WholeTurn::default();
        for _ in 0..CONTINUATIONS_MAX {
            assert!(turn.hear(paused));
        }
        assert!(!turn.hear(paused));
        for other in [
            &br#"{"content":[],"stop_reason":"pause_turn"}"#[..],
            br#"{"content":[{"type":"tool_use"}],"stop_reason":"pause_turn"}"#,
            br#"{"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"}"#,
            b"nonsense",
        ] {
            assert!(!WholeTurn::default().hear(other));
        }
    }
}
