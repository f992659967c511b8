//! The configuration file on disk: read it, and replace it without ever leaving half of one.
//! Aside, fsync, rename, fsync the folder; where the file is a mount of its own and cannot be renamed over, a copy and a rewrite in place.

use super::node::Node;
use super::yaml::{FILE_BYTES_MAX, holds_nothing};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A new file holds keys: nobody but its owner reads it.
const NEW_FILE_MODE: u32 = 0o600;
/// Symlinks followed before a loop is assumed (Linux follows 40).
const SYMLINKS_MAX: u32 = 40;

/// The file that holds the configuration. Saves are one after another.
pub struct Store {
    path: PathBuf,
    rename: fn(&Path, &Path) -> io::Result<()>,
    is_mount: fn(&Path) -> bool,
    saving: Mutex<()>,
}

/// What a save did beside saving.
#[derive(Debug, PartialEq, Eq)]
pub struct Saved {
    /// Where the hand-written text with its comments was kept, if this save would have destroyed it.
    pub kept: Option<PathBuf>,
}

impl Store {
    /// The file at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Store {
        Store {
            path: path.into(),
            rename: |from, to| fs::rename(from, to),
            is_mount,
            saving: Mutex::new(()),
        }
    }

    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that relative paths in the file start from.
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// The file's bytes; `None` where there is none. One byte more than is allowed is read, so that the size is judged by the reader.
    pub fn load(&self) -> io::Result<Option<Vec<u8>>> {
        read_if_there(&self.path)
    }

    /// Why a save would fail, as a sentence for the start's warning and the 409 of a PUT; `None` if nothing stands in the way.
    /// Tried, not guessed from modes: a read-only mount and an access list are noticed, too.
    pub fn obstacle(&self) -> Option<String> {
        let target = match resolve(&self.path) {
            Ok(target) => target,
            Err(error) => return Some(cannot(&self.path, &error)),
        };
        let folder = folder_of(&target);
        let probe = aside(&target, "probe");
        let made = create_new(&probe).and_then(|_| fs::remove_file(&probe));
        if let Err(error) = made
            && !(self.is_mount)(&target)
        {
            return Some(cannot(folder, &error));
        }
        match OpenOptions::new().append(true).open(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Some(cannot(&target, &error)),
            _ => None,
        }
    }

    /// Replaces the file. On `Err` the old file is whole, and the sentence says what stood in the way.
    /// `data_dir` takes the copy that a rewrite in place needs.
    pub fn save(&self, tree: &Node, data_dir: &Path) -> Result<Saved, String> {
        let text = tree.render()?;
        // A panic under this lock leaves at most a file aside, which the next save replaces.
        let _one = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(obstacle) = self.obstacle() {
            return Err(obstacle);
        }
        let fail = |error: io::Error| cannot(&self.path, &error);
        let target = resolve(&self.path).map_err(fail)?;
        let old = read_if_there(&target).map_err(fail)?;
        if old.as_deref() == Some(text.as_bytes()) {
            return Ok(Saved { kept: None });
        }
        let result = self.replace(&target, text.as_bytes(), old.as_deref(), data_dir);
        if result.is_err() {
            let _ = fs::remove_file(aside(&target, "new"));
        }
        result.map_err(fail)
    }

    fn replace(
        &self,
        target: &Path,
        text: &[u8],
        old: Option<&[u8]>,
        data_dir: &Path,
    ) -> io::Result<Saved> {
        let Some(old) = old else {
            self.rename_over(target, text, None)?;
            return Ok(Saved { kept: None });
        };
        let like = fs::metadata(target)?;
        let backup = backup_of(target, folder_of(target));
        let by_hand = has_comments(old) && !backup.try_exists()?;
        let kept = by_hand.then(|| write_backup(&backup, old, &like).map(|()| backup.clone()));
        if !matches!(kept, Some(Err(_))) {
            match self.rename_over(target, text, Some(&like)) {
                Ok(()) => {}
                // A mount of its own cannot be renamed over; its owner cannot be kept by one who may not give files away.
                Err(error) if stays_where_it_is(&error) => {
                    let _ = fs::remove_file(aside(target, "new"));
                    rewrite(target, text, old, data_dir)?;
                }
                Err(error) => return Err(error),
            }
            return Ok(Saved {
                kept: kept.and_then(Result::ok),
            });
        }
        // Nothing can be made in the folder: the copy for the rewrite is the one that keeps the hand-written text.
        let copy = rewrite(target, text, old, data_dir)?;
        Ok(Saved { kept: Some(copy) })
    }

    fn rename_over(&self, target: &Path, text: &[u8], like: Option<&Metadata>) -> io::Result<()> {
        let new = aside(target, "new");
        write_aside(&new, text, like)?;
        (self.rename)(&new, target)?;
        sync_folder(folder_of(target))
    }
}

