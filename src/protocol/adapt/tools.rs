//! Tools, and the choice among them, as the target knows them (protocols.md 5.5, 5.7, 5.8).

use super::builtin;
use super::reasoning::switch_off;
use crate::error::Error;
use crate::protocol::caps::{ForcedTool, ReasoningStyle};
use crate::protocol::context::{ToolEntry, Tools};
use crate::protocol::effort::{self, Effort};
use crate::protocol::ids::{flat_name, is_flat};
use crate::protocol::neutral::{
    Arguments, Builtin, Call, CallKind, Choice, Part, Request, TOOLS_MAX, Tool, ToolKind, ToolName,
};
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::render::Members;
use crate::protocol::text::Text;
use crate::protocol::{Caps, Protocol, Warnings, schema};
use crate::wire::json::{Object, Raw};
use std::borrow::Cow;
use std::collections::HashMap;

const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;
const FREE_TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// Rewrites tools, choice and the calls in history; gives the table that maps calls back.
pub(super) fn adapt(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
    warnings: &mut Warnings,
) -> Result<Tools, Error> {
    let mut pass = Pass {
        to,
        caps,
        name_max: match to {
            Protocol::Messages => caps.name_max.min(128),
            Protocol::Chat | Protocol::Responses => caps.name_max.min(64),
        },
        free_text: to == Protocol::Responses || (to == Protocol::Chat && caps.custom),
        entries: Tools::default(),
        taken: HashMap::new(),
        dropped: Vec::new(),
    };
    let offered = std::mem::take(&mut request.tools);
    let chosen = match &request.choice {
        Some(Choice::Among { tools, .. }) => tools.len(),
        _ => 0,
    };
    for (field, count) in [("tools", offered.len()), ("tool_choice", chosen)] {
        if count > TOOLS_MAX {
            return Err(wrong(field, format!("more than {TOOLS_MAX} tools")));
        }
    }
    for tool in offered {
        if let Some(tool) = pass.tool(tool, warnings)? {
            request.tools.push(tool);
        }
    }
    // Where nothing may be called an offer that is not made changes nothing.
    let may_call = !matches!(request.choice, Some(Choice::Never));
    if request.tools.is_empty() && !pass.dropped.is_empty() && may_call {
        return Err(refuse(
            format!("tools.{}", pass.dropped[0]),
            "the upstream does not have the only tool that was offered",
        ));
    }
    search_limit(request, to, warnings);
    pass.choice(request, warnings)?;
    for turn in &mut request.turns {
        for part in &mut turn.parts {
            if let Part::Call(call) = part {
                pass.call(call);
            }
        }
    }
    Ok(pass.entries)
}

/// How often a search may be made: `max_tool_calls` of Responses counts all hosted tools, `max_uses` of Messages one, and Chat
/// has no word for it.
fn search_limit(request: &mut Request<'_>, to: Protocol, warnings: &mut Warnings) {
    let most = request.hosted_calls_max.take();
    let alone = request.mcp_servers.is_none();
    for tool in &mut request.tools {
        match &mut tool.kind {
            ToolKind::WebSearch(search) => match (to, most, search.uses_max) {
                (Protocol::Messages, Some(most), _) => search.uses_max = Some(most),
                (Protocol::Chat, Some(_), _) => warnings.add("max_tool_calls", "unsupported"),
                (Protocol::Responses, _, Some(uses)) if alone => {
                    request.hosted_calls_max = Some(uses);
                }
                (Protocol::Chat | Protocol::Responses, _, Some(_)) => {
                    let shown = tool.name.decode();
                    warnings.add(format!("tools.{shown}.max_uses"), "unsupported");
                }
                _ => {}
            },
            ToolKind::Mcp(_) if most.is_some() => warnings.add("max_tool_calls", "unsupported"),
            _ => {}
        }
    }
}

struct Pass<'c> {
    to: Protocol,
    caps: &'c Caps,
    name_max: usize,
    /// Custom tools stay what they are.
    free_text: bool,
    entries: Tools,
    /// Upstream name → the client's full name.
    taken: HashMap<String, String>,
    /// Offered, not sent.
    dropped: Vec<String>,
}

