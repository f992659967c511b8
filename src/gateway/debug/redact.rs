//! Takes secrets out of what is about to be shown: every key, password and header value of a configuration, wherever it
//! stands, plain, escaped as in JSON, or percent-encoded as in a URL; and the values of query parameters that are called keys.

use crate::gateway::config::secret::{is_reference, mask};
use crate::gateway::config::shown::secrets_of;
use crate::gateway::config::{Auth, Config, Expand, Findings, Secret};
use crate::gateway::snapshot::Snapshot;
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// Shorter secrets cannot be told from words.
const SECRET_BYTES_MIN: usize = 4;
/// Header values are often words, and rarely secrets.
const HEADER_BYTES_MIN: usize = 8;
/// Parts of the names of query parameters whose values are not shown.
const QUERY_SECRETS: [&str; 6] = ["key", "token", "secret", "pass", "auth", "sig"];

/// Keys that were generated here, which no configuration holds: the admin's, the sidecar's.
static GENERATED: Mutex<Vec<Secret>> = Mutex::new(Vec::new());
/// There are a few of them; a sidecar that is started again may bring another.
const GENERATED_MAX: usize = 16;

/// That key was generated and must not be shown.
pub fn generated(key: &str) {
    let mut keys = GENERATED.lock().unwrap_or_else(PoisonError::into_inner);
    if !keys.iter().any(|known| known.expose() == key) {
        if keys.len() >= GENERATED_MAX {
            keys.remove(0);
        }
        keys.push(Secret::new(key));
    }
}

/// Secrets and what is shown in their place; longer ones first, so that a part of one does not hide its rest.
#[derive(Default)]
pub struct Secrets {
    known: Vec<(Vec<u8>, String)>,
    /// The first bytes of all of them.
    begins: Vec<u8>,
}

impl Secrets {
    /// Of a configuration, variables expanded.
    pub fn of(snapshot: &Snapshot) -> Secrets {
        let env = |name: &str| std::env::var(name).ok();
        let config = Config::read(&snapshot.tree, Expand::With(&env), &mut Findings::default());
        let mut secrets = Secrets::default();
        let keys = [
            &snapshot.admin_key,
            &config.admin_key,
            &config.sidecar.api_key,
            &config.sidecar.management_key,
        ];
        let generated = GENERATED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for key in keys.into_iter().flatten().chain(&generated) {
            secrets.add(key.expose(), SECRET_BYTES_MIN);
        }
        for key in &config.client_keys {
            secrets.add(key.key.expose(), SECRET_BYTES_MIN);
        }
        let proxies = [&config.proxy, &config.sidecar.proxy_url];
        for url in proxies.into_iter().flatten() {
            secrets.add_url(url.expose());
        }
        secrets.add_url(&config.sidecar.endpoint);
        for upstream in &config.upstreams {
            if let Auth::ApiKey(Some(key)) = &upstream.auth {
                secrets.add(key.expose(), SECRET_BYTES_MIN);
            }
            for (_, value) in &upstream.headers {
                secrets.add(value.expose(), HEADER_BYTES_MIN);
                // `Bearer KEY`: the key alone may stand elsewhere.
                if let Some((_, rest)) = value.expose().split_once(' ') {
                    secrets.add(rest, HEADER_BYTES_MIN);
                }
            }
            secrets.add_url(&upstream.base_url);
            for url in upstream.anthropic_base_url.iter() {
                secrets.add_url(url);
            }
            for url in upstream.proxy.iter() {
                secrets.add_url(url.expose());
            }
        }
        for text in secrets_of(&snapshot.tree) {
            secrets.add(&text, HEADER_BYTES_MIN);
        }
        secrets
            .known
            .sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
        secrets.known.dedup_by(|a, b| a.0 == b.0);
        secrets.begins = secrets.known.iter().map(|(secret, _)| secret[0]).collect();
        secrets.begins.sort_unstable();
        secrets.begins.dedup();
        secrets
    }

