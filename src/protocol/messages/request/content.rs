//! Messages and their blocks, read in the order they came (protocols.md 3.3, 5.3). Nothing is paired, moved or merged here.

use super::super::text_at;
use super::fields::{Place, cache_mark, effort, flag, optional, required};
use super::tools;
use crate::error::Error;
use crate::protocol::neutral::document_text;
use crate::protocol::neutral::{
    Arguments, Cache, Call, CallKind, File, Image, Owner, Part, Reasoning, Request, Role, Source,
    TextPart, ToolResult,
};
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::take;
use crate::protocol::text::Text;
use crate::protocol::{Warnings, carrier};
use crate::wire::json::{Elements, JsonKind, Object, Raw};
use std::cell::LazyCell;

/// What a text block of an answer has beside its text.
const TEXT_ECHOES: [&str; 1] = ["citations"];
/// What a message has beside role and content: of `system` messages only.
const MESSAGE_MEMBERS: [&str; 2] = ["output_config", "clear_at"];
/// Where blocks stand, for notes.
const BLOCKS: &str = "messages[].content[]";

/// The top-level `system`: a string or text blocks.
pub(super) fn system<'a>(
    request: &mut Request<'a>,
    raw: Raw<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if raw.kind() == JsonKind::String {
        request.push_system(take::as_text(raw, "system")?, None);
        return Ok(());
    }
    for (at, block) in take::as_array(raw, "system")?.enumerate() {
        let place = |key: &str| format!("system[{at}].{key}");
        let mut block = take::as_object(block, format!("system[{at}]"))?;
        let kind = required(&mut block, "type", place)?;
        if !kind.is("text") {
            return Err(refuse(
                format!("system[{at}]"),
                "only text can be a system block",
            ));
        }
        let cache = cache_mark(&mut block);
        request.push_system(required(&mut block, "text", place)?, cache);
        take::rest(&block, &TEXT_ECHOES, "system[]", warnings);
    }
    Ok(())
}

/// The messages, roles in any order: Claude Code sends user, system, assistant, user, ….
pub(super) fn messages<'a>(
    request: &mut Request<'a>,
    raw: Raw<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let list = take::as_array(raw, "messages")?;
    let last_user = LazyCell::new(|| last_user(list.clone()));
    for (at, raw) in list.clone().enumerate() {
        let place = Place::message(at);
        let mut message = take::as_object(raw, place)?;
        let word = required(&mut message, "role", |key| place.of(key))?;
        let role = match word.decode().as_ref() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => {
                return Err(wrong(place.of("role"), "takes user, assistant or system"));
            }
        };
        let content = take::raw(&mut message, "content");
        take::rest(&message, &MESSAGE_MEMBERS, "messages[]", warnings);
        match (role, content) {
            (Role::System, content) => {
                if let Some(config) = take::raw(&mut message, "output_config") {
                    let mut config =
                        take::as_object(config, format_args!("{place}.output_config"))?;
                    if let Some(word) = optional(&mut config, "effort", |key| place.of(key))? {
                        effort(request, &word, warnings);
                    }
                }
                // Such a text is shown for one user turn only: Claude does not see it in later requests either.
                let clear_at = take::raw(&mut message, "clear_at").and_then(Raw::as_str);
                let passed = clear_at.as_deref() == Some("next_user_message")
                    && last_user.is_some_and(|last| last > at);
                if let Some(content) = content.filter(|_| !passed) {
                    late_system(request, content, place, warnings)?;
                }
            }
            (_, None) => {}
            (_, Some(content)) if content.kind() == JsonKind::String => {
                let text = take::as_text(content, format_args!("{place}.content"))?;
                request.push(role, Part::text(text));
            }
            (_, Some(content)) => {
                for (index, raw) in
                    take::as_array(content, format_args!("{place}.content"))?.enumerate()
                {
                    block(request, role, raw, place.at(index), warnings)?;
                }
            }
        }
    }
    Ok(())
}

/// Where the last message of the user's stands.
fn last_user(messages: Elements<'_>) -> Option<usize> {
    let is_users = |message: Raw<'_>| {
        let role = message.as_object().ok()?.get("role")?.as_str()?;
        Some(role == "user")
    };
    let users = messages
        .enumerate()
        .filter(|(_, raw)| is_users(*raw) == Some(true));
    users.map(|(at, _)| at).last()
}

