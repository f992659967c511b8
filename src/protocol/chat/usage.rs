//! Token counts in Chat Completions, in the spellings real servers have for them (protocols.md 7.4).

use crate::protocol::neutral::Usage;
use crate::protocol::render::Members;
use crate::wire::json::Raw;

/// Reads a `usage` object; anything else is none.
pub(super) fn read(raw: Raw<'_>) -> Option<Usage> {
    let object = raw.as_object().ok()?;
    let number = |key: &str| object.get(key).and_then(count);
    let nested = |key: &str, inner: &str| {
        object
            .get(key)?
            .as_object()
            .ok()?
            .get(inner)
            .and_then(count)
    };
    let input = number("prompt_tokens").or_else(|| number("input_tokens"));
    let output = number("completion_tokens").or_else(|| number("output_tokens"));
    let (input, said) = (input?, output.unwrap_or(0));
    // xAI and Gemini count reasoning beside the completion: only the total tells.
    let output = number("total_tokens")
        .map(|total| total.saturating_sub(input))
        .filter(|&rest| rest > said)
        .unwrap_or(said);
    let cached = nested("prompt_tokens_details", "cached_tokens")
        .or_else(|| nested("input_tokens_details", "cached_tokens"))
        .or_else(|| number("prompt_cache_hit_tokens"))
        .or_else(|| number("cached_tokens"))
        .or_else(|| number("cache_read_input_tokens"))
        .or_else(|| number("num_cached_tokens"));
    let written = nested("prompt_tokens_details", "cache_write_tokens")
        .or_else(|| nested("prompt_tokens_details", "cache_creation_tokens"))
        .or_else(|| number("cache_creation_input_tokens"));
    Some(Usage {
        input,
        cached: cached.unwrap_or(0),
        cache_write: written.unwrap_or(0),
        output,
        reasoning: nested("completion_tokens_details", "reasoning_tokens")
            .or_else(|| nested("output_tokens_details", "reasoning_tokens")),
    })
}

/// A count, also where a server writes it with a fraction.
fn count(raw: Raw<'_>) -> Option<u64> {
    raw.as_u64()
        .or_else(|| raw.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
}

/// Writes the members of a `usage` object.
pub(super) fn write(usage: &Usage, m: &mut Members<'_>) {
    m.number("prompt_tokens", usage.input)
        .number("completion_tokens", usage.output)
        .number("total_tokens", usage.total());
    m.nested("prompt_tokens_details", |m| {
        m.number("cached_tokens", usage.cached)
            .number("cache_write_tokens", usage.cache_write);
    });
    m.nested("completion_tokens_details", |m| {
        m.number("reasoning_tokens", usage.reasoning.unwrap_or(0));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        read(Raw::parse(json).unwrap()).unwrap()
    }

    #[test]
    fn case_57_every_spelling_of_cached_tokens_is_read() {
        for details in [
            r#""prompt_tokens_details":{"cached_tokens":100}"#,
            r#""prompt_cache_hit_tokens":100"#,
            r#""cached_tokens":100"#,
            r#""cache_read_input_tokens":100"#,
            r#""num_cached_tokens":100"#,
        ] {
            let json = format!(r#"{{"prompt_tokens":120,"completion_tokens":60,{details}}}"#);
            let found = usage(&json);
            assert_eq!(
                (found.input, found.cached, found.fresh()),
                (120, 100, 20),
                "{details}"
            );
        }
        let odd = usage(r#"{"prompt_tokens":10,"completion_tokens":1,"cached_tokens":99}"#);
        assert_eq!(odd.fresh(), 0);
    }

    #[test]
    fn reasoning_counted_beside_the_completion_is_output_too() {
        let found = usage(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":40}"#);
        assert_eq!(found.output, 30);
        let plain = usage(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#);
        assert_eq!(plain.output, 5);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let whole = Usage {
            input: 120,
            cached: 100,
            cache_write: 3,
            output: 60,
            reasoning: Some(15),
        };
        let mut out = Vec::new();
        Members::object(&mut out, |m| write(&whole, m));
        assert_eq!(usage(std::str::from_utf8(&out).unwrap()), whole);
    }
}
