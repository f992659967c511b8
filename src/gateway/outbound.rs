//! The head of a request to an upstream: its URL, its credentials, its fields (product.md 3, "Credentials", "Headers").
//! An upstream that uses accounts is reached at the sidecar that holds them, with the sidecar's key.

use super::headers::write_request_fields;
use super::snapshot::Upstream;
use crate::net::origin::Origin;
use crate::protocol::{ANTHROPIC_VERSION, Protocol};
use crate::sidecar::Ready;
use crate::wire::head::{Method, RequestHead, write_field, write_number_field};
use std::ops::Range;

/// The beta that an OAuth token needs.
const OAUTH_BETA: &str = "oauth-2025-04-20";
/// How converted requests introduce themselves: they are ours, not the client's.
const USER_AGENT: &str = concat!("llm-wrapper/", env!("CARGO_PKG_VERSION"));

/// Whose fields a request carries.
#[derive(Clone, Copy)]
pub enum Voice<'a> {
    /// The client's, as far as they travel.
    Client(&'a RequestHead),
    /// The gateway's: the body was converted, and the client's fields speak of another protocol.
    Gateway {
        /// Values of `anthropic-beta` the body needs.
        betas: &'a [&'static str],
        /// The `anthropic-version` the body is written for.
        anthropic_version: &'static str,
    },
}

/// Where a request goes and what it holds.
#[derive(Clone, Copy)]
pub struct Outbound<'a> {
    /// Whom it is for.
    pub upstream: &'a Upstream,
    /// The protocol it is in.
    pub protocol: Protocol,
    /// Path and query.
    pub target: &'a str,
    /// Bytes of its body.
    pub length: usize,
    /// The type of its body.
    pub content_type: &'a [u8],
    /// Whose fields it carries.
    pub voice: Voice<'a>,
    /// The sidecar, for an upstream that uses accounts.
    pub sidecar: Option<&'a Ready>,
}

impl<'a> Outbound<'a> {
    /// Where it goes.
    pub fn origin(&self) -> &'a Origin {
        match self.sidecar {
            Some(ready) => &ready.origin,
            None => self.upstream.origin(self.protocol),
        }
    }

    fn key(&self) -> Option<&'a str> {
        match self.sidecar {
            Some(ready) => ready.api_key.as_ref().map(|key| key.expose()),
            None => self.upstream.key.as_ref().map(|key| key.expose()),
        }
    }

    /// Appends the whole head. What the upstream's own `headers` name replaces everything of that name.
    /// Gives where the client's own field lines lie in `out`.
    pub fn write_head(&self, out: &mut Vec<u8>, method: Method) -> Range<usize> {
        let upstream = self.upstream;
        let own = |name: &[u8]| {
            upstream
                .headers
                .iter()
                .any(|(header, _)| header.as_bytes().eq_ignore_ascii_case(name))
        };
        self.origin()
            .write_request_line(out, method.name(), self.target);
        let begin = out.len();
        let mut end = begin;
        let version = match self.voice {
            Voice::Client(head) => {
                write_request_fields(out, head, own);
                end = out.len();
                if head.headers.get("anthropic-version").is_some() {
                    None
                } else {
                    Some(ANTHROPIC_VERSION)
                }
            }
            Voice::Gateway {
                betas,
                anthropic_version,
            } => {
                if !own(b"user-agent") {
                    write_field(out, "user-agent", USER_AGENT.as_bytes());
                }
                if !betas.is_empty() && !own(b"anthropic-beta") {
                    write_field(out, "anthropic-beta", betas.join(",").as_bytes());
                }
                Some(anthropic_version)
            }
        };
        if let Some(version) =
            version.filter(|_| self.protocol == Protocol::Messages && !own(b"anthropic-version"))
        {
            write_field(out, "anthropic-version", version.as_bytes());
        }
        self.write_credentials(out, own);
        for (name, value) in &upstream.headers {
            write_field(out, name, value.expose().as_bytes());
        }
        if method == Method::Post {
            match self.content_type {
                b"application/json" => {
                    out.extend_from_slice(b"content-type: application/json\r\n");
                }
                other => write_field(out, "content-type", other),
            }
            write_number_field(out, "content-length", self.length as u64);
        }
        // Capture and conversion must be able to read the answer, and so must the client.
        out.extend_from_slice(b"accept-encoding: identity\r\n\r\n");
        begin..end
    }

    fn write_credentials(&self, out: &mut Vec<u8>, own: impl Fn(&[u8]) -> bool) {
        let Some(key) = self.key() else {
            return;
        };
        let bearer = |out: &mut Vec<u8>| {
            if !own(b"authorization") {
                out.extend_from_slice(b"authorization: Bearer ");
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        };
        if self.protocol != Protocol::Messages {
            return bearer(out);
        }
        if key.starts_with("sk-ant-oat") {
            bearer(out);
            return write_field(out, "anthropic-beta", OAUTH_BETA.as_bytes());
        }
        if !own(b"x-api-key") {
            write_field(out, "x-api-key", key.as_bytes());
        }
        let host = self.origin().host();
        if host != "anthropic.com" && !host.ends_with(".anthropic.com") {
            bearer(out);
        }
    }
}
