//! Acts: the byte streams and futures that the container service hands out.

use crate::model::{LogRecord, StreamKind, WaitOutcome};
use bytes::Bytes;
use naru_errdefs::Fault;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

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
}

impl Output {
    /// The next piece; `None` when the process has closed its streams.
    pub async fn next(&mut self) -> Option<(StreamKind, Bytes)> {
        self.receiver.recv().await
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

/// The tar stream of a container's root, in pieces.
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
