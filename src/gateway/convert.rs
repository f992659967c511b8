//! The converting path: a request in the client's protocol becomes one in the upstream's, and the answer comes back in the
//! client's, streamed or whole, whichever of the two the upstream chose to send.
//!
//! The head of a stream is sent late: until the upstream's first event was read a failure is a real HTTP error. After 15 s
//! of silence the head and a sign of life go out together; from then on a failure is told inside the stream.

use super::Refusal;
use super::forward::{ERROR_BYTES_MAX, Forward, send, silent};
use super::headers::{is_event_stream, write_request_ids};
use super::outbound::{Outbound, Voice};
use super::route::Route;
use super::trace::Trace;
use crate::clock;
use crate::error::{Blame, Error, Kind};
use crate::log;
use crate::net::alarm::Alarm;
use crate::net::client::{Answer, Body};
use crate::net::exchange::Exchange;
use crate::net::{First, race, tls};
use crate::protocol::{
    Collector, Context, Converted, Made, Protocol, Translator, Warnings, answer_of,
    convert_request, convert_response, estimate_answer, of_answer, replay,
};
use crate::wire::head::{ResponseHead, write_field};
use crate::wire::json::{Object, splice};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A client of a converted stream hears something at least this often: proxies cut at 30 or 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A whole answer that has to be converted is no larger than this.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// After the last event an upstream may take this long to end its body, so that its connection can be used again.
const BODY_END: Duration = Duration::from_secs(1);

/// A request that was converted and is to be sent.
pub(super) struct Conversion {
    route: Arc<Route>,
    to: Protocol,
    converted: Converted,
}

/// What the answer's conversion starts from.
struct Answering {
    cx: Context,
    made: Made,
    to: Protocol,
}

