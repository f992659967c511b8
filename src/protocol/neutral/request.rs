//! What a request asks. A reader fills it from the client's body, [`crate::protocol::adapt`] bends it to what the upstream
//! can hold, a writer renders it. Fields that every conversion drops or refuses are not in it: the reader deals with them.

use super::{Builtin, CallKind, Proof};
use crate::protocol::Protocol;
use crate::protocol::effort::{Effort, Thinking};
use crate::protocol::text::Text;
use crate::wire::json::{self, Raw};
use crate::wire::text::base64_decode;
use std::borrow::Cow;

/// A value with the name its field has in the client's protocol: warnings and refusals must use the client's words.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T> {
    /// The client's name, such as `max_completion_tokens`.
    pub field: &'static str,
    /// What it says.
    pub value: T,
}

/// A whole request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The client's protocol.
    pub from: Protocol,
    /// The model as the client named it; it goes back into the answer.
    pub model: Text<'a>,
    /// System texts before the first turn, in order. Only the leading run: later ones are turns (protocols.md 5.1 a).
    pub system: Vec<System<'a>>,
    /// The conversation. The reader pushes through [`Request::push`]; `adapt` sorts results behind calls and drops what is empty.
    pub turns: Vec<Turn<'a>>,
    /// Tools in the client's order, those of `additional_tools` items after the others.
    pub tools: Vec<Tool<'a>>,
    /// Which tools may or must be called. None: not said.
    pub choice: Option<Choice<'a>>,
    /// `Some(false)`: at most one call.
    pub parallel: Option<bool>,
    /// Output limit, reasoning included.
    pub limit: Option<Named<u64>>,
    /// `temperature`, a number as it was written.
    pub temperature: Option<Raw<'a>>,
    /// `top_p`, a number as it was written.
    pub top_p: Option<Raw<'a>>,
    /// `top_k` (Messages, and vendor fields of Chat).
    pub top_k: Option<Raw<'a>>,
    /// Stop sequences under the client's name for them (`stop`, `stop_sequences`).
    pub stops: Vec<Text<'a>>,
    /// How much reasoning is wanted, in whichever of the two ways the client says it.
    pub effort: Option<Effort>,
    /// Messages `thinking` (also accepted in that shape from Chat clients).
    pub thinking: Option<Thinking>,
    /// Whether reasoning text should be visible in the answer. None: the model's own default.
    pub show_reasoning: Option<bool>,
    /// Shape of the answer.
    pub format: Format<'a>,
    /// `verbosity` / `text.verbosity`.
    pub verbosity: Option<Text<'a>>,
    /// Log probabilities, and how many alternatives.
    pub logprobs: Option<Named<u64>>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Chat `stream_options.include_usage`.
    pub include_usage: bool,
    /// Chat and Responses `stream_options.include_obfuscation`.
    pub include_obfuscation: Option<bool>,
    /// Chat `user`, Responses `user`.
    pub user: Option<Text<'a>>,
    /// `safety_identifier` of Chat and Responses.
    pub safety_identifier: Option<Text<'a>>,
    /// Messages `metadata.user_id`.
    pub user_id: Option<Text<'a>>,
    /// `prompt_cache_key`.
    pub cache_key: Option<Text<'a>>,
    /// `prompt_cache_retention`.
    pub cache_retention: Option<Raw<'a>>,
    /// `prompt_cache_options`.
    pub cache_options: Option<Raw<'a>>,
    /// Chat and Responses `metadata`, an object of strings.
    pub metadata: Option<Raw<'a>>,
    /// Chat and Responses `store`.
    pub store: Option<bool>,
    /// `service_tier` in the words of `from`.
    pub tier: Option<Text<'a>>,
    /// Chat and Responses `moderation`.
    pub moderation: Option<Raw<'a>>,
    /// Whether `moderation` asks to block.
    pub moderation_blocks: bool,
    /// Responses `max_tool_calls`. After `adapt`: what a Responses upstream is told.
    pub hosted_calls_max: Option<u64>,
    /// Chat `web_search_options` (an explicit wish, unlike an offered tool, so it cannot be dropped).
    pub web_search_wanted: Option<WebSearch<'a>>,
    /// Messages `mcp_servers`.
    pub mcp_servers: Option<Raw<'a>>,
    /// Messages tools of the type `mcp_toolset`: which tools of those servers may be called.
    pub mcp_toolsets: Vec<Raw<'a>>,
    /// Responses `context_management` / Messages `context_management` asks for compaction.
    pub compaction: Option<Raw<'a>>,
    /// Vendor fields a reader knows as hints of some upstream kind, by their literal names (`min_p`, `chat_template_kwargs` …);
    /// no writer forwards them today, `adapt` warns of each.
    pub vendor: Vec<(Cow<'a, str>, Raw<'a>)>,
    /// Top-level fields nobody knows: what [`crate::wire::json::Object::rest`] yielded. `adapt` warns of each.
    pub unknown: Vec<Cow<'a, str>>,
    /// The members a Responses answer echoes, as `"key":value` texts joined by commas: `instructions`, `metadata`, `tools`,
    /// `tool_choice`, `parallel_tool_calls`, `temperature`, … Empty for the other protocols.
    pub echo: String,
}

