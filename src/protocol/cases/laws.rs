//! What must hold for every answer, not only for those of the cases: random ones are written in each protocol, translated into
//! each other one and read back, and say the same; and a stream that was cut anywhere is either complete or an error.

use crate::error::Error;
use crate::protocol::Protocol::{Chat, Messages, Responses};
use crate::protocol::gather::Gather;
use crate::protocol::neutral::{
    Block, CallKind, Event, Finish, Open, Opened, Owner, Piece, Proof, Reason, Reply, Start, Usage,
};
use crate::protocol::pipe::{each_stream_event, passes, through_events};
use crate::protocol::responses::state;
use crate::protocol::testing::{check_grammar, convert_response, cx, made, transcript};
use crate::protocol::text::Text;
use crate::protocol::twins::{Writer, write_reply};
use crate::protocol::{Protocol, Translator, Warnings, Written, carrier, replay};
use crate::wire::Dice;
use crate::wire::json::{Object, Raw};

const WORDS: [&str; 7] = [
    "plain ",
    "é😀",
    "line\n",
    "\"quoted\"",
    "\\u00e9\\",
    "\u{2028}\t",
    "</think>",
];

/// A random answer, as far as each of the three protocols can say it.
struct Answer {
    events: Vec<Event<'static>>,
}

impl Answer {
    /// `owner`: whose proofs its thoughts carry; `thoughts_max`: Chat has one place for all of them.
    fn random(dice: &mut Dice, owner: Owner, thoughts_max: usize) -> Answer {
        let mut events = vec![Event::Start(Start::default())];
        let reason = [Reason::Done, Reason::Done, Reason::Length][dice.below(3)];
        let mut thoughts = 0;
        let mut calls = 0;
        for _ in 0..dice.below(7) {
            let deltas = 1 + dice.below(4);
            match dice.below(6) {
                0 if thoughts < thoughts_max => {
                    thoughts += 1;
                    events.push(Event::Open(Open::Reasoning));
                    for _ in 0..deltas {
                        events.push(Event::Delta(Piece::Reasoning(word(dice))));
                    }
                    // Claude signs each thought; OpenAI encrypts some.
                    let signed = owner == Owner::Messages || dice.below(3) > 0;
                    if owner != Owner::Chat && signed {
                        let value = Text::owned(format!("proof-{thoughts}"));
                        events.push(Event::Delta(Piece::Proof(Proof::native(owner, value))));
                    }
                }
                1 | 2 => {
                    calls += 1;
                    events.push(Event::Open(Open::Call(Opened {
                        id: Text::owned(format!("call_{calls}")),
                        kind: CallKind::Function,
                        name: Text::plain(["read", "write"][dice.below(2)]),
                        namespace: None,
                    })));
                    for piece in arguments(dice, reason) {
                        events.push(Event::Delta(Piece::Arguments(piece)));
                    }
                }
                3 => {
                    events.push(Event::Open(Open::Refusal));
                    events.push(Event::Delta(Piece::Refusal(word(dice))));
                }
                _ => {
                    events.push(Event::Open(Open::Text));
                    for _ in 0..deltas {
                        events.push(Event::Delta(Piece::text(word(dice))));
                    }
                }
            }
            events.push(Event::Close { whole: true });
        }
        let cached = dice.below(50) as u64;
        events.push(Event::Usage(Usage {
            input: cached + dice.below(1000) as u64,
            cached,
            output: 20 + dice.below(1000) as u64,
            reasoning: Some(dice.below(20) as u64),
            ..Usage::default()
        }));
        events.push(Event::Finish(Finish::of(reason)));
        Answer { events }
    }

    /// Its stream in that protocol.
    fn stream(&self, protocol: Protocol) -> Vec<u8> {
        // The upstream behind this one does not matter, as long as it is none that joins texts by empty lines.
        let behind = if protocol == Messages { Chat } else { Messages };
        let context = cx(protocol, behind);
        let mut writer = Writer::new(protocol, &context, &made());
        let mut out = Vec::new();
        for event in &self.events {
            writer.write(event, &context, &mut out).unwrap();
        }
        out
    }

    fn reply(&self) -> Reply<'static> {
        let mut gather = Gather::default();
        for event in &self.events {
            gather.take(event).unwrap();
        }
        gather.reply().unwrap()
    }
}

fn word(dice: &mut Dice) -> Text<'static> {
    Text::plain(WORDS[dice.below(WORDS.len())])
}

