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
    let envelope = Envelope {
        id: made.id("resp_", 0),
        created: reply.start.created.unwrap_or(made.now_unix_s),
        status,
        error: None,
        incomplete,
        output: b"",
        usage: Some(reply.usage.unwrap_or_default()),
        tier: reply.start.tier.as_ref(),
    };
    envelope.write_with(cx, out, |out| items(reply, status, made, warnings, out));
    Ok(())
}

/// The items of an answer that ended with that status, joined by commas.
fn items(reply: &Reply<'_>, status: &str, made: &Made, warnings: &mut Warnings, out: &mut Vec<u8>) {
    let begin = out.len();
    let comma = |out: &mut Vec<u8>| {
        if out.len() > begin {
            out.push(b',');
        }
    };
    let mut number = 0;
    let mut fresh = |prefix: &str| {
        number += 1;
        made.id(prefix, number)
    };
    let mut rest = reply.blocks.as_slice();
    while let Some(block) = rest.first() {
        let run = rest.iter().take_while(|block| is_said(block)).count();
        if run > 0 {
            let (said, after) = rest.split_at(run);
            rest = after;
            if said.iter().any(says_something) {
                comma(out);
                let status = if rest.is_empty() { status } else { "completed" };
                let id = fresh("msg_");
                let id = |out: &mut Vec<u8>| out.extend_from_slice(id.as_bytes());
                output::message_with(id, status, out, |out| parts(said, out));
            }
            continue;
        }
        match block {
            Block::Reasoning { text, proof } => {
                let proof = proof.as_ref().and_then(output::encrypted);
                if !text.is_empty() || proof.is_some() {
                    comma(out);
                    output::reasoning(&fresh("rs_"), text.as_escaped(), proof.as_ref(), out);
                }
            }
            Block::Call {
                head,
                arguments,
                whole,
            } => {
                comma(out);
                let status = if *whole { "completed" } else { "incomplete" };
                let arguments = match arguments.as_escaped() {
                    "" if *whole && head.kind != CallKind::Custom => "{}",
                    arguments => arguments,
                };
                let id = fresh(output::call_prefix(head.kind));
                let typed = match head.kind {
                    CallKind::Builtin(kind) if *whole => {
                        output::builtin(&id, status, kind, head, arguments, out)
                    }
                    _ => false,
                };
                if !typed {
                    output::call(&id, status, head, arguments, out);
                }
            }
            Block::Hosted(hosted) if output::is_web_search(hosted) => {
                comma(out);
                output::web_search(&fresh("ws_"), "completed", hosted, out);
            }
            Block::Hosted(hosted) => warnings.add(hosted.name.decode(), "dropped"),
            Block::Text { .. } | Block::Refusal(_) => {}
        }
        rest = &rest[1..];
    }
}

fn is_said(block: &Block<'_>) -> bool {
    matches!(block, Block::Text { .. } | Block::Refusal(_))
}

/// Empty texts are no parts of a message.
fn says_something(block: &Block<'_>) -> bool {
    match block {
        Block::Text {
            text, annotations, ..
        } => !text.is_empty() || !annotations.is_empty(),
        Block::Refusal(text) => !text.is_empty(),
        _ => false,
    }
}

/// Adjacent texts are parts of one message.
fn parts(said: &[Block<'_>], out: &mut Vec<u8>) {
    let begin = out.len();
    for block in said.iter().filter(|block| says_something(block)) {
        if out.len() > begin {
            out.push(b',');
        }
        let mut part = output::Part::default();
        match block {
            Block::Text {
                text,
                annotations,
                logprobs,
            } => {
                let end = if annotations.is_empty() {
                    0
                } else {
                    text.chars()
                };
                for annotation in annotations {
                    part.annotate(annotation, end);
                }
                if !logprobs.is_empty() {
                    part.odds(&format!("[{logprobs}]"));
                }
                part.write_of(text.as_escaped(), out);
            }
            Block::Refusal(text) => {
                part.refusal = true;
                part.write_of(text.as_escaped(), out);
            }
            _ => {}
        }
    }
}
