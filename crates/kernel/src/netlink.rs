//! Acts: netlink sockets: requests out, acknowledgements and answers back. Which messages there are is decided above.
//!
//! One socket is one conversation: a request is sent, its answers are read until the acknowledgement. A *batch* is
//! several messages in one send; every one that asks for an acknowledgement is waited for.

mod message;

pub use message::{Attributes, Message, attributes};

use rustix::buffer::spare_capacity;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Interfaces, addresses, routes, neighbours.
pub const ROUTE: u32 = 0;
/// Netfilter: tables of packet rules and connection tracking.
pub const NETFILTER: u32 = 12;

/// Flags of a message.
pub mod flags {
    /// It is a request; always set.
    pub const REQUEST: u16 = 0x1;
    /// An acknowledgement is wanted.
    pub const ACK: u16 = 0x4;
    /// The object that a request makes or changes is wanted as an answer.
    pub const ECHO: u16 = 0x8;
    /// All objects are wanted.
    pub const DUMP: u16 = 0x300;
    /// What is there is replaced.
    pub const REPLACE: u16 = 0x100;
    /// It is an error when it is there.
    pub const EXCL: u16 = 0x200;
    /// It is made when it is not there.
    pub const CREATE: u16 = 0x400;
    /// It is put behind the others.
    pub const APPEND: u16 = 0x800;
}

const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;
const ACK_TLVS: u16 = 0x200;
const CAPPED: u16 = 0x100;
/// Of an answer to a dump: what was listed changed meanwhile, so something may be missing.
const INTERRUPTED: u16 = 0x10;

/// An answer of the kernel: its type and what follows the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The type of the message.
    pub kind: u16,
    /// The message without its header.
    pub body: Vec<u8>,
}

/// What the kernel did not like about a message.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}", if text.is_empty() { String::new() } else { format!(" ({text})") })]
pub struct Refused {
    /// The error.
    pub error: io::Error,
    /// The kernel's own explanation, where it gives one.
    pub text: String,
    /// Which message of the batch it was, from 0.
    pub index: usize,
}

impl Refused {
    /// The kind of the error.
    pub fn kind(&self) -> io::ErrorKind {
        self.error.kind()
    }

    /// The error's number.
    pub fn errno(&self) -> i32 {
        self.error.raw_os_error().unwrap_or_default()
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused { error, text: String::new(), index: 0 }
    }
}

impl From<rustix::io::Errno> for Refused {
    fn from(error: rustix::io::Errno) -> Refused {
        io::Error::from(error).into()
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> io::Error {
        if refused.text.is_empty() {
            return refused.error;
        }
        io::Error::new(refused.error.kind(), refused)
    }
}

/// A netlink socket, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    interrupted: bool,
}

/// Room for one packet of the kernel's. It is taken for a conversation and given back, because sockets wait by the hundred.
const ROOM: usize = 64 << 10;

