//! What went through: the latest requests with both bodies and both answers, kept in a ring and told to live viewers.
//!
//! Always on, so it has to be cheap: a request's record is its own until it ends, pushing to it copies at most
//! SIDE_BYTES_MAX a side, and one short lock at the end puts it into the ring. Records that fall out of the ring are used
//! again, so that nothing is allocated in the steady state. Credential fields are never stored; everything else is redacted
//! when it is read ([`redact`]), never here.

pub mod feed;
pub mod mode;
pub mod redact;
mod report;

use super::route::Route;
use super::snapshot::Snapshot;
use super::usage::Usage;
use crate::protocol::{Protocol, Warnings};
use crate::wire::head::{Method, RequestHead};
use feed::Event;
use redact::Secrets;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Records kept.
pub const RECORDS_MAX: usize = 64;
/// Bytes kept of a body or answer.
pub const SIDE_BYTES_MAX: usize = 32 * 1024;
/// Bytes of all records of the ring, and again of all records of running requests.
pub const ALL_BYTES_MAX: usize = 4 << 20;
/// Records for reuse on each thread: requests that end in one turn leave as many behind as begin in the next.
const SPARES_MAX: usize = 32;
/// Bytes that the spare records of a thread own. They keep their memory, because musl's allocator maps and unmaps pages for
/// each text of a stream.
const SPARE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a request's target that are kept.
const TARGET_BYTES_MAX: usize = 2048;
/// Bytes of an error's sentence that are kept.
const ERROR_BYTES_MAX: usize = 2048;

/// Memory of the records of running requests.
static OPEN_BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SPARES: RefCell<Spares> = const { RefCell::new(Spares { records: Vec::new(), bytes: 0 }) };
}

/// Records without content, and what they own together.
struct Spares {
    records: Vec<Arc<Record>>,
    bytes: usize,
}

impl Spares {
    fn take(&mut self) -> Option<Arc<Record>> {
        let record = self.records.pop()?;
        self.bytes -= record.capacity();
        Some(record)
    }

    fn put(&mut self, record: Arc<Record>) {
        let bytes = record.capacity();
        if self.records.len() < SPARES_MAX && self.bytes + bytes <= SPARE_BYTES_MAX {
            self.bytes += bytes;
            self.records.push(record);
        }
    }
}

/// Whose bytes, on which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The body the client sent.
    ClientRequest,
    /// The body the upstream was sent.
    UpstreamRequest,
    /// The upstream's answer.
    UpstreamResponse,
    /// What the client was answered, where that is something else.
    ClientResponse,
}

impl Side {
    const ALL: [Side; 4] = [
        Side::ClientRequest,
        Side::UpstreamRequest,
        Side::UpstreamResponse,
        Side::ClientResponse,
    ];

    /// Its name in a record.
    pub fn name(self) -> &'static str {
        match self {
            Side::ClientRequest => "client_request",
            Side::UpstreamRequest => "upstream_request",
            Side::UpstreamResponse => "upstream_response",
            Side::ClientResponse => "client_response",
        }
    }
}

/// The beginning of a text, and how long all of it was.
#[derive(Default)]
struct Tape {
    bytes: Vec<u8>,
    total: u64,
}

impl Tape {
    /// Something was left out; what comes later is, too.
    fn is_cut(&self) -> bool {
        self.total > self.bytes.len() as u64
    }

    /// Appends as much as may be kept; `charged` is what the record has taken of OPEN_BYTES.
    fn push(&mut self, data: &[u8], most: usize, charged: &mut usize) {
        let whole = !self.is_cut();
        self.total += data.len() as u64;
        if !whole {
            return;
        }
        let fits = data.len().min(most.saturating_sub(self.bytes.len()));
        let need = self.bytes.len() + fits;
        if need > self.bytes.capacity() {
            let capacity = need
                .max(2 * self.bytes.capacity())
                .max(256)
                .min(most.max(256));
            let more = capacity - self.bytes.capacity();
            if OPEN_BYTES.fetch_add(more, Ordering::Relaxed) + more > ALL_BYTES_MAX {
                OPEN_BYTES.fetch_sub(more, Ordering::Relaxed);
                return;
            }
            *charged += more;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(&data[..fits]);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.total = 0;
    }
}

/// One request from its beginning on. Made by [`Record::begin`], ended by [`Ring::keep`] or dropped; until then nobody shares it.
pub struct Record {
    id: [u8; ID_BYTES],
    snapshot: Option<Arc<Snapshot>>,
    route: Option<Arc<Route>>,
    client_protocol: Protocol,
    upstream_protocol: Protocol,
    method: Method,
    peer: IpAddr,
    client_key: Option<Box<str>>,
    received_at: Instant,
    /// The client's target, the upstream's target, then field lines: the client's that travel, the upstream's that come back.
    texts: [Tape; 4],
    sides: [Tape; 4],
    upstream_status: u16,
    /// The answer is a stream of events.
    pub streams: bool,
    charged: usize,
    end: End,
}

/// Bytes of a request's id.
pub const ID_BYTES: usize = 28;

const TARGET: usize = 0;
const UPSTREAM_TARGET: usize = 1;
const FIELDS: usize = 2;
const UPSTREAM_FIELDS: usize = 3;

/// How a request ended, or stands.
#[derive(Default)]
pub struct End {
    /// What the client was sent; 0: nothing.
    pub status: u16,
    /// Unix milliseconds of the beginning.
    pub started_ms: u64,
    /// From the head to the end.
    pub duration: Duration,
    /// From the head to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// Token counts.
    pub usage: Usage,
    /// What a conversion lost.
    pub warnings: Warnings,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The answer was sent to its end.
    pub complete: bool,
    /// Why there was another answer than the upstream's.
    pub error: Option<Box<str>>,
}

/// What is known when a request begins.
pub struct Beginning<'a> {
    /// Its id, ID_BYTES long.
    pub id: &'a str,
    /// The configuration it runs under, whose secrets it may hold.
    pub snapshot: &'a Arc<Snapshot>,
    /// Its head.
    pub head: &'a RequestHead,
    /// The client's address.
    pub peer: IpAddr,
    /// The name of its key.
    pub client_key: Option<&'a str>,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// When its head was complete.
    pub received_at: Instant,
}

