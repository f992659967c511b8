//! Whole bodies: requests in all six directions, and answers of every upstream.

use crate::grammar::Ending;
use crate::streams::{context, converted, ending, made};
use llm_wrapper::error::Kind;
use llm_wrapper::protocol::{Caps, Protocol, Warnings, Written, convert_response, replay};
use llm_wrapper::wire::json;
use serde_json::Value;

/// A converted body is at most this many times the one it was made of: an array of short tool results becomes one of messages.
const GROWTH_MAX: usize = 200;
const ENVELOPE_BYTES_MAX: usize = 16 * 1024;

fn is_json(bytes: &[u8]) -> bool {
    json::validate(bytes).is_ok()
}

/// The first byte chooses the client and the upstream's protocol, the second the kind of upstream.
pub fn requests(input: &[u8]) {
    const KINDS: [(&str, &str); 16] = [
        ("generic", "m"),
        ("openai", "gpt-5.2"),
        ("openai", "gpt-4o"),
        ("anthropic", "claude-opus-4-6"),
        ("anthropic", "claude-3-5-haiku"),
        ("deepseek", "deepseek-reasoner"),
        ("qwen", "qwen3-max"),
        ("kimi", "kimi-k2-thinking"),
        ("glm", "glm-4.6"),
        ("gemini", "gemini-2.5-pro"),
        ("mistral", "magistral-medium"),
        ("groq", "llama-3.3-70b"),
        ("xai", "grok-4"),
        ("openrouter", "anthropic/claude-sonnet-4.5"),
        ("vllm", "qwen3"),
        ("ollama", "llama3"),
    ];
    let Some((&[pair, kind], body)) = input.split_first_chunk::<2>() else {
        return;
    };
    let from = Protocol::ALL[usize::from(pair) % 3];
    let to = Protocol::ALL[(usize::from(pair) + 1 + usize::from(pair) / 3 % 2) % 3];
    let (kind, model) = KINDS[usize::from(kind) % KINDS.len()];
    let caps = Caps::of(kind, model);
    let Ok(done) = converted(from, to, &caps, model, body) else {
        return;
    };
    let again = converted(from, to, &caps, model, body).expect("the same again");
    assert_eq!(again.body, done.body, "the same request, the same bytes");
    assert!(done.body.len() <= ENVELOPE_BYTES_MAX + GROWTH_MAX * body.len());
    // What lies inside members that are only carried is as sound as it came.
    if !is_json(body) {
        return;
    }
    let shown = || {
        let (body, out) = (
            String::from_utf8_lossy(body),
            String::from_utf8_lossy(&done.body),
        );
        format!("{from:?} to {to:?} ({kind}):\n{body}\n{out}")
    };
    assert!(is_json(&done.body), "{}", shown());
    let Ok(Value::Object(request)) = serde_json::from_slice(&done.body) else {
        return; // nests deeper than serde_json reads
    };
    assert_eq!(request["model"], model, "{}", shown());
    assert_eq!(
        request.get("stream").is_some_and(|stream| stream == true),
        done.stream,
        "{}",
        shown()
    );
    // What was written is a request of its protocol: our own reader takes it. Not onward to Messages, where arguments are no
    // longer a text that OpenAI's protocols pass on unread.
    let onward = match to {
        Protocol::Chat => Protocol::Responses,
        Protocol::Responses | Protocol::Messages => Protocol::Chat,
    };
    // Without members given twice, which are only seen where somebody looks.
    let plain = serde_json::to_vec(&request).expect("it was JSON");
    if let Err(error) = converted(to, onward, &Caps::default(), "m", &plain) {
        assert_eq!(error.kind, Kind::Unsupported, "{error}: {}", shown());
    }
}

/// The first byte chooses upstream, client and request.
pub fn answers(input: &[u8]) {
    let Some((&first, body)) = input.split_first() else {
        return;
    };
    let first = usize::from(first);
    let upstream = Protocol::ALL[first % 3];
    let client = Protocol::ALL[(first + 1 + first / 3 % 2) % 3];
    let cx = context(client, upstream, first / 6 % 16);
    let mut warnings = Warnings::default();
    let whole = convert_response(
        upstream,
        client,
        &cx,
        &made(),
        body,
        &mut warnings,
        Written::default(),
    );
    let stream = replay(upstream, client, &cx, &made(), body, &mut warnings);
    if !is_json(body) {
        return;
    }
    let limit = ENVELOPE_BYTES_MAX + GROWTH_MAX * body.len();
    let shown = |out: &[u8]| {
        let (body, out) = (String::from_utf8_lossy(body), String::from_utf8_lossy(out));
        format!("{upstream:?} to {client:?}:\n{body}\n{out}")
    };
    if let Ok(Written { body: out, .. }) = &whole {
        assert!(is_json(out), "{}", shown(out));
        assert!(out.len() <= limit);
    }
    if let Ok(out) = &stream {
        assert_eq!(ending(client, out), Ending::Complete, "{}", shown(out));
        assert!(out.len() <= limit);
        assert!(whole.is_ok(), "{:?}: {}", whole, shown(out));
    }
}
