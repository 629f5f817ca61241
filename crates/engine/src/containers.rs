//! Acts: the service of containers and execs; one file a verb.

use crate::model::{
    AttachOptions, ContainerSummary, ContainerView, CreateRequest, Created, ExecRequest, ExecStart,
    ExecView, ListFilter, LogOptions, PruneFilter, Pruned, RemoveOptions, Resources, RestartPolicy,
    Stats, Top, WaitCondition,
};
use crate::streams::{Attachment, ExportStream, LogStream, Wait};
use naru_errdefs::Fault;

/// The service of containers and execs. A container is named by its name (a slash before it or not), its ID, or a
/// prefix of its ID that no other has.
#[derive(Debug, Clone)]
pub struct Containers {}

/// How `stop` and `restart` stop.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// Seconds until it is killed; absent: the container's own; negative: never.
    pub timeout: Option<i64>,
    /// The signal that asks it; absent: the container's own.
    pub signal: Option<String>,
}

fn later<T>() -> Result<T, Fault> {
    Err(Fault::unsupported("not yet"))
}

#[expect(unused_variables, reason = "published before it is filled")]
impl Containers {
    /// Makes a container.
    pub async fn create(&self, request: CreateRequest) -> Result<Created, Fault> {
        later()
    }
    /// Starts it; `NotModified` when it runs.
    pub async fn start(&self, name: &str) -> Result<(), Fault> {
        later()
    }
    /// Stops it; `NotModified` when it does not run.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<(), Fault> {
        later()
    }
    /// Sends a signal (`KILL`, `SIGKILL`, `9`; absent: `SIGKILL`).
    pub async fn kill(&self, name: &str, signal: Option<&str>) -> Result<(), Fault> {
        later()
    }
    /// Stops it if it runs, and starts it.
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<(), Fault> {
        later()
    }
    /// Freezes its processes.
    pub async fn pause(&self, name: &str) -> Result<(), Fault> {
        later()
    }
    /// Lets them go on.
    pub async fn unpause(&self, name: &str) -> Result<(), Fault> {
        later()
    }
    /// Registers a wait before it returns.
    pub fn wait(&self, name: &str, condition: WaitCondition) -> Result<Wait, Fault> {
        later()
    }
    /// Removes it.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<(), Fault> {
        later()
    }
    /// Gives it another name.
    pub async fn rename(&self, name: &str, new_name: &str) -> Result<(), Fault> {
        later()
    }
    /// Sets the terminal's size.
    pub async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<(), Fault> {
        later()
    }
    /// Its processes; `arguments` are those of `ps` as far as they are served (`-ef`, `aux`, `-o …`).
    pub async fn top(&self, name: &str, arguments: &str) -> Result<Top, Fault> {
        later()
    }
    /// What it uses; `None` when it does not run.
    pub async fn stats(&self, name: &str) -> Result<Option<Stats>, Fault> {
        later()
    }
    /// All there is to know.
    pub async fn inspect(&self, name: &str, size: bool) -> Result<ContainerView, Fault> {
        later()
    }
    /// Those that the filter lets through, newest first.
    pub async fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>, Fault> {
        later()
    }
    /// What it wrote.
    pub async fn logs(&self, name: &str, options: LogOptions) -> Result<LogStream, Fault> {
        later()
    }
    /// Its standard streams; before the start too.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment, Fault> {
        later()
    }
    /// Prepares a further process; answers its ID.
    pub async fn exec_create(&self, name: &str, request: ExecRequest) -> Result<String, Fault> {
        later()
    }
    /// Starts it; the attachment is absent when detached.
    pub async fn exec_start(
        &self,
        id: &str,
        start: ExecStart,
    ) -> Result<Option<Attachment>, Fault> {
        later()
    }
    /// All there is to know of an exec.
    pub async fn exec_inspect(&self, id: &str) -> Result<ExecView, Fault> {
        later()
    }
    /// Sets the terminal's size of an exec.
    pub async fn exec_resize(&self, id: &str, rows: u16, columns: u16) -> Result<(), Fault> {
        later()
    }
    /// Its root as a tar stream.
    pub async fn export(&self, name: &str) -> Result<ExportStream, Fault> {
        later()
    }
    /// Changes limits and restart policy; answers warnings.
    pub async fn update(
        &self,
        name: &str,
        resources: Resources,
        restart: Option<RestartPolicy>,
    ) -> Result<Vec<String>, Fault> {
        later()
    }
    /// Removes those that do not run.
    pub async fn prune(&self, filter: &PruneFilter) -> Result<Pruned, Fault> {
        later()
    }
}
