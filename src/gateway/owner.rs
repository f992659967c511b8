//! `PUID` and `PGID`: a gateway that root started gives its folders to the user they name and becomes that user, for good and
//! before it listens. Links are never followed, and a folder of the system is never given away.

use crate::{log, sys};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};

/// Folders that other programs live in: giving one away would break the host. What lies below them may be given.
const SYSTEM_FOLDERS: [&str; 23] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/local",
    "/usr/local/etc",
    "/var",
    "/var/lib",
];
/// Files and folders in the data folder: a few dozen are usual, more means that it is something else.
const ENTRIES_MAX: usize = 10_000;

/// The user to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user id.
    pub uid: u32,
    /// The group id: `PGID`, else the same number.
    pub gid: u32,
}

impl Owner {
    /// Reads `PUID` and `PGID`; empty ones count as unset. The error is one line for stderr.
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> Result<Option<Owner>, String> {
        let id = |name: &str| match env(name).filter(|text| !text.is_empty()) {
            Some(text) => parse_id(name, &text).map(Some),
            None => Ok(None),
        };
        match (id("PUID")?, id("PGID")?) {
            (Some(uid), gid) => Ok(Some(Owner {
                uid,
                gid: gid.unwrap_or(uid),
            })),
            (None, Some(gid)) => Err(format!("PGID={gid} needs a PUID beside it")),
            (None, None) => Ok(None),
        }
    }

    /// Gives the folders away and becomes this user. One who is not root stays who he is, and is told.
    pub fn take_over(self, config: Option<&Path>, data_dir: Option<&Path>) -> Result<(), String> {
        let now = sys::getuid();
        if now != 0 {
            if now != self.uid {
                log::warn!(
                    "PUID has no effect: only root can become another user",
                    PUID = self.uid,
                    uid = now
                );
            }
            return Ok(());
        }
        // What lies deepest goes first: with nothing but CAP_CHOWN root cannot look into a folder once it is given away.
        if let Some(data_dir) = data_dir {
            self.give_data(data_dir)?;
        }
        if let Some(config) = config {
            self.give_config(config)?;
        }
        sys::become_user(self.uid, self.gid).map_err(|error| {
            format!(
                "cannot become uid {} and gid {} as PUID and PGID ask ({error}): the container needs the capabilities SETGID and SETUID",
                self.uid, self.gid
            )
        })
    }

    /// The folder of the configuration, the file, and the copies a save makes. Whatever else lies there keeps its owner.
    fn give_config(self, config: &Path) -> Result<(), String> {
        let folder = match config.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let Some(folder) = self.real(folder)? else {
            return Ok(()); // a save will say that there is none
        };
        let name = config.file_name().unwrap_or_default().to_string_lossy();
        let names = [
            format!("{name}"),
            format!("{name}.bak"),
            format!(".{name}.new"),
        ];
        for name in names {
            self.give(&folder.join(name));
        }
        // Where the file is a link within its folder, as a ConfigMap's is, what it leads to goes along.
        if let Ok(target) = fs::canonicalize(config)
            && target.starts_with(&folder)
        {
            self.give(&target);
        }
        self.give(&folder);
        Ok(())
    }

