//! A Chat client's request, field by field (protocols.md 1.1, 6.1).

use super::{messages, tools};
use crate::error::Error;
use crate::protocol::effort::{Effort, Thinking};
use crate::protocol::neutral::{Format, Named, Request, WebSearch};
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::{Protocol, Warnings, take};
use crate::wire::json::{JsonKind, LongEnds, Object, Raw};
use std::borrow::Cow;

/// Fields that only hint, or whose effect no other protocol has by definition: dropped without a word.
const HINTS: [&str; 6] = [
    "seed",
    "prediction",
    "audio", // without `modalities: ["audio"]` it says nothing
    "client_metadata",
    "safeguards",
    "internal_chat_message_metadata_passthrough",
];

/// Fields of some vendor, which a client can only have meant for that one.
const VENDOR: [&str; 12] = [
    "min_p",
    "repetition_penalty",
    "enable_thinking",
    "thinking_budget",
    "chat_template_kwargs",
    "reasoning",
    "include_reasoning",
    "provider",
    "top_a",
    "guided_json",
    "reasoning_format",
    "extra_body",
];

/// Reads the request.
///
/// # Errors
/// A broken request, or a field that no other protocol can honour.
pub fn read<'a>(mut body: Object<'a>, warnings: &mut Warnings) -> Result<Request<'a>, Error> {
    let _ends = LongEnds::of(body.source());
    let model = take::text(&mut body, "model")?.ok_or_else(|| wrong("model", "is missing"))?;
    let mut request = Request::new(Protocol::Chat, model);
    refusals(&mut body)?;
    let Some(list) = take::array(&mut body, "messages")? else {
        if body.get("input").is_some() {
            return Err(wrong(
                "input",
                "belongs to /v1/responses; a chat completion needs messages",
            ));
        }
        return Err(wrong("messages", "is missing"));
    };
    messages::read(list, &mut request, warnings)?;
    limits(&mut body, &mut request)?;
    nudges(&mut body, &mut request, warnings)?;
    reasoning(&mut body, &mut request, warnings)?;
    request.format = format(&mut body, warnings)?;
    request.stream = take::flag(&mut body, "stream")?.unwrap_or(false);
    if let Some(mut options) = take::object(&mut body, "stream_options")? {
        request.include_usage = take::flag(&mut options, "include_usage")?.unwrap_or(false);
        request.include_obfuscation = take::flag(&mut options, "include_obfuscation")?;
        take::rest(&options, &[], "stream_options", warnings);
    }
    tools::read(&mut body, &mut request, warnings)?;
    labels(&mut body, &mut request, warnings)?;
    for name in VENDOR {
        if let Some(value) = take::raw(&mut body, name) {
            request.vendor.push((Cow::Borrowed(name), value));
        }
    }
    for name in HINTS {
        body.take(name);
    }
    request.unknown = body.rest().map(|(key, _)| key).collect();
    Ok(request)
}

/// What would change the meaning of the answer wherever else it went.
fn refusals(body: &mut Object<'_>) -> Result<(), Error> {
    if take::count(body, "n")?.is_some_and(|n| n != 1) {
        return Err(refuse("n", "only one answer can be given by this upstream"));
    }
    if let Some(bias) = take::object(body, "logit_bias")?
        && !bias.is_empty()
    {
        return Err(refuse("logit_bias", "the upstream cannot weigh tokens"));
    }
    if let Some(mut modalities) = take::array(body, "modalities")?
        && modalities.any(|kind| kind.as_str().is_none_or(|word| word != "text"))
    {
        return Err(refuse("modalities", "the upstream answers in text only"));
    }
    Ok(())
}

fn limits<'a>(body: &mut Object<'a>, request: &mut Request<'a>) -> Result<(), Error> {
    let newer = take::count(body, "max_completion_tokens")?;
    let older = take::count(body, "max_tokens")?;
    request.limit = match (newer, older) {
        (Some(value), _) => Some(Named {
            field: "max_completion_tokens",
            value,
        }),
        (None, Some(value)) => Some(Named {
            field: "max_tokens",
            value,
        }),
        (None, None) => None,
    };
    match take::raw(body, "stop") {
        None => {}
        Some(list) if list.kind() == JsonKind::Array => {
            for stop in take::as_array(list, "stop")? {
                request.stops.push(take::as_text(stop, "stop")?);
            }
        }
        Some(one) => request.stops.push(take::as_text(one, "stop")?),
    }
    let wanted = take::flag(body, "logprobs")?.unwrap_or(false);
    let most = take::count(body, "top_logprobs")?.unwrap_or(0);
    request.logprobs = wanted.then_some(Named {
        field: "logprobs",
        value: most,
    });
    Ok(())
}

