//! The log: lines `2026-11-25T10:00:00.123Z INFO message key=value` on stderr, level from LOG. A caller formats into its
//! thread's buffer and appends it to a bounded queue; one writer thread empties the queue, so a blocked stderr blocks nobody.
//! Lines that do not fit are dropped, counted, and the count is reported in a later line. A disabled level costs one load.

use crate::clock;
use std::cell::Cell;
use std::fmt::{self, Display, Write as _};
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// Lines waiting for stderr never take more than this; about 4,000 of them fit.
pub const QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// A value longer than this is cut, with `…` at its end.
pub const VALUE_BYTES_MAX: usize = 2048;
/// How long the writer gathers lines before it writes them in one call. Warnings and errors do not wait.
const GATHER: Duration = Duration::from_millis(20);

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something may not work, or not as the user thinks.
    Warn,
    /// What the gateway does, one line per request included.
    Info,
    /// What helps when it does not do that.
    Debug,
}

impl Level {
    /// The level of that name, as LOG has it; any case.
    pub fn parse(name: &str) -> Option<Level> {
        let all = [Level::Error, Level::Warn, Level::Info, Level::Debug];
        all.into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// Its name in a line.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
        }
    }
}

static MOST: AtomicU8 = AtomicU8::new(Level::Info as u8);
static LOG: Log = Log::new();

/// Lines up to this level are written from now on. It is `Info` at first.
pub fn set_level(level: Level) {
    MOST.store(level as u8, Ordering::Relaxed);
}

/// Whether lines of this level are written.
#[inline]
pub fn enabled(level: Level) -> bool {
    level as u8 <= MOST.load(Ordering::Relaxed)
}

/// Logs `log::info!("message", key = value, …)`; a value is anything that is `Display`.
#[doc(hidden)]
#[macro_export]
macro_rules! log_line {
    ($level:ident, $message:expr $(, $key:ident = $value:expr)* $(,)?) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            $crate::log::line(
                $crate::log::Level::$level,
                $message,
                &[$((stringify!($key), &$value as &dyn ::std::fmt::Display)),*],
            );
        }
    };
}

/// Logs an error: `log::error!("message", key = value)`.
#[macro_export]
macro_rules! log_error { ($($line:tt)*) => { $crate::log_line!(Error, $($line)*) } }
/// Logs a warning: `log::warn!("message", key = value)`.
#[macro_export]
macro_rules! log_warn { ($($line:tt)*) => { $crate::log_line!(Warn, $($line)*) } }
/// Logs what happens: `log::info!("message", key = value)`.
#[macro_export]
macro_rules! log_info { ($($line:tt)*) => { $crate::log_line!(Info, $($line)*) } }
/// Logs a detail: `log::debug!("message", key = value)`.
#[macro_export]
macro_rules! log_debug { ($($line:tt)*) => { $crate::log_line!(Debug, $($line)*) } }

pub use crate::{log_debug as debug, log_error as error, log_info as info, log_warn as warn};

/// Logs one line; the macros are the usual way here.
pub fn line(level: Level, message: &str, fields: &[(&str, &dyn Display)]) {
    raw(level, |out| {
        write_escaped(out, message, false);
        for (key, value) in fields {
            out.push(b' ');
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            write_value(out, value);
        }
    });
}

/// Logs a line whose text after stamp and level `write` appends to the buffer, for callers that count allocations. What it
/// appends must hold no line end: text from outside goes through [`write_text`].
pub fn raw(level: Level, write: impl FnOnce(&mut Vec<u8>)) {
    if enabled(level) {
        format_line(level, write, |line| LOG.push(level, line));
    }
}

/// Waits until every line logged so far is written, at most `limit`. True if they are. For the end of the process.
pub fn flush(limit: Duration) -> bool {
    LOG.flush(limit)
}

fn format_line<T>(
    level: Level,
    write: impl FnOnce(&mut Vec<u8>),
    done: impl FnOnce(&[u8]) -> T,
) -> T {
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // Taken, not borrowed: a Display that logs while it is being logged gets a fresh buffer.
    let mut buffer = BUFFER.take();
    buffer.clear();
    clock::write_stamp(&mut buffer, clock::unix_ms());
    buffer.push(b' ');
    buffer.extend_from_slice(level.name().as_bytes());
    buffer.push(b' ');
    write(&mut buffer);
    buffer.push(b'\n');
    let done = done(&buffer);
    BUFFER.set(buffer);
    done
}

