//! The files the sidecar lives from, all below the data folder and for our user only: two generated keys (0600), its
//! configuration, the folder of its accounts (0700), the folder it runs in, and the note of which process we started.
//! Its configuration is written in place: a file renamed over it would never be read again, and an empty one would make
//! it listen on all interfaces without a key.

use super::Key;
use crate::log;
use crate::net::tls::random;
use crate::wire::json::{Object, write_string};
use crate::wire::text::{hex, sha256};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// bcrypt, which the program runs over management keys, reads no more; longer ones end it.
const KEY_BYTES_MAX: usize = 72;
/// A shorter one was not generated here.
const KEY_BYTES_MIN: usize = 24;
/// Account files are small; one that is not is no account file.
const ACCOUNT_BYTES_MAX: u64 = 256 * 1024;
/// Account files that are read when the sidecar does not run.
const ACCOUNTS_MAX: usize = 256;
/// The first line of its configuration, before the digest of the rest.
const MARK: &str = "# Written by llm-wrapper, and anew at each start of CLIProxyAPI. sha256:";

/// The data folder, as far as the sidecar is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// What its configuration depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The loopback address it binds.
    pub host: String,
    /// The port it binds.
    pub port: u16,
    /// Its own egress proxy.
    pub proxy_url: Option<Key>,
}

impl Folder {
    /// That folder; made when something is written to it.
    pub fn new(path: impl Into<PathBuf>) -> Folder {
        Folder(path.into())
    }

    /// Where its accounts are, one file each. This is what a backup must hold.
    pub fn accounts(&self) -> PathBuf {
        self.0.join("cli-proxy-api")
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.0.join("cli-proxy-api-config.yaml")
    }

    /// The folder it runs in, empty, because a `.env` there would be read.
    pub fn run(&self) -> PathBuf {
        self.0.join("cli-proxy-api-run")
    }

    fn note(&self) -> PathBuf {
        self.0.join("cli-proxy-api.pid")
    }

