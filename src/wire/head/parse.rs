//! Parsing a head, after its end was found: where it ends, what may not stand in it, and which refusal names that.

use super::fields::{Headers, Span};
use super::{
    EMPTY_LINE_BYTES_MAX, FIELDS_MAX, HEAD_BYTES_MAX, Method, REQUEST_LINE_BYTES_MAX, RequestHead,
    ResponseHead, Version, absolute, path_and_query,
};
use crate::error::{Fault, Kind};
use std::mem::MaybeUninit;

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
    while at < input.len() {
        let before = at.saturating_sub(2);
        if let Some(window) = input[before..].first_chunk()
            && at >= 2
            && !decides(window)
        {
            at += BLOCK;
            continue;
        }
        let block = match at {
            ..2 => input.len().min(2), // what begins at 2 can be looked at with what stands before
            _ => input.len().min(at + BLOCK),
        };
        while let Some(offset) = input[at..block].iter().position(|&b| b == b'\n') {
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
        at = block;
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

/// Bytes that are looked at together.
const BLOCK: usize = 32;

/// Whether a line feed of the block that `window` ends with may be bare or end the head: one that closes a line of the
/// head, as nearly all do, is none of both. Without branches, so that it becomes a few vector operations.
fn decides(window: &[u8; 2 + BLOCK]) -> bool {
    let mut found = 0;
    for at in 0..BLOCK {
        let plain = (window[at + 1] == b'\r') & (window[at] != b'\n');
        found |= u8::from(window[at + 2] == b'\n') & u8::from(!plain);
    }
    found != 0
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
    let Headers { bytes, fields } = refilled(&mut head.headers, &rest[..end])?;
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
    let (path, query) = path_and_query(target);
    head.path = Span::within(bytes, path.as_bytes());
    head.query = query.map(|query| Span::within(bytes, query.as_bytes()));
    fields.fill(bytes, request.headers);
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
    let Headers { bytes, fields } = refilled(&mut head.headers, &input[..end])?;
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
    fields.fill(bytes, response.headers);
    *searched = Searched::default();
    Ok(Some(end))
}

/// The fields without any, over the bytes of another head.
fn refilled<'h>(headers: &'h mut Headers, head: &[u8]) -> Result<&'h mut Headers, Fault> {
    if head.len() > HEAD_BYTES_MAX {
        return Err(Fault::new(
            Kind::HeadTooLarge,
            format!("the head is larger than {HEAD_BYTES_MAX} bytes"),
        ));
    }
    headers.fields.clear();
    headers.bytes.clear();
    headers.bytes.extend_from_slice(head);
    Ok(headers)
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
