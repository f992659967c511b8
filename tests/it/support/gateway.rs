//! The gateway as a process: started with a configuration, watched by its log, signalled, measured, and killed on drop.

use super::{Client, PATIENCE, Reply, TempDir, Upstream, client, poll};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_llm-wrapper");

/// The key of the upstream named `up` in the configurations of the tests.
pub const UPSTREAM_KEY: &str = "sk-upstream-secret-0123456789";
/// The admin key the tests set, where they use `/api`.
pub const ADMIN_KEY: &str = "admin-secret-0123456789";

#[derive(Default)]
struct Lines {
    text: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

/// What to start.
pub struct Start {
    dir: TempDir,
    config: Option<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    descriptors: Option<u32>,
    addr: String,
}

impl Start {
    pub fn config(mut self, text: impl Into<String>) -> Start {
        self.config = Some(text.into());
        self
    }

    pub fn arg(mut self, arg: &str) -> Start {
        self.args.push(arg.to_string());
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Start {
        self.env.push((name.to_string(), value.into()));
        self
    }

    /// Another address than a free port on 127.0.0.1.
    pub fn addr(mut self, addr: &str) -> Start {
        self.addr = addr.to_string();
        self
    }

    /// Both descriptor limits of the process.
    pub fn descriptors(mut self, limit: u32) -> Start {
        self.descriptors = Some(limit);
        self
    }

    /// A file beside the configuration.
    pub fn file(self, name: &str, text: impl AsRef<[u8]>) -> Start {
        self.dir.write(name, text);
        self
    }

    /// The folder of the configuration.
    pub fn folder(&self) -> &std::path::Path {
        &self.dir.0
    }

    fn command(&self) -> Command {
        let path = self.dir.0.join("config.yaml");
        if let Some(text) = &self.config {
            std::fs::write(&path, text).expect("the configuration");
        }
        let mut command = match self.descriptors {
            None => Command::new(BINARY),
            Some(limit) => {
                let mut shell = Command::new("/bin/sh");
                shell
                    .arg("-c")
                    .arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""))
                    .arg(BINARY);
                shell
            }
        };
        command.arg("-c").arg(&path);
        if !self.addr.is_empty() {
            command.args(["-a", &self.addr]);
        }
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir.0)
            .stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Gateway {
        let mut child = self
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let stderr = child.stderr.take().expect("a piped stderr");
        let lines = Arc::new(Lines::default());
        let filled = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { break };
                filled.text.lock().expect("no panic holds it").0.push(line);
                filled.changed.notify_all();
            }
            filled.text.lock().expect("no panic holds it").1 = true;
            filled.changed.notify_all();
        });
        let mut gateway = Gateway {
            child,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            dir: self.dir,
            lines,
        };
        let line = gateway.wait_for_line("listening addr=");
        let after = line.split("listening addr=").nth(1).unwrap_or_default();
        let addr = after.split_whitespace().next().unwrap_or_default();
        gateway.addr = addr.parse().expect("the address it listens on");
        gateway
    }

    /// Runs it to its end, which must come by itself: its exit code, and what it wrote to stdout and stderr.
    #[track_caller]
    pub fn run(self) -> (i32, String, String) {
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let code = wait_for_exit(&mut child);
        let (mut out, mut err) = (String::new(), String::new());
        let _ = child.stdout.take().expect("piped").read_to_string(&mut out);
        let _ = child.stderr.take().expect("piped").read_to_string(&mut err);
        (code, out, err)
    }
}

