//! What a client asks: each field's fate is the table of protocols.md 6.3. Blocks are read in `content`, tools in `tools`.

use super::fields::{count, effort, flag, optional, required, top};
use super::{content, tools};
use crate::error::Error;
use crate::protocol::effort::Thinking;
use crate::protocol::neutral::{Format, Named, Request};
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::take;
use crate::protocol::{Protocol, Warnings};
use crate::wire::json::{JsonKind, LongEnds, Object, Raw};

/// Hints, or labels of the client's own account with Anthropic: without them the answer is the same.
const DROPPED: [&str; 9] = [
    "cache_control", // marks the last block, which others do by themselves
    "diagnostics",
    "fallbacks",
    "fallback_credit_token",
    "betas",
    "user_profile_id",
    "workspace_id",
    "anthropic_version",
    "safeguards", // of Claude Code's automatic mode; refused, it repeats the request without
];

/// Reads a request.
///
/// # Errors
/// It breaks the protocol, or asks for what no other protocol has.
pub fn read<'a>(mut body: Object<'a>, warnings: &mut Warnings) -> Result<Request<'a>, Error> {
    let _ends = LongEnds::of(body.source());
    let model = required(&mut body, "model", top)?;
    let mut request = Request::new(Protocol::Messages, model);
    refuse_state(&mut body)?;
    for key in DROPPED {
        body.take(key);
    }
    // Bodies of count_tokens have no limit.
    request.limit = count(&mut body, "max_tokens", top)?.map(|value| Named {
        field: "max_tokens",
        value,
    });
    if let Some(system) = take::raw(&mut body, "system") {
        content::system(&mut request, system, warnings)?;
    }
    let Some(messages) = take::raw(&mut body, "messages") else {
        return Err(wrong("messages", "is required"));
    };
    let hosted = match take::raw(&mut body, "tools") {
        Some(list) => tools::read(&mut request, list, warnings)?,
        None => Vec::new(),
    };
    content::messages(&mut request, messages, warnings)?;
    if let Some(choice) = take::raw(&mut body, "tool_choice") {
        tools::read_choice(&mut request, choice, &hosted, warnings)?;
    }
    sampling(&mut request, &mut body)?;
    request.stream = flag(&mut body, "stream", top)?.unwrap_or(false);
    if let Some(thinking) = take::raw(&mut body, "thinking") {
        self::thinking(&mut request, thinking, warnings)?;
    }
    output(&mut request, &mut body, warnings)?;
    if let Some(metadata) = take::raw(&mut body, "metadata") {
        let mut metadata = take::as_object(metadata, "metadata")?;
        request.user_id = optional(&mut metadata, "user_id", |key| format!("metadata.{key}"))?;
        take::rest(&metadata, &[], "metadata", warnings);
    }
    request.tier = optional(&mut body, "service_tier", top)?;
    if let Some(speed) = take::raw(&mut body, "speed")
        && speed.as_str().as_deref() != Some("standard")
    {
        warnings.add("speed", "unsupported");
    }
    if let Some(servers) = take::raw(&mut body, "mcp_servers")
        && take::as_array(servers, "mcp_servers")?.next().is_some()
    {
        request.mcp_servers = Some(servers);
    }
    if request.mcp_servers.is_none() && !request.mcp_toolsets.is_empty() {
        return Err(wrong(
            "tools.mcp_toolset",
            "names a server, and mcp_servers has none",
        ));
    }
    if let Some(management) = take::raw(&mut body, "context_management") {
        context_management(&mut request, management, warnings)?;
    }
    request.unknown = body.rest().map(|(key, _)| key).collect();
    Ok(request)
}

/// What lives in the client's account with Anthropic, or is about money or residence: nobody else can honour it.
fn refuse_state(body: &mut Object<'_>) -> Result<(), Error> {
    for (field, reason) in [
        ("container", "containers live with Anthropic"),
        (
            "inference_geo",
            "the upstream promises no region of inference",
        ),
        ("compaction", "the upstream cannot compact a conversation"),
    ] {
        if take::raw(body, field).is_some() {
            return Err(refuse(field, reason));
        }
    }
    if let Some(thread) = take::raw(body, "thread") {
        let thread = take::as_object(thread, "thread")?;
        if thread.get("type").and_then(Raw::as_str).as_deref() != Some("create") {
            return Err(refuse(
                "thread",
                "the gateway keeps no threads; send the whole conversation",
            ));
        }
    }
    if let Some(policy) = take::raw(body, "billing_policy") {
        let policy = take::as_object(policy, "billing_policy")?;
        if policy.get("bill_to").and_then(Raw::as_str).as_deref() == Some("user_profile") {
            return Err(refuse(
                "billing_policy",
                "the upstream cannot bill a user profile",
            ));
        }
    }
    Ok(())
}

