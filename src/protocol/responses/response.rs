//! Whole answers: the response object, both ways (protocols.md 2.3, 7).

use super::output::{self, Envelope};
use super::stream::Reader;
use crate::error::Error;
use crate::protocol::context::Context;
use crate::protocol::gather::Gather;
use crate::protocol::neutral::{Block, CallKind, Reply};
use crate::protocol::{Made, Warnings, Written, in_stream, says_error, truncated};
use crate::wire::json::Object;
use std::ops::Range;

/// Where an id begins in the object that it is the first member of: behind `{"id":"`.
const ID_AT: usize = 7;

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
    out: &mut Written,
) -> Result<(), Error> {
    let Written { body, places } = out;
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
    if cx.keeps {
        let begin = body.len() + ID_AT;
        places.id = begin..begin + envelope.id.len();
    }
    envelope.write_with(cx, body, |out| {
        let mut items = Items {
            made,
            places: &mut places.items,
            keeps: cx.keeps,
            number: 0,
            out,
        };
        items.write(reply, status, warnings);
    });
    Ok(())
}

/// The output items of an answer, joined by commas.
struct Items<'o> {
    made: &'o Made,
    places: &'o mut Vec<[Range<usize>; 2]>,
    /// Whether their places are noted.
    keeps: bool,
    number: u64,
    out: &'o mut Vec<u8>,
}

impl Items<'_> {
    /// Adds an item whose id begins with `prefix`; `write` appends it, its id as the first member.
    fn add(&mut self, prefix: &str, write: impl FnOnce(&str, &mut Vec<u8>)) {
        if self.number > 0 {
            self.out.push(b',');
        }
        self.number += 1;
        let id = self.made.id(prefix, self.number);
        let start = self.out.len();
        write(&id, self.out);
        if self.keeps {
            let id_at = start + ID_AT;
            let place = [start..self.out.len(), id_at..id_at + id.len()];
            self.places.push(place);
        }
    }

    /// Those of an answer that ended with that status.
    fn write(&mut self, reply: &Reply<'_>, status: &str, warnings: &mut Warnings) {
        let mut rest = reply.blocks.as_slice();
        while let Some(block) = rest.first() {
            let run = rest.iter().take_while(|block| is_said(block)).count();
            if run > 0 {
                let (said, after) = rest.split_at(run);
                rest = after;
                if said.iter().any(says_something) {
                    let status = if rest.is_empty() { status } else { "completed" };
                    self.add("msg_", |id, out| {
                        output::message_with(id, status, out, |out| parts(said, out));
                    });
                }
                continue;
            }
            self.item(block, warnings);
            rest = &rest[1..];
        }
    }

    fn item(&mut self, block: &Block<'_>, warnings: &mut Warnings) {
        match block {
            Block::Reasoning { text, proof } => {
                let proof = proof.as_ref().and_then(output::encrypted);
                if !text.is_empty() || proof.is_some() {
                    let shown = text.as_escaped();
                    self.add("rs_", |id, out| {
                        output::reasoning(id, shown, proof.as_ref(), out);
                    });
                }
            }
            Block::Call {
                head,
                arguments,
                whole,
            } => {
                let status = if *whole { "completed" } else { "incomplete" };
                let arguments = match arguments.as_escaped() {
                    "" if *whole && head.kind != CallKind::Custom => "{}",
                    arguments => arguments,
                };
                self.add(output::call_prefix(head.kind), |id, out| {
                    let typed = match head.kind {
                        CallKind::Builtin(kind) if *whole => {
                            output::builtin(id, status, kind, head, arguments, out)
                        }
                        _ => false,
                    };
                    if !typed {
                        output::call(id, status, head, arguments, out);
                    }
                });
            }
            Block::Hosted(hosted) if output::is_web_search(hosted) => {
                self.add("ws_", |id, out| {
                    output::web_search(id, "completed", hosted, out);
                });
            }
            Block::Hosted(hosted) => warnings.add(hosted.name.decode(), "dropped"),
            Block::Text { .. } | Block::Refusal(_) => {}
        }
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
