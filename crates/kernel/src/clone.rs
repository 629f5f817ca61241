//! Acts: makes processes with `clone3`, for callers that have one thread.
//!
//! The new process runs a closure on a copy of the caller's memory and never returns into the caller's code: whatever
//! the closure does, the process ends when it is over.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Namespace flags, as `clone3`, `unshare` and `setns` take them.
pub mod flags {
    /// Mounts.
    pub const MOUNT: u64 = 0x0002_0000;
    /// The view of the cgroup tree.
    pub const CGROUP: u64 = 0x0200_0000;
    /// Host and domain name.
    pub const UTS: u64 = 0x0400_0000;
    /// System V and POSIX queues.
    pub const IPC: u64 = 0x0800_0000;
    /// Users and groups.
    pub const USER: u64 = 0x1000_0000;
    /// Process numbers.
    pub const PID: u64 = 0x2000_0000;
    /// The network.
    pub const NETWORK: u64 = 0x4000_0000;
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A child of this process.
#[derive(Debug)]
pub struct Child {
    /// Its number in the caller's process namespace.
    pub pid: u32,
    /// The process itself.
    pub pidfd: OwnedFd,
}

/// Makes a process that runs `body` in new namespaces (of [`flags`]) and ends with the code it returns; 70 when it
/// panics. In `cgroup` (of the unified tree) from its first instant, when one is given.
///
/// The caller should have one thread: a lock that another thread holds at this instant is never released in the new
/// process, which may then hang (but not do anything undefined).
pub fn spawn(
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
    body: impl FnOnce() -> u8,
) -> io::Result<Child> {
    let mut pidfd: RawFd = -1;
    let mut arguments = CloneArguments {
        flags: namespaces | CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        ..CloneArguments::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: the structure outlives the call and its size is given. Without CLONE_VM the child has a copy of all
    // memory and goes on on a copy of this stack, so nothing is shared and no reference dangles.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArguments>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(70);
            exit_now(code)
        }
        pid => {
            // SAFETY: with CLONE_PIDFD the kernel stored a new descriptor there, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = u32::try_from(pid).map_err(io::Error::other)?;
            Ok(Child { pid, pidfd })
        }
    }
}

/// The kernel's `struct clone_args`.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Ends this process at once: no destructors, no handlers, no buffers.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(i32::from(code)) }
}

/// The default action for every signal, and none blocked: what a program expects to start with. Rust ignores SIGPIPE,
/// and a caller may have blocked signals for a signalfd; both would survive `execve`.
pub fn reset_signals() -> io::Result<()> {
    for signal in 1..=64 {
        // The kernel's own structure, so that the C library's ban on its two internal signals does not apply.
        let action = [0_u64; 4];
        // SAFETY: the pointer is to a whole `struct kernel_sigaction` (handler, flags, restorer, mask), all zero, which
        // is the default action; no old one is asked for.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                action.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8_usize,
            )
        };
    }
    let none = 0_u64;
    // SAFETY: the new mask is a whole 8-byte set, as the size says, and the old one is not asked for.
    let done = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            std::ptr::null_mut::<u64>(),
            8_usize,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn code(child: &Child) -> i32 {
        let id = rustix::process::WaitId::PidFd(child.pidfd.as_fd());
        let options = rustix::process::WaitIdOptions::EXITED;
        rustix::process::waitid(id, options).unwrap().unwrap().exit_status().unwrap()
    }

    #[test]
    fn the_closure_decides_the_exit_code() {
        assert_eq!(code(&spawn(0, None, || 7).unwrap()), 7);
    }

    #[test]
    fn a_child_in_a_new_process_namespace_is_process_one() {
        let child = spawn(flags::PID, None, || u8::from(std::process::id() == 1)).unwrap();
        assert_eq!(code(&child), 1);
    }

    #[test]
    fn signals_are_as_a_program_expects_them() {
        let child = spawn(0, None, || {
            reset_signals().unwrap();
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let none = |name: &str| {
                status.lines().any(|line| line == format!("{name}:\t0000000000000000"))
            };
            u8::from(none("SigIgn") && none("SigBlk") && none("SigCgt"))
        })
        .unwrap();
        assert_eq!(code(&child), 1);
    }
}
