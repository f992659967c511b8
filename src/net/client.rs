//! One request to an upstream and its answer: send, read the head, lend the body piece by piece.
//! A connection is used again only if its answer ended exactly; whatever is dropped before its end is closed, which is
//! how a leaving client stops the upstream. Nothing is buffered here but what arrived behind a head.

use super::alarm::Alarm;
use super::buffer::{Buffer, SCRATCH_AFTER, SCRATCH_BEFORE, with_scratch};
use super::dial::dial;
use super::origin::Origin;
use super::pool;
use super::stream::Stream;
use crate::error::{Blame, Error, Kind};
use crate::wire::body::{
    CHUNK_PREFIX_BYTES_MAX, CHUNK_SUFFIX, Decoder, Framing, LAST_CHUNK, Step, chunk_prefix, digits,
};
use crate::wire::head::{Method, ResponseHead, Searched, list_items, parse_response};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::ops::{Deref, Range};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Interim answers (1xx) that are skipped before the real one.
const INTERIM_ANSWERS_MAX: usize = 8;
/// A reused connection that fails later than this after the first write did not lose a race with the server's closing.
const RETRY_WINDOW: Duration = Duration::from_secs(1);

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// DNS, TCP, proxy and TLS together.
    pub connect: Duration,
    /// From the request until the answer's head.
    pub first_byte: Duration,
    /// Between two reads of the answer's body.
    pub idle: Duration,
    /// While the upstream takes no byte of the request.
    pub stall: Duration,
}

/// A request ready to be sent.
pub struct Call<'a> {
    /// Where to.
    pub origin: &'a Origin,
    /// Its method, which decides whether the answer has a body.
    pub method: Method,
    /// Its head and body, in order.
    pub parts: &'a [&'a [u8]],
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Whether a request that a reused connection lost without a byte of answer is sent once more.
    pub retry: bool,
}

/// An upstream's answer.
pub struct Answer {
    /// Its head.
    pub head: KeptHead,
    /// Its body.
    pub body: Body,
    /// Whether the connection had served a request before.
    pub reused: bool,
}

/// A head whose buffers go back to the thread when it is dropped.
#[derive(Default)]
pub struct KeptHead(ResponseHead);

/// Heads kept for reuse on each thread.
const HEADS_KEPT_MAX: usize = 64;

thread_local! {
    static HEADS: RefCell<Vec<ResponseHead>> = RefCell::default();
}

impl KeptHead {
    fn new() -> KeptHead {
        KeptHead(HEADS.with_borrow_mut(Vec::pop).unwrap_or_default())
    }
}

impl Deref for KeptHead {
    type Target = ResponseHead;

    fn deref(&self) -> &ResponseHead {
        &self.0
    }
}

impl Drop for KeptHead {
    fn drop(&mut self) {
        let head = std::mem::take(&mut self.0);
        if head.status == 0 || !head.is_small() {
            return; // never filled, or of no usual size
        }
        // try_with: the thread may be ending.
        let _ = HEADS.try_with(|heads| {
            let mut heads = heads.borrow_mut();
            if heads.len() < HEADS_KEPT_MAX {
                heads.push(head);
            }
        });
    }
}

/// How an attempt ended without an answer.
struct Lost {
    error: Error,
    /// No byte of an answer came, and it failed within [`RETRY_WINDOW`].
    may_retry: bool,
}

/// Calls that are running, from the dialling to the end of the answer.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// One of them.
struct Busy;

