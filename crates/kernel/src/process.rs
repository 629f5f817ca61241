//! Acts: what concerns the calling process and its children as a whole.

use crate::pidfd::{Ended, ended_of, pid_of};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Orphans among the descendants become children of the calling process instead of process 1's.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// A session of its own, so that no terminal's signals arrive. Not an error if it has one already.
pub fn own_session() {
    // EPERM only says that the process leads a group already.
    rustix::process::setsid().ok();
}

/// The name shown by `ps -c` and `top`; cut at 15 bytes.
pub fn set_name(name: &std::ffi::CStr) -> io::Result<()> {
    Ok(rustix::thread::set_name(name)?)
}

/// What `ps` shows as the name and the command line, as far as the room of the old command line goes. For a process that
/// goes on as something else without executing a program. To be called while `/proc` is the host's.
pub fn set_title(title: &std::ffi::CStr) -> io::Result<()> {
    set_name(title)?;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The fields after the name; the first of them is number 3 in proc(5), the command line's bounds are 48 and 49.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut bounds = fields.split_ascii_whitespace().skip(45).map_while(|field| field.parse().ok());
    let (Some(start), Some(end)) = (bounds.next(), bounds.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let room = usize::try_from(u64::saturating_sub(end, start)).map_err(io::Error::other)?;
    let mut line = title.to_bytes().to_vec();
    line.resize(room, 0);
    let memory = std::fs::OpenOptions::new().write(true).open("/proc/self/mem")?;
    std::os::unix::fs::FileExt::write_all_at(&memory, &line, start)
}

/// The mode bits that new files do not get.
pub fn set_umask(mask: u32) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
}

/// A child that has ended and is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zombie {
    /// Its number.
    pub pid: u32,
    /// How it ended.
    pub ended: Ended,
}

/// One child that has ended, without reaping it, so that its status can be kept safe first.
pub fn peek_zombie() -> io::Result<Option<Zombie>> {
    // rustix does not tell which child it was, nix does.
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let (pid, ended) = match waitid(Id::All, flags) {
        Ok(WaitStatus::Exited(pid, code)) => (pid, Ended::Code(code)),
        Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Ended::Signal(signal as i32)),
        Ok(_) | Err(nix::Error::ECHILD) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(u32::try_from(pid.as_raw()).ok().map(|pid| Zombie { pid, ended }))
}

/// Reaps one child that has ended.
pub fn reap(pid: u32) -> io::Result<Option<Ended>> {
    let status = waitid(WaitId::Pid(pid_of(pid)?), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?;
    Ok(status.as_ref().and_then(ended_of))
}

/// Reaps children that have ended and were not made here: orphans that came to this process because it is subreaper.
/// They are known by their session: what was made here shares ours, apart from `keep`.
pub fn reap_orphans(keep: &[u32]) -> io::Result<()> {
    let Some((_, own_session)) = state_and_session(std::process::id()) else { return Ok(()) };
    for task in std::fs::read_dir("/proc/self/task")? {
        // A thread may end while the list is read.
        let children = std::fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        for child in children.split_ascii_whitespace().filter_map(|child| child.parse().ok()) {
            let orphan = state_and_session(child)
                .is_some_and(|(state, session)| state == "Z" && session != own_session);
            if orphan && !keep.contains(&child) {
                reap(child)?;
            }
        }
    }
    Ok(())
}

/// The state and the session of a process.
fn state_and_session(pid: u32) -> Option<(String, i64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; the rest is state, parent, group, session.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.to_owned();
    Some((state, fields.nth(2)?.parse().ok()?))
}

/// The number of the calling process.
pub fn id() -> u32 {
    std::process::id()
}

/// Closes every descriptor from `first` on. For a process that has just begun: nothing in it may own one of them.
pub fn close_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX)
}

/// Closes every descriptor from `first` to `last`, both included; nothing if `last` is less. As [`close_from`].
pub fn close_range(first: u32, last: u32) -> io::Result<()> {
    if last < first {
        return Ok(());
    }
    // SAFETY: closing touches no memory; that no owner is left behind is what the caller vouches for at its start.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The user that the calling process acts as.
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether programs that are executed keep `fd`.
pub fn set_inherited(fd: BorrowedFd<'_>, inherited: bool) -> io::Result<()> {
    let flags = if inherited { rustix::io::FdFlags::empty() } else { rustix::io::FdFlags::CLOEXEC };
    Ok(rustix::io::fcntl_setfd(fd, flags)?)
}

/// Takes over a descriptor that this program inherited under a known number; refuses one that is not open.
///
/// Each number is taken at most once: the caller says which ones it was given.
pub fn inherited_fd(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the borrow lasts for the one call that finds out whether the descriptor is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and by the contract of this function no other value owns it.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(number) })
}

/// Puts what is open at standard input elsewhere and `/dev/null` in its place.
pub fn take_stdin() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    let taken = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(taken)
}

/// Sends what is written to standard error to `file`.
pub fn redirect_stderr(file: impl AsFd) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stderr(file)?)
}

/// Makes the out-of-memory killer look elsewhere first (or not; the value may only be lowered by a privileged process).
/// Inherited by children.
pub fn set_oom_score(value: i32) -> io::Result<()> {
    // Not the atomic write of files on disk: the kernel takes the value as it is written.
    let file = rustix::fs::open(
        "/proc/self/oom_score_adj",
        rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::io::write(&file, value.to_string().as_bytes())?;
    Ok(())
}

/// Raises the number of descriptors to what the hard limit allows; the number that counts now.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The number of an open descriptor, for a program that will inherit it.
pub fn number_of(fd: impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_what_others_see() {
        let line = || std::fs::read("/proc/self/cmdline").unwrap();
        let length = line().len();
        set_title(c"some title").unwrap();
        assert!(line().starts_with(b"some title\0\0"));
        assert_eq!(line().len(), length);
    }
}
