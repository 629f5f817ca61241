//! Pure: volumes on the wire.

use crate::Map;
use crate::wire::wire;

wire! {
    /// A volume that somebody wants.
    pub struct VolumeCreateRequest {
        /// The name; empty for a random one.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
        /// The driver.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver: String,
        /// Options of the driver.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub driver_opts: Option<Map<String>>,
        /// Labels.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub labels: Option<Map<String>>,
        /// A word of cluster mode.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cluster_volume_spec: Option<serde_json::Value>,
    }

    /// Volumes.
    pub struct VolumeListResponse {
        /// The volumes.
        pub volumes: Vec<Volume>,
        /// What the person should know.
        pub warnings: Option<Vec<String>>,
    }

    /// A volume.
    pub struct Volume {
        /// When it was made.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        /// The driver.
        pub driver: String,
        /// Labels.
        pub labels: Option<Map<String>>,
        /// Path on the host.
        pub mountpoint: String,
        /// The name.
        pub name: String,
        /// Options of the driver.
        pub options: Option<Map<String>>,
        /// Always `local`.
        pub scope: String,
        /// How much room it takes, when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub usage_data: Option<VolumeUsage>,
    }

    /// How much room a volume takes.
    pub struct VolumeUsage {
        /// Containers that use it.
        pub ref_count: i64,
        /// Bytes.
        pub size: i64,
    }

    /// What a prune removed.
    pub struct VolumePruneResponse {
        /// Names.
        pub volumes_deleted: Option<Vec<String>>,
        /// Bytes.
        pub space_reclaimed: u64,
    }
}
