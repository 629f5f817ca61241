//! Acts: network namespaces made ready for containers.
//!
//! A [`Sandbox`] is made before it is needed, and waits without a process: what holds it is an open descriptor, and it
//! is gone with the last one, so nothing is left after a crash. The runtime joins it by [`Sandbox::path`]. Once a
//! container runs in it, the container holds it too, and a new daemon finds it again by [`Sandbox::of_process`].
//!
//! A route socket that was opened inside stays inside, whatever thread uses it. So nobody has to enter a namespace to
//! attach an interface.

mod attach;
mod redirect;
mod resolver;

pub use attach::{Attached, Attachment, MovedIn};
pub use resolver::ResolverSockets;

use crate::link::sysctl::{self, Protocol};
use crate::link::{Counters, LinkError, Links};
use naru_kernel::clone::flags::NETWORK;
use naru_kernel::namespace;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::thread;

/// The loopback interface of a new namespace is its first.
const LOOPBACK: u32 = 1;

/// What a new sandbox is to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxSpec {
    /// Whether loopback has `::1`. Other interfaces take part in IPv6 when they are attached with an address of it.
    pub ipv6: bool,
    /// Whether users without rights may bind low ports and ping, as docker has it in every network but the host's.
    pub low_ports: bool,
    /// Whether sockets for our resolver are made at once.
    pub resolver: bool,
}

/// A network namespace for a container, held by a descriptor.
#[derive(Debug)]
pub struct Sandbox {
    namespace: OwnedFd,
    inside: Links,
    /// The directory of the namespace's IPv6 settings of interfaces; none on a host without IPv6. What is opened through
    /// it belongs to the namespace, whatever thread opens it.
    settings: Option<OwnedFd>,
}

impl Sandbox {
    /// Makes a sandbox and, if wanted, the sockets of its resolver.
    pub fn make(spec: &SandboxSpec) -> Result<(Sandbox, Option<ResolverSockets>), LinkError> {
        let spec = *spec;
        on_a_thread(move || {
            namespace::leave(NETWORK)
                .map_err(|error| LinkError::new("make a network namespace", error))?;
            let sandbox = Sandbox::here()?;
            sandbox.settle(spec)?;
            let sockets = if spec.resolver { Some(resolver::open_first()?) } else { None };
            Ok((sandbox, sockets))
        })
    }

    /// The sandbox of a running container. The caller makes sure that the process is still the one it means; by a pidfd
    /// that is [`Sandbox::of_pidfd`]'s. The host's own namespace is refused.
    pub fn of_process(pid: u32) -> Result<Sandbox, LinkError> {
        let namespace = namespace::open(format!("/proc/{pid}/ns/net")).map_err(|error| {
            LinkError::new(format!("open the network namespace of the process {pid}"), error)
        })?;
        Sandbox::of_pidfd(namespace)
    }

    /// The sandbox in which a process is, or whose namespace this descriptor is. This thread's own is refused.
    pub fn of_pidfd(fd: impl AsFd + Send) -> Result<Sandbox, LinkError> {
        let attempted = || "enter the network namespace of a container";
        let home = File::open("/proc/thread-self/ns/net")
            .and_then(|home| namespace::identity(home.as_fd()))
            .map_err(|error| LinkError::new(attempted(), error))?;
        let sandbox = on_a_thread(move || {
            namespace::join(fd, NETWORK).map_err(|error| LinkError::new(attempted(), error))?;
            Sandbox::here()
        })?;
        let there = namespace::identity(sandbox.as_fd())
            .map_err(|error| LinkError::new(attempted(), error))?;
        if there == home {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is the host's own");
            return Err(LinkError::new(attempted(), error));
        }
        Ok(sandbox)
    }

    /// The sandbox of this thread's namespace.
    fn here() -> Result<Sandbox, LinkError> {
        let namespace = File::open("/proc/thread-self/ns/net")
            .map_err(|error| LinkError::new("open a network namespace", error))?;
        let settings = match File::open("/proc/sys/net/ipv6/conf") {
            Ok(directory) => Some(directory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(LinkError::new("open the IPv6 settings of a network namespace", error));
            }
        };
        Ok(Sandbox { namespace: namespace.into(), inside: Links::open_narrow()?, settings })
    }

    /// What is the same for every container. This thread is in the namespace.
    fn settle(&self, spec: SandboxSpec) -> Result<(), LinkError> {
        if self.settings.is_some() {
            let set = |name, key, value| sysctl::write_interface(name, Protocol::V6, key, value);
            // `all` sets `default` and every interface that is there too.
            set(if spec.ipv6 { "default" } else { "all" }, "disable_ipv6", "1")?;
            // A neighbour could announce itself as the router of all others.
            set("default", "accept_ra", "0")?;
            // Addresses are handed out by us, so nobody has to wait a second to see that nobody has them.
            set("default", "accept_dad", "0")?;
        }
        if spec.low_ports {
            sysctl::write("ipv4/ip_unprivileged_port_start", "0")?;
            sysctl::write("ipv4/ping_group_range", "0 2147483647")?;
        }
        self.inside.set_up(LOOPBACK)
    }

    /// The path by which the runtime joins it, as long as this process lives and holds it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd()))
    }

    /// The interfaces inside.
    pub fn links(&self) -> &Links {
        &self.inside
    }

    /// What went through each interface inside, by name, loopback left out.
    pub fn statistics(&self) -> Result<BTreeMap<String, Counters>, LinkError> {
        Ok(self.inside.counters()?.into_iter().collect())
    }

    /// Fresh sockets for the resolver, for a container that had none or whose daemon was another. The ports of the last
    /// ones are used again if they are free, so that nothing changes for who asks; else the redirection is replaced in
    /// one step.
    pub fn open_resolver(&self) -> Result<ResolverSockets, LinkError> {
        self.enter(resolver::open_again)
    }

    /// Writes a setting of the namespace, by its path under `/proc/sys/net`: those that a container asks for with
    /// `--sysctl` are the runtime's, these are ours.
    pub fn set(&self, path: &str, value: &str) -> Result<(), LinkError> {
        let (path, value) = (path.to_owned(), value.to_owned());
        self.enter(move || sysctl::write(&path, &value))
    }

    /// Does something on a thread that is inside.
    fn enter<T: Send>(
        &self,
        act: impl FnOnce() -> Result<T, LinkError> + Send,
    ) -> Result<T, LinkError> {
        on_a_thread(|| {
            namespace::join(&self.namespace, NETWORK).map_err(|error| {
                LinkError::new("enter the network namespace of a container", error)
            })?;
            act()
        })
    }
}

impl AsFd for Sandbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

/// Does something on a thread of its own, which may end in another namespace than it began.
fn on_a_thread<T: Send>(act: impl FnOnce() -> Result<T, LinkError> + Send) -> Result<T, LinkError> {
    let attempted = || "work in a network namespace";
    thread::scope(|scope| {
        thread::Builder::new()
            .name("sandbox".to_owned())
            .stack_size(256 << 10)
            .spawn_scoped(scope, act)
            .map_err(|error| LinkError::new(attempted(), error))?
            .join()
            .unwrap_or_else(|_panic| {
                Err(LinkError::new(attempted(), io::Error::other("its thread panicked")))
            })
    })
}
