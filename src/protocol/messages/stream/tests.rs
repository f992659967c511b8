//! Streams of this protocol through both halves. Each runs whole, in every split in two, and byte by byte.

use super::*;
use crate::protocol::testing::{self, check_stream, made, messages_lines, transcript};
use crate::protocol::{Collector, Context, Protocol, Translator, Warnings};

const START: &str = r#"{"type":"message_start","message":{"id":"msg_01U","type":"message","role":"assistant","model":"up-model","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":100,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

/// Transcript U-M of protocols.md 8.9, frame by frame.
fn cities() -> Vec<&'static str> {
    let lines = transcript(Protocol::Messages).lines();
    lines
        .filter_map(|line| line.strip_prefix("data: "))
        .collect()
}

fn cx() -> Context {
    let mut cx = testing::cx(Protocol::Messages, Protocol::Messages);
    cx.estimate = 118;
    cx
}

/// The frames with their `event` lines.
fn sse(frames: &[&str]) -> String {
    frames
        .iter()
        .map(|frame| {
            let name = frame.split('"').nth(3).unwrap_or_default();
            format!("event: {name}\ndata: {frame}\n\n")
        })
        .collect()
}

/// What the client gets, however the bytes are cut.
fn check(stream: &str) -> Vec<String> {
    let outcome = check_stream(Protocol::Messages, Protocol::Messages, &cx(), stream);
    let lines = messages_lines(&outcome.out);
    let fails = lines
        .last()
        .is_some_and(|line| line.starts_with(r#"{"type":"error""#));
    assert_eq!(outcome.error.is_some(), fails);
    lines
}

fn frames(frames: &[&str]) -> Vec<String> {
    check(&sse(frames))
}

/// Between a start and an end.
fn inside(middle: &[&str], reason: &str) -> Vec<String> {
    let end = format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":9}}}}"#
    );
    let mut all = vec![START];
    all.extend_from_slice(middle);
    all.extend([end.as_str(), STOP]);
    let mut lines = frames(&all);
    lines.remove(0);
    lines
}

#[test]
fn the_transcript_goes_through_both_halves() {
    let lines = frames(&cities());
    let mut expected: Vec<String> = cities()
        .iter()
        .filter(|frame| !frame.contains("ping") && !frame.contains(r#""partial_json":"""#))
        .map(|frame| (*frame).to_owned())
        .collect();
    expected[0] = r#"{"type":"message_start","message":{"id":"msg_g1","type":"message","role":"assistant","model":"client-model","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":118,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}"#.to_owned();
    assert_eq!(lines, expected);
}

#[test]
fn case_25_every_framing_gives_the_same() {
    let clean = frames(&cities());
    let text = sse(&cities());
    let odd = format!("\u{feff}: hello\n{}", text.replace("data: ", "data:"));
    assert_eq!(check(&odd.replace('\n', "\r\n")), clean);
    assert_eq!(check(&odd.replace('\n', "\r")), clean);
    assert_eq!(check(text.trim_end()), clean);
    // Frames without an `event` line, spelt with blanks as Python does.
    let bare: String = cities()
        .iter()
        .map(|frame| format!("data: {}\n\n", frame.replace("\":", "\": ")))
        .collect();
    let plain = check(&bare);
    assert_eq!(plain.len(), clean.len());
    assert_eq!(plain[2], clean[2]);
    let split = text.replace(r#","index":1,"#, ",\ndata: \"index\":1,");
    assert_eq!(check(&split), clean);
}

#[test]
fn case_02_a_call_cut_by_the_network_is_never_stopped() {
    let mut cut = cities();
    cut.truncate(17);
    cut.push(r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}}"#);
    let lines = frames(&cut);
    assert_eq!(
        lines.last().unwrap(),
        r#"{"type":"error","error":{"type":"api_error","message":"upstream stream ended before completion"}}"#
    );
    let stops = lines
        .iter()
        .filter(|line| line.contains("content_block_stop"));
    assert_eq!(stops.count(), 3);
}

#[test]
fn case_04_ended_blocks_without_a_reason_are_no_answer() {
    let lines = frames(&cities()[..19]);
    assert!(lines.last().unwrap().contains("before completion"));
    assert!(
        frames(&cities()[..20])
            .last()
            .unwrap()
            .contains("message_stop")
    );
}

#[test]
fn a_call_cut_at_the_limit_is_stopped_as_anthropic_stops_it() {
    let lines = inside(
        &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":\"x"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
        ],
        "max_tokens",
    );
    let shown: Vec<&str> = lines
        .iter()
        .map(|line| line.split('"').nth(3).unwrap())
        .collect();
    assert_eq!(
        shown,
        [
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert!(lines[3].contains(r#""stop_reason":"max_tokens""#));
}

#[test]
fn case_30_broken_arguments_are_an_error_event() {
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#;
    for bad in [r#"[1]"#, r#"\"x\""#, r#"{\"a\":"#, r#"{\"a\":tru}"#] {
        let delta = format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"input_json_delta","partial_json":"{bad}"}}}}"#
        );
        let stop = r#"{"type":"content_block_stop","index":0}"#;
        let lines = inside(&[start, &delta, stop], "tool_use");
        assert!(
            lines.last().unwrap().contains("invalid tool arguments"),
            "{bad}"
        );
        assert!(!lines.iter().any(|line| line.contains("content_block_stop")));
    }
}

#[test]
fn case_20_redacted_thoughts_pass() {
    let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"EmwK"}}"#;
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let lines = inside(&[block, stop], "end_turn");
    assert_eq!(lines[..2], [block, stop]);
}

