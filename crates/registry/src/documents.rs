//! Manifests that were read lately. Acts: reads them from the store.

use crate::problem::Problem;
use bytes::Bytes;
use naru_oci::Digest;
use naru_store::Content;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The longest manifest (distribution-spec, "Pushing manifests": at least 4 MiB).
pub(crate) const MANIFEST_LIMIT: u64 = 4 << 20;
/// All that are remembered together.
const REMEMBERED: usize = 4 << 20;
/// Longer ones are read each time.
const SHORT: usize = 64 << 10;

/// Bytes of manifests by digest: what a digest names never changes, so nothing has to be forgotten but for the room.
#[derive(Debug)]
pub(crate) struct Documents {
    content: Content,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    bytes: HashMap<Digest, Bytes>,
    size: usize,
}

impl Documents {
    pub(crate) fn new(content: Content) -> Documents {
        Documents { content, known: Mutex::default() }
    }

    /// The bytes of a manifest.
    pub(crate) fn read(&self, digest: &Digest) -> Result<Bytes, Problem> {
        let known =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).bytes.get(digest).cloned();
        if let Some(bytes) = known {
            return Ok(bytes);
        }
        let bytes = Bytes::from(self.content.read(digest, MANIFEST_LIMIT)?);
        self.keep(digest, &bytes);
        Ok(bytes)
    }

    /// Remembers the bytes of a manifest.
    pub(crate) fn keep(&self, digest: &Digest, bytes: &Bytes) {
        if bytes.len() > SHORT {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.size + bytes.len() > REMEMBERED {
            *known = Known::default();
        }
        if known.bytes.insert(*digest, bytes.clone()).is_none() {
            known.size += bytes.len();
        }
    }

    /// Lets go of everything.
    pub(crate) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Known::default();
    }
}
