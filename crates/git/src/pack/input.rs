//! Acts: reads a pack from its file, and inflates what is in it.

use super::PackError;
use flate2::{Decompress, FlushDecompress, Status};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// A file from one place to another.
pub(super) struct Input<'a> {
    file: &'a File,
    /// Where the next bytes are read.
    next: u64,
    end: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(file: &'a File, start: u64, end: u64) -> Input<'a> {
        Input { file, next: start, end, buffer: Vec::new(), at: 0 }
    }

    /// The place of the next byte that is handed out.
    pub(super) fn place(&self) -> u64 {
        self.next - (self.buffer.len() - self.at) as u64
    }

    pub(super) fn byte(&mut self) -> Result<u8, PackError> {
        let first = self.fill_buf().map_err(PackError::Read)?.first().copied();
        self.consume(1);
        first.ok_or(PackError::Damaged("it ends too early"))
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.buffer.len() {
            let left = usize::try_from(self.end.saturating_sub(self.next)).unwrap_or(usize::MAX);
            self.buffer.resize(left.min(BUFFER), 0);
            let count = self.file.read_at(&mut self.buffer, self.next)?;
            self.buffer.truncate(count);
            self.at = 0;
            self.next += count as u64;
        }
        Ok(self.buffer.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.buffer.len());
    }
}

/// Inflates one object after the other.
pub(super) struct Inflater {
    state: Decompress,
    output: Vec<u8>,
}

impl Inflater {
    pub(super) fn new() -> Inflater {
        Inflater { state: Decompress::new(true), output: vec![0; BUFFER] }
    }

    /// Inflates what begins here and has to have this size.
    pub(super) fn run(
        &mut self,
        input: &mut Input<'_>,
        size: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), PackError> {
        self.state.reset(true);
        let mut left = size;
        loop {
            let (count, ended) = step(&mut self.state, input, &mut self.output)?;
            left = left
                .checked_sub(count as u64)
                .ok_or(PackError::Damaged("an object is longer than it says"))?;
            take(self.output.get(..count).unwrap_or_default());
            if ended {
                break;
            }
        }
        if left > 0 { Err(PackError::Damaged("an object is shorter than it says")) } else { Ok(()) }
    }
}

/// Inflates some bytes; says how many, and whether that was the end.
fn step(
    state: &mut Decompress,
    input: &mut Input<'_>,
    output: &mut [u8],
) -> Result<(usize, bool), PackError> {
    let bytes = input.fill_buf().map_err(PackError::Read)?;
    let is_end = bytes.is_empty();
    let (before_in, before_out) = (state.total_in(), state.total_out());
    let status = state
        .decompress(bytes, output, FlushDecompress::None)
        .map_err(|_bad| PackError::Damaged("an object is compressed wrongly"))?;
    let taken = usize::try_from(state.total_in() - before_in).unwrap_or(usize::MAX);
    let made = usize::try_from(state.total_out() - before_out).unwrap_or(usize::MAX);
    input.consume(taken);
    let ended = status == Status::StreamEnd;
    if !ended && taken == 0 && made == 0 && is_end {
        return Err(PackError::Damaged("it ends too early"));
    }
    Ok((made, ended))
}

/// An object as it is inflated.
pub(super) struct Inflated<'a> {
    input: Input<'a>,
    state: Decompress,
    left: u64,
    ended: bool,
}

impl<'a> Inflated<'a> {
    pub(super) fn new(input: Input<'a>, size: u64) -> Inflated<'a> {
        Inflated { input, state: Decompress::new(true), left: size, ended: false }
    }
}

impl Read for Inflated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while !self.ended {
            let failed = |error: PackError| match error {
                PackError::Read(error) => error,
                other => io::Error::new(io::ErrorKind::InvalidData, other),
            };
            let (count, ended) = step(&mut self.state, &mut self.input, buffer).map_err(failed)?;
            self.ended = ended;
            self.left = self.left.saturating_sub(count as u64);
            if count > 0 {
                return Ok(count);
            }
        }
        if self.left > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(0) }
    }
}
