//! Acts: asks a container to end, and sees to it; sends signals.

use super::{Containers, StopOptions};
use crate::container::Container;
use crate::lifecycle::{Event, State};
use crate::model::WaitCondition;
use crate::signal;
use crate::supervisor::Supervisor;
use naru_errdefs::{Fault, Kind};
use std::sync::Arc;
use std::time::Duration;

/// Seconds that a container has to end by itself when nobody says.
const GRACE: i64 = 10;
/// How long a killed process may take to be gone: the kernel may be writing its memory out.
const AFTER_KILL: Duration = Duration::from_secs(30);

impl Containers {
    /// Stops it; `NotModified` when it does not run.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<(), Fault> {
        let container = self.inner.find(name)?;
        let asked = options.signal.as_deref().filter(|text| !text.is_empty());
        let number = asked.map(signal::parse).transpose()?;
        let _turn = container.turn.lock().await;
        self.stop_in_turn(&container, options.timeout, number).await
    }

    async fn stop_in_turn(
        &self,
        container: &Arc<Container>,
        timeout: Option<i64>,
        number: Option<u8>,
    ) -> Result<(), Fault> {
        let inner = &self.inner;
        let (mut ended, number, timeout) = {
            let mut seat = container.seat();
            if matches!(seat.record.state, State::Restarting { .. }) {
                seat.record.stopped_by_hand = true;
                let effects = seat
                    .step(Event::Stop)
                    .map_err(|refused| crate::supervisor::refusal(&container.id, &refused))?;
                inner.carry_out(container, &mut seat, effects, None);
                inner.publish(&seat.record, "stop", &[]);
                return Ok(());
            }
            if seat.record.state.pid().is_none() {
                return Err(Fault::new(
                    Kind::NotModified,
                    format!("Container {} is already stopped", container.id),
                ));
            }
            seat.record.stopped_by_hand = true;
            let own = seat.record.config.stop_signal.clone();
            let own = if own.is_empty() { signal::TERM } else { signal::parse(&own)? };
            let timeout = timeout.or(seat.record.config.stop_timeout).unwrap_or(GRACE);
            let ended = Supervisor::register(&mut seat, WaitCondition::NextExit);
            (ended, number.unwrap_or(own), timeout)
        };
        if self.deliver(container, number, "kill")? {
            let patience = u64::try_from(timeout).ok().map(Duration::from_secs);
            if within(patience, &mut ended).await.is_none() {
                self.deliver(container, signal::KILL, "kill")?;
                if within(Some(AFTER_KILL), &mut ended).await.is_none() {
                    return Err(Fault::internal(format!(
                        "tried to kill container {}, but did not receive an exit event",
                        container.id
                    )));
                }
            }
        } else {
            // It has ended already; the word of it is on its way.
            within(Some(AFTER_KILL), &mut ended).await;
        }
        let seat = container.seat();
        inner.publish(&seat.record, "stop", &[]);
        Ok(())
    }

    /// Sends a signal (`KILL`, `SIGKILL`, `9`; absent: `SIGKILL`).
    pub async fn kill(&self, name: &str, text: Option<&str>) -> Result<(), Fault> {
        let number = match text.filter(|text| !text.is_empty()) {
            Some(text) => signal::parse(text)?,
            None => signal::KILL,
        };
        let container = self.inner.find(name)?;
        let not_running = || {
            Fault::conflict(format!(
                "Cannot kill container: {name}: Container {} is not running",
                container.id
            ))
        };
        let ended = {
            let mut seat = container.seat();
            if matches!(seat.record.state, State::Restarting { .. }) {
                seat.record.stopped_by_hand = true;
                let effects = seat
                    .step(Event::Stop)
                    .map_err(|refused| crate::supervisor::refusal(&container.id, &refused))?;
                self.inner.carry_out(&container, &mut seat, effects, None);
                return Ok(());
            }
            if seat.record.state.pid().is_none() {
                return Err(not_running());
            }
            let stop = &seat.record.config.stop_signal;
            if stop.is_empty() || number == signal::KILL || signal::parse(stop).ok() == Some(number)
            {
                seat.record.stopped_by_hand = true;
            }
            (number == signal::KILL)
                .then(|| Supervisor::register(&mut seat, WaitCondition::NextExit))
        };
        if !self.deliver(&container, number, "kill")? && number != signal::KILL {
            return Err(not_running());
        }
        if let Some(mut ended) = ended {
            // As docker does: when `kill` answers, it is gone.
            within(Some(AFTER_KILL), &mut ended).await;
        }
        Ok(())
    }

    /// Kills a container that runs and waits for its end, whoever has the turn.
    pub(super) async fn kill_and_wait(&self, container: &Arc<Container>) -> Result<(), Fault> {
        let mut ended = {
            let mut seat = container.seat();
            if seat.record.state.pid().is_none() {
                return Ok(());
            }
            seat.record.stopped_by_hand = true;
            Supervisor::register(&mut seat, WaitCondition::NextExit)
        };
        self.deliver(container, signal::KILL, "kill")?;
        match within(Some(AFTER_KILL), &mut ended).await {
            Some(()) => Ok(()),
            None => Err(Fault::internal(format!(
                "tried to kill container {}, but did not receive an exit event",
                container.id
            ))),
        }
    }

    /// Sends a signal; a frozen container is thawed when the signal is to end it. Answers whether there was a process.
    fn deliver(&self, container: &Arc<Container>, number: u8, action: &str) -> Result<bool, Fault> {
        let inner = &self.inner;
        let sent = match inner.launcher.signal(&container.key(), number) {
            Ok(()) => true,
            Err(fault) if fault.kind() == Kind::NotFound => false,
            Err(fault) => return Err(fault),
        };
        let mut seat = container.seat();
        if sent {
            inner.publish(&seat.record, action, &[("signal", number.to_string())]);
        }
        if matches!(seat.record.state, State::Paused { .. }) {
            // Frozen processes do not die; docker thaws them likewise.
            let parent = seat.record.host.resources.cgroup_parent.clone();
            inner.launcher.freeze(&container.id, &parent, false)?;
            if let Ok(effects) = seat.step(Event::Unpause) {
                inner.carry_out(container, &mut seat, effects, None);
            }
        }
        Ok(sent)
    }
}

/// Waits for the end, at most so long.
async fn within<T>(
    patience: Option<Duration>,
    ended: &mut tokio::sync::oneshot::Receiver<T>,
) -> Option<()> {
    match patience {
        // An error means that whoever would tell is gone, because the container is.
        None => {
            ended.await.ok();
            Some(())
        }
        Some(patience) => tokio::time::timeout(patience, ended).await.ok().map(drop),
    }
}
