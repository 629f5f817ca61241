//! Acts: `exec`: a further process in a running container.

use super::arguments::{Arguments, Parsed};
use super::follow::{self, Console, Until};
use super::state::{State, Status, cgroup};
use super::{Global, io, protect};
use crate::plan::{ExecOptions, Filter, Host, UserRequest, capabilities, filter_of, plan_exec};
use naru_errdefs::{Fault, Kind};
use naru_kernel::reap;
use naru_oci::runtime::{Capabilities, Capability, Process, UserBuilder};
use std::os::fd::AsFd;
use std::str::FromStr;

/// `exec [options] ID COMMAND…` or `exec --process FILE ID`.
pub(super) fn exec(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    protect();
    let id = parsed.id()?;
    let state = global.read(&id)?;
    match global.status(&state) {
        Status::Running | Status::Created => {}
        Status::Paused if parsed.options.has("ignore-paused") => {}
        other => {
            let message = format!("cannot execute in container `{id}`: it is {}", other.word());
            return Err(Fault::conflict(message));
        }
    }
    let detached = parsed.options.has("detach");
    let (process, user) = process(&state, parsed)?;
    let terminal = process.terminal().unwrap_or(false);
    let mut console = Console::open(parsed.options.value("console-socket"), terminal, detached)?;
    let linux = state.spec.linux().as_ref();
    let cgroup_join = match cgroup(&state)? {
        Some(cgroup) => cgroup.membership_beside(state.pid).files(),
        None => Vec::new(),
    };
    let filter = filter_of(linux.and_then(|linux| linux.seccomp().as_ref()))?;
    let options = ExecOptions {
        cgroup_join,
        user_namespace: has_user_namespace(state.pid)?,
        user,
        seccomp: filter.map(|(filter, _): (Filter, u32)| filter),
        preserve_fds: parsed.options.number("preserve-fds")?,
    };
    let host = Host::probe().map_err(io("cannot learn about the host"))?;
    let plan = plan_exec(&process, &options, &host)?;
    if !detached {
        // Before the command can run, so that no signal for it is lost.
        reap::block_signals().map_err(io("cannot block signals"))?;
    }
    let target = reap::open(state.pid).map_err(io(format!("cannot find container `{id}`")))?;
    let mut launching = crate::launch::launch_exec(&plan, target.as_fd(), None)?;
    follow::follow(&mut launching, &mut console, Until::Running)?;
    for warning in launching.warnings() {
        super::warn(warning);
    }
    follow::write_pid_file(parsed.options.value("pid-file"), launching.pid())?;
    if detached {
        return Ok(0);
    }
    follow::stay(launching.pid(), console)
}

/// Whether the container's first process is in another user namespace than we are.
fn has_user_namespace(pid: u32) -> Result<bool, Fault> {
    let read = |process: &str| {
        std::fs::read_link(format!("/proc/{process}/ns/user"))
            .map_err(io("cannot find the container's user namespace"))
    };
    Ok(read(&pid.to_string())? != read("self")?)
}

fn process(state: &State, parsed: &mut Parsed) -> Result<(Process, Option<UserRequest>), Fault> {
    if let Some(file) = parsed.options.value("process") {
        let text = std::fs::read(file).map_err(io(format!("cannot read `{file}`")))?;
        let process = serde_json::from_slice(&text).map_err(|error| {
            Fault::invalid(format!("`{file}` is not an OCI process")).with_source(error)
        })?;
        parsed.end()?;
        return Ok((process, None));
    }
    let mut process = state.spec.process().clone().unwrap_or_default();
    if parsed.words.is_empty() {
        return Err(Fault::invalid("the command is missing"));
    }
    process.set_args(Some(std::mem::take(&mut parsed.words)));
    process.set_terminal(Some(parsed.options.has("tty")));
    apply(&parsed.options, &mut process)?;
    let user = user(&parsed.options, &mut process)?;
    Ok((process, user))
}

fn apply(options: &Arguments, process: &mut Process) -> Result<(), Fault> {
    if let Some(cwd) = options.value("cwd") {
        process.set_cwd(cwd.into());
    }
    if options.has("no-new-privs") {
        process.set_no_new_privileges(Some(true));
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(options.values("env").iter().cloned());
    process.set_env(Some(env));
    for name in options.values("cap") {
        let bare = name.trim_start_matches("CAP_");
        let known = capabilities::bit(name).and_then(|_bit| Capability::from_str(bare).ok());
        let capability =
            known.ok_or_else(|| Fault::invalid(format!("`{name}` is not a capability")))?;
        let mut sets = process.capabilities().clone().unwrap_or_default();
        let with = |set: &Option<Capabilities>| {
            let mut set = set.clone().unwrap_or_default();
            set.insert(capability);
            Some(set)
        };
        sets.set_bounding(with(sets.bounding()));
        sets.set_permitted(with(sets.permitted()));
        sets.set_effective(with(sets.effective()));
        process.set_capabilities(Some(sets));
    }
    Ok(())
}

fn user(options: &Arguments, process: &mut Process) -> Result<Option<UserRequest>, Fault> {
    let groups = options.values("additional-gids").to_vec();
    match options.value("user") {
        Some(user) => Ok(Some(UserRequest { user: user.to_owned(), groups })),
        None if groups.is_empty() => Ok(None),
        None => {
            let numbers = groups
                .iter()
                .map(|group| {
                    group.parse::<u32>().map_err(|_text| {
                        Fault::invalid(format!("`{group}` is not the number of a group"))
                    })
                })
                .collect::<Result<Vec<_>, _>>()?;
            let user = UserBuilder::default()
                .uid(process.user().uid())
                .gid(process.user().gid())
                .additional_gids(numbers)
                .build()
                .map_err(|error| Fault::new(Kind::InvalidInput, error.to_string()))?;
            process.set_user(user);
            Ok(None)
        }
    }
}
