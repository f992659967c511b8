//! Bends a request as it was read to what the upstream can hold (protocols.md 5 and 6), in place. Everything that two twins
//! would otherwise both have to do is done here, so that a writer only renders what it finds. A pure function of request and
//! route: the same conversation converts to the same bytes in each turn.

mod builtin;
mod fields;
mod format;
mod reasoning;
mod tools;
mod turns;

pub use builtin::schema as builtin_schema;

use super::context::Context;
use super::neutral::{Part, Request, Tool, ToolKind, ToolResult};
use super::text::Text;
use super::{Caps, Protocol, Target, Warnings, carrier, estimate};
use crate::error::{Error, Kind};

/// What an earlier warning is kept under when a forced tool or a lost thought switches thinking off.
const TURNED_OFF: &str = "turned_off";

/// Adapts the request to its target.
///
/// # Errors
/// `Unsupported` or `BadRequest`, blamed on the client, with `param` naming the field.
pub fn adapt(
    request: &mut Request<'_>,
    to: Protocol,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<Context, Error> {
    for field in std::mem::take(&mut request.unknown) {
        warnings.add(field, "unknown");
    }
    for (field, _) in std::mem::take(&mut request.vendor) {
        warnings.add(field, "unsupported");
    }
    let mut context = context(request, to, target);
    fields::labels(request, to, target.caps, warnings)?;
    context.tools = tools::adapt(request, to, target.caps, warnings)?;
    let is_hosted =
        |tool: &Tool<'_>| matches!(tool.kind, ToolKind::WebSearch(_) | ToolKind::Mcp(_));
    context.pauses = to == Protocol::Messages && request.tools.iter().any(is_hosted);
    reasoning::adapt(request, to, target, warnings);
    turns::adapt(request, to, target.caps, warnings)?;
    reasoning::require_open_thought(request, to, target.caps, warnings);
    format::adapt(request, to, target.caps, warnings)?;
    context.stops = fields::stops(request, to, target.caps);
    context.limit = fields::limit(request, to, target.caps, warnings)?;
    fields::sampling(request, to, target.caps, warnings);
    Ok(context)
}

fn context(request: &mut Request<'_>, to: Protocol, target: &Target<'_>) -> Context {
    let caps: &Caps = target.caps;
    let model = if caps.show_model {
        Text::owned(target.model.to_owned())
    } else {
        request.model.clone().into_owned()
    };
    Context {
        client: request.from,
        upstream: to,
        model,
        family: carrier::family(target.model),
        caps: caps.clone(),
        tools: Default::default(),
        stream: request.stream,
        include_usage: request.include_usage,
        stops: Vec::new(),
        echo: std::mem::take(&mut request.echo),
        estimate: estimate::of_request(request),
        logprobs: request.logprobs.is_some(),
        limit: None,
        pauses: false,
        request_id: String::new(),
    }
}

/// A refusal of what cannot be converted: `Unsupported`, naming the client's field.
pub fn refuse(field: impl Into<String>, reason: impl AsRef<str>) -> Error {
    let field = field.into();
    let message = format!("{field}: {}", reason.as_ref());
    Error::client(Kind::Unsupported, message).param(field)
}

/// A request that breaks its own protocol: `BadRequest`, naming the client's field.
pub fn wrong(field: impl Into<String>, reason: impl AsRef<str>) -> Error {
    let field = field.into();
    let message = format!("{field}: {}", reason.as_ref());
    Error::client(Kind::BadRequest, message).param(field)
}

/// A document that is plain text, as the text part it becomes (protocols.md 5.3).
pub fn document_text(title: Option<&Text<'_>>, content: &Text<'_>) -> Text<'static> {
    let mut out = Text::plain("<document").into_owned();
    if let Some(title) = title {
        out.push(&Text::plain(" title=\""));
        out.push(title);
        out.push(&Text::plain("\""));
    }
    out.push(&Text::plain(">\n"));
    out.push(content);
    out.push(&Text::plain("\n</document>"));
    out
}

/// The texts of a tool result as one, `[tool error]` in front of a failed one: for Chat always, for Responses when there is
/// nothing but text.
pub fn flat_result(result: &ToolResult<'_>) -> Text<'static> {
    let texts = result.parts.iter().filter_map(|part| match part {
        Part::Text(part) => Some(&part.text),
        _ => None,
    });
    let joined = Text::join(texts, "\n");
    if !result.is_error {
        return joined;
    }
    let mut out = Text::plain("[tool error]\n").into_owned();
    out.push(&joined);
    out
}
