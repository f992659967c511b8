//! Each top-level field of protocols.md 6.1, 6.2 and 6.3, each part of 5.3 and each tool of 5.7, and its fate in both
//! directions, row by row.

mod chat;
mod messages;
mod responses;

use crate::protocol::testing::convert_request;
use crate::protocol::{Caps, Protocol};
use Protocol::{Chat, Messages, Responses};

/// What becomes of a field.
#[derive(Debug, PartialEq)]
enum Fate<'t> {
    /// The upstream's request holds this, and the one without the field does not.
    Sent(&'t str),
    /// The upstream's request is the one without the field.
    Left,
    /// The same, or weakened, and named so.
    Warned(&'t str),
    /// 400, with this `param`.
    Refused(&'t str),
}

use Fate::{Left, Refused, Sent, Warned};

fn caps(to: Protocol) -> Caps {
    match to {
        Chat => Caps::of("generic", "some-model"),
        Responses => Caps::of("openai", "gpt-4.1"),
        Messages => Caps::of("anthropic", "claude-opus-4-1"),
    }
}

fn body(from: Protocol, members: &str) -> String {
    let (key, talk) = match from {
        Chat => (
            r#""messages":"#,
            r#""messages":[{"role":"user","content":"Hi"}],"#,
        ),
        Responses => (r#""input":"#, r#""input":"Hi","#),
        Messages => (
            r#""messages":"#,
            r#""messages":[{"role":"user","content":"Hi"}],"#,
        ),
    };
    let talk = if members.starts_with(key) { "" } else { talk };
    let limit = match from {
        Messages => r#""max_tokens":100,"#,
        Chat | Responses => "",
    };
    let all = format!(r#"{{"model":"m",{talk}{limit}{members}"#);
    all.trim_end_matches(',').to_owned() + "}"
}

/// Asserts the fate of those members on their way to that protocol.
fn check(from: Protocol, to: Protocol, members: &str, fate: &Fate<'_>) {
    let caps = caps(to);
    let convert = |members: &str| {
        let body = body(from, members);
        let done = convert_request(from, to, &caps, "up", body.as_bytes())?;
        let text = String::from_utf8(done.body).expect("made of str");
        Ok::<_, crate::error::Error>((text, done.warnings.header().unwrap_or_default()))
    };
    let (plain, _) = convert("").expect("the plain request converts");
    let told = convert(members);
    let place = format!("{from:?} to {to:?}: {members}");
    match (fate, told) {
        (Sent(value), Ok((sent, warnings))) => {
            assert!(
                sent.contains(value) && !plain.contains(value),
                "{place}: {sent}"
            );
            assert_eq!(warnings, "", "{place}");
        }
        (Left, Ok((sent, warnings))) => {
            assert_eq!(sent, plain, "{place}");
            assert_eq!(warnings, "", "{place}");
        }
        (Warned(named), Ok((_, warnings))) => assert_eq!(warnings, *named, "{place}"),
        (Refused(param), Err(error)) => {
            assert_eq!(error.status(), 400, "{place}: {error}");
            assert_eq!(error.param.as_deref(), Some(*param), "{place}");
        }
        (fate, told) => panic!("{place}: expected {fate:?}, got {told:?}"),
    }
}

fn check_all(from: Protocol, to: [Protocol; 2], rows: &[(&str, Fate<'_>, Fate<'_>)]) {
    for (members, first, second) in rows {
        check(from, to[0], members, first);
        check(from, to[1], members, second);
    }
}

/// The same, with those fates.
fn check_parts(
    from: Protocol,
    to: [Protocol; 2],
    wrap: fn(&str) -> String,
    rows: &[(&str, Fate<'_>, Fate<'_>)],
) {
    for (part, first, second) in rows {
        check(from, to[0], &wrap(part), first);
        check(from, to[1], &wrap(part), second);
    }
}

const PNG: &str = "data:image/png;base64,iVBOR";
