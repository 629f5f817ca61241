//! When the monitor gives back the memory that it needed once. Pure.

use std::time::{Duration, Instant};

/// How long nothing happens until it is worth it.
const QUIET: Duration = Duration::from_secs(1);
/// At most this often, so that a container that says a word every other second does not pay for each.
const SPACING: Duration = Duration::from_secs(8);

/// When to give back.
#[derive(Debug)]
pub(super) struct Rest {
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Rest {
    /// Starting is something that happened.
    pub(super) fn new(now: Instant) -> Rest {
        Rest { due: Some(now + QUIET), last: None }
    }

    /// When the loop has to come round. `None`: nothing has happened since the last time, so a monitor at rest has no timer.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// After a turn of the loop in which something happened or nothing did: whether to give back now.
    pub(super) fn turn(&mut self, now: Instant, happened: bool) -> bool {
        if happened {
            let earliest = self.last.map_or(now, |last| last + SPACING);
            self.due = Some(earliest.max(now + QUIET));
            return false;
        }
        let rests = self.due.is_some_and(|due| due <= now);
        if rests {
            (self.due, self.last) = (None, Some(now));
        }
        rests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_once_after_it_was_busy() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut rest = Rest::new(start);
        assert!(!rest.turn(at(500), true));
        assert_eq!(rest.due(), Some(at(1500)));
        assert!(!rest.turn(at(1400), false));
        assert!(rest.turn(at(1500), false));
        assert_eq!(rest.due(), None);
        assert!(!rest.turn(at(100_000), false));
    }

    #[test]
    fn who_speaks_now_and_then_pays_seldom() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rest = Rest::new(start);
        assert!(rest.turn(at(1), false));
        for second in 2..9 {
            assert!(!rest.turn(at(second), true));
            assert_eq!(rest.due(), Some(at(9).max(at(second + 1))));
        }
        assert!(rest.turn(at(9), false));
        assert!(!rest.turn(at(30), true));
        assert_eq!(rest.due(), Some(at(31)));
    }
}
