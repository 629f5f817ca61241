//! Acts: blobs that a copy needs: from here, or fetched in passing.

use super::gather::Gathered;
use crate::fetch::{Fetch, lost};
use crate::progress::Progress;
use crate::push::Supply;
use crate::remote::{Repository, Teller};
use futures_util::future::BoxFuture;
use naru_errdefs::{Fault, ResultExt};
use naru_oci::{Descriptor, Digest};
use naru_store::{Ingest, Store};
use std::collections::BTreeSet;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes between two lines of progress about one blob.
const TELL_EVERY: u64 = 512 << 10;

/// The blobs of what is copied.
pub(crate) struct Blobs<'a> {
    store: &'a Store,
    gathered: &'a Gathered,
    teller: &'a Teller,
    mount_from: Option<String>,
    /// Whether what is fetched only passes through: it is verified, but never becomes content of the store.
    passing: bool,
    /// What passes through now.
    staged: Mutex<BTreeSet<Digest>>,
}

impl<'a> Blobs<'a> {
    pub(crate) fn new(store: &'a Store, gathered: &'a Gathered, teller: &'a Teller) -> Blobs<'a> {
        let staged = Mutex::default();
        Blobs { store, gathered, teller, mount_from: None, passing: false, staged }
    }

    /// The same, on the way to a registry, which may have them all in the repository that they come from.
    pub(crate) fn for_registry(mut self, registry: &str) -> Blobs<'a> {
        self.passing = true;
        self.mount_from = self
            .gathered
            .from
            .as_ref()
            .filter(|from| from.registry() == registry)
            .map(|from| from.name().to_owned());
        self
    }

    /// Blobs that are fetched side by side.
    pub(crate) fn downloads(&self) -> usize {
        self.gathered.from.as_ref().map_or(4, |from| from.downloads())
    }

    /// Fetches a blob; its file, when it only passes through.
    async fn fetch(
        &self,
        repository: &Repository,
        blob: &Descriptor,
    ) -> Result<Option<File>, Fault> {
        let content = &self.store.content;
        // Who comes second waits, and finds it there.
        let turn = repository.turn(&blob.digest);
        let _turn = turn.lock().await;
        self.gathered.lease.hold_blob(&blob.digest)?;
        if content.has(&blob.digest) {
            return Ok(None);
        }
        let lease = *self.gathered.lease.id();
        let fetch = Fetch { store: self.store, repository, blob, lease };
        let fetch = &fetch;
        let ingest = fetch
            .patiently(
                |repository| async move { fetch.verified(self.whole(fetch, &repository).await?) },
            )
            .await?;
        if self.passing {
            let file = ingest.reader()?;
            self.staged.lock().unwrap_or_else(PoisonError::into_inner).insert(blob.digest);
            // The file stays where a pull or another copy finds it, until it was sent.
            return Ok(Some(file));
        }
        let digest = blob.digest;
        tokio::task::spawn_blocking(move || ingest.commit(Some(digest))).await.map_err(lost)??;
        Ok(None)
    }

    /// All bytes of a blob.
    async fn whole(&self, fetch: &Fetch<'_>, repository: &Repository) -> Result<Ingest, Fault> {
        let mut ingest = fetch.ingest().await?;
        let told = AtomicU64::new(ingest.offset());
        let reached = |offset: u64| {
            if offset.saturating_sub(told.load(Ordering::Relaxed)) >= TELL_EVERY {
                told.store(offset, Ordering::Relaxed);
                let id = fetch.blob.digest.short();
                (self.teller)(Progress::layer("Downloading", id, offset, fetch.blob.size));
            }
        };
        if let Err(fault) = fetch.download(repository, &mut ingest, &reached).await {
            if fault.kind() == naru_errdefs::Kind::DataLoss {
                ingest.discard();
            }
            return Err(fault);
        }
        Ok(ingest)
    }
}

impl Supply for Blobs<'_> {
    fn supply<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<File, Fault>> {
        Box::pin(async move {
            self.gathered.lease.hold_blob(&blob.digest)?;
            if let Some(repository) = &self.gathered.from
                && !self.store.content.has(&blob.digest)
                && let Some(file) = self.fetch(repository, blob).await?
            {
                return Ok(file);
            }
            self.store.content.supply(blob).await
        })
    }

    fn sent(&self, blob: &Descriptor) -> Result<(), Fault> {
        if self.staged.lock().unwrap_or_else(PoisonError::into_inner).remove(&blob.digest) {
            self.store
                .content
                .forget(&blob.digest)
                .map_err(Fault::from)
                .during(|| format!("cannot let go of the blob `{}`", blob.digest))?;
        }
        Ok(())
    }

    fn mount_from(&self) -> Option<&str> {
        self.mount_from.as_deref()
    }
}
