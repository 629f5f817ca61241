//! Acts: the nftables table inside a container's network that leads questions for 127.0.0.11 to our resolver's ports.
//!
//! ```text
//! table ip naru-resolver {
//!     chain questions {
//!         type filter hook output priority -300
//!         ip daddr 127.0.0.11 udp dport 53 udp dport set UDP
//!         ip daddr 127.0.0.11 tcp dport 53 tcp dport set TCP
//!     }
//!     chain answers {
//!         type filter hook output priority 100
//!         ip saddr 127.0.0.11 udp sport UDP udp sport set 53
//!         ip saddr 127.0.0.11 tcp sport TCP tcp sport set 53
//!     }
//! }
//! ```
//!
//! Ports are rewritten, not translated: translation would make the kernel track every connection of every container once
//! more. Should the container itself have connections tracked (at -200), it is between the two that they are seen, with
//! the same port in both directions.
//!
//! The table's user data holds the two ports, so that the next daemon can have them again without any change.

use crate::dns::ADDRESS;
use crate::link::LinkError;
use naru_kernel::netlink::{self, Message, Netlink, attributes, flags};

const TABLE: &str = "naru-resolver";
const QUESTIONS: &str = "questions";
const ANSWERS: &str = "answers";

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const GET_TABLE: u16 = SUBSYSTEM << 8 | 1;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

const IPV4: u8 = 2;
const LOCAL_OUT: u32 = 3;
/// -300, before connections are tracked, and 100, behind it.
const BEFORE_TRACKING: u32 = 300_u32.wrapping_neg();
const BEHIND_TRACKING: u32 = 100;
/// Where the two ports lie in the header of both protocols.
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;
/// Where the addresses lie in the header of IPv4.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
const DNS: u16 = 53;
const TABLE_NAME: u16 = 1;
const TABLE_USER_DATA: u16 = 6;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ENOENT: i32 = 2;

/// The ports of the resolver's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) udp: u16,
    pub(super) tcp: u16,
}

/// What is there in this thread's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Current {
    /// No table of ours.
    Absent,
    /// A table of ours, and the ports to which it leads questions, if it says so in our way.
    Present(Option<Ports>),
}

/// Where questions are led now, in this thread's namespace.
pub(super) fn current() -> Result<Current, LinkError> {
    let attempted = |error| LinkError::new("look at the redirection of DNS in a container", error);
    let mut socket = Netlink::open(netlink::NETFILTER).map_err(|error| attempted(error.into()))?;
    let message = Message::new(GET_TABLE, flags::ACK).raw(&fixed(IPV4, 0)).text(TABLE_NAME, TABLE);
    match socket.ask(message) {
        Ok(answers) => Ok(Current::Present(
            answers
                .iter()
                .filter_map(|answer| answer.body.get(4..))
                .flat_map(attributes)
                .find(|(kind, _)| *kind == TABLE_USER_DATA)
                .and_then(|(_, value)| read_ports(value)),
        )),
        Err(error) if error.errno() == ENOENT => Ok(Current::Absent),
        Err(error) => Err(attempted(error)),
    }
}

/// Leads questions to these ports, in one step; `before` says whether there is a table to be replaced. A removal makes the
/// kernel wait for readers, so it is only asked for when there is something to remove.
pub(super) fn replace(ports: Ports, before: bool) -> Result<(), LinkError> {
    let attempted = |error| LinkError::new("redirect DNS in a container", error);
    let mut socket = Netlink::open(netlink::NETFILTER).map_err(|error| attempted(error.into()))?;
    socket.batch(messages(ports, before)).map(drop).map_err(attempted)
}

