//! What the host has of cgroups: which controllers, in which tree, at which mount point. Acts in `probe` alone.

use super::CgroupError;
use naru_kernel::mountinfo::{self, Mount};
use std::fmt;
use std::path::{Path, PathBuf};

/// A kind of resource that the kernel can limit or count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Shares, quota and throttling of processor time.
    Cpu,
    /// Counting of processor time (v1; part of every cgroup on the unified hierarchy).
    Cpuacct,
    /// Which processors and memory nodes may be used.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// Access to devices (a BPF program on the unified hierarchy).
    Devices,
    /// Freezing (part of every cgroup on the unified hierarchy).
    Freezer,
    /// Block devices; called `io` on the unified hierarchy.
    Blkio,
    /// How many processes.
    Pids,
    /// Huge pages.
    Hugetlb,
    /// RDMA handles.
    Rdma,
    /// Class of network packets (v1 only).
    NetCls,
    /// Priority of network packets (v1 only).
    NetPrio,
}

impl Controller {
    pub(crate) const ALL: [Controller; 12] = [
        Controller::Cpu,
        Controller::Cpuacct,
        Controller::Cpuset,
        Controller::Memory,
        Controller::Devices,
        Controller::Freezer,
        Controller::Blkio,
        Controller::Pids,
        Controller::Hugetlb,
        Controller::Rdma,
        Controller::NetCls,
        Controller::NetPrio,
    ];

    /// The name on the v1 hierarchies and in `/proc/cgroups`.
    pub const fn name(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Cpuacct => "cpuacct",
            Controller::Cpuset => "cpuset",
            Controller::Memory => "memory",
            Controller::Devices => "devices",
            Controller::Freezer => "freezer",
            Controller::Blkio => "blkio",
            Controller::Pids => "pids",
            Controller::Hugetlb => "hugetlb",
            Controller::Rdma => "rdma",
            Controller::NetCls => "net_cls",
            Controller::NetPrio => "net_prio",
        }
    }

    /// The name on the unified hierarchy, for those that are switched on there.
    pub(crate) const fn unified_name(self) -> Option<&'static str> {
        match self {
            Controller::Blkio => Some("io"),
            Controller::Cpu
            | Controller::Cpuset
            | Controller::Memory
            | Controller::Pids
            | Controller::Hugetlb
            | Controller::Rdma => Some(self.name()),
            Controller::Cpuacct
            | Controller::Devices
            | Controller::Freezer
            | Controller::NetCls
            | Controller::NetPrio => None,
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Legacy {
    pub(crate) mount: PathBuf,
    pub(crate) controllers: Vec<Controller>,
}

/// The unified hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unified {
    pub(crate) mount: PathBuf,
    /// Those that its root offers; none where v1 has them all.
    pub(crate) controllers: Vec<Controller>,
}

/// Where a controller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// The v1 hierarchy with this number.
    Legacy(usize),
    /// The unified hierarchy.
    Unified,
}

/// All the hierarchies of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    pub(crate) legacy: Vec<Legacy>,
    pub(crate) unified: Option<Unified>,
}

/// What can be limited and counted on this host, for `info` and for warnings before anything is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent facts")]
pub struct Support {
    /// 1 or 2: 2 when the unified hierarchy has the controllers.
    pub version: u8,
    /// Memory limits.
    pub memory: bool,
    /// Swap limits.
    pub swap: bool,
    /// The out-of-memory killer can be disabled.
    pub oom_kill_disable: bool,
    /// Swappiness of one container.
    pub swappiness: bool,
    /// Shares.
    pub cpu_shares: bool,
    /// Quota and period.
    pub cpu_quota: bool,
    /// Sets of processors and memory nodes.
    pub cpuset: bool,
    /// Number of processes.
    pub pids: bool,
    /// Weight of block devices.
    pub blkio_weight: bool,
    /// Rates of block devices.
    pub blkio_throttle: bool,
    /// Access to devices.
    pub devices: bool,
    /// Freezing.
    pub freezer: bool,
    /// Huge pages.
    pub hugetlb: bool,
}

