//! One duplex of bytes towards an upstream, over TCP or TLS: reads and writes that never hold a buffer while they wait.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection to an upstream.
pub enum Stream {
    /// Plain.
    Tcp(TcpStream),
    /// Encrypted; boxed, because it is ten times as large.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Reads what is there into `buffer`. Ready(0): the peer has closed.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let done = match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        ready!(done)?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (self, parts) {
            // One part needs no list of parts that the system would have to read.
            (Stream::Tcp(stream), [part]) => Pin::new(stream).poll_write(cx, part),
            (Stream::Tcp(stream), _) => Pin::new(stream).poll_write_vectored(cx, parts),
            (Stream::Tls(stream), _) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Tcp(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Whether nothing came since the last answer: open, and not one byte. Anything else ends its reuse (http.md 34).
    /// Costs no system call while the reactor has seen nothing.
    pub fn is_silent(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        if self.socket().poll_read_ready(&mut cx).is_pending() {
            return true;
        }
        // A stale readiness, or session tickets that TLS swallows, are still silence.
        self.poll_read(&mut cx, &mut [0]).is_pending()
    }

    /// Writes all parts in order. `early` is polled while the peer does not take more; Some: it was ready first.
    pub async fn write_all<E>(
        &mut self,
        parts: &[&[u8]],
        mut early: impl FnMut(&mut Stream, &mut Context<'_>) -> Poll<E>,
    ) -> io::Result<Option<E>> {
        const PARTS_A_WRITE: usize = 16;
        let (mut part, mut offset) = (0, 0);
        poll_fn(|cx| {
            while part < parts.len() {
                if offset == parts[part].len() {
                    (part, offset) = (part + 1, 0);
                    continue;
                }
                let mut slices = [IoSlice::new(&[]); PARTS_A_WRITE];
                let mut count = 0;
                for (slice, bytes) in slices.iter_mut().zip(&parts[part..]) {
                    *slice = IoSlice::new(if count == 0 { &bytes[offset..] } else { bytes });
                    count += 1;
                }
                let mut written = match self.poll_write(cx, &slices[..count]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => written,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return early(self, cx).map(|early| Ok(Some(early))),
                };
                while part < parts.len() && written >= parts[part].len() - offset {
                    written -= parts[part].len() - offset;
                    (part, offset) = (part + 1, 0);
                }
                offset += written;
            }
            match self.poll_flush(cx) {
                Poll::Ready(flushed) => Poll::Ready(flushed.map(|()| None)),
                Poll::Pending => early(self, cx).map(|early| Ok(Some(early))),
            }
        })
        .await
    }
}
