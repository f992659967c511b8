//! Writes a request for a Responses upstream. The server keeps nothing of it (`store: false` unless the client asked), so
//! reasoning is asked for in its encrypted form, to come back with the next turn (protocols.md 5.2.8, 5.6, 6.1, 6.3).

mod input;
mod tools;

use crate::error::Error;
use crate::protocol::caps::{ReasoningOff, ReasoningStyle, Vendor};
use crate::protocol::effort::{self, Effort, Thinking};
use crate::protocol::neutral::{Format, Request};
use crate::protocol::render::Members;
use crate::protocol::text::Text;
use crate::protocol::{Caps, Outgoing, Protocol, Target, Warnings};
use crate::wire::json::Raw;
use crate::wire::text::{hex, sha256};

/// OpenAI refuses a longer `safety_identifier`.
const IDENTIFIER_CHARS_MAX: u64 = 128;

/// Writes the request.
///
/// # Errors
/// It asks for what Responses has no word for.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
    mut body: Vec<u8>,
) -> Result<Outgoing, Error> {
    let caps = target.caps;
    let mut invented = Vec::new();
    let stream = request.stream || caps.stream_only;
    body.reserve(request.size_hint() + 1024);
    body.push(b'{');
    let mut m = Members::resume(&mut body, true);
    m.str("model", target.model);
    instructions(request, &mut m);
    store(request, caps, &mut m, &mut invented);
    m.array("input", |list| input::input(request, caps, list));
    tools::tools(request, caps, &mut m)?;
    if let Some(most) = request.hosted_calls_max {
        m.number("max_tool_calls", most);
    }
    if let Some(limit) = &request.limit {
        m.number("max_output_tokens", limit.value);
    }
    m.raw_if("temperature", request.temperature.map(Raw::text));
    m.raw_if("top_p", request.top_p.map(Raw::text));
    reasoning(request, caps, &mut m, &mut invented, warnings);
    text(request, &mut m);
    let odds = request.logprobs.as_ref().map(|odds| odds.value);
    if let Some(top) = odds.filter(|&top| top > 0) {
        m.number("top_logprobs", top);
    }
    includes(request, caps, &mut m, &mut invented);
    labels(request, caps, &mut m, &mut invented);
    if stream {
        m.bool("stream", true);
        if let Some(wanted) = request.include_obfuscation {
            m.nested("stream_options", |m| {
                m.bool("include_obfuscation", wanted);
            });
        }
    }
    body.push(b'}');
    Ok(Outgoing {
        body,
        stream,
        betas: Vec::new(),
        invented,
    })
}

/// A Messages client's `system` is one string; others keep their messages (protocols.md 5.1).
fn instructions(request: &Request<'_>, m: &mut Members<'_>) {
    if request.from == Protocol::Messages && !request.system.is_empty() {
        let texts = request.system.iter().map(|system| &system.text);
        m.text("instructions", &Text::join(texts, "\n\n"));
    }
}

/// Chat keeps nothing unless asked, Responses keeps unless told not to.
fn store(
    request: &Request<'_>,
    caps: &Caps,
    m: &mut Members<'_>,
    invented: &mut Vec<&'static str>,
) {
    m.bool("store", caps.store && request.store == Some(true));
    if request.store.is_none() {
        invented.push("store");
    }
}

fn reasoning(
    request: &Request<'_>,
    caps: &Caps,
    m: &mut Members<'_>,
    invented: &mut Vec<&'static str>,
    warnings: &mut Warnings,
) {
    let wish = effort::asked(request.effort, request.thinking);
    if caps.reasoning == ReasoningStyle::None {
        if wish.is_some_and(|wish| wish != Effort::None) {
            warnings.add(request.effort_field(), "unsupported");
        }
        return;
    }
    let off = wish == Some(Effort::None);
    let wish = match caps.reasoning_off {
        ReasoningOff::Unsupported if off => Some(Effort::Minimal),
        _ => wish,
    };
    let effort = wish.and_then(|wish| caps.efforts.nearest(wish));
    if off && effort != Some(Effort::None) {
        warnings.add(request.effort_field(), "lowest_instead");
    }
    let thinks = effort.is_some_and(|effort| effort != Effort::None)
        || matches!(
            request.thinking,
            Some(Thinking::Budget(_) | Thinking::Adaptive | Thinking::BetweenTools)
        );
    let summary = caps.reasoning_summary
        && effort != Some(Effort::None)
        && request.show_reasoning != Some(false)
        && (thinks || shows(request));
    if effort.is_none() && !summary {
        return;
    }
    if !thinks {
        invented.push("reasoning");
    }
    m.nested("reasoning", |m| {
        if let Some(effort) = effort {
            m.str("effort", effort.word());
        }
        if summary {
            m.str("summary", "auto");
        }
    });
}

