//! The upstream's words for tools turned into the client's: names and namespaces, ids that the client's protocol takes, and the
//! form of the arguments; and the end of the answer, as the request asked for it. Stands between the sequencer and the writer,
//! for streams and whole answers alike.

use super::Made;
use super::context::Context;
use super::ids;
use super::neutral::{CallKind, Event, Finish, Inside, Open, Opened, Piece, Reason};
use super::sequence::{HELD_BYTES_MAX, Out};
use super::text::Text;
use super::{Protocol, neutral::Proof};
use crate::error::{Error, Kind};
use crate::wire::json::Object;

/// Where the numbers of made call ids begin: a writer's own ids have the lower ones.
const CALL_NUMBERS: u64 = 1 << 32;
/// What some servers write where a call has no arguments.
const NULL: &str = "null";

/// What happens to the arguments of the call that is open.
#[derive(Default)]
enum Form {
    /// They pass, or there are none to come.
    #[default]
    Same,
    /// They pass; while nothing has come that is not blank, `{}` is still owed at the end. `null` is nothing too (Groq): so
    /// much of it has come.
    Object { nulls: usize },
    /// `{"input":"…"}` is gathered, to become free text at the end.
    Unwrap(Text<'static>),
    /// Free text becomes `{"input":"…"}` as it passes.
    Wrap,
}

/// Resolves the calls of one answer.
#[derive(Default)]
pub struct Resolver {
    form: Form,
    /// Ids of this answer so far; one given twice is replaced.
    ids: Vec<Text<'static>>,
    /// Something was said that a reader sees.
    spoke: bool,
    /// Tokens of the answer, as the upstream counted them.
    output: u64,
}

impl Resolver {
    /// Whether more text of a block of that kind passes, and nothing is noted of it.
    pub fn passes(&self, inside: Inside) -> bool {
        match inside {
            Inside::Text | Inside::Refusal => self.spoke,
            Inside::Reasoning => true,
            Inside::Call | Inside::Hosted => false,
        }
    }

    /// Passes the event on in the client's words.
    ///
    /// # Errors
    /// A wrapped argument text over its bound, or the error of `out`.
    pub fn step(
        &mut self,
        event: Event<'_>,
        cx: &Context,
        made: &Made,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        match event {
            Event::Open(Open::Call(head)) => {
                let head = self.head(head, cx, made);
                out(Event::Open(Open::Call(head)))?;
                match self.form {
                    Form::Wrap => out(Event::Delta(Piece::Arguments(Text::plain("{\"input\":\"")))),
                    _ => Ok(()),
                }
            }
            Event::Delta(Piece::Arguments(text)) => match &mut self.form {
                Form::Object { .. } if text.is_blank() => Ok(()),
                Form::Object { nulls } => {
                    let more = text.as_escaped().trim();
                    if NULL[*nulls..].starts_with(more) {
                        *nulls += more.len();
                        return Ok(());
                    }
                    let held = Text::constant(&NULL[..*nulls]);
                    self.form = Form::Same;
                    if !held.is_empty() {
                        out(Event::Delta(Piece::Arguments(held)))?;
                    }
                    out(Event::Delta(Piece::Arguments(text)))
                }
                Form::Same => out(Event::Delta(Piece::Arguments(text))),
                Form::Wrap => out(Event::Delta(Piece::Arguments(Text::plain(
                    text.as_escaped(),
                )))),
                Form::Unwrap(held) => {
                    held.push(&text);
                    if held.as_escaped().len() > HELD_BYTES_MAX {
                        return Err(Error::upstream(
                            Kind::BadReply,
                            "the arguments of a call are too long",
                        ));
                    }
                    Ok(())
                }
            },
            Event::Delta(Piece::Proof(proof)) => {
                let proof = Proof {
                    upstream: cx.caps.upstream.as_deref().map(Into::into),
                    family: cx
                        .caps
                        .upstream
                        .is_some()
                        .then(|| cx.family.as_str().into()),
                    ..proof
                };
                out(Event::Delta(Piece::Proof(proof)))
            }
            Event::Close { whole } => {
                match std::mem::take(&mut self.form) {
                    Form::Same => {}
                    // A call without arguments: an empty text is no JSON, and clients parse it (protocols.md 7.5).
                    Form::Object { nulls } if whole => {
                        let whole = nulls == 0 || nulls == NULL.len();
                        let text = if whole { "{}" } else { &NULL[..nulls] };
                        out(Event::Delta(Piece::Arguments(Text::constant(text))))?
                    }
                    Form::Wrap if whole => out(Event::Delta(Piece::Arguments(Text::plain("\"}"))))?,
                    Form::Unwrap(held) if whole => {
                        let text = unwrapped(held);
                        if !text.is_empty() {
                            out(Event::Delta(Piece::Arguments(text)))?;
                        }
                    }
                    Form::Object { .. } | Form::Wrap | Form::Unwrap(_) => {}
                }
                out(Event::Close { whole })
            }
            Event::Finish(finish) => self.finish(finish, cx, out),
            other => {
                match &other {
                    Event::Delta(Piece::Text { .. } | Piece::Refusal(_)) => self.spoke = true,
                    Event::Usage(usage) => self.output = usage.output,
                    _ => {}
                }
                out(other)
            }
        }
    }

