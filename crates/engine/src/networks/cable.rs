//! Acts: what stands behind networks in the kernel: bridges, and the pairs of interfaces that lead from them to
//! containers.

use super::record::{Driver, Endpoint, NetworkRecord, Places};
use super::request::{self, IPVLAN_MODE, MACVLAN_MODE, MTU, PARENT};
use super::{Inner, manage};
use crate::model::EndpointRequest;
use ipnet::IpNet;
use naru_errdefs::{Fault, Kind};
use naru_kernel::failpoint;
use naru_network::firewall::{Network as Rules, Outgoing, State, bridged_packets_pass_rules};
use naru_network::ipam::{Mac, Pool};
use naru_network::link::{BridgeSpec, IpvlanMode, Layered, Link, MacvlanMode, Port, SubnetLock};
use naru_network::sandbox::{Attachment, MovedIn, ResolverSockets, Sandbox, SandboxSpec};
use std::net::IpAddr;
use std::time::Duration;

/// How long another daemon of this host may take to choose a subnet.
const SUBNET_PATIENCE: Duration = Duration::from_secs(10);

impl Inner {
    /// Puts in place what stands behind a network, unless it is there.
    pub(super) fn raise(&self, id: &str) -> Result<(), Fault> {
        let _change = self.change();
        let unnumbered = match self.book().networks.get(id) {
            None => return Err(Fault::not_found(format!("network {id} not found"))),
            Some(network) if network.link.is_some() => return Ok(()),
            Some(network) => {
                network.record.driver == Driver::Bridge && network.record.pools.is_empty()
            }
        };
        if unnumbered {
            return self.number_default(id);
        }
        self.raise_now(id)
    }

    /// The default network gets its subnet, its bridge and its record.
    fn number_default(&self, id: &str) -> Result<(), Fault> {
        let mut record = match self.book().networks.get(id) {
            Some(network) => network.record.clone(),
            None => return Err(Fault::not_found(format!("network {id} not found"))),
        };
        record.ipv6 = self.options.ipv6 && naru_network::link::ipv6_available();
        let _lock = SubnetLock::take(SUBNET_PATIENCE)?;
        let asked = match self.options.bridge_address {
            Some(address) => vec![request::Subnet {
                net: address.trunc(),
                range: None,
                gateway: Some(address.addr()),
                auxiliary: Vec::new(),
            }],
            None => Vec::new(),
        };
        self.left_behind(&record)?;
        record.pools = self.choose(&record, asked)?;
        let pools = manage::pools(&record)?;
        let before = self.set_record(id, record.clone(), pools);
        let made = self.raise_now(id).and_then(|()| Ok(self.records.put(id, &record)?));
        if made.is_err() {
            // Or it would be used without a record, and the next daemon would not know of it.
            self.lower(id);
            if let Some(before) = before {
                self.set_record(id, before, Vec::new());
            }
        }
        made
    }

    /// The default network was numbered under other options, perhaps: it is numbered anew with its next container, unless it
    /// has some now.
    pub(super) fn follow_options(&self) -> Result<(), Fault> {
        let _change = self.change();
        let (record, is_used) = {
            let book = self.book();
            let record = book.find("bridge")?.record.clone();
            let is_used = book.members(&record.id).next().is_some();
            (record, is_used)
        };
        if record.pools.is_empty() || self.options.fit(&record) {
            return Ok(());
        }
        if is_used {
            tracing::warn!(
                "what the daemon is told of the default network is another thing than before; it takes effect at a start without containers in that network"
            );
            return Ok(());
        }
        self.records.remove(&record.id)?;
        self.links()?.remove_marked(&record.bridge, self.mark())?;
        let anew = manage::predefined("bridge", Driver::Bridge, &self.options.bridge);
        self.set_record(&record.id, anew, Vec::new());
        Ok(())
    }

    /// Says anew what a network is, and answers what it was.
    fn set_record(
        &self,
        id: &str,
        record: NetworkRecord,
        pools: Vec<Pool>,
    ) -> Option<NetworkRecord> {
        let mut book = self.book();
        let network = book.networks.get_mut(id)?;
        network.pools = pools;
        Some(std::mem::replace(&mut network.record, record))
    }

