//! Acts: what is held by a descriptor that opens nothing (`O_PATH`): described and changed by the descriptor alone, so
//! that nobody who swaps names meanwhile can have something else changed, and nothing is opened before it is known what
//! it is: opening a device does things, and opening a pipe waits.

use crate::path::{Mode, OFlags, open_entry, proc_path};
use crate::times::{FileTime, timestamps};
use rustix::fs::{AtFlags, Gid, Uid, XattrFlags};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Holds what is called `name` in `dir`; a link itself.
pub fn pin(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<OwnedFd> {
    open_entry(dir, name, OFlags::PATH)
}

/// Opens what is held, which the caller knows to be a file or a directory.
pub fn reopen(pin: impl AsFd, flags: OFlags) -> io::Result<File> {
    let path = proc_path(pin.as_fd());
    Ok(File::from(rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty())?))
}

/// Sets owner and group.
pub fn set_owner(pin: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(rustix::fs::chownat(pin, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?)
}

/// Sets the permission bits; what is held must not be a link.
pub fn set_mode(pin: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::chmod(proc_path(pin.as_fd()), Mode::from_raw_mode(mode))?)
}

/// Sets access and modification time.
pub fn set_times(pin: impl AsFd, accessed: FileTime, modified: FileTime) -> io::Result<()> {
    let times = timestamps(accessed, modified);
    Ok(rustix::fs::utimensat(pin, "", &times, AtFlags::EMPTY_PATH)?)
}

/// Sets an extended attribute.
pub fn set_attribute(pin: impl AsFd, attribute: &[u8], value: &[u8]) -> io::Result<()> {
    let path = proc_path(pin.as_fd());
    Ok(rustix::fs::setxattr(&path, OsStr::from_bytes(attribute), value, XattrFlags::empty())?)
}

/// Where a held link points.
pub fn read_link(pin: impl AsFd) -> io::Result<std::ffi::OsString> {
    crate::node::read_link(pin, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{self, NodeKind};
    use crate::path::open_directory;

    #[test]
    fn what_is_held_is_changed_whatever_its_name_is_now() {
        let root = tempfile::tempdir().unwrap();
        let dir = open_directory(root.path()).unwrap();
        node::make_node(&dir, "pipe", NodeKind::Fifo, 0o600, (0, 0)).unwrap();
        node::make_link("elsewhere", &dir, "link").unwrap();
        crate::path::create_new(&dir, "file", 0o600).unwrap();
        let (pipe, link, file) =
            (pin(&dir, "pipe").unwrap(), pin(&dir, "link").unwrap(), pin(&dir, "file").unwrap());
        std::fs::rename(root.path().join("pipe"), root.path().join("moved")).unwrap();
        std::os::unix::fs::symlink("file", root.path().join("pipe")).unwrap();
        let time = FileTime { seconds: 7, nanoseconds: 8 };
        for held in [&pipe, &link, &file] {
            set_owner(held, 3, 4).unwrap();
            set_times(held, time, time).unwrap();
        }
        set_mode(&pipe, 0o641).unwrap();
        set_attribute(&link, b"trusted.a", b"1").unwrap();
        let moved = node::status_at(&dir, "moved").unwrap();
        assert_eq!((moved.mode, moved.uid, moved.gid, moved.modified), (0o641, 3, 4, time));
        assert_eq!(node::status_at(&dir, "file").unwrap().mode, 0o600);
        assert_eq!(node::status_at(&dir, "link").unwrap().uid, 3);
        assert_eq!(crate::xattr::get_at(&dir, "link", b"trusted.a").unwrap(), b"1");
        assert_eq!(read_link(&link).unwrap(), "elsewhere");
        assert!(reopen(&file, OFlags::RDONLY).is_ok());
    }
}
