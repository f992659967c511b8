//! The configuration while the gateway runs: loaded at start, read again when the file changes, changed through the
//! management API, published to all requests through one channel. An invalid file keeps the running configuration, and its
//! problems are said. Reloads and changes are one after another, and each begins with what is on the disk then.

use super::config::store::Store;
use super::config::yaml::holds_nothing;
use super::config::{Findings, Node, Problem};
use super::snapshot::{Snapshot, Surroundings};
use super::watch::{Fingerprint, Look, Watch};
use crate::wire::text::sha256;
use crate::{log, sys};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use tokio::sync::watch as channel;

/// Problems, and warnings, of one reading that get a line of the log each.
const LINES_MAX: usize = 20;

/// The configuration file and what is made of it.
pub struct Live {
    store: Store,
    sender: channel::Sender<Arc<Snapshot>>,
    watch: Mutex<Option<Watch>>,
    on_disk: Mutex<OnDisk>,
    /// The watch found something while a change was going on: whoever holds `on_disk` looks again.
    look_again: AtomicBool,
    last: Mutex<Findings>,
    /// Why the file was not even read when it last changed.
    unread: Mutex<Option<String>>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

/// What is known of the file.
struct OnDisk {
    /// Of its text when it was last read or written.
    digest: [u8; 32],
    /// It was written here, so the watch is about to find it changed.
    by_us: bool,
}

/// Why a change was not made. Nothing has changed then, neither on the disk nor in memory.
#[derive(Debug)]
pub enum Refused {
    /// The configuration it would give is not valid.
    Problems(Vec<Problem>),
    /// The same, found before the tree could be checked: the tree with stand-ins, and what was found.
    Masks(Node, Vec<Problem>),
    /// It was made from a state that is no longer the current one.
    Stale,
    /// It contradicts what is there.
    Conflict(String),
    /// It cannot be saved, for this reason.
    Unsaved(String),
}

/// A change that was made.
pub struct Changed {
    /// What runs now.
    pub snapshot: Arc<Snapshot>,
    /// What has no effect in it.
    pub warnings: Vec<Problem>,
    /// Where the hand-written text with its comments was kept.
    pub kept: Option<PathBuf>,
    /// False: there is no file, it is in memory only.
    pub saved: bool,
}

/// Reads the environment and the disk as they are.
pub(super) fn surroundings<T>(folder: &Path, then: impl FnOnce(&Surroundings<'_>) -> T) -> T {
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
        let text = text.unwrap_or_default();
        let (snapshot, findings) =
            surroundings(store.folder(), |around| Snapshot::load(&text, around));
        let Some(snapshot) = snapshot else {
            return Err(format!(
                "{} is not valid:\n{}",
                path.display(),
                findings.report().trim_end()
            ));
        };
        let watch = Watch::new(path.to_path_buf(), seen);
        Ok(Live::with(store, &text, snapshot, findings, Some(watch)))
    }

    /// A configuration that is not on disk and never changes.
    pub fn fixed(text: &str) -> Result<Live, String> {
        let store = Store::new("");
        let (snapshot, findings) = surroundings(Path::new("."), |around| {
            Snapshot::load(text.as_bytes(), around)
        });
        match snapshot {
            Some(snapshot) => Ok(Live::with(store, b"", snapshot, findings, None)),
            None => Err(findings.report()),
        }
    }

    fn with(
        store: Store,
        text: &[u8],
        snapshot: Snapshot,
        findings: Findings,
        watch: Option<Watch>,
    ) -> Live {
        say_warnings(&findings);
        Live {
            store,
            sender: channel::Sender::new(Arc::new(snapshot)),
            watch: Mutex::new(watch),
            on_disk: Mutex::new(OnDisk {
                digest: sha256(text),
                by_us: false,
            }),
            look_again: AtomicBool::new(false),
            last: Mutex::new(findings),
            unread: Mutex::new(None),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
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

    /// Takes over what the watch found, if it is valid. Never waits: while a change is going on, that looks again at its end.
    pub fn take(&self, look: Look) {
        match look {
            Look::Same | Look::Moving => {}
            Look::Ignored(reason) => {
                log::warn!(
                    "the configuration file is not taken over, the running one stays",
                    path = self.store.path().display(),
                    reason = reason
                );
                // A file that is gone has a state of its own.
                if self.store.path().exists() {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                }
            }
            Look::Changed(_) => {
                self.look_again.store(true, Ordering::SeqCst);
                match self.on_disk.try_lock() {
                    Ok(disk) => self.finish(disk),
                    Err(TryLockError::Poisoned(disk)) => self.finish(disk.into_inner()),
                    Err(TryLockError::WouldBlock) => {}
                }
            }
        }
    }

    /// Gives the lock back, after taking over what was found while it was held.
    fn finish<'l>(&'l self, mut disk: MutexGuard<'l, OnDisk>) {
        loop {
            while self.look_again.swap(false, Ordering::SeqCst) {
                // A file that vanished or cannot be read since is the watch's to report.
                if let Ok(Some(text)) = self.store.load() {
                    let digest = sha256(&text);
                    let ours = std::mem::take(&mut disk.by_us) && digest == disk.digest;
                    if !ours && !std::str::from_utf8(&text).is_ok_and(holds_nothing) {
                        let _ = self.read(&text, digest, &mut disk); // its problems are in the log and in `last`
                    }
                }
            }
            drop(disk);
            // A notice that came between the last swap and the drop found the lock taken.
            if !self.look_again.load(Ordering::SeqCst) {
                return;
            }
            disk = match self.on_disk.try_lock() {
                Ok(again) => again,
                Err(TryLockError::Poisoned(again)) => again.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
        }
    }

    /// Makes the text of the file the running configuration, if it is valid.
    fn read(&self, text: &[u8], digest: [u8; 32], disk: &mut OnDisk) -> Result<(), Problem> {
        let path = self.store.path().display();
        let (snapshot, findings) =
            surroundings(self.store.folder(), |around| Snapshot::load(text, around));
        // Before the log: who has read it there finds it in the status.
        self.has_read(findings.clone());
        say_warnings(&findings);
        disk.digest = digest;
        match snapshot {
            Some(snapshot) => {
                self.reloads.fetch_add(1, Ordering::Relaxed);
                log::info!(
                    "the configuration was reloaded",
                    path = path,
                    upstreams = snapshot.upstreams.len(),
                    aliases = snapshot.aliases.len()
                );
                self.sender.send_replace(Arc::new(snapshot));
                Ok(())
            }
            None => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                for problem in findings.problems.iter().take(LINES_MAX) {
                    log::error!(
                        "the changed configuration is not valid, the running one stays",
                        path = problem.path,
                        reason = problem.sentence()
                    );
                }
                say_more(findings.problems.len());
                let first = findings.problems.first().cloned();
                Err(first.unwrap_or_else(|| Problem::new("", "not valid")))
            }
        }
    }

    /// Changes the configuration: `edit` makes the new tree from what runs now, which is first brought up to what is on the
    /// disk. Checked as a whole, saved, then published. Blocks on the disk: not for a thread that serves.
    pub fn change(
        &self,
        edit: impl FnOnce(&Snapshot) -> Result<Node, Refused>,
    ) -> Result<Changed, Refused> {
        let mut disk = self.on_disk.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.change_locked(edit, &mut disk);
        self.finish(disk);
        result
    }

    fn change_locked(
        &self,
        edit: impl FnOnce(&Snapshot) -> Result<Node, Refused>,
        disk: &mut OnDisk,
    ) -> Result<Changed, Refused> {
        let on_disk = self.is_on_disk();
        if on_disk {
            self.catch_up(disk)?;
        }
        let (tree, masks) = match edit(&self.snapshot()) {
            Ok(tree) => (tree, Vec::new()),
            Err(Refused::Masks(tree, found)) => (tree, found),
            Err(other) => return Err(other),
        };
        let mut findings = Findings {
            problems: masks,
            ..Findings::default()
        };
        let snapshot = surroundings(self.store.folder(), |around| {
            Snapshot::of(tree, around, &mut findings)
        });
        let Some(snapshot) = snapshot else {
            return Err(Refused::Problems(findings.problems));
        };
        let mut kept = None;
        if on_disk {
            let saved = self
                .store
                .save(&snapshot.tree, &snapshot.sidecar.data_dir)
                .map_err(Refused::Unsaved)?;
            kept = saved.kept;
            let text = snapshot.tree.render().map_err(Refused::Unsaved)?;
            disk.digest = sha256(text.as_bytes());
            disk.by_us = true;
        }
        if let Some(kept) = &kept {
            log::info!(
                "the hand-written configuration was kept, because a save cannot keep its comments",
                path = kept.display()
            );
        }
        log::info!(
            "the configuration was changed through the management API",
            upstreams = snapshot.upstreams.len(),
            aliases = snapshot.aliases.len()
        );
        let snapshot = Arc::new(snapshot);
        self.sender.send_replace(snapshot.clone());
        let warnings = findings.warnings.clone();
        self.has_read(findings);
        Ok(Changed {
            snapshot,
            warnings,
            kept,
            saved: on_disk,
        })
    }

    /// What is on the disk was read, or written, with these findings.
    fn has_read(&self, findings: Findings) {
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = findings;
    }

    /// Reads a file that was edited since: a change must not undo what someone just wrote by hand.
    fn catch_up(&self, disk: &mut OnDisk) -> Result<(), Refused> {
        let unread = |error: std::io::Error| {
            Refused::Unsaved(format!(
                "{} cannot be read ({error}), so changes cannot be saved",
                self.store.path().display()
            ))
        };
        let Some(text) = self.store.load().map_err(unread)? else {
            return Ok(());
        };
        if std::str::from_utf8(&text).is_ok_and(holds_nothing) {
            return Ok(());
        }
        let digest = sha256(&text);
        let result = if digest == disk.digest {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.problems.first().cloned().map_or(Ok(()), Err)
        } else {
            self.read(&text, digest, disk)
        };
        result.map_err(|problem| {
            Refused::Unsaved(format!(
                "{} was edited and is not valid ({problem}): mend it there first, or a save would destroy the edit",
                self.store.path().display()
            ))
        })
    }

    /// Whether there is a file at all; the demo has none.
    pub fn is_on_disk(&self) -> bool {
        !self.store.path().as_os_str().is_empty()
    }

    /// The folder that relative paths of the configuration start from.
    pub fn folder(&self) -> &Path {
        self.store.folder()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// Why a change could not be saved; tries it, on the disk.
    pub fn obstacle(&self) -> Option<String> {
        if self.is_on_disk() {
            self.store.obstacle()
        } else {
            None
        }
    }

    /// How often the file was reloaded, and how often that failed.
    pub fn reloads(&self) -> (u64, u64) {
        (
            self.reloads.load(Ordering::Relaxed),
            self.failures.load(Ordering::Relaxed),
        )
    }

    /// What was found in the file when it was last read, or why it was not read since.
    pub fn findings(&self) -> Findings {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut findings = last.clone();
        drop(last);
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &*unread {
            findings.problems = vec![Problem::new("", reason.as_str())];
        }
        findings
    }
}

fn say_warnings(findings: &Findings) {
    for warning in findings.warnings.iter().take(LINES_MAX) {
        log::warn!(
            "the configuration may not do what it should",
            path = warning.path,
            reason = warning.sentence()
        );
    }
    say_more(findings.warnings.len());
}

/// Says how many findings have no line of their own.
fn say_more(count: usize) {
    if count > LINES_MAX {
        let more = count - LINES_MAX;
        log::warn!(
            "and more of the kind: llm-wrapper --check names them all",
            more = more
        );
    }
}
