//! Acts: after a start of the daemon, makes what is known agree with what is.
//!
//! | record says | monitor says | then |
//! | --- | --- | --- |
//! | anything | it runs | it runs (or is paused, as the record says) |
//! | anything | it ended | its exit is handled as if it came now |
//! | it ran | nothing | the exit that the last monitor noted, else "not known" |
//! | nothing | it runs | killed: nobody was told of it |
//!
//! Then the restart policies have their say, and what belongs to no container is swept.

use crate::container::Container;
use crate::exec::{Exec, ExecState};
use crate::health::Begin;
use crate::launcher::{Ended, Found, Sink};
use crate::lifecycle::{Event, State};
use crate::model::{ExecRequest, Timestamp};
use crate::record::Record;
use crate::restart_policy;
use crate::supervisor::Supervisor;
use crate::volumes::volume_name;
use naru_errdefs::{Fault, Kind, one_line};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Fills the table, and handles what happened while no daemon was there.
pub(crate) fn recover(supervisor: &Supervisor) -> Result<(), Fault> {
    let mut records = supervisor.storage.records()?;
    // Names were unique; where a crash between two writes has left a pair, the older keeps its name.
    records.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.id.cmp(&b.id)));
    let (containers, execs): (Vec<Found>, Vec<Found>) =
        supervisor.launcher.found().into_iter().partition(|found| found.key.exec.is_none());
    let mut found: HashMap<String, Found> =
        containers.into_iter().map(|found| (found.key.container.clone(), found)).collect();

    // Before anything of a container can be removed.
    let volumes = records.iter().flat_map(|record| &record.mounts);
    let volumes: BTreeSet<String> = volumes.filter_map(volume_name).cloned().collect();
    supervisor.volumes.settle(&volumes)?;
    let mut ids = Vec::with_capacity(records.len());
    for record in records {
        ids.push(record.id.clone());
        let found = found.remove(&record.id);
        take_over(supervisor, record, found);
    }
    for (id, found) in found {
        tracing::warn!(container = id, "the monitor has a container without a record; removing it");
        supervisor.launcher.signal(&found.key, crate::signal::KILL).ok();
        release(supervisor, &id, "");
        supervisor.launcher.forget(&found.key);
    }
    for found in execs {
        take_over_exec(supervisor, found);
    }
    for id in supervisor.places.ids()?.iter().filter(|id| !ids.contains(id)) {
        release(supervisor, id, "");
    }
    supervisor.storage.sweep(&ids)
}

/// Removes what a start that was cut in two has left.
fn release(supervisor: &Supervisor, id: &str, parent: &str) {
    if let Err(fault) = supervisor.launcher.release(id, parent) {
        tracing::warn!(container = id, "cannot remove its cgroup: {}", one_line(&fault));
    }
}

/// Starts those that their restart policies want up. Whoever fails says so in its state.
pub(crate) fn restart(supervisor: &Arc<Supervisor>) {
    let containers = supervisor.table().all();
    for container in containers {
        let wanted = {
            let seat = container.seat();
            let record = &seat.record;
            // Who never ran was never asked to.
            let ran = record.started_at.is_some();
            matches!(record.state, State::Exited { .. })
                && ran
                && restart_policy::at_daemon_start(
                    &record.host.restart,
                    seat.exit_code(),
                    record.stopped_by_hand,
                )
        };
        if wanted {
            let (me, container) = (Arc::clone(supervisor), Arc::clone(&container));
            supervisor.runtime.spawn(async move {
                if let Err(fault) = start(&me, &container).await
                    && fault.kind() != Kind::Conflict
                {
                    tracing::warn!(
                        container = container.id,
                        "its restart policy cannot start it: {}",
                        one_line(&fault)
                    );
                }
            });
        }
    }
}

async fn start(supervisor: &Supervisor, container: &Arc<Container>) -> Result<(), Fault> {
    let _turn = container.turn.lock().await;
    container.settled().await;
    container
        .seat()
        .step(Event::Start)
        .map_err(|refused| crate::supervisor::refusal(&container.id, &refused))?;
    supervisor.launch(container).await
}

