//! A kept response: one text with its items as they were written, its id, its parent and its model.

use super::{Owner, number};
use crate::protocol::responses::state::{Output, item_id};
use crate::wire::json::write_string;
use std::hash::RandomState;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// What a response costs beside its text.
const ENTRY_BYTES: usize = 512;
/// What an item costs beside its text.
const ITEM_BYTES: usize = 64;

/// A finished response, to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// Its id.
    pub id: &'a str,
    /// The response it went on from.
    pub parent: Option<&'a str>,
    /// The input items that were new with it.
    pub input: &'a Joined,
    /// Its output items.
    pub output: &'a [Output<'a>],
    /// The model the client named.
    pub model: &'a str,
    /// When it was made.
    pub created_unix_s: u64,
}

/// Items joined by commas, in one text.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    text: String,
    places: Vec<Place>,
}

/// Where an item stands, and the number of its id, see [`Memory::number`].
#[derive(Clone, Debug)]
struct Place {
    range: Range<usize>,
    id: Option<u64>,
}

impl Joined {
    /// None yet, with room for about that many; they are written into `spare`, an empty vector.
    pub fn written_into(spare: Vec<u8>, items: usize) -> Joined {
        Joined {
            text: String::from_utf8(spare).unwrap_or_default(), // it is empty
            places: Vec::with_capacity(items),
        }
    }

    /// Adds an item whose id has that number, see [`Memory::number`].
    pub fn push(&mut self, item: &str, id: Option<u64>) {
        if !self.places.is_empty() {
            self.text.push(',');
        }
        let start = self.text.len();
        self.text.push_str(item);
        let range = start..self.text.len();
        self.places.push(Place { range, id });
    }

    /// The vector it was written into.
    pub fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}

/// A response that is kept.
pub struct Stored {
    owner: Owner,
    /// Input items and output items, joined by commas; behind them id, parent and model.
    text: Box<str>,
    items: Box<[Place]>,
    /// How many of the items are input.
    inputs: usize,
    id: Range<usize>,
    parent: Option<Range<usize>>,
    model: Range<usize>,
    created_unix_s: u64,
}

impl Stored {
    pub(super) fn new(owner: Owner, finished: &Finished<'_>, numbers: &RandomState) -> Stored {
        let Joined {
            text: input,
            places,
        } = finished.input;
        let output = finished.output.iter();
        let names = finished.id.len() + finished.parent.map_or(0, str::len) + finished.model.len();
        let joined = output
            .clone()
            .map(|item| item.text.len() + 1)
            .sum::<usize>();
        let mut text = String::with_capacity(input.len() + joined + names);
        let mut items = Vec::with_capacity(places.len() + finished.output.len());
        text.push_str(input);
        items.extend_from_slice(places);
        for item in output {
            if !text.is_empty() {
                text.push(',');
            }
            let start = text.len();
            text.push_str(item.text);
            let range = start..text.len();
            let id = item.id.as_deref().map(|id| number(numbers, owner, id));
            items.push(Place { range, id });
        }
        let mut name = |name: &str| {
            let start = text.len();
            text.push_str(name);
            start..text.len()
        };
        let (id, parent) = (name(finished.id), finished.parent.map(&mut name));
        let model = name(finished.model);
        Stored {
            owner,
            text: text.into(),
            items: items.into(),
            inputs: places.len(),
            id,
            parent,
            model,
            created_unix_s: finished.created_unix_s,
        }
    }

    /// What it costs.
    pub(super) fn bytes(&self) -> usize {
        ENTRY_BYTES + self.items.len() * ITEM_BYTES + self.text.len()
    }

    fn id(&self) -> &str {
        &self.text[self.id.clone()]
    }

    /// Whether it is that owner's response of that id.
    pub(super) fn is(&self, owner: Owner, id: &str) -> bool {
        self.owner == owner && self.id() == id
    }

