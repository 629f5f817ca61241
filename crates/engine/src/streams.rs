//! Acts: the byte streams and futures that the container service hands out.

use crate::model::{LogRecord, StreamKind, WaitOutcome};
use bytes::Bytes;
use naru_errdefs::Fault;
use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A client's connection to the standard streams of a container or an exec.
#[derive(Debug)]
pub struct Attachment {
    /// Whether the streams are a terminal (then the output is not framed).
    pub tty: bool,
    /// What the process writes.
    pub output: Output,
    /// Where the client's input goes, if it asked for that and standard input is open.
    pub stdin: Option<Stdin>,
}

/// What a process writes, in the order in which it was read.
#[derive(Debug)]
pub struct Output {
    pub(crate) receiver: mpsc::Receiver<(StreamKind, Bytes)>,
    /// Becomes true when the process has ended; present where who listens asks for its code next.
    pub(crate) over: Option<watch::Receiver<bool>>,
}

/// How long a process that has closed its streams may take to end, so that who has listened finds its code. One that
/// goes on without them goes on unheard.
const LAST_STEPS: Duration = Duration::from_secs(1);

impl Output {
    /// The next piece; `None` when the process has closed its streams.
    pub async fn next(&mut self) -> Option<(StreamKind, Bytes)> {
        let next = self.receiver.recv().await;
        if next.is_none()
            && let Some(mut over) = self.over.take()
        {
            // The streams of a process end a moment before itself. Late or gone, there is nothing more to wait for.
            drop(tokio::time::timeout(LAST_STEPS, over.wait_for(|over| *over)).await);
        }
        next
    }
}

/// Where a client's input goes. Dropping it leaves the container's input open, unless it opens only once.
#[derive(Debug)]
pub struct Stdin {
    pub(crate) sender: mpsc::Sender<Bytes>,
}

impl Stdin {
    /// Writes all of it; waits while the process does not read.
    pub async fn write_all(&mut self, bytes: Bytes) -> io::Result<()> {
        self.sender.send(bytes).await.map_err(|_closed| io::ErrorKind::BrokenPipe.into())
    }

    /// The client's input has ended.
    pub async fn close(self) {
        drop(self.sender);
    }
}

/// The records of a log.
#[derive(Debug)]
pub struct LogStream {
    /// Whether the container has a terminal (then the output is not framed).
    pub tty: bool,
    pub(crate) receiver: mpsc::Receiver<Result<LogRecord, Fault>>,
}

impl LogStream {
    /// The next record; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<LogRecord, Fault>> {
        self.receiver.recv().await
    }
}

/// A tar stream, in pieces: a container's root, or a volume's content.
#[derive(Debug)]
pub struct ExportStream {
    pub(crate) receiver: mpsc::Receiver<Result<Bytes, Fault>>,
}

impl ExportStream {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        self.receiver.recv().await
    }
}

/// How much of an archive is sent at once.
const CHUNK: usize = 256 * 1024;
/// How many pieces may wait to be read.
const PIECES: usize = 4;

/// Runs work that writes an archive, on a thread that may be blocked; its failure is the last thing in the stream.
pub(crate) fn archive(
    runtime: &tokio::runtime::Handle,
    work: impl FnOnce(&mut dyn Write) -> Result<(), Fault> + Send + 'static,
) -> ExportStream {
    let (sender, receiver) = mpsc::channel(PIECES);
    runtime.spawn_blocking(move || {
        let mut out = Out { sender, buffer: Vec::with_capacity(CHUNK) };
        let result = work(&mut out).and_then(|()| {
            out.flush().map_err(|error| Fault::io("cannot write the archive", error))
        });
        if let Err(fault) = result {
            // When the client has left, nobody is there to be told.
            out.sender.blocking_send(Err(fault)).ok();
        }
    });
    ExportStream { receiver }
}

struct Out {
    sender: mpsc::Sender<Result<Bytes, Fault>>,
    buffer: Vec<u8>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.sender
            .blocking_send(Ok(Bytes::from(piece)))
            .map_err(|_left| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// Becomes ready when the container does what was waited for. It is registered when it is made.
pub struct Wait {
    pub(crate) future: Pin<Box<dyn Future<Output = WaitOutcome> + Send>>,
}

impl std::fmt::Debug for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wait")
    }
}

impl Future for Wait {
    type Output = WaitOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<WaitOutcome> {
        self.future.as_mut().poll(context)
    }
}
