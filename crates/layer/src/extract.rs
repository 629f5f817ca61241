//! Acts: unpacks an archive into a directory that others use meanwhile, as `cp` into a container does.
//!
//! Nothing is remembered about the tree but the descriptor of the directory that the last entry went to: whoever has
//! the other end of it may swap names at any time. Every name is resolved by the kernel under the root, every file is
//! made anew, and what has been made is changed by its descriptor. So whatever the archive or the other side do,
//! nothing outside of the root is touched. Names that look like whiteouts are names like any other.

mod error;
mod names;
#[cfg(test)]
mod tests;

pub use error::ExtractError;
pub use names::Rename;

use crate::apply::file;
use crate::compression::{Compression, CompressionError};
use crate::limits::Limits;
use crate::tar::{Entry, EntryKind, Reader};
use crate::whiteout::is_reserved_attribute;
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{self, OFlags};
use naru_kernel::times::FileTime;
use naru_kernel::{pinned, xattr};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Whose the files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Whose the archive says.
    Archive,
    /// Always the same user's and group's.
    Fixed(u32, u32),
    /// Whoever unpacks.
    Own,
}

/// Where an archive goes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// Links are resolved under this directory; nothing outside of it is touched.
    pub root: BorrowedFd<'a>,
    /// The directory under the root that takes the entries.
    pub place: &'a Path,
    /// Whose the files become.
    pub owners: Owners,
    /// Whether a directory may not take the place of something else, nor the other way round.
    pub keep_kinds: bool,
    /// Under which names.
    pub rename: Rename<'a>,
    /// How much is taken.
    pub limits: &'a Limits,
}

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// How many entries.
    pub entries: u64,
    /// What could not be kept, a sentence each; only the first hundred.
    pub notes: Vec<String>,
}

/// Unpacks an archive, compressed or not. On failure, what was written stays.
pub fn extract(
    archive: impl Read + Send,
    destination: &Destination<'_>,
) -> Result<Extracted, ExtractError> {
    let (compression, input) = Compression::peek(archive)?;
    let decoder = compression.decoder(input, destination.limits).map_err(CompressionError::Read)?;
    let mut reader = Reader::new(BufReader::with_capacity(256 << 10, decoder));
    let mut work =
        Work { to: destination, last: None, late: BTreeMap::new(), done: Extracted::default() };
    while let Some(entry) = reader.next_entry()? {
        work.done.entries += 1;
        if work.done.entries > destination.limits.entries {
            return Err(ExtractError::TooManyEntries { limit: destination.limits.entries });
        }
        work.entry(&mut reader, &entry)?;
    }
    reader.drain(destination.limits.unpacked)?;
    work.finish()
}

/// What a directory is given last: without its permissions nothing could be put into it, and what is would change its
/// times.
#[derive(Debug, Clone, Copy)]
struct Late {
    mode: u32,
    accessed: FileTime,
    modified: FileTime,
}

struct Work<'a> {
    to: &'a Destination<'a>,
    /// The directory of the last entry, and where it was.
    last: Option<(PathBuf, OwnedFd)>,
    late: BTreeMap<PathBuf, Late>,
    done: Extracted,
}

/// How often a name that others make again is removed before that is given up.
const TRIES: u32 = 32;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

fn write_at(path: &Path) -> impl Fn(io::Error) -> ExtractError {
    move |source| ExtractError::Write { path: path.to_owned(), source }
}

