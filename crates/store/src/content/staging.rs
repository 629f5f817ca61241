//! The staging file of a blob, and how it becomes the blob.
//!
//! Acts, in the one order that survives a power cut:
//!
//! ```text
//! staging file ─▶ digest compared ─▶ fsync ─▶ rename ─▶ directory fsync ─▶ row ─▶ acknowledged
//! ```

use super::{Blob, BlobRow};
use crate::StoreError;
use crate::core::Core;
use crate::gc;
use crate::journal::Batch;
use crate::leases::{self, Held, LeaseId};
use crate::schema::Key;
use naru_kernel::{failpoint, fs};
use naru_oci::{Algorithm, Digest, Digester};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

/// After so many bytes the disk begins to take them, so that the last sync has little left to wait for.
const WRITE_BACK: u64 = 8 << 20;

/// A file that grows at its end and is hashed as it does.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) digester: Digester,
    pub(super) size: u64,
    /// Up to where the disk was told to begin.
    behind: u64,
}

impl Staging {
    /// A file as it is, already hashed.
    pub(super) fn new(file: File, path: PathBuf, digester: Digester, size: u64) -> Staging {
        Staging { file, path, digester, size, behind: size }
    }

    /// The digest of the bytes so far.
    pub(super) fn digest(&self) -> Digest {
        self.digester.clone().finish()
    }

    /// The digest of the bytes in the algorithm of the expected one. Another algorithm than the one that was hashed with
    /// costs reading the bytes again.
    pub(super) fn digest_as(&mut self, expected: Option<Digest>) -> Result<Digest, StoreError> {
        let digest = self.digest();
        match expected {
            Some(expected) if expected.algorithm() != digest.algorithm() => {
                self.rehash(expected.algorithm())?;
                Ok(self.digest())
            }
            _ => Ok(digest),
        }
    }

    fn rehash(&mut self, algorithm: Algorithm) -> Result<(), StoreError> {
        let mut digester = Digester::new(algorithm);
        File::open(&self.path)
            .and_then(|mut file| digester.read(&mut file))
            .map_err(StoreError::io("read", &self.path))?;
        self.digester = digester;
        Ok(())
    }

    /// Makes the file the blob of its digest, durable and visible, together with further changes. When it fails, the
    /// staging file is where it was.
    pub(super) fn publish(
        &self,
        core: &Core,
        lease: LeaseId,
        digest: Digest,
        more: impl FnOnce(&Blob, &mut Batch),
    ) -> Result<Blob, StoreError> {
        let blob = Blob { digest, size: self.size };
        let mut batch = Batch::new();
        // Held first, then looked for: the collector takes nothing that is held.
        leases::hold(core, lease, Held::Blob(digest), &mut batch)?;
        // Whoever brings the same blob at the same time waits, and finds it.
        let _turn = core.publishing.enter(digest);
        let key = Key::blob(&digest);
        if core.journal.contains(&key) && is_stored(core, &blob) {
            more(&blob, &mut batch);
            if !batch.is_empty() {
                core.journal.commit(batch)?;
            }
            self.forget();
            return Ok(blob);
        }
        let target = core.layout.blob(&digest);
        failpoint::hit("ingest.before-sync");
        self.file
            .set_permissions(PermissionsExt::from_mode(0o400))
            .and_then(|()| self.file.sync_all())
            .map_err(StoreError::io("sync", &self.path))?;
        failpoint::hit("ingest.before-rename");
        std::fs::rename(&self.path, &target).map_err(StoreError::io("rename", &self.path))?;
        failpoint::hit("ingest.before-directory-sync");
        let directory = target.parent().unwrap_or(Path::new("/"));
        let recorded =
            fs::sync_dir(directory).map_err(StoreError::io("sync", directory)).and_then(|()| {
                failpoint::hit("ingest.before-row");
                batch.put(key.clone(), &BlobRow { size: self.size });
                gc::announce(&blob, &target, &mut batch);
                more(&blob, &mut batch);
                core.journal.commit(batch)
            });
        if let Err(error) = recorded {
            if !core.journal.contains(&key) {
                // A file without a row is not there. If this fails, too, the next open sweeps it.
                drop(
                    std::fs::rename(&target, &self.path)
                        .and_then(|()| self.file.set_permissions(PermissionsExt::from_mode(0o600))),
                );
            }
            return Err(error);
        }
        failpoint::hit("ingest.after-row");
        Ok(blob)
    }

    /// Removes the file. What cannot be removed now is swept at the next open.
    pub(super) fn forget(&self) {
        drop(std::fs::remove_file(&self.path));
    }
}

impl Write for Staging {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.digester.update(bytes.get(..count).unwrap_or_default());
        self.size += u64::try_from(count).unwrap_or(0);
        if self.size - self.behind >= WRITE_BACK {
            // Only a head start: what it does not do, the sync does.
            drop(fs::start_writeback(&self.file, self.behind, self.size - self.behind));
            self.behind = self.size;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the blob's file is there with the right size; a lost one is written again.
fn is_stored(core: &Core, blob: &Blob) -> bool {
    std::fs::metadata(core.layout.blob(&blob.digest))
        .is_ok_and(|stored| stored.is_file() && stored.len() == blob.size)
}

/// The digests that are being published; one at a time each.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    now: Mutex<BTreeSet<Digest>>,
    left: Condvar,
}

/// The turn of one publisher; it ends when dropped.
#[derive(Debug)]
struct Turn<'a> {
    of: &'a Publishing,
    digest: Digest,
}

impl Publishing {
    fn enter(&self, digest: Digest) -> Turn<'_> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        while !now.insert(digest) {
            now = self.left.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { of: self, digest }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.of.now.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.digest);
        self.of.left.notify_all();
    }
}
