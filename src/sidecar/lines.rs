//! The sidecar's output, as bytes that may be anything: cut into lines, bounded, and said again in our own log with a
//! prefix. It is read for ever, because a sidecar whose output nobody reads stops answering after 64 KiB of it.

use crate::log::{self, Level};
use std::sync::{Arc, Mutex, PoisonError};

/// A longer line is cut.
pub const LINE_BYTES_MAX: usize = 2048;
/// What is kept of the words that may explain an end.
const WORDS_BYTES_MAX: usize = 300;

/// Cuts bytes into lines.
#[derive(Default)]
pub struct Lines {
    held: Vec<u8>,
}

impl Lines {
    /// Takes bytes in and hands out each line that ends in them, without its end. A line over [`LINE_BYTES_MAX`] is cut there.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.hold(&bytes[..end]);
            take(self.held.strip_suffix(b"\r").unwrap_or(&self.held));
            self.held.clear();
            bytes = &bytes[end + 1..];
        }
        self.hold(bytes);
    }

    /// The last line, if it had no end.
    pub fn finish(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.held.is_empty() {
            take(&self.held);
            self.held.clear();
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX - self.held.len();
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// One line, taken apart: `[2026-01-02 03:04:05] [0a1b2c3d] [info ] [main.go:123] text`.
#[derive(Debug, PartialEq, Eq)]
struct Said<'a> {
    level: Level,
    id: Option<&'a str>,
    text: &'a str,
}

/// What does not have that shape is text as a whole.
fn understand(line: &str) -> Said<'_> {
    let plain = Said {
        level: Level::Info,
        id: None,
        text: line,
    };
    let mut rest = line;
    let mut parts = [""; 4];
    for part in &mut parts {
        let Some((inside, after)) = rest
            .trim_start()
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        else {
            return plain;
        };
        (*part, rest) = (inside.trim(), after);
    }
    let level = match parts[2] {
        "debug" => Level::Debug,
        "info" => Level::Info,
        "warn" | "warning" => Level::Warn,
        "error" | "fatal" | "panic" => Level::Error,
        _ => return plain,
    };
    let text = rest.trim_start();
    // An access line: the request is in our own log, a probe is of no interest, and its path may hold a login's state.
    let is_access = text.len() > 4
        && text.as_bytes()[..3].iter().all(u8::is_ascii_digit)
        && text[3..].starts_with(" | ");
    Said {
        level: if is_access { Level::Debug } else { level },
        id: (parts[1].len() == 8 && !parts[1].contains('-')).then_some(parts[1]),
        text,
    }
}

/// What the process said last that may explain its end.
#[derive(Clone, Default)]
pub struct LastWords(Arc<Mutex<Words>>);

#[derive(Default)]
struct Words {
    error: Option<String>,
    other: Option<String>,
}

impl LastWords {
    /// The last error it reported; else the last line that was not about a request.
    pub fn text(&self) -> Option<String> {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        words.error.clone().or_else(|| words.other.clone())
    }

    fn hear(&self, said: &Said<'_>) {
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = said.text.chars().take(WORDS_BYTES_MAX).collect();
        match said.level {
            Level::Error => words.error = Some(text),
            Level::Warn | Level::Info => words.other = Some(text),
            Level::Debug => {}
        }
    }
}

/// Says one line again. `secrets` are ours and would have no business in it; should one be there, it is masked.
pub fn repeat(line: &[u8], secrets: &[&str], words: &LastWords) {
    let text = String::from_utf8_lossy(line);
    if text.trim().is_empty() {
        return;
    }
    let mut text = text.into_owned();
    for secret in secrets {
        if text.contains(secret) {
            text = text.replace(secret, "***");
        }
    }
    let said = understand(&text);
    words.hear(&said);
    let message = format!("sidecar: {}", said.text);
    match said.id {
        Some(id) => log::line(said.level, &message, &[("id", &id)]),
        None => log::line(said.level, &message, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dice::Dice;

    fn cut(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| out.push(line.to_vec()));
        }
        lines.finish(|line| out.push(line.to_vec()));
        out
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let all = b"one\r\n\n\xff\xfe]][\nlast without end";
        let whole = cut(&[all]);
        assert_eq!(
            whole,
            [&b"one"[..], b"", b"\xff\xfe]][", b"last without end"]
        );
        for at in 0..all.len() {
            assert_eq!(cut(&[&all[..at], &all[at..]]), whole);
        }
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(cut(&bytes), whole);
    }

    #[test]
    fn a_line_without_end_never_grows_beyond_its_bound() {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for _ in 0..100 {
            lines.push(&[b'x'; 4096], |line| out.push(line.to_vec()));
            assert!(lines.held.len() <= LINE_BYTES_MAX);
        }
        lines.push(b"\nnext\n", |line| out.push(line.to_vec()));
        assert_eq!(out, [vec![b'x'; LINE_BYTES_MAX], b"next".to_vec()]);
    }

    #[test]
    fn a_log_line_is_taken_apart_and_anything_else_is_left_whole() {
        let line = "[2026-01-02 03:04:05] [0a1b2c3d] [warn ] [main.go:123] a ] b [c] k=v";
        let said = understand(line);
        assert_eq!(
            (said.level, said.id, said.text),
            (Level::Warn, Some("0a1b2c3d"), "a ] b [c] k=v")
        );
        let access = "[2026-01-02 03:04:05] [--------] [error] [x.go:1] 500 |  12ms | 127.0.0.1 | GET     \"/v0/management/get-auth-status?state=abc\"";
        assert_eq!(understand(access).level, Level::Debug);
        for odd in [
            "",
            "]",
            "[",
            "[a] [b] [c",
            "[a] [b] [loud] [d] e",
            "CLIProxyAPI Version: 7",
            "[é] [ü] [info ] [ö]",
        ] {
            let said = understand(odd);
            assert_eq!((said.level, said.id), (Level::Info, None), "{odd}");
        }
        assert_eq!(understand("[a] [b] [info ] [c]12é | x").text, "12é | x");
    }

    #[test]
    fn the_last_error_outlives_what_is_said_after_it() {
        let words = LastWords::default();
        repeat(b"API server started", &[], &words);
        assert_eq!(words.text().as_deref(), Some("API server started"));
        repeat(
            b"[t] [--------] [error] [m.go:1] address already in use, key sec-1",
            &["sec-1"],
            &words,
        );
        repeat(b"[t] [--------] [info ] [m.go:1] bye", &[], &words);
        assert_eq!(
            words.text().as_deref(),
            Some("address already in use, key ***")
        );
    }

    #[test]
    fn no_bytes_break_the_reader() {
        let honest =
            b"[2026-01-02 03:04:05] [--------] [info ] [main.go:123] 200 | text\n\xc3\xa9\n";
        for seed in 0..300 {
            let mut dice = Dice::new(seed);
            let bytes = dice.mutate(honest, b"[]|\n\r \xff\0");
            for line in cut(&[&bytes]) {
                let text = String::from_utf8_lossy(&line);
                let said = understand(&text);
                assert!(text.ends_with(said.text));
                LastWords::default().hear(&said);
            }
        }
    }
}
