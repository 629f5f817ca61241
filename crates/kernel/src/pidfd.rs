//! Acts: processes by descriptor, so that a reused number can never be meant.
//!
//! Facts (6.18): a pidfd is readable from the death of its process on, reaped or not. `PIDFD_GET_INFO` gives the exit
//! status only *after* the process was reaped, to anybody who holds the descriptor (before that the mask says that it is
//! not there). Before that, field 52 of `/proc/PID/stat` gives it to root while the process is a zombie. A process 1
//! that is no real init may reap late or never, so both are needed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Code(i32),
    /// It was ended by this signal.
    Signal(i32),
}

impl Ended {
    /// Reads the status word that the kernel keeps.
    pub fn from_wait_status(status: i32) -> Ended {
        match status & 0x7f {
            0 => Ended::Code((status >> 8) & 0xff),
            signal => Ended::Signal(signal),
        }
    }
}

/// The descriptor of a process, which must not have been waited for yet if it is a child.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(pid_of(pid)?, rustix::process::PidfdFlags::empty())?)
}

/// Sends a signal by its number.
pub fn send_signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    send(pidfd.as_fd(), signal, 0)
}

/// Kills a process, and all of its group if it leads one: in one step, so that what forks without end is caught too.
/// `pid` is the number the process has. Not an error when all are gone.
pub fn kill_group(pidfd: impl AsFd, pid: u32) -> io::Result<()> {
    const KILL: i32 = 9;
    const PROCESS_GROUP: u32 = 4;
    let pidfd = pidfd.as_fd();
    match send(pidfd, KILL, PROCESS_GROUP) {
        // Before Linux 6.9 a group has a number only; that of a process that lives is nobody else's.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && !has_ended(pidfd)? => {
            rustix::process::kill_process_group(pid_of(pid)?, rustix::process::Signal::KILL).ok();
        }
        _ => {}
    }
    match send(pidfd, KILL, 0) {
        Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
        _ => Ok(()),
    }
}

fn send(pidfd: BorrowedFd<'_>, signal: i32, flags: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open while `pidfd` lives, and a null siginfo is what the call documents for "as kill".
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            flags,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether the process has ended, reaped or not.
pub fn has_ended(pidfd: impl AsFd) -> io::Result<bool> {
    crate::poll::readable(pidfd.as_fd(), Some(std::time::Duration::ZERO))
}

/// Reaps the child behind `pidfd` if it has ended; `None` while it runs, and an error when it is not our child.
pub fn reap(pidfd: impl AsFd) -> io::Result<Option<Ended>> {
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd.as_fd()), options)?;
    Ok(status.as_ref().and_then(ended_of))
}

/// How a process that is not our child ended, if the kernel tells: from the zombie, or after somebody reaped it.
/// `pid` is the number the process had.
pub fn ended_elsewhere(pidfd: impl AsFd, pid: u32) -> io::Result<Option<Ended>> {
    let pidfd = pidfd.as_fd();
    if !has_ended(pidfd)? {
        return Ok(None);
    }
    if let Some(status) = exit_info(pidfd)? {
        return Ok(Some(Ended::from_wait_status(status)));
    }
    let zombie = zombie_status(pid);
    // It may have been reaped between the two looks; then its number may be somebody else's, and the kernel tells now.
    if let Some(status) = exit_info(pidfd)? {
        return Ok(Some(Ended::from_wait_status(status)));
    }
    // The number was not free for others if the process is still there to be signalled.
    let unreaped = send_signal(pidfd, 0).is_ok();
    Ok(zombie.filter(|_| unreaped).map(Ended::from_wait_status))
}

pub(crate) fn ended_of(status: &rustix::process::WaitIdStatus) -> Option<Ended> {
    if let Some(code) = status.exit_status() {
        return Some(Ended::Code(code));
    }
    status.terminating_signal().map(Ended::Signal)
}

pub(crate) fn pid_of(pid: u32) -> io::Result<rustix::process::Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

fn zombie_status(pid: u32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and parentheses; the rest starts after the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    (fields.next()? == "Z").then_some(())?;
    fields.last()?.parse().ok()
}

/// `struct pidfd_info` as far as the exit code, which is what the first published version has.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;

mod request {
    nix::ioctl_readwrite!(pidfd_get_info, 0xff, 11, super::PidfdInfo);
}

/// The wait status of a reaped process; `None` before that, and on kernels that do not keep it.
fn exit_info(pidfd: impl AsFd) -> io::Result<Option<i32>> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the size in the request number is that of `info`, and the kernel writes at most that many bytes.
    match unsafe { request::pidfd_get_info(pidfd.as_fd().as_raw_fd(), &raw mut info) } {
        Ok(_) => Ok((info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)),
        // ESRCH: reaped, and the kernel does not keep the status; the others: it does not know the request.
        Err(nix::Error::ESRCH | nix::Error::ENOTTY | nix::Error::EINVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[expect(clippy::zombie_processes, reason = "the test reaps it by its descriptor")]
    fn check(script: &str, expected: Ended) {
        let child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        assert!(crate::poll::readable(pidfd.as_fd(), None).unwrap());
        // As a stranger sees it: before it is reaped, and after.
        assert_eq!(ended_elsewhere(&pidfd, child.id()).unwrap(), Some(expected));
        assert_eq!(reap(&pidfd).unwrap(), Some(expected));
        assert_eq!(ended_elsewhere(&pidfd, child.id()).unwrap(), Some(expected));
        assert!(send_signal(&pidfd, 0).is_err());
    }

    #[test]
    fn the_status_is_known_before_and_after_reaping() {
        check("exit 0", Ended::Code(0));
        check("exit 42", Ended::Code(42));
        check("kill -9 $$", Ended::Signal(9));
        check("kill -15 $$", Ended::Signal(15));
    }

    #[test]
    fn a_running_process_has_not_ended() {
        let mut child = Command::new("/bin/sleep").arg("100").spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        assert!(!has_ended(&pidfd).unwrap());
        assert_eq!(reap(&pidfd).unwrap(), None);
        assert_eq!(ended_elsewhere(&pidfd, child.id()).unwrap(), None);
        send_signal(&pidfd, 9).unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_group_is_killed_in_one_step() {
        use std::io::Read;
        use std::os::unix::process::CommandExt;
        // The second forks on and on, and all of them hold the pipe.
        let script = "sleep 100 & (while :; do (:) & done) & echo; wait";
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .process_group(0)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut [0]).unwrap();
        let pidfd = open(child.id()).unwrap();
        kill_group(&pidfd, child.id()).unwrap();
        // The end comes when none of them is left.
        assert_eq!(output.read(&mut [0]).unwrap(), 0);
        child.wait().unwrap();
        kill_group(&pidfd, child.id()).unwrap();
        // One that leads no group is killed alone.
        let mut child = Command::new("/bin/sleep").arg("100").spawn().unwrap();
        kill_group(open(child.id()).unwrap(), child.id()).unwrap();
        child.wait().unwrap();
    }
}