impl<'a> Request<'a> {
    /// An empty request of that protocol for that model; the reader fills in what the client said.
    pub fn new(from: Protocol, model: Text<'a>) -> Request<'a> {
        Request {
            from,
            model,
            system: Vec::new(),
            turns: Vec::new(),
            tools: Vec::new(),
            choice: None,
            parallel: None,
            limit: None,
            temperature: None,
            top_p: None,
            top_k: None,
            stops: Vec::new(),
            effort: None,
            thinking: None,
            show_reasoning: None,
            format: Format::Text,
            verbosity: None,
            logprobs: None,
            stream: false,
            include_usage: false,
            include_obfuscation: None,
            user: None,
            safety_identifier: None,
            user_id: None,
            cache_key: None,
            cache_retention: None,
            cache_options: None,
            metadata: None,
            store: None,
            tier: None,
            moderation: None,
            moderation_blocks: false,
            hosted_calls_max: None,
            web_search_wanted: None,
            mcp_servers: None,
            mcp_toolsets: Vec::new(),
            compaction: None,
            vendor: Vec::new(),
            unknown: Vec::new(),
            echo: String::new(),
        }
    }

    /// The field in which this client says how much to think.
    pub fn effort_field(&self) -> &'static str {
        match self.from {
            Protocol::Chat => "reasoning_effort",
            Protocol::Responses => "reasoning.effort",
            Protocol::Messages => "thinking",
        }
    }

    /// The field that holds this client's conversation.
    pub fn turns_field(&self) -> &'static str {
        match self.from {
            Protocol::Responses => "input",
            Protocol::Chat | Protocol::Messages => "messages",
        }
    }

    /// About the bytes its conversation and its tools take in any protocol, so that what it is written into grows once.
    pub fn size_hint(&self) -> usize {
        let system = self
            .system
            .iter()
            .map(|system| system.text.as_escaped().len() + FRAME_BYTES);
        let parts = self
            .turns
            .iter()
            .flat_map(|turn| &turn.parts)
            .map(Part::size_hint);
        let tools = self.tools.iter().map(Tool::size_hint);
        system.chain(parts).chain(tools).sum::<usize>() + self.turns.len() * FRAME_BYTES
    }

    /// Adds a part to the turn of that role that is being built, or begins one (protocols.md 5.2, steps 1 and 2).
    /// Tool results belong to [`Role::User`].
    pub fn push(&mut self, role: Role, part: Part<'a>) {
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.push(part),
            _ => self.turns.push(Turn {
                role,
                parts: vec![part],
            }),
        }
    }

    /// Adds a system text where the conversation stands: to `system` before the first turn, in place later.
    pub fn push_system(&mut self, text: Text<'a>, cache: Option<Cache>) {
        if text.is_empty() {
            return;
        }
        if self.turns.is_empty() {
            self.system.push(System { text, cache });
        } else {
            self.push(Role::System, Part::Text(TextPart { text, cache }));
        }
    }
}

/// A system text with its cache mark.
#[derive(Clone, Debug)]
pub struct System<'a> {
    /// Not empty.
    pub text: Text<'a>,
    /// The prompt up to here should be cached.
    pub cache: Option<Cache>,
}

