//! The hot path: from a request whose body names a model to the upstream's answer on the client's connection.
//! Same protocol on both sides is verbatim: the client's bytes with only `model` and the parameter edits spliced in, as
//! parts of one vectored write, and the upstream's bytes back, each as it comes. What has to be converted goes through
//! [`super::convert`].

use super::config::ClientKey;
use super::convert::Conversion;
use super::debug::{Beginning, Record, mode};
use super::headers::{is_event_stream, is_form, is_json, write_answer_fields};
use super::metrics::Gauge;
use super::models::decode;
use super::outbound::{Outbound, Voice};
use super::route::{Route, Way};
use super::snapshot::{Snapshot, Upstream};
use super::trace::Trace;
use super::{App, Refusal};
use crate::error::{Blame, Error, Kind};
use crate::net::alarm::Alarm;
use crate::net::buffer::{Buffer, Share};
use crate::net::client::{self, Answer, Call};
use crate::net::exchange::{Broken, Exchange};
use crate::net::{First, race};
use crate::protocol::Protocol;
use crate::protocol::responses::state;
use crate::wire::body::Framing;
use crate::wire::head::{Method, RequestHead, ResponseHead};
use crate::wire::json::{Object, splice};
use crate::wire::multipart;
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// An upstream's error answer is read whole, so that a key it quotes can be masked; a larger one is none.
pub(super) const ERROR_BYTES_MAX: usize = 1024 * 1024;
/// A body up to this is copied behind its head: one part to be written costs the system less than several.
const COPIED_BYTES_MAX: usize = 4096;

/// One request to an endpoint that is routed by its body's `model`.
pub(super) struct Forward<'a> {
    pub app: &'a App,
    pub snapshot: &'a Arc<Snapshot>,
    pub head: &'a RequestHead,
    /// The protocol the client speaks.
    pub protocol: Protocol,
    /// The endpoint's path after `/v1`.
    pub path: &'a str,
    /// The client key that was shown, if keys are asked for.
    pub client_key: Option<&'a ClientKey>,
    pub request_id: &'a str,
    /// Not the protocol's main endpoint.
    pub companion: bool,
}

/// What became of a request once it was read.
#[expect(
    clippy::large_enum_variant,
    reason = "made once a request and moved once; a box would be an allocation on the hot path"
)]
enum Asked {
    /// The upstream's answer, to be passed on as it is.
    Verbatim(Answer),
    /// A conversion that has not been sent yet.
    Convert(Box<Conversion>),
}

