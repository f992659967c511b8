//! Whole answers in Chat Completions (protocols.md 1.3, 7).

use super::details::Details;
use super::stream::finish::{self, End};
use super::usage;
use crate::error::{Blame, Error, Kind};
use crate::protocol::balance::Balance;
use crate::protocol::caps::ReasoningField;
use crate::protocol::context::Context;
use crate::protocol::neutral::{
    Annotation, Block, CallKind, Finish, Opened, Owner, Proof, Reason, Reply, Start,
};
use crate::protocol::refusal::wrong;
use crate::protocol::render::{Elements, Members};
use crate::protocol::text::Text;
use crate::protocol::{Made, Protocol, Warnings, carrier, in_stream, says_error, take};
use crate::wire::json::{self, JsonKind, Object, Raw};

/// Reads the answer of a Chat upstream.
///
/// # Errors
/// An error under status 200, or no answer at all.
pub fn read<'a>(
    mut body: Object<'a>,
    cx: &Context,
    warnings: &mut Warnings,
) -> Result<Reply<'a>, Error> {
    if let Some(error) = says_error(&body) {
        return Err(in_stream(error));
    }
    let mut choice = first_choice(&mut body, warnings)?;
    // Azure leaves the message out when its filter took all of it.
    let mut message = match take::object(&mut choice, "message").map_err(upstream)? {
        Some(message) => message,
        None if choice.get("finish_reason").is_some() => Object::parse(b"{}").map_err(blame)?,
        None => return Err(bad("the upstream's answer has no message")),
    };
    let mut blocks = Vec::new();
    thoughts(&mut message, cx, &mut blocks)?;
    let logprobs = match take::object(&mut choice, "logprobs").map_err(upstream)? {
        Some(mut odds) => take::array(&mut odds, "content").map_err(upstream)?,
        None => None,
    };
    // They are pasted into the client's answer, so here they are judged to the last leaf.
    let sound = |raw: &&str| json::validate(raw.as_bytes()).is_ok();
    let logprobs = logprobs.into_iter().flatten().map(Raw::text);
    let logprobs: Vec<&str> = logprobs.filter(sound).collect();
    content(&mut message, logprobs.join(","), &mut blocks, cx)?;
    if let Some(text) = text(&mut message, "refusal")? {
        blocks.push(Block::Refusal(text));
    }
    calls(&mut message, &mut blocks)?;
    let end = finish::of(
        choice.get("finish_reason"),
        choice
            .get("stop_reason")
            .or_else(|| choice.get("matched_stop")),
    );
    let finish = match end {
        End::Finish(finish) => finish,
        End::None if cx.caps.finish_reason_optional => Finish::of(Reason::Done),
        End::None => return Err(bad("the upstream's answer has no finish_reason")),
        End::Error(word) => {
            return Err(bad(format!("the upstream ended its answer with {word:?}")));
        }
    };
    if matches!(finish.reason, Reason::Length | Reason::Filtered) {
        cut(&mut blocks);
    }
    let totals = body
        .get("usage")
        .and_then(usage::read)
        .or_else(|| choice.get("usage").and_then(usage::read))
        .or_else(|| {
            body.get("x_groq")?
                .as_object()
                .ok()?
                .get("usage")
                .and_then(usage::read)
        });
    Ok(Reply {
        start: Start {
            id: body.get("id").and_then(Text::of),
            model: body.get("model").and_then(Text::of),
            created: body
                .get("created")
                .and_then(Raw::as_u64)
                .filter(|&at| at > 0),
            tier: body.get("service_tier").and_then(Text::of),
        },
        blocks,
        usage: totals,
        finish,
    })
}

/// The choice numbered 0, which a server may list behind others.
fn first_choice<'a>(body: &mut Object<'a>, warnings: &mut Warnings) -> Result<Object<'a>, Error> {
    let mut choices = array(body, "choices")?;
    let Some(first) = choices.next() else {
        return Err(bad("the upstream's answer has no choices"));
    };
    let first = first.as_object().map_err(blame)?;
    let number = |choice: &Object<'_>| choice.get("index").and_then(Raw::as_u64).unwrap_or(0);
    let mut others = choices.filter_map(|raw| raw.as_object().ok()).peekable();
    if others.peek().is_none() {
        return Ok(first);
    }
    warnings.add("choices", "dropped");
    if number(&first) == 0 {
        return Ok(first);
    }
    Ok(others.find(|choice| number(choice) == 0).unwrap_or(first))
}

