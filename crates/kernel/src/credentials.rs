//! Acts: who this process is. Every call is the bare system call, for this thread only: the C library's versions try to
//! reach the threads of the process that this one was copied from.

use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::ffi::CString;
use std::io;

/// Sets the further groups.
pub fn set_groups(groups: &[u32]) -> io::Result<()> {
    let groups = groups.iter().copied().map(rustix::fs::Gid::from_raw).collect::<Vec<_>>();
    Ok(set_thread_groups(&groups)?)
}

/// Sets the real, effective and saved group and then the user.
pub fn set_ids(uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

/// Decides whether the permitted capabilities survive the change from root to an ordinary user.
pub fn keep_capabilities(keep: bool) -> io::Result<()> {
    Ok(rustix::thread::set_keep_capabilities(keep)?)
}

/// From now on no program can give this process more rights.
pub fn no_new_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Sets the mode bits that new files do not get, and returns those before.
pub fn set_umask(mask: u32) -> u32 {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask)).as_raw_mode()
}

/// Makes this process the leader of a new session without a terminal.
pub fn new_session() -> io::Result<()> {
    Ok(rustix::process::setsid().map(drop)?)
}

/// Leaves the inherited session keyring for a new one. `false` when the kernel has no keyrings, or a filter forbids them.
pub fn new_keyring(name: &str) -> io::Result<bool> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    let name = CString::new(name)?;
    // SAFETY: the name is a string that outlives the call.
    let done = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) };
    if done != -1 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => Ok(false),
        _ => Err(error),
    }
}

/// Sets the execution domain.
pub fn set_personality(domain: u32) -> io::Result<()> {
    // SAFETY: the call takes a number only; what it changes counts for the next `execve`.
    let done = unsafe { libc::personality(libc::c_ulong::from(domain)) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Installs a system call filter, a program of eight bytes an instruction, for this thread and what it executes. Needs
/// `no_new_privileges` or the right to administer.
pub fn install_filter(program: &[u8], flags: u32) -> io::Result<()> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    let instructions = program
        .as_chunks::<8>()
        .0
        .iter()
        .map(|bytes| u64::from_ne_bytes(*bytes))
        .collect::<Vec<_>>();
    let length = u16::try_from(instructions.len()).map_err(|_long| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog {
        len: length,
        filter: instructions.as_ptr().cast_mut().cast::<libc::sock_filter>(),
    };
    // SAFETY: an instruction is eight bytes long and as `u64` well aligned; length and pointer describe the vector,
    // which lives until the call returns, and the kernel only reads it.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const filter) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the effective user may execute a file.
pub fn may_execute(path: &std::ffi::CStr) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD};
    Ok(rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// Goes to a directory and makes sure that it is one that this process's root contains: a descriptor of a directory
/// outside, reached through `/proc`, is not.
pub fn enter_directory(path: &std::path::Path) -> io::Result<()> {
    rustix::process::chdir(path)?;
    let now = rustix::process::getcwd(Vec::new())?;
    if now.as_bytes().starts_with(b"/") {
        Ok(())
    } else {
        Err(io::Error::other("it is outside of the container's root"))
    }
}
