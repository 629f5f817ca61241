//! Acts: covers paths that a container must not read, and makes others read-only.
//!
//! What covers them comes from the host, is opened while the host is in sight, and is looked at: an image's own
//! `/dev/null`, whatever it is, plays no part.

use super::Attempt;
use crate::plan::Plan;
use crate::start_error::StartError;
use naru_kernel::mount::{self, Change, NewFileSystem, attribute};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{self, OFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Covers and protects.
pub(super) fn cover(plan: &Plan, root: &OwnedFd) -> Result<(), StartError> {
    let mut empty = None;
    for path in &plan.masked_paths {
        mask(path, root, &mut empty).attempt(|| format!("mask `{}`", path.display()))?;
    }
    for path in &plan.readonly_paths {
        protect(path, root).attempt(|| format!("make `{}` read-only", path.display()))?;
    }
    Ok(())
}

/// `None` for what is not there: not every kernel has every file.
fn find(path: &Path, root: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    match path::open_in_root(root, path, OFlags::PATH | OFlags::CLOEXEC) {
        Ok(place) => Ok(Some(place)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn mask(path: &Path, root: &OwnedFd, empty: &mut Option<OwnedFd>) -> io::Result<()> {
    let Some(place) = find(path, root)? else { return Ok(()) };
    if node::status(&place)?.kind != NodeKind::Directory {
        return mount::attach(null_device()?, place);
    }
    let tree = match empty {
        Some(attached) => mount::clone_tree(attached, "", false)?,
        None => mount::new_file_system(&NewFileSystem {
            kind: "tmpfs",
            source: "tmpfs",
            options: &[("size".to_owned(), Some("0".to_owned()))],
            attributes: attribute::READ_ONLY
                | attribute::NO_SUID
                | attribute::NO_DEV
                | attribute::NO_EXEC,
        })?,
    };
    mount::attach(&tree, place)?;
    // Further directories get the same empty one, which is cheaper than one each.
    empty.get_or_insert(tree);
    Ok(())
}

/// The host's null device, and nothing that only has its name.
fn null_device() -> io::Result<OwnedFd> {
    let tree = mount::clone_path("/dev/null", false)?;
    let status = node::status(&tree)?;
    if status.kind == NodeKind::CharDevice && status.rdev == (1, 3) {
        Ok(tree)
    } else {
        Err(io::Error::other("the host's `/dev/null` is not the null device"))
    }
}

fn protect(path: &Path, root: &OwnedFd) -> io::Result<()> {
    let Some(place) = find(path, root)? else { return Ok(()) };
    let tree = mount::clone_tree(&place, "", true)?;
    let change = Change { set: attribute::READ_ONLY, recursive: true, ..Change::default() };
    mount::set_attributes(tree.as_fd(), change)?;
    mount::attach(tree, place)
}
