//! Acts: lends agents of ssh to a build: the daemon opens connections over one stream, and they end at the sockets here.

use naru_api_types::agent::{AgentFrame, AgentFrames};
use naru_api_types::build::AgentsLent;
use naru_client::{Client, Hijacked, HijackedReader, HijackedWriter};
use naru_errdefs::{Fault, ResultExt};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// Connections at once.
const MOST_CONNECTIONS: usize = 256;
/// Pieces that wait for the daemon.
const WAITING: usize = 64;
/// Bytes that are read at once.
const PIECE: usize = 32 << 10;

/// Agents that are lent; dropping it takes them back.
#[derive(Debug)]
pub(super) struct Lent {
    stream: String,
    ids: Vec<String>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Lent {
    /// What the build is told of them.
    pub(super) fn told(&self) -> AgentsLent {
        AgentsLent { stream: self.stream.clone(), ids: self.ids.clone() }
    }
}

/// Lends agents, if there are any.
pub(super) async fn lend(
    client: &Client,
    agents: &BTreeMap<String, String>,
) -> Result<Option<Lent>, Fault> {
    if agents.is_empty() {
        return Ok(None);
    }
    let random =
        naru_kernel::random::bytes::<16>().during(|| "cannot get random bytes".to_owned())?;
    let stream: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let Hijacked { reader, writer, .. } = client.lend_agents(&stream).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let tasks =
        [tokio::spawn(pass(writer, receiver)), tokio::spawn(serve(reader, agents.clone(), sender))];
    Ok(Some(Lent { stream, ids: agents.keys().cloned().collect(), tasks }))
}

/// Passes on what agents say.
async fn pass(mut writer: HijackedWriter, mut frames: mpsc::Receiver<AgentFrame>) {
    while let Some(frame) = frames.recv().await {
        if writer.write_all(&frame.encode()).await.is_err() {
            return;
        }
    }
}

/// Does what the daemon asks for, until it ends the stream or says what nobody understands.
async fn serve(
    mut reader: HijackedReader,
    agents: BTreeMap<String, String>,
    told: mpsc::Sender<AgentFrame>,
) {
    let mut frames = AgentFrames::default();
    let mut open: BTreeMap<u32, OwnedWriteHalf> = BTreeMap::new();
    let mut listening = JoinSet::new();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        frames.feed(buffer.get(..count).unwrap_or_default());
        loop {
            let frame = match frames.take() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return,
            };
            match frame {
                AgentFrame::Open { connection, id } => {
                    while listening.try_join_next().is_some() {}
                    let agent = agents.get(&id).filter(|_| open.len() < MOST_CONNECTIONS);
                    let stream = match agent {
                        Some(path) => UnixStream::connect(path).await.ok(),
                        None => None,
                    };
                    let Some(stream) = stream else {
                        told.send(AgentFrame::Close { connection }).await.ok();
                        continue;
                    };
                    let (read, write) = stream.into_split();
                    open.insert(connection, write);
                    listening.spawn(listen(connection, read, told.clone()));
                }
                AgentFrame::Data { connection, bytes } => {
                    let gone = match open.get_mut(&connection) {
                        Some(agent) => agent.write_all(&bytes).await.is_err(),
                        None => false,
                    };
                    if gone {
                        open.remove(&connection);
                        told.send(AgentFrame::Close { connection }).await.ok();
                    }
                }
                AgentFrame::Close { connection } => {
                    open.remove(&connection);
                }
            }
        }
    }
}

/// Tells what an agent says on one connection.
async fn listen(connection: u32, mut read: OwnedReadHalf, told: mpsc::Sender<AgentFrame>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let frame = match read.read(&mut buffer).await {
            Ok(count) if count > 0 => {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                AgentFrame::Data { connection, bytes }
            }
            Ok(_) | Err(_) => AgentFrame::Close { connection },
        };
        let is_last = matches!(frame, AgentFrame::Close { .. });
        if told.send(frame).await.is_err() || is_last {
            return;
        }
    }
}
