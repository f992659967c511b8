//! A Messages client, such as Claude Code, on a Responses upstream.

use crate::error::Kind;
use crate::protocol::Protocol::{Messages, Responses};
use crate::protocol::responses::testing::{body, convert};
use crate::protocol::testing::convert_response;
use crate::protocol::testing::{
    check_stream, cx, made, messages_lines, messages_steps, transcript,
};
use crate::protocol::{Caps, Warnings};
use serde_json::{Value, json};

fn gpt() -> Caps {
    Caps::of("openai", "gpt-5.2")
}

/// The upstream's body for those messages and members.
fn asked(messages: &str, members: &str) -> Value {
    let client = format!(r#"{{"model":"m","max_tokens":100,"messages":[{messages}]{members}}}"#);
    serde_json::from_str(&body(Messages, Responses, &gpt(), &client).0).unwrap()
}

/// Events of an upstream, by their types.
fn steps(frames: &[&str]) -> Vec<String> {
    let stream: String = frames
        .iter()
        .map(|frame| format!("data: {frame}\n\n"))
        .collect();
    messages_steps(&check_stream(Responses, Messages, &cx(Messages, Responses), stream).out)
}

const CREATED: &str =
    r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress","output":[]}}"#;
const COMPLETED: &str = r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":7,"output_tokens":3,"total_tokens":10}}}"#;

#[test]
fn the_transcript_of_the_reference() {
    let mut context = cx(Messages, Responses);
    context.estimate = 118;
    let outcome = check_stream(Responses, Messages, &context, transcript(Responses));
    assert_eq!(outcome.error, None);
    let expected = include_str!("../testing/messages_of_responses.sse");
    let expected: Vec<&str> = expected
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(messages_lines(&outcome.out), expected);
}

#[test]
fn case_05_every_item_done_but_no_end_is_an_error() {
    let stream = transcript(Responses);
    let cut = &stream[..stream.find("event: response.completed").unwrap()];
    let outcome = check_stream(Responses, Messages, &cx(Messages, Responses), cut);
    let seen = messages_steps(&outcome.out);
    assert_eq!(
        seen.last().unwrap(),
        r#"error {"message":"upstream stream ended before completion","type":"api_error"}"#
    );
    assert!(!outcome.out.contains("message_delta"));
}

#[test]
fn case_16_17_arguments_once_wherever_they_are_told() {
    let added = r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call","call_id":"c","name":"f","arguments":""}}"#;
    let first = r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"{\"a\""}"#;
    let second = r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":":1}"}"#;
    let told = r#"{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":0,"arguments":"{\"a\":1}"}"#;
    let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"fc_1","type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":1}"}}"#;
    let seen = steps(&[CREATED, added, first, second, told, done, COMPLETED]);
    assert_eq!(
        seen[1..],
        [
            "[tool_use f c",
            r#"{"a""#,
            ":1}",
            "]",
            "tool_use 7/0/3",
            "end"
        ]
    );
    assert_eq!(
        steps(&[CREATED, done, COMPLETED])[1..4],
        ["[tool_use f c", r#"{"a":1}"#, "]"]
    );
}

#[test]
fn case_19_several_summaries_are_one_thought() {
    let item = r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}"#;
    let part = |index: usize, text: &str| {
        format!(
            r#"{{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":{index},"delta":"{text}"}}"#
        )
    };
    let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"one"},{"type":"summary_text","text":"two"}],"encrypted_content":"gA"}}"#;
    let text = r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":1,"content_index":0,"delta":"Hi"}"#;
    let (one, two) = (part(0, "one"), part(1, "two"));
    let seen = steps(&[CREATED, item, &one, &two, done, text, COMPLETED]);
    let thought: String = seen[2..]
        .iter()
        .take_while(|step| !step.starts_with("signed"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        (seen[1].as_str(), thought.as_str()),
        ("[thinking", "one\n\ntwo")
    );
    let signed = seen
        .iter()
        .position(|step| step.starts_with("signed gw1.r."))
        .unwrap();
    assert_eq!(seen[signed + 1..signed + 5], ["]", "[text", "Hi", "]"]);
}

