//! Acts: the nftables table inside a container's network that leads questions for 127.0.0.11 to our resolver's ports.
//!
//! ```text
//! table ip naru-resolver {
//!     chain output {
//!         type nat hook output priority -100
//!         ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:UDP
//!         ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:TCP
//!     }
//! }
//! ```
//!
//! The table's user data holds the two ports, so that the next daemon can have them again without any change.

use super::resolver::RESOLVER_ADDRESS;
use crate::link::LinkError;
use naru_kernel::netlink::{self, Message, Netlink, attributes, flags};

const TABLE: &str = "naru-resolver";
const CHAIN: &str = "output";

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
/// Where destinations are rewritten; -100.
const PRIORITY: u32 = 100_u32.wrapping_neg();
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

/// The ports to which questions are led now, in this thread's namespace.
pub(super) fn current() -> Result<Option<Ports>, LinkError> {
    let attempted = |error| LinkError::new("look at the redirection of DNS in a container", error);
    let mut socket = Netlink::open(netlink::NETFILTER).map_err(|error| attempted(error.into()))?;
    let message = Message::new(GET_TABLE, flags::ACK).raw(&fixed(IPV4, 0)).text(TABLE_NAME, TABLE);
    match socket.ask(message) {
        Ok(answers) => Ok(answers
            .iter()
            .filter_map(|answer| answer.body.get(4..))
            .flat_map(attributes)
            .find(|(kind, _)| *kind == TABLE_USER_DATA)
            .and_then(|(_, value)| read_ports(value))),
        Err(error) if error.errno() == ENOENT => Ok(None),
        Err(error) => Err(attempted(error)),
    }
}

/// Leads questions to these ports, in one step, whatever was there before.
pub(super) fn replace(ports: Ports) -> Result<(), LinkError> {
    let attempted = |error| LinkError::new("redirect DNS in a container", error);
    let mut socket = Netlink::open(netlink::NETFILTER).map_err(|error| attempted(error.into()))?;
    socket.batch(messages(ports)).map(drop).map_err(attempted)
}

fn messages(ports: Ports) -> Vec<Message> {
    let subject = |kind, with| Message::new(kind, with).raw(&fixed(IPV4, 0));
    vec![
        Message::new(BATCH_BEGIN, 0).raw(&fixed(0, SUBSYSTEM)),
        // A table can only be removed when it is there.
        subject(NEW_TABLE, flags::CREATE).text(TABLE_NAME, TABLE),
        subject(DELETE_TABLE, 0).text(TABLE_NAME, TABLE),
        subject(NEW_TABLE, flags::CREATE)
            .text(TABLE_NAME, TABLE)
            .bytes(TABLE_USER_DATA, &write_ports(ports)),
        subject(NEW_CHAIN, flags::CREATE)
            .text(1, TABLE)
            .text(3, CHAIN)
            .nest(4, |hook| hook.be32(1, LOCAL_OUT).be32(2, PRIORITY))
            .text(7, "nat"),
        rule(UDP, ports.udp, flags::CREATE | flags::APPEND),
        rule(TCP, ports.tcp, flags::CREATE | flags::APPEND | flags::ACK),
        Message::new(BATCH_END, 0).raw(&fixed(0, SUBSYSTEM)),
    ]
}

/// What every message of netfilter begins with: family, version 0, and a number in the network's order.
fn fixed(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn rule(protocol: u8, port: u16, with: u16) -> Message {
    const NETWORK_HEADER: u32 = 1;
    const TRANSPORT_HEADER: u32 = 2;
    const PROTOCOL_KEY: u32 = 16;
    const DESTINATION_NAT: u32 = 1;
    Message::new(NEW_RULE, with).raw(&fixed(IPV4, 0)).text(1, TABLE).text(2, CHAIN).nest(
        4,
        |rule| {
            let rule = payload(rule, NETWORK_HEADER, 16, 4);
            let rule = equal(rule, &RESOLVER_ADDRESS.octets());
            let rule = expression(rule, "meta", |meta| meta.be32(1, 1).be32(2, PROTOCOL_KEY));
            let rule = equal(rule, &[protocol]);
            let rule = payload(rule, TRANSPORT_HEADER, 2, 2);
            let rule = equal(rule, &53_u16.to_be_bytes());
            let rule = immediate(rule, 1, &RESOLVER_ADDRESS.octets());
            let rule = immediate(rule, 2, &port.to_be_bytes());
            // Type, family, registers of the address and of the port.
            expression(rule, "nat", |nat| {
                nat.be32(1, DESTINATION_NAT).be32(2, u32::from(IPV4)).be32(3, 1).be32(5, 2)
            })
        },
    )
}

fn expression(rule: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    rule.nest(1, |element| element.text(1, name).nest(2, data))
}

/// Loads bytes of a packet into register 1.
fn payload(rule: Message, base: u32, offset: u32, length: u32) -> Message {
    expression(rule, "payload", |load| {
        load.be32(1, 1).be32(2, base).be32(3, offset).be32(4, length)
    })
}

/// Goes on only if register 1 holds these bytes.
fn equal(rule: Message, bytes: &[u8]) -> Message {
    expression(rule, "cmp", |cmp| cmp.be32(1, 1).be32(2, 0).nest(3, |data| data.bytes(1, bytes)))
}

/// Puts bytes into a register.
fn immediate(rule: Message, register: u32, bytes: &[u8]) -> Message {
    expression(rule, "immediate", |put| put.be32(1, register).nest(2, |data| data.bytes(1, bytes)))
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
