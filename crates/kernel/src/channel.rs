//! Acts: a pair of connected sockets that keep messages apart, and carry at most one descriptor with each.

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The two ends, close-on-exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let kind = SocketType::SEQPACKET;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message, and a descriptor with it.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|fd| [fd]);
    if let Some(descriptors) = &descriptors {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let slices = [IoSlice::new(bytes)];
    rustix::net::sendmsg(socket, &slices, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Sends one message by `write`, for processes under a filter that forbids the calls of sockets.
pub fn write(socket: impl AsFd, bytes: &[u8]) -> io::Result<()> {
    Ok(rustix::io::write(socket, bytes).map(drop)?)
}

/// Receives one message: its length (0: the other end is gone) and the descriptor that came with it.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    receive_with(socket, buffer, RecvFlags::CMSG_CLOEXEC)
}

/// Like [`receive`], but fails with [`io::ErrorKind::WouldBlock`] when there is no message.
pub fn try_receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    receive_with(socket, buffer, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
}

fn receive_with(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = {
        let mut slices = [IoSliceMut::new(buffer)];
        rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(&socket, &mut slices, &mut ancillary, flags)
        })?
    };
    let mut descriptor = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            descriptor = descriptors.into_iter().next().or(descriptor);
        }
    }
    Ok((received.bytes, descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_apart_and_carry_a_descriptor() {
        let (left, right) = pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        send(&left, b"one", Some(file.as_fd())).unwrap();
        send(&left, b"two", None).unwrap();
        drop(left);
        let mut buffer = [0; 16];
        let (length, descriptor) = receive(&right, &mut buffer).unwrap();
        assert_eq!((&buffer[..length], descriptor.is_some()), (&b"one"[..], true));
        let (length, descriptor) = receive(&right, &mut buffer).unwrap();
        assert_eq!((&buffer[..length], descriptor.is_some()), (&b"two"[..], false));
        assert_eq!(receive(&right, &mut buffer).unwrap().0, 0);
    }
}
