//! `/v0/management`: the key check with its ban, account files, settings, and calls on an account's behalf.

use crate::accounts::{self, Account};
use crate::http::{Request, Response};
use crate::{World, config, knob, oauth};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const FAILURES_MAX: u32 = 5;
const BAN: Duration = Duration::from_secs(30 * 60);

/// Failed tries per claimed address.
#[derive(Default)]
pub struct Bans(HashMap<String, (u32, Option<Instant>)>);

fn error(status: u16, text: &str) -> Response {
    Response::json(status, &json!({"error": text}))
}

fn ok() -> Response {
    Response::json(200, &json!({"status": "ok"}))
}

pub fn answer(world: &Arc<World>, request: &Request) -> Response {
    let path = request
        .path
        .strip_prefix("/v0/management")
        .unwrap_or_default();
    let open = path == "/oauth-callback" && world.at_least(7, 2, 24);
    let refused = if open {
        None
    } else {
        check_key(world, request)
    };
    let response = refused.unwrap_or_else(|| route(world, request, path));
    response
        .with("X-Cpa-Version", &format!("{}-fake", world.version))
        .with("X-Cpa-Commit", "none")
        .with("X-Cpa-Build-Date", "unknown")
        .with("X-Cpa-Support-Plugin", "0")
}

fn check_key(world: &World, request: &Request) -> Option<Response> {
    let (secret, allow_remote) = {
        let config = world.config.lock().expect("the config");
        (config.secret.clone(), config.allow_remote)
    };
    if secret.is_empty() && world.env_key.is_none() {
        return Some(match world.password {
            None => Response::empty(404),
            Some(_) => error(403, "remote management key not set"),
        });
    }
    let claimed = request
        .header("x-forwarded-for")
        .or(request.header("x-real-ip"));
    let address = claimed.unwrap_or("127.0.0.1").to_owned();
    let mut bans = world.bans.lock().expect("the bans");
    let entry = bans.0.entry(address.clone()).or_default();
    if let Some(since) = entry.1 {
        if since.elapsed() < BAN {
            return Some(error(
                403,
                "IP banned due to too many failed attempts. Try again in 29m59s",
            ));
        }
        *entry = (0, None);
    }
    let local = address == "127.0.0.1" || address == "::1";
    if !local && !allow_remote && world.env_key.is_none() {
        return Some(error(403, "remote management disabled"));
    }
    let given = match request
        .header("authorization")
        .filter(|value| !value.is_empty())
    {
        Some(value) => match value.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Some(key),
            _ => Some(value),
        },
        None => request.header("x-management-key"),
    };
    let fits = given.is_some_and(|given| {
        if Some(given) == world.env_key.as_deref() {
            return true;
        }
        if world.env_key.is_none() {
            std::thread::sleep(Duration::from_millis(60)); // bcrypt
        }
        (local && world.password.as_deref() == Some(given))
            || (!secret.is_empty() && config::hash(given) == secret)
    });
    if fits {
        *entry = (0, None);
        return None;
    }
    entry.0 += 1;
    if entry.0 >= FAILURES_MAX {
        entry.1 = Some(Instant::now());
    }
    Some(error(
        401,
        match given {
            None => "missing management key",
            Some(_) => "invalid management key",
        },
    ))
}

