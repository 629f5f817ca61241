//! Pure: the states of a container and every move between them.
//!
//! ```text
//!            Start            Launched            Pause
//!  Created ─────────▶ Starting ───────▶ Running ◀───────▶ Paused
//!     ▲                 │ ▲  ▲             │    Unpause      │
//!     └──LaunchFailed───┘ │  │RestartDue   │ Exited          │ Exited
//!        (first time)     │  │             ▼                 ▼
//!                         │ Restarting ◀──┴──── a policy ────┤
//!                    Start│  │ Stop                          │ no policy
//!                         │  ▼                               ▼
//!                        Exited ◀────────────────────────────┘
//!
//!  Created, Exited, Dead, Restarting ── Remove ──▶ Removing ── RemoveFailed ──▶ Dead
//! ```
//!
//! Effects are safe to repeat: recovery after a crash replays the last step.

use crate::model::{Status, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    /// The exit code: the process's own, 128 and the signal's number, or 126, 127, 128 when it could not be started.
    pub(crate) code: i64,
    /// Whether the kernel killed it for want of memory.
    pub(crate) oom_killed: bool,
    /// When.
    pub(crate) at: Timestamp,
    /// Why it could not be started, or why the code is not known; else empty.
    pub(crate) error: String,
}

/// The states of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Never started; `failed` says how an attempt went wrong.
    Created {
        /// The failed attempt.
        failed: Option<Exit>,
    },
    /// The monitor was asked for its process. `last` is how the run before ended, if there was one.
    Starting {
        /// How the run before ended.
        last: Option<Exit>,
        /// Whether its restart policy is what starts it.
        #[serde(default)]
        again: bool,
    },
    /// Its process lives.
    Running {
        /// The process.
        pid: u32,
    },
    /// Its processes are frozen.
    Paused {
        /// The process.
        pid: u32,
    },
    /// Its restart policy will start it.
    Restarting {
        /// How the run before ended.
        last: Exit,
    },
    /// It ended.
    Exited {
        /// How.
        exit: Exit,
    },
    /// It is being removed.
    Removing {
        /// How it ended.
        last: Option<Exit>,
    },
    /// Its removal failed.
    Dead {
        /// How it ended.
        last: Option<Exit>,
    },
}

/// What happens to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody wants it started.
    Start,
    /// The monitor says that its command is being executed.
    Launched {
        /// The process.
        pid: u32,
    },
    /// The monitor says that it could not be started.
    LaunchFailed {
        /// Why.
        exit: Exit,
    },
    /// Its process ended; `pause` is there when its restart policy wants it back.
    Exited {
        /// How.
        exit: Exit,
        /// The time until it is started again.
        pause: Option<Duration>,
    },
    /// The pause of the restart policy is over.
    RestartDue,
    /// Somebody wants it stopped while nothing runs.
    Stop,
    /// Somebody froze its processes.
    Pause,
    /// Somebody thawed them.
    Unpause,
    /// Somebody wants it removed.
    Remove,
    /// Something could not be removed.
    RemoveFailed,
}

/// Work that a move asks the shell to do, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Ask the monitor for the process.
    Launch,
    /// Store the record.
    Save,
    /// Tell the listeners; the event's name is Docker's.
    Publish(&'static str),
    /// Answer those who wait for an exit.
    WakeExit,
    /// Give back what only a run needs: cgroup, descriptors, execs.
    Release,
    /// Start it again after the pause.
    ScheduleRestart,
    /// Forget a planned start.
    CancelRestart,
    /// Remove it if it wants that.
    AutoRemove,
    /// Freeze its processes.
    Freeze,
    /// Let them go on.
    Thaw,
    /// Remove everything of it.
    Destroy,
}

/// A move that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The state it was asked in.
    pub(crate) status: Status,
    /// What was asked.
    pub(crate) event: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a container that is {} cannot be {}", self.status.as_str(), self.event)
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Event::Start => "started",
            Event::Launched { .. } => "launched",
            Event::LaunchFailed { .. } => "given up",
            Event::Exited { .. } => "ended",
            Event::RestartDue => "restarted",
            Event::Stop => "stopped",
            Event::Pause => "paused",
            Event::Unpause => "unpaused",
            Event::Remove => "removed",
            Event::RemoveFailed => "left over",
        }
    }
}

impl State {
    /// A container that was never started.
    pub(crate) const NEW: State = State::Created { failed: None };

