//! Acts: what names mean to containers, looked up for the resolver. Short looks at tables, nothing else.

use super::Inner;
use super::record::Endpoint;
use naru_network::dns::{Addresses, Lookup, Names, Upstreams};
use std::net::IpAddr;
use std::sync::{Arc, Weak};

/// The resolver's view of the networks.
pub(super) struct View(pub(super) Weak<Inner>);

impl Names for View {
    fn lookup(&self, asker: &str, name: &str) -> Lookup {
        let Some(inner) = self.0.upgrade() else { return Lookup::NotOurs };
        let book = inner.book();
        let Some(running) = book.running.get(asker) else { return Lookup::NotOurs };
        let mut found = false;
        let mut addresses = Addresses::default();
        let mut add = |endpoint: &Endpoint| {
            found = true;
            addresses.v4.extend(endpoint.ipv4.map(|(address, _)| address));
            addresses.v6.extend(endpoint.ipv6.map(|(address, _)| address));
        };
        for place in &running.places.endpoints {
            let Some(network) = book.networks.get(&place.network) else { continue };
            // `name.network` is the name in that network only.
            let suffix = format!(".{}", network.record.name.to_ascii_lowercase());
            let bare = name.strip_suffix(&suffix).unwrap_or(name);
            // Links are names that only the asker knows.
            let linked = place.request.links.iter().find_map(|link| {
                let (target, alias) = link.split_once(':').unwrap_or((link, link));
                alias.eq_ignore_ascii_case(bare).then(|| target.to_ascii_lowercase())
            });
            let wanted = linked.as_deref().unwrap_or(bare);
            for id in network.named(wanted) {
                let place_of = |id: &String| {
                    let other = book.running.get(id)?;
                    other.places.endpoints.iter().find(|other| other.network == place.network)
                };
                if let Some(endpoint) = place_of(id) {
                    add(endpoint);
                }
            }
        }
        if found { Lookup::Ours(addresses) } else { Lookup::NotOurs }
    }

    fn reverse(&self, asker: &str, address: IpAddr) -> Option<String> {
        let inner = self.0.upgrade()?;
        let book = inner.book();
        let running = book.running.get(asker)?;
        for place in &running.places.endpoints {
            let network = book.networks.get(&place.network)?;
            let found = book.members(&place.network).find(|(_, _, endpoint)| {
                endpoint.ipv4.is_some_and(|(other, _)| IpAddr::V4(other) == address)
                    || endpoint.ipv6.is_some_and(|(other, _)| IpAddr::V6(other) == address)
            });
            if let Some((_, other, _)) = found {
                return Some(format!("{}.{}", other.places.name, network.record.name));
            }
        }
        None
    }

    fn upstreams(&self, asker: &str) -> Arc<Upstreams> {
        let Some(inner) = self.0.upgrade() else { return Arc::default() };
        inner.upstreams(asker)
    }
}
