//! The configuration while the gateway runs: loaded at start, read again when the file changes, published to all requests
//! through one channel. An invalid file keeps the running configuration, and its problems are said.

use super::config::Findings;
use super::config::store::Store;
use super::snapshot::{Snapshot, Surroundings};
use super::watch::{Fingerprint, Look, Watch};
use crate::{log, sys};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch as channel;

/// The configuration file and what is made of it.
pub struct Live {
    store: Store,
    sender: channel::Sender<Arc<Snapshot>>,
    watch: Mutex<Option<Watch>>,
    last: Mutex<Findings>,
}

/// Reads the environment and the disk as they are.
fn surroundings<T>(folder: &Path, then: impl FnOnce(&Surroundings<'_>) -> T) -> T {
    then(&Surroundings {
        folder,
        env: &|name| std::env::var(name).ok(),
        read: &|path| std::fs::read(path),
    })
}

/// The sentence for a file that is there and cannot be read.
fn unreadable(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::IsADirectory => format!(
            "{shown} is a folder, not a file: a container's bind mount of a file that does not exist makes one"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{shown} cannot be read by uid {}: {error}", sys::getuid())
        }
        _ => format!("{shown} cannot be read: {error}"),
    }
}

impl Live {
    /// Loads the file at start. A missing one is the empty configuration. The error is one line for stderr.
    pub fn start(path: &Path) -> Result<Live, String> {
        let store = Store::new(path);
        let seen = Fingerprint::of(path).unwrap_or_default();
        let text = store.load().map_err(|error| unreadable(path, &error))?;
        if text.is_none() {
            log::warn!(
                "there is no configuration file yet: starting empty, it is written on the first save",
                path = path.display()
            );
        }
        if let Some(obstacle) = store.obstacle() {
            log::warn!(
                "the configuration cannot be saved from here",
                reason = obstacle
            );
        }
        let (snapshot, findings) = surroundings(store.folder(), |around| {
            Snapshot::load(&text.unwrap_or_default(), around)
        });
        let Some(snapshot) = snapshot else {
            return Err(format!(
                "{} is not valid:\n{}",
                path.display(),
                findings.report().trim_end()
            ));
        };
        let watch = Watch::new(path.to_path_buf(), seen);
        Ok(Live::with(store, snapshot, findings, Some(watch)))
    }

    /// A configuration that is not on disk and never changes.
    pub fn fixed(text: &str) -> Result<Live, String> {
        let store = Store::new("");
        let (snapshot, findings) = surroundings(Path::new("."), |around| {
            Snapshot::load(text.as_bytes(), around)
        });
        match snapshot {
            Some(snapshot) => Ok(Live::with(store, snapshot, findings, None)),
            None => Err(findings.report()),
        }
    }

    fn with(store: Store, snapshot: Snapshot, findings: Findings, watch: Option<Watch>) -> Live {
        for warning in &findings.warnings {
            log::warn!(
                "the configuration has a part without effect",
                path = warning.path,
                reason = warning.message
            );
        }
        Live {
            store,
            sender: channel::Sender::new(Arc::new(snapshot)),
            watch: Mutex::new(watch),
            last: Mutex::new(findings),
        }
    }

    /// Everything that is wrong with a file, without starting anything. A missing file has no problem.
    pub fn check(path: &Path) -> Result<Findings, String> {
        let store = Store::new(path);
        let text = store.load().map_err(|error| unreadable(path, &error))?;
        let text = text.ok_or_else(|| format!("{} does not exist", path.display()))?;
        Ok(surroundings(store.folder(), |around| Snapshot::load(&text, around)).1)
    }

    /// The data folder, as the environment, else the file, names it. `None` if the file is not valid, which the start will
    /// say; a file that cannot be read counts as empty.
    pub fn data_dir(path: &Path) -> Option<PathBuf> {
        let store = Store::new(path);
        let text = store.load().ok().flatten().unwrap_or_default();
        let (snapshot, _) = surroundings(store.folder(), |around| Snapshot::load(&text, around));
        snapshot.map(|snapshot| snapshot.sidecar.data_dir)
    }

    /// The channel that requests take their snapshot from.
    pub fn subscribe(&self) -> channel::Receiver<Arc<Snapshot>> {
        self.sender.subscribe()
    }

    /// The running snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.sender.borrow().clone()
    }

    /// The watch over the file, once: whoever takes it runs [`super::watch::watch`] and hands what it finds to [`Live::take`].
    pub fn take_watch(&self) -> Option<Watch> {
        self.watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Takes over what the watch found, if it is valid.
    pub fn take(&self, look: Look) {
        let path = self.store.path().display();
        let text = match look {
            Look::Same | Look::Moving => return,
            Look::Ignored(reason) => {
                log::warn!(
                    "the configuration file is not taken over, the running one stays",
                    path = path,
                    reason = reason
                );
                return;
            }
            Look::Changed(text) => text,
        };
        let (snapshot, findings) =
            surroundings(self.store.folder(), |around| Snapshot::load(&text, around));
        for warning in &findings.warnings {
            log::warn!(
                "the configuration has a part without effect",
                path = warning.path,
                reason = warning.message
            );
        }
        match snapshot {
            Some(snapshot) => {
                log::info!(
                    "the configuration was reloaded",
                    path = path,
                    upstreams = snapshot.upstreams.len(),
                    aliases = snapshot.aliases.len()
                );
                self.sender.send_replace(Arc::new(snapshot));
            }
            None => {
                for problem in &findings.problems {
                    log::error!(
                        "the changed configuration is not valid, the running one stays",
                        path = problem.path,
                        reason = problem.message
                    );
                }
            }
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = findings;
    }

    /// What was found in the file when it was last read.
    pub fn findings(&self) -> Findings {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
