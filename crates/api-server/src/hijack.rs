//! Acts: a connection that stops being HTTP: attach and exec over the same socket.
//!
//! ```text
//! client                                   server
//!   POST …/attach, Upgrade: tcp       ─▶
//!                                     ◀─  101, Content-Type: raw or multiplexed stream
//!   standard input, raw               ─▶
//!                                     ◀─  output, raw with a terminal, else in frames
//!   half close = end of input         ─▶
//!                                     ◀─  close = end of output
//! ```
//! A client that sends no `Upgrade` header (before API 1.21) gets `200` and the same streams.

use crate::detach_keys::DetachKeys;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::{HeaderMap, header};
use naru_api_types::frame::{self, StreamKind};
use naru_engine::{Attachment, Stdin};
use std::fmt;
use std::future::Future;
use std::io::{self, Cursor};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// Bytes of input read at once.
const INPUT: usize = 32 * 1024;

/// How long output is held back for clients that lose what comes together with the head of the answer.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients that read the head through a buffer and then go on without it. With a slow daemon that is seldom seen.
const LOSES_EARLY_OUTPUT: [&str; 2] = ["docker-sdk-python", "docker-compose/1."];

/// How a client asked for the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Whether with an `Upgrade` header.
    pub(crate) upgrade: bool,
    /// Whether it loses output that comes together with the head.
    pub(crate) slow_reader: bool,
}

impl Asked {
    /// By the headers of the request.
    pub(crate) fn of(headers: &HeaderMap) -> Asked {
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Asked {
            upgrade: headers.contains_key(header::UPGRADE),
            slow_reader: agent.is_some_and(|agent| {
                LOSES_EARLY_OUTPUT.iter().any(|client| agent.contains(client))
            }),
        }
    }
}

/// Pieces of output with the stream they belong to.
pub(crate) type Output = BoxStream<'static, (naru_engine::StreamKind, Bytes)>;

/// Where input goes.
pub(crate) trait Input: Send {
    /// Passes on all of it.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, io::Result<()>>;
    /// There will be no more.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

impl Input for Stdin {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.write_all(bytes))
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(Stdin::close(*self))
    }
}

/// What a hijacked connection carries.
pub(crate) struct Hijack {
    /// What goes to the client.
    pub(crate) output: Output,
    /// Where the client's input goes.
    pub(crate) stdin: Option<Box<dyn Input>>,
    /// Whether output is in frames.
    pub(crate) framed: bool,
    /// Whether the media type says so (API 1.42 and later).
    pub(crate) names_frames: bool,
    /// Keys that end the attachment.
    pub(crate) detach_keys: DetachKeys,
}

impl fmt::Debug for Hijack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hijack").field("framed", &self.framed).finish_non_exhaustive()
    }
}

impl Hijack {
    /// Carries the streams of an attachment: a terminal's raw, others in frames.
    pub(crate) fn new(attachment: Attachment, keys: DetachKeys, names_frames: bool) -> Hijack {
        let Attachment { tty, output, stdin } = attachment;
        let output = stream::unfold(output, |mut output| async move {
            output.next().await.map(|piece| (piece, output))
        });
        Hijack {
            output: output.boxed(),
            stdin: stdin.map(|stdin| Box::new(stdin) as Box<dyn Input>),
            framed: !tty,
            names_frames,
            detach_keys: if tty { keys } else { DetachKeys::none() },
        }
    }

    /// Tells of a failure where output was expected, as clients show it.
    pub(crate) fn failed(message: &str, tty: bool, names_frames: bool) -> Hijack {
        let line = Bytes::from(format!("{message}\r\n"));
        let output = stream::iter([(naru_engine::StreamKind::Stdout, line)]);
        Hijack {
            output: output.boxed(),
            stdin: None,
            framed: !tty,
            names_frames,
            detach_keys: DetachKeys::none(),
        }
    }

    /// The head of the answer.
    pub(crate) fn head(&self, upgrade: bool) -> String {
        let media_type =
            if self.framed && self.names_frames { frame::MULTIPLEXED } else { frame::RAW };
        let start = if upgrade {
            "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        } else {
            "HTTP/1.1 200 OK\r\n"
        };
        let mut headers = HeaderMap::new();
        crate::reply::common_headers(&mut headers);
        let mut head = format!("{start}Content-Type: {media_type}\r\n");
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
        head.push_str("\r\n");
        head
    }

