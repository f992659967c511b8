//! A record as JSON: its summary for lists and the feed, and the whole of it with the brief's seven fields. Redacted here.

use super::redact::{Secrets, redact_query};
use super::{End, FIELDS, Record, Side, TARGET, Tape, UPSTREAM_FIELDS, UPSTREAM_TARGET};
use crate::gateway::config::secret::mask;
use crate::wire::json::{validate, write_string};
use crate::wire::text::rfc3339;
use std::borrow::Cow;
use std::io::Write;

/// Parts of field names whose values are not shown, should one of a travelling family be called that.
const SECRET_NAMES: [&str; 4] = ["key", "token", "secret", "auth"];

pub(super) fn write_member(out: &mut Vec<u8>, key: &str, text: &str) {
    write_string(out, key);
    out.push(b':');
    write_string(out, text);
}

fn write_optional(out: &mut Vec<u8>, key: &str, text: Option<&str>) {
    match text {
        Some(text) => write_member(out, key, text),
        None => {
            write_string(out, key);
            out.extend_from_slice(b":null");
        }
    }
}

fn write_number(out: &mut Vec<u8>, key: &str, number: Option<u64>) {
    write_string(out, key);
    // Writing to a Vec cannot fail.
    let _ = match number {
        Some(number) => write!(out, ":{number}"),
        None => write!(out, ":null"),
    };
}

/// Where the request came in.
pub(super) fn write_entry(out: &mut Vec<u8>, record: &Record) {
    let target = lossy(&record.texts[TARGET].bytes);
    let path = target.split('?').next().unwrap_or_default();
    write_member(out, "method", record.method.name());
    out.push(b',');
    write_member(out, "endpoint", path);
    out.push(b',');
    write_member(out, "client_ip", &record.peer.to_string());
    out.push(b',');
    write_optional(out, "client_key", record.client_key.as_deref());
}

/// Where it went.
pub(super) fn write_route(out: &mut Vec<u8>, record: &Record) {
    let route = record.route.as_deref();
    write_optional(out, "alias", route.map(|route| route.name.as_str()));
    out.push(b',');
    write_optional(
        out,
        "upstream",
        route.map(|route| route.upstream.name.as_str()),
    );
    out.push(b',');
    write_optional(out, "target_model", route.map(|route| route.model.as_str()));
    out.push(b',');
    write_member(out, "client_protocol", record.client_protocol.name());
    out.push(b',');
    write_optional(
        out,
        "upstream_protocol",
        route.map(|_| record.upstream_protocol.name()),
    );
}

/// The members of a summary, without braces and not redacted.
pub(super) fn write_summary(out: &mut Vec<u8>, record: &Record, end: &End) {
    write_member(out, "id", record.id());
    let started = rfc3339(end.started_ms / 1000);
    let started = format!(
        "{}.{:03}Z",
        started.trim_end_matches('Z'),
        end.started_ms % 1000
    );
    out.push(b',');
    write_member(out, "started_at", &started);
    out.push(b',');
    write_number(out, "started_ms", Some(end.started_ms));
    out.push(b',');
    write_number(out, "duration_ms", Some(end.duration.as_millis() as u64));
    out.push(b',');
    write_number(
        out,
        "first_byte_ms",
        end.first_byte.map(|after| after.as_millis() as u64),
    );
    out.push(b',');
    write_entry(out, record);
    out.push(b',');
    write_route(out, record);
    out.push(b',');
    write_number(out, "status", Some(u64::from(end.status)));
    out.push(b',');
    let upstream_status = Some(u64::from(record.upstream_status)).filter(|status| *status > 0);
    write_number(out, "upstream_status", upstream_status);
    let _ = write!(
        out,
        ",\"stream\":{},\"complete\":{},",
        record.streams, end.complete
    );
    write_optional(out, "error", end.error.as_deref());
    out.extend_from_slice(b",\"usage\":");
    if end.usage.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        out.push(b'{');
        write_number(out, "input", end.usage.input_total());
        out.push(b',');
        write_number(out, "output", end.usage.output);
        out.push(b',');
        write_number(out, "cached", end.usage.cached);
        out.push(b',');
        write_number(out, "reasoning", end.usage.reasoning);
        out.push(b'}');
    }
    out.extend_from_slice(b",\"warnings\":[");
    let named = end.warnings.iter();
    let named = named.map(|(field, reason)| format!("{field}:{reason}"));
    let noted = end.warnings.noted().map(|field| format!("{field}:unknown"));
    for (index, warning) in named.chain(noted).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, &warning);
    }
    out.extend_from_slice(b"],");
    write_number(out, "bytes_in", Some(end.bytes_in));
    out.push(b',');
    write_number(out, "bytes_out", Some(end.bytes_out));
}

