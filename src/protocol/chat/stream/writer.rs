//! The writer of Chat streams (protocols.md 8.5): one constant envelope, deltas pasted into it as they came.

use super::super::{response, usage};
use super::finish;
use crate::error::Error;
use crate::protocol::context::Context;
use crate::protocol::neutral::{
    Annotation, CallKind, Event, Finish, Open, Opened, Piece, Proof, Usage,
};
use crate::protocol::render::{Members, one_line, write_number};
use crate::protocol::text::Text;
use crate::protocol::{Made, Protocol, error_body};

/// Writes one answer.
pub struct Writer {
    /// Everything of a chunk before its delta, made once at the start.
    head: Vec<u8>,
    /// Everything behind the text of a delta.
    tail: &'static [u8],
    /// Our id of the answer, and the time, for the head.
    id: String,
    now_unix_s: u64,
    tier: Option<&'static str>,
    include_usage: bool,
    usage: Usage,
    calls: u64,
    kind: CallKind,
    /// Characters of content so far, and those before the open text block.
    chars: u64,
    block_chars: u64,
    ends_line: bool,
    /// Thoughts so far; from the second on their text goes into the proof's entry too.
    thoughts: u64,
    thought: Text<'static>,
    /// Citations wait for the end, with where they stand in the content.
    cited: Vec<Cited>,
    cited_bytes: usize,
    /// How many of them are of blocks that have ended.
    settled: usize,
}

/// A citation of a stretch of the content.
struct Cited {
    from: u64,
    /// None: the end of its block, which is not there yet.
    to: Option<u64>,
    annotation: Annotation<'static>,
}

impl Writer {
    /// A writer at the start of an answer.
    pub fn new(cx: &Context, made: &Made) -> Writer {
        Writer {
            head: Vec::new(),
            tail: if cx.include_usage {
                TAIL_WITH_USAGE
            } else {
                TAIL
            },
            id: made.id("chatcmpl-", 0),
            now_unix_s: made.now_unix_s,
            tier: None,
            include_usage: cx.include_usage,
            usage: Usage::default(),
            calls: 0,
            kind: CallKind::Function,
            chars: 0,
            block_chars: 0,
            ends_line: true,
            thoughts: 0,
            thought: Text::EMPTY,
            cited: Vec::new(),
            cited_bytes: 0,
            settled: 0,
        }
    }

    /// Writes one event.
    ///
    /// # Errors
    /// None today; twins share the signature.
    pub fn write(
        &mut self,
        event: &Event<'_>,
        cx: &Context,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match event {
            Event::Start(start) => {
                let created = start.created.unwrap_or(self.now_unix_s);
                self.tier = start
                    .tier
                    .as_ref()
                    .map(|tier| response::tier_word(tier, cx));
                self.envelope(created, cx);
                self.chunk(out, |m| {
                    m.str("role", "assistant").str("content", "");
                });
            }
            Event::Open(open) => self.open(open, cx, out),
            Event::Delta(piece) => self.piece(piece, out),
            Event::Annotation(annotation) => {
                let (from, to) = annotation
                    .span
                    .map_or((0, None), |(from, to)| (from, Some(to)));
                self.cited_bytes += size_of::<Cited>() + annotation.bytes();
                self.cited.push(Cited {
                    from: self.block_chars + from,
                    to: to.map(|to| self.block_chars + to),
                    annotation: annotation.clone().into_owned(),
                });
            }
            Event::Close { .. } => {
                for cited in &mut self.cited[self.settled..] {
                    cited.to.get_or_insert(self.chars);
                }
                self.settled = self.cited.len();
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish(finish) => self.finish(finish, out),
        }
        Ok(())
    }

    /// Writes the error chunk; no finish and no `[DONE]` follow.
    pub fn fail(&mut self, error: &Error, _cx: &Context, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&error_body(Protocol::Chat, error, ""));
        out.extend_from_slice(b"\n\n");
    }

    /// Bytes kept for later in the answer.
    pub fn held_bytes(&self) -> usize {
        self.thought.as_escaped().len() + self.cited_bytes
    }

    /// Writes an empty delta: comments break a few parsers.
    pub fn keep_alive(&mut self, _cx: &Context, out: &mut Vec<u8>) {
        self.chunk(out, |_| {});
    }

    fn envelope(&mut self, created: u64, cx: &Context) {
        let head = &mut self.head;
        head.extend_from_slice(b"data: {\"id\":\"");
        head.extend_from_slice(self.id.as_bytes());
        head.extend_from_slice(b"\",\"object\":\"chat.completion.chunk\",\"created\":");
        write_number(head, created);
        head.extend_from_slice(b",\"model\":");
        cx.model.write(head);
        head.extend_from_slice(b",\"choices\":[{\"index\":0,\"delta\":");
    }

    fn chunk(&self, out: &mut Vec<u8>, delta: impl FnOnce(&mut Members<'_>)) {
        out.extend_from_slice(&self.head);
        Members::object(out, delta);
        out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":null}]");
        self.tail(out);
    }

    /// One string member, pasted: nearly every chunk of a stream. `key` with what comes before and behind it.
    fn paste(&self, out: &mut Vec<u8>, key: &'static [u8], text: &Text<'_>) {
        let text = text.as_escaped().as_bytes();
        out.reserve(self.head.len() + key.len() + text.len() + self.tail.len());
        for part in [&self.head, key, text, self.tail] {
            out.extend_from_slice(part);
        }
    }

