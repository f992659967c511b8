//! The way back of a converted request: a stream for a stream, a whole answer for a whole one, and each made of the other
//! where the two sides disagree. Truncation never looks like completion: what cannot be told as an HTTP error any more is
//! told inside the stream, in the client's protocol.

use super::Refusal;
use super::convert::Sending;
use super::debug::mode;
use super::forward::{Forward, silent};
use super::headers::write_request_ids;
use super::recall::Keeping;
use super::trace::Trace;
use crate::error::{Error, Kind};
use crate::net::buffer::{Buffer, Share};
use crate::net::client::{Answer, Body};
use crate::net::exchange::Exchange;
use crate::protocol::responses::state;
use crate::protocol::{
    Collector, Context, Made, Protocol, Translator, Usage, Warnings, Written, answer_of,
    convert_response, replay,
};
use crate::wire::head::{ResponseHead, write_field};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// A client of a converted stream hears something at least this often: proxies cut at 30 or 60 s.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A whole answer that has to be converted is no larger than this.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a first event takes beside the bytes it was made of.
const EVENT_BYTES: usize = 512;
/// After the last event an upstream may take this long to end its body, so that its connection can be used again.
const BODY_END: Duration = Duration::from_secs(1);

/// Room that is kept on each thread for the events that come of one read; of 64 KB come hardly more.
const EVENTS_BYTES_MAX: usize = 256 * 1024;

