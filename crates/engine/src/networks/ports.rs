//! Pure: which ports of the host a container wants, and who has which.

use crate::model::{ContainerConfig, HostConfig, PublishedPort};
use naru_errdefs::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// A container port that wants a port of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The port inside.
    pub(crate) container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub(crate) protocol: String,
    /// The address of the host; absent: all of them.
    pub(crate) address: Option<IpAddr>,
    /// One of these ports of the host; absent: any that is free.
    pub(crate) ports: Option<RangeInclusive<u16>>,
}

/// `80/tcp`, taken apart.
pub(crate) fn parse(text: &str) -> Result<(u16, String), Fault> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Fault::invalid(format!("invalid proto: {protocol}"))
            .with_hint("the protocols are tcp, udp and sctp"));
    }
    let number = port.parse::<u16>().ok().filter(|number| *number > 0);
    let number =
        number.ok_or_else(|| Fault::invalid(format!("invalid port specification: {text}")))?;
    Ok((number, protocol))
}

/// The ports that a container wants published.
pub(crate) fn wanted(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<Wanted>, Fault> {
    let mut list = Vec::new();
    let mut bound = BTreeSet::new();
    for (text, bindings) in &host.port_bindings {
        let (container_port, protocol) = parse(text)?;
        for binding in bindings {
            bound.insert((container_port, protocol.clone()));
            let address = match binding.host_ip.trim_start_matches('[').trim_end_matches(']') {
                "" => None,
                text => Some(text.parse::<IpAddr>().map_err(|_syntax| {
                    Fault::invalid(format!("invalid IP address: {}", binding.host_ip))
                })?),
            };
            let ports = range(&binding.host_port)?;
            list.push(Wanted { container_port, protocol: protocol.clone(), address, ports });
        }
    }
    if host.publish_all_ports {
        for text in &config.exposed_ports {
            let (container_port, protocol) = parse(text)?;
            if !bound.contains(&(container_port, protocol.clone())) {
                list.push(Wanted { container_port, protocol, address: None, ports: None });
            }
        }
    }
    Ok(list)
}

fn range(text: &str) -> Result<Option<RangeInclusive<u16>>, Fault> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let bad = || Fault::invalid(format!("invalid port specification: \"{text}\""));
    let number = |text: &str| text.parse::<u16>().map_err(|_syntax| bad());
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first == 0 || last < first {
        return Err(bad());
    }
    Ok(Some(first..=last))
}

/// Who has which port of the host.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    taken: BTreeMap<(String, u16), Vec<(IpAddr, String)>>,
    /// Where the search for a free port goes on, so that one is used again as late as possible.
    next: u16,
}

impl Ports {
    /// The container that has this port, on this address or on all.
    pub(crate) fn holder(&self, address: IpAddr, protocol: &str, port: u16) -> Option<&str> {
        let owners = self.taken.get(&(protocol.to_owned(), port))?;
        owners.iter().find(|(other, _)| overlap(*other, address)).map(|(_, owner)| owner.as_str())
    }

    /// Notes that a container has a port.
    pub(crate) fn take(&mut self, port: &PublishedPort, owner: &str) {
        self.taken
            .entry((port.protocol.clone(), port.host_port))
            .or_default()
            .push((port.host_ip, owner.to_owned()));
    }

    /// Gives back what a container has.
    pub(crate) fn free(&mut self, ports: &[PublishedPort], owner: &str) {
        for port in ports {
            let key = (port.protocol.clone(), port.host_port);
            if let Some(owners) = self.taken.get_mut(&key) {
                owners.retain(|(address, other)| !(other == owner && *address == port.host_ip));
                if owners.is_empty() {
                    self.taken.remove(&key);
                }
            }
        }
    }

    /// The ports to try for a wish, in order.
    pub(crate) fn candidates(
        &mut self,
        wanted: &Wanted,
        ephemeral: &RangeInclusive<u16>,
    ) -> Vec<u16> {
        match &wanted.ports {
            Some(ports) => ports.clone().collect(),
            None => {
                let start =
                    if ephemeral.contains(&self.next) { self.next } else { *ephemeral.start() };
                self.next = start.saturating_add(1);
                (start..=*ephemeral.end()).chain(*ephemeral.start()..start).collect()
            }
        }
    }

