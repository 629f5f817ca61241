//! Pure: the networks there are, which running containers are in them, and who has which port, address and name.

use super::ports::Ports;
use super::ready::Ready;
use super::record::{Driver, Endpoint, NetworkRecord, Places};
use naru_errdefs::{Fault, Kind};
use naru_network::firewall::Published;
use naru_network::ipam::Pool;
use naru_network::sandbox::Sandbox;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A network of this daemon.
#[derive(Debug)]
pub(crate) struct Network {
    /// What is stored of it.
    pub(crate) record: NetworkRecord,
    /// Its addresses.
    pub(crate) pools: Vec<Pool>,
    /// The number of its bridge (or parent) while that is there.
    pub(crate) link: Option<u32>,
    /// Namespaces that only wait for a container.
    pub(crate) ready: VecDeque<Ready>,
    /// Whether somebody used it since the daemon started, so that namespaces are made ready for it.
    pub(crate) warm: bool,
    /// Whether somebody makes namespaces ready for it now.
    pub(crate) filling: bool,
    /// Whether it is being removed: nobody comes in any more.
    pub(crate) leaving: bool,
    /// Names of running containers in it, in lower case, to their IDs.
    names: BTreeMap<String, Vec<String>>,
}

/// A container that runs in networks.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its places.
    pub(crate) places: Places,
    /// Its namespace; absent when it could not be opened again.
    pub(crate) sandbox: Option<Arc<Sandbox>>,
    /// Sockets that keep other programs of the host away from its published ports.
    pub(crate) reserved: Vec<OwnedFd>,
    /// Whether the resolver listens in its namespace.
    pub(crate) served: bool,
    /// Its process, once it is known.
    pub(crate) pid: Option<u32>,
}

/// Everything that is known of networks.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// By ID.
    pub(crate) networks: BTreeMap<String, Network>,
    /// By the container's ID.
    pub(crate) running: BTreeMap<String, Running>,
    /// Ports of the host.
    pub(crate) ports: Ports,
    /// What is being published for containers that are not running yet.
    pub(crate) publishing: BTreeMap<String, Vec<Published>>,
}

impl Network {
    /// A network that is not there yet.
    pub(crate) fn new(record: NetworkRecord, pools: Vec<Pool>) -> Network {
        Network {
            record,
            pools,
            link: None,
            ready: VecDeque::new(),
            warm: false,
            filling: false,
            leaving: false,
            names: BTreeMap::new(),
        }
    }

    /// The pool that an address would be of.
    pub(crate) fn pool(&mut self, ipv4: bool) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|pool| pool.subnet().addr().is_ipv4() == ipv4)
    }

    /// Gives addresses back.
    pub(crate) fn release(&mut self, endpoint: &Endpoint) {
        for address in endpoint.addresses() {
            if let Some(pool) = self.pool(address.is_ipv4()) {
                pool.release(address);
            }
        }
    }

    /// The containers that have this name here.
    pub(crate) fn named(&self, name: &str) -> &[String] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether names are answered for here: not on the default network, as in docker.
    pub(crate) fn has_names(&self) -> bool {
        !is_predefined(&self.record.name)
    }
}

fn missing(network: &str) -> Fault {
    Fault::not_found(format!("network {network} not found"))
        .with_hint("`network ls` lists the networks there are")
}

/// Which of these places, each a network and a priority, the default routes of IPv4 and of IPv6 lead through: of those with
/// a way out the one with the highest priority, and of several the first by the network's name. As docker chooses.
pub(crate) fn exits<'a>(
    places: impl Iterator<Item = (&'a NetworkRecord, i64)> + Clone,
) -> [Option<usize>; 2] {
    [true, false].map(|four| {
        let leads_out = |record: &NetworkRecord| {
            let has_family = if four { record.ipv4 } else { record.ipv6 };
            has_family && !record.internal && !matches!(record.driver, Driver::Host | Driver::Null)
        };
        let open = places.clone().enumerate().filter(|(_, (record, _))| leads_out(record));
        open.min_by_key(|(_, (record, priority))| (Reverse(*priority), record.name.as_str()))
            .map(|(place, _)| place)
    })
}

/// Whether a network comes with the daemon.
pub(crate) fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none")
}

