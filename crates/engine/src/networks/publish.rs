//! Acts: ports of the host that lead to containers.

use super::ports::{Wanted, addresses};
use super::record::{Driver, Endpoint, NetworkRecord, Places};
use super::request::HOST_BINDING;
use super::{Inner, Networks};
use crate::model::{EndpointRequest, PublishedPort};
use naru_errdefs::{Fault, Kind};
use naru_network::firewall::{self, Proto, Published};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// What a container got.
#[derive(Debug, Default)]
pub(super) struct Got {
    /// The ports.
    pub(super) ports: Vec<PublishedPort>,
    /// Sockets that keep others away from them.
    pub(super) reserved: Vec<OwnedFd>,
}

impl Networks {
    /// Those of the ports that a container wants which everybody who reaches the host will reach.
    pub(crate) fn open_to_all<'a>(
        &self,
        mode: &str,
        asked: &BTreeMap<String, EndpointRequest>,
        wanted: &'a [Wanted],
    ) -> Vec<&'a Wanted> {
        if self.inner.options.allowed_sources.is_some() {
            return Vec::new();
        }
        let target = {
            let book = self.inner.book();
            Networks::in_order(mode, asked).iter().find_map(|wish| {
                let record = &book.find(&wish.network).ok()?.record;
                is_open(record).then(|| record.id.clone())
            })
        };
        let Some(target) = target else { return Vec::new() };
        let binding = self.inner.binding_of(&target);
        let is_world = |port: &&Wanted| match port.address {
            Some(address) => address.is_unspecified(),
            None => binding.is_none(),
        };
        wanted.iter().filter(is_world).collect()
    }
}

/// Whether published ports can lead to containers of a network: on a bridge with a way out.
fn is_open(record: &NetworkRecord) -> bool {
    record.driver == Driver::Bridge && !record.internal
}

impl Inner {
    /// Publishes what a container wants, all or nothing.
    pub(super) fn publish(
        &self,
        id: &str,
        places: &Places,
        wanted: &[Wanted],
    ) -> Result<Got, Fault> {
        let Some(target) = (!wanted.is_empty()).then(|| self.target(places)).flatten() else {
            return Ok(Got::default());
        };
        let mut got = Got::default();
        let chosen =
            wanted.iter().try_for_each(|wish| self.choose_port(id, wish, &target, &mut got));
        let done = chosen.and_then(|()| {
            let rules: Vec<Published> =
                got.ports.iter().filter_map(|port| rule(port, &target)).collect();
            self.book().publishing.insert(id.to_owned(), rules.clone());
            self.with_firewall(|firewall| Ok(firewall.publish(&rules)?))
        });
        done.map_err(|fault| {
            let mut book = self.book();
            book.publishing.remove(id);
            book.ports.free(&got.ports, id);
            fault.context(format!(
                "driver failed programming external connectivity on endpoint {} ({})",
                places.name, target.id
            ))
        })?;
        self.forget_ways(got.ports.iter().filter(|port| port.protocol == "udp").map(|port| {
            let host = Some(port.host_ip).filter(|address| !address.is_unspecified());
            (host, port.host_port)
        }));
        Ok(got)
    }

    /// Packets of UDP go on the way of those before them, past a port that is published only now, or to a container that is
    /// gone, for as long as they come. Lets the kernel forget the ways to these addresses and ports; off everybody's path.
    fn forget_ways(&self, to: impl Iterator<Item = (Option<IpAddr>, u16)>) {
        let to: Vec<(Option<IpAddr>, u16)> = to.collect();
        if to.is_empty() {
            return;
        }
        self.later(move |_inner| {
            for (address, port) in to {
                if let Err(error) = firewall::forget_connections(Proto::Udp, address, port) {
                    tracing::warn!(
                        port,
                        "what is sent to a UDP port may go on to where it went before: {error}"
                    );
                }
            }
        });
    }

    /// The place that published ports lead to, on a bridge with a way out: the one that the default route leads through, or
    /// answers would take another way than questions.
    fn target(&self, places: &Places) -> Option<Endpoint> {
        let book = self.book();
        let open = |endpoint: &&Endpoint| {
            book.networks.get(&endpoint.network).is_some_and(|network| is_open(&network.record))
        };
        let exits = book.exits(&places.endpoints);
        exits.into_iter().flatten().chain(&places.endpoints).find(open).cloned()
    }

