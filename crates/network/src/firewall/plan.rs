//! Pure: a table of packet rules as a value, and how `nft` would write it.

use super::state::Proto;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A table of family `inet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its maps and sets.
    pub maps: Vec<Map>,
    /// Its chains, those that others jump to first.
    pub chains: Vec<Chain>,
}

/// What a map or set is keyed by and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapKind {
    /// Interface name to a jump.
    Interfaces,
    /// IPv4 address, protocol, port to address and port.
    Host4,
    /// IPv6 address, protocol, port to address and port.
    Host6,
    /// Protocol, port to IPv4 address and port.
    Any4,
    /// Protocol, port to IPv6 address and port.
    Any6,
    /// Protocol, port to IPv6 address.
    Address6,
    /// Protocol, port to port.
    Port,
    /// A set of: source address, destination address, protocol, port; IPv4.
    Links4,
    /// The same for IPv6.
    Links6,
}

/// A named map or set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Its name.
    pub name: &'static str,
    /// Its types.
    pub kind: MapKind,
    /// What is in it.
    pub elements: Vec<Element>,
}

/// What is in a map or set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// Packets of this interface go to that chain.
    Jump(String, String),
    /// A host's address and port leads to a container's.
    Host(IpAddr, Proto, u16, SocketAddr),
    /// A port leads to a container's.
    Any(Proto, u16, SocketAddr),
    /// A port leads to an address.
    Address(Proto, u16, Ipv6Addr),
    /// A port leads to another.
    Port(Proto, u16, u16),
    /// From one container to another.
    Link(IpAddr, IpAddr, Proto, u16),
}

/// Where packets enter a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// As they come in.
    Prerouting,
    /// On their way to the host's own sockets.
    Input,
    /// On their way through.
    Forward,
    /// As the host's own processes send them.
    Output,
    /// As they leave.
    Postrouting,
}

/// What makes a chain a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// `filter`, `nat` or `route`.
    pub kind: &'static str,
    /// Where.
    pub hook: Hook,
    /// Before or after whom.
    pub priority: i32,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where packets enter, or none when others jump to it.
    pub base: Option<Base>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A rule: all parts match, the last one says what is done.
pub type Rule = Vec<Part>;

/// A part of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Came in by this interface.
    From(String),
    /// Leaves by another interface.
    NotTo(String),
    /// Goes where the map says for the interface that it came in by.
    FromMap(&'static str),
    /// Goes where the map says for the interface that it leaves by.
    ToMap(&'static str),
    /// Is addressed to the host itself.
    ForHost,
    /// Belongs to a connection that is known, or is an error about one.
    Known,
    /// Belongs to a connection whose destination was translated.
    Translated,
    /// Comes from there.
    Source(IpNet),
    /// Goes there.
    Destination(IpNet),
    /// Is allowed by a set of links; true for IPv6.
    Linked(&'static str, bool),
    /// Destination translated by a map that is keyed by address, protocol and port; true for IPv6.
    TranslateHost(&'static str, bool),
    /// Destination translated by a map that is keyed by protocol and port; true for IPv6.
    TranslateAny(&'static str, bool),
    /// Is of this protocol.
    Of(Proto),
    /// Answers a connection that began here.
    Answer,
    /// The IPv6 destination is rewritten by a map that is keyed by protocol and port.
    DestinationBy(&'static str, Proto),
    /// The IPv6 source is, keyed by protocol and destination port.
    SourceBy(&'static str, Proto),
    /// The destination port is.
    PortBy(&'static str, Proto),
    /// The source port becomes the end of the IPv6 destination, and both addresses `::1`.
    ReturnToLoopback(Proto),
    /// Source becomes the address of the interface it leaves by.
    Masquerade,
    /// Source becomes this address.
    SourceBecomes(IpAddr),
    /// Goes on in that chain, and comes back.
    Jump(String),
    /// Goes back.
    Return,
    /// Is fine as far as this table is asked.
    Accept,
    /// Is thrown away.
    Drop,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {} {{", self.name)?;
        for map in &self.maps {
            write!(f, "{map}")?;
        }
        for chain in &self.chains {
            write!(f, "{chain}")?;
        }
        writeln!(f, "}}")
    }
}

impl MapKind {
    /// Whether it gives something, or is a set.
    pub fn is_map(self) -> bool {
        !matches!(self, MapKind::Links4 | MapKind::Links6)
    }

    fn text(self) -> &'static str {
        match self {
            MapKind::Interfaces => "ifname : verdict",
            MapKind::Host4 => "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
            MapKind::Host6 => "ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
            MapKind::Any4 => "inet_proto . inet_service : ipv4_addr . inet_service",
            MapKind::Any6 => "inet_proto . inet_service : ipv6_addr . inet_service",
            MapKind::Address6 => "inet_proto . inet_service : ipv6_addr",
            MapKind::Port => "inet_proto . inet_service : inet_service",
            MapKind::Links4 => "ipv4_addr . ipv4_addr . inet_proto . inet_service",
            MapKind::Links6 => "ipv6_addr . ipv6_addr . inet_proto . inet_service",
        }
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.kind.is_map() { "map" } else { "set" };
        writeln!(f, "\t{word} {} {{", self.name)?;
        writeln!(f, "\t\ttype {}", self.kind.text())?;
        if !self.elements.is_empty() {
            let elements: Vec<String> = self.elements.iter().map(Element::to_string).collect();
            writeln!(f, "\t\telements = {{ {} }}", elements.join(",\n\t\t\t     "))?;
        }
        writeln!(f, "\t}}")
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Jump(interface, chain) => write!(f, "\"{interface}\" : jump {chain}"),
            Element::Host(host, proto, port, to) => {
                write!(f, "{host} . {proto} . {port} : {} . {}", to.ip(), to.port())
            }
            Element::Any(proto, port, to) => {
                write!(f, "{proto} . {port} : {} . {}", to.ip(), to.port())
            }
            Element::Address(proto, port, to) => write!(f, "{proto} . {port} : {to}"),
            Element::Port(proto, port, to) => write!(f, "{proto} . {port} : {to}"),
            Element::Link(from, to, proto, port) => write!(f, "{from} . {to} . {proto} . {port}"),
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(base) = self.base {
            let hook = match base.hook {
                Hook::Prerouting => "prerouting",
                Hook::Input => "input",
                Hook::Forward => "forward",
                Hook::Output => "output",
                Hook::Postrouting => "postrouting",
            };
            let (kind, priority) = (base.kind, base.priority);
            writeln!(f, "\t\ttype {kind} hook {hook} priority {priority}; policy accept;")?;
        }
        for rule in &self.rules {
            let parts: Vec<String> = rule.iter().map(Part::to_string).collect();
            writeln!(f, "\t\t{}", parts.join(" "))?;
        }
        writeln!(f, "\t}}")
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = |v6: bool| if v6 { "ip6" } else { "ip" };
        match self {
            Part::From(name) => write!(f, "iifname \"{name}\""),
            Part::NotTo(name) => write!(f, "oifname != \"{name}\""),
            Part::FromMap(map) => write!(f, "iifname vmap @{map}"),
            Part::ToMap(map) => write!(f, "oifname vmap @{map}"),
            Part::ForHost => f.write_str("fib daddr type local"),
            Part::Known => f.write_str("ct state established,related"),
            Part::Translated => f.write_str("ct status dnat"),
            Part::Source(net) => write!(f, "{} saddr {}", ip(is_v6(net)), short(net)),
            Part::Destination(net) => write!(f, "{} daddr {}", ip(is_v6(net)), short(net)),
            Part::Linked(set, v6) => {
                let ip = ip(*v6);
                write!(f, "{ip} saddr . {ip} daddr . meta l4proto . th dport @{set}")
            }
            Part::TranslateHost(map, v6) => {
                let ip = ip(*v6);
                write!(f, "dnat {ip} to {ip} daddr . meta l4proto . th dport map @{map}")
            }
            Part::TranslateAny(map, v6) => {
                let family = if *v6 { "ipv6" } else { "ipv4" };
                let ip = ip(*v6);
                write!(f, "meta nfproto {family} dnat {ip} to meta l4proto . th dport map @{map}")
            }
            Part::Of(proto) => write!(f, "meta l4proto {proto}"),
            Part::Answer => f.write_str("ct direction reply"),
            Part::DestinationBy(map, proto) => {
                write!(f, "ip6 daddr set meta l4proto . {proto} dport map @{map}")
            }
            Part::SourceBy(map, proto) => {
                write!(f, "ip6 saddr set meta l4proto . {proto} dport map @{map}")
            }
            Part::PortBy(map, proto) => {
                write!(f, "{proto} dport set meta l4proto . {proto} dport map @{map}")
            }
            Part::ReturnToLoopback(proto) => {
                write!(f, "{proto} sport set @nh,304,16 ip6 saddr set ::1 ip6 daddr set ::1")
            }
            Part::Masquerade => f.write_str("masquerade"),
            Part::SourceBecomes(to) => write!(f, "snat {} to {to}", ip(to.is_ipv6())),
            Part::Jump(chain) => write!(f, "jump {chain}"),
            Part::Return => f.write_str("return"),
            Part::Accept => f.write_str("accept"),
            Part::Drop => f.write_str("drop"),
        }
    }
}

/// A prefix that is one address is written as one.
fn short(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// Whether a prefix is of IPv6.
pub fn is_v6(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(_))
}

/// `127.0.0.0/8`.
pub fn loopback4() -> IpNet {
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8)
}

/// `::1/128`.
pub fn loopback6() -> IpNet {
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)
}
