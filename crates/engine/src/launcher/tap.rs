//! Acts: what the monitor writes into a pipe for an attached client, read and handed on. Counted, so that a new monitor
//! can go on where the old one died.
//!
//! ```text
//! monitor ──▶ pipe ──▶ lane ──▶ channel ──▶ client
//!             (after the monitor's death, when the old pipe is empty: the pipe of its successor)
//! ```

use super::Listener;
use crate::model::StreamKind;
use bytes::Bytes;
use naru_kernel::{pipe, splice};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// One listener of a process: up to two lanes.
#[derive(Debug)]
pub(super) struct Tap {
    /// Chosen by us, unique.
    pub(super) number: u64,
    /// Standard output or the terminal.
    pub(super) stdout: Option<Arc<Lane>>,
    /// Standard error.
    pub(super) stderr: Option<Arc<Lane>>,
}

/// One stream of a listener.
#[derive(Debug)]
pub(super) struct Lane {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Bytes that were read since the process was started.
    position: u64,
    /// Whether the position counts from the start, or only from where the lane began.
    known: bool,
    current: Arc<OwnedFd>,
    /// The pipes of monitors that came after, oldest first.
    next: VecDeque<Arc<OwnedFd>>,
    /// The end of the pipe is the end of the stream.
    over: bool,
    /// Nobody listens any more.
    left: bool,
}

/// The write ends of a tap, for the monitor.
pub(super) type Ends = (Option<OwnedFd>, Option<OwnedFd>);

impl Tap {
    /// A tap with its lanes running. `from_start` says whether it hears the process from its first byte on. `gone` is
    /// called when the client has left.
    pub(super) fn open(
        runtime: &Handle,
        number: u64,
        listener: Listener,
        from_start: bool,
        gone: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<(Tap, Ends)> {
        let lane = |wanted: bool, stream| -> io::Result<(Option<Arc<Lane>>, Option<OwnedFd>)> {
            if !wanted {
                return Ok((None, None));
            }
            let (lane, end) = Lane::open(from_start)?;
            let task = Lane::run(Arc::clone(&lane), stream, listener.sender.clone(), gone.clone());
            runtime.spawn(task);
            Ok((Some(lane), Some(end)))
        };
        let (stdout, stdout_end) = lane(listener.stdout, StreamKind::Stdout)?;
        let (stderr, stderr_end) = lane(listener.stderr, StreamKind::Stderr)?;
        Ok((Tap { number, stdout, stderr }, (stdout_end, stderr_end)))
    }

    /// The stream ends where its pipe does.
    pub(super) fn finish(&self) {
        for lane in self.stdout.iter().chain(&self.stderr) {
            lane.inner().over = true;
            lane.changed.notify_one();
        }
    }

    /// Whether nobody listens any more.
    pub(super) fn has_left(&self) -> bool {
        self.stdout.iter().chain(&self.stderr).all(|lane| lane.inner().left)
    }
}

impl Lane {
    fn open(known: bool) -> io::Result<(Arc<Lane>, OwnedFd)> {
        let (read, write) = splice::pipe()?;
        splice::set_nonblocking(&read, true)?;
        let inner = Inner {
            position: 0,
            known,
            current: Arc::new(read),
            next: VecDeque::new(),
            over: false,
            left: false,
        };
        Ok((Arc::new(Lane { inner: Mutex::new(inner), changed: Notify::new() }), write))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the stream begins for this lane, when that was learnt.
    pub(super) fn begins_at(&self, position: u64) {
        let mut inner = self.inner();
        inner.position += position;
        inner.known = true;
    }

    /// After the monitor's death: where a new one must go on (`None`: nobody knows), and where it must write to.
    pub(super) fn resume(&self) -> io::Result<(Option<u64>, OwnedFd)> {
        let (read, write) = splice::pipe()?;
        splice::set_nonblocking(&read, true)?;
        let mut inner = self.inner();
        // Nobody writes into the old pipes any more, so what is in them now is all of it.
        let mut position = inner.position + pipe::unread(&inner.current)?;
        for pipe in &inner.next {
            position += pipe::unread(pipe)?;
        }
        inner.next.push_back(Arc::new(read));
        let position = inner.known.then_some(position);
        drop(inner);
        self.changed.notify_one();
        Ok((position, write))
    }

    async fn run(
        lane: Arc<Lane>,
        stream: StreamKind,
        sender: mpsc::Sender<(StreamKind, Bytes)>,
        gone: impl Fn(),
    ) {
        if let Err(error) = lane.carry(stream, &sender).await {
            tracing::warn!("cannot read a process's output: {error}");
        }
        lane.inner().left = true;
        if sender.is_closed() {
            gone();
        }
    }

    async fn carry(
        &self,
        stream: StreamKind,
        sender: &mpsc::Sender<(StreamKind, Bytes)>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let current = Arc::clone(&self.inner().current);
            let fd = crate::readiness::register(current, Interest::READABLE)?;
            loop {
                let mut ready = tokio::select! {
                    ready = fd.readable() => ready?,
                    () = sender.closed() => return Ok(()),
                };
                let read = {
                    // Reading and counting are one step for whoever resumes.
                    let mut inner = self.inner();
                    let read = pipe::try_read(fd.get_ref(), &mut buffer)?;
                    inner.position += read.map_or(0, |count| count as u64);
                    read
                };
                match read {
                    None => ready.clear_ready(),
                    Some(0) => break,
                    Some(count) => {
                        let piece = buffer.get(..count).unwrap_or_default();
                        if sender.send((stream, Bytes::copy_from_slice(piece))).await.is_err() {
                            return Ok(());
                        }
                    }
                }
            }
            drop(fd);
            if !self.follow(sender).await {
                return Ok(());
            }
        }
    }

