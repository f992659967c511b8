//! What an answer says, in events and whole. Readers emit [`Keyed`] events in the order the upstream sent them; the
//! sequencer makes the one-open-block grammar of them; writers may rely on it.

use super::{CallKind, Proof};
use crate::error::{Error, Kind};
use crate::protocol::text::Text;
use crate::wire::json::Raw;

/// Names a block while it is being read. Keys are the reader's own, any numbers, never reused in one answer.
pub type BlockKey = u32;

/// An event and the block it belongs to. Start, Usage and Finish belong to none: their key is not looked at.
#[derive(Debug)]
pub struct Keyed<'a> {
    /// The block.
    pub block: BlockKey,
    /// What happened.
    pub event: Event<'a>,
}

/// Where a reader's events go. An error from it ends the reading.
pub type Sink<'s> = dyn FnMut(Keyed<'_>) -> Result<(), Error> + 's;

/// One step of an answer: `Start (Open (Delta | Annotation)* Close)* Finish`, and Usage anywhere between Start and Finish.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The upstream has begun to answer.
    Start(Start<'a>),
    /// A block begins.
    Open(Open<'a>),
    /// More of the open block.
    Delta(Piece<'a>),
    /// A citation in the open text block.
    Annotation(Annotation<'a>),
    /// The open block ends. `whole: false`: it was cut inside (a call at the output limit): nothing that a client could act
    /// on may be written for it.
    Close {
        /// See above.
        whole: bool,
    },
    /// Totals so far; a later one replaces an earlier one.
    Usage(Usage),
    /// The answer ends.
    Finish(Finish<'a>),
}

/// The beginning of an answer.
#[derive(Clone, Debug, Default)]
pub struct Start<'a> {
    /// The upstream's id; clients get ours, which may keep its tail when the answer is whole (protocols.md 7.1).
    pub id: Option<Text<'a>>,
    /// The upstream's name of the model.
    pub model: Option<Text<'a>>,
    /// Unix seconds.
    pub created: Option<u64>,
    /// The tier that served it, in the upstream's words.
    pub tier: Option<Text<'a>>,
}

/// What kind of block begins.
#[derive(Clone, Debug)]
pub enum Open<'a> {
    /// Visible text.
    Text,
    /// Thoughts.
    Reasoning,
    /// A refusal in words.
    Refusal,
    /// A call of a client's tool. From a reader: the form and names of the upstream. To a writer: those of the client.
    Call(Opened<'a>),
    /// Work of the vendor's own tool. It has no deltas: Open and Close come together.
    Hosted(Hosted<'a>),
}

/// The head of a call.
#[derive(Clone, Debug)]
pub struct Opened<'a> {
    /// Empty: the upstream gave none (the pipe makes one).
    pub id: Text<'a>,
    /// The form of the arguments that follow.
    pub kind: CallKind,
    /// The tool.
    pub name: Text<'a>,
    /// Responses clients: the namespace the tool was declared in.
    pub namespace: Option<Text<'a>>,
}

/// Work of a tool that the vendor executed.
#[derive(Clone, Debug)]
pub struct Hosted<'a> {
    /// The upstream's name for it: `web_search_call`, `server_tool_use`, `mcp_call`, …
    pub name: Text<'a>,
    /// The upstream's id of it.
    pub id: Option<Text<'a>>,
    /// What was searched, for a web search.
    pub query: Option<Text<'a>>,
}

impl Hosted<'_> {
    /// The same, owning its bytes.
    pub fn into_owned(self) -> Hosted<'static> {
        Hosted {
            name: self.name.into_owned(),
            id: self.id.map(Text::into_owned),
            query: self.query.map(Text::into_owned),
        }
    }
}

