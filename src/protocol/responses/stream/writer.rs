//! Writes the events a Responses client waits for: created, in progress, and for each item its announcement, its deltas and
//! their sums, the item again when it is done, and at the end all of it once more. What is cut inside gets no `done` event:
//! Codex runs a tool as soon as its item is done.

mod ending;
pub(super) mod frame;

use crate::error::Error;
use crate::protocol::context::Context;
use crate::protocol::neutral::{
    Annotation, CallKind, Event, Finish, Hosted, Open, Opened, Piece, Reason, Start, Usage,
};
use crate::protocol::render::{Members, one_line};
use crate::protocol::responses::output::{self, Envelope, Part};
use crate::protocol::text::Text;
use crate::protocol::{Made, openai_words};
use frame::{delta, frame, head, route, summary_part};

/// Writes one answer's stream.
pub struct Writer {
    made: Made,
    sequence: u64,
    /// Ids given so far; the answer's own is number 0.
    ids: u64,
    id: String,
    created: u64,
    tier: Option<Text<'static>>,
    usage: Option<Usage>,
    /// Items that are done, joined by commas.
    output: Vec<u8>,
    /// How many items were announced or are in `output`.
    items: u64,
    /// The message whose parts are being written. Texts that follow each other are parts of one.
    message: Option<Message>,
    open: Block,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    Running,
    Finished,
}

/// A message item that was announced and is not done.
struct Message {
    id: String,
    index: u64,
    /// Parts that are done, joined by commas.
    parts: Vec<u8>,
    count: u64,
}

/// The block that is open, as far as it was announced. A text or reasoning block is announced with its first piece, so that
/// empty ones never appear.
enum Block {
    None,
    Said {
        part: Part,
        announced: bool,
        route: Vec<u8>,
    },
    Reasoning {
        id: String,
        index: u64,
        announced: bool,
        text: String,
        proof: Option<Text<'static>>,
        route: Vec<u8>,
    },
    Call {
        id: String,
        index: u64,
        head: Opened<'static>,
        arguments: String,
        route: Vec<u8>,
    },
    Hosted(Hosted<'static>),
}

/// How the answer stands when it is told of whole.
struct Standing<'s> {
    status: &'static str,
    error: Option<(&'static str, &'s str)>,
    incomplete: Option<&'static str>,
    usage: Option<Usage>,
}

impl Standing<'_> {
    fn of(status: &'static str) -> Standing<'static> {
        Standing {
            status,
            error: None,
            incomplete: None,
            usage: None,
        }
    }
}

impl Writer {
    /// A writer at the start of an answer.
    pub fn new(_: &Context, made: &Made) -> Writer {
        Writer {
            made: made.clone(),
            sequence: 0,
            ids: 0,
            id: made.id("resp_", 0),
            created: made.now_unix_s,
            tier: None,
            usage: None,
            output: Vec::new(),
            items: 0,
            message: None,
            open: Block::None,
            stage: Stage::Before,
        }
    }

    /// The answer's id and its items, joined by commas, once it has finished: what a store keeps.
    pub fn kept(&self) -> Option<(&str, &[u8])> {
        (self.stage == Stage::Finished).then_some((&self.id, &self.output))
    }

