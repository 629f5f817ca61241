//! Pure: the limits of a spec as values of control files, for a given host.

use super::devices::{self, DeviceRule};
use super::hierarchy::{Controller, Hierarchies, Home};
use super::{CgroupError, unified_values};
use naru_oci::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxNetwork, LinuxRdma,
    LinuxResources, LinuxThrottleDevice,
};
use std::collections::HashMap;

/// What to do when the kernel has no such file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The limit cannot be had: an error.
    Refuse,
    /// Go on, and say this.
    Warn(&'static str),
}

/// One value for one control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) controller: Controller,
    pub(crate) file: String,
    pub(crate) text: String,
    /// What it limits, for messages.
    pub(crate) setting: &'static str,
    pub(crate) missing: Missing,
}

/// Everything that is to be set, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) values: Vec<Value>,
    /// Rules about devices, when there are any.
    pub(crate) devices: Option<Vec<DeviceRule>>,
    /// The unified memory limit may not be below what is in use (`checkBeforeUpdate`).
    pub(crate) check_usage: Option<u64>,
    /// What was asked for and is not done, as docker does.
    pub(crate) warnings: Vec<String>,
}

pub(crate) const NO_SWAP_LIMIT: &str = "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.";
pub(crate) const NO_BLKIO_WEIGHT: &str =
    "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.";
const NO_KERNEL_MEMORY: &str =
    "Limits of kernel memory are obsolete and are not enforced. Limitation discarded.";
const ONLY_TREE: &str = "OomKillDisable and swappiness do not exist on the unified cgroup hierarchy. Setting discarded.";

/// Collects values while it checks that each has a controller.
pub(crate) struct Collector<'a> {
    host: &'a Hierarchies,
    pub(crate) found: Values,
}

impl Collector<'_> {
    /// Where the controller is; without it the limit is refused.
    pub(crate) fn home(
        &self,
        controller: Controller,
        setting: &'static str,
    ) -> Result<Home, CgroupError> {
        self.host.home(controller).ok_or(CgroupError::NoController { setting, controller })
    }

    pub(crate) fn push(
        &mut self,
        controller: Controller,
        setting: &'static str,
        file: impl Into<String>,
        text: impl ToString,
    ) {
        self.push_or(controller, setting, (file.into(), text.to_string()), Missing::Refuse);
    }

    pub(crate) fn push_or(
        &mut self,
        controller: Controller,
        setting: &'static str,
        (file, text): (String, String),
        missing: Missing,
    ) {
        self.found.values.push(Value { controller, file, text, setting, missing });
    }

    pub(crate) fn warn(&mut self, message: &str) {
        self.found.warnings.push(message.to_owned());
    }
}

/// The values for `resources` on `host`. A limit whose controller is missing is refused by name.
pub(crate) fn values(
    resources: &LinuxResources,
    host: &Hierarchies,
) -> Result<Values, CgroupError> {
    let mut to = Collector { host, found: Values::default() };
    if let Some(limit) = resources.memory() {
        memory(&mut to, limit)?;
    }
    if let Some(limit) = resources.cpu() {
        cpu(&mut to, limit)?;
    }
    if let Some(limit) = resources.pids() {
        to.home(Controller::Pids, "the number of processes")?;
        let text = if limit.limit() > 0 { limit.limit().to_string() } else { "max".to_owned() };
        to.push(Controller::Pids, "the number of processes", "pids.max", text);
    }
    if let Some(limit) = resources.block_io() {
        block_io(&mut to, limit)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        huge_pages(&mut to, limit)?;
    }
    if let Some(limit) = resources.network() {
        network(&mut to, limit)?;
    }
    if let Some(limits) = resources.rdma() {
        rdma(&mut to, limits)?;
    }
    if let Some(rules) = resources.devices().as_ref().filter(|rules| !rules.is_empty()) {
        let rules = devices::parse(rules)?;
        // Where there is no such controller, not even on the unified tree, open access needs none.
        if to.host.home(Controller::Devices).is_some()
            || !devices::Policy::from_rules(&rules).is_ok_and(|policy| policy.is_open())
        {
            to.home(Controller::Devices, "access to devices")?;
            to.found.devices = Some(rules);
        }
    }
    let unified = resources.unified().as_ref().filter(|map| !map.is_empty());
    if let Some(map) = unified {
        unified_values::collect(&mut to, map, host)?;
    }
    Ok(to.found)
}