fn route(world: &Arc<World>, request: &Request, path: &str) -> Response {
    match (request.method.as_str(), path) {
        (method, "/oauth-callback") if method != "DELETE" => oauth::submitted(world, request),
        ("GET", "/get-auth-status") => oauth::status(world, request),
        ("DELETE", "/oauth-session") if world.at_least(7, 2, 64) => oauth::cancel(world, request),
        ("GET", "/auth-files") => list(world, request),
        ("GET", "/auth-files/models") => models(world, request),
        ("GET", "/auth-files/download") => download(world, request),
        ("POST", "/auth-files") => upload(world, request),
        ("DELETE", "/auth-files") => delete(world, request),
        ("PATCH", "/auth-files/status") => patch_status(world, request),
        ("PATCH", "/auth-files/fields") => patch_fields(world, request),
        ("POST", "/api-call") => api_call(world, request),
        ("GET", "/config.yaml") => {
            let text = std::fs::read(&world.config_path).unwrap_or_default();
            Response::text(200, "application/yaml; charset=utf-8", text)
        }
        ("PUT", "/config.yaml") => {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            match config::parse(&text) {
                Err(why) => Response::json(400, &json!({"error": "invalid_yaml", "message": why})),
                Ok(new) => match std::fs::write(&world.config_path, text) {
                    Ok(()) => {
                        // At once, also where the file is no longer watched.
                        let mut config = world.config.lock().expect("the config");
                        let (host, port) = (config.host.clone(), config.port);
                        *config = config::Config { host, port, ..new };
                        Response::json(200, &json!({"ok": true, "changed": ["config"]}))
                    }
                    Err(why) => error(500, &format!("failed to save config: {why}")),
                },
            }
        }
        ("GET", "/config") => {
            let raw = world.config.lock().expect("the config").raw.clone();
            Response::json(200, &serde_json::to_value(raw).unwrap_or(Value::Null))
        }
        ("GET", "/api-keys") => {
            let keys = world.config.lock().expect("the config").api_keys.clone();
            Response::json(200, &json!({"api-keys": keys}))
        }
        ("GET", "/proxy-url") => {
            let value = world.config.lock().expect("the config").proxy_url.clone();
            Response::json(200, &json!({"proxy-url": value}))
        }
        (
            "GET",
            "/debug"
            | "/logging-to-file"
            | "/request-log"
            | "/usage-statistics-enabled"
            | "/request-retry",
        ) => {
            let name = &path[1..];
            let raw = world.config.lock().expect("the config").raw.clone();
            let value = raw.and_then(|raw| serde_json::to_value(raw.get(name)?).ok());
            Response::json(200, &json!({name: value.unwrap_or(json!(false))}))
        }
        (
            "PUT",
            "/debug"
            | "/proxy-url"
            | "/logging-to-file"
            | "/request-log"
            | "/usage-statistics-enabled"
            | "/request-retry",
        ) => match request.json().and_then(|body| body.get("value").cloned()) {
            None => error(400, "invalid body"),
            Some(value) => {
                if let ("/proxy-url", Some(text)) = (path, value.as_str()) {
                    world.config.lock().expect("the config").proxy_url = text.to_owned();
                }
                ok()
            }
        },
        ("POST", "/reset-quota") => match request
            .json()
            .and_then(|body| body.get("auth_index").cloned())
        {
            None => error(400, "auth_index is required"),
            Some(index) => match accounts::read_all(world)
                .iter()
                .find(|account| index == account.index())
            {
                None => error(404, "auth not found"),
                Some(account) => {
                    world
                        .memory
                        .lock()
                        .expect("the memory")
                        .trouble
                        .remove(&account.name);
                    Response::json(
                        200,
                        &json!({"status": "ok", "auth_index": index, "models": []}),
                    )
                }
            },
        },
        ("GET", "/usage-queue") => Response::json(200, &json!([])),
        ("GET", "/logs") => error(400, "logging to file disabled"),
        ("GET", _) if path.ends_with("-auth-url") => {
            let name = path[1..].trim_end_matches("-auth-url");
            oauth::start(world, name, request)
        }
        _ => Response::empty(404),
    }
}

fn list(world: &World, request: &Request) -> Response {
    let filters = world.at_least(7, 2, 92);
    let files: Vec<Value> = accounts::read_all(world)
        .iter()
        .filter(|account| {
            !filters
                || request
                    .query("name")
                    .is_none_or(|name| name == account.name)
        })
        .filter(|account| {
            !filters
                || request
                    .query("auth_index")
                    .is_none_or(|index| index == account.index())
        })
        .map(|account| accounts::entry(world, account))
        .collect();
    Response::json(200, &json!({"files": files}))
}

