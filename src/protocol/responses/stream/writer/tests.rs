use super::*;
use crate::protocol::Protocol;
use crate::protocol::responses::testing::*;
use crate::protocol::testing::{cx, made, transcript};

fn chat(events: &[&str]) -> String {
    let frames = events.iter().map(|event| format!("data: {event}\n\n"));
    frames.collect()
}

fn from_chat(events: &[&str]) -> String {
    let cx = cx(Protocol::Responses, Protocol::Chat);
    let (out, error) = check_stream(&cx, &chat(events));
    assert!(error.is_none(), "{error:?}");
    check_life_cycle(&out);
    out
}

#[test]
fn the_transcript_is_written_to_the_letter() {
    let cx = cx(Protocol::Responses, Protocol::Chat);
    let (out, error) = check_stream(&cx, transcript(Protocol::Chat));
    assert!(error.is_none(), "{error:?}");
    check_life_cycle(&out);
    let (found, wanted) = (
        frames(&out),
        frames(include_str!("../../../testing/responses_of_chat.sse")),
    );
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.len(), wanted.len());
}

#[test]
fn case_01_a_call_cut_by_the_end_of_the_stream_is_never_done() {
    let cx = cx(Protocol::Responses, Protocol::Chat);
    let upstream = transcript(Protocol::Chat);
    let cut = upstream.find("data: {\"id\":\"chatcmpl-7\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"up-model\",\"choices\":[{\"index\":0,\"delta\":{},");
    let upstream = upstream[..cut.unwrap()].replace("\\\"Rome\\\"}", "\\\"Ro");
    let (out, error) = check_stream(&cx, &upstream);
    assert!(error.is_some());
    check_life_cycle(&out);
    let dones = frames(&out)
        .into_iter()
        .filter(|(name, _)| name == "response.output_item.done")
        .map(|(_, data)| data["item"]["id"].as_str().unwrap().to_owned());
    assert_eq!(dones.collect::<Vec<_>>(), ["rs_1", "msg_1", "fc_1"]);
    let last = frames(&out).pop().unwrap();
    assert_eq!(last.0, "response.failed");
    assert_eq!(last.1["response"]["status"], "failed");
    assert_eq!(last.1["response"]["error"]["code"], "upstream_error");
    assert_eq!(last.1["response"]["output"].as_array().unwrap().len(), 3);
    assert!(
        !out.contains("response.completed")
            && !out.contains("fc_2\",\"output_index\":3,\"arguments")
    );
}

#[test]
fn the_output_limit_leaves_an_incomplete_call_without_done() {
    let out = from_chat(&[
        r#"{"choices":[{"index":0,"delta":{"content":"Hm"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_A","function":{"name":"f","arguments":"{\"a\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
        "[DONE]",
    ]);
    let response = last_response(&out);
    assert_eq!(response["status"], "incomplete");
    assert_eq!(
        response["incomplete_details"]["reason"],
        "max_output_tokens"
    );
    assert_eq!(response["output"][0]["status"], "completed");
    assert_eq!(response["output"][1]["status"], "incomplete");
    assert_eq!(response["output"][1]["arguments"], "{\"a\":");
    assert!(!out.contains("function_call_arguments.done"));
    assert_eq!(
        response["usage"]["input_tokens_details"]["cached_tokens"],
        0
    );
}

#[test]
fn text_cut_at_the_limit_is_an_incomplete_item() {
    let out = from_chat(&[
        r#"{"choices":[{"index":0,"delta":{"content":"Hal"},"finish_reason":"length"}]}"#,
        "[DONE]",
    ]);
    assert_eq!(last_response(&out)["output"][0]["status"], "incomplete");
    assert_eq!(
        last_response(&out)["output"][0]["content"][0]["text"],
        "Hal"
    );
}

