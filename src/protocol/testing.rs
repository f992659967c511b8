//! What the tests of this floor share: every stream runs whole, cut in two at every byte, and byte by byte, and must give the
//! same, in the grammar of the client's protocol.

pub(super) mod grammar;

use super::neutral::{Event, Open, Piece};
use super::{
    Caps, Context, Converted, ErrorAnswer, Made, Protocol, Translator, Warnings, Written,
    answer_of, of_answer, pipe,
};
use crate::error::{Blame, Error};
use crate::wire::json::Object;
use serde_json::Value;

/// One scenario as the three upstreams tell it: a thought, a text, two parallel calls.
pub(super) fn transcript(upstream: Protocol) -> &'static str {
    match upstream {
        Protocol::Chat => include_str!("testing/chat.sse"),
        Protocol::Responses => include_str!("testing/responses.sse"),
        Protocol::Messages => include_str!("testing/messages.sse"),
    }
}

/// Fixed chance and time.
pub(super) fn made() -> Made {
    Made {
        now_unix_s: 1_790_000_000,
        random: *b"0123456789abcdef",
    }
}

/// A context for a generic upstream, with usage asked for.
pub(super) fn cx(client: Protocol, upstream: Protocol) -> Context {
    Context::bare(client, upstream, "client-model", Caps::default())
}

/// A request, parsed and converted.
pub(super) fn convert_request(
    from: Protocol,
    to: Protocol,
    caps: &Caps,
    model: &str,
    body: &[u8],
) -> Result<Converted, Error> {
    let object = Object::parse(body).map_err(|fault| fault.blame(Blame::Client))?;
    super::convert_request(from, to, caps, model, object, Vec::new())
}

/// A whole answer, converted.
pub(super) fn convert_response(
    upstream: Protocol,
    client: Protocol,
    cx: &Context,
    made: &Made,
    body: &[u8],
    warnings: &mut Warnings,
) -> Result<Vec<u8>, Error> {
    let out = Written::default();
    let written = super::convert_response(upstream, client, cx, made, body, warnings, out)?;
    Ok(written.body)
}

/// What a client is told of an upstream's HTTP error.
pub(super) fn convert_error(
    client: Protocol,
    status: u16,
    body: &[u8],
    request_id: &str,
    upstream_name: &str,
) -> ErrorAnswer {
    answer_of(
        client,
        status,
        &of_answer(status, body, upstream_name),
        request_id,
    )
}

/// What a client got, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) out: String,
    /// The error, before or (after `started`) inside the stream.
    pub(super) error: Option<Error>,
    pub(super) started: bool,
}

/// Translates a stream that comes in those pieces.
pub(super) fn run<'p>(
    upstream: Protocol,
    client: Protocol,
    cx: &Context,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Outcome {
    let mut translator = Translator::new(upstream, client, cx.clone(), made());
    let mut out = Vec::new();
    let mut failed = None;
    for piece in pieces {
        if let Err(error) = translator.feed(piece, &mut out) {
            failed = Some(error);
            break;
        }
    }
    if failed.is_none() {
        failed = translator.finish(&mut out).err();
    }
    let started = translator.started();
    if let (Some(error), true) = (&failed, started) {
        translator.fail(error, &mut out);
    }
    Outcome {
        out: String::from_utf8(out).expect("a client never gets broken UTF-8"),
        error: failed,
        started,
    }
}

/// Checks the grammar of a client's stream: it is whole, or ends in the error that the translation gave.
pub(super) fn check_grammar(client: Protocol, out: &[u8], is_whole: bool) {
    let checked = match client {
        Protocol::Chat => grammar::chat(out),
        Protocol::Messages => grammar::messages(out),
        Protocol::Responses => grammar::responses(out),
    };
    let expected = match is_whole {
        true => grammar::Ending::Complete,
        false => grammar::Ending::Failed,
    };
    assert_eq!(checked, Ok(expected), "{}", String::from_utf8_lossy(out));
}

/// Translates a stream in all the ways it can arrive.
pub(super) fn check_stream(
    upstream: Protocol,
    client: Protocol,
    cx: &Context,
    stream: impl AsRef<[u8]>,
) -> Outcome {
    let stream = stream.as_ref();
    let whole = run(upstream, client, cx, [stream]);
    if whole.started && client != upstream {
        check_grammar(client, whole.out.as_bytes(), whole.error.is_none());
    }
    let bytewise = run(upstream, client, cx, stream.chunks(1));
    assert_eq!(bytewise, whole, "byte by byte");
    for at in 1..stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(
            run(upstream, client, cx, [head, tail]),
            whole,
            "cut at {at}"
        );
    }
    whole
}

/// The neutral events of a stream behind sequencer and resolver, one word each: `[text`, `hi`, `]`, `end Done`.
pub(super) fn events(upstream: Protocol, cx: &Context, stream: &str) -> Result<Vec<String>, Error> {
    let mut seen = Vec::new();
    pipe::each_stream_event(
        upstream,
        cx.clone(),
        made(),
        stream.as_bytes(),
        &mut |event| {
            seen.push(word(event));
        },
    )?;
    Ok(seen)
}

