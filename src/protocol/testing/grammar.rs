//! What a client may count on in any stream of its protocol, whatever the upstream sent: one answer, begun once, its parts one
//! after another, ended once or broken off with an error. Knows the three formats and nothing of this program, so that the
//! fuzzing targets can use it as it is.

use serde_json::Value;

/// How a stream stands at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its last event says that the answer is whole.
    Complete,
    /// Its last event is an error.
    Failed,
    /// It breaks off; to a client's SDK it is an error.
    Open,
}

/// The data of each event, in JSON, with its name; `[DONE]` as a string. Comments are left out.
pub fn frames(out: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let text = std::str::from_utf8(out).map_err(|_| "broken UTF-8")?;
    if text.contains('\r') {
        return Err("a CR ends a line of an event".to_owned());
    }
    if !text.is_empty() && !text.ends_with("\n\n") {
        return Err("the last event is cut".to_owned());
    }
    let mut frames = Vec::new();
    for event in text.split_terminator("\n\n") {
        let (mut name, mut data) = ("", None);
        for line in event.split('\n') {
            if let Some(value) = line.strip_prefix("event: ") {
                name = value;
            } else if let Some(value) = line.strip_prefix("data: ") {
                if data.replace(value).is_some() {
                    return Err(format!("two data lines: {event}"));
                }
            } else if !line.starts_with(':') {
                return Err(format!("no field: {event}"));
            }
        }
        let Some(data) = data else {
            if name.is_empty() {
                continue;
            }
            return Err(format!("an event without data: {event}"));
        };
        let value = match data {
            "[DONE]" => Value::String(data.to_owned()),
            _ => serde_json::from_str(&tamed(data)).map_err(|error| format!("{error}: {data}"))?,
        };
        frames.push((name.to_owned(), value));
    }
    Ok(frames)
}

/// Text is pasted as the upstream escaped it, and may be cut between the two surrogates of a character. serde_json refuses a lone
/// one, so all of them become characters for private use.
pub fn tamed(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let unit = match escape.as_bytes() {
            [
                b'\\',
                b'u',
                b'd' | b'D',
                b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F',
                ..,
            ] => {
                out.push_str("\\ue");
                3
            }
            _ => {
                let end = escape
                    .char_indices()
                    .nth(2)
                    .map_or(escape.len(), |(end, _)| end);
                out.push_str(&escape[..end]);
                end
            }
        };
        rest = &escape[unit..];
    }
    out.push_str(rest);
    out
}

macro_rules! need {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err(format!($($words)+));
        }
    };
}

fn string<'v>(value: &'v Value, what: &str) -> Result<&'v str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("{what} is {value}, not a string"))
}

/// Checks a Chat client's stream (protocols.md 1.4).
pub fn chat(out: &[u8]) -> Result<Ending, String> {
    let (mut ending, mut finished, mut calls) = (Ending::Open, false, 0);
    let mut envelope = None;
    for (at, (name, chunk)) in frames(out)?.iter().enumerate() {
        need!(name.is_empty(), "an event has the name {name}");
        need!(ending == Ending::Open, "after the end: {chunk}");
        if chunk == "[DONE]" {
            need!(finished, "[DONE] before a finish reason");
            ending = Ending::Complete;
            continue;
        }
        if let Some(error) = chunk.get("error") {
            need!(!finished, "an error after the finish");
            string(&error["message"], "error.message")?;
            ending = Ending::Failed;
            continue;
        }
        need!(
            chunk["object"] == "chat.completion.chunk",
            "object: {chunk}"
        );
        let constant = (&chunk["id"], &chunk["created"], &chunk["model"]);
        need!(
            *envelope.get_or_insert(constant) == constant,
            "the envelope changes: {chunk}"
        );
        let choices = chunk["choices"].as_array().ok_or("no choices")?;
        need!(choices.len() <= 1, "{} choices", choices.len());
        let Some(choice) = choices.first() else {
            need!(finished, "usage before the finish");
            need!(
                chunk["usage"]["total_tokens"].is_u64(),
                "no totals: {chunk}"
            );
            continue;
        };
        need!(choice["index"] == 0, "{chunk}");
        need!(!finished, "a delta after the finish: {chunk}");
        let delta = choice["delta"].as_object().ok_or("no delta")?;
        need!(
            (delta.get("role").and_then(Value::as_str) == Some("assistant")) == (at == 0),
            "the role comes first and once: {chunk}"
        );
        for key in ["content", "reasoning_content", "refusal"] {
            if let Some(text) = delta.get(key) {
                string(text, key)?;
            }
        }
        for call in delta
            .get("tool_calls")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let index = call["index"].as_u64().ok_or("a call without an index")?;
            if index == calls {
                let kind = string(&call["type"], "a call's type")?;
                string(&call["id"], "a call's id")?;
                string(&call[kind]["name"], "a call's name")?;
                calls += 1;
            } else {
                need!(index + 1 == calls, "call {index} of {calls}");
                need!(call.get("id").is_none(), "a call begins twice: {chunk}");
            }
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            need!(
                ["stop", "length", "tool_calls", "content_filter"].contains(&reason),
                "finish reason {reason}"
            );
            need!(
                reason != "tool_calls" || calls > 0,
                "tool_calls without a call"
            );
            finished = true;
        } else {
            need!(choice["finish_reason"].is_null(), "{chunk}");
        }
    }
    Ok(ending)
}

