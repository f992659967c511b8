//! Members that nobody knows, inside items that everybody knows: dropped, and named once in the record (never in a header, and
//! a `strict` alias bears them). What a vendor's own clients send along, and what an answer said that comes back, is no such.

use crate::protocol::Protocol::{self, Chat, Messages, Responses};
use crate::protocol::testing::convert_request;
use crate::protocol::{Caps, Warnings};

fn warnings(from: Protocol, to: Protocol, body: &str) -> Warnings {
    let caps = Caps::of("openai", "gpt-5.2");
    let done = convert_request(from, to, &caps, "gpt-5.2", body.as_bytes());
    done.expect("the request converts").warnings
}

#[track_caller]
fn check(from: Protocol, to: Protocol, body: &str, noted: &[&str]) {
    let warnings = warnings(from, to, body);
    let mut found: Vec<&str> = warnings.noted().collect();
    let mut noted = noted.to_vec();
    found.sort_unstable();
    noted.sort_unstable();
    assert_eq!(found, noted);
    assert_eq!(warnings.header(), None);
    assert!(warnings.refusal().is_none());
}

#[test]
fn unknown_members_of_chat_items_are_noted_once() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"s","weight":1},{"role":"user","weight":2,"content":[{"type":"text","text":"a","mood":1},{"type":"text","text":"b","mood":2}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","thought":"x","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"r"}],"tools":[{"type":"function","shade":1,"function":{"name":"f","depth":1,"parameters":{"type":"object","properties":{"mood":{}}}}}]}"#;
    let noted = [
        "messages[].weight",
        "messages[].content[].mood",
        "messages[].tool_calls[].thought",
        "tools[].shade",
        "tools[].function.depth",
    ];
    check(Chat, Responses, body, &noted);
}

#[test]
fn unknown_members_of_responses_items_are_noted_once() {
    let body = r#"{"model":"m","input":[{"role":"user","weight":1,"content":[{"type":"input_text","text":"a","mood":1}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}","thought":1},{"type":"function_call_output","call_id":"c","output":"r","weight":3}],"tools":[{"type":"function","name":"f","shade":1,"parameters":{"type":"object","properties":{}}},{"type":"namespace","name":"n","tools":[{"type":"function","name":"g","shade":1,"parameters":{"type":"object","properties":{}}}]}]}"#;
    let noted = [
        "input[].weight",
        "input[].content[].mood",
        "input[].thought",
        "tools[].shade",
    ];
    check(Responses, Chat, body, &noted);
}

#[test]
fn unknown_members_of_messages_blocks_are_noted_once() {
    let body = r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s","tone":1}],"messages":[{"role":"user","weight":1,"content":[{"type":"text","text":"a","mood":1},{"type":"image","mood":1,"source":{"type":"url","url":"https://a/b.png"}}]},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"mood":1},"thought":1}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"r","mood":1}],"cost":1}]}],"tools":[{"name":"f","shade":1,"input_schema":{"type":"object","properties":{}}}]}"#;
    let noted = [
        "system[].tone",
        "messages[].weight",
        "messages[].content[].mood",
        "messages[].content[].thought",
        "messages[].content[].cost",
        "tools[].shade",
    ];
    check(Messages, Chat, body, &noted);
    check(Messages, Responses, body, &noted);
}

#[test]
fn unknown_members_below_parts_are_noted_too() {
    let chat = r#"{"model":"m","stream_options":{"include_usage":true,"pace":1},"response_format":{"type":"json_schema","shade":1,"json_schema":{"name":"n","depth":1,"schema":{"type":"object","properties":{}}}},"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b.png","mood":1}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}","thought":1}}]},{"role":"tool","tool_call_id":"c","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}},{"type":"custom","custom":{"name":"g","tone":1}}]}"#;
    let noted = [
        "stream_options.pace",
        "response_format.shade",
        "response_format.json_schema.depth",
        "messages[].content[].image_url.mood",
        "messages[].tool_calls[].function.thought",
        "tools[].custom.tone",
    ];
    check(Chat, Responses, chat, &noted);
    let messages = r#"{"model":"m","max_tokens":9,"metadata":{"user_id":"u","shade":1},"thinking":{"type":"disabled","budget_tokens":1,"depth":1},"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a/b.png","mood":1}}]}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"auto","tone":1}}"#;
    let noted = [
        "metadata.shade",
        "thinking.depth",
        "messages[].content[].source.mood",
        "tool_choice.tone",
    ];
    check(Messages, Chat, messages, &noted);
    let responses = r#"{"model":"m","stream":true,"stream_options":{"pace":1},"text":{"format":{"type":"text","shade":1}},"input":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav","mood":1}}]}]}"#;
    let noted = [
        "stream_options.pace",
        "text.format.shade",
        "input[].content[].input_audio.mood",
    ];
    check(Responses, Chat, responses, &noted);
}

#[test]
fn what_clients_send_back_or_along_is_not_noted() {
    let chat = r#"{"model":"m","messages":[{"role":"user","name":"n","content":"a"},{"role":"assistant","content":"b","refusal":null,"annotations":[],"audio":null,"function_call":null,"id":"x","reasoning_content":"t"},{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"r"}],"tools":[{"type":"function","function":{"name":"f","description":"d","strict":null,"parameters":{"type":"object","properties":{}}}}]}"#;
    check(Chat, Responses, chat, &[]);
    let responses = r#"{"model":"m","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"https://a/b.png","detail":"auto"}]},{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":null},{"id":"msg_1","type":"message","status":"completed","role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"b","annotations":[],"logprobs":[]}]},{"id":"fc_1","type":"function_call","status":"completed","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"r","internal_chat_message_metadata_passthrough":{"turn_id":"t"}}],"tools":[{"type":"function","name":"f","description":"d","strict":false,"defer_loading":true,"parameters":{"type":"object","properties":{}}},{"type":"custom","name":"p","format":{"type":"text"}}]}"#;
    check(Responses, Chat, responses, &[]);
    let messages = r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"gw1.c.e30"},{"type":"text","text":"b","citations":null},{"type":"tool_use","id":"t","name":"f","input":{},"caller":{"type":"direct"},"cache_control":{"type":"ephemeral"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","is_error":false,"content":"r","cache_control":{"type":"ephemeral"}}]}],"tools":[{"type":"custom","name":"f","description":"d","eager_input_streaming":true,"defer_loading":false,"input_schema":{"type":"object","properties":{}}}]}"#;
    check(Messages, Chat, messages, &[]);
}