impl Busy {
    fn new() -> Busy {
        BUSY.fetch_add(1, Ordering::Relaxed);
        Busy
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections to upstreams that are in use, or being opened.
pub fn busy_count() -> u64 {
    BUSY.load(Ordering::Relaxed) as u64
}

/// Sends a request and waits for the head of its answer. Dropping the future closes the connection.
pub async fn send(call: &Call<'_>, alarm: &mut Alarm) -> Result<Answer, Error> {
    let mut busy = Some(Busy::new());
    let now = Instant::now();
    if let Some(stream) = pool::take(call.origin, now) {
        match attempt(call, (stream, true), now, alarm, &mut busy).await {
            Ok(answer) => return Ok(answer),
            // A knowing exception to RFC 9110 9.2.2: the server most likely closed while we wrote (http.md 36).
            Err(lost) if lost.may_retry && call.retry => {}
            Err(lost) => return Err(lost.error),
        }
    }
    // Boxed: a handshake's state is large, and most requests find a connection.
    let stream = Box::pin(dial(call.origin, call.timeouts.connect)).await?;
    attempt(call, (stream, false), Instant::now(), alarm, &mut busy)
        .await
        .map_err(|lost| lost.error)
}

/// On that connection, which was in use before or was not. An answer takes over `busy`.
async fn attempt(
    call: &Call<'_>,
    (mut stream, reused): (Stream, bool),
    started: Instant,
    alarm: &mut Alarm,
    busy: &mut Option<Busy>,
) -> Result<Answer, Lost> {
    let lost = |error: Error, untouched: bool| Lost {
        error,
        may_retry: untouched && started.elapsed() < RETRY_WINDOW,
    };
    let authority = call.origin.authority();
    let mut unread = Buffer::new();

    alarm.set_at(started + call.timeouts.stall);
    // An upstream that answers before it has read everything (413, 401) is heard while we still write (http.md 41).
    let early = |stream: &mut Stream, cx: &mut Context<'_>| poll_fill(stream, cx, &mut unread);
    let written = {
        let writing = pin!(stream.write_all(call.parts, early));
        alarm.within(writing).await
    };
    let sent = match written {
        None => {
            return Err(lost(
                Error::upstream(
                    Kind::Timeout,
                    format!(
                        "{authority} took no byte of the request for {} s",
                        call.timeouts.stall.as_secs()
                    ),
                ),
                false,
            ));
        }
        Some(Err(error)) => {
            // It may have answered and closed before reading everything; that answer counts more than the broken pipe.
            if !matches!(read_now(&mut stream, &mut unread), Some(n) if n > 0) {
                return Err(lost(
                    Error::upstream(
                        Kind::Unreachable,
                        format!(
                            "{authority} closed the connection while the request was sent: {error}"
                        ),
                    ),
                    true,
                ));
            }
            false
        }
        Some(Ok(None)) => true,
        Some(Ok(Some(Ok(0)))) => {
            return Err(lost(
                Error::upstream(
                    Kind::Unreachable,
                    format!("{authority} closed the connection while the request was sent"),
                ),
                true,
            ));
        }
        Some(Ok(Some(Ok(_)))) => false,
        Some(Ok(Some(Err(error)))) => {
            return Err(lost(
                Error::upstream(
                    Kind::Unreachable,
                    format!("{authority} broke the connection while the request was sent: {error}"),
                ),
                true,
            ));
        }
    };

    alarm.set(call.timeouts.first_byte);
    let mut head = KeptHead::new();
    let mut searched = Searched::default();
    let mut interim = 0;
    let mut touched = !unread.is_empty();
    loop {
        if !unread.is_empty() {
            let parsed = parse_response(unread.data(), &mut searched, &mut head.0);
            if let Some(used) = parsed.map_err(|fault| lost(bad_reply(authority, fault), false))? {
                unread.consume(used);
                searched = Searched::default();
                match head.status {
                    101 => {
                        return Err(lost(
                            Error::upstream(
                                Kind::BadReply,
                                format!("{authority} switched protocols without being asked"),
                            ),
                            false,
                        ));
                    }
                    100..200 if interim < INTERIM_ANSWERS_MAX => interim += 1,
                    100..200 => {
                        return Err(lost(
                            Error::upstream(
                                Kind::BadReply,
                                format!("{authority} sent nothing but interim answers"),
                            ),
                            false,
                        ));
                    }
                    _ => break,
                }
                continue;
            }
            unread.settle();
        }
        let read = alarm
            .within(poll_fn(|cx| poll_fill(&mut stream, cx, &mut unread)))
            .await;
        match read {
            None => {
                return Err(lost(
                    Error::upstream(
                        Kind::Timeout,
                        format!(
                            "{authority} sent no answer within {} s",
                            call.timeouts.first_byte.as_secs()
                        ),
                    ),
                    false,
                ));
            }
            Some(Ok(0)) => {
                return Err(lost(
                    Error::upstream(
                        Kind::Unreachable,
                        format!("{authority} closed the connection without an answer"),
                    ),
                    !touched,
                ));
            }
            Some(Ok(_)) => touched = true,
            Some(Err(error)) => {
                return Err(lost(
                    Error::upstream(
                        Kind::Unreachable,
                        format!("{authority} broke the connection before its answer: {error}"),
                    ),
                    !touched,
                ));
            }
        }
    }

    let framing = Framing::of_response(call.method, &head)
        .map_err(|fault| lost(bad_reply(authority, fault), false))?;
    let reusable = sent && may_be_reused(&head, framing);
    let body = Body {
        stream: Some(stream),
        origin: call.origin.clone(),
        decoder: Decoder::of_response(framing),
        framing,
        unread,
        reusable,
        server_limit: keep_alive_timeout(&head),
        idle: call.timeouts.idle,
        busy: busy.take(),
    };
    Ok(Answer { head, body, reused })
}

fn bad_reply(authority: &str, fault: crate::error::Fault) -> Error {
    let mut error = fault.blame(Blame::Upstream);
    error.message = format!(
        "{authority} sent an answer that is not HTTP/1.1: {}",
        error.message
    );
    error
}

fn may_be_reused(head: &ResponseHead, framing: Framing) -> bool {
    head.keeps_alive()
        && head.version == crate::wire::head::Version::Http11
        && framing != Framing::UntilClose
}

/// `Keep-Alive: timeout=N`, as many servers announce it.
fn keep_alive_timeout(head: &ResponseHead) -> Option<Duration> {
    let value = head.headers.get("keep-alive")?;
    list_items(value)
        .find_map(|item| {
            item.to_ascii_lowercase()
                .strip_prefix(b"timeout=")
                .and_then(digits)
        })
        .map(Duration::from_secs)
}

/// Appends what the stream has to `unread`. Ready(0): closed.
fn poll_fill(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    unread: &mut Buffer,
) -> Poll<io::Result<usize>> {
    unread.read_with(|room| stream.poll_read(cx, room))
}

/// What can be read without waiting.
fn read_now(stream: &mut Stream, unread: &mut Buffer) -> Option<usize> {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match poll_fill(stream, &mut cx, unread) {
        Poll::Ready(Ok(read)) => Some(read),
        _ => None,
    }
}

/// A piece of a body, lent from where it was read to for the length of a call.
pub struct Piece<'a> {
    memory: &'a mut [u8],
    data: Range<usize>,
    /// The body ends with this piece.
    pub last: bool,
}

impl Piece<'_> {
    /// The bytes.
    pub fn data(&self) -> &[u8] {
        &self.memory[self.data.clone()]
    }