    fn tail(&self, out: &mut Vec<u8>) {
        let tail: &[u8] = if self.include_usage {
            b",\"usage\":null}\n\n"
        } else {
            b"}\n\n"
        };
        out.extend_from_slice(tail);
    }

    fn open(&mut self, open: &Open<'_>, cx: &Context, out: &mut Vec<u8>) {
        match open {
            Open::Text => {
                if cx.upstream == Protocol::Responses && self.chars > 0 && !self.ends_line {
                    // Two messages of a Responses answer.
                    self.paste(out, CONTENT, &Text::escaped("\\n\\n"));
                    self.chars += 2;
                }
                self.block_chars = self.chars;
            }
            Open::Call(head) => self.call(head, out),
            Open::Reasoning => {
                self.thought = Text::EMPTY;
                self.thoughts += 1;
            }
            Open::Refusal | Open::Hosted(_) => {}
        }
    }

    fn call(&mut self, head: &Opened<'_>, out: &mut Vec<u8>) {
        let index = self.calls;
        self.calls += 1;
        self.kind = head.kind;
        let (kind, key) = words(head.kind);
        self.chunk(out, |m| {
            m.array("tool_calls", |list| {
                list.object(|m| {
                    m.number("index", index)
                        .text("id", &head.id)
                        .str("type", kind);
                    m.nested(kind, |m| {
                        m.text("name", &head.name).str(key, "");
                    });
                });
            });
        });
    }

    fn piece(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Text { text, logprobs } => {
                self.chars += text.chars();
                self.ends_line = text.as_escaped().ends_with("\\n");
                match logprobs {
                    None => self.paste(out, CONTENT, text),
                    Some(odds) => {
                        out.extend_from_slice(&self.head);
                        Members::object(out, |m| {
                            m.text("content", text);
                        });
                        out.extend_from_slice(b",\"logprobs\":{\"content\":");
                        out.extend_from_slice(one_line(odds.text()).as_bytes());
                        out.extend_from_slice(b",\"refusal\":null},\"finish_reason\":null}]");
                        self.tail(out);
                    }
                }
            }
            Piece::Reasoning(text) => {
                if self.thoughts > 1 {
                    if self.thought.is_empty() {
                        self.paste(out, REASONING, &Text::escaped("\\n\\n"));
                    }
                    self.thought.push(text);
                }
                self.paste(out, REASONING, text);
            }
            Piece::Proof(proof) => self.proof(proof, out),
            Piece::Refusal(text) => {
                self.paste(out, REFUSAL, text);
            }
            Piece::Arguments(text) => {
                let (kind, key) = words(self.kind);
                out.extend_from_slice(&self.head);
                out.extend_from_slice(b"{\"tool_calls\":[{\"index\":");
                write_number(out, self.calls - 1); // a call is open, says the grammar
                for word in [",\"", kind, "\":{\"", key, "\":\""] {
                    out.extend_from_slice(word.as_bytes());
                }
                out.extend_from_slice(text.as_escaped().as_bytes());
                out.extend_from_slice(b"\"}}]},\"logprobs\":null,\"finish_reason\":null}]");
                self.tail(out);
            }
        }
    }

    fn proof(&mut self, proof: &Proof<'_>, out: &mut Vec<u8>) {
        let index = self.thoughts.saturating_sub(1);
        let text = (index > 0).then_some(&self.thought);
        self.chunk(out, |m| {
            m.array("reasoning_details", |list| {
                response::detail(proof, text, index, list)
            });
        });
    }

    fn finish(&mut self, finish: &Finish<'_>, out: &mut Vec<u8>) {
        if !self.cited.is_empty() {
            let cited = std::mem::take(&mut self.cited);
            self.chunk(out, |m| {
                m.array("annotations", |list| {
                    for cited in &cited {
                        let to = cited.to.unwrap_or(self.chars);
                        response::citation(cited.from, to, &cited.annotation, list);
                    }
                });
            });
        }
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"{},\"logprobs\":null,\"finish_reason\":\"");
        out.extend_from_slice(finish::word(finish.reason, self.calls > 0).as_bytes());
        out.extend_from_slice(b"\"}]");
        if let Some(tier) = self.tier {
            Members::resume(out, false).str("service_tier", tier);
        }
        self.tail(out);
        if self.include_usage {
            const DELTA: &[u8] = b"{\"index\":0,\"delta\":";
            out.extend_from_slice(&self.head[..self.head.len() - DELTA.len()]); // envelope() ends it so
            out.push(b']');
            Members::resume(out, false).nested("usage", |m| usage::write(&self.usage, m));
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

const CONTENT: &[u8] = b"{\"content\":\"";
const REASONING: &[u8] = b"{\"reasoning_content\":\"";
const REFUSAL: &[u8] = b"{\"refusal\":\"";
const TAIL: &[u8] = b"\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
const TAIL_WITH_USAGE: &[u8] =
    b"\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";

/// `type`, which is also the key, and the key of the arguments.
fn words(kind: CallKind) -> (&'static str, &'static str) {
    match kind {
        CallKind::Custom => ("custom", "input"),
        CallKind::Function | CallKind::Builtin(_) => ("function", "arguments"),
    }
}
