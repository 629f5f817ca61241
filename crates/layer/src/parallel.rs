//! Acts: compresses a stream on all processors. The same bytes make the same stream, however many processors there are:
//! it is cut into pieces of a fixed length, each a gzip member or a Zstandard frame of its own.

use crate::compression::Compression;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// How long a piece is.
const PIECE: usize = 1 << 20;
/// How much of a piece is looked at to find out whether it can be made smaller at all.
const SAMPLE: usize = 16 << 10;
/// No more threads than this.
const MOST_THREADS: usize = 16;

/// How a stream is compressed, and how hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Not at all.
    None,
    /// Gzip, 0 to 9.
    Gzip(u32),
    /// Zstandard, 1 to 22.
    Zstd(i32),
}

impl Level {
    /// The format.
    pub fn compression(self) -> Compression {
        match self {
            Level::None => Compression::None,
            Level::Gzip(_) => Compression::Gzip,
            Level::Zstd(_) => Compression::Zstd,
        }
    }

    fn pack(self, piece: &[u8]) -> io::Result<Vec<u8>> {
        let gzip = |bytes: &[u8], level: u32| {
            let out = Vec::with_capacity(bytes.len() / 2 + 64);
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(level));
            encoder.write_all(bytes)?;
            encoder.finish()
        };
        match self {
            Level::None => Ok(piece.to_vec()),
            Level::Gzip(level) => {
                let middle = piece.len() / 2;
                let sample = piece.get(middle..middle + SAMPLE).unwrap_or_default();
                // What does not become smaller is kept as it is: trying costs more than all the rest.
                let dense =
                    !sample.is_empty() && gzip(sample, 1)?.len() > sample.len() - sample.len() / 32;
                gzip(piece, if dense { 0 } else { level })
            }
            Level::Zstd(level) => zstd::bulk::compress(piece, level),
        }
    }
}

type Job = (Vec<u8>, SyncSender<io::Result<Vec<u8>>>);

/// Compresses what is written to it; [`ParallelEncoder::finish`] writes the rest.
#[derive(Debug)]
pub struct ParallelEncoder<W: Write> {
    output: W,
    level: Level,
    piece: Vec<u8>,
    workers: Option<SyncSender<Job>>,
    waiting: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    threads: usize,
    started: bool,
}

impl<W: Write> ParallelEncoder<W> {
    /// An encoder that starts threads once there is more than one piece.
    pub fn new(output: W, level: Level) -> ParallelEncoder<W> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        ParallelEncoder {
            output,
            level,
            piece: Vec::new(),
            workers: None,
            waiting: VecDeque::new(),
            threads: threads.min(MOST_THREADS),
            started: false,
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let workers = match &self.workers {
            Some(workers) => workers.clone(),
            None => self.start(),
        };
        let (sender, receiver) = sync_channel(1);
        workers.send((piece, sender)).map_err(|_gone| lost())?;
        self.waiting.push_back(receiver);
        while self.waiting.len() > self.threads * 2 {
            self.take_one()?;
        }
        Ok(())
    }

    fn start(&mut self) -> SyncSender<Job> {
        let (sender, jobs) = sync_channel::<Job>(self.threads);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..self.threads {
            let (jobs, level) = (Arc::clone(&jobs), self.level);
            std::thread::spawn(move || {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((piece, answer)) = job else { break };
                    // Whoever gave up does not want to know.
                    answer.send(level.pack(&piece)).ok();
                }
            });
        }
        self.workers = Some(sender.clone());
        sender
    }

    fn take_one(&mut self) -> io::Result<()> {
        let Some(next) = self.waiting.pop_front() else { return Ok(()) };
        let packed = next.recv().map_err(|_gone| lost())??;
        self.started = true;
        self.output.write_all(&packed)
    }

    /// Compresses what is left and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        let last = std::mem::take(&mut self.piece);
        let is_first = self.waiting.is_empty() && !self.started;
        let packed =
            if last.is_empty() && !is_first { Vec::new() } else { self.level.pack(&last)? };
        while !self.waiting.is_empty() {
            self.take_one()?;
        }
        self.output.write_all(&packed)?;
        Ok(self.output)
    }
}

impl<W: Write> Write for ParallelEncoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.level == Level::None {
            return self.output.write(bytes);
        }
        if self.piece.len() >= PIECE {
            self.send()?;
        }
        let count = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lost() -> io::Error {
    io::Error::other("a compressing thread was lost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use std::io::Read;

    fn pack(level: Level, bytes: &[u8], threads: usize) -> Vec<u8> {
        let mut encoder = ParallelEncoder { threads, ..ParallelEncoder::new(Vec::new(), level) };
        for piece in bytes.chunks(70_001) {
            encoder.write_all(piece).unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn the_same_bytes_make_the_same_stream_on_any_number_of_threads() {
        let text: Vec<u8> = (0..900_000u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u8::try_from(state >> 56).unwrap()
        })
        .take(3_000_000)
        .collect();
        for level in [Level::None, Level::Gzip(1), Level::Gzip(6), Level::Zstd(3)] {
            for bytes in [&text[..], &noise[..], &text[..1 << 20], &text[..100], b""] {
                let packed = pack(level, bytes, 1);
                assert_eq!(packed, pack(level, bytes, 4), "{level:?}");
                let (found, input) = Compression::peek(&packed[..]).unwrap();
                if !bytes.is_empty() {
                    assert_eq!(found, level.compression());
                }
                let mut unpacked = Vec::new();
                let mut input = input;
                let mut all = Vec::new();
                input.read_to_end(&mut all).unwrap();
                let mut decoder = found.decoder(io::Cursor::new(all), &Limits::standard()).unwrap();
                decoder.read_to_end(&mut unpacked).unwrap();
                assert_eq!(unpacked, bytes);
            }
            assert!(level == Level::None || pack(level, &text, 2).len() < text.len());
            assert!(pack(level, &noise, 2).len() < noise.len() + noise.len() / 100);
        }
    }
}
