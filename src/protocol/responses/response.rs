//! Whole answers: the response object, both ways (protocols.md 2.3, 7).

use super::output::{self, Envelope};
use super::stream::Reader;
use crate::error::Error;
use crate::protocol::context::Context;
use crate::protocol::gather::Gather;
use crate::protocol::neutral::{Block, CallKind, Reply};
use crate::protocol::{Made, Warnings, in_stream, says_error, truncated};
use crate::wire::json::Object;

/// Reads an upstream's answer.
///
/// # Errors
/// It says that it failed, or is not complete.
pub fn read<'a>(body: Object<'a>, cx: &Context, _: &mut Warnings) -> Result<Reply<'a>, Error> {
    if let Some(error) = says_error(&body) {
        return Err(in_stream(error));
    }
    // The last event of a stream holds the same object, and is read alike.
    let mut gather = Gather::default();
    Reader::new(cx).response(&body, &mut |keyed| gather.take(&keyed.event))?;
    gather.reply().ok_or_else(truncated)
}

/// Writes an answer for a client.
///
/// # Errors
/// None today: everything an answer can hold has a place in Responses.
pub fn write(
    reply: &Reply<'_>,
    cx: &Context,
    made: &Made,
    warnings: &mut Warnings,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let (status, incomplete) = output::ended(&reply.finish);
    let mut items = Vec::new();
    let mut number = 0;
    let mut fresh = |prefix: &str| {
        number += 1;
        made.id(prefix, number)
    };
    let mut rest = reply.blocks.as_slice();
    while let Some(block) = rest.first() {
        let run = rest.iter().take_while(|block| is_said(block)).count();
        if run > 0 {
            let last = run == rest.len();
            message(
                &rest[..run],
                if last { status } else { "completed" },
                &mut fresh,
                &mut items,
            );
            rest = &rest[run..];
            continue;
        }
        match block {
            Block::Reasoning { text, proof } => {
                let proof = proof.as_ref().and_then(output::encrypted);
                if !text.is_empty() || proof.is_some() {
                    comma(&mut items);
                    output::reasoning(&fresh("rs_"), text.as_escaped(), proof.as_ref(), &mut items);
                }
            }
            Block::Call {
                head,
                arguments,
                whole,
            } => {
                comma(&mut items);
                let status = if *whole { "completed" } else { "incomplete" };
                let arguments = match arguments.as_escaped() {
                    "" if *whole && head.kind != CallKind::Custom => "{}",
                    arguments => arguments,
                };
                let id = fresh(output::call_prefix(head.kind));
                let typed = match head.kind {
                    CallKind::Builtin(kind) if *whole => {
                        output::builtin(&id, status, kind, head, arguments, &mut items)
                    }
                    _ => false,
                };
                if !typed {
                    output::call(&id, status, head, arguments, &mut items);
                }
            }
            Block::Hosted(hosted) if output::is_web_search(hosted) => {
                comma(&mut items);
                output::web_search(&fresh("ws_"), "completed", hosted, &mut items);
            }
            Block::Hosted(hosted) => warnings.add(hosted.name.decode(), "dropped"),
            Block::Text { .. } | Block::Refusal(_) => {}
        }
        rest = &rest[1..];
    }
    Envelope {
        id: made.id("resp_", 0),
        created: reply.start.created.unwrap_or(made.now_unix_s),
        status,
        error: None,
        incomplete,
        output: &items,
        usage: Some(reply.usage.unwrap_or_default()),
        tier: reply.start.tier.as_ref(),
    }
    .write(cx, out);
    Ok(())
}

fn is_said(block: &Block<'_>) -> bool {
    matches!(block, Block::Text { .. } | Block::Refusal(_))
}

fn comma(items: &mut Vec<u8>) {
    if !items.is_empty() {
        items.push(b',');
    }
}

/// Adjacent texts are parts of one message; empty ones are none.
fn message(
    blocks: &[Block<'_>],
    status: &str,
    fresh: &mut impl FnMut(&str) -> String,
    items: &mut Vec<u8>,
) {
    let mut parts = Vec::new();
    for block in blocks {
        let mut part = output::Part::default();
        match block {
            Block::Text {
                text,
                annotations,
                logprobs,
            } => {
                part.text = text.as_escaped().to_owned();
                let end = if annotations.is_empty() {
                    0
                } else {
                    part.chars()
                };
                for annotation in annotations {
                    part.annotate(annotation, end);
                }
                part.odds(&format!("[{logprobs}]"));
            }
            Block::Refusal(text) => {
                part.refusal = true;
                part.text = text.as_escaped().to_owned();
            }
            _ => continue,
        }
        if !part.text.is_empty() || part.annotated > 0 {
            comma(&mut parts);
            part.write(&mut parts);
        }
    }
    if !parts.is_empty() {
        comma(items);
        output::message(&fresh("msg_"), status, &parts, items);
    }
}
