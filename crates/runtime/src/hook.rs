//! Acts: runs the programs that a spec wants at points of a container's life.

use crate::start_error::StartError;
use naru_kernel::reap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A program to run, with the container's state on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookPlan {
    /// The program, absolute.
    pub path: PathBuf,
    /// Its arguments, its own name first.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<String>,
    /// Seconds after which it is killed and counts as failed.
    pub timeout: Option<u64>,
}

/// The state as hooks are told it.
pub(crate) fn state(known: &Map<String, Value>, status: &str, pid: u32) -> Value {
    let mut state = known.clone();
    state.insert("status".to_owned(), status.into());
    state.insert("pid".to_owned(), pid.into());
    Value::Object(state)
}

/// Runs a hook to its end; anything but success is an error.
pub(crate) fn run(hook: &HookPlan, state: &Value) -> Result<(), StartError> {
    let failed =
        |why: String| StartError::other(format!("hook `{}` failed: {why}", hook.path.display()));
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        command.arg0(name).args(arguments);
    }
    command.env_clear();
    command.envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read what it is told.
        drop(stdin.write_all(state.to_string().as_bytes()));
    }
    let process = reap::open(child.id()).map_err(|error| failed(error.to_string()))?;
    let limit = hook.timeout.map(Duration::from_secs);
    if !reap::ended_within(&process, limit).map_err(|error| failed(error.to_string()))? {
        drop(child.kill());
        drop(child.wait());
        return Err(failed(format!("not done after {} s", hook.timeout.unwrap_or_default())));
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!(
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    )))
}
