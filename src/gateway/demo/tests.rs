//! Each protocol whole and streamed: the shapes official SDKs read, and a stream that adds up to the whole answer.

use super::*;

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const NOW_S: u64 = 1_790_000_000;

fn ask(path: &str, request: &Value) -> Answer {
    answer("POST", path, request.to_string().as_bytes(), 7, NOW_S)
}

fn whole(path: &str, request: &Value) -> Value {
    let answer = ask(path, request);
    assert_eq!(
        (answer.status, answer.content_type, answer.chunks.len()),
        (200, "application/json", 1)
    );
    serde_json::from_slice(&answer.chunks[0]).unwrap()
}

/// The events of the same request as a stream. Names are checked against `type` where the protocol has them.
fn streamed(path: &str, request: &Value) -> Vec<Value> {
    let mut request = request.clone();
    request["stream"] = json!(true);
    let answer = ask(path, &request);
    assert_eq!(
        (answer.status, answer.content_type),
        (200, "text/event-stream; charset=utf-8")
    );
    assert!(answer.pause_ms > 0);
    let events = answer.chunks.iter().map(|chunk| {
        let text = std::str::from_utf8(chunk)
            .unwrap()
            .strip_suffix("\n\n")
            .unwrap();
        if path == CHAT {
            let data = text.strip_prefix("data: ").unwrap();
            return if data == "[DONE]" {
                json!(data)
            } else {
                serde_json::from_str(data).unwrap()
            };
        }
        let (name, data) = text
            .strip_prefix("event: ")
            .unwrap()
            .split_once("\ndata: ")
            .unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name);
        data
    });
    events.collect()
}

/// The strings at that pointer in all events that have one, joined.
fn joined(events: &[Value], pointer: &str) -> String {
    events
        .iter()
        .filter_map(|event| event.pointer(pointer)?.as_str())
        .collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    kinds.dedup();
    kinds
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]},
            "days": {"type": "integer"}, "note": {"type": "string"},
        },
        "required": ["city", "unit", "days"],
    })
}

fn chat(text: &str) -> Value {
    json!({
        "model": "m", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema()}}],
    })
}

fn responses(text: &str) -> Value {
    json!({
        "model": "m", "instructions": "Be brief.", "input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}],
        "tools": [{"type": "web_search"}, {"type": "function", "name": "weather", "parameters": schema()}],
        "temperature": 0.5, "metadata": {"k": "v"},
    })
}

fn messages(text: &str) -> Value {
    json!({
        "model": "m", "max_tokens": 100, "system": "Be brief.", "messages": [{"role": "user", "content": text}],
        "tools": [{"name": "weather", "input_schema": schema()}],
    })
}

const ARGUMENTS: &str = r#"{"city":"Paris","days":1,"unit":"C"}"#;

#[test]
fn chat_whole() {
    let value = whole(CHAT, &chat("hello to you"));
    assert_eq!(
        value,
        json!({
            "id": "chatcmpl-demo7", "object": "chat.completion", "created": NOW_S, "model": "m",
            "choices": [{
                "index": 0, "logprobs": null, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "You said: hello to you", "refusal": null},
            }],
            "usage": {
                "prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
            },
        })
    );
}

#[test]
fn chat_streamed() {
    let events = streamed(CHAT, &chat("hello to you"));
    assert_eq!(
        joined(&events, "/choices/0/delta/content"),
        "You said: hello to you"
    );
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    for chunk in chunks {
        assert_eq!(chunk["id"], "chatcmpl-demo7");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk.get("usage"), None);
    }
    let last = chunks.last().unwrap();
    assert_eq!(last["choices"][0]["delta"], json!({}));
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
}

#[test]
fn chat_sends_usage_in_a_stream_only_when_it_is_wanted() {
    let mut request = chat("hi");
    request["stream_options"] = json!({"include_usage": true});
    let events = streamed(CHAT, &request);
    let (last, before) = events[..events.len() - 1].split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], whole(CHAT, &chat("hi"))["usage"]);
    assert!(
        before
            .iter()
            .all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some())
    );
}

