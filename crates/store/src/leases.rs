//! Leases keep unreferenced things from the collector while somebody works on them.
//!
//! Acts. A lease lives in memory and ends when it is dropped; with the process it ends anyway, because whoever
//! worked under it is gone too. A *kept* lease has a row and ends only at its time or when it is released: it
//! holds what an interrupted transfer has brought, until the transfer goes on.

use crate::StoreError;
use crate::core::Core;
use crate::journal::Batch;
use crate::row::Row;
use crate::schema::{Key, table};
use naru_oci::{ChainId, Digest};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The number of a lease of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseId(pub(crate) u64);

/// A thing that a lease holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// A blob, with what it refers to.
    Blob(Digest),
    /// A committed snapshot, with its parents.
    Snapshot(ChainId),
}

impl Held {
    /// The key of its row.
    pub(crate) fn key(&self) -> Key {
        match self {
            Held::Blob(digest) => Key::blob(digest),
            Held::Snapshot(chain) => Key::snapshot(chain),
        }
    }
}

#[derive(Debug)]
struct Entry {
    holds: BTreeSet<Held>,
    expires: Instant,
    /// The row of a kept lease.
    kept: Option<(String, u64)>,
}

/// The leases of this process.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    next: u64,
    entries: BTreeMap<LeaseId, Entry>,
}

impl Registry {
    /// Everything that is held now.
    pub(crate) fn held(&self) -> BTreeSet<Held> {
        self.entries.values().flat_map(|entry| entry.holds.iter().copied()).collect()
    }

    /// Whether any lease holds a thing.
    pub(crate) fn is_held(&self, thing: Held) -> bool {
        self.entries.values().any(|entry| entry.holds.contains(&thing))
    }

    /// Whether a lease other than this one holds a thing.
    pub(crate) fn is_held_by_others(&self, lease: LeaseId, thing: Held) -> bool {
        self.entries.iter().any(|(id, entry)| *id != lease && entry.holds.contains(&thing))
    }

    /// Ends the leases whose time is over; gives the names of kept ones.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<String> {
        let mut names = Vec::new();
        self.entries.retain(|_, entry| {
            if entry.expires > now {
                return true;
            }
            names.extend(entry.kept.take().map(|(name, _)| name));
            false
        });
        names
    }
}

/// The row of a kept lease.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeaseRow {
    /// Seconds since 1970.
    pub(crate) expires: u64,
    pub(crate) holds: BTreeSet<Held>,
}

impl Row for LeaseRow {
    const VERSION: u8 = 1;
}

/// Leases.
#[derive(Debug, Clone)]
pub struct Leases {
    core: Arc<Core>,
}

/// A lease that ends when it is dropped, or after its time.
#[derive(Debug)]
pub struct Lease {
    id: LeaseId,
    core: Arc<Core>,
}

impl Leases {
    pub(crate) fn new(core: Arc<Core>) -> Leases {
        Leases { core }
    }

    /// A lease that ends when it is dropped, at the latest after `ttl`.
    pub fn create(&self, ttl: Duration) -> Lease {
        let mut registry = registry(&self.core);
        registry.next += 1;
        let id = LeaseId(registry.next);
        let expires = Instant::now() + ttl;
        registry.entries.insert(id, Entry { holds: BTreeSet::new(), expires, kept: None });
        Lease { id, core: Arc::clone(&self.core) }
    }

    /// A lease that stays across restarts: dropping it does not end it, [`Leases::release`] or its time does.
    pub fn keep(&self, name: &str, ttl: Duration) -> Result<LeaseId, StoreError> {
        let expires = crate::core::now().saturating_add(ttl.as_secs());
        let (id, row) = {
            let mut registry = registry(&self.core);
            let known = registry.entries.iter().find_map(|(id, entry)| {
                entry.kept.as_ref().is_some_and(|(kept, _)| kept == name).then_some(*id)
            });
            let id = known.unwrap_or_else(|| {
                registry.next += 1;
                LeaseId(registry.next)
            });
            let entry = registry.entries.entry(id).or_insert_with(|| Entry {
                holds: BTreeSet::new(),
                expires: Instant::now(),
                kept: None,
            });
            entry.expires = Instant::now() + ttl;
            entry.kept = Some((name.to_owned(), expires));
            (id, LeaseRow { expires, holds: entry.holds.clone() })
        };
        let mut batch = Batch::new();
        batch.put(Key::lease(name), &row);
        self.core.journal.commit(batch)?;
        Ok(id)
    }