/// Appends a value: as it is if it is one plain word, else quoted and escaped.
pub fn write_value(out: &mut Vec<u8>, value: &dyn Display) {
    struct Cut<'a> {
        out: &'a mut Vec<u8>,
        end: usize,
    }
    impl fmt::Write for Cut<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = self.end - self.out.len();
            if text.len() <= room {
                self.out.extend_from_slice(text.as_bytes());
                return Ok(());
            }
            self.out.extend_from_slice(cut(text, room).as_bytes());
            self.out.extend_from_slice("…".as_bytes());
            Err(fmt::Error)
        }
    }
    let start = out.len();
    let mut cut = Cut {
        end: start + VALUE_BYTES_MAX,
        out,
    };
    // An error means it was cut, or that the value's own Display failed: what there is is logged.
    let _ = write!(cut, "{value}");
    if !out[start..].iter().copied().all(is_plain) || out.len() == start {
        let text = String::from_utf8_lossy(&out[start..]).into_owned();
        out.truncate(start);
        write_escaped(out, &text, true);
    }
}

/// Appends text from outside, cut to `bytes_max`: as it is if it is one plain word, else quoted and escaped. Allocates nothing.
pub fn write_text(out: &mut Vec<u8>, text: &str, bytes_max: usize) {
    let cut = cut(text, bytes_max);
    match !cut.is_empty() && cut.bytes().all(is_plain) {
        true => out.extend_from_slice(cut.as_bytes()),
        false => write_escaped(out, cut, true),
    }
    if cut.len() < text.len() {
        out.extend_from_slice("…".as_bytes());
    }
}

/// The longest start of at most that many bytes that ends at a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A byte that needs neither quotes nor escapes. Of characters beyond ASCII those that are no harm are quoted all the same.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=')
}

