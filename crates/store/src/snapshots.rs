//! Snapshots: file system states that containers start from, as overlayfs wants them.
//!
//! Acts; mounts nothing. A *committed* snapshot is one layer's tree, named by its chain ID, its parent below it. An
//! *active* one is a container's writable directory, named by a key of its owner's. Directories are numbered, so
//! that the options of a mount of many layers fit into a page.
//!
//! ```text
//! begin ─▶ pending/<n>/fs is filled ─▶ commit: tree durable ─▶ rename to <n> ─▶ directory fsync ─▶ row
//! prepare ─▶ <n>/{fs,work} ─▶ row;      remove ─▶ row gone ─▶ renamed to the trash
//! ```
//!
//! An active snapshot is empty when it is acknowledged, so its directories are not synced: missing ones are made
//! again at open.

mod layer;
mod usage;

pub use usage::{Usage, usage_of};

use crate::StoreError;
use crate::core::{Core, Number};
use crate::journal::{Batch, Check};
use crate::leases::{self, Held, LeaseId};
use crate::row::Row;
use crate::schema::{Key, Layout, table};
use naru_kernel::{failpoint, fs};
use naru_oci::ChainId;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is stored about a committed snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotRow {
    pub(crate) number: u64,
    pub(crate) parent: Option<ChainId>,
    /// Unpacked bytes of this layer.
    pub(crate) size: u64,
}

impl Row for SnapshotRow {
    const VERSION: u8 = 1;
}

/// What is stored about an active snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActiveRow {
    pub(crate) number: u64,
    pub(crate) parent: Option<ChainId>,
}

impl Row for ActiveRow {
    const VERSION: u8 = 1;
}

/// The copy of a row in the snapshot's directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SnapshotCopy {
    Committed { chain: ChainId, parent: Option<ChainId>, size: u64 },
    Active { key: String, parent: Option<ChainId> },
}

/// A committed snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its name.
    pub chain: ChainId,
    /// The one below.
    pub parent: Option<ChainId>,
    /// Unpacked bytes of this layer alone.
    pub size: u64,
}

/// An active snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// The key its owner chose.
    pub key: String,
    /// The committed snapshot it stands on.
    pub parent: Option<ChainId>,
}

/// What an overlay mount needs. The store mounts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayMount {
    /// The directory that the other paths start from.
    pub base: PathBuf,
    /// The layers, top first; at least one.
    pub lower: Vec<PathBuf>,
    /// The writable directory.
    pub upper: PathBuf,
    /// overlayfs' own directory.
    pub work: PathBuf,
}

/// Snapshots.
#[derive(Debug, Clone)]
pub struct Snapshots {
    core: Arc<Core>,
}

/// What [`Snapshots::begin`] found.
#[derive(Debug)]
pub enum Begin {
    /// Nothing: fill the directory and commit it.
    Pending(Pending),
    /// The snapshot is there already, and the lease holds it.
    AlreadyThere,
}

/// A layer being unpacked. Dropping it gives it up.
#[derive(Debug)]
pub struct Pending {
    core: Arc<Core>,
    chain: ChainId,
    parent: Option<ChainId>,
    lease: LeaseId,
    number: Number,
    place: PathBuf,
    kept: bool,
}

impl Snapshots {
    pub(crate) fn new(core: Arc<Core>) -> Snapshots {
        Snapshots { core }
    }

    /// Begins a committed snapshot, or finds that it is there. The parent must be there when it is committed.
    pub fn begin(
        &self,
        chain: ChainId,
        parent: Option<ChainId>,
        lease: &LeaseId,
    ) -> Result<Begin, StoreError> {
        let mut batch = Batch::new();
        // Held first, then looked for: the collector takes nothing that is held.
        leases::hold(&self.core, *lease, Held::Snapshot(chain), &mut batch)?;
        if !batch.is_empty() {
            self.core.journal.commit(batch)?;
        }
        if self.has(&chain) {
            return Ok(Begin::AlreadyThere);
        }
        Ok(Begin::Pending(Pending::make(&self.core, chain, parent, *lease)?))
    }

