//! Acts: what a container uses now.

use super::Containers;
use crate::model::{BlockCount, Flow, Stats, Timestamp, Traffic};
use crate::spec::modes::{self, Network};
use naru_errdefs::Fault;
use naru_runtime::cgroup;
use std::fs;

/// What Linux counts processor time of the whole host in: hundredths of a second, on every machine since 2.6.
const TICK: u64 = 10_000_000;

impl Containers {
    /// What it uses; `None` when it does not run.
    pub async fn stats(&self, name: &str) -> Result<Option<Stats>, Fault> {
        let container = self.inner.find(name)?;
        let (parent, pid, mode) = {
            let record = &container.seat().record;
            let Some(pid) = record.state.pid() else { return Ok(None) };
            (record.host.resources.cgroup_parent.clone(), pid, record.host.network_mode.clone())
        };
        let used = self.inner.launcher.usage(&container.id, &parent)?;
        let networks = match modes::network(&mode)? {
            Network::Networks(_) => Some(container.id.clone()),
            Network::Container(name) => self.inner.find(&name).ok().map(|other| other.id.clone()),
            Network::Host | Network::None => None,
        };
        let networks = networks.map(|id| {
            let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
            let own = self.inner.networks.interfaces(&id);
            traffic(&text).filter(|(name, _)| own.contains(name)).collect()
        });
        Ok(Some(Stats { networks, ..stats(used, self.inner.processors) }))
    }
}

/// What the kernel's table `net/dev` says of each interface.
fn traffic(text: &str) -> impl Iterator<Item = (String, Traffic)> {
    text.lines().filter_map(|line| {
        let (name, counts) = line.split_once(':')?;
        let counts: Vec<u64> =
            counts.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let flow = |first: usize| {
            let &[bytes, packets, errors, dropped] = counts.get(first..)?.first_chunk()?;
            Some(Flow { bytes, packets, errors, dropped })
        };
        Some((name.trim().to_owned(), Traffic { received: flow(0)?, sent: flow(8)? }))
    })
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
        networks: None,
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
    fn traffic_is_read_from_the_kernels_table() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n    \
            lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0\n  \
            eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\nbad: 1 2\n";
        let table: Vec<_> = traffic(text).collect();
        let received = Flow { bytes: 1, packets: 2, errors: 3, dropped: 4 };
        let sent = Flow { bytes: 5, packets: 6, errors: 7, dropped: 8 };
        assert_eq!(table.get(1), Some(&("eth0".to_owned(), Traffic { received, sent })));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn the_hosts_time_is_the_sum_of_its_parts() {
        let text = "cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 9 9\n";
        assert_eq!(system_cpu(text), 360_000_000);
        assert_eq!(system_cpu(""), 0);
    }
}