/// A `system` message: text, and tools that come and go. All tools are offered all the time, so that those are only told.
fn late_system<'a>(
    request: &mut Request<'a>,
    content: Raw<'a>,
    place: Place,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if content.kind() == JsonKind::String {
        request.push_system(
            take::as_text(content, format_args!("{place}.content"))?,
            None,
        );
        return Ok(());
    }
    for (index, raw) in take::as_array(content, format_args!("{place}.content"))?.enumerate() {
        let place = place.at(index);
        let mut block = take::as_object(raw, place)?;
        let cache = cache_mark(&mut block);
        let kind = required(&mut block, "type", |key| place.of(key))?;
        let told = match kind.decode().as_ref() {
            "text" => required(&mut block, "text", |key| place.of(key))?,
            "tool_addition" => tool_change(request, &mut block, "loaded", place, warnings)?,
            "tool_removal" => tool_change(request, &mut block, "removed", place, warnings)?,
            other => return Err(unknown(place, other)),
        };
        request.push_system(told, cache);
    }
    Ok(())
}

/// The sentence for a tool that came or went; one that is defined in place joins the tools.
fn tool_change<'a>(
    request: &mut Request<'a>,
    block: &mut Object<'a>,
    change: &str,
    place: Place,
    warnings: &mut Warnings,
) -> Result<Text<'static>, Error> {
    let Some(tool) = take::raw(block, "tool") else {
        return Err(wrong(place.of("tool"), "is required"));
    };
    let mut tool = take::as_object(tool, format_args!("{place}.tool"))?;
    let name = match take::raw(&mut tool, "definition") {
        Some(definition) => {
            let place = place.of("tool");
            let definition = take::as_object(definition, &place)?;
            let tool = tools::read_one(definition, &place, &mut Vec::new(), warnings)?;
            let name = tool.name.clone();
            request.tools.push(tool);
            name
        }
        None => ["name", "tool_name", "mcp_server_name", "server_name"]
            .into_iter()
            .find_map(|key| text_at(&tool, key))
            .unwrap_or_default(),
    };
    Ok(tool_told(change, &name))
}

fn tool_told(change: &str, name: &Text<'_>) -> Text<'static> {
    let mut told = Text::owned(format!("[tool {change}: "));
    told.push(name);
    told.push(&Text::constant("]"));
    told
}

fn block<'a>(
    request: &mut Request<'a>,
    role: Role,
    raw: Raw<'a>,
    place: Place,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut block = take::as_object(raw, place)?;
    let kind = required(&mut block, "type", |key| place.of(key))?;
    let kind = kind.decode();
    let user = role == Role::User;
    match kind.as_ref() {
        "thinking" | "redacted_thinking" | "tool_use" if user => Err(wrong(
            place.to_string(),
            format!("{kind} belongs to the assistant"),
        )),
        "tool_result" if !user => Err(wrong(place.to_string(), "tool_result belongs to the user")),
        "thinking" => {
            let text = optional(&mut block, "thinking", |key| place.of(key))?;
            let signature = optional(&mut block, "signature", |key| place.of(key))?;
            take::rest(&block, &[], BLOCKS, warnings);
            request.push(
                role,
                Part::Reasoning(Reasoning {
                    text: text.unwrap_or_default(),
                    proof: signature.and_then(|value| carrier::unwrap(value, Owner::Messages)),
                }),
            );
            Ok(())
        }
        "redacted_thinking" => {
            let data = required(&mut block, "data", |key| place.of(key))?;
            let carried = data.as_escaped().starts_with(carrier::PREFIX);
            let mut proof = carrier::unwrap(data, Owner::Messages);
            if let Some(proof) = proof.as_mut().filter(|_| !carried) {
                proof.redacted = true;
            }
            let text = Text::EMPTY;
            request.push(role, Part::Reasoning(Reasoning { text, proof }));
            Ok(())
        }
        "tool_use" => {
            request.push(role, Part::Call(call(block, place, warnings)?));
            Ok(())
        }
        "tool_result" => {
            request.push(role, Part::Result(result(block, place, warnings)?));
            Ok(())
        }
        "server_tool_use"
        | "web_search_tool_result"
        | "web_fetch_tool_result"
        | "code_execution_tool_result"
        | "bash_code_execution_tool_result"
        | "text_editor_code_execution_tool_result"
        | "tool_search_tool_result"
        | "advisor_tool_result"
        | "mcp_tool_use"
        | "mcp_tool_result"
        | "mcp_tool_listing"
        | "fallback"
            if !user =>
        {
            let name = kind.into_owned().into();
            request.push(role, Part::Hosted { name, json: raw });
            Ok(())
        }
        "compaction" => Err(refuse(
            place.to_string(),
            "a compaction of Anthropic's means nothing to the upstream",
        )),
        "image" if !user => Err(wrong(place.to_string(), "image belongs to the user")),
        other => {
            let mut is_file = false;
            visible(other, block, place, warnings, &mut |part| {
                is_file |= matches!(part, Part::File(_));
                request.push(role, part);
            })?;
            if !user && is_file {
                return Err(refuse(
                    place.to_string(),
                    "the upstream takes documents from users only",
                ));
            }
            Ok(())
        }
    }
}

