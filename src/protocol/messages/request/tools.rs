//! Tools and the choice among them, read and written (protocols.md 3.4, 5.7, 5.8).

use super::super::text_at;
use super::fields::{cache_mark, count, flag, optional, required};
use crate::error::Error;
use crate::protocol::neutral::{
    Builtin, Cache, Choice, Request, Tool, ToolKind, ToolName, WebSearch,
};
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::render::Members;
use crate::protocol::text::Text;
use crate::protocol::{Warnings, take};
use crate::wire::json::{JsonKind, Object, Raw};

/// What a tool that the vendor executes is called in `tool_choice`, and its type.
pub(super) type Hosted<'a> = (Text<'a>, Text<'a>);

/// Reads `tools`.
pub(super) fn read<'a>(
    request: &mut Request<'a>,
    raw: Raw<'a>,
    warnings: &mut Warnings,
) -> Result<Vec<Hosted<'a>>, Error> {
    let mut hosted = Vec::new();
    for (at, raw) in take::as_array(raw, "tools")?.enumerate() {
        let place = format!("tools[{at}]");
        let tool = take::as_object(raw, &place)?;
        if text_at(&tool, "type").is_some_and(|kind| kind.is("mcp_toolset")) {
            request.mcp_toolsets.push(raw);
            continue;
        }
        let tool = read_one(tool, &place, &mut hosted, warnings)?;
        request.tools.push(tool);
    }
    Ok(hosted)
}

/// Reads one tool, which stands at `place`.
pub(super) fn read_one<'a>(
    mut tool: Object<'a>,
    place: &str,
    hosted: &mut Vec<Hosted<'a>>,
    warnings: &mut Warnings,
) -> Result<Tool<'a>, Error> {
    let at = |key: &str| format!("{place}.{key}");
    if let Some(callers) = take::raw(&mut tool, "allowed_callers") {
        let mut callers = take::as_array(callers, at("allowed_callers"))?;
        if !callers.any(|caller| caller.as_str().as_deref() == Some("direct")) {
            return Err(refuse(
                at("allowed_callers"),
                "the upstream has no programs that call tools",
            ));
        }
    }
    let kind = optional(&mut tool, "type", at)?;
    let cache = cache_mark(&mut tool);
    let word = kind.as_ref().map(Text::decode);
    let word = word.as_deref().unwrap_or("custom");
    let builtin = match word {
        "custom" => return function(tool, at, cache, warnings),
        _ if word.starts_with("bash_") => Some(Builtin::Bash),
        _ if word.starts_with("text_editor_") => Some(Builtin::TextEditor),
        _ if word.starts_with("memory_") => Some(Builtin::Memory),
        _ => None,
    };
    if let Some(builtin) = builtin {
        return Ok(Tool {
            name: required(&mut tool, "name", at)?,
            namespace: None,
            description: None,
            kind: ToolKind::Builtin(builtin),
            cache,
        });
    }
    let kind = match word {
        _ if word.starts_with("web_search_") => ToolKind::WebSearch(web_search(&mut tool, at)?),
        _ if word.starts_with("tool_search_tool_") => ToolKind::Hosted { harmless: true },
        _ if word.starts_with("web_fetch_")
            || word.starts_with("code_execution_")
            || word.starts_with("advisor_") =>
        {
            ToolKind::Hosted { harmless: false }
        }
        _ if word.starts_with("computer_") || word.starts_with("browser_") => {
            return Err(refuse(
                place,
                format!("the upstream does not know the tool {word:?}"),
            ));
        }
        _ => return Err(refuse(place, format!("the tool type {word:?} is unknown"))),
    };
    let name = Text::owned(word.to_owned());
    if let Some(called) = text_at(&tool, "name") {
        hosted.push((called, name.clone()));
    }
    Ok(Tool {
        name,
        namespace: None,
        description: None,
        kind,
        cache,
    })
}

/// Hints about when and how a tool is loaded: all are loaded at once.
const LOADING: [&str; 3] = ["defer_loading", "eager_input_streaming", "input_examples"];

