//! Which header fields travel, both ways: allow-lists, so that what nobody thought of stays here (product.md 3, http.md 38).

use crate::wire::head::{RequestHead, ResponseHead, write_field};

/// Fields of the client's own account with a vendor: never sent to another's.
const CLIENTS_OWN: [&str; 4] = [
    "anthropic-workspace-id",
    "anthropic-user-profile-id",
    "openai-organization",
    "openai-project",
];
fn starts_with(name: &[u8], prefix: &str) -> bool {
    name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|one| one.as_bytes().eq_ignore_ascii_case(name))
}

fn is_in_one_of(name: &[u8], families: &[&str]) -> bool {
    families.iter().any(|family| starts_with(name, family))
}

/// Whether a client's field goes to an upstream of the same protocol. Sorted by first letter: it is asked of every field.
pub fn travels_up(name: &[u8]) -> bool {
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'a') => starts_with(name, "anthropic-") && !is_one_of(name, &CLIENTS_OWN),
        Some(b'o') if starts_with(name, "openai-") => !is_one_of(name, &CLIENTS_OWN),
        Some(b'x') => {
            is_in_one_of(
                name,
                &[
                    "x-stainless-",
                    "x-session-",
                    "x-codex-",
                    "x-openai-",
                    "x-claude-code-",
                ],
            ) || is_one_of(name, &["x-app", "x-client-request-id"])
        }
        Some(b'u') => is_one_of(name, &["user-agent"]),
        Some(b'i') => is_one_of(name, &["idempotency-key"]),
        Some(b't') => is_one_of(name, &["traceparent", "thread-id"]),
        Some(b's') => is_one_of(name, &["session-id", "session_id"]),
        Some(b'c') => is_one_of(name, &["conversation_id"]),
        Some(b'o') => is_one_of(name, &["originator"]),
        Some(b'v') => is_one_of(name, &["version"]),
        _ => false,
    }
}

/// Whether an upstream's field comes back to the client. Request ids are handled by [`write_answer_fields`].
fn travels_down(name: &[u8]) -> bool {
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'c') => is_one_of(
            name,
            &[
                "content-type",
                "content-encoding",
                "content-language",
                "content-disposition",
            ],
        ),
        Some(b'r') => {
            is_one_of(name, &["retry-after", "retry-after-ms"]) || starts_with(name, "ratelimit")
        }
        Some(b'x') => is_one_of(name, &["x-should-retry"]) || starts_with(name, "x-ratelimit-"),
        Some(b'a') => starts_with(name, "anthropic-"),
        Some(b'o') => starts_with(name, "openai-"),
        _ => false,
    }
}

/// Appends the client's fields that travel on, except those the upstream's own settings name.
pub fn write_request_fields(out: &mut Vec<u8>, head: &RequestHead, except: impl Fn(&[u8]) -> bool) {
    let hops = head.headers.get("connection").is_some();
    for line in head.headers.lines() {
        let name = line.name;
        if travels_up(name) && !except(name) && !(hops && head.headers.lists("connection", name)) {
            line.write(out);
        }
    }
}

/// Appends the upstream's fields that come back, and both request ids: the upstream's own where it sent one, else ours.
/// Gives whether the answer is a stream of events.
pub fn write_answer_fields(out: &mut Vec<u8>, head: &ResponseHead, request_id: &str) -> bool {
    let mut streams = false;
    let hops = head.headers.get("connection").is_some();
    for line in head.headers.lines() {
        let name = line.name;
        if travels_down(name) && !(hops && head.headers.lists("connection", name)) {
            line.write(out);
            streams |= name.eq_ignore_ascii_case(b"content-type") && is_event_stream(line.value);
        }
    }
    if streams {
        let cache = head.headers.get("cache-control").unwrap_or(b"no-cache");
        write_field(out, "cache-control", cache);
        // nginx in front of us would hold events back.
        write_field(out, "x-accel-buffering", b"no");
    }
    let theirs = head
        .headers
        .get("x-request-id")
        .or_else(|| head.headers.get("request-id"));
    write_request_ids(out, theirs.unwrap_or(request_id.as_bytes()));
    streams
}

/// When an upstream wants to be asked again, where it says so in seconds or milliseconds (a date is not read): for an error that
/// is not its own answer any more.
pub fn retry_after_s(head: &ResponseHead) -> Option<u32> {
    let number = |name| head.headers.text(name)?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms")
        .map(|ms| ms / 1000.0)
        .or_else(|| number("retry-after"))?;
    (seconds >= 0.0).then_some(seconds.ceil() as u32)
}

/// Appends the id under both names: OpenAI's clients read the one, Anthropic's the other.
pub fn write_request_ids(out: &mut Vec<u8>, id: &[u8]) {
    write_field(out, "x-request-id", id);
    write_field(out, "request-id", id);
}

/// Whether a content type is that of server-sent events.
pub fn is_event_stream(content_type: &[u8]) -> bool {
    media_type(content_type).eq_ignore_ascii_case(b"text/event-stream")
}

/// Whether a content type is that of JSON.
pub fn is_json(content_type: &[u8]) -> bool {
    media_type(content_type).eq_ignore_ascii_case(b"application/json")
}

/// Whether a content type is that of a form with parts.
pub fn is_form(content_type: &[u8]) -> bool {
    media_type(content_type).eq_ignore_ascii_case(b"multipart/form-data")
}

fn media_type(content_type: &[u8]) -> &[u8] {
    content_type
        .split(|&b| b == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::head::{Searched, parse_response};

    #[test]
    fn seconds_to_wait_are_rounded_up_and_dates_are_not_read() {
        let read = |field: &str| {
            let head = format!("HTTP/1.1 429 Too Many Requests\r\n{field}\r\n\r\n");
            let mut read = ResponseHead::default();
            let end = parse_response(head.as_bytes(), &mut Searched::default(), &mut read);
            assert!(end.unwrap().is_some());
            retry_after_s(&read)
        };
        assert_eq!(read("Retry-After: 7"), Some(7));
        assert_eq!(read("Retry-After-Ms: 1200"), Some(2));
        assert_eq!(read("Retry-After: -1"), None);
        assert_eq!(read("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(read("x: 1"), None);
    }

    #[test]
    fn no_credential_and_nothing_of_the_clients_connection_travels() {
        for name in [
            "Authorization",
            "x-api-key",
            "api-key",
            "Cookie",
            "Origin",
            "Host",
            "Connection",
            "Forwarded",
            "X-Forwarded-For",
            "anthropic-workspace-id",
            "Anthropic-User-Profile-Id",
            "OpenAI-Organization",
            "openai-project",
            "Accept-Encoding",
            "Proxy-Authorization",
            "Transfer-Encoding",
            "Content-Length",
            "Expect",
            "Via",
            "x-debug-mode",
        ] {
            assert!(!travels_up(name.as_bytes()), "{name}");
        }
        for name in [
            "User-Agent",
            "anthropic-beta",
            "OpenAI-Beta",
            "x-stainless-lang",
            "session_id",
            "x-codex-turn-metadata",
            "Idempotency-Key",
        ] {
            assert!(travels_up(name.as_bytes()), "{name}");
        }
        for name in [
            "Set-Cookie",
            "Server",
            "Connection",
            "Transfer-Encoding",
            "Content-Length",
            "Date",
            "Via",
            "Alt-Svc",
        ] {
            assert!(!travels_down(name.as_bytes()), "{name}");
        }
    }
}
