//! A whole answer, read from an upstream and written for a client (protocols.md 3.5, 7).

use super::counts::{self, Counts};
use super::{citation, ending, input_of, native_proof, search_query, signature, text_at};
use crate::error::{Blame, Error, Kind};
use crate::protocol::carrier;
use crate::protocol::context::Context;
use crate::protocol::neutral::{
    Block, CallKind, Hosted, Opened, Owner, Proof, Reason, Reply, Start,
};
use crate::protocol::render::{Elements, Members};
use crate::protocol::take;
use crate::protocol::text::Text;
use crate::protocol::{Made, Warnings, in_stream, says_error};
use crate::wire::json::{JsonKind, Object, Raw};

/// Reads an answer.
///
/// # Errors
/// It is an error under status 200, or no complete answer.
pub fn read<'a>(
    mut body: Object<'a>,
    _cx: &Context,
    warnings: &mut Warnings,
) -> Result<Reply<'a>, Error> {
    if let Some(error) = says_error(&body) {
        return Err(in_stream(error));
    }
    let Some(content) = take::raw(&mut body, "content") else {
        return Err(no_answer("content"));
    };
    let Some(finish) = ending::read(&body)? else {
        return Err(no_answer("stop_reason"));
    };
    let mut counts = Counts::default();
    let usage = take::raw(&mut body, "usage");
    if let Some(usage) = usage {
        counts.merge(usage);
    }
    let tier = usage.and_then(|usage| text_at(&usage.as_object().ok()?, "service_tier"));
    let mut blocks = Vec::new();
    let elements = content
        .elements()
        .map_err(|fault| fault.blame(Blame::Upstream))?;
    for raw in elements {
        let block = raw
            .as_object()
            .map_err(|fault| fault.blame(Blame::Upstream))?;
        if let Some(block) = read_block(block, warnings) {
            blocks.push(block);
        }
    }
    Ok(Reply {
        start: Start {
            id: text_at(&body, "id"),
            model: text_at(&body, "model"),
            created: None,
            tier,
        },
        blocks,
        usage: counts.totals(),
        finish,
    })
}

#[cold]
fn no_answer(member: &str) -> Error {
    Error::upstream(
        Kind::BadReply,
        format!("the upstream's answer has no {member}"),
    )
}

fn read_block<'a>(mut block: Object<'a>, warnings: &mut Warnings) -> Option<Block<'a>> {
    let kind = block.get("type")?.as_str()?;
    let text = |key: &str| text_at(&block, key).unwrap_or_default();
    match kind.as_ref() {
        "text" => {
            let text = text("text");
            let citations = take::raw(&mut block, "citations").and_then(|raw| raw.elements().ok());
            let annotations = citations.into_iter().flatten().filter_map(citation);
            let annotations: Vec<_> = annotations.collect();
            let says_something = !text.is_empty() || !annotations.is_empty();
            says_something.then(|| Block::Text {
                text,
                annotations,
                logprobs: String::new(),
            })
        }
        "thinking" => Some(Block::Reasoning {
            text: text("thinking"),
            proof: native_proof(text("signature"), false),
        }),
        "redacted_thinking" => Some(Block::Reasoning {
            text: Text::EMPTY,
            proof: native_proof(text("data"), true),
        }),
        "tool_use" => Some(Block::Call {
            head: Opened {
                id: text("id"),
                kind: CallKind::Function,
                name: text("name"),
                namespace: None,
            },
            arguments: match take::raw(&mut block, "input") {
                // Some compatible servers send the text of the object instead.
                Some(raw) if raw.kind() == JsonKind::String => Text::of(raw)?,
                Some(raw) => Text::plain(raw.text()),
                None => Text::constant("{}"),
            },
            whole: true,
        }),
        "server_tool_use" | "mcp_tool_use" => {
            let called = text("name");
            let input = block.get("input").unwrap_or(Raw::NULL);
            Some(Block::Hosted(Hosted {
                name: Text::owned(kind.clone().into_owned()),
                id: text_at(&block, "id"),
                query: search_query(&called, input),
            }))
        }
        // What was found is in the text that cites it.
        "web_search_tool_result" => None,
        other => {
            warnings.add(other, "dropped");
            None
        }
    }
}

