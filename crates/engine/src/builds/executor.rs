//! Acts: processes of builds: containers that nobody sees, whose changes become a layer.
//!
//! Nothing of such a container is recorded. A daemon that starts finds it with the monitor, knows nothing of it, and ends it.

use crate::container::Container;
use crate::containers::{network_places, new_id};
use crate::launcher::Listener;
use crate::lifecycle::{Event, State};
use crate::model::{
    ContainerConfig, HostConfig, LogConfig, MountKind, MountPoint, Resources, StreamKind,
    Timestamp, Ulimit, WaitCondition, WaitOutcome,
};
use crate::record::Record;
use crate::spec;
use crate::supervisor::Supervisor;
use bytes::Bytes;
use naru_build::ports::{Executor, MountSource, OutputSender, Promise, Ran, RunRequest};
use naru_build::{NetworkChoice, RunLimits};
use naru_errdefs::{Fault, ResultExt, one_line};
use naru_oci::{Digest, ImageId};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Pieces of output that may wait to be read.
const WAITING: usize = 16;
/// How long a killed process may take to go.
const AFTER_KILL: Duration = Duration::from_secs(30);
/// Processes and threads that one step may have at once: more than any compiler wants, and few enough for the host to live with.
const MOST_PROCESSES: i64 = 4096;

/// Runs processes of builds.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) inner: Arc<Supervisor>,
}

impl Executor for Runner {
    fn run<'a>(
        &'a self,
        request: RunRequest,
        changes: PathBuf,
        output: OutputSender,
    ) -> Promise<'a, Result<Ran, Fault>> {
        Box::pin(async move {
            // A task of its own, which is not cut in two when nobody waits for it any more, but told.
            let (alive, cancelled) = oneshot::channel::<()>();
            let work = Work { inner: Arc::clone(&self.inner), changes, output, cancelled };
            let task = self.inner.runtime.spawn(Box::pin(work.run(request)));
            let done = task.await;
            drop(alive);
            done.map_err(|error| Fault::internal("a step of a build was lost").with_source(error))?
        })
    }
}

struct Work {
    inner: Arc<Supervisor>,
    changes: PathBuf,
    output: OutputSender,
    /// Ends when nobody waits for the result any more.
    cancelled: oneshot::Receiver<()>,
}

impl Work {
    async fn run(self, request: RunRequest) -> Result<Ran, Fault> {
        let inner = Arc::clone(&self.inner);
        let (mut record, held) = record(&inner, request)?;
        let making = record.clone();
        let paths = inner
            .blocking(move |inner| {
                inner.places.make(&making.id)?;
                let prepared = inner.storage.prepare(&making);
                if prepared.is_err() {
                    inner.places.remove(&making.id).ok();
                }
                prepared
            })
            .await?;
        record.directories = Some((paths.upper.clone(), paths.work));
        let container = Arc::new(Container::new(record));
        container.seat().kept = true;
        inner.table().hide(Arc::clone(&container));
        let ran = self.live(&container, paths.upper).await;
        drop(held);
        tear_down(&inner, &container).await;
        ran
    }

    async fn live(mut self, container: &Arc<Container>, upper: PathBuf) -> Result<Ran, Fault> {
        let inner = Arc::clone(&self.inner);
        let (sender, mut pieces) = mpsc::channel::<(StreamKind, Bytes)>(WAITING);
        let ended = {
            let mut seat = container.seat();
            seat.listeners.push(Listener { stdout: true, stderr: true, sender });
            Supervisor::register(&mut seat, WaitCondition::NextExit)
        };
        let turn = container.turn.lock().await;
        container
            .seat()
            .step(Event::Start)
            .map_err(|refused| crate::supervisor::refusal(&container.id, &refused))?;
        inner.launch(container).await?;
        drop(turn);
        loop {
            tokio::select! {
                _ = &mut self.cancelled => {
                    return Err(Fault::new(naru_errdefs::Kind::Cancelled, "the build was cancelled"));
                }
                piece = pieces.recv() => {
                    let Some((stream, bytes)) = piece else { break };
                    let stderr = stream == StreamKind::Stderr;
                    // Whoever does not listen does not keep the process from writing.
                    self.output.send((stderr, bytes)).await.ok();
                }
            }
        }
        let outcome: WaitOutcome = tokio::select! {
            _ = &mut self.cancelled => {
                return Err(Fault::new(naru_errdefs::Kind::Cancelled, "the build was cancelled"));
            }
            outcome = ended => outcome.map_err(|_gone| Fault::internal("nobody said how a step ended"))?,
        };
        container.settled().await;
        let out_of_memory =
            container.seat().record.state.last_exit().is_some_and(|exit| exit.oom_killed);
        if outcome.code == 0 {
            let changes = self.changes;
            inner
                .blocking(move |_| {
                    std::fs::rename(&upper, &changes)
                        .during(|| format!("cannot move `{}`", upper.display()))
                })
                .await?;
        }
        Ok(Ran { code: outcome.code, out_of_memory })
    }
}

