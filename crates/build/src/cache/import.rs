//! Acts: keys that other caches know, and layers that only they have, brought when they are needed.

mod history;

pub(crate) use history::{Follow, run_texts};

use super::list::Entry;
use super::read::{Known, read};
use crate::build::Shared;
use crate::event::BuildEvent;
use crate::key::KeyMaker;
use crate::options::CacheSource;
use crate::ports::{CacheLayer, CachePlace};
use naru_errdefs::{Fault, Kind, one_line};
use naru_oci::{ChainId, Descriptor, Reference, media_type};
use naru_store::{Batch, CachedLayer, CachedStep};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long one cache may take to say what it has.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is believed of a cache: all it says; only what its own layers show; nothing.
const ALL: u8 = 2;
const SHOWN: u8 = 1;
const NOTHING: u8 = 0;

/// The caches that a build names.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    sources: OnceLock<Vec<Source>>,
    /// File systems that caches have told of and that were not brought yet.
    told: Mutex<BTreeMap<ChainId, Told>>,
    /// Whether the build has to begin again, because something that was told is not there.
    again: AtomicBool,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Source {
    known: Known,
    belief: AtomicU8,
    /// What came of the history of its images.
    used: history::Use,
}

/// A layer that a cache has told of.
#[derive(Debug, Clone)]
struct Told {
    source: usize,
    key: String,
    step: CachedStep,
    /// Whether it can be brought.
    goes_along: bool,
}

impl Imported {
    /// Reads the caches that a build names. One that cannot be read is warned of.
    pub(crate) async fn open(shared: &Arc<Shared>) {
        let mut sources = Vec::new();
        for source in &shared.options.cache_from {
            let name = match source {
                CacheSource::Name(name) => name.clone(),
                CacheSource::Registry(reference) => reference.familiar(),
                CacheSource::Content(_) => "the client's directory".to_owned(),
            };
            let id = shared.next_id();
            let started = Instant::now();
            let text = format!("importing cache manifest from {name}");
            shared.tell(vertex(id, text)).await;
            let known = match tokio::time::timeout(PATIENCE, read(shared, source)).await {
                Ok(known) => known,
                Err(_) => Err(Fault::new(Kind::Unavailable, "it takes too long to answer")),
            };
            let took = started.elapsed();
            let error = known.as_ref().err().map(one_line);
            shared
                .tell(BuildEvent::VertexDone { id, cached: false, took, result: None, error })
                .await;
            let problem = match &known {
                Err(fault) => Some(format!("cannot be read: {}", one_line(fault))),
                Ok(known) if known.entries.is_empty() && known.is_foreign => Some(
                    "was written by BuildKit, whose keys are made of other things than ours"
                        .to_owned(),
                ),
                Ok(known) if known.entries.is_empty() && known.images.is_empty() => {
                    Some("is neither an image nor a build cache".to_owned())
                }
                Ok(_) => None,
            };
            if let Some(problem) = problem {
                let text = format!("nothing is taken from the cache `{name}`: it {problem}");
                shared.warn("", text, 0).await;
            }
            if let Ok(known) = known {
                let used = history::Use::default();
                sources.push(Source { known, belief: AtomicU8::new(ALL), used });
            }
        }
        shared.imported.sources.set(sources).ok();
    }