    /// Makes the folders, closed to others.
    pub fn make(&self) -> Result<(), String> {
        for path in [&self.0, &self.accounts(), &self.run()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|error| cannot("make the folder", path, &error))?;
        }
        for path in [&self.accounts(), &self.run()] {
            tighten(path, 0o700)?;
        }
        let env = self.run().join(".env");
        if env.exists() {
            return Err(format!(
                "{} would change the sidecar's settings: remove it",
                env.display()
            ));
        }
        Ok(())
    }

    /// The key clients of the sidecar's own port must send; made at the first start.
    pub fn api_key(&self) -> Result<Key, String> {
        kept_key(&self.0.join("cli-proxy-api-key"), "sk-")
    }

    /// The management key; made at the first start.
    pub fn management_key(&self) -> Result<Key, String> {
        kept_key(&self.0.join("cli-proxy-api-secret"), "sec-")
    }

    /// Writes the configuration, unless it is there already. One that was changed by hand is put aside and named in the log.
    pub fn write_config(&self, content: &Content, api_key: &Key) -> Result<(), String> {
        let path = self.config();
        let text = self.config_text(content, api_key)?;
        if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            return tighten(&path, 0o600);
        }
        self.rewrite_config(content, api_key)
    }

    /// The same, also when nothing changed: a running sidecar sees that it was written.
    pub fn rewrite_config(&self, content: &Content, api_key: &Key) -> Result<(), String> {
        let path = self.config();
        let text = self.config_text(content, api_key)?;
        let failed = |error: io::Error| cannot("write", &path, &error);
        match fs::read(&path) {
            Ok(old) if !old.is_empty() && !is_ours(&old) => {
                let aside = self.0.join("cli-proxy-api-config.yaml.bak");
                write_in_place(&aside, &old).map_err(failed)?;
                log::warn!(
                    "sidecar: its configuration had been changed by hand; it is generated, and the changed one was put aside",
                    file = aside.display()
                );
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot("read", &path, &error)),
        }
        write_in_place(&path, text.as_bytes()).map_err(failed)?;
        tighten(&path, 0o600)?;
        // Never let it start on anything else: a full disk or a strange file system must not open its port to everyone.
        match fs::read(&path) {
            Ok(written) if written == text.as_bytes() => Ok(()),
            _ => Err(format!(
                "{} does not hold what was written to it",
                path.display()
            )),
        }
    }

    /// What it says.
    pub fn config_text(&self, content: &Content, api_key: &Key) -> Result<String, String> {
        let accounts = std::path::absolute(self.accounts())
            .map_err(|error| cannot("find", &self.accounts(), &error))?;
        let accounts = accounts.to_str().ok_or_else(|| {
            format!(
                "the path {} is not UTF-8, which the sidecar cannot read: move the data folder",
                accounts.display()
            )
        })?;
        // It joins host and port with a colon and nothing else.
        let host = match content.host.contains(':') {
            true => format!("[{}]", content.host),
            false => content.host.clone(),
        };
        let proxy_url = content.proxy_url.as_ref().map_or("", Key::expose);
        // What each line is for: without `host` it binds all interfaces; without `api-keys` everyone may use it; without
        // `commercial-mode` every failed request leaves its prompt in a file; without `disable-cooling` one error of the
        // provider answers 503 for a minute; retries that are not written down are 0; the cloak rewrites system prompts.
        let rest = format!(
            "host: {host}\n\
             port: {port}\n\
             auth-dir: {accounts}\n\
             api-keys:\n  - {key}\n\
             remote-management:\n  allow-remote: false\n  secret-key: \"\"\n  disable-control-panel: true\n\
             debug: false\n\
             logging-to-file: false\n\
             request-log: false\n\
             commercial-mode: true\n\
             usage-statistics-enabled: false\n\
             disable-cooling: true\n\
             request-retry: 1\n\
             max-retry-credentials: 0\n\
             max-retry-interval: 5\n\
             disable-claude-cloak-mode: true\n\
             claude-code:\n  disable-cloaking-model-list: true\n\
             ws-auth: true\n\
             proxy-url: {proxy}\n",
            host = quoted(&host),
            port = content.port,
            accounts = quoted(accounts),
            key = quoted(api_key.expose()),
            proxy = quoted(proxy_url),
        );
        Ok(format!("{MARK}{}\n{rest}", hex(&sha256(rest.as_bytes()))))
    }

    /// The accounts as their files show them, for when the sidecar does not run. Tokens are not looked at.
    pub fn read_accounts(&self) -> Vec<AccountFile> {
        let Ok(entries) = fs::read_dir(self.accounts()) else {
            return Vec::new(); // not there before the first login
        };
        let mut found: Vec<AccountFile> = entries
            .flatten()
            .filter_map(|entry| self.read_account(entry.file_name().to_str()?))
            .take(ACCOUNTS_MAX)
            .collect();
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// One account's file.
    pub fn read_account(&self, name: &str) -> Option<AccountFile> {
        if name.contains('/') || name.starts_with('.') || !name.ends_with(".json") {
            return None;
        }
        let path = self.accounts().join(name);
        let meta = fs::metadata(&path).ok()?;
        if !meta.is_file() || meta.len() > ACCOUNT_BYTES_MAX {
            return None;
        }
        let bytes = fs::read(&path).ok()?;
        let object = Object::parse(&bytes).ok()?;
        let text = |key: &str| {
            let value = object.get(key).and_then(|raw| raw.as_str());
            value.map(|text| text.into_owned()).unwrap_or_default()
        };
        Some(AccountFile {
            provider: text("type"),
            email: text("email"),
            expires_at: text("expired"),
            last_refresh: text("last_refresh"),
            disabled: object.get("disabled").and_then(|raw| raw.as_bool()) == Some(true),
            name: name.to_owned(),
        })
    }

    /// Notes which process we started, and who we are.
    pub fn write_note(&self, child: u32) -> Result<(), String> {
        let line = |pid: u32| format!("{pid} {}\n", birth(pid).unwrap_or_default());
        let text = line(child) + &line(std::process::id()) + &boot_id() + "\n";
        let path = self.note();
        write_in_place(&path, text.as_bytes()).map_err(|error| cannot("write", &path, &error))
    }

    /// Forgets it: the process is gone.
    pub fn remove_note(&self) {
        let _ = fs::remove_file(self.note()); // a note of a process that is gone misleads nobody
    }

    /// What the note of an earlier gateway says, as far as it is still true.
    pub fn read_note(&self) -> Note {
        let Ok(text) = fs::read_to_string(self.note()) else {
            return Note::Nothing;
        };
        let mut lines = text.lines();
        let process = |line: Option<&str>| {
            let (pid, born) = line?.split_once(' ')?;
            let (pid, born) = (pid.parse::<u32>().ok()?, born.parse::<u64>().ok()?);
            Some(Process { pid, born })
        };
        let (child, owner) = (process(lines.next()), process(lines.next()));
        if lines.next() != Some(&boot_id()) {
            return Note::Nothing; // from before a reboot: those numbers mean other processes now
        }
        match (child.filter(|p| p.is_alive()), owner) {
            (None, _) => Note::Nothing,
            (Some(_), Some(owner)) if owner.is_alive() && owner.pid != std::process::id() => {
                Note::Owned(owner.pid)
            }
            (Some(child), _) => Note::Orphan(child),
        }
    }
}