/// A call that was being written when the answer was ended from outside: nobody may act on it.
fn cut(blocks: &mut [Block<'_>]) {
    if let Some(Block::Call {
        head,
        arguments,
        whole,
    }) = blocks.last_mut()
    {
        let mut balance = Balance::default();
        balance.push(arguments.as_escaped());
        *whole = head.kind != CallKind::Custom && balance.is_whole();
    }
}

fn bad(message: impl Into<String>) -> Error {
    Error::upstream(Kind::BadReply, message)
}

fn blame(fault: crate::error::Fault) -> Error {
    fault.blame(Blame::Upstream)
}

/// A wrong member of a client's request, as `take` sees it, is here the upstream's.
fn upstream(error: Error) -> Error {
    bad(error.message)
}

fn array<'a>(object: &mut Object<'a>, key: &str) -> Result<crate::wire::json::Elements<'a>, Error> {
    let list = take::array(object, key).map_err(upstream)?;
    list.ok_or_else(|| upstream(wrong(key, "is missing")))
}

/// A string that says something.
fn text<'a>(object: &mut Object<'a>, key: &str) -> Result<Option<Text<'a>>, Error> {
    let found = take::raw(object, key).filter(|raw| raw.kind() == JsonKind::String);
    let found =
        found.map(|raw| Text::of(raw).ok_or_else(|| bad(format!("{key} is a malformed string"))));
    Ok(found.transpose()?.filter(|text| !text.is_empty()))
}

fn thoughts<'a>(
    message: &mut Object<'a>,
    cx: &Context,
    blocks: &mut Vec<Block<'a>>,
) -> Result<(), Error> {
    let content = text(message, "reasoning_content")?;
    let reasoning = text(message, "reasoning")?;
    let details = take::raw(message, "reasoning_details");
    let proof = details
        .filter(|_| cx.caps.reasoning_field_in == ReasoningField::Details)
        .and_then(|raw| {
            let mut entries = Details::default();
            entries.add(raw);
            entries.take()
        });
    let proof = proof.map(|value| Proof::native(Owner::Chat, value));
    let details = details.or_else(|| take::raw(message, "reasoning_content"));
    let text = match content.or(reasoning) {
        Some(text) => text,
        None => details.map(joined).unwrap_or_default(),
    };
    if !text.is_empty() || proof.is_some() {
        blocks.push(Block::Reasoning { text, proof });
    }
    Ok(())
}

/// The texts of an array of objects with `text`, `summary` or `thinking`, or of one string.
pub(super) fn joined<'a>(raw: Raw<'a>) -> Text<'a> {
    if let Some(text) = Text::of(raw) {
        return text;
    }
    let mut out = Text::EMPTY;
    for entry in raw.elements().into_iter().flatten() {
        let Ok(entry) = entry.as_object() else {
            continue;
        };
        let said = ["text", "summary"]
            .iter()
            .find_map(|key| Text::of(entry.get(key)?));
        out.push(&said.unwrap_or_default());
    }
    out
}

fn content<'a>(
    message: &mut Object<'a>,
    logprobs: String,
    blocks: &mut Vec<Block<'a>>,
    cx: &Context,
) -> Result<(), Error> {
    let annotations = annotations(take::raw(message, "annotations"));
    let Some(content) = take::raw(message, "content") else {
        return Ok(());
    };
    let mut whole = Text::EMPTY;
    if content.kind() == JsonKind::Array {
        for part in content.elements().map_err(blame)? {
            let part = part.as_object().map_err(blame)?;
            if let Some(thinking) = part.get("thinking") {
                blocks.push(Block::Reasoning {
                    text: joined(thinking),
                    proof: None,
                });
            } else if let Some(text) = part.get("text").and_then(Text::of) {
                match whole.is_empty() {
                    true => whole = text,
                    false => whole.push(&text),
                }
            }
        }
    } else {
        // Cloudflare sends the object itself where JSON was asked for.
        whole = match content.kind() {
            JsonKind::Object => Text::plain(content.text()),
            _ => Text::of(content).ok_or_else(|| bad("content is neither text nor parts"))?,
        };
    }
    if cx.caps.think_tags
        && let Some((thought, rest)) = split_think(&whole)
    {
        blocks.push(Block::Reasoning {
            text: thought,
            proof: None,
        });
        whole = rest;
    }
    if !whole.is_empty() {
        blocks.push(Block::Text {
            text: whole,
            annotations,
            logprobs,
        });
    }
    Ok(())
}

