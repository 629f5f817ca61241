//! Acts: the cgroups of containers, by ID.

use naru_errdefs::{Fault, Kind, one_line};
use naru_oci::runtime::LinuxResources;
use naru_runtime::cgroup::{Cgroup, CgroupPath, Hierarchies, Stats, Support};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The cgroup above those of containers that name none.
const PARENT: &str = "/naru";
/// How long the kernel may take to take killed processes out of their cgroup.
const PATIENCE: Duration = Duration::from_secs(10);

/// The cgroups of containers.
#[derive(Debug)]
pub(super) struct Cgroups {
    host: Hierarchies,
    support: Support,
    known: Mutex<HashMap<String, Cgroup>>,
}

impl Cgroups {
    /// Learns what the host has.
    pub(super) fn probe() -> Result<Cgroups, Fault> {
        let host = Hierarchies::probe()?;
        let support = host.support();
        Ok(Cgroups { host, support, known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Cgroup>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(id: &str, parent: &str) -> Result<CgroupPath, Fault> {
        Ok(CgroupPath::new(if parent.is_empty() { PARENT } else { parent }, id)?)
    }

    fn get(&self, id: &str, parent: &str) -> Result<Cgroup, Fault> {
        if let Some(cgroup) = self.known().get(id) {
            return Ok(cgroup.clone());
        }
        let cgroup = Cgroup::open(&self.host, &Cgroups::path(id, parent)?)?;
        self.known().insert(id.to_owned(), cgroup.clone());
        Ok(cgroup)
    }

    pub(super) fn create(
        &self,
        id: &str,
        parent: &str,
        limits: &LinuxResources,
    ) -> Result<Vec<PathBuf>, Fault> {
        let created = Cgroup::create(&self.host, &Cgroups::path(id, parent)?, limits)?;
        for warning in &created.warnings {
            tracing::warn!(container = id, "{warning}");
        }
        let files = created.cgroup.membership().files();
        self.known().insert(id.to_owned(), created.cgroup);
        Ok(files)
    }

    pub(super) fn join(
        &self,
        id: &str,
        parent: &str,
        beside: Option<u32>,
    ) -> Result<Vec<PathBuf>, Fault> {
        let cgroup = self.get(id, parent)?;
        Ok(match beside {
            Some(pid) => cgroup.membership_beside(pid).files(),
            None => cgroup.membership().files(),
        })
    }

    pub(super) fn limit(
        &self,
        id: &str,
        parent: &str,
        limits: &LinuxResources,
    ) -> Result<Vec<String>, Fault> {
        let mut cgroup = self.get(id, parent)?;
        let warnings = cgroup.update(limits)?;
        self.known().insert(id.to_owned(), cgroup);
        Ok(warnings)
    }

    pub(super) fn freeze(&self, id: &str, parent: &str, frozen: bool) -> Result<(), Fault> {
        let cgroup = self.get(id, parent)?;
        Ok(if frozen { cgroup.freeze() } else { cgroup.thaw() }?)
    }

    pub(super) fn usage(&self, id: &str, parent: &str) -> Result<Stats, Fault> {
        Ok(self.get(id, parent)?.stats()?)
    }

    pub(super) fn processes(&self, id: &str, parent: &str) -> Result<Vec<u32>, Fault> {
        Ok(self.get(id, parent)?.processes()?)
    }

    pub(super) fn ran_out_of_memory(&self, id: &str, parent: &str) -> bool {
        self.get(id, parent).and_then(|cgroup| Ok(cgroup.oom_kills()?)).is_ok_and(|kills| kills > 0)
    }

    /// Kills what a dead monitor was about to start. An exec shares the cgroup with its container, which goes on.
    pub(super) fn kill(&self, id: &str, is_exec: bool) {
        let known = self.known().get(id).cloned();
        if let Some(cgroup) = known.filter(|_| !is_exec)
            && let Err(error) = cgroup
                .kill_by_freezing()
                .and_then(|()| cgroup.wait_empty(std::time::Instant::now() + PATIENCE))
        {
            tracing::warn!(container = id, "{}", one_line(&Fault::from(error)));
        }
    }

    pub(super) fn remove(&self, id: &str, parent: &str) -> Result<(), Fault> {
        let cgroup = match self.get(id, parent) {
            Ok(cgroup) => cgroup,
            Err(fault) if fault.kind() == Kind::NotFound => return Ok(()),
            Err(fault) => return Err(fault),
        };
        // Usually the end of the first process was the end of all.
        if !cgroup.processes()?.is_empty() {
            cgroup.kill_all()?;
        }
        cgroup.remove(PATIENCE)?;
        self.known().remove(id);
        Ok(())
    }

    pub(super) fn support(&self) -> Support {
        self.support
    }
}
