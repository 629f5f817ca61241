//! Pure: what a container looks like from outside.

use super::{ContainerConfig, EndpointView, HostConfig, MountPoint, PublishedPort, Timestamp};
use naru_oci::ImageId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

/// The states, in Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    Created,
    /// Its process lives.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It waits to be started again by its restart policy.
    Restarting,
    /// It is being removed.
    Removing,
    /// It ended.
    Exited,
    /// Its removal failed.
    Dead,
}

impl Status {
    /// Docker's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Removing => "removing",
            Status::Exited => "exited",
            Status::Dead => "dead",
        }
    }

    /// Reads Docker's name.
    pub fn parse(text: &str) -> Option<Status> {
        Some(match text {
            "created" => Status::Created,
            "running" => Status::Running,
            "paused" => Status::Paused,
            "restarting" => Status::Restarting,
            "removing" => Status::Removing,
            "exited" => Status::Exited,
            "dead" => Status::Dead,
            _ => return None,
        })
    }
}

/// A container's state as `inspect` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct StateView {
    /// Which state.
    pub status: Status,
    /// The process, 0 when there is none.
    pub pid: u32,
    /// The last exit code.
    pub exit_code: i64,
    /// Why the last start failed; empty when it did not.
    pub error: String,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// When it was started last.
    pub started_at: Option<Timestamp>,
    /// When it ended last.
    pub finished_at: Option<Timestamp>,
    /// Present when there is a health check.
    pub health: Option<HealthView>,
}

/// How well a container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HealthStatus {
    /// No check has said anything that counts yet.
    #[default]
    Starting,
    /// The last check went well, or not enough of them failed since.
    Healthy,
    /// Too many checks failed in a row, or nobody checks because it does not run.
    Unhealthy,
}

impl HealthStatus {
    /// Docker's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

/// The outcome of health checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthView {
    /// What follows from them.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: i64,
    /// The last results, oldest first.
    pub log: VecDeque<HealthResult>,
}

/// The outcome of one health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthResult {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// The exit code; -1 when it took too long or could not be run.
    pub exit_code: i64,
    /// The beginning of what it wrote, or why it has no exit code.
    pub output: String,
}

impl StateView {
    /// Whether a process lives (frozen or not) as Docker's `Running` says it.
    pub fn running(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused)
            || (self.status == Status::Restarting)
    }
}

/// A container as `inspect` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerView {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without a slash.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// The program.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The state.
    pub state: StateView,
    /// The image's ID.
    pub image_id: ImageId,
    /// What it runs, merged with the image's config.
    pub config: ContainerConfig,
    /// How it runs here.
    pub host: HostConfig,
    /// How often the restart policy started it.
    pub restart_count: u32,
    /// The log file; empty when there is none.
    pub log_path: PathBuf,
    /// The file mounted at `/etc/hostname`.
    pub hostname_path: PathBuf,
    /// The file mounted at `/etc/hosts`.
    pub hosts_path: PathBuf,
    /// The file mounted at `/etc/resolv.conf`.
    pub resolv_conf_path: PathBuf,
    /// Binds, volumes and tmpfs mounts.
    pub mounts: Vec<MountPoint>,
    /// Its networks, by name.
    pub networks: BTreeMap<String, EndpointView>,
    /// Its published ports.
    pub published: Vec<PublishedPort>,
    /// Execs that exist.
    pub exec_ids: Vec<String>,
    /// Bytes in the writable layer; asked for with `size`.
    pub size_rw: Option<u64>,
    /// Bytes in all layers; asked for with `size`.
    pub size_root_fs: Option<u64>,
    /// The snapshot's directories: lower (top first), upper and work.
    pub lower_dirs: Vec<PathBuf>,
    /// The writable directory.
    pub upper_dir: PathBuf,
    /// The overlay's work directory.
    pub work_dir: PathBuf,
    /// The image's platform (`linux`).
    pub os: String,
}

/// What `remove` may do beyond removing what has exited.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it first.
    pub force: bool,
    /// Remove its anonymous volumes too.
    pub volumes: bool,
}

/// What `wait` waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// Not running: at once when it is not running now.
    #[default]
    NotRunning,
    /// The next exit.
    NextExit,
    /// Its removal.
    Removed,
}

/// What `wait` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitOutcome {
    /// The exit code.
    pub code: i64,
    /// Why there is no exit code worth the name.
    pub error: Option<String>,
}
