//! Pure: which rules make a [`State`] true.
//!
//! ```text
//! prerouting  raw     from a bridge: no address of 127.0.0.0/8            guard
//! output      route   between ends of ::1: the way of published ports out of loopback, before connections are tracked
//! input       last    and back
//! prerouting  dnat    for the host itself: publish                        never 127.0.0.0/8, which only the host may use
//! output      dnat    for the host itself: publish
//! forward     filter  from-BRIDGE (internal: nothing leaves), to-BRIDGE   known, own, linked, published; the rest is dropped
//! postrouting snat    into-BRIDGE (loopback, hairpin), outof-BRIDGE (masquerade)
//! ```
//!
//! Every packet passes at most a map look-up a hook, however many networks and ports there are. An `accept` here ends only
//! the walk through this table's chain at that hook: other tables are asked too, and their drop holds.

use super::plan::{
    Base, Chain, Element, Hook, Map, MapKind, Part, Rule, Table, is_v6, loopback4, loopback6,
};
use super::state::{FirewallOptions, Link, Network, Outgoing, Proto, Published, State};
use ipnet::Ipv6Net;
use std::net::{IpAddr, Ipv6Addr};

/// Before the host's own filters: what we drop need not be judged, what we pass is.
const FORWARD: i32 = -10;
const RAW: i32 = -300;
const DSTNAT: i32 = -100;
const SRCNAT: i32 = 100;
/// Before connections are tracked (-200): what is tracked is the packet that leaves.
const LEAVE: i32 = -250;
/// After the host's own filters: they see the answer as one to the packet that left.
const RETURN: i32 = 250;

/// The maps from interfaces to chains: map, prefix of the chain's name.
pub const JUMPS: [(&str, &str); 4] =
    [("from", "from-"), ("to", "to-"), ("into", "into-"), ("outof", "outof-")];
/// The map of bridges whose packets are looked at for addresses that only the host may use.
pub const GUARDED: &str = "guarded";

const LEAVE_TO: &str = "leave-to";
const LEAVE_PORT: &str = "leave-port";
const LEAVE_AS: &str = "leave-as";
/// Protocols whose packets between ends of `::1` are rewritten; the checksum of SCTP is another one.
const LEAVING: [Proto; 2] = [Proto::Tcp, Proto::Udp];

/// The whole table.
pub fn table(name: &str, options: &FirewallOptions, state: &State) -> Table {
    let mut maps = vec![
        Map { name: GUARDED, kind: MapKind::Interfaces, elements: Vec::new() },
        Map { name: "from", kind: MapKind::Interfaces, elements: Vec::new() },
        Map { name: "to", kind: MapKind::Interfaces, elements: Vec::new() },
        Map { name: "into", kind: MapKind::Interfaces, elements: Vec::new() },
        Map { name: "outof", kind: MapKind::Interfaces, elements: Vec::new() },
        Map { name: "host4", kind: MapKind::Host4, elements: Vec::new() },
        Map { name: "any4", kind: MapKind::Any4, elements: Vec::new() },
        Map { name: "host6", kind: MapKind::Host6, elements: Vec::new() },
        Map { name: "any6", kind: MapKind::Any6, elements: Vec::new() },
        Map { name: LEAVE_TO, kind: MapKind::Address6, elements: Vec::new() },
        Map { name: LEAVE_PORT, kind: MapKind::Port, elements: Vec::new() },
        Map { name: LEAVE_AS, kind: MapKind::Address6, elements: Vec::new() },
        Map { name: "links4", kind: MapKind::Links4, elements: Vec::new() },
        Map { name: "links6", kind: MapKind::Links6, elements: Vec::new() },
    ];
    let mut all: Vec<(&str, Element)> = Vec::new();
    for network in &state.networks {
        all.extend(network_elements(&network.bridge));
    }
    all.extend(state.published.iter().flat_map(|one| published_elements(name, one)));
    all.extend(state.links.iter().map(link_element));
    for map in &mut maps {
        let mine = all.iter().filter(|(name, _)| *name == map.name);
        map.elements = mine.map(|(_, element)| element.clone()).collect();
        map.elements.sort();
        map.elements.dedup();
    }
    let mut chains = fixed_chains(options);
    chains.extend(state.networks.iter().flat_map(|network| network_chains(name, network)));
    chains.extend(base_chains());
    chains.extend(loopback_chains(name));
    Table { name: name.to_owned(), maps, chains }
}

