//! The part named `model` in a multipart/form-data body (RFC 7578, RFC 2046 5.1): found, so that it alone can be replaced.
//! Other parts are not looked into beyond their heads. What two parsers might read in two ways is refused, because the model
//! that is routed on must be the one that is sent.

use crate::error::Fault;
use std::ops::Range;

/// A boundary (RFC 2046 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;
/// The head of one part; browsers and SDKs send about 200 bytes.
const PART_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Where in `body` the value of the part named `model` stands; None: there is no such part.
///
/// # Errors
/// Not multipart/form-data; no boundary, or a malformed one; a body that breaks off; a part head that is malformed, too long or
/// ambiguous; two parts named `model`.
pub fn find_model(content_type: &[u8], body: &[u8]) -> Result<Option<Range<usize>>, Fault> {
    let dashed = [b"--", boundary(content_type)?.as_slice()].concat();
    let mut model = None;
    let mut start = None; // of the part that is being read
    let mut from = 0;
    loop {
        let Some(line) = delimiter(body, from, &dashed)? else {
            return Err(Fault::bad("the multipart body has no closing boundary"));
        };
        if let Some(start) = start {
            // The line end before a delimiter is part of it.
            let part = start..line.saturating_sub(2).max(start);
            if let Some(value) = model_value(&body[part.clone()])? {
                if model.is_some() {
                    return Err(Fault::bad("two parts are named \"model\""));
                }
                model = Some(part.start + value..part.end);
            }
        }
        let after = &body[line + dashed.len()..];
        if after.starts_with(b"--") {
            return Ok(model);
        }
        let padding = after
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count();
        if !after[padding..].starts_with(b"\r\n") {
            return Err(Fault::bad(
                "a boundary line of the multipart body is malformed",
            ));
        }
        from = line + dashed.len() + padding;
        start = Some(from + 2);
    }
}

/// Where the next delimiter stands, at or after `from`: at the start of the body or after a CRLF. Linear, because neither CR nor LF
/// can occur in a boundary, so a failed comparison is never read again.
fn delimiter(body: &[u8], from: usize, dashed: &[u8]) -> Result<Option<usize>, Fault> {
    if from == 0 && body.starts_with(dashed) {
        return Ok(Some(0));
    }
    let mut at = from;
    while let Some(offset) = body[at..].iter().position(|&b| b == b'\n') {
        let lf = at + offset;
        at = lf + 1;
        if body[at..].starts_with(dashed) {
            if lf == 0 || body[lf - 1] != b'\r' {
                return Err(Fault::bad(
                    "a boundary of the multipart body follows a bare line feed",
                ));
            }
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// The boundary parameter of a Content-Type.
fn boundary(content_type: &[u8]) -> Result<Vec<u8>, Fault> {
    let end = content_type.iter().position(|&b| b == b';');
    let (kind, parameters) = content_type.split_at(end.unwrap_or(content_type.len()));
    if !kind
        .trim_ascii()
        .eq_ignore_ascii_case(b"multipart/form-data")
    {
        return Err(Fault::bad("the content type is not multipart/form-data"));
    }
    let boundary = parameter(parameters, b"boundary")?
        .ok_or_else(|| Fault::bad("the multipart content type has no boundary"))?;
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(b);
    if boundary.is_empty()
        || boundary.len() > BOUNDARY_BYTES_MAX
        || boundary.ends_with(b" ")
        || !boundary.iter().all(allowed)
    {
        return Err(Fault::bad("the multipart boundary is malformed"));
    }
    Ok(boundary)
}

/// If this part is the one named `model`: where its value begins.
fn model_value(part: &[u8]) -> Result<Option<usize>, Fault> {
    if part.starts_with(b"\r\n") || part.is_empty() {
        return Ok(None); // a part without fields, so without a name
    }
    let reach = &part[..part.len().min(PART_HEAD_BYTES_MAX)];
    let Some(end) = reach.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Err(Fault::bad(if reach.len() < part.len() {
            "the head of a multipart part is too long"
        } else {
            "the head of a multipart part has no end"
        }));
    };
    let mut disposition = None;
    for line in part[..end].split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|&b| b == b':');
        let bare = line.iter().any(|b| matches!(b, b'\r' | 0));
        let (Some(colon @ 1..), false, false) = (colon, bare, line.trim_ascii_start() != line)
        else {
            return Err(Fault::bad("the head of a multipart part is malformed"));
        };
        let name = line[..colon].trim_ascii_end();
        if name.eq_ignore_ascii_case(b"content-disposition")
            && disposition.replace(&line[colon + 1..]).is_some()
        {
            return Err(Fault::bad(
                "a multipart part has two Content-Disposition fields",
            ));
        }
    }
    // A bare LF inside the head would have made a line of its own that others may not see.
    let lines = part[..end].iter().filter(|&&b| b == b'\n').count();
    let pairs = part[..end].windows(2).filter(|two| two == b"\r\n").count();
    if lines != pairs {
        return Err(Fault::bad(
            "the head of a multipart part holds a bare line feed",
        ));
    }
    let Some(disposition) = disposition else {
        return Ok(None);
    };
    let semicolon = disposition.iter().position(|&b| b == b';');
    let parameters = &disposition[semicolon.unwrap_or(disposition.len())..];
    if parameter(parameters, b"name*")?.is_some() {
        return Err(Fault::bad("a multipart part has a name* parameter")); // RFC 7578 4.2 knows none
    }
    let Some(name) = parameter(parameters, b"name")? else {
        return Ok(None);
    };
    if name.contains(&b'\\') {
        return Err(Fault::bad("the name of a multipart part holds a backslash"));
    }
    Ok((name == b"model").then_some(end + 4))
}

