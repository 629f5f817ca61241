//! Acts: reads the facts about the host that planning needs; a plain value, so that tests can make up a host.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What planning needs to know about the machine and about this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The bounding set of this process: what "all capabilities" means here.
    pub bounding: u64,
    /// Whether AppArmor is active.
    pub apparmor: bool,
    /// Whether SELinux is active.
    pub selinux: bool,
    /// Whether this process may make device nodes: it is in the first user namespace.
    pub initial_user_namespace: bool,
    /// Whether there is one cgroup tree, and no hierarchy a controller.
    pub cgroup_unified: bool,
    /// Where the hierarchies are mounted, when they are not unified.
    pub cgroup_mounts: Vec<PathBuf>,
    /// Further names of hierarchies: the link and the name it leads to.
    pub cgroup_links: Vec<(String, String)>,
}

impl Host {
    /// Reads the facts, once at start.
    pub fn probe() -> std::io::Result<Host> {
        let cgroup = Path::new("/sys/fs/cgroup");
        let mounts =
            naru_kernel::mountinfo::parse(&std::fs::read_to_string("/proc/self/mountinfo")?);
        let mut cgroup_mounts = Vec::new();
        for mount in &mounts {
            if mount.kind == "cgroup" && !cgroup_mounts.contains(&mount.mount_point) {
                cgroup_mounts.push(mount.mount_point.clone());
            }
        }
        let mut cgroup_links = Vec::new();
        for entry in std::fs::read_dir(cgroup).into_iter().flatten().flatten() {
            if let Ok(target) = std::fs::read_link(entry.path()) {
                let name = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
                cgroup_links.push((name(entry.file_name()), name(target.into_os_string())));
            }
        }
        cgroup_links.sort();
        let flag = |path: &str| std::fs::read(path).is_ok_and(|text| text.starts_with(b"Y"));
        Ok(Host {
            bounding: naru_kernel::capability::bounding(),
            apparmor: flag("/sys/module/apparmor/parameters/enabled"),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            initial_user_namespace: naru_kernel::namespace::is_initial_user_namespace()?,
            cgroup_unified: mounts
                .iter()
                .any(|mount| mount.kind == "cgroup2" && mount.mount_point == cgroup),
            cgroup_mounts,
            cgroup_links,
        })
    }

    /// A host that can do everything, for tables.
    #[cfg(test)]
    pub(crate) fn plain() -> Host {
        Host {
            bounding: (1 << 41) - 1,
            apparmor: false,
            selinux: false,
            initial_user_namespace: true,
            cgroup_unified: false,
            cgroup_mounts: Vec::new(),
            cgroup_links: Vec::new(),
        }
    }
}
