//! What the reader knows of each item: under which keys its blocks are known, how much of them was sent, which have ended.

use super::emit;
use super::units::{after_units, units};
use crate::error::{Error, Kind};
use crate::protocol::neutral::{
    BlockKey, CallKind, Event, Hosted, Inside, Open, Opened, Owner, Piece, Proof, Sink,
};
use crate::protocol::responses::output::citation;
use crate::protocol::text::Text;
use crate::wire::json::{Object, Raw};

/// Items and parts of one answer; a server that sends more is not answering.
const ITEMS_MAX: usize = 16_384;

/// A part of an item, by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Of a message.
    Text(u64),
    /// Of a message.
    Refusal(u64),
    /// Of reasoning: written for readers.
    Summary(u64),
    /// Of reasoning: as it was thought.
    Raw(u64),
}

/// Where an event's text belongs.
#[derive(Clone, Copy)]
pub enum Slot {
    /// In a message.
    Said(Part),
    /// In reasoning.
    Thought(Part),
    /// In a call.
    Call,
}

impl Slot {
    /// The kind of block it becomes.
    pub fn inside(self) -> Inside {
        match self {
            Slot::Said(Part::Refusal(_)) => Inside::Refusal,
            Slot::Said(_) => Inside::Text,
            Slot::Thought(_) => Inside::Reasoning,
            Slot::Call => Inside::Call,
        }
    }

    /// The kind of item it can only be in.
    pub fn kind(self) -> ItemKind {
        match self {
            Slot::Said(_) => ItemKind::Message,
            Slot::Thought(_) => ItemKind::Reasoning,
            Slot::Call => ItemKind::Call,
        }
    }
}

/// Where a text was added.
#[derive(Clone, Copy, Default)]
pub struct Place {
    /// The block as it is known outside.
    pub key: BlockKey,
    item: usize,
    block: usize,
}

/// The kinds of items that become blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// Texts and refusals.
    Message,
    /// Thoughts.
    Reasoning,
    /// A call of the client's tool.
    Call,
    /// Anything else.
    Other,
}

/// One block, or one part of a block.
struct Block {
    part: Option<Part>,
    key: BlockKey,
    /// UTF-16 units sent: the one measure that is the same however a text is escaped and cut.
    sent: usize,
    annotations: usize,
    opened: bool,
    closed: bool,
}

impl Block {
    /// Passes a piece on; it is the block `found` of the item `at`.
    fn pass(
        &mut self,
        piece: Piece<'_>,
        at: usize,
        found: usize,
        out: &mut Sink<'_>,
    ) -> Result<Option<Place>, Error> {
        emit(self.key, Event::Delta(piece), out)?;
        Ok(Some(Place {
            key: self.key,
            item: at,
            block: found,
        }))
    }
}

struct Item {
    id: String,
    index: u64,
    kind: ItemKind,
    call: Option<String>,
    blocks: Vec<Block>,
    /// Reasoning: the part that was written last.
    last: Option<Part>,
    done: bool,
}

/// The items of one answer, in the order they appeared.
#[derive(Default)]
pub struct Items {
    list: Vec<Item>,
    keys: BlockKey,
    parts: usize,
}

impl Items {
    /// The item a delta or a part belongs to, made if it was never announced.
    pub fn find(
        &mut self,
        id: Option<&Text<'_>>,
        index: Option<u64>,
        kind: ItemKind,
    ) -> Result<usize, Error> {
        let id = id.map_or("", Text::as_escaped);
        let by_index = |item: &Item| Some(item.index) == index && item.kind == kind && !item.done;
        let found = self
            .by_id(id, kind)
            .or_else(|| self.list.iter().rposition(by_index));
        found.map_or_else(|| self.make(id, index, kind), Ok)
    }

    /// By id first: some servers count the index wrongly for parallel calls. By index then: others give each event of an
    /// item another id.
    fn by_id(&self, id: &str, kind: ItemKind) -> Option<usize> {
        let same = |item: &Item| !id.is_empty() && item.id == id && item.kind == kind;
        self.list.iter().rposition(same)
    }

    /// The item a snapshot is of. `listed`: it stands in the last event, where most of them are done already.
    fn whole(
        &mut self,
        item: &Object<'_>,
        index: Option<u64>,
        listed: bool,
    ) -> Result<usize, Error> {
        let text = |key: &str| item.get(key).and_then(Text::of).unwrap_or_default();
        let kind = kind_of(item);
        let (id, call) = (text("id"), text("call_id"));
        if let Some(at) = self.by_id(id.as_escaped(), kind) {
            return Ok(at);
        }
        let same_call = |known: &Item| match &known.call {
            Some(known) if !call.is_empty() => known == call.as_escaped(),
            _ => true,
        };
        let by_call = |known: &Item| known.call.is_some() && !call.is_empty() && same_call(known);
        let by_index = |known: &Item| {
            Some(known.index) == index
                && known.kind == kind
                && (listed || !known.done)
                && same_call(known)
        };
        let found = self
            .list
            .iter()
            .rposition(by_call)
            .or_else(|| self.list.iter().rposition(by_index));
        found.map_or_else(|| self.make(id.as_escaped(), index, kind), Ok)
    }

