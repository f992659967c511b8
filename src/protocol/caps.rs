//! What an upstream model can do (protocols.md 0.3): one table by kind and model name; the configuration overrides single
//! flags. Plain values, so that a conversion stays a pure function of request and route.

use super::effort::{Effort, Efforts};
use crate::error::Fault;
use crate::wire::json::Raw;
use std::sync::Arc;

/// How sampling fields are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// All of them.
    Full,
    /// `temperature` and `top_p`, but not both.
    NoTopPWithTemp,
    /// None: each is a 400.
    None,
}

/// How the model is told to reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningStyle {
    /// It does not reason, or cannot be told.
    None,
    /// By effort words.
    Effort,
    /// By a number of tokens.
    Budget,
    /// Claude 4.6 and later: adaptive thinking and effort words.
    Adaptive,
    /// By a switch, see [`Toggle`].
    Toggle,
}

/// The field a switch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toggle {
    /// Qwen: `enable_thinking`, `thinking_budget`.
    EnableThinking,
    /// DeepSeek, GLM, Kimi: `thinking: {type}`.
    ThinkingType,
    /// vLLM, SGLang: `chat_template_kwargs: {enable_thinking}`.
    TemplateEnableThinking,
    /// The same with `thinking` as the name.
    TemplateThinking,
    /// OpenRouter: `reasoning: {effort}`.
    OpenRouter,
}

/// Whether reasoning can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningOff {
    /// Yes.
    Ok,
    /// No: the lowest effort is used instead, with a warning.
    Unsupported,
    /// Only between tool calls.
    BetweenTools,
}

/// The field in which a Chat upstream wants earlier reasoning back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningField {
    /// It wants none.
    None,
    /// `reasoning_content`.
    Content,
    /// `reasoning`.
    Reasoning,
    /// `reasoning_details` (OpenRouter).
    Details,
    /// A `thinking` part in an array of content (Mistral).
    ContentThinking,
}

/// Whether earlier reasoning has to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// Each assistant message of an open tool loop must carry it.
    Required,
    /// It may.
    Optional,
    /// It must not.
    Forbidden,
}

/// Whether a tool can be forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForcedTool {
    /// Yes.
    Ok,
    /// No: refused.
    No,
    /// Only while thinking is off: thinking is switched off, with a warning.
    NotWithThinking,
}

/// How the beginning of the answer can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefill {
    /// A trailing assistant message is continued.
    Native,
    /// vLLM: `continue_final_message: true, add_generation_prompt: false`.
    ContinueFinalMessage,
    /// DeepSeek, Mistral: `prefix: true` on the message.
    Prefix,
    /// Not at all.
    No,
}

/// How a Chat upstream comes to send usage in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamUsage {
    /// When `stream_options.include_usage` asks for it.
    Option,
    /// Always; it may refuse `stream_options`.
    Always,
    /// Never.
    Never,
}

/// What a tool call's id may be (protocols.md 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdRule {
    /// `^[a-zA-Z0-9_-]{1,64}$`.
    Messages,
    /// At most 64 characters.
    Any64,
    /// Exactly 9 letters and digits.
    Mistral,
    /// Anything (Kimi wants its own ids back).
    Any,
}

/// How far JSON schemas are honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonSchema {
    /// As they are.
    Native,
    /// Claude's subset, see [`super::schema`].
    StrictSubset,
    /// Not at all.
    No,
}

/// The name of the output limit in Chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenParam {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// Who makes the server; decides the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Vendor {
    OpenAi,
    Anthropic,
    DeepSeek,
    Qwen,
    Kimi,
    Glm,
    Gemini,
    Mistral,
    Groq,
    Xai,
    OpenRouter,
    MiniMax,
    Vllm,
    Sglang,
    LlamaCpp,
    Ollama,
    Generic,
}

