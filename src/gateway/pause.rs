//! A turn that a Messages upstream pauses while a tool of its own is at work (`pause_turn`) is gone on with, where the client's
//! protocol has no such thing: the same request is sent again with what the upstream has said so far, its own blocks to the
//! letter, and the client sees one answer. For this the request's body is kept, but only where such a tool was offered.

use super::Refusal;
use super::answering::ANSWER_BYTES_MAX;
use super::convert::Sending;
use super::forward::{Collected, ERROR_BYTES_MAX, Forward};
use super::headers::{is_event_stream, retry_after_s, write_answer_fields};
use super::trace::Trace;
use crate::error::{Error, Kind};
use crate::net::buffer::{Buffer, Share};
use crate::net::client::Answer;
use crate::net::exchange::Exchange;
use crate::protocol::{WholeTurn, continuation, of_answer};

/// A whole answer, of one request or of several.
pub(super) struct Turned {
    last: Collected,
    /// All of them as one, and its part of the budget.
    whole: Option<(Vec<u8>, Share)>,
}

impl Turned {
    pub fn data(&self) -> &[u8] {
        match &self.whole {
            Some((whole, _)) => whole,
            None => self.last.data(),
        }
    }
}

impl Forward<'_> {
    /// Asks an upstream that paused to go on from what it has `said`, in `events` or whole as it has answered before. What
    /// it says to that is an answer, or the whole turn has failed.
    pub(super) async fn go_on(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        sending: &Sending,
        said: &[u8],
        events: bool,
    ) -> Result<Answer, Refusal> {
        let body = continuation(sending.body.data(), said)?;
        let sent = self.send_converted(exchange, trace, sending, &body);
        let mut answer = sent.await?;
        drop(body);
        let mut fields = Buffer::new();
        fields.append_with(|out| _ = write_answer_fields(out, &answer.head, ""));
        trace.answered(answer.head.status, fields.data());
        let upstream = &sending.route.upstream;
        if answer.head.status >= 400 {
            let body = self.collect(exchange, &mut answer, ERROR_BYTES_MAX).await?;
            let body = self.app.mask_secrets(upstream, body.data());
            trace.hears(&body);
            let mut error = of_answer(answer.head.status, &body, &upstream.name);
            error.retry_after_s = retry_after_s(&answer.head);
            return Err(error.into());
        }
        let headers = &answer.head.headers;
        let coding = headers.text("content-encoding").unwrap_or("identity");
        let content_type = headers.get("content-type");
        let same_form = content_type.is_some_and(is_event_stream) == events;
        if !same_form || !coding.eq_ignore_ascii_case("identity") {
            let message =
                "the upstream paused its turn, and went on in a form that it had not begun with";
            return Err(Error::upstream(Kind::BadReply, message).into());
        }
        Ok(answer)
    }

    /// Reads a whole answer, and goes on with it while the upstream pauses.
    pub(super) async fn collect_turn(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        sending: &Sending,
        answer: &mut Answer,
    ) -> Result<Turned, Refusal> {
        let last = self.collect(exchange, answer, ANSWER_BYTES_MAX).await?;
        trace.hears(last.data());
        let mut turn = WholeTurn::default();
        if !sending.pauses || !turn.hear(last.data()) {
            return Ok(Turned { last, whole: None });
        }
        drop(last);
        Box::pin(self.collect_rest(exchange, trace, sending, turn)).await
    }

    async fn collect_rest(
        &self,
        exchange: &mut Exchange,
        trace: &mut Trace,
        sending: &Sending,
        mut turn: WholeTurn,
    ) -> Result<Turned, Refusal> {
        let mut share = Share::default();
        loop {
            let kept_bytes = turn.said().len() + sending.body.len();
            self.keep_bytes(&mut share, kept_bytes).await?;
            let going_on = self.go_on(exchange, trace, sending, turn.said(), false);
            let mut answer = going_on.await?;
            let last = self
                .collect(exchange, &mut answer, ANSWER_BYTES_MAX)
                .await?;
            trace.hears(last.data());
            if turn.said().len() + last.data().len() > ANSWER_BYTES_MAX {
                let message = "the upstream's answer, gone on with, is too large";
                return Err(Error::upstream(Kind::BadReply, message).into());
            }
            if !turn.hear(last.data()) {
                let whole = turn.whole(last.data())?;
                self.keep_bytes(&mut share, whole.len()).await?;
                let whole = Some((whole, share));
                return Ok(Turned { last, whole });
            }
        }
    }
}
