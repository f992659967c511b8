//! The head of a request or response (RFC 9112 sections 2 to 5): parse it, look fields up, write one.
//! A head is one byte buffer and ranges into it, so parsing allocates nothing per field, and a reused head nothing at all.
//! The strict choice is always ours: CRLF only, no obs-fold, no white space before a colon, one valid Host.

mod write;

use crate::error::{Fault, Kind};
use std::mem::MaybeUninit;

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

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    len: u16,
}

impl Span {
    /// Where `part`, a slice of `whole`, lies in it.
    fn within(whole: &[u8], part: &[u8]) -> Span {
        // Both come from the same parse of `whole`, at most HEAD_BYTES_MAX long, so the offset fits.
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        if part.is_empty() {
            Span::default()
        } else {
            Span {
                start: start as u16,
                len: part.len() as u16,
            }
        }
    }

    fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.start as usize + self.len as usize]
    }
}

/// The fields of a head, in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    fields: Vec<(Span, Span)>,
}

impl Headers {
    fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    /// The first value of that name, compared without case.
    pub fn get<'h>(&'h self, name: &str) -> Option<&'h [u8]> {
        let name = name.as_bytes();
        self.iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The first value of that name, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of that name, in order.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Every field: its name (a token) as it was spelt, and its value without surrounding white space.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = self.fields.iter();
        fields.map(|(name, value)| (name.of(&self.bytes), value.of(&self.bytes)))
    }

    /// Whether a comma-separated list field, possibly given several times, holds that word (RFC 9110 5.6.1).
    pub fn lists(&self, name: &str, word: impl AsRef<[u8]>) -> bool {
        let word = word.as_ref();
        self.all(name)
            .any(|value| list_items(value).any(|item| item.eq_ignore_ascii_case(word)))
    }
}

/// The items of a comma-separated list field, trimmed, empty ones left out.
pub fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
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
        self.origin_form().split_once('?').map(|(_, query)| query)
    }

    /// The authority the request is for: that of an absolute-form target wins over Host (RFC 9112 3.2.2).
    pub fn authority(&self) -> Option<&str> {
        match absolute(self.target()) {
            Some((authority, _)) => Some(authority),
            None => self.headers.text("host"),
        }
    }

    fn origin_form(&self) -> &str {
        match absolute(self.target()) {
            Some((_, "")) => "/",
            Some((_, rest)) => rest,
            None => self.target(),
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

/// The path in a target of any form.
fn path_of(target: &str) -> &str {
    let rest = absolute(target).map_or(target, |(_, rest)| rest);
    let end = rest.bytes().position(|b| b == b'?');
    &rest[..end.unwrap_or(rest.len())]
}

/// Remembers how far an incomplete head was searched, so that a head which arrives byte by byte is searched once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Searched {
    to: usize,
    line_checked: bool,
}

/// The length of the head that `input` begins with, its empty line included. None: not complete yet.
/// A line feed without a carriage return before it is refused here (http.md 3: bare LF nowhere).
pub fn find_end(input: &[u8], searched: &mut Searched) -> Result<Option<usize>, Fault> {
    let mut at = searched.to;
    while let Some(offset) = find_line_feed(&input[at..]) {
        let lf = at + offset;
        if lf == 0 || input[lf - 1] != b'\r' {
            return Err(Fault::bad("a line of the head ends in a bare line feed"));
        }
        if lf >= 3 && input[lf - 2] == b'\n' {
            searched.to = lf + 1;
            return Ok(Some(lf + 1));
        }
        at = lf + 1;
    }
    searched.to = input.len();
    if input.len() > HEAD_BYTES_MAX {
        return Err(Fault::new(
            Kind::HeadTooLarge,
            format!("the head is larger than {HEAD_BYTES_MAX} bytes"),
        ));
    }
    Ok(None)
}

/// Where the first line feed is, looked for in blocks that the compiler compares at once.
fn find_line_feed(input: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let mut at = 0;
    for block in input.chunks_exact(BLOCK) {
        if block.iter().fold(false, |found, &b| found | (b == b'\n')) {
            break;
        }
        at += BLOCK;
    }
    let rest = input[at..].iter().position(|&b| b == b'\n');
    rest.map(|offset| at + offset)
}

/// How many bytes of empty lines stand before a request line. More than a few are refused.
pub fn leading_empty_lines(input: &[u8]) -> Result<usize, Fault> {
    let mut at = 0;
    while input[at..].starts_with(b"\r\n") {
        at += 2;
        if at > EMPTY_LINE_BYTES_MAX {
            return Err(Fault::bad("too many empty lines before the request line"));
        }
    }
    Ok(at)
}

/// Parses the request head that `input` begins with into `head`, whose buffers are reused.
/// Gives how many bytes it took, leading empty lines included; None: not complete yet.
/// What can never become a request (HTTP/2's preface, a TLS hello, a PROXY header) is refused as soon as it shows.
pub fn parse_request(
    input: &[u8],
    searched: &mut Searched,
    head: &mut RequestHead,
) -> Result<Option<usize>, Fault> {
    let skip = leading_empty_lines(input)?;
    if skip > 0 && searched.to < skip {
        searched.to = skip;
    }
    let rest = &input[skip..];
    let Some(&first) = rest.first() else {
        return Ok(None);
    };
    if first == b'\r' {
        return if rest.len() == 1 {
            Ok(None)
        } else {
            Err(Fault::bad("a bare carriage return before the request line"))
        };
    }
    if !searched.line_checked {
        check_first_line(rest, skip, searched)?;
    }
    let mut local = Searched {
        to: searched.to - skip.min(searched.to),
        line_checked: true,
    };
    let found = find_end(rest, &mut local);
    searched.to = local.to + skip;
    let Some(end) = found? else { return Ok(None) };
    if end > HEAD_BYTES_MAX {
        return Err(Fault::new(
            Kind::HeadTooLarge,
            format!("the head is larger than {HEAD_BYTES_MAX} bytes"),
        ));
    }

    head.headers.clear();
    head.headers.bytes.extend_from_slice(&rest[..end]);
    let bytes = &head.headers.bytes;
    let mut slots = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut slots) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => {
            return Err(Fault::bad("the request head ends inside a line"));
        }
        // The version was checked, so what stands before it is not two words and two blanks.
        Err(httparse::Error::Version) => return Err(Fault::bad("the request line is malformed")),
        Err(error) => return Err(parse_fault(error)),
    }
    let method = request.method.unwrap_or_default();
    let target = request.path.unwrap_or_default();
    head.method = Method::of(method);
    head.version = if request.version == Some(0) {
        Version::Http10
    } else {
        Version::Http11
    };
    head.method_name = Span::within(bytes, method.as_bytes());
    head.target = Span::within(bytes, target.as_bytes());
    head.path = Span::within(bytes, path_of(target).as_bytes());
    head.headers.fields.reserve(request.headers.len());
    for field in request.headers.iter() {
        let spans = (
            Span::within(bytes, field.name.as_bytes()),
            Span::within(bytes, field.value.trim_ascii()),
        );
        head.headers.fields.push(spans);
    }
    check_request(head)?;
    *searched = Searched::default(); // ready for the next head of the connection
    Ok(Some(skip + end))
}