fn nudges<'a>(
    body: &mut Object<'a>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    request.temperature = take::number(body, "temperature")?;
    request.top_p = take::number(body, "top_p")?;
    request.top_k = take::number(body, "top_k")?;
    for name in ["presence_penalty", "frequency_penalty"] {
        if take::number(body, name)?.is_some_and(|value| value.as_f64() != Some(0.0)) {
            warnings.add(name, "unsupported");
        }
    }
    request.verbosity = take::text(body, "verbosity")?;
    Ok(())
}

fn reasoning<'a>(
    body: &mut Object<'a>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if let Some(word) = take::text(body, "reasoning_effort")? {
        let effort = Effort::of(&word.decode());
        let known = || {
            wrong(
                "reasoning_effort",
                "expected none, minimal, low, medium, high, xhigh or max",
            )
        };
        request.effort = Some(effort.ok_or_else(known)?);
    }
    if let Some(mut thinking) = take::object(body, "thinking")? {
        let kind = take::text(&mut thinking, "type")?.unwrap_or_default();
        let budget = take::count(&mut thinking, "budget_tokens")?;
        take::rest(&thinking, &[], "thinking", warnings);
        request.thinking = match kind.decode().as_ref() {
            "enabled" => Some(budget.map_or(Thinking::Adaptive, Thinking::Budget)),
            "adaptive" => Some(Thinking::Adaptive),
            "between_tools" => Some(Thinking::BetweenTools),
            "disabled" => Some(Thinking::Off),
            _ => {
                return Err(wrong(
                    "thinking.type",
                    "expected enabled, adaptive, between_tools or disabled",
                ));
            }
        };
    }
    request.show_reasoning = Some(true); // a Chat client gets the text in `reasoning_content`
    Ok(())
}

fn format<'a>(body: &mut Object<'a>, warnings: &mut Warnings) -> Result<Format<'a>, Error> {
    const FIELD: &str = "response_format";
    let Some(mut format) = take::object(body, FIELD)? else {
        return Ok(Format::Text);
    };
    let kind = take::text(&mut format, "type")?.unwrap_or_default();
    take::rest(&format, &["json_schema"], FIELD, warnings);
    match kind.decode().as_ref() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let mut inner = take::object(&mut format, "json_schema")?
                .ok_or_else(|| wrong("response_format.json_schema", "is missing"))?;
            let schema = take::raw_object(&mut inner, "schema")?;
            let schema = Format::Schema {
                name: take::text(&mut inner, "name")?,
                description: take::text(&mut inner, "description")?,
                schema: Cow::Borrowed(schema.map_or("{}", Raw::text)),
                strict: take::flag(&mut inner, "strict")?,
            };
            take::rest(&inner, &[], "response_format.json_schema", warnings);
            Ok(schema)
        }
        _ => Err(refuse(FIELD, "this type is not known")),
    }
}

fn labels<'a>(
    body: &mut Object<'a>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    request.metadata = take::raw_object(body, "metadata")?;
    request.store = take::flag(body, "store")?;
    request.user = take::text(body, "user")?;
    request.safety_identifier = take::text(body, "safety_identifier")?;
    request.cache_key = take::text(body, "prompt_cache_key")?;
    request.cache_retention = take::raw(body, "prompt_cache_retention");
    request.cache_options = take::raw(body, "prompt_cache_options");
    request.tier = take::text(body, "service_tier")?;
    request.moderation = take::raw_object(body, "moderation")?;
    request.moderation_blocks = request.moderation.is_some_and(blocks);
    if let Some(mut options) = take::object(body, "web_search_options")? {
        let location = take::object(&mut options, "user_location")?;
        request.web_search_wanted = Some(WebSearch {
            context_size: take::text(&mut options, "search_context_size")?,
            location: location.and_then(|location| location.get("approximate")),
            ..WebSearch::default()
        });
        take::rest(&options, &[], "web_search_options", warnings);
    }
    Ok(())
}

/// Whether a `moderation` object asks for blocking on either side.
fn blocks(moderation: Raw<'_>) -> bool {
    let policy = moderation
        .as_object()
        .ok()
        .and_then(|object| object.get("policy")?.as_object().ok());
    policy.is_some_and(|policy| {
        ["input", "output"].iter().any(|side| {
            let mode = policy
                .get(side)
                .and_then(|side| side.as_object().ok()?.get("mode")?.as_str());
            mode.is_some_and(|mode| mode == "block")
        })
    })
}
