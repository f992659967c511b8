//! What a user pastes to finish a login: the address of the page that did not load, or a part of it. Read here and never
//! fetched: what it says is handed to the sidecar only after its state is known to be one of ours.

use super::accounts::Provider;

/// Honest ones have a few hundred bytes.
pub const PASTED_BYTES_MAX: usize = 8 * 1024;
/// The sidecar's own rule for a state: letters, digits, `.`, `_` and `-`, so many at most.
const STATE_BYTES_MAX: usize = 128;

/// What it says.
#[derive(Clone, PartialEq, Eq)]
pub struct Pasted {
    /// Which login it belongs to.
    pub state: String,
    /// The provider's answer.
    pub outcome: Outcome,
}

/// A provider's answer to a login.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A code to be exchanged for tokens. A secret, for as long as it lives.
    Code(String),
    /// It refused, with its own words.
    Refused(String),
}

/// Whether that may be a state.
pub fn is_state(text: &str) -> bool {
    (1..=STATE_BYTES_MAX).contains(&text.len())
        && !text.contains("..")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Reads what was pasted for a login at that provider: the whole address, one without `http://`, its query alone, or, as
/// Claude shows it on a page of its own, `code#state`.
///
/// # Errors
/// What is wrong with it, in words that say what to paste instead.
pub fn read(text: &str, provider: Provider) -> Result<Pasted, String> {
    let (port, path) = provider.callback();
    let example = format!("http://localhost:{port}{path}?code=…&state=…");
    if text.len() > PASTED_BYTES_MAX {
        return Err(format!(
            "that is too long to be the address; it looks like {example}"
        ));
    }
    // A line may have been broken when it was copied, and chat programs put things around it.
    let text: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .collect();
    let text = text.trim_matches(['"', '\'', '<', '>', '`']);
    if text.is_empty() {
        return Err(format!(
            "nothing was pasted; the address looks like {example}"
        ));
    }
    let query = match split(text) {
        Shape::Address { host, query } => {
            check_address(host, text, provider, &example)?;
            query
        }
        Shape::Query(query) => query,
        Shape::CodeAndState(code, state) => {
            return finish(
                Some(code.to_owned()),
                Some(state.to_owned()),
                None,
                &example,
            );
        }
        Shape::Junk => {
            return Err(format!(
                "that is not the address of the page the login ended on; it looks like {example}"
            ));
        }
    };
    let (mut code, mut state, mut error, mut words) = (None, None, None, None);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match name {
            "code" => &mut code,
            "state" => &mut state,
            "error" => &mut error,
            "error_description" => &mut words,
            _ => continue,
        };
        let value = decoded(value).ok_or_else(|| {
            format!("the address is damaged at {name:?}; copy it again, whole, from the browser")
        })?;
        *place = Some(value).filter(|value| !value.is_empty());
    }
    let error = error.map(|error| match words {
        Some(words) => format!("{error}: {words}"),
        None => error,
    });
    finish(code, state, error, &example)
}

fn finish(
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    example: &str,
) -> Result<Pasted, String> {
    let state = state.ok_or_else(|| {
        format!("the address has no state; copy it whole, it looks like {example}")
    })?;
    if !is_state(&state) {
        return Err(
            "the state in the address is damaged; copy it again, whole, from the browser".into(),
        );
    }
    let outcome = match (code, error) {
        (_, Some(error)) => Outcome::Refused(error),
        (Some(code), None) => Outcome::Code(code),
        (None, None) => {
            return Err(format!(
                "the address has no code; copy it whole, it looks like {example}"
            ));
        }
    };
    Ok(Pasted { state, outcome })
}

enum Shape<'t> {
    Address { host: &'t str, query: &'t str },
    Query(&'t str),
    CodeAndState(&'t str, &'t str),
    Junk,
}

fn split(text: &str) -> Shape<'_> {
    let without_scheme = text.split_once("://").map(|(_, rest)| rest);
    let rest = without_scheme.unwrap_or(text);
    // A fragment never reaches a server; providers append an empty one.
    let whole = rest.split('#').next().unwrap_or_default();
    if let Some((before, query)) = whole.split_once('?') {
        return match before.split_once('/') {
            Some((host, _)) if !host.is_empty() => Shape::Address { host, query },
            _ if before.is_empty() && without_scheme.is_none() => Shape::Query(query),
            _ => Shape::Address {
                host: before,
                query,
            },
        };
    }
    if without_scheme.is_some() {
        return Shape::Address {
            host: whole.split('/').next().unwrap_or_default(),
            query: "",
        };
    }
    if whole.contains('=')
        && ["code=", "state=", "error="]
            .iter()
            .any(|key| whole.contains(key))
    {
        return Shape::Query(whole);
    }
    match text.split_once('#') {
        Some((code, state)) if !code.is_empty() && !code.contains('/') && is_state(state) => {
            Shape::CodeAndState(code, state)
        }
        _ => Shape::Junk,
    }
}