impl Hierarchies {
    /// Reads what is mounted. The answer does not change while the host runs.
    pub fn probe() -> Result<Hierarchies, CgroupError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|source| CgroupError::Probe { path: path.to_owned(), source })
        };
        let mounts = mountinfo::parse(&read(Path::new("/proc/self/mountinfo"))?);
        let mut found = Hierarchies::from_mounts(&mounts);
        if let Some(unified) = &mut found.unified {
            unified.controllers =
                parse_controllers(&read(&unified.mount.join("cgroup.controllers"))?);
        }
        if found.legacy.is_empty() && found.unified.is_none() {
            return Err(CgroupError::NotMounted);
        }
        Ok(found)
    }

    /// What a mount table says. The controllers of the unified hierarchy are not in it.
    pub(crate) fn from_mounts(mounts: &[Mount]) -> Hierarchies {
        let mut legacy: Vec<Legacy> = Vec::new();
        let mut unified = None;
        for mount in mounts {
            match mount.kind.as_str() {
                "cgroup2" if unified.is_none() => {
                    unified =
                        Some(Unified { mount: mount.mount_point.clone(), controllers: Vec::new() });
                }
                "cgroup" => {
                    let controllers: Vec<Controller> = Controller::ALL
                        .into_iter()
                        .filter(|controller| {
                            mount.super_options.iter().any(|option| option == controller.name())
                        })
                        .filter(|controller| {
                            !legacy.iter().any(|known| known.controllers.contains(controller))
                        })
                        .collect();
                    if !controllers.is_empty() {
                        legacy.push(Legacy { mount: mount.mount_point.clone(), controllers });
                    }
                }
                _ => {}
            }
        }
        Hierarchies { legacy, unified }
    }

    /// The same host as if it had no unified hierarchy.
    #[must_use]
    pub fn without_unified(mut self) -> Hierarchies {
        self.unified = None;
        self
    }

    pub(crate) fn home(&self, controller: Controller) -> Option<Home> {
        let legacy =
            self.legacy.iter().position(|hierarchy| hierarchy.controllers.contains(&controller));
        if let Some(index) = legacy {
            return Some(Home::Legacy(index));
        }
        let unified = self.unified.as_ref()?;
        match controller {
            // What every cgroup there can do by itself.
            Controller::Cpuacct | Controller::Devices | Controller::Freezer => Some(Home::Unified),
            _ => unified.controllers.contains(&controller).then_some(Home::Unified),
        }
    }

    /// Whether the controllers are on the unified hierarchy (docker's cgroup version 2).
    pub fn is_unified(&self) -> bool {
        self.legacy.is_empty()
            || self.unified.as_ref().is_some_and(|unified| {
                unified.controllers.contains(&Controller::Memory)
                    || unified.controllers.contains(&Controller::Pids)
            })
    }

    /// What can be limited here. Looks at files of existing cgroups.
    pub fn support(&self) -> Support {
        let has = |controller| self.home(controller).is_some();
        // The root of the unified hierarchy does not have the files of limits, so what is there is told by version.
        let file = |controller: Controller, name: &str| match self.home(controller) {
            Some(Home::Legacy(index)) => {
                self.legacy.get(index).is_some_and(|legacy| legacy.mount.join(name).exists())
            }
            _ => false,
        };
        let on_unified = |controller| self.home(controller) == Some(Home::Unified);
        let io = on_unified(Controller::Blkio);
        Support {
            version: if self.is_unified() { 2 } else { 1 },
            memory: has(Controller::Memory),
            swap: file(Controller::Memory, "memory.memsw.limit_in_bytes")
                || (on_unified(Controller::Memory) && Path::new("/proc/swaps").exists()),
            oom_kill_disable: file(Controller::Memory, "memory.oom_control"),
            swappiness: file(Controller::Memory, "memory.swappiness"),
            cpu_shares: has(Controller::Cpu),
            cpu_quota: file(Controller::Cpu, "cpu.cfs_quota_us") || on_unified(Controller::Cpu),
            cpuset: has(Controller::Cpuset),
            pids: has(Controller::Pids),
            blkio_weight: io
                || file(Controller::Blkio, "blkio.weight")
                || file(Controller::Blkio, "blkio.bfq.weight"),
            blkio_throttle: io || file(Controller::Blkio, "blkio.throttle.read_bps_device"),
            devices: has(Controller::Devices),
            freezer: has(Controller::Freezer),
            hugetlb: has(Controller::Hugetlb),
        }
    }
}

/// The words of `cgroup.controllers`.
pub(crate) fn parse_controllers(text: &str) -> Vec<Controller> {
    text.split_whitespace()
        .filter_map(|word| {
            Controller::ALL.into_iter().find(|controller| controller.unified_name() == Some(word))
        })
        .collect()
}
