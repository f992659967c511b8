//! A stand-in for CLIProxyAPI 7.x as a program: its flags, files, log, signals, ports and HTTP surface, naive and on plain
//! threads, so that the supervisor under test meets a process and not a mock. What it does differently on purpose: SIGPIPE
//! is exit 141, the provider is itself (see `oauth.rs`), and no login mode.
//!
//! Knobs, all from the environment: FAKE_VERSION, FAKE_START_DELAY_MS, FAKE_LOAD_DELAY_MS, FAKE_CRASH_AFTER_MS,
//! FAKE_DRIP_MS, FAKE_EXIT_CODE, FAKE_HANG_HEALTH, FAKE_IGNORE_SIGTERM, FAKE_LOG_FLOOD, FAKE_OAUTH, FAKE_QUOTA, FAKE_RECORD,
//! FAKE_PROVIDER_PAGE.

mod accounts;
mod config;
mod data;
mod http;
mod journal;
mod management;
mod oauth;

use config::Config;
use std::collections::HashMap;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) struct World {
    pub(crate) version: String,
    pub(crate) config_path: PathBuf,
    pub(crate) config: Mutex<Config>,
    /// The management key of the environment.
    pub(crate) env_key: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) keep_alive_at: Mutex<Instant>,
    /// Accounts count for models from now on.
    pub(crate) loaded: AtomicBool,
    /// The listener is closed.
    pub(crate) ending: AtomicBool,
    pub(crate) in_flight: AtomicU64,
    /// Connections that wait for a request; the end closes them at once.
    pub(crate) idle: Mutex<HashMap<u64, TcpStream>>,
    pub(crate) bans: Mutex<management::Bans>,
    pub(crate) sessions: Mutex<oauth::Sessions>,
    pub(crate) memory: Mutex<accounts::Memory>,
}

