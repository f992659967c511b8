//! Whether the argument text that has come so far is a whole JSON value (protocols.md 8.4). Works on escaped text, since that
//! is what travels: `\"`, `\\` and `\u0022` are unescaped as they pass.

/// Scans one argument text in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    depth: u32,
    in_string: bool,
    /// The character before was a backslash of the argument text itself.
    escaped: bool,
    begun: bool,
}

impl Balance {
    /// Takes the next piece, a whole number of escapes long (each JSON string is).
    pub fn push(&mut self, piece: &str) {
        let bytes = piece.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            at += 1;
            if byte != b'\\' {
                self.step(byte);
                continue;
            }
            match bytes.get(at) {
                Some(b'u') => {
                    let code = piece
                        .get(at + 1..at + 5)
                        .map(|hex| u32::from_str_radix(hex, 16));
                    let byte = match code {
                        Some(Ok(code)) => {
                            u8::try_from(code).ok().filter(u8::is_ascii).unwrap_or(b'?')
                        }
                        _ => b'?',
                    };
                    self.step(byte);
                    at += 5;
                }
                Some(b'n' | b'r' | b't') => {
                    self.step(b' ');
                    at += 1;
                }
                Some(&other) => {
                    self.step(other);
                    at += 1;
                }
                None => {}
            }
        }
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.begun = true;
            }
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.begun = true;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Whether something came and all of it is closed. Nothing at all is not whole, and a bare number never is.
    pub fn is_whole(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::text::Text;

    fn whole(pieces: &[&str]) -> bool {
        let mut balance = Balance::default();
        for piece in pieces {
            balance.push(piece);
        }
        balance.is_whole()
    }

    #[test]
    fn escapes_are_undone_while_scanning() {
        assert!(!whole(&[]));
        assert!(!whole(&[" "]));
        assert!(!whole(&["12"]));
        assert!(whole(&["{}"]));
        assert!(!whole(&[r#"{\"a\":"#]));
        assert!(whole(&[r#"{\"a\":"#, r#"\"}\"}"#]));
        assert!(!whole(&[r#"{\"a\":\"\\\"}"#])); // the argument text is {"a":"\"}
        assert!(whole(&[r#"{\"a\":\"\\\"}\"}"#]));
        assert!(whole(&[r"\u007b\u0022a\u0022:1\u007d"]));
        assert!(!whole(&[r"{\u0022a}"]));
    }

    #[test]
    fn every_split_of_a_whole_text_agrees() {
        let json = r#"{"path":"a\"b\\","n":[1,{"x":"}"}]}"#;
        for at in 0..=json.len() {
            let (head, tail) = json.split_at(at);
            let pieces = [Text::plain(head), Text::plain(tail)];
            assert!(
                whole(&[pieces[0].as_escaped(), pieces[1].as_escaped()]),
                "{at}"
            );
            if at < json.len() {
                assert!(!whole(&[pieces[0].as_escaped()]), "{at}");
            }
        }
    }
}
