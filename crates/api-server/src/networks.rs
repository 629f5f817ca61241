//! Pure: the networks that exist without being made: none, the host's, and the default one by name.

use crate::refuse;
use crate::reply::{self, Reply};
use naru_api_types::network::{ConfigFrom, Ipam, Network};
use naru_api_types::{Filters, Map, Query};
use naru_engine::Timestamp;
use naru_errdefs::Fault;

const NETWORKS: [(&str, &str); 3] = [("bridge", "bridge"), ("host", "host"), ("none", "null")];

/// The network that a mode means.
pub(crate) fn of_mode(mode: &str) -> &'static str {
    match mode {
        "none" => "none",
        "host" => "host",
        _ => "bridge",
    }
}

/// The ID of a network: its name, spelled in hexadecimal and padded, so that it is the same everywhere.
pub(crate) fn id(name: &str) -> String {
    let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex:0<64}")
}

/// The networks that the filters let through.
pub(crate) fn list(query: &Query) -> Result<Reply, Fault> {
    let filters = query.filters()?;
    filters.only(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
    let networks: Vec<Network> =
        all().into_iter().filter(|network| admits(&filters, network)).collect();
    Ok(reply::ok(&networks))
}

/// One network, by name, ID or a prefix of its ID.
pub(crate) fn inspect(name: &str) -> Result<Reply, Fault> {
    let found = all()
        .into_iter()
        .find(|network| network.name == name || (!name.is_empty() && network.id.starts_with(name)));
    match found {
        Some(network) => Ok(reply::ok(&network)),
        None => Err(Fault::not_found(format!("network {name} not found"))),
    }
}

/// The refusal of everything that makes or changes a network.
pub(crate) fn refused(what: &str) -> Fault {
    refuse::call(what, "use `--network none`, `--network host` or `--network container:NAME`")
}

fn all() -> Vec<Network> {
    let network = |(name, driver): (&str, &str)| Network {
        name: name.to_owned(),
        id: id(name),
        created: Timestamp::NEVER.to_owned(),
        scope: "local".to_owned(),
        driver: driver.to_owned(),
        enable_ipv4: true,
        enable_ipv6: false,
        ipam: Ipam { driver: "default".to_owned(), options: None, config: Vec::new() },
        internal: name == "bridge",
        attachable: false,
        ingress: false,
        config_from: ConfigFrom::default(),
        config_only: false,
        containers: Map::new(),
        options: Map::new(),
        labels: Map::new(),
    };
    NETWORKS.into_iter().map(network).collect()
}

fn admits(filters: &Filters, network: &Network) -> bool {
    let part = |key: &str, text: &str| {
        !filters.has(key) || filters.get(key).any(|wanted| text.contains(wanted))
    };
    part("name", &network.name)
        && part("id", &network.id)
        && filters.admits("driver", &network.driver)
        && filters.admits("scope", &network.scope)
        && filters.admits("type", "builtin")
        && !filters.has("label")
        && !filters.flag("dangling").is_ok_and(|dangling| dangling == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_found_by_name_and_id() {
        for name in ["none", "host", "bridge", "6e6f6e65"] {
            assert!(inspect(name).is_ok(), "{name}");
        }
        assert_eq!(inspect("lan").unwrap_err().message(), "network lan not found");
        assert_eq!(id("none").len(), 64);
    }
}
