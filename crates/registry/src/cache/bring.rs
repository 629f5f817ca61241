//! The one fetch of a blob: from the upstream into the store, going on after drops, verified before the last byte leaves.
//!
//! Acts. When nobody reads any more, it goes on for a moment and then stops; what came is kept, and the next one who asks goes
//! on from there, also after a restart.

use super::flow::{Ending, Flow, Phase};
use super::rows::Named;
use super::source::Source;
use super::{CacheError, Place, Shared, blocking};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::FutureExt as _;
use naru_errdefs::{Failure as _, Fault, Kind};
use naru_oci::Digest;
use naru_store::{Ingest, Lease, Member, StoreError};
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A blob that is longer is not cached, whatever anybody says of its length.
const LARGEST_BLOB: u64 = 1 << 38;
/// So much is written at a time.
const BATCH: usize = 1 << 20;
/// The longest a fetch is held from the collector.
const FETCH_TIME: Duration = Duration::from_secs(24 * 3600);

/// Why an attempt ended before the blob did.
enum Broken {
    /// Going on can help: a drop, a stall, an upstream that is away.
    Passing(CacheError),
    /// What came is wrong: nothing of it is kept.
    Wrong(CacheError),
    /// The upstream or our disk says no; what came is kept.
    Final(CacheError),
}

/// One fetch.
struct Fetch<'a> {
    shared: &'a Arc<Shared>,
    source: &'a Source,
    place: &'a Place,
    digest: Digest,
    /// What a manifest says its length is.
    promised: Option<u64>,
    flow: &'a Arc<Flow>,
}

impl Shared {
    /// Brings a blob, tells its readers, and takes the fetch off the list.
    pub(super) async fn bring(
        self: Arc<Self>,
        source: Arc<Source>,
        place: Place,
        digest: Digest,
        flow: Arc<Flow>,
    ) {
        let landing = Landing { shared: Arc::clone(&self), digest, flow: Arc::clone(&flow) };
        let _ending = Ending(Arc::clone(&flow));
        let promised = self.rows.named(&place.repository, &digest).map(|row| row.size);
        let fetch =
            Fetch { shared: &self, source: &source, place: &place, digest, promised, flow: &flow };
        if let Err(error) = fetch.run().await {
            if !matches!(error.kind(), Kind::NotFound | Kind::Cancelled) {
                tracing::warn!(upstream = source.name, repository = place.repository, %digest, %error, "cannot cache a blob");
            }
            // Whoever comes after the failure begins anew.
            drop(landing);
            flow.update(|progress| {
                // Whoever has it all has it rightly, even when it cannot be kept.
                if !matches!(progress.phase, Phase::Verified) {
                    progress.phase = Phase::Failed(error);
                }
            });
        }
    }
}

/// Takes the fetch off the list, also when it panics.
struct Landing {
    shared: Arc<Shared>,
    digest: Digest,
    flow: Arc<Flow>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.shared.flows().remove(&self.digest);
        self.flow.land();
    }
}

