//! The namespace runtime: an OCI runtime specification becomes a plan, and the plan a process.
//!
//! Acts: in `launch` and `init`. Pure: in [`plan()`]. The way of a container:
//!
//! ```text
//! Spec ──plan()──▶ Plan ──launch()──▶ clone3 ──▶ init: cgroups, namespaces, mounts, pivot_root, credentials ──▶ exec
//!        pure              │                      │
//!                          └──── handshake ◀──────┘   Console, Gated, Running, or StartError
//! ```
//!
//! The caller of [`launch`] and [`launch_exec`] must be a process with one thread: the new process goes on with a copy
//! of its memory, and a lock held by another thread would never be released there.

pub mod cgroup;
mod plan;
pub mod seccomp;

mod handshake;
mod hook;
mod init;
mod launch;
mod oci_command;
mod start_error;

pub use hook::HookPlan;
pub use launch::{ChildStdio, Launching, Progress, launch, launch_exec};
pub use oci_command::oci_command;
pub use plan::{
    CapabilitySets, CgroupMount, DevicePlan, ExecOptions, ExecPlan, Filter, Gate, Host, IdMap,
    IdMaps, MountAttributes, MountPlan, MountWhat, Namespace, Namespaces, Plan, PlanError,
    PlanOptions, ProcessPlan, Propagation, Rlimit, Root, TerminalSize, UserPlan, UserRequest, plan,
    plan_exec,
};
pub use start_error::{Reason, StartError};