    fn add(&mut self, secret: &str, bytes_min: usize) {
        if secret.len() < bytes_min || secret == "none" || is_reference(secret) {
            return;
        }
        let shown = mask(secret);
        let json = serde_json::Value::from(secret).to_string();
        let escaped = json[1..json.len() - 1].to_owned();
        let mut encoded = String::new();
        for byte in secret.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                let _ = write!(encoded, "%{byte:02X}"); // writing to a String cannot fail
            }
        }
        for form in [
            secret.to_owned(),
            escaped,
            encoded.to_ascii_lowercase(),
            encoded,
        ] {
            self.known.push((form.into_bytes(), shown.clone()));
        }
    }

    /// User and password of a URL, together and the password alone.
    fn add_url(&mut self, url: &str) {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some((userinfo, _)) = authority.rsplit_once('@') {
            self.add(userinfo, SECRET_BYTES_MIN);
            if let Some((_, password)) = userinfo.split_once(':') {
                self.add(password, SECRET_BYTES_MIN);
            }
        }
    }

    /// The text without any of them.
    pub fn redact<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut out = Vec::new();
        let (mut copied, mut at) = (0, 0);
        while at < text.len() {
            let found = self.at(&text[at..]);
            match found {
                Some((secret, shown)) => {
                    out.extend_from_slice(&text[copied..at]);
                    out.extend_from_slice(shown.as_bytes());
                    at += secret.len();
                    copied = at;
                }
                None => at += 1,
            }
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        out.extend_from_slice(&text[copied..]);
        Cow::Owned(out)
    }

    fn at(&self, text: &[u8]) -> Option<&(Vec<u8>, String)> {
        let first = text.first()?;
        if !self.begins.contains(first) {
            return None;
        }
        self.known
            .iter()
            .find(|(secret, _)| text.starts_with(secret))
    }

    /// How many bytes at the end of a text that goes on may be the beginning of a secret.
    pub fn unsettled(&self, text: &[u8]) -> usize {
        let longest = self.known.first().map_or(0, |(secret, _)| secret.len());
        let from = text.len() - text.len().min(longest.saturating_sub(1));
        let begins = |tail: &[u8]| {
            let mut known = self.known.iter().map(|(secret, _)| secret);
            known.any(|secret| secret.len() > tail.len() && secret.starts_with(tail))
        };
        (from..text.len())
            .find(|&at| begins(&text[at..]))
            .map_or(0, |at| text.len() - at)
    }
}

/// A target or URL without the values of query parameters that are called keys.
pub fn redact_query(url: &str) -> Cow<'_, str> {
    let Some((path, query)) = url.split_once('?') else {
        return Cow::Borrowed(url);
    };
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        QUERY_SECRETS.iter().any(|part| name.contains(part))
    };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() && is_secret(name) => {
            format!("{name}={}", mask(value))
        }
        _ => pair.to_owned(),
    });
    let query: Vec<String> = pairs.collect();
    Cow::Owned(format!("{path}?{}", query.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::snapshot::tests::snapshot;

    fn secrets() -> Secrets {
        Secrets::of(&snapshot(
            "admin_key: the-admin-key\nclient_api_keys: [sk-client-1]\nproxy: 'http://me:pro%78y-pw@p:1'\nupstreams:\n  - {name: a, base_url: 'http://user:pass-word@a', api_key: 'sk-a\"b/c 0123', headers: {x-team: Bearer team-token-1, x-flag: 'true'}, my_secret: hidden-away-1}\n",
        ))
    }

    fn redacted(text: &str) -> String {
        String::from_utf8(secrets().redact(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn no_secret_survives_in_any_form() {
        for text in [
            "the-admin-key",
            "sk-client-1",
            "pass-word",
            "user:pass-word",
            "pro%78y-pw",
            "sk-a\"b/c 0123",
            r#"sk-a\"b/c 0123"#,
            "sk-a%22b%2Fc%200123",
            "sk-a%22b%2fc%200123",
            "Bearer team-token-1",
            "team-token-1",
            "hidden-away-1",
        ] {
            let shown = redacted(&format!("<{text}> {text}{text}"));
            assert!(!shown.contains(text), "{shown}");
            assert!(shown.starts_with('<') && shown.contains('•'), "{shown}");
        }
        assert_eq!(redacted("true none the-admin-ke"), "true none the-admin-ke");
    }

    #[test]
    fn the_beginning_of_a_secret_is_held_back() {
        let secrets = secrets();
        assert_eq!(secrets.unsettled(b"hello the-adm"), 7);
        assert_eq!(secrets.unsettled(b"hello"), 0);
        assert_eq!(secrets.unsettled(b"the-admin-key"), 0);
        assert_eq!(secrets.unsettled(b""), 0);
    }

    #[test]
    fn a_query_shows_no_keys() {
        assert_eq!(
            redact_query("/v1/x?api_key=sk-0123456789&beta=true"),
            "/v1/x?api_key=sk-0••••••6789&beta=true"
        );
        assert_eq!(redact_query("/v1/x?Token=a&b"), "/v1/x?Token=••••••&b");
        assert_eq!(redact_query("/v1/x"), "/v1/x");
    }
}
