//! Acts: the last steps before the command: who it is, what it may, where it stands, what it is; and then it is executed.
//!
//! Every descriptor of ours is closed before the working directory is entered and the command is looked for, so neither
//! can be named through `/proc/self/fd`. The filter comes last: with `no_new_privileges` right before `execve`, without
//! it while there still is the right to install one.

use super::Attempt;
use super::user::Identity;
use crate::handshake::{FromCaller, InitSide};
use crate::hook::{self, HookPlan};
use crate::plan::{CapabilitySets, ProcessPlan, capabilities};
use crate::start_error::{Reason, StartError};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::rlimit::{self, Limit};
use naru_kernel::{capability, clone, credentials, exec, mount};
use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where to look for a command when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to wait for before the command.
pub(super) enum Waiting {
    No,
    Handshake,
    Fifo(File),
}

/// The files of procfs that take the labels of the next `execve`, opened while the host's procfs is in sight.
pub(super) struct Label(Vec<(File, String)>);

impl Label {
    pub(super) fn open(process: &ProcessPlan) -> Result<Label, StartError> {
        let mut labels = Vec::new();
        let apparmor =
            process.apparmor.as_ref().map(|name| ("apparmor/exec", format!("exec {name}")));
        let selinux = process.selinux.as_ref().map(|label| ("exec", label.clone()));
        for (file, text) in apparmor.into_iter().chain(selinux) {
            let path = Path::new("/proc/self/attr").join(file);
            let file = File::options()
                .write(true)
                .open(&path)
                .and_then(|file| match mount::magic(&file)? {
                    mount::PROC_MAGIC => Ok(file),
                    _ => Err(io::Error::other("not a file of procfs")),
                })
                .attempt(|| format!("open `{}`", path.display()))?;
            labels.push((file, text));
        }
        Ok(Label(labels))
    }

    fn write(&mut self) -> Result<(), StartError> {
        for (file, text) in &mut self.0 {
            file.write_all(text.as_bytes()).attempt(|| format!("set the label `{text}`"))?;
        }
        Ok(())
    }
}

/// Our own binary, by mount, device and inode: a command that turns out to be this very file came through a magic link.
pub(super) struct OwnBinary(Option<(u64, u64, u64)>);

impl OwnBinary {
    pub(super) fn open() -> OwnBinary {
        OwnBinary(mount::identity("/proc/self/exe").ok())
    }
}

/// What the last steps need.
pub(super) struct Last<'a> {
    pub(super) process: &'a ProcessPlan,
    pub(super) side: &'a InitSide,
    pub(super) gate: Waiting,
    pub(super) label: Label,
    pub(super) own_binary: OwnBinary,
    pub(super) hooks: &'a [HookPlan],
    pub(super) hook_state: &'a serde_json::Map<String, serde_json::Value>,
}