fn limit_text(limit: i64) -> String {
    if limit < 0 { "-1".to_owned() } else { limit.to_string() }
}

fn memory(to: &mut Collector<'_>, given: &LinuxMemory) -> Result<(), CgroupError> {
    const LIMIT: &str = "memory";
    const SWAP: &str = "memory and swap";
    const RESERVATION: &str = "memory reservation";
    let on = |number: Option<i64>| number.filter(|number| *number != 0);
    // Nothing but what is obsolete or off asks for no controller.
    if given.kernel().is_some_and(|limit| limit > 0)
        || given.kernel_tcp().is_some_and(|limit| limit > 0)
    {
        to.warn(NO_KERNEL_MEMORY);
    }
    let (limit, swap, reservation) = (on(given.limit()), on(given.swap()), on(given.reservation()));
    let no_oom = given.disable_oom_killer() == Some(true);
    if limit.is_none()
        && swap.is_none()
        && reservation.is_none()
        && given.swappiness().is_none()
        && given.disable_oom_killer().is_none()
    {
        return Ok(());
    }
    if no_oom || given.swappiness().is_some() || reservation.is_some() || limit.is_some() {
        to.home(Controller::Memory, LIMIT)?;
    }
    if to.host.home(Controller::Memory) == Some(Home::Unified) {
        if no_oom || given.swappiness().is_some() {
            to.warn(ONLY_TREE);
        }
        unified_values::memory(to, given, (limit, swap, reservation));
        return unified_values::swap(to, limit, swap);
    }
    if to.host.home(Controller::Memory).is_none() {
        return Ok(());
    }
    // Without a word about swap, no limit on memory means none on swap either.
    let swap = if limit == Some(-1) && swap.is_none() { Some(-1) } else { swap };
    let memory = Controller::Memory;
    let limit = limit.map(|limit| (memory, LIMIT, "memory.limit_in_bytes", limit_text(limit)));
    if let Some((controller, setting, file, text)) = limit {
        to.push(controller, setting, file, text);
    }
    if let Some(swap) = swap {
        let value = ("memory.memsw.limit_in_bytes".to_owned(), limit_text(swap));
        to.push_or(memory, SWAP, value, Missing::Warn(NO_SWAP_LIMIT));
    }
    if let Some(reservation) = reservation {
        to.push(memory, RESERVATION, "memory.soft_limit_in_bytes", limit_text(reservation));
    }
    if no_oom {
        to.push(memory, "the out-of-memory killer", "memory.oom_control", "1");
    }
    if let Some(swappiness) = given.swappiness() {
        if swappiness > 100 {
            return Err(CgroupError::BadValue {
                setting: "memory swappiness",
                value: swappiness.to_string(),
                reason: "it goes from 0 to 100",
            });
        }
        to.push(memory, "memory swappiness", "memory.swappiness", swappiness);
    }
    Ok(())
}

