//! The service of images; one file a verb.
//!
//! Acts: on the store, on threads that may wait for the disk. Streams are bounded: who reads slowly is waited for.

pub(crate) mod archive;
mod copy;
mod document;
mod glob;
mod inspect;
mod list;
mod model;
mod prune;
mod registry;
mod remove;
mod tag;
mod verify;

#[cfg(test)]
mod tests;

pub use copy::{CopyAnswer, CopyFrom, CopyRequest, CopyTo, RegistryPlace};
pub use model::{
    Deleted, Finding, HistoryEntry, ImageFilter, ImagePruneFilter, ImageSummary, ImageUser,
    ImageView, ImagesUsage, ImportRequest, PrunedImages, RemoveImageOptions, SaveFormat,
};
pub use naru_transfer::{
    Credentials, DistributionInfo, LoginAnswer, PullRequest, PushRequest, RawManifest, Registries,
    RegistriesConfig, RegistryConfig,
};

use crate::{Event, Events, Timestamp};
use bytes::Bytes;
use naru_errdefs::Fault;
use naru_store::Store;
use naru_transfer::Progress;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Who is asked which containers are made of images.
pub type ImageUsers = Arc<dyn Fn() -> Vec<ImageUser> + Send + Sync>;

/// The service of images. An image is named by a reference, its ID, or the first digits of its ID.
#[derive(Clone)]
pub struct Images {
    store: Store,
    registries: Registries,
    events: Events,
    users: ImageUsers,
    /// Archives that may be in work.
    turns: Arc<Semaphore>,
    /// How long the sender of an archive may be silent.
    patience: Duration,
    /// What the embedded image is made of.
    exe: Option<std::path::PathBuf>,
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What is told while images come in or go out; the last item may be a failure.
#[derive(Debug)]
pub struct ProgressStream {
    lines: Lines,
}

#[derive(Debug)]
enum Lines {
    /// Who reads slowly is waited for; the work goes on when nobody reads any more.
    Archive(mpsc::Receiver<Result<Progress, Fault>>),
    /// The work ends when nobody reads any more.
    Registry(registry::Lines),
}

impl ProgressStream {
    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Progress, Fault>> {
        match &mut self.lines {
            Lines::Archive(receiver) => receiver.recv().await,
            Lines::Registry(lines) => lines.next().await,
        }
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

impl Images {
    /// The service over a store; `users` says which containers are made of images.
    pub fn new(store: Store, registries: Registries, events: Events, users: ImageUsers) -> Images {
        let images = Images {
            store,
            registries,
            events,
            users,
            turns: Arc::new(Semaphore::new(archive::AT_ONCE)),
            patience: archive::PATIENCE,
            exe: None,
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // What a transfer brought that ended with the last process belongs to nobody.
            let store = images.store.clone();
            runtime.spawn_blocking(move || {
                if let Err(error) = store.collect() {
                    tracing::warn!(%error, "cannot collect what an earlier process left");
                }
            });
        }
        images
    }

    /// The same with what the embedded image is made of.
    pub(crate) fn with_embedded(mut self, exe: std::path::PathBuf) -> Images {
        self.exe = Some(exe);
        self
    }

    /// Runs work that waits for the disk on a thread that may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(result) => result,
            Err(error) => {
                Err(Fault::internal("the work on an image ended early").with_source(error))
            }
        }
    }

    /// Sees to it that a name that stands for something here is known to the store: the embedded image, or one of the embedded
    /// registry.
    pub(crate) async fn look_up(&self, name: &str) -> Result<(), Fault> {
        self.refresh(name).await?;
        let embedded = name
            .parse::<naru_oci::Reference>()
            .is_ok_and(|name| name.or_latest().to_string() == naru_transfer::HELLO_NAME);
        match (&self.exe, embedded) {
            (Some(exe), true) => {
                let exe = exe.clone();
                self.blocking(move |store| {
                    naru_transfer::hello_image(store, &exe)?;
                    Ok(())
                })
                .await
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// How registries are reached, for files of the network too.
    pub(crate) fn known_registries(&self) -> &Registries {
        &self.registries
    }

    /// Tells what happened to an image.
    fn tell(&self, action: &str, id: &str, name: &str) {
        self.events.publish(Event {
            time: Timestamp::now(),
            kind: "image",
            action: action.to_owned(),
            id: id.to_owned(),
            attributes: BTreeMap::from([("name".to_owned(), name.to_owned())]),
        });
    }
}