fn sampling<'a>(request: &mut Request<'a>, body: &mut Object<'a>) -> Result<(), Error> {
    let mut number = |key: &'static str| match take::raw(body, key) {
        Some(raw) if raw.kind() != JsonKind::Number => Err(wrong(key, "a number was expected")),
        found => Ok(found),
    };
    request.temperature = number("temperature")?;
    request.top_p = number("top_p")?;
    request.top_k = number("top_k")?;
    if let Some(stops) = take::raw(body, "stop_sequences") {
        for (at, stop) in take::as_array(stops, "stop_sequences")?.enumerate() {
            let stop = take::as_text(stop, format!("stop_sequences[{at}]"))?;
            request.stops.push(stop);
        }
    }
    Ok(())
}

fn thinking<'a>(
    request: &mut Request<'a>,
    raw: Raw<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut thinking = take::as_object(raw, "thinking")?;
    let at = |key: &str| format!("thinking.{key}");
    let kind = required(&mut thinking, "type", at)?;
    let mode = match kind.decode().as_ref() {
        "adaptive" => Thinking::Adaptive,
        "between_tools" => Thinking::BetweenTools,
        "disabled" => Thinking::Off,
        "enabled" => match count(&mut thinking, "budget_tokens", at)? {
            Some(tokens) => Thinking::Budget(tokens),
            None => return Err(wrong("thinking.budget_tokens", "is required")),
        },
        _ => {
            return Err(wrong(
                "thinking.type",
                "takes enabled, adaptive, between_tools or disabled",
            ));
        }
    };
    request.thinking = Some(mode);
    let display = optional(&mut thinking, "display", at)?;
    request.show_reasoning = match mode {
        Thinking::Off => None,
        _ => Some(!display.is_some_and(|display| display.is("omitted"))),
    };
    // A budget beside a mode that has none, and how strictly Claude looks at its own thoughts.
    let known = ["budget_tokens", "block_binding"];
    take::rest(&thinking, &known, "thinking", warnings);
    Ok(())
}

/// `output_config`, and the older `output_format`.
fn output<'a>(
    request: &mut Request<'a>,
    body: &mut Object<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if let Some(format) = take::raw(body, "output_format") {
        request.format = self::format(format, "output_format")?;
    }
    let Some(config) = take::raw(body, "output_config") else {
        return Ok(());
    };
    let mut config = take::as_object(config, "output_config")?;
    let at = |key: &str| format!("output_config.{key}");
    if let Some(word) = optional(&mut config, "effort", at)? {
        effort(request, &word, warnings);
    }
    if let Some(format) = take::raw(&mut config, "format") {
        request.format = self::format(format, "output_config.format")?;
    }
    config.take("task_budget");
    for (key, _) in config.rest() {
        warnings.add(at(&key), "unknown");
    }
    Ok(())
}

fn format<'a>(raw: Raw<'a>, field: &'static str) -> Result<Format<'a>, Error> {
    let mut format = take::as_object(raw, field)?;
    let kind = required(&mut format, "type", |key| format!("{field}.{key}"))?;
    if !kind.is("json_schema") {
        return Err(wrong(field, "only the type json_schema is known"));
    }
    let schema =
        take::raw(&mut format, "schema").filter(|schema| schema.kind() == JsonKind::Object);
    let Some(schema) = schema else {
        return Err(wrong(format!("{field}.schema"), "an object was expected"));
    };
    Ok(Format::Schema {
        name: None,
        description: None,
        schema: schema.text().into(),
        strict: Some(true),
    })
}

/// Claude Code sends edits always: they only save tokens.
fn context_management<'a>(
    request: &mut Request<'a>,
    raw: Raw<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut management = take::as_object(raw, "context_management")?;
    let Some(edits) = take::raw(&mut management, "edits") else {
        return Ok(());
    };
    for edit in take::as_array(edits, "context_management.edits")? {
        let edit = take::as_object(edit, "context_management.edits")?;
        let kind = edit.get("type").and_then(Raw::as_str).unwrap_or_default();
        if kind.starts_with("compact") {
            request.compaction = Some(raw);
        } else if !kind.starts_with("clear_") {
            warnings.add("context_management", "unsupported");
        }
    }
    Ok(())
}
