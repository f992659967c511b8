//! Trouble, said once: the first failure of its kind at an upstream is a warning with its reason and the request's id, those
//! after it are counted and said with their number once a minute, and the first answer after them is said, too. So a dead
//! upstream, a refused key or a storm of 429 is seen at `LOG=warn` and fills no disk. The requests' own lines have every reason.

use super::trace::Trace;
use crate::error::{Blame, Error, Kind};
use crate::log;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The same trouble of the same upstream is not said more often than this.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// Troubles remembered; an upstream has one of each kind at the most. Beyond it the one said longest ago is forgotten.
const KNOWN_MAX: usize = 256;

/// What kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Unreachable,
    TooSlow,
    Broken,
    Fails,
    Refuses,
    NoCredit,
    Limits,
    UnknownUrl,
    NoAccounts,
    NoRoom,
    Bug,
}

impl What {
    /// What an error tells of the upstream, or of this gateway; None: it is the client's.
    fn of(error: &Error) -> Option<What> {
        if error.blame == Blame::Client {
            return None;
        }
        match error.kind {
            Kind::Unreachable => Some(What::Unreachable),
            Kind::Timeout => Some(What::TooSlow),
            Kind::BadReply => Some(What::Broken),
            Kind::SidecarDown => Some(What::NoAccounts),
            Kind::AtCapacity => Some(What::NoRoom),
            Kind::Internal => Some(What::Bug),
            kind => What::of_status(kind.status()),
        }
    }

    /// What an upstream's status tells of it; None: it is about the request, or a success.
    fn of_status(status: u16) -> Option<What> {
        match status {
            401 | 403 => Some(What::Refuses),
            402 => Some(What::NoCredit),
            404 | 405 => Some(What::UnknownUrl),
            429 => Some(What::Limits),
            408 | 500.. => Some(What::Fails),
            _ => None,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            What::Unreachable => "an upstream cannot be reached",
            What::TooSlow => "an upstream is too slow",
            What::Broken => "an upstream breaks its answers off or garbles them",
            What::Fails => "an upstream fails",
            What::Refuses => "an upstream refuses the gateway's key",
            What::NoCredit => "an upstream has no credit left",
            What::Limits => "an upstream limits the rate",
            What::UnknownUrl => "an upstream does not know a URL or a model",
            What::NoAccounts => "an upstream's accounts cannot be used",
            What::NoRoom => "requests are refused for want of room",
            What::Bug => "a request met a bug",
        }
    }

    /// Whether it is the gateway's own, which no upstream's answer ends.
    fn is_ours(self) -> bool {
        matches!(self, What::NoRoom | What::Bug)
    }
}

/// A trouble that was said.
struct Known {
    upstream: Box<str>,
    what: What,
    /// There was no answer since.
    lasts: bool,
    since: Instant,
    failed: u64,
    said: Instant,
    unsaid: u64,
    ended: Option<Instant>,
}

/// A trouble that is over.
#[derive(Debug, PartialEq, Eq)]
struct Over {
    what: What,
    failed: u64,
    lasted: Duration,
}

/// The troubles of all upstreams.
#[derive(Default)]
pub struct Troubles {
    /// How many last: while it is 0, a success costs one load.
    lasting: AtomicUsize,
    known: Mutex<Vec<Known>>,
}

impl Troubles {
    fn lock(&self) -> MutexGuard<'_, Vec<Known>> {
        // Nothing under this lock can panic half way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at how a request ended and says what is new about its upstream.
    pub fn observe(&self, trace: &Trace, failure: Option<&Error>, id: &str, now: Instant) {
        let upstream = trace
            .upstream()
            .map_or("", |upstream| upstream.name.as_str());
        let what = match (failure, trace.upstream_status()) {
            (Some(error), _) => What::of(error),
            (None, Some(status @ 200..400)) => return self.say_works(upstream, status, now),
            (None, status) => status.and_then(What::of_status),
        };
        let Some(what) = what else { return };
        let Some(more) = self.failed(if what.is_ours() { "" } else { upstream }, what, now) else {
            return;
        };
        let reason = trace.reason(failure).unwrap_or_default();
        log::warn!(
            what.sentence(),
            upstream = upstream,
            reason = reason,
            more = more,
            id = id
        );
    }

    fn say_works(&self, upstream: &str, status: u16, now: Instant) {
        if self.lasting.load(Ordering::Relaxed) == 0 {
            return;
        }
        for over in self.works(upstream, now) {
            log::info!(
                "an upstream answers again",
                upstream = upstream,
                status = status,
                after = over.what.sentence(),
                failed = over.failed,
                lasted_s = over.lasted.as_secs()
            );
        }
    }

