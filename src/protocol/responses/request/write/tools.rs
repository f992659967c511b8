//! Tools and the choice among them, as Responses names them (protocols.md 2.4, 5.7, 5.8).

use crate::error::Error;
use crate::protocol::adapt::refuse;
use crate::protocol::neutral::{Choice, Request, Tool, ToolKind, WebSearch};
use crate::protocol::render::{Elements, Members};
use crate::protocol::text::Text;
use crate::protocol::{Caps, Protocol};
use crate::wire::json::{Object, Raw};

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
