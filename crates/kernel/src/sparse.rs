//! Acts: finds and keeps the holes of files.

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

/// The ranges of a file that have data, in order; what is between them are holes. A file system without holes says
/// that all is data.
pub fn data_ranges(file: impl AsFd, size: u64) -> io::Result<Vec<Range<u64>>> {
    let file = file.as_fd();
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => return Ok(std::iter::once(0..size).collect()),
            Err(error) => return Err(error.into()),
        };
        if start >= size {
            break;
        }
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(size);
        ranges.push(start..end);
        at = end;
    }
    rustix::fs::seek(file, SeekFrom::Start(0))?;
    Ok(ranges)
}

/// Makes the file `size` long; what lies behind its present end becomes a hole.
pub fn set_length(file: impl AsFd, size: u64) -> io::Result<()> {
    Ok(rustix::fs::ftruncate(file, size)?)
}

/// Copies all data of one file to another, empty one, keeping the holes; in the kernel where that is possible.
pub fn copy(from: &File, to: &File) -> io::Result<u64> {
    let size = from.metadata()?.len();
    for range in data_ranges(from, size)? {
        copy_range(from, to, range)?;
    }
    set_length(to, size)?;
    Ok(size)
}

fn copy_range(from: &File, to: &File, range: Range<u64>) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut at = range.start;
    while at < range.end {
        let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(1 << 30);
        let (mut from_at, mut to_at) = (at, at);
        match rustix::fs::copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), length) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => at = from_at,
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let mut buffer = vec![0u8; 256 * 1024];
    while at < range.end {
        let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let read = from.read_at(buffer, at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all_at(buffer.get(..read).unwrap_or_default(), at)?;
        at += read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn holes_are_found_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let open = |name| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(root.path().join(name))
                .unwrap()
        };
        let (from, to) = (open("from"), open("to"));
        from.write_all_at(b"start", 0).unwrap();
        from.write_all_at(b"middle", 1 << 20).unwrap();
        set_length(&from, 5 << 20).unwrap();
        let ranges = data_ranges(&from, 5 << 20).unwrap();
        assert_eq!(ranges, [0..4096, 1 << 20..(1 << 20) + 4096]);
        assert_eq!(copy(&from, &to).unwrap(), 5 << 20);
        assert_eq!(data_ranges(&to, 5 << 20).unwrap(), ranges);
        assert!(to.metadata().unwrap().blocks() < 100);
        assert!(data_ranges(open("empty"), 0).unwrap().is_empty());
    }
}
