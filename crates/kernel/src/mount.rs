//! Acts: mounts by descriptor. A file system is made or copied detached from every tree and attached to a directory that
//! the caller holds open, so no path is looked up twice.

use rustix::fs::{AtFlags, CWD};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bits of a mount point, as `mount_setattr` and `fsmount` take them.
pub mod attribute {
    /// Nothing is written through it.
    pub const READ_ONLY: u64 = 0x1;
    /// Set-user-ID bits and file capabilities have no effect.
    pub const NO_SUID: u64 = 0x2;
    /// Device nodes have no effect.
    pub const NO_DEV: u64 = 0x4;
    /// Nothing is executed from it.
    pub const NO_EXEC: u64 = 0x8;
    /// All bits of how access times are kept.
    pub const ACCESS_TIME: u64 = 0x70;
    /// Access times are never written.
    pub const NO_ACCESS_TIME: u64 = 0x10;
    /// Access times are always written.
    pub const STRICT_ACCESS_TIME: u64 = 0x20;
    /// Access times of directories are never written.
    pub const NO_DIRECTORY_ACCESS_TIME: u64 = 0x80;
    /// Owners are shifted by a user namespace.
    pub const ID_MAP: u64 = 0x0010_0000;
    /// Symbolic links are not followed.
    pub const NO_SYMLINK_FOLLOW: u64 = 0x0020_0000;
}

/// How mounts spread, as `mount_setattr` takes it.
pub mod propagation {
    /// Not at all, and it cannot be bound elsewhere.
    pub const UNBINDABLE: u64 = 1 << 17;
    /// Not at all.
    pub const PRIVATE: u64 = 1 << 18;
    /// Into here only.
    pub const SLAVE: u64 = 1 << 19;
    /// Both ways.
    pub const SHARED: u64 = 1 << 20;
}

/// What to change about a mount.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'fd> {
    /// Bits of [`attribute`] to set.
    pub set: u64,
    /// Bits of [`attribute`] to clear.
    pub clear: u64,
    /// One of [`propagation`], or 0.
    pub propagation: u64,
    /// The mounts below it too.
    pub recursive: bool,
    /// The user namespace for [`attribute::ID_MAP`].
    pub user_namespace: Option<BorrowedFd<'fd>>,
}

/// What a new file system is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewFileSystem<'a> {
    /// Its type.
    pub kind: &'a str,
    /// The source; what `/proc/mounts` shows first.
    pub source: &'a str,
    /// Its own options, a flag without a value.
    pub options: &'a [(String, Option<String>)],
    /// Bits of [`attribute`].
    pub attributes: u64,
}

/// Makes a file system, attached nowhere. What the kernel has to say about a refusal is in the error.
pub fn new_file_system(new: &NewFileSystem<'_>) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(new.kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    let made = (|| {
        if !new.source.is_empty() {
            rustix::mount::fsconfig_set_string(&context, "source", new.source)?;
        }
        for (name, value) in new.options {
            match value {
                Some(value) => {
                    rustix::mount::fsconfig_set_string(&context, name.as_str(), value.as_str())?
                }
                None => rustix::mount::fsconfig_set_flag(&context, name.as_str())?,
            }
        }
        rustix::mount::fsconfig_create(&context)?;
        let attributes = u32::try_from(new.attributes).map_err(|_wide| rustix::io::Errno::INVAL)?;
        rustix::mount::fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::from_bits_retain(attributes),
        )
    })();
    made.map_err(|errno| explain(errno.into(), &context))
}

/// Adds what the kernel wrote into the context's log.
fn explain(error: io::Error, context: &OwnedFd) -> io::Error {
    let mut file = match context.try_clone() {
        Ok(copy) => std::fs::File::from(copy),
        Err(_) => return error,
    };
    let mut buffer = [0; 512];
    match file.read(&mut buffer) {
        Ok(length) if length > 2 => {
            let text = String::from_utf8_lossy(buffer.get(2..length).unwrap_or_default());
            io::Error::new(error.kind(), format!("{error}: {}", text.trim_end()))
        }
        _ => error,
    }
}

/// Copies the mount that `path` is on, as a bind mount would, attached nowhere; with all that is mounted below when
/// `recursive`.
pub fn clone_tree(dir: impl AsFd, path: impl AsRef<Path>, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if path.as_ref().as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(rustix::mount::open_tree(dir, path.as_ref(), flags)?)
}

/// Copies the mount that a path of this mount namespace is on, from that path down; see [`clone_tree`].
pub fn clone_path(path: impl AsRef<Path>, recursive: bool) -> io::Result<OwnedFd> {
    clone_tree(CWD, path, recursive)
}

/// Copies the mount at a path of another mount namespace, as seen from that namespace's root, attached nowhere. The
/// copy can be attached in any namespace.
pub fn clone_elsewhere(namespace: OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    apart(move || {
        crate::namespace::join(&namespace, crate::clone::flags::MOUNT)?;
        clone_path(path, false)
    })
}

