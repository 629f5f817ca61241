//! Blobs of the cache: who may have them, and the one fetch for all who ask.
//!
//! Acts.

use super::figures::count;
use super::flow::{BlobReader, Flow};
use super::rows::Named;
use super::source::Source;
use super::{CacheError, Place, Shared};
use naru_errdefs::{Failure as _, Kind};
use naru_oci::{Digest, Index, ManifestOrIndex, media_type};
use naru_store::{Batch, Member};
use std::sync::Arc;

/// A blob of the cache.
#[derive(Debug)]
pub enum CachedBlob {
    /// It is in the store and a member of its repository.
    Stored {
        /// Its length.
        size: u64,
    },
    /// It comes.
    Coming(BlobReader),
}

impl Shared {
    pub(super) async fn blob(
        self: &Arc<Self>,
        place: &Place,
        digest: &Digest,
    ) -> Result<CachedBlob, CacheError> {
        let source = self.source(place)?;
        let repository = &place.repository;
        if self.store.repositories.is_member(repository, digest)
            && let Ok(size) = self.store.content.size(digest)
        {
            count(&source.counters.hits);
            self.rows.touch(repository, digest, size, self.now());
            return Ok(CachedBlob::Stored { size });
        }
        if self.is_missing(&source, repository, &digest.to_string()) {
            return Err(CacheError::missing(repository, &digest.to_string()));
        }
        // A manifest that names a blob proves nothing: anybody can write digests. What the upstream gave is a member since.
        let mut proven = false;
        loop {
            if self.store.content.has(digest) {
                // Somebody else's copy is as good, for whoever may read it at the upstream.
                if !proven {
                    self.prove(&source, place, digest).await?;
                    proven = true;
                }
                if let Some(size) = self.adopt(place, digest).await? {
                    count(&source.counters.hits);
                    return Ok(CachedBlob::Stored { size });
                }
            }
            let mut reader = self.board(&source, place, digest);
            let is_same = reader.repository() == repository;
            if !is_same && !proven {
                self.prove(&source, place, digest).await?;
                proven = true;
            }
            count(&source.counters.misses);
            match reader.opened().await {
                Ok(()) => {
                    if !is_same {
                        self.adopt_later(place, digest);
                    }
                    return Ok(CachedBlob::Coming(reader));
                }
                // It was given up just before we came.
                Err(error) if error.kind() == Kind::Cancelled => {}
                // That was said to another repository, by its upstream: it says nothing of this one, which has its own proof.
                Err(_) if !is_same => {}
                Err(error) => {
                    if error.kind() == Kind::NotFound {
                        self.note_missing(repository, &digest.to_string());
                    }
                    return Err(error);
                }
            }
        }
    }

    /// A reader of the fetch that is on its way, or of one that begins now.
    fn board(self: &Arc<Self>, source: &Arc<Source>, place: &Place, digest: &Digest) -> BlobReader {
        let mut flows = self.flows();
        if let Some(flow) = flows.get(digest) {
            return flow.read();
        }
        let flow = Arc::new(Flow::new(&place.repository));
        let reader = flow.read();
        flows.insert(*digest, Arc::clone(&flow));
        let (shared, source, place, digest) =
            (Arc::clone(self), Arc::clone(source), place.clone(), *digest);
        tokio::spawn(async move { shared.bring(source, place, digest, flow).await });
        reader
    }

    /// Whether the upstream gives this blob out through this repository; nothing of it is read.
    async fn prove(
        &self,
        source: &Source,
        place: &Place,
        digest: &Digest,
    ) -> Result<(), CacheError> {
        let proof = source.blob(&place.remote, digest, 0).await.map(drop);
        if proof.as_ref().is_err_and(|error| error.kind() == Kind::NotFound) {
            self.note_missing(&place.repository, &digest.to_string());
        }
        proof
    }

    /// Makes a blob that is here a member; none when it has just gone.
    async fn adopt(&self, place: &Place, digest: &Digest) -> Result<Option<u64>, CacheError> {
        let Ok(size) = self.store.content.size(digest) else { return Ok(None) };
        let mut batch = Batch::new();
        batch.put_member(&place.repository, digest, &Member::blob(size));
        let row = Named { size, used: self.now() };
        self.rows.name(&mut batch, &place.repository, digest, &row);
        match self.rows.commit(batch).await {
            Ok(()) => Ok(Some(size)),
            Err(naru_store::StoreError::Absent { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a blob that comes through another repository a member of this one, too.
    fn adopt_later(self: &Arc<Self>, place: &Place, digest: &Digest) {
        let (shared, place, digest) = (Arc::clone(self), place.clone(), *digest);
        tokio::spawn(async move {
            let landed = shared.flows().get(&digest).map(|flow| flow.landed());
            if let Some(landed) = landed {
                landed.await;
            }
            if !shared.store.repositories.is_member(&place.repository, &digest)
                && let Err(error) = shared.adopt(&place, &digest).await
            {
                // It is asked for once more, and found then.
                tracing::debug!(%error, repository = place.repository, %digest, "cannot adopt a blob");
            }
        });
    }

    /// Fetches the images of the configured platforms behind everybody's back, one at a time.
    pub(super) fn prefetch(self: &Arc<Self>, source: &Arc<Source>, place: &Place, index: &Index) {
        let wanted: Vec<Digest> = source
            .platforms
            .iter()
            .filter_map(|platform| Some(index.choose(platform)?.digest))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let (shared, place) = (Arc::clone(self), place.clone());
        tokio::spawn(async move {
            let Ok(_turn) = shared.prefetches.acquire().await else { return };
            for digest in wanted {
                if let Err(error) = shared.prefetch_image(&place, &digest).await {
                    tracing::warn!(%error, repository = place.repository, %digest, "cannot prefetch an image");
                }
            }
        });
    }

    async fn prefetch_image(
        self: &Arc<Self>,
        place: &Place,
        digest: &Digest,
    ) -> Result<(), CacheError> {
        let manifest = Box::pin(self.manifest(place, &digest.to_string())).await?;
        if !media_type::is_manifest(&manifest.descriptor.media_type) {
            return Ok(());
        }
        let store = self.store.clone();
        let at = manifest.descriptor.digest;
        let limit = u64::try_from(super::manifests::MANIFEST_LIMIT).unwrap_or(u64::MAX);
        let bytes = super::blocking(move || Ok(store.content.read(&at, limit)?)).await?;
        let Ok(ManifestOrIndex::Manifest(manifest)) = ManifestOrIndex::parse(&bytes) else {
            return Ok(());
        };
        for part in super::manifests::parts(&manifest) {
            if let CachedBlob::Coming(mut reader) = self.blob(place, &part.digest).await? {
                reader.finished().await?;
            }
        }
        Ok(())
    }
}
