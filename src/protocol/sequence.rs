//! The one sequencer (protocols.md 8.4): keyed events that may interleave go in, one open block at a time comes out, in the
//! order of first appearance. What cannot go out yet is held, within a bound. The common case passes through untouched.

use super::balance::Balance;
use super::neutral::{
    Annotation, BlockKey, CallKind, Event, Finish, Inside, Keyed, Open, Opened, Piece, Proof,
    Reason,
};
use super::text::Text;
use crate::error::{Error, Kind};
use crate::wire::json::Raw;
use std::collections::VecDeque;

/// Bytes held back in one answer.
pub const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Blocks held back at once; each costs about 200 bytes.
const HELD_BLOCKS_MAX: usize = 4096;
/// What a held piece costs beside its bytes.
const PIECE_BYTES: usize = 64;

/// Where the ordered events go.
pub type Out<'s> = dyn FnMut(Event<'_>) -> Result<(), Error> + 's;

/// The block that is open.
struct Active {
    key: BlockKey,
    inside: Inside,
    /// Of a call's arguments; free text is never whole by itself.
    balance: Option<Balance>,
}

impl Active {
    fn of(key: BlockKey, open: &Open<'_>) -> Active {
        let balance = match open {
            Open::Call(head) if head.kind != CallKind::Custom => Some(Balance::default()),
            _ => None,
        };
        Active {
            key,
            inside: open.inside(),
            balance,
        }
    }

    /// Whether it may be closed because something else is waiting.
    fn yields(&self) -> bool {
        match self.inside {
            Inside::Call => self.balance.is_some_and(|balance| balance.is_whole()),
            _ => true,
        }
    }
}

/// A block that waits behind an open call.
struct Held {
    key: BlockKey,
    open: Open<'static>,
    pieces: Vec<HeldPiece>,
    closed: Option<bool>,
}

