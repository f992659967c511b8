//! The sidecar as the configuration describes it: how it is run, whether it is wanted, and how it follows a reload.

use super::config::{Manage, Secret};
use super::snapshot::Snapshot;
use crate::net::tls::TlsSettings;
use crate::sidecar::process::{Places, passed_on};
use crate::sidecar::{self, Key, Settings, Sidecar};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch as channel;

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
