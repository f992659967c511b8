//! What Messages clients send.

use super::Fate::{Left, Refused, Sent, Warned};
use super::{PNG, check_all, check_parts};
use crate::protocol::Protocol::{Chat, Messages, Responses};

/// A user's message with that part.
fn messages_part(part: &str) -> String {
    format!(r#""messages":[{{"role":"user","content":[{part}]}}]"#)
}

/// The tool beside a function, so that it is not the only one.
fn messages_tool(tool: &str) -> String {
    format!(
        r#""tools":[{{"name":"g","input_schema":{{"type":"object","properties":{{}}}}}},{tool}]"#
    )
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
            Sent(r#"{"file_data":"data:application/pdf;base64,JVB","filename":"D.pdf"}"#),
            Sent(
                r#"{"type":"input_file","filename":"D.pdf","file_data":"data:application/pdf;base64,JVB"}"#,
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

#[test]
fn tools_of_messages_clients() {
    let rows = [
        (
            r#"{"type":"custom","name":"f","defer_loading":true,"eager_input_streaming":true,"input_examples":[{}],"cache_control":{"type":"ephemeral"},"input_schema":{"type":"object"}}"#,
            Sent(
                r#"{"type":"function","function":{"name":"f","parameters":{"properties":{},"type":"object"}}}"#,
            ),
            Sent(
                r#"{"type":"function","name":"f","parameters":{"properties":{},"type":"object"},"strict":false}"#,
            ),
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
