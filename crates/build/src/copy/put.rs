//! Acts: puts files into the directory of changes of a vertex.

use super::mode::ModeChange;
use super::target::Target;
use super::view::{Found, Sort, View, os};
use crate::context::{Content, Node};
use crate::way::joined;
use naru_errdefs::{Fault, Kind};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{self, OFlags, open_entry, open_in_root};
use naru_kernel::times::{self, FileTime};
use naru_kernel::{pinned, sparse, xattr};
use naru_layer::whiteout::is_reserved_attribute;
use naru_oci::Digest;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a path below a source is left out.
pub(crate) type Excluded<'a> = &'a (dyn Fn(&[u8], bool) -> bool + Sync);

/// What is done with files that are copied.
pub(crate) struct Rules<'a> {
    /// Whose they become; absent: root's from a context, as they are from a file system.
    pub(crate) owner: Option<(u32, u32)>,
    /// How their modes change.
    pub(crate) mode: Option<ModeChange>,
    /// What is left out, by its path below the source that was named.
    pub(crate) excluded: Option<Excluded<'a>>,
    /// Becomes true when nobody wants the result any more.
    pub(crate) cancelled: Arc<AtomicBool>,
}

/// One COPY or ADD under way.
pub(crate) struct Putting<'a> {
    pub(crate) view: &'a View,
    pub(crate) target: &'a mut Target,
    pub(crate) rules: &'a Rules<'a>,
    /// Contents that this vertex has linked to.
    pub(crate) linked: BTreeSet<(Digest, u32)>,
    /// The time of the first thing that was put.
    pub(crate) first: Option<FileTime>,
}

