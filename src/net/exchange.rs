//! One request and its answer on a client's connection: the body in, the answer out, and whether the client is still there.
//! The answer's framing and the connection's fate are settled when the answer begins; an answer that was begun and not
//! finished is broken off, so that it cannot pass for a whole one. Memory is held only for bytes that wait.

mod receive;
mod relay;
mod socket;

use super::alarm::Alarm;
use super::buffer::{Buffer, Share, with_scratch};
use super::server::Patience;
use super::{First, race};
use crate::clock;
use crate::error::{Error, Kind};
use crate::wire::body::{CHUNK_PREFIX_BYTES_MAX, CHUNK_SUFFIX, Decoder, LAST_CHUNK, chunk_prefix};
use crate::wire::head::{
    Method, RequestHead, Version, write_field, write_number_field, write_status_line,
};
use socket::{gone, poll_fill, poll_read, put, put_parts};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// A body that was not asked for is read and thrown away up to this size; beyond it the connection is closed.
const DRAIN_BYTES_MAX: u64 = 64 * 1024;
/// The end of the last chunk that holds something, and the body's end.
const CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";
/// From here on bytes of an answer are written from where they lie: fewer are copied in less time than the system takes for
/// another part to be written.
const IN_PLACE_BYTES_MIN: usize = 4096;
/// How long a closing connection takes in what the client is still sending, so that it sees the answer and not a reset.
const LINGER: Duration = Duration::from_secs(2);

/// The client has gone, or takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Why relaying an answer ended early.
#[derive(Debug)]
pub enum Broken {
    /// The client left.
    Client,
    /// The upstream broke off, was silent too long, or broke the rules.
    Upstream(Error),
}

/// What came after waiting for a request.
pub(super) enum Idle {
    /// At least one byte.
    Bytes,
    /// The client closed, the time was up, or the process drains.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// The answer has not begun.
    Nothing,
    /// It has no body, or all of it was taken.
    Whole,
    Length(u64),
    Chunked,
    UntilClose,
    /// It was broken off.
    Broken,
}

/// A request's body, read to its end. Its share of the budget comes back when it is dropped.
#[derive(Default)]
pub struct RequestBody {
    bytes: Buffer,
    _share: Share,
}

impl RequestBody {
    /// The bytes.
    pub fn data(&self) -> &[u8] {
        self.bytes.data()
    }
}

/// A client's connection with the request that is being answered on it.
pub struct Exchange {
    stream: TcpStream,
    peer: SocketAddr,
    pub(super) unread: Buffer,
    out: Buffer,
    pub(super) alarm: Alarm,
    pub(super) patience: Patience,
    stop: watch::Receiver<bool>,
    decoder: Decoder,
    continue_due: bool,
    version: Version,
    method: Method,
    client_keeps_alive: bool,
    keep: bool,
    sending: Sending,
    broken: bool,
    received_at: Instant,
    first_byte_after: Option<Duration>,
    body_bytes_in: u64,
    body_bytes_out: u64,
    status: u16,
    /// The user that owns the client's end, once the handler found out: `Some(None)` if that cannot be told.
    pub peer_uid: Option<Option<u32>>,
}

