//! The image store: content, images, repositories, snapshots, leases, records and garbage collection.
//!
//! Acts. Handles are cheap clones; every method may be called from any thread and may wait for the disk, so tasks
//! call it through a blocking thread or await a [`Ticket`]. Nothing is acknowledged before it is durable, except
//! what is called *volatile*. Nothing is ever mounted here.

mod build_cache;
mod content;
mod core;
mod error;
mod gc;
mod images;
mod journal;
mod leases;
mod mirror;
mod open;
mod records;
mod repositories;
mod row;
mod schema;
mod snapshots;
mod spares;
mod ticket;
mod trash;
mod verify;

pub use build_cache::{BuildCache, CachedLayer, CachedStep};
pub use content::{Blob, Content, Ingest, Upload, UploadInfo};
pub use error::{DatabaseError, StoreError};
pub use gc::{Collected, Collections};
pub use images::{Image, ImageRecord, Images, ResolveError};
pub use journal::Batch;
pub use leases::{Held, Lease, LeaseId, Leases};
pub use open::OpenError;
pub use records::{Records, Table};
pub use repositories::{Member, MemberKind, Repositories, Tagged};
pub use row::{RowError, Upgrade};
pub use schema::{STORE_NAME, STORE_VERSION};
pub use snapshots::{
    Active, Begin, Committed, OverlayMount, Pending, Prepared, Snapshots, Usage, usage_of,
};
pub use ticket::Ticket;
pub use verify::{Damage, Finding, LayerSource, Repair, Unpack, Verify};

use std::path::Path;
use std::sync::Arc;

/// The handles of one store. Take it apart; services keep the handles they use.
#[derive(Debug, Clone)]
pub struct Store {
    /// Blobs.
    pub content: Content,
    /// Images and their names.
    pub images: Images,
    /// Repositories.
    pub repositories: Repositories,
    /// Snapshots.
    pub snapshots: Snapshots,
    /// What builds made.
    pub build_cache: BuildCache,
    /// Leases.
    pub leases: Leases,
    /// Records of other crates.
    pub records: Records,
    core: Arc<core::Core>,
    notices: Arc<[String]>,
}

impl Store {
    /// Opens the store of a data root, making it when the directory is empty or missing. Leftovers of a crash are
    /// swept; a damaged database is moved aside and rebuilt from what lies beside it.
    pub fn open(root: &Path) -> Result<Store, OpenError> {
        open::open(root)
    }

    /// What opening found and did that its owner should know of; also logged as warnings.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The data root.
    pub fn root(&self) -> &Path {
        self.core.layout.root()
    }

    /// Changes that belong together: all of them become durable, or none.
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.core.journal.commit(batch)
    }

    /// [`Store::commit`] without waiting.
    pub fn submit(&self, batch: Batch) -> Ticket {
        self.core.journal.submit(batch)
    }

    /// Changes that belong together, visible at once and on disk a moment later if they still matter then.
    pub fn commit_volatile(&self, batch: Batch) -> Result<(), StoreError> {
        self.core.journal.commit_volatile(batch)
    }

    /// Waits until everything that was removed is gone from the disk.
    pub fn settle(&self) {
        self.core.trash.settle();
    }
}

#[cfg(test)]
mod tests;