pub fn models_of(account: &Account) -> Vec<&'static str> {
    match account.text("type").as_str() {
        "claude" => vec!["claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5"],
        "codex" => vec!["gpt-5.6", "gpt-5.6-codex", "codex-auto-review"],
        _ => vec![],
    }
}

fn models(world: &World, request: &Request) -> Response {
    let Some(name) = request.query("name") else {
        return error(400, "name is required");
    };
    let found = accounts::read_all(world)
        .into_iter()
        .find(|account| account.name == name);
    let loaded = world.loaded.load(Ordering::SeqCst);
    let models: Vec<Value> = found
        .iter()
        .filter(|account| loaded && !account.is_disabled())
        .flat_map(models_of)
        .map(|id| json!({"id": id, "display_name": id.to_uppercase(), "type": "model", "owned_by": "fake"}))
        .collect();
    Response::json(200, &json!({"models": models}))
}

fn wrong_name(name: &str) -> bool {
    name.is_empty() || name.contains(['/', '\\']) || name.contains("..")
}

fn download(world: &World, request: &Request) -> Response {
    let name = request.query("name").unwrap_or_default();
    if wrong_name(name) {
        return error(400, "invalid name");
    }
    if !name.ends_with(".json") {
        return error(400, "name must end with .json");
    }
    match std::fs::read(accounts::folder(world).join(name)) {
        Ok(text) => Response::text(200, "application/json", text),
        Err(_) => error(404, "file not found"),
    }
}

fn upload(world: &World, request: &Request) -> Response {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let name = request.query("name").unwrap_or_default();
    if wrong_name(name) {
        return error(400, "invalid name");
    }
    if !matches!(request.json(), Some(Value::Object(_))) {
        return error(500, "invalid auth file: not an object");
    }
    let path = accounts::folder(world).join(name);
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path);
    match file.and_then(|mut file| file.write_all(&request.body)) {
        Err(why) => error(500, &format!("failed to write file: {why}")),
        Ok(()) => {
            let mut memory = world.memory.lock().expect("the memory");
            memory
                .last_refresh
                .insert(name.to_owned(), accounts::now_text());
            ok()
        }
    }
}

fn delete(world: &World, request: &Request) -> Response {
    let folder = accounts::folder(world);
    if matches!(request.query("all"), Some("1" | "true" | "*")) {
        let all = accounts::read_all(world);
        for account in &all {
            let _ = std::fs::remove_file(&account.path);
        }
        return Response::json(200, &json!({"status": "ok", "deleted": all.len()}));
    }
    let mut names: Vec<String> = request
        .query
        .iter()
        .filter(|(key, _)| key == "name")
        .map(|(_, value)| value.clone())
        .collect();
    match request.json() {
        Some(Value::Array(items)) => {
            names.extend(items.iter().filter_map(Value::as_str).map(str::to_owned))
        }
        Some(body) => {
            names.extend(body["name"].as_str().map(str::to_owned));
            names.extend(
                body["names"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned),
            );
        }
        None => {}
    }
    if names.is_empty() || names.iter().any(|name| wrong_name(name)) {
        return error(400, "invalid name");
    }
    let gone: Vec<&String> = names
        .iter()
        .filter(|name| std::fs::remove_file(folder.join(name)).is_ok())
        .collect();
    match (names.len(), gone.len()) {
        (1, 0) => error(404, "auth file not found"),
        (1, _) => ok(),
        (all, deleted) => Response::json(
            if all == deleted { 200 } else { 207 },
            &json!({"status": if all == deleted { "ok" } else { "partial" }, "deleted": deleted, "files": gone}),
        ),
    }
}

