//! An upstream's body on its way to the client: each read is decoded, framed and written in place, within one call; a head
//! that waits goes in front of it.

use super::socket::{gone, put};
use super::{Broken, Exchange, Gone, Sending};
use crate::error::{Error, Kind};
use crate::net::client::Body;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

impl Exchange {
    /// Sends an upstream's body on as it comes, one write per read, held up only by the client's pace.
    /// `tap` sees every piece. The answer must have been begun, with the body's own length if it has one.
    pub async fn relay(&mut self, body: &mut Body, tap: impl FnMut(&[u8])) -> Result<(), Broken> {
        self.relay_part(body, true, tap).await
    }

    /// The same; `ends` false: the answer goes on after the body's end, until [`Exchange::finish`].
    pub async fn relay_part(
        &mut self,
        body: &mut Body,
        ends: bool,
        mut tap: impl FnMut(&[u8]),
    ) -> Result<(), Broken> {
        let idle = body.idle();
        loop {
            let last = {
                let Exchange {
                    stream,
                    out,
                    alarm,
                    sending,
                    broken,
                    body_bytes_out,
                    ..
                } = self;
                let mut gone = pin!(gone(stream));
                let received_at = self.received_at;
                let first_byte_after = &mut self.first_byte_after;
                let mut waits = false;
                // Goes on by itself while the client keeps pace: what waits for either side is made once.
                poll_fn(|cx| {
                    loop {
                        let piece = body.poll_piece(cx, |mut piece| {
                            tap(piece.data());
                            *body_bytes_out += piece.data().len() as u64;
                            let last = piece.last;
                            piece.last &= ends;
                            let framed = match sending {
                                Sending::Chunked => piece.framed(true, out),
                                Sending::Length(_) | Sending::UntilClose => {
                                    piece.framed(false, out)
                                }
                                Sending::Nothing | Sending::Whole | Sending::Broken => &[],
                            };
                            *broken |= put(stream, out, framed).is_err();
                            last
                        });
                        if !*broken && piece.is_pending() && !out.is_empty() {
                            *broken |= put(stream, out, &[]).is_err(); // the head, when the body is not there yet
                        }
                        first_byte_after.get_or_insert_with(|| received_at.elapsed());
                        if *broken {
                            return Poll::Ready(Err(Broken::Client));
                        }
                        match piece {
                            Poll::Ready(Ok(false)) if out.is_empty() => waits = false,
                            Poll::Ready(piece) => {
                                return Poll::Ready(piece.map_err(Broken::Upstream));
                            }
                            Poll::Pending => break,
                        }
                    }
                    if !waits {
                        waits = true;
                        alarm.set(idle); // not before: a body that is there already needs no alarm
                    }
                    if gone.as_mut().poll(cx).is_ready() {
                        *broken = true;
                        return Poll::Ready(Err(Broken::Client));
                    }
                    alarm.poll(cx).map(|()| {
                        let message = format!("the upstream sent nothing for {} s", idle.as_secs());
                        Err(Broken::Upstream(Error::upstream(Kind::Timeout, message)))
                    })
                })
                .await?
            };
            if !self.out.is_empty() {
                self.flush().await.map_err(|Gone| Broken::Client)?;
            }
            if last {
                if ends {
                    self.sending = Sending::Whole;
                }
                return Ok(());
            }
        }
    }
}
