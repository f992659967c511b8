//! Seeded mutation of transcripts and requests: whatever comes, there is no panic, and what goes out is well formed. That a
//! stream that lost its end is never told as a whole one is a law of its own (cases/laws.rs).

use super::testing::{check_grammar, convert_request, convert_response, cx, made, run, transcript};
use super::{Caps, Protocol, Translator, Warnings};
use crate::wire::Dice;
use crate::wire::json;

/// Pairs that are there; a pair that is not refuses everything, which tests nothing.
fn pairs() -> Vec<(Protocol, Protocol)> {
    let all = Protocol::ALL
        .into_iter()
        .flat_map(|from| Protocol::ALL.map(|to| (from, to)));
    all.filter(|&(upstream, client)| {
        let mut translator = Translator::new(upstream, client, cx(client, upstream), made());
        let mut out = Vec::new();
        translator
            .feed(transcript(upstream).as_bytes(), &mut out)
            .is_ok()
    })
    .collect()
}

#[test]
fn mutated_streams_never_break_what_goes_out() {
    let seed = 7;
    let mut dice = Dice::new(seed);
    for (upstream, client) in pairs() {
        for round in 0..400 {
            let stream = dice.mutate(transcript(upstream).as_bytes(), b"{}[]\":,\\\n u0\x80");
            let mut translator = Translator::new(upstream, client, cx(client, upstream), made());
            let mut out = Vec::new();
            let mut result = Ok(());
            for piece in stream.chunks(1 + dice.below(900)) {
                result = result.and_then(|()| translator.feed(piece, &mut out));
            }
            let result = result.and_then(|()| translator.finish(&mut out));
            if let Err(error) = &result {
                translator.fail(error, &mut out);
            }
            let place = format!("seed {seed}, {upstream:?} to {client:?}, round {round}");
            assert_eq!(result.is_ok(), translator.is_finished(), "{place}");
            check_grammar(client, &out, result.is_ok());
        }
    }
}

/// Read at once, deltas that are alike take the fast lane; byte by byte each is read in full.
#[test]
fn mutated_streams_say_the_same_at_once_and_byte_by_byte() {
    let seed = 23;
    let mut dice = Dice::new(seed);
    for (upstream, client) in pairs() {
        let frames = transcript(upstream).split_inclusive("\n\n");
        let stream: String = frames
            .map(|frame| frame.repeat(if frame.contains("delta") { 4 } else { 1 }))
            .collect();
        for round in 0..60 {
            let mut stream = stream.clone().into_bytes();
            for _ in 0..dice.below(4) {
                stream = dice.mutate(&stream, b"{}[]\":,\\\n u0\x80");
            }
            let whole = run(upstream, client, &cx(client, upstream), [&stream[..]]);
            let bytewise = run(upstream, client, &cx(client, upstream), stream.chunks(1));
            let place = format!("seed {seed}, {upstream:?} to {client:?}, round {round}");
            assert_eq!(whole, bytewise, "{place}");
        }
    }
}

#[test]
fn mutated_bodies_never_break_what_goes_out() {
    const REQUEST: &str = r#"{"model":"m","max_tokens":9,"messages":[{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}}]},{"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"tool_choice":"auto","stop":["x"],"response_format":{"type":"json_object"}}"#;
    const ANSWER: &str = r#"{"id":"c","choices":[{"index":0,"message":{"content":"x","reasoning":"r","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let mut dice = Dice::new(11);
    let spice = b"{}[]\":,\\ nu0";
    for _ in 0..3000 {
        for to in Protocol::ALL {
            let body = dice.mutate(REQUEST.as_bytes(), spice);
            let caps = Caps::default();
            if let Ok(done) = convert_request(Protocol::Chat, to, &caps, "up", &body) {
                // What lies inside members that are only carried is as sound as it came.
                let sound = json::validate(&body).is_err() || json::validate(&done.body).is_ok();
                assert!(sound, "{}", String::from_utf8_lossy(&body));
            }
        }
        let body = dice.mutate(ANSWER.as_bytes(), spice);
        for client in Protocol::ALL {
            let context = cx(client, Protocol::Chat);
            let out = convert_response(
                Protocol::Chat,
                client,
                &context,
                &made(),
                &body,
                &mut Warnings::default(),
            );
            if let (Ok(out), true) = (out, json::validate(&body).is_ok()) {
                assert!(
                    json::validate(&out).is_ok(),
                    "{}",
                    String::from_utf8_lossy(&body)
                );
            }
        }
    }
}