/// What the note in the data folder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// No process of ours is left.
    Nothing,
    /// A sidecar that we or an earlier gateway started still runs, and nobody looks after it.
    Orphan(Process),
    /// It runs, and so does the gateway of that number.
    Owned(u32),
}

/// One process and no other: numbers are used again, start times are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    born: u64,
}

impl Process {
    /// Whether it is still that process, and not only a remnant that nobody has waited for.
    pub fn is_alive(self) -> bool {
        self.born != 0 && birth(self.pid) == Some(self.born)
    }
}

/// One account's file, without its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFile {
    /// The file's name.
    pub name: String,
    /// `claude`, `codex`, …
    pub provider: String,
    /// Whose account it is.
    pub email: String,
    /// When its access token ends, RFC 3339.
    pub expires_at: String,
    /// When it was last renewed, RFC 3339.
    pub last_refresh: String,
    /// Whether it is switched off.
    pub disabled: bool,
}

/// When the process of that number was started, in clock ticks since boot (proc(5), field 22); None: there is none, or it
/// has ended and only waits to be reaped.
fn birth(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?; // the name may hold anything
    let mut fields = after_name.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}

/// A JSON string is a YAML one too.
fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default() // it was text before it was quoted
}

fn is_ours(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(MARK.as_bytes()) else {
        return false;
    };
    let Some(end) = rest.iter().position(|&b| b == b'\n') else {
        return false;
    };
    rest[..end] == *hex(&sha256(&rest[end + 1..])).as_bytes()
}

/// Replaces what a file holds so that it is never empty and never half old: one write, padded with empty lines to the old
/// length, and only then cut.
fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let old_len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().max(old_len.min(1024 * 1024)), b'\n');
    file.rewind()?;
    file.write_all(&padded)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

fn tighten(path: &Path, mode: u32) -> Result<(), String> {
    let is = fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777);
    match is {
        Ok(now) if now == mode => Ok(()),
        Ok(_) => fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(error) => Err(error),
    }
    .map_err(|error| cannot("close to others", path, &error))
}

