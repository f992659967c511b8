//! THE PRODUCT. Knows everyone below; parses no raw bytes and names no provider's fields.
//! This file is the door: it gives every request an id, finds its endpoint, checks key and origin, and renders errors in
//! the protocol the client speaks.

pub mod access;
pub mod admin;
mod allowance;
mod answering;
pub mod config;
mod convert;
pub mod cors;
pub mod debug;
pub mod demo;
mod forward;
pub mod headers;
pub mod health;
pub mod live;
pub mod memory;
pub mod metrics;
pub mod models;
pub mod neighbour;
mod outbound;
pub mod owner;
pub mod params;
pub mod paths;
mod pause;
mod recall;
pub mod route;
pub mod snapshot;
pub mod trace;
mod trouble;
pub mod upstream;
pub mod usage;
pub mod watch;
mod web;

use crate::error::{Error, Kind};
use crate::net::Running;
use crate::net::buffer::Budget;
use crate::net::exchange::Exchange;
use crate::net::server::{self, Handler, Patience, Shared};
use crate::protocol::{self, Protocol, error_body};
use crate::sidecar::{READY_WAIT, Ready, Sidecar};
use crate::wire::head::{Method, RequestHead, write_field, write_number_field};
use admin::{Admin, Entered};
use config::ClientKey;
use cors::Visitor;
use debug::Ring;
use forward::Forward;
use memory::{Memory, Owner};
use metrics::Metrics;
use paths::Endpoint;
use snapshot::{Snapshot, Upstream};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::watch as channel;
use trace::Trace;
use trouble::Troubles;

/// When to come back for what this process will never have.
const NEVER_SOON_S: u32 = 3600;

/// The running product: the current snapshot, and what all requests share.
pub struct App {
    snapshot: channel::Receiver<Arc<Snapshot>>,
    budget: Arc<Budget>,
    admin: Admin,
    /// None: the demo, which has no accounts.
    sidecar: Option<Sidecar>,
    ring: Ring,
    metrics: Metrics,
    troubles: Troubles,
    memory: Memory,
    started_unix_s: u64,
    id_prefix: u64,
    id_count: AtomicU64,
}

/// Why a request was not answered as it should have been.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is something to tell the client.
    Error(Box<Error>),
    /// Nobody is there to be told.
    ClientLeft,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(Box::new(error))
    }
}

/// The id of a request: `req_` and 24 hex digits, unique in this process and unlikely to be met in another.
struct RequestId([u8; 28]);

impl RequestId {
    fn new(prefix: u64, count: u64) -> RequestId {
        let mut id = *b"req_000000000000000000000000";
        let digits = (u128::from(prefix) << 32 | u128::from(count as u32)).to_be_bytes();
        for (at, byte) in digits[4..].iter().enumerate() {
            id[4 + 2 * at] = b"0123456789abcdef"[usize::from(byte >> 4)];
            id[5 + 2 * at] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        RequestId(id)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default() // hex digits
    }
}

impl App {
    /// The product over a channel of snapshots. `id_prefix` is random, so that ids of two processes differ.
    pub fn new(
        snapshot: channel::Receiver<Arc<Snapshot>>,
        budget: Arc<Budget>,
        admin: Admin,
        sidecar: Option<Sidecar>,
        started_unix_s: u64,
        id_prefix: u64,
    ) -> App {
        App {
            snapshot,
            budget,
            admin,
            sidecar,
            ring: Ring::default(),
            metrics: Metrics::default(),
            troubles: Troubles::default(),
            started_unix_s,
            id_prefix,
            memory: Memory::default(),
            id_count: AtomicU64::new(0),
        }
    }

    /// Serves on that socket until told to stop.
    pub fn serve(
        self: Arc<App>,
        listener: TcpListener,
        shared: Arc<Shared>,
    ) -> Running<'static, ()> {
        server::serve(listener, self, shared)
    }

    /// So many clients are connected, of so many that may be: told once a second, for the metrics.
    pub fn count_clients(&self, open: u64, most: u64) {
        self.metrics.clients(open, most);
    }

