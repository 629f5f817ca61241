//! Acts: the directory that a layer is unpacked into. Nobody else writes to it meanwhile, so that what was found out
//! about it can be remembered.

use super::entry_path::EntryPath;
use super::{ApplyError, DeferredLink};
use crate::tar::Entry;
use crate::whiteout::OPAQUE_ATTRIBUTE;
use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{self, OFlags};
use naru_kernel::times::{self, FileTime};
use naru_kernel::xattr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How many directories are kept open; several layers are unpacked at once, and a process may have 1,024 files open.
const OPEN_DIRECTORIES: usize = 96;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// An open directory of the tree.
#[derive(Debug)]
pub(super) struct Directory {
    /// Opened for reading, so that it can be given its attributes too.
    pub(super) fd: OwnedFd,
    /// Where it is, without links on the way.
    pub(super) path: PathBuf,
}

/// What a directory is given last: its entries would change its times, and inherit its group and its default ACL.
#[derive(Debug)]
struct Late {
    accessed: FileTime,
    modified: FileTime,
    mode: Option<u32>,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The tree under one directory.
#[derive(Debug)]
pub(super) struct Tree<'d> {
    root: BorrowedFd<'d>,
    /// Directories by the path that entries name them by.
    open: HashMap<OsString, Rc<Directory>>,
    last: Option<(OsString, Rc<Directory>)>,
    late: BTreeMap<PathBuf, Late>,
    implicit: BTreeSet<PathBuf>,
    /// What a file made with mode 0777 is like.
    fresh: Option<Status>,
}

/// Whether entries of a directory would inherit this attribute, so that it has to wait.
pub(super) fn is_late_attribute(name: &[u8]) -> bool {
    name == b"system.posix_acl_default"
}

fn write_at(path: &Path) -> impl Fn(io::Error) -> ApplyError {
    move |source| ApplyError::Write { path: path.to_owned(), source }
}

