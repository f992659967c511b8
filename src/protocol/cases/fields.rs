//! Each top-level field of protocols.md 6.1, 6.2 and 6.3, each part of 5.3 and each tool of 5.7, and its fate in both
//! directions, row by row.

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

#[test]
fn fields_of_chat_clients() {
    let rows = [
        (
            r#""max_tokens":50"#,
            Sent(r#""max_output_tokens":50"#),
            Sent(r#""max_tokens":50"#),
        ),
        (
            r#""max_completion_tokens":50,"max_tokens":60"#,
            Sent(r#""max_output_tokens":50"#),
            Sent(r#""max_tokens":50"#),
        ),
        (
            r#""temperature":0.5"#,
            Sent(r#""temperature":0.5"#),
            Sent(r#""temperature":0.5"#),
        ),
        (
            r#""temperature":1.7"#,
            Sent(r#""temperature":1.7"#),
            Warned("temperature:clamped"),
        ),
        (
            r#""top_p":0.9"#,
            Sent(r#""top_p":0.9"#),
            Sent(r#""top_p":0.9"#),
        ),
        (
            r#""temperature":0.5,"top_p":0.9"#,
            Sent(r#""top_p":0.9"#),
            Warned("top_p:unsupported"),
        ),
        (r#""n":1"#, Left, Left),
        (r#""n":2"#, Refused("n"), Refused("n")),
        (r#""stop":["x"]"#, Left, Sent(r#""stop_sequences":["x"]"#)),
        (r#""stop":[" "]"#, Left, Left),
        (r#""presence_penalty":0"#, Left, Left),
        (
            r#""presence_penalty":1"#,
            Warned("presence_penalty:unsupported"),
            Warned("presence_penalty:unsupported"),
        ),
        (
            r#""frequency_penalty":-1"#,
            Warned("frequency_penalty:unsupported"),
            Warned("frequency_penalty:unsupported"),
        ),
        (r#""logit_bias":{}"#, Left, Left),
        (
            r#""logit_bias":{"1":5}"#,
            Refused("logit_bias"),
            Refused("logit_bias"),
        ),
        (
            r#""logprobs":true,"top_logprobs":2"#,
            Sent(r#""top_logprobs":2,"include":["message.output_text.logprobs"]"#),
            Refused("logprobs"),
        ),
        (r#""logprobs":false"#, Left, Left),
        (r#""seed":7"#, Left, Left),
        (r#""stream":true"#, Sent(r#""stream":true"#), Left), // a limit so high is streamed anyway
        (
            r#""tools":[],"tool_choice":"auto","parallel_tool_calls":true"#,
            Left,
            Left,
        ),
        (r#""response_format":{"type":"text"}"#, Left, Left),
        (
            r#""response_format":{"type":"json_object"}"#,
            Sent(r#""text":{"format":{"type":"json_object"}}"#),
            Warned("response_format:by_instruction"),
        ),
        (
            r#""verbosity":"low""#,
            Sent(r#""text":{"verbosity":"low"}"#),
            Left,
        ),
        (r#""modalities":["text"]"#, Left, Left),
        (
            r#""modalities":["audio"],"audio":{}"#,
            Refused("modalities"),
            Refused("modalities"),
        ),
        (
            r#""prediction":{"type":"content","content":"x"}"#,
            Left,
            Left,
        ),
        (
            r#""web_search_options":{"search_context_size":"low"}"#,
            Sent(r#"{"type":"web_search","search_context_size":"low"}"#),
            Refused("web_search_options"),
        ),
        (
            r#""metadata":{"a":"b"}"#,
            Sent(r#""metadata":{"a":"b"}"#),
            Left,
        ),
        (r#""store":true"#, Sent(r#""store":true"#), Left),
        (r#""store":false"#, Left, Left),
        (
            r#""user":"u""#,
            Sent(r#""safety_identifier":"u""#),
            Sent(r#""metadata":{"user_id":"u"}"#),
        ),
        (
            r#""user":"u","safety_identifier":"s""#,
            Sent(r#""safety_identifier":"s""#),
            Sent(r#""metadata":{"user_id":"s"}"#),
        ),
        (
            r#""prompt_cache_key":"k""#,
            Sent(r#""prompt_cache_key":"k""#),
            Left,
        ),
        (
            r#""prompt_cache_retention":"24h""#,
            Sent(r#""prompt_cache_retention":"24h""#),
            Left,
        ),
        (
            r#""service_tier":"default""#,
            Sent(r#""service_tier":"default""#),
            Sent(r#""service_tier":"standard_only""#),
        ),
        (
            r#""service_tier":"priority""#,
            Sent(r#""service_tier":"priority""#),
            Warned("service_tier:unsupported"),
        ),
        (
            r#""moderation":{"model":"x","policy":{"input":{"mode":"score"}}}"#,
            Sent(r#""moderation":{"model":"x""#),
            Warned("moderation:unsupported"),
        ),
        (
            r#""moderation":{"model":"x","policy":{"output":{"mode":"block"}}}"#,
            Sent(r#""moderation":{"model":"x""#),
            Refused("moderation"),
        ),
        (
            r#""top_k":5"#,
            Warned("top_k:unsupported"),
            Warned("top_k:unsupported"),
        ),
        (
            r#""min_p":0.1"#,
            Warned("min_p:unsupported"),
            Warned("min_p:unsupported"),
        ),
        (
            r#""chat_template_kwargs":{}"#,
            Warned("chat_template_kwargs:unsupported"),
            Warned("chat_template_kwargs:unsupported"),
        ),
        (
            r#""surprise":1"#,
            Warned("surprise:unknown"),
            Warned("surprise:unknown"),
        ),
    ];
    check_all(Chat, [Responses, Messages], &rows);
}

#[test]
fn fields_of_responses_clients() {
    let rows = [
        (
            r#""instructions":"I""#,
            Sent(r#"{"role":"system","content":"I"}"#),
            Sent(r#""system":[{"type":"text","text":"I"}]"#),
        ),
        (
            r#""max_output_tokens":50"#,
            Sent(r#""max_tokens":50"#),
            Sent(r#""max_tokens":50"#),
        ),
        (r#""max_tool_calls":3"#, Left, Left),
        (
            r#""temperature":1.7"#,
            Sent(r#""temperature":1.7"#),
            Warned("temperature:clamped"),
        ),
        (
            r#""top_p":0.9"#,
            Sent(r#""top_p":0.9"#),
            Sent(r#""top_p":0.9"#),
        ),
        (
            r#""top_logprobs":2"#,
            Sent(r#""logprobs":true,"top_logprobs":2"#),
            Refused("top_logprobs"),
        ),
        (
            r#""include":["message.output_text.logprobs"]"#,
            Sent(r#""logprobs":true"#),
            Refused("include"),
        ),
        (
            r#""include":["reasoning.encrypted_content","web_search_call.action.sources"]"#,
            Left,
            Left,
        ),
        (
            r#""include":["surprise"]"#,
            Warned("include.surprise:unknown"),
            Warned("include.surprise:unknown"),
        ),
        (r#""text":{"verbosity":"low"}"#, Left, Left),
        (
            r#""text":{"format":{"type":"json_object"}}"#,
            Sent(r#""response_format":{"type":"json_object"}"#),
            Warned("text.format:by_instruction"),
        ),
        (
            r#""reasoning":{"summary":"auto","context":"auto","generate_summary":"auto"}"#,
            Left,
            Left,
        ),
        (r#""reasoning":{"mode":"standard"}"#, Left, Left),
        (
            r#""reasoning":{"mode":"pro"}"#,
            Refused("reasoning.mode"),
            Refused("reasoning.mode"),
        ),
        (r#""store":true"#, Left, Left),
        (
            r#""previous_response_id":"r""#,
            Refused("previous_response_id"),
            Refused("previous_response_id"),
        ),
        (
            r#""conversation":"c""#,
            Refused("conversation"),
            Refused("conversation"),
        ),
        (r#""conversation":null"#, Left, Left),
        (
            r#""prompt":{"id":"p"}"#,
            Refused("prompt"),
            Refused("prompt"),
        ),
        (
            r#""background":true"#,
            Refused("background"),
            Refused("background"),
        ),
        (r#""background":false,"background_options":{}"#, Left, Left),
        (r#""truncation":"auto""#, Left, Left),
        (
            r#""context_management":[{"type":"compaction","compact_threshold":9}]"#,
            Left,
            Left,
        ),
        (r#""metadata":{"a":"b"}"#, Left, Left), // only OpenAI knows it
        (
            r#""user":"u""#,
            Sent(r#""user":"u""#),
            Sent(r#""metadata":{"user_id":"u"}"#),
        ),
        (
            r#""safety_identifier":"s""#,
            Sent(r#""user":"s""#),
            Sent(r#""metadata":{"user_id":"s"}"#),
        ),
        (
            r#""prompt_cache_key":"k","prompt_cache_retention":"24h""#,
            Left,
            Left,
        ),
        (
            r#""service_tier":"priority""#,
            Warned("service_tier:unsupported"),
            Warned("service_tier:unsupported"),
        ),
        (
            r#""service_tier":"auto""#,
            Left,
            Sent(r#""service_tier":"auto""#),
        ),
        (
            r#""stream":true"#,
            Sent(r#""stream":true,"stream_options":{"include_usage":true}"#),
            Left,
        ),
        (
            r#""stream_options":{"include_obfuscation":false}"#,
            Left,
            Left,
        ),
        (
            r#""moderation":{"model":"x"}"#,
            Warned("moderation:unsupported"),
            Warned("moderation:unsupported"),
        ),
        (
            r#""moderation":{"policy":{"input":{"mode":"block"}}}"#,
            Refused("moderation"),
            Refused("moderation"),
        ),
        (
            r#""access_programs":{}"#,
            Refused("access_programs"),
            Refused("access_programs"),
        ),
        (r#""image":{"context_compression":"auto"}"#, Left, Left),
        (r#""client_metadata":{"a":"b"},"safeguards":{}"#, Left, Left),
        (
            r#""surprise":1"#,
            Warned("surprise:unknown"),
            Warned("surprise:unknown"),
        ),
    ];
    check_all(Responses, [Chat, Messages], &rows);
}

#[test]
fn fields_of_messages_clients() {
    let rows = [
        (
            r#""system":"S""#,
            Sent(r#"{"role":"system","content":"S"}"#),
            Sent(r#""instructions":"S""#),
        ),
        (r#""stop_sequences":["x"]"#, Sent(r#""stop":["x"]"#), Left),
        (r#""stop_sequences":["1","2","3","4","5"]"#, Left, Left),
        (
            r#""temperature":0.5"#,
            Sent(r#""temperature":0.5"#),
            Sent(r#""temperature":0.5"#),
        ),
        (
            r#""top_p":0.9"#,
            Sent(r#""top_p":0.9"#),
            Sent(r#""top_p":0.9"#),
        ),
        (
            r#""top_k":5"#,
            Warned("top_k:unsupported"),
            Warned("top_k:unsupported"),
        ),
        (
            r#""stream":true"#,
            Sent(r#""stream":true,"stream_options":{"include_usage":true}"#),
            Sent(r#""stream":true"#),
        ),
        (
            r#""thinking":{"type":"enabled","budget_tokens":8000}"#,
            Sent(r#""reasoning_effort":"medium""#),
            Warned("thinking:unsupported"),
        ),
        (
            r#""thinking":{"type":"disabled"}"#,
            Sent(r#""reasoning_effort":"none""#),
            Left,
        ),
        (
            r#""output_config":{"effort":"max"}"#,
            Sent(r#""reasoning_effort":"max""#),
            Warned("thinking:unsupported"),
        ),
        (
            r#""output_config":{"task_budget":{"type":"tokens","total":9}}"#,
            Left,
            Left,
        ),
        (
            r#""output_format":{"type":"json_schema","schema":{"type":"object","properties":{}}}"#,
            Sent(r#""name":"structured_output""#),
            Sent(r#""name":"structured_output","strict":true"#),
        ),
        (
            r#""metadata":{"user_id":"u"}"#,
            Sent(r#""user":"u""#),
            Sent(r#""safety_identifier":"u","prompt_cache_key":""#),
        ),
        (r#""cache_control":{"type":"ephemeral"}"#, Left, Left),
        (r#""service_tier":"auto""#, Left, Left),
        (
            r#""service_tier":"standard_only""#,
            Left,
            Sent(r#""service_tier":"default""#),
        ),
        (r#""speed":"standard""#, Left, Left),
        (
            r#""speed":"fast""#,
            Warned("speed:unsupported"),
            Warned("speed:unsupported"),
        ),
        (
            r#""inference_geo":"eu""#,
            Refused("inference_geo"),
            Refused("inference_geo"),
        ),
        (
            r#""container":"c""#,
            Refused("container"),
            Refused("container"),
        ),
        (r#""mcp_servers":[]"#, Left, Left),
        (
            r#""mcp_servers":[{"type":"url","name":"s","url":"https://m"}]"#,
            Refused("mcp_servers"),
            Sent(
                r#"{"type":"mcp","server_label":"s","server_url":"https://m","require_approval":"never"}"#,
            ),
        ),
        (
            r#""context_management":{"edits":[{"type":"clear_tool_uses_20250919"},{"type":"compact_20260112"}]}"#,
            Left,
            Left,
        ),
        (
            r#""compaction":{"x":1}"#,
            Refused("compaction"),
            Refused("compaction"),
        ),
        (r#""thread":{"type":"create"}"#, Left, Left),
        (
            r#""thread":{"type":"continue","previous_message_id":"m"}"#,
            Refused("thread"),
            Refused("thread"),
        ),
        (
            r#""diagnostics":{},"fallbacks":[],"fallback_credit_token":"t","betas":["b"]"#,
            Left,
            Left,
        ),
        (
            r#""user_profile_id":"p","workspace_id":"w","safeguards":{}"#,
            Left,
            Left,
        ),
        (
            r#""billing_policy":{"bill_to":"user_profile"}"#,
            Refused("billing_policy"),
            Refused("billing_policy"),
        ),
        (r#""billing_policy":{"bill_to":"organization"}"#, Left, Left),
        (
            r#""surprise":1"#,
            Warned("surprise:unknown"),
            Warned("surprise:unknown"),
        ),
    ];
    check_all(Messages, [Chat, Responses], &rows);
}

/// A user's message of Chat with that part.
fn chat_part(part: &str) -> String {
    format!(r#""messages":[{{"role":"user","content":[{part}]}}]"#)
}

fn responses_part(part: &str) -> String {
    format!(r#""input":[{{"role":"user","content":[{part}]}}]"#)
}

fn messages_part(part: &str) -> String {
    format!(r#""messages":[{{"role":"user","content":[{part}]}}]"#)
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

#[test]
fn parts_of_chat_clients() {
    let rows = [
        (
            r#"{"type":"text","text":"T"}"#,
            Sent(r#"{"type":"input_text","text":"T"}"#),
            Sent(r#"{"type":"text","text":"T"}"#),
        ),
        (
            r#"{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}}"#,
            Sent(r#"{"type":"input_image","image_url":"https://x/y.png","detail":"low"}"#),
            Sent(r#"{"type":"image","source":{"type":"url","url":"https://x/y.png"}}"#),
        ),
        (
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}}"#,
            Sent(PNG),
            Sent(r#"{"type":"base64","media_type":"image/png","data":"iVBOR"}"#),
        ),
        (
            r#"{"type":"image_url","image_url":{"url":"data:image/svg+xml;base64,iVBOR"}}"#,
            Sent("data:image/svg+xml;base64,iVBOR"),
            Refused("messages"),
        ),
        (
            r#"{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVB"}}"#,
            Sent(
                r#"{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVB"}"#,
            ),
            Sent(
                r#"{"type":"base64","media_type":"application/pdf","data":"JVB"},"title":"a.pdf""#,
            ),
        ),
        (
            r#"{"type":"file","file":{"file_id":"f"}}"#,
            Refused("messages[0].content[0].file.file_id"),
            Refused("messages[0].content[0].file.file_id"),
        ),
        (
            r#"{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}"#,
            Sent(r#"{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}"#),
            Refused("messages"),
        ),
        (
            r#"{"type":"hologram"}"#,
            Refused("messages[0].content[0]"),
            Refused("messages[0].content[0]"),
        ),
    ];
    check_parts(Chat, [Responses, Messages], chat_part, &rows);
    let rows = [
        (
            r#""messages":[{"role":"user","content":"a"},{"role":"assistant","audio":{"id":"x"}},{"role":"user","content":"b"}]"#,
            Refused("messages[1].audio"),
            Refused("messages[1].audio"),
        ),
        (
            r#""messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"refusal":"No."},{"role":"user","content":"b"}]"#,
            Sent(r#"{"type":"refusal","refusal":"No."}"#),
            Sent(r#"{"role":"assistant","content":[{"type":"text","text":"No."}]}"#),
        ),
        (
            r#""messages":[{"role":"user","content":"a","name":"Ann"}]"#,
            Sent(r#"{"type":"input_text","text":"a"}"#),
            Sent(r#"{"type":"text","text":"a"}"#),
        ),
        (
            r#""messages":[{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://x"}}]},{"role":"user","content":"a"}]"#,
            Refused("messages[0].content"),
            Refused("messages[0].content"),
        ),
    ];
    check_all(Chat, [Responses, Messages], &rows);
}

#[test]
fn parts_of_responses_clients() {
    let rows = [
        (
            r#"{"type":"input_text","text":"T"}"#,
            Sent(r#""content":"T""#),
            Sent(r#"{"type":"text","text":"T"}"#),
        ),
        (
            r#"{"type":"input_image","detail":"original","image_url":"https://x/y.png"}"#,
            Sent(r#"{"url":"https://x/y.png","detail":"high"}"#),
            Sent(r#"{"type":"url","url":"https://x/y.png"}"#),
        ),
        (
            r#"{"type":"input_image","file_id":"f"}"#,
            Refused("input[0].content[0].file_id"),
            Refused("input[0].content[0].file_id"),
        ),
        (
            r#"{"type":"input_file","file_url":"https://x/y.pdf"}"#,
            Refused("input"),
            Sent(r#"{"type":"document","source":{"type":"url","url":"https://x/y.pdf"}}"#),
        ),
        (
            r#"{"type":"input_file","filename":"a.txt","file_data":"data:text/plain;base64,aGk="}"#,
            Sent(r#"{"file_data":"data:text/plain;base64,aGk=","filename":"a.txt"}"#),
            Sent(r#"{"type":"text","media_type":"text/plain","data":"hi"},"title":"a.txt""#),
        ),
        (
            r#"{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}"#,
            Sent(r#"{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}"#),
            Refused("input"),
        ),
        (
            r#"{"type":"hologram"}"#,
            Refused("input[0].content[0]"),
            Refused("input[0].content[0]"),
        ),
    ];
    check_parts(Responses, [Chat, Messages], responses_part, &rows);
    let rows = [
        (
            r#""input":[{"role":"user","content":"a"},{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]"#,
            Warned("web_search_call:dropped"),
            Warned("web_search_call:dropped"),
        ),
        (
            r#""input":[{"role":"user","content":"a"},{"type":"mcp_approval_response","approval_request_id":"x","approve":true}]"#,
            Refused("input[1]"),
            Refused("input[1]"),
        ),
        (
            r#""input":[{"role":"user","content":"a"},{"type":"compaction","encrypted_content":"gAAA"}]"#,
            Refused("input[1]"),
            Refused("input[1]"),
        ),
        (
            r#""input":[{"role":"user","content":"a"},{"type":"compaction_trigger"}]"#,
            Refused("input[1]"),
            Refused("input[1]"),
        ),
        (
            r#""input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}","caller":{"type":"program"}}]"#,
            Refused("input[1]"),
            Refused("input[1]"),
        ),
        (
            r#""input":[{"role":"user","content":"a"},{"type":"message","role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"b","annotations":[],"logprobs":[]}]},{"role":"user","content":"c"}]"#,
            Sent(r#"{"role":"assistant","content":"b"}"#),
            Sent(r#"{"role":"assistant","content":[{"type":"text","text":"b"}]}"#),
        ),
    ];
    check_all(Responses, [Chat, Messages], &rows);
}

#[test]
fn parts_of_messages_clients() {
    let rows = [
        (
            r#"{"type":"text","text":"T","citations":[]}"#,
            Sent(r#""content":"T""#),
            Sent(r#"{"type":"input_text","text":"T"}"#),
        ),
        (
            r#"{"type":"image","source":{"type":"url","url":"https://x/y.png"}}"#,
            Sent(r#"{"url":"https://x/y.png"}"#),
            Sent(r#""image_url":"https://x/y.png","detail":"auto""#),
        ),
        (
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBOR"}}"#,
            Sent(PNG),
            Sent(PNG),
        ),
        (
            r#"{"type":"image","source":{"type":"file","file_id":"f"}}"#,
            Refused("messages[0].content[0].source"),
            Refused("messages[0].content[0].source"),
        ),
        (
            r#"{"type":"document","title":"D","source":{"type":"base64","media_type":"application/pdf","data":"JVB"}}"#,
            Sent(r#"{"file_data":"data:application/pdf;base64,JVB","filename":"D"}"#),
            Sent(
                r#"{"type":"input_file","filename":"D","file_data":"data:application/pdf;base64,JVB"}"#,
            ),
        ),
        (
            r#"{"type":"document","source":{"type":"url","url":"https://x/y.pdf"}}"#,
            Refused("messages"),
            Sent(r#"{"type":"input_file","file_url":"https://x/y.pdf"}"#),
        ),
        (
            r#"{"type":"document","title":"D","source":{"type":"text","media_type":"text/plain","data":"x"}}"#,
            Sent(r#"<document title=\"D\">\nx\n</document>"#),
            Sent(r#"<document title=\"D\">\nx\n</document>"#),
        ),
        (
            r#"{"type":"document","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"x"}}"#,
            Refused("messages[0].content[0].citations"),
            Refused("messages[0].content[0].citations"),
        ),
        (
            r#"{"type":"search_result","source":"https://s","title":"T","content":[{"type":"text","text":"x"}]}"#,
            Sent(r#"<document title=\"T\">\nSource: https://s\nx\n</document>"#),
            Sent(r#"<document title=\"T\">\nSource: https://s\nx\n</document>"#),
        ),
        (
            r#"{"type":"container_upload","file_id":"f"}"#,
            Refused("messages[0].content[0]"),
            Refused("messages[0].content[0]"),
        ),
        (
            r#"{"type":"hologram"}"#,
            Refused("messages[0].content[0]"),
            Refused("messages[0].content[0]"),
        ),
    ];
    check_parts(Messages, [Chat, Responses], messages_part, &rows);
    let rows = [
        (
            r#""messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"s","content":[]},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]"#,
            Warned("server_tool_use:dropped,web_search_tool_result:dropped"),
            Warned("server_tool_use:dropped,web_search_tool_result:dropped"),
        ),
        (
            r#""messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"compaction","content":"x"}]},{"role":"user","content":"c"}]"#,
            Refused("messages[1].content[0]"),
            Refused("messages[1].content[0]"),
        ),
        (
            r#""messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"redacted_thinking","data":"x"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]"#,
            Sent(r#"{"role":"assistant","content":"b"}"#),
            Sent(r#""content":[{"type":"output_text","text":"b"}]"#),
        ),
        (
            r#""messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"EqQ"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]"#,
            Sent(r#""content":"b","reasoning_content":"Hm.""#),
            Sent(r#""content":[{"type":"output_text","text":"b"}]"#),
        ),
    ];
    check_all(Messages, [Chat, Responses], &rows);
}

/// The tool beside a function, so that it is not the only one.
fn responses_tool(tool: &str) -> String {
    format!(
        r#""tools":[{{"type":"function","name":"g","strict":false,"parameters":{{"type":"object","properties":{{}}}}}},{tool}]"#
    )
}

fn messages_tool(tool: &str) -> String {
    format!(
        r#""tools":[{{"name":"g","input_schema":{{"type":"object","properties":{{}}}}}},{tool}]"#
    )
}

#[test]
fn tools_of_responses_clients() {
    let wrapped = r#"Pass the raw text in \"input\"."#;
    let rows = [
        (
            r#"{"type":"function","name":"f","strict":true,"parameters":{"type":"object","properties":{},"additionalProperties":false}}"#,
            Sent(
                r#""name":"f","parameters":{"type":"object","properties":{},"additionalProperties":false},"strict":true"#,
            ),
            Warned("tools.f.strict:unsupported"),
        ),
        (
            r#"{"type":"function","name":"f"}"#,
            Sent(r#"{"type":"function","function":{"name":"f"}}"#),
            Sent(r#"{"name":"f","input_schema":{"type":"object","properties":{}}}"#),
        ),
        (
            r#"{"type":"custom","name":"f"}"#,
            Sent(wrapped),
            Sent(wrapped),
        ),
        (
            r#"{"type":"namespace","name":"n","tools":[{"type":"function","name":"f"}]}"#,
            Sent(r#""name":"n__f""#),
            Sent(r#""name":"n__f""#),
        ),
        (
            r#"{"type":"local_shell"}"#,
            Sent(r#""name":"local_shell""#),
            Sent(r#""name":"local_shell""#),
        ),
        (
            r#"{"type":"shell"}"#,
            Sent(r#""name":"shell""#),
            Sent(r#""name":"shell""#),
        ),
        (
            r#"{"type":"apply_patch"}"#,
            Sent(r#""name":"apply_patch""#),
            Sent(r#""name":"apply_patch""#),
        ),
        (
            r#"{"type":"tool_search","execution":"client"}"#,
            Sent(r#""name":"tool_search""#),
            Sent(r#""name":"tool_search""#),
        ),
        (
            r#"{"type":"web_search"}"#,
            Warned("tools.web_search:unsupported"),
            Warned("tools.web_search:unsupported"),
        ),
        (
            r#"{"type":"image_generation"}"#,
            Warned("tools.image_generation:unsupported"),
            Warned("tools.image_generation:unsupported"),
        ),
        (
            r#"{"type":"file_search","vector_store_ids":["v"]}"#,
            Refused("tools.file_search"),
            Refused("tools.file_search"),
        ),
        (
            r#"{"type":"code_interpreter","container":"c"}"#,
            Refused("tools.code_interpreter"),
            Refused("tools.code_interpreter"),
        ),
        (
            r#"{"type":"mcp","server_label":"s","server_url":"https://m"}"#,
            Refused("tools.mcp"),
            Refused("tools.mcp"),
        ),
        (
            r#"{"type":"programmatic_tool_calling"}"#,
            Refused("tools.programmatic_tool_calling"),
            Refused("tools.programmatic_tool_calling"),
        ),
        (
            r#"{"type":"computer_use_preview"}"#,
            Refused("tools.computer_use_preview"),
            Refused("tools.computer_use_preview"),
        ),
        (
            r#"{"type":"function","name":"f","async":true}"#,
            Refused("tools[1].async"),
            Refused("tools[1].async"),
        ),
        (
            r#"{"type":"function","name":"f","allowed_callers":["program"]}"#,
            Refused("tools[1].allowed_callers"),
            Refused("tools[1].allowed_callers"),
        ),
        (
            r#"{"type":"function","name":"f","defer_loading":true,"output_schema":{},"allowed_callers":["direct"]}"#,
            Sent(r#"{"type":"function","function":{"name":"f"}}"#),
            Sent(r#"{"name":"f","input_schema":{"type":"object","properties":{}}}"#),
        ),
    ];
    check_parts(Responses, [Chat, Messages], responses_tool, &rows);
}

#[test]
fn tools_of_messages_clients() {
    let rows = [
        (
            r#"{"type":"custom","name":"f","defer_loading":true,"eager_input_streaming":true,"input_examples":[{}],"cache_control":{"type":"ephemeral"},"input_schema":{"type":"object"}}"#,
            Sent(r#"{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}"#),
            Sent(r#"{"type":"function","name":"f","parameters":{"type":"object"},"strict":false}"#),
        ),
        (
            r#"{"name":"f","strict":true,"input_schema":{"type":"object"}}"#,
            Sent(r#""strict":true"#),
            Sent(r#""strict":true"#),
        ),
        (
            r#"{"type":"bash_20250124","name":"bash"}"#,
            Sent(r#""name":"bash""#),
            Sent(r#""name":"bash""#),
        ),
        (
            r#"{"type":"text_editor_20250728","name":"str_replace_based_edit_tool"}"#,
            Sent(r#""name":"str_replace_based_edit_tool""#),
            Sent(r#""name":"str_replace_based_edit_tool""#),
        ),
        (
            r#"{"type":"memory_20250818","name":"memory"}"#,
            Sent(r#""name":"memory""#),
            Sent(r#""name":"memory""#),
        ),
        (
            r#"{"type":"computer_toolset_20260801","name":"computer"}"#,
            Refused("tools[1]"),
            Refused("tools[1]"),
        ),
        (
            r#"{"type":"web_search_20250305","name":"web_search","blocked_domains":["x"]}"#,
            Warned("tools.web_search_20250305:unsupported"),
            Warned("tools.web_search_20250305.blocked_domains:unsupported"),
        ),
        (
            r#"{"type":"web_fetch_20250910","name":"web_fetch"}"#,
            Refused("tools.web_fetch_20250910"),
            Refused("tools.web_fetch_20250910"),
        ),
        (
            r#"{"type":"code_execution_20250825","name":"code_execution"}"#,
            Refused("tools.code_execution_20250825"),
            Refused("tools.code_execution_20250825"),
        ),
        (
            r#"{"name":"f","allowed_callers":["code_execution_20250825"],"input_schema":{"type":"object"}}"#,
            Refused("tools[1].allowed_callers"),
            Refused("tools[1].allowed_callers"),
        ),
    ];
    check_parts(Messages, [Chat, Responses], messages_tool, &rows);
}