fn check_address(host: &str, text: &str, provider: Provider, example: &str) -> Result<(), String> {
    let (port, path) = provider.callback();
    let (name, given_port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, port),
        _ => (host, ""),
    };
    let name = name.to_ascii_lowercase();
    if !matches!(name.as_str(), "localhost" | "127.0.0.1" | "[::1]") {
        return Err(if text.contains("/oauth/authorize") {
            format!(
                "that is the address of the login page; sign in there first, then paste the address of the page that does \
                 not load, it looks like {example}"
            )
        } else {
            format!("the login does not end on {name}; the address looks like {example}")
        });
    }
    if let Some((scheme, _)) = text.split_once("://")
        && !scheme.eq_ignore_ascii_case("http")
    {
        return Err(format!(
            "the address begins with http://; it looks like {example}"
        ));
    }
    let after_host = text.split_once(host).map_or("", |(_, after)| after);
    let given_path = after_host.split(['?', '#']).next().unwrap_or_default();
    if given_port == port.to_string() && given_path == path {
        return Ok(());
    }
    let other = [Provider::Claude, Provider::Codex]
        .into_iter()
        .find(|other| *other != provider && given_port == other.callback().0.to_string());
    Err(match other {
        Some(other) => format!(
            "that address belongs to a {} login, and this is a {} login",
            other.title(),
            provider.title()
        ),
        None => format!("that is not where the login ends; the address looks like {example}"),
    })
}

/// Decodes a value of a query; None: what comes out is no text.
fn decoded(value: &str) -> Option<String> {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let pair = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
                out.push(u8::from_str_radix(pair, 16).ok()?);
                at += 3;
                continue;
            }
            b'+' => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dice::Dice;

    const STATE: &str = "0123456789abcdef0123456789abcdef";

    fn code(text: &str, provider: Provider) -> Result<String, String> {
        let pasted = read(text, provider)?;
        assert_eq!(pasted.state, STATE, "{text}");
        match pasted.outcome {
            Outcome::Code(code) => Ok(code),
            Outcome::Refused(why) => Err(why),
        }
    }

    #[test]
    fn every_form_of_the_address_is_read() {
        for text in [
            format!("http://localhost:54545/callback?code=a%2Bb&state={STATE}"),
            format!("  \"http://127.0.0.1:54545/callback?state={STATE}&code=a%2Bb&scope=x+y#\"\n"),
            format!("http://[::1]:54545/callback?code=a%2Bb&state={STATE}"),
            format!("HTTP://LOCALHOST:54545/callback?code=a%2Bb&state={STATE}#_=_"),
            format!("localhost:54545/callback?code=a%2Bb&state={STATE}"),
            format!("http://localhost:54545/call\n  back?code=a%2Bb&sta\r\nte={STATE}"),
            format!("?code=a%2Bb&state={STATE}"),
            format!("code=a%2Bb&state={STATE}"),
            format!("a+b#{STATE}"),
        ] {
            assert_eq!(code(&text, Provider::Claude), Ok("a+b".into()), "{text}");
        }
        let codex =
            format!("http://localhost:1455/auth/callback?code=ac_1&scope=openid&state={STATE}");
        assert_eq!(code(&codex, Provider::Codex), Ok("ac_1".into()));
    }

    #[test]
    fn junk_is_refused_with_what_to_paste_instead() {
        for (text, why) in [
            (String::new(), "nothing was pasted"),
            ("   \n".into(), "nothing was pasted"),
            ("hello".into(), "not the address"),
            ("x".repeat(PASTED_BYTES_MAX + 1), "too long"),
            (
                format!("https://claude.ai/oauth/authorize?code=true&state={STATE}"),
                "sign in there first",
            ),
            (
                format!("http://example.com/callback?code=a&state={STATE}"),
                "does not end on example.com",
            ),
            (
                format!("http://localhost@evil.example:54545/callback?code=a&state={STATE}"),
                "does not end on",
            ),
            (
                format!("http://localhost.evil.example:54545/callback?code=a&state={STATE}"),
                "does not end on",
            ),
            (
                format!("https://localhost:54545/callback?code=a&state={STATE}"),
                "begins with http://",
            ),
            (
                format!("http://localhost:1455/auth/callback?code=a&state={STATE}"),
                "a Codex login",
            ),
            (
                format!("http://localhost:8080/callback?code=a&state={STATE}"),
                "not where the login ends",
            ),
            (
                format!("http://localhost:54545/other?code=a&state={STATE}"),
                "not where the login ends",
            ),
            ("http://localhost:54545/callback".into(), "no state"),
            ("http://localhost:54545/callback?code=a".into(), "no state"),
            (
                format!("http://localhost:54545/callback?state={STATE}"),
                "no code",
            ),
            (
                format!("http://localhost:54545/callback?code=&state={STATE}"),
                "no code",
            ),
            (
                "http://localhost:54545/callback?code=a&state=../x".into(),
                "state in the address is damaged",
            ),
            (
                format!("http://localhost:54545/callback?code=%zz&state={STATE}"),
                "damaged at \"code\"",
            ),
            (
                format!("http://localhost:54545/callback?code=%ff&state={STATE}"),
                "damaged at \"code\"",
            ),
        ] {
            let error = code(&text, Provider::Claude).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_refusal_keeps_the_providers_words() {
        let text = format!(
            "http://localhost:54545/callback?error=access_denied&error_description=The+user+said+no&state={STATE}"
        );
        assert_eq!(
            code(&text, Provider::Claude),
            Err("access_denied: The user said no".into())
        );
    }

    #[test]
    fn nothing_pasted_breaks_the_reader() {
        let honest = format!("http://localhost:54545/callback?code=a%2Bb&state={STATE}#x");
        for seed in 0..2000 {
            let mut dice = Dice::new(seed);
            let bytes = dice.mutate(honest.as_bytes(), "?#&=:/%[]é ".as_bytes());
            let text = String::from_utf8_lossy(&bytes);
            if let Ok(pasted) = read(&text, Provider::Claude) {
                assert!(is_state(&pasted.state));
            }
        }
    }
}