/// The elements that lead to a network's chains.
pub fn network_elements(bridge: &str) -> Vec<(&'static str, Element)> {
    let jump = |chain: String| Element::Jump(bridge.to_owned(), chain);
    let mut elements = vec![(GUARDED, jump("guard".to_owned()))];
    elements.extend(JUMPS.map(|(map, prefix)| (map, jump(format!("{prefix}{bridge}")))));
    elements
}

/// Maps and elements of a published port.
pub fn published_elements(table: &str, published: &Published) -> Vec<(&'static str, Element)> {
    let Published { port, proto, to, .. } = *published;
    let host = published.certain_host();
    let mut elements = vec![match (host, to.is_ipv4()) {
        (Some(host), true) => ("host4", Element::Host(host, proto, port, to)),
        (Some(host), false) => ("host6", Element::Host(host, proto, port, to)),
        (None, true) => ("any4", Element::Any(proto, port, to)),
        (None, false) => ("any6", Element::Any(proto, port, to)),
    }];
    let on_loopback = host.is_none_or(|host| host == IpAddr::V6(Ipv6Addr::LOCALHOST));
    if let (IpAddr::V6(address), true, true) = (to.ip(), on_loopback, LEAVING.contains(&proto)) {
        let from = Ipv6Addr::from_bits(loopback_prefix(table).addr().to_bits() | u128::from(port));
        elements.push((LEAVE_TO, Element::Address(proto, port, address)));
        elements.push((LEAVE_PORT, Element::Port(proto, port, to.port())));
        elements.push((LEAVE_AS, Element::Address(proto, port, from)));
    }
    elements
}

/// Set and element of a link.
pub fn link_element(link: &Link) -> (&'static str, Element) {
    let set = if link.to.is_ipv4() { "links4" } else { "links6" };
    (set, Element::Link(link.from, link.to, link.proto, link.port))
}

/// The chains of a network.
pub fn network_chains(table: &str, network: &Network) -> Vec<Chain> {
    let bridge = || network.bridge.clone();
    let chain =
        |prefix: &str, rules| Chain { name: format!("{prefix}{}", bridge()), base: None, rules };
    let mut from: Vec<Rule> = Vec::new();
    if network.internal {
        from.push(vec![Part::NotTo(bridge()), Part::Drop]);
    }
    let mut to: Vec<Rule> = vec![vec![Part::Known, Part::Accept]];
    if network.icc {
        to.push(vec![Part::From(bridge()), Part::Accept]);
    } else {
        to.push(vec![Part::From(bridge()), Part::Linked("links4", false), Part::Accept]);
        to.push(vec![Part::From(bridge()), Part::Linked("links6", true), Part::Accept]);
    }
    if !network.internal {
        to.push(vec![Part::Translated, Part::Jump("enter".to_owned())]);
    }
    if network.direct && !network.internal {
        to.push(vec![Part::Accept]);
    }
    to.push(vec![Part::Drop]);
    // What comes from the bridge and goes back into it would be answered directly, past the translation. It is told by
    // its source: where bridged packets pass these rules, the interface that they came in by is not known any more.
    let mut into: Vec<Rule> = vec![
        vec![Part::Source(loopback4()), Part::Masquerade],
        vec![Part::Source(loopback_prefix(table).into()), Part::Masquerade],
    ];
    into.extend(
        network
            .subnets
            .iter()
            .map(|subnet| vec![Part::Source(subnet.trunc()), Part::Translated, Part::Masquerade]),
    );
    let mut outof: Vec<Rule> = Vec::new();
    for subnet in &network.subnets {
        let outgoing = if is_v6(subnet) { network.outgoing6 } else { network.outgoing4 };
        let done = match outgoing {
            Outgoing::Masquerade => Part::Masquerade,
            Outgoing::From(address) => Part::SourceBecomes(address),
            Outgoing::Routed => continue,
        };
        outof.push(vec![Part::NotTo(bridge()), Part::Source(subnet.trunc()), done]);
    }
    vec![chain("from-", from), chain("to-", to), chain("into-", into), chain("outof-", outof)]
}

