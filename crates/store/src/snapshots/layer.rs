//! One layer with its blob and its snapshot, made visible together.
//!
//! Acts, in the order of everything durable:
//!
//! ```text
//! tree and blob written ─▶ file system synced ─▶ both renamed ─▶ directories synced ─▶ rows of all: one flush
//! ```

use super::{Pending, SnapshotCopy, SnapshotRow, Snapshots, write_copy};
use crate::content::Ingest;
use crate::core::Core;
use crate::journal::{Batch, Check};
use crate::leases::{self, Held};
use crate::schema::Key;
use crate::{Blob, StoreError};
use naru_kernel::{failpoint, fs};
use std::sync::Arc;

impl Snapshots {
    /// Makes a layer visible: its blob, its snapshot, and what `more` adds, with one wait for the disk and one flush for all.
    pub fn commit_layer(
        &self,
        ingest: Ingest,
        pending: Pending,
        size: u64,
        more: &dyn Fn(&Blob, &mut Batch),
    ) -> Result<Blob, StoreError> {
        commit(&self.core, ingest, pending, size, more)
    }
}

fn commit(
    core: &Arc<Core>,
    mut ingest: Ingest,
    mut pending: Pending,
    size: u64,
    more: &dyn Fn(&Blob, &mut Batch),
) -> Result<Blob, StoreError> {
    let copy = SnapshotCopy::Committed { chain: pending.chain, parent: pending.parent, size };
    write_copy(&pending.place, &copy)
        .map_err(StoreError::io("write the record of", &pending.place))?;
    failpoint::hit("snapshot.before-sync");
    let snapshots = core.layout.snapshots();
    // The blob's bytes lie on the same file system.
    fs::syncfs(&snapshots).map_err(StoreError::io("sync", &snapshots))?;
    failpoint::hit("snapshot.before-rename");
    loop {
        let mut placed = false;
        let committed = ingest.try_commit(&mut |blob, batch| {
            match place(core, &mut pending, size, batch) {
                Ok(is_new) => placed = is_new,
                Err(error) => batch.failed = Some(error),
            }
            more(blob, batch);
        });
        match committed {
            // Between our look and the commit somebody else was faster with the same layer, which is as good.
            Err(StoreError::Taken { .. }) if placed => {}
            Err(error) => return Err(error),
            Ok(blob) => {
                pending.kept = placed;
                failpoint::hit("snapshot.after-row");
                return Ok(blob);
            }
        }
    }
}

/// Gives one durable tree its place, and its row to the batch; says whether it was not there yet.
fn place(
    core: &Arc<Core>,
    pending: &mut Pending,
    size: u64,
    batch: &mut Batch,
) -> Result<bool, StoreError> {
    leases::hold(core, pending.lease, Held::Snapshot(pending.chain), batch)?;
    let key = Key::snapshot(&pending.chain);
    if core.journal.contains(&key) {
        return Ok(false);
    }
    let place = core.layout.snapshot(pending.number.get());
    if pending.place != place {
        std::fs::rename(&pending.place, &place)
            .map_err(StoreError::io("rename", &pending.place))?;
        // From here on the drop of `pending` removes it from its new place.
        pending.place = place;
    }
    if let Some(parent) = &pending.parent {
        batch.check(Key::snapshot(parent), Check::Present);
    }
    failpoint::hit("snapshot.before-directory-sync");
    let snapshots = core.layout.snapshots();
    fs::sync_dir(&snapshots).map_err(StoreError::io("sync", &snapshots))?;
    failpoint::hit("snapshot.before-row");
    batch.check(key.clone(), Check::Absent);
    batch.put(key, &SnapshotRow { number: pending.number.get(), parent: pending.parent, size });
    Ok(true)
}
