//! The sidecar's management interface (`/v0/management`) as calls: one request, its answer whole and bounded, errors in
//! words. A key that is refused is tried once and never again: five refusals are a ban of half an hour, for the right key
//! too. Nothing of a client travels here: no header but the key, so the sidecar sees a plain local caller.

use super::Key;
use crate::error::{Error, Kind};
use crate::net::alarm::Alarm;
use crate::net::client::{self, Call, Timeouts};
use crate::net::origin::Origin;
use crate::wire::head::{Method, write_field, write_number_field};
use crate::wire::json::{Object, write_string};
use std::future::poll_fn;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// An answer beyond this is refused; a list of a thousand accounts has 2 MB.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// For calls that the sidecar answers itself; bcrypt, where it is used, takes 60 ms of a fast machine.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// For calls that it passes on to a provider, which it gives up itself after 60 s.
pub const PROVIDER_LIMIT: Duration = Duration::from_secs(20);
/// A refused key is tried again after this, longer than a ban lasts: the other side may have been mended.
const REFUSED_FOR: Duration = Duration::from_secs(35 * 60);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Text of an answer that is quoted in a message.
const QUOTED_CHARS_MAX: usize = 300;

/// An answer, read to its end.
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// What it says of the sidecar's version.
    pub version: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Its body as a JSON object.
    pub fn object(&self) -> Result<Object<'_>, Error> {
        Object::parse(&self.body).map_err(|fault| {
            Error::upstream(
                Kind::BadReply,
                format!(
                    "the sidecar answered {} with no JSON object: {fault}",
                    self.status
                ),
            )
        })
    }

    /// What it gives as the error, cut: the member `error`, or else the status.
    pub fn error_text(&self) -> String {
        let object = Object::parse(&self.body).ok();
        let text = object
            .as_ref()
            .and_then(|object| object.get("error"))
            .and_then(|raw| raw.as_str());
        match text {
            Some(text) => text.chars().take(QUOTED_CHARS_MAX).collect(),
            None => format!("status {}", self.status),
        }
    }

    /// The reply, if its status is 200.
    pub fn expect_ok(self, what: &str) -> Result<Reply, Error> {
        match self.status {
            200 => Ok(self),
            _ => Err(Error::upstream(
                Kind::BadReply,
                format!("the sidecar could not {what}: {}", self.error_text()),
            )),
        }
    }
}

/// Sends a request with that key, if one is given, and reads the whole answer.
pub async fn exchange(
    origin: &Origin,
    method: Method,
    path: &str,
    key: Option<&Key>,
    body: Option<&[u8]>,
    limit: Duration,
) -> Result<Reply, Error> {
    let mut head = Vec::with_capacity(256);
    origin.write_request_line(&mut head, method.name(), path);
    // A neutral name: the sidecar changes the shape of its lists for known clients.
    write_field(&mut head, "user-agent", b"llm-wrapper");
    write_field(&mut head, "accept-encoding", b"identity");
    if let Some(key) = key {
        write_field(
            &mut head,
            "authorization",
            format!("Bearer {}", key.expose()).as_bytes(),
        );
    }
    if let Some(body) = body {
        write_field(&mut head, "content-type", b"application/json");
        write_number_field(&mut head, "content-length", body.len() as u64);
    } else if method == Method::Post {
        write_number_field(&mut head, "content-length", 0);
    }
    head.extend_from_slice(b"\r\n");
    let parts = [&head[..], body.unwrap_or_default()];
    let mut alarm = Alarm::new(limit);
    let call = Call {
        origin,
        method,
        parts: &parts,
        timeouts: Timeouts {
            connect: CONNECT_LIMIT,
            first_byte: limit,
            idle: limit,
            stall: limit,
        },
        retry: true,
    };
    let mut answer = client::send(&call, &mut alarm).await?;
    let mut body = Vec::new();
    while !answer.body.is_done() {
        alarm.set(limit);
        let piece = poll_fn(|cx| {
            answer
                .body
                .poll_piece(cx, |piece| body.extend_from_slice(piece.data()))
        });
        match alarm.within(piece).await {
            Some(read) => read?,
            None => {
                return Err(Error::upstream(
                    Kind::Timeout,
                    format!(
                        "the sidecar stopped in the middle of an answer for {} s",
                        limit.as_secs()
                    ),
                ));
            }
        }
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Error::upstream(
                Kind::BadReply,
                format!("the sidecar's answer is longer than {ANSWER_BYTES_MAX} bytes"),
            ));
        }
    }
    Ok(Reply {
        status: answer.head.status,
        version: answer.head.headers.text("x-cpa-version").map(str::to_owned),
        body,
    })
}

/// What is known of the management key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trust {
    Unknown,
    Proven,
    Refused(String, Instant),
}

/// The management interface of one running sidecar.
pub struct Management {
    origin: Origin,
    base: String,
    key: Option<Key>,
    trust: Mutex<Trust>,
    /// Held by the call that tries the key first, so that several at once are one try.
    first: tokio::sync::Mutex<()>,
    version: OnceLock<String>,
}