/// A JSON object in pieces, or nothing; at the output limit something, since nothing may then be a call that was cut.
fn arguments(dice: &mut Dice, reason: Reason) -> Vec<Text<'static>> {
    let all = [
        r#"{"a":1e2}"#,
        r#"{"path":"x\"é😀\n","n":[{"a":"}"},null]}"#,
        "{}",
        "",
    ];
    let count = if reason == Reason::Length { 2 } else { 4 };
    let all = all[dice.below(count)];
    let mut pieces = Vec::new();
    let mut rest = all;
    while !rest.is_empty() {
        let most = rest.chars().count().min(9);
        let count = 1 + dice.below(most);
        let at = rest
            .char_indices()
            .nth(count)
            .map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(at);
        pieces.push(Text::plain(piece).into_owned());
        rest = after;
    }
    pieces
}

/// What an answer says, in a form that all protocols can hold: neighbours of one kind are one, empty lines between them (which
/// Chat puts there) are left out, and for Messages a refusal is text and the reason.
#[derive(Debug, PartialEq)]
struct Said {
    parts: Vec<(&'static str, String)>,
    /// The proofs of its thoughts, unwrapped.
    proofs: Vec<String>,
    reason: Reason,
    usage: Option<Usage>,
}

impl Said {
    fn of(reply: &Reply<'_>, owner: Owner, refusals: bool) -> Said {
        let mut said = Said {
            parts: Vec::new(),
            proofs: Vec::new(),
            reason: reply.finish.reason,
            usage: reply.usage,
        };
        for block in &reply.blocks {
            match block {
                Block::Text { text, .. } => said.add("text", text),
                Block::Refusal(text) if refusals => said.add("refusal", text),
                Block::Refusal(text) => {
                    said.add("text", text);
                    said.reason = Reason::Filtered;
                }
                Block::Reasoning { text, proof } => {
                    said.add("thought", text);
                    let open = |proof: &Proof<'_>| {
                        let opened = carrier::unwrap(proof.value.borrow(), proof.owner)?;
                        (opened.owner == owner).then(|| opened.value.decode().into_owned())
                    };
                    said.proofs.extend(proof.as_ref().and_then(open));
                }
                Block::Call {
                    head,
                    arguments,
                    whole,
                } => {
                    let arguments = match arguments.decode() {
                        text if text.trim().is_empty() => "{}".into(),
                        text => text.into_owned(),
                    };
                    let (name, id) = (head.name.decode(), head.id.decode());
                    let kind = if *whole { "call" } else { "cut call" };
                    let text = format!("{name} {id} {arguments}");
                    said.parts.push((kind, text));
                }
                Block::Hosted(hosted) => said
                    .parts
                    .push(("hosted", hosted.name.decode().into_owned())),
            }
        }
        said
    }

    /// For whole answers of Chat, which keep no order between kinds.
    fn grouped(mut self) -> Said {
        let parts = std::mem::take(&mut self.parts);
        for kind in ["thought", "text", "refusal", "call", "cut call"] {
            for (_, text) in parts.iter().filter(|(of, _)| *of == kind) {
                match kind {
                    "call" | "cut call" => self.parts.push((kind, text.clone())),
                    _ => self.add(kind, &Text::plain(text)),
                }
            }
        }
        self
    }

    /// For Messages, where a text of nothing but white space is no block.
    fn without_blanks(mut self) -> Said {
        for (kind, text) in std::mem::take(&mut self.parts) {
            match kind {
                "text" => {
                    let words: String = text.split_whitespace().collect();
                    self.add(kind, &Text::plain(&words));
                }
                "call" | "cut call" | "hosted" => self.parts.push((kind, text)),
                _ => self.add(kind, &Text::plain(&text)),
            }
        }
        self
    }

    fn add(&mut self, kind: &'static str, text: &Text<'_>) {
        let text = text.decode().replace("\n\n", "");
        match self.parts.last_mut() {
            Some((last, all)) if *last == kind => {
                all.push_str(&text);
                *all = all.replace("\n\n", "");
            }
            _ if text.is_empty() => {}
            _ => self.parts.push((kind, text)),
        }
    }
}

/// A client's stream as our own reader of that protocol understands it.
fn read(protocol: Protocol, stream: &[u8]) -> Result<Reply<'static>, Error> {
    let client = if protocol == Chat { Responses } else { Chat };
    let mut gather = Gather::default();
    each_stream_event(
        protocol,
        cx(client, protocol),
        made(),
        stream,
        &mut |event| {
            gather.take(event).unwrap();
        },
    )?;
    Ok(gather.reply().expect("it finished"))
}

fn translated(from: Protocol, to: Protocol, stream: &[u8]) -> (Vec<u8>, Result<(), Error>) {
    let mut translator = Translator::new(from, to, cx(to, from), made());
    let mut out = Vec::new();
    let result = translator.feed(stream, &mut out);
    let result = result.and_then(|()| translator.finish(&mut out));
    if let Err(error) = &result {
        translator.fail(error, &mut out);
    }
    (out, result)
}