/// Whether the client asks to see thoughts. Chat clients show what comes and ask for none.
fn shows(request: &Request<'_>) -> bool {
    request.show_reasoning == Some(true) && request.from != Protocol::Chat
}

/// Whether answers may hold reasoning that has to come back. A model that does not reason refuses to be asked for it.
fn reasons(request: &Request<'_>, caps: &Caps) -> bool {
    let asked = effort::asked(request.effort, request.thinking);
    let said = asked.is_some_and(|effort| effort != Effort::None)
        || request
            .thinking
            .is_some_and(|thinking| thinking != Thinking::Off)
        || shows(request);
    caps.reasoning != ReasoningStyle::None
        && (said
            || matches!(
                caps.vendor,
                Vendor::OpenAi | Vendor::Xai | Vendor::OpenRouter
            ))
}

fn text(request: &Request<'_>, m: &mut Members<'_>) {
    if matches!(request.format, Format::Text) && request.verbosity.is_none() {
        return;
    }
    m.nested("text", |m| {
        match &request.format {
            Format::Text => {}
            Format::JsonObject => {
                m.nested("format", |m| {
                    m.str("type", "json_object");
                });
            }
            Format::Schema {
                name,
                description,
                schema,
                strict,
            } => {
                m.nested("format", |m| {
                    m.str("type", "json_schema");
                    match name {
                        Some(name) => m.text("name", name),
                        None => m.str("name", "structured_output"),
                    };
                    m.text_if("description", description.as_ref());
                    if let Some(strict) = strict {
                        m.bool("strict", *strict);
                    }
                    m.raw("schema", schema);
                });
            }
        }
        m.text_if("verbosity", request.verbosity.as_ref());
    });
}

fn includes(
    request: &Request<'_>,
    caps: &Caps,
    m: &mut Members<'_>,
    invented: &mut Vec<&'static str>,
) {
    let reasons = reasons(request, caps);
    if !reasons && request.logprobs.is_none() {
        return;
    }
    invented.push("include");
    m.array("include", |list| {
        if reasons {
            list.text(&Text::constant("reasoning.encrypted_content"));
        }
        if request.logprobs.is_some() {
            list.text(&Text::constant("message.output_text.logprobs"));
        }
    });
}

/// An id that OpenAI takes: Claude Code's is longer, and `user` has no bound.
fn identifier<'t>(id: &'t Text<'_>) -> Text<'t> {
    if id.chars() <= IDENTIFIER_CHARS_MAX {
        return id.borrow();
    }
    Text::owned(hex(&sha256(id.decode().as_bytes())))
}

/// Who asks, and how the server may cache and rank it. Only OpenAI's own labels cross, and only where they are known.
fn labels(
    request: &Request<'_>,
    caps: &Caps,
    m: &mut Members<'_>,
    invented: &mut Vec<&'static str>,
) {
    m.raw_if("metadata", request.metadata.map(Raw::text));
    let who = request.safety_identifier.as_ref().or(request.user.as_ref());
    m.text_if("safety_identifier", who.map(identifier).as_ref());
    m.text_if("prompt_cache_key", request.cache_key.as_ref());
    m.raw_if("moderation", request.moderation.map(Raw::text));
    if let Some(user) = request.user_id.as_ref().filter(|_| caps.labels) {
        let digest = hex(&sha256(user.decode().as_bytes()));
        if who.is_none() {
            m.text("safety_identifier", &identifier(user));
        }
        // Claude Code's id contains its session, so one conversation keeps one key.
        if request.cache_key.is_none() {
            m.str("prompt_cache_key", &digest[..32]);
            invented.push("prompt_cache_key");
        }
    }
    if caps.labels {
        let retention = request.cache_retention.map(Raw::text);
        m.raw_if("prompt_cache_retention", retention);
        m.raw_if("prompt_cache_options", request.cache_options.map(Raw::text));
    }
    m.text_if("service_tier", request.tier.as_ref());
}
