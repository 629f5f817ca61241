//! Acts: agents of ssh that a client lends to its build: a socket for each step that wants one, behind which every
//! connection leads to the client.

use crate::layer::random;
use crate::ports::Promise;
use naru_errdefs::{Fault, ResultExt, one_line};
use naru_kernel::path::open_directory;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

/// Connections that one step may have to an agent at once.
const MOST_CONNECTIONS: usize = 64;

/// A connection to an agent.
pub trait AgentLine: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> AgentLine for T {}

/// Where the agents are.
pub trait Agents: Debug + Send + Sync {
    /// Opens a connection to an agent.
    fn connect<'a>(&'a self, id: &'a str) -> Promise<'a, Result<Box<dyn AgentLine>, Fault>>;
}

/// The agents that a build may use.
#[derive(Debug, Clone)]
pub struct LentAgents {
    /// Their IDs.
    pub ids: BTreeSet<String>,
    /// Where they are.
    pub agents: Arc<dyn Agents>,
}

impl LentAgents {
    /// Whether one of this ID is among them.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

/// A socket that leads to an agent, as long as it lives.
#[derive(Debug)]
pub(crate) struct AgentSocket {
    path: PathBuf,
    /// The same through a descriptor of ours: the path of a socket has 107 bytes at most.
    short: PathBuf,
    _dir: OwnedFd,
    task: AbortHandle,
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AgentSocket {
    /// Makes a socket in a directory, with this mode and these owners.
    pub(crate) fn open(
        dir: &Path,
        lent: &LentAgents,
        id: &str,
        (mode, uid, gid): (u32, u32, u32),
    ) -> Result<AgentSocket, Fault> {
        let failed = || "cannot make a socket for an agent of ssh".to_owned();
        let name = random()?.get(..16).unwrap_or("agent").to_owned();
        let held = open_directory(dir).during(failed)?;
        let short =
            PathBuf::from(format!("/proc/{}/fd/{}/{name}", std::process::id(), held.as_raw_fd()));
        let path = dir.join(&name);
        let listener = UnixListener::bind(&short).during(failed)?;
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).during(failed)?;
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).during(failed)?;
        let serving = serve(listener, Arc::clone(&lent.agents), id.to_owned());
        let task = tokio::spawn(serving).abort_handle();
        Ok(AgentSocket { path, short, _dir: held, task })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is, in few bytes, for programs of this host while the daemon lives.
    pub(crate) fn short(&self) -> &Path {
        &self.short
    }
}

/// Leads connections to an agent until it is aborted, and ends them with itself.
async fn serve(listener: UnixListener, agents: Arc<dyn Agents>, id: String) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MOST_CONNECTIONS {
            // Closed at once: a step that forgets its connections gets no more.
            continue;
        }
        connections.spawn(lead(stream, Arc::clone(&agents), id.clone()));
    }
}

async fn lead(mut stream: UnixStream, agents: Arc<dyn Agents>, id: String) {
    match agents.connect(&id).await {
        // However it ends, both sides see it.
        Ok(mut line) => drop(tokio::io::copy_bidirectional(&mut stream, &mut line).await),
        Err(fault) => tracing::debug!(id, "cannot reach an agent of ssh: {}", one_line(&fault)),
    }
}