/// Kinds as the configuration spells them.
pub const KINDS: [(&str, Vendor); 17] = [
    ("openai", Vendor::OpenAi),
    ("anthropic", Vendor::Anthropic),
    ("deepseek", Vendor::DeepSeek),
    ("qwen", Vendor::Qwen),
    ("kimi", Vendor::Kimi),
    ("glm", Vendor::Glm),
    ("gemini", Vendor::Gemini),
    ("mistral", Vendor::Mistral),
    ("groq", Vendor::Groq),
    ("xai", Vendor::Xai),
    ("openrouter", Vendor::OpenRouter),
    ("minimax", Vendor::MiniMax),
    ("vllm", Vendor::Vllm),
    ("sglang", Vendor::Sglang),
    ("llamacpp", Vendor::LlamaCpp),
    ("ollama", Vendor::Ollama),
    ("generic", Vendor::Generic),
];

impl Vendor {
    /// The vendor that a `kind` of the configuration names.
    pub fn of(kind: &str) -> Option<Vendor> {
        KINDS
            .iter()
            .find(|(name, _)| *name == kind)
            .map(|&(_, vendor)| vendor)
    }

    /// The kind whose official host that is; `generic` for any other.
    pub fn guess(host: &str) -> &'static str {
        const HOSTS: [(&str, &str); 18] = [
            ("openai.com", "openai"),
            ("openai.azure.com", "openai"),
            ("chatgpt.com", "openai"),
            ("anthropic.com", "anthropic"),
            ("deepseek.com", "deepseek"),
            ("aliyuncs.com", "qwen"),
            ("moonshot.cn", "kimi"),
            ("moonshot.ai", "kimi"),
            ("kimi.com", "kimi"),
            ("bigmodel.cn", "glm"),
            ("z.ai", "glm"),
            ("googleapis.com", "gemini"),
            ("mistral.ai", "mistral"),
            ("groq.com", "groq"),
            ("x.ai", "xai"),
            ("openrouter.ai", "openrouter"),
            ("minimax.io", "minimax"),
            ("minimaxi.com", "minimax"),
        ];
        let hit = HOSTS.iter().find(|(domain, _)| {
            host.strip_suffix(domain)
                .is_some_and(|front| front.is_empty() || front.ends_with('.'))
        });
        hit.map_or("generic", |&(_, kind)| kind)
    }
}

/// The capabilities of one upstream model. Field names are those of protocols.md 0.3 where it has them.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Caps {
    pub vendor: Vendor,
    /// The upstream's name in the configuration, written into carriers so that a proof never reaches another upstream.
    pub upstream: Option<Arc<str>>,
    pub max_output_tokens: Option<u64>,
    pub min_output_tokens: u64,
    /// Used where Messages demands a limit and the client gave none.
    pub default_max_tokens: Option<u64>,
    pub token_param: TokenParam,
    pub roles_developer: bool,
    /// A system message may be an array of parts.
    pub system_parts: bool,
    pub sampling: Sampling,
    /// `top_k` is known.
    pub top_k: bool,
    pub stop_native: bool,
    pub stops_max: usize,
    pub reasoning: ReasoningStyle,
    pub toggle: Toggle,
    pub efforts: Efforts,
    pub reasoning_off: ReasoningOff,
    /// Read first when several fields of an answer hold reasoning.
    pub reasoning_field_out: ReasoningField,
    pub reasoning_field_in: ReasoningField,
    pub reasoning_echo: Echo,
    /// Responses: `reasoning.summary` may be asked for.
    pub reasoning_summary: bool,
    pub forced_tool: ForcedTool,
    /// A `tool` message may hold pictures.
    pub tool_image: bool,
    pub user_after_tool: bool,
    pub prefill: Prefill,
    /// Messages: `role: "system"` inside `messages`. Chat: `system` anywhere.
    pub mid_system: bool,
    pub json_schema: JsonSchema,
    pub json_object: bool,
    pub strict_tools: bool,
    pub parallel_flag: bool,
    pub stream_usage: StreamUsage,
    pub tool_id_rule: Option<IdRule>,
    pub name_max: usize,
    pub files: bool,
    pub web_search: bool,
    pub store: bool,
    pub n: bool,
    pub logprobs: bool,
    pub finish_reason_optional: bool,
    pub cache_breakpoints: bool,
    pub think_tags: bool,
    pub snapshot_args: bool,
    pub custom: bool,
    /// OpenAI's own labels (`metadata`, `safety_identifier`, `prompt_cache_key`, `service_tier`, `verbosity`) are known.
    pub labels: bool,
    /// `user` is known.
    pub user_field: bool,
    /// Penalties are known.
    pub penalties: bool,
    /// MCP servers may be named.
    pub mcp: bool,
    /// The upstream answers only in streams (some Qwen models while thinking).
    pub stream_only: bool,
    pub repair_history: bool,
    pub auto_cache: bool,
    /// Answers name the upstream's model instead of the client's.
    pub show_model: bool,
    /// Claude's `thinking.block_binding` is sent with converted requests.
    pub block_binding: bool,
}