    /// Commits several layers with one wait for the disk. They are committed in the given order, bottom first.
    pub fn commit_all(&self, layers: Vec<(Pending, u64)>) -> Result<(), StoreError> {
        commit_all(&self.core, layers)
    }

    /// Whether a committed snapshot is there.
    pub fn has(&self, chain: &ChainId) -> bool {
        self.core.journal.contains(&Key::snapshot(chain))
    }

    /// A committed snapshot.
    pub fn get(&self, chain: &ChainId) -> Result<Committed, StoreError> {
        let row = self.row(chain)?;
        Ok(Committed { chain: *chain, parent: row.parent, size: row.size })
    }

    /// All committed snapshots.
    pub fn list(&self) -> Result<Vec<Committed>, StoreError> {
        Ok(self
            .core
            .journal
            .list::<SnapshotRow>(table::SNAPSHOT)?
            .into_iter()
            .filter_map(|(key, row)| {
                Some(Committed { chain: key.parse().ok()?, parent: row.parent, size: row.size })
            })
            .collect())
    }

    /// All active snapshots.
    pub fn list_active(&self) -> Result<Vec<Active>, StoreError> {
        Ok(self
            .core
            .journal
            .list::<ActiveRow>(table::ACTIVE)?
            .into_iter()
            .map(|(key, row)| Active { key, parent: row.parent })
            .collect())
    }

    /// The directories of a committed snapshot and those below it, top first, absolute.
    pub fn lower_dirs(&self, chain: &ChainId) -> Result<Vec<PathBuf>, StoreError> {
        Ok(self
            .numbers(Some(*chain))?
            .into_iter()
            .map(|number| self.core.layout.snapshot(number).join("fs"))
            .collect())
    }

    /// Makes the writable snapshot of a container, durably.
    pub fn prepare(&self, key: &str, parent: Option<ChainId>) -> Result<OverlayMount, StoreError> {
        let (batch, made) = self.prepare_batch(key, parent)?;
        self.copy(&made, key, parent);
        let committed = self.core.journal.commit(batch);
        self.prepared(made, committed)
    }

    /// Makes the writable snapshot of a container that may be forgotten with the process.
    pub fn prepare_volatile(
        &self,
        key: &str,
        parent: Option<ChainId>,
    ) -> Result<OverlayMount, StoreError> {
        let (batch, made) = self.prepare_batch(key, parent)?;
        let committed = self.core.journal.commit_volatile(batch);
        self.prepared(made, committed)
    }

    /// The writable snapshot of a container, to be committed by the caller together with its records: call
    /// [`crate::Store::submit`] with the batch, and drop [`Prepared`] when that failed, or take its mount.
    pub fn prepare_in(
        &self,
        batch: &mut Batch,
        key: &str,
        parent: Option<ChainId>,
    ) -> Result<Prepared, StoreError> {
        let (changes, made) = self.prepare_batch(key, parent)?;
        self.copy(&made, key, parent);
        batch.checks.extend(changes.checks);
        batch.changes.extend(changes.changes);
        Ok(made)
    }

    /// What a container's overlay mount needs.
    pub fn mount(&self, key: &str) -> Result<OverlayMount, StoreError> {
        let row = self.active(key)?;
        self.overlay(&row)
    }

    /// The writable directory of a container, absolute.
    pub fn upper_dir(&self, key: &str) -> Result<PathBuf, StoreError> {
        Ok(self.core.layout.snapshot(self.active(key)?.number).join("fs"))
    }

    /// Removes an active snapshot, durably.
    pub fn remove(&self, key: &str) -> Result<(), StoreError> {
        let row = self.active(key)?;
        let mut batch = Batch::new();
        batch.remove_snapshot(key);
        self.core.journal.commit(batch)?;
        self.discard(&row)
    }

