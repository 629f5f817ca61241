//! Acts: reads the files of statistics; what they mean is in [`super::stats`].

use super::hierarchy::Home;
use super::stats::{self, BlkioStats, CpuStats, MemoryStats, PidsStats, Stats};
use super::{Cgroup, CgroupError, Controller, directory};
use std::path::Path;

/// A file that not every kernel has.
fn optional(directory: &Path, file: &str) -> String {
    std::fs::read_to_string(directory.join(file)).unwrap_or_default()
}

fn required(directory: &Path, file: &str) -> Result<String, CgroupError> {
    directory::read(&directory.join(file))
}

impl Cgroup {
    /// What its processes use and have used.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let gone = self
            .legacy
            .iter()
            .map(|(_, path)| path)
            .chain(&self.unified)
            .all(|directory| !directory.is_dir());
        if gone {
            return Err(CgroupError::Gone { path: self.path.as_str().to_owned() });
        }
        Ok(Stats {
            memory: self.memory_stats()?,
            cpu: self.cpu_stats()?,
            pids: self.pids_stats()?,
            blkio: self.blkio_stats(),
        })
    }

    /// How many processes were killed here for lack of memory.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let Some(directory) = self.directory(Controller::Memory) else { return Ok(0) };
        let file = match self.host.home(Controller::Memory) {
            Some(Home::Unified) => "memory.events",
            _ => "memory.oom_control",
        };
        Ok(stats::field(&required(directory, file)?, "oom_kill"))
    }

    fn memory_stats(&self) -> Result<Option<MemoryStats>, CgroupError> {
        let Some(directory) = self.directory(Controller::Memory) else { return Ok(None) };
        if self.host.home(Controller::Memory) == Some(Home::Unified) {
            let events = optional(directory, "memory.events");
            return Ok(Some(MemoryStats {
                usage: stats::number(&required(directory, "memory.current")?),
                max_usage: optional(directory, "memory.peak").trim().parse().ok(),
                limit: stats::limit(&required(directory, "memory.max")?),
                failures: stats::field(&events, "max"),
                swap: optional(directory, "memory.swap.current").trim().parse().ok(),
                oom_kills: stats::field(&events, "oom_kill"),
                stat: stats::fields(&required(directory, "memory.stat")?),
            }));
        }
        let usage = stats::number(&required(directory, "memory.usage_in_bytes")?);
        let with_swap: Option<u64> =
            optional(directory, "memory.memsw.usage_in_bytes").trim().parse().ok();
        Ok(Some(MemoryStats {
            usage,
            max_usage: optional(directory, "memory.max_usage_in_bytes").trim().parse().ok(),
            limit: stats::limit(&required(directory, "memory.limit_in_bytes")?),
            failures: stats::number(&optional(directory, "memory.failcnt")),
            swap: with_swap.map(|with_swap| with_swap.saturating_sub(usage)),
            oom_kills: self.oom_kills()?,
            stat: stats::fields(&required(directory, "memory.stat")?),
        }))
    }

    fn cpu_stats(&self) -> Result<Option<CpuStats>, CgroupError> {
        if self.host.home(Controller::Cpuacct) == Some(Home::Unified) {
            let Some(directory) = &self.unified else { return Ok(None) };
            return Ok(Some(stats::cpu_unified(&required(directory, "cpu.stat")?)));
        }
        let Some(directory) = self.directory(Controller::Cpuacct) else { return Ok(None) };
        let throttling = self
            .directory(Controller::Cpu)
            .map(|directory| optional(directory, "cpu.stat"))
            .unwrap_or_default();
        Ok(Some(CpuStats {
            total: stats::number(&required(directory, "cpuacct.usage")?),
            user: stats::number(&optional(directory, "cpuacct.usage_user")),
            system: stats::number(&optional(directory, "cpuacct.usage_sys")),
            per_cpu: stats::numbers(&optional(directory, "cpuacct.usage_percpu")),
            periods: stats::field(&throttling, "nr_periods"),
            throttled_periods: stats::field(&throttling, "nr_throttled"),
            throttled: stats::field(&throttling, "throttled_time"),
        }))
    }

    fn pids_stats(&self) -> Result<Option<PidsStats>, CgroupError> {
        let Some(directory) = self.directory(Controller::Pids) else { return Ok(None) };
        Ok(Some(PidsStats {
            current: stats::number(&required(directory, "pids.current")?),
            limit: stats::limit(&required(directory, "pids.max")?),
        }))
    }

    fn blkio_stats(&self) -> Option<BlkioStats> {
        let directory = self.directory(Controller::Blkio)?;
        if self.host.home(Controller::Blkio) == Some(Home::Unified) {
            return Some(stats::blkio_unified(&optional(directory, "io.stat")));
        }
        // The scheduler that serves weights counts by itself; otherwise throttling does.
        let both = |name: &str| {
            let entries =
                stats::blkio(&optional(directory, &format!("blkio.bfq.{name}_recursive")));
            if entries.is_empty() {
                stats::blkio(&optional(directory, &format!("blkio.throttle.{name}_recursive")))
            } else {
                entries
            }
        };
        Some(BlkioStats { bytes: both("io_service_bytes"), operations: both("io_serviced") })
    }
}