    /// A refusal that says why in its end only is said as one, else it would be an empty answer. An answer that is longer than
    /// was asked, because the upstream takes no limit so low, ends at the limit (protocols.md 5.11).
    fn finish(&self, mut finish: Finish<'_>, cx: &Context, out: &mut Out<'_>) -> Result<(), Error> {
        // Messages has a place for it.
        let unsaid = !self.spoke && cx.client != Protocol::Messages;
        if let Some(explanation) = finish.explanation.as_ref().filter(|_| unsaid) {
            out(Event::Open(Open::Refusal))?;
            out(Event::Delta(Piece::Refusal(explanation.borrow())))?;
            out(Event::Close { whole: true })?;
        }
        if finish.reason == Reason::Done && cx.limit.is_some_and(|limit| self.output > limit) {
            finish.reason = Reason::Length;
        }
        out(Event::Finish(finish))
    }

    fn head<'h>(&mut self, head: Opened<'h>, cx: &Context, made: &Made) -> Opened<'h> {
        let given = (!head.id.is_empty()).then(|| ids::fix(head.id, ids::client_rule(cx.client)));
        let fresh = || Text::owned(made.id("call_", CALL_NUMBERS + self.ids.len() as u64));
        let id = given
            .filter(|id| !self.ids.contains(id))
            .unwrap_or_else(fresh);
        self.ids.push(id.clone().into_owned());
        let entry = cx.tools.find(&head.name);
        // The declaration counts, not the form of the call: what was not declared free-form is a function (protocols.md 5.7).
        let fallback = match (head.kind, cx.client) {
            (CallKind::Custom, Protocol::Messages | Protocol::Chat) => CallKind::Function,
            (kind, _) => kind,
        };
        let kind = entry.map_or(fallback, |entry| entry.kind);
        self.form = match (head.kind, kind) {
            (CallKind::Custom, CallKind::Custom) => Form::Same,
            (CallKind::Custom, _) => Form::Wrap,
            (_, CallKind::Custom) => Form::Unwrap(Text::EMPTY),
            _ => Form::Object { nulls: 0 },
        };
        match entry {
            Some(entry) => Opened {
                id,
                kind,
                name: entry.name.clone(),
                namespace: entry.namespace.clone(),
            },
            None => Opened { id, kind, ..head },
        }
    }
}

/// The `input` of the wrapper; the text itself if the model did not keep to it (protocols.md 5.7).
fn unwrapped(arguments: Text<'static>) -> Text<'static> {
    let json = arguments.decode();
    let input = Object::parse(json.as_bytes())
        .ok()
        .and_then(|object| Some(Text::of(object.get("input")?)?.into_owned()));
    drop(json);
    input.unwrap_or(arguments)
}
