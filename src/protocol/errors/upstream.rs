//! Error bodies as upstreams really send them: OpenAI's and Anthropic's objects, a bare string, Gemini's array with a number
//! as code, older vLLM's and Mistral's flat object, FastAPI's `detail`, OpenRouter's numbers inside streams, and HTML.

use crate::error::{Error, Kind};
use crate::wire::json::{JsonKind, Object, Raw};
use std::borrow::Cow;

/// Of a body that is no JSON, this much is shown.
const TEXT_BYTES_MAX: usize = 2048;

/// How servers say that the conversation is too long, in lower case. Agents compact it then, and only then.
const TOO_LONG: [&str; 19] = [
    "prompt is too long",                     // Anthropic
    "exceed context limit",                   // Anthropic, of prompt and max_tokens together
    "input is too long",                      // Bedrock
    "maximum context length",                 // OpenAI, vLLM, SGLang, Mistral, DeepSeek, OpenRouter
    "context length exceeded",                // relays
    "exceeds the context window",             // OpenAI
    "exceeds the maximum number of tokens",   // Gemini: "the input token count (9) exceeds …"
    "maximum prompt length",                  // xAI
    "exceeded model token limit",             // Kimi
    "reduce the length of the messages",      // Groq
    "context window exceeds limit",           // MiniMax
    "prompt exceeds max length",              // GLM
    "prompt token count of",                  // Copilot
    "range of input length should be",        // Qwen
    "exceeds the available context size",     // llama.cpp
    "longer than the model's context length", // SGLang
    "greater than the context length",        // LM Studio
    "exceeds the model's context length",
    "exceed the context size",
];

/// Words for a picture or a file that the model cannot read: `invalid_image`, `image_too_large`, `image_parse_error`, …
const UNREADABLE: [&str; 2] = ["image", "file"];

/// What an error body says.
#[derive(Default)]
struct Said<'a> {
    message: Option<Cow<'a, str>>,
    kind: Cow<'a, str>,
    code: Cow<'a, str>,
    /// A code that is a number is an HTTP status (Gemini, OpenRouter).
    status: Option<u16>,
}

/// The error that an upstream's HTTP answer with an error status is.
pub fn of_answer(status: u16, body: &[u8], upstream_name: &str) -> Error {
    let text = String::from_utf8_lossy(body);
    let said = Raw::parse(&text).ok().map(read).unwrap_or_default();
    let message = match said.message.as_deref() {
        Some(message) if !message.trim().is_empty() => message.trim().to_owned(),
        _ if text.trim().is_empty() => format!("the upstream answered {status} without a body"),
        _ => cut(text.trim()).to_owned(),
    };
    let kind = kind(status, &said, &message);
    let message = match (status, kind) {
        (_, Kind::Forbidden) => {
            format!("upstream {upstream_name:?} refused the request: {message}")
        }
        (401 | 403, _) => {
            format!("upstream {upstream_name:?} refused the gateway's key: {message}")
        }
        _ => message,
    };
    Error::upstream(kind, message)
}

/// The error that an upstream reports inside an answer it began with 200: `error` is an object or a string.
pub fn in_stream(error: Raw<'_>) -> Error {
    let said = read_error(error);
    let message = match said.message.as_deref() {
        Some(message) if !message.trim().is_empty() => message.trim().to_owned(),
        _ => "the upstream reported an error without a message".to_owned(),
    };
    let status = said
        .status
        .or_else(|| status_of_word(&said.kind))
        .or_else(|| status_of_word(&said.code));
    let kind = kind(status.unwrap_or(0), &said, &message);
    Error::upstream(kind, message)
}

/// The error that a whole answer under 200 is after all: its `error` member, if that is one.
pub fn says_error<'a>(object: &Object<'a>) -> Option<Raw<'a>> {
    object.get("error").filter(|error| is_error(*error))
}

/// Whether an `error` member means one: what JavaScript takes for true, that is how SDKs test it.
pub fn is_error(error: Raw<'_>) -> bool {
    match error.kind() {
        JsonKind::Null => false,
        JsonKind::Bool => error.as_bool() == Some(true),
        JsonKind::String => error.string_inner() != Some(""),
        JsonKind::Number => error.as_f64() != Some(0.0),
        JsonKind::Array | JsonKind::Object => true,
    }
}

fn read<'a>(body: Raw<'a>) -> Said<'a> {
    match body.kind() {
        // Gemini: [{"error": …}]
        JsonKind::Array => body
            .elements()
            .ok()
            .and_then(|mut list| list.next())
            .map(read)
            .unwrap_or_default(),
        JsonKind::Object => {
            let Ok(object) = body.as_object() else {
                return Said::default();
            };
            if let Some(error) = object.get("error").filter(|error| !error.is_null()) {
                return read_error(error);
            }
            if let Some(detail) = object.get("detail") {
                return Said {
                    message: Some(detail_text(detail)),
                    ..Said::default()
                };
            }
            read_error(body)
        }
        _ => Said::default(),
    }
}

