//! One upstream as the cache asks it: bounded in time, counted, and remembered as away for a moment when it fails.
//!
//! Acts.

use super::config::UpstreamConfig;
use super::decide::Policy;
use super::figures::{Counters, Figures, count};
use super::{CacheError, Clock, Pace};
use crate::upstream::{Upstream, UpstreamBlob, UpstreamManifest};
use bytes::Bytes;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Digest, Platform};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// At most so many blobs are fetched from one upstream at a time.
const MOST_FETCHES: usize = 32;

pub(super) struct Source {
    pub(super) name: String,
    pub(super) policy: Policy,
    pub(super) platforms: Vec<Platform>,
    pub(super) counters: Counters,
    pub(super) fetches: Semaphore,
    port: Arc<dyn Upstream>,
    pace: Pace,
    clock: Clock,
    /// Until when it is taken for away, in seconds since 1970.
    away_until: AtomicU64,
    /// What it failed with.
    trouble: Mutex<Option<CacheError>>,
}

impl Source {
    pub(super) fn new(
        config: &UpstreamConfig,
        port: Arc<dyn Upstream>,
        pace: Pace,
        clock: &Clock,
    ) -> Source {
        Source {
            name: config.name.clone(),
            policy: Policy {
                ttl: config.ttl,
                negative_ttl: config.negative_ttl,
                max_stale: config.serve_stale.then_some(config.max_stale),
            },
            platforms: config.platforms.clone(),
            counters: Counters::default(),
            fetches: Semaphore::new(MOST_FETCHES),
            port,
            pace,
            clock: Arc::clone(clock),
            away_until: AtomicU64::new(0),
            trouble: Mutex::default(),
        }
    }

    pub(super) fn is_away(&self) -> bool {
        (self.clock)() < self.away_until.load(Ordering::Relaxed)
    }

    pub(super) fn figures(&self) -> Figures {
        self.counters.figures(&self.name, self.is_away())
    }

    pub(super) async fn manifest(
        &self,
        remote: &str,
        reference: &str,
        head: bool,
    ) -> Result<UpstreamManifest, CacheError> {
        let manifest = self.ask(self.port.manifest(remote, reference, head)).await?;
        let length = manifest.bytes.as_ref().map_or(0, Bytes::len);
        self.counters.bytes.fetch_add(u64::try_from(length).unwrap_or(0), Ordering::Relaxed);
        Ok(manifest)
    }

    pub(super) async fn blob(
        &self,
        remote: &str,
        digest: &Digest,
        offset: u64,
    ) -> Result<UpstreamBlob, CacheError> {
        self.ask(self.port.blob(remote, digest, offset)).await
    }

    pub(super) async fn tags(&self, remote: &str) -> Result<Vec<String>, CacheError> {
        self.ask(self.port.tags(remote)).await
    }

    /// Asks within the bound, unless the upstream wants no requests now.
    async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, CacheError> {
        if let Some(error) = self.pause() {
            return Err(error);
        }
        count(&self.counters.requests);
        match tokio::time::timeout(self.pace.open, answer).await {
            Ok(Ok(answer)) => {
                self.away_until.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(fault)) => Err(self.failed(CacheError::of_upstream(&self.name, &fault))),
            Err(_) => Err(self.failed(CacheError::new(
                Kind::Unavailable,
                format!(
                    "the upstream `{}` did not answer within {} s",
                    self.name,
                    self.pace.open.as_secs()
                ),
            ))),
        }
    }

    /// The rest of a pause that it asked for: asking on would only make it longer.
    fn pause(&self) -> Option<CacheError> {
        let now = (self.clock)();
        let rest =
            self.away_until.load(Ordering::Relaxed).checked_sub(now).filter(|rest| *rest > 0)?;
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        use naru_errdefs::Failure as _;
        (trouble.kind() == Kind::ResourceExhausted).then(|| trouble.with_retry_after(rest))
    }

    /// Notes a failure, and what it means for the next requests.
    pub(super) fn failed(&self, error: CacheError) -> CacheError {
        use naru_errdefs::Failure as _;
        let mut error = error;
        if error.kind() == Kind::NotFound {
            return error;
        }
        count(&self.counters.failures);
        if error.kind() == Kind::ResourceExhausted {
            count(&self.counters.limited);
            let seconds = error.retry_after().unwrap_or(self.pace.limited.as_secs()).max(1);
            error = error.with_retry_after(seconds);
        }
        if error.is_passing() {
            let pause = error.retry_after().unwrap_or(self.pace.away.as_secs());
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            self.away_until
                .store((self.clock)().saturating_add(pause.min(3600)), Ordering::Relaxed);
        }
        error
    }

    /// Counts something that was not what it promised.
    pub(super) fn lied(&self, what: impl std::fmt::Display) -> CacheError {
        count(&self.counters.lies);
        let error = CacheError::lie(&self.name, what);
        tracing::warn!(upstream = self.name, %error, "an upstream does not keep its word");
        error
    }
}
