//! How often the gateway asks the allocator on its way: per forwarded request of 1 KB and per relayed event of a stream.
//! The gateway runs in this process, on one worker thread whose allocations alone are counted. The counter and the input
//! are tested before anything is printed. `cargo bench --bench allocations`.

use llm_wrapper::gateway::App;
use llm_wrapper::gateway::admin::{Admin, Keeping};
use llm_wrapper::gateway::live::Live;
use llm_wrapper::log::{self, Level};
use llm_wrapper::net::buffer::Budget;
use llm_wrapper::net::server::{self, Shared};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

#[path = "counting.rs"]
mod counting;
use counting::{BYTES, COUNT, IS_WORKER};

/// Requests and events before counting begins: free lists fill, tables grow.
const WARM_UP: usize = 200;
/// Requests and events that are counted.
const COUNTED: usize = 1000;
const BODY_BYTES: usize = 1024;

fn main() {
    the_counter_counts_this_thread_alone();
    let upstream = upstream();
    let gateway = gateway(upstream);
    for (level, name) in [(Level::Warn, "log off"), (Level::Info, "log on")] {
        log::set_level(level);
        let mut client = Client::connect(gateway);
        for _ in 0..WARM_UP {
            client.post("json");
        }
        let before = now();
        for _ in 0..COUNTED {
            client.post("json");
        }
        print(name, "forwarded request of 1 KB", before);
    }
    log::set_level(Level::Warn);
    let mut client = Client::connect(gateway);
    client.stream(|_, _| ());
    let mut before = (0, 0);
    client.stream(|event, _| {
        if event == WARM_UP {
            before = now();
        }
    });
    print("log off", "relayed event of a stream", before);
    log::flush(Duration::from_secs(1));
}

fn now() -> (u64, u64) {
    (COUNT.load(Ordering::SeqCst), BYTES.load(Ordering::SeqCst))
}

fn print(name: &str, what: &str, before: (u64, u64)) {
    let after = now();
    let per = |after: u64, before: u64| (after - before) as f64 / COUNTED as f64;
    println!(
        "{name}: {:.3} allocations, {:.0} bytes a {what}",
        per(after.0, before.0),
        per(after.1, before.1)
    );
}

fn the_counter_counts_this_thread_alone() {
    let make = || {
        for size in 1..=10 {
            std::hint::black_box(vec![1_u8; size]);
        }
        let mut grown = Vec::with_capacity(1);
        grown.push(1_u8);
        grown.reserve_exact(100);
        std::hint::black_box(grown);
    };
    let counted = std::thread::spawn(move || {
        IS_WORKER.set(true);
        let before = now();
        make();
        (before, now())
    });
    let (before, after) = counted.join().expect("no panic");
    assert_eq!((after.0 - before.0, after.1 - before.1), (12, 55 + 1 + 101));
    let before = now();
    make();
    assert_eq!(now(), before, "another thread's allocations were counted");
}

fn gateway(upstream: SocketAddr) -> SocketAddr {
    let config = format!(
        "upstreams: [{{name: up, base_url: \"http://{upstream}\", auth: {{type: api_key, key: sk-bench}}}}]
aliases: [{{alias: bench, target_model: other, upstream: up}}]"
    );
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .expect("a reactor");
        runtime.block_on(async {
            let live = Live::fixed(&config).expect("a valid configuration");
            let budget = Arc::new(Budget::new(64 << 20));
            let live = Arc::new(live);
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let admin = Admin::new(live.clone(), Keeping::Memory, address);
            let app = Arc::new(App::new(live.subscribe(), budget, admin, None, 0, 1));
            let (_stop, stopping) = watch::channel(false);
            let (alive, _gone) = tokio::sync::mpsc::channel(1);
            let shared = Arc::new(Shared {
                connections: Arc::new(Semaphore::new(100)),
                stop: stopping,
                alive,
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("a free port");
            tell.send(listener.local_addr().expect("its address"))
                .expect("someone waits for it");
            IS_WORKER.set(true);
            server::serve(listener, app, shared).await;
        });
    });
    told.recv().expect("the gateway starts")
}