    /// Counts a failure. If it is to be said: how many were not said since the last one that was.
    fn failed(&self, upstream: &str, what: What, now: Instant) -> Option<u64> {
        let mut known = self.lock();
        let same = |one: &&mut Known| one.what == what && *one.upstream == *upstream;
        let Some(one) = known.iter_mut().find(same) else {
            if known.len() >= KNOWN_MAX {
                let oldest = known.iter().enumerate().min_by_key(|(_, one)| one.said);
                let at = oldest.map_or(0, |(at, _)| at);
                let forgotten = known.swap_remove(at);
                self.lasting
                    .fetch_sub(usize::from(forgotten.lasts), Ordering::Relaxed);
            }
            let lasts = !what.is_ours();
            self.lasting
                .fetch_add(usize::from(lasts), Ordering::Relaxed);
            known.push(Known {
                upstream: upstream.into(),
                what,
                lasts,
                since: now,
                failed: 1,
                said: now,
                unsaid: 0,
                ended: None,
            });
            return Some(0);
        };
        if !one.lasts && !what.is_ours() {
            (one.lasts, one.since, one.failed) = (true, now, 0);
            self.lasting.fetch_add(1, Ordering::Relaxed);
        }
        one.failed += 1;
        if now.duration_since(one.said) < SAID_EVERY {
            one.unsaid += 1;
            return None;
        }
        one.said = now;
        Some(std::mem::take(&mut one.unsaid))
    }

    /// The upstream answers: the troubles that end with it and are to be said.
    fn works(&self, upstream: &str, now: Instant) -> Vec<Over> {
        let mut over = Vec::new();
        let mut known = self.lock();
        for one in known.iter_mut() {
            if !one.lasts || *one.upstream != *upstream {
                continue;
            }
            one.lasts = false;
            self.lasting.fetch_sub(1, Ordering::Relaxed);
            let lately = |ended: Instant| now.duration_since(ended) < SAID_EVERY;
            if !one.ended.is_some_and(lately) {
                one.ended = Some(now);
                over.push(Over {
                    what: one.what,
                    failed: one.failed,
                    lasted: now.duration_since(one.since),
                });
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_storm_is_said_once_a_minute_with_its_number() {
        let (troubles, start) = (Troubles::default(), Instant::now());
        let failed = |seconds| troubles.failed("up", What::Limits, after(start, seconds));
        assert_eq!(failed(0), Some(0));
        for second in 1..60 {
            assert_eq!(failed(second), None, "{second}");
        }
        assert_eq!(failed(60), Some(59));
        assert_eq!(failed(61), None);
        assert_eq!(
            troubles.failed("other", What::Limits, after(start, 61)),
            Some(0),
            "another upstream's is another trouble"
        );
        assert_eq!(
            troubles.failed("up", What::Refuses, after(start, 61)),
            Some(0),
            "another kind, too"
        );
    }

    #[test]
    fn the_end_is_said_with_what_failed_and_how_long() {
        let (troubles, start) = (Troubles::default(), Instant::now());
        assert!(troubles.works("up", start).is_empty());
        for second in 0..3 {
            troubles.failed("up", What::Unreachable, after(start, second));
        }
        assert!(troubles.works("other", after(start, 5)).is_empty());
        let over = Over {
            what: What::Unreachable,
            failed: 3,
            lasted: Duration::from_secs(5),
        };
        assert_eq!(troubles.works("up", after(start, 5)), [over]);
        assert_eq!(troubles.lasting.load(Ordering::Relaxed), 0);
        assert!(troubles.works("up", after(start, 6)).is_empty());
    }

    #[test]
    fn one_that_comes_and_goes_is_said_no_more_often() {
        let (troubles, start) = (Troubles::default(), Instant::now());
        let mut said = 0;
        for second in 0..120 {
            let now = after(start, second);
            said += usize::from(troubles.failed("up", What::Fails, now).is_some());
            said += troubles.works("up", now).len();
        }
        assert_eq!(said, 4);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (troubles, start) = (Troubles::default(), Instant::now());
        for number in 0..KNOWN_MAX + 50 {
            troubles.failed(&format!("up-{number}"), What::Fails, start);
        }
        assert_eq!(troubles.lock().len(), KNOWN_MAX);
        assert_eq!(troubles.lasting.load(Ordering::Relaxed), KNOWN_MAX);
    }

    #[test]
    fn the_clients_own_mistakes_are_no_trouble() {
        assert_eq!(What::of(&Error::client(Kind::Unauthorized, "x")), None);
        assert_eq!(What::of(&Error::client(Kind::AtCapacity, "x")), None);
        for status in [200, 304, 400, 413, 422] {
            assert_eq!(What::of_status(status), None, "{status}");
        }
        let refused = Error::upstream(Kind::UpstreamStatus(401), "x");
        assert_eq!(What::of(&refused), Some(What::Refuses));
    }
}
