//! Streams through the translators: however they are cut, a client of another protocol sees the same, keeps its grammar, and is
//! never told that a cut answer is whole.

use crate::grammar::{self, Ending};
use crate::pieces;
use llm_wrapper::error::{Blame, Error};
use llm_wrapper::protocol::Protocol::{self, Chat, Messages, Responses};
use llm_wrapper::protocol::{
    Caps, Collector, Context, Converted, Made, Translator, Warnings, convert_request,
};
use llm_wrapper::wire::json::Object;
use std::cell::OnceCell;

/// Output is at most this many times the input: a Responses client is told of each tiny piece in about 300 bytes, of each new
/// call in about 2,000.
const GROWTH_MAX: usize = 400;
/// What an answer costs in any case; envelopes echo the request.
const ENVELOPES_BYTES_MAX: usize = 64 * 1024;

/// Fixed chance and time.
pub(crate) fn made() -> Made {
    Made {
        now_unix_s: 1_790_000_000,
        random: *b"0123456789abcdef",
    }
}

/// How a client's stream of that protocol ends.
pub(crate) fn ending(client: Protocol, out: &[u8]) -> Ending {
    let checked = match client {
        Chat => grammar::chat(out),
        Messages => grammar::messages(out),
        Responses => grammar::responses(out),
    };
    checked.unwrap_or_else(|fault| panic!("{fault}\n{}", String::from_utf8_lossy(out)))
}

/// A request converted, from its bytes on.
pub(crate) fn converted(
    from: Protocol,
    to: Protocol,
    caps: &Caps,
    model: &str,
    body: &[u8],
) -> Result<Converted, Error> {
    let object = Object::parse(body).map_err(|fault| fault.blame(Blame::Client))?;
    convert_request(from, to, caps, model, object, Vec::new())
}

const CHAT_REQUEST: &[u8] = br#"{"model":"m","stream":true,"stop":["END","\n\n"],"messages":[{"role":"user","content":"Go"}],"tools":[
{"type":"function","function":{"name":"read.file","parameters":{"type":"object","properties":{"path":{"type":"string"}}}}},
{"type":"custom","custom":{"name":"note"}}]}"#;
const MESSAGES_REQUEST: &[u8] = br#"{"model":"m","stream":true,"max_tokens":9,"stop_sequences":["END","\n\n"],"messages":[{"role":"user","content":"Go"}],
"tools":[{"name":"read.file","input_schema":{"type":"object","properties":{"path":{"type":"string"}}}},{"name":"write","input_schema":{"type":"object"}}]}"#;
const RESPONSES_REQUEST: &[u8] = br#"{"model":"m","stream":true,"input":"Go","store":false,"metadata":{"k":"v"},"tools":[
{"type":"function","name":"read","parameters":{"type":"object"}},{"type":"custom","name":"note"},{"type":"local_shell"},
{"type":"namespace","name":"n","tools":[{"type":"function","name":"f"}]},{"type":"apply_patch"},{"type":"shell"}]}"#;

/// What the answer's conversion knows of the request: nothing, or tools of each kind and sequences to stop at.
pub(crate) fn context(client: Protocol, upstream: Protocol, choice: usize) -> Context {
    const KINDS: [&str; 4] = ["generic", "deepseek", "vllm", "qwen"];
    let mut caps = Caps::of(KINDS[choice / 2 % 4], "model-1");
    caps.think_tags = choice & 8 != 0;
    let bare = Context::bare(client, upstream, "client-model", caps.clone());
    if choice.is_multiple_of(2) {
        return bare;
    }
    let body = match client {
        Chat => CHAT_REQUEST,
        Messages => MESSAGES_REQUEST,
        Responses => RESPONSES_REQUEST,
    };
    match converted(client, upstream, &caps, "model-1", body) {
        Ok(converted) => Context {
            logprobs: upstream == Responses,
            ..converted.context
        },
        Err(error) => panic!("{client:?} to {upstream:?}: {error}"),
    }
}

/// What a client got of a stream.
#[derive(Debug, PartialEq)]
struct Told {
    out: Vec<u8>,
    error: Option<Error>,
    started: bool,
}

fn translated<'p>(
    upstream: Protocol,
    client: Protocol,
    cx: &Context,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Told {
    let mut translator = Translator::new(upstream, client, cx.clone(), made());
    let mut out = Vec::new();
    let mut error = None;
    for piece in pieces {
        error = translator.feed(piece, &mut out).err();
        if error.is_some() {
            break;
        }
    }
    error = error.or_else(|| translator.finish(&mut out).err());
    let started = translator.started();
    assert_eq!(started, !out.is_empty(), "what was started has begun");
    assert_eq!(error.is_none(), translator.is_finished());
    if let Some(error) = &error {
        translator.fail(error, &mut out);
    }
    Told {
        out,
        error,
        started,
    }
}

