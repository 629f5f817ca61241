//! Acts: compression of layers and archives, told by their first bytes and never by a name or media type.

use crate::limits::Limits;
use naru_errdefs::{Failure, Kind};
use std::io::{self, BufRead, BufReader, Read, Write};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// Gzip, of any number of members.
    Gzip,
    /// Zstandard, of any number of frames.
    Zstd,
    /// Xz, of any number of streams; only read.
    Xz,
    /// Bzip2, of any number of streams; only read.
    Bzip2,
}

/// Why a stream cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// A format that we do not read.
    #[error("the archive is compressed with {name}, which is not supported")]
    Unsupported {
        /// The format.
        name: &'static str,
        /// The command that decompresses it.
        tool: &'static str,
    },
    /// The stream failed.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
}

impl Failure for CompressionError {
    fn kind(&self) -> Kind {
        match self {
            CompressionError::Unsupported { .. } => Kind::Unsupported,
            CompressionError::Read(error) => crate::tar::error::kind_of(error),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CompressionError::Unsupported { tool, .. } => Some(format!(
                "decompress it first (`{tool} -dc FILE`), or compress it with gzip, zstd, xz or bzip2"
            )),
            CompressionError::Read(_) => None,
        }
    }
}

/// How many bytes tell the formats apart.
const MAGIC: usize = 6;
/// KiB that xz may take: what its highest level needs is 65 MiB.
const XZ_MEMORY: u32 = 256 << 10;
/// Decompressors are given this much at once.
const BUFFER: usize = 128 * 1024;

impl Compression {
    /// Tells the format by the first bytes of a stream.
    pub fn detect(first: &[u8]) -> Result<Compression, CompressionError> {
        let unsupported = |name, tool| Err(CompressionError::Unsupported { name, tool });
        match first {
            [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
            // A skippable frame may come first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Ok(Compression::Zstd)
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Compression::Xz),
            [b'B', b'Z', b'h', b'0'..=b'9', ..] => Ok(Compression::Bzip2),
            [0x04, 0x22, 0x4d, 0x18, ..] => unsupported("lz4", "lz4"),
            [b'L', b'Z', b'I', b'P', ..] => unsupported("lzip", "lzip"),
            [b'P', b'K', 3, 4, ..] => unsupported("zip", "unzip"),
            _ => Ok(Compression::None),
        }
    }

    /// Looks at the first bytes of a stream without taking them.
    pub fn peek(mut input: impl Read) -> Result<(Compression, impl Read), CompressionError> {
        let mut first = Vec::with_capacity(MAGIC);
        input
            .by_ref()
            .take(MAGIC as u64)
            .read_to_end(&mut first)
            .map_err(CompressionError::Read)?;
        let compression = Compression::detect(&first)?;
        Ok((compression, io::Cursor::new(first).chain(input)))
    }

    /// Decompresses a stream, refusing one that grows beyond the limits.
    pub fn decoder<'a>(
        self,
        input: impl Read + Send + 'a,
        limits: &Limits,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let (counted, count) = counting(input);
        let input = BufReader::with_capacity(BUFFER, counted);
        let bounded = |decoder: Box<dyn Read + Send + 'a>| Bounded {
            decoder,
            count,
            limits: *limits,
            produced: 0,
        };
        Ok(match self {
            Compression::None => Box::new(Bounded {
                limits: Limits { ratio: u64::MAX, ..*limits },
                ..bounded(Box::new(input))
            }),
            Compression::Gzip => {
                Box::new(bounded(Box::new(flate2::bufread::MultiGzDecoder::new(input))))
            }
            Compression::Zstd => Box::new(bounded(Box::new(zstd_decoder(input)?))),
            Compression::Xz => Box::new(bounded(Box::new(lzma_rust2::XzReader::new_mem_limit(
                input, true, XZ_MEMORY,
            )))),
            Compression::Bzip2 => Box::new(bounded(Box::new(crate::bzip2::Decoder::new(input)))),
        })
    }

    /// Compresses what is written; call [`Encoder::finish`] at the end. The same bytes always make the same stream.
    pub fn encoder<W: Write>(self, output: W) -> io::Result<Encoder<W>> {
        Ok(match self {
            Compression::None => Encoder::None(output),
            Compression::Gzip => Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(
                output,
                flate2::Compression::new(6),
            ))),
            Compression::Zstd => Encoder::Zstd(zstd::Encoder::new(output, 3)?),
            Compression::Xz | Compression::Bzip2 => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "archives are written uncompressed, by gzip or by zstd",
                ));
            }
        })
    }
}

fn zstd_decoder<R: BufRead>(input: R) -> io::Result<zstd::Decoder<'static, R>> {
    let mut decoder = zstd::Decoder::with_buffer(input)?;
    // 128 MiB of window: what `zstd` itself takes without being asked for more.
    decoder.window_log_max(27)?;
    Ok(decoder)
}

/// Compresses what is written to it.
pub enum Encoder<W: Write> {
    /// Passes bytes through.
    None(W),
    /// Gzip.
    Gzip(Box<flate2::write::GzEncoder<W>>),
    /// Zstandard.
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> std::fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Encoder::None(_) => "Encoder::None",
            Encoder::Gzip(_) => "Encoder::Gzip",
            Encoder::Zstd(_) => "Encoder::Zstd",
        })
    }
}