impl Last<'_> {
    /// Executes the command. When that fails the caller is told and this process ends: its descriptors are closed under
    /// their owners, so nothing else may run any more.
    pub(super) fn execute(mut self, root: &OwnedFd) -> ! {
        let error = match self.try_execute(root) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        self.side.error(&error);
        clone::exit_now(1)
    }

    fn try_execute(&mut self, root: &OwnedFd) -> Result<Infallible, StartError> {
        let process = self.process;
        let identity = super::identity(process, root)?;
        set_rlimits(process, self.side)?;
        give_streams(&identity)?;
        self.close_descriptors()?;
        let needs_right = process.seccomp.is_some() && !process.no_new_privileges;
        let extra = if needs_right { capabilities::SYS_ADMIN } else { 0 };
        assume(&process.capabilities, &identity, extra)?;
        credentials::set_umask(process.umask);
        credentials::enter_directory(&process.cwd)
            .map_err(|error| bad_workdir(&process.cwd, &error))?;
        let environment = environment(&process.env, &identity)?;
        let arguments =
            process.args.iter().map(|text| c_string(text)).collect::<Result<Vec<_>, _>>()?;
        let name = process.args.first().map(String::as_str).unwrap_or_default();
        let command = find_command(name, &process.env)?;
        self.check_is_not_ours(name, &command)?;
        self.wait()?;
        for plan in self.hooks {
            hook::run(plan, &hook::state(self.hook_state, "created", std::process::id()))?;
        }
        self.label.write()?;
        if let Some(domain) = process.personality {
            credentials::set_personality(domain).attempt(|| "set the personality")?;
        }
        let command_path = c_string_bytes(command.as_os_str())?;
        if process.no_new_privileges {
            credentials::no_new_privileges().attempt(|| "give up new privileges")?;
        }
        self.side.ready();
        if needs_right {
            self.install_filter()?;
            finish_capabilities(&process.capabilities)?;
        } else {
            finish_capabilities(&process.capabilities)?;
            self.install_filter()?;
        }
        let error = exec::execute(&command_path, &arguments, &environment);
        Err(not_executable(name, &error))
    }

    /// Closes everything but the standard streams, what the command is to inherit, and what is needed until `execve`.
    fn close_descriptors(&self) -> Result<(), StartError> {
        let first = 3 + i32::try_from(self.process.preserve_fds).unwrap_or(i32::MAX - 3);
        for number in 3..first {
            drop(exec::leave_open(number));
        }
        let mut keep = vec![self.side.0.as_raw_fd()];
        if let Waiting::Fifo(file) = &self.gate {
            keep.push(file.as_raw_fd());
        }
        keep.extend(self.label.0.iter().map(|(file, _)| file.as_raw_fd()));
        keep.retain(|number| *number >= first);
        keep.sort_unstable();
        let mut from: RawFd = first;
        for number in keep {
            if number > from {
                exec::close_between(from, number - 1).attempt(|| "close descriptors")?;
            }
            from = number + 1;
        }
        exec::close_from(from).attempt(|| "close descriptors")
    }

    fn check_is_not_ours(&self, name: &str, command: &Path) -> Result<(), StartError> {
        let Some(own) = self.own_binary.0 else { return Ok(()) };
        match mount::identity(command) {
            Ok(found) if found == own => Err(StartError::new(
                Reason::NotExecutable,
                format!("exec: {name:?}: permission denied: it leads out of the container"),
            )),
            _ => Ok(()),
        }
    }

    fn wait(&mut self) -> Result<(), StartError> {
        match &mut self.gate {
            Waiting::No => return Ok(()),
            Waiting::Handshake => {
                self.side.gated().attempt(|| "talk to the launching process")?;
                return self.side.wait_for(FromCaller::Go);
            }
            Waiting::Fifo(file) => {
                self.side.gated().attempt(|| "talk to the launching process")?;
                file.read_exact(&mut [0]).attempt(|| "wait at the gate")?;
            }
        }
        if let Waiting::Fifo(file) = std::mem::replace(&mut self.gate, Waiting::No) {
            drop(file);
        }
        Ok(())
    }

    fn install_filter(&self) -> Result<(), StartError> {
        match &self.process.seccomp {
            None => Ok(()),
            Some((filter, flags)) => credentials::install_filter(&filter.0, *flags)
                .attempt(|| "install the system call filter"),
        }
    }
}

/// Becomes who the command will be: bounding set, groups, user, and the capability sets, `extra` kept for a little while.
pub(super) fn assume(
    sets: &CapabilitySets,
    identity: &Identity,
    extra: u64,
) -> Result<(), StartError> {
    capability::limit_bounding(sets.bounding).attempt(|| "drop capabilities for good")?;
    credentials::keep_capabilities(true).attempt(|| "keep capabilities")?;
    match credentials::set_groups(&identity.groups) {
        // Where a user namespace denies it, there must be nothing to set.
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied && identity.groups.is_empty() => {}
        result => result.map_err(|error| bad_user("set the groups", identity, &error))?,
    }
    credentials::set_ids(identity.uid, identity.gid)
        .map_err(|error| bad_user("become the user", identity, &error))?;
    credentials::keep_capabilities(false).attempt(|| "keep capabilities")?;
    // The change of user made this process readable for others, if the system's settings are so.
    exec::set_dumpable(false).attempt(|| "hide from others")?;
    let (_, permitted, _) = capability::current().attempt(|| "read capabilities")?;
    let (effective, wanted) = (sets.effective | extra, sets.permitted | extra);
    capability::set(effective & permitted, wanted & permitted, sets.inheritable)
        .attempt(|| "set capabilities")
}

fn finish_capabilities(sets: &CapabilitySets) -> Result<(), StartError> {
    let (_, permitted, _) = capability::current().attempt(|| "read capabilities")?;
    capability::set(sets.effective & permitted, sets.permitted & permitted, sets.inheritable)
        .attempt(|| "set capabilities")?;
    capability::set_ambient(sets.ambient).attempt(|| "set ambient capabilities")
}

