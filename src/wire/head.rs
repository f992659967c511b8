//! The head of a request or response (RFC 9112 sections 2 to 5): parse it, look fields up, write one.
//! A head is one byte buffer and ranges into it, so parsing allocates nothing per field, and a reused head nothing at all.
//! The strict choice is always ours: CRLF only, no obs-fold, no white space before a colon, one valid Host.

mod fields;
mod parse;
mod write;

use fields::Span;
pub use fields::{Headers, Line, list_items};
pub use parse::{Searched, find_end, leading_empty_lines, parse_request, parse_response};
pub use write::{
    reason, write_field, write_number, write_number_field, write_request_line, write_status_line,
};

/// A head larger than this is refused with 431. Offsets into it fit 16 bits.
pub const HEAD_BYTES_MAX: usize = 65_535;
/// A request line longer than this is refused with 414 (RFC 9112 3 wants 8,000 allowed).
pub const REQUEST_LINE_BYTES_MAX: usize = 16_384;
/// More fields than this are refused with 431. The largest client seen sends 40.
pub const FIELDS_MAX: usize = 128;
/// Bytes of empty lines that are ignored before a request line (RFC 9112 2.2).
pub const EMPTY_LINE_BYTES_MAX: usize = 8;

/// A request method. Names are case-sensitive (RFC 9110 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Connect,
    Trace,
    /// Any other token.
    Other,
}

impl Method {
    /// The method of that name.
    pub fn of(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "CONNECT" => Method::Connect,
            "TRACE" => Method::Trace,
            _ => Method::Other,
        }
    }

    /// Its name; `Other` has lost it and says `OTHER`.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Connect => "CONNECT",
            Method::Trace => "TRACE",
            Method::Other => "OTHER",
        }
    }
}

/// HTTP/1.0 or HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Version {
    Http10,
    #[default]
    Http11,
}

/// A request's head.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// The fields.
    pub headers: Headers,
    method_name: Span,
    target: Span,
    path: Span,
    query: Option<Span>,
}

impl RequestHead {
    /// The request target as it was sent.
    pub fn target(&self) -> &str {
        std::str::from_utf8(self.target.of(&self.headers.bytes)).unwrap_or_default() // checked in parse_request
    }

    /// The method's name as it was sent.
    pub fn method_name(&self) -> &str {
        std::str::from_utf8(self.method_name.of(&self.headers.bytes)).unwrap_or_default() // a token, checked by httparse
    }

    /// Whether its buffers are of the usual size, worth keeping for the next head.
    pub fn is_small(&self) -> bool {
        self.headers.bytes.capacity() <= 4096
    }

    /// The target's path: without query, and without scheme and authority where it was sent in absolute form.
    pub fn path(&self) -> &str {
        match self.path.of(&self.headers.bytes) {
            b"" => "/",                                            // `http://host?query`
            path => std::str::from_utf8(path).unwrap_or_default(), // as the target is
        }
    }

    /// The target's query without its `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        let query = self.query?.of(&self.headers.bytes);
        std::str::from_utf8(query).ok() // as the target is
    }

    /// The authority the request is for: that of an absolute-form target wins over Host (RFC 9112 3.2.2).
    pub fn authority(&self) -> Option<&str> {
        match absolute(self.target()) {
            Some((authority, _)) => Some(authority),
            None => self.headers.text("host"),
        }
    }

    /// Whether the connection may serve another request after this one (RFC 9112 9.3).
    pub fn keeps_alive(&self) -> bool {
        keeps_alive(self.version, &self.headers)
    }
}

/// A response's head.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// The fields.
    pub headers: Headers,
}

impl ResponseHead {
    /// Whether its buffers are of the usual size, worth keeping for the next head.
    pub fn is_small(&self) -> bool {
        self.headers.bytes.capacity() <= 4096
    }

    /// Whether the connection may serve another request after this one (RFC 9112 9.3).
    pub fn keeps_alive(&self) -> bool {
        keeps_alive(self.version, &self.headers)
    }
}

fn keeps_alive(version: Version, headers: &Headers) -> bool {
    match version {
        Version::Http11 => !headers.lists("connection", "close"),
        Version::Http10 => {
            headers.lists("connection", "keep-alive") && !headers.lists("connection", "close")
        }
    }
}

/// Splits `http://authority/rest` or `https://…`; None for any other form.
fn absolute(target: &str) -> Option<(&str, &str)> {
    if target.starts_with('/') {
        return None; // nearly always
    }
    let (scheme, after) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = after.find(['/', '?']).unwrap_or(after.len());
    Some((&after[..end], &after[end..]))
}

/// The path in a target of any form, and the query behind it.
fn path_and_query(target: &str) -> (&str, Option<&str>) {
    let rest = absolute(target).map_or(target, |(_, rest)| rest);
    match rest.bytes().position(|b| b == b'?') {
        Some(end) => (&rest[..end], Some(&rest[end + 1..])),
        None => (rest, None),
    }
}

#[cfg(test)]
mod tests;
