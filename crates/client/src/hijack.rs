//! A connection that became a stream in both directions: a container's terminal or its three streams. Acts.

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use naru_api_types::frame::{MULTIPLEXED, Splitter, StreamKind};
use naru_errdefs::{Fault, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

type Io = TokioIo<hyper::upgrade::Upgraded>;

/// Both directions.
#[derive(Debug)]
pub struct Hijacked {
    /// What the container says.
    pub read: HijackedRead,
    /// What it is told.
    pub write: HijackedWrite,
}

/// What the container says, with the stream each piece belongs to; a terminal has only standard output.
#[derive(Debug)]
pub struct HijackedRead {
    io: ReadHalf<Io>,
    splitter: Option<Splitter>,
    buffer: Vec<u8>,
    pending: Bytes,
}

/// What the container is told.
#[derive(Debug)]
pub struct HijackedWrite {
    io: WriteHalf<Io>,
}

impl Hijacked {
    pub(crate) async fn new(
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Hijacked, Fault> {
        let media = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        // Daemons before API 1.42 send frames under the raw type too, so only ours can be trusted to say it.
        let framed = media.starts_with(MULTIPLEXED);
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| {
            Fault::new(Kind::Unavailable, "the daemon did not turn the connection into a stream")
                .with_source(error)
        })?;
        let (read, write) = tokio::io::split(TokioIo::new(upgraded));
        let splitter = framed.then(Splitter::new);
        let read =
            HijackedRead { io: read, splitter, buffer: vec![0; 32 << 10], pending: Bytes::new() };
        Ok(Hijacked { read, write: HijackedWrite { io: write } })
    }
}

impl HijackedRead {
    /// The next piece of output; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<(StreamKind, Bytes)>, Fault> {
        loop {
            match &mut self.splitter {
                Some(splitter) if !self.pending.is_empty() => {
                    let whole = self.pending.clone();
                    let piece =
                        splitter.next(&whole).map_err(Fault::from)?.map(|(kind, payload, rest)| {
                            (kind, whole.slice_ref(payload), whole.slice_ref(rest))
                        });
                    match piece {
                        Some((kind, payload, rest)) => {
                            self.pending = rest;
                            return Ok(Some((kind, payload)));
                        }
                        None => self.pending = Bytes::new(),
                    }
                }
                Some(_) | None => {}
            }
            let count = self
                .io
                .read(&mut self.buffer)
                .await
                .map_err(|error| Fault::io("cannot read the container's output", error))?;
            if count == 0 {
                return Ok(None);
            }
            let data = Bytes::copy_from_slice(self.buffer.get(..count).unwrap_or_default());
            if self.splitter.is_none() {
                return Ok(Some((StreamKind::Stdout, data)));
            }
            self.pending = data;
        }
    }
}

impl HijackedWrite {
    /// Sends input.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let sent = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        sent.await.map_err(|error| Fault::io("cannot send input to the container", error))
    }

    /// Says that there is no more input, while output goes on.
    pub async fn close(&mut self) -> Result<(), Fault> {
        self.io
            .shutdown()
            .await
            .map_err(|error| Fault::io("cannot close the container's input", error))
    }
}