    /// The data folder, made where it is missing, with all that is in it.
    fn give_data(self, data_dir: &Path) -> Result<(), String> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir);
        if let Err(error) = made {
            if !data_dir.parent().is_some_and(|parent| self.owns(parent)) {
                log::warn!(
                    "the data folder cannot be made",
                    path = data_dir.display(),
                    reason = error
                );
            }
            return Ok(()); // else the user makes it himself
        }
        let Some(folder) = self.real(data_dir)? else {
            return Ok(());
        };
        let mut found = vec![folder.clone()];
        let mut at = 0;
        while at < found.len() && found.len() <= ENTRIES_MAX {
            let is_folder = fs::symlink_metadata(&found[at]).is_ok_and(|meta| meta.is_dir());
            if is_folder && let Ok(entries) = fs::read_dir(&found[at]) {
                found.extend(entries.flatten().map(|entry| entry.path()));
            }
            at += 1;
        }
        if found.len() > ENTRIES_MAX {
            return Err(format!(
                "PUID={} would give {} away, which holds more than {ENTRIES_MAX} files: keep the data in a folder of its own",
                self.uid,
                folder.display()
            ));
        }
        for path in found.iter().rev() {
            self.give(path);
        }
        Ok(())
    }

    /// Where a folder really is; `None` if there is none; an error if others live in it.
    fn real(self, folder: &Path) -> Result<Option<PathBuf>, String> {
        let Ok(real) = fs::canonicalize(folder) else {
            return Ok(None);
        };
        if SYSTEM_FOLDERS
            .iter()
            .any(|system| Path::new(system) == real)
        {
            return Err(format!(
                "PUID={} would give {} away, a folder of the system: keep configuration and data in folders of their own",
                self.uid,
                real.display()
            ));
        }
        Ok(Some(real))
    }

    fn owns(self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|meta| meta.uid() == self.uid)
    }

    /// A place that cannot be given may still be writable (NFS, CIFS), so that is a warning.
    fn give(self, path: &Path) {
        let given = match fs::symlink_metadata(path) {
            Ok(meta) if (meta.uid(), meta.gid()) == (self.uid, self.gid) => Ok(()),
            Ok(_) => lchown(path, Some(self.uid), Some(self.gid)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // Root without CAP_DAC_OVERRIDE before a closed folder of that user: what is in it is his already.
            Err(_) if path.parent().is_some_and(|folder| self.owns(folder)) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = given {
            log::warn!(
                "cannot be given to the user that PUID names",
                path = path.display(),
                PUID = self.uid,
                reason = error
            );
        }
    }
}

fn parse_id(name: &str, text: &str) -> Result<u32, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        // The highest number means "leave it as it is" to chown and setuid.
        Ok(id) if digits && id != u32::MAX => Ok(id),
        _ => Err(format!(
            "{name}={text:?} is no id: give the number that `id` prints, such as 1000"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(puid: &str, pgid: &str) -> Result<Option<Owner>, String> {
        Owner::from_env(|name| match name {
            "PUID" => Some(puid.to_owned()),
            "PGID" => Some(pgid.to_owned()),
            _ => None,
        })
    }

    #[test]
    fn the_group_is_the_users_number_unless_named() {
        let of = |uid, gid| Ok(Some(Owner { uid, gid }));
        assert_eq!(owner("", ""), Ok(None));
        assert_eq!(Owner::from_env(|_| None), Ok(None));
        assert_eq!(owner("1000", ""), of(1000, 1000));
        assert_eq!(owner("1000", "100"), of(1000, 100));
        assert_eq!(owner("0", "4294967294"), of(0, 4_294_967_294));
    }

    #[test]
    fn what_is_no_id_is_a_sentence() {
        for text in [
            "bob",
            "-1",
            "+5",
            " 7",
            "1000 ",
            "0x10",
            "1.5",
            "4294967295",
            "99999999999",
        ] {
            let line = owner(text, "").unwrap_err();
            assert!(line.starts_with("PUID=") && line.contains(text), "{line}");
            let line = owner("1000", text).unwrap_err();
            assert!(line.starts_with("PGID=") && line.contains(text), "{line}");
        }
        assert_eq!(
            owner("", "100").unwrap_err(),
            "PGID=100 needs a PUID beside it"
        );
    }

    #[test]
    fn a_folder_of_the_system_is_not_given_away() {
        let someone = Owner { uid: 1, gid: 1 };
        for folder in ["/", "/etc", "/usr/local/../local", "/var/lib/."] {
            let line = someone.real(Path::new(folder)).unwrap_err();
            assert!(line.contains("a folder of the system"), "{line}");
        }
        assert_eq!(someone.real(Path::new("/no/such/folder")), Ok(None));
        assert!(someone.real(Path::new("/proc/self")).unwrap().is_some());
    }
}
