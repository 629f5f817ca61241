//! Acts: `delete`: nothing of a container is left.

use super::arguments::Parsed;
use super::state::{State, Status, cgroup};
use super::{Global, create, io};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::hook;
use crate::plan::hook_plans;
use naru_errdefs::Fault;
use naru_kernel::reap;
use std::time::Duration;

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// `delete [--force] ID`.
pub(super) fn delete(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    let id = parsed.id()?;
    parsed.end()?;
    let forced = parsed.options.has("force");
    let state = match global.read(&id) {
        Err(fault) if forced && fault.kind() == naru_errdefs::Kind::NotFound => {
            // A half-made one has a directory and no state.
            drop(naru_kernel::fs::remove_tree(&global.directory(&id)));
            return Ok(0);
        }
        result => result?,
    };
    match global.status(&state) {
        Status::Stopped | Status::Creating | Status::Created => {}
        Status::Running | Status::Paused if forced => {}
        other => {
            return Err(Fault::conflict(format!("container `{id}` is {}", other.word()))
                .with_hint("stop it first, or use `--force`"));
        }
    }
    remove(global, &state)?;
    Ok(0)
}

/// Ends what is left of a container and removes it.
pub(super) fn remove(global: &Global, state: &State) -> Result<(), Fault> {
    if global.status(state) != Status::Stopped
        && state.pid != 0
        && let Ok(process) = reap::open(state.pid)
    {
        // It may have ended between the two.
        drop(reap::kill(&process));
        drop(reap::ended_within(&process, Some(PATIENCE)));
    }
    clean(global, state)?;
    let hooks = state.spec.hooks().as_ref().and_then(|hooks| hooks.poststop().as_deref());
    for plan in hook_plans(hooks)? {
        if let Err(error) = hook::run(&plan, &hook::state(&create::hook_state(state), "stopped", 0))
        {
            // The container is gone; the specification wants the failure told.
            super::warn(&error.to_string());
        }
    }
    Ok(())
}

/// Removes cgroup and directory.
pub(super) fn clean(global: &Global, state: &State) -> Result<(), Fault> {
    if let Some(cgroup) = cgroup(state)? {
        cgroup.kill_all()?;
        cgroup.remove(PATIENCE)?;
        Cgroup::remove_empty_parents(&Hierarchies::probe()?, &state.cgroup);
    }
    let directory = global.directory(&state.id);
    match naru_kernel::fs::remove_tree(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(io(format!("cannot remove `{}`", directory.display()))),
    }
}
