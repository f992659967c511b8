//! A client's events from the neutral form (protocols.md 8.7): blocks numbered 0, 1, 2, … and one open at a time, each begun
//! when it first says something, since an empty text block in a history is refused by Claude.

use super::super::response::{broken_arguments, write_tier};
use super::super::{counts, ending, input_of, signature};
use crate::error::{Error, Kind};
use crate::protocol::context::Context;
use crate::protocol::neutral::{
    Event, Finish, Inside, Open, Opened, Owner, Piece, Proof, Start, Usage,
};
use crate::protocol::render::{Members, write_number};
use crate::protocol::sequence::HELD_BYTES_MAX;
use crate::protocol::text::Text;
use crate::protocol::{Made, anthropic_message, anthropic_word, carrier};

/// Writes one stream.
pub struct Writer {
    id: String,
    /// The number of the block that is open, or of the next one.
    index: u64,
    block: Block,
    /// Everything of the block's last delta before its text, and what kind it was.
    head: Vec<u8>,
    head_of: Option<Delta>,
    calls: bool,
    refused: bool,
    usage: Option<Usage>,
    /// The call that is open. It begins with its arguments: one that was cut before them was never made.
    call: Option<Opened<'static>>,
    /// Its arguments: they have to be an object in the end.
    arguments: Text<'static>,
    /// How much of them was written.
    sent: usize,
    /// White space that the open text begins with, while there is nothing else in it.
    blank: Text<'static>,
}

/// The kinds of deltas.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delta {
    Text,
    Thinking,
    Arguments,
    Signature,
}

impl Delta {
    /// The rest of its type, and the name of its text.
    fn opening(self) -> &'static [u8] {
        match self {
            Delta::Text => br#"text_delta","text":""#,
            Delta::Thinking => br#"thinking_delta","thinking":""#,
            Delta::Arguments => br#"input_json_delta","partial_json":""#,
            Delta::Signature => br#"signature_delta","signature":""#,
        }
    }
}

/// What follows the text of a delta.
const DELTA_END: &[u8] = b"\"}}\n\n";

/// The block the grammar has open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// None, or one that this protocol does not show.
    None,
    /// It has said nothing yet.
    Silent(Inside),
    /// Text or a call.
    Begun,
    /// Thoughts; a block without a signature gets one that says there is none.
    Thinking { signed: bool },
}

impl Writer {
    /// A writer at the start of an answer.
    pub fn new(_cx: &Context, made: &Made) -> Writer {
        Writer {
            id: made.id("msg_", 0),
            index: 0,
            block: Block::None,
            head: Vec::new(),
            head_of: None,
            calls: false,
            refused: false,
            usage: None,
            call: None,
            arguments: Text::EMPTY,
            sent: 0,
            blank: Text::EMPTY,
        }
    }

    /// Writes one event.
    ///
    /// # Errors
    /// The arguments of a call turn out to be no JSON object, or are too long to be checked.
    pub fn write(
        &mut self,
        event: &Event<'_>,
        cx: &Context,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match event {
            Event::Start(start) => self.start(start, cx, out),
            Event::Open(Open::Call(head)) => {
                self.block = Block::Silent(Inside::Call);
                self.call = Some(head.clone().into_owned());
            }
            Event::Open(open) => {
                self.block = match open.inside() {
                    Inside::Hosted => Block::None,
                    inside => Block::Silent(inside),
                };
                self.refused |= open.inside() == Inside::Refusal;
            }
            Event::Delta(piece) => self.piece(piece, out)?,
            Event::Annotation(_) => {} // clients of this protocol want an index only its vendor can make
            Event::Close { whole } => self.close(*whole, out)?,
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => self.finish(finish, cx, out),
        }
        Ok(())
    }

    /// Writes the error event; nothing follows it.
    pub fn fail(&mut self, error: &Error, cx: &Context, out: &mut Vec<u8>) {
        frame(out, "error", |m| {
            m.nested("error", |m| {
                m.str("type", anthropic_word(error))
                    .str("message", &anthropic_message(error));
            });
            if !cx.request_id.is_empty() {
                m.str("request_id", &cx.request_id);
            }
        });
    }

    /// Bytes kept until they can be checked.
    pub fn held_bytes(&self) -> usize {
        self.arguments.as_escaped().len() + self.blank.as_escaped().len()
    }

    /// Writes a sign of life.
    pub fn keep_alive(&mut self, _cx: &Context, out: &mut Vec<u8>) {
        frame(out, "ping", |_| {});
    }

    fn start(&mut self, start: &Start<'_>, cx: &Context, out: &mut Vec<u8>) {
        frame(out, "message_start", |m| {
            m.nested("message", |m| {
                m.str("id", &self.id).str("type", "message");
                m.str("role", "assistant").text("model", &cx.model);
                m.raw("content", "[]").null("stop_reason");
                m.null("stop_sequence");
                // The truth comes at the end; with zeros Claude Code would show an empty context and never compact it.
                let estimate = Usage {
                    input: cx.estimate,
                    output: 1,
                    ..Usage::default()
                };
                m.nested("usage", |m| {
                    counts::write(&estimate, m);
                    write_tier(start, m);
                });
            });
        });
    }

    /// Begins the block of the call that is open, if it has not begun.
    fn begin_call(&mut self, out: &mut Vec<u8>) {
        let Some(head) = self.call.take() else {
            return;
        };
        self.calls = true;
        self.block = Block::Begun;
        self.arguments = Text::EMPTY;
        self.sent = 0;
        self.begin(out, |m| {
            m.str("type", "tool_use").text("id", &head.id);
            m.text("name", &head.name).raw("input", "{}");
        });
    }

