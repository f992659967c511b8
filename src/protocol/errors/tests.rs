use super::*;
use crate::protocol::testing::convert_error;
use crate::wire::json::Raw;

fn body(protocol: Protocol, error: &Error) -> String {
    String::from_utf8(error_body(protocol, error, "req_1")).unwrap()
}

#[test]
fn each_protocol_has_its_own_envelope() {
    let error = Error::client(Kind::ModelNotFound, "model \"x\" is unknown").param("model");
    assert_eq!(
        body(Protocol::Chat, &error),
        r#"{"error":{"message":"model \"x\" is unknown","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
    );
    assert_eq!(
        body(Protocol::Messages, &error),
        r#"{"type":"error","error":{"type":"not_found_error","message":"model \"x\" is unknown"},"request_id":"req_1"}"#
    );
}

/// What was sent (status, body), then status, type and code for Chat, status and type for Messages.
type Row = (
    u16,
    &'static str,
    (u16, &'static str, Option<&'static str>),
    (u16, &'static str),
);

#[test]
fn case_59_every_row_of_the_error_table_in_three_dialects() {
    let rows: [Row; 14] = [
        (
            400,
            r#"{"error":{"message":"bad","type":"invalid_request_error"}}"#,
            (400, "invalid_request_error", None),
            (400, "invalid_request_error"),
        ),
        (
            400,
            r#"{"error":{"message":"too big","code":"context_length_exceeded"}}"#,
            (
                400,
                "invalid_request_error",
                Some("context_length_exceeded"),
            ),
            (400, "invalid_request_error"),
        ),
        (
            404,
            r#"{"error":{"message":"no such model"}}"#,
            (404, "invalid_request_error", Some("model_not_found")),
            (404, "not_found_error"),
        ),
        (
            401,
            r#"{"error":"bad key"}"#,
            (401, "authentication_error", Some("upstream_auth")),
            (401, "authentication_error"),
        ),
        (
            403,
            r#"{"error":"no"}"#,
            (403, "authentication_error", Some("upstream_auth")),
            (403, "authentication_error"),
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"this model requires moderation, your input was flagged"}}"#,
            (403, "permission_error", None),
            (403, "permission_error"),
        ),
        (
            413,
            "",
            (413, "invalid_request_error", Some("request_too_large")),
            (413, "request_too_large"),
        ),
        (
            429,
            r#"[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]"#,
            (429, "rate_limit_error", Some("rate_limit_exceeded")),
            (429, "rate_limit_error"),
        ),
        (
            429,
            r#"{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            (429, "insufficient_quota", Some("insufficient_quota")),
            (402, "billing_error"),
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            (503, "server_error", Some("server_is_overloaded")),
            (529, "overloaded_error"),
        ),
        (
            503,
            "<html>busy</html>",
            (503, "server_error", Some("server_is_overloaded")),
            (529, "overloaded_error"),
        ),
        (
            500,
            r#"{"detail":"boom"}"#,
            (500, "server_error", Some("upstream_error")),
            (500, "api_error"),
        ),
        (
            502,
            r#"{"object":"error","message":"gone","type":"X","code":502}"#,
            (502, "server_error", Some("upstream_error")),
            (502, "api_error"),
        ),
        (
            504,
            "",
            (504, "server_error", Some("timeout")),
            (504, "timeout_error"),
        ),
    ];
    for (status, sent, chat, messages) in rows {
        let error = of_answer(status, sent.as_bytes(), "up");
        assert_eq!(
            (
                super::status(Protocol::Chat, &error),
                openai_words(&error).0,
                openai_words(&error).1
            ),
            chat,
            "{sent}"
        );
        assert_eq!(
            (
                super::status(Protocol::Messages, &error),
                anthropic_word(&error)
            ),
            messages,
            "{sent}"
        );
        let answer = convert_error(Protocol::Responses, status, sent.as_bytes(), "req", "up");
        assert_eq!(
            answer.should_retry,
            (chat.1 == "insufficient_quota").then_some(false)
        );
    }
}

#[test]
fn the_upstreams_sentence_survives_whatever_shape_it_has() {
    let message = |status, body: &str| of_answer(status, body.as_bytes(), "up").message;
    assert_eq!(
        message(
            400,
            r#"{"detail":[{"loc":["body","x"],"msg":"field required"}]}"#
        ),
        r#"["body","x"]: field required"#
    );
    assert_eq!(
        message(
            400,
            r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#
        ),
        "m"
    );
    assert_eq!(message(400, "<html>oops</html>"), "<html>oops</html>");
    assert_eq!(message(400, ""), "the upstream answered 400 without a body");
    assert_eq!(message(400, &"é".repeat(4000)).len(), 2048);
    assert_eq!(
        message(401, r#"{"error":"bad key"}"#),
        r#"upstream "up" refused the gateway's key: bad key"#
    );
    assert_eq!(
        message(
            400,
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"why"}}}"#
        ),
        "Provider returned error: why"
    );
}

