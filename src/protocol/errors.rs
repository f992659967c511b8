//! The error envelope of each protocol, made from an [`Error`] (protocols.md 4.3).

use super::Protocol;
use crate::error::{Error, Kind};

/// The JSON body of an error answer in that protocol. `request_id` goes where the protocol has a place for it.
pub fn error_body(protocol: Protocol, error: &Error, request_id: &str) -> Vec<u8> {
    let message = serde_json::Value::from(error.message.as_str());
    let body = match protocol {
        Protocol::Chat | Protocol::Responses => {
            let (kind, code) = openai_words(error);
            let param = serde_json::Value::from(error.param.as_deref());
            let code = serde_json::Value::from(code);
            format!(
                r#"{{"error":{{"message":{message},"type":"{kind}","param":{param},"code":{code}}}}}"#
            )
        }
        Protocol::Messages => {
            let kind = anthropic_word(error);
            let request_id = serde_json::Value::from(request_id);
            format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}},"request_id":{request_id}}}"#
            )
        }
    };
    body.into_bytes()
}

/// `type` and `code` of an OpenAI error.
fn openai_words(error: &Error) -> (&'static str, Option<&'static str>) {
    const BAD: &str = "invalid_request_error";
    match error.kind {
        Kind::Unsupported => (BAD, Some("unsupported_value")),
        Kind::ModelNotFound => (BAD, Some("model_not_found")),
        Kind::Unauthorized => ("authentication_error", Some("invalid_api_key")),
        Kind::Forbidden => ("permission_error", None),
        Kind::TooLarge => (BAD, Some("request_too_large")),
        Kind::TooManyRequests => ("rate_limit_error", Some("rate_limit_exceeded")),
        Kind::AtCapacity | Kind::SidecarDown => ("server_error", Some("server_is_overloaded")),
        Kind::Unreachable | Kind::BadReply | Kind::UpstreamStatus(_) => {
            ("server_error", Some("upstream_error"))
        }
        Kind::Timeout => ("server_error", Some("timeout")),
        Kind::Internal => ("server_error", None),
        _ => (BAD, None),
    }
}

/// `type` of an Anthropic error.
fn anthropic_word(error: &Error) -> &'static str {
    match error.kind {
        Kind::ModelNotFound | Kind::NotFound => "not_found_error",
        Kind::Unauthorized => "authentication_error",
        Kind::Forbidden => "permission_error",
        Kind::TooLarge => "request_too_large",
        Kind::TooManyRequests => "rate_limit_error",
        Kind::AtCapacity | Kind::SidecarDown => "overloaded_error",
        Kind::Timeout => "timeout_error",
        Kind::Internal | Kind::Unreachable | Kind::BadReply | Kind::UpstreamStatus(_) => {
            "api_error"
        }
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_own_envelope() {
        let error = Error::client(Kind::ModelNotFound, "model \"x\" is unknown").param("model");
        let chat = String::from_utf8(error_body(Protocol::Chat, &error, "req_1")).unwrap();
        assert_eq!(
            chat,
            r#"{"error":{"message":"model \"x\" is unknown","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
        );
        let messages = String::from_utf8(error_body(Protocol::Messages, &error, "req_1")).unwrap();
        assert_eq!(
            messages,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model \"x\" is unknown"},"request_id":"req_1"}"#
        );
    }
}