    /// The bytes as they go on, framed in place: as one chunk of a chunked body, with the last chunk behind it if it is the last
    /// piece, or plain. What waits in `before` is taken and put in front, if there is room for it.
    pub fn framed(&mut self, chunked: bool, before: &mut Buffer) -> &[u8] {
        let Range { mut start, mut end } = self.data.clone();
        if chunked && start < end {
            let mut prefix = [0; CHUNK_PREFIX_BYTES_MAX];
            let at = chunk_prefix(end - start, &mut prefix);
            let prefix = &prefix[at..];
            self.memory[start - prefix.len()..start].copy_from_slice(prefix);
            start -= prefix.len();
            self.memory[end..end + CHUNK_SUFFIX.len()].copy_from_slice(CHUNK_SUFFIX);
            end += CHUNK_SUFFIX.len();
        }
        if chunked && self.last {
            self.memory[end..end + LAST_CHUNK.len()].copy_from_slice(LAST_CHUNK);
            end += LAST_CHUNK.len();
        }
        if !before.is_empty() && before.len() <= start {
            self.memory[start - before.len()..start].copy_from_slice(before.data());
            start -= before.len();
            before.release();
        }
        &self.memory[start..end]
    }
}

/// The body of an answer. Dropped before its end it closes the connection.
pub struct Body {
    stream: Option<Stream>,
    origin: Origin,
    decoder: Decoder,
    framing: Framing,
    unread: Buffer,
    reusable: bool,
    server_limit: Option<Duration>,
    idle: Duration,
    busy: Option<Busy>,
}

impl Body {
    /// How it is framed.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether nothing more will come.
    pub fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// The longest silence between two reads.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Reads once and lends what came to `take`; ready with its result. Nothing is held while it waits.
    /// An error is the upstream's: a broken connection, or bytes that break the framing. Never called again after
    /// [`Body::is_done`].
    pub fn poll_piece<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(Piece<'_>) -> T,
    ) -> Poll<Result<T, Error>> {
        if !self.unread.is_empty() {
            let mut unread = std::mem::take(&mut self.unread);
            let (memory, input) = unread.lend();
            if let Some(taken) = self.take_piece(memory, input, false, &mut take)? {
                return Poll::Ready(Ok(taken));
            }
        }
        with_scratch(|scratch| {
            let room = SCRATCH_BEFORE..scratch.len() - SCRATCH_AFTER;
            loop {
                let read = match &mut self.stream {
                    Some(stream) if !self.decoder.is_done() => {
                        let read = ready!(stream.poll_read(cx, &mut scratch[room.clone()]));
                        Some(read.map_err(|error| self.broken(&error.to_string()))?)
                    }
                    _ => None,
                };
                let input = room.start..room.start + read.unwrap_or(0);
                if let Some(taken) = self.take_piece(scratch, input, read == Some(0), &mut take)? {
                    return Poll::Ready(Ok(taken));
                }
            }
        })
    }

