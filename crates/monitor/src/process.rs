//! Acts: one process with its streams, its log and its readers.
//!
//! ```text
//!   starting ──▶ running ──exit──▶ draining ──┬─ all streams at their end ─▶ reported ──Forget──▶ lingering ──▶ gone
//!      │                                      └─ or GRACE is over ────────▶ (the log goes on)    (readers finish)
//!      └─ failed
//! ```
//!
//! What the process itself wrote is in the pipes when it is dead, so one look at them until they are empty is enough for
//! its own output. Only descendants can write later. Those of a container with a PID namespace of its own are dead too
//! (the kernel ends them before it tells of the end of process 1); others may hold a stream open for ever. Readers get
//! what comes within a second, the log gets everything until the end or until `Forget`.

use crate::attachments::Attachment;
use crate::log_file::LogFile;
use crate::log_record;
use crate::protocol::{Exit, ProcessSpec, Role, Stream};
use crate::spool::{Source, Spool};
use crate::takeover::{self, Batch, State, slot};
use crate::watch::Watch;
use naru_kernel::memfd;
use naru_kernel::poll::{Epoll, Interest};
use naru_kernel::splice::Moved;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A process waits when a reader of its output is so far behind.
pub const BACKLOG: u64 = 1024 * 1024;

/// How long after the exit output of descendants is waited for.
pub const GRACE: Duration = Duration::from_secs(1);

/// How many moves are made for one process before the others get their turn.
const ROUNDS: usize = 8;

/// A batch is written when it has grown to this size.
const BATCH: usize = 64 * 1024;

/// Memory that all processes use in turn.
#[derive(Debug)]
pub struct Buffers {
    read: Vec<u8>,
    encoded: Vec<u8>,
}

impl Buffers {
    /// Of fixed size.
    pub fn new() -> Buffers {
        Buffers { read: vec![0; BATCH], encoded: Vec::with_capacity(2 * BATCH) }
    }
}

/// What a process needs of the monitor around it.
#[derive(Debug)]
pub struct Around<'a> {
    /// The poll loop.
    pub epoll: &'a Epoll,
    /// Memory for one call.
    pub buffers: &'a mut Buffers,
    /// What the daemon should log.
    pub warnings: &'a mut Vec<String>,
}

/// A process.
#[derive(Debug)]
pub struct Process {
    /// What is kept of it.
    pub spec: ProcessSpec,
    /// Its number.
    pub pid: u32,
    /// When it was started.
    pub started_at: i64,
    /// The process.
    pub pidfd: OwnedFd,
    /// What could not be honoured to the letter.
    pub warnings: Vec<String>,
    /// Write end of its standard input; kept so that the daemon's death is not its end.
    pub stdin: Option<OwnedFd>,
    /// How it ended.
    pub exit: Option<Exit>,
    /// Whether the end was told, and nothing more needs to be read for it.
    pub reported: bool,
    /// When the wait for output of descendants is over.
    pub deadline: Option<Instant>,
    /// Whether it is our child; else its pidfd is watched.
    pub child: bool,
    pub(crate) spools: [Option<Spool>; 2],
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) log: Option<LogFile>,
    pub(crate) state: OwnedFd,
    pub(crate) logged: [u64; 2],
    pub(crate) next_part: u32,
    watched: [bool; 2],
}

/// What a process is made of, new or taken over.
#[derive(Debug)]
pub struct Parts {
    /// What is kept of it.
    pub spec: ProcessSpec,
    /// Its number.
    pub pid: u32,
    /// When it was started.
    pub started_at: i64,
    /// The process.
    pub pidfd: OwnedFd,
    /// Write end of its standard input.
    pub stdin: Option<OwnedFd>,
    /// Its streams; a terminal has one.
    pub spools: [Option<Spool>; 2],
    /// The state file; a new one is empty.
    pub state: OwnedFd,
    /// Its log.
    pub log: Option<LogFile>,
    /// Whether it is our child.
    pub child: bool,
}

impl Process {
    /// A process whose logging begins, or goes on where the state file says.
    pub fn new(parts: Parts, buffers: &mut Buffers) -> io::Result<Process> {
        let mut process = Process {
            spec: parts.spec,
            pid: parts.pid,
            started_at: parts.started_at,
            pidfd: parts.pidfd,
            warnings: Vec::new(),
            stdin: parts.stdin,
            exit: None,
            reported: false,
            deadline: None,
            child: parts.child,
            spools: parts.spools,
            attachments: Vec::new(),
            log: parts.log,
            state: parts.state,
            logged: [0; 2],
            next_part: 0,
            watched: [false; 2],
        };
        process.resume(buffers)?;
        Ok(process)
    }

