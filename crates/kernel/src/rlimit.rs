//! Acts: resource limits of this process.

use std::io;

/// A limit: what counts, and up to where it may be raised. `u64::MAX` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What counts.
    pub soft: u64,
    /// Up to where it may be raised.
    pub hard: u64,
}

/// Sets a limit by the kernel's number of the resource.
pub fn set(resource: u32, limit: Limit) -> io::Result<()> {
    let new = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
    // SAFETY: the new limit is a whole structure that outlives the call, and the old one is not asked for.
    let done = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            &raw const new,
            std::ptr::null_mut::<libc::rlimit64>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The present limit.
pub fn get(resource: u32) -> io::Result<Limit> {
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new limit is given, and there is room for the whole old one.
    let done = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            std::ptr::null::<libc::rlimit64>(),
            &raw mut old,
        )
    };
    if done == 0 {
        Ok(Limit { soft: old.rlim_cur, hard: old.rlim_max })
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets a limit, cut to the present hard limit where this process may not raise it. Returns what was set.
pub fn set_clamped(resource: u32, wanted: Limit) -> io::Result<Limit> {
    match set(resource, wanted) {
        Ok(()) => Ok(wanted),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            let hard = get(resource)?.hard.min(wanted.hard);
            let cut = Limit { soft: wanted.soft.min(hard), hard };
            set(resource, cut)?;
            Ok(cut)
        }
        Err(error) => Err(error),
    }
}
