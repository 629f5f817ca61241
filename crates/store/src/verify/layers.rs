//! Acts: unpacked layers against their blobs, and containers' layers against what they stand on.

use super::{Check, Damage, LayerSource, Source, commit, in_words, tree};
use crate::journal::Batch;
use crate::schema::{Key, table};
use crate::snapshots::{ActiveRow, SnapshotRow, make_active};
use crate::{Begin, LeaseId, Pending, Store, StoreError};
use naru_oci::ChainId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

impl Check<'_> {
    /// Every committed snapshot, parents first.
    pub(super) fn layers(&mut self) -> Result<(), StoreError> {
        let rows: BTreeMap<ChainId, SnapshotRow> = self
            .core()
            .journal
            .list::<SnapshotRow>(table::SNAPSHOT)?
            .into_iter()
            .filter_map(|(key, row)| Some((key.parse().ok()?, row)))
            .collect();
        for chain in parents_first(&rows) {
            let Some(row) = rows.get(&chain) else { continue };
            let message = match row.parent {
                Some(parent)
                    if !rows.contains_key(&parent) || self.bad_snapshots.contains(&parent) =>
                {
                    format!(
                        "layer `{chain}` stands on layer `{parent}`, which is missing or damaged"
                    )
                }
                _ => match self.compare(&chain, row) {
                    Ok(None) => continue,
                    Ok(Some(message)) => message,
                    Err(why) => format!("layer `{chain}` cannot be compared with its blob: {why}"),
                },
            };
            if !self.store.snapshots.has(&chain) {
                // Removed meanwhile.
                continue;
            }
            let mut is_mended = false;
            let source = self.sources.get(&chain).cloned();
            let (how, lease) = (self.how, self.lease());
            self.find(Damage::Layer, message, |store| {
                let done = mend(store, how, lease, (chain, row), source)?;
                is_mended = true;
                Ok(done)
            });
            if !is_mended {
                self.bad_snapshots.insert(chain);
            }
        }
        self.absent_layers(&rows)
    }

    /// Layers that images need, that have no row, and that can be unpacked.
    fn absent_layers(&mut self, rows: &BTreeMap<ChainId, SnapshotRow>) -> Result<(), StoreError> {
        let mut absent: BTreeMap<ChainId, Source> = self
            .sources
            .iter()
            .filter(|(chain, _)| !rows.contains_key(chain) && !self.store.snapshots.has(chain))
            .map(|(chain, source)| (*chain, source.clone()))
            .collect();
        // Parents first: each round takes those whose parent is there.
        while !absent.is_empty() {
            let ready: Vec<ChainId> = absent
                .iter()
                .filter(|(_, source)| {
                    source.parent.is_none_or(|parent| !absent.contains_key(&parent))
                })
                .map(|(chain, _)| *chain)
                .collect();
            if ready.is_empty() {
                break;
            }
            for chain in ready {
                let Some(source) = absent.remove(&chain) else { continue };
                let (how, lease) = (self.how, self.lease());
                let message = format!("layer `{chain}` is not unpacked");
                self.find(Damage::Layer, message, |store| {
                    unpack_again(store, how, lease, chain, &source)
                });
            }
        }
        Ok(())
    }

    /// What is wrong with a layer's tree.
    fn compare(&mut self, chain: &ChainId, row: &SnapshotRow) -> Result<Option<String>, String> {
        let files = self.core().layout.snapshot(row.number).join("fs");
        if !files.is_dir() {
            return Ok(Some(format!("the files of layer `{chain}` are missing")));
        }
        // A layer that no image speaks of, or whose blob is gone, can only be looked at.
        let Some(source) = self.sources.get(chain) else { return Ok(None) };
        let fresh = Fresh::unpack(self.store, self.how, *chain, source)?;
        let different = tree::compare(&files, &fresh.files()).map_err(|error| error.to_string())?;
        Ok(different.map(|difference| {
            format!("the files of layer `{chain}` are not those of its blob: {difference}")
        }))
    }

    /// Every container's writable layer.
    pub(super) fn actives(&mut self) -> Result<(), StoreError> {
        for (key, row) in self.core().journal.list::<ActiveRow>(table::ACTIVE)? {
            if let Some(parent) = row.parent
                && (!self.store.snapshots.has(&parent) || self.bad_snapshots.contains(&parent))
            {
                let message = format!(
                    "the writable layer of `{key}` stands on layer `{parent}`, which is missing or damaged"
                );
                self.find(Damage::Active, message, |_| {
                    Err("load the image again, or remove the container".to_owned())
                });
                continue;
            }
            let place = self.core().layout.snapshot(row.number);
            if place.join("fs").is_dir() && place.join("work").is_dir() {
                continue;
            }
            if !self.core().journal.contains(&Key::active(&key)) {
                continue;
            }
            let message = format!("the directories of the writable layer of `{key}` are missing");
            self.find(Damage::Active, message, |store| {
                let top = lower_of(store, row.parent).map_err(|error| in_words(&error))?;
                let top = top.first().map(PathBuf::as_path);
                store.core.trash.discard(&place).map_err(|error| in_words(&error))?;
                make_active(&store.core.layout, row.number, top)
                    .map_err(|error| in_words(&error))?;
                Ok("made them again, empty: what the container had written is lost".to_owned())
            });
        }
        Ok(())
    }
}

