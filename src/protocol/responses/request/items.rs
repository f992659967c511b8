//! Input items, one after the other, as parts of turns (protocols.md 2.2). Nothing is paired or moved here. An item of an
//! unknown type is refused: content must never vanish.

use super::fields::{cache, get, optional, required, says};
use super::{settings, tools};
use crate::error::Error;
use crate::protocol::carrier;
use crate::protocol::neutral::{
    Arguments, Builtin, Call, CallKind, File, Image, Owner, Part, Reasoning, Request, Role, Source,
    TextPart, ToolResult,
};
use crate::protocol::place::Place;
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::render::Members;
use crate::protocol::responses::{compact, state};
use crate::protocol::text::Text;
use crate::protocol::{Warnings, take};
use crate::wire::json::{JsonKind, Object, Raw};
use std::borrow::Cow;

/// What items of all kinds together have; a member that stands in the wrong kind of item is an error before, or says nothing.
const ITEM_MEMBERS: [&str; 22] = [
    "type",
    "role",
    "content",
    "id",
    "status",
    "call_id",
    "name",
    "arguments",
    "output",
    "input",
    "summary",
    "encrypted_content",
    "phase",
    "namespace",
    "caller",
    "async",
    "action",
    "operation",
    "execution",
    "tools",
    "max_output_length",
    "internal_chat_message_metadata_passthrough",
];
/// The same of parts.
const PART_MEMBERS: [&str; 12] = [
    "type",
    "text",
    "annotations",
    "logprobs",
    "image_url",
    "detail",
    "refusal",
    "file_data",
    "file_url",
    "filename",
    "input_audio",
    "prompt_cache_breakpoint",
];

/// Reads `input`: a string is one user message.
pub fn input<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if let Some(said) = Text::of(raw) {
        request.push(Role::User, Part::text(said));
        return Ok(());
    }
    if raw.kind() != JsonKind::Array {
        return Err(wrong("input", "must be a string or an array of items"));
    }
    for (at, raw) in take::as_array(raw, "input")?.enumerate() {
        let list = Place::Field("input");
        let path = list.element(at);
        let item = take::as_object(raw, path)?;
        if self::item(raw, &item, &path, request, warnings)? {
            take::rest(&item, &ITEM_MEMBERS, "input[]", warnings);
        }
    }
    Ok(())
}

