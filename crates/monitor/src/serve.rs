//! Acts: the monitor's life: one thread, one poll loop, nothing that waits anywhere else.
//!
//! - Everything is event-driven; there is a timeout only while a wait is under way (output of descendants after an exit,
//!   the end of an idle monitor, a delayed upgrade), so at rest nothing wakes up.
//! - The monitor is subreaper: orphans of containers without a PID namespace of their own become its children and are
//!   reaped here, not by the daemon, which must not wait for strangers. When the monitor dies, the kernel looks further
//!   up for a subreaper: containers become children of the daemon that spawned the monitor, if it still lives, or of
//!   process 1. Either way the next monitor learns the exit status without being the parent (`naru_kernel::pidfd`).
//! - `oom_score_adj` is lowered where that is permitted, because the death of the monitor costs more than that of anything
//!   it watches. Working directory `/`, umask 022, descriptors as few as the job needs, SIGPIPE ignored, SIGTERM ignored
//!   while there are processes.

mod answers;
mod exits;
mod requests;
mod rest;
mod upgrade;

use crate::connection::Connection;
use crate::launch::{Containers, Launcher, Starting};
use crate::process::{Around, Buffers, Process};
use crate::protocol::{Answer, Envelope, MAX_BODY, ProcessKey, Refusal};
use crate::watch::Watch;
use naru_kernel::poll::{Epoll, Interest, Ready};
use naru_kernel::signal::{self, Signals};
use naru_kernel::{process, socket};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A monitor with no daemon and no processes ends after this time.
const IDLE: Duration = Duration::from_secs(10);

/// How long a listing waits for starts that an earlier daemon asked for.
const LISTING_WAIT: Duration = Duration::from_secs(5);

/// How long an upgrade waits for starts that are under way.
const UPGRADE_WAIT: Duration = Duration::from_secs(5);

const SIGCHLD: i32 = 17;

/// The monitor could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The command line makes no sense.
    #[error("cannot run a monitor: {0}")]
    Usage(&'static str),
    /// Another monitor serves the socket.
    #[error("another monitor serves `{}`", .0.display())]
    Taken(PathBuf),
    /// A system call failed.
    #[error("the monitor cannot {what}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl naru_errdefs::Failure for ServeError {
    fn kind(&self) -> naru_errdefs::Kind {
        match self {
            ServeError::Usage(_) => naru_errdefs::Kind::InvalidInput,
            ServeError::Taken(_) => naru_errdefs::Kind::AlreadyExists,
            ServeError::System { .. } => naru_errdefs::Kind::Internal,
        }
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::System { what, source }
}

/// The role `naru monitor`: serves until there is nothing to do. To be called before any thread exists; the arguments are
/// those after the role's name.
pub fn serve(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match serve_with(arguments, &mut Containers::default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody can be told if even this fails.
            writeln!(io::stderr(), "{}", naru_errdefs::Report(&error.into())).ok();
            ExitCode::FAILURE
        }
    }
}

/// [`serve`] with another way of making processes, for tests.
pub fn serve_with(
    arguments: impl IntoIterator<Item = OsString>,
    launcher: &mut dyn Launcher,
) -> Result<(), ServeError> {
    let arguments = Arguments::parse(arguments)?;
    record_panics(arguments.socket.with_extension("panic"));
    let monitor = match arguments.resume {
        Some(number) => upgrade::resume(number, launcher)?,
        None => begin(&arguments, launcher)?,
    };
    monitor.run()
}

/// A panic is a bug of ours, and standard error leads nowhere.
fn record_panics(path: PathBuf) {
    std::panic::set_hook(Box::new(move |panic| {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(&path);
        if let Ok(mut file) = file {
            writeln!(file, "{panic}").ok();
        }
    }));
}

struct Arguments {
    socket: PathBuf,
    connected: bool,
    resume: Option<i32>,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, ServeError> {
        let (mut socket, mut connected, mut resume) = (None, false, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--socket") => socket = arguments.next().map(PathBuf::from),
                Some("--connected") => connected = true,
                Some("--resume") => {
                    let number = arguments.next().and_then(|text| text.to_str()?.parse().ok());
                    resume = Some(number.ok_or(ServeError::Usage("`--resume` needs a number"))?);
                }
                _ => return Err(ServeError::Usage("it knows `--socket PATH` and `--connected`")),
            }
        }
        let socket = socket.ok_or(ServeError::Usage("`--socket PATH` is missing"))?;
        Ok(Arguments { socket, connected, resume })
    }
}

