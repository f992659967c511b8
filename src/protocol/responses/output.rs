//! Output items and the response object around them, as JSON (protocols.md 2.3). The stream writer and the writer of whole
//! answers render with the same functions, so that what was streamed and what the last event repeats are the same bytes.

use crate::error::{Blame, Error, Kind};
use crate::protocol::context::Context;
use crate::protocol::neutral::{
    Annotation, Builtin, CallKind, Finish, Hosted, Opened, Owner, Proof, Reason, Usage,
};
use crate::protocol::render::{Members, one_line};
use crate::protocol::text::Text;
use crate::protocol::{Protocol, carrier, openai_words};
use crate::wire::json::{self, Object, Raw};
use std::borrow::Cow;

/// What an answer echoes when nothing is known of its request.
const ECHO: &str = r#""instructions":null,"metadata":{},"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"temperature":null,"top_p":null,"store":false"#;

/// The response object. What fills its `output` is a parameter of [`Envelope::write_with`].
pub struct Envelope<'e> {
    /// The answer's id.
    pub id: String,
    /// Unix seconds.
    pub created: u64,
    /// `in_progress`, `completed`, `incomplete`, `failed`.
    pub status: &'static str,
    /// `code` and `message`.
    pub error: Option<(&'static str, &'e str)>,
    /// Why it is incomplete.
    pub incomplete: Option<&'static str>,
    /// Items, joined by commas.
    pub output: &'e [u8],
    /// None: not known yet.
    pub usage: Option<Usage>,
    /// The tier that served it, in the upstream's words.
    pub tier: Option<&'e Text<'e>>,
}

impl Envelope<'_> {
    /// Appends it.
    pub fn write(&self, cx: &Context, out: &mut Vec<u8>) {
        self.write_with(cx, out, |out| out.extend_from_slice(self.output));
    }

    /// Appends it; the items of its output are written where they stand, by `items`.
    pub fn write_with(&self, cx: &Context, out: &mut Vec<u8>, items: impl FnOnce(&mut Vec<u8>)) {
        out.push(b'{');
        let mut m = Members::resume(out, true);
        m.str("id", &self.id).raw("object", "\"response\"");
        m.number("created_at", self.created);
        m.str("status", self.status).text("model", &cx.model);
        match self.error {
            Some((code, message)) => m.nested("error", |m| {
                m.str("code", code).str("message", message);
            }),
            None => m.null("error"),
        };
        match self.incomplete {
            Some(reason) => m.nested("incomplete_details", |m| {
                m.str("reason", reason);
            }),
            None => m.null("incomplete_details"),
        };
        let output = m.key("output");
        output.push(b'[');
        items(output);
        output.push(b']');
        if let Some(tier) = self.tier {
            match cx.upstream {
                Protocol::Messages if tier.is("priority") || tier.is("fast") => {
                    m.str("service_tier", "priority")
                }
                Protocol::Messages => m.str("service_tier", "default"),
                _ => m.text("service_tier", tier),
            };
        }
        match &self.usage {
            Some(usage) => m.nested("usage", |m| self::usage(usage, m)),
            None => m.null("usage"),
        };
        out.push(b',');
        let echo = if cx.echo.is_empty() { ECHO } else { &cx.echo };
        out.extend_from_slice(echo.as_bytes());
        out.push(b'}');
    }
}

/// Writes the members of a `usage` object; both groups of details are always there.
pub fn usage(usage: &Usage, m: &mut Members<'_>) {
    m.number("input_tokens", usage.input);
    m.nested("input_tokens_details", |m| {
        m.number("cached_tokens", usage.cached);
        m.number("cache_write_tokens", usage.cache_write);
    });
    m.number("output_tokens", usage.output);
    m.nested("output_tokens_details", |m| {
        m.number("reasoning_tokens", usage.reasoning.unwrap_or(0));
    });
    m.number("total_tokens", usage.total());
}

/// Status and reason of an answer that ended so.
pub fn ended(finish: &Finish<'_>) -> (&'static str, Option<&'static str>) {
    match finish.reason {
        Reason::Done => ("completed", None),
        Reason::Length | Reason::Paused => ("incomplete", Some("max_output_tokens")),
        Reason::Filtered => ("incomplete", Some("content_filter")),
    }
}

/// The code of a failed answer, one that Codex looks for where there is one, and the sentence.
pub fn failure(error: &Error) -> (&'static str, Cow<'_, str>) {
    let (_, code) = openai_words(error);
    let code = match code {
        // Codex 0.169 ends the turn on server_is_overloaded inside a stream, and repeats it on this one: an overload passes.
        // It is also what the SDKs' types know.
        _ if error.kind == Kind::Overloaded => "server_error",
        Some(code) => code,
        // The word on which Codex does not repeat the turn.
        None if error.blame == Blame::Client || is_refused(error.kind) => "invalid_prompt",
        None => "server_error",
    };
    let mut message = Cow::Borrowed(error.message.as_str());
    // Codex waits as long as this sentence says (protocols.md 4.3).
    if let (Kind::TooManyRequests, Some(seconds)) = (error.kind, error.retry_after_s)
        && !message.contains("try again in")
    {
        message = format!("{message}; try again in {seconds}s").into();
    }
    (code, message)
}

