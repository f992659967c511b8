//! What Responses clients may refer to when their upstream has no Responses API: bounded, in memory, per client key.
//! It keeps raw JSON: per response one text with its new input items and its output items as they were written, and a parent.
//! A conversation is one chain and is forgotten as a whole, the one that was used longest ago first. Nothing relies on it: a
//! miss is an error that clients answer by sending the whole conversation.
//!
//! All threads share it, so what is done under its lock is a few look-ups by number: texts are joined and ids are read before.

mod stored;

use super::config::{ClientKey, ResponsesStore};
use crate::wire::text::sha256;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use stored::{Finished, Item, Joined, Stored, items_document};

/// Whose responses they are: a digest of the client's key, the same for everyone where none is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner([u8; 16]);

impl fmt::Debug for Owner {
    /// Nothing of it: a short key could be guessed from its digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner")
    }
}

impl Owner {
    /// The owner where no keys are asked for.
    pub const ANYONE: Owner = Owner([0; 16]);

    /// The owner that shows that key.
    pub fn of(key: Option<&ClientKey>) -> Owner {
        key.map_or(Owner::ANYONE, |key| key.owner)
    }

    /// The owner of that key.
    pub fn of_key(key: &str) -> Owner {
        let digest = sha256(key.as_bytes());
        let mut owner = [0; 16];
        owner.copy_from_slice(&digest[..16]);
        Owner(owner)
    }
}

/// The number under which an owner's id is kept. Of two that have the same one, the earlier is forgotten: one in 2^64 pairs,
/// and nobody outside knows which.
fn number(numbers: &RandomState, owner: Owner, id: &str) -> u64 {
    numbers.hash_one((owner, id))
}

/// For keys that are numbers already.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Numbered<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;

struct Entry {
    stored: Arc<Stored>,
    chain: u64,
}

struct Chain {
    bytes: usize,
    used_at: Instant,
    responses: Vec<u64>,
}

#[derive(Default)]
struct Inner {
    responses: Numbered<Entry>,
    /// The response an item came with, and its place there.
    items: Numbered<(u64, usize)>,
    chains: Numbered<Chain>,
    /// All chains, the one that was used longest ago first.
    by_use: BTreeSet<(Instant, u64)>,
    chains_made: u64,
    bytes: usize,
}

/// All that is kept.
#[derive(Default)]
pub struct Memory {
    numbers: RandomState,
    inner: Mutex<Inner>,
}

impl Memory {
    fn inner(&self, limits: ResponsesStore, now: Instant) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(used_at, chain)) = inner.by_use.first()
            && now.saturating_duration_since(used_at) > limits.keep
        {
            inner.forget_chain(chain);
        }
        inner
    }

    /// The number under which an item of that id is found.
    pub fn number(&self, owner: Owner, id: &str) -> u64 {
        number(&self.numbers, owner, id)
    }

    /// Keeps a response. One that is larger than everything may be is not kept.
    pub fn keep(
        &self,
        owner: Owner,
        finished: &Finished<'_>,
        limits: ResponsesStore,
        now: Instant,
    ) {
        let room = usize::try_from(limits.bytes_max).unwrap_or(usize::MAX);
        if room == 0 {
            return;
        }
        let stored = Stored::new(owner, finished, &self.numbers);
        let bytes = stored.bytes();
        if bytes > room {
            return;
        }
        let number = |id: &str| number(&self.numbers, owner, id);
        let (key, parent) = (number(finished.id), finished.parent.map(number));
        let mut inner = self.inner(limits, now);
        inner.forget(key);
        let parent = parent.and_then(|parent| inner.responses.get(&parent));
        let parent =
            parent.filter(|found| finished.parent.is_some_and(|id| found.stored.is(owner, id)));
        let chain = match parent {
            Some(parent) => parent.chain,
            None => {
                inner.chains_made += 1;
                inner.chains_made
            }
        };
        for (item, at) in stored.numbers() {
            inner.items.insert(item, (key, at));
        }
        let entry = inner.chains.entry(chain).or_insert_with(|| Chain {
            bytes: 0,
            used_at: now,
            responses: Vec::with_capacity(1),
        });
        entry.bytes += bytes;
        entry.responses.push(key);
        inner.use_chain(chain, now);
        inner.bytes += bytes;
        let stored = Arc::new(stored);
        inner.responses.insert(key, Entry { stored, chain });
        while inner.bytes > room
            && let Some(&(_, oldest)) = inner.by_use.first()
        {
            inner.forget_chain(oldest);
        }
    }

    /// All items of the conversation up to and with that response, oldest first. None: it is not all here.
    pub fn conversation(
        &self,
        owner: Owner,
        id: &str,
        limits: ResponsesStore,
        now: Instant,
    ) -> Option<Vec<Item>> {
        let mut inner = self.inner(limits, now);
        let mut responses = Vec::new();
        let mut next = Some(id);
        let mut chain = 0;
        while let Some(id) = next {
            let key = number(&self.numbers, owner, id);
            let entry = inner.responses.get(&key)?;
            if !entry.stored.is(owner, id) {
                return None;
            }
            chain = entry.chain;
            next = entry.stored.parent();
            responses.push(&entry.stored);
        }
        let items = responses.into_iter().rev().flat_map(Item::all).collect();
        inner.use_chain(chain, now);
        Some(items)
    }

    /// An item by its own id.
    pub fn item(
        &self,
        owner: Owner,
        id: &str,
        limits: ResponsesStore,
        now: Instant,
    ) -> Option<Item> {
        let number = number(&self.numbers, owner, id);
        let inner = self.inner(limits, now);
        let &(response, at) = inner.items.get(&number)?;
        let of = inner.responses.get(&response)?.stored.clone();
        drop(inner);
        let item = Item::new(of, at);
        item.is(owner, id).then_some(item)
    }

    /// A response as it was kept.
    pub fn response(
        &self,
        owner: Owner,
        id: &str,
        limits: ResponsesStore,
        now: Instant,
    ) -> Option<Arc<Stored>> {
        let key = number(&self.numbers, owner, id);
        let inner = self.inner(limits, now);
        let stored = &inner.responses.get(&key)?.stored;
        stored.is(owner, id).then(|| stored.clone())
    }

    /// Forgets one response; what went on from it can no longer be gone on from. False: it is not here.
    pub fn forget(&self, owner: Owner, id: &str, limits: ResponsesStore, now: Instant) -> bool {
        let key = number(&self.numbers, owner, id);
        let mut inner = self.inner(limits, now);
        let found = inner.responses.get(&key);
        let is_here = found.is_some_and(|found| found.stored.is(owner, id));
        if is_here {
            inner.forget(key);
        }
        is_here
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.bytes
    }
}

