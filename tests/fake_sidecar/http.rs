//! A naive HTTP/1.1 server: one thread a connection, whole requests in, whole answers or written streams out.

use crate::{World, data, journal, knob, management, oauth, record};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

pub type Stream = Box<dyn FnOnce(&mut dyn FnMut(&[u8]) -> bool)>;

pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Written in chunks instead of the body. Returning without the last chunk is an abrupt end.
    pub stream: Option<Stream>,
}

impl Response {
    pub fn empty(status: u16) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            stream: None,
        }
    }

    pub fn json(status: u16, value: &serde_json::Value) -> Response {
        // Go escapes these three.
        let text = value
            .to_string()
            .replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e");
        Response::text(status, "application/json; charset=utf-8", text)
    }

    pub fn text(status: u16, kind: &str, text: impl Into<Vec<u8>>) -> Response {
        let mut response = Response::empty(status).with("Content-Type", kind);
        response.body = text.into();
        response
    }

    pub fn with(mut self, name: &str, value: &str) -> Response {
        self.headers.push((name.into(), value.into()));
        self
    }
}

pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let pair = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        match (
            bytes[at],
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub fn parse_query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn read_request(input: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: parse_query(query),
        headers,
        body: Vec::new(),
    };
    if request.header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            input.read_line(&mut line).ok()?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            input.read_exact(&mut chunk).ok()?;
            request.body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = request
        .header("content-length")
        .and_then(|text| text.parse().ok())
    {
        request.body = vec![0; length];
        input.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

pub fn serve(world: &Arc<World>, listener: TcpListener) {
    listener.set_nonblocking(true).expect("a listener");
    while !world.ending.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        stream.set_nonblocking(false).expect("a connection");
        let world = world.clone();
        std::thread::spawn(move || connection(&world, stream));
    }
}

fn connection(world: &Arc<World>, stream: TcpStream) {
    let Ok(mut out) = stream.try_clone() else {
        return;
    };
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut input = BufReader::new(stream);
    loop {
        if let Ok(idle) = out.try_clone() {
            world
                .idle
                .lock()
                .expect("the connections")
                .insert(number, idle);
        }
        let request = read_request(&mut input);
        world.idle.lock().expect("the connections").remove(&number);
        let Some(request) = request else { break };
        world.in_flight.fetch_add(1, Ordering::SeqCst);
        let kept = answer(world, &request, &mut out);
        world.in_flight.fetch_sub(1, Ordering::SeqCst);
        if !kept || world.ending.load(Ordering::SeqCst) {
            break;
        }
    }
}

fn answer(world: &Arc<World>, request: &Request, out: &mut TcpStream) -> bool {
    record(serde_json::json!({
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect::<std::collections::BTreeMap<_, _>>(),
        "body": String::from_utf8_lossy(&request.body),
    }));
    let response = route(world, request)
        .with("Access-Control-Allow-Origin", "*")
        .with(
            "Access-Control-Allow-Methods",
            "GET, POST, PUT, PATCH, DELETE, OPTIONS",
        )
        .with("Access-Control-Allow-Headers", "*");
    if request.method == "POST"
        && response.status >= 400
        && !request.path.starts_with("/v0/")
        && !world.config.lock().expect("the config").commercial
    {
        let folder = world
            .config
            .lock()
            .expect("the config")
            .auth_dir
            .join("logs");
        let _ = std::fs::create_dir_all(&folder);
        let name = format!(
            "error{}-{}.log",
            request.path.replace('/', "-"),
            request.body.len()
        );
        let _ = std::fs::write(folder.join(name), &request.body);
    }
    let query: Vec<String> = request
        .query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let path = match query.is_empty() {
        true => request.path.clone(),
        false => format!("{}?{}", request.path, query.join("&")),
    };
    journal::access(response.status, &request.method, &path); // before the answer leaves: a blocked log blocks it
    let mut head = format!("HTTP/1.1 {} X\r\n", response.status);
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    match response.stream {
        None => {
            head += &format!("Content-Length: {}\r\n\r\n", response.body.len());
            let body = if request.method == "HEAD" {
                &[][..]
            } else {
                &response.body
            };
            out.write_all(&[head.as_bytes(), body].concat()).is_ok()
        }
        Some(stream) => {
            head += "Transfer-Encoding: chunked\r\n\r\n";
            if out.write_all(head.as_bytes()).is_err() {
                return false;
            }
            let mut whole = false;
            stream(&mut |bytes: &[u8]| {
                whole |= bytes.is_empty();
                let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
                out.write_all(&chunk).is_ok()
            });
            whole
        }
    }
}

fn route(world: &Arc<World>, request: &Request) -> Response {
    let path = request.path.as_str();
    if request.method == "OPTIONS" {
        return Response::empty(204);
    }
    match (request.method.as_str(), path) {
        ("GET" | "HEAD", "/healthz") => {
            if knob("FAKE_HANG_HEALTH").is_some() {
                std::thread::sleep(Duration::from_secs(600));
            }
            Response::json(200, &serde_json::json!({"status": "ok"}))
        }
        ("GET", "/") => Response::json(
            200,
            &serde_json::json!({"message": "CLI Proxy API Server", "endpoints": ["POST /v1/chat/completions", "POST /v1/completions", "GET /v1/models"]}),
        ),
        ("GET", "/keep-alive") => keep_alive(world, request),
        ("GET", "/anthropic/callback") => oauth::landed(world, "anthropic", request),
        ("GET", "/codex/callback") => oauth::landed(world, "codex", request),
        ("GET", "/antigravity/callback") => oauth::landed(world, "antigravity", request),
        _ if path.starts_with("/v0/management/") => management::answer(world, request),
        _ if path.starts_with("/v1/") => data::answer(world, request),
        _ => Response::empty(404),
    }
}

fn keep_alive(world: &World, request: &Request) -> Response {
    let Some(password) = &world.password else {
        return Response::empty(404);
    };
    let bearer = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    if bearer.or(request.header("x-local-password")) != Some(password) {
        return Response::json(401, &serde_json::json!({"error": "invalid password"}));
    }
    *world.keep_alive_at.lock().expect("the time") = std::time::Instant::now();
    Response::json(200, &serde_json::json!({"status": "ok"}))
}
