//! A Responses client on a Chat upstream: Codex on any model.

use crate::error::{Error, Kind};
use crate::protocol::Protocol::{Chat, Responses};
use crate::protocol::responses::testing::*;
use crate::protocol::testing::convert_response;
use crate::protocol::testing::{chat_stream, cx, delta, finish, made};
use crate::protocol::text::Text;
use crate::protocol::{Caps, Warnings, answer};
use serde_json::{Value, json};

fn to_chat(json: &str) -> (String, String) {
    body(Responses, Chat, &Caps::default(), json)
}

fn refused(json: &str) -> Error {
    convert(Responses, Chat, &Caps::default(), json).unwrap_err()
}

/// A request with that one member besides model and input.
fn with(member: &str) -> String {
    format!(r#"{{"model":"m","input":"x",{member}}}"#)
}

/// The messages it becomes, as JSON.
fn messages(items: &str) -> Value {
    let (body, _) = to_chat(&format!(r#"{{"model":"m","input":[{items}]}}"#));
    serde_json::from_str::<Value>(&body).unwrap()["messages"].clone()
}

#[test]
fn a_string_is_a_user_message_and_instructions_come_first() {
    let (body, warnings) =
        to_chat(r#"{"model":"m","input":"Hi","instructions":"Be brief.","max_output_tokens":5}"#);
    assert_eq!(
        body,
        r#"{"model":"up","max_tokens":5,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}"#
    );
    assert_eq!(warnings, "");
}

#[test]
fn a_turn_of_codex_is_folded_into_messages() {
    let messages = messages(
        r#"{"type":"message","role":"developer","content":[{"type":"input_text","text":"Sandbox"}],"id":"msg_1"},
        {"type":"message","role":"user","content":[{"type":"input_text","text":"env"}]},
        {"type":"message","role":"user","content":[{"type":"input_text","text":"Fix it"},{"type":"input_image","image_url":"data:image/png;base64,iVBOR","detail":"high"}]},
        {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm"}],"content":null,"encrypted_content":"gAAAA"},
        {"type":"message","role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"Looking.","annotations":[],"logprobs":[]}]},
        {"type":"function_call","id":"fc_1","call_id":"call_1","name":"exec_command","arguments":"{\"cmd\":\"ls\"}","status":"completed"},
        {"type":"custom_tool_call","id":"ctc_1","call_id":"call_2","name":"apply_patch","input":"*** Begin\n"},
        {"type":"custom_tool_call_output","call_id":"call_2","output":[{"type":"input_text","text":"ok"}]},
        {"type":"function_call_output","id":"fco_1","call_id":"call_1","output":"a.rs"}"#,
    );
    assert_eq!(
        messages,
        json!([
            {"role":"system","content":"Sandbox"},
            {"role":"user","content":[
                {"type":"text","text":"env"},
                {"type":"text","text":"Fix it"},
                {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR","detail":"high"}}]},
            {"role":"assistant","content":"Looking.","reasoning_content":"Hm","tool_calls":[
                {"id":"call_1","type":"function","function":{"name":"exec_command","arguments":"{\"cmd\":\"ls\"}"}},
                {"id":"call_2","type":"function","function":{"name":"apply_patch","arguments":"{\"input\":\"*** Begin\\n\"}"}}]},
            {"role":"tool","tool_call_id":"call_1","content":"a.rs"},
            {"role":"tool","tool_call_id":"call_2","content":"ok"},
        ])
    );
}

/// Seen with Codex, whose agents' tools are deferred: the model was told names that it could not call.
#[test]
fn found_tools_are_told_by_the_names_that_can_be_called() {
    let messages = messages(
        r#"{"role":"user","content":"x"},
        {"type":"tool_search_call","call_id":"c","execution":"client","arguments":{"query":"q"},"status":"completed"},
        {"type":"tool_search_output","call_id":"c","execution":"client","status":"completed","tools":[{"type":"namespace","name":"agents","tools":[
            {"type":"function","name":"spawn","parameters":{"type":"object"}},{"type":"function","name":"wait","parameters":{"type":"object"}}]}]}"#,
    );
    assert_eq!(
        messages[2]["content"],
        "[tools loaded: agents__spawn, agents__wait]"
    );
}

#[test]
fn typed_calls_and_their_outputs_become_functions() {
    let messages = messages(
        r#"{"role":"user","content":"x"},
        {"type":"local_shell_call","id":"lsh_1","call_id":"c1","status":"completed","action":{"type":"exec","command":["ls"],"env":{},"working_directory":"/w"}},
        {"type":"shell_call","call_id":"c2","action":{"commands":["a","b"],"timeout_ms":9},"status":"completed"},
        {"type":"apply_patch_call","call_id":"c3","operation":{"type":"delete_file","path":"p"},"status":"completed"},
        {"type":"tool_search_call","call_id":"c4","execution":"client","arguments":{"query":"q"},"status":"completed"},
        {"type":"local_shell_call_output","id":"c1","output":"out"},
        {"type":"shell_call_output","call_id":"c2","output":[{"stdout":"A","stderr":"E","outcome":{"type":"exit","exit_code":3}},{"stdout":"","stderr":"","outcome":{"type":"timeout"}}]},
        {"type":"apply_patch_call_output","call_id":"c3","status":"failed","output":"no such file"},
        {"type":"tool_search_output","call_id":"c4","execution":"client","status":"completed","tools":[{"type":"function","name":"found","parameters":{"type":"object"}}]}"#,
    );
    let call = |at: usize| {
        messages[1]["tool_calls"][at]["function"]["arguments"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(call(0), r#"{"command":["ls"],"workdir":"/w","env":{}}"#);
    assert_eq!(call(1), r#"{"commands":["a","b"],"timeout_ms":9}"#);
    assert_eq!(call(2), r#"{"type":"delete_file","path":"p"}"#);
    assert_eq!(call(3), r#"{"query":"q"}"#);
    assert_eq!(
        messages[1]["tool_calls"][0]["function"]["name"],
        "local_shell"
    );
    assert_eq!(messages[2]["content"], "out");
    assert_eq!(
        messages[3]["content"],
        "A\n[stderr]\nE\n[exit code 3]\n[timed out]"
    );
    assert_eq!(messages[4]["content"], "[tool error]\nno such file");
    assert_eq!(messages[5]["content"], "[tools loaded: found]");
}

#[test]
fn case_34_state_that_is_not_kept_is_an_error_with_its_code() {
    for (json, field) in [
        (
            with(r#""previous_response_id":"resp_9""#),
            "previous_response_id",
        ),
        (
            r#"{"model":"m","input":[{"type":"item_reference","id":"rs_1"}]}"#.to_owned(),
            "input[0]",
        ),
        (
            r#"{"model":"m","input":[{"role":"user","content":"x"},{"id":"msg_1"}]}"#.to_owned(),
            "input[1]",
        ),
    ] {
        let error = refused(&json);
        assert_eq!(error.kind, Kind::ResponseNotFound);
        assert_eq!(error.param.as_deref(), Some(field));
        let answer = answer(Responses, &error, "r");
        assert_eq!(answer.status, 400);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"]["code"], "previous_response_not_found");
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
}

#[test]
fn case_35_store_is_accepted_and_echoed() {
    for (member, echoed) in [
        (r#""store":true"#, "\"store\":true"),
        (r#""store":false"#, "\"store\":false"),
        (r#""store":null"#, "\"store\":true"),
    ] {
        let converted = convert(Responses, Chat, &Caps::default(), &with(member)).unwrap();
        assert!(converted.context.echo.contains(echoed), "{member}");
        assert!(converted.warnings.is_empty());
        assert!(!String::from_utf8(converted.body).unwrap().contains("store"));
    }
}

const CODEX: &str = r#"{"model":"m","instructions":"You code.","input":[
    {"type":"additional_tools","role":"developer","tools":[{"type":"namespace","name":"functions","description":"d","tools":[
        {"type":"custom","name":"exec","description":"Run","format":{"type":"grammar","syntax":"lark","definition":"start: /.+/"}}]},
        {"type":"function","name":"exec_command","description":"other","parameters":{"type":"object"}}]},
    {"type":"message","role":"developer","content":[{"type":"input_text","text":"Sandbox: rw"}]},
    {"type":"message","role":"user","content":[{"type":"input_text","text":"Fix it"}]}],
    "tools":[{"type":"function","name":"exec_command","description":"Run","strict":false,"parameters":{"type":"object","properties":{}}},
        {"type":"custom","name":"apply_patch","description":"Edit","format":{"type":"grammar","syntax":"lark","definition":"g"}},
        {"type":"namespace","name":"agents","description":"d","tools":[{"type":"function","name":"spawn","strict":false,"parameters":{"type":"object"}}]},
        {"type":"tool_search","execution":"client","description":"Find"},
        {"type":"web_search","external_web_access":true},{"type":"holo_deck"}],
    "tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"high","summary":"auto","context":"all_turns"},
    "store":false,"stream":true,"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","text":{"verbosity":"low"},
    "client_metadata":{"x":"y"}}"#;

#[test]
fn case_36_a_request_of_codex_is_accepted_whole() {
    let converted = convert(Responses, Chat, &Caps::default(), CODEX).unwrap();
    assert_eq!(
        converted.warnings.header().as_deref(),
        Some("tools.web_search:unsupported,tools.holo_deck:unsupported")
    );
    let body: Value = serde_json::from_slice(&converted.body).unwrap();
    let tools = body["tools"].as_array().unwrap();
    let names: Vec<&str> = tools
        .iter()
        .map(|tool| tool["function"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "exec_command",
            "apply_patch",
            "agents__spawn",
            "tool_search",
            "functions__exec"
        ]
    );
    assert_eq!(tools[0]["function"]["description"], "Run");
    assert_eq!(
        tools[1]["function"]["description"],
        "Edit\n\nPass the raw text in \"input\".\nIt must match this lark grammar:\ng"
    );
    assert_eq!(body["messages"][0]["content"], "You code.\n\nSandbox: rw");
    assert_eq!(body["reasoning_effort"], "high");
    assert_eq!(body["parallel_tool_calls"], false);
    assert_eq!(body["stream_options"]["include_usage"], true);
    let tool = converted
        .context
        .tools
        .find(&Text::plain("functions__exec"))
        .unwrap();
    assert_eq!(tool.namespace.as_ref().unwrap().decode(), "functions");
}

#[test]
fn case_37_a_forced_hosted_tool_is_refused() {
    let error = refused(&with(
        r#""tools":[{"type":"web_search"},{"type":"function","name":"f"}],"tool_choice":{"type":"web_search"}"#,
    ));
    assert_eq!(error.param.as_deref(), Some("tool_choice"));
    let error = refused(&with(
        r#""tools":[{"type":"file_search","vector_store_ids":["v"]}]"#,
    ));
    assert_eq!(error.param.as_deref(), Some("tools.file_search"));
}

#[test]
fn case_38_a_choice_without_tools_vanishes() {
    let (body, _) = to_chat(&with(
        r#""tools":[],"tool_choice":"auto","parallel_tool_calls":true"#,
    ));
    assert!(!body.contains("tool"), "{body}");
}

#[test]
fn choices_are_named_as_chat_names_them() {
    let tools = r#""tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"f"}]},{"type":"custom","name":"g"}]"#;
    for (choice, wanted) in [
        (r#""required""#, json!("required")),
        (
            r#"{"type":"function","name":"f","namespace":"n"}"#,
            json!({"type":"function","function":{"name":"n__f"}}),
        ),
        (
            r#"{"type":"custom","name":"g"}"#,
            json!({"type":"function","function":{"name":"g"}}),
        ),
    ] {
        let (body, _) = to_chat(&with(&format!("{tools},\"tool_choice\":{choice}")));
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["tool_choice"], wanted);
    }
    let (body, _) = to_chat(&with(&format!(
        r#"{tools},"tool_choice":{{"type":"allowed_tools","mode":"required","tools":[{{"type":"namespace","name":"n"}}]}}"#
    )));
    assert!(body.contains("n__f"), "{body}");
}

#[test]
fn case_53_names_too_long_are_cut_alike_everywhere() {
    let name = "n".repeat(90);
    let (body, _) = to_chat(&format!(
        r#"{{"model":"m","input":[{{"role":"user","content":"x"}},{{"type":"function_call","call_id":"c","name":"{name}","arguments":"{{}}"}},{{"type":"function_call_output","call_id":"c","output":""}}],"tools":[{{"type":"function","name":"{name}"}}],"tool_choice":{{"type":"function","name":"{name}"}}}}"#
    ));
    let body: Value = serde_json::from_str(&body).unwrap();
    let cut = body["tools"][0]["function"]["name"].as_str().unwrap();
    assert_eq!(cut.len(), 64);
    assert_eq!(body["tool_choice"]["function"]["name"], cut);
    assert_eq!(
        body["messages"][1]["tool_calls"][0]["function"]["name"],
        cut
    );
    assert_eq!(body["messages"][2]["content"], "");
}

#[test]
fn case_31_pictures_of_tools_come_after_the_tools() {
    let messages = messages(
        r#"{"role":"user","content":"x"},
        {"type":"function_call","call_id":"c1","name":"view_image","arguments":"{}"},
        {"type":"function_call","call_id":"c2","name":"f","arguments":"{}"},
        {"type":"function_call_output","call_id":"c2","output":"2"},
        {"type":"function_call_output","call_id":"c1","output":[{"type":"input_image","image_url":"data:image/png;base64,iVBOR","detail":"high"}]}"#,
    );
    assert_eq!(messages[2]["tool_call_id"], "c1");
    assert_eq!(messages[2]["content"], "[image returned, see next message]");
    assert_eq!(messages[3]["content"], "2");
    assert_eq!(
        messages[4]["content"][0]["text"],
        "Image from tool call c1:"
    );
}

#[test]
fn case_33_a_call_without_result_names_its_id() {
    let error = refused(
        r#"{"model":"m","input":[{"role":"user","content":"x"},{"type":"function_call","call_id":"c77","name":"f","arguments":"{}"}]}"#,
    );
    assert!(error.message.contains("c77"));
    let error = refused(
        r#"{"model":"m","input":[{"role":"user","content":"x"},{"type":"function_call_output","call_id":"c78","output":"1"}]}"#,
    );
    assert!(error.message.contains("c78"));
}

#[test]
fn case_44_files_keep_their_data_and_foreign_ids_are_refused() {
    let messages = messages(
        r#"{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}]}"#,
    );
    assert_eq!(
        messages[0]["content"][0],
        json!({"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}})
    );
    for part in [
        r#"{"type":"input_image","file_id":"file-1"}"#,
        r#"{"type":"input_file","file_id":"file-1"}"#,
        r#"{"type":"hologram"}"#,
    ] {
        let error = refused(&format!(
            r#"{{"model":"m","input":[{{"role":"user","content":[{part}]}}]}}"#
        ));
        assert!(error.param.unwrap().starts_with("input[0].content[0]"));
    }
}

#[test]
fn case_55_contracts_are_refused_and_hints_are_not() {
    for (member, param) in [
        (r#""background":true"#, "background"),
        (r#""conversation":"c""#, "conversation"),
        (r#""prompt":{"id":"p"}"#, "prompt"),
        (r#""access_programs":{}"#, "access_programs"),
        (r#""reasoning":{"mode":"pro"}"#, "reasoning.mode"),
        (
            r#""moderation":{"model":"m","policy":{"input":{"mode":"block"}}}"#,
            "moderation",
        ),
        (
            r#""tools":[{"type":"function","name":"f","async":true}]"#,
            "tools[0].async",
        ),
        (
            r#""tools":[{"type":"code_interpreter"}]"#,
            "tools.code_interpreter",
        ),
        (r#""tool_choice":"sometimes""#, "tool_choice"),
        (r#""reasoning":{"effort":"gigantic"}"#, "reasoning.effort"),
        (r#""text":{"format":{"type":"xml"}}"#, "text.format"),
    ] {
        assert_eq!(
            refused(&with(member)).param.as_deref(),
            Some(param),
            "{member}"
        );
    }
    let (body, warnings) = to_chat(&with(
        r#""background":false,"truncation":"auto","metadata":{"a":"b"},"user":"u","include":["web_search_call.results"],"text":{"format":{"type":"text"},"verbosity":"low"},"reasoning":{"summary":"auto"},"stream_options":{"include_obfuscation":false},"max_tool_calls":3,"service_tier":"auto""#,
    ));
    assert_eq!(warnings, "");
    assert_eq!(
        body,
        r#"{"model":"up","messages":[{"role":"user","content":"x"}],"user":"u"}"#
    );
}

#[test]
fn case_56_unknown_fields_are_named_and_unknown_items_refused() {
    let (_, warnings) = to_chat(&with(
        r#""flux":1,"include":["new.thing"],"text":{"tone":1}"#,
    ));
    assert_eq!(
        warnings,
        "include.new.thing:unknown,text.tone:unknown,flux:unknown"
    );
    let error = refused(r#"{"model":"m","input":[{"type":"time_travel"}]}"#);
    assert_eq!(error.param.as_deref(), Some("input[0]"));
    assert_eq!(refused(r#"{"model":"m"}"#).param.as_deref(), Some("input"));
    assert_eq!(refused(r#"{"input":"x"}"#).param.as_deref(), Some("model"));
    assert_eq!(
        refused(r#"{"model":"m","messages":[]}"#).param.as_deref(),
        Some("messages")
    );
}

#[test]
fn late_system_texts_stay_where_they_are_and_configuration_updates_count() {
    let (body, _) = to_chat(
        r#"{"model":"m","reasoning":{"effort":"low"},"input":[{"role":"system","content":"S"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"developer","content":"D"},{"type":"configuration_update","reasoning":{"effort":"high"}},{"role":"user","content":"c"}]}"#,
    );
    assert_eq!(
        body,
        r#"{"model":"up","reasoning_effort":"high","messages":[{"role":"system","content":"S"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"system","content":"D"},{"role":"user","content":"c"}]}"#
    );
}

#[test]
fn a_conversation_that_grows_keeps_its_beginning() {
    let turns = [
        r#"{"role":"user","content":"a"}"#,
        r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"1"}"#,
        r#"{"role":"assistant","content":"b"},{"role":"developer","content":"d"}"#,
        r#"{"role":"user","content":"e"}"#,
    ];
    let mut before = String::new();
    for count in 1..=turns.len() {
        let (body, _) = to_chat(&format!(
            r#"{{"model":"m","input":[{}]}}"#,
            turns[..count].join(",")
        ));
        let open = body.strip_suffix("]}").unwrap().to_owned();
        assert!(open.starts_with(&before), "{open}\n{before}");
        before = open;
    }
}

#[test]
fn a_compaction_of_ours_is_opened_and_another_refused() {
    let code = crate::wire::text::base64url(b"All done.");
    let messages = messages(&format!(
        r#"{{"role":"user","content":"a"}},{{"type":"compaction","id":"cmp_1","encrypted_content":"gw1.k.{code}"}},{{"role":"user","content":"b"}}"#
    ));
    assert_eq!(
        messages[1]["content"],
        "Summary of the conversation so far:\nAll done."
    );
    let error =
        refused(r#"{"model":"m","input":[{"type":"compaction","encrypted_content":"gAAA"}]}"#);
    assert_eq!(error.param.as_deref(), Some("input[0]"));
}

#[test]
fn a_whole_answer_has_every_member_the_sdks_want() {
    let request = with(
        r#""tools":[{"type":"function","name":"f",
        "parameters":{}}],"metadata":{"a":"b"},"temperature":0.5"#,
    );
    let cx = convert(Responses, Chat, &Caps::default(), &request)
        .unwrap()
        .context;
    let upstream = r#"{"id":"chatcmpl-7","created":1790000001,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","reasoning_content":"Hm","tool_calls":[{"id":"call_A","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":120,"completion_tokens":60,"total_tokens":180,"prompt_tokens_details":{"cached_tokens":100}}}"#;
    let out = convert_response(
        Chat,
        Responses,
        &cx,
        &made(),
        upstream.as_bytes(),
        &mut Warnings::default(),
    );
    let out = tame(&String::from_utf8(out.unwrap()).unwrap());
    assert_eq!(
        out,
        r#"{"id":"resp_g1","object":"response","created_at":1790000001,"status":"completed","model":"m","error":null,"incomplete_details":null,"output":[{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}]},{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]},{"id":"fc_1","type":"function_call","status":"completed","call_id":"call_A","name":"f","arguments":"{}"}],"usage":{"input_tokens":120,"input_tokens_details":{"cached_tokens":100,"cache_write_tokens":0},"output_tokens":60,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":180},"instructions":null,"metadata":{"a":"b"},"parallel_tool_calls":true,"tool_choice":"auto","tools":[{"type":"function","name":"f",         "parameters":{}}],"temperature":0.5,"top_p":null,"store":true}"#
    );
}

#[test]
fn the_stream_and_the_whole_answer_say_the_same() {
    let stream = chat_stream(&[
        &delta(r#"{"content":"Hi"}"#),
        &delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#),
        &finish("tool_calls"),
        "[DONE]",
    ]);
    let cx = cx(Responses, Chat);
    let (out, _) = check_stream(&cx, &stream);
    let mut collector = crate::protocol::Collector::new(Chat, Responses, cx, made());
    collector.feed(stream.as_bytes()).unwrap();
    let whole = collector.finish(&mut Warnings::default()).unwrap().body;
    let whole = tame(&String::from_utf8(whole).unwrap());
    assert_eq!(
        serde_json::from_str::<Value>(&whole).unwrap(),
        last_response(&out)
    );
}

#[test]
fn case_58_finishes_are_statuses() {
    for (reason, status, why) in [
        ("stop", "completed", Value::Null),
        (
            "length",
            "incomplete",
            json!({"reason":"max_output_tokens"}),
        ),
        (
            "content_filter",
            "incomplete",
            json!({"reason":"content_filter"}),
        ),
        ("end", "completed", Value::Null),
    ] {
        let stream = chat_stream(&[&delta(r#"{"content":"Hi"}"#), &finish(reason), "[DONE]"]);
        let (out, error) = check_stream(&cx(Responses, Chat), &stream);
        assert!(error.is_none());
        let response = last_response(&out);
        assert_eq!(response["status"], status, "{reason}");
        assert_eq!(response["incomplete_details"], why, "{reason}");
    }
}

#[test]
fn case_22_and_23_errors_in_and_before_the_stream() {
    let error = r#"{"error":{"message":"slow down","code":429}}"#;
    let stream = chat_stream(&[&delta(r#"{"content":"Hi"}"#), error]);
    let (out, _) = check_stream(&cx(Responses, Chat), &stream);
    let response = last_response(&out);
    assert_eq!(response["status"], "failed");
    assert_eq!(response["error"]["code"], "rate_limit_exceeded");
    // Nothing was sent: it can still be a real HTTP error.
    let (out, error) = check_stream(&cx(Responses, Chat), &chat_stream(&[error]));
    assert_eq!(out, "");
    assert_eq!(error.unwrap().kind, Kind::TooManyRequests);
}
