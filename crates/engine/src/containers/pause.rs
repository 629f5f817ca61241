//! Acts: freezes a container's processes and thaws them.

use super::Containers;
use crate::lifecycle::{Event, State};
use naru_errdefs::Fault;

impl Containers {
    /// Freezes its processes.
    pub async fn pause(&self, name: &str) -> Result<(), Fault> {
        let container = self.inner.find(name)?;
        let _turn = container.turn.lock().await;
        let mut seat = container.seat();
        let id = &container.id;
        match &seat.record.state {
            State::Running { .. } => {}
            State::Paused { .. } => {
                return Err(Fault::conflict(format!("Container {id} is already paused")));
            }
            State::Restarting { .. } => {
                return Err(Fault::conflict(format!(
                    "Container {id} is restarting, wait until the container is running"
                )));
            }
            State::Created { .. }
            | State::Starting { .. }
            | State::Exited { .. }
            | State::Removing { .. }
            | State::Dead { .. } => {
                return Err(Fault::conflict(format!("Container {id} is not running")));
            }
        }
        let parent = seat.record.host.resources.cgroup_parent.clone();
        self.inner.launcher.freeze(id, &parent, true)?;
        let effects =
            seat.step(Event::Pause).map_err(|refused| crate::supervisor::refusal(id, &refused))?;
        self.inner.carry_out(&container, &mut seat, effects, None);
        Ok(())
    }

    /// Lets them go on.
    pub async fn unpause(&self, name: &str) -> Result<(), Fault> {
        let container = self.inner.find(name)?;
        let _turn = container.turn.lock().await;
        let mut seat = container.seat();
        let id = &container.id;
        if !matches!(seat.record.state, State::Paused { .. }) {
            return Err(Fault::conflict(format!("Container {id} is not paused")));
        }
        let parent = seat.record.host.resources.cgroup_parent.clone();
        self.inner.launcher.freeze(id, &parent, false)?;
        let effects = seat
            .step(Event::Unpause)
            .map_err(|refused| crate::supervisor::refusal(id, &refused))?;
        self.inner.carry_out(&container, &mut seat, effects, None);
        Ok(())
    }
}