#[track_caller]
fn wait_for_exit(child: &mut Child) -> i32 {
    let pid = child.id();
    let start = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            use std::os::unix::process::ExitStatusExt;
            return status
                .code()
                .unwrap_or_else(|| -status.signal().unwrap_or(0));
        }
        if start.elapsed() > PATIENCE * 2 {
            let _ = child.kill();
            panic!("process {pid} did not end by itself");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running gateway.
pub struct Gateway {
    child: Child,
    pub addr: SocketAddr,
    pub dir: TempDir,
    lines: Arc<Lines>,
}

/// A configuration with one upstream named `up` that speaks all three protocols, and the alias `m` for its `target-model`.
pub fn config_for(upstream: &Upstream) -> String {
    config_at(&upstream.base_url())
}

/// The same for any base_url.
pub fn config_at(base_url: &str) -> String {
    format!(
        "upstreams:
  - name: up
    base_url: {base_url}
    auth: {{type: api_key, key: {UPSTREAM_KEY}}}
    support_chat_completions: true
    support_responses: true
    support_anthropic_messages: true
aliases:
  - {{alias: m, target_model: target-model, upstream: up}}
"
    )
}

impl Gateway {
    /// What to start, to be filled in.
    pub fn build() -> Start {
        Start {
            dir: TempDir::new(),
            config: None,
            args: Vec::new(),
            env: Vec::new(),
            descriptors: None,
            addr: "127.0.0.1:0".to_string(),
        }
    }

    /// With that configuration.
    #[track_caller]
    pub fn start(config: impl Into<String>) -> Gateway {
        Gateway::build().config(config).start()
    }

    /// In front of that upstream, as [`config_for`] says.
    #[track_caller]
    pub fn to(upstream: &Upstream) -> Gateway {
        Gateway::start(config_for(upstream))
    }

    /// The same, with further top-level lines.
    #[track_caller]
    pub fn to_with(upstream: &Upstream, lines: &str) -> Gateway {
        Gateway::start(format!("{}{lines}\n", config_for(upstream)))
    }

    pub fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// One POST on a connection of its own.
    #[track_caller]
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.client().post(path, body)
    }

    /// One POST with further field lines, each with its CRLF.
    #[track_caller]
    pub fn post_with(&self, path: &str, fields: &str, body: impl AsRef<[u8]>) -> Reply {
        self.client()
            .send(client::post(path, fields, body))
            .read_reply()
    }

    /// One request to `/api` with the admin key.
    #[track_caller]
    pub fn admin(&self, method: &str, path: &str, body: &str) -> Reply {
        let fields = format!("Authorization: Bearer {ADMIN_KEY}\r\n");
        self.client()
            .send(client::request(method, path, &fields, body))
            .read_reply()
    }

    /// One GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.client().get(path)
    }

    /// Whether it still answers.
    #[track_caller]
    pub fn check_alive(&self) {
        self.get("/healthz").expect(200);
    }

    /// Replaces the text of the configuration, as an editor that rewrites the file does.
    pub fn edit_config(&self, text: &str) {
        self.dir.write("config.yaml", text);
    }

    /// All lines of the log so far.
    pub fn log(&self) -> Vec<String> {
        self.lines.text.lock().expect("no panic holds it").0.clone()
    }

    /// The first line, past or to come, that holds that text.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> String {
        self.wait_for_lines(text, 1).remove(0)
    }

    /// The first so many lines that hold that text.
    #[track_caller]
    pub fn wait_for_lines(&self, text: &str, count: usize) -> Vec<String> {
        let holding = |lines: &[String]| -> Vec<String> {
            lines
                .iter()
                .filter(|line| line.contains(text))
                .take(count)
                .cloned()
                .collect()
        };
        let (lines, _) = self
            .lines
            .changed
            .wait_timeout_while(
                self.lines.text.lock().expect("no panic holds it"),
                PATIENCE,
                |(lines, ended)| holding(lines).len() < count && !*ended,
            )
            .expect("no panic holds it");
        let found = holding(&lines.0);
        if found.len() < count {
            let all = lines.0.join("\n");
            drop(lines);
            panic!("the log has no {count} lines with {text:?}:\n{all}");
        }
        found
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("/bin/sh")
            .args(["-c", &format!("kill -{name} {}", self.pid())])
            .status();
        assert!(status.is_ok_and(|s| s.success()), "kill -{name}");
    }

    /// Waits until it has ended: its exit code, or minus the signal that ended it.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> i32 {
        wait_for_exit(&mut self.child)
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmRSS:"));
        let kb: Option<u64> = line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok());
        kb.expect("VmRSS of a running process") * 1024
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .map(Iterator::count)
            .unwrap_or(0)
    }

    /// Changes the soft descriptor limit of the running process.
    pub fn limit_descriptors(&self, soft: usize) {
        let status = Command::new("prlimit")
            .args(["--pid", &self.pid().to_string()])
            .arg(format!("--nofile={soft}:"))
            .status();
        assert!(status.is_ok_and(|s| s.success()), "prlimit");
    }

    /// Waits until it holds at most so many descriptors.
    #[track_caller]
    pub fn wait_for_descriptors(&self, at_most: usize) {
        let what = format!("at most {at_most} descriptors");
        poll(&what, PATIENCE, || {
            (self.descriptors() <= at_most).then_some(())
        });
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log:\n{}", self.log().join("\n"));
        }
    }
}