    /// Finishes the batch in which a predecessor was killed.
    fn resume(&mut self, buffers: &mut Buffers) -> io::Result<()> {
        let mut bytes = [0; takeover::LENGTH];
        if memfd::read_at(&self.state, &mut bytes, 0)? == 0 {
            return Ok(());
        }
        self.exit = takeover::decode_exit(&bytes);
        let length = self.log.as_ref().map_or(Ok(0), LogFile::length)?;
        let resumed = takeover::resume(&takeover::decode(&bytes), length);
        self.logged = resumed.logged;
        if self.log.is_none() {
            // Nothing waits for a log, and readers say themselves where they are.
            self.logged = self.spools.each_ref().map(|spool| spool.as_ref().map_or(0, Spool::size));
        }
        let (Some((batch, done)), Some(log)) = (resumed.unfinished, &mut self.log) else {
            return Ok(());
        };
        let Some(spool) = slot(&mut self.spools, batch.stream) else { return Ok(()) };
        let Buffers { read, encoded } = buffers;
        let text = spool.read(read, batch.from, batch.to)?;
        let time = log_record::format_time(batch.time);
        encoded.clear();
        let mut rest = text;
        // The batch ends where a record ends, so that its own end is the only end that is needed.
        while let Some((record, after)) =
            log_record::next_length(rest, true).and_then(|length| rest.split_at_checked(length))
        {
            log_record::encode(encoded, batch.stream, record, &time);
            rest = after;
        }
        if let Err(error) = log.finish(&batch, encoded, done) {
            log.lose(batch.to - batch.from, batch.time, Some(&error));
        }
        Ok(())
    }

    /// The stream of a terminal, which comes only during the start.
    pub fn set_terminal(&mut self, spool: Spool) {
        *slot(&mut self.spools, Stream::Stdout) = Some(spool);
    }

    /// A stream's spool.
    pub fn spool(&self, stream: Stream) -> Option<&Spool> {
        let [stdout, stderr] = &self.spools;
        match stream {
            Stream::Stdout => stdout.as_ref(),
            Stream::Stderr => stderr.as_ref(),
        }
    }

    /// Lets the poll loop tell of output.
    pub fn watch(&mut self, epoll: &Epoll, at: u32) -> io::Result<()> {
        for stream in Stream::ALL {
            let readable = self.spool(stream).and_then(Spool::readable);
            if let Some(fd) = readable
                && !self.is_watched(stream)
            {
                epoll.add(fd, Watch::Output(at, stream).token(), Interest::Read)?;
                *slot(&mut self.watched, stream) = true;
            }
        }
        Ok(())
    }

