//! Tools and the choice among them in Chat Completions, both ways, the legacy `functions` included.

use crate::error::Error;
use crate::protocol::caps::{Caps, Vendor};
use crate::protocol::neutral::{Choice, Request, Tool, ToolKind, ToolName};
use crate::protocol::place::Place;
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::render::{Elements, Members};
use crate::protocol::text::Text;
use crate::protocol::{Warnings, take};
use crate::wire::json::{JsonKind, Object, Raw};
use std::borrow::Cow;

/// Reads `tools`, `functions`, `tool_choice`, `function_call` and `parallel_tool_calls`.
pub(super) fn read<'a>(
    body: &mut Object<'a>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if let Some(list) = take::array(body, "tools")? {
        for (at, raw) in list.enumerate() {
            let tool = tool(raw, &Place::Field("tools").element(at), warnings)?;
            request.tools.push(tool);
        }
    }
    if let Some(list) = take::array(body, "functions")? {
        for (at, raw) in list.enumerate() {
            let list = Place::Field("functions");
            let place = list.element(at);
            let function = function(take::as_object(raw, place)?, &place, warnings)?;
            request.tools.push(function);
        }
    }
    request.parallel = take::flag(body, "parallel_tool_calls")?;
    let choice = take::raw(body, "tool_choice");
    let legacy = take::raw(body, "function_call");
    request.choice = match (choice, legacy) {
        (Some(choice), _) => Some(self::choice(choice)?),
        (None, Some(legacy)) => Some(self::legacy(legacy)?),
        (None, None) => None,
    };
    Ok(())
}

fn tool<'a>(raw: Raw<'a>, place: &Place<'_>, warnings: &mut Warnings) -> Result<Tool<'a>, Error> {
    let mut tool = take::as_object(raw, place)?;
    let cache = take::breakpoint(&mut tool);
    let function = take::object(&mut tool, "function")?;
    let custom = take::object(&mut tool, "custom")?;
    let kind = match (take::text(&mut tool, "type")?, &function) {
        (Some(kind), _) => kind,
        (None, Some(_)) => Text::constant("function"), // Mistral's own clients leave it out
        (None, None) => return Err(wrong(place.member("type"), "is missing")),
    };
    take::rest(&tool, &[], "tools[]", warnings);
    match kind.decode().as_ref() {
        "function" => {
            let inner = function.ok_or_else(|| wrong(place, "function is missing"))?;
            let function = self::function(inner, place, warnings)?;
            Ok(Tool {
                cache: cache.or(function.cache),
                ..function
            })
        }
        "custom" => {
            let mut inner = custom.ok_or_else(|| wrong(place, "custom is missing"))?;
            let mut format = take::object(&mut inner, "format")?;
            let grammar = match &mut format {
                Some(format) => take::object(format, "grammar")?,
                None => None,
            };
            let grammar = match grammar {
                Some(mut grammar) => Some((
                    take::needed_text(&mut grammar, "syntax", place)?,
                    take::needed_text(&mut grammar, "definition", place)?,
                )),
                None => None,
            };
            let tool = Tool {
                name: take::needed_text(&mut inner, "name", place)?,
                namespace: None,
                description: take::text(&mut inner, "description")?,
                kind: ToolKind::Custom { grammar },
                cache,
            };
            take::rest(&inner, &[], "tools[].custom", warnings);
            Ok(tool)
        }
        other => Err(refuse(
            place,
            format!("a tool of type {other:?} cannot be converted"),
        )),
    }
}

fn function<'a>(
    mut function: Object<'a>,
    place: &Place<'_>,
    warnings: &mut Warnings,
) -> Result<Tool<'a>, Error> {
    let parameters = take::raw_object(&mut function, "parameters")?;
    let tool = Tool {
        name: take::needed_text(&mut function, "name", place)?,
        namespace: None,
        description: take::text(&mut function, "description")?,
        kind: ToolKind::Function {
            parameters: parameters.map(|raw| Cow::Borrowed(raw.text())),
            strict: take::flag(&mut function, "strict")?,
        },
        cache: take::breakpoint(&mut function),
    };
    take::rest(&function, &[], "tools[].function", warnings);
    Ok(tool)
}

fn choice<'a>(raw: Raw<'a>) -> Result<Choice<'a>, Error> {
    const FIELD: &str = "tool_choice";
    if raw.kind() == JsonKind::String {
        return match take::as_text(raw, FIELD)?.decode().as_ref() {
            "auto" => Ok(Choice::Auto),
            "required" | "any" => Ok(Choice::Required),
            "none" => Ok(Choice::Never),
            other => Err(wrong(FIELD, format!("unknown choice {other:?}"))),
        };
    }
    let mut object = take::as_object(raw, FIELD)?;
    if let Some(mut allowed) = take::object(&mut object, "allowed_tools")? {
        let mode = take::text(&mut allowed, "mode")?.unwrap_or_default();
        let mut tools = Vec::new();
        if let Some(list) = take::array(&mut allowed, "tools")? {
            for tool in list {
                tools.push(named(take::as_object(tool, FIELD)?)?);
            }
        }
        return Ok(Choice::Among {
            required: mode.is("required"),
            tools,
        });
    }
    Ok(Choice::Named(named(object)?))
}

