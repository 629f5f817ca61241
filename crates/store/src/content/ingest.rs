//! A blob being written, not yet visible.
//!
//! Acts, in the one order that survives a power cut:
//!
//! ```text
//! staging file ─▶ digest compared ─▶ fsync ─▶ rename ─▶ directory fsync ─▶ row ─▶ acknowledged
//! ```

use super::{Blob, BlobRow};
use crate::StoreError;
use crate::core::{Core, Number};
use crate::journal::Batch;
use crate::leases::{self, Held, LeaseId};
use crate::schema::Key;
use naru_kernel::{failpoint, fs};
use naru_oci::{Algorithm, Digest, Digester};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

/// Bytes on their way into the store; hashed as they pass. Dropping it gives them up, unless it is resumable.
#[derive(Debug)]
pub struct Ingest {
    core: Arc<Core>,
    lease: LeaseId,
    file: File,
    path: PathBuf,
    digester: Digester,
    size: u64,
    /// The digest of a resumable blob, whose staging file outlives this value.
    resumable: Option<Digest>,
    committed: bool,
    _number: Option<Number>,
}

impl Ingest {
    pub(super) fn begin(core: &Arc<Core>, lease: LeaseId) -> Result<Ingest, StoreError> {
        let number = Number::next(&core.numbers);
        let path = core.layout.ingest(number.get());
        let file = fs::create_new(&path, 0o600).map_err(StoreError::io("create", &path))?;
        Ok(Ingest {
            core: Arc::clone(core),
            lease,
            file,
            path,
            digester: Digester::new(Algorithm::Sha256),
            size: 0,
            resumable: None,
            committed: false,
            _number: Some(number),
        })
    }

    pub(super) fn resume(
        core: &Arc<Core>,
        lease: LeaseId,
        digest: Digest,
    ) -> Result<Ingest, StoreError> {
        if !core.partial.lock().unwrap_or_else(PoisonError::into_inner).insert(digest) {
            return Err(StoreError::Busy { digest });
        }
        let path = core.layout.partial(&digest);
        let opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| {
                // What is there is hashed again: nothing vouches for it but the digest of the whole.
                let mut digester = Digester::new(digest.algorithm());
                let size = hash(&mut file, &mut digester)?;
                Ok((file, digester, size))
            });
        match opened {
            Ok((file, digester, size)) => Ok(Ingest {
                core: Arc::clone(core),
                lease,
                file,
                path,
                digester,
                size,
                resumable: Some(digest),
                committed: false,
                _number: None,
            }),
            Err(source) => {
                core.partial.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
                Err(StoreError::io("open", &path)(source))
            }
        }
    }

    /// The bytes so far, to be read while more come: the reader sees what is written, and goes on to see it when the
    /// blob is committed.
    pub fn reader(&self) -> Result<File, StoreError> {
        File::open(&self.path).map_err(StoreError::io("open", &self.path))
    }

    /// How many bytes are there.
    pub fn offset(&self) -> u64 {
        self.size
    }

    /// The digest of the bytes so far.
    pub fn digest(&self) -> Digest {
        self.digester.clone().finish()
    }

    /// Gives up a resumable blob's bytes, too.
    pub fn discard(mut self) {
        self.forget_bytes();
    }

    /// Makes the blob durable and visible. With a digest, only if the bytes have it.
    pub fn commit(mut self, expected: Option<Digest>) -> Result<Blob, StoreError> {
        let digest = match expected.or(self.resumable) {
            // A promise in another algorithm is checked by reading the bytes again.
            Some(expected) if expected.algorithm() != self.digest().algorithm() => {
                self.rehash(expected.algorithm())?;
                self.digest()
            }
            _ => self.digest(),
        };
        for promised in [expected, self.resumable].into_iter().flatten() {
            if promised != digest {
                // The bytes are wrong, so going on from them would be, too.
                self.forget_bytes();
                return Err(StoreError::Mismatch { expected: promised, found: digest });
            }
        }
        let blob = Blob { digest, size: self.size };
        let mut batch = Batch::new();
        // Held first, then looked for: the collector takes nothing that is held.
        leases::hold(&self.core, self.lease, Held::Blob(digest), &mut batch)?;
        let key = Key::blob(&digest);
        if self.core.journal.contains(&key) && self.is_stored(&blob) {
            self.forget_bytes();
            if !batch.is_empty() {
                self.core.journal.commit(batch)?;
            }
            return Ok(blob);
        }
        let target = self.core.layout.blob(&digest);
        failpoint::hit("ingest.before-sync");
        self.file
            .set_permissions(PermissionsExt::from_mode(0o400))
            .and_then(|()| self.file.sync_all())
            .map_err(StoreError::io("sync", &self.path))?;
        failpoint::hit("ingest.before-rename");
        std::fs::rename(&self.path, &target).map_err(StoreError::io("rename", &self.path))?;
        self.committed = true;
        failpoint::hit("ingest.before-directory-sync");
        let directory = target.parent().unwrap_or(Path::new("/"));
        fs::sync_dir(directory).map_err(StoreError::io("sync", directory))?;
        failpoint::hit("ingest.before-row");
        batch.put(key.clone(), &BlobRow { size: self.size });
        let committed = self.core.journal.commit(batch);
        if committed.is_err() && !self.core.journal.contains(&key) {
            // A file without a row is swept at the next open; now is better, for the space.
            drop(std::fs::remove_file(&target));
        }
        failpoint::hit("ingest.after-row");
        committed.map(|()| blob)
    }

    /// Whether the blob's file is there with the right size; a lost one is written again.
    fn is_stored(&self, blob: &Blob) -> bool {
        std::fs::metadata(self.core.layout.blob(&blob.digest))
            .is_ok_and(|stored| stored.is_file() && stored.len() == blob.size)
    }

    fn rehash(&mut self, algorithm: Algorithm) -> Result<(), StoreError> {
        let mut digester = Digester::new(algorithm);
        File::open(&self.path)
            .and_then(|mut file| hash(&mut file, &mut digester))
            .map_err(StoreError::io("read", &self.path))?;
        self.digester = digester;
        Ok(())
    }

    fn forget_bytes(&mut self) {
        // What cannot be removed now is swept at the next open.
        drop(std::fs::remove_file(&self.path));
        self.committed = true;
    }
}

/// Hashes a file to its end.
pub(crate) fn hash(file: &mut File, digester: &mut Digester) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut size: u64 = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(size);
        }
        digester.update(buffer.get(..count).unwrap_or_default());
        size += u64::try_from(count).unwrap_or(0);
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.digester.update(bytes.get(..count).unwrap_or_default());
        self.size += u64::try_from(count).unwrap_or(0);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        match self.resumable {
            Some(digest) => {
                self.core.partial.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
            }
            None if !self.committed => self.forget_bytes(),
            None => {}
        }
    }
}
