//! Acts: makes the process of a plan and follows it until its command is executed. What is said meanwhile is drawn in
//! the module `handshake`.

use crate::handshake::{CallerSide, FromCaller, FromInit, InitSide};
use crate::hook;
use crate::init::{self, Streams};
use crate::plan::{ExecPlan, Namespace, Plan};
use crate::start_error::StartError;
use naru_kernel::clone::{self, flags};
use naru_kernel::namespace::{self, Visit};
use naru_kernel::{channel, exec, mount};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// The standard streams of a process without a terminal.
#[derive(Debug)]
pub struct ChildStdio {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// How far a launch has come.
#[derive(Debug)]
pub enum Progress {
    /// Nothing new; wait for the handshake descriptor again.
    Waiting,
    /// The master side of the container's terminal.
    Console(OwnedFd),
    /// All is set up and the gate is reached.
    Gated,
    /// The command is being executed.
    Running,
}

/// A process that is on its way to its command.
#[derive(Debug)]
pub struct Launching {
    pid: u32,
    pidfd: OwnedFd,
    handshake: CallerSide,
    ready: bool,
    runtime_hooks: Vec<hook::HookPlan>,
    hook_state: serde_json::Map<String, serde_json::Value>,
    warnings: Vec<String>,
}

impl Launching {
    /// The process number, as the caller sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The process itself.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Becomes readable when [`Launching::advance`] has something to tell.
    pub fn handshake_fd(&self) -> BorrowedFd<'_> {
        self.handshake.0.as_fd()
    }

    /// Reads what init says, without blocking. After [`Progress::Running`] or an error there is nothing more to come;
    /// after an error the process is ending and its parent must wait for it.
    pub fn advance(&mut self) -> Result<Progress, StartError> {
        loop {
            match self.handshake.next() {
                FromInit::Nothing => return Ok(Progress::Waiting),
                FromInit::Warning(text) => self.warnings.push(text),
                FromInit::Console(master) => return Ok(Progress::Console(master)),
                FromInit::Gated => return Ok(Progress::Gated),
                FromInit::Ready => self.ready = true,
                FromInit::Error(error) => return Err(error),
                FromInit::End if self.ready => return Ok(Progress::Running),
                FromInit::End => {
                    return Err(StartError::other(
                        "init was killed before it could start the command",
                    ));
                }
                FromInit::NamespacesReady => {
                    for plan in &self.runtime_hooks {
                        hook::run(plan, &hook::state(&self.hook_state, "creating", self.pid))?;
                    }
                    self.tell(FromCaller::HooksDone)?;
                }
            }
        }
    }

    /// Lets a process that waits at [`Gate::Handshake`](crate::Gate::Handshake) go on.
    pub fn release(&mut self) -> Result<(), StartError> {
        self.tell(FromCaller::Go)
    }

    fn tell(&self, word: FromCaller) -> Result<(), StartError> {
        self.handshake
            .tell(word)
            .map_err(|error| StartError::other(format!("cannot talk to init: {error}")))
    }

    /// What could not be honoured to the letter, in words for the user; complete once it is running.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The process number, its descriptor and the warnings, once it is running.
    pub fn into_parts(self) -> (u32, OwnedFd, Vec<String>) {
        (self.pid, self.pidfd, self.warnings)
    }
}