/// Checks a Messages client's stream (protocols.md 3.5).
pub fn messages(out: &[u8]) -> Result<Ending, String> {
    let (mut ending, mut begun, mut ended) = (Ending::Open, false, false);
    let mut next = 0;
    let mut open: Option<(String, String)> = None; // its type, and what it said
    let mut calls: Vec<String> = Vec::new();
    let mut unsigned = false;
    for (name, frame) in frames(out)? {
        let kind = string(&frame["type"], "type")?;
        need!(name == kind, "event {name} has the type {kind}");
        need!(ending == Ending::Open, "after the end: {frame}");
        let expected = ["message_start", "error", "ping"].contains(&kind);
        need!(begun || expected, "{kind} before message_start");
        need!(
            !ended || kind == "message_stop" || kind == "ping",
            "{kind} after message_delta"
        );
        let index = frame["index"].as_u64();
        match kind {
            "ping" => {}
            "error" => {
                string(&frame["error"]["type"], "error.type")?;
                string(&frame["error"]["message"], "error.message")?;
                ending = Ending::Failed;
            }
            "message_start" => {
                need!(!begun, "message_start twice");
                let message = &frame["message"];
                string(&message["id"], "id")?;
                need!(message["role"] == "assistant", "{frame}");
                need!(
                    message["content"].as_array().is_some_and(Vec::is_empty),
                    "{frame}"
                );
                need!(message["usage"]["input_tokens"].is_u64(), "{frame}");
                begun = true;
            }
            "content_block_start" => {
                need!(open.is_none() && index == Some(next), "{frame}");
                next += 1;
                let block = &frame["content_block"];
                let kind = string(&block["type"], "a block's type")?;
                if kind == "tool_use" {
                    string(&block["id"], "a call's id")?;
                    string(&block["name"], "a call's name")?;
                    need!(
                        block["input"].as_object().is_some_and(|o| o.is_empty()),
                        "{frame}"
                    );
                }
                if kind == "redacted_thinking" {
                    string(&block["data"], "data")?;
                }
                unsigned = kind == "thinking";
                open = Some((kind.to_owned(), String::new()));
            }
            "content_block_delta" => {
                let Some((block, said)) = &mut open else {
                    return Err(format!("no block is open: {frame}"));
                };
                need!(index == Some(next - 1), "{frame}");
                let delta = &frame["delta"];
                let (of, key) = match string(&delta["type"], "a delta's type")? {
                    "text_delta" => ("text", "text"),
                    "thinking_delta" => ("thinking", "thinking"),
                    "signature_delta" => ("thinking", "signature"),
                    "input_json_delta" => ("tool_use", "partial_json"),
                    other => return Err(format!("a delta of the type {other}")),
                };
                need!(block == of, "a {block} block gets {frame}");
                let piece = string(&delta[key], key)?;
                if key == "signature" {
                    need!(unsigned, "a thought is signed twice");
                    unsigned = false;
                } else {
                    need!(block != "thinking" || unsigned, "a signed thought goes on");
                    said.push_str(piece);
                }
            }
            "content_block_stop" => {
                need!(
                    index.is_some() && index == Some(next.wrapping_sub(1)),
                    "{frame}"
                );
                let (block, said) = open.take().ok_or("no block is open")?;
                need!(!unsigned, "a thought without a signature");
                need!(block != "text" || !said.is_empty(), "an empty text block");
                if block == "tool_use" {
                    calls.push(said);
                }
            }
            "message_delta" => {
                need!(open.is_none(), "message_delta inside a block");
                need!(frame["usage"]["output_tokens"].is_u64(), "{frame}");
                let reason = string(&frame["delta"]["stop_reason"], "stop_reason")?;
                need!(
                    reason != "tool_use" || !calls.is_empty(),
                    "tool_use without a call"
                );
                for call in &calls {
                    let is_object = call.trim().is_empty()
                        || serde_json::from_str::<Value>(&tamed(call)).is_ok_and(|v| v.is_object());
                    // Those that were cut at the limit end as Anthropic ends them. What nests deeper than serde_json
                    // reads is not judged here.
                    let cut = reason == "max_tokens";
                    let deep = call.bytes().filter(|b| b"[{".contains(b)).count() > 100;
                    need!(is_object || cut || deep, "arguments {call}");
                }
                ended = true;
            }
            "message_stop" => {
                need!(ended, "message_stop before message_delta");
                ending = Ending::Complete;
            }
            other => return Err(format!("an event of the type {other}")),
        }
    }
    Ok(ending)
}

/// An item of a Responses stream.
struct Item {
    id: Value,
    kind: String,
    done: bool,
    /// Whether each of its parts is done.
    parts: Vec<bool>,
    /// Whether it was told in pieces.
    piecewise: bool,
    said: String,
}

