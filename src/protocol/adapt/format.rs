//! The shape of the answer, where the target promises less than was asked (protocols.md 5.9).

use super::refuse;
use crate::error::Error;
use crate::protocol::caps::JsonSchema;
use crate::protocol::neutral::{Format, Request, System};
use crate::protocol::text::Text;
use crate::protocol::{Caps, Protocol, Warnings, schema};

pub(super) fn adapt(
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
    match &mut request.format {
        Format::Text => {}
        Format::JsonObject if object_mode => {}
        Format::JsonObject => {
            request.format = Format::Text;
            instruct(request, "Answer with one JSON object and nothing else.");
            warnings.add(field, "by_instruction");
        }
        Format::Schema { schema, strict, .. } => {
            let supported = match caps.json_schema {
                JsonSchema::Native => return Ok(()),
                JsonSchema::StrictSubset => schema::sanitise(schema),
                JsonSchema::No => Err("the upstream promises no schema".into()),
            };
            match supported {
                Ok(clean) => *schema = clean.into(),
                Err(reason) if *strict == Some(true) => return Err(refuse(field, reason)),
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

fn instruct(request: &mut Request<'_>, text: &str) {
    request.system.push(System {
        text: Text::owned(text.to_owned()),
        cache: None,
    });
}