/// Refuses what cannot be an HTTP/1.x request line, before the rest of the head has come.
/// `rest` begins `skip` bytes into what was searched.
fn check_first_line(rest: &[u8], skip: usize, searched: &mut Searched) -> Result<(), Fault> {
    if !rest[0].is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~".contains(&rest[0]) {
        return Err(Fault::bad(
            "this is not an HTTP/1.1 request (TLS is not spoken on this port)",
        ));
    }
    let from = searched.to.saturating_sub(skip); // no line feed before this, or the line would be checked
    let found = rest[from..].iter().position(|&b| b == b'\n');
    let Some(lf) = found.map(|offset| from + offset) else {
        if rest.len() > REQUEST_LINE_BYTES_MAX {
            return Err(Fault::new(
                Kind::UriTooLong,
                format!("the request line is longer than {REQUEST_LINE_BYTES_MAX} bytes"),
            ));
        }
        return Ok(());
    };
    if lf > REQUEST_LINE_BYTES_MAX {
        return Err(Fault::new(
            Kind::UriTooLong,
            format!("the request line is longer than {REQUEST_LINE_BYTES_MAX} bytes"),
        ));
    }
    let line = rest[..lf].strip_suffix(b"\r").unwrap_or(&rest[..lf]);
    if !line.ends_with(b" HTTP/1.1") && !line.ends_with(b" HTTP/1.0") {
        let version = line.rsplit(|&b| b == b' ').next().unwrap_or_default();
        return Err(if version.starts_with(b"HTTP/") && version.len() > 5 {
            Fault::new(
                Kind::BadVersion,
                "only HTTP/1.1 and HTTP/1.0 are spoken here",
            )
        } else {
            Fault::bad("the request line does not end in HTTP/1.1")
        });
    }
    if line.iter().filter(|&&b| b == b' ').count() != 2 {
        return Err(Fault::bad(
            "the request line is not a method, a target and a version with one space between",
        ));
    }
    searched.line_checked = true;
    Ok(())
}

