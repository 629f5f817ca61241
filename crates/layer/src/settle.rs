//! Acts: completes an unpacked layer with what it takes from the layers below: owner, mode, attributes and times of
//! directories that it has no entry for, hard links to lower files, and deletions when it hides everything.

use crate::apply::{ApplyError, Changes, DeferredLink};
use crate::whiteout::{OPAQUE_ATTRIBUTE, is_reserved_attribute};
use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{OFlags, create_new, open_beneath, open_directory, open_entry};
use naru_kernel::{sparse, times, xattr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Completes the layer in `dir`. `lower` are the directories of the layers below, nearest first, settled already.
pub fn settle(dir: &Path, lower: &[PathBuf], changes: &Changes) -> Result<(), ApplyError> {
    if lower.is_empty() && changes.deferred_links.is_empty() {
        return Ok(());
    }
    let open = |path: &PathBuf| {
        open_directory(path).map_err(|source| ApplyError::Write { path: path.clone(), source })
    };
    let root = open(&dir.to_owned())?;
    let below = Below { layers: lower.iter().map(open).collect::<Result<_, _>>()? };
    for link in &changes.deferred_links {
        resolve_link(&root, &below, link)?;
    }
    // Parents first, as the set is sorted; children do not change what a parent is given here but its times.
    for path in changes.implicit_dirs.iter().rev() {
        inherit(&root, &below, path, changes)?;
    }
    if changes.opaque_root {
        hide_root(&root, &below)?;
    }
    Ok(())
}

/// The layers below, as overlayfs would show them.
struct Below {
    layers: Vec<OwnedFd>,
}

/// Where a name was found.
struct Found {
    parent: OwnedFd,
    status: Status,
}

impl Below {
    /// The nearest entry of that path. Deletions and whatever is no directory hide what is further down.
    fn find(&self, path: &Path) -> io::Result<Option<Found>> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().map_or(Path::new("."), Path::new);
        for layer in &self.layers {
            match look(layer.as_fd(), parent, name)? {
                Look::Found(found) if found.status.is_whiteout() => return Ok(None),
                Look::Found(found) => return Ok(Some(found)),
                Look::Hidden => return Ok(None),
                Look::Absent => {}
            }
        }
        Ok(None)
    }
}

enum Look {
    Found(Found),
    /// Not here, and nothing further down is visible.
    Hidden,
    Absent,
}

fn look(layer: BorrowedFd<'_>, parent: &Path, name: &Path) -> io::Result<Look> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut walked = PathBuf::new();
    let mut is_opaque = false;
    let mut dir = open_beneath(layer, "", flags)?;
    for part in parent.components() {
        walked.push(part);
        dir = match open_beneath(layer, &walked, flags) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(if is_opaque { Look::Hidden } else { Look::Absent });
            }
            // A file, a link or a deletion stands where the path needs a directory.
            Err(_) => return Ok(Look::Hidden),
        };
        is_opaque |= is_opaque_directory(&dir)?;
    }
    match node::status_at(&dir, name) {
        Ok(status) => Ok(Look::Found(Found { parent: dir, status })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(if is_opaque { Look::Hidden } else { Look::Absent })
        }
        Err(error) => Err(error),
    }
}

fn is_opaque_directory(dir: &OwnedFd) -> io::Result<bool> {
    Ok(xattr::list(dir)?.iter().any(|name| name == OPAQUE_ATTRIBUTE))
}