/// How long a marked prefix should stay cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Messages `5m` (its default), Chat and Responses `30m`.
    Short,
    /// Messages `1h`, Chat and Responses `12h`.
    Long,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The user, and tool results.
    User,
    /// The model.
    Assistant,
    /// System or developer text in the middle of the conversation; text parts only.
    System,
}

/// A maximal run of parts of one role.
#[derive(Clone, Debug)]
pub struct Turn<'a> {
    /// Who speaks.
    pub role: Role,
    /// What, in order. After `adapt`: results of a user turn come first, in the order of the calls.
    pub parts: Vec<Part<'a>>,
}

/// A piece of a turn or of a tool result.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    /// Text.
    Text(TextPart<'a>),
    /// A picture.
    Image(Image<'a>),
    /// A document.
    File(File<'a>),
    /// Sound (Chat and Responses): its data and `wav` or `mp3`.
    Audio {
        /// base64.
        data: Text<'a>,
        /// `wav` or `mp3`.
        format: Text<'a>,
    },
    /// What the model thought. Assistant turns only.
    Reasoning(Reasoning<'a>),
    /// What the model refused to do. Assistant turns only.
    Refusal(Text<'a>),
    /// A call of a client's tool. Assistant turns only.
    Call(Call<'a>),
    /// What a client's tool answered. User turns only.
    Result(ToolResult<'a>),
    /// A call of a tool that the vendor executes, or its result, in history. Assistant turns only. `adapt` drops it with a
    /// warning unless the target speaks its protocol.
    Hosted {
        /// The client's name for it, such as `web_search_call`.
        name: Cow<'a, str>,
        /// The item or block as it was written.
        json: Raw<'a>,
    },
}

/// Text with its cache mark.
#[derive(Clone, Debug)]
pub struct TextPart<'a> {
    /// What it says.
    pub text: Text<'a>,
    /// The prompt up to here should be cached.
    pub cache: Option<Cache>,
}

/// Brackets, keys and words around a turn, a part or a tool.
const FRAME_BYTES: usize = 128;
/// The id of a call, mostly less.
const ID_BYTES: usize = 64;

impl<'a> Part<'a> {
    /// About the bytes it is written in.
    fn size_hint(&self) -> usize {
        let source = |source: &Source<'_>| match source {
            Source::Url(url) => url.as_escaped().len(),
            Source::Data { data, .. } => data.as_escaped().len(),
        };
        FRAME_BYTES
            + match self {
                Part::Text(part) => part.text.as_escaped().len(),
                Part::Image(image) => source(&image.source),
                Part::File(file) => source(&file.source),
                Part::Audio { data, .. } => data.as_escaped().len(),
                Part::Reasoning(reasoning) => {
                    let proof = reasoning.proof.as_ref();
                    reasoning.text.as_escaped().len()
                        + proof.map_or(0, |proof| proof.value.as_escaped().len())
                }
                Part::Refusal(text) => text.as_escaped().len(),
                Part::Call(call) => {
                    call.arguments.escaped_bytes() + call.name.as_escaped().len() + ID_BYTES
                }
                Part::Result(result) => {
                    result.parts.iter().map(Part::size_hint).sum::<usize>() + ID_BYTES
                }
                Part::Hosted { json, .. } => json.text().len(),
            }
    }

    /// Text without a mark.
    pub fn text(text: Text<'a>) -> Part<'a> {
        Part::Text(TextPart { text, cache: None })
    }

    /// The id of the call it is, if it is one.
    pub fn called(&self) -> Option<&Text<'a>> {
        match self {
            Part::Call(call) => Some(&call.id),
            _ => None,
        }
    }

    /// The id of the call that it answers, if it is a result.
    pub fn answered(&self) -> Option<&Text<'a>> {
        match self {
            Part::Result(result) => Some(&result.id),
            _ => None,
        }
    }

    /// Where its cache mark stands, if it can have one.
    pub fn cache(&mut self) -> Option<&mut Option<Cache>> {
        match self {
            Part::Text(TextPart { cache, .. })
            | Part::Image(Image { cache, .. })
            | Part::File(File { cache, .. })
            | Part::Result(ToolResult { cache, .. }) => Some(cache),
            _ => None,
        }
    }
}

/// Where the bytes of a picture or document are. File ids belong to one vendor's account: readers refuse them.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// An `https:` or `http:` URL.
    Url(Text<'a>),
    /// base64. A `data:` URL is split into these two by [`Source::of_url`].
    Data {
        /// Such as `image/png`, perhaps with escaped slashes; compare with [`Text::is`].
        media_type: Text<'a>,
        /// base64, as it was written.
        data: Text<'a>,
    },
}

impl<'a> Source<'a> {
    /// A URL of any kind; `data:…;base64,…` is taken apart without decoding.
    /// None: a `data:` URL that is not base64.
    pub fn of_url(url: Text<'a>) -> Option<Source<'a>> {
        if !url.as_escaped().starts_with("data:") {
            return Some(Source::Url(url));
        }
        let comma = url.as_escaped().find(',')?;
        let media_type = url.as_escaped()[5..comma].strip_suffix(";base64")?;
        // Parameters such as `;charset=utf-8` name no other type.
        let media_type = media_type.split(';').next().unwrap_or_default().to_owned();
        let data = url.drop_front(comma + 1);
        Some(Source::Data {
            media_type: Text::escaped(media_type),
            data,
        })
    }
}

/// Names of files that hold text, by their ends.
const TEXT_NAMES: [&str; 24] = [
    "txt", "md", "csv", "tsv", "html", "htm", "xml", "yaml", "yml", "toml", "ini", "log", "rs",
    "py", "js", "ts", "c", "h", "cpp", "go", "java", "rb", "sh", "sql",
];

impl<'a> Source<'a> {
    /// The data of a file: a `data:` URL, or bare base64, whose type only the file's name can tell. Without a name that says
    /// otherwise it is taken for a PDF, as OpenAI does. None: a `data:` URL that is not base64.
    pub fn of_file(data: Text<'a>, name: Option<&Text<'_>>) -> Option<Source<'a>> {
        if data.as_escaped().starts_with("data:") {
            return Source::of_url(data);
        }
        let name = name.map(Text::decode).unwrap_or_default();
        let end = name.rsplit_once('.').map_or("", |(_, end)| end);
        let media_type = match end.to_ascii_lowercase().as_str() {
            "pdf" | "" => "application/pdf",
            "json" => "application/json",
            end if TEXT_NAMES.contains(&end) => "text/plain",
            _ => "application/octet-stream",
        };
        Some(Source::Data {
            media_type: Text::constant(media_type),
            data,
        })
    }
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// Its bytes.
    pub source: Source<'a>,
    /// Chat and Responses `detail`: auto, low, high, original.
    pub detail: Option<Text<'a>>,
    /// The prompt up to here should be cached.
    pub cache: Option<Cache>,
}

/// A document.
#[derive(Clone, Debug)]
pub struct File<'a> {
    /// Its bytes. (A document that is plain text is a [`Part::Text`] made by [`document_text`](super::document_text).)
    pub source: Source<'a>,
    /// Its name or title.
    pub name: Option<Text<'a>>,
    /// The prompt up to here should be cached.
    pub cache: Option<Cache>,
}

/// The longest ending of a file's name that is taken for one.
const ENDING_CHARS_MAX: usize = 5;

impl File<'_> {
    /// Its name as OpenAI takes it, which tells from the ending what a file is: a title without one gets that of the type.
    pub fn file_name(&self) -> Cow<'_, str> {
        let kind = match &self.source {
            Source::Data { media_type, .. } => media_type.decode(),
            Source::Url(_) => Cow::Borrowed(""),
        };
        let ending = match kind.as_ref() {
            "application/pdf" => ".pdf",
            "application/json" => ".json",
            "text/csv" => ".csv",
            "text/html" => ".html",
            "text/markdown" => ".md",
            kind if kind.starts_with("text/") => ".txt",
            _ => "",
        };
        let named = self.name.as_ref().filter(|name| !name.is_blank());
        let name = named.map_or(Cow::Borrowed("document"), Text::decode);
        let is_ending = |end: &str| {
            let letters = end.chars().all(|c| c.is_ascii_alphanumeric());
            (1..=ENDING_CHARS_MAX).contains(&end.len())
                && letters
                && end.contains(|c: char| c.is_ascii_alphabetic())
        };
        if name.rsplit_once('.').is_some_and(|(_, end)| is_ending(end)) {
            return name;
        }
        Cow::Owned(format!("{name}{ending}"))
    }

    /// Whether it says that it is text.
    pub fn is_text(&self) -> bool {
        let Source::Data { media_type, .. } = &self.source else {
            return false;
        };
        let kind = media_type.decode();
        kind.starts_with("text/") || kind == "application/json"
    }

    /// The text in it. None: it is none, or no base64 of UTF-8.
    pub fn text(&self) -> Option<Text<'static>> {
        let Source::Data { data, .. } = &self.source else {
            return None;
        };
        let bytes = base64_decode(&data.decode())?;
        let text = String::from_utf8(bytes).ok()?;
        self.is_text().then(|| Text::owned(text))
    }
}

