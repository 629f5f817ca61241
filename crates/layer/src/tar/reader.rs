//! Acts: reads an archive entry by entry from a stream, without seeking and in bounded memory.

use super::entry::{Entry, Extensions, build};
use super::error::TarError;
use super::header::{BLOCK, checksum_fits, gnu_sparse, gnu_sparse_extension, is_zero};
use super::pax::{self, Records};
use super::sparse_map::{MapText, Notation, SparseMap, notation};
use ::tar::Header;
use std::io::{self, BufRead, Read};

/// The most that a header may say about the next one; Go's reader has the same bound.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// Reads an archive. Call [`Reader::next_entry`], then take the entry's data with [`Reader::fill`] and
/// [`Reader::consume`], or leave it.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Bytes read so far.
    offset: u64,
    /// Data of the present entry that is still to come.
    remaining: u64,
    /// Zeros that fill the last block after it.
    padding: u64,
    global: Records,
    ended: Option<bool>,
}

impl<R: BufRead> Reader<R> {
    /// Reads from the start of an uncompressed archive.
    pub fn new(input: R) -> Reader<R> {
        Reader { input, offset: 0, remaining: 0, padding: 0, global: Records::new(), ended: None }
    }

    /// How many bytes of the archive have been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the archive has ended with its end mark; one that ends without may have been cut between entries.
    pub fn has_end_mark(&self) -> bool {
        self.ended == Some(true)
    }

