//! Acts: makes the moves of the state machine and carries out their effects. The launcher tells it what happens; the
//! verbs of the service ask it for moves.

use crate::container::{Container, Seat, Waiter};
use crate::events::{Event as Told, Events};
use crate::exec::{Exec, ExecState};
use crate::health::Begin;
use crate::launcher::{Ended, Key, Launcher, Sink};
use crate::lifecycle::{Effect, Event, Exit, Refused, State};
use crate::model::{Timestamp, WaitCondition};
use crate::networks::Networks;
use crate::places::Places;
use crate::record::Record;
use crate::restart_policy::Run;
use crate::storage::Storage;
use crate::table::Table;
use crate::volumes::Book;
use naru_errdefs::{Fault, Kind, one_line};
use naru_runtime::Host;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// What the verbs of containers share.
#[derive(Debug)]
pub(crate) struct Supervisor {
    /// Images, snapshots, records.
    pub(crate) storage: Arc<dyn Storage>,
    /// Processes.
    pub(crate) launcher: Arc<dyn Launcher>,
    /// Listeners.
    pub(crate) events: Events,
    /// Where files lie.
    pub(crate) places: Places,
    /// Networks, and the places of running containers in them.
    pub(crate) networks: Networks,
    /// Volumes.
    pub(crate) volumes: Arc<Book>,
    /// What planning needs to know of the host.
    pub(crate) host: Host,
    /// Processors of the host.
    pub(crate) processors: usize,
    /// Where work that may block or wait is done.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Compiled system call filters.
    pub(crate) filters: crate::seccomp::Filters,
    pub(crate) me: Weak<Supervisor>,
    pub(crate) table: Mutex<Table>,
    pub(crate) execs: Mutex<BTreeMap<String, Arc<Exec>>>,
    /// Health checks that are due.
    pub(crate) checks: Arc<crate::health::Queue>,
}

/// What is done after a run, off the fast path.
#[derive(Debug, Default)]
struct Cleanup {
    release: bool,
    save: bool,
    destroy: bool,
}

impl Supervisor {
    /// The table, for a moment. A seat may be held meanwhile; the other way round is not allowed.
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The execs, for a moment.
    pub(crate) fn execs(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Exec>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container by ID, name or prefix.
    pub(crate) fn find(&self, text: &str) -> Result<Arc<Container>, Fault> {
        self.table().find(text)
    }

    /// Itself, for work that outlives a call.
    pub(crate) fn shared(&self) -> Result<Arc<Supervisor>, Fault> {
        self.me.upgrade().ok_or_else(|| Fault::new(Kind::Unavailable, "the daemon is stopping"))
    }

    /// Runs what may block on a thread that may be blocked.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Supervisor) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let me = self.shared()?;
        match self.runtime.spawn_blocking(move || work(&me)).await {
            Ok(result) => result,
            Err(error) => Err(Fault::internal("a task of the engine was lost").with_source(error)),
        }
    }

    /// Stores the record as it is now.
    pub(crate) async fn save(&self, container: &Arc<Container>) -> Result<(), Fault> {
        let container = Arc::clone(container);
        self.blocking(move |me| me.save_now(&container)).await
    }