impl Netlink {
    /// Opens a socket of a family ([`ROUTE`], [`NETFILTER`]).
    pub fn open(family: u32) -> io::Result<Netlink> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            NonZeroU32::new(family).map(Protocol::from_raw),
        )?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        message::explain_errors(socket.as_fd())?;
        Ok(Netlink { socket, sequence: 0, interrupted: false })
    }

    /// Opens a socket that hears of changes of these groups (numbers, not bits; for [`ROUTE`]: 1 links, 5 IPv4 addresses, …).
    pub fn listen(family: u32, groups: &[u32]) -> io::Result<Netlink> {
        let netlink = Netlink::open(family)?;
        for group in groups {
            message::join_group(netlink.socket.as_fd(), *group)?;
        }
        Ok(netlink)
    }

    /// Sends one message and answers what came back before its acknowledgement.
    pub fn ask(&mut self, message: Message) -> Result<Vec<Answer>, Refused> {
        self.batch(vec![message])
    }

    /// Lists all objects, and once more when they changed meanwhile, because the kernel's list may then lack some. After
    /// several tries it is taken as it is: who changes things that fast must look again anyway.
    pub fn dump(&mut self, message: &Message) -> Result<Vec<Answer>, Refused> {
        let mut tries = 0;
        loop {
            let answers = self.ask(message.clone())?;
            tries += 1;
            if !self.interrupted || tries == 16 {
                return Ok(answers);
            }
        }
    }

    /// Sends messages in one go, and answers what came back. Fails with the first refusal; the kernel has then still
    /// seen the others, unless the family takes batches as a whole (as netfilter does).
    pub fn batch(&mut self, messages: Vec<Message>) -> Result<Vec<Answer>, Refused> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let mut open = Vec::new();
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let dumps = message.flags() & flags::DUMP == flags::DUMP;
            if message.flags() & flags::ACK != 0 || dumps {
                open.push(self.sequence);
            }
            message.finish(self.sequence, &mut bytes);
        }
        self.send(&bytes)?;
        let mut answers = Vec::new();
        let mut refused: Option<Refused> = None;
        let mut packet = Vec::with_capacity(ROOM);
        self.interrupted = false;
        while !open.is_empty() {
            // After a refusal the other acknowledgements may never come: the kernel refuses some batches as a whole, in
            // the name of one message. What it has to say is then there already.
            let waiting = if refused.is_some() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
            match self.receive(waiting, &mut packet) {
                Ok(()) => {}
                Err(error) if refused.is_some() && error.kind() == io::ErrorKind::WouldBlock => {
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            for (header, body) in message::split(&packet) {
                let index = header.sequence.wrapping_sub(first);
                if usize::try_from(index).is_ok_and(|index| index > 1 << 24) {
                    // An answer to a conversation that was given up.
                    continue;
                }
                self.interrupted |= header.flags & INTERRUPTED != 0 && header.kind != ERROR;
                match header.kind {
                    ERROR => {
                        open.retain(|sequence| *sequence != header.sequence);
                        if let Some(failure) = refusal(header.flags, body, index) {
                            refused.get_or_insert(failure);
                        }
                    }
                    DONE => {
                        open.retain(|sequence| *sequence != header.sequence);
                        // A dump that fails says so in its last message.
                        let code = message::read_i32(body, 0).unwrap_or(0);
                        if code < 0 {
                            let error = io::Error::from_raw_os_error(-code);
                            refused.get_or_insert(error.into());
                        }
                    }
                    kind => answers.push(Answer { kind, body: body.to_vec() }),
                }
            }
        }
        match refused {
            Some(refused) => Err(refused),
            None => Ok(answers),
        }
    }

    /// Sends messages that netfilter takes as a whole: all of them count from one instant on, or none does.
    /// `subsystem` is whose they are (10: nf_tables). Fails with the first refusal, whose index is that of the message.
    pub fn transaction(&mut self, subsystem: u16, messages: Vec<Message>) -> Result<(), Refused> {
        const BEGIN: u16 = 0x10;
        const END: u16 = 0x11;
        let [high, low] = subsystem.to_be_bytes();
        let edge = |kind| Message::new(kind, 0).raw(&[0, 0, high, low]);
        let count = messages.len();
        if count == 0 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let first = self.sequence.wrapping_add(1);
        let mut add = |message: Message| {
            self.sequence = self.sequence.wrapping_add(1);
            message.finish(self.sequence, &mut bytes);
            self.sequence
        };
        add(edge(BEGIN));
        let mut last = first;
        for (index, message) in messages.into_iter().enumerate() {
            // Only the last one is acknowledged: a thousand acknowledgements would not fit into the socket's buffer.
            last = add(if index + 1 == count { message.acknowledged() } else { message });
        }
        add(edge(END));
        self.make_room(bytes.len())?;
        self.send(&bytes)?;
        let mut refused: Option<Refused> = None;
        let mut packet = Vec::with_capacity(ROOM);
        loop {
            self.receive(RecvFlags::empty(), &mut packet)?;
            for (header, body) in message::split(&packet) {
                let index = header.sequence.wrapping_sub(first);
                if header.kind != ERROR || usize::try_from(index).is_ok_and(|index| index > count) {
                    continue;
                }
                // The first message of all, which is ours, is not counted.
                if let Some(failure) = refusal(header.flags, body, index.saturating_sub(1)) {
                    refused.get_or_insert(failure);
                }
                if header.sequence == first || header.sequence == last {
                    // An error of the first one is about the batch: no right to it, or it could not be committed. In
                    // the second case the last one's acknowledgement comes too, later; it is skipped by its number.
                    return refused.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// A batch is one packet; the socket's own limit is about a thousand rules.
    fn make_room(&self, length: usize) -> io::Result<()> {
        let wanted = length.saturating_add(4 << 10);
        if rustix::net::sockopt::socket_send_buffer_size(&self.socket)? < wanted {
            rustix::net::sockopt::set_socket_send_buffer_size_force(&self.socket, wanted)?;
        }
        Ok(())
    }

    /// Waits for the next news of the groups that [`Netlink::listen`] named.
    pub fn hear(&mut self) -> io::Result<Vec<Answer>> {
        self.take_news(true)
    }

    /// Takes news if there are some; `WouldBlock` when there are none.
    pub fn try_hear(&mut self) -> io::Result<Vec<Answer>> {
        self.take_news(false)
    }

    /// As [`Netlink::hear`] or [`Netlink::try_hear`], with the port of the socket that made each change.
    pub fn hear_of(&mut self, wait: bool) -> io::Result<Vec<(u32, Answer)>> {
        let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        let mut packet = Vec::with_capacity(ROOM);
        self.receive(flags, &mut packet)?;
        Ok(message::split(&packet)
            .map(|(header, body)| (header.port, Answer { kind: header.kind, body: body.to_vec() }))
            .collect())
    }

    /// The port of this socket: what news of its changes are marked with.
    pub fn port(&self) -> io::Result<u32> {
        let address = rustix::net::getsockname(&self.socket)?;
        Ok(SocketAddrNetlink::try_from(address)?.pid())
    }

    fn take_news(&mut self, wait: bool) -> io::Result<Vec<Answer>> {
        Ok(self.hear_of(wait)?.into_iter().map(|(_, answer)| answer).collect())
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match rustix::net::send(&self.socket, bytes, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes one packet in place of what `packet` held.
    fn receive(&self, flags: RecvFlags, packet: &mut Vec<u8>) -> io::Result<()> {
        loop {
            packet.clear();
            let room = packet.capacity();
            match rustix::net::recv(&self.socket, spare_capacity(packet), flags | RecvFlags::TRUNC)
            {
                Ok((_, length)) if length > room => {
                    // The kernel sends dumps in packets of at most 32 KiB; this is for the day it does not.
                    return Err(io::Error::other("a netlink answer did not fit"));
                }
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn refusal(header_flags: u16, body: &[u8], index: u32) -> Option<Refused> {
    let code = message::read_i32(body, 0)?;
    if code == 0 {
        return None;
    }
    // After the code comes the header of the message, and the message itself unless it was cut off.
    let mut at = 4 + HEADER;
    if header_flags & CAPPED == 0 {
        let length = message::read_u32(body, 4).and_then(|length| usize::try_from(length).ok())?;
        at = 4 + length.next_multiple_of(4);
    }
    let mut text = String::new();
    if header_flags & ACK_TLVS != 0 {
        let rest = body.get(at..).unwrap_or_default();
        for (kind, value) in attributes(rest) {
            if kind == 1 {
                text = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
            }
        }
    }
    Some(Refused {
        error: io::Error::from_raw_os_error(-code),
        text,
        index: usize::try_from(index).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET_LINK: u16 = 18;
    const NEW_LINK: u16 = 16;
    const DEL_LINK: u16 = 17;

    #[test]
    fn the_loopback_device_is_found() {
        let mut netlink = Netlink::open(ROUTE).unwrap();
        let answers = netlink.ask(Message::new(GET_LINK, flags::DUMP).raw(&[0; 16])).unwrap();
        let names: Vec<String> = answers
            .iter()
            .filter(|answer| answer.kind == NEW_LINK)
            .flat_map(|answer| attributes(answer.body.get(16..).unwrap()))
            .filter(|(kind, _)| *kind == 3)
            .map(|(_, value)| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned())
            .collect();
        assert!(names.contains(&"lo".to_owned()), "{names:?}");
    }

    #[test]
    fn a_refusal_says_which_message_and_why() {
        let mut netlink = Netlink::open(ROUTE).unwrap();
        let absent = || Message::new(DEL_LINK, flags::ACK).raw(&[0; 16]).text(3, "naru-no-such");
        let present = Message::new(GET_LINK, flags::ACK).raw(&[0; 16]).text(3, "lo");
        let refused = netlink.batch(vec![present, absent()]).unwrap_err();
        assert_eq!((refused.errno(), refused.index), (libc::ENODEV, 1), "{refused}");
        let again = netlink.ask(absent()).unwrap_err();
        assert_eq!(again.index, 0);
    }

    #[test]
    fn a_batch_that_is_refused_as_a_whole_is_not_waited_for() {
        // To no part of netfilter: the kernel refuses the first message and looks at no other.
        let part = [0, 0, 0, 99];
        let mut netlink = Netlink::open(NETFILTER).unwrap();
        let mut ask = || {
            let last = Message::new(17, flags::ACK).raw(&part);
            netlink.batch(vec![Message::new(16, 0).raw(&part), last]).unwrap_err()
        };
        assert_eq!(ask().index, 0);
        assert_eq!(ask().index, 0);
    }

    #[test]
    fn a_list_is_asked_for_in_one_go() {
        let mut netlink = Netlink::open(ROUTE).unwrap();
        let message = Message::new(GET_LINK, flags::DUMP).raw(&[0; 16]);
        assert!(!netlink.dump(&message).unwrap().is_empty());
    }

    #[test]
    fn a_transaction_that_nobody_takes_is_refused_as_a_whole() {
        let mut netlink = Netlink::open(NETFILTER).unwrap();
        let message = || Message::new(0xfe00, 0).raw(&[0; 4]);
        for _ in 0..2 {
            netlink.transaction(0xfe, vec![message(), message()]).unwrap_err();
        }
        netlink.transaction(0xfe, Vec::new()).unwrap();
    }
}