    /// The sidecar's handle.
    pub(crate) fn sidecar(&self) -> Result<&Sidecar, Error> {
        let none = "the demo has no accounts: start the gateway with a configuration";
        self.sidecar
            .as_ref()
            .ok_or_else(|| Error::gateway(Kind::SidecarDown, none).retry_after(NEVER_SOON_S))
    }

    /// Where to send what is for an account, once the sidecar runs.
    pub(crate) async fn sidecar_ready(&self) -> Result<Ready, Error> {
        let ready = self.sidecar()?.ready(Instant::now() + READY_WAIT).await?;
        if let Some(key) = &ready.api_key {
            debug::redact::generated(key.expose());
        }
        Ok(ready)
    }

    /// An upstream's answer without the keys it was shown: some servers quote the key they refuse.
    pub(crate) fn mask_secrets<'b>(&self, upstream: &Upstream, body: &'b [u8]) -> Cow<'b, [u8]> {
        let body = upstream.mask_secrets(body);
        let key = upstream.provider().and(self.sidecar.as_ref());
        match key.and_then(Sidecar::api_key) {
            Some(key) => Cow::Owned(upstream::masked(&body, key.expose()).into_owned()),
            None => body,
        }
    }

    /// What is for the management API, or goes through it to an endpoint.
    async fn manage(
        &self,
        snapshot: &Arc<Snapshot>,
        head: &RequestHead,
        exchange: &mut Exchange,
        id: &str,
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        let entered = self
            .admin
            .enter(self, snapshot, head, exchange, id, &mut trace.failure);
        match entered.await? {
            Entered::Answered => Ok(()),
            Entered::Try => self.answer(snapshot, head, exchange, id, trace, true).await,
        }
    }

    /// Answers what is asked; `managed`: the management API has let it in, to the path that the playground tries.
    async fn answer(
        &self,
        snapshot: &Arc<Snapshot>,
        head: &RequestHead,
        exchange: &mut Exchange,
        id: &str,
        trace: &mut Trace,
        managed: bool,
    ) -> Result<(), Refusal> {
        let tried = admin::tried(head.path()).filter(|_| managed);
        let path = tried.unwrap_or(head.path());
        let Some(endpoint) = Endpoint::of(path) else {
            return Err(unknown_path(head).into());
        };
        if head.method == Method::Options {
            return self.options(snapshot, head, exchange, id, endpoint).await;
        }
        let client_key = self.admitted(snapshot, head, path, &endpoint, managed)?;
        let (protocol, path, companion) = match endpoint {
            Endpoint::Main(protocol) => (protocol, protocol.path(), false),
            Endpoint::Companion(protocol, path) => (protocol, path, true),
            own => {
                let told = self.answer_here(snapshot, head, exchange, id, own, client_key);
                return told.await;
            }
        };
        let forward = Forward {
            app: self,
            snapshot,
            head,
            protocol,
            path,
            client_key,
            request_id: id,
            companion,
        };
        forward.run(exchange, trace).await
    }

    /// Whether the endpoint may be asked, in this way and by this client; gives the key that was shown.
    fn admitted<'s>(
        &self,
        snapshot: &'s Snapshot,
        head: &RequestHead,
        path: &str,
        endpoint: &Endpoint<'_>,
        managed: bool,
    ) -> Result<Option<&'s ClientKey>, Error> {
        if is_websocket(head) && *endpoint == Endpoint::Main(Protocol::Responses) {
            let message = "the Responses API is served over HTTP here, not over a WebSocket: POST the same body";
            return Err(Error::client(Kind::UpgradeRequired, message));
        }
        let (allowed, method) = (endpoint.methods(), head.method_name());
        let mut allows = allowed.as_bytes().split(|&b| b == b',');
        if !allows.any(|one| one.trim_ascii() == method.as_bytes()) {
            let message = format!(
                "{:.20} is not allowed on {path:.200}; allowed: {}",
                head.method_name(),
                endpoint.methods()
            );
            return Err(Error::client(Kind::MethodNotAllowed, message));
        }
        if !endpoint.is_guarded() || managed {
            return Ok(None);
        }
        if Visitor::of(head, !snapshot.client_keys.is_empty()) == Visitor::Foreign
            && head.method != Method::Get
        {
            let message = "a web page of another origin may not use this gateway unless client_api_keys are set";
            return Err(Error::client(Kind::Forbidden, message));
        }
        self.client_key(snapshot, head)
    }

    /// What no upstream is asked for.
    async fn answer_here(
        &self,
        snapshot: &Snapshot,
        head: &RequestHead,
        exchange: &mut Exchange,
        id: &str,
        endpoint: Endpoint<'_>,
        client_key: Option<&ClientKey>,
    ) -> Result<(), Refusal> {
        match endpoint {
            Endpoint::Root => web::answer(head, exchange, id)
                .await
                .map_err(|_| Refusal::ClientLeft),
            Endpoint::Health => self.plain(exchange, id, "ok\n").await,
            Endpoint::Models => {
                let page = match head.headers.get("anthropic-version") {
                    Some(_) => Some(
                        models::Page::parse(head.query().unwrap_or_default())
                            .map_err(|fault| fault.blame(crate::error::Blame::Client))?,
                    ),
                    None => None,
                };
                let known = self.models(snapshot, client_key);
                let body = models::list(&known, page.as_ref())
                    .map_err(|fault| fault.blame(crate::error::Blame::Client))?;
                self.json(snapshot, head, exchange, id, &body).await
            }
            Endpoint::Model(name) => {
                let name = name.replace('+', "%2B"); // a plus in a path is a plus
                let name = models::decode(&name)
                    .map_err(|fault| fault.blame(crate::error::Blame::Client))?;
                let known = self.models(snapshot, client_key);
                let Some(model) = known.iter().find(|model| model.alias == name) else {
                    snapshot.resolve(&name, client_key)?;
                    let message = format!(
                        "{name:?} is an upstream's own name: it can be called, but is not listed as a model"
                    );
                    return Err(Error::client(Kind::ModelNotFound, message)
                        .param("model")
                        .into());
                };
                self.json(snapshot, head, exchange, id, &models::one(model))
                    .await
            }
            Endpoint::StoredResponse(rest) => {
                let (owner, limits) = (Owner::of(client_key), snapshot.responses_store);
                let body = self.stored_response(owner, limits, head.method, rest)?;
                self.json(snapshot, head, exchange, id, &body).await
            }
            Endpoint::Main(_) | Endpoint::Companion(..) => Err(unknown_path(head).into()), // never: they are forwarded
        }
    }

    /// The key a client showed, under any of the three names. None: keys are not asked for.
    fn client_key<'s>(
        &self,
        snapshot: &'s Snapshot,
        head: &RequestHead,
    ) -> Result<Option<&'s ClientKey>, Error> {
        if snapshot.client_keys.is_empty() {
            return Ok(None);
        }
        let bearer = head.headers.get("authorization").and_then(|value| {
            let (scheme, key) = value.split_at_checked(7)?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then(|| key.trim_ascii())
        });
        let shown = [
            bearer,
            head.headers.get("x-api-key"),
            head.headers.get("api-key"),
        ];
        let mut found = None;
        for key in &snapshot.client_keys {
            for offered in shown.into_iter().flatten() {
                // Every key is compared with every offer, so that the time tells nothing.
                if key.key.matches(offered) {
                    found = Some(key);
                }
            }
        }
        match found {
            Some(key) => Ok(Some(key)),
            None if shown.iter().all(Option::is_none) => Err(Error::client(
                Kind::Unauthorized,
                "this gateway asks for a key: send one of client_api_keys as Authorization: Bearer KEY or x-api-key: KEY",
            )),
            None => Err(Error::client(
                Kind::Unauthorized,
                "the key is not one of this gateway's client_api_keys",
            )),
        }
    }

    fn models<'s>(
        &self,
        snapshot: &'s Snapshot,
        key: Option<&ClientKey>,
    ) -> Vec<models::Model<'s>> {
        let listed = snapshot.aliases.iter().filter(|alias| {
            alias.upstream.enabled && key.is_none_or(|key| key.allows(&alias.name))
        });
        let model = |alias: &'s Arc<route::Route>| models::Model {
            alias: &alias.name,
            upstream: &alias.upstream.name,
            created_s: self.started_unix_s,
            max_model_len: alias.max_model_len,
        };
        listed.map(model).collect()
    }

    async fn options(
        &self,
        snapshot: &Snapshot,
        head: &RequestHead,
        exchange: &mut Exchange,
        id: &str,
        endpoint: Endpoint<'_>,
    ) -> Result<(), Refusal> {
        let visitor = Visitor::of(head, !snapshot.client_keys.is_empty());
        exchange.begin(204, None, |out| {
            write_field(out, "allow", endpoint.methods().as_bytes());
            if endpoint.is_guarded() {
                visitor.write_preflight(out, head, endpoint.methods());
            }
            headers::write_request_ids(out, id.as_bytes());
        });
        exchange.finish().await.map_err(|_| Refusal::ClientLeft)
    }

    async fn plain(&self, exchange: &mut Exchange, id: &str, text: &str) -> Result<(), Refusal> {
        let sent = exchange.answer(200, text.as_bytes(), |out| {
            write_field(out, "content-type", b"text/plain; charset=utf-8");
            headers::write_request_ids(out, id.as_bytes());
        });
        sent.await.map_err(|_| Refusal::ClientLeft)
    }

    async fn json(
        &self,
        snapshot: &Snapshot,
        head: &RequestHead,
        exchange: &mut Exchange,
        id: &str,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let sent = exchange.answer(200, body, |out| {
            write_field(out, "content-type", b"application/json");
            headers::write_request_ids(out, id.as_bytes());
            self.write_cors(out, snapshot, head);
        });
        sent.await.map_err(|_| Refusal::ClientLeft)
    }

    pub(crate) fn write_cors(&self, out: &mut Vec<u8>, snapshot: &Snapshot, head: &RequestHead) {
        let visitor = Visitor::of(head, !snapshot.client_keys.is_empty());
        if visitor != Visitor::NoPage && !admin::owns(head.path()) {
            visitor.write_fields(out);
        }
    }

    /// Tells the client what went wrong, in its own protocol.
    async fn refuse(
        &self,
        snapshot: &Snapshot,
        head: &RequestHead,
        exchange: &mut Exchange,
        id: &str,
        error: &Error,
        trace: &mut Trace,
    ) {
        let answer = protocol::answer(spoken(head), error, id);
        trace.tells(&answer.body);
        let body = trace.with_record(exchange, answer.status, &answer.body);
        let sent = exchange.answer(answer.status, &body, |out| {
            trace.write_debug_id(out);
            write_field(out, "content-type", b"application/json");
            if let Some(retry) = answer.should_retry {
                write_field(
                    out,
                    "x-should-retry",
                    if retry { "true" } else { "false" }.as_bytes(),
                );
            }
            if let Some(seconds) = error.retry_after_s {
                write_number_field(out, "retry-after", u64::from(seconds));
            }
            if error.kind == Kind::MethodNotAllowed {
                let allow =
                    Endpoint::of(head.path()).map_or("GET, HEAD, OPTIONS", Endpoint::methods);
                write_field(out, "allow", allow.as_bytes());
            }
            if error.kind == Kind::UpgradeRequired {
                write_field(out, "upgrade", b"HTTP/1.1");
            }
            headers::write_request_ids(out, id.as_bytes());
            trace.write_upstream_id(out);
            self.write_cors(out, snapshot, head);
        });
        let _ = sent.await; // a client that left meanwhile is seen in the log line
    }
}

