//! The conversation of a Chat client (protocols.md 1.2), legacy function messages and the de-facto reasoning fields included.

use crate::error::Error;
use crate::protocol::neutral::{
    Arguments, Cache, Call, CallKind, File, Image, Owner, Part, Proof, Reasoning, Request, Role,
    Source, TextPart, ToolResult,
};
use crate::protocol::place::Place;
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::text::Text;
use crate::protocol::{Warnings, carrier, take};
use crate::wire::json::{Elements, JsonKind, Object, Raw};

/// Members of an answer's message that clients send back, and that say nothing by themselves.
const MESSAGE_ECHOES: [&str; 2] = ["annotations", "id"];

/// Puts the messages into the request, in their order.
pub(super) fn read<'a>(
    list: Elements<'a>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    // Legacy `function` messages have no id; they answer the last `function_call`.
    let mut function_id = None;
    for (at, raw) in list.enumerate() {
        let messages = Place::Field("messages");
        let place = messages.element(at);
        let mut message = take::as_object(raw, place)?;
        let role = take::needed_text(&mut message, "role", place)?;
        let content = take::raw(&mut message, "content");
        message.take("name"); // a label no other protocol has; never glued into the text
        let cache = take::breakpoint(&mut message);
        match role.decode().as_ref() {
            "system" | "developer" => system(content, cache, request, &place, warnings)?,
            "user" => {
                let content =
                    content.ok_or_else(|| wrong(place.member("content"), "is missing"))?;
                for part in parts(content, cache, &place, warnings)? {
                    if matches!(part, Part::Refusal(_)) {
                        return Err(wrong(place.member("content"), "only the assistant refuses"));
                    }
                    request.push(Role::User, part);
                }
            }
            "assistant" => {
                let content = content.map(|content| parts(content, cache, &place, warnings));
                let content = content.transpose()?.unwrap_or_default();
                if !content.iter().all(is_said) {
                    return Err(refuse(
                        place.member("content"),
                        "an assistant's message holds text and refusals only",
                    ));
                }
                if assistant(&mut message, content, at, request, &place, warnings)? {
                    function_id = Some(legacy_id(at));
                }
            }
            "tool" => {
                let id = take::needed_text(&mut message, "tool_call_id", place)?;
                result(id, content, cache, request, &place, warnings)?;
            }
            "function" => {
                let id = function_id.take().ok_or_else(|| {
                    wrong(
                        place,
                        "a function message without a function_call before it",
                    )
                })?;
                result(id, content, cache, request, &place, warnings)?;
            }
            other => {
                return Err(wrong(
                    place.member("role"),
                    format!("unknown role {other:?}"),
                ));
            }
        }
        take::rest(&message, &MESSAGE_ECHOES, "messages[]", warnings);
    }
    Ok(())
}

fn system<'a>(
    content: Option<Raw<'a>>,
    cache: Option<Cache>,
    request: &mut Request<'a>,
    place: &Place<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let Some(content) = content else {
        return Ok(());
    };
    for part in parts(content, cache, place, warnings)? {
        let Part::Text(TextPart { text, cache }) = part else {
            return Err(refuse(
                place.member("content"),
                "a system message holds text only",
            ));
        };
        request.push_system(text, cache);
    }
    Ok(())
}

fn result<'a>(
    id: Text<'a>,
    content: Option<Raw<'a>>,
    cache: Option<Cache>,
    request: &mut Request<'a>,
    place: &Place<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut parts = match content {
        Some(content) => parts(content, None, place, warnings)?,
        None => Vec::new(),
    };
    let is_shown = |part: &Part<'_>| !matches!(part, Part::Refusal(_) | Part::Audio { .. });
    if !parts.iter().all(is_shown) {
        return Err(refuse(
            format!("{place}.content"),
            "a tool's result holds text, pictures and files only",
        ));
    }
    // The mark of a part is the result's.
    let inner = parts.iter_mut().rev().find_map(|part| *part.cache()?);
    let result = ToolResult {
        id,
        parts,
        is_error: false,
        cache: cache.or(inner),
    };
    request.push(Role::User, Part::Result(result));
    Ok(())
}

/// A string, or an array of parts; the mark of the message is that of its last one.
fn parts<'a>(
    content: Raw<'a>,
    mark: Option<Cache>,
    place: &Place<'_>,
    warnings: &mut Warnings,
) -> Result<Vec<Part<'a>>, Error> {
    let field = place.member("content");
    let mut parts = match content.kind() {
        JsonKind::String => vec![Part::text(take::as_text(content, field)?)],
        JsonKind::Array => take::as_array(content, field)?
            .enumerate()
            .map(|(at, raw)| part(raw, &field.element(at), warnings))
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong(field, "expected a string or an array of parts")),
    };
    if let Some(cache) = parts.last_mut().and_then(Part::cache) {
        *cache = cache.or(mark);
    }
    Ok(parts)
}

