//! Acts: becomes another version of the program in place, keeping children and descriptors.
//!
//! What is not in descriptors goes along as JSON in a file in memory. If the new program cannot be executed, nothing has
//! changed; if it dies later, the daemon takes over as after any other death of the monitor. Packets that wait in the
//! socket are read by the new program.

use super::requests::index;
use super::{Monitor, ServeError, Slot, UPGRADE_WAIT, settle, system};
use crate::attachments::{Attachment, SinkParts};
use crate::connection::{Connection, Descriptors};
use crate::launch::Launcher;
use crate::log_file::{Gap, LogFile};
use crate::process::{Parts, Process};
use crate::protocol::{Answer, Exit, ProcessSpec, Refusal, Role, Stream};
use crate::spool::{Source, Spool};
use crate::watch::Watch;
use naru_kernel::poll::{Epoll, Interest};
use naru_kernel::{command, memfd, process};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Instant;

const MAX_SNAPSHOT: u64 = 256 * 1024 * 1024;

/// An upgrade that waits for starts that are under way.
pub(super) struct Wanted {
    program: OwnedFd,
    request: u64,
    generation: u64,
    pub(super) deadline: Instant,
}

#[derive(Serialize, Deserialize)]
struct Snapshot {
    socket: PathBuf,
    listener: RawFd,
    connection: Option<RawFd>,
    request: u64,
    generation: u64,
    processes: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    spec: ProcessSpec,
    pid: u32,
    started_at: i64,
    warnings: Vec<String>,
    exit: Option<Exit>,
    reported: bool,
    child: bool,
    lingering: bool,
    gap: Option<Gap>,
    pidfd: RawFd,
    stdin: Option<RawFd>,
    state: RawFd,
    streams: [Option<KeptStream>; 2],
    attachments: Vec<KeptAttachment>,
}

#[derive(Serialize, Deserialize)]
struct KeptStream {
    spool: RawFd,
    pipe: Option<RawFd>,
    terminal: Option<RawFd>,
}

#[derive(Serialize, Deserialize)]
struct KeptAttachment {
    id: u64,
    part: u32,
    sinks: [Option<KeptSink>; 2],
}

#[derive(Serialize, Deserialize)]
struct KeptSink {
    fd: RawFd,
    position: u64,
    until: Option<u64>,
}

