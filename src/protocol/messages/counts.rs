//! Token counts: this protocol leaves out of `input_tokens` what a cache read or wrote, the others count it in
//! (protocols.md 7.4). In a stream they come twice and add to what is known: an absent field keeps its value.

use crate::protocol::neutral::Usage;
use crate::protocol::render::Members;
use crate::wire::json::Raw;

/// What an upstream has said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    fresh: u64,
    cached: u64,
    cache_write: u64,
    output: u64,
    thinking: Option<u64>,
    known: bool,
}

impl Counts {
    /// Takes a `usage` object: cumulative totals.
    pub(super) fn merge(&mut self, usage: Raw<'_>) {
        let Ok(usage) = usage.as_object() else {
            return;
        };
        let number = |key: &str| usage.get(key).and_then(Raw::as_u64);
        const READ: [&str; 3] = [
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ];
        // A prompt is never nothing: who says so at the end only counts its answer there.
        let says_nothing = self.input() > 0 && READ.iter().all(|key| number(key).unwrap_or(0) == 0);
        let mut set = |slot: &mut u64, key: &str| {
            if let Some(count) = number(key).filter(|_| !says_nothing || key == "output_tokens") {
                *slot = count;
                self.known = true;
            }
        };
        set(&mut self.fresh, "input_tokens");
        set(&mut self.cached, "cache_read_input_tokens");
        set(&mut self.cache_write, "cache_creation_input_tokens");
        set(&mut self.output, "output_tokens");
        let details = usage.get("output_tokens_details");
        let thinking = details
            .and_then(|details| details.as_object().ok()?.get("thinking_tokens"))
            .and_then(Raw::as_u64);
        self.thinking = thinking.or(self.thinking);
    }

    fn input(&self) -> u64 {
        let cached = self.cached.saturating_add(self.cache_write);
        self.fresh.saturating_add(cached)
    }

    /// The totals. None: nothing was said.
    pub(super) fn totals(&self) -> Option<Usage> {
        self.known.then_some(Usage {
            input: self.input(),
            cached: self.cached,
            cache_write: self.cache_write,
            output: self.output,
            reasoning: self.thinking,
        })
    }
}

/// The members of a `usage` object. Both cache figures are always there: Claude Code's context meter adds them up.
pub(super) fn write(usage: &Usage, m: &mut Members<'_>) {
    // More cached than there was: the parts win over the sum, as nothing may become negative.
    m.number("input_tokens", usage.fresh())
        .number("cache_creation_input_tokens", usage.cache_write)
        .number("cache_read_input_tokens", usage.cached)
        .number("output_tokens", usage.output);
    if let Some(thinking) = usage.reasoning {
        m.nested("output_tokens_details", |m| {
            m.number("thinking_tokens", thinking);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(parts: &[&str]) -> Option<Usage> {
        let mut counts = Counts::default();
        for part in parts {
            counts.merge(Raw::parse(part).unwrap());
        }
        counts.totals()
    }

    #[test]
    fn later_totals_replace_and_absent_ones_stay() {
        let usage = merged(&[
            r#"{"input_tokens":20,"cache_read_input_tokens":100,"cache_creation_input_tokens":null,"output_tokens":1}"#,
            r#"{"output_tokens":60,"output_tokens_details":{"thinking_tokens":15}}"#,
        ]);
        let expected = Usage {
            input: 120,
            cached: 100,
            cache_write: 0,
            output: 60,
            reasoning: Some(15),
        };
        assert_eq!(usage, Some(expected));
        assert_eq!(merged(&["{}", "null"]), None);
        // Zeros at the end are no totals of the prompt.
        let zeros = merged(&[
            r#"{"input_tokens":20,"cache_read_input_tokens":100,"output_tokens":1}"#,
            r#"{"input_tokens":0,"cache_read_input_tokens":0,"output_tokens":60}"#,
        ]);
        assert_eq!(
            zeros.map(|usage| (usage.input, usage.output)),
            Some((120, 60))
        );
        let smaller = merged(&[
            r#"{"input_tokens":118,"output_tokens":1}"#,
            r#"{"input_tokens":0,"cache_read_input_tokens":100,"output_tokens":60}"#,
        ]);
        assert_eq!(
            smaller.map(|usage| (usage.input, usage.fresh())),
            Some((100, 0))
        );
        let huge = merged(&[
            r#"{"input_tokens":18446744073709551615,"cache_read_input_tokens":18446744073709551615}"#,
        ]);
        assert_eq!(huge.unwrap().input, u64::MAX);
    }

    #[test]
    fn what_a_cache_saved_is_taken_out_and_never_below_zero() {
        let written = |usage: Usage| {
            let mut out = Vec::new();
            Members::object(&mut out, |m| write(&usage, m));
            String::from_utf8(out).unwrap()
        };
        let mut usage = Usage {
            input: 120,
            cached: 100,
            cache_write: 5,
            output: 60,
            reasoning: None,
        };
        assert_eq!(
            written(usage),
            r#"{"input_tokens":15,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":60}"#
        );
        usage.input = 50;
        usage.reasoning = Some(0);
        assert_eq!(
            written(usage),
            r#"{"input_tokens":0,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":60,"output_tokens_details":{"thinking_tokens":0}}"#
        );
    }
}
