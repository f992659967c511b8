//! When the sidecar is started, stopped, tried again and given up. Pure: events and the time come in, one action goes out;
//! the task in `mod.rs` carries it out and reports back. At most one process exists at any time, and nothing is started
//! before the one before it is known to be gone.

use std::time::{Duration, Instant};

/// A start that has not proven itself by then is ended and counts as a failure.
pub const START_LIMIT: Duration = Duration::from_secs(30);
/// The pause after the first failure; each further one doubles it.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// So many failures in a row are a crash loop.
pub const FAILURES_MAX: u32 = 6;
/// A process that was ready for this long ends the row of failures.
pub const STABLE_AFTER: Duration = Duration::from_secs(60);
/// After giving up, the next one who asks is worth a single new try once this has passed.
pub const GIVEN_UP_FOR: Duration = Duration::from_secs(300);
/// The same where the reason is one that only the user can remove, and cheap to look at again: no such program.
pub const HOPELESS_FOR: Duration = Duration::from_secs(10);
/// Somebody who asks (a login, say) keeps it running for this long although no upstream wants it.
pub const LEASE: Duration = Duration::from_secs(30 * 60);

/// Where the sidecar stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody needs it.
    Stopped,
    /// It is being started and has not proven itself.
    Starting {
        /// When that is too late.
        until: Instant,
    },
    /// It serves.
    Ready {
        /// Since when.
        since: Instant,
    },
    /// It failed and will be started again.
    Backoff {
        /// When.
        until: Instant,
    },
    /// It failed too often, or hopelessly.
    GivenUp {
        /// From when on an ask is worth a try.
        until: Instant,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Whether an enabled OAuth upstream exists.
    Want(bool),
    /// Somebody needs it now.
    Ask,
    /// The user wants another try now, whatever happened before.
    Retry,
    /// The settings changed in a way that needs a new process.
    Change,
    /// Nobody may need it any more: someone else runs it now.
    Release,
    /// The process runs.
    Launched,
    /// The process could not be started. `hopeless`: nor will it be in a minute.
    Failed {
        /// Why.
        reason: String,
        /// Whether trying again soon is pointless.
        hopeless: bool,
    },
    /// It answers and is ours.
    Proven,
    /// It runs and is no use.
    Unproven(String),
    /// The process is gone, with what is known of why.
    Exited(String),
    /// The time that [`Plan::wake_at`] named has come.
    Time,
    /// The gateway ends.
    Shutdown,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Start a process; then report Launched or Failed.
    Launch,
    /// End the process; then report Exited.
    End,
}

/// What is known of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    None,
    Launching,
    Running,
    Ending,
}

/// The plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    state: State,
    process: Process,
    wanted: bool,
    leased_until: Option<Instant>,
    failures: u32,
    reason: Option<String>,
    over: bool,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan::new()
    }
}