/// Whether a failed rename, or file aside, means that the file must be changed where it is.
fn stays_where_it_is(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    let kinds = [
        CrossesDevices,
        PermissionDenied,
        ReadOnlyFilesystem,
        ResourceBusy,
    ];
    kinds.contains(&error.kind())
}

/// Changes the file in place, after a copy of the old text was made safe in `data_dir`. Answers where that is.
fn rewrite(target: &Path, text: &[u8], old: &[u8], data_dir: &Path) -> io::Result<PathBuf> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)?;
    let mut copy = backup_of(target, data_dir);
    // A kept hand-written text is worth more than the copy of a generated one.
    if !has_comments(old) && read_if_there(&copy)?.is_some_and(|kept| has_comments(&kept)) {
        copy.as_mut_os_string().push(".last");
    }
    write_aside(&copy, old, None)?;
    sync_folder(data_dir)?;
    let mut file = OpenOptions::new().write(true).open(target)?;
    if let Err(error) = overwrite(&mut file, text) {
        // The disk is full: there is room for the old text, where it was.
        file.rewind()?;
        overwrite(&mut file, old)?;
        return Err(error);
    }
    Ok(copy)
}

fn overwrite(file: &mut File, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.set_len(text.len() as u64)?;
    file.sync_all()
}

/// Whether the file is a mount of its own, as a single-file bind mount is. (A path with blanks stands there escaped, and is not found.)
fn is_mount(file: &Path) -> bool {
    let Ok(file) = fs::canonicalize(file) else {
        return false;
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    places.into_iter().any(|place| Path::new(place) == file)
}

/// The path from the root on, which tells more than one relative to a folder that nobody remembers.
pub fn whole(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path);
    whole.as_deref().unwrap_or(path).components().collect()
}