/// Reads one item. False: it is passed on or named as a whole, or its members were looked at one by one.
fn item<'a>(
    raw: Raw<'a>,
    item: &Object<'a>,
    path: &Place<'_>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<bool, Error> {
    let kind = optional(item, "type", path)?;
    let kind = kind.as_ref().map(Text::decode);
    if let Some(caller) = get(item, "caller")
        && !says(&take::as_object(caller, path)?, "type", "direct")
    {
        return Err(refuse(path, "calls made by a program are not supported"));
    }
    if get(item, "async").and_then(Raw::as_bool) == Some(true) {
        return Err(refuse(path, "asynchronous tools are not supported"));
    }
    let read = match kind.as_deref() {
        None if get(item, "role").is_none() && get(item, "id").is_some() => reference(item, path),
        None | Some("message") => message(item, path, request, warnings),
        Some("item_reference") => reference(item, path),
        Some("reasoning") => {
            reasoning(item, path, request);
            Ok(())
        }
        Some("function_call") => {
            let arguments = required(item, "arguments", path)?;
            call(item, path, CallKind::Function, None, arguments, request)
        }
        Some("custom_tool_call") => {
            let input = required(item, "input", path)?;
            call(item, path, CallKind::Custom, None, input, request)
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            let id = required(item, "call_id", path)?;
            let mut parts = Vec::new();
            if let Some(output) = get(item, "output") {
                content(
                    output,
                    &path.member("output"),
                    Speaker::Other,
                    &mut parts,
                    warnings,
                )?;
            }
            if parts.iter().any(|part| matches!(part, Part::Audio { .. })) {
                let field = format!("{path}.output");
                return Err(refuse(field, "a tool's result holds no sound"));
            }
            result(id, parts, false, request);
            Ok(())
        }
        Some("local_shell_call") => {
            let arguments = local_shell(&inner(item, "action", path)?);
            builtin(item, path, Builtin::LocalShell, arguments, request)
        }
        Some("shell_call") => {
            let arguments = shell(&inner(item, "action", path)?);
            builtin(item, path, Builtin::Shell, arguments, request)
        }
        Some("apply_patch_call") => {
            inner(item, "operation", path)?;
            let operation = get(item, "operation").map_or("{}", Raw::text);
            builtin(item, path, Builtin::ApplyPatch, operation.into(), request)
        }
        Some("tool_search_call") if is_clients(item) => {
            let arguments = match get(item, "arguments") {
                Some(raw) => raw.as_str().unwrap_or(Cow::Borrowed(raw.text())),
                None => "{}".into(),
            };
            builtin(item, path, Builtin::ToolSearch, arguments.into(), request)
        }
        Some("local_shell_call_output") => {
            // The type has no call_id of its own: `id` names the call.
            let id = match optional(item, "call_id", path)? {
                Some(id) => id,
                None => required(item, "id", path)?,
            };
            let output = required(item, "output", path)?;
            result(id, vec![Part::text(output)], false, request);
            Ok(())
        }
        Some("shell_call_output") => {
            let id = required(item, "call_id", path)?;
            let said = shell_output(item, path)?;
            result(id, vec![Part::text(said)], false, request);
            Ok(())
        }
        Some("apply_patch_call_output") => {
            let id = required(item, "call_id", path)?;
            let status = required(item, "status", path)?;
            let failed = status.is("failed");
            let said = optional(item, "output", path)?.unwrap_or(status);
            result(id, vec![Part::text(said)], failed, request);
            Ok(())
        }
        Some("tool_search_output") => {
            let loaded = match get(item, "tools") {
                Some(raw) => tools::more(raw, &path.member("tools"), request, warnings)?,
                None => String::new(),
            };
            if is_clients(item) {
                let id = required(item, "call_id", path)?;
                let said = Text::owned(format!("[tools loaded: {loaded}]"));
                result(id, vec![Part::text(said)], false, request);
            }
            Ok(())
        }
        Some("additional_tools") => match get(item, "tools") {
            Some(raw) => tools::more(raw, &path.member("tools"), request, warnings).map(|_| ()),
            None => Ok(()),
        },
        Some("configuration_update") => {
            if let Some(raw) = get(item, "reasoning") {
                settings::reasoning(raw, &path.member("reasoning"), request, warnings)?;
            }
            if let Some(raw) = get(item, "text") {
                settings::shape(raw, &path.member("text"), request, warnings)?;
            }
            return Ok(false);
        }
        Some("compaction" | "compaction_summary") => {
            let code = required(item, "encrypted_content", path)?;
            let Some(summary) = compact::opened(&code) else {
                return Err(refuse(
                    path,
                    "this compaction was made by another server, only that one can read it",
                ));
            };
            request.push_system(Text::owned(summary), None);
            Ok(())
        }
        Some("compaction_trigger") => Err(refuse(path, "compaction is not supported here")),
        Some(
            name @ ("web_search_call"
            | "file_search_call"
            | "code_interpreter_call"
            | "image_generation_call"
            | "mcp_list_tools"
            | "mcp_call"
            | "mcp_approval_request"
            | "tool_search_call"),
        ) => {
            let name = Cow::Owned(name.to_owned());
            request.push(Role::Assistant, Part::Hosted { name, json: raw });
            return Ok(false);
        }
        Some(other) => Err(refuse(
            path,
            format!("items of type {other:?} cannot be converted"),
        )),
    };
    read.map(|()| true)
}

fn reference(item: &Object<'_>, path: &Place<'_>) -> Result<(), Error> {
    let id = required(item, "id", path)?;
    Err(state::not_found(&path.to_string(), &id.decode()))
}

fn inner<'a>(item: &Object<'a>, key: &str, path: &Place<'_>) -> Result<Object<'a>, Error> {
    let field = path.member(key);
    match get(item, key) {
        Some(raw) => take::as_object(raw, field),
        None => Err(wrong(field, "is required")),
    }
}

fn is_clients(item: &Object<'_>) -> bool {
    says(item, "execution", "client")
}