    /// Removes an active snapshot at once, and on disk a moment later.
    pub fn remove_volatile(&self, key: &str) -> Result<(), StoreError> {
        let row = self.active(key)?;
        let mut batch = Batch::new();
        batch.remove_snapshot(key);
        self.core.journal.commit_volatile(batch)?;
        self.discard(&row)
    }

    /// What a container has written.
    pub fn usage(&self, key: &str) -> Result<Usage, StoreError> {
        let directory = self.upper_dir(key)?;
        usage_of(&directory).map_err(StoreError::io("measure", &directory))
    }

    fn discard(&self, row: &ActiveRow) -> Result<(), StoreError> {
        failpoint::hit("snapshot.before-discard");
        self.core.trash.discard(&self.core.layout.snapshot(row.number))?;
        self.core.spares.refill(&self.core.trash);
        Ok(())
    }

    fn prepare_batch(
        &self,
        key: &str,
        parent: Option<ChainId>,
    ) -> Result<(Batch, Prepared), StoreError> {
        let lower = self.lower(parent)?;
        let active = Key::active(key);
        if self.core.journal.contains(&active) {
            return Err(StoreError::Taken { table: table::ACTIVE.to_owned(), key: key.to_owned() });
        }
        let spare = self.core.spares.take(&self.core.trash);
        let is_there = spare.is_some();
        let number = spare.unwrap_or_else(|| Number::next(&self.core.numbers));
        let row = ActiveRow { number: number.get(), parent };
        let mount = Some(self.above(lower, row.number));
        let made = Prepared { core: Arc::clone(&self.core), number, mount };
        let mut batch = Batch::new();
        batch.check(active.clone(), Check::Absent);
        if let Some(parent) = &parent {
            batch.check(Key::snapshot(parent), Check::Present);
        }
        batch.put(active, &row);
        let top = made.top_layer();
        if is_there {
            look_like(&self.core.layout.snapshot(row.number).join("fs"), top.as_deref())?;
        } else {
            make_active(&self.core.layout, row.number, top.as_deref())?;
        }
        failpoint::hit("snapshot.before-active-row");
        Ok((batch, made))
    }

    /// A copy of the row for a rebuild; not worth a wait. Who is forgotten with the process is not rebuilt.
    fn copy(&self, made: &Prepared, key: &str, parent: Option<ChainId>) {
        let copy = SnapshotCopy::Active { key: key.to_owned(), parent };
        drop(write_copy(&self.core.layout.snapshot(made.number.get()), &copy));
    }

    fn prepared(
        &self,
        made: Prepared,
        committed: Result<(), StoreError>,
    ) -> Result<OverlayMount, StoreError> {
        committed?;
        failpoint::hit("snapshot.after-active-row");
        made.keep().ok_or(StoreError::Closed)
    }

    fn overlay(&self, row: &ActiveRow) -> Result<OverlayMount, StoreError> {
        Ok(self.above(self.lower(row.parent)?, row.number))
    }

    /// The layers below a container's, top first.
    fn lower(&self, parent: Option<ChainId>) -> Result<Vec<PathBuf>, StoreError> {
        let mut lower: Vec<PathBuf> = self
            .numbers(parent)?
            .into_iter()
            .map(|number| PathBuf::from(format!("{number}/fs")))
            .collect();
        if lower.is_empty() {
            lower.push(PathBuf::from("empty"));
        }
        Ok(lower)
    }

    fn above(&self, lower: Vec<PathBuf>, number: u64) -> OverlayMount {
        OverlayMount {
            base: self.core.layout.snapshots(),
            lower,
            upper: PathBuf::from(format!("{number}/fs")),
            work: PathBuf::from(format!("{number}/work")),
        }
    }

    /// The numbers of a chain, top first.
    fn numbers(&self, chain: Option<ChainId>) -> Result<Vec<u64>, StoreError> {
        let mut numbers = Vec::new();
        let mut next = chain;
        while let Some(chain) = next {
            let row = self.row(&chain)?;
            numbers.push(row.number);
            next = row.parent;
        }
        Ok(numbers)
    }

