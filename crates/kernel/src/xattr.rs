//! Acts: extended attributes, of open files and of things that cannot be opened (links, devices).

use crate::path::proc_path;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The attribute that holds the capabilities of a program (capabilities(7)).
pub const CAPABILITY: &[u8] = b"security.capability";

/// The names of an open file's attributes, sorted; none when the file system has no attributes.
pub fn list(fd: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let fd = fd.as_fd();
    names(|| rustix::fs::flistxattr_query(fd), |buffer| rustix::fs::flistxattr(fd, buffer))
}

/// The names of the attributes of what is called `name` in `dir`; a link is not followed.
pub fn list_at(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<Vec<Vec<u8>>> {
    let path = entry_path(dir.as_fd(), name.as_ref());
    names(|| rustix::fs::llistxattr_query(&path), |buffer| rustix::fs::llistxattr(&path, buffer))
}

/// The value of an open file's attribute.
pub fn get(fd: impl AsFd, attribute: &[u8]) -> io::Result<Vec<u8>> {
    let fd = fd.as_fd();
    let attribute = OsStr::from_bytes(attribute);
    grow(
        || rustix::fs::fgetxattr_query(fd, attribute),
        |buffer| rustix::fs::fgetxattr(fd, attribute, buffer),
    )
}

/// The value of an attribute of what is called `name` in `dir`; a link is not followed.
pub fn get_at(dir: impl AsFd, name: impl AsRef<Path>, attribute: &[u8]) -> io::Result<Vec<u8>> {
    let path = entry_path(dir.as_fd(), name.as_ref());
    let attribute = OsStr::from_bytes(attribute);
    grow(
        || rustix::fs::lgetxattr_query(&path, attribute),
        |buffer| rustix::fs::lgetxattr(&path, attribute, buffer),
    )
}

/// Sets an attribute of an open file.
pub fn set(fd: impl AsFd, attribute: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(fd, OsStr::from_bytes(attribute), value, XattrFlags::empty())?)
}

/// Sets an attribute of what is called `name` in `dir`; a link is not followed.
pub fn set_at(
    dir: impl AsFd,
    name: impl AsRef<Path>,
    attribute: &[u8],
    value: &[u8],
) -> io::Result<()> {
    let path = entry_path(dir.as_fd(), name.as_ref());
    Ok(rustix::fs::lsetxattr(&path, OsStr::from_bytes(attribute), value, XattrFlags::empty())?)
}

/// Whether an error says that the file system, or this sort of file, has no such attributes.
pub fn is_unsupported(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(libc::EOPNOTSUPP) || code == Some(libc::EPERM)
}

// The l-calls take paths only; the directory's descriptor under /proc keeps the rest of the path ours.
fn entry_path(dir: BorrowedFd<'_>, name: &Path) -> PathBuf {
    proc_path(dir).join(name)
}

fn names(
    query: impl Fn() -> Result<usize, Errno>,
    call: impl Fn(&mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Vec<Vec<u8>>> {
    let bytes = match grow(query, call) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(Vec::new()),
        other => other?,
    };
    let mut names: Vec<Vec<u8>> = bytes
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Asks for the length (most files have no attributes), then for the bytes, again when they grew in between.
fn grow(
    query: impl Fn() -> Result<usize, Errno>,
    call: impl Fn(&mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Vec<u8>> {
    loop {
        let length = query()?;
        if length == 0 {
            return Ok(Vec::new());
        }
        let mut buffer = vec![0u8; length];
        match call(&mut buffer) {
            Err(Errno::RANGE) => {}
            other => {
                buffer.truncate(other?);
                return Ok(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_files_and_links() {
        let root = tempfile::tempdir().unwrap();
        let dir = crate::path::open_directory(root.path()).unwrap();
        let file = crate::path::create_new(&dir, "file", 0o644).unwrap();
        std::os::unix::fs::symlink("file", root.path().join("link")).unwrap();
        set(&file, b"user.a", b"1\x00\xff").unwrap();
        set_at(&dir, "link", b"trusted.b", b"").unwrap();
        assert_eq!(list(&file).unwrap(), [b"user.a".to_vec()]);
        assert_eq!(list_at(&dir, "link").unwrap(), [b"trusted.b".to_vec()]);
        assert_eq!(get_at(&dir, "file", b"user.a").unwrap(), b"1\x00\xff");
        assert_eq!(get(&file, b"user.a").unwrap(), b"1\x00\xff");
        assert_eq!(get_at(&dir, "link", b"trusted.b").unwrap(), b"");
        assert!(is_unsupported(&set_at(&dir, "link", b"user.c", b"x").unwrap_err()));
    }
}
