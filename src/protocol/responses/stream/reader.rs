//! Reads the events of a Responses upstream. Routes by item id, then by output index, never by "the current item"; a `done`
//! event is a snapshot, of which only what was not sent before goes on (protocols.md 8.3). The last event's response is read
//! like a row of such snapshots, and so is a whole answer.

mod items;
mod units;

use crate::error::{Error, Fault, Kind};
use crate::protocol::context::Context;
use crate::protocol::neutral::{Event, Finish, Keyed, Reason, Sink, Start, Usage};
use crate::protocol::pattern::Told;
use crate::protocol::text::Text;
use crate::protocol::{in_stream, is_error, says_error, truncated};
use crate::wire::json::{self, Object, Raw, Walk};
use crate::wire::sse;
use items::{Items, Part, Place, Slot};

/// Reads one answer's stream.
pub struct Reader {
    started: bool,
    finished: bool,
    items: Items,
    /// Where the last delta was added.
    place: Place,
}

/// The members of an event that matter.
struct Said<'a> {
    /// All of it.
    whole: Raw<'a>,
    kind: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
    message: Option<Raw<'a>>,
    response: Option<Raw<'a>>,
    item: Option<Raw<'a>>,
    part: Option<Raw<'a>>,
    annotation: Option<Raw<'a>>,
    item_id: Option<Raw<'a>>,
    output_index: Option<Raw<'a>>,
    content_index: Option<Raw<'a>>,
    summary_index: Option<Raw<'a>>,
    delta: Option<Raw<'a>>,
    sequence: Option<Raw<'a>>,
    padding: Option<Raw<'a>>,
    logprobs: Option<Raw<'a>>,
    text: Option<Raw<'a>>,
    refusal: Option<Raw<'a>>,
    arguments: Option<Raw<'a>>,
    input: Option<Raw<'a>>,
}

impl<'a> Said<'a> {
    fn of(data: &'a [u8]) -> Result<Said<'a>, Fault> {
        let mut walk = Walk::parse(data)?;
        let mut said = Said {
            whole: walk.whole(),
            kind: None,
            error: None,
            message: None,
            response: None,
            item: None,
            part: None,
            annotation: None,
            item_id: None,
            output_index: None,
            content_index: None,
            summary_index: None,
            delta: None,
            sequence: None,
            padding: None,
            logprobs: None,
            text: None,
            refusal: None,
            arguments: None,
            input: None,
        };
        while let Some((key, value)) = walk.next()? {
            let place = match key.as_ref() {
                "type" => &mut said.kind,
                "error" => &mut said.error,
                "message" => &mut said.message,
                "response" => &mut said.response,
                "item" => &mut said.item,
                "part" => &mut said.part,
                "annotation" => &mut said.annotation,
                "item_id" => &mut said.item_id,
                "output_index" => &mut said.output_index,
                "content_index" => &mut said.content_index,
                "summary_index" => &mut said.summary_index,
                "delta" => &mut said.delta,
                "sequence_number" => &mut said.sequence,
                "obfuscation" => &mut said.padding,
                "logprobs" => &mut said.logprobs,
                "text" => &mut said.text,
                "refusal" => &mut said.refusal,
                "arguments" => &mut said.arguments,
                "input" => &mut said.input,
                _ => continue,
            };
            *place = Some(value);
        }
        Ok(said)
    }

    /// The item it speaks of: its id and its number.
    fn place(&self) -> (Option<Text<'a>>, Option<u64>) {
        let id = self.item_id.and_then(Text::of);
        (id, self.output_index.and_then(Raw::as_u64))
    }
}

impl Reader {
    /// A reader at the start of an answer.
    pub fn new(_: &Context) -> Reader {
        Reader {
            started: false,
            finished: false,
            items: Items::default(),
            place: Place::default(),
        }
    }