    /// Writes one event.
    ///
    /// # Errors
    /// None today.
    pub fn write(
        &mut self,
        event: &Event<'_>,
        cx: &Context,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match event {
            Event::Delta(piece) => self.piece(piece, out),
            Event::Open(open) => self.open(open, out),
            Event::Annotation(annotation) => self.annotation(annotation, out),
            Event::Close { whole } => self.close(*whole, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Start(start) => self.start(start, cx, out),
            Event::Finish(finish) => self.finish(finish, cx, out),
        }
        Ok(())
    }

    fn start(&mut self, start: &Start<'_>, cx: &Context, out: &mut Vec<u8>) {
        self.stage = Stage::Running;
        self.created = start.created.unwrap_or(self.created);
        self.tier = start.tier.clone().map(Text::into_owned);
        for name in ["response.created", "response.in_progress"] {
            self.snapshot(name, Standing::of("in_progress"), cx, out);
        }
    }

    fn snapshot(&mut self, name: &str, now: Standing<'_>, cx: &Context, out: &mut Vec<u8>) {
        let envelope = Envelope {
            id: self.id.clone(),
            created: self.created,
            status: now.status,
            error: now.error,
            incomplete: now.incomplete,
            output: &self.output,
            usage: now.usage,
            tier: self.tier.as_ref(),
        };
        frame(out, &mut self.sequence, name, |m| {
            envelope.write(cx, m.key("response"));
        });
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.ids += 1;
        self.made.id(prefix, self.ids)
    }

    fn open(&mut self, open: &Open<'_>, out: &mut Vec<u8>) {
        if !matches!(open, Open::Text | Open::Refusal) {
            self.end_message("completed", out);
        }
        self.open = match open {
            Open::Text | Open::Refusal => Block::Said {
                part: Part {
                    refusal: matches!(open, Open::Refusal),
                    ..Part::default()
                },
                announced: false,
                route: Vec::new(),
            },
            Open::Reasoning => Block::Reasoning {
                id: String::new(),
                index: 0,
                announced: false,
                text: String::new(),
                proof: None,
                route: Vec::new(),
            },
            Open::Call(head) => self.open_call(head.clone().into_owned(), out),
            Open::Hosted(hosted) => Block::Hosted(hosted.clone().into_owned()),
        };
    }

    fn open_call(&mut self, head: Opened<'static>, out: &mut Vec<u8>) -> Block {
        let id = self.fresh(output::call_prefix(head.kind));
        let index = self.items;
        // A typed item can only be shown whole.
        if !matches!(head.kind, CallKind::Builtin(_)) {
            self.items += 1;
            self.added(index, out, |out| {
                output::call(&id, "in_progress", &head, "", out);
            });
        }
        Block::Call {
            route: route(&id, index, None),
            id,
            index,
            head,
            arguments: String::new(),
        }
    }

    fn added(&mut self, index: u64, out: &mut Vec<u8>, item: impl FnOnce(&mut Vec<u8>)) {
        frame(out, &mut self.sequence, "response.output_item.added", |m| {
            m.number("output_index", index);
            item(m.key("item"));
        });
    }

    /// Keeps the item for the last event and tells of it.
    fn done(&mut self, index: u64, out: &mut Vec<u8>, item: impl FnOnce(&mut Vec<u8>)) {
        let from = self.keep(item);
        let Writer {
            output, sequence, ..
        } = self;
        frame(out, sequence, "response.output_item.done", |m| {
            m.number("output_index", index);
            m.key("item").extend_from_slice(&output[from..]);
        });
    }

    /// Keeps the item and answers where it starts.
    fn keep(&mut self, item: impl FnOnce(&mut Vec<u8>)) -> usize {
        if !self.output.is_empty() {
            self.output.push(b',');
        }
        let from = self.output.len();
        item(&mut self.output);
        from
    }

    fn piece(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Text { text, logprobs } => {
                self.announce_part(out);
                let Block::Said { part, route, .. } = &mut self.open else {
                    return;
                };
                part.text.push_str(text.as_escaped());
                let odds = logprobs.filter(|odds| part.odds(odds.text()));
                let odds =
                    odds.map(|odds| format!("\",\"logprobs\":{}}}\n\n", one_line(odds.text())));
                let tail = odds
                    .as_ref()
                    .map_or(frame::TEXT_TAIL, |odds| odds.as_bytes());
                delta(out, &mut self.sequence, frame::TEXT, route, text, tail);
            }
            Piece::Refusal(text) => {
                self.announce_part(out);
                let Block::Said { part, route, .. } = &mut self.open else {
                    return;
                };
                part.text.push_str(text.as_escaped());
                delta(
                    out,
                    &mut self.sequence,
                    frame::REFUSAL,
                    route,
                    text,
                    frame::TAIL,
                );
            }
            Piece::Reasoning(said) => {
                self.announce_reasoning(out);
                let Block::Reasoning { text, route, .. } = &mut self.open else {
                    return;
                };
                if text.is_empty() {
                    let name = "response.reasoning_summary_part.added";
                    summary_part(out, &mut self.sequence, name, route, "");
                }
                text.push_str(said.as_escaped());
                delta(
                    out,
                    &mut self.sequence,
                    frame::SUMMARY,
                    route,
                    said,
                    frame::TAIL,
                );
            }
            Piece::Proof(found) => {
                let Some(found) = output::encrypted(found) else {
                    return;
                };
                self.announce_reasoning(out);
                if let Block::Reasoning { proof, .. } = &mut self.open {
                    *proof = Some(found);
                }
            }
            Piece::Arguments(text) => {
                let Block::Call {
                    head,
                    arguments,
                    route,
                    ..
                } = &mut self.open
                else {
                    return;
                };
                arguments.push_str(text.as_escaped());
                if let Some(kind) = delta_kind(head.kind) {
                    delta(out, &mut self.sequence, kind, route, text, frame::TAIL);
                }
            }
        }
    }

    /// The message and the part, before the first piece of it.
    fn announce_part(&mut self, out: &mut Vec<u8>) {
        if !matches!(
            self.open,
            Block::Said {
                announced: false,
                ..
            }
        ) {
            return;
        }
        if self.message.is_none() {
            let id = self.fresh("msg_");
            let index = self.items;
            self.items += 1;
            self.added(index, out, |out| {
                output::message(&id, "in_progress", b"", out)
            });
            self.message = Some(Message {
                id,
                index,
                parts: Vec::new(),
                count: 0,
            });
        }
        let (
            Some(message),
            Block::Said {
                part,
                announced,
                route,
            },
        ) = (&self.message, &mut self.open)
        else {
            return;
        };
        *announced = true;
        *route = self::route(
            &message.id,
            message.index,
            Some(("content_index", message.count)),
        );
        head(out, &mut self.sequence, "response.content_part.added");
        out.extend_from_slice(route);
        part.write(Members::resume(out, false).key("part"));
        out.extend_from_slice(b"}\n\n");
    }

