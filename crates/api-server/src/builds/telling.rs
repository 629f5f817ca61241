//! Acts: a build that runs as a task of its own, and the lines that tell of it. When whoever reads them goes away, the task
//! is ended, and with it everything that the build started.

use crate::convert::build::classic::Classic;
use crate::convert::build::steps::Steps;
use bytes::Bytes;
use naru_engine::builds::{BuildEvent, BuildFailure, Built};
use naru_errdefs::{Fault, Kind};
use serde::Serialize;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinHandle};

/// Events that wait for a slow reader; a build that says more waits for it.
const UNREAD: usize = 256;

type Result<T = Built> = std::result::Result<T, BuildFailure>;

/// How a build is told of.
#[derive(Debug)]
pub(super) enum Teller {
    /// As docker's classic builder does.
    Classic(Box<Classic>),
    /// As Naru's own client reads it.
    Steps(Steps),
}

impl Teller {
    /// In docker's way.
    pub(super) fn classic(quiet: bool, removes: bool) -> Teller {
        Teller::Classic(Box::new(Classic::new(quiet, removes)))
    }

    /// In ours.
    pub(super) fn steps() -> Teller {
        Teller::Steps(Steps::default())
    }

    fn event(&mut self, event: BuildEvent) -> Bytes {
        match self {
            Teller::Classic(classic) => lines(&classic.event(event), b"\r\n"),
            Teller::Steps(steps) => lines(&steps.event(event), b"\n"),
        }
    }

    fn end(&mut self, result: &Result) -> Bytes {
        match self {
            Teller::Classic(classic) => lines(&classic.end(result), b"\r\n"),
            Teller::Steps(_) => lines(&[Steps::end(result)], b"\n"),
        }
    }
}

fn lines(lines: &[impl Serialize], end: &[u8]) -> Bytes {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line).unwrap_or_default();
        bytes.extend_from_slice(end);
    }
    bytes.into()
}

/// A build that is told of.
#[derive(Debug)]
pub(super) struct Telling {
    events: mpsc::Receiver<BuildEvent>,
    task: JoinHandle<Result>,
    teller: Teller,
    unread: VecDeque<Bytes>,
    ended: bool,
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Telling {
    /// Starts a build.
    pub(super) fn start<F>(
        run: impl FnOnce(mpsc::Sender<BuildEvent>) -> F,
        teller: Teller,
    ) -> Telling
    where
        F: Future<Output = Result> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(UNREAD);
        let task = tokio::spawn(run(sender));
        Telling { events, task, teller, unread: VecDeque::new(), ended: false }
    }

    /// What ends it.
    pub(super) fn abort(&self) -> AbortHandle {
        self.task.abort_handle()
    }

    /// The first lines. A failure before anything was said is none of a stream.
    pub(super) async fn first(&mut self) -> std::result::Result<Option<Bytes>, Fault> {
        loop {
            match self.step().await {
                Some(Err(failure)) if self.unread.is_empty() => return Err(failure.fault),
                Some(ended) => {
                    let last = self.teller.end(&ended);
                    self.unread.push_back(last);
                }
                None => {}
            }
            if let Some(bytes) = self.unread.pop_front() {
                return Ok(Some(bytes));
            }
            if self.ended {
                return Ok(None);
            }
        }
    }

    /// The next lines; nothing at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.unread.pop_front() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            if let Some(ended) = self.step().await {
                let last = self.teller.end(&ended);
                self.unread.push_back(last);
            }
        }
    }

    /// Waits for something to happen, and answers how the build ended if it did.
    async fn step(&mut self) -> Option<Result> {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => {
                self.told(event);
                None
            }
            ended = &mut self.task => {
                self.ended = true;
                while let Ok(event) = self.events.try_recv() {
                    self.told(event);
                }
                Some(ended.unwrap_or_else(|error| Err(broken(&error))))
            }
        }
    }

    fn told(&mut self, event: BuildEvent) {
        let bytes = self.teller.event(event);
        if !bytes.is_empty() {
            self.unread.push_back(bytes);
        }
    }
}

fn broken(error: &JoinError) -> BuildFailure {
    let fault = match error.is_cancelled() {
        true => Fault::new(Kind::Cancelled, "the build was cancelled"),
        false => Fault::internal("the daemon failed at this build by a fault of its own")
            .with_hint("see the daemon's log"),
    };
    BuildFailure { fault, code: None }
}