enum HeldPiece {
    Text(Text<'static>, Option<String>),
    Reasoning(Text<'static>),
    Proof(Proof<'static>),
    Refusal(Text<'static>),
    Arguments(Text<'static>),
    Annotation(Annotation<'static>),
}

/// Orders the events of one answer.
#[derive(Default)]
pub struct Sequencer {
    active: Option<Active>,
    waiting: VecDeque<Held>,
    /// Calls that were closed: a late fragment of one is an error, not a new block.
    closed_calls: Vec<BlockKey>,
    held_bytes: usize,
}

impl Sequencer {
    /// Takes the next event of the reader and passes on what can go out now.
    ///
    /// # Errors
    /// A fragment for a call that is closed, more held back than the bounds allow (both `BadReply`), or the error of `out`.
    pub fn push(&mut self, keyed: Keyed<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        let key = keyed.block;
        match keyed.event {
            Event::Delta(piece) => match &mut self.active {
                Some(active) if active.key == key && active.inside == piece.inside() => {
                    if let (Some(balance), Piece::Arguments(text)) = (&mut active.balance, &piece) {
                        balance.push(text.as_escaped());
                    }
                    out(Event::Delta(piece))
                }
                _ => self.stray(key, piece, out),
            },
            Event::Open(open) => self.open(key, open, out),
            Event::Close { whole } => self.close(key, whole, out),
            Event::Annotation(annotation) => self.annotation(key, annotation, out),
            Event::Finish(finish) => self.finish(finish, out),
            event @ (Event::Start(_) | Event::Usage(_)) => out(event),
        }
    }

    /// Whether more text of that block passes, and nothing is noted of it.
    pub fn passes(&self, key: BlockKey, inside: Inside) -> bool {
        let open = |active: &Active| active.key == key && active.inside == inside;
        self.active
            .as_ref()
            .is_some_and(|active| open(active) && active.balance.is_none())
    }

    /// Bytes held back now.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn open(&mut self, key: BlockKey, open: Open<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        self.advance(true, out)?;
        if self.active.is_none() {
            self.active = Some(Active::of(key, &open));
            return out(Event::Open(open));
        }
        if self.waiting.len() == HELD_BLOCKS_MAX {
            return Err(too_much());
        }
        self.waiting.push_back(Held {
            key,
            open: open.into_owned(),
            pieces: Vec::new(),
            closed: None,
        });
        Ok(())
    }

    /// A piece that does not belong to the open block.
    #[cold]
    fn stray(&mut self, key: BlockKey, piece: Piece<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        if self.closed_calls.contains(&key) {
            let Piece::Arguments(text) = &piece else {
                return Err(late());
            };
            return if text.is_blank() { Ok(()) } else { Err(late()) };
        }
        // Someone else has something to say: a block that can end does.
        self.advance(true, out)?;
        let is_open = |active: &Active| active.key == key && active.inside == piece.inside();
        if self.active.as_ref().is_some_and(is_open) {
            let event = Event::Delta(piece);
            return self.push(Keyed { block: key, event }, out);
        }
        if !self.waits(key, piece.inside()) {
            // Text that goes on after its block was closed begins a new one.
            let open = match piece.inside() {
                Inside::Text => Open::Text,
                Inside::Reasoning => Open::Reasoning,
                Inside::Refusal => Open::Refusal,
                Inside::Call | Inside::Hosted => return Err(late()),
            };
            self.open(key, open, out)?;
            if self.active.as_ref().is_some_and(|active| active.key == key) {
                return out(Event::Delta(piece));
            }
        }
        self.hold(key, HeldPiece::of(piece))
    }

    fn waits(&self, key: BlockKey, inside: Inside) -> bool {
        let last = self.waiting.iter().rev().find(|held| held.key == key);
        last.is_some_and(|held| held.closed.is_none() && held.open.inside() == inside)
    }

    fn hold(&mut self, key: BlockKey, piece: HeldPiece) -> Result<(), Error> {
        self.held_bytes += piece.bytes();
        if self.held_bytes > HELD_BYTES_MAX {
            return Err(too_much());
        }
        if let Some(held) = self.waiting.iter_mut().rev().find(|held| held.key == key) {
            held.pieces.push(piece);
        }
        Ok(())
    }

    fn close(&mut self, key: BlockKey, whole: bool, out: &mut Out<'_>) -> Result<(), Error> {
        if self.active.as_ref().is_some_and(|active| active.key == key) {
            self.end_active(whole, out)?;
            return self.advance(false, out);
        }
        if let Some(held) = self.waiting.iter_mut().rev().find(|held| held.key == key) {
            held.closed = Some(whole);
        }
        Ok(()) // else: it was closed already to let another one go on
    }

    fn annotation(
        &mut self,
        key: BlockKey,
        annotation: Annotation<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        match &self.active {
            Some(active) if active.key == key && active.inside == Inside::Text => {
                out(Event::Annotation(annotation))
            }
            _ if self.waits(key, Inside::Text) => {
                self.hold(key, HeldPiece::Annotation(annotation.into_owned()))
            }
            _ => Ok(()), // the text it belongs to is closed: nothing can carry it any more
        }
    }

    fn end_active(&mut self, whole: bool, out: &mut Out<'_>) -> Result<(), Error> {
        let Some(active) = self.active.take() else {
            return Ok(());
        };
        if active.inside == Inside::Call {
            self.closed_calls.push(active.key);
        }
        out(Event::Close { whole })
    }

    /// Lets waiting blocks out while the open one has ended or, when `more` is at hand, yields.
    fn advance(&mut self, more: bool, out: &mut Out<'_>) -> Result<(), Error> {
        loop {
            match &self.active {
                Some(active) if active.yields() && (more || !self.waiting.is_empty()) => {
                    self.end_active(true, out)?;
                }
                Some(_) => return Ok(()),
                None => {}
            }
            let Some(held) = self.waiting.pop_front() else {
                return Ok(());
            };
            self.release(held, out)?;
        }
    }

    /// Opens a held block and writes what was held of it.
    fn release(&mut self, held: Held, out: &mut Out<'_>) -> Result<(), Error> {
        let mut active = Active::of(held.key, &held.open);
        out(Event::Open(held.open))?;
        for piece in held.pieces {
            self.held_bytes = self.held_bytes.saturating_sub(piece.bytes());
            if let (Some(balance), HeldPiece::Arguments(text)) = (&mut active.balance, &piece) {
                balance.push(text.as_escaped());
            }
            piece.emit(out)?;
        }
        self.active = Some(active);
        match held.closed {
            Some(whole) => self.end_active(whole, out),
            None => Ok(()),
        }
    }

    /// Everything goes out in order. At the output limit a call whose arguments are not whole was cut.
    fn finish(&mut self, finish: Finish<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        loop {
            if let Some(active) = &self.active {
                let cut = active.inside == Inside::Call
                    && matches!(finish.reason, Reason::Length | Reason::Filtered)
                    && !active.yields();
                self.end_active(!cut, out)?;
            }
            let Some(held) = self.waiting.pop_front() else {
                return out(Event::Finish(finish));
            };
            self.release(held, out)?;
        }
    }
}

impl HeldPiece {
    fn of(piece: Piece<'_>) -> HeldPiece {
        match piece {
            Piece::Text { text, logprobs } => {
                HeldPiece::Text(text.into_owned(), logprobs.map(|raw| raw.text().to_owned()))
            }
            Piece::Reasoning(text) => HeldPiece::Reasoning(text.into_owned()),
            Piece::Proof(proof) => HeldPiece::Proof(proof.into_owned()),
            Piece::Refusal(text) => HeldPiece::Refusal(text.into_owned()),
            Piece::Arguments(text) => HeldPiece::Arguments(text.into_owned()),
        }
    }

    fn bytes(&self) -> usize {
        let inside = match self {
            HeldPiece::Text(text, logprobs) => {
                text.as_escaped().len() + logprobs.as_ref().map_or(0, String::len)
            }
            HeldPiece::Reasoning(text) | HeldPiece::Refusal(text) | HeldPiece::Arguments(text) => {
                text.as_escaped().len()
            }
            HeldPiece::Proof(proof) => proof.value.as_escaped().len(),
            HeldPiece::Annotation(annotation) => annotation.bytes(),
        };
        inside + PIECE_BYTES
    }

    fn emit(self, out: &mut Out<'_>) -> Result<(), Error> {
        match self {
            HeldPiece::Text(text, logprobs) => {
                let logprobs = logprobs.as_deref().and_then(|json| Raw::parse(json).ok());
                out(Event::Delta(Piece::Text { text, logprobs }))
            }
            HeldPiece::Reasoning(text) => out(Event::Delta(Piece::Reasoning(text))),
            HeldPiece::Proof(proof) => out(Event::Delta(Piece::Proof(proof))),
            HeldPiece::Refusal(text) => out(Event::Delta(Piece::Refusal(text))),
            HeldPiece::Arguments(text) => out(Event::Delta(Piece::Arguments(text))),
            HeldPiece::Annotation(annotation) => out(Event::Annotation(annotation)),
        }
    }
}

impl Open<'_> {
    /// The same, owning its bytes.
    pub fn into_owned(self) -> Open<'static> {
        match self {
            Open::Text => Open::Text,
            Open::Reasoning => Open::Reasoning,
            Open::Refusal => Open::Refusal,
            Open::Call(head) => Open::Call(head.into_owned()),
            Open::Hosted(hosted) => Open::Hosted(hosted.into_owned()),
        }
    }
}

impl Opened<'_> {
    /// The same, owning its bytes.
    pub fn into_owned(self) -> Opened<'static> {
        Opened {
            id: self.id.into_owned(),
            kind: self.kind,
            name: self.name.into_owned(),
            namespace: self.namespace.map(Text::into_owned),
        }
    }
}

#[cold]
fn late() -> Error {
    Error::upstream(
        Kind::BadReply,
        "the upstream sent more of a tool call that it had ended",
    )
}

#[cold]
fn too_much() -> Error {
    Error::upstream(
        Kind::BadReply,
        "the upstream interleaved more of an answer than is held back",
    )
}

#[cfg(test)]
mod tests;
