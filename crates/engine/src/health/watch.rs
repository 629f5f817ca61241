//! Acts: the checks of all containers in one queue, and one task that starts those that are due, few at a time.

use super::{Rules, probe};
use crate::container::{Container, Seat};
use crate::lifecycle::State;
use crate::model::{HealthStatus, Timestamp};
use crate::supervisor::Supervisor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

/// How many checks may begin at once, whatever the number of containers. One that takes long makes room meanwhile.
const SIDE_BY_SIDE: usize = 16;

/// Why a container is watched from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It was started: nothing is known of it.
    Started,
    /// It goes on after a pause: what was found before stays until something else is found.
    Again,
    /// It was started by a daemon before. Such ones come many at a time, so their first checks are spread.
    TakenOver,
}

/// The checks that are due, in the order in which they are.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    due: Mutex<Due>,
    /// A check comes first now that is due earlier than the one before.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Due {
    /// Counts watches, so that what an old one finds is told apart.
    last: u64,
    list: BTreeMap<(Instant, u64), Weak<Container>>,
}

impl Queue {
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, at: Instant, watch: u64, container: &Arc<Container>) {
        let mut due = self.due();
        due.list.insert((at, watch), Arc::downgrade(container));
        if due.list.first_key_value().is_some_and(|(first, _)| *first == (at, watch)) {
            self.changed.notify_one();
        }
    }

    fn first(&self) -> Option<Instant> {
        self.due().list.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next check, if it is due.
    fn take(&self) -> Option<(u64, Weak<Container>)> {
        let mut due = self.due();
        let entry = due.list.first_entry().filter(|entry| entry.key().0 <= Instant::now())?;
        let ((_, watch), container) = entry.remove_entry();
        Some((watch, container))
    }
}

/// Starts the checks that are due as long as there is a supervisor. It sleeps while there are none.
pub(crate) async fn run(queue: Arc<Queue>, me: Weak<Supervisor>) {
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    loop {
        match queue.first() {
            None => queue.changed.notified().await,
            Some(at) => {
                // Whichever comes first.
                tokio::time::timeout_at(at, queue.changed.notified()).await.ok();
            }
        }
        let Some(me) = me.upgrade() else { return };
        while let Some((watch, container)) = queue.take() {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Some(container) = container.upgrade() else { continue };
            me.runtime.spawn(probe::check(Arc::clone(&me), container, watch, place));
        }
    }
}

impl Supervisor {
    /// Begins to check how well a container is, if it asks for that.
    pub(crate) fn watch_over(&self, container: &Arc<Container>, seat: &mut Seat, begin: Begin) {
        if Rules::of(&seat.record.config).is_none() {
            return;
        }
        let health = seat.health.get_or_insert_default();
        if begin != Begin::Again {
            health.view.status = HealthStatus::Starting;
            health.view.failing_streak = 0;
        }
        // One that was found paused is checked when it goes on.
        if matches!(seat.record.state, State::Running { .. }) {
            let watch = {
                let mut due = self.checks.due();
                due.last += 1;
                due.last
            };
            health.watch = watch;
            self.plan_check(container, seat, begin);
        }
    }

    /// Puts the next check of a container that is watched into the queue.
    pub(super) fn plan_check(&self, container: &Arc<Container>, seat: &mut Seat, begin: Begin) {
        let Seat { record, health: Some(health), .. } = seat else { return };
        let Some(rules) = Rules::of(&record.config) else { return };
        let lasted = record.started_at.map_or(Duration::MAX, |at| Timestamp::now().since(at));
        let mut pause = rules.pause(health.view.status, lasted);
        if begin == Begin::TakenOver {
            pause = pause.mul_f64(part(&record.id));
        }
        let at = Instant::now() + pause;
        health.due = Some(at);
        self.checks.add(at, health.watch, container);
    }

    /// Nobody checks any more how well a container is: it is not well, as in Docker. A check that runs ends.
    pub(crate) fn look_away(&self, seat: &mut Seat) {
        for exec in seat.execs.values().filter(|exec| exec.probe) {
            // One that has not begun is killed when it does.
            self.launcher.kill_group(&exec.key()).ok();
        }
        let Some(health) = seat.health.as_mut().filter(|health| health.watch != 0) else { return };
        if let Some(at) = health.due.take() {
            self.checks.due().list.remove(&(at, health.watch));
        }
        health.watch = 0;
        health.running = None;
        health.view.status = HealthStatus::Unhealthy;
    }
}

/// A number from 0 to 1 that differs from container to container.
fn part(id: &str) -> f64 {
    let digits = id.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    f64::from(digits.unwrap_or(u16::MAX)) / f64::from(u16::MAX)
}
