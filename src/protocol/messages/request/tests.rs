//! Both halves on their own, and one after the other: what was written reads as what was read.

use super::*;
use crate::error::{Error, Kind};
use crate::protocol::effort::{Effort, Thinking};
use crate::protocol::neutral::{
    Arguments, Builtin, Cache, Choice, Format, Named, Part, Request, Role, Source, System, Tool,
    ToolKind, ToolName, ToolResult,
};
use crate::protocol::testing::convert_request;
use crate::protocol::text::Text;
use crate::protocol::{Caps, Outgoing, Protocol, Target, Warnings};
use crate::wire::Dice;
use crate::wire::json::{self, Object, Raw};

fn read_all(json: &str) -> Result<(Request<'_>, Warnings), Error> {
    let mut warnings = Warnings::default();
    let body = Object::parse(json.as_bytes()).unwrap();
    let request = read(body, &mut warnings)?;
    Ok((request, warnings))
}

/// The request with one more top-level member.
fn with(member: &str) -> String {
    format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}],{member}}}"#
    )
}

/// A conversation of those messages.
fn talk(messages: &str) -> String {
    format!(r#"{{"model":"m","max_tokens":9,"messages":[{messages}]}}"#)
}

fn refusal(json: &str) -> (Kind, String) {
    let error = read_all(json).map(drop).unwrap_err();
    assert_eq!(error.status(), 400);
    (error.kind, error.param.unwrap_or_default())
}

fn warned(warnings: &Warnings) -> Vec<String> {
    warnings
        .iter()
        .map(|(field, reason)| format!("{field}:{reason}"))
        .collect()
}

#[test]
fn a_claude_code_request_is_read_whole() {
    let json = r#"{"model":"claude-x","max_tokens":32000,"stream":true,
      "system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2; cch=ab1;"},{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral","ttl":"1h"}}],
      "messages":[
        {"role":"user","content":[{"type":"text","text":"Look"}]},
        {"role":"system","content":[{"type":"text","text":"cwd: /w","cache_control":{"type":"ephemeral"}}]},
        {"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"EqQB"},{"type":"tool_use","id":"toolu_1","name":"Read","input":{"path":"a.png", "n":1e2}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","is_error":false,"content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBOR"}}],"cache_control":{"type":"ephemeral"}}]}],
      "tools":[{"name":"Read","description":"r","input_schema":{"type":"object"},"defer_loading":true,"eager_input_streaming":true,"input_examples":[{}]},
               {"type":"tool_search_tool_regex_20251119","name":"tool_search_tool_regex"}],
      "tool_choice":{"type":"auto","disable_parallel_tool_use":false},
      "thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"high"},
      "metadata":{"user_id":"u"},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},
      "safeguards":{"paths":["/w"]},"temperature":1,"stop_sequences":["x"],"top_k":5}"#;
    let (request, warnings) = read_all(json).unwrap();
    assert!(request.model.is("claude-x") && request.stream);
    assert_eq!(
        request.limit,
        Some(Named {
            field: "max_tokens",
            value: 32_000
        })
    );
    assert_eq!(request.system.len(), 2);
    assert_eq!(request.system[1].cache, Some(Cache::Long));
    let roles: Vec<Role> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(
        roles,
        [Role::User, Role::System, Role::Assistant, Role::User]
    );
    let [Part::Reasoning(thought), Part::Call(call)] = request.turns[2].parts.as_slice() else {
        panic!("{:?}", request.turns[2]);
    };
    assert!(thought.text.is_empty() && thought.proof.as_ref().unwrap().value.is("EqQB"));
    assert!(call.arguments.text().is(r#"{"path":"a.png", "n":1e2}"#));
    let [Part::Result(result)] = request.turns[3].parts.as_slice() else {
        panic!("{:?}", request.turns[3]);
    };
    assert!(!result.is_error && result.cache == Some(Cache::Short));
    assert!(matches!(result.parts[0], Part::Image(_)));
    assert!(matches!(
        request.tools[1].kind,
        ToolKind::Hosted { harmless: true }
    ));
    assert!(matches!(request.choice, Some(Choice::Auto)));
    assert_eq!(request.parallel, None);
    assert_eq!(request.thinking, Some(Thinking::Adaptive));
    assert_eq!(request.show_reasoning, Some(false));
    assert_eq!(request.effort, Some(Effort::High));
    assert!(request.user_id.unwrap().is("u"));
    assert!(request.compaction.is_none() && request.unknown.is_empty());
    assert!(warned(&warnings).is_empty());
}

#[test]
fn contents_are_strings_or_blocks_or_nothing() {
    let json = talk(
        r#"{"role":"user","content":"a"},{"role":"assistant","content":null},{"role":"assistant","content":[]},{"role":"user","content":[{"type":"text","text":"b"}]}"#,
    );
    let (request, _) = read_all(&json).unwrap();
    assert_eq!(request.turns.len(), 1);
    assert_eq!(request.turns[0].parts.len(), 2);
    let (kind, field) = refusal(&talk(r#"{"role":"user","content":7}"#));
    assert_eq!(
        (kind, field.as_str()),
        (Kind::BadRequest, "messages[0].content")
    );
    let (_, field) = refusal(&talk(r#"{"role":"tool","content":"x"}"#));
    assert_eq!(field, "messages[0].role");
}

#[test]
fn case_56_unknown_blocks_are_refused_and_unknown_fields_are_left_over() {
    for (block, place) in [
        (r#"{"type":"hologram"}"#, "messages[0].content[0]"),
        (
            r#"{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"x"},{"type":"browser_state"}]}"#,
            "messages[0].content[0].content[1]",
        ),
        (
            r#"{"type":"container_upload","file_id":"f"}"#,
            "messages[0].content[0]",
        ),
        (
            r#"{"type":"image","source":{"type":"file","file_id":"f"}}"#,
            "messages[0].content[0].source",
        ),
        (
            r#"{"type":"compaction","content":"x"}"#,
            "messages[0].content[0]",
        ),
    ] {
        let json = talk(&format!(r#"{{"role":"user","content":[{block}]}}"#));
        let (kind, field) = refusal(&json);
        assert_eq!((kind, field.as_str()), (Kind::Unsupported, place));
    }
    let json = with(r#""frobnicate":1,"stream":false"#);
    let (request, _) = read_all(&json).unwrap();
    assert_eq!(request.unknown, ["frobnicate"]);
}

#[test]
fn case_55_what_nobody_else_can_honour_is_refused_by_name() {
    for (member, field) in [
        (r#""container":"c""#, "container"),
        (r#""inference_geo":"eu""#, "inference_geo"),
        (r#""compaction":{}"#, "compaction"),
        (
            r#""thread":{"type":"continue","previous_message_id":"m"}"#,
            "thread",
        ),
        (
            r#""billing_policy":{"bill_to":"user_profile"}"#,
            "billing_policy",
        ),
        (
            r#""tools":[{"type":"computer_20250124","name":"computer"}]"#,
            "tools[0]",
        ),
        (
            r#""tools":[{"name":"f","input_schema":{},"allowed_callers":["code_execution_20250825"]}]"#,
            "tools[0].allowed_callers",
        ),
    ] {
        let (kind, found) = refusal(&with(member));
        assert_eq!((kind, found.as_str()), (Kind::Unsupported, field));
    }
    for harmless in [
        r#""container":null,"thread":{"type":"create"},"billing_policy":{"bill_to":"organization"}"#,
        r#""diagnostics":{"previous_message_id":"m"},"fallbacks":[{}],"cache_control":{"type":"ephemeral"}"#,
        r#""speed":"standard","mcp_servers":[],"output_config":{"task_budget":{}},"top_p":null"#,
    ] {
        let json = with(harmless);
        let (request, warnings) = read_all(&json).unwrap();
        assert!(
            warnings.is_empty() && request.unknown.is_empty(),
            "{harmless}"
        );
    }
    let json = with(
        r#""speed":"fast","context_management":{"edits":[{"type":"compact_20260112"},{"type":"shuffle"}]}"#,
    );
    let (request, warnings) = read_all(&json).unwrap();
    assert!(request.compaction.is_some());
    assert_eq!(
        warned(&warnings),
        ["speed:unsupported", "context_management:unsupported"]
    );
}

#[test]
fn fields_of_the_wrong_kind_are_named() {
    for (member, field) in [
        (r#""temperature":"hot""#, "temperature"),
        (r#""stream":1"#, "stream"),
        (r#""stop_sequences":["a",1]"#, "stop_sequences[1]"),
        (r#""thinking":{"type":"enabled"}"#, "thinking.budget_tokens"),
        (r#""thinking":{"type":"deep"}"#, "thinking.type"),
        (r#""tool_choice":{"type":"tool"}"#, "tool_choice.name"),
        (
            r#""tools":[{"name":"f","input_schema":[]}]"#,
            "tools[0].input_schema",
        ),
        (
            r#""output_config":{"format":{"type":"xml"}}"#,
            "output_config.format",
        ),
        (
            r#""output_format":{"type":"json_schema"}"#,
            "output_format.schema",
        ),
        (r#""system":[{"type":"text"}]"#, "system[0].text"),
        (r#""metadata":7"#, "metadata"),
    ] {
        let (kind, found) = refusal(&with(member));
        assert_eq!((kind, found.as_str()), (Kind::BadRequest, field));
    }
    let (_, field) = refusal(r#"{"messages":[]}"#);
    assert_eq!(field, "model");
    let (_, field) = refusal(r#"{"model":"m"}"#);
    assert_eq!(field, "messages");
}

#[test]
fn case_44_documents_become_files_or_text() {
    let json = talk(
        r#"{"role":"user","content":[
        {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf","context":"ctx"},
        {"type":"document","source":{"type":"url","url":"https://x/y.pdf"}},
        {"type":"document","source":{"type":"text","media_type":"text/plain","data":"plain"},"title":"T","citations":{"enabled":false}},
        {"type":"document","source":{"type":"content","content":[{"type":"text","text":"one"},{"type":"image","source":{"type":"url","url":"https://x/p"}},{"type":"text","text":"two"}]}},
        {"type":"search_result","source":"https://s","title":"R","content":[{"type":"text","text":"found"}]}]}"#,
    );
    let (request, _) = read_all(&json).unwrap();
    let shown: Vec<String> = request.turns[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(part) => part.text.decode().into_owned(),
            Part::File(file) => match &file.source {
                Source::Url(url) => format!("file {}", url.decode()),
                Source::Data { data, .. } => format!(
                    "file {} {}",
                    file.name.as_ref().unwrap().decode(),
                    data.decode()
                ),
            },
            Part::Image(_) => "image".to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "ctx",
            "file a.pdf JVBE",
            "file https://x/y.pdf",
            "<document title=\"T\">\nplain\n</document>",
            "<document>\none\ntwo\n</document>",
            "image",
            "<document title=\"R\">\nSource: https://s\nfound\n</document>",
        ]
    );
    let cited = talk(
        r#"{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"},"citations":{"enabled":true}}]}"#,
    );
    let (kind, field) = refusal(&cited);
    assert_eq!(
        (kind, field.as_str()),
        (Kind::Unsupported, "messages[0].content[0].citations")
    );
}

#[test]
fn tool_results_hold_text_pictures_documents_and_references() {
    let json = talk(
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","is_error":true,"content":[{"type":"text","text":"t"},{"type":"image","source":{"type":"url","url":"https://p"}},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}},{"type":"tool_reference","tool_name":"grep"}]},{"type":"tool_result","tool_use_id":"b"},{"type":"tool_result","tool_use_id":"c","content":""}]}"#,
    );
    let (request, _) = read_all(&json).unwrap();
    let [Part::Result(full), Part::Result(none), Part::Result(_)] =
        request.turns[0].parts.as_slice()
    else {
        panic!("{:?}", request.turns);
    };
    assert!(full.is_error && none.parts.is_empty());
    let [
        Part::Text(_),
        Part::Image(_),
        Part::File(_),
        Part::Text(told),
    ] = full.parts.as_slice()
    else {
        panic!("{:?}", full.parts);
    };
    assert!(told.text.is("[tool loaded: grep]"));
}

#[test]
fn proofs_are_told_from_carriers() {
    let json = talk(
        r#"{"role":"user","content":"q"},{"role":"assistant","content":[
        {"type":"thinking","thinking":"a","signature":"gw1.c.e30"},
        {"type":"thinking","thinking":"b","signature":""},
        {"type":"thinking","thinking":"c","signature":"gw1.r.eyJrIjoicmVhc29uaW5nIiwiaSI6InJzX3UxIiwiZSI6ImdBQUFBZW5jIn0"},
        {"type":"redacted_thinking","data":"EmwK"},
        {"type":"redacted_thinking","data":"gw1.m.eyJrIjoicmVkYWN0ZWQiLCJkIjoieCJ9"}]}"#,
    );
    let (request, _) = read_all(&json).unwrap();
    let proofs: Vec<_> = request.turns[1]
        .parts
        .iter()
        .map(|part| match part {
            Part::Reasoning(reasoning) => reasoning
                .proof
                .as_ref()
                .map(|proof| (proof.value.decode().into_owned(), proof.redacted)),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        proofs,
        [
            None,
            None,
            Some(("gAAAAenc".to_owned(), false)),
            Some(("EmwK".to_owned(), true)),
            Some(("x".to_owned(), true)),
        ]
    );
}

#[test]
fn vendor_tools_and_their_history_are_recognised() {
    let json = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"x"}},{"type":"web_search_tool_result","tool_use_id":"s","content":[]},{"type":"text","text":"a"}]}],
      "tools":[{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"str_replace_based_edit_tool"},{"type":"memory_20250818","name":"memory"},
        {"type":"web_search_20250305","name":"web_search","max_uses":3,"allowed_domains":["a.com"],"user_location":{"type":"approximate","city":"Rome"}},{"type":"code_execution_20250522","name":"code_execution"}],
      "tool_choice":{"type":"tool","name":"web_search","disable_parallel_tool_use":true}}"#;
    let (request, _) = read_all(json).unwrap();
    let kinds: Vec<_> = request.tools.iter().map(|tool| &tool.kind).collect();
    assert!(matches!(kinds[0], ToolKind::Builtin(Builtin::Bash)));
    assert!(matches!(kinds[1], ToolKind::Builtin(Builtin::TextEditor)));
    assert!(matches!(kinds[2], ToolKind::Builtin(Builtin::Memory)));
    let ToolKind::WebSearch(search) = kinds[3] else {
        panic!("{:?}", kinds[3]);
    };
    assert_eq!(search.uses_max, Some(3));
    assert!(matches!(kinds[4], ToolKind::Hosted { harmless: false }));
    assert!(request.tools[1].name.is("str_replace_based_edit_tool"));
    assert!(
        matches!(&request.choice, Some(Choice::Hosted(kind)) if kind.is("web_search_20250305"))
    );
    assert_eq!(request.parallel, Some(false));
    let parts = &request.turns[1].parts;
    assert!(matches!(&parts[0], Part::Hosted { name, .. } if name == "server_tool_use"));
    assert!(matches!(&parts[1], Part::Hosted { .. }) && matches!(&parts[2], Part::Text(_)));
}

#[test]
fn late_system_messages_stay_and_tools_that_come_are_offered() {
    let json = r#"{"model":"m","max_tokens":9,"system":"S","tools":[{"name":"a","input_schema":{"type":"object"}}],"messages":[
      {"role":"system","content":"early"},
      {"role":"user","content":"q"},
      {"role":"system","content":"once","clear_at":"next_user_message"},
      {"role":"assistant","content":"r"},
      {"role":"user","content":"q2"},
      {"role":"system","clear_at":"next_user_message","output_config":{"effort":"low"},"content":[{"type":"text","text":"now"},
        {"type":"tool_addition","tool":{"type":"tool_reference","name":"a"}},
        {"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"b","input_schema":{"type":"object"}}}},
        {"type":"tool_removal","tool":{"type":"tool_reference","name":"a"}}]}]}"#;
    let (request, _) = read_all(json).unwrap();
    assert_eq!(request.system.len(), 2);
    let roles: Vec<Role> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(
        roles,
        [Role::User, Role::Assistant, Role::User, Role::System]
    );
    let told: Vec<String> = request.turns[3]
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(part) => part.text.decode().into_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "now",
            "[tool loaded: a]",
            "[tool loaded: b]",
            "[tool removed: a]"
        ]
    );
    assert_eq!(request.tools.len(), 2);
    assert_eq!(request.effort, Some(Effort::Low));
}

// ---- writing ----

fn opus() -> Caps {
    Caps::of("anthropic", "claude-opus-4-6")
}

fn written(request: &Request<'_>, caps: &Caps) -> Result<(String, Outgoing), Error> {
    let target = Target { caps, model: "up" };
    let mut outgoing = write(request, &target, &mut Warnings::default(), Vec::new())?;
    let body = String::from_utf8(std::mem::take(&mut outgoing.body)).unwrap();
    json::validate(body.as_bytes()).unwrap();
    Ok((body, outgoing))
}

fn asks<'a>(text: &'a str) -> Request<'a> {
    let mut request = Request::new(Protocol::Chat, Text::plain("m"));
    request.push(Role::User, Part::text(Text::plain(text)));
    request
}

#[test]
fn the_smallest_request_gets_the_models_limit_and_a_stream() {
    let (body, outgoing) = written(&asks("Hi"), &opus()).unwrap();
    assert_eq!(
        body,
        r#"{"model":"up","max_tokens":128000,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]}"#
    );
    assert_eq!(outgoing.invented, ["max_tokens"]);
    let mut request = asks("Hi");
    request.limit = Some(Named {
        field: "max_tokens",
        value: 21_333,
    });
    let (body, outgoing) = written(&request, &opus()).unwrap();
    assert!(!outgoing.stream && !body.contains("stream"));
    assert!(outgoing.invented.is_empty());
}

#[test]
fn every_field_has_its_place() {
    let mut request = asks("Hi");
    request.stream = true;
    request.limit = Some(Named {
        field: "max_tokens",
        value: 100,
    });
    request.system.push(System {
        text: Text::plain("S"),
        cache: Some(Cache::Long),
    });
    request.tools.push(Tool {
        name: Text::plain("f"),
        namespace: None,
        description: Some(Text::plain("d")),
        kind: ToolKind::Function {
            parameters: None,
            strict: Some(true),
        },
        cache: None,
    });
    request.choice = Some(Choice::Named(ToolName {
        name: Text::plain("f"),
        namespace: None,
        custom: false,
    }));
    request.parallel = Some(false);
    request.temperature = Raw::parse("0.50").ok();
    request.stops = vec![Text::plain("\n\n")];
    request.effort = Some(Effort::High);
    request.format = Format::Schema {
        name: None,
        description: None,
        schema: r#"{"type":"object"}"#.into(),
        strict: Some(true),
    };
    request.user = Some(Text::plain("user"));
    request.safety_identifier = Some(Text::plain("safe"));
    request.tier = Some(Text::constant("standard_only"));
    let mut caps = opus();
    caps.block_binding = true;
    let (body, outgoing) = written(&request, &caps).unwrap();
    assert_eq!(
        body,
        concat!(
            r#"{"model":"up","max_tokens":100,"stream":true,"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral","ttl":"1h"}}],"#,
            r#""messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"#,
            r#""tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{}},"strict":true}],"#,
            r#""tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},"temperature":0.50,"stop_sequences":["\n\n"],"#,
            r#""thinking":{"type":"adaptive","display":"summarized","block_binding":{"prefix_mismatch_behavior":"drop_block"}},"#,
            r#""output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}}},"#,
            r#""metadata":{"user_id":"safe"},"service_tier":"standard_only"}"#
        )
    );
    assert_eq!(outgoing.betas, ["thinking-binding-controls-2026-08-01"]);
}

#[test]
fn the_choice_of_tools_is_said_only_when_there_is_something_to_say() {
    let written_choice = |choice: Option<Choice<'static>>, parallel| {
        let mut request = asks("Hi");
        request.tools.push(Tool {
            name: Text::plain("f"),
            namespace: None,
            description: None,
            kind: ToolKind::Function {
                parameters: None,
                strict: None,
            },
            cache: None,
        });
        request.choice = choice;
        request.parallel = parallel;
        let (body, _) = written(&request, &opus()).unwrap();
        body.split_once(r#""tool_choice":"#)
            .map(|(_, rest)| rest[..=rest.find('}').unwrap()].to_owned())
    };
    assert_eq!(written_choice(None, None), None);
    assert_eq!(written_choice(None, Some(true)), None);
    let single = r#"{"type":"auto","disable_parallel_tool_use":true}"#;
    assert_eq!(written_choice(None, Some(false)).as_deref(), Some(single));
    let none = written_choice(Some(Choice::Never), Some(false));
    assert_eq!(none.as_deref(), Some(r#"{"type":"none"}"#));
    let any = written_choice(Some(Choice::Required), None);
    assert_eq!(any.as_deref(), Some(r#"{"type":"any"}"#));
}

#[test]
fn an_agents_second_turn_is_cached_and_at_most_four_marks_are_set() {
    let mut request = asks("Hi");
    request.push(Role::Assistant, Part::text(Text::plain("Yes?")));
    request.push(Role::User, Part::text(Text::plain("Go")));
    let (body, outgoing) = written(&request, &opus()).unwrap();
    assert!(body.contains(r#""stream":true,"cache_control":{"type":"ephemeral"},"messages""#));
    assert!(outgoing.invented.contains(&"cache_control"));
    for turn in &mut request.turns {
        for part in &mut turn.parts {
            if let Part::Text(part) = part {
                part.cache = Some(Cache::Short);
            }
        }
    }
    for _ in 0..3 {
        request.system.push(System {
            text: Text::plain("S"),
            cache: Some(Cache::Short),
        });
    }
    let (body, outgoing) = written(&request, &opus()).unwrap();
    assert_eq!(body.matches("cache_control").count(), 4);
    assert!(body.contains(r#"{"type":"text","text":"Go","cache_control""#));
    assert!(body.starts_with(r#"{"model":"up","max_tokens":128000,"stream":true,"system":[{"type":"text","text":"S"},{"type":"text","text":"S"},{"type":"text","text":"S","cache_control""#));
    assert!(!outgoing.invented.contains(&"cache_control"));
    let mut plain = opus();
    plain.cache_breakpoints = false;
    plain.auto_cache = false;
    let (body, _) = written(&request, &plain).unwrap();
    assert!(!body.contains("cache_control"));
}

#[test]
fn case_43_pictures_of_other_kinds_are_refused() {
    let picture = |media_type: &'static str| {
        let mut request = asks("Hi");
        request.push(
            Role::User,
            Part::Image(crate::protocol::neutral::Image {
                source: Source::Data {
                    media_type: Text::plain(media_type),
                    data: Text::plain("AAAA"),
                },
                detail: None,
                cache: None,
            }),
        );
        written(&request, &opus()).map(|(body, _)| body)
    };
    assert!(picture("image/jpg").unwrap().contains(
        r#"{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"AAAA"}}"#
    ));
    for bad in ["image/svg+xml", "image/bmp", ""] {
        let error = picture(bad).unwrap_err();
        assert_eq!(
            (error.kind, error.param.as_deref()),
            (Kind::Unsupported, Some("messages"))
        );
    }
}

#[test]
fn files_are_pdf_or_text() {
    let file = |media_type: &'static str, data: &'static str| {
        let mut request = asks("Hi");
        request.push(
            Role::User,
            Part::File(crate::protocol::neutral::File {
                source: Source::Data {
                    media_type: Text::plain(media_type),
                    data: Text::plain(data),
                },
                name: Some(Text::plain("n")),
                cache: None,
            }),
        );
        written(&request, &opus()).map(|(body, _)| body)
    };
    assert!(file("application/pdf", "JVBE").unwrap().contains(
        r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"n"}"#
    ));
    assert!(file("text/csv", "YSxiCg==").unwrap().contains(
        r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a,b\n"},"title":"n"}"#
    ));
    assert!(file("text/csv", "/w==").is_err());
    assert!(file("application/zip", "AAAA").is_err());
}

#[test]
fn calls_and_results_are_blocks() {
    let mut request = asks("Hi");
    let call = |arguments| {
        Part::Call(crate::protocol::neutral::Call {
            id: Text::plain("c1"),
            kind: crate::protocol::neutral::CallKind::Function,
            name: Text::plain("f"),
            namespace: None,
            arguments: Arguments::Text(Text::plain(arguments)),
        })
    };
    request.push(Role::Assistant, call(r#"{"a": 1e2}"#));
    let result = |parts, is_error| {
        Part::Result(ToolResult {
            id: Text::plain("c1"),
            parts,
            is_error,
            cache: None,
        })
    };
    let text = || Part::text(Text::plain("x"));
    request.push(Role::User, result(vec![text()], true));
    request.push(Role::User, result(vec![], false));
    request.push(Role::User, result(vec![text(), text()], false));
    let mut caps = opus();
    caps.auto_cache = false;
    let (body, _) = written(&request, &caps).unwrap();
    assert!(
        body.ends_with(concat!(
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":{"a": 1e2}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"x","is_error":true},"#,
            r#"{"type":"tool_result","tool_use_id":"c1"},"#,
            r#"{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"x"},{"type":"text","text":"x"}]}]}]}"#
        )),
        "{body}"
    );
    request.turns.truncate(1);
    request.push(Role::Assistant, call("{\"a\":"));
    let error = written(&request, &caps).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("messages"));
    caps.repair_history = true;
    let (body, _) = written(&request, &caps).unwrap();
    assert!(body.contains(r#""input":{"arguments":"{\"a\":"}"#));
}

#[test]
fn case_48_efforts_reach_each_family() {
    let thinking = |model: &str, effort| {
        let caps = Caps::of("anthropic", model);
        let mut request = asks("Hi");
        request.effort = Some(effort);
        let (body, _) = written(&request, &caps).unwrap();
        let at = body.find(r#","thinking":"#).unwrap_or(body.len());
        body[at..].to_owned()
    };
    assert_eq!(
        thinking("claude-opus-4-6", Effort::Minimal),
        r#","thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}}"#
    );
    assert_eq!(
        thinking("claude-opus-4-6", Effort::None),
        r#","thinking":{"type":"disabled"}}"#
    );
    assert_eq!(
        thinking("claude-sonnet-4-5", Effort::Medium),
        r#","thinking":{"type":"enabled","budget_tokens":10240}}"#
    );
    assert_eq!(thinking("claude-3-5-haiku-20241022", Effort::High), "");
}

#[test]
fn mcp_servers_need_no_approval_and_a_beta() {
    let mcp = |approval: &str| {
        let json = format!(
            r#"{{"type":"mcp","server_label":"gh","server_url":"https://mcp","authorization":"t","allowed_tools":["x"],"require_approval":{approval}}}"#
        );
        let mut request = asks("Hi");
        request.tools.push(Tool {
            name: Text::plain("mcp"),
            namespace: None,
            description: None,
            kind: ToolKind::Mcp(Raw::parse(&json).unwrap()),
            cache: None,
        });
        written(&request, &opus()).map(|(body, outgoing)| (body, outgoing.betas))
    };
    let (body, betas) = mcp("\"never\"").unwrap();
    assert!(body.contains(r#""mcp_servers":[{"type":"url","url":"https://mcp","name":"gh","authorization_token":"t","tool_configuration":{"enabled":true,"allowed_tools":["x"]}}]"#));
    assert!(!body.contains(r#""tools":"#));
    assert_eq!(betas, ["mcp-client-2025-04-04"]);
    assert!(mcp("\"always\"").is_err() && mcp("null").is_err());
}

// ---- laws ----

const REQUESTS: [&str; 3] = [
    r#"{"model":"m","max_tokens":9,"system":"S","messages":[{"role":"user","content":"Hi"}],"temperature":0.5,"stop_sequences":["a"],"stream":true}"#,
    r#"{"model":"m","max_tokens":30000,"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"text","text":"Look"},{"type":"image","source":{"type":"url","url":"https://p"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"Eq"},{"type":"redacted_thinking","data":"Em"},{"type":"text","text":"A\u00e9"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":[1,2.50]}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"r"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iV"}}],"is_error":true},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JV"},"title":"T"}]}],"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{}},"strict":true}],"tool_choice":{"type":"any","disable_parallel_tool_use":true},"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"metadata":{"user_id":"u"}}"#,
    r#"{"model":"m","max_tokens":5000,"messages":[{"role":"user","content":"q"},{"role":"system","content":"late"},{"role":"assistant","content":"a"},{"role":"user","content":"q"}],"tools":[{"type":"bash_20250124","name":"bash"}],"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}}"#,
];

/// Through both halves; twins of one protocol meet only here.
fn round(body: &[u8]) -> Result<Vec<u8>, Error> {
    let caps = Caps::of("anthropic", "claude-opus-4-6");
    convert_request(Protocol::Messages, Protocol::Messages, &caps, "up", body)
        .map(|converted| converted.body)
}

#[test]
fn what_was_written_reads_as_what_was_read() {
    for request in REQUESTS {
        let once = round(request.as_bytes()).unwrap();
        let twice = round(&once).unwrap();
        assert_eq!(
            String::from_utf8(once).unwrap(),
            String::from_utf8(twice).unwrap()
        );
    }
}

#[test]
fn one_more_turn_leaves_the_earlier_bytes_as_they_were() {
    let first = round(REQUESTS[1].as_bytes()).unwrap();
    let longer = REQUESTS[1].replace(
        r#"],"tools":"#,
        r#",{"role":"assistant","content":"done"},{"role":"user","content":"more"}],"tools":"#,
    );
    let second = round(longer.as_bytes()).unwrap();
    let (first, second) = (
        String::from_utf8(first).unwrap(),
        String::from_utf8(second).unwrap(),
    );
    let end = first.find(r#"],"tools":"#).unwrap();
    assert_eq!(first[..end], second[..end]);
}

#[test]
fn mutations_are_errors_or_sound_requests_never_a_panic() {
    let mut dice = Dice::new(0x6d65_7373);
    let spice = br#"{}[]",:\nulltrue0-1.e"#;
    for turn in 0..4000 {
        let source = dice.pick(&REQUESTS);
        let mutant = dice.mutate(source.as_bytes(), spice);
        if json::validate(&mutant).is_err() {
            let _ = round(&mutant);
            continue;
        }
        if let Ok(body) = round(&mutant) {
            json::validate(&body).unwrap_or_else(|fault| panic!("{turn}: {fault}"));
        }
    }
}