fn message<'a>(
    item: &Object<'a>,
    path: &Place<'_>,
    request: &mut Request<'a>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let role = required(item, "role", path)?;
    let mut parts = Vec::new();
    let speaker = match role.decode().as_ref() {
        "user" => Speaker::Other,
        "assistant" => Speaker::Model,
        "system" | "developer" => Speaker::Other,
        other => {
            return Err(wrong(
                path.member("role"),
                format!("unknown role {other:?}"),
            ));
        }
    };
    let field = path.member("content");
    if let Some(raw) = get(item, "content") {
        content(raw, &field, speaker, &mut parts, warnings)?;
    }
    if role.is("system") || role.is("developer") {
        for part in parts {
            let Part::Text(part) = part else {
                return Err(refuse(field, "only text can be said by the system"));
            };
            request.push_system(part.text, part.cache);
        }
        return Ok(());
    }
    let role = match speaker {
        Speaker::Model => Role::Assistant,
        Speaker::Other => Role::User,
    };
    for part in parts {
        request.push(role, part);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Model,
    Other,
}

/// Content of a message or of a tool's answer: a string or parts.
fn content<'a>(
    raw: Raw<'a>,
    path: &Place<'_>,
    speaker: Speaker,
    parts: &mut Vec<Part<'a>>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if let Some(said) = Text::of(raw) {
        parts.push(Part::text(said));
        return Ok(());
    }
    if raw.kind() != JsonKind::Array {
        return Err(wrong(path, "must be a string or an array of parts"));
    }
    for (at, raw) in take::as_array(raw, path)?.enumerate() {
        let path = path.element(at);
        let part = take::as_object(raw, path)?;
        let kind = required(&part, "type", &path)?;
        take::rest(&part, &PART_MEMBERS, "input[].content[]", warnings);
        parts.push(match (kind.decode().as_ref(), speaker) {
            ("input_text" | "output_text" | "text", _) => Part::Text(TextPart {
                text: required(&part, "text", &path)?,
                cache: cache(&part),
            }),
            ("refusal", Speaker::Model) => Part::Refusal(required(&part, "refusal", &path)?),
            ("input_image", Speaker::Other) => Part::Image(image(&part, &path)?),
            ("input_file", Speaker::Other) => Part::File(file(&part, &path)?),
            ("input_audio", Speaker::Other) => {
                let audio = inner(&part, "input_audio", &path)?;
                let place = "input[].content[].input_audio";
                take::rest(&audio, &["data", "format"], place, warnings);
                Part::Audio {
                    data: required(&audio, "data", &path)?,
                    format: required(&audio, "format", &path)?,
                }
            }
            (other, _) => {
                let reason = format!("parts of type {other:?} cannot be converted");
                return Err(refuse(path, reason));
            }
        });
    }
    Ok(())
}

fn image<'a>(part: &Object<'a>, path: &Place<'_>) -> Result<Image<'a>, Error> {
    if get(part, "file_id").is_some() {
        return Err(foreign_file(path));
    }
    let url = required(part, "image_url", path)?;
    let Some(source) = Source::of_url(url) else {
        return Err(wrong(
            path.member("image_url"),
            "a data: URL must be base64",
        ));
    };
    Ok(Image {
        source,
        detail: optional(part, "detail", path)?,
        cache: cache(part),
    })
}

fn file<'a>(part: &Object<'a>, path: &Place<'_>) -> Result<File<'a>, Error> {
    if get(part, "file_id").is_some() {
        return Err(foreign_file(path));
    }
    let name = optional(part, "filename", path)?;
    let source = match optional(part, "file_url", path)? {
        Some(url) => Source::Url(url),
        None => {
            let data = required(part, "file_data", path)?;
            Source::of_file(data, name.as_ref())
                .ok_or_else(|| wrong(path.member("file_data"), "a data: URL must be base64"))?
        }
    };
    Ok(File {
        source,
        name,
        cache: cache(part),
    })
}

fn foreign_file(path: &Place<'_>) -> Error {
    refuse(
        path.member("file_id"),
        "an uploaded file cannot reach this model's upstream, send its data",
    )
}