/// More of a block. Its kind fits the block's.
#[derive(Clone, Debug)]
pub enum Piece<'a> {
    /// Of a text block.
    Text {
        /// The text.
        text: Text<'a>,
        /// An array of OpenAI's token objects, when they were asked for.
        logprobs: Option<Raw<'a>>,
    },
    /// Of a reasoning block.
    Reasoning(Text<'a>),
    /// The proof of a reasoning block; at most once per block, before its close.
    Proof(Proof<'a>),
    /// Of a refusal block.
    Refusal(Text<'a>),
    /// Of a call: more of the argument text.
    Arguments(Text<'a>),
}

impl<'a> Piece<'a> {
    /// Text without log probabilities.
    pub fn text(text: Text<'a>) -> Piece<'a> {
        Piece::Text {
            text,
            logprobs: None,
        }
    }

    /// More text of a block of that kind. A hosted tool has none.
    pub fn of(inside: Inside, text: Text<'a>) -> Piece<'a> {
        match inside {
            Inside::Text | Inside::Hosted => Piece::text(text),
            Inside::Reasoning => Piece::Reasoning(text),
            Inside::Refusal => Piece::Refusal(text),
            Inside::Call => Piece::Arguments(text),
        }
    }
}

/// A citation of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation<'a> {
    /// The page.
    pub url: Text<'a>,
    /// Its title.
    pub title: Option<Text<'a>>,
    /// First and last character of the block's text that it supports. None: all of the block.
    pub span: Option<(u64, u64)>,
    /// The words that were cited.
    pub cited: Option<Text<'a>>,
}

impl Annotation<'_> {
    /// Bytes of its texts.
    pub fn bytes(&self) -> usize {
        let optional = [&self.title, &self.cited].into_iter().flatten();
        optional.fold(self.url.as_escaped().len(), |sum, text| {
            sum + text.as_escaped().len()
        })
    }

    /// The same, owning its bytes.
    pub fn into_owned(self) -> Annotation<'static> {
        Annotation {
            url: self.url.into_owned(),
            title: self.title.map(Text::into_owned),
            span: self.span,
            cited: self.cited.map(Text::into_owned),
        }
    }
}

/// Token counts. Input includes what was read from and written to a cache, output includes reasoning (the arithmetic of
/// Chat and Responses; Messages readers add, Messages writers subtract, saturating: protocols.md 7.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All of the prompt.
    pub input: u64,
    /// Of it, read from a cache.
    pub cached: u64,
    /// Of it, written to a cache.
    pub cache_write: u64,
    /// All of the answer.
    pub output: u64,
    /// Of it, reasoning. None: the upstream does not say.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Input and output together.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Both requests together.
    pub fn plus(&self, other: &Usage) -> Usage {
        let reasoning = match (self.reasoning, other.reasoning) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        Usage {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            output: self.output.saturating_add(other.output),
            reasoning,
        }
    }

    /// Input that no cache saved: what Messages calls `input_tokens`.
    pub fn fresh(&self) -> u64 {
        self.input
            .saturating_sub(self.cached)
            .saturating_sub(self.cache_write)
    }
}

/// Why an answer ended. Whether calls were made is seen from the blocks, never from here (protocols.md 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The model was done, with or without calls.
    Done,
    /// The output limit.
    Length,
    /// A filter or a refusal by the vendor: Chat `content_filter`, Messages `refusal`.
    Filtered,
    /// Messages `pause_turn`: a server tool has more to do, and was asked to go on often enough. For clients it is
    /// [`Reason::Length`].
    Paused,
}

/// The end of an answer.
#[derive(Clone, Debug)]
pub struct Finish<'a> {
    /// Why.
    pub reason: Reason,
    /// The stop sequence that was met, if the upstream says which, or the emulation found it.
    pub stop: Option<Text<'a>>,
    /// Why it was refused, in words.
    pub explanation: Option<Text<'a>>,
    /// The upstream said why in a word nobody documents; it is taken for [`Reason::Done`].
    pub unknown: bool,
}