fn cpu(to: &mut Collector<'_>, given: &LinuxCpu) -> Result<(), CgroupError> {
    const SHARES: &str = "cpu shares";
    const QUOTA: &str = "cpu quota";
    const PERIOD: &str = "cpu period";
    if given.realtime_runtime().is_some_and(|time| time != 0)
        || given.realtime_period().is_some_and(|time| time != 0)
    {
        return Err(CgroupError::Unsupported {
            setting: "cpu real-time runtime and period",
            reason: "kernels of distributions do not have real-time group scheduling",
            instead: "leave out `--cpu-rt-runtime` and `--cpu-rt-period`",
        });
    }
    let shares = given.shares().filter(|shares| *shares != 0);
    let period = given.period().filter(|period| *period != 0);
    let quota = given.quota().filter(|quota| *quota != 0);
    let burst = given.burst();
    let idle = given.idle();
    let cpu = Controller::Cpu;
    if shares.is_some() || period.is_some() || quota.is_some() || burst.is_some() || idle.is_some()
    {
        let unified = to.home(cpu, "cpu time")? == Home::Unified;
        if let Some(shares) = shares {
            if unified {
                to.push(cpu, SHARES, "cpu.weight", unified_values::cpu_weight(shares));
            } else {
                to.push(cpu, SHARES, "cpu.shares", shares);
            }
        }
        if unified {
            // A quota of -1 or none is no limit.
            let text = |quota: Option<i64>| match quota {
                Some(quota) if quota > 0 => quota.to_string(),
                _ => "max".to_owned(),
            };
            match (quota, period) {
                (None, None) => {}
                (quota, None) => to.push(cpu, QUOTA, "cpu.max", text(quota)),
                (quota, Some(period)) => {
                    to.push(cpu, QUOTA, "cpu.max", format!("{} {period}", text(quota)));
                }
            }
        } else {
            if let Some(period) = period {
                to.push(cpu, PERIOD, "cpu.cfs_period_us", period);
            }
            if let Some(quota) = quota {
                to.push(cpu, QUOTA, "cpu.cfs_quota_us", limit_text(quota));
            }
        }
        if let Some(burst) = burst {
            let file = if unified { "cpu.max.burst" } else { "cpu.cfs_burst_us" };
            to.push(cpu, "cpu burst", file, burst);
        }
        if let Some(idle) = idle {
            to.push(cpu, "cpu idle", "cpu.idle", idle);
        }
    }
    for (list, file, setting) in [
        (given.cpus(), "cpuset.cpus", "the set of processors"),
        (given.mems(), "cpuset.mems", "the set of memory nodes"),
    ] {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            to.home(Controller::Cpuset, setting)?;
            if !list.bytes().all(|byte| byte.is_ascii_digit() || b",-".contains(&byte)) {
                return Err(CgroupError::BadValue {
                    setting,
                    value: list.to_owned(),
                    reason: "it is not a list such as `0-2,4`",
                });
            }
            to.push(Controller::Cpuset, setting, file, list);
        }
    }
    Ok(())
}

/// Names the file of a rate of the v1 hierarchy and the word for it on the unified one.
type Rate<'a> = (&'a Option<Vec<LinuxThrottleDevice>>, &'static str, &'static str);

fn block_io(to: &mut Collector<'_>, given: &LinuxBlockIo) -> Result<(), CgroupError> {
    const WEIGHT: &str = "block I/O weight";
    const RATE: &str = "block I/O rate";
    let blkio = Controller::Blkio;
    if given.leaf_weight().is_some_and(|weight| weight != 0)
        || given
            .weight_device()
            .iter()
            .flatten()
            .any(|device| device.leaf_weight().is_some_and(|weight| weight != 0))
    {
        return Err(CgroupError::Unsupported {
            setting: "block I/O leaf weight",
            reason: "the scheduler that knew it is gone since Linux 5.0",
            instead: "use the weight",
        });
    }
    let weight = given.weight().filter(|weight| *weight != 0);
    let devices = given
        .weight_device()
        .iter()
        .flatten()
        .filter_map(|device| Some((device.major(), device.minor(), device.weight()?)))
        .filter(|(_, _, weight)| *weight != 0);
    let mut weights: Vec<(Option<(i64, i64)>, u16)> =
        weight.into_iter().map(|weight| (None, weight)).collect();
    weights.extend(devices.map(|(major, minor, weight)| (Some((major, minor)), weight)));
    for (device, weight) in weights {
        let unified = to.home(blkio, WEIGHT)? == Home::Unified;
        // Which of the two files there is depends on the scheduler; `|` parts the candidates.
        let (file, text) = match (unified, device) {
            (true, None) => ("io.bfq.weight|io.weight", format!("default {weight}")),
            (true, Some((major, minor))) => {
                ("io.bfq.weight|io.weight", format!("{major}:{minor} {weight}"))
            }
            (false, None) => ("blkio.weight|blkio.bfq.weight", weight.to_string()),
            (false, Some((major, minor))) => {
                ("blkio.weight_device|blkio.bfq.weight_device", format!("{major}:{minor} {weight}"))
            }
        };
        to.push_or(blkio, WEIGHT, (file.to_owned(), text), Missing::Warn(NO_BLKIO_WEIGHT));
    }
    let rates: [Rate<'_>; 4] = [
        (given.throttle_read_bps_device(), "blkio.throttle.read_bps_device", "rbps"),
        (given.throttle_write_bps_device(), "blkio.throttle.write_bps_device", "wbps"),
        (given.throttle_read_iops_device(), "blkio.throttle.read_iops_device", "riops"),
        (given.throttle_write_iops_device(), "blkio.throttle.write_iops_device", "wiops"),
    ];
    for (devices, file, word) in rates {
        for device in devices.iter().flatten() {
            let (major, minor, rate) = (device.major(), device.minor(), device.rate());
            match to.home(blkio, RATE)? {
                Home::Legacy(_) => to.push(blkio, RATE, file, format!("{major}:{minor} {rate}")),
                Home::Unified if rate == 0 => {
                    to.push(blkio, RATE, "io.max", format!("{major}:{minor} {word}=max"));
                }
                Home::Unified => {
                    to.push(blkio, RATE, "io.max", format!("{major}:{minor} {word}={rate}"));
                }
            }
        }
    }
    Ok(())
}

