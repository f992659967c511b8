//! What Chat upstreams really send, told to a Chat client: the reader, the middle and the writer together.

use crate::error::Kind;
use crate::protocol::Protocol::Chat;
use crate::protocol::testing::{
    chat_lines, chat_stream, check_stream, cx, delta, events, finish, transcript,
};

fn told(stream: &str) -> Vec<String> {
    events(Chat, &cx(Chat, Chat), stream).unwrap()
}

/// The events of those chunks; `finish` and `[DONE]` are added.
fn told_chunks(chunks: &[&str]) -> Vec<String> {
    let mut stream = chat_stream(chunks);
    stream.push_str(&chat_stream(&[&finish("stop"), "[DONE]"]));
    told(&stream)
}

#[test]
fn the_transcript_comes_out_as_it_went_in() {
    let mut context = cx(Chat, Chat);
    let whole = check_stream(Chat, Chat, &context, transcript(Chat));
    assert_eq!(whole.error, None);
    assert_eq!(
        chat_lines(&whole.out),
        [
            r#"{"content":"","role":"assistant"}"#,
            r#"{"reasoning_content":"Need both "}"#,
            r#"{"reasoning_content":"cities."}"#,
            r#"{"content":"Checking "}"#,
            r#"{"content":"both."}"#,
            r#"{"tool_calls":[{"function":{"arguments":"","name":"get_weather"},"id":"call_A","index":0,"type":"function"}]}"#,
            r#"{"tool_calls":[{"function":{"arguments":"{\"city\":"},"index":0}]}"#,
            r#"{"tool_calls":[{"function":{"arguments":"\"Paris\"}"},"index":0}]}"#,
            r#"{"tool_calls":[{"function":{"arguments":"","name":"get_weather"},"id":"call_B","index":1,"type":"function"}]}"#,
            r#"{"tool_calls":[{"function":{"arguments":"{\"city\":\"Rome\"}"},"index":1}]}"#,
            "finish tool_calls",
            r#"usage {"completion_tokens":60,"completion_tokens_details":{"reasoning_tokens":15},"prompt_tokens":120,"prompt_tokens_details":{"cache_write_tokens":0,"cached_tokens":100},"total_tokens":180}"#,
            "[DONE]",
        ]
    );
    context.include_usage = false;
    let quiet = check_stream(Chat, Chat, &context, transcript(Chat));
    assert!(!quiet.out.contains("usage"));
}

#[test]
fn case_03_a_stream_that_dies_ends_in_an_error_chunk() {
    let cut = transcript(Chat).split("\"Rome").next().unwrap();
    let cut = &cut[..cut.rfind("data:").unwrap()];
    let outcome = check_stream(Chat, Chat, &cx(Chat, Chat), cut);
    assert!(!outcome.out.contains("[DONE]") && !outcome.out.contains("\"finish_reason\":\""));
    assert_eq!(
        chat_lines(&outcome.out).pop().unwrap(),
        r#"error {"code":"upstream_error","message":"upstream stream ended before completion","param":null,"type":"server_error"}"#
    );
}

