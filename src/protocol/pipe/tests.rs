//! Which events take the fast lane, in the spellings that servers give them. That it says the same as reading in full is a law
//! of its own (mutation.rs), and of every case that is cut at each byte.

use super::*;
use crate::protocol::testing::{cx, made};

/// After the streams' `begin` and the first of these events, the others are known by it.
fn check(upstream: Protocol, begin: &[&str], alike: [&str; 3]) {
    let client = match upstream {
        Protocol::Chat => Protocol::Messages,
        _ => Protocol::Chat,
    };
    let mut translator = Translator::new(upstream, client, cx(client, upstream), made());
    let mut out = Vec::new();
    for event in begin {
        let event = format!("{event}\n\n");
        translator.feed(event.as_bytes(), &mut out).unwrap();
    }
    for (at, event) in alike.into_iter().enumerate() {
        let event = format!("{event}\n\n");
        let known = translator.stream.pattern.next(&mut event.as_bytes());
        assert_eq!(known.is_some(), at > 0, "{event}");
        translator.feed(event.as_bytes(), &mut out).unwrap();
    }
    let before = out.len();
    let event = format!("{}\n\n", alike[2]);
    translator.feed(event.as_bytes(), &mut out).unwrap();
    let told = String::from_utf8_lossy(&out[before..]).into_owned();
    assert!(told.contains("third"), "{told}");
}

