//! The supervision of CLIProxyAPI, its logins, accounts and quotas, against a stand-in that is a program of its own
//! (`tests/fake_sidecar`) and, where CLIPROXYAPI_BIN names one, against the real program: everything that needs no
//! provider. Processes are looked at through /proc, requests are sent by hand.

use llm_wrapper::error::{Error, Kind};
use llm_wrapper::net::tls::TlsSettings;
use llm_wrapper::sidecar::accounts::{self, Provider};
use llm_wrapper::sidecar::login::Progress;
use llm_wrapper::sidecar::plan::State;
use llm_wrapper::sidecar::process::{self, Places};
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

// ------------------------------------------------------------------------------------------------------------ support

/// The stand-in. `cargo test` builds examples before it runs tests.
fn fake() -> PathBuf {
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
fn programs() -> Vec<PathBuf> {
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

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
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

fn is_alive(pid: u32) -> bool {
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

// -------------------------------------------------------------------------------------------------------- supervision

#[test]
fn nothing_is_started_until_it_is_wanted_and_it_is_ended_when_it_no_longer_is() {
    run_each(|bed| async move {
        let sidecar = bed.start();
        sleep(Duration::from_millis(100)).await;
        assert!(
            !bed.settings.data_dir.exists(),
            "not even a folder was made"
        );
        sidecar.want(true).await;
        let ready = ready(&sidecar, PATIENCE).await.expect("ready");
        let process = pid(&sidecar);
        assert!(is_alive(process));
        assert!(ready.api_key.is_some());
        let mut view = sidecar.state();
        let version = view
            .borrow()
            .version()
            .map(str::to_owned)
            .expect("a version");
        println!("version {version}");
        sidecar.want(false).await;
        seen(&mut view, "its end", |view| view.pid.is_none()).await;
        assert!(!is_alive(process));
        assert_eq!(view.borrow().state, State::Stopped);
        assert_eq!(view.borrow().reason, None);
        assert!(!bed.data("cli-proxy-api.pid").exists());
        sidecar.shutdown().await;
    });
}

#[test]
fn the_process_is_apart_and_its_files_are_closed() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let process = pid(&sidecar);
        assert_eq!(status_line(process, "Umask"), "0077");
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("its stat");
        let after_name = stat.rsplit_once(") ").expect("a name").1;
        assert_eq!(
            after_name.split(' ').nth(3),
            Some(process.to_string().as_str()),
            "a session of its own"
        );
        let cwd = std::fs::read_link(format!("/proc/{process}/cwd")).expect("its folder");
        assert_eq!(
            cwd,
            std::fs::canonicalize(bed.data("cli-proxy-api-run")).expect("ours")
        );
        let environ =
            std::fs::read_to_string(format!("/proc/{process}/environ")).expect("its environment");
        let names: Vec<&str> = environ
            .split('\0')
            .filter_map(|pair| Some(pair.split_once('=')?.0))
            .collect();
        let mut expected = vec!["FAKE_RECORD", "HOME", "MANAGEMENT_PASSWORD"];
        expected.sort_unstable();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
        let cmdline =
            std::fs::read_to_string(format!("/proc/{process}/cmdline")).expect("its arguments");
        let key = std::fs::read_to_string(bed.data("cli-proxy-api-secret")).expect("the key");
        assert!(!cmdline.contains(&key) && cmdline.contains("--local-model"));
        for (name, mode) in [
            ("cli-proxy-api-secret", 0o600),
            ("cli-proxy-api-key", 0o600),
            ("cli-proxy-api-config.yaml", 0o600),
            ("cli-proxy-api", 0o700),
            ("cli-proxy-api-run", 0o700),
            ("cli-proxy-api.pid", 0o600),
        ] {
            let meta = std::fs::metadata(bed.data(name)).expect("the file");
            assert_eq!(meta.mode() & 0o777, mode, "{name}");
        }
        let config =
            std::fs::read_to_string(bed.data("cli-proxy-api-config.yaml")).expect("the config");
        assert!(
            !config.contains(&key),
            "the management key is in no file of the sidecar's"
        );
        sidecar.shutdown().await;
        assert!(!is_alive(process));
    });
}

#[test]
fn without_its_key_the_data_plane_is_closed_and_with_it_open() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let without = request(bed.port, "GET /v1/models HTTP/1.1\r\n", "");
        assert!(without.starts_with("HTTP/1.1 401"), "{without}");
        let head = format!(
            "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {}\r\n",
            key.expose()
        );
        assert!(request(bed.port, &head, "").starts_with("HTTP/1.1 200"));
        // A failed request leaves no prompt in a file.
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {}\r\n",
            key.expose()
        );
        let refused = request(bed.port, &head, r#"{"model":"nothing","messages":[]}"#);
        assert!(!refused.starts_with("HTTP/1.1 200"), "{refused}");
        assert!(!bed.accounts().join("logs").exists());
        sidecar.shutdown().await;
    });
}

