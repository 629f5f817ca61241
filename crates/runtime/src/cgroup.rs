//! The cgroup of a container, on the v1 hierarchies, the unified hierarchy (v2), or both side by side. Acts.
//!
//! ```text
//! v1      /sys/fs/cgroup/<controller>/<parent>/<id>     one directory per hierarchy that is needed
//! v2      /sys/fs/cgroup/<parent>/<id>                  one directory
//! hybrid  v1 for the controllers, and /sys/fs/cgroup/unified/<parent>/<id> for freeze, kill and "is it empty"
//! ```
//!
//! [`Hierarchies::probe`] learns once what the host has. [`Cgroup::create`] makes the directories and sets the
//! limits before the container's first process exists; that process enters through [`Cgroup::membership`].
//! A v1 hierarchy that no limit and no statistic needs gets no directory until an update asks for one.

mod apply;
mod devices;
mod directory;
mod error;
mod events;
mod hierarchy;
mod path;
mod processes;
mod read;
mod stats;
mod unified_values;
mod values;

pub use error::CgroupError;
pub use events::OomEvents;
pub use hierarchy::{Controller, Hierarchies, Support};
pub use path::CgroupPath;
pub use stats::{BlkioEntry, BlkioStats, CpuStats, MemoryStats, PidsStats, Stats};

use directory::Made;
use hierarchy::Home;
use naru_oci::runtime::LinuxResources;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What statistics need. On v1 each costs a directory, so the list is short.
const COUNTED: [Controller; 4] =
    [Controller::Memory, Controller::Cpuacct, Controller::Pids, Controller::Blkio];

/// What the unified hierarchy has switched on for containers; `cpu` is for what is throttled.
const COUNTED_UNIFIED: [Controller; 4] =
    [Controller::Memory, Controller::Cpu, Controller::Pids, Controller::Blkio];

/// The cgroup of one container: its directories in all the hierarchies that it has one in.
#[derive(Debug, Clone)]
pub struct Cgroup {
    path: CgroupPath,
    host: Hierarchies,
    legacy: Vec<(usize, PathBuf)>,
    unified: Option<PathBuf>,
}

/// A cgroup that was made, and what was asked for but could not be done and does no harm.
#[derive(Debug)]
pub struct Created {
    /// The cgroup.
    pub cgroup: Cgroup,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

/// How a process gets in: `0` is written into each file by the process itself while it has one thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The files of the v1 hierarchies. Those that move one thread: they need no lock of the whole system, which can
    /// take 10 ms to get.
    pub legacy: Vec<PathBuf>,
    /// The directory on the unified hierarchy, into which a process can also be cloned.
    pub unified: Option<PathBuf>,
}

impl Membership {
    /// Every file to write to, for a process that is not cloned into the unified directory.
    pub fn files(&self) -> Vec<PathBuf> {
        let unified = self.unified.iter().map(|directory| directory.join("cgroup.procs"));
        unified.chain(self.legacy.iter().cloned()).collect()
    }
}

impl Cgroup {
    /// Makes the cgroup and sets its limits. When that fails nothing is left.
    ///
    /// An empty cgroup of that name, which a crash may leave, is replaced; one with processes in it is refused.
    pub fn create(
        host: &Hierarchies,
        path: &CgroupPath,
        resources: &LinuxResources,
    ) -> Result<Created, CgroupError> {
        let mut values = values::values(resources, host)?;
        let mut cgroup =
            Cgroup { path: path.clone(), host: host.clone(), legacy: Vec::new(), unified: None };
        let mut made = Made::default();
        let result = cgroup
            .make_directories(&values, &mut made)
            .and_then(|()| cgroup.apply(&mut values, apply::Moment::Creation));
        match result {
            Ok(()) => Ok(Created { cgroup, warnings: values.warnings }),
            Err(error) => {
                made.undo();
                Err(error)
            }
        }
    }

    fn make_directories(
        &mut self,
        values: &values::Values,
        made: &mut Made,
    ) -> Result<(), CgroupError> {
        let wanted = values.values.iter().map(|value| value.controller);
        if let Some(unified) = &self.host.unified {
            let mut on: Vec<Controller> =
                COUNTED_UNIFIED.into_iter().chain(wanted.clone()).collect();
            on.retain(|controller| self.host.home(*controller) == Some(Home::Unified));
            self.unified = Some(directory::make_unified(unified, &self.path, &on, made)?);
        }
        let mut needed: Vec<Controller> = COUNTED.into_iter().chain(wanted).collect();
        if values.devices.is_some() {
            needed.push(Controller::Devices);
        }
        if !self.freezes_unified() {
            needed.push(Controller::Freezer);
        }
        for controller in needed {
            self.ensure(controller, made)?;
        }
        Ok(())
    }

    /// Gives the cgroup a directory in the v1 hierarchy of `controller`, if it is on one; true when it is new.
    fn ensure(&mut self, controller: Controller, made: &mut Made) -> Result<bool, CgroupError> {
        let Some(Home::Legacy(index)) = self.host.home(controller) else { return Ok(false) };
        if self.legacy.iter().any(|(known, _)| *known == index) {
            return Ok(false);
        }
        let Some(hierarchy) = self.host.legacy.get(index) else { return Ok(false) };
        let directory = directory::make_legacy(hierarchy, &self.path, made)?;
        self.legacy.push((index, directory));
        Ok(true)
    }