fn messages(ports: Ports, before: bool) -> Vec<Message> {
    let subject = |kind, with| Message::new(kind, with).raw(&fixed(IPV4, 0));
    let mut messages = vec![Message::new(BATCH_BEGIN, 0).raw(&fixed(0, SUBSYSTEM))];
    if before {
        // Made first, because somebody may have removed it since, and what is not there cannot be removed.
        messages.push(subject(NEW_TABLE, flags::CREATE).text(TABLE_NAME, TABLE));
        messages.push(subject(DELETE_TABLE, 0).text(TABLE_NAME, TABLE));
    }
    messages.push(
        subject(NEW_TABLE, flags::CREATE)
            .text(TABLE_NAME, TABLE)
            .bytes(TABLE_USER_DATA, &write_ports(ports)),
    );
    for (name, priority) in [(QUESTIONS, BEFORE_TRACKING), (ANSWERS, BEHIND_TRACKING)] {
        messages.push(
            subject(NEW_CHAIN, flags::CREATE)
                .text(1, TABLE)
                .text(3, name)
                .nest(4, |hook| hook.be32(1, LOCAL_OUT).be32(2, priority))
                .text(7, "filter"),
        );
    }
    for (protocol, port, with) in [(UDP, ports.udp, 0), (TCP, ports.tcp, flags::ACK)] {
        let rewrite =
            |chain, address, at, from, to| Rewrite { chain, protocol, address, at, from, to };
        messages.push(rewrite(QUESTIONS, DESTINATION, DESTINATION_PORT, DNS, port).rule(0));
        messages.push(rewrite(ANSWERS, SOURCE, SOURCE_PORT, port, DNS).rule(with));
    }
    messages.push(Message::new(BATCH_END, 0).raw(&fixed(0, SUBSYSTEM)));
    messages
}

/// What every message of netfilter begins with: family, version 0, and a number in the network's order.
fn fixed(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// A rule that rewrites one port of packets to or from the resolver's address.
#[derive(Debug, Clone, Copy)]
struct Rewrite {
    chain: &'static str,
    protocol: u8,
    /// Where the resolver's address lies.
    address: u32,
    /// Where the port lies.
    at: u32,
    from: u16,
    to: u16,
}

impl Rewrite {
    fn rule(self, with: u16) -> Message {
        const NETWORK_HEADER: u32 = 1;
        const TRANSPORT_HEADER: u32 = 2;
        const PROTOCOL_KEY: u32 = 16;
        const INTERNET_CHECKSUM: u32 = 1;
        let checksum = if self.protocol == UDP { 6 } else { 16 };
        Message::new(NEW_RULE, with | flags::CREATE | flags::APPEND)
            .raw(&fixed(IPV4, 0))
            .text(1, TABLE)
            .text(2, self.chain)
            .nest(4, |rule| {
                let rule = load(rule, NETWORK_HEADER, self.address, 4);
                let rule = equal(rule, &ADDRESS.octets());
                let rule = expression(rule, "meta", |meta| meta.be32(1, 1).be32(2, PROTOCOL_KEY));
                let rule = equal(rule, &[self.protocol]);
                let rule = load(rule, TRANSPORT_HEADER, self.at, 2);
                let rule = equal(rule, &self.from.to_be_bytes());
                let rule = expression(rule, "immediate", |put| {
                    put.be32(1, 1).nest(2, |data| data.bytes(1, &self.to.to_be_bytes()))
                });
                // From register 1 into the packet, and the checksum with it.
                expression(rule, "payload", |store| {
                    store
                        .be32(5, 1)
                        .be32(2, TRANSPORT_HEADER)
                        .be32(3, self.at)
                        .be32(4, 2)
                        .be32(6, INTERNET_CHECKSUM)
                        .be32(7, checksum)
                })
            })
    }
}

fn expression(rule: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    rule.nest(1, |element| element.text(1, name).nest(2, data))
}

/// Loads bytes of a packet into register 1.
fn load(rule: Message, base: u32, offset: u32, length: u32) -> Message {
    expression(rule, "payload", |load| {
        load.be32(1, 1).be32(2, base).be32(3, offset).be32(4, length)
    })
}

/// Goes on only if register 1 holds these bytes.
fn equal(rule: Message, bytes: &[u8]) -> Message {
    expression(rule, "cmp", |cmp| cmp.be32(1, 1).be32(2, 0).nest(3, |data| data.bytes(1, bytes)))
}

fn write_ports(ports: Ports) -> [u8; 4] {
    let [a, b] = ports.udp.to_be_bytes();
    let [c, d] = ports.tcp.to_be_bytes();
    [a, b, c, d]
}

fn read_ports(bytes: &[u8]) -> Option<Ports> {
    let [a, b, c, d] = <[u8; 4]>::try_from(bytes).ok()?;
    let ports = Ports { udp: u16::from_be_bytes([a, b]), tcp: u16::from_be_bytes([c, d]) };
    (ports.udp != 0 && ports.tcp != 0).then_some(ports)
}
