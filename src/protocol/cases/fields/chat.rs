//! What Chat clients send.

use super::Fate::{Left, Refused, Sent, Warned};
use super::{PNG, check_all, check_parts};
use crate::protocol::Protocol::{Chat, Messages, Responses};

/// A user's message of Chat with that part.
fn chat_part(part: &str) -> String {
    format!(r#""messages":[{{"role":"user","content":[{part}]}}]"#)
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
