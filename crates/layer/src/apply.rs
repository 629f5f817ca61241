//! Acts: unpacks one layer into a directory, in which everything stays.
//!
//! Every name is resolved by the kernel from the directory's descriptor, inside it. Names with `..` that leave it are
//! refused; an absolute name means the same name in the layer; a path through a link is followed as a process whose
//! root is the layer would follow it. Deletions become what overlayfs knows: character devices 0:0 and opaque
//! directories, whatever the order of entries.

mod entry_path;
mod error;
pub(crate) mod file;
mod tree;

#[cfg(test)]
mod tests;

pub use error::ApplyError;

use crate::digesting::inflate;
use crate::limits::Limits;
use crate::tar::{Entry, EntryKind, Reader};
use crate::whiteout::{Meaning, meaning};
use entry_path::EntryPath;
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::open_directory;
use naru_oci::DiffId;
use std::collections::BTreeSet;
use std::io::{BufRead, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use tree::Tree;

/// One layer, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The digest of the uncompressed archive.
    pub diff_id: DiffId,
    /// The length of the uncompressed archive.
    pub size: u64,
    /// What the archive held.
    pub changes: Changes,
}

/// What an archive held, and what [`crate::settle()`] still has to take from the layers below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// How many entries there were.
    pub entries: u64,
    /// Bytes of file content.
    pub content: u64,
    /// Directories that entries lie in but that have none of their own; the empty path is the layer's root.
    pub implicit_dirs: BTreeSet<PathBuf>,
    /// Hard links whose target is not in this layer.
    pub deferred_links: Vec<DeferredLink>,
    /// Whether the layer hides everything below it.
    pub opaque_root: bool,
    /// Whether the archive ended with its end mark.
    pub has_end_mark: bool,
    /// What could not be kept, a sentence each; only the first hundred.
    pub notes: Vec<String>,
}

/// A hard link to a file of a lower layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeferredLink {
    /// The link, in the layer.
    pub path: PathBuf,
    /// The file it shares, in the layers below.
    pub target: PathBuf,
}

/// Unpacks a layer, compressed or not, into `dir`, which must be empty. On failure, what was written stays there.
pub fn apply(layer: impl Read + Send, dir: &Path, limits: &Limits) -> Result<Applied, ApplyError> {
    let open = |source| ApplyError::Write { path: dir.to_owned(), source };
    let root = open_directory(dir).map_err(open)?;
    let (changes, hashed) =
        inflate(layer, limits, |reader| apply_tar(reader, root.as_fd(), limits))?;
    Ok(Applied { diff_id: DiffId(hashed.digest), size: hashed.size, changes })
}

/// Like [`apply`], for an archive that is no layer: names that layers reserve for deletions are names like others.
pub fn apply_plain(
    archive: impl Read + Send,
    dir: &Path,
    limits: &Limits,
) -> Result<Applied, ApplyError> {
    let open = |source| ApplyError::Write { path: dir.to_owned(), source };
    let root = open_directory(dir).map_err(open)?;
    let (changes, hashed) =
        inflate(archive, limits, |reader| unpack(reader, root.as_fd(), limits, true))?;
    Ok(Applied { diff_id: DiffId(hashed.digest), size: hashed.size, changes })
}

/// Unpacks an uncompressed layer, which the caller hashes, into an empty directory.
pub fn apply_tar(
    layer: &mut dyn BufRead,
    dir: BorrowedFd<'_>,
    limits: &Limits,
) -> Result<Changes, ApplyError> {
    unpack(layer, dir, limits, false)
}

fn unpack(
    layer: &mut dyn BufRead,
    dir: BorrowedFd<'_>,
    limits: &Limits,
    plain: bool,
) -> Result<Changes, ApplyError> {
    let mut archive = Reader::new(layer);
    let tree = Tree::new(dir)?;
    let mut layer = Layer { tree, changes: Changes::default(), limits: *limits, plain };
    while let Some(entry) = archive.next_entry()? {
        layer.changes.entries += 1;
        if layer.changes.entries > limits.entries {
            return Err(ApplyError::TooManyEntries { limit: limits.entries });
        }
        layer.entry(&mut archive, &entry)?;
    }
    archive.drain(limits.unpacked)?;
    layer.changes.has_end_mark = archive.has_end_mark();
    layer.finish()
}

struct Layer<'d> {
    tree: Tree<'d>,
    changes: Changes,
    limits: Limits,
    /// No name means a deletion.
    plain: bool,
}

