//! Acts: what happens between a launch and a running command, and while a command runs in the foreground.

use super::io;
use crate::launch::{Launching, Progress};
use crate::start_error::StartError;
use naru_errdefs::Fault;
use naru_kernel::{channel, pty, reap};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;

/// Where the outer side of a terminal goes.
#[derive(Debug)]
pub(super) enum Console {
    /// To whoever listens there.
    Socket(UnixStream),
    /// To our own streams.
    Ours(Option<OwnedFd>),
}

impl Console {
    /// Connects before anything is made, so that a wrong path leaves nothing behind.
    pub(super) fn open(
        socket: Option<&str>,
        terminal: bool,
        detached: bool,
    ) -> Result<Console, Fault> {
        match socket {
            Some(path) if terminal => {
                let what = format!("cannot connect to the console socket `{path}`");
                Ok(Console::Socket(UnixStream::connect(path).map_err(io(what))?))
            }
            Some(_) => {
                Err(Fault::invalid("a console socket is given, and the process has no terminal"))
            }
            None if terminal && detached => {
                Err(Fault::invalid("the process has a terminal, and nobody to hold it")
                    .with_hint("name a socket with `--console-socket`"))
            }
            None => Ok(Console::Ours(None)),
        }
    }

    fn hand_over(&mut self, master: OwnedFd) -> Result<(), StartError> {
        match self {
            Console::Ours(held) => *held = Some(master),
            Console::Socket(socket) => {
                channel::send(&*socket, b"/dev/ptmx", Some(master.as_fd())).map_err(|error| {
                    StartError::other(format!("cannot hand over the terminal: {error}"))
                })?;
            }
        }
        Ok(())
    }
}

/// How far a launch is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Gated,
    Running,
}

/// Follows a launch. When it fails, its process has ended and was reaped.
pub(super) fn follow(
    launching: &mut Launching,
    console: &mut Console,
    until: Until,
) -> Result<(), StartError> {
    let result = try_follow(launching, console, until);
    if result.is_err() {
        drop(reap::kill(launching.pidfd()));
        drop(reap::wait(launching.pidfd()));
    }
    result
}

fn try_follow(
    launching: &mut Launching,
    console: &mut Console,
    until: Until,
) -> Result<(), StartError> {
    loop {
        match launching.advance()? {
            Progress::Console(master) => console.hand_over(master)?,
            Progress::Gated if until == Until::Gated => return Ok(()),
            Progress::Running => return Ok(()),
            Progress::Gated => {}
            Progress::Waiting => {
                reap::ended_within(launching.handshake_fd(), None)
                    .map_err(|error| StartError::other(format!("cannot wait for init: {error}")))?;
            }
        }
    }
}

/// Stays with a child until it ends; signals must be blocked already. Signals are passed on, a terminal's bytes go back and forth. Returns its exit code.
pub(super) fn stay(pid: u32, console: Console) -> Result<u8, Fault> {
    let master = match console {
        Console::Ours(Some(master)) => Some(File::from(master)),
        Console::Ours(None) | Console::Socket(_) => None,
    };
    let stdin = std::io::stdin();
    let raw = match &master {
        Some(_) => pty::make_raw(stdin.as_fd()).map_err(io("cannot make the terminal raw"))?,
        None => None,
    };
    let pump = master.as_ref().map(start_pumps).transpose()?;
    resize(master.as_ref());
    let code = wait(pid, master.as_ref())?;
    if let Some(pump) = pump {
        // What the command printed last is still in the terminal.
        drop(pump.join());
    }
    drop(raw);
    Ok(code)
}

fn start_pumps(master: &File) -> Result<std::thread::JoinHandle<()>, Fault> {
    let copy = || master.try_clone().map_err(io("cannot copy a descriptor"));
    let (mut input, mut output) = (copy()?, copy()?);
    std::thread::spawn(move || drop(std::io::copy(&mut std::io::stdin(), &mut input)));
    Ok(std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut stdout = std::io::stdout();
        // A terminal without anybody inside answers with an error.
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            if stdout.write_all(buffer.get(..length).unwrap_or_default()).is_err() {
                break;
            }
            drop(stdout.flush());
        }
    }))
}

fn resize(master: Option<&File>) {
    if let Some(master) = master
        && let Ok((rows, columns)) = pty::size(std::io::stdin())
    {
        // A size that cannot be set is no reason to end.
        drop(pty::resize(master, rows, columns));
    }
}

fn wait(pid: u32, master: Option<&File>) -> Result<u8, Fault> {
    loop {
        // Before the first signal: the child may have ended before signals were blocked.
        while let Some((ended, code)) = reap::reap().map_err(io("cannot wait for the process"))? {
            if ended == pid {
                return Ok(code);
            }
        }
        match reap::next_signal().map_err(io("cannot wait for signals"))? {
            SIGCHLD => {}
            SIGWINCH => resize(master),
            // It may have ended a moment ago.
            signal => drop(reap::signal(pid, signal)),
        }
    }
}

/// Writes a process number where an engine reads it.
pub(super) fn write_pid_file(path: Option<&str>, pid: u32) -> Result<(), Fault> {
    let Some(path) = path else { return Ok(()) };
    naru_kernel::fs::write_replace(Path::new(path), pid.to_string().as_bytes(), 0o644)
        .map_err(io(format!("cannot write the pid file `{path}`")))
}
