//! The elements of an array: all checked first, then given one after another without a list of them.

use super::Raw;
use super::cursor::Cursor;
use crate::error::Fault;
use std::fmt;

/// The elements of an array.
#[derive(Clone)]
pub struct Elements<'a> {
    /// Found while the array was checked: most arrays in a stream have one element, which is then not scanned twice.
    first: Option<Raw<'a>>,
    /// Stands where the next element starts, or on the closing bracket.
    cursor: Cursor<'a>,
}

impl<'a> Elements<'a> {
    /// Checks all of it and keeps nothing but the first: a list of where all elements are would take eight times the
    /// size of `[0,0,0,…]`.
    pub(super) fn of_text(text: &'a str) -> Result<Elements<'a>, Fault> {
        let mut cursor = Cursor { text, at: 0 };
        cursor.expect(b'[', "an array was expected")?;
        let mut elements = Elements {
            first: None,
            cursor,
        };
        let mut more = cursor.peek() != Some(b']');
        while more {
            let value = cursor.value()?;
            more = cursor.another(b']')?;
            if elements.first.is_none() {
                elements.first = Some(value);
                elements.cursor = cursor;
            }
        }
        cursor.at += 1;
        cursor.end()?;
        Ok(elements)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.cursor.peek() == Some(b']') {
            return None;
        }
        let value = self.cursor.value().ok()?; // of_text has checked every element
        self.cursor.another(b']').ok()?;
        Some(value)
    }
}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elements")
    }
}