/// `<think>…</think>` at the very beginning.
fn split_think(text: &Text<'_>) -> Option<(Text<'static>, Text<'static>)> {
    let plain = text.decode();
    let inner = plain.trim_start().strip_prefix("<think>")?;
    let (thought, rest) = inner.split_once("</think>").unwrap_or((inner, ""));
    Some((
        Text::owned(thought.trim().to_owned()),
        Text::owned(rest.trim_start().to_owned()),
    ))
}

/// `url_citation` annotations; others have no counterpart.
pub(super) fn annotations<'a>(raw: Option<Raw<'a>>) -> Vec<Annotation<'a>> {
    let Some(Ok(list)) = raw.map(Raw::elements) else {
        return Vec::new();
    };
    let read = |raw: Raw<'a>| {
        let outer = raw.as_object().ok()?;
        let inner = outer.get("url_citation")?.as_object().ok()?;
        let number = |key: &str| inner.get(key).and_then(Raw::as_u64);
        Some(Annotation {
            url: Text::of(inner.get("url")?)?,
            title: inner.get("title").and_then(Text::of),
            span: number("start_index").zip(number("end_index")),
            cited: None,
        })
    };
    list.filter_map(read).collect()
}

fn calls<'a>(message: &mut Object<'a>, blocks: &mut Vec<Block<'a>>) -> Result<(), Error> {
    for raw in take::array(message, "tool_calls")
        .map_err(upstream)?
        .into_iter()
        .flatten()
    {
        let mut call = raw.as_object().map_err(blame)?;
        let id = text(&mut call, "id")?.unwrap_or_default();
        if let Some(value) = signature(&call) {
            blocks.push(Block::Reasoning {
                text: Text::EMPTY,
                proof: Some(Proof::native(Owner::Gemini, value)),
            });
        }
        // Snowflake fills in the other kind too, with empty strings.
        let custom = take::object(&mut call, "custom")
            .map_err(upstream)?
            .filter(is_named);
        let (mut inner, key, kind) = match custom {
            Some(custom) => (custom, "input", CallKind::Custom),
            None => {
                let function = take::object(&mut call, "function").map_err(upstream)?;
                let function = function.ok_or_else(|| bad("a tool call without a function"))?;
                (function, "arguments", CallKind::Function)
            }
        };
        blocks.push(self::call(id, kind, &mut inner, key)?);
    }
    let legacy = take::object(message, "function_call").map_err(upstream)?;
    if let Some(mut legacy) = legacy.filter(is_named) {
        blocks.push(call(
            Text::EMPTY,
            CallKind::Function,
            &mut legacy,
            "arguments",
        )?);
    }
    Ok(())
}

fn is_named(call: &Object<'_>) -> bool {
    call.get("name")
        .and_then(Raw::string_inner)
        .is_some_and(|name| !name.is_empty())
}

fn call<'a>(
    id: Text<'a>,
    kind: CallKind,
    inner: &mut Object<'a>,
    key: &str,
) -> Result<Block<'a>, Error> {
    let name = text(inner, "name")?.ok_or_else(|| bad("a tool call without a name"))?;
    let arguments = match take::raw(inner, key) {
        Some(raw) => {
            arguments(raw).ok_or_else(|| bad("the arguments of a tool call are malformed"))?
        }
        None => Text::EMPTY,
    };
    Ok(Block::Call {
        head: Opened {
            id,
            kind,
            name,
            namespace: None,
        },
        arguments,
        whole: true,
    })
}

/// Arguments are a string; some local servers send the object itself.
pub(super) fn arguments<'a>(raw: Raw<'a>) -> Option<Text<'a>> {
    match raw.kind() {
        JsonKind::String => Text::of(raw),
        JsonKind::Null => Some(Text::EMPTY),
        _ => Some(Text::plain(raw.text())),
    }
}