fn take_over(supervisor: &Supervisor, mut record: Record, found: Option<Found>) {
    let paused = matches!(record.state, State::Paused { .. });
    let thought_up = match record.state {
        State::Starting { .. } | State::Running { .. } | State::Paused { .. } => true,
        // The record of one that goes when it ends is written once. Its cgroup tells that it was started.
        State::Created { .. } => {
            record.is_ephemeral()
                && supervisor
                    .launcher
                    .processes(&record.id, &record.host.resources.cgroup_parent)
                    .is_ok()
        }
        State::Restarting { .. }
        | State::Exited { .. }
        | State::Removing { .. }
        | State::Dead { .. } => false,
    };
    let ended = match &found {
        Some(found) => {
            record.started_at = Some(found.started_at);
            record.state = if paused {
                State::Paused { pid: found.pid }
            } else {
                State::Running { pid: found.pid }
            };
            found.ended
        }
        None if thought_up => {
            record.state = State::Running { pid: 0 };
            Some(noted_exit(supervisor, &record))
        }
        None => {
            if let State::Restarting { last } = &record.state {
                // Its policy decides anew.
                record.state = State::Exited { exit: last.clone() };
            }
            release(supervisor, &record.id, &record.host.resources.cgroup_parent);
            None
        }
    };
    let (id, name) = (record.id.clone(), record.name.clone());
    let found_up = record.state.pid().is_some().then(|| record.clone());
    {
        let mut table = supervisor.table();
        let taken = table.take_name(&name, &id).or_else(|fault| {
            tracing::error!(container = id, "{}", one_line(&fault));
            record.name = format!("{name}_{}", record.short_id());
            table.take_name(&record.name, &id)
        });
        if let Err(fault) = taken {
            tracing::error!(container = id, "it has no name now: {}", one_line(&fault));
        }
        table.insert(Arc::new(Container::new(record)));
    }
    let Some(container) = supervisor.table().by_id(&id) else { return };
    // Those that ended meanwhile give their places back as everybody does.
    match found_up {
        Some(record) => {
            supervisor.watch_over(&container, &mut container.seat(), Begin::TakenOver);
            supervisor.networks.take_over(&record);
            container.phase.send_modify(|phase| {
                phase.run = 1;
                phase.up = true;
            });
        }
        None => supervisor.networks.forget(&id),
    }
    if let Some(ended) = ended {
        supervisor.ended(&container.key(), ended);
    }
}

/// The exit of a container that neither daemon nor monitor saw to the end.
fn noted_exit(supervisor: &Supervisor, record: &Record) -> Ended {
    let path = supervisor.places.exit_record(&record.id);
    match naru_monitor::exit_record::read(&path) {
        Some(exit) => Ended {
            code: i64::from(exit.status.code()),
            unknown: exit.status == naru_monitor::protocol::ExitStatus::Unknown,
            at: Timestamp(exit.at),
        },
        None => Ended { code: 255, unknown: true, at: Timestamp::now() },
    }
}

fn take_over_exec(supervisor: &Supervisor, found: Found) {
    let (Some(id), Some(container)) =
        (found.key.exec.clone(), supervisor.table().by_id(&found.key.container))
    else {
        supervisor.launcher.forget(&found.key);
        return;
    };
    if found.tied {
        // A health check of the daemon before; its end is forgotten when it comes.
        match found.ended {
            Some(_) => supervisor.launcher.forget(&found.key),
            None => drop(supervisor.launcher.kill_group(&found.key)),
        }
        return;
    }
    if found.ended.is_some() {
        // Nobody is there any more who was told of it.
        supervisor.launcher.forget(&found.key);
    }
    let state = match found.ended {
        Some(ended) => ExecState::Exited { code: ended.code },
        None => ExecState::Running { pid: found.pid },
    };
    let exec = Arc::new(Exec::new(id.clone(), container.id.clone(), ExecRequest::default(), state));
    container.seat().execs.insert(id.clone(), Arc::clone(&exec));
    supervisor.execs().insert(id, exec);
}