impl Inner {
    fn forget(&mut self, key: u64) {
        let Some(Entry { stored, chain: id }) = self.responses.remove(&key) else {
            return;
        };
        for (item, at) in stored.numbers() {
            // Only its own: a later response may have brought the item again.
            if self.items.get(&item) == Some(&(key, at)) {
                self.items.remove(&item);
            }
        }
        let bytes = stored.bytes();
        self.bytes -= bytes;
        if let Some(chain) = self.chains.get_mut(&id) {
            chain.bytes -= bytes;
            chain.responses.retain(|other| *other != key);
            if chain.responses.is_empty() {
                self.forget_chain(id);
            }
        }
    }

    fn use_chain(&mut self, id: u64, now: Instant) {
        if let Some(chain) = self.chains.get_mut(&id) {
            self.by_use.remove(&(chain.used_at, id));
            chain.used_at = now;
            self.by_use.insert((now, id));
        }
    }

    fn forget_chain(&mut self, id: u64) {
        let Some(chain) = self.chains.remove(&id) else {
            return;
        };
        self.by_use.remove(&(chain.used_at, id));
        for key in chain.responses {
            self.forget(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::responses::state::{Output, item_id};
    use std::time::Duration;

    const LIMITS: ResponsesStore = ResponsesStore {
        bytes_max: 10_000,
        keep: Duration::from_secs(3600),
    };

    fn keep(memory: &Memory, id: &str, parent: Option<&str>, size: usize, now: Instant) {
        let mut input = Joined::default();
        let item = format!(r#"{{"id":"in_{id}","text":"{}"}}"#, "x".repeat(size));
        input.push(&item, Some(memory.number(nobody(), &format!("in_{id}"))));
        let output = Output {
            text: &format!(r#"{{"id":"out_{id}"}}"#),
            id: Some(format!("out_{id}").into()),
        };
        let finished = Finished {
            id,
            parent,
            input: &input,
            output: &[output],
            model: "m",
            created_unix_s: 1,
        };
        memory.keep(nobody(), &finished, LIMITS, now);
    }

    fn nobody() -> Owner {
        Owner::ANYONE
    }

    #[test]
    fn a_conversation_is_put_together_from_its_responses() {
        let (memory, now) = (Memory::default(), Instant::now());
        keep(&memory, "a", None, 1, now);
        keep(&memory, "b", Some("a"), 1, now);
        keep(&memory, "c", Some("a"), 1, now);
        let ids = |id: &str| {
            let items = memory.conversation(nobody(), id, LIMITS, now).unwrap();
            items
                .iter()
                .map(|item| item_id(item).unwrap().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("b"), ["in_a", "out_a", "in_b", "out_b"]);
        assert_eq!(ids("c"), ["in_a", "out_a", "in_c", "out_c"]);
        assert!(memory.item(nobody(), "out_c", LIMITS, now).is_some());
        assert!(memory.conversation(nobody(), "d", LIMITS, now).is_none());
    }

    #[test]
    fn nothing_is_seen_under_another_key() {
        let (memory, now) = (Memory::default(), Instant::now());
        let other = Owner([7; 16]);
        keep(&memory, "a", None, 1, now);
        assert!(memory.conversation(other, "a", LIMITS, now).is_none());
        assert!(memory.item(other, "in_a", LIMITS, now).is_none());
        assert!(!memory.forget(other, "a", LIMITS, now));
    }

    #[test]
    fn whole_chains_go_the_longest_unused_first() {
        let (memory, now) = (Memory::default(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        keep(&memory, "a", None, 3000, now);
        keep(&memory, "b", None, 3000, later(1));
        keep(&memory, "a2", Some("a"), 100, later(2));
        keep(&memory, "c", None, 3000, later(3));
        assert!(memory.response(nobody(), "b", LIMITS, later(3)).is_none());
        assert!(memory.response(nobody(), "a", LIMITS, later(3)).is_some());
        keep(&memory, "d", None, 3000, later(4));
        for id in ["a", "a2"] {
            assert!(
                memory.response(nobody(), id, LIMITS, later(4)).is_none(),
                "{id}"
            );
        }
        assert!(memory.bytes() <= 10_000);
    }

    #[test]
    fn what_was_not_used_for_its_time_and_what_never_fits_is_gone_without_a_trace() {
        let (memory, now) = (Memory::default(), Instant::now());
        keep(&memory, "a", None, 100, now);
        let late = now + LIMITS.keep + Duration::from_secs(1);
        assert!(memory.conversation(nobody(), "a", LIMITS, late).is_none());
        keep(&memory, "big", None, 20_000, late);
        assert!(memory.response(nobody(), "big", LIMITS, late).is_none());
        assert_eq!(memory.bytes(), 0);
        let inner = memory.inner.lock().unwrap();
        assert!(inner.responses.is_empty() && inner.items.is_empty());
        assert!(inner.chains.is_empty() && inner.by_use.is_empty());
    }

    #[test]
    fn the_same_id_twice_is_kept_once() {
        let (memory, now) = (Memory::default(), Instant::now());
        for size in [3000, 10] {
            keep(&memory, "a", None, size, now);
        }
        assert!(memory.bytes() < 3000);
        assert!(memory.forget(nobody(), "a", LIMITS, now));
        assert_eq!(memory.bytes(), 0);
        assert!(memory.inner.lock().unwrap().by_use.is_empty());
    }

    #[test]
    fn a_forgotten_response_takes_its_items_along() {
        let (memory, now) = (Memory::default(), Instant::now());
        keep(&memory, "a", None, 1, now);
        keep(&memory, "b", Some("a"), 1, now);
        assert!(memory.forget(nobody(), "a", LIMITS, now));
        assert!(memory.conversation(nobody(), "b", LIMITS, now).is_none());
        assert!(memory.item(nobody(), "in_a", LIMITS, now).is_none());
        assert!(memory.item(nobody(), "in_b", LIMITS, now).is_some());
    }

    #[test]
    fn what_never_fits_takes_nothing_else_along() {
        let (memory, now) = (Memory::default(), Instant::now());
        keep(&memory, "a", None, 100, now);
        keep(&memory, "big", Some("a"), 20_000, now);
        assert!(memory.response(nobody(), "big", LIMITS, now).is_none());
        assert!(memory.conversation(nobody(), "a", LIMITS, now).is_some());
    }

    #[test]
    fn an_item_is_found_where_it_came_last() {
        let (memory, now) = (Memory::default(), Instant::now());
        keep(&memory, "a", None, 1, now);
        let mut input = Joined::written_into(Vec::with_capacity(64), 2);
        input.push("{}", None);
        let number = memory.number(nobody(), "in_a");
        input.push(r#"{"x":1,"id":"in_a"}"#, Some(number));
        let again = Finished {
            id: "b",
            parent: None,
            input: &input,
            output: &[],
            model: "m",
            created_unix_s: 1,
        };
        memory.keep(nobody(), &again, LIMITS, now);
        let item = || memory.item(nobody(), "in_a", LIMITS, now);
        assert_eq!(&*item().unwrap(), r#"{"x":1,"id":"in_a"}"#);
        assert!(memory.forget(nobody(), "a", LIMITS, now));
        assert!(item().is_some());
        assert!(memory.forget(nobody(), "b", LIMITS, now));
        assert!(item().is_none());
        assert_eq!(memory.bytes(), 0);
    }
}
