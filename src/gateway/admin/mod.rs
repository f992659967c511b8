//! The management API: `/api` and `/metrics`. One table from path and method to what answers; the door before all of it.
//! Errors are `{"error":"…"}`; nothing here sends CORS fields, and nothing may be kept by a cache.

mod accounts;
mod config;
mod debug;
mod door;
mod models;
mod peer;
mod probe;
mod state;

pub use door::Keeping;
pub(super) use state::resident_bytes;

use super::live::Live;
use super::snapshot::Snapshot;
use super::{App, Refusal};
use crate::error::{Error, Kind};
use crate::net::exchange::{Exchange, RequestBody};
use crate::wire::head::{Method, RequestHead, write_field};
use door::{Door, Pass};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// A body of the management API: a whole configuration, written as JSON.
const BODY_BYTES_MAX: u64 = 8 << 20;
/// The playground's way to `/v1`.
const TRY: &str = "/api/try";

/// What a path of the management API names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'p> {
    Session,
    Login,
    Logout,
    Config,
    Models,
    /// `alias` and `test` are posted to; a GET asks for an upstream of that name.
    ModelsOf(&'p str),
    Version,
    Status,
    Debug,
    Records,
    Record(&'p str),
    Stream,
    Metrics,
    /// `/api/cli-proxy-api` and `/api/auth`.
    Accounts(accounts::Room<'p>),
    Try,
}

impl<'p> Place<'p> {
    fn of(path: &'p str) -> Option<Place<'p>> {
        Some(match path {
            "/api/session" => Place::Session,
            "/api/login" => Place::Login,
            "/api/logout" => Place::Logout,
            "/api/config" => Place::Config,
            "/api/upstream-models" => Place::Models,
            "/api/version" => Place::Version,
            "/api/status" => Place::Status,
            "/api/debug" => Place::Debug,
            "/api/debug/records" => Place::Records,
            "/api/debug/stream" => Place::Stream,
            "/metrics" => Place::Metrics,
            _ => {
                if tried(path).is_some() {
                    return Some(Place::Try);
                }
                let named = |folder: &str| {
                    let name = path.strip_prefix(folder)?;
                    (!name.is_empty() && !name.contains('/')).then_some(name)
                };
                if let Some(room) = accounts::Room::of(path) {
                    return Some(Place::Accounts(room));
                }
                match named("/api/upstream-models/") {
                    Some(name) => Place::ModelsOf(name),
                    None => Place::Record(named("/api/debug/records/")?),
                }
            }
        })
    }

    fn methods(self) -> &'static [Method] {
        use Method::{Delete, Get, Head, Options, Post, Put};
        match self {
            Place::Login | Place::Logout => &[Post, Options],
            Place::Config => &[Get, Head, Put, Options],
            Place::Debug => &[Get, Head, Delete, Options],
            Place::Stream => &[Get, Options],
            Place::Accounts(room) => room.methods(),
            Place::ModelsOf("alias" | "test") => &[Get, Head, Post, Options],
            // What it allows, `/v1` says.
            Place::Try => &[Get, Head, Post, Options],
            _ => &[Get, Head, Options],
        }
    }

    /// Whether anyone may ask.
    fn is_open(self) -> bool {
        matches!(self, Place::Session | Place::Login | Place::Logout)
    }
}

/// Whether a path belongs to the management API, known or not.
pub(super) fn owns(path: &str) -> bool {
    path == "/metrics" || path == "/api" || path.starts_with("/api/")
}

/// The path of `/v1` that the playground asks for.
pub(super) fn tried(path: &str) -> Option<&str> {
    path.strip_prefix(TRY)
        .filter(|rest| rest.starts_with("/v1/"))
}

/// What has become of a request at this door.
pub(super) enum Entered {
    /// It was answered.
    Answered,
    /// It may go on to the path that [`tried`] gives, as if it had a client key.
    Try,
}

/// The management API and what it remembers.
pub struct Admin {
    live: Arc<Live>,
    door: Door,
    started: Instant,
    warnings: Mutex<Vec<String>>,
    obstacle: Mutex<Option<(Instant, Option<String>)>>,
}

/// A JSON answer.
struct Answer {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    fields: Vec<(&'static str, String)>,
}

impl Answer {
    fn ok(body: &Value) -> Answer {
        Answer::new(200, body)
    }

    fn new(status: u16, body: &Value) -> Answer {
        Answer {
            status,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            fields: Vec::new(),
        }
    }

    /// Of a body that is JSON already.
    fn raw(body: Vec<u8>) -> Answer {
        Answer {
            status: 200,
            content_type: "application/json",
            body,
            fields: Vec::new(),
        }
    }

    fn field(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.fields.push((name, value.into()));
        self
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Answer {
        let mut answer = Answer::new(error.status(), &json!({"error": error.message}));
        if let Some(seconds) = error.retry_after_s {
            answer = answer.field("retry-after", seconds.to_string());
        }
        answer
    }
}

/// What the table makes of a request.
enum Outcome {
    Answer(Answer),
    /// It was answered as a stream.
    Done,
    Try,
}

/// One request that went through the door, and what it may use.
struct Request<'a> {
    app: &'a App,
    admin: &'a Admin,
    snapshot: &'a Arc<Snapshot>,
    head: &'a RequestHead,
}

impl Admin {
    /// Over the live configuration; `address` is where the gateway listens.
    pub fn new(live: Arc<Live>, keeping: Keeping, address: SocketAddr) -> Admin {
        let admin = Admin {
            door: Door::new(keeping, address),
            live,
            started: Instant::now(),
            warnings: Mutex::default(),
            obstacle: Mutex::default(),
        };
        // Made and printed now, not when someone knocks.
        admin.door.key(&admin.live.snapshot());
        admin
    }

    /// Something the owner should know about how the gateway was started.
    pub fn warn_at_start(&self, sentence: impl Into<String>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(sentence.into());
    }

    /// Answers a request of [`owns`], or lets it go on to `/v1`. `failure` becomes a refusal that was told, for the log.
    pub(super) async fn enter(
        &self,
        app: &App,
        snapshot: &Arc<Snapshot>,
        head: &RequestHead,
        exchange: &mut Exchange,
        id: &str,
        failure: &mut Option<Box<Error>>,
    ) -> Result<Entered, Refusal> {
        let request = Request {
            app,
            admin: self,
            snapshot,
            head,
        };
        let answer = match request.answer(exchange, id).await {
            Ok(Outcome::Answer(answer)) => answer,
            Ok(Outcome::Done) => return Ok(Entered::Answered),
            Ok(Outcome::Try) => return Ok(Entered::Try),
            Err(refusal) if exchange.is_begun() => return Err(refusal),
            Err(Refusal::Error(error)) => Answer::from(*error),
            Err(Refusal::ClientLeft) => return Err(Refusal::ClientLeft),
        };
        if answer.status >= 400 {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let told = body["error"].as_str().unwrap_or_default();
            *failure = Some(Box::new(Error::client(Kind::BadRequest, told)));
        }
        let sent = exchange.answer(answer.status, &answer.body, |out| {
            write_field(out, "content-type", answer.content_type.as_bytes());
            write_common_fields(out, id);
            for (name, value) in &answer.fields {
                write_field(out, name, value.as_bytes());
            }
        });
        sent.await.map_err(|_| Refusal::ClientLeft)?;
        Ok(Entered::Answered)
    }
}

/// What every answer here carries.
fn write_common_fields(out: &mut Vec<u8>, id: &str) {
    write_field(out, "cache-control", b"no-store");
    write_field(out, "x-content-type-options", b"nosniff");
    write_field(out, "cross-origin-resource-policy", b"same-origin");
    write_field(out, "x-request-id", id.as_bytes());
}

fn not_found(what: impl Into<String>) -> Error {
    Error::client(Kind::NotFound, what)
}

impl Request<'_> {
    async fn answer(&self, exchange: &mut Exchange, id: &str) -> Result<Outcome, Refusal> {
        let head = self.head;
        let pass = self.admin.door.judge(self.snapshot, head, exchange).await;
        let place = Place::of(head.path());
        let pass = match (pass, place) {
            (Ok(pass), _) => Some(pass),
            // A foreign page may not even log in or out.
            (Err(error), Some(place)) if place.is_open() && error.kind == Kind::Unauthorized => {
                None
            }
            (Err(error), _) => return Err(error.into()),
        };
        let Some(place) = place else {
            let path = head.path();
            return Err(not_found(format!("no such path: {path:.200}")).into());
        };
        let methods = place.methods();
        if !methods.contains(&head.method) {
            let allow: Vec<_> = methods.iter().map(|method| method.name()).collect();
            let message = format!("{:.20} is not allowed here", head.method_name());
            let error = Error::client(Kind::MethodNotAllowed, message);
            let answer = Answer::from(error).field("allow", allow.join(", "));
            return Ok(Outcome::Answer(answer));
        }
        if head.method == Method::Options {
            let allow: Vec<_> = methods.iter().map(|method| method.name()).collect();
            let answer = Answer::ok(&json!({})).field("allow", allow.join(", "));
            return Ok(Outcome::Answer(answer));
        }
        door::check_content_type(head)?;
        let posts = head.method == Method::Post;
        Ok(Outcome::Answer(match place {
            Place::Try => return Ok(Outcome::Try),
            Place::Stream => {
                self.watch(exchange, id).await?;
                return Ok(Outcome::Done);
            }
            Place::Accounts(room) => return self.accounts(room, exchange, id).await,
            Place::Debug if head.method == Method::Delete => self.clear(),
            Place::Debug => self.latest(),
            Place::Records => self.records(),
            Place::Record(id) => self.record(id)?,
            Place::Metrics => self.metrics().await,
            Place::Session => self.session(pass),
            Place::Login => self.login(exchange).await?,
            Place::Logout => {
                let cookie = self.admin.door.close_session(head);
                Answer::ok(&json!({"success": true})).field("set-cookie", cookie)
            }
            Place::Version => Answer::ok(&json!({"version": env!("CARGO_PKG_VERSION")})),
            Place::Status => self.status(),
            Place::Config if head.method == Method::Put => {
                let body = self.body(exchange).await?;
                self.put_config(&body).await?
            }
            Place::Config => self.config(),
            Place::Models => self.all_models().await,
            Place::ModelsOf("alias") if posts => {
                let body = self.body(exchange).await?;
                self.add_alias(&body).await?
            }
            Place::ModelsOf("test") if posts => {
                let body = self.body(exchange).await?;
                self.test_upstream(&body).await?
            }
            Place::ModelsOf(name) => self.models_of(name).await?,
        }))
    }

    async fn body(&self, exchange: &mut Exchange) -> Result<RequestBody, Error> {
        exchange.read_body(BODY_BYTES_MAX, &self.app.budget).await
    }

    fn session(&self, pass: Option<Pass>) -> Answer {
        let Some(pass) = pass else {
            return Answer::ok(&json!({"authenticated": false, "via": null}));
        };
        let (via, expires_in_s) = match pass {
            Pass::Key => ("key", None),
            Pass::Session(ends) => ("session", Some((ends - Instant::now()).as_secs())),
            Pass::Local => ("local", None),
        };
        Answer::ok(&json!({
            "authenticated": true,
            "via": via,
            "admin_key": self.key_source(),
            "version": env!("CARGO_PKG_VERSION"),
            "expires_in_s": expires_in_s,
        }))
    }

    fn key_source(&self) -> &'static str {
        match self.snapshot.admin_key {
            Some(_) => "configured",
            None => "generated",
        }
    }

    async fn login(&self, exchange: &mut Exchange) -> Result<Answer, Error> {
        let body = self.body(exchange).await?;
        let body = object(&body)?;
        let key = body.get("key").and_then(Value::as_str);
        let key =
            key.ok_or_else(|| Error::client(Kind::BadRequest, "the body must be {\"key\":\"…\"}"))?;
        let door = &self.admin.door;
        if !door
            .try_key(self.snapshot, key.trim().as_bytes(), exchange.peer())
            .await?
        {
            return Err(Error::client(
                Kind::Unauthorized,
                "this is not the admin key",
            ));
        }
        let cookie = door.open_session(self.snapshot, self.head);
        Ok(Answer::ok(&json!({"success": true})).field("set-cookie", cookie))
    }
}

/// The body as a JSON object. The message says nothing of what is in it.
fn object(body: &RequestBody) -> Result<serde_json::Map<String, Value>, Error> {
    match serde_json::from_slice(body.data()) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Error::client(
            Kind::BadRequest,
            "the body must be a JSON object",
        )),
        Err(error) => {
            let message = format!(
                "the body is not JSON, at line {} column {}",
                error.line(),
                error.column()
            );
            Err(Error::client(Kind::BadRequest, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_exactly_and_all_of_api_is_owned() {
        assert_eq!(Place::of("/api/config"), Some(Place::Config));
        assert_eq!(
            Place::of("/api/upstream-models/a%2Fb"),
            Some(Place::ModelsOf("a%2Fb"))
        );
        assert_eq!(Place::of("/api/try/v1/chat/completions"), Some(Place::Try));
        for path in [
            "/api/config/",
            "/api//config",
            "/api/Config",
            "/api/try/v1",
            "/api/try/api/config",
            "/api/upstream-models/a/b",
            "/api/",
        ] {
            assert_eq!(Place::of(path), None, "{path}");
            assert!(owns(path), "{path}");
        }
        assert!(owns("/api") && owns("/metrics") && !owns("/apis") && !owns("/v1/models"));
    }
}
