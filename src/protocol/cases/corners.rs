//! Corners of the tables of protocols.md 5 and 6 that no numbered case names.

use crate::error::{Error, Kind};
use crate::protocol::{Caps, Protocol, convert_request};
use Protocol::{Chat, Messages, Responses};

/// What the upstream gets, and the warnings.
fn ask(from: Protocol, to: Protocol, caps: &Caps, body: &str) -> Result<(String, String), Error> {
    let done = convert_request(from, to, caps, "up", body.as_bytes())?;
    let warnings = done.warnings.header().unwrap_or_default();
    Ok((String::from_utf8(done.body).unwrap(), warnings))
}

fn responses(to: Protocol, caps: &Caps, members: &str) -> Result<(String, String), Error> {
    let body = format!(r#"{{"model":"m","input":"Hi",{members}}}"#);
    ask(Responses, to, caps, &body)
}

fn chat(to: Protocol, caps: &Caps, members: &str) -> Result<(String, String), Error> {
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],{members}}}"#);
    ask(Chat, to, caps, &body)
}

fn messages(to: Protocol, caps: &Caps, members: &str) -> Result<(String, String), Error> {
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}],{members}}}"#
    );
    ask(Messages, to, caps, &body)
}

fn param(result: Result<(String, String), Error>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.status(), 400, "{error}");
    error.param.unwrap()
}

fn searching() -> Caps {
    Caps {
        web_search: true,
        ..Caps::default()
    }
}

const F: &str = r#"{"type":"function","name":"f","strict":false,"parameters":{"type":"object","properties":{}}}"#;

