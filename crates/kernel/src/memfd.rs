//! Acts: files in memory that have no name.
//!
//! Facts (6.18): punching a hole over all whole pages up to the one that holds the end frees them all (also that last
//! one) and leaves the size alone, and appending goes on at the old size; offsets of a petabyte cost no more than small ones.

use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, memfd_create};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

const PAGE: u64 = 4096;

/// An empty file in memory, close-on-exec. The name only shows in `/proc`.
pub fn create(name: &str) -> io::Result<OwnedFd> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC)?)
}

/// A file in memory that holds `bytes`; the offset is at its start.
pub fn with_contents(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = create(name)?;
    write_all_at(&file, bytes, 0)?;
    Ok(file)
}

/// The size of a file.
pub fn size(file: impl AsFd) -> io::Result<u64> {
    let stat = rustix::fs::fstat(file)?;
    u64::try_from(stat.st_size).map_err(io::Error::other)
}

/// Frees the memory of everything before `end`, as far as whole pages allow. With `drained`, `end` is the end of the
/// file and the page it lies in is freed too. The size of the file stays.
pub fn discard(file: impl AsFd, end: u64, drained: bool) -> io::Result<()> {
    let length = if drained { end.next_multiple_of(PAGE) } else { end / PAGE * PAGE };
    if length == 0 {
        return Ok(());
    }
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, length)?)
}

/// Fills `buffer` from `offset` on, as far as the file goes; the number of bytes read.
pub fn read_at(file: impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let file = file.as_fd();
    let mut done = 0usize;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file, rest, offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Writes all of `bytes` at `offset`.
pub fn write_all_at(file: impl AsFd, bytes: &[u8], offset: u64) -> io::Result<()> {
    let file = file.as_fd();
    let mut done = 0usize;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pwrite(file, rest, offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The whole contents; refuses more than `limit` bytes.
pub fn contents(file: impl AsFd, limit: u64) -> io::Result<Vec<u8>> {
    let file = file.as_fd();
    let size = size(file)?;
    if size > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{size} bytes are too many"),
        ));
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    let count = read_at(file, &mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drained_file_keeps_its_size_and_no_pages() {
        let file = with_contents("test", &[1; 10_000]).unwrap();
        discard(&file, 10_000, true).unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        assert_eq!((stat.st_size, stat.st_blocks), (10_000, 0));
        write_all_at(&file, b"next", 10_000).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(read_at(&file, &mut buffer, 10_000).unwrap(), 4);
        assert_eq!(&buffer[..4], b"next");
    }

    #[test]
    fn what_is_not_consumed_stays() {
        let file = with_contents("test", &[7; 10_000]).unwrap();
        discard(&file, 9_000, false).unwrap();
        let mut buffer = [0; 1_000];
        assert_eq!(read_at(&file, &mut buffer, 9_000).unwrap(), 1_000);
        assert_eq!(buffer, [7; 1_000]);
    }
}
