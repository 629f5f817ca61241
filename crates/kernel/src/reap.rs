//! Acts: what process 1 of a container does when it is ours: wait for signals, pass them on, reap.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// Blocks every signal that can be blocked, so that [`next_signal`] gets them.
pub fn block_signals() -> io::Result<()> {
    let all = u64::MAX;
    // SAFETY: the new mask is a whole 8-byte set, as the size says, and the old one is not asked for.
    let done = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const all,
            std::ptr::null_mut::<u64>(),
            8_usize,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits for a blocked signal.
pub fn next_signal() -> io::Result<i32> {
    let all = u64::MAX;
    loop {
        // SAFETY: the set is 8 bytes long, as the size says; neither details nor a timeout are asked for.
        let signal = unsafe {
            libc::syscall(
                libc::SYS_rt_sigtimedwait,
                &raw const all,
                std::ptr::null_mut::<libc::siginfo_t>(),
                std::ptr::null::<libc::timespec>(),
                8_usize,
            )
        };
        if signal > 0 {
            return i32::try_from(signal).map_err(io::Error::other);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Reaps one child that has ended: its number and its exit code, 128 and the signal's number when one ended it.
pub fn reap() -> io::Result<Option<(u32, u8)>> {
    match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(Some((pid, status))) => {
            let code = status
                .exit_status()
                .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(255);
            Ok(Some((pid.as_raw_nonzero().get().unsigned_abs(), code)))
        }
        Ok(None) | Err(rustix::io::Errno::CHILD) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sends a signal to a process by its number.
pub fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_range| io::ErrorKind::InvalidInput)?;
    // SAFETY: the call takes two numbers.
    if unsafe { libc::kill(pid, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits until a process has ended, by its descriptor, and leaves it to be reaped. `false` when the time was over.
pub fn ended_within(process: impl AsFd, time: Option<Duration>) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = time.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    Ok(rustix::io::retry_on_intr(|| poll(&mut fds, limit.as_ref()))? > 0)
}

/// A descriptor of a process, by its number.
pub fn open(pid: u32) -> io::Result<std::os::fd::OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Kills a process by its descriptor.
pub fn kill(process: impl AsFd) -> io::Result<()> {
    Ok(rustix::process::pidfd_send_signal(process, Signal::KILL)?)
}

/// Waits for a child by its descriptor and reaps it; its exit code, 128 and the signal's number when one ended it.
pub fn wait(process: impl AsFd) -> io::Result<u8> {
    let status = rustix::io::retry_on_intr(|| {
        rustix::process::waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED)
    })?;
    Ok(status
        .and_then(|status| {
            status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        })
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(255))
}

/// The number of a process as the `/proc` of this mount namespace counts, which need not be how this process does.
pub fn number_in_proc(process: impl AsFd) -> io::Result<u32> {
    use std::os::fd::AsRawFd;
    let file = format!("/proc/self/fdinfo/{}", process.as_fd().as_raw_fd());
    std::fs::read_to_string(file)?
        .lines()
        .find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
        .ok_or_else(|| io::Error::other("a process that `/proc` does not show"))
}
