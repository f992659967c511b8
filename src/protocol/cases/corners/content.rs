//! Files, pictures, marks and labels, and conversations that are none (protocols.md 5.2, 5.3).

use super::{ask, chat, param, responses};
use crate::protocol::{Caps, Protocol};
use Protocol::{Chat, Messages, Responses};

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
fn a_name_too_long_for_openai_is_its_digest() {
    let openai = Caps::of("openai", "gpt-5.2");
    let user = format!(r#""user":"{}""#, "u".repeat(200));
    let (body, _) = chat(Responses, &openai, &user).unwrap();
    let (_, rest) = body.split_once(r#""safety_identifier":""#).unwrap();
    assert_eq!(rest.find('"'), Some(64), "{body}");
    let (body, _) = chat(Responses, &openai, r#""user":"short""#).unwrap();
    assert!(body.contains(r#""safety_identifier":"short""#), "{body}");
}

#[test]
fn budgets_below_what_claude_takes_are_raised_and_marks_on_nothing_vanish() {
    let opus = Caps::of("anthropic", "claude-sonnet-4-5");
    let small = r#""max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":500}"#;
    let (body, _) = chat(Messages, &opus, small).unwrap();
    assert!(body.contains(r#""budget_tokens":1024"#), "{body}");
    let marked = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"","prompt_cache_breakpoint":{"mode":"explicit"}},{"type":"text","text":"Hi"}]}]}"#;
    let (body, _) = ask(Chat, Messages, &opus, marked).unwrap();
    assert!(
        body.contains(r#""content":[{"type":"text","text":"Hi"}]"#),
        "{body}"
    );
}

#[test]
fn documents_and_pictures_of_tools_reach_every_upstream() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"two pages"},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBER"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBOR"}}]}]}]}"#;
    let (chat, _) = ask(Messages, Chat, &Caps::default(), body).unwrap();
    assert!(
        chat.contains(r#"{"role":"tool","tool_call_id":"t1","content":"two pages\n[image returned, see next message]"},{"role":"user","content":[{"type":"text","text":"Image from tool call t1:"},{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBER","filename":"document.pdf"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}}]}"#),
        "{chat}"
    );
    let (openai, _) = ask(Messages, Responses, &Caps::of("openai", "gpt-5.2"), body).unwrap();
    assert!(
        openai.contains(r#""output":[{"type":"input_text","text":"two pages"},{"type":"input_file","filename":"document.pdf","file_data":"data:application/pdf;base64,JVBER"},{"type":"input_image","image_url":"data:image/png;base64,iVBOR","detail":"auto"}]"#),
        "{openai}"
    );
}

#[test]
fn claudes_own_cache_marks_are_read_from_chat_clients_wherever_they_set_them() {
    let body = r#"{"model":"m","messages":[
        {"role":"system","content":"S","cache_control":{"type":"ephemeral","ttl":"1h"}},
        {"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"t1","content":[{"type":"text","text":"r","cache_control":{"type":"ephemeral"}}]}],
        "tools":[{"type":"function","cache_control":{"type":"ephemeral","ttl":"1h"},"function":{"name":"f","parameters":{"type":"object","properties":{}}}}]}"#;
    let claude = Caps::of("anthropic", "claude-opus-4-6");
    let (sent, warnings) = ask(Chat, Messages, &claude, body).unwrap();
    for part in [
        r#""system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#,
        r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}"#,
        r#"{"type":"tool_result","tool_use_id":"t1","content":"r","cache_control":{"type":"ephemeral"}}"#,
        r#""input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral","ttl":"1h"}"#,
    ] {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    assert_eq!(warnings, "");
    let (sent, warnings) = ask(Chat, Responses, &Caps::of("openai", "gpt-5.2"), body).unwrap();
    assert!(!sent.contains("cache_control"), "{sent}");
    assert_eq!(warnings, "");
}

#[test]
fn a_temperature_that_is_no_number_any_more_is_clamped() {
    let claude = Caps::of("anthropic", "claude-opus-4-1");
    let (sent, warnings) = chat(Messages, &claude, r#""temperature":1e400"#).unwrap();
    assert!(
        sent.contains(r#""temperature":1,"#) || sent.contains(r#""temperature":1}"#),
        "{sent}"
    );
    assert_eq!(warnings, "temperature:clamped");
}

#[test]
fn odds_are_refused_where_the_gateway_has_to_cut_the_text() {
    let both = r#""logprobs":true,"stop":["x"]"#;
    let openai = Caps::of("openai", "gpt-4.1");
    assert_eq!(param(chat(Responses, &openai, both)), "logprobs");
    let (sent, _) = chat(Responses, &openai, r#""logprobs":true"#).unwrap();
    assert!(sent.contains("message.output_text.logprobs"), "{sent}");
}

#[test]
fn a_title_becomes_the_name_of_a_file_of_its_type() {
    let sent = |to: Protocol, title: &str| {
        let body = format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{{"type":"document",{title}"source":{{"type":"base64","media_type":"application/pdf","data":"JVBER"}}}}]}}]}}"#
        );
        let (body, _) = ask(Messages, to, &Caps::default(), &body).unwrap();
        let (_, rest) = body.split_once(r#""filename":""#).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    for to in [Chat, Responses] {
        assert_eq!(sent(to, r#""title":"Report 2.1","#), "Report 2.1.pdf");
        assert_eq!(sent(to, r#""title":"a.PDF","#), "a.PDF");
        assert_eq!(sent(to, ""), "document.pdf");
    }
    let text = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:text/csv;base64,aGk="}}]}]}"#;
    let (body, _) = ask(Chat, Responses, &Caps::default(), text).unwrap();
    assert!(body.contains(r#""filename":"document.csv""#), "{body}");
}

#[test]
fn a_media_type_is_the_same_in_capitals() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/PNG;base64,iVBOR"}}]}]}"#;
    let (sent, _) = ask(Chat, Messages, &Caps::default(), body).unwrap();
    assert!(sent.contains(r#""media_type":"image/png""#), "{sent}");
}

#[test]
fn no_cache_mark_outlasts_one_before_it() {
    let part = |ttl: &str| {
        format!(
            r#"{{"type":"text","text":"a","prompt_cache_breakpoint":{{"mode":"explicit","ttl":"{ttl}"}}}}"#
        )
    };
    let parts = ["12h", "30m", "12h"].map(part).join(",");
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{parts}]}}]}}"#);
    let claude = Caps::of("anthropic", "claude-opus-4-6");
    let (sent, _) = ask(Chat, Messages, &claude, &body).unwrap();
    let marks: Vec<&str> = sent.split(r#""cache_control":"#).skip(1).collect();
    let long: Vec<bool> = marks
        .iter()
        .map(|mark| mark.starts_with(r#"{"type":"ephemeral","ttl":"1h"}"#))
        .collect();
    assert_eq!(long, [true, false, false], "{sent}");
}

#[test]
fn what_an_answers_shape_is_for_is_said_in_its_schema() {
    let shape = |schema: &str| {
        format!(
            r#""text":{{"format":{{"type":"json_schema","name":"n","description":"A \"city\".","schema":{schema}}}}}"#
        )
    };
    let plain = shape(r#"{"type":"object","properties":{},"additionalProperties":false}"#);
    let claude = Caps::of("anthropic", "claude-opus-4-6");
    let (sent, _) = responses(Messages, &claude, &plain).unwrap();
    assert!(sent.contains(r#""description":"A \"city\"."}"#), "{sent}");
    let (sent, _) = responses(Chat, &Caps::of("deepseek", "deepseek-chat"), &plain).unwrap();
    assert!(sent.contains(r#"A \\\"city\\\"."#), "{sent}");
    // What the schema says itself counts.
    let own = shape(
        r#"{"type":"object","description":"D","properties":{},"additionalProperties":false}"#,
    );
    let (sent, _) = responses(Messages, &claude, &own).unwrap();
    assert!(
        sent.contains(r#""description":"D"}"#) && !sent.contains("city"),
        "{sent}"
    );
    let (sent, _) = responses(Chat, &Caps::default(), &plain).unwrap();
    assert!(
        sent.contains(r#""name":"n","description":"A \"city\".""#),
        "{sent}"
    );
}