impl Record {
    /// A record of a request that begins now.
    pub fn begin(begin: &Beginning<'_>) -> Arc<Record> {
        let spare = SPARES.with_borrow_mut(Spares::take);
        let mut own = spare.unwrap_or_else(|| Arc::new(Record::empty()));
        if let Some(record) = Arc::get_mut(&mut own) {
            record.open(begin);
        }
        own
    }

    fn open(&mut self, begin: &Beginning<'_>) {
        let record = self;
        record.charged = record.capacity();
        if record.charged > 0
            && OPEN_BYTES.fetch_add(record.charged, Ordering::Relaxed) + record.charged
                > ALL_BYTES_MAX
        {
            OPEN_BYTES.fetch_sub(record.charged, Ordering::Relaxed);
            *record = Record::empty();
        }
        let id = begin.id.as_bytes();
        let length = id.len().min(ID_BYTES);
        record.id[..length].copy_from_slice(&id[..length]);
        record.snapshot = Some(begin.snapshot.clone());
        record.client_protocol = begin.protocol;
        record.upstream_protocol = begin.protocol;
        record.method = begin.head.method;
        record.peer = begin.peer.to_canonical();
        record.client_key = begin.client_key.map(Box::from);
        record.received_at = begin.received_at;
        record.text(TARGET, begin.head.target().as_bytes());
        if feed::is_watched() {
            feed::send(Event::begin(record));
        }
    }

    fn empty() -> Record {
        Record {
            id: [b' '; ID_BYTES],
            snapshot: None,
            route: None,
            client_protocol: Protocol::Chat,
            upstream_protocol: Protocol::Chat,
            method: Method::Other,
            peer: IpAddr::from([0, 0, 0, 0]),
            client_key: None,
            received_at: Instant::now(),
            texts: Default::default(),
            sides: Default::default(),
            upstream_status: 0,
            streams: false,
            charged: 0,
            end: End::default(),
        }
    }

    fn text(&mut self, which: usize, text: &[u8]) {
        self.texts[which].push(text, TARGET_BYTES_MAX, &mut self.charged);
    }

    /// The request has a route, and is sent in that protocol.
    pub fn routed(&mut self, route: &Arc<Route>, to: Protocol) {
        self.route = Some(route.clone());
        self.upstream_protocol = to;
        if feed::is_watched() {
            feed::send(Event::route(self));
        }
    }

    /// The upstream is sent this, on that path and query; `fields` are the client's field lines, those that travel.
    pub fn asks(&mut self, target: &str, fields: &[u8], parts: &[&[u8]]) {
        self.text(UPSTREAM_TARGET, target.as_bytes());
        self.text(FIELDS, fields);
        for part in parts {
            self.push(Side::UpstreamRequest, part);
        }
    }

    /// The head of the upstream's answer; `fields` are its field lines that come back.
    pub fn answered(&mut self, status: u16, fields: &[u8]) {
        self.upstream_status = status;
        self.text(UPSTREAM_FIELDS, fields);
        if feed::is_watched() {
            feed::send(Event::response(self));
        }
    }

    /// More bytes of one side.
    pub fn push(&mut self, side: Side, data: &[u8]) {
        self.sides[side as usize].push(data, SIDE_BYTES_MAX, &mut self.charged);
        if matches!(side, Side::UpstreamResponse | Side::ClientResponse) && feed::is_watched() {
            feed::send_data(self, side, data);
        }
    }

    fn capacity(&self) -> usize {
        let tapes = self.texts.iter().chain(&self.sides);
        tapes.map(|tape| tape.bytes.capacity()).sum()
    }

    /// The protocol the client speaks.
    pub fn client_protocol(&self) -> Protocol {
        self.client_protocol
    }

    /// The request's id.
    pub fn id(&self) -> &str {
        std::str::from_utf8(&self.id).unwrap_or_default().trim_end()
    }

