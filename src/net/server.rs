//! The front: accept, permits, and the keep-alive loop of one connection (RFC 9112 9). What a request means is the
//! [`Handler`]'s; that a connection never carries two meanings is decided here.

use super::exchange::{Exchange, Idle};
use super::{First, Running, race};
use crate::error::{Blame, Error, Fault, Kind};
use crate::log;
use crate::wire::body::{Decoder, Framing};
use crate::wire::head::{Method, RequestHead, Searched, Version, parse_request};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

/// How long a client may take for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a whole head.
    pub head: Duration,
    /// For the next byte of a body, and for accepting the next byte of an answer.
    pub stall: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
}

/// What the product makes of requests.
pub trait Handler: Send + Sync + 'static {
    /// The time limits that hold now.
    fn patience(&self) -> Patience;

    /// The JSON body of an answer to bytes that never became a request.
    fn refusal(&self, error: &Error, head: Option<&RequestHead>) -> Vec<u8>;

    /// Answers one request. An answer that was begun and not finished is broken off; none at all becomes a 500.
    /// Dropped when the process stops; it must leave things sound then.
    fn handle(
        &self,
        head: &RequestHead,
        exchange: &mut Exchange,
    ) -> impl Future<Output = ()> + Send;
}

/// What the accept loops of all threads share.
pub struct Shared {
    /// One permit a connection.
    pub connections: Arc<Semaphore>,
    /// True once the process drains.
    pub stop: watch::Receiver<bool>,
    /// Every connection holds a clone; when all are gone, everything is answered.
    pub alive: mpsc::Sender<()>,
}

/// How long to wait after the system had no descriptor left.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Heads kept for reuse on each thread.
const HEADS_KEPT_MAX: usize = 16;

thread_local! {
    static HEADS: RefCell<Vec<RequestHead>> = RefCell::default();
}

/// Accepts and serves until told to stop. Several threads may run it on clones of one listening socket.
/// Boxed: a crate that runs this future itself gets a copy of all that a request runs through.
pub fn serve<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    shared: Arc<Shared>,
) -> Running<'static, ()> {
    Box::pin(accept_all(listener, handler, shared))
}

