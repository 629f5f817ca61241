//! Acts, through whoever implements it: what a build needs of others: processes, images, files of the network.

use crate::{NetworkChoice, RegistryAuth, RunLimits};
use bytes::Bytes;
use naru_errdefs::Fault;
use naru_git::{Address, Oid, PackWriter, Tip};
use naru_oci::{ChainId, Descriptor, DiffId, Digest, Platform, Reference};
use naru_store::{ImageRecord, LeaseId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use tokio::sync::mpsc;

/// A future that may go from thread to thread.
pub type Promise<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where lines of a process go: whether it was standard error, and what.
pub type OutputSender = mpsc::Sender<(bool, Bytes)>;

/// A process to be run on a file system.
#[derive(Debug)]
pub struct RunRequest {
    /// The file system that it starts on; nothing at all when absent.
    pub chain: Option<ChainId>,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// `user[:group]`.
    pub user: String,
    /// The working directory.
    pub working_dir: String,
    /// The network.
    pub network: NetworkChoice,
    /// The name that the process sees for its host.
    pub hostname: String,
    /// What is mounted.
    pub mounts: Vec<RunMount>,
    /// Limits.
    pub limits: RunLimits,
    /// All capabilities, no filter.
    pub insecure: bool,
}

/// Something mounted for a process.
#[derive(Debug)]
pub struct RunMount {
    /// The place inside, absolute.
    pub target: String,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// What.
    pub source: MountSource,
}

/// What is mounted.
#[derive(Debug)]
pub enum MountSource {
    /// A file or directory of the host.
    Path(PathBuf),
    /// A detached mount.
    Mount(OwnedFd),
    /// Memory of at most so many bytes.
    Memory(Option<u64>),
}

/// What came of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit code, or 128 and the signal's number.
    pub code: i64,
    /// Whether the kernel killed it for want of memory.
    pub out_of_memory: bool,
}

/// Runs processes.
pub trait Executor: Debug + Send + Sync {
    /// Runs a process and waits for its end. When it exits with zero, what it changed is in `changes` afterwards: a
    /// directory in the form of an overlay's upper one, in the place of the empty one that was there. Dropping the future
    /// ends the process with everything it started.
    fn run<'a>(
        &'a self,
        request: RunRequest,
        changes: PathBuf,
        output: OutputSender,
    ) -> Promise<'a, Result<Ran, Fault>>;
}

/// An image that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct ImageRequest<'a> {
    /// Its name or ID.
    pub name: &'a str,
    /// What it is for.
    pub platform: &'a Platform,
    /// Whether its registry is asked even when it is here.
    pub pull: bool,
    /// Who we are, by registry.
    pub auth: &'a BTreeMap<String, RegistryAuth>,
}

/// An image that a stage starts from.
#[derive(Debug, Clone)]
pub struct Base {
    /// What is stored about it.
    pub record: ImageRecord,
}

/// A file of the network that is wanted.
pub struct FileRequest<'a> {
    /// Its address.
    pub address: &'a str,
    /// What the header `Authorization` says to its server, and to no other.
    pub authorization: Option<String>,
    /// Where it is written to; there is nothing yet.
    pub path: PathBuf,
    /// What the server said of it the last time.
    pub known: &'a Validators,
}

impl Debug for FileRequest<'_> {
    /// Never shows a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileRequest").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a server says of a file, to be asked with whether it is still the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// A file of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// It is still what it was; nothing was written.
    Unchanged,
    /// It was written to its path; the caller removes it.
    File {
        /// The name in its address, or in what the server says of it; may be empty.
        name: String,
        /// When it was changed, in seconds since 1970, where the server says so.
        modified: Option<i64>,
        /// To be asked with the next time.
        validators: Validators,
    },
}

/// A git repository that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct GitRequest<'a> {
    /// Where it is.
    pub address: &'a Address,
    /// Who we are there, over HTTP.
    pub auth: Option<GitAuth<'a>>,
    /// The socket of an agent for `ssh`.
    pub agent: Option<&'a Path>,
    /// The hosts that are known.
    pub hosts: KnownHosts<'a>,
}

