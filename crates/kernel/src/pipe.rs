//! The reading end of a pipe, without waiting.
//!
//! Acts.

use std::io;
use std::os::fd::AsFd;

/// Reads what is there; `None` when that is nothing for now, 0 at the end. The descriptor must be in non-blocking mode.
pub fn try_read(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match rustix::io::read(fd, buffer) {
        Ok(count) => Ok(Some(count)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How many bytes are in the pipe.
pub fn unread(fd: impl AsFd) -> io::Result<u64> {
    Ok(rustix::io::ioctl_fionread(fd)?)
}

#[cfg(test)]
mod tests {
    use super::{try_read, unread};
    use crate::splice::{pipe, set_nonblocking, try_write};
    use std::os::fd::AsFd;

    #[test]
    fn what_is_in_a_pipe_is_counted_and_read_once() {
        let (read, write) = pipe().unwrap();
        set_nonblocking(&read, true).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(try_read(&read, &mut buffer).unwrap(), None);
        try_write(write.as_fd(), b"hello").unwrap();
        assert_eq!(unread(&read).unwrap(), 5);
        assert_eq!(try_read(&read, &mut buffer).unwrap(), Some(5));
        assert_eq!(unread(&read).unwrap(), 0);
        drop(write);
        assert_eq!(try_read(&read, &mut buffer).unwrap(), Some(0));
    }
}
