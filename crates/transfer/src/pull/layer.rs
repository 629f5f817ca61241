//! Acts: one layer: fetched, hashed and staged, and at the same time unpacked.
//!
//! The bytes go into a resumable ingest; what unpacks reads the same file as it grows. So a connection that drops is
//! taken up again at the byte where it broke without the unpacking noticing, and what is slow does not hold up what is fast.

use super::growing::{Growing, growing};
use crate::fetch::{Fetch, lost};
use crate::progress::Progress;
use crate::remote::{Repository, Teller};
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_layer::{Applied, Limits, apply};
use naru_oci::{ChainId, Descriptor, Digest};
use naru_store::{Begin, Ingest, LeaseId, Pending, Store, StoreError};
use std::error::Error;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// How long bytes of a layer wait for somebody to go on with them.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Smaller blobs are fetched anew rather than held by a lease that costs a wait for the disk.
const WORTH_KEEPING: u64 = 1 << 20;
/// Progress is told no more often.
const TELL_EVERY: Duration = Duration::from_millis(100);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The work on one layer.
pub(super) struct LayerWork {
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

impl LayerWork {
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
        let fetching = self.bytes();
        let mut attempts = 0;
        fetching
            .patiently(|repository| {
                attempts += 1;
                if attempts > 1 {
                    self.tell("Retrying in 1 second");
                }
                self.attempt(repository)
            })
            .await
    }

    /// The way of its bytes into the store.
    fn bytes(&self) -> Fetch<'_> {
        Fetch {
            store: &self.store,
            repository: &self.repository,
            blob: &self.layer,
            lease: self.lease,
        }
    }

    async fn attempt(&self, repository: Repository) -> Result<Option<(Pending, Applied)>, Fault> {
        let ingest = self.bytes().ingest().await?;
        let tail = ingest.reader()?;
        let (growing, tail) = growing(tail, ingest.offset())
            .during(|| format!("cannot read `{}`", self.layer.digest))?;
        let progress = tail.progress();
        let mut unpacking = self.start_unpacking(tail)?;
        if let Err(fault) = self.receive(&repository, ingest, growing).await {
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
            let told = Mutex::new(Instant::now());
            let reached = |offset| {
                growing.reach(offset);
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.elapsed() >= TELL_EVERY {
                    *told = Instant::now();
                    let (id, size) = (self.layer.digest.short(), self.layer.size);
                    (self.teller)(Progress::layer("Downloading", id, offset, size));
                }
            };
            if let Err(fault) = self.bytes().download(repository, &mut ingest, &reached).await {
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
            Err(StoreError::Mismatch { found, .. }) => Err(self.bytes().wrong(found)),
            Err(error) => Err(error.into()),
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
