//! Acts: the only place that writes to standard output and standard error.

use crate::exit::{ExitStatus, Failed};
use naru_errdefs::{Fault, Report};
use rustix::event::{PollFd, PollFlags};
use std::io::{self, IsTerminal, Write};
use std::os::fd::BorrowedFd;

/// Writes text for pipes and people to standard output. When nobody reads any more the command ends, quietly and well.
pub fn out(text: &str) -> Result<(), Failed> {
    out_bytes(text.as_bytes())
}

/// Writes bytes to standard output.
pub fn out_bytes(bytes: &[u8]) -> Result<(), Failed> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(cannot_write)
}

fn cannot_write(error: io::Error) -> Failed {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failed::silent(ExitStatus::SUCCESS);
    }
    Fault::io("cannot write to standard output", error).into()
}

/// Writes a container's output, past all buffers of ours.
pub fn raw_out(mut bytes: &[u8]) -> Result<(), Failed> {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => wait_for(rustix::stdio::stdout(), PollFlags::OUT),
            Err(error) => return Err(cannot_write(error.into())),
        }
    }
    Ok(())
}

/// Writes a container's errors, past all buffers of ours. A closed standard error is nobody's loss.
pub fn raw_err(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stderr(), bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => wait_for(rustix::stdio::stderr(), PollFlags::OUT),
            Err(_) => return,
        }
    }
}

/// Waits on a descriptor that somebody who shares it with us made non-blocking.
pub(crate) fn wait_for(fd: BorrowedFd<'_>, what: PollFlags) {
    let mut fds = [PollFd::new(&fd, what)];
    // Whatever comes, the next read or write tells.
    rustix::event::poll(&mut fds, None).ok();
}

/// A line for people, on standard error.
pub fn note(text: &str) {
    raw_err(format!("{text}\n").as_bytes());
}

/// Tells why a command failed.
pub fn report(fault: &Fault) {
    note(&format!("error: {}", Report(fault)));
}

/// Whether standard error is a terminal.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}
