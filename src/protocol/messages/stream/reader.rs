//! An upstream's events in the neutral form (protocols.md 8.3). One event in, any number out; what an upstream may only say at
//! the end of a block (its signature, the query of a search) is held until then.

use super::super::counts::Counts;
use super::super::{citation, ending, native_proof, search_query, text_at};
use crate::error::{Blame, Error, Kind};
use crate::protocol::balance::Balance;
use crate::protocol::context::Context;
use crate::protocol::neutral::{
    BlockKey, CallKind, Event, Finish, Hosted, Inside, Keyed, Open, Opened, Piece, Sink, Start,
};
use crate::protocol::pattern::Told;
use crate::protocol::take;
use crate::protocol::text::Text;
use crate::protocol::{in_stream, says_error, truncated};
use crate::wire::json::{JsonKind, Object, Raw};
use crate::wire::sse;

/// Blocks open at once. Anthropic has one; more than a few is no honest answer, and each may hold an event's worth of bytes.
const OPEN_BLOCKS_MAX: usize = 16;
/// Bytes of a vendor tool's input that are looked at for a query.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// What a delta adds to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Thinking,
    Input,
}

/// A block that has begun and not ended.
struct Slot {
    /// The upstream's number for it.
    index: u64,
    key: BlockKey,
    kind: SlotKind,
}

enum SlotKind {
    /// `opened`: it has said something. A block that never does is none.
    Text { opened: bool },
    /// A later signature replaces an earlier one.
    Thinking { signature: Text<'static> },
    /// `whole`: the input that came with the head; it counts if no delta follows.
    Call {
        whole: Text<'static>,
        balance: Balance,
        begun: bool,
    },
    /// A tool that the vendor executes.
    Hosted {
        name: Text<'static>,
        called: Text<'static>,
        id: Option<Text<'static>>,
        input: Text<'static>,
    },
    /// Nothing that could be told in another protocol: its type, which is named as lost. Empty: nothing is lost, what a search
    /// found is in the text that cites it.
    Ignored { lost: Text<'static> },
}

impl SlotKind {
    fn takes(&self, form: Form) -> bool {
        matches!(
            (self, form),
            (SlotKind::Text { .. }, Form::Text)
                | (SlotKind::Thinking { .. }, Form::Thinking)
                | (SlotKind::Call { .. } | SlotKind::Hosted { .. }, Form::Input)
                | (SlotKind::Ignored { .. }, _)
        )
    }
}

/// Reads one stream.
#[derive(Default)]
pub struct Reader {
    started: bool,
    open: Vec<Slot>,
    keys: BlockKey,
    /// A call that the upstream ended although its arguments are not whole. At the output limit it was cut, and nobody may
    /// act on it; whether that is so is only known when something follows.
    unsettled: Option<BlockKey>,
    counts: Counts,
    finish: Option<Finish<'static>>,
    /// Where the slot of the last delta is.
    last: usize,
    /// The end was told; what a server sends after it, or its closing, tells nothing more.
    ended: bool,
}

impl Reader {
    /// A reader at the start of an answer.
    pub fn new(_cx: &Context) -> Reader {
        Reader::default()
    }

    /// Reads one event. Answers the text it passed on, if that is all the event said.
    ///
    /// # Errors
    /// The upstream reports an error, or the event is nonsense.
    pub fn read<'e>(
        &mut self,
        event: sse::Event<'e>,
        out: &mut Sink<'_>,
    ) -> Result<Option<Told<'e>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let data = std::str::from_utf8(event.data).map_err(|_| nonsense("is not UTF-8"))?;
        let data = data.trim();
        if data.is_empty() || data == "[DONE]" {
            return Ok(None);
        }
        let mut frame =
            Object::parse(data.as_bytes()).map_err(|fault| fault.blame(Blame::Upstream))?;
        if let Some(error) = says_error(&frame) {
            return Err(in_stream(error));
        }
        // Frames without an `event` line are as good, and so are those without a `type`.
        let kind = match frame.get("type").and_then(Raw::as_str) {
            Some(kind) => kind,
            None => String::from_utf8_lossy(event.name),
        };
        match kind.as_ref() {
            "message_start" => {
                let message = take::raw(&mut frame, "message");
                let message = message.and_then(|raw| raw.as_object().ok());
                self.message_start(message, out)?;
            }
            "content_block_start" => {
                let block =
                    take::raw(&mut frame, "content_block").and_then(|raw| raw.as_object().ok());
                match block {
                    Some(block) => self.block_start(index_of(&frame), block, out)?,
                    None => return Err(nonsense("begins a block without one")),
                }
            }
            "content_block_delta" => {
                let delta = take::raw(&mut frame, "delta").and_then(|raw| raw.as_object().ok());
                if let Some(delta) = delta {
                    return self.any_delta(index_of(&frame), &delta, out);
                }
            }
            "content_block_stop" => {
                if let Some(at) = self.find(index_of(&frame)) {
                    self.block_stop(at, out)?;
                }
            }
            "message_delta" => self.message_delta(frame, out)?,
            "message_stop" => self.end(out)?,
            "error" => return Err(in_stream(Raw::parse(data).unwrap_or(Raw::NULL))),
            _ => {} // ping, and what is not known yet
        }
        Ok(None)
    }

