//! Acts: a container's root as a tar stream.

use super::Containers;
use super::attach::WAITING;
use crate::streams::ExportStream;
use bytes::Bytes;
use naru_errdefs::{Fault, Kind};
use naru_kernel::path::proc_path;
use naru_layer::ArchiveMode;
use std::io::{self, Write};
use std::os::fd::AsFd;
use tokio::sync::mpsc;

/// How much is sent at once.
const CHUNK: usize = 256 * 1024;

impl Containers {
    /// Its root as a tar stream.
    pub async fn export(&self, name: &str) -> Result<ExportStream, Fault> {
        let inner = &self.inner;
        let container = inner.find(name)?;
        let record = container.seat().record.clone();
        let wanted = record.clone();
        let root = inner.blocking(move |inner| inner.mount_quietly(&wanted)).await?;
        let root = root.ok_or_else(|| {
            Fault::new(Kind::NotFound, format!("container {} has no root", record.id))
        })?;
        let (sender, receiver) = mpsc::channel(WAITING);
        inner.publish(&record, "export", &[]);
        inner.runtime.spawn_blocking(move || {
            let mut out = Out { sender, buffer: Vec::with_capacity(CHUNK) };
            let path = proc_path(root.as_fd());
            let result = naru_layer::archive_tree(&path, &mut out, ArchiveMode::Plain)
                .map_err(Fault::from)
                .and_then(|_archived| {
                    out.flush().map_err(|error| Fault::io("cannot write the archive", error))
                });
            if let Err(fault) = result {
                // When the client has left, nobody is there to be told.
                out.sender.blocking_send(Err(fault)).ok();
            }
        });
        Ok(ExportStream { receiver })
    }
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