impl Forward<'_> {
    /// Answers it. An error before the answer has begun is the caller's to render; afterwards the answer is broken off.
    pub async fn run(&self, exchange: &mut Exchange, trace: &mut Trace) -> Result<(), Refusal> {
        let _open = self.app.metrics.opened(Gauge::Requests);
        trace.begins(self.record(exchange), self.debugs());
        let coding = self.head.headers.text("content-encoding");
        if let Some(coding) = coding.filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
            let message = format!(
                "a body with content-encoding {coding:.40} is not read here: send it as it is"
            );
            return Err(Error::client(Kind::UnsupportedMediaType, message).into());
        }
        // Scopes, and an answer that is lent: every connection has room for what lives through the longest of these waits.
        let conversion = {
            let Some(asked) = self.ask(exchange, trace).await? else {
                return Ok(());
            };
            match asked {
                Asked::Verbatim(mut answer) => {
                    return self.relay(exchange, trace, &mut answer).await;
                }
                Asked::Convert(conversion) => conversion,
            }
        };
        self.converted(exchange, trace, conversion).await
    }

    /// Reads the request, routes it, and sends it where nothing has to be converted. None: it was answered here.
    async fn ask(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
    ) -> Result<Option<Asked>, Refusal> {
        let body = exchange
            .read_body(self.snapshot.limits.body_bytes_max, &self.app.budget)
            .await?;
        trace.was_asked(body.data());
        let content_type = self.head.headers.get("content-type");
        if let Some(content_type) = content_type.filter(|value| is_form(value)) {
            let bytes = body.data();
            let range = multipart::find_model(content_type, bytes)
                .map_err(|fault| fault.blame(Blame::Client))?;
            let range = range.ok_or_else(|| wrong_model("the form has no part named model"))?;
            let model = std::str::from_utf8(&bytes[range.clone()])
                .map_err(|_| wrong_model("the part named model is not UTF-8"))?;
            let route = self.resolve(model, trace)?;
            if self.way(route) != Way::Verbatim {
                return Err(route.lacks(self.path).into());
            }
            let parts = [
                &bytes[..range.start],
                route.model.as_bytes(),
                &bytes[range.end..],
            ];
            return self
                .send_verbatim(exchange, trace, route, &parts, content_type)
                .await
                .map(|answer| Some(Asked::Verbatim(answer)));
        }
        let object = Object::parse(body.data()).map_err(|fault| fault.blame(Blame::Client))?;
        let model = object
            .get("model")
            .ok_or_else(|| wrong_model("the body names no model"))?;
        let model = model
            .as_str()
            .ok_or_else(|| wrong_model("model must be a string"))?;
        let route = self.resolve(&model, trace)?;
        let to = match self.way(route) {
            Way::Verbatim => {
                self.check_continuation(route, &object)?;
                let (model, all);
                let edits = if self.companion || route.params.is_empty() {
                    model = route.model_edit();
                    model.as_slice()
                } else {
                    let version = self.head.headers.text("anthropic-version");
                    all = route.edits(self.protocol, &object, version, &[]);
                    for &key in &all.left_out {
                        trace.warnings.add(key, "refused_by_version");
                    }
                    &all.list
                };
                let spliced = splice(&object, edits);
                return self
                    .send_verbatim(exchange, trace, route, &spliced.parts, b"application/json")
                    .await
                    .map(|answer| Some(Asked::Verbatim(answer)));
            }
            Way::Convert(to) => to,
            Way::None => return Err(route.lacks(self.path).into()),
        };
        let compacts = self.path == "/responses/compact";
        if self.companion && !compacts {
            self.answer_companion(exchange, trace, route, body.data())
                .await?;
            return Ok(None);
        }
        trace.converts(to);
        if self.protocol != Protocol::Responses {
            let conversion = self.convert(trace, route, to, object)?;
            return Ok(Some(Asked::Convert(Box::new(conversion))));
        }
        let said = state::asked(&object)?;
        let recall = self.recall(&object, &said, route)?;
        let object = match &recall.body {
            Some(whole) => Object::parse(whole).map_err(|fault| fault.blame(Blame::Client))?,
            None => object,
        };
        if compacts || said.wants_summary() {
            Box::pin(self.summarise(exchange, trace, route, to, object)).await?;
            return Ok(None);
        }
        let conversion = self.convert(trace, route, to, object)?;
        let conversion = conversion.recalled(recall.previous.as_deref(), recall.keeping);
        Ok(Some(Asked::Convert(Box::new(conversion))))
    }

    fn resolve(&self, model: &str, trace: &mut Trace) -> Result<&Arc<Route>, Error> {
        let route = self.snapshot.resolve(model, self.client_key)?;
        trace.routed(route, self.protocol);
        Ok(route)
    }

    /// How it gets there. Embeddings, images and the like are no protocol's own: they go to the base URL, whatever else it speaks.
    fn way(&self, route: &Route) -> Way {
        if self.companion && self.protocol == Protocol::Chat {
            return Way::Verbatim;
        }
        route.way(self.protocol, self.snapshot.allow_protocol_conversion)
    }

    async fn send_verbatim(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        route: &Route,
        body: &[&[u8]],
        content_type: &[u8],
    ) -> Result<Answer, Refusal> {
        let upstream = &*route.upstream;
        let mut target = upstream.path(self.protocol, self.path);
        if let Some(query) = self.head.query() {
            let query = match upstream.provider() {
                Some(_) => without_keys(query),
                None => query.into(),
            };
            let target = target.to_mut();
            target.push('?');
            target.push_str(&query);
        }
        let outbound = Outbound {
            upstream,
            protocol: self.protocol,
            target: &target,
            length: body.iter().map(|part| part.len()).sum(),
            content_type,
            voice: Voice::Client(self.head),
            sidecar: None,
        };
        let (mut head, fields) = head_of(&outbound);
        trace.asks(&target, &head.data()[fields], body);
        let (gone, alarm) = exchange.waiting();
        // Pinned here: an argument of a future is kept twice, before and after it is pinned.
        let sending = pin!(send(self.app, &outbound, &mut head, body, alarm));
        let gone = pin!(gone);
        match race(sending, gone).await {
            First::A(answer) => Ok(answer?),
            First::B(()) => Err(Refusal::ClientLeft),
        }
    }

    /// Sends an answer on as it is.
    async fn relay(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        answer: &mut Answer,
    ) -> Result<(), Refusal> {
        let status = answer.head.status;
        if status >= 400 {
            return self.relay_error(exchange, trace, answer).await;
        }
        if trace.debugs {
            return Box::pin(self.relay_debugged(exchange, trace, answer)).await;
        }
        let length = match answer.body.framing() {
            Framing::Length(n) => Some(n),
            Framing::None => Some(0),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let mut streams = false;
        exchange.begin(status, length, |out| {
            streams = self.write_answer_fields(out, trace, &answer.head);
            trace.write_warnings(out);
            self.app.write_cors(out, self.snapshot, self.head);
        });
        let _stream = streams.then(|| {
            trace.streams();
            self.app.metrics.opened(Gauge::Streams)
        });
        // Nothing of the head is needed any more, and a stream may be held for an hour.
        drop(std::mem::take(&mut answer.head));
        let relayed = exchange.relay(&mut answer.body, |piece| trace.hears(piece));
        relayed.await.map_err(broken)
    }

    /// An error answer goes on as it is, status and body, but for a quoted key.
    async fn relay_error(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        answer: &mut Answer,
    ) -> Result<(), Refusal> {
        let body = self.collect(exchange, answer, ERROR_BYTES_MAX).await?;
        let body = match trace.upstream() {
            Some(upstream) => self.app.mask_secrets(upstream, body.data()),
            None => body.data().into(),
        };
        trace.hears(&body);
        let status = answer.head.status;
        let mut fields = Vec::new();
        self.write_answer_fields(&mut fields, trace, &answer.head);
        let body = trace.with_record(exchange, status, &body);
        let sent = exchange.answer(status, &body, |out| {
            out.extend_from_slice(&fields);
            trace.write_debug_id(out);
            self.app.write_cors(out, self.snapshot, self.head);
        });
        sent.await.map_err(|_| Refusal::ClientLeft)
    }

    /// The same for a client that asked for its record: a JSON object is collected and gains it, a stream ends with it.
    async fn relay_debugged(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        answer: &mut Answer,
    ) -> Result<(), Refusal> {
        let status = answer.head.status;
        let mut fields = Vec::new();
        self.write_answer_fields(&mut fields, trace, &answer.head);
        let framing = answer.body.framing();
        let content_type = answer.head.headers.get("content-type").unwrap_or_default();
        let streams = is_event_stream(content_type);
        let plain = answer.head.headers.get("content-encoding");
        let plain = plain.is_none_or(|coding| coding.eq_ignore_ascii_case(b"identity"));
        let grows = streams && plain && !matches!(framing, Framing::Length(_) | Framing::None);
        let mut begun = Collected::default();
        if plain && is_json(content_type) && framing != Framing::None {
            let whole;
            (begun, whole) = self
                .collect_some(exchange, answer, mode::BODY_BYTES_MAX)
                .await?;
            trace.hears(begun.data());
            if whole {
                let body = trace.with_record(exchange, status, begun.data());
                let sent = exchange.answer(status, &body, |out| {
                    out.extend_from_slice(&fields);
                    trace.write_warnings(out);
                    self.app.write_cors(out, self.snapshot, self.head);
                });
                return sent.await.map_err(|_| Refusal::ClientLeft);
            }
        }
        let length = match framing {
            Framing::Length(n) => Some(n),
            Framing::None => Some(0),
            Framing::Chunked | Framing::UntilClose => None,
        };
        exchange.begin(status, length, |out| {
            out.extend_from_slice(&fields);
            trace.write_warnings(out);
            self.app.write_cors(out, self.snapshot, self.head);
        });
        let _stream = streams.then(|| {
            trace.streams();
            self.app.metrics.opened(Gauge::Streams)
        });
        if !begun.data().is_empty() {
            let sent = exchange.write(begun.data()).await;
            sent.map_err(|_| Refusal::ClientLeft)?;
            drop(begun);
        }
        let mut end = [0; 2];
        let relayed = exchange.relay_part(&mut answer.body, !grows, |piece| {
            for byte in piece.iter().rev().take(2).rev() {
                end = [end[1], *byte];
            }
            trace.hears(piece);
        });
        relayed.await.map_err(broken)?;
        // Behind a whole event only: a comment inside of one would end it.
        if grows
            && (end == *b"\n\n" || end == *b"\r\n")
            && let Some(report) = trace.report(exchange, status)
        {
            let sent = exchange.write(&mode::comment(&report)).await;
            sent.map_err(|_| Refusal::ClientLeft)?;
        }
        exchange.finish().await.map_err(|_| Refusal::ClientLeft)
    }

    /// The upstream's fields that come back, and so into the record.
    fn write_answer_fields(
        &self,
        out: &mut Vec<u8>,
        trace: &mut Trace,
        head: &ResponseHead,
    ) -> bool {
        let begin = out.len();
        let streams = write_answer_fields(out, head, self.request_id);
        trace.answered(head.status, &out[begin..]);
        streams
    }

    /// Whether the client wants its record in the answer, and may.
    fn debugs(&self) -> bool {
        let asked = self.head.headers.get(mode::ASKED);
        self.snapshot.debug_header && asked.is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
    }

    fn record(&self, exchange: &Exchange) -> Arc<Record> {
        Record::begin(&Beginning {
            id: self.request_id,
            snapshot: self.snapshot,
            head: self.head,
            peer: exchange.peer().ip(),
            client_key: self.client_key.map(|key| key.name.as_str()),
            protocol: self.protocol,
            received_at: exchange.received_at(),
        })
    }

    /// Reads an answer's whole body, within `bytes_max` and the budget.
    pub(super) async fn collect(
        &self,
        exchange: &mut Exchange,
        answer: &mut Answer,
        bytes_max: usize,
    ) -> Result<Collected, Refusal> {
        let (collected, whole) = self.collect_some(exchange, answer, bytes_max).await?;
        if whole {
            return Ok(collected);
        }
        let message = format!(
            "the upstream's answer is larger than {} MB",
            bytes_max / (1024 * 1024)
        );
        Err(Error::upstream(Kind::BadReply, message).into())
    }

    /// Reads an answer's body, and stops when it is larger than `bytes_max`: false then.
    async fn collect_some(
        &self,
        exchange: &mut Exchange,
        answer: &mut Answer,
        bytes_max: usize,
    ) -> Result<(Collected, bool), Refusal> {
        let mut collected = Collected::default();
        let idle = answer.body.idle();
        loop {
            let last = {
                let (gone, alarm) = exchange.waiting();
                let mut gone = pin!(gone);
                alarm.set(idle);
                poll_fn(|cx| {
                    if let Poll::Ready(piece) = answer.body.poll_piece(cx, |piece| {
                        collected.bytes.extend(piece.data());
                        piece.last
                    }) {
                        return Poll::Ready(piece.map_err(Refusal::from));
                    }
                    if gone.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Err(Refusal::ClientLeft));
                    }
                    alarm.poll(cx).map(|()| Err(silent(idle).into()))
                })
                .await?
            };
            if last {
                return Ok((collected, true));
            }
            if collected.bytes.len() > bytes_max {
                return Ok((collected, false));
            }
            if !self
                .app
                .budget
                .cover(&mut collected.share, collected.bytes.len() as u64)
                .await
            {
                return Err(Error::gateway(
                    Kind::AtCapacity,
                    "no room for another collected answer (limits.max_buffered_mb)",
                )
                .retry_after(1)
                .into());
            }
        }
    }
}

