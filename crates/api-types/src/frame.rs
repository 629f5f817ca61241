//! Pure: frames of the multiplexed stream: which output the bytes belong to, and how many there are.
//!
//! ```text
//! byte 0       1..4    4..8                    8..
//! stream kind  zero    length, big endian      payload
//! ```

use naru_errdefs::{Failure, Kind};

/// The media type of a stream of frames.
pub const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";
/// The media type of a stream without frames.
pub const RAW: &str = "application/vnd.docker.raw-stream";
/// The length of a frame's header.
pub const HEADER: usize = 8;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Standard input; never sent by a server.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// An error of the server's own.
    SystemError,
}

impl StreamKind {
    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            StreamKind::Stdin => 0,
            StreamKind::Stdout => 1,
            StreamKind::Stderr => 2,
            StreamKind::SystemError => 3,
        }
    }

    /// The kind with this byte.
    pub const fn from_byte(byte: u8) -> Option<StreamKind> {
        match byte {
            0 => Some(StreamKind::Stdin),
            1 => Some(StreamKind::Stdout),
            2 => Some(StreamKind::Stderr),
            3 => Some(StreamKind::SystemError),
            _ => None,
        }
    }
}

/// The header of a frame with that many bytes.
pub const fn header(kind: StreamKind, length: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [kind.byte(), 0, 0, 0, a, b, c, d]
}

/// Reads a header.
pub fn parse_header(header: [u8; HEADER]) -> Result<(StreamKind, u32), FrameError> {
    let [kind, _, _, _, a, b, c, d] = header;
    match StreamKind::from_byte(kind) {
        Some(kind) => Ok((kind, u32::from_be_bytes([a, b, c, d]))),
        None => Err(FrameError { byte: kind }),
    }
}

/// A frame with a kind that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized stream kind {byte} in a multiplexed stream")]
pub struct FrameError {
    byte: u8,
}

impl Failure for FrameError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

/// Some payload: its kind, its bytes, and the input behind it.
pub type Piece<'a> = (StreamKind, &'a [u8], &'a [u8]);

/// Takes a stream of frames apart as it arrives, in pieces of any size.
#[derive(Debug, Default)]
pub struct Splitter {
    header: [u8; HEADER],
    have: usize,
    current: Option<(StreamKind, usize)>,
}

impl Splitter {
    /// A splitter before the first frame.
    pub fn new() -> Splitter {
        Splitter::default()
    }

    /// The next payload at the start of `input`: its kind, its bytes, and what is left of `input` behind it. `None`
    /// when more input is needed; all of `input` is then taken.
    pub fn next<'a>(&mut self, mut input: &'a [u8]) -> Result<Option<Piece<'a>>, FrameError> {
        loop {
            if let Some((kind, left)) = self.current {
                if left == 0 {
                    self.current = None;
                    continue;
                }
                let (payload, rest) = input.split_at(left.min(input.len()));
                if payload.is_empty() {
                    return Ok(None);
                }
                self.current = Some((kind, left - payload.len()));
                return Ok(Some((kind, payload, rest)));
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
            input = rest;
            if let Some(slot) = self.header.get_mut(self.have) {
                *slot = byte;
            }
            self.have += 1;
            if self.have == HEADER {
                self.have = 0;
                let (kind, length) = parse_header(self.header)?;
                // A length that does not fit the address space cannot be reached either.
                self.current = Some((kind, usize::try_from(length).unwrap_or(usize::MAX)));
            }
        }
    }

    /// Whether the input so far ends between two frames.
    pub fn is_whole(&self) -> bool {
        self.have == 0 && self.current.is_none_or(|(_, left)| left == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unknown_kind_is_refused() {
        assert!(Splitter::new().next(&[9, 0, 0, 0, 0, 0, 0, 1, b'x']).is_err());
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            frames in proptest::collection::vec((0u8..4, proptest::collection::vec(any::<u8>(), 0..20)), 0..8),
            cuts in proptest::collection::vec(1usize..7, 1..40),
        ) {
            let mut wire = Vec::new();
            for (kind, payload) in &frames {
                let kind = StreamKind::from_byte(*kind).unwrap();
                wire.extend(header(kind, u32::try_from(payload.len()).unwrap()));
                wire.extend(payload);
            }
            let mut splitter = Splitter::new();
            let mut got: Vec<(u8, u8)> = Vec::new();
            let mut at = 0;
            let mut cut = cuts.iter().cycle();
            while at < wire.len() {
                let end = (at + cut.next().unwrap()).min(wire.len());
                let mut piece = &wire[at..end];
                while let Some((kind, payload, rest)) = splitter.next(piece).unwrap() {
                    got.extend(payload.iter().map(|byte| (kind.byte(), *byte)));
                    piece = rest;
                }
                at = end;
            }
            let want: Vec<(u8, u8)> = frames.iter().flat_map(|(kind, payload)| payload.iter().map(|byte| (*kind, *byte))).collect();
            prop_assert_eq!(got, want);
            prop_assert!(splitter.is_whole());
        }
    }
}