    /// Holds a blob by a kept lease, whether it is there or will come; durable.
    pub fn hold_blob(&self, lease: &LeaseId, digest: &Digest) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        hold(&self.core, *lease, Held::Blob(*digest), &mut batch)?;
        if batch.is_empty() { Ok(()) } else { self.core.journal.commit(batch) }
    }

    /// Ends a kept lease; fine when there is none of this name.
    pub fn release(&self, name: &str) -> Result<(), StoreError> {
        registry(&self.core)
            .entries
            .retain(|_, entry| entry.kept.as_ref().is_none_or(|(kept, _)| kept != name));
        let mut batch = Batch::new();
        batch.remove(Key::lease(name));
        self.core.journal.commit(batch)
    }

    /// [`Leases::release`], which costs nothing when there is no lease of this name.
    pub fn release_if_kept(&self, name: &str) -> Result<(), StoreError> {
        if self.core.journal.contains(&Key::lease(name)) { self.release(name) } else { Ok(()) }
    }

    /// Takes up the kept leases of earlier processes; called once, at open.
    pub(crate) fn restore(&self) -> Result<(), StoreError> {
        let now = crate::core::now();
        let mut over = Batch::new();
        for (name, row) in self.core.journal.list::<LeaseRow>(table::LEASE)? {
            if row.expires <= now {
                over.remove(Key::lease(&name));
                continue;
            }
            let mut registry = registry(&self.core);
            registry.next += 1;
            let id = LeaseId(registry.next);
            let expires = Instant::now() + Duration::from_secs(row.expires - now);
            registry
                .entries
                .insert(id, Entry { holds: row.holds, expires, kept: Some((name, row.expires)) });
        }
        if over.is_empty() { Ok(()) } else { self.core.journal.commit(over) }
    }
}

impl Lease {
    /// The number by which things are held.
    pub fn id(&self) -> &LeaseId {
        &self.id
    }

    /// Holds a blob, whether it is there or will come. Hold first, then look whether it is there.
    pub fn hold_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        hold(&self.core, self.id, Held::Blob(*digest), &mut Batch::new())
    }

    /// Holds a committed snapshot and its parents, whether it is there or will come.
    pub fn hold_snapshot(&self, chain: &ChainId) -> Result<(), StoreError> {
        hold(&self.core, self.id, Held::Snapshot(*chain), &mut Batch::new())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut registry = registry(&self.core);
        if registry.entries.get(&self.id).is_some_and(|entry| entry.kept.is_none()) {
            registry.entries.remove(&self.id);
        }
    }
}

pub(crate) fn registry(core: &Core) -> MutexGuard<'_, Registry> {
    core.leases.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds a thing; a kept lease's row goes into the batch. When the collector is just removing the thing, this waits until it
/// is gone.
pub(crate) fn hold(
    core: &Core,
    lease: LeaseId,
    thing: Held,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let watch = core.journal.watch();
    {
        let mut registry = registry(core);
        let entry =
            registry.entries.get_mut(&lease).ok_or(StoreError::NoLease { lease: lease.0 })?;
        if entry.holds.insert(thing)
            && let Some((name, expires)) = &entry.kept
        {
            let row = LeaseRow { expires: *expires, holds: entry.holds.clone() };
            batch.put(Key::lease(name), &row);
        }
        watch.note([thing]);
    }
    watch.wait_for(&thing);
    Ok(())
}
