//! The members of an object one after another, none kept: for stream events, where a list per level would cost more than
//! the reading. A key given twice is not noticed, so this is for what an upstream says, never for what is routed by.

use super::cursor::Cursor;
use super::{JsonKind, Raw, wrong};
use crate::error::Fault;
use std::borrow::Cow;

/// Walks the members of one object.
pub struct Walk<'a> {
    cursor: Cursor<'a>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A member starts at the cursor.
    Member,
    /// All were given.
    End,
}

impl<'a> Raw<'a> {
    /// Its members, to be read as they come; an object is expected.
    ///
    /// # Errors
    /// It is not an object.
    pub fn walk(self) -> Result<Walk<'a>, Fault> {
        if self.kind() != JsonKind::Object {
            return Err(super::expected("an object", self.kind()));
        }
        Walk::of(self.text())
    }
}

impl<'a> Walk<'a> {
    /// Walks the object that is all of `bytes`, white space around it aside.
    ///
    /// # Errors
    /// Bytes that are not UTF-8; no object. What is malformed further on is an error of the member where it stands.
    pub fn parse(bytes: &'a [u8]) -> Result<Walk<'a>, Fault> {
        Walk::of(super::utf8(bytes)?)
    }

    fn of(text: &'a str) -> Result<Walk<'a>, Fault> {
        let mut cursor = Cursor { text, at: 0 };
        cursor.expect(b'{', "an object was expected")?;
        let mut walk = Walk {
            cursor,
            state: State::Member,
        };
        if walk.cursor.peek() == Some(b'}') {
            walk.close()?;
        }
        Ok(walk)
    }

    /// All of the object, as it was written, while nothing of it was read.
    pub fn whole(&self) -> Raw<'a> {
        Raw(self.cursor.text.trim_ascii())
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.state = State::End;
        self.cursor.at += 1;
        self.cursor.end()
    }

    /// The next member. None: there is no more, and nothing follows the object.
    ///
    /// # Errors
    /// The member, or what follows it, is malformed.
    #[allow(clippy::should_implement_trait)] // an Iterator of Results reads worse in a `while let`
    pub fn next(&mut self) -> Result<Option<(Cow<'a, str>, Raw<'a>)>, Fault> {
        if self.state == State::End {
            return Ok(None);
        }
        let key = self.cursor.key()?;
        self.cursor.expect(b':', "a colon was expected")?;
        let value = self.cursor.value()?;
        if !self.cursor.another(b'}')? {
            self.close()?;
        } else if self.cursor.peek() != Some(b'"') {
            return Err(wrong(self.cursor.at, "a key was expected"));
        }
        Ok(Some((key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(text: &str) -> Result<Vec<(String, String)>, Fault> {
        let mut walk = Walk::parse(text.as_bytes())?;
        let mut seen = Vec::new();
        while let Some((key, value)) = walk.next()? {
            seen.push((key.into_owned(), value.text().to_owned()));
        }
        Ok(seen)
    }

    #[test]
    fn members_come_in_order_as_they_were_written() {
        assert_eq!(walked(" {} ").unwrap(), []);
        let members = walked(r#"{"a":1,"\u0062" : {"x":[1,2]} , "c":null}"#).unwrap();
        let expected = [("a", "1"), ("b", r#"{"x":[1,2]}"#), ("c", "null")];
        assert_eq!(members, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn malformed_objects_are_errors() {
        for bad in [
            "",
            "[]",
            "{",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            r#"{"a":1}x"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":}"#,
        ] {
            assert!(walked(bad).is_err(), "{bad}");
        }
        assert!(Walk::parse(b"{\"\xff\":1}").is_err());
    }
}