/// What every kind starts from: a server without quirks.
impl Default for Caps {
    fn default() -> Caps {
        Caps {
            vendor: Vendor::Generic,
            upstream: None,
            max_output_tokens: None,
            min_output_tokens: 1,
            default_max_tokens: None,
            token_param: TokenParam::MaxTokens,
            roles_developer: false,
            system_parts: false,
            sampling: Sampling::Full,
            top_k: false,
            stop_native: true,
            stops_max: 4,
            reasoning: ReasoningStyle::Effort,
            toggle: Toggle::ThinkingType,
            efforts: Efforts::ALL,
            reasoning_off: ReasoningOff::Ok,
            reasoning_field_out: ReasoningField::Content,
            reasoning_field_in: ReasoningField::Content,
            reasoning_echo: Echo::Optional,
            reasoning_summary: true,
            forced_tool: ForcedTool::Ok,
            tool_image: false,
            user_after_tool: true,
            prefill: Prefill::No,
            mid_system: true,
            json_schema: JsonSchema::Native,
            json_object: true,
            strict_tools: true,
            parallel_flag: true,
            stream_usage: StreamUsage::Option,
            tool_id_rule: None,
            name_max: 64,
            files: true,
            web_search: false,
            store: false,
            n: true,
            logprobs: true,
            finish_reason_optional: false,
            cache_breakpoints: false,
            think_tags: false,
            snapshot_args: false,
            custom: false,
            labels: false,
            user_field: true,
            penalties: true,
            mcp: false,
            stream_only: false,
            repair_history: false,
            auto_cache: false,
            show_model: false,
            block_binding: false,
        }
    }
}

