use super::*;
use crate::protocol::testing::convert_response;
use crate::protocol::testing::{self, made};
use crate::protocol::{Protocol, replay};
use crate::wire::Dice;
use crate::wire::json;

fn cx() -> Context {
    testing::cx(Protocol::Messages, Protocol::Messages)
}

fn reply(json: &str) -> Result<(Reply<'_>, Warnings), Error> {
    let mut warnings = Warnings::default();
    let body = Object::parse(json.as_bytes()).unwrap();
    let reply = read(body, &cx(), &mut warnings)?;
    Ok((reply, warnings))
}

/// Through both halves.
fn round(json: &str) -> Result<String, Error> {
    let mut warnings = Warnings::default();
    let (cx, made) = (cx(), made());
    let body = convert_response(
        Protocol::Messages,
        Protocol::Messages,
        &cx,
        &made,
        json.as_bytes(),
        &mut warnings,
    )?;
    json::validate(&body).unwrap();
    Ok(String::from_utf8(body).unwrap())
}

const WHOLE: &str = r#"{"id":"msg_01U","type":"message","role":"assistant","model":"up-model","content":[{"type":"thinking","thinking":"Need both cities.","signature":"EqQB"},{"type":"redacted_thinking","data":"EmwK"},{"type":"text","text":"Checking \"both\".","citations":null},{"type":"tool_use","id":"toolu_A","name":"get_weather","input":{"city":"Paris","n":1e2}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":20,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":60,"output_tokens_details":{"thinking_tokens":15},"service_tier":"priority"}}"#;

