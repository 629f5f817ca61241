//! Pure: networks on the wire.

use crate::Map;
use crate::wire::wire;

wire! {
    /// A network.
    pub struct Network {
        /// The name.
        pub name: String,
        /// The ID.
        pub id: String,
        /// When it was made.
        pub created: String,
        /// Always `local`.
        pub scope: String,
        /// The driver.
        pub driver: String,
        /// Whether it has IPv4.
        #[serde(rename = "EnableIPv4")]
        pub enable_ipv4: bool,
        /// Whether it has IPv6.
        #[serde(rename = "EnableIPv6")]
        pub enable_ipv6: bool,
        /// Its addresses.
        #[serde(rename = "IPAM")]
        pub ipam: Ipam,
        /// Whether it has no way out.
        pub internal: bool,
        /// A word of cluster mode.
        pub attachable: bool,
        /// A word of cluster mode.
        pub ingress: bool,
        /// A word of cluster mode.
        pub config_from: ConfigFrom,
        /// A word of cluster mode.
        pub config_only: bool,
        /// Its containers, by ID.
        pub containers: Map<NetworkContainer>,
        /// Options of the driver.
        pub options: Map<String>,
        /// Labels.
        pub labels: Map<String>,
    }

    /// The addresses of a network.
    pub struct Ipam {
        /// The driver.
        pub driver: String,
        /// Its options.
        pub options: Option<Map<String>>,
        /// Pools.
        pub config: Vec<Map<serde_json::Value>>,
    }

    /// A word of cluster mode.
    pub struct ConfigFrom {
        /// Always empty.
        pub network: String,
    }

    /// A container in a network.
    pub struct NetworkContainer {
        /// Its name.
        pub name: String,
        /// Its endpoint.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// Hardware address.
        pub mac_address: String,
        /// Address and prefix.
        #[serde(rename = "IPv4Address")]
        pub ipv4_address: String,
        /// Address and prefix.
        #[serde(rename = "IPv6Address")]
        pub ipv6_address: String,
    }

    /// What a prune removed.
    pub struct NetworkPruneResponse {
        /// Names.
        pub networks_deleted: Option<Vec<String>>,
    }

}
