//! What a request sets and a `configuration_update` item sets again: `reasoning` and `text`.

use super::fields::{flag, get, optional, required};
use crate::error::Error;
use crate::protocol::effort::Effort;
use crate::protocol::neutral::{Format, Request};
use crate::protocol::place::Place;
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::{Warnings, take};
use crate::wire::json::Raw;
use std::borrow::Cow;

/// `reasoning`, of the request or of a `configuration_update` item.
pub(super) fn reasoning(
    raw: Raw<'_>,
    path: &Place<'_>,
    request: &mut Request<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut reasoning = take::as_object(raw, path)?;
    if let Some(word) = take::text(&mut reasoning, "effort")? {
        let field = path.member("effort");
        let Some(effort) = Effort::of(&word.decode()) else {
            let known = Effort::ALL.map(Effort::word).join(", ");
            let reason = format!("{:?} is no effort; known: {known}", word.decode());
            return Err(wrong(field, reason));
        };
        request.effort = Some(effort);
    }
    let older = take::raw(&mut reasoning, "generate_summary");
    if take::raw(&mut reasoning, "summary").or(older).is_some() {
        request.show_reasoning = Some(true);
    }
    if take::text(&mut reasoning, "mode")?.is_some_and(|mode| mode.is("pro")) {
        return Err(refuse(
            path.member("mode"),
            "the mode \"pro\" is not known to this model's upstream",
        ));
    }
    reasoning.take("context");
    for (key, _) in reasoning.rest() {
        warnings.add(format!("{path}.{key}"), "unknown");
    }
    Ok(())
}

/// `text`, of the request or of a `configuration_update` item.
pub(super) fn shape<'a>(
    raw: Raw<'a>,
    path: &Place<'_>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut shape = take::as_object(raw, path)?;
    if let Some(verbosity) = take::text(&mut shape, "verbosity")? {
        request.verbosity = Some(verbosity);
    }
    if let Some(raw) = take::raw(&mut shape, "format") {
        request.format = format(raw, &path.member("format"), warnings)?;
    }
    for (key, _) in shape.rest() {
        warnings.add(format!("{path}.{key}"), "unknown");
    }
    Ok(())
}

fn format<'a>(
    raw: Raw<'a>,
    path: &Place<'_>,
    warnings: &mut Warnings,
) -> Result<Format<'a>, Error> {
    let format = take::as_object(raw, path)?;
    let known = ["type", "schema", "name", "description", "strict"];
    take::rest(&format, &known, "text.format", warnings);
    let kind = required(&format, "type", path)?;
    match kind.decode().as_ref() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let Some(schema) = get(&format, "schema") else {
                return Err(wrong(path.member("schema"), "is required"));
            };
            take::as_object(schema, path.member("schema"))?;
            Ok(Format::Schema {
                name: optional(&format, "name", path)?,
                description: optional(&format, "description", path)?,
                schema: Cow::Borrowed(schema.text()),
                strict: flag(&format, "strict", path)?,
            })
        }
        other => Err(refuse(path, format!("unknown format {other:?}"))),
    }
}
