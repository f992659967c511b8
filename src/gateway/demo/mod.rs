//! The upstream of `--demo`: speaks all three protocols properly and repeats what it is told, so that a newcomer sees the
//! gateway work with no account and no key. Pure: a request in, the chunks of its answer out; the caller serves them.

mod chat;
mod messages;
mod responses;
pub mod serve;

use crate::error::{Error, Kind};
use crate::protocol::{Protocol, error_body};
use serde_json::{Map, Value, json};

/// The model it lists. It answers to any name.
pub const MODEL: &str = "demo-echo";
/// Between two events of a stream, so that one sees it stream.
pub const PAUSE_MS: u64 = 30;

/// An answer, whole in one chunk or a stream with an event in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The value of content-type.
    pub content_type: &'static str,
    /// The body in the pieces it is to be sent in.
    pub chunks: Vec<Vec<u8>>,
    /// How long to wait before each chunk but the first.
    pub pause_ms: u64,
}

/// Answers one request. `path` is without its query; `id` tells this answer from others; `now_s` is in Unix seconds.
pub fn answer(method: &str, path: &str, body: &[u8], id: u64, now_s: u64) -> Answer {
    let protocol = match path {
        "/v1/responses" => Protocol::Responses,
        "/v1/messages" | "/v1/messages/count_tokens" => Protocol::Messages,
        _ => Protocol::Chat,
    };
    let stamp = Stamp { id, now_s };
    route(method, path, body, &stamp).unwrap_or_else(|error| {
        let id = format!("req_demo{id}");
        whole(error.status(), error_body(protocol, &error, &id))
    })
}

fn route(method: &str, path: &str, body: &[u8], stamp: &Stamp) -> Result<Answer, Error> {
    let wanted = if path == "/v1/models" { "GET" } else { "POST" };
    let known = [
        "/v1/models",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
    ];
    if !known.contains(&path) {
        let message = format!(
            "the demo upstream has no {path}; it has {}",
            known.join(", ")
        );
        return Err(Error::client(Kind::NotFound, message));
    }
    if method != wanted {
        return Err(Error::client(
            Kind::MethodNotAllowed,
            format!("{path} takes {wanted} only"),
        ));
    }
    if path == "/v1/models" {
        let model = json!({"id": MODEL, "object": "model", "created": stamp.now_s, "owned_by": "llm-wrapper"});
        return Ok(json_answer(&json!({"object": "list", "data": [model]})));
    }
    let request: Value = serde_json::from_slice(body)
        .map_err(|error| bad("body", format!("the body is not JSON: {error}")))?;
    let request = request
        .as_object()
        .ok_or_else(|| bad("body", "the body is not a JSON object"))?;
    match path {
        "/v1/chat/completions" => chat::answer(request, stamp),
        "/v1/responses" => responses::answer(request, stamp),
        "/v1/messages" => messages::answer(request, stamp),
        _ => messages::count_tokens(request),
    }
}

/// What makes one answer differ from the next.
struct Stamp {
    id: u64,
    now_s: u64,
}

/// What was asked, whichever protocol it came in.
#[derive(Default)]
struct Prompt {
    /// Words of everything the model would read.
    words: u64,
    /// The text of the last user turn.
    user: String,
    /// What the last turn's tools returned, if it was theirs.
    tool_result: Option<String>,
    tools: Vec<Tool>,
    choice: Choice,
    /// No more text pieces than this.
    output_max: Option<u64>,
}

/// A function the client offers.
struct Tool {
    name: String,
    schema: Value,
}

/// Whether to call one.
#[derive(Default)]
enum Choice {
    #[default]
    Auto,
    Never,
    Any,
    Named(String),
}

/// What is answered, before it has the form of a protocol.
struct Reply {
    /// The text in the pieces it is streamed in; empty where a tool is called.
    pieces: Vec<String>,
    call: Option<Call>,
    /// Cut at `output_max`.
    cut: bool,
    input_tokens: u64,
    output_tokens: u64,
}

struct Call {
    name: String,
    arguments: Map<String, Value>,
}

impl Call {
    fn arguments_json(&self) -> String {
        Value::Object(self.arguments.clone()).to_string()
    }
}

impl Reply {
    fn text(&self) -> String {
        self.pieces.concat()
    }
}

impl Prompt {
    /// Counts the words of a text and hands it back.
    fn count(&mut self, text: String) -> String {
        self.words += text.split_whitespace().count() as u64;
        text
    }

