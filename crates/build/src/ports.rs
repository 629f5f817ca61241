//! Acts, through whoever implements it: what a build needs of others: processes, images, files of the network.

use crate::{NetworkChoice, RegistryAuth, RunLimits};
use bytes::Bytes;
use naru_errdefs::Fault;
use naru_oci::{ChainId, Platform};
use naru_store::ImageRecord;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
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

/// A file of the network.
#[derive(Debug)]
pub struct Fetched {
    /// Where it lies; the caller removes it.
    pub path: PathBuf,
    /// The name in its address, or in what the server says of it.
    pub name: String,
    /// When it was changed, in seconds since 1970, where the server says so.
    pub modified: Option<i64>,
}

/// Brings what a build starts from.
pub trait Sources: Debug + Send + Sync {
    /// The image of a name; from its registry when it is not here, or when `pull` says so.
    fn image<'a>(
        &'a self,
        request: ImageRequest<'a>,
        progress: mpsc::Sender<(String, u64, u64)>,
    ) -> Promise<'a, Result<Base, Fault>>;

    /// A file at an address, written to a path.
    fn file<'a>(&'a self, address: &'a str, path: PathBuf) -> Promise<'a, Result<Fetched, Fault>>;
}
