//! Single flags, as the configuration spells and overrides them.

use super::{
    Caps, Echo, ForcedTool, IdRule, JsonSchema, Prefill, ReasoningField, ReasoningOff,
    ReasoningStyle, Sampling, StreamUsage, Toggle, TokenParam,
};
use crate::error::Fault;
use crate::protocol::effort::{Effort, Efforts};
use crate::wire::json::Raw;

impl Caps {
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
}
