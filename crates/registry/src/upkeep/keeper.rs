//! The one who keeps a registry in order: once a day, and whenever somebody asks. Acts.

use super::relied::Relied;
use super::retention::Verdict;
use super::rules::RetentionRule;
use super::{Pulls, Report, Sweep, Upkeep, seconds_now};
use crate::cache::Cache;
use naru_errdefs::Fault;
use naru_store::{Store, StoreError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long what nothing names stays, unless somebody says otherwise: a client that was told that a blob is there may take its time
/// before it sends the manifest.
pub const GRACE: Duration = Duration::from_secs(24 * 3600);

/// How the registry is to be tidied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// Say only what would be done.
    pub dry_run: bool,
    /// Manifests that no tag and no index leads to go too.
    pub delete_untagged: bool,
    /// How long ago something must have been added, or told of, so that it goes.
    pub grace: Duration,
}

impl Default for How {
    fn default() -> How {
        How { dry_run: false, delete_untagged: false, grace: GRACE }
    }
}

/// What was done since the start.
#[derive(Debug, Default)]
struct Counters {
    runs: AtomicU64,
    failures: AtomicU64,
    tags: AtomicU64,
    members: AtomicU64,
    uploads: AtomicU64,
    upload_bytes: AtomicU64,
}

/// What upkeep did since the start, for figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Times that it was done, dry runs apart.
    pub runs: u64,
    /// Times that it failed.
    pub failures: u64,
    /// Tags that no rule kept.
    pub tags: u64,
    /// Members that nothing named.
    pub members: u64,
    /// Uploads that were given up.
    pub uploads: u64,
    /// Their bytes.
    pub upload_bytes: u64,
}

/// Keeps the registry of a store in order.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    retention: Vec<RetentionRule>,
    relied: Arc<Relied>,
    pulls: Option<Arc<Pulls>>,
    cache: Option<Cache>,
    turn: tokio::sync::Mutex<()>,
    counters: Counters,
}

impl Keeper {
    /// The keeper of a store, by its rules. Pulls are noted only when a rule asks for them.
    pub fn new(
        store: &Store,
        retention: Vec<RetentionRule>,
        cache: Option<Cache>,
    ) -> Result<Keeper, StoreError> {
        let pulls = if retention.iter().any(|rule| rule.keep_pulled_within.is_some()) {
            Some(Arc::new(Pulls::open(store, seconds_now())?))
        } else {
            Pulls::end(store)?;
            None
        };
        Ok(Keeper { retention, pulls, cache, ..Keeper::plain(store) })
    }

    /// A keeper without rules, for a store whose registry does not run.
    pub fn plain(store: &Store) -> Keeper {
        Keeper {
            store: store.clone(),
            retention: Vec::new(),
            relied: Arc::default(),
            pulls: None,
            cache: None,
            turn: tokio::sync::Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// Who has to be asked before a client is told that something is there.
    pub fn relied(&self) -> Arc<Relied> {
        Arc::clone(&self.relied)
    }

    /// Who has to be told of pulls.
    pub fn pulls(&self) -> Option<Arc<Pulls>> {
        self.pulls.clone()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// Tidies, once whoever does it now is done. Goes on when nobody waits for it any more.
    pub async fn tidy(self: Arc<Keeper>, how: How) -> Result<Report, Fault> {
        let turn = Arc::clone(&self);
        let _turn = turn.turn.lock().await;
        if let Some(cache) = self.cache.as_ref().filter(|_| !how.dry_run) {
            cache.expire().await.map_err(Fault::from)?;
        }
        let work = tokio::task::spawn_blocking(move || self.run(how)).await;
        work.map_err(|error| Fault::internal("the upkeep was lost").with_source(error))?
            .map_err(Fault::from)
    }

    /// [`Keeper::tidy`] without waiting for others, and without the cache. May wait for the disk.
    pub fn run(&self, how: How) -> Result<Report, StoreError> {
        let grace = how.grace.as_secs();
        let upkeep = Upkeep {
            retention: self.retention.clone(),
            sweep: Sweep {
                blobs_after: grace,
                untagged_after: how.delete_untagged.then_some(grace),
            },
            uploads_after: how.grace,
            relied: Arc::clone(&self.relied),
        };
        let pulled = |repository: &str, tag: &str| {
            self.pulls.as_ref().map(|pulls| pulls.last(repository, tag))
        };
        let now = seconds_now();
        if how.dry_run {
            return upkeep.dry_run(&self.store, now, &pulled);
        }
        let done = upkeep.run(&self.store, now, &pulled);
        self.relied.forget_before(now.saturating_sub(grace.max(GRACE.as_secs())));
        self.count(&done);
        done
    }

    /// Writes what was noted and is not on disk yet. May wait for the disk.
    pub fn write(&self) -> Result<(), StoreError> {
        self.pulls.as_ref().map_or(Ok(()), |pulls| pulls.write())
    }

    fn count(&self, done: &Result<Report, StoreError>) {
        let add = |counter: &AtomicU64, count: u64| counter.fetch_add(count, Ordering::Relaxed);
        let counters = &self.counters;
        let Ok(report) = done else {
            add(&counters.failures, 1);
            return;
        };
        add(&counters.runs, 1);
        let length = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        for repository in &report.repositories {
            add(&counters.tags, length(repository.tags.len()));
            add(&counters.members, length(repository.members.len()));
        }
        add(&counters.uploads, report.uploads.0);
        add(&counters.upload_bytes, report.uploads.1);
    }

    /// What was done since the start.
    pub fn kept(&self) -> Kept {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Kept {
            runs: read(&self.counters.runs),
            failures: read(&self.counters.failures),
            tags: read(&self.counters.tags),
            members: read(&self.counters.members),
            uploads: read(&self.counters.uploads),
            upload_bytes: read(&self.counters.upload_bytes),
        }
    }
}

impl Report {
    /// Pure: the report as whoever asked for it reads it.
    pub fn told(&self) -> Value {
        let verdict = |verdict: &Verdict| json!({ "tag": verdict.tag, "reasons": verdict.reasons });
        let repositories: Vec<Value> = self
            .repositories
            .iter()
            .map(|found| {
                json!({
                    "name": found.repository,
                    "tags": found.tags.iter().map(verdict).collect::<Vec<_>>(),
                    "members": found.members.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "busy": found.busy,
                    "unreadable": found.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
                })
            })
            .collect();
        let unreadable: Vec<String> =
            self.collected.unreadable.iter().map(ToString::to_string).collect();
        json!({
            "repositories": repositories,
            "uploads": { "count": self.uploads.0, "bytes": self.uploads.1 },
            "blobs": self.collected.blobs.len(),
            "snapshots": self.collected.snapshots.len(),
            "bytes": self.collected.bytes(),
            "unreadable": unreadable,
        })
    }
}
