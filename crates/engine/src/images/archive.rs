//! Images in and out as archives.
//!
//! Acts: the work is done on threads that may wait for the disk; between them and the tasks are channels with a bound,
//! so who reads slowly is waited for, and who goes away ends the work.

use super::{Images, ImportRequest, Lines, ProgressStream, SaveFormat, SaveStream, document};
use bytes::{Bytes, BytesMut};
use naru_errdefs::Fault;
use naru_oci::{Platform, Reference};
use naru_store::{Image, Store};
use naru_transfer::{Import, Progress, Source};
use std::future::Future;
use std::io::{self, Write};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, Sleep};
use tokio_util::io::SyncIoBridge;

/// Lines of progress that may wait to be read.
const LINES: usize = 64;
/// Bytes of one piece of an archive, and how many pieces may wait to be read.
const PIECE: usize = 256 << 10;
pub(crate) const PIECES: usize = 4;
/// How long the other side may be silent. A thread waits with it, and there are not many.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// Archives in work at once; further ones wait. Fewer than the threads that may wait for the disk.
pub(crate) const AT_ONCE: usize = 16;

/// An archive whose sender may not be silent for too long.
pub(crate) fn patient<R>(archive: R) -> Patient<R> {
    Patient::new(archive, PATIENCE)
}

impl Images {
    /// Takes in the images of an archive.
    pub fn load(&self, archive: impl AsyncRead + Send + Unpin + 'static) -> ProgressStream {
        let images = self.clone();
        self.with_progress(move |report| {
            let archive = SyncIoBridge::new(Patient::new(archive, images.patience));
            let source = Source::Stream(Box::new(archive));
            let loaded = naru_transfer::load(&images.store, source, report)
                .map_err(|error| images.clean_up(error))?;
            for image in loaded {
                let id = image.id.to_string();
                let name = image.names.first().map_or_else(|| id.clone(), Reference::familiar);
                images.tell("load", &id, &name);
            }
            Ok(())
        })
    }

    /// Makes an image of a root file system's tar. The last line's status is the image ID.
    pub fn import(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        request: ImportRequest,
    ) -> ProgressStream {
        let images = self.clone();
        self.with_progress(move |report| {
            let archive = SyncIoBridge::new(Patient::new(archive, images.patience));
            let platform = request.platform.as_deref().map(str::parse::<Platform>).transpose()?;
            let import = Import {
                reference: request.reference.map(Reference::or_latest),
                changes: request.changes,
                message: Some(request.message).filter(|message| !message.is_empty()),
                platform,
            };
            let id = naru_transfer::import(&images.store, archive, &import, report)
                .map_err(|error| images.clean_up(error))?
                .to_string();
            report(Progress { status: Some(id.clone()), ..Progress::default() });
            let name = import.reference.map_or_else(|| id.clone(), |name| name.familiar());
            images.tell("import", &id, &name);
            Ok(())
        })
    }

    /// The images as one archive. Unknown names fail at once.
    pub async fn save(&self, names: &[String], format: SaveFormat) -> Result<SaveStream, Fault> {
        self.save_as(names, &[], format).await
    }

    /// The same for one image, which has these names in the archive instead of its own; its own when there are none.
    pub async fn save_as(
        &self,
        names: &[String],
        called: &[Reference],
        format: SaveFormat,
    ) -> Result<SaveStream, Fault> {
        let called = called.to_vec();
        let names = names.to_vec();
        let named = names.clone();
        for name in &named {
            self.refresh(name).await?;
        }
        self.blocking(move |store| known(store, &named)).await?;
        let (sender, receiver) = mpsc::channel(PIECES);
        let images = self.clone();
        let format = match format {
            SaveFormat::Docker => naru_transfer::SaveFormat::Docker,
            SaveFormat::Oci => naru_transfer::SaveFormat::Oci,
        };
        self.in_turn(move || {
            let mut output = Pieces::new(sender);
            let saved = naru_transfer::save_as(&images.store, &names, &called, format, &mut output);
            let saved = saved.and_then(|()| {
                output.flush().map_err(|error| Fault::io("cannot send the archive", error))
            });
            match saved {
                Ok(()) => {
                    for name in &names {
                        if let Ok(image) = images.store.images.resolve(name) {
                            images.tell("save", &image.id().to_string(), name);
                        }
                    }
                }
                // Whoever went away does not hear it.
                Err(error) => drop(output.sender.send(Err(error))),
            }
        });
        Ok(SaveStream { receiver })
    }