#[test]
fn a_failed_response_is_an_error_with_its_reason() {
    let failed = r#"{"type":"response.failed","response":{"id":"resp_1","status":"failed","error":{"code":"rate_limit_exceeded","message":"slow down"},"output":[]}}"#;
    let seen = steps(&[CREATED, failed]);
    assert_eq!(
        seen[1..],
        [r#"error {"message":"slow down","type":"rate_limit_error"}"#]
    );
}

#[test]
fn a_refusal_is_text_and_the_reason() {
    let answer = r#"{"id":"resp_1","object":"response","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"refusal","refusal":"I cannot."}]}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#;
    let told = convert_response(
        Responses,
        Messages,
        &cx(Messages, Responses),
        &made(),
        answer.as_bytes(),
        &mut Warnings::default(),
    )
    .unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["content"], json!([{"type":"text","text":"I cannot."}]));
    assert_eq!(told["stop_reason"], "refusal");
}

#[test]
fn a_turn_of_claude_code_is_asked_of_openai() {
    let asked = asked(
        r#"{"role":"user","content":"Look"},{"role":"system","content":"env"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"gw1.r.eyJrIjoicmVhc29uaW5nIiwiaSI6InJzX3UxIiwiZSI6ImdBQUFBZW5jIn0"},{"type":"tool_use","id":"call_1","name":"Read","input":{"path":"a.png"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"it"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBOR"}}]},{"type":"text","text":"Go on."}]}"#,
        r#","stream":true,"system":[{"type":"text","text":"x-anthropic-billing-header: cch=1;"},{"type":"text","text":"Be brief."}],"tools":[{"name":"Read","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"tool","name":"Read","disable_parallel_tool_use":true},"thinking":{"type":"adaptive"},"output_config":{"effort":"medium","format":{"type":"json_schema","schema":{"type":"object"}}}"#,
    );
    assert_eq!(asked["instructions"], "Be brief.");
    assert_eq!(asked["store"], false);
    assert_eq!(asked["max_output_tokens"], 100);
    assert_eq!(asked["reasoning"]["effort"], "medium");
    assert_eq!(asked["parallel_tool_calls"], false);
    assert_eq!(
        asked["tool_choice"],
        json!({"type":"function","name":"Read"})
    );
    assert_eq!(asked["tools"][0]["strict"], false);
    assert_eq!(asked["text"]["format"]["name"], "structured_output");
    let input = asked["input"].as_array().unwrap();
    let kinds: Vec<&str> = input
        .iter()
        .map(|item| item["type"].as_str().unwrap_or("message"))
        .collect();
    assert_eq!(
        kinds,
        [
            "message",
            "message",
            "reasoning",
            "function_call",
            "function_call_output",
            "message"
        ]
    );
    assert_eq!(input[1]["role"], "developer");
    assert_eq!(input[2]["encrypted_content"], "gAAAAenc");
    assert_eq!(input[3]["arguments"], r#"{"path":"a.png"}"#);
    assert_eq!(
        input[4]["output"][1]["image_url"],
        "data:image/png;base64,iVBOR"
    );
}

#[test]
fn case_50_foreign_proofs_never_reach_openai() {
    let asked = asked(
        r#"{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"EqQB"},{"type":"redacted_thinking","data":"EmwK"},{"type":"text","text":"a"}]},{"role":"user","content":"r"}"#,
        "",
    );
    let sent = asked.to_string();
    assert!(
        !sent.contains("EqQB")
            && !sent.contains("EmwK")
            && !sent.contains("\"reasoning\",\"type\"")
    );
    assert_eq!(asked["input"].as_array().unwrap().len(), 3);
}

#[test]
fn case_47_stops_are_looked_for_here_and_small_limits_raised() {
    let client = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"q"}],"stop_sequences":["END"],"top_k":5}"#;
    let done = convert(Messages, Responses, &gpt(), client).unwrap();
    assert_eq!(done.context.stops, ["END"]);
    assert_eq!(done.warnings.header().unwrap(), "top_k:unsupported");
    let sent: Value = serde_json::from_slice(&done.body).unwrap();
    assert_eq!(sent["max_output_tokens"], 16);
    let warm = client.replace(r#""max_tokens":1"#, r#""max_tokens":0"#);
    let error = convert(Messages, Responses, &gpt(), &warm).unwrap_err();
    assert_eq!(
        (error.kind, error.param.as_deref()),
        (Kind::Unsupported, Some("max_tokens"))
    );
}

