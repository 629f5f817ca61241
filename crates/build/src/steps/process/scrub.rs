//! Acts: takes away what only the mounts of a process have left in the layer: empty files and directories to mount on.

use naru_errdefs::{Fault, ResultExt};
use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{OFlags, open_directory, open_in_root};
use naru_kernel::{times, xattr};
use naru_layer::whiteout::is_reserved_attribute;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What every process has mounted.
const USUAL: [&str; 6] =
    ["/proc", "/dev", "/sys", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

/// Cleans the directory of changes over a view of what is below. `targets` are places of further mounts.
pub(super) fn scrub(
    changes: &Path,
    lower: Option<&OwnedFd>,
    targets: &[String],
) -> Result<(), Fault> {
    let failed = || "cannot clean up after a step".to_owned();
    let upper = open_directory(changes).during(failed)?;
    for target in USUAL.iter().copied().chain(targets.iter().map(String::as_str)) {
        one(&upper, lower, target).during(failed)?;
    }
    Ok(())
}

fn one(upper: &OwnedFd, lower: Option<&OwnedFd>, target: &str) -> io::Result<()> {
    let mut path = Path::new(target.trim_matches('/'));
    let mut is_first = true;
    while let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
        let dir = match open_in_root(upper, parent, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let status = match node::status_at(&dir, name) {
            Ok(status) => status,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let below =
            lower.and_then(|lower| open_in_root(lower, path, OFlags::PATH | OFlags::NOFOLLOW).ok());
        let keep = match status.kind {
            NodeKind::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                let inner = open_in_root(upper, path, flags)?;
                !node::list(&inner)?.is_empty()
                    || is_opaque(&inner)?
                    || match &below {
                        Some(below) => !alike(&node::status(below)?, &status),
                        // What the step made itself, and left empty, is not told from a place to mount on.
                        None => false,
                    }
            }
            NodeKind::File => !is_first || status.size > 0 || below.is_some(),
            _ => true,
        };
        if keep {
            // Its time shows only that something was mounted in it.
            if status.kind == NodeKind::Directory
                && let Some(below) = &below
                && !is_first
            {
                restore(upper, path, &node::status(below)?)?;
            }
            return Ok(());
        }
        if status.kind == NodeKind::Directory {
            node::remove_all(&dir, name)?;
        } else {
            node::unlink(&dir, name)?;
        }
        is_first = false;
        path = parent;
    }
    Ok(())
}

fn restore(upper: &OwnedFd, path: &Path, below: &Status) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let dir = open_in_root(upper, path, flags)?;
    // Other names in it may be the step's own.
    if node::list(&dir)?.is_empty() {
        times::set(&dir, below.modified, below.modified)?;
    }
    Ok(())
}

fn alike(one: &Status, other: &Status) -> bool {
    (one.mode, one.uid, one.gid) == (other.mode, other.uid, other.gid)
}

fn is_opaque(dir: &OwnedFd) -> io::Result<bool> {
    let names = xattr::list(dir)?;
    Ok(names
        .iter()
        .any(|name| name == naru_layer::whiteout::OPAQUE_ATTRIBUTE || !is_reserved_attribute(name)))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