impl Plan {
    /// Nobody needs it yet.
    pub fn new() -> Plan {
        Plan {
            state: State::Stopped,
            process: Process::None,
            wanted: false,
            leased_until: None,
            failures: 0,
            reason: None,
            over: false,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it last failed, kept until it serves again.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether there is no process, nor one on its way.
    pub fn is_idle(&self) -> bool {
        self.process == Process::None
    }

    /// When [`Event::Time`] is due.
    pub fn wake_at(&self) -> Option<Instant> {
        // While a process is launched or ends, its report comes next and no time matters.
        let state = match (self.state, self.process) {
            (State::Starting { until }, Process::Running) => Some(until),
            (State::Backoff { until }, Process::None) => Some(until),
            _ => None,
        };
        let lease = self
            .leased_until
            .filter(|_| !self.wanted && self.state != State::Stopped);
        match (state, lease) {
            (Some(state), Some(lease)) => Some(state.min(lease)),
            (one, other) => one.or(other),
        }
    }

    /// Takes in what happened at `now` and says what to do.
    pub fn on(&mut self, event: Event, now: Instant) -> Action {
        match event {
            Event::Want(wanted) => self.wanted = wanted,
            Event::Ask => {
                self.lease(now);
                if let State::GivenUp { until } = self.state
                    && now >= until
                {
                    self.state = State::Stopped; // the failures stay: one more gives up again
                }
            }
            Event::Retry => {
                self.lease(now);
                self.failures = 0;
                if let State::Backoff { .. } | State::GivenUp { .. } = self.state {
                    self.state = State::Stopped;
                }
            }
            Event::Change => {
                self.failures = 0;
                self.state = State::Stopped;
                if self.process == Process::Running {
                    self.process = Process::Ending;
                    return Action::End;
                }
            }
            Event::Release => (self.wanted, self.leased_until) = (false, None),
            Event::Launched => {
                self.process = Process::Running;
                if !matches!(self.state, State::Starting { .. }) {
                    self.process = Process::Ending; // overtaken while it was launched
                    return Action::End;
                }
            }
            Event::Failed { reason, hopeless } => {
                self.process = Process::None;
                if let State::Starting { .. } = self.state {
                    self.fail(reason, hopeless, now);
                }
            }
            Event::Proven => {
                if let State::Starting { .. } = self.state
                    && self.process == Process::Running
                {
                    self.state = State::Ready { since: now };
                    self.reason = None;
                }
            }
            Event::Unproven(reason) => {
                if let State::Starting { .. } = self.state
                    && self.process == Process::Running
                {
                    self.fail(reason, false, now);
                    self.process = Process::Ending;
                    return Action::End;
                }
            }
            Event::Exited(reason) => {
                self.process = Process::None;
                match self.state {
                    State::Ready { since } => {
                        if now.saturating_duration_since(since) >= STABLE_AFTER {
                            self.failures = 0;
                        }
                        self.fail(reason, false, now);
                    }
                    State::Starting { .. } => self.fail(reason, false, now),
                    // We ended it, or it ended after it had been found useless: that reason is the better one.
                    State::Stopped | State::Backoff { .. } | State::GivenUp { .. } => {}
                }
            }
            Event::Time => {}
            Event::Shutdown => self.over = true,
        }
        self.settle(now)
    }

    /// Where an upstream wants it anyway nobody needs to hold it.
    fn lease(&mut self, now: Instant) {
        if !self.wanted {
            self.leased_until = Some(now + LEASE);
        }
    }

    /// What follows from where it stands now.
    fn settle(&mut self, now: Instant) -> Action {
        if self.leased_until.is_some_and(|until| now >= until) {
            self.leased_until = None;
        }
        if self.over || !(self.wanted || self.leased_until.is_some()) {
            self.state = State::Stopped;
            self.failures = 0;
            self.reason = None;
            return match self.process {
                Process::Running => {
                    self.process = Process::Ending;
                    Action::End
                }
                Process::None | Process::Launching | Process::Ending => Action::Nothing,
            };
        }
        match self.state {
            State::Starting { until } if now >= until && self.process == Process::Running => {
                let limit = START_LIMIT.as_secs();
                self.fail(format!("it was not ready after {limit} s"), false, now);
                self.process = Process::Ending;
                return Action::End;
            }
            State::Backoff { until } if now >= until && self.process == Process::None => {}
            State::Stopped if self.process == Process::None => {}
            _ => return Action::Nothing,
        }
        self.state = State::Starting {
            until: now + START_LIMIT,
        };
        self.process = Process::Launching;
        Action::Launch
    }

    fn fail(&mut self, reason: String, hopeless: bool, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.reason = Some(reason);
        self.state = if hopeless {
            State::GivenUp {
                until: now + HOPELESS_FOR,
            }
        } else if self.failures >= FAILURES_MAX {
            State::GivenUp {
                until: now + GIVEN_UP_FOR,
            }
        } else {
            State::Backoff {
                until: now + pause(self.failures),
            }
        };
    }
}

/// How long to wait after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16); // 2^16 is far beyond the longest pause
    (BACKOFF_FIRST * 2_u32.pow(doublings)).min(BACKOFF_MAX)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