/// Whatever could end a line, move the cursor or reorder what is seen becomes `\u{…}`.
fn write_escaped(out: &mut Vec<u8>, text: &str, quoted: bool) {
    if quoted {
        out.push(b'"');
    }
    for c in text.chars() {
        match c {
            '"' | '\\' if quoted => out.extend_from_slice(&[b'\\', c as u8]),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // Line and paragraph separators, and the marks that change direction (UAX 9).
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                out.extend(c.escape_unicode().map(|c| c as u8));
            }
            c if c.is_control() => out.extend(c.escape_unicode().map(|c| c as u8)),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if quoted {
        out.push(b'"');
    }
}

/// The queue and what callers and the writer tell each other about it.
struct Log {
    queue: Mutex<Queue>,
    /// To the writer: there are lines.
    filled: Condvar,
    /// To those who flush: all lines are written.
    emptied: Condvar,
    start: Once,
}

struct Queue {
    lines: Vec<u8>,
    dropped: u64,
    /// The writer waits for a first line and must be woken for it.
    asleep: bool,
    /// Lines have been taken and are not yet written.
    writing: bool,
    /// Write now; do not gather.
    urgent: bool,
}

impl Log {
    const fn new() -> Log {
        let queue = Queue {
            lines: Vec::new(),
            dropped: 0,
            asleep: false,
            writing: false,
            urgent: false,
        };
        Log {
            queue: Mutex::new(queue),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            start: Once::new(),
        }
    }

    /// Nothing in here panics while it holds the lock, so a poisoned one is sound.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&'static self, level: Level, line: &[u8]) {
        self.start.call_once(|| {
            let writer = std::thread::Builder::new().name("log".to_owned());
            // It runs until the process ends. Without it lines fill the queue and are dropped: no reason to fail.
            let _ = writer.spawn(move || self.run(std::io::stderr()));
        });
        self.enqueue(level, line);
    }

    fn enqueue(&self, level: Level, line: &[u8]) {
        let mut queue = self.lock();
        if queue.lines.len() + line.len() > QUEUE_BYTES_MAX {
            queue.dropped += 1;
            return;
        }
        queue.lines.extend_from_slice(line);
        let hurry = level <= Level::Warn && !queue.urgent;
        queue.urgent |= hurry;
        let wake = queue.asleep || hurry;
        queue.asleep = false;
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
    }

    /// The writer: never returns. A sink that fails loses the lines it failed on.
    fn run(&self, mut sink: impl Write) {
        let mut taken = Vec::new();
        let mut lost = 0_usize;
        loop {
            let mut queue = self.lock();
            queue.writing = false;
            while queue.lines.is_empty() && queue.dropped == 0 {
                self.emptied.notify_all();
                queue.asleep = true;
                queue = self
                    .filled
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            queue.asleep = false;
            let gathered = self
                .filled
                .wait_timeout_while(queue, GATHER, |queue| !queue.urgent);
            let (mut queue, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            queue.urgent = false;
            queue.writing = true;
            std::mem::swap(&mut queue.lines, &mut taken);
            let dropped = std::mem::take(&mut queue.dropped);
            drop(queue);

            // Whoever could be told of a full disk or a closed pipe is told once lines go through again.
            let written = match lost {
                0 => Ok(()),
                _ => format_line(
                    Level::Warn,
                    |out| {
                        // Writing to a Vec cannot fail.
                        let _ = write!(
                            out,
                            "log lines lost because stderr could not be written count={lost}"
                        );
                    },
                    |line| sink.write_all(line),
                ),
            };
            match written.and_then(|()| {
                lost = 0;
                sink.write_all(&taken)
            }) {
                Ok(()) => {}
                Err(_) => lost += taken.iter().filter(|&&byte| byte == b'\n').count(),
            }
            if dropped > 0 {
                let report = |out: &mut Vec<u8>| {
                    // Writing to a Vec cannot fail.
                    let _ = write!(
                        out,
                        "log lines dropped because stderr was too slow count={dropped}"
                    );
                };
                format_line(Level::Warn, report, |line| {
                    let _ = sink.write_all(line);
                });
            }
            taken.clear();
            taken.shrink_to(16 * 1024); // a burst's memory goes back
        }
    }

    fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut queue = self.lock();
        while !queue.lines.is_empty() || queue.writing {
            queue.urgent = true;
            self.filled.notify_one();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.emptied.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    fn value(value: &dyn Display) -> String {
        let mut out = Vec::new();
        write_value(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_can_neither_end_the_line_nor_forge_a_field() {
        assert_eq!(value(&"plain-word/1"), "plain-word/1");
        assert_eq!(value(&42), "42");
        assert_eq!(value(&""), "\"\"");
        assert_eq!(value(&"two words"), "\"two words\"");
        assert_eq!(value(&"a=b"), "\"a=b\"");
        assert_eq!(value(&"say \"hi\" \\"), r#""say \"hi\" \\""#);
        assert_eq!(
            value(&"a\r\nb\tc\0\x1b[31m"),
            r#""a\r\nb\tc\u{0}\u{1b}[31m""#
        );
        assert_eq!(
            value(&"\u{85}\u{2028}\u{202e}é"),
            r#""\u{85}\u{2028}\u{202e}é""#
        );
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let long = value(&"é".repeat(VALUE_BYTES_MAX));
        assert!(long.ends_with("é…\""), "{long}");
        assert!(long.len() <= VALUE_BYTES_MAX + "\"…\"".len());
        let mut out = Vec::new();
        write_text(&mut out, "aéb", 2);
        write_text(&mut out, "c d", 3);
        assert_eq!(out, "a…\"c d\"".as_bytes());
    }

    #[test]
    fn a_line_is_stamp_level_message_and_fields() {
        let mut text = Vec::new();
        let write = |out: &mut Vec<u8>| {
            write_escaped(out, "it\nhappened", false);
        };
        format_line(Level::Warn, write, |line| text.extend_from_slice(line));
        let text = String::from_utf8(text).unwrap();
        let (stamp, rest) = text.split_once(' ').unwrap();
        assert!(stamp.len() == 24 && stamp.ends_with('Z'), "{text}");
        assert_eq!(rest, "WARN it\\nhappened\n");
    }

    #[test]
    fn the_level_is_read_in_any_case() {
        assert_eq!(Level::parse("warn"), Some(Level::Warn));
        assert_eq!(Level::parse("DEBUG"), Some(Level::Debug));
        assert_eq!(Level::parse("loud"), None);
    }

    /// A sink that takes one write per permit and passes on what was written.
    struct Gate(Receiver<()>, SyncSender<Vec<u8>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let closed = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
            self.0.recv().map_err(closed)?;
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Arc<Log>, SyncSender<()>, Receiver<Vec<u8>>) {
        let (permit, permits) = sync_channel(64);
        let (writes, written) = sync_channel(64);
        let log = Arc::new(Log::new());
        let writer = log.clone();
        std::thread::spawn(move || writer.run(Gate(permits, writes)));
        (log, permit, written)
    }

    /// Until the writer has taken what was enqueued and stands at the gate with it.
    fn until_it_is_written(log: &Log) {
        while !log.lock().writing {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_blocked_sink_blocks_no_caller_and_what_is_dropped_is_counted() {
        let (log, permit, written) = gated();
        log.enqueue(Level::Error, b"first\n");
        until_it_is_written(&log);
        let line = vec![b'x'; 1024];
        let lines = 2 * QUEUE_BYTES_MAX / line.len() + 100;
        for _ in 0..lines {
            log.enqueue(Level::Info, &line);
        }
        assert!(log.lock().lines.len() <= QUEUE_BYTES_MAX);
        assert!(
            !log.flush(Duration::from_millis(10)),
            "the sink is still blocked"
        );

        for _ in 0..16 {
            permit.send(()).unwrap();
        }
        assert!(log.flush(Duration::from_secs(10)));
        let all: Vec<u8> = written.try_iter().flatten().collect();
        let text = String::from_utf8(all).unwrap();
        assert!(text.starts_with("first\n"));
        let count = text
            .rsplit_once("count=")
            .unwrap()
            .1
            .trim()
            .parse::<usize>()
            .unwrap();
        let kept = text.bytes().filter(|&byte| byte == b'x').count() / line.len();
        assert_eq!(kept + count, lines);
    }

    #[test]
    fn what_a_full_disk_lost_is_said_when_it_takes_lines_again() {
        use std::sync::atomic::AtomicBool;
        struct Disk(Arc<AtomicBool>, SyncSender<Vec<u8>>);
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                if self.0.load(Ordering::SeqCst) {
                    return Err(std::io::ErrorKind::StorageFull.into());
                }
                let _ = self.1.send(bytes.to_vec());
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let full = Arc::new(AtomicBool::new(true));
        let (writes, written) = sync_channel(64);
        let (log, disk) = (Arc::new(Log::new()), Disk(full.clone(), writes));
        let writer = log.clone();
        std::thread::spawn(move || writer.run(disk));
        for line in [&b"one\ntwo\n"[..], b"three\n"] {
            log.enqueue(Level::Error, line);
            assert!(log.flush(Duration::from_secs(10)));
        }
        full.store(false, Ordering::SeqCst);
        for line in [&b"four\n"[..], b"five\n"] {
            log.enqueue(Level::Error, line);
            assert!(log.flush(Duration::from_secs(10)));
        }
        let all: Vec<u8> = written.try_iter().flatten().collect();
        let text = String::from_utf8(all).unwrap();
        let (said, rest) = text.split_once('\n').unwrap();
        assert!(said.ends_with("could not be written count=3"), "{text}");
        assert_eq!(rest, "four\nfive\n");
    }

    #[test]
    fn flush_waits_for_lines_that_are_being_written() {
        let (log, permit, _written) = gated();
        log.enqueue(Level::Error, b"only\n");
        until_it_is_written(&log);
        assert!(log.lock().lines.is_empty());
        assert!(!log.flush(Duration::from_millis(10)));
        permit.send(()).unwrap();
        assert!(log.flush(Duration::from_secs(10)));
    }

    #[test]
    fn lines_are_written_in_order_and_flush_waits_for_them() {
        let (log, permit, written) = gated();
        for _ in 0..64 {
            permit.send(()).unwrap();
        }
        for n in 0..50 {
            log.enqueue(Level::Info, format!("{n}\n").as_bytes());
        }
        assert!(log.flush(Duration::from_secs(10)));
        let all: Vec<u8> = written.try_iter().flatten().collect();
        let expected: String = (0..50).map(|n| format!("{n}\n")).collect();
        assert_eq!(String::from_utf8(all).unwrap(), expected);
        assert!(log.flush(Duration::ZERO), "nothing is left");
    }

    #[test]
    fn the_macros_take_any_displayable_value() {
        let level = crate::log::Level::Debug;
        let path = std::path::Path::new("/x y");
        crate::log::debug!(
            "listening",
            addr = "127.0.0.1:1",
            path = path.display(),
            level = level.name()
        );
        crate::log::info!("plain");
        assert!(flush(Duration::from_secs(10)));
    }
}
