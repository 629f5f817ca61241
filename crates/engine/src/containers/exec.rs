//! Acts: further processes in a running container.

use super::{Containers, attach};
use crate::container::Container;
use crate::exec::{Exec, ExecState};
use crate::launcher::{Job, Listener};
use crate::merge::{self, Unset};
use crate::model::{ExecRequest, ExecStart, ExecView};
use crate::record::Record;
use crate::spec;
use crate::streams::{Attachment, Output, Stdin};
use crate::supervisor::Supervisor;
use naru_errdefs::{Fault, Kind};
use naru_oci::runtime::{Process, User};
use naru_runtime::{ExecOptions, ExecPlan};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// How many ended execs of a container are remembered.
const REMEMBERED: usize = 32;

impl Containers {
    /// Prepares a further process; answers its ID.
    pub async fn exec_create(&self, name: &str, request: ExecRequest) -> Result<String, Fault> {
        let container = self.inner.find(name)?;
        if request.cmd.is_empty() {
            return Err(Fault::invalid("No exec command specified"));
        }
        if !request.working_dir.is_empty() && !request.working_dir.starts_with('/') {
            return Err(Fault::invalid(format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                request.working_dir
            )));
        }
        Ok(self.prepare(&container, request, false)?.id.clone())
    }

    /// Prepares a further process, of a user or of a health check.
    pub(crate) fn prepare(
        &self,
        container: &Container,
        request: ExecRequest,
        probe: bool,
    ) -> Result<Arc<Exec>, Fault> {
        let id = super::create::new_id()?;
        let mut seat = container.seat();
        Supervisor::require_running(&seat.record)?;
        let mut exec = Exec::new(id.clone(), container.id.clone(), request, ExecState::Created);
        exec.probe = probe;
        let exec = Arc::new(exec);
        let action = format!("exec_create: {}", exec.request.cmd.join(" "));
        self.inner.publish(&seat.record, &action, &[("execID", id.clone())]);
        let mut execs = self.inner.execs();
        let over: Vec<String> = seat
            .execs
            .values()
            .filter(|exec| matches!(exec.seat().state, ExecState::Exited { .. }))
            .map(|exec| exec.id.clone())
            .collect();
        for id in over.iter().take(over.len().saturating_sub(REMEMBERED)) {
            execs.remove(id);
            seat.execs.remove(id);
        }
        execs.insert(id.clone(), Arc::clone(&exec));
        seat.execs.insert(id, Arc::clone(&exec));
        Ok(exec)
    }

    /// Starts it; the attachment is absent when detached.
    pub async fn exec_start(
        &self,
        id: &str,
        start: ExecStart,
    ) -> Result<Option<Attachment>, Fault> {
        let inner = &self.inner;
        let exec = self.find_exec(id)?;
        let container = inner
            .table()
            .by_id(&exec.container)
            .ok_or_else(|| Fault::not_found(format!("No such container: {}", exec.container)))?;
        let record = {
            let seat = container.seat();
            Supervisor::require_running(&seat.record)?;
            seat.record.clone()
        };
        let (sender, receiver) = oneshot::channel();
        {
            let mut seat = exec.seat();
            match seat.state {
                ExecState::Created => {}
                ExecState::Starting | ExecState::Running { .. } => {
                    return Err(Fault::conflict(format!(
                        "Error: Exec command {id} is already running"
                    )));
                }
                ExecState::Exited { .. } => {
                    return Err(Fault::conflict(format!(
                        "Error: Exec command {id} has already run"
                    )));
                }
            }
            seat.state = ExecState::Starting;
            seat.starter = Some(sender);
        }
        let (output, output_receiver) = mpsc::channel(attach::WAITING);
        let request = &exec.request;
        let wants = |wanted: bool| wanted && !start.detach;
        let mut listeners = Vec::new();
        if wants(request.attach_stdin || request.attach_stdout || request.attach_stderr) {
            // A client that saw the end of the output asks for the exit code: that must be known by then.
            let mut over = exec.over.subscribe();
            inner.runtime.spawn(attach::hold(output.clone(), async move {
                over.wait_for(|over| *over).await.ok();
            }));
        }
        if wants(request.attach_stdout || request.attach_stderr) {
            listeners.push(Listener {
                stdout: request.attach_stdout || request.tty,
                stderr: request.attach_stderr,
                sender: output,
            });
        }
        // Before anybody can hear of its end, as in Docker.
        let action = format!("exec_start: {}", request.cmd.join(" "));
        inner.publish(&record, &action, &[("execID", id.to_owned())]);
        let asked = self.exec_plan(&record, request, start).and_then(|plan| {
            let job = Job {
                key: exec.key(),
                terminal: request.tty,
                stdin: request.attach_stdin && !start.detach,
                log: None,
                exit_record: None,
                tied: exec.probe,
            };
            inner.launcher.exec(&job, plan, listeners)
        });
        let started = match asked {
            Ok(()) => receiver
                .await
                .unwrap_or_else(|_gone| Err(Fault::internal("nobody said how the start went"))),
            Err(fault) => {
                let mut seat = exec.seat();
                seat.starter = None;
                seat.state = ExecState::Exited { code: 126 };
                exec.over.send_replace(true);
                Err(fault)
            }
        };
        started?;
        if start.detach {
            return Ok(None);
        }
        let stdin = if request.attach_stdin {
            let (sender, receiver) = mpsc::channel(attach::WAITING);
            let pump = attach::Pump {
                inner: inner.shared()?,
                key: exec.key(),
                once: !request.tty,
                receiver,
            };
            let mut over = exec.over.subscribe();
            inner.runtime.spawn(pump.run(async move {
                // The sender lives as long as the exec.
                over.wait_for(|over| *over).await.ok();
            }));
            Some(Stdin { sender })
        } else {
            None
        };
        let output = Output { receiver: output_receiver, over: Some(exec.over.subscribe()) };
        Ok(Some(Attachment { tty: request.tty, output, stdin }))
    }

    fn exec_plan(
        &self,
        record: &Record,
        request: &ExecRequest,
        start: ExecStart,
    ) -> Result<ExecPlan, Fault> {
        let inner = &self.inner;
        let host = &record.host;
        let privileged = request.privileged || host.privileged;
        let capabilities = spec::capabilities::resolve(&host.cap_add, &host.cap_drop, privileged)?;
        let security = spec::security::parse(&host.security_opt)?;
        let hostname = record.hostname();
        let mut below =
            merge::process_environment(&record.config, &hostname, &inner.linked(record));
        if request.tty && !below.iter().any(|variable| variable.starts_with("TERM=")) {
            below.push("TERM=xterm".to_owned());
        }
        let env = merge::environment(&below, &request.env, Unset::Apply);
        let cwd = if request.working_dir.is_empty() {
            spec::working_dir(&record.config)
        } else {
            spec::mounts::clean(&request.working_dir).into()
        };
        let mut process = Process::default();
        process
            .set_terminal(Some(request.tty))
            .set_console_size(spec::console(
                request.tty.then_some(start.console_size.or(request.console_size)).flatten(),
            ))
            .set_user(User::default())
            .set_args(Some(request.cmd.clone()))
            .set_env(Some(env))
            .set_cwd(cwd)
            .set_capabilities(Some(spec::capabilities::sets(&capabilities)))
            .set_rlimits(Some(spec::resources::rlimits(&host.resources)?))
            .set_no_new_privileges(Some(security.no_new_privileges && !request.privileged))
            .set_oom_score_adj(i32::try_from(host.oom_score_adj).ok().filter(|score| *score != 0));
        let user = if request.user.is_empty() { &record.config.user } else { &request.user };
        let options = ExecOptions {
            cgroup_join: inner.launcher.join(&record.id, &host.resources.cgroup_parent)?,
            user_namespace: false,
            user: Some(crate::launch::user(record, user)),
            seccomp: if privileged { None } else { inner.filters.of(record)? },
            preserve_fds: 0,
        };
        Ok(naru_runtime::plan_exec(&process, &options, &inner.host)?)
    }

    /// All there is to know of an exec.
    pub async fn exec_inspect(&self, id: &str) -> Result<ExecView, Fault> {
        let exec = self.find_exec(id)?;
        let state = exec.seat().state;
        Ok(ExecView {
            id: exec.id.clone(),
            container_id: exec.container.clone(),
            request: exec.request.clone(),
            running: matches!(state, ExecState::Running { .. } | ExecState::Starting),
            exit_code: match state {
                ExecState::Exited { code } => Some(code),
                ExecState::Created | ExecState::Starting | ExecState::Running { .. } => None,
            },
            pid: match state {
                ExecState::Running { pid } => pid,
                ExecState::Created | ExecState::Starting | ExecState::Exited { .. } => 0,
            },
        })
    }

    /// Sets the terminal's size of an exec.
    pub async fn exec_resize(&self, id: &str, rows: u16, columns: u16) -> Result<(), Fault> {
        let exec = self.find_exec(id)?;
        if !matches!(exec.seat().state, ExecState::Running { .. }) {
            return Err(Fault::conflict(format!("exec {id} is not running")));
        }
        if !exec.request.tty {
            return Ok(());
        }
        self.inner.launcher.resize(&exec.key(), rows, columns)
    }

    fn find_exec(&self, id: &str) -> Result<Arc<Exec>, Fault> {
        let execs = self.inner.execs();
        if let Some(exec) = execs.get(id) {
            return Ok(Arc::clone(exec));
        }
        let mut matches = execs
            .range(id.to_owned()..)
            .take_while(|(key, _)| !id.is_empty() && key.starts_with(id))
            .map(|(_, exec)| exec);
        match (matches.next(), matches.next()) {
            (Some(exec), None) => Ok(Arc::clone(exec)),
            (Some(_), Some(_)) => Err(Fault::new(
                Kind::InvalidInput,
                format!("Multiple IDs found with provided prefix: {id}"),
            )),
            (None, _) => Err(Fault::not_found(format!("No such exec instance: {id}"))),
        }
    }
}