#[test]
fn context_overflow_starts_with_the_words_claude_code_looks_for() {
    let error = of_answer(
        400,
        br#"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#,
        "up",
    );
    assert!(
        body(Protocol::Messages, &error).contains(r#""message":"prompt is too long: This model's"#)
    );
    let native = of_answer(400, br#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}"#, "up");
    assert!(body(Protocol::Messages, &native).contains(r#""message":"prompt is too long: 9 > 8""#));
    assert_eq!(openai_words(&native).1, Some("context_length_exceeded"));
}

#[test]
fn errors_inside_streams_have_a_kind() {
    let kind = |json| in_stream(Raw::parse(json).unwrap()).kind;
    assert_eq!(
        kind(r#"{"code":429,"message":"slow"}"#),
        Kind::TooManyRequests
    );
    assert_eq!(
        kind(r#"{"type":"overloaded_error","message":"Overloaded"}"#),
        Kind::Overloaded
    );
    assert_eq!(kind(r#""boom""#), Kind::BadReply);
    assert_eq!(
        kind(r#"{"message":"x","type":"server_error"}"#),
        Kind::UpstreamStatus(500)
    );
    assert_eq!(kind("7"), Kind::BadReply);
}

#[test]
fn a_conversation_that_is_too_long_is_known_in_the_words_of_each_server() {
    let told = [
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)",
        "Please reduce the length of the messages or completion.",
        "invalid params, context window exceeds limit (2013)",
        "Prompt exceeds max length",
        "The number of tokens to keep from the initial prompt is greater than the context length",
        "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        "Range of input length should be [1, 30720]",
        "prompt token count of 130000 exceeds the limit of 128000",
    ];
    for message in told {
        let sent =
            format!(r#"{{"error":{{"message":"{message}","type":"invalid_request_error"}}}}"#);
        let answer = convert_error(Protocol::Messages, 400, sent.as_bytes(), "", "up");
        let body = String::from_utf8(answer.body).unwrap();
        assert!(
            body.contains(r#""message":"prompt is too long: "#),
            "{body}"
        );
        let answer = convert_error(Protocol::Responses, 400, sent.as_bytes(), "", "up");
        let body = String::from_utf8(answer.body).unwrap();
        assert!(body.contains("context_length_exceeded"), "{body}");
    }
    for other in [
        "The number of images exceeds the limit of 10.",
        "max_tokens is too large",
    ] {
        let sent = format!(r#"{{"error":{{"message":"{other}"}}}}"#);
        let answer = convert_error(Protocol::Messages, 400, sent.as_bytes(), "", "up");
        let body = String::from_utf8(answer.body).unwrap();
        assert!(!body.contains("prompt is too long"), "{body}");
    }
}

#[test]
fn what_no_repetition_mends_is_not_called_the_servers_fault() {
    let word = |code: &str| {
        let raw = format!(r#"{{"code":"{code}","message":"no"}}"#);
        let error = in_stream(Raw::parse(&raw).unwrap());
        (anthropic_word(&error), openai_words(&error).0)
    };
    let bad = ("invalid_request_error", "invalid_request_error");
    for code in [
        "invalid_image_format",
        "image_too_large",
        "image_parse_error",
        "failed_to_download_image",
        "empty_image_file",
        "data_residency_mismatch",
    ] {
        assert_eq!(word(code), bad, "{code}");
    }
    for code in [
        "bio_policy",
        "misalignment_policy_violation",
        "image_content_policy_violation",
    ] {
        assert_eq!(
            word(code),
            ("permission_error", "permission_error"),
            "{code}"
        );
    }
    assert_eq!(
        word("usage_not_included"),
        ("billing_error", "insufficient_quota")
    );
    assert_eq!(
        word("usage_limit_reached"),
        ("rate_limit_error", "rate_limit_error")
    );
    assert_eq!(word("vector_store_timeout").0, "timeout_error");
    assert_eq!(word("server_error").0, "api_error");
}

#[test]
fn a_conflict_is_called_so_where_there_is_a_word_for_it() {
    let answer = convert_error(Protocol::Messages, 409, br#"{"error":"busy"}"#, "", "up");
    assert_eq!(answer.status, 409);
    let body = String::from_utf8(answer.body).unwrap();
    assert!(
        body.contains(r#""type":"conflict_error","message":"busy""#),
        "{body}"
    );
}
