//! Pure: what is stored of a container.

use crate::lifecycle::State;
use crate::model::{ContainerConfig, EndpointRequest, HostConfig, MountPoint, Timestamp};
use naru_oci::{ChainId, ImageId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is stored of a container. A field that a later version adds has a default, so that every version reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// Without a slash.
    pub(crate) name: String,
    /// When it was created.
    pub(crate) created: Timestamp,
    /// The image's ID.
    pub(crate) image: ImageId,
    /// The image's layers; absent when it has none.
    pub(crate) chain: Option<ChainId>,
    /// The image's platform (`linux`).
    pub(crate) os: String,
    /// What it runs, merged with the image's config.
    pub(crate) config: ContainerConfig,
    /// How it runs here.
    pub(crate) host: HostConfig,
    /// Binds, volumes and tmpfs mounts.
    pub(crate) mounts: Vec<MountPoint>,
    /// What it asks of the networks that it belongs to, by their IDs (`bridge`, `host` and `none` by name).
    #[serde(default)]
    pub(crate) networks: BTreeMap<String, EndpointRequest>,
    /// The state.
    pub(crate) state: State,
    /// When it was started last.
    pub(crate) started_at: Option<Timestamp>,
    /// When it ended last.
    pub(crate) finished_at: Option<Timestamp>,
    /// How often the restart policy started it.
    pub(crate) restart_count: u32,
    /// Whether somebody asked for the last end.
    pub(crate) stopped_by_hand: bool,
    /// For one that goes when it ends: where its writable directory and the overlay's own are. The store may not
    /// have written them down yet when the daemon is killed.
    #[serde(default)]
    pub(crate) directories: Option<(PathBuf, PathBuf)>,
}

impl Record {
    /// The short ID.
    pub(crate) fn short_id(&self) -> &str {
        short(&self.id)
    }

    /// The host name that the container sees, when it has one of its own.
    pub(crate) fn hostname(&self) -> String {
        if self.config.hostname.is_empty() {
            self.short_id().to_owned()
        } else {
            self.config.hostname.clone()
        }
    }

    /// Whether the record dies with the run of the daemon's host, because the container does.
    pub(crate) fn is_ephemeral(&self) -> bool {
        self.host.auto_remove
    }
}

/// The first twelve digits of an ID.
pub(crate) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
