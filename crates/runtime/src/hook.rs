//! Acts: runs the programs that a spec wants at points of a container's life.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A program to run, with the container's state on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookPlan {
    /// The program, absolute.
    pub path: PathBuf,
    /// Its arguments, its own name first.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<String>,
    /// Seconds after which it is killed and counts as failed.
    pub timeout: Option<u64>,
}
