//! The three protocols as the load bench speaks them: requests that say in their text what they want, the upstream's answers, and
//! what a client must find in its own. Written by hand, so that the code under test does not check itself.

/// Pieces of text of a stream.
pub const EVENTS: usize = 100;
/// The JSON answer, and the small request.
const SMALL_BYTES: usize = 1024;
/// The large request.
const LARGE_BYTES: usize = 2 * 1024 * 1024;
/// The first piece of a stream's text.
pub const FIRST: &str = " token000";
/// The small request's filling; the upstream answers how often it came.
const FILLING: &str = "Say it again. ";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Chat,
    Messages,
    Responses,
}

use Dialect::{Chat, Messages, Responses};

/// What the request's text asks for.
pub fn mode_of(body: &[u8]) -> &'static str {
    let modes = ["json", "burst", "paced", "hold", "prose", "code"];
    let text = String::from_utf8_lossy(&body[..body.len().min(SMALL_BYTES)]);
    let said = |mode: &&&str| text.contains(&format!("mode {mode}."));
    modes.iter().find(said).copied().unwrap_or("json")
}

/// How often the small request's filling is in the body: what lies in between may write the request anew, but not lose of it.
pub fn heard(body: &[u8]) -> usize {
    String::from_utf8_lossy(body).matches(FILLING).count()
}

fn padded(head: &str, filling: &str, tail: &str, bytes: usize) -> Vec<u8> {
    let mut out = head.as_bytes().to_vec();
    while out.len() + filling.len() + tail.len() <= bytes {
        out.extend_from_slice(filling.as_bytes());
    }
    out.resize(bytes - tail.len(), b'x');
    out.extend_from_slice(tail.as_bytes());
    out
}

fn named(kind: &str, members: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{members}}}\n\n")
}

impl Dialect {
    pub fn of(word: &str) -> Dialect {
        let all = [Chat, Messages, Responses];
        let found = all.into_iter().find(|dialect| dialect.word() == word);
        found.expect("chat, messages or responses")
    }