    /// The next entry, or `None` at the end. Data that was not taken is skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended.is_some() {
            return Ok(None);
        }
        self.skip(self.remaining)?;
        let padding = std::mem::take(&mut self.padding);
        self.remaining = 0;
        // Archives that docker's client puts a Dockerfile into end with the last entry's last byte.
        if self.pass(padding)? < padding {
            self.ended = Some(false);
            return Ok(None);
        }
        let mut extensions = Extensions { records: self.global.clone(), ..Extensions::default() };
        loop {
            let at = self.offset;
            let mut block = [0u8; BLOCK];
            if !self.block(&mut block)? {
                self.ended = Some(false);
                return Ok(None);
            }
            if is_zero(&block) {
                return self.end(at);
            }
            if !checksum_fits(&block) {
                return Err(TarError::BadHeader { offset: at });
            }
            let header = Header::from_byte_slice(&block);
            match header.as_old().linkflag[0] {
                b'x' => {
                    let bytes = self.extension(header, at)?;
                    let records = pax::parse(&bytes).ok_or(TarError::BadPax { offset: at })?;
                    extensions.records.extend(records);
                }
                b'g' => {
                    let bytes = self.extension(header, at)?;
                    let records = pax::parse(&bytes).ok_or(TarError::BadPax { offset: at })?;
                    if self.global.len() + records.len() > 4096 {
                        return Err(TarError::HeaderTooLarge { limit: EXTENSION_LIMIT });
                    }
                    self.global.extend(records.iter().cloned());
                    extensions.records.extend(records);
                }
                b'L' => extensions.long_name = Some(until_nul(self.extension(header, at)?)),
                b'K' => extensions.long_link = Some(until_nul(self.extension(header, at)?)),
                // A volume label says nothing about files.
                b'V' => {}
                _ => return self.entry(header, extensions).map(Some),
            }
        }
    }

    /// The next bytes of the present entry's data; empty when there are no more.
    pub fn fill(&mut self) -> Result<&[u8], TarError> {
        if self.remaining == 0 {
            return Ok(&[]);
        }
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let bytes = self.input.fill_buf().map_err(TarError::Read)?;
        if bytes.is_empty() {
            return Err(TarError::Truncated);
        }
        Ok(bytes.get(..most).unwrap_or(bytes))
    }

    /// Takes `count` of the bytes that [`Reader::fill`] showed.
    pub fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.offset += count as u64;
        self.remaining = self.remaining.saturating_sub(count as u64);
    }

    /// The present entry's data as a stream.
    pub fn body(&mut self) -> Body<'_, R> {
        Body { reader: self }
    }

    /// All of the present entry's data, when it is at most `limit` long.
    pub fn read_all(&mut self, limit: u64) -> Result<Option<Vec<u8>>, TarError> {
        if self.remaining > limit {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        loop {
            let piece = self.fill()?;
            let count = piece.len();
            if count == 0 {
                return Ok(Some(bytes));
            }
            bytes.extend_from_slice(piece);
            self.consume(count);
        }
    }

    /// Reads what follows the end of the archive, so that whoever hashes the stream sees all of it.
    pub fn drain(&mut self, limit: u64) -> Result<(), TarError> {
        loop {
            let count = self.input.fill_buf().map_err(TarError::Read)?.len();
            if count == 0 {
                return Ok(());
            }
            self.input.consume(count);
            self.offset += count as u64;
            if self.offset > limit {
                return Err(TarError::HeaderTooLarge { limit });
            }
        }
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, TarError> {
        let is_gnu_sparse = header.as_old().linkflag[0] == b'S';
        let notation = notation(&extensions.records);
        let mut entry = build(header, extensions)?;
        let total = entry.stored;
        let bad = || TarError::BadSparseMap { entry: entry.shown() };
        let map = if is_gnu_sparse {
            let (mut pairs, size, mut more) = gnu_sparse(header).ok_or_else(bad)?;
            while more {
                let mut block = [0u8; BLOCK];
                if !self.block(&mut block)? {
                    return Err(TarError::Truncated);
                }
                let (further, again) = gnu_sparse_extension(&block).ok_or_else(bad)?;
                // An empty block that promises another one could go on for ever.
                if pairs.len() > 1 << 20 || (further.is_empty() && again) {
                    return Err(bad());
                }
                pairs.extend(further);
                more = again;
            }
            let size = u64::try_from(size).ok();
            Some(size.and_then(|size| SparseMap::checked(&pairs, size)).ok_or_else(bad)?)
        } else {
            match notation.map_err(|_malformed| bad())? {
                None => None,
                Some(Notation::Header(pairs, size)) => {
                    Some(SparseMap::checked(&pairs, size).ok_or_else(bad)?)
                }
                Some(Notation::Data(size)) => {
                    let mut text = MapText::default();
                    let mut left = total;
                    let pairs = loop {
                        let mut block = [0u8; BLOCK];
                        left = left.checked_sub(BLOCK as u64).ok_or_else(bad)?;
                        if !self.block(&mut block)? {
                            return Err(TarError::Truncated);
                        }
                        if let Some(pairs) = text.push(&block).map_err(|_malformed| bad())? {
                            break pairs;
                        }
                    };
                    let map = SparseMap::checked(&pairs, size).ok_or_else(bad)?;
                    entry.stored = left;
                    Some(map)
                }
            }
        };
        if let Some(map) = map {
            if map.stored() != entry.stored {
                return Err(TarError::BadSparseMap { entry: entry.shown() });
            }
            entry.sparse = Some(map);
        }
        self.remaining = entry.stored;
        self.padding = padding(total);
        Ok(entry)
    }

    /// After one block of zeros: another one, or nothing, ends the archive.
    fn end(&mut self, at: u64) -> Result<Option<Entry>, TarError> {
        let mut block = [0u8; BLOCK];
        if self.block(&mut block)? && !is_zero(&block) {
            return Err(TarError::BadHeader { offset: at });
        }
        self.ended = Some(true);
        Ok(None)
    }

    /// Reads one block; `false` when the stream ends before it.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(TarError::Truncated),
                Ok(count) => {
                    filled += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        Ok(true)
    }

    /// The data of a header that extends the next one.
    fn extension(&mut self, header: &Header, at: u64) -> Result<Vec<u8>, TarError> {
        let size = super::header::numbers(header).size.and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or(TarError::BadHeader { offset: at })?;
        if size > EXTENSION_LIMIT {
            return Err(TarError::HeaderTooLarge { limit: EXTENSION_LIMIT });
        }
        let mut bytes = Vec::new();
        let read =
            self.input.by_ref().take(size).read_to_end(&mut bytes).map_err(TarError::Read)?;
        self.offset += read as u64;
        if (read as u64) < size {
            return Err(TarError::Truncated);
        }
        self.skip(padding(size))?;
        Ok(bytes)
    }

    fn skip(&mut self, count: u64) -> Result<(), TarError> {
        if self.pass(count)? < count { Err(TarError::Truncated) } else { Ok(()) }
    }

    /// Leaves out so many bytes, or all that are left; answers how many there were.
    fn pass(&mut self, count: u64) -> Result<u64, TarError> {
        let mut passed = 0;
        while passed < count {
            let most = usize::try_from(count - passed).unwrap_or(usize::MAX);
            let step = self.input.fill_buf().map_err(TarError::Read)?.len().min(most);
            if step == 0 {
                break;
            }
            self.input.consume(step);
            self.offset += step as u64;
            passed += step as u64;
        }
        Ok(passed)
    }
}

/// The data of one entry.
#[derive(Debug)]
pub struct Body<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.reader.fill().map_err(|error| match error {
            TarError::Read(source) => source,
            other => io::Error::new(io::ErrorKind::UnexpectedEof, other),
        })?;
        let count = bytes.read(buffer)?;
        self.reader.consume(count);
        Ok(count)
    }
}

/// The zeros after `size` bytes of data.
pub(super) fn padding(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}
