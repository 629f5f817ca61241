//! Acts: changes limits and the restart policy of a container.

use super::Containers;
use crate::model::{HostConfig, Resources, RestartPolicy};
use crate::spec;
use naru_errdefs::Fault;

impl Containers {
    /// Changes limits and restart policy; what is not set stays. Answers warnings.
    pub async fn update(
        &self,
        name: &str,
        resources: Resources,
        restart: Option<RestartPolicy>,
    ) -> Result<Vec<String>, Fault> {
        let inner = &self.inner;
        let container = inner.find(name)?;
        let _turn = container.turn.lock().await;
        let (before, record, running) = {
            let seat = container.seat();
            let mut record = seat.record.clone();
            record.host.resources = over(&record.host.resources, resources);
            if let Some(restart) = restart {
                if record.host.auto_remove {
                    return Err(Fault::conflict(format!(
                        "Restart policy cannot be updated because AutoRemove is enabled for the container {}",
                        record.id
                    )));
                }
                record.host.restart = restart;
            }
            (seat.record.host.clone(), record, seat.record.state.pid().is_some())
        };
        spec::resources::validate(&record.host.resources, inner.processors)?;
        let set = |host: HostConfig| container.seat().record.host = host;
        let mut warnings = Vec::new();
        if running {
            let facts = inner.facts_of_limits(&record)?;
            let limits = spec::limits(&record.host, &facts)?;
            let parent = &record.host.resources.cgroup_parent;
            warnings = inner.launcher.limit(&record.id, parent, &limits)?;
        }
        set(record.host.clone());
        if let Err(fault) = inner.save(&container).await {
            set(before);
            return Err(fault.context(format!("cannot update container {}", container.id)));
        }
        inner.publish(&record, "update", &[]);
        Ok(warnings)
    }
}

/// What is set in `new` replaces what was; a larger memory limit takes the swap limit with it only when asked.
fn over(old: &Resources, new: Resources) -> Resources {
    let mut merged = old.clone();
    let number = |mine: &mut i64, theirs: i64| {
        if theirs != 0 {
            *mine = theirs;
        }
    };
    number(&mut merged.cpu_shares, new.cpu_shares);
    number(&mut merged.memory, new.memory);
    number(&mut merged.memory_swap, new.memory_swap);
    number(&mut merged.memory_reservation, new.memory_reservation);
    number(&mut merged.cpu_realtime_period, new.cpu_realtime_period);
    number(&mut merged.cpu_realtime_runtime, new.cpu_realtime_runtime);
    if new.nano_cpus != 0 {
        merged.nano_cpus = new.nano_cpus;
        merged.cpu_period = 0;
        merged.cpu_quota = 0;
    }
    if new.cpu_period != 0 || new.cpu_quota != 0 {
        merged.nano_cpus = 0;
        number(&mut merged.cpu_period, new.cpu_period);
        number(&mut merged.cpu_quota, new.cpu_quota);
    }
    if !new.cpuset_cpus.is_empty() {
        merged.cpuset_cpus = new.cpuset_cpus;
    }
    if !new.cpuset_mems.is_empty() {
        merged.cpuset_mems = new.cpuset_mems;
    }
    if new.blkio_weight != 0 {
        merged.blkio_weight = new.blkio_weight;
    }
    if new.pids_limit.is_some() {
        merged.pids_limit = new.pids_limit;
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_changes() {
        let old = Resources {
            memory: 8 << 20,
            memory_swap: 16 << 20,
            nano_cpus: 5,
            cpuset_cpus: "0".into(),
            ..Resources::default()
        };
        let new = Resources { memory: 12 << 20, cpu_quota: 5000, ..Resources::default() };
        let merged = over(&old, new);
        assert_eq!(
            merged,
            Resources {
                memory: 12 << 20,
                memory_swap: 16 << 20,
                cpu_quota: 5000,
                cpuset_cpus: "0".into(),
                ..Resources::default()
            }
        );
        assert_eq!(over(&merged, Resources::default()), merged);
    }
}
