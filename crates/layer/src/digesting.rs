//! Acts: decompresses and hashes a layer on a thread of its own while its archive is being unpacked on the caller's.

use crate::compression::{Compression, CompressionError};
use crate::limits::Limits;
use naru_oci::{Algorithm, DiffId, Digest, Digester};
use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// The size of the pieces that go from thread to thread.
const PIECE: usize = 256 * 1024;
/// How many pieces may be under way; with their size this bounds the memory of one layer.
const PIECES: usize = 8;

/// The digest and length of an uncompressed stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    /// The digest of all bytes.
    pub digest: Digest,
    /// How many there were.
    pub size: u64,
}

/// Decompresses `input` on a second thread and gives the bytes to `work`. What `work` leaves unread is hashed all the
/// same when it succeeds; when it fails, reading stops.
pub fn inflate<T, E: From<CompressionError> + Send>(
    input: impl Read + Send,
    limits: &Limits,
    work: impl FnOnce(&mut dyn BufRead) -> Result<T, E>,
) -> Result<(T, Hashed), E> {
    let (full, pieces) = sync_channel::<io::Result<Vec<u8>>>(PIECES);
    let (give_back, empty) = channel::<Vec<u8>>();
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || produce(input, limits, &full, &empty));
        let mut reader = Pieces { pieces, give_back, current: Vec::new(), taken: 0 };
        let done = work(&mut reader);
        let drained = match done.is_ok() {
            true => io::copy(&mut reader, &mut io::sink()).map(drop),
            false => Ok(()),
        };
        drop(reader);
        let produced = producer.join().unwrap_or_else(|_| {
            Err(CompressionError::Read(io::Error::other("the decompressing thread panicked")))
        });
        // When the work failed because the stream did, its error tells the same with more detail.
        let done = done?;
        let hashed = produced?;
        drained.map_err(CompressionError::Read)?;
        Ok((done, hashed))
    })
}

/// The digest of what a layer is without its compression.
pub fn diff_id_of(layer: impl Read + Send, limits: &Limits) -> Result<DiffId, CompressionError> {
    let ((), hashed) = inflate(layer, limits, |_| Ok::<_, CompressionError>(()))?;
    Ok(DiffId(hashed.digest))
}

fn produce(
    input: impl Read + Send,
    limits: &Limits,
    full: &SyncSender<io::Result<Vec<u8>>>,
    empty: &Receiver<Vec<u8>>,
) -> Result<Hashed, CompressionError> {
    // A failure here leaves the reader with an empty stream; the error itself goes back by the join.
    let (compression, input) = Compression::peek(input)?;
    let mut decoder = compression.decoder(input, limits).map_err(CompressionError::Read)?;
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut size = 0u64;
    loop {
        let mut piece = empty.try_recv().unwrap_or_default();
        piece.clear();
        let read = decoder.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        digester.update(&piece);
        size += piece.len() as u64;
        let ended = piece.is_empty();
        if !ended && full.send(Ok(piece)).is_err() {
            // Nobody reads any more: the work has failed and says why.
            break;
        }
        if let Err(error) = read {
            drop(full.send(Err(error)));
            break;
        }
        if ended {
            break;
        }
    }
    Ok(Hashed { digest: digester.finish(), size })
}

/// The reading end: pieces as they come, given back when they are used up.
struct Pieces {
    pieces: Receiver<io::Result<Vec<u8>>>,
    give_back: Sender<Vec<u8>>,
    current: Vec<u8>,
    taken: usize,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken >= self.current.len() {
            // The other end is gone when the stream has ended.
            let next = self.pieces.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            let used = std::mem::replace(&mut self.current, next);
            self.taken = 0;
            if used.capacity() > 0 {
                drop(self.give_back.send(used));
            }
        }
        Ok(self.current.get(self.taken..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_the_work_leaves_is_hashed_too() {
        let bytes: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
        let mut encoder = Compression::Gzip.encoder(Vec::new()).unwrap();
        encoder.write_all(&bytes).unwrap();
        let packed = encoder.finish().unwrap();
        let work = |reader: &mut dyn BufRead| {
            let mut first = [0u8; 8];
            reader.read_exact(&mut first).map_err(CompressionError::Read)?;
            Ok::<_, CompressionError>(first)
        };
        let (first, hashed) = inflate(&packed[..], &Limits::standard(), work).unwrap();
        assert_eq!(first, bytes[..8]);
        assert_eq!(hashed, Hashed { digest: Digest::of(&bytes), size: bytes.len() as u64 });
        assert!(inflate(&packed[..1000], &Limits::standard(), work).is_err());
        assert!(
            inflate(&b"BZh91AY"[..], &Limits::standard(), |_| Ok::<_, CompressionError>(()))
                .is_err()
        );
    }
}
