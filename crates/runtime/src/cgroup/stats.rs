//! Pure: what a container uses, and how the kernel's files say it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the processes of a cgroup use and have used. A part is absent when its controller is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Processor time.
    pub cpu: Option<CpuStats>,
    /// Processes and threads.
    pub pids: Option<PidsStats>,
    /// Block devices.
    pub blkio: Option<BlkioStats>,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// What is in use, page cache included.
    pub usage: u64,
    /// The most that was ever in use; older kernels do not say it on the unified hierarchy.
    pub max_usage: Option<u64>,
    /// The limit, when there is one.
    pub limit: Option<u64>,
    /// How often the limit was hit.
    pub failures: u64,
    /// Swap in use (alone, without memory), where swap is accounted.
    pub swap: Option<u64>,
    /// How many processes the kernel killed here for lack of memory.
    pub oom_kills: u64,
    /// Every row of `memory.stat`.
    pub stat: BTreeMap<String, u64>,
}

/// Processor time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    /// All time.
    pub total: u64,
    /// Time in user mode.
    pub user: u64,
    /// Time in kernel mode.
    pub system: u64,
    /// Time on each processor; empty on the unified hierarchy.
    pub per_cpu: Vec<u64>,
    /// Enforcement periods that have passed.
    pub periods: u64,
    /// Periods in which the cgroup was held back.
    pub throttled_periods: u64,
    /// For how long it was held back.
    pub throttled: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidsStats {
    /// How many there are.
    pub current: u64,
    /// The limit, when there is one.
    pub limit: Option<u64>,
}

/// Block devices: bytes and operations, as docker lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlkioStats {
    /// Bytes by device and operation (`io_service_bytes_recursive`).
    pub bytes: Vec<BlkioEntry>,
    /// Operations by device and operation (`io_serviced_recursive`).
    pub operations: Vec<BlkioEntry>,
}

/// One number about one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlkioEntry {
    /// Major number of the device.
    pub major: u64,
    /// Minor number of the device.
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total` (v1), `read`, `write` (v2): as docker shows them.
    pub op: String,
    /// The number.
    pub value: u64,
}

/// v1 says "no limit" with the largest number of pages.
const NO_LIMIT: u64 = 0x7fff_ffff_ffff_f000;

/// A file with one number; 0 when it has none.
pub(crate) fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// A file with numbers on one line.
pub(crate) fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// A limit: a number, or `max`.
pub(crate) fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

/// A file with a name and a number on each line.
pub(crate) fn fields(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .collect()
}

/// One of these numbers; 0 when it is not there.
pub(crate) fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(known, _)| *known == name)
        .map_or(0, |(_, value)| number(value))
}

/// `cpu.stat` of the unified hierarchy, which counts in microseconds.
pub(crate) fn cpu_unified(text: &str) -> CpuStats {
    let nanoseconds = |name| field(text, name).saturating_mul(1000);
    CpuStats {
        total: nanoseconds("usage_usec"),
        user: nanoseconds("user_usec"),
        system: nanoseconds("system_usec"),
        per_cpu: Vec::new(),
        periods: field(text, "nr_periods"),
        throttled_periods: field(text, "nr_throttled"),
        throttled: nanoseconds("throttled_usec"),
    }
}

fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 Read 4096` on each line; the total of all devices is left out.
pub(crate) fn blkio(text: &str) -> Vec<BlkioEntry> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (major, minor) = device(words.next()?)?;
            let op = words.next()?.to_owned();
            Some(BlkioEntry { major, minor, op, value: words.next()?.parse().ok()? })
        })
        .collect()
}

/// `io.stat`: `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0` on each line.
pub(crate) fn blkio_unified(text: &str) -> BlkioStats {
    let mut found = BlkioStats::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for word in words {
            let Some((key, value)) = word.split_once('=') else { continue };
            let (list, op) = match key {
                "rbytes" => (&mut found.bytes, "read"),
                "wbytes" => (&mut found.bytes, "write"),
                "rios" => (&mut found.operations, "read"),
                "wios" => (&mut found.operations, "write"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value: number(value) });
        }
    }
    found
}

#[cfg(test)]
mod tests;