impl Pass<'_> {
    fn flat(&self, namespace: Option<&Text<'_>>, name: &Text<'_>) -> String {
        let namespace = namespace.map(Text::decode);
        flat_name(namespace.as_deref(), &name.decode(), self.name_max)
    }

    /// The tool as the target takes it. None: it is not sent.
    fn tool<'a>(
        &mut self,
        mut tool: Tool<'a>,
        warnings: &mut Warnings,
    ) -> Result<Option<Tool<'a>>, Error> {
        let shown = tool.name.decode().into_owned();
        match &tool.kind {
            ToolKind::Function { .. }
            | ToolKind::Custom { .. }
            | ToolKind::Builtin(_)
            | ToolKind::ToolSearch { .. } => {}
            ToolKind::WebSearch(search) => {
                let known = self.to == Protocol::Responses || self.caps.web_search;
                if !known {
                    return self.drop(shown, warnings);
                }
                let mut lost = |name: &str, is_lost: bool| {
                    if is_lost {
                        warnings.add(format!("tools.{shown}.{name}"), "unsupported");
                    }
                };
                let (allowed, blocked) = (search.allowed_domains, search.blocked_domains);
                lost(
                    "allowed_domains",
                    allowed.is_some() && self.to == Protocol::Chat,
                );
                lost(
                    "blocked_domains",
                    blocked.is_some() && self.to != Protocol::Messages,
                );
                lost("external_web_access", search.from_cache);
                return Ok(Some(tool));
            }
            ToolKind::Mcp(_) => {
                if self.to == Protocol::Messages && self.caps.mcp {
                    return Ok(Some(tool));
                }
                return Err(refuse(
                    format!("tools.{shown}"),
                    "the upstream reaches no MCP servers",
                ));
            }
            // Every tool is offered at once: there is nothing left to search for, and nothing is lost.
            ToolKind::Hosted { harmless: true } if shown.starts_with("tool_search") => {
                return Ok(None);
            }
            ToolKind::Hosted { harmless: true } => return self.drop(shown, warnings),
            ToolKind::Hosted { harmless: false } => {
                return Err(refuse(
                    format!("tools.{shown}"),
                    "only its own vendor can run this tool",
                ));
            }
        }
        let flat = self.flat(tool.namespace.as_ref(), &tool.name);
        let full = match &tool.namespace {
            Some(namespace) => format!("{}.{shown}", namespace.decode()),
            None => shown.clone(),
        };
        if let Some(other) = self.taken.get(&flat) {
            if *other == full {
                return Ok(None); // offered twice: the first counts
            }
            return Err(refuse(
                "tools",
                format!("{other:?} and {full:?} would both be called {flat:?} at the upstream"),
            ));
        }
        let declared = match &tool.kind {
            ToolKind::Custom { .. } => CallKind::Custom,
            // Calls of Messages' own tools are ordinary blocks.
            ToolKind::Builtin(Builtin::Bash | Builtin::TextEditor | Builtin::Memory) => {
                CallKind::Function
            }
            ToolKind::Builtin(builtin) => CallKind::Builtin(*builtin),
            ToolKind::ToolSearch { .. } => CallKind::Builtin(Builtin::ToolSearch),
            _ => CallKind::Function,
        };
        if flat != shown || tool.namespace.is_some() || declared != CallKind::Function {
            self.entries.add(ToolEntry {
                upstream: flat.clone(),
                name: tool.name.clone().into_owned(),
                namespace: tool.namespace.clone().map(Text::into_owned),
                kind: declared,
            });
        }
        self.taken.insert(flat.clone(), full);
        tool.name = Text::owned(flat);
        tool.namespace = None;
        self.function(&mut tool, &shown, warnings);
        Ok(Some(tool))
    }

    fn drop<'a>(
        &mut self,
        name: String,
        warnings: &mut Warnings,
    ) -> Result<Option<Tool<'a>>, Error> {
        warnings.add(format!("tools.{name}"), "unsupported");
        self.dropped.push(name);
        Ok(None)
    }

    /// Makes a function of what the target cannot hold otherwise.
    fn function(&self, tool: &mut Tool<'_>, shown: &str, warnings: &mut Warnings) {
        match &mut tool.kind {
            ToolKind::Custom { .. } if self.free_text => {}
            ToolKind::Custom { grammar } => {
                let mut text = tool.description.take().unwrap_or_default().into_owned();
                if !text.is_empty() {
                    text.push(&Text::plain("\n\n"));
                }
                text.push(&Text::plain("Pass the raw text in \"input\"."));
                if let Some((syntax, definition)) = grammar {
                    text.push(&Text::plain("\nIt must match this "));
                    text.push(syntax);
                    text.push(&Text::plain(" grammar:\n"));
                    text.push(definition);
                }
                tool.description = Some(text);
                tool.kind = ToolKind::Function {
                    parameters: Some(FREE_TEXT.into()),
                    strict: None,
                };
            }
            ToolKind::ToolSearch { parameters } => {
                let (description, ours) = builtin::schema(Builtin::ToolSearch);
                tool.description
                    .get_or_insert(Text::plain(description).into_owned());
                let parameters = parameters.take().unwrap_or(ours.into());
                tool.kind = ToolKind::Function {
                    parameters: Some(match self.to {
                        Protocol::Messages => object_schema(parameters),
                        Protocol::Chat | Protocol::Responses => with_properties(parameters),
                    }),
                    strict: None,
                };
            }
            ToolKind::Builtin(builtin) => {
                let (description, parameters) = builtin::schema(*builtin);
                tool.description
                    .get_or_insert(Text::plain(description).into_owned());
                tool.kind = ToolKind::Function {
                    parameters: Some(parameters.into()),
                    strict: None,
                };
            }
            ToolKind::Function { parameters, strict } => {
                let strict_here = self.to == Protocol::Responses || self.caps.strict_tools;
                if *strict == Some(true) && !strict_here {
                    *strict = None;
                    warnings.add(format!("tools.{shown}.strict"), "unsupported");
                }
                if self.to != Protocol::Messages {
                    *parameters = parameters.take().map(with_properties);
                    return;
                }
                let json = parameters.take().unwrap_or(Cow::Borrowed(NO_ARGUMENTS));
                let mut json = object_schema(json);
                if *strict == Some(true) {
                    match schema::sanitise(&json) {
                        Ok(clean) => json = clean.into(),
                        Err(_) => {
                            *strict = None;
                            warnings.add(format!("tools.{shown}.strict"), "unsupported");
                        }
                    }
                }
                *parameters = Some(json);
            }
            _ => {}
        }
    }

    fn choice(&mut self, request: &mut Request<'_>, warnings: &mut Warnings) -> Result<(), Error> {
        if request.tools.is_empty() {
            request.choice = None;
            request.parallel = None;
            return Ok(());
        }
        if self.to == Protocol::Chat && !self.caps.parallel_flag {
            // Said or not, such a server may make several calls; to some the field itself is an error.
            if request.parallel.take() == Some(false) {
                let field = match request.from {
                    Protocol::Messages => "tool_choice.disable_parallel_tool_use",
                    _ => "parallel_tool_calls",
                };
                warnings.add(field, "unsupported");
            }
        }
        let Some(mut choice) = request.choice.take() else {
            return Ok(());
        };
        match &mut choice {
            Choice::Auto | Choice::Required => {}
            Choice::Never => {
                if self.caps.forced_tool == ForcedTool::No && self.to == Protocol::Chat {
                    // Such servers know `auto` only: no call is made where no tool is.
                    request.tools.clear();
                    request.parallel = None;
                    return Ok(());
                }
            }
            Choice::Named(name) => {
                let plain = name.name.decode().into_owned();
                if self.dropped.contains(&plain) {
                    return Err(refuse(
                        "tool_choice",
                        format!("the upstream does not have {plain:?}"),
                    ));
                }
                self.rename(name);
                let meant = request.tools.iter().find(|tool| tool.name == name.name);
                match meant.map(|tool| &tool.kind) {
                    None => {
                        let reason = format!("{plain:?} is none of the tools that are offered");
                        return Err(wrong("tool_choice", reason));
                    }
                    Some(ToolKind::WebSearch(_)) => {
                        choice = self.hosted(&Text::constant("web_search"), request)?;
                    }
                    Some(_) => {}
                }
            }
            Choice::Hosted(kind) => choice = self.hosted(kind, request)?,
            Choice::Among { required, tools } => {
                tools.iter_mut().for_each(|name| self.rename(name));
                tools.retain(|name| request.tools.iter().any(|tool| tool.name == name.name));
                if tools.is_empty() && *required {
                    return Err(refuse(
                        "tool_choice",
                        "the upstream has none of the tools of which one must be called",
                    ));
                }
                if self.to == Protocol::Messages || (self.to == Protocol::Chat && !self.caps.labels)
                {
                    request
                        .tools
                        .retain(|tool| tools.iter().any(|name| name.name == tool.name));
                    warnings.add("tool_choice", "narrowed");
                    if request.tools.is_empty() {
                        request.parallel = None;
                        return Ok(());
                    }
                    choice = if *required {
                        Choice::Required
                    } else {
                        Choice::Auto
                    };
                } else if tools.is_empty() {
                    choice = Choice::Never;
                }
            }
        }
        let forced = matches!(
            choice,
            Choice::Required
                | Choice::Named(_)
                | Choice::Hosted(_)
                | Choice::Among { required: true, .. }
        );
        request.choice = Some(choice);
        if forced {
            self.force(request, warnings)?;
        }
        Ok(())
    }

    /// A tool named by its type.
    fn hosted(&self, kind: &Text<'_>, request: &Request<'_>) -> Result<Choice<'static>, Error> {
        let word = kind.decode();
        let search = request
            .tools
            .iter()
            .find(|tool| matches!(tool.kind, ToolKind::WebSearch(_)));
        if let (Some(tool), true) = (search, word.starts_with("web_search")) {
            return Ok(match self.to {
                Protocol::Responses => Choice::Hosted(Text::constant("web_search")),
                // `web_search_options` has no counterpart in `tool_choice`; alone, it makes such models search.
                Protocol::Chat if request.tools.len() > 1 => {
                    return Err(refuse(
                        "tool_choice",
                        "the upstream cannot be made to search the web",
                    ));
                }
                _ => Choice::Named(ToolName {
                    name: tool.name.clone().into_owned(),
                    namespace: None,
                    custom: false,
                }),
            });
        }
        if let Some(tool) = request.tools.iter().find(|tool| tool.name.is(&word)) {
            return Ok(Choice::Named(ToolName {
                name: tool.name.clone().into_owned(),
                namespace: None,
                custom: false,
            }));
        }
        Err(refuse(
            "tool_choice",
            format!("the upstream does not have {word:?}"),
        ))
    }

    fn rename(&self, name: &mut ToolName<'_>) {
        name.name = Text::owned(self.flat(name.namespace.as_ref(), &name.name));
        name.namespace = None;
        name.custom &= self.free_text;
    }

    /// A forced call keeps its force, or is refused; it is never weakened.
    fn force(&self, request: &mut Request<'_>, warnings: &mut Warnings) -> Result<(), Error> {
        match self.caps.forced_tool {
            ForcedTool::Ok => {}
            ForcedTool::No => {
                return Err(refuse(
                    "tool_choice",
                    "the model cannot be made to call a tool",
                ));
            }
            ForcedTool::NotWithThinking => {
                let asked = effort::asked(request.effort, request.thinking);
                let thinks = match self.caps.reasoning {
                    // These think unless they are told not to.
                    ReasoningStyle::Toggle => asked != Some(Effort::None),
                    _ => asked.is_some_and(|effort| effort != Effort::None),
                };
                if thinks {
                    switch_off(request, warnings);
                }
            }
        }
        Ok(())
    }

    fn call(&self, call: &mut Call<'_>) {
        if call.namespace.is_some() || !is_flat(call.name.as_escaped(), self.name_max) {
            call.name = Text::owned(self.flat(call.namespace.as_ref(), &call.name));
            call.namespace = None;
        }
        match call.kind {
            CallKind::Custom if !self.free_text => {
                let mut json = Vec::with_capacity(call.arguments.escaped_bytes() + 16);
                Members::object(&mut json, |m| call.arguments.write(m.key("input")));
                let json = String::from_utf8(json).unwrap_or_default(); // made of str
                call.arguments = Arguments::Text(Text::owned(json));
                call.kind = CallKind::Function;
            }
            CallKind::Builtin(_) => call.kind = CallKind::Function,
            CallKind::Custom | CallKind::Function => {}
        }
    }
}

