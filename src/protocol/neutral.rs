//! The form between the protocols: what a request asks and what an answer says, in words of no vendor. It borrows from
//! the body it was read from. Answers are the same whether they come whole ([`Reply`]) or in events ([`Event`]).

mod answer;
mod plain;
mod request;

pub use answer::*;
pub use plain::*;
pub use request::*;

use super::Protocol;
use super::text::Text;
use std::borrow::Cow;

/// Who can make sense of an opaque proof (protocols.md 5.6). The letter stands in the carrier's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `reasoning_details` of a Chat upstream (OpenRouter), as a JSON array. Most have no proofs; the carrier is then only there
    /// to be a non-empty string (`gw1.c.e30`).
    Chat,
    /// `encrypted_content` of a Responses upstream.
    Responses,
    /// `signature` or `redacted_thinking.data` of a Messages upstream.
    Messages,
    /// `extra_content.google.thought_signature` of a tool call on Gemini's Chat endpoint. The part that has it stands
    /// directly before that call.
    Gemini,
}

impl Owner {
    /// Whose proofs an upstream of that protocol makes.
    pub fn of(protocol: Protocol) -> Owner {
        match protocol {
            Protocol::Chat => Owner::Chat,
            Protocol::Responses => Owner::Responses,
            Protocol::Messages => Owner::Messages,
        }
    }
}

/// The opaque value by which a vendor recognises its own reasoning. It is never invented, and never shown to another vendor
/// except inside a carrier ([`super::carrier`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof<'a> {
    /// Who can read it.
    pub owner: Owner,
    /// Messages only: it is `redacted_thinking.data`, not a `signature`.
    pub redacted: bool,
    /// Responses only: the item's id, which has to come back with it.
    pub item: Option<Text<'a>>,
    /// The value itself.
    pub value: Text<'a>,
    /// The configured name of the upstream it came from, when the carrier says so.
    pub upstream: Option<Cow<'a, str>>,
    /// The model family it came from, when the carrier says so (see [`super::carrier::family`]).
    pub family: Option<Cow<'a, str>>,
}

impl<'a> Proof<'a> {
    /// A proof as its vendor wrote it.
    pub fn native(owner: Owner, value: Text<'a>) -> Proof<'a> {
        Proof {
            owner,
            redacted: false,
            item: None,
            value,
            upstream: None,
            family: None,
        }
    }

    /// The same, owning its bytes.
    pub fn into_owned(self) -> Proof<'static> {
        Proof {
            owner: self.owner,
            redacted: self.redacted,
            item: self.item.map(Text::into_owned),
            value: self.value.into_owned(),
            upstream: self.upstream.map(|name| Cow::Owned(name.into_owned())),
            family: self.family.map(|name| Cow::Owned(name.into_owned())),
        }
    }
}

/// Client-executed tools whose input has a shape their vendor fixed. The conversion offers them as functions with that
/// schema (protocols.md 5.7) and maps the calls back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Responses `local_shell`: item `local_shell_call`.
    LocalShell,
    /// Responses `shell`: item `shell_call`.
    Shell,
    /// Responses `apply_patch` as a type of its own (not the custom tool of that name): item `apply_patch_call`.
    ApplyPatch,
    /// Responses `tool_search` that the client executes: item `tool_search_call`.
    ToolSearch,
    /// Messages `bash_*`. Its calls are ordinary `tool_use` blocks.
    Bash,
    /// Messages `text_editor_*`.
    TextEditor,
    /// Messages `memory_*`.
    Memory,
}

/// The form a call's arguments have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// The text is JSON, an object.
    Function,
    /// The text is free text.
    Custom,
    /// The text is JSON of the fixed schema in [`super::builtin`].
    Builtin(Builtin),
}
