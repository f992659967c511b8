//! Ids and names that the other side would refuse, rewritten by a function of nothing but themselves (protocols.md 5.4,
//! 5.5), so that a call and its result, or the same tool in the next request, are rewritten alike without any memory.

use super::Protocol;
use super::caps::{Caps, IdRule};
use super::text::Text;
use crate::wire::text::{base32, base64url, base64url_decode, hex, sha256};

/// What a reversibly rewritten id begins with.
const REVERSIBLE: &str = "tcx_";
/// The longest id any rule but Kimi's takes.
const ID_CHARS_MAX: usize = 64;

/// The rule for ids in requests to that upstream.
pub fn rule(to: Protocol, caps: &Caps) -> IdRule {
    caps.tool_id_rule.unwrap_or(client_rule(to))
}

/// The rule for ids in answers to a client of that protocol.
pub fn client_rule(client: Protocol) -> IdRule {
    match client {
        Protocol::Messages => IdRule::Messages,
        Protocol::Chat | Protocol::Responses => IdRule::Any64,
    }
}

fn fits(id: &str, rule: IdRule) -> bool {
    match rule {
        IdRule::Any => true,
        IdRule::Any64 => !id.is_empty() && id.chars().count() <= ID_CHARS_MAX,
        IdRule::Messages => {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(fine)
        }
        IdRule::Mistral => id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()),
    }
}

/// The id as `rule` takes it: itself, or a rewritten form that is undone where the original fits again.
pub fn fix(id: Text<'_>, rule: IdRule) -> Text<'_> {
    if let Some(original) = restored(&id).filter(|original| fits(original, rule)) {
        return Text::owned(original);
    }
    let plain = id.decode();
    if fits(&plain, rule) {
        drop(plain);
        return id;
    }
    let digest = sha256(plain.as_bytes());
    if rule == IdRule::Mistral {
        return Text::owned(base62(&digest, 9));
    }
    let reversible = format!("{REVERSIBLE}{}", base64url(plain.as_bytes()));
    if fits(&reversible, rule) {
        return Text::owned(reversible);
    }
    Text::owned(format!("call_{}", &base32(&digest)[..40]))
}

fn restored(id: &Text<'_>) -> Option<String> {
    let code = id.as_escaped().strip_prefix(REVERSIBLE)?;
    String::from_utf8(base64url_decode(code)?).ok()
}

fn base62(digest: &[u8], chars: usize) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |&b: &u8| char::from(LETTERS[usize::from(b) % 62]);
    digest.iter().take(chars).map(letter).collect()
}

/// Whether [`flat_name`] leaves that name as it is.
pub fn is_flat(name: &str, max: usize) -> bool {
    name.len() <= max && name.chars().all(is_plain)
}

fn is_plain(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-')
}

/// The name of a tool as an upstream takes it: `namespace__name`, other characters as `_`, at most `max` long; a name that
/// had to be cut ends in a digest of the whole.
pub fn flat_name(namespace: Option<&str>, name: &str, max: usize) -> String {
    let full = match namespace {
        Some(namespace) => format!("{namespace}__{name}"),
        None => name.to_owned(),
    };
    let clean: String = full
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    if clean.len() <= max {
        return clean;
    }
    let digest = hex(&sha256(full.as_bytes())[..4]);
    format!("{}_{digest}", &clean[..max.saturating_sub(9)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(id: &str, rule: IdRule) -> String {
        fix(Text::plain(id), rule).decode().into_owned()
    }

    #[test]
    fn ids_that_fit_stay() {
        assert_eq!(fixed("toolu_01-a", IdRule::Messages), "toolu_01-a");
        assert_eq!(fixed("functions.read:0", IdRule::Any64), "functions.read:0");
        assert_eq!(fixed("functions.read:0", IdRule::Any), "functions.read:0");
        assert_eq!(fixed("abcdefghi", IdRule::Mistral), "abcdefghi");
    }

    #[test]
    fn ids_come_back_where_they_can() {
        let there = fixed("functions.read:0", IdRule::Messages);
        assert_eq!(there, "tcx_ZnVuY3Rpb25zLnJlYWQ6MA");
        assert_eq!(fixed(&there, IdRule::Any), "functions.read:0");
        assert_eq!(fixed(&there, IdRule::Messages), there);
    }

    #[test]
    fn ids_too_long_are_shortened_alike_each_time() {
        let long = "x".repeat(80);
        let short = fixed(&long, IdRule::Any64);
        assert_eq!(short.len(), 45);
        assert_eq!(short, fixed(&long, IdRule::Messages));
        assert_eq!(fixed(&long, IdRule::Mistral).len(), 9);
        assert_ne!(
            fixed("toolu_1", IdRule::Mistral),
            fixed("toolu_2", IdRule::Mistral)
        );
    }

    #[test]
    fn names_are_flattened_cleaned_and_cut() {
        assert_eq!(flat_name(Some("mcp"), "read file", 64), "mcp__read_file");
        for name in [
            "Read_file-1",
            "",
            "read file",
            "lesen\\u00fc",
            "too_long_a_name",
        ] {
            assert_eq!(
                is_flat(name, 14),
                flat_name(None, name, 14) == name,
                "{name}"
            );
        }
        let cut = flat_name(None, &"n".repeat(90), 64);
        assert_eq!(cut.len(), 64);
        assert_ne!(cut, flat_name(None, &"n".repeat(91), 64));
    }
}
