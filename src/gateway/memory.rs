//! What Responses clients may refer to when their upstream has no Responses API: bounded, in memory, per client key.
//! It keeps raw JSON: per response its new input items, its output items and a parent. A conversation is one chain and is
//! forgotten as a whole, the one that was used longest ago first. Nothing relies on it: a miss is an error that clients
//! answer by sending the whole conversation.

use super::config::{ClientKey, ResponsesStore};
use crate::wire::json::write_string;
use crate::wire::text::sha256;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What an entry costs beside its items.
const ENTRY_BYTES: usize = 512;

/// Whose responses they are: a digest of the client's key, the same for everyone where none is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner([u8; 16]);

impl Owner {
    /// The owner that shows that key.
    pub fn of(key: Option<&ClientKey>) -> Owner {
        let digest = sha256(key.map_or(&b""[..], |key| key.key.expose().as_bytes()));
        let mut owner = [0; 16];
        owner.copy_from_slice(&digest[..16]);
        Owner(owner)
    }
}

/// A finished response, to be kept.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its id.
    pub id: String,
    /// The response it went on from.
    pub parent: Option<String>,
    /// The input items that were new with it.
    pub input: Vec<Arc<str>>,
    /// Its output items.
    pub output: Vec<Arc<str>>,
    /// The model the client named.
    pub model: String,
    /// When it was made.
    pub created_unix_s: u64,
}

struct Entry {
    finished: Finished,
    chain: u64,
}

struct Chain {
    bytes: usize,
    used_at: Instant,
    ids: Vec<(Owner, String)>,
}

#[derive(Default)]
struct Inner {
    responses: HashMap<(Owner, String), Entry>,
    items: HashMap<(Owner, String), Arc<str>>,
    chains: HashMap<u64, Chain>,
    /// All chains, the one that was used longest ago first.
    by_use: BTreeSet<(Instant, u64)>,
    chains_made: u64,
    bytes: usize,
}

/// All that is kept.
#[derive(Default)]
pub struct Memory(Mutex<Inner>);