/// Whether the upstream would refuse the same again.
fn is_refused(kind: Kind) -> bool {
    matches!(kind, Kind::Forbidden | Kind::UpstreamStatus(400..=499))
}

/// A part of a message: its text and what belongs to it.
#[derive(Default)]
pub struct Part {
    /// A refusal, not text.
    pub refusal: bool,
    /// Still escaped.
    pub text: String,
    /// Annotations, joined by commas.
    pub annotations: Vec<u8>,
    /// How many.
    pub annotated: u64,
    /// Elements of log probability arrays, joined by commas.
    pub logprobs: String,
    /// Citations of all of the text, while it grows.
    pub waiting: Vec<Annotation<'static>>,
    /// What they take.
    pub waiting_bytes: usize,
}

impl Part {
    /// Bytes of all its members.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.annotations.len() + self.logprobs.len() + self.waiting_bytes
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_of(&self.text, out);
    }

    /// Appends it with that text, still escaped, as its own.
    pub fn write_of(&self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.refusal {
            br#"{"type":"refusal","refusal":""#
        } else {
            br#"{"type":"output_text","text":""#
        });
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        if !self.refusal {
            out.extend_from_slice(br#","annotations":["#);
            out.extend_from_slice(&self.annotations);
            out.push(b']');
            if !self.logprobs.is_empty() {
                out.extend_from_slice(br#","logprobs":["#);
                out.extend_from_slice(self.logprobs.as_bytes());
                out.push(b']');
            }
        }
        out.push(b'}');
    }

    /// Keeps a citation of all of the text until the text is known: Claude cites before it speaks.
    pub fn wait(&mut self, annotation: Annotation<'static>) {
        self.waiting_bytes += size_of::<Annotation<'_>>() + annotation.bytes();
        self.waiting.push(annotation);
    }

    /// How many characters the text has.
    pub fn chars(&self) -> u64 {
        Text::escaped(self.text.as_str()).chars()
    }

    /// Adds a citation and answers its JSON. `end`: where one without a span ends.
    pub fn annotate(&mut self, annotation: &Annotation<'_>, end: u64) -> &[u8] {
        if self.annotated > 0 {
            self.annotations.push(b',');
        }
        self.annotated += 1;
        let start = self.annotations.len();
        let (from, to) = annotation.span.unwrap_or((0, end));
        Members::object(&mut self.annotations, |m| {
            m.str("type", "url_citation");
            m.number("start_index", from).number("end_index", to);
            m.text("url", &annotation.url);
            m.text("title", annotation.title.as_ref().unwrap_or(&Text::EMPTY));
        });
        &self.annotations[start..]
    }

    /// Adds the elements of a log probability array. They are pasted, so they must be JSON to the last leaf: false, if not.
    pub fn odds(&mut self, array: &str) -> bool {
        if json::validate(array.as_bytes()).is_err() {
            return false;
        }
        let inner = array
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'));
        let inner = one_line(inner.unwrap_or_default().trim());
        if !inner.is_empty() {
            if !self.logprobs.is_empty() {
                self.logprobs.push(',');
            }
            self.logprobs.push_str(&inner);
        }
        true
    }
}

/// A message item with those parts, joined by commas.
pub fn message(id: &str, status: &str, parts: &[u8], out: &mut Vec<u8>) {
    message_with(id, status, out, |out| out.extend_from_slice(parts));
}

