//! Acts: the sockets inside a container's network on which our resolver listens.
//!
//! Programs ask 127.0.0.11 on port 53. The sockets have other ports, so that a DNS server in the container can have port
//! 53 of every address; packets are redirected inside the namespace.

use super::redirect::{self, Current, Ports};
use crate::dns::ADDRESS;
use crate::link::LinkError;
use std::io;
use std::net::{TcpListener, UdpSocket};

/// Sockets that belong to a container's network namespace, and keep it alive: they are to be dropped when the container
/// has ended. Neither of them blocks.
#[derive(Debug)]
pub struct ResolverSockets {
    /// For questions in packets.
    pub udp: UdpSocket,
    /// For questions over connections.
    pub tcp: TcpListener,
}

/// Opens the sockets in this thread's namespace, in which there was no resolver, and leads questions to them.
pub(super) fn open_first() -> Result<ResolverSockets, LinkError> {
    open_new(false)
}

/// Opens them in a namespace in which there may have been a resolver.
pub(super) fn open_again() -> Result<ResolverSockets, LinkError> {
    match redirect::current()? {
        Current::Absent => open_new(false),
        Current::Present(ports) => match ports.map(bind) {
            Some(Ok(sockets)) => Ok(sockets),
            // Ports that somebody has taken meanwhile are given up.
            Some(Err(_)) | None => open_new(true),
        },
    }
}

fn open_new(before: bool) -> Result<ResolverSockets, LinkError> {
    let attempted = |error| LinkError::new("open the resolver's sockets in a container", error);
    let sockets = bind(Ports { udp: 0, tcp: 0 }).map_err(attempted)?;
    let port = |address: io::Result<std::net::SocketAddr>| Ok(address?.port());
    let ports = Ports {
        udp: port(sockets.udp.local_addr()).map_err(attempted)?,
        tcp: port(sockets.tcp.local_addr()).map_err(attempted)?,
    };
    redirect::replace(ports, before)?;
    Ok(sockets)
}

/// Port 0 lets the kernel choose.
fn bind(ports: Ports) -> io::Result<ResolverSockets> {
    let udp = UdpSocket::bind((ADDRESS, ports.udp))?;
    let tcp = TcpListener::bind((ADDRESS, ports.tcp))?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok(ResolverSockets { udp, tcp })
}
