//! Acts: reads a container's log, and follows it without polling.

use super::Containers;
use super::attach::WAITING;
use crate::container::Phase;
use crate::model::{LogOptions, LogRecord, StreamKind, Tail, Timestamp};
use crate::streams::LogStream;
use bytes::Bytes;
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_kernel::inotify::Inotify;
use naru_monitor::log_file::{ReadOptions, Reader};
use naru_monitor::protocol::Stream;
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

impl Containers {
    /// What it wrote.
    pub async fn logs(&self, name: &str, options: LogOptions) -> Result<LogStream, Fault> {
        let inner = &self.inner;
        let container = inner.find(name)?;
        let (tty, driver) = {
            let seat = container.seat();
            (seat.record.config.tty, seat.record.host.log.driver.clone())
        };
        if driver == "none" {
            return Err(Fault::new(
                Kind::Unsupported,
                "configured logging driver does not support reading",
            )
            .with_hint("create the container with the log driver `json-file` to keep its output"));
        }
        if !options.stdout && !options.stderr {
            return Err(Fault::invalid("Bad parameters: you must choose at least one stream"));
        }
        let path = inner.places.log(&container.id);
        let phase = container.phase.subscribe();
        // The watch comes before the first look, so that no change falls between the two.
        let follower = if options.follow && phase.borrow().up {
            Some(Follower::new(path.parent().unwrap_or(&path), phase)?)
        } else {
            None
        };
        let wanted = ReadOptions {
            tail: match options.tail {
                Tail::All => None,
                Tail::Last(count) => Some(count as u64),
            },
            since: options.since.map(|at| at.0),
            until: options.until.map(|at| at.0),
        };
        let reader = Reader::open(&path, wanted)
            .during(|| format!("cannot read the log of container {}", container.id))?;
        let (sender, receiver) = mpsc::channel(WAITING * 4);
        let task = Reading { reader, options, sender };
        inner.runtime.spawn(task.run(follower));
        Ok(LogStream { tty, receiver })
    }
}

/// Tells when there may be more.
struct Follower {
    watch: AsyncFd<Inotify>,
    phase: watch::Receiver<Phase>,
    run: u64,
}

impl Follower {
    fn new(directory: &Path, phase: watch::Receiver<Phase>) -> Result<Follower, Fault> {
        let watch = Inotify::new()
            .and_then(|watch| watch.watch_directory(directory).map(|()| watch))
            .and_then(|watch| crate::readiness::register(watch, Interest::READABLE))
            .map_err(|error| {
                Fault::io(format!("cannot watch `{}`", directory.display()), error).with_hint(
                    "the kernel bounds watches by `fs.inotify.max_user_watches` and `max_user_instances`",
                )
            })?;
        let run = phase.borrow().run;
        Ok(Follower { watch, phase, run })
    }

    /// Whether the run that is followed has ended. Everything of it is in the log then.
    fn is_over(&self) -> bool {
        let phase = self.phase.borrow();
        !phase.up || phase.gone || phase.run != self.run
    }

    async fn wait(&mut self) {
        let run = self.run;
        tokio::select! {
            ready = self.watch.readable() => {
                if let Ok(mut ready) = ready {
                    // What cannot be read now is looked at again after the next change.
                    ready.get_inner().drain().ok();
                    ready.clear_ready();
                }
            }
            // The sender is gone when the container is.
            _changed = self.phase.wait_for(|phase| !phase.up || phase.gone || phase.run != run) => {}
        }
    }
}

struct Reading {
    reader: Reader,
    options: LogOptions,
    sender: mpsc::Sender<Result<LogRecord, Fault>>,
}

impl Reading {
    async fn run(mut self, mut follower: Option<Follower>) {
        loop {
            // Asked before the last look, so that the last look sees all.
            let last = follower.as_ref().is_none_or(Follower::is_over);
            loop {
                match self.reader.next_record() {
                    Ok(Some(record)) => {
                        if !self.tell(record).await {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        let fault = Fault::io("cannot read the log", error);
                        self.sender.send(Err(fault)).await.ok();
                        return;
                    }
                }
            }
            if last || self.reader.has_ended() {
                return;
            }
            let Some(follower) = &mut follower else { return };
            let until = self.options.until;
            tokio::select! {
                () = follower.wait() => {}
                () = self.sender.closed() => return,
                () = at(until) => return,
            }
        }
    }

    async fn tell(&self, record: naru_monitor::log_record::Record) -> bool {
        let (stream, wanted) = match record.stream {
            Stream::Stdout => (StreamKind::Stdout, self.options.stdout),
            Stream::Stderr => (StreamKind::Stderr, self.options.stderr),
        };
        if !wanted {
            return true;
        }
        let record = LogRecord {
            stream,
            bytes: Bytes::from(record.text.into_bytes()),
            time: Timestamp(record.time),
        };
        self.sender.send(Ok(record)).await.is_ok()
    }
}

/// Ready at that instant; never without one.
async fn at(until: Option<Timestamp>) {
    match until {
        Some(until) => tokio::time::sleep(until.since(Timestamp::now())).await,
        None => std::future::pending().await,
    }
}