impl Work<'_> {
    fn entry<R: BufRead>(
        &mut self,
        archive: &mut Reader<R>,
        entry: &Entry,
    ) -> Result<(), ExtractError> {
        for lost in &entry.dropped {
            self.note(|| format!("{lost} of `{}` was not kept", entry.shown()));
        }
        let path = names::resolve(&entry.name, self.to.rename, self.to.limits.depth)?;
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            // The destination itself stays as it is.
            return match entry.kind {
                EntryKind::Directory => Ok(()),
                _ => Err(ExtractError::Outside { path: entry.shown() }),
            };
        };
        let parent = self.parent(path.parent().unwrap_or(Path::new("")))?;
        let done = self.put(archive, entry, &path, (&parent, &name));
        self.last = Some((path.parent().unwrap_or(Path::new("")).to_owned(), parent));
        done
    }

    fn put<R: BufRead>(
        &mut self,
        archive: &mut Reader<R>,
        entry: &Entry,
        path: &Path,
        (parent, name): (&OwnedFd, &OsStr),
    ) -> Result<(), ExtractError> {
        let failed = write_at(path);
        let plain = |kind, numbers| {
            move |dir: &OwnedFd, name: &OsStr| node::make_node(dir, name, kind, 0o600, numbers)
        };
        match &entry.kind {
            EntryKind::Directory => return self.directory(entry, path, (parent, name)),
            EntryKind::HardLink(target) => return self.hard_link(target, path, (parent, name)),
            EntryKind::File => {
                let file = self
                    .make(path, (parent, name), |dir, name| path::create_new(dir, name, 0o600))?;
                file::fill(&file, archive, entry)
                    .map_err(|error| ExtractError::fill(error, path))?;
                let owned = match self.owner(entry) {
                    Some((uid, gid)) => node::set_owner(&file, uid, gid),
                    None => Ok(()),
                };
                owned.and_then(|()| node::set_mode(&file, entry.mode)).map_err(&failed)?;
                self.attributes(entry, path, |name, value| xattr::set(&file, name, value))?;
                return naru_kernel::times::set(&file, accessed(entry), entry.modified)
                    .map_err(failed);
            }
            EntryKind::Link(target) => {
                let target = OsStr::from_bytes(target);
                self.make(path, (parent, name), |dir, name| node::make_link(target, dir, name))?;
            }
            EntryKind::CharDevice(major, minor) => {
                let make = plain(NodeKind::CharDevice, (*major, *minor));
                self.make(path, (parent, name), make)?;
            }
            EntryKind::BlockDevice(major, minor) => {
                let make = plain(NodeKind::BlockDevice, (*major, *minor));
                self.make(path, (parent, name), make)?;
            }
            EntryKind::Fifo => {
                self.make(path, (parent, name), plain(NodeKind::Fifo, (0, 0)))?;
            }
        }
        let held = pinned::pin(parent, name).map_err(&failed)?;
        if let Some((uid, gid)) = self.owner(entry) {
            pinned::set_owner(&held, uid, gid).map_err(&failed)?;
        }
        // Whoever swapped it for a link gets nothing out of it: links have no permissions.
        if node::status(&held).map_err(&failed)?.kind != NodeKind::Link {
            pinned::set_mode(&held, entry.mode).map_err(&failed)?;
        }
        self.attributes(entry, path, |name, value| pinned::set_attribute(&held, name, value))?;
        pinned::set_times(&held, accessed(entry), entry.modified).map_err(failed)
    }

    /// The directory that entries of this path go to, made with its parents where it is missing.
    fn parent(&mut self, path: &Path) -> Result<OwnedFd, ExtractError> {
        if let Some((known, fd)) = self.last.take()
            && known == path
        {
            return Ok(fd);
        }
        match self.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map_err(write_at(path)),
        }
        let mut walked = PathBuf::new();
        let mut dir = self.open(&walked).map_err(write_at(&walked))?;
        for part in path {
            walked.push(part);
            dir = match self.open(&walked) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match node::make_directory(&dir, part, 0o755) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                        Ok(()) | Err(_) => self.open(&walked),
                    }
                }
                opened => opened,
            }
            .map_err(write_at(&walked))?;
        }
        Ok(dir)
    }

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        path::open_in_root(self.to.root, self.to.place.join(path), DIRECTORY)
    }

    fn owner(&self, entry: &Entry) -> Option<(u32, u32)> {
        match self.to.owners {
            Owners::Archive => Some((entry.uid, entry.gid)),
            Owners::Fixed(uid, gid) => Some((uid, gid)),
            Owners::Own => None,
        }
    }

    /// Makes something under a name, in the place of what is there.
    fn make<T>(
        &self,
        path: &Path,
        (parent, name): (&OwnedFd, &OsStr),
        make: impl Fn(&OwnedFd, &OsStr) -> io::Result<T>,
    ) -> Result<T, ExtractError> {
        let failed = write_at(path);
        for _ in 0..TRIES {
            match make(parent, name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map_err(failed),
            }
            match node::status_at(parent, name) {
                Ok(status) if status.kind != NodeKind::Directory => {
                    absent_is_fine(node::unlink(parent, name)).map_err(&failed)?;
                }
                Ok(_) if self.to.keep_kinds => {
                    return Err(ExtractError::OverDirectory {
                        path: self.shown(path),
                        destination: self.shown(Path::new("")),
                    });
                }
                Ok(_) => node::remove_all(parent, name).map_err(&failed)?,
                Err(error) => absent_is_fine(Err(error)).map_err(&failed)?,
            }
        }
        Err(failed(io::ErrorKind::AlreadyExists.into()))
    }

    fn directory(
        &mut self,
        entry: &Entry,
        path: &Path,
        (parent, name): (&OwnedFd, &OsStr),
    ) -> Result<(), ExtractError> {
        let failed = write_at(path);
        let mut left = TRIES;
        let held = loop {
            left -= 1;
            match node::make_directory(parent, name, 0o700) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                Ok(()) | Err(_) => {}
            }
            match path::open_entry(parent, name, DIRECTORY) {
                Ok(held) => break held,
                Err(error) if left == 0 => return Err(failed(error)),
                Err(error)
                    if error.kind() == io::ErrorKind::NotADirectory || path::met_link(&error) =>
                {
                    if self.to.keep_kinds {
                        return Err(ExtractError::OverOther {
                            path: self.shown(path),
                            destination: self.shown(Path::new("")),
                        });
                    }
                    absent_is_fine(node::unlink(parent, name)).map_err(&failed)?;
                }
                Err(error) => absent_is_fine(Err(error)).map_err(&failed)?,
            }
        };
        if let Some((uid, gid)) = self.owner(entry) {
            pinned::set_owner(&held, uid, gid).map_err(&failed)?;
        }
        self.attributes(entry, path, |name, value| pinned::set_attribute(&held, name, value))?;
        let late = Late { mode: entry.mode, accessed: accessed(entry), modified: entry.modified };
        self.late.insert(path.to_owned(), late);
        Ok(())
    }

    fn hard_link(
        &self,
        target: &[u8],
        path: &Path,
        place: (&OwnedFd, &OsStr),
    ) -> Result<(), ExtractError> {
        let outside = |_| ExtractError::LinkOutside {
            path: path.to_owned(),
            target: crate::tar::error::shown(target),
        };
        let target_path =
            names::resolve(target, self.to.rename, self.to.limits.depth).map_err(outside)?;
        let missing = |source| ExtractError::MissingTarget {
            path: path.to_owned(),
            target: target_path.clone(),
            source,
        };
        let Some(target_name) = target_path.file_name() else {
            return Err(missing(io::ErrorKind::IsADirectory.into()));
        };
        let from = self.open(target_path.parent().unwrap_or(Path::new(""))).map_err(missing)?;
        let status = node::status_at(&from, target_name).map_err(missing)?;
        // A link to itself must not remove what it links to.
        if node::status_at(place.0, place.1)
            .is_ok_and(|there| (there.device, there.inode) == (status.device, status.inode))
        {
            return Ok(());
        }
        self.make(path, place, |dir, name| node::hard_link(&from, target_name, dir, name))
    }

    fn attributes(
        &mut self,
        entry: &Entry,
        path: &Path,
        set: impl Fn(&[u8], &[u8]) -> io::Result<()>,
    ) -> Result<(), ExtractError> {
        for (attribute, value) in &entry.attributes {
            let shown = String::from_utf8_lossy(attribute);
            if is_reserved_attribute(attribute) {
                self.note(|| {
                    format!("the attribute `{shown}` of `{}` is reserved", path.display())
                });
                continue;
            }
            match set(attribute, value) {
                Ok(()) => {}
                Err(error) if xattr::is_unsupported(&error) => self.note(|| {
                    format!("the attribute `{shown}` of `{}` was not kept: {error}", path.display())
                }),
                Err(error) => return Err(write_at(path)(error)),
            }
        }
        Ok(())
    }

    /// The path as whoever looks from the root sees it.
    fn shown(&self, path: &Path) -> PathBuf {
        let full = Path::new("/").join(self.to.place);
        if path.as_os_str().is_empty() { full } else { full.join(path) }
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.done.notes.len() < 100 {
            self.done.notes.push(text());
        }
    }

    /// Gives directories what had to wait, inner ones first.
    fn finish(self) -> Result<Extracted, ExtractError> {
        for (path, late) in self.late.iter().rev() {
            let place = self.to.place.join(path);
            let held = match path::open_in_root(self.to.root, &place, DIRECTORY | OFlags::NOFOLLOW)
            {
                Ok(held) => held,
                // Somebody took it away again.
                Err(error)
                    if path::met_link(&error)
                        || matches!(
                            error.kind(),
                            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                        ) =>
                {
                    continue;
                }
                Err(error) => return Err(write_at(path)(error)),
            };
            pinned::set_mode(&held, late.mode)
                .and_then(|()| pinned::set_times(&held, late.accessed, late.modified))
                .map_err(write_at(path))?;
        }
        Ok(self.done)
    }
}

fn accessed(entry: &Entry) -> FileTime {
    entry.accessed.unwrap_or(entry.modified)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
