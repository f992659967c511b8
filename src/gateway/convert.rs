//! The converting path: a request in the client's protocol becomes one in the upstream's, and the answer comes back in the
//! client's, streamed or whole, whichever of the two the upstream chose to send.
//!
//! The head of a stream is sent late: until the upstream's first event was read a failure is a real HTTP error. After 15 s
//! of silence the head and a sign of life go out together; from then on a failure is told inside the stream.

use super::Refusal;
use super::answering::{Answering, KEEP_ALIVE, Streaming};
use super::forward::{ERROR_BYTES_MAX, Forward, head_of, send};
use super::headers::{is_event_stream, retry_after_s, write_answer_fields, write_request_fields};
use super::metrics::Gauge;
use super::outbound::{Outbound, Voice};
use super::recall::Keeping;
use super::route::Route;
use super::trace::Trace;
use crate::clock;
use crate::error::{Blame, Error, Kind};
use crate::net::Running;
use crate::net::alarm::Alarm;
use crate::net::buffer::Buffer;
use crate::net::client::Answer;
use crate::net::exchange::Exchange;
use crate::net::tls;
use crate::net::{First, race};
use crate::protocol::responses::state;
use crate::protocol::{
    Context, Converted, Made, Protocol, Usage, convert_request, estimate_answer, of_answer,
};
use crate::wire::json::{Object, splice};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// How much longer a body may be in another protocol before it has to be moved: the words around a few hundred turns.
const GROWTH_BYTES: usize = 1024;

/// A request that was converted and is to be sent.
pub(super) struct Conversion {
    sending: Sending,
    answering: Answering,
}

/// What goes to the upstream.
pub(super) struct Sending {
    pub route: Arc<Route>,
    to: Protocol,
    /// Empty once it was sent, unless the upstream may pause: then it is asked again with the same.
    pub body: Buffer,
    betas: Vec<&'static str>,
    anthropic_version: &'static str,
    invented: Vec<&'static str>,
    /// The client waits for a stream.
    streams: bool,
    /// See [`Context::pauses`].
    pub pauses: bool,
}

impl Conversion {
    /// The same, of a Responses request whose state was put back.
    pub fn recalled(mut self, previous: Option<&str>, keeping: Option<Keeping>) -> Conversion {
        if let Some(id) = previous {
            state::echo_previous(&mut self.answering.cx.echo, id);
        }
        self.answering.cx.keeps = keeping.is_some();
        self.answering.keeping = keeping;
        self
    }
}

/// A converted answer that is not sent yet.
pub(super) struct Whole {
    pub body: Vec<u8>,
    pub usage: Option<Usage>,
    pub cx: Context,
    pub made: Made,
}