    /// The numbers of its items' ids, and which items those are.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (u64, usize)> {
        let items = self.items.iter().enumerate();
        items.filter_map(|(at, item)| Some((item.id?, at)))
    }

    /// The response it went on from.
    pub fn parent(&self) -> Option<&str> {
        Some(&self.text[self.parent.clone()?])
    }

    /// The response object, as far as it was kept (protocols.md 2.3).
    pub fn document(&self) -> Vec<u8> {
        let mut out = b"{\"id\":".to_vec();
        write_string(&mut out, self.id());
        let created = self.created_unix_s;
        out.extend_from_slice(format!(",\"object\":\"response\",\"created_at\":{created},\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"metadata\":{{}},\"model\":").as_bytes());
        write_string(&mut out, &self.text[self.model.clone()]);
        out.extend_from_slice(b",\"output\":[");
        if let Some(first) = self.items.get(self.inputs) {
            out.extend_from_slice(&self.text.as_bytes()[first.range.start..self.id.start]);
        }
        out.extend_from_slice(b"],\"parallel_tool_calls\":true,\"previous_response_id\":");
        match self.parent() {
            Some(parent) => write_string(&mut out, parent),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"store\":true,\"temperature\":null,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null}");
        out
    }
}

/// An item of a kept response.
#[derive(Clone)]
pub struct Item {
    of: Arc<Stored>,
    at: usize,
}

impl Item {
    /// The item that stands there.
    pub(super) fn new(of: Arc<Stored>, at: usize) -> Item {
        Item { of, at }
    }

    /// Whether it is that owner's item of that id.
    pub(super) fn is(&self, owner: Owner, id: &str) -> bool {
        self.of.owner == owner && item_id(self).is_some_and(|own| own == id)
    }

    /// Those of a response, input before output.
    pub(super) fn all(of: &Arc<Stored>) -> impl Iterator<Item = Item> {
        Item::some(of, of.items.len())
    }

    /// The input items of a response.
    pub fn inputs(of: &Arc<Stored>) -> impl Iterator<Item = Item> {
        Item::some(of, of.inputs)
    }

    fn some(of: &Arc<Stored>, count: usize) -> impl Iterator<Item = Item> {
        (0..count).map(|at| Item::new(of.clone(), at))
    }
}

impl Deref for Item {
    type Target = str;

    fn deref(&self) -> &str {
        &self.of.text[self.of.items[self.at].range.clone()]
    }
}

/// The list document of input items, newest first as the vendor's default order has it.
pub fn items_document(items: &[Item]) -> Vec<u8> {
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

    fn stored(parent: Option<&str>, inputs: &[&str]) -> Arc<Stored> {
        let mut input = Joined::default();
        inputs.iter().for_each(|item| input.push(item, None));
        let output = [r#"{"id":"a"}"#, r#"{"id":"b"}"#].map(|text| Output { text, id: None });
        let finished = Finished {
            id: "resp_1",
            parent,
            input: &input,
            output: &output,
            model: "m",
            created_unix_s: 1,
        };
        Arc::new(Stored::new(Owner::ANYONE, &finished, &RandomState::new()))
    }

    #[test]
    fn the_documents_are_json() {
        for inputs in [&[][..], &[r#"{"id":"in"}"#], &["{}", r#"{"id":"in"}"#]] {
            for parent in [None, Some("p")] {
                let stored = stored(parent, inputs);
                let value: serde_json::Value = serde_json::from_slice(&stored.document()).unwrap();
                assert_eq!(value["id"], "resp_1");
                assert_eq!(value["model"], "m");
                assert_eq!(value["output"], serde_json::json!([{"id":"a"},{"id":"b"}]));
                assert_eq!(value["previous_response_id"].as_str(), parent);
                let items: Vec<Item> = Item::inputs(&stored).collect();
                let list: serde_json::Value =
                    serde_json::from_slice(&items_document(&items)).unwrap();
                assert_eq!(list["data"].as_array().unwrap().len(), inputs.len());
                let first = inputs.last().map(|_| "in");
                assert_eq!(list["first_id"].as_str(), first);
                let all: Vec<Item> = Item::all(&stored).collect();
                assert_eq!(&*all[inputs.len()], r#"{"id":"a"}"#);
                assert!(all[inputs.len()].is(Owner::ANYONE, "a"));
            }
        }
    }
}