impl Layer<'_> {
    fn entry<R: BufRead>(
        &mut self,
        archive: &mut Reader<R>,
        entry: &Entry,
    ) -> Result<(), ApplyError> {
        for lost in &entry.dropped {
            self.note(|| format!("{lost} of `{}` was not kept", entry.shown()));
        }
        let path = EntryPath::parse(&entry.name, self.limits.depth)?;
        let Some(name) = path.name() else {
            return match entry.kind {
                EntryKind::Directory => self.root(entry),
                _ => Err(ApplyError::RootNotDirectory),
            };
        };
        let meaning = if self.plain { Meaning::Ordinary } else { meaning(name) };
        match meaning {
            Meaning::Ordinary => self.ordinary(archive, entry, &path, name.as_ref()),
            Meaning::Hides(hidden) => {
                let parent = self.tree.parent(path.parent())?;
                self.tree.hide(&parent, hidden.as_ref())
            }
            Meaning::Opaque if path.parent().as_os_str().is_empty() => {
                self.changes.opaque_root = true;
                Ok(())
            }
            Meaning::Opaque => {
                let directory = self.tree.parent(path.parent())?;
                self.tree.make_opaque(&directory)
            }
            Meaning::AufsBookkeeping => {
                self.note(|| {
                    format!("`{}` is bookkeeping of aufs and was left out", entry.shown())
                });
                Ok(())
            }
            Meaning::Refused => Err(ApplyError::BadWhiteout { path: path.to_path() }),
        }
    }

    fn ordinary<R: BufRead>(
        &mut self,
        archive: &mut Reader<R>,
        entry: &Entry,
        path: &EntryPath,
        name: &Path,
    ) -> Result<(), ApplyError> {
        let parent = self.tree.parent(path.parent())?;
        let full = parent.path.join(name);
        let write = |source| ApplyError::Write { path: full.clone(), source };
        let device = |kind, numbers| (kind, entry.mode & 0o777, numbers);
        let (kind, mode, numbers) = match &entry.kind {
            EntryKind::Directory => return self.directory(entry, path),
            EntryKind::HardLink(target) => {
                let target = EntryPath::parse(target, self.limits.depth)?;
                if !self.tree.link(&target, &parent, name)? {
                    let link = DeferredLink { path: full, target: target.to_path() };
                    self.changes.deferred_links.push(link);
                }
                return Ok(());
            }
            EntryKind::File => {
                let file = self.tree.create(&parent, name, |dir, name| {
                    naru_kernel::path::create_new(dir, name, entry.mode & 0o777)
                })?;
                file::fill(&file, archive, entry).map_err(|error| error.at(&full))?;
                self.changes.content += entry.size();
                self.tree.finish_file(&file, entry).map_err(write)?;
                return self
                    .attributes(entry, &full, |attribute, value| {
                        naru_kernel::xattr::set(&file, attribute, value)
                    })
                    .and_then(|()| self.tree.file_times(&file, entry).map_err(write));
            }
            EntryKind::Link(target) => {
                use std::os::unix::ffi::OsStrExt;
                let target = std::ffi::OsStr::from_bytes(target);
                self.tree.create(&parent, name, |dir, name| node::make_link(target, dir, name))?;
                (NodeKind::Link, entry.mode, (0, 0))
            }
            EntryKind::CharDevice(0, 0) => return Err(ApplyError::WhiteoutDevice { path: full }),
            EntryKind::CharDevice(major, minor) => device(NodeKind::CharDevice, (*major, *minor)),
            EntryKind::BlockDevice(major, minor) => device(NodeKind::BlockDevice, (*major, *minor)),
            EntryKind::Fifo => device(NodeKind::Fifo, (0, 0)),
        };
        if kind != NodeKind::Link {
            self.tree.create(&parent, name, |dir, name| {
                node::make_node(dir, name, kind, mode, numbers)
            })?;
        }
        self.tree.finish_node(&parent, name, entry).map_err(write)?;
        self.attributes(entry, &full, |attribute, value| {
            naru_kernel::xattr::set_at(&parent.fd, name, attribute, value)
        })?;
        self.tree.node_times(&parent, name, entry).map_err(write)
    }

    fn directory(&mut self, entry: &Entry, path: &EntryPath) -> Result<(), ApplyError> {
        let directory = self.tree.directory(path)?;
        let write = |source| ApplyError::Write { path: directory.path.clone(), source };
        self.tree.finish_directory(&directory, entry).map_err(write)?;
        self.attributes(entry, &directory.path, |attribute, value| {
            naru_kernel::xattr::set(&directory.fd, attribute, value)
        })
    }

    fn root(&mut self, entry: &Entry) -> Result<(), ApplyError> {
        self.directory(entry, &EntryPath::root())
    }

    /// Sets the attributes that may be set; the default ACL of a directory must wait until its entries are there.
    fn attributes(
        &mut self,
        entry: &Entry,
        path: &Path,
        set: impl Fn(&[u8], &[u8]) -> std::io::Result<()>,
    ) -> Result<(), ApplyError> {
        for (attribute, value) in &entry.attributes {
            let shown = || String::from_utf8_lossy(attribute).into_owned();
            if crate::whiteout::is_reserved_attribute(attribute) {
                self.note(|| {
                    format!(
                        "the attribute `{}` of `{}` is reserved and was left out",
                        shown(),
                        entry.shown()
                    )
                });
                continue;
            }
            if tree::is_late_attribute(attribute) {
                continue;
            }
            match set(attribute, value) {
                Ok(()) => {}
                // What decides over privileges must not be lost in silence.
                Err(source)
                    if attribute != naru_kernel::xattr::CAPABILITY
                        && naru_kernel::xattr::is_unsupported(&source) =>
                {
                    self.note(|| {
                        format!(
                            "the attribute `{}` of `{}` was not kept: {source}",
                            shown(),
                            entry.shown()
                        )
                    });
                }
                Err(source) => {
                    return Err(ApplyError::Attribute {
                        path: path.to_owned(),
                        attribute: shown(),
                        source,
                    });
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.changes.notes.len() < 100 {
            self.changes.notes.push(text());
        }
    }

    fn finish(mut self) -> Result<Changes, ApplyError> {
        // A target may come after its link; only what is still missing is looked for below.
        for link in std::mem::take(&mut self.changes.deferred_links) {
            if !self.tree.link_late(&link)? {
                self.changes.deferred_links.push(link);
            }
        }
        self.changes.implicit_dirs = self.tree.finish()?;
        Ok(self.changes)
    }
}