#[test]
fn case_12_and_13_one_chunk_with_everything_and_usage_after_it() {
    let out = from_chat(&[
        r#"{"choices":[{"index":0,"delta":{"content":"t","tool_calls":[{"index":0,"id":"call_A","function":{"name":"f","arguments":""}}]},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#,
        "[DONE]",
    ]);
    let response = last_response(&out);
    assert_eq!(response["output"][0]["content"][0]["text"], "t");
    assert_eq!(response["output"][1]["arguments"], "{}");
    assert_eq!(response["usage"]["total_tokens"], 10);
}

#[test]
fn case_15_text_after_a_call_is_a_message_of_its_own() {
    let out = from_chat(&[
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_A","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    let output = &last_response(&out)["output"];
    assert_eq!(output[0]["id"], "msg_1");
    assert_eq!(output[1]["id"], "fc_1");
    assert_eq!(output[2]["id"], "msg_2");
}

#[test]
fn case_07_interleaved_calls_are_two_whole_items() {
    let call = |index: u64, head: &str, arguments: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{index}{head},"function":{{{arguments}}}}}]}}}}]}}"#
        )
    };
    let events = [
        call(0, r#","id":"call_A""#, r#""name":"f","arguments":"{\"a\"""#),
        call(1, r#","id":"call_B""#, r#""name":"g","arguments":"{\"b\"""#),
        call(0, "", r#""arguments":":1}""#),
        call(1, "", r#""arguments":":2}""#),
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.to_owned(),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let out = from_chat(&events);
    let output = &last_response(&out)["output"];
    assert_eq!(output[0]["arguments"], "{\"a\":1}");
    assert_eq!(output[1]["arguments"], "{\"b\":2}");
}

#[test]
fn a_refusal_is_a_part_of_a_message() {
    let out = from_chat(&[
        r#"{"choices":[{"index":0,"delta":{"refusal":"No."},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]);
    assert_eq!(
        names(&out)[3..],
        [
            "content_part.added",
            "refusal.delta",
            "refusal.done",
            "content_part.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(
        last_response(&out)["output"][0]["content"][0]["refusal"],
        "No."
    );
}

#[test]
fn an_empty_answer_has_no_items() {
    let out =
        from_chat(&[r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]}"#]);
    assert_eq!(names(&out), ["created", "in_progress", "completed"]);
    assert_eq!(last_response(&out)["output"].as_array().unwrap().len(), 0);
}

/// A conversation with Codex's tools, for what its answers look like.
fn codex() -> Context {
    let request = r#"{"model":"client-model","input":"x","tools":[
        {"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"x"}},
        {"type":"namespace","name":"agents","description":"d","tools":[{"type":"function","name":"spawn","parameters":{"type":"object"}}]},
        {"type":"local_shell"},{"type":"shell"},{"type":"tool_search","execution":"client"}]}"#;
    let caps = crate::protocol::Caps::default();
    let mut cx = convert(Protocol::Responses, Protocol::Chat, &caps, request)
        .unwrap()
        .context;
    cx.echo.clear();
    cx
}

fn calls(cx: &Context, name: &str, arguments: &str) -> String {
    let mut json = Vec::new();
    crate::wire::json::write_string(&mut json, arguments);
    let arguments = String::from_utf8(json).unwrap();
    let upstream = chat(&[
        &format!(
            r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"id":"call_A","function":{{"name":"{name}","arguments":{arguments}}}}}]}}}}]}}"#
        ),
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    let (out, error) = check_stream(cx, &upstream);
    assert!(error.is_none(), "{error:?}");
    check_life_cycle(&out);
    out
}

