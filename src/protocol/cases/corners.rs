//! Corners of the tables of protocols.md 5 and 6 that no numbered case names.

use crate::error::{Error, Kind};
use crate::protocol::testing::{
    chat_lines, chat_stream, check_stream, convert_request, convert_response, cx, delta, finish,
    made,
};
use crate::protocol::{Caps, Context, Converted, Protocol, Translator, Warnings};
use Protocol::{Chat, Messages, Responses};

/// The whole conversion, for that model.
fn convert(
    from: Protocol,
    to: Protocol,
    caps: &Caps,
    model: &str,
    body: &str,
) -> Result<Converted, Error> {
    convert_request(from, to, caps, model, body.as_bytes())
}

/// What the upstream gets, and the warnings.
fn ask(from: Protocol, to: Protocol, caps: &Caps, body: &str) -> Result<(String, String), Error> {
    let done = convert(from, to, caps, "up", body)?;
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
    let done = convert(Responses, Chat, &groq, "openai/gpt-oss-120b", &body);
    let body = String::from_utf8(done.unwrap().body).unwrap();
    assert!(!body.contains("reasoning_format"), "{body}");
    // Codex says it in each request; Gemini answers 400 to a field it does not know.
    let both = |to: &Caps, parallel: bool| {
        let tools =
            format!(r#""tools":[{F}],"parallel_tool_calls":{parallel},"tool_choice":"required""#);
        responses(Chat, to, &tools).unwrap()
    };
    let gemini = Caps::of("gemini", "gemini-3-pro");
    let (body, warnings) = both(&gemini, true);
    assert!(!body.contains("parallel"), "{body}");
    assert_eq!(warnings, "");
    let (body, warnings) = both(&gemini, false);
    assert!(!body.contains("parallel"), "{body}");
    assert_eq!(warnings, "parallel_tool_calls:unsupported");
    let (body, _) = both(&Caps::of("mistral", "mistral-large"), true);
    assert!(
        body.contains(r#""tool_choice":"any","parallel_tool_calls":true"#),
        "{body}"
    );
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

#[test]
fn an_end_nobody_documents_is_named_whole_and_streamed() {
    let whole = r#"{"id":"c","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"tired"}]}"#;
    let mut warnings = Warnings::default();
    let cx = cx(Messages, Chat);
    let body = convert_response(
        Chat,
        Messages,
        &cx,
        &made(),
        whole.as_bytes(),
        &mut warnings,
    );
    assert!(
        String::from_utf8(body.unwrap())
            .unwrap()
            .contains(r#""stop_reason":"end_turn""#)
    );
    assert_eq!(warnings.header().unwrap(), "finish_reason:unknown");
    let mut stream = Translator::new(Chat, Messages, cx, made());
    let frames = chat_stream(&[&delta(r#"{"content":"a"}"#), &finish("tired")]);
    let mut out = Vec::new();
    stream.feed(frames.as_bytes(), &mut out).unwrap();
    stream.finish(&mut out).unwrap();
    assert_eq!(stream.warnings().header().unwrap(), "finish_reason:unknown");
    let paused = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"a"}],"stop_reason":"pause_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let mut warnings = Warnings::default();
    let cx = self::cx(Chat, Messages);
    let body = convert_response(
        Messages,
        Chat,
        &cx,
        &made(),
        paused.as_bytes(),
        &mut warnings,
    );
    assert!(
        String::from_utf8(body.unwrap())
            .unwrap()
            .contains(r#""finish_reason":"length""#)
    );
    assert_eq!(warnings.header().unwrap(), "stop_reason:paused");
}

#[test]
fn a_refusal_that_is_only_explained_is_said_in_each_protocol() {
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","category":"x","explanation":"not that"},"usage":{"input_tokens":1,"output_tokens":1}}"#;
    let answered = |client: Protocol| {
        let mut warnings = Warnings::default();
        let cx = cx(client, Messages);
        let body = convert_response(
            Messages,
            client,
            &cx,
            &made(),
            whole.as_bytes(),
            &mut warnings,
        );
        String::from_utf8(body.unwrap()).unwrap()
    };
    let chat = answered(Chat);
    assert!(
        chat.contains(r#""content":null,"refusal":"not that""#)
            && chat.contains(r#""finish_reason":"content_filter""#),
        "{chat}"
    );
    let responses = answered(Responses);
    assert!(
        responses.contains(r#"[{"type":"refusal","refusal":"not that"}]"#)
            && responses.contains(r#""incomplete_details":{"reason":"content_filter"}"#),
        "{responses}"
    );
    let stream = sse(&[
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":null,"explanation":"not that"}},"usage":{"output_tokens":1}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let told = check_stream(Messages, Chat, &cx(Chat, Messages), &stream);
    assert!(
        chat_lines(&told.out).contains(&r#"{"refusal":"not that"}"#.to_owned()),
        "{}",
        told.out
    );
    let told = check_stream(Messages, Responses, &cx(Responses, Messages), &stream);
    assert!(
        told.out.contains("event: response.refusal.done"),
        "{}",
        told.out
    );
}

fn sse(frames: &[&str]) -> String {
    frames
        .iter()
        .map(|frame| format!("data: {frame}\n\n"))
        .collect()
}

#[test]
fn an_answer_over_a_limit_too_low_for_the_upstream_ends_at_it() {
    let caps = Caps::of("openai", "gpt-5.2");
    let body = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}"#;
    let asked = convert(Messages, Responses, &caps, "up", body).unwrap();
    assert!(
        String::from_utf8(asked.body)
            .unwrap()
            .contains(r#""max_output_tokens":16"#)
    );
    let answer = |tokens: u64| {
        let whole = format!(
            r#"{{"id":"resp_1","object":"response","status":"completed","output":[{{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{{"type":"output_text","text":"a","annotations":[]}}]}}],"usage":{{"input_tokens":1,"output_tokens":{tokens},"total_tokens":{}}}}}"#,
            tokens + 1
        );
        let mut warnings = Warnings::default();
        let cx = &asked.context;
        let body = convert_response(
            Responses,
            Messages,
            cx,
            &made(),
            whole.as_bytes(),
            &mut warnings,
        );
        let body = String::from_utf8(body.unwrap()).unwrap();
        let (_, rest) = body.split_once(r#""stop_reason":""#).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    assert_eq!(answer(1), "end_turn");
    assert_eq!(answer(2), "max_tokens");
}

#[test]
fn an_error_in_a_messages_stream_names_the_request() {
    let mut cx = cx(Messages, Chat);
    cx.request_id = "req_7".to_owned();
    let stream = chat_stream(&[
        &delta(r#"{"content":"a"}"#),
        r#"{"error":{"message":"boom","code":503}}"#,
    ]);
    let told = check_stream(Chat, Messages, &cx, &stream);
    assert!(
        told.out.ends_with("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"},\"request_id\":\"req_7\"}\n\n"),
        "{}",
        told.out
    );
}

fn openrouter() -> Caps {
    let mut caps = Caps::of("openrouter", "anthropic/claude-opus-4-6");
    caps.upstream = Some("or".into());
    caps
}

/// The signature under which a Messages client keeps what OpenRouter's thought is proven by.
fn openrouter_signature(details: &[&str]) -> String {
    let mut cx = Context::bare(Messages, Chat, "anthropic/claude-opus-4-6", openrouter());
    cx.include_usage = false;
    let frames: Vec<String> = details.iter().map(|one| delta(one)).collect();
    let mut frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let (text, end) = (delta(r#"{"content":"Hi"}"#), finish("stop"));
    frames.extend([text.as_str(), end.as_str()]);
    let told = check_stream(Chat, Messages, &cx, chat_stream(&frames));
    assert_eq!(told.error, None, "{}", told.out);
    let (_, rest) = told
        .out
        .split_once(r#""signature_delta","signature":""#)
        .unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn thoughts_come_back_to_openrouter_with_what_their_vendor_signed() {
    let signature = openrouter_signature(&[
        r#"{"content":"","reasoning":"Need ","reasoning_details":[{"type":"reasoning.text","text":"Need ","format":"anthropic-claude-v1","index":0}]}"#,
        r#"{"content":"","reasoning":"both.","reasoning_details":[{"type":"reasoning.text","text":"both.","format":"anthropic-claude-v1","index":0}]}"#,
        r#"{"content":"","reasoning_details":[{"type":"reasoning.text","signature":"EqQ","format":"anthropic-claude-v1","index":0}]}"#,
    ]);
    assert!(signature.starts_with("gw1.c."), "{signature}");
    let turn = |signature: &str| {
        format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"a"}},{{"role":"assistant","content":[{{"type":"thinking","thinking":"Need both.","signature":"{signature}"}},{{"type":"text","text":"Hi"}}]}},{{"role":"user","content":"b"}}]}}"#
        )
    };
    let details = |caps: &Caps, signature: &str| {
        let body = turn(signature);
        let model = "anthropic/claude-opus-4-6";
        let done = convert(Messages, Chat, caps, model, &body).unwrap();
        String::from_utf8(done.body).unwrap()
    };
    let body = details(&openrouter(), &signature);
    assert!(
        body.contains(r#""content":"Hi","reasoning_details":[{"type":"reasoning.text","format":"anthropic-claude-v1","index":0,"signature":"EqQ","text":"Need both."}]"#),
        "{body}"
    );
    // Another upstream of that kind gets the text alone, and so does this one of a foreign thought.
    let other = Caps {
        upstream: Some("or-2".into()),
        ..openrouter()
    };
    for body in [details(&other, &signature), details(&openrouter(), "EqQB")] {
        assert!(
            body.contains(r#""reasoning_details":[{"type":"reasoning.text","text":"Need both."}]"#),
            "{body}"
        );
    }
    // A server that takes raw thoughts in another field gets no proof of somebody else's.
    let body = details(&Caps::default(), &signature);
    assert!(
        body.contains(r#""reasoning_content":"Need both.""#) && !body.contains("EqQ"),
        "{body}"
    );
}

#[test]
fn a_whole_answer_of_openrouter_keeps_its_proof_too() {
    let whole = r#"{"id":"c","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","reasoning":"R","reasoning_details":[{"type":"reasoning.summary","summary":"R","format":"openai-responses-v1","index":0},{"type":"reasoning.encrypted","data":"gAAA","id":"rs_1","format":"openai-responses-v1","index":1}]},"finish_reason":"stop"}]}"#;
    let cx = Context::bare(Responses, Chat, "openai/gpt-5.2", openrouter());
    let mut warnings = Warnings::default();
    let body = convert_response(
        Chat,
        Responses,
        &cx,
        &made(),
        whole.as_bytes(),
        &mut warnings,
    );
    let body = String::from_utf8(body.unwrap()).unwrap();
    let (_, rest) = body.split_once(r#""encrypted_content":""#).unwrap();
    let code = rest.split('"').next().unwrap();
    let next = format!(
        r#"{{"model":"m","input":[{{"role":"user","content":"a"}},{{"type":"reasoning","id":"rs_9","summary":[{{"type":"summary_text","text":"R"}}],"encrypted_content":"{code}"}},{{"role":"assistant","content":"Hi"}},{{"role":"user","content":"b"}}]}}"#
    );
    let done = convert(Responses, Chat, &openrouter(), "openai/gpt-5.2", &next);
    let body = String::from_utf8(done.unwrap().body).unwrap();
    assert!(
        body.contains(r#""reasoning_details":[{"type":"reasoning.summary","format":"openai-responses-v1","index":0,"summary":"R"},{"type":"reasoning.encrypted","data":"gAAA","id":"rs_1","format":"openai-responses-v1","index":1}]"#),
        "{body}"
    );
}

#[test]
fn claude_behind_openrouter_is_asked_and_cached_in_openrouters_way() {
    let body = r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}],"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}"#;
    let (body, warnings) = ask(Messages, Chat, &openrouter(), body).unwrap();
    assert_eq!(warnings, "");
    for part in [
        r#""reasoning":{"effort":"high"}"#,
        r#"{"role":"system","content":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}]}"#,
        r#"{"role":"tool","tool_call_id":"t1","content":[{"type":"text","text":"r","cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#,
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[test]
fn an_answer_without_a_time_is_of_now() {
    let whole = r#"{"id":"c","created":0,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}"#;
    let mut warnings = Warnings::default();
    let cx = cx(Responses, Chat);
    let body = convert_response(
        Chat,
        Responses,
        &cx,
        &made(),
        whole.as_bytes(),
        &mut warnings,
    );
    let body = String::from_utf8(body.unwrap()).unwrap();
    assert!(body.contains(r#""created_at":1790000000"#), "{body}");
    let whole = r#"{"id":"resp_1","created_at":0,"status":"completed","output":[]}"#;
    let cx = self::cx(Chat, Responses);
    let body = convert_response(
        Responses,
        Chat,
        &cx,
        &made(),
        whole.as_bytes(),
        &mut warnings,
    );
    let body = String::from_utf8(body.unwrap()).unwrap();
    assert!(body.contains(r#""created":1790000000"#), "{body}");
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
fn an_effort_and_a_summary_are_one_word_for_a_chat_server() {
    let (body, warnings) = responses(
        Chat,
        &Caps::default(),
        r#""reasoning":{"effort":"high","summary":"auto","context":"all_turns"},"text":{"verbosity":"low"},"client_metadata":{"a":"b"}"#,
    )
    .unwrap();
    assert!(body.contains(r#""reasoning_effort":"high""#), "{body}");
    assert!(
        !body.contains("summary") && !body.contains("verbosity"),
        "{body}"
    );
    assert_eq!(warnings, "");
}

#[test]
fn a_thought_without_words_keeps_its_proof_through_a_chat_client() {
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"","signature":"EqQBSIG"},{"type":"tool_use","id":"t1","name":"f","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let cx = Context::bare(
        Chat,
        Messages,
        "claude-opus-4-6",
        Caps::of("anthropic", "claude-opus-4-6"),
    );
    let mut warnings = Warnings::default();
    let body = convert_response(
        Messages,
        Chat,
        &cx,
        &made(),
        whole.as_bytes(),
        &mut warnings,
    );
    let answer: serde_json::Value = serde_json::from_slice(&body.unwrap()).unwrap();
    let message = &answer["choices"][0]["message"];
    let next = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{message},{{"role":"tool","tool_call_id":"t1","content":"r"}}]}}"#
    );
    let (body, _) = ask(Chat, Messages, &cx.caps, &next).unwrap();
    assert!(
        body.contains(
            r#"{"type":"thinking","thinking":"","signature":"EqQBSIG"},{"type":"tool_use""#
        ),
        "{body}"
    );
}

#[test]
fn work_of_a_vendors_tool_that_is_not_shown_is_named_whole_and_streamed() {
    let blocks = [
        r#"{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}}"#,
        r#"{"type":"web_search_tool_result","tool_use_id":"s1","content":[]}"#,
        r#"{"type":"mcp_tool_use","id":"s2","name":"x","server_name":"y","input":{}}"#,
        r#"{"type":"mcp_tool_result","tool_use_id":"s2","content":[]}"#,
        r#"{"type":"text","text":"a"}"#,
    ];
    let mut frames = vec![
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#.to_owned(),
    ];
    for (index, block) in blocks.iter().enumerate() {
        frames.push(format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#
        ));
        frames.push(format!(
            r#"{{"type":"content_block_stop","index":{index}}}"#
        ));
    }
    frames.push(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}"#.to_owned());
    frames.push(r#"{"type":"message_stop"}"#.to_owned());
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let whole = format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{}],"stop_reason":"end_turn","usage":{{"input_tokens":1,"output_tokens":1}}}}"#,
        blocks.join(",")
    );
    for client in [Chat, Responses] {
        let mut warnings = Warnings::default();
        let cx = cx(client, Messages);
        convert_response(
            Messages,
            client,
            &cx,
            &made(),
            whole.as_bytes(),
            &mut warnings,
        )
        .unwrap();
        let mut told: Vec<String> = warnings.iter().map(|(field, _)| field.to_owned()).collect();
        told.sort();
        assert_eq!(told, ["mcp_tool_result", "mcp_tool_use"]);
        let mut stream = Translator::new(Messages, client, cx, made());
        let mut out = Vec::new();
        stream.feed(sse(&frames).as_bytes(), &mut out).unwrap();
        assert_eq!(
            stream.warnings().header().unwrap(),
            "mcp_tool_use:dropped,mcp_tool_result:dropped"
        );
        let shown = String::from_utf8(out).unwrap().contains("web_search_call");
        assert_eq!(shown, client == Responses);
    }
}

#[test]
fn an_unsigned_thought_goes_back_to_who_signs_nothing_and_never_to_claude() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"reasoning_content":"Hm.","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t1","content":"r"}]}"#;
    let deepseek = Caps::of("deepseek", "deepseek-reasoner");
    let (sent, _) = ask(Chat, Messages, &deepseek, body).unwrap();
    assert!(
        sent.contains(r#"[{"type":"thinking","thinking":"Hm.","signature":""},{"type":"tool_use""#),
        "{sent}"
    );
    let claude = Caps::of("anthropic", "claude-opus-4-6");
    let (sent, _) = ask(Chat, Messages, &claude, body).unwrap();
    assert!(!sent.contains("Hm."), "{sent}");
}

#[test]
fn claudes_own_cache_marks_are_read_from_chat_clients_wherever_they_set_them() {
    let body = r#"{"model":"m","messages":[
        {"role":"system","content":"S","cache_control":{"type":"ephemeral","ttl":"1h"}},
        {"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"t1","content":[{"type":"text","text":"r","cache_control":{"type":"ephemeral"}}]}],
        "tools":[{"type":"function","cache_control":{"type":"ephemeral"},"function":{"name":"f","parameters":{"type":"object","properties":{}}}}]}"#;
    let claude = Caps::of("anthropic", "claude-opus-4-6");
    let (sent, warnings) = ask(Chat, Messages, &claude, body).unwrap();
    for part in [
        r#""system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#,
        r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}"#,
        r#"{"type":"tool_result","tool_use_id":"t1","content":"r","cache_control":{"type":"ephemeral"}}"#,
        r#""input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}"#,
    ] {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    assert_eq!(warnings, "");
    let (sent, warnings) = ask(Chat, Responses, &Caps::of("openai", "gpt-5.2"), body).unwrap();
    assert!(!sent.contains("cache_control"), "{sent}");
    assert_eq!(warnings, "");
}

#[test]
fn qwen_answers_in_shape_or_thinks_but_not_both() {
    let qwen = Caps::of("qwen", "qwen3-max");
    let json = r#""text":{"format":{"type":"json_object"}}"#;
    let both = format!(r#"{json},"reasoning":{{"effort":"high"}}"#);
    let (body, warnings) = responses(Chat, &qwen, &both).unwrap();
    assert!(body.contains(r#""enable_thinking":false"#), "{body}");
    assert!(body.contains(r#""type":"json_object""#), "{body}");
    assert_eq!(warnings, "reasoning.effort:turned_off");
    let (body, warnings) = responses(Chat, &qwen, json).unwrap();
    assert!(!body.contains("thinking"), "{body}");
    assert_eq!(warnings, "");
}

#[test]
fn kimi_finds_a_thought_in_each_message_with_calls() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r"}]},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#;
    let count = |kind: &str| {
        let (sent, _) = ask(Messages, Chat, &Caps::of(kind, "k2"), body).unwrap();
        sent.matches(r#""reasoning_content":"""#).count()
    };
    assert_eq!(
        (count("kimi"), count("deepseek"), count("generic")),
        (1, 0, 0)
    );
}
