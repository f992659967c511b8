//! The hot path: from a request whose body names a model to the upstream's answer on the client's connection.
//! Same protocol on both sides is verbatim: the client's bytes with only `model` and the parameter edits spliced in, as
//! parts of one vectored write, and the upstream's bytes back, each as it comes.

use super::headers::{is_form, write_answer_fields, write_request_fields};
use super::route::{Route, Way};
use super::snapshot::{Snapshot, Upstream};
use super::trace::Trace;
use super::{App, Refusal};
use crate::error::{Blame, Error, Kind};
use crate::log;
use crate::net::buffer::Buffer;
use crate::net::client::{self, Answer, Call};
use crate::net::exchange::{Broken, Exchange, RequestBody};
use crate::net::{First, race};
use crate::protocol::Protocol;
use crate::wire::body::Framing;
use crate::wire::head::{Method, RequestHead, write_field, write_number_field};
use crate::wire::json::{Object, splice};
use crate::wire::multipart;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// An upstream's error answer is read whole, so that a key it quotes can be masked; a larger one is none.
const ERROR_BYTES_MAX: usize = 1024 * 1024;
/// What is sent when the client named no version (Anthropic's "Versions" page).
const ANTHROPIC_VERSION: &str = "2023-06-01";
/// The beta that an OAuth token needs.
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// One request to an endpoint that is routed by its body's `model`.
pub(super) struct Forward<'a> {
    pub app: &'a App,
    pub snapshot: &'a Snapshot,
    pub head: &'a RequestHead,
    /// The protocol the client speaks.
    pub protocol: Protocol,
    /// The endpoint's path after `/v1`.
    pub path: &'a str,
    /// The client key that was shown, if keys are asked for.
    pub client_key: Option<&'a super::config::ClientKey>,
    pub request_id: &'a str,
    /// Not the protocol's main endpoint.
    pub companion: bool,
}

