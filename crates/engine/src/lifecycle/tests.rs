//! Every state with every event, and random ways through the machine.

use super::*;
use proptest::prelude::*;

fn exit(code: i64) -> Exit {
    Exit { code, oom_killed: false, at: Timestamp(1), error: String::new() }
}

fn states() -> Vec<(&'static str, State)> {
    vec![
        ("new", State::NEW),
        ("failed", State::Created { failed: Some(exit(127)) }),
        ("starting", State::Starting { last: None, again: false }),
        ("starting again", State::Starting { last: Some(exit(1)), again: false }),
        ("running", State::Running { pid: 7 }),
        ("paused", State::Paused { pid: 7 }),
        ("restarting", State::Restarting { last: exit(1) }),
        ("exited", State::Exited { exit: exit(0) }),
        ("removing", State::Removing { last: None }),
        ("dead", State::Dead { last: None }),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("start", Event::Start),
        ("launched", Event::Launched { pid: 9 }),
        ("failed", Event::LaunchFailed { exit: exit(127) }),
        ("exit", Event::Exited { exit: exit(3), pause: None }),
        ("exit and back", Event::Exited { exit: exit(3), pause: Some(Duration::from_millis(100)) }),
        ("due", Event::RestartDue),
        ("stop", Event::Stop),
        ("pause", Event::Pause),
        ("unpause", Event::Unpause),
        ("remove", Event::Remove),
        ("left over", Event::RemoveFailed),
    ]
}

/// The arrows of the drawing; every pair that is not here is refused.
const ARROWS: [(&str, &str, Status); 22] = [
    ("new", "start", Status::Created),
    ("new", "remove", Status::Removing),
    ("failed", "start", Status::Created),
    ("failed", "remove", Status::Removing),
    ("starting", "launched", Status::Running),
    ("starting", "failed", Status::Created),
    ("starting again", "launched", Status::Running),
    ("starting again", "failed", Status::Exited),
    ("running", "exit", Status::Exited),
    ("running", "exit and back", Status::Restarting),
    ("running", "pause", Status::Paused),
    ("paused", "exit", Status::Exited),
    ("paused", "exit and back", Status::Restarting),
    ("paused", "unpause", Status::Running),
    ("restarting", "due", Status::Restarting),
    ("restarting", "stop", Status::Exited),
    ("restarting", "remove", Status::Removing),
    ("exited", "start", Status::Exited),
    ("exited", "remove", Status::Removing),
    ("removing", "remove", Status::Removing),
    ("removing", "left over", Status::Dead),
    ("dead", "remove", Status::Removing),
];

#[test]
fn every_state_answers_every_event() {
    for (state_name, state) in states() {
        for (event_name, event) in events() {
            let want = ARROWS
                .iter()
                .find(|(state, event, _)| *state == state_name && *event == event_name)
                .map(|(_, _, status)| *status);
            let got = step(&state, event).ok().map(|(state, _)| state.status());
            assert_eq!(got, want, "{state_name} × {event_name}");
        }
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    (0..events().len()).prop_map(|index| events()[index].1.clone())
}

proptest! {
    #[test]
    fn random_ways_keep_the_promises(way in prop::collection::vec(any_event(), 0..60)) {
        let mut state = State::NEW;
        let mut alive = 0_i32;
        let mut planned = false;
        for event in way {
            let was_up = state.is_up();
            let was_removing = matches!(state, State::Removing { .. });
            let launched = matches!(event, Event::Launched { .. });
            let Ok((next, effects)) = step(&state, event) else { continue };
            // Never two live processes.
            if launched {
                alive += 1;
            }
            if state.pid().is_some() && next.pid().is_none() {
                alive -= 1;
            }
            prop_assert!((0..=1).contains(&alive));
            prop_assert_eq!(alive == 1, next.pid().is_some());
            // A planned start is always taken back or due.
            if effects.contains(&Effect::ScheduleRestart) {
                planned = true;
            }
            if effects.contains(&Effect::CancelRestart) || effects.contains(&Effect::Launch) {
                planned = false;
            }
            let restarting = matches!(next, State::Restarting { .. });
            prop_assert_eq!(planned, restarting);
            // Whoever waits for the end is told when it comes.
            if was_up && !next.is_up() && !matches!(next, State::Starting { .. } | State::Removing { .. }) {
                prop_assert!(effects.contains(&Effect::WakeExit));
            }
            // Removing is final but for a failure.
            if was_removing {
                let still = matches!(next, State::Removing { .. } | State::Dead { .. });
                prop_assert!(still, "{next:?}");
            }
            state = next;
        }
    }
}
