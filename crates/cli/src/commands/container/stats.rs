//! Acts: `stats`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::template::{self, Format, Row};
use crate::render::units;
use naru_api_types::container::{CpuStats, Stats};
use naru_api_types::{Query, Route};
use naru_client::Client;
use naru_errdefs::Fault;
use std::time::Duration;

const TABLE: &str = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";
const HEADERS: &[(&str, &str)] = &[
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];
/// How often the live table is drawn.
const EVERY: Duration = Duration::from_millis(1000);

pub(super) fn stats(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let format = template::parse_format(flags.text("format"), TABLE);
    let whole = flags.switch("no-trunc");
    let live = !flags.switch("no-stream");
    app.talk(async |client| {
        let mut before = std::collections::BTreeMap::<String, CpuStats>::new();
        loop {
            let names = names(client, flags).await?;
            let mut rows = Vec::new();
            for name in &names {
                match one(client, name, live).await {
                    Ok(mut stats) => {
                        // The daemon's own "before" is used where it has one.
                        if stats.precpu_stats.system_cpu_usage.is_none()
                            && let Some(earlier) = before.get(&stats.id)
                        {
                            stats.precpu_stats = earlier.clone();
                        }
                        before.insert(stats.id.clone(), stats.cpu_stats.clone());
                        rows.push(row(name, &stats, whole));
                    }
                    // A container that was listed may be gone by now; one that was named must be there.
                    Err(fault) if flags.args().is_empty() => drop(fault),
                    Err(fault) => return Err(fault.into()),
                }
            }
            let text = template::render_list(&format, HEADERS, &rows)
                .map_err(|error| Fault::invalid(error.message))?;
            if !live {
                printer::out(&text)?;
                return Ok(ExitStatus::SUCCESS);
            }
            let clear = matches!(format, Format::Table(_)) && printer::stdout_is_terminal();
            printer::out(&if clear { format!("\u{1b}[H\u{1b}[2J{text}") } else { text })?;
            tokio::time::sleep(EVERY).await;
        }
    })
}

async fn names(client: &Client, flags: &Flags) -> Result<Vec<String>, Fault> {
    if !flags.args().is_empty() {
        return Ok(flags.args().to_vec());
    }
    let query = Query::new().with_flag("all", flags.switch("all"));
    let containers = client.list_containers(&query).await?;
    Ok(containers.into_iter().map(|container| units::short_id(&container.id)).collect())
}

async fn one(client: &Client, name: &str, live: bool) -> Result<Stats, Fault> {
    let query = Query::new().with("stream", "0").with_flag("one-shot", live);
    client.get(Route::ContainerStats { name: name.to_owned() }, &query).await
}

/// Pure: what a container uses, as a line.
fn row(name: &str, stats: &Stats, whole: bool) -> Row {
    let id = if whole { stats.id.clone() } else { units::short_id(&stats.id) };
    let (usage, limit) = memory(stats);
    let percent = if limit > 0.0 { usage / limit * 100.0 } else { 0.0 };
    let sum = |pick: fn(&naru_api_types::container::NetworkStats) -> u64| {
        stats.networks.iter().flat_map(|networks| networks.values()).map(pick).sum::<u64>()
    };
    let block = |word: &str| {
        stats
            .blkio_stats
            .io_service_bytes_recursive
            .iter()
            .flatten()
            .filter(|entry| entry.op.eq_ignore_ascii_case(word))
            .map(|entry| entry.value)
            .sum::<u64>()
    };
    let human = |size: u64| units::short_size(i64::try_from(size).unwrap_or(i64::MAX));
    let cells = [
        ("Container", name.to_owned()),
        ("ID", id),
        ("Name", stats.name.trim_start_matches('/').to_owned()),
        ("CPUPerc", format!("{:.2}%", cpu_percent(stats))),
        ("MemUsage", format!("{} / {}", units::bytes_size(usage), units::bytes_size(limit))),
        ("MemPerc", format!("{percent:.2}%")),
        (
            "NetIO",
            format!("{} / {}", human(sum(|net| net.rx_bytes)), human(sum(|net| net.tx_bytes))),
        ),
        ("BlockIO", format!("{} / {}", human(block("read")), human(block("write")))),
        ("PIDs", stats.pids_stats.current.unwrap_or(0).to_string()),
    ];
    cells.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

fn float(number: u64) -> f64 {
    units::as_float(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Memory in use without the page cache that the kernel would give back, and the limit.
fn memory(stats: &Stats) -> (f64, f64) {
    let memory = &stats.memory_stats;
    let usage = memory.usage.unwrap_or(0);
    let cache = memory.stats.as_ref().and_then(|stats| {
        stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")).copied()
    });
    let usage = cache.filter(|cache| *cache < usage).map_or(usage, |cache| usage - cache);
    (float(usage), float(memory.limit.unwrap_or(0)))
}

fn cpu_percent(stats: &Stats) -> f64 {
    let (now, before) = (&stats.cpu_stats, &stats.precpu_stats);
    let used = float(now.cpu_usage.total_usage) - float(before.cpu_usage.total_usage);
    let system =
        float(now.system_cpu_usage.unwrap_or(0)) - float(before.system_cpu_usage.unwrap_or(0));
    let cpus = f64::from(now.online_cpus.unwrap_or(1).max(1));
    if system > 0.0 && used > 0.0 && before.system_cpu_usage.is_some() {
        used / system * cpus * 100.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_api_types::container::{CpuUsage, MemoryStats, PidsStats};

    #[test]
    fn a_line_of_the_table() {
        let cpu = |total: u64, system: u64| CpuStats {
            cpu_usage: CpuUsage { total_usage: total, ..CpuUsage::default() },
            system_cpu_usage: Some(system),
            online_cpus: Some(2),
            ..CpuStats::default()
        };
        let stats = Stats {
            id: "0123456789abcdef".to_owned(),
            name: "/web".to_owned(),
            cpu_stats: cpu(150, 2000),
            precpu_stats: cpu(100, 1000),
            memory_stats: MemoryStats {
                usage: Some(3 << 20),
                limit: Some(8 << 20),
                stats: Some([("total_inactive_file".to_owned(), 1_u64 << 20)].into()),
                ..MemoryStats::default()
            },
            pids_stats: PidsStats { current: Some(3), limit: None },
            ..Stats::default()
        };
        let format = template::parse_format(None, TABLE);
        assert_eq!(
            template::render_list(&format, HEADERS, &[row("web", &stats, false)]).unwrap(),
            "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O   BLOCK I/O   PIDS\n\
             0123456789ab   web       10.00%    2MiB / 8MiB         25.00%    0B / 0B   0B / 0B     3\n"
        );
    }
}
