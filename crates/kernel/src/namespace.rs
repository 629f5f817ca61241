//! Acts: enters, leaves and maps namespaces.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Enters namespaces: `fd` is a file of `/proc/PID/ns`, or a process, whose namespaces of the kinds in `kinds` are
/// entered (flags of [`crate::clone::flags`]). Process namespaces count for children only.
pub fn join(fd: impl AsFd, kinds: u64) -> io::Result<()> {
    let kinds = i32::try_from(kinds).map_err(|_wide| io::ErrorKind::InvalidInput)?;
    // SAFETY: the call takes numbers only; it changes what this thread sees, not memory.
    let done = unsafe { libc::setns(fd.as_fd().as_raw_fd(), kinds) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Leaves the present namespaces of these kinds for new ones.
pub fn leave(kinds: u64) -> io::Result<()> {
    let kinds = i32::try_from(kinds).map_err(|_wide| io::ErrorKind::InvalidInput)?;
    // SAFETY: only namespace flags are passed by the callers of this crate; CLONE_FILES and the like, which could make
    // descriptors of other threads dangle, are cut off by the mask.
    let done = unsafe { libc::unshare(kinds & 0x7e02_0000) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The root of a mount namespace as a process that enters it would find it, whatever its processes have made their own
/// root. Nothing is opened in it: the descriptor is a place to begin at.
pub fn root_of(mounts: impl AsFd) -> io::Result<OwnedFd> {
    let mounts = mounts.as_fd();
    on_thread(|| {
        own_directories()?;
        join(mounts, crate::clone::flags::MOUNT)?;
        open_root()
    })
}

/// Runs `work` where it can mount and nobody sees it, on a thread of its own that leaves the mounts of the host. What
/// was mounted there lives as long as the namespace that `work` may hand out: see [`own_mounts`].
pub fn with_own_mounts<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    on_thread(|| {
        leave(crate::clone::flags::MOUNT)?;
        let change = crate::mount::Change {
            propagation: crate::mount::propagation::PRIVATE,
            recursive: true,
            ..crate::mount::Change::default()
        };
        crate::mount::set_attributes_at("/", change)?;
        work()
    })
}

/// The mount namespace that this thread is in; while it is held, its mounts stay.
pub fn own_mounts() -> io::Result<OwnedFd> {
    open("/proc/thread-self/ns/mnt")
}

/// The root directory of this thread.
pub fn open_root() -> io::Result<OwnedFd> {
    use rustix::fs::{CWD, Mode, OFlags};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, "/", flags, Mode::empty())?)
}

fn on_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("mounts".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_panicked| Err(io::Error::other("a thread was lost")))
    })
}

