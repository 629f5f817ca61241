//! A question that upstream servers are asked on behalf of a client.
//!
//! Acts: opens sockets, sends, receives; never waits. Each attempt has a socket of its own, connected to the server, so
//! that the kernel draws a random port and lets in nobody else's packets; and an id of its own from the kernel's
//! randomness. Which server comes next is decided by [`Course`].

use super::Upstreams;
use super::wire::{self, Match};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a question has in all.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// More servers than these are not asked.
const MOST_SERVERS: usize = 8;

/// In which order servers are asked: round and round, without those that have failed, which are out.
///
/// Pure.
#[derive(Debug, Clone)]
pub(super) struct Course {
    out: [bool; MOST_SERVERS],
    count: usize,
    next: usize,
}

impl Course {
    /// For so many servers, of which the one at `first` is the first.
    pub(super) fn new(count: usize, first: usize) -> Course {
        let count = count.min(MOST_SERVERS);
        Course { out: [false; MOST_SERVERS], count, next: first.checked_rem(count).unwrap_or(0) }
    }

    /// The server that is to be asked now; none when all are out.
    pub(super) fn step(&mut self) -> Option<usize> {
        for _ in 0..self.count {
            let at = self.next;
            self.next = (at + 1).checked_rem(self.count).unwrap_or(0);
            if self.out.get(at) == Some(&false) {
                return Some(at);
            }
        }
        None
    }

    /// Does not ask this server again.
    pub(super) fn drop_server(&mut self, at: usize) {
        if let Some(out) = self.out.get_mut(at) {
            *out = true;
        }
    }
}

/// Who waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Udp(SocketAddr),
    /// The connection's token.
    Tcp(u64),
}

/// How the present attempt talks.
#[derive(Debug)]
enum Wire {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, outbox: Vec<u8>, sent: usize, inbox: Vec<u8> },
}

/// What the loop has to do about a flight.
#[derive(Debug)]
pub(super) enum Progress {
    /// Wait on.
    Wait,
    /// Watch the new socket; until it can be written, when `writes`.
    Watch { writes: bool },
    /// Everything is sent: watch for what comes.
    Listen,
    /// The answer is in the buffer, so many bytes.
    Answered(usize),
    /// The answer does not fit into a packet, and the client can come again over TCP.
    Truncated,
    /// Nobody can be asked any more.
    Failed,
}

/// A question on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) guest: u64,
    pub(super) client: Client,
    /// The client's message.
    pub(super) query: Vec<u8>,
    asked: u16,
    upstreams: Arc<Upstreams>,
    course: Course,
    server: usize,
    id: u16,
    wire: Option<Wire>,
    end: Instant,
    /// When the present attempt is over.
    pub(super) alarm: Instant,
}

impl Flight {
    /// A flight that has not asked anybody yet.
    pub(super) fn new(
        (guest, client): (u64, Client),
        query: &[u8],
        upstreams: Arc<Upstreams>,
        first: usize,
        now: Instant,
    ) -> Flight {
        let first = if upstreams.options.rotate { first } else { 0 };
        Flight {
            guest,
            client,
            query: query.to_owned(),
            asked: wire::id(query),
            course: Course::new(upstreams.servers.len(), first),
            upstreams,
            server: 0,
            id: 0,
            wire: None,
            end: now + PATIENCE,
            alarm: now + PATIENCE,
        }
    }

