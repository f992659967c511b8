//! A Messages client, such as Claude Code, on a Chat upstream.

use crate::error::{Error, Kind};
use crate::protocol::Protocol::{Chat, Messages};
use crate::protocol::testing::{
    chat_stream, check_stream, convert_error, convert_request, convert_response, cx, delta, finish,
    made, messages_lines, messages_steps, transcript,
};
use crate::protocol::{Caps, Collector, Context, Translator, Warnings, replay};
use crate::wire::Dice;

fn convert(caps: &Caps, body: &str) -> Result<(String, String), Error> {
    let done = convert_request(Messages, Chat, caps, "up", body.as_bytes())?;
    let warnings = done.warnings.header().unwrap_or_default();
    Ok((String::from_utf8(done.body).unwrap(), warnings))
}

/// The upstream's messages for those of the client.
fn messages(caps: &Caps, messages: &str) -> Result<String, Error> {
    let body = format!(r#"{{"model":"m","max_tokens":9,"messages":[{messages}]}}"#);
    let (body, _) = convert(caps, &body)?;
    let at = body.find(r#""messages":["#).unwrap() + r#""messages":["#.len();
    let end = body.rfind(']').unwrap();
    Ok(body[at..end].to_owned())
}

/// What the upstream gets for a client that says `Hi` and has that member.
fn with(caps: &Caps, member: &str) -> Result<(String, String), Error> {
    convert(
        caps,
        &format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}],{member}}}"#
        ),
    )
}

fn steps(chunks: &[&str]) -> Vec<String> {
    let stream = chat_stream(chunks);
    messages_steps(&check_stream(Chat, Messages, &cx(Messages, Chat), stream).out)
}

const USAGE: &str = r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":120,"completion_tokens":60,"total_tokens":180,"prompt_tokens_details":{"cached_tokens":100}}}"#;

#[test]
fn the_transcript_of_the_reference() {
    let mut context = cx(Messages, Chat);
    context.estimate = 118;
    let outcome = check_stream(Chat, Messages, &context, transcript(Chat));
    assert_eq!(outcome.error, None);
    let expected = include_str!("../testing/messages_of_chat.sse");
    let expected: Vec<&str> = expected
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(messages_lines(&outcome.out), expected);
}

#[test]
fn the_worked_example_of_the_reference() {
    let client = r#"{"model":"m","max_tokens":4096,"stream":true,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2; cch=ab12c;"},{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"Look at a.png"},{"role":"assistant","content":[{"type":"thinking","thinking":"I must read it.","signature":"gw1.c.e30"},{"type":"text","text":"Reading."},{"type":"tool_use","id":"call_1","name":"read","input":{"path":"a.png"}},{"type":"tool_use","id":"call_2","name":"read","input":{"path":"b.png"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_2","is_error":true,"content":"no such file"},{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBOR"}}]},{"type":"text","text":"Go on."}]}],"tools":[{"name":"read","input_schema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":false},"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}}"#;
    let (body, warnings) = convert(&Caps::default(), client).unwrap();
    let parsed = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
    let expected = r#"{"model":"up","max_tokens":4096,"stream":true,"stream_options":{"include_usage":true},"reasoning_effort":"medium","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Look at a.png"},{"role":"assistant","content":"Reading.","reasoning_content":"I must read it.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"read","arguments":"{\"path\":\"a.png\"}"}},{"id":"call_2","type":"function","function":{"name":"read","arguments":"{\"path\":\"b.png\"}"}}]},{"role":"tool","tool_call_id":"call_1","content":"[image returned, see next message]"},{"role":"tool","tool_call_id":"call_2","content":"[tool error]\nno such file"},{"role":"user","content":[{"type":"text","text":"Image from tool call call_1:"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}},{"type":"text","text":"Go on."}]}],"tools":[{"type":"function","function":{"name":"read","parameters":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}}],"tool_choice":"auto"}"#;
    assert_eq!(parsed(&body), parsed(expected));
    assert_eq!(warnings, "");
}

// ---- streams ----

