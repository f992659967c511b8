//! The floor of bytes: split anywhere, an input means the same; what was accepted and written again is read as it was.

use crate::{choice, pieces};
use llm_wrapper::error::Fault;
use llm_wrapper::wire::body::{
    CHUNK_PREFIX_BYTES_MAX, CHUNK_SUFFIX, Decoder, Framing, LAST_CHUNK, Step, chunk_prefix,
};
use llm_wrapper::wire::head::{
    self, Headers, Method, RequestHead, ResponseHead, Searched, Version, parse_request,
    parse_response,
};
use llm_wrapper::wire::json::{self, Edit, JsonKind, Object, Raw, Walk};
use llm_wrapper::wire::url::{Base, URL_BYTES_MAX, Url};
use llm_wrapper::wire::{multipart, sse as events};

/// The first byte chooses the kind of head and how it is cut.
pub fn head(input: &[u8]) {
    let Some((seed, input)) = choice(input) else {
        return;
    };
    if seed & 1 == 0 {
        request_head(seed / 2, input);
    } else {
        response_head(seed / 2, input);
    }
}

/// Parses what has come after each piece, as a connection does.
fn arriving<H: Default>(
    seed: usize,
    input: &[u8],
    parse: fn(&[u8], &mut Searched, &mut H) -> Result<Option<usize>, Fault>,
) -> Result<Option<(usize, H)>, Fault> {
    let (mut searched, mut head, mut come) = (Searched::default(), H::default(), 0);
    for piece in pieces(seed, input) {
        come += piece.len();
        if let Some(used) = parse(&input[..come], &mut searched, &mut head)? {
            return Ok(Some((used, head)));
        }
    }
    Ok(None)
}

fn listed(headers: &Headers) -> Vec<(&[u8], &[u8])> {
    headers.iter().collect()
}

fn check_fields(headers: &Headers) {
    assert!(headers.iter().count() <= head::FIELDS_MAX);
    for (name, value) in headers.iter() {
        assert!(!name.is_empty() && name.iter().all(u8::is_ascii_graphic));
        assert_eq!(value, value.trim_ascii());
        assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    }
}

fn rewritten(mut first_line: Vec<u8>, headers: &Headers) -> Vec<u8> {
    for (name, value) in headers.iter() {
        head::write_field(&mut first_line, name, value);
    }
    first_line.extend_from_slice(b"\r\n");
    first_line
}

fn request_head(seed: usize, input: &[u8]) {
    let mut whole = RequestHead::default();
    let found = parse_request(input, &mut Searched::default(), &mut whole);
    let pieced = arriving(seed, input, parse_request);
    let used = match (found, pieced) {
        (Ok(Some(used)), Ok(Some((again, head)))) => {
            assert_eq!(used, again);
            assert_eq!(head.target(), whole.target());
            assert_eq!(listed(&head.headers), listed(&whole.headers));
            used
        }
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => return,
        (found, pieced) => panic!(
            "{found:?} whole, {:?} in pieces",
            pieced.map(|p| p.is_some())
        ),
    };
    assert!(used <= input.len());
    check_fields(&whole.headers);
    let target = whole.target();
    assert!(target.bytes().all(|b| b.is_ascii_graphic()));
    if whole.method != Method::Connect {
        assert!(target == "*" || whole.path().starts_with('/'));
        let end = whole.query().map_or(whole.path().to_owned(), |query| {
            format!("{}?{query}", whole.path())
        });
        assert!(target.ends_with(&end) || whole.path() == "/", "{target}");
    }
    let mut line = Vec::new();
    head::write_request_line(&mut line, whole.method_name(), target);
    if whole.version == Version::Http10 {
        let minor = line.len() - 3;
        line[minor] = b'0';
    }
    let written = rewritten(line, &whole.headers);
    let mut again = RequestHead::default();
    match parse_request(&written, &mut Searched::default(), &mut again) {
        Ok(used) => assert_eq!(used, Some(written.len())),
        // `Name:value` is a byte shorter than what is written for it.
        Err(_) if written.len() > head::HEAD_BYTES_MAX => return,
        Err(fault) => panic!("{fault:?}: {}", written.escape_ascii()),
    }
    assert_eq!(again.method, whole.method);
    assert_eq!(again.method_name(), whole.method_name());
    assert_eq!(again.version, whole.version);
    assert_eq!(
        (again.target(), again.path(), again.query()),
        (whole.target(), whole.path(), whole.query())
    );
    assert_eq!(again.authority(), whole.authority());
    assert_eq!(again.keeps_alive(), whole.keeps_alive());
    assert_eq!(listed(&again.headers), listed(&whole.headers));
    let framing = Framing::of_request(&whole);
    assert_eq!(framing.is_ok(), Framing::of_request(&again).is_ok());
    if let Ok(framing) = framing {
        assert_ne!(framing, Framing::UntilClose, "a request ends by itself");
        let length = whole.headers.get("content-length");
        let coding = whole.headers.get("transfer-encoding");
        match framing {
            Framing::Chunked => assert!(length.is_none() && coding.is_some()),
            Framing::Length(_) => assert!(length.is_some() && coding.is_none()),
            Framing::None | Framing::UntilClose => assert!(coding.is_none()),
        }
    }
}