    /// The state in Docker's words.
    pub(crate) fn status(&self) -> Status {
        match self {
            State::Starting { again: true, .. } | State::Restarting { .. } => Status::Restarting,
            State::Created { .. } | State::Starting { last: None, .. } => Status::Created,
            State::Starting { last: Some(_), .. } | State::Exited { .. } => Status::Exited,
            State::Running { .. } => Status::Running,
            State::Paused { .. } => Status::Paused,
            State::Removing { .. } => Status::Removing,
            State::Dead { .. } => Status::Dead,
        }
    }

    /// The process, if one lives.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            State::Running { pid } | State::Paused { pid } => Some(*pid),
            State::Created { .. }
            | State::Starting { .. }
            | State::Restarting { .. }
            | State::Exited { .. }
            | State::Removing { .. }
            | State::Dead { .. } => None,
        }
    }

    /// How it ended last, as far as the state knows.
    pub(crate) fn last_exit(&self) -> Option<&Exit> {
        match self {
            State::Created { failed: last }
            | State::Starting { last, .. }
            | State::Removing { last }
            | State::Dead { last } => last.as_ref(),
            State::Restarting { last: exit } | State::Exited { exit } => Some(exit),
            State::Running { .. } | State::Paused { .. } => None,
        }
    }

    /// Whether somebody who waits for the end has to wait: a process lives, or the restart policy is at it.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self, State::Running { .. } | State::Paused { .. } | State::Restarting { .. })
    }
}

/// The one table of moves.
pub(crate) fn step(state: &State, event: Event) -> Result<(State, &'static [Effect]), Refused> {
    use Effect as E;
    match (state, event) {
        (State::Created { .. }, Event::Start) => {
            Ok((State::Starting { last: None, again: false }, &[E::Launch]))
        }
        (State::Exited { exit }, Event::Start) => {
            Ok((State::Starting { last: Some(exit.clone()), again: false }, &[E::Save, E::Launch]))
        }
        (State::Restarting { last }, Event::RestartDue) => {
            Ok((State::Starting { last: Some(last.clone()), again: true }, &[E::Save, E::Launch]))
        }
        (State::Starting { .. }, Event::Launched { pid }) => {
            Ok((State::Running { pid }, &[E::Publish("start")]))
        }
        (State::Starting { last: None, .. }, Event::LaunchFailed { exit }) => Ok((
            State::Created { failed: Some(exit) },
            &[E::Release, E::Save, E::Publish("die"), E::WakeExit, E::AutoRemove],
        )),
        (State::Starting { last: Some(_), .. }, Event::LaunchFailed { exit }) => Ok((
            State::Exited { exit },
            &[E::Release, E::Save, E::Publish("die"), E::WakeExit, E::AutoRemove],
        )),
        (State::Running { .. } | State::Paused { .. }, Event::Exited { exit, pause: None }) => {
            Ok((
                State::Exited { exit },
                &[E::Release, E::Save, E::Publish("die"), E::WakeExit, E::AutoRemove],
            ))
        }
        (State::Running { .. } | State::Paused { .. }, Event::Exited { exit, pause: Some(_) }) => {
            Ok((
                State::Restarting { last: exit },
                &[E::Release, E::Save, E::Publish("die"), E::WakeExit, E::ScheduleRestart],
            ))
        }
        (State::Restarting { last }, Event::Stop) => {
            Ok((State::Exited { exit: last.clone() }, &[E::CancelRestart, E::Save, E::WakeExit]))
        }
        (State::Running { pid }, Event::Pause) => {
            Ok((State::Paused { pid: *pid }, &[E::Freeze, E::Save, E::Publish("pause")]))
        }
        (State::Paused { pid }, Event::Unpause) => {
            Ok((State::Running { pid: *pid }, &[E::Thaw, E::Save, E::Publish("unpause")]))
        }
        (
            State::Created { failed: last } | State::Dead { last } | State::Removing { last },
            Event::Remove,
        ) => Ok((State::Removing { last: last.clone() }, &[E::Destroy, E::Publish("destroy")])),
        (State::Exited { exit: last }, Event::Remove) => {
            Ok((State::Removing { last: Some(last.clone()) }, &[E::Destroy, E::Publish("destroy")]))
        }
        (State::Restarting { last }, Event::Remove) => Ok((
            State::Removing { last: Some(last.clone()) },
            &[E::CancelRestart, E::Destroy, E::Publish("destroy")],
        )),
        (State::Removing { last }, Event::RemoveFailed) => {
            Ok((State::Dead { last: last.clone() }, &[E::Save]))
        }
        (state, event) => Err(Refused { status: state.status(), event: event.name() }),
    }
}

#[cfg(test)]
mod tests;
