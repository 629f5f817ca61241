//! Pure: a spec resolved against the host: what will be done, in order. Nothing here touches the system, apart from
//! [`Host::probe`], which reads the facts that planning needs.

pub(crate) mod capabilities;
mod devices;
mod error;
mod exec;
mod filter;
mod host;
pub(crate) mod mounts;
mod namespaces;
mod process;
mod resolve;
mod sysctls;

pub use capabilities::CapabilitySets;
pub use devices::DevicePlan;
pub use error::PlanError;
pub use exec::{ExecOptions, ExecPlan, plan_exec};
pub use filter::Filter;
pub use host::Host;
pub use mounts::{CgroupMount, MountAttributes, MountPlan, MountWhat, Propagation};
pub use namespaces::{IdMap, IdMaps, Namespace, Namespaces};
pub use process::{ProcessPlan, Rlimit, TerminalSize, UserPlan, UserRequest};
pub use resolve::plan;
pub(crate) use resolve::{filter_of, hook_plans};

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that init does for a container, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The container's ID; only for messages and the session keyring's name.
    pub id: String,
    /// Which namespaces are new and which are joined.
    pub namespaces: Namespaces,
    /// The maps of the new user namespace.
    pub maps: Option<IdMaps>,
    /// Files into which init writes `0` to join its cgroups, before anything else.
    pub cgroup_join: Vec<PathBuf>,
    /// The host name, set in a UTS namespace of the container's own.
    pub hostname: Option<String>,
    /// The NIS domain name, likewise.
    pub domainname: Option<String>,
    /// Kernel settings: the path under `/proc/sys` and the value.
    pub sysctls: Vec<(PathBuf, String)>,
    /// The root file system.
    pub root: Root,
    /// Whether the root is read-only for the container.
    pub root_readonly: bool,
    /// How the container's view of the host's mounts follows the host, before it is cut off.
    pub root_propagation: Propagation,
    /// The mounts, in order.
    pub mounts: Vec<MountPlan>,
    /// The device nodes.
    pub devices: Vec<DevicePlan>,
    /// Whether the usual links (`/dev/fd`, `/dev/stdin`, …) are made: there is a `/dev` of the container's own.
    pub dev_links: bool,
    /// Paths that are covered by an empty directory or by `/dev/null`.
    pub masked_paths: Vec<PathBuf>,
    /// Paths that are made read-only.
    pub readonly_paths: Vec<PathBuf>,
    /// Whether the container gets a session keyring of its own.
    pub new_keyring: bool,
    /// Programs that the caller runs on the host once the namespaces are there.
    pub runtime_hooks: Vec<crate::hook::HookPlan>,
    /// Programs that run in the container's namespaces before its root is entered.
    pub create_container_hooks: Vec<crate::hook::HookPlan>,
    /// Programs that run in the container right before its command.
    pub start_container_hooks: Vec<crate::hook::HookPlan>,
    /// What these programs are told on their standard input: the state, without the status and the process number.
    pub hook_state: serde_json::Map<String, serde_json::Value>,
    /// Where the container waits before its command is executed.
    pub gate: Gate,
    /// Whether our own reaping init stays as process 1 and the command becomes its child.
    pub init: bool,
    /// The process itself.
    pub process: ProcessPlan,
    /// What could not be honoured to the letter, in words for the user.
    pub warnings: Vec<String>,
}

/// Where the root file system comes from. It is mounted in the container's own mount namespace only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// An overlay. The paths are relative to `base`, which keeps the kernel's option string short; the nearest lower
    /// directory comes first.
    Overlay {
        /// The directory that the other paths are relative to.
        base: PathBuf,
        /// The read-only layers, the top one first; at least one.
        lower: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// The overlay's own working directory, on the file system of `upper`.
        work: PathBuf,
        /// Skips the flush of the whole file system when the overlay is unmounted. For containers whose writable layer
        /// is thrown away with them: the kernel refuses to mount the same `work` again until `work/incompat` is removed.
        #[serde(default)]
        volatile: bool,
    },
    /// A directory, as it is.
    Directory(PathBuf),
}

/// Where a container waits before its command is executed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gate {
    /// It does not wait.
    #[default]
    Open,
    /// Until [`Launching::release`](crate::Launching::release).
    Handshake,
    /// Until a byte is written to this named pipe, which exists already.
    Fifo(PathBuf),
}

/// What the spec does not say about a container.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// The container's ID.
    pub id: String,
    /// The root file system; the spec's `root.path` is not looked at.
    pub root: Root,
    /// The files that init joins its cgroups by (`naru_runtime::cgroup` names them); empty: stay in the caller's.
    pub cgroup_join: Vec<PathBuf>,
    /// Whether and where the container waits before its command is executed.
    pub gate: Gate,
    /// Whether our own reaping init stays as process 1.
    pub init: bool,
    /// A user by name or number, looked up in the container's own files; overrides the spec's numbers.
    pub user: Option<UserRequest>,
    /// The compiled seccomp filter; without it, the spec's profile is compiled.
    pub seccomp: Option<Filter>,
    /// How many descriptors from 3 on are left to the container's command.
    pub preserve_fds: u32,
    /// Whether the container gets a session keyring of its own.
    pub new_keyring: bool,
    /// What hooks are told on their standard input, besides the status and the process number.
    pub hook_state: serde_json::Map<String, serde_json::Value>,
}

impl PlanOptions {
    /// The usual: no gate, no init, the spec's own user, a new keyring, no cgroups.
    pub fn new(id: impl Into<String>, root: Root) -> PlanOptions {
        PlanOptions {
            id: id.into(),
            root,
            cgroup_join: Vec::new(),
            gate: Gate::Open,
            init: false,
            user: None,
            seccomp: None,
            preserve_fds: 0,
            new_keyring: true,
            hook_state: serde_json::Map::new(),
        }
    }
}
