//! Acts: runs one check as a further process of its container.

use super::watch::Begin;
use super::{Rules, Said, shown};
use crate::container::Container;
use crate::containers::Containers;
use crate::exec::{Exec, ExecState};
use crate::model::{ExecRequest, ExecStart, HealthResult, Timestamp};
use crate::supervisor::Supervisor;
use naru_errdefs::one_line;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

/// How long a start may take; it does not count as the check's own time.
const STARTING: Duration = Duration::from_secs(30);
/// How long a killed check may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(10);
/// How long a check holds up others at most.
const PATIENCE: Duration = Duration::from_millis(500);

/// Runs the check that is due, notes what it found, and plans the next one.
pub(super) async fn check(
    inner: Arc<Supervisor>,
    container: Arc<Container>,
    watch: u64,
    place: OwnedSemaphorePermit,
) {
    let (sender, mut cancelled) = oneshot::channel();
    let (rules, before) = {
        let mut seat = container.seat();
        let Some(rules) = Rules::of(&seat.record.config) else { return };
        let before = seat.execs.values().find(|exec| exec.probe).cloned();
        let Some(health) = seat.health.as_mut().filter(|health| health.watch == watch) else {
            return;
        };
        health.due = None;
        health.running = Some(sender);
        (rules, before)
    };
    let start = Timestamp::now();
    let (exit_code, output) = {
        let mut work = pin!(probe(&inner, &container, &rules, before));
        let early = tokio::select! {
            early = timeout(PATIENCE, &mut work) => early,
            _ = &mut cancelled => return,
        };
        drop(place);
        match early {
            Ok(found) => found,
            Err(_elapsed) => tokio::select! {
                found = work => found,
                _ = cancelled => return,
            },
        }
    };
    let mut guard = container.seat();
    let seat = &mut *guard;
    let Some(health) = seat.health.as_mut().filter(|health| health.watch == watch) else { return };
    health.running = None;
    let result = HealthResult { start, end: Timestamp::now(), exit_code, output };
    let changed = health.view.note(&rules, seat.record.started_at, result);
    inner.plan_check(&container, seat, Begin::Again);
    if let Some(status) = changed {
        inner.publish(&seat.record, &format!("health_status: {}", status.as_str()), &[]);
    }
}

/// The exit code and the output of one check; -1 and why when there is none.
async fn probe(
    inner: &Arc<Supervisor>,
    container: &Arc<Container>,
    rules: &Rules,
    before: Option<Arc<Exec>>,
) -> (i64, String) {
    if let Some(before) = before {
        // It began in the moment in which its container was paused, or could not be ended.
        inner.launcher.kill_group(&before.key()).ok();
        if !is_over(&before).await {
            return (-1, "the health check before this one cannot be ended".to_owned());
        }
    }
    let containers = Containers { inner: Arc::clone(inner) };
    let request = ExecRequest {
        cmd: rules.command.clone(),
        attach_stdout: true,
        attach_stderr: true,
        ..ExecRequest::default()
    };
    let exec = match containers.prepare(container, request, true) {
        Ok(exec) => exec,
        Err(fault) => return (-1, one_line(&fault)),
    };
    let started = timeout(STARTING, containers.exec_start(&exec.id, ExecStart::default())).await;
    let attached = match started {
        Ok(Ok(attached)) => attached,
        Ok(Err(fault)) => {
            inner.forget_probe(&exec);
            return (-1, one_line(&fault));
        }
        Err(_elapsed) => {
            return (-1, format!("timed out starting health check for container {}", container.id));
        }
    };
    let mut said = Said::default();
    let ended = timeout(rules.timeout, async {
        let Some(mut attached) = attached else { return };
        while let Some((_, piece)) = attached.output.next().await {
            if !said.take(&piece) {
                // What else it writes goes nowhere.
                drop(attached);
                break;
            }
        }
        wait(&exec).await;
    })
    .await;
    if ended.is_err() {
        inner.launcher.kill_group(&exec.key()).ok();
        is_over(&exec).await;
        let what = format!("Health check exceeded timeout ({})", shown(rules.timeout));
        let text = said.text();
        return (-1, if text.is_empty() { what } else { format!("{what}: {text}") });
    }
    let state = exec.seat().state;
    match state {
        ExecState::Exited { code } => (code, said.text()),
        ExecState::Created | ExecState::Starting | ExecState::Running { .. } => {
            (-1, "the health check has no exit code".to_owned())
        }
    }
}

async fn wait(exec: &Exec) {
    // The sender lives as long as the exec.
    exec.over.subscribe().wait_for(|over| *over).await.ok();
}

/// Whether it has ended or ends soon.
async fn is_over(exec: &Exec) -> bool {
    timeout(AFTER_KILL, wait(exec)).await.is_ok()
}