/// Gives a directory that exists only because something lies in it the looks of the same directory below.
fn inherit(
    root: &OwnedFd,
    below: &Below,
    path: &Path,
    changes: &Changes,
) -> Result<(), ApplyError> {
    let write = |source| ApplyError::Write { path: path.to_owned(), source };
    let read = |source| ApplyError::ReadLower { path: path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let own = open_beneath(root, path, flags).map_err(write)?;
    let hidden = path.ancestors().any(|ancestor| {
        if ancestor.as_os_str().is_empty() {
            return changes.opaque_root && !path.as_os_str().is_empty();
        }
        open_beneath(root, ancestor, flags)
            .is_ok_and(|dir| is_opaque_directory(&dir).unwrap_or(false))
    });
    if hidden {
        return Ok(());
    }
    let Some(found) = below.find(path).map_err(read)? else { return Ok(()) };
    if found.status.kind != NodeKind::Directory {
        return Ok(());
    }
    let name = path.file_name().map_or(Path::new("."), Path::new);
    let other = open_entry(&found.parent, name, flags).map_err(read)?;
    copy_looks(&other, &found.status, &own, path)
}

/// Owner, permissions, attributes and times.
fn copy_looks(
    from: &OwnedFd,
    status: &Status,
    to: impl AsFd,
    path: &Path,
) -> Result<(), ApplyError> {
    let to = to.as_fd();
    let write = |source| ApplyError::Write { path: path.to_owned(), source };
    let read = |source| ApplyError::ReadLower { path: path.to_owned(), source };
    node::set_owner(to, status.uid, status.gid).map_err(write)?;
    node::set_mode(to, status.mode).map_err(write)?;
    for name in xattr::list(from).map_err(read)? {
        if !is_reserved_attribute(&name) {
            let value = xattr::get(from, &name).map_err(read)?;
            xattr::set(to, &name, &value).map_err(write)?;
        }
    }
    times::set(to, status.accessed, status.modified).map_err(write)
}

/// A hard link to a file below: the file is copied up under its own name, then linked.
fn resolve_link(root: &OwnedFd, below: &Below, link: &DeferredLink) -> Result<(), ApplyError> {
    let missing =
        || ApplyError::MissingTarget { path: link.path.clone(), target: link.target.clone() };
    let write = |source| ApplyError::Write { path: link.path.clone(), source };
    let read = |source| ApplyError::ReadLower { path: link.target.clone(), source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let name = link.target.file_name().map(Path::new).ok_or_else(missing)?;
    let parent = link.target.parent().unwrap_or(Path::new(""));
    // An earlier link of this layer may have copied the file already.
    let copied = match open_beneath(root, parent, flags) {
        Ok(dir) => node::status_at(&dir, name).is_ok(),
        Err(_) => false,
    };
    if !copied {
        let found = below.find(&link.target).map_err(read)?.ok_or_else(missing)?;
        if found.status.kind == NodeKind::Directory {
            return Err(ApplyError::LinkToDirectory {
                path: link.path.clone(),
                target: link.target.clone(),
            });
        }
        let to = make_parents(root, below, parent).map_err(write)?;
        copy_up(&found, name, &to, &link.target)?;
    }
    let to = open_beneath(root, parent, flags).map_err(write)?;
    let link_parent = link.path.parent().unwrap_or(Path::new(""));
    let link_name = link.path.file_name().map(Path::new).ok_or_else(missing)?;
    let place = open_beneath(root, link_parent, flags).map_err(write)?;
    let before = node::status(&place).map_err(write)?;
    if node::status_at(&place, link_name).is_ok_and(|status| status.is_whiteout()) {
        node::unlink(&place, link_name).map_err(write)?;
    }
    node::hard_link(&to, name, &place, link_name).map_err(write)?;
    times::set(&place, before.accessed, before.modified).map_err(write)
}

/// The directory of a path in this layer, made like the one below where it is missing.
fn make_parents(root: &OwnedFd, below: &Below, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut dir = open_beneath(root, "", flags)?;
    let mut walked = PathBuf::new();
    for part in path.components() {
        walked.push(part);
        let name = Path::new(part.as_os_str());
        let before = node::status(&dir)?;
        let is_new = match node::make_directory(&dir, name, 0o755) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        let next = open_entry(&dir, name, flags)?;
        if is_new {
            if let Some(found) =
                below.find(&walked)?.filter(|found| found.status.kind == NodeKind::Directory)
            {
                let other = open_entry(&found.parent, name, flags)?;
                copy_looks(&other, &found.status, &next, &walked).map_err(io::Error::other)?;
            }
            times::set(&dir, before.accessed, before.modified)?;
        }
        dir = next;
    }
    Ok(dir)
}

fn copy_up(found: &Found, name: &Path, to: &OwnedFd, path: &Path) -> Result<(), ApplyError> {
    let write = |source| ApplyError::Write { path: path.to_owned(), source };
    let read = |source| ApplyError::ReadLower { path: path.to_owned(), source };
    let status = &found.status;
    let before = node::status(to).map_err(write)?;
    match status.kind {
        NodeKind::File => {
            let from = File::from(open_entry(&found.parent, name, OFlags::RDONLY).map_err(read)?);
            let copy = create_new(to, name, 0o600).map_err(write)?;
            sparse::copy(&from, &copy).map_err(write)?;
            copy_looks(&OwnedFd::from(from), status, &copy, path)?;
        }
        NodeKind::Link => {
            let target = node::read_link(&found.parent, name).map_err(read)?;
            node::make_link(target, to, name).map_err(write)?;
            node::set_owner_at(to, name, status.uid, status.gid).map_err(write)?;
            times::set_at(to, name, status.accessed, status.modified).map_err(write)?;
        }
        NodeKind::CharDevice | NodeKind::BlockDevice | NodeKind::Fifo | NodeKind::Socket => {
            node::make_node(to, name, status.kind, status.mode & 0o777, status.rdev)
                .map_err(write)?;
            node::set_owner_at(to, name, status.uid, status.gid).map_err(write)?;
            node::set_mode_at(to, name, status.mode).map_err(write)?;
            times::set_at(to, name, status.accessed, status.modified).map_err(write)?;
        }
        NodeKind::Directory => {}
    }
    times::set(to, before.accessed, before.modified).map_err(write)
}

/// Overlayfs does not look whether a layer's root is opaque, so each name below it is hidden.
fn hide_root(root: &OwnedFd, below: &Below) -> Result<(), ApplyError> {
    let before =
        node::status(root).map_err(|source| ApplyError::Write { path: PathBuf::new(), source })?;
    for layer in &below.layers {
        let layer = open_beneath(layer, "", OFlags::RDONLY | OFlags::DIRECTORY);
        let names = layer.and_then(|layer| node::list(&layer));
        for name in
            names.map_err(|source| ApplyError::ReadLower { path: PathBuf::from("/"), source })?
        {
            let write = |source| ApplyError::Write { path: PathBuf::from(&name), source };
            match node::status_at(root, &name) {
                Ok(status) if status.kind == NodeKind::Directory => {
                    let dir = open_entry(root, &name, OFlags::RDONLY | OFlags::DIRECTORY)
                        .map_err(write)?;
                    xattr::set(&dir, OPAQUE_ATTRIBUTE, b"y").map_err(write)?;
                }
                Ok(_) => {}
                Err(_) => node::make_whiteout(root, &name).map_err(write)?,
            }
        }
    }
    let write = |source| ApplyError::Write { path: PathBuf::new(), source };
    times::set(root, before.accessed, before.modified).map_err(write)
}