impl Finish<'_> {
    /// An end for that reason and no more.
    pub fn of(reason: Reason) -> Finish<'static> {
        Finish {
            reason,
            stop: None,
            explanation: None,
            unknown: false,
        }
    }

    /// The same, owning its bytes.
    pub fn into_owned(self) -> Finish<'static> {
        Finish {
            reason: self.reason,
            stop: self.stop.map(Text::into_owned),
            explanation: self.explanation.map(Text::into_owned),
            unknown: self.unknown,
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    /// Its beginning.
    pub start: Start<'a>,
    /// Its blocks, in order.
    pub blocks: Vec<Block<'a>>,
    /// None: the upstream sent none.
    pub usage: Option<Usage>,
    /// Its end.
    pub finish: Finish<'a>,
}

impl Reply<'_> {
    /// Whether it calls a client's tool.
    pub fn calls(&self) -> bool {
        self.blocks
            .iter()
            .any(|block| matches!(block, Block::Call { .. }))
    }
}

/// One block of a whole answer.
#[derive(Clone, Debug)]
pub enum Block<'a> {
    /// Visible text.
    Text {
        /// All of it.
        text: Text<'a>,
        /// Its citations.
        annotations: Vec<Annotation<'a>>,
        /// The elements of the log probability arrays, joined by commas; empty if there were none.
        logprobs: String,
    },
    /// Thoughts.
    Reasoning {
        /// All of them; may be empty when there is a proof.
        text: Text<'a>,
        /// Their proof.
        proof: Option<Proof<'a>>,
    },
    /// A refusal in words.
    Refusal(Text<'a>),
    /// A call.
    Call {
        /// Its head.
        head: Opened<'a>,
        /// Its argument text.
        arguments: Text<'a>,
        /// False: cut at the output limit.
        whole: bool,
    },
    /// Work of the vendor's own tool.
    Hosted(Hosted<'a>),
}

/// The grammar of events, as a machine. Writers may rely on it; every event passes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// Nothing yet.
    Before,
    /// Started, no block is open.
    Between,
    /// A block is open.
    Inside(Inside),
    /// Finished.
    After,
}

/// Which kind of block is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Inside {
    Text,
    Reasoning,
    Refusal,
    Call,
    Hosted,
}

impl Open<'_> {
    /// Its kind alone.
    pub fn inside(&self) -> Inside {
        match self {
            Open::Text => Inside::Text,
            Open::Reasoning => Inside::Reasoning,
            Open::Refusal => Inside::Refusal,
            Open::Call(_) => Inside::Call,
            Open::Hosted(_) => Inside::Hosted,
        }
    }
}

impl Piece<'_> {
    /// The kind of block it can only belong to.
    pub fn inside(&self) -> Inside {
        match self {
            Piece::Text { .. } => Inside::Text,
            Piece::Reasoning(_) | Piece::Proof(_) => Inside::Reasoning,
            Piece::Refusal(_) => Inside::Refusal,
            Piece::Arguments(_) => Inside::Call,
        }
    }
}

impl Grammar {
    /// The state after that event.
    ///
    /// # Errors
    /// The event may not come here: a bug between reader and writer, `Internal`.
    pub fn step(self, event: &Event<'_>) -> Result<Grammar, Error> {
        let next = match (self, event) {
            (Grammar::Before, Event::Start(_)) => Grammar::Between,
            (Grammar::Between, Event::Open(open)) => Grammar::Inside(open.inside()),
            (Grammar::Inside(inside), Event::Delta(piece)) if inside == piece.inside() => self,
            (Grammar::Inside(Inside::Text), Event::Annotation(_)) => self,
            (Grammar::Inside(_), Event::Close { .. }) => Grammar::Between,
            (Grammar::Between | Grammar::Inside(_), Event::Usage(_)) => self,
            (Grammar::Between, Event::Finish(_)) => Grammar::After,
            _ => {
                return Err(Error::gateway(
                    Kind::Internal,
                    "an event came where the grammar of answers has none",
                ));
            }
        };
        Ok(next)
    }
}