#[test]
fn case_06_done_alone_is_no_proof_unless_the_flag_says_so() {
    let stream = chat_stream(&[&delta(r#"{"content":"hi"}"#), "[DONE]"]);
    let outcome = check_stream(Chat, Chat, &cx(Chat, Chat), &stream);
    assert_eq!(outcome.error.unwrap().kind, Kind::BadReply);
    let mut lenient = cx(Chat, Chat);
    lenient.caps.finish_reason_optional = true;
    let outcome = check_stream(Chat, Chat, &lenient, &stream);
    assert_eq!(outcome.error, None);
    assert!(outcome.out.ends_with("data: [DONE]\n\n"));
}

#[test]
fn case_07_fragments_that_interleave_come_out_call_by_call() {
    let call =
        |index, rest: &str| delta(&format!(r#"{{"tool_calls":[{{"index":{index},{rest}}}]}}"#));
    let chunks = [
        call(
            0,
            r#""id":"a","function":{"name":"f","arguments":"{\"x\""}"#,
        ),
        call(
            1,
            r#""id":"b","function":{"name":"g","arguments":"{\"y\""}"#,
        ),
        call(0, r#""function":{"arguments":":1}"}"#),
        call(1, r#""function":{"arguments":":2}"}"#),
    ];
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    assert_eq!(
        told_chunks(&chunks),
        [
            "start", "[f a", r#"{"x""#, ":1}", "]", "[g b", r#"{"y""#, ":2}", "]", "end Done"
        ]
    );
}

#[test]
fn case_08_calls_all_numbered_0_are_told_by_their_ids() {
    let call = |id| {
        delta(&format!(
            r#"{{"tool_calls":[{{"index":0,"id":"{id}","function":{{"name":"f","arguments":"{{}}"}}}}]}}"#
        ))
    };
    let events = told_chunks(&[&call("a"), &call("b")]);
    assert_eq!(
        events,
        ["start", "[f a", "{}", "]", "[f b", "{}", "]", "end Done"]
    );
}

#[test]
fn case_09_calls_without_index_are_told_by_ids_or_names() {
    let call = |id: &str, name| {
        delta(&format!(
            r#"{{"tool_calls":[{{"id":"{id}","function":{{"name":"{name}","arguments":"{{\"a\":1}}"}}}}]}}"#
        ))
    };
    let events = told_chunks(&[&call("a", "f"), &call("b", "f")]);
    assert_eq!(
        events[1..6],
        ["[f a", r#"{"a":1}"#, "]", "[f b", r#"{"a":1}"#]
    );
    // Neither index nor id: the name begins again once the arguments are whole.
    let events = told_chunks(&[&call("", "f"), &call("", "f"), &call("", "g")]);
    let opened: Vec<&String> = events.iter().filter(|word| word.starts_with("[")).collect();
    assert_eq!(opened.len(), 3);
    assert!(opened[0].starts_with("[f call_") && opened[2].starts_with("[g call_"));
    assert_ne!(opened[0], opened[1]);
    // Fragments with nothing but arguments belong to the last.
    let rest = delta(r#"{"tool_calls":[{"function":{"arguments":"}"}}]}"#);
    let head = delta(r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}"#);
    assert_eq!(
        told_chunks(&[&head, &rest]),
        ["start", "[f a", "{", "}", "]", "end Done"]
    );
}

#[test]
fn case_10_arguments_before_the_name_wait_for_it() {
    let early = delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#);
    let named =
        delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":":1}"}}]}"#);
    assert_eq!(
        told_chunks(&[&early, &named]),
        ["start", "[f a", r#"{"a""#, ":1}", "]", "end Done"]
    );
    let stream = chat_stream(&[&early, &finish("tool_calls"), "[DONE]"]);
    assert!(events(Chat, &cx(Chat, Chat), &stream).is_err());
}

#[test]
fn case_11_id_and_name_on_each_fragment_are_passed_on_once() {
    let piece = |arguments: &str| {
        delta(&format!(
            r#"{{"tool_calls":[{{"index":0,"id":"a","function":{{"name":"f","arguments":"{arguments}"}}}}]}}"#
        ))
    };
    let stream = chat_stream(&[&piece("{"), &piece("}"), &finish("tool_calls"), "[DONE]"]);
    let out = check_stream(Chat, Chat, &cx(Chat, Chat), &stream).out;
    assert_eq!(out.matches("\"name\"").count(), 1);
    assert_eq!(out.matches("\"id\":\"a\"").count(), 1);
}

#[test]
fn case_12_one_chunk_with_everything_loses_nothing() {
    let chunk = r#"{"id":"c","choices":[{"index":0,"delta":{"content":"hi","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let stream = chat_stream(&[chunk, "[DONE]"]);
    assert_eq!(
        told(&stream),
        [
            "start",
            "[text",
            "hi",
            "]",
            "[f a",
            "{}",
            "usage 3/0/2",
            "]",
            "end Done"
        ]
    );
}

#[test]
fn case_13_usage_after_the_finish_is_waited_for() {
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let stream = chat_stream(&[
        &delta(r#"{"content":"hi"}"#),
        &finish("stop"),
        usage,
        "[DONE]",
    ]);
    let lines = chat_lines(&check_stream(Chat, Chat, &cx(Chat, Chat), &stream).out);
    assert_eq!(lines[2], "finish stop");
    assert!(lines[3].contains(r#""prompt_tokens":3"#), "{lines:?}");
    let mut quiet = cx(Chat, Chat);
    quiet.include_usage = false;
    assert!(
        !check_stream(Chat, Chat, &quiet, &stream)
            .out
            .contains("usage")
    );
}

#[test]
fn case_14_usage_on_every_chunk_is_used_once_and_not_summed() {
    let chunk = |n| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"x"}}}}],"usage":{{"prompt_tokens":9,"completion_tokens":{n}}}}}"#
        )
    };
    let stream = chat_stream(&[&chunk(1), &chunk(2), &finish("stop"), "[DONE]"]);
    let out = check_stream(Chat, Chat, &cx(Chat, Chat), &stream).out;
    assert_eq!(out.matches("\"completion_tokens\":").count(), 1);
    assert!(out.contains("\"completion_tokens\":2"));
}

#[test]
fn case_15_text_after_a_call_is_a_block_of_its_own() {
    let call =
        delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#);
    let events = told_chunks(&[
        &delta(r#"{"content":"x"}"#),
        &call,
        &delta(r#"{"content":"y"}"#),
    ]);
    assert_eq!(
        events,
        [
            "start", "[text", "x", "]", "[f a", "{}", "]", "[text", "y", "]", "end Done"
        ]
    );
}

#[test]
fn case_22_an_error_inside_the_stream_is_never_a_finish() {
    let error = r#"{"id":"c","error":{"code":429,"message":"slow down"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#;
    let stream = chat_stream(&[&delta(r#"{"content":"hi"}"#), error, "[DONE]"]);
    let outcome = check_stream(Chat, Chat, &cx(Chat, Chat), &stream);
    assert_eq!(
        chat_lines(&outcome.out).pop().unwrap(),
        r#"error {"code":"rate_limit_exceeded","message":"slow down","param":null,"type":"rate_limit_error"}"#
    );
    assert!(!outcome.out.contains("[DONE]"));
}

#[test]
fn case_23_an_error_as_the_first_event_can_still_be_an_http_error() {
    let stream = chat_stream(&[r#"{"error":{"message":"no","type":"invalid_request_error"}}"#]);
    let outcome = check_stream(Chat, Chat, &cx(Chat, Chat), &stream);
    assert!(!outcome.started && outcome.out.is_empty());
    assert_eq!(outcome.error.unwrap().status(), 400);
}

#[test]
fn case_25_odd_framing_reads_like_clean_framing() {
    let clean = check_stream(Chat, Chat, &cx(Chat, Chat), transcript(Chat));
    let odd = format!("\u{feff}: hello\n\n{}", transcript(Chat))
        .replace("data: ", "data:")
        .replace('\n', "\r\n");
    let odd = odd.trim_end();
    assert_eq!(check_stream(Chat, Chat, &cx(Chat, Chat), odd), clean);
    let emoji = chat_stream(&[
        &delta(r#"{"content":"é😀"}"#),
        &delta(r#"{"content":"\ud83d"}"#),
        &delta(r#"{"content":"\ude00"}"#),
        &finish("stop"),
        "[DONE]",
    ]);
    assert!(
        check_stream(Chat, Chat, &cx(Chat, Chat), &emoji)
            .out
            .contains("é😀")
    );
}

#[test]
fn case_30_arguments_that_are_no_object_reach_a_chat_client_verbatim() {
    for arguments in [r"[1]", r#"\"x\""#, r#"{\"a\""#] {
        let call = delta(&format!(
            r#"{{"tool_calls":[{{"index":0,"id":"a","function":{{"name":"f","arguments":"{arguments}"}}}}]}}"#
        ));
        let stream = chat_stream(&[&call, &finish("tool_calls"), "[DONE]"]);
        let outcome = check_stream(Chat, Chat, &cx(Chat, Chat), &stream);
        assert!(
            outcome
                .out
                .contains(&format!(r#""arguments":"{arguments}""#)),
            "{}",
            outcome.out
        );
        assert!(outcome.out.contains("\"finish_reason\":\"tool_calls\""));
    }
}

#[test]
fn case_47_stops_are_looked_for_when_the_upstream_cannot() {
    let mut stopping = cx(Chat, Chat);
    stopping.stops = vec!["STOP".to_owned()];
    let stream = chat_stream(&[
        &delta(r#"{"content":"a S"}"#),
        &delta(r#"{"content":"TO"}"#),
        &delta(r#"{"content":"P b"}"#),
        &delta(r#"{"content":"c"}"#),
    ]);
    let outcome = check_stream(Chat, Chat, &stopping, &stream);
    assert_eq!(outcome.error, None);
    let lines = chat_lines(&outcome.out);
    assert_eq!(lines[1..3], [r#"{"content":"a "}"#, "finish stop"]);
}

#[test]
fn case_58_finish_words_of_all_servers_have_a_meaning() {
    for (word, expected) in [
        ("stop", "stop"),
        ("tool_calls", "stop"),
        ("end_turn", "stop"),
        ("eos", "stop"),
        ("unknown", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("SAFETY", "content_filter"),
    ] {
        let stream = chat_stream(&[&delta(r#"{"content":"x"}"#), &finish(word), "[DONE]"]);
        let outcome = check_stream(Chat, Chat, &cx(Chat, Chat), &stream);
        assert!(
            outcome
                .out
                .contains(&format!("\"finish_reason\":\"{expected}\"")),
            "{word}"
        );
    }
    for word in [
        "error",
        "insufficient_system_resource",
        "network_error",
        "abort",
    ] {
        let stream = chat_stream(&[&delta(r#"{"content":"x"}"#), &finish(word), "[DONE]"]);
        assert!(
            check_stream(Chat, Chat, &cx(Chat, Chat), &stream)
                .error
                .is_some(),
            "{word}"
        );
    }
    let empty = chat_stream(&[
        &delta(r#"{"content":"x"}"#),
        &finish(""),
        &finish("stop"),
        "[DONE]",
    ]);
    assert_eq!(
        check_stream(Chat, Chat, &cx(Chat, Chat), &empty).error,
        None
    );
}

#[test]
fn reasoning_is_read_from_every_field_that_has_it_and_once() {
    for thought in [
        r#""reasoning_content":"hm""#,
        r#""reasoning":"hm""#,
        r#""reasoning":"hm","reasoning_content":"hm""#,
        r#""reasoning_details":[{"type":"reasoning.text","text":"hm"}]"#,
        r#""reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm"}]"#,
        r#""content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]"#,
    ] {
        let events = told_chunks(&[
            &delta(&format!("{{{thought}}}")),
            &delta(r#"{"content":"x"}"#),
        ]);
        assert_eq!(
            events,
            [
                "start", "[thought", "hm", "]", "[text", "x", "]", "end Done"
            ],
            "{thought}"
        );
    }
    let mut tags = cx(Chat, Chat);
    tags.caps.think_tags = true;
    let stream = chat_stream(&[
        &delta(r#"{"content":"<thi"}"#),
        &delta(r#"{"content":"nk>hm</think>\n\nx"}"#),
        &finish("stop"),
    ]);
    assert_eq!(
        events(Chat, &tags, &stream).unwrap(),
        [
            "start", "[thought", "hm", "]", "[text", "x", "]", "end Done"
        ]
    );
}

#[test]
fn what_says_nothing_opens_nothing() {
    let azure =
        r#"{"id":"","object":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#;
    let filter = r#"{"object":"","choices":[{"index":0,"content_filter_offsets":{}}]}"#;
    let events = told_chunks(&[
        azure,
        filter,
        &delta(r#"{"role":"assistant","content":""}"#),
        &delta(r#"{"content":null,"tool_calls":null}"#),
        &delta("null"),
        r#"{"choices":[{"index":1,"delta":{"content":"other"}}]}"#,
        &delta(r#"{"content":"x"}"#),
    ]);
    assert_eq!(events, ["start", "[text", "x", "]", "end Done"]);
}

#[test]
fn a_whole_message_in_the_last_chunk_counts_only_if_nothing_came_before() {
    let last = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}"#;
    let one = told(&chat_stream(&[last, "[DONE]"]));
    assert_eq!(one, ["start", "[text", "x", "]", "end Done"]);
    let both = told(&chat_stream(&[
        &delta(r#"{"content":"x"}"#),
        last,
        "[DONE]",
    ]));
    assert_eq!(both, one);
}

#[test]
fn snapshots_of_arguments_are_told_apart_when_the_flag_says_so() {
    let mut snapshots = cx(Chat, Chat);
    snapshots.caps.snapshot_args = true;
    let call = |arguments: &str| {
        delta(&format!(
            r#"{{"tool_calls":[{{"index":0,"id":"a","function":{{"name":"f","arguments":"{arguments}"}}}}]}}"#
        ))
    };
    let stream = chat_stream(&[
        &call("{"),
        &call(r#"{\"a\":"#),
        &call(r#"{\"a\":1}"#),
        &finish("tool_calls"),
    ]);
    assert_eq!(
        events(Chat, &snapshots, &stream).unwrap(),
        ["start", "[f a", "{", r#""a":"#, "1}", "]", "end Done"]
    );
}

#[test]
fn usage_is_found_wherever_servers_put_it() {
    for chunk in [
        r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"cached_tokens":2}}"#,
        r#"{"choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":5,"completion_tokens":1,"cached_tokens":2}}]}"#,
        r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}}}"#,
    ] {
        let events = told_chunks(&[&delta(r#"{"content":"x"}"#), chunk]);
        assert!(events.contains(&"usage 5/2/1".to_owned()), "{chunk}");
    }
}

#[test]
fn geminis_proof_of_thought_stands_before_its_call() {
    let call = delta(
        r#"{"tool_calls":[{"id":"a","extra_content":{"google":{"thought_signature":"sig"}},"function":{"name":"f","arguments":"{}"}}]}"#,
    );
    assert_eq!(
        told_chunks(&[&call]),
        [
            "start",
            "[thought",
            "proof sig",
            "]",
            "[f a",
            "{}",
            "]",
            "end Done"
        ]
    );
}

#[test]
fn nonsense_is_an_error_and_never_a_panic() {
    for chunk in [
        "{",
        "[]",
        r#"{"choices":[7]}"#,
        r#"{"choices":[{"delta":{"content":7}}]}"#,
        r#"{"choices":[{"delta":{"content":"\x"}}]}"#,
    ] {
        let stream = chat_stream(&[chunk]);
        assert!(
            check_stream(Chat, Chat, &cx(Chat, Chat), &stream)
                .error
                .is_some(),
            "{chunk}"
        );
    }
}

#[test]
fn citations_before_the_text_are_kept() {
    let cited = delta(
        r#"{"content":"","annotations":[{"type":"url_citation","url_citation":{"url":"https://x","title":"X","start_index":0,"end_index":2}}]}"#,
    );
    let events = told_chunks(&[&cited, &delta(r#"{"content":"hi"}"#)]);
    assert_eq!(
        events,
        ["start", "[text", "cites https://x", "hi", "]", "end Done"]
    );
}

#[test]
fn a_stop_that_was_met_counts_what_the_upstream_no_longer_will() {
    let mut stopping = cx(Chat, Chat);
    stopping.stops = vec!["!".to_owned()];
    stopping.estimate = 5;
    let stream = chat_stream(&[
        &delta(r#"{"content":"four"}"#),
        &delta(r#"{"content":"!"}"#),
    ]);
    assert_eq!(
        events(Chat, &stopping, &stream).unwrap(),
        [
            "start",
            "[text",
            "four",
            "]",
            "usage 5/0/2",
            "end Done at !"
        ]
    );
}

#[test]
fn no_arguments_are_an_empty_object_however_they_are_spelt() {
    for arguments in ["", "null", " "] {
        let call = delta(&format!(
            r#"{{"tool_calls":[{{"index":0,"id":"a","function":{{"name":"f","arguments":"{arguments}"}}}}]}}"#
        ));
        assert_eq!(
            told_chunks(&[&call]),
            ["start", "[f a", "{}", "]", "end Done"],
            "{arguments:?}"
        );
    }
}

#[test]
fn a_last_event_without_its_empty_line_counts() {
    let whole = check_stream(Chat, Chat, &cx(Chat, Chat), transcript(Chat));
    let unended = transcript(Chat).trim_end();
    assert_eq!(check_stream(Chat, Chat, &cx(Chat, Chat), unended), whole);
}