    fn announce_reasoning(&mut self, out: &mut Vec<u8>) {
        if !matches!(
            self.open,
            Block::Reasoning {
                announced: false,
                ..
            }
        ) {
            return;
        }
        let fresh = self.fresh("rs_");
        let at = self.items;
        self.items += 1;
        self.added(at, out, |out| output::reasoning(&fresh, "", None, out));
        if let Block::Reasoning {
            id,
            index,
            announced,
            route,
            ..
        } = &mut self.open
        {
            *announced = true;
            *route = self::route(&fresh, at, Some(("summary_index", 0)));
            *id = fresh;
            *index = at;
        }
    }

    fn annotation(&mut self, annotation: &Annotation<'_>, out: &mut Vec<u8>) {
        self.announce_part(out);
        let Block::Said { part, route, .. } = &mut self.open else {
            return;
        };
        if annotation.span.is_none() {
            return part.wait(annotation.clone().into_owned());
        }
        cite(part, annotation, 0, route, &mut self.sequence, out);
    }

    fn finish(&mut self, finish: &Finish<'_>, cx: &Context, out: &mut Vec<u8>) {
        let (status, incomplete) = output::ended(finish);
        self.end_message(status, out);
        let name = match finish.reason {
            Reason::Done => "response.completed",
            Reason::Length | Reason::Filtered | Reason::Paused => "response.incomplete",
        };
        let usage = Some(self.usage.unwrap_or_default());
        let now = Standing {
            incomplete,
            usage,
            ..Standing::of(status)
        };
        self.snapshot(name, now, cx, out);
        self.stage = Stage::Finished;
    }

    /// Tells that the answer failed. What was open gets no `done` event and is not in the output.
    pub fn fail(&mut self, error: &Error, cx: &Context, out: &mut Vec<u8>) {
        if self.stage == Stage::Before {
            // SDKs throw on the nested form; a flat one they would hand over as an event like any other.
            let (kind, code) = openai_words(error);
            frame(out, &mut self.sequence, "error", |m| {
                m.nested("error", |m| {
                    m.str("type", kind);
                    match code {
                        Some(code) => m.str("code", code),
                        None => m.null("code"),
                    };
                    m.str("message", &error.message).null("param");
                });
            });
            return;
        }
        if !matches!(
            self.open,
            Block::Said {
                announced: true,
                ..
            }
        ) {
            self.end_message("completed", out);
        }
        let (code, message) = output::failure(error);
        let now = Standing {
            error: Some((code, message.as_ref())),
            usage: self.usage,
            ..Standing::of("failed")
        };
        self.snapshot("response.failed", now, cx, out);
        self.stage = Stage::Finished;
        self.output.clear();
    }

    /// Bytes kept because they are told once more when they are done, and again at the end.
    pub fn held_bytes(&self) -> usize {
        let open = match &self.open {
            Block::Said { part, .. } => part.bytes(),
            Block::Reasoning { text, proof, .. } => {
                text.len() + proof.as_ref().map_or(0, |proof| proof.as_escaped().len())
            }
            Block::Call { arguments, .. } => arguments.len(),
            Block::Hosted(_) | Block::None => 0,
        };
        let parts = self
            .message
            .as_ref()
            .map_or(0, |message| message.parts.len());
        self.output.len() + parts + open
    }

    /// Writes a comment: an event for this is known to few clients.
    pub fn keep_alive(&mut self, _: &Context, out: &mut Vec<u8>) {
        out.extend_from_slice(b": keepalive\n\n");
    }
}

/// Adds a citation to the part and tells of it. `end`: where one without a span ends.
fn cite(
    part: &mut Part,
    annotation: &Annotation<'_>,
    end: u64,
    route: &[u8],
    sequence: &mut u64,
    out: &mut Vec<u8>,
) {
    let number = part.annotated;
    let json = part.annotate(annotation, end);
    head(out, sequence, "response.output_text.annotation.added");
    out.extend_from_slice(route);
    let mut m = Members::resume(out, false);
    m.number("annotation_index", number);
    m.key("annotation").extend_from_slice(json);
    out.extend_from_slice(b"}\n\n");
}

/// What a call's deltas begin with. None: it can only be shown whole.
fn delta_kind(kind: CallKind) -> Option<&'static str> {
    match kind {
        CallKind::Function => Some(frame::ARGUMENTS),
        CallKind::Custom => Some(frame::INPUT),
        CallKind::Builtin(_) => None,
    }
}

#[cfg(test)]
mod tests;
