//! Fragments of tool calls put together, with or without index, id or name (protocols.md 8.3, rule 7).

use crate::error::{Error, Kind};
use crate::protocol::balance::Balance;
use crate::protocol::neutral::{
    BlockKey, CallKind, Event, Keyed, Open, Opened, Owner, Piece, Proof, Sink,
};
use crate::protocol::text::Text;
use crate::wire::json::Raw;

/// Calls of one answer; more are a broken or hostile server.
const CALLS_MAX: usize = 4096;
/// Argument text of calls whose name has not come.
const PENDING_BYTES_MAX: usize = 1024 * 1024;
/// Calls take every second block key from here on, their proofs the ones between, so that text has the lower ones.
const FIRST_KEY: BlockKey = 1 << 24;

/// One fragment as it stands in a chunk.
#[derive(Default)]
pub(super) struct Fragment<'a> {
    pub index: Option<u64>,
    pub id: Text<'a>,
    pub name: Text<'a>,
    pub kind: Option<CallKind>,
    pub arguments: Text<'a>,
    /// As they stand in the chunk.
    pub raw: Option<Raw<'a>>,
    pub signature: Option<Text<'a>>,
}

struct CallState {
    index: Option<u64>,
    id: Text<'static>,
    name: Text<'static>,
    kind: CallKind,
    /// Arguments that came before the call could open.
    pending: Text<'static>,
    opened: bool,
    /// Only kept where there are no indices.
    balance: Balance,
    /// All of the arguments so far, for servers that send snapshots.
    total: Text<'static>,
}

/// The calls of one answer.
#[derive(Default)]
pub(super) struct Calls {
    calls: Vec<CallState>,
    snapshots: bool,
    pending_bytes: usize,
}

impl Calls {
    pub(super) fn new(snapshots: bool) -> Calls {
        Calls {
            snapshots,
            ..Calls::default()
        }
    }

    /// Takes a fragment. Answers the arguments that were passed on, if nothing but that was done with them.
    pub(super) fn take<'f>(
        &mut self,
        fragment: Fragment<'f>,
        out: &mut Sink<'_>,
    ) -> Result<Option<(BlockKey, Raw<'f>)>, Error> {
        let at = self.find(&fragment);
        let at = match at {
            Some(at) => at,
            None if self.calls.len() == CALLS_MAX => {
                return Err(Error::upstream(
                    Kind::BadReply,
                    "the upstream made too many tool calls",
                ));
            }
            None => {
                self.calls.push(CallState {
                    index: fragment.index,
                    id: Text::EMPTY,
                    name: Text::EMPTY,
                    kind: fragment.kind.unwrap_or(CallKind::Function),
                    pending: Text::EMPTY,
                    opened: false,
                    balance: Balance::default(),
                    total: Text::EMPTY,
                });
                self.calls.len() - 1
            }
        };
        let key = FIRST_KEY + 2 * at as BlockKey;
        let call = &mut self.calls[at];
        // The first id and the first name count; empty or repeated ones never overwrite.
        if call.id.is_empty() {
            call.id = fragment.id.into_owned();
        }
        if call.name.is_empty() {
            call.name = fragment.name.into_owned();
        }
        if let (Some(value), false) = (fragment.signature, call.opened) {
            let proof = Proof::native(Owner::Gemini, value);
            for event in [
                Event::Open(Open::Reasoning),
                Event::Delta(Piece::Proof(proof)),
                Event::Close { whole: true },
            ] {
                out(Keyed {
                    block: key + 1,
                    event,
                })?;
            }
        }
        let as_said = fragment
            .raw
            .filter(|_| !self.snapshots && fragment.index.is_some());
        let arguments = if self.snapshots {
            call.news(fragment.arguments)
        } else {
            fragment.arguments
        };
        if fragment.index.is_none() {
            call.balance.push(arguments.as_escaped());
        }
        if !call.opened {
            let ready = !call.name.is_empty() && (!call.id.is_empty() || !arguments.is_empty());
            if !ready {
                self.pending_bytes += arguments.as_escaped().len();
                if self.pending_bytes > PENDING_BYTES_MAX {
                    return Err(nameless());
                }
                call.pending.push(&arguments);
                return Ok(None);
            }
            call.open(key, out)?;
        }
        if arguments.is_empty() {
            return Ok(None);
        }
        out(Keyed {
            block: key,
            event: Event::Delta(Piece::Arguments(arguments)),
        })?;
        Ok(as_said.map(|raw| (key, raw)))
    }

    /// Which call a fragment belongs to. None: a new one.
    fn find(&self, fragment: &Fragment<'_>) -> Option<usize> {
        let other_id = |call: &CallState| {
            !fragment.id.is_empty() && !call.id.is_empty() && call.id != fragment.id.borrow()
        };
        if let Some(index) = fragment.index {
            let at = self
                .calls
                .iter()
                .rposition(|call| call.index == Some(index))?;
            // Ollama numbers all of them 0: another id with a name is another call.
            let other = other_id(&self.calls[at]) && !fragment.name.is_empty();
            return (!other).then_some(at);
        }
        let last = self.calls.len().checked_sub(1)?;
        if !fragment.id.is_empty() {
            let same = self
                .calls
                .iter()
                .rposition(|call| call.id == fragment.id.borrow());
            if same.is_some() || other_id(&self.calls[last]) {
                return same;
            }
        }
        let begins = !fragment.name.is_empty() && !self.calls[last].name.is_empty();
        let other = begins
            && (self.calls[last].name != fragment.name.borrow()
                || self.calls[last].balance.is_whole());
        (!other).then_some(last)
    }

    /// The answer is complete: opens what waited for its id.
    ///
    /// # Errors
    /// Arguments without a name.
    pub(super) fn finish(&mut self, out: &mut Sink<'_>) -> Result<(), Error> {
        for (at, call) in self.calls.iter_mut().enumerate() {
            if call.opened {
                continue;
            }
            if !call.name.is_empty() {
                call.open(FIRST_KEY + 2 * at as BlockKey, out)?;
            } else if !call.pending.is_empty() {
                return Err(nameless());
            }
        }
        Ok(())
    }
}

impl CallState {
    fn open(&mut self, key: BlockKey, out: &mut Sink<'_>) -> Result<(), Error> {
        self.opened = true;
        let head = Opened {
            id: self.id.borrow(),
            kind: self.kind,
            name: self.name.borrow(),
            namespace: None,
        };
        out(Keyed {
            block: key,
            event: Event::Open(Open::Call(head)),
        })?;
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        out(Keyed {
            block: key,
            event: Event::Delta(Piece::Arguments(pending)),
        })
    }

    /// Of a text that repeats all before it, what is new.
    fn news<'a>(&mut self, text: Text<'a>) -> Text<'a> {
        let known = self.total.as_escaped().len();
        let repeats = text.as_escaped().starts_with(self.total.as_escaped());
        if repeats {
            self.total = text.clone().into_owned();
            text.drop_front(known)
        } else {
            self.total.push(&text);
            text
        }
    }
}

fn nameless() -> Error {
    Error::upstream(
        Kind::BadReply,
        "the upstream sent a tool call without a name",
    )
}