/// Gives this thread a root and working directory of its own, which it shares with its process otherwise.
fn own_directories() -> io::Result<()> {
    // SAFETY: the call takes a number only; without CLONE_FILES no descriptor of another thread is touched.
    let done = unsafe { libc::unshare(libc::CLONE_FS) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A stay of this thread in other namespaces: children made meanwhile are born there. Ends when dropped.
#[derive(Debug)]
pub struct Visit {
    home: Vec<(OwnedFd, u64)>,
}

impl Visit {
    /// Stays at home for now.
    pub fn begin() -> Visit {
        Visit { home: Vec::new() }
    }

    /// Enters a namespace. `kind` is one flag, `name` its file under `/proc/self/ns`.
    pub fn enter(&mut self, fd: impl AsFd, kind: u64, name: &str) -> io::Result<()> {
        let home = File::open(format!("/proc/self/ns/{name}"))?;
        join(fd, kind)?;
        self.home.push((home.into(), kind));
        Ok(())
    }

    /// Goes home. When that fails the process must not go on: it is somewhere else than it believes.
    pub fn end(mut self) -> io::Result<()> {
        self.go_home()
    }

    fn go_home(&mut self) -> io::Result<()> {
        while let Some((home, kind)) = self.home.pop() {
            join(&home, kind)?;
        }
        Ok(())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.go_home().is_err() {
            std::process::abort();
        }
    }
}

/// Writes the maps of a process's new user namespace. Each line is: first number inside, first outside, how many.
pub fn write_maps(pid: u32, uids: &str, gids: &str) -> io::Result<()> {
    let write = |name: &str, text: &str| {
        let path = format!("/proc/{pid}/{name}");
        rustix::io::write(File::options().write(true).open(path)?, text.as_bytes())
            .map(drop)
            .map_err(io::Error::from)
    };
    match write("gid_map", gids) {
        // Who has no right over groups must first give up dropping them.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            write("setgroups", "deny")?;
            write("gid_map", gids)?;
        }
        result => result?,
    }
    write("uid_map", uids)
}

/// Whether this process is in the machine's first user namespace.
pub fn is_initial_user_namespace() -> io::Result<bool> {
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    Ok(map.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
}

/// Opens the file that stands for a namespace, and makes sure that it is one.
pub fn open(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    const NSFS_MAGIC: u64 = 0x6e73_6673;
    let fd = OwnedFd::from(File::open(path)?);
    if crate::mount::magic(&fd)? == NSFS_MAGIC {
        Ok(fd)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a namespace"))
    }
}

/// The host name of the present UTS namespace.
pub fn set_host_name(name: &str) -> io::Result<()> {
    Ok(rustix::system::sethostname(name.as_bytes())?)
}

/// Brings the loopback interface of this thread's network namespace up; a new one begins with it down.
pub fn loopback_up() -> io::Result<()> {
    let socket = any_socket()?;
    // SAFETY: all bytes zero are a valid `ifreq`: a name without characters and a union of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo".iter()) {
        *to = from.cast_signed();
    }
    let up = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(up).map_err(|_wide| io::ErrorKind::InvalidInput)?;
    // SAFETY: the request is an `ifreq` that lives through the call, which reads its name and flags only.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A socket to ask about interfaces with; a host may have only one of the two protocols.
fn any_socket() -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let open = |family| socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    Ok(open(AddressFamily::INET).or_else(|_absent| open(AddressFamily::INET6))?)
}

/// The NIS domain name of the present UTS namespace.
pub fn set_domain_name(name: &str) -> io::Result<()> {
    Ok(rustix::system::setdomainname(name.as_bytes())?)
}

/// The namespace of a process, for comparisons: device and inode of its file.
pub fn identity(fd: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::{NewFileSystem, attach, new_file_system};
    use crate::path::{OFlags, open_in_root};

    #[test]
    fn mounts_of_ones_own_are_seen_by_nobody_else_and_live_with_their_namespace() {
        let before = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let home = own_mounts().unwrap();
        let (root, mounts) = with_own_mounts(|| {
            let mounts = own_mounts()?;
            let new = NewFileSystem { kind: "tmpfs", source: "x", options: &[], attributes: 0 };
            let tree = new_file_system(&new)?;
            crate::node::make_directory(&tree, "inner", 0o755)?;
            attach(&tree, open_root()?)?;
            crate::mount::pivot_into(&tree)?;
            let inner = new_file_system(&new)?;
            crate::node::make_directory(&inner, "deep", 0o755)?;
            attach(inner, open_in_root(&tree, "inner", OFlags::PATH)?)?;
            Ok((tree, mounts))
        })
        .unwrap();
        // The thread has ended; what it mounted is there.
        assert!(open_in_root(&root, "inner/deep", OFlags::PATH).is_ok());
        let again = root_of(&mounts).unwrap();
        assert!(open_in_root(&again, "inner/deep", OFlags::PATH).is_ok());
        assert!(open_in_root(&again, "proc/self", OFlags::PATH).is_err());
        assert_ne!(identity(mounts.as_fd()).unwrap(), identity(home.as_fd()).unwrap());
        drop(mounts);
        assert!(open_in_root(&root, "inner/deep", OFlags::PATH).is_err());
        assert_eq!(std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap(), before);
    }
}
