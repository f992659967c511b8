//! Walks one level of a text and checks its grammar (RFC 8259 2 to 7): white space, commas, numbers, words. Strings and
//! containers are stepped over by `scan`.

use super::escape::decode;
use super::scan::{container_end, string_end};
use super::{Raw, wrong};
use crate::error::Fault;
use std::borrow::Cow;

/// Walks one level. `at` always stands on an ASCII byte or at the end, so slices of `text` never cut a character.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// RFC 8259 2: blank, tab, line feed and carriage return, nothing else.
    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The value that starts here.
    pub(super) fn value(&mut self) -> Result<Raw<'a>, Fault> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at = match self.peek() {
            Some(b'"') => string_end(bytes, start)?,
            Some(b'{' | b'[') => container_end(bytes, start)?,
            Some(b'-' | b'0'..=b'9') => {
                number_end(bytes, start).ok_or_else(|| wrong(start, "a malformed number"))?
            }
            Some(_) => {
                let rest = &bytes[start..];
                let word = ["null", "true", "false"]
                    .into_iter()
                    .find(|word| rest.starts_with(word.as_bytes()))
                    .ok_or_else(|| wrong(start, "a value was expected"))?;
                start + word.len()
            }
            None => return Err(wrong(start, "it ends where a value was expected")),
        };
        Ok(Raw(&self.text[start..self.at]))
    }

    /// The key that starts here, decoded.
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(wrong(start, "a key in double quotes was expected"));
        }
        self.at = string_end(self.text.as_bytes(), start)?;
        let inner = &self.text[start + 1..self.at - 1];
        decode(inner).ok_or_else(|| wrong(start, "a malformed escape in a key"))
    }

    pub(super) fn expect(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        self.skip_space();
        if self.peek() != Some(byte) {
            return Err(wrong(self.at, what));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// After a member or an element: whether another follows.
    pub(super) fn another(&mut self, close: u8) -> Result<bool, Fault> {
        self.skip_space();
        let found = self.peek();
        if found == Some(b',') {
            self.at += 1;
            self.skip_space();
            Ok(true)
        } else if found == Some(close) {
            Ok(false)
        } else {
            Err(wrong(self.at, "a comma or a closing bracket was expected"))
        }
    }

    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(wrong(self.at, "something follows the value")),
        }
    }
}

/// Where the number that starts at `start` ends (RFC 8259 6); None: it is malformed.
fn number_end(bytes: &[u8], start: usize) -> Option<usize> {
    let digits = |from: usize| {
        let count = bytes[from..].iter().take_while(|b| b.is_ascii_digit());
        from + count.count()
    };
    let whole = start + usize::from(bytes[start] == b'-');
    let mut at = digits(whole);
    if at == whole || (bytes[whole] == b'0' && at > whole + 1) {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        let end = digits(at + 1);
        if end == at + 1 {
            return None;
        }
        at = end;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let signed = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = digits(at + 1 + signed);
        if end == at + 1 + signed {
            return None;
        }
        at = end;
    }
    Some(at)
}