fn huge_pages(to: &mut Collector<'_>, given: &LinuxHugepageLimit) -> Result<(), CgroupError> {
    const SETTING: &str = "huge pages";
    let size = given.page_size();
    let number = size.trim_end_matches(|letter: char| letter.is_ascii_uppercase());
    let unit = size.get(number.len()..).unwrap_or("");
    if number.is_empty()
        || !number.bytes().all(|byte| byte.is_ascii_digit())
        || !["KB", "MB", "GB"].contains(&unit)
    {
        return Err(CgroupError::BadValue {
            setting: SETTING,
            value: size.clone(),
            reason: "it is not a page size such as `2MB`",
        });
    }
    match to.home(Controller::Hugetlb, SETTING)? {
        Home::Legacy(_) => to.push(
            Controller::Hugetlb,
            SETTING,
            format!("hugetlb.{size}.limit_in_bytes"),
            limit_text(given.limit()),
        ),
        Home::Unified => to.push(
            Controller::Hugetlb,
            SETTING,
            format!("hugetlb.{size}.max"),
            unified_values::max_text(given.limit()),
        ),
    }
    Ok(())
}

fn network(to: &mut Collector<'_>, given: &LinuxNetwork) -> Result<(), CgroupError> {
    const CLASS: &str = "the class of network packets";
    const PRIORITY: &str = "the priority of network packets";
    if let Some(class) = given.class_id().filter(|class| *class != 0) {
        to.home(Controller::NetCls, CLASS)?;
        to.push(Controller::NetCls, CLASS, "net_cls.classid", class);
    }
    for priority in given.priorities().iter().flatten() {
        to.home(Controller::NetPrio, PRIORITY)?;
        let text = format!("{} {}", priority.name(), priority.priority());
        to.push(Controller::NetPrio, PRIORITY, "net_prio.ifpriomap", text);
    }
    Ok(())
}

fn rdma(to: &mut Collector<'_>, given: &HashMap<String, LinuxRdma>) -> Result<(), CgroupError> {
    const SETTING: &str = "RDMA handles";
    for (device, limit) in given {
        to.home(Controller::Rdma, SETTING)?;
        let number = |limit: Option<u32>| limit.map_or("max".to_owned(), |limit| limit.to_string());
        let text = format!(
            "{device} hca_handle={} hca_object={}",
            number(limit.hca_handles()),
            number(limit.hca_objects())
        );
        to.push(Controller::Rdma, SETTING, "rdma.max", text);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
