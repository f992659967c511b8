//! The accept loop with handlers of its own; what clients send is tested against the whole gateway.

use super::*;
use crate::net::buffer::Budget;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Panics on `/panic`, holds a body while it does; answers anything else.
struct Odd {
    budget: Arc<Budget>,
    answered: AtomicUsize,
}

impl Handler for Odd {
    fn patience(&self) -> Patience {
        Patience {
            head: Duration::from_secs(5),
            stall: Duration::from_secs(5),
            keep_alive: Duration::from_secs(5),
        }
    }

    fn refusal(&self, error: &Error, _: Option<&RequestHead>) -> Vec<u8> {
        error.message.clone().into_bytes()
    }

    async fn handle(&self, head: &RequestHead, exchange: &mut Exchange) {
        let body = exchange.read_body(1 << 20, &self.budget).await;
        match head.path() {
            "/panic" => panic!(
                "a bug, on purpose, holding {} bytes",
                body.map_or(0, |body| body.data().len())
            ),
            "/silent" => {}
            "/half" => {
                exchange.begin(200, None, |_| {});
                let _ = exchange.write(b"half").await;
            }
            _ => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                let _ = exchange.answer(200, b"fine", |_| {}).await;
            }
        }
    }
}

/// The size of the future that every open connection owns.
pub(crate) fn connection_bytes<H: Handler>() -> usize {
    type Held = (Option<tokio::sync::OwnedSemaphorePermit>, mpsc::Sender<()>);
    fn size<H, F>(
        _: impl FnOnce(TcpStream, SocketAddr, Arc<H>, watch::Receiver<bool>, Held) -> F,
    ) -> usize {
        size_of::<F>()
    }
    size(connection::<H>)
}

/// Serves with room for `connections`, and talks to it.
fn with_server<F: Future>(
    connections: usize,
    talk: impl FnOnce(SocketAddr, Arc<Odd>, Arc<Shared>) -> F,
) -> F::Output {
    crate::net::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (_stop, stop) = watch::channel(false);
        let (alive, _gone) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            connections: Arc::new(Semaphore::new(connections)),
            stop,
            alive,
        });
        let handler = Arc::new(Odd {
            budget: Arc::new(Budget::new(1 << 20)),
            answered: AtomicUsize::new(0),
        });
        tokio::spawn(serve(listener, handler.clone(), shared.clone()));
        tokio::time::timeout(Duration::from_secs(20), talk(addr, handler, shared))
            .await
            .expect("within 20 s")
    })
}

/// Sends and reads until the server closes.
async fn exchange_bytes(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await; // a reset is an end, too
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_panicking_request_costs_its_own_connection_and_gives_everything_back() {
    with_server(1, |addr, handler, shared| async move {
        for _ in 0..3 {
            let body = "x".repeat(5000);
            let request =
                format!("POST /panic HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n{body}");
            let answer = exchange_bytes(addr, &request).await;
            assert_eq!(answer, "");
        }
        // With one permit in all, this connects only if the panics gave it back.
        let answer = exchange_bytes(
            addr,
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert!(answer.ends_with("\r\n\r\nfine"), "{answer}");
        assert_eq!(handler.answered.load(Ordering::Relaxed), 1);
        assert_eq!(handler.budget.used_bytes(), 0);
        while shared.connections.available_permits() != 0 {
            tokio::task::yield_now().await; // the accept loop holds the one permit for the next connection
        }
    });
}

#[test]
fn a_handler_that_answers_nothing_is_a_500() {
    with_server(4, |addr, _, _| async move {
        let answer = exchange_bytes(addr, "GET /silent HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    });
}

#[test]
fn an_answer_that_is_not_finished_never_gets_its_last_chunk() {
    with_server(4, |addr, _, _| async move {
        let answer = exchange_bytes(addr, "GET /half HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(answer.ends_with("4\r\nhalf\r\n"), "{answer}");
    });
}

#[test]
fn an_unfinished_answer_to_http_1_0_is_reset_because_its_end_would_look_complete() {
    with_server(4, |addr, _, _| async move {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream
            .write_all(b"GET /half HTTP/1.0\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}
