//! Acts: ports of the host: whether somebody has one, keeping one, choosing one.
//!
//! A published port works without any socket: the kernel translates before it looks for one. A socket is held so that no
//! other process of the host can take the port and wonder why nobody comes. It is bound and does not listen: what is
//! not translated is refused, as it would be without it. It ends with the daemon; the port goes on to work.

use super::state::Proto;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, ipproto, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;

/// Whether a process of the host has this port at this address, or at one that includes it.
pub fn is_bound_on_host(address: IpAddr, proto: Proto, port: u16) -> io::Result<bool> {
    match reserve(address, proto, port) {
        Ok(_socket) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(true),
        Err(error) => Err(error),
    }
}

/// Takes a port of the host, so that no other process does. `AddrInUse` when one has it; `AddrNotAvailable` when the
/// host has no such address. On a host without SCTP nobody can have a port of it: what is answered then holds none.
pub fn reserve(address: IpAddr, proto: Proto, port: u16) -> io::Result<OwnedFd> {
    match bind(address, proto, port, false) {
        // Connections of an ended server wait for their last packets for a minute; a server may have the port meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && proto == Proto::Tcp => {
            bind(address, proto, port, true)
        }
        Err(error)
            if proto == Proto::Sctp
                && matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT)
                ) =>
        {
            let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
            Ok(rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
        }
        result => result,
    }
}

fn bind(address: IpAddr, proto: Proto, port: u16, reuse: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let (kind, protocol) = match proto {
        Proto::Tcp => (SocketType::STREAM, ipproto::TCP),
        Proto::Udp => (SocketType::DGRAM, ipproto::UDP),
        Proto::Sctp => (SocketType::SEQPACKET, ipproto::SCTP),
    };
    let protocol: Option<Protocol> = Some(protocol);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
    if address.is_ipv6() {
        // The port of IPv4 is somebody else's matter.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if proto == Proto::Udp {
        // Nobody reads what is not translated: it should not pile up.
        sockopt::set_socket_recv_buffer_size(&socket, 0)?;
    }
    if reuse {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &SocketAddr::new(address, port))?;
    if reuse {
        // From here on we do not share: a server that binds next to us fails when it listens.
        sockopt::set_socket_reuseaddr(&socket, false)?;
    }
    Ok(socket)
}

/// The ports that the host gives to who asks for any, 32768 to 60999 when it does not say.
pub fn local_port_range() -> RangeInclusive<u16> {
    let text =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse_range(&text).unwrap_or(32768..=60999)
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u16>);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (first > 0 && first <= last).then_some(first..=last)
}

/// Takes a port of a range that is free at all these addresses, beginning behind `after` (where the last one was found)
/// and going round once. `taken` says which ones are published already. None when all are taken.
pub fn pick_ephemeral(
    range: &RangeInclusive<u16>,
    after: Option<u16>,
    addresses: &[IpAddr],
    proto: Proto,
    taken: impl Fn(u16) -> bool,
) -> io::Result<Option<(u16, Vec<OwnedFd>)>> {
    let begin = after.filter(|port| range.contains(port) && port < range.end());
    let begin = begin.map_or(*range.start(), |port| port + 1);
    let before = (*range.start()..=*range.end()).take_while(|port| *port < begin);
    for port in (begin..=*range.end()).chain(before).filter(|port| !taken(*port)) {
        let sockets = addresses.iter().map(|address| reserve(*address, proto, port));
        match sockets.collect::<io::Result<Vec<OwnedFd>>>() {
            Ok(sockets) => return Ok(Some((port, sockets))),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
