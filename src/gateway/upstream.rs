//! One upstream, ready to be called: where it is in each protocol, what it speaks, what it is sent beside the request.

use super::config::secret::mask;
use super::config::{Auth, Flags, Secret};
use crate::net::client::Timeouts;
use crate::net::origin::Origin;
use crate::protocol::Protocol;
use crate::protocol::caps::Vendor;
use crate::sidecar::accounts::Provider;
use crate::wire::url::{Base, Url};
use std::borrow::Cow;

/// Keys shorter than this are not looked for in an upstream's error answer: they could be any word.
const QUOTED_KEY_BYTES_MIN: usize = 9;

/// One upstream. No Debug: its URLs may hold passwords.
pub struct Upstream {
    /// Unique.
    pub name: String,
    /// A disabled upstream answers 404.
    pub enabled: bool,
    /// How the gateway identifies itself.
    pub auth: Auth,
    /// The key, where it has one. An OAuth upstream's is the sidecar's, known to the sidecar.
    pub key: Option<Secret>,
    /// Added to each request, names in lower case; they replace the gateway's own of the same name.
    pub headers: Vec<(String, Secret)>,
    /// What server it is, one of `protocol::caps::KINDS`.
    pub kind: &'static str,
    /// Single quirks.
    pub flags: Flags,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Whether a request that a reused connection lost without a byte of answer is sent once more.
    pub retry: bool,
    pub(super) supports: [bool; 3],
    pub(super) own: Place,
    pub(super) messages: Option<Place>,
}

/// One address of an upstream.
pub(super) struct Place {
    base: Base,
    origin: Origin,
    /// The paths of the main endpoints, in the order of [`Protocol::ALL`]: made once, asked for with every request.
    paths: [String; 3],
}

impl Place {
    pub fn new(base: Base, origin: Origin) -> Place {
        let paths = Protocol::ALL.map(|protocol| base.path(protocol.path()));
        Place {
            base,
            origin,
            paths,
        }
    }

    pub fn url(&self) -> &Url {
        &self.base.url
    }
}

impl Upstream {
    /// Whether it is used in that protocol. An OAuth account only in its own, whatever the file says: the sidecar's own conversion loses too much.
    pub fn supports(&self, protocol: Protocol) -> bool {
        self.supports[protocol as usize]
    }

    /// Whose accounts it uses, through the sidecar; None: it has a key of its own.
    pub fn provider(&self) -> Option<Provider> {
        match self.auth {
            Auth::ApiKey(_) => None,
            Auth::AnthropicOauth => Some(Provider::Claude),
            Auth::CodexOauth => Some(Provider::Codex),
        }
    }

    fn place(&self, protocol: Protocol) -> &Place {
        match (&self.messages, protocol) {
            (Some(place), Protocol::Messages) => place,
            _ => &self.own,
        }
    }

    /// Its base URL, in that protocol.
    pub fn base(&self, protocol: Protocol) -> &Base {
        &self.place(protocol).base
    }

    /// Where its connections go, in that protocol.
    pub fn origin(&self, protocol: Protocol) -> &Origin {
        &self.place(protocol).origin
    }

    /// The path of an endpoint such as `/chat/completions` or `/models`, in that protocol.
    pub fn path(&self, protocol: Protocol, endpoint: &str) -> Cow<'_, str> {
        let place = self.place(protocol);
        if endpoint == protocol.path() {
            return Cow::Borrowed(&place.paths[protocol as usize]);
        }
        Cow::Owned(place.base.path(endpoint))
    }

    /// The URL of a path and query there, for logs and records: without user info.
    pub fn url(&self, protocol: Protocol, target: &str) -> String {
        let url = &self.base(protocol).url;
        format!("{}://{}{target}", url.scheme.name(), url.authority())
    }

    /// An answer with this upstream's own secrets masked: some servers quote the key they refuse.
    pub fn mask_secrets<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        let mut out = Cow::Borrowed(body);
        let headers = self.headers.iter().map(|(_, value)| value);
        for secret in self.key.iter().chain(headers) {
            if let Cow::Owned(masked) = masked(&out, secret.expose()) {
                out = Cow::Owned(masked);
            }
        }
        out
    }
}

/// `text` with that secret masked, if it is long enough to be told from a word.
pub(super) fn masked<'b>(text: &'b [u8], secret: &str) -> Cow<'b, [u8]> {
    match secret.len() {
        QUOTED_KEY_BYTES_MIN.. => replaced(text, secret.as_bytes()),
        _ => Cow::Borrowed(text),
    }
}

/// `text` with each `secret` masked.
fn replaced<'b>(text: &'b [u8], secret: &[u8]) -> Cow<'b, [u8]> {
    let mut out = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while at + secret.len() <= text.len() {
        if text[at..].starts_with(secret) {
            out.extend_from_slice(&text[copied..at]);
            out.extend_from_slice(mask(&String::from_utf8_lossy(secret)).as_bytes());
            at += secret.len();
            copied = at;
        } else {
            at += 1;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[copied..]);
    Cow::Owned(out)
}

/// What server lives at an address, by the vendors' own host names and by Ollama's port.
pub(super) fn kind_of(url: &Url) -> &'static str {
    const OLLAMA_PORT: u16 = 11434;
    match Vendor::guess(&url.host) {
        "generic" if url.port == OLLAMA_PORT => "ollama",
        kind => kind,
    }
}