/// Whether an assistant can have said it.
fn is_said(part: &Part<'_>) -> bool {
    matches!(part, Part::Text(_) | Part::Refusal(_))
}

fn part<'a>(raw: Raw<'a>, place: &Place<'_>, warnings: &mut Warnings) -> Result<Part<'a>, Error> {
    let mut part = take::as_object(raw, place)?;
    let read = part_members(&mut part, place, warnings)?;
    take::rest(&part, &[], "messages[].content[]", warnings);
    Ok(read)
}

fn part_members<'a>(
    part: &mut Object<'a>,
    place: &Place<'_>,
    warnings: &mut Warnings,
) -> Result<Part<'a>, Error> {
    let cache = take::breakpoint(part);
    let kind = take::needed_text(part, "type", place)?;
    match kind.decode().as_ref() {
        "text" => Ok(Part::Text(TextPart {
            text: take::needed_text(part, "text", place)?,
            cache,
        })),
        "refusal" => Ok(Part::Refusal(take::needed_text(part, "refusal", place)?)),
        "image_url" => {
            let inner =
                take::raw(part, "image_url").ok_or_else(|| wrong(place, "image_url is missing"))?;
            let (url, detail) = if inner.kind() == JsonKind::String {
                (take::as_text(inner, place)?, None) // some clients leave the object out
            } else {
                let mut inner = take::as_object(inner, place)?;
                let detail = take::text(&mut inner, "detail")?;
                let url = take::needed_text(&mut inner, "url", place)?;
                take::rest(&inner, &[], "messages[].content[].image_url", warnings);
                (url, detail)
            };
            let source =
                Source::of_url(url).ok_or_else(|| refuse(place, "a data URL must be base64"))?;
            Ok(Part::Image(Image {
                source,
                detail,
                cache,
            }))
        }
        "input_audio" => {
            let mut inner = take::object(part, "input_audio")?
                .ok_or_else(|| wrong(place, "input_audio is missing"))?;
            let data = take::needed_text(&mut inner, "data", place)?;
            let format = take::needed_text(&mut inner, "format", place)?;
            take::rest(&inner, &[], "messages[].content[].input_audio", warnings);
            Ok(Part::Audio { data, format })
        }
        "file" => {
            let mut inner =
                take::object(part, "file")?.ok_or_else(|| wrong(place, "file is missing"))?;
            let name = take::text(&mut inner, "filename")?;
            if take::raw(&mut inner, "file_id").is_some() {
                return Err(refuse(
                    format!("{place}.file.file_id"),
                    "a file id means nothing to another vendor; send file_data",
                ));
            }
            let data = take::needed_text(&mut inner, "file_data", place)?;
            take::rest(&inner, &[], "messages[].content[].file", warnings);
            let source = Source::of_file(data, name.as_ref())
                .ok_or_else(|| refuse(place, "a data URL must be base64"))?;
            Ok(Part::File(File {
                source,
                name,
                cache,
            }))
        }
        other => Err(refuse(
            place,
            format!("a part of type {other:?} cannot be converted"),
        )),
    }
}

/// The id of the legacy `function_call` in the message `at`: it has none of its own.
fn legacy_id(at: usize) -> Text<'static> {
    Text::owned(format!("call_fn_{at}"))
}

/// Reads the assistant message `at`, of which the content was read; true: it holds a legacy `function_call`.
fn assistant<'a>(
    message: &mut Object<'a>,
    content: Vec<Part<'a>>,
    at: usize,
    request: &mut Request<'a>,
    place: &Place<'_>,
    warnings: &mut Warnings,
) -> Result<bool, Error> {
    if take::raw(message, "audio").is_some() {
        return Err(refuse(
            place.member("audio"),
            "audio of an earlier answer cannot be converted",
        ));
    }
    for part in thoughts(message, place)? {
        request.push(Role::Assistant, part);
    }
    for part in content {
        request.push(Role::Assistant, part);
    }
    if let Some(refusal) = take::text(message, "refusal")?.filter(|text| !text.is_empty()) {
        request.push(Role::Assistant, Part::Refusal(refusal));
    }
    if let Some(calls) = take::array(message, "tool_calls")? {
        let list = place.member("tool_calls");
        for (at, raw) in calls.enumerate() {
            let call = call(raw, &list.element(at), warnings)?;
            request.push(Role::Assistant, Part::Call(call));
        }
    }
    let Some(mut function) = take::object(message, "function_call")? else {
        return Ok(false);
    };
    let legacy = Call {
        id: legacy_id(at),
        kind: CallKind::Function,
        name: take::needed_text(&mut function, "name", place)?,
        namespace: None,
        arguments: Arguments::Text(take::text(&mut function, "arguments")?.unwrap_or_default()),
    };
    take::rest(&function, &[], "messages[].function_call", warnings);
    request.push(Role::Assistant, Part::Call(legacy));
    Ok(true)
}

