//! Pure: whether a container that exited is started again, and after how long. Docker's rules and figures.

use crate::model::{RestartName, RestartPolicy};
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run this long was a good one: the pause starts from the beginning.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// What is known about the run that ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// How it ended.
    pub(crate) exit_code: i64,
    /// How long it took.
    pub(crate) lasted: Duration,
    /// Whether somebody asked for the end.
    pub(crate) stopped_by_hand: bool,
}

/// The pauses of one container, from start by hand to start by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    pause: Option<Duration>,
    restarts: u32,
}

impl Backoff {
    /// The pause before the next start, or `None` when it stays down.
    pub(crate) fn after(&mut self, policy: &RestartPolicy, run: Run) -> Option<Duration> {
        if run.stopped_by_hand {
            return None;
        }
        let again = match policy.name {
            RestartName::No => false,
            RestartName::Always | RestartName::UnlessStopped => true,
            RestartName::OnFailure => {
                run.exit_code != 0
                    && (policy.maximum_retry_count == 0
                        || self.restarts < policy.maximum_retry_count)
            }
        };
        if !again {
            return None;
        }
        let pause = match self.pause {
            Some(pause) if run.lasted < GOOD_RUN => (pause * 2).min(LONGEST_PAUSE),
            Some(_) | None => FIRST_PAUSE,
        };
        self.pause = Some(pause);
        self.restarts += 1;
        Some(pause)
    }
}

/// Whether a container is started when the daemon starts and finds it down.
pub(crate) fn at_daemon_start(
    policy: &RestartPolicy,
    exit_code: i64,
    stopped_by_hand: bool,
) -> bool {
    match policy.name {
        RestartName::No => false,
        RestartName::Always => true,
        RestartName::UnlessStopped => !stopped_by_hand,
        RestartName::OnFailure => exit_code != 0 && !stopped_by_hand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(name: RestartName, most: u32, runs: &[(i64, u64)]) -> Vec<Option<u64>> {
        let policy = RestartPolicy { name, maximum_retry_count: most };
        let mut backoff = Backoff::default();
        runs.iter()
            .map(|&(exit_code, seconds)| {
                let lasted = Duration::from_secs(seconds);
                backoff
                    .after(&policy, Run { exit_code, lasted, stopped_by_hand: false })
                    .map(|pause| u64::try_from(pause.as_millis()).unwrap())
            })
            .collect()
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_a_good_run_resets_them() {
        let runs: Vec<(i64, u64)> = (0..12).map(|_| (1, 0)).chain([(0, 10), (0, 0)]).collect();
        let shown: Vec<u64> =
            pauses(RestartName::Always, 0, &runs).into_iter().map(Option::unwrap).collect();
        assert_eq!(
            shown,
            [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 100, 200]
        );
    }

    #[test]
    fn on_failure_gives_up_after_the_maximum_and_after_a_success() {
        assert_eq!(
            pauses(RestartName::OnFailure, 2, &[(1, 0), (1, 0), (1, 0)]),
            [Some(100), Some(200), None]
        );
        assert_eq!(pauses(RestartName::OnFailure, 0, &[(0, 0)]), [None]);
        assert_eq!(pauses(RestartName::No, 0, &[(1, 0)]), [None]);
    }

    #[test]
    fn who_was_stopped_by_hand_stays_down() {
        for name in [RestartName::Always, RestartName::UnlessStopped, RestartName::OnFailure] {
            let policy = RestartPolicy { name, maximum_retry_count: 0 };
            let run = Run { exit_code: 137, lasted: Duration::ZERO, stopped_by_hand: true };
            assert_eq!(Backoff::default().after(&policy, run), None);
            assert_eq!(
                at_daemon_start(&policy, 137, true),
                name == RestartName::Always,
                "{name:?}"
            );
        }
    }
}
