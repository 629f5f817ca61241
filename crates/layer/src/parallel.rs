//! Acts: compresses a stream on all processors. The same bytes make the same stream, however many processors there are:
//! it is cut into pieces of a fixed length, each a gzip member or a Zstandard frame of its own.

use crate::compression::Compression;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

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

type Packed = io::Result<Vec<u8>>;
type Job = (Vec<u8>, SyncSender<Packed>);

/// Compresses what is written to it; [`ParallelEncoder::finish`] writes the rest.
///
/// What is compressed is written by a thread of its own, so that whoever produces the bytes does not wait for whoever keeps them.
#[derive(Debug)]
pub struct ParallelEncoder<W: Write> {
    /// Absent while [`Threads`] have it.
    output: Option<W>,
    level: Level,
    piece: Vec<u8>,
    running: Option<Threads<W>>,
    threads: usize,
}

/// The threads of one stream. Dropping them waits until nothing is written any more.
#[derive(Debug)]
struct Threads<W> {
    /// Where pieces go: to those who compress, and in the same order to the one who writes.
    queues: Option<(SyncSender<Job>, SyncSender<Receiver<Packed>>)>,
    writer: Option<JoinHandle<io::Result<W>>>,
}

impl<W> Drop for Threads<W> {
    fn drop(&mut self) {
        self.queues = None;
        drop(self.writer.take().map(JoinHandle::join));
    }
}

impl<W: Write + Send + 'static> ParallelEncoder<W> {
    /// An encoder that starts threads once there is more than one piece.
    pub fn new(output: W, level: Level) -> ParallelEncoder<W> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        ParallelEncoder {
            output: Some(output),
            level,
            piece: Vec::new(),
            running: None,
            threads: threads.min(MOST_THREADS),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if let Some(output) = self.output.take() {
            self.running = Some(Threads::start(output, self.level, self.threads));
        }
        let queues = self.running.as_ref().and_then(|running| running.queues.as_ref());
        let Some((jobs, order)) = queues else { return Err(lost()) };
        let (sender, receiver) = sync_channel(1);
        if order.send(receiver).is_ok() && jobs.send((piece, sender)).is_ok() {
            return Ok(());
        }
        // They have ended early: the one who writes knows why.
        match self.running.take() {
            Some(running) => running.end().and_then(|_output| Err(lost())),
            None => Err(lost()),
        }
    }

    /// Compresses what is left and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        let last = std::mem::take(&mut self.piece);
        let (mut output, is_first) = match (self.running.take(), self.output.take()) {
            (Some(running), _) => (running.end()?, false),
            (None, Some(output)) => (output, true),
            (None, None) => return Err(lost()),
        };
        if is_first || !last.is_empty() {
            output.write_all(&self.level.pack(&last)?)?;
        }
        Ok(output)
    }
}

impl<W: Write + Send + 'static> Threads<W> {
    fn start(mut output: W, level: Level, threads: usize) -> Threads<W> {
        let (jobs, receiver) = sync_channel::<Job>(threads);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads {
            let receiver = Arc::clone(&receiver);
            std::thread::spawn(move || {
                loop {
                    let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((piece, answer)) = job else { break };
                    // Whoever gave up does not want to know.
                    answer.send(level.pack(&piece)).ok();
                }
            });
        }
        let (order, pieces) = sync_channel::<Receiver<Packed>>(threads * 2);
        let writer = std::thread::spawn(move || {
            for piece in pieces {
                output.write_all(&piece.recv().map_err(|_gone| lost())??)?;
            }
            Ok(output)
        });
        Threads { queues: Some((jobs, order)), writer: Some(writer) }
    }

    /// Waits until all is written.
    fn end(mut self) -> io::Result<W> {
        self.queues = None;
        let writer = self.writer.take().ok_or_else(lost)?;
        writer.join().map_err(|_panic| lost())?
    }
}

impl<W: Write + Send + 'static> Write for ParallelEncoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.level == Level::None {
            return self.output.as_mut().ok_or_else(lost)?.write(bytes);
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
    fn an_output_that_fails_is_said_with_its_own_words() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for length in [10, 2 << 20, 64 << 20] {
            let mut encoder = ParallelEncoder::new(Full, Level::Gzip(1));
            let piece = vec![7; 1 << 20];
            let mut left = length;
            let written = loop {
                let count = left.min(piece.len());
                if let Err(error) = encoder.write_all(&piece[..count]) {
                    break Err(error);
                }
                left -= count;
                if left == 0 {
                    break encoder.finish().map(|_| ());
                }
            };
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::StorageFull, "{length}");
        }
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
