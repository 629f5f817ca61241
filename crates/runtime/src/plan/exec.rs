//! Pure: the plan of a further process in a running container.

use super::{Filter, Host, PlanError, ProcessPlan, UserRequest, process};
use naru_oci::runtime::Process;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that is done for a further process in a running container, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecPlan {
    /// Files into which it writes `0` to join the container's cgroups.
    pub cgroup_join: Vec<PathBuf>,
    /// Whether the container has a user namespace of its own.
    pub user_namespace: bool,
    /// The process itself.
    pub process: ProcessPlan,
    /// What could not be honoured to the letter, in words for the user.
    pub warnings: Vec<String>,
}

/// What the OCI process structure does not say about a further process.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// The files by which the container's cgroups are joined.
    pub cgroup_join: Vec<PathBuf>,
    /// Whether the container has a user namespace of its own.
    pub user_namespace: bool,
    /// A user by name or number, looked up in the container's own files; overrides the numbers.
    pub user: Option<UserRequest>,
    /// The compiled seccomp filter of the container.
    pub seccomp: Option<Filter>,
    /// How many descriptors from 3 on are left to the command.
    pub preserve_fds: u32,
}

/// Plans a further process in a running container.
pub fn plan_exec(
    process: &Process,
    options: &ExecOptions,
    host: &Host,
) -> Result<ExecPlan, PlanError> {
    let mut warnings = Vec::new();
    let given = process::Given {
        user: options.user.as_ref(),
        seccomp: options.seccomp.clone().map(|filter| (filter, 0)),
        preserve_fds: options.preserve_fds,
        personality: None,
    };
    let process = process::resolve(process, given, host, &mut warnings)?;
    Ok(ExecPlan {
        cgroup_join: options.cgroup_join.clone(),
        user_namespace: options.user_namespace,
        process,
        warnings,
    })
}
