//! MEANING. Requests, answers and streams between the three protocols, through one neutral, block-structured form. As pure as
//! `wire`: no clock, no chance, no configuration; those come in as arguments. When client and upstream speak the same
//! protocol nothing of this is entered.
//!
//! A request is read by the client's twin, bent by [`adapt`] to what the upstream can hold, and written by the upstream's
//! twin. An answer goes the other way through [`Translator`], [`Collector`], [`convert_response`] or [`replay`].

pub mod adapt;
mod balance;
pub mod caps;
pub mod carrier;
#[cfg(test)]
mod cases;
mod chat;
pub mod context;
mod count;
pub mod effort;
mod errors;
mod estimate;
pub mod gather;
pub mod ids;
mod messages;
#[cfg(test)]
mod mutation;
pub mod neutral;
mod pattern;
mod pause;
mod pipe;
pub mod place;
pub mod refusal;
pub mod render;
mod resolve;
pub mod responses;
pub mod schema;
pub mod sequence;
mod stops;
pub mod take;
#[cfg(test)]
mod testing;
pub mod text;
mod twins;
pub mod warnings;

pub use caps::Caps;
pub use context::Context;
pub use count::{estimate_answer, estimate_tokens};
pub use errors::{
    ErrorAnswer, answer, answer_of, anthropic_message, anthropic_word, error_body, in_stream,
    is_error, of_answer, openai_words, says_error, status,
};
pub use messages::turn::{WholeTurn, continuation};
pub use neutral::Usage;
pub use pipe::{Collector, Translator, Written, convert_response, replay, truncated};
pub use warnings::Warnings;

use crate::error::Error;
use crate::wire::json::Object;

/// One of the three wire protocols a client or an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
}

impl Protocol {
    /// All three.
    pub const ALL: [Protocol; 3] = [Protocol::Chat, Protocol::Responses, Protocol::Messages];

    /// Its name in logs, metrics and the configuration's words.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Chat => "chat",
            Protocol::Responses => "responses",
            Protocol::Messages => "messages",
        }
    }

    /// The path of its main endpoint after `/v1`.
    pub fn path(self) -> &'static str {
        match self {
            Protocol::Chat => "/chat/completions",
            Protocol::Responses => "/responses",
            Protocol::Messages => "/messages",
        }
    }
}

/// The upstream a request is written for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// What it can do.
    pub caps: &'t Caps,
    /// The model it is asked for.
    pub model: &'t str,
}

/// What a twin writes of a request.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The JSON body.
    pub body: Vec<u8>,
    /// Whether the upstream is asked for a stream.
    pub stream: bool,
    /// Values of `anthropic-beta` the body needs.
    pub betas: Vec<&'static str>,
    /// Top-level keys that the client's request says nothing about: for a `default` parameter they count as absent.
    pub invented: Vec<&'static str>,
}

/// A converted request.
#[derive(Debug)]
pub struct Converted {
    /// The JSON body for the upstream.
    pub body: Vec<u8>,
    /// What was weakened or removed and could matter.
    pub warnings: Warnings,
    /// What the answer's conversion needs to know.
    pub context: Context,
    /// Whether the upstream is asked for a stream.
    pub stream: bool,
    /// Values of `anthropic-beta` the body needs.
    pub betas: Vec<&'static str>,
    /// For Messages upstreams: the version that still takes sampling fields (protocols.md 3.1).
    pub anthropic_version: &'static str,
    /// Top-level keys of the body that the converter invented: for a `default` parameter they count as absent.
    pub invented: Vec<&'static str>,
}

/// The `anthropic-version` of converted requests.
pub const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What the answering side takes from the world: the requests' side takes nothing, so that the same conversation converts to the
/// same bytes in each turn.
#[derive(Clone, Debug)]
pub struct Made {
    /// Now, in seconds.
    pub now_unix_s: u64,
    /// Fresh for each answer.
    pub random: [u8; 16],
}

impl Made {
    /// An id of this answer: `prefix` and 24 letters and digits, another for each `number`.
    pub fn id(&self, prefix: &str, number: u64) -> String {
        let mut id = Vec::with_capacity(prefix.len() + 24);
        self.write_id(prefix, number, &mut id);
        String::from_utf8(id).unwrap_or_default() // a str and ASCII
    }

    /// Appends such an id.
    pub fn write_id(&self, prefix: &str, number: u64, out: &mut Vec<u8>) {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        out.extend_from_slice(prefix.as_bytes());
        let (head, tail) = self.random.split_at(8);
        for (lane, half) in [head, tail].into_iter().enumerate() {
            let seed = half
                .iter()
                .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
            let mut bits = mixed(seed ^ mixed(number.wrapping_mul(2).wrapping_add(lane as u64)));
            let letters: [u8; 12] = std::array::from_fn(|_| {
                let letter = LETTERS[(bits & 31) as usize];
                bits >>= 5;
                letter
            });
            out.extend_from_slice(&letters);
        }
    }
}

/// Spreads each bit over all (splitmix64's finaliser).
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Converts a client's request into one for that upstream. `model` is what the upstream is asked for; `body` is the one the
/// request was routed by, so that it is parsed once; what is
/// written goes into `spare`, an empty vector.
///
/// # Errors
/// The body is no request of its protocol (`BadRequest`), or asks for what the upstream cannot honour (`Unsupported`, with the
/// field as `param`). Nothing was sent then.
pub fn convert_request(
    from: Protocol,
    to: Protocol,
    caps: &Caps,
    model: &str,
    body: Object<'_>,
    spare: Vec<u8>,
) -> Result<Converted, Error> {
    let mut warnings = Warnings::default();
    let mut request = twins::read_request(from, body, &mut warnings)?;
    let target = Target { caps, model };
    let context = adapt::adapt(&mut request, to, &target, &mut warnings)?;
    if !caps.output_limit
        && let Some(limit) = request.limit.take()
    {
        warnings.add(limit.field, "unsupported");
    }
    let outgoing = twins::write_request(to, &request, &target, &mut warnings, spare)?;
    Ok(Converted {
        body: outgoing.body,
        warnings,
        context,
        stream: outgoing.stream,
        betas: outgoing.betas,
        anthropic_version: ANTHROPIC_VERSION,
        invented: outgoing.invented,
    })
}
