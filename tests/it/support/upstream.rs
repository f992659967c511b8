//! A scripted upstream at byte level: it can do what real servers do wrong. Each connection runs the script in a thread of its own;
//! every request is recorded, head and body apart, with the connection it came on.

use super::{PATIENCE, find, show};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// One request as it came.
#[derive(Clone)]
pub struct Received {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// Request line and fields, with the empty line.
    pub head: Vec<u8>,
    /// The body, unchunked.
    pub body: Vec<u8>,
}

impl Received {
    /// The request line.
    pub fn line(&self) -> String {
        let end = find(&self.head, b"\r\n").unwrap_or(self.head.len());
        String::from_utf8_lossy(&self.head[..end]).into_owned()
    }

    /// The request target.
    pub fn target(&self) -> String {
        self.line()
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_string()
    }

    /// All fields, names in lower case.
    pub fn fields(&self) -> Vec<(String, String)> {
        fields(&self.head)
    }

    /// The value of a field that may stand at most once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<String> {
        let all: Vec<String> = self
            .fields()
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
}

/// The fields of a head, names in lower case.
pub fn fields(head: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(head);
    text.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
        .collect()
}

/// Something one thread waits for and another brings about.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new() -> Gate {
        Gate::default()
    }

    pub fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    pub fn is_open(&self) -> bool {
        *lock(&self.0.0)
    }

    /// Waits until it is open; panics after a while.
    #[track_caller]
    pub fn wait(&self) {
        assert!(
            self.wait_for(PATIENCE),
            "waited {PATIENCE:?} in vain for a gate"
        );
    }

    /// Whether it opened in that time.
    pub fn wait_for(&self, within: Duration) -> bool {
        let (open, _) = self
            .0
            .1
            .wait_timeout_while(lock(&self.0.0), within, |open| !*open)
            .unwrap_or_else(|poison| poison.into_inner());
        *open
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<Received>,
    /// A second handle of each open connection, by number: to end its script when the upstream is dropped.
    sockets: Vec<(usize, TcpStream)>,
    complaints: Vec<String>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
    stop: AtomicBool,
}

/// One connection, from the script's point of view. Its methods fail when the other side is gone; `?` ends the script then.
pub struct Peer {
    /// Its number, from 0.
    pub number: usize,
    stream: TcpStream,
    unread: Vec<u8>,
    shared: Arc<Shared>,
}

impl Peer {
    /// Waits for a whole request and records it.
    pub fn expect(&mut self) -> io::Result<Received> {
        let head = self.expect_head()?;
        let body = self.body(&head)?;
        let received = Received {
            connection: self.number,
            head,
            body,
        };
        self.record(received.clone());
        Ok(received)
    }