    fn sources(&self) -> &[Source] {
        self.sources.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// What a cache says that one of these keys led to on a file system. It may not be here yet: see [`bring`].
    pub(crate) fn find(
        &self,
        shared: &Shared,
        parent: Option<ChainId>,
        keys: &[String],
    ) -> Result<Option<CachedStep>, Fault> {
        for (number, source) in self.sources().iter().enumerate() {
            let belief = source.belief.load(Ordering::Relaxed);
            if belief == NOTHING {
                continue;
            }
            let Some((key, entry)) =
                keys.iter().find_map(|key| source.known.entries.get_key_value(key))
            else {
                continue;
            };
            let at = entry.layer.and_then(|at| usize::try_from(at).ok());
            let blob = at.and_then(|at| source.known.layers.get(at));
            let found = self.take(shared, number, parent, (key, entry), blob)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What a cache says of one key, on a file system. Nothing when it is not believed so far.
    fn take(
        &self,
        shared: &Shared,
        number: usize,
        parent: Option<ChainId>,
        (key, entry): (&str, &Entry),
        blob: Option<&Descriptor>,
    ) -> Result<Option<CachedStep>, Fault> {
        let Some(source) = self.sources().get(number) else { return Ok(None) };
        let mut step = CachedStep {
            chain: parent,
            parent,
            layer: None,
            description: String::new(),
            created: entry.created,
            last_used: shared.now,
            uses: 0,
            content_key: entry.content_key.clone(),
        };
        let Some(diff_id) = entry.diff_id else { return Ok(Some(step)) };
        let store = &shared.inner.store;
        let chain = ChainId::on(parent, diff_id);
        if let Some(there) = store.build_cache.get(&row(&source.known.name, key))?
            && there.chain == Some(chain)
            && crate::steps::hold(store, &shared.lease, &there)?
        {
            return Ok(Some(there));
        }
        if blob.is_none() && source.belief.load(Ordering::Relaxed) < ALL {
            return Ok(None);
        }
        step.chain = Some(chain);
        // What does not go along has no blob; it is only stood on.
        let standing = || Descriptor::new(media_type::OCI_LAYER, diff_id.0, 0);
        step.layer =
            Some(CachedLayer { blob: blob.map_or_else(standing, oci), diff_id, size: entry.size });
        if source.known.is_proven
            && blob.is_some()
            && crate::steps::hold(store, &shared.lease, &step)?
        {
            if let Some(layer) = &mut step.layer {
                layer.size = store.snapshots.get(&chain)?.size;
            }
            return Ok(Some(step));
        }
        let goes_along = blob.is_some();
        let told = Told { source: number, key: key.to_owned(), step: step.clone(), goes_along };
        self.tell(chain, told);
        Ok(Some(step))
    }

    fn told(&self) -> std::sync::MutexGuard<'_, BTreeMap<ChainId, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, chain: ChainId, told: Told) {
        let mut all = self.told();
        match all.get(&chain) {
            Some(there) if there.goes_along || !told.goes_along => {}
            Some(_) | None => drop(all.insert(chain, told)),
        }
    }

    /// Whether a file system was told of and not brought yet.
    pub(crate) fn is_told(&self, chain: Option<ChainId>) -> bool {
        chain.is_some_and(|chain| self.told().contains_key(&chain))
    }

    /// The layer of a vertex that was told of as made on nothing, on top of a file system. Nothing when it was not told of.
    pub(crate) fn rebase(&self, made: &CachedStep, parent: ChainId) -> Option<ChainId> {
        let (from, layer) = (made.chain?, made.layer.as_ref()?);
        let told = self.told().get(&from).cloned()?;
        let chain = parent.then(layer.diff_id);
        let step = CachedStep { chain: Some(chain), parent: Some(parent), ..told.step.clone() };
        self.tell(chain, Told { step, ..told });
        Some(chain)
    }

    /// Whether the build is to begin again; asked once.
    pub(crate) fn takes_again(&self) -> bool {
        self.told().clear();
        self.again.swap(false, Ordering::Relaxed)
    }

    /// Believes less of the caches that told of these layers.
    fn doubt(&self, layers: &[(ChainId, Told)], belief: u8) {
        for (_, told) in layers {
            if let Some(source) = self.sources().get(told.source)
                && (belief == NOTHING || !told.goes_along)
            {
                source.belief.fetch_min(belief, Ordering::Relaxed);
            }
        }
        self.again.store(true, Ordering::Relaxed);
    }

    fn place(&self, told: &Told) -> Option<&Reference> {
        self.sources().get(told.source)?.known.place.as_ref()
    }

    fn name(&self, told: &Told) -> &str {
        self.sources().get(told.source).map_or("", |source| source.known.name.as_str())
    }

    /// The layers below and with a file system that were told of, bottom first.
    fn below(&self, chain: Option<ChainId>) -> Vec<(ChainId, Told)> {
        let all = self.told();
        let mut list = Vec::new();
        let mut at = chain;
        while let Some((chain, told)) = at.and_then(|chain| Some((chain, all.get(&chain)?.clone())))
        {
            at = told.step.parent;
            list.push((chain, told));
        }
        list.reverse();
        list
    }
}

/// The key of a row for what a cache said: it counts for builds that name this cache.
fn row(cache: &str, key: &str) -> String {
    let mut maker = KeyMaker::new("from another cache", None);
    maker.text(cache).text(key);
    maker.finish()
}

/// A layer's descriptor as manifests of ours have it.
fn oci(blob: &Descriptor) -> Descriptor {
    Descriptor::new(crate::stage::oci_type(&blob.media_type), blob.digest, blob.size)
}

/// The beginning of a vertex that belongs to no stage.
pub(super) fn vertex(id: u32, text: String) -> BuildEvent {
    BuildEvent::VertexStarted { id, name: text.clone(), instruction: text, stage: None, step: None }
}

/// Sees to it that a file system is here, for something that is made on it or read out of it: fetched, and what it was
/// promised to be.
pub(crate) async fn bring(
    shared: &Arc<Shared>,
    chain: Option<ChainId>,
    id: u32,
) -> Result<(), Fault> {
    let imported = &shared.imported;
    if !imported.is_told(chain) {
        return Ok(());
    }
    let _turn = imported.turn.lock().await;
    let layers = imported.below(chain);
    let Some((_, lowest)) = layers.first() else { return Ok(()) };
    if layers.iter().any(|(_, told)| !told.goes_along) {
        imported.doubt(&layers, SHOWN);
        return Err(Fault::new(Kind::Unavailable, "the cache leaves out a layer that is needed"));
    }
    let base = lowest.step.parent;
    let brought = fetch(shared, &layers, base, id).await;
    let recorded = match brought {
        Ok(()) => {
            let recording = layers.clone();
            shared.blocking(move |shared| record(shared, &recording)).await
        }
        Err(fault) => Err(fault),
    };
    if let Err(fault) = recorded {
        let names: std::collections::BTreeSet<&str> =
            layers.iter().map(|(_, told)| imported.name(told)).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let text = format!(
            "nothing more is taken from the cache `{}`, which does not have what it says: {}",
            names.join("`, `"),
            one_line(&fault)
        );
        shared.warn("", text, 0).await;
        imported.doubt(&layers, NOTHING);
        return Err(fault.context("a layer of the cache cannot be used"));
    }
    let mut told = imported.told();
    for (chain, _) in &layers {
        told.remove(chain);
    }
    Ok(())
}

/// The same for one that becomes part of the result, and for all that it stands on.
pub(crate) async fn bring_whole(shared: &Arc<Shared>, chain: Option<ChainId>) -> Result<(), Fault> {
    let (id, started) = (shared.next_id(), Instant::now());
    let mut brought = Ok(());
    let mut is_shown = false;
    let mut next = chain;
    while let (Some(chain), Ok(())) = (next, &brought) {
        if shared.imported.is_told(next) {
            if !std::mem::replace(&mut is_shown, true) {
                shared.tell(vertex(id, "fetching layers from caches".to_owned())).await;
            }
            brought = bring(shared, next, id).await;
        }
        // Something that is here may stand on something that is here too, but without its blob.
        next = shared.inner.store.snapshots.get(&chain).ok().and_then(|found| found.parent);
    }
    if is_shown {
        let took = started.elapsed();
        let error = brought.as_ref().err().map(one_line);
        shared.tell(BuildEvent::VertexDone { id, cached: false, took, result: None, error }).await;
    }
    brought
}

/// The layers that were told of, as others are asked for them.
fn asked<'a>(shared: &'a Shared, layers: &'a [(ChainId, Told)]) -> Vec<CacheLayer<'a>> {
    let auth = &shared.options.registry_auth;
    let one = |(_, told): &'a (ChainId, Told)| {
        let layer = told.step.layer.as_ref()?;
        let place = shared.imported.place(told).map(|reference| CachePlace { reference, auth });
        Some(CacheLayer { place, blob: &layer.blob, diff_id: layer.diff_id })
    };
    layers.iter().filter_map(one).collect()
}

async fn fetch(
    shared: &Arc<Shared>,
    layers: &[(ChainId, Told)],
    base: Option<ChainId>,
    id: u32,
) -> Result<(), Fault> {
    let asked = asked(shared, layers);
    let lease = *shared.lease.id();
    let (sender, progress) = mpsc::channel(16);
    let fetching = shared.inner.caches.fetch(&asked, lease, sender);
    let (fetched, ()) = tokio::join!(fetching, progressing(shared, id, progress));
    fetched?;
    shared.inner.caches.unpack(base, &asked, lease).await
}

/// Passes on how far something is.
pub(super) async fn progressing(
    shared: &Shared,
    id: u32,
    mut progress: mpsc::Receiver<(String, u64, u64)>,
) {
    while let Some((what, current, total)) = progress.recv().await {
        shared.tell(BuildEvent::VertexProgress { id, what, current, total }).await;
    }
}

/// Notes what was brought, so that it is not told of but there for the next build that names the cache.
fn record(shared: &Shared, layers: &[(ChainId, Told)]) -> Result<(), Fault> {
    let store = &shared.inner.store;
    let mut batch = Batch::new();
    for (chain, told) in layers {
        let mut step = told.step.clone();
        if let Some(layer) = &mut step.layer {
            layer.size = store.snapshots.get(chain)?.size;
        }
        if !crate::steps::hold(store, &shared.lease, &step)? {
            return Err(Fault::new(Kind::DataLoss, "a layer that was brought is not there"));
        }
        step.description = format!("from the cache {}", shared.imported.name(told));
        batch.put_cached_step(&row(shared.imported.name(told), &told.key), &step);
    }
    Ok(store.commit(batch)?)
}

/// Fetches the blobs that are to go along to somewhere else and are not here.
pub(super) async fn fetch_blobs(
    shared: &Arc<Shared>,
    chains: &[ChainId],
    except: Option<&Reference>,
    id: u32,
) -> Result<(), Fault> {
    let layers: Vec<(ChainId, Told)> = {
        let told = shared.imported.told();
        let found = chains.iter().filter_map(|chain| Some((*chain, told.get(chain)?.clone())));
        found
            .filter(|(_, told)| told.goes_along)
            .filter(|(_, told)| {
                let place = shared.imported.place(told);
                place.is_none() || !is_same_repository(place, except)
            })
            .collect()
    };
    let asked = asked(shared, &layers);
    let (sender, progress) = mpsc::channel(16);
    let fetching = shared.inner.caches.fetch(&asked, *shared.lease.id(), sender);
    let (fetched, ()) = tokio::join!(fetching, progressing(shared, id, progress));
    fetched
}

fn is_same_repository(one: Option<&Reference>, other: Option<&Reference>) -> bool {
    one.zip(other).is_some_and(|(one, other)| {
        one.registry() == other.registry() && one.repository() == other.repository()
    })
}

impl Imported {
    /// Whether a layer can go along to somewhere else: it is here, or a cache has it.
    pub(super) fn goes_along(&self, chain: &ChainId) -> bool {
        self.told().get(chain).is_none_or(|told| told.goes_along)
    }
}
