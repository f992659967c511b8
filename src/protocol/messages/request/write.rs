//! What an upstream is asked. `adapt` has left only what this protocol holds; here it gets its form, its limit, its marks for
//! the cache (at most four) and the way its model is told to think.

use super::super::{signature, write_input};
use super::thinking::{self, ClaudeThinking};
use super::tools;
use crate::error::Error;
use crate::protocol::caps::ReasoningStyle;
use crate::protocol::effort::Thinking;
use crate::protocol::neutral::{
    Cache, Call, File, Format, Image, Owner, Part, Reasoning, Request, Role, Source, TextPart,
    Tool, ToolKind, ToolResult,
};
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::render::{Elements, Members};
use crate::protocol::text::Text;
use crate::protocol::{Outgoing, Protocol, Target, Warnings};
use crate::wire::json::Raw;

/// `cache_control` marks a request may have (protocols.md 6.1).
const CACHE_MARKS_MAX: usize = 4;
/// Above this limit an answer may take more than ten minutes, which Anthropic's SDKs wait for in streams only: the
/// upstream is asked for a stream, and a client that did not ask for one gets it gathered (protocols.md 5.11).
const UNSTREAMED_TOKENS_MAX: u64 = 21_333;
/// The beta of `thinking.block_binding`.
const BINDING_BETA: &str = "thinking-binding-controls-2026-08-01";

/// Writes the request for that upstream.
///
/// # Errors
/// A picture or document of a kind that this protocol does not take, or arguments in the history that are no JSON object.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
    mut body: Vec<u8>,
) -> Result<Outgoing, Error> {
    let caps = target.caps;
    let mut outgoing = Outgoing::default();
    let max_tokens = match &request.limit {
        Some(limit) => limit.value,
        None => {
            outgoing.invented.push("max_tokens");
            caps.limit_or_default()
        }
    };
    outgoing.stream = request.stream || caps.stream_only || max_tokens > UNSTREAMED_TOKENS_MAX;
    let thinking = thinking::of(
        request.effort,
        request.thinking,
        caps,
        max_tokens,
        request.effort_field(),
        warnings,
    );
    let mut writer = Writer {
        marks: Marks::of(request, caps.cache_breakpoints),
        field: request.turns_field(),
        repair: caps.repair_history,
        failed: None,
    };
    let talked = request
        .turns
        .iter()
        .any(|turn| turn.role == Role::Assistant);
    let auto_cache = caps.auto_cache && talked && !writer.marks.any;
    let mut mcp = Ok(false);
    body.reserve(request.size_hint() + 1024);
    Members::object(&mut body, |m| {
        m.str("model", target.model)
            .number("max_tokens", max_tokens);
        if outgoing.stream {
            m.bool("stream", true);
        }
        if auto_cache {
            m.raw("cache_control", mark_of(Cache::Short));
            outgoing.invented.push("cache_control");
        }
        // A cache reads tools, system and messages in this order.
        let tool_marks: Vec<_> = request
            .tools
            .iter()
            .map(|tool| writer.marks.next(tool.cache))
            .collect();
        if !request.system.is_empty() {
            m.array("system", |list| {
                for system in &request.system {
                    let mark = writer.marks.next(system.cache);
                    list.object(|m| text_block(&system.text, mark, m));
                }
            });
        }
        m.array("messages", |list| {
            for turn in &request.turns {
                list.object(|m| {
                    m.str(
                        "role",
                        match turn.role {
                            Role::User => "user",
                            Role::Assistant => "assistant",
                            Role::System => "system",
                        },
                    );
                    m.array("content", |list| {
                        turn.parts.iter().for_each(|part| writer.part(part, list));
                    });
                });
            }
        });
        if request.tools.iter().any(is_listed) {
            m.array("tools", |list| {
                for (tool, mark) in request.tools.iter().zip(tool_marks) {
                    if is_listed(tool) {
                        list.object(|m| tools::write(tool, mark, m));
                    }
                }
            });
        }
        tools::write_choice(request, m);
        mcp = tools::write_mcp(request, m);
        m.raw_if("temperature", request.temperature.map(Raw::text));
        m.raw_if("top_p", request.top_p.map(Raw::text));
        m.raw_if("top_k", request.top_k.map(Raw::text));
        if !request.stops.is_empty() {
            m.array("stop_sequences", |list| {
                request.stops.iter().for_each(|stop| {
                    list.text(stop);
                });
            });
        }
        write_thinking(request, target, &thinking, m, &mut outgoing.betas);
        write_output(request, &thinking, m);
        let user = [&request.safety_identifier, &request.user, &request.user_id];
        if let Some(user) = user.into_iter().flatten().next() {
            m.nested("metadata", |m| {
                m.text("user_id", user);
            });
        }
        m.text_if("service_tier", request.tier.as_ref());
    });
    if mcp? {
        outgoing.betas.push(tools::MCP_BETA);
    }
    if let Some(error) = writer.failed {
        return Err(error);
    }
    outgoing.body = body;
    Ok(outgoing)
}

