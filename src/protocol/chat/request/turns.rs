//! The conversation for a Chat upstream (protocols.md 5.1 to 5.3): one message per turn, results directly behind their calls,
//! pictures of results in the user message after them.

use super::super::details;
use crate::error::Error;
use crate::protocol::Protocol;
use crate::protocol::caps::{Caps, Echo, Prefill, ReasoningField, Vendor};
use crate::protocol::neutral::flat_result;
use crate::protocol::neutral::{
    Cache, Call, CallKind, Owner, Part, Reasoning, Request, Role, Source, ToolResult, Turn,
};
use crate::protocol::refusal::refuse;
use crate::protocol::render::{Elements, Members};
use crate::protocol::text::Text;

const SEE_BELOW: Text<'static> = Text::constant("[image returned, see next message]");

/// A conversation that was found to be writable.
pub(super) struct Messages<'r, 'a> {
    request: &'r Request<'a>,
    caps: &'r Caps,
    /// The first turn of the tool loop that is still open: from here on thoughts may have to be echoed.
    loop_start: usize,
}

impl<'r, 'a> Messages<'r, 'a> {
    /// Checks each part, so that writing has no errors.
    pub(super) fn of(request: &'r Request<'a>, caps: &'r Caps) -> Result<Messages<'r, 'a>, Error> {
        for part in request.turns.iter().flat_map(|turn| &turn.parts) {
            check(request, caps, part)?;
            if let Part::Result(result) = part {
                result
                    .parts
                    .iter()
                    .try_for_each(|part| check(request, caps, part))?;
            }
        }
        let asks = |turn: &Turn<'_>| {
            turn.role == Role::User
                && turn
                    .parts
                    .iter()
                    .any(|part| !matches!(part, Part::Result(_)))
        };
        Ok(Messages {
            request,
            caps,
            loop_start: request.turns.iter().rposition(asks).unwrap_or(0),
        })
    }

    /// Writes `messages`, and the flags a prefilled answer needs.
    pub(super) fn write(&self, m: &mut Members<'_>) {
        m.array("messages", |list| {
            self.system(list);
            for (at, turn) in self.request.turns.iter().enumerate() {
                match turn.role {
                    Role::System => self.late_system(turn, list),
                    Role::Assistant => self.assistant(at, turn, list),
                    Role::User => self.user(turn, list),
                }
            }
        });
        if is_prefilled(self.request) && self.caps.prefill == Prefill::ContinueFinalMessage {
            m.bool("continue_final_message", true)
                .bool("add_generation_prompt", false);
        }
    }

    fn system_role(&self) -> &'static str {
        if self.caps.roles_developer {
            "developer"
        } else {
            "system"
        }
    }

    fn system(&self, list: &mut Elements<'_>) {
        let system = &self.request.system;
        if system.is_empty() {
            return;
        }
        let role = self.system_role();
        if !self.caps.system_parts {
            // Many templates know one system message, at the front, and no arrays in it.
            let text = Text::join(system.iter().map(|system| &system.text), "\n\n");
            list.object(|m| {
                m.str("role", role).text("content", &text);
            });
        } else if self.request.from == Protocol::Messages
            && (system.len() > 1 || self.marks(system[0].cache))
        {
            list.object(|m| {
                m.str("role", role).array("content", |parts| {
                    for system in system {
                        parts.object(|m| {
                            m.str("type", "text").text("text", &system.text);
                            self.mark(system.cache, m);
                        });
                    }
                });
            });
        } else {
            for system in system {
                list.object(|m| {
                    m.str("role", role).text("content", &system.text);
                });
            }
        }
    }

    fn late_system(&self, turn: &Turn<'_>, list: &mut Elements<'_>) {
        for part in &turn.parts {
            if let Part::Text(part) = part {
                list.object(|m| {
                    m.str("role", self.system_role())
                        .text("content", &part.text);
                });
            }
        }
    }

    fn assistant(&self, at: usize, turn: &Turn<'_>, list: &mut Elements<'_>) {
        let texts: Vec<&Text<'_>> = turn
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(part) => Some(&part.text),
                Part::Refusal(text) if !self.caps.labels => Some(text),
                _ => None,
            })
            .collect();
        let refusals = turn.parts.iter().filter_map(|part| match part {
            Part::Refusal(text) if self.caps.labels => Some(text),
            _ => None,
        });
        let refusal = Text::join(refusals, "");
        let calls = turn.parts.iter().any(|part| matches!(part, Part::Call(_)));
        let thoughts = turn.parts.iter().filter_map(|part| match part {
            Part::Reasoning(reasoning) if !reasoning.text.is_empty() => Some(&reasoning.text),
            _ => None,
        });
        let thought = Text::join(thoughts, "\n\n");
        let proven = turn
            .parts
            .iter()
            .any(|part| matches!(part, Part::Reasoning(Reasoning { proof: Some(proof), .. }) if proof.owner == Owner::Chat));
        // Kimi misses it in each message with calls, DeepSeek in those of the loop that is open.
        let wanted = at >= self.loop_start || self.caps.vendor == Vendor::Kimi;
        let echo = calls && self.caps.reasoning_echo == Echo::Required && wanted;
        list.object(|m| {
            m.str("role", "assistant");
            let in_content = self.caps.reasoning_field_in == ReasoningField::ContentThinking
                && !thought.is_empty();
            if in_content {
                m.array("content", |parts| {
                    content_with_thought(&thought, &texts, parts)
                });
            } else if texts.is_empty() && (calls || !refusal.is_empty()) {
                m.null("content");
            } else {
                m.texts("content", &texts);
            }
            if !in_content && (echo || !thought.is_empty() || proven) {
                self.thought(turn, &thought, m);
            }
            if !refusal.is_empty() {
                m.text("refusal", &refusal);
            }
            if calls {
                m.array("tool_calls", |list| self.calls(turn, list));
            }
            let last = at + 1 == self.request.turns.len();
            if last
                && self.caps.prefill == Prefill::Prefix
                && self.request.from == Protocol::Messages
            {
                m.bool("prefix", true);
            }
        });
    }

    fn thought(&self, turn: &Turn<'_>, thought: &Text<'_>, m: &mut Members<'_>) {
        match self.caps.reasoning_field_in {
            ReasoningField::Content => {
                m.text("reasoning_content", thought);
            }
            ReasoningField::Reasoning => {
                m.text("reasoning", thought);
            }
            ReasoningField::Details => {
                m.array("reasoning_details", |list| {
                    for part in &turn.parts {
                        if let Part::Reasoning(Reasoning { text, proof }) = part {
                            let held = proof.as_ref().filter(|proof| proof.owner == Owner::Chat);
                            details::write(held.map(|proof| &proof.value), text, list);
                        }
                    }
                });
            }
            ReasoningField::None | ReasoningField::ContentThinking => {}
        }
    }

    fn calls(&self, turn: &Turn<'_>, list: &mut Elements<'_>) {
        // Gemini's proof of a thought belongs to the call behind it.
        let mut proof: Option<&Text<'_>> = None;
        for part in &turn.parts {
            match part {
                Part::Reasoning(Reasoning {
                    proof: Some(found), ..
                }) if found.owner == Owner::Gemini => {
                    proof = Some(&found.value);
                }
                Part::Call(call) => {
                    list.object(|m| {
                        write_call(call, m);
                        if let Some(value) = proof.take() {
                            m.nested("extra_content", |m| {
                                m.nested("google", |m| {
                                    m.text("thought_signature", value);
                                });
                            });
                        }
                    });
                }
                _ => {}
            }
        }
    }

    fn user(&self, turn: &Turn<'_>, list: &mut Elements<'_>) {
        let results = || {
            turn.parts.iter().filter_map(|part| match part {
                Part::Result(result) => Some(result),
                _ => None,
            })
        };
        for result in results() {
            list.object(|m| {
                m.str("role", "tool").text("tool_call_id", &result.id);
                self.result(result, m);
            });
        }
        let shown = results().filter(|result| !self.caps.tool_image && has_more_than_text(result));
        let shown: Vec<&ToolResult<'_>> = shown.collect();
        let rest: Vec<&Part<'_>> = turn
            .parts
            .iter()
            .filter(|part| !matches!(part, Part::Result(_)))
            .collect();
        if shown.is_empty() && rest.is_empty() {
            return;
        }
        if !self.caps.user_after_tool && results().next().is_some() {
            list.object(|m| {
                m.str("role", "assistant").str("content", "Understood.");
            });
        }
        list.object(|m| {
            m.str("role", "user");
            if let ([], [Part::Text(part)]) = (shown.as_slice(), rest.as_slice())
                && !self.marks(part.cache)
            {
                m.text("content", &part.text);
                return;
            }
            m.array("content", |parts| {
                for result in shown {
                    let title = [
                        &Text::constant("Image from tool call "),
                        &result.id,
                        &Text::constant(":"),
                    ];
                    parts.object(|m| {
                        m.str("type", "text").texts("text", &title);
                    });
                    for part in &result.parts {
                        if !matches!(part, Part::Text(_)) {
                            self.part(part, parts);
                        }
                    }
                }
                for part in rest {
                    self.part(part, parts);
                }
            });
        });
    }

    fn result(&self, result: &ToolResult<'_>, m: &mut Members<'_>) {
        if !has_more_than_text(result) {
            let text = flat_result(result);
            // Only OpenRouter takes parts there, and a mark needs one.
            if self.caps.vendor == Vendor::OpenRouter && self.marks(result.cache) {
                m.array("content", |parts| {
                    parts.object(|m| {
                        m.str("type", "text").text("text", &text);
                        self.mark(result.cache, m);
                    });
                });
            } else {
                m.text("content", &text);
            }
        } else if self.caps.tool_image {
            m.array("content", |parts| {
                if result.is_error {
                    parts.object(|m| {
                        m.str("type", "text").str("text", "[tool error]");
                    });
                }
                for part in &result.parts {
                    self.part(part, parts);
                }
            });
        } else {
            let mut text = flat_result(result);
            if !text.is_empty() {
                text.push(&Text::escaped("\\n"));
            }
            text.push(&SEE_BELOW);
            m.text("content", &text);
        }
    }

    /// A part of a user message.
    fn part(&self, part: &Part<'_>, parts: &mut Elements<'_>) {
        match part {
            Part::Text(part) => parts.object(|m| {
                m.str("type", "text").text("text", &part.text);
                self.mark(part.cache, m);
            }),
            Part::Image(image) => parts.object(|m| {
                m.str("type", "image_url").nested("image_url", |m| {
                    url("url", &image.source, m);
                    if let Some(detail) = &image.detail {
                        // Only OpenAI knows `original`.
                        if detail.is("original") && !self.caps.labels {
                            m.str("detail", "high");
                        } else {
                            m.text("detail", detail);
                        }
                    }
                });
                self.mark(image.cache, m);
            }),
            Part::File(file) => parts.object(|m| {
                m.str("type", "file").nested("file", |m| {
                    url("file_data", &file.source, m);
                    m.str("filename", &file.file_name());
                });
                self.mark(file.cache, m);
            }),
            Part::Audio { data, format } => parts.object(|m| {
                m.str("type", "input_audio").nested("input_audio", |m| {
                    m.text("data", data).text("format", format);
                });
            }),
            // These stand in assistant turns, or were written before.
            Part::Reasoning(_)
            | Part::Refusal(_)
            | Part::Call(_)
            | Part::Result(_)
            | Part::Hosted { .. } => parts,
        };
    }

    fn marks(&self, cache: Option<Cache>) -> bool {
        cache.is_some() && self.caps.cache_breakpoints
    }

    fn mark(&self, cache: Option<Cache>, m: &mut Members<'_>) {
        let Some(cache) = cache.filter(|_| self.caps.cache_breakpoints) else {
            return;
        };
        if self.caps.vendor == Vendor::OpenRouter {
            // It hands Claude's own mark on.
            m.nested("cache_control", |m| {
                m.str("type", "ephemeral");
                if cache == Cache::Long {
                    m.str("ttl", "1h");
                }
            });
        } else {
            m.nested("prompt_cache_breakpoint", |m| {
                m.str("mode", "explicit");
                m.str("ttl", if cache == Cache::Long { "12h" } else { "30m" });
            });
        }
    }
}

