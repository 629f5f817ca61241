//! Acts: makes the process of a plan and follows it until its command is executed.

use crate::plan::{ExecPlan, Plan};
use crate::start_error::StartError;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
    handshake: OwnedFd,
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
        self.handshake.as_fd()
    }

    /// Reads what init says, without blocking. After [`Progress::Running`] or an error there is nothing more to come;
    /// after an error the process is ending and its parent must wait for it.
    pub fn advance(&mut self) -> Result<Progress, StartError> {
        Ok(Progress::Waiting)
    }

    /// Lets a process that waits at [`Gate::Handshake`](crate::Gate::Handshake) go on.
    pub fn release(&mut self) -> Result<(), StartError> {
        Ok(())
    }

    /// What could not be honoured to the letter, in words for the user; complete once it is running.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The process descriptor and the warnings, once it is running.
    pub fn into_parts(self) -> (u32, OwnedFd, Vec<String>) {
        (self.pid, self.pidfd, self.warnings)
    }
}

/// Makes the container's process. Returns at once: follow it with [`Launching::advance`].
pub fn launch(plan: &Plan, stdio: Option<ChildStdio>) -> Result<Launching, StartError> {
    let _ = (plan, stdio);
    Err(StartError::other("not yet"))
}

/// Makes a further process in the container of `target`, the descriptor of any process of it. The caller becomes its parent.
pub fn launch_exec(
    plan: &ExecPlan,
    target: BorrowedFd<'_>,
    stdio: Option<ChildStdio>,
) -> Result<Launching, StartError> {
    let _ = (plan, target, stdio);
    Err(StartError::other("not yet"))
}