fn bad_user(what: &str, identity: &Identity, error: &io::Error) -> StartError {
    let message =
        format!("cannot {what} {}:{}: {}", identity.uid, identity.gid, super::words(error));
    StartError::new(Reason::BadUser, message)
}

pub(super) fn bad_workdir(directory: &Path, error: &io::Error) -> StartError {
    let message =
        format!("chdir to cwd (\"{}\") failed: {}", directory.display(), super::words(error));
    StartError::new(Reason::BadWorkdir, message)
}

fn set_rlimits(process: &ProcessPlan, side: &InitSide) -> Result<(), StartError> {
    for limit in &process.rlimits {
        let wanted = Limit { soft: limit.soft, hard: limit.hard };
        let set = rlimit::set_clamped(limit.resource, wanted)
            .attempt(|| format!("set {} to {}:{}", limit.name(), limit.soft, limit.hard))?;
        if set != wanted {
            side.warning(&format!(
                "{} {}:{} is above what this process may give; it is {}:{}",
                limit.name(),
                limit.soft,
                limit.hard,
                set.soft,
                set.hard
            ));
        }
    }
    Ok(())
}

/// The command must be able to open its own streams again by name (`/dev/stdout`), as images that log there expect.
fn give_streams(identity: &Identity) -> Result<(), StartError> {
    for number in 0..3 {
        let Ok(stream) = exec::borrowed(number) else { continue };
        let Ok(status) = node::status(stream) else { continue };
        let null = status.kind == NodeKind::CharDevice && status.rdev == (1, 3);
        if null || status.uid == identity.uid {
            continue;
        }
        give_stream(stream, identity, status.gid)?;
    }
    Ok(())
}

fn give_stream(stream: BorrowedFd<'_>, identity: &Identity, gid: u32) -> Result<(), StartError> {
    match node::set_owner(stream, identity.uid, gid) {
        // Streams on a read-only or foreign file system, or owned by nobody inside: as they are.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        result => result.attempt(|| "give the standard streams to the user"),
    }
}

/// The environment with a home directory, which programs rely on.
fn environment(given: &[String], identity: &Identity) -> Result<Vec<CString>, StartError> {
    let mut environment = given.iter().map(|text| c_string(text)).collect::<Result<Vec<_>, _>>()?;
    if !given.iter().any(|entry| entry.starts_with("HOME=")) {
        environment.push(c_string(&format!("HOME={}", identity.home))?);
    }
    Ok(environment)
}

fn c_string(text: &str) -> Result<CString, StartError> {
    CString::new(text).map_err(|_zero| StartError::other(format!("{text:?} has a zero byte")))
}

fn c_string_bytes(text: &OsStr) -> Result<CString, StartError> {
    CString::new(text.as_bytes())
        .map_err(|_zero| StartError::other(format!("{:?} has a zero byte", text.display())))
}

/// The file of a command: by its path, or along the search path, as a shell would find it.
fn find_command(name: &str, environment: &[String]) -> Result<PathBuf, StartError> {
    if name.contains('/') {
        return match check(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                let why = super::words(&error);
                Err(StartError::new(
                    Reason::NotFound,
                    format!("exec: {name:?}: stat {name}: {why}"),
                ))
            }
            Err(error) => Err(not_executable(name, &error)),
        };
    }
    let path = environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    for directory in path.unwrap_or(DEFAULT_PATH).split(':') {
        let file = Path::new(if directory.is_empty() { "." } else { directory }).join(name);
        if check(&file).is_ok() {
            return Ok(file);
        }
    }
    let message = format!("exec: {name:?}: executable file not found in $PATH");
    Err(StartError::new(Reason::NotFound, message))
}

fn check(file: &Path) -> io::Result<()> {
    let metadata = std::fs::metadata(file)?;
    if metadata.is_dir() {
        let message = "is a directory: permission denied";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    credentials::may_execute(&CString::new(file.as_os_str().as_bytes())?)
}

/// The file is there, and the kernel would not have it.
fn not_executable(name: &str, error: &io::Error) -> StartError {
    if error.kind() == io::ErrorKind::NotFound {
        let message = format!(
            "exec: {name:?}: no such file or directory: the file is there, its interpreter is not"
        );
        return StartError::new(Reason::NotFound, message);
    }
    StartError::new(Reason::NotExecutable, format!("exec: {name:?}: {}", super::words(error)))
}