    /// Stores the record as it is now; may block.
    pub(crate) fn save_now(&self, container: &Container) -> Result<(), Fault> {
        let _last = container.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let record = container.seat().record.clone();
        match record.state {
            // It is on its way out; its record must not come back.
            State::Removing { .. } => Ok(()),
            State::Created { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Restarting { .. }
            | State::Exited { .. }
            | State::Dead { .. } => self.storage.put(&record),
        }
    }

    /// Tells the listeners.
    pub(crate) fn publish(&self, record: &Record, action: &str, more: &[(&str, String)]) {
        if self.table().is_hidden(&record.id) {
            return;
        }
        let mut attributes: BTreeMap<String, String> = record.config.labels.clone();
        attributes.insert("image".to_owned(), record.config.image.clone());
        attributes.insert("name".to_owned(), record.name.clone());
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.events.publish(Told {
            time: Timestamp::now(),
            kind: "container",
            action: action.to_owned(),
            id: record.id.clone(),
            attributes,
        });
    }

    /// Carries out what a move asks for. Launching, freezing and destroying by hand are done by their verbs, which
    /// know who waits for them.
    pub(crate) fn carry_out(
        &self,
        container: &Arc<Container>,
        seat: &mut Seat,
        effects: &[Effect],
        pause: Option<Duration>,
    ) {
        let mut cleanup = Cleanup::default();
        for effect in effects {
            match effect {
                Effect::Launch | Effect::Destroy => {}
                Effect::Freeze => self.look_away(seat),
                Effect::Thaw => self.watch_over(container, seat, Begin::Again),
                // The monitor knows the state of one that is gone when it ends.
                Effect::Save => cleanup.save = !seat.record.is_ephemeral(),
                Effect::Release => {
                    cleanup.release = true;
                    self.look_away(seat);
                    self.end_execs(seat);
                }
                Effect::Publish("die") => {
                    let code = seat.exit_code().to_string();
                    self.publish(&seat.record, "die", &[("exitCode", code)]);
                    self.tell_unmounted(&seat.record);
                }
                Effect::Publish(action) => self.publish(&seat.record, action, &[]),
                Effect::WakeExit => {
                    seat.wake(&[WaitCondition::NotRunning, WaitCondition::NextExit]);
                }
                Effect::ScheduleRestart => self.schedule(container, seat, pause),
                Effect::CancelRestart => {
                    if let Some(planned) = seat.planned.take() {
                        planned.abort();
                    }
                }
                Effect::AutoRemove => {
                    let goes = seat.record.host.auto_remove && !seat.kept;
                    if goes && seat.step(Event::Remove).is_ok() {
                        self.vanish(container, seat);
                        cleanup.destroy = true;
                    }
                }
            }
        }
        if cleanup.release || cleanup.save || cleanup.destroy {
            self.clean_up(container, seat, cleanup);
        }
    }

    /// Takes the container out of sight: whoever waits for its removal is told, its name is free.
    pub(crate) fn vanish(&self, container: &Arc<Container>, seat: &mut Seat) {
        self.table().remove(&container.id, &seat.record.name);
        let mut execs = self.execs();
        for id in seat.execs.keys() {
            execs.remove(id);
        }
        drop(execs);
        container.phase.send_modify(|phase| {
            phase.up = false;
            phase.gone = true;
        });
        seat.listeners.clear();
        seat.wake(&[WaitCondition::Removed, WaitCondition::NotRunning, WaitCondition::NextExit]);
        self.publish(&seat.record, "destroy", &[]);
    }

    fn clean_up(&self, container: &Arc<Container>, seat: &mut Seat, work: Cleanup) {
        let Some(me) = self.me.upgrade() else { return };
        let before = seat.cleanup.take();
        let container = Arc::clone(container);
        let record = seat.record.clone();
        let task = self.runtime.spawn_blocking(move || {
            if let Some(before) = before {
                // It reports its own failures.
                me.runtime.block_on(before).ok();
            }
            me.clean_up_now(&container, &record, &work);
        });
        seat.cleanup = Some(task);
    }

    fn clean_up_now(&self, container: &Container, record: &Record, work: &Cleanup) {
        if work.release {
            let parent = &record.host.resources.cgroup_parent;
            if let Err(fault) = self.launcher.release(&record.id, parent) {
                tracing::warn!(
                    container = record.id,
                    "cannot remove its cgroup: {}",
                    one_line(&fault)
                );
            }
        }
        if work.destroy {
            if let Err(fault) = self.destroy(container, true) {
                tracing::warn!(container = record.id, "cannot remove it: {}", one_line(&fault));
            }
        } else if work.save
            && let Err(fault) = self.save_now(container)
        {
            tracing::error!(container = record.id, "cannot record its end: {}", one_line(&fault));
            // The monitor keeps the exit until it is recorded.
            return;
        }
        if work.release {
            self.launcher.forget(&container.key());
        }
    }

    /// Removes everything of a container that is no longer in sight. The record goes first: what is left over after a
    /// crash is swept, what has a record is not.
    pub(crate) fn destroy(&self, container: &Container, volumes: bool) -> Result<(), Fault> {
        let record = {
            let _last = container.saving.lock().unwrap_or_else(PoisonError::into_inner);
            let record = container.seat().record.clone();
            self.storage.forget(&record)?;
            record
        };
        self.storage.remove(&record)?;
        self.places.remove(&record.id)?;
        if volumes {
            for point in record.mounts.iter().filter(|point| point.anonymous) {
                if let Some(name) = &point.name {
                    self.discard_volume(name, &record.id)?;
                }
            }
        }
        Ok(())
    }

    fn end_execs(&self, seat: &mut Seat) {
        for exec in seat.execs.values() {
            let mut inner = exec.seat();
            if matches!(inner.state, ExecState::Running { .. } | ExecState::Starting) {
                inner.state = ExecState::Exited { code: 137 };
            }
            if let Some(starter) = inner.starter.take() {
                let gone = Fault::conflict(format!("Container {} is not running", seat.record.id));
                starter.send(Err(gone)).ok();
            }
            exec.over.send_replace(true);
            self.launcher.forget(&exec.key());
        }
        let mut all = self.execs();
        seat.execs.retain(|id, exec| {
            if exec.probe {
                all.remove(id);
            }
            !exec.probe
        });
    }

    /// A health check is over; nobody asks for it any more.
    pub(crate) fn forget_probe(&self, exec: &Exec) {
        if exec.probe {
            let container = self.table().by_id(&exec.container);
            let mut seat = container.as_ref().map(|container| container.seat());
            if let Some(seat) = &mut seat {
                seat.execs.remove(&exec.id);
            }
            self.execs().remove(&exec.id);
        }
    }

    fn schedule(&self, container: &Arc<Container>, seat: &mut Seat, pause: Option<Duration>) {
        let (Some(me), Some(pause)) = (self.me.upgrade(), pause) else { return };
        let container = Arc::clone(container);
        let task = self.runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            me.restart_now(&container).await;
        });
        seat.planned = Some(task.abort_handle());
    }

    async fn restart_now(&self, container: &Arc<Container>) {
        let turn = container.turn.lock().await;
        container.settled().await;
        {
            let mut seat = container.seat();
            // Somebody stopped or removed it meanwhile.
            if seat.step(Event::RestartDue).is_err() {
                return;
            }
            // From here on a stop waits for the turn; it must not cut the start in two.
            seat.planned = None;
            seat.record.restart_count += 1;
        }
        if let Err(fault) = self.launch(container).await {
            tracing::warn!(container = container.id, "cannot start it again: {}", one_line(&fault));
        }
        drop(turn);
    }

    /// Registers somebody who waits, before anything else can happen.
    pub(crate) fn register(
        seat: &mut Seat,
        condition: WaitCondition,
    ) -> tokio::sync::oneshot::Receiver<crate::model::WaitOutcome> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        seat.waiters.retain(|waiter| !waiter.sender.is_closed());
        seat.waiters.push(Waiter { condition, sender });
        receiver
    }

    /// The move of a failed start.
    pub(crate) fn give_up(&self, container: &Arc<Container>, fault: &Fault) {
        let code = match fault.kind() {
            Kind::CommandNotFound => 127,
            Kind::CommandNotExecutable => 126,
            _ => 128,
        };
        self.networks.leave(&container.id);
        let exit = Exit { code, oom_killed: false, at: Timestamp::now(), error: one_line(fault) };
        let mut seat = container.seat();
        seat.record.finished_at = seat.record.started_at.and(Some(exit.at));
        container.phase.send_modify(|phase| phase.up = false);
        if let Ok(effects) = seat.step(Event::LaunchFailed { exit }) {
            self.carry_out(container, &mut seat, effects, None);
        }
    }

    fn container_ended(&self, container: &Arc<Container>, ended: Ended) {
        // Whoever hears of the end may take its ports and names at once.
        self.networks.leave(&container.id);
        let mut seat = container.seat();
        let record = &seat.record;
        let oom_killed = ended.code == 137
            && self.launcher.ran_out_of_memory(&container.id, &record.host.resources.cgroup_parent);
        let run = Run {
            exit_code: ended.code,
            lasted: record.started_at.map_or(Duration::ZERO, |start| ended.at.since(start)),
            stopped_by_hand: record.stopped_by_hand,
        };
        let policy = record.host.restart.clone();
        let pause = seat.backoff.after(&policy, run);
        let error = if ended.unknown {
            "the exit code is not known: monitor and daemon were killed".to_owned()
        } else {
            String::new()
        };
        let exit = Exit { code: ended.code, oom_killed, at: ended.at, error };
        seat.record.finished_at = Some(ended.at);
        container.phase.send_modify(|phase| phase.up = false);
        if oom_killed {
            self.publish(&seat.record, "oom", &[]);
        }
        match seat.step(Event::Exited { exit, pause }) {
            Ok(effects) => self.carry_out(container, &mut seat, effects, pause),
            Err(refused) => {
                tracing::warn!(container = container.id, "an exit came unexpectedly: {refused}");
            }
        }
    }
}

