//! Acts: one container in memory: its record, who waits for it, who listens to it, what is planned for it.

use crate::exec::Exec;
use crate::health::Health;
use crate::launcher::{Key, Listener};
use crate::lifecycle::{Effect, Event, Refused, State, step};
use crate::model::{WaitCondition, WaitOutcome};
use crate::record::Record;
use crate::restart_policy::Backoff;
use naru_errdefs::Fault;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};

/// One container.
#[derive(Debug)]
pub(crate) struct Container {
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// Whoever starts, stops, removes or renames holds it: one such operation at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Whoever copies files into it while it runs holds it for reading: such a copy keeps the run's mounts, and two
    /// mounts must not write to one root, so the next start waits.
    pub(crate) copies: tokio::sync::RwLock<()>,
    /// Tells runs apart, and says whether one is on. Changes while the seat is held.
    pub(crate) phase: watch::Sender<Phase>,
    /// Whoever writes its record holds it, so that the newest is written last.
    pub(crate) saving: Mutex<()>,
    /// Held for moments only, never across an await.
    seat: Mutex<Seat>,
}

/// Which run it is, and whether it is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Phase {
    /// Counts runs since the daemon started.
    pub(crate) run: u64,
    /// Whether its process lives.
    pub(crate) up: bool,
    /// Whether the container was removed: there will be no more runs.
    pub(crate) gone: bool,
}

/// What changes about a container.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What is stored of it, as it is now.
    pub(crate) record: Record,
    /// The pauses of its restart policy.
    pub(crate) backoff: Backoff,
    /// Who waits for its end or its removal.
    pub(crate) waiters: Vec<Waiter>,
    /// Who started it and wants to know how that went.
    pub(crate) starter: Option<oneshot::Sender<Result<(), Fault>>>,
    /// The planned start of its restart policy.
    pub(crate) planned: Option<AbortHandle>,
    /// Whether it stays although it would go when it ends: it is being stopped only to be started again.
    pub(crate) kept: bool,
    /// Who attached before it was started.
    pub(crate) listeners: Vec<Listener>,
    /// What is given back after a run. The next start and the removal wait for it.
    pub(crate) cleanup: Option<JoinHandle<()>>,
    /// Further processes.
    pub(crate) execs: BTreeMap<String, Arc<Exec>>,
    /// How well it is, if that was ever asked since the daemon started.
    pub(crate) health: Option<Box<Health>>,
}

/// Somebody who waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// For what.
    pub(crate) condition: WaitCondition,
    /// Where the answer goes.
    pub(crate) sender: oneshot::Sender<WaitOutcome>,
}

impl Container {
    /// A container with this record, with nothing running.
    pub(crate) fn new(record: Record) -> Container {
        Container {
            id: record.id.clone(),
            turn: tokio::sync::Mutex::default(),
            copies: tokio::sync::RwLock::default(),
            phase: watch::Sender::new(Phase::default()),
            saving: Mutex::default(),
            seat: Mutex::new(Seat {
                record,
                backoff: Backoff::default(),
                waiters: Vec::new(),
                starter: None,
                planned: None,
                kept: false,
                listeners: Vec::new(),
                cleanup: None,
                execs: BTreeMap::new(),
                health: None,
            }),
        }
    }

    /// Looks at it, or changes it, for a moment.
    pub(crate) fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of its process.
    pub(crate) fn key(&self) -> Key {
        Key { container: self.id.clone(), exec: None }
    }

    /// Waits until what the last run left is given back.
    pub(crate) async fn settled(&self) {
        let cleanup = self.seat().cleanup.take();
        if let Some(cleanup) = cleanup {
            // It reports its own failures.
            cleanup.await.ok();
        }
    }
}

impl Seat {
    /// Makes a move; the answer is what must be done now.
    pub(crate) fn step(&mut self, event: Event) -> Result<&'static [Effect], Refused> {
        let (state, effects) = step(&self.record.state, event)?;
        self.record.state = state;
        Ok(effects)
    }

    /// The last exit code, 0 when there was none.
    pub(crate) fn exit_code(&self) -> i64 {
        self.record.state.last_exit().map_or(0, |exit| exit.code)
    }

    /// Answers those who wait for one of these.
    pub(crate) fn wake(&mut self, conditions: &[WaitCondition]) {
        let outcome = WaitOutcome { code: self.exit_code(), error: None };
        let (told, left) = std::mem::take(&mut self.waiters)
            .into_iter()
            .partition(|waiter| conditions.contains(&waiter.condition));
        self.waiters = left;
        let told: Vec<Waiter> = told;
        for waiter in told {
            // Who has gone away does not mind.
            waiter.sender.send(outcome.clone()).ok();
        }
    }

    /// Whether its process lives or it is about to.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(self.record.state, State::Starting { .. })
    }
}