    /// The search for a free port goes on behind this one.
    pub(crate) fn used(&mut self, port: u16) {
        self.next = port.saturating_add(1);
    }
}

/// The addresses of the host that a wish means, given the families that the container has.
pub(crate) fn addresses(wanted: Option<IpAddr>, ipv4: bool, ipv6: bool) -> Vec<IpAddr> {
    match wanted {
        Some(address) => vec![address],
        None => {
            let mut list = Vec::new();
            if ipv4 {
                list.push(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            }
            if ipv6 {
                list.push(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            }
            list
        }
    }
}

fn overlap(a: IpAddr, b: IpAddr) -> bool {
    a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PortBinding;

    fn check(bindings: &[(&str, &str, &str)], all: bool, want: Result<&str, &str>) {
        let mut host = HostConfig { publish_all_ports: all, ..HostConfig::default() };
        for (port, ip, text) in bindings {
            host.port_bindings
                .entry((*port).to_owned())
                .or_default()
                .push(PortBinding { host_ip: (*ip).to_owned(), host_port: (*text).to_owned() });
        }
        let config = ContainerConfig {
            exposed_ports: ["80/tcp".to_owned(), "53/udp".to_owned()].into(),
            ..ContainerConfig::default()
        };
        let shown = wanted(&config, &host).map(|list| {
            list.iter()
                .map(|one| {
                    let address = one.address.map_or("*".to_owned(), |ip| ip.to_string());
                    let ports =
                        one.ports.clone().map_or("?".to_owned(), |ports| format!("{ports:?}"));
                    format!("{address}:{ports}->{}/{}", one.container_port, one.protocol)
                })
                .collect::<Vec<_>>()
                .join(" ")
        });
        match (shown, want) {
            (Ok(shown), Ok(want)) => assert_eq!(shown, want),
            (Err(fault), Err(want)) => assert_eq!(fault.message(), want),
            (shown, want) => panic!("{shown:?} is not {want:?}"),
        }
    }

    #[test]
    fn bindings_become_wishes() {
        check(&[("80/tcp", "", "8080")], false, Ok("*:8080..=8080->80/tcp"));
        check(&[("80/tcp", "127.0.0.1", "")], false, Ok("127.0.0.1:?->80/tcp"));
        check(&[("80", "[::1]", "1-3")], true, Ok("::1:1..=3->80/tcp *:?->53/udp"));
        check(&[("80/tcp", "x", "1")], false, Err("invalid IP address: x"));
        check(&[("80/tcp", "", "9-1")], false, Err("invalid port specification: \"9-1\""));
        check(&[("80/tcp", "", "70000")], false, Err("invalid port specification: \"70000\""));
        check(&[("0/tcp", "", "1")], false, Err("invalid port specification: 0/tcp"));
        check(&[("80/icmp", "", "1")], false, Err("invalid proto: icmp"));
    }

    #[test]
    fn a_port_on_all_addresses_is_taken_on_each() {
        let mut ports = Ports::default();
        let port = |ip: &str| PublishedPort {
            container_port: 1,
            protocol: "tcp".to_owned(),
            host_ip: ip.parse().unwrap(),
            host_port: 80,
        };
        ports.take(&port("10.0.0.1"), "a");
        let holder = |ports: &Ports, ip: &str| {
            ports.holder(ip.parse().unwrap(), "tcp", 80).map(str::to_owned)
        };
        assert_eq!(holder(&ports, "10.0.0.2"), None);
        assert_eq!(holder(&ports, "0.0.0.0").as_deref(), Some("a"));
        assert_eq!(holder(&ports, "::"), None);
        ports.take(&port("::"), "b");
        assert_eq!(holder(&ports, "::1").as_deref(), Some("b"));
        ports.free(&[port("10.0.0.1")], "a");
        assert_eq!(holder(&ports, "0.0.0.0"), None);
    }

    #[test]
    fn free_ports_are_tried_in_turn() {
        let mut ports = Ports::default();
        let wish = Wanted { container_port: 1, protocol: "tcp".into(), address: None, ports: None };
        assert_eq!(ports.candidates(&wish, &(5..=7)), [5, 6, 7]);
        assert_eq!(ports.candidates(&wish, &(5..=7)), [6, 7, 5]);
        ports.used(7);
        assert_eq!(ports.candidates(&wish, &(5..=7)), [5, 6, 7]);
    }
}