/// Whether it stands in `tools`; MCP servers have a field of their own.
fn is_listed(tool: &Tool<'_>) -> bool {
    matches!(
        tool.kind,
        ToolKind::Function { .. } | ToolKind::WebSearch(_)
    )
}

fn write_thinking(
    request: &Request<'_>,
    target: &Target<'_>,
    thinking: &ClaudeThinking,
    m: &mut Members<'_>,
    betas: &mut Vec<&'static str>,
) {
    let Some(mode) = thinking.thinking else {
        return;
    };
    // The newest models leave the text of their thoughts out unless it is asked for. Chat clients always show it.
    let shown = request
        .show_reasoning
        .unwrap_or(request.from == Protocol::Chat);
    let display = shown && target.caps.reasoning == ReasoningStyle::Adaptive;
    m.nested("thinking", |m| {
        match mode {
            Thinking::Budget(tokens) => {
                m.str("type", "enabled").number("budget_tokens", tokens);
            }
            Thinking::Adaptive => {
                m.str("type", "adaptive");
                if display {
                    m.str("display", "summarized");
                }
            }
            Thinking::BetweenTools => {
                m.str("type", "between_tools");
            }
            Thinking::Off => {
                m.str("type", "disabled");
                return;
            }
        }
        if target.caps.block_binding {
            m.nested("block_binding", |m| {
                m.str("prefix_mismatch_behavior", "drop_block");
            });
            betas.push(BINDING_BETA);
        }
    });
}

fn write_output(request: &Request<'_>, thinking: &ClaudeThinking, m: &mut Members<'_>) {
    let schema = match &request.format {
        Format::Schema { schema, .. } => Some(schema),
        Format::Text | Format::JsonObject => None,
    };
    if schema.is_none() && thinking.effort.is_none() {
        return;
    }
    m.nested("output_config", |m| {
        if let Some(effort) = thinking.effort {
            m.str("effort", effort.word());
        }
        if let Some(schema) = schema {
            m.nested("format", |m| {
                m.str("type", "json_schema").raw("schema", schema);
            });
        }
    });
}

/// The marks a client set: the last four count.
struct Marks {
    /// How many of the first are left out; everything when the upstream knows none.
    skip: usize,
    /// Some are written.
    any: bool,
    /// One was written that does not last long: Claude takes none that lasts longer behind it.
    shortened: bool,
}

impl Marks {
    fn of(request: &Request<'_>, known: bool) -> Marks {
        let tools = request.tools.iter().filter(|tool| tool.cache.is_some());
        let system = request
            .system
            .iter()
            .filter(|system| system.cache.is_some());
        let parts = request.turns.iter().flat_map(|turn| &turn.parts);
        let marked = |part: &&Part<'_>| match part {
            Part::Text(TextPart { cache, .. })
            | Part::Image(Image { cache, .. })
            | Part::File(File { cache, .. })
            | Part::Result(ToolResult { cache, .. }) => cache.is_some(),
            _ => false,
        };
        let count = tools.count() + system.count() + parts.filter(marked).count();
        Marks {
            skip: if known {
                count.saturating_sub(CACHE_MARKS_MAX)
            } else {
                count
            },
            any: known && count > 0,
            shortened: false,
        }
    }

    /// What is written for the next thing in the prompt's order.
    fn next(&mut self, cache: Option<Cache>) -> Option<&'static str> {
        let cache = cache?;
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.shortened |= cache == Cache::Short;
        Some(mark_of(if self.shortened { Cache::Short } else { cache }))
    }
}

fn mark_of(cache: Cache) -> &'static str {
    match cache {
        Cache::Short => r#"{"type":"ephemeral"}"#,
        Cache::Long => r#"{"type":"ephemeral","ttl":"1h"}"#,
    }
}

fn text_block(text: &Text<'_>, mark: Option<&str>, m: &mut Members<'_>) {
    m.str("type", "text").text("text", text);
    m.raw_if("cache_control", mark);
}

/// Writes parts; the first thing that cannot be written is remembered.
struct Writer {
    marks: Marks,
    /// The client's name of its conversation.
    field: &'static str,
    /// A history that no vendor would take is mended.
    repair: bool,
    failed: Option<Error>,
}

impl Writer {
    fn part(&mut self, part: &Part<'_>, list: &mut Elements<'_>) {
        match part {
            Part::Text(part) => {
                let mark = self.marks.next(part.cache);
                list.object(|m| text_block(&part.text, mark, m));
            }
            Part::Refusal(text) => {
                list.object(|m| text_block(text, None, m));
            }
            Part::Image(image) => {
                let mark = self.marks.next(image.cache);
                self.image(image, mark, list);
            }
            Part::File(file) => {
                let mark = self.marks.next(file.cache);
                self.file(file, mark, list);
            }
            Part::Reasoning(reasoning) => self.reasoning(reasoning, list),
            Part::Call(call) => self.call(call, list),
            Part::Result(result) => self.result(result, list),
            Part::Audio { .. } => {
                self.fail(refuse(self.field, "the upstream does not listen to sound"))
            }
            Part::Hosted { .. } => {} // dropped by adapt, with a warning
        }
    }