fn check(request: &Request<'_>, caps: &Caps, part: &Part<'_>) -> Result<(), Error> {
    match part {
        Part::File(file) => {
            if !caps.files {
                return Err(refuse_part(request, "the upstream takes no files"));
            }
            if matches!(file.source, Source::Url(_)) {
                return Err(refuse_part(
                    request,
                    "the upstream takes no files by URL; send the bytes",
                ));
            }
            Ok(())
        }
        Part::Hosted { name, .. } => {
            Err(refuse_part(request, &format!("{name} cannot be converted")))
        }
        _ => Ok(()),
    }
}

fn has_more_than_text(result: &ToolResult<'_>) -> bool {
    result
        .parts
        .iter()
        .any(|part| !matches!(part, Part::Text(_)))
}

fn url(key: &str, source: &Source<'_>, m: &mut Members<'_>) {
    match source {
        Source::Url(url) => m.text(key, url),
        Source::Data { media_type, data } => m.texts(
            key,
            &[
                &Text::constant("data:"),
                media_type,
                &Text::constant(";base64,"),
                data,
            ],
        ),
    };
}

fn write_call(call: &Call<'_>, m: &mut Members<'_>) {
    m.text("id", &call.id);
    if call.kind == CallKind::Custom {
        m.str("type", "custom").nested("custom", |m| {
            m.text("name", &call.name);
            call.arguments.write(m.key("input"));
        });
        return;
    }
    m.str("type", "function").nested("function", |m| {
        m.text("name", &call.name);
        if call.arguments.is_blank() {
            m.str("arguments", "{}");
        } else {
            call.arguments.write(m.key("arguments"));
        }
    });
}

fn content_with_thought(thought: &Text<'_>, texts: &[&Text<'_>], parts: &mut Elements<'_>) {
    parts.object(|m| {
        m.str("type", "thinking").array("thinking", |inner| {
            inner.object(|m| {
                m.str("type", "text").text("text", thought);
            });
        });
    });
    if !texts.is_empty() {
        parts.object(|m| {
            m.str("type", "text").texts("text", texts);
        });
    }
}

/// What a part of a user turn is refused for.
fn refuse_part(request: &Request<'_>, reason: &str) -> Error {
    refuse(request.turns_field(), reason)
}

/// Whether the conversation ends with the beginning of an answer.
fn is_prefilled(request: &Request<'_>) -> bool {
    request
        .turns
        .last()
        .is_some_and(|turn| turn.role == Role::Assistant)
}