fn reasoning<'a>(item: &Object<'a>, path: &Place<'_>, request: &mut Request<'a>) {
    let texts = |key: &str| {
        let parts = get(item, key).and_then(|raw| raw.elements().ok());
        let texts = parts.into_iter().flatten().filter_map(|part| {
            let part = part.as_object().ok()?;
            Text::of(part.get("text")?).filter(|text| !text.is_empty())
        });
        texts.collect::<Vec<_>>()
    };
    let mut shown = texts("summary");
    if shown.is_empty() {
        shown = texts("content");
    }
    let said = match shown.len() {
        1 => shown.remove(0),
        _ => Text::join(&shown, "\n\n"),
    };
    let mut proof = get(item, "encrypted_content")
        .and_then(Text::of)
        .and_then(|value| carrier::unwrap(value, Owner::Responses));
    if let Some(proof) = &mut proof
        && proof.owner == Owner::Responses
        && proof.item.is_none()
    {
        proof.item = optional(item, "id", path).ok().flatten();
    }
    if !said.is_empty() || proof.is_some() {
        request.push(
            Role::Assistant,
            Part::Reasoning(Reasoning { text: said, proof }),
        );
    }
}

fn call<'a>(
    item: &Object<'a>,
    path: &Place<'_>,
    kind: CallKind,
    name: Option<Text<'a>>,
    arguments: Text<'a>,
    request: &mut Request<'a>,
) -> Result<(), Error> {
    let name = match name {
        Some(name) => name,
        None => required(item, "name", path)?,
    };
    request.push(
        Role::Assistant,
        Part::Call(Call {
            id: required(item, "call_id", path)?,
            kind,
            name,
            namespace: optional(item, "namespace", path)?,
            arguments: Arguments::Text(arguments),
        }),
    );
    Ok(())
}

fn builtin<'a>(
    item: &Object<'a>,
    path: &Place<'_>,
    kind: Builtin,
    arguments: String,
    request: &mut Request<'a>,
) -> Result<(), Error> {
    let name = Text::constant(tools::builtin_name(kind));
    let arguments = Text::owned(arguments);
    call(
        item,
        path,
        CallKind::Builtin(kind),
        Some(name),
        arguments,
        request,
    )
}

fn result<'a>(id: Text<'a>, parts: Vec<Part<'a>>, is_error: bool, request: &mut Request<'a>) {
    request.push(
        Role::User,
        Part::Result(ToolResult {
            id,
            parts,
            is_error,
            cache: None,
        }),
    );
}

/// The arguments of the function that `local_shell` is offered as (protocols.md 5.7).
fn local_shell(action: &Object<'_>) -> String {
    renamed(
        action,
        &[
            ("command", "command"),
            ("working_directory", "workdir"),
            ("timeout_ms", "timeout_ms"),
            ("env", "env"),
        ],
    )
}

/// The same for `shell`.
fn shell(action: &Object<'_>) -> String {
    renamed(
        action,
        &[
            ("commands", "commands"),
            ("timeout_ms", "timeout_ms"),
            ("max_output_length", "max_output_length"),
        ],
    )
}

fn renamed(object: &Object<'_>, names: &[(&str, &str)]) -> String {
    let mut out = Vec::new();
    Members::object(&mut out, |m| {
        for (theirs, ours) in names {
            m.raw_if(ours, get(object, theirs).map(Raw::text));
        }
    });
    String::from_utf8(out).unwrap_or_default() // pieces of a str and ASCII
}

/// What a shell said, as text: per command its output, its errors, how it ended (protocols.md 5.7).
fn shell_output<'a>(item: &Object<'a>, path: &Place<'_>) -> Result<Text<'a>, Error> {
    let Some(raw) = get(item, "output") else {
        return Ok(Text::EMPTY);
    };
    if let Some(said) = Text::of(raw) {
        return Ok(said);
    }
    let mut lines = Vec::new();
    let list = path.member("output");
    for (at, raw) in take::as_array(raw, list)?.enumerate() {
        let path = list.element(at);
        let entry = take::as_object(raw, path)?;
        if let Some(out) = optional(&entry, "stdout", &path)?.filter(|out| !out.is_empty()) {
            lines.push(out);
        }
        if let Some(err) = optional(&entry, "stderr", &path)?.filter(|err| !err.is_empty()) {
            lines.push(Text::constant("[stderr]"));
            lines.push(err);
        }
        let Some(outcome) = get(&entry, "outcome") else {
            continue;
        };
        let outcome = take::as_object(outcome, path)?;
        let kind = required(&outcome, "type", &path)?;
        lines.push(match get(&outcome, "exit_code") {
            _ if kind.is("timeout") => Text::constant("[timed out]"),
            Some(code) => Text::owned(format!("[exit code {}]", code.text())),
            None => continue,
        });
    }
    Ok(Text::join(&lines, "\n"))
}
