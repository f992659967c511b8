//! Single fields that the target knows otherwise or not at all (protocols.md 5.11, 6).

use crate::error::Error;
use crate::protocol::caps::{ReasoningStyle, Sampling, Vendor};
use crate::protocol::effort::{self, Effort};
use crate::protocol::neutral::{Named, Request, Tool, ToolKind};
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::text::Text;
use crate::protocol::{Caps, Protocol, Warnings};
use crate::wire::json::Raw;

/// What asks for data, money, safety or state.
pub(super) fn labels(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if let Some(logprobs) = &request.logprobs
        && (to == Protocol::Messages || (to == Protocol::Chat && !caps.logprobs))
    {
        return Err(refuse(
            logprobs.field,
            "the upstream gives no log probabilities",
        ));
    }
    if request.moderation.is_some() && to != Protocol::Responses {
        if request.moderation_blocks {
            return Err(refuse(
                "moderation",
                "the upstream cannot block by moderation",
            ));
        }
        request.moderation = None;
        warnings.add("moderation", "unsupported");
    }
    if request.mcp_servers.is_some() && !(to == Protocol::Responses && caps.mcp) {
        return Err(refuse("mcp_servers", "the upstream reaches no MCP servers"));
    }
    if let Some(search) = request.web_search_wanted.take() {
        if to == Protocol::Messages && !caps.web_search {
            return Err(refuse(
                "web_search_options",
                "the upstream has no web search",
            ));
        }
        request.tools.push(Tool {
            name: Text::constant("web_search"),
            namespace: None,
            description: None,
            kind: ToolKind::WebSearch(search),
            cache: None,
        });
    }
    tier(request, to, caps, warnings);
    Ok(())
}

/// Never a dearer tier by translation.
fn tier(request: &mut Request<'_>, to: Protocol, caps: &Caps, warnings: &mut Warnings) {
    let Some(tier) = request.tier.take() else {
        return;
    };
    let word = tier.decode();
    request.tier = match (request.from, to, word.as_ref()) {
        (Protocol::Messages, _, "standard_only") => caps.labels.then(|| Text::constant("default")),
        (Protocol::Messages, _, _) => None,
        (_, Protocol::Messages, "default") => Some(Text::constant("standard_only")),
        (_, Protocol::Messages, "auto") => Some(Text::constant("auto")),
        (_, Protocol::Messages, _) => {
            warnings.add("service_tier", "unsupported");
            None
        }
        _ if caps.labels => Some(Text::owned(word.into_owned())),
        (_, _, "auto" | "default") => None,
        _ => {
            warnings.add("service_tier", "unsupported");
            None
        }
    };
}

/// Stop sequences that the gateway looks for in one answer, and bytes of each: all of them are held against every piece of text.
const STOPS_MAX: usize = 64;
const STOP_BYTES_MAX: usize = 1024;

/// Takes out the stops that the upstream cannot look for: the gateway does (protocols.md 6.5).
///
/// # Errors
/// Log probabilities are asked for too: what is cut inside a token has none.
pub(super) fn stops(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
) -> Result<Vec<String>, Error> {
    request.stops.retain(|stop| !stop.is_empty());
    if request.stops.is_empty() {
        return Ok(Vec::new());
    }
    let native = |stop: &Text<'_>| match to {
        Protocol::Responses => false,
        Protocol::Chat => caps.stop_native,
        Protocol::Messages => !stop.is_blank(),
    };
    let too_many = request.stops.len() > caps.stops_max;
    let (keep, emulate): (Vec<_>, Vec<_>) = std::mem::take(&mut request.stops)
        .into_iter()
        .partition(|stop| native(stop) && !too_many);
    request.stops = keep;
    let too_long = |stop: &Text<'_>| stop.as_escaped().len() > STOP_BYTES_MAX;
    if emulate.len() > STOPS_MAX || emulate.iter().any(too_long) {
        let field = match request.from {
            Protocol::Messages => "stop_sequences",
            Protocol::Chat | Protocol::Responses => "stop",
        };
        let reason = format!("the gateway looks for at most {STOPS_MAX} of {STOP_BYTES_MAX} bytes");
        return Err(refuse(field, reason));
    }
    if let (Some(odds), false) = (&request.logprobs, emulate.is_empty()) {
        return Err(refuse(
            odds.field,
            "the upstream cannot stop at a text, and what the gateway cuts has no log probabilities",
        ));
    }
    let plain = emulate.iter().map(|stop| stop.decode().into_owned());
    Ok(plain.collect())
}

/// The output limit, within what the model takes. Answers the one that was asked for, if it had to be raised.
pub(super) fn limit(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
    warnings: &mut Warnings,
) -> Result<Option<u64>, Error> {
    let Some(Named { field, value }) = request.limit else {
        return Ok(None);
    };
    if value == 0 {
        return Err(if request.from == Protocol::Messages {
            refuse(
                field,
                "0, which only warms a cache, has no counterpart at the upstream",
            )
        } else {
            wrong(field, "must be at least 1")
        });
    }
    let mut limit = value;
    if let Some(most) = caps.max_output_tokens.filter(|&most| limit > most) {
        warnings.add(field, "clamped");
        limit = most;
    }
    let least = match to {
        Protocol::Responses => caps.min_output_tokens.max(16),
        Protocol::Chat | Protocol::Messages => 1,
    };
    request.limit = Some(Named {
        field,
        value: limit.max(least),
    });
    Ok((limit < least).then_some(limit))
}

fn lose(field: &mut Option<Raw<'_>>, name: &str, warnings: &mut Warnings) {
    if field.take().is_some() {
        warnings.add(name, "unsupported");
    }
}

/// Temperature and its companions.
pub(super) fn sampling(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
    warnings: &mut Warnings,
) {
    let takes_top_k = match to {
        Protocol::Chat => caps.top_k,
        Protocol::Responses => false,
        Protocol::Messages => caps.top_k && caps.sampling == Sampling::Full,
    };
    if !takes_top_k {
        lose(&mut request.top_k, "top_k", warnings);
    }
    if caps.sampling == Sampling::None {
        lose(&mut request.temperature, "temperature", warnings);
        lose(&mut request.top_p, "top_p", warnings);
    }
    // A number too large to be one is over it too.
    let over_one = |t: Raw<'_>| t.as_f64().is_none_or(|t| t > 1.0);
    if (to == Protocol::Messages || caps.vendor == Vendor::Kimi)
        && request.temperature.is_some_and(over_one)
    {
        warnings.add("temperature", "clamped");
        request.temperature = Raw::parse("1").ok();
    }
    if to != Protocol::Messages {
        return;
    }
    let thinks = caps.reasoning == ReasoningStyle::Budget
        && effort::asked(request.effort, request.thinking)
            .is_some_and(|effort| effort != Effort::None);
    if thinks && request.temperature.is_some_and(|t| t.as_f64() != Some(1.0)) {
        // With a budget of thinking only temperature 1 is taken.
        lose(&mut request.temperature, "temperature", warnings);
    }
    if caps.sampling == Sampling::NoTopPWithTemp && request.temperature.is_some() {
        lose(&mut request.top_p, "top_p", warnings);
    }
}