impl Caps {
    /// The defaults for a kind (an unknown one is `generic`) and the model that is asked there.
    pub fn of(kind: &str, model: &str) -> Caps {
        let vendor = Vendor::of(kind).unwrap_or(Vendor::Generic);
        let base = Caps {
            vendor,
            ..Caps::default()
        };
        let model = model
            .rsplit('/')
            .next()
            .unwrap_or(model)
            .to_ascii_lowercase();
        match vendor {
            Vendor::OpenAi => openai(base, &model),
            Vendor::Anthropic => claude(base, &model),
            _ if model.starts_with("claude") => claude(base, &model),
            Vendor::DeepSeek => Caps {
                reasoning: ReasoningStyle::Toggle,
                reasoning_echo: Echo::Required,
                json_schema: JsonSchema::No,
                forced_tool: ForcedTool::NotWithThinking,
                prefill: Prefill::Prefix,
                strict_tools: false,
                files: false,
                user_field: false,
                ..base
            },
            Vendor::Qwen => Caps {
                mid_system: false,
                reasoning: ReasoningStyle::Toggle,
                toggle: Toggle::EnableThinking,
                forced_tool: ForcedTool::NotWithThinking,
                stream_only: model.starts_with("qwq") || model.contains("thinking"),
                top_k: true,
                strict_tools: false,
                ..base
            },
            Vendor::Kimi => Caps {
                reasoning: ReasoningStyle::Toggle,
                reasoning_echo: Echo::Required,
                tool_id_rule: Some(IdRule::Any),
                sampling: if model.starts_with("kimi-k2.5") || model.starts_with("kimi-k3") {
                    Sampling::None
                } else {
                    Sampling::Full
                },
                ..base
            },
            Vendor::Glm => Caps {
                reasoning: ReasoningStyle::Toggle,
                forced_tool: ForcedTool::No,
                stream_usage: StreamUsage::Always,
                penalties: false,
                strict_tools: false,
                parallel_flag: false,
                ..base
            },
            Vendor::MiniMax => Caps {
                reasoning_echo: Echo::Required,
                think_tags: true,
                ..base
            },
            Vendor::Gemini => Caps {
                // Unknown fields are 400 there: only what its documents list.
                efforts: Efforts::of(&[
                    Effort::None,
                    Effort::Minimal,
                    Effort::Low,
                    Effort::Medium,
                    Effort::High,
                ]),
                reasoning_field_in: ReasoningField::None,
                reasoning_echo: Echo::Forbidden,
                penalties: false,
                user_field: false,
                parallel_flag: false,
                strict_tools: false,
                logprobs: false,
                ..base
            },
            Vendor::Mistral => Caps {
                tool_id_rule: Some(IdRule::Mistral),
                user_after_tool: true,
                prefill: Prefill::Prefix,
                reasoning: ReasoningStyle::None,
                reasoning_field_in: ReasoningField::ContentThinking,
                user_field: false,
                ..base
            },
            Vendor::Groq => Caps {
                logprobs: false,
                n: false,
                token_param: TokenParam::MaxCompletionTokens,
                reasoning_field_in: ReasoningField::Reasoning,
                ..base
            },
            Vendor::Xai => Caps {
                penalties: false,
                stop_native: !model.contains("reasoning") && !model.starts_with("grok-4"),
                ..base
            },
            Vendor::OpenRouter => Caps {
                reasoning: ReasoningStyle::Toggle,
                toggle: Toggle::OpenRouter,
                reasoning_field_in: ReasoningField::Details,
                top_k: true,
                ..base
            },
            Vendor::Vllm | Vendor::Sglang => Caps {
                mid_system: false,
                reasoning: ReasoningStyle::Toggle,
                toggle: Toggle::TemplateEnableThinking,
                prefill: Prefill::ContinueFinalMessage,
                reasoning_field_in: if vendor == Vendor::Vllm {
                    ReasoningField::Reasoning
                } else {
                    ReasoningField::Content
                },
                top_k: true,
                ..base
            },
            Vendor::LlamaCpp => Caps {
                mid_system: false,
                prefill: Prefill::Native,
                top_k: true,
                ..base
            },
            Vendor::Ollama => Caps {
                parallel_flag: false,
                reasoning_field_in: ReasoningField::Reasoning,
                ..base
            },
            // Qwen's template, the usual one behind these, raises "System message must be at the beginning", and Claude
            // Code's second message is a system's.
            Vendor::Generic => Caps {
                mid_system: false,
                ..base
            },
        }
    }

    /// The output limit of the model when the client gave none and Messages demands one.
    pub fn limit_or_default(&self) -> u64 {
        self.default_max_tokens
            .or(self.max_output_tokens)
            .unwrap_or(8192)
    }

    /// Names that [`Caps::set`] knows.
    pub const FLAG_NAMES: [&'static str; 44] = [
        "max_output_tokens",
        "min_output_tokens",
        "default_max_tokens",
        "token_param",
        "roles_developer",
        "sampling",
        "stop_native",
        "reasoning",
        "efforts",
        "toggle",
        "reasoning_off",
        "reasoning_field_out",
        "reasoning_field_in",
        "reasoning_echo",
        "reasoning_summary",
        "forced_tool",
        "tool_image",
        "user_after_tool",
        "prefill",
        "mid_system",
        "json_schema",
        "json_object",
        "strict_tools",
        "parallel_flag",
        "stream_usage",
        "tool_id_rule",
        "name_max",
        "files",
        "web_search",
        "store",
        "n",
        "logprobs",
        "finish_reason_optional",
        "cache_breakpoints",
        "think_tags",
        "snapshot_args",
        "custom",
        "top_k",
        "labels",
        "stream_only",
        "repair_history",
        "auto_cache",
        "show_model",
        "block_binding",
    ];

