//! Acts: the daemon's end of the connection to the monitor.
//!
//! [`Client::send`]-like calls and [`Client::receive`] may be used by different threads: a packet is sent and received as
//! a whole. The calls only send; the answer comes from [`Client::receive`] with the same request number.
//!
//! What the daemon does, so that nothing is lost:
//!
//! - It is subreaper ([`naru_kernel::process::become_subreaper`]) before it spawns a monitor.
//! - It keeps every [`Handles`] from `Started` and `Listed` until it has sent `forget`.
//! - When [`Client::receive`] gives [`Message::Gone`], it spawns a new monitor and [`Client::adopt`]s each of them.
//!   A start that was not answered is undone (kill the cgroup) and done again.
//! - On [`Message::Exited`] it calls [`Handles::reap`], which matters only for a process that became the daemon's child.
//! - An attachment's position is where it began ([`Message::Attached`], 0 for those given with a start) and what was read
//!   from it since, its end included; it is given again with `adopt`.
//! - Terminals are in non-blocking mode: writes to [`Handles::console`] may come back with `WouldBlock`.

use crate::protocol::{
    Answer, AttachSpec, Entry, Envelope, Exit, MAX_BODY, ProcessKey, ProcessSpec, Refusal, Request,
    Role, Stream, VERSION,
};
use naru_errdefs::{Failure, Kind};
use naru_kernel::{memfd, pidfd, poll, process, socket};
use naru_runtime::{ExecPlan, Plan};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether a monitor has died while this process was there to inherit its children.
static A_MONITOR_DIED: AtomicBool = AtomicBool::new(false);

/// How long orphans may stay zombies at most while others end.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a monitor may take from closing its connection to being reapable.
const DYING: Duration = Duration::from_secs(1);