impl Handler for App {
    fn patience(&self) -> Patience {
        let timeouts = self.snapshot.borrow().timeouts;
        Patience {
            head: timeouts.client_head,
            stall: timeouts.client_stall,
            keep_alive: timeouts.keep_alive,
        }
    }

    fn refusal(&self, error: &Error, head: Option<&RequestHead>) -> Vec<u8> {
        error_body(head.map_or(Protocol::Chat, spoken), error, "")
    }

    async fn handle(&self, head: &RequestHead, exchange: &mut Exchange) {
        let snapshot = self.snapshot.borrow().clone();
        let id = RequestId::new(
            self.id_prefix,
            self.id_count.fetch_add(1, Ordering::Relaxed),
        );
        let mut trace = Trace::default();
        let answered = if admin::owns(head.path()) {
            // Boxed: what every connection would have to have room for is rarely asked.
            Box::pin(self.manage(&snapshot, head, exchange, id.text(), &mut trace)).await
        } else {
            self.answer(&snapshot, head, exchange, id.text(), &mut trace, false)
                .await
        };
        let mut failure = None;
        match answered {
            Ok(()) => {}
            Err(Refusal::Error(error)) if !exchange.is_begun() => {
                self.refuse(&snapshot, head, exchange, id.text(), &error, &mut trace)
                    .await;
                failure = Some(error);
            }
            Err(Refusal::Error(error)) => {
                exchange.abort();
                failure = Some(error);
            }
            Err(Refusal::ClientLeft) => {
                trace.left = true;
                exchange.abort();
            }
        }
        let failure = failure.or_else(|| trace.failure.take());
        let failure = failure.as_deref();
        let took = exchange.received_at().elapsed();
        self.troubles
            .observe(&trace, failure, id.text(), exchange.received_at() + took);
        trace.log(head, exchange, id.text(), failure, took);
        self.metrics.observe(&trace, exchange, took);
        let reason = failure.map(|error| error.message.as_str());
        if let Some((record, end)) = trace.take_record(exchange, reason, took) {
            self.ring.keep(record, end);
        }
    }
}