/// Gemini's proof of the thought behind a call.
pub(super) fn signature<'a>(call: &Object<'a>) -> Option<Text<'a>> {
    let google = call
        .get("extra_content")?
        .as_object()
        .ok()?
        .get("google")?
        .as_object()
        .ok()?;
    Text::of(google.get("thought_signature")?).filter(|value| !value.is_empty())
}

/// Writes the answer for a Chat client.
///
/// # Errors
/// None today; twins share the signature.
pub fn write(
    reply: &Reply<'_>,
    cx: &Context,
    made: &Made,
    _warnings: &mut Warnings,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    Members::object(out, |m| {
        write_id(reply, made, m.key("id"));
        m.raw("object", "\"chat.completion\"");
        m.number("created", reply.start.created.unwrap_or(made.now_unix_s));
        m.text("model", &cx.model);
        m.array("choices", |list| {
            list.object(|m| {
                m.number("index", 0);
                m.nested("message", |m| message(reply, cx, m));
                match odds(reply) {
                    Some(odds) => m.raw("logprobs", &odds),
                    None => m.null("logprobs"),
                };
                m.str(
                    "finish_reason",
                    finish::word(reply.finish.reason, reply.calls()),
                );
            });
        });
        m.nested("usage", |m| {
            usage::write(&reply.usage.unwrap_or_default(), m)
        });
        if let Some(tier) = &reply.start.tier {
            m.str("service_tier", tier_word(tier, cx));
        }
    });
    Ok(())
}

