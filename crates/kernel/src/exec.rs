//! Acts: what happens around `execve`: which descriptors survive, who may look, and that no container can reach our own
//! binary through `/proc/self/exe`.

use rustix::fs::StatVfsMountFlags;
use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

/// Executes a program in place of this one. Returns only when that fails.
pub fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let arguments = pointers(arguments);
    let environment = pointers(environment);
    // SAFETY: both arrays end with a null pointer and point to strings that live until the call returns.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Executes an open program in place of this one. Returns only when that fails.
pub fn execute_fd(
    program: BorrowedFd<'_>,
    arguments: &[CString],
    environment: &[CString],
) -> io::Error {
    let arguments = pointers(arguments);
    let environment = pointers(environment);
    // SAFETY: the empty path is a constant, both arrays end with a null pointer and point to strings that live until
    // the call returns.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: RawFd) -> io::Result<()> {
    close_range(first.unsigned_abs(), u32::MAX, 0)
}

/// Marks every descriptor from `first` on, so that none survives `execve`.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    close_range(first.unsigned_abs(), u32::MAX, CLOSE_RANGE_CLOEXEC)
}

/// Closes the descriptors from `first` to `last`.
pub fn close_between(first: RawFd, last: RawFd) -> io::Result<()> {
    close_range(first.unsigned_abs(), last.unsigned_abs(), 0)
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: the call takes three numbers. That a descriptor owned by somebody in this process may be closed is the
    // purpose: the callers are about to execute another program and use none but those they kept.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts a copy of a descriptor at a number, close-on-exec or not; whatever was there is closed.
pub fn place(fd: BorrowedFd<'_>, number: RawFd, close_on_exec: bool) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        let flags = if close_on_exec { libc::FD_CLOEXEC } else { 0 };
        // SAFETY: the descriptor is open, and setting its flags touches no memory.
        let done = unsafe { libc::fcntl(number, libc::F_SETFD, flags) };
        return if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) };
    }
    let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
    // SAFETY: `dup3` takes numbers only. Callers place at numbers that they arranged for themselves.
    let done = unsafe { libc::dup3(fd.as_raw_fd(), number, flags) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A copy of a descriptor at the first free number from `lowest` on, close-on-exec.
pub fn copy_above(fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, lowest)?)
}

/// Takes over a descriptor that this process was started with, or that was put at a known number.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: `fcntl` with F_GETFD touches no memory and fails for a number that is not open.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, as was just seen, and by the contract of the callers nobody else in the process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Decides whether processes of a container may look into this process (`/proc/PID/fd`, `/proc/PID/exe`, ptrace), and
/// says whether they could before.
pub fn set_dumpable(dumpable: bool) -> io::Result<bool> {
    use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
    let before = dumpable_behavior()? == DumpableBehavior::Dumpable;
    if before != dumpable {
        set_dumpable_behavior(if dumpable {
            DumpableBehavior::Dumpable
        } else {
            DumpableBehavior::NotDumpable
        })?;
    }
    Ok(before)
}

/// This process's own binary through a mount that is attached nowhere and cannot be written through. A container that
/// finds it as `/proc/self/exe` cannot overwrite the file on the host.
pub fn read_only_self() -> io::Result<OwnedFd> {
    match read_only_mount_of_self() {
        Ok(binary) => Ok(binary),
        // A kernel older than the mount calls, or no right to mount: a sealed copy in memory does the same.
        Err(_) => sealed_copy_of_self(),
    }
}

fn read_only_mount_of_self() -> io::Result<OwnedFd> {
    let path = rustix::fs::readlink("/proc/self/exe", Vec::new())?;
    let tree =
        crate::mount::clone_tree(rustix::fs::CWD, OsString::from_vec(path.into_bytes()), false)?;
    // The name may stand for another file by now; a mount of the magic link itself is refused by the kernel.
    let (found, own) = (rustix::fs::fstat(&tree)?, rustix::fs::stat("/proc/self/exe")?);
    if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino) {
        return Err(io::Error::other("the binary was replaced"));
    }
    crate::mount::set_attributes(
        tree.as_fd(),
        crate::mount::Change {
            set: crate::mount::attribute::READ_ONLY,
            ..crate::mount::Change::default()
        },
    )?;
    Ok(tree)
}

fn sealed_copy_of_self() -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags};
    let mut from = File::open("/proc/self/exe")?;
    let copy = rustix::fs::memfd_create("naru", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut from, &mut copy)?;
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, all)?;
    // Reopened for reading: a file that is open for writing cannot be executed.
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    Ok(File::open(path)?.into())
}

/// Whether this process runs a binary that nobody can overwrite through `/proc/PID/exe`.
pub fn is_protected() -> io::Result<bool> {
    Ok(cannot_be_written(&File::open("/proc/self/exe")?)?)
}

/// Whether opening this file again for writing must fail: its mount is read-only, or it is sealed.
fn cannot_be_written(file: impl AsFd) -> rustix::io::Result<bool> {
    if rustix::fs::fstatvfs(&file)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(true);
    }
    let seals = rustix::fs::fcntl_get_seals(&file);
    Ok(seals.is_ok_and(|seals| seals.contains(rustix::fs::SealFlags::WRITE)))
}

/// Makes sure that this process runs a protected binary (see [`read_only_self`]) by executing itself once more if need
/// be, with the same arguments, environment and descriptors. To be called at the start of roles that containers descend
/// from, before there is anything to lose. Returns when the process is protected, or cannot be.
pub fn protect_self() -> io::Result<()> {
    if is_protected()? {
        return Ok(());
    }
    let binary = read_only_self()?;
    // Or this would go on for ever.
    if !cannot_be_written(&binary)? {
        return Err(io::Error::other("the protected copy of the binary is not protected"));
    }
    let text = |text: OsString| CString::new(text.into_vec()).map_err(io::Error::other);
    let arguments = std::env::args_os().map(text).collect::<io::Result<Vec<_>>>()?;
    let environment = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            text(name)
        })
        .collect::<io::Result<Vec<_>>>()?;
    Err(execute_fd(binary.as_fd(), &arguments, &environment))
}

/// Lets a descriptor survive `execve`, by its number.
pub fn leave_open(number: RawFd) -> io::Result<()> {
    // SAFETY: setting the flags of a number touches no memory, and fails for one that is not open.
    let done = unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// One of the three standard streams, if it is open.
pub fn borrowed(number: RawFd) -> io::Result<BorrowedFd<'static>> {
    if !(0..3).contains(&number) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: `fcntl` with F_GETFD touches no memory and fails for a number that is not open.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and the standard streams are never closed by their number but only replaced.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}
