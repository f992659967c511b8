//! Frames of events: name, type and sequence number alike in each, the rest by kind.

use crate::protocol::render::{Members, write_number};
use crate::protocol::text::Text;

/// Digits of a number.
const NUMBER_BYTES_MAX: usize = 20;

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

/// What comes before the number of each event of that name.
macro_rules! before_number {
    ($name:literal) => {
        concat!(
            "event: ",
            $name,
            "\ndata: {\"type\":\"",
            $name,
            "\",\"sequence_number\":"
        )
    };
}

/// The kinds of deltas: what comes before their number.
pub(super) const TEXT: &str = before_number!("response.output_text.delta");
pub(super) const REFUSAL: &str = before_number!("response.refusal.delta");
pub(super) const SUMMARY: &str = before_number!("response.reasoning_summary_text.delta");
pub(super) const ARGUMENTS: &str = before_number!("response.function_call_arguments.delta");
pub(super) const INPUT: &str = before_number!("response.custom_tool_call_input.delta");
/// What follows a delta's text.
pub(super) const TAIL: &[u8] = b"\"}\n\n";
/// The same, of a text without log probabilities.
pub(super) const TEXT_TAIL: &[u8] = b"\",\"logprobs\":[]}\n\n";

/// A delta's frame, pasted together: nearly every event of a stream. `route` is all that is the same in each delta of its block.
pub(super) fn delta(
    out: &mut Vec<u8>,
    sequence: &mut u64,
    kind: &'static str,
    route: &[u8],
    text: &Text<'_>,
    tail: &[u8],
) {
    const NAME: &[u8] = b",\"delta\":\"";
    let text = text.as_escaped().as_bytes();
    out.reserve(kind.len() + NUMBER_BYTES_MAX + route.len() + NAME.len() + text.len() + tail.len());
    out.extend_from_slice(kind.as_bytes());
    write_number(out, *sequence);
    *sequence += 1;
    for part in [route, NAME, text, tail] {
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
