//! Pure: what can go wrong with the cgroups of a container.

use super::Controller;
use naru_errdefs::{Failure, Kind};
use std::io;
use std::path::PathBuf;

/// A failure of an operation on a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No cgroup file system is mounted.
    #[error("cannot find a mounted cgroup file system")]
    NotMounted,
    /// The facts about the mounted hierarchies could not be read.
    #[error("cannot read `{}`", path.display())]
    Probe {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path of a cgroup is malformed.
    #[error("`{path}` is not a usable cgroup path: {reason}")]
    BadPath {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A limit was asked for whose controller this host does not have.
    #[error("cannot limit {setting}: this host has no `{controller}` cgroup controller")]
    NoController {
        /// What was to be limited.
        setting: &'static str,
        /// The controller that is missing.
        controller: Controller,
    },
    /// The controller is there, but this kernel does not know the setting.
    #[error("cannot limit {setting}: this kernel has no `{file}`")]
    NoFile {
        /// What was to be limited.
        setting: &'static str,
        /// The file of the setting.
        file: String,
    },
    /// A limit that Naru refuses on principle or because the hierarchy has no such thing.
    #[error("cannot limit {setting}: {reason}")]
    Unsupported {
        /// What was to be limited.
        setting: &'static str,
        /// Why not.
        reason: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A value that cannot be right.
    #[error("`{value}` is not a valid value for {setting}: {reason}")]
    BadValue {
        /// What was to be limited.
        setting: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The kernel refused a value.
    #[error("cannot set {setting} to `{value}`{}", explain(source, setting))]
    Set {
        /// What was to be limited.
        setting: &'static str,
        /// The value written.
        value: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A file of the cgroup could not be read or written.
    #[error("cannot {attempt} `{}`", path.display())]
    Io {
        /// What was attempted: a verb.
        attempt: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The cgroup is not there (any more).
    #[error("cgroup `{path}` does not exist")]
    Gone {
        /// The path of the cgroup.
        path: String,
    },
    /// A cgroup of this name has processes in it.
    #[error("cgroup `{path}` exists already and has processes in it")]
    InUse {
        /// The path of the cgroup.
        path: String,
    },
    /// Controllers cannot be enabled for children because the parent has processes of its own.
    #[error(
        "cannot enable the controllers `{controllers}` below cgroup `{path}`: it has processes of its own"
    )]
    Busy {
        /// The parent.
        path: String,
        /// What was to be enabled.
        controllers: String,
    },
    /// A wait for the kernel took longer than allowed.
    #[error("cgroup `{path}` did not become {state} within {seconds} s")]
    Timeout {
        /// The path of the cgroup.
        path: String,
        /// What was waited for.
        state: &'static str,
        /// How long.
        seconds: u64,
    },
}

/// What the two errnos mean that the kernel gives for limits.
fn explain(source: &io::Error, setting: &str) -> &'static str {
    match source.raw_os_error() {
        Some(16) if setting.starts_with("memory") || setting.contains("swap") => {
            ": more than that is in use already"
        }
        Some(16) => ": the cgroup is in use in a way that forbids it",
        Some(22) => ": the kernel finds the value invalid",
        Some(34) => ": the value is out of range",
        _ => "",
    }
}

impl Failure for CgroupError {
    fn kind(&self) -> Kind {
        match self {
            CgroupError::NotMounted
            | CgroupError::NoController { .. }
            | CgroupError::NoFile { .. }
            | CgroupError::Unsupported { .. } => Kind::Unsupported,
            CgroupError::BadPath { .. } | CgroupError::BadValue { .. } => Kind::InvalidInput,
            CgroupError::Set { source, .. } => match source.raw_os_error() {
                Some(16) => Kind::Conflict,
                Some(22 | 34) => Kind::InvalidInput,
                Some(1 | 13 | 30) => Kind::Forbidden,
                _ => Kind::Internal,
            },
            CgroupError::Io { source, .. } => match source.raw_os_error() {
                Some(1 | 13 | 30) => Kind::Forbidden,
                Some(12 | 28) => Kind::ResourceExhausted,
                _ => Kind::Internal,
            },
            CgroupError::Gone { .. } => Kind::NotFound,
            CgroupError::Busy { .. } | CgroupError::InUse { .. } => Kind::Conflict,
            CgroupError::Timeout { .. } => Kind::Unavailable,
            CgroupError::Probe { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CgroupError::NotMounted => Some(
                "mount it, for example with `mount -t cgroup2 none /sys/fs/cgroup`".to_owned(),
            ),
            CgroupError::NoController { controller, .. } => Some(format!(
                "leave the limit out, or boot a kernel with the `{controller}` controller (see /proc/cgroups)"
            )),
            CgroupError::NoFile { .. } => {
                Some("leave the limit out, or use a kernel that has it".to_owned())
            }
            CgroupError::Unsupported { instead, .. } => Some((*instead).to_owned()),
            CgroupError::Busy { .. } => Some(
                "move these processes into a cgroup of their own first, or choose another `--cgroup-parent`"
                    .to_owned(),
            ),
            CgroupError::InUse { .. } => {
                Some("end these processes, or choose another name or `--cgroup-parent`".to_owned())
            }
            CgroupError::Set { source, setting, .. } if source.raw_os_error() == Some(16) => {
                Some(format!("set {setting} to more than what is in use, or stop the container first"))
            }
            _ => None,
        }
    }
}
