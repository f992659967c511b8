//! What users of other gateways complain of, where no numbered case says it already.

use crate::protocol::Protocol::{self, Chat, Messages, Responses};
use crate::protocol::testing::{
    check_stream, convert_request, convert_response, cx, made, messages_lines,
};
use crate::protocol::{Caps, Context, Warnings};
use serde_json::{Value, json};

/// Gemini's proof of a thought, on the call it belongs to, must be on that call in the next request: without it the model gets
/// worse from turn to turn.
#[test]
fn geminis_proof_of_thought_goes_through_every_client_and_back_to_its_call() {
    let answer = r#"{"id":"c","object":"chat.completion","created":1,"model":"g","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","extra_content":{"google":{"thought_signature":"SIG/+="}},"function":{"name":"f","arguments":"{\"x\":1}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let caps = Caps::of("gemini", "gemini-3-pro");
    for client in [Messages, Responses] {
        let context = Context::bare(client, Chat, "m", caps.clone());
        let told = convert_response(
            Chat,
            client,
            &context,
            &made(),
            answer.as_bytes(),
            &mut Warnings::default(),
        );
        let told: Value = serde_json::from_slice(&told.unwrap()).unwrap();
        let body = next_turn(client, &told);
        let done = convert_request(
            client,
            Chat,
            &caps,
            "gemini-3-pro",
            body.to_string().as_bytes(),
        );
        let asked: Value = serde_json::from_slice(&done.unwrap().body).unwrap();
        let call = &asked["messages"][1]["tool_calls"][0];
        assert_eq!(
            call["extra_content"]["google"]["thought_signature"], "SIG/+=",
            "{client:?}: {asked}"
        );
        assert_eq!(call["function"]["arguments"], r#"{"x":1}"#);
    }
}

/// The request in which a client sends back what it was told, with the result of its tool.
fn next_turn(client: Protocol, told: &Value) -> Value {
    if client == Messages {
        let id = told["content"].as_array().unwrap().last().unwrap()["id"].clone();
        return json!({"model":"m","max_tokens":99,"messages":[
            {"role":"user","content":"q"},
            {"role":"assistant","content":told["content"]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":id,"content":"r"}]}
        ]});
    }
    let mut input = vec![json!({"role":"user","content":"q"})];
    input.extend(told["output"].as_array().unwrap().iter().cloned());
    let id = input.last().unwrap()["call_id"].clone();
    input.push(json!({"type":"function_call_output","call_id":id,"output":"r"}));
    json!({"model":"m","input":input})
}

/// SGLang began a Messages stream twice; what was said after the second beginning was lost elsewhere.
#[test]
fn an_answer_that_begins_twice_is_one_answer() {
    let start = r#"event: message_start
data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],"usage":{"input_tokens":7,"output_tokens":0}}}

"#;
    let rest = r#"event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Heard"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}

event: message_stop
data: {"type":"message_stop"}

"#;
    for client in [Chat, Responses] {
        let context = cx(client, Messages);
        let once = check_stream(Messages, client, &context, format!("{start}{rest}"));
        let twice = check_stream(Messages, client, &context, format!("{start}{start}{rest}"));
        assert!(once.out.contains("Heard") && once.error.is_none());
        assert_eq!(once, twice);
    }
}

/// Usage of an answer that ended at the limit was lost elsewhere: `response.incomplete` has it too.
#[test]
fn an_answer_cut_at_the_limit_has_its_usage() {
    let stream = r#"data: {"type":"response.created","response":{"id":"r"}}

data: {"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"m","role":"assistant","content":[]}}

data: {"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"Half"}

data: {"type":"response.incomplete","response":{"id":"r","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[],"usage":{"input_tokens":70,"input_tokens_details":{"cached_tokens":40},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":73}}}

"#;
    let chat = check_stream(Responses, Chat, &cx(Chat, Responses), stream);
    let usage = r#""usage":{"prompt_tokens":70,"completion_tokens":3,"total_tokens":73"#;
    assert!(chat.out.contains(usage), "{}", chat.out);
    let messages = check_stream(Responses, Messages, &cx(Messages, Responses), stream);
    let lines = messages_lines(&messages.out);
    let end = &lines[lines.len() - 2];
    for part in [
        r#""stop_reason":"max_tokens""#,
        r#""input_tokens":30"#,
        r#""cache_read_input_tokens":40"#,
        r#""output_tokens":3"#,
    ] {
        assert!(end.contains(part), "{end}");
    }
}
