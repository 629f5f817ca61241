//! Acts: one daemon at a time chooses a subnet on this host.

use super::LinkError;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::{Duration, Instant};

/// The name in the host's network namespace that only one can have.
const NAME: &[u8] = b"naru-subnets";
/// Choosing a subnet and making its bridge takes about a millisecond.
const POLL: Duration = Duration::from_millis(1);

/// Held while a subnet is chosen and until its route is there for others to see. It leaves no file: the lock is a socket's
/// name, which the kernel frees when the process ends, however it ends.
#[derive(Debug)]
pub struct SubnetLock {
    _socket: UnixDatagram,
}

impl SubnetLock {
    /// Takes the lock, and waits for it at most so long.
    pub fn take(bound: Duration) -> Result<SubnetLock, LinkError> {
        let attempted = || "take the lock on the host's subnets";
        let address = SocketAddr::from_abstract_name(NAME)
            .map_err(|error| LinkError::new(attempted(), error))?;
        let end = Instant::now() + bound;
        loop {
            match UnixDatagram::bind_addr(&address) {
                Ok(socket) => return Ok(SubnetLock { _socket: socket }),
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    return Err(LinkError::new(attempted(), error));
                }
                Err(_taken) if Instant::now() < end => thread::sleep(POLL),
                Err(_taken) => {
                    let text = "another process holds the abstract socket `naru-subnets`";
                    let error = io::Error::new(io::ErrorKind::TimedOut, text);
                    return Err(LinkError::new(attempted(), error));
                }
            }
        }
    }
}
