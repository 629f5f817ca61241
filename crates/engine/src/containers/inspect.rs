//! Acts: shows all there is to know of a container.

use super::Containers;
use crate::lifecycle::{Exit, State};
use crate::merge;
use crate::model::{ContainerView, MountKind, MountPoint, StateView, Status};
use crate::networks::{Networks, Wish};
use crate::record::Record;
use naru_errdefs::Fault;
use std::collections::BTreeSet;
use std::path::PathBuf;

impl Containers {
    /// All there is to know.
    pub async fn inspect(&self, name: &str, size: bool) -> Result<ContainerView, Fault> {
        let inner = &self.inner;
        let container = inner.find(name)?;
        let (record, exec_ids, health) = {
            let seat = container.seat();
            let health = seat.health.as_ref().map(|health| health.view.clone());
            (seat.record.clone(), seat.execs.keys().cloned().collect(), health)
        };
        let (size_rw, size_root_fs) = if size {
            let record = record.clone();
            let (rw, all) = inner.blocking(move |inner| inner.storage.usage(&record)).await?;
            (Some(rw), Some(all))
        } else {
            (None, None)
        };
        let (networks, published) = inner.networks.of_container(&record);
        let paths = inner.storage.paths(&record)?;
        let mut words = merge::command(&record.config).into_iter();
        let logs = record.host.log.driver != "none";
        let (masked, read_only) = crate::spec::system_paths(&record.host)?;
        let mut host = record.host.clone();
        host.masked_paths = Some(masked);
        host.readonly_paths = Some(read_only);
        let mut config = record.config.clone();
        config.hostname = record.hostname();
        let file = |name: &str| inner.places.file(&record, name);
        if config.mac_address.is_empty()
            && let Some(Wish { request, .. }) = Networks::wishes(&record).first()
        {
            config.mac_address.clone_from(&request.mac);
        }
        Ok(ContainerView {
            id: record.id.clone(),
            name: record.name.clone(),
            created: record.created,
            path: words.next().unwrap_or_default(),
            args: words.collect(),
            state: StateView { health, ..state_view(&record) },
            image_id: record.image,
            config,
            host,
            restart_count: record.restart_count,
            log_path: if logs { inner.places.log(&record.id) } else { PathBuf::new() },
            hostname_path: file("hostname"),
            hosts_path: file("hosts"),
            resolv_conf_path: file("resolv.conf"),
            mounts: shown_mounts(&record),
            networks,
            published,
            exec_ids,
            size_rw,
            size_root_fs,
            lower_dirs: paths.lower,
            upper_dir: paths.upper,
            work_dir: paths.work,
            os: record.os,
        })
    }
}

/// The mounts as Docker lists them: those of `--tmpfs` are in the host's configuration only.
pub(super) fn shown_mounts(record: &Record) -> Vec<MountPoint> {
    let hidden: BTreeSet<String> =
        record.host.tmpfs.keys().map(|target| crate::spec::mounts::clean(target)).collect();
    let shown = |point: &&MountPoint| {
        point.kind != MountKind::Tmpfs || !hidden.contains(&point.destination)
    };
    record.mounts.iter().filter(shown).cloned().collect()
}

/// A record's state in Docker's words.
pub(super) fn state_view(record: &Record) -> StateView {
    let none = Exit { code: 0, oom_killed: false, at: record.created, error: String::new() };
    let exit = match &record.state {
        // While it runs, the past is past.
        State::Running { .. } | State::Paused { .. } => &none,
        State::Created { .. }
        | State::Starting { .. }
        | State::Restarting { .. }
        | State::Exited { .. }
        | State::Removing { .. }
        | State::Dead { .. } => record.state.last_exit().unwrap_or(&none),
    };
    StateView {
        status: status_of(record),
        pid: record.state.pid().unwrap_or(0),
        exit_code: exit.code,
        error: exit.error.clone(),
        oom_killed: exit.oom_killed,
        started_at: record.started_at,
        finished_at: record.finished_at,
        health: None,
    }
}

/// The status in Docker's words.
pub(super) fn status_of(record: &Record) -> Status {
    record.state.status()
}