    fn make(&mut self, id: &str, index: Option<u64>, kind: ItemKind) -> Result<usize, Error> {
        let at = self.list.len();
        if at == ITEMS_MAX {
            return Err(too_many());
        }
        self.list.push(Item {
            id: id.to_owned(),
            index: index.unwrap_or(at as u64),
            kind,
            call: None,
            blocks: Vec::new(),
            last: None,
            done: false,
        });
        Ok(at)
    }

    fn block(&mut self, at: usize, part: Option<Part>) -> Result<(&mut Item, usize), Error> {
        let blocks = &self.list[at].blocks;
        if let Some(found) = blocks.iter().rposition(|block| block.part == part) {
            return Ok((&mut self.list[at], found));
        }
        self.parts += 1;
        if self.parts > ITEMS_MAX {
            return Err(too_many());
        }
        let item = &mut self.list[at];
        // All parts of a reasoning item are one block.
        let key = match item.blocks.first() {
            Some(first) if item.kind == ItemKind::Reasoning => first.key,
            _ => {
                self.keys += 1;
                self.keys
            }
        };
        item.blocks.push(Block {
            part,
            key,
            sent: 0,
            annotations: 0,
            opened: false,
            closed: false,
        });
        let found = item.blocks.len() - 1;
        Ok((item, found))
    }

    /// More of a part. Answers where, if it was passed on.
    pub fn delta(
        &mut self,
        at: usize,
        slot: Slot,
        text: Text<'_>,
        odds: Option<Raw<'_>>,
        out: &mut Sink<'_>,
    ) -> Result<Option<Place>, Error> {
        match slot {
            Slot::Said(part) => {
                let (item, found) = self.block(at, Some(part))?;
                let block = &mut item.blocks[found];
                if block.closed {
                    return Ok(None);
                }
                let refusal = matches!(part, Part::Refusal(_));
                if !block.opened {
                    block.opened = true;
                    let open = if refusal { Open::Refusal } else { Open::Text };
                    emit(block.key, Event::Open(open), out)?;
                }
                block.sent += units(text.as_escaped());
                let piece = if refusal {
                    Piece::Refusal(text)
                } else {
                    Piece::Text {
                        text,
                        logprobs: odds,
                    }
                };
                block.pass(piece, at, found, out)
            }
            Slot::Thought(part) => self.thought(at, part, text, out),
            Slot::Call => {
                let (item, found) = self.block(at, None)?;
                let block = &mut item.blocks[found];
                // Without its name it cannot be opened: the snapshot of the item will bring all of it.
                if !block.opened || block.closed {
                    return Ok(None);
                }
                block.sent += units(text.as_escaped());
                block.pass(Piece::Arguments(text), at, found, out)
            }
        }
    }

    /// More was passed on in that place.
    pub fn more(&mut self, place: Place, text: &Text<'_>) {
        self.list[place.item].blocks[place.block].sent += units(text.as_escaped());
    }

    fn thought(
        &mut self,
        at: usize,
        part: Part,
        text: Text<'_>,
        out: &mut Sink<'_>,
    ) -> Result<Option<Place>, Error> {
        let last = self.list[at].last;
        let summary = |part: Part| matches!(part, Part::Summary(_));
        // A server that sends both a summary and the thoughts is heard in what it began with.
        if self.list[at].done || last.is_some_and(|last| summary(last) != summary(part)) {
            return Ok(None);
        }
        self.open_thought(at, out)?;
        let (item, found) = self.block(at, Some(part))?;
        item.last = Some(part);
        let block = &mut item.blocks[found];
        if last.is_some_and(|last| last != part) {
            let between = Piece::Reasoning(Text::escaped("\\n\\n"));
            emit(block.key, Event::Delta(between), out)?;
        }
        block.sent += units(text.as_escaped());
        block.pass(Piece::Reasoning(text), at, found, out)
    }

    fn open_thought(&mut self, at: usize, out: &mut Sink<'_>) -> Result<BlockKey, Error> {
        let (item, found) = self.block(at, None)?;
        let block = &mut item.blocks[found];
        let key = block.key;
        if !block.opened {
            block.opened = true;
            emit(key, Event::Open(Open::Reasoning), out)?;
        }
        Ok(key)
    }

