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
use std::pin::{Pin, pin};
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

/// A future under way among others.
pub type Running<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs futures at the same time, on this task, and gives their outputs in order; dropping it ends them all.
pub async fn together<T>(futures: Vec<Running<'_, T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.into_iter().map(Some).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (future, done) in running.iter_mut().zip(&mut done) {
            if let Some(own) = future {
                match own.as_mut().poll(cx) {
                    Poll::Ready(output) => (*done, *future) = (Some(output), None),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Runs a test that waits, on this thread.
#[cfg(test)]
fn block_on<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test)
}
