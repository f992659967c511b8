//! Writes a request for a Responses upstream. The server keeps nothing of it (`store: false` unless the client asked), so
//! reasoning is asked for in its encrypted form, to come back with the next turn (protocols.md 5.2.8, 5.6, 6.1, 6.3).

use crate::error::Error;
use crate::protocol::adapt::{flat_result, refuse};
use crate::protocol::caps::{ReasoningOff, ReasoningStyle, Vendor};
use crate::protocol::effort::{self, Effort, Thinking};
use crate::protocol::neutral::{
    Cache, CallKind, Choice, File, Format, Image, Part, Reasoning, Request, Role, Source, Tool,
    ToolKind, ToolResult, Turn, WebSearch,
};
use crate::protocol::render::{Elements, Members};
use crate::protocol::text::Text;
use crate::protocol::{Caps, Outgoing, Protocol, Target, Warnings};
use crate::wire::json::{Object, Raw};
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
) -> Result<Outgoing, Error> {
    let caps = target.caps;
    let mut invented = Vec::new();
    let stream = request.stream || caps.stream_only;
    let mut body = Vec::with_capacity(1024 + request.turns.len() * 256);
    body.push(b'{');
    let mut m = Members::resume(&mut body, true);
    m.str("model", target.model);
    instructions(request, &mut m);
    store(request, caps, &mut m, &mut invented);
    m.array("input", |list| input(request, caps, list));
    tools(request, caps, &mut m)?;
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

fn system_role(caps: &Caps) -> &'static str {
    if caps.roles_developer {
        "developer"
    } else {
        "system"
    }
}

fn input(request: &Request<'_>, caps: &Caps, list: &mut Elements<'_>) {
    if request.from != Protocol::Messages {
        for system in &request.system {
            message(list, system_role(caps), |parts| {
                said(parts, "input_text", &system.text, system.cache, caps);
            });
        }
    }
    let mut free = Vec::new();
    for turn in &request.turns {
        match turn.role {
            Role::User => user(turn, &free, caps, list),
            Role::System => message(list, system_role(caps), |parts| {
                for part in &turn.parts {
                    if let Part::Text(part) = part {
                        said(parts, "input_text", &part.text, part.cache, caps);
                    }
                }
            }),
            Role::Assistant => assistant(turn, &mut free, list),
        }
    }
}

fn message(list: &mut Elements<'_>, role: &str, fill: impl FnOnce(&mut Elements<'_>)) {
    list.object(|m| {
        m.str("type", "message").str("role", role);
        m.array("content", fill);
    });
}

fn said(parts: &mut Elements<'_>, kind: &str, text: &Text<'_>, cache: Option<Cache>, caps: &Caps) {
    parts.object(|m| {
        m.str("type", kind).text("text", text);
        mark(cache, caps, m);
    });
}

fn mark(cache: Option<Cache>, caps: &Caps, m: &mut Members<'_>) {
    let Some(cache) = cache.filter(|_| caps.cache_breakpoints) else {
        return;
    };
    m.nested("prompt_cache_breakpoint", |m| {
        m.str("mode", "explicit");
        if cache == Cache::Long {
            m.str("ttl", "12h");
        }
    });
}

/// Outputs first, each an item of its own, then one message.
fn user(turn: &Turn<'_>, free: &[&Text<'_>], caps: &Caps, list: &mut Elements<'_>) {
    for part in &turn.parts {
        if let Part::Result(result) = part {
            output(result, free.contains(&&result.id), caps, list);
        }
    }
    if turn
        .parts
        .iter()
        .all(|part| matches!(part, Part::Result(_)))
    {
        return;
    }
    message(list, "user", |parts| {
        for part in &turn.parts {
            content(part, caps, parts);
        }
    });
}

