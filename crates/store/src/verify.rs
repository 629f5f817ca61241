//! Checks everything: blobs against their digests, rows against each other, unpacked layers against their blobs, and
//! the disk against the rows. With repair, what is damaged is dropped or unpacked again.
//!
//! Acts. It runs beside everything else: a lease keeps what it looks at from the collector, and what others are making
//! is left alone. How a layer is unpacked is known above; the caller brings it as [`Unpack`].

mod blobs;
mod images;
mod layers;
mod orphans;
mod tree;

use crate::core::Core;
use crate::journal::Batch;
use crate::leases::{self, Held, LeaseId};
use crate::{Lease, Leases, Store, StoreError};
use naru_oci::{ChainId, Descriptor, DiffId, Digest};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What sort of damage it is.
    pub damage: Damage,
    /// What is wrong, in words.
    pub message: String,
    /// What was done about it, or why nothing could be; absent when no repair was asked for.
    pub repair: Option<Repair>,
}

/// The sorts of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// A blob's bytes are missing or are not those of its digest.
    Blob,
    /// A record cannot be read.
    Record,
    /// An image lacks something that it cannot be run without.
    Image,
    /// An image lacks something that it can be run without, but not saved.
    Incomplete,
    /// A name points to no image.
    Name,
    /// A layer's tree is missing, or is not what its blob unpacks to.
    Layer,
    /// A container's writable layer is missing or stands on nothing.
    Active,
    /// A file that belongs to nothing.
    Orphan,
}

/// What was done about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// It is mended, in words.
    Done(String),
    /// It could not be mended, and why.
    Failed(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.repair {
            None => Ok(()),
            Some(Repair::Done(done)) => write!(f, " ({done})"),
            Some(Repair::Failed(why)) => write!(f, " (not repaired: {why})"),
        }
    }
}

/// A layer to be unpacked.
#[derive(Debug)]
pub struct LayerSource {
    /// Its bytes.
    pub file: File,
    /// What they are.
    pub blob: Descriptor,
    /// What they must unpack to.
    pub diff_id: DiffId,
}

/// Unpacks a layer into an empty directory above the given ones (nearest first), and says how many bytes it holds.
pub type Unpack<'a> =
    &'a dyn Fn(LayerSource, &Path, &[PathBuf]) -> Result<u64, Box<dyn Error + Send + Sync>>;

/// How to verify.
pub struct Verify<'a> {
    /// Whether to mend what is damaged.
    pub repair: bool,
    /// How a layer is unpacked.
    pub unpack: Unpack<'a>,
    /// Whether the owner of an active snapshot has it mounted now; layers below it are not replaced then.
    pub is_mounted: &'a dyn Fn(&str) -> bool,
}

impl fmt::Debug for Verify<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verify").field("repair", &self.repair).finish_non_exhaustive()
    }
}

impl Store {
    /// Checks the whole store and names everything that is wrong with it.
    pub fn verify(
        &self,
        how: &Verify<'_>,
        report: &mut dyn FnMut(Finding),
    ) -> Result<(), StoreError> {
        let lease = Leases::new(Arc::clone(&self.core)).create(Duration::from_secs(24 * 3600));
        for blob in self.content.list()? {
            lease.hold_blob(&blob.digest)?;
        }
        for snapshot in self.snapshots.list()? {
            lease.hold_snapshot(&snapshot.chain)?;
        }
        let mut check = Check {
            store: self,
            lease,
            how,
            report,
            bad_blobs: BTreeSet::new(),
            bad_snapshots: BTreeSet::new(),
            sources: BTreeMap::new(),
        };
        check.records()?;
        check.blobs()?;
        check.sources()?;
        check.layers()?;
        check.images()?;
        check.actives()?;
        check.orphans()
    }
}

/// A verification under way.
struct Check<'a> {
    store: &'a Store,
    lease: Lease,
    how: &'a Verify<'a>,
    report: &'a mut dyn FnMut(Finding),
    /// Blobs whose bytes cannot be used.
    bad_blobs: BTreeSet<Digest>,
    /// Snapshots that cannot be used.
    bad_snapshots: BTreeSet<ChainId>,
    /// Which blob a snapshot was unpacked from.
    sources: BTreeMap<ChainId, Source>,
}

/// What a snapshot was unpacked from.
#[derive(Debug, Clone)]
struct Source {
    blob: Descriptor,
    diff_id: DiffId,
    parent: Option<ChainId>,
}

impl Check<'_> {
    fn core(&self) -> &Arc<Core> {
        &self.store.core
    }

    fn lease(&self) -> LeaseId {
        *self.lease.id()
    }

    /// Names a finding; when repair was asked for, repairs it by a change and says what that did.
    fn find(
        &mut self,
        damage: Damage,
        message: String,
        repair: impl FnOnce(&Store) -> Result<String, String>,
    ) {
        let repair = self.how.repair.then(|| match repair(self.store) {
            Ok(done) => Repair::Done(done),
            Err(why) => Repair::Failed(why),
        });
        (self.report)(Finding { damage, message, repair });
    }

    /// Whether somebody who is working on it now holds a thing, apart from us.
    fn is_held_by_others(&self, thing: Held) -> bool {
        leases::registry(self.core()).is_held_by_others(self.lease(), thing)
    }

    /// Every row that is no JSON.
    fn records(&mut self) -> Result<(), StoreError> {
        for (key, bytes) in self.core().journal.all() {
            let json = bytes.get(1..).unwrap_or_default();
            if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(json) {
                let (table, name) = key.parts();
                let message = format!("the {table} record of `{name}` is damaged: {error}");
                let key = key.clone();
                self.find(Damage::Record, message, |store| {
                    let mut batch = Batch::new();
                    batch.remove(key);
                    commit(store, batch, "removed the record")
                });
            }
        }
        Ok(())
    }
}

/// Commits a repair and says what it did.
fn commit(store: &Store, batch: Batch, done: &str) -> Result<String, String> {
    match store.core.journal.commit(batch) {
        Ok(()) => Ok(done.to_owned()),
        Err(error) => Err(in_words(&error)),
    }
}

/// An error and its causes in one line.
fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        next = cause.source();
    }
    words
}