impl Monitor<'_> {
    pub(super) fn want_upgrade(
        &mut self,
        request: u64,
        mut fds: Descriptors,
    ) -> Result<(), (Refusal, String)> {
        let program = fds
            .take(Role::Program)
            .ok_or_else(|| (Refusal::InvalidInput, "no program came".to_owned()))?;
        if self.upgrade.is_some() {
            return Err((Refusal::Conflict, "an upgrade is under way".to_owned()));
        }
        let (generation, deadline) = (self.generation, Instant::now() + UPGRADE_WAIT);
        self.upgrade = Some(Wanted { program, request, generation, deadline });
        Ok(())
    }

    /// Does a wanted upgrade when nothing is starting and everything was sent.
    pub(super) fn try_upgrade(&mut self, now: Instant) {
        let Some(wanted) = &self.upgrade else { return };
        let starting = self.slots.iter().flatten().any(|slot| slot.start.is_some());
        let unsent = self.connection.as_ref().is_some_and(|connection| !connection.is_drained());
        if starting || unsent {
            if now >= wanted.deadline
                && let Some(wanted) = self.upgrade.take()
            {
                let message = "processes are being started; try again when they are";
                self.refuse(wanted.request, Refusal::Conflict, message);
            }
            return;
        }
        if let Some(wanted) = self.upgrade.take() {
            let error = self.become_program(&wanted);
            if wanted.generation == self.generation {
                let message = format!("cannot execute the new program: {error}");
                self.refuse(wanted.request, Refusal::Other, message);
            }
        }
    }

    /// Comes back only if it failed.
    fn become_program(&mut self, wanted: &Wanted) -> io::Error {
        let snapshot = self.snapshot(wanted);
        let file = match serde_json::to_vec(&snapshot)
            .map_err(io::Error::from)
            .and_then(|bytes| memfd::with_contents("naru-monitor", &bytes))
        {
            Ok(file) => file,
            Err(error) => return error,
        };
        let mut fds: Vec<BorrowedFd<'_>> = vec![file.as_fd(), self.listener.as_fd()];
        fds.extend(self.connection.iter().map(|connection| connection.socket().as_fd()));
        for slot in self.slots.iter().flatten() {
            let process = &slot.process;
            fds.extend(process.descriptors().into_iter().map(|(_, fd)| fd));
            let sinks = process.attachments.iter().flat_map(Attachment::parts);
            fds.extend(sinks.flatten().map(|(fd, _, _)| fd.as_fd()));
        }
        let inherit =
            |inherited| fds.iter().try_for_each(|fd| process::set_inherited(*fd, inherited));
        if let Err(error) = inherit(true) {
            inherit(false).ok();
            return error;
        }
        let number = process::number_of(&file).to_string();
        let socket = self.path.as_os_str();
        let arguments: [&std::ffi::OsStr; 6] = [
            "naru".as_ref(),
            "monitor".as_ref(),
            "--socket".as_ref(),
            socket,
            "--resume".as_ref(),
            number.as_ref(),
        ];
        let error = command::replace(&wanted.program, &arguments);
        inherit(false).ok();
        error
    }

    fn snapshot(&self, wanted: &Wanted) -> Snapshot {
        let number = |fd: &OwnedFd| process::number_of(fd);
        let processes = self.slots.iter().flatten().map(|slot| {
            let process = &slot.process;
            let streams = Stream::ALL.map(|stream| {
                process.spool(stream).map(|spool| {
                    let (pipe, terminal) = match spool.source() {
                        None => (None, None),
                        Some(Source::Pipe(pipe)) => (Some(number(pipe)), None),
                        Some(Source::Terminal(master, pipe)) => {
                            (Some(number(pipe)), Some(number(master)))
                        }
                    };
                    KeptStream { spool: number(spool.file()), pipe, terminal }
                })
            });
            let attachments = process.attachments.iter().map(|attachment| KeptAttachment {
                id: attachment.id,
                part: attachment.part,
                sinks: attachment.parts().map(|sink| {
                    sink.map(|(fd, position, until)| KeptSink { fd: number(fd), position, until })
                }),
            });
            Kept {
                spec: process.spec.clone(),
                pid: process.pid,
                started_at: process.started_at,
                warnings: process.warnings.clone(),
                exit: process.exit,
                reported: process.reported,
                child: process.child,
                lingering: slot.lingering,
                gap: process.log.as_ref().and_then(LogFile::gap).cloned(),
                pidfd: number(&process.pidfd),
                stdin: process.stdin.as_ref().map(number),
                state: number(&process.state),
                streams,
                attachments: attachments.collect(),
            }
        });
        Snapshot {
            socket: self.path.clone(),
            listener: number(&self.listener),
            connection: self.connection.as_ref().map(|connection| number(connection.socket())),
            request: wanted.request,
            generation: wanted.generation,
            processes: processes.collect(),
        }
    }

    /// Goes on with a process of the program before.
    fn take_back(&mut self, kept: Kept) -> io::Result<()> {
        let mut spools = [None, None];
        for (spool, stream) in spools.iter_mut().zip(kept.streams) {
            let Some(stream) = stream else { continue };
            let file = process::inherited_fd(stream.spool)?;
            let pipe = stream.pipe.map(process::inherited_fd).transpose()?;
            let terminal = stream.terminal.map(process::inherited_fd).transpose()?;
            let source = match (terminal, pipe) {
                (Some(master), Some(pipe)) => Some(Source::Terminal(master, pipe)),
                (_, pipe) => pipe.map(Source::Pipe),
            };
            *spool = Some(Spool::resume(source, file)?);
        }
        let log = match (&kept.spec.log, kept.lingering) {
            (Some(log), false) => Some(LogFile::open(log, kept.gap)?),
            _ => None,
        };
        let parts = Parts {
            spec: kept.spec,
            pid: kept.pid,
            started_at: kept.started_at,
            pidfd: process::inherited_fd(kept.pidfd)?,
            stdin: kept.stdin.map(process::inherited_fd).transpose()?,
            spools,
            state: process::inherited_fd(kept.state)?,
            log,
            child: kept.child,
        };
        let mut process = Process::new(parts, &mut self.buffers)?;
        process.warnings = kept.warnings;
        process.exit = kept.exit;
        process.reported = kept.reported;
        let waits = process.exit.is_some() && !process.reported;
        process.deadline = waits.then(|| Instant::now() + crate::process::GRACE);
        let watch_pidfd = !process.child && process.exit.is_none();
        let key = process.spec.key.clone();
        let at = self.insert(Slot { process, start: None, lingering: kept.lingering });
        if kept.lingering && self.keys.get(&key) == Some(&at) {
            self.keys.remove(&key);
        }
        for attachment in kept.attachments {
            let mut sinks = [None, None];
            for (sink, kept) in sinks.iter_mut().zip(attachment.sinks) {
                let Some(kept) = kept else { continue };
                let fd = process::inherited_fd(kept.fd)?;
                *sink = Some(SinkParts { fd, position: kept.position, until: kept.until });
            }
            let attachment = Attachment::from_parts(attachment.id, attachment.part, sinks)
                .map_err(io::Error::other)?;
            self.with(at, |process, around| process.add_attachment(around, at, attachment));
        }
        let epoll = &self.epoll;
        if let Some(slot) = self.slots.get_mut(index(at)).and_then(Option::as_mut) {
            if watch_pidfd {
                epoll.add(&slot.process.pidfd, Watch::Stranger(at).token(), Interest::Read)?;
            }
            slot.process.watch(epoll, at)?;
        }
        self.check_exit(at);
        Ok(())
    }
}

/// Goes on as the new program.
pub(super) fn resume(
    number: RawFd,
    launcher: &mut dyn Launcher,
) -> Result<Monitor<'_>, ServeError> {
    let signals = settle()?;
    let file = process::inherited_fd(number).map_err(system("take its state"))?;
    let bytes = memfd::contents(file, MAX_SNAPSHOT).map_err(system("read its state"))?;
    let snapshot: Snapshot = serde_json::from_slice(&bytes)
        .map_err(|error| system("understand its state")(error.into()))?;
    let epoll = Epoll::new().map_err(system("poll"))?;
    let listener = process::inherited_fd(snapshot.listener).map_err(system("take its socket"))?;
    let connection = snapshot
        .connection
        .map(|number| Connection::new(&epoll, process::inherited_fd(number)?))
        .transpose()
        .map_err(system("take its connection"))?;
    let mut monitor =
        Monitor::new(launcher, epoll, signals, (listener, snapshot.socket), connection)?;
    for kept in snapshot.processes {
        let key = kept.spec.key.clone();
        if let Err(error) = monitor.take_back(kept) {
            monitor.warnings.push(format!("cannot go on with `{key}`: {error}"));
        }
    }
    monitor.generation = snapshot.generation;
    monitor.answer(snapshot.request, Answer::Done);
    monitor.welcome(0);
    Ok(monitor)
}
