//! Acts: blobs that a copy needs: from here, or fetched in passing.

use super::gather::Gathered;
use crate::progress::Progress;
use crate::push::Supply;
use crate::remote::{Limiter, Repository, Teller};
use crate::save::DOCUMENT_LIMIT;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_oci::{Descriptor, Digester};
use naru_store::{Ingest, Store};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

/// Bytes between two lines of progress about one blob.
const TELL_EVERY: u64 = 512 << 10;

/// The blobs of what is copied.
pub(crate) struct Blobs<'a> {
    store: &'a Store,
    gathered: &'a Gathered,
    teller: &'a Teller,
    limiter: Option<Arc<Limiter>>,
    mount_from: Option<String>,
}

impl<'a> Blobs<'a> {
    pub(crate) fn new(store: &'a Store, gathered: &'a Gathered, teller: &'a Teller) -> Blobs<'a> {
        let limiter = gathered.limit_rate.map(|rate| Arc::new(Limiter::new(rate)));
        Blobs { store, gathered, teller, limiter, mount_from: None }
    }

    /// The same, on the way to a registry, which may have them all in the repository that they come from.
    pub(crate) fn for_registry(mut self, registry: &str) -> Blobs<'a> {
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

    async fn fetch(&self, repository: &Repository, blob: &Descriptor) -> Result<(), Fault> {
        let content = &self.store.content;
        // Who comes second waits, and finds it there.
        let turn = repository.turn(&blob.digest);
        let _turn = turn.lock().await;
        self.gathered.lease.hold_blob(&blob.digest)?;
        if content.has(&blob.digest) {
            return Ok(());
        }
        let mut ingest = content.resume(self.gathered.lease.id(), &blob.digest)?;
        let mut failed = 0;
        while ingest.offset() < blob.size {
            let before = ingest.offset();
            match self.fetch_some(repository, blob, &mut ingest).await {
                Ok(()) => {}
                Err(fault) if fault.kind() == Kind::Unavailable => {
                    failed = if ingest.offset() > before { 1 } else { failed + 1 };
                    if failed >= repository.attempts() {
                        return Err(fault);
                    }
                    repository.pause(failed).await;
                }
                Err(fault) => return Err(fault),
            }
        }
        let (size, found) = (blob.size, ingest.offset());
        if found > size {
            ingest.discard();
            return Err(wrong_size(blob, found));
        }
        let digest = blob.digest;
        let committed = tokio::task::spawn_blocking(move || ingest.commit(Some(digest))).await;
        match committed {
            Ok(committed) => {
                committed?;
                Ok(())
            }
            Err(error) => Err(Fault::internal("storing a blob ended early").with_source(error)),
        }
    }

    /// Fetches until the stream ends.
    async fn fetch_some(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        ingest: &mut Ingest,
    ) -> Result<(), Fault> {
        let at = ingest.offset();
        let mut stream = repository.blob(&blob.digest, at).await?;
        // A registry without ranges begins at the beginning; what is here already is passed over.
        let mut skip = at.saturating_sub(stream.start);
        let mut told = at;
        while let Some(piece) = stream.bytes.next().await {
            let piece = piece?;
            if let Some(limiter) = &self.limiter {
                limiter.pass(piece.len()).await;
            }
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            let passed = skip.min(length);
            skip -= passed;
            let new = piece.get(usize::try_from(passed).unwrap_or(0)..).unwrap_or_default();
            if ingest.offset() + u64::try_from(new.len()).unwrap_or(0) > blob.size {
                return Err(wrong_size(blob, ingest.offset() + length));
            }
            ingest.write_all(new).during(|| format!("cannot store the blob `{}`", blob.digest))?;
            if ingest.offset() - told >= TELL_EVERY {
                told = ingest.offset();
                self.tell("Downloading", blob, told);
            }
        }
        if ingest.offset() < blob.size {
            return Err(Fault::new(
                Kind::Unavailable,
                format!("the blob `{}` broke off after {} bytes", blob.digest, ingest.offset()),
            ));
        }
        Ok(())
    }

    fn tell(&self, status: &str, blob: &Descriptor, done: u64) {
        (self.teller)(Progress::layer(status, blob.digest.short(), done, blob.size));
    }
}

fn wrong_size(blob: &Descriptor, found: u64) -> Fault {
    Fault::new(
        Kind::DataLoss,
        format!("the blob `{}` has {found} bytes or more instead of {}", blob.digest, blob.size),
    )
    .with_hint("the registry, or somebody between it and us, changes what it serves")
}

impl Supply for Blobs<'_> {
    fn supply<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<File, Fault>> {
        Box::pin(async move {
            self.gathered.lease.hold_blob(&blob.digest)?;
            if let Some(repository) = &self.gathered.from
                && !self.store.content.has(&blob.digest)
            {
                self.fetch(repository, blob).await?;
            }
            self.store.content.supply(blob).await
        })
    }

    fn mount_from(&self) -> Option<&str> {
        self.mount_from.as_deref()
    }
}

/// A small blob that is only looked at.
pub(crate) async fn document(repository: &Repository, blob: &Descriptor) -> Result<Vec<u8>, Fault> {
    let limit = usize::try_from(blob.size.min(DOCUMENT_LIMIT)).unwrap_or(0);
    let mut stream = repository.blob(&blob.digest, 0).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.bytes.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() > limit {
            return Err(wrong_size(blob, u64::try_from(bytes.len()).unwrap_or(u64::MAX)));
        }
    }
    let mut digester = Digester::new(blob.digest.algorithm());
    digester.update(&bytes);
    let found = digester.finish();
    if found != blob.digest {
        return Err(Fault::new(
            Kind::DataLoss,
            format!("the blob `{}` came with the digest `{found}`", blob.digest),
        ));
    }
    Ok(bytes)
}
