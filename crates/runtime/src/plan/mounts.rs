//! Pure: mount entries of a spec to mount steps.

use super::namespaces::{IdMaps, lines};
use super::{Host, PlanError};
use naru_kernel::mount::attribute;
use naru_oci::runtime::Mount;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

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
        maps: Option<IdMaps>,
    },
    /// A new instance of a file system.
    FileSystem {
        /// Its type.
        kind: String,
        /// The source, for those that have one.
        source: String,
        /// Options of the file system itself: the value is absent for a flag.
        options: Vec<(String, Option<String>)>,
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

impl Propagation {
    /// From the spec's word.
    pub(crate) fn parse(word: &str) -> Option<Propagation> {
        Some(match word {
            "private" => Propagation::Private,
            "rprivate" => Propagation::RecursivePrivate,
            "slave" => Propagation::Slave,
            "rslave" => Propagation::RecursiveSlave,
            "shared" => Propagation::Shared,
            "rshared" => Propagation::RecursiveShared,
            "unbindable" => Propagation::Unbindable,
            "runbindable" => Propagation::RecursiveUnbindable,
            _ => return None,
        })
    }

    /// The kernel's bit, and whether the mounts below are meant too.
    pub(crate) fn kernel(self) -> (u64, bool) {
        use naru_kernel::mount::propagation as bits;
        match self {
            Propagation::Private => (bits::PRIVATE, false),
            Propagation::RecursivePrivate => (bits::PRIVATE, true),
            Propagation::Slave => (bits::SLAVE, false),
            Propagation::RecursiveSlave => (bits::SLAVE, true),
            Propagation::Shared => (bits::SHARED, false),
            Propagation::RecursiveShared => (bits::SHARED, true),
            Propagation::Unbindable => (bits::UNBINDABLE, false),
            Propagation::RecursiveUnbindable => (bits::UNBINDABLE, true),
        }
    }
}

/// An absolute path without `.`, `..` and doubled slashes, by the letters alone; `..` never leads above `/`.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// What the mounts of a container depend on besides themselves.
pub(crate) struct Surroundings<'a> {
    pub(crate) host: &'a Host,
    pub(crate) cgroup_join: &'a [PathBuf],
    pub(crate) own_cgroup_namespace: bool,
}

pub(crate) fn resolve(
    given: &[Mount],
    around: &Surroundings<'_>,
) -> Result<Vec<MountPlan>, PlanError> {
    const MOST: usize = 4096;
    if given.len() > MOST {
        return Err(PlanError::invalid(
            "mounts",
            format!("{} entries, at most {MOST}", given.len()),
        ));
    }
    given.iter().map(|mount| one(mount, around)).collect()
}

