//! Acts: every blob against its digest.

use super::{Check, Damage, commit, in_words};
use crate::StoreError;
use crate::journal::Batch;
use crate::schema::Key;
use naru_oci::Digester;
use std::fs::File;
use std::io;

impl Check<'_> {
    pub(super) fn blobs(&mut self) -> Result<(), StoreError> {
        for blob in self.store.content.list()? {
            let path = self.core().layout.blob(&blob.digest);
            let mut digester = Digester::new(blob.digest.algorithm());
            let found = File::open(&path).and_then(|mut file| digester.read(&mut file));
            let message = match found {
                Ok(size) if size == blob.size && digester.finish() == blob.digest => continue,
                Ok(size) if size != blob.size => {
                    format!("blob `{}` has {size} bytes instead of {}", blob.digest, blob.size)
                }
                Ok(_) => format!("the bytes of blob `{}` do not have its digest", blob.digest),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    format!("the bytes of blob `{}` are missing", blob.digest)
                }
                Err(error) => format!("blob `{}` cannot be read: {error}", blob.digest),
            };
            if !self.store.content.has(&blob.digest) {
                // Removed meanwhile.
                continue;
            }
            self.bad_blobs.insert(blob.digest);
            self.find(Damage::Blob, message, |store| {
                let mut batch = Batch::new();
                batch.remove(Key::blob(&blob.digest));
                let done = commit(store, batch, "dropped it")?;
                store.core.trash.discard(&path).map_err(|error| in_words(&error))?;
                Ok(done)
            });
        }
        Ok(())
    }
}
