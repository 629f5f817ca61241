//! Acts: a container's way into its networks, and out.

use super::book::{Network, Running, dns_names};
use super::record::{Driver, Endpoint, Places};
use super::{Inner, Networks, ports};
use crate::model::EndpointRequest;
use crate::record::Record;
use crate::spec::modes::Network as Mode;
use naru_errdefs::{Fault, ResultExt};
use naru_network::sandbox::Sandbox;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// A network that a container is to be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The network's name.
    pub(crate) network: String,
    /// What is asked of it.
    pub(crate) request: EndpointRequest,
}

/// Where a container's network is, and what its files must say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entered {
    /// The namespace to join.
    pub(crate) path: PathBuf,
    /// Its own addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether it asks the resolver at 127.0.0.11.
    pub(crate) resolver: bool,
    /// The host, as it is reached from inside.
    pub(crate) host_gateway: Vec<IpAddr>,
    /// Addresses to names, for links on the default network.
    pub(crate) links: Vec<(IpAddr, Vec<String>)>,
}

impl Networks {
    /// The networks that a record asks for, the one of its network mode first.
    pub(crate) fn wishes(record: &Record) -> Vec<Wish> {
        let primary = match record.host.network_mode.as_str() {
            "" | "default" => "bridge",
            mode => mode,
        };
        let mut list: Vec<Wish> = record
            .networks
            .iter()
            .map(|(network, request)| Wish { network: network.clone(), request: request.clone() })
            .collect();
        list.sort_by_key(|wish| wish.network != primary);
        list
    }

    /// Gives a container its network namespace, addresses, ports and names. May block.
    pub(crate) fn enter(&self, record: &Record) -> Result<Entered, Fault> {
        self.inner.enter(record)
    }

    /// Whether [`Networks::enter`] would have to wait for the kernel, because no namespace is ready.
    pub(crate) fn must_wait(&self, record: &Record) -> bool {
        match crate::spec::modes::network(&record.host.network_mode) {
            Ok(Mode::Networks(_)) => {}
            Ok(Mode::None) => return self.inner.bare.is_empty(),
            Ok(Mode::Host | Mode::Container(_)) | Err(_) => return false,
        }
        match Networks::wishes(record).as_slice() {
            [only] => {
                let book = self.inner.book();
                book.find(&only.network).is_ok_and(|network| network.ready.is_empty())
            }
            _ => true,
        }
    }

    /// Takes them back. Short: the kernel takes the namespace itself apart later.
    pub(crate) fn leave(&self, id: &str) {
        self.inner.leave(id);
    }
}

impl Inner {
    fn enter(&self, record: &Record) -> Result<Entered, Fault> {
        // What a start that failed half-way has left.
        self.leave(&record.id);
        let wishes = Networks::wishes(record);
        let wanted = ports::wanted(&record.config, &record.host)?;
        let prepared = match wishes.as_slice() {
            [only] => self.take_ready(only)?,
            _ => None,
        };
        let (sandbox, sockets, endpoints) = match prepared {
            Some(ready) => (ready.sandbox, ready.sockets, vec![ready.endpoint]),
            None => {
                let (sandbox, sockets) = self.make_sandbox(self.wants(&wishes))?;
                let sandbox = Arc::new(sandbox);
                let endpoints = self.plug_all(&sandbox, &wishes)?;
                (sandbox, sockets, endpoints)
            }
        };
        let mut places = Places {
            name: record.name.clone(),
            hostname: record.config.hostname.clone(),
            endpoints,
            published: Vec::new(),
            dns: record.host.dns.clone(),
        };
        let path = sandbox.path();
        let published = match self.publish(&record.id, &places, &wanted) {
            Ok(published) => published,
            Err(fault) => {
                self.give_back(&places.endpoints);
                return Err(fault);
            }
        };
        places.published = published.ports;
        let resolver = self.uses_resolver(&places);
        if resolver {
            self.serve_names(&record.id, sockets);
        }
        let entered = self.entered(record, &places, path, resolver);
        let noted = self.note(&record.id, &places);
        let running = Running {
            places,
            sandbox: Some(sandbox),
            reserved: published.reserved,
            served: resolver,
        };
        self.book().add(&record.id, running);
        if let Err(fault) = noted {
            self.leave(&record.id);
            return Err(fault);
        }
        for wish in &wishes {
            self.tell(&wish.network, "connect", &record.id);
        }
        Ok(entered)
    }

    fn entered(&self, record: &Record, places: &Places, path: PathBuf, resolver: bool) -> Entered {
        let host_gateway = places.endpoints.iter().find_map(|endpoint| {
            let four = endpoint.gateway4.map(IpAddr::V4);
            let six = endpoint.gateway6.map(IpAddr::V6);
            let list: Vec<IpAddr> = four.into_iter().chain(six).collect();
            (!list.is_empty()).then_some(list)
        });
        Entered {
            path,
            addresses: places.addresses(),
            resolver,
            host_gateway: host_gateway.unwrap_or_default(),
            links: self.legacy_links(&record.host.links),
        }
    }

