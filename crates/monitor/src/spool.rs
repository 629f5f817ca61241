//! Acts: one output stream of a process on its way into a file in memory.
//!
//! See [`crate::takeover`] for why nothing is lost. Positions in the file are positions in the stream.

use naru_kernel::memfd;
use naru_kernel::splice::{self, Moved};
use std::io;
use std::os::fd::OwnedFd;

/// How many bytes a move takes at most.
const MOVE: usize = 256 * 1024;

/// Memory is given back in steps of this size, or when there is nothing left to be read.
const DISCARD_STEP: u64 = 256 * 1024;

/// Where a stream comes from.
#[derive(Debug)]
pub enum Source {
    /// The read end of a pipe.
    Pipe(OwnedFd),
    /// The master of a terminal, and a pipe of which one descriptor is both ends, because splicing needs one.
    Terminal(OwnedFd, OwnedFd),
}

/// A stream and its spool.
#[derive(Debug)]
pub struct Spool {
    /// `None` after the end.
    source: Option<Source>,
    file: OwnedFd,
    size: u64,
    discarded: u64,
}

impl Spool {
    /// A new stream.
    pub fn new(source: Source) -> io::Result<Spool> {
        Spool::resume(Some(source), memfd::create("naru-spool")?)
    }

    /// A stream whose spool has been filled by a predecessor.
    pub fn resume(source: Option<Source>, file: OwnedFd) -> io::Result<Spool> {
        if let Some(Source::Terminal(master, _)) = &source {
            // Splicing from a terminal waits otherwise, whatever its own flag says.
            splice::set_nonblocking(master, true)?;
        }
        let size = memfd::size(&file)?;
        Ok(Spool { source, file, size, discarded: 0 })
    }

    /// The descriptor that tells when there is more; `None` after the end.
    pub fn readable(&self) -> Option<&OwnedFd> {
        match self.source.as_ref()? {
            Source::Pipe(pipe) => Some(pipe),
            Source::Terminal(master, _) => Some(master),
        }
    }

    /// The source.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The file in memory.
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// How many bytes have come.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The first byte that is still there.
    pub fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Takes what is there, up to a bound. The caller removes [`Spool::readable`] from its watches before
    /// [`Spool::close`] when this says that the end is reached.
    pub fn take(&mut self) -> io::Result<Moved> {
        let moved = match &self.source {
            None => return Ok(Moved::End),
            Some(Source::Pipe(pipe)) => splice::to_file(pipe, &self.file, self.size, MOVE)?,
            Some(Source::Terminal(master, pipe)) => {
                // What a predecessor left in the pipe comes first.
                match splice::to_file(pipe, &self.file, self.size, MOVE)? {
                    Moved::Bytes(count) => Moved::Bytes(count),
                    Moved::Nothing | Moved::End => {
                        match splice::from_terminal(master, pipe, MOVE)? {
                            Moved::Bytes(_) => splice::to_file(pipe, &self.file, self.size, MOVE)?,
                            other => other,
                        }
                    }
                }
            }
        };
        if let Moved::Bytes(count) = moved {
            self.size += count as u64;
        }
        Ok(moved)
    }

    /// There is nothing more to come.
    pub fn close(&mut self) -> Option<Source> {
        self.source.take()
    }

    /// The bytes from `position` on, as far as `end` and the buffer go.
    pub fn read<'a>(&self, buffer: &'a mut [u8], position: u64, end: u64) -> io::Result<&'a [u8]> {
        let wanted = usize::try_from(end.saturating_sub(position)).unwrap_or(usize::MAX);
        let length = wanted.min(buffer.len());
        let target = buffer.get_mut(..length).unwrap_or_default();
        let count = memfd::read_at(&self.file, target, position)?;
        Ok(target.get(..count).unwrap_or_default())
    }

    /// Everybody has read what is before `position`: gives the memory back, now or a little later.
    pub fn discard(&mut self, position: u64) -> io::Result<()> {
        let drained = position == self.size;
        if position > self.discarded && (drained || position - self.discarded >= DISCARD_STEP) {
            memfd::discard(&self.file, position, drained)?;
            self.discarded = position;
        }
        Ok(())
    }
}
