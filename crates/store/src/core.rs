//! What the handles of one open store share.
//!
//! Acts: closes the store when the last handle goes: the writer finishes, then the lock is released.

use crate::content::{Publishing, Sessions};
use crate::gc::{Counters, References};
use crate::journal::Journal;
use crate::leases::Registry;
use crate::schema::Layout;
use crate::spares::Spares;
use crate::trash::Trash;
use naru_kernel::fs::Lock;
use naru_oci::Digest;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by all handles. Fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) journal: Journal,
    pub(crate) trash: Trash,
    /// After the trash, whose thread makes them.
    pub(crate) spares: Spares,
    pub(crate) leases: Mutex<Registry>,
    /// Resumable blobs that somebody is writing.
    pub(crate) partial: Mutex<BTreeSet<Digest>>,
    /// Upload sessions.
    pub(crate) sessions: Sessions,
    /// Blobs that are becoming visible now.
    pub(crate) publishing: Publishing,
    /// What manifests refer to.
    pub(crate) references: References,
    pub(crate) collections: Counters,
    pub(crate) layout: Layout,
    pub(crate) numbers: Arc<Numbers>,
    _lock: Lock,
}

/// Numbers of ingests and snapshots.
#[derive(Debug)]
pub(crate) struct Numbers {
    next: AtomicU64,
    /// Those of things that are being made, or wait for use.
    in_use: Mutex<BTreeSet<u64>>,
}

impl Numbers {
    fn in_use(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    pub(crate) fn new(
        layout: Layout,
        journal: Journal,
        trash: Trash,
        (first, sessions): (u64, Sessions),
        lock: Lock,
    ) -> Core {
        let numbers = Arc::new(Numbers { next: AtomicU64::new(first), in_use: Mutex::default() });
        Core {
            journal,
            trash,
            spares: Spares::new(&layout, &numbers),
            leases: Mutex::default(),
            partial: Mutex::default(),
            sessions,
            publishing: Publishing::default(),
            references: References::default(),
            collections: Counters::default(),
            layout,
            numbers,
            _lock: lock,
        }
    }

    /// Whether somebody is making the thing of this number.
    pub(crate) fn is_in_use(&self, number: u64) -> bool {
        self.numbers.in_use().contains(&number)
    }
}

/// A number that no ingest and no snapshot of the store has, while its thing is being made.
#[derive(Debug)]
pub(crate) struct Number {
    numbers: Arc<Numbers>,
    number: u64,
}

impl Number {
    pub(crate) fn next(numbers: &Arc<Numbers>) -> Number {
        let number = numbers.next.fetch_add(1, Ordering::Relaxed);
        numbers.in_use().insert(number);
        Number { numbers: Arc::clone(numbers), number }
    }

    pub(crate) fn get(&self) -> u64 {
        self.number
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.numbers.in_use().remove(&self.number);
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
