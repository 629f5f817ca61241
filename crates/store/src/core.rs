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
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

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
            _lock: lock,
        }
    }

    /// A number that no ingest and no snapshot of this store has.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
