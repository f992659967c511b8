//! A request's body: read whole, within its limit and the budget, with nothing allocated for what was only announced.

use super::socket::poll_read;
use super::{Exchange, Gone, RequestBody};
use crate::error::{Error, Kind};
use crate::net::buffer::{Budget, Buffer, Share};
use crate::wire::body::Step;
use std::future::poll_fn;
use std::sync::Arc;

/// A body of known length grows by at least this much at a time, and to four times what came: a length that was only
/// announced costs nothing.
const READ_STEP_BYTES: usize = 64 * 1024;

impl Exchange {
    /// Reads the whole body. Refused before anything is read: a body over `limit_bytes`, and one there is no room for.
    pub async fn read_body(
        &mut self,
        limit_bytes: u64,
        budget: &Arc<Budget>,
    ) -> Result<RequestBody, Error> {
        let announced = self.decoder.announced();
        let mut bytes = Buffer::expecting(usize::try_from(announced.min(limit_bytes)).unwrap_or(0));
        let mut share = Share::default();
        if announced > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        self.cover(budget, &mut share, announced).await?;
        if self.decoder.is_done() {
            return Ok(RequestBody {
                bytes,
                _share: share,
            });
        }
        if std::mem::take(&mut self.continue_due) && self.unread.is_empty() {
            self.out.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.flush().await.map_err(|Gone| left())?;
        }
        if self.decoder.length_left() == Some(self.unread.len() as u64) {
            // All of it came with the head, and nothing else: it stays where it is.
            bytes = std::mem::take(&mut self.unread);
            let _ = self.decoder.step(bytes.data(), false); // within the length, so it is data
        }
        loop {
            while !self.unread.is_empty() && !self.decoder.is_done() {
                let (used, step) = self
                    .decoder
                    .step(self.unread.data(), false)
                    .map_err(|fault| fault.blame(crate::error::Blame::Client))?;
                let need = match step {
                    Step::Data(data) => {
                        bytes.extend(data);
                        bytes.len() as u64
                    }
                    Step::End => bytes.len() as u64, // what it used was the end's own framing
                    Step::NeedMore => bytes.len() as u64 + self.decoder.announced(),
                };
                self.unread.consume(used);
                if need > limit_bytes {
                    return Err(too_large(limit_bytes));
                }
                self.cover(budget, &mut share, need).await?;
            }
            self.body_bytes_in = bytes.len() as u64;
            if self.decoder.is_done() {
                return Ok(RequestBody {
                    bytes,
                    _share: share,
                });
            }
            self.alarm.set(self.patience.stall);
            let read = match self.decoder.length_left() {
                // A body of known length is read where it stays.
                Some(left) if self.unread.is_empty() => {
                    let (stream, decoder) = (&self.stream, &mut self.decoder);
                    let room = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(READ_STEP_BYTES.max(3 * bytes.len()));
                    let read = self.alarm.within(poll_fn(|cx| {
                        let spare = bytes.spare(room);
                        let end = spare.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                        poll_read(stream, cx, &mut spare[..end])
                    }));
                    let read = read.await;
                    if let Some(Ok(n)) = read
                        && n > 0
                    {
                        let _ = decoder.step(&bytes.spare(0)[..n], false); // within the length, so it is data
                        bytes.filled(n);
                    }
                    read
                }
                _ => self.fill().await,
            };
            match read {
                None => {
                    return Err(Error::client(
                        Kind::SlowRequest,
                        format!(
                            "no byte of the body came for {} s",
                            self.patience.stall.as_secs()
                        ),
                    ));
                }
                Some(Ok(0) | Err(_)) => {
                    self.broken = true;
                    return Err(left());
                }
                Some(Ok(_)) => {}
            }
        }
    }

    async fn cover(
        &mut self,
        budget: &Arc<Budget>,
        share: &mut Share,
        bytes: u64,
    ) -> Result<(), Error> {
        if budget.cover(share, bytes).await {
            return Ok(());
        }
        let message =
            "the gateway holds as many request bodies as limits.max_buffered_mb allows; try again";
        Err(Error::gateway(Kind::AtCapacity, message).retry_after(1))
    }
}

fn too_large(limit_bytes: u64) -> Error {
    let mb = limit_bytes / (1024 * 1024);
    Error::client(
        Kind::TooLarge,
        format!("the body is larger than {mb} MB (limits.max_body_mb)"),
    )
}

fn left() -> Error {
    Error::client(
        Kind::BadRequest,
        "the client closed the connection before the request was complete",
    )
}