#[test]
fn chat_calls_a_tool_when_asked_and_answers_its_result() {
    let mut request = chat("Call the tool, please");
    let value = whole(CHAT, &request);
    let choice = &value["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let function = json!({"name": "weather", "arguments": ARGUMENTS});
    let call = json!({"id": "call_demo7", "type": "function", "function": function});
    assert_eq!(choice["message"]["tool_calls"], json!([call]));

    let events = streamed(CHAT, &request);
    assert_eq!(
        joined(&events, "/choices/0/delta/tool_calls/0/function/arguments"),
        ARGUMENTS
    );
    assert_eq!(
        joined(&events, "/choices/0/delta/tool_calls/0/function/name"),
        "weather"
    );
    assert_eq!(
        joined(&events, "/choices/0/delta/tool_calls/0/id"),
        "call_demo7"
    );
    assert_eq!(joined(&events, "/choices/0/finish_reason"), "tool_calls");

    let turns = request["messages"].as_array_mut().unwrap();
    turns.push(choice["message"].clone());
    turns.push(json!({"role": "tool", "tool_call_id": "call_demo7", "content": "sunny"}));
    request["tool_choice"] = json!("required");
    let value = whole(CHAT, &request);
    assert_eq!(
        value["choices"][0]["message"]["content"],
        "The tool returned: sunny"
    );
}

#[test]
fn a_tool_choice_is_obeyed() {
    let finish = |text: &str, choice: Value| {
        let mut request = chat(text);
        request["tool_choice"] = choice;
        whole(CHAT, &request)["choices"][0]["finish_reason"].clone()
    };
    let named = json!({"type": "function", "function": {"name": "weather"}});
    assert_eq!(finish("use the tool", json!("none")), "stop");
    assert_eq!(finish("hi", json!("auto")), "stop");
    assert_eq!(finish("hi", json!("required")), "tool_calls");
    assert_eq!(finish("hi", named), "tool_calls");
    let mut without = chat("call the tool");
    without["tools"] = json!([]);
    assert_eq!(whole(CHAT, &without)["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_short_limit_cuts_the_text_in_every_protocol() {
    let mut request = chat("one two three");
    request["max_completion_tokens"] = json!(3);
    let value = whole(CHAT, &request);
    assert_eq!(value["choices"][0]["message"]["content"], "You said: one ");
    assert_eq!(value["choices"][0]["finish_reason"], "length");
    assert_eq!(value["usage"]["completion_tokens"], 3);

    let mut request = messages("one two three");
    request["max_tokens"] = json!(3);
    assert_eq!(whole(MESSAGES, &request)["stop_reason"], "max_tokens");

    let mut request = responses("one two three");
    request["max_output_tokens"] = json!(3);
    let value = whole(RESPONSES, &request);
    assert_eq!(value["status"], "incomplete");
    assert_eq!(
        value["incomplete_details"],
        json!({"reason": "max_output_tokens"})
    );
    assert_eq!(
        streamed(RESPONSES, &request).last().unwrap()["type"],
        "response.incomplete"
    );
}

#[test]
fn responses_whole() {
    let value = whole(RESPONSES, &responses("hello"));
    assert_eq!(value["object"], "response");
    assert_eq!(value["status"], "completed");
    let part = json!({"type": "output_text", "text": "You said: hello", "annotations": [], "logprobs": []});
    let item = json!({"id": "msg_demo7", "type": "message", "status": "completed", "role": "assistant", "content": [part]});
    assert_eq!(value["output"], json!([item]));
    assert_eq!(value["instructions"], "Be brief.");
    assert_eq!(value["temperature"], 0.5);
    assert_eq!(value["metadata"], json!({"k": "v"}));
    let usage = &value["usage"];
    assert_eq!(
        (
            &usage["input_tokens"],
            &usage["output_tokens"],
            &usage["total_tokens"]
        ),
        (&json!(3), &json!(3), &json!(6))
    );
    let details = json!({"cached_tokens": 0, "cache_write_tokens": 0});
    assert_eq!(usage["input_tokens_details"], details);
    // Non-optional by type in the official SDKs (protocols.md 2.3).
    for key in [
        "id",
        "created_at",
        "model",
        "object",
        "output",
        "parallel_tool_calls",
        "tool_choice",
        "tools",
    ] {
        assert!(!value[key].is_null(), "{key}");
    }
    assert_eq!(
        whole(RESPONSES, &json!({"model": "m", "input": "hi"}))["output"][0]["content"][0]["text"],
        "You said: hi"
    );
}

#[test]
fn responses_streamed() {
    let request = responses("hello to you");
    let events = streamed(RESPONSES, &request);
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], index);
    }
    assert_eq!(
        kinds(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let complete = whole(RESPONSES, &request);
    assert_eq!(events.last().unwrap()["response"], complete);
    assert_eq!(
        joined(&events, "/delta"),
        complete["output"][0]["content"][0]["text"]
    );
    assert_eq!(events[0]["response"]["output"], json!([]));
    assert_eq!(events[0]["response"]["usage"], Value::Null);
    assert_eq!(events[2]["item"]["content"], json!([]));
    assert_eq!(events[2]["item"]["status"], "in_progress");
    assert_eq!(events[events.len() - 2]["item"], complete["output"][0]);
}

#[test]
fn responses_calls_a_tool_and_answers_its_result() {
    let mut request = responses("use a tool");
    let complete = whole(RESPONSES, &request);
    let call = json!({
        "id": "fc_demo7", "type": "function_call", "status": "completed",
        "call_id": "call_demo7", "name": "weather", "arguments": ARGUMENTS,
    });
    assert_eq!(complete["output"], json!([call]));
    let events = streamed(RESPONSES, &request);
    assert_eq!(
        kinds(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(joined(&events, "/delta"), ARGUMENTS);
    assert_eq!(events[2]["item"]["arguments"], "");
    assert_eq!(events.last().unwrap()["response"], complete);

    let input = request["input"].as_array_mut().unwrap();
    input.push(call);
    input.push(json!({"type": "function_call_output", "call_id": "call_demo7", "output": "sunny"}));
    let value = whole(RESPONSES, &request);
    assert_eq!(
        value["output"][0]["content"][0]["text"],
        "The tool returned: sunny"
    );
}

#[test]
fn messages_whole() {
    assert_eq!(
        whole(MESSAGES, &messages("hello")),
        json!({
            "id": "msg_demo7", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "You said: hello", "citations": null}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {
                "input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "output_tokens": 3, "service_tier": "standard",
            },
        })
    );
}

#[test]
fn messages_streamed() {
    let events = streamed(MESSAGES, &messages("hello to you"));
    assert_eq!(
        kinds(&events),
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    let complete = whole(MESSAGES, &messages("hello to you"));
    assert_eq!(
        joined(&events, "/delta/text"),
        complete["content"][0]["text"]
    );
    let start = &events[0]["message"];
    assert_eq!(
        (&start["content"], &start["stop_reason"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(
        start["usage"]["input_tokens"],
        complete["usage"]["input_tokens"]
    );
    let end = &events[events.len() - 2];
    assert_eq!(
        end["delta"],
        json!({"stop_reason": "end_turn", "stop_sequence": null})
    );
    assert_eq!(
        end["usage"]["output_tokens"],
        complete["usage"]["output_tokens"]
    );
}

#[test]
fn messages_calls_a_tool_and_answers_its_result() {
    let mut request = messages("use a tool");
    let complete = whole(MESSAGES, &request);
    let input: Value = serde_json::from_str(ARGUMENTS).unwrap();
    let call = json!({"type": "tool_use", "id": "toolu_demo7", "name": "weather", "input": input});
    assert_eq!(complete["content"], json!([call]));
    assert_eq!(complete["stop_reason"], "tool_use");
    let events = streamed(MESSAGES, &request);
    assert_eq!(joined(&events, "/delta/partial_json"), ARGUMENTS);
    assert_eq!(joined(&events, "/delta/stop_reason"), "tool_use");
    assert_eq!(events[1]["content_block"]["input"], json!({}));

    let result = json!({"type": "tool_result", "tool_use_id": "toolu_demo7", "content": [{"type": "text", "text": "sunny"}]});
    let turns = request["messages"].as_array_mut().unwrap();
    turns.push(json!({"role": "assistant", "content": [call]}));
    turns.push(json!({"role": "user", "content": [result]}));
    request["tool_choice"] = json!({"type": "any"});
    assert_eq!(
        whole(MESSAGES, &request)["content"][0]["text"],
        "The tool returned: sunny"
    );
}

#[test]
fn tokens_are_counted_without_an_answer() {
    let mut request = messages("hello");
    request.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(
        whole("/v1/messages/count_tokens", &request),
        json!({"input_tokens": 3})
    );
}

#[test]
fn parts_and_attachments_are_read() {
    let parts = json!([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:"}}]);
    let value = whole(
        CHAT,
        &json!({"model": "m", "messages": [{"role": "user", "content": parts}]}),
    );
    assert_eq!(
        value["choices"][0]["message"]["content"],
        "You said: see [image_url]"
    );
    let empty = whole(
        MESSAGES,
        &json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": []}]}),
    );
    assert_eq!(empty["content"][0]["text"], "You said: ");
}

#[test]
fn the_models_are_listed() {
    let answer = answer("GET", "/v1/models", b"", 7, NOW_S);
    let value: Value = serde_json::from_slice(&answer.chunks[0]).unwrap();
    assert_eq!(value["object"], "list");
    assert_eq!(value["data"][0]["id"], MODEL);
}

#[test]
fn mistakes_are_answered_in_the_protocol_s_envelope() {
    let wrong = |method: &str, path: &str, body: &str| {
        let answer = answer(method, path, body.as_bytes(), 7, NOW_S);
        let value: Value = serde_json::from_slice(&answer.chunks.concat()).unwrap();
        assert!(
            value["error"]["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
        );
        (answer.status, value)
    };
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"model":"m"}"#,
        r#"{"model":"","messages":[]}"#,
    ] {
        for path in [CHAT, RESPONSES, MESSAGES] {
            assert_eq!(wrong("POST", path, body).0, 400, "{path} {body}");
        }
    }
    let (_, chat) = wrong("POST", CHAT, r#"{"model":"m"}"#);
    assert_eq!(
        (&chat["error"]["type"], &chat["error"]["param"]),
        (&json!("invalid_request_error"), &json!("messages"))
    );
    let no_limit = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let (status, value) = wrong("POST", MESSAGES, no_limit);
    assert_eq!(
        (status, &value["type"], &value["error"]["type"]),
        (400, &json!("error"), &json!("invalid_request_error"))
    );
    assert_eq!(
        wrong(
            "POST",
            CHAT,
            r#"{"model":"m","stream":"yes","messages":[{"role":"user"}]}"#
        )
        .0,
        400
    );
    assert_eq!(
        wrong(
            "POST",
            RESPONSES,
            r#"{"model":"m","input":"a","previous_response_id":"resp_1"}"#
        )
        .0,
        400
    );
    assert_eq!(wrong("GET", CHAT, "").0, 405);
    assert_eq!(wrong("POST", "/v1/models", "").0, 405);
    assert_eq!(wrong("POST", "/v1/embeddings", "{}").0, 404);
}