/// Messages wants `"type":"object"` on the outermost level of each tool's schema.
fn object_schema(json: Cow<'_, str>) -> Cow<'_, str> {
    let Ok(object) = Object::parse(json.as_bytes()) else {
        return Cow::Borrowed(NO_ARGUMENTS); // null, or `true`
    };
    let typed = object.get("type").is_some();
    let has_properties = object.get("properties").is_some();
    drop(object);
    let mut front = String::new();
    if !typed {
        front.push_str(r#""type":"object""#);
        if !has_properties {
            front.push_str(r#","properties":{}"#);
        }
    }
    with_members(json, &front)
}

/// OpenAI wants properties in the schema of an object, if only none: a tool of an MCP server without arguments has no such
/// member.
fn with_properties(json: Cow<'_, str>) -> Cow<'_, str> {
    let bare = Object::parse(json.as_bytes()).is_ok_and(|object| {
        let kind = object.get("type").and_then(Raw::string_inner);
        kind == Some("object") && object.get("properties").is_none()
    });
    with_members(json, if bare { r#""properties":{}"# } else { "" })
}

/// The object with those members in front of its own, each of which is there once.
fn with_members<'a>(json: Cow<'a, str>, front: &str) -> Cow<'a, str> {
    let Some(inner) = json
        .trim_start()
        .strip_prefix('{')
        .filter(|_| !front.is_empty())
    else {
        return json;
    };
    let comma = if inner.trim_start().starts_with('}') {
        ""
    } else {
        ","
    };
    Cow::Owned(format!("{{{front}{comma}{inner}"))
}
