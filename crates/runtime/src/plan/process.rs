//! Pure: what is true of a process itself, whether it is a container's first or a further one.

use super::{CapabilitySets, Filter, Host, PlanError, capabilities};
use naru_oci::runtime::{PosixRlimitType, Process};
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

impl Rlimit {
    /// The name of the resource, for messages.
    pub(crate) fn name(&self) -> &'static str {
        const NAMES: [&str; 16] = [
            "RLIMIT_CPU",
            "RLIMIT_FSIZE",
            "RLIMIT_DATA",
            "RLIMIT_STACK",
            "RLIMIT_CORE",
            "RLIMIT_RSS",
            "RLIMIT_NPROC",
            "RLIMIT_NOFILE",
            "RLIMIT_MEMLOCK",
            "RLIMIT_AS",
            "RLIMIT_LOCKS",
            "RLIMIT_SIGPENDING",
            "RLIMIT_MSGQUEUE",
            "RLIMIT_NICE",
            "RLIMIT_RTPRIO",
            "RLIMIT_RTTIME",
        ];
        usize::try_from(self.resource)
            .ok()
            .and_then(|number| NAMES.get(number).copied())
            .unwrap_or("RLIMIT_?")
    }
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

/// What is not in the OCI process structure.
pub(crate) struct Given<'a> {
    pub(crate) user: Option<&'a UserRequest>,
    pub(crate) seccomp: Option<(Filter, u32)>,
    pub(crate) preserve_fds: u32,
    pub(crate) personality: Option<u32>,
}

pub(crate) fn resolve(
    process: &Process,
    given: Given<'_>,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<ProcessPlan, PlanError> {
    refuse_unsupported(process)?;
    let args = process.args().clone().unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(PlanError::invalid("process.args", "no command"));
    }
    let env = process.env().clone().unwrap_or_default();
    for (field, list) in [("process.args", &args), ("process.env", &env)] {
        if let Some(text) = list.iter().find(|text| text.contains('\0')) {
            return Err(PlanError::invalid(field, format!("{text:?} has a zero byte")));
        }
    }
    if !process.cwd().is_absolute() {
        let why = format!("`{}` is not an absolute path", process.cwd().display());
        return Err(PlanError::invalid("process.cwd", why));
    }
    let user = match given.user {
        Some(request) => UserPlan::Lookup(request.clone()),
        None => UserPlan::Ids {
            uid: process.user().uid(),
            gid: process.user().gid(),
            groups: process.user().additional_gids().clone().unwrap_or_default(),
        },
    };
    Ok(ProcessPlan {
        args,
        env,
        cwd: super::mounts::clean(process.cwd()),
        user,
        umask: process.user().umask().unwrap_or(0o022) & 0o777,
        capabilities: capabilities::resolve(
            process.capabilities().as_ref(),
            host.bounding,
            warnings,
        )?,
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        rlimits: rlimits(process)?,
        seccomp: given.seccomp,
        terminal: terminal(process)?,
        oom_score_adj: oom_score_adj(process)?,
        apparmor: label(
            "process.apparmorProfile",
            process.apparmor_profile().as_deref().filter(|name| *name != "unconfined"),
            host.apparmor,
        )?,
        selinux: label("process.selinuxLabel", process.selinux_label().as_deref(), host.selinux)?,
        personality: given.personality,
        preserve_fds: given.preserve_fds,
    })
}

fn refuse_unsupported(process: &Process) -> Result<(), PlanError> {
    let refused: [(&'static str, bool); 3] = [
        ("process.scheduler", process.scheduler().is_some()),
        ("process.ioPriority", process.io_priority().is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity().is_some()),
    ];
    match refused.into_iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(PlanError::unsupported(field, "leave it out")),
        None => Ok(()),
    }
}

fn oom_score_adj(process: &Process) -> Result<Option<i32>, PlanError> {
    match process.oom_score_adj() {
        Some(value) if !(-1000..=1000).contains(&value) => {
            let why = format!("{value} is not between -1000 and 1000");
            Err(PlanError::invalid("process.oomScoreAdj", why))
        }
        value => Ok(value),
    }
}

fn terminal(process: &Process) -> Result<Option<TerminalSize>, PlanError> {
    if !process.terminal().unwrap_or(false) {
        return Ok(None);
    }
    let Some(size) = process.console_size() else { return Ok(Some(TerminalSize::default())) };
    let number = |value: u64| {
        u16::try_from(value).map_err(|_range| {
            PlanError::invalid("process.consoleSize", format!("{value} is out of range"))
        })
    };
    Ok(Some(TerminalSize { rows: number(size.height())?, columns: number(size.width())? }))
}

fn label(
    field: &'static str,
    name: Option<&str>,
    active: bool,
) -> Result<Option<String>, PlanError> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) if !active => {
            let why = format!("`{name}`: the kernel of this host has it switched off");
            Err(PlanError::unsupported(field, why))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

fn rlimits(process: &Process) -> Result<Vec<Rlimit>, PlanError> {
    let mut limits: Vec<Rlimit> = Vec::new();
    for given in process.rlimits().iter().flatten() {
        let limit =
            Rlimit { resource: number(given.typ()), soft: given.soft(), hard: given.hard() };
        if limit.soft > limit.hard {
            let why = format!(
                "{}: the soft limit {} is above the hard limit {}",
                limit.name(),
                limit.soft,
                limit.hard
            );
            return Err(PlanError::invalid("process.rlimits", why));
        }
        if limits.iter().any(|other| other.resource == limit.resource) {
            let why = format!("{} is there twice", limit.name());
            return Err(PlanError::invalid("process.rlimits", why));
        }
        limits.push(limit);
    }
    Ok(limits)
}

fn number(resource: PosixRlimitType) -> u32 {
    match resource {
        PosixRlimitType::RlimitCpu => 0,
        PosixRlimitType::RlimitFsize => 1,
        PosixRlimitType::RlimitData => 2,
        PosixRlimitType::RlimitStack => 3,
        PosixRlimitType::RlimitCore => 4,
        PosixRlimitType::RlimitRss => 5,
        PosixRlimitType::RlimitNproc => 6,
        PosixRlimitType::RlimitNofile => 7,
        PosixRlimitType::RlimitMemlock => 8,
        PosixRlimitType::RlimitAs => 9,
        PosixRlimitType::RlimitLocks => 10,
        PosixRlimitType::RlimitSigpending => 11,
        PosixRlimitType::RlimitMsgqueue => 12,
        PosixRlimitType::RlimitNice => 13,
        PosixRlimitType::RlimitRtprio => 14,
        PosixRlimitType::RlimitRttime => 15,
    }
}
