//! Pure: lists of containers.

use super::{EndpointView, MountPoint, PublishedPort, Status, Timestamp};
use naru_oci::ImageId;
use std::collections::BTreeMap;

/// Which containers `list` shows. Within a field any match counts; every field that is not empty must match.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Those that do not run, too.
    pub all: bool,
    /// The newest so many; implies `all`.
    pub limit: Option<usize>,
    /// Whether sizes are computed.
    pub size: bool,
    /// Prefixes of IDs.
    pub id: Vec<String>,
    /// Parts of names, or regular expressions' common forms (`^name$`).
    pub name: Vec<String>,
    /// `key` or `key=value`; all must match.
    pub label: Vec<String>,
    /// States; implies `all`.
    pub status: Vec<Status>,
    /// Exit codes; implies `all`.
    pub exited: Vec<i64>,
    /// Images (`ancestor`): names or IDs.
    pub ancestor: Vec<String>,
    /// Containers created before this one.
    pub before: Vec<String>,
    /// Containers created after this one.
    pub since: Vec<String>,
    /// Volumes: names or mount targets.
    pub volume: Vec<String>,
    /// Networks: names or IDs.
    pub network: Vec<String>,
    /// `starting`, `healthy`, `unhealthy`, `none`.
    pub health: Vec<String>,
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSummary {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without a slash.
    pub name: String,
    /// The image as it was asked for (its ID when that name now means another image).
    pub image: String,
    /// The image's ID.
    pub image_id: ImageId,
    /// The program and its arguments in one line.
    pub command: String,
    /// When it was created.
    pub created: Timestamp,
    /// The state.
    pub state: Status,
    /// The state for people (`Up 5 minutes`, `Exited (0) 2 hours ago`).
    pub status: String,
    /// Free key/value pairs.
    pub labels: BTreeMap<String, String>,
    /// The network mode.
    pub network_mode: String,
    /// Binds, volumes and tmpfs mounts.
    pub mounts: Vec<MountPoint>,
    /// Its networks, by name.
    pub networks: BTreeMap<String, EndpointView>,
    /// Its published ports.
    pub published: Vec<PublishedPort>,
    /// Bytes in the writable layer; asked for with `size`.
    pub size_rw: Option<u64>,
    /// Bytes in all layers; asked for with `size`.
    pub size_root_fs: Option<u64>,
    /// Ports the program means to be reached at.
    pub exposed_ports: Vec<String>,
}

/// Which stopped containers `prune` removes.
#[derive(Debug, Clone, Default)]
pub struct PruneFilter {
    /// Only those created before this instant.
    pub until: Option<Timestamp>,
    /// `key` or `key=value` that must match.
    pub label: Vec<String>,
    /// `key` or `key=value` that must not match.
    pub label_not: Vec<String>,
}

/// What `prune` removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// IDs.
    pub deleted: Vec<String>,
    /// Bytes.
    pub space_reclaimed: u64,
}