    #[cold]
    fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
    }

    fn image(&mut self, image: &Image<'_>, mark: Option<&str>, list: &mut Elements<'_>) {
        let media_type = match &image.source {
            Source::Url(_) => "",
            Source::Data { media_type, .. } => {
                match media_type.decode().to_ascii_lowercase().as_str() {
                    "image/png" => "image/png",
                    "image/jpeg" | "image/jpg" => "image/jpeg",
                    "image/gif" => "image/gif",
                    "image/webp" => "image/webp",
                    other => {
                        return self.fail(refuse(
                        self.field,
                        format!("the upstream takes pictures as png, jpeg, gif and webp, not {other:?}"),
                    ));
                    }
                }
            }
        };
        list.object(|m| {
            m.str("type", "image");
            m.nested("source", |m| match &image.source {
                Source::Url(url) => {
                    m.str("type", "url").text("url", url);
                }
                Source::Data { data, .. } => {
                    m.str("type", "base64").str("media_type", media_type);
                    m.text("data", data);
                }
            });
            m.raw_if("cache_control", mark);
        });
    }

    /// A PDF as it is; a text as a document of text; nothing else is taken.
    fn file(&mut self, file: &File<'_>, mark: Option<&str>, list: &mut Elements<'_>) {
        let mut plain = None;
        if let Source::Data { media_type, .. } = &file.source {
            let kind = media_type.decode();
            if file.is_text() {
                plain = file.text();
                if plain.is_none() {
                    return self.fail(refuse(self.field, "a text file is no base64 of UTF-8"));
                }
            } else if kind != "application/pdf" {
                return self.fail(refuse(
                    self.field,
                    format!("the upstream takes files as PDF and text, not {kind:?}"),
                ));
            }
        }
        list.object(|m| {
            m.str("type", "document");
            m.nested("source", |m| match (&file.source, &plain) {
                (_, Some(text)) => {
                    m.str("type", "text").str("media_type", "text/plain");
                    m.text("data", text);
                }
                (Source::Url(url), None) => {
                    m.str("type", "url").text("url", url);
                }
                (Source::Data { data, .. }, None) => {
                    m.str("type", "base64").str("media_type", "application/pdf");
                    m.text("data", data);
                }
            });
            m.text_if("title", file.name.as_ref().filter(|name| !name.is_empty()));
            m.raw_if("cache_control", mark);
        });
    }

    /// With its proof, because Claude refuses a thought that it cannot recognise. `adapt` leaves one without only where the
    /// upstream signs nothing.
    fn reasoning(&mut self, reasoning: &Reasoning<'_>, list: &mut Elements<'_>) {
        list.object(|m| match &reasoning.proof {
            Some(proof) if proof.owner == Owner::Messages && proof.redacted => {
                m.str("type", "redacted_thinking")
                    .text("data", &proof.value);
            }
            proof => {
                m.str("type", "thinking");
                m.text("thinking", &reasoning.text);
                let signature = proof.as_ref().map(signature).unwrap_or_default();
                m.text("signature", &signature);
            }
        });
    }

    fn call(&mut self, call: &Call<'_>, list: &mut Elements<'_>) {
        let mut sound = true;
        list.object(|m| {
            m.str("type", "tool_use").text("id", &call.id);
            m.text("name", &call.name);
            let out = m.key("input");
            sound = write_input(&call.arguments.text(), out);
            if !sound {
                Members::object(out, |m| call.arguments.write(m.key("arguments")));
            }
        });
        if !sound && !self.repair {
            let id = call.id.decode();
            let reason = format!("the arguments of tool call {id} are no JSON object");
            self.fail(wrong(self.field, reason));
        }
    }

    fn result(&mut self, result: &ToolResult<'_>, list: &mut Elements<'_>) {
        let mark = self.marks.next(result.cache);
        list.object(|m| {
            m.str("type", "tool_result").text("tool_use_id", &result.id);
            match result.parts.as_slice() {
                [] => {}
                [Part::Text(part)] => {
                    m.text("content", &part.text);
                }
                parts => {
                    m.array("content", |list| {
                        // The mark is on the result as a whole.
                        for part in parts {
                            match part {
                                Part::Text(part) => {
                                    list.object(|m| text_block(&part.text, None, m));
                                }
                                Part::Image(image) => self.image(image, None, list),
                                Part::File(file) => self.file(file, None, list),
                                other => self.part(other, list),
                            }
                        }
                    });
                }
            }
            if result.is_error {
                m.bool("is_error", true);
            }
            m.raw_if("cache_control", mark);
        });
    }
}
