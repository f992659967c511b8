//! How much a model should think, between the three ways of saying it (protocols.md 5.10): effort words, a budget of
//! tokens, a switch.

use super::caps::{Caps, ReasoningOff, ReasoningStyle};
use super::warnings::Warnings;

/// The effort words of Chat and Responses; Messages has those from `low` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// All of them, weakest first.
    pub const ALL: [Effort; 7] = [
        Effort::None,
        Effort::Minimal,
        Effort::Low,
        Effort::Medium,
        Effort::High,
        Effort::Xhigh,
        Effort::Max,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::Xhigh => "xhigh",
            Effort::Max => "max",
        }
    }

    /// The effort a word means.
    pub fn of(word: &str) -> Option<Effort> {
        Effort::ALL.into_iter().find(|effort| effort.word() == word)
    }

    /// Tokens a budget model is given for it.
    fn budget(self) -> u64 {
        match self {
            Effort::None => 0,
            Effort::Minimal => BUDGET_MIN,
            Effort::Low => 4096,
            Effort::Medium => 10_240,
            Effort::High => 24_576,
            Effort::Xhigh => 32_768,
            Effort::Max => 49_152,
        }
    }
}

/// The smallest budget Claude takes.
pub const BUDGET_MIN: u64 = 1024;

/// Efforts a model knows, as bits in the order of [`Effort::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Efforts(u8);

impl Efforts {
    /// Every one.
    pub const ALL: Efforts = Efforts(0b0111_1111);
    /// low, medium, high.
    pub const CLASSIC: Efforts = Efforts(0b0001_1100);

    /// Those and no others.
    pub fn of(list: &[Effort]) -> Efforts {
        Efforts(
            list.iter()
                .fold(0, |bits, &effort| bits | 1 << effort as u8),
        )
    }

    /// Whether the model knows it.
    pub fn has(self, effort: Effort) -> bool {
        self.0 & (1 << effort as u8) != 0
    }

    /// The nearest one the model knows: the next lower, else the lowest there is. None: it knows none.
    pub fn nearest(self, wish: Effort) -> Option<Effort> {
        let known = || Effort::ALL.into_iter().filter(|&effort| self.has(effort));
        let lower = known()
            .filter(|&effort| effort <= wish && (effort != Effort::None || wish == Effort::None));
        lower
            .max()
            .or_else(|| known().find(|&effort| effort != Effort::None))
    }
}

/// Messages `thinking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// `enabled` with `budget_tokens`.
    Budget(u64),
    /// `adaptive`.
    Adaptive,
    /// `between_tools`.
    BetweenTools,
    /// `disabled`.
    Off,
}

/// The effort word a request means, whichever way it says it: an explicit effort, else the budget's. None: the model decides.
pub fn asked(effort: Option<Effort>, thinking: Option<Thinking>) -> Option<Effort> {
    match thinking {
        Some(Thinking::Off) => Some(Effort::None),
        Some(Thinking::Budget(_))
        | Some(Thinking::Adaptive)
        | Some(Thinking::BetweenTools)
        | None
            if effort.is_some() =>
        {
            effort
        }
        Some(Thinking::Budget(tokens)) => Some(match tokens {
            0..4096 => Effort::Low,
            4096..16_384 => Effort::Medium,
            16_384..32_768 => Effort::High,
            _ => Effort::Xhigh,
        }),
        _ => None,
    }
}

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
pub fn claude(
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
            claude(middle, thinking, caps, max_tokens, field, warnings)
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
