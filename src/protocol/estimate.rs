//! How many tokens a request has, roughly: for upstreams that cannot count, and for the first event of a Messages stream.

use super::neutral::{Part, Request, Source, ToolKind};
use super::text::Text;

/// Bytes of text a token has, about.
pub(super) const TOKEN_BYTES: u64 = 4;
/// A picture of ordinary size.
const IMAGE_TOKENS: u64 = 1_000;
/// Roles and brackets around each turn and tool.
const FRAME_TOKENS: u64 = 4;

/// The tokens of a request, all its parts and tools counted.
pub fn of_request(request: &Request<'_>) -> u64 {
    let system: u64 = request.system.iter().map(|system| text(&system.text)).sum();
    let turns: u64 = request
        .turns
        .iter()
        .map(|turn| FRAME_TOKENS + turn.parts.iter().map(part).sum::<u64>())
        .sum();
    let tools: u64 = request
        .tools
        .iter()
        .map(|tool| {
            let schema = match &tool.kind {
                ToolKind::Function { parameters, .. } => {
                    parameters.as_ref().map_or(0, |json| json.len() as u64)
                }
                ToolKind::Custom {
                    grammar: Some((_, definition)),
                } => definition.as_escaped().len() as u64,
                _ => 0,
            };
            FRAME_TOKENS
                + text(&tool.name)
                + tool.description.as_ref().map_or(0, text)
                + schema / TOKEN_BYTES
        })
        .sum();
    (system + turns + tools).max(1)
}

fn text(text: &Text<'_>) -> u64 {
    tokens(text.as_escaped().len())
}

fn tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(TOKEN_BYTES)
}

fn part(part: &Part<'_>) -> u64 {
    match part {
        Part::Text(part) => text(&part.text),
        Part::Refusal(refusal) => text(refusal),
        Part::Reasoning(reasoning) => text(&reasoning.text),
        Part::Image(_) => IMAGE_TOKENS,
        Part::File(file) => match &file.source {
            // A page of a PDF is some 75 KB in base64 and some 2,000 tokens.
            Source::Data { data, .. } => IMAGE_TOKENS.max(data.as_escaped().len() as u64 / 40),
            Source::Url(_) => IMAGE_TOKENS,
        },
        Part::Audio { data, .. } => data.as_escaped().len() as u64 / 400,
        Part::Call(call) => {
            FRAME_TOKENS + text(&call.name) + tokens(call.arguments.escaped_bytes())
        }
        Part::Result(result) => FRAME_TOKENS + result.parts.iter().map(self::part).sum::<u64>(),
        Part::Hosted { json, .. } => json.text().len() as u64 / TOKEN_BYTES,
    }
}