    /// One token is one word, for want of a tokenizer; there is at least one each way.
    fn reply(&self) -> Reply {
        let input_tokens = self.words.max(1);
        if let Some(call) = self.call() {
            let output_tokens = 1 + call.arguments.len() as u64;
            return Reply {
                pieces: Vec::new(),
                call: Some(call),
                cut: false,
                input_tokens,
                output_tokens,
            };
        }
        let text = match &self.tool_result {
            Some(result) => format!("The tool returned: {result}"),
            None => format!("You said: {}", self.user),
        };
        let mut pieces: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        let room = usize::try_from(self.output_max.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let cut = pieces.len() > room;
        pieces.truncate(room);
        let output_tokens = pieces.len() as u64;
        Reply {
            pieces,
            call: None,
            cut,
            input_tokens,
            output_tokens,
        }
    }

    /// The tool to call: the one demanded, or the first when the user's text speaks of tools.
    fn call(&self) -> Option<Call> {
        let asked = self.tool_result.is_none() && self.user.to_lowercase().contains("tool");
        let tool = match &self.choice {
            Choice::Never => None,
            Choice::Auto if !asked => None,
            // A client that forces a call would loop for ever if its results were not answered in text.
            _ if self.tool_result.is_some() => None,
            Choice::Auto | Choice::Any => self.tools.first(),
            Choice::Named(name) => self.tools.iter().find(|tool| tool.name == *name),
        }?;
        Some(Call {
            name: tool.name.clone(),
            arguments: arguments(&tool.schema, &self.user),
        })
    }
}

/// Arguments that fit the schema's required properties; without any, its first property.
fn arguments(schema: &Value, user: &str) -> Map<String, Value> {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let required = schema["required"].as_array().into_iter().flatten();
    let mut names: Vec<&str> = required.filter_map(Value::as_str).collect();
    if names.is_empty() {
        names.extend(properties.keys().next().map(String::as_str));
    }
    let value = |name: &str| example(name, properties.get(name).unwrap_or(&Value::Null), user);
    names
        .into_iter()
        .map(|name| (name.to_owned(), value(name)))
        .collect()
}

/// A value of that schema. Nested objects are filled the same way.
fn example(name: &str, schema: &Value, user: &str) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    let kind = schema["type"]
        .as_str()
        .or_else(|| schema["type"][0].as_str());
    match kind {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => Value::Object(arguments(schema, user)),
        Some("null") => Value::Null,
        _ => match name {
            "city" | "location" | "place" => json!("Paris"),
            "query" | "q" | "question" | "prompt" | "text" | "message" => json!(user),
            "url" => json!("https://example.com/"),
            _ => json!("example"),
        },
    }
}

/// The text of a content that is a string or a list of parts with a `text` each; other parts are named in brackets.
fn text_of(content: &Value) -> String {
    let Some(parts) = content.as_array() else {
        return content.as_str().unwrap_or_default().to_owned();
    };
    let part = |part: &Value| match (part["text"].as_str(), part["type"].as_str()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(kind)) => format!("[{kind}]"),
        (None, None) => String::new(),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(" ")
}

/// The model's name, which every protocol demands.
fn model_of(request: &Map<String, Value>) -> Result<&str, Error> {
    let model = request
        .get("model")
        .and_then(Value::as_str)
        .filter(|model| !model.is_empty());
    model.ok_or_else(|| bad("model", "model must be a string that is not empty"))
}

/// A list that every request of the protocol must hold and fill.
fn list_of<'r>(request: &'r Map<String, Value>, key: &str) -> Result<&'r Vec<Value>, Error> {
    let list = request
        .get(key)
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty());
    list.ok_or_else(|| bad(key, format!("{key} must be a list that is not empty")))
}

fn streams(request: &Map<String, Value>) -> Result<bool, Error> {
    match request.get("stream") {
        None | Some(Value::Null) => Ok(false),
        Some(stream) => stream
            .as_bool()
            .ok_or_else(|| bad("stream", "stream must be true or false")),
    }
}

/// The first of these members that is a count.
fn count_of(request: &Map<String, Value>, keys: &[&str]) -> Result<Option<u64>, Error> {
    for key in keys {
        match request.get(*key) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let count = value.as_u64().filter(|count| *count > 0);
                return count
                    .map(Some)
                    .ok_or_else(|| bad(key, format!("{key} must be a whole number above 0")));
            }
        }
    }
    Ok(None)
}

fn bad(param: &str, message: impl Into<String>) -> Error {
    let error = Error::client(Kind::BadRequest, message);
    if param == "body" {
        error
    } else {
        error.param(param)
    }
}

fn whole(status: u16, body: Vec<u8>) -> Answer {
    Answer {
        status,
        content_type: "application/json",
        chunks: vec![body],
        pause_ms: 0,
    }
}

fn json_answer(value: &Value) -> Answer {
    whole(200, value.to_string().into_bytes())
}

fn stream_answer(chunks: Vec<Vec<u8>>) -> Answer {
    Answer {
        status: 200,
        content_type: "text/event-stream; charset=utf-8",
        chunks,
        pause_ms: PAUSE_MS,
    }
}

/// An event named by its data's `type`, as Responses and Messages have them.
fn named_event(data: &Value) -> Vec<u8> {
    let name = data["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// The arguments of a call in two fragments, to show that fragments concatenate.
fn fragments(arguments: &str) -> [&str; 2] {
    let middle = arguments
        .find(':')
        .map_or(arguments.len(), |colon| colon + 1);
    let (start, end) = arguments.split_at(middle);
    [start, end]
}

#[cfg(test)]
mod tests;
