//! Which endpoint a path names. Forgiving where the mistake is common and harmless (a base URL with one `/v1` too many or
//! too few, or Anthropic's own prefix), exact everywhere else. Matching looks at the path alone, never at the query.

use crate::protocol::Protocol;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'p> {
    /// `/`.
    Root,
    /// `/healthz`.
    Health,
    /// `/v1/models`.
    Models,
    /// `/v1/models/{id}`, still percent-encoded.
    Model(&'p str),
    /// The main endpoint of a protocol.
    Main(Protocol),
    /// Another endpoint that is routed by its body's `model`: the protocol whose base URL it belongs to, and its path
    /// after `/v1`.
    Companion(Protocol, &'p str),
    /// A stored response: `/v1/responses/{id}` and what lies below it.
    StoredResponse(&'p str),
}

/// Paths after `/v1` that one upstream endpoint serves as they are.
const COMPANIONS: [(&str, Protocol); 6] = [
    ("/messages/count_tokens", Protocol::Messages),
    ("/responses/compact", Protocol::Responses),
    ("/responses/input_tokens", Protocol::Responses),
    ("/completions", Protocol::Chat),
    ("/embeddings", Protocol::Chat),
    ("/moderations", Protocol::Chat),
];
/// The same for whole folders and for a path that vendors spell with and without a version.
const COMPANION_FOLDERS: [&str; 2] = ["/images/", "/audio/"];

impl<'p> Endpoint<'p> {
    /// The endpoint of a path, if it names one.
    pub fn of(path: &'p str) -> Option<Endpoint<'p>> {
        if path == "/healthz" {
            return Some(Endpoint::Health);
        }
        let trimmed = path.trim_end_matches('/');
        if trimmed.is_empty() {
            return Some(Endpoint::Root);
        }
        let rest = after_version(trimmed);
        if rest == "/models" {
            return Some(Endpoint::Models);
        }
        if let Some(id) = rest.strip_prefix("/models/") {
            return Some(Endpoint::Model(id));
        }
        if let Some(protocol) = Protocol::ALL
            .into_iter()
            .find(|protocol| rest == protocol.path())
        {
            return Some(Endpoint::Main(protocol));
        }
        if let Some((_, protocol)) = COMPANIONS.iter().find(|(companion, _)| rest == *companion) {
            return Some(Endpoint::Companion(*protocol, rest));
        }
        if rest == "/rerank"
            || COMPANION_FOLDERS
                .iter()
                .any(|folder| rest.strip_prefix(folder).is_some_and(is_plain))
        {
            return Some(Endpoint::Companion(Protocol::Chat, rest));
        }
        rest.strip_prefix("/responses/")
            .map(Endpoint::StoredResponse)
    }

    /// The methods it answers, for Allow.
    pub fn methods(self) -> &'static str {
        match self {
            Endpoint::Root | Endpoint::Health | Endpoint::Models | Endpoint::Model(_) => {
                "GET, HEAD, OPTIONS"
            }
            Endpoint::Main(_) | Endpoint::Companion(..) => "POST, OPTIONS",
            Endpoint::StoredResponse(_) => "GET, HEAD, DELETE, OPTIONS",
        }
    }

    /// The protocol whose clients ask it; None where clients of all of them do.
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Endpoint::Main(protocol) | Endpoint::Companion(protocol, _) => Some(protocol),
            Endpoint::StoredResponse(_) => Some(Protocol::Responses),
            _ => None,
        }
    }

    /// Whether a client key is asked for.
    pub fn is_guarded(self) -> bool {
        !matches!(self, Endpoint::Root | Endpoint::Health)
    }
}

/// What follows `/v1`, however often it stands there, or the path itself.
fn after_version(path: &str) -> &str {
    let mut rest = path
        .strip_prefix("/anthropic")
        .filter(|rest| rest.starts_with("/v1"))
        .unwrap_or(path);
    while let Some(shorter) = rest
        .strip_prefix("/v1")
        .filter(|shorter| shorter.starts_with('/'))
    {
        rest = shorter;
    }
    rest
}

/// A folder's path is sent to the upstream as it is, so it holds nothing that an upstream could read as another folder.
fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/'))
        && !path.contains("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_commonest_base_url_mistakes_are_forgiven() {
        for path in [
            "/v1/chat/completions",
            "/chat/completions",
            "/v1/v1/chat/completions",
            "/v1/chat/completions/",
        ] {
            assert_eq!(
                Endpoint::of(path),
                Some(Endpoint::Main(Protocol::Chat)),
                "{path}"
            );
        }
        for path in [
            "/v1/messages",
            "/anthropic/v1/messages",
            "/messages",
            "/v1/v1/messages",
        ] {
            assert_eq!(
                Endpoint::of(path),
                Some(Endpoint::Main(Protocol::Messages)),
                "{path}"
            );
        }
        assert_eq!(Endpoint::of("/v1/models/a/b"), Some(Endpoint::Model("a/b")));
        assert_eq!(
            Endpoint::of("/v1/messages/count_tokens"),
            Some(Endpoint::Companion(
                Protocol::Messages,
                "/messages/count_tokens"
            ))
        );
        assert_eq!(
            Endpoint::of("/v1/audio/transcriptions"),
            Some(Endpoint::Companion(Protocol::Chat, "/audio/transcriptions"))
        );
        assert_eq!(
            Endpoint::of("/v1/responses/resp_1/input_items"),
            Some(Endpoint::StoredResponse("resp_1/input_items"))
        );
    }

    #[test]
    fn nothing_else_is_guessed() {
        for path in [
            "/v1",
            "/v1/",
            "/api/config",
            "/v1/chat",
            "/anthropic",
            "/v1/images/../x",
            "/v1/audio/a%2fb",
            "/v2/messages",
        ] {
            assert_eq!(Endpoint::of(path), None, "{path}");
        }
    }
}
