//! Acts: a directory tree to a tar stream, always in the same order and form.

use crate::tar::pax::Records;
use crate::tar::{Entry, EntryKind, Writer};
use crate::whiteout::{OPAQUE, OPAQUE_ATTRIBUTE, PREFIX, is_reserved_attribute, name_for};
use naru_errdefs::{Failure, Kind};
use naru_kernel::mount::{
    CGROUP_MAGIC, CGROUP2_MAGIC, DEVPTS_MAGIC, PROC_MAGIC, SYSFS_MAGIC, magic,
};
use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{OFlags, met_link, open_directory, open_entry};
use naru_kernel::{pinned, sparse, xattr};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How a tree is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveMode {
    /// As it is: a whole root file system.
    Plain,
    /// As the upper directory of an overlay: its deletions and opaque directories become whiteouts, so the archive is
    /// a layer.
    OverlayUpper,
    /// As it is, while others change it: what vanishes is left out, and a file that shrinks is filled with zeros.
    Live,
}

/// What is archived by [`archive_live`].
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// An open directory with all that is in it.
    Directory(BorrowedFd<'a>),
    /// What has this name in an open directory.
    Entry(BorrowedFd<'a>, &'a OsStr),
}

/// What was archived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archived {
    /// How many entries were written.
    pub entries: u64,
    /// Bytes of the files in it.
    pub content: u64,
    /// What was left out, a sentence each; only the first hundred.
    pub notes: Vec<String>,
}

/// No tree is followed further down: whoever makes one deeper wants to exhaust who reads it.
const DEEPEST: usize = 512;

/// File systems of which a live archive keeps the directory only: what is in them is the kernel's, not the container's.
const PSEUDO: [u64; 5] = [PROC_MAGIC, SYSFS_MAGIC, DEVPTS_MAGIC, CGROUP_MAGIC, CGROUP2_MAGIC];

/// Why a tree cannot be archived.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file cannot be read.
    #[error("cannot read `{}` for the archive", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The stream cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// A name that a layer cannot hold.
    #[error("`{}` has a name that layers reserve for deletions", path.display())]
    ReservedName {
        /// The file.
        path: PathBuf,
    },
    /// Directories in directories without end.
    #[error("`{}` is nested deeper than {DEEPEST} directories", path.display())]
    TooDeep {
        /// The beginning of the path.
        path: PathBuf,
    },
    /// An overlay used a feature that layers have no words for.
    #[error("`{}` carries `{attribute}`, which a layer cannot express", path.display())]
    OverlayFeature {
        /// The file.
        path: PathBuf,
        /// The attribute.
        attribute: String,
    },
}

impl Failure for ArchiveError {
    fn kind(&self) -> Kind {
        match self {
            ArchiveError::Read { .. } => Kind::Internal,
            ArchiveError::Write(source) => match source.kind() {
                io::ErrorKind::StorageFull => Kind::ResourceExhausted,
                io::ErrorKind::BrokenPipe => Kind::Cancelled,
                _ => Kind::Internal,
            },
            ArchiveError::ReservedName { .. }
            | ArchiveError::OverlayFeature { .. }
            | ArchiveError::TooDeep { .. } => Kind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ArchiveError::ReservedName { .. } => {
                Some("rename the file; no layer can keep a name that begins with `.wh.`".to_owned())
            }
            ArchiveError::OverlayFeature { .. } => {
                Some("mount the overlay without `redirect_dir` and `metacopy`".to_owned())
            }
            ArchiveError::Read { .. } | ArchiveError::Write(_) | ArchiveError::TooDeep { .. } => {
                None
            }
        }
    }
}

/// Writes the tree under `dir` to `out`: directories before what is in them, names in byte order.
pub fn archive_tree(
    dir: &Path,
    out: impl Write,
    mode: ArchiveMode,
) -> Result<Archived, ArchiveError> {
    let root = open_directory(dir)
        .map_err(|source| ArchiveError::Read { path: dir.to_owned(), source })?;
    let mut archive = Archive::new(out, mode);
    archive.directory(root.as_fd(), Path::new(""))?;
    archive.finish()
}