/// Blocks that users and tools both have.
fn visible<'a>(
    kind: &str,
    mut block: Object<'a>,
    place: Place,
    warnings: &mut Warnings,
    say: &mut dyn FnMut(Part<'a>),
) -> Result<(), Error> {
    let cache = cache_mark(&mut block);
    match kind {
        "text" => {
            let text = required(&mut block, "text", |key| place.of(key))?;
            take::rest(&block, &TEXT_ECHOES, BLOCKS, warnings);
            say(Part::Text(TextPart { text, cache }));
        }
        "image" => {
            if let Some(raw) = take::raw(&mut block, "transformations")
                && raw.as_object().is_ok_and(|wishes| !wishes.is_empty())
            {
                warnings.add("image.transformations", "unsupported");
            }
            let source = source(&mut block, place.of("source"), warnings)?;
            take::rest(&block, &[], BLOCKS, warnings);
            let detail = None;
            say(Part::Image(Image {
                source,
                detail,
                cache,
            }));
        }
        "document" => document(block, cache, place, warnings)?
            .into_iter()
            .for_each(say),
        "search_result" => say(search_result(block, cache, place, warnings)?),
        other => return Err(unknown(place, other)),
    }
    Ok(())
}

fn unknown(place: Place, kind: &str) -> Error {
    refuse(
        place.to_string(),
        format!("the block type {kind:?} cannot be converted"),
    )
}

/// Where the bytes of a picture or a PDF are.
fn source<'a>(
    block: &mut Object<'a>,
    place: String,
    warnings: &mut Warnings,
) -> Result<Source<'a>, Error> {
    let at = |key: &str| format!("{place}.{key}");
    let Some(source) = take::raw(block, "source") else {
        return Err(wrong(place, "is required"));
    };
    let mut source = take::as_object(source, &place)?;
    let kind = required(&mut source, "type", at)?;
    let read = match kind.decode().as_ref() {
        "base64" => Source::Data {
            media_type: required(&mut source, "media_type", at)?,
            data: required(&mut source, "data", at)?,
        },
        "url" => Source::Url(required(&mut source, "url", at)?),
        "file" => {
            return Err(refuse(
                place,
                "file ids belong to an account with Anthropic; send the file itself",
            ));
        }
        other => {
            return Err(refuse(
                place,
                format!("the source type {other:?} cannot be converted"),
            ));
        }
    };
    take::rest(&source, &[], "messages[].content[].source", warnings);
    Ok(read)
}

fn document<'a>(
    mut block: Object<'a>,
    cache: Option<Cache>,
    place: Place,
    warnings: &mut Warnings,
) -> Result<Vec<Part<'a>>, Error> {
    refuse_citations(&mut block, place)?;
    let at = |key: &str| place.of(key);
    let title = optional(&mut block, "title", at)?;
    let context = optional(&mut block, "context", at)?;
    take::rest(&block, &["source"], BLOCKS, warnings);
    let mut parts: Vec<Part<'a>> = context.map(Part::text).into_iter().collect();
    let inner = block.get("source").and_then(|raw| raw.as_object().ok());
    let kind = inner
        .as_ref()
        .and_then(|source| source.get("type")?.as_str());
    let mut pictures = Vec::new();
    let content = match (kind.as_deref(), inner) {
        (Some("text"), Some(mut source)) => {
            required(&mut source, "data", |key| at(&format!("source.{key}")))?
        }
        (Some("content"), Some(mut source)) => {
            let place = place.of("source.content");
            match take::raw(&mut source, "content") {
                None => return Err(wrong(place, "is required")),
                Some(raw) if raw.kind() == JsonKind::String => take::as_text(raw, &place)?,
                Some(raw) => {
                    let mut texts = Vec::new();
                    for raw in take::as_array(raw, &place)? {
                        let mut block = take::as_object(raw, &place)?;
                        let kind = required(&mut block, "type", |_| place.clone())?;
                        if kind.is("image") {
                            pictures.push(Part::Image(Image {
                                source: self::source(&mut block, place.clone(), warnings)?,
                                detail: None,
                                cache: None,
                            }));
                        } else {
                            texts.push(required(&mut block, "text", |_| place.clone())?);
                        }
                    }
                    Text::join(&texts, "\n")
                }
            }
        }
        _ => {
            parts.push(Part::File(File {
                source: source(&mut block, place.of("source"), warnings)?,
                name: title,
                cache,
            }));
            return Ok(parts);
        }
    };
    let text = document_text(title.as_ref(), &content);
    parts.push(Part::Text(TextPart { text, cache }));
    parts.append(&mut pictures);
    Ok(parts)
}