fn function<'a>(
    mut tool: Object<'a>,
    at: impl Fn(&str) -> String + Copy,
    cache: Option<Cache>,
    warnings: &mut Warnings,
) -> Result<Tool<'a>, Error> {
    let parameters = match take::raw(&mut tool, "input_schema") {
        Some(schema) if schema.kind() != JsonKind::Object => {
            return Err(wrong(at("input_schema"), "an object was expected"));
        }
        schema => schema.map(|schema| schema.text().into()),
    };
    let function = Tool {
        name: required(&mut tool, "name", at)?,
        namespace: None,
        description: optional(&mut tool, "description", at)?,
        kind: ToolKind::Function {
            parameters,
            strict: flag(&mut tool, "strict", at)?,
        },
        cache,
    };
    take::rest(&tool, &LOADING, "tools[]", warnings);
    Ok(function)
}

fn web_search<'a>(
    tool: &mut Object<'a>,
    at: impl Fn(&str) -> String + Copy,
) -> Result<WebSearch<'a>, Error> {
    let mut of_kind = |key: &str, kind: JsonKind| match take::raw(tool, key) {
        Some(raw) if raw.kind() != kind => {
            Err(wrong(at(key), format!("{} was expected", kind.name())))
        }
        found => Ok(found),
    };
    let location = of_kind("user_location", JsonKind::Object)?;
    let allowed_domains = of_kind("allowed_domains", JsonKind::Array)?;
    let blocked_domains = of_kind("blocked_domains", JsonKind::Array)?;
    Ok(WebSearch {
        context_size: None,
        location,
        allowed_domains,
        blocked_domains,
        uses_max: count(tool, "max_uses", at)?,
        from_cache: false,
    })
}

/// Reads `tool_choice`.
pub(super) fn read_choice<'a>(
    request: &mut Request<'a>,
    raw: Raw<'a>,
    hosted: &[Hosted<'a>],
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut choice = take::as_object(raw, "tool_choice")?;
    let at = |key: &str| format!("tool_choice.{key}");
    let kind = required(&mut choice, "type", at)?;
    request.choice = Some(match kind.decode().as_ref() {
        "auto" => Choice::Auto,
        "any" => Choice::Required,
        "none" => Choice::Never,
        "tool" => {
            let name = required(&mut choice, "name", at)?;
            match hosted.iter().find(|(called, _)| *called == name) {
                Some((_, kind)) => Choice::Hosted(kind.clone()),
                None => Choice::Named(ToolName {
                    name,
                    namespace: None,
                    custom: false,
                }),
            }
        }
        _ => return Err(wrong("tool_choice.type", "takes auto, any, tool or none")),
    });
    if flag(&mut choice, "disable_parallel_tool_use", at)? == Some(true) {
        request.parallel = Some(false);
    }
    take::rest(&choice, &[], "tool_choice", warnings);
    Ok(())
}

/// The types this writer declares.
const WEB_SEARCH: &str = "web_search_20250305";

/// Writes one tool. `mark`: its `cache_control`.
pub(super) fn write(tool: &Tool<'_>, mark: Option<&str>, m: &mut Members<'_>) {
    match &tool.kind {
        ToolKind::WebSearch(search) => {
            m.str("type", WEB_SEARCH).str("name", "web_search");
            if let Some(most) = search.uses_max {
                m.number("max_uses", most);
            }
            m.raw_if("allowed_domains", search.allowed_domains.map(Raw::text));
            // Only one of the two is taken.
            let blocked = search
                .blocked_domains
                .filter(|_| search.allowed_domains.is_none());
            m.raw_if("blocked_domains", blocked.map(Raw::text));
            if let Some(location) = search.location.and_then(|raw| raw.as_object().ok()) {
                m.nested("user_location", |m| {
                    m.str("type", "approximate");
                    for (key, value) in location.iter().filter(|(key, _)| *key != "type") {
                        m.raw(Text::plain(key).as_escaped(), value.text());
                    }
                });
            }
        }
        ToolKind::Function { parameters, strict } => {
            m.text("name", &tool.name);
            m.text_if("description", tool.description.as_ref());
            let none = r#"{"type":"object","properties":{}}"#;
            m.raw("input_schema", parameters.as_deref().unwrap_or(none));
            if *strict == Some(true) {
                m.bool("strict", true);
            }
        }
        // Made functions of, or dropped, by `adapt`.
        ToolKind::Custom { .. }
        | ToolKind::Builtin(_)
        | ToolKind::ToolSearch { .. }
        | ToolKind::Hosted { .. }
        | ToolKind::Mcp(_) => return,
    }
    m.raw_if("cache_control", mark);
}