/// Writes one thing with all that is in it, under a name of the caller's choice, while others may change it. Every step
/// is taken from the descriptor of a directory, and nothing is opened before it is known to be a file. `owner` replaces
/// the owner and group of everything.
pub fn archive_live(
    subject: Subject<'_>,
    name: &Path,
    owner: Option<(u32, u32)>,
    out: impl Write,
) -> Result<Archived, ArchiveError> {
    let mut archive = Archive::new(out, ArchiveMode::Live);
    archive.owner = owner;
    match subject {
        Subject::Directory(dir) => archive.directory(dir, name)?,
        Subject::Entry(dir, own_name) => {
            let status = node::status_at(dir, own_name)
                .map_err(|source| ArchiveError::Read { path: name.to_owned(), source })?;
            archive.entry(dir, own_name, name, &status)?;
        }
    }
    archive.finish()
}

/// An archive that is being written from files.
pub(crate) struct Archive<W: Write> {
    writer: Writer<W>,
    mode: ArchiveMode,
    /// Whose everything is, instead of its owners'.
    owner: Option<(u32, u32)>,
    /// The first name of each file that has several.
    names: HashMap<(u64, u64), Vec<u8>>,
    done: Archived,
    buffer: Vec<u8>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W, mode: ArchiveMode) -> Archive<W> {
        let buffer = vec![0; 256 * 1024];
        Archive {
            writer: Writer::new(out),
            mode,
            owner: None,
            names: HashMap::new(),
            done: Archived::default(),
            buffer,
        }
    }

    pub(crate) fn finish(self) -> Result<Archived, ArchiveError> {
        self.writer.finish().map_err(ArchiveError::Write)?;
        Ok(self.done)
    }

    /// A directory and all that is in it.
    pub(crate) fn directory(
        &mut self,
        dir: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), ArchiveError> {
        let read = |source| ArchiveError::Read { path: path.to_owned(), source };
        if path.components().count() > DEEPEST {
            let path = path.iter().take(8).collect();
            return Err(ArchiveError::TooDeep { path });
        }
        let is_opaque = self.directory_itself(dir, path)?;
        if is_opaque {
            self.mark(path.join(OPAQUE))?;
        }
        if self.mode == ArchiveMode::Live && PSEUDO.contains(&magic(dir).map_err(read)?) {
            return Ok(());
        }
        for name in node::list(dir).map_err(read)? {
            let status = match node::status_at(dir, &name) {
                Err(error) if self.has_vanished(&error) => continue,
                status => status.map_err(read)?,
            };
            self.entry(dir, &name, &path.join(&name), &status)?;
        }
        Ok(())
    }

    /// Whether an error says that somebody was faster, which is nobody's fault in a live tree.
    fn has_vanished(&self, error: &io::Error) -> bool {
        self.mode == ArchiveMode::Live
            && (matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
                || met_link(error))
    }

    /// Only the directory's own entry; says whether it is opaque.
    pub(crate) fn directory_itself(
        &mut self,
        dir: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<bool, ArchiveError> {
        let read = |source| ArchiveError::Read { path: path.to_owned(), source };
        let status = node::status(dir).map_err(read)?;
        let names = xattr::list(dir).map_err(read)?;
        let is_opaque = self.mode == ArchiveMode::OverlayUpper
            && names.iter().any(|name| name == OPAQUE_ATTRIBUTE)
            && xattr::get(dir, OPAQUE_ATTRIBUTE).map_err(read)? == b"y";
        let attributes = self.attributes(path, names, |name| xattr::get(dir, name))?;
        let mut name = path.as_os_str().as_bytes().to_vec();
        match name.last() {
            None => name.extend_from_slice(b"./"),
            Some(b'/') => {}
            Some(_) => name.push(b'/'),
        }
        self.start(&head(name, EntryKind::Directory, &status, attributes))?;
        Ok(is_opaque)
    }

    /// Whatever is called `name` in `dir`, with all that is in it.
    pub(crate) fn entry(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        status: &Status,
    ) -> Result<(), ArchiveError> {
        let read = |source| ArchiveError::Read { path: path.to_owned(), source };
        let is_layer = self.mode == ArchiveMode::OverlayUpper;
        if is_layer && status.is_whiteout() {
            return self.mark(path.with_file_name(name_for(name)));
        }
        if is_layer && name.as_bytes().starts_with(PREFIX.as_bytes()) {
            return Err(ArchiveError::ReservedName { path: path.to_owned() });
        }
        if status.kind == NodeKind::Directory {
            return match open_entry(dir, name, OFlags::RDONLY | OFlags::DIRECTORY) {
                Err(error) if self.has_vanished(&error) => Ok(()),
                inner => self.directory(inner.map_err(read)?.as_fd(), path),
            };
        }
        let own_name = path.as_os_str().as_bytes().to_vec();
        if status.links > 1 && status.kind != NodeKind::Socket {
            let key = (status.device, status.inode);
            if let Some(first) = self.names.get(&key) {
                let kind = EntryKind::HardLink(first.clone());
                return self.start(&head(own_name, kind, status, Vec::new()));
            }
            self.names.insert(key, own_name.clone());
        }
        let (major, minor) = status.rdev;
        let kind = match status.kind {
            NodeKind::File => return self.file(dir, name, path, status),
            NodeKind::Link => match node::read_link(dir, name) {
                // It vanished, or is no link any more.
                Err(error)
                    if self.has_vanished(&error)
                        || self.mode == ArchiveMode::Live
                            && error.kind() == io::ErrorKind::InvalidInput =>
                {
                    return Ok(());
                }
                target => EntryKind::Link(target.map_err(read)?.as_bytes().to_vec()),
            },
            NodeKind::CharDevice => EntryKind::CharDevice(major, minor),
            NodeKind::BlockDevice => EntryKind::BlockDevice(major, minor),
            NodeKind::Fifo => EntryKind::Fifo,
            NodeKind::Socket | NodeKind::Directory => {
                self.note(|| format!("`{}` is a socket and was left out", path.display()));
                return Ok(());
            }
        };
        let names = match xattr::list_at(dir, name) {
            Err(error) if self.has_vanished(&error) => return Ok(()),
            names => names.map_err(read)?,
        };
        let attributes =
            self.attributes(path, names, |attribute| xattr::get_at(dir, name, attribute))?;
        self.start(&head(own_name, kind, status, attributes))
    }

    /// A mark of the layer format: an empty file.
    pub(crate) fn mark(&mut self, path: PathBuf) -> Result<(), ArchiveError> {
        let name = path.into_os_string().into_encoded_bytes();
        self.start(&Entry::new(name, EntryKind::File, 0o600))
    }

    fn file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        status: &Status,
    ) -> Result<(), ArchiveError> {
        let read = |source| ArchiveError::Read { path: path.to_owned(), source };
        let (file, now);
        let status = match self.mode {
            ArchiveMode::Live => match open_live(dir, name) {
                Ok(Some(opened)) => {
                    (file, now) = opened;
                    &now
                }
                Ok(None) => return Ok(()),
                Err(error) if self.has_vanished(&error) => return Ok(()),
                Err(error) => return Err(read(error)),
            },
            ArchiveMode::Plain | ArchiveMode::OverlayUpper => {
                let flags = OFlags::RDONLY | OFlags::NOATIME;
                file = File::from(open_entry(dir, name, flags).map_err(read)?);
                status
            }
        };
        let names = xattr::list(&file).map_err(read)?;
        let attributes = self.attributes(path, names, |attribute| xattr::get(&file, attribute))?;
        let mut entry =
            head(path.as_os_str().as_bytes().to_vec(), EntryKind::File, status, attributes);
        entry.stored = status.size;
        self.done.content += status.size;
        let mut ranges: Vec<std::ops::Range<u64>> = std::iter::once(0..status.size).collect();
        // Fewer blocks than bytes: there may be holes.
        if status.blocks.saturating_mul(512) < status.size {
            let found = sparse::data_ranges(&file, status.size).map_err(read)?;
            if found != ranges {
                ranges = found;
                let segments =
                    ranges.iter().map(|range| (range.start, range.end - range.start)).collect();
                let mut map = crate::tar::sparse_map::SparseMap { segments, size: status.size };
                entry.stored = map.stored();
                // GNU tar marks the end of a file that ends with a hole.
                if ranges.last().is_none_or(|range| range.end < status.size) {
                    map.segments.push((status.size, 0));
                }
                entry.sparse = Some(map);
            }
        }
        self.start(&entry)?;
        for range in ranges {
            let mut at = range.start;
            while at < range.end {
                let want =
                    usize::try_from(range.end - at).unwrap_or(usize::MAX).min(self.buffer.len());
                let piece = self.buffer.get_mut(..want).unwrap_or_default();
                let mut count = file.read_at(piece, at).map_err(read)?;
                if count == 0 && self.mode == ArchiveMode::Live {
                    piece.fill(0);
                    count = want;
                }
                if count == 0 {
                    return Err(read(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file shrank while it was read",
                    )));
                }
                self.writer
                    .data(piece.get(..count).unwrap_or_default())
                    .map_err(ArchiveError::Write)?;
                at += count as u64;
            }
        }
        Ok(())
    }

    fn attributes(
        &self,
        path: &Path,
        names: Vec<Vec<u8>>,
        get: impl Fn(&[u8]) -> io::Result<Vec<u8>>,
    ) -> Result<Records, ArchiveError> {
        let mut attributes = Vec::new();
        for name in names {
            if is_reserved_attribute(&name) {
                let feature = [&b"trusted.overlay.redirect"[..], b"trusted.overlay.metacopy"]
                    .contains(&name.as_slice());
                if feature && self.mode == ArchiveMode::OverlayUpper {
                    let attribute = String::from_utf8_lossy(&name).into_owned();
                    return Err(ArchiveError::OverlayFeature { path: path.to_owned(), attribute });
                }
                continue;
            }
            // A label of the host's policy is not the image's.
            if name == b"security.selinux" || name == b"security.ima" || name == b"security.evm" {
                continue;
            }
            match get(&name) {
                Ok(value) => attributes.push((name, value)),
                // Taken away between the list and here, or the whole file was.
                Err(_) if self.mode == ArchiveMode::Live => {}
                Err(source) => return Err(ArchiveError::Read { path: path.to_owned(), source }),
            }
        }
        Ok(attributes)
    }

    fn start(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        self.done.entries += 1;
        let Some((uid, gid)) = self.owner else {
            return self.writer.start(entry).map_err(ArchiveError::Write);
        };
        let entry = Entry { uid, gid, ..entry.clone() };
        self.writer.start(&entry).map_err(ArchiveError::Write)
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.done.notes.len() < 100 {
            self.done.notes.push(text());
        }
    }
}

/// Opens a file for reading once it is known to be one; nothing when it is something else by now.
fn open_live(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<(File, Status)>> {
    let held = pinned::pin(dir, name)?;
    let status = node::status(&held)?;
    if status.kind != NodeKind::File {
        return Ok(None);
    }
    let file = match pinned::reopen(&held, OFlags::RDONLY | OFlags::NOATIME) {
        // Only the owner may leave the access time alone.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            pinned::reopen(&held, OFlags::RDONLY)?
        }
        file => file?,
    };
    Ok(Some((file, status)))
}

fn head(name: Vec<u8>, kind: EntryKind, status: &Status, attributes: Records) -> Entry {
    Entry {
        uid: status.uid,
        gid: status.gid,
        modified: status.modified,
        attributes,
        ..Entry::new(name, kind, status.mode)
    }
}
