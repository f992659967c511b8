//! The supervision of CLIProxyAPI, its logins, accounts and quotas, against a stand-in that is a program of its own
//! (`tests/fake_sidecar`) and, where CLIPROXYAPI_BIN names one, against the real program: everything that needs no
//! provider. Processes are looked at through /proc, requests are sent by hand.

mod accounts;
mod cases;
mod login;
mod supervision;
mod twins;

use llm_wrapper::error::{Error, Kind};
use llm_wrapper::net::tls::TlsSettings;
use llm_wrapper::sidecar::accounts::Provider;
use llm_wrapper::sidecar::login::LOGIN_LIMIT;
use llm_wrapper::sidecar::plan::State;
use llm_wrapper::sidecar::process::{self, Places};
use llm_wrapper::sidecar::progress::Progress;
use llm_wrapper::sidecar::{Key, Manage, Settings, Sidecar, View, quota};
use llm_wrapper::wire::url::Base;
use std::ffi::OsString;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Only a failure waits that long.
const PATIENCE: Duration = Duration::from_secs(20);
const NEVER: &str = "waited in vain";

/// The stand-in. `cargo test` builds examples before it runs tests.
pub(crate) fn fake() -> PathBuf {
    let us = std::env::current_exe().expect("our own path");
    let built = us.ancestors().nth(2).expect("the folder of the profile");
    let path = built.join("examples/fake-cliproxyapi");
    assert!(
        path.is_file(),
        "run `cargo build --example fake-cliproxyapi` first"
    );
    path
}

/// The stand-in and, where there is one, the real program.
pub(crate) fn programs() -> Vec<PathBuf> {
    let real = std::env::var_os("CLIPROXYAPI_BIN").map(PathBuf::from);
    [fake()].into_iter().chain(real).collect()
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("llm-wrapper-sidecar-it-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port nobody has, below those that outgoing connections are given.
pub(crate) fn free_port() -> u16 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() % 10_000 + NUMBER.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (number % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A data folder, a port and settings, and the sidecar once it is started.
struct Bed {
    folder: Folder,
    port: u16,
    settings: Settings,
}

impl Bed {
    fn new(program: &Path, knobs: &[(&str, &str)]) -> Bed {
        let folder = Folder::new();
        let port = free_port();
        let mut environment: Vec<(String, OsString)> = knobs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.into()))
            .collect();
        environment.push(("HOME".into(), folder.0.clone().into()));
        environment.push(("FAKE_RECORD".into(), folder.0.join("record").into()));
        let settings = Settings {
            manage: Manage::Auto,
            endpoint: Base::parse(&format!("http://127.0.0.1:{port}")).expect("a URL"),
            binary: program.to_str().expect("a path in UTF-8").to_owned(),
            places: Places {
                path: None,
                beside_us: None,
                beside_config: folder.0.clone(),
            },
            data_dir: folder.0.join("data"),
            api_key: None,
            management_key: None,
            proxy_url: None,
            environment,
            tls: TlsSettings::public(),
            login_limit: LOGIN_LIMIT,
        };
        Bed {
            folder,
            port,
            settings,
        }
    }

    fn fake(knobs: &[(&str, &str)]) -> Bed {
        Bed::new(&fake(), knobs)
    }

    fn data(&self, name: &str) -> PathBuf {
        self.settings.data_dir.join(name)
    }

    fn accounts(&self) -> PathBuf {
        self.data("cli-proxy-api")
    }

    /// An account's file, as it would be left from an earlier run.
    fn add_account(&self, name: &str, kind: &str, email: &str) {
        std::fs::create_dir_all(self.accounts()).expect("the folder of the accounts");
        let text = format!(
            r#"{{"type":"{kind}","email":"{email}","access_token":"secret-{email}","refresh_token":"r","account_id":"acc-{email}","account_uuid":"u","organization_uuid":"o","expired":"2099-01-01T00:00:00Z","last_refresh":"2026-01-01T00:00:00Z","disabled":false}}"#
        );
        std::fs::write(self.accounts().join(name), text).expect("an account's file");
    }

    /// The lines the stand-in recorded.
    fn record(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.0.join("record")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// How often the stand-in was started.
    fn starts(&self) -> usize {
        self.record()
            .iter()
            .filter(|line| line.get("argv").is_some())
            .count()
    }

    fn start(&self) -> Sidecar {
        Sidecar::start(self.settings.clone())
    }

    /// Started and ready.
    async fn ready(&self) -> Sidecar {
        let sidecar = self.start();
        sidecar.want(true).await;
        let ready = ready(&sidecar, PATIENCE).await.expect("a ready sidecar");
        assert_eq!(ready.origin.port(), self.port);
        sidecar
    }
}

async fn ready(sidecar: &Sidecar, within: Duration) -> Result<llm_wrapper::sidecar::Ready, Error> {
    sidecar.ready(Instant::now() + within).await
}

/// Runs a test on a runtime of its own, as the main thread of the gateway would.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        timeout(Duration::from_secs(120), test)
            .await
            .expect("the test ends");
    });
}