    /// The upstream's own id of its answer, which the client is told within one protocol.
    pub fn upstream_id(&self) -> Option<&str> {
        let fields = std::str::from_utf8(&self.texts[UPSTREAM_FIELDS].bytes).ok()?;
        let value = |wanted: &str| {
            fields.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case(wanted).then(|| value.trim())
            })
        };
        let id = value("x-request-id").or_else(|| value("request-id"));
        id.filter(|id| !id.is_empty())
    }

    /// The name of the client's key.
    pub fn client_key(&self) -> Option<&str> {
        self.client_key.as_deref()
    }

    /// The status of the upstream's answer, once it came.
    pub fn upstream_status(&self) -> Option<u16> {
        Some(self.upstream_status).filter(|status| *status > 0)
    }

    /// The path the upstream was asked.
    pub fn upstream_path(&self) -> Cow<'_, str> {
        let target = &self.texts[UPSTREAM_TARGET].bytes;
        let end = target.iter().position(|&byte| byte == b'?');
        String::from_utf8_lossy(&target[..end.unwrap_or(target.len())])
    }

    /// How long ago the request's head was complete.
    pub fn age(&self) -> Duration {
        self.received_at.elapsed()
    }

    /// Keeps a record that fell out of the ring for another request, without what belonged to its own.
    fn recycle(mut fallen: Arc<Record>) {
        let Some(record) = Arc::get_mut(&mut fallen) else {
            return; // someone is reading it
        };
        for tape in record.texts.iter_mut().chain(&mut record.sides) {
            tape.clear();
        }
        (record.snapshot, record.route, record.client_key) = (None, None, None);
        (record.upstream_status, record.streams, record.end) = (0, false, End::default());
        // try_with: the thread may be ending.
        let _ = SPARES.try_with(|spares| spares.borrow_mut().put(fallen));
    }

    /// It is no longer that of a running request.
    fn release(&mut self) {
        OPEN_BYTES.fetch_sub(std::mem::take(&mut self.charged), Ordering::Relaxed);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.release();
    }
}

/// The latest records.
#[derive(Default)]
pub struct Ring {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The oldest first.
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing under this lock can panic half way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record that has ended; the oldest go for it.
    pub fn keep(&self, mut own: Arc<Record>, mut end: End) {
        let Some(record) = Arc::get_mut(&mut own) else {
            return; // never: only the ring shares records
        };
        if let Some(error) = &mut end.error
            && error.len() > ERROR_BYTES_MAX
        {
            *error = error
                .chars()
                .take(ERROR_BYTES_MAX / 4)
                .collect::<String>()
                .into();
        }
        record.end = end;
        record.release();
        if feed::is_watched() {
            feed::send(Event::end(record));
        }
        let bytes = record.capacity();
        let mut fallen: Option<Arc<Record>> = None;
        let mut kept = self.lock();
        kept.bytes += bytes;
        kept.records.push_back(own);
        while kept.records.len() > RECORDS_MAX || kept.bytes > ALL_BYTES_MAX {
            let Some(oldest) = kept.records.pop_front() else {
                break;
            };
            kept.bytes -= oldest.capacity();
            if let Some(earlier) = fallen.replace(oldest) {
                Record::recycle(earlier);
            }
        }
        drop(kept);
        if let Some(record) = fallen {
            Record::recycle(record);
        }
    }

    /// Forgets all records.
    pub fn clear(&self) {
        let kept = std::mem::take(&mut *self.lock());
        drop(kept);
        if feed::is_watched() {
            feed::send(Event::cleared());
        }
    }

    /// Summaries, the newest first, as a JSON array.
    pub fn list(&self) -> Vec<u8> {
        let records: Vec<Arc<Record>> = self.lock().records.iter().rev().cloned().collect();
        let mut known: Vec<(Arc<Snapshot>, Secrets)> = Vec::new();
        let mut out = vec![b'['];
        for record in &records {
            if out.len() > 1 {
                out.push(b',');
            }
            let mut summary = vec![b'{'];
            report::write_summary(&mut summary, record, &record.end);
            summary.push(b'}');
            let Some(snapshot) = &record.snapshot else {
                continue; // never: it has one from its beginning on
            };
            if !known
                .last()
                .is_some_and(|(same, _)| Arc::ptr_eq(same, snapshot))
            {
                known.push((snapshot.clone(), Secrets::of(snapshot)));
            }
            if let Some((_, secrets)) = known.last() {
                out.extend_from_slice(&secrets.redact(&summary));
            }
        }
        out.push(b']');
        out
    }

    /// The record of that id, the gateway's or the upstream's, else with `None` the latest one, as a JSON object.
    pub fn record(&self, id: Option<&str>) -> Option<Vec<u8>> {
        let record = {
            let kept = self.lock();
            match id {
                Some(id) => kept
                    .records
                    .iter()
                    .rev()
                    .find(|record| record.id() == id || record.upstream_id() == Some(id))
                    .cloned(),
                None => kept.records.back().cloned(),
            }
        };
        record.map(|record| report::record(&record, &record.end))
    }
}

impl Record {
    /// The record as it stands, as a JSON object: for the answer of its own request.
    pub fn report(&self, end: &End) -> Vec<u8> {
        report::record(self, end)
    }
}

#[cfg(test)]
mod tests;
