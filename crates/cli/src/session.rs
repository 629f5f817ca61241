//! Acts: a container's streams on ours: output split by kind, input with half close and detach keys, resizing, signals.

use crate::exit::{ExitStatus, Failed};
use crate::opts::keys::Watch;
use crate::{printer, terminal};
use naru_api_types::frame::{Splitter, StreamKind};
use naru_client::{Client, Hijacked, HijackedReader, HijackedWriter};
use naru_errdefs::{Fault, Kind};
use std::io;
use std::pin::pin;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Whose terminal it is.
#[derive(Debug, Clone)]
pub enum Target {
    /// A container.
    Container(String),
    /// A further process in one.
    Exec(String),
}

/// How to connect.
#[derive(Debug)]
pub struct Session {
    /// Whose streams.
    pub target: Target,
    /// Whether the process has a terminal.
    pub tty: bool,
    /// Whether our input goes to it.
    pub stdin: bool,
    /// Which keys detach; only looked for on a terminal.
    pub detach_keys: Vec<u8>,
    /// Whether signals that reach us go to the container.
    pub proxy_signals: bool,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The process closed its output.
    Output,
    /// The user detached.
    Detached,
}

/// Signals caught from before a container runs, so that none is lost in between.
#[derive(Debug)]
pub struct Signals {
    list: Vec<(&'static str, u8, Signal)>,
    resized: Option<Signal>,
}

/// What docker's client passes on, as far as it can be caught.
const PROXIED: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("USR1", 10),
    ("USR2", 12),
    ("ALRM", 14),
    ("TERM", 15),
    ("CONT", 18),
];
/// What would end us and leave the terminal raw.
const ENDING: &[(&str, i32)] = &[("HUP", 1), ("INT", 2), ("QUIT", 3), ("TERM", 15)];

impl Signals {
    /// Begins to catch what this session needs.
    pub fn catch(session: &Session) -> Result<Signals, Fault> {
        let failed = |error: io::Error| Fault::io("cannot catch signals", error);
        let wanted: &[_] = match (session.tty, session.proxy_signals) {
            (_, true) => PROXIED,
            (true, false) => ENDING,
            (false, false) => &[],
        };
        let mut list = Vec::with_capacity(wanted.len());
        for (name, number) in wanted {
            let caught = signal(SignalKind::from_raw(*number)).map_err(failed)?;
            list.push((*name, u8::try_from(*number).unwrap_or(0), caught));
        }
        let resized = if session.tty {
            Some(signal(SignalKind::window_change()).map_err(failed)?)
        } else {
            None
        };
        Ok(Signals { list, resized })
    }

