//! Its configuration: read, hashed, watched by the inode it had.

use crate::{World, journal};
use serde_yaml::Value;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[derive(Clone, Debug, Default)]
pub struct Config {
    pub host: String,
    pub port: u16,
    pub auth_dir: PathBuf,
    pub api_keys: Vec<String>,
    pub secret: String,
    pub allow_remote: bool,
    pub proxy_url: String,
    pub commercial: bool,
    pub disable_cooling: bool,
    pub plain_model_list: bool,
    pub raw: Option<Value>,
}

pub fn load(path: &Path) -> Result<Config, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    parse(&text)
}

pub fn parse(text: &str) -> Result<Config, String> {
    let value: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let at = |value: &Value, key: &str| value.get(key).cloned().unwrap_or(Value::Null);
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let flag = |value: Value| value.as_bool().unwrap_or(false);
    let management = at(&value, "remote-management");
    let auth_dir = text(at(&value, "auth-dir"));
    let auth_dir = if auth_dir.is_empty() {
        "~/.cli-proxy-api".to_owned()
    } else {
        auth_dir
    };
    let auth_dir = match auth_dir.strip_prefix("~/") {
        Some(rest) => PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(rest),
        None => std::env::current_dir().unwrap_or_default().join(auth_dir),
    };
    let keys = at(&value, "api-keys");
    let config = Config {
        host: text(at(&value, "host")),
        port: at(&value, "port").as_u64().unwrap_or(0) as u16,
        auth_dir,
        api_keys: keys
            .as_sequence()
            .into_iter()
            .flatten()
            .cloned()
            .map(text)
            .collect(),
        secret: text(at(&management, "secret-key")),
        allow_remote: flag(at(&management, "allow-remote")),
        proxy_url: text(at(&value, "proxy-url")),
        commercial: flag(at(&value, "commercial-mode")),
        disable_cooling: flag(at(&value, "disable-cooling")),
        plain_model_list: flag(at(
            &at(&value, "claude-code"),
            "disable-cloaking-model-list",
        )),
        raw: Some(value),
    };
    if config.secret.len() > 72 {
        return Err("bcrypt: password length exceeds 72 bytes".into());
    }
    Ok(config)
}

fn is_hash(secret: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|prefix| secret.starts_with(prefix))
}

/// Not bcrypt, but as opaque as it looks: 53 characters that follow from the secret.
pub fn hash(secret: &str) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut out = "$2a$10$".to_owned();
    for round in 0..53_u8 {
        for byte in secret.bytes().chain([round]) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        out.push(
            b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                [(state >> 40) as usize % 64] as char,
        );
    }
    out
}

impl Config {
    /// A plain secret is replaced by its hash, in the file too, in place.
    pub fn hash_secret(&mut self, path: &Path) -> Result<(), String> {
        if self.secret.is_empty() || is_hash(&self.secret) {
            return Ok(());
        }
        let hashed = hash(&self.secret);
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let text = text.replace(&self.secret, &hashed);
        if std::fs::write(path, text).is_err() {
            journal::warn("failed to persist hashed secret"); // it goes on with the hash in memory
        }
        self.secret = hashed;
        Ok(())
    }
}

/// Takes up in-place changes. A file renamed over it, or made anew, ends the watching for good.
pub fn watch(world: &World) -> ! {
    let stat = || {
        let meta = std::fs::metadata(&world.config_path).ok()?;
        Some((
            meta.ino(),
            meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            meta.len(),
        ))
    };
    let mut last = stat();
    let mut sees = true;
    loop {
        std::thread::sleep(Duration::from_millis(50));
        if let Some(password) = &world.password
            && !password.is_empty()
            && world.keep_alive_at.lock().expect("the time").elapsed() > Duration::from_secs(10)
        {
            journal::warn("keep-alive timeout, shutting down");
            std::process::exit(0);
        }
        let now = stat();
        if !sees || now == last {
            continue;
        }
        if now.map(|(inode, ..)| inode) != last.map(|(inode, ..)| inode) {
            sees = false;
            continue;
        }
        last = now;
        let text = std::fs::read_to_string(&world.config_path).unwrap_or_default();
        if text.trim().is_empty() {
            continue;
        }
        match parse(&text) {
            Err(why) => journal::error(&format!("failed to reload config: {why}")),
            Ok(mut new) => {
                let _ = new.hash_secret(&world.config_path);
                let mut config = world.config.lock().expect("the config");
                (new.host, new.port) = (config.host.clone(), config.port);
                *config = new;
                drop(config);
                journal::info("config successfully reloaded, triggering client reload");
                last = stat();
            }
        }
    }
}
