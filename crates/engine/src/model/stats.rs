//! Pure: what a container uses.

use super::Timestamp;

/// One look at a container's use. Durations are nanoseconds, sizes bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// When it was taken.
    pub read: Timestamp,
    /// CPU time in all.
    pub cpu_total: u64,
    /// CPU time in user mode.
    pub cpu_user: u64,
    /// CPU time in the kernel.
    pub cpu_kernel: u64,
    /// CPU time by processor; empty where the kernel does not say.
    pub cpu_by_processor: Vec<u64>,
    /// CPU time of the whole host since boot.
    pub system_cpu: u64,
    /// Processors of the host.
    pub online_cpus: u32,
    /// Periods with a quota.
    pub throttling_periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Time lost to the quota.
    pub throttled_time: u64,
    /// Memory in use, page cache included.
    pub memory_usage: u64,
    /// The most it ever was.
    pub memory_max_usage: u64,
    /// The limit (the host's memory when there is none).
    pub memory_limit: u64,
    /// How often the limit was hit.
    pub memory_failures: u64,
    /// The kernel's own figures (`memory.stat`).
    pub memory_stat: std::collections::BTreeMap<String, u64>,
    /// Processes and threads.
    pub pids: u64,
    /// Their limit; 0: none.
    pub pids_limit: u64,
    /// Bytes to and from block devices.
    pub io_bytes: Vec<BlockCount>,
    /// Operations on block devices.
    pub io_operations: Vec<BlockCount>,
    /// What went through its interfaces, by their names inside; empty for one without places in networks of its own.
    pub traffic: std::collections::BTreeMap<String, Traffic>,
}

/// What went through an interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets received with errors.
    pub rx_errors: u64,
    /// Packets that were received and thrown away.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets that were thrown away instead of sent.
    pub tx_dropped: u64,
}

/// A count of one block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockCount {
    /// The device's major number.
    pub major: u64,
    /// The device's minor number.
    pub minor: u64,
    /// `Read`, `Write`, …
    pub operation: String,
    /// How much.
    pub value: u64,
}

/// The processes of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// Column titles.
    pub titles: Vec<String>,
    /// A row a process.
    pub processes: Vec<Vec<String>>,
}
