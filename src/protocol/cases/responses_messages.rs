//! A Responses client, such as Codex, on a Messages upstream.

use crate::error::Kind;
use crate::protocol::Protocol::{Messages, Responses};
use crate::protocol::responses::testing::{
    body, check_life_cycle, check_stream, convert, last_response, names,
};
use crate::protocol::testing::convert_response;
use crate::protocol::testing::{cx, made, transcript};
use crate::protocol::{Caps, Warnings};
use serde_json::{Value, json};

fn opus() -> Caps {
    Caps::of("anthropic", "claude-opus-4-6")
}

fn to_claude(client: &str) -> Value {
    serde_json::from_str(&body(Responses, Messages, &opus(), client).0).unwrap()
}

fn sse(frames: &[&str]) -> String {
    frames
        .iter()
        .map(|frame| format!("event: x\ndata: {frame}\n\n"))
        .collect()
}

#[test]
fn the_worked_example_of_the_reference() {
    let client = r#"{"model":"m","instructions":"You code.","input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"Sandbox: rw"}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"Fix it"}]},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Patch a.rs"}],"encrypted_content":"gw1.m.eyJrIjoidGhpbmtpbmciLCJzIjoiRXFRQlNJRyJ9"},{"type":"custom_tool_call","call_id":"call_9","name":"apply_patch","input":"*** Begin Patch\n*** End Patch"},{"type":"custom_tool_call_output","call_id":"call_9","output":"ok"}],"tools":[{"type":"custom","name":"apply_patch","description":"Edit files","format":{"type":"grammar","syntax":"lark","definition":"start: /.+/s"}},{"type":"web_search"}],"tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"high","summary":"auto"},"store":false,"stream":true,"include":["reasoning.encrypted_content"],"prompt_cache_key":"k1"}"#;
    let (sent, warnings) = body(Responses, Messages, &opus(), client);
    assert_eq!(
        sent,
        r#"{"model":"up","max_tokens":128000,"stream":true,"cache_control":{"type":"ephemeral"},"system":[{"type":"text","text":"You code."},{"type":"text","text":"Sandbox: rw"}],"messages":[{"role":"user","content":[{"type":"text","text":"Fix it"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"Patch a.rs","signature":"EqQBSIG"},{"type":"tool_use","id":"call_9","name":"apply_patch","input":{"input":"*** Begin Patch\n*** End Patch"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_9","content":"ok"}]}],"tools":[{"name":"apply_patch","description":"Edit files\n\nPass the raw text in \"input\".\nIt must match this lark grammar:\nstart: /.+/s","input_schema":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"}}"#
    );
    assert_eq!(warnings, "tools.web_search:unsupported");
}

