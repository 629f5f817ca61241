//! Garbage collection: takes what no image, container, lease or repository holds, while everything else goes on.
//!
//! Acts. Nobody waits for a collection but who wants the very thing that is on its way out, and he for one flush.
//!
//! ```text
//! begin ─▶ scan ─▶ mark ─▶ weigh ─▶ judge ─▶ [ rows of some go in one flush ─▶ their files ] … ─▶ end
//! └── noted: what is held or named ───┘      └────────── rescued: what is held or named ───┘
//! ```
//!
//! Why nothing is taken that somebody holds or will find:
//!
//! 1. *Roots.* From `begin` on, [`Watch`] hears of every hold (under the lock of the leases) and of what every changed row
//!    names (under the lock of the rows, before it is visible). So the scan may read the tables in pieces, with pauses, while
//!    they change: what it misses was noted, what is noted twice does no harm, and what was let go meanwhile stays until the
//!    next collection. New blobs are not in the scan, or they are held: they are committed under a lease.
//! 2. *What roots refer to.* Content never changes under its digest, so what was marked stays rightly marked. A manifest that
//!    becomes visible meanwhile names its targets in the batch that makes it so ([`announce`]).
//! 3. *Judgement.* What is unmarked is *weighed* first: what each of it refers to is read. So when the marking ends, what was
//!    noted at the last moment is rescued with all that it refers to, in memory, under one lock and without reading anything.
//!    There is no second mark and nothing to try again, however much is going on.
//! 4. *Taking.* The rows go in slices, in order: nothing goes before what refers to it. The writer decides, thing by thing,
//!    at the moment when the slice gets its place among all changes: what was held or named before stays, with what it refers
//!    to (by the order, nothing of that is gone yet); changes that come later and rely on the thing are refused, for its row is
//!    not there. From that moment until its file is gone, the thing is *going*, and who wants to hold it waits: then it is not
//!    there, and may be brought anew.
//! 5. *A crash* leaves files without rows, which are swept at the next open, or things whose referrers are gone, which the next
//!    collection takes.
//!
//! What nobody holds when a collection begins and nobody touches while it runs is gone when it ends.

mod condemned;
mod mark;
mod named;
mod references;
mod watch;

#[cfg(test)]
mod tests;

pub(crate) use named::named;
pub(crate) use references::{LARGEST_MANIFEST, References, announce};
pub(crate) use watch::Watch;

use crate::content::BlobRow;
use crate::core::Core;
use crate::journal::{Batch, decode};
use crate::leases::{self, Held};
use crate::schema::{Key, table};
use crate::snapshots::SnapshotRow;
use crate::{Blob, Committed, Content, Store, StoreError};
use condemned::Condemned;
use mark::Mark;
use naru_kernel::failpoint;
use naru_oci::{ChainId, Digest};
use references::Document;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much is done at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Rows that are looked at under one lock.
    page: usize,
    /// Documents that are read in one step.
    step: usize,
    /// Things that go in one flush.
    slice: usize,
}

impl Pace {
    const NORMAL: Pace = Pace { page: 512, step: 64, slice: 256 };
}

/// What a collection took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub blobs: Vec<Blob>,
    /// Committed snapshots.
    pub snapshots: Vec<Committed>,
    /// Manifests that cannot be read. While there are any, no blob is taken: it could be theirs.
    pub unreadable: Vec<Digest>,
}

impl Collected {
    /// Bytes that were freed, as far as they are known.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum::<u64>()
            + self.snapshots.iter().map(|snapshot| snapshot.size).sum::<u64>()
    }
}

/// What the collections of this process did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collections {
    /// How many ended well.
    pub runs: u64,
    /// How many failed.
    pub failures: u64,
    /// Blobs that were taken.
    pub blobs: u64,
    /// Snapshots that were taken.
    pub snapshots: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// How long all of them took together.
    pub took: Duration,
}

