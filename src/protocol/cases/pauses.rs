//! Case 58, `pause_turn`: an upstream's turn in several streams is one answer for the client, in its grammar.

use crate::protocol::Protocol::{self, Chat, Messages, Responses};
use crate::protocol::testing::{check_grammar, convert_request, cx, made, transcript};
use crate::protocol::{Caps, Collector, Context, Translator, Warnings};

fn pausing(client: Protocol) -> Context {
    Context {
        pauses: true,
        ..cx(client, Messages)
    }
}

/// The transcript up to the end of its text, paused there.
fn paused() -> String {
    let whole = transcript(Messages);
    let calls = whole
        .find("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2");
    let calls = calls.or_else(|| whole.find(r#"data: {"type":"content_block_start","index":2"#));
    let end = whole.find(r#"{"type":"message_delta""#).unwrap();
    let end = whole[end..].to_owned();
    let end = end.replace(
        r#""stop_reason":"tool_use""#,
        r#""stop_reason":"pause_turn""#,
    );
    format!("{}data: {end}", &whole[..calls.unwrap()])
}

fn feed(translator: &mut Translator, stream: &str, piece: usize, out: &mut Vec<u8>) {
    for piece in stream.as_bytes().chunks(piece) {
        translator.feed(piece, out).unwrap();
    }
    translator.finish(out).unwrap();
}

#[test]
fn three_streams_are_one_answer_however_they_are_cut() {
    for client in [Chat, Responses] {
        let mut all = Vec::new();
        for piece in [1, 7, 1 << 20] {
            let mut translator = Translator::new(Messages, client, pausing(client), made());
            let mut out = Vec::new();
            for part in 1..3 {
                feed(&mut translator, &paused(), piece, &mut out);
                assert!(translator.is_paused() && !translator.is_finished());
                let said = std::str::from_utf8(translator.said()).unwrap();
                assert_eq!(said.matches("\"signature\":\"EqQBSIG\"").count(), part);
                assert!(translator.held_bytes() >= said.len());
                translator.go_on();
            }
            feed(&mut translator, transcript(Messages), piece, &mut out);
            assert!(translator.is_finished());
            check_grammar(client, &out, true);
            // Each of the three cost 120 and 60.
            let usage = translator.usage().unwrap();
            assert_eq!((usage.input, usage.output), (360, 180));
            assert_eq!(usage.reasoning, Some(45));
            all.push(out);
        }
        assert!(all.iter().all(|out| *out == all[0]));
    }
}

#[test]
fn a_stream_that_fails_after_a_pause_is_no_answer() {
    for client in [Chat, Responses] {
        let mut translator = Translator::new(Messages, client, pausing(client), made());
        let mut out = Vec::new();
        feed(&mut translator, &paused(), 64, &mut out);
        translator.go_on();
        let whole = transcript(Messages);
        let half = &whole[..whole.len() / 2];
        translator.feed(half.as_bytes(), &mut out).unwrap();
        let error = translator.finish(&mut out).unwrap_err();
        translator.fail(&error, &mut out);
        check_grammar(client, &out, false);
    }
}

#[test]
fn a_whole_answer_is_made_of_all_the_streams() {
    let mut collector = Collector::new(Messages, Chat, pausing(Chat), made());
    collector.feed(paused().as_bytes()).unwrap();
    collector.end().unwrap();
    assert!(collector.is_paused() && !collector.is_finished());
    collector.go_on();
    collector.feed(transcript(Messages).as_bytes()).unwrap();
    let mut warnings = Warnings::default();
    let body = String::from_utf8(collector.finish(&mut warnings).unwrap().body).unwrap();
    assert_eq!(body.matches("Checking both.").count(), 2, "{body}");
    assert!(body.contains(r#""finish_reason":"tool_calls""#), "{body}");
    assert!(warnings.is_empty());
}

#[test]
fn ten_times_and_then_it_ends_at_the_limit() {
    let mut translator = Translator::new(Messages, Chat, pausing(Chat), made());
    let mut out = Vec::new();
    for _ in 0..10 {
        feed(&mut translator, &paused(), 1 << 20, &mut out);
        assert!(translator.is_paused());
        translator.go_on();
    }
    feed(&mut translator, &paused(), 1 << 20, &mut out);
    assert!(translator.is_finished() && !translator.is_paused());
    check_grammar(Chat, &out, true);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""finish_reason":"length""#), "{out}");
    assert_eq!(
        translator.warnings().header().unwrap(),
        "stop_reason:paused"
    );
}

#[test]
fn a_paused_turn_with_a_call_is_the_clients() {
    let stream = transcript(Messages);
    let stream = stream.replace(
        r#""stop_reason":"tool_use""#,
        r#""stop_reason":"pause_turn""#,
    );
    let mut translator = Translator::new(Messages, Chat, pausing(Chat), made());
    let mut out = Vec::new();
    feed(&mut translator, &stream, 1 << 20, &mut out);
    assert!(translator.is_finished());
    check_grammar(Chat, &out, true);
}

#[test]
fn only_an_upstream_that_runs_tools_of_its_own_may_pause() {
    let caps = Caps {
        web_search: true,
        ..Caps::of("anthropic", "claude-opus-4-6")
    };
    let pauses = |from, members: &str| {
        let body = match from {
            Chat => {
                format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}]{members}}}"#)
            }
            _ => format!(r#"{{"model":"m","input":"a"{members}}}"#),
        };
        let done = convert_request(from, Messages, &caps, "claude-opus-4-6", body.as_bytes());
        done.unwrap().context.pauses
    };
    assert!(pauses(Chat, r#","web_search_options":{}"#));
    assert!(pauses(Responses, r#","tools":[{"type":"web_search"}]"#));
    assert!(!pauses(Responses, ""));
    let function = r#","tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}]"#;
    assert!(!pauses(Responses, function));
}
