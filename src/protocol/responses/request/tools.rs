//! Tools as Responses declares and chooses them (protocols.md 2.4, 5.7, 5.8). An unknown type is an offer of a hosted tool
//! that is dropped with a warning: Codex offers some with each request, and refusing them would lock it out.

use super::fields::{flag, get, optional, required, says};
use crate::error::Error;
use crate::protocol::ids::flat_name;
use crate::protocol::neutral::{
    Builtin, Choice, Request, TOOLS_MAX, Tool, ToolKind, ToolName, WebSearch,
};
use crate::protocol::place::Place;
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::text::Text;
use crate::protocol::{Warnings, take};
use crate::wire::json::{Elements, Object, Raw};
use std::borrow::Cow;

/// The name under which a tool with a fixed schema goes: its type.
pub fn builtin_name(builtin: Builtin) -> &'static str {
    match builtin {
        Builtin::LocalShell => "local_shell",
        Builtin::Shell => "shell",
        Builtin::ApplyPatch => "apply_patch",
        Builtin::ToolSearch => "tool_search",
        Builtin::Bash => "bash",
        Builtin::TextEditor => "text_editor",
        Builtin::Memory => "memory",
    }
}

/// What a client's tool has; `defer_loading` is of no effect, as all are loaded at once, and what a tool gives back is not told
/// to others.
const MEMBERS: [&str; 10] = [
    "type",
    "name",
    "description",
    "parameters",
    "strict",
    "format",
    "async",
    "allowed_callers",
    "defer_loading",
    "output_schema",
];

/// Reads the `tools` of a request.
pub fn read<'a>(
    tools: Elements<'a>,
    path: &Place<'_>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut found = Vec::new();
    list(tools, path, None, &mut found, warnings)?;
    request.tools.append(&mut found);
    Ok(())
}

/// The longest name that every vendor takes.
const TOLD_NAME_MAX: usize = 64;

/// Reads tools that an item brings: those the request has already win. Answers the names it listed, as the upstream's model
/// may call them: the model reads this list.
pub fn more<'a>(
    raw: Raw<'a>,
    path: &Place<'_>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<String, Error> {
    let mut found = Vec::new();
    list(take::as_array(raw, path)?, path, None, &mut found, warnings)?;
    let mut names = String::new();
    for tool in found {
        if !names.is_empty() {
            names.push_str(", ");
        }
        let namespace = tool.namespace.as_ref().map(Text::decode);
        names.push_str(&flat_name(
            namespace.as_deref(),
            &tool.name.decode(),
            TOLD_NAME_MAX,
        ));
        let known = request
            .tools
            .iter()
            .any(|other| other.name == tool.name && other.namespace == tool.namespace);
        if !known {
            request.tools.push(tool);
        }
        too_many(path, request.tools.len())?;
    }
    Ok(names)
}

fn too_many(path: &Place<'_>, count: usize) -> Result<(), Error> {
    if count > TOOLS_MAX {
        return Err(wrong(path, format!("more than {TOOLS_MAX} tools")));
    }
    Ok(())
}

fn list<'a>(
    tools: Elements<'a>,
    path: &Place<'_>,
    namespace: Option<&Text<'a>>,
    found: &mut Vec<Tool<'a>>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    for (at, raw) in tools.enumerate() {
        too_many(path, found.len())?;
        let path = path.element(at);
        let tool = take::as_object(raw, &path)?;
        let kind = required(&tool, "type", &path)?;
        if kind.is("namespace") {
            if namespace.is_some() {
                return Err(wrong(path, "a namespace cannot hold a namespace"));
            }
            let name = required(&tool, "name", &path)?;
            if let Some(inner) = get(&tool, "tools") {
                let about = optional(&tool, "description", &path)?;
                let path = path.member("tools");
                let inner = take::as_array(inner, &path)?;
                let first = found.len();
                list(inner, &path, Some(&name), found, warnings)?;
                if let (Some(about), Some(first)) = (about, found.get_mut(first)) {
                    introduce(first, &name, &about);
                }
            }
            continue;
        }
        if kind.is("function") || kind.is("custom") {
            take::rest(&tool, &MEMBERS, "tools[]", warnings);
        }
        found.push(one(raw, &tool, kind, &path, namespace)?);
    }
    Ok(())
}

