//! The two ends of the load bench: a fast upstream, and a client that believes no answer it has not counted.
//! `tests/bench/run.sh` starts it in its roles; the codec here is its own, so that the one under test does not check itself.
//!
//! - `upstream ADDR [CA_PEM]` answers what the request's text asks for, in the protocol of its path; with a file name over TLS, its
//!   certificate written there. `GET /release` on it ends the streams that are held.
//! - `run ADDR MODE CONNECTIONS REQUESTS [CLIENT UPSTREAM]` prints `requests seconds p50_us p99_us`.
//! - `hold ADDR COUNT [CLIENT UPSTREAM]` opens streams, prints `held N`, waits for a line on stdin, reads them to the end, prints
//!   `completed N`.
//! - `start ADDR COMMAND…` prints the milliseconds from spawning a server to its first answer, and ends it.

use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream as BlockingStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

#[path = "dialects.rs"]
mod dialects;
use dialects::{Dialect, heard, mode_of};

/// Between two events of a paced stream.
const PACE: Duration = Duration::from_millis(5);
/// Streams that are being opened at one time: fewer than a listener's backlog.
const OPENING_MAX: usize = 256;
/// Whoever does not answer within this has failed.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a reactor");
    match words[..] {
        ["upstream", addr] => runtime.block_on(upstream(address(addr), None)),
        ["upstream", addr, ca] => runtime.block_on(upstream(address(addr), Some(ca))),
        ["run", addr, mode, connections, requests, ref pair @ ..] => runtime.block_on(run(
            address(addr),
            mode,
            number(connections),
            number(requests),
            Pair::of(pair),
        )),
        ["hold", addr, count, ref pair @ ..] => {
            runtime.block_on(hold(address(addr), number(count), Pair::of(pair)))
        }
        ["start", addr, ref command @ ..] if !command.is_empty() => start(address(addr), command),
        _ => eprintln!("this is a part of tests/bench/run.sh; its first lines say what it can do"),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// Who speaks what: the same on both sides unless something in between converts.
#[derive(Clone, Copy)]
struct Pair {
    client: Dialect,
    upstream: Dialect,
}

impl Pair {
    fn of(words: &[&str]) -> Pair {
        let [client, upstream] = match words {
            [] => [Dialect::Chat; 2],
            [client, upstream] => [client, upstream].map(|word| Dialect::of(word)),
            _ => panic!("a client's protocol and an upstream's"),
        };
        Pair { client, upstream }
    }

    /// Panics unless the payload is what this client must get for what the upstream sends: the upstream's bytes where both
    /// speak alike, else every piece of its text, each in an event of its own, and an end.
    fn check(self, payload: &[u8], expected: &[u8], streams: bool) {
        if self.client == self.upstream {
            assert!(
                payload == expected,
                "a wrong answer of {} bytes instead of {}: {:.300}",
                payload.len(),
                expected.len(),
                String::from_utf8_lossy(payload)
            );
            return;
        }
        let said = |dialect: Dialect, payload: &[u8]| match streams {
            true => dialect.said(payload),
            false => dialect.answered(payload).into_iter().collect(),
        };
        let (found, wanted) = (said(self.client, payload), said(self.upstream, expected));
        assert!(
            found == wanted && !wanted.is_empty(),
            "{} pieces of text instead of {}: {:.600}",
            found.len(),
            wanted.len(),
            String::from_utf8_lossy(payload)
        );
        // Converted answers have the gateway's own ids.
        let own = [&b"-bench\""[..], b"_bench\""];
        assert!(
            !streams || own.iter().all(|id| find(payload, id).is_none()),
            "it was passed on as it is: {:.600}",
            String::from_utf8_lossy(payload)
        );
        assert!(
            !streams || self.client.is_ended(payload),
            "a stream without its end: {:.600}",
            String::from_utf8_lossy(&payload[payload.len().saturating_sub(600)..])
        );
    }
}

fn request(addr: SocketAddr, mode: &str, pair: Pair) -> (Vec<u8>, Vec<u8>) {
    // Nothing but llm-wrapper reads the model's name, and only where it converts does the name say more.
    let model = match pair.upstream.word() {
        _ if pair.client == pair.upstream => "bench".to_owned(),
        upstream => format!("bench-{upstream}"),
    };
    let body = pair.client.request(&model, mode);
    let mut request = format!(
        "POST {} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: OpenAI/Python 2.8.0\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\nContent-Type: application/json\r\nAuthorization: Bearer sk-bench-0123456789\r\nX-Stainless-Lang: python\r\nX-Stainless-Runtime: CPython\r\nContent-Length: {}\r\n\r\n",
        pair.client.path(),
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    (request, body)
}

// ---- the upstream

async fn upstream(addr: SocketAddr, ca: Option<&str>) {
    let acceptor = ca.map(|path| {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        std::fs::write(path, made.cert.pem()).expect("a file for the certificate");
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a key that fits");
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
    });
    let listener = listen(addr);
    let released = Arc::new(watch::Sender::new(0_u32));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PACE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, released) = (acceptor.clone(), released.clone());
        tokio::spawn(async move {
            let _ = match acceptor {
                None => serve(stream, &released).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => serve(stream, &released).await,
                    Err(error) => Err(error),
                },
            }; // a proxy that goes away is no failure of the upstream
        });
    }
}