/// Writes `tool_choice`, if there is something to say.
pub(super) fn write_choice(request: &Request<'_>, m: &mut Members<'_>) {
    let single = request.parallel == Some(false);
    if request.tools.is_empty() || (request.choice.is_none() && !single) {
        return;
    }
    m.nested("tool_choice", |m| {
        let named = |m: &mut Members<'_>, name: &Text<'_>| {
            let is_search =
                |tool: &Tool<'_>| matches!(tool.kind, ToolKind::WebSearch(_)) && tool.name == *name;
            m.str("type", "tool");
            if request.tools.iter().any(is_search) {
                m.str("name", "web_search");
            } else {
                m.text("name", name);
            }
        };
        match &request.choice {
            None
            | Some(
                Choice::Auto
                | Choice::Among {
                    required: false, ..
                },
            ) => {
                m.str("type", "auto");
            }
            Some(Choice::Required | Choice::Among { required: true, .. }) => {
                m.str("type", "any");
            }
            Some(Choice::Never) => {
                m.str("type", "none");
                return; // which takes no companion
            }
            Some(Choice::Named(name)) => named(m, &name.name),
            Some(Choice::Hosted(_)) => {
                m.str("type", "tool").str("name", "web_search");
            }
        }
        if single {
            m.bool("disable_parallel_tool_use", true);
        }
    });
}

/// Writes `mcp_servers` of the MCP tools among the tools. True: there are some, and the body needs [`MCP_BETA`].
pub(super) fn write_mcp(request: &Request<'_>, m: &mut Members<'_>) -> Result<bool, Error> {
    let mut servers = Vec::new();
    for tool in &request.tools {
        let ToolKind::Mcp(raw) = tool.kind else {
            continue;
        };
        let server = take::as_object(raw, "tools")?;
        let approval = server.get("require_approval").and_then(Raw::as_str);
        if approval.as_deref() != Some("never") {
            return Err(refuse(
                "tools.mcp.require_approval",
                "the upstream asks nobody for approval; it must be \"never\"",
            ));
        }
        let Some(url) = server.get("server_url") else {
            return Err(refuse(
                "tools.mcp.server_url",
                "the upstream needs the server's URL",
            ));
        };
        let label = server.get("server_label").map_or("\"mcp\"", Raw::text);
        let token = server.get("authorization").filter(|raw| !raw.is_null());
        let allowed = server
            .get("allowed_tools")
            .filter(|raw| raw.kind() == JsonKind::Array);
        let mut out = Vec::new();
        Members::object(&mut out, |m| {
            m.str("type", "url").raw("url", url.text());
            m.raw("name", label);
            m.raw_if("authorization_token", token.map(Raw::text));
            if let Some(allowed) = allowed {
                m.nested("tool_configuration", |m| {
                    m.bool("enabled", true).raw("allowed_tools", allowed.text());
                });
            }
        });
        servers.push(out);
    }
    if servers.is_empty() {
        return Ok(false);
    }
    m.array("mcp_servers", |list| {
        for server in &servers {
            list.item().extend_from_slice(server);
        }
    });
    Ok(true)
}

/// The beta of `mcp_servers`.
pub(super) const MCP_BETA: &str = "mcp-client-2025-04-04";
