//! Acts: what `std` does not set on a TCP connection.

use crate::sockopt;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use std::io::{self, IoSlice};
use std::os::fd::AsFd;

/// Bounds how many bytes that were never sent yet may wait in the kernel (`TCP_NOTSENT_LOWAT`, tcp(7)); zero takes the bound away.
/// With it the connection takes more only when the network is about to need it: what is written is still in the processor's
/// caches when it is sent, and slow readers hold no megabytes here.
pub fn limit_unsent(connection: impl AsFd, bytes: u32) -> io::Result<()> {
    let value = i32::try_from(bytes).unwrap_or(i32::MAX);
    sockopt::set(connection.as_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, value)
}

/// Writes pieces that are followed at once by more (`MSG_MORE`, send(2)): they leave together with it, or after a fifth of a second.
/// A socket in non-blocking mode takes what fits, and [`io::ErrorKind::WouldBlock`] says that nothing does.
pub fn write_before_more(connection: impl AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(connection, pieces, &mut SendAncillaryBuffer::default(), flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
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
    fn a_head_leaves_with_what_follows_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nodelay(true).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let pieces = [IoSlice::new(b"he"), IoSlice::new(b"ad")];
        assert_eq!(write_before_more(&near, &pieces).unwrap(), 4);
        near.write_all(b", body").unwrap();
        let mut bytes = [0; 100];
        let count = far.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"head, body");
    }
}
