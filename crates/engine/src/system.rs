//! Acts: what the daemon and the host are.

use std::path::PathBuf;

/// The service of the system.
#[derive(Debug, Clone)]
pub struct System {}

/// What `info` shows.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemView {
    /// The identity of this data root.
    pub id: String,
    /// Containers in all.
    pub containers: usize,
    /// Those that run.
    pub running: usize,
    /// Those that are paused.
    pub paused: usize,
    /// The others.
    pub stopped: usize,
    /// Images.
    pub images: usize,
    /// Where data is.
    pub data_root: PathBuf,
    /// The host's name.
    pub name: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// The operating system's pretty name.
    pub operating_system: String,
    /// Its version.
    pub os_version: String,
    /// Docker's word for the machine (`x86_64`).
    pub architecture: String,
    /// Processors.
    pub cpus: usize,
    /// Bytes of memory.
    pub memory_total: u64,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// The cgroup driver.
    pub cgroup_driver: String,
    /// Security features (`name=seccomp,profile=builtin`).
    pub security_options: Vec<String>,
    /// What this host's kernel cannot do.
    pub warnings: Vec<String>,
    /// Limits that this kernel knows.
    pub limits: Limits,
    /// The server's version.
    pub server_version: String,
    /// Event listeners.
    pub event_listeners: usize,
    /// Open files of the daemon.
    pub open_files: usize,
    /// Whether debugging is on.
    pub debug: bool,
}

/// Limits that this kernel knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory.
    pub memory: bool,
    /// Swap.
    pub swap: bool,
    /// CPU quota.
    pub cpu_quota: bool,
    /// CPU shares.
    pub cpu_shares: bool,
    /// Processor sets.
    pub cpuset: bool,
    /// Processes.
    pub pids: bool,
    /// The OOM killer can be kept away.
    pub oom_kill_disable: bool,
}

/// What `version` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionView {
    /// The server's version.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// Go's word for the system.
    pub os: String,
    /// Go's word for the machine.
    pub arch: String,
    /// When it was built.
    pub build_time: String,
}

/// What `system df` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes of all image layers, each once.
    pub layers_size: u64,
}