/// A refused move as a fault in Docker's words.
pub(crate) fn refusal(container: &str, refused: &Refused) -> Fault {
    Fault::conflict(format!("Container {container}: {refused}"))
}

impl Sink for Supervisor {
    fn started(&self, key: &Key, pid: u32, at: Timestamp, warnings: Vec<String>) {
        for warning in warnings {
            tracing::warn!(container = key.container, "{warning}");
        }
        if let Some(id) = &key.exec {
            let Some(exec) = self.execs().get(id).cloned() else { return };
            let mut seat = exec.seat();
            if seat.state == ExecState::Starting {
                seat.state = ExecState::Running { pid };
            }
            let left = seat.starter.take().is_some_and(|starter| starter.send(Ok(())).is_err());
            if left && exec.probe {
                // Its container was paused meanwhile, or the start took too long.
                self.launcher.kill_group(key).ok();
            }
            return;
        }
        let Some(container) = self.table().by_id(&key.container) else { return };
        let mut seat = container.seat();
        match seat.step(Event::Launched { pid }) {
            Ok(effects) => {
                seat.record.started_at = Some(at);
                self.watch_over(&container, &mut seat, Begin::Started);
                container.phase.send_modify(|phase| {
                    phase.run += 1;
                    phase.up = true;
                });
                // Who attached while it was starting hears it from here on.
                for listener in std::mem::take(&mut seat.listeners) {
                    if let Err(fault) = self.launcher.attach(key, listener) {
                        tracing::warn!(container = container.id, "{}", one_line(&fault));
                    }
                }
                self.carry_out(&container, &mut seat, effects, None);
            }
            Err(refused) => {
                tracing::warn!(container = container.id, "a start came unexpectedly: {refused}");
            }
        }
        if let Some(starter) = seat.starter.take() {
            starter.send(Ok(())).ok();
        }
    }

