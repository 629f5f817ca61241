//! Acts: removes a container with everything that is its own.

use super::Containers;
use crate::lifecycle::{Event, State};
use crate::model::RemoveOptions;
use naru_errdefs::{Fault, Kind};

impl Containers {
    /// Removes it.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<(), Fault> {
        let inner = &self.inner;
        let container = inner.find(name)?;
        if options.force {
            // Whoever has the turn may be waiting for its end for a long time.
            self.kill_and_wait(&container).await?;
        }
        let _turn = container.turn.lock().await;
        if options.force {
            self.kill_and_wait(&container).await?;
        }
        container.settled().await;
        {
            let mut seat = container.seat();
            let id = container.id.clone();
            match &seat.record.state {
                State::Running { .. } => {
                    return Err(Fault::conflict(format!(
                        "You cannot remove a running container {id}. Stop the container before attempting removal or force remove"
                    ))
                    .with_hint("`stop` it first, or remove it with `--force`"));
                }
                State::Paused { .. } => {
                    return Err(Fault::conflict(format!(
                        "You cannot remove a paused container {id}. Unpause and then stop the container before attempting removal or force remove"
                    ))
                    .with_hint("`unpause` and `stop` it first, or remove it with `--force`"));
                }
                State::Restarting { .. } if !options.force => {
                    return Err(Fault::conflict(format!(
                        "You cannot remove a restarting container {id}. Stop the container before attempting removal or force remove"
                    ))
                    .with_hint("`stop` it first, or remove it with `--force`"));
                }
                State::Removing { .. } => {
                    return Err(if container.phase.borrow().gone {
                        Fault::not_found(format!("No such container: {name}"))
                    } else {
                        Fault::conflict(format!(
                            "removal of container {name} is already in progress"
                        ))
                    });
                }
                State::Created { .. }
                | State::Starting { .. }
                | State::Restarting { .. }
                | State::Exited { .. }
                | State::Dead { .. } => {}
            }
            let effects = seat
                .step(Event::Remove)
                .map_err(|refused| crate::supervisor::refusal(&id, &refused))?;
            let cancels: Vec<_> = effects
                .iter()
                .copied()
                .filter(|effect| *effect == crate::lifecycle::Effect::CancelRestart)
                .collect();
            inner.carry_out(&container, &mut seat, &cancels, None);
        }
        let work = std::sync::Arc::clone(&container);
        let volumes = options.volumes;
        let removed = inner.blocking(move |inner| inner.destroy(&work, volumes)).await;
        let mut seat = container.seat();
        match removed {
            Ok(()) => {
                inner.vanish(&container, &mut seat);
                Ok(())
            }
            Err(fault) => {
                if let Ok(effects) = seat.step(Event::RemoveFailed) {
                    inner.carry_out(&container, &mut seat, effects, None);
                }
                let kind = fault.kind();
                let fault = fault.context(format!("cannot remove container {}", container.id));
                Err(if kind == Kind::NotFound {
                    Fault::internal(fault.message()).with_source(fault)
                } else {
                    fault
                })
            }
        }
    }
}
