//! Acts: what waits or runs between two calls about builds: contexts that were announced, ways to agents of
//! ssh, and builds that can be cancelled.

use super::agents::LentStream;
use naru_engine::builds::ContextUpload;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Contexts that wait for their build; the oldest of more gives way.
const MOST_WAITING: usize = 64;
/// How long one waits: others of the same build may have to come over a slow line meanwhile.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A way to agents that waits for its build, since when.
type Waiting = (Instant, Arc<LentStream>);

/// What waits or runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    announced: Arc<Mutex<HashMap<String, (Instant, ContextUpload)>>>,
    lent: Arc<Mutex<HashMap<String, Waiting>>>,
    running: Arc<Mutex<HashMap<String, AbortHandle>>>,
    next: Arc<AtomicU64>,
}

impl Desk {
    /// Keeps an announced context for its build; answers what it is called.
    pub(crate) fn keep(&self, upload: ContextUpload) -> String {
        let id = format!("{:x}", self.next.fetch_add(1, Ordering::Relaxed));
        let now = Instant::now();
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        announced.retain(|_, (since, _)| now.duration_since(*since) < PATIENCE);
        while announced.len() >= MOST_WAITING {
            let oldest = announced.iter().min_by_key(|(_, (since, _))| *since);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
            announced.remove(&oldest);
        }
        announced.insert(id.clone(), (now, upload));
        id
    }

    /// An announced context, for one build.
    pub(crate) fn take(&self, id: &str) -> Option<ContextUpload> {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        announced.remove(id).map(|(_, upload)| upload)
    }

    /// Keeps a way to agents of ssh for its build.
    pub(crate) fn keep_agents(&self, id: &str, agents: Arc<LentStream>) {
        let now = Instant::now();
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.retain(|_, (since, stream)| now.duration_since(*since) < PATIENCE && stream.is_open());
        while lent.len() >= MOST_WAITING {
            let oldest = lent.iter().min_by_key(|(_, (since, _))| *since);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
            lent.remove(&oldest);
        }
        lent.insert(id.to_owned(), (now, agents));
    }

    /// A way to agents of ssh, for one build.
    pub(crate) fn take_agents(&self, id: &str) -> Option<Arc<LentStream>> {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.remove(id).map(|(_, stream)| stream)
    }

    /// Lets a build be cancelled by this name as long as what is answered lives.
    pub(crate) fn hold(&self, id: &str, build: AbortHandle) -> Held {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(id.to_owned(), build.clone());
        Held { desk: self.clone(), id: id.to_owned(), build }
    }

    /// Cancels the build of this name, if there is one.
    pub(crate) fn cancel(&self, id: &str) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(build) = running.remove(id) {
            build.abort();
        }
    }
}

/// A build that can be cancelled.
#[derive(Debug)]
pub(crate) struct Held {
    desk: Desk,
    id: String,
    build: AbortHandle,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut running = self.desk.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Another build may have taken the name since.
        if running.get(&self.id).is_some_and(|build| build.id() == self.build.id()) {
            running.remove(&self.id);
        }
    }
}