/// A layer unpacked beside the store's own, removed when dropped.
struct Fresh {
    pending: Pending,
    size: u64,
}

impl Fresh {
    fn unpack(
        store: &Store,
        how: &super::Verify<'_>,
        chain: ChainId,
        source: &Source,
    ) -> Result<Fresh, String> {
        let words = |error: StoreError| in_words(&error);
        let lower = lower_of(store, source.parent).map_err(words)?;
        let pending = Pending::apart(&store.core, chain).map_err(words)?;
        let file = store.content.open(&source.blob.digest).map_err(words)?;
        let layer = LayerSource { file, blob: source.blob.clone(), diff_id: source.diff_id };
        let size = (how.unpack)(layer, &pending.dir(), &lower)
            .map_err(|error| in_words(error.as_ref()))?;
        Ok(Fresh { pending, size })
    }

    fn files(&self) -> PathBuf {
        self.pending.dir()
    }
}

/// Drops a layer and unpacks it again, if its blob is there and nobody has it mounted.
fn mend(
    store: &Store,
    how: &super::Verify<'_>,
    lease: LeaseId,
    (chain, row): (ChainId, &SnapshotRow),
    source: Option<Source>,
) -> Result<String, String> {
    let words = |error: StoreError| in_words(&error);
    if let Some(user) = mounted_above(store, how, chain).map_err(words)? {
        return Err(format!("`{user}` has it mounted; stop it first"));
    }
    let place = store.core.layout.snapshot(row.number);
    let mut batch = Batch::new();
    batch.remove(Key::snapshot(&chain));
    let Some(source) = source else {
        if stands_on(store, chain).map_err(words)? {
            return Err("there is no blob to unpack it from; load the image again".to_owned());
        }
        let done = commit(store, batch, "dropped it: there is no blob to unpack it from")?;
        store.core.trash.discard(&place).map_err(words)?;
        return Ok(done);
    };
    // The old row goes before the new one comes with the new tree: a crash in between leaves an image that lacks a
    // layer, which the next verification mends, and never a tree that is not whole.
    commit(store, batch, "")?;
    store.core.trash.discard(&place).map_err(words)?;
    unpack_again(store, how, lease, chain, &source)
}

/// Unpacks a layer that has no row.
fn unpack_again(
    store: &Store,
    how: &super::Verify<'_>,
    lease: LeaseId,
    chain: ChainId,
    source: &Source,
) -> Result<String, String> {
    let words = |error: StoreError| in_words(&error);
    let fresh = Fresh::unpack(store, how, chain, source)?;
    match store.snapshots.begin(chain, source.parent, &lease).map_err(words)? {
        Begin::AlreadyThere => Ok("somebody else unpacked it again".to_owned()),
        Begin::Pending(pending) => {
            let pending = pending.take_over(&fresh.pending).map_err(words)?;
            pending.commit(fresh.size).map_err(words)?;
            Ok("unpacked it again".to_owned())
        }
    }
}

/// The directories of a chain, top first; none when there is no chain.
fn lower_of(store: &Store, chain: Option<ChainId>) -> Result<Vec<PathBuf>, StoreError> {
    chain.map_or(Ok(Vec::new()), |chain| store.snapshots.lower_dirs(&chain))
}

/// Whoever has a mount with this layer in it.
fn mounted_above(
    store: &Store,
    how: &super::Verify<'_>,
    chain: ChainId,
) -> Result<Option<String>, StoreError> {
    for active in store.snapshots.list_active()? {
        if is_below(store, chain, active.parent) && (how.is_mounted)(&active.key) {
            return Ok(Some(active.key));
        }
    }
    Ok(None)
}

/// Whether a container or another layer stands on this one.
fn stands_on(store: &Store, chain: ChainId) -> Result<bool, StoreError> {
    Ok(store.snapshots.list_active()?.iter().any(|active| active.parent == Some(chain))
        || store.snapshots.list()?.iter().any(|layer| layer.parent == Some(chain)))
}

fn is_below(store: &Store, chain: ChainId, top: Option<ChainId>) -> bool {
    let mut next = top;
    let mut seen = BTreeSet::new();
    while let Some(at) = next.filter(|at| seen.insert(*at)) {
        if at == chain {
            return true;
        }
        next = store.snapshots.get(&at).ok().and_then(|layer| layer.parent);
    }
    false
}

/// The chains in an order in which a parent comes before those that stand on it.
fn parents_first(rows: &BTreeMap<ChainId, SnapshotRow>) -> Vec<ChainId> {
    let depth = |chain: &ChainId| {
        let mut depth = 0_usize;
        let mut next = rows.get(chain).and_then(|row| row.parent);
        // Damaged rows may stand in a circle.
        while let Some(row) =
            next.and_then(|parent| rows.get(&parent)).filter(|_| depth < rows.len())
        {
            depth += 1;
            next = row.parent;
        }
        depth
    };
    let mut chains: Vec<ChainId> = rows.keys().copied().collect();
    chains.sort_by_key(depth);
    chains
}