fn listen(addr: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(addr).expect("a free address");
    socket.listen(4096).expect("a listener")
}

async fn serve<S>(mut stream: S, released: &watch::Sender<u32>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut scratch = vec![0; 4096];
    let mut held = Vec::new();
    loop {
        let head_end = loop {
            if let Some(end) = find(&held, b"\r\n\r\n") {
                break end + 4;
            }
            let read = stream.read(&mut scratch).await?;
            if read == 0 {
                return Ok(());
            }
            held.extend_from_slice(&scratch[..read]);
        };
        if held.starts_with(b"GET /release") {
            released.send_modify(|count| *count += 1);
            return stream
                .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                .await;
        }
        let length = field(&held[..head_end], "content-length")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0);
        let dialect = Dialect::of_path(&held[..head_end]);
        // The mode stands in the body's first KB; of a large body nothing else is kept.
        let mut start = held.split_off(head_end);
        let mut read_bytes = start.len();
        let large = length > 4096;
        if large && scratch.len() < 128 * 1024 {
            scratch.resize(128 * 1024, 0);
        }
        while read_bytes < length {
            let read = stream.read(&mut scratch).await?;
            if read == 0 {
                return Ok(());
            }
            read_bytes += read;
            if start.len() < 4096 {
                start.extend_from_slice(&scratch[..read]);
            }
        }
        held.clear();
        let mode = mode_of(&start);
        match mode {
            "burst" => {
                let mut out = STREAM_HEAD.to_vec();
                for event in dialect.stream() {
                    push_chunk(&mut out, event.as_bytes());
                }
                out.extend_from_slice(b"0\r\n\r\n");
                stream.write_all(&out).await?;
            }
            "paced" => {
                let (opening, pieces, end) = dialect.parts();
                let mut out = STREAM_HEAD.to_vec();
                push_chunks(&mut out, &opening);
                let begun = tokio::time::Instant::now();
                for (number, piece) in pieces.iter().enumerate() {
                    push_chunk(&mut out, piece.as_bytes());
                    stream.write_all(&out).await?;
                    out.clear();
                    tokio::time::sleep_until(begun + PACE * (number as u32 + 1)).await;
                }
                push_chunks(&mut out, &end);
                out.extend_from_slice(b"0\r\n\r\n");
                stream.write_all(&out).await?;
            }
            "hold" => {
                let mut release = released.subscribe();
                let (opening, pieces, _) = dialect.parts();
                let mut out = STREAM_HEAD.to_vec();
                push_chunks(&mut out, &opening);
                push_chunk(&mut out, pieces[0].as_bytes());
                stream.write_all(&out).await?;
                stream.flush().await?;
                drop((out, opening, pieces));
                let _ = release.changed().await;
                let mut out = Vec::new();
                push_chunks(&mut out, &dialect.short_end());
                out.extend_from_slice(b"0\r\n\r\n");
                stream.write_all(&out).await?;
            }
            _ => {
                let body = dialect.answer(read_bytes, heard(&start));
                let mut out = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_bench\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                )
                .into_bytes();
                out.extend_from_slice(&body);
                stream.write_all(&out).await?;
            }
        }
        stream.flush().await?;
    }
}

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Request-Id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n";

fn push_chunk(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

fn push_chunks(out: &mut Vec<u8>, events: &[String]) {
    for event in events {
        push_chunk(out, event.as_bytes());
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A field's value; names in any case.
fn field<'h>(head: &'h [u8], name: &str) -> Option<&'h str> {
    let text = std::str::from_utf8(head).ok()?;
    text.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

// ---- the client

/// One connection that reads whole answers.
struct Connection {
    stream: TcpStream,
    held: Vec<u8>,
    scratch: Vec<u8>,
}

impl Connection {
    async fn open(addr: SocketAddr, scratch_bytes: usize) -> Connection {
        let stream = TcpStream::connect(addr).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Connection {
            stream,
            held: Vec::new(),
            scratch: vec![0; scratch_bytes],
        }
    }

    async fn more(&mut self) {
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut self.scratch))
            .await
            .expect("an answer in time")
            .expect("a connection that lasts");
        assert!(
            read > 0,
            "closed in mid-answer after {:?}",
            String::from_utf8_lossy(&self.held)
        );
        self.held.extend_from_slice(&self.scratch[..read]);
    }

    /// The head's end, when all of it is there. Panics unless it is a 200.
    async fn head(&mut self) -> usize {
        loop {
            if let Some(end) = find(&self.held, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.held);
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                return end + 4;
            }
            self.more().await;
        }
    }

    /// The payload of one whole answer.
    async fn answer(&mut self) -> Vec<u8> {
        let head_end = self.head().await;
        let head = self.held[..head_end].to_vec();
        let rest = self.held.split_off(head_end);
        self.held = rest;
        if let Some(length) = field(&head, "content-length") {
            let length = number(length);
            while self.held.len() < length {
                self.more().await;
            }
            let rest = self.held.split_off(length);
            return std::mem::replace(&mut self.held, rest);
        }
        assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
        let mut payload = Vec::new();
        let mut at = 0;
        loop {
            let line_end = loop {
                match find(&self.held[at..], b"\r\n") {
                    Some(end) => break at + end,
                    None => self.more().await,
                }
            };
            let size = std::str::from_utf8(&self.held[at..line_end]).expect("a chunk's size");
            let size = usize::from_str_radix(size, 16).expect("a chunk's size");
            let data = line_end + 2;
            while self.held.len() < data + size + 2 {
                self.more().await;
            }
            assert_eq!(&self.held[data + size..data + size + 2], b"\r\n");
            payload.extend_from_slice(&self.held[data..data + size]);
            at = data + size + 2;
            if size == 0 {
                let rest = self.held.split_off(at);
                self.held = rest;
                return payload;
            }
        }
    }
}