/// The numbers behind [`Collections`], and whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    turn: Mutex<()>,
    runs: AtomicU64,
    failures: AtomicU64,
    blobs: AtomicU64,
    snapshots: AtomicU64,
    bytes: AtomicU64,
    micros: AtomicU64,
}

impl Counters {
    fn count(&self, result: &Result<Collected, StoreError>, took: Duration) {
        let add = |counter: &AtomicU64, count: u64| counter.fetch_add(count, Ordering::Relaxed);
        add(&self.micros, u64::try_from(took.as_micros()).unwrap_or(0));
        match result {
            Ok(collected) => {
                add(&self.runs, 1);
                add(&self.blobs, u64::try_from(collected.blobs.len()).unwrap_or(0));
                add(&self.snapshots, u64::try_from(collected.snapshots.len()).unwrap_or(0));
                add(&self.bytes, collected.bytes());
            }
            Err(_) => {
                add(&self.failures, 1);
            }
        }
    }
}

impl Store {
    /// Removes everything that nobody holds. Others go on meanwhile; a second collection waits for the first.
    pub fn collect(&self) -> Result<Collected, StoreError> {
        let run = || {
            let mut collection = Collection::begin(&self.core, Pace::NORMAL)?;
            while collection.step()? {}
            Ok(collection.finish())
        };
        let begun = Instant::now();
        let result = run();
        self.core.collections.count(&result, begun.elapsed());
        result
    }

    /// What [`Store::collect`] would remove now.
    pub fn collectable(&self) -> Result<Collected, StoreError> {
        let mut collection = Collection::begin(&self.core, Pace::NORMAL)?;
        while !matches!(collection.stage, Stage::Judge) {
            collection.step()?;
        }
        let mut collected = collection.unreadable();
        for thing in collection.unmarked() {
            collection.record(&mut collected, &thing);
        }
        Ok(collected)
    }

    /// What the collections of this process did.
    pub fn collections(&self) -> Collections {
        let counters = &self.core.collections;
        Collections {
            runs: counters.runs.load(Ordering::Relaxed),
            failures: counters.failures.load(Ordering::Relaxed),
            blobs: counters.blobs.load(Ordering::Relaxed),
            snapshots: counters.snapshots.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            took: Duration::from_micros(counters.micros.load(Ordering::Relaxed)),
        }
    }
}

impl Content {
    /// The blobs that a manifest or an index refers to, its subject included. None when it is not there, cannot be read, or
    /// is something else.
    pub fn references(&self, digest: &Digest) -> Result<Option<Arc<[Digest]>>, StoreError> {
        Ok(match references::read(self.core(), digest)? {
            Document::Manifest(targets) => Some(targets),
            Document::Other | Document::Missing => None,
        })
    }
}

/// Where a collection is.
#[derive(Debug)]
enum Stage {
    /// The tables that are still to be read, the next one last, and the key after which to go on.
    Scan(Vec<&'static str>, Option<String>),
    Mark,
    /// What is unmarked and not yet read, and what the rest refers to.
    Weigh(Vec<Held>, BTreeMap<Held, Vec<Held>>),
    Judge,
    /// What is still to be taken, the next one last.
    Take(Vec<Held>),
    Over,
}

/// A collection under way. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Collection<'a> {
    core: &'a Core,
    pace: Pace,
    stage: Stage,
    blobs: BTreeMap<Digest, u64>,
    snapshots: BTreeMap<ChainId, SnapshotRow>,
    mark: Mark,
    /// What images need to be manifests.
    manifests: BTreeSet<Digest>,
    unreadable: BTreeSet<Digest>,
    condemned: Condemned,
    collected: Collected,
    _turn: MutexGuard<'a, ()>,
}

impl Drop for Collection<'_> {
    fn drop(&mut self) {
        self.core.journal.watch().end();
    }
}

