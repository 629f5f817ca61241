//! The service of images; one file a verb.
//!
//! Acts: on the store, on threads that may wait for the disk. Streams are bounded: who reads slowly is waited for.

mod model;

pub use model::{
    Deleted, Finding, HistoryEntry, ImageFilter, ImagePruneFilter, ImageSummary, ImageUser,
    ImageView, ImagesUsage, ImportRequest, PrunedImages, RemoveImageOptions, SaveFormat,
};

use crate::Events;
use bytes::Bytes;
use naru_errdefs::Fault;
use naru_store::Store;
use naru_transfer::Progress;
use std::fmt;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

/// Who is asked which containers are made of images.
pub type ImageUsers = Arc<dyn Fn() -> Vec<ImageUser> + Send + Sync>;

/// The service of images. An image is named by a reference, its ID, or the first digits of its ID.
#[derive(Clone)]
pub struct Images {
    store: Store,
    events: Events,
    users: ImageUsers,
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What is told while an archive comes in; the last item may be a failure.
#[derive(Debug)]
pub struct ProgressStream {
    receiver: mpsc::Receiver<Result<Progress, Fault>>,
}

impl ProgressStream {
    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Progress, Fault>> {
        self.receiver.recv().await
    }
}

/// The bytes of a saved archive, in pieces.
#[derive(Debug)]
pub struct SaveStream {
    receiver: mpsc::Receiver<Result<Bytes, Fault>>,
}

impl SaveStream {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        self.receiver.recv().await
    }
}

fn later<T>() -> Result<T, Fault> {
    Err(Fault::unsupported("not yet"))
}

#[expect(unused_variables, reason = "published before it is filled")]
impl Images {
    /// The service over a store; `users` says which containers are made of images.
    pub fn new(store: Store, events: Events, users: ImageUsers) -> Images {
        Images { store, events, users }
    }

    /// The images that the filter lets through, newest first.
    pub async fn list(&self, filter: ImageFilter) -> Result<Vec<ImageSummary>, Fault> {
        later()
    }

    /// Everything about an image.
    pub async fn inspect(&self, name: &str) -> Result<ImageView, Fault> {
        later()
    }

    /// How it was made, newest step first.
    pub async fn history(&self, name: &str) -> Result<Vec<HistoryEntry>, Fault> {
        later()
    }

    /// Gives it another name (`repository[:tag]`).
    pub async fn tag(&self, name: &str, target: &str) -> Result<(), Fault> {
        later()
    }

    /// Removes a name, and the image when it was the last.
    pub async fn remove(
        &self,
        name: &str,
        options: RemoveImageOptions,
    ) -> Result<Vec<Deleted>, Fault> {
        later()
    }

    /// Removes images that nobody needs.
    pub async fn prune(&self, filter: ImagePruneFilter) -> Result<PrunedImages, Fault> {
        later()
    }

    /// Takes in the images of an archive.
    pub fn load(&self, archive: impl AsyncRead + Send + Unpin + 'static) -> ProgressStream {
        ProgressStream { receiver: mpsc::channel(1).1 }
    }

    /// Makes an image of a root file system's tar. The last line's status is the image ID.
    pub fn import(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        request: ImportRequest,
    ) -> ProgressStream {
        ProgressStream { receiver: mpsc::channel(1).1 }
    }

    /// The images as one archive. Unknown names fail at once.
    pub async fn save(&self, names: &[String], format: SaveFormat) -> Result<SaveStream, Fault> {
        later()
    }

    /// What images take on disk.
    pub async fn disk_usage(&self) -> Result<ImagesUsage, Fault> {
        later()
    }

    /// Checks the whole store: every blob, reference and unpacked layer; with `repair`, drops or unpacks again what is
    /// damaged.
    pub async fn verify(&self, repair: bool) -> Result<Vec<Finding>, Fault> {
        later()
    }
}
