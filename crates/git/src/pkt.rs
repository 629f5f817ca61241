//! Pure: git's lines with their lengths in front (gitprotocol-common, "pkt-line Format").

use crate::wire::WireError;
use bytes::{Buf, Bytes, BytesMut};

/// The longest line with its length.
const LONGEST: usize = 65_520;

/// A line, or what stands between lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pkt {
    /// A line's bytes.
    Line(Bytes),
    /// The end of a message.
    Flush,
    /// The end of a part of it.
    Delimiter,
    /// The end of an answer.
    End,
}

/// The end of a message.
pub(crate) const FLUSH: &[u8] = b"0000";
/// The end of a part of it.
pub(crate) const DELIMITER: &[u8] = b"0001";

/// Adds a line to a message; what is longer than a line can be is cut, and the other side says that it is none.
pub(crate) fn put(message: &mut Vec<u8>, line: &str) {
    let line = line.as_bytes().get(..LONGEST - 4).unwrap_or(line.as_bytes());
    message.extend_from_slice(format!("{:04x}", line.len() + 4).as_bytes());
    message.extend_from_slice(line);
}

/// Takes lines out of bytes as they come.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    waiting: BytesMut,
}

impl Decoder {
    /// Adds bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next line, if all of it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Pkt>, WireError> {
        let Some(digits) = self.waiting.get(..4) else { return Ok(None) };
        let plain = digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).ok().filter(|_| plain);
        let length = text.and_then(|text| usize::from_str_radix(text, 16).ok());
        let length = length.ok_or(WireError::Nonsense("a line without its length"))?;
        let special = |pkt| Some(pkt);
        let pkt = match length {
            0 => special(Pkt::Flush),
            1 => special(Pkt::Delimiter),
            2 => special(Pkt::End),
            3 => return Err(WireError::Nonsense("a line of an impossible length")),
            _ => None,
        };
        if let Some(pkt) = pkt {
            self.waiting.advance(4);
            return Ok(Some(pkt));
        }
        if length > LONGEST {
            return Err(WireError::Nonsense("a line of an impossible length"));
        }
        if self.waiting.len() < length {
            return Ok(None);
        }
        let mut line = self.waiting.split_to(length);
        line.advance(4);
        Ok(Some(Pkt::Line(line.freeze())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_however_they_come_in() {
        let mut message = Vec::new();
        put(&mut message, "one\n");
        message.extend_from_slice(DELIMITER);
        put(&mut message, "");
        message.extend_from_slice(FLUSH);
        assert_eq!(message, b"0008one\n000100040000");
        let want = [
            Pkt::Line(Bytes::from_static(b"one\n")),
            Pkt::Delimiter,
            Pkt::Line(Bytes::new()),
            Pkt::Flush,
        ];
        for size in 1..=message.len() {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in message.chunks(size) {
                decoder.feed(piece);
                while let Some(pkt) = decoder.next().unwrap() {
                    found.push(pkt);
                }
            }
            assert!(decoder.waiting.is_empty());
            assert_eq!(found, want, "in pieces of {size}");
        }
    }

    #[test]
    fn nonsense_is_none() {
        for bytes in [&b"HTTP/1.1"[..], b"0003", b"fff1", b"+004", b"\0\0\0\0"] {
            let mut decoder = Decoder::default();
            decoder.feed(bytes);
            assert!(decoder.next().is_err(), "{bytes:?}");
        }
    }
}