    /// All of a part: what of it was not sent goes on.
    pub fn snapshot(
        &mut self,
        at: usize,
        slot: Slot,
        text: Text<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let part = match slot {
            Slot::Said(part) | Slot::Thought(part) => Some(part),
            Slot::Call => None,
        };
        let blocks = &self.list[at].blocks;
        let known = blocks.iter().rfind(|block| block.part == part);
        let sent = known.map_or(0, |block| block.sent);
        let from = after_units(text.as_escaped(), sent);
        let rest = text.drop_front(from);
        if rest.is_empty() {
            return Ok(());
        }
        self.delta(at, slot, rest, None, out).map(drop)
    }

    /// A citation in a part.
    pub fn annotation(
        &mut self,
        at: usize,
        slot: Slot,
        raw: Raw<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let Slot::Said(part) = slot else {
            return Ok(());
        };
        let (item, found) = self.block(at, Some(part))?;
        let block = &mut item.blocks[found];
        block.annotations += 1;
        match citation(raw) {
            Some(annotation) if block.opened && !block.closed => {
                emit(block.key, Event::Annotation(annotation), out)
            }
            _ => Ok(()),
        }
    }

    /// `content_part.done`.
    pub fn part_done(
        &mut self,
        id: Option<&Text<'_>>,
        index: Option<u64>,
        number: u64,
        part: &Object<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let kind = part.get("type").and_then(Text::of);
        if kind.is_some_and(|kind| kind.is("reasoning_text")) {
            let at = self.find(id, index, ItemKind::Reasoning)?;
            return match part.get("text").and_then(Text::of) {
                Some(text) => self.snapshot(at, Slot::Thought(Part::Raw(number)), text, out),
                None => Ok(()),
            };
        }
        let at = self.find(id, index, ItemKind::Message)?;
        self.content(at, number, part, out)
    }

    /// A finished part of a message.
    fn content(
        &mut self,
        at: usize,
        number: u64,
        part: &Object<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let kind = part.get("type").and_then(Text::of);
        let refusal = kind.is_some_and(|kind| kind.is("refusal"));
        let (which, key) = if refusal {
            (Part::Refusal(number), "refusal")
        } else {
            (Part::Text(number), "text")
        };
        let slot = Slot::Said(which);
        if let Some(text) = part.get(key).and_then(Text::of) {
            let logprobs = part.get("logprobs").and_then(super::logprobs);
            let blocks = &self.list[at].blocks;
            let fresh = !blocks.iter().any(|block| block.part == Some(which));
            match logprobs.filter(|_| fresh && !text.is_empty()) {
                Some(odds) => {
                    self.delta(at, slot, text, Some(odds), out)?;
                }
                None => self.snapshot(at, slot, text, out)?,
            }
        }
        let annotations = part.get("annotations").and_then(|raw| raw.elements().ok());
        let (item, found) = self.block(at, Some(which))?;
        let seen = item.blocks[found].annotations;
        for annotation in annotations.into_iter().flatten().skip(seen) {
            self.annotation(at, slot, annotation, out)?;
        }
        let (item, found) = self.block(at, Some(which))?;
        let block = &mut item.blocks[found];
        if block.opened && !block.closed {
            block.closed = true;
            return emit(block.key, Event::Close { whole: true }, out);
        }
        Ok(())
    }

    /// `output_item.added`.
    pub fn added(
        &mut self,
        item: &Object<'_>,
        index: Option<u64>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let kind = kind_of(item);
        let id = item.get("id").and_then(Text::of);
        let id = id.as_ref().map_or("", Text::as_escaped);
        // An index that was given to another call is a mistake of the server, not the same item.
        let same = |known: &Item| !id.is_empty() && known.id == id && known.kind == kind;
        let at = match self.list.iter().rposition(same) {
            Some(at) => at,
            None => self.make(id, index, kind)?,
        };
        if kind == ItemKind::Call {
            self.open_call(at, item, out)?;
        }
        Ok(())
    }

    fn open_call(&mut self, at: usize, item: &Object<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
        let text = |key: &str| item.get(key).and_then(Text::of);
        let (known, found) = self.block(at, None)?;
        if known.blocks[found].opened {
            return Ok(());
        }
        let Some(name) = text("name").filter(|name| !name.is_empty()) else {
            return Ok(());
        };
        let free = text("type").is_some_and(|kind| kind.is("custom_tool_call"));
        let id = text("call_id").unwrap_or(Text::EMPTY);
        known.call = Some(id.as_escaped().to_owned());
        known.blocks[found].opened = true;
        let head = Opened {
            id,
            kind: if free {
                CallKind::Custom
            } else {
                CallKind::Function
            },
            name,
            namespace: text("namespace"),
        };
        emit(known.blocks[found].key, Event::Open(Open::Call(head)), out)
    }

