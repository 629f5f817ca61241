//! Acts: what COPY and ADD read: a context, or the file system of a stage or an image; links never lead out of either.

use super::pattern;
use crate::context::{BuildContext, Content};
use crate::way::{Way, joined};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{OFlags, open_entry, open_in_root};
use naru_kernel::times::FileTime;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// Where files come from.
#[derive(Debug, Clone)]
pub(crate) enum View {
    /// A context.
    Context(BuildContext),
    /// A file system, read-only.
    Root(Arc<OwnedFd>),
}

/// What sort of thing an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sort {
    Directory,
    File { size: u64 },
    Link(Vec<u8>),
    Special { kind: NodeKind, rdev: (u32, u32) },
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) sort: Sort,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: FileTime,
}

pub(crate) fn os(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

impl View {
    /// Where a path leads when all links are followed inside; nothing when something on the way is missing.
    pub(crate) fn resolve(&self, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match self {
            View::Context(context) => Ok(context.tree.resolve(path)),
            View::Root(root) => follow(root, path),
        }
    }

    /// What is at a path of which no part is a link but the last; nothing when it is missing.
    pub(crate) fn look(&self, path: &[u8]) -> io::Result<Option<Found>> {
        match self {
            View::Context(context) if path.is_empty() => {
                let newest = context.tree.iter().map(|(_, node)| node.modified).max();
                Ok(Some(Found {
                    sort: Sort::Directory,
                    mode: 0o755,
                    owner: (0, 0),
                    modified: newest.unwrap_or_default(),
                }))
            }
            View::Context(context) => Ok(context.tree.get(path).map(|node| Found {
                sort: match &node.content {
                    Content::Directory => Sort::Directory,
                    Content::File { size, .. } => Sort::File { size: *size },
                    Content::Link(target) => Sort::Link(target.clone()),
                },
                mode: node.mode,
                owner: (0, 0),
                modified: node.modified,
            })),
            View::Root(root) => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW;
                match open_in_root(root, os(path), flags) {
                    Ok(held) => describe(&held).map(Some),
                    Err(error) if is_missing(&error) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// The names in a directory, sorted.
    pub(crate) fn names(&self, path: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        match self {
            View::Context(context) => {
                Ok(context.tree.children(path).map(|(name, _)| name.to_vec()).collect())
            }
            View::Root(root) => {
                let dir = open_in_root(root, os(path), OFlags::RDONLY | OFlags::DIRECTORY)?;
                let names = node::list(&dir)?;
                Ok(names.into_iter().map(|name| name.as_bytes().to_vec()).collect())
            }
        }
    }

    /// Whether it is a context, whose owners do not count.
    pub(crate) fn is_context(&self) -> bool {
        matches!(self, View::Context(_))
    }

    /// The paths that a pattern means, in order, each with links on the way followed. With `deep`, `**` is any number of
    /// directories.
    pub(crate) fn glob(&self, asked: &[u8], deep: bool) -> io::Result<Vec<Vec<u8>>> {
        let mut found: Vec<Vec<u8>> = vec![Vec::new()];
        // A dot stays: with `--parents` it says what of the path is kept.
        for part in asked.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for dir in found {
                if !pattern::is_pattern(part) {
                    next.push(joined(&dir, part));
                    continue;
                }
                let Some(real) = self.resolve(&dir)? else { continue };
                if !self.is_directory(&real)? {
                    continue;
                }
                if deep && part == b"**" {
                    self.directories(&dir, &real, &mut next)?;
                    continue;
                }
                for name in self.names(&real)? {
                    let matched = pattern::matches(part, &name).map_err(|_bad| {
                        io::Error::new(io::ErrorKind::InvalidInput, "syntax error in pattern")
                    })?;
                    if matched {
                        next.push(joined(&dir, &name));
                    }
                }
            }
            found = next;
        }
        let mut there = Vec::with_capacity(found.len());
        for path in found {
            if self.resolve(&path)?.is_some() {
                there.push(path);
            }
        }
        if deep {
            there.sort();
            there.dedup();
        }
        Ok(there)
    }

    fn is_directory(&self, real: &[u8]) -> io::Result<bool> {
        Ok(self.look(real)?.is_some_and(|found| found.sort == Sort::Directory))
    }

    /// A directory and all below it; links are not followed.
    fn directories(&self, dir: &[u8], real: &[u8], list: &mut Vec<Vec<u8>>) -> io::Result<()> {
        list.push(dir.to_vec());
        let mut open = vec![(dir.to_vec(), real.to_vec())];
        while let Some((dir, real)) = open.pop() {
            for name in self.names(&real)? {
                let inner = joined(&real, &name);
                if self.is_directory(&inner)? {
                    list.push(joined(&dir, &name));
                    open.push((joined(&dir, &name), inner));
                }
            }
        }
        Ok(())
    }
}

/// What is held.
fn describe(held: &OwnedFd) -> io::Result<Found> {
    let status = node::status(held)?;
    let sort = match status.kind {
        NodeKind::Directory => Sort::Directory,
        NodeKind::File => Sort::File { size: status.size },
        NodeKind::Link => Sort::Link(naru_kernel::pinned::read_link(held)?.as_bytes().to_vec()),
        kind => Sort::Special { kind, rdev: status.rdev },
    };
    Ok(Found {
        sort,
        mode: status.mode,
        owner: (status.uid, status.gid),
        modified: status.modified,
    })
}

pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Where a path leads below a root when all links are followed.
pub(crate) fn follow(root: impl AsFd, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let root = root.as_fd();
    let mut way = Way::of(path);
    while let Some(part) = way.advance() {
        let dir = match open_in_root(root, os(way.so_far()), OFlags::PATH | OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let held = match open_entry(&dir, os(&part), OFlags::PATH) {
            Ok(held) => held,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if node::status(&held)?.kind == NodeKind::Link {
            let target = naru_kernel::pinned::read_link(&held)?;
            if !way.follow(target.as_bytes()) {
                return Ok(None);
            }
        } else {
            way.enter(&part);
        }
    }
    Ok(Some(way.end()))
}
