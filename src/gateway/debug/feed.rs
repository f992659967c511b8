//! The live feed: records as they grow, for whoever watches. One bounded channel for the process; a viewer that does not
//! keep up is told how much it missed, and nobody waits for it. With nobody watching all of it costs one load.

use super::redact::Secrets;
use super::report::{self, write_member};
use super::{Record, Side};
use crate::clock;
use crate::gateway::snapshot::Snapshot;
use crate::wire::json::write_string;
use crate::wire::sse::write_event;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::broadcast::{self, error::RecvError};

/// Events that wait for a viewer.
const EVENTS_MAX: usize = 256;
/// Bytes of one piece; a larger one is told in several.
const PIECE_BYTES_MAX: usize = 8 * 1024;
/// Requests of which a viewer holds the end of a piece back; beyond it pieces are shown only up to there.
const HELD_MAX: usize = 1024;

static WATCHERS: AtomicUsize = AtomicUsize::new(0);
static CHANNEL: OnceLock<broadcast::Sender<Arc<Event>>> = OnceLock::new();

/// Something that happened to a record.
pub(super) struct Event {
    name: &'static str,
    /// The request it is about, and the configuration whose secrets it may hold.
    id: String,
    snapshot: Option<Arc<Snapshot>>,
    what: What,
}

enum What {
    /// A whole JSON object, not yet redacted unless it needs no redaction.
    Json(Vec<u8>),
    Piece {
        side: Side,
        at_ms: u64,
        bytes: Box<[u8]>,
    },
}

/// Whether anyone watches.
pub(super) fn is_watched() -> bool {
    WATCHERS.load(Ordering::Relaxed) > 0
}

pub(super) fn send(event: Event) {
    if let Some(channel) = CHANNEL.get() {
        let _ = channel.send(Arc::new(event)); // the last viewer may just have left
    }
}

pub(super) fn send_data(record: &Record, side: Side, data: &[u8]) {
    let at_ms = record.received_at.elapsed().as_millis() as u64;
    for piece in data.chunks(PIECE_BYTES_MAX) {
        let bytes = piece.into();
        send(Event::about(
            record,
            "data",
            What::Piece { side, at_ms, bytes },
        ));
    }
}

impl Event {
    fn about(record: &Record, name: &'static str, what: What) -> Event {
        Event {
            name,
            id: record.id().to_owned(),
            snapshot: record.snapshot.clone(),
            what,
        }
    }

    fn json(record: &Record, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) -> Event {
        let mut out = vec![b'{'];
        write(&mut out);
        out.push(b'}');
        Event::about(record, name, What::Json(out))
    }

    pub(super) fn begin(record: &Record) -> Event {
        Event::json(record, "begin", |out| {
            let started_ms =
                clock::unix_ms().saturating_sub(record.received_at.elapsed().as_millis() as u64);
            write_member(out, "id", record.id());
            out.extend_from_slice(format!(",\"started_ms\":{started_ms},").as_bytes());
            report::write_entry(out, record);
        })
    }

    pub(super) fn route(record: &Record) -> Event {
        Event::json(record, "route", |out| {
            write_member(out, "id", record.id());
            out.push(b',');
            report::write_route(out, record);
        })
    }

    pub(super) fn response(record: &Record) -> Event {
        Event::json(record, "response", |out| {
            write_member(out, "id", record.id());
            out.extend_from_slice(format!(",\"status\":{}", record.upstream_status).as_bytes());
        })
    }

    pub(super) fn end(record: &Record) -> Event {
        Event::json(record, "end", |out| {
            report::write_summary(out, record, &record.end)
        })
    }

    pub(super) fn cleared() -> Event {
        Event {
            name: "cleared",
            id: String::new(),
            snapshot: None,
            what: What::Json(b"{}".to_vec()),
        }
    }
}

/// One who watches. Counted from the beginning to the drop.
pub struct Viewer {
    events: broadcast::Receiver<Arc<Event>>,
    /// The secrets of the configurations that were met, the latest last.
    secrets: Vec<(Arc<Snapshot>, Arc<Secrets>)>,
    /// The ends of pieces that may go on as a secret or a character.
    held: HashMap<(String, &'static str), Vec<u8>>,
}

/// Configurations whose secrets a viewer remembers.
const SECRETS_MAX: usize = 8;

impl Viewer {
    /// Watches from now on.
    pub fn new() -> Viewer {
        let channel = CHANNEL.get_or_init(|| broadcast::channel(EVENTS_MAX).0);
        WATCHERS.fetch_add(1, Ordering::Relaxed);
        Viewer {
            events: channel.subscribe(),
            secrets: Vec::new(),
            held: HashMap::new(),
        }
    }