#[test]
fn a_whole_answer_goes_through_both_halves() {
    let id = made().id("msg_", 0);
    assert_eq!(
        round(WHOLE).unwrap(),
        WHOLE
            .replace("msg_01U", &id)
            .replace("up-model", "client-model")
            .replace(r#","citations":null"#, "")
    );
}

#[test]
fn an_answer_is_read_in_order_with_its_usage() {
    let (reply, warnings) = reply(WHOLE).unwrap();
    assert!(warnings.is_empty());
    assert!(reply.start.id.unwrap().is("msg_01U"));
    assert!(reply.start.tier.unwrap().is("priority"));
    let usage = reply.usage.unwrap();
    assert_eq!(
        (usage.input, usage.cached, usage.cache_write, usage.output),
        (125, 100, 5, 60)
    );
    let [
        Block::Reasoning {
            proof: Some(signed),
            ..
        },
        Block::Reasoning {
            proof: Some(hidden),
            text,
        },
        Block::Text { .. },
        Block::Call { arguments, .. },
    ] = reply.blocks.as_slice()
    else {
        panic!("{:?}", reply.blocks);
    };
    assert!(!signed.redacted && hidden.redacted && text.is_empty());
    assert!(arguments.is(r#"{"city":"Paris","n":1e2}"#));
}

#[test]
fn searches_citations_and_what_is_unknown() {
    let json = r#"{"content":[
      {"type":"server_tool_use","id":"srv","name":"web_search","input":{"query":"rust"}},
      {"type":"web_search_tool_result","tool_use_id":"srv","content":[]},
      {"type":"text","text":"So.","citations":[{"type":"web_search_result_location","url":"https://a","title":"A","cited_text":"c","encrypted_index":"i"},{"type":"char_location","cited_text":"x"}]},
      {"type":"tool_use","id":"t","name":"f","input":"{\"a\":1}"},
      {"type":"tool_use","id":"t2","name":"f"},
      {"type":"text","text":""},
      {"type":"hologram"}],"stop_reason":"done","usage":null}"#;
    let (reply, warnings) = reply(json).unwrap();
    let [
        Block::Hosted(search),
        Block::Text { annotations, .. },
        Block::Call {
            arguments: text, ..
        },
        Block::Call {
            arguments: none, ..
        },
    ] = reply.blocks.as_slice()
    else {
        panic!("{:?}", reply.blocks);
    };
    assert!(search.query.as_ref().unwrap().is("rust"));
    assert_eq!(annotations.len(), 1);
    assert!(text.is("{\"a\":1}") && none.is("{}"));
    assert_eq!(reply.usage, None);
    let header = warnings.header().unwrap();
    assert_eq!(header, "hologram:dropped");
    assert!(reply.finish.unknown); // the pipe says so, for whole answers and streams alike
}

#[test]
fn ids_keep_their_tail_when_it_is_long_enough() {
    let named = |id: &str| {
        let json = format!(r#"{{"id":"{id}","content":[],"stop_reason":"end_turn"}}"#);
        let body = round(&json).unwrap();
        body.split('"').nth(3).unwrap().to_owned()
    };
    assert_eq!(named("chatcmpl-0123456789"), "msg_0123456789");
    let ours = made().id("msg_", 0);
    assert_eq!(named("chatcmpl-7"), ours);
    assert_eq!(named("resp_0123456789 x"), ours);
    assert_eq!(named(""), ours);
}

#[test]
fn what_is_no_answer_is_an_error() {
    let status = |json: &str| reply(json).map(drop).unwrap_err().status();
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    assert_eq!(status(overloaded), 503);
    assert_eq!(status("{}"), 502);
    assert_eq!(status(r#"{"content":[]}"#), 502);
    assert_eq!(status(r#"{"content":[],"stop_reason":null}"#), 502);
    assert_eq!(status(r#"{"content":[],"stop_reason":"compaction"}"#), 502);
    assert_eq!(status(r#"{"content":"x","stop_reason":"end_turn"}"#), 502);
    assert_eq!(status(r#"{"content":[7],"stop_reason":"end_turn"}"#), 502);
}

fn written(reply: &Reply<'_>) -> Result<String, Error> {
    let mut out = Vec::new();
    write(reply, &cx(), &made(), &mut Warnings::default(), &mut out)?;
    json::validate(&out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let at = text.find(r#""content""#).unwrap();
    Ok(text[at..].to_owned())
}

fn of(blocks: Vec<Block<'static>>, reason: Reason) -> Reply<'static> {
    Reply {
        start: Start::default(),
        blocks,
        usage: None,
        finish: crate::protocol::neutral::Finish::of(reason),
    }
}

fn call(arguments: &'static str, whole: bool) -> Block<'static> {
    Block::Call {
        head: Opened {
            id: Text::plain("c"),
            kind: CallKind::Function,
            name: Text::plain("f"),
            namespace: None,
        },
        arguments: Text::plain(arguments),
        whole,
    }
}

const NO_USAGE: &str = r#""usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}"#;

#[test]
fn thoughts_without_proof_get_one_that_says_so_and_refusals_are_text() {
    let reply = of(
        vec![
            Block::Reasoning {
                text: Text::plain("hm"),
                proof: None,
            },
            Block::Reasoning {
                text: Text::EMPTY,
                proof: None,
            },
            Block::Refusal(Text::plain("no")),
        ],
        Reason::Done,
    );
    let expected = r#""content":[{"type":"thinking","thinking":"hm","signature":"gw1.c.e30"},{"type":"text","text":"no"}],"stop_reason":"refusal","stop_sequence":null,"#;
    assert_eq!(written(&reply).unwrap(), format!("{expected}{NO_USAGE}"));
}

#[test]
fn case_30_arguments_that_are_no_object_are_an_error_unless_the_limit_cut_them() {
    for bad in ["[1]", "\"x\"", "{\"a\":", "{\"a\":tru}"] {
        let error = written(&of(vec![call(bad, true)], Reason::Done)).unwrap_err();
        assert_eq!(error.message, "invalid tool arguments from upstream");
        assert_eq!(error.status(), 502);
    }
    let cut = r#""content":[],"stop_reason":"max_tokens","stop_sequence":null,"#;
    for whole in [true, false] {
        let reply = of(vec![call("{\"a\":", whole)], Reason::Length);
        assert_eq!(written(&reply).unwrap(), format!("{cut}{NO_USAGE}"));
    }
    let none = r#""content":[{"type":"tool_use","id":"c","name":"f","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"#;
    let reply = of(vec![call("", true)], Reason::Done);
    assert_eq!(written(&reply).unwrap(), format!("{none}{NO_USAGE}"));
}

#[test]
fn case_26_a_whole_answer_becomes_a_stream() {
    let mut warnings = Warnings::default();
    let stream = replay(
        Protocol::Messages,
        Protocol::Messages,
        &cx(),
        &made(),
        WHOLE.as_bytes(),
        &mut warnings,
    )
    .unwrap();
    let stream = String::from_utf8(stream).unwrap();
    let names: Vec<&str> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(names.first(), Some(&"message_start"));
    assert_eq!(names.last(), Some(&"message_stop"));
    assert_eq!(
        names
            .iter()
            .filter(|name| **name == "content_block_stop")
            .count(),
        4
    );
}

#[test]
fn mutations_are_errors_or_sound_answers_never_a_panic() {
    let mut dice = Dice::new(0x616e_7377);
    let spice = br#"{}[]",:\nulltrue0-1.e"#;
    for _ in 0..4000 {
        let mutant = dice.mutate(WHOLE.as_bytes(), spice);
        if json::validate(&mutant).is_ok() {
            let _ = round(&String::from_utf8(mutant).unwrap());
        }
    }
}
