//! Acts: standard streams and the terminal of the new process.

use super::Attempt;
use crate::handshake::InitSide;
use crate::launch::ChildStdio;
use crate::plan::TerminalSize;
use crate::start_error::StartError;
use naru_kernel::path::OFlags;
use naru_kernel::{exec, mount, path, pty};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::path::Path;

/// Where the standard streams come from.
pub(crate) struct Streams(Option<ChildStdio>);

impl Streams {
    /// Without any, those of the caller stay, or those of a terminal follow.
    pub(crate) fn new(stdio: Option<ChildStdio>) -> Streams {
        Streams(stdio)
    }

    /// Puts them at 0, 1 and 2. The socket is moved out of their way if it is there.
    pub(crate) fn place(self, side: InitSide) -> Result<InitSide, (InitSide, io::Error)> {
        let side = match out_of_the_way(side.0) {
            Ok(fd) => InitSide(fd),
            Err((fd, error)) => return Err((InitSide(fd), error)),
        };
        match self.0.map(put_all).transpose() {
            Ok(_) => Ok(side),
            Err(error) => Err((side, error)),
        }
    }
}

fn put_all(stdio: ChildStdio) -> io::Result<()> {
    let mut moved = Vec::with_capacity(3);
    for fd in [stdio.stdin, stdio.stdout, stdio.stderr] {
        moved.push(out_of_the_way(fd).map_err(|(_, error)| error)?);
    }
    for (number, fd) in (0..).zip(moved) {
        exec::place(fd.as_fd(), number, false)?;
        // Closed with all others before the command is looked for.
        let _number = fd.into_raw_fd();
    }
    Ok(())
}

fn out_of_the_way(fd: OwnedFd) -> Result<OwnedFd, (OwnedFd, io::Error)> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    match exec::copy_above(fd.as_fd(), 3) {
        Ok(copy) => {
            let _number = fd.into_raw_fd();
            Ok(copy)
        }
        Err(error) => Err((fd, error)),
    }
}

/// A terminal in the container's own devpts.
pub(super) struct Terminal(pty::Pty);

impl Terminal {
    pub(super) fn open(
        size: Option<TerminalSize>,
        root: &OwnedFd,
    ) -> Result<Option<Terminal>, StartError> {
        let Some(size) = size else { return Ok(None) };
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let pty = path::open_in_root(root, "/dev/pts", directory)
            .and_then(pty::open_in)
            .attempt(|| "open a terminal in the container's `/dev/pts`")?;
        if size != TerminalSize::default() {
            pty::resize(&pty.master, size.rows, size.columns).attempt(|| "size the terminal")?;
        }
        Ok(Some(Terminal(pty)))
    }

    pub(super) fn master(&self) -> BorrowedFd<'_> {
        self.0.master.as_fd()
    }

    /// Makes it the container's `/dev/console`. The mount is a copy of the open descriptor's own, and the place must not
    /// be a link, so no name that an image made can put something else there.
    pub(super) fn bind_console(&self, root: &OwnedFd) -> Result<(), StartError> {
        let place = super::root::file_without_links(root, Path::new("/dev/console"))
            .attempt(|| "make `/dev/console`")?;
        mount::clone_tree(&self.0.slave, "", false)
            .and_then(|tree| mount::attach(tree, place))
            .attempt(|| "bind the terminal to `/dev/console`")
    }

    /// Makes it the controlling terminal and the standard streams of this process, which leads a new session.
    pub(super) fn take(self) -> Result<(), StartError> {
        pty::make_controlling(&self.0.slave).attempt(|| "take the terminal")?;
        for number in 0..3 {
            exec::place(self.0.slave.as_fd(), number, false).attempt(|| "use the terminal")?;
        }
        Ok(())
    }
}
