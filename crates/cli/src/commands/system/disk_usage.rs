//! Acts: `system df`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::template::{self, Row};
use crate::render::{table, units};
use naru_api_types::system::DiskUsageResponse;
use naru_api_types::volume::Volume;
use naru_errdefs::Fault;
use time::OffsetDateTime;

const TABLE: &str = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const HEADERS: &[(&str, &str)] = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];

pub(super) fn disk_usage(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let usage = app.talk(async |client| Ok(client.disk_usage().await?))?;
    let text = if flags.switch("verbose") {
        verbose(&usage, OffsetDateTime::now_utc().unix_timestamp())
    } else {
        let format = template::parse_format(flags.text("format"), TABLE);
        template::render_list(&format, HEADERS, &rows(&usage))
            .map_err(|error| Fault::invalid(error.message))?
    };
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}

/// Pure: a line each for images, containers, volumes and build cache.
fn rows(usage: &DiskUsageResponse) -> Vec<Row> {
    let images = usage.images.as_deref().unwrap_or_default();
    let containers = usage.containers.as_deref().unwrap_or_default();
    let used = images.iter().filter(|image| image.containers > 0);
    let used_size: i64 =
        used.clone().map(|image| image.size - image.shared_size.max(0)).sum::<i64>();
    let is_active = |state: &str| ["running", "paused", "restarting"].contains(&state);
    let written = |active: Option<bool>| -> i64 {
        containers
            .iter()
            .filter(|container| active.is_none_or(|active| is_active(&container.state) == active))
            .filter_map(|container| container.size_rw)
            .sum()
    };
    let row = |name: &str, total: usize, active: usize, size: i64, free: i64| {
        let free = free.clamp(0, size.max(0));
        let percent = if size > 0 { format!(" ({}%)", free * 100 / size) } else { String::new() };
        let cells = [
            ("Type", name.to_owned()),
            ("TotalCount", total.to_string()),
            ("Active", active.to_string()),
            ("Size", units::human_size(size)),
            ("Reclaimable", format!("{}{percent}", units::human_size(free))),
        ];
        cells.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
    };
    let active = containers.iter().filter(|container| is_active(&container.state)).count();
    let volumes = usage.volumes.as_deref().unwrap_or_default();
    let is_used = |volume: &Volume| volume.usage_data.as_ref().is_some_and(|u| u.ref_count > 0);
    let in_use = volumes.iter().filter(|volume| is_used(volume)).count();
    let room = |used: Option<bool>| -> i64 {
        volumes
            .iter()
            .filter(|volume| used.is_none_or(|used| is_used(volume) == used))
            .filter_map(|volume| volume.usage_data.as_ref().map(|usage| usage.size.max(0)))
            .sum()
    };
    vec![
        row("Images", images.len(), used.count(), usage.layers_size, usage.layers_size - used_size),
        row("Containers", containers.len(), active, written(None), written(Some(false))),
        row("Local Volumes", volumes.len(), in_use, room(None), room(Some(false))),
        row("Build Cache", usage.build_cache.as_ref().map_or(0, Vec::len), 0, 0, 0),
    ]
}

/// Pure: one line a thing.
fn verbose(usage: &DiskUsageResponse, now: i64) -> String {
    let mut images =
        "REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n"
            .to_owned();
    for image in usage.images.iter().flatten() {
        let name = image.repo_tags.first().map_or("<none>:<none>", String::as_str);
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "<none>"));
        let shared = image.shared_size.max(0);
        images.push_str(&format!(
            "{repository}\t{tag}\t{}\t{}\t{}\t{}\t{}\t{}\n",
            units::short_id(&image.id),
            units::ago(Some(image.created).filter(|at| *at > 0), now),
            units::short_size(image.size),
            units::short_size(shared),
            units::short_size(image.size - shared),
            image.containers.max(0)
        ));
    }
    let mut containers =
        "CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n".to_owned();
    for container in usage.containers.iter().flatten() {
        let names: Vec<&str> =
            container.names.iter().map(|name| name.trim_start_matches('/')).collect();
        containers.push_str(&format!(
            "{}\t{}\t\"{}\"\t{}\t{}\t{}\t{}\t{}\n",
            units::short_id(&container.id),
            container.image,
            units::ellipsis(&container.command, 20),
            container.mounts.iter().filter(|mount| mount.r#type == "volume").count(),
            units::short_size(container.size_rw.unwrap_or(0)),
            units::ago(Some(container.created), now),
            container.status,
            names.join(",")
        ));
    }
    let mut volumes = "VOLUME NAME\tLINKS\tSIZE\n".to_owned();
    for volume in usage.volumes.iter().flatten() {
        let (links, size) =
            volume.usage_data.as_ref().map_or((0, -1), |usage| (usage.ref_count, usage.size));
        let size = if size < 0 { "N/A".to_owned() } else { units::short_size(size) };
        volumes.push_str(&format!("{}\t{links}\t{size}\n", volume.name));
    }
    format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}",
        table::layout(&images),
        table::layout(&containers),
        table::layout(&volumes)
    )
}