/// Copies what is at `path` inside a detached mount, attached nowhere. Links stay inside. The mount itself is used up.
pub fn clone_inside(mount: OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    apart(move || {
        // Only what is attached somewhere can be copied, whichever kernel; this namespace ends with the thread.
        crate::namespace::leave(crate::clone::flags::MOUNT)?;
        let private =
            Change { propagation: propagation::PRIVATE, recursive: true, ..Change::default() };
        set_attributes_at("/", private)?;
        attach(&mount, crate::path::open_directory("/")?)?;
        let place = crate::path::open_in_root(&mount, path, rustix::fs::OFlags::PATH)?;
        clone_tree(&place, "", true)
    })
}

/// Does something on a thread that has its root and its mount namespace for itself, and ends with them.
fn apart<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let visit = move || {
        // A thread that shares its root and working directory with others may not go elsewhere.
        // SAFETY: only what this new thread shares about directories is cut off; no memory, no descriptors.
        if unsafe { libc::unshare(libc::CLONE_FS) } != 0 {
            return Err(io::Error::last_os_error());
        }
        work()
    };
    std::thread::scope(|scope| scope.spawn(visit).join())
        .unwrap_or_else(|_panicked| Err(io::Error::other("a thread was lost")))
}

/// Opens the mount behind a path, to be moved somewhere else as it is.
pub fn open_mount(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(path.as_ref(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Attaches a detached mount to an open directory or file.
pub fn attach(tree: impl AsFd, target: impl AsFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(tree, "", target, "", flags)?)
}

/// Opens a place below `root` without following any link; a link on the way is `ELOOP`. Other mounts are entered.
pub fn open_without_links(root: impl AsFd, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, ResolveFlags};
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(rustix::fs::openat2(root, path.as_ref(), flags, Mode::empty(), resolve)?)
}

/// What tells a file apart even from itself seen through another mount: mount, device and inode.
pub fn identity(path: impl AsRef<Path>) -> io::Result<(u64, u64, u64)> {
    use rustix::fs::StatxFlags;
    let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
    let found = rustix::fs::statx(CWD, path.as_ref(), AtFlags::empty(), wanted)?;
    let device = u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor);
    Ok((found.stx_mnt_id, device, found.stx_ino))
}

/// Whether nothing can be written where a descriptor is, because of its mount or its file system.
pub fn is_read_only(fd: impl AsFd) -> io::Result<bool> {
    let found = rustix::fs::fstatvfs(fd)?;
    Ok(found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// Changes a mount, attached or not.
pub fn set_attributes(mount: BorrowedFd<'_>, change: Change<'_>) -> io::Result<()> {
    mount_setattr(mount, c"", AtFlags::EMPTY_PATH, change)
}

/// Changes the mount at a path of this mount namespace.
pub fn set_attributes_at(path: impl AsRef<Path>, change: Change<'_>) -> io::Result<()> {
    let path = CString::new(path.as_ref().as_os_str().as_bytes())?;
    mount_setattr(CWD, &path, AtFlags::empty(), change)
}

fn mount_setattr(
    dir: BorrowedFd<'_>,
    path: &std::ffi::CStr,
    flags: AtFlags,
    change: Change<'_>,
) -> io::Result<()> {
    const AT_RECURSIVE: u32 = 0x8000;
    let attributes: [u64; 4] = [
        change.set,
        change.clear,
        change.propagation,
        change.user_namespace.map_or(0, |fd| u64::from(fd.as_raw_fd().unsigned_abs())),
    ];
    let flags = flags.bits() | if change.recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a string, the array has the layout of the kernel's `struct mount_attr` and its size is given.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Mounts a file system the old way, in one call: `target` is looked up, `data` is the option string (at most a page).
pub fn mount_at(kind: &str, source: &str, target: impl AsRef<Path>, data: &str) -> io::Result<()> {
    let data = CString::new(data)?;
    Ok(rustix::mount::mount(
        source,
        target.as_ref(),
        kind,
        rustix::mount::MountFlags::empty(),
        Some(data.as_c_str()),
    )?)
}

/// Makes the mount behind `root` the root of this mount namespace, and lets go of the old one with everything in it.
/// The working directory is the new root afterwards.
pub fn pivot_into(root: impl AsFd) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    // The old root ends up on top of the new one, in the working directory, so no directory for it is needed.
    rustix::process::pivot_root(".", ".")?;
    // Nothing that happens here from now on may reach the host's mounts.
    let change = Change { propagation: propagation::SLAVE, recursive: true, ..Change::default() };
    set_attributes_at(".", change)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// Takes a mount away from its tree; it goes when its last user does.
pub fn detach(path: impl AsRef<Path>) -> io::Result<()> {
    Ok(rustix::mount::unmount(path.as_ref(), UnmountFlags::DETACH)?)
}

/// The file system that a descriptor is on, by the kernel's magic number.
pub fn magic(fd: impl AsFd) -> io::Result<u64> {
    Ok(rustix::fs::fstatfs(fd)?.f_type.unsigned_abs())
}

/// The magic number of procfs.
pub const PROC_MAGIC: u64 = 0x9fa0;
/// The magic number of devpts.
pub const DEVPTS_MAGIC: u64 = 0x1cd1;
/// The magic number of sysfs.
pub const SYSFS_MAGIC: u64 = 0x6265_6572;
/// The magic number of a hierarchy of the split cgroup tree.
pub const CGROUP_MAGIC: u64 = 0x0027_e0eb;
/// The magic number of the unified cgroup tree.
pub const CGROUP2_MAGIC: u64 = 0x6367_7270;