fn word(event: &Event<'_>) -> String {
    match event {
        Event::Start(_) => "start".to_owned(),
        Event::Open(Open::Text) => "[text".to_owned(),
        Event::Open(Open::Reasoning) => "[thought".to_owned(),
        Event::Open(Open::Refusal) => "[refusal".to_owned(),
        Event::Open(Open::Call(head)) => format!("[{} {}", head.name.decode(), head.id.decode()),
        Event::Open(Open::Hosted(hosted)) => format!("[hosted {}", hosted.name.decode()),
        Event::Delta(
            Piece::Text { text, .. }
            | Piece::Reasoning(text)
            | Piece::Refusal(text)
            | Piece::Arguments(text),
        ) => text.decode().into_owned(),
        Event::Delta(Piece::Proof(proof)) => format!("proof {}", proof.value.decode()),
        Event::Annotation(annotation) => format!("cites {}", annotation.url.decode()),
        Event::Close { whole: true } => "]".to_owned(),
        Event::Close { whole: false } => "] cut".to_owned(),
        Event::Usage(usage) => format!("usage {}/{}/{}", usage.input, usage.cached, usage.output),
        Event::Finish(finish) => match &finish.stop {
            Some(stop) => format!("end {:?} at {}", finish.reason, stop.decode()),
            None => format!("end {:?}", finish.reason),
        },
    }
}

/// A Chat client's stream in short: each delta, `finish …`, `usage …`, `error …`, `[DONE]`. Checks the constant envelope.
pub(super) fn chat_lines(out: &str) -> Vec<String> {
    let mut id = None;
    let frames = out.split_terminator("\n\n").map(|frame| {
        let data = frame.strip_prefix("data: ").expect("only data lines");
        if data == "[DONE]" {
            return data.to_owned();
        }
        let chunk: Value = serde_json::from_str(data).expect("each frame is JSON");
        if let Some(error) = chunk.get("error") {
            return format!("error {error}");
        }
        assert_eq!(*id.get_or_insert(chunk["id"].clone()), chunk["id"]);
        assert_eq!(chunk["object"], "chat.completion.chunk");
        let Some(choice) = chunk["choices"].get(0) else {
            return format!("usage {}", chunk["usage"]);
        };
        match choice["finish_reason"].as_str() {
            Some(reason) => format!("finish {reason}"),
            None => choice["delta"].to_string(),
        }
    });
    frames.collect()
}

/// `data:` frames of that JSON each, as a Chat upstream sends them.
pub(super) fn chat_stream(chunks: &[&str]) -> String {
    chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect()
}

/// A chunk with that delta and nothing else.
pub(super) fn delta(delta: &str) -> String {
    format!(
        r#"{{"id":"c1","created":1,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
    )
}

/// The chunk that ends an answer.
pub(super) fn finish(reason: &str) -> String {
    format!(r#"{{"id":"c1","choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#)
}

/// A Messages client's frames without their `event` lines, which are checked, and our id as `msg_g1`.
pub(super) fn messages_lines(out: &str) -> Vec<String> {
    let ours = made().id("msg_", 0);
    out.split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').expect("two lines");
            let data = data.strip_prefix("data: ").expect("a data line");
            let frame: Value = serde_json::from_str(data).expect("each frame is JSON");
            assert_eq!(name.strip_prefix("event: "), frame["type"].as_str());
            data.replace(&ours, "msg_g1")
        })
        .collect()
}

/// The same in short: `0 start text`, `0 + hi`, `0 stop`, `tool_use 20/100/60`, `error …`; checks that numbers run from 0 and one
/// block is open at a time.
pub(super) fn messages_steps(out: &str) -> Vec<String> {
    let mut open = None;
    let mut next = 0;
    let lines = messages_lines(out);
    let steps = lines.iter().enumerate().map(|(at, line)| {
        let frame: Value = serde_json::from_str(line).expect("checked above");
        let index = frame["index"].as_u64();
        let kind = frame["type"].as_str().unwrap_or_default();
        assert_eq!(kind == "message_start", at == 0, "{line}");
        match kind {
            "message_start" => "begin".to_owned(),
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(next)), "{line}");
                open = index;
                next += 1;
                let block = &frame["content_block"];
                let word = block["type"].as_str().unwrap_or_default();
                match block["name"].as_str() {
                    Some(name) => format!("[{word} {name} {}", block["id"].as_str().unwrap()),
                    None => format!("[{word}"),
                }
            }
            "content_block_delta" => {
                assert_eq!(open, index, "{line}");
                let delta = &frame["delta"];
                let word = delta["type"].as_str().unwrap_or_default();
                match word {
                    "signature_delta" => format!("signed {}", delta["signature"].as_str().unwrap()),
                    "text_delta" => delta["text"].as_str().unwrap().to_owned(),
                    "thinking_delta" => delta["thinking"].as_str().unwrap().to_owned(),
                    _ => delta["partial_json"].as_str().unwrap().to_owned(),
                }
            }
            "content_block_stop" => {
                assert_eq!(open.take(), index, "{line}");
                "]".to_owned()
            }
            "message_delta" => {
                let usage = &frame["usage"];
                let counts = ["input_tokens", "cache_read_input_tokens", "output_tokens"]
                    .map(|key| usage[key].to_string())
                    .join("/");
                let delta = &frame["delta"];
                let reason = delta["stop_reason"].as_str().unwrap_or_default();
                match delta["stop_sequence"].as_str() {
                    Some(stop) => format!("{reason} {stop:?} {counts}"),
                    None => format!("{reason} {counts}"),
                }
            }
            "message_stop" => "end".to_owned(),
            "error" => format!("error {}", frame["error"]),
            other => other.to_owned(),
        }
    });
    steps.collect()
}