    /// Runs work that tells its progress; its failure is the last thing told.
    pub(super) fn with_progress(
        &self,
        work: impl FnOnce(&(dyn Fn(Progress) + Sync)) -> Result<(), Fault> + Send + 'static,
    ) -> ProgressStream {
        let (sender, receiver) = mpsc::channel(LINES);
        self.in_turn(move || {
            let sender = Sender::new(sender);
            // Work goes on when nobody listens any more: the images may be wanted all the same.
            let report = |progress| drop(sender.send(Ok(progress)));
            if let Err(error) = work(&report) {
                drop(sender.send(Err(error)));
            }
        });
        ProgressStream { lines: Lines::Archive(receiver) }
    }

    /// Runs work on a thread that may wait, when it is its turn.
    pub(super) fn in_turn(&self, work: impl FnOnce() + Send + 'static) {
        let turns = Arc::clone(&self.turns);
        tokio::spawn(async move {
            // The semaphore is never closed.
            let Ok(turn) = turns.acquire_owned().await else { return };
            tokio::task::spawn_blocking(move || {
                work();
                drop(turn);
            });
        });
    }

    /// Takes away what a failed transfer brought; a failure of that rides along in the log of the next collection.
    fn clean_up(&self, error: Fault) -> Fault {
        match self.store.collect() {
            Ok(_) => error,
            Err(cleaning) => {
                let kind = error.kind();
                let message =
                    format!("{}, and cleaning up failed too ({cleaning})", error.message());
                Fault::new(kind, message).with_source(error)
            }
        }
    }
}

/// Whether every name means something, and all of it is there: an answer that has begun can only be broken off.
fn known(store: &Store, names: &[String]) -> Result<(), Fault> {
    let all = store.images.list()?;
    for name in names {
        // A repository without a tag means all its tags.
        let repository = name
            .parse::<Reference>()
            .ok()
            .filter(|name| name.tag().is_none() && name.digest().is_none())
            .map(|name| name.familiar_name());
        let mut images: Vec<&Image> = Vec::new();
        if let Some(repository) = repository {
            let is_in =
                |image: &&Image| image.names.iter().any(|name| name.familiar_name() == repository);
            images.extend(all.iter().filter(is_in));
        }
        let resolved;
        if images.is_empty() {
            resolved = store.images.resolve(name)?;
            images.push(&resolved);
        }
        for image in images {
            document::is_whole(store, &image.record)?;
        }
    }
    Ok(())
}

/// The sending end of a channel, for threads. It gives up on a reader that is silent for too long.
pub(crate) struct Sender<T> {
    sender: mpsc::Sender<T>,
    runtime: Handle,
    is_gone: AtomicBool,
}

/// The reader went away, or is silent.
#[derive(Debug)]
pub(crate) struct Gone;

impl<T> Sender<T> {
    fn new(sender: mpsc::Sender<T>) -> Sender<T> {
        Sender { sender, runtime: Handle::current(), is_gone: AtomicBool::new(false) }
    }

    pub(crate) fn send(&self, item: T) -> Result<(), Gone> {
        if self.is_gone.load(Ordering::Relaxed) {
            return Err(Gone);
        }
        let sent = match self.sender.try_send(item) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(item)) => self
                .runtime
                .block_on(async { tokio::time::timeout(PATIENCE, self.sender.send(item)).await })
                .is_ok_and(|sent| sent.is_ok()),
        };
        if sent {
            return Ok(());
        }
        self.is_gone.store(true, Ordering::Relaxed);
        Err(Gone)
    }
}

/// Cuts what is written into pieces and sends them.
pub(crate) struct Pieces {
    pub(crate) sender: Sender<Result<Bytes, Fault>>,
    piece: BytesMut,
}

impl Pieces {
    /// Within a runtime.
    pub(crate) fn new(sender: mpsc::Sender<Result<Bytes, Fault>>) -> Pieces {
        Pieces { sender: Sender::new(sender), piece: BytesMut::new() }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() + bytes.len() > PIECE {
            self.flush()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = mem::take(&mut self.piece).freeze();
        self.sender.send(Ok(piece)).map_err(|Gone| io::ErrorKind::BrokenPipe.into())
    }
}

/// A reader that fails when the other side is silent for too long.
pub(crate) struct Patient<R> {
    inner: R,
    alarm: Pin<Box<Sleep>>,
    patience: Duration,
}

impl<R> Patient<R> {
    /// Within a runtime.
    pub(crate) fn new(inner: R, patience: Duration) -> Patient<R> {
        Patient { inner, alarm: Box::pin(tokio::time::sleep(patience)), patience }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Patient<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if read.is_ready() {
            let alarm = Instant::now() + self.patience;
            self.alarm.as_mut().reset(alarm);
            return read;
        }
        match self.alarm.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("nothing came for {} seconds", self.patience.as_secs()),
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}
