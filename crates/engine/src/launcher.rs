//! Acts: the port to processes: the monitor that parents them and the cgroups that hold them. The engine's tests put a
//! fake behind it.

mod cgroups;
mod monitor;
mod tap;

pub(crate) use monitor::MonitorLauncher;

use crate::model::{StreamKind, Timestamp};
use bytes::Bytes;
use naru_errdefs::Fault;
use naru_oci::runtime::LinuxResources;
use naru_runtime::{ExecPlan, Plan, cgroup};
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Names a process: a container's own (no exec), or a further one in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The container's ID.
    pub(crate) container: String,
    /// The exec's ID.
    pub(crate) exec: Option<String>,
}

/// What the monitor keeps of a process.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Its name.
    pub(crate) key: Key,
    /// Whether it has a terminal.
    pub(crate) terminal: bool,
    /// Whether it has a standard input of its own.
    pub(crate) stdin: bool,
    /// Its log: file, size at which it is rotated, number of files.
    pub(crate) log: Option<(PathBuf, u64, u32)>,
    /// Where its exit is noted when no daemon is there.
    pub(crate) exit_record: Option<PathBuf>,
    /// Whether it ends, with its process group, when this daemon does.
    pub(crate) tied: bool,
}

/// Somebody who wants what a process writes.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// Whether standard output (or the terminal) is wanted.
    pub(crate) stdout: bool,
    /// Whether standard error is wanted.
    pub(crate) stderr: bool,
    /// Where it goes. The launcher drops it at the end of the output.
    pub(crate) sender: mpsc::Sender<(StreamKind, Bytes)>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The exit code, or 128 and the signal's number.
    pub(crate) code: i64,
    /// Whether the code is a guess.
    pub(crate) unknown: bool,
    /// When.
    pub(crate) at: Timestamp,
}

/// A process that the monitor had when the daemon started.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its name.
    pub(crate) key: Key,
    /// Its number.
    pub(crate) pid: u32,
    /// When it was started.
    pub(crate) started_at: Timestamp,
    /// How it ended, if it did.
    pub(crate) ended: Option<Ended>,
    /// Whether it was of use to the daemon before only, and is being killed.
    pub(crate) tied: bool,
}

/// Who is told, in the order in which it happens, on a thread of the launcher's own: what is done there must be short.
pub(crate) trait Sink: Debug + Send + Sync {
    /// A process runs.
    fn started(&self, key: &Key, pid: u32, at: Timestamp, warnings: Vec<String>);
    /// A process could not be started.
    fn failed(&self, key: &Key, fault: Fault);
    /// A process ended and its output was read.
    fn ended(&self, key: &Key, ended: Ended);
}

/// Processes, as the engine needs them.
pub(crate) trait Launcher: Debug + Send + Sync {
    /// Starts a container's process. The outcome comes to the sink.
    fn start(&self, job: &Job, plan: Plan, listeners: Vec<Listener>) -> Result<(), Fault>;
    /// Starts a further process. The outcome comes to the sink.
    fn exec(&self, job: &Job, plan: ExecPlan, listeners: Vec<Listener>) -> Result<(), Fault>;
    /// Adds a listener to a running process, from now on.
    fn attach(&self, key: &Key, listener: Listener) -> Result<(), Fault>;
    /// Sends a signal.
    fn signal(&self, key: &Key, signal: u8) -> Result<(), Fault>;
    /// Kills a process and its process group.
    fn kill_group(&self, key: &Key) -> Result<(), Fault>;
    /// Sets the terminal's size.
    fn resize(&self, key: &Key, rows: u16, columns: u16) -> Result<(), Fault>;
    /// A copy of the descriptor that standard input is written to; `None` when there is none.
    fn stdin(&self, key: &Key) -> Result<Option<OwnedFd>, Fault>;
    /// Closes standard input for good; other copies must be dropped too.
    fn close_stdin(&self, key: &Key);
    /// The exit was recorded.
    fn forget(&self, key: &Key);
    /// The processes that the monitor had when the daemon started.
    fn found(&self) -> Vec<Found>;

    /// Makes a container's cgroup. Answers the files by which a process joins it.
    fn confine(
        &self,
        id: &str,
        parent: &str,
        limits: &LinuxResources,
    ) -> Result<Vec<PathBuf>, Fault>;
    /// The files by which a process joins a container's cgroup.
    fn join(&self, id: &str, parent: &str) -> Result<Vec<PathBuf>, Fault>;
    /// Changes limits. Answers warnings.
    fn limit(&self, id: &str, parent: &str, limits: &LinuxResources) -> Result<Vec<String>, Fault>;
    /// Freezes or thaws.
    fn freeze(&self, id: &str, parent: &str, frozen: bool) -> Result<(), Fault>;
    /// What it uses.
    fn usage(&self, id: &str, parent: &str) -> Result<cgroup::Stats, Fault>;
    /// The processes in it.
    fn processes(&self, id: &str, parent: &str) -> Result<Vec<u32>, Fault>;
    /// Whether the kernel killed a process in it for want of memory.
    fn ran_out_of_memory(&self, id: &str, parent: &str) -> bool;
    /// Kills what is left in it and removes it; not an error when it is not there.
    fn release(&self, id: &str, parent: &str) -> Result<(), Fault>;
    /// What the host's cgroups can do.
    fn support(&self) -> cgroup::Support;
}
