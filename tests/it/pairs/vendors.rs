//! The three protocols as their vendors speak them: the same short answer, whole, in events, broken and refused.

/// One of the three protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Chat,
    Responses,
    Messages,
}

use Speech::{Chat, Messages, Responses};

impl Speech {
    pub const ALL: [Speech; 3] = [Chat, Responses, Messages];

    pub fn path(self) -> &'static str {
        match self {
            Chat => "/v1/chat/completions",
            Responses => "/v1/responses",
            Messages => "/v1/messages",
        }
    }

    /// Which one is spoken at that target.
    pub fn of(target: &str) -> Speech {
        let path = target.split('?').next().unwrap_or_default();
        let found = Speech::ALL.into_iter().find(|speech| speech.path() == path);
        found.unwrap_or_else(|| panic!("nobody speaks at {target}"))
    }

    /// A request for that model which says `text`.
    pub fn request(self, model: &str, text: &str, stream: bool) -> String {
        match self {
            Chat => format!(
                r#"{{"model":"{model}","max_tokens":100,"stream":{stream},"messages":[{{"role":"user","content":"{text}"}}]}}"#
            ),
            Responses => format!(
                r#"{{"model":"{model}","max_output_tokens":100,"stream":{stream},"input":"{text}"}}"#
            ),
            Messages => format!(
                r#"{{"model":"{model}","max_tokens":100,"stream":{stream},"messages":[{{"role":"user","content":"{text}"}}]}}"#
            ),
        }
    }

    /// A whole answer with that text.
    pub fn whole(self, text: &str) -> String {
        match self {
            Chat => format!(
                r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"x","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}}}"#
            ),
            Responses => format!(
                r#"{{"id":"resp_1","object":"response","created_at":1790000000,"status":"completed","model":"x","output":[{{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{{"type":"output_text","text":"{text}","annotations":[]}}]}}],"usage":{{"input_tokens":3,"output_tokens":1,"total_tokens":4}}}}"#
            ),
            Messages => format!(
                r#"{{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":3,"output_tokens":1}}}}"#
            ),
        }
    }

    /// The events before the text.
    pub fn opening(self) -> String {
        match self {
            Chat => frame(
                "",
                r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            ),
            Responses => [
                frame(
                    "response.created",
                    r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1790000000,"status":"in_progress","model":"x","output":[]}}"#,
                ),
                frame(
                    "response.output_item.added",
                    r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}"#,
                ),
                frame(
                    "response.content_part.added",
                    r#"{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}"#,
                ),
            ]
            .concat(),
            Messages => [
                frame(
                    "message_start",
                    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}}"#,
                ),
                frame(
                    "content_block_start",
                    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                ),
            ]
            .concat(),
        }
    }

    /// An event with more of the text.
    pub fn delta(self, text: &str) -> String {
        match self {
            Chat => frame(
                "",
                &format!(
                    r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"x","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#
                ),
            ),
            Responses => frame(
                "response.output_text.delta",
                &format!(
                    r#"{{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"{text}"}}"#
                ),
            ),
            Messages => frame(
                "content_block_delta",
                &format!(
                    r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
                ),
            ),
        }
    }

    /// The events after the text.
    pub fn closing(self) -> String {
        match self {
            Chat => [
                frame(
                    "",
                    r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                ),
                frame("", "[DONE]"),
            ]
            .concat(),
            Responses => frame(
                "response.completed",
                r#"{"type":"response.completed","sequence_number":4,"response":{"id":"resp_1","object":"response","created_at":1790000000,"status":"completed","model":"x","output":[],"usage":{"input_tokens":3,"output_tokens":1,"total_tokens":4}}}"#,
            ),
            Messages => [
                frame("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
                frame(
                    "message_delta",
                    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}"#,
                ),
                frame("message_stop", r#"{"type":"message_stop"}"#),
            ]
            .concat(),
        }
    }

    /// The event that says it is overloaded.
    pub fn failing(self) -> String {
        match self {
            Chat => frame(
                "",
                r#"{"error":{"message":"boom inside","type":"server_error","param":null,"code":"server_is_overloaded"}}"#,
            ),
            Responses => frame(
                "response.failed",
                r#"{"type":"response.failed","sequence_number":4,"response":{"id":"resp_1","object":"response","created_at":1790000000,"status":"failed","model":"x","output":[],"error":{"code":"server_is_overloaded","message":"boom inside"}}}"#,
            ),
            Messages => frame(
                "error",
                r#"{"type":"error","error":{"type":"overloaded_error","message":"boom inside"}}"#,
            ),
        }
    }

    /// The body of a refusal for too many requests.
    pub fn refusal(self) -> &'static str {
        match self {
            Chat | Responses => {
                r#"{"error":{"message":"slow down please","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#
            }
            Messages => {
                r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down please"}}"#
            }
        }
    }

    /// What only a complete stream has.
    pub fn end_mark(self) -> &'static str {
        match self {
            Chat => "data: [DONE]",
            Responses => "event: response.completed",
            Messages => "event: message_stop",
        }
    }

    /// The sentence of the error inside a stream.
    pub fn error_inside(self, stream: &str) -> Option<String> {
        let datas = stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        let mut found = datas.filter_map(|data| {
            let data: serde_json::Value = serde_json::from_str(data).ok()?;
            let error = match self {
                Chat | Messages => &data["error"],
                Responses if data["type"] == "response.failed" => &data["response"]["error"],
                Responses => return None,
            };
            Some(error["message"].as_str()?.to_owned())
        });
        found.next_back()
    }

    /// Whether that body is an error of this protocol, of this type.
    pub fn is_error(self, body: &serde_json::Value, words: &str) -> bool {
        let error = &body["error"];
        let envelope = match self {
            Chat | Responses => error.get("param").is_some() && error.get("code").is_some(),
            Messages => body["type"] == "error" && body["request_id"].is_string(),
        };
        envelope && error["type"] == words && error["message"].is_string()
    }

    /// The text of an answer, whole or in events.
    pub fn text(self, body: &str, stream: bool) -> String {
        let piece = |value: serde_json::Value| -> Option<String> {
            let text = match (self, stream) {
                (Chat, true) => &value["choices"][0]["delta"]["content"],
                (Chat, false) => &value["choices"][0]["message"]["content"],
                (Responses, true) if value["type"] == "response.output_text.delta" => {
                    &value["delta"]
                }
                (Responses, true) => return None,
                (Responses, false) => &value["output"][0]["content"][0]["text"],
                (Messages, true) => &value["delta"]["text"],
                (Messages, false) => &value["content"][0]["text"],
            };
            Some(text.as_str()?.to_owned())
        };
        if !stream {
            return serde_json::from_str(body)
                .ok()
                .and_then(piece)
                .unwrap_or_default();
        }
        let datas = body.lines().filter_map(|line| line.strip_prefix("data: "));
        datas
            .filter_map(|data| serde_json::from_str(data).ok().and_then(piece))
            .collect()
    }
}

fn frame(name: &str, data: &str) -> String {
    match name {
        "" => format!("data: {data}\n\n"),
        _ => format!("event: {name}\ndata: {data}\n\n"),
    }
}
