//! Notices that the configuration file changed: edited in place, renamed over, or swapped through a symlink as Kubernetes does.
//! Polling, because a watch on an inode is lost with the inode. What is read is read only once the file has stopped moving.

use crate::gateway::config::yaml::holds_nothing;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Notify;

/// How often the file is looked at. An edit takes effect within two seconds.
pub const POLL: Duration = Duration::from_secs(1);
/// How long a file that just changed must stand still before it is read: editors write in several steps.
pub const SETTLE: Duration = Duration::from_millis(200);

/// What identifies one state of a file, without reading it. The change time moves also where a tool sets the modification time back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// Of the file that the path leads to, symlinks followed. `None`: there is none.
    pub fn of(path: &Path) -> io::Result<Option<Fingerprint>> {
        match fs::metadata(path) {
            Ok(meta) => Ok(Some(Fingerprint {
                device: meta.dev(),
                inode: meta.ino(),
                size: meta.size(),
                modified: (meta.mtime(), meta.mtime_nsec()),
                changed: (meta.ctime(), meta.ctime_nsec()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What one look at the file found.
#[derive(PartialEq, Eq)]
pub enum Look {
    /// As it was.
    Same,
    /// It is being written: look again after [`SETTLE`].
    Moving,
    /// New text. Whether it is valid is the caller's question; if not, the running configuration stays.
    Changed(Vec<u8>),
    /// Nothing to take over, for this reason; the running configuration stays.
    Ignored(String),
}

impl fmt::Debug for Look {
    /// Without the text, which holds keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Look::Same => f.write_str("Same"),
            Look::Moving => f.write_str("Moving"),
            Look::Changed(text) => write!(f, "Changed({} bytes)", text.len()),
            Look::Ignored(reason) => write!(f, "Ignored({reason})"),
        }
    }
}

/// Remembers the last state of one file.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    seen: Option<Fingerprint>,
    candidate: Option<Fingerprint>,
    failure: Option<io::ErrorKind>,
}

impl Watch {
    /// Watches `path`; `seen` is the state, taken before reading, in which it was read at start.
    pub fn new(path: PathBuf, seen: Option<Fingerprint>) -> Watch {
        Watch {
            path,
            seen,
            candidate: None,
            failure: None,
        }
    }

    /// Looks once. `force` (SIGHUP) reads the file as it is now, changed or not.
    pub fn look(&mut self, force: bool) -> Look {
        let now = match Fingerprint::of(&self.path) {
            Ok(now) => now,
            Err(error) => return self.fail(&error),
        };
        let Some(print) = now else {
            self.candidate = None;
            if self.seen.take().is_none() && !force {
                return Look::Same;
            }
            return Look::Ignored("the file is gone".into());
        };
        if !force {
            if self.seen == now && self.failure.is_none() {
                self.candidate = None;
                return Look::Same;
            }
            if self.candidate != now && self.failure.is_none() {
                self.candidate = now;
                return Look::Moving;
            }
        }
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) => return self.fail(&error),
        };
        match Fingerprint::of(&self.path) {
            Ok(after) if after == now => {}
            _ if force => {}
            _ => {
                self.candidate = None;
                return Look::Moving;
            }
        }
        self.seen = Some(print);
        self.candidate = None;
        self.failure = None;
        if std::str::from_utf8(&text).is_ok_and(holds_nothing) {
            return Look::Ignored("the file is empty, as if half written".into());
        }
        Look::Changed(text)
    }

    /// A file that cannot be read is said once, and read as soon as it can be.
    fn fail(&mut self, error: &io::Error) -> Look {
        self.candidate = None;
        if self.failure.replace(error.kind()) == Some(error.kind()) {
            return Look::Same;
        }
        Look::Ignored(format!("the file cannot be read: {error}"))
    }
}

/// Looks for as long as the task lives and tells `found` all but [`Look::Same`] and [`Look::Moving`]. A notice (SIGHUP) makes it look at once.
/// May be dropped at any time.
pub async fn watch(mut watch: Watch, notice: &Notify, mut found: impl FnMut(Look)) {
    let mut wait = POLL;
    loop {
        let force = tokio::time::timeout(wait, notice.notified()).await.is_ok();
        wait = POLL;
        match watch.look(force) {
            Look::Same => {}
            Look::Moving => wait = SETTLE,
            look => found(look),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::config::tests::Folder;
    use std::os::unix::fs::symlink;

    fn changed(text: &str) -> Look {
        Look::Changed(text.as_bytes().to_vec())
    }

    fn start(path: &Path) -> Watch {
        Watch::new(path.to_owned(), Fingerprint::of(path).unwrap())
    }

    #[test]
    fn an_edit_in_place_is_read_once_it_stands_still() {
        let folder = Folder::new();
        let path = folder.write("c.yaml", "a: 1\n");
        let mut watch = start(&path);
        assert_eq!(watch.look(false), Look::Same);
        folder.write("c.yaml", "a: 22\n");
        assert_eq!(watch.look(false), Look::Moving);
        folder.write("c.yaml", "a: 333\n");
        assert_eq!(watch.look(false), Look::Moving);
        assert_eq!(watch.look(false), changed("a: 333\n"));
        assert_eq!(watch.look(false), Look::Same);
    }

    #[test]
    fn a_rename_of_the_same_size_is_noticed() {
        let folder = Folder::new();
        let path = folder.write("c.yaml", "a: 1\n");
        let mut watch = start(&path);
        fs::rename(folder.write("new", "a: 2\n"), &path).unwrap();
        assert_eq!(watch.look(false), Look::Moving);
        assert_eq!(watch.look(false), changed("a: 2\n"));
    }

    #[test]
    fn a_swap_of_a_symlinked_folder_is_noticed() {
        let folder = Folder::new();
        for (version, text) in [("v1", "a: 1\n"), ("v2", "a: 2\n")] {
            fs::create_dir(folder.path(version)).unwrap();
            folder.write(&format!("{version}/c.yaml"), text);
        }
        symlink("v1", folder.path("..data")).unwrap();
        symlink("..data/c.yaml", folder.path("c.yaml")).unwrap();
        let mut watch = start(&folder.path("c.yaml"));
        assert_eq!(watch.look(false), Look::Same);
        symlink("v2", folder.path("..new")).unwrap();
        fs::rename(folder.path("..new"), folder.path("..data")).unwrap();
        assert_eq!(watch.look(false), Look::Moving);
        assert_eq!(watch.look(false), changed("a: 2\n"));
    }

    #[test]
    fn a_modification_time_set_back_does_not_hide_an_edit() {
        let folder = Folder::new();
        let path = folder.write("c.yaml", "a: 1\n");
        let mut watch = start(&path);
        let old = fs::metadata(&path).unwrap().modified().unwrap();
        folder.write("c.yaml", "a: 2\n");
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert_eq!(watch.look(false), Look::Moving);
        assert_eq!(watch.look(false), changed("a: 2\n"));
    }

    #[test]
    fn an_empty_or_vanished_file_is_ignored_with_a_reason_and_said_once() {
        let folder = Folder::new();
        let path = folder.write("c.yaml", "a: 1\n");
        let mut watch = start(&path);
        folder.write("c.yaml", "");
        assert_eq!(watch.look(false), Look::Moving);
        assert!(matches!(watch.look(false), Look::Ignored(reason) if reason.contains("empty")));
        assert_eq!(watch.look(false), Look::Same);
        fs::remove_file(&path).unwrap();
        assert!(matches!(watch.look(false), Look::Ignored(reason) if reason.contains("gone")));
        assert_eq!(watch.look(false), Look::Same);
        folder.write("c.yaml", "a: 3\n");
        assert_eq!(watch.look(false), Look::Moving);
        assert_eq!(watch.look(false), changed("a: 3\n"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_said_once_and_read_when_it_can_be() {
        let folder = Folder::new();
        fs::create_dir(folder.path("c.yaml")).unwrap();
        let mut watch = Watch::new(folder.path("c.yaml"), None);
        assert_eq!(watch.look(false), Look::Moving);
        assert!(
            matches!(watch.look(false), Look::Ignored(reason) if reason.contains("cannot be read"))
        );
        assert_eq!(watch.look(false), Look::Same);
        fs::remove_dir(folder.path("c.yaml")).unwrap();
        folder.write("c.yaml", "a: 1\n");
        assert_eq!(watch.look(false), changed("a: 1\n"));
    }

    #[test]
    fn a_file_that_appears_later_is_noticed_and_force_reads_at_once() {
        let folder = Folder::new();
        let mut watch = start(&folder.path("c.yaml"));
        assert_eq!(watch.look(false), Look::Same);
        assert!(matches!(watch.look(true), Look::Ignored(_)));
        folder.write("c.yaml", "a: 1\n");
        assert_eq!(watch.look(true), changed("a: 1\n"));
        assert_eq!(watch.look(true), changed("a: 1\n"));
        assert_eq!(watch.look(false), Look::Same);
    }

    #[test]
    fn the_loop_reports_a_notice_at_once_and_an_edit_soon() {
        let folder = Folder::new();
        let path = folder.write("c.yaml", "a: 1\n");
        let (send, mut found) = tokio::sync::mpsc::unbounded_channel();
        let notice = std::sync::Arc::new(Notify::new());
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(async {
            let started = start(&path);
            let heard = notice.clone();
            let task = tokio::spawn(async move {
                watch(started, &heard, |look| drop(send.send(look))).await;
            });
            notice.notify_one();
            assert_eq!(found.recv().await, Some(changed("a: 1\n")));
            folder.write("c.yaml", "a: 2\n");
            let soon = tokio::time::timeout(Duration::from_secs(10), found.recv());
            assert_eq!(soon.await.unwrap(), Some(changed("a: 2\n")));
            task.abort();
        });
    }
}