impl<'a> Collection<'a> {
    fn begin(core: &'a Core, pace: Pace) -> Result<Collection<'a>, StoreError> {
        let turn = core.collections.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = Batch::new();
        for name in leases::registry(core).expire(Instant::now()) {
            over.remove(Key::lease(&name));
        }
        if !over.is_empty() {
            core.journal.commit(over)?;
        }
        core.journal.watch().begin();
        let mut tables = vec![table::BLOB, table::SNAPSHOT];
        tables.extend(named::TABLES);
        let mut mark = Mark::default();
        // After `begin`, so that no hold is neither here nor noted.
        mark.add(leases::registry(core).held());
        Ok(Collection {
            core,
            pace,
            stage: Stage::Scan(tables, None),
            blobs: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            mark,
            manifests: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            condemned: Condemned::default(),
            collected: Collected::default(),
            _turn: turn,
        })
    }

    /// Does a little; says whether there is more to do.
    fn step(&mut self) -> Result<bool, StoreError> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Scan(tables, after) => self.scan(tables, after)?,
            Stage::Mark => self.mark()?,
            Stage::Weigh(open, weighed) => self.weigh(open, weighed)?,
            Stage::Judge => {
                let mut order = self.condemned.order();
                order.reverse();
                self.core.journal.watch().judge(std::mem::take(&mut self.condemned));
                Stage::Take(order)
            }
            Stage::Take(order) => self.take(order)?,
            Stage::Over => return Ok(false),
        };
        if matches!(self.stage, Stage::Over) {
            self.discard_partial()?;
        }
        Ok(true)
    }

    fn finish(mut self) -> Collected {
        let unreadable = self.unreadable().unreadable;
        Collected { unreadable, ..std::mem::take(&mut self.collected) }
    }

    /// Reads one page of rows.
    fn scan(
        &mut self,
        mut tables: Vec<&'static str>,
        after: Option<String>,
    ) -> Result<Stage, StoreError> {
        let Some(table) = tables.last().copied() else { return Ok(Stage::Mark) };
        let page = self.core.journal.page(table, after.as_deref(), self.pace.page);
        let last = page.last().map(|(key, _)| key.clone());
        for (name, bytes) in page {
            let key = Key::new(table, &name);
            match table {
                table::BLOB => {
                    if let Ok(digest) = name.parse() {
                        self.blobs.insert(digest, decode::<BlobRow>(&key, &bytes)?.size);
                    }
                }
                table::SNAPSHOT => {
                    if let Ok(chain) = name.parse() {
                        self.snapshots.insert(chain, decode(&key, &bytes)?);
                    }
                }
                _ => {
                    let named = named(&key, &bytes)?;
                    self.manifests.extend(named.manifests);
                    self.mark.add(named.things);
                }
            }
        }
        if last.is_none() {
            tables.pop();
        }
        Ok(Stage::Scan(tables, last))
    }

    /// Marks some of what is reached; when there is no more, and nothing was noted meanwhile, what is unmarked is weighed.
    fn mark(&mut self) -> Result<Stage, StoreError> {
        for _ in 0..self.pace.step {
            let Some(thing) = self.mark.next() else {
                let noted = self.core.journal.watch().noted();
                if !self.mark.add(noted) {
                    let unmarked = self.unmarked();
                    return Ok(Stage::Weigh(unmarked, BTreeMap::new()));
                }
                continue;
            };
            let targets = self.references(&thing)?;
            self.mark.add(targets);
        }
        Ok(Stage::Mark)
    }

    /// What was there at the scan and is not marked. While manifests cannot be read, that is no blob.
    fn unmarked(&self) -> Vec<Held> {
        let blobs = self.blobs.keys().copied().map(Held::Blob);
        let blobs = blobs.filter(|_| self.unreadable.is_empty());
        let snapshots = self.snapshots.keys().copied().map(Held::Snapshot);
        snapshots.chain(blobs).filter(|thing| !self.mark.is_marked(thing)).collect()
    }

    /// Reads what some of the unmarked refers to.
    fn weigh(
        &mut self,
        mut open: Vec<Held>,
        mut weighed: BTreeMap<Held, Vec<Held>>,
    ) -> Result<Stage, StoreError> {
        for _ in 0..self.pace.step {
            let Some(thing) = open.pop() else {
                self.condemned = Condemned::new(weighed);
                return Ok(Stage::Judge);
            };
            let targets = self.references(&thing)?;
            weighed.insert(thing, targets);
        }
        Ok(Stage::Weigh(open, weighed))
    }

    fn references(&mut self, thing: &Held) -> Result<Vec<Held>, StoreError> {
        let digest = match thing {
            Held::Snapshot(chain) => {
                let key = Key::snapshot(chain);
                let row = self.core.journal.get::<SnapshotRow>(&key)?;
                return Ok(row
                    .and_then(|row| row.parent)
                    .map(Held::Snapshot)
                    .into_iter()
                    .collect());
            }
            Held::Blob(digest) => digest,
        };
        match references::read(self.core, digest)? {
            Document::Manifest(targets) => Ok(targets.iter().copied().map(Held::Blob).collect()),
            Document::Other | Document::Missing => {
                if self.manifests.contains(digest) {
                    self.unreadable.insert(*digest);
                }
                Ok(Vec::new())
            }
        }
    }

    /// Takes the next slice: rows first, then files.
    fn take(&mut self, mut order: Vec<Held>) -> Result<Stage, StoreError> {
        let slice = order.split_off(order.len().saturating_sub(self.pace.slice));
        if slice.is_empty() {
            return Ok(Stage::Over);
        }
        let watch = self.core.journal.watch();
        let mut batch = Batch::new();
        batch.take(slice.into_iter().rev());
        failpoint::hit("gc.before-rows");
        let taken = self.core.journal.commit(batch).and_then(|()| {
            failpoint::hit("gc.before-files");
            let going = watch.going();
            let mut collected = std::mem::take(&mut self.collected);
            for thing in &going {
                self.record(&mut collected, thing);
            }
            self.collected = collected;
            going.iter().try_for_each(|thing| self.discard(thing))
        });
        watch.let_go();
        taken.map(|()| Stage::Take(order))
    }

    fn record(&self, collected: &mut Collected, thing: &Held) {
        match thing {
            Held::Blob(digest) => {
                let size = self.blobs.get(digest).copied().unwrap_or(0);
                collected.blobs.push(Blob { digest: *digest, size });
            }
            Held::Snapshot(chain) => {
                if let Some(row) = self.snapshots.get(chain) {
                    let (parent, size) = (row.parent, row.size);
                    collected.snapshots.push(Committed { chain: *chain, parent, size });
                }
            }
        }
    }

    fn discard(&self, thing: &Held) -> Result<(), StoreError> {
        match thing {
            Held::Blob(digest) => {
                self.core.references.forget(digest);
                self.core.trash.discard(&self.core.layout.blob(digest))
            }
            Held::Snapshot(chain) => match self.snapshots.get(chain) {
                Some(row) => self.core.trash.discard(&self.core.layout.snapshot(row.number)),
                None => Ok(()),
            },
        }
    }

    fn unreadable(&self) -> Collected {
        Collected { unreadable: self.unreadable.iter().copied().collect(), ..Collected::default() }
    }

    /// Takes the bytes of resumable blobs that nobody writes and no lease holds.
    fn discard_partial(&self) -> Result<(), StoreError> {
        let directory = self.core.layout.ingests();
        let entries = std::fs::read_dir(&directory).map_err(StoreError::io("read", &directory))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let digest = name
                .to_str()
                .and_then(|name| name.strip_suffix(".part"))
                .and_then(|name| name.replacen('-', ":", 1).parse::<Digest>().ok());
            let Some(digest) = digest else { continue };
            // Nobody begins to write it while this is locked.
            let writing = self.core.partial.lock().unwrap_or_else(PoisonError::into_inner);
            if !writing.contains(&digest)
                && !leases::registry(self.core).is_held(Held::Blob(digest))
            {
                self.core.trash.discard(&entry.path())?;
            }
        }
        Ok(())
    }
}
