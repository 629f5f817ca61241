//! Committed blobs, by digest.
//!
//! Acts. A blob is there when its row is; its file is then whole, durable and never changes.

mod ingest;
mod staging;
mod upload;

pub use ingest::Ingest;
pub(crate) use staging::Publishing;
pub(crate) use upload::Sessions;
pub use upload::{Upload, UploadInfo};

use crate::StoreError;
use crate::core::Core;
use crate::leases::LeaseId;
use crate::row::Row;
use crate::schema::{Key, table};
use naru_kernel::mapped::MappedFile;
use naru_oci::{Algorithm, Digest};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is stored about a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlobRow {
    pub(crate) size: u64,
}

impl Row for BlobRow {
    const VERSION: u8 = 1;
}

/// A committed blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blob {
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// Committed blobs.
#[derive(Debug, Clone)]
pub struct Content {
    core: Arc<Core>,
}

impl Content {
    pub(crate) fn new(core: Arc<Core>) -> Content {
        Content { core }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Whether a blob is there.
    pub fn has(&self, digest: &Digest) -> bool {
        self.core.journal.contains(&Key::blob(digest))
    }

    /// The size of a blob.
    pub fn size(&self, digest: &Digest) -> Result<u64, StoreError> {
        match self.core.journal.get::<BlobRow>(&Key::blob(digest))? {
            Some(row) => Ok(row.size),
            None => Err(StoreError::NoBlob { digest: *digest }),
        }
    }

    /// A blob's bytes, to be read.
    pub fn open(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.path(digest)?;
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // It may have been collected since its row was seen.
                self.path(digest)?;
                Err(StoreError::LostBlob { digest: *digest })
            }
            Err(source) => Err(StoreError::io("open", &path)(source)),
        }
    }

    /// All bytes of a blob that has at most `limit` of them.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let size = self.size(digest)?;
        if size > limit {
            return Err(StoreError::TooLarge { digest: *digest, size, limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.open(digest)?
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(StoreError::io("read", &self.core.layout.blob(digest)))?;
        Ok(bytes)
    }

    /// A blob's bytes as memory that the kernel fills when it is read, so that they can be sent without being copied.
    pub fn map(&self, digest: &Digest) -> Result<MappedFile, StoreError> {
        let path = self.core.layout.blob(digest);
        let file = self.open(digest)?;
        MappedFile::of_unchanging(file).map_err(StoreError::io("map", &path))
    }

    /// Where a blob's bytes lie.
    pub fn path(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        if self.has(digest) {
            Ok(self.core.layout.blob(digest))
        } else {
            Err(StoreError::NoBlob { digest: *digest })
        }
    }

    /// All blobs, by digest.
    pub fn list(&self) -> Result<Vec<Blob>, StoreError> {
        Ok(self
            .core
            .journal
            .list::<BlobRow>(table::BLOB)?
            .into_iter()
            .filter_map(|(key, row)| Some(Blob { digest: key.parse().ok()?, size: row.size }))
            .collect())
    }

    /// Begins to write a blob under a lease.
    pub fn ingest(&self, lease: &LeaseId) -> Result<Ingest, StoreError> {
        Ingest::begin(&self.core, *lease, Algorithm::Sha256)
    }

    /// [`Content::ingest`] of a blob whose digest will be of another algorithm.
    pub fn ingest_as(&self, lease: &LeaseId, algorithm: Algorithm) -> Result<Ingest, StoreError> {
        Ingest::begin(&self.core, *lease, algorithm)
    }

    /// Begins an upload session of a repository, hashed by an algorithm as it arrives.
    pub fn begin_upload(
        &self,
        repository: &str,
        algorithm: Algorithm,
    ) -> Result<Upload, StoreError> {
        Upload::begin(&self.core, repository, algorithm)
    }

    /// Goes on with an upload session of a repository. Fails with `NoUpload` when there is none of this number, with
    /// `UploadBusy` when somebody writes it now.
    pub fn open_upload(&self, repository: &str, id: &str) -> Result<Upload, StoreError> {
        Upload::open(&self.core, repository, id)
    }

    /// How many bytes of an upload session have arrived.
    pub fn upload_size(&self, repository: &str, id: &str) -> Result<u64, StoreError> {
        upload::size(&self.core, repository, id)
    }

    /// The upload sessions of a repository, with how many bytes have arrived: of one that somebody writes now, those that it had when
    /// it was taken up. Looks at no file.
    pub fn uploads_of(&self, repository: &str) -> Vec<(String, u64)> {
        upload::sizes(&self.core, repository)
    }

    /// All upload sessions.
    pub fn uploads(&self) -> Result<Vec<UploadInfo>, StoreError> {
        upload::list(&self.core)
    }

    /// Ends upload sessions that nobody writes and that got nothing for so long; says how many they were, and how many bytes
    /// they had.
    pub fn sweep_uploads(&self, older_than: Duration) -> Result<(u64, u64), StoreError> {
        upload::sweep(&self.core, older_than)
    }

    /// Gives up what is there of a resumable blob, unless somebody writes it.
    pub fn forget(&self, digest: &Digest) -> Result<(), StoreError> {
        ingest::forget(&self.core, digest)
    }

    /// Goes on writing a blob whose digest is known, from where an earlier writer stopped, even before a restart.
    pub fn resume(&self, lease: &LeaseId, digest: &Digest) -> Result<Ingest, StoreError> {
        Ingest::resume(&self.core, *lease, *digest)
    }

    /// Writes a small blob in one go.
    pub fn put(&self, lease: &LeaseId, bytes: &[u8]) -> Result<Blob, StoreError> {
        let mut ingest = self.ingest(lease)?;
        io::Write::write_all(&mut ingest, bytes)
            .map_err(StoreError::io("write", &self.core.layout.ingests()))?;
        ingest.commit(None)
    }
}
