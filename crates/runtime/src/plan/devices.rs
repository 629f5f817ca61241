//! Pure: the device nodes of a container.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    /// Where it is in the container.
    pub path: PathBuf,
    /// `c`, `b` or `p`.
    pub kind: char,
    /// The driver.
    pub major: u32,
    /// The device of the driver.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Whether the host's node is bound instead of a new one made: in a user namespace nobody may make one.
    pub bind: bool,
}
