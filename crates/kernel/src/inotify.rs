//! To be told when a directory changes.
//!
//! Acts.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

/// Watches directories; readable when something has changed in one of them.
#[derive(Debug)]
pub struct Inotify(OwnedFd);

impl Inotify {
    /// Watches nothing yet. In non-blocking mode.
    pub fn new() -> io::Result<Inotify> {
        Ok(Inotify(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }

    /// Watches for files of a directory that are written, made, renamed or removed, and for its own end.
    pub fn watch_directory(&self, path: &Path) -> io::Result<()> {
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.0, path, flags)?;
        Ok(())
    }

    /// Forgets what has happened so far; whether there was anything.
    pub fn drain(&self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let mut any = false;
        loop {
            match rustix::io::read(&self.0, &mut buffer) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(any),
                Ok(_) => any = true,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Inotify {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::Inotify;
    use crate::poll::readable;
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::time::Duration;

    #[test]
    fn writing_creating_and_renaming_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let watch = Inotify::new().unwrap();
        watch.watch_directory(dir.path()).unwrap();
        assert!(!watch.drain().unwrap());
        let mut file = File::create(dir.path().join("a")).unwrap();
        assert!(readable(watch.as_fd(), Some(Duration::from_secs(5))).unwrap());
        assert!(watch.drain().unwrap());
        assert!(!watch.drain().unwrap());
        file.write_all(b"x").unwrap();
        assert!(watch.drain().unwrap());
        std::fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert!(watch.drain().unwrap());
        assert!(watch.watch_directory(&dir.path().join("none")).is_err());
    }
}