/// The value of `; name=value` or `; name="value"` in a row of parameters (RFC 9110 5.6.6). Twice the same name is refused. In a
/// quoted value a backslash protects a quote, and stays: file names have real ones.
fn parameter(parameters: &[u8], wanted: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let malformed = || Fault::bad("a multipart parameter is malformed");
    let mut found: Option<Vec<u8>> = None;
    let mut rest = parameters.trim_ascii();
    while let Some(after) = rest.strip_prefix(b";") {
        rest = after.trim_ascii_start();
        if rest.is_empty() || rest[0] == b';' {
            continue;
        }
        let equals = rest.iter().position(|&b| b == b'=').ok_or_else(malformed)?;
        let name = rest[..equals].trim_ascii();
        if !name
            .iter()
            .all(|b| b.is_ascii_graphic() && !b"\";,".contains(b))
        {
            return Err(malformed());
        }
        rest = rest[equals + 1..].trim_ascii_start();
        let value = if let Some(quoted) = rest.strip_prefix(b"\"") {
            let mut end = 0;
            loop {
                match quoted.get(end) {
                    Some(b'"') => break,
                    Some(b'\\') if quoted.get(end + 1) == Some(&b'"') => end += 2,
                    Some(_) => end += 1,
                    None => return Err(malformed()),
                }
            }
            rest = quoted[end + 1..].trim_ascii_start();
            &quoted[..end]
        } else {
            let end = rest.iter().position(|&b| b == b';').unwrap_or(rest.len());
            let value = rest[..end].trim_ascii();
            rest = &rest[end..];
            value
        };
        if name.eq_ignore_ascii_case(wanted) && found.replace(value.to_vec()).is_some() {
            return Err(Fault::bad("a multipart parameter is given twice"));
        }
    }
    if rest.is_empty() {
        Ok(found)
    } else {
        Err(malformed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dice::Dice;

    const TYPE: &[u8] = b"multipart/form-data; boundary=XyZ";

    fn form(parts: &[&str]) -> Vec<u8> {
        let mut body = String::new();
        for part in parts {
            body.push_str("--XyZ\r\n");
            body.push_str(part);
            body.push_str("\r\n");
        }
        body.push_str("--XyZ--\r\n");
        body.into_bytes()
    }

    fn model(body: &[u8]) -> Option<&str> {
        let range = find_model(TYPE, body).unwrap()?;
        Some(std::str::from_utf8(&body[range]).unwrap())
    }

    fn refused(content_type: &[u8], body: &[u8]) -> String {
        find_model(content_type, body)
            .unwrap_err()
            .message
            .into_owned()
    }

    const MODEL: &str = "Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1";
    const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\"; name=model.wav\"\r\nContent-Type: audio/wav\r\n\r\n\0\x01--XyZ\r\n\r\nname=\"model\"\r\n--Xy";

    #[test]
    fn the_model_part_is_found_wherever_it_stands() {
        for parts in [
            &[MODEL][..],
            &[MODEL, FILE],
            &[FILE, MODEL],
            &["\r\nno head", MODEL, FILE],
        ] {
            assert_eq!(model(&form(parts)), Some("whisper-1"));
        }
        assert_eq!(model(&form(&[FILE])), None);
        assert_eq!(model(b"--XyZ--"), None);
        assert_eq!(
            model(b"preamble\r\n--XyZ \t\r\nX: y\r\n\r\n\r\n--XyZ--epilogue"),
            None
        );
        for (head, value) in [
            ("content-DISPOSITION : form-data;name=model", "x"),
            (
                "Content-Type: text/plain\r\nContent-Disposition: form-data; NAME = \"model\" ; filename=\"\"",
                "",
            ),
            (
                "Content-Disposition: form-data; filename=\"C:\\dir\\\"; name=\"model\"",
                "\r\n--Xy",
            ),
        ] {
            let body = form(&[&format!("{head}\r\n\r\n{value}")]);
            if head.contains("C:") {
                // Is the quote after the last backslash the end? Parsers disagree.
                assert!(find_model(TYPE, &body).is_err());
            } else {
                assert_eq!(model(&body), Some(value), "{head}");
            }
        }
        for name in ["models", "Model", "", "mode", "model\u{e4}"] {
            let body = form(&[&MODEL.replace("\"model\"", &format!("\"{name}\""))]);
            assert_eq!(model(&body), None);
        }
    }

    #[test]
    fn the_boundary_may_be_quoted() {
        let body =
            b"--a b?\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--a b?--\r\n";
        let content_type = b"Multipart/Form-Data ; charset=utf-8;boundary=\"a b?\"";
        let range = find_model(content_type, body).unwrap().unwrap();
        assert_eq!(&body[range], b"m");
        for bad in [
            &b""[..],
            b"application/json",
            b"multipart/mixed; boundary=XyZ",
            b"multipart/form-data",
            b"multipart/form-data; boundary=",
            b"multipart/form-data; boundary=\"",
            b"multipart/form-data; boundary=\"XyZ",
            b"multipart/form-data; boundary=\"XyZ\"x",
            b"multipart/form-data; boundary=XyZ; boundary=Xy",
            b"multipart/form-data; boundary=X\\Z",
            b"multipart/form-data; boundary=\"XyZ \"",
            b"multipart/form-data; boundary",
            b"multipart/form-data boundary=XyZ",
            b"multipart/form-data; boundary=\xc3\xa4",
        ] {
            assert!(
                find_model(bad, &form(&[MODEL])).is_err(),
                "{}",
                bad.escape_ascii()
            );
        }
        let long = |length: usize| {
            let name = "b".repeat(length);
            let content_type = format!("multipart/form-data; boundary={name}");
            find_model(content_type.as_bytes(), format!("--{name}--").as_bytes())
        };
        assert!(long(BOUNDARY_BYTES_MAX).is_ok() && long(BOUNDARY_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        assert!(refused(TYPE, &form(&[MODEL, FILE, MODEL])).contains("two parts"));
        for head in [
            "Content-Disposition: form-data; name=\"model\"; name=\"x\"",
            "Content-Disposition: form-data; name*=utf-8''model",
            "Content-Disposition: form-data; name=\"mod\\el\"",
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Disposition: form-data; name=\"x\"",
            "Content-Disposition: form-data;\r\n name=\"model\"",
            "Content-Disposition: form-data\nX: y; name=\"model\"",
            "Content-Disposition form-data; name=\"model\"",
            "X\0: y",
            ": y",
            "X: y\rContent-Disposition: form-data; name=\"model\"",
        ] {
            assert!(
                find_model(TYPE, &form(&[&format!("{head}\r\n\r\nm")])).is_err(),
                "{head}"
            );
        }
        for body in [
            "",
            "--XyZ",
            "--XyZ\r\n",
            "--XyZ\r\nX: y\r\n\r\nvalue",
            "--XyZ\r\nX: y\r\n\r\nvalue\r\n--XyZ",
            "--XyZ\r\nX: y\r\n\r\nvalue\r\n--XyZ-",
            "--XyZ\r\nX: y\r\n--XyZ--",
            "--XyZ\nX: y\r\n\r\n\r\n--XyZ--",
            "--XyZw\r\nX: y\r\n\r\n\r\n--XyZ--",
            "--XyZ\r\nX: y\r\n\r\nvalue\n--XyZ\r\nX: y\r\n\r\n\r\n--XyZ--",
            "\n--XyZ--",
        ] {
            assert!(find_model(TYPE, body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn a_part_head_has_a_limit() {
        let head = |length: usize| form(&[&format!("X: {}\r\n\r\n", "y".repeat(length))]);
        assert!(find_model(TYPE, &head(PART_HEAD_BYTES_MAX - 7)).is_ok());
        assert!(refused(TYPE, &head(PART_HEAD_BYTES_MAX - 6)).contains("too long"));
    }

    #[test]
    fn mutated_forms_neither_panic_nor_point_outside() {
        let seed = form(&[MODEL, FILE, "\r\n"]);
        let mut dice = Dice::new(11);
        let mut found = 0;
        for _ in 0..50_000 {
            let body = dice.mutate(&seed, b"\r\n-XyZ\";=:\\ \0");
            if let Ok(Some(range)) = find_model(TYPE, &body) {
                assert!(range.start <= range.end && range.end <= body.len());
                found += 1;
            }
            let content_type = dice.mutate(TYPE, b"\";=, \\b");
            let _ = find_model(&content_type, &seed);
        }
        assert!(found > 5_000, "{found}");
    }
}
