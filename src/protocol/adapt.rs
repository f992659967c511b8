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
use super::neutral::{Request, Tool, ToolKind};
use super::text::Text;
use super::{Caps, Protocol, Target, Warnings, carrier, estimate};
use crate::error::Error;

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
    context.stops = fields::stops(request, to, target.caps)?;
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
        keeps: false,
        request_id: String::new(),
    }
}