impl Forward<'_> {
    /// Converts a request. Nothing was sent if it fails.
    pub(super) fn convert(
        &self,
        trace: &mut Trace,
        route: &Arc<Route>,
        to: Protocol,
        body: &[u8],
    ) -> Result<Conversion, Error> {
        let mut converted = convert_request(self.protocol, to, &route.caps, &route.model, body)?;
        if route.strict
            && let Some(refusal) = converted.warnings.refusal()
        {
            return Err(refusal);
        }
        trace
            .warnings
            .merge(std::mem::take(&mut converted.warnings));
        Ok(Conversion {
            route: route.clone(),
            to,
            converted,
        })
    }

    /// Sends a converted request and answers the client.
    pub(super) async fn converted(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        conversion: Box<Conversion>,
    ) -> Result<(), Refusal> {
        let Conversion {
            route,
            to,
            converted,
        } = *conversion;
        let made = Made {
            now_unix_s: clock::unix_s(),
            random: tls::random(),
        };
        let answering = Answering {
            cx: converted.context.clone(),
            made,
            to,
        };
        let streams = answering.cx.stream;
        let sent = self
            .send_converted(exchange, trace, &route, to, converted)
            .await;
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(Refusal::Error(error)) if exchange.is_begun() => {
                return self.fail(exchange, trace, answering, *error).await;
            }
            Err(refusal) => return Err(refusal),
        };
        trace.upstream_id(&answer.head.headers);
        if answer.head.status >= 400 {
            let body = self.collect(exchange, &mut answer, ERROR_BYTES_MAX).await?;
            let body = route.upstream.mask_secrets(body.data());
            let mut error = of_answer(answer.head.status, &body, &route.upstream.name);
            if exchange.is_begun() {
                return self.fail(exchange, trace, answering, error).await;
            }
            error.retry_after_s = None; // the header itself is carried, whatever its form
            return self.refuse(exchange, trace, &error, &answer.head).await;
        }
        if let Some(coding) = answer
            .head
            .headers
            .text("content-encoding")
            .filter(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            let message = format!(
                "the upstream sent a body with content-encoding {coding:.40}, which cannot be read here"
            );
            let error = Error::upstream(Kind::BadReply, message);
            return if exchange.is_begun() {
                self.fail(exchange, trace, answering, error).await
            } else {
                Err(error.into())
            };
        }
        let events = answer
            .head
            .headers
            .get("content-type")
            .is_some_and(is_event_stream);
        drop(std::mem::take(&mut answer.head));
        match (streams, events) {
            (true, true) => self.stream(exchange, trace, answering, answer.body).await,
            (true, false) => self.replay(exchange, trace, answering, answer).await,
            (false, true) => self.gather(exchange, trace, answering, answer.body).await,
            (false, false) => self.whole(exchange, trace, answering, answer).await,
        }
    }

    /// Sends the request; while a streaming client waits, it is told every 15 s that it is not forgotten.
    async fn send_converted(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        route: &Arc<Route>,
        to: Protocol,
        converted: Converted,
    ) -> Result<Answer, Refusal> {
        let upstream = &*route.upstream;
        let object = Object::parse(&converted.body).map_err(|fault| fault.blame(Blame::Gateway))?;
        let edits = route.edits(
            to,
            &object,
            Some(converted.anthropic_version),
            &converted.invented,
        );
        for key in edits.left_out {
            trace.warnings.add(key, "refused_by_version");
        }
        let spliced = splice(&object, &edits.list);
        let outbound = Outbound {
            upstream,
            protocol: to,
            target: &upstream.path(to, to.path()),
            length: spliced.len(),
            content_type: b"application/json",
            voice: Voice::Gateway {
                betas: &converted.betas,
                anthropic_version: converted.anthropic_version,
            },
        };
        let mut alarm = Alarm::new(upstream.timeouts.connect);
        let mut sending = pin!(send(&outbound, &spliced.parts, &mut alarm));
        loop {
            let next = {
                let (gone, _) = exchange.waiting();
                race(sending.as_mut(), race(gone, sleep(KEEP_ALIVE))).await
            };
            match next {
                First::A(answer) => return Ok(answer?),
                First::B(First::A(())) => return Err(Refusal::ClientLeft),
                First::B(First::B(())) if converted.context.stream => {
                    self.begin_stream(exchange, trace);
                    exchange
                        .write(b": keepalive\n\n")
                        .await
                        .map_err(|_| Refusal::ClientLeft)?;
                }
                First::B(First::B(())) => {}
            }
        }
    }

    fn begin_stream(&self, exchange: &mut Exchange, trace: &Trace) {
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
    async fn refuse(
        &self,
        exchange: &mut Exchange,
        trace: &Trace,
        error: &Error,
        upstream: &ResponseHead,
    ) -> Result<(), Refusal> {
        let answer = answer_of(self.protocol, upstream.status, error, self.request_id);
        let sent = exchange.answer(answer.status, &answer.body, |out| {
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
    async fn fail(
        &self,
        exchange: &mut Exchange,
        trace: &Trace,
        answering: Answering,
        error: Error,
    ) -> Result<(), Refusal> {
        let translator = answering.translator(self.protocol);
        self.fail_stream(exchange, trace, translator, Vec::new(), error)
            .await
    }

    /// Tells the client of a failure: as an HTTP error while that is possible, else inside its stream, whose body then ends
    /// as a stream does, but never as a complete answer.
    async fn fail_stream(
        &self,
        exchange: &mut Exchange,
        trace: &Trace,
        mut translator: Translator,
        mut out: Vec<u8>,
        error: Error,
    ) -> Result<(), Refusal> {
        if !exchange.is_begun() && !translator.started() {
            return Err(error.into());
        }
        log::warn!(
            "a converted stream failed",
            id = self.request_id,
            error = error
        );
        translator.fail(&error, &mut out);
        self.begin_stream(exchange, trace);
        exchange
            .write(&out)
            .await
            .map_err(|_| Refusal::ClientLeft)?;
        exchange.finish().await.map_err(|_| Refusal::ClientLeft)
    }

    /// A stream for a stream.
    async fn stream(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        answering: Answering,
        mut body: Body,
    ) -> Result<(), Refusal> {
        let mut translator = answering.translator(self.protocol);
        drop(answering);
        let idle = body.idle();
        let mut out = Vec::new();
        let mut heard_at = Instant::now();
        let mut told_at = heard_at;
        while !translator.is_finished() {
            let next = {
                let (gone, alarm) = exchange.waiting();
                let mut gone = pin!(gone);
                alarm.set_at((heard_at + idle).min(told_at + KEEP_ALIVE));
                poll_fn(|cx| {
                    let piece = body.poll_piece(cx, |piece| {
                        trace.usage.feed(piece.data());
                        let fed = translator.feed(piece.data(), &mut out);
                        if piece.last {
                            fed.and_then(|()| translator.finish(&mut out))
                        } else {
                            fed
                        }
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
            match next {
                Some(Ok(())) => heard_at = now,
                Some(Err(error)) => {
                    return self
                        .fail_stream(exchange, trace, translator, out, error)
                        .await;
                }
                None if now.duration_since(heard_at) >= idle => {
                    return self
                        .fail_stream(exchange, trace, translator, out, silent(idle))
                        .await;
                }
                None => translator.keep_alive(&mut out),
            }
            if !out.is_empty() {
                self.begin_stream(exchange, trace);
                exchange
                    .write(&out)
                    .await
                    .map_err(|_| Refusal::ClientLeft)?;
                out.clear();
                told_at = now;
            }
        }
        exchange.finish().await.map_err(|_| Refusal::ClientLeft)?;
        let found = translator.warnings().clone();
        trace.warnings.merge(found);
        let_end(body);
        Ok(())
    }

    /// A stream made of the whole answer of an upstream that ignored the wish for one.
    async fn replay(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        answering: Answering,
        mut answer: Answer,
    ) -> Result<(), Refusal> {
        let converted = match self.collect(exchange, &mut answer, ANSWER_BYTES_MAX).await {
            Ok(body) => {
                trace.usage.feed(body.data());
                let mut warnings = Warnings::default();
                let converted = replay(
                    answering.to,
                    self.protocol,
                    &answering.cx,
                    &answering.made,
                    body.data(),
                    &mut warnings,
                );
                trace.warnings.merge(warnings);
                converted
            }
            Err(Refusal::Error(error)) => Err(*error),
            Err(refusal) => return Err(refusal),
        };
        match converted {
            Ok(events) => {
                self.begin_stream(exchange, trace);
                exchange
                    .write(&events)
                    .await
                    .map_err(|_| Refusal::ClientLeft)?;
                exchange.finish().await.map_err(|_| Refusal::ClientLeft)
            }
            Err(error) if exchange.is_begun() => self.fail(exchange, trace, answering, error).await,
            Err(error) => Err(error.into()),
        }
    }

    /// A whole answer made of a stream.
    async fn gather(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        answering: Answering,
        mut body: Body,
    ) -> Result<(), Refusal> {
        let Answering { cx, made, to } = answering;
        let mut collector = Collector::new(to, self.protocol, cx, made);
        let idle = body.idle();
        while !collector.is_finished() {
            let (gone, alarm) = exchange.waiting();
            let mut gone = pin!(gone);
            alarm.set(idle);
            let last = poll_fn(|cx| {
                let piece = body.poll_piece(cx, |piece| {
                    trace.usage.feed(piece.data());
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
            .await?;
            if last {
                break;
            }
        }
        let mut warnings = Warnings::default();
        let converted = collector.finish(&mut warnings)?;
        trace.warnings.merge(warnings);
        let_end(body);
        self.answer_json(exchange, trace, &converted).await
    }

    /// A whole answer for a whole answer.
    async fn whole(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        answering: Answering,
        mut answer: Answer,
    ) -> Result<(), Refusal> {
        let body = self
            .collect(exchange, &mut answer, ANSWER_BYTES_MAX)
            .await?;
        trace.usage.feed(body.data());
        let mut warnings = Warnings::default();
        let converted = convert_response(
            answering.to,
            self.protocol,
            &answering.cx,
            &answering.made,
            body.data(),
            &mut warnings,
        )?;
        trace.warnings.merge(warnings);
        self.answer_json(exchange, trace, &converted).await
    }

    async fn answer_json(
        &self,
        exchange: &mut Exchange,
        trace: &Trace,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let sent = exchange.answer(200, body, |out| {
            write_field(out, "content-type", b"application/json");
            self.write_fields(out, trace);
        });
        sent.await.map_err(|_| Refusal::ClientLeft)
    }

    /// The small endpoints beside a protocol's main one, where the upstream does not have them: tokens are estimated, and the
    /// warnings header says so.
    pub(super) async fn answer_companion(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        route: &Route,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let Some(estimate) = estimate_answer(self.path, body) else {
            return Err(route.lacks(self.path).into());
        };
        trace.warnings.add("input_tokens", "estimated");
        self.answer_json(exchange, trace, &estimate).await
    }
}

impl Answering {
    fn translator(&self, client: Protocol) -> Translator {
        Translator::new(self.to, client, self.cx.clone(), self.made.clone())
    }
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