    fn failed(&self, key: &Key, fault: Fault) {
        if let Some(id) = &key.exec {
            let Some(exec) = self.execs().get(id).cloned() else { return };
            let code = match fault.kind() {
                Kind::CommandNotFound => 127,
                _ => 126,
            };
            let mut seat = exec.seat();
            seat.state = ExecState::Exited { code };
            exec.over.send_replace(true);
            if let Some(starter) = seat.starter.take() {
                starter.send(Err(fault)).ok();
            }
            drop(seat);
            self.forget_probe(&exec);
            return;
        }
        let Some(container) = self.table().by_id(&key.container) else { return };
        let starter = container.seat().starter.take();
        self.give_up(&container, &fault);
        if let Some(starter) = starter {
            starter.send(Err(fault)).ok();
        }
    }

    fn ended(&self, key: &Key, ended: Ended) {
        if let Some(id) = &key.exec {
            let exec = self.execs().get(id).cloned();
            if let Some(exec) = exec {
                exec.seat().state = ExecState::Exited { code: ended.code };
                exec.over.send_replace(true);
                let container = self.table().by_id(&key.container);
                if let Some(container) = container {
                    let seat = container.seat();
                    let more = [("exitCode", ended.code.to_string()), ("execID", id.clone())];
                    self.publish(&seat.record, "exec_die", &more);
                }
                self.forget_probe(&exec);
            }
            self.launcher.forget(key);
            return;
        }
        // A guard in the head of a `match` or an `if let` lives as long as its arms: the table must be free in them.
        let container = self.table().by_id(&key.container);
        match container {
            Some(container) => self.container_ended(&container, ended),
            None => self.launcher.forget(key),
        }
    }
}

impl Supervisor {
    /// The containers whose processes live, and their numbers.
    pub(crate) fn running_records(&self) -> Vec<Record> {
        let containers = self.table().all();
        let records = containers.iter().map(|container| container.seat().record.clone());
        records.filter(|record| record.state.pid().is_some()).collect()
    }

    /// Whether a container is in one of the states in which its process lives.
    pub(crate) fn require_running(record: &Record) -> Result<(), Fault> {
        match record.state {
            State::Running { .. } => Ok(()),
            State::Paused { .. } => Err(Fault::conflict(format!(
                "Container {} is paused, unpause the container before exec",
                record.id
            ))),
            State::Restarting { .. } => Err(Fault::conflict(format!(
                "Container {} is restarting, wait until the container is running",
                record.id
            ))),
            State::Created { .. }
            | State::Starting { .. }
            | State::Exited { .. }
            | State::Removing { .. }
            | State::Dead { .. } => {
                Err(Fault::conflict(format!("Container {} is not running", record.id)))
            }
        }
    }
}
