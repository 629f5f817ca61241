//! Acts: the real launcher: the monitor's client with a thread that listens, and what is needed to survive the monitor.
//!
//! ```text
//! start ──▶ pending ──Started──▶ processes ──Exited──▶ (ended) ──forget──▶ gone
//!             │ Failed ──▶ sink
//!             └─ monitor dies ─▶ asked again of the next one; processes are adopted by it with their listeners
//! ```

mod words;

use self::words::{attachment, ended, found_of, key_of, no_process, process_key, refused, resume};
use super::cgroups::Cgroups;
use super::tap::{Ends, Tap};
use super::{Ended, Found, Job, Key, Launcher, Listener, Sink};
use crate::model::Timestamp;
use naru_errdefs::{Fault, Kind, one_line};
use naru_kernel::{pidfd, pty};
use naru_monitor::client::{Attachment, Client, ClientError, Handles, Message};
use naru_monitor::protocol::{Exit, LogSpec, Position, ProcessSpec, Refusal};
use naru_oci::runtime::LinuxResources;
use naru_runtime::{ExecPlan, Plan, Root, cgroup};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::runtime::Handle;

/// How often in a row a monitor is started anew before the daemon gives up on it.
const ATTEMPTS: u32 = 5;

/// The launcher over the monitor.
#[derive(Debug)]
pub(crate) struct MonitorLauncher {
    me: Weak<MonitorLauncher>,
    exe: PathBuf,
    socket: PathBuf,
    runtime: Handle,
    cgroups: Cgroups,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    client: Arc<Client>,
    last: u64,
    pending: HashMap<u64, Pending>,
    processes: HashMap<Key, Process>,
    found: Vec<Found>,
}

#[derive(Debug)]
struct Process {
    handles: Handles,
    taps: Vec<Tap>,
    ended: bool,
}

/// A request that was not answered yet, with what it takes to ask again.
#[derive(Debug)]
enum Pending {
    Start { key: Key, spec: ProcessSpec, plan: AnyPlan, taps: Vec<Tap> },
    Adopt { key: Key },
    Attach { key: Key, tap: u64 },
}

#[derive(Debug, Clone)]
enum AnyPlan {
    Container(Arc<Plan>),
    Exec(Arc<ExecPlan>),
}

impl MonitorLauncher {
    /// Finds the monitor of an earlier daemon, or starts one. Nothing is told before [`MonitorLauncher::listen`].
    pub(crate) fn open(
        exe: &Path,
        socket: &Path,
        runtime: Handle,
    ) -> Result<Arc<MonitorLauncher>, Fault> {
        naru_kernel::process::become_subreaper()
            .map_err(|error| Fault::io("cannot become the parent of orphans", error))?;
        let cgroups = Cgroups::probe()?;
        let (client, listed) = match Client::connect(socket) {
            Ok(client) => match renew(&client, exe).and_then(|()| list(&client)) {
                Ok(listed) => (client, listed),
                Err(error) => {
                    let fault = Fault::from(error);
                    tracing::warn!("the monitor there was does not answer: {}", one_line(&fault));
                    (spawn(exe, socket)?, Vec::new())
                }
            },
            Err(_nobody) => (spawn(exe, socket)?, Vec::new()),
        };
        let mut processes = HashMap::new();
        let mut found = Vec::new();
        for (handles, exit) in listed {
            let key = key_of(&handles.spec.key);
            found.push(found_of(&handles, exit));
            processes.insert(key, Process { handles, taps: Vec::new(), ended: exit.is_some() });
        }
        Ok(Arc::new_cyclic(|me| MonitorLauncher {
            me: Weak::clone(me),
            exe: exe.to_owned(),
            socket: socket.to_owned(),
            runtime,
            cgroups,
            state: Mutex::new(State {
                client: Arc::new(client),
                last: 1,
                pending: HashMap::new(),
                processes,
                found,
            }),
        }))
    }

