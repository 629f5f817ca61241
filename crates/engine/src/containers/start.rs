//! Acts: starts a container, and starts it anew.

use super::{Containers, StopOptions};
use crate::lifecycle::{Event, State};
use crate::restart_policy::Backoff;
use naru_errdefs::{Fault, Kind};

impl Containers {
    /// Starts it; `NotModified` when it runs.
    pub async fn start(&self, name: &str) -> Result<(), Fault> {
        let container = self.inner.find(name)?;
        let _turn = container.turn.lock().await;
        container.settled().await;
        {
            let mut seat = container.seat();
            let id = &container.id;
            match &seat.record.state {
                State::Created { .. } | State::Exited { .. } => {}
                State::Running { .. } | State::Restarting { .. } | State::Starting { .. } => {
                    return Err(Fault::new(
                        Kind::NotModified,
                        format!("Container {id} is already running"),
                    ));
                }
                State::Paused { .. } => {
                    return Err(Fault::conflict(
                        "cannot start a paused container, try unpause instead",
                    ));
                }
                State::Removing { .. } | State::Dead { .. } => {
                    return Err(Fault::conflict(
                        "container is marked for removal and cannot be started",
                    ));
                }
            }
            seat.step(Event::Start).map_err(|refused| crate::supervisor::refusal(id, &refused))?;
            seat.backoff = Backoff::default();
            seat.record.restart_count = 0;
        }
        self.inner.launch(&container).await
    }

    /// Stops it if it runs, and starts it.
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<(), Fault> {
        let container = self.inner.find(name)?;
        // An automatic removal between the two would make the second fail with a puzzle.
        container.seat().kept = true;
        let restarted = match self.stop(&container.id, options).await {
            Err(fault) if fault.kind() != Kind::NotModified => Err(fault),
            Ok(()) | Err(_) => self.start(&container.id).await,
        };
        let mut seat = container.seat();
        seat.kept = false;
        if restarted.is_ok() {
            self.inner.publish(&seat.record, "restart", &[]);
        }
        restarted
    }
}
