//! Logins: sessions in memory, a worker each that waits for a file, and a provider that FAKE_OAUTH scripts:
//! ok, exchange_fail, provider_error, slow (2 s), or timeout (its clock runs out after a second).
//! The account is named after the code: `alice` becomes alice@example.com.

use crate::http::{Request, Response};
use crate::{World, accounts, knob};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub struct Session {
    provider: String,
    started: Instant,
    error: Option<String>,
    completed: Option<Instant>,
}

#[derive(Default)]
pub struct Sessions {
    by_state: HashMap<String, Session>,
    /// Which session has the forwarder of a port; taken away, it closes.
    forwarders: HashMap<u16, String>,
}

const PROVIDERS: [(&str, &str, u16, &str); 3] = [
    ("anthropic", "anthropic", 54545, "callback"),
    ("codex", "codex", 1455, "auth/callback"),
    ("antigravity", "antigravity", 51121, "oauth-callback"),
];

fn failed(status: u16, text: &str) -> Response {
    Response::json(status, &json!({"status": "error", "error": text}))
}

fn valid(state: &str) -> bool {
    (1..=128).contains(&state.len())
        && !state.contains("..")
        && state
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn canonical(name: &str) -> &str {
    match name {
        "claude" => "anthropic",
        "openai" => "codex",
        "anti-gravity" => "antigravity",
        "grok" | "x-ai" | "x.ai" => "xai",
        other => other,
    }
}

pub fn start(world: &Arc<World>, name: &str, request: &Request) -> Response {
    match name {
        "xai" if world.at_least(7, 1, 0) => {
            return Response::json(
                500,
                &json!({"error": "failed to start device authorization flow"}),
            );
        }
        "kimi" => {
            return Response::json(
                500,
                &json!({"error": "failed to generate authorization url"}),
            );
        }
        _ => {}
    }
    let Some((_, provider, port, path)) = PROVIDERS.into_iter().find(|(route, ..)| *route == name)
    else {
        return Response::empty(404);
    };
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seed = format!(
        "{}:{}:{}",
        std::process::id(),
        now.as_nanos(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    );
    let state =
        llm_wrapper::wire::text::hex(&llm_wrapper::wire::text::sha256(seed.as_bytes())[..16]);
    if matches!(request.query("is_webui"), Some("1" | "true" | "yes" | "on"))
        && !forward(world, provider, port, &state)
    {
        return Response::json(500, &json!({"error": "failed to start callback server"}));
    }
    let page = knob("FAKE_PROVIDER_PAGE").unwrap_or(match provider {
        "anthropic" => "https://claude.ai/oauth/authorize".into(),
        "codex" => "https://auth.openai.com/oauth/authorize".into(),
        _ => "https://accounts.google.com/o/oauth2/v2/auth".into(),
    });
    let redirect = format!(
        "http%3A%2F%2Flocalhost%3A{port}%2F{}",
        path.replace('/', "%2F")
    );
    let url = match provider {
        "codex" => format!(
            "{page}?client_id=fake&code_challenge=c&code_challenge_method=S256&codex_cli_simplified_flow=true&id_token_add_organizations=true&prompt=login&redirect_uri={redirect}&response_type=code&scope=openid&state={state}"
        ),
        _ => format!(
            "{page}?client_id=fake&code=true&code_challenge=c&code_challenge_method=S256&redirect_uri={redirect}&response_type=code&scope=user%3Aprofile&state={state}"
        ),
    };
    let session = Session {
        provider: provider.to_owned(),
        started: Instant::now(),
        error: None,
        completed: None,
    };
    world
        .sessions
        .lock()
        .expect("the sessions")
        .by_state
        .insert(state.clone(), session);
    crate::journal::plain(&format!("Initializing {provider} authentication..."));
    let worker = world.clone();
    let of = state.clone();
    std::thread::spawn(move || work(&worker, provider, &of));
    Response::json(200, &json!({"status": "ok", "url": url, "state": state}))
}

/// Answers on the port the browser ends on, and sends it on to our own.
fn forward(world: &Arc<World>, provider: &'static str, port: u16, state: &str) -> bool {
    let replaces = world
        .sessions
        .lock()
        .expect("the sessions")
        .forwarders
        .remove(&port)
        .is_some();
    let since = Instant::now();
    let listener = loop {
        match TcpListener::bind(("0.0.0.0", port)) {
            Ok(listener) => break listener,
            Err(_) if replaces && since.elapsed() < Duration::from_secs(2) => {
                std::thread::sleep(Duration::from_millis(20))
            }
            Err(_) => return false,
        }
    };
    world
        .sessions
        .lock()
        .expect("the sessions")
        .forwarders
        .insert(port, state.to_owned());
    listener.set_nonblocking(true).expect("a listener");
    let (world, state) = (world.clone(), state.to_owned());
    std::thread::spawn(move || {
        let is_mine = || {
            let sessions = world.sessions.lock().expect("the sessions");
            sessions.forwarders.get(&port) == Some(&state)
                && sessions
                    .by_state
                    .get(&state)
                    .is_some_and(|session| session.completed.is_none() && session.error.is_none())
        };
        while is_mine() {
            let Ok((stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            let _ = stream.set_nonblocking(false);
            let mut line = String::new();
            let mut reader = BufReader::new(&stream);
            let _ = reader.read_line(&mut line);
            let mut rest = String::new();
            while reader.read_line(&mut rest).is_ok_and(|read| read > 2) {
                rest.clear();
            }
            let target = line.split(' ').nth(1).unwrap_or_default();
            let query = target.split_once('?').map_or("", |(_, query)| query);
            let ours = world.config.lock().expect("the config").port;
            let answer = format!(
                "HTTP/1.1 302 Found\r\nCache-Control: no-store\r\nLocation: http://127.0.0.1:{ours}/{provider}/callback?{query}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    true
}

fn file(world: &World, provider: &str, state: &str) -> PathBuf {
    accounts::folder(world).join(format!(".oauth-{provider}-{state}.oauth"))
}

fn write(world: &World, provider: &str, state: &str, code: &str, error: &str) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    let path = file(world, provider, state);
    let whole = path.with_extension("part"); // its worker must not read a half of it
    let mut options = std::fs::OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&whole);
    let text = json!({"code": code, "state": state, "error": error}).to_string();
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&whole, &path))
        .is_ok()
}

fn end(world: &World, state: &str, error: Option<String>) {
    let mut sessions = world.sessions.lock().expect("the sessions");
    if let Some(session) = sessions.by_state.get_mut(state) {
        match error {
            None => session.completed = Some(Instant::now()),
            Some(text) => session.error = Some(text),
        }
    }
}

fn is_known(world: &World, state: &str) -> bool {
    world
        .sessions
        .lock()
        .expect("the sessions")
        .by_state
        .contains_key(state)
}

fn work(world: &World, provider: &str, state: &str) {
    let mode = knob("FAKE_OAUTH").unwrap_or("ok".into());
    let limit = if mode == "timeout" {
        Duration::from_secs(1)
    } else {
        Duration::from_secs(300)
    };
    let (path, since) = (file(world, provider, state), Instant::now());
    let found: Value = loop {
        if !is_known(world, state) {
            let _ = std::fs::remove_file(&path);
            return; // cancelled
        }
        if let Ok(text) = std::fs::read_to_string(&path) {
            let _ = std::fs::remove_file(&path);
            break serde_json::from_str(&text).unwrap_or(Value::Null);
        }
        if since.elapsed() >= limit {
            return end(
                world,
                state,
                Some("Timeout waiting for OAuth callback".into()),
            );
        }
        std::thread::sleep(Duration::from_millis(500));
    };
    let refused =
        !found["error"].as_str().unwrap_or_default().is_empty() || mode == "provider_error";
    if refused {
        let text = if provider == "anthropic" {
            "Bad request"
        } else {
            "Bad Request"
        };
        return end(world, state, Some(text.into()));
    }
    if mode == "exchange_fail" {
        let text = "Failed to exchange authorization code for tokens";
        let cause = ": token exchange failed with status 400: {\"error\":\"invalid_grant\"}";
        return end(
            world,
            state,
            Some(if provider == "codex" {
                format!("{text}{cause}")
            } else {
                text.into()
            }),
        );
    }
    if mode == "slow" {
        std::thread::sleep(Duration::from_secs(2));
    }
    if !is_known(world, state) {
        return; // cancelled while the exchange was under way
    }
    let code = found["code"].as_str().unwrap_or_default();
    let code = code.split('#').next().unwrap_or_default();
    let email = format!("{code}@example.com");
    match accounts::save_login(world, provider, &email) {
        Ok(()) => end(world, state, None),
        Err(_) => end(
            world,
            state,
            Some("Failed to save authentication tokens".into()),
        ),
    }
}

/// A browser came to our own port. Always the same page; noted only for a session that waits.
pub fn landed(world: &World, provider: &str, request: &Request) -> Response {
    let state = request.query("state").unwrap_or_default();
    let waits = {
        let sessions = world.sessions.lock().expect("the sessions");
        sessions.by_state.get(state).is_some_and(|session| {
            session.provider == provider && session.completed.is_none() && session.error.is_none()
        })
    };
    if waits {
        write(
            world,
            provider,
            state,
            request.query("code").unwrap_or_default(),
            request.query("error").unwrap_or_default(),
        );
    }
    Response::text(
        200,
        "text/html; charset=utf-8",
        "<html><head><title>Authentication successful</title></head><body>You can close this window.</body></html>",
    )
}

pub fn submitted(world: &World, request: &Request) -> Response {
    let fields: HashMap<String, String> = match request.method.as_str() {
        "GET" => request.query.iter().cloned().collect(),
        "POST" => match request.json() {
            Some(Value::Object(body)) => body
                .into_iter()
                .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())))
                .collect(),
            _ => return failed(400, "invalid body"),
        },
        _ => return Response::empty(404),
    };
    let redirect = fields.get("redirect_url").cloned().unwrap_or_default();
    if redirect.contains([' ', '\u{7f}']) || redirect.starts_with(':') {
        return failed(400, "invalid redirect_url");
    }
    let query = redirect
        .split('#')
        .next()
        .unwrap_or_default()
        .split_once('?')
        .map_or("", |(_, query)| query);
    let from_url: HashMap<String, String> = crate::http::parse_query(query).into_iter().collect();
    let field = |name: &str| {
        fields
            .get(name)
            .filter(|value| !value.is_empty())
            .or(from_url.get(name))
            .cloned()
            .unwrap_or_default()
    };
    let (state, code, error) = (field("state"), field("code"), field("error"));
    let provider = fields.get("provider").cloned().unwrap_or_default();
    if provider.is_empty() && !world.at_least(7, 2, 0) {
        return failed(400, "provider is required");
    }
    if state.is_empty() {
        return failed(400, "state is required");
    }
    if !valid(&state) {
        return failed(400, "invalid state");
    }
    if code.is_empty() && error.is_empty() {
        return failed(400, "code or error is required");
    }
    let of = {
        let sessions = world.sessions.lock().expect("the sessions");
        let Some(session) = sessions.by_state.get(&state) else {
            return failed(404, "unknown or expired state");
        };
        if session.completed.is_some() && world.at_least(7, 2, 62) {
            return failed(409, "oauth flow is already completed");
        }
        if let Some(text) = &session.error {
            return failed(409, text);
        }
        session.provider.clone()
    };
    if !provider.is_empty() && canonical(&provider) != of {
        return failed(400, "provider does not match state");
    }
    match write(world, &of, &state, &code, &error) {
        true => Response::json(200, &json!({"status": "ok"})),
        false => failed(500, "failed to persist oauth callback"),
    }
}

pub fn status(world: &World, request: &Request) -> Response {
    let state = request.query("state").unwrap_or_default();
    if state.is_empty() {
        return Response::json(200, &json!({"status": "ok"}));
    }
    if !valid(state) {
        return failed(400, "invalid state");
    }
    let lives = if world.at_least(7, 2, 62) { 30 } else { 10 };
    let mut sessions = world.sessions.lock().expect("the sessions");
    sessions.by_state.retain(|_, session| {
        session.started.elapsed() < Duration::from_secs(lives * 60)
            && session
                .completed
                .is_none_or(|at| at.elapsed() < Duration::from_secs(60))
    });
    match sessions.by_state.get(state) {
        None if world.at_least(7, 2, 62) => Response::json(
            200,
            &json!({"status": "error", "error": "unknown or expired state"}),
        ),
        None => Response::json(200, &json!({"status": "ok"})),
        Some(session) => match (&session.error, session.completed) {
            (Some(text), _) => Response::json(200, &json!({"status": "error", "error": text})),
            (None, Some(_)) => Response::json(200, &json!({"status": "ok"})),
            (None, None) => Response::json(200, &json!({"status": "wait"})),
        },
    }
}

pub fn cancel(world: &World, request: &Request) -> Response {
    let state = request.query("state").unwrap_or_default();
    if state.is_empty() {
        return failed(400, "missing state");
    }
    if !valid(state) {
        return failed(400, "invalid state");
    }
    let cancelled = world
        .sessions
        .lock()
        .expect("the sessions")
        .by_state
        .remove(state)
        .is_some();
    Response::json(200, &json!({"status": "ok", "cancelled": cancelled}))
}