async fn accept_all<H: Handler>(listener: TcpListener, handler: Arc<H>, shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    let mut starved = false;
    loop {
        let accepted = race(stopped(&mut stop), accept(&listener, &shared)).await;
        let (permit, accepted) = match accepted {
            First::A(()) => return,
            First::B(accepted) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if starved {
                    log::info!("accepting connections again");
                    starved = false;
                }
                let (handler, stop, alive) =
                    (handler.clone(), shared.stop.clone(), shared.alive.clone());
                // Runs free: it ends with its connection, and `alive` tells when the last one has ended.
                tokio::spawn(connection(stream, peer, handler, stop, (permit, alive)));
            }
            Err(error) if is_one_connections_fault(&error) => {}
            Err(error) => {
                if !starved {
                    log::warn!(
                        "cannot accept connections, waiting for descriptors to come free",
                        error = error
                    );
                    starved = true;
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    shared: &Shared,
) -> (
    Option<tokio::sync::OwnedSemaphorePermit>,
    io::Result<(TcpStream, SocketAddr)>,
) {
    // The semaphore is never closed, so the permit is always there.
    let permit = shared.connections.clone().acquire_owned().await.ok();
    (permit, listener.accept().await)
}

fn is_one_connections_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied
    )
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: the process ends.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One connection, from its first byte to its last; `held` is dropped with it. Every open connection owns this future, so it
/// is no `async fn`: that would keep its arguments twice.
fn connection<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<H>,
    mut stop: watch::Receiver<bool>,
    held: impl Send + 'static,
) -> impl Future<Output = ()> + Send {
    let _ = stream.set_nodelay(true);
    let mut exchange = Exchange::new(stream, peer, handler.patience(), stop.clone());
    let mut first = true;
    async move {
        let _ = &held;
        let mut idle_stop = pin!(stopped(&mut stop));
        loop {
            let limit = match std::mem::take(&mut first) {
                true => exchange.patience.head,
                false => exchange.patience.keep_alive,
            };
            match exchange.wait_for_request(limit, idle_stop.as_mut()).await {
                Idle::Bytes => {}
                Idle::Ended => return,
            }
            let mut head = HEADS
                .with(|heads| heads.borrow_mut().pop())
                .unwrap_or_default();
            let answered = one_request(&*handler, &mut head, &mut exchange).await;
            HEADS.with(|heads| {
                let mut heads = heads.borrow_mut();
                if heads.len() < HEADS_KEPT_MAX && head.is_small() {
                    heads.push(head);
                }
            });
            match answered {
                Then::Again => {}
                Then::Close => return exchange.close().await,
                Then::Drop => return,
            }
            exchange.patience = handler.patience();
        }
    }
}

/// What becomes of a connection.
enum Then {
    /// It serves another request.
    Again,
    /// It is closed once the client can have seen the answer.
    Close,
    /// Nobody waits for anything on it.
    Drop,
}

/// Reads a head and answers it.
async fn one_request<H: Handler>(
    handler: &H,
    head: &mut RequestHead,
    exchange: &mut Exchange,
) -> Then {
    let refusal = match read_head(head, exchange).await {
        Ok(true) => {
            handler.handle(head, exchange).await;
            if exchange.is_begun() || exchange.is_broken() {
                return match exchange.end().await {
                    true => Then::Again,
                    false => Then::Close,
                };
            }
            let error = Error::gateway(Kind::Internal, "the request was not answered");
            refuse(handler, Some(head), exchange, error)
        }
        Ok(false) => return Then::Drop,
        Err((fault, parsed)) => {
            let head = parsed.then_some(&*head);
            refuse(handler, head, exchange, fault.blame(Blame::Client))
        }
    };
    Box::pin(refusal).await;
    Then::Close
}

/// Tells the client of an error that is not the handler's to tell.
async fn refuse<H: Handler>(
    handler: &H,
    head: Option<&RequestHead>,
    exchange: &mut Exchange,
    error: Error,
) {
    let body = handler.refusal(&error, head);
    exchange.refuse(&error, &body).await;
}

/// Ok(false): the client left, or the process stops, before there was anything to answer. The bool of an error: the head was parsed.
async fn read_head(head: &mut RequestHead, exchange: &mut Exchange) -> Result<bool, (Fault, bool)> {
    let mut searched = Searched::default();
    let mut waits = false;
    loop {
        if let Some(used) = parse_request(exchange.unread.data(), &mut searched, head)
            .map_err(|fault| (fault, false))?
        {
            exchange.unread.consume(used);
            break;
        }
        if !waits {
            waits = true;
            exchange.alarm.set(exchange.patience.head); // nearly always a head is there at once
        }
        match exchange.fill_unless_stopped().await {
            None => {
                let seconds = exchange.patience.head.as_secs();
                return Err((
                    Fault::new(
                        Kind::SlowRequest,
                        format!("the head of the request did not come within {seconds} s"),
                    ),
                    false,
                ));
            }
            Some(Ok(0) | Err(_)) => return Ok(false),
            Some(Ok(_)) => {}
        }
    }
    let framing = Framing::of_request(head).map_err(|fault| (fault, true))?;
    if matches!(head.method, Method::Connect | Method::Trace) {
        return Err((
            Fault::new(
                Kind::MethodNotAllowed,
                format!("{} is not offered here", head.method.name()),
            ),
            true,
        ));
    }
    let wants_continue = match head.headers.get("expect") {
        None => false,
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => {
            head.version == Version::Http11 && framing != Framing::None
        }
        Some(_) => {
            return Err((
                Fault::new(
                    Kind::ExpectationFailed,
                    "the only expectation met here is 100-continue",
                ),
                true,
            ));
        }
    };
    exchange.open(head, Decoder::of_request(framing), wants_continue);
    Ok(true)
}

#[cfg(test)]
pub(crate) mod tests;