impl Memory {
    fn inner(&self, limits: ResponsesStore, now: Instant) -> MutexGuard<'_, Inner> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(used_at, chain)) = inner.by_use.first()
            && now.saturating_duration_since(used_at) > limits.keep
        {
            inner.forget_chain(chain);
        }
        inner
    }

    /// Keeps a response. One that is larger than everything may be is not kept, and neither is its conversation.
    pub fn keep(&self, owner: Owner, finished: Finished, limits: ResponsesStore, now: Instant) {
        if limits.bytes_max == 0 {
            return;
        }
        let mut inner = self.inner(limits, now);
        let key = (owner, finished.id.clone());
        inner.forget(&key);
        let parent = finished
            .parent
            .as_ref()
            .and_then(|parent| inner.responses.get(&(owner, parent.clone())));
        let chain = match parent {
            Some(parent) => parent.chain,
            None => {
                inner.chains_made += 1;
                inner.chains_made
            }
        };
        let all = || finished.input.iter().chain(&finished.output);
        let bytes = ENTRY_BYTES + all().map(|item| item.len()).sum::<usize>();
        for item in all() {
            if let Some(id) = crate::protocol::responses::state::item_id(item) {
                inner.items.insert((owner, id), item.clone());
            }
        }
        let entry = inner.chains.entry(chain).or_insert_with(|| Chain {
            bytes: 0,
            used_at: now,
            ids: Vec::new(),
        });
        entry.bytes += bytes;
        entry.ids.push(key.clone());
        inner.use_chain(chain, now);
        inner.bytes += bytes;
        inner.responses.insert(key, Entry { finished, chain });
        let room = usize::try_from(limits.bytes_max).unwrap_or(usize::MAX);
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
    ) -> Option<Vec<Arc<str>>> {
        let mut inner = self.inner(limits, now);
        let mut responses = Vec::new();
        let mut next = Some(id.to_string());
        let mut chain = 0;
        while let Some(id) = next {
            let entry = inner.responses.get(&(owner, id))?;
            chain = entry.chain;
            next = entry.finished.parent.clone();
            responses.push(&entry.finished);
        }
        let items = responses
            .iter()
            .rev()
            .flat_map(|response| response.input.iter().chain(&response.output));
        let items = items.cloned().collect();
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
    ) -> Option<Arc<str>> {
        self.inner(limits, now)
            .items
            .get(&(owner, id.to_string()))
            .cloned()
    }

    /// A response as it was kept.
    pub fn response(
        &self,
        owner: Owner,
        id: &str,
        limits: ResponsesStore,
        now: Instant,
    ) -> Option<Finished> {
        let inner = self.inner(limits, now);
        inner
            .responses
            .get(&(owner, id.to_string()))
            .map(|entry| entry.finished.clone())
    }

    /// Forgets one response; what went on from it can no longer be gone on from. False: it is not here.
    pub fn forget(&self, owner: Owner, id: &str, limits: ResponsesStore, now: Instant) -> bool {
        self.inner(limits, now).forget(&(owner, id.to_string()))
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

impl Inner {
    fn forget(&mut self, key: &(Owner, String)) -> bool {
        let Some(entry) = self.responses.remove(key) else {
            return false;
        };
        let items = entry.finished.input.iter().chain(&entry.finished.output);
        let bytes = ENTRY_BYTES + items.clone().map(|item| item.len()).sum::<usize>();
        for item in items {
            let Some(id) = crate::protocol::responses::state::item_id(item) else {
                continue;
            };
            let place = (key.0, id);
            // Only its own: a later response may have brought the item again.
            if self
                .items
                .get(&place)
                .is_some_and(|kept| Arc::ptr_eq(kept, item))
            {
                self.items.remove(&place);
            }
        }
        self.bytes -= bytes;
        if let Some(chain) = self.chains.get_mut(&entry.chain) {
            chain.bytes -= bytes;
            chain.ids.retain(|id| id != key);
            if chain.ids.is_empty() {
                self.forget_chain(entry.chain);
            }
        }
        true
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
        for key in chain.ids {
            self.forget(&key);
        }
    }
}

impl Finished {
    /// The response object, as far as it was kept (protocols.md 2.3).
    pub fn document(&self) -> Vec<u8> {
        let mut out = b"{\"id\":".to_vec();
        write_string(&mut out, &self.id);
        let created = self.created_unix_s;
        out.extend_from_slice(format!(",\"object\":\"response\",\"created_at\":{created},\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"metadata\":{{}},\"model\":").as_bytes());
        write_string(&mut out, &self.model);
        out.extend_from_slice(b",\"output\":[");
        out.extend_from_slice(self.output.join(",").as_bytes());
        out.extend_from_slice(b"],\"parallel_tool_calls\":true,\"previous_response_id\":");
        match &self.parent {
            Some(parent) => write_string(&mut out, parent),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"store\":true,\"temperature\":null,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null}");
        out
    }
}

/// The list document of input items, newest first as the vendor's default order has it.
pub fn items_document(items: &[Arc<str>]) -> Vec<u8> {
    use crate::protocol::responses::state::item_id;
    let newest_first: Vec<&str> = items.iter().rev().map(|item| &**item).collect();
    let mut out = b"{\"object\":\"list\",\"data\":[".to_vec();
    out.extend_from_slice(newest_first.join(",").as_bytes());
    out.extend_from_slice(b"],\"first_id\":");
    let write_id =
        |out: &mut Vec<u8>, item: Option<&&str>| match item.and_then(|item| item_id(item)) {
            Some(id) => write_string(out, &id),
            None => out.extend_from_slice(b"null"),
        };
    write_id(&mut out, newest_first.first());
    out.extend_from_slice(b",\"last_id\":");
    write_id(&mut out, newest_first.last());
    out.extend_from_slice(b",\"has_more\":false}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: ResponsesStore = ResponsesStore {
        bytes_max: 10_000,
        keep: Duration::from_secs(3600),
    };

    fn finished(id: &str, parent: Option<&str>, size: usize) -> Finished {
        Finished {
            id: id.into(),
            parent: parent.map(Into::into),
            input: vec![format!(r#"{{"id":"in_{id}","text":"{}"}}"#, "x".repeat(size)).into()],
            output: vec![format!(r#"{{"id":"out_{id}"}}"#).into()],
            model: "m".into(),
            created_unix_s: 1,
        }
    }

    fn nobody() -> Owner {
        Owner::of(None)
    }

    #[test]
    fn a_conversation_is_put_together_from_its_responses() {
        let (memory, now) = (Memory::default(), Instant::now());
        memory.keep(nobody(), finished("a", None, 1), LIMITS, now);
        memory.keep(nobody(), finished("b", Some("a"), 1), LIMITS, now);
        memory.keep(nobody(), finished("c", Some("a"), 1), LIMITS, now);
        let ids = |id: &str| {
            let items = memory.conversation(nobody(), id, LIMITS, now).unwrap();
            items
                .iter()
                .map(|item| crate::protocol::responses::state::item_id(item).unwrap())
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
        memory.keep(nobody(), finished("a", None, 1), LIMITS, now);
        assert!(memory.conversation(other, "a", LIMITS, now).is_none());
        assert!(memory.item(other, "in_a", LIMITS, now).is_none());
        assert!(!memory.forget(other, "a", LIMITS, now));
    }

    #[test]
    fn whole_chains_go_the_longest_unused_first() {
        let (memory, now) = (Memory::default(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        memory.keep(nobody(), finished("a", None, 3000), LIMITS, now);
        memory.keep(nobody(), finished("b", None, 3000), LIMITS, later(1));
        memory.keep(nobody(), finished("a2", Some("a"), 100), LIMITS, later(2));
        memory.keep(nobody(), finished("c", None, 3000), LIMITS, later(3));
        assert!(memory.response(nobody(), "b", LIMITS, later(3)).is_none());
        assert!(memory.response(nobody(), "a", LIMITS, later(3)).is_some());
        memory.keep(nobody(), finished("d", None, 3000), LIMITS, later(4));
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
        memory.keep(nobody(), finished("a", None, 100), LIMITS, now);
        let late = now + LIMITS.keep + Duration::from_secs(1);
        assert!(memory.conversation(nobody(), "a", LIMITS, late).is_none());
        memory.keep(nobody(), finished("big", None, 20_000), LIMITS, late);
        assert!(memory.response(nobody(), "big", LIMITS, late).is_none());
        assert_eq!(memory.bytes(), 0);
        let inner = memory.0.lock().unwrap();
        assert!(inner.responses.is_empty() && inner.items.is_empty());
        assert!(inner.chains.is_empty() && inner.by_use.is_empty());
    }

    #[test]
    fn the_same_id_twice_is_kept_once() {
        let (memory, now) = (Memory::default(), Instant::now());
        for size in [3000, 10] {
            memory.keep(nobody(), finished("a", None, size), LIMITS, now);
        }
        assert!(memory.bytes() < 3000);
        assert!(memory.forget(nobody(), "a", LIMITS, now));
        assert_eq!(memory.bytes(), 0);
        assert!(memory.0.lock().unwrap().by_use.is_empty());
    }

    #[test]
    fn a_forgotten_response_takes_its_items_along() {
        let (memory, now) = (Memory::default(), Instant::now());
        memory.keep(nobody(), finished("a", None, 1), LIMITS, now);
        memory.keep(nobody(), finished("b", Some("a"), 1), LIMITS, now);
        assert!(memory.forget(nobody(), "a", LIMITS, now));
        assert!(memory.conversation(nobody(), "b", LIMITS, now).is_none());
        assert!(memory.item(nobody(), "in_a", LIMITS, now).is_none());
        assert!(memory.item(nobody(), "in_b", LIMITS, now).is_some());
    }

    #[test]
    fn the_documents_are_json() {
        let document = finished("a", Some("p"), 1).document();
        let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(value["output"][0]["id"], "out_a");
        assert_eq!(value["previous_response_id"], "p");
        let list: serde_json::Value =
            serde_json::from_slice(&items_document(&finished("a", None, 1).input)).unwrap();
        assert_eq!(list["first_id"], "in_a");
    }
}
