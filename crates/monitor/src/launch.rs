//! Acts: makes processes out of plans, behind a trait so that the monitor can be tried without containers.
//!
//! What a launch must do for the child, because the monitor differs from an ordinary parent: set every signal to its
//! default and unblock all (SIGPIPE is ignored here, SIGCHLD and SIGTERM are blocked), set the `oom_score_adj` that the
//! plan wants or 0, and leave no descriptor but the standard streams open.

use crate::protocol::MAX_PLAN;
use naru_kernel::memfd;
use naru_runtime::{ChildStdio, ExecPlan, Launching, Plan, Progress, Reason, StartError};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes processes.
pub trait Launcher {
    /// Makes the process of a plan and returns at once; with `target`, as a further process beside that one.
    fn launch(
        &mut self,
        plan: &[u8],
        target: Option<BorrowedFd<'_>>,
        stdio: Option<ChildStdio>,
    ) -> Result<Box<dyn Starting>, StartError>;
}

/// A process on its way to its command.
pub trait Starting {
    /// Its number.
    fn pid(&self) -> u32;
    /// The process.
    fn pidfd(&self) -> BorrowedFd<'_>;
    /// Becomes readable when [`Starting::advance`] has something to tell.
    fn handshake(&self) -> BorrowedFd<'_>;
    /// What it says, without waiting.
    fn advance(&mut self) -> Result<Progress, StartError>;
    /// What is kept of it once it is running: its descriptor, and the warnings.
    fn finish(self: Box<Self>) -> (OwnedFd, Vec<String>);
}

/// Makes containers and execs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Containers {
    /// The `oom_score_adj` of a container whose plan does not say one, if it must not have the monitor's.
    oom_score: Option<Option<i32>>,
}

impl Containers {
    fn oom_score(&mut self) -> Option<i32> {
        *self.oom_score.get_or_insert_with(|| {
            let own = std::fs::read_to_string("/proc/self/oom_score_adj").ok();
            let own: i32 = own.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            (own < 0).then_some(0)
        })
    }
}

impl Launcher for Containers {
    fn launch(
        &mut self,
        plan: &[u8],
        target: Option<BorrowedFd<'_>>,
        stdio: Option<ChildStdio>,
    ) -> Result<Box<dyn Starting>, StartError> {
        let oom_score = self.oom_score();
        let launching = match target {
            None => {
                let mut plan: Plan = parse(plan)?;
                plan.process.oom_score_adj = plan.process.oom_score_adj.or(oom_score);
                naru_runtime::launch(&plan, stdio)?
            }
            Some(target) => {
                let mut plan: ExecPlan = parse(plan)?;
                plan.process.oom_score_adj = plan.process.oom_score_adj.or(oom_score);
                naru_runtime::launch_exec(&plan, target, stdio)?
            }
        };
        Ok(Box::new(launching))
    }
}

fn parse<T: serde::de::DeserializeOwned>(plan: &[u8]) -> Result<T, StartError> {
    serde_json::from_slice(plan)
        .map_err(|error| StartError::new(Reason::Other, format!("cannot read the plan: {error}")))
}

/// The bytes of a plan that came as a memfd.
pub fn read_plan(file: impl AsFd) -> Result<Vec<u8>, StartError> {
    memfd::contents(file, MAX_PLAN)
        .map_err(|error| StartError::new(Reason::Other, format!("cannot read the plan: {error}")))
}

impl Starting for Launching {
    fn pid(&self) -> u32 {
        Launching::pid(self)
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        Launching::pidfd(self)
    }

    fn handshake(&self) -> BorrowedFd<'_> {
        self.handshake_fd()
    }

    fn advance(&mut self) -> Result<Progress, StartError> {
        Launching::advance(self)
    }

    fn finish(self: Box<Self>) -> (OwnedFd, Vec<String>) {
        let (_, pidfd, warnings) = self.into_parts();
        (pidfd, warnings)
    }
}
