//! One error type: what happened, whose fault it is, and a sentence the reader can act on.
//! Nothing is rendered here; `protocol` knows the envelopes and `gateway` picks one. No message holds a secret.

use std::borrow::Cow;
use std::fmt;

/// Whose bytes or whose decision caused an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The peer that sent the request.
    Client,
    /// The server that was asked.
    Upstream,
    /// This process or its configuration.
    Gateway,
}

/// What happened. Each kind has one HTTP status, see [`Kind::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request's structure or a value in it is wrong: 400.
    BadRequest,
    /// A field that the chosen upstream cannot honour: 400.
    Unsupported,
    /// More input than the model's context holds: 400.
    ContextTooLong,
    /// No key, or a wrong one: 401.
    Unauthorized,
    /// Known, but not allowed: 403.
    Forbidden,
    /// No alias or upstream of that name: 404.
    ModelNotFound,
    /// A request goes on from an answer that is not kept here (any more): 400, with a code that makes clients send it all.
    ResponseNotFound,
    /// No such path or object: 404.
    NotFound,
    /// The path exists, the method does not: 405.
    MethodNotAllowed,
    /// The request came too slowly: 408.
    SlowRequest,
    /// The state does not allow it (a config that cannot be saved): 409.
    Conflict,
    /// The client's copy is not the newest: 412.
    Stale,
    /// A body over its limit: 413.
    TooLarge,
    /// A request line over its limit: 414.
    UriTooLong,
    /// A content type or coding that is not read here: 415.
    UnsupportedMediaType,
    /// An `Expect` other than `100-continue`: 417.
    ExpectationFailed,
    /// Only a WebSocket was asked for, which is not offered: 426.
    UpgradeRequired,
    /// Too many tries: 429.
    TooManyRequests,
    /// The upstream account has no credit left: 429, for Messages clients 402.
    QuotaExhausted,
    /// A head over its limits: 431.
    HeadTooLarge,
    /// A bug or a broken invariant here: 500.
    Internal,
    /// A transfer coding other than chunked: 501.
    UnknownCoding,
    /// The upstream could not be reached: 502.
    Unreachable,
    /// The upstream answered with something that is not an answer: 502.
    BadReply,
    /// The upstream answered with an error status; it is kept.
    UpstreamStatus(u16),
    /// The sidecar is not ready: 503.
    SidecarDown,
    /// No room for another body or connection now: 503.
    AtCapacity,
    /// The upstream has no capacity now: 503, for Messages clients 529.
    Overloaded,
    /// The upstream took too long: 504.
    Timeout,
    /// HTTP other than 1.0 and 1.1: 505.
    BadVersion,
}

impl Kind {
    /// The HTTP status a client sees.
    pub fn status(self) -> u16 {
        match self {
            Kind::BadRequest
            | Kind::Unsupported
            | Kind::ContextTooLong
            | Kind::ResponseNotFound => 400,
            Kind::Unauthorized => 401,
            Kind::Forbidden => 403,
            Kind::ModelNotFound | Kind::NotFound => 404,
            Kind::MethodNotAllowed => 405,
            Kind::SlowRequest => 408,
            Kind::Conflict => 409,
            Kind::Stale => 412,
            Kind::TooLarge => 413,
            Kind::UriTooLong => 414,
            Kind::UnsupportedMediaType => 415,
            Kind::ExpectationFailed => 417,
            Kind::UpgradeRequired => 426,
            Kind::TooManyRequests | Kind::QuotaExhausted => 429,
            Kind::HeadTooLarge => 431,
            Kind::Internal => 500,
            Kind::UnknownCoding => 501,
            Kind::Unreachable | Kind::BadReply => 502,
            Kind::UpstreamStatus(status) => status,
            Kind::SidecarDown | Kind::AtCapacity | Kind::Overloaded => 503,
            Kind::Timeout => 504,
            Kind::BadVersion => 505,
        }
    }
}

/// An error with its blame: what a hop returns and a log line or an error body is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What happened.
    pub kind: Kind,
    /// Whose fault it is.
    pub blame: Blame,
    /// A sentence to act on: lower case, no full stop, no secret.
    pub message: String,
    /// The request field it is about, if one.
    pub param: Option<String>,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u32>,
}

impl Error {
    /// An error of that kind and blame.
    pub fn new(kind: Kind, blame: Blame, message: impl Into<String>) -> Error {
        Error {
            kind,
            blame,
            message: message.into(),
            param: None,
            retry_after_s: None,
        }
    }

    /// The client's fault.
    pub fn client(kind: Kind, message: impl Into<String>) -> Error {
        Error::new(kind, Blame::Client, message)
    }

    /// The upstream's fault.
    pub fn upstream(kind: Kind, message: impl Into<String>) -> Error {
        Error::new(kind, Blame::Upstream, message)
    }

    /// Our own fault, or the configuration's.
    pub fn gateway(kind: Kind, message: impl Into<String>) -> Error {
        Error::new(kind, Blame::Gateway, message)
    }

    /// The same error, naming the request field it is about.
    pub fn param(mut self, name: impl Into<String>) -> Error {
        self.param = Some(name.into());
        self
    }

    /// The same error, saying when to try again.
    pub fn retry_after(mut self, seconds: u32) -> Error {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The HTTP status a client sees.
    pub fn status(&self) -> u16 {
        self.kind.status()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// What is wrong with some bytes, before anyone knows whose they are. The hop that read them adds the blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, as if a client had sent it.
    pub kind: Kind,
    /// The sentence.
    pub message: Cow<'static, str>,
}

impl Fault {
    /// A fault of that kind.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault {
            kind,
            message: message.into(),
        }
    }

    /// The commonest kind: the bytes break a rule.
    pub fn bad(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(Kind::BadRequest, message)
    }

    /// Now it is known whose bytes they were. An upstream's broken bytes are a bad reply, whatever rule they broke.
    pub fn blame(self, blame: Blame) -> Error {
        let kind = if blame == Blame::Upstream {
            Kind::BadReply
        } else {
            self.kind
        };
        Error::new(kind, blame, self.message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