fn response_head(seed: usize, input: &[u8]) {
    let mut whole = ResponseHead::default();
    let found = parse_response(input, &mut Searched::default(), &mut whole);
    let pieced = arriving(seed, input, parse_response);
    match (found, pieced) {
        (Ok(Some(used)), Ok(Some((again, head)))) => {
            assert_eq!(used, again);
            assert_eq!(head.status, whole.status);
            assert_eq!(listed(&head.headers), listed(&whole.headers));
        }
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => return,
        (found, pieced) => panic!(
            "{found:?} whole, {:?} in pieces",
            pieced.map(|p| p.is_some())
        ),
    }
    check_fields(&whole.headers);
    assert!((100..=599).contains(&whole.status));
    let mut line = Vec::new();
    head::write_status_line(&mut line, whole.status);
    if whole.version == Version::Http10 {
        line[7] = b'0';
    }
    let written = rewritten(line, &whole.headers);
    let mut again = ResponseHead::default();
    match parse_response(&written, &mut Searched::default(), &mut again) {
        Ok(used) => assert_eq!(used, Some(written.len())),
        Err(_) if written.len() > head::HEAD_BYTES_MAX => return,
        Err(fault) => panic!("{fault:?}: {}", written.escape_ascii()),
    }
    assert_eq!((again.status, again.version), (whole.status, whole.version));
    assert_eq!(again.keeps_alive(), whole.keeps_alive());
    assert_eq!(listed(&again.headers), listed(&whole.headers));
    for method in [Method::Post, Method::Head] {
        let framing = Framing::of_response(method, &whole).ok();
        assert_eq!(framing, Framing::of_response(method, &again).ok());
        if method == Method::Head {
            assert_eq!(framing, Some(Framing::None));
        }
    }
}

/// A body as far as it was decoded, and how it went on.
#[derive(Debug, PartialEq)]
enum Ended {
    /// With its last chunk, after so many bytes.
    At(usize),
    Open,
    Wrong,
}

fn decoded<'p>(mut decoder: Decoder, pieces: impl Iterator<Item = &'p [u8]>) -> (Vec<u8>, Ended) {
    let (mut body, mut held, mut total) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let Ok((used, step)) = decoder.step(&held, false) else {
                return (body, Ended::Wrong);
            };
            total += used;
            let more = match step {
                Step::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(data);
                    true
                }
                Step::NeedMore => {
                    assert_eq!(used, held.len(), "what framing takes is taken at once");
                    false
                }
                Step::End => {
                    assert!(decoder.is_done());
                    return (body, Ended::At(total));
                }
            };
            held.drain(..used);
            if !more {
                break;
            }
        }
    }
    assert!(!decoder.is_done());
    assert!(
        decoder.step(b"", true).is_err(),
        "a cut body is never a whole one"
    );
    (body, Ended::Open)
}