/// One process, and its start while that is under way.
struct Slot {
    process: Process,
    start: Option<Start>,
    /// Forgotten by the daemon; only readers are left.
    lingering: bool,
}

struct Start {
    launching: Box<dyn Starting>,
    request: u64,
    /// The connection that asked; its answer is of no use to another.
    generation: u64,
    attachments: Vec<(crate::protocol::AttachSpec, [Option<OwnedFd>; 2])>,
    failed: Option<naru_runtime::StartError>,
}

struct Monitor<'a> {
    launcher: &'a mut dyn Launcher,
    epoll: Epoll,
    signals: Signals,
    listener: OwnedFd,
    path: PathBuf,
    connection: Option<Connection>,
    /// Counts connections.
    generation: u64,
    slots: Vec<Option<Slot>>,
    keys: BTreeMap<ProcessKey, u32>,
    pids: BTreeMap<u32, u32>,
    buffers: Buffers,
    warnings: Vec<String>,
    idle_since: Instant,
    rest: rest::Rest,
    upgrade: Option<upgrade::Wanted>,
    listing: Option<Listing>,
    over: bool,
}

/// A listing that waits for starts which an earlier daemon asked for: what comes of them belongs into it.
struct Listing {
    request: u64,
    deadline: Instant,
}

/// Prepares the process itself; for both ways of beginning.
fn settle() -> Result<Signals, ServeError> {
    signal::ignore_broken_pipes().map_err(system("ignore SIGPIPE"))?;
    process::become_subreaper().map_err(system("become subreaper"))?;
    // A name is a comfort, not a need.
    process::set_name(c"naru-monitor").ok();
    Signals::children_and_termination().map_err(system("receive signals"))
}

fn begin<'a>(
    arguments: &Arguments,
    launcher: &'a mut dyn Launcher,
) -> Result<Monitor<'a>, ServeError> {
    let connected = match arguments.connected {
        true => Some(process::take_stdin().map_err(system("take its connection"))?),
        false => None,
    };
    // The connection is the lowest number above the standard streams once all else is closed.
    let connected = connected.map(keep_only).transpose()?;
    if connected.is_none() {
        process::close_from(3).map_err(system("close inherited descriptors"))?;
    }
    process::own_session();
    process::set_umask(0o022);
    std::env::set_current_dir("/").map_err(system("go to `/`"))?;
    // Both are refused without the capability; the monitor works as well with what it has.
    process::set_oom_score(-999).ok();
    process::raise_descriptor_limit().ok();
    let signals = settle()?;
    let epoll = Epoll::new().map_err(system("poll"))?;
    let listener = listen(&arguments.socket).inspect_err(|error| {
        // Its standard error leads nowhere; the daemon that spawned it should know.
        if let Some(socket) = &connected {
            let message = error.to_string();
            let warning =
                Envelope { request: 0, fds: Vec::new(), body: Answer::Warning { message } };
            let body = serde_json::to_vec(&warning).unwrap_or_default();
            socket::try_send(socket, &[&body], &[]).ok();
        }
    })?;
    let connection = connected
        .map(|socket| Connection::new(&epoll, socket))
        .transpose()
        .map_err(system("watch its connection"))?;
    Monitor::new(launcher, epoll, signals, (listener, arguments.socket.clone()), connection)
}

/// Closes every inherited descriptor but the connection, whose number may change.
fn keep_only(connection: OwnedFd) -> Result<OwnedFd, ServeError> {
    let number = process::number_of(&connection);
    let first = u32::try_from(number).unwrap_or(3) + 1;
    // `take_stdin` chose the lowest free number, so what is between 3 and it was inherited.
    process::close_range(3, first.saturating_sub(2)).map_err(system("close descriptors"))?;
    process::close_from(first).map_err(system("close inherited descriptors"))?;
    Ok(connection)
}