impl World {
    pub(crate) fn at_least(&self, major: u32, minor: u32, patch: u32) -> bool {
        let mut parts = self
            .version
            .split(['.', '-'])
            .map(|part| part.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        (next(), next(), next()) >= (major, minor, patch)
    }
}

pub(crate) fn knob(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn knob_ms(name: &str) -> Option<Duration> {
    Some(Duration::from_millis(
        knob(name)?.parse().expect("a number of milliseconds"),
    ))
}

/// Appends one JSON line to FAKE_RECORD.
pub(crate) fn record(line: serde_json::Value) {
    use std::io::Write;
    let Some(path) = knob("FAKE_RECORD") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    let _ = file
        .expect("the record")
        .write_all(format!("{line}\n").as_bytes());
}

struct Flags {
    config: PathBuf,
    password: Option<String>,
}

/// Go's flags: one dash or two, `-flag=value` or `-flag value`.
fn flags() -> Flags {
    let usage =
        "Usage of CLIProxyAPI\n  -config string\n  -local-model\n  -no-browser\n  -password string";
    let mut flags = Flags {
        config: "config.yaml".into(),
        password: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let name = arg
            .strip_prefix("--")
            .or(arg.strip_prefix('-'))
            .unwrap_or(&arg);
        let (name, inline) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        let mut value = || inline.clone().or_else(|| args.next()).unwrap_or_default();
        match name {
            "config" => flags.config = value().into(),
            "password" => flags.password = Some(value()),
            "local-model" | "no-browser" => {}
            "help" | "h" => {
                eprintln!("{usage}");
                std::process::exit(0);
            }
            _ => {
                eprintln!("flag provided but not defined: -{name}\n{usage}");
                std::process::exit(2);
            }
        }
    }
    flags
}

fn main() {
    let version = knob("FAKE_VERSION").unwrap_or("7.2.91".into());
    let banner = format!("CLIProxyAPI Version: {version}-fake, Commit: none, BuiltAt: unknown");
    journal::plain(&banner);
    let flags = flags();
    journal::info(&banner);
    record(serde_json::json!({
        "argv": std::env::args().collect::<Vec<_>>(),
        "cwd": std::env::current_dir().unwrap_or_default(),
        "env": std::env::vars().map(|(name, _)| name).collect::<Vec<_>>(),
        "pid": std::process::id(),
    }));
    if let Some(code) = knob("FAKE_EXIT_CODE") {
        journal::error("told to end at once");
        std::process::exit(code.parse().expect("an exit code"));
    }
    let mut config = config::load(&flags.config).unwrap_or_else(|why| {
        journal::error(&format!("failed to load config: {why}"));
        std::process::exit(0);
    });
    if let Err(why) = config.hash_secret(&flags.config) {
        journal::error(&why);
        std::process::exit(0);
    }
    if config.auth_dir.is_file() {
        journal::error("failed to create auth directory: not a directory");
        std::process::exit(0);
    }
    let _ = std::fs::create_dir_all(&config.auth_dir);

    let world = Arc::new(World {
        version,
        config_path: flags.config,
        config: Mutex::new(config),
        env_key: knob("MANAGEMENT_PASSWORD"),
        password: flags.password,
        keep_alive_at: Mutex::new(Instant::now()),
        loaded: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        in_flight: AtomicU64::new(0),
        idle: Mutex::default(),
        bans: Mutex::default(),
        sessions: Mutex::default(),
        memory: Mutex::default(),
    });
    if let Some(after) = knob_ms("FAKE_CRASH_AFTER_MS") {
        std::thread::spawn(move || {
            std::thread::sleep(after);
            journal::error("panic: told to crash");
            std::process::exit(1);
        });
    }
    if knob("FAKE_LOG_FLOOD").is_some() {
        std::thread::spawn(journal::flood);
    }
    std::thread::sleep(knob_ms("FAKE_START_DELAY_MS").unwrap_or(Duration::from_millis(20)));
    listen_to_signals(&world);
    let (host, port) = {
        let config = world.config.lock().expect("the config");
        (config.host.clone(), config.port)
    };
    let bind = if host.is_empty() {
        "0.0.0.0".to_owned()
    } else {
        host.clone()
    };
    let listener = TcpListener::bind(format!("{bind}:{port}"));
    let started = format!("API server started successfully on: {host}:{port}");
    match listener {
        Ok(listener) => {
            let serving = world.clone();
            std::thread::spawn(move || http::serve(&serving, listener));
            std::thread::sleep(Duration::from_millis(100));
            journal::plain(&started);
        }
        Err(error) => {
            std::thread::sleep(Duration::from_millis(100));
            journal::plain(&started); // whether or not it bound
            std::thread::sleep(Duration::from_millis(200));
            journal::error(&format!(
                "proxy service exited with error: listen tcp {bind}:{port}: bind: address already in use ({error})"
            ));
            std::process::exit(0);
        }
    }
    std::thread::sleep(knob_ms("FAKE_LOAD_DELAY_MS").unwrap_or(Duration::from_millis(100)));
    if !world.config_path.exists() {
        journal::error("failed to start watcher: no such file");
        std::process::exit(0);
    }
    world.loaded.store(true, Ordering::SeqCst);
    let clients = accounts::read_all(&world).len();
    journal::plain(&format!(
        "server clients and configuration updated: {clients} clients ({clients} auth entries)"
    ));
    journal::info(&format!(
        "full client load complete - {clients} clients ({clients} auth files)"
    ));
    journal::info("file watcher started for config and auth directory changes");
    config::watch(&world); // for ever
}

fn listen_to_signals(world: &Arc<World>) {
    let world = world.clone();
    let (set, is_set) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .expect("a runtime for signals")
            .block_on(async move {
                use tokio::signal::unix::{SignalKind, signal};
                let mut quit = signal(SignalKind::quit()).expect("SIGQUIT");
                tokio::spawn(async move {
                    quit.recv().await;
                    eprintln!("SIGQUIT: quit\n\ngoroutine 1 [running]:");
                    std::process::exit(2);
                });
                let mut ignored = signal(SignalKind::user_defined1()).expect("SIGUSR1");
                tokio::spawn(async move { while ignored.recv().await.is_some() {} });
                let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT");
                let mut term = signal(SignalKind::terminate()).expect("SIGTERM");
                set.send(()).expect("main waits");
                let (once, ended) = std::sync::mpsc::channel();
                let also = once.clone();
                tokio::spawn(async move {
                    while interrupt.recv().await.is_some() {
                        let _ = also.send(());
                    }
                });
                std::thread::spawn(move || {
                    let _ = ended.recv();
                    end(&world);
                });
                while term.recv().await.is_some() {
                    if knob("FAKE_IGNORE_SIGTERM").is_none() {
                        let _ = once.send(());
                    }
                }
            });
    });
    is_set.recv().expect("signals are listened to");
}

/// The graceful end: no new connection, what is in flight goes on for up to 28 s.
fn end(world: &World) {
    journal::wait_for_output(); // a process that is stuck in its log does not end
    world.ending.store(true, Ordering::SeqCst);
    for (_, connection) in world.idle.lock().expect("the connections").drain() {
        let _ = connection.shutdown(Shutdown::Both);
    }
    let since = Instant::now();
    while world.in_flight.load(Ordering::SeqCst) > 0 && since.elapsed() < Duration::from_secs(28) {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::process::exit(0);
}