/// Answers what a request's body asks for. Events go one by one: each waits for the client's word that the last has come.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut writer = stream.try_clone().expect("a second handle");
                let mut reader = BufReader::new(stream);
                while let Some(body) = read_message(&mut reader) {
                    assert!(
                        body.starts_with(b"{\"model\":\"other\""),
                        "the model was not replaced: {:.60}",
                        String::from_utf8_lossy(&body)
                    );
                    assert_eq!(body.len(), BODY_BYTES);
                    if body.windows(8).any(|part| part == b"\"stream\"") {
                        send_events(&mut writer);
                    } else {
                        let answer = answer();
                        let head = format!(
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                            answer.len()
                        );
                        let whole = [head.as_bytes(), &answer].concat();
                        writer.write_all(&whole).expect("a gateway that reads");
                    }
                }
            });
        }
    });
    addr
}

static SEEN: AtomicU64 = AtomicU64::new(0);

fn send_events(writer: &mut TcpStream) {
    writer.set_nodelay(true).expect("an option");
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    writer.write_all(head.as_bytes()).expect("a gateway");
    for number in 0..=WARM_UP + COUNTED {
        let event = event(number);
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        writer.write_all(chunk.as_bytes()).expect("a gateway");
        while SEEN.load(Ordering::SeqCst) <= number as u64 {
            std::thread::yield_now(); // the client counts it any moment
        }
    }
    SEEN.store(0, Ordering::SeqCst);
    writer.write_all(b"0\r\n\r\n").expect("a gateway");
}

fn event(number: usize) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" token{number:04}\"}}}}]}}\n\n"
    )
}

fn answer() -> Vec<u8> {
    let mut answer =
        b"{\"object\":\"chat.completion\",\"choices\":[{\"message\":{\"content\":\"".to_vec();
    answer.resize(BODY_BYTES - 64, b'a');
    answer.extend_from_slice(b"\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9}}");
    answer
}

/// One message with a content-length; `None` at the end of the connection.
fn read_message(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn connect(gateway: SocketAddr) -> Client {
        let stream = TcpStream::connect(gateway).expect("a gateway");
        stream.set_nodelay(true).expect("an option");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("an option");
        Client {
            reader: BufReader::new(stream),
        }
    }

    fn send(&mut self, field: &str) {
        let mut body = format!(
            "{{\"model\":\"bench\",\"{field}\":true,\"messages\":[{{\"role\":\"user\",\"content\":\""
        );
        while body.len() < BODY_BYTES - 4 {
            body.push('a');
        }
        body.push_str("\"}]}");
        body.truncate(BODY_BYTES);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nuser-agent: OpenAI/Python 2.8.0\r\naccept: application/json\r\ncontent-type: application/json\r\nauthorization: Bearer sk-client\r\nx-stainless-lang: python\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let whole = head + &body;
        self.reader
            .get_mut()
            .write_all(whole.as_bytes())
            .expect("a gateway that reads");
    }

    fn post(&mut self, field: &str) {
        self.send(field);
        let body = read_message(&mut self.reader).expect("an answer");
        assert!(
            body == answer(),
            "a wrong answer: {}",
            String::from_utf8_lossy(&body)
        );
    }

    /// Reads a stream event by event; `each` hears of every one before the next is sent.
    fn stream(&mut self, mut each: impl FnMut(usize, &str)) {
        self.send("stream");
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            self.reader.read_line(&mut line).expect("a head");
        }
        let mut payload = Vec::new();
        for number in 0..=WARM_UP + COUNTED {
            let expected = event(number);
            self.chunk(&mut payload);
            assert_eq!(String::from_utf8_lossy(&payload), expected);
            each(number, &expected);
            SEEN.fetch_add(1, Ordering::SeqCst);
        }
        self.chunk(&mut payload);
        assert!(payload.is_empty(), "more than was sent");
    }

    fn chunk(&mut self, payload: &mut Vec<u8>) {
        let mut size = String::new();
        self.reader.read_line(&mut size).expect("a chunk");
        let size = usize::from_str_radix(size.trim_end(), 16).expect("a chunk's size");
        payload.resize(size + 2, 0);
        self.reader.read_exact(payload).expect("a chunk");
        payload.truncate(size);
    }
}