/// What the model thought in an earlier turn.
#[derive(Clone, Debug)]
pub struct Reasoning<'a> {
    /// The visible text; may be empty. Several summary parts are joined by a blank line.
    pub text: Text<'a>,
    /// The proof. After `adapt` it is one the target can read, or None.
    pub proof: Option<Proof<'a>>,
}

/// A call of a client's tool.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// What the result will refer to: `id` of Chat and Messages, `call_id` (never the item id) of Responses. After `adapt`
    /// it keeps the target's rule.
    pub id: Text<'a>,
    /// The form of `arguments`.
    pub kind: CallKind,
    /// The tool. After `adapt`: the upstream's name for it, namespace included.
    pub name: Text<'a>,
    /// Responses namespaces. After `adapt`: None.
    pub namespace: Option<Text<'a>>,
    /// What the tool was given.
    pub arguments: Arguments<'a>,
}

/// What a tool was given, in the form the client's protocol has for it.
#[derive(Clone, Debug)]
pub enum Arguments<'a> {
    /// The text the model wrote: JSON, or free text for [`CallKind::Custom`].
    Text(Text<'a>),
    /// A JSON object (Messages `input`). Escaped only when it is written: a file that was written is most of a history.
    Object {
        /// As it was written.
        json: Raw<'a>,
        /// Bytes of its text in a JSON string.
        escaped_bytes: usize,
    },
}

