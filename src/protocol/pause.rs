//! A turn that an upstream pauses while a tool of its own is at work (Messages `pause_turn`): several streams, one answer. The
//! gateway asks again with what was said so far; here the joints are taken out, so that what follows sees one start, one end,
//! blocks that are never named twice and totals of all requests.

use super::messages::turn::{CONTINUATIONS_MAX, Turn};
use super::neutral::{BlockKey, Event, Keyed, Reason, Usage};
use crate::wire::sse;

/// The joints of one answer.
#[derive(Default)]
pub(super) struct Pause {
    turn: Turn,
    continued: u32,
    /// What the requests before this one cost.
    spent: Usage,
    /// What this one has cost so far.
    latest: Usage,
    /// What this stream's first block is called.
    first_key: BlockKey,
    next_key: BlockKey,
    is_paused: bool,
}

impl Pause {
    /// Takes an event of the upstream before it is read.
    pub(super) fn hear(&mut self, event: sse::Event<'_>) {
        if !self.is_paused {
            self.turn.hear(event);
        }
    }

    /// What was read, as part of the whole answer. None: it is a joint.
    pub(super) fn join<'a>(&mut self, keyed: Keyed<'a>) -> Option<Keyed<'a>> {
        let Keyed { block, event } = keyed;
        match &event {
            Event::Start(_) if self.continued > 0 => return None,
            Event::Usage(totals) => {
                self.latest = *totals;
                let event = Event::Usage(self.spent.plus(totals));
                return Some(Keyed { block, event });
            }
            Event::Finish(finish) if finish.reason == Reason::Paused => {
                self.turn.finish();
                let may_go_on = self.continued < CONTINUATIONS_MAX && !self.turn.calls();
                if may_go_on && !self.turn.said().is_empty() {
                    self.is_paused = true;
                    return None;
                }
            }
            _ => {}
        }
        let block = self.first_key.saturating_add(block);
        self.next_key = self.next_key.max(block.saturating_add(1));
        Some(Keyed { block, event })
    }

    /// Whether the upstream waits to be asked to go on.
    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// All it has said, in its own blocks.
    pub(super) fn said(&self) -> &[u8] {
        self.turn.said()
    }

    /// Another stream begins, where the last one stopped.
    pub(super) fn go_on(&mut self) {
        self.is_paused = false;
        self.continued += 1;
        self.spent = self.spent.plus(&self.latest);
        self.latest = Usage::default();
        self.first_key = self.next_key;
    }

    /// Bytes kept.
    pub(super) fn held_bytes(&self) -> usize {
        self.turn.bytes()
    }
}