    /// Overrides one flag by the value the configuration gives.
    ///
    /// # Errors
    /// An unknown name, or a value of another kind than the flag takes; the message lists what it takes.
    pub fn set(&mut self, flag: &str, value: Raw<'_>) -> Result<(), Fault> {
        match flag {
            "max_output_tokens" => self.max_output_tokens = Some(number(flag, value)?),
            "min_output_tokens" => self.min_output_tokens = number(flag, value)?,
            "default_max_tokens" => self.default_max_tokens = Some(number(flag, value)?),
            "name_max" => self.name_max = number(flag, value)?.clamp(16, 1024) as usize,
            "token_param" => {
                self.token_param = word(
                    flag,
                    value,
                    &[
                        ("max_tokens", TokenParam::MaxTokens),
                        ("max_completion_tokens", TokenParam::MaxCompletionTokens),
                    ],
                )?;
            }
            "sampling" => {
                self.sampling = word(
                    flag,
                    value,
                    &[
                        ("full", Sampling::Full),
                        ("no_top_p_with_temp", Sampling::NoTopPWithTemp),
                        ("none", Sampling::None),
                    ],
                )?;
            }
            "reasoning" => {
                self.reasoning = word(
                    flag,
                    value,
                    &[
                        ("none", ReasoningStyle::None),
                        ("effort", ReasoningStyle::Effort),
                        ("budget", ReasoningStyle::Budget),
                        ("adaptive", ReasoningStyle::Adaptive),
                        ("toggle", ReasoningStyle::Toggle),
                    ],
                )?;
            }
            "toggle" => {
                self.toggle = word(
                    flag,
                    value,
                    &[
                        ("enable_thinking", Toggle::EnableThinking),
                        ("thinking_type", Toggle::ThinkingType),
                        ("template_enable_thinking", Toggle::TemplateEnableThinking),
                        ("template_thinking", Toggle::TemplateThinking),
                        ("openrouter", Toggle::OpenRouter),
                    ],
                )?;
            }
            "efforts" => self.efforts = efforts(flag, value)?,
            "reasoning_off" => {
                self.reasoning_off = word(
                    flag,
                    value,
                    &[
                        ("ok", ReasoningOff::Ok),
                        ("unsupported", ReasoningOff::Unsupported),
                        ("between_tools", ReasoningOff::BetweenTools),
                    ],
                )?;
            }
            "reasoning_field_out" => self.reasoning_field_out = field(flag, value)?,
            "reasoning_field_in" => self.reasoning_field_in = field(flag, value)?,
            "reasoning_echo" => {
                self.reasoning_echo = word(
                    flag,
                    value,
                    &[
                        ("required", Echo::Required),
                        ("optional", Echo::Optional),
                        ("forbidden", Echo::Forbidden),
                    ],
                )?;
            }
            "forced_tool" => {
                self.forced_tool = word(
                    flag,
                    value,
                    &[
                        ("ok", ForcedTool::Ok),
                        ("no", ForcedTool::No),
                        ("not_with_thinking", ForcedTool::NotWithThinking),
                    ],
                )?;
            }
            "tool_image" => {
                self.tool_image = word(flag, value, &[("native", true), ("user_message", false)])?;
            }
            "prefill" => {
                self.prefill = word(
                    flag,
                    value,
                    &[
                        ("native", Prefill::Native),
                        ("flag:continue_final_message", Prefill::ContinueFinalMessage),
                        ("flag:prefix", Prefill::Prefix),
                        ("no", Prefill::No),
                    ],
                )?;
            }
            "mid_system" => {
                self.mid_system = word(flag, value, &[("native", true), ("user_text", false)])?;
            }
            "json_schema" => {
                self.json_schema = word(
                    flag,
                    value,
                    &[
                        ("native", JsonSchema::Native),
                        ("strict_subset", JsonSchema::StrictSubset),
                        ("no", JsonSchema::No),
                    ],
                )?;
            }
            "stream_usage" => {
                self.stream_usage = word(
                    flag,
                    value,
                    &[
                        ("option", StreamUsage::Option),
                        ("always", StreamUsage::Always),
                        ("never", StreamUsage::Never),
                    ],
                )?;
            }
            "tool_id_rule" => {
                self.tool_id_rule = Some(word(
                    flag,
                    value,
                    &[
                        ("messages", IdRule::Messages),
                        ("any64", IdRule::Any64),
                        ("mistral9", IdRule::Mistral),
                        ("any", IdRule::Any),
                    ],
                )?);
            }
            _ => *self.switch(flag)? = yes(flag, value)?,
        }
        Ok(())
    }