#[test]
fn texts_thoughts_and_arguments_of_chat() {
    let chunk = |delta: &str, rest: &str| {
        format!(
            r#"data: {{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}]{rest}}}"#
        )
    };
    let begin = chunk(r#"{"role":"assistant","content":"","refusal":null}"#, "");
    let padding = |padding: &str| format!(r#","usage":null,"obfuscation":"{padding}""#);
    check(
        Protocol::Chat,
        &[&begin],
        [
            &chunk(r#"{"content":"first"}"#, &padding("Yq1")),
            &chunk(r#"{"content":" \"second\""}"#, &padding("")),
            &chunk(r#"{"content":" third"}"#, &padding("a0")),
        ],
    );
    let thought = |text: &str| {
        chunk(
            &format!(r#"{{"content":null,"reasoning_content":"{text}"}}"#),
            "",
        )
    };
    check(
        Protocol::Chat,
        &[&begin],
        [&thought("first"), &thought("second"), &thought("third")],
    );
    let call = r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}"#;
    let arguments = |text: &str| {
        chunk(
            &format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]}}"#),
            "",
        )
    };
    check(
        Protocol::Chat,
        &[&begin, &chunk(call, "")],
        [
            &arguments(r#"{\"first"#),
            &arguments(r#"\":\"second"#),
            &arguments(r#"third"#),
        ],
    );
}

#[test]
fn texts_thoughts_and_arguments_of_messages() {
    let start =
        r#"data: {"type":"message_start","message":{"id":"m","role":"assistant","content":[]}}"#;
    let block = |block: &str| {
        format!(r#"data: {{"type":"content_block_start","index":0,"content_block":{block}}}"#)
    };
    let delta = |kind: &str, key: &str, text: &str, blanks: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"{kind}_delta\",\"{key}\":\"{text}\"}}{blanks}}}"
        )
    };
    let blocks = [
        (r#"{"type":"text","text":""}"#, "text", "text"),
        (
            r#"{"type":"thinking","thinking":""}"#,
            "thinking",
            "thinking",
        ),
        (
            r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#,
            "input_json",
            "partial_json",
        ),
    ];
    for (head, kind, key) in blocks {
        check(
            Protocol::Messages,
            &[start, &block(head)],
            [
                &delta(kind, key, "first", "   "),
                &delta(kind, key, "second", ""),
                &delta(kind, key, "third", "      "),
            ],
        );
    }
    // As Python writes it.
    let spaced = |text: &str| {
        delta("text", "text", text, "")
            .replace(':', ": ")
            .replace("data:  ", "data: ")
    };
    check(
        Protocol::Messages,
        &[start, &block(blocks[0].0)],
        [&spaced("first"), &spaced("second"), &spaced("third")],
    );
}

#[test]
fn texts_thoughts_and_arguments_of_responses() {
    let event = |name: &str, rest: &str| {
        format!("event: response.{name}\ndata: {{\"type\":\"response.{name}\",{rest}}}")
    };
    let created = event("created", r#""response":{"id":"r","model":"m"}"#);
    let added = |item: &str| {
        event(
            "output_item.added",
            &format!(r#""output_index":0,"item":{item}"#),
        )
    };
    let delta = |name: &str, place: &str, text: &str, number: u32, padding: &str| {
        event(
            name,
            &format!(
                r#""sequence_number":{number},"item_id":"i","output_index":0,"{place}":0,"delta":"{text}","logprobs":[],"obfuscation":"{padding}""#
            ),
        )
    };
    let items = [
        (
            r#"{"id":"i","type":"message","role":"assistant","content":[]}"#,
            "output_text.delta",
            "content_index",
        ),
        (
            r#"{"id":"i","type":"reasoning","summary":[]}"#,
            "reasoning_summary_text.delta",
            "summary_index",
        ),
        (
            r#"{"id":"i","type":"function_call","call_id":"c","name":"f","arguments":""}"#,
            "function_call_arguments.delta",
            "content_index",
        ),
    ];
    for (item, name, place) in items {
        check(
            Protocol::Responses,
            &[&created, &added(item)],
            [
                &delta(name, place, "first", 9, "Yq1"),
                &delta(name, place, "second", 10, "0"),
                &delta(name, place, "third", 11, "abcdefghij"),
            ],
        );
    }
}

#[test]
fn what_says_more_than_a_text_is_read_in_full() {
    let chunk = |choice: &str, rest: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,{choice}}}]{rest}}}\n\n")
    };
    let text = r#""delta":{"content":"x"}"#;
    let others = [
        chunk(&format!(r#"{text},"finish_reason":"stop""#), ""),
        chunk(&format!(r#"{text},"logprobs":{{"content":[]}}"#), ""),
        chunk(
            text,
            r#","usage":{"prompt_tokens":1,"completion_tokens":1}"#,
        ),
        chunk(r#""delta":{"content":"x","reasoning":"y"}"#, ""),
        chunk(r#""delta":{"content":[{"type":"text","text":"x"}]}"#, ""),
        chunk(&format!("{text}}},{{\"index\":1,{text}"), ""),
    ];
    for other in others {
        let cx = cx(Protocol::Messages, Protocol::Chat);
        let mut translator = Translator::new(Protocol::Chat, Protocol::Messages, cx, made());
        let mut out = Vec::new();
        for event in [chunk(text, ""), other.clone()] {
            translator.feed(event.as_bytes(), &mut out).unwrap();
        }
        let known = translator.stream.pattern.next(&mut other.as_bytes());
        assert!(known.is_none(), "{other}");
    }
}

#[test]
fn an_event_that_came_in_pieces_ends_the_lane_until_one_came_whole() {
    let cx = cx(Protocol::Messages, Protocol::Chat);
    let mut translator = Translator::new(Protocol::Chat, Protocol::Messages, cx, made());
    let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    let (head, tail) = event.split_at(30);
    let mut out = Vec::new();
    let mut lanes = Vec::new();
    for piece in [event, head, tail, event, event] {
        translator.feed(piece.as_bytes(), &mut out).unwrap();
        let known = translator.stream.pattern.next(&mut event.as_bytes());
        lanes.push(known.is_some());
    }
    assert_eq!(lanes, [true, false, false, true, true]);
    assert_eq!(
        String::from_utf8_lossy(&out).matches("text_delta").count(),
        4
    );
}

#[test]
fn lines_that_end_in_crlf_are_no_hindrance() {
    let cx = cx(Protocol::Messages, Protocol::Chat);
    let mut translator = Translator::new(Protocol::Chat, Protocol::Messages, cx, made());
    let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\r\n\r\n";
    let mut out = Vec::new();
    let mut lanes = Vec::new();
    // The first read is cut inside its second event; what follows the rest of that is whole.
    let stream = event.repeat(5);
    let (head, tail) = stream.as_bytes().split_at(event.len() + 30);
    for piece in [head, tail] {
        translator.feed(piece, &mut out).unwrap();
        let known = translator.stream.pattern.next(&mut event.as_bytes());
        lanes.push(known.is_some());
    }
    assert_eq!(lanes, [false, true]);
    assert_eq!(
        String::from_utf8_lossy(&out).matches("text_delta").count(),
        5
    );
}