#[test]
fn case_36_calls_come_back_in_the_form_codex_declared() {
    let cx = codex();
    let out = calls(&cx, "apply_patch", r#"{"input":"*** Begin\nPatch"}"#);
    assert_eq!(
        names(&out)[2..],
        [
            "output_item.added",
            "custom_tool_call_input.delta",
            "custom_tool_call_input.done",
            "output_item.done",
            "completed"
        ]
    );
    let item = &last_response(&out)["output"][0];
    assert_eq!(item["type"], "custom_tool_call");
    assert_eq!(item["input"], "*** Begin\nPatch");
    let out = calls(&cx, "agents__spawn", "{}");
    let item = &last_response(&out)["output"][0];
    assert_eq!(item["namespace"], "agents");
    assert_eq!(item["name"], "spawn");
    assert_eq!(item["call_id"], "call_A");
}

#[test]
fn typed_calls_are_announced_and_done_at_once() {
    let cx = codex();
    let out = calls(
        &cx,
        "local_shell",
        r#"{"command":["ls","-l"],"workdir":"/tmp"}"#,
    );
    assert_eq!(
        names(&out)[2..],
        ["output_item.added", "output_item.done", "completed"]
    );
    let item = &last_response(&out)["output"][0];
    assert_eq!(item["type"], "local_shell_call");
    assert_eq!(item["action"]["command"][1], "-l");
    assert_eq!(item["action"]["working_directory"], "/tmp");
    assert_eq!(item["status"], "completed");
    let out = calls(&cx, "tool_search", r#"{"query":"x"}"#);
    let item = &last_response(&out)["output"][0];
    assert_eq!(item["type"], "tool_search_call");
    assert_eq!(item["execution"], "client");
    assert_eq!(item["arguments"]["query"], "x");
    // A model that did not keep to the schema.
    let out = calls(&cx, "shell", r#"{"command":1}"#);
    assert_eq!(last_response(&out)["output"][0]["type"], "function_call");
}

#[test]
fn an_error_before_the_start_is_nested_and_later_fails_the_response() {
    let cx = cx(Protocol::Responses, Protocol::Chat);
    let error = Error::upstream(crate::error::Kind::TooManyRequests, "slow down").retry_after(2);
    let mut writer = Writer::new(&cx, &made());
    let mut out = Vec::new();
    writer.fail(&error, &cx, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"error\":{\"type\":\"rate_limit_error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\",\"param\":null}}\n\n"
    );
    let mut writer = Writer::new(&cx, &made());
    let mut out = Vec::new();
    writer
        .write(&Event::Start(Start::default()), &cx, &mut out)
        .unwrap();
    writer.fail(&error, &cx, &mut out);
    let response = last_response(&String::from_utf8(out).unwrap());
    assert_eq!(response["error"]["code"], "rate_limit_exceeded");
    assert_eq!(response["error"]["message"], "slow down; try again in 2s");
    assert!(writer.kept().is_some_and(|(_, items)| items.is_empty()));
}

#[test]
fn citations_and_odds_travel_with_their_text() {
    let cx = cx(Protocol::Responses, Protocol::Messages);
    let mut writer = Writer::new(&cx, &made());
    let mut out = Vec::new();
    let odds = crate::wire::json::Raw::parse("[{\"token\":\"a\",\n\"logprob\":0}]").unwrap();
    let cited = Annotation {
        url: Text::plain("https://x"),
        title: None,
        span: None,
        cited: None,
    };
    for event in [
        Event::Start(Start::default()),
        Event::Open(Open::Hosted(Hosted {
            name: Text::plain("server_tool_use"),
            id: None,
            query: Some(Text::plain("q")),
        })),
        Event::Close { whole: true },
        Event::Open(Open::Text),
        Event::Delta(Piece::Text {
            text: Text::plain("a"),
            logprobs: Some(odds),
        }),
        Event::Annotation(cited),
        Event::Close { whole: true },
        Event::Open(Open::Text),
        Event::Delta(Piece::text(Text::plain("b"))),
        Event::Close { whole: true },
        Event::Finish(Finish::of(Reason::Done)),
    ] {
        writer.write(&event, &cx, &mut out).unwrap();
    }
    let out = tame(&String::from_utf8(out).unwrap());
    check_life_cycle(&out);
    let output = &last_response(&out)["output"];
    assert_eq!(output[0]["type"], "web_search_call");
    assert_eq!(output[0]["action"]["query"], "q");
    let parts = &output[1]["content"];
    assert_eq!(parts[0]["annotations"][0]["end_index"], 1);
    assert_eq!(parts[0]["logprobs"][0]["token"], "a");
    assert_eq!(parts[1]["text"], "b");
}
