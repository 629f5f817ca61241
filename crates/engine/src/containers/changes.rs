//! Acts: what a container changed in its root: its writable layer against the image's.

use super::Containers;
use crate::record::Record;
use crate::supervisor::Supervisor;
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{self, OFlags};
use naru_kernel::xattr;
use naru_layer::whiteout::OPAQUE_ATTRIBUTE;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// No tree is followed further down.
const DEEPEST: usize = 512;

/// How a path was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is another one than the image's.
    Modified,
    /// The image does not have it.
    Added,
    /// The image has it, the container does not.
    Deleted,
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathChange {
    /// Absolute, in the container.
    pub path: String,
    /// How.
    pub kind: ChangeKind,
}

impl Containers {
    /// What it changed in its root.
    pub async fn changes(&self, name: &str) -> Result<Vec<PathChange>, Fault> {
        let record = self.inner.find(name)?.seat().record.clone();
        self.inner.blocking(move |me| me.changes_of(&record)).await
    }
}

impl Supervisor {
    fn changes_of(&self, record: &Record) -> Result<Vec<PathChange>, Fault> {
        let failed = || format!("cannot compare container {} with its image", record.short_id());
        let upper = path::open_directory(self.storage.paths(record)?.upper).during(failed)?;
        let image = self.mount_image_quietly(record)?;
        let mut changes = Vec::new();
        walk(&upper, image.as_ref(), Path::new("/"), &mut changes).during(failed)?;
        Ok(changes)
    }
}

fn walk(
    upper: &OwnedFd,
    image: Option<&OwnedFd>,
    path: &Path,
    changes: &mut Vec<PathChange>,
) -> io::Result<()> {
    if path.components().count() > DEEPEST {
        return Err(io::Error::other(format!("directories are nested deeper than {DEEPEST}")));
    }
    for name in node::list(upper)? {
        let full = path.join(&name);
        let status = match node::status_at(upper, &name) {
            // The container goes on while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            status => status?,
        };
        let before = image.and_then(|image| node::status_at(image, &name).ok());
        let kind = match (&before, status.is_whiteout()) {
            (None, true) => continue,
            (Some(_), true) => ChangeKind::Deleted,
            (Some(_), false) => ChangeKind::Modified,
            (None, false) => ChangeKind::Added,
        };
        let is_told = match &before {
            _ if kind == ChangeKind::Added => !is_place_of_ours(&full, &status),
            // A directory is there because of what is in it; that is told.
            Some(before) if kind == ChangeKind::Modified => !same_directory(before, &status),
            _ => true,
        };
        if is_told {
            changes.push(PathChange { path: full.to_string_lossy().into_owned(), kind });
        }
        if status.kind != NodeKind::Directory {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let Ok(inner) = path::open_entry(upper, &name, flags) else { continue };
        let lower = match before {
            Some(before) if before.kind == NodeKind::Directory => {
                image.and_then(|image| path::open_entry(image, &name, flags).ok())
            }
            _ => None,
        };
        if let Some(lower) = &lower
            && xattr::list(&inner)?.iter().any(|name| name == OPAQUE_ATTRIBUTE)
        {
            hidden(&inner, lower, &full, changes)?;
        }
        walk(&inner, lower.as_ref(), &full, changes)?;
    }
    Ok(())
}

/// What the start of a container makes to mount something on, which is no change of the container's. As in docker.
const PLACES: [&str; 9] = [
    "/dev",
    "/dev/pts",
    "/dev/shm",
    "/dev/console",
    "/proc",
    "/sys",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
];

fn is_place_of_ours(path: &Path, status: &Status) -> bool {
    let is_empty = match status.kind {
        NodeKind::Directory => true,
        NodeKind::File => status.size == 0,
        _ => false,
    };
    is_empty && PLACES.iter().any(|place| path == Path::new(place))
}

fn same_directory(before: &Status, after: &Status) -> bool {
    let looks =
        |status: &Status| (status.kind, status.mode, status.uid, status.gid, status.modified);
    after.kind == NodeKind::Directory && looks(before) == looks(after)
}

/// What an opaque directory hides of the image's and does not have itself.
fn hidden(
    upper: &OwnedFd,
    lower: &OwnedFd,
    path: &Path,
    changes: &mut Vec<PathChange>,
) -> io::Result<()> {
    for name in node::list(lower)? {
        if node::status_at(upper, &name).is_err() {
            let gone: PathBuf = path.join(&name);
            let path = gone.to_string_lossy().into_owned();
            changes.push(PathChange { path, kind: ChangeKind::Deleted });
        }
    }
    Ok(())
}
