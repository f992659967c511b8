//! Whole answers of Chat upstreams, told to a Chat client, whole and as a stream.

use crate::error::{Error, Kind};
use crate::protocol::Protocol::Chat;
use crate::protocol::testing::convert_response;
use crate::protocol::testing::{chat_lines, cx, made, transcript};
use crate::protocol::{Collector, Context, Warnings, replay};

const HEAD: &str = r#"{"id":"chatcmpl-xkqmh4aa6vb6s2ldu4xjnavv","object":"chat.completion","created":1790000000,"model":"client-model","#;
const NO_USAGE: &str = r#""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}"#;

fn convert(cx: &Context, body: &str) -> Result<String, Error> {
    let out = convert_response(
        Chat,
        Chat,
        cx,
        &made(),
        body.as_bytes(),
        &mut Warnings::default(),
    )?;
    Ok(String::from_utf8(out).unwrap())
}

/// The client's `message` for an upstream's.
fn message(message: &str) -> String {
    let body =
        format!(r#"{{"choices":[{{"index":0,"message":{message},"finish_reason":"stop"}}]}}"#);
    let out = convert(&cx(Chat, Chat), &body).unwrap();
    let rest = out.split_once(r#""message":"#).unwrap().1;
    rest.split_once(r#","logprobs":"#).unwrap().0.to_owned()
}

fn fails(body: &str) -> Error {
    convert(&cx(Chat, Chat), body).unwrap_err()
}

#[test]
fn a_plain_answer_keeps_its_words_and_gets_our_envelope() {
    let body = r#"{"id":"chatcmpl-1","created":1790000000,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"a\u00e9\"b"},"finish_reason":"stop"}]}"#;
    let expected = format!(
        r#"{HEAD}"choices":[{{"index":0,"message":{{"role":"assistant","content":"a\u00e9\"b","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],{NO_USAGE}"#
    );
    let out = convert(&cx(Chat, Chat), body).unwrap();
    let id = out.split('"').nth(3).unwrap();
    assert_eq!(out.replace(id, HEAD.split('"').nth(3).unwrap()), expected);
    assert!(id.starts_with("chatcmpl-") && id.len() == 33);
}

#[test]
fn every_part_of_a_message_is_carried() {
    assert_eq!(
        message(r#"{"content":null,"reasoning":"hm","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"a","type":"function","function":{"name":"g","arguments":""}}]}"#)
            .replace(&made().id("call_", (1 << 32) + 1), "OURS"),
        r#"{"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"OURS","type":"function","function":{"name":"g","arguments":"{}"}}]}"#
    );
    assert_eq!(
        message(r#"{"content":null,"refusal":"no"}"#),
        r#"{"role":"assistant","content":null,"refusal":"no"}"#
    );
    assert_eq!(
        message(
            r#"{"content":"see x","annotations":[{"type":"url_citation","url_citation":{"start_index":4,"end_index":5,"url":"https://x","title":"X"}}]}"#
        ),
        r#"{"role":"assistant","content":"see x","refusal":null,"annotations":[{"type":"url_citation","url_citation":{"start_index":4,"end_index":5,"url":"https://x","title":"X"}}]}"#
    );
    assert_eq!(
        message(
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"x"}]}"#
        ),
        r#"{"role":"assistant","content":"x","refusal":null,"reasoning_content":"hm"}"#
    );
    assert_eq!(
        message(r#"{"content":"","function_call":{"name":"f","arguments":{"a":1}}}"#)
            .replace(&made().id("call_", 1 << 32), "OURS"),
        r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"OURS","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}"#
    );
    assert_eq!(
        message(r#"{"content":null}"#),
        r#"{"role":"assistant","content":"","refusal":null}"#
    );
}

#[test]
fn what_is_no_answer_is_an_error() {
    assert_eq!(
        fails(r#"{"error":{"message":"slow","code":429}}"#).kind,
        Kind::TooManyRequests
    );
    assert_eq!(fails(r#"{"choices":[]}"#).kind, Kind::BadReply);
    assert_eq!(
        fails(r#"{"choices":[{"message":{"content":"x"}}]}"#).kind,
        Kind::BadReply
    );
    assert_eq!(
        fails(r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}"#).kind,
        Kind::BadReply
    );
    assert_eq!(
        fails(r#"{"choices":[{"message":{"content":"x"},"finish_reason":""}]}"#).kind,
        Kind::BadReply
    );
    assert_eq!(fails("<html>").kind, Kind::BadReply);
    let mut lenient = cx(Chat, Chat);
    lenient.caps.finish_reason_optional = true;
    assert!(convert(&lenient, r#"{"choices":[{"message":{"content":"x"}}]}"#).is_ok());
}

#[test]
fn case_26_a_whole_answer_becomes_the_stream_that_was_asked_for() {
    let body = r#"{"choices":[{"message":{"content":"hi","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let out = replay(
        Chat,
        Chat,
        &cx(Chat, Chat),
        &made(),
        body.as_bytes(),
        &mut Warnings::default(),
    )
    .unwrap();
    let lines = chat_lines(std::str::from_utf8(&out).unwrap());
    assert_eq!(lines[1], r#"{"content":"hi"}"#);
    assert_eq!(lines[4], "finish tool_calls");
    assert_eq!(lines[6], "[DONE]");
}

#[test]
fn case_27_a_stream_is_gathered_for_a_client_that_did_not_ask_for_one() {
    for size in [1, 7, 10_000] {
        let mut collector = Collector::new(Chat, Chat, cx(Chat, Chat), made());
        for piece in transcript(Chat).as_bytes().chunks(size) {
            collector.feed(piece).unwrap();
        }
        let out =
            String::from_utf8(collector.finish(&mut Warnings::default()).unwrap().body).unwrap();
        let message = out.split_once(r#""message":"#).unwrap().1;
        assert_eq!(
            message,
            r#"{"role":"assistant","content":"Checking both.","refusal":null,"reasoning_content":"Need both cities.","tool_calls":[{"id":"call_A","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}},{"id":"call_B","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Rome\"}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":120,"completion_tokens":60,"total_tokens":180,"prompt_tokens_details":{"cached_tokens":100,"cache_write_tokens":0},"completion_tokens_details":{"reasoning_tokens":15}}}"#
        );
    }
    let mut cut = Collector::new(Chat, Chat, cx(Chat, Chat), made());
    cut.feed(&transcript(Chat).as_bytes()[..1500]).unwrap();
    assert_eq!(
        cut.finish(&mut Warnings::default()).unwrap_err().kind,
        Kind::BadReply
    );
}

#[test]
fn case_47_stops_cut_whole_answers_too() {
    let mut stopping = cx(Chat, Chat);
    stopping.stops = vec!["\n\n".to_owned()];
    let body = r#"{"choices":[{"message":{"content":"a\n\nb"},"finish_reason":"length"}]}"#;
    let out = convert(&stopping, body).unwrap();
    assert!(
        out.contains(r#""content":"a","#) && out.contains(r#""finish_reason":"stop""#),
        "{out}"
    );
}

#[test]
fn log_probabilities_are_carried_whole() {
    let body = r#"{"choices":[{"message":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.10,"bytes":null,"top_logprobs":[]}],"refusal":null},"finish_reason":"stop"}]}"#;
    assert!(convert(&cx(Chat, Chat), body).unwrap().contains(
        r#""logprobs":{"content":[{"token":"a","logprob":-0.10,"bytes":null,"top_logprobs":[]}],"refusal":null}"#
    ));
}

#[test]
fn reading_what_was_written_gives_the_same_again() {
    let body = r#"{"created":5,"choices":[{"message":{"content":"x\n","refusal":"no","reasoning_content":"hm","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"n\":1e2}"}}]},"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"completion_tokens_details":{"reasoning_tokens":2}}}"#;
    let once = convert(&cx(Chat, Chat), body).unwrap();
    assert_eq!(convert(&cx(Chat, Chat), &once).unwrap(), once);
}

#[test]
fn what_recorded_servers_sent_is_read() {
    let azure = r#"{"choices":[{"content_filter_results":{},"finish_reason":"content_filter","index":0,"logprobs":null}]}"#;
    assert!(
        convert(&cx(Chat, Chat), azure)
            .unwrap()
            .contains(r#""finish_reason":"content_filter""#)
    );
    let cloudflare = message(r#"{"role":"assistant","content":{"title":"Apples"},"refusal":null}"#);
    assert_eq!(
        cloudflare,
        r#"{"role":"assistant","content":"{\"title\":\"Apples\"}","refusal":null}"#
    );
    let snowflake = message(
        r#"{"content":"","function_call":{"arguments":"","name":""},"refusal":"","tool_calls":[{"custom":{"input":"","name":""},"function":{"arguments":"{}","name":"f"},"id":"a","type":"function"}]}"#,
    );
    assert_eq!(
        snowflake,
        r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#
    );
}
