//! The table of the README: what becomes of each feature in each direction. Every cell is found by converting a small request
//! with that feature; the README holds the result, and no other.

mod features;

use crate::protocol::testing::convert_request;
use crate::protocol::{Caps, Protocol};
use Protocol::{Chat, Messages, Responses};
use features::{Asked, Feature, features};

/// What the table is made for.
fn caps(to: Protocol) -> (Caps, &'static str) {
    let (kind, model) = match to {
        Chat => ("generic", "some-model"),
        Responses => ("openai", "gpt-5.2"),
        Messages => ("anthropic", "claude-opus-4-6"),
    };
    (Caps::of(kind, model), model)
}

/// A request of that protocol with those members.
fn body(from: Protocol, members: &str) -> String {
    let mut body = String::from(r#"{"model":"m""#);
    let mut plain = |key: &str, member: &str| {
        if !members.contains(key) {
            body.push(',');
            body.push_str(member);
        }
    };
    match from {
        Chat => plain(
            r#""messages":"#,
            r#""messages":[{"role":"user","content":"Hi"}]"#,
        ),
        Responses => plain(r#""input":"#, r#""input":"Hi""#),
        Messages => {
            plain(r#""max_tokens":"#, r#""max_tokens":100"#);
            plain(
                r#""messages":"#,
                r#""messages":[{"role":"user","content":"Hi"}]"#,
            );
        }
    }
    if !members.is_empty() {
        body.push(',');
        body.push_str(members);
    }
    body + "}"
}

/// The word of one cell.
fn cell(from: Protocol, to: Protocol, asked: &Asked) -> &'static str {
    let (caps, model) = caps(to);
    let convert = |members: &str| {
        let done = convert_request(from, to, &caps, model, body(from, members).as_bytes())?;
        let text = String::from_utf8(done.body).expect("made of str");
        Ok::<_, crate::error::Error>((text, done.warnings.header(), done.context))
    };
    let (plain, warned, plain_context) =
        convert(asked.without).expect("the plain request converts");
    assert_eq!(warned, None, "the plain request has no warning");
    match convert(asked.with) {
        Err(error) => {
            assert_eq!(
                error.kind,
                crate::error::Kind::Unsupported,
                "{}: {error}",
                asked.with
            );
            assert!(error.param.is_some(), "{}: {error}", asked.with);
            "refused"
        }
        Ok((_, Some(_), _)) => "warned",
        Ok((text, None, _)) if text.contains(asked.value) && !plain.contains(asked.value) => {
            "carried"
        }
        Ok((text, None, context)) if text == plain && context.stops == plain_context.stops => {
            "left out"
        }
        Ok(_) => "mapped",
    }
}

const DIRECTIONS: [(Protocol, Protocol); 6] = [
    (Chat, Responses),
    (Chat, Messages),
    (Responses, Chat),
    (Responses, Messages),
    (Messages, Chat),
    (Messages, Responses),
];

fn table() -> String {
    let mut table =
        String::from("| | C→R | C→M | R→C | R→M | M→C | M→R |\n|---|---|---|---|---|---|---|\n");
    for Feature(name, asked) in features() {
        table.push_str(&format!("| {name} |"));
        for (from, to) in DIRECTIONS {
            let asked = match from {
                Chat => &asked[0],
                Responses => &asked[1],
                Messages => &asked[2],
            };
            let word = asked.as_ref().map_or("–", |asked| cell(from, to, asked));
            table.push_str(&format!(" {word} |"));
        }
        table.push('\n');
    }
    table
}

#[test]
fn the_table_of_the_readme_is_what_conversion_does() {
    let readme = include_str!("../../../README.md");
    let table = table();
    assert!(
        readme.contains(&table),
        "README.md lacks this table:\n{table}"
    );
}
