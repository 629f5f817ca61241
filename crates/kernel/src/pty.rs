//! Acts: terminals.

use crate::path::open_beneath;
use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A terminal: the side that a person (or a program in his place) holds, and the side of the programs in it.
#[derive(Debug)]
pub struct Pty {
    /// The outer side.
    pub master: OwnedFd,
    /// The inner side.
    pub slave: OwnedFd,
}

/// Makes a terminal in a devpts instance, given as an open directory that really is one. The inner side is opened through
/// the outer one, never by name.
pub fn open_in(devpts: impl AsFd) -> io::Result<Pty> {
    if crate::mount::magic(&devpts)? != crate::mount::DEVPTS_MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a devpts file system"));
    }
    let master = open_beneath(devpts, "ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC)?;
    open_peer(master)
}

/// Makes a terminal in this mount namespace's own devpts.
pub fn open() -> io::Result<Pty> {
    open_peer(rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?)
}

fn open_peer(master: OwnedFd) -> io::Result<Pty> {
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    Ok(Pty { master, slave })
}

/// Makes this the terminal of the session that this process leads.
pub fn make_controlling(slave: impl AsFd) -> io::Result<()> {
    Ok(rustix::process::ioctl_tiocsctty(slave)?)
}

/// Sets the size in characters; the programs in the terminal get SIGWINCH.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// The size in characters, rows first.
pub fn size(terminal: impl AsFd) -> io::Result<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(terminal)?;
    Ok((size.ws_row, size.ws_col))
}

/// A terminal that hands over every key as it is; as before when dropped.
#[derive(Debug)]
pub struct Raw<'fd> {
    terminal: BorrowedFd<'fd>,
    before: rustix::termios::Termios,
}

/// Makes a terminal raw; `None` when it is not one.
pub fn make_raw(terminal: BorrowedFd<'_>) -> io::Result<Option<Raw<'_>>> {
    use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};
    if !isatty(terminal) {
        return Ok(None);
    }
    let before = tcgetattr(terminal)?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(terminal, OptionalActions::Drain, &raw)?;
    Ok(Some(Raw { terminal, before }))
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // Nothing can be done about a terminal that is gone.
        tcsetattr(self.terminal, OptionalActions::Drain, &self.before).unwrap_or_default();
    }
}