/// RFC 9112 7.1 once more, on a body that is there as a whole. None: it is not complete, or wrong.
fn naive_chunks(mut rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let all = rest.len();
    let mut body = Vec::new();
    let line = |rest: &mut &[u8]| {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = rest[..end].to_vec();
        *rest = &rest[end + 2..];
        Some(line)
    };
    loop {
        let size = line(&mut rest)?;
        let digits = size.split(|&b| b == b';').next()?;
        let digits = std::str::from_utf8(digits).ok()?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let size = usize::from_str_radix(digits, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    while !line(&mut rest)?.is_empty() {}
    Some((body, all - rest.len()))
}

/// The first byte chooses how the rest, a body in chunks and what follows it, is cut.
pub fn chunked(input: &[u8]) {
    let Some((seed, input)) = choice(input) else {
        return;
    };
    let strict = Decoder::of_request(Framing::Chunked);
    let lenient = Decoder::of_response(Framing::Chunked);
    let taken = decoded(strict, [input].into_iter());
    assert_eq!(decoded(strict, pieces(seed, input)), taken);
    let padded = decoded(lenient, [input].into_iter());
    assert_eq!(decoded(lenient, pieces(seed, input)), padded);
    assert!(padded.0.starts_with(&taken.0));
    assert!(padded.0.len() <= input.len());
    let (body, Ended::At(end)) = taken else {
        return;
    };
    assert_eq!(padded, (body.clone(), Ended::At(end)));
    let naive = naive_chunks(input);
    assert_eq!(naive, Some((body.clone(), end)), "{}", input.escape_ascii());
    let mut written = Vec::new();
    for piece in pieces(seed, &body) {
        let mut room = [0; CHUNK_PREFIX_BYTES_MAX];
        let at = chunk_prefix(piece.len(), &mut room);
        written.extend_from_slice(&room[at..]);
        written.extend_from_slice(piece);
        written.extend_from_slice(CHUNK_SUFFIX);
    }
    written.extend_from_slice(LAST_CHUNK);
    let length = written.len();
    assert_eq!(
        decoded(strict, [&written[..]].into_iter()),
        (body, Ended::At(length))
    );
}

type Owned = (Vec<u8>, Vec<u8>);

fn parsed<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> (Vec<Owned>, Vec<Owned>) {
    let owned = |event: events::Event<'_>| (event.name.to_vec(), event.data.to_vec());
    let mut parser = events::Parser::new();
    let (mut seen, mut last) = (Vec::new(), Vec::new());
    for piece in pieces {
        parser
            .push(piece)
            .expect("inputs are smaller than an event may be");
        while let Some(event) = parser.next() {
            seen.push(owned(event));
        }
    }
    while let Some(event) = parser.finish() {
        last.push(owned(event));
    }
    (seen, last)
}

/// WHATWG HTML 9.2.6 once more, on a stream that is there as a whole.
fn naive_events(stream: &[u8]) -> Vec<Owned> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let (mut lines, mut line, mut after_cr) = (Vec::new(), Vec::new(), false);
    for &byte in stream {
        if byte == b'\r' || byte == b'\n' {
            if !(byte == b'\n' && after_cr) {
                lines.push(std::mem::take(&mut line));
            }
        } else {
            line.push(byte);
        }
        after_cr = byte == b'\r';
    }
    let mut seen = Vec::new();
    let (mut name, mut data): (Vec<u8>, Option<Vec<u8>>) = (Vec::new(), None);
    for line in lines {
        if line.is_empty() {
            let name = std::mem::take(&mut name);
            seen.extend(data.take().map(|data| (name, data)));
            continue;
        }
        let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => match &mut data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => data = Some(value.to_vec()),
            },
            b"event" => name = value.to_vec(),
            _ => {}
        }
    }
    seen
}

