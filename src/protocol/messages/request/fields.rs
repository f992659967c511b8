//! Members of a client's objects as the types they have to be, and where they stand for the error that says otherwise.

use crate::error::Error;
use crate::protocol::Warnings;
use crate::protocol::effort::Effort;
use crate::protocol::neutral::{Cache, Request};
use crate::protocol::refusal::wrong;
use crate::protocol::take;
use crate::protocol::text::Text;
use crate::wire::json::Object;
use std::fmt;

/// Where a block stands: `messages[3].content[0]`, or inside a tool result `messages[3].content[0].content[1]`.
#[derive(Clone, Copy)]
pub(super) struct Place {
    message: usize,
    block: Option<usize>,
    inner: Option<usize>,
}

impl Place {
    pub(super) fn message(message: usize) -> Place {
        Place {
            message,
            block: None,
            inner: None,
        }
    }

    /// One level deeper.
    pub(super) fn at(self, index: usize) -> Place {
        match self.block {
            None => Place {
                block: Some(index),
                ..self
            },
            Some(_) => Place {
                inner: Some(index),
                ..self
            },
        }
    }

    /// The path of a member of what stands there.
    pub(super) fn of(self, member: &str) -> String {
        format!("{self}.{member}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "messages[{}]", self.message)?;
        for index in [self.block, self.inner].into_iter().flatten() {
            write!(f, ".content[{index}]")?;
        }
        Ok(())
    }
}

/// The text that member has to be.
pub(super) fn required<'a>(
    object: &mut Object<'a>,
    key: &str,
    at: impl Fn(&str) -> String,
) -> Result<Text<'a>, Error> {
    optional(object, key, &at)?.ok_or_else(|| wrong(at(key), "is required"))
}

/// The text that member may be.
pub(super) fn optional<'a>(
    object: &mut Object<'a>,
    key: &str,
    at: impl Fn(&str) -> String,
) -> Result<Option<Text<'a>>, Error> {
    match take::raw(object, key) {
        None => Ok(None),
        Some(raw) => match Text::of(raw) {
            None => take::as_text(raw, at(key)).map(Some),
            text => Ok(text),
        },
    }
}

/// The `true` or `false` that member may be.
pub(super) fn flag(
    object: &mut Object<'_>,
    key: &str,
    at: impl Fn(&str) -> String,
) -> Result<Option<bool>, Error> {
    let Some(raw) = take::raw(object, key) else {
        return Ok(None);
    };
    match raw.as_bool() {
        Some(yes) => Ok(Some(yes)),
        None => Err(wrong(at(key), "true or false was expected")),
    }
}

/// The whole number that member may be.
pub(super) fn count(
    object: &mut Object<'_>,
    key: &str,
    at: impl Fn(&str) -> String,
) -> Result<Option<u64>, Error> {
    take::raw(object, key)
        .map(|raw| take::as_count(raw, at(key)))
        .transpose()
}

/// A field's own name, for those of the top level.
pub(super) fn top(key: &str) -> String {
    key.to_owned()
}

/// The mark that the prompt up to here should be cached. Only a hint: one that is not understood is none.
pub(super) fn cache_mark(object: &mut Object<'_>) -> Option<Cache> {
    let mark = take::raw(object, "cache_control")?.as_object().ok()?;
    if mark.get("type")?.as_str()? != "ephemeral" {
        return None;
    }
    let ttl = mark.get("ttl").and_then(|ttl| ttl.as_str());
    Some(match ttl.as_deref() {
        Some("1h") => Cache::Long,
        _ => Cache::Short,
    })
}

/// An effort word: a nudge, so that one nobody knows is no reason to refuse.
pub(super) fn effort(request: &mut Request<'_>, word: &Text<'_>, warnings: &mut Warnings) {
    match Effort::of(&word.decode()) {
        Some(effort) => request.effort = Some(effort),
        None => warnings.add("output_config.effort", "unknown"),
    }
}