thread_local! {
    /// The events that came of a read are written into this; whoever sends them to its client has it meanwhile.
    static EVENTS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a conversion keeps of an answer is part of the budget from here on; nearly all streams keep less.
const KEPT_FREE_BYTES: usize = 64 * 1024;

/// What the answer's conversion starts from.
pub(super) struct Answering {
    pub cx: Context,
    pub made: Made,
    pub to: Protocol,
    pub keeping: Option<Keeping>,
}

/// A stream on its way back.
pub(super) struct Streaming {
    translator: Translator,
    body: Body,
    keeping: Option<Keeping>,
    /// What the upstream is asked again if it pauses.
    again: Option<Box<Sending>>,
}

impl Streaming {
    pub fn new(
        answering: Answering,
        client: Protocol,
        body: Body,
        again: Option<Box<Sending>>,
    ) -> Streaming {
        let Answering {
            cx,
            made,
            to,
            keeping,
        } = answering;
        Streaming {
            translator: Translator::new(to, client, cx, made),
            body,
            keeping,
            again,
        }
    }
}

impl Forward<'_> {
    pub(super) fn begin_stream(&self, exchange: &mut Exchange, trace: &Trace) {
        if exchange.is_begun() {
            return;
        }
        exchange.begin(200, None, |out| {
            write_field(out, "content-type", b"text/event-stream; charset=utf-8");
            write_field(out, "cache-control", b"no-cache");
            write_field(out, "x-accel-buffering", b"no");
            self.write_fields(out, trace);
        });
    }

    fn write_fields(&self, out: &mut Vec<u8>, trace: &Trace) {
        write_request_ids(out, self.request_id.as_bytes());
        trace.write_upstream_id(out);
        trace.write_warnings(out);
        self.app.write_cors(out, self.snapshot, self.head);
    }

    /// An upstream's error in the client's envelope, with what tells the client when to come back.
    pub(super) async fn refuse(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        error: &Error,
        upstream: &ResponseHead,
    ) -> Result<(), Refusal> {
        let answer = answer_of(self.protocol, upstream.status, error, self.request_id);
        trace.tells(&answer.body);
        let body = trace.with_record(exchange, answer.status, &answer.body);
        let sent = exchange.answer(answer.status, &body, |out| {
            write_field(out, "content-type", b"application/json");
            for name in ["retry-after", "retry-after-ms", "x-should-retry"] {
                if let Some(value) = upstream
                    .headers
                    .get(name)
                    .filter(|_| name != "x-should-retry" || answer.should_retry.is_none())
                {
                    write_field(out, name, value);
                }
            }
            if let Some(retry) = answer.should_retry {
                write_field(
                    out,
                    "x-should-retry",
                    if retry { "true" } else { "false" }.as_bytes(),
                );
            }
            self.write_fields(out, trace);
        });
        sent.await.map_err(|_| Refusal::ClientLeft)
    }

    /// A failure before any event was read, after the head was sent: a translator that has seen nothing tells it.
    pub(super) async fn fail(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        answering: &Answering,
        error: Error,
    ) -> Result<(), Refusal> {
        let Answering { cx, made, to, .. } = answering;
        let mut translator = Translator::new(*to, self.protocol, cx.clone(), made.clone());
        self.fail_stream(exchange, trace, &mut translator, Vec::new(), error)
            .await
    }

    /// Tells the client of a failure: as an HTTP error while that is possible, else inside its stream, whose body then ends
    /// as a stream does, but never as a complete answer. `out` goes before it.
    async fn fail_stream(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        translator: &mut Translator,
        mut out: Vec<u8>,
        error: Error,
    ) -> Result<(), Refusal> {
        if !exchange.is_begun() && !translator.started() {
            return Err(error.into());
        }
        translator.fail(&error, &mut out);
        trace.failure = Some(Box::new(error));
        self.begin_stream(exchange, trace);
        self.end_stream(exchange, trace, &out).await
    }

    /// Sends the last events of a stream and ends it, with its record if the client asked for it.
    async fn end_stream(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        last: &[u8],
    ) -> Result<(), Refusal> {
        trace.tells(last);
        if !trace.debugs {
            let sent = exchange.write_last(last).await;
            return sent.map_err(|_| Refusal::ClientLeft);
        }
        let sent = exchange.write(last).await;
        sent.map_err(|_| Refusal::ClientLeft)?;
        let report = trace.report(exchange, exchange.status());
        let comment = report.map(|report| mode::comment(&report));
        let sent = exchange.write_last(&comment.unwrap_or_default()).await;
        sent.map_err(|_| Refusal::ClientLeft)
    }

    /// A stream for a stream.
    pub(super) async fn stream(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        mut streaming: Box<Streaming>,
    ) -> Result<(), Refusal> {
        let Streaming {
            translator,
            body,
            keeping,
            again,
        } = &mut *streaming;
        let asked_bytes = again.as_ref().map_or(0, |again| again.body.len());
        let idle = body.idle();
        // Owns memory from a read to the write of what came of it, not while the upstream is silent.
        let mut out = Vec::new();
        let mut share = Share::default();
        let mut heard_at = Instant::now();
        let mut told_at = heard_at;
        loop {
            let next = {
                let (gone, alarm) = exchange.waiting();
                let mut gone = pin!(gone);
                alarm.set_at((heard_at + idle).min(told_at + KEEP_ALIVE));
                poll_fn(|cx| {
                    let piece = body.poll_piece(cx, |piece| {
                        let data = piece.data();
                        trace.hears(data);
                        out = EVENTS.take();
                        out.clear();
                        let mut fed = translator.feed(data, &mut out);
                        if piece.last && fed.is_ok() {
                            fed = translator.finish(&mut out);
                        }
                        fed
                    });
                    if let Poll::Ready(fed) = piece {
                        return Poll::Ready(Ok(Some(fed.and_then(|fed| fed))));
                    }
                    if gone.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Err(Refusal::ClientLeft));
                    }
                    alarm.poll(cx).map(|()| Ok(None))
                })
                .await?
            };
            let now = Instant::now();
            let failed = match next {
                Some(Ok(())) => {
                    heard_at = now;
                    None
                }
                Some(Err(error)) => Some(error),
                None if now.duration_since(heard_at) >= idle => Some(silent(idle)),
                None => {
                    translator.keep_alive(&mut out);
                    None
                }
            };
            if let Some(error) = failed {
                return Box::pin(self.fail_stream(exchange, trace, translator, out, error)).await;
            }
            if translator.is_finished() {
                break;
            }
            let kept_bytes = translator.held_bytes() + asked_bytes;
            if let Err(error) = self.keep_bytes(&mut share, kept_bytes).await {
                return self
                    .fail_stream(exchange, trace, translator, out, error)
                    .await;
            }
            if !out.is_empty() {
                self.begin_stream(exchange, trace);
                trace.tells(&out);
                let sent = exchange.write(&out).await;
                sent.map_err(|_| Refusal::ClientLeft)?;
                told_at = now;
            }
            give_back(std::mem::take(&mut out));
            if translator.is_paused()
                && let Some(again) = again
            {
                let told = translator.said();
                let going_on = Box::pin(self.go_on(exchange, trace, again, told, true));
                match going_on.await {
                    Ok(answer) => let_end(std::mem::replace(body, answer.body)),
                    Err(Refusal::Error(error)) => {
                        let failing = self.fail_stream(exchange, trace, translator, out, *error);
                        return Box::pin(failing).await;
                    }
                    Err(left) => return Err(left),
                }
                translator.go_on();
                heard_at = Instant::now();
            }
        }
        trace.warnings.merge(translator.warnings().clone());
        // Before the client hears of the end: its next request may refer to it.
        let kept = keeping.is_some().then(|| translator.kept()).flatten();
        let kept = kept.map(|(id, items)| state::Answered {
            id,
            items: state::split(items),
        });
        self.keep(keeping.take(), kept);
        self.begin_stream(exchange, trace);
        self.end_stream(exchange, trace, &out).await?;
        give_back(out);
        let_end(streaming.body);
        Ok(())
    }

    /// A stream made of the whole answer of an upstream that ignored the wish for one.
    pub(super) async fn replay(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        sending: &Sending,
        answering: Answering,
        mut answer: Answer,
    ) -> Result<(), Refusal> {
        let collected = self.collect_turn(exchange, trace, sending, &mut answer);
        let body = match collected.await {
            Ok(body) => body,
            Err(Refusal::Error(error)) if exchange.is_begun() => {
                return self.fail(exchange, trace, &answering, *error).await;
            }
            Err(refusal) => return Err(refusal),
        };
        let mut warnings = Warnings::default();
        let Answering { cx, made, to, .. } = &answering;
        let events = replay(*to, self.protocol, cx, made, body.data(), &mut warnings);
        trace.warnings.merge(warnings);
        match events {
            Ok(events) => {
                if answering.keeping.is_some() {
                    // The same answer, whole, has the same ids.
                    let mut told = Warnings::default();
                    let whole = convert_response(
                        *to,
                        self.protocol,
                        cx,
                        made,
                        body.data(),
                        &mut told,
                        Written::default(),
                    );
                    let whole = whole.unwrap_or_default();
                    let kept = whole.places.answered(&whole.body);
                    self.keep(answering.keeping, kept);
                }
                self.answer_stream(exchange, trace, &events).await
            }
            Err(error) if exchange.is_begun() => {
                self.fail(exchange, trace, &answering, error).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A stream that is there as a whole.
    pub(super) async fn answer_stream(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        events: &[u8],
    ) -> Result<(), Refusal> {
        self.begin_stream(exchange, trace);
        self.end_stream(exchange, trace, events).await
    }

    /// Makes the budget cover what a conversion keeps.
    pub(super) async fn keep_bytes(&self, share: &mut Share, kept: usize) -> Result<(), Error> {
        if kept <= KEPT_FREE_BYTES || self.app.budget.cover(share, kept as u64).await {
            return Ok(());
        }
        let message = "no room to keep more of this answer (limits.max_buffered_mb)";
        Err(Error::gateway(Kind::AtCapacity, message).retry_after(1))
    }

    /// A whole answer made of a stream.
    pub(super) async fn gather(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        sending: &Sending,
        answering: &mut Answering,
        mut body: Body,
    ) -> Result<(Vec<u8>, Option<Usage>), Refusal> {
        let (cx, made) = (answering.cx.clone(), answering.made.clone());
        let mut collector = Collector::new(answering.to, self.protocol, cx, made);
        let mut share = Share::default();
        let idle = body.idle();
        while !collector.is_finished() {
            let last = {
                let (gone, alarm) = exchange.waiting();
                let mut gone = pin!(gone);
                alarm.set(idle);
                poll_fn(|cx| {
                    let piece = body.poll_piece(cx, |piece| {
                        trace.hears(piece.data());
                        collector.feed(piece.data()).map(|()| piece.last)
                    });
                    if let Poll::Ready(fed) = piece {
                        return Poll::Ready(fed.and_then(|fed| fed).map_err(Refusal::from));
                    }
                    if gone.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Err(Refusal::ClientLeft));
                    }
                    alarm.poll(cx).map(|()| Err(silent(idle).into()))
                })
                .await?
            };
            if last {
                collector.end()?;
            }
            let kept_bytes = collector.held_bytes() + sending.body.len();
            self.keep_bytes(&mut share, kept_bytes).await?;
            if collector.is_paused() {
                let told = collector.said();
                let going_on = Box::pin(self.go_on(exchange, trace, sending, told, true));
                let answer = going_on.await?;
                let_end(std::mem::replace(&mut body, answer.body));
                collector.go_on();
            }
        }
        let mut warnings = Warnings::default();
        let usage = collector.usage().copied();
        let converted = collector.finish(&mut warnings)?;
        trace.warnings.merge(warnings);
        let_end(body);
        let kept = converted.places.answered(&converted.body);
        self.keep(answering.keeping.take(), kept);
        Ok((converted.body, usage))
    }

    /// A whole answer for a whole answer.
    pub(super) async fn whole(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        sending: &Sending,
        answering: &mut Answering,
        answer: &mut Answer,
    ) -> Result<Vec<u8>, Refusal> {
        let body = self.collect_turn(exchange, trace, sending, answer).await?;
        let mut warnings = Warnings::default();
        let converted = convert_response(
            answering.to,
            self.protocol,
            &answering.cx,
            &answering.made,
            body.data(),
            &mut warnings,
            Written::into_spare(Buffer::vector(body.data().len() + EVENT_BYTES)),
        )?;
        trace.warnings.merge(warnings);
        let kept = converted.places.answered(&converted.body);
        self.keep(answering.keeping.take(), kept);
        Ok(converted.body)
    }

    pub(super) async fn answer_json(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        body: &[u8],
    ) -> Result<(), Refusal> {
        trace.tells(body);
        let body = trace.with_record(exchange, 200, body);
        let sent = exchange.answer(200, &body, |out| {
            write_field(out, "content-type", b"application/json");
            self.write_fields(out, trace);
        });
        sent.await.map_err(|_| Refusal::ClientLeft)
    }
}

/// The events were sent: there is room for those of another read.
fn give_back(events: Vec<u8>) {
    EVENTS.with_borrow_mut(|kept| {
        if (kept.capacity() + 1..=EVENTS_BYTES_MAX).contains(&events.capacity()) {
            *kept = events;
        }
    });
}

/// Reads what little follows the last event, so that the connection can be used again; the client does not wait for it.
fn let_end(mut body: Body) {
    if body.is_done() {
        return;
    }
    // Runs free: it ends within BODY_END.
    tokio::spawn(async move {
        let rest = poll_fn(|cx| {
            loop {
                match body.poll_piece(cx, |piece| piece.last) {
                    Poll::Ready(Ok(false)) => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        let _ = tokio::time::timeout(BODY_END, rest).await;
    });
}
