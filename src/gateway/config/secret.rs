//! Secrets: never printed, compared in constant time, shown only as a mask (the rule of the management API).

use crate::wire::text::equal_constant_time;
use std::fmt;

/// Six bullets: what a mask shows in place of the hidden characters. A value that holds U+2022 is a mask.
const BULLETS: &str = "••••••";
/// A value of up to this many characters shows none of them.
const CHARS_HIDDEN_WHOLE: usize = 8;

/// A key or password. Debug prints `***`; there is no Display.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the value in.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// The value itself: for the wire and the configuration file only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown of it, see [`mask`].
    pub fn masked(&self) -> String {
        mask(&self.0)
    }

    /// Whether `offered` is this secret, in a time that does not tell how much of it was right.
    pub fn matches(&self, offered: &[u8]) -> bool {
        equal_constant_time(offered, self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The mask of a value as it stands in the file: first four and last four characters, six bullets between; six bullets alone for a short one.
/// Nothing, the word `none` and a reference `${NAME}` hide nothing and are shown.
pub fn mask(value: &str) -> String {
    if value.is_empty() || value == "none" || is_reference(value) {
        return value.to_owned();
    }
    let count = value.chars().count();
    if count <= CHARS_HIDDEN_WHOLE {
        return BULLETS.to_owned();
    }
    let head: String = value.chars().take(4).collect();
    let tail: String = value.chars().skip(count - 4).collect();
    format!("{head}{BULLETS}{tail}")
}

/// Whether a value that came back is a mask.
pub fn is_masked(value: &str) -> bool {
    value.contains('•')
}

/// A URL with its user and password, if it has any, masked.
pub fn mask_url(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => format!(
            "{}{}{}",
            &url[..start],
            mask(&url[start..start + at]),
            &url[start + at..]
        ),
        None => url.to_owned(),
    }
}

/// Whether the whole value is one `${NAME}`.
pub fn is_reference(value: &str) -> bool {
    value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(is_name)
}

/// Whether a text can be the name of an environment variable.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_counts_characters() {
        assert_eq!(mask("sk-abcdefghijklxy12"), "sk-a••••••xy12");
        assert_eq!(mask("12345678"), "••••••");
        assert_eq!(mask("123456789"), "1234••••••6789");
        assert_eq!(mask("éééééééé"), "••••••");
        assert_eq!(mask("ééééxéééé"), "éééé••••••éééé");
        assert_eq!(mask(""), "");
        assert_eq!(mask("none"), "none");
    }

    #[test]
    fn a_reference_is_shown() {
        assert_eq!(mask("${OPENAI_API_KEY}"), "${OPENAI_API_KEY}");
        for value in [
            "sk-${OPENAI_API_KEY}",
            "${A}${B}${CCC}",
            "${not a name}",
            "${1234567}",
        ] {
            assert!(is_masked(&mask(value)), "{value}");
        }
    }

    #[test]
    fn a_url_shows_no_password() {
        assert_eq!(
            mask_url("http://user:secret-word@host:1/v1"),
            "http://user••••••word@host:1/v1"
        );
        assert_eq!(mask_url("http://a@b@host"), "http://••••••@host");
        assert_eq!(mask_url("http://host/@x"), "http://host/@x");
        assert_eq!(mask_url("http://${CRED}@host"), "http://${CRED}@host");
        assert_eq!(mask_url(""), "");
    }

    #[test]
    fn debug_hides_and_comparison_is_exact() {
        let secret = Secret::new("sk-local-1");
        assert_eq!(format!("{secret:?}"), "***");
        assert!(secret.matches(b"sk-local-1"));
        assert!(!secret.matches(b"sk-local-2"));
        assert!(!secret.matches(b"sk-local-"));
        assert!(!secret.matches(b""));
    }
}