    async fn next(&mut self) -> Caught {
        std::future::poll_fn(|context| {
            if let Some(resized) = &mut self.resized
                && resized.poll_recv(context).is_ready()
            {
                return std::task::Poll::Ready(Caught::Resized);
            }
            for (name, number, caught) in &mut self.list {
                if caught.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(Caught::Signal(name, *number));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[derive(Debug, Clone, Copy)]
enum Caught {
    Resized,
    Signal(&'static str, u8),
}

impl Session {
    /// Passes everything back and forth until the process closes its output or the user detaches.
    pub async fn run(
        &self,
        client: &Client,
        streams: Hijacked,
        signals: &mut Signals,
    ) -> Result<Ended, Failed> {
        let Hijacked { mut reader, writer, .. } = streams;
        let mut output = pin!(copy_output(&mut reader, self.tty));
        let mut input = pin!(self.copy_input(writer));
        let mut control = pin!(self.control(client, signals));
        let mut input_open = true;
        loop {
            tokio::select! {
                ended = &mut output => return ended.map(|()| Ended::Output),
                ended = &mut input, if input_open => {
                    if ended? == Input::Detached {
                        return Ok(Ended::Detached);
                    }
                    input_open = false;
                }
                failed = &mut control => return Err(failed),
            }
        }
    }

    async fn copy_input(&self, mut writer: HijackedWriter) -> Result<Input, Failed> {
        if !self.stdin {
            // Our direction stays open until the process has said all: a closed one could be taken for our leaving.
            return std::future::pending().await;
        }
        let failed = |error| Failed::from(Fault::io("cannot read standard input", error));
        let mut stdin = Stdin::new().map_err(failed)?;
        let mut watch = self.tty.then(|| Watch::new(self.detach_keys.clone()));
        loop {
            let Some(piece) = stdin.read().await.map_err(failed)? else {
                // The process may have ended; its output tells.
                writer.close().await.ok();
                return Ok(Input::Over);
            };
            let sent = match &mut watch {
                None => writer.write_all(&piece).await,
                Some(watch) => {
                    let seen = watch.feed(&piece);
                    let sent = writer.write_all(&seen.pass).await;
                    if seen.detach {
                        return Ok(Input::Detached);
                    }
                    sent
                }
            };
            if sent.is_err() {
                return Ok(Input::Over);
            }
        }
    }

    async fn control(&self, client: &Client, signals: &mut Signals) -> Failed {
        loop {
            match signals.next().await {
                Caught::Resized => self.resize(client).await,
                Caught::Signal(name, number) => {
                    // A container that ended just now is about to say so by closing its output.
                    if matches!(self.pass_on(client, name).await, Passed::Nobody) {
                        return Failed::silent(ExitStatus(128_u8.saturating_add(number)));
                    }
                }
            }
        }
    }

    async fn pass_on(&self, client: &Client, signal: &str) -> Passed {
        match &self.target {
            Target::Container(id) if self.proxy_signals => {
                match client.kill_container(id, Some(signal)).await {
                    Ok(()) => Passed::Taken,
                    Err(fault) if matches!(fault.kind(), Kind::NotFound | Kind::Conflict) => {
                        Passed::TooLate
                    }
                    Err(_) => Passed::Nobody,
                }
            }
            Target::Container(_) | Target::Exec(_) => Passed::Nobody,
        }
    }

    /// Waits for something after the streams have ended. Signals still go to the container; when it is not there to take
    /// one, the one is for us.
    pub async fn outlast<T>(
        &self,
        client: &Client,
        signals: &mut Signals,
        awaited: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        let mut awaited = pin!(awaited);
        loop {
            let (name, number) = tokio::select! {
                done = &mut awaited => return done,
                caught = signals.next() => match caught {
                    Caught::Resized => continue,
                    Caught::Signal(name, number) => (name, number),
                },
            };
            if self.pass_on(client, name).await != Passed::Taken {
                return Err(Failed::silent(ExitStatus(128_u8.saturating_add(number))));
            }
        }
    }

    /// Tells the process how large our terminal is.
    pub async fn resize(&self, client: &Client) {
        let Some((rows, columns)) = terminal::size() else { return };
        // A process that just ended has no terminal to resize.
        match &self.target {
            Target::Container(id) => client.resize_container(id, rows, columns).await.ok(),
            Target::Exec(id) => client.resize_exec(id, rows, columns).await.ok(),
        };
    }

    /// Switches our terminal to raw mode where the process has one and we type into it.
    pub fn raw_mode(&self) -> Result<Option<terminal::RawMode>, Fault> {
        if self.tty && self.stdin && terminal::stdin_is_terminal() {
            return terminal::RawMode::enter().map(Some);
        }
        Ok(None)
    }
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// The container has it.
    Taken,
    /// The container has ended.
    TooLate,
    /// There is nobody to give it to.
    Nobody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Over,
    Detached,
}

async fn copy_output(reader: &mut HijackedReader, tty: bool) -> Result<(), Failed> {
    let mut buffer = vec![0; 64 << 10];
    let mut splitter = Splitter::new();
    loop {
        let count = match reader.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(Fault::io("cannot read the container's output", error).into()),
        };
        let piece = buffer.get(..count).unwrap_or_default();
        if tty {
            printer::raw_out(piece)?;
        } else {
            split(&mut splitter, piece)?;
        }
    }
    Ok(())
}

/// Writes framed output to where it belongs.
pub fn split(splitter: &mut Splitter, piece: &[u8]) -> Result<(), Failed> {
    let mut rest = piece;
    while let Some((kind, payload, after)) = splitter.next(rest)? {
        match kind {
            StreamKind::Stdin | StreamKind::Stdout => printer::raw_out(payload)?,
            StreamKind::Stderr => printer::raw_err(payload),
            StreamKind::SystemError => {
                let text = String::from_utf8_lossy(payload);
                return Err(Fault::internal(format!("error from daemon in stream: {text}")).into());
            }
        }
        rest = after;
    }
    Ok(())
}

/// Standard input, read by a thread of its own: a read from a terminal or a pipe cannot be taken back, and the one other
/// thread must go on. The thread ends with the process at the latest.
struct Stdin(mpsc::Receiver<io::Result<Vec<u8>>>);

impl Stdin {
    fn new() -> io::Result<Stdin> {
        let (sender, receiver) = mpsc::channel(4);
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut buffer = vec![0; 32 << 10];
            loop {
                let piece = match rustix::io::read(rustix::stdio::stdin(), &mut *buffer) {
                    // A terminal that was hung up has no more to say.
                    Ok(0) | Err(rustix::io::Errno::IO) => return,
                    Ok(count) => Ok(buffer.get(..count).unwrap_or_default().to_vec()),
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(rustix::io::Errno::AGAIN) => {
                        printer::wait_for(rustix::stdio::stdin(), rustix::event::PollFlags::IN);
                        continue;
                    }
                    Err(error) => Err(error.into()),
                };
                let over = piece.is_err();
                if sender.blocking_send(piece).is_err() || over {
                    return;
                }
            }
        })?;
        Ok(Stdin(receiver))
    }

    /// The next piece, nothing at the end.
    async fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.0.recv().await.transpose()
    }
}
