//! What the cache knows of its content beyond the store's own rows of repositories.
//!
//! Acts, without waiting for the disk: what a power cut takes of it is asked for once more.

use naru_oci::Digest;
use naru_store::{Batch, Store, StoreError, Table};
use serde::{Deserialize, Serialize};

/// Uses are noted at most so often (seconds), so that a hit costs no write.
const USE_GRAIN: u64 = 3600;

/// When a tag was fetched and checked. What it means is the tag's own row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checked {
    /// When the upstream last said what the tag means, in seconds since 1970.
    pub(super) checked: u64,
    /// When it began to mean that here.
    pub(super) fetched: u64,
}

/// Content that a manifest of a repository names, or that is a member of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// Its length in bytes.
    pub(super) size: u64,
    /// When it was last asked for, in seconds since 1970.
    pub(super) used: u64,
}

/// The cache's tables.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    store: Store,
    checked: Table<Checked>,
    named: Table<Named>,
}

impl Rows {
    pub(super) fn new(store: &Store) -> Rows {
        Rows {
            store: store.clone(),
            checked: store.records.table("cache-tags"),
            named: store.records.table("cache-content"),
        }
    }

    pub(super) fn checked(&self, repository: &str, tag: &str) -> Option<Checked> {
        self.checked.get(&format!("{repository}:{tag}")).ok().flatten()
    }

    /// Notes that a tag means what its row says.
    pub(super) fn note_check(&self, batch: &mut Batch, repository: &str, tag: &str, now: u64) {
        let fetched = self.checked(repository, tag).map_or(now, |row| row.fetched);
        let row = Checked { checked: now, fetched };
        batch.put_record(&self.checked, &format!("{repository}:{tag}"), &row);
    }

    /// Notes that a tag means something else from now on.
    pub(super) fn note_fetch(&self, batch: &mut Batch, repository: &str, tag: &str, now: u64) {
        let row = Checked { checked: now, fetched: now };
        batch.put_record(&self.checked, &format!("{repository}:{tag}"), &row);
    }

    pub(super) fn forget_tag(&self, batch: &mut Batch, repository: &str, tag: &str) {
        batch.remove_tag(repository, tag);
        batch.remove_record(&self.checked, &format!("{repository}:{tag}"));
    }

    pub(super) fn named(&self, repository: &str, digest: &Digest) -> Option<Named> {
        self.named.get(&format!("{repository}@{digest}")).ok().flatten()
    }

    /// Notes that a repository names content of this length, unless it does already.
    pub(super) fn name(&self, batch: &mut Batch, repository: &str, digest: &Digest, named: &Named) {
        batch.put_record(&self.named, &format!("{repository}@{digest}"), named);
    }

    pub(super) fn forget_named(&self, batch: &mut Batch, repository: &str, digest: &Digest) {
        batch.remove_record(&self.named, &format!("{repository}@{digest}"));
    }

    /// Notes a use, now and then.
    pub(super) fn touch(&self, repository: &str, digest: &Digest, size: u64, now: u64) {
        let known = self.named(repository, digest);
        if known.is_some_and(|row| now.saturating_sub(row.used) < USE_GRAIN && row.used <= now) {
            return;
        }
        let (rows, key) = (self.clone(), format!("{repository}@{digest}"));
        // A durable change of the same row may be on its way; then this waits for it.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = rows.named.put_volatile(&key, &Named { size, used: now }) {
                tracing::warn!(%error, key, "cannot note a use of cached content");
            }
        });
    }

    /// All content: repository, digest, what is known of it.
    pub(super) fn list(&self) -> Result<Vec<(String, Digest, Named)>, StoreError> {
        let parts = |(key, row): (String, Named)| {
            let (repository, digest) = key.split_once('@')?;
            Some((repository.to_owned(), digest.parse().ok()?, row))
        };
        Ok(self.named.list()?.into_iter().filter_map(parts).collect())
    }

    /// Makes changes whose loss is harmless, off the async threads.
    pub(super) async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.commit_volatile(batch))
            .await
            .unwrap_or(Err(StoreError::Closed))
    }
}
