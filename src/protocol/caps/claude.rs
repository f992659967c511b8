//! Claude by model (protocols.md 3.1, 5.6, 5.10, 5.11): what a model takes changes with its version.

use super::{
    Caps, ForcedTool, JsonSchema, Prefill, ReasoningOff, ReasoningStyle, Sampling, Vendor,
};
use crate::protocol::effort::{Effort, Efforts};

/// Claude by model (protocols.md 3.1, 5.6, 5.10, 5.11).
pub(super) fn claude(base: Caps, model: &str) -> Caps {
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
}