    pub fn word(self) -> &'static str {
        match self {
            Chat => "chat",
            Messages => "messages",
            Responses => "responses",
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Chat => "/v1/chat/completions",
            Messages => "/v1/messages",
            Responses => "/v1/responses",
        }
    }

    /// That of a request's head.
    pub fn of_path(head: &[u8]) -> Dialect {
        let is =
            |dialect: &Dialect| head.starts_with(format!("POST {} ", dialect.path()).as_bytes());
        [Messages, Responses].into_iter().find(is).unwrap_or(Chat)
    }

    /// The body of a request. The model's name is as long as the one it is replaced by, where lengths are compared.
    pub fn request(self, model: &str, mode: &str) -> Vec<u8> {
        let stream = matches!(mode, "burst" | "paced" | "hold");
        let (list, limit) = match self {
            Chat => ("messages", ""),
            Messages => ("messages", "\"max_tokens\":1024,"),
            Responses => ("input", ""),
        };
        let head = format!(
            "{{\"model\":\"{model}\",{limit}\"stream\":{stream},\"{list}\":[{{\"role\":\"user\",\"content\":\"mode {mode}. "
        );
        match mode {
            "prose" => padded(
                &head,
                "The quick brown fox jumps over the lazy dog. ",
                "\"}]}",
                LARGE_BYTES,
            ),
            "code" => padded(
                &head,
                "\\tif (x == \\\"\\\\n\\\") {\\n\\t\\treturn \\\"a\\\\tb\\\";\\n\\t}\\n",
                "\"}]}",
                LARGE_BYTES,
            ),
            _ => padded(&head, FILLING, "\"}]}", SMALL_BYTES),
        }
    }

    /// The JSON answer. It tells how long the request's body was and how often it said what: a proxy that lost some is found out.
    pub fn answer(self, body_bytes: usize, heard: usize) -> Vec<u8> {
        let (head, tail) = match self {
            Chat => (
                format!(
                    "{{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1764000000,\"model\":\"bench\",\"body_bytes\":\"{body_bytes:010}\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\""
                ),
                "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":150,\"total_tokens\":350}}",
            ),
            Messages => (
                format!(
                    "{{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"body_bytes\":\"{body_bytes:010}\",\"content\":[{{\"type\":\"text\",\"text\":\""
                ),
                "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"output_tokens\":150}}",
            ),
            Responses => (
                format!(
                    "{{\"id\":\"resp_bench\",\"object\":\"response\",\"created_at\":1764000000,\"status\":\"completed\",\"model\":\"bench\",\"body_bytes\":\"{body_bytes:010}\",\"output\":[{{\"id\":\"msg_bench\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{{\"type\":\"output_text\",\"annotations\":[],\"text\":\""
                ),
                "\"}]}],\"usage\":{\"input_tokens\":200,\"output_tokens\":150,\"total_tokens\":350}}",
            ),
        };
        let head = format!("{head}heard {heard:04}. ");
        padded(&head, "All work and no play. ", tail, SMALL_BYTES)
    }

    /// The text of a JSON answer.
    pub fn answered(self, body: &[u8]) -> Option<String> {
        let key = match self {
            Chat => "\"content\":\"",
            Messages | Responses => "\"text\":\"",
        };
        let body = std::str::from_utf8(body).ok()?;
        let text = body.split_once(key)?.1;
        Some(text.split('"').next()?.to_owned())
    }

    /// A stream's events before its text, its text, and its end.
    pub fn parts(self) -> (Vec<String>, Vec<String>, Vec<String>) {
        let pieces = (0..EVENTS).map(|number| self.piece(number)).collect();
        let text: String = (0..EVENTS).map(piece_text).collect();
        (self.opening(), pieces, self.end(&text))
    }

    /// All events of a stream.
    pub fn stream(self) -> Vec<String> {
        let (mut all, pieces, end) = self.parts();
        all.extend(pieces);
        all.extend(end);
        all
    }

    /// The end of a stream that said but its first piece.
    pub fn short_end(self) -> Vec<String> {
        self.end(FIRST)
    }

    fn chunk(delta: &str, finish: &str, usage: &str) -> String {
        format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"bench\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]{usage}}}\n\n"
        )
    }

    fn opening(self) -> Vec<String> {
        match self {
            Chat => vec![Dialect::chunk(
                "{\"role\":\"assistant\",\"content\":\"\"}",
                "null",
                "",
            )],
            Messages => vec![
                named(
                    "message_start",
                    "\"message\":{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"output_tokens\":1}}",
                ),
                named(
                    "content_block_start",
                    "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}",
                ),
            ],
            Responses => vec![
                named(
                    "response.created",
                    "\"sequence_number\":0,\"response\":{\"id\":\"resp_bench\",\"object\":\"response\",\"created_at\":1764000000,\"status\":\"in_progress\",\"model\":\"bench\",\"output\":[]}",
                ),
                named(
                    "response.output_item.added",
                    "\"sequence_number\":1,\"output_index\":0,\"item\":{\"id\":\"msg_bench\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}",
                ),
                named(
                    "response.content_part.added",
                    "\"sequence_number\":2,\"item_id\":\"msg_bench\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"\"}",
                ),
            ],
        }
    }

    fn piece(self, number: usize) -> String {
        let text = piece_text(number);
        match self {
            Chat => Dialect::chunk(&format!("{{\"content\":\"{text}\"}}"), "null", ""),
            Messages => named(
                "content_block_delta",
                &format!("\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}"),
            ),
            Responses => named(
                "response.output_text.delta",
                &format!(
                    "\"sequence_number\":{},\"item_id\":\"msg_bench\",\"output_index\":0,\"content_index\":0,\"delta\":\"{text}\",\"logprobs\":[]",
                    number + 3
                ),
            ),
        }
    }

    fn end(self, text: &str) -> Vec<String> {
        match self {
            Chat => vec![
                Dialect::chunk(
                    "{}",
                    "\"stop\"",
                    ",\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":100,\"total_tokens\":300}",
                ),
                "data: [DONE]\n\n".to_owned(),
            ],
            Messages => vec![
                named("content_block_stop", "\"index\":0"),
                named(
                    "message_delta",
                    "\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":100}",
                ),
                "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
            ],
            Responses => {
                let place = "\"sequence_number\":104,\"item_id\":\"msg_bench\",\"output_index\":0,\"content_index\":0";
                let part = format!(
                    "{{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"{text}\"}}"
                );
                let item = format!(
                    "{{\"id\":\"msg_bench\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{part}]}}"
                );
                vec![
                    named(
                        "response.output_text.done",
                        &format!("{place},\"text\":\"{text}\",\"logprobs\":[]"),
                    ),
                    named(
                        "response.content_part.done",
                        &format!("{place},\"part\":{part}"),
                    ),
                    named(
                        "response.output_item.done",
                        &format!("\"sequence_number\":106,\"output_index\":0,\"item\":{item}"),
                    ),
                    named(
                        "response.completed",
                        &format!(
                            "\"sequence_number\":107,\"response\":{{\"id\":\"resp_bench\",\"object\":\"response\",\"created_at\":1764000000,\"status\":\"completed\",\"model\":\"bench\",\"output\":[{item}],\"usage\":{{\"input_tokens\":200,\"output_tokens\":100,\"total_tokens\":300}}}}"
                        ),
                    ),
                ]
            }
        }
    }

    /// The pieces of text in a stream, one for each event that has some.
    pub fn said(self, payload: &[u8]) -> Vec<String> {
        let key = match self {
            Chat => "\"delta\":{\"content\":\"",
            Messages => "\"delta\":{\"type\":\"text_delta\",\"text\":\"",
            Responses => "\"delta\":\"",
        };
        let payload = String::from_utf8_lossy(payload);
        let pieces = payload.split("\n\n").filter_map(|frame| {
            let text = frame.split_once(key)?.1;
            Some(text.split('"').next()?.to_owned())
        });
        pieces.filter(|piece| !piece.is_empty()).collect()
    }

    /// Whether the stream ends as one that is complete does.
    pub fn is_ended(self, payload: &[u8]) -> bool {
        let text = String::from_utf8_lossy(payload);
        let last = text
            .strip_suffix("\n\n")
            .and_then(|text| text.rsplit("\n\n").next());
        match self {
            Chat => text.contains("\"finish_reason\":\"stop\"") && last == Some("data: [DONE]"),
            Messages => {
                text.contains("\"stop_reason\":\"end_turn\"")
                    && last.is_some_and(|last| last.starts_with("event: message_stop\n"))
            }
            Responses => last.is_some_and(|last| {
                last.starts_with("event: response.completed\n")
                    && last.contains("\"status\":\"completed\"")
            }),
        }
    }
}

fn piece_text(number: usize) -> String {
    format!(" token{number:03}")
}