#[test]
fn a_late_start_is_waited_for() {
    run(async {
        let bed = Bed::fake(&[("FAKE_START_DELAY_MS", "900")]);
        let sidecar = bed.start();
        sidecar.want(true).await;
        let early = ready(&sidecar, Duration::from_millis(150))
            .await
            .map(|_| ());
        assert_down(&early.unwrap_err(), "it is being started");
        ready(&sidecar, PATIENCE).await.expect("ready");
        assert_eq!(bed.starts(), 1);
        sidecar.shutdown().await;
    });
}

#[test]
fn one_that_never_answers_is_no_use_and_is_killed_at_the_end() {
    run(async {
        let bed = Bed::fake(&[("FAKE_HANG_HEALTH", "1")]);
        let sidecar = bed.start();
        sidecar.want(true).await;
        let error = ready(&sidecar, Duration::from_secs(1))
            .await
            .map(|_| ())
            .unwrap_err();
        assert_down(&error, "it is being started");
        let process = pid(&sidecar);
        sidecar.shutdown().await;
        assert!(!is_alive(process));
    });
}

#[test]
fn traffic_waits_until_the_accounts_are_loaded() {
    run_each(|mut bed| async move {
        bed.settings
            .environment
            .push(("FAKE_LOAD_DELAY_MS".into(), "1200".into()));
        bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
        let sidecar = bed.ready().await;
        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let head = format!(
            "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {}\r\n",
            key.expose()
        );
        let models = request(bed.port, &head, "");
        assert!(models.contains("\"claude-"), "{models}");
        sidecar.shutdown().await;
    });
}

#[test]
fn one_that_ends_at_its_start_is_tried_again_with_growing_pauses_and_its_last_words_kept() {
    run(async {
        let bed = Bed::fake(&[("FAKE_EXIT_CODE", "0")]);
        let sidecar = bed.start();
        let mut view = sidecar.state();
        sidecar.want(true).await;
        let mut pauses = Vec::new();
        for _ in 0..3 {
            let is_backoff = |view: &View| matches!(view.state, State::Backoff { .. });
            let backoff = seen(&mut view, "a failure", is_backoff).await;
            let State::Backoff { until } = backoff.state else {
                unreachable!("as waited for")
            };
            pauses.push((until - Instant::now()).as_millis());
            let reason = backoff.reason.expect("a reason");
            assert!(
                reason.contains("exit code 0") && reason.contains("told to end at once"),
                "{reason}"
            );
            seen(&mut view, "a new start", |view| {
                matches!(view.state, State::Starting { .. })
            })
            .await;
        }
        assert!(
            pauses[0] < 600 && pauses[1] > 700 && pauses[2] > 1500,
            "{pauses:?}"
        );
        let error = ready(&sidecar, Duration::from_millis(100))
            .await
            .map(|_| ())
            .unwrap_err();
        assert_down(&error, "told to end at once");
        sidecar.shutdown().await;
        assert!(bed.starts() >= 3);
    });
}

