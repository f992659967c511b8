//! Requests in and out of Chat, through `adapt`: Chat clients to Chat upstreams of various kinds.

use crate::error::{Error, Kind};
use crate::protocol::testing::convert_request;
use crate::protocol::{Caps, Protocol};
use crate::wire::json::Raw;

fn convert(caps: &Caps, body: &str) -> Result<(String, String), Error> {
    let done = convert_request(Protocol::Chat, Protocol::Chat, caps, "up", body.as_bytes())?;
    let warnings = done.warnings.header().unwrap_or_default();
    Ok((String::from_utf8(done.body).unwrap(), warnings))
}

/// The members the upstream gets beside its model, for a client that also says `Hi`.
fn fields(caps: &Caps, members: &str) -> Result<(String, String), Error> {
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],{members}}}"#);
    let (body, warnings) = convert(caps, &body)?;
    let rest = body.strip_prefix(r#"{"model":"up","#).unwrap();
    let rest = rest.strip_suffix('}').unwrap();
    Ok((
        rest.replace(r#""messages":[{"role":"user","content":"Hi"}]"#, "…")
            .replace(",…", "")
            .replace("…,", ""),
        warnings,
    ))
}

fn messages(caps: &Caps, messages: &str) -> Result<String, Error> {
    let (body, _) = convert(caps, &format!(r#"{{"model":"m","messages":[{messages}]}}"#))?;
    let list = body.strip_prefix(r#"{"model":"up","messages":["#).unwrap();
    Ok(list.strip_suffix("]}").unwrap().to_owned())
}

fn refused(members: &str) -> String {
    let error = fields(&Caps::default(), members).unwrap_err();
    assert!(matches!(error.kind, Kind::Unsupported | Kind::BadRequest));
    error.param.unwrap()
}

const CALL: &str = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]}"#;
const ASK: &str = r#"{"role":"user","content":"Hi"}"#;

fn result(id: &str) -> String {
    format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"of {id}"}}"#)
}

#[test]
fn a_plain_request_stays_as_it_is() {
    let body = r#"{"model":"up","max_tokens":5,"stream":true,"stream_options":{"include_usage":true},"temperature":1e0,"top_p":0.10,"stop":["x\ny"],"messages":[{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}}]}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"b":1,"a":12345678901234567890123}}}],"tool_choice":"auto"}"#;
    assert_eq!(
        convert(&Caps::default(), body).unwrap(),
        (body.to_owned(), String::new())
    );
}

