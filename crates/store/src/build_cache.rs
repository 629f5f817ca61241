//! The build cache: what a vertex of a build made, by its key.
//!
//! Acts. A row holds its snapshot and its layer's blob, so that the collector leaves them alone until the row goes.

use crate::StoreError;
use crate::core::Core;
use crate::journal::Batch;
use crate::leases::Held;
use crate::row::Row;
use crate::schema::{Key, table};
use naru_oci::{ChainId, Descriptor, DiffId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a vertex made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedStep {
    /// The file system after it; none when there is no layer at all yet.
    #[serde(default)]
    pub chain: Option<ChainId>,
    /// The file system before it.
    #[serde(default)]
    pub parent: Option<ChainId>,
    /// The layer that it made; none when it changed nothing that a layer holds.
    #[serde(default)]
    pub layer: Option<CachedLayer>,
    /// What made it, for people.
    #[serde(default)]
    pub description: String,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub created: u64,
    /// When it was used last, in seconds since 1970.
    #[serde(default)]
    pub last_used: u64,
    /// How often it was used.
    #[serde(default)]
    pub uses: u64,
    /// The key by what was copied, when the row's own key is by where that comes from.
    #[serde(default)]
    pub content_key: Option<String>,
}

/// A layer of the build cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedLayer {
    /// The blob.
    pub blob: Descriptor,
    /// The digest of the blob's content.
    pub diff_id: DiffId,
    /// Unpacked bytes.
    pub size: u64,
}

impl Row for CachedStep {
    const VERSION: u8 = 1;
}

impl CachedStep {
    pub(crate) fn holds(&self) -> impl Iterator<Item = Held> {
        let layer = self.layer.as_ref().map(|layer| Held::Blob(layer.blob.digest));
        self.chain.map(Held::Snapshot).into_iter().chain(layer)
    }
}

/// The build cache.
#[derive(Debug, Clone)]
pub struct BuildCache {
    core: Arc<Core>,
}

impl Batch {
    /// Records what a vertex made. Its snapshot and blob must be there and held by a lease.
    pub fn put_cached_step(&mut self, key: &str, step: &CachedStep) {
        self.put(Key::cached_step(key), step);
    }

    /// Forgets what a vertex made; fine when it is not there.
    pub fn remove_cached_step(&mut self, key: &str) {
        self.remove(Key::cached_step(key));
    }
}

impl BuildCache {
    pub(crate) fn new(core: Arc<Core>) -> BuildCache {
        BuildCache { core }
    }

    /// What the vertex of this key made.
    pub fn get(&self, key: &str) -> Result<Option<CachedStep>, StoreError> {
        self.core.journal.get(&Key::cached_step(key))
    }

    /// All of them, by key.
    pub fn list(&self) -> Result<Vec<(String, CachedStep)>, StoreError> {
        self.core.journal.list(table::CACHED_STEP)
    }
}