async fn run(addr: SocketAddr, mode: &str, connections: usize, requests: usize, pair: Pair) {
    let (request, body) = request(addr, mode, pair);
    let streams = matches!(mode, "burst" | "paced");
    let (request, expected) = (
        Arc::new(request),
        Arc::new(match streams {
            true => pair.upstream.stream().concat().into_bytes(),
            false => pair.upstream.answer(body.len(), heard(&body)),
        }),
    );
    let begun = Instant::now();
    let each = requests.div_ceil(connections);
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (request, expected) = (request.clone(), expected.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(addr, 64 * 1024).await;
            let mut micros = Vec::with_capacity(each);
            for _ in 0..each {
                let sent = Instant::now();
                connection
                    .stream
                    .write_all(&request)
                    .await
                    .expect("a connection that lasts");
                let payload = connection.answer().await;
                micros.push(sent.elapsed().as_micros() as u64);
                pair.check(&payload, &expected, streams);
            }
            micros
        }));
    }
    let mut micros = Vec::new();
    for task in tasks {
        match task.await {
            Ok(part) => micros.extend(part),
            Err(_) => std::process::exit(1), // it has said why
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    println!("{} {seconds:.4} {} {}", micros.len(), at(0.5), at(0.99));
}

async fn hold(addr: SocketAddr, count: usize, pair: Pair) {
    let (request, _) = request(addr, "hold", pair);
    let request = Arc::new(request);
    let opening = Arc::new(Semaphore::new(OPENING_MAX));
    let mut tasks = Vec::new();
    for _ in 0..count {
        let (request, opening) = (request.clone(), opening.clone());
        tasks.push(tokio::spawn(async move {
            let _permit = opening.acquire().await.expect("never closed");
            let mut connection = Connection::open(addr, 2048).await;
            let sent = connection.stream.write_all(&request).await;
            sent.expect("a connection that lasts");
            while find(&connection.held, dialects::FIRST.as_bytes()).is_none() {
                connection.more().await;
            }
            connection
        }));
    }
    let mut held = Vec::new();
    for task in tasks {
        held.extend(task.await); // those that failed have said why
    }
    println!("held {}", held.len());
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).expect("a line");
    let (mut events, mut pieces, _) = pair.upstream.parts();
    pieces.truncate(1);
    events.extend(pieces);
    events.extend(pair.upstream.short_end());
    let expected = Arc::new(events.concat().into_bytes());
    let mut tasks = Vec::new();
    for mut connection in held {
        let expected = expected.clone();
        tasks.push(tokio::spawn(async move {
            pair.check(&connection.answer().await, &expected, true);
        }));
    }
    let mut completed = 0;
    for task in tasks {
        completed += usize::from(task.await.is_ok());
    }
    println!("completed {completed}");
}

// ---- start-up

fn start(addr: SocketAddr, command: &[&str]) {
    let (request, _) = request(addr, "json", Pair::of(&[]));
    let begun = Instant::now();
    let mut server = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a server to start");
    let took = loop {
        assert!(begun.elapsed() < PATIENCE, "it never answered");
        if let Ok(mut stream) = BlockingStream::connect(addr) {
            let mut first = [0; 12];
            let asked = stream
                .write_all(&request)
                .and_then(|()| stream.read_exact(&mut first));
            if asked.is_ok() && first == *b"HTTP/1.1 200" {
                break begun.elapsed();
            }
        }
        std::thread::sleep(Duration::from_micros(100));
    };
    println!("{:.2}", took.as_secs_f64() * 1000.0);
    let _ = Command::new("kill").arg(server.id().to_string()).status();
    let _ = server.wait();
}