    /// Reads one event of the stream. Answers the text it passed on, if that is all the event said.
    ///
    /// # Errors
    /// It is no event of this protocol, the upstream reports an error in it, or that of `out`.
    pub fn read<'e>(
        &mut self,
        event: sse::Event<'e>,
        out: &mut Sink<'_>,
    ) -> Result<Option<Told<'e>>, Error> {
        if self.finished || event.data.is_empty() || event.data == b"[DONE]" {
            return Ok(None);
        }
        let said = Said::of(event.data).map_err(|fault| {
            let message = format!(
                "an event of the upstream's stream is broken: {}",
                fault.message
            );
            Error::upstream(Kind::BadReply, message)
        })?;
        let kind = said.kind.and_then(Text::of);
        let named = std::str::from_utf8(event.name).unwrap_or_default();
        let kind = kind.as_ref().map_or(named, Text::as_escaped);
        if let Some(error) = said.error.filter(|error| is_error(*error)) {
            return Err(in_stream(error));
        }
        if kind == "error" {
            return Err(flat_error(&said));
        }
        let Some(kind) = kind.strip_prefix("response.") else {
            return Ok(None); // keepalive and what is not known
        };
        match kind {
            "created" | "in_progress" | "queued" => {
                self.start(object(said.response).as_ref(), out)?;
            }
            "completed" | "incomplete" | "failed" | "cancelled" => {
                if let Some(response) = object(said.response).or_else(|| object(Some(said.whole))) {
                    self.response(&response, out)?;
                }
            }
            _ => return self.part_event(kind, &said, out),
        }
        Ok(None)
    }

    /// The next event said this, and else the same as the one before.
    pub fn more(&mut self, text: &Text<'_>) {
        self.items.more(self.place, text);
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// Before its last event.
    pub fn end(&mut self, _: &mut Sink<'_>) -> Result<(), Error> {
        if self.finished {
            Ok(())
        } else {
            Err(truncated())
        }
    }

    fn start(&mut self, response: Option<&Object<'_>>, out: &mut Sink<'_>) -> Result<(), Error> {
        if let Some(error) = response.and_then(says_error) {
            return Err(in_stream(error));
        }
        if self.started {
            return Ok(());
        }
        self.started = true;
        let text = |key: &str| response.and_then(|response| Text::of(response.get(key)?));
        let created = response.and_then(|response| response.get("created_at"));
        emit(
            0,
            Event::Start(Start {
                id: text("id"),
                model: text("model"),
                // Some servers send fractions.
                created: created
                    .and_then(|raw| raw.as_u64().or(raw.as_f64().map(|at| at as u64)))
                    .filter(|&at| at > 0),
                tier: text("service_tier"),
            }),
            out,
        )
    }

    /// Answers the text it passed on, if that is all it said.
    fn part_event<'e>(
        &mut self,
        kind: &str,
        said: &Said<'e>,
        out: &mut Sink<'_>,
    ) -> Result<Option<Told<'e>>, Error> {
        let number = |raw: Option<Raw<'_>>| raw.and_then(Raw::as_u64).unwrap_or(0);
        let part = match kind {
            "output_text.delta" | "output_text.done" | "output_text.annotation.added" => {
                Slot::Said(Part::Text(number(said.content_index)))
            }
            "refusal.delta" | "refusal.done" => {
                Slot::Said(Part::Refusal(number(said.content_index)))
            }
            "content_part.done" => return self.content_part(said, out).map(|()| None),
            "reasoning_summary_text.delta"
            | "reasoning_summary_text.done"
            | "reasoning_summary_part.done" => {
                Slot::Thought(Part::Summary(number(said.summary_index)))
            }
            "reasoning_text.delta" | "reasoning_text.done" => {
                Slot::Thought(Part::Raw(number(said.content_index)))
            }
            "function_call_arguments.delta" | "function_call_arguments.done" => Slot::Call,
            "custom_tool_call_input.delta" | "custom_tool_call_input.done" => Slot::Call,
            "output_item.added" | "output_item.done" => {
                let Some(item) = object(said.item) else {
                    return Ok(None);
                };
                self.start(None, out)?;
                let index = said.output_index.and_then(Raw::as_u64);
                let noted = if kind == "output_item.added" {
                    self.items.added(&item, index, out)
                } else {
                    self.items.done(&item, index, out)
                };
                return noted.map(|()| None);
            }
            _ => return Ok(None),
        };
        self.start(None, out)?;
        let (id, index) = said.place();
        let items = &mut self.items;
        let at = items.find(id.as_ref(), index, part.kind())?;
        if kind == "output_text.annotation.added" {
            if let Some(annotation) = said.annotation {
                items.annotation(at, part, annotation, out)?;
            }
            return Ok(None);
        }
        if kind.ends_with(".delta") {
            let delta = said.delta.and_then(Text::of);
            let Some(delta) = delta.filter(|delta| !delta.is_empty()) else {
                return Ok(None);
            };
            let odds = said.logprobs.and_then(logprobs);
            let place = items.delta(at, part, delta, odds, out)?;
            return Ok(match (place, odds, said.delta) {
                (Some(place), None, Some(text)) => {
                    self.place = place;
                    Some(Told {
                        block: place.key,
                        inside: part.inside(),
                        text,
                        number: said.sequence,
                        padding: said.padding,
                    })
                }
                _ => None,
            });
        }
        let snapshot = match kind {
            "refusal.done" => said.refusal.and_then(Text::of),
            "function_call_arguments.done" => said.arguments.and_then(Text::of),
            "custom_tool_call_input.done" => said.input.and_then(Text::of),
            "reasoning_summary_part.done" => inner_text(said.part),
            _ => said.text.and_then(Text::of),
        };
        if let Some(snapshot) = snapshot {
            items.snapshot(at, part, snapshot, out)?;
        }
        Ok(None)
    }

    fn content_part(&mut self, said: &Said<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
        let Some(part) = object(said.part) else {
            return Ok(());
        };
        self.start(None, out)?;
        let (id, index) = said.place();
        let number = said.content_index.and_then(Raw::as_u64).unwrap_or(0);
        self.items.part_done(id.as_ref(), index, number, &part, out)
    }

    /// Reads a finished response: the one of the last event, or a whole answer.
    ///
    /// # Errors
    /// It failed, it is not finished, or that of `out`.
    pub fn response(&mut self, response: &Object<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
        if let Some(error) = says_error(response) {
            return Err(in_stream(error));
        }
        let status = response.get("status").and_then(Text::of);
        let status = status.as_ref().map(Text::as_escaped);
        let reason = match status {
            Some("completed") => Reason::Done,
            Some("incomplete") => incomplete(response),
            Some("failed" | "cancelled") => {
                let message = "the upstream's answer failed without a reason";
                return Err(Error::upstream(Kind::BadReply, message));
            }
            // Some servers leave the status out of whole answers.
            None if response.get("output").is_some() => Reason::Done,
            Some(_) | None => {
                let message = "the upstream answered with a response that is not finished";
                return Err(Error::upstream(Kind::BadReply, message));
            }
        };
        self.start(Some(response), out)?;
        if let Some(output) = response.get("output").and_then(|raw| raw.elements().ok()) {
            for (at, item) in output.enumerate() {
                if let Ok(item) = item.as_object() {
                    self.items.listed(&item, at as u64, out)?;
                }
            }
        }
        if let Some(usage) = usage(response) {
            emit(0, Event::Usage(usage), out)?;
        }
        self.finished = true;
        emit(0, Event::Finish(Finish::of(reason)), out)
    }
}

