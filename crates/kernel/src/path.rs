//! Acts: opens paths that somebody else chose, so that they cannot lead out of a root directory.
//!
//! Everything goes through `openat2`: the kernel resolves the path against the root, so neither `..` nor a link, nor
//! a race with somebody who swaps one for the other, leads outside.

use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

pub use rustix::fs::{Mode, OFlags};

/// `openat2` gives up with EAGAIN when a rename somewhere on the machine raced with `..`.
const TRIES: usize = 128;

/// Opens `path` as a process whose root is `root` would see it: links are followed inside the root. The descriptor
/// is close-on-exec.
pub fn open_in_root(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags) -> io::Result<OwnedFd> {
    open(root, path.as_ref(), flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

/// Like [`open_in_root`], and makes the file with `mode` when `flags` say so.
pub fn create_in_root(
    root: impl AsFd,
    path: impl AsRef<Path>,
    flags: OFlags,
    mode: u32,
) -> io::Result<OwnedFd> {
    open(root, path.as_ref(), flags, Mode::from_raw_mode(mode), ResolveFlags::IN_ROOT)
}

/// Opens `path` under `root` without following any link and without entering another mount; a link on the way is
/// `ELOOP`, another mount `EXDEV`.
pub fn open_beneath(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    open(root, path.as_ref(), flags, Mode::empty(), resolve)
}

/// Whether an error of [`open_beneath`] says that a link was on the way (or of another call, that links run in circles).
pub fn met_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

/// Makes a regular file for writing; fails when there is anything of that name in `dir`.
pub fn create_new(dir: impl AsFd, name: impl AsRef<Path>, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name.as_ref(), flags, Mode::from_raw_mode(mode))?;
    Ok(File::from(fd))
}

/// Opens a directory by its path, which is ours and trusted.
pub fn open_directory(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path.as_ref(), flags, Mode::empty())?)
}

/// Opens what is called `name` in `dir`, never following a link of that name.
pub fn open_entry(dir: impl AsFd, name: impl AsRef<Path>, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        dir,
        name.as_ref(),
        flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Where the kernel says that a descriptor is now.
pub fn location(fd: impl AsFd) -> io::Result<PathBuf> {
    std::fs::read_link(proc_path(fd.as_fd()))
}

/// The descriptor's name under `/proc`, for the calls that only take paths.
pub fn proc_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn open(
    root: impl AsFd,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> io::Result<OwnedFd> {
    let root = root.as_fd();
    // An empty path would be refused, and means the root itself.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..TRIES {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
    Ok(rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_dots_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("absolute")).unwrap();
        std::os::unix::fs::symlink("../../../../etc", root.path().join("dots")).unwrap();
        let dir = open_directory(root.path()).unwrap();
        let inside = root.path().join("etc");
        for path in ["absolute", "dots", "../../etc", "/etc", "etc/../../../etc"] {
            let fd = open_in_root(&dir, path, OFlags::PATH).unwrap();
            assert_eq!(location(&fd).unwrap(), inside, "{path}");
        }
        for path in ["absolute", "dots", "../etc", "/etc"] {
            assert!(open_beneath(&dir, path, OFlags::RDONLY).is_err(), "{path}");
        }
        assert!(open_beneath(&dir, "etc", OFlags::PATH).is_ok());
        assert_eq!(location(open_in_root(&dir, "", OFlags::PATH).unwrap()).unwrap(), root.path());
    }

    #[test]
    fn a_new_file_never_goes_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("elsewhere", root.path().join("link")).unwrap();
        let dir = open_directory(root.path()).unwrap();
        assert!(create_new(&dir, "link", 0o644).is_err());
        assert!(create_new(&dir, "file", 0o644).is_ok());
        assert!(!root.path().join("elsewhere").exists());
    }
}
