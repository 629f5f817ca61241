//! Pure: netlink messages as bytes: a header, a fixed part, attributes (type, length, value; nested ones too), all padded to four.
//! Acts only to set the two socket options that rustix does not know.

use super::{HEADER, flags};
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;

/// A message that is being put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Message {
    /// A message of a type, with [`flags`] beside `REQUEST`.
    pub fn new(kind: u16, flags: u16) -> Message {
        Message { kind, flags: flags | flags::REQUEST, body: Vec::new() }
    }

    /// Its flags.
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// The same with an acknowledgement wanted.
    #[must_use]
    pub(super) fn acknowledged(mut self) -> Message {
        self.flags |= flags::ACK;
        self
    }

    /// Its type.
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// Appends the fixed part that its type begins with.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Message {
        self.body.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// Appends an attribute.
    #[must_use]
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Message {
        // No attribute of ours comes near 64 KiB; one that does is cut by the kernel's own check of lengths.
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.body.extend_from_slice(&length.to_ne_bytes());
        self.body.extend_from_slice(&kind.to_ne_bytes());
        self.body.extend_from_slice(value);
        self.pad();
        self
    }

    /// Appends a text that ends with a zero byte.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Message {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Appends a byte.
    #[must_use]
    pub fn u8(self, kind: u16, value: u8) -> Message {
        self.bytes(kind, &[value])
    }

    /// Appends a number of two bytes in the machine's order.
    #[must_use]
    pub fn u16(self, kind: u16, value: u16) -> Message {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a number of four bytes in the machine's order.
    #[must_use]
    pub fn u32(self, kind: u16, value: u32) -> Message {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a number of four bytes in the network's order, as netfilter wants them.
    #[must_use]
    pub fn be32(self, kind: u16, value: u32) -> Message {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends a number of eight bytes in the network's order.
    #[must_use]
    pub fn be64(self, kind: u16, value: u64) -> Message {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends an address, 4 or 16 bytes long.
    #[must_use]
    pub fn address(self, kind: u16, value: IpAddr) -> Message {
        match value {
            IpAddr::V4(value) => self.bytes(kind, &value.octets()),
            IpAddr::V6(value) => self.bytes(kind, &value.octets()),
        }
    }

    /// Appends an attribute that holds attributes.
    #[must_use]
    pub fn nest(self, kind: u16, fill: impl FnOnce(Message) -> Message) -> Message {
        let inner = fill(Message { kind: 0, flags: 0, body: Vec::new() }).body;
        self.bytes(kind | NESTED, &inner)
    }

    /// The same without the mark that it is nested, for the few places that take it for a part of the type.
    #[must_use]
    pub fn nest_unmarked(self, kind: u16, fill: impl FnOnce(Message) -> Message) -> Message {
        let inner = fill(Message { kind: 0, flags: 0, body: Vec::new() }).body;
        self.bytes(kind, &inner)
    }

    /// Appends what a part of the caller's adds, or nothing.
    #[must_use]
    pub fn with<T>(self, value: Option<T>, add: impl FnOnce(Message, T) -> Message) -> Message {
        match value {
            Some(value) => add(self, value),
            None => self,
        }
    }

    pub(super) fn finish(self, sequence: u32, out: &mut Vec<u8>) {
        let length = u32::try_from(HEADER + self.body.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_ne_bytes());
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&self.flags.to_ne_bytes());
        out.extend_from_slice(&sequence.to_ne_bytes());
        // Port 0: the kernel fills in the socket's.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.body);
    }

    fn pad(&mut self) {
        self.body.resize(self.body.len().next_multiple_of(4), 0);
    }
}

/// What a message's header says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) port: u32,
}

/// The messages of a packet: header and what follows it.
pub(super) fn split(packet: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let length = usize::try_from(read_u32(rest, 0)?).ok()?;
        let header = Header {
            kind: read_u16(rest, 4)?,
            flags: read_u16(rest, 6)?,
            sequence: read_u32(rest, 8)?,
            port: read_u32(rest, 12)?,
        };
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header, body))
    })
}

/// Attributes of a message or of an attribute: type without marks, and value.
pub type Attributes<'a> = Box<dyn Iterator<Item = (u16, &'a [u8])> + 'a>;

/// The attributes in these bytes. What is cut off or lies about its length ends the list.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    let mut rest = bytes;
    Box::new(std::iter::from_fn(move || {
        let length = usize::from(read_u16(rest, 0)?);
        let kind = read_u16(rest, 2)? & KIND_MASK;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }))
}

pub(super) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

pub(super) fn read_i32(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes)
}

/// Refusals are to come with a text, and without the whole message.
pub(super) fn explain_errors(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::NETLINK_EXT_ACK, 1)?;
    set_option(socket, libc::NETLINK_CAP_ACK, 1)
}

/// News of this group are to come.
pub(super) fn join_group(socket: BorrowedFd<'_>, group: u32) -> io::Result<()> {
    let group = i32::try_from(group).map_err(|_wide| io::ErrorKind::InvalidInput)?;
    set_option(socket, libc::NETLINK_ADD_MEMBERSHIP, group)
}

fn set_option(socket: BorrowedFd<'_>, option: i32, value: i32) -> io::Result<()> {
    crate::sockopt::set(socket, libc::SOL_NETLINK, option, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_read_back() {
        let message =
            Message::new(1, 0).u8(1, 7).text(2, "abc").nest(3, |inner| inner.u32(4, 5).be32(5, 6));
        let read: Vec<(u16, Vec<u8>)> =
            attributes(&message.body).map(|(kind, value)| (kind, value.to_vec())).collect();
        assert_eq!(read[0], (1, vec![7]));
        assert_eq!(read[1], (2, b"abc\0".to_vec()));
        let inner: Vec<u16> = attributes(&read[2].1).map(|(kind, _)| kind).collect();
        assert_eq!(inner, [4, 5]);
    }

    #[test]
    fn lies_about_lengths_end_the_list() {
        for bytes in [&[3, 0, 1, 0][..], &[9, 0, 1, 0, 1][..], &[8, 0][..], &[0, 0, 0, 0][..]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
        assert_eq!(split(&[200, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
    }
}