    fn is_watched(&self, stream: Stream) -> bool {
        let [stdout, stderr] = self.watched;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    fn unwatch(&mut self, epoll: &Epoll, stream: Stream) {
        if !std::mem::take(slot(&mut self.watched, stream)) {
            return;
        }
        if let Some(fd) = self.spool(stream).and_then(Spool::readable) {
            // Copies of it live on at the daemon, so closing alone would leave the watch behind.
            epoll.remove(fd).ok();
        }
    }

    /// Adds a reader and gives it what it has missed.
    pub fn add_attachment(&mut self, around: &mut Around<'_>, at: u32, attachment: Attachment) {
        self.next_part = self.next_part.max(attachment.part + 1);
        if let Err(error) = attachment.watch(around.epoll, at) {
            around
                .warnings
                .push(format!("cannot watch an attachment of `{}`: {error}", self.spec.key));
        }
        self.attachments.push(attachment);
        for stream in Stream::ALL {
            if self.spool(stream).is_none_or(|spool| spool.source().is_none()) {
                self.finish_attachments(stream);
            }
            self.feed(around, at, stream);
        }
    }

    /// Moves output of a stream along: into its spool, its log, its readers.
    pub fn pump(&mut self, around: &mut Around<'_>, at: u32, stream: Stream) {
        // After the exit everything that is in the pipe is taken, readers behind or not: it is bounded by the pipe.
        let rounds = if self.exit.is_some() { 16 * ROUNDS } else { ROUNDS };
        for _ in 0..rounds {
            if self.exit.is_none() && self.backlog(stream) >= BACKLOG {
                self.unwatch(around.epoll, stream);
                break;
            }
            let Some(spool) = slot(&mut self.spools, stream) else { return };
            match spool.take() {
                Ok(Moved::Bytes(_)) => {
                    self.write_log(around, stream, false);
                    self.feed(around, at, stream);
                }
                Ok(Moved::Nothing) => break,
                Ok(Moved::End) => {
                    self.end(around, at, stream);
                    break;
                }
                Err(error) => {
                    let key = &self.spec.key;
                    let name = stream.name();
                    around.warnings.push(format!("cannot read {name} of `{key}`: {error}"));
                    self.end(around, at, stream);
                    break;
                }
            }
        }
        self.discard(stream);
    }

    /// The stream is at its end.
    fn end(&mut self, around: &mut Around<'_>, at: u32, stream: Stream) {
        self.unwatch(around.epoll, stream);
        self.write_log(around, stream, true);
        if let Some(spool) = slot(&mut self.spools, stream) {
            spool.close();
        }
        self.finish_attachments(stream);
        self.feed(around, at, stream);
        if self.has_ended() {
            self.mark_gap(around);
        }
    }

    /// Whether no stream can bring more.
    pub fn has_ended(&self) -> bool {
        self.spools.iter().flatten().all(|spool| spool.source().is_none())
    }

    /// Readers get what is there, and then the end.
    pub fn finish_attachments(&mut self, stream: Stream) {
        let size = self.spool(stream).map_or(0, Spool::size);
        for attachment in &mut self.attachments {
            attachment.finish(stream, size);
        }
    }

    /// Writes to readers what they have not got.
    pub fn feed(&mut self, around: &mut Around<'_>, at: u32, stream: Stream) {
        let Some(spool) = slot(&mut self.spools, stream) else {
            for attachment in &mut self.attachments {
                attachment.drop_sink(around.epoll, stream);
            }
            self.attachments.retain(|attachment| !attachment.is_over());
            return;
        };
        for attachment in &mut self.attachments {
            attachment.feed((around.epoll, at), stream, spool, &mut around.buffers.read);
        }
        self.attachments.retain(|attachment| !attachment.is_over());
    }

    /// A reader can take more, or is gone.
    pub fn sink_ready(
        &mut self,
        around: &mut Around<'_>,
        at: u32,
        (part, stream): (u32, Stream),
        gone: bool,
    ) {
        if gone {
            let reader = self.attachments.iter_mut().find(|attachment| attachment.part == part);
            if let Some(attachment) = reader {
                attachment.drop_sink(around.epoll, stream);
            }
        }
        self.feed(around, at, stream);
        self.discard(stream);
        if self.backlog(stream) < BACKLOG / 2
            && let Err(error) = self.watch(around.epoll, at)
        {
            around.warnings.push(format!("cannot watch output of `{}`: {error}", self.spec.key));
        }
    }

    /// How much of a stream waits for its slowest reader.
    fn backlog(&self, stream: Stream) -> u64 {
        let size = self.spool(stream).map_or(0, Spool::size);
        size - self.slowest(stream).min(size)
    }

    fn slowest(&self, stream: Stream) -> u64 {
        let [stdout, stderr] = self.logged;
        let logged = match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        let readers = self.attachments.iter().filter_map(|attachment| attachment.position(stream));
        readers.fold(logged, u64::min)
    }

    fn discard(&mut self, stream: Stream) {
        let position = self.slowest(stream);
        if let Some(spool) = slot(&mut self.spools, stream) {
            // If memory cannot be given back now, the next time will do.
            spool.discard(position).ok();
        }
    }

    /// Appends complete records of a stream to the log; with `end`, the rest too.
    fn write_log(&mut self, around: &mut Around<'_>, stream: Stream, end: bool) {
        loop {
            match self.write_batch(around.buffers, stream, end) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    if self.lose(stream, Some(&error)) {
                        let key = &self.spec.key;
                        let path = self.log.as_ref().map(|log| log.path().display().to_string());
                        let path = path.unwrap_or_default();
                        around.warnings.push(format!(
                            "output of `{key}` is not logged, because `{path}` cannot be written: {error}"
                        ));
                    }
                    return;
                }
            }
        }
    }

    /// Gives up what is in the spool of a stream as far as the log is concerned. Whether it is the first loss.
    fn lose(&mut self, stream: Stream, error: Option<&io::Error>) -> bool {
        let size = self.spool(stream).map_or(0, Spool::size);
        let logged = slot(&mut self.logged, stream);
        let lost = size - (*logged).min(size);
        *logged = size;
        self.write_state(None).ok();
        self.log.as_mut().is_some_and(|log| log.lose(lost, now(), error))
    }

    /// Whether there may be more to be logged.
    fn write_batch(
        &mut self,
        buffers: &mut Buffers,
        stream: Stream,
        end: bool,
    ) -> io::Result<bool> {
        let from = *slot(&mut self.logged, stream);
        let Some(spool) = slot(&mut self.spools, stream) else { return Ok(false) };
        let size = spool.size();
        if from == size {
            return Ok(false);
        }
        let Some(log) = &mut self.log else {
            *slot(&mut self.logged, stream) = size;
            return Ok(false);
        };
        let time = now();
        if log.is_backing_off(time) {
            self.lose(stream, None);
            return Ok(false);
        }
        log.mark_gap(time)?;
        let log_before = log.length()?;
        let Buffers { read, encoded } = buffers;
        let text = spool.read(read, from, size)?;
        let end = end && from + text.len() as u64 == size;
        let room = log.capacity().saturating_sub(log_before);
        let taken =
            fill(encoded, (stream, &log_record::format_time(time)), text, (end, room, log_before));
        match taken {
            Taken::Nothing => Ok(false),
            Taken::NoRoom => {
                // The state must not speak of a batch in a file that is not the newest any more.
                self.write_state(None)?;
                if let Some(log) = &mut self.log {
                    log.rotate()?;
                }
                Ok(true)
            }
            Taken::Bytes(count) => {
                let to = from + count as u64;
                let log_after = log_before + encoded.len() as u64;
                let batch = Batch { stream, from, to, log_before, log_after, time };
                self.write_state(Some(batch))?;
                if let Some(log) = &mut self.log {
                    log.append(encoded, log_before)?;
                }
                *slot(&mut self.logged, stream) = to;
                Ok(true)
            }
        }
    }

    fn write_state(&self, batch: Option<Batch>) -> io::Result<()> {
        let state = State { logged: self.logged, batch };
        memfd::write_all_at(&self.state, &takeover::encode(&state), 0)
    }

    fn mark_gap(&mut self, around: &mut Around<'_>) {
        let result = self.write_state(None).and_then(|()| match &mut self.log {
            Some(log) => log.mark_gap(now()),
            None => Ok(()),
        });
        if let Err(error) = result {
            around
                .warnings
                .push(format!("cannot note a gap in the log of `{}`: {error}", self.spec.key));
        }
    }

    /// Notes the end where a successor finds it.
    pub fn set_exit(&mut self, exit: Exit) -> io::Result<()> {
        let (at, bytes) = takeover::encode_exit(&exit);
        self.exit = Some(exit);
        memfd::write_all_at(&self.state, &bytes, at)
    }

    /// Everything that the daemon keeps copies of.
    pub fn descriptors(&self) -> Vec<(Role, BorrowedFd<'_>)> {
        let mut fds = vec![(Role::Pidfd, self.pidfd.as_fd()), (Role::State, self.state.as_fd())];
        fds.extend(self.stdin.iter().map(|fd| (Role::Stdin, fd.as_fd())));
        for stream in Stream::ALL {
            let Some(spool) = self.spool(stream) else { continue };
            fds.push((crate::client::spool_role(stream), spool.file().as_fd()));
            match (spool.source(), stream) {
                (None, _) => {}
                (Some(Source::Pipe(pipe)), Stream::Stdout) => {
                    fds.push((Role::Stdout, pipe.as_fd()))
                }
                (Some(Source::Pipe(pipe)), Stream::Stderr) => {
                    fds.push((Role::Stderr, pipe.as_fd()))
                }
                (Some(Source::Terminal(master, pipe)), _) => {
                    fds.push((Role::Console, master.as_fd()));
                    fds.push((Role::ConsolePipe, pipe.as_fd()));
                }
            }
        }
        fds
    }

    /// Closes everything but what readers still have to get. Whether nothing is left to do.
    pub fn retire(&mut self, around: &mut Around<'_>, at: u32) -> bool {
        for stream in Stream::ALL {
            self.pump(around, at, stream);
            if self.spool(stream).is_some_and(|spool| spool.source().is_some()) {
                self.end(around, at, stream);
            }
        }
        self.log = None;
        self.stdin = None;
        self.attachments.is_empty()
    }

    /// Closes everything at once.
    pub fn close(&mut self, around: &mut Around<'_>) {
        for stream in Stream::ALL {
            self.unwatch(around.epoll, stream);
        }
        for attachment in &mut self.attachments {
            attachment.close(around.epoll);
        }
        self.attachments.clear();
    }
}

enum Taken {
    /// No complete record is there.
    Nothing,
    /// Not even the first record fits the file.
    NoRoom,
    /// So many bytes of output are encoded.
    Bytes(usize),
}

/// Encodes as many records as are complete and fit.
fn fill(
    encoded: &mut Vec<u8>,
    (stream, time): (Stream, &str),
    text: &[u8],
    (end, room, log_length): (bool, u64, u64),
) -> Taken {
    encoded.clear();
    let mut rest = text;
    while let Some((record, after)) =
        log_record::next_length(rest, end).and_then(|length| rest.split_at_checked(length))
    {
        let mark = encoded.len();
        log_record::encode(encoded, stream, record, time);
        if encoded.len() as u64 > room && (mark > 0 || log_length > 0) {
            encoded.truncate(mark);
            if mark == 0 {
                return Taken::NoRoom;
            }
            break;
        }
        rest = after;
        if encoded.len() >= BATCH {
            break;
        }
    }
    match text.len() - rest.len() {
        0 => Taken::Nothing,
        taken => Taken::Bytes(taken),
    }
}

/// The time, in nanoseconds since 1970.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or_default()
}