/// The names by which a container is found in a network, as `inspect` shows them.
pub(crate) fn dns_names(
    container: &str,
    id: &str,
    hostname: &str,
    aliases: &[String],
) -> Vec<String> {
    let mut names = vec![container.to_owned()];
    let short = crate::record::short(id);
    for name in aliases.iter().map(String::as_str).chain([short, hostname]) {
        if !name.is_empty() && !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    names
}

impl Book {
    /// A network by name, ID, or a prefix of its ID that no other has.
    pub(crate) fn find(&self, text: &str) -> Result<&Network, Fault> {
        let text = if matches!(text, "" | "default") { "bridge" } else { text };
        let by_name = self.networks.values().find(|network| network.record.name == text);
        if let Some(network) = by_name.or_else(|| self.networks.get(text)) {
            return Ok(network);
        }
        let mut matches =
            self.networks.values().filter(|network| network.record.id.starts_with(text));
        let first = matches.next().ok_or_else(|| missing(text))?;
        if matches.next().is_some() {
            return Err(Fault::new(
                Kind::InvalidInput,
                format!(
                    "network {text} is ambiguous ({} matches found on ID prefix)",
                    2 + matches.count()
                ),
            ));
        }
        Ok(first)
    }

    /// Adds a container that is about to run: its names can be found from here on. Its ports are taken already.
    pub(crate) fn add(&mut self, id: &str, running: Running) {
        for endpoint in &running.places.endpoints {
            self.add_names(id, &running.places, endpoint);
        }
        self.publishing.remove(id);
        self.running.insert(id.to_owned(), running);
    }

    /// Whether the networks of these places are there to stay. Asked under the guard under which the container is added:
    /// whoever removes a network looks for its members under one too.
    pub(crate) fn stays<'a>(
        &self,
        mut endpoints: impl Iterator<Item = &'a Endpoint>,
    ) -> Result<(), Fault> {
        let gone = endpoints.find(|endpoint| {
            self.networks.get(&endpoint.network).is_none_or(|network| network.leaving)
        });
        gone.map_or(Ok(()), |endpoint| Err(missing(&endpoint.network)))
    }

    /// Lets the container be found by its names in one network.
    pub(crate) fn add_names(&mut self, id: &str, places: &Places, endpoint: &Endpoint) {
        let Some(network) = self.networks.get_mut(&endpoint.network) else { return };
        if !network.has_names() {
            return;
        }
        for name in dns_names(&places.name, id, &places.hostname, &endpoint.request.aliases) {
            let owners = network.names.entry(name.to_ascii_lowercase()).or_default();
            if !owners.iter().any(|owner| owner == id) {
                owners.push(id.to_owned());
            }
        }
    }

    /// The container is no longer found by any name in one network.
    pub(crate) fn remove_names(&mut self, id: &str, network: &str) {
        let Some(network) = self.networks.get_mut(network) else { return };
        network.names.retain(|_, owners| {
            owners.retain(|owner| owner != id);
            !owners.is_empty()
        });
    }

    /// Takes a container out: its names and addresses are free. Its ports are when nothing leads from them any more.
    pub(crate) fn take(&mut self, id: &str) -> Option<Running> {
        let running = self.running.remove(id)?;
        for endpoint in &running.places.endpoints {
            self.remove_names(id, &endpoint.network);
            if let Some(network) = self.networks.get_mut(&endpoint.network) {
                network.release(endpoint);
            }
        }
        Some(running)
    }

    /// The running containers in a network, with their places.
    pub(crate) fn members<'a>(
        &'a self,
        network: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Running, &'a Endpoint)> {
        self.running.iter().filter_map(move |(id, running)| {
            let endpoint =
                running.places.endpoints.iter().find(|endpoint| endpoint.network == network)?;
            Some((id, running, endpoint))
        })
    }

    /// The places that the default routes of IPv4 and of IPv6 lead through.
    pub(crate) fn exits<'a>(&self, endpoints: &'a [Endpoint]) -> [Option<&'a Endpoint>; 2] {
        let known: Vec<(&'a Endpoint, &NetworkRecord)> = endpoints
            .iter()
            .filter_map(|endpoint| Some((endpoint, &self.networks.get(&endpoint.network)?.record)))
            .collect();
        let places = known.iter().map(|(endpoint, record)| (*record, endpoint.request.gw_priority));
        exits(places).map(|place| known.get(place?).map(|(endpoint, _)| *endpoint))
    }

    /// The networks on bridges.
    pub(crate) fn bridges(&self) -> impl Iterator<Item = &Network> {
        self.networks.values().filter(|network| network.record.driver == Driver::Bridge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn network(name: &str, families: &str, internal: bool) -> NetworkRecord {
        NetworkRecord {
            id: name.to_owned(),
            name: name.to_owned(),
            created: Timestamp::now(),
            driver: Driver::Bridge,
            ipv4: families.contains('4'),
            ipv6: families.contains('6'),
            pools: Vec::new(),
            internal,
            attachable: false,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
            ipam_options: BTreeMap::new(),
            bridge: String::new(),
        }
    }

    #[test]
    fn each_family_has_its_own_way_out() {
        type Place<'a> = (&'a str, &'a str, bool, i64);
        let check = |places: &[Place<'_>], want: [Option<usize>; 2]| {
            let records: Vec<(NetworkRecord, i64)> = places
                .iter()
                .map(|(name, families, internal, priority)| {
                    (network(name, families, *internal), *priority)
                })
                .collect();
            let list = records.iter().map(|(record, priority)| (record, *priority));
            assert_eq!(exits(list), want, "{places:?}");
        };
        check(&[], [None, None]);
        check(&[("b", "4", false, 0), ("a", "4", false, 0)], [Some(1), None]);
        check(&[("b", "4", false, 1), ("a", "4", false, 0)], [Some(0), None]);
        // One without a way out gives none, whatever its priority.
        check(&[("a", "46", true, 9), ("b", "4", false, 0)], [Some(1), None]);
        check(&[("a", "4", false, 0), ("b", "46", false, 0)], [Some(0), Some(1)]);
        check(&[("a", "6", false, 0), ("b", "4", false, 5)], [Some(1), Some(0)]);
    }

    #[test]
    fn nobody_comes_into_a_network_that_is_being_removed() {
        let mut book = Book::default();
        book.networks.insert("a".into(), Network::new(network("a", "4", false), Vec::new()));
        let endpoints = [Endpoint { network: "a".into(), ..Endpoint::default() }];
        assert!(book.stays(endpoints.iter()).is_ok());
        book.networks.get_mut("a").unwrap().leaving = true;
        let fault = book.stays(endpoints.iter()).unwrap_err();
        assert_eq!((fault.kind(), fault.message()), (Kind::NotFound, "network a not found"));
        book.networks.clear();
        assert!(book.stays(endpoints.iter()).is_err());
    }
}