#[test]
fn a_search_that_may_not_be_called_is_left_out_and_one_that_may_is_refused() {
    let caps = Caps::default();
    let only = |choice: &str| {
        responses(
            Chat,
            &caps,
            &format!(r#""tools":[{{"type":"web_search"}}]{choice}"#),
        )
    };
    // The only tool left: the answer would be silently wrong (5.7).
    for choice in [
        "",
        r#","tool_choice":"auto""#,
        r#","tool_choice":"required""#,
    ] {
        assert_eq!(param(only(choice)), "tools.web_search", "{choice}");
    }
    let (body, warnings) = only(r#","tool_choice":"none""#).unwrap();
    assert!(!body.contains("tool"), "{body}");
    assert_eq!(warnings, "tools.web_search:unsupported");
    // Beside other tools an offer is dropped, a forced one is not.
    let both = |choice: &str| {
        let tools = format!(r#""tools":[{F},{{"type":"web_search"}}],"tool_choice":{choice}"#);
        responses(Chat, &caps, &tools)
    };
    assert_eq!(both(r#""auto""#).unwrap().1, "tools.web_search:unsupported");
    assert_eq!(param(both(r#"{"type":"web_search"}"#)), "tool_choice");
}

#[test]
fn a_search_for_tools_is_left_out_in_silence_because_all_are_there() {
    let caps = Caps::default();
    let tools = format!(r#""tools":[{F},{{"type":"tool_search","execution":"server"}}]"#);
    let (body, warnings) = responses(Chat, &caps, &tools).unwrap();
    assert!(
        body.contains(r#""name":"f""#) && !body.contains("tool_search"),
        "{body}"
    );
    assert_eq!(warnings, "");
    let claude = r#""tools":[{"type":"tool_search_tool_bm25_20251119","name":"tool_search_tool_bm25"},{"name":"f","defer_loading":true,"input_schema":{"type":"object","properties":{}}}]"#;
    let (body, warnings) = messages(Responses, &Caps::of("openai", "gpt-5.2"), claude).unwrap();
    assert!(
        body.contains(r#""name":"f""#) && !body.contains("tool_search"),
        "{body}"
    );
    assert_eq!(warnings, "");
}

#[test]
fn what_narrows_a_search_is_kept_or_named() {
    let claude = r#""tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3,"allowed_domains":["a.org"]}]"#;
    let (body, warnings) = messages(Responses, &Caps::of("openai", "gpt-5.2"), claude).unwrap();
    assert!(body.contains(r#""max_tool_calls":3"#), "{body}");
    assert!(
        body.contains(r#""filters":{"allowed_domains":["a.org"]}"#),
        "{body}"
    );
    assert_eq!(warnings, "");
    let (_, warnings) = messages(Chat, &searching(), claude).unwrap();
    assert_eq!(
        warnings,
        "tools.web_search_20250305.allowed_domains:unsupported,tools.web_search_20250305.max_uses:unsupported"
    );
    let openai = r#""tools":[{"type":"web_search","external_web_access":false,"filters":{"allowed_domains":["a.org"]}}],"max_tool_calls":2"#;
    let (body, warnings) = responses(Messages, &searching(), openai).unwrap();
    assert!(
        body.contains(r#""max_uses":2,"allowed_domains":["a.org"]"#),
        "{body}"
    );
    assert_eq!(warnings, "tools.web_search.external_web_access:unsupported");
    let (_, warnings) = responses(Chat, &searching(), openai).unwrap();
    assert_eq!(
        warnings,
        "tools.web_search.allowed_domains:unsupported,tools.web_search.external_web_access:unsupported,max_tool_calls:unsupported"
    );
}

#[test]
fn a_forced_choice_is_held_or_refused_never_lost() {
    let caps = Caps::default();
    let among = |mode: &str| {
        let choice = format!(
            r#""tools":[{F},{{"type":"web_search"}}],"tool_choice":{{"type":"allowed_tools","mode":"{mode}","tools":[{{"type":"web_search"}}]}}"#
        );
        responses(Chat, &caps, &choice)
    };
    assert_eq!(param(among("required")), "tool_choice");
    let (body, warnings) = among("auto").unwrap();
    assert!(!body.contains("tool"), "{body}");
    assert_eq!(
        warnings,
        "tools.web_search:unsupported,tool_choice:narrowed"
    );
    // A tool that nobody offered.
    let unknown = format!(r#""tools":[{F}],"tool_choice":{{"type":"function","name":"g"}}"#);
    let error = responses(Messages, &caps, &unknown).unwrap_err();
    assert_eq!(error.kind, Kind::BadRequest);
    assert!(
        error.message.contains("\"g\" is none of the tools"),
        "{error}"
    );
    // `web_search_options` cannot be forced beside other tools.
    let claude = r#""tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"f","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"tool","name":"web_search"}"#;
    assert_eq!(param(messages(Chat, &searching(), claude)), "tool_choice");
}

#[test]
fn a_file_without_a_type_is_what_its_name_says() {
    let file = |name: &str| {
        format!(
            r#"{{"model":"m","input":[{{"role":"user","content":[{{"type":"input_file","filename":"{name}","file_data":"aGk="}}]}}]}}"#
        )
    };
    let caps = Caps::of("anthropic", "claude-opus-4-6");
    let claude = |name: &str| ask(Responses, Messages, &caps, &file(name));
    let (body, _) = claude("a.pdf").unwrap();
    assert!(
        body.contains(r#""media_type":"application/pdf","data":"aGk=""#),
        "{body}"
    );
    let (body, _) = claude("a.md").unwrap();
    assert!(
        body.contains(r#""media_type":"text/plain","data":"hi""#),
        "{body}"
    );
    // A word processor's file is not a PDF because nobody says what it is.
    assert_eq!(param(claude("a.docx")), "input");
    let chat = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.docx","file_data":"aGk="}}]}]}"#;
    assert_eq!(param(ask(Chat, Messages, &caps, chat)), "messages");
}

#[test]
fn a_text_file_reaches_a_server_without_files_as_its_text() {
    let caps = Caps {
        files: false,
        ..Caps::default()
    };
    let file = |kind: &str| {
        format!(
            r#"{{"model":"m","input":[{{"role":"user","content":[{{"type":"input_file","filename":"a.txt","file_data":"data:{kind};base64,aGk="}}]}}]}}"#
        )
    };
    let (body, warnings) = ask(Responses, Chat, &caps, &file("text/plain")).unwrap();
    assert!(
        body.contains(r#""content":"<document title=\"a.txt\">\nhi\n</document>""#),
        "{body}"
    );
    assert_eq!(warnings, "");
    assert_eq!(
        param(ask(Responses, Chat, &caps, &file("application/pdf"))),
        "input"
    );
}

#[test]
fn nothing_to_answer_is_refused_by_name() {
    let caps = Caps::default();
    for (from, to, body, field) in [
        (Chat, Messages, r#"{"model":"m","messages":[]}"#, "messages"),
        (
            Messages,
            Chat,
            r#"{"model":"m","max_tokens":1,"messages":[]}"#,
            "messages",
        ),
        (Responses, Chat, r#"{"model":"m","input":[]}"#, "input"),
        (
            Chat,
            Responses,
            r#"{"model":"m","messages":[{"role":"system","content":"S"}]}"#,
            "messages",
        ),
        (
            Chat,
            Messages,
            r#"{"model":"m","messages":[{"role":"assistant","content":"A"},{"role":"user","content":"B"}]}"#,
            "messages",
        ),
        (
            Messages,
            Chat,
            r#"{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"Hi"}]}"#,
            "max_tokens",
        ),
        (
            Responses,
            Messages,
            r#"{"model":"m","max_output_tokens":0,"input":"Hi"}"#,
            "max_output_tokens",
        ),
    ] {
        assert_eq!(param(ask(from, to, &caps, body)), field, "{body}");
    }
    // The first word may be the assistant's where the upstream takes that.
    let first = r#"{"model":"m","messages":[{"role":"assistant","content":"A"},{"role":"user","content":"B"}]}"#;
    assert!(ask(Chat, Responses, &caps, first).is_ok());
}

#[test]
fn single_vendors_are_asked_in_their_own_way() {
    let groq = Caps::of("groq", "qwen3-32b");
    let effort = r#""reasoning":{"effort":"high"}"#;
    let (body, _) = responses(Chat, &groq, effort).unwrap();
    assert!(
        body.contains(r#""reasoning_effort":"high","reasoning_format":"parsed""#),
        "{body}"
    );
    let body = format!(r#"{{"model":"m","input":"Hi",{effort}}}"#);
    let done = convert_request(
        Responses,
        Chat,
        &groq,
        "openai/gpt-oss-120b",
        body.as_bytes(),
    );
    let body = String::from_utf8(done.unwrap().body).unwrap();
    assert!(!body.contains("reasoning_format"), "{body}");
    let kimi = Caps::of("kimi", "kimi-k2-0905-preview");
    let (body, warnings) = responses(Chat, &kimi, r#""temperature":1.7"#).unwrap();
    assert!(body.contains(r#""temperature":1,"#), "{body}");
    assert_eq!(warnings, "temperature:clamped");
}

#[test]
fn a_name_too_long_for_openai_is_its_digest() {
    let openai = Caps::of("openai", "gpt-5.2");
    let user = format!(r#""user":"{}""#, "u".repeat(200));
    let (body, _) = chat(Responses, &openai, &user).unwrap();
    let (_, rest) = body.split_once(r#""safety_identifier":""#).unwrap();
    assert_eq!(rest.find('"'), Some(64), "{body}");
    let (body, _) = chat(Responses, &openai, r#""user":"short""#).unwrap();
    assert!(body.contains(r#""safety_identifier":"short""#), "{body}");
}