/// The key that file holds. A missing, empty or strange one is replaced: both sides learn the new one at the next start.
fn kept_key(path: &Path, prefix: &str) -> Result<Key, String> {
    let mut text = String::new();
    match fs::File::open(path) {
        Ok(file) => {
            // What is not text is no key, and is replaced below.
            let read = file.take(1024).read_to_string(&mut text);
            if read.is_err() {
                text.clear();
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(cannot("read", path, &error)),
    }
    let kept = text.trim();
    let sound = (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&kept.len())
        && kept.bytes().all(|b| b.is_ascii_graphic());
    if sound {
        tighten(path, 0o600)?;
        return Ok(Key::new(kept));
    }
    let made = format!("{prefix}{}", hex(&random::<24>()));
    write_in_place(path, made.as_bytes()).map_err(|error| cannot("write", path, &error))?;
    tighten(path, 0o600)?;
    Ok(Key::new(made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A data folder of its own, removed when dropped.
    struct Home(Folder);

    impl Home {
        fn new() -> Home {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "llm-wrapper-sidecar-{}-{}",
                std::process::id(),
                NUMBER.fetch_add(1, Ordering::Relaxed)
            );
            let home = Home(Folder::new(std::env::temp_dir().join(name)));
            home.0.make().unwrap();
            home
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.0);
        }
    }

    fn content(proxy: Option<&str>) -> Content {
        Content {
            host: "127.0.0.1".into(),
            port: 8317,
            proxy_url: proxy.map(Key::new),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn keys_are_made_once_kept_closed_and_made_anew_when_lost() {
        let home = Home::new();
        let first = home.0.management_key().unwrap();
        assert!(first.expose().len() <= KEY_BYTES_MAX && first.expose().len() > 40);
        let path = home.0.0.join("cli-proxy-api-secret");
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(home.0.management_key().unwrap(), first);
        assert_eq!(mode(&path), 0o600);
        assert_ne!(home.0.api_key().unwrap(), first);
        for strange in ["", "short", "two words that are long enough", "\u{e9}"] {
            fs::write(&path, strange).unwrap();
            let made = home.0.management_key().unwrap();
            assert!(made.expose().starts_with("sec-") && made != first);
            assert_eq!(fs::read_to_string(&path).unwrap(), made.expose());
        }
        fs::remove_file(&path).unwrap();
        assert_ne!(home.0.management_key().unwrap(), first);
    }

    #[test]
    fn the_configuration_is_closed_complete_and_changed_in_place() {
        let home = Home::new();
        let key = home.0.api_key().unwrap();
        home.0.write_config(&content(None), &key).unwrap();
        let path = home.0.config();
        let (inode, first) = (fs::metadata(&path).unwrap().ino(), fs::read(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
        let text = String::from_utf8(first.clone()).unwrap();
        for line in [
            "host: \"127.0.0.1\"",
            "port: 8317",
            "  disable-control-panel: true",
            "commercial-mode: true",
            "disable-cooling: true",
            "disable-claude-cloak-mode: true",
            "request-retry: 1",
            "proxy-url: \"\"",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in {text}");
        }
        assert!(text.contains(&format!("  - \"{}\"\n", key.expose())));
        assert!(is_ours(&first));

        let long = "http://user:word@proxy.example:8080";
        home.0.write_config(&content(Some(long)), &key).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains(long));
        home.0.write_config(&content(None), &key).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first, "cut to its length");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert!(!home.0.0.join("cli-proxy-api-config.yaml.bak").exists());
    }

    #[test]
    fn a_configuration_changed_by_hand_is_put_aside() {
        let home = Home::new();
        let key = home.0.api_key().unwrap();
        home.0.write_config(&content(None), &key).unwrap();
        let path = home.0.config();
        let ours = fs::read(&path).unwrap();
        let theirs = [&ours[..], b"debug: true\n"].concat();
        fs::write(&path, &theirs).unwrap();
        home.0.write_config(&content(None), &key).unwrap();
        assert_eq!(fs::read(&path).unwrap(), ours);
        let aside = home.0.0.join("cli-proxy-api-config.yaml.bak");
        assert_eq!(fs::read(&aside).unwrap(), theirs);
        assert_eq!(mode(&aside), 0o600);
    }

    #[test]
    fn the_accounts_folder_is_closed_and_a_dot_env_is_refused() {
        let home = Home::new();
        assert_eq!(mode(&home.0.accounts()), 0o700);
        fs::set_permissions(home.0.accounts(), Permissions::from_mode(0o755)).unwrap();
        home.0.make().unwrap();
        assert_eq!(mode(&home.0.accounts()), 0o700);
        fs::write(home.0.run().join(".env"), "DEPLOY=cloud").unwrap();
        assert!(home.0.make().unwrap_err().contains(".env"));
    }

    #[test]
    fn a_note_is_believed_only_for_the_very_same_process() {
        let home = Home::new();
        assert_eq!(home.0.read_note(), Note::Nothing);
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        home.0.write_note(child.id()).unwrap();
        let Note::Orphan(process) = home.0.read_note() else {
            panic!("{:?}", home.0.read_note());
        };
        assert_eq!(process.pid, child.id());
        let text = fs::read_to_string(home.0.note()).unwrap();
        let other_birth = text.replacen(&format!(" {}\n", process.born), " 1\n", 1);
        fs::write(home.0.note(), other_birth).unwrap();
        assert_eq!(
            home.0.read_note(),
            Note::Nothing,
            "the number was used again"
        );
        let other_boot = text.replace(&boot_id(), "another");
        fs::write(home.0.note(), other_boot).unwrap();
        assert_eq!(home.0.read_note(), Note::Nothing);
        // Another living owner.
        let owner = format!(
            "{0} {1}\n{2} {3}\n{4}\n",
            process.pid,
            process.born,
            1,
            birth(1).unwrap(),
            boot_id()
        );
        fs::write(home.0.note(), owner).unwrap();
        assert_eq!(home.0.read_note(), Note::Owned(1));
        fs::write(home.0.note(), &text).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(home.0.read_note(), Note::Nothing);
        for junk in ["", "x", "1", "1 2\n", "\u{0}", "99999999999 1\n2 3\n"] {
            fs::write(home.0.note(), junk).unwrap();
            assert_eq!(home.0.read_note(), Note::Nothing, "{junk:?}");
        }
    }

    #[test]
    fn account_files_are_read_without_their_tokens_and_junk_is_skipped() {
        let home = Home::new();
        let write = |name: &str, text: &str| fs::write(home.0.accounts().join(name), text).unwrap();
        write(
            "claude-a@b.c.json",
            r#"{"type":"claude","email":"a@b.c","expired":"2026-11-25T10:00:00Z","last_refresh":"x","access_token":"secret","disabled":true}"#,
        );
        write("codex-x.json", r#"{"type":"codex","email":"c@d.e"}"#);
        write(".oauth-codex-1.oauth", "{}");
        write("broken.json", "{");
        write("empty.json", "");
        let found = home.0.read_accounts();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].email, "a@b.c");
        assert_eq!(found[0].expires_at, "2026-11-25T10:00:00Z");
        assert!(found[0].disabled && !found[1].disabled);
        assert!(!format!("{found:?}").contains("secret"));
        assert_eq!(home.0.read_account("../cli-proxy-api-key"), None);
    }
}