    /// At the end of a pipe: goes on to the next one, or learns that there is none.
    async fn follow(&self, sender: &mpsc::Sender<(StreamKind, Bytes)>) -> bool {
        loop {
            {
                let mut inner = self.inner();
                if let Some(next) = inner.next.pop_front() {
                    inner.current = next;
                    return true;
                }
                if inner.over {
                    return false;
                }
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = sender.closed() => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_kernel::splice::try_write;
    use std::os::fd::AsFd;
    use std::time::Duration;

    async fn next(receiver: &mut mpsc::Receiver<(StreamKind, Bytes)>) -> Option<Bytes> {
        tokio::time::timeout(Duration::from_secs(10), receiver.recv())
            .await
            .expect("nothing came")
            .map(|(_, bytes)| bytes)
    }

    #[tokio::test]
    async fn a_lane_goes_on_over_the_death_of_a_monitor_without_losing_a_byte() {
        let (sender, mut receiver) = mpsc::channel(4);
        let listener = Listener { stdout: true, stderr: false, sender };
        let (tap, (end, none)) = Tap::open(&Handle::current(), 1, listener, true, || {}).unwrap();
        assert!(none.is_none());
        let end = end.unwrap();
        try_write(end.as_fd(), b"one").unwrap();
        assert_eq!(next(&mut receiver).await.unwrap(), "one");
        try_write(end.as_fd(), b"two").unwrap();
        drop(end);
        let (position, end) = tap.stdout.as_ref().unwrap().resume().unwrap();
        assert_eq!(position, Some(6));
        try_write(end.as_fd(), b"three").unwrap();
        assert_eq!(next(&mut receiver).await.unwrap(), "two");
        assert_eq!(next(&mut receiver).await.unwrap(), "three");
        tap.finish();
        drop(end);
        assert_eq!(next(&mut receiver).await, None);
    }

    #[tokio::test]
    async fn who_left_is_noticed() {
        let (sender, receiver) = mpsc::channel(4);
        let (told, mut hears) = mpsc::unbounded_channel();
        let listener = Listener { stdout: true, stderr: false, sender };
        let (_tap, _ends) = Tap::open(&Handle::current(), 1, listener, true, move || {
            told.send(()).ok();
        })
        .unwrap();
        drop(receiver);
        tokio::time::timeout(Duration::from_secs(10), hears.recv()).await.unwrap().unwrap();
    }
}