#[test]
fn thoughts_without_text_keep_their_signature() {
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#;
    let sign = r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQ"}}"#;
    let again = r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqR"}}"#;
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let lines = inside(&[start, sign, again, stop], "end_turn");
    assert_eq!(lines[..3], [start, again, stop]);
}

#[test]
fn case_21_input_may_come_with_the_head_or_not_at_all() {
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let given = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"a":1}}}"#;
    let lines = inside(&[given, stop], "tool_use");
    assert!(lines[0].contains(r#""input":{}"#));
    assert!(lines[1].contains(r#""partial_json":"{\"a\":1}""#));
    let none = given.replace(r#"{"a":1}"#, "{}");
    let lines = inside(&[&none, stop], "tool_use");
    assert_eq!(lines[..2], [none.as_str(), stop]);
    // Deltas count more than what came with the head.
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"b\":2}"}}"#;
    let lines = inside(&[given, delta, stop], "tool_use");
    assert_eq!(lines[1..3], [delta, stop]);
}

#[test]
fn text_without_a_beginning_and_thoughts_in_a_text_block_get_blocks_of_their_own() {
    let lines = frames(&[
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"t"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
    ]);
    let shown: Vec<String> = lines
        .iter()
        .filter(|line| line.contains("content_block"))
        .map(|line| {
            line[7..]
                .replace("content_block_", "")
                .chars()
                .take(50)
                .collect()
        })
        .collect();
    assert_eq!(shown.len(), 10, "{shown:#?}");
    assert!(shown[3].contains(r#"start","index":1"#));
    assert!(shown[7].contains(r#"start","index":2"#));
    let lost = frames(&[
        START,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
    ]);
    assert!(lost[1].contains("never began"));
}

#[test]
fn an_empty_text_block_is_none() {
    let start =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let lines = inside(&[start, stop], "end_turn");
    assert!(lines[0].contains("message_delta"));
}

#[test]
fn vendor_tools_are_read_over_and_text_after_them_goes_on() {
    let lines = inside(
        &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"x\"}"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":"s","content":[]}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"So"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"https://a","title":"A","cited_text":"c","encrypted_index":"e"}}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
        ],
        "end_turn",
    );
    assert_eq!(
        lines[0],
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#
    );
    assert_eq!(lines.len(), 5);
}

#[test]
fn case_24_errors_in_the_stream_are_told() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let lines = frames(&[START, error]);
    assert_eq!(
        lines[1],
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#
    );
    let mut translator = Translator::new(Protocol::Messages, Protocol::Messages, cx(), made());
    let first = translator.feed(sse(&[error]).as_bytes(), &mut Vec::new());
    assert_eq!(first.unwrap_err().status(), 503);
    assert!(!translator.started());
}

#[test]
fn usage_is_merged_and_the_estimate_stands_in_for_none() {
    let lines = inside(&[], "end_turn");
    assert_eq!(
        lines[0],
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":100,"output_tokens":9}}"#
    );
    let lines = frames(&[
        r#"{"type":"message_start"}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"bio","explanation":"no"}},"usage":null}"#,
        r#"{"type":"message_delta","delta":{},"usage":{}}"#,
        STOP,
    ]);
    assert_eq!(
        lines[1],
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":null,"explanation":"no"}},"usage":{"input_tokens":118,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}"#
    );
}

#[test]
fn pings_and_errors_have_the_protocols_form() {
    let mut writer = Writer::new(&cx(), &made());
    let mut out = Vec::new();
    writer.keep_alive(&cx(), &mut out);
    assert_eq!(out, b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

#[test]
fn case_27_a_gathered_stream_is_the_whole_answer() {
    let mut collector = Collector::new(Protocol::Messages, Protocol::Messages, cx(), made());
    collector.feed(sse(&cities()).as_bytes()).unwrap();
    let body = collector.finish(&mut Warnings::default()).unwrap();
    let body = String::from_utf8(body.body).unwrap();
    assert!(body.ends_with(r#""content":[{"type":"thinking","thinking":"Need both cities.","signature":"EqQBSIG"},{"type":"text","text":"Checking both."},{"type":"tool_use","id":"toolu_A","name":"get_weather","input":{"city":"Paris"}},{"type":"tool_use","id":"toolu_B","name":"get_weather","input":{"city":"Rome"}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":100,"output_tokens":60,"output_tokens_details":{"thinking_tokens":15}}}"#), "{body}");
}
