//! Acts: what is known of a container, on disk and from `/proc`.

use super::arguments::Parsed;
use super::{Global, SPECIFICATION, io, say};
use crate::cgroup::{Cgroup, CgroupPath, Hierarchies};
use naru_errdefs::{Fault, Kind};
use naru_oci::runtime::Spec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The state of a container, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State {
    pub(super) id: String,
    /// Zero until init waits at the gate.
    pub(super) pid: u32,
    /// When the kernel says that this process began: another one of that number began at another time.
    pub(super) began: u64,
    pub(super) bundle: PathBuf,
    pub(super) created: String,
    pub(super) cgroup: CgroupPath,
    pub(super) spec: Spec,
}

/// The states of the specification, and the one of a frozen container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl Global {
    pub(super) fn directory(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    pub(super) fn gate(&self, id: &str) -> PathBuf {
        self.root.join(id).join("gate")
    }

    fn file(&self, id: &str) -> PathBuf {
        self.root.join(id).join("state.json")
    }

    pub(super) fn write(&self, state: &State) -> Result<(), Fault> {
        let file = self.file(&state.id);
        let text = serde_json::to_vec(state)
            .map_err(|error| Fault::internal("cannot write the state").with_source(error))?;
        naru_kernel::fs::write_replace(&file, &text, 0o600)
            .map_err(io(format!("cannot write `{}`", file.display())))
    }

    pub(super) fn read(&self, id: &str) -> Result<State, Fault> {
        let file = self.file(id);
        let text = match std::fs::read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Fault::not_found(format!("container `{id}` does not exist")));
            }
            result => result.map_err(io(format!("cannot read `{}`", file.display())))?,
        };
        serde_json::from_slice(&text).map_err(|error| {
            Fault::new(Kind::DataLoss, format!("`{}` is damaged", file.display()))
                .with_source(error)
        })
    }

    pub(super) fn status(&self, state: &State) -> Status {
        if state.pid == 0 {
            return Status::Creating;
        }
        if began(state.pid) != Some(state.began) {
            return Status::Stopped;
        }
        if self.gate(&state.id).exists() {
            return Status::Created;
        }
        match cgroup(state).ok().flatten().and_then(|cgroup| cgroup.is_frozen().ok()) {
            Some(true) => Status::Paused,
            _ => Status::Running,
        }
    }
}

/// The container's cgroup, while there is one.
pub(super) fn cgroup(state: &State) -> Result<Option<Cgroup>, Fault> {
    let host = Hierarchies::probe()?;
    match Cgroup::open(&host, &state.cgroup) {
        Ok(cgroup) => Ok(Some(cgroup)),
        Err(crate::cgroup::CgroupError::Gone { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// When a living process began, in the kernel's ticks; a process that has ended and was not reaped does not count.
pub(super) fn began(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have anything in it.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let letter = fields.next()?;
    if matches!(letter, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// `state ID`.
pub(super) fn print(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    let id = parsed.id()?;
    parsed.end()?;
    let state = global.read(&id)?;
    let text = serde_json::to_string_pretty(&shown(global, &state))
        .map_err(|error| Fault::internal("cannot show the state").with_source(error))?;
    say(&format!("{text}\n"))
}

/// The state as the specification has it, and what others have added to it.
pub(super) fn shown(global: &Global, state: &State) -> serde_json::Value {
    let status = global.status(state);
    let pid = if status == Status::Stopped { 0 } else { state.pid };
    let annotations = state.spec.annotations().iter().flatten().collect::<BTreeMap<_, _>>();
    serde_json::json!({
        "ociVersion": SPECIFICATION,
        "id": state.id,
        "pid": pid,
        "status": status.word(),
        "bundle": state.bundle,
        "rootfs": root(state),
        "created": state.created,
        "owner": "",
        "annotations": annotations,
    })
}

/// The root of the container.
pub(super) fn root(state: &State) -> PathBuf {
    match state.spec.root() {
        Some(root) => state.bundle.join(root.path()),
        None => state.bundle.join("rootfs"),
    }
}