    /// Decodes `input`, a part of `memory`, and lends what it holds of the body. None: nothing, and the body goes on.
    fn take_piece<T>(
        &mut self,
        memory: &mut [u8],
        input: Range<usize>,
        eof: bool,
        take: &mut impl FnMut(Piece<'_>) -> T,
    ) -> Result<Option<T>, Error> {
        let (data, left_over) = decode_in_place(&mut self.decoder, memory, input, eof)
            .map_err(|fault| self.broken(&fault.message))?;
        let last = self.decoder.is_done();
        if last {
            self.end(left_over);
        }
        Ok((!data.is_empty() || last).then(|| take(Piece { memory, data, last })))
    }

    fn broken(&self, why: &str) -> Error {
        Error::upstream(
            Kind::BadReply,
            format!("{} broke off its answer: {why}", self.origin.authority()),
        )
    }

    /// The body is complete: the connection may serve another request if not one byte is left over.
    fn end(&mut self, left_over: usize) {
        self.busy = None;
        if let Some(stream) = self.stream.take()
            && self.reusable
            && left_over == 0
            && self.unread.is_empty()
        {
            pool::put(&self.origin, stream, self.server_limit);
        }
    }
}

/// Decodes `input`, a part of `memory`, moving the pieces of the body together. Gives where they lie, and how many
/// bytes follow the body's end.
fn decode_in_place(
    decoder: &mut Decoder,
    memory: &mut [u8],
    input: Range<usize>,
    eof: bool,
) -> Result<(Range<usize>, usize), crate::error::Fault> {
    let mut data: Option<Range<usize>> = None;
    let mut at = input.start;
    loop {
        let (used, step) = decoder.step(&memory[at..input.end], eof)?;
        let length = match step {
            Step::Data(bytes) => bytes.len(),
            Step::NeedMore | Step::End => 0,
        };
        let ended = matches!(step, Step::End);
        at += used;
        if length > 0 {
            let piece = at - length..at;
            match &mut data {
                None => data = Some(piece),
                Some(data) => {
                    memory.copy_within(piece, data.end);
                    data.end += length;
                }
            }
        }
        if ended || (length == 0 && at == input.end) {
            return Ok((data.unwrap_or(input.start..input.start), input.end - at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::body::Framing;

    /// Chunks of those lengths, and the body they are.
    fn chunks(lengths: &[usize]) -> (Vec<u8>, Vec<u8>) {
        let (mut wire, mut body) = (Vec::new(), Vec::new());
        for (at, &length) in lengths.iter().enumerate() {
            let data = vec![b'a' + (at % 26) as u8; length];
            wire.extend_from_slice(format!("{length:x}\r\n").as_bytes());
            wire.extend_from_slice(&data);
            wire.extend_from_slice(b"\r\n");
            body.extend_from_slice(&data);
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        (wire, body)
    }

    #[test]
    fn a_body_in_chunks_is_the_same_wherever_its_reads_are_split() {
        let (wire, body) = chunks(&[1, 20, 3, 300, 16, 2]);
        for split in 0..=wire.len() {
            let mut decoder = Decoder::of_response(Framing::Chunked);
            let mut found = Vec::new();
            for part in [&wire[..split], &wire[split..]] {
                let mut memory = vec![b'.'; 40 + part.len() + 9];
                let input = 40..40 + part.len();
                memory[input.clone()].copy_from_slice(part);
                let decoded = decode_in_place(&mut decoder, &mut memory, input, false);
                let (data, left_over) = decoded.unwrap();
                assert_eq!(left_over, 0);
                found.extend_from_slice(&memory[data]);
            }
            assert!(decoder.is_done() && found == body, "{split}");
        }
    }

    #[test]
    fn a_piece_is_framed_where_it_lies_and_behind_what_waits() {
        let framed = |data: &[u8], last: bool, chunked: bool, waiting: &[u8]| {
            let mut memory = vec![b'.'; 40 + data.len() + SCRATCH_AFTER];
            memory[40..40 + data.len()].copy_from_slice(data);
            let (mut before, data) = (Buffer::new(), 40..40 + data.len());
            before.extend(waiting);
            let mut piece = Piece {
                memory: &mut memory,
                data,
                last,
            };
            let sent = piece.framed(chunked, &mut before).to_vec();
            [before.data(), &sent].concat()
        };
        let long = [b'h'; 500];
        for waiting in [&b""[..], b"head", &long] {
            let after = |rest: &[u8]| [waiting, rest].concat();
            let none = framed(b"", false, true, waiting);
            assert_eq!(none, after(b""));
            let end = framed(b"", true, true, waiting);
            assert_eq!(end, after(b"0\r\n\r\n"));
            let middle = framed(b"data", false, true, waiting);
            assert_eq!(middle, after(b"4\r\ndata\r\n"));
            let last = framed(b"data", true, true, waiting);
            assert_eq!(last, after(b"4\r\ndata\r\n0\r\n\r\n"));
            let plain = framed(b"data", true, false, waiting);
            assert_eq!(plain, after(b"data"));
        }
    }
}
