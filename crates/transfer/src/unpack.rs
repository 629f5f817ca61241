//! Acts: layers in the content store to snapshots, side by side.

use crate::early::Unpacked;
use crate::error::LoadError;
use naru_errdefs::Fault;
use naru_layer::{Applied, Limits, apply, diff_id_of, settle};
use naru_oci::{ChainId, Descriptor, DiffId};
use naru_store::{Begin, LeaseId, Pending, Store};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// No more layers than this are unpacked at once: beyond it they only wait for the disk.
const MOST_WORKERS: usize = 8;

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The blob.
    pub blob: Descriptor,
    /// What it must unpack to.
    pub diff_id: DiffId,
}

/// Unpacks the layers that have no snapshot yet. Nothing is visible before all of them are there and durable. Answers
/// the topmost chain and the unpacked size of all layers.
pub fn unpack(
    store: &Store,
    lease: &LeaseId,
    layers: &[Layer],
) -> Result<(Option<ChainId>, u64), Fault> {
    unpack_rest(store, lease, layers, &mut Unpacked::new())
}

/// Unpacks layers on top of a file system that is there. What is there already is compared with its blob, so that afterwards
/// every blob is known to be what was promised.
pub fn unpack_on(
    store: &Store,
    lease: &LeaseId,
    base: Option<ChainId>,
    layers: &[Layer],
) -> Result<(), Fault> {
    let mut parent = base;
    for layer in layers {
        let chain = ChainId::on(parent, layer.diff_id);
        if store.snapshots.has(&chain) {
            let file = store.content.open(&layer.blob.digest)?;
            let found = diff_id_of(file, &Limits::standard()).map_err(|error| {
                Fault::from(error).context(format!("cannot read layer `{}`", layer.blob.digest))
            })?;
            compare(layer, found)?;
        }
        parent = Some(chain);
    }
    unpack_above(store, lease, base, layers, &mut Unpacked::new()).map(drop)
}

/// The same when some of the layers have been unpacked already.
pub(crate) fn unpack_rest(
    store: &Store,
    lease: &LeaseId,
    layers: &[Layer],
    early: &mut Unpacked,
) -> Result<(Option<ChainId>, u64), Fault> {
    unpack_above(store, lease, None, layers, early)
}

fn unpack_above(
    store: &Store,
    lease: &LeaseId,
    base: Option<ChainId>,
    layers: &[Layer],
    early: &mut Unpacked,
) -> Result<(Option<ChainId>, u64), Fault> {
    let mut size = 0;
    let mut wanted = Vec::new();
    let mut parent = base;
    for layer in layers {
        let chain = ChainId::on(parent, layer.diff_id);
        match store.snapshots.begin(chain, parent, lease)? {
            Begin::AlreadyThere => size += store.snapshots.get(&chain)?.size,
            Begin::Pending(pending) => wanted.push((layer, parent, pending)),
        }
        parent = Some(chain);
    }
    let ready =
        wanted.iter().map(|(layer, _, pending)| take_early(early, layer, pending)).collect();
    let applied = apply_all(store, &wanted, ready)?;
    // Only the lowest of them can stand on a layer that was there before.
    let below = match wanted.first() {
        Some((_, Some(chain), _)) => store.snapshots.lower_dirs(chain)?,
        _ => Vec::new(),
    };
    let mut done: Vec<(Pending, u64)> = Vec::with_capacity(wanted.len());
    for ((layer, _, pending), applied) in wanted.into_iter().zip(applied) {
        let cannot = || format!("cannot complete layer `{}`", layer.blob.digest);
        let lower: Vec<PathBuf> =
            done.iter().rev().map(|(pending, _)| pending.dir()).chain(below.clone()).collect();
        settle(&pending.dir(), &lower, &applied.changes)
            .map_err(|error| Fault::from(error).context(cannot()))?;
        for note in &applied.changes.notes {
            tracing::warn!(layer = %layer.blob.digest, "{note}");
        }
        size += applied.changes.content;
        done.push((pending, applied.changes.content));
    }
    store.snapshots.commit_all(done)?;
    Ok((parent, size))
}

/// Unpacks all, some at a time; the first failure stops the others between layers.
fn apply_all(
    store: &Store,
    wanted: &[(&Layer, Option<ChainId>, Pending)],
    ready: Vec<Option<Applied>>,
) -> Result<Vec<Applied>, Fault> {
    let todo: Vec<usize> = ready
        .iter()
        .enumerate()
        .filter(|(_, done)| done.is_none())
        .map(|(index, _)| index)
        .collect();
    let workers = workers().min(todo.len());
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<Option<Result<Applied, Fault>>>> =
        Mutex::new(ready.into_iter().map(|done| done.map(Ok)).collect());
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let Some(index) = todo.get(next.fetch_add(1, Ordering::Relaxed)).copied() else {
                break;
            };
            let Some((layer, _, pending)) = wanted.get(index) else { break };
            let result = apply_one(store, layer, pending);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            if let Some(slot) =
                results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index)
            {
                *slot = Some(result);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = results.iter().position(|result| matches!(result, Some(Err(_)))) {
        return results
            .into_iter()
            .nth(error)
            .flatten()
            .unwrap_or_else(|| Err(lost()))
            .map(|_| Vec::new());
    }
    results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
}

/// Moves a layer that was unpacked early to where it belongs.
fn take_early(early: &mut Unpacked, layer: &Layer, pending: &Pending) -> Option<Applied> {
    let (place, applied) = early.remove(&layer.blob.digest)?;
    // Another digest is an error, which unpacking again will tell.
    let fits = applied.diff_id == layer.diff_id;
    // The directory of a layer that has only begun is empty, so it gives way.
    (fits && std::fs::rename(place.dir(), pending.dir()).is_ok()).then_some(applied)
}

/// How many layers are unpacked at once.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, MOST_WORKERS)
}

fn lost() -> Fault {
    Fault::internal("a layer was not unpacked")
}

fn apply_one(store: &Store, layer: &Layer, pending: &Pending) -> Result<Applied, Fault> {
    let file = store.content.open(&layer.blob.digest)?;
    let applied = apply(file, &pending.dir(), &Limits::standard()).map_err(|error| {
        Fault::from(error).context(format!("cannot unpack layer `{}`", layer.blob.digest))
    })?;
    compare(layer, applied.diff_id)?;
    Ok(applied)
}

fn compare(layer: &Layer, found: DiffId) -> Result<(), Fault> {
    if found == layer.diff_id {
        return Ok(());
    }
    let (expected, found) = (layer.diff_id.0, found.0);
    Err(LoadError::WrongLayer { layer: layer.blob.digest, expected, found }.into())
}
