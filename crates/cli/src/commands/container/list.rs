//! Acts: `ps`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::template::{self, LABELS, Row};
use crate::render::units;
use naru_api_types::container::ContainerSummary;
use naru_api_types::{Filters, Query};
use naru_errdefs::Fault;
use time::OffsetDateTime;

const TABLE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const HEADERS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("State", "STATE"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("Networks", "NETWORKS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Platform", "PLATFORM"),
];

pub(super) fn list(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let mut filters = Filters::new();
    for (key, value) in flags.parsed_list("filter", crate::opts::filter::parse)? {
        filters.add(key, value);
    }
    let last = if flags.switch("latest") { Some(1) } else { flags.number("last")? };
    let last = last.filter(|last| *last > 0);
    let custom = flags.text("format");
    let size = flags.switch("size") || custom.is_some_and(|format| format.contains(".Size"));
    let query = Query::new()
        .with_flag("all", flags.switch("all"))
        .with_some("limit", last.map(|last| last.to_string()))
        .with_flag("size", size)
        .with_filters(&filters);
    let containers = app.talk(async |client| Ok(client.list_containers(&query).await?))?;
    let whole = flags.switch("no-trunc");
    let text = if flags.switch("quiet") && custom.is_none() {
        containers.iter().map(|container| shown_id(container, whole) + "\n").collect()
    } else {
        let table =
            if flags.switch("size") { format!("{TABLE}\t{{{{.Size}}}}") } else { TABLE.to_owned() };
        let format = template::parse_format(custom, &table);
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let rows: Vec<Row> =
            containers.iter().map(|container| row(container, now, whole)).collect();
        template::render_list(&format, HEADERS, &rows)
            .map_err(|error| Fault::invalid(error.message))?
    };
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}

fn shown_id(container: &ContainerSummary, whole: bool) -> String {
    if whole { container.id.clone() } else { units::short_id(&container.id) }
}

/// Pure: a container as a line of a list.
fn row(container: &ContainerSummary, now: i64, whole: bool) -> Row {
    let cut = |text: &str, length: usize| {
        if whole { text.to_owned() } else { units::ellipsis(text, length) }
    };
    let names: Vec<&str> = container
        .names
        .iter()
        .map(|name| name.trim_start_matches('/'))
        .filter(|name| whole || !name.contains('/'))
        .collect();
    let image = match container.image.strip_prefix("sha256:") {
        Some(id) if !whole => units::truncate(id, 12),
        _ => container.image.clone(),
    };
    let labels: Vec<String> =
        container.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mounts: Vec<String> = container
        .mounts
        .iter()
        .map(|mount| cut(if mount.name.is_empty() { &mount.source } else { &mount.name }, 15))
        .collect();
    let volumes = container.mounts.iter().filter(|mount| mount.driver == "local").count();
    let networks: Vec<&str> =
        container.network_settings.networks.keys().map(String::as_str).collect();
    let size = units::short_size(container.size_rw.unwrap_or(0));
    let size = match container.size_root_fs.filter(|size| *size > 0) {
        Some(all) => format!("{size} (virtual {})", units::short_size(all)),
        None => size,
    };
    let labels_map: serde_json::Map<String, serde_json::Value> =
        container.labels.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    let mut row = Row::new();
    let mut put = |key: &str, value: serde_json::Value| {
        row.insert(key.to_owned(), value);
    };
    put("ID", shown_id(container, whole).into());
    put("Image", image.into());
    put("Command", format!("\"{}\"", cut(&container.command, 20)).into());
    put("CreatedAt", units::go_time(container.created).into());
    put("RunningFor", units::ago(Some(container.created), now).into());
    put("Status", container.status.clone().into());
    put("State", container.state.clone().into());
    put("Ports", super::ports::column(&container.ports).into());
    put("Names", names.join(",").into());
    put("Size", size.into());
    put("Labels", labels.join(",").into());
    put("Mounts", mounts.join(",").into());
    put("Networks", networks.join(",").into());
    put("LocalVolumes", volumes.to_string().into());
    put(LABELS, serde_json::Value::Object(labels_map));
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_api_types::container::Port;

    fn container() -> ContainerSummary {
        ContainerSummary {
            id: "0123456789abcdef".to_owned(),
            names: vec!["/web".to_owned()],
            image: "nginx".to_owned(),
            command: "nginx -g 'daemon off;' and more".to_owned(),
            created: 1_700_000_000,
            status: "Up 2 hours".to_owned(),
            state: "running".to_owned(),
            labels: [("a".to_owned(), "1".to_owned())].into(),
            ports: vec![
                Port {
                    ip: "0.0.0.0".to_owned(),
                    private_port: 80,
                    public_port: Some(8080),
                    r#type: "tcp".to_owned(),
                },
                Port { private_port: 53, r#type: "udp".to_owned(), ..Port::default() },
            ],
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn the_table_is_docker_s() {
        let rows = [row(&container(), 1_700_007_200, false)];
        let format = template::parse_format(None, TABLE);
        assert_eq!(
            template::render_list(&format, HEADERS, &rows).unwrap(),
            "CONTAINER ID   IMAGE     COMMAND                  CREATED       STATUS       PORTS                          NAMES\n\
             0123456789ab   nginx     \"nginx -g 'daemon of…\"   2 hours ago   Up 2 hours   53/udp, 0.0.0.0:8080->80/tcp   web\n"
        );
        let empty = template::render_list(&format, HEADERS, &[]).unwrap();
        assert_eq!(
            empty,
            "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
        );
    }

    #[test]
    fn fields_for_scripts() {
        let rows = [row(&container(), 1_700_007_200, true)];
        for (format, expected) in [
            ("{{.ID}}", "0123456789abcdef\n"),
            ("{{.Names}} {{.State}}", "web running\n"),
            ("{{.CreatedAt}}", "2023-11-14 22:13:20 +0000 UTC\n"),
            ("{{.Label \"a\"}}{{.Label \"b\"}}", "1\n"),
            ("{{.Labels}}", "a=1\n"),
        ] {
            let format = template::parse_format(Some(format), TABLE);
            assert_eq!(template::render_list(&format, HEADERS, &rows).unwrap(), expected);
        }
    }
}
