//! Frames of events: name, type and sequence number alike in each, the rest by kind.

use crate::protocol::render::{Members, write_number};
use crate::protocol::text::Text;

/// What every delta has beside name, route, text and tail.
const FRAME_BYTES_MAX: usize = 96;

/// Writes one event's frame; `fill` adds what comes after type and sequence number.
pub(in crate::protocol::responses) fn frame(
    out: &mut Vec<u8>,
    sequence: &mut u64,
    name: &str,
    fill: impl FnOnce(&mut Members<'_>),
) {
    head(out, sequence, name);
    fill(&mut Members::resume(out, false));
    out.extend_from_slice(b"}\n\n");
}

pub(super) fn head(out: &mut Vec<u8>, sequence: &mut u64, name: &str) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: {\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"sequence_number\":");
    write_number(out, *sequence);
    *sequence += 1;
}

/// A delta's frame. `route` is all that is the same in each delta of its block.
pub(super) fn delta(
    out: &mut Vec<u8>,
    sequence: &mut u64,
    name: &str,
    route: &[u8],
    text: &Text<'_>,
    tail: &[u8],
) {
    let text = text.as_escaped().as_bytes();
    out.reserve(2 * name.len() + route.len() + text.len() + tail.len() + FRAME_BYTES_MAX);
    head(out, sequence, name);
    for part in [route, b",\"delta\":\"", text, b"\"", tail, b"}\n\n"] {
        out.extend_from_slice(part);
    }
}

/// `,"item_id":…,"output_index":…` and, where the block is a part of its item, which one.
pub(super) fn route(item: &str, index: u64, part: Option<(&str, u64)>) -> Vec<u8> {
    let mut route = Vec::with_capacity(96);
    let mut m = Members::resume(&mut route, false);
    m.str("item_id", item).number("output_index", index);
    if let Some((key, number)) = part {
        m.number(key, number);
    }
    route
}

/// The event that repeats what its deltas were.
pub(super) fn sum(
    out: &mut Vec<u8>,
    sequence: &mut u64,
    name: &str,
    route: &[u8],
    key: &str,
    text: &str,
    tail: &[u8],
) {
    head(out, sequence, name);
    out.extend_from_slice(route);
    Members::resume(out, false).text(key, &Text::escaped(text));
    out.extend_from_slice(tail);
    out.extend_from_slice(b"}\n\n");
}

pub(super) fn summary_part(
    out: &mut Vec<u8>,
    sequence: &mut u64,
    name: &str,
    route: &[u8],
    text: &str,
) {
    head(out, sequence, name);
    out.extend_from_slice(route);
    Members::resume(out, false).nested("part", |m| {
        m.str("type", "summary_text");
        m.text("text", &Text::escaped(text));
    });
    out.extend_from_slice(b"}\n\n");
}
