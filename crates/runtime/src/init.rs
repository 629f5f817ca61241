//! What the new process does until it executes the command. Acts: in the order of the plan.
//!
//! Each step says what it attempted when it fails.
//!
//! Until `pivot_root` the host's files are in sight, so whatever must be trusted is opened before: the settings under
//! `/proc/sys`, the null device for masks. Everything inside the container's root is reached through a descriptor of
//! that root with `openat2`, and what is mounted is a detached mount attached to an open directory, so that neither a
//! link nor a race in the root leads anywhere else.

mod copy_up;
mod devices;
mod lockdown;
mod masks;
mod mounts;
mod reaper;
mod root;
mod streams;
mod user;

pub(crate) use streams::Streams;

use crate::handshake::{FromCaller, InitSide};
use crate::hook;
use crate::plan::{ExecPlan, Gate, Namespace, Plan, ProcessPlan};
use crate::start_error::StartError;
use naru_kernel::clone::{self, flags};
use naru_kernel::{credentials, namespace, path};
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Says what was attempted.
trait Attempt<T> {
    fn attempt<D: Display>(self, what: impl FnOnce() -> D) -> Result<T, StartError>;
}

impl<T, E: Into<io::Error>> Attempt<T> for Result<T, E> {
    fn attempt<D: Display>(self, what: impl FnOnce() -> D) -> Result<T, StartError> {
        self.map_err(|error| {
            StartError::other(format!("cannot {}: {}", what(), words(&error.into())))
        })
    }
}

/// An error without the number that the standard library appends.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text).to_owned();
    words.to_lowercase()
}

/// What the caller has prepared for the first process of a container.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Namespaces that it has to join.
    pub(crate) join: Vec<(Namespace, OwnedFd)>,
    /// Namespaces that it has to make, as flags.
    pub(crate) leave: u64,
    /// Its root as a detached mount, where it has no right to mount it itself.
    pub(crate) root: Option<OwnedFd>,
    /// The cgroups that it is not in yet, as files to write to.
    pub(crate) cgroup_join: Vec<PathBuf>,
}

pub(crate) use root::prepare;

/// The first process of a container. Returns the exit code when the command could not be executed, or when it was our
/// own init that stayed.
pub(crate) fn run(plan: &Plan, entry: &Entry, streams: Streams, side: InitSide) -> u8 {
    guarded(side, streams, |side| container(plan, entry, side))
}

/// A further process in a container.
pub(crate) fn run_exec(
    plan: &ExecPlan,
    cgroup_join: &[PathBuf],
    target: BorrowedFd<'_>,
    streams: Streams,
    side: InitSide,
) -> u8 {
    guarded(side, streams, |side| further(plan, cgroup_join, target, side))
}

/// Arranges descriptors and signals, runs the body, and reports its error, or its panic, through the socket.
fn guarded(
    side: InitSide,
    streams: Streams,
    body: impl FnOnce(&InitSide) -> Result<u8, StartError>,
) -> u8 {
    std::panic::set_hook(Box::new(|_panic| {}));
    let side = match streams.place(side) {
        Ok(side) => side,
        Err((side, error)) => {
            side.error(&StartError::other(format!("cannot arrange descriptors: {error}")));
            return 1;
        }
    };
    let result = catch_unwind(AssertUnwindSafe(|| {
        clone::reset_signals().attempt(|| "reset signals")?;
        body(&side)
    }));
    match result {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            side.error(&error);
            1
        }
        Err(_) => {
            side.error(&StartError::other("init panicked"));
            1
        }
    }
}

