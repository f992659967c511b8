//! The conversation as input items: outputs of calls first, then the message; text on both sides of a call is two messages.

use crate::protocol::neutral::flat_result;
use crate::protocol::neutral::{
    Cache, CallKind, File, Image, Part, Reasoning, Request, Role, Source, ToolResult, Turn,
};
use crate::protocol::render::{Elements, Members};
use crate::protocol::text::Text;
use crate::protocol::{Caps, Protocol};
use std::collections::HashSet;

fn system_role(caps: &Caps) -> &'static str {
    if caps.roles_developer {
        "developer"
    } else {
        "system"
    }
}

pub(super) fn input(request: &Request<'_>, caps: &Caps, list: &mut Elements<'_>) {
    if request.from != Protocol::Messages {
        for system in &request.system {
            message(list, system_role(caps), |parts| {
                said(parts, "input_text", &system.text, system.cache, caps);
            });
        }
    }
    let mut free = HashSet::new();
    for turn in &request.turns {
        match turn.role {
            Role::User => user(turn, &free, caps, list),
            Role::System => message(list, system_role(caps), |parts| {
                for part in &turn.parts {
                    if let Part::Text(part) = part {
                        said(parts, "input_text", &part.text, part.cache, caps);
                    }
                }
            }),
            Role::Assistant => assistant(turn, &mut free, list),
        }
    }
}

fn message(list: &mut Elements<'_>, role: &str, fill: impl FnOnce(&mut Elements<'_>)) {
    list.object(|m| {
        m.str("type", "message").str("role", role);
        m.array("content", fill);
    });
}

fn said(parts: &mut Elements<'_>, kind: &str, text: &Text<'_>, cache: Option<Cache>, caps: &Caps) {
    parts.object(|m| {
        m.str("type", kind).text("text", text);
        mark(cache, caps, m);
    });
}

fn mark(cache: Option<Cache>, caps: &Caps, m: &mut Members<'_>) {
    let Some(cache) = cache.filter(|_| caps.cache_breakpoints) else {
        return;
    };
    m.nested("prompt_cache_breakpoint", |m| {
        m.str("mode", "explicit");
        if cache == Cache::Long {
            m.str("ttl", "12h");
        }
    });
}

/// Outputs first, each an item of its own, then one message.
fn user(turn: &Turn<'_>, free: &HashSet<&str>, caps: &Caps, list: &mut Elements<'_>) {
    for part in &turn.parts {
        if let Part::Result(result) = part {
            output(result, free.contains(result.id.as_escaped()), caps, list);
        }
    }
    if turn
        .parts
        .iter()
        .all(|part| matches!(part, Part::Result(_)))
    {
        return;
    }
    message(list, "user", |parts| {
        for part in &turn.parts {
            content(part, caps, parts);
        }
    });
}

fn content(part: &Part<'_>, caps: &Caps, parts: &mut Elements<'_>) {
    match part {
        Part::Text(part) => said(parts, "input_text", &part.text, part.cache, caps),
        Part::Image(image) => picture(image, caps, parts),
        Part::File(file) => document(file, caps, parts),
        Part::Audio { data, format } => {
            parts.object(|m| {
                m.str("type", "input_audio");
                m.nested("input_audio", |m| {
                    m.text("data", data).text("format", format);
                });
            });
        }
        // A user says none of these; results are items of their own.
        Part::Reasoning(_)
        | Part::Refusal(_)
        | Part::Call(_)
        | Part::Result(_)
        | Part::Hosted { .. } => {}
    }
}

fn source(source: &Source<'_>, url: &str, data_key: &str, m: &mut Members<'_>) {
    match source {
        Source::Url(address) => m.text(url, address),
        Source::Data { media_type, data } => m.texts(
            data_key,
            &[
                &Text::constant("data:"),
                media_type,
                &Text::constant(";base64,"),
                data,
            ],
        ),
    };
}

fn picture(image: &Image<'_>, caps: &Caps, parts: &mut Elements<'_>) {
    parts.object(|m| {
        m.str("type", "input_image");
        source(&image.source, "image_url", "image_url", m);
        match &image.detail {
            Some(detail) => m.text("detail", detail),
            None => m.str("detail", "auto"),
        };
        mark(image.cache, caps, m);
    });
}

fn document(file: &File<'_>, caps: &Caps, parts: &mut Elements<'_>) {
    parts.object(|m| {
        m.str("type", "input_file");
        // Data without a name is refused.
        if matches!(file.source, Source::Data { .. }) {
            m.str("filename", &file.file_name());
        }
        source(&file.source, "file_url", "file_data", m);
        mark(file.cache, caps, m);
    });
}

fn output(result: &ToolResult<'_>, free: bool, caps: &Caps, list: &mut Elements<'_>) {
    list.object(|m| {
        m.str(
            "type",
            if free {
                "custom_tool_call_output"
            } else {
                "function_call_output"
            },
        );
        m.text("call_id", &result.id);
        if result
            .parts
            .iter()
            .all(|part| matches!(part, Part::Text(_)))
        {
            m.text("output", &flat_result(result));
            return;
        }
        m.array("output", |parts| {
            if result.is_error {
                said(
                    parts,
                    "input_text",
                    &Text::constant("[tool error]"),
                    None,
                    caps,
                );
            }
            for part in &result.parts {
                content(part, caps, parts);
            }
        });
    });
}

/// Reasoning, message, calls in the order they were; text on both sides of a call is two messages.
fn assistant<'r>(turn: &'r Turn<'_>, free: &mut HashSet<&'r str>, list: &mut Elements<'_>) {
    let is_said = |part: &Part<'_>| matches!(part, Part::Text(_) | Part::Refusal(_));
    let mut rest = turn.parts.as_slice();
    while let Some(part) = rest.first() {
        let run = rest.iter().take_while(|part| is_said(part)).count();
        if run > 0 {
            message(list, "assistant", |parts| {
                for part in &rest[..run] {
                    match part {
                        Part::Text(part) => parts.object(|m| {
                            m.str("type", "output_text").text("text", &part.text);
                        }),
                        Part::Refusal(refusal) => parts.object(|m| {
                            m.str("type", "refusal").text("refusal", refusal);
                        }),
                        _ => parts,
                    };
                }
            });
            rest = &rest[run..];
            continue;
        }
        match part {
            Part::Reasoning(thought) => thought_item(thought, list),
            Part::Call(call) => {
                let custom = call.kind == CallKind::Custom;
                if custom {
                    free.insert(call.id.as_escaped());
                }
                list.object(|m| {
                    if custom {
                        m.str("type", "custom_tool_call");
                    } else {
                        m.str("type", "function_call");
                    }
                    m.text("call_id", &call.id).text("name", &call.name);
                    let key = if custom { "input" } else { "arguments" };
                    call.arguments.write(m.key(key));
                });
            }
            Part::Hosted { json, .. } => {
                list.raw(json.text());
            }
            _ => {}
        }
        rest = &rest[1..];
    }
}

/// Without its proof the server knows nothing of a reasoning item and answers 404 (protocols.md 2.2).
fn thought_item(thought: &Reasoning<'_>, list: &mut Elements<'_>) {
    let Some(proof) = &thought.proof else {
        return;
    };
    list.object(|m| {
        m.str("type", "reasoning");
        m.text_if("id", proof.item.as_ref());
        m.array("summary", |summary| {
            if !thought.text.is_empty() {
                summary.object(|m| {
                    m.str("type", "summary_text").text("text", &thought.text);
                });
            }
        });
        m.text("encrypted_content", &proof.value);
    });
}
