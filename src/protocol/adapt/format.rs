//! The shape of the answer, where the target promises less than was asked (protocols.md 5.9).

use super::reasoning::switch_off;
use crate::error::Error;
use crate::protocol::caps::{JsonSchema, Vendor};
use crate::protocol::effort::{self, Effort};
use crate::protocol::neutral::{Format, Request, System};
use crate::protocol::refusal::refuse;
use crate::protocol::render::Members;
use crate::protocol::text::Text;
use crate::protocol::{Caps, Protocol, Warnings, schema};
use crate::wire::json::Object;
use std::borrow::Cow;

pub(super) fn adapt(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    shape(request, to, caps, warnings)?;
    // Qwen takes no shape while it thinks (protocols.md 10.1): the shape is a contract, the thinking is not.
    let shaped = !matches!(request.format, Format::Text);
    let asked = effort::asked(request.effort, request.thinking);
    let thinks = asked.map_or(request.thinking.is_some(), |effort| effort != Effort::None);
    if caps.vendor == Vendor::Qwen && to == Protocol::Chat && shaped && thinks {
        switch_off(request, warnings);
    }
    Ok(())
}

fn shape(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let field = match request.from {
        Protocol::Chat => "response_format",
        Protocol::Responses => "text.format",
        Protocol::Messages => "output_config.format",
    };
    let object_mode = caps.json_object && to != Protocol::Messages;
    // A Messages client has no word for it: that its schema is strict is what the other protocols are told, not what it said.
    let can_say_strict = request.from != Protocol::Messages;
    match &mut request.format {
        Format::Text => {}
        Format::JsonObject if object_mode => {}
        Format::JsonObject => {
            request.format = Format::Text;
            instruct(request, "Answer with one JSON object and nothing else.");
            warnings.add(field, "by_instruction");
        }
        Format::Schema {
            schema,
            strict,
            description,
            ..
        } => {
            // Neither Claude nor an instruction has another place for it.
            if to == Protocol::Messages || caps.json_schema != JsonSchema::Native {
                describe(schema, description);
            }
            let supported = match caps.json_schema {
                JsonSchema::Native => return Ok(()),
                JsonSchema::StrictSubset => schema::sanitise(schema),
                JsonSchema::No => Err("the upstream promises no schema".into()),
            };
            match supported {
                Ok(clean) => *schema = clean.into(),
                Err(reason) if can_say_strict && *strict == Some(true) => {
                    return Err(refuse(field, reason));
                }
                Err(_) => {
                    let text = format!("Answer only with JSON matching this schema: {schema}");
                    request.format = if object_mode {
                        Format::JsonObject
                    } else {
                        Format::Text
                    };
                    instruct(request, &text);
                    warnings.add(field, "by_instruction");
                }
            }
        }
    }
    Ok(())
}

/// What a schema is for, said in the schema, unless that says something itself.
fn describe(schema: &mut Cow<'_, str>, description: &mut Option<Text<'_>>) {
    let Some(text) = description.take().filter(|text| !text.is_blank()) else {
        return;
    };
    let Ok(object) = Object::parse(schema.as_bytes()) else {
        return;
    };
    if object.get("description").is_some() {
        return;
    }
    let mut out = Vec::with_capacity(schema.len() + text.as_escaped().len() + 32);
    Members::object(&mut out, |m| {
        m.text("description", &text);
        for (key, value) in object.iter() {
            m.raw(Text::plain(key).as_escaped(), value.text());
        }
    });
    drop(object);
    *schema = Cow::Owned(String::from_utf8(out).unwrap_or_default()); // made of str
}

fn instruct(request: &mut Request<'_>, text: &str) {
    request.system.push(System {
        text: Text::owned(text.to_owned()),
        cache: None,
    });
}
