//! Acts: archives are packed and unpacked on threads of their own, with a pipe between them and the connection.

use crate::printer;
use naru_errdefs::{Fault, Kind};
use naru_layer::{Destination, Limits, Owners, Rename};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread::JoinHandle;

/// A thread that packs or unpacks.
pub(crate) type Unpacking = JoinHandle<Result<(), Fault>>;

/// Unpacks an archive into a directory; what could not be kept is told.
pub(crate) fn extract(
    archive: impl io::Read + Send,
    root: &OwnedFd,
    (owners, rename): (Owners, Rename<'_>),
) -> Result<(), Fault> {
    let limits = Limits { unpacked: u64::MAX, ..Limits::standard() };
    let destination = Destination {
        root: root.as_fd(),
        place: Path::new(""),
        owners,
        keep_kinds: true,
        rename,
        limits: &limits,
    };
    let extracted = naru_layer::extract(archive, &destination)?;
    for note in &extracted.notes {
        printer::note(&format!("warning: {note}"));
    }
    Ok(())
}

/// What a thread that packs or unpacks came to.
pub(crate) fn join(thread: Unpacking) -> Result<(), Fault> {
    thread.join().unwrap_or_else(|_panicked| Err(Fault::new(Kind::Internal, "a thread was lost")))
}
