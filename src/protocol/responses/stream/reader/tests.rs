use crate::protocol::Protocol;
use crate::protocol::responses::testing::*;
use crate::protocol::testing::{cx, transcript};

/// Frames of the given events; `type` alone names them.
fn stream(events: &[&str]) -> String {
    events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect()
}

const CREATED: &str =
    r#"{"type":"response.created","response":{"id":"resp_u","status":"in_progress"}}"#;
const COMPLETED: &str =
    r#"{"type":"response.completed","response":{"id":"resp_u","status":"completed","output":[]}}"#;

#[test]
fn the_transcript_is_read_once_each() {
    assert_eq!(
        trace(transcript(Protocol::Responses)),
        [
            "start resp_u7",
            "1 open Reasoning",
            "1 + Need both ",
            "1 + cities.",
            "1 proof rs_u1 gAAAAenc",
            "1 close",
            "2 open Text",
            "2 + Checking ",
            "2 + both.",
            "2 close",
            "3 call call_A get_weather",
            "3 + {\"city\":",
            "3 + \"Paris\"}",
            "3 close",
            "4 call call_B get_weather",
            "4 + {\"city\":\"Rome\"}",
            "4 close",
            "usage 120/100/0 60/15",
            "finish Done",
        ]
    );
}

#[test]
fn a_chat_client_gets_the_transcript() {
    let cx = cx(Protocol::Chat, Protocol::Responses);
    let (out, error) = check_stream(&cx, transcript(Protocol::Responses));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        frames(&out),
        frames(include_str!("../../../testing/chat_of_responses.sse"))
    );
}

#[test]
fn case_16_arguments_come_once_whatever_is_repeated() {
    let added = r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call","call_id":"c","name":"f","arguments":""}}"#;
    let delta = r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"{\"a\":\"\u00e9"}"#;
    let rest = r#"{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":0,"arguments":"{\"a\":\"é!\"}"}"#;
    let item = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"fc_1","type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":\"é!\"}"}}"#;
    let all = [CREATED, added, delta, rest, item, COMPLETED];
    let wanted = [
        "start resp_u",
        "1 call c f",
        "1 + {\"a\":\"é",
        "1 + !\"}",
        "1 close",
        "finish Done",
    ];
    assert_eq!(trace(&stream(&all)), wanted);
}

#[test]
fn case_17_a_call_that_only_the_item_or_the_last_event_tells_of() {
    let item = r#"{"id":"fc_1","type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#;
    let done = format!(r#"{{"type":"response.output_item.done","output_index":0,"item":{item}}}"#);
    let last = format!(
        r#"{{"type":"response.completed","response":{{"id":"resp_u","status":"completed","output":[{item}]}}}}"#
    );
    let wanted = [
        "start resp_u",
        "1 call c f",
        "1 + {}",
        "1 close",
        "finish Done",
    ];
    assert_eq!(trace(&stream(&[CREATED, &done, COMPLETED])), wanted);
    assert_eq!(trace(&stream(&[CREATED, &last])), wanted);
    assert_eq!(trace(&stream(&[CREATED, &done, &last])), wanted);
    assert_eq!(trace(&stream(&[&last])), wanted);
}

#[test]
fn case_18_items_that_were_never_announced_begin_with_their_first_delta() {
    let text = r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hi"}"#;
    let done = r#"{"type":"response.output_text.done","item_id":"msg_1","output_index":0,"content_index":0,"text":"Hi!"}"#;
    let wanted = [
        "start resp_u",
        "1 open Text",
        "1 + Hi",
        "1 + !",
        "finish Done",
    ];
    assert_eq!(trace(&stream(&[CREATED, text, done, COMPLETED])), wanted);
    let arguments = r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":1,"delta":"{}"}"#;
    let item = r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"fc_1","type":"function_call","call_id":"c","name":"f","arguments":"{}"}}"#;
    let wanted = ["start ", "1 call c f", "1 + {}", "1 close", "finish Done"];
    assert_eq!(trace(&stream(&[arguments, item, COMPLETED])), wanted);
}

#[test]
fn case_19_summary_parts_are_one_thought() {
    let part = |index: u64, text: &str| {
        format!(
            r#"{{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":{index},"delta":"{text}"}}"#
        )
    };
    let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"One"},{"type":"summary_text","text":"Two."}],"encrypted_content":"E"}}"#;
    let events = [CREATED, &part(0, "One"), &part(1, "Two"), done, COMPLETED];
    assert_eq!(
        trace(&stream(&events)),
        [
            "start resp_u",
            "1 open Reasoning",
            "1 + One",
            "1 + \n\n",
            "1 + Two",
            "1 + .",
            "1 proof rs_1 E",
            "1 close",
            "finish Done"
        ]
    );
}

#[test]
fn raw_thoughts_are_heard_where_there_is_no_summary() {
    let delta = r#"{"type":"response.reasoning_text.delta","item_id":"rs_1","output_index":0,"content_index":0,"delta":"Hm"}"#;
    let part = r#"{"type":"response.content_part.done","item_id":"rs_1","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":"Hm."}}"#;
    let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]}}"#;
    assert_eq!(
        trace(&stream(&[CREATED, delta, part, done, COMPLETED])),
        [
            "start resp_u",
            "1 open Reasoning",
            "1 + Hm",
            "1 + .",
            "1 close",
            "finish Done"
        ]
    );
}