/// Runs a test for the stand-in and the real program.
fn run_each<F: Future<Output = ()>>(test: impl Fn(Bed) -> F) {
    for program in programs() {
        run(test(Bed::new(&program, &[])));
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "{NEVER}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for a view of that kind.
async fn seen(view: &mut watch::Receiver<View>, what: &str, is: impl FnMut(&View) -> bool) -> View {
    let found = timeout(PATIENCE, view.wait_for(is)).await;
    found
        .unwrap_or_else(|_| panic!("{NEVER}: {what}"))
        .expect("the task lives")
        .clone()
}

fn pid(sidecar: &Sidecar) -> u32 {
    sidecar.state().borrow().pid.expect("a process")
}

pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn status_line(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("the line");
    line.trim_start_matches(':').trim().to_owned()
}

/// A request by hand; the whole answer until the connection closes.
fn request(port: u16, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let length = body.len();
    let text =
        format!("{head}Host: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).expect("a request");
    stream.shutdown(std::net::Shutdown::Write).expect("an end");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer); // a reset is an end too
    String::from_utf8_lossy(&answer).into_owned()
}

fn assert_down(error: &Error, reason: &str) {
    assert_eq!(error.kind, Kind::SidecarDown, "{error}");
    assert!(error.message.contains(reason), "{error}");
    assert!(
        error.retry_after_s.is_some_and(|seconds| seconds >= 1),
        "{error:?}"
    );
}

/// A CLIProxyAPI that someone else runs, with keys of its own.
pub(crate) struct Stranger {
    child: Child,
    folder: Folder,
    pub(crate) port: u16,
}

impl Stranger {
    pub(crate) fn start(port: u16) -> Stranger {
        let folder = Folder::new();
        let config = folder.0.join("config.yaml");
        let text = format!(
            "host: 127.0.0.1\nport: {port}\nauth-dir: {}\napi-keys: [their-key]\nremote-management:\n  secret-key: their-management-key\n",
            folder.0.join("auth").display()
        );
        std::fs::write(&config, text).expect("its config");
        let child = Command::new(fake())
            .arg("-config")
            .arg(&config)
            .env("FAKE_RECORD", folder.0.join("record"))
            .stdout(Stdio::null())
            .spawn()
            .expect("a stranger");
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < PATIENCE, "{NEVER}: the stranger");
            std::thread::sleep(Duration::from_millis(10));
        }
        Stranger {
            child,
            folder,
            port,
        }
    }

    pub(crate) fn recorded(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.0.join("record")).unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        lines
            .filter(|line: &serde_json::Value| line.get("path").is_some())
            .collect()
    }

    fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.end();
    }
}

/// The address a browser ends on.
pub(crate) fn landing(provider: Provider, code: &str, state: &str) -> String {
    let (port, path) = provider.callback();
    format!("http://localhost:{port}{path}?code={code}&state={state}")
}

async fn end_of(sidecar: &Sidecar, upstream: &str, state: &str) -> Progress {
    let mut progress = sidecar.progress(upstream, Some(state)).expect("a login");
    let found = timeout(PATIENCE, progress.wait_for(Progress::is_final)).await;
    found
        .expect(NEVER)
        .expect("the login is remembered")
        .clone()
}

/// Logs in from the start to the end of it.
async fn log_in(sidecar: &Sidecar, provider: Provider, who: &str) -> Progress {
    let started = sidecar.login("up", provider, false).await.expect("a login");
    let address = landing(provider, who, &started.state);
    sidecar.complete(provider, &address).await.expect("taken");
    end_of(sidecar, "up", &started.state).await
}

fn email_of(progress: &Progress) -> String {
    match progress {
        Progress::Done(account) => account.email.clone(),
        other => panic!("not logged in: {}", other.message()),
    }
}
