//! Pure: the networks there are, which running containers are in them, and who has which port, address and name.

use super::ports::Ports;
use super::ready::Ready;
use super::record::{Driver, Endpoint, NetworkRecord, Places};
use naru_errdefs::{Fault, Kind};
use naru_network::firewall::Published;
use naru_network::ipam::Pool;
use naru_network::sandbox::Sandbox;
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
        let missing = || {
            Fault::not_found(format!("network {text} not found"))
                .with_hint("`network ls` lists the networks there are")
        };
        let mut matches =
            self.networks.values().filter(|network| network.record.id.starts_with(text));
        let first = matches.next().ok_or_else(missing)?;
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

    /// Takes a container out: names, addresses and ports are free.
    pub(crate) fn take(&mut self, id: &str) -> Option<Running> {
        let running = self.running.remove(id)?;
        for endpoint in &running.places.endpoints {
            self.remove_names(id, &endpoint.network);
            if let Some(network) = self.networks.get_mut(&endpoint.network) {
                network.release(endpoint);
            }
        }
        self.ports.free(&running.places.published, id);
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

    /// The networks on bridges.
    pub(crate) fn bridges(&self) -> impl Iterator<Item = &Network> {
        self.networks.values().filter(|network| network.record.driver == Driver::Bridge)
    }
}
