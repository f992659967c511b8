//! The log on stdout. A write that cannot be made blocks whoever makes it; one into a closed pipe ends the process.

use std::io::Write;
use std::sync::Mutex;

static OUTPUT: Mutex<()> = Mutex::new(());

fn write(bytes: &[u8]) {
    let _turn = OUTPUT.lock();
    let mut out = std::io::stdout();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        std::process::exit(141);
    }
}

pub fn wait_for_output() {
    drop(OUTPUT.lock());
}

pub fn plain(text: &str) {
    write(format!("{text}\n").as_bytes());
}

fn line(id: &str, level: &str, text: &str) {
    write(format!("[2026-01-02 03:04:05] [{id}] [{level:<5}] [main.go:123] {text}\n").as_bytes());
}

pub fn info(text: &str) {
    line("--------", "info", text);
}

pub fn warn(text: &str) {
    line("--------", "warn", text);
}

pub fn error(text: &str) {
    line("--------", "error", text);
}

pub fn access(status: u16, method: &str, path: &str) {
    let level = match status {
        500.. => "error",
        400.. => "warn",
        _ => "info",
    };
    let id = if path.starts_with("/v1") {
        "0a1b2c3d"
    } else {
        "--------"
    };
    line(
        id,
        level,
        &format!(
            "{status} | {:>13} | {:>15} | {method:<7} \"{path}\"",
            "12ms", "127.0.0.1"
        ),
    );
}

/// Everything a reader must survive, and a few megabytes of it.
pub fn flood() {
    write(b"\n[a] b ] c ]]] [ [\n\xff\xfe\x00 not text\n[2026-01-02 03:04:05] [x\n");
    write(&[&[b'x'; 100 * 1024][..], b"\n"].concat());
    for n in 0..40_000 {
        line(
            "--------",
            "debug",
            &format!("flood {n} ] {}", "y".repeat(60)),
        );
    }
    write(b"FLOOD-DONE and no end of line");
    write(b"\n");
}
