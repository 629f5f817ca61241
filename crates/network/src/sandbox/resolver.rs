//! Acts: the sockets inside a container's network on which our resolver listens.
//!
//! Programs ask 127.0.0.11 on port 53. The sockets have other ports, so that a DNS server in the container can have port
//! 53 of every address; packets are redirected inside the namespace.

use super::redirect::{self, Ports};
use crate::link::LinkError;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Where programs in a container find the resolver.
pub const RESOLVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Sockets that belong to a container's network namespace, and keep it alive: they are to be dropped when the container
/// has ended. Neither of them blocks.
#[derive(Debug)]
pub struct ResolverSockets {
    /// For questions in packets.
    pub udp: UdpSocket,
    /// For questions over connections.
    pub tcp: TcpListener,
}

/// Opens the sockets in this thread's namespace and leads questions to them.
pub(super) fn open() -> Result<ResolverSockets, LinkError> {
    let before = redirect::current()?;
    if let Some(ports) = before
        && let Ok(sockets) = bind(ports)
    {
        return Ok(sockets);
    }
    let attempted = |error| LinkError::new("open the resolver's sockets in a container", error);
    let sockets = bind(Ports { udp: 0, tcp: 0 }).map_err(attempted)?;
    let port = |address: io::Result<std::net::SocketAddr>| Ok(address?.port());
    let ports = Ports {
        udp: port(sockets.udp.local_addr()).map_err(attempted)?,
        tcp: port(sockets.tcp.local_addr()).map_err(attempted)?,
    };
    redirect::replace(ports)?;
    Ok(sockets)
}

/// Port 0 lets the kernel choose.
fn bind(ports: Ports) -> io::Result<ResolverSockets> {
    let udp = UdpSocket::bind((RESOLVER_ADDRESS, ports.udp))?;
    let tcp = TcpListener::bind((RESOLVER_ADDRESS, ports.tcp))?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok(ResolverSockets { udp, tcp })
}
