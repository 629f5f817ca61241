//! Pure: how a container runs on this host, in Docker's words (`HostConfig`).

use naru_oci::ImageId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a container runs on this host. Zero values mean "not set", as on the wire.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostConfig {
    /// `SOURCE:TARGET[:OPTIONS]` as given; a source that is not an absolute path is a volume's name.
    pub binds: Vec<String>,
    /// Where the client wrote the ID; only shown.
    pub container_id_file: String,
    /// What becomes of output.
    pub log: LogConfig,
    /// `none`, `host`, `container:X`, a network's name or ID, or `default`/empty, which mean `bridge`.
    pub network_mode: String,
    /// `80/tcp` to the ports of the host that it is to be reached at.
    pub port_bindings: BTreeMap<String, Vec<super::PortBinding>>,
    /// Whether every exposed port gets a port of the host.
    pub publish_all_ports: bool,
    /// `CONTAINER[:ALIAS]` on the default network.
    pub links: Vec<String>,
    /// What happens when the container exits.
    pub restart: RestartPolicy,
    /// Whether the container is removed when it has exited.
    pub auto_remove: bool,
    /// The terminal's first size, rows and columns.
    pub console_size: [u32; 2],
    /// Free key/value pairs that reach the runtime spec.
    pub annotations: BTreeMap<String, String>,
    /// `mount` flags.
    pub mounts: Vec<MountRequest>,
    /// Containers whose mounts it has too, `CONTAINER[:ro|:rw]`.
    pub volumes_from: Vec<String>,
    /// The driver of new volumes: `local` or empty.
    pub volume_driver: String,
    /// Capabilities above the default set.
    pub cap_add: Vec<String>,
    /// Capabilities taken away.
    pub cap_drop: Vec<String>,
    /// `host`, `private` or empty.
    pub cgroupns_mode: String,
    /// Name servers for `resolv.conf`.
    pub dns: Vec<String>,
    /// Options for `resolv.conf`.
    pub dns_options: Vec<String>,
    /// Search domains for `resolv.conf`.
    pub dns_search: Vec<String>,
    /// `NAME:ADDRESS` for `hosts`.
    pub extra_hosts: Vec<String>,
    /// Further groups of the process, by name or number.
    pub group_add: Vec<String>,
    /// `private`, `shareable`, `none`, `host`, `container:X` or empty.
    pub ipc_mode: String,
    /// The process's `oom_score_adj`.
    pub oom_score_adj: i64,
    /// `host`, `container:X` or empty.
    pub pid_mode: String,
    /// Everything allowed.
    pub privileged: bool,
    /// Whether the root file system is read-only.
    pub readonly_rootfs: bool,
    /// `seccomp=…`, `no-new-privileges`, `apparmor=…`, `label=…`, `systempaths=unconfined`.
    /// For `seccomp=` the value is the profile itself as JSON, `unconfined` or `builtin`.
    pub security_opt: Vec<String>,
    /// Target to options.
    pub tmpfs: BTreeMap<String, String>,
    /// `host` or empty.
    pub uts_mode: String,
    /// `host` or empty.
    pub userns_mode: String,
    /// Bytes of `/dev/shm`; 0: 64 MiB.
    pub shm_size: i64,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// The runtime's name; empty or the built-in one.
    pub runtime: String,
    /// Whether an init reaps zombies and forwards signals; absent: no.
    pub init: Option<bool>,
    /// Paths hidden inside; absent: the default list.
    pub masked_paths: Option<Vec<String>>,
    /// Paths that are read-only inside; absent: the default list.
    pub readonly_paths: Option<Vec<String>>,
    /// Limits.
    pub resources: Resources,
}

/// What becomes of output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// `json-file` (also the empty string) or `none`.
    pub driver: String,
    /// `max-size`, `max-file`.
    pub options: BTreeMap<String, String>,
}

/// What happens when a container exits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// Which policy.
    pub name: RestartName,
    /// For `on-failure`: give up after that many; 0: never.
    pub maximum_retry_count: u32,
}

