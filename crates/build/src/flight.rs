//! Acts: one execution for a vertex, however many builds want it at the same time.
//!
//! The first who asks starts it, everybody reads the same output from its beginning, and it is cancelled when the last one
//! has gone.

use crate::event::BuildFailure;
use bytes::Bytes;
use naru_errdefs::{Fault, Kind, one_line};
use naru_store::{CachedStep, Lease};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How much of what a vertex writes is kept for those who read slowly.
const KEPT: usize = 8 << 20;

/// What a vertex made, with the lease that holds it until others do.
#[derive(Debug, Clone)]
pub(crate) struct Landed {
    pub(crate) step: CachedStep,
    pub(crate) lease: Arc<Lease>,
}

/// A failure that several are told of.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    kind: Kind,
    message: String,
    hint: Option<String>,
    code: Option<i64>,
}

impl From<BuildFailure> for Shared {
    fn from(failure: BuildFailure) -> Shared {
        Shared {
            kind: failure.fault.kind(),
            message: one_line(&failure.fault),
            hint: failure.fault.hint().map(str::to_owned),
            code: failure.code,
        }
    }
}

impl From<Shared> for BuildFailure {
    fn from(shared: Shared) -> BuildFailure {
        let fault = Fault::new(shared.kind, shared.message);
        let fault = match shared.hint {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        };
        BuildFailure { fault, code: shared.code }
    }
}

/// What a vertex writes while it is made.
#[derive(Debug)]
pub(crate) struct Log {
    lines: Mutex<Lines>,
    /// Counts pieces; changes with each.
    told: watch::Sender<u64>,
    /// Whether nobody wants the result any more.
    pub(crate) cancelled: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Lines {
    pieces: VecDeque<(bool, Bytes)>,
    bytes: usize,
    /// How many pieces were dropped from the front.
    dropped: u64,
}

impl Log {
    fn new() -> Log {
        Log { lines: Mutex::default(), told: watch::Sender::new(0), cancelled: Arc::default() }
    }

    /// Adds what was written.
    pub(crate) fn write(&self, stderr: bool, bytes: Bytes) {
        {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.bytes += bytes.len();
            lines.pieces.push_back((stderr, bytes));
            while lines.bytes > KEPT {
                let Some((_, old)) = lines.pieces.pop_front() else { break };
                lines.bytes -= old.len();
                lines.dropped += 1;
            }
        }
        self.told.send_modify(|count| *count += 1);
    }

    /// What there is from a place on; the place moves.
    fn read(&self, at: &mut u64) -> Vec<(bool, Bytes)> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        if *at < lines.dropped {
            found.push((
                true,
                Bytes::from_static(b"[output clipped: it came faster than it was read]\n"),
            ));
            *at = lines.dropped;
        }
        let skip = usize::try_from(*at - lines.dropped).unwrap_or(usize::MAX);
        found.extend(lines.pieces.iter().skip(skip).cloned());
        *at = lines.dropped + lines.pieces.len() as u64;
        found
    }
}

type Outcome = Option<Result<Landed, Shared>>;

/// A vertex that is being made.
#[derive(Debug)]
struct Flight {
    log: Arc<Log>,
    outcome: watch::Receiver<Outcome>,
    task: AbortHandle,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.log.cancelled.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

/// The vertices that are being made now, by their keys.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<BTreeMap<String, Weak<Flight>>>);

impl Flights {
    /// Makes a vertex, or waits for whoever makes it already. `tell` gets what it writes.
    pub(crate) async fn join<W, F, T, G>(
        &self,
        key: &str,
        work: W,
        mut tell: T,
    ) -> Result<Landed, BuildFailure>
    where
        W: FnOnce(Arc<Log>) -> F,
        F: Future<Output = Result<Landed, BuildFailure>> + Send + 'static,
        T: FnMut(bool, Bytes) -> G,
        G: Future<Output = ()>,
    {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, flight| flight.strong_count() > 0);
            match flights.get(key).and_then(Weak::upgrade) {
                Some(flight) => flight,
                None => {
                    let flight = Arc::new(start(work));
                    flights.insert(key.to_owned(), Arc::downgrade(&flight));
                    flight
                }
            }
        };
        let mut outcome = flight.outcome.clone();
        let mut told = flight.log.told.subscribe();
        let mut at = 0;
        loop {
            let done = outcome.borrow_and_update().clone();
            told.mark_unchanged();
            for (stderr, bytes) in flight.log.read(&mut at) {
                tell(stderr, bytes).await;
            }
            if let Some(done) = done {
                return done.map_err(BuildFailure::from);
            }
            tokio::select! {
                changed = outcome.changed() => {
                    if changed.is_err() && outcome.borrow().is_none() {
                        return Err(Fault::internal("a step of a build was lost").into());
                    }
                }
                // The log lives as long as the flight.
                _ = told.changed() => {}
            }
        }
    }
}

fn start<W, F>(work: W) -> Flight
where
    W: FnOnce(Arc<Log>) -> F,
    F: Future<Output = Result<Landed, BuildFailure>> + Send + 'static,
{
    let log = Arc::new(Log::new());
    let (sender, outcome) = watch::channel(None);
    let future = work(Arc::clone(&log));
    let task = tokio::spawn(async move {
        let done = future.await.map_err(Shared::from);
        sender.send_replace(Some(done));
    });
    Flight { log, outcome, task: task.abort_handle() }
}