#[test]
fn case_02_a_stream_that_dies_in_the_second_call() {
    let stream = transcript(Chat);
    let cut = &stream[..stream.rfind(r#"{\"city\":\"Rome\"}"#).unwrap()];
    let mut chunks: Vec<&str> = cut
        .lines()
        .filter_map(|l| l.strip_prefix("data: "))
        .collect();
    chunks.pop();
    let second = delta(
        r#"{"tool_calls":[{"index":1,"id":"call_B","type":"function","function":{"name":"get_weather","arguments":"{\"city\":"}}]}"#,
    );
    chunks.push(&second);
    let seen = steps(&chunks);
    assert_eq!(
        seen[seen.len() - 4..],
        [
            "]",
            "[tool_use get_weather call_B",
            r#"{"city":"#,
            r#"error {"message":"upstream stream ended before completion","type":"api_error"}"#
        ]
    );
}

#[test]
fn case_07_interleaved_calls_are_told_one_by_one() {
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
        finish("tool_calls"),
    ];
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    assert_eq!(
        steps(&chunks)[1..9],
        [
            "[tool_use f a",
            r#"{"x""#,
            ":1}",
            "]",
            "[tool_use g b",
            r#"{"y""#,
            ":2}",
            "]"
        ]
    );
}

#[test]
fn case_12_13_one_chunk_may_hold_everything_and_usage_may_come_after() {
    let all = r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"Hi","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    let told = ["begin", "[text", "Hi", "]", "[tool_use f a", "]"];
    let seen = steps(&[all, "[DONE]"]);
    assert_eq!(seen[..6], told);
    assert_eq!(seen[6..], ["tool_use 7/0/3", "end"]);
    assert_eq!(
        steps(&[all, USAGE, "[DONE]"])[6..],
        ["tool_use 20/100/60", "end"]
    );
}

#[test]
fn case_15_text_a_call_and_text_are_three_blocks() {
    let call = delta(
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"a\":1}"}}]}"#,
    );
    let (text, more) = (delta(r#"{"content":"one"}"#), delta(r#"{"content":"two"}"#));
    let seen = steps(&[&text, &call, &more, &finish("stop")]);
    assert_eq!(
        seen[1..10],
        [
            "[text",
            "one",
            "]",
            "[tool_use f a",
            r#"{"a":1}"#,
            "]",
            "[text",
            "two",
            "]"
        ]
    );
    assert!(seen[10].starts_with("tool_use "));
}

#[test]
fn case_22_23_errors_before_and_after_the_first_word() {
    let error = r#"{"error":{"code":429,"message":"slow down"}}"#;
    let seen = steps(&[&delta(r#"{"content":"Hi"}"#), error]);
    assert_eq!(
        seen[3..],
        [r#"error {"message":"slow down","type":"rate_limit_error"}"#]
    );
    let outcome = check_stream(Chat, Messages, &cx(Messages, Chat), chat_stream(&[error]));
    assert!(!outcome.started && outcome.out.is_empty());
    assert_eq!(outcome.error.unwrap().status(), 429);
}

#[test]
fn case_26_27_a_stream_and_a_whole_answer_become_each_other() {
    let context = cx(Messages, Chat);
    let whole = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","reasoning_content":"hm"},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1}}"#;
    let mut warnings = Warnings::default();
    let stream = replay(
        Chat,
        Messages,
        &context,
        &made(),
        whole.as_bytes(),
        &mut warnings,
    );
    assert_eq!(
        messages_steps(std::str::from_utf8(&stream.unwrap()).unwrap()),
        [
            "begin",
            "[thinking",
            "hm",
            "signed gw1.c.e30",
            "]",
            "[text",
            "Hi",
            "]",
            "end_turn 2/0/1",
            "end"
        ]
    );
    let mut collector = Collector::new(Chat, Messages, context, made());
    collector.feed(transcript(Chat).as_bytes()).unwrap();
    let body = collector.finish(&mut warnings).unwrap().body;
    let body = String::from_utf8(body).unwrap();
    assert!(body.ends_with(r#""model":"client-model","content":[{"type":"thinking","thinking":"Need both cities.","signature":"gw1.c.e30"},{"type":"text","text":"Checking both."},{"type":"tool_use","id":"call_A","name":"get_weather","input":{"city":"Paris"}},{"type":"tool_use","id":"call_B","name":"get_weather","input":{"city":"Rome"}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":100,"output_tokens":60,"output_tokens_details":{"thinking_tokens":15}}}"#), "{body}");
}

#[test]
fn case_29_a_sign_of_life_is_a_ping() {
    let mut translator = Translator::new(Chat, Messages, cx(Messages, Chat), made());
    let mut out = Vec::new();
    translator.keep_alive(&mut out);
    assert_eq!(out, b": keepalive\n\n");
    out.clear();
    let first = chat_stream(&[&delta(r#"{"content":"Hi"}"#)]);
    translator.feed(first.as_bytes(), &mut out).unwrap();
    out.clear();
    translator.keep_alive(&mut out);
    assert_eq!(out, b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

#[test]
fn case_30_arguments_that_are_no_object() {
    for bad in [r#"[1]"#, r#"\"x\""#, r#"{\"a\":"#] {
        let call = delta(&format!(
            r#"{{"tool_calls":[{{"index":0,"id":"a","function":{{"name":"f","arguments":"{bad}"}}}}]}}"#
        ));
        let seen = steps(&[&call, &finish("tool_calls")]);
        let last = seen.last().unwrap();
        assert!(
            last.contains("invalid tool arguments from upstream"),
            "{last}"
        );
        let whole = format!(
            r#"{{"choices":[{{"index":0,"message":{{"tool_calls":[{{"id":"a","function":{{"name":"f","arguments":"{bad}"}}}}]}},"finish_reason":"tool_calls"}}]}}"#
        );
        assert_eq!(answer(&whole).unwrap_err().status(), 502);
    }
}

#[test]
fn case_47_a_stop_the_gateway_looks_for_is_named() {
    let mut context = cx(Messages, Chat);
    context.stops = vec!["END".to_owned()];
    let chunks: Vec<String> = ["one E", "N", "D two"]
        .map(|text| delta(&format!(r#"{{"content":"{text}"}}"#)))
        .into();
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    let outcome = check_stream(Chat, Messages, &context, chat_stream(&chunks));
    let seen = messages_steps(&outcome.out);
    assert_eq!(seen[1..4], ["[text", "one ", "]"]);
    assert!(seen[4].starts_with(r#"stop_sequence "END" "#));
}

// ---- whole answers ----

fn answer(body: &str) -> Result<String, Error> {
    let mut warnings = Warnings::default();
    let context: Context = cx(Messages, Chat);
    let body = convert_response(
        Chat,
        Messages,
        &context,
        &made(),
        body.as_bytes(),
        &mut warnings,
    )?;
    let body = String::from_utf8(body).unwrap();
    Ok(body[body.find(r#""content""#).unwrap()..].to_owned())
}

#[test]
fn case_57_cached_tokens_are_taken_out_once() {
    let usage = |usage: &str| {
        let body = format!(
            r#"{{"choices":[{{"message":{{"content":"x"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
        );
        let body = answer(&body).unwrap();
        body[body.find(r#""usage""#).unwrap()..].to_owned()
    };
    let expected = r#""usage":{"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":100,"output_tokens":60"#;
    for spelling in [
        r#"{"prompt_tokens":120,"completion_tokens":60,"total_tokens":180,"prompt_tokens_details":{"cached_tokens":100}}"#,
        r#"{"prompt_tokens":120,"completion_tokens":60,"total_tokens":180,"prompt_cache_hit_tokens":100}"#,
        r#"{"prompt_tokens":120,"completion_tokens":60,"total_tokens":180,"cached_tokens":100}"#,
    ] {
        assert_eq!(usage(spelling), format!("{expected}}}}}"));
    }
    let more = usage(
        r#"{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}"#,
    );
    assert!(more.contains(r#""input_tokens":0,"#), "{more}");
}

#[test]
fn case_58_reasons_of_chat_for_a_messages_client() {
    let call = r#","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]"#;
    for (reason, calls, word) in [
        ("stop", "", "end_turn"),
        ("stop", call, "tool_use"),
        ("tool_calls", call, "tool_use"),
        ("tool_calls", "", "end_turn"),
        ("length", "", "max_tokens"),
        ("content_filter", "", "refusal"),
        ("sensitive", "", "refusal"),
        ("MAX_TOKENS", "", "max_tokens"),
        ("whatever", "", "end_turn"),
    ] {
        let body = format!(
            r#"{{"choices":[{{"message":{{"content":"x"{calls}}},"finish_reason":"{reason}"}}]}}"#
        );
        let found = answer(&body).unwrap();
        assert!(
            found.contains(&format!(r#""stop_reason":"{word}""#)),
            "{reason}: {found}"
        );
    }
    let refused = r#"{"choices":[{"message":{"content":null,"refusal":"I cannot."},"finish_reason":"stop"}]}"#;
    let found = answer(refused).unwrap();
    assert!(
        found.starts_with(
            r#""content":[{"type":"text","text":"I cannot."}],"stop_reason":"refusal""#
        )
    );
    for broken in [
        r#"{"choices":[{"message":{"content":"x"},"finish_reason":null}]}"#,
        r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}"#,
        r#"{"choices":[]}"#,
    ] {
        assert!(answer(broken).unwrap_err().status() >= 500, "{broken}");
    }
    let stopped =
        r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop","stop_reason":"\n\n"}]}"#;
    assert!(
        answer(stopped)
            .unwrap()
            .contains(r#""stop_reason":"stop_sequence","stop_sequence":"\n\n""#)
    );
}

#[test]
fn case_59_errors_in_the_clients_dialect() {
    let told = |status, body: &str| {
        let answer = convert_error(Messages, status, body.as_bytes(), "req_1", "main");
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let (status, body) = told(
        400,
        r#"{"error":{"message":"This model's maximum context length is 8 tokens","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
    );
    assert_eq!(status, 400);
    assert_eq!(
        body,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: This model's maximum context length is 8 tokens"},"request_id":"req_1"}"#
    );
    assert_eq!(told(503, "").0, 529);
    let quota = r#"{"error":{"message":"no credit","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    assert_eq!(told(429, quota).0, 402);
}

// ---- requests ----

#[test]
fn case_31_results_go_in_call_order_and_pictures_last() {
    let body = messages(
        &Caps::default(),
        r#"{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"f","input":{}}]},{"role":"user","content":[{"type":"text","text":"and"},{"type":"tool_result","tool_use_id":"b","content":"no","is_error":true},{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"url","url":"https://p"}}]}]}"#,
    );
    let body = body.unwrap();
    let results = &body[body.find(r#"{"role":"tool""#).unwrap()..];
    assert_eq!(
        results,
        concat!(
            r#"{"role":"tool","tool_call_id":"a","content":"[image returned, see next message]"},"#,
            r#"{"role":"tool","tool_call_id":"b","content":"[tool error]\nno"},"#,
            r#"{"role":"user","content":[{"type":"text","text":"Image from tool call a:"},{"type":"image_url","image_url":{"url":"https://p"}},{"type":"text","text":"and"}]}"#
        )
    );
}

#[test]
fn case_41_a_late_system_message_stays_where_it_is() {
    let talk = r#"{"role":"user","content":"a"},{"role":"system","content":"env"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}"#;
    assert_eq!(
        messages(&Caps::default(), talk).unwrap(),
        r#"{"role":"user","content":"a"},{"role":"system","content":"env"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}"#
    );
    let strict = Caps {
        mid_system: false,
        ..Caps::default()
    };
    let told = messages(&strict, talk).unwrap();
    assert!(
        told.starts_with(r#"{"role":"user","content":"#) && !told.contains(r#""role":"system""#)
    );
    assert!(told.contains(r"<system-reminder>\nenv\n</system-reminder>"));
}

#[test]
fn case_43_44_pictures_and_documents() {
    let user = |block: &str| {
        messages(
            &Caps::default(),
            &format!(r#"{{"role":"user","content":[{{"type":"text","text":"q"}},{block}]}}"#),
        )
    };
    let picture = user(
        r#"{"type":"image","source":{"type":"base64","media_type":"image/webp","data":"UklG"}}"#,
    );
    assert!(
        picture
            .unwrap()
            .contains(r#"{"type":"image_url","image_url":{"url":"data:image/webp;base64,UklG"}}"#)
    );
    let pdf = user(
        r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}"#,
    );
    assert!(
        pdf.unwrap()
            .contains(r#""file_data":"data:application/pdf;base64,JVBE""#)
    );
    let text = user(
        r#"{"type":"document","title":"T","source":{"type":"text","media_type":"text/plain","data":"x"}}"#,
    );
    assert!(
        text.unwrap()
            .contains(r#"<document title=\"T\">\nx\n</document>"#)
    );
    for refused in [
        r#"{"type":"document","source":{"type":"url","url":"https://x/y.pdf"}}"#,
        r#"{"type":"document","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"x"}}"#,
        r#"{"type":"image","source":{"type":"file","file_id":"f"}}"#,
    ] {
        assert_eq!(
            user(refused).unwrap_err().kind,
            Kind::Unsupported,
            "{refused}"
        );
    }
}

#[test]
fn case_46_55_numbers_are_carried_and_hints_dropped() {
    let (body, warnings) = with(
        &Caps::default(),
        r#""temperature":0.50,"top_p":0.9,"top_k":5"#,
    )
    .unwrap();
    assert!(body.contains(r#""temperature":0.50"#) && body.contains(r#""top_p":0.9"#));
    assert_eq!(warnings, "top_k:unsupported");
    let claude_code = r#""context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"metadata":{"user_id":"u"},"thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"high"},"tools":[],"tool_choice":{"type":"auto"}"#;
    let (body, warnings) = with(&Caps::default(), claude_code).unwrap();
    assert_eq!(warnings, "");
    assert!(body.contains(r#""reasoning_effort":"high""#));
    for gone in ["context_management", "tools", "tool_choice", "thinking"] {
        assert!(!body.contains(gone), "{gone}");
    }
    for (member, field) in [
        (r#""container":"c""#, "container"),
        (r#""inference_geo":"eu""#, "inference_geo"),
        (
            r#""mcp_servers":[{"type":"url","url":"https://m","name":"m"}]"#,
            "mcp_servers",
        ),
    ] {
        let error = with(&Caps::default(), member).unwrap_err();
        assert_eq!(
            (error.kind, error.param.as_deref()),
            (Kind::Unsupported, Some(field))
        );
    }
    let (_, warnings) = with(&Caps::default(), r#""tomorrow":1"#).unwrap();
    assert_eq!(warnings, "tomorrow:unknown");
}

#[test]
fn a_schema_and_a_single_call_are_kept() {
    let (body, _) = with(
        &Caps::default(),
        r#""output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}},"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any","disable_parallel_tool_use":true}"#,
    )
    .unwrap();
    assert!(body.contains(
        r#""response_format":{"type":"json_schema","json_schema":{"name":"structured_output","#
    ));
    assert!(body.contains(r#""tool_choice":"required""#));
    assert!(body.contains(r#""parallel_tool_calls":false"#));
}

#[test]
fn a_schema_that_the_client_never_called_strict_is_asked_for_in_words_where_there_is_only_json_mode()
 {
    // Claude Code asks for a title so, of whatever upstream there is.
    let caps = Caps::of("deepseek", "deepseek-chat");
    let title = r#""tools":[],"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object","properties":{"title":{"type":"string"}},"required":["title"],"additionalProperties":false}}}"#;
    let (body, warnings) = with(&caps, title).unwrap();
    assert!(
        body.contains(r#""response_format":{"type":"json_object"}"#),
        "{body}"
    );
    let words = r#"{"role":"system","content":"Answer only with JSON matching this schema: {\"type\":\"object\",\"properties\":{\"title\""#;
    assert!(body.contains(words), "{body}");
    assert_eq!(warnings, "output_config.format:by_instruction");
}

#[test]
fn case_53_long_names_are_shortened_and_come_back() {
    let name = "mcp__".to_owned() + &"x".repeat(85);
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"q"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"a","name":"{name}","input":{{}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"a"}}]}}],"tools":[{{"name":"{name}","input_schema":{{"type":"object"}}}}],"tool_choice":{{"type":"tool","name":"{name}"}}}}"#
    );
    let done = convert_request(Messages, Chat, &Caps::default(), "up", body.as_bytes()).unwrap();
    let sent = String::from_utf8(done.body).unwrap();
    let at = sent.find("mcp__").unwrap();
    let short = &sent[at..at + 64];
    assert!(!sent.contains(&name));
    assert_eq!(sent.matches(short).count(), 3);
    let call = delta(&format!(
        r#"{{"tool_calls":[{{"index":0,"id":"a","function":{{"name":"{short}","arguments":"{{}}"}}}}]}}"#
    ));
    let outcome = check_stream(
        Chat,
        Messages,
        &done.context,
        chat_stream(&[&call, &finish("tool_calls")]),
    );
    assert_eq!(
        messages_steps(&outcome.out)[1],
        format!("[tool_use {name} a")
    );
}

#[test]
fn case_52_foreign_ids_come_back_to_their_upstream() {
    let call = delta(
        r#"{"tool_calls":[{"index":0,"id":"functions.read:0","function":{"name":"read","arguments":"{}"}}]}"#,
    );
    let seen = steps(&[&call, &finish("tool_calls")]);
    let id = seen[1].rsplit(' ').next().unwrap();
    assert!(
        id.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    );
    let talk = format!(
        r#"{{"role":"user","content":"q"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"{id}","name":"read","input":{{}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"{id}","content":"x"}}]}}"#
    );
    let body = messages(&Caps::of("kimi", "kimi-k2"), &talk).unwrap();
    assert_eq!(body.matches("functions.read:0").count(), 2);
}

#[test]
fn case_54_nothing_empty_is_sent_and_nothing_full_is_lost() {
    let body = messages(
        &Caps::default(),
        r#"{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"q"}]},{"role":"assistant","content":[{"type":"text","text":""},{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[]}]}"#,
    )
    .unwrap();
    assert_eq!(
        body,
        r#"{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":""}"#
    );
}

/// Histories of random turns: what was sent before is the beginning of what is sent next, or no upstream's cache would ever hit.
#[test]
fn case_41_one_more_turn_never_changes_the_bytes_before() {
    let mut dice = Dice::new(41);
    for _ in 0..100 {
        let mut talk = vec![r#"{"role":"user","content":"q"}"#.to_owned()];
        let mut before = messages(&Caps::default(), &talk.join(",")).unwrap();
        for turn in 0..6 {
            let more = match dice.below(3) {
                0 => vec![
                    r#"{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"gw1.c.e30"},{"type":"text","text":"a"}]}"#.to_owned(),
                    r#"{"role":"user","content":"next"}"#.to_owned(),
                ],
                1 => vec![
                    r#"{"role":"system","content":"mode"}"#.to_owned(),
                    r#"{"role":"assistant","content":"b"}"#.to_owned(),
                    r#"{"role":"user","content":"go"}"#.to_owned(),
                ],
                _ => vec![
                    format!(r#"{{"role":"assistant","content":[{{"type":"tool_use","id":"c{turn}","name":"f","input":{{"n": {turn}}}}}]}}"#),
                    format!(r#"{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"c{turn}","content":[{{"type":"text","text":"r"}},{{"type":"image","source":{{"type":"url","url":"https://p"}}}}]}}]}}"#),
                ],
            };
            talk.extend(more);
            let after = messages(&Caps::default(), &talk.join(",")).unwrap();
            assert!(after.starts_with(&before), "{before}\n{after}");
            before = after;
        }
    }
}
