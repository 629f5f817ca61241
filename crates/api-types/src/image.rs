//! Pure: images on the wire.

use crate::Map;
use crate::container::{ContainerConfig, GraphDriver};
use crate::wire::wire;

wire! {
    /// One image of a list.
    pub struct ImageSummary {
        /// The image ID.
        pub id: String,
        /// Always empty: images have no parents.
        pub parent_id: String,
        /// Names.
        pub repo_tags: Vec<String>,
        /// Names by digest.
        pub repo_digests: Vec<String>,
        /// When it was made, in seconds.
        pub created: i64,
        /// Bytes in all.
        pub size: i64,
        /// Bytes shared with others; -1 when not computed.
        pub shared_size: i64,
        /// Bytes in all, for clients before 1.44.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub virtual_size: Option<i64>,
        /// Labels.
        pub labels: Option<Map<String>>,
        /// Containers made of it; -1 when not computed.
        pub containers: i64,
    }

    /// Everything about an image.
    pub struct ImageInspect {
        /// The image ID.
        pub id: String,
        /// Names.
        pub repo_tags: Vec<String>,
        /// Names by digest.
        pub repo_digests: Vec<String>,
        /// Always empty: images have no parents.
        pub parent: String,
        /// A comment.
        pub comment: String,
        /// When it was made.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub created: Option<String>,
        /// A field of old clients.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub container: Option<String>,
        /// A field of old clients.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub container_config: Option<ContainerConfig>,
        /// What made it.
        pub docker_version: String,
        /// Who made it.
        pub author: String,
        /// How containers of it run.
        pub config: Option<ContainerConfig>,
        /// The architecture.
        pub architecture: String,
        /// The variant of the architecture.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub variant: String,
        /// The operating system.
        pub os: String,
        /// Its version.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub os_version: String,
        /// Bytes in all.
        pub size: i64,
        /// Bytes in all, for clients before 1.44.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub virtual_size: Option<i64>,
        /// Its layers on disk.
        pub graph_driver: GraphDriver,
        /// Its layers.
        #[serde(rename = "RootFS")]
        pub root_fs: RootFs,
        /// What is known beyond its content.
        pub metadata: ImageMetadata,
        /// What its name points at.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub descriptor: Option<Descriptor>,
    }

    /// The layers of an image.
    pub struct RootFs {
        /// Always `layers`.
        pub r#type: String,
        /// diffIDs.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub layers: Option<Vec<String>>,
    }

    /// What is known of an image beyond its content.
    pub struct ImageMetadata {
        /// When it was last given a name.
        pub last_tag_time: String,
    }

    /// One step in the making of an image.
    pub struct ImageHistoryItem {
        /// The image ID, or `<missing>`.
        pub id: String,
        /// When, in seconds.
        pub created: i64,
        /// How.
        pub created_by: String,
        /// Names.
        pub tags: Option<Vec<String>>,
        /// Bytes.
        pub size: i64,
        /// A comment.
        pub comment: String,
    }

    /// One thing that went with an image.
    pub struct ImageDeleteItem {
        /// A name that is gone.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub untagged: Option<String>,
        /// An image or layer that is gone.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub deleted: Option<String>,
    }

    /// What a prune removed.
    pub struct ImagePruneResponse {
        /// Names, images and layers.
        pub images_deleted: Option<Vec<ImageDeleteItem>>,
        /// Bytes.
        pub space_reclaimed: u64,
    }
}

/// A typed pointer to content, spelled as the OCI specification does.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Which one.
    pub digest: String,
    /// Bytes.
    pub size: i64,
}