/// What is said of a namespace is said with the first of its tools, as others have no place for it.
fn introduce(tool: &mut Tool<'_>, namespace: &Text<'_>, about: &Text<'_>) {
    if about.is_blank() {
        return;
    }
    let mut said = Text::constant("About all tools of ").into_owned();
    for part in [namespace, &Text::constant(": "), about] {
        said.push(part);
    }
    if let Some(description) = tool.description.take().filter(|text| !text.is_empty()) {
        said.push(&Text::plain("\n\n"));
        said.push(&description);
    }
    tool.description = Some(said);
}

fn one<'a>(
    raw: Raw<'a>,
    tool: &Object<'a>,
    kind: Text<'a>,
    path: &Place<'_>,
    namespace: Option<&Text<'a>>,
) -> Result<Tool<'a>, Error> {
    let word = kind.decode().into_owned();
    let description = optional(tool, "description", path)?;
    let of = |name: Text<'a>, kind: ToolKind<'a>| Tool {
        name,
        namespace: namespace.cloned(),
        description: description.clone(),
        kind,
        cache: None,
    };
    Ok(match word.as_str() {
        "function" => {
            callable(tool, path)?;
            let strict = flag(tool, "strict", path)?;
            let parameters = get(tool, "parameters");
            if let Some(raw) = parameters {
                take::as_object(raw, &path.member("parameters"))?;
            }
            let parameters = parameters.map(|raw| Cow::Borrowed(raw.text()));
            of(
                required(tool, "name", path)?,
                ToolKind::Function { parameters, strict },
            )
        }
        "custom" => {
            callable(tool, path)?;
            let grammar = grammar(tool, path)?;
            of(required(tool, "name", path)?, ToolKind::Custom { grammar })
        }
        "local_shell" => of(kind, ToolKind::Builtin(Builtin::LocalShell)),
        "shell" if is_local(tool) => of(kind, ToolKind::Builtin(Builtin::Shell)),
        "apply_patch" => of(kind, ToolKind::Builtin(Builtin::ApplyPatch)),
        "tool_search" if says(tool, "execution", "client") => {
            let parameters = get(tool, "parameters");
            if let Some(raw) = parameters {
                take::as_object(raw, &format!("{path}.parameters"))?;
            }
            let parameters = parameters.map(|raw| Cow::Borrowed(raw.text()));
            of(kind, ToolKind::ToolSearch { parameters })
        }
        "mcp" => of(kind, ToolKind::Mcp(raw)),
        _ if word.starts_with("web_search") => {
            of(kind, ToolKind::WebSearch(web_search(tool, path)?))
        }
        "file_search"
        | "code_interpreter"
        | "programmatic_tool_calling"
        | "shell"
        | "computer"
        | "computer_use_preview" => of(kind, ToolKind::Hosted { harmless: false }),
        _ => of(kind, ToolKind::Hosted { harmless: true }),
    })
}

/// What a client's tool may not ask for.
fn callable(tool: &Object<'_>, path: &Place<'_>) -> Result<(), Error> {
    if get(tool, "async").and_then(Raw::as_bool) == Some(true) {
        return Err(refuse(
            path.member("async"),
            "asynchronous tools are not supported",
        ));
    }
    if let Some(callers) = get(tool, "allowed_callers") {
        let field = path.member("allowed_callers");
        let mut callers = take::as_array(callers, &field)?;
        if !callers.any(|caller| Text::of(caller).is_some_and(|caller| caller.is("direct"))) {
            return Err(refuse(field, "only direct calls are supported"));
        }
    }
    Ok(())
}

fn is_local(tool: &Object<'_>) -> bool {
    let Some(environment) = get(tool, "environment").and_then(|raw| raw.as_object().ok()) else {
        return true;
    };
    let kind = get(&environment, "type").and_then(Text::of);
    kind.is_none_or(|kind| kind.is("local"))
}

