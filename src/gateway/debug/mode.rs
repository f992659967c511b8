//! `X-Debug-Mode: true`: an answer that carries its own record. A whole JSON object gains a member `debug` before its last
//! brace and keeps every other byte, so that clients go on reading it; a stream gains one comment line at its end; anything
//! else only names its record in a field. (product.md 7.)

use crate::wire::json::Object;

/// A larger answer gains nothing but the field.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The request's field.
pub const ASKED: &str = "x-debug-mode";
/// The answer's field, with the record's id.
pub const ANSWERED: &str = "x-llm-wrapper-debug";

/// The JSON object with the record as its last member; None if it is none, is too large, or has a `debug` of its own.
pub fn with_member(body: &[u8], record: &[u8]) -> Option<Vec<u8>> {
    let object = Object::parse(body)
        .ok()
        .filter(|_| body.len() <= BODY_BYTES_MAX)?;
    if object.get("debug").is_some() {
        return None;
    }
    let end = body.iter().rposition(|&byte| byte == b'}')?;
    let mut out = Vec::with_capacity(body.len() + record.len() + 16);
    out.extend_from_slice(&body[..end]);
    if !object.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(b"\"debug\":");
    out.extend_from_slice(record);
    out.extend_from_slice(&body[end..]);
    Some(out)
}

/// The comment at the end of a stream. JSON without line ends stays one line.
pub fn comment(record: &[u8]) -> Vec<u8> {
    let mut out = b": debug ".to_vec();
    out.extend(record.iter().map(|&byte| {
        if byte == b'\n' || byte == b'\r' {
            b' '
        } else {
            byte
        }
    }));
    out.extend_from_slice(b"\n\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(body: &str) -> Option<String> {
        with_member(body.as_bytes(), b"{\"id\":1}").map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn only_an_object_without_debug_gains_a_member() {
        assert_eq!(
            with(r#" {"a" : 1 } "#).unwrap(),
            r#" {"a" : 1 ,"debug":{"id":1}} "#
        );
        assert_eq!(with("{}").unwrap(), r#"{"debug":{"id":1}}"#);
        for body in [
            "",
            "[]",
            "1",
            "{\"a\":1",
            r#"{"debug":null}"#,
            r#"{"\u0064ebug":1}"#,
            "data: {}\n\n",
        ] {
            assert_eq!(with(body), None, "{body}");
        }
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
        assert_eq!(with(&large), None);
    }

    #[test]
    fn a_comment_is_one_line() {
        assert_eq!(comment(b"{\"a\":\n1}"), b": debug {\"a\": 1}\n\n");
    }
}
