//! Members of a client's objects as the types they have to be, and where they stand for the error that says otherwise.

use super::super::given;
use crate::error::Error;
use crate::protocol::adapt::wrong;
use crate::protocol::neutral::Cache;
use crate::protocol::text::Text;
use crate::wire::json::{Elements, Object, Raw};
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

/// The object that value is.
pub(super) fn object<'a>(raw: Raw<'a>, at: impl fmt::Display) -> Result<Object<'a>, Error> {
    raw.as_object()
        .map_err(|fault| wrong(at.to_string(), fault.message))
}

/// The elements of the array that value is.
pub(super) fn list<'a>(raw: Raw<'a>, at: impl fmt::Display) -> Result<Elements<'a>, Error> {
    raw.elements()
        .map_err(|fault| wrong(at.to_string(), fault.message))
}

/// The text that value is.
pub(super) fn text<'a>(raw: Raw<'a>, at: impl fmt::Display) -> Result<Text<'a>, Error> {
    Text::of(raw).ok_or_else(|| wrong(at.to_string(), "a string was expected"))
}

/// The text that member has to be.
pub(super) fn required<'a>(
    object: &mut Object<'a>,
    key: &str,
    at: impl Fn(&str) -> String,
) -> Result<Text<'a>, Error> {
    match given(object, key) {
        Some(raw) => text(raw, at(key)),
        None => Err(wrong(at(key), "is required")),
    }
}

/// The text that member may be.
pub(super) fn optional<'a>(
    object: &mut Object<'a>,
    key: &str,
    at: impl Fn(&str) -> String,
) -> Result<Option<Text<'a>>, Error> {
    given(object, key).map(|raw| text(raw, at(key))).transpose()
}

/// The `true` or `false` that member may be.
pub(super) fn flag(
    object: &mut Object<'_>,
    key: &str,
    at: impl Fn(&str) -> String,
) -> Result<Option<bool>, Error> {
    let Some(raw) = given(object, key) else {
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
    let Some(raw) = given(object, key) else {
        return Ok(None);
    };
    match raw.as_u64() {
        Some(number) => Ok(Some(number)),
        None => Err(wrong(at(key), "a whole number was expected")),
    }
}

/// A field's own name, for those of the top level.
pub(super) fn top(key: &str) -> String {
    key.to_owned()
}

/// The mark that the prompt up to here should be cached. Only a hint: one that is not understood is none.
pub(super) fn cache_mark(object: &mut Object<'_>) -> Option<Cache> {
    let mark = given(object, "cache_control")?.as_object().ok()?;
    if mark.get("type")?.as_str()? != "ephemeral" {
        return None;
    }
    let ttl = mark.get("ttl").and_then(|ttl| ttl.as_str());
    Some(match ttl.as_deref() {
        Some("1h") => Cache::Long,
        _ => Cache::Short,
    })
}
