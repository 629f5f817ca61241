//! Acts: does what the daemon asks for.

use super::{Monitor, Slot, Start};
use crate::attachments::Attachment;
use crate::connection::{Descriptors, Packet};
use crate::launch::read_plan;
use crate::log_file::LogFile;
use crate::process::{Parts, Process, now};
use crate::protocol::{
    Answer, AttachSpec, ProcessKey, ProcessSpec, Refusal, Request, Role, Stream, VERSION,
};
use crate::spool::{Source, Spool};
use crate::watch::Watch;
use naru_kernel::poll::Interest;
use naru_kernel::{memfd, pidfd, process, splice};
use naru_runtime::{ChildStdio, Progress, Reason, StartError};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

const SIGKILL: i32 = 9;

type Refused = (Refusal, String);

fn other(what: &str) -> impl FnOnce(std::io::Error) -> Refused + '_ {
    move |error| (Refusal::Other, format!("{what}: {error}"))
}

impl Monitor<'_> {
    pub(super) fn request(&mut self, packet: Packet) {
        let Packet { request, body, fds } = packet;
        let body = match body {
            Ok(body) => body,
            Err(message) => return self.refuse(request, Refusal::InvalidInput, message),
        };
        let result = match body {
            Request::Hello { .. } => {
                self.welcome(request);
                return;
            }
            Request::List => return self.show_all(request),
            Request::Start { spec, attachments } => {
                self.start(request, spec, attachments, fds).map(|()| None)
            }
            Request::Adopt { spec, pid, attachments } => {
                self.adopt(request, (spec, pid), attachments, fds).map(|()| None)
            }
            Request::Attach { key, spec } => self.attach(&key, spec, fds).map(Some),
            Request::Detach { key, attachment } => {
                self.detach(&key, attachment);
                Ok(Some(Answer::Done))
            }
            Request::CloseStdin { key } => self.close_stdin(&key).map(Some),
            Request::Forget { key } => self.forget(&key).map(Some),
            Request::Upgrade => self.want_upgrade(request, fds).map(|()| None),
            Request::Shutdown => self.shut_down().map(Some),
        };
        match result {
            Ok(Some(answer)) => self.answer(request, answer),
            Ok(None) => {}
            Err((refusal, message)) => self.refuse(request, refusal, message),
        }
    }

    pub(super) fn welcome(&mut self, request: u64) {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        self.answer(request, Answer::Welcome { version: VERSION, pid: process::id(), program });
    }

    /// Makes a process. The answer comes when its handshake is over.
    fn start(
        &mut self,
        request: u64,
        spec: ProcessSpec,
        attachments: Vec<AttachSpec>,
        mut fds: Descriptors,
    ) -> Result<(), Refused> {
        self.refuse_double(&spec.key)?;
        let failed = |error: StartError| (refusal_of(error.reason), error.message);
        let plan =
            fds.take(Role::Plan).ok_or((Refusal::InvalidInput, "no plan came".to_owned()))?;
        let plan = read_plan(plan).map_err(failed)?;
        let target = fds.take(Role::Target);
        let log = open_log(&spec)?;
        let pipes = if spec.terminal { Pipes::none() } else { Pipes::new(spec.stdin)? };
        let state = memfd::create("naru-state").map_err(other("cannot make a file in memory"))?;
        let started_at = now();
        let target = target.as_ref().map(AsFd::as_fd);
        let launching = self.launcher.launch(&plan, target, pipes.child).map_err(failed)?;
        let pidfd = launching.pidfd().try_clone_to_owned();
        let pidfd = pidfd.map_err(other("cannot copy a descriptor"))?;
        let parts = Parts {
            spec,
            pid: launching.pid(),
            started_at,
            pidfd,
            stdin: pipes.stdin,
            spools: pipes.spools,
            state,
            log,
            child: true,
        };
        let attachments = with_descriptors(attachments, &mut fds);
        let process = Process::new(parts, &mut self.buffers)
            .map_err(other("cannot read the state of a process"))?;
        let generation = self.generation;
        let start = Start { launching, request, generation, attachments, failed: None };
        let at = self.insert(Slot { process, start: Some(start), lingering: false });
        if let Some(Slot { start: Some(start), .. }) =
            self.slots.get(index(at)).and_then(Option::as_ref)
        {
            let token = Watch::Handshake(at).token();
            let watched = self.epoll.add(start.launching.handshake(), token, Interest::Read);
            if let Err(error) = watched {
                self.fail_start(at, StartError::other(format!("cannot watch a start: {error}")));
            }
        }
        Ok(())
    }

    fn refuse_double(&self, key: &ProcessKey) -> Result<(), Refused> {
        if self.keys.contains_key(key) {
            return Err((Refusal::AlreadyExists, format!("there is a process `{key}` already")));
        }
        Ok(())
    }

    /// A process that starts has something to tell.
    pub(super) fn advance(&mut self, at: u32) {
        loop {
            let Some(Slot { start: Some(start), .. }) = self.slot(at) else { return };
            if start.failed.is_some() {
                return;
            }
            match start.launching.advance() {
                Ok(Progress::Waiting) => return,
                Ok(Progress::Console(master)) => {
                    if let Err(error) = self.set_terminal(at, master) {
                        return self.fail_start(at, error);
                    }
                }
                Ok(Progress::Gated) => {
                    let error = "a container under the monitor cannot wait at a gate";
                    return self.fail_start(at, StartError::other(error));
                }
                Ok(Progress::Running) => return self.started(at),
                Err(error) => return self.fail_start(at, error),
            }
        }
    }

    fn set_terminal(&mut self, at: u32, master: OwnedFd) -> Result<(), StartError> {
        let spool = splice::loop_pipe()
            .and_then(|pipe| Spool::new(Source::Terminal(master, pipe)))
            .map_err(|error| StartError::other(format!("cannot hold the terminal: {error}")))?;
        self.with(at, |process, _| process.set_terminal(spool));
        Ok(())
    }

    /// The command is being executed.
    fn started(&mut self, at: u32) {
        let Some(slot) = self.slots.get_mut(index(at)).and_then(Option::as_mut) else { return };
        let Some(start) = slot.start.take() else { return };
        // Nothing more comes; whoever closes it next must not leave the watch behind.
        self.epoll.remove(start.launching.handshake()).ok();
        slot.process.warnings = start.launching.finish().1;
        let request = if start.generation == self.generation {
            Some(start.request)
        } else {
            // Another daemon than the one that asked: it learns of it by its listing.
            self.listing.as_ref().map(|listing| listing.request)
        };
        // The daemon has its copies before anything else can go wrong.
        if let Some(request) = request {
            self.show(request, at);
        }
        for (spec, fds) in start.attachments {
            self.give_attachment(at, spec, fds);
        }
        if let Some(Err(error)) = self.with(at, |process, around| process.watch(around.epoll, at)) {
            self.warnings.push(format!("cannot watch the output of a process: {error}"));
        }
    }

    fn give_attachment(&mut self, at: u32, spec: AttachSpec, fds: [Option<OwnedFd>; 2]) {
        let problem = self.with(at, |process, around| {
            let spools = [process.spool(Stream::Stdout), process.spool(Stream::Stderr)];
            match Attachment::new(&spec, process.next_part, fds, spools) {
                Ok(attachment) => {
                    process.add_attachment(around, at, attachment);
                    None
                }
                Err(problem) => Some(problem),
            }
        });
        self.warnings.extend(problem.flatten());
    }

    /// A start has failed. The daemon hears of it when the process is gone, so that it can clean up behind it.
    pub(super) fn fail_start(&mut self, at: u32, error: StartError) {
        let Some(slot) = self.slots.get_mut(index(at)).and_then(Option::as_mut) else { return };
        let Some(start) = &mut slot.start else { return };
        start.failed = Some(error);
        self.epoll.remove(start.launching.handshake()).ok();
        // It is ending anyway, as a rule.
        pidfd::send_signal(&slot.process.pidfd, SIGKILL).ok();
    }

    /// The process of a start is gone.
    pub(super) fn start_ended(&mut self, at: u32) {
        let Some(Slot { start: Some(start), .. }) = self.slot(at) else { return };
        let error = start.failed.take().unwrap_or_else(|| {
            StartError::other("the container's init ended before it could execute the command")
        });
        let (request, generation) = (start.request, start.generation);
        self.remove(at);
        if generation == self.generation {
            self.refuse(request, refusal_of(error.reason), error.message);
        } else {
            self.warnings.push(format!("a start that was asked for by an earlier daemon: {error}"));
        }
    }

    /// Takes over a process whose monitor died.
    fn adopt(
        &mut self,
        request: u64,
        (spec, pid): (ProcessSpec, u32),
        attachments: Vec<AttachSpec>,
        mut fds: Descriptors,
    ) -> Result<(), Refused> {
        self.refuse_double(&spec.key)?;
        let lacking = || (Refusal::InvalidInput, "a descriptor is missing".to_owned());
        let pidfd = fds.take(Role::Pidfd).ok_or_else(lacking)?;
        let state = fds.take(Role::State).ok_or_else(lacking)?;
        let stdin = fds.take(Role::Stdin);
        let stdout = match (fds.take(Role::Console), fds.take(Role::ConsolePipe)) {
            (Some(master), Some(pipe)) => Some(Source::Terminal(master, pipe)),
            _ => fds.take(Role::Stdout).map(Source::Pipe),
        };
        let stderr = fds.take(Role::Stderr).map(Source::Pipe);
        let mut spools = [None, None];
        let sources = [(stdout, Role::StdoutSpool), (stderr, Role::StderrSpool)];
        for (spool, (source, role)) in spools.iter_mut().zip(sources) {
            if let Some(file) = fds.take(role) {
                let resumed = Spool::resume(source, file);
                *spool = Some(resumed.map_err(other("cannot go on with a stream"))?);
            }
        }
        let log = open_log(&spec)?;
        let parts =
            Parts { spec, pid, started_at: now(), pidfd, stdin, spools, state, log, child: false };
        let process = Process::new(parts, &mut self.buffers)
            .map_err(other("cannot read the state of a process"))?;
        let ended = process.exit.is_some();
        let at = self.insert(Slot { process, start: None, lingering: false });
        self.show(request, at);
        for (spec, fds) in with_descriptors(attachments, &mut fds) {
            self.give_attachment(at, spec, fds);
        }
        let watched = self.with(at, |process, around| {
            if ended {
                process.deadline = Some(Instant::now() + crate::process::GRACE);
            } else {
                around.epoll.add(&process.pidfd, Watch::Stranger(at).token(), Interest::Read)?;
            }
            process.watch(around.epoll, at)
        });
        if let Some(Err(error)) = watched {
            self.warnings.push(format!("cannot watch an adopted process: {error}"));
        }
        // Output of which the end was seen already brings no event any more.
        for stream in Stream::ALL {
            self.with(at, |process, around| process.pump(around, at, stream));
        }
        self.check_exit(at);
        Ok(())
    }

    fn find(&self, key: &ProcessKey) -> Result<u32, Refused> {
        let found = self.keys.get(key).copied();
        found.ok_or_else(|| (Refusal::NotFound, format!("there is no process `{key}`")))
    }

    fn attach(
        &mut self,
        key: &ProcessKey,
        spec: AttachSpec,
        mut fds: Descriptors,
    ) -> Result<Answer, Refused> {
        let at = self.find(key)?;
        let pair = take_sinks(&spec, &mut fds);
        let attached = self.with(at, |process, around| {
            let spools = [process.spool(Stream::Stdout), process.spool(Stream::Stderr)];
            let attachment = Attachment::new(&spec, process.next_part, pair, spools)?;
            let position = |stream| attachment.position(stream).unwrap_or(0);
            let (stdout, stderr) = (position(Stream::Stdout), position(Stream::Stderr));
            process.add_attachment(around, at, attachment);
            Ok(Answer::Attached { stdout, stderr })
        });
        let attached = attached.unwrap_or_else(|| Err(format!("there is no process `{key}`")));
        attached.map_err(|message| (Refusal::InvalidInput, message))
    }

    fn detach(&mut self, key: &ProcessKey, id: u64) {
        let Some(at) = self.keys.get(key).copied() else { return };
        self.with(at, |process, around| {
            for attachment in process.attachments.iter_mut().filter(|known| known.id == id) {
                attachment.close(around.epoll);
            }
            // Whoever waited for this reader goes on.
            for stream in Stream::ALL {
                process.sink_ready(around, at, (u32::MAX, stream), false);
            }
        });
    }

    fn close_stdin(&mut self, key: &ProcessKey) -> Result<Answer, Refused> {
        let at = self.find(key)?;
        self.with(at, |process, _| process.stdin = None);
        Ok(Answer::Done)
    }

    fn forget(&mut self, key: &ProcessKey) -> Result<Answer, Refused> {
        let Ok(at) = self.find(key) else { return Ok(Answer::Done) };
        let reported = self.slot(at).is_some_and(|slot| slot.process.reported);
        if !reported {
            return Err((Refusal::Conflict, format!("the process `{key}` has not ended")));
        }
        let record = self.with(at, |process, around| {
            process.retire(around, at);
            process.spec.exit_record.clone()
        });
        if let Some(path) = record.flatten()
            && let Err(error) = crate::exit_record::remove(&path)
        {
            self.warnings.push(format!("cannot remove `{}`: {error}", path.display()));
        }
        self.keys.remove(key);
        if let Some(slot) = self.slot(at) {
            slot.lingering = true;
        }
        self.check_lingering(at);
        Ok(Answer::Done)
    }

    fn shut_down(&mut self) -> Result<Answer, Refused> {
        if self.slots.iter().flatten().any(|slot| !slot.lingering) {
            return Err((Refusal::Conflict, "there are processes".to_owned()));
        }
        self.over = true;
        Ok(Answer::Done)
    }
}

