//! Why an answer ended, both ways (protocols.md 7.3). `stop_reason` is in the message of a whole answer and in the
//! `message_delta` of a stream.

use super::text_at;
use crate::error::{Error, Kind};
use crate::protocol::neutral::{Finish, Reason};
use crate::protocol::render::Members;
use crate::protocol::text::Text;
use crate::wire::json::Object;

/// Reads `stop_reason` and its companions. None: it is absent, `null` or empty, so the answer is not known to be complete.
pub(super) fn read<'a>(object: &Object<'a>) -> Result<Option<Finish<'a>>, Error> {
    let word = object.get("stop_reason").and_then(|word| word.as_str());
    let Some(word) = word.filter(|word| !word.is_empty()) else {
        return Ok(None);
    };
    let reason = match word.as_ref() {
        "end_turn" | "stop_sequence" | "tool_use" => Some(Reason::Done),
        "max_tokens" | "model_context_window_exceeded" => Some(Reason::Length),
        "refusal" => Some(Reason::Filtered),
        "pause_turn" => Some(Reason::Paused),
        "compaction" => {
            return Err(Error::upstream(
                Kind::BadReply,
                "the upstream compacted the conversation instead of answering",
            ));
        }
        _ => None,
    };
    let details = object
        .get("stop_details")
        .and_then(|details| details.as_object().ok());
    Ok(Some(Finish {
        reason: reason.unwrap_or(Reason::Done),
        stop: text_at(object, "stop_sequence").filter(|_| word == "stop_sequence"),
        explanation: details.and_then(|details| text_at(&details, "explanation")),
        unknown: reason.is_none(),
    }))
}

/// Writes `stop_reason`, `stop_sequence` and, for a refusal that says why, `stop_details`. `calls` and `refused`: what the
/// blocks were, which counts more than the reason an upstream gave.
pub(super) fn write(finish: &Finish<'_>, calls: bool, refused: bool, m: &mut Members<'_>) {
    let (word, stop) = match finish.reason {
        _ if refused => ("refusal", None),
        Reason::Filtered => ("refusal", None),
        Reason::Length | Reason::Paused => ("max_tokens", None),
        Reason::Done if calls => ("tool_use", None),
        Reason::Done => match &finish.stop {
            Some(stop) => ("stop_sequence", Some(stop)),
            None => ("end_turn", None),
        },
    };
    m.str("stop_reason", word);
    match stop {
        Some(stop) => m.text("stop_sequence", stop),
        None => m.null("stop_sequence"),
    };
    let explanation: Option<&Text<'_>> = finish.explanation.as_ref();
    if let Some(explanation) = explanation.filter(|_| word == "refusal") {
        m.nested("stop_details", |m| {
            m.str("type", "refusal")
                .null("category")
                .text("explanation", explanation);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_word(json: &str) -> Result<Option<(Reason, bool)>, Error> {
        let object = Object::parse(json.as_bytes()).unwrap();
        Ok(read(&object)?.map(|finish| (finish.reason, finish.unknown)))
    }

    #[test]
    fn case_58_every_reason_has_its_meaning() {
        let rows = [
            ("end_turn", Reason::Done, false),
            ("stop_sequence", Reason::Done, false),
            ("tool_use", Reason::Done, false),
            ("max_tokens", Reason::Length, false),
            ("model_context_window_exceeded", Reason::Length, false),
            ("refusal", Reason::Filtered, false),
            ("pause_turn", Reason::Paused, false),
            ("tired", Reason::Done, true),
        ];
        for (word, reason, unknown) in rows {
            let json = format!(r#"{{"stop_reason":"{word}"}}"#);
            assert_eq!(read_word(&json).unwrap(), Some((reason, unknown)), "{word}");
        }
        for none in ["{}", r#"{"stop_reason":null}"#, r#"{"stop_reason":""}"#] {
            assert_eq!(read_word(none).unwrap(), None);
        }
        let error = read_word(r#"{"stop_reason":"compaction"}"#).unwrap_err();
        assert_eq!(error.status(), 502);
    }

    #[test]
    fn case_58_the_blocks_decide_between_the_words() {
        let written = |finish: &Finish<'_>, calls, refused| {
            let mut out = Vec::new();
            Members::object(&mut out, |m| write(finish, calls, refused, m));
            String::from_utf8(out).unwrap()
        };
        let word = |reason, calls, refused| {
            let json = written(&Finish::of(reason), calls, refused);
            json.split('"').nth(3).unwrap().to_owned()
        };
        assert_eq!(word(Reason::Done, false, false), "end_turn");
        assert_eq!(word(Reason::Done, true, false), "tool_use");
        assert_eq!(word(Reason::Length, true, false), "max_tokens");
        assert_eq!(word(Reason::Paused, false, false), "max_tokens");
        assert_eq!(word(Reason::Filtered, false, false), "refusal");
        assert_eq!(word(Reason::Done, false, true), "refusal");
        let stopped = Finish {
            stop: Some(Text::plain("\n\n")),
            ..Finish::of(Reason::Done)
        };
        assert_eq!(
            written(&stopped, false, false),
            r#"{"stop_reason":"stop_sequence","stop_sequence":"\n\n"}"#
        );
        let refused = Finish {
            explanation: Some(Text::plain("no")),
            ..Finish::of(Reason::Filtered)
        };
        assert_eq!(
            written(&refused, false, false),
            r#"{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":null,"explanation":"no"}}"#
        );
    }
}