/// An answer's body and its share of the budget.
#[derive(Default)]
pub(super) struct Collected {
    bytes: Buffer,
    share: Share,
}

impl Collected {
    pub fn data(&self) -> &[u8] {
        self.bytes.data()
    }
}

fn broken(why: Broken) -> Refusal {
    match why {
        Broken::Client => Refusal::ClientLeft,
        Broken::Upstream(error) => error.into(),
    }
}

/// The error of an upstream that fell silent inside its answer.
pub(super) fn silent(idle: std::time::Duration) -> Error {
    Error::upstream(
        Kind::Timeout,
        format!("the upstream sent nothing for {} s", idle.as_secs()),
    )
}

fn wrong_model(message: &str) -> Error {
    Error::client(Kind::BadRequest, message).param("model")
}

/// A query without the parameters that the sidecar would take for a key: a client's has no business there.
fn without_keys(query: &str) -> Cow<'_, str> {
    let is_key = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        decode(name).is_ok_and(|name| name == "key" || name == "auth_token")
    };
    if !query.split('&').any(|pair| is_key(&pair)) {
        return query.into();
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_key(pair)).collect();
    kept.join("&").into()
}

/// The head of a request, and where the client's own field lines lie in it.
pub(super) fn head_of(outbound: &Outbound<'_>) -> (Buffer, Range<usize>) {
    let mut head = Buffer::new();
    let mut fields = 0..0;
    head.append_with(|out| fields = outbound.write_head(out, Method::Post));
    (head, fields)
}

