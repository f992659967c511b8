//! What must hold of the twin's halves together: a written answer is read as what it was, whole and as a stream; a request that
//! went through once goes through a second time unchanged.

use super::response;
use super::stream::Writer;
use super::testing::{body, check_life_cycle, tame, trace};
use crate::protocol::Protocol::Responses;
use crate::protocol::gather::Gather;
use crate::protocol::neutral::{
    Annotation, CallKind, Event, Finish, Keyed, Open, Opened, Owner, Piece, Proof, Reason, Reply,
    Start, Usage,
};
use crate::protocol::testing::{convert_request, convert_response, cx, made};
use crate::protocol::text::Text;
use crate::protocol::{Caps, Protocol, Warnings, Written};
use crate::wire::Dice;
use crate::wire::json::{self, Object};

const WORDS: [&str; 6] = ["a", "é😀", "\n\n", "\"q\"", "\\", "long words with blanks"];

fn word(dice: &mut Dice) -> Text<'static> {
    Text::plain(WORDS[dice.below(WORDS.len())])
}

/// Events of an answer as the grammar allows them.
fn answer(dice: &mut Dice) -> Vec<Event<'static>> {
    let mut events = vec![Event::Start(Start::default())];
    let mut calls = 0;
    for _ in 0..dice.below(6) {
        let mut deltas = 1 + dice.below(3);
        match dice.below(5) {
            0 => {
                events.push(Event::Open(Open::Text));
                for _ in 0..deltas {
                    events.push(Event::Delta(Piece::text(word(dice))));
                }
                if dice.below(2) == 0 {
                    events.push(Event::Annotation(Annotation {
                        url: Text::plain("https://a"),
                        title: Some(Text::plain("T")),
                        span: Some((0, 1)),
                        cited: None,
                    }));
                }
            }
            1 => {
                events.push(Event::Open(Open::Refusal));
                events.push(Event::Delta(Piece::Refusal(word(dice))));
            }
            2 => {
                events.push(Event::Open(Open::Reasoning));
                let proof = dice.below(2) == 0;
                deltas -= usize::from(proof);
                for _ in 0..deltas {
                    events.push(Event::Delta(Piece::Reasoning(word(dice))));
                }
                if proof {
                    let proof = Proof::native(Owner::Responses, Text::plain("gAAA"));
                    events.push(Event::Delta(Piece::Proof(proof)));
                }
            }
            kind => {
                calls += 1;
                events.push(Event::Open(Open::Call(Opened {
                    id: Text::owned(format!("c{calls}")),
                    kind: if kind == 3 {
                        CallKind::Function
                    } else {
                        CallKind::Custom
                    },
                    name: Text::plain("f"),
                    namespace: None,
                })));
                for _ in 0..deltas {
                    events.push(Event::Delta(Piece::Arguments(word(dice))));
                }
            }
        }
        events.push(Event::Close { whole: true });
    }
    events.push(Event::Usage(Usage {
        input: dice.below(100) as u64,
        output: 7,
        reasoning: Some(3),
        ..Usage::default()
    }));
    let reasons = [Reason::Done, Reason::Length, Reason::Filtered];
    events.push(Event::Finish(Finish::of(reasons[dice.below(3)])));
    events
}

/// The events in short, deltas joined, without the ids that were made.
fn told(lines: &[String]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for line in lines.iter().filter(|line| !line.starts_with("start")) {
        let line = line.split_once(' ').map_or("", |(_, rest)| rest);
        let line = match line.strip_prefix("proof ") {
            Some(proof) => format!("proof {}", proof.rsplit(' ').next().unwrap_or_default()),
            None => line.to_owned(),
        };
        match (told.last_mut(), line.strip_prefix("+ ")) {
            (Some(last), Some(more)) if last.starts_with("+ ") => last.push_str(more),
            _ => told.push(line),
        }
    }
    told
}

fn lines(events: &[Event<'static>]) -> Vec<String> {
    let line = |event: &Event<'static>| {
        super::testing::line(&Keyed {
            block: 0,
            event: event.clone(),
        })
    };
    events.iter().map(line).collect()
}

fn gathered(events: &[Event<'static>]) -> Reply<'static> {
    let mut gather = Gather::default();
    for event in events {
        gather.take(event).unwrap();
    }
    gather.reply().unwrap()
}

#[test]
fn what_was_written_is_read_again() {
    let cx = cx(Responses, Responses);
    let mut dice = Dice::new(5);
    for round in 0..500 {
        let events = answer(&mut dice);
        let mut writer = Writer::new(&cx, &made());
        let mut stream = Vec::new();
        for event in &events {
            writer.write(event, &cx, &mut stream).unwrap();
        }
        let stream = String::from_utf8(stream).unwrap();
        check_life_cycle(&stream);
        assert_eq!(
            told(&trace(&stream)),
            told(&lines(&events)),
            "round {round}"
        );
        // The whole answer holds what the last event of the stream does, and is read alike.
        let mut whole = Written::default();
        let reply = gathered(&events);
        let mut warnings = Warnings::default();
        response::write(&reply, &cx, &made(), &mut warnings, &mut whole).unwrap();
        let whole = whole.body;
        let last = super::testing::last_response(&tame(&stream));
        let whole_text = tame(std::str::from_utf8(&whole).unwrap());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&whole_text).unwrap(),
            last
        );
        let object = Object::parse(&whole).unwrap();
        let read = response::read(object, &cx, &mut warnings).unwrap();
        assert_eq!(format!("{:?}", read.finish), format!("{:?}", reply.finish));
        assert_eq!(read.usage, reply.usage);
        assert_eq!(read.blocks.len(), reply.blocks.len(), "round {round}");
        assert!(warnings.is_empty());
    }
}