/// Talking to the monitor failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("cannot connect to the monitor at `{}`", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The monitor could not be started.
    #[error("cannot start a monitor as `{}`", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A packet could not be sent.
    #[error("cannot send to the monitor")]
    Send(#[source] io::Error),
    /// A packet could not be received.
    #[error("cannot receive from the monitor")]
    Receive(#[source] io::Error),
    /// A packet makes no sense.
    #[error("cannot understand a packet of the monitor")]
    Decode(#[from] serde_json::Error),
    /// A packet lacks a descriptor.
    #[error("a packet of the monitor lacks its `{0:?}` descriptor")]
    Lacking(Role),
}

impl Failure for ClientError {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn hint(&self) -> Option<String> {
        match self {
            ClientError::Connect { .. } => {
                Some("the daemon starts one when it needs it; restart the daemon".to_owned())
            }
            _ => None,
        }
    }
}

/// The descriptors of a process; copies of the monitor's.
#[derive(Debug)]
pub struct Handles {
    /// What is kept of the process.
    pub spec: ProcessSpec,
    /// Its number, as the monitor sees it.
    pub pid: u32,
    /// When it was started, in nanoseconds since 1970.
    pub started_at: i64,
    /// The process.
    pub pidfd: OwnedFd,
    /// Write end of standard input. Drop it to let the process see the end, after `close_stdin`.
    pub stdin: Option<OwnedFd>,
    /// The master of the terminal: standard input and resizing.
    pub console: Option<OwnedFd>,
    kept: Vec<(Role, OwnedFd)>,
}

impl Handles {
    /// Reaps the process if it has become the caller's child. To be called after `Exited`, not before.
    pub fn reap(&self) {
        // Not our child is the usual case.
        pidfd::reap(&self.pidfd).ok();
    }

    /// Drops the standard input or closes nothing, if it has none.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }
}

/// An output of a process that the daemon wants: pipe or socket ends that the monitor writes to.
#[derive(Debug)]
pub struct Attachment {
    /// Its number and where it begins. What is `None` here has no descriptor below.
    pub spec: AttachSpec,
    /// Where standard output or the terminal goes.
    pub stdout: Option<OwnedFd>,
    /// Where standard error goes.
    pub stderr: Option<OwnedFd>,
}

/// What the monitor says.
#[derive(Debug)]
pub enum Message {
    /// To `hello`, and unasked after an upgrade.
    Welcome {
        /// The version of the protocol.
        version: u32,
        /// The monitor's process number.
        pid: u32,
        /// The version of its program.
        program: String,
    },
    /// To `start`, `exec` and `adopt`.
    Started {
        /// The request.
        request: u64,
        /// The process.
        handles: Handles,
        /// What could not be honoured to the letter.
        warnings: Vec<String>,
    },
    /// For each process, to `list`.
    Listed {
        /// The request.
        request: u64,
        /// The process.
        handles: Handles,
        /// How it ended, if it did.
        exit: Option<Exit>,
    },
    /// All were listed.
    ListEnd {
        /// The request.
        request: u64,
    },
    /// To `attach`.
    Attached {
        /// The request.
        request: u64,
        /// Where standard output begins.
        stdout: u64,
        /// Where standard error begins.
        stderr: u64,
    },
    /// To everything else.
    Done {
        /// The request.
        request: u64,
    },
    /// The request could not be done.
    Failed {
        /// The request.
        request: u64,
        /// The class.
        refusal: Refusal,
        /// What was attempted and what went wrong.
        message: String,
    },
    /// A process ended, and its output was read and logged.
    Exited {
        /// The process.
        key: ProcessKey,
        /// The end.
        exit: Exit,
    },
    /// Something to be logged.
    Warning {
        /// In words for the operator.
        message: String,
    },
    /// The monitor is gone, or another daemon has taken the connection.
    Gone,
}

/// A connection to the monitor.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    /// The requests whose `Process` answers are listings; an answer does not say what it answers.
    lists: Mutex<VecDeque<u64>>,
    child: Mutex<Option<std::process::Child>>,
    /// Processes that may be our children and whose end the monitor has not seen: it must be able to look at the zombie,
    /// because older kernels keep the status nowhere else.
    adopted: Mutex<BTreeMap<ProcessKey, u32>>,
    /// When orphans were looked for.
    looked: Mutex<Option<Instant>>,
}

impl Client {
    /// Connects to the monitor that listens at `path`.
    pub fn connect(path: &Path) -> Result<Client, ClientError> {
        let socket = socket::connect(path)
            .map_err(|source| ClientError::Connect { path: path.to_owned(), source })?;
        Ok(Client::over(socket))
    }

    /// Starts a monitor as `program monitor --socket PATH`, and is connected to it from its first instant.
    pub fn spawn(program: &Path, path: &Path) -> Result<Client, ClientError> {
        let failed = |source| ClientError::Spawn { program: program.to_owned(), source };
        let (ours, theirs) = socket::pair().map_err(failed)?;
        let child = Command::new(program)
            .arg("monitor")
            .arg("--socket")
            .arg(path)
            .arg("--connected")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn()
            .map_err(failed)?;
        let client = Client::over(ours);
        *lock(&client.child) = Some(child);
        Ok(client)
    }

    /// Speaks over a connected packet socket.
    pub fn over(socket: OwnedFd) -> Client {
        Client {
            socket,
            lists: Mutex::default(),
            child: Mutex::default(),
            adopted: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// The first word; answered by `Welcome`.
    pub fn hello(&self, request: u64) -> Result<(), ClientError> {
        self.send(request, Request::Hello { version: VERSION }, &[])
    }

    /// Starts a container; answered by `Started` once its command is being executed, or by `Failed`.
    pub fn start(
        &self,
        request: u64,
        spec: &ProcessSpec,
        plan: &Plan,
        attachments: &[Attachment],
    ) -> Result<(), ClientError> {
        self.start_plan(request, spec, &serde_json::to_vec(plan)?, None, attachments)
    }

    /// Starts a further process in the container of `target`, the descriptor of any process in it.
    pub fn exec(
        &self,
        request: u64,
        spec: &ProcessSpec,
        plan: &ExecPlan,
        target: BorrowedFd<'_>,
        attachments: &[Attachment],
    ) -> Result<(), ClientError> {
        self.start_plan(request, spec, &serde_json::to_vec(plan)?, Some(target), attachments)
    }

    /// Starts whatever the monitor's launcher understands; [`Client::start`] and [`Client::exec`] are what containers need.
    pub fn start_plan(
        &self,
        request: u64,
        spec: &ProcessSpec,
        plan: &[u8],
        target: Option<BorrowedFd<'_>>,
        attachments: &[Attachment],
    ) -> Result<(), ClientError> {
        let plan = memfd::with_contents("naru-plan", plan).map_err(ClientError::Send)?;
        let mut fds = vec![(Role::Plan, plan.as_fd())];
        fds.extend(target.map(|target| (Role::Target, target)));
        push_attachments(&mut fds, attachments);
        let attachments = attachments.iter().map(|attachment| attachment.spec).collect();
        self.send(request, Request::Start { spec: spec.clone(), attachments }, &fds)
    }

    /// Adds a reader; answered by `Attached`.
    pub fn attach(
        &self,
        request: u64,
        key: &ProcessKey,
        attachment: &Attachment,
    ) -> Result<(), ClientError> {
        let mut fds = Vec::new();
        push_attachments(&mut fds, std::slice::from_ref(attachment));
        self.send(request, Request::Attach { key: key.clone(), spec: attachment.spec }, &fds)
    }

    /// Removes a reader; answered by `Done`, also when it is gone already.
    pub fn detach(
        &self,
        request: u64,
        key: &ProcessKey,
        attachment: u64,
    ) -> Result<(), ClientError> {
        self.send(request, Request::Detach { key: key.clone(), attachment }, &[])
    }

    /// Closes the monitor's copy of standard input; answered by `Done`.
    pub fn close_stdin(&self, request: u64, key: &ProcessKey) -> Result<(), ClientError> {
        self.send(request, Request::CloseStdin { key: key.clone() }, &[])
    }

    /// Asks for all processes; answered by any number of `Listed` and one `ListEnd`.
    pub fn list(&self, request: u64) -> Result<(), ClientError> {
        lock(&self.lists).push_back(request);
        self.send(request, Request::List, &[])
    }

    /// Says that the exit was recorded; answered by `Done`, also when nothing is known of the process.
    pub fn forget(&self, request: u64, key: &ProcessKey) -> Result<(), ClientError> {
        self.send(request, Request::Forget { key: key.clone() }, &[])
    }

    /// Hands over a process of a monitor that died; answered by `Started` (drop the old handles then). If it has ended
    /// meanwhile, `Exited` follows.
    pub fn adopt(
        &self,
        request: u64,
        handles: &Handles,
        attachments: &[Attachment],
    ) -> Result<(), ClientError> {
        let mut fds = vec![(Role::Pidfd, handles.pidfd.as_fd())];
        fds.extend(handles.stdin.iter().map(|fd| (Role::Stdin, fd.as_fd())));
        fds.extend(handles.console.iter().map(|fd| (Role::Console, fd.as_fd())));
        fds.extend(handles.kept.iter().map(|(role, fd)| (*role, fd.as_fd())));
        push_attachments(&mut fds, attachments);
        let attachments = attachments.iter().map(|attachment| attachment.spec).collect();
        let spec = handles.spec.clone();
        lock(&self.adopted).insert(spec.key.clone(), handles.pid);
        self.send(request, Request::Adopt { spec, pid: handles.pid, attachments }, &fds)
    }

    /// Lets the monitor go on as `program`; answered by `Done`, and then by an unasked `Welcome` from the new program.
    pub fn upgrade(&self, request: u64, program: BorrowedFd<'_>) -> Result<(), ClientError> {
        self.send(request, Request::Upgrade, &[(Role::Program, program)])
    }

    /// Says hello, and if the monitor runs another file than `program`, lets it go on as that one; whether it did. To be
    /// called right after connecting, before anybody else receives. A monitor that cannot be replaced goes on as it is,
    /// and says why in the second value.
    pub fn renew(&self, program: &Path) -> Result<(bool, Option<String>), ClientError> {
        self.hello(1)?;
        let pid = self.expect_welcome()?;
        let same = same_file(&PathBuf::from(format!("/proc/{pid}/exe")), program);
        if same.map_err(ClientError::Receive)? {
            return Ok((false, None));
        }
        let file = std::fs::File::open(program)
            .map_err(|source| ClientError::Spawn { program: program.to_owned(), source })?;
        self.upgrade(2, file.as_fd())?;
        loop {
            match self.receive()? {
                Message::Failed { request: 2, message, .. } => return Ok((false, Some(message))),
                Message::Done { request: 2 } => break,
                Message::Gone => return Err(gone()),
                _ => {}
            }
        }
        self.expect_welcome()?;
        Ok((true, None))
    }

    fn expect_welcome(&self) -> Result<u32, ClientError> {
        loop {
            match self.receive()? {
                Message::Welcome { pid, .. } => return Ok(pid),
                Message::Gone => return Err(gone()),
                _ => {}
            }
        }
    }

    /// Ends the monitor if it has no processes; answered by `Done` or `Failed`.
    pub fn shutdown(&self, request: u64) -> Result<(), ClientError> {
        self.send(request, Request::Shutdown, &[])
    }

    /// Ends the connection; a thread that waits in `receive` gets `Gone`.
    pub fn disconnect(&self) {
        // It fails only when the other end is gone, which is the same to the receiver.
        socket::shutdown(&self.socket).ok();
    }

    /// The process number of the monitor, if this client spawned it.
    pub fn spawned_pid(&self) -> Option<u32> {
        lock(&self.child).as_ref().map(std::process::Child::id)
    }

    /// Waits for the next message.
    pub fn receive(&self) -> Result<Message, ClientError> {
        let mut buffer = vec![0; MAX_BODY];
        let received = match socket::receive(&self.socket, &mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(self.gone()),
            Err(error) => return Err(ClientError::Receive(error)),
        };
        if received.length == 0 {
            return Ok(self.gone());
        }
        let body = buffer.get(..received.length).unwrap_or_default();
        let envelope: Envelope<Answer> = serde_json::from_slice(body)?;
        let fds: Vec<_> = envelope.fds.into_iter().zip(received.fds).collect();
        self.message(envelope.request, envelope.body, fds)
    }

    /// After the death of a monitor its children are ours: containers, which [`Handles::reap`] takes care of, and what it
    /// was about to start or had taken over itself, which nobody else knows.
    fn reap_orphans(&self) {
        // With a thousand children a look at all of them takes milliseconds, and a thousand may end at once.
        let mut last = lock(&self.looked);
        let due = last.is_none_or(|last| last.elapsed() >= LOOK_AGAIN);
        if due && A_MONITOR_DIED.load(Ordering::Relaxed) {
            *last = Some(Instant::now());
            // What cannot be reaped now is there the next time.
            let mut keep: Vec<u32> = lock(&self.adopted).values().copied().collect();
            keep.extend(self.spawned_pid());
            process::reap_orphans(&keep).ok();
        }
    }

    fn gone(&self) -> Message {
        A_MONITOR_DIED.store(true, Ordering::Relaxed);
        // Bound to a name, so that the lock is not held meanwhile.
        let child = lock(&self.child).take();
        if let Some(mut child) = child {
            // It closes the connection by dying, a moment before it can be reaped; or it has turned to another daemon.
            let dies = pidfd::open(child.id())
                .and_then(|pidfd| poll::readable(pidfd.as_fd(), Some(DYING)))
                .unwrap_or(false);
            if !dies || child.try_wait().is_err() {
                *lock(&self.child) = Some(child);
            }
        }
        Message::Gone
    }

    fn message(
        &self,
        request: u64,
        answer: Answer,
        fds: Vec<(Role, OwnedFd)>,
    ) -> Result<Message, ClientError> {
        Ok(match answer {
            Answer::Welcome { version, pid, program } => Message::Welcome { version, pid, program },
            Answer::Process(entry) => {
                let listed = lock(&self.lists).contains(&request);
                let (exit, warnings) = (entry.exit, entry.warnings.clone());
                let handles = handles(entry, fds)?;
                if listed {
                    Message::Listed { request, handles, exit }
                } else {
                    Message::Started { request, handles, warnings }
                }
            }
            Answer::ListEnd => {
                lock(&self.lists).retain(|list| *list != request);
                Message::ListEnd { request }
            }
            Answer::Attached { stdout, stderr } => Message::Attached { request, stdout, stderr },
            Answer::Done => Message::Done { request },
            Answer::Failed { refusal, message } => Message::Failed { request, refusal, message },
            Answer::Exited { key, exit } => {
                lock(&self.adopted).remove(&key);
                self.reap_orphans();
                Message::Exited { key, exit }
            }
            Answer::Warning { message } => Message::Warning { message },
        })
    }

    fn send(
        &self,
        request: u64,
        body: Request,
        fds: &[(Role, BorrowedFd<'_>)],
    ) -> Result<(), ClientError> {
        let (roles, fds): (Vec<_>, Vec<_>) = fds.iter().copied().unzip();
        let body = serde_json::to_vec(&Envelope { request, fds: roles, body })?;
        socket::send(&self.socket, &[&body], &fds).map_err(ClientError::Send)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let child = lock(&self.child).take();
        if let Some(mut child) = child {
            // A monitor that lives goes on without us; one that has died is not left as a zombie.
            child.try_wait().ok();
        }
    }
}

fn gone() -> ClientError {
    ClientError::Receive(io::ErrorKind::ConnectionReset.into())
}

fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (std::fs::metadata(one)?, std::fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

fn push_attachments<'a>(fds: &mut Vec<(Role, BorrowedFd<'a>)>, attachments: &'a [Attachment]) {
    for attachment in attachments {
        let stdout = attachment.stdout.iter().map(|fd| (Role::AttachStdout, fd.as_fd()));
        let stderr = attachment.stderr.iter().map(|fd| (Role::AttachStderr, fd.as_fd()));
        fds.extend(stdout.chain(stderr));
    }
}

fn handles(entry: Entry, mut fds: Vec<(Role, OwnedFd)>) -> Result<Handles, ClientError> {
    let mut take = |wanted: Role| {
        let at = fds.iter().position(|(role, _)| *role == wanted)?;
        Some(fds.swap_remove(at).1)
    };
    let pidfd = take(Role::Pidfd).ok_or(ClientError::Lacking(Role::Pidfd))?;
    let (stdin, console) = (take(Role::Stdin), take(Role::Console));
    Ok(Handles {
        spec: entry.spec,
        pid: entry.pid,
        started_at: entry.started_at,
        pidfd,
        stdin,
        console,
        kept: fds,
    })
}

/// The role of the spool of a stream.
pub(crate) fn spool_role(stream: Stream) -> Role {
    match stream {
        Stream::Stdout => Role::StdoutSpool,
        Stream::Stderr => Role::StderrSpool,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
