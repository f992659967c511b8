//! What proves that a sidecar is ours and of use: it answers, it knows the keys we gave it and nobody else's, and once it
//! has accounts it offers their models. It says "started" although it could not bind, and answers health checks before
//! its accounts are loaded, so neither is believed.

use super::Link;
use super::accounts;
use super::api::{ANSWER_LIMIT, exchange};
use super::process::Order;
use crate::error::Error;
use crate::log;
use crate::wire::head::Method;
use crate::wire::json::{Object, Raw};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Between two probes; a start takes 30 ms on an idle machine and ten times that on a busy one.
const PROBE_EVERY: Duration = Duration::from_millis(25);
/// One probe; a stranger that takes connections and never answers costs no more.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// How long models may take to appear. Accounts that are all unusable have none, and are no reason to fail.
const MODELS_LIMIT: Duration = Duration::from_secs(5);
/// A change of its configuration in the first moments is lost: it is read before it is watched.
const RELOAD_LIMIT: Duration = Duration::from_millis(800);
const RELOADS_MAX: u32 = 5;

/// What the proof told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// Its version.
    pub(super) version: Option<String>,
    /// How many accounts it has.
    pub(super) accounts: usize,
}

/// Waits until it is ready. Never gives up on silence: the plan does.
pub(super) async fn prove(link: &Link) -> Result<Proof, String> {
    let origin = link.management.origin();
    loop {
        let health = exchange(origin, Method::Get, "/healthz", None, None, PROBE_LIMIT).await;
        if health.is_ok_and(|reply| reply.status == 200) {
            break;
        }
        sleep(PROBE_EVERY).await;
    }
    let accounts = loop {
        match accounts::list(&link.management).await {
            Ok(accounts) => break accounts,
            // Refused, or no CLIProxyAPI: the other answers are those of one that is not yet ready.
            Err(error) if is_stranger(&error) => {
                return Err(format!("another program took its port: {error}"));
            }
            Err(_) => sleep(PROBE_EVERY).await,
        }
    };
    let key = link.ready.api_key.as_ref();
    let models = |key| exchange(origin, Method::Get, "/v1/models", key, None, ANSWER_LIMIT);
    if let Ok(open) = models(None).await
        && open.status != 401
    {
        return Err(format!(
            "it answers without its key (status {}): its configuration is not the one we wrote",
            open.status
        ));
    }
    let usable = accounts.iter().any(|account| !account.disabled);
    let since = Instant::now();
    loop {
        let reply = models(key).await.map_err(|error| error.message)?;
        match reply.status {
            200 if !usable || has_models(&reply.body) => break,
            200 if since.elapsed() < MODELS_LIMIT => sleep(PROBE_EVERY).await,
            200 => {
                log::warn!(
                    "sidecar: none of its accounts offers a model",
                    accounts = accounts.len()
                );
                break;
            }
            401 | 403 => return Err(format!("it refuses its own key: {}", reply.error_text())),
            _ => sleep(PROBE_EVERY).await,
        }
    }
    let version = link.management.version().map(str::to_owned);
    if let Some((major, minor)) = version.as_deref().and_then(parse_version)
        && (major != 7 || minor > 2)
    {
        log::warn!(
            "sidecar: this version was not tested with llm-wrapper; 7.0 to 7.2 were",
            version = version.as_deref().unwrap_or_default()
        );
    }
    Ok(Proof {
        version,
        accounts: accounts.len(),
    })
}

fn is_stranger(error: &Error) -> bool {
    error.blame == crate::error::Blame::Gateway
}

fn has_models(body: &[u8]) -> bool {
    let object = Object::parse(body).ok();
    let data = object.as_ref().and_then(|object| object.get("data"));
    data.and_then(|data| data.elements().ok())
        .is_some_and(|mut models| models.next().is_some())
}

/// `7.2.91-fake`: 7 and 2. None for a build that has no number.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Writes its configuration while it runs and sees to it that it is taken up: in place, and where it no longer watches its
/// file (somebody renamed another over it, which ends the watching for good), through its management.
pub(super) async fn rewrite_config(link: std::sync::Arc<Link>, order: Order) {
    let wanted = order
        .content
        .proxy_url
        .as_ref()
        .map_or("", |key| key.expose());
    for round in 0..RELOADS_MAX {
        let text = match write(&order) {
            Ok(text) => text,
            Err(reason) => {
                log::warn!(
                    "sidecar: its configuration could not be changed",
                    reason = reason
                );
                return;
            }
        };
        if round + 1 == RELOADS_MAX {
            let body = Some(text.as_bytes());
            let put = link
                .management
                .call(Method::Put, "/config.yaml", body, ANSWER_LIMIT);
            let _ = put.await; // whether it worked is looked at below
        }
        let since = Instant::now();
        while since.elapsed() < RELOAD_LIMIT {
            sleep(PROBE_EVERY * 4).await;
            let call = link
                .management
                .call(Method::Get, "/proxy-url", None, ANSWER_LIMIT);
            let Ok(reply) = call.await else { return }; // it ended: the next start reads the file
            let is = reply.object().ok().and_then(|object| {
                let value = object.get("proxy-url").and_then(Raw::as_str)?;
                Some(value == wanted)
            });
            if is == Some(true) {
                log::info!("sidecar: took up its changed configuration");
                return;
            }
        }
    }
    log::warn!("sidecar: did not take up its changed configuration; it will at its next start");
}

fn write(order: &Order) -> Result<String, String> {
    let (folder, key) = (&order.folder, order.folder.api_key()?);
    folder.rewrite_config(&order.content, &key)?;
    folder.config_text(&order.content, &key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_far_as_it_is_one() {
        assert_eq!(parse_version("7.2.91-fake"), Some((7, 2)));
        assert_eq!(parse_version("v7.0.4"), Some((7, 0)));
        assert_eq!(parse_version("dev"), None);
        assert_eq!(parse_version(""), None);
    }

    #[test]
    fn models_are_there_or_not() {
        assert!(has_models(br#"{"object":"list","data":[{"id":"x"}]}"#));
        for none in [
            &br#"{"data":[]}"#[..],
            b"{}",
            b"[]",
            b"",
            br#"{"data":null}"#,
        ] {
            assert!(!has_models(none));
        }
    }
}
