//! Acts: removes what the last daemon left half-made or half-removed when it was killed, and completes what running
//! containers lack.
//!
//! What is ours is known by its mark, which other daemons of the host do not use, or by the bridge that it is a port of.

use super::record::{Driver, Endpoint};
use super::request::PARENT;
use super::{Inner, Networks, report};
use crate::record::Record;
use naru_errdefs::Fault;
use naru_network::firewall::{Firewall, FirewallOptions};
use naru_network::link::Link;
use std::collections::{BTreeMap, BTreeSet};

impl Inner {
    /// Removes the table of rules: there is no network that needs it.
    pub(super) fn sweep_rules(&self) {
        let removed = Firewall::open(&self.options.table, FirewallOptions::default()).and_then(
            |mut firewall| {
                if !firewall.is_there()? {
                    return Ok(false);
                }
                firewall.remove().map(|()| true)
            },
        );
        match removed {
            Ok(true) => tracing::info!("removed the nftables table of a daemon that was killed"),
            Ok(false) => {}
            // Nobody needs it now; who does is told why it cannot be had.
            Err(error) => tracing::debug!("cannot look for an nftables table: {error}"),
        }
    }

    /// Removes interfaces of ours that nothing recorded needs, and puts back those that somebody took from containers.
    pub(super) fn sweep_links(&self) -> Result<(), Fault> {
        let links = self.links()?;
        let list = links.list()?;
        for link in list.iter().filter(|link| self.is_left_over(link)) {
            tracing::info!(interface = link.name, "removing what a killed daemon has left");
            if let Err(error) = links.remove(&link.name) {
                report("cannot remove an interface", &error.into());
            }
        }
        let there: BTreeMap<&str, &Link> =
            list.iter().map(|link| (link.name.as_str(), link)).collect();
        let missing: Vec<(String, String)> = {
            let book = self.book();
            let is_well = |endpoint: &Endpoint| {
                let link = there.get(endpoint.host_interface.as_str());
                let bridge = book.networks.get(&endpoint.network).and_then(|network| network.link);
                link.is_some_and(|link| link.up && link.master == bridge)
            };
            let places = book.running.iter().flat_map(|(id, running)| {
                running.places.endpoints.iter().map(move |endpoint| (id, endpoint))
            });
            places
                .filter(|(_, endpoint)| !endpoint.host_interface.is_empty() && !is_well(endpoint))
                .map(|(id, endpoint)| (id.clone(), endpoint.network.clone()))
                .collect()
        };
        for (container, network) in missing {
            self.mend_place(&container, &network);
        }
        Ok(())
    }

    fn is_left_over(&self, link: &Link) -> bool {
        let book = self.book();
        if self.is_marked(link) {
            return !book.networks.values().any(|network| {
                let record = &network.record;
                match record.driver {
                    // The default network without a subnet has no bridge yet.
                    Driver::Bridge => record.bridge == link.name && !record.pools.is_empty(),
                    Driver::Macvlan | Driver::Ipvlan => match record.options.get(PARENT) {
                        Some(parent) => *parent == link.name,
                        // The other end of its parent has a name that the kernel chose.
                        None if link.name.starts_with("dm-") => {
                            link.name == format!("dm-{}", crate::record::short(&record.id))
                        }
                        None => link.kind == "veth",
                    },
                    Driver::Host | Driver::Null => false,
                }
            });
        }
        let digits = link.name.strip_prefix("veth").unwrap_or_default();
        let named = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let ours = link.master.is_some()
            && book.networks.values().any(|network| network.link == link.master);
        let known = || {
            book.running.values().any(|running| {
                running.places.endpoints.iter().any(|place| place.host_interface == link.name)
            })
        };
        named && ours && !known()
    }

    /// Connects a running container to the networks that its record names and where it has no place: it was being
    /// disconnected when the daemon was killed, and nobody was told that it is.
    pub(super) fn complete(&self, record: &Record) {
        let there: BTreeSet<String> = {
            let book = self.book();
            let Some(running) = book.running.get(&record.id) else { return };
            let networks = running.places.endpoints.iter();
            networks
                .filter_map(|endpoint| book.networks.get(&endpoint.network))
                .map(|network| network.record.name.clone())
                .collect()
        };
        for wish in Networks::wishes(record) {
            if !there.contains(&wish.network)
                && let Err(fault) = self.connect(record, &wish)
            {
                let what = format!("container {} lacks network `{}`", record.id, wish.network);
                report(&what, &fault);
            }
        }
    }
}
