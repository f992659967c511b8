//! What each kind of server can do unless the configuration says otherwise (protocols.md 10.1): one row a kind.

use super::claude::claude;
use super::{
    Caps, Echo, ForcedTool, IdRule, JsonSchema, Prefill, ReasoningField, ReasoningStyle, Sampling,
    StreamUsage, Toggle, TokenParam, Vendor,
};
use crate::protocol::effort::{Effort, Efforts};

impl Caps {
    /// The defaults for a kind (an unknown one is `generic`) and the model that is asked there.
    pub fn of(kind: &str, model: &str) -> Caps {
        let vendor = Vendor::of(kind).unwrap_or(Vendor::Generic);
        let base = Caps {
            vendor,
            ..Caps::default()
        };
        let base = match vendor {
            // Whoever's model it is, it is asked in one way.
            Vendor::OpenRouter => Caps {
                toggle: Toggle::OpenRouter,
                reasoning_field_in: ReasoningField::Details,
                top_k: true,
                system_parts: true,
                ..base
            },
            _ => base,
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
    // `gpt-5-chat-latest` and its like answer at once, and refuse to be told how much to think.
    let thinks = reasons && !model.contains("-chat");
    Caps {
        max_output_tokens: openai_output(model),
        token_param: TokenParam::MaxCompletionTokens,
        roles_developer: reasons,
        system_parts: true,
        sampling: if reasons {
            Sampling::None
        } else {
            Sampling::Full
        },
        stop_native: !reasons,
        reasoning: if thinks {
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

/// The output limits OpenAI documents: a higher `max_tokens` is a 400 there, and Claude Code asks for 32,000. None: not known,
/// or a name that its owner chose.
fn openai_output(model: &str) -> Option<u64> {
    const LIMITS: [(&str, u64); 13] = [
        ("gpt-3.5", 4096),
        ("gpt-4o-2024-05-13", 4096),
        ("gpt-4o", 16_384),
        ("chatgpt-4o", 16_384),
        ("gpt-4.1", 32_768),
        ("gpt-4-turbo", 4096),
        ("gpt-4", 8192),
        ("gpt-5-chat", 16_384),
        ("gpt-5", 128_000),
        ("o1-mini", 65_536),
        ("o1-preview", 32_768),
        ("o1", 100_000),
        ("o3", 100_000),
    ];
    let known = LIMITS.iter().find(|(front, _)| model.starts_with(front));
    known.map(|&(_, limit)| limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_models_have_their_limits() {
        let limit = |model| Caps::of("openai", model).max_output_tokens;
        assert_eq!(limit("gpt-4o-mini"), Some(16_384));
        assert_eq!(limit("gpt-4.1-nano"), Some(32_768));
        assert_eq!(limit("gpt-4-turbo-2024-04-09"), Some(4096));
        assert_eq!(limit("gpt-5.2"), Some(128_000));
        assert_eq!(limit("o1-2024-12-17"), Some(100_000));
        assert_eq!(limit("my-deployment"), None);
        assert_eq!(Caps::of("generic", "gpt-4o").max_output_tokens, None);
    }

    #[test]
    fn a_chat_model_of_a_family_that_thinks_is_not_told_how_much() {
        let style = |model| Caps::of("openai", model).reasoning;
        assert_eq!(style("gpt-5.2"), ReasoningStyle::Effort);
        assert_eq!(style("gpt-5-chat-latest"), ReasoningStyle::None);
    }
}
