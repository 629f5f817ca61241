//! Acts: the service of builds: contexts come in, images come out.

pub use naru_build::{
    Attestations, BuildEvent, BuildFailure, BuildOptions, BuildWarning, Built, CacheExport,
    CacheRecord, DockerfileSource, LayerCompression, NetworkChoice, PruneBuild, PrunedBuild,
    RunLimits, Secret, Ulimit,
};

use crate::images::Credentials;
use naru_errdefs::Fault;
use naru_oci::Digest;
use std::collections::{BTreeMap, BTreeSet};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

/// The service of builds.
#[derive(Debug, Clone)]
pub struct Builds {}

/// A context that was received. It goes when it is dropped; what it holds stays for the next one, up to a bound.
#[derive(Debug)]
pub struct BuildContext {}

/// One entry of a context that a client describes before it sends anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextEntry {
    /// The path in the context, without a slash at either end.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: ContextKind,
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it was changed, in nanoseconds since 1970.
    pub modified: i64,
    /// Extended attributes.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry of a context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextKind {
    /// A directory.
    Directory,
    /// A file with this content.
    File {
        /// The digest of its bytes.
        digest: Digest,
        /// How many there are.
        size: u64,
    },
    /// A symbolic link to this target.
    Link(Vec<u8>),
}

/// A context whose files are on their way.
#[derive(Debug)]
pub struct ContextUpload {
    /// The contents that are not here yet.
    pub missing: BTreeSet<Digest>,
}

impl Builds {
    /// The same service for somebody who is known to these registries, by their hosts (`docker.io`, `host:port`).
    #[must_use]
    pub fn with_credentials(&self, _credentials: BTreeMap<String, Credentials>) -> Builds {
        self.clone()
    }

    /// Takes a context in as a tar archive, compressed or not. What a `.dockerignore` in it excludes is left out.
    pub async fn receive(
        &self,
        _archive: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<BuildContext, Fault> {
        Err(Fault::unsupported("builds are not wired yet"))
    }

    /// Begins to take a context in, of which only the contents that are not here have to be sent.
    pub async fn begin(&self, _entries: Vec<ContextEntry>) -> Result<ContextUpload, Fault> {
        Err(Fault::unsupported("builds are not wired yet"))
    }

    /// Takes contents in: a tar archive whose entries are named by their digests in hexadecimal digits.
    pub async fn finish(
        &self,
        _upload: ContextUpload,
        _contents: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<BuildContext, Fault> {
        Err(Fault::unsupported("builds are not wired yet"))
    }

    /// Builds an image. Dropping the future cancels the build with everything it started; whoever reads events slowly
    /// is waited for, whoever drops the receiver is not told any more.
    pub async fn build(
        &self,
        _context: Option<BuildContext>,
        _options: BuildOptions,
        _events: mpsc::Sender<BuildEvent>,
    ) -> Result<Built, BuildFailure> {
        Err(BuildFailure { fault: Fault::unsupported("builds are not wired yet"), code: None })
    }

    /// Takes from the build cache what is not used.
    pub async fn prune(&self, _what: PruneBuild) -> Result<PrunedBuild, Fault> {
        Err(Fault::unsupported("builds are not wired yet"))
    }

    /// What the build cache holds.
    pub async fn usage(&self) -> Result<Vec<CacheRecord>, Fault> {
        Ok(Vec::new())
    }
}
