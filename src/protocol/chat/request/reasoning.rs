//! How much to think, in the dialect of the upstream's kind (protocols.md 5.10).

use crate::protocol::Target;
use crate::protocol::caps::{Caps, ReasoningOff, ReasoningStyle, Toggle, Vendor};
use crate::protocol::effort::{self, Effort, Thinking};
use crate::protocol::neutral::Request;
use crate::protocol::render::Members;
use crate::protocol::warnings::Warnings;

/// Writes the field that says it, if anything was said.
pub(super) fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    m: &mut Members<'_>,
    warnings: &mut Warnings,
) {
    let caps = target.caps;
    let asked = effort::asked(request.effort, request.thinking);
    match caps.reasoning {
        ReasoningStyle::None => {
            if asked.is_some_and(|effort| effort != Effort::None) {
                warnings.add(request.effort_field(), "unsupported");
            }
        }
        ReasoningStyle::Effort | ReasoningStyle::Adaptive | ReasoningStyle::Budget
            if caps.vendor != Vendor::OpenRouter =>
        {
            let Some(wish) = asked else {
                return;
            };
            let off = wish == Effort::None;
            let wish = if off && caps.reasoning_off == ReasoningOff::Unsupported {
                Effort::Minimal
            } else {
                wish
            };
            let Some(effort) = caps.efforts.nearest(wish) else {
                warnings.add(request.effort_field(), "unsupported");
                return;
            };
            if off && effort != Effort::None {
                warnings.add(request.effort_field(), "lowest_instead");
            }
            m.str("reasoning_effort", effort.word());
            // Else Groq leaves thoughts in the text, between tags. Its gpt-oss models do so by themselves, and refuse the field.
            if caps.vendor == Vendor::Groq && !target.model.contains("gpt-oss") {
                m.str("reasoning_format", "parsed");
            }
        }
        _ => {
            let on = match (asked, request.thinking) {
                (Some(effort), _) => effort != Effort::None,
                (None, Some(_)) => true,
                (None, None) => return,
            };
            toggle(request, caps, on, asked, m);
        }
    }
}

fn toggle(
    request: &Request<'_>,
    caps: &Caps,
    on: bool,
    asked: Option<Effort>,
    m: &mut Members<'_>,
) {
    let budget = match request.thinking {
        Some(Thinking::Budget(tokens)) if on => Some(tokens),
        _ => None,
    };
    match caps.toggle {
        Toggle::EnableThinking => {
            m.bool("enable_thinking", on);
            if let Some(tokens) = budget {
                m.number("thinking_budget", tokens);
            }
        }
        Toggle::ThinkingType => {
            m.nested("thinking", |m| {
                m.str("type", if on { "enabled" } else { "disabled" });
            });
        }
        Toggle::TemplateEnableThinking | Toggle::TemplateThinking => {
            let name = match caps.toggle {
                Toggle::TemplateThinking => "thinking",
                _ => "enable_thinking",
            };
            m.nested("chat_template_kwargs", |m| {
                m.bool(name, on);
            });
        }
        Toggle::OpenRouter => {
            m.nested("reasoning", |m| match (on, budget, asked) {
                (false, ..) => {
                    m.bool("enabled", false);
                }
                (true, Some(tokens), _) => {
                    m.number("max_tokens", tokens);
                }
                (true, None, Some(effort)) => {
                    m.str("effort", effort.word());
                }
                (true, None, None) => {
                    m.bool("enabled", true);
                }
            });
        }
    }
}
