//! Acts: what `std` does not set on a TCP connection.

use crate::sockopt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Bounds how many bytes that were never sent yet may wait in the kernel (`TCP_NOTSENT_LOWAT`, tcp(7)); zero takes the bound away.
/// With it the connection takes more only when the network is about to need it: what is written is still in the processor's
/// caches when it is sent, and slow readers hold no megabytes here.
pub fn limit_unsent(connection: impl AsFd, bytes: u32) -> io::Result<()> {
    let value = i32::try_from(bytes).unwrap_or(i32::MAX);
    sockopt::set(connection.as_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, value)
}

/// How many bytes were given to a connection and not taken by the other end yet (`SIOCOUTQ`, tcp(7)).
pub fn on_the_way(connection: impl AsFd) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one `int` to the address, which is that of a living one.
    let result =
        unsafe { libc::ioctl(connection.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 {
        Ok(u32::try_from(bytes).unwrap_or(0))
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn connections_take_it_and_nothing_else_does() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        limit_unsent(&near, 64 << 10).unwrap();
        limit_unsent(&near, 0).unwrap();
        assert!(limit_unsent(std::fs::File::open("/dev/null").unwrap(), 1).is_err());
    }

    #[test]
    fn what_nobody_reads_is_on_the_way() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(on_the_way(&near).unwrap(), 0);
        near.set_nonblocking(true).unwrap();
        let mut given = 0;
        while let Ok(count) = io::Write::write(&mut &near, &[7; 1 << 16]) {
            given += count;
        }
        let waits = on_the_way(&near).unwrap() as usize;
        assert!(waits > 0 && waits <= given, "{waits} of {given}");
    }
}