#[test]
fn a_crash_in_the_middle_of_a_stream_breaks_it_off_and_another_is_started() {
    run(async {
        let bed = Bed::fake(&[("FAKE_CRASH_AFTER_MS", "1500")]);
        bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
        let sidecar = bed.ready().await;
        let first = pid(&sidecar);
        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let port = bed.port;
        let stream = std::thread::spawn(move || {
            let head = format!(
                "POST /v1/messages HTTP/1.1\r\nx-api-key: {}\r\n",
                key.expose()
            );
            request(
                port,
                &head,
                r#"{"model":"drip-claude-sonnet-5","stream":true}"#,
            )
        });
        let mut view = sidecar.state();
        let after = seen(&mut view, "the crash", |view| view.pid != Some(first)).await;
        assert!(after.reason.expect("a reason").contains("told to crash"));
        let broken = stream.join().expect("an answer");
        assert!(
            broken.starts_with("HTTP/1.1 200") && !broken.ends_with("0\r\n\r\n"),
            "{broken}"
        );
        ready(&sidecar, PATIENCE).await.expect("ready again");
        assert_ne!(pid(&sidecar), first);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_missing_program_is_told_at_once_with_what_to_install() {
    run(async {
        let mut bed = Bed::fake(&[]);
        bed.settings.binary = "CLIProxyAPI".into();
        let sidecar = bed.start();
        sidecar.want(true).await;
        let since = Instant::now();
        let error = ready(&sidecar, PATIENCE).await.map(|_| ()).unwrap_err();
        assert_down(
            &error,
            "https://github.com/router-for-me/CLIProxyAPI/releases",
        );
        assert!(since.elapsed() < Duration::from_secs(2));
        // Once it is there the user's next try finds it.
        std::fs::copy(fake(), bed.folder.0.join("CLIProxyAPI")).expect("a copy");
        sidecar.retry().await;
        ready(&sidecar, PATIENCE).await.expect("ready");
        sidecar.shutdown().await;
    });
}

#[test]
fn a_stranger_on_the_port_is_named_and_left_alone() {
    run_each(|bed| async move {
        let mut stranger = Stranger::start(bed.port);
        let sidecar = bed.start();
        sidecar.want(true).await;
        let error = ready(&sidecar, Duration::from_millis(300))
            .await
            .map(|_| ())
            .unwrap_err();
        assert_down(&error, "another program answers on 127.0.0.1");
        assert!(stranger.is_alive());
        assert!(stranger.recorded().is_empty(), "not a byte was sent to it");
        stranger.end();
        ready(&sidecar, PATIENCE)
            .await
            .expect("ready once the port is free");
        sidecar.shutdown().await;
    });
}

/// A CLIProxyAPI that someone else runs, with keys of its own.
struct Stranger {
    child: Child,
    folder: Folder,
}

impl Stranger {
    fn start(port: u16) -> Stranger {
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
        Stranger { child, folder }
    }

    fn recorded(&self) -> Vec<serde_json::Value> {
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

#[test]
fn one_that_ignores_sigterm_is_killed_after_its_time() {
    run(async {
        let bed = Bed::fake(&[("FAKE_IGNORE_SIGTERM", "1")]);
        let sidecar = bed.ready().await;
        let process = pid(&sidecar);
        let since = Instant::now();
        sidecar.shutdown().await;
        assert!(!is_alive(process));
        assert!(
            since.elapsed() >= process::END_LIMIT,
            "{:?}",
            since.elapsed()
        );
    });
}

#[test]
fn a_flood_of_odd_bytes_is_drained_and_nothing_hangs() {
    run(async {
        let bed = Bed::fake(&[("FAKE_LOG_FLOOD", "1")]);
        let sidecar = bed.ready().await;
        // The reader stalls for a while, which blocks the sidecar's log; it goes on when the reader does.
        std::thread::sleep(Duration::from_millis(300));
        let port = bed.port;
        let health =
            tokio::task::spawn_blocking(move || request(port, "GET /healthz HTTP/1.1\r\n", ""));
        let health = timeout(PATIENCE, health)
            .await
            .expect(NEVER)
            .expect("an answer");
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        sidecar.shutdown().await;
    });
}

#[test]
fn lost_key_files_are_made_anew_at_the_next_start() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let first = ready(&sidecar, PATIENCE).await.expect("ready").api_key;
        sidecar.shutdown().await;
        for name in ["cli-proxy-api-secret", "cli-proxy-api-key"] {
            std::fs::remove_file(bed.data(name)).expect("the file");
        }
        let sidecar = bed.ready().await;
        assert_ne!(
            ready(&sidecar, PATIENCE).await.expect("ready").api_key,
            first
        );
        assert_eq!(sidecar.accounts().await.expect("a list"), []);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_config_edited_by_hand_or_emptied_is_written_anew_before_the_next_start() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        sidecar.shutdown().await;
        let path = bed.data("cli-proxy-api-config.yaml");
        let ours = std::fs::read_to_string(&path).expect("the config");
        std::fs::write(&path, ours.replace("127.0.0.1", "0.0.0.0")).expect("an edit");
        let sidecar = bed.ready().await;
        assert_eq!(std::fs::read_to_string(&path).expect("the config"), ours);
        let aside =
            std::fs::read_to_string(bed.data("cli-proxy-api-config.yaml.bak")).expect("put aside");
        assert!(aside.contains("0.0.0.0"));
        sidecar.shutdown().await;
        std::fs::write(&path, "").expect("an empty file");
        let sidecar = bed.ready().await;
        assert_eq!(std::fs::read_to_string(&path).expect("the config"), ours);
        sidecar.shutdown().await;
    });
}

#[test]
fn another_proxy_is_taken_up_in_place_and_another_port_by_a_restart() {
    run_each(|mut bed| async move {
        let sidecar = bed.ready().await;
        let process = pid(&sidecar);
        let path = bed.data("cli-proxy-api-config.yaml");
        let inode = std::fs::metadata(&path).expect("the config").ino();
        // At once after the start, when the sidecar does not watch its file yet.
        bed.settings.proxy_url = Some(Key::new("http://user:word@127.0.0.1:9"));
        sidecar.update(bed.settings.clone()).await;
        let key = std::fs::read_to_string(bed.data("cli-proxy-api-secret")).expect("the key");
        let head =
            format!("GET /v0/management/proxy-url HTTP/1.1\r\nAuthorization: Bearer {key}\r\n");
        let port = bed.port;
        let since = Instant::now();
        loop {
            let head = head.clone();
            let answer = tokio::task::spawn_blocking(move || request(port, &head, ""))
                .await
                .expect("an answer");
            if answer.contains("http://user:word@127.0.0.1:9") {
                break;
            }
            assert!(since.elapsed() < PATIENCE, "{answer}");
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(std::fs::metadata(&path).expect("the config").ino(), inode);
        assert_eq!(pid(&sidecar), process, "no restart");

        bed.port = free_port();
        bed.settings.endpoint =
            Base::parse(&format!("http://localhost:{}", bed.port)).expect("a URL");
        sidecar.update(bed.settings.clone()).await;
        let mut view = sidecar.state();
        let is_new = |view: &View| view.pid.is_some_and(|pid| pid != process);
        seen(&mut view, "a new process", is_new).await;
        assert!(!is_alive(process));
        let now = ready(&sidecar, PATIENCE).await.expect("ready");
        assert_eq!(now.origin.port(), bed.port);
        sidecar.shutdown().await;
    });
}

// --------------------------------------------------------------------------------- the gateway's own end, as a process

const HOST: &str = "LLM_WRAPPER_TEST_SIDECAR_HOST";

/// Not a test of anything: run again as a process of its own, it is a gateway that can be killed.
#[test]
fn host() {
    let Ok(asked) = std::env::var(HOST) else {
        return;
    };
    let mut words = asked.split('\n');
    let mut next = || {
        words
            .next()
            .expect("program, folder, port and knob")
            .to_owned()
    };
    let (program, folder, port, knob) = (next(), PathBuf::from(next()), next(), next());
    run(async move {
        let mut bed = Bed::new(Path::new(&program), &[]);
        bed.settings.data_dir = folder.join("data");
        bed.settings.endpoint = Base::parse(&format!("http://127.0.0.1:{port}")).expect("a URL");
        if !knob.is_empty() {
            bed.settings.environment.push((knob, "1".into()));
        }
        let sidecar = bed.start();
        sidecar.want(true).await;
        ready(&sidecar, PATIENCE).await.expect("ready");
        std::fs::write(folder.join("pid.part"), pid(&sidecar).to_string()).expect("a note");
        std::fs::rename(folder.join("pid.part"), folder.join("pid")).expect("a note");
        std::future::pending::<()>().await;
    });
}

/// A gateway in a process of its own whose sidecar is ready; gives the sidecar's pid.
async fn host_process(bed: &Bed, knob: &str) -> (Child, u32) {
    let asked = format!(
        "{}\n{}\n{}\n{knob}",
        bed.settings.binary,
        bed.folder.0.display(),
        bed.port
    );
    let child = Command::new(std::env::current_exe().expect("our own path"))
        .args(["--exact", "sidecar::host", "--nocapture"])
        .env(HOST, asked)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a gateway");
    let path = bed.folder.0.join("pid");
    eventually("the host's sidecar", || path.exists()).await;
    let text = std::fs::read_to_string(&path).expect("the note");
    (child, text.parse().expect("a number"))
}

#[test]
fn it_dies_with_a_gateway_that_is_killed() {
    run_each(|bed| async move {
        let (mut gateway, process) = host_process(&bed, "").await;
        assert!(is_alive(process));
        // Meanwhile another gateway in the same folder keeps its hands off.
        let mut second = bed.settings.clone();
        second.endpoint = Base::parse(&format!("http://127.0.0.1:{}", free_port())).expect("a URL");
        let sidecar = Sidecar::start(second);
        sidecar.want(true).await;
        let error = ready(&sidecar, Duration::from_millis(300))
            .await
            .map(|_| ())
            .unwrap_err();
        assert_down(
            &error,
            &format!("another llm-wrapper (process {})", gateway.id()),
        );
        assert!(is_alive(process));
        sidecar.shutdown().await;

        gateway.kill().expect("kill -9");
        gateway.wait().expect("its end");
        eventually("the sidecar's death", || !is_alive(process)).await;
    });
}

#[test]
fn an_orphan_of_ours_is_recognised_and_ended_before_the_next_start() {
    run(async {
        let bed = Bed::fake(&[]);
        // It ignores the death signal, and its pipe has no reader any more.
        let (mut gateway, orphan) = host_process(&bed, "FAKE_IGNORE_SIGTERM").await;
        sleep(Duration::from_millis(500)).await; // its last line of the start, which would kill it later
        gateway.kill().expect("kill -9");
        gateway.wait().expect("its end");
        sleep(Duration::from_millis(300)).await;
        assert!(is_alive(orphan), "or this tests nothing");
        let sidecar = bed.start();
        sidecar.want(true).await;
        ready(&sidecar, PATIENCE).await.expect("ready");
        assert!(!is_alive(orphan));
        assert_ne!(pid(&sidecar), orphan);
        sidecar.shutdown().await;
    });
}

// ------------------------------------------------------------------------------------- an endpoint someone else runs

#[test]
fn a_wrong_management_key_is_tried_once_and_never_becomes_a_ban() {
    run(async {
        let mut bed = Bed::fake(&[]);
        let stranger = Stranger::start(bed.port);
        bed.settings.manage = Manage::Never;
        bed.settings.management_key = Some(Key::new("wrong"));
        let sidecar = bed.start();
        sidecar.want(true).await;
        let now = ready(&sidecar, PATIENCE)
            .await
            .expect("it is taken as it is");
        assert_eq!((now.origin.port(), now.api_key), (bed.port, None));
        // Several at once, one after another, at a login, at a wish, at a reload that changes nothing: one try.
        let (one, two) = (sidecar.clone(), sidecar.clone());
        let one = tokio::spawn(async move { one.accounts().await });
        let two = tokio::spawn(async move { two.quota().await });
        let error = one.await.expect("no panic").unwrap_err();
        two.await.expect("no panic").unwrap_err();
        for _ in 0..8 {
            sidecar
                .login("claude", Provider::Claude, false)
                .await
                .unwrap_err();
            sidecar.accounts().await.unwrap_err();
            sidecar.retry().await;
            sidecar.update(bed.settings.clone()).await;
        }
        assert!(
            error.message.contains("cli_proxy_api.management_key"),
            "{error}"
        );
        assert_eq!(stranger.recorded().len(), 1);
        bed.settings.management_key = Some(Key::new("their-management-key"));
        bed.settings.api_key = Some(Key::new("their-key"));
        sidecar.update(bed.settings.clone()).await;
        assert_eq!(sidecar.accounts().await.expect("no ban"), []);
        let now = ready(&sidecar, PATIENCE).await.expect("ready");
        assert_eq!(now.api_key, Some(Key::new("their-key")));
        sidecar.shutdown().await;
    });
}

#[test]
fn without_a_management_key_the_data_plane_works_and_accounts_say_what_is_missing() {
    run(async {
        let mut bed = Bed::fake(&[]);
        let stranger = Stranger::start(bed.port);
        bed.settings.manage = Manage::Never;
        bed.settings.api_key = Some(Key::new("their-key"));
        let sidecar = bed.start();
        assert!(
            ready(&sidecar, PATIENCE)
                .await
                .expect("ready")
                .api_key
                .is_some()
        );
        let error = sidecar.accounts().await.unwrap_err();
        assert!(
            error.message.contains("set cli_proxy_api.management_key"),
            "{error}"
        );
        assert!(stranger.recorded().is_empty());
        let view = sidecar.state().borrow().clone();
        let mut out = Vec::new();
        view.write_json(Instant::now(), &mut out);
        assert!(out.starts_with(br#"{"state":"external","#));
        sidecar.shutdown().await;
    });
}

// -------------------------------------------------------------------------------------------------------------- logins

/// The address a browser ends on.
fn landing(provider: Provider, code: &str, state: &str) -> String {
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

#[test]
fn logins_succeed_with_every_version_and_a_second_one_of_the_same_account_too() {
    run(async {
        for version in ["7.0.4", "7.2.91", "7.2.140"] {
            let bed = Bed::fake(&[("FAKE_VERSION", version)]);
            let sidecar = bed.start(); // not wanted: a login starts it
            for provider in [Provider::Claude, Provider::Codex] {
                let first = log_in(&sidecar, provider, "alice").await;
                let Progress::Done(account) = &first else {
                    panic!("{version}: {}", first.message())
                };
                assert_eq!(account.email, "alice@example.com");
                assert_eq!(account.status, "active", "{version}");
                assert!(account.expires_at.starts_with("20") && !account.last_refresh.is_empty());
                let again = log_in(&sidecar, provider, "alice").await;
                assert_eq!(email_of(&again), "alice@example.com", "{version}");
            }
            let accounts = sidecar.accounts().await.expect("a list");
            assert_eq!(accounts.len(), 2, "no new file for a known account");
            let version_seen = sidecar.state().borrow().version().map(str::to_owned);
            assert_eq!(version_seen, Some(format!("{version}-fake")));
            sidecar.shutdown().await;
        }
    });
}

#[test]
fn what_is_pasted_is_checked_before_the_sidecar_hears_of_it() {
    run_each(|bed| async move {
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        assert!(started.manual && started.auth_url.starts_with("https://"));
        assert!(started.auth_url.contains(&started.state));
        let bad = [
            ("hello".to_owned(), "not the address"),
            (started.auth_url.clone(), "sign in there first"),
            (
                landing(Provider::Codex, "x", &started.state),
                "belongs to a Codex login",
            ),
            (
                landing(Provider::Claude, "x", &"0".repeat(32)),
                "no login that is waiting has this state",
            ),
        ];
        for (pasted, why) in bad {
            let error = sidecar
                .complete(Provider::Claude, &pasted)
                .await
                .unwrap_err();
            assert_eq!(error.status(), 400, "{error}");
            assert!(error.message.contains(why), "{pasted}: {error}");
        }
        // The state of a Claude login in a Codex dialog.
        let crossed = format!("code=x&state={}", started.state);
        let error = sidecar
            .complete(Provider::Codex, &crossed)
            .await
            .unwrap_err();
        assert!(
            error
                .message
                .contains("no login that is waiting has this state"),
            "{error}"
        );
        let progress = sidecar.progress("up", None).expect("the login");
        assert_eq!(*progress.borrow(), Progress::Waiting, "it goes on waiting");
        assert!(sidecar.progress("another", None).is_none());
        assert!(sidecar.cancel("up", None).await);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_cancelled_login_takes_nothing_any_more_and_saves_nothing() {
    run_each(|bed| async move {
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Codex, false)
            .await
            .expect("a login");
        assert!(sidecar.cancel("up", Some(&started.state)).await);
        assert!(!sidecar.cancel("up", Some(&started.state)).await, "once");
        assert_eq!(
            end_of(&sidecar, "up", &started.state).await,
            Progress::Cancelled
        );
        let address = landing(Provider::Codex, "alice", &started.state);
        let error = sidecar
            .complete(Provider::Codex, &address)
            .await
            .unwrap_err();
        assert!(error.message.contains("cancelled"), "{error}");
        assert_eq!(sidecar.accounts().await.expect("a list"), []);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_login_cancelled_during_the_exchange_saves_nothing() {
    run(async {
        let bed = Bed::fake(&[("FAKE_OAUTH", "slow")]);
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        let address = landing(Provider::Claude, "alice", &started.state);
        sidecar
            .complete(Provider::Claude, &address)
            .await
            .expect("taken");
        let error = sidecar
            .complete(Provider::Claude, &address)
            .await
            .unwrap_err();
        assert_eq!(error.status(), 409, "{error}");
        sleep(Duration::from_millis(800)).await; // the exchange is under way and takes two seconds
        assert!(sidecar.cancel("up", None).await);
        sleep(Duration::from_millis(2500)).await;
        assert_eq!(sidecar.accounts().await.expect("a list"), []);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_refused_a_failed_and_an_expired_login_are_told_in_words_to_act_on() {
    run(async {
        for (mode, words) in [
            ("provider_error", "agree on its page"),
            ("exchange_fail", "a code works once"),
        ] {
            let bed = Bed::fake(&[("FAKE_OAUTH", mode)]);
            let sidecar = bed.start();
            for provider in [Provider::Claude, Provider::Codex] {
                let end = log_in(&sidecar, provider, "alice").await;
                let Progress::Failed(why) = &end else {
                    panic!("{end:?}")
                };
                assert!(why.contains(words), "{mode}: {why}");
            }
            sidecar.shutdown().await;
        }
        let bed = Bed::fake(&[("FAKE_OAUTH", "timeout")]);
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        let end = end_of(&sidecar, "up", &started.state).await;
        assert!(
            end.message().contains("start the login again"),
            "{}",
            end.message()
        );
        let address = landing(Provider::Claude, "alice", &started.state);
        let error = sidecar
            .complete(Provider::Claude, &address)
            .await
            .unwrap_err();
        assert_eq!(error.status(), 400);
        sidecar.shutdown().await;
    });
}

#[test]
fn a_denial_that_is_pasted_ends_the_login_with_the_providers_words() {
    run_each(|bed| async move {
        let sidecar = bed.start();
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        let (port, path) = Provider::Claude.callback();
        let denied = format!(
            "http://localhost:{port}{path}?error=access_denied&state={}",
            started.state
        );
        let error = sidecar
            .complete(Provider::Claude, &denied)
            .await
            .unwrap_err();
        assert!(error.message.contains("access_denied"), "{error}");
        let end = end_of(&sidecar, "up", &started.state).await;
        assert!(
            matches!(&end, Progress::Failed(why) if why.contains("access_denied")),
            "{end:?}"
        );
        sidecar.shutdown().await;
    });
}

#[test]
fn two_logins_at_once_end_with_their_own_accounts() {
    run(async {
        let bed = Bed::fake(&[]);
        let sidecar = bed.start();
        let one = sidecar
            .login("one", Provider::Claude, false)
            .await
            .expect("a login");
        let two = sidecar
            .login("two", Provider::Claude, false)
            .await
            .expect("a login");
        assert_ne!(one.state, two.state);
        // The second finishes first.
        sidecar
            .complete(
                Provider::Claude,
                &landing(Provider::Claude, "bob", &two.state),
            )
            .await
            .expect("taken");
        assert_eq!(
            email_of(&end_of(&sidecar, "two", &two.state).await),
            "bob@example.com"
        );
        assert_eq!(
            *sidecar.progress("one", None).expect("it").borrow(),
            Progress::Waiting
        );
        let shown = format!("alice#{}", one.state); // as Claude's own page shows it
        sidecar
            .complete(Provider::Claude, &shown)
            .await
            .expect("taken");
        assert_eq!(
            email_of(&end_of(&sidecar, "one", &one.state).await),
            "alice@example.com"
        );
        sidecar.shutdown().await;
    });
}

#[test]
fn a_restart_in_the_middle_of_a_login_ends_it_with_the_reason() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let started = sidecar
            .login("up", Provider::Claude, false)
            .await
            .expect("a login");
        let process = pid(&sidecar);
        let killed = Command::new("kill")
            .arg("-9")
            .arg(process.to_string())
            .status();
        assert!(killed.expect("kill").success());
        let end = end_of(&sidecar, "up", &started.state).await;
        assert!(end.message().contains("restarted"), "{}", end.message());
        let mut view = sidecar.state();
        seen(&mut view, "another", |view| {
            view.pid.is_some_and(|pid| pid != process)
        })
        .await;
        let address = landing(Provider::Claude, "alice", &started.state);
        let error = sidecar
            .complete(Provider::Claude, &address)
            .await
            .unwrap_err();
        assert_eq!(error.status(), 400, "{error}");
        sidecar.shutdown().await;
    });
}

#[test]
fn on_the_same_machine_the_browser_finishes_the_login_unless_its_port_is_taken() {
    run(async {
        let bed = Bed::fake(&[]);
        let sidecar = bed.start();
        let (port, _) = Provider::Codex.callback();
        {
            let taken = TcpListener::bind(("0.0.0.0", port)).expect("the login's port");
            let started = sidecar
                .login("up", Provider::Codex, true)
                .await
                .expect("a login");
            assert!(started.manual, "then the user pastes");
            drop(taken);
        }
        let started = sidecar
            .login("up", Provider::Codex, true)
            .await
            .expect("a login");
        assert!(!started.manual);
        let state = started.state.clone();
        let ours = bed.port;
        let browser = move || {
            let head = format!("GET /auth/callback?code=alice&state={state} HTTP/1.1\r\n");
            let answer = request(port, &head, "");
            let location = answer
                .lines()
                .find_map(|line| line.strip_prefix("Location: "))
                .expect("a redirect");
            let path = location
                .split_once(&format!(":{ours}"))
                .expect("to the sidecar")
                .1
                .trim()
                .to_owned();
            request(ours, &format!("GET {path} HTTP/1.1\r\n"), "")
        };
        let page = tokio::task::spawn_blocking(browser).await.expect("a page");
        assert!(page.contains("Authentication successful"), "{page}");
        assert_eq!(
            email_of(&end_of(&sidecar, "up", &started.state).await),
            "alice@example.com"
        );
        sidecar.shutdown().await;
    });
}

// ------------------------------------------------------------------------------------------------ accounts and quotas

fn status_text(accounts: &[accounts::Account]) -> serde_json::Value {
    let mut out = Vec::new();
    accounts::write_status(accounts, &mut out);
    serde_json::from_slice(&out).expect("JSON")
}

#[test]
fn accounts_are_listed_switched_off_and_deleted_and_their_models_follow() {
    run_each(|bed| async move {
        bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
        bed.add_account(
            "codex-0f0f0f0f-b@example.com-plus.json",
            "codex",
            "b@example.com",
        );
        // Not running: as the files show them. Nothing is started for it.
        let sidecar = bed.start();
        let status = status_text(&sidecar.accounts().await.expect("a list"));
        assert_eq!(status["providers"]["claude"]["account_count"], 1);
        assert_eq!(
            status["providers"]["claude"]["accounts"][0]["expiresAt"],
            "2099-01-01T00:00:00Z"
        );
        assert_eq!(sidecar.state().borrow().state, State::Stopped);

        let codex = "codex-0f0f0f0f-b@example.com-plus.json";
        let models = sidecar.account_models(codex).await.expect("models"); // this starts it
        assert!(
            models.iter().any(|model| model.id.starts_with("gpt-")),
            "{models:?}"
        );
        let listed = sidecar.accounts().await.expect("a list");
        let status = status_text(&listed);
        assert_eq!(
            status["providers"]["codex"]["accounts"][0]["email"],
            "b@example.com"
        );
        assert_eq!(
            status["providers"]["codex"]["accounts"][0]["expiresAt"],
            "2099-01-01T00:00:00Z"
        );
        assert!(!status.to_string().contains("secret-"), "no token leaves");

        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let head = format!(
            "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {}\r\n",
            key.expose()
        );
        let offered = |what: &str| request(bed.port, &head, "").contains(what);
        assert!(offered("\"gpt-") && offered("\"claude-"), "models of both");
        sidecar
            .set_disabled(codex, true)
            .await
            .expect("switched off");
        eventually("its models are gone", || !offered("\"gpt-")).await;
        let listed = sidecar.accounts().await.expect("a list");
        let off = listed
            .iter()
            .find(|account| account.name == codex)
            .expect("it");
        assert!(off.disabled && off.status == "disabled", "{off:?}");
        sidecar
            .set_disabled(codex, false)
            .await
            .expect("switched on");
        eventually("its models are back", || offered("\"gpt-")).await;

        sidecar.delete_account(codex).await.expect("deleted");
        let error = sidecar.delete_account(codex).await.unwrap_err();
        assert_eq!(error.status(), 404, "{error}");
        assert_eq!(
            sidecar
                .set_disabled("none.json", true)
                .await
                .unwrap_err()
                .status(),
            404
        );
        assert_eq!(
            sidecar.log_out(Provider::Claude).await.expect("logged out"),
            1
        );
        assert_eq!(
            sidecar.log_out(Provider::Claude).await.expect("logged out"),
            0
        );
        assert_eq!(sidecar.accounts().await.expect("a list"), []);
        sidecar.shutdown().await;
    });
}

#[test]
fn one_error_of_the_provider_takes_no_account_out() {
    run(async {
        let bed = Bed::fake(&[]);
        bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
        let sidecar = bed.ready().await;
        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nx-api-key: {}\r\n",
            key.expose()
        );
        let failed = request(bed.port, &head, r#"{"model":"err-500"}"#);
        assert!(failed.starts_with("HTTP/1.1 500"), "{failed}");
        let next = request(bed.port, &head, r#"{"model":"claude-sonnet-5"}"#);
        assert!(next.starts_with("HTTP/1.1 200"), "{next}");
        assert_eq!(
            sidecar.accounts().await.expect("a list")[0].status,
            "active"
        );
        sidecar.shutdown().await;
    });
}

async fn quotas(mode: &str) -> serde_json::Value {
    let bed = Bed::fake(&[("FAKE_QUOTA", mode), ("FAKE_VERSION", "7.2.140")]);
    bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
    bed.add_account(
        "codex-0f0f0f0f-b@example.com-plus.json",
        "codex",
        "b@example.com",
    );
    bed.add_account("xai-c.json", "xai", "c@example.com");
    let sidecar = bed.start();
    if mode == "ok" {
        // An account that has just logged in is listed without its id.
        assert!(matches!(
            log_in(&sidecar, Provider::Codex, "new").await,
            Progress::Done(_)
        ));
    }
    let quotas = sidecar.quota().await.expect("quotas");
    let mut out = Vec::new();
    quota::write_json(&quotas, &mut out);
    // Nothing but the two addresses was asked, on behalf of the accounts alone.
    for call in bed
        .record()
        .iter()
        .filter(|line| line["path"] == "/v0/management/api-call")
    {
        let body: serde_json::Value =
            serde_json::from_str(call["body"].as_str().expect("text")).expect("JSON");
        let url = body["url"].as_str().expect("a URL");
        assert!(
            url.starts_with("https://api.anthropic.com/api/oauth/usage")
                || url.starts_with("https://chatgpt.com/backend-api/wham/usage")
        );
        assert_eq!(call["headers"].get("x-forwarded-for"), None);
    }
    sidecar.shutdown().await;
    serde_json::from_slice(&out).expect("JSON")
}

#[test]
fn quotas_are_told_per_account() {
    run(async {
        let told = quotas("ok").await;
        let claude = &told["providers"]["claude"]["accounts"][0];
        assert_eq!(
            (&claude["status"], &claude["email"]),
            (&"low".into(), &"a@example.com".into())
        );
        assert_eq!(claude["windows"][0]["used_percent"], 12.5);
        assert_eq!(claude["windows"][1]["label"], "7d");
        assert!(claude.get("plan_type").is_none());
        let codex = &told["providers"]["codex"];
        assert_eq!(codex["account_count"], 2);
        for account in codex["accounts"].as_array().expect("accounts") {
            assert_eq!(
                (&account["status"], &account["plan_type"]),
                (&"exhausted".into(), &"plus".into())
            );
            assert_eq!(account["windows"][1]["reset_at"], "+3600s");
            assert_eq!(account["windows"][1]["exhausted"], true);
        }
        assert!(told["providers"].get("xai").is_none());
    });
}

#[test]
fn a_quota_that_cannot_be_told_says_why() {
    run(async {
        for (mode, words) in [
            ("401", "log in again"),
            ("429", "asked too often"),
            ("500", "status 500"),
            ("html", "not JSON"),
            ("offline", "could not reach"),
        ] {
            let told = quotas(mode).await;
            for provider in ["claude", "codex"] {
                let account = &told["providers"][provider]["accounts"][0];
                assert_eq!(account["status"], "error", "{mode}");
                assert!(
                    account["error"].as_str().expect("why").contains(words),
                    "{mode}: {account}"
                );
            }
        }
    });
}
