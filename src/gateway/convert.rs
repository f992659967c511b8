//! The converting path: a request in the client's protocol becomes one in the upstream's, and the answer comes back in the
//! client's, streamed or whole, whichever of the two the upstream chose to send.
//!
//! The head of a stream is sent late: until the upstream's first event was read a failure is a real HTTP error. After 15 s
//! of silence the head and a sign of life go out together; from then on a failure is told inside the stream.

use super::Refusal;
use super::answering::{Answering, KEEP_ALIVE};
use super::forward::{ERROR_BYTES_MAX, Forward, head_of, send};
use super::headers::{is_event_stream, write_answer_fields, write_request_fields};
use super::metrics::Gauge;
use super::outbound::{Outbound, Voice};
use super::recall::Keeping;
use super::route::Route;
use super::trace::Trace;
use crate::clock;
use crate::error::{Blame, Error, Kind};
use crate::net::alarm::Alarm;
use crate::net::client::Answer;
use crate::net::exchange::Exchange;
use crate::net::{First, race, tls};
use crate::protocol::responses::state;
use crate::protocol::{
    Context, Converted, Made, Protocol, Usage, convert_request, estimate_answer, of_answer,
};
use crate::wire::json::{Object, splice};
use std::pin::pin;
use std::sync::Arc;
use tokio::time::sleep;

/// A request that was converted and is to be sent.
pub(super) struct Conversion {
    route: Arc<Route>,
    to: Protocol,
    converted: Converted,
    /// What is to be kept of it and its answer.
    keeping: Option<Keeping>,
}

impl Conversion {
    /// The same, of a Responses request whose state was put back.
    pub fn recalled(mut self, previous: Option<&str>, keeping: Option<Keeping>) -> Conversion {
        if let Some(id) = previous {
            state::echo_previous(&mut self.converted.context.echo, id);
        }
        self.keeping = keeping;
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
        body: &[u8],
    ) -> Result<Conversion, Error> {
        let mut converted = convert_request(self.protocol, to, &route.caps, &route.model, body)?;
        if route.strict
            && let Some(refusal) = converted.warnings.refusal()
        {
            return Err(refusal);
        }
        converted.context.request_id = self.request_id.to_owned();
        trace
            .warnings
            .merge(std::mem::take(&mut converted.warnings));
        Ok(Conversion {
            route: route.clone(),
            to,
            converted,
            keeping: None,
        })
    }

    /// Sends a converted request and answers the client.
    pub(super) async fn converted(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        conversion: Box<Conversion>,
    ) -> Result<(), Refusal> {
        let streams = conversion.converted.context.stream;
        let _stream = streams.then(|| {
            trace.streams();
            self.app.metrics.opened(Gauge::Streams)
        });
        let Some((answering, answer, events)) = self.answered(exchange, trace, *conversion).await?
        else {
            return Ok(());
        };
        match (streams, events) {
            (true, true) => self.stream(exchange, trace, answering, answer.body).await,
            (true, false) => self.replay(exchange, trace, answering, answer).await,
            (false, true) => {
                let whole = self.gather(exchange, trace, answering, answer.body);
                let (body, _) = whole.await?;
                self.answer_json(exchange, trace, &body).await
            }
            (false, false) => {
                let body = self.whole(exchange, trace, answering, answer).await?;
                self.answer_json(exchange, trace, &body).await
            }
        }
    }

    /// The same, but the answer is the caller's to send. None: the client was already told of a failure.
    pub(super) async fn whole_answer(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        conversion: Conversion,
    ) -> Result<Option<Whole>, Refusal> {
        let Some((answering, answer, events)) = self.answered(exchange, trace, conversion).await?
        else {
            return Ok(None);
        };
        let (cx, made) = (answering.cx.clone(), answering.made.clone());
        let (body, usage) = if events {
            self.gather(exchange, trace, answering, answer.body).await?
        } else {
            (self.whole(exchange, trace, answering, answer).await?, None)
        };
        Ok(Some(Whole {
            body,
            usage,
            cx,
            made,
        }))
    }

    /// Sends a converted request. Gives the answer, if it is one, and whether it is a stream of events; None: the client was
    /// told of a failure.
    async fn answered(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        conversion: Conversion,
    ) -> Result<Option<(Answering, Answer, bool)>, Refusal> {
        let Conversion {
            route,
            to,
            converted,
            keeping,
        } = conversion;
        let made = Made {
            now_unix_s: clock::unix_s(),
            random: tls::random(),
        };
        let answering = Answering {
            cx: converted.context.clone(),
            made,
            to,
            keeping,
        };
        let sent = self
            .send_converted(exchange, trace, &route, to, converted)
            .await;
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(Refusal::Error(error)) if exchange.is_begun() => {
                self.fail(exchange, trace, answering, *error).await?;
                return Ok(None);
            }
            Err(refusal) => return Err(refusal),
        };
        trace.upstream_id(&answer.head.headers);
        let mut fields = Vec::new();
        write_answer_fields(&mut fields, &answer.head, "");
        trace.answered(answer.head.status, &fields);
        drop(fields);
        if answer.head.status >= 400 {
            let body = self.collect(exchange, &mut answer, ERROR_BYTES_MAX).await?;
            let body = self.app.mask_secrets(&route.upstream, body.data());
            trace.hears(&body);
            let mut error = of_answer(answer.head.status, &body, &route.upstream.name);
            if exchange.is_begun() {
                self.fail(exchange, trace, answering, error).await?;
            } else {
                error.retry_after_s = None; // the header itself is carried, whatever its form
                self.refuse(exchange, trace, &error, &answer.head).await?;
            }
            return Ok(None);
        }
        let coding = answer.head.headers.text("content-encoding");
        if let Some(coding) = coding.filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
            let message = format!(
                "the upstream sent a body with content-encoding {coding:.40}, which cannot be read here"
            );
            let error = Error::upstream(Kind::BadReply, message);
            if !exchange.is_begun() {
                return Err(error.into());
            }
            self.fail(exchange, trace, answering, error).await?;
            return Ok(None);
        }
        let content_type = answer.head.headers.get("content-type");
        let events = content_type.is_some_and(is_event_stream);
        drop(std::mem::take(&mut answer.head));
        Ok(Some((answering, answer, events)))
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
        let target = upstream.path(to, to.path());
        let outbound = Outbound {
            upstream,
            protocol: to,
            target: &target,
            length: spliced.len(),
            content_type: b"application/json",
            voice: Voice::Gateway {
                betas: &converted.betas,
                anthropic_version: converted.anthropic_version,
            },
            sidecar: None,
        };
        // The client's fields do not travel; they are recorded all the same.
        let mut fields = Vec::new();
        write_request_fields(&mut fields, self.head, |_| false);
        trace.asks(&target, &fields, &spliced.parts);
        drop(fields);
        let (head, _) = head_of(&outbound);
        let mut alarm = Alarm::new(upstream.timeouts.connect);
        let mut sending = pin!(send(self.app, &outbound, head, &spliced.parts, &mut alarm));
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