    /// The next event said this, and else the same as the one before.
    pub fn more(&mut self, text: &Text<'_>) {
        if let Some(slot) = self.open.get_mut(self.last)
            && let SlotKind::Call { balance, .. } = &mut slot.kind
        {
            balance.push(text.as_escaped());
        }
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// No reason to stop was given: it was cut.
    pub fn end(&mut self, out: &mut Sink<'_>) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        let Some(finish) = self.finish.take() else {
            return Err(truncated());
        };
        self.ended = true;
        self.begin(out)?;
        while !self.open.is_empty() {
            self.block_stop(0, out)?;
        }
        // The sequencer closes an unsettled call, whole or cut, as the reason says.
        emit(0, Event::Finish(finish), out)
    }

    fn find(&self, index: u64) -> Option<usize> {
        self.open.iter().position(|slot| slot.index == index)
    }

    /// Says that the answer has begun, if that was not said.
    fn begin(&mut self, out: &mut Sink<'_>) -> Result<(), Error> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        emit(0, Event::Start(Start::default()), out)
    }

    fn message_start(
        &mut self,
        message: Option<Object<'_>>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let Some(message) = message else {
            return self.begin(out);
        };
        let usage = message.get("usage");
        if !self.started {
            self.started = true;
            let tier = usage.and_then(|usage| text_at(&usage.as_object().ok()?, "service_tier"));
            let start = Start {
                id: text_at(&message, "id"),
                model: text_at(&message, "model"),
                created: None,
                tier,
            };
            emit(0, Event::Start(start), out)?;
        }
        self.usage(usage, out)
    }

    fn usage(&mut self, usage: Option<Raw<'_>>, out: &mut Sink<'_>) -> Result<(), Error> {
        let Some(usage) = usage else {
            return Ok(());
        };
        self.counts.merge(usage);
        match self.counts.totals() {
            Some(totals) => emit(0, Event::Usage(totals), out),
            None => Ok(()),
        }
    }

    fn message_delta(&mut self, mut frame: Object<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
        self.begin(out)?;
        if let Some(delta) = take::raw(&mut frame, "delta").and_then(|raw| raw.as_object().ok())
            && let Some(finish) = ending::read(&delta)?
        {
            self.finish = Some(finish.into_owned());
        }
        self.usage(frame.get("usage"), out)
    }

    /// A new slot.
    fn slot(&mut self, index: u64, kind: SlotKind) -> Result<BlockKey, Error> {
        if self.open.len() == OPEN_BLOCKS_MAX {
            return Err(nonsense("opens too many blocks at once"));
        }
        let key = self.keys;
        self.keys += 1;
        self.open.push(Slot { index, key, kind });
        Ok(key)
    }

    /// Makes way for a new block under that number.
    fn make_way(&mut self, index: u64, out: &mut Sink<'_>) -> Result<(), Error> {
        self.begin(out)?;
        if let Some(at) = self.find(index) {
            self.block_stop(at, out)?;
        }
        self.settle(out)
    }

    /// Something follows the call that was ended early: the limit did not cut it.
    fn settle(&mut self, out: &mut Sink<'_>) -> Result<(), Error> {
        match self.unsettled.take() {
            Some(key) => emit(key, Event::Close { whole: true }, out),
            None => Ok(()),
        }
    }

    fn block_start(
        &mut self,
        index: u64,
        block: Object<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        self.make_way(index, out)?;
        let text = |key: &str| text_at(&block, key).unwrap_or_default();
        let kind = block.get("type").and_then(Raw::as_str).unwrap_or_default();
        match kind.as_ref() {
            "text" => {
                self.slot(index, SlotKind::Text { opened: false })?;
                self.delta(index, Form::Text, text("text"), out).map(drop)
            }
            "thinking" => {
                let signature = text("signature").into_owned();
                let key = self.slot(index, SlotKind::Thinking { signature })?;
                emit(key, Event::Open(Open::Reasoning), out)?;
                self.delta(index, Form::Thinking, text("thinking"), out)
                    .map(drop)
            }
            "redacted_thinking" => {
                let key = self.slot(
                    index,
                    SlotKind::Thinking {
                        signature: Text::EMPTY,
                    },
                )?;
                emit(key, Event::Open(Open::Reasoning), out)?;
                match native_proof(text("data"), true) {
                    Some(proof) => emit(key, Event::Delta(Piece::Proof(proof)), out),
                    None => Ok(()),
                }
            }
            "tool_use" => {
                let whole = match block.get("input") {
                    Some(raw) if raw.kind() == JsonKind::String => text("input").into_owned(),
                    Some(raw) if raw.kind() == JsonKind::Object => {
                        Text::owned(raw.text().to_owned())
                    }
                    _ => Text::constant("{}"),
                };
                let kind = SlotKind::Call {
                    whole,
                    balance: Balance::default(),
                    begun: false,
                };
                let key = self.slot(index, kind)?;
                let head = Opened {
                    id: text("id"),
                    kind: CallKind::Function,
                    name: text("name"),
                    namespace: None,
                };
                emit(key, Event::Open(Open::Call(head)), out)
            }
            "server_tool_use" | "mcp_tool_use" => {
                let input = match block.get("input") {
                    Some(raw) if raw.kind() == JsonKind::Object && raw.text() != "{}" => {
                        Text::owned(raw.text().to_owned())
                    }
                    _ => Text::EMPTY,
                };
                let kind = SlotKind::Hosted {
                    name: Text::owned(kind.clone().into_owned()),
                    called: text("name").into_owned(),
                    id: text_at(&block, "id").map(Text::into_owned),
                    input,
                };
                self.slot(index, kind).map(drop)
            }
            kind => {
                let lost = match kind {
                    "web_search_tool_result" | "" => Text::EMPTY,
                    kind => Text::owned(kind.to_owned()),
                };
                self.slot(index, SlotKind::Ignored { lost }).map(drop)
            }
        }
    }

    /// A delta of any kind. Answers the text it passed on.
    fn any_delta<'e>(
        &mut self,
        index: u64,
        delta: &Object<'e>,
        out: &mut Sink<'_>,
    ) -> Result<Option<Told<'e>>, Error> {
        let kind = delta.get("type").and_then(Raw::as_str).unwrap_or_default();
        let (form, key) = match kind.as_ref() {
            "text_delta" => (Form::Text, "text"),
            "thinking_delta" => (Form::Thinking, "thinking"),
            "input_json_delta" => (Form::Input, "partial_json"),
            "signature_delta" => {
                let at = self.place(index, Form::Thinking, out)?;
                if let SlotKind::Thinking { signature } = &mut self.open[at].kind {
                    *signature = text_at(delta, "signature").unwrap_or_default().into_owned();
                }
                return Ok(None);
            }
            "citations_delta" => {
                let found = delta.get("citation").and_then(citation);
                let Some(annotation) = found else {
                    return Ok(None);
                };
                let at = self.place(index, Form::Text, out)?;
                let slot = &mut self.open[at];
                if let SlotKind::Text { opened } = &mut slot.kind {
                    open_text(slot.key, opened, out)?;
                    emit(slot.key, Event::Annotation(annotation), out)?;
                }
                return Ok(None);
            }
            _ => return Ok(None),
        };
        let text = text_at(delta, key).unwrap_or_default();
        let passed = self.delta(index, form, text, out)?;
        Ok(passed
            .zip(delta.get(key))
            .map(|((block, inside), text)| Told {
                block,
                inside,
                text,
                number: None,
                padding: None,
            }))
    }

    /// Answers the block in which the text was passed on.
    fn delta(
        &mut self,
        index: u64,
        form: Form,
        text: Text<'_>,
        out: &mut Sink<'_>,
    ) -> Result<Option<(BlockKey, Inside)>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        let at = match self.find(index) {
            Some(at) if self.open[at].kind.takes(form) => at,
            // White space after the end of a call is nothing.
            None if form == Form::Input && text.is_blank() => return Ok(None),
            _ => self.place(index, form, out)?,
        };
        self.last = at;
        let Slot { key, kind, .. } = &mut self.open[at];
        let piece = match kind {
            SlotKind::Text { opened } => {
                open_text(*key, opened, out)?;
                Piece::text(text)
            }
            SlotKind::Thinking { .. } => Piece::Reasoning(text),
            SlotKind::Call { balance, begun, .. } => {
                *begun = true;
                balance.push(text.as_escaped());
                Piece::Arguments(text)
            }
            SlotKind::Hosted { input, .. } => {
                if input.as_escaped().len() < INPUT_BYTES_MAX {
                    input.push(&text);
                }
                return Ok(None);
            }
            SlotKind::Ignored { .. } => return Ok(None),
        };
        let passed = (*key, piece.inside());
        emit(*key, Event::Delta(piece), out)?;
        Ok(Some(passed))
    }

    /// The slot for that kind of delta; where the upstream forgot to begin a block, or began one of another kind (SGLang puts
    /// thoughts into a text block), a new one begins.
    #[cold]
    fn place(&mut self, index: u64, form: Form, out: &mut Sink<'_>) -> Result<usize, Error> {
        if let Some(at) = self.find(index)
            && self.open[at].kind.takes(form)
        {
            return Ok(at);
        }
        self.make_way(index, out)?;
        match form {
            Form::Text => {
                self.slot(index, SlotKind::Text { opened: false })?;
            }
            Form::Thinking => {
                let signature = Text::EMPTY;
                let key = self.slot(index, SlotKind::Thinking { signature })?;
                emit(key, Event::Open(Open::Reasoning), out)?;
            }
            Form::Input => return Err(nonsense("has arguments for a tool call that never began")),
        }
        Ok(self.open.len() - 1)
    }

    fn block_stop(&mut self, at: usize, out: &mut Sink<'_>) -> Result<(), Error> {
        let Slot { key, kind, .. } = self.open.remove(at);
        match kind {
            SlotKind::Text { opened: true } => emit(key, Event::Close { whole: true }, out),
            SlotKind::Text { opened: false } => Ok(()),
            SlotKind::Ignored { lost } if lost.is_empty() => Ok(()),
            SlotKind::Ignored { lost } => {
                let (id, query) = (None, None);
                let name = lost;
                emit(
                    key,
                    Event::Open(Open::Hosted(Hosted { name, id, query })),
                    out,
                )?;
                emit(key, Event::Close { whole: true }, out)
            }
            SlotKind::Thinking { signature } => {
                if let Some(proof) = native_proof(signature, false) {
                    emit(key, Event::Delta(Piece::Proof(proof)), out)?;
                }
                emit(key, Event::Close { whole: true }, out)
            }
            SlotKind::Call {
                whole,
                mut balance,
                begun,
            } => {
                if !begun {
                    balance.push(whole.as_escaped());
                    emit(key, Event::Delta(Piece::Arguments(whole)), out)?;
                }
                if balance.is_whole() {
                    return emit(key, Event::Close { whole: true }, out);
                }
                self.settle(out)?;
                self.unsettled = Some(key);
                Ok(())
            }
            SlotKind::Hosted {
                name,
                called,
                id,
                input,
            } => {
                let json = input.decode();
                let input = Raw::parse(&json).unwrap_or(Raw::NULL);
                let query = search_query(&called, input);
                let hosted = Hosted { name, id, query };
                emit(key, Event::Open(Open::Hosted(hosted)), out)?;
                emit(key, Event::Close { whole: true }, out)
            }
        }
    }
}

fn open_text(key: BlockKey, opened: &mut bool, out: &mut Sink<'_>) -> Result<(), Error> {
    if std::mem::replace(opened, true) {
        return Ok(());
    }
    emit(key, Event::Open(Open::Text), out)
}

fn emit(block: BlockKey, event: Event<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
    out(Keyed { block, event })
}

fn index_of(frame: &Object<'_>) -> u64 {
    frame.get("index").and_then(Raw::as_u64).unwrap_or(0)
}

#[cold]
fn nonsense(what: &str) -> Error {
    Error::upstream(
        Kind::BadReply,
        format!("an event of the upstream's stream {what}"),
    )
}