    /// `output_item.done`.
    pub fn done(
        &mut self,
        item: &Object<'_>,
        index: Option<u64>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let at = self.whole(item, index, false)?;
        self.finish_item(at, item, out)
    }

    /// An item of the response's `output`: what was never announced, or never finished, goes on now.
    pub fn listed(
        &mut self,
        item: &Object<'_>,
        index: u64,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let at = self.whole(item, Some(index), true)?;
        self.finish_item(at, item, out)
    }

    fn finish_item(
        &mut self,
        at: usize,
        item: &Object<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        if self.list[at].done {
            return Ok(());
        }
        let text = |key: &str| item.get(key).and_then(Text::of);
        match self.list[at].kind {
            ItemKind::Message => {
                let parts = item.get("content").and_then(|raw| raw.elements().ok());
                for (number, part) in parts.into_iter().flatten().enumerate() {
                    if let Ok(part) = part.as_object() {
                        self.content(at, number as u64, &part, out)?;
                    }
                }
                self.close_all(at, out)?;
            }
            ItemKind::Reasoning => self.finish_thought(at, item, out)?,
            ItemKind::Call => {
                self.open_call(at, item, out)?;
                let key = if text("type").is_some_and(|kind| kind.is("custom_tool_call")) {
                    "input"
                } else {
                    "arguments"
                };
                if let Some(arguments) = text(key) {
                    self.snapshot(at, Slot::Call, arguments, out)?;
                }
                let cut = text("status").is_some_and(|status| status.is("incomplete"));
                let (known, found) = self.block(at, None)?;
                let block = &mut known.blocks[found];
                if block.opened && !block.closed {
                    block.closed = true;
                    emit(block.key, Event::Close { whole: !cut }, out)?;
                }
            }
            // Whoever writes decides what a client sees of it; the pipe names what is lost.
            ItemKind::Other => {
                if let Some(name) = text("type") {
                    self.keys += 1;
                    let hosted = Hosted {
                        name,
                        id: text("id"),
                        query: query(item),
                    };
                    emit(self.keys, Event::Open(Open::Hosted(hosted)), out)?;
                    emit(self.keys, Event::Close { whole: true }, out)?;
                }
            }
        }
        self.list[at].done = true;
        Ok(())
    }

    fn finish_thought(
        &mut self,
        at: usize,
        item: &Object<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        for (key, of) in [
            ("summary", Part::Summary as fn(u64) -> Part),
            ("content", Part::Raw as fn(u64) -> Part),
        ] {
            let parts = item.get(key).and_then(|raw| raw.elements().ok());
            for (number, part) in parts.into_iter().flatten().enumerate() {
                let Some(text) = super::inner_text(Some(part)) else {
                    continue;
                };
                self.snapshot(at, Slot::Thought(of(number as u64)), text, out)?;
            }
        }
        let proof = item.get("encrypted_content").and_then(Text::of);
        if let Some(value) = proof.filter(|value| !value.is_empty()) {
            let key = self.open_thought(at, out)?;
            let proof = Proof {
                item: item.get("id").and_then(Text::of),
                ..Proof::native(Owner::Responses, value)
            };
            emit(key, Event::Delta(Piece::Proof(proof)), out)?;
        }
        self.close_all(at, out)
    }

    /// Ends the blocks of an item that are open; the parts of reasoning are one.
    fn close_all(&mut self, at: usize, out: &mut Sink<'_>) -> Result<(), Error> {
        for block in &mut self.list[at].blocks {
            if block.opened && !block.closed {
                block.closed = true;
                emit(block.key, Event::Close { whole: true }, out)?;
            }
        }
        Ok(())
    }
}

#[cold]
fn too_many() -> Error {
    let message = format!("an answer of more than {ITEMS_MAX} parts");
    Error::upstream(Kind::BadReply, message)
}

fn kind_of(item: &Object<'_>) -> ItemKind {
    match item.get("type").and_then(Text::of) {
        Some(kind) if kind.is("message") => ItemKind::Message,
        Some(kind) if kind.is("reasoning") => ItemKind::Reasoning,
        Some(kind) if kind.is("function_call") || kind.is("custom_tool_call") => ItemKind::Call,
        _ => ItemKind::Other,
    }
}

fn query<'a>(item: &Object<'a>) -> Option<Text<'a>> {
    let action = item.get("action")?.as_object().ok()?;
    action.get("query").and_then(Text::of)
}