impl<W: Write> Encoder<W> {
    /// Writes the end of the stream and gives the output back.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Encoder::None(output) => Ok(output),
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::None(output) => output.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::None(output) => output.flush(),
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// A stream became larger than is let through.
#[derive(Debug, thiserror::Error)]
#[error(
    "the archive unpacks to more than {produced} bytes from {taken}; it looks like a decompression bomb"
)]
pub struct Bomb {
    /// Bytes that came in.
    pub taken: u64,
    /// Bytes that came out.
    pub produced: u64,
}

type Count = std::sync::Arc<std::sync::atomic::AtomicU64>;

/// Counts the bytes that a decompressor takes, while it owns the stream.
struct Counting<R> {
    input: R,
    count: Count,
}

fn counting<R>(input: R) -> (Counting<R>, Count) {
    let count = Count::default();
    (Counting { input, count: Count::clone(&count) }, count)
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.count.fetch_add(read as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(read)
    }
}

struct Bounded<'a> {
    decoder: Box<dyn Read + Send + 'a>,
    count: Count,
    limits: Limits,
    produced: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.produced += read as u64;
        let taken = self.count.load(std::sync::atomic::Ordering::Relaxed);
        let too_dense =
            self.produced > self.limits.ratio_from && self.produced / self.limits.ratio > taken;
        if self.produced > self.limits.unpacked || too_dense {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                Bomb { taken, produced: self.produced },
            ));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = compression.encoder(Vec::new()).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(bytes: &[u8], limits: &Limits) -> io::Result<Vec<u8>> {
        let (compression, input) = Compression::peek(bytes).unwrap();
        let mut out = Vec::new();
        compression.decoder(input_boxed(input), limits)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn input_boxed(mut input: impl Read) -> io::Cursor<Vec<u8>> {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).unwrap();
        io::Cursor::new(bytes)
    }

    #[test]
    fn what_is_packed_is_unpacked_also_in_several_pieces() {
        let limits = Limits::standard();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let twice = [packed(compression, b"one "), packed(compression, b"two")].concat();
            assert_eq!(Compression::detect(&twice).unwrap(), compression);
            assert_eq!(unpacked(&twice, &limits).unwrap(), b"one two");
            assert_eq!(packed(compression, b"same"), packed(compression, b"same"));
        }
        assert_eq!(unpacked(b"", &limits).unwrap(), b"");
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        for (magic, name) in
            [(&b"LZIP\x01"[..], "lzip"), (b"PK\x03\x04", "zip"), (b"\x04\x22\x4d\x18", "lz4")]
        {
            let error = Compression::detect(magic).unwrap_err();
            assert!(error.to_string().contains(name));
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn truncated_streams_and_bombs_fail() {
        let limits =
            Limits { ratio_from: 10_000, ratio: 20, unpacked: 1 << 30, ..Limits::standard() };
        for compression in [Compression::Gzip, Compression::Zstd] {
            let whole = packed(compression, b"some text that is compressed");
            assert!(unpacked(&whole[..whole.len() - 5], &limits).is_err());
            let bomb = packed(compression, &vec![0u8; 4 << 20]);
            assert!(unpacked(&bomb, &limits).unwrap_err().to_string().contains("bomb"));
            assert!(unpacked(&bomb, &Limits::standard()).is_ok());
            assert!(unpacked(&bomb, &Limits { unpacked: 1 << 20, ..Limits::standard() }).is_err());
        }
    }

    #[test]
    fn what_xz_and_bzip2_packed_is_unpacked_within_bounds() {
        let text = "a line of some text\n".repeat(50_000).into_bytes();
        let by = |tool: &str, bytes: &[u8]| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            let mut file = std::fs::File::create(&path).unwrap();
            file.write_all(bytes).unwrap();
            let mut command = std::process::Command::new(tool);
            command.arg("-c").arg(&path).output().unwrap().stdout
        };
        let limits =
            Limits { ratio_from: 10_000, ratio: 20, unpacked: 1 << 30, ..Limits::standard() };
        for (tool, compression) in [("xz", Compression::Xz), ("bzip2", Compression::Bzip2)] {
            let whole = by(tool, &text);
            assert_eq!(Compression::detect(&whole).unwrap(), compression);
            assert!(unpacked(&whole, &Limits::standard()).unwrap() == text, "{tool}");
            let twice = [&whole[..], &whole].concat();
            assert!(
                unpacked(&twice, &Limits::standard()).unwrap().len() == 2 * text.len(),
                "{tool}"
            );
            for cut in [1, 5, 20, whole.len() / 2] {
                let cut = &whole[..whole.len() - cut];
                assert!(unpacked(cut, &Limits::standard()).is_err(), "{tool}");
            }
            let mut changed = whole.clone();
            changed[whole.len() / 2] ^= 0x40;
            assert!(unpacked(&changed, &Limits::standard()).is_err(), "{tool}");
            let bomb = by(tool, &vec![0; 4 << 20]);
            assert!(unpacked(&bomb, &limits).unwrap_err().to_string().contains("bomb"), "{tool}");
            assert!(compression.encoder(Vec::new()).is_err());
        }
    }
}