fn content(part: &Part<'_>, caps: &Caps, parts: &mut Elements<'_>) {
    match part {
        Part::Text(part) => said(parts, "input_text", &part.text, part.cache, caps),
        Part::Image(image) => picture(image, caps, parts),
        Part::File(file) => document(file, caps, parts),
        Part::Audio { data, format } => {
            parts.object(|m| {
                m.str("type", "input_audio");
                m.nested("input_audio", |m| {
                    m.text("data", data).text("format", format);
                });
            });
        }
        // A user says none of these; results are items of their own.
        Part::Reasoning(_)
        | Part::Refusal(_)
        | Part::Call(_)
        | Part::Result(_)
        | Part::Hosted { .. } => {}
    }
}

fn source(source: &Source<'_>, url: &str, data_key: &str, m: &mut Members<'_>) {
    match source {
        Source::Url(address) => m.text(url, address),
        Source::Data { media_type, data } => m.texts(
            data_key,
            &[
                &Text::constant("data:"),
                media_type,
                &Text::constant(";base64,"),
                data,
            ],
        ),
    };
}

fn picture(image: &Image<'_>, caps: &Caps, parts: &mut Elements<'_>) {
    parts.object(|m| {
        m.str("type", "input_image");
        source(&image.source, "image_url", "image_url", m);
        match &image.detail {
            Some(detail) => m.text("detail", detail),
            None => m.str("detail", "auto"),
        };
        mark(image.cache, caps, m);
    });
}

fn document(file: &File<'_>, caps: &Caps, parts: &mut Elements<'_>) {
    parts.object(|m| {
        m.str("type", "input_file");
        match (&file.name, &file.source) {
            (Some(name), Source::Data { .. }) => {
                m.text("filename", name);
            }
            // Data without a name is refused.
            (None, Source::Data { .. }) => {
                m.str("filename", "document.pdf");
            }
            (_, Source::Url(_)) => {}
        }
        source(&file.source, "file_url", "file_data", m);
        mark(file.cache, caps, m);
    });
}

fn output(result: &ToolResult<'_>, free: bool, caps: &Caps, list: &mut Elements<'_>) {
    list.object(|m| {
        m.str(
            "type",
            if free {
                "custom_tool_call_output"
            } else {
                "function_call_output"
            },
        );
        m.text("call_id", &result.id);
        if result
            .parts
            .iter()
            .all(|part| matches!(part, Part::Text(_)))
        {
            m.text("output", &flat_result(result));
            return;
        }
        m.array("output", |parts| {
            if result.is_error {
                said(
                    parts,
                    "input_text",
                    &Text::constant("[tool error]"),
                    None,
                    caps,
                );
            }
            for part in &result.parts {
                content(part, caps, parts);
            }
        });
    });
}

/// Reasoning, message, calls in the order they were; text on both sides of a call is two messages.
fn assistant<'r>(turn: &'r Turn<'_>, free: &mut Vec<&'r Text<'r>>, list: &mut Elements<'_>) {
    let is_said = |part: &Part<'_>| matches!(part, Part::Text(_) | Part::Refusal(_));
    let mut rest = turn.parts.as_slice();
    while let Some(part) = rest.first() {
        let run = rest.iter().take_while(|part| is_said(part)).count();
        if run > 0 {
            message(list, "assistant", |parts| {
                for part in &rest[..run] {
                    match part {
                        Part::Text(part) => parts.object(|m| {
                            m.str("type", "output_text").text("text", &part.text);
                        }),
                        Part::Refusal(refusal) => parts.object(|m| {
                            m.str("type", "refusal").text("refusal", refusal);
                        }),
                        _ => parts,
                    };
                }
            });
            rest = &rest[run..];
            continue;
        }
        match part {
            Part::Reasoning(thought) => thought_item(thought, list),
            Part::Call(call) => {
                let custom = call.kind == CallKind::Custom;
                if custom {
                    free.push(&call.id);
                }
                list.object(|m| {
                    if custom {
                        m.str("type", "custom_tool_call");
                    } else {
                        m.str("type", "function_call");
                    }
                    m.text("call_id", &call.id).text("name", &call.name);
                    m.text(if custom { "input" } else { "arguments" }, &call.arguments);
                });
            }
            Part::Hosted { json, .. } => {
                list.raw(json.text());
            }
            _ => {}
        }
        rest = &rest[1..];
    }
}

