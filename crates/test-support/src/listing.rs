//! Acts: lists a directory tree with everything that can be seen of it, so that two trees can be compared.

use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{OFlags, open_directory, open_entry};
use naru_kernel::times::FileTime;
use naru_kernel::{sparse, xattr};
use naru_oci::Digest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Everything that can be seen of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// When it was last changed.
    pub modified: FileTime,
    /// Device numbers.
    pub rdev: (u32, u32),
    /// Extended attributes.
    pub attributes: Vec<(String, Vec<u8>)>,
    /// Length and digest of a file's content.
    pub content: Option<(u64, Digest)>,
    /// Where a file has data; the rest are holes.
    pub data: Vec<Range<u64>>,
    /// Where a symbolic link points.
    pub target: Option<PathBuf>,
    /// The first of the names that share this file, when there are several in the tree.
    pub shared_with: Option<PathBuf>,
}

/// Lists a tree; the root is the empty path. Attributes of the overlay itself are left out.
pub fn list(root: &Path) -> io::Result<BTreeMap<PathBuf, Seen>> {
    let mut listing = Listing { seen: BTreeMap::new(), names: BTreeMap::new() };
    let dir = open_directory(root)?;
    let status = node::status(&dir)?;
    let attributes = attributes(xattr::list(&dir)?, |name| xattr::get(&dir, name))?;
    listing.seen.insert(PathBuf::new(), seen(&status, attributes));
    listing.directory(dir.as_fd(), Path::new(""))?;
    for names in listing.names.into_values().filter(|names| names.len() > 1) {
        let first = names.first().cloned();
        for name in names {
            if let Some(seen) = listing.seen.get_mut(&name) {
                seen.shared_with = first.clone();
            }
        }
    }
    Ok(listing.seen)
}

/// What differs between two trees, a line each; empty when they are the same.
pub fn differences(left: &BTreeMap<PathBuf, Seen>, right: &BTreeMap<PathBuf, Seen>) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, seen) in left {
        match right.get(path) {
            None => lines.push(format!("only left: {} {seen:?}", path.display())),
            Some(other) if other != seen => {
                lines.push(format!("{}:\n  left  {seen:?}\n  right {other:?}", path.display()));
            }
            Some(_) => {}
        }
    }
    for (path, seen) in right.iter().filter(|(path, _)| !left.contains_key(*path)) {
        lines.push(format!("only right: {} {seen:?}", path.display()));
    }
    lines
}

struct Listing {
    seen: BTreeMap<PathBuf, Seen>,
    names: BTreeMap<(u64, u64), Vec<PathBuf>>,
}

impl Listing {
    fn directory(&mut self, dir: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        for name in node::list(dir)? {
            let full = path.join(&name);
            let status = node::status_at(dir, &name)?;
            let attributes = attributes(xattr::list_at(dir, &name)?, |attribute| {
                xattr::get_at(dir, &name, attribute)
            })?;
            let mut seen = seen(&status, attributes);
            match status.kind {
                NodeKind::Directory => {
                    let inner = open_entry(dir, &name, OFlags::RDONLY | OFlags::DIRECTORY)?;
                    self.directory(inner.as_fd(), &full)?;
                }
                NodeKind::File => {
                    let mut file = File::from(open_entry(dir, &name, OFlags::RDONLY)?);
                    seen.data = sparse::data_ranges(&file, status.size)?;
                    let mut bytes = Vec::new();
                    file.read_to_end(&mut bytes)?;
                    seen.content = Some((status.size, Digest::of(&bytes)));
                }
                NodeKind::Link => seen.target = Some(node::read_link(dir, &name)?.into()),
                NodeKind::CharDevice
                | NodeKind::BlockDevice
                | NodeKind::Fifo
                | NodeKind::Socket => {}
            }
            if status.kind != NodeKind::Directory {
                self.names.entry((status.device, status.inode)).or_default().push(full.clone());
            }
            self.seen.insert(full, seen);
        }
        Ok(())
    }
}

fn seen(status: &Status, attributes: Vec<(String, Vec<u8>)>) -> Seen {
    Seen {
        kind: status.kind,
        mode: status.mode,
        owner: (status.uid, status.gid),
        modified: status.modified,
        rdev: status.rdev,
        attributes,
        content: None,
        data: Vec::new(),
        target: None,
        shared_with: None,
    }
}

fn attributes(
    names: Vec<Vec<u8>>,
    get: impl Fn(&[u8]) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<(String, Vec<u8>)>> {
    let names = names.into_iter().filter(|name| !name.starts_with(b"trusted.overlay."));
    names.map(|name| Ok((String::from_utf8_lossy(&name).into_owned(), get(&name)?))).collect()
}