fn grammar<'a>(tool: &Object<'a>, path: &Place<'_>) -> Result<Option<(Text<'a>, Text<'a>)>, Error> {
    let Some(raw) = get(tool, "format") else {
        return Ok(None);
    };
    let path = path.member("format");
    let format = take::as_object(raw, &path)?;
    let kind = required(&format, "type", &path)?;
    if kind.is("text") {
        return Ok(None);
    }
    if !kind.is("grammar") {
        let reason = format!("unknown format {:?}", kind.decode());
        return Err(refuse(path, reason));
    }
    let syntax = required(&format, "syntax", &path)?;
    Ok(Some((syntax, required(&format, "definition", &path)?)))
}

fn web_search<'a>(tool: &Object<'a>, path: &Place<'_>) -> Result<WebSearch<'a>, Error> {
    let filters = match get(tool, "filters") {
        Some(raw) => get(
            &take::as_object(raw, &path.member("filters"))?,
            "allowed_domains",
        ),
        None => None,
    };
    Ok(WebSearch {
        context_size: optional(tool, "search_context_size", path)?,
        location: get(tool, "user_location"),
        allowed_domains: filters,
        blocked_domains: None,
        uses_max: None,
        from_cache: get(tool, "external_web_access").and_then(Raw::as_bool) == Some(false),
    })
}

/// Reads `tool_choice`.
pub fn choice<'a>(raw: Raw<'a>, request: &Request<'a>) -> Result<Choice<'a>, Error> {
    const PATH: Place<'_> = Place::Field("tool_choice");
    if let Some(word) = Text::of(raw) {
        return match word.decode().as_ref() {
            "auto" => Ok(Choice::Auto),
            "required" => Ok(Choice::Required),
            "none" => Ok(Choice::Never),
            other => Err(wrong(PATH, format!("unknown choice {other:?}"))),
        };
    }
    let choice = take::as_object(raw, PATH)?;
    let kind = required(&choice, "type", &PATH)?;
    if !kind.is("allowed_tools") {
        return Ok(match named(&choice, kind.clone(), &PATH)? {
            Some(name) => Choice::Named(name),
            None => Choice::Hosted(kind),
        });
    }
    let mode = optional(&choice, "mode", &PATH)?;
    let mut tools = Vec::new();
    if let Some(raw) = get(&choice, "tools") {
        let list = PATH.member("tools");
        for (at, raw) in take::as_array(raw, list)?.enumerate() {
            too_many(&list, tools.len())?;
            let path = list.element(at);
            let tool = take::as_object(raw, &path)?;
            let kind = required(&tool, "type", &path)?;
            if kind.is("namespace") {
                let namespace = required(&tool, "name", &path)?;
                let inside = request
                    .tools
                    .iter()
                    .filter(|tool| tool.namespace.as_ref() == Some(&namespace));
                tools.extend(inside.map(|tool| ToolName {
                    name: tool.name.clone(),
                    namespace: tool.namespace.clone(),
                    custom: matches!(tool.kind, ToolKind::Custom { .. }),
                }));
                continue;
            }
            tools.push(match named(&tool, kind.clone(), &path)? {
                Some(name) => name,
                None => ToolName {
                    name: kind,
                    namespace: None,
                    custom: false,
                },
            });
        }
    }
    Ok(Choice::Among {
        required: mode.is_some_and(|mode| mode.is("required")),
        tools,
    })
}

/// The client's tool that is meant; None: a hosted one.
fn named<'a>(
    tool: &Object<'a>,
    kind: Text<'a>,
    path: &Place<'_>,
) -> Result<Option<ToolName<'a>>, Error> {
    let word = kind.decode();
    let custom = word == "custom";
    if word == "function" || custom {
        return Ok(Some(ToolName {
            name: required(tool, "name", path)?,
            namespace: optional(tool, "namespace", path)?,
            custom,
        }));
    }
    let builtin = matches!(
        word.as_ref(),
        "local_shell" | "shell" | "apply_patch" | "tool_search"
    );
    drop(word);
    Ok(builtin.then_some(ToolName {
        name: kind,
        namespace: None,
        custom: false,
    }))
}
