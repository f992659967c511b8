//! What the tests of this twin share beside the floor's own: made ids by number, the life cycle, events in short.

use super::stream::Reader;
use crate::error::Error;
use crate::protocol::caps::Caps;
use crate::protocol::context::Context;
use crate::protocol::neutral::{CallKind, Event, Keyed, Open, Piece};
use crate::protocol::testing::{self, convert_request, cx};
use crate::protocol::text::Text;
use crate::protocol::{Converted, Protocol};
use crate::wire::sse;
use serde_json::Value;

/// The client's stream, however the upstream's bytes are cut, with the ids that were made numbered.
pub fn check_stream(cx: &Context, upstream: &str) -> (String, Option<Error>) {
    let outcome = testing::check_stream(cx.upstream, cx.client, cx, upstream);
    (tame(&outcome.out), outcome.error)
}

/// Ids that were made, numbered in order of appearance.
pub fn tame(out: &str) -> String {
    const PREFIXES: [&str; 12] = [
        "resp_",
        "msg_",
        "rs_",
        "fc_",
        "ctc_",
        "ws_",
        "lsh_",
        "sh_",
        "apc_",
        "tsc_",
        "chatcmpl-",
        "call_",
    ];
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut tamed = String::new();
    let mut rest = out;
    while let Some(quote) = rest.find('"') {
        tamed.push_str(&rest[..=quote]);
        rest = &rest[quote + 1..];
        let Some(prefix) = PREFIXES.iter().find(|prefix| rest.starts_with(**prefix)) else {
            continue;
        };
        let tail = &rest[prefix.len()..];
        let length = tail.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if length != 24 || !tail[24..].starts_with('"') {
            continue;
        }
        let id = &rest[..prefix.len() + 24];
        let found = seen.iter().find(|(known, _)| known == id).cloned();
        let (_, name) = found.unwrap_or_else(|| {
            let count = seen
                .iter()
                .filter(|(known, _)| known.starts_with(prefix))
                .count();
            let name = match *prefix {
                "resp_" | "chatcmpl-" => format!("{prefix}g{}", count + 1),
                _ => format!("{prefix}{}", count + 1),
            };
            seen.push((id.to_owned(), name.clone()));
            (id.to_owned(), name)
        });
        tamed.push_str(&name);
        rest = &rest[id.len()..];
    }
    tamed.push_str(rest);
    tamed
}

/// The data of each frame, with its name where it has one.
pub fn frames(stream: &str) -> Vec<(String, Value)> {
    let mut parser = sse::Parser::new();
    parser.push(stream.as_bytes()).unwrap();
    let mut frames = Vec::new();
    while let Some(event) = parser.next() {
        let name = String::from_utf8(event.name.to_vec()).unwrap();
        let data = serde_json::from_slice(event.data).unwrap_or(Value::String("[DONE]".into()));
        frames.push((name, data));
    }
    frames
}

/// The names of the frames, `response.` left out.
pub fn names(stream: &str) -> Vec<String> {
    let names = frames(stream).into_iter().map(|(name, _)| name);
    names
        .map(|name| {
            name.strip_prefix("response.")
                .map_or(name.clone(), str::to_owned)
        })
        .collect()
}

/// The last event's response.
pub fn last_response(stream: &str) -> Value {
    frames(stream).pop().unwrap().1["response"].clone()
}

