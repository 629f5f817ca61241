//! Acts: a connection that became a raw stream, with the two directions ended one by one.

use bytes::{Buf, Bytes};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use naru_api_types::frame;
use naru_errdefs::{Fault, Kind};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Both directions of a hijacked connection.
#[derive(Debug)]
pub struct Hijacked {
    /// From the daemon.
    pub reader: HijackedReader,
    /// To the daemon.
    pub writer: HijackedWriter,
    /// Whether output comes in frames (no terminal), as far as the daemon said so.
    pub multiplexed: Option<bool>,
}

/// What the daemon sends.
#[derive(Debug)]
pub struct HijackedReader {
    early: Bytes,
    half: OwnedReadHalf,
}

/// What goes to the daemon.
#[derive(Debug)]
pub struct HijackedWriter {
    half: OwnedWriteHalf,
}

impl HijackedReader {
    /// Reads some bytes; zero at the end.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buffer.len());
            self.early.split_to(length).copy_to_slice(buffer.get_mut(..length).unwrap_or_default());
            return Ok(length);
        }
        self.half.read(buffer).await
    }
}

impl HijackedWriter {
    /// Writes everything.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.half.write_all(bytes).await
    }

    /// Ends our direction; the daemon's goes on.
    pub async fn close(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }
}

pub(crate) async fn take(response: http::Response<Incoming>) -> Result<Hijacked, Fault> {
    let multiplexed = response
        .headers()
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|kind| match kind {
            frame::MULTIPLEXED => Some(true),
            // Older daemons say `raw-stream` for both, so it proves nothing.
            _ => None,
        });
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| {
        Fault::new(Kind::Unavailable, "the daemon did not open the stream")
            .with_source(Arc::new(error))
    })?;
    let parts = upgraded.downcast::<TokioIo<UnixStream>>().map_err(|_upgraded| {
        Fault::internal("the stream is of another kind than it was opened with")
    })?;
    let (read, write) = parts.io.into_inner().into_split();
    Ok(Hijacked {
        reader: HijackedReader { early: parts.read_buf, half: read },
        writer: HijackedWriter { half: write },
        multiplexed,
    })
}
