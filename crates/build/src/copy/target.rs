//! Acts: where COPY and ADD write: the directory of changes of a vertex, over the file system that it changes.
//!
//! Nothing is mounted to be written to: what is new goes straight into the directory of changes, and what of it is there
//! below already is looked up in a read-only view. So a file of the context becomes a file of a layer by a link.

use super::view::{is_missing, os};
use crate::way::{Way, joined};
use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{self, OFlags, open_entry, open_in_root};
use naru_kernel::times::{self, FileTime};
use naru_kernel::{pinned, xattr};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The directory of changes over what is below.
#[derive(Debug)]
pub(crate) struct Target {
    upper: OwnedFd,
    lower: Option<OwnedFd>,
    /// Directories that get these times when all is done: what is put into them must not show. None: those of the first
    /// file.
    late: Vec<(OwnedFd, Option<FileTime>)>,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

impl Target {
    /// Over a read-only view of what is below. The directory of changes is empty; it becomes like the root below.
    pub(crate) fn new(changes: &Path, lower: Option<OwnedFd>) -> io::Result<Target> {
        let upper = path::open_directory(changes)?;
        let late = match &lower {
            Some(lower) => {
                let root = open_in_root(lower, "", DIRECTORY)?;
                let status = node::status(&root)?;
                like(&upper, &root, &status)?;
                Some(status.modified)
            }
            None => None,
        };
        let late = vec![(upper.try_clone()?, late)];
        Ok(Target { upper, lower, late })
    }

    /// Where a path leads, as far as it is there below or was put here; the rest of it is as it was written.
    pub(crate) fn resolve(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let mut way = Way::of(path);
        while let Some(part) = way.advance() {
            match self.link(&joined(way.so_far(), &part))? {
                None => way.enter(&part),
                Some(target) if way.follow(&target) => {}
                Some(_) => return Err(io::Error::other("too many levels of symbolic links")),
            }
        }
        Ok(way.end())
    }

    /// Where what is at a resolved path points, if it is a link; what was put here lies above what is below.
    fn link(&self, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
        for root in std::iter::once(&self.upper).chain(&self.lower) {
            let held = match open_in_root(root, os(path), OFlags::PATH | OFlags::NOFOLLOW) {
                Ok(held) => held,
                Err(error) if is_missing(&error) => continue,
                Err(error) => return Err(error),
            };
            if node::status(&held)?.kind != NodeKind::Link {
                return Ok(None);
            }
            return Ok(Some(pinned::read_link(&held)?.as_bytes().to_vec()));
        }
        Ok(None)
    }

    fn status_of(&self, root: &OwnedFd, path: &[u8]) -> io::Result<Option<Status>> {
        match open_in_root(root, os(path), OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(held) => node::status(&held).map(Some),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is at a resolved path, here or below.
    pub(crate) fn status(&self, path: &[u8]) -> io::Result<Option<Status>> {
        if let Some(found) = self.status_of(&self.upper, path)? {
            return Ok((!found.is_whiteout()).then_some(found));
        }
        match &self.lower {
            Some(lower) => self.status_of(lower, path),
            None => Ok(None),
        }
    }

    /// The names in a directory at a resolved path, here and below.
    pub(crate) fn names(&self, path: &[u8]) -> io::Result<BTreeSet<Vec<u8>>> {
        let mut names = BTreeSet::new();
        for root in std::iter::once(&self.upper).chain(&self.lower) {
            match open_in_root(root, os(path), DIRECTORY | OFlags::NOFOLLOW) {
                Ok(dir) => {
                    names.extend(node::list(&dir)?.into_iter().map(|name| name.as_bytes().to_vec()))
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }

    /// Opens a directory at a resolved path, made with those above it where they are missing: new ones for `owner`, those
    /// that are below like they are there.
    pub(crate) fn directory(&mut self, path: &[u8], owner: (u32, u32)) -> io::Result<OwnedFd> {
        let mut current = open_in_root(&self.upper, "", DIRECTORY)?;
        let mut so_far: Vec<u8> = Vec::new();
        for part in path.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
            so_far = joined(&so_far, part);
            current = match open_entry(&current, os(part), DIRECTORY) {
                Ok(inner) => inner,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.make(&current, part, &so_far, owner)?
                }
                Err(error) => return Err(error),
            };
        }
        Ok(current)
    }

    fn make(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &[u8],
        owner: (u32, u32),
    ) -> io::Result<OwnedFd> {
        let below = match &self.lower {
            Some(lower) => match open_in_root(lower, os(path), OFlags::PATH | OFlags::NOFOLLOW) {
                Ok(held) => Some(held),
                Err(error) if is_missing(&error) => None,
                Err(error) => return Err(error),
            },
            None => None,
        };
        let status = below.as_ref().map(node::status).transpose()?;
        if status.is_some_and(|status| status.kind != NodeKind::Directory) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        node::make_directory(dir, os(name), 0o700)?;
        let made = open_entry(dir, os(name), DIRECTORY)?;
        let time = match (&self.lower, status) {
            (Some(lower), Some(status)) => {
                let below = open_in_root(lower, os(path), DIRECTORY | OFlags::NOFOLLOW)?;
                like(&made, &below, &status)?;
                Some(status.modified)
            }
            _ => {
                if owner != (0, 0) {
                    node::set_owner(&made, owner.0, owner.1)?;
                }
                node::set_mode(&made, 0o755)?;
                None
            }
        };
        self.late.push((made.try_clone()?, time));
        Ok(made)
    }

    /// Gives directories their times: those that are below have theirs, new ones this.
    pub(crate) fn finish(self, new: FileTime) -> io::Result<()> {
        for (dir, time) in self.late.into_iter().rev() {
            let time = time.unwrap_or(new);
            times::set(&dir, time, time)?;
        }
        Ok(())
    }
}

/// Makes a new directory like another one, but for its time.
fn like(made: &OwnedFd, below: &OwnedFd, status: &Status) -> io::Result<()> {
    if (status.uid, status.gid) != (0, 0) {
        node::set_owner(made, status.uid, status.gid)?;
    }
    node::set_mode(made, status.mode)?;
    for name in xattr::list(below)? {
        if naru_layer::whiteout::is_reserved_attribute(&name) {
            continue;
        }
        let value = xattr::get(below, &name)?;
        match xattr::set(made, &name, &value) {
            Err(error) if !xattr::is_unsupported(&error) => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
