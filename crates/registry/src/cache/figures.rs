//! Pure: what the cache counts, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one upstream's part of the cache has done since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) limited: AtomicU64,
    pub(super) lies: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// One upstream's figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// The upstream's name.
    pub upstream: String,
    /// Requests answered from the store without asking the upstream for content.
    pub hits: u64,
    /// Requests that needed content from the upstream (or waited for it with others).
    pub misses: u64,
    /// Requests answered with what may be old, because the upstream is away.
    pub stale: u64,
    /// Requests sent to the upstream.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that it refused for its rate limit.
    pub limited: u64,
    /// Answers that were not what they promised: a wrong digest or length, no manifest.
    pub lies: u64,
    /// Bytes of blobs and manifests that came.
    pub bytes: u64,
    /// Whether it failed a moment ago.
    pub is_away: bool,
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn figures(&self, upstream: &str, is_away: bool) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            upstream: upstream.to_owned(),
            hits: read(&self.hits),
            misses: read(&self.misses),
            stale: read(&self.stale),
            requests: read(&self.requests),
            failures: read(&self.failures),
            limited: read(&self.limited),
            lies: read(&self.lies),
            bytes: read(&self.bytes),
            is_away,
        }
    }
}
