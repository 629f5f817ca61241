//! Files that must survive a power cut, directory locks, and the removal of whole trees.
//!
//! Acts: thin wrappers; the caller adds what was attempted to the error.

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Creates a file that must not exist yet, for reading and writing.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)
}

/// Makes the entries of a directory durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes everything on the file system of `path` durable.
pub fn syncfs(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

/// Lets the disk begin to take a range of a file that was written; does not wait for it, and promises nothing: what must be
/// durable is synced.
pub fn start_writeback(file: &File, offset: u64, length: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: the descriptor is open as long as `file` is borrowed; the call takes numbers only and touches no memory of ours.
    let done = unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Replaces a file durably: either the old or the new bytes are there after a power cut, never a part.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    replace(path, bytes, mode, true)?;
    sync_dir(parent)
}

/// Replaces a file in one step, without waiting for the disk.
pub fn write_replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode, false)
}

fn replace(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = path.with_file_name(temporary);
    let written = (|| {
        let mut file = match create_new(&temporary, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Left by a crash of an earlier writer.
                std::fs::remove_file(&temporary)?;
                create_new(&temporary, mode)?
            }
            other => other?,
        };
        file.write_all(bytes)?;
        if durable {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        drop(std::fs::remove_file(&temporary));
    }
    written
}

/// Two names change places, in one step.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// A lock on a directory or a service, held until dropped or until the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // By name: a process that was forked meanwhile has the descriptor, too, until it executes its program. A lock that cannot be
        // given back goes with the last descriptor.
        flock(&self.file, FlockOperation::Unlock).ok();
    }
}

/// Why a lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it; its id, if it wrote one.
    Held(Option<u32>),
    /// The file could not be opened or written.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock file `path`, made when missing, and writes this process's id into it.
    pub fn acquire(path: &Path) -> Result<Lock, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(LockError::Io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let pid =
                    file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(LockError::Held(pid));
            }
            Err(error) => return Err(LockError::Io(error.into())),
        }
        let id = format!("{}\n", std::process::id());
        file.rewind()
            .and_then(|()| file.write_all(id.as_bytes()))
            .and_then(|()| file.set_len(u64::try_from(id.len()).unwrap_or(u64::MAX)))
            .map_err(LockError::Io)?;
        Ok(Lock { file })
    }
}

/// How deep [`remove_tree`] descends before it lifts deeper directories to the top; bounds descriptors and stack.
const DEEPEST: u32 = 48;

/// Removes a file or a whole tree without following links, however deep it is. A missing tree is fine.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = CString::new(path.file_name().ok_or(io::ErrorKind::InvalidInput)?.as_bytes())
        .map_err(io::Error::other)?;
    let parent = match File::open(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    match unlinkat(&parent, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let top = open_dir(parent.as_fd(), &name)?;
    let mut lifted = 0;
    // Lifted directories appear in the top while it is read, so it is read until nothing is left.
    while empty_dir(top.as_fd(), top.as_fd(), 0, &mut lifted)? {}
    Ok(unlinkat(&parent, &name, AtFlags::REMOVEDIR)?)
}

fn open_dir(at: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    openat(
        at,
        name,
        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY,
        Mode::empty(),
    )
}

/// Removes what is in a directory; says whether there was anything.
fn empty_dir(
    dir: BorrowedFd<'_>,
    top: BorrowedFd<'_>,
    depth: u32,
    lifted: &mut u64,
) -> io::Result<bool> {
    let mut found = false;
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        found = true;
        if !matches!(
            entry.file_type(),
            rustix::fs::FileType::Directory | rustix::fs::FileType::Unknown
        ) {
            unlinkat(dir, name, AtFlags::empty())?;
            continue;
        }
        let child = match open_dir(dir, name) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                unlinkat(dir, name, AtFlags::empty())?;
                continue;
            }
            other => other?,
        };
        if depth == DEEPEST {
            *lifted += 1;
            drop(child);
            renameat(dir, name, top, format!(".lifted-{}-{lifted}", std::process::id()))?;
            continue;
        }
        while empty_dir(child.as_fd(), top, depth + 1, lifted)? {}
        drop(child);
        unlinkat(dir, name, AtFlags::REMOVEDIR)?;
    }
    Ok(found)
}

/// Free bytes on the file system of `path`, those reserved for root included.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bfree.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_the_new_bytes_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        create_new(&dir.path().join(".x.new"), 0o600).unwrap();
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn writeback_is_begun_for_a_range_that_a_file_may_have() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = create_new(&dir.path().join("x"), 0o600).unwrap();
        file.write_all(&[1; 8192]).unwrap();
        start_writeback(&file, 0, 8192).unwrap();
        assert!(start_writeback(&file, u64::MAX, 1).is_err());
    }

    #[test]
    fn a_held_lock_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = Lock::acquire(&path).unwrap();
        match Lock::acquire(&path) {
            Err(LockError::Held(pid)) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(lock);
        Lock::acquire(&path).unwrap();
    }

    #[test]
    fn a_lock_is_given_back_though_a_forked_process_has_its_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = Lock::acquire(&path).unwrap();
        let forked = lock.file.try_clone().unwrap();
        drop(lock);
        Lock::acquire(&path).unwrap();
        drop(forked);
    }

    #[test]
    fn a_tree_is_removed_without_following_its_links() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        write_atomic(&outside.join("kept"), b"", 0o600).unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
        write_atomic(&tree.join("file"), b"", 0o600).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.join("kept").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        let mut at: OwnedFd = File::open(&tree).unwrap().into();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "directory", Mode::RWXU).unwrap();
            at = open_dir(at.as_fd(), c"directory").unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
