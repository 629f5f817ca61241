//! Pure: what the kernel says of links, read.

use super::wire::{self, read_text, read_u8, read_u32, read_u64};
use crate::ipam::Mac;
use ipnet::IpNet;
use naru_kernel::netlink::{Answer, attributes};

/// A link: an interface of a network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in the namespace; never 0.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What made it: `bridge`, `veth`, `macvlan`, …; empty for hardware and loopback.
    pub kind: String,
    /// Its hardware address, if it is an Ethernet one.
    pub mac: Option<Mac>,
    /// Its largest packet.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whether packets pass: it is up, and so is what it is connected to.
    pub operational: bool,
    /// Whether it is a loopback.
    pub loopback: bool,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
    /// Its lower link or its other end, whose index may count in another namespace.
    pub lower: Option<u32>,
    /// Its alias: the mark of who made it, when we did.
    pub alias: Option<String>,
    /// Whether it is a port of a bridge that forwards what comes.
    pub forwarding: bool,
    /// Its addresses with prefix; filled by [`super::Links::list`].
    pub addresses: Vec<IpNet>,
}

/// What went through a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets received with errors.
    pub rx_errors: u64,
    /// Packets that were received and thrown away.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets that were thrown away instead of sent.
    pub tx_dropped: u64,
}

pub(super) fn links(answers: &[Answer]) -> Vec<Link> {
    answers
        .iter()
        .filter(|answer| answer.kind == wire::RTM_NEWLINK)
        .filter_map(|answer| link(&answer.body))
        .collect()
}

/// One link; none when it is a bridge's news of a port, or not to be read.
pub(super) fn link(body: &[u8]) -> Option<Link> {
    if read_u8(body, 0)? == wire::AF_BRIDGE {
        return None;
    }
    let link_flags = read_u32(body, 8)?;
    let mut link = Link {
        index: read_u32(body, 4)?,
        name: String::new(),
        kind: String::new(),
        mac: None,
        mtu: 0,
        up: link_flags & wire::IFF_UP != 0,
        operational: false,
        loopback: link_flags & wire::IFF_LOOPBACK != 0,
        master: None,
        lower: None,
        alias: None,
        forwarding: false,
        addresses: Vec::new(),
    };
    for (kind, value) in attributes(body.get(wire::IFINFO_LENGTH..)?) {
        match kind {
            wire::IFLA_IFNAME => link.name = read_text(value),
            wire::IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
            wire::IFLA_MTU => link.mtu = read_u32(value, 0)?,
            wire::IFLA_OPERSTATE => {
                // What has no such state at all is loopback and the like.
                link.operational = matches!(value, [wire::OPER_UNKNOWN | wire::OPER_UP]);
            }
            wire::IFLA_MASTER => link.master = read_u32(value, 0),
            wire::IFLA_LINK => link.lower = read_u32(value, 0),
            wire::IFLA_IFALIAS => link.alias = Some(read_text(value)),
            wire::IFLA_LINKINFO => read_kind(&mut link, value),
            _ => {}
        }
    }
    Some(link)
}

fn read_kind(link: &mut Link, bytes: &[u8]) {
    let mut bridge_port = false;
    for (kind, value) in attributes(bytes) {
        match kind {
            wire::INFO_KIND => link.kind = read_text(value),
            wire::INFO_SLAVE_KIND => bridge_port = read_text(value) == "bridge",
            wire::INFO_SLAVE_DATA if bridge_port => {
                link.forwarding = attributes(value).any(|(kind, value)| {
                    kind == wire::BRPORT_STATE && value == [wire::BRPORT_FORWARDING]
                });
            }
            _ => {}
        }
    }
}

/// Counters of every link, loopback left out.
pub(super) fn counters(answers: &[Answer]) -> Vec<(String, Counters)> {
    answers
        .iter()
        .filter(|answer| answer.kind == wire::RTM_NEWLINK)
        .filter_map(|answer| {
            let link = link(&answer.body)?;
            let (_, value) = attributes(answer.body.get(wire::IFINFO_LENGTH..)?)
                .find(|(kind, _)| *kind == wire::IFLA_STATS64)?;
            let field = |n: usize| read_u64(value, n * 8);
            let counters = Counters {
                rx_packets: field(0)?,
                tx_packets: field(1)?,
                rx_bytes: field(2)?,
                tx_bytes: field(3)?,
                rx_errors: field(4)?,
                tx_errors: field(5)?,
                rx_dropped: field(6)?,
                tx_dropped: field(7)?,
            };
            (!link.loopback).then_some((link.name, counters))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cut_off_and_lying_answers_do_no_harm(mut body in prop::collection::vec(any::<u8>(), 0..200), kinds in prop::collection::vec((0..30_u8, 0..12_u8), 0..20)) {
            // Some of it in the shape of attributes, or hardly any would be looked into.
            for (kind, length) in kinds {
                body.extend([length + 4, 0, kind, 0]);
                body.extend(vec![kind; usize::from(length.next_multiple_of(4))]);
            }
            for cut in 0..body.len() {
                let body = body.get(cut..).unwrap();
                let answer = Answer { kind: wire::RTM_NEWLINK, body: body.to_vec() };
                prop_assert!(link(body).is_none_or(|link| link.addresses.is_empty()));
                prop_assert!(counters(&[answer]).len() <= 1);
            }
        }
    }

    #[test]
    fn a_bridges_news_of_a_port_are_not_of_a_link() {
        let mut body = vec![0; wire::IFINFO_LENGTH];
        assert!(link(&body).is_some());
        body[0] = wire::AF_BRIDGE;
        assert!(link(&body).is_none());
    }
}