/// The same; its parts are written where they stand. `id` needs no escapes.
pub fn message_with(id: &str, status: &str, out: &mut Vec<u8>, parts: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(br#"{"id":""#);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(br#"","type":"message","status":""#);
    out.extend_from_slice(status.as_bytes());
    out.extend_from_slice(br#"","role":"assistant","content":["#);
    parts(out);
    out.extend_from_slice(b"]}");
}

/// A reasoning item; `shown` is still escaped.
pub fn reasoning(id: &str, shown: &str, proof: Option<&Text<'_>>, out: &mut Vec<u8>) {
    Members::object(out, |m| {
        m.str("id", id).str("type", "reasoning");
        m.array("summary", |summary| {
            if !shown.is_empty() {
                summary.object(|m| {
                    m.str("type", "summary_text");
                    m.text("text", &Text::escaped(shown));
                });
            }
        });
        m.text_if("encrypted_content", proof);
    });
}

/// What goes into `encrypted_content`: the vendor's own value, or a carrier of another's.
pub fn encrypted(proof: &Proof<'_>) -> Option<Text<'static>> {
    match proof.owner {
        Owner::Responses => Some(proof.value.clone().into_owned()),
        Owner::Chat | Owner::Messages | Owner::Gemini => Some(carrier::wrap(proof)),
    }
}

/// The prefix of an item's id for that kind of call.
pub fn call_prefix(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Custom => "ctc_",
        CallKind::Builtin(Builtin::LocalShell) => "lsh_",
        CallKind::Builtin(Builtin::Shell) => "sh_",
        CallKind::Builtin(Builtin::ApplyPatch) => "apc_",
        CallKind::Builtin(Builtin::ToolSearch) => "tsc_",
        CallKind::Function | CallKind::Builtin(_) => "fc_",
    }
}

/// A call of a function or of a free-form tool; `arguments` is still escaped.
pub fn call(id: &str, status: &str, head: &Opened<'_>, arguments: &str, out: &mut Vec<u8>) {
    let custom = head.kind == CallKind::Custom;
    let (kind, slot) = if custom {
        ("custom_tool_call", "input")
    } else {
        ("function_call", "arguments")
    };
    Members::object(out, |m| {
        m.str("id", id).str("type", kind).str("status", status);
        m.text("call_id", &head.id);
        m.text_if("namespace", head.namespace.as_ref());
        m.text("name", &head.name);
        m.text(slot, &Text::escaped(arguments));
    });
}

/// A call of a tool with a fixed schema, as the typed item its client waits for. False: the model did not keep to the
/// schema, nothing was written; the call can only be shown as one of a function, which the client will answer with an error.
pub fn builtin(
    id: &str,
    status: &str,
    builtin: Builtin,
    head: &Opened<'_>,
    arguments: &str,
    out: &mut Vec<u8>,
) -> bool {
    let text = Text::escaped(arguments);
    let json = text.decode();
    // What is pasted must be JSON to the last leaf.
    if json::validate(json.as_bytes()).is_err() {
        return false;
    }
    let Ok(object) = Object::parse(json.as_bytes()) else {
        return false;
    };
    let get = |key: &str| {
        object
            .get(key)
            .filter(|raw| !raw.is_null())
            .map(|raw| one_line(raw.text()))
    };
    let kind = match builtin {
        Builtin::LocalShell if get("command").is_some() => "local_shell_call",
        Builtin::Shell if get("commands").is_some() => "shell_call",
        Builtin::ApplyPatch if get("type").is_some() && get("path").is_some() => "apply_patch_call",
        Builtin::ToolSearch => "tool_search_call",
        _ => return false,
    };
    Members::object(out, |m| {
        m.str("id", id).str("type", kind).str("status", status);
        m.text("call_id", &head.id);
        match builtin {
            Builtin::LocalShell => m.nested("action", |m| {
                m.str("type", "exec");
                m.raw_if("command", get("command").as_deref());
                m.raw("env", get("env").as_deref().unwrap_or("{}"));
                m.raw_if("timeout_ms", get("timeout_ms").as_deref());
                m.raw_if("working_directory", get("workdir").as_deref());
            }),
            Builtin::Shell => m.nested("action", |m| {
                m.raw_if("commands", get("commands").as_deref());
                let or_null =
                    |value: Option<Cow<'_, str>>| value.unwrap_or("null".into()).into_owned();
                m.raw("timeout_ms", &or_null(get("timeout_ms")));
                m.raw("max_output_length", &or_null(get("max_output_length")));
            }),
            Builtin::ApplyPatch => m.nested("operation", |m| {
                for key in ["type", "path", "diff"] {
                    m.raw_if(key, get(key).as_deref());
                }
            }),
            _ => {
                m.str("execution", "client");
                m.raw("arguments", &one_line(json.trim()))
            }
        };
    });
    true
}

/// The item of a web search the vendor made. None: it was other work, which has no item that a client could read.
pub fn web_search(id: &str, status: &str, hosted: &Hosted<'_>, out: &mut Vec<u8>) {
    Members::object(out, |m| {
        m.str("id", id)
            .str("type", "web_search_call")
            .str("status", status);
        m.nested("action", |m| {
            m.str("type", "search");
            m.text("query", hosted.query.as_ref().unwrap_or(&Text::EMPTY));
        });
    });
}

/// Whether that work is a web search.
pub fn is_web_search(hosted: &Hosted<'_>) -> bool {
    hosted.query.is_some() || hosted.name.is("web_search_call") || hosted.name.is("web_search")
}

/// The citation that an annotation is; None: it cites no page.
pub fn citation<'a>(raw: Raw<'a>) -> Option<Annotation<'a>> {
    let object = raw.as_object().ok()?;
    let kind = Text::of(object.get("type")?)?;
    if !kind.is("url_citation") {
        return None;
    }
    let index = |key: &str| object.get(key).and_then(Raw::as_u64);
    Some(Annotation {
        url: Text::of(object.get("url")?)?,
        title: object.get("title").and_then(Text::of),
        span: index("start_index").zip(index("end_index")),
        cited: None,
    })
}