fn directions() -> impl Iterator<Item = (Protocol, Protocol)> {
    let all = Protocol::ALL
        .into_iter()
        .flat_map(|from| Protocol::ALL.map(|to| (from, to)));
    all.filter(|(from, to)| from != to)
}

/// Chat tells several thoughts as one.
fn thoughts_max(from: Protocol, to: Protocol) -> usize {
    if from == Chat || to == Chat { 1 } else { 3 }
}

#[test]
fn what_a_writer_wrote_our_reader_reads() {
    for protocol in Protocol::ALL {
        let mut dice = Dice::new(11);
        for round in 0..300 {
            let owner = Owner::of(protocol);
            let answer = Answer::random(&mut dice, owner, thoughts_max(protocol, protocol));
            let stream = answer.stream(protocol);
            let context = || format!("{protocol:?} {round}: {}", String::from_utf8_lossy(&stream));
            let found = read(protocol, &stream).unwrap_or_else(|e| panic!("{e}: {}", context()));
            let refusals = protocol != Messages;
            let mut heard = Said::of(&found, owner, refusals);
            let mut meant = Said::of(&answer.reply(), owner, refusals);
            if protocol == Messages {
                (heard, meant) = (heard.without_blanks(), meant.without_blanks());
            }
            assert_eq!(heard, meant, "{}", context());
        }
    }
}

#[test]
fn what_an_upstream_said_its_client_hears_in_all_directions() {
    for (from, to) in directions() {
        let mut dice = Dice::new(23);
        for round in 0..200 {
            let owner = Owner::of(from);
            let answer = Answer::random(&mut dice, owner, thoughts_max(from, to));
            let stream = answer.stream(from);
            let (out, result) = translated(from, to, &stream);
            let context = || {
                let (stream, out) = (
                    String::from_utf8_lossy(&stream),
                    String::from_utf8_lossy(&out),
                );
                format!("{from:?} to {to:?}, {round}:\n{stream}\n{out}")
            };
            assert_eq!(result, Ok(()), "{}", context());
            let found = read(to, &out).unwrap_or_else(|e| panic!("{e}: {}", context()));
            let refusals = from != Messages && to != Messages;
            let mut heard = Said::of(&found, owner, refusals);
            let mut meant = Said::of(&answer.reply(), owner, refusals);
            if from == Messages || to == Messages {
                (heard, meant) = (heard.without_blanks(), meant.without_blanks());
            }
            if to == Chat {
                // Our reader of Chat looks for no carriers: only clients send them back.
                heard.proofs.clear();
                meant.proofs.clear();
            }
            assert_eq!(heard, meant, "{}", context());
        }
    }
}

#[test]
fn whole_and_streamed_say_the_same_in_all_directions() {
    for (from, to) in directions() {
        let mut dice = Dice::new(31);
        for round in 0..100 {
            let answer = Answer::random(&mut dice, Owner::of(from), thoughts_max(from, to));
            let mut body = Written::default();
            let mut warnings = Warnings::default();
            let behind = cx(from, if from == Messages { Chat } else { Messages });
            let reply = answer.reply();
            crate::protocol::twins::write_reply(
                from,
                &reply,
                &behind,
                &made(),
                &mut warnings,
                &mut body,
            )
            .unwrap();
            let body = body.body;
            let context = cx(to, from);
            let place = format!(
                "{from:?} to {to:?}, {round}: {}",
                String::from_utf8_lossy(&body)
            );
            let whole = convert_response(from, to, &context, &made(), &body, &mut warnings)
                .unwrap_or_else(|e| panic!("{e}: {place}"));
            let events = replay(from, to, &context, &made(), &body, &mut warnings).unwrap();
            // The whole answer, told as a stream of its own protocol, is the stream.
            let again = replay(to, to, &cx(to, to), &made(), &whole, &mut warnings).unwrap();
            let owner = Owner::of(from);
            let refusals = from != Messages && to != Messages;
            let of = |stream: &[u8]| {
                let reply = read(to, stream).unwrap_or_else(|e| panic!("{e}: {place}"));
                let said = Said::of(&reply, owner, refusals);
                if to == Chat { said.grouped() } else { said }
            };
            assert_eq!(of(&again), of(&events), "{place}");
        }
    }
}

