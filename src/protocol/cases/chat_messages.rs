//! A Chat client on a Messages upstream.

use crate::error::{Error, Kind};
use crate::protocol::Protocol::{Chat, Messages};
use crate::protocol::testing::{
    chat_lines, check_stream, convert_error, convert_request, convert_response, cx, made,
    transcript,
};
use crate::protocol::{Caps, Translator, Warnings};
use crate::wire::Dice;

fn opus() -> Caps {
    Caps {
        auto_cache: false,
        ..Caps::of("anthropic", "claude-opus-4-6")
    }
}

fn convert(caps: &Caps, body: &str) -> Result<(String, String), Error> {
    let done = convert_request(Chat, Messages, caps, "up", body.as_bytes())?;
    let warnings = done.warnings.header().unwrap_or_default();
    Ok((String::from_utf8(done.body).unwrap(), warnings))
}

/// What comes after the messages for a client that says `Hi` and has those members.
fn with(caps: &Caps, members: &str) -> Result<(String, String), Error> {
    let (body, warnings) = convert(
        caps,
        &format!(
            r#"{{"model":"m","max_tokens":5000,"messages":[{{"role":"user","content":"Hi"}}],{members}}}"#
        ),
    )?;
    let front = r#"{"model":"up","max_tokens":5000,"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]"#;
    let rest = body.strip_prefix(front).unwrap_or(&body);
    Ok((rest.to_owned(), warnings))
}

/// `system` and `messages` for those messages.
fn talk(caps: &Caps, messages: &str) -> Result<String, Error> {
    let (body, _) = convert(
        caps,
        &format!(r#"{{"model":"m","max_tokens":9,"messages":[{messages}]}}"#),
    )?;
    let body = body
        .strip_prefix(r#"{"model":"up","max_tokens":9,"#)
        .unwrap();
    Ok(body.strip_suffix('}').unwrap().to_owned())
}

fn refused(members: &str) -> (Kind, String) {
    let error = with(&opus(), members).unwrap_err();
    assert_eq!(error.status(), 400);
    (error.kind, error.param.unwrap_or_default())
}

// ---- streams ----

#[test]
fn the_transcript_of_the_reference() {
    let outcome = check_stream(Messages, Chat, &cx(Chat, Messages), transcript(Messages));
    assert_eq!(outcome.error, None);
    let expected = include_str!("../testing/chat_of_messages.sse");
    let ours = made().id("chatcmpl-", 0);
    let told = outcome.out.replace(&ours, "chatcmpl-g1");
    assert_eq!(chat_lines(&told), chat_lines(expected));
}

fn sse(frames: &[&str]) -> String {
    frames
        .iter()
        .map(|frame| format!("event: x\ndata: {frame}\n\n"))
        .collect()
}

fn lines(frames: &[&str]) -> Vec<String> {
    chat_lines(&check_stream(Messages, Chat, &cx(Chat, Messages), sse(frames)).out)
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":20,"cache_read_input_tokens":100,"output_tokens":1}}}"#;
const END: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":60}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

#[test]
fn case_04_a_stream_without_a_reason_to_stop() {
    let seen = lines(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
    ]);
    assert_eq!(seen[1], r#"{"content":"Hi"}"#);
    assert!(seen[2].starts_with("error {") && seen.len() == 3);
}

#[test]
fn case_20_redacted_thoughts_are_carried() {
    let seen = lines(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"EmwK"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        END,
        STOP,
    ]);
    assert!(
        seen[1].starts_with(r#"{"reasoning_details":[{"#),
        "{seen:?}"
    );
    assert!(!seen[1].contains("reasoning_content"));
    assert_eq!(seen[2], "finish stop");
}

#[test]
fn case_21_input_that_came_with_the_head() {
    let call = |input: &str| {
        let head = format!(
            r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"tool_use","id":"t","name":"f","input":{input}}}}}"#
        );
        let stop = r#"{"type":"content_block_stop","index":0}"#;
        lines(&[START, &head, stop, END, STOP])[2].clone()
    };
    let arguments = |json: &str| {
        format!(r#"{{"tool_calls":[{{"function":{{"arguments":"{json}"}},"index":0}}]}}"#)
    };
    assert_eq!(call(r#"{"a":1e2}"#), arguments(r#"{\"a\":1e2}"#));
    assert_eq!(call("{}"), arguments("{}"));
}

#[test]
fn a_call_cut_at_the_limit_is_told_as_length() {
    let seen = lines(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"}}"#,
        STOP,
    ]);
    assert_eq!(seen[3], "finish length");
}

#[test]
fn case_24_an_overload_in_the_stream() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let seen = lines(&[START, error]);
    assert_eq!(
        seen[1],
        r#"error {"code":"server_is_overloaded","message":"Overloaded","param":null,"type":"server_error"}"#
    );
    let outcome = check_stream(Messages, Chat, &cx(Chat, Messages), sse(&[error]));
    assert!(!outcome.started);
    assert_eq!(outcome.error.unwrap().status(), 503);
}