/// OpenAI's word for the tier that served an answer.
pub(super) fn tier_word(tier: &Text<'_>, cx: &Context) -> &'static str {
    match (cx.upstream, tier.is("priority")) {
        (_, true) => "priority",
        (Protocol::Responses, _) if tier.is("flex") => "flex",
        _ => "default",
    }
}

/// `chatcmpl-` and the tail of the upstream's id, so that the two can be found together in logs; else an id of ours.
fn write_id(reply: &Reply<'_>, made: &Made, out: &mut Vec<u8>) {
    const PREFIX: &str = "chatcmpl-";
    let upstream = reply
        .start
        .id
        .as_ref()
        .map(Text::decode)
        .unwrap_or_default();
    let tail = upstream.split_once('_').map_or("", |(_, tail)| tail);
    let fine = tail
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    out.push(b'"');
    if fine && (8..=64).contains(&tail.len()) {
        out.extend_from_slice(PREFIX.as_bytes());
        out.extend_from_slice(tail.as_bytes());
    } else {
        made.write_id(PREFIX, 0, out);
    }
    out.push(b'"');
}

fn odds(reply: &Reply<'_>) -> Option<String> {
    let lists = reply.blocks.iter().filter_map(|block| match block {
        Block::Text { logprobs, .. } if !logprobs.is_empty() => Some(logprobs.as_str()),
        _ => None,
    });
    let all: Vec<&str> = lists.collect();
    (!all.is_empty()).then(|| format!(r#"{{"content":[{}],"refusal":null}}"#, all.join(",")))
}

fn message(reply: &Reply<'_>, cx: &Context, m: &mut Members<'_>) {
    m.str("role", "assistant");
    let mut content = Text::EMPTY;
    let mut refusal = Text::EMPTY;
    let mut thought = Text::EMPTY;
    let mut proofs = Vec::new();
    // Offsets of annotations count characters of the whole content.
    let mut spans: Vec<(u64, u64, &Annotation<'_>)> = Vec::new();
    // Bytes of it that were counted, and their characters: each is counted once, however much is cited.
    let (mut counted, mut chars) = (0, 0);
    for block in &reply.blocks {
        match block {
            Block::Text {
                text, annotations, ..
            } => {
                let gap = gap(&content, cx);
                content.push(&gap);
                if !annotations.is_empty() {
                    chars += Text::escaped(&content.as_escaped()[counted..]).chars();
                    counted = content.as_escaped().len();
                    let all = (0, text.chars());
                    for annotation in annotations {
                        let (from, to) = annotation.span.unwrap_or(all);
                        spans.push((chars + from, chars + to, annotation));
                    }
                }
                join(&mut content, text);
            }
            Block::Refusal(text) => join(&mut refusal, text),
            Block::Reasoning { text, proof } => {
                if !thought.is_empty() && !text.is_empty() {
                    thought.push(&Text::plain("\n\n"));
                }
                join(&mut thought, text);
                if let Some(proof) = proof {
                    proofs.push((proof, text));
                }
            }
            Block::Call { .. } | Block::Hosted(_) => {}
        }
    }
    if content.is_empty() && (!refusal.is_empty() || reply.calls()) {
        m.null("content");
    } else {
        m.text("content", &content);
    }
    if refusal.is_empty() {
        m.null("refusal");
    } else {
        m.text("refusal", &refusal);
    }
    if !thought.is_empty() {
        m.text("reasoning_content", &thought);
    }
    if !proofs.is_empty() {
        m.array("reasoning_details", |list| {
            for (at, (proof, text)) in proofs.iter().enumerate() {
                let text = (at > 0).then_some(*text);
                detail(proof, text, at as u64, list);
            }
        });
    }
    if reply.calls() {
        m.array("tool_calls", |list| {
            for block in &reply.blocks {
                if let Block::Call {
                    head, arguments, ..
                } = block
                {
                    list.object(|m| write_call(head, arguments, m));
                }
            }
        });
    }
    if !spans.is_empty() {
        m.array("annotations", |list| {
            for (from, to, annotation) in spans {
                citation(from, to, annotation, list);
            }
        });
    }
}

/// Appends a text; the first is only borrowed.
fn join<'t>(whole: &mut Text<'t>, more: &'t Text<'_>) {
    if whole.is_empty() {
        *whole = more.borrow();
    } else {
        whole.push(more);
    }
}

/// What stands between two messages of a Responses answer; blocks of the others join as they are.
pub(super) fn gap(before: &Text<'_>, cx: &Context) -> Text<'static> {
    let ends_line = before.as_escaped().ends_with("\\n");
    if cx.upstream == Protocol::Responses && !before.is_empty() && !ends_line {
        Text::escaped("\\n\\n")
    } else {
        Text::EMPTY
    }
}

/// One entry of `reasoning_details`: the proof in the place it travels in (protocols.md 5.6).
pub(super) fn detail(
    proof: &Proof<'_>,
    text: Option<&Text<'_>>,
    index: u64,
    list: &mut Elements<'_>,
) {
    list.object(|m| {
        if proof.owner == Owner::Messages && !proof.redacted {
            m.str("type", "reasoning.text");
            m.text_if("text", text.filter(|text| !text.is_empty()));
            m.str("format", "anthropic-claude-v1")
                .text("signature", &proof.value);
        } else {
            m.str("type", "reasoning.encrypted");
            m.text_if("text", text.filter(|text| !text.is_empty()));
            match proof.owner {
                Owner::Responses => m.str("format", "gw1.r"),
                Owner::Messages => m.str("format", "gw1.m"),
                Owner::Chat | Owner::Gemini => m.str("format", "gw1"),
            };
            m.text_if("id", proof.item.as_ref());
            match proof.owner {
                Owner::Responses | Owner::Messages => m.text("data", &proof.value),
                Owner::Chat | Owner::Gemini => m.text("data", &carrier::wrap(proof)),
            };
        }
        m.number("index", index);
    });
}

fn write_call(head: &Opened<'_>, arguments: &Text<'_>, m: &mut Members<'_>) {
    m.text("id", &head.id);
    let (kind, key) = match head.kind {
        CallKind::Custom => ("custom", "input"),
        CallKind::Function | CallKind::Builtin(_) => ("function", "arguments"),
    };
    m.str("type", kind).nested(kind, |m| {
        m.text("name", &head.name).text(key, arguments);
    });
}

/// One `url_citation`.
pub(super) fn citation(from: u64, to: u64, annotation: &Annotation<'_>, list: &mut Elements<'_>) {
    list.object(|m| {
        m.str("type", "url_citation").nested("url_citation", |m| {
            m.number("start_index", from).number("end_index", to);
            m.text("url", &annotation.url);
            match &annotation.title {
                Some(title) => m.text("title", title),
                None => m.str("title", ""),
            };
        });
    });
}

#[cfg(test)]
mod tests;
