//! The words that the caller of a launch and the new process exchange until the command is executed. Acts: on a socket.
//!
//! ```text
//! caller                                  init (or the process of an exec)
//!   │── clone3 ────────────────────────────▶│
//!   │                                       │ waits, when there is a user namespace
//!   │── MapsWritten ───────────────────────▶│ (the caller wrote the maps and put it into its cgroups)
//!   │                                       │ joins cgroups and namespaces
//!   │◀──────────────── NamespacesReady ─────│ only when there are hooks for the host's side
//!   │── HooksDone ─────────────────────────▶│
//!   │                                       │ mounts, pivot_root, devices, masks, terminal
//!   │◀──────────────── Warning ─────────────│ any number
//!   │◀──────────────── Console + descriptor │ with a terminal
//!   │                                       │ credentials, working directory, command found
//!   │◀──────────────── Gated ───────────────│ with a gate
//!   │── Go ────────────────────────────────▶│ (or a byte through the named pipe)
//!   │◀──────────────── Ready ───────────────│ filter installed, execve
//!   │◀ ─ ─ ─ ─ ─ ─ ─ ─ end of file ─ ─ ─ ─ ─│ the socket is close-on-exec: the command runs
//!   │
//!   │◀──────────────── Error ───────────────│ instead of anything above; the process ends
//! ```
//!
//! End of file before `Ready` means that the process was killed.

use crate::start_error::{Reason, StartError};
use naru_kernel::channel;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// No message is longer; longer texts are cut.
pub(crate) const LONGEST: usize = 8192;

/// What the new process says.
#[derive(Debug)]
pub(crate) enum FromInit {
    NamespacesReady,
    Warning(String),
    Console(OwnedFd),
    Gated,
    Ready,
    Error(StartError),
    /// The socket was closed.
    End,
    /// There is no message yet.
    Nothing,
}

/// What the caller says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FromCaller {
    MapsWritten,
    HooksDone,
    Go,
}

impl FromCaller {
    fn byte(self) -> u8 {
        match self {
            FromCaller::MapsWritten => b'm',
            FromCaller::HooksDone => b'h',
            FromCaller::Go => b'g',
        }
    }
}

/// The new process's end.
#[derive(Debug)]
pub(crate) struct InitSide(pub(crate) OwnedFd);

impl InitSide {
    pub(crate) fn namespaces_ready(&self) -> io::Result<()> {
        channel::send(&self.0, b"N", None)
    }

    pub(crate) fn warning(&self, text: &str) {
        // Who cannot hear the warning cannot hear that it failed either.
        drop(channel::send(&self.0, &message(b"W", text), None));
    }

    pub(crate) fn console(&self, master: BorrowedFd<'_>) -> io::Result<()> {
        channel::send(&self.0, b"C", Some(master))
    }

    pub(crate) fn gated(&self) -> io::Result<()> {
        channel::send(&self.0, b"G", None)
    }

    /// Who launched it may be gone by now, when it waited at a gate that others open.
    pub(crate) fn ready(&self) {
        drop(channel::send(&self.0, b"R", None));
    }

    /// By `write`, the call that every system call filter lets through.
    pub(crate) fn error(&self, error: &StartError) {
        let head = [b'E', error.reason.code()];
        drop(channel::write(&self.0, &message(&head, &error.message)));
    }

    /// Waits for one certain word.
    pub(crate) fn wait_for(&self, expected: FromCaller) -> Result<(), StartError> {
        let mut buffer = [0; 8];
        match channel::receive(&self.0, &mut buffer) {
            Ok((1, _)) if buffer.first() == Some(&expected.byte()) => Ok(()),
            Ok(_) => Err(StartError::other("the launching process went away")),
            Err(error) => {
                Err(StartError::other(format!("cannot hear the launching process: {error}")))
            }
        }
    }
}

/// The caller's end.
#[derive(Debug)]
pub(crate) struct CallerSide(pub(crate) OwnedFd);

impl CallerSide {
    pub(crate) fn tell(&self, word: FromCaller) -> io::Result<()> {
        channel::send(&self.0, &[word.byte()], None)
    }

    /// The next message, without waiting.
    pub(crate) fn next(&self) -> FromInit {
        let mut buffer = [0; LONGEST];
        let (length, descriptor) = match channel::try_receive(self.0.as_fd(), &mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return FromInit::Nothing,
            Err(error) => {
                return FromInit::Error(StartError::other(format!("cannot hear init: {error}")));
            }
        };
        parse(buffer.get(..length).unwrap_or_default(), descriptor)
    }
}

fn message(head: &[u8], text: &str) -> Vec<u8> {
    let text = text.as_bytes().get(..LONGEST - head.len()).unwrap_or(text.as_bytes());
    [head, text].concat()
}

fn parse(bytes: &[u8], descriptor: Option<OwnedFd>) -> FromInit {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (bytes, descriptor) {
        ([], _) => FromInit::End,
        ([b'N'], _) => FromInit::NamespacesReady,
        ([b'G'], _) => FromInit::Gated,
        ([b'R'], _) => FromInit::Ready,
        ([b'C'], Some(master)) => FromInit::Console(master),
        ([b'W', rest @ ..], _) => FromInit::Warning(text(rest)),
        ([b'E', code, rest @ ..], _) => {
            FromInit::Error(StartError::new(Reason::from_code(*code), text(rest)))
        }
        _ => FromInit::Error(StartError::other("init said something that makes no sense")),
    }
}