fn fixed_chains(options: &FirewallOptions) -> Vec<Chain> {
    let chain = |name: &str, rules| Chain { name: name.to_owned(), base: None, rules };
    let enter = match &options.explicit {
        None => vec![vec![Part::Accept]],
        Some(sources) => sources
            .iter()
            .map(|source| vec![Part::Source(source.trunc()), Part::Accept])
            .chain([vec![Part::Drop]])
            .collect(),
    };
    vec![
        chain(
            "guard",
            vec![
                vec![Part::Source(loopback4()), Part::Drop],
                vec![Part::Destination(loopback4()), Part::Drop],
            ],
        ),
        chain(
            "publish",
            vec![
                vec![Part::TranslateHost("host4", false)],
                vec![Part::TranslateAny("any4", false)],
                vec![Part::TranslateHost("host6", true)],
                vec![Part::TranslateAny("any6", true)],
            ],
        ),
        chain("enter", enter),
    ]
}

/// Addresses that stand for `::1` outside of loopback, one a port, of this table.
///
/// The kernel takes no packet for `::1` from an interface, and unlike for `127.0.0.0/8` it has no switch for that; where
/// bridged packets pass the rules, the answer is translated before it is looked at. So the packet is rewritten, not
/// translated: its source becomes one of these, which are the host's own, and the answer to it is rewritten back when it
/// has come in. The port that was asked for is the end of the address, so nothing needs to be remembered.
pub fn loopback_prefix(table: &str) -> Ipv6Net {
    let mut octets = [0; 16];
    let hashes = [fnv1a(table.bytes()), fnv1a(table.bytes().chain(*b" loopback"))];
    let bytes = hashes.into_iter().flat_map(u64::to_be_bytes);
    for (to, from) in octets.iter_mut().zip([0xfd].into_iter().chain(bytes)).take(14) {
        *to = from;
    }
    Ipv6Net::new_assert(octets.into(), 112)
}

fn loopback_chains(table: &str) -> Vec<Chain> {
    let prefix = loopback_prefix(table);
    let (mut leave, mut back): (Vec<Rule>, Vec<Rule>) = (Vec::new(), Vec::new());
    for proto in LEAVING {
        leave.push(vec![
            Part::Of(proto),
            Part::Source(loopback6()),
            Part::Destination(loopback6()),
            Part::DestinationBy(LEAVE_TO, proto),
            Part::SourceBy(LEAVE_AS, proto),
            Part::PortBy(LEAVE_PORT, proto),
        ]);
        back.push(vec![
            Part::Of(proto),
            Part::Destination(prefix.into()),
            Part::Answer,
            Part::ReturnToLoopback(proto),
            Part::Accept,
        ]);
    }
    // Nobody else has anything to say to these.
    back.push(vec![Part::Destination(prefix.into()), Part::Drop]);
    vec![
        base("leave-loopback", ("route", Hook::Output, LEAVE), leave),
        base("return-to-loopback", ("filter", Hook::Input, RETURN), back),
    ]
}

fn base(name: &str, base: (&'static str, Hook, i32), rules: Vec<Rule>) -> Chain {
    Chain {
        name: name.to_owned(),
        base: Some(Base { kind: base.0, hook: base.1, priority: base.2 }),
        rules,
    }
}

/// FNV-1a; against accidents, not against somebody who forges it.
pub fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn base_chains() -> Vec<Chain> {
    let publish = || vec![Part::ForHost, Part::Jump("publish".to_owned())];
    vec![
        base("raw", ("filter", Hook::Prerouting, RAW), vec![vec![Part::FromMap(GUARDED)]]),
        base(
            "prerouting",
            ("nat", Hook::Prerouting, DSTNAT),
            // Whatever brings a packet for 127.0.0.0/8 in from outside, a port that is published there stays the host's.
            vec![vec![Part::Destination(loopback4()), Part::Return], publish()],
        ),
        base("output", ("nat", Hook::Output, DSTNAT), vec![publish()]),
        base(
            "forward",
            ("filter", Hook::Forward, FORWARD),
            vec![vec![Part::FromMap("from")], vec![Part::ToMap("to")]],
        ),
        base(
            "postrouting",
            ("nat", Hook::Postrouting, SRCNAT),
            vec![vec![Part::ToMap("into")], vec![Part::FromMap("outof")]],
        ),
    ]
}