pub(super) fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

pub(super) fn open_log(spec: &ProcessSpec) -> Result<Option<LogFile>, Refused> {
    let Some(log) = &spec.log else { return Ok(None) };
    let opened = LogFile::open(log, None);
    let opened = opened.map_err(|error| {
        (Refusal::Other, format!("cannot open the log `{}`: {error}", log.path.display()))
    })?;
    Ok(Some(opened))
}

fn refusal_of(reason: Reason) -> Refusal {
    match reason {
        Reason::NotFound => Refusal::CommandNotFound,
        Reason::NotExecutable => Refusal::CommandNotExecutable,
        Reason::BadUser => Refusal::BadUser,
        Reason::BadWorkdir => Refusal::BadWorkdir,
        Reason::Other => Refusal::Other,
    }
}

type Sinks = [Option<OwnedFd>; 2];

fn take_sinks(spec: &AttachSpec, fds: &mut Descriptors) -> Sinks {
    [
        spec.stdout.and_then(|_| fds.take(Role::AttachStdout)),
        spec.stderr.and_then(|_| fds.take(Role::AttachStderr)),
    ]
}

fn with_descriptors(specs: Vec<AttachSpec>, fds: &mut Descriptors) -> Vec<(AttachSpec, Sinks)> {
    specs.into_iter().map(|spec| (spec, take_sinks(&spec, fds))).collect()
}