/// The first byte chooses how the rest, a stream of events, is cut.
pub fn sse(input: &[u8]) {
    let Some((seed, input)) = choice(input) else {
        return;
    };
    let whole = parsed([input].into_iter());
    assert_eq!(parsed(pieces(seed, input)), whole);
    let (seen, last) = whole;
    assert_eq!(seen, naive_events(input));
    assert!(last.len() <= 1);
    let mut written = Vec::new();
    for (name, data) in seen.iter().chain(&last) {
        events::write_event(&mut written, name, data);
    }
    let (again, rest) = parsed(pieces(seed, &written));
    assert_eq!(again, [seen, last].concat());
    assert_eq!(rest, []);
}

/// The first three bytes choose edits for the rest, which may be JSON.
pub fn json(input: &[u8]) {
    let Some((chosen, input)) = input.split_first_chunk::<3>() else {
        return;
    };
    let known: Result<serde_json::Value, _> = serde_json::from_slice(input);
    let valid = json::validate(input).is_ok();
    if known.is_ok() {
        assert!(valid, "serde_json reads it");
    }
    if let Ok(text) = std::str::from_utf8(input) {
        if let Ok(value) = Raw::parse(text) {
            check_value(value, 0);
        } else {
            assert!(!valid, "what is valid can be read");
        }
    }
    let Ok(object) = Object::parse(input) else {
        if let (Ok(serde_json::Value::Object(members)), Ok(mut walk)) = (known, Walk::parse(input))
        {
            let mut count = 0;
            while walk.next().expect("it is valid").is_some() {
                count += 1;
            }
            // serde_json takes the last of two members of one name.
            let refused = count > members.len() || count > json::MEMBERS_MAX;
            assert!(refused, "refused for nothing");
        }
        return;
    };
    assert_eq!(json::splice(&object, &[]).to_vec(), input);
    let members: Vec<(String, &str)> = object
        .iter()
        .map(|(key, value)| (key.to_owned(), value.text()))
        .collect();
    if let Ok(serde_json::Value::Object(known)) = &known {
        assert_eq!(members.len(), known.len());
        for (key, value) in &members {
            let value: serde_json::Value = serde_json::from_str(value).expect("part of the whole");
            assert_eq!(known.get(key), Some(&value));
        }
    }
    let mut walk = Walk::parse(input).expect("an object");
    for (key, value) in &members {
        let (found, raw) = walk.next().expect("it was parsed").expect("as many");
        assert_eq!((&*found, raw.text()), (&**key, *value));
    }
    assert!(walk.next().expect("it was parsed").is_none());
    check_edits(&object, &members, valid, chosen);
}

fn check_value(value: Raw<'_>, depth: usize) {
    let text = value.text();
    assert_eq!(text, text.trim_ascii());
    match value.kind() {
        JsonKind::Array => {
            if let Ok(elements) = value.elements() {
                for element in elements {
                    if depth < 8 {
                        check_value(element, depth + 1);
                    }
                }
            }
        }
        JsonKind::Object => {
            if let Ok(object) = value.as_object() {
                for (_, value) in object.iter() {
                    if depth < 8 {
                        check_value(value, depth + 1);
                    }
                }
            }
        }
        JsonKind::String => {
            let known: Option<String> = serde_json::from_str(text).ok();
            if let (Some(known), Some(found)) = (known, value.as_str()) {
                assert_eq!(known, found);
                let mut out = Vec::new();
                json::write_string(&mut out, &found);
                assert_eq!(serde_json::from_slice::<String>(&out).ok(), Some(known));
            }
        }
        JsonKind::Number => {
            assert_eq!(value.as_u64(), serde_json::from_str(text).ok());
        }
        JsonKind::Bool => assert!(value.as_bool().is_some()),
        JsonKind::Null => assert_eq!(text, "null"),
    }
}

