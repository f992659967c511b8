//! A raw and naive HTTP client: sends the bytes it is given, reads what comes, and says how it ended.

use super::{PATIENCE, find, show, upstream::fields};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order, with a FIN.
    Closed,
    /// With a reset.
    Reset,
    /// Not at all while we waited.
    StillOpen,
}

/// An answer, read naively.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Status line and fields, with the empty line.
    pub head: Vec<u8>,
    /// The body, unchunked, as far as it came.
    pub body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub whole: bool,
}

impl Reply {
    /// The value of a field that may stand at most once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<String> {
        let all: Vec<String> = fields(&self.head)
            .into_iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| value)
            .collect();
        assert!(all.len() < 2, "{name} came {} times: {all:?}", all.len());
        all.into_iter().next()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {}", show(&self.body)),
        }
    }

    /// The sentence of an error body, in any of the three shapes.
    #[track_caller]
    pub fn error_message(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        match error["message"].as_str().or(error.as_str()) {
            Some(message) => message.to_string(),
            None => panic!("no error message in {}", self.text()),
        }
    }

    /// That it is whole and has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(
            self.status,
            status,
            "{} {}",
            show(&self.head),
            show(&self.body)
        );
        assert!(self.whole, "cut: {} {}", show(&self.head), show(&self.body));
        self
    }
}

/// One connection to the gateway.
pub struct Client {
    pub stream: TcpStream,
    unread: Vec<u8>,
    /// The ending, once it is known.
    ended: Option<Ending>,
}

impl Client {
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE).expect("the gateway accepts");
        stream.set_nodelay(true).expect("a socket option");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a socket option");
        Client {
            stream,
            unread: Vec::new(),
            ended: None,
        }
    }

    /// Sends all of it; panics if it cannot.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the gateway takes it");
        self
    }

    /// Sends as much as the gateway takes: for what it may rightly refuse half way.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Breaks the connection with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Reads once. Gives false when nothing can come any more or nothing came until the deadline.
    fn fill(&mut self, deadline: Instant) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let _ = self.stream.set_read_timeout(Some(left));
        let mut room = [0; 65536];
        match self.stream.read(&mut room) {
            Ok(0) => self.ended = Some(Ending::Closed),
            Ok(read) => {
                self.unread.extend_from_slice(&room[..read]);
                return true;
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(_) => self.ended = Some(Ending::Reset),
        }
        false
    }

    /// What one read gives.
    pub fn read_once(&mut self) -> Vec<u8> {
        self.fill(Instant::now() + PATIENCE);
        std::mem::take(&mut self.unread)
    }

    /// Everything up to and including `needle`.
    #[track_caller]
    pub fn read_until(&mut self, needle: &str) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut searched = 0; // megabytes may come before it
        loop {
            if let Some(at) = find(&self.unread[searched..], needle.as_bytes()) {
                let rest = self.unread.split_off(searched + at + needle.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            searched = self.unread.len().saturating_sub(needle.len() - 1);
            assert!(
                self.fill(deadline),
                "{needle:?} never came ({:?}), only {}",
                self.ended,
                show(&self.unread)
            );
        }
    }

    /// Everything until the connection ends, and how it did.
    pub fn read_to_end(&mut self) -> (Vec<u8>, Ending) {
        self.read_to_end_within(PATIENCE)
    }

    pub fn read_to_end_within(&mut self, within: Duration) -> (Vec<u8>, Ending) {
        let deadline = Instant::now() + within;
        while self.fill(deadline) {}
        (
            std::mem::take(&mut self.unread),
            self.ended.unwrap_or(Ending::StillOpen),
        )
    }

    /// Whether the connection has ended or ends now, with no further byte.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let (rest, ending) = self.read_to_end();
        assert!(
            rest.is_empty() && ending != Ending::StillOpen,
            "{ending:?} after {}",
            show(&rest)
        );
    }

    /// The next answer's head, interim answers included.
    #[track_caller]
    pub fn read_head(&mut self) -> Vec<u8> {
        self.read_until("\r\n\r\n")
    }

    /// The answer to anything but HEAD.
    #[track_caller]
    pub fn read_reply(&mut self) -> Reply {
        self.read_reply_to("GET")
    }

    /// The answer to that method. A body that is cut gives a reply that is not whole.
    #[track_caller]
    pub fn read_reply_to(&mut self, method: &str) -> Reply {
        let head = self.read_head();
        let text = String::from_utf8_lossy(&head).into_owned();
        assert!(text.starts_with("HTTP/1.1 "), "not an answer: {text:?}");
        let status: u16 = text[9..12].parse().expect("a status");
        let fields = fields(&head);
        let value = |name: &str| {
            let mut all = fields.iter().filter(|(field, _)| field == name);
            let first = all.next().map(|(_, value)| value.clone());
            assert!(all.next().is_none(), "{name} twice in {text:?}");
            first
        };
        let (length, coding) = (value("content-length"), value("transfer-encoding"));
        assert!(
            length.is_none() || coding.is_none(),
            "two framings in {text:?}"
        );
        let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
        let (body, whole) = if bodiless {
            (Vec::new(), true)
        } else if let Some(length) = length {
            self.take(length.parse().expect("a length"))
        } else if coding.is_some() {
            self.take_chunks()
        } else {
            let (body, ending) = self.read_to_end();
            (body, ending == Ending::Closed)
        };
        Reply {
            status,
            head,
            body,
            whole,
        }
    }

    /// That many bytes, or what came of them.
    pub fn take(&mut self, length: usize) -> (Vec<u8>, bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.unread.len() < length && self.fill(deadline) {}
        let whole = self.unread.len() >= length;
        let rest = self.unread.split_off(length.min(self.unread.len()));
        (std::mem::replace(&mut self.unread, rest), whole)
    }

    fn take_chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let deadline = Instant::now() + PATIENCE;
            let line = loop {
                if let Some(at) = find(&self.unread, b"\r\n") {
                    let rest = self.unread.split_off(at + 2);
                    break std::mem::replace(&mut self.unread, rest);
                }
                if !self.fill(deadline) {
                    return (body, false);
                }
            };
            let size = std::str::from_utf8(&line[..line.len() - 2])
                .ok()
                .and_then(|text| usize::from_str_radix(text, 16).ok());
            let Some(size) = size else {
                panic!("not a chunk size: {}", show(&line))
            };
            let (data, whole) = self.take(size + 2);
            body.extend_from_slice(&data[..data.len().min(size)]);
            if !whole {
                return (body, false);
            }
            assert!(data.ends_with(b"\r\n"), "a chunk without its end");
            if size == 0 {
                return (body, true);
            }
        }
    }

    /// A request with a JSON body on this connection, and its answer.
    #[track_caller]
    pub fn post(&mut self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send(post(path, "", body)).read_reply()
    }

    /// A request without a body on this connection, and its answer.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n"))
            .read_reply()
    }
}

/// The bytes of a POST with a JSON body. `fields` are further field lines, each with its CRLF.
pub fn post(path: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST", path, fields, body)
}

/// The bytes of a request with a JSON body.
pub fn request(method: &str, path: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
