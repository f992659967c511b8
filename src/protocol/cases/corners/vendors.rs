//! What single kinds of servers want, each in its own way (protocols.md 10.1).

use super::{F, answered, ask, convert, responses};
use crate::protocol::testing::{chat_stream, check_stream, delta, finish};
use crate::protocol::{Caps, Context, Protocol};
use Protocol::{Chat, Messages, Responses};

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
    let (body, _) = answered(&cx, whole).unwrap();
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
