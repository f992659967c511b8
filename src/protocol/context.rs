//! What the answer needs to know of the request: owned, small, made while the request is converted.

use super::caps::Caps;
use super::neutral::CallKind;
use super::text::Text;
use super::{Protocol, carrier};

/// Carried from the request to its answer.
#[derive(Clone, Debug)]
pub struct Context {
    /// Whom the answer is for.
    pub client: Protocol,
    /// Whose answer it is.
    pub upstream: Protocol,
    /// The model as answers name it: the client's name, or the upstream's when `show_model` says so.
    pub model: Text<'static>,
    /// The upstream model's family, for carriers.
    pub family: String,
    /// What the upstream can do; readers look at `finish_reason_optional`, `think_tags`, `snapshot_args`.
    pub caps: Caps,
    /// The tools, to map calls back.
    pub tools: Tools,
    /// The client asked for a stream.
    pub stream: bool,
    /// A Chat client asked for `stream_options.include_usage`.
    pub include_usage: bool,
    /// Stop sequences that the gateway looks for itself, because the upstream cannot.
    pub stops: Vec<String>,
    /// The members a Responses answer echoes, `"key":value` joined by commas, see [`super::neutral::Request::echo`].
    pub echo: String,
    /// Input tokens, estimated (protocols.md 8.7: a Messages stream begins with a number).
    pub estimate: u64,
    /// Log probabilities were asked for.
    pub logprobs: bool,
    /// The output limit the client asked for, where the upstream takes none so low.
    pub limit: Option<u64>,
    /// The upstream may pause its turn while a tool of its own is at work (Messages `pause_turn`), to be asked to go on.
    pub pauses: bool,
    /// In a whole answer it is noted where the things stand that a store keeps.
    pub keeps: bool,
    /// The gateway's id of the request, for errors inside a Messages stream. Empty: it has none.
    pub request_id: String,
}

impl Context {
    /// A context without tools, for a client that asked for a stream; tests and readers of bare answers start from it.
    pub fn bare(client: Protocol, upstream: Protocol, model: &str, caps: Caps) -> Context {
        Context {
            client,
            upstream,
            model: Text::owned(model.to_owned()),
            family: carrier::family(model),
            caps,
            tools: Tools::default(),
            stream: true,
            include_usage: true,
            stops: Vec::new(),
            echo: String::new(),
            estimate: 0,
            logprobs: false,
            limit: None,
            pauses: false,
            keeps: false,
            request_id: String::new(),
        }
    }
}

/// A tool under both its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolEntry {
    /// What the upstream knows it as.
    pub upstream: String,
    /// What the client knows it as.
    pub name: Text<'static>,
    /// In this namespace.
    pub namespace: Option<Text<'static>>,
    /// How the client declared it: the form in which it wants the calls.
    pub kind: CallKind,
}

/// The tools of a request. Only those whose name or form changes on the way are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools(Vec<ToolEntry>);

impl Tools {
    /// Remembers one.
    pub fn add(&mut self, entry: ToolEntry) {
        self.0.push(entry);
    }

    /// The tool an upstream's call means. None: the client's name and form are the upstream's.
    pub fn find(&self, upstream: &Text<'_>) -> Option<&ToolEntry> {
        self.0.iter().find(|entry| upstream.is(&entry.upstream))
    }
}
