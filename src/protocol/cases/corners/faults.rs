//! Answers that are none, or not what their head says.

use super::{answered, sse};
use crate::error::Kind;
use crate::protocol::testing::{
    chat_lines, chat_stream, check_stream, cx, delta, finish, made, messages_steps,
};
use crate::protocol::{Protocol, Warnings, replay};
use Protocol::{Chat, Messages, Responses};

#[test]
fn an_answer_that_is_no_json_is_called_what_it_is() {
    let failed = |body: &str| {
        let error = answered(&cx(Messages, Chat), body).unwrap_err();
        assert_eq!(error.status(), 502);
        error.message
    };
    assert!(
        failed("\n<!doctype html><p>Bad gateway").contains("a web page; is its base_url right?")
    );
    assert!(failed(" \n").contains("an empty body"));
    assert!(failed("[]").contains("an object was expected"));
}

#[test]
fn an_object_that_comes_where_events_were_promised_is_what_it_is() {
    let wrong = r#" {"error":{"message":"no money","code":"insufficient_quota"}}"#;
    let told = check_stream(Chat, Messages, &cx(Messages, Chat), wrong);
    let error = told.error.unwrap();
    assert!(!told.started);
    assert_eq!(
        (error.kind, error.message.as_str()),
        (Kind::QuotaExhausted, "no money")
    );
    let whole = r#"{"content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let told = check_stream(Messages, Chat, &cx(Chat, Messages), whole);
    assert_eq!(told.error, None);
    assert_eq!(chat_lines(&told.out)[1], r#"{"content":"Hi"}"#);
    let cut = check_stream(Messages, Chat, &cx(Chat, Messages), &whole[..60]);
    assert_eq!(cut.error.unwrap().status(), 502);
    // Where it is wrong is told alike, however the blanks before it were cut.
    let wrong = check_stream(Messages, Chat, &cx(Chat, Messages), "  { {");
    assert_eq!(wrong.error.unwrap().status(), 502);
}

#[test]
fn events_that_come_as_something_else_are_heard_all_the_same() {
    let stream = chat_stream(&[&delta(r#"{"content":"Hi"}"#), &finish("stop"), "[DONE]"]);
    for front in ["", ": waiting\n\n"] {
        let stream = format!("{front}{stream}");
        let cx = cx(Messages, Chat);
        let (body, _) = answered(&cx, &stream).unwrap();
        assert!(
            body.contains(r#""text":"Hi""#) && body.contains("end_turn"),
            "{body}"
        );
        let told = replay(
            Chat,
            Messages,
            &cx,
            &made(),
            stream.as_bytes(),
            &mut Warnings::default(),
        );
        let steps = messages_steps(&String::from_utf8(told.unwrap()).unwrap());
        assert_eq!(steps[1..4], ["[text", "Hi", "]"]);
    }
    let broken = chat_stream(&[&delta(r#"{"content":"Hi"}"#)]);
    assert_eq!(
        answered(&cx(Messages, Chat), &broken).unwrap_err().status(),
        502
    );
}

#[test]
fn geminis_filters_end_an_answer_as_what_they_are() {
    let ended = |reason: &str| {
        let whole = format!(
            r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"Half"}},"finish_reason":"{reason}"}}]}}"#
        );
        answered(&cx(Messages, Chat), &whole)
    };
    let (body, warnings) = ended("content_filter: PROHIBITED_CONTENT").unwrap();
    assert!(body.contains(r#""stop_reason":"refusal""#), "{body}");
    assert_eq!(warnings, "");
    for broken in [
        "function_call_filter: MALFORMED_FUNCTION_CALL",
        "MALFORMED_FUNCTION_CALL",
    ] {
        assert_eq!(ended(broken).unwrap_err().status(), 502, "{broken}");
    }
}

#[test]
fn what_an_upstream_refuses_inside_a_stream_is_not_called_its_failure() {
    let begin = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#;
    let failed = |kind: &str| {
        let error = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"no"}}}}"#);
        let stream = sse(&[begin, error.as_str()]);
        let told = check_stream(Messages, Responses, &cx(Responses, Messages), stream);
        let (_, rest) = told.out.rsplit_once(r#""error":{"code":""#).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    assert_eq!(failed("invalid_request_error"), "invalid_prompt");
    assert_eq!(failed("api_error"), "upstream_error");
    assert_eq!(failed("overloaded_error"), "server_error");
}

#[test]
fn an_error_in_a_messages_stream_names_the_request() {
    let mut cx = cx(Messages, Chat);
    cx.request_id = "req_7".to_owned();
    let stream = chat_stream(&[
        &delta(r#"{"content":"a"}"#),
        r#"{"error":{"message":"boom","code":503}}"#,
    ]);
    let told = check_stream(Chat, Messages, &cx, &stream);
    assert!(
        told.out.ends_with("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"},\"request_id\":\"req_7\"}\n\n"),
        "{}",
        told.out
    );
}
