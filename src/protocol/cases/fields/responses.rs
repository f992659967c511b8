//! What Responses clients send.

use super::Fate::{Left, Refused, Sent, Warned};
use super::{check_all, check_parts};
use crate::protocol::Protocol::{Chat, Messages, Responses};

/// A user's message with that part.
fn responses_part(part: &str) -> String {
    format!(r#""input":[{{"role":"user","content":[{part}]}}]"#)
}

/// The tool beside a function, so that it is not the only one.
fn responses_tool(tool: &str) -> String {
    format!(
        r#""tools":[{{"type":"function","name":"g","strict":false,"parameters":{{"type":"object","properties":{{}}}}}},{tool}]"#
    )
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