/// The protocol to answer in: that of the endpoint, else what the client's fields tell.
fn spoken(head: &RequestHead) -> Protocol {
    let path = admin::tried(head.path()).unwrap_or(head.path());
    let of_path = Endpoint::of(path).and_then(Endpoint::protocol);
    of_path.unwrap_or_else(|| {
        let anthropic =
            head.headers.get("anthropic-version").is_some() || head.path().contains("/messages");
        if anthropic {
            Protocol::Messages
        } else {
            Protocol::Chat
        }
    })
}

fn is_websocket(head: &RequestHead) -> bool {
    head.headers.lists("upgrade", "websocket")
}

fn unknown_path(head: &RequestHead) -> Error {
    let host = head
        .authority()
        .filter(|host| !host.is_empty())
        .unwrap_or("this-host:3000");
    let message = format!(
        "no such path: {:.200}; the base URL of this gateway is http://{host:.100}/v1 for OpenAI clients and http://{host:.100} for Anthropic clients",
        head.path()
    );
    Error::client(Kind::NotFound, message)
}

#[cfg(test)]
mod tests {
    use super::App;
    use crate::net::server::tests::connection_bytes;

    /// What tokio puts around a task's future, and what it is rounded up to.
    const TASK: (usize, usize) = (104, 128);
    /// What musl's allocator puts before it, to align it so.
    const ALIGNMENT_BYTES: usize = 112;
    /// What fits in one of musl's size classes. The next is 816 bytes larger, for every stream that is held.
    const CLASS_BYTES_MAX: usize = 3260;

    #[test]
    fn a_connections_task_stays_in_its_size_class() {
        // In a debug build mio's sockets are 8 bytes larger, and there are places for four of them.
        let debug = if cfg!(debug_assertions) { 4 * 8 } else { 0 };
        let task = (connection_bytes::<App>() - debug + TASK.0).next_multiple_of(TASK.1);
        let bytes = task + ALIGNMENT_BYTES;
        assert!(bytes <= CLASS_BYTES_MAX, "{bytes} bytes");
    }
}
