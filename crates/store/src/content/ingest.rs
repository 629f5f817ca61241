//! A blob being written, not yet visible.
//!
//! Acts.

use super::Blob;
use super::staging::Staging;
use crate::StoreError;
use crate::core::{Core, Number};
use crate::journal::Batch;
use crate::leases::LeaseId;
use naru_kernel::fs;
use naru_oci::{Algorithm, Digest, Digester};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, PoisonError};

/// Bytes on their way into the store; hashed as they pass. Dropping it gives them up, unless it is resumable.
#[derive(Debug)]
pub struct Ingest {
    core: Arc<Core>,
    lease: LeaseId,
    staging: Staging,
    /// The digest of a resumable blob, whose staging file outlives this value.
    resumable: Option<Digest>,
    done: bool,
    _number: Option<Number>,
}

impl Ingest {
    pub(super) fn begin(
        core: &Arc<Core>,
        lease: LeaseId,
        algorithm: Algorithm,
    ) -> Result<Ingest, StoreError> {
        let number = Number::next(&core.numbers);
        let path = core.layout.ingest(number.get());
        let file = fs::create_new(&path, 0o600).map_err(StoreError::io("create", &path))?;
        Ok(Ingest {
            core: Arc::clone(core),
            lease,
            staging: Staging::new(file, path, Digester::new(algorithm), 0),
            resumable: None,
            done: false,
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
                let size = digester.read(&mut file)?;
                Ok((file, digester, size))
            });
        match opened {
            Ok((file, digester, size)) => Ok(Ingest {
                core: Arc::clone(core),
                lease,
                staging: Staging::new(file, path, digester, size),
                resumable: Some(digest),
                done: false,
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
        let path = &self.staging.path;
        File::open(path).map_err(StoreError::io("open", path))
    }

    /// How many bytes are there.
    pub fn offset(&self) -> u64 {
        self.staging.size
    }

    /// The digest of the bytes so far.
    pub fn digest(&self) -> Digest {
        self.staging.digest()
    }

    /// Gives up a resumable blob's bytes, too.
    pub fn discard(mut self) {
        self.forget_bytes();
    }

    /// Makes the blob durable and visible. With a digest, only if the bytes have it.
    pub fn commit(self, expected: Option<Digest>) -> Result<Blob, StoreError> {
        self.commit_with(expected, |_, _| ())
    }

    /// [`Ingest::commit`] together with further changes, which rely on the blob: one flush for all.
    pub fn commit_with(
        mut self,
        expected: Option<Digest>,
        more: impl FnOnce(&Blob, &mut Batch),
    ) -> Result<Blob, StoreError> {
        let digest = self.staging.digest_as(expected.or(self.resumable))?;
        for promised in [expected, self.resumable].into_iter().flatten() {
            if promised != digest {
                // The bytes are wrong, so going on from them would be, too.
                self.forget_bytes();
                return Err(StoreError::Mismatch { expected: promised, found: digest });
            }
        }
        let blob = self.staging.publish(&self.core, self.lease, digest, more)?;
        self.done = true;
        Ok(blob)
    }

    /// [`Ingest::commit_with`] that can be tried again when the changes were refused.
    pub(crate) fn try_commit(
        &mut self,
        more: &mut dyn FnMut(&Blob, &mut Batch),
    ) -> Result<Blob, StoreError> {
        let digest = self.staging.digest();
        let blob = self.staging.publish(&self.core, self.lease, digest, more)?;
        self.done = true;
        Ok(blob)
    }

    fn forget_bytes(&mut self) {
        self.staging.forget();
        self.done = true;
    }
}

/// Removes the file of a resumable blob, unless somebody writes it.
pub(super) fn forget(core: &Core, digest: &Digest) -> Result<(), StoreError> {
    // Nobody begins to write it while the lock is held.
    let busy = core.partial.lock().unwrap_or_else(PoisonError::into_inner);
    if busy.contains(digest) {
        return Ok(());
    }
    let path = core.layout.partial(digest);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.staging.write(bytes)
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
            None if !self.done => self.forget_bytes(),
            None => {}
        }
    }
}