/// Without its proof the server knows nothing of a reasoning item and answers 404 (protocols.md 2.2).
fn thought_item(thought: &Reasoning<'_>, list: &mut Elements<'_>) {
    let Some(proof) = &thought.proof else {
        return;
    };
    list.object(|m| {
        m.str("type", "reasoning");
        m.text_if("id", proof.item.as_ref());
        m.array("summary", |summary| {
            if !thought.text.is_empty() {
                summary.object(|m| {
                    m.str("type", "summary_text").text("text", &thought.text);
                });
            }
        });
        m.text("encrypted_content", &proof.value);
    });
}

fn tools(request: &Request<'_>, caps: &Caps, m: &mut Members<'_>) -> Result<(), Error> {
    let servers = servers(request, caps)?;
    if request.tools.is_empty() && servers.is_empty() {
        return Ok(());
    }
    m.array("tools", |list| {
        for tool in &request.tools {
            self::tool(tool, request.from, list);
        }
        for server in &servers {
            list.raw(server);
        }
    });
    if let Some(choice) = &request.choice {
        self::choice(choice, m);
    }
    if let Some(parallel) = request.parallel {
        m.bool("parallel_tool_calls", parallel);
    }
    Ok(())
}

fn tool(tool: &Tool<'_>, from: Protocol, list: &mut Elements<'_>) {
    match &tool.kind {
        ToolKind::Function { parameters, strict } => {
            list.object(|m| {
                m.str("type", "function").text("name", &tool.name);
                m.text_if("description", tool.description.as_ref());
                let none = r#"{"type":"object","properties":{}}"#;
                m.raw("parameters", parameters.as_deref().unwrap_or(none));
                // Left out, the server takes it for true and rewrites the schema (protocols.md 10.2).
                match (strict, from) {
                    (Some(strict), _) => {
                        m.bool("strict", *strict);
                    }
                    (None, Protocol::Responses) => {}
                    (None, _) => {
                        m.bool("strict", false);
                    }
                }
            });
        }
        ToolKind::Custom { grammar } => {
            list.object(|m| {
                m.str("type", "custom").text("name", &tool.name);
                m.text_if("description", tool.description.as_ref());
                if let Some((syntax, definition)) = grammar {
                    m.nested("format", |m| {
                        m.str("type", "grammar").text("syntax", syntax);
                        m.text("definition", definition);
                    });
                }
            });
        }
        ToolKind::WebSearch(search) => web_search(search, list),
        ToolKind::Mcp(raw) => {
            list.raw(raw.text());
        }
        ToolKind::Builtin(_) | ToolKind::Hosted { .. } => {
            list.object(|m| {
                m.text("type", &tool.name);
            });
        }
    }
}

fn web_search(search: &WebSearch<'_>, list: &mut Elements<'_>) {
    list.object(|m| {
        m.str("type", "web_search");
        m.text_if("search_context_size", search.context_size.as_ref());
        if let Some(location) = search.location.and_then(|raw| raw.as_object().ok()) {
            m.nested("user_location", |m| {
                m.str("type", "approximate");
                for (key, value) in location.iter().filter(|(key, _)| *key != "type") {
                    m.raw(&Text::plain(key).as_escaped().to_owned(), value.text());
                }
            });
        }
        if let Some(domains) = search.allowed_domains {
            m.nested("filters", |m| {
                m.raw("allowed_domains", domains.text());
            });
        }
    });
}

