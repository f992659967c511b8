//! Which header fields travel, both ways: allow-lists, so that what nobody thought of stays here (product.md 3, http.md 38).

use crate::wire::head::{RequestHead, ResponseHead, write_field};

/// Fields of the client's own account with a vendor: never sent to another's.
const CLIENTS_OWN: [&str; 4] = [
    "anthropic-workspace-id",
    "anthropic-user-profile-id",
    "openai-organization",
    "openai-project",
];
const REQUEST_FIELDS: [&str; 11] = [
    "user-agent",
    "idempotency-key",
    "traceparent",
    "session-id",
    "session_id",
    "thread-id",
    "conversation_id",
    "originator",
    "version",
    "x-app",
    "x-client-request-id",
];
const REQUEST_FAMILIES: [&str; 7] = [
    "anthropic-",
    "openai-",
    "x-stainless-",
    "x-session-",
    "x-codex-",
    "x-openai-",
    "x-claude-code-",
];
const RESPONSE_FIELDS: [&str; 7] = [
    "content-type",
    "content-encoding",
    "content-language",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "content-disposition",
];
const RESPONSE_FAMILIES: [&str; 4] = ["x-ratelimit-", "anthropic-", "openai-", "ratelimit"];

fn starts_with(name: &[u8], prefix: &str) -> bool {
    name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|one| one.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether a client's field goes to an upstream of the same protocol.
pub fn travels_up(name: &[u8]) -> bool {
    let family = REQUEST_FAMILIES
        .iter()
        .any(|family| starts_with(name, family));
    (family && !is_one_of(name, &CLIENTS_OWN)) || is_one_of(name, &REQUEST_FIELDS)
}

/// Whether an upstream's field comes back to the client. Request ids are handled by [`write_answer_fields`].
fn travels_down(name: &[u8]) -> bool {
    is_one_of(name, &RESPONSE_FIELDS)
        || RESPONSE_FAMILIES
            .iter()
            .any(|family| starts_with(name, family))
}

/// Appends the client's fields that travel on, except those the upstream's own settings name.
pub fn write_request_fields(out: &mut Vec<u8>, head: &RequestHead, except: impl Fn(&[u8]) -> bool) {
    let hops = head.headers.get("connection").is_some();
    for (name, value) in head.headers.iter() {
        if travels_up(name) && !except(name) && !(hops && head.headers.lists("connection", name)) {
            write_field(out, name, value);
        }
    }
}

/// Appends the upstream's fields that come back, and both request ids: the upstream's own where it sent one, else ours.
pub fn write_answer_fields(out: &mut Vec<u8>, head: &ResponseHead, request_id: &str) {
    let mut streams = false;
    let hops = head.headers.get("connection").is_some();
    for (name, value) in head.headers.iter() {
        if travels_down(name) && !(hops && head.headers.lists("connection", name)) {
            write_field(out, name, value);
            streams |= name.eq_ignore_ascii_case(b"content-type") && is_event_stream(value);
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
