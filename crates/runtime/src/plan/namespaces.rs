//! Pure: which namespaces are made, joined or shared with the host, and the maps of a user namespace.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Mounts.
    Mount,
    /// Process numbers.
    Pid,
    /// Interfaces, addresses, sockets.
    Network,
    /// Host and domain name.
    Uts,
    /// System V and POSIX message queues, shared memory.
    Ipc,
    /// User and group numbers.
    User,
    /// The view of the cgroup tree.
    Cgroup,
}

/// Which namespaces a container has of its own, and which it joins; the others are the caller's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Made for it.
    pub new: Vec<Namespace>,
    /// Joined: the kind and the file that stands for it, as under `/proc/PID/ns`.
    pub join: Vec<(Namespace, PathBuf)>,
}

/// One line of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// The first number inside.
    pub container: u32,
    /// The first number outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// The maps of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMaps {
    /// Users.
    pub uid: Vec<IdMap>,
    /// Groups.
    pub gid: Vec<IdMap>,
}