impl Management {
    /// The interface at that origin, below that path. Without a key every call is an error that says where to put one.
    pub fn new(origin: Origin, path: &str, key: Option<Key>) -> Management {
        Management {
            origin,
            base: format!("{path}/v0/management"),
            key,
            trust: Mutex::new(Trust::Unknown),
            first: tokio::sync::Mutex::new(()),
            version: OnceLock::new(),
        }
    }

    /// Where it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The sidecar's version, once an answer told it.
    pub fn version(&self) -> Option<&str> {
        self.version.get().map(String::as_str)
    }

    fn trust(&self) -> Trust {
        let trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        trust.clone()
    }

    fn set_trust(&self, to: Trust) {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// Calls `path` below `/v0/management`, its query included.
    ///
    /// # Errors
    /// The key is missing or was refused, now or before; the sidecar cannot be reached or answers with something else than
    /// HTTP. Any other status is the caller's to judge.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        limit: Duration,
    ) -> Result<Reply, Error> {
        let Some(key) = &self.key else {
            return Err(Error::gateway(
                Kind::Conflict,
                "accounts and logins need the sidecar's management key: set cli_proxy_api.management_key",
            ));
        };
        match self.trust() {
            Trust::Proven => self.call_with(key, method, path, body, limit).await,
            Trust::Refused(reason, at) if at.elapsed() < REFUSED_FOR => Err(refused(&reason)),
            Trust::Unknown | Trust::Refused(..) => {
                let _first = self.first.lock().await;
                if let Trust::Refused(reason, at) = self.trust()
                    && at.elapsed() < REFUSED_FOR
                {
                    return Err(refused(&reason)); // tried while we waited
                }
                self.call_with(key, method, path, body, limit).await
            }
        }
    }

    async fn call_with(
        &self,
        key: &Key,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        limit: Duration,
    ) -> Result<Reply, Error> {
        let path = format!("{}{path}", self.base);
        let reply = exchange(&self.origin, method, &path, Some(key), body, limit).await?;
        if let Some(version) = &reply.version {
            let _ = self.version.set(version.clone()); // told before: the same
        }
        match (reply.status, &reply.version) {
            (401 | 403, _) => {
                let reason = reply.error_text();
                self.set_trust(Trust::Refused(reason.clone(), Instant::now()));
                Err(refused(&reason))
            }
            (404, None) => Err(Error::gateway(
                Kind::BadReply,
                format!(
                    "{} is no CLIProxyAPI, or its management is switched off (remote-management.secret-key)",
                    self.origin.authority()
                ),
            )),
            _ => {
                self.set_trust(Trust::Proven);
                Ok(reply)
            }
        }
    }
}

fn refused(reason: &str) -> Error {
    Error::gateway(
        Kind::BadReply,
        format!(
            "the sidecar refuses our management key ({reason}); it is not tried again for {} minutes, because five tries \
             are a ban: correct cli_proxy_api.management_key",
            REFUSED_FOR.as_secs() / 60
        ),
    )
}

/// Percent-encodes one value of a query (RFC 3986 2.3).
pub fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for &byte in value.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Writes the members of a JSON object.
pub struct Members<'o> {
    out: &'o mut Vec<u8>,
    any: bool,
}

impl<'o> Members<'o> {
    /// Opens the object.
    pub fn open(out: &'o mut Vec<u8>) -> Members<'o> {
        out.push(b'{');
        Members { out, any: false }
    }

    /// Writes a key; the value is the caller's to append.
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.any, true) {
            self.out.push(b',');
        }
        write_string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// A string.
    pub fn text(&mut self, key: &str, value: &str) {
        write_string(self.key(key), value);
    }

    /// A string or null.
    pub fn maybe_text(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(key, value),
            None => self.raw(key, "null"),
        }
    }

    /// A value that is JSON already: a number, a boolean, null.
    pub fn raw(&mut self, key: &str, value: impl std::fmt::Display) {
        let value = value.to_string();
        self.key(key).extend_from_slice(value.as_bytes());
    }

    /// Closes the object.
    pub fn close(self) {
        self.out.push(b'}');
    }
}

/// Writes an array, each element by `write`.
pub fn write_array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_query_cannot_start_another() {
        assert_eq!(encoded("a b&c=d@e.f/é~"), "a%20b%26c%3Dd%40e.f%2F%C3%A9~");
    }

    #[test]
    fn members_are_separated_and_escaped() {
        let mut out = Vec::new();
        let mut members = Members::open(&mut out);
        members.text("a\"", "b\n");
        members.maybe_text("c", None);
        members.raw("d", 12.5);
        write_array(members.key("e"), [1, 2], |out, n: i32| {
            out.extend_from_slice(n.to_string().as_bytes())
        });
        members.close();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a\"":"b\n","c":null,"d":12.5,"e":[1,2]}"#
        );
    }
}
