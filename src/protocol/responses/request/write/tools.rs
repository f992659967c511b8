//! Tools and the choice among them, as Responses names them (protocols.md 2.4, 5.7, 5.8).

use crate::error::Error;
use crate::protocol::neutral::{Choice, Request, Tool, ToolKind, WebSearch};
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::render::{Elements, Members};
use crate::protocol::text::Text;
use crate::protocol::{Caps, Protocol};
use crate::wire::json::{Object, Raw, write_string};

pub(super) fn tools(request: &Request<'_>, caps: &Caps, m: &mut Members<'_>) -> Result<(), Error> {
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
        ToolKind::Builtin(_) | ToolKind::ToolSearch { .. } | ToolKind::Hosted { .. } => {
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
                    m.raw(Text::plain(key).as_escaped(), value.text());
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

/// MCP servers of one request; for each its toolset is looked for.
const MCP_SERVERS_MAX: usize = 128;

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
    for (at, server) in raw.elements().map_err(|_| broken())?.enumerate() {
        if at == MCP_SERVERS_MAX {
            return Err(refuse(
                FIELD,
                format!("more than {MCP_SERVERS_MAX} servers"),
            ));
        }
        let server = server.as_object().map_err(|_| broken())?;
        match allowed(&server, &request.mcp_toolsets)? {
            Allowed::None => {}
            Allowed::All => tools.push(self::server(&server, None).ok_or_else(broken)?),
            Allowed::These(names) => {
                tools.push(self::server(&server, Some(&names)).ok_or_else(broken)?);
            }
        }
    }
    Ok(tools)
}

/// Which tools of a server may be called.
enum Allowed {
    All,
    None,
    /// A JSON array of names.
    These(String),
}

/// What the server itself says (beta of 2025-04-04), or else the toolset that names it (beta of 2025-11-20).
fn allowed(server: &Object<'_>, toolsets: &[Raw<'_>]) -> Result<Allowed, Error> {
    const FIELD: &str = "tools.mcp_toolset";
    if toolsets.is_empty() {
        let settings = server.get("tool_configuration");
        let Some(settings) = settings.and_then(|raw| raw.as_object().ok()) else {
            return Ok(Allowed::All);
        };
        if settings.get("enabled").and_then(Raw::as_bool) == Some(false) {
            return Ok(Allowed::None);
        }
        let names = settings.get("allowed_tools").filter(|raw| !raw.is_null());
        return Ok(names.map_or(Allowed::All, |names| {
            Allowed::These(names.text().to_owned())
        }));
    }
    let name = server.get("name").and_then(Raw::as_str);
    let toolset = toolsets.iter().find_map(|raw| {
        let toolset = raw.as_object().ok()?;
        let of = toolset.get("mcp_server_name").and_then(Raw::as_str);
        (of.is_some() && of == name).then_some(toolset)
    });
    let toolset = toolset.ok_or_else(|| wrong(FIELD, "a server of mcp_servers has no toolset"))?;
    let member = |key: &str| toolset.get(key).and_then(|raw| raw.as_object().ok());
    let enabled = |settings: &Object<'_>| settings.get("enabled").and_then(Raw::as_bool);
    let all = member("default_config").is_none_or(|settings| enabled(&settings) != Some(false));
    let configs = member("configs");
    let mut chosen = Vec::new();
    for (name, settings) in configs.iter().flat_map(Object::iter) {
        let said = settings.as_object().ok().and_then(|one| enabled(&one));
        match said {
            Some(false) if all => {
                let reason = "the upstream can be told which tools of a server are allowed, not which are not";
                return Err(refuse(FIELD, reason));
            }
            Some(true) if !all => {
                chosen.push(if chosen.is_empty() { b'[' } else { b',' });
                write_string(&mut chosen, name);
            }
            _ => {}
        }
    }
    if all {
        return Ok(Allowed::All);
    }
    if chosen.is_empty() {
        return Ok(Allowed::None);
    }
    chosen.push(b']');
    Ok(Allowed::These(
        String::from_utf8(chosen).unwrap_or_default(), // made of str
    ))
}

fn server(server: &Object<'_>, allowed: Option<&str>) -> Option<String> {
    let name = server.get("name")?;
    let url = server.get("url")?;
    let token = server
        .get("authorization_token")
        .filter(|raw| !raw.is_null());
    let mut out = Vec::new();
    Members::object(&mut out, |m| {
        m.str("type", "mcp").raw("server_label", name.text());
        m.raw("server_url", url.text());
        m.raw_if("authorization", token.map(Raw::text));
        m.raw_if("allowed_tools", allowed);
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
