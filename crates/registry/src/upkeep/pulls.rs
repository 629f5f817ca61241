//! When tags were last pulled, for retention rules that ask for it. Acts: noted in memory, to the minute; written when it is asked for
//! (once an hour), and then only what changed. So a pull costs a look under a shared lock, and no write.
//!
//! A tag was pulled when its manifest was asked for by its name, with GET or HEAD: some clients ask for the head and take the rest by
//! digest. What was pulled before noting began is not known, so all tags count as pulled then.

use crate::{Done, Watch};
use naru_store::{Batch, Repositories, Store, StoreError, Table};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

/// Pulls of a tag within so many seconds are one.
const GRAIN: u64 = 60;
/// The name of the table.
const TABLE: &str = "registry-pulled";
/// The key of when noting began; no repository has this name.
const SINCE: &str = "";

type Tags = BTreeMap<String, AtomicU64>;

/// The last pulls.
#[derive(Debug)]
pub struct Pulls {
    store: Store,
    repositories: Repositories,
    table: Table<BTreeMap<String, u64>>,
    since: u64,
    known: RwLock<BTreeMap<String, Tags>>,
    /// Repositories of which something is not written yet.
    changed: Mutex<BTreeSet<String>>,
}

impl Pulls {
    /// What was noted before; noting begins `now` when it never did.
    pub fn open(store: &Store, now: u64) -> Result<Pulls, StoreError> {
        let table = store.records.table::<BTreeMap<String, u64>>(TABLE);
        let mut known: BTreeMap<String, Tags> = BTreeMap::new();
        let mut since = None;
        for (repository, tags) in table.list()? {
            if repository == SINCE {
                since = tags.get(SINCE).copied();
                continue;
            }
            let tags = tags.into_iter().map(|(tag, at)| (tag, AtomicU64::new(at))).collect();
            known.insert(repository, tags);
        }
        if since.is_none() {
            table.put(SINCE, &BTreeMap::from([(SINCE.to_owned(), now)]))?;
        }
        Ok(Pulls {
            store: store.clone(),
            repositories: store.repositories.clone(),
            table,
            since: since.unwrap_or(now),
            known: RwLock::new(known),
            changed: Mutex::default(),
        })
    }

    /// Forgets that anything was ever noted, since from now on nothing is.
    pub fn end(store: &Store) -> Result<(), StoreError> {
        let table = store.records.table::<BTreeMap<String, u64>>(TABLE);
        table.remove(SINCE).map(drop)
    }

    /// When a tag was last pulled, as far as anybody knows; what is older than the noting says nothing of pulls while nobody noted.
    pub fn last(&self, repository: &str, tag: &str) -> u64 {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let at = known.get(repository).and_then(|tags| tags.get(tag));
        at.map_or(0, |at| at.load(Ordering::Relaxed)).max(self.since)
    }

    /// A tag is pulled now.
    pub fn note(&self, repository: &str, tag: &str, now: u64) {
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = known.get(repository).and_then(|tags| tags.get(tag)) {
                if now.abs_diff(at.load(Ordering::Relaxed)) < GRAIN {
                    return;
                }
                at.store(now, Ordering::Relaxed);
                drop(known);
                self.change(repository);
                return;
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(repository.to_owned()).or_default().insert(tag.to_owned(), AtomicU64::new(now));
        drop(known);
        self.change(repository);
    }

    fn change(&self, repository: &str) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if !changed.contains(repository) {
            changed.insert(repository.to_owned());
        }
    }

    /// Writes what changed, on disk a moment later; tags that are gone are forgotten.
    pub fn write(&self) -> Result<(), StoreError> {
        let changed =
            std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
        let mut batch = Batch::new();
        for repository in &changed {
            let tags: BTreeSet<String> = self.repositories.tags(repository).into_iter().collect();
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            let Some(noted) = known.get_mut(repository) else { continue };
            noted.retain(|tag, _| tags.contains(tag));
            let row: BTreeMap<String, u64> =
                noted.iter().map(|(tag, at)| (tag.clone(), at.load(Ordering::Relaxed))).collect();
            if row.is_empty() {
                known.remove(repository);
                batch.remove_record(&self.table, repository);
            } else {
                batch.put_record(&self.table, repository, &row);
            }
        }
        let written = if batch.is_empty() { Ok(()) } else { self.store.commit_volatile(batch) };
        if written.is_err() {
            self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(changed);
        }
        written
    }
}

impl Watch for Pulls {
    fn done(&self, done: &Done) {
        let is_read = matches!(done.operation, "manifest.get" | "manifest.head");
        let is_there = matches!(done.status.as_u16(), 200 | 304);
        if let (Some(repository), Some(tag)) = (&done.repository, &done.reference)
            && is_read
            && is_there
            && !tag.contains(':')
        {
            self.note(repository, tag, super::seconds_now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::{Descriptor, Digest};
    use naru_store::Member;
    use std::time::Duration;

    fn tag(store: &Store, repository: &str, tag: &str) {
        let lease = store.leases.create(Duration::from_secs(60));
        let blob = store.content.put(lease.id(), b"{}").unwrap();
        let mut batch = Batch::new();
        batch.put_member(repository, &blob.digest, &Member::manifest("m", blob.size));
        batch.put_tag(repository, tag, &Descriptor::new("m", Digest::of(b"{}"), 2));
        store.commit(batch).unwrap();
    }

    #[test]
    fn pulls_outlive_the_process_and_tags_that_are_gone_do_not() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = Store::open(dir.path()).unwrap();
            tag(&store, "team/app", "1");
            tag(&store, "team/app", "2");
            let pulls = Pulls::open(&store, 1000).unwrap();
            assert_eq!(pulls.last("team/app", "1"), 1000, "noting began then");
            pulls.note("team/app", "1", 5000);
            pulls.note("team/app", "1", 5059);
            pulls.note("team/app", "2", 6000);
            assert_eq!((pulls.last("team/app", "1"), pulls.last("team/app", "2")), (5000, 6000));
            let mut batch = Batch::new();
            batch.remove_tag("team/app", "2");
            store.commit(batch).unwrap();
            pulls.write().unwrap();
            assert!(pulls.changed.lock().unwrap().is_empty());
        }
        let store = Store::open(dir.path()).unwrap();
        let pulls = Pulls::open(&store, 9000).unwrap();
        assert_eq!((pulls.last("team/app", "1"), pulls.last("team/app", "2")), (5000, 1000));
        drop(pulls);
        Pulls::end(&store).unwrap();
        let pulls = Pulls::open(&store, 9500).unwrap();
        assert_eq!(pulls.last("a", "b"), 9500);
        // It may have been pulled every day while nobody noted it.
        assert_eq!(pulls.last("team/app", "1"), 9500);
        pulls.note("team/app", "1", 9700);
        assert_eq!(pulls.last("team/app", "1"), 9700);
    }
}
