//! Acts: connections that the kernel remembers, where they must be forgotten.
//!
//! UDP has no beginning that the kernel could see: a client that sends again and again keeps the way that its first packet
//! took, to nobody or to a container that is gone. Who publishes or withdraws a port has such ways forgotten.

use super::listing::{field, fields};
use super::state::{Proto, Published};
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
    let families = [true, false].into_iter();
    let families = families.filter(|v4| address.is_none_or(|address| address.is_ipv4() == *v4));
    forget(families, |connection| concerns(connection, proto, address, port))
}

/// Has the kernel forget the UDP connections that stand in the way of ports which were just published, or lead on to ports
/// which were just withdrawn: one look at all connections, however many ports there are. Answers how many there were.
pub fn forget_stale(published: &[Published]) -> io::Result<usize> {
    let udp: Vec<&Published> = published.iter().filter(|one| one.proto == Proto::Udp).collect();
    let families = [true, false].into_iter();
    let families = families.filter(|v4| udp.iter().any(|one| one.to.is_ipv4() == *v4));
    forget(families, |connection| udp.iter().any(|one| connection.is_stale(one)))
}

/// Forgets those connections of these families (true is IPv4) that are meant.
fn forget(
    families: impl Iterator<Item = bool>,
    meant: impl Fn(&Connection) -> bool,
) -> io::Result<usize> {
    let mut netlink = Netlink::open(netlink::NETFILTER)?;
    let mut forgotten = 0;
    for v4 in families {
        let fixed = [if v4 { 2 } else { 10 }, 0, 0, 0];
        let answers = match netlink.ask(Message::new(GET, flags::DUMP).raw(&fixed)) {
            // A kernel that tracks nothing has nothing to forget.
            Err(refused) if refused.kind() == io::ErrorKind::Unsupported => continue,
            answers => answers?,
        };
        for answer in answers.iter().filter(|answer| meant(&Connection::of(answer))) {
            let kept = fields(answer).filter(|(kind, _)| [TUPLE_ORIGINAL, ID, ZONE].contains(kind));
            let delete = Message::new(DELETE, flags::ACK).raw(&fixed);
            let message = kept.fold(delete, |message, (kind, value)| {
                let nested = if kind == TUPLE_ORIGINAL { 0x8000 } else { 0 };
                message.bytes(kind | nested, value)
            });
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

/// A connection as it began and as its answers come.
#[derive(Debug, Default, PartialEq, Eq)]
struct Connection {
    original: Tuple,
    reply: Tuple,
}

impl Connection {
    fn of(answer: &Answer) -> Connection {
        let side = |kind| field(answer, kind).map(tuple).unwrap_or_default();
        Connection { original: side(TUPLE_ORIGINAL), reply: side(TUPLE_REPLY) }
    }

    /// Whether it goes to the container's port by a published one, or to the published port without being translated.
    /// What other machines' ports of that number are asked is not meant, as far as it leaves with another address.
    fn is_stale(&self, published: &Published) -> bool {
        if self.original.proto != published.proto.number()
            || self.original.destination_port != published.port
        {
            return false;
        }
        let to = published.to;
        if (self.reply.source, self.reply.source_port) == (Some(to.ip()), to.port()) {
            return true;
        }
        let at_host =
            published.certain_host().is_none_or(|host| self.original.destination == Some(host));
        at_host
            && self.reply.source == self.original.destination
            && self.reply.destination == self.original.source
    }
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

fn concerns(connection: &Connection, proto: Proto, address: Option<IpAddr>, port: u16) -> bool {
    let Connection { original, reply } = connection;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn side(source: &str, destination: &str) -> Tuple {
        let (source, destination): (std::net::SocketAddr, std::net::SocketAddr) =
            (source.parse().unwrap(), destination.parse().unwrap());
        Tuple {
            source: Some(source.ip()),
            destination: Some(destination.ip()),
            proto: 17,
            source_port: source.port(),
            destination_port: destination.port(),
        }
    }

    #[test]
    fn stale_is_what_misses_the_port_or_still_follows_it() {
        let published = Published {
            host: None,
            port: 53,
            proto: Proto::Udp,
            to: "10.0.0.2:5353".parse().unwrap(),
        };
        let at = |host: &str| Published { host: Some(host.parse().unwrap()), ..published };
        let missed = Connection {
            original: side("192.0.2.2:4000", "192.0.2.1:53"),
            reply: side("192.0.2.1:53", "192.0.2.2:4000"),
        };
        let followed = Connection {
            original: side("192.0.2.2:4000", "192.0.2.1:53"),
            reply: side("10.0.0.2:5353", "192.0.2.2:4000"),
        };
        let elsewhere = Connection {
            original: side("10.0.0.3:4000", "9.9.9.9:53"),
            reply: side("9.9.9.9:53", "192.0.2.1:4000"),
        };
        let other = Connection {
            original: side("192.0.2.2:4000", "192.0.2.1:54"),
            reply: side("10.0.0.2:5353", "192.0.2.2:4000"),
        };
        for (connection, any, here, there) in [
            (&missed, true, true, false),
            (&followed, true, true, true),
            (&elsewhere, false, false, false),
            (&other, false, false, false),
        ] {
            assert_eq!(connection.is_stale(&published), any, "{connection:?}");
            assert_eq!(connection.is_stale(&at("192.0.2.1")), here, "{connection:?}");
            assert_eq!(connection.is_stale(&at("192.0.2.7")), there, "{connection:?}");
        }
    }
}