impl Forward<'_> {
    /// Answers it. An error before the answer has begun is the caller's to render; afterwards the answer is broken off.
    pub async fn run(&self, exchange: &mut Exchange, trace: &mut Trace) -> Result<(), Refusal> {
        if let Some(coding) = self
            .head
            .headers
            .text("content-encoding")
            .filter(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            let message = format!(
                "a body with content-encoding {coding:.40} is not read here: send it as it is"
            );
            return Err(Error::client(Kind::UnsupportedMediaType, message).into());
        }
        let answer = {
            let body = exchange
                .read_body(self.snapshot.limits.body_bytes_max, &self.app.budget)
                .await?;
            self.ask(exchange, trace, &body).await?
        };
        self.relay(exchange, trace, answer).await
    }

    /// Routes the request and sends it.
    async fn ask(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        body: &RequestBody,
    ) -> Result<Answer, Refusal> {
        let content_type = self.head.headers.get("content-type");
        if let Some(content_type) = content_type.filter(|value| is_form(value)) {
            let bytes = body.data();
            let range = multipart::find_model(content_type, bytes)
                .map_err(|fault| fault.blame(Blame::Client))?;
            let range = range.ok_or_else(|| {
                Error::client(Kind::BadRequest, "the form has no part named model").param("model")
            })?;
            let model = std::str::from_utf8(&bytes[range.clone()]).map_err(|_| {
                Error::client(Kind::BadRequest, "the part named model is not UTF-8").param("model")
            })?;
            let route = self.route(model, trace)?;
            let parts = [
                &bytes[..range.start],
                route.model.as_bytes(),
                &bytes[range.end..],
            ];
            return self.send(exchange, route, &parts, content_type).await;
        }
        let object = Object::parse(body.data()).map_err(|fault| fault.blame(Blame::Client))?;
        let model = object.get("model").ok_or_else(|| {
            Error::client(Kind::BadRequest, "the body names no model").param("model")
        })?;
        let model = model.as_str().ok_or_else(|| {
            Error::client(Kind::BadRequest, "model must be a string").param("model")
        })?;
        let route = self.route(&model, trace)?;
        let edits = if self.companion {
            route.model_edit().into_iter().collect()
        } else {
            let edits = route.edits(
                self.protocol,
                &object,
                self.head.headers.text("anthropic-version"),
                &[],
            );
            trace.warn(
                edits
                    .left_out
                    .iter()
                    .map(|key| format!("{key}:refused_by_version")),
            );
            edits.list
        };
        let spliced = splice(&object, &edits);
        self.send(exchange, route, &spliced.parts, b"application/json")
            .await
    }

    /// The route of a model name, if this client may use it and its upstream speaks the protocol.
    fn route(&self, model: &str, trace: &mut Trace) -> Result<&Arc<Route>, Error> {
        let route = self.snapshot.resolve(model, self.client_key)?;
        trace.routed(route, self.protocol);
        // Embeddings, images and the like are no protocol's own: they go to the base URL, whatever else it speaks.
        if self.companion && self.protocol == Protocol::Chat {
            return Ok(route);
        }
        match route.way(self.protocol, self.snapshot.allow_protocol_conversion) {
            Way::Verbatim => Ok(route),
            Way::Convert(_) | Way::None => Err(route.lacks(self.path)),
        }
    }

    async fn send(
        &self,
        exchange: &mut Exchange,
        route: &Route,
        body: &[&[u8]],
        content_type: &[u8],
    ) -> Result<Answer, Refusal> {
        let upstream = &*route.upstream;
        let target = self.target(upstream);
        let length: usize = body.iter().map(|part| part.len()).sum();
        let mut head = Buffer::new();
        head.append_with(|out| self.write_head(out, upstream, &target, length, content_type));

        let mut parts: Vec<&[u8]> = Vec::with_capacity(body.len() + 1);
        parts.push(head.data());
        parts.extend_from_slice(body);
        let call = Call {
            origin: upstream.origin(self.protocol),
            method: Method::Post,
            parts: &parts,
            timeouts: upstream.timeouts,
            retry: upstream.retry,
        };
        let (gone, alarm) = exchange.waiting();
        let answer = match race(client::send(&call, alarm), gone).await {
            First::A(answer) => answer?,
            First::B(()) => return Err(Refusal::ClientLeft),
        };
        match answer.head.status {
            // 304 is no redirect, and 300, 305 and 306 name no one place to go.
            301..=303 | 307 | 308 => Err(redirect(upstream, &answer).into()),
            404 | 405 => {
                log::warn!(
                    "the upstream does not know this URL",
                    upstream = upstream.name,
                    url = upstream.url(self.protocol, &target),
                    status = answer.head.status
                );
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }

    /// The path and query that are asked.
    fn target(&self, upstream: &Upstream) -> String {
        let mut target = upstream.path(self.protocol, self.path);
        if let Some(query) = self.head.query() {
            target.push('?');
            target.push_str(query);
        }
        target
    }

    fn write_head(
        &self,
        out: &mut Vec<u8>,
        upstream: &Upstream,
        target: &str,
        length: usize,
        content_type: &[u8],
    ) {
        let own = |name: &[u8]| {
            upstream
                .headers
                .iter()
                .any(|(header, _)| header.as_bytes().eq_ignore_ascii_case(name))
        };
        upstream
            .origin(self.protocol)
            .write_request_line(out, "POST", target);
        write_request_fields(out, self.head, own);
        if self.protocol == Protocol::Messages
            && self.head.headers.get("anthropic-version").is_none()
            && !own(b"anthropic-version")
        {
            write_field(out, "anthropic-version", ANTHROPIC_VERSION.as_bytes());
        }
        write_credentials(out, upstream, self.protocol, own);
        for (name, value) in &upstream.headers {
            write_field(out, name, value.expose().as_bytes());
        }
        write_field(out, "content-type", content_type);
        write_number_field(out, "content-length", length as u64);
        // Capture and conversion must be able to read the answer, and so must the client.
        write_field(out, "accept-encoding", b"identity");
        out.extend_from_slice(b"\r\n");
    }

    /// Sends the answer on.
    async fn relay(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        mut answer: Answer,
    ) -> Result<(), Refusal> {
        let status = answer.head.status;
        if status >= 400 {
            return self.relay_error(exchange, trace, answer).await;
        }
        let length = match answer.body.framing() {
            Framing::Length(n) => Some(n),
            Framing::None => Some(0),
            Framing::Chunked | Framing::UntilClose => None,
        };
        exchange.begin(status, length, |out| {
            write_answer_fields(out, &answer.head, self.request_id);
            trace.write_warnings(out);
            self.app.write_cors(out, self.snapshot, self.head);
        });
        // Nothing of the head is needed any more, and a stream may be held for an hour.
        drop(std::mem::take(&mut answer.head));
        match exchange
            .relay(&mut answer.body, |piece| trace.usage.feed(piece))
            .await
        {
            Ok(()) => Ok(()),
            Err(Broken::Client) => Err(Refusal::ClientLeft),
            Err(Broken::Upstream(error)) => Err(error.into()),
        }
    }

    /// An error answer goes on as it is, status and body, but for a quoted key.
    async fn relay_error(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        mut answer: Answer,
    ) -> Result<(), Refusal> {
        let body = collect(exchange, &mut answer).await?;
        let body = match trace.upstream() {
            Some(upstream) => upstream.mask_secrets(body.data()),
            None => body.data().into(),
        };
        let sent = exchange.answer(answer.head.status, &body, |out| {
            write_answer_fields(out, &answer.head, self.request_id);
            trace.write_warnings(out);
            self.app.write_cors(out, self.snapshot, self.head);
        });
        sent.await.map_err(|_| Refusal::ClientLeft)
    }
}

/// Reads an answer's whole body.
async fn collect(exchange: &mut Exchange, answer: &mut Answer) -> Result<Buffer, Refusal> {
    let mut collected = Buffer::new();
    let idle = answer.body.idle();
    let (gone, alarm) = exchange.waiting();
    let mut gone = pin!(gone);
    loop {
        alarm.set(idle);
        let last = poll_fn(|cx| {
            if let Poll::Ready(piece) = answer.body.poll_piece(cx, |piece| {
                collected.extend(piece.data());
                piece.last
            }) {
                return Poll::Ready(piece.map_err(Refusal::from));
            }
            if gone.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(Refusal::ClientLeft));
            }
            alarm.poll(cx).map(|()| {
                Err(Error::upstream(
                    Kind::Timeout,
                    format!("the upstream sent nothing for {} s", idle.as_secs()),
                )
                .into())
            })
        })
        .await?;
        if last {
            return Ok(collected);
        }
        if collected.len() > ERROR_BYTES_MAX {
            return Err(Error::upstream(
                Kind::BadReply,
                "the upstream's error answer is larger than 1 MB",
            )
            .into());
        }
    }
}

