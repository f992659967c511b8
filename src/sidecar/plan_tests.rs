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
                Process::Ending => events.extend([Event::Exited("ended".into()), Event::Proven]),
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
