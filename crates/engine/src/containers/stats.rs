//! Acts: what a container uses now.

use super::Containers;
use crate::model::{BlockCount, Stats, Timestamp, Traffic};
use crate::spec::modes::{self, Network};
use naru_errdefs::Fault;
use naru_network::sandbox::Sandbox;
use naru_runtime::cgroup;
use std::collections::BTreeMap;
use std::fs;

/// What Linux counts processor time of the whole host in: hundredths of a second, on every machine since 2.6.
const TICK: u64 = 10_000_000;

impl Containers {
    /// What it uses; `None` when it does not run.
    pub async fn stats(&self, name: &str) -> Result<Option<Stats>, Fault> {
        let container = self.inner.find(name)?;
        let (parent, pid, mode) = {
            let seat = container.seat();
            let Some(pid) = seat.record.state.pid() else { return Ok(None) };
            let host = &seat.record.host;
            (host.resources.cgroup_parent.clone(), pid, host.network_mode.clone())
        };
        let used = self.inner.launcher.usage(&container.id, &parent)?;
        let owner = match modes::network(&mode)? {
            Network::Container(name) => self.inner.find(&name).map(|other| other.id.clone()).ok(),
            Network::Networks(_) => Some(container.id.clone()),
            Network::Host | Network::None => None,
        };
        let traffic = match owner.filter(|id| self.inner.networks.has_places(id)) {
            Some(_) => traffic(pid),
            None => BTreeMap::new(),
        };
        Ok(Some(Stats { traffic, ..stats(used, self.inner.processors) }))
    }
}

/// What went through the interfaces of a process's network namespace; nothing when it ends meanwhile.
fn traffic(pid: u32) -> BTreeMap<String, Traffic> {
    let counters = Sandbox::of_process(pid).and_then(|sandbox| sandbox.statistics());
    let mut list = BTreeMap::new();
    for (name, counters) in counters.unwrap_or_default() {
        let traffic = Traffic {
            rx_bytes: counters.rx_bytes,
            rx_packets: counters.rx_packets,
            rx_errors: counters.rx_errors,
            rx_dropped: counters.rx_dropped,
            tx_bytes: counters.tx_bytes,
            tx_packets: counters.tx_packets,
            tx_errors: counters.tx_errors,
            tx_dropped: counters.tx_dropped,
        };
        list.insert(name, traffic);
    }
    list
}

fn stats(used: cgroup::Stats, processors: usize) -> Stats {
    let cpu = used.cpu.unwrap_or_default();
    let memory = used.memory.unwrap_or_default();
    let pids = used.pids.unwrap_or_default();
    let io = used.blkio.unwrap_or_default();
    let counts = |list: Vec<cgroup::BlkioEntry>| {
        list.into_iter()
            .map(|entry| BlockCount {
                major: entry.major,
                minor: entry.minor,
                operation: entry.op,
                value: entry.value,
            })
            .collect()
    };
    Stats {
        read: Timestamp::now(),
        cpu_total: cpu.total,
        cpu_user: cpu.user,
        cpu_kernel: cpu.system,
        cpu_by_processor: cpu.per_cpu,
        system_cpu: fs::read_to_string("/proc/stat").map_or(0, |text| system_cpu(&text)),
        online_cpus: u32::try_from(processors).unwrap_or(u32::MAX),
        throttling_periods: cpu.periods,
        throttled_periods: cpu.throttled_periods,
        throttled_time: cpu.throttled,
        memory_usage: memory.usage,
        memory_max_usage: memory.max_usage.unwrap_or_default(),
        memory_limit: memory.limit.unwrap_or_else(crate::system::memory_total),
        memory_failures: memory.failures,
        memory_stat: memory.stat,
        pids: pids.current,
        pids_limit: pids.limit.unwrap_or_default(),
        io_bytes: counts(io.bytes),
        io_operations: counts(io.operations),
        traffic: BTreeMap::new(),
    }
}

/// Nanoseconds that all processors have spent since boot, as `/proc/stat` says.
fn system_cpu(text: &str) -> u64 {
    let Some(line) = text.lines().find(|line| line.starts_with("cpu ")) else { return 0 };
    // Guest time is in user time already.
    let ticks: u64 =
        line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse::<u64>().ok()).sum();
    ticks.saturating_mul(TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_time_is_the_sum_of_its_parts() {
        let text = "cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 9 9\n";
        assert_eq!(system_cpu(text), 360_000_000);
        assert_eq!(system_cpu(""), 0);
    }
}