/// The `tools` an OpenAI upstream gets for one MCP server and those tools.
fn servers(settings: &str, tools: &str) -> Result<Value, crate::error::Error> {
    let client = format!(
        r#"{{"model":"m","max_tokens":100,"messages":[{{"role":"user","content":"Hi"}}],"mcp_servers":[{{"type":"url","name":"s","url":"https://m"{settings}}}],"tools":[{tools}]}}"#
    );
    let done = crate::protocol::testing::convert_request(
        Messages,
        Responses,
        &gpt(),
        "gpt-5.2",
        client.as_bytes(),
    )?;
    let body: Value = serde_json::from_slice(&done.body).unwrap();
    Ok(body["tools"].clone())
}

#[test]
fn a_toolset_says_which_tools_of_its_server_may_be_called() {
    let tool = |allowed: Value| {
        let mut tool = json!({"type":"mcp","server_label":"s","server_url":"https://m","require_approval":"never"});
        if !allowed.is_null() {
            tool["allowed_tools"] = allowed;
        }
        json!([tool])
    };
    let toolset = |members: &str| {
        let toolset = format!(r#"{{"type":"mcp_toolset","mcp_server_name":"s"{members}}}"#);
        servers("", &toolset)
    };
    for all in [
        "",
        r#","default_config":{"enabled":true,"defer_loading":true}"#,
        r#","configs":{"a":{"enabled":true},"b":{"defer_loading":true}},"cache_control":{"type":"ephemeral"}"#,
    ] {
        assert_eq!(toolset(all).unwrap(), tool(Value::Null), "{all}");
    }
    let some = r#","default_config":{"enabled":false},"configs":{"a":{"enabled":true},"b":{},"c":{"enabled":true}}"#;
    assert_eq!(toolset(some).unwrap(), tool(json!(["a", "c"])));
    let none = toolset(r#","default_config":{"enabled":false}"#).unwrap();
    assert_eq!(none, Value::Null);
    // OpenAI has no word for all but one.
    let error = toolset(r#","configs":{"a":{"enabled":false}}"#).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("tools.mcp_toolset"));
    assert_eq!(error.kind, Kind::Unsupported);
    for broken in [
        servers("", r#"{"type":"mcp_toolset","mcp_server_name":"other"}"#).unwrap_err(),
        servers("", r#"{"type":"mcp_toolset"}"#).unwrap_err(),
    ] {
        assert_eq!(broken.param.as_deref(), Some("tools.mcp_toolset"));
        assert_eq!(broken.kind, Kind::BadRequest);
    }
    // The older beta says it at the server.
    let older = r#","tool_configuration":{"enabled":true,"allowed_tools":["a"]}"#;
    assert_eq!(servers(older, "").unwrap(), tool(json!(["a"])));
    let off = r#","tool_configuration":{"enabled":false}"#;
    assert_eq!(servers(off, "").unwrap(), Value::Null);
}

#[test]
fn a_toolset_without_servers_is_an_error() {
    let client = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"mcp_toolset","mcp_server_name":"s"}]}"#;
    let done = crate::protocol::testing::convert_request(
        Messages,
        Responses,
        &gpt(),
        "gpt-5.2",
        client.as_bytes(),
    );
    let error = done.unwrap_err();
    assert_eq!(error.kind, Kind::BadRequest);
    assert_eq!(error.param.as_deref(), Some("tools.mcp_toolset"));
}
