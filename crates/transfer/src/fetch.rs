//! Acts: a blob from a repository into its place in the store: hashed, staged, and taken up where a connection broke.
//!
//! Pulls and copies fetch in the same way; what they do with the bytes is theirs.

use crate::remote::Repository;
use futures_util::StreamExt;
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_oci::Descriptor;
use naru_store::{Ingest, LeaseId, Store, StoreError};
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

/// How often a whole blob is fetched again because its bytes were wrong.
const RESTARTS: u32 = 1;
/// Bytes that are written at once.
const PIECE: usize = 256 << 10;
/// Fewer are written when they have waited for so long: a process that is killed loses no more than that.
const WRITE_AFTER: Duration = Duration::from_millis(50);
/// How long to wait for somebody else who writes the same blob.
const BUSY_FOR: Duration = Duration::from_secs(120);

/// A blob to be fetched.
#[derive(Debug)]
pub(crate) struct Fetch<'a> {
    pub(crate) store: &'a Store,
    pub(crate) repository: &'a Repository,
    pub(crate) blob: &'a Descriptor,
    pub(crate) lease: LeaseId,
}

impl Fetch<'_> {
    /// Does `attempt` with the repository; once more without its mirrors when what came was wrong.
    pub(crate) async fn patiently<T, F>(
        &self,
        mut attempt: impl FnMut(Repository) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut restarts = 0;
        let mut repository = self.repository.clone();
        loop {
            match attempt(repository.clone()).await {
                Err(fault) if fault.kind() == Kind::DataLoss && restarts < RESTARTS => {
                    restarts += 1;
                    repository = repository.without_mirrors();
                    tracing::warn!(blob = %self.blob.digest, error = %naru_errdefs::one_line(&fault), "fetching a blob anew");
                }
                done => return done,
            }
        }
    }

    /// The blob's place in the store, with what is there of it.
    pub(crate) async fn ingest(&self) -> Result<Ingest, Fault> {
        let since = Instant::now();
        loop {
            let (store, lease, digest) = (self.store.clone(), self.lease, self.blob.digest);
            let resumed =
                tokio::task::spawn_blocking(move || store.content.resume(&lease, &digest))
                    .await
                    .map_err(lost)?;
            match resumed {
                Ok(ingest) if ingest.offset() > self.blob.size => ingest.discard(),
                Ok(ingest) => return Ok(ingest),
                // Somebody who shares no turn with us (the registry's cache) writes it.
                Err(StoreError::Busy { .. }) if since.elapsed() < BUSY_FOR => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Fetches until all bytes are there, however often the connection breaks while there is progress. `reached` hears how
    /// many there are whenever there are more.
    pub(crate) async fn download(
        &self,
        repository: &Repository,
        ingest: &mut Ingest,
        reached: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Fault> {
        let size = self.blob.size;
        let shared = repository.shared();
        let mut failed = 0;
        while ingest.offset() < size {
            let before = ingest.offset();
            let Err(fault) = self.stream(repository, ingest, reached).await else { break };
            if fault.kind() != Kind::Unavailable {
                return Err(fault);
            }
            failed = if ingest.offset() > before { 1 } else { failed + 1 };
            if failed >= shared.attempts() {
                return Err(fault.context(format!(
                    "layer {} broke off at {} of {size} bytes; the next attempt goes on from there",
                    self.blob.digest.short(),
                    ingest.offset()
                )));
            }
            tracing::debug!(blob = %self.blob.digest, at = ingest.offset(), error = %naru_errdefs::one_line(&fault), "going on");
            shared.pause(failed, None).await;
        }
        Ok(())
    }

    /// One connection's worth of bytes.
    async fn stream(
        &self,
        repository: &Repository,
        ingest: &mut Ingest,
        reached: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Fault> {
        let (digest, size) = (self.blob.digest, self.blob.size);
        let mut blob = repository.blob(&digest, ingest.offset()).await?;
        let lies = |length: u64| {
            Fault::new(
                Kind::DataLoss,
                format!(
                    "`{}` gives {length} bytes for the layer {digest}, which has {size}",
                    repository.registry()
                ),
            )
        };
        if let Some(total) = blob.total.filter(|total| *total != size) {
            return Err(lies(total));
        }
        // What is there already is passed over when the registry gives no ranges.
        let mut skip = ingest.offset().saturating_sub(blob.start);
        let mut piece = Vec::new();
        let mut since = Instant::now();
        loop {
            let next = if piece.is_empty() {
                Some(blob.bytes.next().await)
            } else {
                tokio::time::timeout(WRITE_AFTER, blob.bytes.next()).await.ok()
            };
            let is_end = !matches!(next, Some(Some(Ok(_))) | None);
            if let Some(Some(Ok(chunk))) = &next {
                if piece.is_empty() {
                    since = Instant::now();
                }
                let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
                skip -= passed as u64;
                piece.extend_from_slice(chunk.get(passed..).unwrap_or_default());
            }
            let is_due = piece.len() >= PIECE || is_end || since.elapsed() >= WRITE_AFTER;
            if is_due && !piece.is_empty() {
                let length = ingest.offset() + piece.len() as u64;
                if length > size {
                    return Err(lies(length));
                }
                tokio::task::block_in_place(|| ingest.write_all(&piece))
                    .during(|| format!("cannot store the layer {digest}"))?;
                piece.clear();
                reached(ingest.offset());
            }
            match next {
                None | Some(Some(Ok(_))) => {}
                Some(Some(Err(fault))) => return Err(fault),
                Some(None) if ingest.offset() < size => {
                    return Err(Fault::new(
                        Kind::Unavailable,
                        format!("the layer {digest} ended early"),
                    ));
                }
                Some(None) => return Ok(()),
            }
        }
    }

    /// An ingest that has all bytes, when they are what was asked for; what is not is thrown away.
    pub(crate) fn verified(&self, ingest: Ingest) -> Result<Ingest, Fault> {
        let found = ingest.digest();
        if found == self.blob.digest {
            return Ok(ingest);
        }
        ingest.discard();
        Err(self.wrong(found))
    }

    /// That a registry gave something else than was asked for.
    pub(crate) fn wrong(&self, found: impl std::fmt::Display) -> Fault {
        Fault::new(
            Kind::DataLoss,
            format!(
                "`{}` gave a layer with the digest {found} instead of {}",
                self.repository.registry(),
                self.blob.digest
            ),
        )
        .with_hint("the registry, or somebody between it and us, changes what it serves")
    }
}

/// Work on a thread that ended without a word.
pub(crate) fn lost(error: impl Error + Send + Sync + 'static) -> Fault {
    Fault::internal("the work on a layer ended early").with_source(error)
}