/// The restart policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartName {
    /// Never.
    #[default]
    No,
    /// Whatever the exit code, and when the daemon starts.
    Always,
    /// Like always, but not once somebody stopped it.
    UnlessStopped,
    /// When the exit code is not zero.
    OnFailure,
}

impl RestartName {
    /// Docker's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            RestartName::No => "no",
            RestartName::Always => "always",
            RestartName::UnlessStopped => "unless-stopped",
            RestartName::OnFailure => "on-failure",
        }
    }

    /// Reads Docker's name; the empty string is `no`.
    pub fn parse(text: &str) -> Option<RestartName> {
        match text {
            "" | "no" => Some(RestartName::No),
            "always" => Some(RestartName::Always),
            "unless-stopped" => Some(RestartName::UnlessStopped),
            "on-failure" => Some(RestartName::OnFailure),
            _ => None,
        }
    }
}

/// What kind of thing is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    #[default]
    Bind,
    /// A volume.
    Volume,
    /// Memory.
    Tmpfs,
    /// The file system of an image.
    Image,
}

impl MountKind {
    /// Docker's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            MountKind::Bind => "bind",
            MountKind::Volume => "volume",
            MountKind::Tmpfs => "tmpfs",
            MountKind::Image => "image",
        }
    }
}

/// One `--mount`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountRequest {
    /// What kind of thing is mounted.
    pub kind: MountKind,
    /// A path of the host, a volume's name (empty: an anonymous volume), or an image.
    pub source: String,
    /// Where, inside.
    pub target: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// For binds.
    pub bind: Option<BindOptions>,
    /// For volumes: whether the image's content at the target is left out of a new volume.
    pub volume_no_copy: bool,
    /// For volumes: labels of a new one.
    pub volume_labels: Option<BTreeMap<String, String>>,
    /// For volumes: `local` or empty.
    pub volume_driver: String,
    /// For volumes: the driver's options for a new one.
    pub volume_options: Option<BTreeMap<String, String>>,
    /// For volumes and images: what of it is mounted.
    pub subpath: String,
    /// For tmpfs.
    pub tmpfs: Option<TmpfsOptions>,
}

/// Options of a bind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BindOptions {
    /// How mounts under it travel; absent: `rprivate`.
    pub propagation: Option<Propagation>,
    /// Whether mounts below the source stay outside.
    pub non_recursive: bool,
    /// Whether a missing source is made.
    pub create_source: bool,
    /// Whether only the top mount is read-only.
    pub read_only_non_recursive: bool,
    /// Whether it is an error when mounts below cannot be made read-only.
    pub read_only_force_recursive: bool,
}

/// How mounts and unmounts travel between host and container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Not at all.
    Private,
    /// Not at all, below too.
    RPrivate,
    /// Both ways.
    Shared,
    /// Both ways, below too.
    RShared,
    /// From the host only.
    Slave,
    /// From the host only, below too.
    RSlave,
}

impl Propagation {
    /// The option's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Propagation::Private => "private",
            Propagation::RPrivate => "rprivate",
            Propagation::Shared => "shared",
            Propagation::RShared => "rshared",
            Propagation::Slave => "slave",
            Propagation::RSlave => "rslave",
        }
    }

    /// Reads an option's name.
    pub fn parse(text: &str) -> Option<Propagation> {
        Some(match text {
            "private" => Propagation::Private,
            "rprivate" => Propagation::RPrivate,
            "shared" => Propagation::Shared,
            "rshared" => Propagation::RShared,
            "slave" => Propagation::Slave,
            "rslave" => Propagation::RSlave,
            _ => return None,
        })
    }
}

/// Options of a tmpfs mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TmpfsOptions {
    /// Bytes; 0: unlimited.
    pub size: i64,
    /// Permission bits; 0: 1777.
    pub mode: u32,
    /// Further options, each `key` or `key=value`.
    pub options: Vec<String>,
}

