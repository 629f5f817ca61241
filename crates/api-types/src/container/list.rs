//! Pure: one line of a list of containers.

use super::{EndpointSettings, MountPoint};
use crate::Map;
use crate::wire::wire;

wire! {
    /// One container of a list.
    pub struct ContainerSummary {
        /// The ID.
        pub id: String,
        /// Names, with a slash in front.
        pub names: Vec<String>,
        /// The image, as it was asked for, or its ID when the name is gone.
        pub image: String,
        /// The image's ID.
        #[serde(rename = "ImageID")]
        pub image_id: String,
        /// Program and arguments.
        pub command: String,
        /// When it was created, in seconds.
        pub created: i64,
        /// Ports.
        pub ports: Vec<Port>,
        /// Bytes it wrote, when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_rw: Option<i64>,
        /// Bytes in all, when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_root_fs: Option<i64>,
        /// Labels.
        pub labels: Map<String>,
        /// State in one word.
        pub state: String,
        /// State for a person.
        pub status: String,
        /// Part of what it wants of the host.
        pub host_config: HostConfigSummary,
        /// Its networks.
        pub network_settings: NetworkSettingsSummary,
        /// Its mounts.
        pub mounts: Vec<MountPoint>,
    }

    /// Part of what a container wants of the host.
    pub struct HostConfigSummary {
        /// Network namespace.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub network_mode: String,
        /// Annotations for the runtime.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub annotations: Option<Map<String>>,
    }

    /// The networks of a container in a list.
    pub struct NetworkSettingsSummary {
        /// Settings by name of the network.
        pub networks: Map<EndpointSettings>,
    }

    /// A port of a container.
    pub struct Port {
        /// Address on the host.
        #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
        pub ip: String,
        /// Port in the container.
        pub private_port: u16,
        /// Port on the host.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub public_port: Option<u16>,
        /// `tcp`, `udp`, `sctp`.
        pub r#type: String,
    }
}