    /// The cgroup `path` as it is now, in whichever hierarchies it has a directory.
    pub fn open(host: &Hierarchies, path: &CgroupPath) -> Result<Cgroup, CgroupError> {
        let legacy: Vec<(usize, PathBuf)> = host
            .legacy
            .iter()
            .map(|hierarchy| hierarchy.mount.join(path.relative()))
            .enumerate()
            .filter(|(_, directory)| directory.is_dir())
            .collect();
        let unified = host
            .unified
            .as_ref()
            .map(|unified| unified.mount.join(path.relative()))
            .filter(|directory| directory.is_dir());
        if legacy.is_empty() && unified.is_none() {
            return Err(CgroupError::Gone { path: path.as_str().to_owned() });
        }
        Ok(Cgroup { path: path.clone(), host: host.clone(), legacy, unified })
    }

    /// Its path below the mount points.
    pub fn path(&self) -> &CgroupPath {
        &self.path
    }

    /// How the container's first process gets in.
    pub fn membership(&self) -> Membership {
        Membership {
            legacy: self.legacy.iter().map(|(_, directory)| directory.join("tasks")).collect(),
            unified: self.unified.clone(),
        }
    }

    /// How a further process gets in, beside the process `pid`: a container that runs an init system of its own may
    /// have moved its processes further down, and then nobody may enter above them.
    pub fn membership_beside(&self, pid: u32) -> Membership {
        let mut membership = self.membership();
        let Some(unified) = &self.host.unified else { return membership };
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/cgroup")) else {
            return membership;
        };
        let inner = text
            .lines()
            .find_map(|line| line.strip_prefix("0::/"))
            .map(|path| unified.mount.join(path))
            .filter(|path| membership.unified.as_ref().is_some_and(|own| path.starts_with(own)));
        if inner.is_some() {
            membership.unified = inner;
        }
        membership
    }

    /// Moves the process `pid` with all its threads in.
    pub fn add_process(&self, pid: u32) -> Result<(), CgroupError> {
        let directories = self.unified.iter().chain(self.legacy.iter().map(|(_, path)| path));
        for directory in directories {
            directory::write(&directory.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    /// Changes limits while processes run; what is not mentioned stays. Returns warnings.
    ///
    /// When the kernel refuses a value the ones before it stay changed.
    pub fn update(&mut self, resources: &LinuxResources) -> Result<Vec<String>, CgroupError> {
        let mut values = values::values(resources, &self.host)?;
        let mut made = Made::default();
        let result = self.extend(&values, &mut made);
        if let Err(error) = result {
            made.undo();
            return Err(error);
        }
        self.apply(&mut values, apply::Moment::Update)?;
        Ok(values.warnings)
    }

    /// Directories in hierarchies that nothing needed so far, and all processes into them.
    fn extend(&mut self, values: &values::Values, made: &mut Made) -> Result<(), CgroupError> {
        let mut wanted: Vec<Controller> =
            values.values.iter().map(|value| value.controller).collect();
        if values.devices.is_some() {
            wanted.push(Controller::Devices);
        }
        if let Some(unified) = &self.host.unified {
            wanted.retain(|controller| self.host.home(*controller).is_some());
            let mut on = wanted.clone();
            on.retain(|controller| self.host.home(*controller) == Some(Home::Unified));
            directory::enable(unified, &self.path, &on)?;
        }
        for controller in wanted {
            if self.ensure(controller, made)?
                && let Some((_, directory)) = self.legacy.last().cloned()
            {
                self.move_all(&directory)?;
            }
        }
        Ok(())
    }

    /// Removes the cgroup and those that the container made inside it. Waits until its processes are gone, which the
    /// kernel does shortly after they end; they must have been told to end before.
    pub fn remove(&self, patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        let directories = self.legacy.iter().map(|(_, path)| path).chain(&self.unified);
        for directory in directories {
            loop {
                match directory::remove_tree(directory) {
                    Ok(()) => break,
                    Err(source) if source.raw_os_error() == Some(libc_errno::BUSY) => {
                        self.wait_empty(deadline)?;
                    }
                    Err(source) => {
                        return Err(CgroupError::Io {
                            attempt: "remove the cgroup",
                            path: directory.clone(),
                            source,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes the directories above the cgroup (its parent, and so on up) as far as they are empty.
    pub fn remove_empty_parents(host: &Hierarchies, path: &CgroupPath) {
        let mounts = host
            .legacy
            .iter()
            .map(|hierarchy| &hierarchy.mount)
            .chain(host.unified.iter().map(|unified| &unified.mount));
        for mount in mounts {
            let own = mount.join(path.relative());
            for above in own.ancestors().skip(1).take_while(|above| *above != mount.as_path()) {
                if std::fs::remove_dir(above).is_err() {
                    break;
                }
            }
        }
    }

    fn legacy_directory(&self, controller: Controller) -> Option<&PathBuf> {
        match self.host.home(controller)? {
            Home::Legacy(index) => {
                self.legacy.iter().find(|(known, _)| *known == index).map(|(_, path)| path)
            }
            Home::Unified => None,
        }
    }

    /// Where the files of a controller are, if the cgroup has it.
    fn directory(&self, controller: Controller) -> Option<&PathBuf> {
        match self.host.home(controller)? {
            Home::Legacy(_) => self.legacy_directory(controller),
            Home::Unified => self.unified.as_ref(),
        }
    }
}

/// The errnos that are told apart here.
mod libc_errno {
    pub(crate) const NO_ENTRY: i32 = 2;
    pub(crate) const NO_PROCESS: i32 = 3;
    pub(crate) const BUSY: i32 = 16;
    pub(crate) const INVALID: i32 = 22;
    pub(crate) const NO_DEVICE: i32 = 19;
}

#[cfg(test)]
mod tests;
