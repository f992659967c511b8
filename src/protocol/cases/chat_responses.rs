//! A Chat client on a Responses upstream.

use crate::protocol::Protocol::{Chat, Responses};
use crate::protocol::responses::testing::*;
use crate::protocol::testing::convert_response;
use crate::protocol::testing::{chat_lines, cx, made};
use crate::protocol::{Caps, Warnings};
use serde_json::{Value, json};

fn to_responses(caps: &Caps, json: &str) -> (Value, String) {
    let (body, warnings) = body(Chat, Responses, caps, json);
    (serde_json::from_str(&body).unwrap(), warnings)
}

fn with(member: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{member}}}"#)
}

#[test]
fn the_documented_example_is_written_to_the_letter() {
    let (body, warnings) = body(
        Chat,
        Responses,
        &Caps::default(),
        r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"1","tool_call_id":"call_1"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"max_tokens":100,"response_format":{"type":"json_schema","json_schema":{"name":"o","strict":true,"schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}}"#,
    );
    assert_eq!(
        body,
        r#"{"model":"up","store":false,"input":[{"type":"message","role":"system","content":[{"type":"input_text","text":"S"}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"Hi"},{"type":"input_image","image_url":"https://x/y.png","detail":"low"}]},{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"1"}],"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":false}],"max_output_tokens":100,"text":{"format":{"type":"json_schema","name":"o","strict":true,"schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}}"#
    );
    assert_eq!(warnings, "");
}

#[test]
fn case_39_strict_is_always_said() {
    let (body, _) = to_responses(
        &Caps::default(),
        &with(
            r#""tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b","strict":true,"parameters":{"type":"object"}}},{"type":"custom","custom":{"name":"c","format":{"type":"grammar","grammar":{"syntax":"regex","definition":"x+"}}}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"a"}},{"type":"custom","custom":{"name":"c"}}]}}"#,
        ),
    );
    assert_eq!(body["tools"][0]["strict"], false);
    assert_eq!(body["tools"][1]["strict"], true);
    assert_eq!(
        body["tools"][2],
        json!({"type":"custom","name":"c","format":{"type":"grammar","syntax":"regex","definition":"x+"}})
    );
    assert_eq!(
        body["tool_choice"],
        json!({"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"a"},{"type":"custom","name":"c"}]})
    );
}

#[test]
fn case_35_and_45_nothing_is_stored_and_small_limits_are_raised() {
    let caps = Caps::of("openai", "gpt-5.5");
    let (body, _) = to_responses(&caps, &with(r#""max_completion_tokens":5"#));
    assert_eq!(body["store"], false);
    assert_eq!(body["max_output_tokens"], 16);
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    let converted = convert(Chat, Responses, &caps, &with(r#""store":true"#)).unwrap();
    assert!(!converted.invented.contains(&"store"));
    let body: Value = serde_json::from_slice(&converted.body).unwrap();
    assert_eq!(body["store"], true);
}

#[test]
fn case_48_efforts_and_what_shows_of_them() {
    let caps = Caps::default();
    let effort = |member: &str| to_responses(&caps, &with(member)).0["reasoning"].clone();
    assert_eq!(
        effort(r#""reasoning_effort":"high""#),
        json!({"effort":"high","summary":"auto"})
    );
    assert_eq!(
        effort(r#""reasoning_effort":"none""#),
        json!({"effort":"none"})
    );
    assert_eq!(effort(r#""n":1"#), Value::Null);
    let (body, warnings) = to_responses(
        &Caps::of("openai", "gpt-4o"),
        &with(r#""reasoning_effort":"high""#),
    );
    assert!(body.get("reasoning").is_none() && body.get("include").is_none());
    assert_eq!(warnings, "reasoning_effort:unsupported");
}

#[test]
fn labels_travel_under_their_responses_names() {
    let (body, warnings) = to_responses(
        &Caps::of("openai", "gpt-4o"),
        &with(
            r#""user":"u","prompt_cache_key":"k","metadata":{"a":"b"},"verbosity":"low","service_tier":"flex","logprobs":true,"top_logprobs":2,"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},"temperature":0.30,"seed":4"#,
        ),
    );
    assert_eq!(warnings, "");
    assert_eq!(body["safety_identifier"], "u");
    assert_eq!(body["text"]["verbosity"], "low");
    assert_eq!(body["service_tier"], "flex");
    assert_eq!(body["include"], json!(["message.output_text.logprobs"]));
    assert_eq!(body["top_logprobs"], 2);
    assert_eq!(body["stream_options"], json!({"include_obfuscation":false}));
    assert!(body.get("seed").is_none());
}

#[test]
fn case_50_a_proof_comes_back_as_the_item_it_was() {
    // That the stream is this one is checked where it is read.
    let out = include_str!("../testing/chat_of_responses.sse");
    assert!(
        out.contains(r#""format":"gw1.r","id":"rs_u1","data":"gAAAAenc""#),
        "{out}"
    );
    let request = r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"Checking both.","reasoning_content":"Need both cities.","reasoning_details":[{"type":"reasoning.encrypted","format":"gw1.r","id":"rs_u1","data":"gAAAAenc","index":0}]},{"role":"user","content":"y"}]}"#;
    let (body, _) = to_responses(&Caps::default(), request);
    let item = &body["input"][1];
    assert_eq!(item["type"], "reasoning");
    assert_eq!(item["id"], "rs_u1");
    assert_eq!(item["encrypted_content"], "gAAAAenc");
    assert_eq!(body["input"][2]["content"][0]["type"], "output_text");
    // Without the proof there is no item.
    let bare = request.replace("reasoning_details", "other_details");
    let (body, _) = to_responses(&Caps::default(), &bare);
    assert_eq!(body["input"][1]["role"], "assistant");
}

#[test]
fn case_41_late_system_texts_and_free_form_calls_keep_their_place() {
    let caps = Caps::of("openai", "gpt-5.5");
    let (body, _) = to_responses(
        &caps,
        r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"a"},{"role":"assistant","content":"b","tool_calls":[{"id":"c1","type":"custom","custom":{"name":"p","input":"free"}}]},{"role":"tool","tool_call_id":"c1","content":"1"},{"role":"system","content":"D"},{"role":"user","content":"c"}]}"#,
    );
    let kinds: Vec<String> = body["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let role = item["role"].as_str().unwrap_or_default();
            format!("{} {role}", item["type"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "message developer",
            "message user",
            "message assistant",
            "custom_tool_call ",
            "custom_tool_call_output ",
            "message developer",
            "message user",
        ]
    );
    assert_eq!(body["input"][3]["input"], "free");
}

#[test]
fn case_47_stops_are_looked_for_here() {
    let converted = convert(
        Chat,
        Responses,
        &Caps::default(),
        &with(r#""stop":["END"]"#),
    )
    .unwrap();
    assert!(!String::from_utf8(converted.body).unwrap().contains("END"));
    let frame = |delta: &str| {
        format!(
            "data: {{\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"{delta}\"}}\n\n"
        )
    };
    let stream = [frame("one E"), frame("N"), frame("D two")].concat();
    let (out, error) = check_stream(&converted.context, &stream);
    assert!(error.is_none());
    let lines = chat_lines(&out);
    let text: String = lines
        .iter()
        .filter_map(|line| {
            serde_json::from_str::<Value>(line).ok()?["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(text, "one ");
    assert!(lines.contains(&"finish stop".to_owned()), "{lines:?}");
}

#[test]
fn a_tools_picture_is_a_list_and_its_failure_a_line() {
    let (body, _) = to_responses(
        &Caps::default(),
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}}]}]}"#,
    );
    assert_eq!(
        body["input"][2]["output"],
        json!([{"type":"input_text","text":"see"},{"type":"input_image","image_url":"data:image/png;base64,iVBOR","detail":"auto"}])
    );
}

fn answered(upstream: &str) -> Result<(Value, String), crate::error::Error> {
    let mut warnings = Warnings::default();
    let cx = cx(Chat, Responses);
    let out = convert_response(
        Responses,
        Chat,
        &cx,
        &made(),
        upstream.as_bytes(),
        &mut warnings,
    )?;
    Ok((
        serde_json::from_slice(&out).unwrap(),
        warnings.header().unwrap_or_default(),
    ))
}

#[test]
fn a_whole_answer_is_one_message() {
    let (body, warnings) = answered(
        r#"{"id":"resp_1","object":"response","created_at":1790000000.5,"status":"completed","model":"up","error":null,"output":[
            {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"A"},{"type":"summary_text","text":"B"}],"encrypted_content":"E"},
            {"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}},
            {"type":"message","id":"m1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[{"type":"url_citation","url":"https://a","title":"T","start_index":0,"end_index":2}]}]},
            {"type":"image_generation_call","id":"ig_1","result":"x"},
            {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{}","status":"completed"}],
            "usage":{"input_tokens":9,"output_tokens":4,"total_tokens":13,"input_tokens_details":{"cached_tokens":2},"output_tokens_details":{"reasoning_tokens":1}}}"#,
    )
    .unwrap();
    let message = &body["choices"][0]["message"];
    assert_eq!(message["content"], "Hi");
    assert_eq!(message["reasoning_content"], "A\n\nB");
    assert_eq!(
        message["annotations"][0]["url_citation"]["url"],
        "https://a"
    );
    assert_eq!(message["tool_calls"][0]["id"], "c1");
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(body["created"], 1_790_000_000);
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
    assert!(
        warnings.contains("image_generation_call:dropped"),
        "{warnings}"
    );
}

#[test]
fn case_58_statuses_are_finishes_or_errors() {
    let with = |rest: &str| {
        answered(&format!(
            r#"{{"id":"r","output":[{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"Hi"}}]}}],{rest}}}"#
        ))
    };
    let finish = |rest: &str| with(rest).unwrap().0["choices"][0]["finish_reason"].clone();
    assert_eq!(finish(r#""status":"completed""#), "stop");
    assert_eq!(
        finish(r#""status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}"#),
        "length"
    );
    assert_eq!(
        finish(r#""status":"incomplete","incomplete_details":{"reason":"content_filter"}"#),
        "content_filter"
    );
    for failed in [
        r#""status":"failed","error":{"code":"server_error","message":"boom"}"#,
        r#""status":"cancelled""#,
        r#""status":"queued""#,
        r#""status":"in_progress""#,
    ] {
        assert!(with(failed).is_err(), "{failed}");
    }
}

#[test]
fn a_refusal_is_chats_own_field() {
    let (body, _) = answered(
        r#"{"id":"r","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"No."}]}]}"#,
    )
    .unwrap();
    assert_eq!(body["choices"][0]["message"]["refusal"], "No.");
    assert_eq!(body["choices"][0]["message"]["content"], Value::Null);
}