    fn begin(&self, out: &mut Vec<u8>, shell: impl FnOnce(&mut Members<'_>)) {
        frame(out, "content_block_start", |m| {
            m.number("index", self.index).nested("content_block", shell);
        });
    }

    fn piece(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        match piece {
            Piece::Text { text, .. } | Piece::Refusal(text) => {
                if text.is_empty() {
                    return Ok(());
                }
                if self.block != Block::Begun {
                    return self.begin_text(text, out);
                }
                self.delta(out, Delta::Text, text.as_escaped());
            }
            Piece::Reasoning(text) => {
                if text.is_empty() {
                    return Ok(());
                }
                self.think(out);
                self.delta(out, Delta::Thinking, text.as_escaped());
            }
            Piece::Proof(proof) => self.proof(proof, out),
            Piece::Arguments(text) => {
                self.begin_call(out);
                if self.arguments.as_escaped().len() + text.as_escaped().len() > HELD_BYTES_MAX {
                    return Err(Error::upstream(
                        Kind::BadReply,
                        "the arguments of a call are too long",
                    ));
                }
                self.arguments.push(text);
                let so_far = self.arguments.as_escaped();
                // A call without arguments has no delta: `{}` waits for what would make it more.
                let waits = so_far == "{}" && self.sent == 0;
                if !waits && self.sent < so_far.len() {
                    let arguments = std::mem::take(&mut self.arguments);
                    let news = &arguments.as_escaped()[self.sent..];
                    self.delta(out, Delta::Arguments, news);
                    self.sent = arguments.as_escaped().len();
                    self.arguments = arguments;
                }
            }
        }
        Ok(())
    }

    /// The event that makes up nearly all of a stream, pasted together.
    fn delta(&mut self, out: &mut Vec<u8>, kind: Delta, escaped: &str) {
        if self.head_of != Some(kind) {
            self.head_of = Some(kind);
            self.head.clear();
            self.head.extend_from_slice(
                b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
            );
            write_number(&mut self.head, self.index);
            self.head.extend_from_slice(b",\"delta\":{\"type\":\"");
            self.head.extend_from_slice(kind.opening());
        }
        out.reserve(self.head.len() + escaped.len() + DELTA_END.len());
        for part in [&self.head, escaped.as_bytes(), DELTA_END] {
            out.extend_from_slice(part);
        }
    }

    /// Begins a text with its first word. One of nothing but blanks is none: Claude refuses it in a history, and other models
    /// write one before each call.
    fn begin_text(&mut self, text: &Text<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.blank.push(text);
        if self.blank.as_escaped().len() > HELD_BYTES_MAX {
            return Err(Error::upstream(
                Kind::BadReply,
                "a text of nothing but blanks",
            ));
        }
        if text.is_blank() {
            return Ok(());
        }
        self.block = Block::Begun;
        self.begin(out, |m| {
            m.str("type", "text").str("text", "");
        });
        let text = std::mem::take(&mut self.blank);
        self.delta(out, Delta::Text, text.as_escaped());
        Ok(())
    }

    /// Begins the block of thoughts, if it has not begun.
    fn think(&mut self, out: &mut Vec<u8>) {
        if let Block::Silent(_) = self.block {
            self.block = Block::Thinking { signed: false };
            self.begin(out, |m| {
                m.str("type", "thinking").str("thinking", "");
                m.str("signature", "");
            });
        }
    }

    fn proof(&mut self, proof: &Proof<'_>, out: &mut Vec<u8>) {
        let silent = matches!(self.block, Block::Silent(_));
        if silent && proof.owner == Owner::Messages && proof.redacted {
            self.block = Block::Begun;
            self.begin(out, |m| {
                m.str("type", "redacted_thinking")
                    .text("data", &proof.value);
            });
            return;
        }
        self.think(out);
        self.sign(&signature(proof), out);
    }

    fn sign(&mut self, signature: &Text<'_>, out: &mut Vec<u8>) {
        self.block = Block::Thinking { signed: true };
        self.delta(out, Delta::Signature, signature.as_escaped());
    }

    fn close(&mut self, whole: bool, out: &mut Vec<u8>) -> Result<(), Error> {
        if whole {
            self.begin_call(out);
        }
        self.call = None;
        self.blank = Text::EMPTY;
        let block = std::mem::replace(&mut self.block, Block::None);
        match block {
            Block::None | Block::Silent(_) => return Ok(()),
            Block::Thinking { signed: false } => self.sign(&carrier::NO_PROOF, out),
            Block::Thinking { signed: true } | Block::Begun => {}
        }
        self.block = Block::None;
        let arguments = std::mem::take(&mut self.arguments);
        // What was cut at the limit ends as Anthropic ends it: with arguments that are no JSON, and `max_tokens`.
        if whole && input_of(&arguments).is_none() {
            return Err(broken_arguments());
        }
        frame(out, "content_block_stop", |m| {
            m.number("index", self.index);
        });
        self.index += 1;
        self.head_of = None;
        Ok(())
    }

    fn finish(&mut self, finish: &Finish<'_>, cx: &Context, out: &mut Vec<u8>) {
        let usage = self.usage.unwrap_or(Usage {
            input: cx.estimate,
            ..Usage::default()
        });
        frame(out, "message_delta", |m| {
            m.nested("delta", |m| {
                ending::write(finish, self.calls, self.refused, m);
            });
            m.nested("usage", |m| counts::write(&usage, m));
        });
        frame(out, "message_stop", |_| {});
    }
}

/// One event: the SDKs skip those without an `event` line.
fn frame(out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Members<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    Members::object(out, |m| {
        m.str("type", kind);
        fill(m);
    });
    out.extend_from_slice(b"\n\n");
}