/// Sends a request and waits for the head of its answer, after waiting for the sidecar if the upstream uses its accounts.
/// A redirect is an error; a URL that the upstream does not know is logged.
pub(super) async fn send(
    app: &App,
    outbound: &Outbound<'_>,
    head: &mut Buffer,
    body: &[&[u8]],
    alarm: &mut Alarm,
) -> Result<Answer, Error> {
    let upstream = outbound.upstream;
    let sidecar = match upstream.provider() {
        // Boxed: a request to any other upstream should not pay for the state of a wait.
        Some(_) => Some(Box::pin(app.sidecar_ready()).await?),
        None => None,
    };
    let mut origin = outbound.origin();
    if let Some(ready) = &sidecar {
        origin = &ready.origin;
        let sidecar = Some(ready);
        *head = head_of(&Outbound {
            sidecar,
            ..*outbound
        })
        .0; // now that its key is known
    }
    let (whole, listed);
    let parts: &[&[u8]] = if outbound.length <= COPIED_BYTES_MAX {
        for part in body {
            head.extend(part);
        }
        whole = [head.data()];
        &whole
    } else {
        let mut parts = Vec::with_capacity(body.len() + 1);
        parts.push(head.data());
        parts.extend_from_slice(body);
        listed = parts;
        &listed
    };
    let call = Call {
        origin,
        method: Method::Post,
        parts,
        timeouts: upstream.timeouts,
        retry: upstream.retry,
    };
    let explained = match client::send(&call, alarm).await {
        Ok(answer) => return arrived(outbound, answer),
        Err(error) => Box::pin(app.explain(sidecar.as_ref(), error)),
    };
    Err(explained.await)
}

/// An answer whose head came, if it is one to go on with.
fn arrived(outbound: &Outbound<'_>, answer: Answer) -> Result<Answer, Error> {
    let upstream = outbound.upstream;
    match answer.head.status {
        // 304 is no redirect, and 300, 305 and 306 name no one place to go.
        301..=303 | 307 | 308 => Err(redirect(upstream, &answer)),
        _ => Ok(answer),
    }
}

fn redirect(upstream: &Upstream, answer: &Answer) -> Error {
    let to = answer.head.headers.text("location").unwrap_or("nowhere");
    let message = format!(
        "the upstream {:?} redirects to {to:.300}: set base_url to that",
        upstream.name
    );
    Error::upstream(Kind::BadReply, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_of_a_query_goes_to_the_sidecar() {
        assert_eq!(without_keys("beta=true"), "beta=true");
        assert_eq!(without_keys("key=a&beta=true&auth_token=b"), "beta=true");
        assert_eq!(without_keys("k%65y=a&monkey=1&key"), "monkey=1");
    }
}
