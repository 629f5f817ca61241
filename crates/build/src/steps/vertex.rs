//! Acts: one vertex: found in the cache, or made once for everybody who wants it now.

use crate::build::{Inner, Session, Shared};
use crate::event::{BuildEvent, BuildFailure};
use crate::flight::{Landed, Log};
use crate::layer::{self, About, Changes};
use crate::stage::{Stage, Step};
use naru_errdefs::Fault;
use naru_oci::ChainId;
use naru_store::{CachedStep, Lease, Store};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

/// What a vertex has at hand while it is made. It belongs to no build: several may wait for it.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    pub(crate) inner: Arc<Inner>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) parent: Option<ChainId>,
    pub(crate) log: Arc<Log>,
    pub(crate) about: About,
    keys: Vec<String>,
}

impl Hand {
    /// Runs work that waits for the disk on a thread that may.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Hand) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let me = self.clone();
        match tokio::task::spawn_blocking(move || work(&me)).await {
            Ok(done) => done,
            Err(error) => Err(Fault::internal("a step of a build was lost").with_source(error)),
        }
    }

    /// An empty directory for what the vertex changes.
    pub(crate) fn begin(&self) -> Result<Changes, Fault> {
        let seed = self.keys.first().map_or("", String::as_str);
        Changes::begin(&self.inner.store, &self.lease, seed)
    }

    /// Makes a layer of what was changed.
    pub(crate) fn commit(&self, changes: Changes) -> Result<CachedStep, Fault> {
        let store = &self.inner.store;
        layer::commit(store, &self.lease, changes, self.parent, &self.about, &self.keys)
    }

    /// Whether nobody wants the result any more.
    pub(crate) fn cancelled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.log.cancelled)
    }
}

/// A read-only view of a file system; none when there is nothing in it.
pub(crate) fn view(store: &Store, chain: Option<ChainId>) -> Result<Option<OwnedFd>, Fault> {
    let Some(chain) = chain else { return Ok(None) };
    let layers = store.snapshots.lower_dirs(&chain)?;
    naru_kernel::overlay::read_only(&layers)
        .map(Some)
        .map_err(|error| Fault::io("cannot look into a stage", error))
}

/// What was made under one of these keys on a file system, here or, as other caches say, elsewhere. The first key is by
/// content; further ones are by where that content comes from. What is here is held by the build's lease.
///
/// `texts` are what the history of an image may say of this very vertex on the stage.
pub(crate) fn cached(
    step: &Step<'_>,
    (stage, parent): (&Stage, Option<ChainId>),
    keys: &[String],
    texts: &[String],
) -> Result<Option<CachedStep>, Fault> {
    let shared = &step.session.shared;
    let imported = &shared.imported;
    let mut found = here(shared, keys)?;
    if shared.options.only_named_caches {
        found = found.filter(|found| imported.allows(stage, found));
    }
    if found.is_none() {
        found = imported.find(shared, parent, keys)?;
    }
    if found.is_none() && !texts.is_empty() && shared.options.source_date_epoch.is_none() {
        found = imported.offer(shared, stage, texts)?;
    }
    if let Some(found) = &found {
        shared.exports.note(step.session.index, keys, found);
    }
    Ok(found)
}

/// Notes for other caches that a vertex changed nothing.
pub(crate) fn note_nothing(session: &Session, parent: Option<ChainId>, keys: &[String]) {
    let nothing = CachedStep {
        chain: parent,
        parent,
        layer: None,
        description: String::new(),
        created: 0,
        last_used: 0,
        uses: 0,
        content_key: None,
    };
    session.shared.exports.note(session.index, keys, &nothing);
}

fn here(shared: &Shared, keys: &[String]) -> Result<Option<CachedStep>, Fault> {
    let store = &shared.inner.store;
    for key in keys {
        let Some(step) = store.build_cache.get(key)? else { continue };
        if hold(store, &shared.lease, &step)? {
            let mut used = shared.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.insert(key.clone());
            return Ok(Some(step));
        }
    }
    Ok(None)
}

/// Holds what a vertex made; says whether all of it is there.
pub(crate) fn hold(store: &Store, lease: &Lease, step: &CachedStep) -> Result<bool, Fault> {
    if let Some(chain) = &step.chain {
        lease.hold_snapshot(chain)?;
        if !store.snapshots.has(chain) {
            return Ok(false);
        }
    }
    if let Some(layer) = &step.layer {
        lease.hold_blob(&layer.blob.digest)?;
        if !store.content.has(&layer.blob.digest) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A vertex is made by `work`, if it is not being made already, and recorded under the keys.
pub(crate) async fn make<W, F>(
    step: &mut Step<'_>,
    parent: Option<ChainId>,
    keys: Vec<String>,
    work: W,
) -> Result<CachedStep, BuildFailure>
where
    W: FnOnce(Hand) -> F,
    F: Future<Output = Result<CachedStep, BuildFailure>> + Send + 'static,
{
    step.cached = false;
    let shared = &step.session.shared;
    crate::cache::bring(shared, parent, step.id).await?;
    let mut flight = keys.first().cloned().unwrap_or_default();
    let noted = keys.clone();
    if step.no_cache {
        // Who wants it anew does not share it.
        flight.push_str(&format!(" {} {}", shared.number, step.id));
    }
    let about = About {
        description: step.statement.text.chars().take(500).collect(),
        now: shared.time(),
        compression: shared.options.compression,
        epoch: shared.options.source_date_epoch,
    };
    let turns = Arc::clone(&shared.inner.turns);
    let inner = Arc::clone(&shared.inner);
    let (events, id) = (shared.events.clone(), step.id);
    let landed = shared
        .inner
        .flights
        .join(
            &flight,
            move |log| {
                let lease = Arc::new(inner.store.leases.create(crate::build::LEASE));
                let hand = Hand { inner, lease: Arc::clone(&lease), parent, log, about, keys };
                let future = work(hand);
                async move {
                    let _turn = turns
                        .acquire_owned()
                        .await
                        .map_err(|_closed| Fault::internal("nothing is built any more"))?;
                    future.await.map(|step| Landed { step, lease })
                }
            },
            |stderr, bytes| {
                let events = events.clone();
                async move {
                    events.send(BuildEvent::VertexOutput { id, stderr, bytes }).await.ok();
                }
            },
        )
        .await?;
    // Its flight's lease holds it until this build's does.
    let held = hold(&shared.inner.store, &shared.lease, &landed.step)?;
    drop(landed.lease);
    if !held || shared.cancelled.load(Ordering::Relaxed) {
        return Err(Fault::internal("what a step made went away at once").into());
    }
    shared.exports.note(step.session.index, &noted, &landed.step);
    Ok(landed.step)
}