impl Fetch<'_> {
    async fn run(&self) -> Result<(), CacheError> {
        let Ok(_turn) = self.source.fetches.acquire().await else {
            return Err(CacheError::new(Kind::Unavailable, "the cache ends"));
        };
        let lease = self.shared.store.leases.create(FETCH_TIME);
        let mut ingest = self.begin(&lease).await?;
        let abandoned = self.flow.abandoned(self.shared.pace.linger);
        tokio::pin!(abandoned);
        let mut failed = 0;
        loop {
            let before = ingest.offset();
            let (back, ended) = self.attempt(ingest, abandoned.as_mut()).await?;
            ingest = back;
            match ended {
                Ok(()) => return self.finish(ingest).await,
                Err(Broken::Final(error)) => return Err(error),
                Err(Broken::Wrong(error)) => {
                    discard(ingest).await?;
                    return Err(error);
                }
                Err(Broken::Passing(error)) => {
                    failed = if ingest.offset() > before { 1 } else { failed + 1 };
                    if failed >= self.shared.pace.attempts {
                        return Err(error);
                    }
                    tracing::info!(upstream = self.source.name, digest = %self.digest, offset = ingest.offset(), %error, "a blob's fetch goes on");
                    let pause = self.shared.pace.back_off.saturating_mul(1 << failed.min(6));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = abandoned.as_mut() => return Err(given_up()),
                    }
                }
            }
        }
    }

    /// Takes up what an earlier fetch has left.
    async fn begin(&self, lease: &Lease) -> Result<Ingest, CacheError> {
        let (shared, digest, id) = (Arc::clone(self.shared), self.digest, *lease.id());
        let longest = self.promised.unwrap_or(LARGEST_BLOB);
        let (ingest, file) = blocking(move || {
            let content = &shared.store.content;
            let ingest = match content.resume(&id, &digest) {
                Ok(ingest) if ingest.offset() > longest => {
                    ingest.discard();
                    content.resume(&id, &digest)?
                }
                // The engine pulls the same blob into this store; nobody waits for the other.
                Err(StoreError::Busy { .. }) => content.ingest_as(&id, digest.algorithm())?,
                resumed => resumed?,
            };
            let file = ingest.reader()?;
            Ok((ingest, file))
        })
        .await?;
        let offset = ingest.offset();
        self.flow.update(|progress| {
            progress.file = Some(Arc::new(file));
            progress.offset = offset;
            progress.total = self.promised;
        });
        Ok(ingest)
    }

    /// Reads from the upstream until it ends one way or another. The outer failure is one after which the ingest is lost.
    async fn attempt(
        &self,
        ingest: Ingest,
        mut abandoned: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(Ingest, Result<(), Broken>), CacheError> {
        let mut ingest = ingest;
        let offset = ingest.offset();
        // What is left of a fetch of somebody else's may be the whole; it is given out only if the upstream has it here, too.
        let is_whole = self.promised == Some(offset) && offset > 0;
        let from = if is_whole { 0 } else { offset };
        let opened = self.source.blob(&self.place.remote, &self.digest, from).await;
        let (total, mut stream) = match opened {
            Ok(_) if is_whole => return Ok((ingest, Ok(()))),
            // Its end may be met while looking for more of a batch.
            Ok((total, stream)) => (total, stream.fuse()),
            Err(error) if error.kind() == Kind::Unavailable => {
                return Ok((ingest, Err(Broken::Passing(error))));
            }
            Err(error) => return Ok((ingest, Err(Broken::Final(error)))),
        };
        if let (Some(total), Some(promised)) = (total, self.promised)
            && total != promised
        {
            let what = format!(
                "says that blob {} has {total} bytes; its manifest says {promised}",
                self.digest
            );
            return Ok((ingest, Err(Broken::Wrong(self.source.lied(what)))));
        }
        let known = total.or(self.promised);
        let longest = known.unwrap_or(LARGEST_BLOB);
        if longest > LARGEST_BLOB {
            let what = format!(
                "has a blob of {longest} bytes, more than the {LARGEST_BLOB} that are cached"
            );
            return Ok((ingest, Err(Broken::Wrong(self.source.lied(what)))));
        }
        self.flow.update(|progress| {
            progress.total = known;
            progress.phase = Phase::Flowing;
        });
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(self.shared.pace.stall, stream.next()) => next,
                () = abandoned.as_mut() => return Ok((ingest, Err(Broken::Final(given_up())))),
            };
            let first = match next {
                Ok(None) if known.is_some_and(|known| ingest.offset() < known) => {
                    let what = format!(
                        "the upstream `{}` ended in the middle of a blob",
                        self.source.name
                    );
                    let error = CacheError::new(Kind::Unavailable, what);
                    return Ok((ingest, Err(Broken::Passing(self.source.failed(error)))));
                }
                Ok(None) => return Ok((ingest, Ok(()))),
                Ok(Some(Ok(bytes))) => bytes,
                Ok(Some(Err(fault))) => {
                    return Ok((ingest, Err(Broken::Passing(self.dropped(&fault)))));
                }
                Err(_) => {
                    let seconds = self.shared.pace.stall.as_secs();
                    let what =
                        format!("the upstream `{}` sent nothing for {seconds} s", self.source.name);
                    let error = CacheError::new(Kind::Unavailable, what);
                    return Ok((ingest, Err(Broken::Passing(self.source.failed(error)))));
                }
            };
            let mut broken = None;
            let mut size = first.len();
            let mut batch = vec![first];
            // What is there already goes in the same write.
            while size < BATCH {
                match stream.next().now_or_never() {
                    Some(Some(Ok(bytes))) => {
                        size += bytes.len();
                        batch.push(bytes);
                    }
                    Some(Some(Err(fault))) => {
                        broken = Some(Broken::Passing(self.dropped(&fault)));
                        break;
                    }
                    _ => break,
                }
            }
            let came = u64::try_from(size).unwrap_or(u64::MAX);
            if ingest.offset().saturating_add(came) > longest {
                let what =
                    format!("gave more than the {longest} bytes that blob {} has", self.digest);
                return Ok((ingest, Err(Broken::Wrong(self.source.lied(what)))));
            }
            self.source.counters.bytes.fetch_add(came, Ordering::Relaxed);
            let written;
            (ingest, written) = write(ingest, batch).await?;
            if let Err(error) = written {
                let error = self.shared.unwritable(&error);
                // A full disk is not helped by half a blob.
                return Ok((ingest, Err(Broken::Wrong(error))));
            }
            let offset = ingest.offset();
            self.flow.update(|progress| progress.offset = offset);
            if let Some(broken) = broken {
                return Ok((ingest, Err(broken)));
            }
        }
    }

    fn dropped(&self, fault: &Fault) -> CacheError {
        self.source.failed(CacheError::of_upstream(&self.source.name, fault))
    }

    /// Verifies, lets the readers have the last byte, and makes the blob durable and a member.
    async fn finish(&self, ingest: Ingest) -> Result<(), CacheError> {
        let found = ingest.digest();
        if found != self.digest {
            let error = self
                .source
                .lied(format!("gave bytes with the digest {found} as blob {}", self.digest));
            discard(ingest).await?;
            return Err(error);
        }
        let size = ingest.offset();
        self.flow.update(|progress| {
            progress.total = Some(size);
            progress.phase = Phase::Verified;
        });
        let (shared, repository, digest) =
            (Arc::clone(self.shared), self.place.repository.clone(), self.digest);
        blocking(move || {
            let row = Named { size, used: shared.now() };
            ingest.commit_with(Some(digest), |_, batch| {
                batch.put_member(&repository, &digest, &Member::blob(size));
                shared.rows.name(batch, &repository, &digest, &row);
            })?;
            Ok(())
        })
        .await?;
        self.shared.grown(size);
        Ok(())
    }
}

fn given_up() -> CacheError {
    CacheError::new(Kind::Cancelled, "nobody waits for the blob any more")
}

/// Gives up what came.
async fn discard(ingest: Ingest) -> Result<(), CacheError> {
    blocking(move || {
        ingest.discard();
        Ok(())
    })
    .await
}

/// Writes on a thread that may wait for the disk.
async fn write(
    mut ingest: Ingest,
    batch: Vec<Bytes>,
) -> Result<(Ingest, std::io::Result<()>), CacheError> {
    blocking(move || {
        let written = batch.iter().try_for_each(|bytes| ingest.write_all(bytes));
        Ok((ingest, written))
    })
    .await
}
