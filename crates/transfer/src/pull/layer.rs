//! Acts: one layer: fetched, hashed and staged, and at the same time unpacked.
//!
//! The bytes go into a resumable ingest; what unpacks reads the same file as it grows. So a connection that drops is
//! taken up again at the byte where it broke without the unpacking noticing, and what is slow does not hold up what is fast.

use super::growing::{Growing, growing};
use crate::progress::Progress;
use crate::remote::{Repository, Teller};
use futures_util::StreamExt;
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_layer::{Applied, Limits, apply};
use naru_oci::{ChainId, Descriptor, Digest};
use naru_store::{Begin, Ingest, LeaseId, Pending, Store, StoreError};
use std::error::Error;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// How long bytes of a layer wait for somebody to go on with them.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Smaller blobs are fetched anew rather than held by a lease that costs a wait for the disk.
const WORTH_KEEPING: u64 = 1 << 20;
/// Progress is told no more often.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// How often a whole layer is fetched again because its bytes were wrong.
const RESTARTS: u32 = 1;
/// Bytes that are written at once.
const PIECE: usize = 256 << 10;
/// How long to wait for somebody else who writes the same blob.
const BUSY_FOR: Duration = Duration::from_secs(120);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The work on one layer.
pub(super) struct Fetch {
    pub(super) store: Store,
    pub(super) repository: Repository,
    pub(super) layer: Descriptor,
    pub(super) lease: LeaseId,
    pub(super) unpack: bool,
    pub(super) teller: Teller,
    pub(super) fetching: Arc<Semaphore>,
    pub(super) unpacking: Arc<Semaphore>,
}

/// The end of an unpacking.
type Unpacking = oneshot::Receiver<Result<(Pending, Applied), Fault>>;

fn lease_name(digest: &Digest) -> String {
    format!("download {digest}")
}

/// A layer that is recorded needs no lease of its own any more.
pub(super) fn release(store: &Store, digest: &Digest) {
    if let Err(error) = store.leases.release_if_kept(&lease_name(digest)) {
        tracing::warn!(%digest, %error, "cannot end the lease of a download");
    }
}

