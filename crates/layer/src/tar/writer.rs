//! Acts: writes an archive entry by entry, in the PAX format and with plain ustar headers where they suffice. The same
//! entries always make the same bytes.

use super::entry::{Entry, EntryKind};
use super::header::BLOCK;
use super::pax;
use super::reader::padding;
use super::sparse_map::format_map;
use std::io::{self, Write};

/// Writes an archive. Call [`Writer::start`] for each entry, [`Writer::data`] for its bytes, and at last
/// [`Writer::finish`].
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    remaining: u64,
    padding: u64,
}

impl<W: Write> Writer<W> {
    /// An empty archive.
    pub fn new(output: W) -> Writer<W> {
        Writer { output, remaining: 0, padding: 0 }
    }

    /// Begins an entry; `entry.stored` bytes of data must follow.
    pub fn start(&mut self, entry: &Entry) -> io::Result<()> {
        self.pad()?;
        let mut records = Vec::new();
        let map = entry.sparse.as_ref().map(format_map);
        let size = entry.stored + map.as_ref().map_or(0, |map| map.len() as u64);
        let name = match &entry.sparse {
            None => entry.name.clone(),
            Some(sparse) => {
                pax::append(&mut records, b"GNU.sparse.major", b"1");
                pax::append(&mut records, b"GNU.sparse.minor", b"0");
                pax::append(&mut records, b"GNU.sparse.name", &entry.name);
                pax::append(
                    &mut records,
                    b"GNU.sparse.realsize",
                    sparse.size.to_string().as_bytes(),
                );
                let base = entry.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                [b"GNUSparseFile.0/", base].concat()
            }
        };
        let mut block = ustar(entry, &name, size, &mut records);
        for (attribute, value) in &entry.attributes {
            pax::append(&mut records, &[b"SCHILY.xattr.", attribute.as_slice()].concat(), value);
        }
        if !records.is_empty() {
            self.extension(&name, &records)?;
        }
        seal(&mut block);
        self.output.write_all(&block)?;
        if let Some(map) = map {
            self.output.write_all(&map)?;
        }
        self.remaining = entry.stored;
        self.padding = padding(size);
        Ok(())
    }

    /// Writes the next bytes of the present entry's data.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.remaining.checked_sub(bytes.len() as u64);
        self.remaining =
            left.ok_or_else(|| io::Error::other("the file grew while it was archived"))?;
        self.output.write_all(bytes)
    }

    /// Ends the archive and gives the stream back.
    pub fn finish(mut self) -> io::Result<W> {
        self.pad()?;
        self.output.write_all(&[0u8; BLOCK * 2])?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn pad(&mut self) -> io::Result<()> {
        if self.remaining > 0 {
            return Err(io::Error::other("the file shrank while it was archived"));
        }
        let zeros = [0u8; BLOCK];
        let count = usize::try_from(self.padding).unwrap_or_default();
        self.output.write_all(zeros.get(..count).unwrap_or_default())?;
        self.padding = 0;
        Ok(())
    }

    fn extension(&mut self, name: &[u8], records: &[u8]) -> io::Result<()> {
        let base =
            name.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty()).unwrap_or_default();
        let base = base.get(..base.len().min(80)).unwrap_or_default();
        let mut block = [0u8; BLOCK];
        put(&mut block, 0, &[b"PaxHeaders.0/", base].concat());
        put(&mut block, 100, b"0000644\0");
        put(&mut block, 108, b"0000000\0");
        put(&mut block, 116, b"0000000\0");
        put(&mut block, 124, octal(records.len() as u64, 11).unwrap_or_default().as_bytes());
        put(&mut block, 136, b"00000000000\0");
        put(&mut block, 156, b"x");
        seal(&mut block);
        self.output.write_all(&block)?;
        self.output.write_all(records)?;
        self.padding = padding(records.len() as u64);
        self.pad()
    }
}

/// The header of an entry; what does not fit goes to `records`.
fn ustar(entry: &Entry, name: &[u8], size: u64, records: &mut Vec<u8>) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    let (flag, target, device) = match &entry.kind {
        EntryKind::File => (b'0', None, None),
        EntryKind::HardLink(target) => (b'1', Some(target), None),
        EntryKind::Link(target) => (b'2', Some(target), None),
        EntryKind::CharDevice(major, minor) => (b'3', None, Some((*major, *minor))),
        EntryKind::BlockDevice(major, minor) => (b'4', None, Some((*major, *minor))),
        EntryKind::Directory => (b'5', None, None),
        EntryKind::Fifo => (b'6', None, None),
    };
    if name.len() > 100 && entry.sparse.is_none() {
        pax::append(records, b"path", name);
    }
    put(&mut block, 0, name.get(..100).unwrap_or(name));
    let mut number = |at: usize, key: &str, value: u64, width: usize| match octal(value, width) {
        Some(text) => put(&mut block, at, text.as_bytes()),
        None => {
            put(&mut block, at, format!("{:0width$}", 0).as_bytes());
            pax::append(records, key.as_bytes(), value.to_string().as_bytes());
        }
    };
    number(100, "mode", entry.mode.into(), 7);
    number(108, "uid", entry.uid.into(), 7);
    number(116, "gid", entry.gid.into(), 7);
    number(124, "size", size, 11);
    let seconds = u64::try_from(entry.modified.seconds).ok().and_then(|seconds| octal(seconds, 11));
    put(&mut block, 136, seconds.as_deref().unwrap_or("00000000000").as_bytes());
    if seconds.is_none() || entry.modified.nanoseconds != 0 {
        pax::append(records, b"mtime", pax::format_time(entry.modified).as_bytes());
    }
    put(&mut block, 156, &[flag]);
    if let Some(target) = target {
        if target.len() > 100 {
            pax::append(records, b"linkpath", target);
        }
        put(&mut block, 157, target.get(..100).unwrap_or(target));
    }
    if let Some((major, minor)) = device {
        put(&mut block, 329, octal(major.into(), 7).unwrap_or_default().as_bytes());
        put(&mut block, 337, octal(minor.into(), 7).unwrap_or_default().as_bytes());
    }
    block
}

/// Adds magic and checksum.
fn seal(block: &mut [u8; BLOCK]) {
    put(block, 257, b"ustar\x0000");
    put(block, 148, b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    put(block, 148, format!("{sum:06o}\0 ").as_bytes());
}

/// Octal digits, when the number has at most `width` of them.
fn octal(number: u64, width: usize) -> Option<String> {
    let text = format!("{number:0width$o}");
    (text.len() <= width).then_some(text)
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    if let Some(place) = block.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