fn container(plan: &Plan, entry: &Entry, side: &InitSide) -> Result<u8, StartError> {
    credentials::set_umask(0);
    if plan.init {
        // It stays, and would show the command line of its parent inside. Without the right to, it does.
        naru_kernel::process::set_title(c"naru-init").ok();
    }
    if plan.maps.is_some() {
        side.wait_for(FromCaller::MapsWritten)?;
        become_root()?;
    } else {
        for file in &entry.cgroup_join {
            join_cgroup(file, 0)?;
        }
    }
    enter_namespaces(&entry.join, entry.leave)?;
    if plan.new_keyring {
        credentials::new_keyring(&format!("_ses.{}", plan.id))
            .attempt(|| "make a session keyring")?;
    }
    if plan.namespaces.makes(Namespace::Network) {
        // As runc does: services reach each other over loopback also where there is no other interface.
        if let Err(error) = namespace::loopback_up() {
            side.warning(&format!("the loopback interface stays down: {error}"));
        }
    }
    if let Some(name) = &plan.hostname {
        namespace::set_host_name(name).attempt(|| format!("set the host name `{name}`"))?;
    }
    if let Some(name) = &plan.domainname {
        namespace::set_domain_name(name).attempt(|| format!("set the domain name `{name}`"))?;
    }
    if plan.maps.is_none() {
        set_own_oom_score(&plan.process, side)?;
    }
    set_sysctls(plan)?;
    if !plan.runtime_hooks.is_empty() {
        side.namespaces_ready().attempt(|| "talk to the launching process")?;
        side.wait_for(FromCaller::HooksDone)?;
    }
    let gate = open_gate(&plan.gate)?;
    let label = lockdown::Label::open(&plan.process)?;
    let own_binary = lockdown::OwnBinary::open();

    let root = root::mount(plan, entry.root.as_ref())?;
    mounts::mount_all(&plan.mounts, &root)?;
    for hook in &plan.create_container_hooks {
        hook::run(hook, &hook::state(&plan.hook_state, "creating", std::process::id()))?;
    }
    devices::make_all(plan, &root)?;
    let terminal = streams::Terminal::open(plan.process.terminal, &root)?;
    if let Some(terminal) = &terminal {
        terminal.bind_console(&root)?;
        side.console(terminal.master()).attempt(|| "hand over the terminal")?;
    }
    masks::cover(plan, &root)?;
    root::make_directories(&root, &plan.process.cwd)
        .map_err(|error| lockdown::bad_workdir(&plan.process.cwd, &error))?;
    mounts::finish(&plan.mounts, &root)?;
    naru_kernel::mount::pivot_into(&root).attempt(|| "enter the container's root")?;
    if plan.root_readonly {
        root::make_read_only()?;
    }

    let last = lockdown::Last {
        process: &plan.process,
        side,
        gate,
        label,
        own_binary,
        hooks: &plan.start_container_hooks,
        hook_state: &plan.hook_state,
    };
    if plan.init {
        return reaper::stay(&plan.process, terminal, root, last);
    }
    new_session(terminal)?;
    last.execute(&root)
}

fn further(
    plan: &ExecPlan,
    cgroup_join: &[PathBuf],
    target: BorrowedFd<'_>,
    side: &InitSide,
) -> Result<u8, StartError> {
    credentials::set_umask(0);
    for file in cgroup_join {
        join_cgroup(file, 0)?;
    }
    set_own_oom_score(&plan.process, side)?;
    let label = lockdown::Label::open(&plan.process)?;
    let own_binary = lockdown::OwnBinary::open();
    let user = if plan.user_namespace { flags::USER } else { 0 };
    let all = flags::MOUNT | flags::NETWORK | flags::IPC | flags::UTS | flags::CGROUP | user;
    namespace::join(target, all).attempt(|| "join the container's namespaces")?;
    if plan.user_namespace {
        become_root()?;
    }
    let root = path::open_directory("/").attempt(|| "open the container's root")?;
    let terminal = streams::Terminal::open(plan.process.terminal, &root)?;
    if let Some(terminal) = &terminal {
        side.console(terminal.master()).attempt(|| "hand over the terminal")?;
    }
    new_session(terminal)?;
    lockdown::Last {
        process: &plan.process,
        side,
        gate: lockdown::Waiting::No,
        label,
        own_binary,
        hooks: &[],
        hook_state: &serde_json::Map::new(),
    }
    .execute(&root)
}

fn new_session(terminal: Option<streams::Terminal>) -> Result<(), StartError> {
    credentials::new_session().attempt(|| "make a session")?;
    if let Some(terminal) = terminal {
        terminal.take()?;
    }
    Ok(())
}

