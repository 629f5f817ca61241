//! The service of builds: contexts come in, images come out.
//!
//! Acts: over a builder of images, with the supervisor for processes and the service of images for what is fetched.

mod caches;
mod executor;
mod foreign;
mod git;
mod sources;

pub use naru_kernel::times::FileTime;

pub use naru_build::ports::Promise;
pub use naru_build::{
    AgentLine, Agents, Attestations, BuildContext, BuildEvent, BuildFailure, BuildOptions,
    BuildWarning, Built, CacheExport, CacheRecord, CacheSource, CacheTarget, Content,
    DockerfileSource, LayerCompression, LentAgents, NamedContext, NetworkChoice, Node, PruneBuild,
    PrunedBuild, RegistryAuth, RunLimits, Secret, Tree, Ulimit, context_key,
};

use crate::supervisor::Supervisor;
use crate::{Event, Events, Images, Timestamp};
use naru_build::Builder;
use naru_errdefs::Fault;
use naru_oci::Digest;
use naru_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::SyncIoBridge;

/// The service of builds.
#[derive(Debug, Clone)]
pub struct Builds {
    builder: Builder,
    events: Events,
}

/// A context whose files are on their way.
#[derive(Debug)]
pub struct ContextUpload {
    /// The contents that are not here yet, with the modes that they are wanted with.
    pub missing: BTreeSet<(Digest, u32)>,
    tree: Tree,
    /// What is here already stays until the context is whole.
    _hold: naru_build::Hold,
}

impl Builds {
    pub(crate) fn open(
        root: &Path,
        store: Store,
        supervisor: Arc<Supervisor>,
        images: Images,
        events: Events,
    ) -> Result<Builds, Fault> {
        let executor = Arc::new(executor::Runner { inner: supervisor });
        let caches = Arc::new(caches::Carrier { images: images.clone(), store: store.clone() });
        let sources = Arc::new(sources::Fetcher { images, store: store.clone() });
        let builder = Builder::open(store, &root.join("build"), executor, sources, caches)?;
        Ok(Builds { builder, events })
    }

    /// Takes a context in as a tar archive, compressed or not. What an ignore file in it leaves out is left out later, by
    /// the build, which knows the name of the Dockerfile.
    pub async fn receive(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<BuildContext, Fault> {
        let builder = self.builder.clone();
        let archive = crate::images::archive::patient(archive);
        blocking(move || builder.files().receive(SyncIoBridge::new(archive))).await
    }

    /// Begins to take a context in, of which only the contents that are not here have to be sent.
    pub async fn begin(&self, tree: Tree) -> Result<ContextUpload, Fault> {
        let builder = self.builder.clone();
        blocking(move || {
            let hold = builder.files().hold();
            let wanted = tree.iter().filter_map(|(_, node)| match &node.content {
                Content::File { digest, .. } => Some((*digest, node.mode)),
                Content::Directory | Content::Link(_) => None,
            });
            let missing = wanted.filter(|(digest, mode)| !builder.files().has(digest, *mode));
            Ok(ContextUpload { missing: missing.collect(), tree, _hold: hold })
        })
        .await
    }

    /// Takes the missing contents in: a tar archive whose entries are named `DIGEST-MODE` (hexadecimal digits, octal digits)
    /// and have that mode and the time of the file.
    pub async fn finish(
        &self,
        upload: ContextUpload,
        contents: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<BuildContext, Fault> {
        let upload = self.fill(upload, contents).await?;
        let builder = self.builder.clone();
        blocking(move || builder.files().assemble(upload.tree)).await
    }

    /// Takes the missing contents in for a build that is to come.
    pub async fn fill(
        &self,
        mut upload: ContextUpload,
        contents: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<ContextUpload, Fault> {
        let builder = self.builder.clone();
        let contents = crate::images::archive::patient(contents);
        blocking(move || {
            if !upload.missing.is_empty() {
                builder.files().receive_contents(SyncIoBridge::new(contents))?;
                upload.missing.clear();
            }
            Ok(upload)
        })
        .await
    }

    /// Builds an image. Dropping the future cancels the build with everything it started; whoever reads events slowly
    /// is waited for, whoever drops the receiver is not told any more.
    pub async fn build(
        &self,
        context: Option<BuildContext>,
        options: BuildOptions,
        events: mpsc::Sender<BuildEvent>,
    ) -> Result<Built, BuildFailure> {
        let tags = options.tags.clone();
        let built = Box::pin(self.builder.build(context, options, events)).await?;
        let id = built.image.to_string();
        for tag in tags {
            self.tell("tag", &id, &tag.familiar());
        }
        Ok(built)
    }

    /// Takes from the build cache what is not used.
    pub async fn prune(&self, what: PruneBuild) -> Result<PrunedBuild, Fault> {
        let builder = self.builder.clone();
        blocking(move || builder.prune(&what)).await
    }

    /// What the build cache holds.
    pub async fn usage(&self) -> Result<Vec<CacheRecord>, Fault> {
        let builder = self.builder.clone();
        blocking(move || builder.usage()).await
    }

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

/// Runs work that waits for the disk on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Fault::internal("the work on a build ended early").with_source(error)),
    }
}