/// The whole record as a JSON object, without any secret of the configuration it was made under.
pub(super) fn record(record: &Record, end: &End) -> Vec<u8> {
    let secrets = record
        .snapshot
        .as_ref()
        .map(|snapshot| Secrets::of(snapshot));
    let secrets = secrets.unwrap_or_default();
    let mut out = vec![b'{'];
    write_summary(&mut out, record, end);
    out.push(b',');
    let target = lossy(&record.texts[TARGET].bytes);
    write_member(
        &mut out,
        "client_url",
        &shown(&secrets, &redact_query(&target)),
    );
    out.push(b',');
    let upstream_url = record.route.as_ref().and_then(|route| {
        let target = &record.texts[UPSTREAM_TARGET].bytes;
        let url = || {
            route
                .upstream
                .url(record.upstream_protocol, &redact_query(&lossy(target)))
        };
        (!target.is_empty()).then(url)
    });
    let upstream_url = upstream_url.map(|url| shown(&secrets, &url));
    write_optional(&mut out, "upstream_url", upstream_url.as_deref());
    for (name, fields) in [
        ("client_headers", FIELDS),
        ("upstream_response_headers", UPSTREAM_FIELDS),
    ] {
        out.push(b',');
        write_string(&mut out, name);
        out.push(b':');
        write_fields(&mut out, &secrets, &record.texts[fields].bytes);
    }
    for side in Side::ALL {
        out.push(b',');
        write_string(&mut out, side.name());
        out.push(b':');
        write_side(&mut out, &secrets, &record.sides[side as usize]);
    }
    out.extend_from_slice(b",\"cut\":{");
    let cut = Side::ALL
        .into_iter()
        .filter(|side| record.sides[*side as usize].is_cut());
    for (index, side) in cut.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_number(
            &mut out,
            side.name(),
            Some(record.sides[side as usize].total),
        );
    }
    out.extend_from_slice(b"}}");
    // Once more over all of it: names, targets and models come from the client, too.
    match secrets.redact(&out) {
        Cow::Borrowed(_) => out,
        Cow::Owned(redacted) if validate(&redacted).is_ok() => redacted,
        // A secret that is also a part of this text's own structure.
        Cow::Owned(_) => out,
    }
}

/// JSON as it is, where it is whole; else a text.
fn write_side(out: &mut Vec<u8>, secrets: &Secrets, tape: &Tape) {
    if tape.total == 0 {
        return out.extend_from_slice(b"null");
    }
    let text = match secrets.redact(&tape.bytes) {
        // A secret, or a character, may be cut at the end.
        text if tape.is_cut() => {
            let unsettled = secrets.unsettled(&text);
            Cow::Owned(text[..text.len() - unsettled].to_vec())
        }
        text => text,
    };
    if !tape.is_cut() && validate(&text).is_ok() {
        out.extend_from_slice(text.trim_ascii());
    } else {
        write_string(out, &lossy(&text));
    }
}

fn write_fields(out: &mut Vec<u8>, secrets: &Secrets, lines: &[u8]) {
    out.push(b'[');
    let lines = lossy(lines);
    let fields = lines.split("\r\n").filter_map(|line| line.split_once(": "));
    for (index, (name, value)) in fields.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let lower = name.to_ascii_lowercase();
        let secret = SECRET_NAMES.iter().any(|part| lower.contains(part));
        let value = if secret {
            mask(value)
        } else {
            shown(secrets, value)
        };
        out.push(b'[');
        write_string(out, name);
        out.push(b',');
        write_string(out, &value);
        out.push(b']');
    }
    out.push(b']');
}

fn shown(secrets: &Secrets, text: &str) -> String {
    lossy_owned(secrets.redact(text.as_bytes()))
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn lossy_owned(bytes: Cow<'_, [u8]>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