impl<'a> Putting<'a> {
    pub(crate) fn new(view: &'a View, target: &'a mut Target, rules: &'a Rules<'a>) -> Putting<'a> {
        Putting { view, target, rules, linked: BTreeSet::new(), first: None }
    }

    /// Puts the content of a directory into a directory, both by resolved paths; the directory itself is not copied.
    /// `prefix` stands before paths that `--exclude` looks at.
    pub(crate) fn contents(
        &mut self,
        from: &[u8],
        found: &Found,
        prefix: &[u8],
        to: &[u8],
    ) -> Result<(), Fault> {
        self.note(found.modified);
        let failed = |error| write_failed(to, error);
        let is_new = match self.target.status(to).map_err(failed)? {
            None => true,
            Some(status) if status.kind == NodeKind::Directory => false,
            Some(_) => {
                return Err(Fault::invalid(format!(
                    "cannot copy to non-directory: /{}",
                    String::from_utf8_lossy(to)
                )));
            }
        };
        let owner = self.rules.owner.unwrap_or((0, 0));
        let dir = self.target.directory(to, owner).map_err(failed)?;
        self.inside((from, prefix), (&dir, to), is_new)
    }

    /// Makes a directory like one of the source, where there is none.
    pub(crate) fn parent(&mut self, from: &[u8], to: &[u8], owner: (u32, u32)) -> io::Result<()> {
        if to.is_empty() || self.target.status(to)?.is_some() {
            return Ok(());
        }
        let Some(found) = self.view.look(from)? else { return Ok(()) };
        if found.sort != Sort::Directory {
            return Ok(());
        }
        let dir = self.target.directory(to, owner)?;
        let (uid, gid) = self.owner(&found);
        self.settle_directory(&dir, from, &found, (uid, gid))
    }

    /// Puts one thing under a name.
    pub(crate) fn entry(
        &mut self,
        from: &[u8],
        found: &Found,
        relative: &[u8],
        (dir, to, is_free): (&OwnedFd, &[u8], bool),
    ) -> Result<(), Fault> {
        if self.rules.cancelled.load(Ordering::Relaxed) {
            return Err(Fault::new(Kind::Cancelled, "the build was cancelled"));
        }
        self.note(found.modified);
        let failed = |error| write_failed(to, error);
        let name = to.rsplit(|b| *b == b'/').next().unwrap_or(to);
        let there = if is_free { None } else { self.target.status(to).map_err(failed)? };
        if found.sort == Sort::Directory {
            if there.is_some_and(|status| status.kind != NodeKind::Directory) {
                return Err(Fault::invalid(format!(
                    "cannot copy to non-directory: /{}",
                    String::from_utf8_lossy(to)
                )));
            }
            let owner = self.owner(found);
            match node::make_directory(dir, os(name), 0o700) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                Ok(()) | Err(_) => {}
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let inner = open_entry(dir, os(name), flags).map_err(failed)?;
            self.inside((from, relative), (&inner, to), there.is_none())?;
            return self.settle_directory(&inner, from, found, owner).map_err(failed);
        }
        if there.is_some_and(|status| status.kind == NodeKind::Directory) {
            return Err(Fault::invalid(format!(
                "cannot copy to existing directory: /{}",
                String::from_utf8_lossy(to)
            )));
        }
        if there.is_some() {
            // What an earlier source has put here.
            match node::unlink(dir, os(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
        }
        self.single(from, found, dir, name).map_err(failed)
    }

    fn inside(
        &mut self,
        (from, relative): (&[u8], &[u8]),
        (dir, to): (&OwnedFd, &[u8]),
        is_new: bool,
    ) -> Result<(), Fault> {
        let failed = |error| read_failed(from, error);
        let taken = if is_new { BTreeSet::new() } else { self.target.names(to).map_err(failed)? };
        for name in self.view.names(from).map_err(failed)? {
            let (path, below) = (joined(from, &name), joined(relative, &name));
            let Some(found) = self.view.look(&path).map_err(failed)? else { continue };
            let is_directory = found.sort == Sort::Directory;
            if self.rules.excluded.is_some_and(|excluded| excluded(&below, is_directory)) {
                continue;
            }
            let is_free = !taken.contains(&name);
            self.entry(&path, &found, &below, (dir, &joined(to, &name), is_free))?;
        }
        Ok(())
    }

    fn owner(&self, found: &Found) -> (u32, u32) {
        match self.rules.owner {
            Some(owner) => owner,
            None if self.view.is_context() => (0, 0),
            None => found.owner,
        }
    }

    fn mode(&self, found: &Found) -> u32 {
        let is_directory = found.sort == Sort::Directory;
        match &self.rules.mode {
            Some(change) => change.apply(found.mode, is_directory),
            None => found.mode,
        }
    }

    fn note(&mut self, modified: FileTime) {
        self.first.get_or_insert(modified);
    }

    fn settle_directory(
        &self,
        dir: &OwnedFd,
        from: &[u8],
        found: &Found,
        (uid, gid): (u32, u32),
    ) -> io::Result<()> {
        node::set_owner(dir, uid, gid)?;
        node::set_mode(dir, self.mode(found))?;
        for (name, value) in self.attributes(from)? {
            set_attribute(xattr::set(dir, &name, &value))?;
        }
        times::set(dir, found.modified, found.modified)
    }

    fn single(&mut self, from: &[u8], found: &Found, dir: &OwnedFd, name: &[u8]) -> io::Result<()> {
        let (uid, gid) = self.owner(found);
        let mode = self.mode(found);
        match &found.sort {
            Sort::File { .. } => {
                if self.link(from, (uid, gid), mode, (dir, name))? {
                    return Ok(());
                }
                let source = self.open(from)?;
                let file = path::create_new(dir, os(name), 0o600)?;
                sparse::copy(&source, &file)?;
                if (uid, gid) != (0, 0) {
                    node::set_owner(&file, uid, gid)?;
                }
                node::set_mode(&file, mode)?;
                for (attribute, value) in self.attributes(from)? {
                    set_attribute(xattr::set(&file, &attribute, &value))?;
                }
                times::set(&file, found.modified, found.modified)
            }
            Sort::Link(target) => {
                node::make_link(os(target), dir, os(name))?;
                if (uid, gid) != (0, 0) {
                    node::set_owner_at(dir, os(name), uid, gid)?;
                }
                times::set_at(dir, os(name), found.modified, found.modified)
            }
            Sort::Special { kind: NodeKind::Socket, .. } | Sort::Directory => Ok(()),
            Sort::Special { kind, rdev } => {
                node::make_node(dir, os(name), *kind, 0o600, *rdev)?;
                node::set_owner_at(dir, os(name), uid, gid)?;
                node::set_mode_at(dir, os(name), mode)?;
                times::set_at(dir, os(name), found.modified, found.modified)
            }
        }
    }

    /// Takes a file of the context over by a link, where nothing about it has to be different.
    fn link(
        &mut self,
        from: &[u8],
        owner: (u32, u32),
        mode: u32,
        (dir, name): (&OwnedFd, &[u8]),
    ) -> io::Result<bool> {
        let View::Context(context) = self.view else { return Ok(false) };
        let Some(Node { content: Content::File { digest, .. }, mode: own, modified, .. }) =
            context.tree.get(from)
        else {
            return Ok(false);
        };
        if owner != (0, 0) || mode != *own {
            return Ok(false);
        }
        // Two names of one file in one layer would be two names of one file in the image.
        if !self.linked.insert((*digest, mode)) {
            return Ok(false);
        }
        let place = context.files.path(digest, mode);
        let status = std::fs::symlink_metadata(&place)?;
        let time = FileTime {
            seconds: status.mtime(),
            nanoseconds: u32::try_from(status.mtime_nsec()).unwrap_or(0),
        };
        if time != *modified || status.uid() != 0 || status.gid() != 0 {
            return Ok(false);
        }
        match node::hard_link(dir, &place, dir, os(name)) {
            Ok(()) => Ok(true),
            // So many names as a file may have.
            Err(error) if error.kind() == io::ErrorKind::TooManyLinks => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open(&self, from: &[u8]) -> io::Result<File> {
        match self.view {
            View::Root(root) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                open_in_root(root.as_fd(), os(from), flags).map(File::from)
            }
            View::Context(context) => match context.tree.get(from) {
                Some(Node { content: Content::File { digest, .. }, mode, .. }) => {
                    File::open(context.files.path(digest, *mode))
                }
                Some(_) | None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }

    /// The extended attributes that a copy gets. Those of a context stay behind, as they do with every builder of docker's:
    /// an image is not to depend on what somebody's file manager notes beside a file.
    fn attributes(&self, from: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        match self.view {
            View::Context(_) => Ok(Vec::new()),
            View::Root(root) => {
                let held = open_in_root(root.as_fd(), os(from), OFlags::PATH | OFlags::NOFOLLOW)?;
                let file = pinned::reopen(&held, OFlags::RDONLY | OFlags::NONBLOCK)?;
                let names = xattr::list(&file)?;
                let names = names.into_iter().filter(|name| !is_reserved_attribute(name));
                names.map(|name| xattr::get(&file, &name).map(|value| (name, value))).collect()
            }
        }
    }
}

fn set_attribute(set: io::Result<()>) -> io::Result<()> {
    match set {
        Err(error) if !xattr::is_unsupported(&error) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(crate) fn write_failed(path: &[u8], error: io::Error) -> Fault {
    Fault::io(format!("cannot write `/{}` of the image", String::from_utf8_lossy(path)), error)
}

pub(crate) fn read_failed(path: &[u8], error: io::Error) -> Fault {
    Fault::io(format!("cannot read `/{}` of the source", String::from_utf8_lossy(path)), error)
}
