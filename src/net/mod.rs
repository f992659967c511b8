//! SOCKETS. tokio and rustls live here and nowhere below; what a body means is none of this floor's business.
//!
//! Each worker thread runs one current-thread runtime: it accepts from the shared listening socket, and a connection,
//! its upstream connections, the read scratch and the free buffers all stay on that thread. Nothing here relies on it
//! for soundness (futures are `Send`), only for speed: no lock is ever contended and no task is ever stolen.

pub mod alarm;
pub mod buffer;
mod cert;
pub mod client;
pub mod dial;
pub mod exchange;
pub mod origin;
pub mod pool;
pub mod server;
pub mod stream;
pub mod tls;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// What [`race`] gives: which of the two was first, and its output.
#[derive(Debug)]
pub enum First<A, B> {
    /// The first future.
    A(A),
    /// The second future.
    B(B),
}

/// Waits for whichever of two futures is ready first, asking `a` before `b`; the other is dropped.
/// (`tokio::select!` would cost seven crates.)
pub async fn race<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> First<A, B> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if let Poll::Ready(output) = a.as_mut().poll(cx) {
            return Poll::Ready(First::A(output));
        }
        b.as_mut().poll(cx).map(First::B)
    })
    .await
}
