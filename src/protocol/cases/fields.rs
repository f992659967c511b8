//! Each top-level field of protocols.md 6.1, 6.2 and 6.3 and its fate in both directions, row by row.

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
    let talk = match from {
        Chat => r#""messages":[{"role":"user","content":"Hi"}]"#,
        Responses => r#""input":"Hi""#,
        Messages => r#""max_tokens":100,"messages":[{"role":"user","content":"Hi"}]"#,
    };
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"model":"m",{talk}{comma}{members}}}"#)
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