/// What the life cycle of protocols.md 2.5 promises, checked on a whole stream.
pub fn check_life_cycle(stream: &str) {
    let frames = frames(stream);
    let mut output: Vec<(String, bool)> = Vec::new();
    for (at, (name, data)) in frames.iter().enumerate() {
        assert_eq!(data["type"], name.as_str());
        assert_eq!(data["sequence_number"], at, "{name}");
        let last = at + 1 == frames.len();
        let terminal = [
            "response.completed",
            "response.incomplete",
            "response.failed",
        ];
        assert_eq!(terminal.contains(&name.as_str()), last, "{name} at {at}");
        if at < 2 {
            assert_eq!(*name, ["response.created", "response.in_progress"][at]);
            continue;
        }
        let index = data["output_index"].as_u64().map(|index| index as usize);
        match (name.as_str(), index) {
            ("response.output_item.added", Some(index)) => {
                assert_eq!(index, output.len());
                output.push((data["item"]["id"].as_str().unwrap().to_owned(), false));
            }
            ("response.output_item.done", Some(index)) => {
                assert_eq!(data["item"]["id"], output[index].0.as_str());
                assert!(!output[index].1, "done twice");
                output[index].1 = true;
            }
            (_, Some(index)) => {
                assert_eq!(data["item_id"], output[index].0.as_str(), "{name}");
                assert!(!output[index].1, "{name} after its item was done");
            }
            _ => assert!(last),
        }
    }
}

/// The neutral events of an upstream's stream, one line each; after an error its sentence.
pub fn trace(stream: &str) -> Vec<String> {
    let mut reader = Reader::new(&cx(Protocol::Chat, Protocol::Responses));
    let mut parser = sse::Parser::new();
    parser.push(stream.as_bytes()).unwrap();
    let mut lines = Vec::new();
    let mut sink = |keyed: Keyed<'_>| {
        lines.push(line(&keyed));
        Ok(())
    };
    let mut result = Ok(());
    while let Some(event) = parser.next() {
        result = result.and_then(|()| reader.read(event, &mut sink).map(drop));
    }
    result = result.and_then(|()| reader.end(&mut sink));
    if let Err(error) = result {
        lines.push(format!("error {:?}: {}", error.kind, error.message));
    }
    lines
}

/// One event in short.
pub fn line(keyed: &Keyed<'_>) -> String {
    let key = keyed.block;
    let text = |text: &Text<'_>| text.decode().into_owned();
    match &keyed.event {
        Event::Start(start) => format!("start {}", start.id.as_ref().map(text).unwrap_or_default()),
        Event::Open(Open::Call(head)) => {
            let mark = if head.kind == CallKind::Custom {
                "custom "
            } else {
                ""
            };
            format!("{key} call {mark}{} {}", text(&head.id), text(&head.name))
        }
        Event::Open(Open::Hosted(hosted)) => format!(
            "{key} hosted {} {}",
            text(&hosted.name),
            hosted.query.as_ref().map(text).unwrap_or_default()
        ),
        Event::Open(open) => format!("{key} open {:?}", open.inside()),
        Event::Delta(Piece::Proof(proof)) => format!(
            "{key} proof {} {}",
            proof.item.as_ref().map(text).unwrap_or_default(),
            text(&proof.value)
        ),
        Event::Delta(Piece::Text {
            text: said,
            logprobs,
        }) => match logprobs {
            Some(odds) => format!("{key} + {} {}", text(said), odds.text()),
            None => format!("{key} + {}", text(said)),
        },
        Event::Delta(Piece::Reasoning(said) | Piece::Refusal(said) | Piece::Arguments(said)) => {
            format!("{key} + {}", text(said))
        }
        Event::Annotation(cited) => format!("{key} cites {} {:?}", text(&cited.url), cited.span),
        Event::Close { whole: true } => format!("{key} close"),
        Event::Close { whole: false } => format!("{key} cut"),
        Event::Usage(usage) => format!(
            "usage {}/{}/{} {}/{}",
            usage.input,
            usage.cached,
            usage.cache_write,
            usage.output,
            usage
                .reasoning
                .map_or("-".into(), |count| count.to_string())
        ),
        Event::Finish(finish) => format!("finish {:?}", finish.reason),
    }
}

/// A converted request.
pub fn convert(from: Protocol, to: Protocol, caps: &Caps, body: &str) -> Result<Converted, Error> {
    convert_request(from, to, caps, "up", body.as_bytes())
}

/// Its body, and the warnings header.
pub fn body(from: Protocol, to: Protocol, caps: &Caps, json: &str) -> (String, String) {
    let converted = convert(from, to, caps, json).unwrap();
    (
        String::from_utf8(converted.body).unwrap(),
        converted.warnings.header().unwrap_or_default(),
    )
}