    /// Waits for a request's head only, and leaves its body unread.
    pub fn expect_head(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                return Ok(std::mem::replace(&mut self.unread, rest));
            }
            self.fill()?;
        }
    }

    /// Records a request of which only the head was read.
    pub fn record_head(&mut self, head: Vec<u8>) {
        self.record(Received {
            connection: self.number,
            head,
            body: Vec::new(),
        });
    }

    fn record(&self, received: Received) {
        lock(&self.shared.seen).requests.push(received);
        self.shared.changed.notify_all();
    }

    fn body(&mut self, head: &[u8]) -> io::Result<Vec<u8>> {
        let fields = fields(head);
        let value = |name: &str| {
            fields
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value.clone())
        };
        if let Some(length) = value("content-length") {
            let length: usize = length.parse().map_err(io::Error::other)?;
            return self.take(length);
        }
        if value("transfer-encoding").is_none() {
            return Ok(Vec::new());
        }
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            if size == 0 {
                while !self.line()?.trim().is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            self.take(2)?;
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.unread, b"\n") {
                let rest = self.unread.split_off(end + 1);
                let line = std::mem::replace(&mut self.unread, rest);
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.fill()?;
        }
    }

    /// Waits for that many bytes.
    pub fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.fill()?;
        }
        let rest = self.unread.split_off(length);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut room = [0; 65536];
        match self.stream.read(&mut room)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.unread.extend_from_slice(&room[..read]);
                Ok(())
            }
        }
    }

    /// Sends bytes as they are, in one write.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends data as one chunk.
    pub fn send_chunk(&mut self, data: &str) -> io::Result<()> {
        self.send(super::chunk(data))
    }

    /// Says that nothing more will come, and goes on listening.
    pub fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Breaks the connection: the other side gets a reset.
    pub fn reset(self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        let number = self.number;
        // The second handle would keep it open.
        lock(&self.shared.seen)
            .sockets
            .retain(|(of, _)| *of != number);
        Ok(())
    }

    /// Waits until the other side has closed or broken the connection, dropping what comes. Gives how long that took.
    pub fn wait_closed(&mut self) -> io::Result<Duration> {
        let start = Instant::now();
        let mut room = [0; 65536];
        loop {
            match self.stream.read(&mut room) {
                Ok(0) => return Ok(start.elapsed()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(start.elapsed());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// An upstream on a loopback port of its own, until it is dropped.
pub struct Upstream {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Runs the script for every connection. The script owns the connection: when it returns, the connection is closed.
    pub fn script(script: impl Fn(Peer) -> io::Result<()> + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let script = Arc::new(script);
        let server = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if server.stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                let _ = stream.set_read_timeout(Some(PATIENCE * 3));
                let _ = stream.set_write_timeout(Some(PATIENCE * 3));
                let number = {
                    let mut seen = lock(&server.seen);
                    let number = seen.connections;
                    seen.sockets
                        .extend(stream.try_clone().map(|clone| (number, clone)));
                    seen.connections += 1;
                    number
                };
                server.changed.notify_all();
                let peer = Peer {
                    number,
                    stream,
                    unread: Vec::new(),
                    shared: server.clone(),
                };
                let (script, server) = (script.clone(), server.clone());
                std::thread::spawn(move || {
                    let closing = peer.stream.try_clone();
                    let outcome =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| script(peer)));
                    let mut seen = lock(&server.seen);
                    seen.sockets.retain(|(of, _)| *of != number);
                    if outcome.is_err() {
                        seen.complaints
                            .push(format!("the script of connection {number} panicked"));
                    }
                    drop(seen);
                    if let Ok(stream) = closing
                        && socket2::SockRef::from(&stream)
                            .linger()
                            .ok()
                            .flatten()
                            .is_none()
                    {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Upstream { addr, shared }
    }

    /// Answers every request with the same bytes, on as many connections as come.
    pub fn always(answer: impl Into<Vec<u8>>) -> Upstream {
        let answer = answer.into();
        Upstream::script(move |mut peer| {
            loop {
                peer.expect()?;
                peer.send(&answer)?;
            }
        })
    }

    /// Sends that to the first request of each connection and closes it.
    pub fn once(answer: impl Into<Vec<u8>>) -> Upstream {
        let answer = answer.into();
        Upstream::script(move |mut peer| {
            peer.expect()?;
            peer.send(&answer)?;
            peer.half_close()?;
            peer.wait_closed()?;
            Ok(())
        })
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        lock(&self.shared.seen).connections
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        lock(&self.shared.seen).requests.len()
    }

    /// The n-th request; waits for it.
    #[track_caller]
    pub fn request(&self, number: usize) -> Received {
        let (seen, _) = self
            .shared
            .changed
            .wait_timeout_while(lock(&self.shared.seen), PATIENCE, |seen| {
                seen.requests.len() <= number
            })
            .unwrap_or_else(|poison| poison.into_inner());
        match seen.requests.get(number) {
            Some(request) => request.clone(),
            None => panic!(
                "waited in vain for request {number}; {} came",
                seen.requests.len()
            ),
        }
    }

    /// The only request there was.
    #[track_caller]
    pub fn only_request(&self) -> Received {
        let request = self.request(0);
        assert_eq!(
            self.requests(),
            1,
            "more than one request, the last: {}",
            show(&self.request(self.requests() - 1).head)
        );
        request
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        let seen = lock(&self.shared.seen);
        for (_, socket) in &seen.sockets {
            let _ = socket.shutdown(Shutdown::Both);
        }
        let complaints = seen.complaints.join("; ");
        drop(seen);
        if !std::thread::panicking() {
            assert!(complaints.is_empty(), "{complaints}");
        }
    }
}
