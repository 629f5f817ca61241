//! Cached content goes: what was not used for too long, and what was not used for the longest time beyond the bound.
//!
//! [`plan`] is pure; the rest acts. Content stops being a member of its repository; its bytes go with the next collection, unless
//! somebody else holds them.

use super::rows::Named;
use super::{CacheError, Shared, blocking};
use naru_oci::Digest;
use naru_store::Batch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// So many rows are changed at a time.
const STEP: usize = 256;
/// Ages are looked at at most so often while content comes (seconds).
const AGE_GRAIN: u64 = 3600;

/// What has gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Members of repositories.
    pub members: u64,
    /// Bytes that no repository of the cache holds any more; on disk they go with the next collection.
    pub bytes: u64,
    /// Bytes that the cache still holds.
    pub kept: u64,
}

/// One member of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    repository: String,
    digest: Digest,
    size: u64,
    used: u64,
}

/// Pure: which entries go, and how many bytes are left. A blob in several repositories is on disk once and was used when any of
/// them used it.
fn plan(
    entries: &[Entry],
    now: u64,
    max_size: Option<u64>,
    max_age: Option<u64>,
) -> (Vec<usize>, u64) {
    let mut blobs: BTreeMap<Digest, (u64, u64)> = BTreeMap::new();
    for entry in entries {
        let (used, size) = blobs.entry(entry.digest).or_default();
        (*used, *size) = ((*used).max(entry.used), entry.size);
    }
    let mut kept: u64 = blobs.values().map(|(_, size)| size).sum();
    let mut oldest: Vec<(u64, u64, Digest)> =
        blobs.into_iter().map(|(digest, (used, size))| (used, size, digest)).collect();
    oldest.sort_unstable_by_key(|(used, _, digest)| (*used, *digest));
    let mut gone = BTreeSet::new();
    for (used, size, digest) in oldest {
        let is_old = max_age.is_some_and(|bound| now.saturating_sub(used) > bound);
        if is_old || max_size.is_some_and(|bound| kept > bound) {
            gone.insert(digest);
            kept -= size;
        }
    }
    let is_gone = |at: &usize| entries.get(*at).is_some_and(|entry| gone.contains(&entry.digest));
    ((0..entries.len()).filter(is_gone).collect(), kept)
}

impl Shared {
    /// Notes that so much more is kept; beyond the bounds, lets content go.
    pub(super) fn grown(self: &Arc<Self>, size: u64) {
        let kept = self.kept.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        let is_known = self.is_counted.load(Ordering::Relaxed);
        let now = self.now();
        let is_over = self.max_size.is_some_and(|bound| !is_known || kept > bound);
        let looked = self.expired_at.load(Ordering::Relaxed);
        let is_due = self.max_age.is_some() && now.abs_diff(looked) >= AGE_GRAIN;
        if !is_over && !is_due {
            return;
        }
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            match shared.expire().await {
                Ok(expired) if expired.members > 0 => {
                    tracing::info!(
                        members = expired.members,
                        bytes = expired.bytes,
                        kept = expired.kept,
                        "cached content has expired"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "cannot let cached content expire"),
            }
        });
    }

    pub(super) async fn expire(self: &Arc<Self>) -> Result<Expired, CacheError> {
        let _turn = self.expiring.lock().await;
        let shared = Arc::clone(self);
        blocking(move || shared.expire_now()).await
    }

    fn expire_now(&self) -> Result<Expired, CacheError> {
        let now = self.now();
        self.expired_at.store(now, Ordering::Relaxed);
        let mut entries = Vec::new();
        for (repository, digest, row) in self.rows.list()? {
            let Named { size, used } = row;
            if self.store.repositories.is_member(&repository, &digest) {
                entries.push(Entry { repository, digest, size, used });
            } else if self.max_age.is_some_and(|bound| now.saturating_sub(used) > bound) {
                // Named, but never asked for.
                let mut batch = Batch::new();
                self.rows.forget_named(&mut batch, &repository, &digest);
                self.store.commit_volatile(batch)?;
            }
        }
        let before: u64 = plan(&entries, now, None, None).1;
        let (gone, kept) = plan(&entries, now, self.max_size, self.max_age);
        self.kept.store(kept, Ordering::Relaxed);
        self.is_counted.store(true, Ordering::Relaxed);
        let mut expired = Expired { members: 0, bytes: before - kept, kept };
        for step in gone.chunks(STEP) {
            let mut batch = Batch::new();
            for entry in step.iter().filter_map(|at| entries.get(*at)) {
                self.forget(&mut batch, entry)?;
                expired.members += 1;
            }
            self.store.commit_volatile(batch)?;
        }
        Ok(expired)
    }

    fn forget(&self, batch: &mut Batch, entry: &Entry) -> Result<(), CacheError> {
        let Entry { repository, digest, .. } = entry;
        for (tag, _) in self.store.repositories.tags_to(repository, digest)? {
            self.rows.forget_tag(batch, repository, &tag);
        }
        if let Some(member) = self.store.repositories.member(repository, digest)? {
            batch.remove_member(repository, digest, &member);
        }
        self.rows.forget_named(batch, repository, digest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(repository: &str, name: u8, size: u64, used: u64) -> Entry {
        Entry { repository: repository.to_owned(), digest: Digest::of(&[name]), size, used }
    }

    #[test]
    fn the_least_used_goes_first_and_shared_blobs_count_once() {
        let entries = [
            entry("a", 1, 10, 100),
            entry("b", 1, 10, 400),
            entry("a", 2, 20, 200),
            entry("a", 3, 30, 300),
        ];
        for (max_size, max_age, gone, kept) in [
            (None, None, vec![], 60),
            (Some(60), None, vec![], 60),
            (Some(59), None, vec![2], 40),
            (Some(39), None, vec![2, 3], 10),
            (Some(0), None, vec![0, 1, 2, 3], 0),
            (None, Some(250), vec![2], 40),
            (Some(10), Some(1000), vec![2, 3], 10),
        ] {
            assert_eq!(
                plan(&entries, 500, max_size, max_age),
                (gone, kept),
                "{max_size:?} {max_age:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_within_the_bounds(rows in proptest::collection::vec((0u8..8, 0u64..100), 0..30), bound in 0u64..400) {
            let entries: Vec<Entry> =
                rows.iter().map(|(name, used)| entry("a", *name, u64::from(*name) * 10, *used)).collect();
            let (gone, kept) = plan(&entries, 100, Some(bound), None);
            prop_assert!(kept <= bound);
            let left: BTreeMap<Digest, u64> = entries.iter().enumerate()
                .filter(|(at, _)| !gone.contains(at)).map(|(_, e)| (e.digest, e.size)).collect();
            prop_assert_eq!(left.values().sum::<u64>(), kept);
        }
    }
}
