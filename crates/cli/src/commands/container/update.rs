//! Acts: `update`.

use crate::commands::each::each;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::{Flag, Flags, value};
use crate::{opts, printer};
use naru_api_types::container::{RestartPolicy, UpdateRequest};
use naru_errdefs::Fault;

pub(super) const FLAGS: &[Flag] = &[
    value(
        "blkio-weight",
        "uint16",
        "Block IO (relative weight), between 10 and 1000, or 0 to disable",
    ),
    value("cpu-period", "int", "Limit CPU CFS (Completely Fair Scheduler) period"),
    value("cpu-quota", "int", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    value("cpu-rt-period", "int", "Limit the CPU real-time period in microseconds"),
    value("cpu-rt-runtime", "int", "Limit the CPU real-time runtime in microseconds"),
    value("cpu-shares", "int", "CPU shares (relative weight)").short('c'),
    value("cpus", "decimal", "Number of CPUs"),
    value("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"),
    value("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"),
    value("memory", "bytes", "Memory limit").short('m'),
    value("memory-reservation", "bytes", "Memory soft limit"),
    value(
        "memory-swap",
        "bytes",
        "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
    ),
    value("pids-limit", "int", "Tune container pids limit (set -1 for unlimited)"),
    value("restart", "string", "Restart policy to apply when a container exits"),
];

pub(super) fn update(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    if !FLAGS.iter().any(|flag| flags.given(flag.long)) {
        return Err(
            Fault::invalid("you must provide one or more flags when using this command").into()
        );
    }
    let number = |long: &str| -> Result<i64, Failed> { Ok(flags.number(long)?.unwrap_or(0)) };
    let size = |long: &str| -> Result<i64, Failed> {
        Ok(flags.parsed(long, opts::memory::parse)?.unwrap_or(0))
    };
    let text = |long: &str| flags.text(long).unwrap_or_default().to_owned();
    let restart = flags.parsed("restart", opts::restart::parse)?;
    let request = UpdateRequest {
        cpu_shares: number("cpu-shares")?,
        memory: size("memory")?,
        nano_cpus: flags.parsed("cpus", opts::memory::parse_cpus)?.unwrap_or(0),
        blkio_weight: flags.parsed("blkio-weight", opts::device::blkio_weight)?.unwrap_or(0),
        cpu_period: number("cpu-period")?,
        cpu_quota: number("cpu-quota")?,
        cpu_realtime_period: number("cpu-rt-period")?,
        cpu_realtime_runtime: number("cpu-rt-runtime")?,
        cpuset_cpus: text("cpuset-cpus"),
        cpuset_mems: text("cpuset-mems"),
        memory_reservation: size("memory-reservation")?,
        memory_swap: flags.parsed("memory-swap", opts::memory::parse_swap)?.unwrap_or(0),
        pids_limit: flags.number("pids-limit")?,
        restart_policy: restart
            .map(|(name, maximum_retry_count)| RestartPolicy { name, maximum_retry_count })
            .unwrap_or_default(),
    };
    let request = &request;
    app.talk(async |client| {
        each(flags.args(), |name| async move {
            let answer = client.update_container(name, request).await?;
            for warning in answer.warnings.iter().flatten() {
                printer::note(&format!("WARNING: {warning}"));
            }
            Ok(name.to_owned())
        })
        .await
    })
}
