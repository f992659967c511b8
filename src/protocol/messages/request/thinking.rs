//! How much a Claude model is told to think (protocols.md 5.10): a mode and an effort, a budget or a switch, by what it takes.

use crate::protocol::Warnings;
use crate::protocol::caps::{Caps, ReasoningOff, ReasoningStyle};
use crate::protocol::effort::{BUDGET_MIN, Effort, Thinking, asked};

/// What a Messages writer sends: `thinking` and `output_config.effort`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClaudeThinking {
    /// `thinking`; None: the field is left out.
    pub thinking: Option<Thinking>,
    /// `output_config.effort`.
    pub effort: Option<Effort>,
}

/// Turns what was asked into what that Claude model takes. `max_tokens` is what will be sent as such; `field` is the
/// client's name for warnings.
pub fn of(
    effort: Option<Effort>,
    thinking: Option<Thinking>,
    caps: &Caps,
    max_tokens: u64,
    field: &'static str,
    warnings: &mut Warnings,
) -> ClaudeThinking {
    let Some(wish) = asked(effort, thinking) else {
        return unmeasured(thinking, caps, max_tokens, field, warnings);
    };
    match caps.reasoning {
        ReasoningStyle::Adaptive => adaptive(wish, thinking, caps, field, warnings),
        ReasoningStyle::Budget if wish == Effort::None => ClaudeThinking::default(),
        ReasoningStyle::Toggle if wish == Effort::None => ClaudeThinking {
            thinking: Some(Thinking::Off),
            effort: None,
        },
        ReasoningStyle::Budget | ReasoningStyle::Toggle => {
            let tokens = match thinking {
                Some(Thinking::Budget(tokens)) => tokens.max(BUDGET_MIN),
                _ => wish.budget(),
            };
            let room = max_tokens.saturating_sub(1024);
            if room < BUDGET_MIN {
                warnings.add(field, "no_room");
                return ClaudeThinking::default();
            }
            ClaudeThinking {
                thinking: Some(Thinking::Budget(tokens.min(room))),
                effort: None,
            }
        }
        ReasoningStyle::Effort => ClaudeThinking {
            thinking: None,
            effort: caps.efforts.nearest(wish),
        },
        ReasoningStyle::None => {
            if wish != Effort::None {
                warnings.add(field, "unsupported");
            }
            ClaudeThinking::default()
        }
    }
}

/// The same where only the mode was said, if anything, and not how much.
fn unmeasured(
    thinking: Option<Thinking>,
    caps: &Caps,
    max_tokens: u64,
    field: &'static str,
    warnings: &mut Warnings,
) -> ClaudeThinking {
    match (thinking, caps.reasoning) {
        (None, _) | (_, ReasoningStyle::Effort) => ClaudeThinking::default(),
        (Some(_), ReasoningStyle::Adaptive) => ClaudeThinking {
            thinking,
            effort: None,
        },
        // Such a model wants a number, or it does not think at all.
        (Some(_), ReasoningStyle::Budget | ReasoningStyle::Toggle) => {
            let middle = Some(Effort::Medium);
            of(middle, thinking, caps, max_tokens, field, warnings)
        }
        (Some(_), ReasoningStyle::None) => {
            warnings.add(field, "unsupported");
            ClaudeThinking::default()
        }
    }
}

fn adaptive(
    wish: Effort,
    thinking: Option<Thinking>,
    caps: &Caps,
    field: &'static str,
    warnings: &mut Warnings,
) -> ClaudeThinking {
    if wish == Effort::None {
        let thinking = match caps.reasoning_off {
            ReasoningOff::Ok => Thinking::Off,
            ReasoningOff::BetweenTools => Thinking::BetweenTools,
            ReasoningOff::Unsupported => {
                warnings.add(field, "lowest_instead");
                return ClaudeThinking {
                    thinking: Some(Thinking::Adaptive),
                    effort: Some(Effort::Low),
                };
            }
        };
        return ClaudeThinking {
            thinking: Some(thinking),
            effort: None,
        };
    }
    let thinking = match thinking {
        Some(Thinking::BetweenTools) => Thinking::BetweenTools,
        _ => Thinking::Adaptive,
    };
    ClaudeThinking {
        thinking: Some(thinking),
        effort: caps.efforts.nearest(wish.max(Effort::Low)),
    }
}