fn call<'a>(raw: Raw<'a>, place: &Place<'_>, warnings: &mut Warnings) -> Result<Call<'a>, Error> {
    let mut call = take::as_object(raw, place)?;
    let id = take::needed_text(&mut call, "id", place)?;
    let custom = take::object(&mut call, "custom")?;
    let function = take::object(&mut call, "function")?;
    take::rest(
        &call,
        &["type", "index"],
        "messages[].tool_calls[]",
        warnings,
    );
    if let Some(mut custom) = custom {
        let call = Call {
            id,
            kind: CallKind::Custom,
            name: take::needed_text(&mut custom, "name", place)?,
            namespace: None,
            arguments: Arguments::Text(take::text(&mut custom, "input")?.unwrap_or_default()),
        };
        take::rest(&custom, &[], "messages[].tool_calls[].custom", warnings);
        return Ok(call);
    }
    let mut function = function.ok_or_else(|| {
        refuse(
            place,
            "a tool call that is neither function nor custom cannot be converted",
        )
    })?;
    let call = Call {
        id,
        kind: CallKind::Function,
        name: take::needed_text(&mut function, "name", place)?,
        namespace: None,
        arguments: Arguments::Text(take::text(&mut function, "arguments")?.unwrap_or_default()),
    };
    take::rest(&function, &[], "messages[].tool_calls[].function", warnings);
    Ok(call)
}

/// What the model thought: the text of `reasoning_content` or `reasoning`, and the proofs in `reasoning_details` as the response
/// writer put them there.
fn thoughts<'a>(message: &mut Object<'a>, place: &Place<'_>) -> Result<Vec<Part<'a>>, Error> {
    let newer = take::raw(message, "reasoning").filter(|raw| raw.kind() == JsonKind::String);
    let text = take::text(message, "reasoning_content")?
        .filter(|text| !text.is_empty())
        .or(newer.and_then(Text::of));
    let mut found: Vec<Reasoning<'a>> = Vec::new();
    let mut loose = Text::EMPTY;
    if let Some(details) = take::array(message, "reasoning_details")? {
        for raw in details {
            let mut detail = take::as_object(raw, place)?;
            let said = take::text(&mut detail, "text")?.or(take::text(&mut detail, "summary")?);
            match proof(&mut detail)? {
                Some(proof) => found.push(Reasoning {
                    text: said.unwrap_or_default(),
                    proof: Some(proof),
                }),
                None => loose.push(&said.unwrap_or_default()),
            }
        }
    }
    let text = text.unwrap_or(loose);
    match found.first_mut() {
        Some(first) if first.text.is_empty() => {
            // The text of the first proof is what no later one names as its own.
            let later: Vec<Text<'a>> = found[1..]
                .iter()
                .map(|reasoning| reasoning.text.clone())
                .collect();
            found[0].text = without_tail(text, &later);
        }
        None if !text.is_empty() => found.push(Reasoning { text, proof: None }),
        _ => {}
    }
    Ok(found.into_iter().map(Part::Reasoning).collect())
}

fn without_tail<'a>(text: Text<'a>, later: &[Text<'a>]) -> Text<'a> {
    let mut kept = text.as_escaped();
    for tail in later.iter().rev().filter(|tail| !tail.is_empty()) {
        let shorter = kept.strip_suffix(tail.as_escaped());
        kept = shorter.map_or(kept, |kept| kept.strip_suffix(r"\n\n").unwrap_or(kept));
    }
    let length = kept.len();
    text.truncated(length)
}

fn proof<'a>(detail: &mut Object<'a>) -> Result<Option<Proof<'a>>, Error> {
    let format = take::text(detail, "format")?.unwrap_or_default();
    let item = take::text(detail, "id")?;
    if let Some(signature) = take::text(detail, "signature")?.filter(|text| !text.is_empty()) {
        return Ok(carrier::unwrap(signature, Owner::Messages));
    }
    let Some(data) = take::text(detail, "data")?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let owner = match format.decode().as_ref() {
        "gw1.r" | "openai-responses-v1" => Owner::Responses,
        "gw1.m" | "anthropic-claude-v1" => Owner::Messages,
        _ => return Ok(carrier::unwrap(data, Owner::Chat)),
    };
    Ok(Some(Proof {
        redacted: owner == Owner::Messages,
        item,
        ..Proof::native(owner, data)
    }))
}
