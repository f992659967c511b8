//! Account files: the folder is the truth, a little memory beside it is lost at a restart.

use crate::World;
use llm_wrapper::wire::text::{hex, sha256};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is known of accounts only until the end of the process.
#[derive(Default)]
pub struct Memory {
    pub last_refresh: HashMap<String, String>,
    /// A codex login of 7.2.140 lists neither label nor status until its file changes again.
    pub fresh: HashMap<String, SystemTime>,
    /// Status and message after failures of the provider.
    pub trouble: HashMap<String, String>,
}

pub struct Account {
    pub name: String,
    pub path: PathBuf,
    pub object: serde_json::Map<String, Value>,
}

impl Account {
    pub fn text(&self, key: &str) -> String {
        self.object
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    pub fn is_disabled(&self) -> bool {
        self.object.get("disabled") == Some(&Value::Bool(true))
    }

    pub fn index(&self) -> String {
        let id = format!("{}:{}", self.text("type"), self.path.display());
        hex(&sha256(id.as_bytes())[..8])
    }
}

pub fn folder(world: &World) -> PathBuf {
    world.config.lock().expect("the config").auth_dir.clone()
}

pub fn read(path: &Path) -> Option<Account> {
    let text = std::fs::read_to_string(path).ok()?;
    let Ok(Value::Object(object)) = serde_json::from_str(&text) else {
        return None; // broken or empty: skipped silently
    };
    Some(Account {
        name: path.file_name()?.to_str()?.to_owned(),
        path: path.to_owned(),
        object,
    })
}

pub fn read_all(world: &World) -> Vec<Account> {
    let mut all: Vec<Account> = std::fs::read_dir(folder(world))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|ext| ext == "json"))
        .filter_map(|entry| read(&entry.path()))
        .collect();
    all.sort_by_key(|account| account.name.to_lowercase());
    all
}

pub fn now_text() -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    stamp(now.as_secs(), now.subsec_nanos())
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// So many hours from now.
pub fn in_hours(hours: u64) -> String {
    llm_wrapper::wire::text::rfc3339(now_s() + hours * 3600)
}

fn stamp(seconds: u64, nanos: u32) -> String {
    let text = llm_wrapper::wire::text::rfc3339(seconds);
    format!("{}.{nanos:09}Z", text.trim_end_matches('Z'))
}

fn modified(path: &Path) -> SystemTime {
    let meta = std::fs::metadata(path).and_then(|meta| meta.modified());
    meta.unwrap_or(SystemTime::UNIX_EPOCH)
}

pub fn entry(world: &World, account: &Account) -> Value {
    let memory = world.memory.lock().expect("the memory");
    let changed = modified(&account.path);
    let since = changed
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let changed_text = stamp(since.as_secs(), since.subsec_nanos());
    let kind = account.text("type");
    let kind = if kind.is_empty() {
        "unknown".to_owned()
    } else {
        kind
    };
    let fresh = memory.fresh.get(&account.name) == Some(&changed);
    let trouble = memory.trouble.get(&account.name);
    let status = match (account.is_disabled(), trouble) {
        (true, _) => "disabled",
        (false, Some(_)) => "error",
        (false, None) if fresh => "",
        (false, None) => "active",
    };
    let mut entry = json!({
        "id": account.name, "auth_index": account.index(), "name": account.name, "type": kind, "provider": kind,
        "label": if fresh { String::new() } else { account.text("email") }, "status": status,
        "status_message": trouble.cloned().unwrap_or_default(), "disabled": account.is_disabled(),
        "unavailable": trouble.is_some(), "runtime_only": false, "source": "file",
        "size": std::fs::metadata(&account.path).map_or(0, |meta| meta.len()), "success": 0, "failed": 0,
        "recent_requests": (0..20).map(|n| json!({"time": format!("{n:02}:00-{n:02}:10"), "success": 0, "failed": 0})).collect::<Vec<_>>(),
        "email": account.text("email"), "account_type": "oauth", "account": account.text("email"),
        "modtime": changed_text, "updated_at": changed_text, "path": account.path,
    });
    if let Some(at) = memory.last_refresh.get(&account.name) {
        entry["last_refresh"] = json!(at);
    }
    if kind == "codex" && !fresh {
        entry["id_token"] =
            json!({"chatgpt_account_id": account.text("account_id"), "plan_type": "plus"});
    }
    entry
}

/// Writes the file of a finished login. What an earlier login left beside the known fields stays.
pub fn save_login(world: &World, provider: &str, email: &str) -> Result<(), String> {
    let account_id = format!("acc-{email}");
    let (kind, name) = match provider {
        "anthropic" => ("claude", format!("claude-{email}.json")),
        "codex" if world.at_least(7, 1, 0) => {
            let short = hex(&sha256(account_id.as_bytes())[..4]);
            ("codex", format!("codex-{short}-{email}-plus.json"))
        }
        "codex" => ("codex", format!("codex-{email}-plus.json")),
        other => (other, format!("{other}-{email}.json")),
    };
    let path = folder(world).join(&name);
    let mut object = read(&path).map(|old| old.object).unwrap_or_default();
    let claims = llm_wrapper::wire::text::base64url(
        json!({"https://api.openai.com/auth": {"chatgpt_account_id": account_id, "chatgpt_plan_type": "plus"}}).to_string().as_bytes(),
    );
    for (key, value) in [
        ("id_token", json!(format!("e30.{claims}.e30"))),
        ("access_token", json!(format!("access-{email}-{}", now_s()))),
        ("refresh_token", json!(format!("refresh-{email}"))),
        ("last_refresh", json!(now_text())),
        ("email", json!(email)),
        ("type", json!(kind)),
        ("expired", json!(in_hours(8))),
        ("disabled", json!(false)),
    ] {
        object.insert(key.into(), value);
    }
    if kind == "codex" {
        object.insert("account_id".into(), json!(account_id));
    }
    let known = path.exists();
    std::fs::write(&path, Value::Object(object).to_string()).map_err(|error| error.to_string())?;
    let mut memory = world.memory.lock().expect("the memory");
    if !known {
        memory.last_refresh.insert(name.clone(), now_text()); // a second login does not move it
    }
    if kind == "codex" && world.at_least(7, 2, 140) {
        memory.fresh.insert(name, modified(&path));
    }
    crate::journal::plain(&format!("Saving credentials to {}", path.display()));
    Ok(())
}