/// A parsed bind, volume, tmpfs or image of a container, as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// What kind of thing is mounted.
    pub kind: MountKind,
    /// The volume's name.
    pub name: Option<String>,
    /// The host's path; empty for tmpfs.
    pub source: String,
    /// Where, inside.
    pub destination: String,
    /// The options as given (`ro`, `z`, …).
    pub mode: String,
    /// Whether it can be written.
    pub writable: bool,
    /// How mounts under it travel.
    pub propagation: Option<Propagation>,
    /// Whether the daemon made the volume for this container alone.
    #[serde(default)]
    pub anonymous: bool,
    /// Whether mounts below a bind's source stay outside.
    #[serde(default)]
    pub non_recursive: bool,
    /// Options for the mount call of a tmpfs; else words of ours (`nocopy`, `must-exist`, …).
    #[serde(default)]
    pub options: Vec<String>,
    /// What of a volume or an image is mounted.
    #[serde(default)]
    pub subpath: Option<String>,
    /// Labels of a volume that is made for it.
    #[serde(default)]
    pub volume_labels: Option<BTreeMap<String, String>>,
    /// Options of the driver of a volume that is made for it.
    #[serde(default)]
    pub volume_options: Option<BTreeMap<String, String>>,
    /// The image that is mounted.
    #[serde(default)]
    pub image: Option<ImageId>,
}

impl MountPoint {
    /// Whether one of the options is this word.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|other| other == option)
    }
}

/// A bind's text, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// A path of the host or a volume's name.
    pub source: String,
    /// Where, inside.
    pub target: String,
    /// The options as given.
    pub mode: String,
}

/// Limits of a container. Zero values mean "not set".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Relative share of the processors.
    pub cpu_shares: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// Billionths of a processor.
    pub nano_cpus: i64,
    /// The cgroup above the container's.
    pub cgroup_parent: String,
    /// Relative share of the block devices, 10 to 1000.
    pub blkio_weight: u16,
    /// Shares by device.
    pub blkio_weight_device: Vec<WeightDevice>,
    /// Bytes a second read, by device.
    pub blkio_device_read_bps: Vec<ThrottleDevice>,
    /// Bytes a second written, by device.
    pub blkio_device_write_bps: Vec<ThrottleDevice>,
    /// Reads a second, by device.
    pub blkio_device_read_iops: Vec<ThrottleDevice>,
    /// Writes a second, by device.
    pub blkio_device_write_iops: Vec<ThrottleDevice>,
    /// Microseconds of a period of the CPU quota.
    pub cpu_period: i64,
    /// Microseconds of CPU in a period.
    pub cpu_quota: i64,
    /// Microseconds of a real-time period.
    pub cpu_realtime_period: i64,
    /// Microseconds of real-time CPU in a period.
    pub cpu_realtime_runtime: i64,
    /// Processors (`0-2,4`).
    pub cpuset_cpus: String,
    /// Memory nodes.
    pub cpuset_mems: String,
    /// Devices of the host.
    pub devices: Vec<DeviceMapping>,
    /// `c 42:* rmw`.
    pub device_cgroup_rules: Vec<String>,
    /// The soft limit of memory in bytes.
    pub memory_reservation: i64,
    /// Bytes of memory and swap; -1: no limit.
    pub memory_swap: i64,
    /// 0 to 100; absent or -1: the host's.
    pub memory_swappiness: Option<i64>,
    /// Whether the OOM killer leaves the container alone.
    pub oom_kill_disable: Option<bool>,
    /// Processes and threads; 0 or -1: no limit.
    pub pids_limit: Option<i64>,
    /// Resource limits of the process.
    pub ulimits: Vec<Ulimit>,
}

/// A device's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightDevice {
    /// The host's path.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// A device's rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleDevice {
    /// The host's path.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMapping {
    /// The host's path; a directory stands for every device in it.
    pub path_on_host: String,
    /// Where, inside; empty: the same.
    pub path_in_container: String,
    /// Some of `rwm`; empty: all.
    pub cgroup_permissions: String,
}

/// A resource limit of a process; -1 means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Without the prefix (`nofile`).
    pub name: String,
    /// The limit in force.
    pub soft: i64,
    /// How far it may be raised.
    pub hard: i64,
}