fn read_error<'a>(error: Raw<'a>) -> Said<'a> {
    if let Some(message) = error.as_str() {
        return Said {
            message: Some(message),
            ..Said::default()
        };
    }
    let Ok(object) = error.as_object() else {
        return Said::default();
    };
    let text = |key: &str| object.get(key).and_then(|value| value.as_str());
    let mut message = text("message");
    // OpenRouter keeps what the provider said in metadata.raw.
    let raw = object
        .get("metadata")
        .and_then(|metadata| metadata.as_object().ok()?.get("raw")?.as_str());
    if let (Some(front), Some(raw)) = (&message, &raw) {
        message = Some(format!("{front}: {}", cut(raw)).into());
    }
    let code = object.get("code");
    let code_or_status = code.or_else(|| object.get("status"));
    let number =
        code_or_status.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    Said {
        message: message.or(raw),
        kind: text("type").or_else(|| text("status")).unwrap_or_default(),
        code: code.and_then(|code| code.as_str()).unwrap_or_default(),
        status: number
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| (400..600).contains(n)),
    }
}

/// FastAPI: a string, or a list of `{loc, msg}`.
fn detail_text<'a>(detail: Raw<'a>) -> Cow<'a, str> {
    if let Some(text) = detail.as_str() {
        return text;
    }
    let Ok(list) = detail.elements() else {
        return detail.text().into();
    };
    let sentences: Vec<String> = list
        .map(|entry| {
            let object = entry.as_object().ok();
            let message = object.as_ref().and_then(|o| o.get("msg")?.as_str());
            let place = object.as_ref().and_then(|o| o.get("loc"));
            match (place, message) {
                (Some(place), Some(message)) => format!("{}: {message}", place.text()),
                (None, Some(message)) => message.into_owned(),
                _ => entry.text().to_owned(),
            }
        })
        .collect();
    sentences.join("; ").into()
}

fn cut(text: &str) -> &str {
    let end = text.len().min(TEXT_BYTES_MAX);
    let end = (0..=end)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    &text[..end]
}

/// The status behind the word an error is called by, for errors that come without one.
fn status_of_word(word: &str) -> Option<u16> {
    Some(match word {
        "invalid_request_error"
        | "invalid_prompt"
        | "BadRequestError"
        | "INVALID_ARGUMENT"
        | "data_residency_mismatch" => 400,
        "authentication_error" | "invalid_api_key" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" => 429,
        "server_error" | "api_error" | "InternalServerError" | "internal_server_error" => 500,
        "overloaded_error"
        | "server_is_overloaded"
        | "service_unavailable_error"
        | "slow_down"
        | "UNAVAILABLE" => 503,
        "timeout_error" | "timeout" | "vector_store_timeout" => 504,
        "usage_limit_reached" => 429,
        // What the model's owner does not let it answer.
        word if word.ends_with("_policy") || word.ends_with("policy_violation") => 403,
        word if UNREADABLE
            .iter()
            .any(|thing| word.split('_').any(|part| part == *thing)) =>
        {
            400
        }
        _ => return None,
    })
}

fn kind(status: u16, said: &Said<'_>, message: &str) -> Kind {
    let named = |words: &[&str]| {
        words
            .iter()
            .any(|word| said.kind == *word || said.code == *word)
    };
    let lower = message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    let refused = matches!(status, 0 | 400 | 413 | 422 | 500);
    if named(&["context_length_exceeded", "exceed_context_size_error"])
        || (refused && says(&TOO_LONG))
    {
        return Kind::ContextTooLong;
    }
    if status == 402
        || named(&[
            "insufficient_quota",
            "credit_balance_exhausted",
            "billing_error",
            "usage_not_included",
        ])
        || says(&["credit balance is too low", "insufficient balance"])
    {
        return Kind::QuotaExhausted;
    }
    if named(&["model_not_found"]) || (status == 404 && lower.contains("model")) {
        return Kind::ModelNotFound;
    }
    // A 403 is mostly about the key; a policy says what the request was refused for (OpenRouter's moderation, a region).
    let policy = [
        "moderation",
        "flagged",
        "policy",
        "policies",
        "territory",
        "region",
        "safety",
    ];
    let named_so = said.code.ends_with("_policy") || said.code.ends_with("policy_violation");
    if status == 403 && (says(&policy) || named_so) {
        return Kind::Forbidden;
    }
    match status {
        0 => Kind::BadReply,
        408 | 504 => Kind::Timeout,
        413 => Kind::TooLarge,
        429 => Kind::TooManyRequests,
        503 | 529 => Kind::Overloaded,
        500 if named(&["overloaded_error", "server_is_overloaded"]) => Kind::Overloaded,
        400..=500 => Kind::UpstreamStatus(status),
        _ => Kind::BadReply,
    }
}