    fn row(&self, chain: &ChainId) -> Result<SnapshotRow, StoreError> {
        self.core
            .journal
            .get(&Key::snapshot(chain))?
            .ok_or(StoreError::NoSnapshot { chain: *chain })
    }

    fn active(&self, key: &str) -> Result<ActiveRow, StoreError> {
        self.core.journal.get(&Key::active(key))?.ok_or_else(|| StoreError::Absent {
            table: table::ACTIVE.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl Batch {
    /// Removes an active snapshot's row; its directory is swept at the next open, or by [`Snapshots::sweep`].
    fn remove_snapshot(&mut self, key: &str) {
        self.check(Key::active(key), Check::Present);
        self.remove(Key::active(key));
    }
}

/// The directories of an active snapshot whose row is on its way. Dropping it removes them again.
#[derive(Debug)]
pub struct Prepared {
    core: Arc<Core>,
    number: Number,
    mount: Option<OverlayMount>,
}

impl Prepared {
    /// What the overlay mount needs.
    pub fn mount(&self) -> Option<&OverlayMount> {
        self.mount.as_ref()
    }

    /// Keeps the directories: the row is durable.
    pub fn keep(mut self) -> Option<OverlayMount> {
        self.mount.take()
    }

    fn top_layer(&self) -> Option<PathBuf> {
        let mount = self.mount.as_ref()?;
        mount.lower.first().map(|top| mount.base.join(top))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if self.mount.is_some() {
            // What cannot be removed now is swept at the next open.
            drop(self.core.trash.discard(&self.core.layout.snapshot(self.number.get())));
        }
    }
}

impl Pending {
    fn make(
        core: &Arc<Core>,
        chain: ChainId,
        parent: Option<ChainId>,
        lease: LeaseId,
    ) -> Result<Pending, StoreError> {
        let number = Number::next(&core.numbers);
        let place = core.layout.pending().join(number.get().to_string());
        make_dir(&place, 0o700)?;
        let core = Arc::clone(core);
        let pending = Pending { core, chain, parent, lease, number, place, kept: false };
        make_dir(&pending.dir(), 0o755)?;
        Ok(pending)
    }

    /// A directory like that of a layer, for a layer that only is to be looked at.
    pub(crate) fn apart(core: &Arc<Core>, chain: ChainId) -> Result<Pending, StoreError> {
        Pending::make(core, chain, None, LeaseId(0))
    }

    /// The same snapshot with the tree of another.
    pub(crate) fn take_over(self, other: &Pending) -> Result<Pending, StoreError> {
        let place = self.dir();
        std::fs::remove_dir(&place).map_err(StoreError::io("remove", &place))?;
        std::fs::rename(other.dir(), &place).map_err(StoreError::io("rename", &other.dir()))?;
        Ok(self)
    }

    /// The directory to fill.
    pub fn dir(&self) -> PathBuf {
        self.place.join("fs")
    }

    /// The name it will have.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// Makes the tree durable and visible. `size` is what it holds, unpacked.
    pub fn commit(self, size: u64) -> Result<(), StoreError> {
        let core = Arc::clone(&self.core);
        commit_all(&core, vec![(self, size)])
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.kept {
            drop(self.core.trash.discard(&self.place));
        }
    }
}

fn commit_all(core: &Arc<Core>, mut layers: Vec<(Pending, u64)>) -> Result<(), StoreError> {
    if layers.is_empty() {
        return Ok(());
    }
    for (pending, size) in &layers {
        let copy =
            SnapshotCopy::Committed { chain: pending.chain, parent: pending.parent, size: *size };
        write_copy(&pending.place, &copy)
            .map_err(StoreError::io("write the record of", &pending.place))?;
    }
    failpoint::hit("snapshot.before-sync");
    // One wait for the whole file system: for a tree of thousands of files it takes a tenth of what their own syncs take,
    // and for a small one no longer.
    let snapshots = core.layout.snapshots();
    fs::syncfs(&snapshots).map_err(StoreError::io("sync", &snapshots))?;
    failpoint::hit("snapshot.before-rename");
    loop {
        match commit_rows(core, &mut layers) {
            // Between our look and the commit somebody else was faster. It is there, which is what was wanted.
            Err(StoreError::Taken { .. }) => {}
            other => return other,
        }
    }
}

/// Gives durable trees their places and rows. What is there already is left out, and given up when it is dropped.
fn commit_rows(core: &Arc<Core>, layers: &mut [(Pending, u64)]) -> Result<(), StoreError> {
    let snapshots = core.layout.snapshots();
    let mut batch = Batch::new();
    let mut moved = Vec::new();
    for (pending, size) in layers {
        let key = Key::snapshot(&pending.chain);
        let lease = pending.lease;
        leases::hold(core, lease, Held::Snapshot(pending.chain), &mut batch)?;
        if core.journal.contains(&key) {
            continue;
        }
        let place = core.layout.snapshot(pending.number.get());
        std::fs::rename(&pending.place, &place)
            .map_err(StoreError::io("rename", &pending.place))?;
        // From here on the drop of `pending` removes it from its new place.
        pending.place = place;
        if let Some(parent) = &pending.parent {
            let parent = Key::snapshot(parent);
            if !batch.changes.iter().any(|(key, _)| *key == parent) {
                batch.check(parent, Check::Present);
            }
        }
        let row = SnapshotRow { number: pending.number.get(), parent: pending.parent, size: *size };
        batch.check(key.clone(), Check::Absent);
        batch.put(key, &row);
        moved.push(pending);
    }
    failpoint::hit("snapshot.before-directory-sync");
    fs::sync_dir(&snapshots).map_err(StoreError::io("sync", &snapshots))?;
    failpoint::hit("snapshot.before-row");
    core.journal.commit(batch)?;
    for pending in moved {
        pending.kept = true;
    }
    failpoint::hit("snapshot.after-row");
    Ok(())
}

/// Makes the directories of an active snapshot. The root of a container's file system is the upper directory, so it
/// looks like the root of the top layer.
pub(crate) fn make_active(
    layout: &Layout,
    number: u64,
    top: Option<&Path>,
) -> Result<(), StoreError> {
    let place = layout.snapshot(number);
    make_dir(&place, 0o700)?;
    let upper = place.join("fs");
    make_dir(&upper, 0o755)?;
    make_dir(&place.join("work"), 0o700)?;
    look_like(&upper, top)
}

/// Gives a new directory the owner and mode of another.
fn look_like(upper: &Path, top: Option<&Path>) -> Result<(), StoreError> {
    if let Some(top) = top
        && let Ok(root) = std::fs::metadata(top)
    {
        let mode = root.mode() & 0o7777;
        let mut done = Ok(());
        if mode != 0o755 {
            done = std::fs::set_permissions(upper, PermissionsExt::from_mode(mode));
        }
        if root.uid() != 0 || root.gid() != 0 {
            done = done
                .and_then(|()| std::os::unix::fs::chown(upper, Some(root.uid()), Some(root.gid())));
            // Changing the owner takes the special bits away.
            done = done
                .and_then(|()| std::fs::set_permissions(upper, PermissionsExt::from_mode(mode)));
        }
        done.map_err(StoreError::io("set the owner and mode of", upper))?;
    }
    Ok(())
}

/// Writes the copy of a row into the directory of its snapshot, which is new.
fn write_copy(place: &Path, copy: &SnapshotCopy) -> io::Result<()> {
    let bytes = serde_json::to_vec(copy).map_err(io::Error::other)?;
    fs::create_new(&place.join("snapshot.json"), 0o600)?.write_all(&bytes)
}

fn make_dir(path: &Path, mode: u32) -> Result<(), StoreError> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(path);
    // The mode is set apart, so that the umask has no say.
    made.and_then(|()| {
        if mode == 0o700 {
            return Ok(());
        }
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
    })
    .map_err(StoreError::io("create", path))
}
