//! Acts: `start`: the gate is opened and the command runs.

use super::arguments::Parsed;
use super::state::{State, Status};
use super::{Global, create, io};
use crate::hook;
use crate::plan::hook_plans;
use naru_errdefs::Fault;
use std::fs::File;
use std::io::Write;

/// `start ID`.
pub(super) fn start(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    let id = parsed.id()?;
    parsed.end()?;
    let mut state = global.read(&id)?;
    match global.status(&state) {
        Status::Created => {}
        other => {
            let message = format!(
                "container `{id}` is {}, and only a created one can be started",
                other.word()
            );
            return Err(Fault::conflict(message));
        }
    }
    open_gate(global, &mut state)?;
    Ok(0)
}

/// Lets init go on. The gate is there as long as the container is not started.
pub(super) fn open_gate(global: &Global, state: &mut State) -> Result<(), Fault> {
    let gate = global.gate(&state.id);
    let what = || format!("cannot open the gate of container `{}`", state.id);
    let mut file = File::options().write(true).read(true).open(&gate).map_err(io(what()))?;
    std::fs::remove_file(&gate).map_err(io(what()))?;
    file.write_all(b"g").map_err(io(what()))?;
    let hooks = state.spec.hooks().as_ref().and_then(|hooks| hooks.poststart().as_deref());
    for plan in hook_plans(hooks)? {
        let told = hook::state(&create::hook_state(state), "running", state.pid);
        if let Err(error) = hook::run(&plan, &told) {
            // The command runs already; the specification wants the failure told, and nothing undone.
            super::warn(&error.to_string());
        }
    }
    Ok(())
}