    /// The flag of that name, if it is a yes or no.
    fn switch(&mut self, flag: &str) -> Result<&mut bool, Fault> {
        Ok(match flag {
            "roles_developer" => &mut self.roles_developer,
            "stop_native" => &mut self.stop_native,
            "reasoning_summary" => &mut self.reasoning_summary,
            "user_after_tool" => &mut self.user_after_tool,
            "json_object" => &mut self.json_object,
            "strict_tools" => &mut self.strict_tools,
            "parallel_flag" => &mut self.parallel_flag,
            "files" => &mut self.files,
            "web_search" => &mut self.web_search,
            "store" => &mut self.store,
            "n" => &mut self.n,
            "logprobs" => &mut self.logprobs,
            "finish_reason_optional" => &mut self.finish_reason_optional,
            "cache_breakpoints" => &mut self.cache_breakpoints,
            "think_tags" => &mut self.think_tags,
            "snapshot_args" => &mut self.snapshot_args,
            "custom" => &mut self.custom,
            "top_k" => &mut self.top_k,
            "labels" => &mut self.labels,
            "stream_only" => &mut self.stream_only,
            "repair_history" => &mut self.repair_history,
            "auto_cache" => &mut self.auto_cache,
            "show_model" => &mut self.show_model,
            "block_binding" => &mut self.block_binding,
            _ => {
                return Err(Fault::bad(format!(
                    "unknown flag {flag:?}; known: {}",
                    Caps::FLAG_NAMES.join(", ")
                )));
            }
        })
    }
}

fn number(flag: &str, value: Raw<'_>) -> Result<u64, Fault> {
    value
        .as_u64()
        .ok_or_else(|| Fault::bad(format!("flag {flag:?} takes a whole number")))
}

fn yes(flag: &str, value: Raw<'_>) -> Result<bool, Fault> {
    value
        .as_bool()
        .ok_or_else(|| Fault::bad(format!("flag {flag:?} takes true or false")))
}

fn word<T: Copy>(flag: &str, value: Raw<'_>, known: &[(&str, T)]) -> Result<T, Fault> {
    let hit = value.as_str().and_then(|text| {
        let hit = known.iter().find(|(name, _)| *name == text);
        hit.map(|&(_, meaning)| meaning)
    });
    hit.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        Fault::bad(format!("flag {flag:?} takes one of {}", names.join(", ")))
    })
}

fn field(flag: &str, value: Raw<'_>) -> Result<ReasoningField, Fault> {
    word(
        flag,
        value,
        &[
            ("none", ReasoningField::None),
            ("reasoning_content", ReasoningField::Content),
            ("reasoning", ReasoningField::Reasoning),
            ("reasoning_details", ReasoningField::Details),
            ("content_thinking", ReasoningField::ContentThinking),
        ],
    )
}

