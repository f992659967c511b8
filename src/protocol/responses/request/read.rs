//! Reads a client's request: each top-level field and its fate (protocols.md 6.2). State that a server would hold was put
//! into the body before ([`super::super::state`]); what is left of it is refused.

use super::fields::{get, says};
use super::settings::{reasoning, shape};
use super::{items, tools};
use crate::error::Error;
use crate::protocol::neutral::{Named, Request};
use crate::protocol::place::Place;
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::render::{Members, one_line};
use crate::protocol::responses::state;
use crate::protocol::{Protocol, Warnings, take};
use crate::wire::json::{LongEnds, Object, Raw};

/// `include` values that ask for data of tools which are refused or dropped anyway.
const INCLUDES: [&str; 7] = [
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
];

/// Hints and labels of a server that stores, and those of Codex: dropped without a word.
const HINTS: [&str; 6] = [
    "background_options",
    "truncation",
    "image",
    "client_metadata",
    "safeguards",
    "internal_chat_message_metadata_passthrough",
];

/// Reads a request.
///
/// # Errors
/// It breaks the protocol, or asks for what no conversion can honour.
pub fn read<'a>(mut body: Object<'a>, warnings: &mut Warnings) -> Result<Request<'a>, Error> {
    let _ends = LongEnds::of(body.source());
    let echo = echo(&body);
    let model = take::text(&mut body, "model")?.ok_or_else(|| wrong("model", "is missing"))?;
    let mut request = Request::new(Protocol::Responses, model);
    request.echo = echo;
    let input = take::raw(&mut body, "input"); // read when all else is known
    refused(&mut body)?;
    if let Some(text) = take::text(&mut body, "instructions")? {
        request.push_system(text, None);
    }
    if let Some(list) = take::array(&mut body, "tools")? {
        tools::read(list, &Place::Field("tools"), &mut request, warnings)?;
    }
    scalars(&mut body, &mut request, warnings)?;
    labels(&mut body, &mut request)?;
    includes(&mut body, &mut request, warnings)?;
    if let Some(raw) = take::raw(&mut body, "reasoning") {
        reasoning(raw, &Place::Field("reasoning"), &mut request, warnings)?;
    }
    if let Some(raw) = take::raw(&mut body, "text") {
        shape(raw, &Place::Field("text"), &mut request, warnings)?;
    }
    let Some(input) = input else {
        if body.get("messages").is_some() {
            return Err(wrong(
                "messages",
                "belongs to /v1/chat/completions; a response needs input",
            ));
        }
        return Err(wrong("input", "is missing"));
    };
    items::input(input, &mut request, warnings)?;
    // After the items: `allowed_tools` may name those of an `additional_tools` item.
    if let Some(raw) = take::raw(&mut body, "tool_choice") {
        request.choice = Some(tools::choice(raw, &request)?);
    }
    for name in HINTS {
        body.take(name);
    }
    request.unknown = body.rest().map(|(key, _)| key).collect();
    Ok(request)
}

/// What no conversion can honour.
fn refused(body: &mut Object<'_>) -> Result<(), Error> {
    if let Some(id) = take::text(body, "previous_response_id")? {
        return Err(state::not_found("previous_response_id", &id.decode()));
    }
    for (field, reason) in [
        ("conversation", "the gateway keeps no conversations"),
        ("prompt", "the upstream keeps no prompts"),
        ("access_programs", "the upstream has none"),
    ] {
        if take::raw(body, field).is_some() {
            return Err(refuse(field, reason));
        }
    }
    if take::flag(body, "background")? == Some(true) {
        return Err(refuse(
            "background",
            "no answer is made while nobody waits for it",
        ));
    }
    Ok(())
}

