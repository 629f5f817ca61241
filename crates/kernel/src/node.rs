//! Acts: makes, describes and removes directory entries, each by the descriptor of its directory and one name.

use crate::path::open_entry;
use crate::times::FileTime;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// What sort of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// What `stat` says about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// How many 512-byte blocks are in use.
    pub blocks: u64,
    /// How many names it has.
    pub links: u64,
    /// The file system it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Major and minor number of a device.
    pub rdev: (u32, u32),
    /// When it was last read.
    pub accessed: FileTime,
    /// When its content was last changed.
    pub modified: FileTime,
}

impl Status {
    /// Whether overlayfs takes this for a deletion: a character device 0:0.
    pub fn is_whiteout(&self) -> bool {
        self.kind == NodeKind::CharDevice && self.rdev == (0, 0)
    }
}

/// Describes an open file; descriptors opened with `O_PATH` too.
pub fn status(fd: impl AsFd) -> io::Result<Status> {
    Ok(convert(&rustix::fs::fstat(fd)?))
}

/// Describes what is called `name` in `dir`; a link itself, not its target.
pub fn status_at(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<Status> {
    Ok(convert(&rustix::fs::statat(dir, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)?))
}

/// Makes a directory; the mode is subject to the process's umask.
pub fn make_directory(dir: impl AsFd, name: impl AsRef<Path>, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::mkdirat(dir, name.as_ref(), Mode::from_raw_mode(mode))?)
}

/// Makes a device, a named pipe or a socket; the mode is subject to the process's umask.
pub fn make_node(
    dir: impl AsFd,
    name: impl AsRef<Path>,
    kind: NodeKind,
    mode: u32,
    (major, minor): (u32, u32),
) -> io::Result<()> {
    let file_type = match kind {
        NodeKind::CharDevice => FileType::CharacterDevice,
        NodeKind::BlockDevice => FileType::BlockDevice,
        NodeKind::Fifo => FileType::Fifo,
        NodeKind::Socket => FileType::Socket,
        NodeKind::File | NodeKind::Directory | NodeKind::Link => return Err(Errno::INVAL.into()),
    };
    let device = rustix::fs::makedev(major, minor);
    Ok(rustix::fs::mknodat(dir, name.as_ref(), file_type, Mode::from_raw_mode(mode), device)?)
}

