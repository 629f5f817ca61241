//! Acts: connections that the kernel remembers, where they must be forgotten.
//!
//! UDP has no beginning that the kernel could see: a client that sends again and again keeps the way that its first packet
//! took, to nobody or to a container that is gone. Who publishes or withdraws a port has such ways forgotten.

use super::listing::{field, fields};
use super::state::Proto;
use naru_kernel::netlink::{self, Answer, Message, Netlink, attributes, flags};
use std::io;
use std::net::IpAddr;

const CONNTRACK: u16 = 1;
const GET: u16 = (CONNTRACK << 8) | 1;
const DELETE: u16 = (CONNTRACK << 8) | 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;

/// Has the kernel forget the connections of a protocol that go to this port, as the client sees it or as the container
/// does: at this address, or at any when none is given (then only those to the port as the client sees it).
/// Answers how many there were.
pub fn forget_connections(proto: Proto, address: Option<IpAddr>, port: u16) -> io::Result<usize> {
    let mut netlink = Netlink::open(netlink::NETFILTER)?;
    let mut forgotten = 0;
    for family in [2_u8, 10] {
        if address.is_some_and(|address| address.is_ipv4() != (family == 2)) {
            continue;
        }
        let fixed = [family, 0, 0, 0];
        let answers = match netlink.ask(Message::new(GET, flags::DUMP).raw(&fixed)) {
            // A kernel that tracks nothing has nothing to forget.
            Err(refused) if refused.kind() == io::ErrorKind::Unsupported => continue,
            answers => answers?,
        };
        for answer in answers.iter().filter(|answer| concerns(answer, proto, address, port)) {
            let kept = fields(answer).filter(|(kind, _)| [TUPLE_ORIGINAL, ID, ZONE].contains(kind));
            let message = kept.fold(
                Message::new(DELETE, flags::ACK).raw(&fixed),
                |message, (kind, value)| {
                    let nested = if kind == TUPLE_ORIGINAL { 0x8000 } else { 0 };
                    message.bytes(kind | nested, value)
                },
            );
            match netlink.ask(message) {
                Ok(_) => forgotten += 1,
                // It ended by itself.
                Err(refused) if refused.kind() == io::ErrorKind::NotFound => {}
                Err(refused) => return Err(refused.into()),
            }
        }
    }
    Ok(forgotten)
}

/// What one direction of a connection looks like.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tuple {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    proto: u8,
    source_port: u16,
    destination_port: u16,
}

fn tuple(bytes: &[u8]) -> Tuple {
    let mut tuple = Tuple::default();
    let port = |bytes: &[u8]| bytes.try_into().map(u16::from_be_bytes).unwrap_or_default();
    for (kind, value) in attributes(bytes) {
        for (inner, value) in attributes(value) {
            match (kind, inner) {
                (1, 1 | 3) => tuple.source = address(value),
                (1, 2 | 4) => tuple.destination = address(value),
                (2, 1) => tuple.proto = value.first().copied().unwrap_or_default(),
                (2, 2) => tuple.source_port = port(value),
                (2, 3) => tuple.destination_port = port(value),
                _ => {}
            }
        }
    }
    tuple
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_wide| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn concerns(answer: &Answer, proto: Proto, address: Option<IpAddr>, port: u16) -> bool {
    let original = field(answer, TUPLE_ORIGINAL).map(tuple).unwrap_or_default();
    let reply = field(answer, TUPLE_REPLY).map(tuple).unwrap_or_default();
    if original.proto != proto.number() {
        return false;
    }
    match address {
        None => original.destination_port == port,
        Some(_) => {
            (original.destination == address && original.destination_port == port)
                || (reply.source == address && reply.source_port == port)
        }
    }
}
