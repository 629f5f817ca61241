//! Acts: what changed from one directory tree to another, as a layer.

use crate::archive::{Archive, ArchiveError, ArchiveMode, Archived};
use crate::whiteout::{PREFIX, is_reserved_attribute, name_for};
use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{OFlags, open_directory, open_entry};
use naru_kernel::xattr;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// Writes the layer that makes `upper` out of `lower`. Files count as unchanged when all that can be seen of them is
/// the same, with content compared only where size and time agree.
pub fn diff_trees(lower: &Path, upper: &Path, out: impl Write) -> Result<Archived, ArchiveError> {
    let open = |path: &Path| {
        open_directory(path).map_err(|source| ArchiveError::Read { path: path.to_owned(), source })
    };
    let (old, new) = (open(lower)?, open(upper)?);
    let mut links = Links::default();
    collect_links(old.as_fd(), new.as_fd(), Path::new(""), &mut links)
        .map_err(|(path, source)| ArchiveError::Read { path, source })?;
    let mut diff = Diff {
        archive: Archive::new(out, ArchiveMode::OverlayUpper),
        changed: links.changed(),
        pending: Vec::new(),
    };
    diff.directory(old.as_fd(), new.as_fd(), Path::new(""))?;
    diff.archive.finish()
}

/// Which names share a file, on both sides.
#[derive(Default)]
struct Links {
    new: BTreeMap<(u64, u64), BTreeSet<PathBuf>>,
    old: BTreeMap<(u64, u64), BTreeSet<PathBuf>>,
    /// Names whose files differ.
    differ: BTreeSet<PathBuf>,
}

impl Links {
    /// The names that have to be in the layer: a changed file takes all its names along, and so does a changed set
    /// of names, because a layer cannot link to a file below it.
    fn changed(&self) -> BTreeSet<PathBuf> {
        let same: BTreeSet<&BTreeSet<PathBuf>> = self.old.values().collect();
        let groups = self.new.values().filter(|names| {
            !same.contains(names) || names.iter().any(|name| self.differ.contains(name))
        });
        let mut changed: BTreeSet<PathBuf> = groups.flatten().cloned().collect();
        // A name that left its group has to be written again too.
        let left = self
            .old
            .values()
            .filter(|names| names.len() > 1 && !self.new.values().any(|other| other == *names));
        changed.extend(left.flatten().cloned());
        changed
    }
}

type At<T> = Result<T, (PathBuf, io::Error)>;

fn collect_links(
    old: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    path: &Path,
    links: &mut Links,
) -> At<()> {
    let at = |source| (path.to_owned(), source);
    let names: BTreeSet<OsString> =
        node::list(old).map_err(at)?.into_iter().chain(node::list(new).map_err(at)?).collect();
    for name in names {
        let full = path.join(&name);
        let at = |source| (full.clone(), source);
        let (before, after) = (present(old, &name).map_err(at)?, present(new, &name).map_err(at)?);
        let group = |status: Option<&Status>,
                     groups: &mut BTreeMap<(u64, u64), BTreeSet<PathBuf>>| {
            if let Some(status) =
                status.filter(|status| status.kind != NodeKind::Directory && status.links > 1)
            {
                groups.entry((status.device, status.inode)).or_default().insert(full.clone());
            }
        };
        group(before.as_ref(), &mut links.old);
        group(after.as_ref(), &mut links.new);
        let is_directory = |status: Option<&Status>| {
            status.is_some_and(|status| status.kind == NodeKind::Directory)
        };
        match (is_directory(before.as_ref()), is_directory(after.as_ref())) {
            (true, true) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let inner_old = open_entry(old, &name, flags).map_err(at)?;
                let inner_new = open_entry(new, &name, flags).map_err(at)?;
                collect_links(inner_old.as_fd(), inner_new.as_fd(), &full, links)?;
            }
            (true, false) | (false, true) => {
                let dir = if before.is_some() && is_directory(before.as_ref()) { old } else { new };
                let inner =
                    open_entry(dir, &name, OFlags::RDONLY | OFlags::DIRECTORY).map_err(at)?;
                let groups =
                    if is_directory(before.as_ref()) { &mut links.old } else { &mut links.new };
                collect_one_side(inner.as_fd(), &full, groups)?;
            }
            (false, false) => {}
        }
        if let (Some(before), Some(after)) = (before, after)
            && before.links.max(after.links) > 1
            && after.kind != NodeKind::Directory
            && !same(old, new, &name, &before, &after).map_err(at)?
        {
            links.differ.insert(full);
        }
    }
    Ok(())
}

fn collect_one_side(
    dir: BorrowedFd<'_>,
    path: &Path,
    groups: &mut BTreeMap<(u64, u64), BTreeSet<PathBuf>>,
) -> At<()> {
    for name in node::list(dir).map_err(|source| (path.to_owned(), source))? {
        let full = path.join(&name);
        let at = |source| (full.clone(), source);
        let status = node::status_at(dir, &name).map_err(at)?;
        if status.kind == NodeKind::Directory {
            let inner = open_entry(dir, &name, OFlags::RDONLY | OFlags::DIRECTORY).map_err(at)?;
            collect_one_side(inner.as_fd(), &full, groups)?;
        } else if status.links > 1 {
            groups.entry((status.device, status.inode)).or_default().insert(full);
        }
    }
    Ok(())
}

