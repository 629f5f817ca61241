//! Acts: `volume ls`.

use crate::commands::system::prune::filters;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::template::{self, LABELS, Row};
use naru_api_types::volume::Volume;
use naru_errdefs::Fault;

const TABLE: &str = "{{.Driver}}\t{{.Name}}";
const HEADERS: &[(&str, &str)] = &[
    ("Driver", "DRIVER"),
    ("Name", "VOLUME NAME"),
    ("Scope", "SCOPE"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("Availability", "AVAILABILITY"),
    ("Group", "GROUP"),
    ("Status", "STATUS"),
];

pub(super) fn list(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let filters = filters(flags)?;
    let answer = app.talk(async |client| Ok(client.list_volumes(&filters).await?))?;
    for warning in answer.warnings.iter().flatten() {
        printer::note(&format!("WARNING: {warning}"));
    }
    let mut volumes = answer.volumes;
    volumes.sort_by(|one, other| one.name.cmp(&other.name));
    let custom = flags.text("format");
    let text = if flags.switch("quiet") && custom.is_none() {
        volumes.iter().map(|volume| format!("{}\n", volume.name)).collect()
    } else {
        let format = template::parse_format(custom, TABLE);
        let rows: Vec<Row> = volumes.iter().map(row).collect();
        template::render_list(&format, HEADERS, &rows)
            .map_err(|error| Fault::invalid(error.message))?
    };
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}

/// Pure: a line's fields.
fn row(volume: &Volume) -> Row {
    let labels = volume.labels.clone().unwrap_or_default();
    let joined: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let cells = [
        ("Availability", "N/A".to_owned()),
        ("Driver", volume.driver.clone()),
        ("Group", "N/A".to_owned()),
        ("Labels", joined.join(",")),
        ("Links", "N/A".to_owned()),
        ("Mountpoint", volume.mountpoint.clone()),
        ("Name", volume.name.clone()),
        ("Scope", volume.scope.clone()),
        ("Size", "N/A".to_owned()),
        ("Status", "N/A".to_owned()),
    ];
    let mut row: Row =
        cells.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let labels = labels.into_iter().map(|(key, value)| (key, value.into())).collect();
    row.insert(LABELS.to_owned(), serde_json::Value::Object(labels));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_in_a_table() {
        let volume = Volume {
            name: "data".to_owned(),
            driver: "local".to_owned(),
            scope: "local".to_owned(),
            labels: Some([("a".to_owned(), "b".to_owned())].into()),
            ..Volume::default()
        };
        let show = |format: Option<&str>| {
            let format = template::parse_format(format, TABLE);
            template::render_list(&format, HEADERS, &[row(&volume)]).unwrap()
        };
        assert_eq!(show(None), "DRIVER    VOLUME NAME\nlocal     data\n");
        assert_eq!(show(Some("{{.Name}} {{.Labels}} {{.Label \"a\"}}")), "data a=b b\n");
    }
}
