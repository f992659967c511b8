//! What must hold for any input whatsoever, one function a target. libFuzzer (`targets/`) finds the inputs; README.md, "Tests",
//! says how to run them. Only the public interface of the product is used.

pub mod bodies;
#[path = "../../../src/protocol/testing/grammar.rs"]
pub mod grammar;
pub mod streams;
pub mod wire;

/// The first byte, and the rest.
fn choice(input: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = input.split_first()?;
    Some((usize::from(first), rest))
}

/// `input` in pieces whose sizes follow from `seed`: byte by byte, all of one size, or of changing sizes.
fn pieces(seed: usize, input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut state = seed as u64;
    let mut rest = input;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let size = match seed % 4 {
            0 => 1,
            1 => 2 + seed / 4,
            2 => 1 + (state >> 60) as usize,
            _ => 1 + (state >> 55) as usize,
        };
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        Some(piece)
    })
}
