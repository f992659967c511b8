//! Three naive parties for the tests: a scripted upstream, the gateway as a process, and a raw client.
//! All on plain threads and sockets: the codec under test must not check itself.

pub mod client;
pub mod gateway;
mod tests;
pub mod upstream;

pub use client::{Client, Ending, Reply};
pub use gateway::Gateway;
pub use upstream::{Gate, Peer, Received, Upstream};

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for anything that must happen: generous, since only a failure waits that long.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A folder of its own for one test, removed when dropped.
pub struct TempDir(pub PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "llm-wrapper-it-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        TempDir(path)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file of the test");
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Asks again and again until `ask` has an answer. For states that nobody announces (a counter of another process).
#[track_caller]
pub fn poll<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            start.elapsed() < within,
            "waited {within:?} in vain for: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Where `needle` begins in `bytes`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|part| part == needle)
}

/// Bytes for a failure message.
pub fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(2000)];
    String::from_utf8_lossy(cut).escape_debug().to_string()
}

/// A complete answer with that status and JSON body.
pub fn json_answer(status: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} Something\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What an upstream answers when the answer itself does not matter.
pub fn plain_answer() -> Vec<u8> {
    json_answer(200, r#"{"id":"x","object":"chat.completion","choices":[]}"#)
}

/// The head of a chunked event stream.
pub const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

/// One chunk.
pub fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A port on loopback where nobody listens.
pub fn deaf_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// Raises this process's own soft descriptor limit, for tests with thousands of sockets. Gives what it is now.
pub fn raise_descriptor_limit(wanted: u64) -> u64 {
    let soft = || -> u64 {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits.lines().find(|l| l.starts_with("Max open files"));
        line.and_then(|l| l.split_whitespace().nth(3)?.parse().ok())
            .unwrap_or(1024)
    };
    if soft() < wanted {
        let _ = std::process::Command::new("prlimit")
            .args(["--pid", &std::process::id().to_string()])
            .arg(format!("--nofile={wanted}:"))
            .status();
    }
    soft()
}
