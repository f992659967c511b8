//! JSON by scanning (RFC 8259): one level is found and checked, the values stay the bytes they were.
//! Numbers stay text, `null` is not absence, key order is kept, a duplicate key is refused however it is spelt,
//! and nesting never recurses. What lies inside a member that nobody reads is balanced, not judged; `validate` judges all.

mod block;
mod check;
mod cursor;
mod edit;
mod elements;
mod ends;
mod escape;
mod object;
mod scan;
mod walk;
mod word;

use crate::error::Fault;
use cursor::Cursor;
use std::borrow::Cow;
use std::fmt;

pub use check::validate;
pub use edit::{Edit, Spliced, member, splice};
pub use elements::Elements;
pub use ends::LongEnds;
pub use escape::{decode, escaped_bytes, write_escaped, write_plain, write_string};
pub use object::{MEMBERS_MAX, Object};
pub use scan::escapes_are_sound;
pub use walk::Walk;
pub use word::{is_simple, literal_bytes};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum JsonKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl JsonKind {
    /// Its name with an article, for messages.
    pub fn name(self) -> &'static str {
        match self {
            JsonKind::Null => "null",
            JsonKind::Bool => "a boolean",
            JsonKind::Number => "a number",
            JsonKind::String => "a string",
            JsonKind::Array => "an array",
            JsonKind::Object => "an object",
        }
    }
}

/// One JSON value as it was written, without white space around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// `null`.
    pub const NULL: Raw<'static> = Raw("null");

    /// The one value that `text` holds, white space around it aside.
    ///
    /// # Errors
    /// No value, a malformed one (its own level is checked, not what it contains), or something after it.
    pub fn parse(text: &'a str) -> Result<Raw<'a>, Fault> {
        let mut cursor = Cursor { text, at: 0 };
        cursor.skip_space();
        let value = cursor.value()?;
        cursor.end()?;
        Ok(value)
    }

    /// The value as it was written.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// What it is.
    pub fn kind(self) -> JsonKind {
        match self.0.as_bytes().first() {
            Some(b'"') => JsonKind::String,
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b't' | b'f') => JsonKind::Bool,
            Some(b'n') | None => JsonKind::Null,
            Some(_) => JsonKind::Number,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == JsonKind::Null
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The number, if it is written as a whole number from 0 to 2^64-1 (`1.0` and `1e2` are not).
    pub fn as_u64(self) -> Option<u64> {
        match self.kind() {
            JsonKind::Number => self.0.parse().ok(), // a JSON number has no plus sign, so parse is exact
            _ => None,
        }
    }

    /// The nearest f64, if it is a number that has one: `1e400` has none.
    pub fn as_f64(self) -> Option<f64> {
        match self.kind() {
            JsonKind::Number => self.0.parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        }
    }

    /// The decoded string; borrowed when it has no escapes. A lone surrogate becomes U+FFFD, as it has no UTF-8.
    /// None: not a string, or an escape in it is malformed.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        decode(self.string_inner()?)
    }

    /// A string as it was written, without its quotes and still escaped: to be pasted and joined without decoding,
    /// which also mends an emoji whose two surrogates came in two pieces.
    pub fn string_inner(self) -> Option<&'a str> {
        self.0.strip_prefix('"')?.strip_suffix('"')
    }

    /// Its members, one level deep.
    ///
    /// # Errors
    /// It is not an object, or a malformed one, see [`Object::parse`].
    pub fn as_object(self) -> Result<Object<'a>, Fault> {
        match self.kind() {
            JsonKind::Object => Object::of_text(self.0),
            other => Err(expected("an object", other)),
        }
    }

    /// Its elements. The whole level is checked here, so the iterator has no errors.
    ///
    /// # Errors
    /// It is not an array, or a malformed one.
    pub fn elements(self) -> Result<Elements<'a>, Fault> {
        if self.kind() != JsonKind::Array {
            return Err(expected("an array", self.kind()));
        }
        Elements::of_text(self.0)
    }
}

impl fmt::Debug for Raw<'_> {
    /// Kind and size only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} of {} bytes)", self.kind().name(), self.0.len())
    }
}

#[cold]
fn expected(what: &str, found: JsonKind) -> Fault {
    Fault::bad(format!("expected {what}, found {}", found.name()))
}

#[cold]
fn wrong(at: usize, what: &str) -> Fault {
    Fault::bad(format!("the JSON is wrong at byte {at}: {what}"))
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| wrong(error.valid_up_to(), "it is not UTF-8"))
}

#[cfg(test)]
mod tests;
