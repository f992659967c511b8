//! Errors across protocols (protocols.md 4.3): an upstream's error body of any known shape becomes an [`Error`], and an
//! [`Error`] becomes the body and status of the protocol the client speaks. The upstream's own sentence is kept.

mod upstream;

pub use upstream::{in_stream, is_error, of_answer, says_error};

use super::Protocol;
use super::render::Members;
use crate::error::{Blame, Error, Kind};
use std::borrow::Cow;

/// An error answer for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Vec<u8>,
    /// The value of `x-should-retry`, if one has to be set: SDKs must not repeat what no waiting mends.
    pub should_retry: Option<bool>,
}

/// The answer that tells a client of an upstream's HTTP error. OpenAI answers 400 for a model it does not have: that stays.
pub fn answer_of(client: Protocol, status: u16, error: &Error, request_id: &str) -> ErrorAnswer {
    let mut answer = answer(client, error, request_id);
    if error.kind == Kind::ModelNotFound && (400..500).contains(&status) {
        answer.status = status;
    }
    answer
}

/// The answer that tells a client of that protocol of an error.
pub fn answer(client: Protocol, error: &Error, request_id: &str) -> ErrorAnswer {
    ErrorAnswer {
        status: status(client, error),
        body: error_body(client, error, request_id),
        should_retry: (error.kind == Kind::QuotaExhausted).then_some(false),
    }
}

/// The HTTP status under which a client of that protocol expects an error.
pub fn status(client: Protocol, error: &Error) -> u16 {
    match (error.kind, client) {
        (Kind::QuotaExhausted, Protocol::Messages) => 402,
        (Kind::Overloaded, Protocol::Messages) => 529,
        _ => error.status(),
    }
}

/// The JSON body of an error answer in that protocol. `request_id` goes where the protocol has a place for it.
pub fn error_body(protocol: Protocol, error: &Error, request_id: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(128 + error.message.len());
    Members::object(&mut body, |m| match protocol {
        Protocol::Chat | Protocol::Responses => {
            let (kind, code) = openai_words(error);
            m.nested("error", |m| {
                m.str("message", &error.message).str("type", kind);
                match &error.param {
                    Some(param) => m.str("param", param),
                    None => m.null("param"),
                };
                match code {
                    Some(code) => m.str("code", code),
                    None => m.null("code"),
                };
            });
        }
        Protocol::Messages => {
            m.str("type", "error");
            m.nested("error", |m| {
                m.str("type", anthropic_word(error))
                    .str("message", &anthropic_message(error));
            });
            m.str("request_id", request_id);
        }
    });
    body
}

/// The sentence for a Messages client: Claude Code looks for these first words to compact the conversation, and the field
/// that is not supported has no member of its own there.
pub fn anthropic_message(error: &Error) -> Cow<'_, str> {
    const TOO_LONG: &str = "prompt is too long";
    let message = &error.message;
    match (error.kind, &error.param) {
        (Kind::ContextTooLong, _) if !message.starts_with(TOO_LONG) => {
            format!("{TOO_LONG}: {message}").into()
        }
        (Kind::Unsupported, Some(param)) if !message.starts_with(param.as_str()) => {
            format!("{param}: {message}").into()
        }
        _ => message.into(),
    }
}

/// `type` and `code` of an OpenAI error.
pub fn openai_words(error: &Error) -> (&'static str, Option<&'static str>) {
    const BAD: &str = "invalid_request_error";
    match error.kind {
        Kind::Unsupported => (BAD, Some("unsupported_value")),
        Kind::ContextTooLong => (BAD, Some("context_length_exceeded")),
        Kind::ModelNotFound => (BAD, Some("model_not_found")),
        Kind::ResponseNotFound => (BAD, Some("previous_response_not_found")),
        Kind::Unauthorized => ("authentication_error", Some("invalid_api_key")),
        Kind::UpstreamStatus(401) => ("authentication_error", Some("upstream_auth")),
        Kind::UpstreamStatus(403) if error.blame == Blame::Upstream => {
            ("authentication_error", Some("upstream_auth"))
        }
        Kind::Forbidden => ("permission_error", None),
        Kind::TooLarge => (BAD, Some("request_too_large")),
        Kind::TooManyRequests => ("rate_limit_error", Some("rate_limit_exceeded")),
        Kind::QuotaExhausted => ("insufficient_quota", Some("insufficient_quota")),
        Kind::Overloaded | Kind::AtCapacity | Kind::SidecarDown => {
            ("server_error", Some("server_is_overloaded"))
        }
        Kind::UpstreamStatus(400..=499) => (BAD, None),
        Kind::Unreachable | Kind::BadReply | Kind::UpstreamStatus(_) => {
            ("server_error", Some("upstream_error"))
        }
        Kind::Timeout => ("server_error", Some("timeout")),
        Kind::Internal => ("server_error", None),
        _ => (BAD, None),
    }
}

/// `type` of an Anthropic error.
pub fn anthropic_word(error: &Error) -> &'static str {
    match error.kind {
        Kind::ModelNotFound | Kind::NotFound | Kind::UpstreamStatus(404) => "not_found_error",
        Kind::Unauthorized | Kind::UpstreamStatus(401) => "authentication_error",
        Kind::UpstreamStatus(403) if error.blame == Blame::Upstream => "authentication_error",
        Kind::Forbidden => "permission_error",
        Kind::TooLarge => "request_too_large",
        Kind::TooManyRequests => "rate_limit_error",
        Kind::QuotaExhausted => "billing_error",
        Kind::Overloaded | Kind::AtCapacity | Kind::SidecarDown => "overloaded_error",
        Kind::Timeout => "timeout_error",
        Kind::UpstreamStatus(409) => "conflict_error",
        Kind::UpstreamStatus(400..=499) => "invalid_request_error",
        Kind::Internal | Kind::Unreachable | Kind::BadReply | Kind::UpstreamStatus(_) => {
            "api_error"
        }
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests;
