//! Acts: sets the times of files, to the nanosecond and before 1970 too.

use rustix::fs::{AtFlags, Timespec, Timestamps};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// A moment: seconds since 1970 (negative before), and nanoseconds after that second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds after that second, less than 1,000,000,000.
    pub nanoseconds: u32,
}

/// Sets the access and modification times of an open file.
pub fn set(fd: impl AsFd, accessed: FileTime, modified: FileTime) -> io::Result<()> {
    Ok(rustix::fs::futimens(fd, &timestamps(accessed, modified))?)
}

/// Sets the times of what is called `name` in `dir`; of a link itself, not of its target.
pub fn set_at(
    dir: impl AsFd,
    name: impl AsRef<Path>,
    accessed: FileTime,
    modified: FileTime,
) -> io::Result<()> {
    let times = timestamps(accessed, modified);
    Ok(rustix::fs::utimensat(dir, name.as_ref(), &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(crate) fn timestamps(accessed: FileTime, modified: FileTime) -> Timestamps {
    let spec = |time: FileTime| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: spec(accessed), last_modification: spec(modified) }
}
