//! Acts: unpacks layers while the rest of their archive is still being read.
//!
//! Archives say last what they are about, so a blob that may be a layer is unpacked into a directory of its own as
//! soon as it is in the store. When the images are known, what they need is moved to its place and the rest is given
//! up.

use naru_errdefs::Fault;
use naru_layer::{Applied, Limits, apply};
use naru_oci::{ChainId, Digest};
use naru_store::{Begin, LeaseId, Pending, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// Layers that were unpacked before anybody knew what for, by the digest of their blob.
pub(crate) type Unpacked = BTreeMap<Digest, (Pending, Applied)>;

/// Takes blobs that may be layers.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: Sender<Digest>,
    seen: BTreeSet<Digest>,
}

impl Queue {
    /// Unpacks a blob when a thread is free; each blob once.
    pub(crate) fn push(&mut self, blob: Digest) {
        if self.seen.insert(blob) && self.sender.send(blob).is_err() {
            tracing::debug!(%blob, "no thread is left to unpack it early");
        }
    }
}

/// Runs `work`, which fills the queue and says which blobs are needed; unpacks side by side meanwhile.
pub(crate) fn alongside<T>(
    store: &Store,
    lease: &LeaseId,
    work: impl FnOnce(&mut Queue) -> Result<(T, BTreeSet<Digest>), Fault>,
) -> Result<(T, Unpacked), Fault> {
    let (sender, jobs) = channel();
    let shared = Shared {
        jobs: Mutex::new(jobs),
        needed: Mutex::new(None),
        unpacked: Mutex::new(Unpacked::new()),
    };
    let workers = crate::unpack::workers();
    let done = std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| shared.serve(store, lease));
        }
        let mut queue = Queue { sender, seen: BTreeSet::new() };
        let done = work(&mut queue);
        let needed = done.as_ref().map_or_else(|_| BTreeSet::new(), |(_, needed)| needed.clone());
        *shared.needed.lock().unwrap_or_else(PoisonError::into_inner) = Some(needed);
        drop(queue);
        done
    });
    let unpacked = shared.unpacked.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.map(|(done, _)| (done, unpacked))
}

struct Shared {
    jobs: Mutex<Receiver<Digest>>,
    /// What the images need, once that is known.
    needed: Mutex<Option<BTreeSet<Digest>>>,
    unpacked: Mutex<Unpacked>,
}

impl Shared {
    fn serve(&self, store: &Store, lease: &LeaseId) {
        loop {
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(blob) = job else { break };
            let needed = self.needed.lock().unwrap_or_else(PoisonError::into_inner);
            let is_needed = needed.as_ref().is_none_or(|needed| needed.contains(&blob));
            drop(needed);
            // A blob that cannot be unpacked may be no layer at all; where it is one, it fails again and is reported.
            if is_needed && let Some(done) = unpack_early(store, lease, blob) {
                self.unpacked.lock().unwrap_or_else(PoisonError::into_inner).insert(blob, done);
            }
        }
    }
}

fn unpack_early(store: &Store, lease: &LeaseId, blob: Digest) -> Option<(Pending, Applied)> {
    // The layer's own chain is not known yet; under this name nothing is ever committed.
    let chain = ChainId(Digest::of(format!("unpacked early: {blob}").as_bytes()));
    let Ok(Begin::Pending(pending)) = store.snapshots.begin(chain, None, lease) else {
        return None;
    };
    let file = store.content.open(&blob).ok()?;
    let applied = apply(file, &pending.dir(), &Limits::standard()).ok()?;
    Some((pending, applied))
}