/// Puts a process into a cgroup; 0 is this one.
pub(crate) fn join_cgroup(file: &Path, pid: u32) -> Result<(), StartError> {
    std::fs::File::options()
        .write(true)
        .open(file)
        .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
        .attempt(|| format!("join the cgroup `{}`", file.display()))
}

/// In a new user namespace this process is nobody until it says who it is.
fn become_root() -> Result<(), StartError> {
    match credentials::set_groups(&[]) {
        // Where dropping groups is denied they stay; they mean nothing inside.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        result => result.attempt(|| "drop groups")?,
    }
    credentials::set_ids(0, 0).attempt(|| "become root of the user namespace")
}

fn enter_namespaces(joined: &[(Namespace, OwnedFd)], new: u64) -> Result<(), StartError> {
    let mut joined = joined.iter().collect::<Vec<_>>();
    joined.sort_by_key(|(kind, _)| *kind != Namespace::User);
    let mut as_user = false;
    for (kind, fd) in joined {
        namespace::join(fd, kind.flag())
            .attempt(|| format!("join the {} namespace", kind.file()))?;
        as_user |= *kind == Namespace::User;
    }
    if as_user {
        become_root()?;
    }
    if new != 0 {
        namespace::leave(new).attempt(|| "make namespaces")?;
    }
    Ok(())
}

/// Sets it for a process given as its directory under `/proc`. Lowering needs a capability that a daemon may not have;
/// the container can live without, and the user is told.
pub(crate) fn set_oom_score(process: &Path, value: i32) -> Result<Option<String>, StartError> {
    let file = process.join("oom_score_adj");
    match write_proc(&file, &value.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Some(format!(
            "oom_score_adj {value} was not set: lowering it is not permitted to this process"
        ))),
        result => {
            result.attempt(|| format!("write `{value}` to `{}`", file.display()))?;
            Ok(None)
        }
    }
}

fn set_own_oom_score(process: &ProcessPlan, side: &InitSide) -> Result<(), StartError> {
    if let Some(value) = process.oom_score_adj
        && let Some(warning) = set_oom_score(Path::new("/proc/self"), value)?
    {
        side.warning(&warning);
    }
    Ok(())
}

fn set_sysctls(plan: &Plan) -> Result<(), StartError> {
    for (name, value) in &plan.sysctls {
        let file = Path::new("/proc/sys").join(name);
        write_proc(&file, value)
            .attempt(|| format!("set the kernel setting `{}` to `{value}`", name.display()))?;
    }
    Ok(())
}

/// Writes to a file below the host's `/proc`, and only if it really is one of procfs.
fn write_proc(file: &Path, value: &str) -> io::Result<()> {
    let mut file = std::fs::File::options().write(true).open(file)?;
    if naru_kernel::mount::magic(&file)? != naru_kernel::mount::PROC_MAGIC {
        return Err(io::Error::other("not a file of procfs"));
    }
    file.write_all(value.as_bytes())
}

fn open_gate(gate: &Gate) -> Result<lockdown::Waiting, StartError> {
    match gate {
        Gate::Open => Ok(lockdown::Waiting::No),
        Gate::Handshake => Ok(lockdown::Waiting::Handshake),
        // Open for both, so that neither side's opening blocks and nobody sees the end of it.
        Gate::Fifo(path) => std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .attempt(|| format!("open the gate `{}`", path.display()))
            .map(lockdown::Waiting::Fifo),
    }
}

/// Reads a file of the container, which may be anything: a regular file of bounded length, or an error.
fn read_bounded(root: &OwnedFd, file: &str, most: u64) -> io::Result<String> {
    let flags = path::OFlags::RDONLY | path::OFlags::NONBLOCK | path::OFlags::NOCTTY;
    let file = std::fs::File::from(path::open_in_root(root, file, flags)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("longer than {most} bytes"),
        ));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Who will run the command, from the plan and the container's own files.
fn identity(process: &ProcessPlan, root: &OwnedFd) -> Result<user::Identity, StartError> {
    user::resolve(&process.user, &mut |file| read_bounded(root, file, user::LONGEST_FILE))
}