#[test]
fn parallel_calls_with_one_index_are_told_apart_by_id() {
    let added = |id: &str| {
        format!(
            r#"{{"type":"response.output_item.added","output_index":0,"item":{{"id":"fc_{id}","type":"function_call","call_id":"c{id}","name":"f"}}}}"#
        )
    };
    let delta = |id: &str| {
        format!(
            r#"{{"type":"response.function_call_arguments.delta","item_id":"fc_{id}","output_index":0,"delta":"{{}}"}}"#
        )
    };
    let done = |id: &str| {
        format!(
            r#"{{"type":"response.output_item.done","output_index":0,"item":{{"id":"fc_{id}","type":"function_call","call_id":"c{id}","name":"f","arguments":"{{}}"}}}}"#
        )
    };
    let events = [
        &added("1"),
        &added("2"),
        &delta("1"),
        &delta("2"),
        &done("1"),
        &done("2"),
    ];
    let mut events: Vec<&str> = events.iter().map(|event| event.as_str()).collect();
    events.push(COMPLETED);
    assert_eq!(
        trace(&stream(&events)),
        [
            "start ",
            "1 call c1 f",
            "2 call c2 f",
            "1 + {}",
            "2 + {}",
            "1 close",
            "2 close",
            "finish Done"
        ]
    );
}

#[test]
fn an_item_whose_every_event_has_another_id_is_one_by_its_index() {
    let added = r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"a","type":"message","content":[]}}"#;
    let delta = r#"{"type":"response.output_text.delta","item_id":"b","output_index":0,"content_index":0,"delta":"Hi"}"#;
    let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"c","type":"message","content":[{"type":"output_text","text":"Hi","annotations":[]}]}}"#;
    let last = r#"{"type":"response.completed","response":{"status":"completed","output":[{"id":"d","type":"message","content":[{"type":"output_text","text":"Hi"}]}]}}"#;
    assert_eq!(
        trace(&stream(&[CREATED, added, delta, done, last])),
        [
            "start resp_u",
            "1 open Text",
            "1 + Hi",
            "1 close",
            "finish Done"
        ]
    );
}

#[test]
fn citations_come_once_and_foreign_ones_not_at_all() {
    let delta = r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"Hi","logprobs":[{"token":"Hi"}]}"#;
    let cited = r#"{"type":"response.output_text.annotation.added","item_id":"m","output_index":0,"content_index":0,"annotation_index":0,"annotation":{"type":"url_citation","url":"https://a","title":"A","start_index":0,"end_index":2}}"#;
    let part = r#"{"type":"response.content_part.done","item_id":"m","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Hi","annotations":[{"type":"url_citation","url":"https://a","title":"A","start_index":0,"end_index":2},{"type":"file_citation","file_id":"f"},{"type":"url_citation","url":"https://b"}]}}"#;
    assert_eq!(
        trace(&stream(&[CREATED, delta, cited, part, COMPLETED])),
        [
            "start resp_u",
            "1 open Text",
            "1 + Hi [{\"token\":\"Hi\"}]",
            "1 cites https://a Some((0, 2))",
            "1 cites https://b None",
            "1 close",
            "finish Done"
        ]
    );
}

#[test]
fn ends_are_told_by_the_last_event_alone() {
    let text = r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"Hi"}"#;
    let end = |body: &str| trace(&stream(&[CREATED, text, body])).pop().unwrap();
    assert_eq!(
        end(
            r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]}}"#
        ),
        "finish Length"
    );
    assert_eq!(
        end(
            r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}}"#
        ),
        "finish Filtered"
    );
    assert_eq!(
        end(
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"}}}"#
        ),
        "error TooManyRequests: slow"
    );
    assert_eq!(
        end(r#"{"type":"error","code":"server_error","message":"boom","param":null}"#),
        "error UpstreamStatus(500): boom"
    );
    assert_eq!(
        end(r#"{"type":"error","error":{"type":"server_error","message":"boom"}}"#),
        "error UpstreamStatus(500): boom"
    );
    // Case 5: every item may be done, without the last event it is no answer.
    assert!(
        end(r#"{"type":"keepalive","sequence_number":3}"#)
            .starts_with("error BadReply: upstream stream ended")
    );
    assert!(end("[DONE]").starts_with("error BadReply"));
    assert!(end("{broken").starts_with("error BadReply"));
}

#[test]
fn a_call_that_its_item_says_was_cut_is_cut() {
    let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"fc_1","type":"function_call","status":"incomplete","call_id":"c","name":"f","arguments":"{\"a\":"}}"#;
    let last = r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#;
    assert_eq!(
        trace(&stream(&[CREATED, done, last])),
        [
            "start resp_u",
            "1 call c f",
            "1 + {\"a\":",
            "1 cut",
            "finish Length"
        ]
    );
}

#[test]
fn work_of_the_vendors_tools_is_told_of() {
    let search = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"q"}}}"#;
    let other = r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"ci_1","type":"code_interpreter_call"}}"#;
    assert_eq!(
        trace(&stream(&[CREATED, search, other, COMPLETED])),
        [
            "start resp_u",
            "1 hosted web_search_call q",
            "1 close",
            "2 hosted code_interpreter_call ",
            "2 close",
            "finish Done"
        ]
    );
}