/// Makes the container's process. Returns at once: follow it with [`Launching::advance`].
pub fn launch(plan: &Plan, stdio: Option<ChildStdio>) -> Result<Launching, StartError> {
    let namespaces = &plan.namespaces;
    let in_new_user_namespace = namespaces.makes(Namespace::User);
    let joined = namespaces
        .join
        .iter()
        .map(|(kind, path)| {
            let fd = namespace::open(path).map_err(|error| {
                StartError::other(format!(
                    "cannot open the {} namespace `{}`: {error}",
                    kind.file(),
                    path.display()
                ))
            })?;
            Ok((*kind, fd))
        })
        .collect::<Result<Vec<_>, StartError>>()?;
    // The new process is born in the joined process namespace; and from inside a new user namespace nothing that
    // belongs to the host could be joined. So this thread goes there, forks, and comes back.
    let mut visit = Visit::begin();
    let mut left_to_init = Vec::new();
    for (kind, fd) in joined {
        if kind == Namespace::Pid || in_new_user_namespace {
            visit.enter(&fd, kind.flag(), kind.file()).map_err(|error| {
                StartError::other(format!("cannot join the {} namespace: {error}", kind.file()))
            })?;
        } else {
            left_to_init.push((kind, fd));
        }
    }
    // The cgroup namespace is made by init once it is in its cgroups: what it is in then becomes the top. In a joined
    // user namespace init makes all of them.
    let later = if left_to_init.iter().any(|(kind, _)| *kind == Namespace::User) {
        !0
    } else {
        flags::CGROUP
    };
    let new = namespaces.new.iter().fold(0, |all, kind| all | kind.flag());
    let root = if in_new_user_namespace { Some(init::prepare(&plan.root)?) } else { None };
    let unified = unified_cgroup(&plan.cgroup_join);
    let (caller_end, init_end) = pair()?;
    let cgroup_join = without_unified(&plan.cgroup_join, unified.as_ref());
    let entry = init::Entry { join: left_to_init, leave: new & later, root, cgroup_join };
    let child = spawn(new & !later, unified.as_ref(), || {
        init::run(plan, &entry, Streams::new(stdio), InitSide(init_end))
    })?;
    visit
        .end()
        .map_err(|error| StartError::other(format!("cannot leave a joined namespace: {error}")))?;
    let mut launching = Launching {
        pid: child.pid,
        pidfd: child.pidfd,
        handshake: CallerSide(caller_end),
        ready: false,
        runtime_hooks: plan.runtime_hooks.clone(),
        hook_state: plan.hook_state.clone(),
        warnings: plan.warnings.clone(),
    };
    if let Some(maps) = &plan.maps {
        let (uids, gids) = maps.texts();
        namespace::write_maps(launching.pid, &uids, &gids)
            .map_err(|error| StartError::other(format!("cannot map users and groups: {error}")))?;
        for file in &entry.cgroup_join {
            init::join_cgroup(file, launching.pid)?;
        }
        // Files of a process that must not be looked into belong to the host's root, so it cannot do this itself.
        if let Some(value) = plan.process.oom_score_adj {
            let process = PathBuf::from(format!("/proc/{}", launching.pid));
            launching.warnings.extend(init::set_oom_score(&process, value)?);
        }
        launching.tell(FromCaller::MapsWritten)?;
    }
    Ok(launching)
}

/// Makes a further process in the container of `target`, the descriptor of any process of it. The caller becomes its parent.
pub fn launch_exec(
    plan: &ExecPlan,
    target: BorrowedFd<'_>,
    stdio: Option<ChildStdio>,
) -> Result<Launching, StartError> {
    let cannot_join = |error| StartError::other(format!("cannot join the container: {error}"));
    let mut visit = Visit::begin();
    visit.enter(target, flags::PID, "pid").map_err(cannot_join)?;
    let (caller_end, init_end) = pair()?;
    let unified = unified_cgroup(&plan.cgroup_join);
    let cgroup_join = without_unified(&plan.cgroup_join, unified.as_ref());
    let child = spawn(0, unified.as_ref(), || {
        init::run_exec(plan, &cgroup_join, target, Streams::new(stdio), InitSide(init_end))
    })?;
    visit.end().map_err(cannot_join)?;
    Ok(Launching {
        pid: child.pid,
        pidfd: child.pidfd,
        handshake: CallerSide(caller_end),
        ready: false,
        runtime_hooks: Vec::new(),
        hook_state: serde_json::Map::new(),
        warnings: plan.warnings.clone(),
    })
}

fn pair() -> Result<(OwnedFd, OwnedFd), StartError> {
    channel::pair()
        .map_err(|error| StartError::other(format!("cannot make a socket pair: {error}")))
}

/// The directory of the unified cgroup tree among those to join. A process is born in it, because moving one there takes
/// a lock of the whole system, which can take 10 ms to get.
fn unified_cgroup(join: &[PathBuf]) -> Option<OwnedFd> {
    let directory = join.iter().find(|file| file.ends_with("cgroup.procs"))?.parent()?;
    let directory = naru_kernel::path::open_directory(directory).ok()?;
    (mount::magic(&directory).ok()? == mount::CGROUP2_MAGIC).then_some(directory)
}

fn without_unified(join: &[PathBuf], unified: Option<&OwnedFd>) -> Vec<PathBuf> {
    let mut born_in = unified.is_some();
    join.iter()
        .filter(|file| !(file.ends_with("cgroup.procs") && std::mem::take(&mut born_in)))
        .cloned()
        .collect()
}

/// The new process must not be looked into from its first instant on: it still has our descriptors and our binary.
fn spawn(
    namespaces: u64,
    cgroup: Option<&OwnedFd>,
    body: impl FnOnce() -> u8,
) -> Result<clone::Child, StartError> {
    let cannot = |error| StartError::other(format!("cannot make a process: {error}"));
    let before = exec::set_dumpable(false).map_err(cannot)?;
    let child = clone::spawn(namespaces, cgroup.map(AsFd::as_fd), body);
    if before {
        exec::set_dumpable(true).map_err(cannot)?;
    }
    child.map_err(cannot)
}
