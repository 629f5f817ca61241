//! A TCP connection of a client: messages come and go behind a length of two bytes each.
//!
//! Acts: reads and writes without waiting. What is buffered is bounded in both directions: a client that does not take
//! its answers is not read from, and is dropped when they pile up.

use super::flight::is_early;
use super::wire::LONGEST_QUERY;
use naru_kernel::poll::Interest;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// With so many bytes unsent, no further question is read.
const FULL: usize = 64 * 1024;
/// With more than these the client is given up.
const OVERFULL: usize = 256 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) guest: u64,
    pub(super) stream: TcpStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    sent: usize,
    /// How many of its questions are with upstream servers.
    pub(super) waiting: usize,
    ended: bool,
    /// What it is watched for.
    pub(super) interest: Interest,
    /// When it has been idle for too long.
    pub(super) alarm: Instant,
}

impl Connection {
    pub(super) fn new(guest: u64, stream: TcpStream, alarm: Instant) -> Connection {
        Connection {
            guest,
            stream,
            inbox: Vec::new(),
            outbox: Vec::new(),
            sent: 0,
            waiting: 0,
            ended: false,
            interest: Interest::Read,
            alarm,
        }
    }

    fn unsent(&self) -> usize {
        self.outbox.len() - self.sent
    }

    /// Takes in what has come, once.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if self.ended || self.unsent() >= FULL || self.inbox.len() > LONGEST_QUERY + 2 {
            return Ok(());
        }
        let room = buffer.get_mut(..LONGEST_QUERY).unwrap_or_default();
        match self.stream.read(room) {
            Ok(0) => self.ended = true,
            Ok(count) => self.inbox.extend_from_slice(room.get(..count).unwrap_or_default()),
            Err(error) if is_early(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Moves the next whole message into `message`; whether there was one, and there is room for its answer.
    pub(super) fn next(&mut self, message: &mut Vec<u8>) -> io::Result<bool> {
        let Some((length, rest)) = self.inbox.split_first_chunk::<2>() else { return Ok(false) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > LONGEST_QUERY {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(bytes) = rest.get(..length).filter(|_| self.unsent() < FULL) else {
            return Ok(false);
        };
        message.clear();
        message.extend_from_slice(bytes);
        self.inbox.drain(..length + 2);
        Ok(true)
    }

    /// Whether another whole message is there, with room for its answer.
    pub(super) fn has_next(&self) -> bool {
        let Some((length, rest)) = self.inbox.split_first_chunk::<2>() else { return false };
        rest.len() >= usize::from(u16::from_be_bytes(*length)) && self.unsent() < FULL
    }

    /// Adds an answer to those that are to be sent.
    pub(super) fn push(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        if self.unsent() + message.len() > OVERFULL {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.outbox.extend_from_slice(&length.to_be_bytes());
        self.outbox.extend_from_slice(message);
        Ok(())
    }

    /// Sends what can be sent; whether anything was.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let mut any = false;
        while let Some(rest) = self.outbox.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => {
                    self.sent += count;
                    any = true;
                }
                Err(error) if is_early(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.outbox.drain(..self.sent);
        self.sent = 0;
        Ok(any)
    }

    /// Whether nothing can come of it any more.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.waiting == 0 && self.outbox.is_empty()
    }

    /// What it has to be watched for now.
    pub(super) fn wants(&self) -> Interest {
        let reads = !self.ended && self.unsent() < FULL;
        match (reads, self.unsent() > 0) {
            (true, false) => Interest::Read,
            (true, true) => Interest::Both,
            (false, true) => Interest::Write,
            (false, false) => Interest::HangUp,
        }
    }
}