fn scalars<'a>(
    body: &mut Object<'a>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    request.limit = take::count(body, "max_output_tokens")?.map(|value| Named {
        field: "max_output_tokens",
        value,
    });
    request.hosted_calls_max = take::count(body, "max_tool_calls")?;
    request.temperature = take::number(body, "temperature")?;
    request.top_p = take::number(body, "top_p")?;
    request.parallel = take::flag(body, "parallel_tool_calls")?;
    request.store = take::flag(body, "store")?;
    request.stream = take::flag(body, "stream")?.unwrap_or(false);
    if let Some(mut options) = take::object(body, "stream_options")? {
        request.include_obfuscation = take::flag(&mut options, "include_obfuscation")?;
        // `include_usage` is Chat's; here the usage comes always.
        take::rest(&options, &["include_usage"], "stream_options", warnings);
    }
    Ok(())
}

fn labels<'a>(body: &mut Object<'a>, request: &mut Request<'a>) -> Result<(), Error> {
    request.user = take::text(body, "user")?;
    request.safety_identifier = take::text(body, "safety_identifier")?;
    request.cache_key = take::text(body, "prompt_cache_key")?;
    request.cache_retention = take::raw(body, "prompt_cache_retention");
    request.cache_options = take::raw(body, "prompt_cache_options");
    request.tier = take::text(body, "service_tier")?;
    request.metadata = take::raw_object(body, "metadata")?;
    request.moderation = take::raw_object(body, "moderation")?;
    if let Some(raw) = request.moderation {
        request.moderation_blocks = blocks(raw)?;
    }
    if let Some(raw) = take::raw(body, "context_management") {
        for entry in take::as_array(raw, "context_management")? {
            if says(
                &take::as_object(entry, "context_management")?,
                "type",
                "compaction",
            ) {
                request.compaction = Some(raw);
            }
        }
    }
    Ok(())
}

/// Whether a `moderation` object asks to block anything.
fn blocks(raw: Raw<'_>) -> Result<bool, Error> {
    const FIELD: &str = "moderation";
    let moderation = take::as_object(raw, FIELD)?;
    let Some(policy) = get(&moderation, "policy") else {
        return Ok(false);
    };
    let policy = take::as_object(policy, FIELD)?;
    for side in ["input", "output"] {
        if let Some(side) = get(&policy, side)
            && says(&take::as_object(side, FIELD)?, "mode", "block")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `include` and `top_logprobs`, which only mean something together.
fn includes(
    body: &mut Object<'_>,
    request: &mut Request<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let top = take::count(body, "top_logprobs")?.unwrap_or(0);
    let mut asked = false;
    if let Some(list) = take::array(body, "include")? {
        for value in list {
            let value = take::as_text(value, "include")?;
            if value.is("message.output_text.logprobs") {
                asked = true;
            } else if !INCLUDES.iter().any(|known| value.is(known)) {
                warnings.add(format!("include.{}", value.decode()), "unknown");
            }
        }
    }
    if top > 0 || asked {
        let field = if top > 0 { "top_logprobs" } else { "include" };
        request.logprobs = Some(Named { field, value: top });
    }
    Ok(())
}

/// The members an answer echoes, with the defaults of what the client left out (protocols.md 2.3).
fn echo(body: &Object<'_>) -> String {
    const ALWAYS: [(&str, &str); 8] = [
        ("instructions", "null"),
        ("metadata", "{}"),
        ("parallel_tool_calls", "true"),
        ("tool_choice", "\"auto\""),
        ("tools", "[]"),
        ("temperature", "null"),
        ("top_p", "null"),
        ("store", "true"),
    ];
    const IF_SAID: [&str; 12] = [
        "background",
        "max_output_tokens",
        "max_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "text",
        "top_logprobs",
        "truncation",
        "user",
    ];
    let mut out = Vec::with_capacity(256);
    let mut m = Members::resume(&mut out, true);
    for (key, default) in ALWAYS {
        let value = get(body, key).map_or(default, |raw| raw.text());
        m.raw(key, &one_line(value));
    }
    for key in IF_SAID {
        if let Some(raw) = get(body, key) {
            m.raw(key, &one_line(raw.text()));
        }
    }
    String::from_utf8(out).unwrap_or_default() // pieces of a str and ASCII
}