/// Messages `mcp_servers` as tools that need no approval (protocols.md 5.7).
fn servers(request: &Request<'_>, caps: &Caps) -> Result<Vec<String>, Error> {
    const FIELD: &str = "mcp_servers";
    let Some(raw) = request.mcp_servers else {
        return Ok(Vec::new());
    };
    let broken = || refuse(FIELD, "must be an array of servers with name and url");
    if !caps.mcp {
        return Err(refuse(FIELD, "not supported by this model's upstream"));
    }
    let mut tools = Vec::new();
    for server in raw.elements().map_err(|_| broken())? {
        let server = server.as_object().map_err(|_| broken())?;
        tools.push(self::server(&server).ok_or_else(broken)?);
    }
    Ok(tools)
}

fn server(server: &Object<'_>) -> Option<String> {
    let name = server.get("name")?;
    let url = server.get("url")?;
    let settings = server
        .get("tool_configuration")
        .filter(|raw| !raw.is_null());
    let settings = settings.map(|raw| raw.as_object()).transpose().ok()?;
    let allowed = settings
        .as_ref()
        .and_then(|settings| settings.get("allowed_tools"));
    let token = server
        .get("authorization_token")
        .filter(|raw| !raw.is_null());
    let mut out = Vec::new();
    Members::object(&mut out, |m| {
        m.str("type", "mcp").raw("server_label", name.text());
        m.raw("server_url", url.text());
        m.raw_if("authorization", token.map(Raw::text));
        m.raw_if(
            "allowed_tools",
            allowed.filter(|raw| !raw.is_null()).map(Raw::text),
        );
        m.str("require_approval", "never");
    });
    String::from_utf8(out).ok()
}

fn choice(choice: &Choice<'_>, m: &mut Members<'_>) {
    let kind = |custom: bool| if custom { "custom" } else { "function" };
    match choice {
        Choice::Auto => m.str("tool_choice", "auto"),
        Choice::Required => m.str("tool_choice", "required"),
        Choice::Never => m.str("tool_choice", "none"),
        Choice::Named(tool) => m.nested("tool_choice", |m| {
            m.str("type", kind(tool.custom)).text("name", &tool.name);
        }),
        Choice::Among { required, tools } => m.nested("tool_choice", |m| {
            m.str("type", "allowed_tools");
            m.str("mode", if *required { "required" } else { "auto" });
            m.array("tools", |list| {
                for tool in tools {
                    list.object(|m| {
                        m.str("type", kind(tool.custom)).text("name", &tool.name);
                    });
                }
            });
        }),
        Choice::Hosted(name) => m.nested("tool_choice", |m| {
            m.text("type", name);
        }),
    };
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
        && request.show_reasoning.unwrap_or(thinks)
        && effort != Some(Effort::None);
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

/// Whether answers may hold reasoning that has to come back. A model that does not reason refuses to be asked for it.
fn reasons(request: &Request<'_>, caps: &Caps) -> bool {
    let asked = effort::asked(request.effort, request.thinking);
    let said = asked.is_some_and(|effort| effort != Effort::None)
        || request
            .thinking
            .is_some_and(|thinking| thinking != Thinking::Off)
        || request.show_reasoning == Some(true);
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

/// Who asks, and how the server may cache and rank it. Only OpenAI's own labels cross, and only where they are known.
fn labels(
    request: &Request<'_>,
    caps: &Caps,
    m: &mut Members<'_>,
    invented: &mut Vec<&'static str>,
) {
    m.raw_if("metadata", request.metadata.map(Raw::text));
    let who = request.safety_identifier.as_ref().or(request.user.as_ref());
    m.text_if("safety_identifier", who);
    m.text_if("prompt_cache_key", request.cache_key.as_ref());
    m.raw_if("moderation", request.moderation.map(Raw::text));
    if let Some(user) = request.user_id.as_ref().filter(|_| caps.labels) {
        let digest = hex(&sha256(user.decode().as_bytes()));
        if who.is_none() {
            if user.chars() > IDENTIFIER_CHARS_MAX {
                m.str("safety_identifier", &digest);
            } else {
                m.text("safety_identifier", user);
            }
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