/// Checks a Responses client's stream (protocols.md 2.5).
pub fn responses(out: &[u8]) -> Result<Ending, String> {
    let mut ending = Ending::Open;
    let mut items: Vec<Item> = Vec::new();
    let mut id = Value::Null;
    let mut at = 0;
    for (name, frame) in frames(out)? {
        let kind = string(&frame["type"], "type")?;
        need!(name == kind, "event {name} has the type {kind}");
        need!(ending == Ending::Open, "after the end: {frame}");
        need!(frame["sequence_number"] == at, "number {at}: {frame}");
        at += 1;
        let response = &frame["response"];
        match (at, kind) {
            (1, "error") => {
                string(&frame["error"]["message"], "error.message")?;
                ending = Ending::Failed;
                continue;
            }
            (1, "response.created") => {
                string(&response["id"], "id")?;
                id = response["id"].clone();
                continue;
            }
            (2, "response.in_progress") => continue,
            (1 | 2, _) => return Err(format!("{kind} comes too early")),
            _ => {}
        }
        if let Some(status) = kind.strip_prefix("response.")
            && ["completed", "incomplete", "failed"].contains(&status)
        {
            need!(
                response["id"] == id && response["status"] == status,
                "{frame}"
            );
            if status == "failed" {
                string(&response["error"]["code"], "error.code")?;
                string(&response["error"]["message"], "error.message")?;
                ending = Ending::Failed;
                continue;
            }
            check_output(response, &items, status == "completed")?;
            need!(
                response["usage"]["total_tokens"].is_u64(),
                "no totals: {frame}"
            );
            ending = Ending::Complete;
            continue;
        }
        let index = frame["output_index"].as_u64().ok_or("no output_index")? as usize;
        if kind == "response.output_item.added" {
            let item = &frame["item"];
            need!(index == items.len(), "item {index} of {}", items.len());
            items.push(Item {
                id: item["id"].clone(),
                kind: string(&item["type"], "an item's type")?.to_owned(),
                done: false,
                parts: Vec::new(),
                piecewise: false,
                said: String::new(),
            });
            continue;
        }
        let item = items
            .get_mut(index)
            .ok_or("an item that was not announced")?;
        need!(!item.done, "after its item was done: {frame}");
        if kind == "response.output_item.done" {
            let done = &frame["item"];
            need!(
                done["id"] == item.id && done["type"] == *item.kind,
                "{frame}"
            );
            need!(
                item.parts.iter().all(|done| *done),
                "a part is not done: {frame}"
            );
            let key = match &*item.kind {
                "function_call" => Some("arguments"),
                "custom_tool_call" => Some("input"),
                _ => None,
            };
            if let Some(key) = key {
                // What turned out to be no call of a typed tool is told at once.
                let told = !item.piecewise || done[key] == *item.said;
                need!(told, "said {:?}: {frame}", item.said);
                string(&done["call_id"], "call_id")?;
            }
            if item.kind == "message" {
                let count = done["content"].as_array().map(Vec::len);
                need!(count == Some(item.parts.len()), "{frame}");
            }
            item.done = true;
            continue;
        }
        need!(frame["item_id"] == item.id, "{frame}");
        let part = ["content_index", "summary_index"]
            .into_iter()
            .find_map(|key| frame[key].as_u64())
            .map(|part| part as usize);
        if kind.ends_with("_part.added") {
            need!(part == Some(item.parts.len()), "{frame}");
            need!(
                item.parts.iter().all(|done| *done),
                "two parts are open: {frame}"
            );
            item.parts.push(false);
            item.said.clear();
            continue;
        }
        if let Some(part) = part {
            need!(part + 1 == item.parts.len() && !item.parts[part], "{frame}");
            if kind.ends_with("_part.done") {
                item.parts[part] = true;
                continue;
            }
        }
        item.piecewise = true;
        if kind.ends_with(".delta") {
            item.said.push_str(string(&frame["delta"], "delta")?);
        } else if kind.ends_with(".done") {
            let sums = ["text", "refusal", "arguments", "input"];
            let sum = sums.into_iter().find_map(|key| frame[key].as_str());
            need!(sum == Some(&item.said), "said {:?}: {frame}", item.said);
        }
    }
    Ok(ending)
}

/// The last event has every item once more; of those that were cut only calls, and nothing was cut in an answer that is whole.
fn check_output(response: &Value, items: &[Item], completed: bool) -> Result<(), String> {
    let output = response["output"].as_array().ok_or("no output")?;
    let mut rest = output.iter();
    for item in items {
        need!(item.done || !completed, "completed without {}", item.id);
        if item.done || item.kind.ends_with("call") {
            let found = rest.next().ok_or("an item is missing at the end")?;
            need!(
                found["id"] == item.id,
                "{} instead of {}",
                found["id"],
                item.id
            );
            let status = &found["status"];
            need!(item.done || status == "incomplete", "{found}");
        }
    }
    need!(rest.next().is_none(), "an item was not announced");
    Ok(())
}