/// Writes the answer.
///
/// # Errors
/// The arguments of a call are no JSON object.
pub fn write(
    reply: &Reply<'_>,
    cx: &Context,
    made: &Made,
    warnings: &mut Warnings,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let refused = reply
        .blocks
        .iter()
        .any(|block| matches!(block, Block::Refusal(_)));
    let mut broken = false;
    Members::object(out, |m| {
        write_id(reply, made, m.key("id"));
        m.raw("type", "\"message\"").raw("role", "\"assistant\"");
        m.text("model", &cx.model);
        m.array("content", |list| {
            for block in &reply.blocks {
                broken |= !write_block(block, reply.finish.reason, list, warnings);
            }
        });
        ending::write(&reply.finish, reply.calls(), refused, m);
        let usage = reply.usage.unwrap_or_default();
        m.nested("usage", |m| {
            counts::write(&usage, m);
            write_tier(&reply.start, m);
        });
    });
    if broken {
        return Err(broken_arguments());
    }
    Ok(())
}

/// `msg_` and the tail of the upstream's id, so that the two can be found together in logs; else an id of ours.
fn write_id(reply: &Reply<'_>, made: &Made, out: &mut Vec<u8>) {
    const PREFIX: &str = "msg_";
    let upstream = reply.start.id.as_ref().map(Text::decode);
    let tail = upstream
        .as_deref()
        .and_then(|id| id.split_once(['_', '-']))
        .map_or("", |(_, tail)| tail);
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    out.push(b'"');
    if (8..=64).contains(&tail.len()) && tail.bytes().all(fine) {
        out.extend_from_slice(PREFIX.as_bytes());
        out.extend_from_slice(tail.as_bytes());
    } else {
        made.write_id(PREFIX, 0, out);
    }
    out.push(b'"');
}

/// The error for arguments that are no JSON object: a client of this protocol cannot be given them (protocols.md 7.5).
#[cold]
pub(super) fn broken_arguments() -> Error {
    Error::upstream(Kind::BadReply, "invalid tool arguments from upstream")
}

/// `service_tier`, if the upstream named one.
pub(super) fn write_tier(start: &Start<'_>, m: &mut Members<'_>) {
    if let Some(tier) = &start.tier {
        let paid = tier.is("priority") || tier.is("fast");
        m.str("service_tier", if paid { "priority" } else { "standard" });
    }
}

/// False: its arguments are broken. A call that was cut at the output limit is left out instead.
fn write_block(
    block: &Block<'_>,
    reason: Reason,
    list: &mut Elements<'_>,
    warnings: &mut Warnings,
) -> bool {
    match block {
        // Claude refuses a history with a text of nothing but blanks, and other models write one before each call.
        Block::Text { text, .. } | Block::Refusal(text) if text.is_blank() => {}
        Block::Text { text, .. } | Block::Refusal(text) => {
            list.object(|m| {
                m.str("type", "text").text("text", text);
            });
        }
        Block::Reasoning { text, proof: None } if text.is_empty() => {}
        Block::Reasoning { text, proof } => {
            list.object(|m| write_reasoning(text, proof.as_ref(), m));
        }
        Block::Call { whole: false, .. } => warnings.add("tool_use", "cut"),
        Block::Call {
            head, arguments, ..
        } => {
            let Some(input) = input_of(arguments) else {
                if reason != Reason::Length {
                    return false;
                }
                warnings.add("tool_use", "cut");
                return true;
            };
            list.object(|m| {
                m.str("type", "tool_use").text("id", &head.id);
                m.text("name", &head.name).raw("input", &input);
            });
        }
        // Claude's editors cannot show another vendor's search.
        Block::Hosted(_) => {}
    }
    true
}

fn write_reasoning(text: &Text<'_>, proof: Option<&Proof<'_>>, m: &mut Members<'_>) {
    match proof {
        Some(proof) if proof.owner == Owner::Messages && proof.redacted => {
            m.str("type", "redacted_thinking")
                .text("data", &proof.value);
        }
        proof => {
            m.str("type", "thinking").text("thinking", text);
            match proof {
                Some(proof) => m.text("signature", &signature(proof)),
                None => m.text("signature", &carrier::NO_PROOF),
            };
        }
    }
}

#[cfg(test)]
mod tests;
