//! Pure: networks and places as `inspect` and `list` show them.

use super::book::{Book, Network, dns_names, is_predefined};
use super::record::{Driver, Endpoint};
use super::{Networks, Wish};
use crate::containers::label_matches;
use crate::model::{EndpointView, MemberView, NetworkFilter, NetworkView, PublishedPort};
use crate::record::Record;
use std::collections::BTreeMap;

/// A network as it is shown.
pub(super) fn network(book: &Book, network: &Network) -> NetworkView {
    let record = &network.record;
    let address = |text: Option<String>| text.unwrap_or_default();
    let containers = book
        .members(&record.id)
        .map(|(id, running, endpoint)| {
            let member = MemberView {
                name: running.places.name.clone(),
                endpoint_id: endpoint.id.clone(),
                mac: endpoint.mac.clone(),
                ipv4: address(endpoint.ipv4.map(|(ip, length)| format!("{ip}/{length}"))),
                ipv6: address(endpoint.ipv6.map(|(ip, length)| format!("{ip}/{length}"))),
            };
            (id.clone(), member)
        })
        .collect();
    NetworkView {
        id: record.id.clone(),
        name: record.name.clone(),
        created: record.created,
        driver: record.driver.as_str().to_owned(),
        ipv4: record.ipv4,
        ipv6: record.ipv6,
        ipam: record.pools.clone(),
        ipam_options: record.ipam_options.clone(),
        internal: record.internal,
        attachable: record.attachable,
        options: record.options.clone(),
        labels: record.labels.clone(),
        containers,
    }
}

/// Whether a filter lets a network through.
pub(super) fn admits(book: &Book, network: &Network, filter: &NetworkFilter) -> bool {
    fn any(wanted: &[String], matches: impl Fn(&String) -> bool) -> bool {
        wanted.is_empty() || wanted.iter().any(matches)
    }
    let record = &network.record;
    let builtin = is_predefined(&record.name);
    any(&filter.name, |name| record.name.contains(name.as_str()))
        && any(&filter.id, |id| record.id.starts_with(id.as_str()))
        && any(&filter.driver, |driver| record.driver.as_str() == driver)
        && any(&filter.scope, |scope| scope == "local")
        && filter.label.iter().all(|label| label_matches(label, &record.labels))
        && !filter.label_not.iter().any(|label| label_matches(label, &record.labels))
        && filter.builtin.is_none_or(|wanted| wanted == builtin)
        && filter
            .dangling
            .is_none_or(|wanted| wanted == (!builtin && book.members(&record.id).next().is_none()))
        && filter.until.is_none_or(|until| record.created < until)
}

impl Networks {
    /// The places of a container, by the networks' names, and its published ports.
    pub(crate) fn of_container(
        &self,
        record: &Record,
    ) -> (BTreeMap<String, EndpointView>, Vec<PublishedPort>) {
        let book = self.inner.book();
        let running = book.running.get(&record.id);
        let mut views = BTreeMap::new();
        for Wish { network: name, request } in Networks::wishes(record) {
            let network = book.find(&name).ok();
            let id = network.map(|network| network.record.id.clone()).unwrap_or_default();
            let place = running.and_then(|running| {
                running.places.endpoints.iter().find(|endpoint| endpoint.network == id)
            });
            let named = network.is_some_and(Network::has_names)
                && network.is_some_and(|network| network.record.driver != Driver::Null);
            let dns_names = if named {
                dns_names(&record.name, &record.id, &record.config.hostname, &request.aliases)
            } else {
                Vec::new()
            };
            let none = Endpoint::default();
            let place = place.unwrap_or(&none);
            let mac = if place.mac.is_empty() { &request.mac } else { &place.mac };
            let mac = mac.clone();
            views.insert(
                name,
                EndpointView {
                    network_id: id,
                    request,
                    endpoint_id: place.id.clone(),
                    ipv4: place.ipv4,
                    ipv6: place.ipv6,
                    gateway4: place.gateway4,
                    gateway6: place.gateway6,
                    mac,
                    dns_names,
                },
            );
        }
        let published = running.map(|running| running.places.published.clone()).unwrap_or_default();
        (views, published)
    }
}
