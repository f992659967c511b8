//! One request and its answer on a client's connection: the body in, the answer out, and whether the client is still there.
//! The answer's framing and the connection's fate are settled when the answer begins; an answer that was begun and not
//! finished is broken off, so that it cannot pass for a whole one. Memory is held only for bytes that wait.

use super::alarm::Alarm;
use super::buffer::{Budget, Buffer, Share, with_scratch};
use super::client::Body;
use super::server::Patience;
use super::{First, race};
use crate::clock;
use crate::error::{Error, Kind};
use crate::wire::body::{Decoder, LAST_CHUNK, Step, write_chunk};
use crate::wire::head::{
    Method, RequestHead, Version, write_field, write_number_field, write_status_line,
};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// A body that was not asked for is read and thrown away up to this size; beyond it the connection is closed.
const DRAIN_BYTES_MAX: u64 = 64 * 1024;
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

    /// Whether the client speaks HTTP/1.0 and cannot be streamed to in chunks.
    pub fn is_http10(&self) -> bool {
        self.version == Version::Http10
    }

    /// The two things a wait on an upstream needs: a future that is ready once the client has left, and the alarm.
    pub fn waiting(&mut self) -> (impl Future<Output = ()> + '_, &mut Alarm) {
        (gone(&self.stream), &mut self.alarm)
    }

    // -------------------------------------------------------------------------------------------------------- the body

    /// Reads the whole body. Refused before anything is read: a body over `limit_bytes`, and one there is no room for.
    pub async fn read_body(
        &mut self,
        limit_bytes: u64,
        budget: &Arc<Budget>,
    ) -> Result<RequestBody, Error> {
        let announced = self.decoder.announced();
        let mut bytes = Buffer::expecting(usize::try_from(announced.min(limit_bytes)).unwrap_or(0));
        let mut share = Share::default();
        if announced > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        self.cover(budget, &mut share, announced).await?;
        if self.decoder.is_done() {
            return Ok(RequestBody {
                bytes,
                _share: share,
            });
        }
        if std::mem::take(&mut self.continue_due) && self.unread.is_empty() {
            self.out.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.flush().await.map_err(|Gone| left())?;
        }
        loop {
            while !self.unread.is_empty() && !self.decoder.is_done() {
                let (used, step) = self
                    .decoder
                    .step(self.unread.data(), false)
                    .map_err(|fault| fault.blame(crate::error::Blame::Client))?;
                let need = match step {
                    Step::Data(data) => {
                        bytes.extend(data);
                        bytes.len() as u64
                    }
                    Step::End => bytes.len() as u64, // what it used was the end's own framing
                    Step::NeedMore => bytes.len() as u64 + self.decoder.announced(),
                };
                self.unread.consume(used);
                if need > limit_bytes {
                    return Err(too_large(limit_bytes));
                }
                self.cover(budget, &mut share, need).await?;
            }
            self.body_bytes_in = bytes.len() as u64;
            if self.decoder.is_done() {
                return Ok(RequestBody {
                    bytes,
                    _share: share,
                });
            }
            self.alarm.set(self.patience.stall);
            let read = match self.decoder.length_left() {
                // A body of known length is read where it stays.
                Some(left) if self.unread.is_empty() => {
                    let (stream, decoder) = (&self.stream, &mut self.decoder);
                    let room = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(READ_STEP_BYTES.max(3 * bytes.len()));
                    let read = self.alarm.within(poll_fn(|cx| {
                        let spare = bytes.spare(room);
                        let end = spare.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                        poll_read(stream, cx, &mut spare[..end])
                    }));
                    let read = read.await;
                    if let Some(Ok(n)) = read
                        && n > 0
                    {
                        let _ = decoder.step(&bytes.spare(0)[..n], false); // within the length, so it is data
                        bytes.filled(n);
                    }
                    read
                }
                _ => self.fill().await,
            };
            match read {
                None => {
                    return Err(Error::client(
                        Kind::SlowRequest,
                        format!(
                            "no byte of the body came for {} s",
                            self.patience.stall.as_secs()
                        ),
                    ));
                }
                Some(Ok(0) | Err(_)) => {
                    self.broken = true;
                    return Err(left());
                }
                Some(Ok(_)) => {}
            }
        }
    }

    async fn cover(
        &mut self,
        budget: &Arc<Budget>,
        share: &mut Share,
        bytes: u64,
    ) -> Result<(), Error> {
        if budget.cover(share, bytes).await {
            return Ok(());
        }
        let message =
            "the gateway holds as many request bodies as limits.max_buffered_mb allows; try again";
        Err(Error::gateway(Kind::AtCapacity, message).retry_after(1))
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
        if self.sending != Sending::Whole {
            self.body_bytes_out += data.len() as u64;
        }
        match &mut self.sending {
            Sending::Length(left) => {
                let data = &data[..data.len().min(usize::try_from(*left).unwrap_or(usize::MAX))];
                *left -= data.len() as u64;
                if *left == 0 {
                    self.sending = Sending::Whole;
                }
                self.out.extend(data);
            }
            Sending::Chunked => self.out.append_with(|out| write_chunk(out, data)),
            Sending::UntilClose => self.out.extend(data),
            Sending::Nothing | Sending::Whole | Sending::Broken => {}
        }
        self.flush().await
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

    /// Sends an upstream's body on as it comes, one write per read, held up only by the client's pace.
    /// `tap` sees every piece. The answer must have been begun, with the body's own length if it has one.
    pub async fn relay(&mut self, body: &mut Body, tap: impl FnMut(&[u8])) -> Result<(), Broken> {
        self.relay_part(body, true, tap).await
    }

    /// The same; `ends` false: the answer goes on after the body's end, until [`Exchange::finish`].
    pub async fn relay_part(
        &mut self,
        body: &mut Body,
        ends: bool,
        mut tap: impl FnMut(&[u8]),
    ) -> Result<(), Broken> {
        let idle = body.idle();
        loop {
            self.alarm.set(idle);
            let last = {
                let Exchange {
                    stream,
                    out,
                    alarm,
                    sending,
                    broken,
                    body_bytes_out,
                    ..
                } = self;
                let mut gone = pin!(gone(stream));
                let received_at = self.received_at;
                let first_byte_after = &mut self.first_byte_after;
                poll_fn(|cx| {
                    let piece = body.poll_piece(cx, |mut piece| {
                        tap(piece.data());
                        *body_bytes_out += piece.data().len() as u64;
                        let last = piece.last;
                        piece.last &= ends;
                        let framed = match sending {
                            Sending::Chunked => piece.as_chunk(),
                            Sending::Length(_) | Sending::UntilClose => piece.data(),
                            Sending::Nothing | Sending::Whole | Sending::Broken => &[],
                        };
                        *broken |= put(stream, out, framed).is_err();
                        last
                    });
                    if !*broken && piece.is_pending() && !out.is_empty() {
                        *broken |= put(stream, out, &[]).is_err(); // the head, when the body is not there yet
                    }
                    first_byte_after.get_or_insert_with(|| received_at.elapsed());
                    if *broken {
                        return Poll::Ready(Err(Broken::Client));
                    }
                    if let Poll::Ready(piece) = piece {
                        return Poll::Ready(piece.map_err(Broken::Upstream));
                    }
                    if gone.as_mut().poll(cx).is_ready() {
                        *broken = true;
                        return Poll::Ready(Err(Broken::Client));
                    }
                    alarm.poll(cx).map(|()| {
                        let message = format!("the upstream sent nothing for {} s", idle.as_secs());
                        Err(Broken::Upstream(Error::upstream(Kind::Timeout, message)))
                    })
                })
                .await?
            };
            if !self.out.is_empty() {
                self.flush().await.map_err(|Gone| Broken::Client)?;
            }
            if last {
                if ends {
                    self.sending = Sending::Whole;
                }
                return Ok(());
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        self.alarm.set(self.patience.stall);
        while !self.out.is_empty() && !self.broken {
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
                Some(Ok(())) => self.alarm.set(self.patience.stall),
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
            .within(async { while matches!(poll_fn(|cx| with_scratch(|scratch| poll_read(stream, cx, scratch))).await, Ok(n) if n > 0) {} })
            .await;
    }
}

/// A body of known length grows by at least this much at a time, and to four times what came: a length that was only
/// announced costs nothing.
const READ_STEP_BYTES: usize = 64 * 1024;

fn too_large(limit_bytes: u64) -> Error {
    let mb = limit_bytes / (1024 * 1024);
    Error::client(
        Kind::TooLarge,
        format!("the body is larger than {mb} MB (limits.max_body_mb)"),
    )
}

fn left() -> Error {
    Error::client(
        Kind::BadRequest,
        "the client closed the connection before the request was complete",
    )
}

/// Ready once the client has closed its end, also while its bytes wait unread: an end-of-file hides behind a pipelined
/// request, so the reactor is asked, not the socket. A half-close counts as leaving. (PRIORITY is the one interest that
/// is ready on a closed read side and not on bytes.)
async fn gone(stream: &TcpStream) {
    loop {
        match stream.ready(Interest::PRIORITY).await {
            Ok(ready) if !ready.is_read_closed() => tokio::task::yield_now().await,
            _ => return,
        }
    }
}

/// Writes `out` and then `data` as far as the socket takes them now; the rest stays in `out`.
fn put(stream: &TcpStream, out: &mut Buffer, data: &[u8]) -> Result<(), Gone> {
    if !out.is_empty() {
        out.extend(data);
    }
    loop {
        let pending = if out.is_empty() { data } else { out.data() };
        if pending.is_empty() {
            return Ok(());
        }
        match stream.try_write(pending) {
            Ok(0) => return Err(Gone),
            Ok(written) if out.is_empty() => {
                out.extend(&data[written..]);
                if out.is_empty() {
                    return Ok(());
                }
            }
            Ok(written) => {
                out.consume(written);
                if out.is_empty() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if out.is_empty() {
                    out.extend(data);
                }
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Gone),
        }
    }
}

/// Reads what is there. A short read has emptied the socket, so the readiness is cleared without asking the system again;
/// sound because this task and the reactor share one thread, and no event can come between the read and the clearing.
fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        match stream.try_read(buffer) {
            Ok(read) => {
                if read > 0 && read < buffer.len() {
                    let _ = stream.try_io(Interest::READABLE, || {
                        Err::<(), _>(io::ErrorKind::WouldBlock.into())
                    });
                }
                return Poll::Ready(Ok(read));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

fn poll_fill(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    unread: &mut Buffer,
) -> Poll<io::Result<usize>> {
    with_scratch(|scratch| {
        let read = ready!(poll_read(stream, cx, scratch))?;
        unread.extend(&scratch[..read]);
        Poll::Ready(Ok(read))
    })
}