#[test]
fn an_answer_that_passes_is_written_as_its_events_would_be() {
    let mut passed = 0;
    for (from, to) in directions() {
        let mut dice = Dice::new(53);
        for round in 0..200 {
            let answer = Answer::random(&mut dice, Owner::Chat, thoughts_max(from, to));
            let (reply, cx) = (answer.reply(), cx(to, from));
            if !passes(&reply, &cx) {
                continue;
            }
            passed += 1;
            let written = |reply: &Reply<'_>| {
                let (mut out, mut warnings) = (Written::default(), Warnings::default());
                write_reply(to, reply, &cx, &made(), &mut warnings, &mut out).unwrap();
                (String::from_utf8(out.body).unwrap(), warnings)
            };
            let mut found = Warnings::default();
            let long_way = through_events(reply.clone(), &cx, &made(), &mut found).unwrap();
            assert!(found.is_empty());
            assert_eq!(
                written(&reply),
                written(&long_way),
                "{from:?} to {to:?}, {round}"
            );
        }
    }
    assert!(passed > 300, "{passed}");
}

#[test]
fn what_is_noted_of_an_answer_is_what_reading_it_finds() {
    let mut dice = Dice::new(59);
    let mut cx = cx(Responses, Chat);
    for round in 0..200 {
        let reply = Answer::random(&mut dice, Owner::Chat, 3).reply();
        let mut written = |keeps: bool| {
            cx.keeps = keeps;
            let (mut out, mut warnings) = (Written::default(), Warnings::default());
            write_reply(Responses, &reply, &cx, &made(), &mut warnings, &mut out).unwrap();
            out
        };
        let out = written(true);
        let object = Object::parse(&out.body).unwrap();
        let noted = out.places.answered(&out.body).unwrap();
        assert_eq!(object.get("id").unwrap().as_str().unwrap(), noted.id);
        let items: Vec<&str> = object
            .get("output")
            .unwrap()
            .elements()
            .unwrap()
            .map(Raw::text)
            .collect();
        let texts: Vec<&str> = noted.items.iter().map(|item| item.text).collect();
        assert_eq!(texts, items, "{round}");
        for item in &noted.items {
            assert!(item.id.is_some());
            assert_eq!(item.id, state::item_id(item.text), "{round}");
        }
        assert_eq!(written(false).places, state::Places::default());
    }
}

#[test]
fn what_has_to_be_translated_does_not_pass() {
    let plain = cx(Chat, Messages);
    let reply = |block| Reply {
        start: Start::default(),
        blocks: vec![block],
        usage: None,
        finish: Finish::of(Reason::Done),
    };
    let text = |text| Block::Text {
        text: Text::constant(text),
        annotations: Vec::new(),
        logprobs: String::new(),
    };
    assert!(passes(&reply(text("a")), &plain));
    let mut stopped = plain.clone();
    stopped.stops.push("END".to_owned());
    assert!(!passes(&reply(text("a")), &stopped));
    let mut limited = plain.clone();
    limited.limit = Some(1);
    assert!(!passes(&reply(text("a")), &limited));
    let proved = Block::Reasoning {
        text: Text::EMPTY,
        proof: Some(Proof::native(Owner::Messages, Text::constant("p"))),
    };
    assert!(!passes(&reply(proved), &plain));
}

/// Cuts a stream after each byte: the client gets an error, or all that was said.
fn check_cuts(from: Protocol, to: Protocol, stream: &[u8], step: usize) {
    let (out, result) = translated(from, to, stream);
    assert_eq!(result, Ok(()), "{from:?} to {to:?}");
    let shape = |out: &[u8]| {
        let reply = read(to, out).ok()?;
        let mut said = Said::of(&reply, Owner::of(from), true);
        // Chat tells the totals after the end, so they may be lost with it.
        said.usage = said.usage.filter(|_| from != Chat);
        Some(said)
    };
    let whole = shape(&out).expect("what was translated can be read");
    let mut last = (Vec::new(), None);
    for at in (0..stream.len()).step_by(step) {
        let (out, result) = translated(from, to, &stream[..at]);
        if last.0 != out {
            check_grammar(to, &out, result.is_ok());
            last.1 = shape(&out); // most bytes change nothing
            last.0 = out;
        }
        let (out, seen) = &last;
        let place = || {
            let out = String::from_utf8_lossy(out);
            format!("{from:?} to {to:?}, cut at {at}: {result:?}\n{out}")
        };
        match &result {
            Ok(()) => assert_eq!(seen.as_ref(), Some(&whole), "{}", place()),
            Err(_) => assert_eq!(*seen, None, "{}", place()),
        }
    }
}

#[test]
fn a_stream_cut_after_any_byte_is_complete_or_an_error() {
    for (from, to) in directions() {
        check_cuts(from, to, transcript(from).as_bytes(), 1);
    }
}

#[test]
fn so_is_a_random_one() {
    for (from, to) in directions() {
        let mut dice = Dice::new(47);
        for _ in 0..2 {
            let answer = Answer::random(&mut dice, Owner::of(from), thoughts_max(from, to));
            check_cuts(from, to, &answer.stream(from), 11);
        }
    }
}