/// `Authorization: Bearer` or `x-api-key`, as the protocol and the host want it (product.md 3, "Credentials").
fn write_credentials(
    out: &mut Vec<u8>,
    upstream: &Upstream,
    protocol: Protocol,
    own: impl Fn(&[u8]) -> bool,
) {
    let Some(key) = &upstream.key else { return };
    let key = key.expose();
    let bearer = |out: &mut Vec<u8>| {
        if !own(b"authorization") {
            out.extend_from_slice(b"authorization: Bearer ");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    };
    if protocol != Protocol::Messages {
        bearer(out);
        return;
    }
    if key.starts_with("sk-ant-oat") {
        bearer(out);
        write_field(out, "anthropic-beta", OAUTH_BETA.as_bytes());
        return;
    }
    if !own(b"x-api-key") {
        write_field(out, "x-api-key", key.as_bytes());
    }
    let host = upstream.origin(protocol).host();
    if host != "anthropic.com" && !host.ends_with(".anthropic.com") {
        bearer(out);
    }
}

fn redirect(upstream: &Upstream, answer: &Answer) -> Error {
    let to = answer.head.headers.text("location").unwrap_or("nowhere");
    Error::upstream(
        Kind::BadReply,
        format!(
            "the upstream {:?} redirects to {to:.300}: set base_url to that",
            upstream.name
        ),
    )
}
