//! What recorded servers really sent, in the shortest form that shows it. Each of these was once converted wrongly.

use crate::protocol::Protocol::{Chat, Messages, Responses};
use crate::protocol::testing::convert_response;
use crate::protocol::testing::{
    chat_lines, chat_stream, check_stream, cx, delta, finish, made, messages_steps,
};
use crate::protocol::{Collector, Warnings, answer_of, of_answer, replay};

fn call(rest: &str) -> String {
    delta(&format!(r#"{{"tool_calls":[{{"index":0,{rest}}}]}}"#))
}

/// What a Messages client sees of that Chat stream, without its beginning.
fn steps(chunks: &[String]) -> Vec<String> {
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    let stream = chat_stream(&chunks);
    let outcome = check_stream(Chat, Messages, &cx(Messages, Chat), stream);
    messages_steps(&outcome.out).split_off(1)
}

#[test]
fn no_arguments_in_two_pieces() {
    // llama.cpp: `{` and `}` apart.
    let seen = steps(&[
        call(r#""id":"a","function":{"name":"ping","arguments":"{"}"#),
        call(r#""function":{"arguments":"}"}"#),
        finish("tool_calls"),
    ]);
    let expected = ["[tool_use ping a", "{", "}", "]", "tool_use 0/0/0", "end"];
    assert_eq!(seen, expected);
}

#[test]
fn null_for_no_arguments() {
    // Groq's Llama models. Whole, and however it is cut.
    for pieces in [&["null"][..], &["nu", "ll"], &[" ", "n", "ull", "\\n"]] {
        let mut chunks = vec![call(
            r#""id":"a","function":{"name":"ping","arguments":""}"#,
        )];
        let more = |piece: &&str| call(&format!(r#""function":{{"arguments":"{piece}"}}"#));
        chunks.extend(pieces.iter().map(more));
        chunks.push(finish("tool_calls"));
        let expected = ["[tool_use ping a", "]", "tool_use 0/0/0", "end"];
        assert_eq!(steps(&chunks), expected, "{pieces:?}");
    }
    let answer = br#"{"choices":[{"index":0,"message":{"tool_calls":[{"id":"a","function":{"name":"ping","arguments":"null"}}]},"finish_reason":"tool_calls"}]}"#;
    let mut warnings = Warnings::default();
    let context = cx(Messages, Chat);
    let out = convert_response(Chat, Messages, &context, &made(), answer, &mut warnings).unwrap();
    let out: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out["content"][0]["input"], serde_json::json!({}));
}

#[test]
fn what_only_begins_like_null_is_still_broken() {
    for broken in ["nul", "nullnull", "null{}"] {
        let head = call(&format!(
            r#""id":"a","function":{{"name":"ping","arguments":"{broken}"}}"#
        ));
        let seen = steps(&[head, finish("tool_calls")]);
        let last = seen.last().unwrap();
        assert!(
            last.contains("invalid tool arguments"),
            "{broken}: {seen:?}"
        );
    }
}

#[test]
fn a_call_cut_at_the_limit_ends_as_anthropic_ends_it() {
    let seen = steps(&[
        call(r#""id":"a","function":{"name":"report","arguments":"{\"summary\":\"The"}"#),
        finish("length"),
    ]);
    let expected = [
        "[tool_use report a",
        r#"{"summary":"The"#,
        "]",
        "max_tokens 0/0/0",
        "end",
    ];
    assert_eq!(seen, expected);
    // Before its first argument it was not made at all: an empty input would look whole.
    let seen = steps(&[
        delta(r#"{"content":"Well"}"#),
        call(r#""id":"a","function":{"name":"report","arguments":""}"#),
        finish("length"),
    ]);
    assert_eq!(seen, ["[text", "Well", "]", "max_tokens 0/0/0", "end"]);
}

#[test]
fn a_call_cut_at_the_limit_of_a_responses_upstream_ends_too() {
    let stream = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n\
data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"function_call\",\"id\":\"fc\",\"call_id\":\"a\",\"name\":\"report\",\"arguments\":\"\"}}\n\n\
data: {\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"fc\",\"output_index\":0,\"delta\":\"{\\\"s\"}\n\n\
data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"function_call\",\"id\":\"fc\",\"call_id\":\"a\",\"name\":\"report\",\"arguments\":\"{\\\"s\",\"status\":\"incomplete\"}}\n\n\
data: {\"type\":\"response.incomplete\",\"response\":{\"id\":\"r\",\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"output\":[]}}\n\n";
    let outcome = check_stream(Responses, Messages, &cx(Messages, Responses), stream);
    assert_eq!(
        messages_steps(&outcome.out)[1..],
        ["[tool_use report a", "{\"s", "]", "max_tokens 0/0/0", "end"]
    );
}

#[test]
fn a_free_form_call_of_a_tool_that_was_not_declared_free_form_is_a_function_call() {
    let stream = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n\
data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"custom_tool_call\",\"id\":\"ct\",\"call_id\":\"a\",\"name\":\"note\",\"input\":\"\"}}\n\n\
data: {\"type\":\"response.custom_tool_call_input.delta\",\"item_id\":\"ct\",\"output_index\":0,\"delta\":\"say \\\"hi\\\"\"}\n\n\
data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"custom_tool_call\",\"id\":\"ct\",\"call_id\":\"a\",\"name\":\"note\",\"input\":\"say \\\"hi\\\"\"}}\n\n\
data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\",\"output\":[]}}\n\n";
    let outcome = check_stream(Responses, Chat, &cx(Chat, Responses), stream);
    let lines = chat_lines(&outcome.out);
    let mut arguments = String::new();
    for line in lines.iter().filter(|line| line.contains("tool_calls")) {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
            continue; // the finish
        };
        let call = &line["tool_calls"][0]["function"];
        assert!(call.is_object(), "{line}");
        arguments.push_str(call["arguments"].as_str().unwrap_or_default());
    }
    assert_eq!(arguments, r#"{"input":"say \"hi\""}"#);
}

#[test]
fn the_status_of_an_unknown_model_is_the_upstreams() {
    let body = br#"{"error":{"message":"The requested model 'x' does not exist.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#;
    let error = of_answer(400, body, "up");
    let answer = answer_of(Chat, 400, &error, "req");
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8_lossy(&answer.body).contains(r#""code":"model_not_found""#));
    assert_eq!(answer_of(Messages, 404, &error, "req").status, 404);
}

/// Servers that print JSON over several lines, in whole bodies or in events of several `data` lines.
#[test]
fn odds_on_several_lines_are_told_on_one() {
    let whole = "{\"id\":\"r\",\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\",\"logprobs\":[{\"token\":\"a\",\n\"logprob\":-1}]}]}]}";
    let mut warnings = Warnings::default();
    let context = cx(Chat, Responses);
    let told = replay(
        Responses,
        Chat,
        &context,
        &made(),
        whole.as_bytes(),
        &mut warnings,
    );
    let told = String::from_utf8(told.unwrap()).unwrap();
    let odds = r#""logprobs":{"content":[{"token":"a", "logprob":-1}],"refusal":null}"#;
    assert!(told.contains(odds), "{told}");
    let stream = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n\
data: {\"type\":\"response.output_text.delta\",\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"a\",\"logprobs\":[{\"token\":\"a\",\ndata: \"logprob\":-1}]}\n\n\
data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\",\"output\":[]}}\n\n";
    let outcome = check_stream(Responses, Chat, &context, stream);
    assert!(outcome.out.contains(odds), "{}", outcome.out);
}

#[test]
fn odds_that_are_lists_of_lists_stay_json() {
    let stream = chat_stream(&[
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[[1],[2]]}}]}"#,
        &finish("stop"),
    ]);
    let mut collector = Collector::new(Chat, Responses, cx(Responses, Chat), made());
    collector.feed(stream.as_bytes()).unwrap();
    let whole = collector.finish(&mut Warnings::default()).unwrap().body;
    let whole: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let odds = &whole["output"][0]["content"][0]["logprobs"];
    assert_eq!(*odds, serde_json::json!([[1], [2]]));
}
/// A call that has no arguments yet may still be at the limit, so the text after it is held; here to the very end.
#[test]
fn a_stop_in_text_that_was_held_back_ends_the_answer() {
    let stream = "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n\
data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\n\
data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"a END b\"}}\n\n\
data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
    let mut context = cx(Chat, Messages);
    context.stops = vec!["END".to_owned()];
    let outcome = check_stream(Messages, Chat, &context, stream);
    assert_eq!(outcome.error, None, "{}", outcome.out);
    let lines = chat_lines(&outcome.out);
    let expected = [r#"{"content":"a "}"#, "finish tool_calls"];
    assert_eq!(lines[3..5], expected);
    let mut collector = Collector::new(Messages, Chat, context, made());
    collector.feed(stream.as_bytes()).unwrap();
    let whole = collector.finish(&mut Warnings::default()).unwrap().body;
    assert!(String::from_utf8_lossy(&whole).contains(r#""content":"a ""#));
}

/// After a stop the upstream is not heard any more, not even in the same event.
#[test]
fn an_error_beside_a_stop_comes_too_late() {
    let last =
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"a END"},"finish_reason":"error"}]}"#;
    let mut context = cx(Messages, Chat);
    context.stops = vec!["END".to_owned()];
    let outcome = check_stream(Chat, Messages, &context, chat_stream(&[last]));
    assert_eq!(outcome.error, None, "{}", outcome.out);
    assert_eq!(messages_steps(&outcome.out)[2], "a ");
}

#[test]
fn an_answer_that_is_complete_with_a_call_that_is_not_was_cut() {
    let item = r#"{"type":"function_call","id":"fc","call_id":"a","name":"report","arguments":"{\"s","status":"incomplete"}"#;
    let stream = format!(
        "data: {{\"type\":\"response.created\",\"response\":{{\"id\":\"r\"}}}}\n\n\
data: {{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{item}}}\n\n\
data: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"r\",\"status\":\"completed\",\"output\":[]}}}}\n\n"
    );
    let outcome = check_stream(Responses, Messages, &cx(Messages, Responses), &stream);
    let steps = messages_steps(&outcome.out);
    assert_eq!(steps[4], "max_tokens 0/0/0", "{steps:?}");
    let outcome = check_stream(Responses, Chat, &cx(Chat, Responses), &stream);
    let lines = chat_lines(&outcome.out);
    assert!(lines.contains(&"finish length".to_owned()), "{lines:?}");
}
