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
mod tests {
    use super::*;
    use crate::wire::dice::Dice;

    const MS: Duration = Duration::from_millis(1);

    fn failed(reason: &str) -> Event {
        Event::Failed {
            reason: reason.to_owned(),
            hopeless: false,
        }
    }

    /// A plan whose process is ready at `now`.
    fn ready(now: Instant) -> Plan {
        let mut plan = Plan::new();
        assert_eq!(plan.on(Event::Want(true), now), Action::Launch);
        assert_eq!(plan.on(Event::Launched, now), Action::Nothing);
        assert_eq!(plan.on(Event::Proven, now), Action::Nothing);
        assert_eq!(plan.state(), State::Ready { since: now });
        plan
    }

    #[test]
    fn nothing_starts_until_it_is_wanted() {
        let now = Instant::now();
        let mut plan = Plan::new();
        for event in [Event::Time, Event::Change, Event::Want(false)] {
            assert_eq!(plan.on(event, now), Action::Nothing);
        }
        assert_eq!((plan.state(), plan.wake_at()), (State::Stopped, None));
        assert_eq!(plan.on(Event::Want(true), now), Action::Launch);
        assert_eq!(plan.on(Event::Want(true), now), Action::Nothing);
    }

    #[test]
    fn the_pauses_grow_to_their_bound_and_the_sixth_failure_gives_up_with_its_reason() {
        let mut now = Instant::now();
        let mut plan = Plan::new();
        assert_eq!(plan.on(Event::Want(true), now), Action::Launch);
        let mut pauses = Vec::new();
        for n in 1..FAILURES_MAX {
            assert_eq!(plan.on(failed(&format!("no {n}")), now), Action::Nothing);
            let State::Backoff { until } = plan.state() else {
                panic!("{:?}", plan.state());
            };
            assert_eq!(plan.wake_at(), Some(until));
            assert_eq!(plan.on(Event::Time, until - MS), Action::Nothing);
            pauses.push((until - now).as_millis());
            now = until;
            assert_eq!(plan.on(Event::Time, now), Action::Launch);
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000]);
        assert_eq!(plan.on(failed("the last"), now), Action::Nothing);
        let until = now + GIVEN_UP_FOR;
        assert_eq!(plan.state(), State::GivenUp { until });
        assert_eq!(plan.reason(), Some("the last"));
        assert_eq!(pause(40), BACKOFF_MAX);
    }

    #[test]
    fn after_giving_up_only_a_late_ask_or_the_user_tries_again() {
        let now = Instant::now();
        let mut plan = Plan::new();
        plan.on(Event::Want(true), now);
        for _ in 1..FAILURES_MAX {
            plan.on(failed("no"), now);
            plan.on(Event::Time, now + BACKOFF_MAX);
        }
        plan.on(failed("no"), now);
        let State::GivenUp { until } = plan.state() else {
            panic!("{:?}", plan.state());
        };
        assert_eq!(plan.on(Event::Time, until + MS), Action::Nothing);
        assert_eq!(plan.on(Event::Want(true), until + MS), Action::Nothing);
        assert_eq!(plan.on(Event::Ask, until - MS), Action::Nothing);

        let mut late = plan.clone();
        assert_eq!(late.on(Event::Ask, until), Action::Launch);
        assert_eq!(late.on(failed("again"), until), Action::Nothing);
        assert!(matches!(late.state(), State::GivenUp { .. }), "one try");

        assert_eq!(plan.on(Event::Retry, now), Action::Launch);
        plan.on(failed("again"), now);
        assert!(matches!(plan.state(), State::Backoff { .. }), "a fresh row");
    }

    #[test]
    fn a_missing_program_gives_up_at_once_and_is_looked_for_again_when_asked() {
        let now = Instant::now();
        let mut plan = Plan::new();
        plan.on(Event::Want(true), now);
        let missing = Event::Failed {
            reason: "no such program".to_owned(),
            hopeless: true,
        };
        assert_eq!(plan.on(missing, now), Action::Nothing);
        let until = now + HOPELESS_FOR;
        assert_eq!(plan.state(), State::GivenUp { until });
        assert_eq!(plan.on(Event::Ask, until), Action::Launch);
    }

    #[test]
    fn a_crash_after_a_long_time_is_the_first_of_a_new_row() {
        let start = Instant::now();
        let mut plan = ready(start);
        plan.failures = 4;
        let mut quick = plan.clone();
        let soon = start + STABLE_AFTER - MS;
        quick.on(Event::Exited("crashed".into()), soon);
        assert_eq!(quick.failures(), 5);
        let late = start + STABLE_AFTER;
        assert_eq!(
            plan.on(Event::Exited("crashed".into()), late),
            Action::Nothing
        );
        assert_eq!(plan.failures(), 1);
        assert_eq!(plan.reason(), Some("crashed"));
        assert_eq!(plan.wake_at(), Some(late + BACKOFF_FIRST));
    }

    #[test]
    fn a_start_that_proves_nothing_is_ended_and_its_end_is_not_a_second_failure() {
        let now = Instant::now();
        let mut plan = Plan::new();
        plan.on(Event::Want(true), now);
        plan.on(Event::Launched, now);
        assert_eq!(plan.wake_at(), Some(now + START_LIMIT));
        let late = now + START_LIMIT;
        assert_eq!(plan.on(Event::Time, late - MS), Action::Nothing);
        assert_eq!(plan.on(Event::Time, late), Action::End);
        assert_eq!(plan.reason(), Some("it was not ready after 30 s"));
        // While it is ending nothing is started, though the pause is over.
        let over = late + BACKOFF_FIRST;
        assert_eq!(plan.on(Event::Time, over), Action::Nothing);
        assert_eq!(plan.on(Event::Exited("ended".into()), over), Action::Launch);
        assert_eq!(plan.failures(), 1);
        assert_eq!(plan.reason(), Some("it was not ready after 30 s"));
    }

    #[test]
    fn a_useless_process_is_ended_with_the_reason_kept() {
        let now = Instant::now();
        let mut plan = Plan::new();
        plan.on(Event::Want(true), now);
        plan.on(Event::Launched, now);
        let unproven = Event::Unproven("a stranger answers".into());
        assert_eq!(plan.on(unproven, now), Action::End);
        assert_eq!(plan.reason(), Some("a stranger answers"));
        assert_eq!(plan.on(Event::Exited("ended".into()), now), Action::Nothing);
        assert_eq!(plan.on(Event::Time, now + BACKOFF_FIRST), Action::Launch);
    }

    #[test]
    fn what_is_no_longer_wanted_is_ended_unless_somebody_holds_a_lease() {
        let now = Instant::now();
        let mut wanted = ready(now);
        assert_eq!(wanted.on(Event::Ask, now), Action::Nothing);
        assert_eq!(wanted.on(Event::Want(false), now), Action::End);

        let mut plan = Plan::new();
        assert_eq!(plan.on(Event::Ask, now), Action::Launch);
        plan.on(Event::Launched, now);
        plan.on(Event::Proven, now);
        assert_eq!(plan.wake_at(), Some(now + LEASE));
        assert_eq!(plan.on(Event::Time, now + LEASE / 2), Action::Nothing);
        assert_eq!(plan.on(Event::Time, now + LEASE), Action::End);
        assert_eq!(plan.state(), State::Stopped);
        assert_eq!(plan.on(Event::Exited("0".into()), now), Action::Nothing);
        assert_eq!(plan.reason(), None, "an end we wanted is no failure");
    }

    #[test]
    fn changed_settings_end_the_process_and_start_another_after_it() {
        let now = Instant::now();
        let mut plan = ready(now);
        assert_eq!(plan.on(Event::Change, now), Action::End);
        assert_eq!(plan.on(Event::Want(true), now), Action::Nothing);
        assert_eq!(plan.on(Event::Exited("0".into()), now), Action::Launch);

        let mut launching = Plan::new();
        launching.on(Event::Want(true), now);
        assert_eq!(launching.on(Event::Change, now), Action::Nothing);
        assert_eq!(launching.on(Event::Launched, now), Action::End);
        assert_eq!(launching.on(Event::Exited("0".into()), now), Action::Launch);

        let mut failing = Plan::new();
        failing.on(Event::Want(true), now);
        failing.on(failed("no"), now);
        assert_eq!(failing.on(Event::Change, now), Action::Launch);
    }

    #[test]
    fn a_release_ends_it_whoever_holds_a_lease() {
        let now = Instant::now();
        let mut plan = Plan::new();
        plan.on(Event::Ask, now);
        plan.on(Event::Launched, now);
        assert_eq!(plan.on(Event::Release, now), Action::End);
        assert_eq!((plan.state(), plan.wake_at()), (State::Stopped, None));
    }

    #[test]
    fn nothing_starts_after_shutdown() {
        let now = Instant::now();
        let mut plan = ready(now);
        assert_eq!(plan.on(Event::Shutdown, now), Action::End);
        assert!(!plan.is_idle());
        assert_eq!(plan.on(Event::Exited("0".into()), now), Action::Nothing);
        for event in [Event::Ask, Event::Retry, Event::Want(true), Event::Time] {
            assert_eq!(plan.on(event, now + LEASE), Action::Nothing);
        }
        assert!(plan.is_idle());

        let mut launching = Plan::new();
        launching.on(Event::Want(true), now);
        assert_eq!(launching.on(Event::Shutdown, now), Action::Nothing);
        assert_eq!(launching.on(Event::Launched, now), Action::End);
    }

    /// Events in any order that a world with one process can produce: never two processes, never an end without one,
    /// and whoever waits for a start is always woken.
    #[test]
    fn no_order_of_events_breaks_the_rules() {
        for seed in 0..400 {
            let mut dice = Dice::new(seed);
            let mut now = Instant::now();
            let mut plan = Plan::new();
            let mut process = Process::None; // the world's, not the plan's
            for step in 0..300 {
                now += Duration::from_millis(dice.below(20_000) as u64);
                let mut events = vec![
                    Event::Want(true),
                    Event::Want(true),
                    Event::Want(false),
                    Event::Ask,
                    Event::Retry,
                    Event::Change,
                    Event::Release,
                    Event::Time,
                    Event::Time,
                ];
                match process {
                    Process::None => {}
                    Process::Launching => {
                        events.extend([Event::Launched, Event::Launched, failed("no")])
                    }
                    Process::Running => events.extend([
                        Event::Proven,
                        Event::Unproven("no use".into()),
                        Event::Exited("crashed".into()),
                    ]),
                    Process::Ending => {
                        events.extend([Event::Exited("ended".into()), Event::Proven])
                    }
                }
                let event = events.swap_remove(dice.below(events.len()));
                match event {
                    Event::Launched => process = Process::Running,
                    Event::Failed { .. } | Event::Exited(_) => process = Process::None,
                    _ => {}
                }
                let action = plan.on(event.clone(), now);
                let place = format!("seed {seed}, step {step}, {event:?}: {action:?}, {plan:?}");
                match action {
                    Action::Nothing => {}
                    Action::Launch => {
                        assert_eq!(process, Process::None, "{place}");
                        process = Process::Launching;
                    }
                    Action::End => {
                        assert_eq!(process, Process::Running, "{place}");
                        process = Process::Ending;
                    }
                }
                assert_eq!(plan.process, process, "{place}");
                if let (State::Starting { .. }, Process::Running)
                | (State::Backoff { .. }, Process::None) = (plan.state(), process)
                {
                    assert!(plan.wake_at().is_some(), "{place}");
                }
                assert!(plan.wake_at().is_none_or(|at| at > now), "{place}");
                if let State::Ready { .. } = plan.state() {
                    assert_eq!(process, Process::Running, "{place}");
                }
                if plan.state() == State::Stopped && process == Process::None {
                    assert!(!plan.wanted && plan.leased_until.is_none(), "{place}");
                }
            }
        }
    }
}
