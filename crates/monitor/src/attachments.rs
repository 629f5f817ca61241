//! Acts: the readers of a process's output besides its log.
//!
//! Each has a position in the spool of each stream it wants and is written to without waiting. One that is a mebibyte
//! behind makes the process wait; one that is gone is dropped.

use crate::protocol::{AttachSpec, Position, Stream};
use crate::spool::Spool;
use crate::takeover::slot;
use crate::watch::Watch;
use naru_kernel::poll::{Epoll, Interest};
use naru_kernel::splice;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A reader.
#[derive(Debug)]
pub struct Attachment {
    /// The daemon's number for it.
    pub id: u64,
    /// Our number for it, unique in the process.
    pub part: u32,
    sinks: [Option<Sink>; 2],
}

#[derive(Debug)]
struct Sink {
    fd: OwnedFd,
    position: u64,
    /// It gets nothing from here on.
    until: Option<u64>,
    interest: Interest,
}

/// A sink in parts, for an upgrade.
#[derive(Debug)]
pub struct SinkParts {
    /// Where it is written to.
    pub fd: OwnedFd,
    /// How far it is.
    pub position: u64,
    /// Where it ends.
    pub until: Option<u64>,
}

impl Attachment {
    /// A reader with the descriptors that belong to its wishes. `spools` say where "now" is and what is still there.
    pub fn new(
        spec: &AttachSpec,
        part: u32,
        fds: [Option<OwnedFd>; 2],
        spools: [Option<&Spool>; 2],
    ) -> Result<Attachment, String> {
        let mut sinks = [None, None];
        let wishes = [spec.stdout, spec.stderr];
        for (((sink, wish), fd), spool) in sinks.iter_mut().zip(wishes).zip(fds).zip(spools) {
            let Some(wish) = wish else { continue };
            // A terminal has no standard error; its reader just gets the end.
            let Some(spool) = spool else { continue };
            let fd = fd.ok_or("an attachment lacks a descriptor")?;
            let position = match wish {
                Position::Now => spool.size(),
                Position::At(position) => position.clamp(spool.discarded(), spool.size()),
            };
            *sink = Some(SinkParts { fd, position, until: None });
        }
        Attachment::from_parts(spec.attachment, part, sinks)
    }

    /// A reader as it was before an upgrade.
    pub fn from_parts(
        id: u64,
        part: u32,
        sinks: [Option<SinkParts>; 2],
    ) -> Result<Attachment, String> {
        for parts in sinks.iter().flatten() {
            splice::set_nonblocking(&parts.fd, true)
                .map_err(|error| format!("cannot use an attachment's descriptor: {error}"))?;
        }
        let sinks = sinks.map(|parts| {
            parts.map(|SinkParts { fd, position, until }| Sink {
                fd,
                position,
                until,
                interest: Interest::HangUp,
            })
        });
        Ok(Attachment { id, part, sinks })
    }

    /// Its sinks with their streams, for an upgrade.
    pub fn parts(&self) -> [Option<(&OwnedFd, u64, Option<u64>)>; 2] {
        let [stdout, stderr] = &self.sinks;
        [stdout, stderr].map(|sink| sink.as_ref().map(|sink| (&sink.fd, sink.position, sink.until)))
    }

    /// Lets the poll loop tell when its reader goes away.
    pub fn watch(&self, epoll: &Epoll, slot: u32) -> io::Result<()> {
        for (stream, sink) in Stream::ALL.into_iter().zip(&self.sinks) {
            if let Some(sink) = sink {
                let watch = Watch::Attachment(slot, self.part, stream);
                epoll.add(&sink.fd, watch.token(), sink.interest)?;
            }
        }
        Ok(())
    }

    /// How far the reader of a stream is.
    pub fn position(&self, stream: Stream) -> Option<u64> {
        let [stdout, stderr] = &self.sinks;
        let sink = match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        sink.as_ref().map(|sink| sink.position)
    }

    /// Whether there is nobody left to be written to.
    pub fn is_over(&self) -> bool {
        self.sinks.iter().all(Option::is_none)
    }

    /// Ends it for a stream once it has been given what is there now.
    pub fn finish(&mut self, stream: Stream, size: u64) {
        if let Some(sink) = slot(&mut self.sinks, stream) {
            sink.until = Some(sink.until.map_or(size, |until| until.min(size)));
        }
    }

    /// Its reader is gone.
    pub fn drop_sink(&mut self, epoll: &Epoll, stream: Stream) {
        if let Some(sink) = slot(&mut self.sinks, stream).take() {
            // It was added when the attachment was made; a failure would mean that it is gone already.
            epoll.remove(sink.fd.as_fd()).ok();
        }
    }

    /// Drops both.
    pub fn close(&mut self, epoll: &Epoll) {
        for stream in Stream::ALL {
            self.drop_sink(epoll, stream);
        }
    }

    /// Writes what fits of what it has not got of a stream.
    pub fn feed(
        &mut self,
        (epoll, at): (&Epoll, u32),
        stream: Stream,
        spool: &Spool,
        buffer: &mut [u8],
    ) {
        let watch = Watch::Attachment(at, self.part, stream);
        let Some(sink) = slot(&mut self.sinks, stream) else { return };
        match sink.feed(spool, buffer) {
            // It has what it can get; the last of it may be its end.
            Ok(true) => {
                if sink.until.is_some_and(|until| sink.position >= until) {
                    self.drop_sink(epoll, stream);
                } else {
                    sink.want(epoll, watch, Interest::HangUp);
                }
            }
            Ok(false) => sink.want(epoll, watch, Interest::Write),
            // `EPIPE`, or whatever else keeps its reader from reading.
            Err(_) => self.drop_sink(epoll, stream),
        }
    }
}

impl Sink {
    /// Whether it is up to date.
    fn feed(&mut self, spool: &Spool, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            let end = self.until.unwrap_or(u64::MAX).min(spool.size());
            let bytes = spool.read(buffer, self.position, end)?;
            if bytes.is_empty() {
                return Ok(self.position >= end);
            }
            match splice::try_write(self.fd.as_fd(), bytes)? {
                Some(count) => self.position += count as u64,
                None => return Ok(false),
            }
        }
    }

    fn want(&mut self, epoll: &Epoll, watch: Watch, interest: Interest) {
        if self.interest != interest && epoll.change(&self.fd, watch.token(), interest).is_ok() {
            self.interest = interest;
        }
    }
}
