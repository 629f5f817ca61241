//! A blob on its way: one writer, any number of readers of the file that grows.
//!
//! ```text
//! opening ─▶ flowing (length known) ─▶ verified ─▶ stored         failed: readers break off before their last byte
//! ```
//!
//! Acts.

use super::{CacheError, blocking};
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use naru_errdefs::Kind;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A reader takes so much at a time.
const PIECE: u64 = 256 << 10;

/// How far a blob is.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub(super) phase: Phase,
    /// Where the bytes are.
    pub(super) file: Option<Arc<File>>,
    /// How many of them.
    pub(super) offset: u64,
    /// How many there will be, as far as anybody says.
    pub(super) total: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// The upstream has not answered yet.
    Opening,
    /// Bytes come.
    Flowing,
    /// All bytes are there and have the digest.
    Verified,
    /// It came to nothing.
    Failed(CacheError),
}

/// The one fetch of a blob.
#[derive(Debug)]
pub(super) struct Flow {
    /// The repository through which the upstream is asked.
    repository: String,
    progress: watch::Sender<Progress>,
    readers: watch::Sender<usize>,
    landed: watch::Sender<bool>,
}

impl Flow {
    pub(super) fn new(repository: &str) -> Flow {
        let progress = Progress { phase: Phase::Opening, file: None, offset: 0, total: None };
        Flow {
            repository: repository.to_owned(),
            progress: watch::Sender::new(progress),
            readers: watch::Sender::new(0),
            landed: watch::Sender::new(false),
        }
    }

    /// The fetch has ended, and what it brought is stored if it ever will be.
    pub(super) fn land(&self) {
        self.landed.send_replace(true);
    }

    /// Waits for that.
    pub(super) fn landed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut landed = self.landed.subscribe();
        // A flow that is gone has landed.
        async move { drop(landed.wait_for(|landed| *landed).await) }
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }

    /// Waits until nobody has read for so long.
    pub(super) async fn abandoned(&self, linger: Duration) {
        let mut readers = self.readers.subscribe();
        // The sender is ours, so waiting never fails.
        while readers.wait_for(|count| *count == 0).await.is_ok() {
            let back = readers.wait_for(|count| *count > 0);
            if tokio::time::timeout(linger, back).await.is_err() {
                return;
            }
        }
    }

    /// One more reader.
    pub(super) fn read(self: &Arc<Self>) -> BlobReader {
        self.readers.send_modify(|count| *count += 1);
        BlobReader { progress: self.progress.subscribe(), flow: Arc::clone(self), total: None }
    }
}

/// A blob that comes from an upstream, as one client reads it. The last byte is given only when all of them have the digest; when
/// they have not, the stream ends with a failure and the connection must be closed.
#[derive(Debug)]
pub struct BlobReader {
    progress: watch::Receiver<Progress>,
    flow: Arc<Flow>,
    total: Option<u64>,
}

impl Drop for BlobReader {
    fn drop(&mut self) {
        self.flow.readers.send_modify(|count| *count -= 1);
    }
}

fn broken() -> CacheError {
    CacheError::new(Kind::Internal, "the fetch of the blob ended without a word")
}

impl BlobReader {
    /// The repository through which the upstream was asked.
    pub(super) fn repository(&self) -> &str {
        &self.flow.repository
    }

    /// Waits for the upstream's answer.
    pub(super) async fn opened(&mut self) -> Result<(), CacheError> {
        let progress = self
            .progress
            .wait_for(|progress| !matches!(progress.phase, Phase::Opening))
            .await
            .map_err(|_closed| broken())?;
        if let Phase::Failed(error) = &progress.phase {
            return Err(error.clone());
        }
        self.total = progress.total;
        Ok(())
    }

    /// Waits for the end.
    pub(super) async fn finished(&mut self) -> Result<(), CacheError> {
        let done =
            |progress: &Progress| matches!(progress.phase, Phase::Verified | Phase::Failed(_));
        match &self.progress.wait_for(done).await.map_err(|_closed| broken())?.phase {
            Phase::Failed(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// The blob's length, when the upstream or a manifest says.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Its bytes from `start` on, up to and without `end`, or to the blob's end. A client that goes away drops the stream.
    pub fn stream(
        self,
        start: u64,
        end: Option<u64>,
    ) -> impl Stream<Item = Result<Bytes, CacheError>> + Send {
        let end = end.or(self.total).unwrap_or(u64::MAX);
        unfold(Some((self, start)), move |state| async move {
            let (mut reader, at) = state?;
            match reader.piece(at, end).await {
                Ok(None) => None,
                Ok(Some(bytes)) => {
                    let next = at + u64::try_from(bytes.len()).unwrap_or(0);
                    Some((Ok(bytes), Some((reader, next))))
                }
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The next bytes; none at the end.
    async fn piece(&mut self, at: u64, end: u64) -> Result<Option<Bytes>, CacheError> {
        loop {
            let now = self.progress.borrow_and_update().clone();
            let limit = match now.phase {
                Phase::Verified if at >= end.min(now.offset) => return Ok(None),
                Phase::Verified => now.offset.min(end),
                // The last byte is held back until it is known what the whole is.
                Phase::Opening | Phase::Flowing => now.offset.min(end).saturating_sub(1),
                Phase::Failed(error) => return Err(error),
            };
            if let Some(file) = now.file
                && at < limit
            {
                let length = usize::try_from((limit - at).min(PIECE)).unwrap_or(0);
                return blocking(move || {
                    let mut buffer = vec![0; length];
                    file.read_exact_at(&mut buffer, at).map_err(|error| {
                        CacheError::new(
                            Kind::Internal,
                            format!("cannot read a blob that comes: {error}"),
                        )
                    })?;
                    Ok(Some(buffer.into()))
                })
                .await;
            }
            self.progress.changed().await.map_err(|_closed| broken())?;
        }
    }
}

/// The end of a fetch that was dropped or panicked: readers hear of it.
pub(super) struct Ending(pub(super) Arc<Flow>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.update(|progress| {
            if matches!(progress.phase, Phase::Opening | Phase::Flowing) {
                progress.phase = Phase::Failed(broken());
            }
        });
    }
}
