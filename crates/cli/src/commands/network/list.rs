//! Acts: `network ls`.

use crate::commands::system::prune::filters;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::template::{self, LABELS, Row};
use crate::render::{natural, units};
use naru_api_types::network::Network;
use naru_errdefs::Fault;

pub(super) const TABLE: &str = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
pub(super) const HEADERS: &[(&str, &str)] = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

pub(super) fn list(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let filters = filters(flags)?;
    let mut networks = app.talk(async |client| Ok(client.list_networks(&filters).await?))?;
    networks.sort_by(|a, b| natural::compare(&a.name, &b.name));
    let whole = flags.switch("no-trunc");
    let custom = flags.text("format");
    let text = if flags.switch("quiet") && custom.is_none() {
        networks.iter().map(|network| shown_id(network, whole) + "\n").collect()
    } else {
        let format = template::parse_format(custom, TABLE);
        let rows: Vec<Row> = networks.iter().map(|network| row(network, whole)).collect();
        template::render_list(&format, HEADERS, &rows)
            .map_err(|error| Fault::invalid(error.message))?
    };
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}

fn shown_id(network: &Network, whole: bool) -> String {
    if whole { network.id.clone() } else { units::short_id(&network.id) }
}

/// Pure: a network as a line of a list.
pub(super) fn row(network: &Network, whole: bool) -> Row {
    let labels: Vec<String> =
        network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels_map: serde_json::Map<String, serde_json::Value> =
        network.labels.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    let cells = [
        ("ID", shown_id(network, whole)),
        ("Name", network.name.clone()),
        ("Driver", network.driver.clone()),
        ("Scope", network.scope.clone()),
        ("IPv4", network.enable_ipv4.to_string()),
        ("IPv6", network.enable_ipv6.to_string()),
        ("Internal", network.internal.to_string()),
        ("Labels", labels.join(",")),
        ("CreatedAt", units::go_moment(&network.created)),
    ];
    let mut row: Row =
        cells.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    row.insert(LABELS.to_owned(), serde_json::Value::Object(labels_map));
    row
}