/// The streams of a process without a terminal: the child's ends and ours.
struct Pipes {
    child: Option<ChildStdio>,
    stdin: Option<OwnedFd>,
    spools: [Option<Spool>; 2],
}

impl Pipes {
    fn none() -> Pipes {
        Pipes { child: None, stdin: None, spools: [None, None] }
    }

    fn new(with_stdin: bool) -> Result<Pipes, Refused> {
        let failed = || other("cannot make a pipe");
        let (child_stdin, stdin) = if with_stdin {
            let (read, write) = splice::pipe().map_err(failed())?;
            (read, Some(write))
        } else {
            let null =
                std::fs::File::open("/dev/null").map_err(other("cannot open `/dev/null`"))?;
            (OwnedFd::from(null), None)
        };
        let (stdout, child_stdout) = splice::pipe().map_err(failed())?;
        let (stderr, child_stderr) = splice::pipe().map_err(failed())?;
        let spool = |pipe| {
            Spool::new(Source::Pipe(pipe)).map(Some).map_err(other("cannot make a file in memory"))
        };
        Ok(Pipes {
            child: Some(ChildStdio {
                stdin: child_stdin,
                stdout: child_stdout,
                stderr: child_stderr,
            }),
            stdin,
            spools: [spool(stdout)?, spool(stderr)?],
        })
    }
}
