//! Garbage collection: takes what no image, container, lease or repository holds.
//!
//! Acts. It runs beside everything else. The leases stay locked from the mark to the removal of the files, so nothing
//! can be found and held in between; and the rows are taken away only if no row that refers to others has changed
//! since the mark, or the mark is made again.

mod mark;

use crate::content::BlobRow;
use crate::core::Core;
use crate::images::{ImageRow, NameRow};
use crate::journal::{Batch, Rows, decode, list_bytes};
use crate::leases::{self, Held, LeaseRow};
use crate::schema::{Key, table};
use crate::snapshots::{ActiveRow, SnapshotRow};
use crate::{Blob, Committed, Store, StoreError};
use mark::mark;
use naru_kernel::failpoint;
use naru_oci::{ChainId, Digest, ManifestOrIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Longer documents are no manifests.
pub(crate) const LARGEST_MANIFEST: u64 = 4 << 20;
/// How often a mark is made again because rows changed meanwhile.
const PATIENCE: u32 = 50;

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

impl Store {
    /// Removes everything that nobody holds.
    pub fn collect(&self) -> Result<Collected, StoreError> {
        collect(&self.core)
    }
}

pub(crate) fn collect(core: &Arc<Core>) -> Result<Collected, StoreError> {
    let mut registry = leases::registry(core);
    let mut over = Batch::new();
    for name in registry.expire(Instant::now()) {
        over.remove(Key::lease(&name));
    }
    if !over.is_empty() {
        core.journal.commit(over)?;
    }
    let held = registry.held();
    let mut tries = 0;
    let collected = loop {
        let (rows, generation) = core.journal.snapshot();
        let graph = Graph::read(core, &rows)?;
        let marked = mark(graph.roots(&held), |node| graph.references(node));
        let unreadable = graph.unreadable.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut collected =
            Collected { unreadable: unreadable.into_iter().collect(), ..Collected::default() };
        let mut batch = Batch::new();
        batch.only_at(generation);
        let mut numbers = Vec::new();
        for (chain, row) in &graph.snapshots {
            if !marked.contains(&Held::Snapshot(*chain)) {
                batch.remove(Key::snapshot(chain));
                numbers.push(row.number);
                collected.snapshots.push(Committed {
                    chain: *chain,
                    parent: row.parent,
                    size: row.size,
                });
            }
        }
        if collected.unreadable.is_empty() {
            for (digest, row) in &graph.blobs {
                if !marked.contains(&Held::Blob(*digest)) {
                    batch.remove(Key::blob(digest));
                    collected.blobs.push(Blob { digest: *digest, size: row.size });
                }
            }
        }
        if batch.is_empty() {
            break collected;
        }
        failpoint::hit("gc.before-rows");
        match core.journal.commit(batch) {
            Ok(()) => {}
            Err(StoreError::Stale) if tries < PATIENCE => {
                tries += 1;
                continue;
            }
            Err(error) => return Err(error),
        }
        failpoint::hit("gc.before-files");
        for blob in &collected.blobs {
            core.trash.discard(&core.layout.blob(&blob.digest))?;
        }
        for number in numbers {
            core.trash.discard(&core.layout.snapshot(number))?;
        }
        break collected;
    };
    discard_partial(core, &held)?;
    Ok(collected)
}

/// Takes the bytes of resumable blobs that nobody writes and no lease holds.
fn discard_partial(core: &Core, held: &BTreeSet<Held>) -> Result<(), StoreError> {
    let writing = core.partial.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = core.layout.ingests();
    let entries = std::fs::read_dir(&directory).map_err(StoreError::io("read", &directory))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let digest = name
            .to_str()
            .and_then(|name| name.strip_suffix(".part"))
            .and_then(|name| name.replacen('-', ":", 1).parse::<Digest>().ok());
        if let Some(digest) = digest
            && !writing.contains(&digest)
            && !held.contains(&Held::Blob(digest))
        {
            core.trash.discard(&entry.path())?;
        }
    }
    Ok(())
}

