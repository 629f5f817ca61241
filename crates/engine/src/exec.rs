//! Acts: one further process in memory.

use crate::launcher::Key;
use crate::model::ExecRequest;
use naru_errdefs::Fault;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// A further process in a running container.
#[derive(Debug)]
pub(crate) struct Exec {
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// The container's ID.
    pub(crate) container: String,
    /// What was asked for.
    pub(crate) request: ExecRequest,
    /// Whether it is a health check: nobody but the engine waits for it, and it is forgotten when it ends.
    pub(crate) probe: bool,
    /// Becomes true when it has ended.
    pub(crate) over: watch::Sender<bool>,
    state: Mutex<ExecSeat>,
}

/// What changes about an exec.
#[derive(Debug)]
pub(crate) struct ExecSeat {
    /// The state.
    pub(crate) state: ExecState,
    /// Who started it and wants to know how that went.
    pub(crate) starter: Option<oneshot::Sender<Result<(), Fault>>>,
}

/// The states of an exec, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExecState {
    /// Never started.
    Created,
    /// The monitor was asked for it.
    Starting,
    /// It runs.
    Running {
        /// The process.
        pid: u32,
    },
    /// It ended.
    Exited {
        /// How.
        code: i64,
    },
}

impl Exec {
    /// An exec that was not started, or one that was found running.
    pub(crate) fn new(
        id: String,
        container: String,
        request: ExecRequest,
        state: ExecState,
    ) -> Exec {
        Exec {
            id,
            container,
            request,
            probe: false,
            over: watch::Sender::new(matches!(state, ExecState::Exited { .. })),
            state: Mutex::new(ExecSeat { state, starter: None }),
        }
    }

    /// Looks at it, or changes it, for a moment.
    pub(crate) fn seat(&self) -> MutexGuard<'_, ExecSeat> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of its process.
    pub(crate) fn key(&self) -> Key {
        Key { container: self.container.clone(), exec: Some(self.id.clone()) }
    }
}
