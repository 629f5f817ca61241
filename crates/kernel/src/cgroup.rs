//! Acts: the few calls that cgroup files need beyond reading and writing: waiting for a change, events, directories.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::fs::inotify;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// Writes `value` into the control file `path` with one `write`, as the kernel wants it. The file is never made.
pub fn write(path: &Path, value: &str) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let written = file.write(value.as_bytes())?;
    if written == value.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Waits until the control file that `file` is changes again after it was last read, or for `timeout`.
///
/// True when it changed. Files such as `cgroup.events` report it as an exceptional condition.
pub fn changed(file: impl AsFd, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    let mut watched = [PollFd::new(&file, PollFlags::PRI)];
    match rustix::event::poll(&mut watched, Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A descriptor that becomes readable when something happens in a cgroup. Read it with [`Notification::clear`].
#[derive(Debug)]
pub struct Notification {
    fd: OwnedFd,
    // The v1 registration lives as long as the watched file is open.
    _watched: Option<File>,
}

impl Notification {
    /// Registers with a v1 hierarchy: `control` is the directory's `cgroup.event_control`, `watched` the file that is
    /// listened to.
    pub fn register(control: &Path, watched: &Path) -> io::Result<Notification> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let watched = File::open(watched)?;
        write(control, &format!("{} {}", fd.as_raw_fd(), watched.as_raw_fd()))?;
        Ok(Notification { fd, _watched: Some(watched) })
    }

    /// Watches a file of the unified hierarchy that the kernel marks as modified when its content changes.
    pub fn watch(path: &Path) -> io::Result<Notification> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&fd, path, inotify::WatchFlags::MODIFY)?;
        Ok(Notification { fd, _watched: None })
    }

    /// Takes everything that has happened so far; true when something had.
    pub fn clear(&self) -> io::Result<bool> {
        let mut happened = false;
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(&self.fd, &mut buffer[..]) {
                Ok(0) => return Ok(happened),
                Ok(_) => happened = true,
                Err(rustix::io::Errno::AGAIN) => return Ok(happened),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Notification {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Reads a control file from its beginning, which also arms [`changed`].
pub fn read_again(file: &mut File) -> io::Result<String> {
    use std::io::Seek;
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Opens a cgroup directory for `clone` and for BPF programs.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        path,
        rustix::fs::OFlags::RDONLY
            | rustix::fs::OFlags::DIRECTORY
            | rustix::fs::OFlags::CLOEXEC
            | rustix::fs::OFlags::NOFOLLOW,
        rustix::fs::Mode::empty(),
    )?)
}