impl Exchange {
    pub(super) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        patience: Patience,
        stop: watch::Receiver<bool>,
    ) -> Exchange {
        Exchange {
            stream,
            peer,
            unread: Buffer::new(),
            out: Buffer::new(),
            alarm: Alarm::new(patience.head),
            patience,
            stop,
            decoder: Decoder::of_request(crate::wire::body::Framing::None),
            continue_due: false,
            version: Version::Http11,
            method: Method::Get,
            client_keeps_alive: false,
            keep: false,
            sending: Sending::Nothing,
            broken: false,
            received_at: Instant::now(),
            first_byte_after: None,
            body_bytes_in: 0,
            body_bytes_out: 0,
            status: 0,
            peer_uid: None,
        }
    }

    // ------------------------------------------------------------------------------------------ what the handler asks

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address the client connected to.
    pub fn local(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// When the head was complete.
    pub fn received_at(&self) -> Instant {
        self.received_at
    }

    /// From then until the first byte of the answer left; None: none has.
    pub fn first_byte_after(&self) -> Option<Duration> {
        self.first_byte_after
    }

    /// Bytes of the request's body that were read.
    pub fn body_bytes_in(&self) -> u64 {
        self.body_bytes_in
    }

    /// Bytes of the answer's body that were handed to the connection.
    pub fn body_bytes_out(&self) -> u64 {
        self.body_bytes_out
    }

    /// The status that was answered; 0: none yet.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the answer has begun.
    pub fn is_begun(&self) -> bool {
        self.sending != Sending::Nothing
    }

    /// Whether the answer was taken to its end.
    pub fn is_whole(&self) -> bool {
        self.sending == Sending::Whole && !self.broken
    }

    /// True once the process drains: whoever answers without end ends then.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Whether the client is known to be gone.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The two things a wait on an upstream needs: a future that is ready once the client has left, and the alarm.
    pub fn waiting(&mut self) -> (impl Future<Output = ()> + '_, &mut Alarm) {
        (gone(&self.stream), &mut self.alarm)
    }

    // ------------------------------------------------------------------------------------------------------ the answer

    /// Begins the answer. `length` None: a stream of unknown length. `fields` appends whole field lines; date, framing and
    /// connection fields are added here. Nothing is sent yet: the head leaves with the first bytes of the body.
    pub fn begin(&mut self, status: u16, length: Option<u64>, fields: impl FnOnce(&mut Vec<u8>)) {
        self.status = status;
        let bodiless = status == 204 || status == 304;
        let unread_is_small = self
            .decoder
            .length_left()
            .is_none_or(|left| left <= DRAIN_BYTES_MAX)
            && !self.continue_due;
        let request_ends =
            self.decoder.is_done() || (self.decoder.length_left().is_some() && unread_is_small);
        self.keep = self.client_keeps_alive && request_ends && !*self.stop.borrow();
        self.sending = match length {
            _ if bodiless => Sending::Whole,
            Some(n) => Sending::Length(n),
            None if self.version == Version::Http10 => Sending::UntilClose,
            None => Sending::Chunked,
        };
        if self.sending == Sending::UntilClose {
            self.keep = false;
        }
        let (sending, keep, http10) = (self.sending, self.keep, self.version == Version::Http10);
        self.out.append_with(|out| {
            write_status_line(out, status);
            fields(out);
            out.extend_from_slice(b"date: ");
            clock::write_http_date(out);
            out.extend_from_slice(b"\r\n");
            match sending {
                Sending::Length(n) => write_number_field(out, "content-length", n),
                Sending::Chunked => write_field(out, "transfer-encoding", b"chunked"),
                _ => {}
            }
            if !keep {
                write_field(out, "connection", b"close");
            } else if http10 {
                write_field(out, "connection", b"keep-alive");
            }
            out.extend_from_slice(b"\r\n");
        });
        if self.method == Method::Head || matches!(self.sending, Sending::Length(0)) {
            self.sending = Sending::Whole;
        }
    }

    /// A whole answer at once.
    pub async fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        fields: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Gone> {
        self.begin(status, Some(body.len() as u64), fields);
        self.write(body).await
    }

    /// Sends bytes of the body and waits until the connection has taken them.
    pub async fn write(&mut self, data: &[u8]) -> Result<(), Gone> {
        self.append(data, false);
        self.flush().await
    }

    /// The same with the body's last bytes: they leave together with its end.
    pub async fn write_last(&mut self, data: &[u8]) -> Result<(), Gone> {
        self.append(data, true);
        self.finish().await
    }

    /// Gives the socket what it takes now; the rest waits in `out`. Nothing is allocated for what does not have to wait.
    fn append(&mut self, data: &[u8], last: bool) {
        if self.sending != Sending::Whole {
            self.body_bytes_out += data.len() as u64;
        }
        let mut room = [0; CHUNK_PREFIX_BYTES_MAX];
        let parts = match &mut self.sending {
            Sending::Length(left) => {
                let data = &data[..data.len().min(usize::try_from(*left).unwrap_or(usize::MAX))];
                *left -= data.len() as u64;
                if *left == 0 {
                    self.sending = Sending::Whole;
                }
                [&[], data, &[]]
            }
            Sending::Chunked if !data.is_empty() => {
                let at = chunk_prefix(data.len(), &mut room);
                let end = if last { CHUNK_END } else { CHUNK_SUFFIX };
                if last {
                    self.sending = Sending::Whole;
                }
                [&room[at..], data, end]
            }
            Sending::UntilClose => [&[], data, &[]],
            Sending::Chunked | Sending::Nothing | Sending::Whole | Sending::Broken => return,
        };
        if self.broken {
            return;
        }
        let (stream, out) = (&self.stream, &mut self.out);
        let sent = if data.len() >= IN_PLACE_BYTES_MIN {
            put_parts(stream, out, parts)
        } else {
            with_scratch(|scratch| {
                let mut end = 0;
                for part in parts {
                    scratch[end..end + part.len()].copy_from_slice(part);
                    end += part.len();
                }
                put(stream, out, &scratch[..end])
            })
        };
        self.broken = sent.is_err();
    }

    /// The answer is complete.
    pub async fn finish(&mut self) -> Result<(), Gone> {
        match self.sending {
            Sending::Chunked => {
                self.out.extend(LAST_CHUNK);
                self.sending = Sending::Whole;
            }
            Sending::UntilClose => self.sending = Sending::Whole,
            _ => {}
        }
        self.flush().await
    }

    /// Breaks the answer off: the connection will be cut without a polite end.
    pub fn abort(&mut self) {
        if self.sending != Sending::Whole {
            // Where the connection's end is the body's end, only a reset tells the difference.
            if self.sending == Sending::UntilClose {
                let _ = self.stream.set_zero_linger();
            }
            self.sending = Sending::Broken;
        }
        self.keep = false;
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        while !self.out.is_empty() && !self.broken {
            self.alarm.set(self.patience.stall);
            let (stream, out) = (&self.stream, &mut self.out);
            let before = out.len();
            let written = self.alarm.within(poll_fn(|cx| match put(stream, out, &[]) {
                Err(Gone) => Poll::Ready(Err(Gone)),
                Ok(()) if out.len() < before => Poll::Ready(Ok(())),
                Ok(()) => stream
                    .poll_write_ready(cx)
                    .map(|ready| ready.map_err(|_| Gone)),
            }));
            match written.await {
                Some(Ok(())) => {}
                Some(Err(Gone)) | None => self.broken = true,
            }
        }
        if self.first_byte_after.is_none() && self.is_begun() {
            self.first_byte_after = Some(self.received_at.elapsed());
        }
        if self.broken { Err(Gone) } else { Ok(()) }
    }

    // -------------------------------------------------------------------------------------------- what the server asks

    pub(super) fn open(&mut self, head: &RequestHead, decoder: Decoder, wants_continue: bool) {
        self.decoder = decoder;
        self.continue_due = wants_continue;
        self.version = head.version;
        self.method = head.method;
        self.client_keeps_alive = head.keeps_alive();
        self.sending = Sending::Nothing;
        self.received_at = Instant::now();
        self.first_byte_after = None;
        (self.body_bytes_in, self.body_bytes_out, self.status) = (0, 0, 0);
    }

    /// Waits for the first byte of a request.
    pub(super) async fn wait_for_request(
        &mut self,
        limit: Duration,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Idle {
        if !self.unread.is_empty() {
            return if *self.stop.borrow() {
                Idle::Ended
            } else {
                Idle::Bytes
            };
        }
        self.alarm.set(limit);
        let Exchange {
            stream,
            unread,
            alarm,
            ..
        } = self;
        poll_fn(|cx| {
            if let Poll::Ready(read) = poll_fill(stream, cx, unread) {
                return Poll::Ready(if matches!(read, Ok(n) if n > 0) {
                    Idle::Bytes
                } else {
                    Idle::Ended
                });
            }
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Idle::Ended);
            }
            alarm.poll(cx).map(|()| Idle::Ended)
        })
        .await
    }

    /// Reads more into `unread`, under the alarm as it is set. None: it rang.
    pub(super) async fn fill(&mut self) -> Option<io::Result<usize>> {
        let Exchange {
            stream,
            unread,
            alarm,
            ..
        } = self;
        alarm
            .within(poll_fn(|cx| poll_fill(stream, cx, unread)))
            .await
    }

    /// The same; Some(Ok(0)) also when the process stops: a head that is not there by then is no request.
    pub(super) async fn fill_unless_stopped(&mut self) -> Option<io::Result<usize>> {
        let mut stop = self.stop.clone();
        let stopped = async {
            let _ = stop.wait_for(|stop| *stop).await; // an error: the process ends
        };
        match race(self.fill(), stopped).await {
            First::A(read) => read,
            First::B(()) => Some(Ok(0)),
        }
    }

    /// Answers bytes that are not to be handled; the connection is closed afterwards.
    pub(super) async fn refuse(&mut self, error: &Error, body: &[u8]) {
        self.client_keeps_alive = false;
        let json = |out: &mut Vec<u8>| write_field(out, "content-type", b"application/json");
        let allow = error.kind == Kind::MethodNotAllowed;
        let _ = self
            .answer(error.status(), body, |out| {
                json(out);
                if allow {
                    write_field(out, "allow", b"GET, HEAD, POST, PUT, DELETE, OPTIONS");
                }
            })
            .await;
    }

    /// After the handler: sends what is left, takes in a small unread body. False: the connection is to be closed.
    pub(super) async fn end(&mut self) -> bool {
        if self.sending != Sending::Whole {
            self.abort();
        }
        if self.flush().await.is_err() || !self.keep {
            return false;
        }
        while !self.decoder.is_done() {
            self.alarm.set(self.patience.stall);
            if self.unread.is_empty() && !matches!(self.fill().await, Some(Ok(n)) if n > 0) {
                return false;
            }
            let Ok((used, _)) = self.decoder.step(self.unread.data(), false) else {
                return false;
            };
            self.unread.consume(used);
        }
        self.keep
    }

    /// Closes. What the client is still sending is taken in for a moment, or it would see a reset instead of the answer.
    pub(super) async fn close(mut self) {
        if self.broken
            || self.sending == Sending::Broken
            || (self.decoder.is_done() && self.unread.is_empty() && self.is_begun())
        {
            return;
        }
        self.unread.release();
        if self.stream.shutdown().await.is_err() {
            return;
        }
        self.alarm.set(LINGER);
        let (stream, alarm) = (&self.stream, &mut self.alarm);
        let _ = alarm
            .within(pin!(async { while matches!(poll_fn(|cx| with_scratch(|scratch| poll_read(stream, cx, scratch))).await, Ok(n) if n > 0) {} }))
            .await;
    }
}

#[cfg(test)]
mod tests;
