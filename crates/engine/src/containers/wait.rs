//! Acts: waits for a container's end or its removal.

use super::Containers;
use crate::model::{WaitCondition, WaitOutcome};
use crate::streams::Wait;
use crate::supervisor::Supervisor;
use naru_errdefs::Fault;

impl Containers {
    /// Registers a wait before it returns.
    pub fn wait(&self, name: &str, condition: WaitCondition) -> Result<Wait, Fault> {
        let container = self.inner.find(name)?;
        let mut seat = container.seat();
        if condition == WaitCondition::NotRunning
            && !seat.record.state.is_up()
            && !seat.is_starting()
        {
            let outcome = WaitOutcome { code: seat.exit_code(), error: None };
            return Ok(Wait { future: Box::pin(std::future::ready(outcome)) });
        }
        let receiver = Supervisor::register(&mut seat, condition);
        drop(seat);
        Ok(Wait {
            future: Box::pin(async move {
                receiver.await.unwrap_or_else(|_gone| WaitOutcome {
                    code: 0,
                    error: Some("the daemon is stopping".to_owned()),
                })
            }),
        })
    }
}