    /// Waits for what comes next and appends it to `out` as server-sent events; nothing is lost if it is dropped while waiting.
    pub async fn next(&mut self, out: &mut Vec<u8>) {
        match self.events.recv().await {
            Ok(event) => self.write(&event, out),
            Err(RecvError::Lagged(missed)) => {
                self.held.clear(); // what follows does not join on
                write_event(
                    out,
                    b"lagged",
                    format!("{{\"missed\":{missed}}}").as_bytes(),
                );
            }
            // The channel lives as long as the process.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        let secrets = event
            .snapshot
            .as_ref()
            .map(|snapshot| self.secrets(snapshot));
        let secrets = secrets.unwrap_or_default();
        match &event.what {
            What::Json(json) => {
                if event.name == "end" {
                    self.flush(&event.id, &secrets, out);
                }
                write_event(out, event.name.as_bytes(), &secrets.redact(json));
            }
            What::Piece { side, at_ms, bytes } => {
                let key = (event.id.clone(), side.name());
                let mut text = self.held.remove(&key).unwrap_or_default();
                text.extend_from_slice(bytes);
                let keep = secrets.unsettled(&text).max(unfinished_character(&text));
                let settled = text.len() - keep;
                if keep > 0 && self.held.len() < HELD_MAX {
                    self.held.insert(key, text[settled..].to_vec());
                }
                text.truncate(settled);
                write_piece(out, &event.id, side.name(), *at_ms, &secrets.redact(&text));
            }
        }
    }

    /// What was held back is all there is.
    fn flush(&mut self, id: &str, secrets: &Secrets, out: &mut Vec<u8>) {
        for side in Side::ALL {
            if let Some(text) = self.held.remove(&(id.to_owned(), side.name())) {
                write_piece(out, id, side.name(), 0, &secrets.redact(&text));
            }
        }
    }

    fn secrets(&mut self, snapshot: &Arc<Snapshot>) -> Arc<Secrets> {
        if let Some((_, secrets)) = self
            .secrets
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, snapshot))
        {
            return secrets.clone();
        }
        let secrets = Arc::new(Secrets::of(snapshot));
        if self.secrets.len() >= SECRETS_MAX {
            self.secrets.remove(0);
        }
        self.secrets.push((snapshot.clone(), secrets.clone()));
        secrets
    }
}

impl Default for Viewer {
    fn default() -> Viewer {
        Viewer::new()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        WATCHERS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn write_piece(out: &mut Vec<u8>, id: &str, side: &str, at_ms: u64, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    let mut json = vec![b'{'];
    write_member(&mut json, "id", id);
    json.push(b',');
    write_member(&mut json, "side", side);
    json.extend_from_slice(format!(",\"at_ms\":{at_ms},\"text\":").as_bytes());
    write_string(&mut json, &String::from_utf8_lossy(text));
    json.push(b'}');
    write_event(out, b"data", &json);
}

/// Bytes at the end that begin a UTF-8 character and do not end it.
fn unfinished_character(text: &[u8]) -> usize {
    let tail = &text[text.len().saturating_sub(3)..];
    let begin = tail.iter().rposition(|&byte| byte >= 0xC0);
    begin.map_or(0, |at| {
        let length = match tail[at] {
            0xF0.. => 4,
            0xE0.. => 3,
            _ => 2,
        };
        let there = tail.len() - at;
        if there < length { there } else { 0 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unfinished_character_is_held() {
        assert_eq!(unfinished_character("aé".as_bytes()), 0);
        assert_eq!(unfinished_character(&"é".as_bytes()[..1]), 1);
        assert_eq!(unfinished_character(&"a€".as_bytes()[..3]), 2);
        assert_eq!(unfinished_character(&"😀".as_bytes()[..3]), 3);
        assert_eq!(unfinished_character("😀".as_bytes()), 0);
        assert_eq!(unfinished_character(b""), 0);
    }
}