    /// The default bridge of a daemon which could not record it any more goes, so that its subnet is free to be chosen.
    fn left_behind(&self, record: &NetworkRecord) -> Result<(), Fault> {
        let links = self.links()?;
        match links.find(&record.bridge) {
            Ok(link) if self.is_marked(&link) => Ok(links.remove(&record.bridge)?),
            Ok(_) => Err(Fault::conflict(format!(
                "the host has an interface `{}` that is not ours",
                record.bridge
            ))
            .with_hint("remove it, or name another one with `--bridge`")),
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts it in place; whoever calls holds the change.
    pub(super) fn raise_now(&self, id: &str) -> Result<(), Fault> {
        let record = match self.book().networks.get(id) {
            Some(network) => network.record.clone(),
            None => return Err(Fault::not_found(format!("network {id} not found"))),
        };
        let index = match record.driver {
            Driver::Bridge => {
                let index = self.bridge(&record)?;
                failpoint::hit("network.after-bridge");
                self.with_firewall(|firewall| {
                    Ok(firewall.add_network(&rules(&record, &self.gateways(id)))?)
                })?;
                index
            }
            Driver::Macvlan | Driver::Ipvlan => self.parent(&record)?,
            Driver::Host | Driver::Null => 0,
        };
        if let Some(network) = self.book().networks.get_mut(id) {
            network.link = Some(index);
        }
        if record.driver == Driver::Bridge {
            self.watch();
        }
        Ok(())
    }

    fn bridge(&self, record: &NetworkRecord) -> Result<u32, Fault> {
        let links = self.links()?;
        match links.find(&record.bridge) {
            // What somebody changed of it is put right.
            Ok(link) if self.is_marked(&link) => {}
            Ok(_) => {
                return Err(Fault::conflict(format!(
                    "the host has an interface `{}` that is not ours",
                    record.bridge
                ))
                .with_hint("remove it, or make the network anew under another bridge name"));
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        let spec = BridgeSpec {
            name: record.bridge.clone(),
            // Always the same: containers go on to send to it when the bridge had to be made anew.
            mac: Mac::local(lasting_bytes(&[&record.id, &record.bridge])),
            mtu: self.mtu(record),
            addresses: self.gateways(&record.id),
            alias: Some(self.mark().to_owned()),
        };
        let (index, _made) = links.ensure_bridge(&spec)?;
        Ok(index)
    }

    /// The addresses of a network's gateways, with the lengths of their prefixes.
    fn gateways(&self, id: &str) -> Vec<IpNet> {
        let book = self.book();
        let pools =
            book.networks.get(id).map(|network| network.pools.as_slice()).unwrap_or_default();
        pools.iter().filter_map(|pool| Some(pool.with_prefix(pool.gateway()?))).collect()
    }

    fn parent(&self, record: &NetworkRecord) -> Result<u32, Fault> {
        let links = self.links()?;
        match record.options.get(PARENT) {
            Some(name) => links.parent(name, self.mark()).map_err(|error| {
                if error.is_absent() {
                    Fault::invalid(format!("-o parent interface was not found on the host: {name}"))
                        .with_hint("`ip link` lists the interfaces there are")
                } else {
                    error.into()
                }
            }),
            None => {
                // Docker's own name for the parent of a network that is to stay on this host.
                let name = format!("dm-{}", crate::record::short(&record.id));
                match links.find(&name) {
                    Ok(link) => Ok(link.index),
                    Err(error) if error.is_absent() => {
                        Ok(links.create_isolated(&name, self.mark())?)
                    }
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Removes what stands behind a network. What fails is reported; a later start sweeps it.
    pub(super) fn lower(&self, id: &str) {
        let (record, ready) = {
            let mut book = self.book();
            let Some(network) = book.networks.get_mut(id) else { return };
            network.link = None;
            network.warm = false;
            (network.record.clone(), std::mem::take(&mut network.ready))
        };
        drop(ready);
        let done = match record.driver {
            Driver::Bridge => self
                .with_firewall(|firewall| Ok(firewall.remove_network(&record.bridge)?))
                .and_then(|()| {
                    failpoint::hit("network.after-rules");
                    Ok(self.links()?.remove_marked(&record.bridge, self.mark()).map(drop)?)
                }),
            Driver::Macvlan | Driver::Ipvlan => self.remove_parent(&record),
            Driver::Host | Driver::Null => Ok(()),
        };
        if let Err(fault) = done {
            super::report(
                &format!("cannot remove what stood behind network `{}`", record.name),
                &fault,
            );
        }
    }

    fn remove_parent(&self, record: &NetworkRecord) -> Result<(), Fault> {
        let links = self.links()?;
        let own = format!("dm-{}", crate::record::short(&record.id));
        let name = record.options.get(PARENT).unwrap_or(&own);
        let shared = self.book().networks.values().any(|network| {
            network.record.id != record.id && network.record.options.get(PARENT) == Some(name)
        });
        if !shared {
            links.remove_marked(name, self.mark())?;
        }
        Ok(())
    }

    /// What marks interfaces as made by this daemon, for administrators and for the sweep: other daemons of the host have
    /// other tables of rules.
    pub(super) fn mark(&self) -> &str {
        &self.options.table
    }

    pub(super) fn is_marked(&self, link: &Link) -> bool {
        link.alias.as_deref() == Some(self.mark())
    }

    fn mtu(&self, record: &NetworkRecord) -> Option<u32> {
        let option = record.options.get(MTU).and_then(|text| request::mtu(text));
        option.or(Some(self.options.mtu).filter(|mtu| *mtu > 0))
    }

    /// A namespace that is in no network yet.
    pub(super) fn make_sandbox(
        &self,
        (ipv6, resolver): (bool, bool),
    ) -> Result<(Sandbox, Option<ResolverSockets>), Fault> {
        let spec = SandboxSpec { ipv6, low_ports: true, resolver };
        Ok(Sandbox::make(&spec)?)
    }

    /// Gives a namespace its place in a network: addresses, and an interface that is up. `way_out` says whether the
    /// default route leads there.
    pub(super) fn plug(
        &self,
        sandbox: &Sandbox,
        id: &str,
        request: &EndpointRequest,
        (interface, way_out): (&str, bool),
    ) -> Result<Endpoint, Fault> {
        let claimed = match self.claim(id, request, interface) {
            Err(fault) if matches!(fault.kind(), Kind::Forbidden | Kind::ResourceExhausted) => {
                self.make_room(id, request, fault.kind() == Kind::ResourceExhausted);
                self.claim(id, request, interface)
            }
            claimed => claimed,
        };
        self.plug_claimed(sandbox, claimed?, way_out)
    }

    /// The same for an endpoint that has its addresses.
    pub(super) fn plug_claimed(
        &self,
        sandbox: &Sandbox,
        mut endpoint: Endpoint,
        way_out: bool,
    ) -> Result<Endpoint, Fault> {
        let id = endpoint.network.clone();
        let found = {
            let book = self.book();
            let network = book.networks.get(&id);
            let found = network.and_then(|network| Some((network.record.clone(), network.link?)));
            found.ok_or_else(|| Fault::not_found(format!("network {id} not found")))
        };
        let (record, index) = match found {
            Ok(found) => found,
            Err(fault) => {
                self.give_back(&[endpoint]);
                return Err(fault);
            }
        };
        let plugged = self.plug_into(sandbox, &record, index, (&mut endpoint, way_out));
        if let Err(fault) = plugged {
            self.give_back(&[endpoint]);
            return Err(fault);
        }
        Ok(endpoint)
    }

    /// Makes the interface of a place, from what is noted of it.
    pub(super) fn plug_into(
        &self,
        sandbox: &Sandbox,
        record: &NetworkRecord,
        index: u32,
        (endpoint, way_out): (&mut Endpoint, bool),
    ) -> Result<(), Fault> {
        let links = self.links()?;
        // One that is made anew has the address that it had.
        let known = if endpoint.mac.is_empty() { &endpoint.request.mac } else { &endpoint.mac };
        let mac = match known.as_str() {
            "" => match endpoint.ipv4 {
                Some((address, _)) => Mac::for_ip(address.into(), random_bytes()?),
                None => Mac::local(random_bytes()?),
            },
            text => text
                .parse::<Mac>()
                .map_err(|_syntax| Fault::invalid(format!("invalid MAC address: {text}")))?,
        };
        let four = endpoint.ipv4.and_then(|(ip, length)| IpNet::new(ip.into(), length).ok());
        let six = endpoint.ipv6.and_then(|(ip, length)| IpNet::new(ip.into(), length).ok());
        let attachment = Attachment {
            name: endpoint.interface.clone(),
            mac: (record.driver != Driver::Ipvlan).then_some(mac),
            mtu: self.mtu(record),
            addresses: four.into_iter().chain(six).chain(link_local(&endpoint.request)).collect(),
            gateway_v4: endpoint.gateway4.filter(|_| way_out),
            gateway_v6: endpoint.gateway6.filter(|_| way_out),
            routes: Vec::new(),
        };
        endpoint.mac = mac.to_string();
        match record.driver {
            Driver::Bridge => {
                endpoint.host_interface = format!("veth{}", endpoint.id.get(..10).unwrap_or("0"));
                let port = port(record, index);
                sandbox.attach(links, &endpoint.host_interface, port, &attachment)?;
            }
            Driver::Macvlan | Driver::Ipvlan => {
                let kind = layered(record);
                sandbox.move_in(links, &MovedIn { kind, parent: index, attachment })?;
            }
            Driver::Host | Driver::Null => {
                return Err(Fault::invalid(
                    "container cannot be connected to network: the host's and the empty network take no further containers",
                ));
            }
        }
        Ok(())
    }

    /// Takes addresses for a new place.
    pub(super) fn claim(
        &self,
        id: &str,
        request: &EndpointRequest,
        interface: &str,
    ) -> Result<Endpoint, Fault> {
        let endpoint_id = crate::containers::new_id()?;
        let mut book = self.book();
        let network = book
            .networks
            .get_mut(id)
            .filter(|network| !network.leaving)
            .ok_or_else(|| Fault::not_found(format!("network {id} not found")))?;
        for (asked, four) in [(request.ipv4.is_some(), true), (request.ipv6.is_some(), false)] {
            if asked && network.pool(four).is_none() {
                return Err(Fault::invalid(format!(
                    "no configured subnet or ip-range contain the IP address: network {} has no IPv{}",
                    network.record.name,
                    if four { 4 } else { 6 }
                )));
            }
        }
        let mut endpoint = Endpoint {
            network: id.to_owned(),
            id: endpoint_id,
            interface: interface.to_owned(),
            request: request.clone(),
            ..Endpoint::default()
        };
        for four in [true, false] {
            let fixed =
                if four { request.ipv4.map(IpAddr::V4) } else { request.ipv6.map(IpAddr::V6) };
            let Some(pool) = network.pool(four) else { continue };
            let taken = match fixed {
                Some(address) => pool.claim(address).map(|()| address),
                None => pool.allocate(),
            };
            let (length, gateway) = (pool.subnet().prefix_len(), pool.gateway());
            match taken {
                Ok(IpAddr::V4(address)) => {
                    endpoint.ipv4 = Some((address, length));
                    endpoint.gateway4 = gateway.and_then(|gateway| match gateway {
                        IpAddr::V4(gateway) => Some(gateway),
                        IpAddr::V6(_) => None,
                    });
                }
                Ok(IpAddr::V6(address)) => {
                    endpoint.ipv6 = Some((address, length));
                    endpoint.gateway6 = gateway.and_then(|gateway| match gateway {
                        IpAddr::V6(gateway) => Some(gateway),
                        IpAddr::V4(_) => None,
                    });
                }
                Err(error) => {
                    network.release(&endpoint);
                    return Err(error.into());
                }
            }
        }
        if network.record.internal {
            // The bridge has the address for names and neighbours, but it leads nowhere.
            endpoint.gateway4 = None;
            endpoint.gateway6 = None;
        }
        Ok(endpoint)
    }

    /// Takes an interface out of a running container's namespace. `left` are the places that remain: if a default route
    /// went with the interface, one of them takes it over.
    pub(super) fn unplug(
        &self,
        sandbox: &Sandbox,
        endpoint: &Endpoint,
        left: &Places,
    ) -> Result<(), Fault> {
        if endpoint.host_interface.is_empty() {
            sandbox.detach(&endpoint.interface)?;
        } else {
            // By the end that the container cannot rename.
            self.links()?.remove(&endpoint.host_interface)?;
        }
        let before = [left.endpoints.as_slice(), std::slice::from_ref(endpoint)].concat();
        self.lead_out(sandbox, &before, &left.endpoints)
    }

    /// Lets default routes lead out through other places, where they have to after the places have changed.
    pub(super) fn lead_out(
        &self,
        sandbox: &Sandbox,
        before: &[Endpoint],
        after: &[Endpoint],
    ) -> Result<(), Fault> {
        let [four, six] = {
            let book = self.book();
            let ([old4, old6], [new4, new6]) = (book.exits(before), book.exits(after));
            [new4.filter(|_| new4 != old4).cloned(), new6.filter(|_| new6 != old6).cloned()]
        };
        if let Some(place) = four {
            sandbox.set_gateways(&place.interface, place.gateway4, None)?;
        }
        if let Some(place) = six {
            sandbox.set_gateways(&place.interface, None, place.gateway6)?;
        }
        Ok(())
    }

    /// All that the table of packet rules is to say.
    pub(super) fn rules(&self) -> State {
        let (networks, running, publishing): (Vec<_>, Vec<_>, Vec<_>) = {
            let book = self.book();
            let networks = book
                .bridges()
                .filter(|network| !network.pools.is_empty() && !network.leaving)
                .map(|network| {
                    let gateways: Vec<IpNet> = network
                        .pools
                        .iter()
                        .filter_map(|pool| Some(pool.with_prefix(pool.gateway()?)))
                        .collect();
                    rules(&network.record, &gateways)
                })
                .collect();
            let running = book.running.values().map(|running| running.places.clone()).collect();
            (networks, running, book.publishing.values().flatten().copied().collect())
        };
        let published =
            running.iter().flat_map(|places| self.rules_of(places)).chain(publishing).collect();
        State { networks, published, links: Vec::new() }
    }
}

fn layered(record: &NetworkRecord) -> Layered {
    if record.driver == Driver::Ipvlan {
        return Layered::Ipvlan(match record.options.get(IPVLAN_MODE).map(String::as_str) {
            Some("l3") => IpvlanMode::L3,
            Some("l3s") => IpvlanMode::L3S,
            _ => IpvlanMode::L2,
        });
    }
    Layered::Macvlan(match record.options.get(MACVLAN_MODE).map(String::as_str) {
        Some("private") => MacvlanMode::Private,
        Some("vepa") => MacvlanMode::Vepa,
        Some("passthru") => MacvlanMode::Passthru,
        _ => MacvlanMode::Bridge,
    })
}

/// How a container's interface is a port of a network's bridge. Where frames between ports pass the packet rules, what is
/// translated goes back to its sender only by a hairpin; where they do not, the bridge itself keeps containers apart.
pub(super) fn port(record: &NetworkRecord, bridge: u32) -> Port {
    let pass = bridged_packets_pass_rules();
    let icc = record.options.get(request::ICC).and_then(|text| request::boolean(text));
    Port { bridge, hairpin: pass, isolated: !pass && icc == Some(false) }
}

/// A bridge network in the words of the packet rules.
fn rules(record: &NetworkRecord, gateways: &[IpNet]) -> Rules {
    let is = |option: &str, default: bool| {
        record.options.get(option).and_then(|text| request::boolean(text)).unwrap_or(default)
    };
    let subnets = record.pools.iter().filter_map(|pool| pool.subnet.parse().ok()).collect();
    let mut rules = Rules::new(&record.bridge, subnets, gateways.iter().map(IpNet::addr).collect());
    rules.internal = record.internal;
    rules.icc = is(request::ICC, true);
    if !is(request::MASQUERADE, true) {
        rules.outgoing4 = Outgoing::Routed;
        rules.outgoing6 = Outgoing::Routed;
    } else if let Some(text) = record.options.get(request::HOST_IPV4)
        && let Ok(address) = text.parse()
    {
        rules.outgoing4 = Outgoing::From(address);
    }
    rules
}

/// Link-local addresses of one's choice, with the prefixes that the standards give them.
fn link_local(request: &EndpointRequest) -> impl Iterator<Item = IpNet> {
    request.link_local.iter().filter_map(|ip| {
        let length = if ip.is_ipv4() { 16 } else { 64 };
        IpNet::new(*ip, length).ok()
    })
}

fn random_bytes() -> Result<[u8; 6], Fault> {
    naru_kernel::random::bytes::<6>().map_err(|error| Fault::io("cannot get random bytes", error))
}

/// Bytes that are the same for the same words, everywhere and always (FNV-1a).
fn lasting_bytes(words: &[&str]) -> [u8; 6] {
    let hash =
        words.iter().flat_map(|word| word.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3_u64)
        });
    let [_, _, bytes @ ..] = hash.to_be_bytes();
    bytes
}
