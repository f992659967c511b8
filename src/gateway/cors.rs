//! Which web pages may use `/v1` (product.md 3, "CORS"): with client keys set any page, since the key is what counts;
//! with none only pages of this machine, or any page the user visits could spend his money.

use crate::wire::head::{RequestHead, write_field};

/// What browsers may read of an answer beside the usual fields.
const EXPOSED: &[u8] = b"x-request-id, retry-after, x-llm-wrapper-warnings";
/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_KEPT_S: &[u8] = b"600";

/// What the Origin field of a request means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor<'h> {
    /// No browser, or one on the same page's behalf that sends no Origin.
    NoPage,
    /// A page that may.
    Allowed(&'h [u8]),
    /// A page that may not.
    Foreign,
}

impl<'h> Visitor<'h> {
    /// Whether the page a request comes from may use `/v1`.
    pub fn of(head: &'h RequestHead, keys_set: bool) -> Visitor<'h> {
        match head.headers.get("origin") {
            None => Visitor::NoPage,
            Some(origin) if keys_set || is_loopback_origin(origin) => Visitor::Allowed(origin),
            Some(_) => Visitor::Foreign,
        }
    }

    /// Appends what lets that page read the answer.
    pub fn write_fields(self, out: &mut Vec<u8>) {
        if let Visitor::Allowed(origin) = self {
            write_field(out, "access-control-allow-origin", origin);
            write_field(out, "access-control-expose-headers", EXPOSED);
            write_field(out, "vary", b"origin");
        }
    }

    /// Appends the answer to a preflight: every method of the path, every field that was asked for.
    pub fn write_preflight(self, out: &mut Vec<u8>, head: &RequestHead, methods: &str) {
        self.write_fields(out);
        if let Visitor::Allowed(_) = self {
            write_field(out, "access-control-allow-methods", methods.as_bytes());
            if let Some(asked) = head.headers.get("access-control-request-headers") {
                write_field(out, "access-control-allow-headers", asked);
            }
            if head
                .headers
                .get("access-control-request-private-network")
                .is_some()
            {
                write_field(out, "access-control-allow-private-network", b"true");
            }
            write_field(out, "access-control-max-age", PREFLIGHT_KEPT_S);
        }
    }
}

/// `http://localhost`, 127.0.0.0/8 or `[::1]`, any port.
fn is_loopback_origin(origin: &[u8]) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else {
        return false;
    };
    let Some(authority) = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
    else {
        return false;
    };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    crate::net::origin::is_loopback(&host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_count_as_loopback() {
        for origin in [
            "http://localhost",
            "http://localhost:5173",
            "https://127.0.0.1:3000",
            "http://[::1]:8080",
        ] {
            assert!(is_loopback_origin(origin.as_bytes()), "{origin}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "file://",
            "http://10.0.0.1",
        ] {
            assert!(!is_loopback_origin(origin.as_bytes()), "{origin}");
        }
    }
}
