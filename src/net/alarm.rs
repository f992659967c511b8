//! One timer per connection, moved without touching the timer wheel.
//! Moving a deadline later only stores it; the wheel's entry fires at the old time, sees the new one and goes to sleep again.
//! A request sets half a dozen deadlines that almost never pass, so this is what makes them free.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that can be moved cheaply.
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Alarm {
    /// An alarm that rings after that time.
    pub fn new(after: Duration) -> Alarm {
        let deadline = Instant::now() + after;
        Alarm {
            sleep: Box::pin(sleep_until(deadline)),
            deadline,
        }
    }

    /// Moves it: it rings that long from now.
    pub fn set(&mut self, after: Duration) {
        self.set_at(Instant::now() + after);
    }

    /// Moves it: it rings at that moment.
    pub fn set_at(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if self.deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(self.deadline);
        }
    }

    /// Ready once the deadline has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.deadline <= self.sleep.deadline() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// The future's output, or None when the alarm rings first. The caller pins what has to be: pinned here it would be kept
    /// twice, before and afterwards.
    pub fn within<T>(
        &mut self,
        mut future: impl Future<Output = T> + Unpin,
    ) -> impl Future<Output = Option<T>> {
        poll_fn(move |cx| {
            if let Poll::Ready(output) = Pin::new(&mut future).poll(cx) {
                return Poll::Ready(Some(output));
            }
            self.poll(cx).map(|()| None)
        })
    }
}
