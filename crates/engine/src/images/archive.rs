//! Images in and out as archives.
//!
//! Acts: the work is done on threads that may wait for the disk; between them and the tasks are channels with a bound,
//! so who reads slowly is waited for, and who goes away ends the work.

use super::{Images, ImportRequest, ProgressStream, SaveFormat, SaveStream, document};
use bytes::{Bytes, BytesMut};
use naru_errdefs::Fault;
use naru_oci::{Platform, Reference};
use naru_store::{Image, Store};
use naru_transfer::{Import, Progress, Source};
use std::io::{self, Write};
use std::mem;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::SyncIoBridge;

/// Lines of progress that may wait to be read.
const LINES: usize = 64;
/// Bytes of one piece of an archive, and how many pieces may wait to be read.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;

impl Images {
    /// Takes in the images of an archive.
    pub fn load(&self, archive: impl AsyncRead + Send + Unpin + 'static) -> ProgressStream {
        let images = self.clone();
        self.with_progress(move |report| {
            let archive = SyncIoBridge::new(archive);
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
            let archive = SyncIoBridge::new(archive);
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
        let names = names.to_vec();
        let named = names.clone();
        self.blocking(move |store| known(store, &named)).await?;
        let (sender, receiver) = mpsc::channel(PIECES);
        let images = self.clone();
        let format = match format {
            SaveFormat::Docker => naru_transfer::SaveFormat::Docker,
            SaveFormat::Oci => naru_transfer::SaveFormat::Oci,
        };
        tokio::task::spawn_blocking(move || {
            let mut output = Pieces { sender: sender.clone(), piece: BytesMut::new() };
            let saved =
                naru_transfer::save(&images.store, &names, format, &mut output).and_then(|()| {
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
                Err(error) => drop(sender.blocking_send(Err(error))),
            }
        });
        Ok(SaveStream { receiver })
    }

    /// Runs work that tells its progress; its failure is the last thing told.
    fn with_progress(
        &self,
        work: impl FnOnce(&(dyn Fn(Progress) + Sync)) -> Result<(), Fault> + Send + 'static,
    ) -> ProgressStream {
        let (sender, receiver) = mpsc::channel(LINES);
        tokio::task::spawn_blocking(move || {
            // Work goes on when nobody listens any more: the images may be wanted all the same.
            let report = |progress| drop(sender.blocking_send(Ok(progress)));
            if let Err(error) = work(&report) {
                drop(sender.blocking_send(Err(error)));
            }
        });
        ProgressStream { receiver }
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

/// Cuts what is written into pieces and sends them.
struct Pieces {
    sender: mpsc::Sender<Result<Bytes, Fault>>,
    piece: BytesMut,
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
        self.sender.blocking_send(Ok(piece)).map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }
}
