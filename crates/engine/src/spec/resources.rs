//! Pure: limits: which are refused, in Docker's words, and what they are in the runtime spec.

use super::devices::Rule;
use crate::model::{HostConfig, Resources, ThrottleDevice};
use naru_errdefs::Fault;
use naru_oci::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxMemory, LinuxPids, LinuxResources,
    LinuxThrottleDevice, LinuxThrottleDeviceBuilder, LinuxWeightDevice, LinuxWeightDeviceBuilder,
    PosixRlimit, PosixRlimitBuilder, PosixRlimitType,
};
use std::collections::BTreeMap;
use std::str::FromStr;

const MINIMUM_MEMORY: i64 = 6 << 20;
const CPU_PERIOD: i64 = 100_000;

/// Refuses limits that cannot be. `processors` is how many the host has.
pub(crate) fn validate(resources: &Resources, processors: usize) -> Result<(), Fault> {
    let refuse = |message: &str| Err(Fault::invalid(message));
    let Resources { memory, memory_swap, memory_reservation, .. } = *resources;
    if memory != 0 && memory < MINIMUM_MEMORY {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if memory > 0 && memory_swap > 0 && memory_swap < memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if memory == 0 && memory_swap > 0 {
        return refuse(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if memory_swap < -1 {
        return refuse("invalid MemorySwap: it must be -1, 0 or a size");
    }
    if let Some(swappiness) = resources.memory_swappiness
        && !(-1..=100).contains(&swappiness)
    {
        return Err(Fault::invalid(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )));
    }
    if memory_reservation != 0 && memory_reservation < MINIMUM_MEMORY {
        return refuse("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && memory_reservation > 0 && memory < memory_reservation {
        return refuse(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    validate_cpu(resources, processors)?;
    if resources.blkio_weight != 0 && !(10..=1000).contains(&resources.blkio_weight) {
        return refuse("Range of blkio weight is from 10 to 1000");
    }
    for device in &resources.blkio_weight_device {
        if device.weight != 0 && !(10..=1000).contains(&device.weight) {
            return refuse("Range of blkio weight is from 10 to 1000");
        }
    }
    for rule in &resources.device_cgroup_rules {
        Rule::parse(rule)?;
    }
    rlimits(resources)?;
    Ok(())
}

fn validate_cpu(resources: &Resources, processors: usize) -> Result<(), Fault> {
    let refuse = |message: &str| Err(Fault::invalid(message));
    let Resources { nano_cpus, cpu_period, cpu_quota, cpu_shares, .. } = *resources;
    if nano_cpus > 0 && cpu_period > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set.");
    }
    if nano_cpus > 0 && cpu_quota > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set.");
    }
    let most = i64::try_from(processors).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    if nano_cpus < 0 || nano_cpus > most {
        return Err(Fault::invalid(format!(
            "Range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
        )));
    }
    if cpu_shares < 0 {
        return Err(Fault::invalid(format!(
            "invalid CPU shares ({cpu_shares}): value must be a positive integer"
        )));
    }
    if cpu_period != 0 && !(1_000..=1_000_000).contains(&cpu_period) {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if cpu_quota > 0 && cpu_quota < 1_000 {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if resources.cpu_realtime_runtime != 0
        && resources.cpu_realtime_period != 0
        && resources.cpu_realtime_runtime > resources.cpu_realtime_period
    {
        return refuse("cpu real-time runtime cannot be higher than cpu real-time period");
    }
    for (list, what) in [(&resources.cpuset_cpus, "cpus"), (&resources.cpuset_mems, "mems")] {
        let Some(highest) = highest_of_list(list) else {
            return Err(Fault::invalid(format!("Invalid value {list} for cpuset {what}")));
        };
        if what == "cpus" && !list.is_empty() && highest >= processors {
            return Err(Fault::invalid(format!(
                "Requested CPUs are not available - requested {list}, available: 0-{}",
                processors.saturating_sub(1)
            )));
        }
    }
    Ok(())
}

/// The highest number in `0-2,4`; `None` when it is not such a list.
fn highest_of_list(list: &str) -> Option<usize> {
    let mut highest = 0;
    if list.is_empty() {
        return Some(0);
    }
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if first > last {
            return None;
        }
        highest = highest.max(last);
    }
    Some(highest)
}

/// What Docker fills in: swap is twice the memory when only memory is limited; 0 and -1 processes mean no limit.
pub(crate) fn normalise(host: &mut HostConfig) {
    let resources = &mut host.resources;
    if resources.memory > 0 && resources.memory_swap == 0 {
        resources.memory_swap = resources.memory.saturating_mul(2);
    }
    if resources.memory_swappiness == Some(-1) {
        resources.memory_swappiness = None;
    }
    if resources.pids_limit.is_some_and(|limit| limit <= 0) {
        resources.pids_limit = None;
    }
    if host.shm_size == 0 {
        host.shm_size = 64 << 20;
    }
}

/// Numbers of the devices whose rates are limited, by the host's path.
pub(crate) type DeviceNumbers = BTreeMap<String, (i64, i64)>;

/// The limits in the runtime spec's words.
pub(crate) fn resources(
    resources: &Resources,
    rules: Vec<LinuxDeviceCgroup>,
    numbers: &DeviceNumbers,
) -> LinuxResources {
    let mut limits = LinuxResources::default();
    limits.set_devices(Some(rules));
    limits.set_memory(memory(resources));
    limits.set_cpu(cpu(resources));
    if let Some(limit) = resources.pids_limit.filter(|limit| *limit > 0) {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        limits.set_pids(Some(pids));
    }
    limits.set_block_io(block_io(resources, numbers));
    limits
}

/// What a builder made. Every field has a default, so building cannot fail; were it to, the default is no limit.
pub(super) fn built<T: Default, E>(result: Result<T, E>) -> T {
    result.unwrap_or_default()
}

fn set(value: i64) -> Option<i64> {
    Some(value).filter(|value| *value != 0)
}

fn set_unsigned(value: i64) -> Option<u64> {
    set(value).and_then(|value| u64::try_from(value).ok())
}

fn memory(resources: &Resources) -> Option<LinuxMemory> {
    let mut memory = LinuxMemory::default();
    memory.set_limit(set(resources.memory));
    memory.set_reservation(set(resources.memory_reservation));
    memory.set_swap(set(resources.memory_swap));
    memory.set_swappiness(
        resources.memory_swappiness.and_then(|swappiness| u64::try_from(swappiness).ok()),
    );
    memory.set_disable_oom_killer(resources.oom_kill_disable.filter(|disable| *disable));
    Some(memory).filter(|memory| *memory != LinuxMemory::default())
}

fn cpu(resources: &Resources) -> Option<LinuxCpu> {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(set_unsigned(resources.cpu_shares));
    if resources.nano_cpus > 0 {
        let quota = i128::from(resources.nano_cpus) * i128::from(CPU_PERIOD) / 1_000_000_000;
        cpu.set_period(u64::try_from(CPU_PERIOD).ok());
        cpu.set_quota(i64::try_from(quota).ok().map(|quota| quota.max(1_000)));
    } else {
        cpu.set_period(set_unsigned(resources.cpu_period));
        cpu.set_quota(set(resources.cpu_quota));
    }
    cpu.set_realtime_period(set_unsigned(resources.cpu_realtime_period));
    cpu.set_realtime_runtime(set(resources.cpu_realtime_runtime));
    cpu.set_cpus(text(&resources.cpuset_cpus));
    cpu.set_mems(text(&resources.cpuset_mems));
    Some(cpu).filter(|cpu| *cpu != LinuxCpu::default())
}

fn block_io(resources: &Resources, numbers: &DeviceNumbers) -> Option<LinuxBlockIo> {
    let number = |path: &str| numbers.get(path).copied().unwrap_or_default();
    let throttled = |devices: &[ThrottleDevice]| {
        let list: Vec<LinuxThrottleDevice> = devices
            .iter()
            .map(|device| {
                let (major, minor) = number(&device.path);
                built(
                    LinuxThrottleDeviceBuilder::default()
                        .major(major)
                        .minor(minor)
                        .rate(device.rate)
                        .build(),
                )
            })
            .collect();
        Some(list).filter(|list| !list.is_empty())
    };
    let weights: Vec<LinuxWeightDevice> = resources
        .blkio_weight_device
        .iter()
        .map(|device| {
            let (major, minor) = number(&device.path);
            built(
                LinuxWeightDeviceBuilder::default()
                    .major(major)
                    .minor(minor)
                    .weight(device.weight)
                    .build(),
            )
        })
        .collect();
    let mut io = LinuxBlockIo::default();
    io.set_weight(Some(resources.blkio_weight).filter(|weight| *weight != 0));
    io.set_weight_device(Some(weights).filter(|list| !list.is_empty()));
    io.set_throttle_read_bps_device(throttled(&resources.blkio_device_read_bps));
    io.set_throttle_write_bps_device(throttled(&resources.blkio_device_write_bps));
    io.set_throttle_read_iops_device(throttled(&resources.blkio_device_read_iops));
    io.set_throttle_write_iops_device(throttled(&resources.blkio_device_write_iops));
    Some(io).filter(|io| *io != LinuxBlockIo::default())
}

/// Paths of the host whose numbers [`resources`] needs.
pub(crate) fn limited_devices(resources: &Resources) -> impl Iterator<Item = &str> {
    let throttled = [
        &resources.blkio_device_read_bps,
        &resources.blkio_device_write_bps,
        &resources.blkio_device_read_iops,
        &resources.blkio_device_write_iops,
    ];
    resources
        .blkio_weight_device
        .iter()
        .map(|device| device.path.as_str())
        .chain(throttled.into_iter().flatten().map(|device| device.path.as_str()))
}

/// The process's resource limits.
pub(crate) fn rlimits(resources: &Resources) -> Result<Vec<PosixRlimit>, Fault> {
    let bytes = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    resources
        .ulimits
        .iter()
        .map(|ulimit| {
            let name = format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase());
            let typ = PosixRlimitType::from_str(&name).map_err(|_unknown| {
                Fault::invalid(format!("invalid ulimit type: {}", ulimit.name))
            })?;
            if ulimit.hard >= 0 && (ulimit.soft < 0 || ulimit.soft > ulimit.hard) {
                return Err(Fault::invalid(format!(
                    "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                    ulimit.soft, ulimit.hard
                )));
            }
            Ok(built(
                PosixRlimitBuilder::default()
                    .typ(typ)
                    .soft(bytes(ulimit.soft))
                    .hard(bytes(ulimit.hard))
                    .build(),
            ))
        })
        .collect()
}