impl Forward<'_> {
    /// Converts a request. Nothing was sent if it fails.
    pub(super) fn convert(
        &self,
        trace: &mut Trace,
        route: &Arc<Route>,
        to: Protocol,
        body: Object<'_>,
    ) -> Result<Conversion, Error> {
        let spare = Buffer::vector(body.source().len() + GROWTH_BYTES);
        let Converted {
            body,
            warnings,
            mut context,
            betas,
            anthropic_version,
            invented,
            ..
        } = convert_request(self.protocol, to, &route.caps, &route.model, body, spare)?;
        if route.strict
            && let Some(refusal) = warnings.refusal()
        {
            return Err(refusal);
        }
        if self.protocol == Protocol::Messages {
            // For the errors inside its streams.
            context.request_id = self.request_id.to_owned();
        }
        trace.warnings.merge(warnings);
        let made = Made {
            now_unix_s: clock::unix_s(),
            random: tls::random_of_thread(),
        };
        Ok(Conversion {
            sending: Sending {
                route: route.clone(),
                to,
                body: Buffer::of(body),
                betas,
                anthropic_version,
                invented,
                streams: context.stream,
                pauses: context.pauses,
            },
            answering: Answering {
                cx: context,
                made,
                to,
                keeping: None,
            },
        })
    }

    /// Sends a converted request and answers the client.
    pub(super) async fn converted(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        mut conversion: Box<Conversion>,
    ) -> Result<(), Refusal> {
        let _stream = conversion.answering.cx.stream.then(|| {
            trace.streams();
            self.app.metrics.opened(Gauge::Streams)
        });
        // Not boxed: a box of that size is a page of its own. The answer is handed on at once, so that its place is not one
        // beside all that sending needs, which every connection's task would have to hold.
        let Some((answer, events)) = self.sent(exchange, trace, &mut conversion).await? else {
            return Ok(());
        };
        let told = self.answered(exchange, trace, conversion, answer, events);
        match told.await? {
            Some(streaming) => self.stream(exchange, trace, streaming).await,
            None => Ok(()),
        }
    }

    /// Answers the client, unless a stream is to be passed on as it comes: that is given back.
    async fn answered(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        mut conversion: Box<Conversion>,
        answer: Answer,
        events: bool,
    ) -> Result<Option<Box<Streaming>>, Refusal> {
        let body = match (conversion.sending.streams, events) {
            (true, true) => {
                let Conversion { sending, answering } = *conversion;
                let again = sending.pauses.then(|| Box::new(sending));
                let streaming = Streaming::new(answering, self.protocol, answer.body, again);
                return Ok(Some(Box::new(streaming)));
            }
            (true, false) => {
                let Conversion { sending, answering } = *conversion;
                let told = self.replay(exchange, trace, &sending, answering, answer);
                return Box::pin(told).await.map(|()| None);
            }
            (false, events) => {
                let whole = self.in_one(exchange, trace, &mut conversion, answer, events);
                whole.await?.0
            }
        };
        let body = Buffer::of(body);
        self.answer_json(exchange, trace, body.data()).await?;
        Ok(None)
    }

    /// The same, but the answer is the caller's to send. None: the client was already told of a failure.
    pub(super) async fn whole_answer(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        mut conversion: Conversion,
    ) -> Result<Option<Whole>, Refusal> {
        let sent = self.sent(exchange, trace, &mut conversion).await?;
        let Some((answer, events)) = sent else {
            return Ok(None);
        };
        let whole = self.in_one(exchange, trace, &mut conversion, answer, events);
        let (body, usage) = whole.await?;
        let Answering { cx, made, .. } = conversion.answering;
        Ok(Some(Whole {
            body,
            usage,
            cx,
            made,
        }))
    }

    /// The whole answer for a client that wants no stream, whichever of the two the upstream sends; of a stream with its usage.
    async fn in_one(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        conversion: &mut Conversion,
        mut answer: Answer,
        events: bool,
    ) -> Result<(Vec<u8>, Option<Usage>), Refusal> {
        let Conversion { sending, answering } = conversion;
        if events {
            let gathered = self.gather(exchange, trace, sending, answering, answer.body);
            return Box::pin(gathered).await;
        }
        let whole = self.whole(exchange, trace, sending, answering, &mut answer);
        Ok((whole.await?, None))
    }

    /// Sends a converted request. Gives the answer, if it is one, and whether it is a stream of events; None: the client was
    /// told of a failure.
    async fn sent(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        conversion: &mut Conversion,
    ) -> Result<Option<(Answer, bool)>, Refusal> {
        let sending = &mut conversion.sending;
        let sent = self.send_converted(exchange, trace, sending, sending.body.data());
        let told: Running<'_, _> = match sent.await {
            Ok(mut answer) => {
                if !sending.pauses {
                    sending.body.release();
                }
                match judged(trace, &mut answer) {
                    Some(events) => return Ok(Some((answer, events))),
                    None => Box::pin(self.told_of_failure(exchange, trace, conversion, answer)),
                }
            }
            Err(Refusal::Error(error)) if exchange.is_begun() => {
                Box::pin(self.fail(exchange, trace, &conversion.answering, *error))
            }
            Err(refusal) => return Err(refusal),
        };
        told.await.map(|()| None)
    }

    /// Tells the client of an answer that is none.
    async fn told_of_failure(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        conversion: &Conversion,
        mut answer: Answer,
    ) -> Result<(), Refusal> {
        let Conversion { sending, answering } = conversion;
        let upstream = &sending.route.upstream;
        if answer.head.status >= 400 {
            let body = self.collect(exchange, &mut answer, ERROR_BYTES_MAX).await?;
            let body = self.app.mask_secrets(upstream, body.data());
            trace.hears(&body);
            let mut error = of_answer(answer.head.status, &body, &upstream.name);
            if exchange.is_begun() {
                error.retry_after_s = retry_after_s(&answer.head);
                return self.fail(exchange, trace, answering, error).await;
            }
            // The header itself is carried, whatever its form.
            return self.refuse(exchange, trace, &error, &answer.head).await;
        }
        let coding = answer.head.headers.text("content-encoding");
        let message = format!(
            "the upstream sent a body with content-encoding {:.40}, which cannot be read here",
            coding.unwrap_or_default()
        );
        let error = Error::upstream(Kind::BadReply, message);
        if !exchange.is_begun() {
            return Err(error.into());
        }
        self.fail(exchange, trace, answering, error).await
    }

    /// Sends that body; while a streaming client waits, it is told every 15 s that it is not forgotten.
    pub(super) async fn send_converted(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        sending: &Sending,
        body: &[u8],
    ) -> Result<Answer, Refusal> {
        let (route, to) = (&*sending.route, sending.to);
        let upstream = &*route.upstream;
        let (whole, object, edits, spliced);
        let parts: &[&[u8]] = if route.params.is_empty() {
            // The conversion has written the upstream's model.
            whole = [body];
            &whole
        } else {
            object = Object::parse(body).map_err(|fault| fault.blame(Blame::Gateway))?;
            let version = Some(sending.anthropic_version);
            edits = route.edits(to, &object, version, &sending.invented);
            for &key in &edits.left_out {
                trace.warnings.add(key, "refused_by_version");
            }
            spliced = splice(&object, &edits.list);
            &spliced.parts
        };
        let target = upstream.path(to, to.path());
        let outbound = Outbound {
            upstream,
            protocol: to,
            target: &target,
            length: parts.iter().map(|part| part.len()).sum(),
            content_type: b"application/json",
            voice: Voice::Gateway {
                betas: &sending.betas,
                anthropic_version: sending.anthropic_version,
            },
            sidecar: None,
        };
        {
            // The client's fields do not travel; they are recorded all the same.
            let mut fields = Buffer::new();
            fields.append_with(|out| write_request_fields(out, self.head, |_| false));
            trace.asks(&target, fields.data(), parts);
        }
        if sending.streams {
            let answered = self.send_for_stream(exchange, trace, &outbound, parts);
            return answered.await;
        }
        let (mut head, _) = head_of(&outbound);
        // Nothing is told to this client meanwhile: the connection's own alarm is enough.
        let (gone, alarm) = exchange.waiting();
        let answered = pin!(send(self.app, &outbound, &mut head, parts, alarm));
        let gone = pin!(gone);
        match race(answered, gone).await {
            First::A(answer) => Ok(answer?),
            First::B(()) => Err(Refusal::ClientLeft),
        }
    }

    /// Sends for a client that waits for a stream, and tells it every 15 s that it is not forgotten. On its own, because a
    /// future that lives through two kinds of wait shares its place with nothing in the function that holds it.
    async fn send_for_stream(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        outbound: &Outbound<'_>,
        parts: &[&[u8]],
    ) -> Result<Answer, Refusal> {
        let (mut head, _) = head_of(outbound);
        let mut alarm = Alarm::new(outbound.upstream.timeouts.connect);
        let mut answered = pin!(send(self.app, outbound, &mut head, parts, &mut alarm));
        loop {
            {
                let (gone, alarm) = exchange.waiting();
                let mut gone = pin!(gone);
                alarm.set(KEEP_ALIVE);
                let waited = poll_fn(|cx| {
                    if let Poll::Ready(answer) = answered.as_mut().poll(cx) {
                        return Poll::Ready(answer.map(Some).map_err(Refusal::from));
                    }
                    if gone.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Err(Refusal::ClientLeft));
                    }
                    alarm.poll(cx).map(|()| Ok(None))
                });
                if let Some(answer) = waited.await? {
                    return Ok(answer);
                }
            }
            self.begin_stream(exchange, trace);
            let told = exchange.write(b": keepalive\n\n").await;
            told.map_err(|_| Refusal::ClientLeft)?;
        }
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

/// Makes the head of an upstream's answer known and lets go of it. Whether the answer is a stream of events; None: there is
/// nothing to convert, and the head stays to tell why.
fn judged(trace: &mut Trace, answer: &mut Answer) -> Option<bool> {
    trace.upstream_id(&answer.head.headers);
    let mut fields = Buffer::new();
    fields.append_with(|out| _ = write_answer_fields(out, &answer.head, ""));
    trace.answered(answer.head.status, fields.data());
    fields.release();
    let coding = answer.head.headers.text("content-encoding");
    let coded = coding.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
    if answer.head.status >= 400 || coded {
        return None;
    }
    let content_type = answer.head.headers.get("content-type");
    let events = content_type.is_some_and(is_event_stream);
    drop(std::mem::take(&mut answer.head));
    Some(events)
}
