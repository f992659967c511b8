//! What an upstream model can do (protocols.md 0.3), one field a quirk. The defaults come from the kind of server and the name of
//! the model (`kinds`, `claude`); the configuration overrides single flags (`flags`). Plain values, so that a conversion
//! stays a pure function of request and route.

mod claude;
mod flags;
mod kinds;
mod vendors;

pub use vendors::{KINDS, Vendor};

use super::effort::Efforts;
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

/// The capabilities of one upstream model. Field names are those of protocols.md 0.3 where it has them.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Caps {
    pub vendor: Vendor,
    /// The upstream's name in the configuration, written into carriers so that a proof never reaches another upstream.
    pub upstream: Option<Arc<str>>,
    /// It can be told how long its answer may be.
    pub output_limit: bool,
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
            output_limit: true,
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
    /// The output limit of the model when the client gave none and Messages demands one.
    pub fn limit_or_default(&self) -> u64 {
        self.default_max_tokens
            .or(self.max_output_tokens)
            .unwrap_or(8192)
    }
}
