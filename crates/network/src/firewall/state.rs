//! Pure: what is to be true: networks, published ports, who may enter. Plain values; the engine makes them from its records.

use super::FirewallError;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Proto {
    /// Its number in an IP header.
    pub fn number(self) -> u8 {
        match self {
            Proto::Tcp => 6,
            Proto::Udp => 17,
            Proto::Sctp => 132,
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
            Proto::Sctp => "sctp",
        })
    }
}

/// How packets leave a network for elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outgoing {
    /// With the address of the host's interface that they leave by.
    #[default]
    Masquerade,
    /// With this address of the host.
    From(IpAddr),
    /// With the container's own address: others have a route back.
    Routed,
}

/// A bridge network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The name of its bridge.
    pub bridge: String,
    /// Its subnets, at most a few of each family.
    pub subnets: Vec<IpNet>,
    /// The bridge's own addresses.
    pub gateways: Vec<IpAddr>,
    /// Nothing goes beyond the bridge, and nothing comes in from there.
    pub internal: bool,
    /// Containers reach each other. When not, only published ports and [`Link`]s are reached.
    pub icc: bool,
    /// Hosts that have a route to the bridge reach every port of its containers.
    pub direct: bool,
    /// How IPv4 leaves.
    pub outgoing4: Outgoing,
    /// How IPv6 leaves.
    pub outgoing6: Outgoing,
}

impl Network {
    /// An ordinary network on this bridge.
    pub fn new(bridge: &str, subnets: Vec<IpNet>, gateways: Vec<IpAddr>) -> Network {
        Network {
            bridge: bridge.to_owned(),
            subnets,
            gateways,
            internal: false,
            icc: true,
            direct: false,
            outgoing4: Outgoing::Masquerade,
            outgoing6: Outgoing::Masquerade,
        }
    }

    pub(super) fn check(&self) -> Result<(), FirewallError> {
        check_name("bridge", &self.bridge, 15)?;
        let wrong = |outgoing, v4| matches!(outgoing, Outgoing::From(address) if IpAddr::is_ipv4(&address) != v4);
        if wrong(self.outgoing4, true) || wrong(self.outgoing6, false) {
            return Err(FirewallError::Families { bridge: self.bridge.clone() });
        }
        Ok(())
    }
}

/// A port of the host that leads to a port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Published {
    /// The host's address; none, `0.0.0.0` and `::` mean every address of the container address's family.
    pub host: Option<IpAddr>,
    /// The host's port.
    pub port: u16,
    /// The protocol.
    pub proto: Proto,
    /// The container's address and port.
    pub to: SocketAddr,
}

impl Published {
    /// The host's address when it is a certain one.
    pub(super) fn certain_host(&self) -> Option<IpAddr> {
        self.host.filter(|host| !host.is_unspecified())
    }

    pub(super) fn check(&self) -> Result<(), FirewallError> {
        if self.host.is_some_and(|host| host.is_ipv4() != self.to.is_ipv4()) {
            return Err(FirewallError::PublishedFamilies { published: *self });
        }
        if self.port == 0 || self.to.port() == 0 {
            return Err(FirewallError::PortZero { published: *self });
        }
        Ok(())
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = if self.to.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let host = SocketAddr::new(self.host.unwrap_or(any), self.port);
        write!(f, "{host}->{}/{}", self.to, self.proto)
    }
}

/// A port of a container that another one reaches although their network keeps containers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Who asks.
    pub from: IpAddr,
    /// Who answers.
    pub to: IpAddr,
    /// The protocol.
    pub proto: Proto,
    /// The port of who answers.
    pub port: u16,
}

/// All that is to be true of a daemon's networks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Its networks.
    pub networks: Vec<Network>,
    /// Its published ports.
    pub published: Vec<Published>,
    /// Its links.
    pub links: Vec<Link>,
}

impl State {
    pub(super) fn check(&self) -> Result<(), FirewallError> {
        self.networks.iter().try_for_each(Network::check)?;
        self.published.iter().try_for_each(Published::check)
    }
}

/// What holds for a whole daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FirewallOptions {
    /// When set, published ports take new connections from other machines and from other containers only when their
    /// address is in one of these; the host itself always enters.
    pub explicit: Option<Vec<IpNet>>,
}

/// Names go into rules and into `/proc` paths: letters, digits, `-`, `_` and `.` only.
pub(super) fn check_name(what: &'static str, name: &str, most: usize) -> Result<(), FirewallError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && name.len() <= most && name.bytes().all(fits) {
        Ok(())
    } else {
        Err(FirewallError::Name { what, name: name.to_owned() })
    }
}