/// Files with keys of hosts, as `ssh` has them.
#[derive(Debug, Clone, Copy)]
pub struct KnownHosts<'a> {
    /// The hosts that whoever builds knows.
    pub theirs: Option<&'a Path>,
    /// The hosts that were met here before; may not be there yet.
    pub ours: &'a Path,
}

/// Who we are to a repository.
#[derive(Clone, Copy)]
pub enum GitAuth<'a> {
    /// A token.
    Token(&'a str),
    /// What the header `Authorization` says.
    Header(&'a str),
}

impl Debug for GitAuth<'_> {
    /// Never shows a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GitAuth(…)")
    }
}

/// Brings what a build starts from.
pub trait Sources: Debug + Send + Sync {
    /// The image of a name; from its registry when it is not here, or when `pull` says so.
    fn image<'a>(
        &'a self,
        request: ImageRequest<'a>,
        progress: mpsc::Sender<(String, u64, u64)>,
    ) -> Promise<'a, Result<Base, Fault>>;

    /// An image that is in the store, by the digest of its manifest or of an index of some.
    fn content<'a>(
        &'a self,
        digest: Digest,
        platform: &'a Platform,
    ) -> Promise<'a, Result<Base, Fault>>;

    /// A file at an address, unless it is still what it was.
    fn file<'a>(&'a self, request: FileRequest<'a>) -> Promise<'a, Result<Fetched, Fault>>;

    /// The commit that the reference of a git repository means.
    fn commit<'a>(&'a self, request: GitRequest<'a>) -> Promise<'a, Result<Tip, Fault>>;

    /// Writes a pack in which a commit is with all its files.
    fn pack<'a>(
        &'a self,
        request: GitRequest<'a>,
        commit: Oid,
        pack: PackWriter,
    ) -> Promise<'a, Result<PackWriter, Fault>>;
}

/// A cache at a registry, and who we are there.
#[derive(Debug, Clone, Copy)]
pub struct CachePlace<'a> {
    /// Its name.
    pub reference: &'a Reference,
    /// Who we are, by registry.
    pub auth: &'a BTreeMap<String, RegistryAuth>,
}

/// A layer of a cache.
#[derive(Debug, Clone, Copy)]
pub struct CacheLayer<'a> {
    /// Where it is; in the store when absent.
    pub place: Option<CachePlace<'a>>,
    /// The blob.
    pub blob: &'a Descriptor,
    /// What it has to unpack to.
    pub diff_id: DiffId,
}

/// Reads and writes caches at registries.
pub trait Caches: Debug + Send + Sync {
    /// What a name means there, or one of the manifests that it leads to. The bytes have the digest of the descriptor.
    fn manifest<'a>(
        &'a self,
        place: CachePlace<'a>,
        digest: Option<Digest>,
    ) -> Promise<'a, Result<(Descriptor, Vec<u8>), Fault>>;

    /// A small blob, verified.
    fn document<'a>(
        &'a self,
        place: CachePlace<'a>,
        blob: &'a Descriptor,
    ) -> Promise<'a, Result<Vec<u8>, Fault>>;

    /// Fetches the blobs that are not in the store, verified; the lease holds them.
    fn fetch<'a>(
        &'a self,
        layers: &'a [CacheLayer<'a>],
        lease: LeaseId,
        progress: mpsc::Sender<(String, u64, u64)>,
    ) -> Promise<'a, Result<(), Fault>>;

    /// Unpacks layers that were fetched on a file system, bottom first. Every one of them is what it was promised to be, also
    /// where its snapshot is there already.
    fn unpack<'a>(
        &'a self,
        base: Option<ChainId>,
        layers: &'a [CacheLayer<'a>],
        lease: LeaseId,
    ) -> Promise<'a, Result<(), Fault>>;

    /// Sends a manifest that is in the store, with its blobs.
    fn push<'a>(
        &'a self,
        place: CachePlace<'a>,
        root: &'a Descriptor,
        progress: mpsc::Sender<(String, u64, u64)>,
    ) -> Promise<'a, Result<(), Fault>>;
}