/// What refers to what, read from the rows and, for manifests, from the blobs.
struct Graph<'a> {
    core: &'a Core,
    blobs: BTreeMap<Digest, BlobRow>,
    snapshots: BTreeMap<ChainId, SnapshotRow>,
    roots: BTreeSet<Held>,
    /// Manifests that images need and that cannot be read.
    unreadable: std::sync::Mutex<BTreeSet<Digest>>,
    manifests: BTreeSet<Digest>,
}

impl<'a> Graph<'a> {
    fn read(core: &'a Core, rows: &Rows) -> Result<Graph<'a>, StoreError> {
        let mut graph = Graph {
            core,
            blobs: read(rows, table::BLOB)?,
            snapshots: read(rows, table::SNAPSHOT)?,
            roots: BTreeSet::new(),
            unreadable: std::sync::Mutex::default(),
            manifests: BTreeSet::new(),
        };
        for (_, image) in read::<String, ImageRow>(rows, table::IMAGE)? {
            graph.manifests.extend([image.manifest, image.target.digest]);
            graph.roots.insert(Held::Blob(image.config));
            graph.roots.extend(image.chain.map(Held::Snapshot));
        }
        for (_, name) in read::<String, NameRow>(rows, table::NAME)? {
            graph.manifests.insert(name.target.digest);
        }
        for (_, active) in read::<String, ActiveRow>(rows, table::ACTIVE)? {
            graph.roots.extend(active.parent.map(Held::Snapshot));
        }
        for (_, lease) in read::<String, LeaseRow>(rows, table::LEASE)? {
            graph.roots.extend(lease.holds);
        }
        for (key, _) in list_bytes(rows, table::MEMBER) {
            let digest = key.rsplit_once('@').and_then(|(_, digest)| digest.parse().ok());
            graph.roots.extend(digest.map(Held::Blob));
        }
        Ok(graph)
    }

    fn roots(&self, held: &BTreeSet<Held>) -> Vec<Held> {
        let manifests = self.manifests.iter().copied().map(Held::Blob);
        manifests.chain(self.roots.iter().copied()).chain(held.iter().copied()).collect()
    }

    fn references(&self, node: &Held) -> Vec<Held> {
        match node {
            Held::Snapshot(chain) => self
                .snapshots
                .get(chain)
                .and_then(|row| row.parent)
                .map(Held::Snapshot)
                .into_iter()
                .collect(),
            Held::Blob(digest) => {
                let Some(row) = self.blobs.get(digest) else {
                    self.missed(digest);
                    return Vec::new();
                };
                if row.size > LARGEST_MANIFEST {
                    return Vec::new();
                }
                match std::fs::read(self.core.layout.blob(digest)) {
                    Ok(bytes)
                        if bytes.first() != Some(&b'{') && !self.manifests.contains(digest) =>
                    {
                        Vec::new()
                    }
                    Ok(bytes) => match ManifestOrIndex::parse(&bytes) {
                        Ok(document) => targets(&document).into_iter().map(Held::Blob).collect(),
                        Err(_) => {
                            self.missed(digest);
                            Vec::new()
                        }
                    },
                    Err(_) => {
                        self.missed(digest);
                        Vec::new()
                    }
                }
            }
        }
    }

    /// Notes a manifest that an image needs; anything else that is no manifest is fine.
    fn missed(&self, digest: &Digest) {
        if self.manifests.contains(digest) {
            self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest);
        }
    }
}

/// The blobs that a manifest or an index refers to.
pub(crate) fn targets(document: &ManifestOrIndex) -> Vec<Digest> {
    match document {
        ManifestOrIndex::Manifest(manifest) => std::iter::once(manifest.config.digest)
            .chain(manifest.layers.iter().map(|layer| layer.digest))
            .chain(manifest.subject.iter().map(|subject| subject.digest))
            .collect(),
        ManifestOrIndex::Index(index) => {
            index.manifests.iter().map(|manifest| manifest.digest).collect()
        }
    }
}

fn read<K: std::str::FromStr + Ord, T: crate::row::Row>(
    rows: &Rows,
    table: &str,
) -> Result<BTreeMap<K, T>, StoreError> {
    let mut map = BTreeMap::new();
    for (key, bytes) in list_bytes(rows, table) {
        let value = decode(&Key::new(table, &key), &bytes)?;
        if let Ok(key) = key.parse() {
            map.insert(key, value);
        }
    }
    Ok(map)
}