fn listen(path: &Path) -> Result<OwnedFd, ServeError> {
    match socket::listen(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if socket::connect(path).is_ok() {
                return Err(ServeError::Taken(path.to_owned()));
            }
            std::fs::remove_file(path).map_err(system("remove the socket of a dead monitor"))?;
            socket::listen(path).map_err(system("listen"))
        }
        other => other.map_err(system("listen")),
    }
}

impl<'a> Monitor<'a> {
    fn new(
        launcher: &'a mut dyn Launcher,
        epoll: Epoll,
        signals: Signals,
        (listener, path): (OwnedFd, PathBuf),
        connection: Option<Connection>,
    ) -> Result<Monitor<'a>, ServeError> {
        epoll.add(&listener, Watch::Listener.token(), Interest::Read).map_err(system("poll"))?;
        epoll
            .add(signals.as_fd(), Watch::Signals.token(), Interest::Read)
            .map_err(system("poll"))?;
        Ok(Monitor {
            launcher,
            epoll,
            signals,
            listener,
            path,
            connection,
            generation: 1,
            slots: Vec::new(),
            keys: BTreeMap::new(),
            pids: BTreeMap::new(),
            buffers: Buffers::new(),
            warnings: Vec::new(),
            idle_since: Instant::now(),
            rest: rest::Rest::new(Instant::now()),
            upgrade: None,
            listing: None,
            over: false,
        })
    }

    fn run(mut self) -> Result<(), ServeError> {
        let mut ready = Vec::with_capacity(64);
        // Children may have ended before their signals were watched.
        self.reap();
        while !self.over {
            let timeout = self.timeout();
            ready.clear();
            self.epoll.wait(timeout, &mut ready).map_err(system("poll"))?;
            if self.rest.turn(Instant::now(), !ready.is_empty()) {
                naru_kernel::memory::trim();
                // It is a saving, and the next one comes.
                naru_kernel::memory::let_go_of_code().ok();
            }
            for event in ready.drain(..) {
                self.react(event);
            }
            self.expire();
            self.tell_warnings();
        }
        // Who connects from now on finds nothing and starts another monitor.
        std::fs::remove_file(&self.path).ok();
        Ok(())
    }

    fn react(&mut self, event: Ready) {
        match Watch::from_token(event.token) {
            None => {}
            Some(Watch::Listener) => self.accept(),
            Some(Watch::Signals) => self.take_signals(),
            Some(Watch::Connection) => self.converse(event),
            Some(Watch::Handshake(at)) => self.advance(at),
            Some(Watch::Stranger(at)) => self.stranger_ended(at),
            Some(Watch::Output(at, stream)) => {
                self.with(at, |process, around| process.pump(around, at, stream));
                self.check_exit(at);
            }
            Some(Watch::Attachment(at, part, stream)) => {
                self.with(at, |process, around| {
                    process.sink_ready(around, at, (part, stream), event.closed);
                });
                self.check_lingering(at);
            }
        }
    }

    /// Does something with the process of a slot, if there is one (an event may come too late).
    fn with<T>(
        &mut self,
        at: u32,
        act: impl FnOnce(&mut Process, &mut Around<'_>) -> T,
    ) -> Option<T> {
        let slot = self.slots.get_mut(usize::try_from(at).ok()?)?.as_mut()?;
        let mut around =
            Around { epoll: &self.epoll, buffers: &mut self.buffers, warnings: &mut self.warnings };
        Some(act(&mut slot.process, &mut around))
    }

    fn slot(&mut self, at: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(at).ok()?)?.as_mut()
    }

    /// Puts a process into a free slot.
    fn insert(&mut self, slot: Slot) -> u32 {
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let at = u32::try_from(free).unwrap_or(u32::MAX);
        self.keys.insert(slot.process.spec.key.clone(), at);
        if slot.process.child {
            self.pids.insert(slot.process.pid, at);
        }
        match self.slots.get_mut(free) {
            Some(place) => *place = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        at
    }

    /// Drops a process and everything it holds.
    fn remove(&mut self, at: u32) {
        self.with(at, |process, around| process.close(around));
        let index = usize::try_from(at).unwrap_or(usize::MAX);
        let Some(slot) = self.slots.get_mut(index).and_then(Option::take) else { return };
        if let Some(start) = &slot.start {
            self.epoll.remove(start.launching.handshake()).ok();
        }
        if self.keys.get(&slot.process.spec.key) == Some(&at) {
            self.keys.remove(&slot.process.spec.key);
        }
        if self.pids.get(&slot.process.pid) == Some(&at) {
            self.pids.remove(&slot.process.pid);
        }
        while self.slots.last().is_some_and(Option::is_none) {
            self.slots.pop();
        }
        self.idle_since = Instant::now();
    }

    fn accept(&mut self) {
        let Ok(socket) = socket::accept(&self.listener) else { return };
        let ours = process::user_id();
        if socket::peer_uid(&socket).is_ok_and(|user| user == 0 || user == ours) {
            // What the last daemon has sent before it died counts: it may be all that holds a container's streams.
            while self.connection.is_some() && self.take_packet() {}
            self.hang_up();
            match Connection::new(&self.epoll, socket) {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => self.warnings.push(format!("cannot watch a connection: {error}")),
            }
        }
    }

    /// The daemon is gone, or another has come.
    fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close(&self.epoll);
        }
        self.generation += 1;
        self.listing = None;
        self.idle_since = Instant::now();
        self.write_exit_records();
    }

    fn converse(&mut self, event: Ready) {
        if event.writable
            && let Some(connection) = &mut self.connection
            && connection.flush(&self.epoll).is_err()
        {
            return self.hang_up();
        }
        // One packet a turn keeps the order among all that happens; the loop comes back while there are more.
        if !(event.readable || event.closed) {
            return;
        }
        self.take_packet();
    }

    /// Does what one packet asks for; whether there was one.
    fn take_packet(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let mut buffer = vec![0; MAX_BODY];
        match connection.receive(&mut buffer) {
            Ok(Some(packet)) => {
                drop(buffer);
                self.request(packet);
                true
            }
            Ok(None) => false,
            Err(_) => {
                self.hang_up();
                false
            }
        }
    }

    fn take_signals(&mut self) {
        while let Ok(Some(number)) = self.signals.take() {
            if number != SIGCHLD && self.slots.is_empty() {
                self.over = true;
            }
        }
        self.reap();
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut until: Option<Instant> = None;
        let mut earlier = |at: Instant| until = Some(until.map_or(at, |until| until.min(at)));
        if self.connection.is_none() && self.slots.is_empty() {
            earlier(self.idle_since + IDLE);
        }
        if let Some(upgrade) = &self.upgrade {
            earlier(upgrade.deadline);
        }
        if let Some(listing) = &self.listing {
            earlier(listing.deadline);
        }
        if let Some(due) = self.rest.due() {
            earlier(due);
        }
        for slot in self.slots.iter().flatten() {
            if let Some(deadline) = slot.process.deadline {
                earlier(deadline);
            }
        }
        until.map(|until| until.saturating_duration_since(now))
    }

    fn expire(&mut self) {
        let now = Instant::now();
        if self.connection.is_none() && self.slots.is_empty() && now >= self.idle_since + IDLE {
            self.over = true;
        }
        let due = |slot: &Slot| slot.process.deadline.is_some_and(|deadline| deadline <= now);
        let due: Vec<usize> = (0..self.slots.len())
            .filter(|at| self.slots.get(*at).and_then(Option::as_ref).is_some_and(due))
            .collect();
        for at in due.into_iter().filter_map(|at| u32::try_from(at).ok()) {
            self.stop_waiting(at);
        }
        self.finish_listing(now);
        self.try_upgrade(now);
    }

    fn answer(&mut self, request: u64, answer: Answer) {
        let Some(connection) = &mut self.connection else { return };
        if connection.send(&self.epoll, request, answer, &[]).is_err() {
            self.hang_up();
        }
    }

    fn refuse(&mut self, request: u64, refusal: Refusal, message: impl Into<String>) {
        self.answer(request, Answer::Failed { refusal, message: message.into() });
    }

    fn tell_warnings(&mut self) {
        // Without a daemon they wait for one, as far as that is sensible.
        if self.connection.is_none() {
            self.warnings.truncate(100);
            return;
        }
        for message in std::mem::take(&mut self.warnings) {
            self.answer(0, Answer::Warning { message });
        }
    }
}