fn check_request(head: &RequestHead) -> Result<(), Fault> {
    let target = head.target();
    let raw_target = head.target.of(&head.headers.bytes);
    if !raw_target
        .iter()
        .all(|&b| b.is_ascii_graphic() && b != b'#')
    {
        return Err(Fault::bad(
            "the request target holds a character that must be percent-encoded",
        ));
    }
    let mut hosts = head.headers.all("host");
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Fault::bad("more than one Host field"));
    }
    match host {
        None if head.version == Version::Http11 => {
            return Err(Fault::bad("a Host field is required"));
        }
        Some(host) if !is_authority(host) => {
            return Err(Fault::bad("the Host field is not a host"));
        }
        _ => {}
    }
    let form_ok = match head.method {
        Method::Connect => true, // authority form; the caller refuses the method
        Method::Options => target == "*" || target.starts_with('/') || absolute(target).is_some(),
        _ => target.starts_with('/') || absolute(target).is_some(),
    };
    if !form_ok {
        return Err(Fault::bad(
            "the request target is neither a path nor an http URL",
        ));
    }
    if let Some((authority, _)) = absolute(target)
        && (authority.is_empty() || !is_authority(authority.as_bytes()))
    {
        return Err(Fault::bad("the request target has no valid host"));
    }
    Ok(())
}

/// `uri-host [":" port]` of RFC 9112 3.2, without userinfo. Empty is allowed there and so here.
fn is_authority(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|&b| b == b':') {
        Some(colon) if !host.ends_with(b"]") => (&host[..colon], &host[colon + 1..]),
        _ => (host, &b""[..]),
    };
    let name_ok = if let Some(inner) = name.strip_prefix(b"[") {
        inner.strip_suffix(b"]").is_some_and(|ip| {
            !ip.is_empty()
                && ip
                    .iter()
                    .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        })
    } else {
        name.iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(b))
    };
    name_ok && port.iter().all(u8::is_ascii_digit) && port.len() <= 5
}

/// Parses the response head that `input` begins with into `head`. Gives how many bytes it took; None: not complete yet.
pub fn parse_response(
    input: &[u8],
    searched: &mut Searched,
    head: &mut ResponseHead,
) -> Result<Option<usize>, Fault> {
    if !input.is_empty() && !b"HTTP/1.".starts_with(&input[..input.len().min(7)]) {
        return Err(Fault::bad("the answer does not begin with HTTP/1.1"));
    }
    let Some(end) = find_end(input, searched)? else {
        return Ok(None);
    };
    if end > HEAD_BYTES_MAX {
        return Err(Fault::new(
            Kind::HeadTooLarge,
            format!("the head is larger than {HEAD_BYTES_MAX} bytes"),
        ));
    }
    head.headers.clear();
    head.headers.bytes.extend_from_slice(&input[..end]);
    let bytes = &head.headers.bytes;
    let mut slots = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut slots,
    ) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => {
            return Err(Fault::bad("the response head ends inside a line"));
        }
        Err(error) => return Err(parse_fault(error)),
    }
    head.status = response.code.unwrap_or_default();
    if !(100..=599).contains(&head.status) {
        return Err(Fault::bad(format!(
            "the status {} is not one of HTTP's",
            head.status
        )));
    }
    head.version = if response.version == Some(0) {
        Version::Http10
    } else {
        Version::Http11
    };
    head.headers.fields.reserve(response.headers.len());
    for field in response.headers.iter() {
        let spans = (
            Span::within(bytes, field.name.as_bytes()),
            Span::within(bytes, field.value.trim_ascii()),
        );
        head.headers.fields.push(spans);
    }
    *searched = Searched::default();
    Ok(Some(end))
}

fn parse_fault(error: httparse::Error) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => Fault::new(
            Kind::HeadTooLarge,
            format!("the head has more than {FIELDS_MAX} fields"),
        ),
        httparse::Error::Version => Fault::new(
            Kind::BadVersion,
            "only HTTP/1.1 and HTTP/1.0 are spoken here",
        ),
        httparse::Error::HeaderName => Fault::bad("a field name of the head is malformed"),
        httparse::Error::HeaderValue => {
            Fault::bad("a field value of the head holds a forbidden character")
        }
        httparse::Error::NewLine => Fault::bad("a line of the head does not end in CR LF"),
        httparse::Error::Status => Fault::bad("the status line is malformed"),
        httparse::Error::Token => Fault::bad("the first line of the head is malformed"),
    }
}

#[cfg(test)]
mod tests;
