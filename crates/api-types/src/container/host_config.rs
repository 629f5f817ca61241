//! Pure: what a container wants of its host.

use crate::Map;
use crate::wire::wire;

wire! {
    /// What a container wants of its host.
    pub struct HostConfig {
        /// Bind mounts, `source:target[:options]`.
        pub binds: Option<Vec<String>>,
        /// File that a client wrote the ID to.
        #[serde(rename = "ContainerIDFile")]
        pub container_id_file: String,
        /// Where output goes.
        pub log_config: LogConfig,
        /// Network namespace.
        pub network_mode: String,
        /// Published ports.
        pub port_bindings: Option<Map<Option<Vec<PortBinding>>>>,
        /// When to start again.
        pub restart_policy: RestartPolicy,
        /// Whether the container is removed when it ends.
        pub auto_remove: bool,
        /// Driver of anonymous volumes.
        pub volume_driver: String,
        /// Containers whose volumes are used too.
        pub volumes_from: Option<Vec<String>>,
        /// Size of the terminal at start: height, width.
        pub console_size: [u64; 2],
        /// Annotations for the runtime.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub annotations: Option<Map<String>>,
        /// Capabilities beyond the default.
        pub cap_add: Option<Vec<String>>,
        /// Capabilities of the default to go without.
        pub cap_drop: Option<Vec<String>>,
        /// cgroup namespace: `host`, `private` or nothing.
        pub cgroupns_mode: String,
        /// DNS servers.
        pub dns: Option<Vec<String>>,
        /// DNS options.
        pub dns_options: Option<Vec<String>>,
        /// DNS search domains.
        pub dns_search: Option<Vec<String>>,
        /// Further lines of the hosts file, `name:address`.
        pub extra_hosts: Option<Vec<String>>,
        /// Further groups of the process.
        pub group_add: Option<Vec<String>>,
        /// IPC namespace.
        pub ipc_mode: String,
        /// cgroup of another container.
        pub cgroup: String,
        /// Links to other containers.
        pub links: Option<Vec<String>>,
        /// Preference of the kernel when memory runs out.
        pub oom_score_adj: i64,
        /// PID namespace.
        pub pid_mode: String,
        /// Whether the container may do anything.
        pub privileged: bool,
        /// Whether all exposed ports are published.
        pub publish_all_ports: bool,
        /// Whether the root file system is read-only.
        pub readonly_rootfs: bool,
        /// Security options, `no-new-privileges`, `seccomp=…`.
        pub security_opt: Option<Vec<String>>,
        /// Options of the storage.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub storage_opt: Option<Map<String>>,
        /// File systems in memory: path to options.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tmpfs: Option<Map<String>>,
        /// UTS namespace.
        #[serde(rename = "UTSMode")]
        pub uts_mode: String,
        /// User namespace.
        pub userns_mode: String,
        /// Bytes of `/dev/shm`.
        pub shm_size: i64,
        /// Kernel settings of the container's namespaces.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub sysctls: Option<Map<String>>,
        /// Name of the runtime.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub runtime: String,
        /// Isolation technology (another operating system).
        pub isolation: String,
        /// Relative weight of processor time.
        pub cpu_shares: i64,
        /// Bytes of memory.
        pub memory: i64,
        /// Processors, in billionths.
        pub nano_cpus: i64,
        /// cgroup under which the container's own is made.
        pub cgroup_parent: String,
        /// Relative weight of block I/O.
        pub blkio_weight: u16,
        /// The same for single devices.
        pub blkio_weight_device: Option<Vec<WeightDevice>>,
        /// Bytes read a second.
        pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
        /// Bytes written a second.
        pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
        /// Reads a second.
        #[serde(rename = "BlkioDeviceReadIOps")]
        pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
        /// Writes a second.
        #[serde(rename = "BlkioDeviceWriteIOps")]
        pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
        /// Microseconds of a scheduler period.
        pub cpu_period: i64,
        /// Microseconds of processor time in a period.
        pub cpu_quota: i64,
        /// Microseconds of a real-time period.
        pub cpu_realtime_period: i64,
        /// Microseconds of real-time processor time in a period.
        pub cpu_realtime_runtime: i64,
        /// Processors that may be used, `0-2,4`.
        pub cpuset_cpus: String,
        /// Memory nodes that may be used.
        pub cpuset_mems: String,
        /// Devices.
        pub devices: Option<Vec<DeviceMapping>>,
        /// Rules of the device cgroup.
        pub device_cgroup_rules: Option<Vec<String>>,
        /// Devices by capability (GPUs).
        pub device_requests: Option<Vec<DeviceRequest>>,
        /// Bytes of kernel memory (old clients).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kernel_memory: Option<i64>,
        /// Bytes of kernel memory for TCP (old clients).
        #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "Option::is_none")]
        pub kernel_memory_tcp: Option<i64>,
        /// Bytes of memory below which nothing is reclaimed first.
        pub memory_reservation: i64,
        /// Bytes of memory and swap together; -1 for no limit.
        pub memory_swap: i64,
        /// How willingly memory is swapped, 0 to 100.
        pub memory_swappiness: Option<i64>,
        /// Whether the kernel may not kill when memory runs out.
        pub oom_kill_disable: Option<bool>,
        /// Number of processes; 0 and -1 for no limit.
        pub pids_limit: Option<i64>,
        /// Limits of the process.
        pub ulimits: Option<Vec<Ulimit>>,
        /// Processors (another operating system).
        pub cpu_count: i64,
        /// Percent of processors (another operating system).
        pub cpu_percent: i64,
        /// Operations a second (another operating system).
        #[serde(rename = "IOMaximumIOps")]
        pub io_maximum_iops: u64,
        /// Bytes a second (another operating system).
        #[serde(rename = "IOMaximumBandwidth")]
        pub io_maximum_bandwidth: u64,
        /// Mounts in the long form.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub mounts: Option<Vec<Mount>>,
        /// Paths hidden from the container; `null` for the default list.
        pub masked_paths: Option<Vec<String>>,
        /// Paths that are read-only; `null` for the default list.
        pub readonly_paths: Option<Vec<String>>,
        /// Whether an init process reaps orphans.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub init: Option<bool>,
    }

    /// Where output goes.
    pub struct LogConfig {
        /// The driver.
        pub r#type: String,
        /// Its options.
        pub config: Option<Map<String>>,
    }

    /// When to start again.
    pub struct RestartPolicy {
        /// `no`, `always`, `unless-stopped` or `on-failure`.
        pub name: String,
        /// How often at most, for `on-failure`.
        pub maximum_retry_count: i64,
    }

    /// A place on the host where a port is published.
    pub struct PortBinding {
        /// Address on the host.
        #[serde(rename = "HostIp")]
        pub host_ip: String,
        /// Port on the host.
        pub host_port: String,
    }

    /// A device of the host in the container.
    pub struct DeviceMapping {
        /// Path on the host.
        pub path_on_host: String,
        /// Path in the container.
        pub path_in_container: String,
        /// `r`, `w`, `m`.
        pub cgroup_permissions: String,
    }

    /// Devices by capability.
    pub struct DeviceRequest {
        /// The driver.
        pub driver: String,
        /// How many; -1 for all.
        pub count: i64,
        /// Which ones.
        #[serde(rename = "DeviceIDs")]
        pub device_ids: Option<Vec<String>>,
        /// Alternatives of sets of capabilities.
        pub capabilities: Option<Vec<Vec<String>>>,
        /// Options of the driver.
        pub options: Option<Map<String>>,
    }

    /// A limit of the process.
    pub struct Ulimit {
        /// Which one.
        pub name: String,
        /// The ceiling.
        pub hard: i64,
        /// What holds at first.
        pub soft: i64,
    }

    /// A weight for one device.
    pub struct WeightDevice {
        /// Path of the device.
        pub path: String,
        /// Its weight.
        pub weight: u16,
    }

    /// A rate for one device.
    pub struct ThrottleDevice {
        /// Path of the device.
        pub path: String,
        /// Its rate.
        pub rate: u64,
    }

    /// A mount in the long form.
    pub struct Mount {
        /// `bind`, `volume`, `tmpfs`, …
        #[serde(skip_serializing_if = "String::is_empty")]
        pub r#type: String,
        /// What is mounted.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub source: String,
        /// Where.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub target: String,
        /// Whether it cannot be written.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub read_only: bool,
        /// A demand of another operating system.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub consistency: String,
        /// Options of a bind mount.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub bind_options: Option<BindOptions>,
        /// Options of a volume.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub volume_options: Option<VolumeOptions>,
        /// Options of an image.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_options: Option<ImageOptions>,
        /// Options of a file system in memory.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tmpfs_options: Option<TmpfsOptions>,
    }

    /// Options of a bind mount.
    pub struct BindOptions {
        /// Propagation.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub propagation: String,
        /// Whether mounts below the source stay behind.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub non_recursive: bool,
        /// Whether a missing source is made.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub create_mountpoint: bool,
        /// Whether only the topmost mount is read-only.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub read_only_non_recursive: bool,
        /// Whether every mount below must be read-only too.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub read_only_force_recursive: bool,
    }

    /// Options of a volume.
    pub struct VolumeOptions {
        /// Whether nothing is copied into it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub no_copy: bool,
        /// Labels.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub labels: Option<Map<String>>,
        /// A directory inside the volume.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subpath: String,
        /// The driver.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub driver_config: Option<VolumeDriver>,
    }

    /// A driver of volumes.
    pub struct VolumeDriver {
        /// Its name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
        /// Its options.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub options: Option<Map<String>>,
    }

    /// Options of an image.
    pub struct ImageOptions {
        /// A directory inside the image.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subpath: String,
    }

    /// Options of a file system in memory.
    pub struct TmpfsOptions {
        /// Its size.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_bytes: Option<i64>,
        /// Its mode.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub mode: Option<u32>,
        /// Further mount options.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub options: Option<Vec<Vec<String>>>,
    }

    /// New limits for a container: zero and `null` leave a limit as it is.
    pub struct UpdateRequest {
        /// Relative weight of processor time.
        pub cpu_shares: i64,
        /// Bytes of memory.
        pub memory: i64,
        /// Processors, in billionths.
        pub nano_cpus: i64,
        /// Relative weight of block I/O.
        pub blkio_weight: u16,
        /// Microseconds of a scheduler period.
        pub cpu_period: i64,
        /// Microseconds of processor time in a period.
        pub cpu_quota: i64,
        /// Microseconds of a real-time period.
        pub cpu_realtime_period: i64,
        /// Microseconds of real-time processor time in a period.
        pub cpu_realtime_runtime: i64,
        /// Processors that may be used.
        pub cpuset_cpus: String,
        /// Memory nodes that may be used.
        pub cpuset_mems: String,
        /// Bytes of memory below which nothing is reclaimed first.
        pub memory_reservation: i64,
        /// Bytes of memory and swap together.
        pub memory_swap: i64,
        /// Number of processes.
        pub pids_limit: Option<i64>,
        /// When to start again.
        pub restart_policy: RestartPolicy,
    }
}