/// Checks what a client was told on its own.
fn check(client: Protocol, told: &Told) {
    let ending = ending(client, &told.out);
    let expected = match told.error {
        None => Ending::Complete,
        Some(_) => Ending::Failed,
    };
    assert_eq!(ending, expected, "{}", String::from_utf8_lossy(&told.out));
}

thread_local! {
    /// The contexts, by client, upstream and choice.
    static CONTEXTS: [OnceCell<Context>; 3 * 3 * 16] = const { [const { OnceCell::new() }; 144] };
}

fn stream(upstream: Protocol, input: &[u8]) {
    let Some((&[first, seed, cut], input)) = input.split_first_chunk::<3>() else {
        return;
    };
    let first = usize::from(first);
    let clients = Protocol::ALL
        .into_iter()
        .filter(|&client| client != upstream);
    let client = clients.cycle().nth(first & 1).expect("two others");
    let choice = first >> 2 & 15;
    let cx = CONTEXTS.with(|contexts| {
        let place = ((client as usize) * 3 + upstream as usize) * 16 + choice;
        let cx = contexts[place].get_or_init(|| context(client, upstream, choice));
        cx.clone()
    });
    if first & 2 == 0 {
        streamed(upstream, client, &cx, seed.into(), cut.into(), input);
    } else {
        collected(upstream, client, &cx, seed.into(), input);
    }
}

fn streamed(
    upstream: Protocol,
    client: Protocol,
    cx: &Context,
    seed: usize,
    cut: usize,
    input: &[u8],
) {
    let whole = translated(upstream, client, cx, [input].into_iter());
    check(client, &whole);
    let allowed = ENVELOPES_BYTES_MAX + GROWTH_MAX * input.len();
    assert!(whole.out.len() <= allowed, "{} bytes", whole.out.len());
    assert_eq!(translated(upstream, client, cx, pieces(seed, input)), whole);
    // Cut short, it is an error, or all that was said; what was said before its end is the same.
    let short = &input[..input.len() * cut / 256];
    check(
        client,
        &translated(upstream, client, cx, [short].into_iter()),
    );
    let mut translator = Translator::new(upstream, client, cx.clone(), made());
    let mut said = Vec::new();
    let _ = translator.feed(short, &mut said);
    if !whole.out.starts_with(&said) {
        let (said, all) = (
            String::from_utf8_lossy(&said),
            String::from_utf8_lossy(&whole.out),
        );
        panic!("{said}\nis no beginning of\n{all}");
    }
    // What a client was told, our own reader of its protocol reads, and finds whole or not as it was.
    let onward = if client == Chat { Messages } else { Chat };
    let bare = Context::bare(onward, client, "m", Caps::default());
    let again = translated(client, onward, &bare, [&whole.out[..]].into_iter());
    if whole.error.is_some() {
        assert!(
            again.error.is_some(),
            "{}",
            String::from_utf8_lossy(&whole.out)
        );
    }
}

fn collected(upstream: Protocol, client: Protocol, cx: &Context, seed: usize, input: &[u8]) {
    let whole = gathered(upstream, client, cx, [input].into_iter());
    assert_eq!(gathered(upstream, client, cx, pieces(seed, input)), whole);
    let told = translated(upstream, client, cx, [input].into_iter());
    let Ok(body) = whole else {
        return;
    };
    assert!(
        told.error.is_none() || client == Messages,
        "{:?}",
        told.error
    );
    let text = String::from_utf8_lossy(&body);
    let value = serde_json::from_str::<serde_json::Value>(&grammar::tamed(&text));
    let value = value.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body)));
    assert!(value.is_object());
    assert!(body.len() <= ENVELOPES_BYTES_MAX + GROWTH_MAX * input.len());
}

fn gathered<'p>(
    upstream: Protocol,
    client: Protocol,
    cx: &Context,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Result<Vec<u8>, Error> {
    let mut collector = Collector::new(upstream, client, cx.clone(), made());
    for piece in pieces {
        collector.feed(piece)?;
    }
    let whole = collector.finish(&mut Warnings::default())?;
    Ok(whole.body)
}

/// Streams of Chat upstreams. The first byte chooses the client, whether it streams, and the request; the second how the stream
/// is cut into pieces; the third where it ends early.
pub fn chat(input: &[u8]) {
    stream(Chat, input);
}

/// Streams of Messages upstreams, see [`chat`].
pub fn messages(input: &[u8]) {
    stream(Messages, input);
}

/// Streams of Responses upstreams, see [`chat`].
pub fn responses(input: &[u8]) {
    stream(Responses, input);
}