#[test]
fn a_request_that_went_through_goes_through_unchanged() {
    let request = r#"{"model":"up","instructions":"I","input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/png;base64,iVBOR"},{"type":"input_file","file_data":"data:application/pdf;base64,JVBE"}]},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"x"}],"encrypted_content":"gAAA"},{"role":"assistant","content":"b"},{"type":"custom_tool_call","call_id":"c","name":"p","input":"free"},{"type":"custom_tool_call_output","call_id":"c","output":[{"type":"input_image","image_url":"https://x/y.png"}]},{"role":"system","content":"late"},{"role":"user","content":"c"}],"tools":[{"type":"custom","name":"p","format":{"type":"grammar","syntax":"lark","definition":"g"}},{"type":"function","name":"f","strict":true},{"type":"web_search","filters":{"allowed_domains":["a.b"]},"user_location":{"city":"X"}}],"tool_choice":{"type":"custom","name":"p"},"parallel_tool_calls":false,"max_output_tokens":99,"temperature":0.70,"reasoning":{"effort":"low","summary":"auto"},"text":{"format":{"type":"json_object"},"verbosity":"low"},"metadata":{"a":"b"},"safety_identifier":"s","prompt_cache_key":"k","include":["message.output_text.logprobs"],"top_logprobs":1,"stream":true,"stream_options":{"include_obfuscation":false}}"#;
    let caps = Caps::of("openai", "gpt-5.5");
    for caps in [caps, Caps::default()] {
        let (once, warnings) = body(Responses, Responses, &caps, request);
        let (twice, again) = body(Responses, Responses, &caps, &once);
        assert_eq!(once, twice);
        // Only sampling, which a reasoning model does not take, may be lost, and only the first time.
        assert!(
            warnings.is_empty() || warnings == "temperature:unsupported",
            "{warnings}"
        );
        assert_eq!(again, "");
    }
}

/// Whatever comes, there is no panic, and what goes out is as sound as what came.
#[test]
fn mutated_bodies_never_break_what_goes_out() {
    const REQUEST: &str = r#"{"model":"m","instructions":"I","input":[{"type":"additional_tools","tools":[{"type":"namespace","name":"n","tools":[{"type":"custom","name":"e","format":{"type":"grammar","syntax":"lark","definition":"g"}}]}]},{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/png;base64,iVBOR"}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"x"}],"encrypted_content":"gw1.r.e30"},{"type":"local_shell_call","call_id":"c","action":{"type":"exec","command":["ls"],"env":{}},"status":"completed"},{"type":"local_shell_call_output","id":"c","output":"1"},{"type":"shell_call_output","call_id":"d","output":[{"stdout":"a","stderr":"b","outcome":{"type":"exit","exit_code":1}}]},{"type":"shell_call","call_id":"d","action":{"commands":["x"]},"status":"completed"}],"tools":[{"type":"local_shell"},{"type":"web_search"}],"tool_choice":"auto","reasoning":{"effort":"low"},"store":false,"include":["reasoning.encrypted_content"]}"#;
    const ANSWER: &str = r#"{"id":"r","status":"completed","output":[{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"x"}],"encrypted_content":"g"},{"type":"message","content":[{"type":"output_text","text":"\u00e9","annotations":[{"type":"url_citation","url":"u","start_index":0,"end_index":1}],"logprobs":[{"token":"a"}]}]},{"type":"function_call","id":"f","call_id":"c","name":"f","arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#;
    let caps = Caps::default();
    let mut dice = Dice::new(3);
    let spice = b"{}[]\":,\\ nu0";
    for _ in 0..3000 {
        let mutated = dice.mutate(REQUEST.as_bytes(), spice);
        for to in Protocol::ALL {
            if let Ok(done) = convert_request(Responses, to, &caps, "up", &mutated) {
                let sound = json::validate(&mutated).is_err() || json::validate(&done.body).is_ok();
                assert!(sound, "{}", String::from_utf8_lossy(&mutated));
            }
        }
        let mutated = dice.mutate(ANSWER.as_bytes(), spice);
        for client in Protocol::ALL {
            let cx = cx(client, Responses);
            let mut warnings = Warnings::default();
            let out = convert_response(Responses, client, &cx, &made(), &mutated, &mut warnings);
            if let Ok(out) = out {
                assert!(
                    json::validate(&out).is_ok(),
                    "{}",
                    String::from_utf8_lossy(&mutated)
                );
            }
        }
    }
}