impl Fetch {
    /// Fetches the layer, unless somebody else has meanwhile; and unpacks it.
    pub(super) async fn run(&self) -> Result<Option<(Pending, Applied)>, Fault> {
        let _unpacking = self.unpacking.acquire().await.map_err(closed)?;
        let turn = self.repository.shared().turn(&self.layer.digest);
        let _turn = match turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                self.tell("Waiting");
                turn.lock().await
            }
        };
        if self.store.content.has(&self.layer.digest) {
            self.tell("Download complete");
            let file = self.store.content.open(&self.layer.digest)?;
            return match self.start_unpacking(file)? {
                Some(done) => done.await.map_err(lost)?.map(Some),
                None => Ok(None),
            };
        }
        if self.layer.size >= WORTH_KEEPING {
            let (store, digest) = (self.store.clone(), self.layer.digest);
            let keep = move || {
                let lease = store.leases.keep(&lease_name(&digest), KEPT)?;
                store.leases.hold_blob(&lease, &digest)
            };
            tokio::task::spawn_blocking(keep).await.map_err(lost)??;
        }
        let mut restarts = 0;
        let mut repository = self.repository.clone();
        loop {
            match self.attempt(&repository).await {
                Err(fault) if fault.kind() == Kind::DataLoss && restarts < RESTARTS => {
                    restarts += 1;
                    repository = repository.without_mirrors();
                    tracing::warn!(layer = %self.layer.digest, error = %naru_errdefs::one_line(&fault), "fetching the layer anew");
                    self.tell("Retrying in 1 second");
                }
                done => return done,
            }
        }
    }

    async fn attempt(&self, repository: &Repository) -> Result<Option<(Pending, Applied)>, Fault> {
        let ingest = self.ingest().await?;
        let tail = ingest.reader()?;
        let (growing, tail) = growing(tail, ingest.offset())
            .during(|| format!("cannot read `{}`", self.layer.digest))?;
        let progress = tail.progress();
        let mut unpacking = self.start_unpacking(tail)?;
        if let Err(fault) = self.receive(repository, ingest, growing).await {
            // Nothing of it goes on in the background: the writer has given up, so this ends at once.
            if let Some(done) = unpacking.take() {
                drop(done.await);
            }
            return Err(fault);
        }
        self.tell("Download complete");
        let Some(mut done) = unpacking else { return Ok(None) };
        loop {
            match tokio::time::timeout(TELL_EVERY, &mut done).await {
                Ok(done) => return done.map_err(lost)?.map(Some),
                Err(_) => {
                    let (id, size) = (self.layer.digest.short(), self.layer.size);
                    (self.teller)(Progress::layer("Extracting", id, progress.read(), size));
                }
            }
        }
    }

    /// Fetches to the end and keeps what came, when it is what was asked for.
    async fn receive(
        &self,
        repository: &Repository,
        mut ingest: Ingest,
        growing: Growing,
    ) -> Result<(), Fault> {
        {
            let _fetching = self.fetching.acquire().await.map_err(closed)?;
            // An archive that cannot be unpacked is fetched to its end all the same: only then it is known whether it is
            // the image that is broken, or the way here.
            if let Err(fault) = self.download(repository, &mut ingest, &growing).await {
                if fault.kind() == Kind::DataLoss {
                    ingest.discard();
                }
                return Err(fault);
            }
        }
        self.tell("Verifying Checksum");
        let digest = self.layer.digest;
        let committed =
            tokio::task::spawn_blocking(move || ingest.commit(Some(digest))).await.map_err(lost)?;
        match committed {
            Ok(_) => {
                growing.finish();
                Ok(())
            }
            Err(StoreError::Mismatch { expected, found }) => Err(Fault::new(
                Kind::DataLoss,
                format!(
                    "`{}` gave a layer with the digest {found} instead of {expected}",
                    self.repository.registry()
                ),
            )
            .with_hint("the registry, or somebody between it and us, changes what it serves")),
            Err(error) => Err(error.into()),
        }
    }

    /// The blob's place in the store, with what is there of it.
    async fn ingest(&self) -> Result<Ingest, Fault> {
        let since = Instant::now();
        loop {
            let (store, lease, digest) = (self.store.clone(), self.lease, self.layer.digest);
            let resumed =
                tokio::task::spawn_blocking(move || store.content.resume(&lease, &digest))
                    .await
                    .map_err(lost)?;
            match resumed {
                Ok(ingest) if ingest.offset() > self.layer.size => ingest.discard(),
                Ok(ingest) => return Ok(ingest),
                // Somebody who shares no turn with us (the registry's cache) writes it.
                Err(StoreError::Busy { .. }) if since.elapsed() < BUSY_FOR => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Downloads until all bytes are there, however often the connection breaks while there is progress.
    async fn download(
        &self,
        repository: &Repository,
        ingest: &mut Ingest,
        growing: &Growing,
    ) -> Result<(), Fault> {
        let size = self.layer.size;
        let shared = self.repository.shared();
        let mut failed = 0;
        while ingest.offset() < size {
            let before = ingest.offset();
            let Err(fault) = self.stream(repository, ingest, growing).await else { break };
            if fault.kind() != Kind::Unavailable {
                return Err(fault);
            }
            failed = if ingest.offset() > before { 1 } else { failed + 1 };
            if failed >= shared.attempts() {
                return Err(fault.context(format!(
                    "layer {} broke off at {} of {size} bytes; the next pull goes on from there",
                    self.layer.digest.short(),
                    ingest.offset()
                )));
            }
            tracing::debug!(layer = %self.layer.digest, at = ingest.offset(), error = %naru_errdefs::one_line(&fault), "going on");
            shared.pause(failed, None).await;
        }
        Ok(())
    }

    /// One connection's worth of bytes.
    async fn stream(
        &self,
        repository: &Repository,
        ingest: &mut Ingest,
        growing: &Growing,
    ) -> Result<(), Fault> {
        let (digest, size) = (self.layer.digest, self.layer.size);
        let mut blob = repository.blob(&digest, ingest.offset()).await?;
        let lies = |length: u64| {
            Fault::new(
                Kind::DataLoss,
                format!(
                    "`{}` gives {length} bytes for the layer {digest}, which has {size}",
                    self.repository.registry()
                ),
            )
        };
        if let Some(total) = blob.total.filter(|total| *total != size) {
            return Err(lies(total));
        }
        // What is there already is passed over when the registry gives no ranges.
        let mut skip = ingest.offset().saturating_sub(blob.start);
        let mut told = Instant::now();
        let mut piece = Vec::new();
        loop {
            let next = blob.bytes.next().await;
            let is_end = !matches!(next, Some(Ok(_)));
            if let Some(Ok(chunk)) = &next {
                let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
                skip -= passed as u64;
                piece.extend_from_slice(chunk.get(passed..).unwrap_or_default());
            }
            if piece.len() >= PIECE || is_end && !piece.is_empty() {
                let length = ingest.offset() + piece.len() as u64;
                if length > size {
                    return Err(lies(length));
                }
                tokio::task::block_in_place(|| ingest.write_all(&piece))
                    .during(|| format!("cannot store the layer {digest}"))?;
                piece.clear();
                growing.reach(ingest.offset());
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    let id = digest.short();
                    (self.teller)(Progress::layer("Downloading", id, ingest.offset(), size));
                }
            }
            match next {
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Err(fault),
                None if ingest.offset() < size => {
                    return Err(Fault::new(
                        Kind::Unavailable,
                        format!("the layer {digest} ended early"),
                    ));
                }
                None => return Ok(()),
            }
        }
    }

    /// Unpacks on a thread of its own into a directory that is moved to its place later.
    fn start_unpacking(
        &self,
        layer: impl Read + Send + 'static,
    ) -> Result<Option<Unpacking>, Fault> {
        if !self.unpack {
            return Ok(None);
        }
        // The place among the other layers is found when all are there; under this name nothing is committed.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let chain = ChainId(Digest::of(
            format!("unpacked early: {} {number}", self.layer.digest).as_bytes(),
        ));
        let Begin::Pending(pending) = self.store.snapshots.begin(chain, None, &self.lease)? else {
            return Err(Fault::internal("a layer that was never committed is there"));
        };
        let (sender, receiver) = oneshot::channel();
        let digest = self.layer.digest;
        let work = move || {
            let applied = apply(layer, &pending.dir(), &Limits::standard())
                .map(|applied| (pending, applied))
                .map_err(|error| {
                    Fault::from(error).context(format!("cannot unpack layer `{digest}`"))
                });
            // Whoever waited may have gone.
            drop(sender.send(applied));
        };
        std::thread::Builder::new()
            .name("unpack".to_owned())
            .spawn(work)
            .during(|| "cannot start a thread to unpack a layer".to_owned())?;
        Ok(Some(receiver))
    }

    fn tell(&self, status: &str) {
        (self.teller)(Progress::about(&self.layer.digest.short(), status));
    }
}

fn closed(error: impl Error + Send + Sync + 'static) -> Fault {
    Fault::internal("the queue of layers is closed").with_source(error)
}

fn lost(error: impl Error + Send + Sync + 'static) -> Fault {
    Fault::internal("the work on a layer ended early").with_source(error)
}