struct Diff<W: Write> {
    archive: Archive<W>,
    /// Names that must be written because of the names they share a file with.
    changed: BTreeSet<PathBuf>,
    /// Directories that have no entry yet: they get one when something in them has changed.
    pending: Vec<PathBuf>,
}

impl<W: Write> Diff<W> {
    fn directory(
        &mut self,
        old: BorrowedFd<'_>,
        new: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), ArchiveError> {
        let read = |source| ArchiveError::Read { path: path.to_owned(), source };
        let (before, after) = (node::status(old).map_err(read)?, node::status(new).map_err(read)?);
        let own = xattrs(new).map_err(read)?;
        let looks = |status: &Status| (status.mode, status.uid, status.gid, status.modified);
        if looks(&before) != looks(&after) || xattrs(old).map_err(read)? != own {
            self.archive.directory_itself(new, path)?;
        } else {
            self.pending.push(path.to_owned());
        }
        let names: BTreeSet<OsString> = node::list(old)
            .map_err(read)?
            .into_iter()
            .chain(node::list(new).map_err(read)?)
            .collect();
        for name in names {
            let full = path.join(&name);
            let read = |source| ArchiveError::Read { path: full.clone(), source };
            let (before, after) =
                (present(old, &name).map_err(read)?, present(new, &name).map_err(read)?);
            match (before, after) {
                (None, None) => {}
                (Some(_), None) => {
                    self.write_parent(new, path)?;
                    self.archive.mark(path.join(name_for(&name)))?;
                }
                (None, Some(after)) => {
                    self.write_parent(new, path)?;
                    self.archive.entry(new, &name, &full, &after)?;
                }
                (Some(before), Some(after))
                    if before.kind == NodeKind::Directory && after.kind == NodeKind::Directory =>
                {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                    let inner_old = open_entry(old, &name, flags).map_err(read)?;
                    let inner_new = open_entry(new, &name, flags).map_err(read)?;
                    self.directory(inner_old.as_fd(), inner_new.as_fd(), &full)?;
                }
                (Some(before), Some(after)) => {
                    if name.as_bytes().starts_with(PREFIX.as_bytes()) {
                        return Err(ArchiveError::ReservedName { path: full });
                    }
                    if self.changed.contains(&full)
                        || !same(old, new, &name, &before, &after).map_err(read)?
                    {
                        self.write_parent(new, path)?;
                        // A directory in the place of something else needs no whiteout: what was there had no entries.
                        self.archive.entry(new, &name, &full, &after)?;
                    }
                }
            }
        }
        self.pending.retain(|pending| pending != path);
        Ok(())
    }

    /// Gives the directory an entry when it has none, so that what is unpacked keeps its times.
    fn write_parent(&mut self, dir: BorrowedFd<'_>, path: &Path) -> Result<(), ArchiveError> {
        if self.pending.iter().any(|pending| pending == path) {
            self.pending.retain(|pending| pending != path);
            self.archive.directory_itself(dir, path)?;
        }
        Ok(())
    }
}

fn present(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Status>> {
    match node::status_at(dir, name) {
        Ok(status) => Ok(Some(status)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn xattrs(fd: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = xattr::list(fd)?.into_iter().filter(|name| !is_reserved_attribute(name));
    names.map(|name| xattr::get(fd, &name).map(|value| (name, value))).collect()
}

/// Whether nothing that can be seen of two entries, which are not both directories, differs.
fn same(
    old: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    name: &OsStr,
    before: &Status,
    after: &Status,
) -> io::Result<bool> {
    let looks = |status: &Status| {
        let size = if status.kind == NodeKind::File { status.size } else { 0 };
        (status.kind, status.mode, status.uid, status.gid, size, status.rdev, status.modified)
    };
    if looks(before) != looks(after) {
        return Ok(false);
    }
    let attributes = |dir: BorrowedFd<'_>| -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let names = xattr::list_at(dir, name)?
            .into_iter()
            .filter(|attribute| !is_reserved_attribute(attribute));
        names
            .map(|attribute| xattr::get_at(dir, name, &attribute).map(|value| (attribute, value)))
            .collect()
    };
    if attributes(old)? != attributes(new)? {
        return Ok(false);
    }
    match after.kind {
        NodeKind::File if (before.device, before.inode) == (after.device, after.inode) => Ok(true),
        NodeKind::File => {
            let open = |dir| open_entry(dir, name, OFlags::RDONLY).map(File::from);
            same_bytes(open(old)?, open(new)?)
        }
        NodeKind::Link => Ok(node::read_link(old, name)? == node::read_link(new, name)?),
        _ => Ok(true),
    }
}

fn same_bytes(old: File, new: File) -> io::Result<bool> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        (&old).take(1 << 17).read_to_end(&mut left)?;
        (&new).take(1 << 17).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}
