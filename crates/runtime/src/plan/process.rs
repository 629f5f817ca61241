//! Pure: what is true of a process itself, whether it is a container's first or a further one.

use super::{CapabilitySets, Filter};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A process as it will be executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// The command and its arguments.
    pub args: Vec<String>,
    /// The environment, `NAME=value` each.
    pub env: Vec<String>,
    /// The working directory, absolute; made when it is missing.
    pub cwd: PathBuf,
    /// Who runs it.
    pub user: UserPlan,
    /// File mode bits that are not given to new files.
    pub umask: u32,
    /// What it may do.
    pub capabilities: CapabilitySets,
    /// Whether no program can give it more.
    pub no_new_privileges: bool,
    /// Resource limits; above the hard limit of this process they are cut, with a warning.
    pub rlimits: Vec<Rlimit>,
    /// The compiled system call filter, and the flags it is installed with.
    pub seccomp: Option<(Filter, u32)>,
    /// A terminal of the container's own devpts instead of pipes, and its first size.
    pub terminal: Option<TerminalSize>,
    /// How willing the kernel is to kill it when memory runs out.
    pub oom_score_adj: Option<i32>,
    /// The AppArmor profile.
    pub apparmor: Option<String>,
    /// The SELinux label.
    pub selinux: Option<String>,
    /// The execution domain.
    pub personality: Option<u32>,
    /// How many descriptors from 3 on are left to it.
    pub preserve_fds: u32,
}

/// A resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The kernel's number of the resource.
    pub resource: u32,
    /// What counts.
    pub soft: u64,
    /// Up to where it can be raised.
    pub hard: u64,
}

/// Who runs a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserPlan {
    /// By number.
    Ids {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// Further groups.
        groups: Vec<u32>,
    },
    /// Looked up in the container's own files.
    Lookup(UserRequest),
}

/// A user as people write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRequest {
    /// `name|uid[:group|gid]`; empty means root.
    pub user: String,
    /// Further groups by name or number (`--group-add`).
    pub groups: Vec<String>,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}