impl<'a> Arguments<'a> {
    /// A JSON object.
    pub fn object(json: Raw<'a>) -> Arguments<'a> {
        Arguments::Object {
            json,
            escaped_bytes: json::escaped_bytes(json.text()),
        }
    }

    /// Their text, as a JSON string.
    pub fn text(&self) -> Text<'_> {
        match self {
            Arguments::Text(text) => text.borrow(),
            Arguments::Object { json, .. } => Text::plain(json.text()),
        }
    }

    /// Bytes of their text in a JSON string.
    pub fn escaped_bytes(&self) -> usize {
        match self {
            Arguments::Text(text) => text.as_escaped().len(),
            Arguments::Object { escaped_bytes, .. } => *escaped_bytes,
        }
    }

    /// Whether there is nothing but white space in them.
    pub fn is_blank(&self) -> bool {
        matches!(self, Arguments::Text(text) if text.is_blank())
    }

    /// Appends their text as a JSON string, with its quotes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Arguments::Text(text) => text.write(out),
            Arguments::Object { json, .. } => json::write_string(out, json.text()),
        }
    }
}

/// What a client's tool answered.
#[derive(Clone, Debug)]
pub struct ToolResult<'a> {
    /// The call it answers.
    pub id: Text<'a>,
    /// Text, Image and File parts; may be empty.
    pub parts: Vec<Part<'a>>,
    /// It failed. Only Messages can say so; the writers of the others put `[tool error]\n` in front
    /// ([`flat_result`](super::flat_result) does).
    pub is_error: bool,
    /// The prompt up to here should be cached.
    pub cache: Option<Cache>,
}

/// A tool.
#[derive(Clone, Debug)]
pub struct Tool<'a> {
    /// Its name; hosted tools have their type here.
    pub name: Text<'a>,
    /// Responses namespaces. After `adapt`: None, the name is flat.
    pub namespace: Option<Text<'a>>,
    /// What it does.
    pub description: Option<Text<'a>>,
    /// What kind, with what that kind needs.
    pub kind: ToolKind<'a>,
    /// The prompt up to here should be cached.
    pub cache: Option<Cache>,
}