fn change(
    world: &World,
    name: &str,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> bool {
    let path = accounts::folder(world).join(name);
    let Some(mut account) = accounts::read(&path) else {
        return false;
    };
    change(&mut account.object);
    let written = std::fs::write(&path, Value::Object(account.object).to_string()).is_ok();
    let mut memory = world.memory.lock().expect("the memory");
    memory.last_refresh.remove(name);
    memory.fresh.remove(name);
    written
}

fn patch_status(world: &World, request: &Request) -> Response {
    let Some(body) = request.json() else {
        return error(400, "invalid request body");
    };
    let Some(name) = body["name"].as_str().filter(|name| !name.is_empty()) else {
        return error(400, "name is required");
    };
    let Some(disabled) = body["disabled"].as_bool() else {
        return error(400, "disabled is required");
    };
    let changed = change(world, name, |object| {
        object.insert("disabled".into(), json!(disabled));
    });
    match changed {
        false => error(404, "auth file not found"),
        true => Response::json(200, &json!({"status": "ok", "disabled": disabled})),
    }
}

fn patch_fields(world: &World, request: &Request) -> Response {
    let Some(Value::Object(mut body)) = request.json() else {
        return error(400, "invalid request body");
    };
    let Some(Value::String(name)) = body.remove("name") else {
        return error(400, "name is required");
    };
    if body.is_empty() {
        return error(400, "no fields to update");
    }
    match change(world, &name, |object| object.extend(body)) {
        true => ok(),
        false => error(404, "auth file not found"),
    }
}

/// Asks a provider, that is itself, on an account's behalf. FAKE_QUOTA: ok, 401, 429, 500, html, offline or slow (a second).
fn api_call(world: &World, request: &Request) -> Response {
    let Some(Value::Object(body)) = request.json() else {
        return error(400, "invalid body");
    };
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("method").is_empty() {
        return error(400, "missing method");
    }
    if text("url").is_empty() {
        return error(400, "missing url");
    }
    if !text("url").starts_with("http") {
        return error(400, "invalid url");
    }
    let known = accounts::read_all(world)
        .into_iter()
        .find(|account| account.index() == text("auth_index"));
    let authorization = body
        .get("header")
        .and_then(|header| header.get("Authorization"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    // Without a known account the literal text travels.
    let sent = match &known {
        Some(account) => authorization.replace("$TOKEN$", &account.text("access_token")),
        None => authorization.to_owned(),
    };
    let mode = knob("FAKE_QUOTA").unwrap_or("ok".into());
    if mode == "slow" {
        std::thread::sleep(Duration::from_secs(1));
    }
    let (status, answer) = match mode.as_str() {
        "offline" => return error(502, "request failed"),
        "html" => (200, "<html>busy</html>".to_owned()),
        "ok" | "slow" if sent.contains("$TOKEN$") || sent == "Bearer " => (401, json!({"error": "bad token"}).to_string()),
        "ok" | "slow" => match text("url") {
            "https://api.anthropic.com/api/oauth/usage" => (
                200,
                json!({"five_hour": {"utilization": 12.5, "resets_at": accounts::in_hours(3)}, "seven_day": {"utilization": 80.0, "resets_at": accounts::in_hours(4 * 24)}, "seven_day_sonnet": null, "seven_day_opus": {"utilization": 0.0, "resets_at": null}}).to_string(),
            ),
            "https://chatgpt.com/backend-api/wham/usage" => (
                200,
                json!({"plan_type": "plus", "rate_limit": {"allowed": true, "limit_reached": false, "primary_window": {"used_percent": 20, "limit_window_seconds": 18000, "reset_at": accounts::now_s() + 2 * 3600}, "secondary_window": {"used_percent": 100, "limit_window_seconds": 604800, "reset_after_seconds": 3600}}}).to_string(),
            ),
            _ => (404, String::new()),
        },
        status => (status.parse().expect("a status"), json!({"error": {"message": "told to"}}).to_string()),
    };
    Response::json(
        200,
        &json!({"status_code": status, "header": {"Content-Type": ["application/json"]}, "body": answer}),
    )
}