fn efforts(flag: &str, value: Raw<'_>) -> Result<Efforts, Fault> {
    let wrong = || {
        Fault::bad(format!(
            "flag {flag:?} takes a list of none, minimal, low, medium, high, xhigh, max"
        ))
    };
    let elements = value.elements().map_err(|_| wrong())?;
    let list: Option<Vec<Effort>> = elements
        .map(|word| word.as_str().and_then(|word| Effort::of(&word)))
        .collect();
    Ok(Efforts::of(&list.ok_or_else(wrong)?))
}

/// OpenAI by model: the o-series and gpt-5 and later reason, and refuse what reasoning models refuse.
fn openai(base: Caps, model: &str) -> Caps {
    let o_series =
        model.len() > 1 && model.starts_with('o') && model.as_bytes()[1].is_ascii_digit();
    let gpt = model.strip_prefix("gpt-").and_then(|rest| {
        rest.split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse::<u32>()
            .ok()
    });
    let reasons = o_series || gpt.is_some_and(|version| version >= 5) || model.starts_with("codex");
    Caps {
        token_param: TokenParam::MaxCompletionTokens,
        roles_developer: reasons,
        system_parts: true,
        sampling: if reasons {
            Sampling::None
        } else {
            Sampling::Full
        },
        stop_native: !reasons,
        reasoning: if reasons {
            ReasoningStyle::Effort
        } else {
            ReasoningStyle::None
        },
        reasoning_field_in: ReasoningField::None,
        reasoning_echo: Echo::Forbidden,
        efforts: if o_series {
            Efforts::CLASSIC
        } else {
            Efforts::ALL
        },
        min_output_tokens: 16,
        store: true,
        labels: true,
        custom: gpt.is_some_and(|version| version >= 5),
        cache_breakpoints: false,
        web_search: model.contains("search"),
        mcp: true,
        penalties: !reasons,
        logprobs: !reasons,
        ..base
    }
}

/// Claude by model (protocols.md 3.1, 5.6, 5.10, 5.11).
fn claude(base: Caps, model: &str) -> Caps {
    let version = claude_version(model);
    let newest = version.is_none_or(|v| v >= (5, 0));
    let adaptive = version.is_none_or(|v| v >= (4, 6));
    let official = base.vendor == Vendor::Anthropic;
    let foreign = official && !model.starts_with("claude");
    let max_output = match version {
        _ if foreign => None,
        None => Some(128_000),
        Some(v) if v >= (4, 6) => Some(128_000),
        Some((4, 5)) => Some(64_000),
        Some((4, _)) if model.contains("sonnet") => Some(64_000),
        Some((4, _)) => Some(32_000),
        Some((3, 7)) => Some(64_000),
        Some((3, 5)) => Some(8192),
        Some(_) => Some(4096),
    };
    let reasoning = match version {
        _ if foreign => ReasoningStyle::None,
        Some(v) if v < (3, 7) => ReasoningStyle::None,
        _ if adaptive => ReasoningStyle::Adaptive,
        _ => ReasoningStyle::Budget,
    };
    // Fable 5.1, Opus 5.5 and Sonnet 5.5 cannot be forced; budget models only while thinking is off.
    let forced_tool = match version {
        Some((5, minor)) if minor >= 5 || (model.contains("fable") && minor >= 1) => ForcedTool::No,
        _ if reasoning == ReasoningStyle::Budget => ForcedTool::NotWithThinking,
        _ => ForcedTool::Ok,
    };
    let efforts = match version {
        Some((4, 6)) => Efforts::of(&[Effort::Low, Effort::Medium, Effort::High, Effort::Max]),
        _ => Efforts::of(&[
            Effort::Low,
            Effort::Medium,
            Effort::High,
            Effort::Xhigh,
            Effort::Max,
        ]),
    };
    Caps {
        max_output_tokens: max_output,
        sampling: match version {
            _ if foreign => Sampling::Full,
            None => Sampling::None,
            Some(v) if v >= (4, 7) => Sampling::None,
            Some(v) if v >= (4, 1) => Sampling::NoTopPWithTemp,
            Some(_) => Sampling::Full,
        },
        top_k: true,
        stops_max: usize::MAX,
        reasoning,
        efforts,
        reasoning_off: ReasoningOff::Ok,
        forced_tool,
        tool_image: true,
        prefill: if adaptive && !foreign {
            Prefill::No
        } else {
            Prefill::Native
        },
        mid_system: version.is_some_and(|v| v >= (4, 8)) || (newest && version.is_some()),
        json_schema: JsonSchema::StrictSubset,
        json_object: false,
        strict_tools: official && version.is_none_or(|v| v >= (4, 5)),
        name_max: 128,
        web_search: false,
        logprobs: false,
        cache_breakpoints: true,
        auto_cache: official,
        store: false,
        mcp: false,
        ..base
    }
}

