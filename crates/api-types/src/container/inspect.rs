//! Pure: everything about a container.

use super::{ContainerConfig, HostConfig, PortBinding};
use crate::Map;
use crate::wire::wire;

wire! {
    /// Everything about a container.
    pub struct ContainerInspect {
        /// The ID.
        pub id: String,
        /// When it was created.
        pub created: String,
        /// The program.
        pub path: String,
        /// Its arguments.
        pub args: Vec<String>,
        /// How it is doing.
        pub state: ContainerState,
        /// The image's ID.
        pub image: String,
        /// The file behind `/etc/resolv.conf`.
        pub resolv_conf_path: String,
        /// The file behind `/etc/hostname`.
        pub hostname_path: String,
        /// The file behind `/etc/hosts`.
        pub hosts_path: String,
        /// The log.
        pub log_path: String,
        /// The name, with a slash in front.
        pub name: String,
        /// How often it was started again.
        pub restart_count: i64,
        /// The storage.
        pub driver: String,
        /// The operating system.
        pub platform: String,
        /// A label of another security module.
        pub mount_label: String,
        /// A label of another security module.
        pub process_label: String,
        /// A profile of another security module.
        pub app_armor_profile: String,
        /// Its execs.
        #[serde(rename = "ExecIDs")]
        pub exec_ids: Option<Vec<String>>,
        /// What it wants of the host.
        pub host_config: HostConfig,
        /// Its layers on disk.
        pub graph_driver: GraphDriver,
        /// Bytes it wrote, when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_rw: Option<i64>,
        /// Bytes in all, when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_root_fs: Option<i64>,
        /// Its mounts.
        pub mounts: Vec<MountPoint>,
        /// The process and its surroundings.
        pub config: ContainerConfig,
        /// Its networks.
        pub network_settings: NetworkSettings,
    }

    /// How a container is doing.
    pub struct ContainerState {
        /// One word.
        pub status: String,
        /// Whether it runs (a frozen one does).
        pub running: bool,
        /// Whether it is frozen.
        pub paused: bool,
        /// Whether it waits for its next start.
        pub restarting: bool,
        /// Whether the kernel killed it for want of memory.
        #[serde(rename = "OOMKilled")]
        pub oom_killed: bool,
        /// Whether its removal failed.
        pub dead: bool,
        /// PID on the host; 0 when it does not run.
        pub pid: i64,
        /// Its exit code.
        pub exit_code: i64,
        /// Why it could not be started.
        pub error: String,
        /// Last start.
        pub started_at: String,
        /// Last end.
        pub finished_at: String,
        /// Its health, when it is tested.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub health: Option<Health>,
    }

    /// How healthy a container is.
    pub struct Health {
        /// One word.
        pub status: String,
        /// Failures in a row.
        pub failing_streak: i64,
        /// The last tests.
        pub log: Option<Vec<HealthResult>>,
    }

    /// One test of health.
    pub struct HealthResult {
        /// When it began.
        pub start: String,
        /// When it ended.
        pub end: String,
        /// Its exit code.
        pub exit_code: i64,
        /// Its output.
        pub output: String,
    }

    /// Layers on disk.
    pub struct GraphDriver {
        /// Paths by role.
        pub data: Option<Map<String>>,
        /// The storage.
        pub name: String,
    }

    /// A mount of a container.
    pub struct MountPoint {
        /// `bind`, `volume`, `tmpfs`.
        pub r#type: String,
        /// The volume.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
        /// Path on the host.
        pub source: String,
        /// Path in the container.
        pub destination: String,
        /// Driver of the volume.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver: String,
        /// Options.
        pub mode: String,
        /// Whether it can be written.
        #[serde(rename = "RW")]
        pub rw: bool,
        /// Propagation.
        pub propagation: String,
    }

    /// The networks of a container.
    pub struct NetworkSettings {
        /// The bridge.
        pub bridge: String,
        /// ID of the network namespace.
        #[serde(rename = "SandboxID")]
        pub sandbox_id: String,
        /// Path of the network namespace.
        pub sandbox_key: String,
        /// Published ports.
        pub ports: Map<Option<Vec<PortBinding>>>,
        /// Whether a bridge reflects packets.
        pub hairpin_mode: bool,
        /// A field of old clients.
        #[serde(rename = "LinkLocalIPv6Address")]
        pub link_local_ipv6_address: String,
        /// A field of old clients.
        #[serde(rename = "LinkLocalIPv6PrefixLen")]
        pub link_local_ipv6_prefix_len: i64,
        /// A field of old clients.
        #[serde(rename = "SecondaryIPAddresses")]
        pub secondary_ip_addresses: Option<Vec<SecondaryAddress>>,
        /// A field of old clients.
        #[serde(rename = "SecondaryIPv6Addresses")]
        pub secondary_ipv6_addresses: Option<Vec<SecondaryAddress>>,
        /// ID of the endpoint in the default network.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// Gateway of the default network.
        pub gateway: String,
        /// Address in the default network.
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        /// Prefix in the default network.
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: i64,
        /// Address in the default network.
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        /// Prefix in the default network.
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: i64,
        /// Gateway of the default network.
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        /// Hardware address in the default network.
        pub mac_address: String,
        /// Settings by name of the network.
        pub networks: Map<EndpointSettings>,
    }

    /// A container's place in a network.
    pub struct EndpointSettings {
        /// Wanted addresses.
        #[serde(rename = "IPAMConfig")]
        pub ipam_config: Option<EndpointIpam>,
        /// Links.
        pub links: Option<Vec<String>>,
        /// Further names.
        pub aliases: Option<Vec<String>>,
        /// Hardware address.
        pub mac_address: String,
        /// Options of the driver.
        pub driver_opts: Option<Map<String>>,
        /// Which network gives the default route.
        pub gw_priority: i64,
        /// The network's ID.
        #[serde(rename = "NetworkID")]
        pub network_id: String,
        /// The endpoint's ID.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// Gateway.
        pub gateway: String,
        /// Address.
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        /// Prefix.
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: i64,
        /// Gateway.
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        /// Address.
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        /// Prefix.
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: i64,
        /// All names in the network's DNS.
        #[serde(rename = "DNSNames")]
        pub dns_names: Option<Vec<String>>,
    }

    /// Addresses that a container asks for in a network.
    pub struct EndpointIpam {
        /// An address.
        #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
        pub ipv4_address: String,
        /// An address.
        #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
        pub ipv6_address: String,
        /// Further addresses that are good on the link only.
        #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
        pub link_local_ips: Vec<String>,
    }

    /// A further address of a container (old clients).
    pub struct SecondaryAddress {
        /// The address.
        pub addr: String,
        /// Its prefix.
        pub prefix_len: i64,
    }
}

impl EndpointSettings {
    /// The fields of the object: what is asked for, and then what only the daemon sets. A client that copied an
    /// inspection sends the latter back.
    pub const FIELDS: &[&str] = &[
        "IPAMConfig",
        "Links",
        "Aliases",
        "MacAddress",
        "DriverOpts",
        "GwPriority",
        "NetworkID",
        "EndpointID",
        "Gateway",
        "IPAddress",
        "IPPrefixLen",
        "IPv6Gateway",
        "GlobalIPv6Address",
        "GlobalIPv6PrefixLen",
        "DNSNames",
    ];
}

impl EndpointIpam {
    /// The fields of the object.
    pub const FIELDS: &[&str] = &["IPv4Address", "IPv6Address", "LinkLocalIPs"];
}
