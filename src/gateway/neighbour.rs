//! The sidecar as the configuration describes it: how it is run, whether it is wanted, and how it follows a reload.

use super::App;
use super::config::{Manage, Secret};
use super::metrics::SidecarFigures;
use super::snapshot::Snapshot;
use crate::error::Error;
use crate::net::tls::TlsSettings;
use crate::net::{First, race};
use crate::sidecar::accounts::Account;
use crate::sidecar::login::LOGIN_LIMIT;
use crate::sidecar::process::{Places, passed_on};
use crate::sidecar::{self, Key, Ready, Settings, Sidecar};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as channel;

/// A scrape of the metrics waits no longer for the list of accounts.
const FIGURES_LIMIT: Duration = Duration::from_secs(1);

/// What a configuration in that folder says of the sidecar. Reads the environment.
pub fn settings(snapshot: &Snapshot, folder: &Path) -> Settings {
    let said = &snapshot.sidecar;
    let key = |secret: &Option<Secret>| secret.as_ref().map(|secret| Key::new(secret.expose()));
    let us = std::env::current_exe().ok();
    Settings {
        manage: match said.manage {
            Manage::Auto => sidecar::Manage::Auto,
            Manage::Never => sidecar::Manage::Never,
        },
        endpoint: said.endpoint.clone(),
        binary: said.binary.clone(),
        places: Places {
            path: std::env::var_os("PATH"),
            beside_us: us.and_then(|us| us.parent().map(Path::to_path_buf)),
            beside_config: folder.to_path_buf(),
        },
        data_dir: said.data_dir.clone(),
        api_key: key(&said.api_key),
        management_key: key(&said.management_key),
        proxy_url: key(&said.proxy_url),
        environment: passed_on(|name| std::env::var_os(name)),
        tls: TlsSettings::public(),
        login_limit: LOGIN_LIMIT,
    }
}

/// Whether an enabled upstream uses accounts.
pub fn is_wanted(snapshot: &Snapshot) -> bool {
    let mut upstreams = snapshot.upstreams.iter();
    upstreams.any(|upstream| upstream.enabled && upstream.provider().is_some())
}

/// Tells the sidecar of every configuration, for as long as there are any.
pub async fn follow(
    mut snapshots: channel::Receiver<Arc<Snapshot>>,
    folder: PathBuf,
    sidecar: Sidecar,
) {
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        sidecar.update(settings(&snapshot, &folder)).await;
        sidecar.want(is_wanted(&snapshot)).await;
        drop(snapshot);
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

impl App {
    /// An upstream's error; where the sidecar was asked, a broken connection says how the sidecar is.
    pub(super) async fn explain(&self, asked: Option<&Ready>, error: Error) -> Error {
        match (asked, &self.sidecar) {
            (Some(ready), Some(sidecar)) => sidecar.explain(ready, error).await,
            _ => error,
        }
    }

    /// The sidecar in numbers. None in a demo, which has none. Starts nothing.
    pub(super) async fn sidecar_figures(&self) -> Option<SidecarFigures> {
        let sidecar = self.sidecar.as_ref()?;
        let listed = race(sidecar.accounts(), tokio::time::sleep(FIGURES_LIMIT)).await;
        let (state, restarts) = {
            let view = sidecar.state();
            let view = view.borrow();
            (view.state_name(), view.restarts)
        };
        let accounts = match listed {
            First::A(Ok(accounts)) => Some(accounts),
            First::A(Err(_)) | First::B(()) => None,
        };
        Some(SidecarFigures {
            state,
            restarts,
            accounts: accounts.map(|accounts| {
                let labels = |account: Account| (provider(&account), condition(&account));
                let mut counts = BTreeMap::new();
                for labels in accounts.into_iter().map(labels) {
                    *counts.entry(labels).or_default() += 1;
                }
                counts
            }),
        })
    }
}

/// A provider's name, from a closed set.
fn provider(account: &Account) -> &'static str {
    let known = ["claude", "codex", "antigravity", "kimi", "xai"];
    let found = known.into_iter().find(|name| *name == account.provider);
    found.unwrap_or("other")
}

/// How an account is, in one word.
fn condition(account: &Account) -> &'static str {
    match account.status.as_str() {
        _ if account.disabled => "disabled",
        "active" => "active",
        "error" => "error",
        _ => "other",
    }
}
