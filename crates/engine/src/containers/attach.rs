//! Acts: connects a client with the standard streams of a container.

use super::Containers;
use crate::container::Phase;
use crate::launcher::{Key, Listener};
use crate::model::{AttachOptions, LogOptions, StreamKind, Tail};
use crate::streams::{Attachment, Output, Stdin};
use crate::supervisor::Supervisor;
use bytes::Bytes;
use naru_errdefs::{Fault, Kind, one_line};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

/// How many pieces of output wait for a client before the process does.
pub(super) const WAITING: usize = 16;

impl Containers {
    /// Its standard streams; before the start too.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment, Fault> {
        let inner = &self.inner;
        let container = inner.find(name)?;
        let logs = if options.logs {
            let wanted = LogOptions {
                stdout: options.stdout,
                stderr: options.stderr,
                tail: Tail::All,
                ..LogOptions::default()
            };
            Some(self.logs(name, wanted).await?)
        } else {
            None
        };
        let (sender, receiver) = mpsc::channel(WAITING);
        let only_writes = (!options.stdout && !options.stderr).then(|| sender.clone());
        let (tty, run) = {
            let mut seat = container.seat();
            let tty = seat.record.config.tty;
            let phase = *container.phase.borrow();
            let listener = Listener { stdout: options.stdout, stderr: options.stderr, sender };
            if options.stream {
                if phase.up {
                    inner.launcher.attach(&container.key(), listener)?;
                } else {
                    seat.listeners.retain(|listener| !listener.sender.is_closed());
                    seat.listeners.push(listener);
                }
            }
            inner.publish(&seat.record, "attach", &[]);
            // The run that is on, or the one that comes.
            (tty, if phase.up { phase.run } else { phase.run + 1 })
        };
        let wants_stdin = options.stdin && options.stream && {
            let seat = container.seat();
            seat.record.config.open_stdin
        };
        let stdin = if wants_stdin {
            let once = {
                let seat = container.seat();
                seat.record.config.stdin_once && !seat.record.config.tty
            };
            let (sender, receiver) = mpsc::channel(WAITING);
            let pump = Pump { inner: inner.shared()?, key: container.key(), once, receiver };
            if let Some(output) = only_writes {
                let mut phase = container.phase.subscribe();
                inner.runtime.spawn(hold(output, async move {
                    phase.wait_for(|phase| phase.gone || phase.run >= run).await.ok();
                    phase.wait_for(|phase| phase.gone || phase.run != run || !phase.up).await.ok();
                }));
            }
            inner.runtime.spawn(pump.container(container.phase.subscribe(), run));
            Some(Stdin { sender })
        } else {
            None
        };
        let receiver = match logs {
            Some(logs) => after_logs(inner, logs, receiver),
            None => receiver,
        };
        Ok(Attachment { tty, output: Output { receiver, over: None }, stdin })
    }
}

/// What was logged first, then what comes.
fn after_logs(
    inner: &Arc<Supervisor>,
    mut logs: crate::streams::LogStream,
    mut live: mpsc::Receiver<(StreamKind, Bytes)>,
) -> mpsc::Receiver<(StreamKind, Bytes)> {
    let (sender, receiver) = mpsc::channel(WAITING);
    inner.runtime.spawn(async move {
        while let Some(Ok(record)) = logs.next().await {
            if sender.send((record.stream, record.bytes)).await.is_err() {
                return;
            }
        }
        while let Some(piece) = live.recv().await {
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Keeps the connection of a client that only writes, until it goes or the process has ended: nothing comes back, but that
/// is not the end.
pub(super) async fn hold(
    output: mpsc::Sender<(StreamKind, Bytes)>,
    ended: impl Future<Output = ()>,
) {
    tokio::select! {
        () = ended => {}
        () = output.closed() => {}
    }
}

/// Carries a client's input to a process.
pub(super) struct Pump {
    pub(super) inner: Arc<Supervisor>,
    pub(super) key: Key,
    /// Whether the end of the client's input is the end of the process's.
    pub(super) once: bool,
    pub(super) receiver: mpsc::Receiver<Bytes>,
}

impl Pump {
    /// To a container: waits for the run and ends with it.
    async fn container(self, mut phase: watch::Receiver<Phase>, run: u64) {
        let ready = phase.wait_for(|phase| phase.gone || phase.run >= run).await;
        let on = ready.is_ok_and(|phase| !phase.gone && phase.run == run && phase.up);
        if !on {
            return;
        }
        let ended = async {
            // The sender is gone when the container is.
            phase.wait_for(|phase| phase.gone || phase.run != run || !phase.up).await.ok();
        };
        self.run(ended).await;
    }

    /// To a process that runs: until the client's end or the process's.
    pub(super) async fn run(mut self, ended: impl Future<Output = ()>) {
        let fd = match self.inner.launcher.stdin(&self.key) {
            Ok(Some(fd)) => fd,
            Ok(None) => return,
            Err(fault) if fault.kind() == Kind::NotFound => return,
            Err(fault) => {
                tracing::warn!(container = self.key.container, "no way in: {}", one_line(&fault));
                return;
            }
        };
        let pumped = async {
            let fd = nonblocking(fd)?;
            while let Some(bytes) = self.receiver.recv().await {
                write_all(&fd, &bytes).await?;
            }
            io::Result::Ok(())
        };
        tokio::select! {
            // A process that closed its input does not want the rest; its end is told elsewhere.
            _done = pumped => {}
            () = ended => return,
        }
        if self.once {
            self.inner.launcher.close_stdin(&self.key);
        }
    }
}

fn nonblocking(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    naru_kernel::splice::set_nonblocking(&fd, true)?;
    crate::readiness::register(fd, Interest::WRITABLE)
}

async fn write_all(fd: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = fd.writable().await?;
        match naru_kernel::splice::try_write(fd.get_ref().as_fd(), bytes)? {
            Some(count) => bytes = bytes.get(count..).unwrap_or_default(),
            None => ready.clear_ready(),
        }
    }
    Ok(())
}
