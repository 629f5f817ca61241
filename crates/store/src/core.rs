//! What the handles of one open store share.
//!
//! Acts: closes the store when the last handle goes: the writer finishes, then the lock is released.

use crate::journal::Journal;
use crate::leases::Registry;
use crate::schema::Layout;
use crate::trash::Trash;
use naru_kernel::fs::Lock;
use naru_oci::Digest;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by all handles. Fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) journal: Journal,
    pub(crate) trash: Trash,
    pub(crate) leases: Mutex<Registry>,
    /// Resumable blobs that somebody is writing.
    pub(crate) partial: Mutex<BTreeSet<Digest>>,
    pub(crate) layout: Layout,
    numbers: AtomicU64,
    /// Numbers of things that are being made.
    in_use: Mutex<BTreeSet<u64>>,
    _lock: Lock,
}

impl Core {
    pub(crate) fn new(
        layout: Layout,
        journal: Journal,
        trash: Trash,
        first: u64,
        lock: Lock,
    ) -> Core {
        Core {
            journal,
            trash,
            leases: Mutex::default(),
            partial: Mutex::default(),
            layout,
            numbers: AtomicU64::new(first),
            in_use: Mutex::default(),
            _lock: lock,
        }
    }

    /// Whether somebody is making the thing of this number.
    pub(crate) fn is_in_use(&self, number: u64) -> bool {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }
}

/// A number that no ingest and no snapshot of the store has, while its thing is being made.
#[derive(Debug)]
pub(crate) struct Number {
    core: Arc<Core>,
    number: u64,
}

impl Number {
    pub(crate) fn next(core: &Arc<Core>) -> Number {
        let number = core.numbers.fetch_add(1, Ordering::Relaxed);
        core.in_use.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        Number { core: Arc::clone(core), number }
    }

    pub(crate) fn get(&self) -> u64 {
        self.number
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.core.in_use.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
