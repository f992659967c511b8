//! `GET /api/status`: how the gateway is doing, for the WebUI's status line and its settings.

use super::config::{problems, tag};
use super::{Admin, Answer, Request};
use crate::gateway::config::store::whole;
use crate::gateway::metrics::Gauge;
use crate::wire::text::rfc3339;
use serde_json::json;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

/// Whether the file can be written is tried on the disk, no more often than this.
const OBSTACLE_KEPT: Duration = Duration::from_secs(60);

impl Request<'_> {
    pub(super) fn status(&self) -> Answer {
        let live = &self.admin.live;
        let findings = live.findings();
        let obstacle = self.admin.obstacle();
        let is_there = live.path().exists();
        let state = match () {
            () if !live.is_on_disk() => "memory",
            () if !findings.problems.is_empty() => "invalid",
            () if obstacle.is_some() => "readonly",
            () if !is_there => "missing",
            () => "ok",
        };
        let path = live
            .is_on_disk()
            .then(|| whole(live.path()).display().to_string());
        let snapshot = self.snapshot;
        let warnings = self
            .admin
            .warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Answer::ok(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "build": build(),
            "started_at": rfc3339(self.app.started_unix_s),
            "uptime_s": self.admin.started.elapsed().as_secs(),
            "config": {
                "path": path,
                "state": state,
                "obstacle": obstacle,
                "problems": problems(&findings.problems),
                "warnings": problems(&snapshot.warnings),
                "etag": tag(snapshot),
            },
            "data_dir": whole(&snapshot.sidecar.data_dir).display().to_string(),
            "admin_key": self.key_source(),
            "start_warnings": warnings,
            "resident_bytes": resident_bytes(),
            "buffered_bytes": self.app.budget.used_bytes(),
            "open_requests": self.app.metrics.open(Gauge::Requests),
            "open_streams": self.app.metrics.open(Gauge::Streams),
            "requests_total": self.app.metrics.requests_total(),
            "upstreams": snapshot.upstreams.len(),
            "aliases": snapshot.aliases.len(),
            "client_keys": snapshot.client_keys.len(),
        }))
    }
}

impl Admin {
    fn obstacle(&self) -> Option<String> {
        let mut known = self.obstacle.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((at, obstacle)) if at.elapsed() < OBSTACLE_KEPT => obstacle.clone(),
            _ => {
                let obstacle = self.live.obstacle();
                *known = Some((Instant::now(), obstacle.clone()));
                obstacle
            }
        }
    }
}

/// Which build of the version this is: architecture and C library, the commit where the build was told it, and whether it is
/// one for debugging.
fn build() -> String {
    let libc = match () {
        () if cfg!(target_env = "musl") => "musl",
        () if cfg!(target_env = "gnu") => "gnu",
        () => std::env::consts::OS,
    };
    let commit = option_env!("LLM_WRAPPER_COMMIT").filter(|commit| !commit.is_empty());
    let debug = cfg!(debug_assertions).then_some("debug");
    let mut build = format!("{}-{libc}", std::env::consts::ARCH);
    for part in commit.into_iter().chain(debug) {
        build.push(' ');
        build.push_str(part);
    }
    build
}

/// Memory of this process that is in use; None where the system does not say.
pub(in crate::gateway) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