    /// The socket of the present attempt.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self.wire.as_ref()? {
            Wire::Udp(socket) => Some(socket.as_fd()),
            Wire::Tcp { stream, .. } => Some(stream.as_fd()),
        }
    }

    /// Asks the next server that can be asked, with ids from `draw`.
    pub(super) fn ask(&mut self, now: Instant, mut draw: impl FnMut() -> Option<u16>) -> Progress {
        self.wire = None;
        while now < self.end
            && let Some(server) = self.course.step()
        {
            self.server = server;
            let Some(id) = draw() else { return Progress::Failed };
            self.id = id;
            match self.start(self.upstreams.options.tcp, now) {
                Ok(progress) => return progress,
                Err(_) => self.course.drop_server(server),
            }
        }
        Progress::Failed
    }

    /// The present server's socket has something to say, or can be written.
    pub(super) fn proceed(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        draw: impl FnMut() -> Option<u16>,
    ) -> Progress {
        match self.take(buffer) {
            Ok(Taken::Nothing) => Progress::Wait,
            Ok(Taken::Sent) => Progress::Listen,
            Ok(Taken::Answer(length)) => Progress::Answered(length),
            Ok(Taken::Truncated) if matches!(self.client, Client::Udp(_)) => Progress::Truncated,
            Ok(Taken::Truncated) => match self.start(true, now) {
                Ok(progress) => progress,
                Err(_) => self.drop_server(now, draw),
            },
            Ok(Taken::Failure) | Err(_) => self.drop_server(now, draw),
        }
    }

    fn drop_server(&mut self, now: Instant, draw: impl FnMut() -> Option<u16>) -> Progress {
        self.course.drop_server(self.server);
        self.ask(now, draw)
    }

    fn start(&mut self, tcp: bool, now: Instant) -> io::Result<Progress> {
        let server = *self.upstreams.servers.get(self.server).ok_or(io::ErrorKind::NotFound)?;
        self.alarm = self.end.min(now + self.upstreams.options.timeout);
        wire::set_id(&mut self.query, self.id);
        let wire = self.open(server, tcp);
        wire::set_id(&mut self.query, self.asked);
        self.wire = Some(wire?);
        Ok(Progress::Watch { writes: tcp })
    }

    fn open(&self, server: SocketAddr, tcp: bool) -> io::Result<Wire> {
        if tcp {
            let length = u16::try_from(self.query.len()).map_err(io::Error::other)?;
            let mut outbox = length.to_be_bytes().to_vec();
            outbox.extend_from_slice(&self.query);
            let stream = connect(server)?;
            return Ok(Wire::Tcp { stream, outbox, sent: 0, inbox: Vec::new() });
        }
        let socket = match server {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
        };
        socket.set_nonblocking(true)?;
        socket.connect(server)?;
        socket.send(&self.query)?;
        Ok(Wire::Udp(socket))
    }

    fn take(&mut self, buffer: &mut [u8]) -> io::Result<Taken> {
        match self.wire.as_mut() {
            None => Ok(Taken::Nothing),
            Some(Wire::Udp(socket)) => {
                // A few at a time: who guesses ids must not keep the others waiting.
                for _ in 0..16 {
                    let length = match socket.recv(buffer) {
                        Ok(length) => length,
                        Err(error) if is_early(&error) => break,
                        Err(error) => return Err(error),
                    };
                    let answer = buffer.get(..length).unwrap_or_default();
                    match wire::matches(answer, &self.query, self.id) {
                        Match::Foreign => {}
                        Match::Failed => return Ok(Taken::Failure),
                        Match::Truncated => return Ok(Taken::Truncated),
                        Match::Answer => return Ok(Taken::Answer(length)),
                    }
                }
                Ok(Taken::Nothing)
            }
            Some(Wire::Tcp { stream, outbox, sent, inbox }) => {
                if let Some(rest) = outbox.get(*sent..).filter(|rest| !rest.is_empty()) {
                    match stream.write(rest) {
                        Ok(count) => *sent += count,
                        Err(error) if is_early(&error) => return Ok(Taken::Nothing),
                        Err(error) => return Err(error),
                    }
                    return Ok(if *sent == outbox.len() { Taken::Sent } else { Taken::Nothing });
                }
                let count = match stream.read(buffer) {
                    Ok(0) => return Ok(Taken::Failure),
                    Ok(count) => count,
                    Err(error) if is_early(&error) => return Ok(Taken::Nothing),
                    Err(error) => return Err(error),
                };
                inbox.extend_from_slice(buffer.get(..count).unwrap_or_default());
                let Some((length, message)) = inbox.split_first_chunk::<2>() else {
                    return Ok(Taken::Nothing);
                };
                let length = usize::from(u16::from_be_bytes(*length));
                let Some(answer) = message.get(..length) else { return Ok(Taken::Nothing) };
                match wire::matches(answer, &self.query, self.id) {
                    // What is cut short over TCP too is not going to be better.
                    Match::Foreign | Match::Failed | Match::Truncated => Ok(Taken::Failure),
                    Match::Answer => {
                        let room = buffer.get_mut(..length).ok_or(io::ErrorKind::OutOfMemory)?;
                        room.copy_from_slice(answer);
                        Ok(Taken::Answer(length))
                    }
                }
            }
        }
    }
}

/// What came out of the present attempt.
enum Taken {
    Nothing,
    Sent,
    Answer(usize),
    Truncated,
    Failure,
}

pub(super) fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// A connection that is being made.
fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let family = match server {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &server) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::Course;

    #[test]
    fn silent_servers_are_asked_again_and_failed_ones_not() {
        let mut course = Course::new(3, 1);
        assert_eq!((course.step(), course.step(), course.step()), (Some(1), Some(2), Some(0)));
        course.drop_server(2);
        assert_eq!((course.step(), course.step(), course.step()), (Some(1), Some(0), Some(1)));
        course.drop_server(0);
        course.drop_server(1);
        assert_eq!(course.step(), None);
        assert_eq!(Course::new(0, 5).step(), None);
        assert_eq!(Course::new(100, 0).count, 8);
    }
}
