//! `finish_reason`, with the words servers invented for it (protocols.md 7.3).

use crate::protocol::neutral::{Finish, Reason};
use crate::protocol::text::Text;
use crate::wire::json::Raw;

/// What a choice says of its end.
pub enum End {
    /// Nothing.
    None,
    /// It ended.
    Finish(Finish<'static>),
    /// It failed, in this word.
    Error(String),
}

/// Reads `finish_reason`; `stop` is the stop sequence that vLLM (`stop_reason`) and SGLang (`matched_stop`) name, which may also be
/// the number of a token.
pub fn of(reason: Option<Raw<'_>>, stop: Option<Raw<'_>>) -> End {
    let Some(word) = reason
        .and_then(|raw| raw.as_str())
        .filter(|word| !word.is_empty())
    else {
        return End::None;
    };
    let reason = match word.as_ref() {
        "length"
        | "model_length"
        | "model_context_window_exceeded"
        | "max_tokens"
        | "MAX_TOKENS" => Reason::Length,
        "content_filter" | "sensitive" | "safety" | "SAFETY" | "recitation" | "RECITATION" => {
            Reason::Filtered
        }
        "error" | "insufficient_system_resource" | "network_error" | "abort" => {
            return End::Error(word.into_owned());
        }
        // Gemini says behind a colon what its filter found; a call it could not read is no end either.
        filtered if filtered.starts_with("content_filter:") => Reason::Filtered,
        broken
            if broken.starts_with("function_call_filter")
                || broken == "MALFORMED_FUNCTION_CALL" =>
        {
            return End::Error(word.into_owned());
        }
        // The others end as `stop` does, also a word nobody knows.
        _ => Reason::Done,
    };
    const KNOWN: [&str; 8] = [
        "stop",
        "tool_calls",
        "function_call",
        "tool_use",
        "end_turn",
        "stop_sequence",
        "STOP",
        "eos",
    ];
    End::Finish(Finish {
        unknown: reason == Reason::Done && !KNOWN.contains(&word.as_ref()),
        reason,
        stop: stop
            .filter(|_| reason == Reason::Done)
            .and_then(Text::of)
            .map(Text::into_owned),
        explanation: None,
    })
}

/// The `finish_reason` for a client.
pub fn word(reason: Reason, calls: bool) -> &'static str {
    match reason {
        Reason::Done if calls => "tool_calls",
        Reason::Done => "stop",
        Reason::Length | Reason::Paused => "length",
        Reason::Filtered => "content_filter",
    }
}
