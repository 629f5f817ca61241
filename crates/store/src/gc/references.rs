//! What a blob refers to, read once from its bytes.
//!
//! Acts: reads files. Content never changes under its digest, so what was read of a document stays true; it is kept up to a
//! bound. Nothing is read while a lock is held.

use crate::content::BlobRow;
use crate::core::Core;
use crate::journal::Batch;
use crate::leases::Held;
use crate::schema::Key;
use crate::{Blob, StoreError};
use naru_oci::{Digest, ManifestOrIndex};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Longer documents are no manifests.
pub(crate) const LARGEST_MANIFEST: u64 = 4 << 20;
/// How many digests are kept in memory, of documents and of what they refer to.
const REMEMBERED: usize = 16 << 10;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct References(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    targets: BTreeMap<Digest, Arc<[Digest]>>,
    digests: usize,
}

impl References {
    fn get(&self, digest: &Digest) -> Option<Arc<[Digest]>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.targets.get(digest).map(Arc::clone)
    }

    fn put(&self, digest: Digest, targets: &Arc<[Digest]>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = targets.len() + 1;
        if known.digests + count > REMEMBERED {
            // What is used often is soon there again.
            *known = Known::default();
        }
        if count <= REMEMBERED && known.targets.insert(digest, Arc::clone(targets)).is_none() {
            known.digests += count;
        }
    }

    pub(super) fn forget(&self, digest: &Digest) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(targets) = known.targets.remove(digest) {
            known.digests -= targets.len() + 1;
        }
    }
}

/// What a blob says.
pub(super) enum Document {
    /// A manifest or an index, which refers to these.
    Manifest(Arc<[Digest]>),
    /// Something else.
    Other,
    /// It is not there, or its bytes are not.
    Missing,
}

/// What a blob refers to.
pub(super) fn read(core: &Core, digest: &Digest) -> Result<Document, StoreError> {
    if let Some(targets) = core.references.get(digest) {
        return Ok(Document::Manifest(targets));
    }
    match core.journal.get::<BlobRow>(&Key::blob(digest))? {
        None => return Ok(Document::Missing),
        Some(row) if row.size > LARGEST_MANIFEST => return Ok(Document::Other),
        Some(_) => {}
    }
    Ok(match parse(&core.layout.blob(digest)) {
        Err(_) => Document::Missing,
        Ok(None) => Document::Other,
        Ok(Some(targets)) => {
            core.references.put(*digest, &targets);
            Document::Manifest(targets)
        }
    })
}

/// Names what a new blob refers to in the batch that makes it visible, so that a collection under way learns of it.
pub(crate) fn announce(blob: &Blob, path: &Path, batch: &mut Batch) {
    if blob.size <= LARGEST_MANIFEST
        && let Ok(Some(targets)) = parse(path)
    {
        batch.names(targets.iter().copied().map(Held::Blob));
    }
}

/// The targets of a document of at most [`LARGEST_MANIFEST`] bytes; none when it is no manifest.
fn parse(path: &Path) -> io::Result<Option<Arc<[Digest]>>> {
    let mut file = File::open(path)?;
    let mut bytes = vec![0];
    // Most blobs are layers, and their first byte says so.
    if file.read(&mut bytes)? == 0 || !bytes.first().is_some_and(|first| is_json(*first)) {
        return Ok(None);
    }
    file.take(LARGEST_MANIFEST).read_to_end(&mut bytes)?;
    Ok(ManifestOrIndex::parse(&bytes).ok().map(|document| targets(&document).into()))
}

/// Whether a JSON object may start with this byte.
fn is_json(byte: u8) -> bool {
    matches!(byte, b'{' | b' ' | b'\n' | b'\r' | b'\t')
}

/// The blobs that a manifest or an index refers to.
fn targets(document: &ManifestOrIndex) -> Vec<Digest> {
    match document {
        ManifestOrIndex::Manifest(manifest) => std::iter::once(manifest.config.digest)
            .chain(manifest.layers.iter().map(|layer| layer.digest))
            .chain(manifest.subject.iter().map(|subject| subject.digest))
            .collect(),
        ManifestOrIndex::Index(index) => index
            .manifests
            .iter()
            .map(|manifest| manifest.digest)
            .chain(index.subject.iter().map(|subject| subject.digest))
            .collect(),
    }
}