fn named<'a>(mut object: Object<'a>) -> Result<ToolName<'a>, Error> {
    const FIELD: &str = "tool_choice";
    for (key, custom) in [("function", false), ("custom", true)] {
        if let Some(mut inner) = take::object(&mut object, key)? {
            return Ok(ToolName {
                name: take::needed_text(&mut inner, "name", FIELD)?,
                namespace: None,
                custom,
            });
        }
    }
    Err(refuse(FIELD, "expected a function or a custom tool"))
}

fn legacy<'a>(raw: Raw<'a>) -> Result<Choice<'a>, Error> {
    const FIELD: &str = "function_call";
    if raw.kind() == JsonKind::String {
        return match take::as_text(raw, FIELD)?.decode().as_ref() {
            "auto" => Ok(Choice::Auto),
            "none" => Ok(Choice::Never),
            other => Err(wrong(FIELD, format!("unknown choice {other:?}"))),
        };
    }
    let mut object = take::as_object(raw, FIELD)?;
    Ok(Choice::Named(ToolName {
        name: take::needed_text(&mut object, "name", FIELD)?,
        namespace: None,
        custom: false,
    }))
}

/// Writes `tools`, `tool_choice`, `parallel_tool_calls` and `web_search_options`.
pub(super) fn write(request: &Request<'_>, caps: &Caps, m: &mut Members<'_>) {
    let search = |tool: &&Tool<'_>| matches!(tool.kind, ToolKind::WebSearch(_));
    if request.tools.iter().any(|tool| !search(&tool)) {
        m.array("tools", |list| {
            for tool in request.tools.iter().filter(|tool| !search(tool)) {
                write_tool(tool, list);
            }
        });
        if let Some(choice) = &request.choice {
            write_choice(choice, caps, m);
        }
        if let Some(parallel) = request.parallel {
            m.bool("parallel_tool_calls", parallel);
        }
    }
    if let Some(ToolKind::WebSearch(options)) =
        request.tools.iter().find(search).map(|tool| &tool.kind)
    {
        m.nested("web_search_options", |m| {
            m.text_if("search_context_size", options.context_size.as_ref());
            if let Some(location) = options.location {
                m.nested("user_location", |m| {
                    m.str("type", "approximate")
                        .raw("approximate", location.text());
                });
            }
        });
    }
}

fn write_tool(tool: &Tool<'_>, list: &mut Elements<'_>) {
    match &tool.kind {
        ToolKind::Function { parameters, strict } => list.object(|m| {
            m.str("type", "function").nested("function", |m| {
                m.text("name", &tool.name);
                m.text_if("description", tool.description.as_ref());
                m.raw_if("parameters", parameters.as_deref());
                if *strict == Some(true) {
                    m.bool("strict", true);
                }
            });
        }),
        ToolKind::Custom { grammar } => list.object(|m| {
            m.str("type", "custom").nested("custom", |m| {
                m.text("name", &tool.name);
                m.text_if("description", tool.description.as_ref());
                if let Some((syntax, definition)) = grammar {
                    m.nested("format", |m| {
                        m.str("type", "grammar").nested("grammar", |m| {
                            m.text("syntax", syntax).text("definition", definition);
                        });
                    });
                }
            });
        }),
        // `adapt` leaves none of these.
        ToolKind::Builtin(_)
        | ToolKind::ToolSearch { .. }
        | ToolKind::WebSearch(_)
        | ToolKind::Mcp(_)
        | ToolKind::Hosted { .. } => list,
    };
}

fn write_choice(choice: &Choice<'_>, caps: &Caps, m: &mut Members<'_>) {
    let named = |m: &mut Members<'_>, name: &ToolName<'_>| {
        let kind = if name.custom { "custom" } else { "function" };
        m.str("type", kind).nested(kind, |m| {
            m.text("name", &name.name);
        });
    };
    match choice {
        Choice::Auto => m.str("tool_choice", "auto"),
        Choice::Required => {
            // Older models of Mistral's know only their own word.
            let mistral = caps.vendor == Vendor::Mistral;
            m.str("tool_choice", if mistral { "any" } else { "required" })
        }
        Choice::Never => m.str("tool_choice", "none"),
        Choice::Named(name) => m.nested("tool_choice", |m| named(m, name)),
        Choice::Among { required, tools } => m.nested("tool_choice", |m| {
            m.str("type", "allowed_tools").nested("allowed_tools", |m| {
                m.str("mode", if *required { "required" } else { "auto" });
                m.array("tools", |list| {
                    for name in tools {
                        list.object(|m| named(m, name));
                    }
                });
            });
        }),
        Choice::Hosted(_) => m, // `adapt` leaves none
    };
}

/// The name of a schema that came without one.
pub(super) fn schema_name<'t>(name: Option<&'t Text<'t>>) -> Text<'t> {
    name.map_or(Text::constant("structured_output"), Text::borrow)
}
