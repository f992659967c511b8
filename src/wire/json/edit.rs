//! Changes of top-level members that leave every other byte where it was. The result is a list of slices
//! for one vectored write: a body of 2 MB is never copied.

use super::cursor::Cursor;
use super::{Object, write_string};
use std::ops::Deref;

/// A change of one top-level member. `member` is the whole `"key":value` text, made when the configuration is loaded,
/// see [`member()`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Edit<'e> {
    /// Replaces the value, or appends the member where there is none.
    Set {
        /// The decoded key.
        key: &'e str,
        /// `"key":value`.
        member: &'e str,
    },
    /// Appends the member where there is none. `null` is one.
    Default {
        /// The decoded key.
        key: &'e str,
        /// `"key":value`.
        member: &'e str,
    },
    /// Takes the member out, and one comma with it.
    Remove {
        /// The decoded key.
        key: &'e str,
    },
}

impl<'e> Edit<'e> {
    /// The key it is about.
    pub fn key(&self) -> &'e str {
        match *self {
            Edit::Set { key, .. } | Edit::Default { key, .. } | Edit::Remove { key } => key,
        }
    }
}

/// An edited object as the slices it is made of.
#[derive(Clone)]
pub struct Spliced<'b> {
    /// In order, none of them empty.
    pub parts: Parts<'b>,
}

/// Parts of one edit, which most objects have: before it, the value, behind it.
const FEW_PARTS: usize = 3;

/// A list of slices that allocates nothing while it is short.
#[derive(Clone, Default)]
pub struct Parts<'b> {
    few: [&'b [u8]; FEW_PARTS],
    count: usize,
    /// All of them, once there are more than a few.
    many: Vec<&'b [u8]>,
}

impl<'b> Parts<'b> {
    fn push(&mut self, part: &'b [u8]) {
        if let Some(place) = self.few.get_mut(self.count) {
            *place = part;
        } else {
            if self.count == FEW_PARTS {
                self.many.extend(self.few);
            }
            self.many.push(part);
        }
        self.count += 1;
    }
}

impl<'b> Deref for Parts<'b> {
    type Target = [&'b [u8]];

    fn deref(&self) -> &[&'b [u8]] {
        if self.count <= FEW_PARTS {
            &self.few[..self.count]
        } else {
            &self.many
        }
    }
}

impl<'b> Spliced<'b> {
    /// Bytes of all parts: the Content-Length.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Never: an object has at least its braces. Here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// One copy of it all.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.concat()
    }

    fn push(&mut self, part: &'b [u8]) {
        if !part.is_empty() {
            self.parts.push(part);
        }
    }
}

/// `object` with `edits` applied. Of several edits of one key only the last counts; members that were taken from `object`
/// are still part of its text. Appended members stand before the closing brace, in the order of the edits.
pub fn splice<'b>(object: &Object<'b>, edits: &[Edit<'b>]) -> Spliced<'b> {
    let source = object.source;
    let mut out = Spliced {
        parts: Parts::default(),
    };
    let mut copied = 0; // source bytes before this are in `out` or left out
    let mut kept = 0; // members of the result
    let mut cut = None; // where the removed members that stand here begin
    let mut before_end = 0; // where the member before ended
    for field in &object.fields {
        let value_end = field.value_at + field.value.text().len();
        let edit = edits.iter().rev().find(|edit| edit.key() == field.key);
        if let Some(Edit::Remove { .. }) = edit {
            // The comma that goes is the one before, or, at the very start, the one after.
            cut.get_or_insert(if kept == 0 { field.key_at } else { before_end });
        } else {
            if let Some(from) = cut.take() {
                out.push(&source[copied..from]);
                copied = if kept == 0 { field.key_at } else { before_end };
            }
            kept += 1;
            if let Some(Edit::Set { member, .. }) = edit {
                out.push(&source[copied..field.value_at]);
                out.push(value_of(member).as_bytes());
                copied = value_end;
            }
        }
        before_end = value_end;
    }
    if let Some(from) = cut {
        out.push(&source[copied..from]);
        copied = before_end;
    }
    for (at, edit) in edits.iter().enumerate() {
        let (Edit::Set { key, member } | Edit::Default { key, member }) = *edit else {
            continue;
        };
        let overruled = edits[at + 1..].iter().any(|later| later.key() == key);
        if overruled || object.fields.iter().any(|field| field.key == key) {
            continue;
        }
        out.push(&source[copied..object.close]);
        copied = object.close;
        if kept > 0 {
            out.push(b",");
        }
        kept += 1;
        out.push(member.as_bytes());
    }
    out.push(&source[copied..]);
    out
}

/// `"key":value`, the key escaped. `value` is JSON already.
pub fn member(key: &str, value: &str) -> String {
    let mut out = Vec::with_capacity(key.len() + value.len() + 3);
    write_string(&mut out, key);
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
    String::from_utf8(out).unwrap_or_default() // two strings and ASCII between them
}

/// The value of a `"key":value` text.
fn value_of(member: &str) -> &str {
    let mut cursor = Cursor {
        text: member,
        at: 0,
    };
    let found = cursor.key().and_then(|_| cursor.expect(b':', "a colon"));
    assert!(found.is_ok(), "an edit's member must be `\"key\":value`");
    &member[cursor.at..]
}

#[cfg(test)]
mod tests;