/// The sentence for a place that cannot be written.
fn cannot(place: &Path, error: &io::Error) -> String {
    // Not the owner of /proc/self: that stays root after a change of user.
    let uid = crate::sys::getuid();
    let place = whole(place);
    let place = place.display();
    format!("{place} cannot be written by uid {uid} ({error}), so changes cannot be saved")
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The file that the path leads to, also where it does not exist yet.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..SYMLINKS_MAX {
        match fs::read_link(&path) {
            Ok(next) => path = folder_of(&path).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A hidden neighbour, so that a rename stays on one file system.
fn aside(target: &Path, suffix: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    folder_of(target).join(format!(".{name}.{suffix}"))
}

fn backup_of(target: &Path, folder: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    folder.join(format!("{name}.bak"))
}

/// A file of our own making in the way (from a process that was killed) goes first; a symlink is never followed.
fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(NEW_FILE_MODE);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        result => result,
    }
}

/// Writes a whole new file, owned as `like` is, and fsyncs it. The mode is given last, when the owner is right.
fn write_aside(path: &Path, text: &[u8], like: Option<&Metadata>) -> io::Result<()> {
    let mut file = create_new(path)?;
    file.write_all(text)?;
    if let Some(like) = like {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            chown(path, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
    }
    file.sync_all()
}

/// A copy that belongs to the same owner where that can be had, else to us alone.
fn write_backup(path: &Path, text: &[u8], like: &Metadata) -> io::Result<()> {
    match write_aside(path, text, Some(like)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            write_aside(path, text, None)
        }
        result => result,
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Whether a text has a comment: a `#` at the start of a line or after white space. One inside a text counts, too; a copy too many does no harm.
fn has_comments(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    !text.is_empty()
        && (holds_nothing(text) && text.contains('#')
            || text
                .lines()
                .any(|line| line.starts_with('#') || line.contains(" #") || line.contains("\t#")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::config::tests::Folder;
    use std::os::unix::fs::symlink;

    fn tree(text: &str) -> Node {
        Node::parse(text, &mut Vec::new()).unwrap()
    }

    fn store(folder: &Folder) -> Store {
        Store::new(folder.path("config.yaml"))
    }

    fn save(store: &Store, folder: &Folder, text: &str) -> Result<Saved, String> {
        store.save(&tree(text), &folder.path("data"))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn busy(store: Store) -> Store {
        Store {
            rename: |_, _| Err(io::ErrorKind::ResourceBusy.into()),
            ..store
        }
    }

    #[test]
    fn a_missing_file_is_none_and_is_made_private() {
        let folder = Folder::new();
        let store = store(&folder);
        assert_eq!(store.load().unwrap(), None);
        assert_eq!(store.obstacle(), None);
        assert_eq!(save(&store, &folder, "a: 1"), Ok(Saved { kept: None }));
        assert_eq!(store.load().unwrap().unwrap(), b"a: 1\n");
        assert_eq!(mode(store.path()), 0o600);
        assert_eq!(folder.names(), ["config.yaml"]);
    }

    #[test]
    fn owner_and_mode_are_kept() {
        let folder = Folder::new();
        let path = folder.write("config.yaml", "a: 1\n");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let root = fs::metadata("/proc/self").unwrap().uid() == 0;
        if root {
            chown(&path, Some(1234), Some(2345)).unwrap();
        }
        let before = fs::metadata(&path).unwrap();
        save(&store(&folder), &folder, "a: 2").unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(mode(&path), 0o640);
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_ne!(after.ino(), before.ino());
        assert_eq!(folder.text("config.yaml"), "a: 2\n");
    }

    #[test]
    fn a_symlink_is_followed_not_replaced() {
        let folder = Folder::new();
        fs::create_dir(folder.path("real")).unwrap();
        folder.write("real/c.yaml", "a: 1\n");
        symlink("real/c.yaml", folder.path("hop")).unwrap();
        symlink("hop", folder.path("config.yaml")).unwrap();
        save(&store(&folder), &folder, "a: 2").unwrap();
        assert_eq!(folder.text("real/c.yaml"), "a: 2\n");
        assert!(folder.path("config.yaml").is_symlink());
        symlink("real/later.yaml", folder.path("dangling")).unwrap();
        let dangling = Store::new(folder.path("dangling"));
        assert_eq!(dangling.load().unwrap(), None);
        save(&dangling, &folder, "a: 3").unwrap();
        assert_eq!(folder.text("real/later.yaml"), "a: 3\n");
        symlink("loop", folder.path("loop")).unwrap();
        assert!(save(&Store::new(folder.path("loop")), &folder, "a: 1").is_err());
    }

    #[test]
    fn a_file_that_cannot_be_renamed_over_is_copied_and_rewritten() {
        let folder = Folder::new();
        let path = folder.write("config.yaml", "a: 1\nb: a long one that must not stay\n");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        let store = busy(store(&folder));
        save(&store, &folder, "a: 2").unwrap();
        assert_eq!(folder.text("config.yaml"), "a: 2\n");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(mode(&path), 0o644);
        assert_eq!(
            folder.text("data/config.yaml.bak"),
            "a: 1\nb: a long one that must not stay\n"
        );
        assert_eq!(mode(&folder.path("data/config.yaml.bak")), 0o600);
        save(&store, &folder, "a: 3").unwrap();
        assert_eq!(folder.text("data/config.yaml.bak"), "a: 2\n");
        assert_eq!(folder.names(), ["config.yaml", "data"]);
    }

    #[test]
    fn a_rewrite_in_place_does_not_overwrite_the_hand_written_copy() {
        let folder = Folder::new();
        folder.write("config.yaml", "a: 1 # mine\n");
        let store = busy(store(&folder));
        let data = folder.path("");
        store.save(&tree("a: 2"), &data).unwrap();
        store.save(&tree("a: 3"), &data).unwrap();
        assert_eq!(folder.text("config.yaml.bak"), "a: 1 # mine\n");
        assert_eq!(folder.text("config.yaml.bak.last"), "a: 2\n");
        assert_eq!(folder.text("config.yaml"), "a: 3\n");
    }

    #[test]
    fn a_mount_in_a_folder_that_takes_no_file_is_rewritten() {
        // /proc/self takes no new file from anyone, and /proc/self/comm may be written.
        let folder = Folder::new();
        let store = Store::new("/proc/self/comm");
        let obstacle = store.obstacle().unwrap();
        assert!(
            obstacle.starts_with("/proc/self cannot be written by uid "),
            "{obstacle}"
        );
        let mount = Store {
            is_mount: |_| true,
            ..store
        };
        assert_eq!(mount.obstacle(), None);
        let path = folder.write("config.yaml", "a: 1 # mine\n");
        let copy = rewrite(&path, b"a: 2\n", b"a: 1 # mine\n", &folder.path("data")).unwrap();
        assert_eq!(copy, folder.path("data/config.yaml.bak"));
        assert_eq!(folder.text("config.yaml"), "a: 2\n");
        assert!(!is_mount(&path) && is_mount(Path::new("/proc")));
    }

    #[test]
    fn other_failures_of_rename_leave_the_old_file() {
        let folder = Folder::new();
        folder.write("config.yaml", "a: 1\n");
        let store = Store {
            rename: |_, _| Err(io::ErrorKind::StorageFull.into()),
            ..store(&folder)
        };
        assert!(save(&store, &folder, "a: 2").is_err());
        assert_eq!(folder.text("config.yaml"), "a: 1\n");
        assert_eq!(folder.names(), ["config.yaml"]);
    }

    #[test]
    fn hand_written_comments_are_kept_once_and_it_is_said() {
        let folder = Folder::new();
        folder.write("config.yaml", "# by hand\na: 1\n");
        let store = store(&folder);
        let backup = folder.path("config.yaml.bak");
        let kept = Some(backup.clone());
        assert_eq!(save(&store, &folder, "a: 2"), Ok(Saved { kept }));
        assert_eq!(folder.text("config.yaml.bak"), "# by hand\na: 1\n");
        folder.write("config.yaml", "# again\na: 3\n");
        assert_eq!(save(&store, &folder, "a: 4"), Ok(Saved { kept: None }));
        assert_eq!(folder.text("config.yaml.bak"), "# by hand\na: 1\n");
    }

    #[test]
    fn leftovers_of_a_killed_save_do_not_disturb() {
        let folder = Folder::new();
        folder.write("config.yaml", "a: 1\n");
        folder.write("elsewhere", "untouched");
        symlink("elsewhere", folder.path(".config.yaml.new")).unwrap();
        folder.write(".config.yaml.probe", "");
        save(&store(&folder), &folder, "a: 2").unwrap();
        assert_eq!(folder.names(), ["config.yaml", "elsewhere"]);
        assert_eq!(folder.text("elsewhere"), "untouched");
    }

    #[test]
    fn an_obstacle_names_the_place_and_the_user() {
        let folder = Folder::new();
        let store = Store::new(folder.path("missing/config.yaml"));
        let obstacle = store.obstacle().unwrap();
        assert!(
            obstacle.contains("missing cannot be written by uid "),
            "{obstacle}"
        );
        assert_eq!(save(&store, &folder, "a: 1"), Err(obstacle));
        let place = cannot(Path::new("."), &io::ErrorKind::PermissionDenied.into());
        assert!(
            place.starts_with('/') && !place.starts_with("/."),
            "{place}"
        );
        // /proc refuses new files to root, too.
        let obstacle = Store::new("/proc/config.yaml").obstacle().unwrap();
        assert!(
            obstacle.starts_with("/proc cannot be written by uid "),
            "{obstacle}"
        );
    }

    #[test]
    fn a_tree_that_yaml_cannot_keep_is_not_saved() {
        let folder = Folder::new();
        folder.write("config.yaml", "a: 1\n");
        let store = store(&folder);
        let broken = Node::Float(f64::NAN);
        assert!(store.save(&broken, &folder.path("data")).is_err());
        assert_eq!(folder.text("config.yaml"), "a: 1\n");
    }
}