fn emit(block: u32, event: Event<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
    out(Keyed { block, event })
}

fn object<'a>(raw: Option<Raw<'a>>) -> Option<Object<'a>> {
    raw?.as_object().ok()
}

fn inner_text<'a>(part: Option<Raw<'a>>) -> Option<Text<'a>> {
    Text::of(part?.as_object().ok()?.get("text")?)
}

/// Log probabilities, where there are any. They are pasted by whoever writes them, so they must be JSON to the last leaf.
fn logprobs(raw: Raw<'_>) -> Option<Raw<'_>> {
    raw.elements().ok()?.next()?;
    json::validate(raw.text().as_bytes()).ok()?;
    Some(raw)
}

/// OpenAI's own `error` event has code and message beside its type.
fn flat_error(said: &Said<'_>) -> Error {
    if said.message.is_none() {
        return Error::upstream(
            Kind::BadReply,
            "the upstream reported an error without a message",
        );
    }
    in_stream(said.whole)
}

fn incomplete(response: &Object<'_>) -> Reason {
    let details = response.get("incomplete_details");
    let details = details.and_then(|raw| raw.as_object().ok());
    let reason = details.and_then(|details| Text::of(details.get("reason")?));
    match reason {
        Some(reason) if reason.is("content_filter") => Reason::Filtered,
        _ => Reason::Length,
    }
}

/// The totals of a response.
pub fn usage(response: &Object<'_>) -> Option<Usage> {
    let usage = response.get("usage")?.as_object().ok()?;
    let number = |key: &str| usage.get(key).and_then(Raw::as_u64);
    let detail = |group: &str, key: &str| {
        let group = usage.get(group)?.as_object().ok()?;
        group.get(key)?.as_u64()
    };
    let input = number("input_tokens").unwrap_or(0);
    let output = number("output_tokens").unwrap_or(0);
    // Where reasoning is counted beside the answer (xAI), the total says so.
    let total = number("total_tokens").unwrap_or(0);
    Some(Usage {
        input,
        cached: detail("input_tokens_details", "cached_tokens").unwrap_or(0),
        cache_write: detail("input_tokens_details", "cache_write_tokens").unwrap_or(0),
        output: output.max(total.saturating_sub(input)),
        reasoning: detail("output_tokens_details", "reasoning_tokens"),
    })
}

#[cfg(test)]
mod tests;
