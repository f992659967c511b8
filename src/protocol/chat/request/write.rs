//! A request for a Chat upstream, in the dialect its kind speaks (protocols.md 10.1).

use super::{reasoning, tools, turns};
use crate::error::Error;
use crate::protocol::caps::{StreamUsage, TokenParam};
use crate::protocol::neutral::{Format, Request};
use crate::protocol::render::Members;
use crate::protocol::text::Text;
use crate::protocol::{Outgoing, Target, Warnings};
use crate::wire::text::{hex, sha256};

/// The longest `safety_identifier` OpenAI takes.
const SAFETY_IDENTIFIER_CHARS_MAX: u64 = 128;

/// Writes the request.
///
/// # Errors
/// A part that no Chat upstream takes, or this one does not.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
    mut body: Vec<u8>,
) -> Result<Outgoing, Error> {
    let caps = target.caps;
    let mut outgoing = Outgoing {
        stream: request.stream || caps.stream_only,
        ..Outgoing::default()
    };
    let messages = turns::Messages::of(request, caps)?;
    body.reserve(request.size_hint() + 1024);
    Members::object(&mut body, |m| {
        m.str("model", target.model);
        if let Some(limit) = &request.limit {
            let name = match caps.token_param {
                TokenParam::MaxTokens => "max_tokens",
                TokenParam::MaxCompletionTokens => "max_completion_tokens",
            };
            m.number(name, limit.value);
        }
        if outgoing.stream {
            m.bool("stream", true);
            if caps.stream_usage == StreamUsage::Option {
                outgoing.invented.push("stream_options");
                m.nested("stream_options", |m| {
                    m.bool("include_usage", true);
                });
            }
        }
        reasoning::write(request, target, m, warnings);
        for (name, value) in [
            ("temperature", request.temperature),
            ("top_p", request.top_p),
            ("top_k", request.top_k),
        ] {
            if let Some(value) = value {
                m.raw(name, value.text());
            }
        }
        if !request.stops.is_empty() {
            m.array("stop", |list| {
                for stop in &request.stops {
                    list.text(stop);
                }
            });
        }
        if let Some(logprobs) = &request.logprobs {
            m.bool("logprobs", true);
            if logprobs.value > 0 {
                m.number("top_logprobs", logprobs.value);
            }
        }
        messages.write(m);
        tools::write(request, caps, m);
        format(&request.format, m);
        labels(request, target, m);
    });
    outgoing.body = body;
    Ok(outgoing)
}

fn format(format: &Format<'_>, m: &mut Members<'_>) {
    match format {
        Format::Text => {}
        Format::JsonObject => {
            m.nested("response_format", |m| {
                m.str("type", "json_object");
            });
        }
        Format::Schema {
            name,
            description,
            schema,
            strict,
        } => {
            m.nested("response_format", |m| {
                m.str("type", "json_schema").nested("json_schema", |m| {
                    m.text("name", &tools::schema_name(name.as_ref()));
                    m.text_if("description", description.as_ref());
                    m.raw("schema", schema);
                    if let Some(strict) = strict {
                        m.bool("strict", *strict);
                    }
                });
            });
        }
    }
}

/// OpenAI's own labels; other servers would refuse some of them.
fn labels(request: &Request<'_>, target: &Target<'_>, m: &mut Members<'_>) {
    let caps = target.caps;
    let safety = request
        .safety_identifier
        .as_ref()
        .or(request.user_id.as_ref());
    if !caps.labels {
        let user = request.user.as_ref().or(safety);
        if caps.user_field {
            m.text_if("user", user.map(short).as_ref());
        }
        return;
    }
    m.text_if("verbosity", request.verbosity.as_ref());
    m.raw_if("metadata", request.metadata.map(|raw| raw.text()));
    m.text_if("safety_identifier", safety.map(short).as_ref());
    m.text_if("user", request.user.as_ref());
    m.text_if("prompt_cache_key", request.cache_key.as_ref());
    m.raw_if(
        "prompt_cache_retention",
        request.cache_retention.map(|raw| raw.text()),
    );
    m.raw_if(
        "prompt_cache_options",
        request.cache_options.map(|raw| raw.text()),
    );
    m.text_if("service_tier", request.tier.as_ref());
}

/// Claude Code's user id is longer than OpenAI takes.
fn short<'t>(id: &'t Text<'t>) -> Text<'t> {
    if id.chars() <= SAFETY_IDENTIFIER_CHARS_MAX {
        return id.borrow();
    }
    Text::owned(hex(&sha256(id.decode().as_bytes())))
}