#[test]
fn case_32_results_go_directly_behind_their_calls_in_call_order() {
    let (a, b) = (result("a"), result("b"));
    let mixed = [ASK, CALL, r#"{"role":"user","content":"and?"}"#, &b, &a].join(",");
    let sorted = [ASK, CALL, &a, &b, r#"{"role":"user","content":"and?"}"#].join(",");
    assert_eq!(messages(&Caps::default(), &mixed).unwrap(), sorted);
}

#[test]
fn case_33_a_call_without_result_is_refused_or_repaired() {
    let broken = [ASK, CALL, &result("a")].join(",");
    let error = messages(&Caps::default(), &broken).unwrap_err();
    assert_eq!(error.message, "messages: tool call b has no result");
    assert_eq!(error.param.as_deref(), Some("messages"));
    let repairing = Caps {
        repair_history: true,
        ..Caps::default()
    };
    let (body, warnings) = convert(
        &repairing,
        &format!(r#"{{"model":"m","messages":[{broken}]}}"#),
    )
    .unwrap();
    assert!(body.contains(r#"{"role":"tool","tool_call_id":"b","content":"[tool error]\nNo result was recorded for this call."}"#));
    assert_eq!(warnings, "messages:repaired");
    let orphan = [ASK, &result("z")].join(",");
    assert_eq!(
        messages(&Caps::default(), &orphan).unwrap_err().message,
        "messages: the result of z has no call"
    );
    let twice = [ASK, CALL, &result("a"), &result("b"), &result("a")].join(",");
    assert_eq!(
        messages(&Caps::default(), &twice).unwrap_err().message,
        "messages: tool call a has two results"
    );
}

#[test]
fn ids_that_come_again_in_later_turns_keep_their_own_results() {
    let turn = |result: &str| {
        format!(
            r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"f:0","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"f:0","content":"{result}"}}"#
        )
    };
    let history = [ASK, &turn("one"), ASK, &turn("two")].join(",");
    assert_eq!(messages(&Caps::default(), &history).unwrap(), history);
}

#[test]
fn case_38_a_choice_without_tools_vanishes() {
    let (left, warnings) = fields(
        &Caps::default(),
        r#""tools":[],"tool_choice":"auto","parallel_tool_calls":false"#,
    )
    .unwrap();
    assert_eq!((left.as_str(), warnings.as_str()), ("…", ""));
}

#[test]
fn case_45_limits_are_chosen_clamped_and_named() {
    let limit = |caps: &Caps, members: &str| fields(caps, members).unwrap();
    let caps = Caps {
        max_output_tokens: Some(1000),
        ..Caps::default()
    };
    assert_eq!(
        limit(&caps, r#""max_tokens":7,"max_completion_tokens":9"#).0,
        r#""max_tokens":9"#
    );
    let (left, warnings) = limit(&caps, r#""max_tokens":1000000000"#);
    assert_eq!(
        (left.as_str(), warnings.as_str()),
        (r#""max_tokens":1000"#, "max_tokens:clamped")
    );
    let openai = Caps::of("openai", "gpt-5");
    assert_eq!(
        limit(&openai, r#""max_tokens":7"#).0,
        r#""max_completion_tokens":7"#
    );
    assert_eq!(refused(r#""max_tokens":0"#), "max_tokens");
    assert_eq!(refused(r#""max_tokens":"7""#), "max_tokens");
}

#[test]
fn case_46_sampling_goes_where_it_is_taken() {
    let (left, warnings) = fields(
        &Caps::of("openai", "gpt-5"),
        r#""temperature":0.5,"top_p":1"#,
    )
    .unwrap();
    assert_eq!(
        (left.as_str(), warnings.as_str()),
        ("…", "temperature:unsupported,top_p:unsupported")
    );
    assert_eq!(
        fields(&Caps::default(), r#""temperature":0.50"#).unwrap().0,
        r#""temperature":0.50"#
    );
    assert_eq!(
        fields(&Caps::default(), r#""top_k":5"#).unwrap().1,
        "top_k:unsupported"
    );
    assert_eq!(
        fields(&Caps::of("vllm", "q"), r#""top_k":5"#).unwrap().0,
        r#""top_k":5"#
    );
}

#[test]
fn case_47_stops_beyond_what_the_upstream_takes_are_emulated() {
    let convert = |caps: &Caps, stops: &str| {
        let body = format!(r#"{{"model":"m","messages":[{ASK}],"stop":{stops}}}"#);
        convert_request(Protocol::Chat, Protocol::Chat, caps, "up", body.as_bytes()).unwrap()
    };
    let few = convert(&Caps::default(), r#"["a","","b"]"#);
    assert!(
        String::from_utf8(few.body)
            .unwrap()
            .contains(r#""stop":["a","b"]"#)
    );
    assert!(few.context.stops.is_empty());
    let many = convert(&Caps::default(), r#"["a","b","c","d","e"]"#);
    assert!(!String::from_utf8(many.body).unwrap().contains("stop"));
    assert_eq!(many.context.stops, ["a", "b", "c", "d", "e"]);
    let none = convert(&Caps::of("openai", "gpt-5"), r#""a""#);
    assert_eq!(none.context.stops, ["a"]);
}

#[test]
fn case_48_effort_is_said_in_the_dialect_of_the_upstream() {
    let says = |kind: &str, model: &str, effort: &str| {
        fields(
            &Caps::of(kind, model),
            &format!(r#""reasoning_effort":"{effort}""#),
        )
        .unwrap()
    };
    let plain = |kind, model, effort| says(kind, model, effort).0;
    assert_eq!(
        plain("generic", "m", "xhigh"),
        r#""reasoning_effort":"xhigh""#
    );
    assert_eq!(
        plain("openai", "o3", "xhigh"),
        r#""reasoning_effort":"high""#
    );
    assert_eq!(plain("qwen", "qwen3", "high"), r#""enable_thinking":true"#);
    assert_eq!(plain("qwen", "qwen3", "none"), r#""enable_thinking":false"#);
    assert_eq!(
        plain("deepseek", "v4", "low"),
        r#""thinking":{"type":"enabled"}"#
    );
    assert_eq!(
        plain("vllm", "q", "none"),
        r#""chat_template_kwargs":{"enable_thinking":false}"#
    );
    assert_eq!(
        plain("openrouter", "x/y", "medium"),
        r#""reasoning":{"effort":"medium"}"#
    );
    assert_eq!(
        plain("openrouter", "x/y", "none"),
        r#""reasoning":{"enabled":false}"#
    );
    let (left, warnings) = says("openai", "o3", "none");
    assert_eq!(
        (left.as_str(), warnings.as_str()),
        (
            r#""reasoning_effort":"low""#,
            "reasoning_effort:lowest_instead"
        )
    );
    assert_eq!(
        says("openai", "gpt-4o", "high").1,
        "reasoning_effort:unsupported"
    );
    assert_eq!(
        refused(r#""reasoning_effort":"extreme""#),
        "reasoning_effort"
    );
}

#[test]
fn case_49_a_forced_tool_keeps_its_force_or_is_refused() {
    const TOOL: &str =
        r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required""#;
    let (left, warnings) = fields(&Caps::of("qwen", "qwen3"), TOOL).unwrap();
    assert!(
        left.contains(r#""enable_thinking":false"#) && left.contains(r#""tool_choice":"required""#)
    );
    assert_eq!(warnings, "reasoning_effort:turned_off");
    assert_eq!(
        fields(&Caps::of("glm", "glm-5"), TOOL)
            .unwrap_err()
            .param
            .as_deref(),
        Some("tool_choice")
    );
    let never = TOOL.replace("required", "none");
    assert_eq!(fields(&Caps::of("glm", "glm-5"), &never).unwrap().0, "…");
}

#[test]
fn case_52_ids_keep_the_rule_of_the_upstream_and_stay_linked() {
    let history = [
        ASK,
        &CALL.replace("\"a\"", "\"call:1.2\""),
        &result("call:1.2"),
        &result("b"),
    ]
    .join(",");
    let plain = messages(&Caps::default(), &history).unwrap();
    assert_eq!(plain.matches("call:1.2").count(), 3); // the id twice, and the result's text
    let mistral = messages(&Caps::of("mistral", "m"), &history).unwrap();
    let id = mistral
        .split(r#""id":""#)
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(id.len(), 9);
    assert!(mistral.contains(&format!(r#""tool_call_id":"{id}""#)));
}

#[test]
fn case_53_long_names_are_cut_everywhere_alike_and_collisions_refused() {
    let long = "n".repeat(90);
    let body = format!(
        r#"{{"model":"m","messages":[{ASK},{{"role":"assistant","content":null,"tool_calls":[{{"id":"a","type":"function","function":{{"name":"{long}","arguments":"{{}}"}}}}]}},{}],"tools":[{{"type":"function","function":{{"name":"{long}"}}}}],"tool_choice":{{"type":"function","function":{{"name":"{long}"}}}}}}"#,
        result("a")
    );
    let done = convert_request(
        Protocol::Chat,
        Protocol::Chat,
        &Caps::default(),
        "up",
        body.as_bytes(),
    )
    .unwrap();
    let sent = String::from_utf8(done.body).unwrap();
    assert!(!sent.contains(&long));
    let short = sent
        .split(r#""name":""#)
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!((short.len(), sent.matches(&short).count()), (64, 3));
    let entry = done
        .context
        .tools
        .find(&crate::protocol::text::Text::plain(&short))
        .unwrap();
    assert!(entry.name.is(&long));
    let clash = r#""tools":[{"type":"function","function":{"name":"a b"}},{"type":"function","function":{"name":"a_b"}}]"#;
    assert_eq!(refused(clash), "tools");
}

#[test]
fn case_54_empty_contents_vanish_but_calls_stay() {
    let empty = [
        r#"{"role":"system","content":""}"#,
        r#"{"role":"user","content":[]}"#,
        ASK,
        &CALL.replace("null", "\"\""),
        r#"{"role":"tool","tool_call_id":"a","content":""}"#,
        r#"{"role":"tool","tool_call_id":"b"}"#,
        r#"{"role":"user","content":""}"#,
    ]
    .join(",");
    let expected = [
        ASK,
        CALL,
        r#"{"role":"tool","tool_call_id":"a","content":""}"#,
        r#"{"role":"tool","tool_call_id":"b","content":""}"#,
    ]
    .join(",");
    assert_eq!(messages(&Caps::default(), &empty).unwrap(), expected);
    assert_eq!(
        messages(&Caps::default(), r#"{"role":"user","content":""}"#)
            .unwrap_err()
            .param
            .as_deref(),
        Some("messages")
    );
}

#[test]
fn case_55_contracts_are_refused_by_name_and_hints_pass() {
    assert_eq!(refused(r#""n":2"#), "n");
    assert_eq!(refused(r#""logit_bias":{"1":5}"#), "logit_bias");
    assert_eq!(refused(r#""modalities":["text","audio"]"#), "modalities");
    assert_eq!(
        refused(r#""moderation":{"model":"x","policy":{"input":{"mode":"block"}}}"#),
        "moderation"
    );
    assert_eq!(refused(r#""tools":[{"type":"magic"}]"#), "tools[0]");
    let (_, warnings) = fields(
        &Caps::default(),
        r#""n":1,"logit_bias":{},"seed":1,"prediction":{"type":"content","content":"x"},"verbosity":"low","metadata":{"a":"b"},"presence_penalty":0,"store":true,"user":null"#,
    )
    .unwrap();
    assert_eq!(warnings, "");
    assert_eq!(
        fields(&Caps::default(), r#""presence_penalty":1"#)
            .unwrap()
            .1,
        "presence_penalty:unsupported"
    );
}

#[test]
fn case_56_unknown_fields_are_named_and_unknown_parts_refused() {
    assert_eq!(
        fields(&Caps::default(), r#""new_thing":{}"#).unwrap(),
        ("…".to_owned(), "new_thing:unknown".to_owned())
    );
    let part = r#"{"role":"user","content":[{"type":"hologram"}]}"#;
    assert_eq!(
        messages(&Caps::default(), part)
            .unwrap_err()
            .param
            .as_deref(),
        Some("messages[0].content[0]")
    );
    let input = convert(&Caps::default(), r#"{"model":"m","input":"Hi"}"#).unwrap_err();
    assert_eq!(input.param.as_deref(), Some("input"));
}

#[test]
fn legacy_functions_become_tools() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"1"}],"functions":[{"name":"f"}],"function_call":{"name":"f"}}"#;
    assert_eq!(
        convert(&Caps::default(), body).unwrap().0,
        r#"{"model":"up","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_fn_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_fn_1","content":"1"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}}}"#
    );
}

#[test]
fn custom_tools_are_wrapped_where_they_are_unknown() {
    let tool = r#""tools":[{"type":"custom","custom":{"name":"patch","description":"Edit","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: x"}}}}]"#;
    assert_eq!(fields(&Caps::of("openai", "gpt-5"), tool).unwrap().0, tool);
    let wrapped = fields(&Caps::default(), tool).unwrap().0;
    assert_eq!(
        wrapped,
        r#""tools":[{"type":"function","function":{"name":"patch","description":"Edit\n\nPass the raw text in \"input\".\nIt must match this lark grammar:\nstart: x","parameters":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}}}]"#
    );
    let history = r#"{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"custom","custom":{"name":"patch","input":"a\n\"b\""}}]},{"role":"tool","tool_call_id":"a","content":"ok"}"#;
    assert!(
        messages(&Caps::default(), history)
            .unwrap()
            .contains(r#""arguments":"{\"input\":\"a\\n\\\"b\\\"\"}""#)
    );
}

#[test]
fn pictures_of_results_follow_all_results() {
    let history = [
        ASK,
        CALL,
        r#"{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}}]}"#,
        &result("b"),
        r#"{"role":"user","content":"Go on."}"#,
    ]
    .join(",");
    let expected = [
        ASK,
        CALL,
        r#"{"role":"tool","tool_call_id":"a","content":"see\n[image returned, see next message]"}"#,
        &result("b"),
        r#"{"role":"user","content":[{"type":"text","text":"Image from tool call a:"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}},{"type":"text","text":"Go on."}]}"#,
    ]
    .join(",");
    assert_eq!(messages(&Caps::default(), &history).unwrap(), expected);
    let native = Caps {
        tool_image: true,
        ..Caps::default()
    };
    assert_eq!(messages(&native, &history).unwrap(), history);
}

#[test]
fn earlier_thoughts_go_back_in_the_field_the_upstream_wants() {
    let thought = r#"{"role":"assistant","content":"x","reasoning_content":"hm"}"#;
    let history = [ASK, thought, ASK].join(",");
    let sent = |kind: &str| messages(&Caps::of(kind, "m"), &history).unwrap();
    assert_eq!(sent("generic"), history);
    assert!(sent("vllm").contains(r#""reasoning":"hm""#));
    assert!(
        sent("openrouter")
            .contains(r#""reasoning_details":[{"type":"reasoning.text","text":"hm"}]"#)
    );
    assert!(sent("mistral").contains(r#""content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"x"}]"#));
    assert!(!sent("gemini").contains("hm"));
    let lost = [ASK, CALL, &result("a"), &result("b")].join(",");
    assert!(
        messages(&Caps::of("deepseek", "v4"), &lost)
            .unwrap()
            .contains(r#""reasoning_content":"""#)
    );
}

#[test]
fn late_system_texts_stay_in_place_or_become_the_users() {
    let history = [
        r#"{"role":"system","content":"A"}"#,
        ASK,
        r#"{"role":"assistant","content":"x"}"#,
        r#"{"role":"system","content":"B"}"#,
        ASK,
    ]
    .join(",");
    assert_eq!(messages(&Caps::default(), &history).unwrap(), history);
    let strict = Caps {
        mid_system: false,
        ..Caps::default()
    };
    assert!(messages(&strict, &history).unwrap().ends_with(
        r#"{"role":"user","content":[{"type":"text","text":"<system-reminder>\nB\n</system-reminder>"},{"type":"text","text":"Hi"}]}"#
    ));
    // Seen with Claude Code, whose second message is a system's, and with Codex after a compaction: templates of Qwen refuse it.
    for kind in ["generic", "vllm", "sglang", "qwen", "llamacpp"] {
        let found = messages(&Caps::of(kind, "any"), &history).unwrap();
        assert_eq!(found.matches(r#""role":"system""#).count(), 1, "{kind}");
    }
    let openai = messages(&Caps::of("openai", "gpt-5"), &history).unwrap();
    assert_eq!(openai.matches(r#""role":"developer""#).count(), 2);
}

#[test]
fn a_schema_the_upstream_cannot_promise_is_refused_or_said_in_words() {
    let schema = |strict: &str| {
        format!(
            r#""response_format":{{"type":"json_schema","json_schema":{{"name":"o","schema":{{"type":"object"}}{strict}}}}}"#
        )
    };
    assert_eq!(
        fields(&Caps::default(), &schema(r#","strict":true"#))
            .unwrap()
            .0,
        schema(r#","strict":true"#)
    );
    let deepseek = Caps::of("deepseek", "v4");
    assert_eq!(
        fields(&deepseek, &schema(r#","strict":true"#))
            .unwrap_err()
            .param
            .as_deref(),
        Some("response_format")
    );
    let (left, warnings) = fields(&deepseek, &schema("")).unwrap();
    assert!(
        left.contains(r#""response_format":{"type":"json_object"}"#),
        "{left}"
    );
    assert!(left.contains(r#"{"role":"system","content":"Answer only with JSON matching this schema: {\"type\":\"object\"}"}"#));
    assert_eq!(warnings, "response_format:by_instruction");
}

#[test]
fn converting_what_was_converted_changes_nothing() {
    let caps = Caps::default();
    let bodies = [
        format!(
            r#"{{"model":"up","messages":[{ASK},{CALL},{},{},{ASK}]}}"#,
            result("a"),
            result("b")
        ),
        format!(
            r#"{{"model":"up","reasoning_effort":"low","messages":[{ASK}],"response_format":{{"type":"json_object"}}}}"#
        ),
    ];
    for body in bodies {
        let once = convert(&caps, &body).unwrap().0;
        assert_eq!(convert(&caps, &once).unwrap().0, once);
        assert_eq!(once, body);
    }
}

#[test]
fn case_41_one_more_turn_leaves_the_earlier_bytes_alone() {
    let mut dice = crate::wire::Dice::new(41);
    for _ in 0..100 {
        let mut history = vec![ASK.to_owned()];
        for at in 0..dice.below(8) {
            history.push(match dice.below(4) {
                0 => format!(r#"{{"role":"system","content":"S{at}"}}"#),
                1 => format!(r#"{{"role":"user","content":"U{at}"}}"#),
                2 => format!(r#"{{"role":"assistant","content":"A{at}","reasoning_content":"R"}}"#),
                _ => format!("{CALL},{},{}", result("b"), result("a")),
            });
        }
        let caps = Caps {
            mid_system: dice.below(2) == 0,
            ..Caps::default()
        };
        // The next turn is another speaker's, so nothing of the prefix is joined with it.
        history.push(r#"{"role":"assistant","content":"A"}"#.to_owned());
        let before = messages(&caps, &history.join(",")).unwrap();
        history.push(r#"{"role":"user","content":"more"}"#.to_owned());
        let after = messages(&caps, &history.join(",")).unwrap();
        assert!(after.starts_with(&before), "{before}\n{after}");
    }
}

#[test]
fn every_flag_of_a_request_survives_wrong_types_with_a_sentence() {
    for (members, field) in [
        (r#""stream":"yes""#, "stream"),
        (r#""tools":{}"#, "tools"),
        (r#""stop":7"#, "stop"),
        (r#""tool_choice":"sometimes""#, "tool_choice"),
        (r#""response_format":{"type":"xml"}"#, "response_format"),
        (r#""temperature":"hot""#, "temperature"),
    ] {
        assert_eq!(refused(members), field);
    }
    assert!(convert(&Caps::default(), "[]").is_err());
    assert!(convert(&Caps::default(), r#"{"messages":[]}"#).is_err());
    let raw = Raw::parse("7").unwrap();
    assert!(crate::protocol::take::as_text(raw, "x").is_err());
}