/// Ends the process if it lives, and removes everything of the container.
async fn tear_down(inner: &Arc<Supervisor>, container: &Arc<Container>) {
    let ended = {
        let mut seat = container.seat();
        seat.record
            .state
            .pid()
            .is_some()
            .then(|| Supervisor::register(&mut seat, WaitCondition::NextExit))
    };
    if let Some(ended) = ended {
        inner.launcher.signal(&container.key(), crate::signal::KILL).ok();
        tokio::time::timeout(AFTER_KILL, ended).await.ok();
    }
    container.settled().await;
    let work = Arc::clone(container);
    let removed = inner
        .blocking(move |inner| {
            let record = work.seat().record.clone();
            if !matches!(record.state, State::Exited { .. }) {
                // It never ran: nothing was given back yet.
                inner.launcher.release(&record.id, &record.host.resources.cgroup_parent)?;
                inner.networks.leave(&record.id);
            }
            inner.launcher.forget(&work.key());
            inner.destroy(&work, false)
        })
        .await;
    inner.table().remove(&container.id, "");
    if let Err(fault) = removed {
        tracing::warn!(
            container = container.id,
            "cannot remove a step of a build: {}",
            one_line(&fault)
        );
    }
}

/// What the process is, as a container, and what must stay open until it has ended.
fn record(inner: &Arc<Supervisor>, request: RunRequest) -> Result<(Record, Vec<OwnedFd>), Fault> {
    let mut held = Vec::new();
    let mut mounts = Vec::new();
    for mount in request.mounts {
        let (kind, source, options) = match mount.source {
            MountSource::Path(path) => {
                (MountKind::Bind, path.to_string_lossy().into_owned(), Vec::new())
            }
            MountSource::Mount(fd) => {
                let source = format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
                held.push(fd);
                (MountKind::Bind, source, Vec::new())
            }
            MountSource::Memory(size) => {
                let mut options = vec!["nosuid".to_owned(), "nodev".to_owned()];
                options.extend(size.map(|size| format!("size={size}")));
                (MountKind::Tmpfs, String::new(), options)
            }
        };
        mounts.push(MountPoint {
            kind,
            name: None,
            source,
            destination: mount.target,
            mode: String::new(),
            writable: !mount.read_only,
            propagation: None,
            anonymous: false,
            non_recursive: false,
            options,
            subpath: None,
            volume_labels: None,
            volume_options: None,
            image: None,
        });
    }
    // Outer ones first.
    mounts.sort_by_key(|point| point.destination.matches('/').count());
    let config = ContainerConfig {
        hostname: request.hostname,
        user: request.user,
        env: request.env,
        cmd: Some(request.args),
        working_dir: request.working_dir,
        attach_stdout: true,
        attach_stderr: true,
        ..ContainerConfig::default()
    };
    let mut host = HostConfig {
        log: LogConfig { driver: "none".to_owned(), options: BTreeMap::new() },
        network_mode: match request.network {
            NetworkChoice::Default => "default".to_owned(),
            NetworkChoice::None => "none".to_owned(),
            NetworkChoice::Host => "host".to_owned(),
            NetworkChoice::Named(name) => name,
        },
        auto_remove: true,
        privileged: request.insecure,
        extra_hosts: request.limits.extra_hosts.clone(),
        shm_size: request.limits.shm_size,
        resources: resources(request.limits),
        ..HostConfig::default()
    };
    spec::resources::normalise(&mut host);
    spec::validate(&config, &host, inner.processors)?;
    let networks = network_places(inner, &config, &host)?;
    let id = new_id()?;
    let record = Record {
        name: format!("build-{}", crate::record::short(&id)),
        id,
        created: Timestamp::now(),
        image: ImageId(Digest::of(b"")),
        chain: request.chain,
        os: "linux".to_owned(),
        config,
        host,
        mounts,
        networks,
        state: State::NEW,
        started_at: None,
        finished_at: None,
        restart_count: 0,
        stopped_by_hand: false,
        directories: None,
    };
    Ok((record, held))
}

fn resources(limits: RunLimits) -> Resources {
    let ulimits = limits.ulimits.into_iter().map(|limit| Ulimit {
        name: limit.name,
        soft: limit.soft,
        hard: limit.hard,
    });
    Resources {
        cpu_shares: limits.cpu_shares,
        memory: limits.memory,
        memory_swap: limits.memory_swap,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpuset_cpus: limits.cpuset_cpus,
        cpuset_mems: limits.cpuset_mems,
        cgroup_parent: limits.cgroup_parent,
        ulimits: ulimits.collect(),
        pids_limit: Some(MOST_PROCESSES),
        ..Resources::default()
    }
}
