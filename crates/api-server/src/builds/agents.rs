//! Acts: agents of ssh that a client lends to its build: many connections over one stream (see `naru_api_types::agent`).

use crate::detach_keys::DetachKeys;
use crate::hijack::{Hijack, Input};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use naru_api_types::agent::{AgentFrame, AgentFrames};
use naru_engine::builds::{AgentLine, Agents, Promise};
use naru_errdefs::{Fault, Kind};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

/// Pieces that wait for the client.
const WAITING: usize = 64;
/// Pieces of one connection that wait for whoever has it; a connection that nobody reads is ended.
const UNREAD: usize = 32;
/// Connections at once.
const MOST_CONNECTIONS: usize = 256;
/// Bytes that are read at once, and that may wait in a connection.
const PIECE: usize = 32 << 10;

/// The connections that are open, and where what the client says of them goes.
#[derive(Debug, Default)]
struct Open {
    connections: Mutex<BTreeMap<u32, mpsc::Sender<Vec<u8>>>>,
    ended: AtomicBool,
}

impl Open {
    fn end(&self, connection: u32) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).remove(&connection);
    }

    /// Passes on what came for a connection; one that has too much unread is ended.
    fn pass(&self, connection: u32, bytes: Vec<u8>) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let full = connections.get(&connection).is_some_and(|one| one.try_send(bytes).is_err());
        if full {
            connections.remove(&connection);
        }
    }
}

/// A stream that leads to agents. Dropping it ends the stream.
#[derive(Debug)]
pub(crate) struct LentStream {
    open: Arc<Open>,
    out: mpsc::Sender<AgentFrame>,
    next: AtomicU32,
}

/// A new stream, and what the client's connection carries for it.
pub(super) fn open() -> (Arc<LentStream>, Hijack) {
    let open: Arc<Open> = Arc::default();
    let (out, frames) = mpsc::channel(WAITING);
    let output = futures_util::stream::unfold(frames, |mut frames: mpsc::Receiver<_>| async move {
        let frame: AgentFrame = frames.recv().await?;
        Some(((naru_engine::StreamKind::Stdout, Bytes::from(frame.encode())), frames))
    });
    let heard = Heard { open: Arc::clone(&open), frames: AgentFrames::default() };
    let hijack = Hijack {
        output: output.boxed(),
        stdin: Some(Box::new(heard)),
        framed: false,
        names_frames: false,
        detach_keys: DetachKeys::none(),
    };
    (Arc::new(LentStream { open, out, next: AtomicU32::new(0) }), hijack)
}

impl LentStream {
    /// Whether the client is still there, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.ended.load(Ordering::Relaxed) && !self.out.is_closed()
    }
}

impl Agents for LentStream {
    fn connect<'a>(&'a self, id: &'a str) -> Promise<'a, Result<Box<dyn AgentLine>, Fault>> {
        Box::pin(async move {
            let gone = || Fault::new(Kind::Unavailable, "the client with the agent has gone");
            if !self.is_open() {
                return Err(gone());
            }
            let connection = self.next.fetch_add(1, Ordering::Relaxed);
            let (sender, heard) = mpsc::channel(UNREAD);
            {
                let connections = &self.open.connections;
                let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
                if connections.len() >= MOST_CONNECTIONS {
                    let text = "a build has too many connections to agents of ssh";
                    return Err(Fault::new(Kind::ResourceExhausted, text));
                }
                connections.insert(connection, sender);
            }
            let asked = AgentFrame::Open { connection, id: id.to_owned() };
            if self.out.send(asked).await.is_err() {
                self.open.end(connection);
                return Err(gone());
            }
            let (ours, theirs) = tokio::io::duplex(PIECE);
            tokio::spawn(carry(connection, ours, heard, Arc::clone(&self.open), self.out.clone()));
            Ok(Box::new(theirs) as Box<dyn AgentLine>)
        })
    }
}

/// Carries one connection until either side ends it.
async fn carry(
    connection: u32,
    line: DuplexStream,
    mut heard: mpsc::Receiver<Vec<u8>>,
    open: Arc<Open>,
    out: mpsc::Sender<AgentFrame>,
) {
    let (mut read, mut write) = tokio::io::split(line);
    let mut buffer = vec![0; PIECE];
    loop {
        tokio::select! {
            count = read.read(&mut buffer) => match count {
                Ok(count) if count > 0 => {
                    let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                    if out.send(AgentFrame::Data { connection, bytes }).await.is_err() {
                        break;
                    }
                }
                Ok(_) | Err(_) => break,
            },
            bytes = heard.recv() => {
                let Some(bytes) = bytes else { break };
                if write.write_all(&bytes).await.is_err() {
                    break;
                }
            }
        }
    }
    open.end(connection);
    out.send(AgentFrame::Close { connection }).await.ok();
}

/// What the client says.
struct Heard {
    open: Arc<Open>,
    frames: AgentFrames,
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.open.ended.store(true, Ordering::Relaxed);
        self.open.connections.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Input for Heard {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.frames.feed(&bytes);
        let done = loop {
            match self.frames.take() {
                Ok(None) => break Ok(()),
                Ok(Some(AgentFrame::Data { connection, bytes })) => {
                    self.open.pass(connection, bytes)
                }
                Ok(Some(AgentFrame::Close { connection })) => self.open.end(connection),
                // Only the daemon opens connections.
                Ok(Some(AgentFrame::Open { .. })) | Err(_) => {
                    break Err(io::ErrorKind::InvalidData.into());
                }
            }
        };
        Box::pin(async move { done })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}