    fn choose_port(
        &self,
        id: &str,
        wish: &Wanted,
        target: &Endpoint,
        got: &mut Got,
    ) -> Result<(), Fault> {
        let default = self.binding_of(&target.network);
        let address = wish.address.or(default);
        let hosts = addresses(address, target.ipv4.is_some(), target.ipv6.is_some());
        let has = |host: &&IpAddr| {
            if host.is_ipv4() { target.ipv4.is_some() } else { target.ipv6.is_some() }
        };
        if let Some(host) = hosts.iter().find(|host| !has(host)) {
            let family = if host.is_ipv4() { 4 } else { 6 };
            return Err(Fault::invalid(format!(
                "cannot publish port {}/{} at {host}: the container has no IPv{family} address",
                wish.container_port, wish.protocol
            ))
            .with_hint(format!(
                "leave the address out, or bring the container into a network with IPv{family}"
            )));
        }
        let ephemeral = firewall::local_port_range();
        let candidates = self.book().ports.candidates(wish, &ephemeral);
        let mut last = None;
        for port in candidates {
            match self.try_port(id, wish, &hosts, port) {
                Ok((ports, reserved)) => {
                    if wish.ports.is_none() {
                        self.book().ports.used(port);
                    }
                    got.ports.extend(ports);
                    got.reserved.extend(reserved);
                    return Ok(());
                }
                Err(fault) if matches!(fault.kind(), Kind::Conflict) => last = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        Err(last.unwrap_or_else(|| {
            Fault::new(Kind::ResourceExhausted, "all ports of the host are taken")
        }))
    }

    /// One port on all the addresses that are meant, or on none.
    fn try_port(
        &self,
        id: &str,
        wish: &Wanted,
        hosts: &[IpAddr],
        port: u16,
    ) -> Result<(Vec<PublishedPort>, Vec<OwnedFd>), Fault> {
        let ports: Vec<PublishedPort> = hosts
            .iter()
            .map(|host| PublishedPort {
                container_port: wish.container_port,
                protocol: wish.protocol.clone(),
                host_ip: *host,
                host_port: port,
            })
            .collect();
        {
            let mut book = self.book();
            for one in &ports {
                if let Some(holder) = book.ports.holder(one.host_ip, &one.protocol, port) {
                    let name = if holder == id {
                        "this container itself".to_owned()
                    } else {
                        let name = book.running.get(holder).map(|other| other.places.name.as_str());
                        format!("container `{}`", name.unwrap_or(holder))
                    };
                    return Err(taken(one).with_hint(format!(
                        "{name} has it; choose another host port, or stop that container"
                    )));
                }
            }
            for one in &ports {
                book.ports.take(one, id);
            }
        }
        let mut sockets = Vec::new();
        for one in &ports {
            let Some(proto) = proto(&one.protocol) else { continue };
            match firewall::reserve(one.host_ip, proto, port) {
                Ok(socket) => sockets.push(socket),
                Err(error) => {
                    self.book().ports.free(&ports, id);
                    return Err(match error.kind() {
                        std::io::ErrorKind::AddrInUse => taken(one).with_hint(
                            "a program of the host listens there; choose another host port, or end that program",
                        ),
                        std::io::ErrorKind::AddrNotAvailable => Fault::invalid(format!(
                            "Bind for {} failed: cannot assign requested address",
                            SocketAddr::new(one.host_ip, port)
                        ))
                        .with_hint("the host has no such address; `ip address` lists those it has"),
                        _ => Fault::io(
                            format!("cannot take port {}", SocketAddr::new(one.host_ip, port)),
                            error,
                        ),
                    });
                }
            }
        }
        Ok((ports, sockets))
    }

    /// The address that ports without one are published on in a network.
    fn binding_of(&self, network: &str) -> Option<IpAddr> {
        let book = self.book();
        let option = book.networks.get(network)?.record.options.get(HOST_BINDING);
        option.and_then(|text| text.parse().ok()).or(self.options.publish_address)
    }

    /// Takes ports back. What fails is reported: the next rebuild of the table mends it.
    pub(super) fn withdraw(&self, places: &Places) {
        if places.published.is_empty() {
            return;
        }
        let rules = self.rules_of(places);
        let done = self.with_firewall(|firewall| Ok(firewall.withdraw(&rules)?));
        if let Err(fault) = done {
            super::report(
                &format!("cannot withdraw the ports of container `{}`", places.name),
                &fault,
            );
        }
        let datagrams = rules.iter().filter(|rule| rule.proto == Proto::Udp);
        self.forget_ways(datagrams.map(|rule| (Some(rule.to.ip()), rule.to.port())));
    }

    /// The rules of a running container's ports.
    pub(super) fn rules_of(&self, places: &Places) -> Vec<Published> {
        let Some(target) = self.target(places) else { return Vec::new() };
        places.published.iter().filter_map(|port| rule(port, &target)).collect()
    }
}

fn taken(port: &PublishedPort) -> Fault {
    Fault::conflict(format!(
        "Bind for {} failed: port is already allocated",
        SocketAddr::new(port.host_ip, port.host_port)
    ))
}

pub(super) fn proto(text: &str) -> Option<Proto> {
    match text {
        "tcp" => Some(Proto::Tcp),
        "udp" => Some(Proto::Udp),
        "sctp" => Some(Proto::Sctp),
        _ => None,
    }
}

/// A port in the firewall's words.
fn rule(port: &PublishedPort, target: &Endpoint) -> Option<Published> {
    let to: IpAddr = match port.host_ip {
        IpAddr::V4(_) => target.ipv4?.0.into(),
        IpAddr::V6(_) => target.ipv6?.0.into(),
    };
    Some(Published {
        host: Some(port.host_ip).filter(|address| !address.is_unspecified()),
        port: port.host_port,
        proto: proto(&port.protocol)?,
        to: SocketAddr::new(to, port.container_port),
    })
}