    /// Links of the default network: names in the hosts file of who links, as docker has them.
    fn legacy_links(&self, links: &[String]) -> Vec<(IpAddr, Vec<String>)> {
        let book = self.book();
        links
            .iter()
            .filter_map(|link| {
                let (target, alias) = link.split_once(':').unwrap_or((link, link));
                let target = target.trim_start_matches('/');
                let alias = alias.rsplit('/').next().unwrap_or(alias);
                let (id, running) = book.running.iter().find(|(id, running)| {
                    running.places.name == target || id.starts_with(target)
                })?;
                let address = running.places.endpoints.iter().find_map(|place| place.ipv4)?.0;
                let names = dns_names(alias, id, &running.places.name, &[]);
                Some((IpAddr::V4(address), names))
            })
            .collect()
    }

    /// Whether a namespace for these networks needs IPv6, and the resolver.
    fn wants(&self, wishes: &[Wish]) -> (bool, bool) {
        let book = self.book();
        let networks = || wishes.iter().filter_map(|wish| book.find(&wish.network).ok());
        (networks().any(|network| network.record.ipv6), networks().any(Network::has_names))
    }

    /// Puts a namespace into all of its networks, or into none.
    fn plug_all(&self, sandbox: &Arc<Sandbox>, wishes: &[Wish]) -> Result<Vec<Endpoint>, Fault> {
        let exit = self.way_out(wishes)?;
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for (place, wish) in wishes.iter().enumerate() {
            let plugged = self.find_up(&wish.network).and_then(|id| {
                let interface = self.interface(&id, &endpoints)?;
                self.plug(sandbox, &id, &wish.request, (&interface, exit == Some(place)))
            });
            match plugged {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(fault) => {
                    self.give_back(&endpoints);
                    return Err(fault.context(format!(
                        "cannot give the container its place in network `{}`",
                        wish.network
                    )));
                }
            }
        }
        Ok(endpoints)
    }

    /// Which network gives the default route: the highest priority; then those with a way out, in the order of names.
    fn way_out(&self, wishes: &[Wish]) -> Result<Option<usize>, Fault> {
        let book = self.book();
        let mut best: Option<(i64, bool, &str, usize)> = None;
        for (place, wish) in wishes.iter().enumerate() {
            let record = &book.find(&wish.network)?.record;
            if record.driver == Driver::Null {
                continue;
            }
            let key = (-wish.request.gw_priority, record.internal, wish.network.as_str(), place);
            if best.is_none_or(|best| key < best) {
                best = Some(key);
            }
        }
        Ok(best.filter(|(_, internal, _, _)| !internal).map(|(.., place)| place))
    }

    /// A network by name, with what stands behind it in place.
    pub(super) fn find_up(&self, name: &str) -> Result<String, Fault> {
        let (id, up) = {
            let book = self.book();
            let network = book.find(name)?;
            (network.record.id.clone(), network.link.is_some())
        };
        if !up {
            self.raise(&id)?;
        }
        Ok(id)
    }

    /// The first name of an interface that is free inside.
    pub(super) fn interface(&self, id: &str, endpoints: &[Endpoint]) -> Result<String, Fault> {
        let prefix = {
            let book = self.book();
            let option = book
                .networks
                .get(id)
                .and_then(|network| network.record.options.get(super::request::PREFIX).cloned());
            option.unwrap_or_else(|| "eth".to_owned())
        };
        (0..1000)
            .map(|number| format!("{prefix}{number}"))
            .find(|name| endpoints.iter().all(|endpoint| endpoint.interface != *name))
            .ok_or_else(|| {
                Fault::new(
                    naru_errdefs::Kind::ResourceExhausted,
                    "a container can be in at most 1000 networks",
                )
            })
    }

    /// Gives addresses back of places that nobody came to.
    pub(super) fn give_back(&self, endpoints: &[Endpoint]) {
        let mut book = self.book();
        for endpoint in endpoints {
            if let Some(network) = book.networks.get_mut(&endpoint.network) {
                network.release(endpoint);
            }
        }
    }

    /// Whether a container with these places asks the resolver.
    pub(super) fn uses_resolver(&self, places: &Places) -> bool {
        let book = self.book();
        places
            .endpoints
            .iter()
            .any(|endpoint| book.networks.get(&endpoint.network).is_some_and(Network::has_names))
    }

    pub(super) fn tell(&self, network: &str, action: &'static str, container: &str) {
        let record = self.book().find(network).map(|network| network.record.clone());
        if let Ok(record) = record {
            self.publish_event(action, &record, Some(container));
        }
    }

    /// Notes the places of a container for the next daemon. The file is gone with the boot, as the namespace is.
    pub(super) fn note(&self, id: &str, places: &Places) -> Result<(), Fault> {
        let path = self.places.network(id);
        let bytes = serde_json::to_vec(places).map_err(|error| {
            Fault::internal("cannot encode a container's networks").with_source(error)
        })?;
        naru_kernel::fs::write_replace(&path, &bytes, 0o600)
            .during(|| format!("cannot write `{}`", path.display()))
    }

    pub(super) fn leave(&self, id: &str) {
        let Some(running) = self.book().take(id) else { return };
        if let Some(resolver) = self.resolver.get() {
            resolver.leave(id);
        }
        self.withdraw(&running.places);
        // The interfaces go with the namespace, which the kernel takes apart when nobody holds it any more.
        for endpoint in &running.places.endpoints {
            self.tell(&endpoint.network, "disconnect", id);
        }
        let path = self.places.network(id);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove `{}`: {error}", path.display());
        }
    }
}