/// Major and minor version in a Claude model name, both spellings: `claude-3-5-haiku-…`, `claude-opus-4-1-…`, `claude-sonnet-4@…`.
/// None: not a name with a version, which is taken for a newer one.
fn claude_version(model: &str) -> Option<(u32, u32)> {
    let numbers =
        |part: &str| -> Option<u32> { (part.len() <= 2).then(|| part.parse().ok()).flatten() };
    let parts: Vec<&str> = model.split(['-', '.', '@', ':']).collect();
    let first = parts.iter().position(|part| numbers(part).is_some())?;
    let major = numbers(parts[first])?;
    let minor = parts
        .get(first + 1)
        .and_then(|part| numbers(part))
        .unwrap_or(0);
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Raw<'_> {
        Raw::parse(json).unwrap()
    }

    #[test]
    fn every_listed_flag_can_be_set() {
        for flag in Caps::FLAG_NAMES {
            let mut caps = Caps::default();
            let tries = ["true", "7", "[\"low\"]"];
            let words = [
                "max_tokens",
                "full",
                "toggle",
                "openrouter",
                "ok",
                "reasoning",
                "required",
                "native",
                "no",
                "option",
                "mistral9",
            ];
            let plain = tries.iter().any(|json| caps.set(flag, value(json)).is_ok());
            let worded = words
                .iter()
                .any(|w| caps.set(flag, value(&format!("\"{w}\""))).is_ok());
            assert!(plain || worded, "{flag}");
            assert!(caps.set(flag, value("{}")).is_err(), "{flag}");
        }
        let unknown = Caps::default().set("speed", value("true")).unwrap_err();
        assert!(unknown.message.contains("known: max_output_tokens"));
    }

    #[test]
    fn claude_models_have_their_limits() {
        let limit = |model| Caps::of("anthropic", model).max_output_tokens;
        assert_eq!(limit("claude-opus-4-6"), Some(128_000));
        assert_eq!(limit("claude-fable-9"), Some(128_000));
        assert_eq!(limit("claude-haiku-4-5-20251001"), Some(64_000));
        assert_eq!(limit("claude-sonnet-4-20250514"), Some(64_000));
        assert_eq!(limit("claude-opus-4-1-20250805"), Some(32_000));
        assert_eq!(limit("claude-3-5-haiku-20241022"), Some(8192));
        assert_eq!(limit("claude-3-haiku-20240307"), Some(4096));
        assert_eq!(Caps::of("anthropic", "qwen3").limit_or_default(), 8192);
    }

    #[test]
    fn claude_families_reason_in_their_way() {
        let style = |model| Caps::of("anthropic", model).reasoning;
        assert_eq!(style("claude-opus-4-6"), ReasoningStyle::Adaptive);
        assert_eq!(style("claude-sonnet-4-5"), ReasoningStyle::Budget);
        assert_eq!(style("claude-3-5-sonnet-20241022"), ReasoningStyle::None);
        assert_eq!(
            Caps::of("anthropic", "claude-sonnet-5-5").forced_tool,
            ForcedTool::No
        );
    }

    #[test]
    fn hosts_name_their_kind() {
        assert_eq!(Vendor::guess("api.openai.com"), "openai");
        assert_eq!(Vendor::guess("x.ai"), "xai");
        assert_eq!(Vendor::guess("notx.ai"), "generic");
    }
}