fn check_edits(object: &Object<'_>, members: &[(String, &str)], valid: bool, chosen: &[u8; 3]) {
    let keys: Vec<String> = chosen
        .iter()
        .map(|&byte| match members.get(usize::from(byte) / 4) {
            Some((key, _)) => key.clone(),
            None => format!("new \"{}\"", byte / 4),
        })
        .collect();
    let texts: Vec<String> = keys
        .iter()
        .map(|key| json::member(key, "[1,{\"x\":null}]"))
        .collect();
    let edits: Vec<Edit<'_>> = keys
        .iter()
        .zip(&texts)
        .zip(chosen)
        .map(|((key, member), byte)| match byte % 4 {
            0 => Edit::Set { key, member },
            1 => Edit::Default { key, member },
            _ => Edit::Remove { key },
        })
        .collect();
    let spliced = json::splice(object, &edits);
    assert!(spliced.parts.iter().all(|part| !part.is_empty()));
    let written = spliced.to_vec();
    assert_eq!(spliced.len(), written.len());
    let again = Object::parse(&written)
        .unwrap_or_else(|fault| panic!("{fault:?}: {}", written.escape_ascii()));
    if valid {
        json::validate(&written).expect("what was valid stays so");
    }
    for (key, value) in members {
        let last = edits.iter().rev().find(|edit| edit.key() == key);
        let expected = match last {
            Some(Edit::Set { .. }) => Some("[1,{\"x\":null}]"),
            Some(Edit::Remove { .. }) => None,
            Some(Edit::Default { .. }) | None => Some(*value),
        };
        assert_eq!(again.get(key).map(Raw::text), expected, "{key}");
    }
    for (at, key) in keys.iter().enumerate() {
        let later = edits[at + 1..].iter().any(|edit| edit.key() == key);
        if later || members.iter().any(|(known, _)| known == key) {
            continue;
        }
        let is_there = !matches!(edits[at], Edit::Remove { .. });
        assert_eq!(again.get(key).is_some(), is_there, "{key}");
    }
    let added = again
        .iter()
        .filter(|(key, _)| members.iter().all(|(known, _)| known != key));
    assert!(added.count() <= edits.len());
}

/// A content type, a line feed and a multipart body; the same bytes as a base URL.
pub fn fields(input: &[u8]) {
    if let Some(end) = input.iter().position(|&b| b == b'\n') {
        multipart_model(&input[..end], &input[end + 1..]);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        base_url(text);
    }
}

fn multipart_model(content_type: &[u8], body: &[u8]) {
    let Ok(Some(range)) = multipart::find_model(content_type, body) else {
        return;
    };
    let (before, after) = (&body[..range.start], &body[range.end..]);
    let name: &[u8] = b"another model";
    let changed = [before, name, after].concat();
    let found = multipart::find_model(content_type, &changed);
    assert_eq!(
        found.ok().flatten().map(|range| &changed[range]),
        Some(name),
        "what was replaced is what is found"
    );
}

fn base_url(text: &str) {
    if let Ok(base) = Base::parse(text) {
        let path = base.path("/v1/messages");
        assert!(path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()));
    }
    let Ok(url) = Url::parse(text) else {
        return;
    };
    assert!(!url.host.is_empty());
    assert!(url.path.is_empty() || url.path.starts_with('/') && !url.path.ends_with('/'));
    let user = url.userinfo.as_ref();
    let user = user.map_or(String::new(), |user| format!("{user}@"));
    let (scheme, place) = (url.scheme.name(), url.authority());
    let again = Url::parse(&format!("{scheme}://{user}{place}{}", url.path));
    assert_eq!(
        again.ok().as_ref().map(|again| &again.host),
        Some(&url.host)
    );
    let named = format!("{scheme}://{user}{}{}", url.host_and_port(), url.path);
    // The port it now names may be what makes it too long.
    if named.len() <= URL_BYTES_MAX {
        assert!(Url::parse(&named).is_ok_and(|again| again == url));
    }
}
