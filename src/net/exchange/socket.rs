//! The client's socket, asked through the reactor and never through a buffer of its own.

use super::Gone;
use crate::net::buffer::{Buffer, with_scratch};
use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Ready once the client has closed its end, also while its bytes wait unread: an end-of-file hides behind a pipelined
/// request, so the reactor is asked, not the socket. A half-close counts as leaving. (PRIORITY is the one interest that
/// is ready on a closed read side and not on bytes.)
pub(super) async fn gone(stream: &TcpStream) {
    loop {
        match stream.ready(Interest::PRIORITY).await {
            Ok(ready) if !ready.is_read_closed() => tokio::task::yield_now().await,
            _ => return,
        }
    }
}

/// Writes `out` and then `data` as far as the socket takes them now; the rest stays in `out`.
pub(super) fn put(stream: &TcpStream, out: &mut Buffer, data: &[u8]) -> Result<(), Gone> {
    if !out.is_empty() {
        out.extend(data);
    }
    loop {
        let pending = if out.is_empty() { data } else { out.data() };
        if pending.is_empty() {
            return Ok(());
        }
        match stream.try_write(pending) {
            Ok(0) => return Err(Gone),
            Ok(written) if out.is_empty() => {
                out.extend(&data[written..]);
                if out.is_empty() {
                    return Ok(());
                }
            }
            Ok(written) => {
                out.consume(written);
                if out.is_empty() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if out.is_empty() {
                    out.extend(data);
                }
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Gone),
        }
    }
}

/// Reads what is there. A short read has emptied the socket, so the readiness is cleared without asking the system again;
/// sound because this task and the reactor share one thread, and no event can come between the read and the clearing.
pub(super) fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        match stream.try_read(buffer) {
            Ok(read) => {
                if read > 0 && read < buffer.len() {
                    let _ = stream.try_io(Interest::READABLE, || {
                        Err::<(), _>(io::ErrorKind::WouldBlock.into())
                    });
                }
                return Poll::Ready(Ok(read));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

pub(super) fn poll_fill(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    unread: &mut Buffer,
) -> Poll<io::Result<usize>> {
    with_scratch(|scratch| {
        let read = ready!(poll_read(stream, cx, scratch))?;
        unread.extend(&scratch[..read]);
        Poll::Ready(Ok(read))
    })
}