    /// Listens on a thread of its own, and tells the sink. It ends when the sink or the launcher is gone.
    pub(crate) fn listen(self: &Arc<Self>, sink: Weak<dyn Sink>) -> Result<(), Fault> {
        let me = Arc::downgrade(self);
        let listen = move || {
            loop {
                let Some(launcher) = me.upgrade() else { return };
                let client = Arc::clone(&launcher.state().client);
                // While it waits, it must not keep the launcher alive.
                drop(launcher);
                let message = client.receive();
                let (Some(launcher), Some(sink)) = (me.upgrade(), sink.upgrade()) else { return };
                if !launcher.heard(&*sink, message) {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("monitor-client".to_owned())
            .stack_size(256 * 1024)
            .spawn(listen)
            .map(drop)
            .map_err(|error| Fault::io("cannot start a thread", error))
    }

    /// Lets the monitor end if it has no processes.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.last += 1;
        // One that is gone has ended.
        state.client.shutdown(state.last).ok();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, sink: &dyn Sink, message: Result<Message, ClientError>) -> bool {
        match message {
            Ok(Message::Started { request, handles, warnings }) => {
                self.started(sink, request, handles, warnings);
            }
            Ok(Message::Failed { request, refusal, message }) => {
                self.refused(sink, request, refusal, message);
            }
            Ok(Message::Exited { key, exit }) => self.exited(sink, &key_of(&key), exit),
            Ok(Message::Attached { request, stdout, stderr }) => {
                self.attached(request, stdout, stderr);
            }
            Ok(Message::Warning { message }) => tracing::warn!("monitor: {message}"),
            Ok(Message::Welcome { pid, program, .. }) => {
                tracing::debug!(pid, program, "the monitor says hello");
            }
            Ok(Message::Listed { .. } | Message::ListEnd { .. } | Message::Done { .. }) => {}
            Ok(Message::Gone) => return self.revive(sink),
            Err(error) => {
                tracing::error!("{}", one_line(&Fault::from(error)));
                return self.revive(sink);
            }
        }
        true
    }

    fn started(&self, sink: &dyn Sink, request: u64, handles: Handles, warnings: Vec<String>) {
        let (pid, at) = (handles.pid, Timestamp(handles.started_at));
        let mut state = self.state();
        match state.pending.remove(&request) {
            Some(Pending::Start { key, taps, .. }) => {
                state.processes.insert(key.clone(), Process { handles, taps, ended: false });
                drop(state);
                sink.started(&key, pid, at, warnings);
            }
            Some(Pending::Adopt { key }) => {
                if let Some(process) = state.processes.get_mut(&key) {
                    process.handles = handles;
                }
            }
            Some(Pending::Attach { .. }) | None => {
                tracing::warn!(request, "the monitor answers what nobody asked");
            }
        }
    }

    fn refused(&self, sink: &dyn Sink, request: u64, refusal: Refusal, message: String) {
        let mut state = self.state();
        match state.pending.remove(&request) {
            Some(Pending::Start { key, taps, .. }) => {
                drop(state);
                for tap in &taps {
                    tap.finish();
                }
                sink.failed(&key, refused(refusal, message));
            }
            Some(Pending::Adopt { key }) => {
                tracing::error!(container = key.container, "it cannot be handed over: {message}");
                drop(state);
                let at = Timestamp::now();
                self.over(sink, &key, Ended { code: 255, unknown: true, at });
            }
            Some(Pending::Attach { key, tap }) => {
                if let Some(process) = state.processes.get_mut(&key) {
                    process.taps.retain(|one| {
                        if one.number == tap {
                            one.finish();
                        }
                        one.number != tap
                    });
                }
            }
            // Forgetting, detaching and closing what is gone is no failure.
            None => {}
        }
    }

    fn exited(&self, sink: &dyn Sink, key: &Key, exit: Exit) {
        self.over(sink, key, ended(exit));
    }

    fn over(&self, sink: &dyn Sink, key: &Key, ended: Ended) {
        {
            let mut state = self.state();
            if let Some(process) = state.processes.get_mut(key) {
                if process.ended {
                    return;
                }
                process.ended = true;
                process.handles.reap();
                for tap in &process.taps {
                    tap.finish();
                }
            }
        }
        sink.ended(key, ended);
    }

    fn attached(&self, request: u64, stdout: u64, stderr: u64) {
        let mut state = self.state();
        let Some(Pending::Attach { key, tap }) = state.pending.remove(&request) else { return };
        let Some(process) = state.processes.get(&key) else { return };
        for tap in process.taps.iter().filter(|one| one.number == tap) {
            for (lane, position) in [(&tap.stdout, stdout), (&tap.stderr, stderr)] {
                if let Some(lane) = lane {
                    lane.begins_at(position);
                }
            }
            if process.ended {
                tap.finish();
            }
        }
    }

    /// The monitor is gone: finds or starts another one and hands everything over. Answers whether there is one.
    fn revive(&self, sink: &dyn Sink) -> bool {
        for attempt in 1..=ATTEMPTS {
            match self.try_revive(attempt) {
                Ok(()) => return true,
                Err(fault) => {
                    tracing::error!(attempt, "cannot start a monitor: {}", one_line(&fault));
                }
            }
        }
        tracing::error!("no monitor can be started: containers go on, but their ends stay unseen");
        let pending = std::mem::take(&mut self.state().pending);
        for (_, pending) in pending {
            if let Pending::Start { key, .. } = pending {
                sink.failed(&key, Fault::new(Kind::Unavailable, "there is no monitor"));
            }
        }
        false
    }

    fn try_revive(&self, attempt: u32) -> Result<(), Fault> {
        tracing::warn!(attempt, "the monitor is gone; starting another one");
        let client = Arc::new(spawn(&self.exe, &self.socket)?);
        let mut state = self.state();
        state.client = Arc::clone(&client);
        let pending = std::mem::take(&mut state.pending);
        let State { last, processes, pending: asked, .. } = &mut *state;
        for (key, process) in processes.iter_mut().filter(|(_, process)| !process.ended) {
            process.taps.retain(|tap| !tap.has_left());
            let attachments = resume(&process.taps)?;
            *last += 1;
            client.adopt(*last, &process.handles, &attachments)?;
            asked.insert(*last, Pending::Adopt { key: key.clone() });
        }
        for (_, pending) in pending {
            // Attachments were handed over with their process; what was asked about the dead is moot.
            let Pending::Start { key, spec, plan, taps } = pending else { continue };
            // What the dead monitor has made of it must not run beside the second attempt.
            self.cgroups.kill(&key.container, key.exec.is_some());
            if let AnyPlan::Container(plan) = &plan
                && let Root::Overlay { base, work, volatile: true, .. } = &plan.root
            {
                crate::storage::allow_another_mount(&base.join(work))?;
            }
            let attachments = resume(&taps)?;
            *last += 1;
            let target = target_of(processes, &key);
            send_start(&client, *last, (&spec, &plan), target.as_ref(), &attachments)?;
            asked.insert(*last, Pending::Start { key, spec, plan, taps });
        }
        Ok(())
    }

    fn launch(&self, job: &Job, plan: AnyPlan, listeners: Vec<Listener>) -> Result<(), Fault> {
        let spec = ProcessSpec {
            key: process_key(&job.key),
            terminal: job.terminal,
            stdin: job.stdin,
            log: job.log.as_ref().map(|(path, size, files)| LogSpec {
                path: path.clone(),
                max_size: Some(*size),
                max_files: *files,
            }),
            exit_record: job.exit_record.clone(),
            tied: job.tied,
        };
        let mut state = self.state();
        let mut taps = Vec::new();
        let mut attachments = Vec::new();
        for listener in listeners.into_iter().filter(|listener| !listener.sender.is_closed()) {
            state.last += 1;
            let (tap, ends) = self.tap(state.last, &job.key, listener, true)?;
            attachments.push(attachment(&tap, ends, Position::At(0)));
            taps.push(tap);
        }
        state.last += 1;
        let request = state.last;
        let target = target_of(&state.processes, &job.key);
        let sent =
            send_start(&state.client, request, (&spec, &plan), target.as_ref(), &attachments);
        match sent {
            Ok(()) => {}
            // The monitor has just died: whoever revives it asks again.
            Err(ClientError::Send(error)) => tracing::warn!("cannot reach the monitor: {error}"),
            Err(error) => return Err(error.into()),
        }
        let key = job.key.clone();
        state.pending.insert(request, Pending::Start { key, spec, plan, taps });
        Ok(())
    }

    fn tap(
        &self,
        number: u64,
        key: &Key,
        listener: Listener,
        from_start: bool,
    ) -> Result<(Tap, Ends), Fault> {
        let (me, key) = (Weak::clone(&self.me), key.clone());
        let gone = move || {
            if let Some(me) = me.upgrade() {
                me.detach(&key, number);
            }
        };
        Tap::open(&self.runtime, number, listener, from_start, gone)
            .map_err(|error| Fault::io("cannot make a pipe for output", error))
    }

    fn detach(&self, key: &Key, number: u64) {
        let mut state = self.state();
        let Some(process) = state.processes.get_mut(key) else { return };
        if !process.taps.iter().any(|tap| tap.number == number && tap.has_left()) {
            return;
        }
        process.taps.retain(|tap| tap.number != number);
        state.last += 1;
        // A dead monitor has no readers.
        state.client.detach(state.last, &process_key(key), number).ok();
    }
}

impl Drop for MonitorLauncher {
    fn drop(&mut self) {
        // Wakes the thread that listens.
        self.state().client.disconnect();
    }
}

fn spawn(exe: &Path, socket: &Path) -> Result<Client, Fault> {
    let client = Client::spawn(exe, socket)?;
    client.hello(1)?;
    Ok(client)
}

/// A daemon of another version brings its own monitor: the one there was goes on as our binary, with all its children.
fn renew(client: &Client, exe: &Path) -> Result<(), ClientError> {
    let (renewed, refused) = client.renew(exe)?;
    if renewed {
        tracing::info!("the monitor goes on as the daemon's binary");
    }
    if let Some(message) = refused {
        tracing::warn!("the monitor goes on with an older binary: {message}");
    }
    Ok(())
}

/// Says hello and asks for everything.
fn list(client: &Client) -> Result<Vec<(Handles, Option<Exit>)>, ClientError> {
    client.hello(1)?;
    client.list(2)?;
    let mut listed = Vec::new();
    loop {
        match client.receive()? {
            Message::Listed { handles, exit, .. } => listed.push((handles, exit)),
            Message::ListEnd { .. } => return Ok(listed),
            Message::Exited { key, exit } => {
                for (handles, slot) in &mut listed {
                    if handles.spec.key == key {
                        *slot = Some(exit);
                    }
                }
            }
            Message::Gone => {
                return Err(ClientError::Receive(std::io::ErrorKind::ConnectionReset.into()));
            }
            Message::Welcome { .. }
            | Message::Started { .. }
            | Message::Attached { .. }
            | Message::Done { .. }
            | Message::Failed { .. }
            | Message::Warning { .. } => {}
        }
    }
}

fn send_start(
    client: &Client,
    request: u64,
    (spec, plan): (&ProcessSpec, &AnyPlan),
    target: Option<&OwnedFd>,
    attachments: &[Attachment],
) -> Result<(), ClientError> {
    match (plan, target) {
        (AnyPlan::Container(plan), _) => client.start(request, spec, plan, attachments),
        (AnyPlan::Exec(plan), Some(target)) => {
            client.exec(request, spec, plan, target.as_fd(), attachments)
        }
        (AnyPlan::Exec(_), None) => Err(ClientError::Lacking(naru_monitor::protocol::Role::Target)),
    }
}

fn target_of(processes: &HashMap<Key, Process>, key: &Key) -> Option<OwnedFd> {
    key.exec.as_ref()?;
    let container = Key { container: key.container.clone(), exec: None };
    processes.get(&container)?.handles.pidfd.try_clone().ok()
}

impl Launcher for MonitorLauncher {
    fn start(&self, job: &Job, plan: Plan, listeners: Vec<Listener>) -> Result<(), Fault> {
        self.launch(job, AnyPlan::Container(Arc::new(plan)), listeners)
    }

    fn exec(&self, job: &Job, plan: ExecPlan, listeners: Vec<Listener>) -> Result<(), Fault> {
        self.launch(job, AnyPlan::Exec(Arc::new(plan)), listeners)
    }

    fn attach(&self, key: &Key, listener: Listener) -> Result<(), Fault> {
        let mut state = self.state();
        if !state.processes.contains_key(key) {
            return Err(no_process(key));
        }
        state.last += 1;
        let number = state.last;
        let (tap, ends) = self.tap(number, key, listener, false)?;
        let attachment = attachment(&tap, ends, Position::Now);
        state.last += 1;
        let request = state.last;
        // When the monitor has just died, its successor is given the listener with the process.
        if let Err(error) = state.client.attach(request, &process_key(key), &attachment) {
            tracing::warn!("cannot reach the monitor: {error}");
        }
        state.pending.insert(request, Pending::Attach { key: key.clone(), tap: number });
        if let Some(process) = state.processes.get_mut(key) {
            process.taps.push(tap);
        }
        Ok(())
    }

    fn signal(&self, key: &Key, signal: u8) -> Result<(), Fault> {
        let state = self.state();
        let process = state.processes.get(key).ok_or_else(|| no_process(key))?;
        pidfd::send_signal(&process.handles.pidfd, i32::from(signal)).map_err(|error| {
            // ESRCH: it has ended.
            if error.raw_os_error() == Some(3) {
                no_process(key)
            } else {
                Fault::io(format!("cannot send a signal to container {}", key.container), error)
            }
        })
    }

    fn kill_group(&self, key: &Key) -> Result<(), Fault> {
        let state = self.state();
        let handles = &state.processes.get(key).ok_or_else(|| no_process(key))?.handles;
        pidfd::kill_group(&handles.pidfd, handles.pid)
            .map_err(|error| Fault::io("cannot kill a process of a container", error))
    }

    fn resize(&self, key: &Key, rows: u16, columns: u16) -> Result<(), Fault> {
        let state = self.state();
        let process = state.processes.get(key).ok_or_else(|| no_process(key))?;
        let Some(console) = &process.handles.console else { return Ok(()) };
        pty::resize(console, rows, columns)
            .map_err(|error| Fault::io("cannot resize the terminal", error))
    }

    fn stdin(&self, key: &Key) -> Result<Option<OwnedFd>, Fault> {
        let state = self.state();
        let process = state.processes.get(key).ok_or_else(|| no_process(key))?;
        let handles = &process.handles;
        match handles.stdin.as_ref().or(handles.console.as_ref()) {
            Some(fd) => fd
                .try_clone()
                .map(Some)
                .map_err(|error| Fault::io("cannot copy a descriptor", error)),
            None => Ok(None),
        }
    }

    fn close_stdin(&self, key: &Key) {
        let mut state = self.state();
        let Some(process) = state.processes.get_mut(key) else { return };
        process.handles.close_stdin();
        state.last += 1;
        // A new monitor is handed no standard input that we do not have.
        state.client.close_stdin(state.last, &process_key(key)).ok();
    }

    fn forget(&self, key: &Key) {
        let mut state = self.state();
        state.processes.remove(key);
        state.last += 1;
        // A dead monitor has forgotten.
        state.client.forget(state.last, &process_key(key)).ok();
    }

    fn found(&self) -> Vec<Found> {
        std::mem::take(&mut self.state().found)
    }

    fn confine(
        &self,
        id: &str,
        parent: &str,
        limits: &LinuxResources,
    ) -> Result<Vec<PathBuf>, Fault> {
        self.cgroups.create(id, parent, limits)
    }

    fn join(&self, id: &str, parent: &str) -> Result<Vec<PathBuf>, Fault> {
        let key = Key { container: id.to_owned(), exec: None };
        let pid = self.state().processes.get(&key).map(|process| process.handles.pid);
        self.cgroups.join(id, parent, pid)
    }

    fn limit(&self, id: &str, parent: &str, limits: &LinuxResources) -> Result<Vec<String>, Fault> {
        self.cgroups.limit(id, parent, limits)
    }

    fn freeze(&self, id: &str, parent: &str, frozen: bool) -> Result<(), Fault> {
        self.cgroups.freeze(id, parent, frozen)
    }

    fn usage(&self, id: &str, parent: &str) -> Result<cgroup::Stats, Fault> {
        self.cgroups.usage(id, parent)
    }

    fn processes(&self, id: &str, parent: &str) -> Result<Vec<u32>, Fault> {
        self.cgroups.processes(id, parent)
    }

    fn ran_out_of_memory(&self, id: &str, parent: &str) -> bool {
        self.cgroups.ran_out_of_memory(id, parent)
    }

    fn release(&self, id: &str, parent: &str) -> Result<(), Fault> {
        self.cgroups.remove(id, parent)
    }

    fn support(&self) -> cgroup::Support {
        self.cgroups.support()
    }
}
