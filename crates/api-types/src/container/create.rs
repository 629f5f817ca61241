//! Pure: creating a container.

use super::{ContainerConfig, EndpointSettings, HostConfig};
use crate::Map;
use crate::wire::wire;

/// The body of a create request: the configuration with two more fields beside it.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ContainerCreateRequest {
    /// The process and its surroundings.
    #[serde(flatten)]
    pub config: ContainerConfig,
    /// What it wants of the host.
    #[serde(rename = "HostConfig", default, deserialize_with = "crate::wire::or_zero")]
    pub host_config: HostConfig,
    /// The networks it is in.
    #[serde(rename = "NetworkingConfig", default, deserialize_with = "crate::wire::or_zero")]
    pub networking_config: NetworkingConfig,
}

wire! {
    /// The networks a container is created in.
    pub struct NetworkingConfig {
        /// Settings by name of the network.
        pub endpoints_config: Option<Map<Option<EndpointSettings>>>,
    }

    /// What was created.
    pub struct ContainerCreateResponse {
        /// The ID.
        pub id: String,
        /// What the person should know.
        pub warnings: Vec<String>,
    }
}
