//! How answers end, and what is told of them.

use super::{answered, ask, convert, sse};
use crate::protocol::testing::{
    chat_lines, chat_stream, check_stream, cx, delta, finish, made, messages_steps,
};
use crate::protocol::{Caps, Context, Protocol, Translator};
use Protocol::{Chat, Messages, Responses};

#[test]
fn an_end_nobody_documents_is_named_whole_and_streamed() {
    let whole = r#"{"id":"c","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"tired"}]}"#;
    let cx = cx(Messages, Chat);
    let (body, warnings) = answered(&cx, whole).unwrap();
    assert!(body.contains(r#""stop_reason":"end_turn""#), "{body}");
    assert_eq!(warnings, "finish_reason:unknown");
    let mut stream = Translator::new(Chat, Messages, cx, made());
    let frames = chat_stream(&[&delta(r#"{"content":"a"}"#), &finish("tired")]);
    let mut out = Vec::new();
    stream.feed(frames.as_bytes(), &mut out).unwrap();
    stream.finish(&mut out).unwrap();
    assert_eq!(stream.warnings().header().unwrap(), "finish_reason:unknown");
    let paused = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"a"}],"stop_reason":"pause_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let (body, warnings) = answered(&self::cx(Chat, Messages), paused).unwrap();
    assert!(body.contains(r#""finish_reason":"length""#), "{body}");
    assert_eq!(warnings, "stop_reason:paused");
}

#[test]
fn a_refusal_that_is_only_explained_is_said_in_each_protocol() {
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","category":"x","explanation":"not that"},"usage":{"input_tokens":1,"output_tokens":1}}"#;
    let told = |client: Protocol| answered(&cx(client, Messages), whole).unwrap().0;
    let chat = told(Chat);
    assert!(
        chat.contains(r#""content":null,"refusal":"not that""#)
            && chat.contains(r#""finish_reason":"content_filter""#),
        "{chat}"
    );
    let responses = told(Responses);
    assert!(
        responses.contains(r#"[{"type":"refusal","refusal":"not that"}]"#)
            && responses.contains(r#""incomplete_details":{"reason":"content_filter"}"#),
        "{responses}"
    );
    let stream = sse(&[
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":null,"explanation":"not that"}},"usage":{"output_tokens":1}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let told = check_stream(Messages, Chat, &cx(Chat, Messages), &stream);
    assert!(
        chat_lines(&told.out).contains(&r#"{"refusal":"not that"}"#.to_owned()),
        "{}",
        told.out
    );
    let told = check_stream(Messages, Responses, &cx(Responses, Messages), &stream);
    assert!(
        told.out.contains("event: response.refusal.done"),
        "{}",
        told.out
    );
}

#[test]
fn an_answer_over_a_limit_too_low_for_the_upstream_ends_at_it() {
    let caps = Caps::of("openai", "gpt-5.2");
    let body = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}"#;
    let asked = convert(Messages, Responses, &caps, "up", body).unwrap();
    assert!(
        String::from_utf8(asked.body)
            .unwrap()
            .contains(r#""max_output_tokens":16"#)
    );
    let answer = |tokens: u64| {
        let whole = format!(
            r#"{{"id":"resp_1","object":"response","status":"completed","output":[{{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{{"type":"output_text","text":"a","annotations":[]}}]}}],"usage":{{"input_tokens":1,"output_tokens":{tokens},"total_tokens":{}}}}}"#,
            tokens + 1
        );
        let (body, _) = answered(&asked.context, &whole).unwrap();
        let (_, rest) = body.split_once(r#""stop_reason":""#).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    assert_eq!(answer(1), "end_turn");
    assert_eq!(answer(2), "max_tokens");
}

#[test]
fn an_answer_without_a_time_is_of_now() {
    let whole = r#"{"id":"c","created":0,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}"#;
    let (body, _) = answered(&cx(Responses, Chat), whole).unwrap();
    assert!(body.contains(r#""created_at":1790000000"#), "{body}");
    let whole = r#"{"id":"resp_1","created_at":0,"status":"completed","output":[]}"#;
    let (body, _) = answered(&cx(Chat, Responses), whole).unwrap();
    assert!(body.contains(r#""created":1790000000"#), "{body}");
}

#[test]
fn a_thought_without_words_keeps_its_proof_through_a_chat_client() {
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"","signature":"EqQBSIG"},{"type":"tool_use","id":"t1","name":"f","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let cx = Context::bare(
        Chat,
        Messages,
        "claude-opus-4-6",
        Caps::of("anthropic", "claude-opus-4-6"),
    );
    let (body, _) = answered(&cx, whole).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let message = &answer["choices"][0]["message"];
    let next = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{message},{{"role":"tool","tool_call_id":"t1","content":"r"}}]}}"#
    );
    let (body, _) = ask(Chat, Messages, &cx.caps, &next).unwrap();
    assert!(
        body.contains(
            r#"{"type":"thinking","thinking":"","signature":"EqQBSIG"},{"type":"tool_use""#
        ),
        "{body}"
    );
}

#[test]
fn work_of_a_vendors_tool_that_is_not_shown_is_named_whole_and_streamed() {
    let blocks = [
        r#"{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}}"#,
        r#"{"type":"web_search_tool_result","tool_use_id":"s1","content":[]}"#,
        r#"{"type":"mcp_tool_use","id":"s2","name":"x","server_name":"y","input":{}}"#,
        r#"{"type":"mcp_tool_result","tool_use_id":"s2","content":[]}"#,
        r#"{"type":"text","text":"a"}"#,
    ];
    let mut frames = vec![
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#.to_owned(),
    ];
    for (index, block) in blocks.iter().enumerate() {
        frames.push(format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#
        ));
        frames.push(format!(
            r#"{{"type":"content_block_stop","index":{index}}}"#
        ));
    }
    frames.push(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}"#.to_owned());
    frames.push(r#"{"type":"message_stop"}"#.to_owned());
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let whole = format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{}],"stop_reason":"end_turn","usage":{{"input_tokens":1,"output_tokens":1}}}}"#,
        blocks.join(",")
    );
    for client in [Chat, Responses] {
        let cx = cx(client, Messages);
        let (_, warnings) = answered(&cx, &whole).unwrap();
        assert_eq!(warnings, "mcp_tool_result:dropped,mcp_tool_use:dropped");
        let mut stream = Translator::new(Messages, client, cx, made());
        let mut out = Vec::new();
        stream.feed(sse(&frames).as_bytes(), &mut out).unwrap();
        assert_eq!(
            stream.warnings().header().unwrap(),
            "mcp_tool_use:dropped,mcp_tool_result:dropped"
        );
        let shown = String::from_utf8(out).unwrap().contains("web_search_call");
        assert_eq!(shown, client == Responses);
    }
}

#[test]
fn a_whole_answer_cut_inside_a_call_leaves_nothing_to_act_on() {
    let whole = |reason: &str, call: &str| {
        format!(
            r#"{{"id":"c","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":null,"tool_calls":[{{"id":"a","type":"function","function":{{"name":"f","arguments":"{{}}"}}}},{call}]}},"finish_reason":"{reason}"}}]}}"#
        )
    };
    let half = r#"{"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\":"}}"#;
    for reason in ["length", "content_filter"] {
        let (body, _) = answered(&cx(Responses, Chat), &whole(reason, half)).unwrap();
        assert!(
            body.contains(r#""status":"incomplete","call_id":"b""#)
                && body.contains(r#""status":"completed","call_id":"a""#),
            "{body}"
        );
    }
    let (body, warnings) = answered(&cx(Messages, Chat), &whole("length", half)).unwrap();
    assert!(
        body.contains(r#""id":"a""#) && !body.contains(r#""id":"b""#),
        "{body}"
    );
    assert_eq!(warnings, "tool_use:cut");
    // Whole ones, and those of an answer that ended by itself, are the client's to judge.
    let done = r#"{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}"#;
    let (body, _) = answered(&cx(Responses, Chat), &whole("length", done)).unwrap();
    assert!(
        body.contains(r#""status":"completed","call_id":"b""#),
        "{body}"
    );
    let (body, _) = answered(&cx(Responses, Chat), &whole("tool_calls", half)).unwrap();
    assert!(
        body.contains(r#""status":"completed","call_id":"b""#),
        "{body}"
    );
}

#[test]
fn the_first_choice_is_the_one_numbered_so() {
    let choice = |index: u64, said: &str| {
        format!(
            r#"{{"index":{index},"message":{{"role":"assistant","content":"{said}"}},"finish_reason":"stop"}}"#
        )
    };
    let whole = format!(
        r#"{{"choices":[{},{}]}}"#,
        choice(1, "second"),
        choice(0, "first")
    );
    let (body, warnings) = answered(&cx(Responses, Chat), &whole).unwrap();
    assert!(body.contains("first") && !body.contains("second"), "{body}");
    assert_eq!(warnings, "choices:dropped");
}

#[test]
fn a_text_of_nothing_but_blanks_is_no_block_that_claude_would_refuse_later() {
    let call = r#"{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    let stream = chat_stream(&[
        &delta(r#"{"content":"\n"}"#),
        &delta(r#"{"content":" \n"}"#),
        &delta(call),
        &delta(r#"{"content":"\n\n"}"#),
        &delta(r#"{"content":"Hi "}"#),
        &delta(r#"{"content":" "}"#),
        &finish("tool_calls"),
    ]);
    let told = check_stream(Chat, Messages, &cx(Messages, Chat), &stream);
    assert_eq!(
        messages_steps(&told.out)[1..],
        [
            "[tool_use f t1",
            "]",
            "[text",
            "\n\nHi ",
            " ",
            "]",
            "tool_use 0/0/0",
            "end"
        ]
    );
    let whole = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"\n\n","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    let (body, _) = answered(&cx(Messages, Chat), whole).unwrap();
    assert!(body.contains(r#""content":[{"type":"tool_use""#), "{body}");
}

#[test]
fn an_answer_cut_at_a_stop_costs_what_the_upstream_says_it_did() {
    let body = r#"{"model":"m","max_tokens":99,"stop_sequences":["STOP"],"messages":[{"role":"user","content":"Hi"}]}"#;
    let asked = convert(Messages, Responses, &Caps::default(), "up", body).unwrap();
    let whole = r#"{"id":"resp_1","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a STOP b"}]}],"usage":{"input_tokens":70,"output_tokens":90,"total_tokens":160}}"#;
    let (body, _) = answered(&asked.context, whole).unwrap();
    assert!(body.contains(r#""stop_sequence":"STOP""#), "{body}");
    assert!(
        body.contains(r#""input_tokens":70,"#) && body.contains(r#""output_tokens":90"#),
        "{body}"
    );
}