fn one(mount: &Mount, around: &Surroundings<'_>) -> Result<MountPlan, PlanError> {
    let destination = clean(mount.destination());
    let invalid = |why: String| {
        PlanError::invalid("mounts", format!("`{}`: {why}", mount.destination().display()))
    };
    if destination == Path::new("/") {
        return Err(invalid("nothing can be mounted on the root".to_owned()));
    }
    let parsed = options(mount).map_err(&invalid)?;
    let kind = mount.typ().as_deref().unwrap_or_default();
    let text = |path: &Option<PathBuf>| {
        path.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let mut attributes = parsed.attributes;
    let what = if parsed.bind || kind == "bind" {
        let source = mount.source().clone().unwrap_or_default();
        if !source.is_absolute() {
            return Err(invalid(format!(
                "the source `{}` is not an absolute path",
                source.display()
            )));
        }
        MountWhat::Bind { source, recursive: parsed.recursive, maps: maps(mount, parsed.id_map)? }
    } else if kind == "cgroup" || kind == "cgroup2" {
        MountWhat::Cgroup(cgroup(around))
    } else if kind.is_empty() {
        return Err(invalid("neither a type nor the option `bind`".to_owned()));
    } else {
        let mut options = parsed.data;
        if attributes.set & attribute::READ_ONLY != 0 && !is_virtual(kind) {
            options.push(("ro".to_owned(), None));
        }
        // A new mount starts without flags, so there is nothing to clear.
        attributes.clear = 0;
        MountWhat::FileSystem { kind: kind.to_owned(), source: text(mount.source()), options }
    };
    check_proc(&destination, &what).map_err(&invalid)?;
    Ok(MountPlan {
        destination,
        what,
        attributes,
        propagation: parsed.propagation,
        copy_up: parsed.copy_up,
    })
}

/// File systems without a device behind them: read-only is a matter of the mount point.
fn is_virtual(kind: &str) -> bool {
    matches!(
        kind,
        "proc"
            | "sysfs"
            | "tmpfs"
            | "devpts"
            | "mqueue"
            | "bpf"
            | "devtmpfs"
            | "securityfs"
            | "debugfs"
            | "tracefs"
            | "hugetlbfs"
            | "ramfs"
            | "configfs"
            | "efivarfs"
            | "pstore"
            | "fusectl"
    )
}

/// What may be mounted over procfs: `/proc` itself is what isolation is checked by, so only files that emulate the
/// machine's size may be replaced.
fn check_proc(destination: &Path, what: &MountWhat) -> Result<(), String> {
    let Ok(below) = destination.strip_prefix("/proc") else { return Ok(()) };
    if below.as_os_str().is_empty() {
        return match what {
            MountWhat::FileSystem { kind, .. } if kind == "proc" => Ok(()),
            // Whether the source really is procfs is seen when it is open.
            MountWhat::Bind { .. } => Ok(()),
            MountWhat::FileSystem { .. } | MountWhat::Cgroup(_) => {
                Err("\"/proc\" cannot be mounted because it is not of type proc".to_owned())
            }
        };
    }
    if may_cover_proc(below) {
        Ok(())
    } else {
        Err(format!("\"{}\" cannot be mounted because it is inside /proc", destination.display()))
    }
}

/// Files of procfs that may be covered.
pub(crate) fn may_cover_proc(below: &Path) -> bool {
    const ALLOWED: [&str; 10] = [
        "cpuinfo",
        "diskstats",
        "meminfo",
        "stat",
        "swaps",
        "uptime",
        "loadavg",
        "slabinfo",
        "net/dev",
        "sys/kernel/ns_last_pid",
    ];
    ALLOWED.iter().any(|allowed| below == Path::new(allowed))
}

fn cgroup(around: &Surroundings<'_>) -> CgroupMount {
    let directory = |join: &PathBuf| join.parent().map(Path::to_path_buf);
    if around.host.cgroup_unified {
        let source = around.cgroup_join.first().and_then(directory);
        return CgroupMount::Unified { source: source.filter(|_dir| !around.own_cgroup_namespace) };
    }
    let mut hierarchies = Vec::new();
    for mount_point in &around.host.cgroup_mounts {
        let Some(name) = mount_point.file_name() else { continue };
        let own = around.cgroup_join.iter().find(|join| join.starts_with(mount_point));
        if let Some(own) = own.and_then(directory) {
            hierarchies.push((name.to_string_lossy().into_owned(), own));
        }
    }
    CgroupMount::Hierarchies { hierarchies, links: around.host.cgroup_links.clone() }
}

fn maps(mount: &Mount, wanted: bool) -> Result<Option<IdMaps>, PlanError> {
    let uid = lines("mounts.uidMappings", mount.uid_mappings().as_deref().unwrap_or_default())?;
    let gid = lines("mounts.gidMappings", mount.gid_mappings().as_deref().unwrap_or_default())?;
    if uid.is_empty() != gid.is_empty() {
        return Err(PlanError::invalid("mounts.uidMappings", "both maps or none must be given"));
    }
    if uid.is_empty() && wanted {
        return Err(PlanError::unsupported(
            "mounts.options",
            "`idmap` without maps of the mount's own",
        ));
    }
    Ok((!uid.is_empty()).then_some(IdMaps { uid, gid }))
}

#[derive(Default)]
struct Parsed {
    attributes: MountAttributes,
    propagation: Option<Propagation>,
    bind: bool,
    recursive: bool,
    copy_up: bool,
    id_map: bool,
    data: Vec<(String, Option<String>)>,
}

/// Option words that set or clear bits of the mount point: word, bits set, bits cleared.
const FLAGS: [(&str, u64, u64); 16] = [
    ("ro", attribute::READ_ONLY, 0),
    ("rw", 0, attribute::READ_ONLY),
    ("nosuid", attribute::NO_SUID, 0),
    ("suid", 0, attribute::NO_SUID),
    ("nodev", attribute::NO_DEV, 0),
    ("dev", 0, attribute::NO_DEV),
    ("noexec", attribute::NO_EXEC, 0),
    ("exec", 0, attribute::NO_EXEC),
    ("noatime", attribute::NO_ACCESS_TIME, attribute::ACCESS_TIME),
    ("relatime", 0, attribute::ACCESS_TIME),
    ("strictatime", attribute::STRICT_ACCESS_TIME, attribute::ACCESS_TIME),
    ("atime", 0, attribute::ACCESS_TIME),
    ("nodiratime", attribute::NO_DIRECTORY_ACCESS_TIME, 0),
    ("diratime", 0, attribute::NO_DIRECTORY_ACCESS_TIME),
    ("nosymfollow", attribute::NO_SYMLINK_FOLLOW, 0),
    ("symfollow", 0, attribute::NO_SYMLINK_FOLLOW),
];

fn options(mount: &Mount) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    for word in mount.options().iter().flatten() {
        let flag = |word: &str| FLAGS.iter().find(|(name, ..)| *name == word).copied();
        if let Some((_, set, clear)) = flag(word) {
            parsed.attributes.set = parsed.attributes.set & !clear | set;
            parsed.attributes.clear = parsed.attributes.clear & !set | clear;
        } else if let Some(propagation) = Propagation::parse(word) {
            parsed.propagation = Some(propagation);
        } else if let Some((_, set, clear)) = word.strip_prefix('r').and_then(flag) {
            parsed.attributes.set_recursive = parsed.attributes.set_recursive & !clear | set;
            parsed.attributes.clear_recursive = parsed.attributes.clear_recursive & !set | clear;
        } else {
            match word.as_str() {
                "bind" => parsed.bind = true,
                "rbind" => (parsed.bind, parsed.recursive) = (true, true),
                "tmpcopyup" => parsed.copy_up = true,
                "idmap" | "ridmap" => parsed.id_map = true,
                "defaults" | "loud" | "silent" | "norelatime" | "nostrictatime" | "async"
                | "nomand" | "noiversion" | "" => {}
                "remount" => return Err("`remount` is not for new mounts".to_owned()),
                _ if word.contains('\0') => return Err("an option with a zero byte".to_owned()),
                _ => parsed.data.push(match word.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (word.clone(), None),
                }),
            }
        }
    }
    if parsed.bind
        && let Some((name, _)) = parsed.data.first()
    {
        return Err(format!("a bind mount has no option `{name}`"));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests;
