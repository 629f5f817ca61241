//! Acts: a container's way into its networks, and out.

use super::book::{Network, Running, dns_names};
use super::endpoint::IFNAME;
use super::record::{Endpoint, Places};
use super::{Inner, Networks, ports};
use crate::links::Link;
use crate::model::EndpointRequest;
use crate::record::Record;
use crate::spec::modes::Network as Mode;
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::failpoint;
use naru_network::sandbox::Sandbox;
use std::collections::BTreeMap;
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
        Networks::in_order(&record.host.network_mode, &record.networks)
    }

    /// The same of what is asked: with the network of this network mode first.
    pub(super) fn in_order(mode: &str, asked: &BTreeMap<String, EndpointRequest>) -> Vec<Wish> {
        let primary = match mode {
            "" | "default" => "bridge",
            mode => mode,
        };
        let mut list: Vec<Wish> = asked
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

    /// What the hosts file of a running container says of links of the default network.
    pub(crate) fn linked_addresses(
        &self,
        id: &str,
        links: &[String],
    ) -> Vec<(IpAddr, Vec<String>)> {
        let places = self.inner.book().running.get(id).map(|running| running.places.clone());
        places.map(|places| self.inner.legacy_links(links, &places)).unwrap_or_default()
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
                // The default network knows its families when it is up.
                for wish in &wishes {
                    self.find_up(&wish.network)?;
                }
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
            dns_options: record.host.dns_options.clone(),
        };
        let path = sandbox.path();
        failpoint::hit("enter.before-ports");
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
        failpoint::hit("enter.before-note");
        let noted = self.note(&record.id, &places);
        failpoint::hit("enter.after-note");
        let running = Running {
            places,
            sandbox: Some(sandbox),
            reserved: published.reserved,
            served: resolver,
            pid: None,
        };
        let stays = {
            let mut book = self.book();
            let stays = book.stays(running.places.endpoints.iter());
            book.add(&record.id, running);
            stays
        };
        if let Err(fault) = noted.and(stays) {
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
            links: self.legacy_links(&record.host.links, places),
        }
    }

    /// Links of the default network: names in the hosts file of who links, as docker has them, at addresses in a network that
    /// both are in.
    fn legacy_links(&self, links: &[String], own: &Places) -> Vec<(IpAddr, Vec<String>)> {
        let book = self.book();
        let entry = |target: &str, alias: &str| {
            let (id, running) = book
                .running
                .iter()
                .find(|(id, running)| running.places.name == target || id.starts_with(target))?;
            let is_near =
                |place: &&Endpoint| own.endpoints.iter().any(|own| own.network == place.network);
            let address = running.places.endpoints.iter().find(is_near)?.addresses().next()?;
            Some((address, dns_names(alias, id, &running.places.name, &[])))
        };
        let mut list = Vec::new();
        for link in links {
            let Link { target, alias } = Link::parse(link);
            match entry(target, alias) {
                Some(found) => list.push(found),
                None => tracing::warn!(
                    container = own.name,
                    "its link `{alias}` leads nowhere: container `{target}` does not run in a network that both are in"
                ),
            }
        }
        list
    }

    /// Whether a namespace for these networks needs IPv6, and the resolver.
    fn wants(&self, wishes: &[Wish]) -> (bool, bool) {
        let book = self.book();
        let networks = || wishes.iter().filter_map(|wish| book.find(&wish.network).ok());
        let ipv6 = networks().any(|network| network.record.ipv6)
            || wishes.iter().any(|wish| wish.request.link_local.iter().any(IpAddr::is_ipv6));
        (ipv6, networks().any(Network::has_names))
    }

    /// Puts a namespace into all of its networks, or into none.
    fn plug_all(&self, sandbox: &Arc<Sandbox>, wishes: &[Wish]) -> Result<Vec<Endpoint>, Fault> {
        let [four, six] = self.way_out(wishes)?;
        let exit = four.or(six);
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for (place, wish) in wishes.iter().enumerate() {
            let plugged = self.find_up(&wish.network).and_then(|id| {
                let interface = self.interface(&id, &wish.request, &endpoints)?;
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
        // IPv6 may lead out elsewhere than IPv4.
        let elsewhere = six.filter(|_| six != exit).and_then(|place| endpoints.get(place));
        if let Some(place) = elsewhere
            && let Err(error) = sandbox.set_gateways(&place.interface, None, place.gateway6)
        {
            self.give_back(&endpoints);
            return Err(error.into());
        }
        Ok(endpoints)
    }

    /// Which networks give the default routes of IPv4 and of IPv6.
    fn way_out(&self, wishes: &[Wish]) -> Result<[Option<usize>; 2], Fault> {
        let book = self.book();
        let records = wishes
            .iter()
            .map(|wish| Ok((&book.find(&wish.network)?.record, wish.request.gw_priority)))
            .collect::<Result<Vec<_>, Fault>>()?;
        Ok(super::book::exits(records.into_iter()))
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

    /// The name that was asked for, or the first one that is free inside.
    pub(super) fn interface(
        &self,
        id: &str,
        request: &EndpointRequest,
        endpoints: &[Endpoint],
    ) -> Result<String, Fault> {
        let is_free = |name: &String| endpoints.iter().all(|endpoint| endpoint.interface != *name);
        if let Some(name) = request.driver_opts.get(IFNAME) {
            return Some(name.clone()).filter(is_free).ok_or_else(|| {
                Fault::conflict(format!("the container has an interface `{name}` already"))
                    .with_hint(format!("choose another name in the option `{IFNAME}`"))
            });
        }
        let prefix = {
            let book = self.book();
            let option = book
                .networks
                .get(id)
                .and_then(|network| network.record.options.get(super::request::PREFIX).cloned());
            option.unwrap_or_else(|| "eth".to_owned())
        };
        (0..1000).map(|number| format!("{prefix}{number}")).find(is_free).ok_or_else(|| {
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
        // Only now, or whoever is given one of them at once would find it in use.
        drop(running.reserved);
        self.book().ports.free(&running.places.published, id);
        // The interfaces go with the namespace, which the kernel takes apart when nobody holds it any more.
        for endpoint in &running.places.endpoints {
            self.tell(&endpoint.network, "disconnect", id);
        }
        self.forget(id);
    }

    /// Removes the note of a container's places.
    pub(super) fn forget(&self, id: &str) {
        let path = self.places.network(id);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove `{}`: {error}", path.display());
        }
    }
}
