//! The client's socket, asked through the reactor and never through a buffer of its own.

use super::Gone;
use crate::net::buffer::{Buffer, with_scratch};
use std::io::{self, IoSlice};
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

/// The same for parts that are written from where they lie, once: what the socket does not take is kept in `out`.
pub(super) fn put_parts(
    stream: &TcpStream,
    out: &mut Buffer,
    parts: [&[u8]; 3],
) -> Result<(), Gone> {
    let [a, b, c] = parts;
    let slices = [out.data(), a, b, c].map(IoSlice::new);
    let mut written = match stream.try_write_vectored(&slices) {
        Ok(0) => return Err(Gone),
        Ok(written) => written,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            0
        }
        Err(_) => return Err(Gone),
    };
    let of_out = written.min(out.len());
    out.consume(of_out);
    written -= of_out;
    for part in parts {
        let of_part = written.min(part.len());
        out.extend(&part[of_part..]);
        written -= of_part;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    #[test]
    fn parts_arrive_in_order_however_little_the_socket_takes() {
        crate::net::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let ours = TcpStream::connect(listener.local_addr().unwrap());
            let (ours, theirs) = (ours.await.unwrap(), listener.accept().await.unwrap().0);
            let (mut out, mut expected, mut waited) = (Buffer::new(), Vec::new(), 0);
            ours.writable().await.unwrap();
            for round in 0..400_usize {
                let data: Vec<u8> = (0..round * 97).map(|at| (at + round) as u8).collect();
                let parts = [&b"prefix"[..round % 7], &data, b"suffix"];
                if round % 3 == 0 {
                    out.extend(b"head");
                    expected.extend_from_slice(b"head");
                }
                expected.extend_from_slice(&parts.concat());
                put_parts(&ours, &mut out, parts).unwrap();
                waited += usize::from(!out.is_empty());
            }
            assert!(waited > 50, "the socket took all of it");
            let reading = tokio::spawn(async move {
                let (mut theirs, mut found) = (theirs, Vec::new());
                theirs.read_to_end(&mut found).await.unwrap();
                found
            });
            while !out.is_empty() {
                ours.writable().await.unwrap();
                put(&ours, &mut out, &[]).unwrap();
            }
            drop(ours);
            assert!(reading.await.unwrap() == expected);
        });
    }
}