impl<'d> Tree<'d> {
    /// The tree under an empty directory.
    pub(super) fn new(root: BorrowedFd<'d>) -> Result<Tree<'d>, ApplyError> {
        let fresh = node::probe_creation(root).map_err(write_at(Path::new("")))?;
        let implicit = BTreeSet::from([PathBuf::new()]);
        Ok(Tree { root, open: HashMap::new(), last: None, late: BTreeMap::new(), implicit, fresh })
    }

    /// The directory of this path, made with its parents where it is missing.
    pub(super) fn parent(&mut self, path: &Path) -> Result<Rc<Directory>, ApplyError> {
        if let Some((known, directory)) = &self.last
            && known == path.as_os_str()
        {
            return Ok(Rc::clone(directory));
        }
        let directory = match self.open.get(path.as_os_str()) {
            Some(directory) => Rc::clone(directory),
            None => self.open_or_make(path)?,
        };
        self.last = Some((path.as_os_str().to_owned(), Rc::clone(&directory)));
        Ok(directory)
    }

    fn open_or_make(&mut self, path: &Path) -> Result<Rc<Directory>, ApplyError> {
        let write = write_at(path);
        match path::open_beneath(self.root, path, DIRECTORY) {
            Ok(fd) => Ok(self.remember(path, fd, path.to_owned())),
            Err(error) if path::met_link(&error) => self.through_links(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(path),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                self.in_place_of_whiteout(path)
            }
            Err(error) => Err(write(error)),
        }
    }

    /// Follows links as a process whose root is the layer.
    fn through_links(&mut self, path: &Path) -> Result<Rc<Directory>, ApplyError> {
        let fd = match path::open_in_root(self.root, path, DIRECTORY) {
            Ok(fd) => fd,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound => match self.missing_behind_link(path)? {
                        Some(directory) => Ok(directory),
                        None => Err(ApplyError::DanglingParent { path: path.to_owned() }),
                    },
                    io::ErrorKind::NotADirectory => {
                        Err(ApplyError::NotADirectory { path: path.to_owned() })
                    }
                    _ if path::met_link(&error) => {
                        Err(ApplyError::DanglingParent { path: path.to_owned() })
                    }
                    _ => Err(write_at(path)(error)),
                };
            }
        };
        let real = self.real_path(fd.as_fd(), path)?;
        Ok(self.remember(path, fd, real))
    }

    /// When only the last component is missing, it is made behind the link.
    fn missing_behind_link(&mut self, path: &Path) -> Result<Option<Rc<Directory>>, ApplyError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let parent = self.parent(parent)?;
        match node::make_directory(&parent.fd, name, 0o755) {
            Ok(()) => self.made(path, &parent, Path::new(name)).map(Some),
            // The name is there, so it is a link to nothing.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(write_at(path)(error)),
        }
    }

    fn make(&mut self, path: &Path) -> Result<Rc<Directory>, ApplyError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ApplyError::RootNotDirectory);
        };
        let parent = self.parent(parent)?;
        node::make_directory(&parent.fd, name, 0o755).map_err(write_at(path))?;
        self.made(path, &parent, Path::new(name))
    }

    /// Opens a directory that an entry needs and that has no entry of its own (yet).
    fn made(
        &mut self,
        path: &Path,
        parent: &Directory,
        name: &Path,
    ) -> Result<Rc<Directory>, ApplyError> {
        let write = write_at(path);
        let real = parent.path.join(name);
        // The umask may have taken something away.
        node::set_mode_at(&parent.fd, name, 0o755).map_err(&write)?;
        if self.fresh.is_none_or(|fresh| (fresh.uid, fresh.gid) != (0, 0)) {
            node::set_owner_at(&parent.fd, name, 0, 0).map_err(&write)?;
        }
        let fd = path::open_entry(&parent.fd, name, DIRECTORY).map_err(&write)?;
        self.implicit.insert(real.clone());
        Ok(self.remember(path, fd, real))
    }

    /// Something that is no directory is on the way. A deletion gives way to an empty, opaque directory.
    fn in_place_of_whiteout(&mut self, path: &Path) -> Result<Rc<Directory>, ApplyError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ApplyError::RootNotDirectory);
        };
        let parent = self.parent(parent)?;
        let write = write_at(path);
        let status = match node::status_at(&parent.fd, name) {
            // The deletion was further up, and has given way by now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.make(path),
            status => status.map_err(&write)?,
        };
        if !status.is_whiteout() {
            return Err(ApplyError::NotADirectory { path: path.to_owned() });
        }
        node::unlink(&parent.fd, name).map_err(&write)?;
        node::make_directory(&parent.fd, name, 0o755).map_err(&write)?;
        let directory = self.made(path, &parent, Path::new(name))?;
        self.make_opaque(&directory)?;
        Ok(directory)
    }

    fn remember(&mut self, path: &Path, fd: OwnedFd, real: PathBuf) -> Rc<Directory> {
        if self.open.len() >= OPEN_DIRECTORIES {
            self.open.clear();
        }
        let directory = Rc::new(Directory { fd, path: real });
        self.open.insert(path.as_os_str().to_owned(), Rc::clone(&directory));
        directory
    }

    fn forget_open(&mut self) {
        self.open.clear();
        self.last = None;
    }

    fn real_path(&self, fd: BorrowedFd<'_>, path: &Path) -> Result<PathBuf, ApplyError> {
        let root = path::location(self.root).map_err(write_at(path))?;
        let real = path::location(fd).map_err(write_at(path))?;
        let inside = real.strip_prefix(&root).map(Path::to_owned);
        inside.map_err(|_outside| ApplyError::Escapes { path: path.display().to_string() })
    }

    /// Makes something called `name`; what is there already makes room.
    pub(super) fn create<T>(
        &mut self,
        parent: &Directory,
        name: &Path,
        make: impl Fn(BorrowedFd<'_>, &Path) -> io::Result<T>,
    ) -> Result<T, ApplyError> {
        match make(parent.fd.as_fd(), name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(parent, name)?;
                make(parent.fd.as_fd(), name).map_err(write_at(&parent.path.join(name)))
            }
            other => other.map_err(write_at(&parent.path.join(name))),
        }
    }

    /// Removes whatever is called `name`, with what is known about it.
    fn remove(&mut self, parent: &Directory, name: &Path) -> Result<(), ApplyError> {
        let full = parent.path.join(name);
        node::remove_all(&parent.fd, name).map_err(write_at(&full))?;
        // Links may have led through it, so every remembered path is in doubt.
        self.forget_open();
        let below = |path: &PathBuf| path.starts_with(&full);
        self.late.retain(|path, _| !below(path));
        self.implicit.retain(|path| !below(path));
        Ok(())
    }

    /// The directory of an entry of its own: made, or found as an earlier entry or a parent made it.
    pub(super) fn directory(&mut self, path: &EntryPath) -> Result<Rc<Directory>, ApplyError> {
        let Some(name) = path.name() else {
            return self.parent(Path::new(""));
        };
        let parent = self.parent(path.parent())?;
        let full = parent.path.join(name);
        let write = write_at(&full);
        let mut replaces_whiteout = false;
        if let Err(error) = node::make_directory(&parent.fd, name, 0o700) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(write(error));
            }
            let there = node::status_at(&parent.fd, name).map_err(&write)?;
            if there.kind != NodeKind::Directory {
                replaces_whiteout = there.is_whiteout();
                self.remove(&parent, Path::new(name))?;
                node::make_directory(&parent.fd, name, 0o700).map_err(&write)?;
            }
        }
        let fd = path::open_entry(&parent.fd, name, DIRECTORY).map_err(&write)?;
        let directory = self.remember(path.as_path(), fd, full.clone());
        self.last = Some((path.as_path().as_os_str().to_owned(), Rc::clone(&directory)));
        if replaces_whiteout {
            self.make_opaque(&directory)?;
        }
        Ok(directory)
    }

    /// Hides what the layers below have under this name; what this layer has there stays.
    pub(super) fn hide(&mut self, parent: &Directory, name: &Path) -> Result<(), ApplyError> {
        let full = parent.path.join(name);
        let write = write_at(&full);
        match node::make_whiteout(&parent.fd, name) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if node::status_at(&parent.fd, name).map_err(&write)?.kind == NodeKind::Directory {
                    let fd = path::open_entry(&parent.fd, name, DIRECTORY).map_err(&write)?;
                    self.make_opaque(&Directory { fd, path: full.clone() })?;
                }
                Ok(())
            }
            Err(error) => Err(write(error)),
        }
    }

    /// Hides all that the layers below have in this directory.
    pub(super) fn make_opaque(&mut self, directory: &Directory) -> Result<(), ApplyError> {
        xattr::set(&directory.fd, OPAQUE_ATTRIBUTE, b"y").map_err(write_at(&directory.path))
    }

    /// Makes a hard link; `false` when the target is not in this layer.
    pub(super) fn link(
        &mut self,
        target: &EntryPath,
        parent: &Directory,
        name: &Path,
    ) -> Result<bool, ApplyError> {
        let full = parent.path.join(name);
        let Some(target_name) = target.name() else {
            return Err(ApplyError::LinkToDirectory { path: full, target: PathBuf::from("/") });
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let Ok(from) = path::open_in_root(self.root, target.parent(), flags) else {
            return Ok(false);
        };
        let Ok(status) = node::status_at(&from, target_name) else {
            return Ok(false);
        };
        if status.kind == NodeKind::Directory {
            return Err(ApplyError::LinkToDirectory { path: full, target: target.to_path() });
        }
        if status.is_whiteout() {
            return Err(ApplyError::MissingTarget { path: full, target: target.to_path() });
        }
        // A link to itself must not remove what it links to.
        if node::status_at(&parent.fd, name)
            .is_ok_and(|there| (there.device, there.inode) == (status.device, status.inode))
        {
            return Ok(true);
        }
        self.create(parent, name, |dir, name| node::hard_link(&from, target_name, dir, name))?;
        Ok(true)
    }

    /// Makes a link whose target came after it; `true` also when the name has been taken by a later entry.
    pub(super) fn link_late(&mut self, link: &DeferredLink) -> Result<bool, ApplyError> {
        use std::os::unix::ffi::OsStrExt;
        let path = EntryPath::parse(link.path.as_os_str().as_bytes(), usize::MAX)?;
        let target = EntryPath::parse(link.target.as_os_str().as_bytes(), usize::MAX)?;
        let Some(name) = path.name() else { return Ok(true) };
        let parent = self.parent(path.parent())?;
        match node::status_at(&parent.fd, name) {
            Ok(status) if !status.is_whiteout() => Ok(true),
            _ => self.link(&target, &parent, name.as_ref()),
        }
    }

    /// Owner and permissions of a file that was just made; attributes come after, times last.
    pub(super) fn finish_file(&self, file: &File, entry: &Entry) -> io::Result<()> {
        let (owned, permitted) = self.as_made(entry);
        if !owned {
            node::set_owner(file, entry.uid, entry.gid)?;
        }
        if !(permitted && owned) {
            node::set_mode(file, entry.mode)?;
        }
        Ok(())
    }

    /// The same for what cannot be opened.
    pub(super) fn finish_node(
        &self,
        parent: &Directory,
        name: &Path,
        entry: &Entry,
    ) -> io::Result<()> {
        let (owned, permitted) = self.as_made(entry);
        if !owned {
            node::set_owner_at(&parent.fd, name, entry.uid, entry.gid)?;
        }
        let is_link = matches!(entry.kind, crate::tar::EntryKind::Link(_));
        if !(is_link || permitted && owned) {
            node::set_mode_at(&parent.fd, name, entry.mode)?;
        }
        Ok(())
    }

    /// Whether owner and permissions are right without another word.
    fn as_made(&self, entry: &Entry) -> (bool, bool) {
        let Some(fresh) = self.fresh else { return (false, false) };
        let owned = (entry.uid, entry.gid) == (fresh.uid, fresh.gid);
        let masked = 0o777 & !fresh.mode;
        (owned, entry.mode & (masked | 0o7000) == 0)
    }

    /// Owner and permissions of a directory; what its entries would change or inherit waits until the end.
    pub(super) fn finish_directory(
        &mut self,
        directory: &Directory,
        entry: &Entry,
    ) -> io::Result<()> {
        node::set_owner(&directory.fd, entry.uid, entry.gid)?;
        node::set_mode(&directory.fd, entry.mode & !0o2000)?;
        let late = Late {
            accessed: entry.accessed.unwrap_or(entry.modified),
            modified: entry.modified,
            mode: (entry.mode & 0o2000 != 0).then_some(entry.mode),
            attributes: entry
                .attributes
                .iter()
                .filter(|(name, _)| is_late_attribute(name))
                .cloned()
                .collect(),
        };
        self.implicit.remove(&directory.path);
        self.late.insert(directory.path.clone(), late);
        Ok(())
    }

    pub(super) fn file_times(&self, file: &File, entry: &Entry) -> io::Result<()> {
        times::set(file, entry.accessed.unwrap_or(entry.modified), entry.modified)
    }

    pub(super) fn node_times(
        &self,
        parent: &Directory,
        name: &Path,
        entry: &Entry,
    ) -> io::Result<()> {
        times::set_at(&parent.fd, name, entry.accessed.unwrap_or(entry.modified), entry.modified)
    }

    /// Gives directories what had to wait, and says which have no entry of their own.
    pub(super) fn finish(mut self) -> Result<BTreeSet<PathBuf>, ApplyError> {
        for path in &self.implicit {
            let epoch = FileTime::default();
            self.late.entry(path.clone()).or_insert(Late {
                accessed: epoch,
                modified: epoch,
                mode: None,
                attributes: Vec::new(),
            });
        }
        for (path, late) in std::mem::take(&mut self.late) {
            let write = write_at(&path);
            let fd = path::open_beneath(self.root, &path, OFlags::RDONLY | OFlags::DIRECTORY)
                .map_err(&write)?;
            for (attribute, value) in &late.attributes {
                xattr::set(&fd, attribute, value).map_err(&write)?;
            }
            if let Some(mode) = late.mode {
                node::set_mode(&fd, mode).map_err(&write)?;
            }
            times::set(&fd, late.accessed, late.modified).map_err(&write)?;
        }
        Ok(self.implicit)
    }
}
