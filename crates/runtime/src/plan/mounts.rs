//! Pure: mount entries of a spec to mount steps.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// Where, inside the container.
    pub destination: PathBuf,
    /// What.
    pub what: MountWhat,
    /// Flags of the mount point.
    pub attributes: MountAttributes,
    /// How mounts below it spread afterwards.
    pub propagation: Option<Propagation>,
    /// Whether what the new file system covers is copied into it.
    pub copy_up: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountWhat {
    /// A directory or file of the host.
    Bind {
        /// Its path on the host.
        source: PathBuf,
        /// With the mounts below it.
        recursive: bool,
        /// Numbers are shifted by these maps.
        maps: Option<super::IdMaps>,
    },
    /// A new instance of a file system.
    FileSystem {
        /// Its type.
        kind: String,
        /// The source, for those that have one.
        source: String,
        /// Options of the file system itself: the value is absent for a flag.
        options: Vec<(String, Option<String>)>,
        /// Whether the super block itself is read-only too.
        readonly: bool,
    },
    /// The container's cgroups.
    Cgroup(CgroupMount),
}

/// How cgroups appear in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupMount {
    /// One tree; the directory on the host that is bound, or a mount of its own in a cgroup namespace.
    Unified {
        /// The container's cgroup on the host.
        source: Option<PathBuf>,
    },
    /// One directory a hierarchy: its name in the container and the container's cgroup on the host.
    Hierarchies {
        /// Name and cgroup.
        hierarchies: Vec<(String, PathBuf)>,
        /// Further names: the link and the name it leads to.
        links: Vec<(String, String)>,
    },
}

/// Flags of a mount point: bits to set and bits to clear, as `mount_setattr` takes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountAttributes {
    /// Bits set.
    pub set: u64,
    /// Bits cleared.
    pub clear: u64,
    /// Bits set on the mounts below too.
    pub set_recursive: u64,
    /// Bits cleared on the mounts below too.
    pub clear_recursive: u64,
}

/// How mounts spread between copies of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// Not at all, the mounts below likewise.
    RecursivePrivate,
    /// From the host only.
    Slave,
    /// From the host only, the mounts below likewise.
    RecursiveSlave,
    /// Both ways.
    Shared,
    /// Both ways, the mounts below likewise.
    RecursiveShared,
    /// Not at all, and it cannot be bound elsewhere.
    Unbindable,
    /// The same, the mounts below likewise.
    RecursiveUnbindable,
}