/// Makes the mark by which overlayfs hides a name of the layers below.
pub fn make_whiteout(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<()> {
    make_node(dir, name, NodeKind::CharDevice, 0, (0, 0))
}

/// Makes a symbolic link.
pub fn make_link(
    target: impl AsRef<OsStr>,
    dir: impl AsFd,
    name: impl AsRef<Path>,
) -> io::Result<()> {
    Ok(rustix::fs::symlinkat(target.as_ref(), dir, name.as_ref())?)
}

/// Gives the file `from_name` of `from` a second name; a link is linked itself, not its target.
pub fn hard_link(
    from: impl AsFd,
    from_name: impl AsRef<Path>,
    dir: impl AsFd,
    name: impl AsRef<Path>,
) -> io::Result<()> {
    Ok(rustix::fs::linkat(from, from_name.as_ref(), dir, name.as_ref(), AtFlags::empty())?)
}

/// Where a symbolic link points.
pub fn read_link(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<OsString> {
    Ok(OsString::from_vec(rustix::fs::readlinkat(dir, name.as_ref(), Vec::new())?.into_bytes()))
}

/// Sets owner and group of what is called `name` in `dir`; of a link itself.
pub fn set_owner_at(dir: impl AsFd, name: impl AsRef<Path>, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(rustix::fs::chownat(dir, name.as_ref(), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Sets owner and group of an open file.
pub fn set_owner(fd: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    Ok(rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
}

/// Sets the permission bits of what is called `name` in `dir`, which must not be a symbolic link.
pub fn set_mode_at(dir: impl AsFd, name: impl AsRef<Path>, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::chmodat(dir, name.as_ref(), Mode::from_raw_mode(mode), AtFlags::empty())?)
}

/// Sets the permission bits of an open file.
pub fn set_mode(fd: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))?)
}

/// The mode, owner and group that a file made in `dir` with mode 0777 gets, after umask, default ACLs and setgid.
/// `None` when the file system cannot make a file without a name to find out.
pub fn probe_creation(dir: impl AsFd) -> io::Result<Option<Status>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, ".", flags, Mode::from_raw_mode(0o777)) {
        Ok(fd) => Ok(Some(status(fd)?)),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The names in an open directory, sorted by bytes, without `.` and `..`.
pub fn list(dir: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes a name that is not a directory.
pub fn unlink(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name.as_ref(), AtFlags::empty())?)
}

/// Removes whatever is called `name` in `dir`, directories with all that is in them. Needs few descriptors however
/// deep the tree is, and never enters another mount's directory through a link.
pub fn remove_all(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<()> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let top = open_entry(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut moved = 0u64;
    loop {
        // Whatever is below the top's children is moved up to it, so that depth costs neither stack nor descriptors.
        let children = list(&top)?;
        if children.is_empty() {
            break;
        }
        for child in children {
            if remove_one(&top, &child)? {
                continue;
            }
            let inner = open_entry(&top, &child, OFlags::RDONLY | OFlags::DIRECTORY)?;
            for grandchild in list(&inner)? {
                if !remove_one(&inner, &grandchild)? {
                    moved += 1;
                    let place = format!(".naru-removing-{moved}");
                    rustix::fs::renameat(&inner, grandchild.as_os_str(), &top, place)?;
                }
            }
            rustix::fs::unlinkat(&top, child.as_os_str(), AtFlags::REMOVEDIR)?;
        }
    }
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

/// Removes a file or an empty directory; `false` for a directory with something in it.
fn remove_one(dir: impl AsFd, name: &OsStr) -> io::Result<bool> {
    let dir = dir.as_fd();
    let name = Path::new(OsStr::from_bytes(name.as_bytes()));
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => return Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[expect(
    clippy::cast_sign_loss,
    reason = "sizes and block counts of the kernel are never negative"
)]
fn convert(stat: &rustix::fs::Stat) -> Status {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => NodeKind::Directory,
        FileType::Symlink => NodeKind::Link,
        FileType::CharacterDevice => NodeKind::CharDevice,
        FileType::BlockDevice => NodeKind::BlockDevice,
        FileType::Fifo => NodeKind::Fifo,
        FileType::Socket => NodeKind::Socket,
        FileType::RegularFile | FileType::Unknown => NodeKind::File,
    };
    let time = |seconds: i64, nanoseconds: u64| FileTime {
        seconds,
        nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
    };
    Status {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        #[cfg_attr(
            target_arch = "x86_64",
            expect(clippy::useless_conversion, reason = "32 bits wide elsewhere")
        )]
        links: stat.st_nlink.into(),
        device: stat.st_dev,
        inode: stat.st_ino,
        rdev: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        accessed: time(stat.st_atime, stat.st_atime_nsec),
        modified: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::open_directory;

    #[test]
    fn a_very_deep_tree_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let top = open_directory(root.path()).unwrap();
        make_directory(&top, "deep", 0o755).unwrap();
        let mut dir = open_entry(&top, "deep", OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
        for _ in 0..3000 {
            make_directory(&dir, "d", 0o755).unwrap();
            crate::path::create_new(&dir, "f", 0o644).unwrap();
            dir = open_entry(&dir, "d", OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
        }
        drop(dir);
        remove_all(&top, "deep").unwrap();
        assert!(list(&top).unwrap().is_empty());
        remove_all(&top, "deep").unwrap();
    }

    #[test]
    fn nodes_of_every_kind_are_made_and_described() {
        let root = tempfile::tempdir().unwrap();
        let dir = open_directory(root.path()).unwrap();
        make_node(&dir, "null", NodeKind::CharDevice, 0o600, (1, 3)).unwrap();
        make_node(&dir, "pipe", NodeKind::Fifo, 0o600, (0, 0)).unwrap();
        make_whiteout(&dir, "gone").unwrap();
        make_link("nowhere", &dir, "link").unwrap();
        let null = status_at(&dir, "null").unwrap();
        assert_eq!(
            (null.kind, null.rdev, null.is_whiteout()),
            (NodeKind::CharDevice, (1, 3), false)
        );
        assert_eq!(status_at(&dir, "pipe").unwrap().kind, NodeKind::Fifo);
        assert!(status_at(&dir, "gone").unwrap().is_whiteout());
        assert_eq!(read_link(&dir, "link").unwrap(), "nowhere");
        assert!(make_node(&dir, "x", NodeKind::File, 0, (0, 0)).is_err());
        assert!(probe_creation(&dir).unwrap().is_some());
    }
}