/// A result of the client's own search: a text with its source on the first line.
fn search_result<'a>(
    mut block: Object<'a>,
    cache: Option<Cache>,
    place: Place,
    warnings: &mut Warnings,
) -> Result<Part<'a>, Error> {
    refuse_citations(&mut block, place)?;
    let at = |key: &str| place.of(key);
    let title = optional(&mut block, "title", at)?;
    let mut texts = Vec::new();
    if let Some(source) = optional(&mut block, "source", at)? {
        let mut line = Text::constant("Source: ");
        line.push(&source);
        texts.push(line);
    }
    if let Some(content) = take::raw(&mut block, "content") {
        for raw in take::as_array(content, format_args!("{place}.content"))? {
            let mut block = take::as_object(raw, format_args!("{place}.content"))?;
            texts.push(required(&mut block, "text", |_| at("content"))?);
        }
    }
    take::rest(&block, &[], BLOCKS, warnings);
    let text = document_text(title.as_ref(), &Text::join(&texts, "\n"));
    Ok(Part::Text(TextPart { text, cache }))
}

/// Who asks for citations gets them or an error: they are part of the answer's shape.
fn refuse_citations(block: &mut Object<'_>, place: Place) -> Result<(), Error> {
    let Some(citations) = take::raw(block, "citations") else {
        return Ok(());
    };
    let mut citations = take::as_object(citations, format_args!("{place}.citations"))?;
    if flag(&mut citations, "enabled", |_| place.of("citations"))? == Some(true) {
        return Err(refuse(
            place.of("citations"),
            "the upstream gives no citations",
        ));
    }
    Ok(())
}

fn call<'a>(
    mut block: Object<'a>,
    place: Place,
    warnings: &mut Warnings,
) -> Result<Call<'a>, Error> {
    let at = |key: &str| place.of(key);
    refuse_caller(&mut block, place)?;
    let arguments = match take::raw(&mut block, "input") {
        None => Arguments::Text(Text::constant("{}")),
        Some(input) if input.kind() == JsonKind::Object => Arguments::object(input),
        Some(_) => return Err(wrong(at("input"), "an object was expected")),
    };
    let call = Call {
        id: required(&mut block, "id", at)?,
        kind: CallKind::Function,
        name: required(&mut block, "name", at)?,
        namespace: None,
        arguments,
    };
    take::rest(&block, &["cache_control"], BLOCKS, warnings);
    Ok(call)
}

/// Calls by programs and of toolsets have no counterpart.
fn refuse_caller(block: &mut Object<'_>, place: Place) -> Result<(), Error> {
    if take::raw(block, "toolset_name").is_some() {
        return Err(refuse(
            place.of("toolset_name"),
            "the upstream has no toolsets",
        ));
    }
    let Some(caller) = take::raw(block, "caller") else {
        return Ok(());
    };
    let caller = take::as_object(caller, format_args!("{place}.caller"))?;
    if caller.get("type").and_then(Raw::as_str).as_deref() != Some("direct") {
        return Err(refuse(
            place.of("caller"),
            "the upstream has no programs that call tools",
        ));
    }
    Ok(())
}

fn result<'a>(
    mut block: Object<'a>,
    place: Place,
    warnings: &mut Warnings,
) -> Result<ToolResult<'a>, Error> {
    let at = |key: &str| place.of(key);
    refuse_caller(&mut block, place)?;
    let mut parts = Vec::new();
    match take::raw(&mut block, "content") {
        None => {}
        Some(raw) if raw.kind() == JsonKind::String => {
            parts.push(Part::text(take::as_text(
                raw,
                format_args!("{place}.content"),
            )?));
        }
        Some(raw) => {
            for (index, raw) in take::as_array(raw, format_args!("{place}.content"))?.enumerate() {
                let place = place.at(index);
                let mut inner = take::as_object(raw, place)?;
                let kind = required(&mut inner, "type", |key| place.of(key))?;
                if kind.is("tool_reference") {
                    let name = required(&mut inner, "tool_name", |key| place.of(key))?;
                    parts.push(Part::text(tool_told("loaded", &name)));
                } else {
                    visible(&kind.decode(), inner, place, warnings, &mut |part| {
                        parts.push(part);
                    })?;
                }
            }
        }
    }
    let result = ToolResult {
        id: required(&mut block, "tool_use_id", at)?,
        parts,
        is_error: flag(&mut block, "is_error", at)?.unwrap_or(false),
        cache: cache_mark(&mut block),
    };
    take::rest(&block, &[], BLOCKS, warnings);
    Ok(result)
}