    /// Carries the streams until both ends are done. `early` is what the client sent behind its request.
    pub(crate) async fn run(
        self,
        stream: UnixStream,
        early: Bytes,
        asked: Asked,
    ) -> io::Result<()> {
        let watched = stream.as_fd().try_clone_to_owned()?;
        let head = self.head(asked.upgrade);
        let (read, mut write) = tokio::io::split(stream);
        let read = Cursor::new(early).chain(read);
        write.write_all(head.as_bytes()).await?;
        write.flush().await?;
        if asked.slow_reader {
            tokio::time::sleep(PAUSE).await;
        }
        let result = {
            let input = carry_input(read, self.stdin, self.detach_keys);
            let output = carry_output(self.output, &mut write, self.framed);
            tokio::pin!(input, output);
            until_done(input, output, watched).await
        };
        // The client may be gone already; that is how most attachments end.
        drop(write.shutdown().await);
        result
    }
}

/// The output decides about the end; the input only when the client detaches.
async fn until_done(
    input: impl Future<Output = Ended> + Unpin,
    mut output: impl Future<Output = io::Result<()>> + Unpin,
    watched: OwnedFd,
) -> io::Result<()> {
    tokio::select! {
        biased;
        result = &mut output => result,
        ended = input => match ended {
            // All its input was taken. A client that is gone, and not only done writing, is not waited for until
            // the container says something.
            Ended::Input => tokio::select! {
                biased;
                result = output => result,
                result = closed(watched) => result,
            },
            Ended::Detached => Ok(()),
        },
    }
}

/// Ready once the other end is closed altogether; a half close does not count. The socket is registered a second time
/// for this, because the readiness that is cleared here is not the one that the writer waits for.
async fn closed(socket: OwnedFd) -> io::Result<()> {
    let socket = UnixStream::from_std(socket.into())?;
    loop {
        if socket.ready(Interest::WRITABLE).await?.is_write_closed() {
            return Ok(());
        }
        // Clears "can be written", so that the next turn waits for a change.
        let clear = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        drop(socket.try_io(Interest::WRITABLE, clear));
    }
}

enum Ended {
    Input,
    Detached,
}

async fn carry_input(
    mut read: impl AsyncRead + Unpin,
    stdin: Option<Box<dyn Input>>,
    mut keys: DetachKeys,
) -> Ended {
    let Some(mut stdin) = stdin else { return Ended::Input };
    loop {
        let mut buffer = BytesMut::with_capacity(INPUT);
        match read.read_buf(&mut buffer).await {
            Ok(0) => {
                stdin.close().await;
                return Ended::Input;
            }
            // A broken connection is no end of input: the container's input stays open for the next client.
            Err(_broken) => return Ended::Input,
            Ok(_) => {}
        }
        let (bytes, detached) = keys.filter(buffer.freeze());
        if !bytes.is_empty() && stdin.write(bytes).await.is_err() {
            return Ended::Input;
        }
        if detached {
            return Ended::Detached;
        }
    }
}

async fn carry_output(
    mut output: Output,
    mut write: impl AsyncWrite + Unpin,
    framed: bool,
) -> io::Result<()> {
    while let Some((kind, bytes)) = output.next().await {
        if framed {
            write.write_all(&framed_bytes(kind, &bytes)).await?;
        } else {
            write.write_all(&bytes).await?;
        }
        write.flush().await?;
    }
    Ok(())
}

/// The bytes as one or more frames.
pub(crate) fn framed_bytes(kind: naru_engine::StreamKind, bytes: &[u8]) -> Bytes {
    let kind = match kind {
        naru_engine::StreamKind::Stdout => StreamKind::Stdout,
        naru_engine::StreamKind::Stderr => StreamKind::Stderr,
    };
    let mut out = BytesMut::with_capacity(bytes.len() + frame::HEADER);
    for piece in bytes.chunks(1 << 30) {
        // A piece is at most a gibibyte long.
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&frame::header(kind, length));
        out.extend_from_slice(piece);
    }
    out.freeze()
}
