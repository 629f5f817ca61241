//! Acts: the monitor's end of the connection to the daemon. It never waits: what the daemon does not take now is queued.

use crate::protocol::{Answer, Envelope, MAX_BODY, Request, Role};
use crate::watch::Watch;
use naru_kernel::poll::{Epoll, Interest};
use naru_kernel::socket;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A daemon that takes nothing for so many messages is as good as gone.
const MAX_QUEUE: usize = 64 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    queue: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
}

/// A request with its descriptors.
#[derive(Debug)]
pub struct Packet {
    /// Its number.
    pub request: u64,
    /// What is wanted; `Err` is why it is not understood.
    pub body: Result<Request, String>,
    /// What came with it.
    pub fds: Descriptors,
}

/// The descriptors of a packet, to be taken out by their meaning.
#[derive(Debug, Default)]
pub struct Descriptors(VecDeque<(Role, OwnedFd)>);

impl Descriptors {
    /// The next one of a role.
    pub fn take(&mut self, role: Role) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(candidate, _)| *candidate == role)?;
        self.0.remove(at).map(|(_, fd)| fd)
    }
}

impl Connection {
    /// Over a connected packet socket.
    pub fn new(epoll: &Epoll, socket: OwnedFd) -> io::Result<Connection> {
        epoll.add(&socket, Watch::Connection.token(), Interest::Read)?;
        Ok(Connection { socket, queue: VecDeque::new() })
    }

    /// The socket, for an upgrade.
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Whether everything was taken.
    pub fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// Sends, or queues. An error means that the daemon is gone.
    pub fn send(
        &mut self,
        epoll: &Epoll,
        request: u64,
        body: Answer,
        fds: &[(Role, BorrowedFd<'_>)],
    ) -> io::Result<()> {
        let (roles, fds): (Vec<_>, Vec<_>) = fds.iter().copied().unzip();
        let body = serde_json::to_vec(&Envelope { request, fds: roles, body })?;
        if self.queue.is_empty() {
            match socket::try_send(&self.socket, &[&body], &fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    epoll.change(&self.socket, Watch::Connection.token(), Interest::Both)?;
                }
                other => return other,
            }
        }
        if self.queue.len() >= MAX_QUEUE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the daemon takes nothing"));
        }
        let fds: Result<Vec<_>, _> = fds.iter().map(BorrowedFd::try_clone_to_owned).collect();
        self.queue.push_back((body, fds?));
        Ok(())
    }

    /// Sends what is queued, as far as it is taken.
    pub fn flush(&mut self, epoll: &Epoll) -> io::Result<()> {
        while let Some((body, fds)) = self.queue.front() {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            match socket::try_send(&self.socket, &[body], &fds) {
                Ok(()) => drop(self.queue.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        epoll.change(&self.socket, Watch::Connection.token(), Interest::Read)
    }

    /// The next packet; `None` when there is none now, an error when the daemon is gone.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Packet>> {
        let received = match socket::try_receive(&self.socket, buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        if received.length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = buffer.get(..received.length.min(MAX_BODY)).unwrap_or_default();
        match serde_json::from_slice::<Envelope<Request>>(bytes) {
            Ok(envelope) => {
                let fds = envelope.fds.into_iter().zip(received.fds).collect();
                let fds = Descriptors(fds);
                Ok(Some(Packet { request: envelope.request, body: Ok(envelope.body), fds }))
            }
            Err(error) => {
                // A newer daemon may ask for what we do not know; it gets its refusal under its number.
                #[derive(serde::Deserialize)]
                struct Number {
                    #[serde(default)]
                    request: u64,
                }
                let number = serde_json::from_slice::<Number>(bytes).map(|number| number.request);
                let body = Err(format!("cannot understand the request: {error}"));
                Ok(Some(Packet { request: number.unwrap_or(0), body, fds: Descriptors::default() }))
            }
        }
    }

    /// Ends it.
    pub fn close(self, epoll: &Epoll) {
        epoll.remove(&self.socket).ok();
    }
}