#[test]
fn the_transcript_lives_the_whole_life_cycle() {
    let (out, error) = check_stream(&cx(Responses, Messages), transcript(Messages));
    assert_eq!(error, None);
    check_life_cycle(&out);
    let response = last_response(&out);
    assert_eq!(response["status"], "completed");
    let output = response["output"].as_array().unwrap();
    assert_eq!(
        output[0]["encrypted_content"],
        "gw1.m.eyJrIjoidGhpbmtpbmciLCJzIjoiRXFRQlNJRyJ9"
    );
    assert_eq!(output[0]["summary"][0]["text"], "Need both cities.");
    assert_eq!(output[1]["content"][0]["text"], "Checking both.");
    assert_eq!(output[2]["call_id"], "toolu_A");
    assert_eq!(output[3]["arguments"], r#"{"city":"Rome"}"#);
    assert_eq!(
        response["usage"],
        json!({"input_tokens":120,"input_tokens_details":{"cached_tokens":100,"cache_write_tokens":0},"output_tokens":60,"output_tokens_details":{"reasoning_tokens":15},"total_tokens":180})
    );
}

#[test]
fn case_01_a_stream_that_dies_in_the_second_call() {
    let stream = transcript(Messages);
    let cut = &stream[..stream.rfind("event: content_block_stop").unwrap()];
    let (out, error) = check_stream(&cx(Responses, Messages), cut);
    assert_eq!(
        error.unwrap().message,
        "upstream stream ended before completion"
    );
    check_life_cycle(&out);
    let names = names(&out);
    assert_eq!(
        names
            .iter()
            .filter(|name| *name == "output_item.done")
            .count(),
        3
    );
    assert_eq!(names.last().unwrap(), "failed");
    let output = last_response(&out)["output"].as_array().unwrap().len();
    assert_eq!(output, 3);
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":20,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

#[test]
fn a_call_cut_at_the_limit_is_nothing_codex_could_run() {
    let (out, error) = check_stream(
        &cx(Responses, Messages),
        &sse(&[
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":9}}"#,
            STOP,
        ]),
    );
    assert_eq!(error, None);
    check_life_cycle(&out);
    let names = names(&out);
    assert!(!names.contains(&"output_item.done".to_owned()));
    assert_eq!(names.last().unwrap(), "incomplete");
    let response = last_response(&out);
    assert_eq!(
        response["incomplete_details"]["reason"],
        "max_output_tokens"
    );
}

#[test]
fn case_20_redacted_thoughts_are_items_without_a_summary() {
    let (out, _) = check_stream(
        &cx(Responses, Messages),
        &sse(&[
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"EmwK"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
            STOP,
        ]),
    );
    check_life_cycle(&out);
    let item = &last_response(&out)["output"][0];
    assert_eq!(item["summary"], json!([]));
    let carrier = item["encrypted_content"].as_str().unwrap();
    assert!(carrier.starts_with("gw1.m."));
    let client = format!(
        r#"{{"model":"m","input":[{{"role":"user","content":"q"}},{item},{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"a"}}]}},{{"role":"user","content":"r"}}]}}"#
    );
    let sent = to_claude(&client);
    assert_eq!(
        sent["messages"][1]["content"][0],
        json!({"type":"redacted_thinking","data":"EmwK"})
    );
}

#[test]
fn case_24_an_overload_in_the_stream() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let (out, _) = check_stream(&cx(Responses, Messages), &sse(&[START, error]));
    let response = last_response(&out);
    assert_eq!(response["status"], "failed");
    // Seen with Codex: it repeats the turn on this code, and gives up on server_is_overloaded.
    assert_eq!(
        response["error"],
        json!({"code":"server_error","message":"Overloaded"})
    );
}

#[test]
fn searches_of_claude_are_search_items_and_citations_annotations() {
    let answer = r#"{"content":[{"type":"server_tool_use","id":"srv","name":"web_search","input":{"query":"rust"}},{"type":"web_search_tool_result","tool_use_id":"srv","content":[]},{"type":"text","text":"So.","citations":[{"type":"web_search_result_location","url":"https://a","title":"A","cited_text":"c","encrypted_index":"i"}]}],"stop_reason":"refusal"}"#;
    let told = convert_response(
        Messages,
        Responses,
        &cx(Responses, Messages),
        &made(),
        answer.as_bytes(),
        &mut Warnings::default(),
    )
    .unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["output"][0]["type"], "web_search_call");
    assert_eq!(told["output"][0]["action"]["query"], "rust");
    assert_eq!(
        told["output"][1]["content"][0]["annotations"][0]["url"],
        "https://a"
    );
    assert_eq!(told["status"], "incomplete");
    assert_eq!(told["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn case_51_a_gap_in_claudes_thoughts_takes_the_earlier_ones_too() {
    let thought = |n: usize, carrier: &str| {
        format!(
            r#"{{"type":"reasoning","id":"rs_{n}","summary":[{{"type":"summary_text","text":"t{n}"}}],"encrypted_content":"{carrier}"}},{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"a{n}"}}]}},{{"role":"user","content":"q{n}"}}"#
        )
    };
    let ours = "gw1.m.eyJrIjoidGhpbmtpbmciLCJzIjoiRXFRQlNJRyJ9";
    let client = format!(
        r#"{{"model":"m","input":[{{"role":"user","content":"q"}},{},{},{}]}}"#,
        thought(1, ours),
        thought(2, "gAAAA"),
        thought(3, ours)
    );
    let sent = to_claude(&client).to_string();
    assert!(!sent.contains("t1") && !sent.contains("t2") && sent.contains("t3"));
    assert!(!sent.contains("gAAAA"));
}

#[test]
fn case_36_codex_gets_its_own_kinds_of_calls_back() {
    let client = r#"{"model":"m","stream":true,"store":false,"input":"x","tools":[{"type":"custom","name":"apply_patch"},{"type":"namespace","name":"agents","tools":[{"type":"function","name":"spawn","parameters":{"type":"object"}}]},{"type":"web_search"}]}"#;
    let done = convert(Responses, Messages, &opus(), client).unwrap();
    let stream = sse(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t1","name":"apply_patch","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"input\":\"*** Be"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"gin\\n\"}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t2","name":"agents__spawn","input":{}}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
        STOP,
    ]);
    let (out, error) = check_stream(&done.context, &stream);
    assert_eq!(error, None);
    check_life_cycle(&out);
    let output = last_response(&out)["output"].clone();
    assert_eq!(output[0]["type"], "custom_tool_call");
    assert_eq!(output[0]["input"], "*** Begin\n");
    assert_eq!(output[1]["namespace"], "agents");
    assert_eq!(
        (&output[1]["name"], &output[1]["arguments"]),
        (&json!("spawn"), &json!("{}"))
    );
}

#[test]
fn case_55_what_claude_cannot_do_is_refused_by_name() {
    for (member, field) in [
        (
            r#""top_logprobs":3,"include":["message.output_text.logprobs"]"#,
            "top_logprobs",
        ),
        (
            r#""tools":[{"type":"code_interpreter","container":{"type":"auto"}}]"#,
            "tools.code_interpreter",
        ),
        (
            r#""tools":[{"type":"mcp","server_label":"s","server_url":"https://m"}]"#,
            "tools.mcp",
        ),
    ] {
        let client = format!(r#"{{"model":"m","input":"x",{member}}}"#);
        let error = convert(Responses, Messages, &opus(), &client).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
        assert_eq!(error.param.as_deref(), Some(field));
    }
}
