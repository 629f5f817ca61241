//! Pure: which namespaces are made, joined or shared with the host, and the maps of a user namespace.

use super::PlanError;
use naru_kernel::clone::flags;
use naru_oci::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};
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

impl Namespace {
    /// The flag of `clone3`, `unshare` and `setns`.
    pub(crate) fn flag(self) -> u64 {
        match self {
            Namespace::Mount => flags::MOUNT,
            Namespace::Pid => flags::PID,
            Namespace::Network => flags::NETWORK,
            Namespace::Uts => flags::UTS,
            Namespace::Ipc => flags::IPC,
            Namespace::User => flags::USER,
            Namespace::Cgroup => flags::CGROUP,
        }
    }

    /// The name of its file under `/proc/PID/ns`.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Namespace::Mount => "mnt",
            Namespace::Pid => "pid",
            Namespace::Network => "net",
            Namespace::Uts => "uts",
            Namespace::Ipc => "ipc",
            Namespace::User => "user",
            Namespace::Cgroup => "cgroup",
        }
    }
}

/// Which namespaces a container has of its own, and which it joins; the others are the caller's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Made for it.
    pub new: Vec<Namespace>,
    /// Joined: the kind and the file that stands for it, as under `/proc/PID/ns`.
    pub join: Vec<(Namespace, PathBuf)>,
}

impl Namespaces {
    /// Whether one of this kind is made.
    pub fn makes(&self, kind: Namespace) -> bool {
        self.new.contains(&kind)
    }

    /// Whether the container has one of this kind that is not simply the caller's.
    pub fn has(&self, kind: Namespace) -> bool {
        self.makes(kind) || self.join.iter().any(|(joined, _)| *joined == kind)
    }
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

impl IdMaps {
    /// The text of `/proc/PID/uid_map` and `gid_map`.
    pub(crate) fn texts(&self) -> (String, String) {
        let text = |maps: &[IdMap]| {
            maps.iter()
                .map(|map| format!("{} {} {}\n", map.container, map.host, map.size))
                .collect()
        };
        (text(&self.uid), text(&self.gid))
    }
}

pub(crate) fn resolve(linux: &Linux) -> Result<Namespaces, PlanError> {
    const FIELD: &str = "linux.namespaces";
    let mut namespaces = Namespaces::default();
    for given in linux.namespaces().iter().flatten() {
        let kind = match given.typ() {
            LinuxNamespaceType::Mount => Namespace::Mount,
            LinuxNamespaceType::Pid => Namespace::Pid,
            LinuxNamespaceType::Network => Namespace::Network,
            LinuxNamespaceType::Uts => Namespace::Uts,
            LinuxNamespaceType::Ipc => Namespace::Ipc,
            LinuxNamespaceType::User => Namespace::User,
            LinuxNamespaceType::Cgroup => Namespace::Cgroup,
            LinuxNamespaceType::Time => {
                return Err(PlanError::unsupported(FIELD, "a time namespace; leave it out"));
            }
        };
        if namespaces.has(kind) {
            return Err(PlanError::invalid(FIELD, format!("`{}` is there twice", kind.file())));
        }
        match given.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
            None => namespaces.new.push(kind),
            Some(path) if path.is_absolute() => namespaces.join.push((kind, path.clone())),
            Some(path) => {
                let why = format!("`{}` is not an absolute path", path.display());
                return Err(PlanError::invalid(FIELD, why));
            }
        }
    }
    if !namespaces.makes(Namespace::Mount) {
        let why = "a container without a mount namespace of its own; add `{\"type\": \"mount\"}`";
        return Err(PlanError::unsupported(FIELD, why));
    }
    if namespaces.has(Namespace::User)
        && !namespaces.makes(Namespace::User)
        && namespaces.makes(Namespace::Pid)
    {
        let why = "a new `pid` namespace in a joined `user` namespace; join both or make both";
        return Err(PlanError::unsupported(FIELD, why));
    }
    Ok(namespaces)
}

/// The maps, which there must be exactly when a user namespace is made.
pub(crate) fn maps(linux: &Linux, namespaces: &Namespaces) -> Result<Option<IdMaps>, PlanError> {
    let uid = lines("linux.uidMappings", linux.uid_mappings().as_deref().unwrap_or_default())?;
    let gid = lines("linux.gidMappings", linux.gid_mappings().as_deref().unwrap_or_default())?;
    if !namespaces.makes(Namespace::User) {
        let given = !uid.is_empty() || !gid.is_empty();
        if given && !namespaces.has(Namespace::User) {
            let why = "maps without a `user` namespace";
            return Err(PlanError::invalid("linux.uidMappings", why));
        }
        return Ok(None);
    }
    let has_root = |maps: &[IdMap]| maps.iter().any(|map| map.container == 0);
    if !has_root(&uid) {
        return Err(PlanError::invalid("linux.uidMappings", "user 0 must be mapped"));
    }
    if !has_root(&gid) {
        return Err(PlanError::invalid("linux.gidMappings", "group 0 must be mapped"));
    }
    Ok(Some(IdMaps { uid, gid }))
}

pub(crate) fn lines(
    field: &'static str,
    given: &[LinuxIdMapping],
) -> Result<Vec<IdMap>, PlanError> {
    const MOST: usize = 340;
    if given.len() > MOST {
        let why = format!("{} lines, and the kernel takes {MOST}", given.len());
        return Err(PlanError::invalid(field, why));
    }
    given
        .iter()
        .map(|line| {
            let map =
                IdMap { container: line.container_id(), host: line.host_id(), size: line.size() };
            let fits = |first: u32| first.checked_add(map.size.saturating_sub(1)).is_some();
            if map.size == 0 || !fits(map.container) || !fits(map.host) {
                return Err(PlanError::invalid(field, format!("a range of {} numbers", map.size)));
            }
            Ok(map)
        })
        .collect()
}
