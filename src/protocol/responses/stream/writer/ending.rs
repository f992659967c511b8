//! How a block ends: the sums of its deltas, the item it was, kept for the last event. What was cut inside is told by nothing
//! but its place in that event.

use super::frame::{self, delta, head, route, sum, summary_part};
use super::{Block, Writer, cite, delta_kind};
use crate::protocol::neutral::{CallKind, Hosted, Opened};
use crate::protocol::render::Members;
use crate::protocol::responses::output::{self, Part};
use crate::protocol::text::Text;

impl Writer {
    /// Ends the open block; `whole` false: it was cut inside.
    pub(super) fn close(&mut self, whole: bool, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.open, Block::None) {
            Block::Said {
                mut part,
                announced: true,
                route,
            } => {
                self.cite_waiting(&mut part, &route, out);
                self.close_part(&part, &route, out);
            }
            Block::Reasoning {
                id,
                index,
                announced: true,
                text,
                proof,
                route,
            } => {
                if !text.is_empty() {
                    let name = "response.reasoning_summary_text.done";
                    sum(out, &mut self.sequence, name, &route, "text", &text, b"");
                    let name = "response.reasoning_summary_part.done";
                    summary_part(out, &mut self.sequence, name, &route, &text);
                }
                self.done(index, out, |out| {
                    output::reasoning(&id, &text, proof.as_ref(), out);
                });
            }
            Block::Call {
                id,
                index,
                head,
                arguments,
                route,
            } if whole => self.close_call(&id, index, &head, arguments, &route, out),
            Block::Call {
                id,
                head,
                arguments,
                ..
            } => {
                if !matches!(head.kind, CallKind::Builtin(_)) {
                    self.keep(|out| output::call(&id, "incomplete", &head, &arguments, out));
                }
            }
            Block::Hosted(hosted) if output::is_web_search(&hosted) => {
                self.web_search(&hosted, out)
            }
            Block::Said { .. } | Block::Reasoning { .. } | Block::Hosted(_) | Block::None => {}
        }
    }

    /// Tells of what cites all of a text, now that it is known.
    fn cite_waiting(&mut self, part: &mut Part, route: &[u8], out: &mut Vec<u8>) {
        let waiting = std::mem::take(&mut part.waiting);
        if waiting.is_empty() {
            return;
        }
        part.waiting_bytes = 0;
        let end = part.chars();
        for annotation in &waiting {
            cite(part, annotation, end, route, &mut self.sequence, out);
        }
    }

    fn close_part(&mut self, part: &Part, route: &[u8], out: &mut Vec<u8>) {
        if part.refusal {
            let name = "response.refusal.done";
            sum(
                out,
                &mut self.sequence,
                name,
                route,
                "refusal",
                &part.text,
                b"",
            );
        } else {
            let odds = format!(",\"logprobs\":[{}]", part.logprobs);
            let name = "response.output_text.done";
            let tail = odds.as_bytes();
            sum(
                out,
                &mut self.sequence,
                name,
                route,
                "text",
                &part.text,
                tail,
            );
        }
        head(out, &mut self.sequence, "response.content_part.done");
        out.extend_from_slice(route);
        part.write(Members::resume(out, false).key("part"));
        out.extend_from_slice(b"}\n\n");
        if let Some(message) = &mut self.message {
            if !message.parts.is_empty() {
                message.parts.push(b',');
            }
            part.write(&mut message.parts);
            message.count += 1;
        }
    }

    fn close_call(
        &mut self,
        id: &str,
        index: u64,
        call: &Opened<'_>,
        mut arguments: String,
        route: &[u8],
        out: &mut Vec<u8>,
    ) {
        if arguments.is_empty() && call.kind != CallKind::Custom {
            // A call without arguments is one with none of them, in JSON.
            arguments.push_str("{}");
            if let Some(kind) = delta_kind(call.kind) {
                let none = Text::constant("{}");
                delta(out, &mut self.sequence, kind, route, &none, frame::TAIL);
            }
        }
        let (name, key) = match call.kind {
            CallKind::Custom => ("response.custom_tool_call_input.done", "input"),
            CallKind::Function => ("response.function_call_arguments.done", "arguments"),
            CallKind::Builtin(builtin) => {
                let index = self.items;
                self.items += 1;
                let mut item = Vec::new();
                if output::builtin(id, "in_progress", builtin, call, &arguments, &mut item) {
                    self.added(index, out, |out| out.extend_from_slice(&item));
                    self.done(index, out, |out| {
                        output::builtin(id, "completed", builtin, call, &arguments, out);
                    });
                } else {
                    self.added(index, out, |out| {
                        output::call(id, "in_progress", call, "", out)
                    });
                    self.done(index, out, |out| {
                        output::call(id, "completed", call, &arguments, out);
                    });
                }
                return;
            }
        };
        sum(out, &mut self.sequence, name, route, key, &arguments, b"");
        self.done(index, out, |out| {
            output::call(id, "completed", call, &arguments, out);
        });
    }

    fn web_search(&mut self, hosted: &Hosted<'_>, out: &mut Vec<u8>) {
        let id = self.fresh("ws_");
        let index = self.items;
        self.items += 1;
        self.added(index, out, |out| {
            output::web_search(&id, "in_progress", hosted, out);
        });
        let route = route(&id, index, None);
        for name in [
            "response.web_search_call.in_progress",
            "response.web_search_call.searching",
            "response.web_search_call.completed",
        ] {
            head(out, &mut self.sequence, name);
            out.extend_from_slice(&route);
            out.extend_from_slice(b"}\n\n");
        }
        self.done(index, out, |out| {
            output::web_search(&id, "completed", hosted, out);
        });
    }

    pub(super) fn end_message(&mut self, status: &str, out: &mut Vec<u8>) {
        if let Some(message) = self.message.take() {
            self.done(message.index, out, |out| {
                output::message(&message.id, status, &message.parts, out);
            });
        }
    }
}