impl Tool<'_> {
    /// About the bytes it is written in.
    fn size_hint(&self) -> usize {
        let text = |text: &Text<'_>| text.as_escaped().len();
        FRAME_BYTES
            + text(&self.name)
            + self.description.as_ref().map_or(0, text)
            + match &self.kind {
                ToolKind::Function { parameters, .. } => {
                    parameters.as_ref().map_or(0, |json| json.len())
                }
                ToolKind::Custom { grammar } => grammar
                    .as_ref()
                    .map_or(0, |(_, definition)| text(definition)),
                ToolKind::Mcp(json) => json.text().len(),
                _ => 0,
            }
    }
}

/// Tools of one request: OpenAI takes 128, and each may be looked for among the others.
pub const TOOLS_MAX: usize = 4096;

/// Kinds of tools.
#[derive(Clone, Debug)]
pub enum ToolKind<'a> {
    /// A function with a schema for its arguments.
    Function {
        /// A JSON Schema as it was written, or as `adapt` made it. None: no arguments.
        parameters: Option<Cow<'a, str>>,
        /// None: not said. (Chat and Messages: not strict. Responses: the server tries; see protocols.md 5.7.)
        strict: Option<bool>,
    },
    /// A tool whose input is free text. After `adapt` only where the target has them.
    Custom {
        /// `lark` or `regex`, and the definition. None: any text.
        grammar: Option<(Text<'a>, Text<'a>)>,
    },
    /// A tool with a fixed schema. After `adapt`: none, they are functions.
    Builtin(Builtin),
    /// Responses `tool_search` that the client executes: the one builtin whose schema may be the client's own. None: ours.
    ToolSearch {
        /// A JSON Schema as it was written.
        parameters: Option<Cow<'a, str>>,
    },
    /// A web search by the vendor.
    WebSearch(WebSearch<'a>),
    /// A remote MCP server (Responses), the whole tool as it was written.
    Mcp(Raw<'a>),
    /// Another tool that the vendor executes. `harmless`: an offer that may be dropped with a warning (image generation,
    /// tool search by the server); else dropping it would make the answer silently wrong, and it is refused.
    Hosted {
        /// See above.
        harmless: bool,
    },
}

/// What a web search may be told.
#[derive(Clone, Debug, Default)]
pub struct WebSearch<'a> {
    /// `search_context_size` of Chat and Responses.
    pub context_size: Option<Text<'a>>,
    /// The flat object of city, country, region, timezone (with or without `"type":"approximate"`), as it was written.
    pub location: Option<Raw<'a>>,
    /// An array of domains.
    pub allowed_domains: Option<Raw<'a>>,
    /// An array of domains (Messages only).
    pub blocked_domains: Option<Raw<'a>>,
    /// Messages `max_uses`.
    pub uses_max: Option<u64>,
    /// Responses `external_web_access: false`: only what the vendor has in its cache.
    pub from_cache: bool,
}

/// A tool as `tool_choice` names it.
#[derive(Clone, Debug)]
pub struct ToolName<'a> {
    /// Its name. After `adapt`: the upstream's.
    pub name: Text<'a>,
    /// Responses namespaces.
    pub namespace: Option<Text<'a>>,
    /// Whether it was named as a custom tool.
    pub custom: bool,
}

/// Which tools may or must be called.
#[derive(Clone, Debug)]
pub enum Choice<'a> {
    /// Any or none.
    Auto,
    /// At least one.
    Required,
    /// None at all.
    Never,
    /// This one.
    Named(ToolName<'a>),
    /// Only these. After `adapt` only where the target has `allowed_tools`; for Messages the tool list is cut instead.
    Among {
        /// At least one of them.
        required: bool,
        /// These.
        tools: Vec<ToolName<'a>>,
    },
    /// A hosted tool, by its type. `adapt` refuses it unless that tool goes to the upstream.
    Hosted(Text<'a>),
}

/// Shape of the answer.
#[derive(Clone, Debug)]
pub enum Format<'a> {
    /// Free text.
    Text,
    /// One JSON object.
    JsonObject,
    /// JSON of that schema.
    Schema {
        /// None: `structured_output` is used where a name is needed.
        name: Option<Text<'a>>,
        /// What it is for.
        description: Option<Text<'a>>,
        /// The JSON Schema; after `adapt` for Messages: sanitised.
        schema: Cow<'a, str>,
        /// None: not said. Messages readers say true.
        strict: Option<bool>,
    },
}
