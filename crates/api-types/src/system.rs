//! Pure: the daemon and its host on the wire.

use crate::container::ContainerSummary;
use crate::image::ImageSummary;
use crate::volume::Volume;
use crate::wire::wire;
use crate::{Empty, Map};

wire! {
    /// Versions of the daemon and its parts.
    pub struct VersionResponse {
        /// Who made it.
        pub platform: Platform,
        /// The parts.
        pub components: Vec<Component>,
        /// The daemon's version.
        pub version: String,
        /// Newest API version.
        pub api_version: String,
        /// Oldest API version.
        #[serde(rename = "MinAPIVersion")]
        pub min_api_version: String,
        /// The commit.
        pub git_commit: String,
        /// The language; named as clients expect it.
        pub go_version: String,
        /// The operating system.
        pub os: String,
        /// The architecture.
        pub arch: String,
        /// The kernel.
        pub kernel_version: String,
        /// Whether experiments are on.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub experimental: bool,
        /// When it was built.
        pub build_time: String,
    }

    /// Who made the daemon.
    pub struct Platform {
        /// The name.
        pub name: String,
    }

    /// A part of the daemon.
    pub struct Component {
        /// The name.
        pub name: String,
        /// The version.
        pub version: String,
        /// More about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub details: Option<Map<String>>,
    }

    /// Facts about the daemon and its host.
    pub struct InfoResponse {
        /// The daemon's ID.
        #[serde(rename = "ID")]
        pub id: String,
        /// Containers.
        pub containers: i64,
        /// Running ones.
        pub containers_running: i64,
        /// Frozen ones.
        pub containers_paused: i64,
        /// All others.
        pub containers_stopped: i64,
        /// Images.
        pub images: i64,
        /// The storage.
        pub driver: String,
        /// More about the storage.
        pub driver_status: Option<Vec<[String; 2]>>,
        /// What can be plugged in.
        pub plugins: Plugins,
        /// Whether memory can be limited.
        pub memory_limit: bool,
        /// Whether swap can be limited.
        pub swap_limit: bool,
        /// Whether processor periods can be set.
        pub cpu_cfs_period: bool,
        /// Whether processor quotas can be set.
        pub cpu_cfs_quota: bool,
        /// Whether processor shares can be set.
        #[serde(rename = "CPUShares")]
        pub cpu_shares: bool,
        /// Whether processors can be chosen.
        #[serde(rename = "CPUSet")]
        pub cpu_set: bool,
        /// Whether processes can be limited.
        pub pids_limit: bool,
        /// Whether packets are forwarded.
        #[serde(rename = "IPv4Forwarding")]
        pub ipv4_forwarding: bool,
        /// Whether the daemon logs more.
        pub debug: bool,
        /// Open files of the daemon.
        #[serde(rename = "NFd")]
        pub nfd: i64,
        /// Whether the kernel's killer can be switched off.
        pub oom_kill_disable: bool,
        /// Tasks of the daemon.
        pub n_goroutines: i64,
        /// The host's clock.
        pub system_time: String,
        /// Where output goes.
        pub logging_driver: String,
        /// Who makes cgroups.
        pub cgroup_driver: String,
        /// `1` or `2`.
        pub cgroup_version: String,
        /// Listeners for events.
        pub n_events_listener: i64,
        /// The kernel.
        pub kernel_version: String,
        /// The distribution.
        pub operating_system: String,
        /// Its version.
        #[serde(rename = "OSVersion")]
        pub os_version: String,
        /// The operating system.
        #[serde(rename = "OSType")]
        pub os_type: String,
        /// The architecture.
        pub architecture: String,
        /// The default registry's index.
        pub index_server_address: String,
        /// Settings for registries.
        pub registry_config: Option<RegistryConfig>,
        /// Processors.
        #[serde(rename = "NCPU")]
        pub ncpu: i64,
        /// Bytes of memory.
        pub mem_total: i64,
        /// A word of cluster mode.
        pub generic_resources: Option<Vec<Empty>>,
        /// Where data is kept.
        pub docker_root_dir: String,
        /// Proxy.
        pub http_proxy: String,
        /// Proxy.
        pub https_proxy: String,
        /// Exceptions of the proxy.
        pub no_proxy: String,
        /// The host's name.
        pub name: String,
        /// Labels.
        pub labels: Vec<String>,
        /// Whether experiments are on.
        pub experimental_build: bool,
        /// The daemon's version.
        pub server_version: String,
        /// Runtimes by name.
        pub runtimes: Map<Runtime>,
        /// The runtime that is used unless another is named.
        pub default_runtime: String,
        /// Cluster mode, which is always off.
        pub swarm: Swarm,
        /// Whether containers outlive the daemon.
        pub live_restore_enabled: bool,
        /// A word of another operating system.
        pub isolation: String,
        /// The init program.
        pub init_binary: String,
        /// Commits of parts.
        pub containerd_commit: Commit,
        /// Commits of parts.
        pub runc_commit: Commit,
        /// Commits of parts.
        pub init_commit: Commit,
        /// Security of containers.
        pub security_options: Vec<String>,
        /// What the person should know.
        pub warnings: Option<Vec<String>>,
        /// Directories of device specifications.
        #[serde(rename = "CDISpecDirs")]
        pub cdi_spec_dirs: Option<Vec<String>>,
    }

    /// What can be plugged in.
    pub struct Plugins {
        /// Volumes.
        pub volume: Vec<String>,
        /// Networks.
        pub network: Vec<String>,
        /// Rights.
        pub authorization: Option<Vec<String>>,
        /// Logs.
        pub log: Vec<String>,
    }

    /// Settings for registries.
    pub struct RegistryConfig {
        /// Networks of registries without TLS.
        #[serde(rename = "InsecureRegistryCIDRs")]
        pub insecure_registry_cidrs: Vec<String>,
        /// Settings by registry.
        pub index_configs: Map<serde_json::Value>,
        /// Mirrors.
        pub mirrors: Vec<String>,
    }

    /// A runtime.
    pub struct Runtime {
        /// Its program.
        #[serde(rename = "path", skip_serializing_if = "String::is_empty")]
        pub path: String,
    }

    /// The commit of a part.
    pub struct Commit {
        /// The commit.
        #[serde(rename = "ID")]
        pub id: String,
        /// The expected commit, for clients before 1.48.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub expected: Option<String>,
    }

    /// Cluster mode.
    pub struct Swarm {
        /// Always empty.
        #[serde(rename = "NodeID")]
        pub node_id: String,
        /// Always empty.
        pub node_addr: String,
        /// Always `inactive`.
        pub local_node_state: String,
        /// Always false.
        pub control_available: bool,
        /// Always empty.
        pub error: String,
        /// Always `null`.
        pub remote_managers: Option<Vec<Empty>>,
    }

    /// What takes how much room.
    pub struct DiskUsageResponse {
        /// Bytes of all layers.
        pub layers_size: i64,
        /// Images.
        pub images: Option<Vec<ImageSummary>>,
        /// Containers.
        pub containers: Option<Vec<ContainerSummary>>,
        /// Volumes.
        pub volumes: Option<Vec<Volume>>,
        /// Build cache.
        pub build_cache: Option<Vec<crate::build::BuildCacheRecord>>,
        /// Bytes of build cache, for clients before 1.42.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub builder_size: Option<i64>,
    }

    /// One line of the answer to a verification of the store (an extension of ours).
    pub struct VerifyFinding {
        /// What is wrong; empty in the last line.
        pub problem: String,
        /// With what.
        pub subject: String,
        /// Whether it was repaired.
        pub repaired: bool,
        /// What was done about it, or why nothing was.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub repair: Option<String>,
        /// In the last line: how many things were checked.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub checked: Option<u64>,
        /// In the last line of a verification that failed: why.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<String>,
    }
}