#[test]
fn usage_of_both_ends_is_added_up() {
    let seen = lines(&[START, r#"{"type":"ping"}"#, END, STOP]);
    assert!(seen[2].contains(r#""prompt_tokens":120"#), "{seen:?}");
    assert!(
        seen[2].contains(r#""cached_tokens":100"#) && seen[2].contains(r#""total_tokens":180"#)
    );
    let mut translator = Translator::new(Messages, Chat, cx(Chat, Messages), made());
    translator
        .feed(sse(&[START]).as_bytes(), &mut Vec::new())
        .unwrap();
    assert_eq!(translator.usage().map(|usage| usage.input), Some(120));
}

// ---- whole answers ----

fn answer(body: &str) -> Result<String, Error> {
    let mut warnings = Warnings::default();
    let body = convert_response(
        Messages,
        Chat,
        &cx(Chat, Messages),
        &made(),
        body.as_bytes(),
        &mut warnings,
    )?;
    Ok(String::from_utf8(body).unwrap())
}

#[test]
fn case_57_usage_there_and_back_is_the_same() {
    let mut dice = Dice::new(57);
    for _ in 0..200 {
        let (fresh, read, wrote) = (dice.below(1000), dice.below(1000), dice.below(1000));
        let (output, thinking) = (dice.below(1000), dice.below(10));
        let usage = format!(
            r#""usage":{{"input_tokens":{fresh},"cache_creation_input_tokens":{wrote},"cache_read_input_tokens":{read},"output_tokens":{output},"output_tokens_details":{{"thinking_tokens":{thinking}}}}}}}"#
        );
        let body = format!(r#"{{"content":[],"stop_reason":"end_turn",{usage}"#);
        let chat = answer(&body).unwrap();
        let mut warnings = Warnings::default();
        let back = convert_response(
            Chat,
            Messages,
            &cx(Messages, Chat),
            &made(),
            chat.as_bytes(),
            &mut warnings,
        )
        .unwrap();
        let back = String::from_utf8(back).unwrap();
        assert!(back.ends_with(&usage), "{usage}\n{back}");
    }
}

#[test]
fn case_58_reasons_of_messages_for_a_chat_client() {
    for (reason, blocks, word) in [
        ("end_turn", "", "stop"),
        ("stop_sequence", "", "stop"),
        (
            "tool_use",
            r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#,
            "tool_calls",
        ),
        ("max_tokens", "", "length"),
        ("model_context_window_exceeded", "", "length"),
        ("refusal", "", "content_filter"),
        ("pause_turn", "", "length"),
    ] {
        let body = format!(r#"{{"content":[{blocks}],"stop_reason":"{reason}"}}"#);
        let found = answer(&body).unwrap();
        assert!(
            found.contains(&format!(r#""finish_reason":"{word}""#)),
            "{reason}: {found}"
        );
    }
    let refused = r#"{"content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"no"}}"#;
    assert!(answer(refused).unwrap().contains(r#""refusal":"no""#));
    for broken in ["null", "\"compaction\""] {
        let body = format!(r#"{{"content":[],"stop_reason":{broken}}}"#);
        assert_eq!(answer(&body).unwrap_err().status(), 502);
    }
}

#[test]
fn citations_of_pages_become_annotations() {
    let body = r#"{"content":[{"type":"text","text":"See "},{"type":"text","text":"this","citations":[{"type":"web_search_result_location","url":"https://a","title":"A","cited_text":"c","encrypted_index":"i"}]}],"stop_reason":"end_turn"}"#;
    let found = answer(body).unwrap();
    assert!(
        found.contains(r#""start_index":4"#) && found.contains(r#""end_index":8"#),
        "{found}"
    );
}

#[test]
fn case_59_an_error_keeps_its_sentence() {
    let body = br#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"},"request_id":"req_u"}"#;
    let told = convert_error(Chat, 429, body, "req_1", "claude");
    assert_eq!(told.status, 429);
    assert_eq!(
        String::from_utf8(told.body).unwrap(),
        r#"{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#
    );
}

// ---- requests ----

#[test]
fn case_32_results_come_first_and_in_call_order() {
    let found = talk(
        &opus(),
        r#"{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}},{"id":"b","type":"function","function":{"name":"f","arguments":""}}]},{"role":"user","content":"and?"},{"role":"tool","tool_call_id":"b","content":"B"},{"role":"tool","tool_call_id":"a","content":""}"#,
    );
    assert_eq!(
        found.unwrap(),
        concat!(
            r#""messages":[{"role":"user","content":[{"type":"text","text":"q"}]},"#,
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"x": 1}},{"type":"tool_use","id":"b","name":"f","input":{}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"},{"type":"tool_result","tool_use_id":"b","content":"B"},{"type":"text","text":"and?"}]}]"#
        )
    );
}

#[test]
fn case_33_a_call_without_result() {
    let broken = r#"{"role":"user","content":"q"},{"role":"assistant","tool_calls":[{"id":"call_x","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    let error = talk(&opus(), broken).unwrap_err();
    assert!(error.message.contains("call_x"));
    let mut caps = opus();
    caps.repair_history = true;
    assert!(talk(&caps, broken).unwrap().contains(r#""is_error":true"#));
}

#[test]
fn case_38_no_tools_no_choice() {
    let (rest, _) = with(
        &opus(),
        r#""tools":[],"tool_choice":"auto","parallel_tool_calls":true"#,
    )
    .unwrap();
    assert_eq!(rest, "}");
}

#[test]
fn case_40_schemas_are_made_to_fit_or_told() {
    let schema =
        r#"{"type":"object","properties":{"a":{"type":"string","maxLength":5}},"required":["a"]}"#;
    let format = |schema: &str, strict: bool| {
        with(
            &opus(),
            &format!(
                r#""response_format":{{"type":"json_schema","json_schema":{{"name":"o","strict":{strict},"schema":{schema}}}}}"#
            ),
        )
    };
    let (rest, warnings) = format(schema, true).unwrap();
    assert!(
        rest.starts_with(r#","output_config":{"format":{"type":"json_schema","schema":{"#),
        "{rest}"
    );
    assert!(rest.contains(r#""additionalProperties":false"#) && !rest.contains(r#""maxLength""#));
    assert_eq!(warnings, "");
    let recursive = r##"{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"],"additionalProperties":false}"##;
    assert_eq!(
        format(recursive, true).unwrap_err().param.as_deref(),
        Some("response_format")
    );
    let (body, warnings) = with(&opus(), r#""response_format":{"type":"json_object"}"#).unwrap();
    assert!(body.contains(
        r#""system":[{"type":"text","text":"Answer with one JSON object and nothing else."}]"#
    ));
    assert_eq!(warnings, "response_format:by_instruction");
}

#[test]
fn case_41_only_the_leading_system_texts_go_to_the_top() {
    let history = r#"{"role":"system","content":"S"},{"role":"developer","content":[{"type":"text","text":"D"}]},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"system","content":"late"}"#;
    let found = talk(&opus(), history).unwrap();
    assert!(
        found.starts_with(r#""system":[{"type":"text","text":"S"},{"type":"text","text":"D"}],"#)
    );
    assert!(found.ends_with(r#"{"type":"text","text":"c"},{"type":"text","text":"<system-reminder>\nlate\n</system-reminder>"}]}]"#), "{found}");
    let mut native = opus();
    native.mid_system = true;
    let found = talk(&native, history).unwrap();
    assert!(
        found.ends_with(r#"{"role":"system","content":[{"type":"text","text":"late"}]}]"#),
        "{found}"
    );
    let longer = format!(
        r#"{history},{{"role":"assistant","content":"e"}},{{"role":"user","content":"f"}}"#
    );
    for caps in [opus(), native] {
        let before = talk(&caps, history).unwrap();
        let after = talk(&caps, &longer).unwrap();
        assert!(after.starts_with(before.strip_suffix(']').unwrap()));
    }
}

#[test]
fn case_43_pictures() {
    let picture = |url: &str| {
        talk(
            &opus(),
            &format!(
                r#"{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{url}","detail":"low"}}}}]}}"#
            ),
        )
    };
    assert!(picture("data:image/png;base64,iVBOR").unwrap().contains(
        r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBOR"}}"#
    ));
    assert!(
        picture("https://x/y")
            .unwrap()
            .contains(r#"{"type":"image","source":{"type":"url","url":"https://x/y"}}"#)
    );
    for bad in [
        "data:image/svg+xml;base64,PHN2",
        "data:image/bmp;base64,Qk0",
    ] {
        assert_eq!(picture(bad).unwrap_err().kind, Kind::Unsupported);
    }
}

#[test]
fn case_44_files() {
    let file = |data: &str| {
        talk(
            &opus(),
            &format!(
                r#"{{"role":"user","content":[{{"type":"file","file":{{"filename":"a","file_data":"{data}"}}}}]}}"#
            ),
        )
    };
    assert!(file("data:application/pdf;base64,JVBE").unwrap().contains(
        r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a"}"#
    ));
    assert!(
        file("data:text/plain;base64,aGk=")
            .unwrap()
            .contains(r#"{"type":"text","media_type":"text/plain","data":"hi"},"title":"a""#)
    );
    assert!(file("data:application/zip;base64,UEsD").is_err());
}

#[test]
fn case_45_limits() {
    let limit = |members: &str| {
        let body =
            format!(r#"{{"model":"m",{members}"messages":[{{"role":"user","content":"Hi"}}]}}"#);
        let done = convert_request(Chat, Messages, &opus(), "up", body.as_bytes()).unwrap();
        let sent = String::from_utf8(done.body).unwrap();
        let number = sent.split(r#""max_tokens":"#).nth(1).unwrap().to_owned();
        let number = number.split(',').next().unwrap().to_owned();
        (
            number,
            done.stream,
            done.warnings.header().unwrap_or_default(),
        )
    };
    assert_eq!(limit(""), ("128000".to_owned(), true, String::new()));
    assert_eq!(
        limit(r#""max_tokens":1000000000,"#),
        ("128000".to_owned(), true, "max_tokens:clamped".to_owned())
    );
    let both = limit(r#""max_tokens":5,"max_completion_tokens":7,"#);
    assert_eq!((both.0.as_str(), both.1), ("7", false));
}

#[test]
fn case_46_sampling() {
    let four = Caps::of("anthropic", "claude-3-5-haiku-20241022");
    let (rest, warnings) = with(&four, r#""temperature":1.7"#).unwrap();
    assert_eq!(
        (rest.as_str(), warnings.as_str()),
        (r#","temperature":1}"#, "temperature:clamped")
    );
    let (rest, warnings) = with(
        &Caps::of("anthropic", "claude-opus-4-7"),
        r#""temperature":0.3,"top_p":0.5"#,
    )
    .unwrap();
    assert_eq!(
        (rest.as_str(), warnings.as_str()),
        ("}", "temperature:unsupported,top_p:unsupported")
    );
    let (rest, warnings) = with(
        &Caps::of("anthropic", "claude-sonnet-4-5"),
        r#""temperature":0.3,"top_p":0.5"#,
    )
    .unwrap();
    assert_eq!(
        (rest.as_str(), warnings.as_str()),
        (r#","temperature":0.3}"#, "top_p:unsupported")
    );
}

#[test]
fn case_47_stops() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}],"stop":["a","b","c","d","\n"]}"#;
    let done = convert_request(Chat, Messages, &opus(), "up", body.as_bytes()).unwrap();
    let sent = String::from_utf8(done.body).unwrap();
    assert!(sent.ends_with(r#""stop_sequences":["a","b","c","d"]}"#));
    assert_eq!(done.context.stops, ["\n"]);
}

#[test]
fn case_48_effort() {
    let (rest, _) = with(&opus(), r#""reasoning_effort":"low""#).unwrap();
    assert_eq!(
        rest,
        r#","thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}}"#
    );
    let budget = Caps::of("anthropic", "claude-sonnet-4-5");
    let (rest, _) = with(&budget, r#""reasoning_effort":"max""#).unwrap();
    assert_eq!(
        rest,
        r#","thinking":{"type":"enabled","budget_tokens":3976}}"#
    );
    let mut stubborn = opus();
    stubborn.reasoning_off = crate::protocol::caps::ReasoningOff::Unsupported;
    let (rest, warnings) = with(&stubborn, r#""reasoning_effort":"none""#).unwrap();
    assert!(rest.contains(r#""effort":"low""#));
    assert_eq!(warnings, "reasoning_effort:lowest_instead");
}

#[test]
fn case_49_a_forced_tool_and_thinking() {
    let forced = r#""reasoning_effort":"high","tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required""#;
    let budget = Caps::of("anthropic", "claude-sonnet-4-5");
    let (rest, warnings) = with(&budget, forced).unwrap();
    assert!(
        rest.contains(r#""tool_choice":{"type":"any"}"#) && !rest.contains("thinking"),
        "{rest}"
    );
    assert_eq!(warnings, "reasoning_effort:turned_off");
    let newest = Caps::of("anthropic", "claude-sonnet-5-5");
    assert_eq!(
        with(&newest, forced).unwrap_err().param.as_deref(),
        Some("tool_choice")
    );
}

#[test]
fn case_50_thoughts_come_back_to_claude_only_with_their_proof() {
    let history = |details: &str| {
        talk(
            &opus(),
            &format!(r#"{{"role":"user","content":"q"}},{{"role":"assistant","content":"a","reasoning_content":"t"{details}}},{{"role":"user","content":"r"}}"#),
        )
        .unwrap()
    };
    assert!(!history("").contains("thinking"));
    let signed = history(
        r#","reasoning_details":[{"type":"reasoning.text","format":"anthropic-claude-v1","signature":"EqQB","index":0}]"#,
    );
    assert!(signed.contains(r#"{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"EqQB"},{"type":"text","text":"a"}]}"#), "{signed}");
    let foreign = history(
        r#","reasoning_details":[{"type":"reasoning.encrypted","format":"gw1.r","id":"rs_1","data":"gAAA","index":0}]"#,
    );
    assert!(!foreign.contains("thinking") && !foreign.contains("gAAA"));
}

#[test]
fn case_50_the_whole_way_there_and_back() {
    let body = r#"{"content":[{"type":"thinking","thinking":"t","signature":"EqQB"},{"type":"redacted_thinking","data":"EmwK"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}],"stop_reason":"tool_use"}"#;
    let told = answer(body).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let message = told["choices"][0]["message"].to_string();
    let history = format!(
        r#"{{"role":"user","content":"q"}},{message},{{"role":"tool","tool_call_id":"toolu_1","content":"r"}}"#
    );
    let found = talk(&opus(), &history).unwrap();
    assert!(found.contains(r#"{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"EqQB"},{"type":"redacted_thinking","data":"EmwK"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}]}"#), "{found}");
}

#[test]
fn case_52_ids_that_claude_would_refuse() {
    let id = "functions.read:0";
    let history = format!(
        r#"{{"role":"user","content":"q"}},{{"role":"assistant","tool_calls":[{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"{id}","content":"r"}}"#
    );
    let found = talk(&opus(), &history).unwrap();
    let sent = found.split(r#""tool_use_id":""#).nth(1).unwrap();
    let sent = &sent[..sent.find('"').unwrap()];
    assert_eq!(found.matches(sent).count(), 2);
    assert!(
        sent.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    );
}

#[test]
fn case_54_nothing_blank_reaches_claude() {
    let found = talk(
        &opus(),
        r#"{"role":"system","content":" "},{"role":"user","content":[{"type":"text","text":"\n"},{"type":"text","text":"q"}]},{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":""}"#,
    );
    assert_eq!(
        found.unwrap(),
        r#""messages":[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]"#
    );
}

#[test]
fn case_55_what_claude_cannot_do_is_refused_by_name() {
    for (members, field) in [
        (r#""n":2"#, "n"),
        (r#""logit_bias":{"5":1}"#, "logit_bias"),
        (r#""logprobs":true"#, "logprobs"),
        (
            r#""modalities":["text","audio"],"audio":{"format":"wav","voice":"x"}"#,
            "modalities",
        ),
        (
            r#""moderation":{"model":"m","policy":{"input":{"mode":"block"}}}"#,
            "moderation",
        ),
        (r#""web_search_options":{}"#, "web_search_options"),
    ] {
        let (kind, found) = refused(members);
        assert_eq!(kind, Kind::Unsupported, "{members}");
        assert!(found.starts_with(field), "{found}");
    }
    let nudges = r#""seed":1,"verbosity":"low","prediction":{"type":"content","content":"x"},"metadata":{"a":"b"},"n":1,"logit_bias":{},"presence_penalty":0,"store":true,"prompt_cache_key":"k""#;
    let (rest, warnings) = with(&opus(), nudges).unwrap();
    assert_eq!((rest.as_str(), warnings.as_str()), ("}", ""));
    let (_, warnings) = with(&opus(), r#""frequency_penalty":0.5"#).unwrap();
    assert_eq!(warnings, "frequency_penalty:unsupported");
}

#[test]
fn who_asks_is_told_to_claude_and_the_tier_never_gets_dearer() {
    let (rest, _) = with(
        &opus(),
        r#""user":"u","safety_identifier":"s","service_tier":"default""#,
    )
    .unwrap();
    assert_eq!(
        rest,
        r#","metadata":{"user_id":"s"},"service_tier":"standard_only"}"#
    );
    let (rest, warnings) = with(&opus(), r#""service_tier":"priority""#).unwrap();
    assert_eq!(
        (rest.as_str(), warnings.as_str()),
        ("}", "service_tier:unsupported")
    );
}

#[test]
fn a_begun_answer_is_gone_on_with() {
    let older = Caps {
        auto_cache: false,
        ..Caps::of("anthropic", "claude-sonnet-4-5")
    };
    let (body, warnings) = convert(
        &older,
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"So: "}]}"#,
    )
    .unwrap();
    assert!(body.ends_with(r#"{"role":"assistant","content":[{"type":"text","text":"So:"}]}]}"#));
    assert_eq!(warnings, "messages:taken_as_prefill");
}
