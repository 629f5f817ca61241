//! The pull-through cache: repositories that are those of other registries.
//!
//! ```text
//! name, ?ns= ─▶ place ◆ ─▶ manifest: known? ─▶ decide ◆ ─▶ serve │ check (HEAD) │ fetch ─▶ verified ─▶ stored
//!                      └─▶ blob: member? ─▶ stored │ one fetch for all: upstream ─▶ file that grows ─▶ every client
//! ```
//!
//! Acts (◆ is pure). Requests for one thing share one fetch, which is a task of its own: whoever began it may go. When nobody is
//! left, a blob's fetch goes on for a moment and then stops; what came is kept, and the next fetch goes on from there, also after
//! a restart. A stream's last byte leaves when the whole is known to have its digest; an upstream that lies breaks the stream
//! off, and nothing is stored. Rows of the cache are written without waiting for the disk, but for those that go with a blob.
//!
//! Who may read a repository is the gate's business, by the repository's name *here*. A blob is given out through a repository
//! when the upstream gives it out through that repository itself: what is in the store already is asked for once (nothing of it
//! is read), and is a member from then on.

mod blobs;
mod bring;
mod config;
mod decide;
mod expiry;
mod figures;
mod flights;
mod flow;
mod manifests;
mod place;
mod rows;
mod source;
mod trouble;

pub use blobs::CachedBlob;
pub use config::{CacheConfig, UpstreamConfig};
pub use expiry::Expired;
pub use figures::Figures;
pub use flow::BlobReader;
pub use manifests::CachedManifest;
pub use place::Place;
pub use trouble::CacheError;

use crate::upstream::Upstream;
use flights::Flights;
use flow::Flow;
use naru_errdefs::{Fault, Kind};
use naru_oci::Digest;
use naru_store::Store;
use rows::Rows;
use source::Source;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Seconds since 1970, from whoever knows.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// So many lists of tags are remembered.
const MOST_LISTS: usize = 256;
/// No list of tags is longer.
const MOST_TAGS: usize = 100_000;

/// Bounds on waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// For the head of an answer.
    pub(crate) open: Duration,
    /// For the next bytes of a blob.
    pub(crate) stall: Duration,
    /// How often a blob's fetch is taken up again without a byte more.
    pub(crate) attempts: u32,
    /// Before the first of them; doubled each time, up to 64 times.
    pub(crate) back_off: Duration,
    /// How long a blob's fetch goes on when nobody reads.
    pub(crate) linger: Duration,
    /// How long an upstream that failed is taken for away.
    pub(crate) away: Duration,
    /// How long an upstream that limits us without saying is left alone.
    pub(crate) limited: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            open: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            attempts: 6,
            back_off: Duration::from_millis(250),
            linger: Duration::from_secs(30),
            away: Duration::from_secs(10),
            limited: Duration::from_secs(60),
        }
    }
}

/// Whether an answer may be old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The upstream said so within the ttl.
    Fresh,
    /// The upstream is away; this is what it said before.
    Stale {
        /// The upstream's name.
        upstream: String,
        /// How many seconds ago.
        age: u64,
    },
}

impl Freshness {
    /// The values of `Warning` headers, which clients of registries show; they may have no other number than 299
    /// (distribution-spec, "Warnings"), so those that a cache has otherwise (RFC 7234 section 5.5) are left out.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Freshness::Fresh => Vec::new(),
            Freshness::Stale { upstream, age } => vec![format!(
                "299 - \"the upstream {upstream} is away: this is what it said {age} s ago\""
            )],
        }
    }
}

/// The cache. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("places", &self.shared.places).finish_non_exhaustive()
    }
}

/// A list of tags, and since when it is known.
type Lists = BTreeMap<String, (u64, Arc<[String]>)>;

struct Shared {
    store: Store,
    rows: Rows,
    places: place::Places,
    sources: Vec<Arc<Source>>,
    pace: Pace,
    clock: Clock,
    manifests: Arc<Flights<CachedManifest>>,
    lists: Arc<Flights<(Arc<[String]>, Freshness)>>,
    listed: Mutex<Lists>,
    missing: Mutex<manifests::Missing>,
    flows: Mutex<BTreeMap<Digest, Arc<Flow>>>,
    prefetches: Semaphore,
    max_size: Option<u64>,
    max_age: Option<u64>,
    /// Bytes that the cache holds, once they were counted.
    kept: AtomicU64,
    is_counted: AtomicBool,
    expired_at: AtomicU64,
    expiring: tokio::sync::Mutex<()>,
}

impl Cache {
    /// A cache in a store, by its section of the configuration; `connect` makes the client of each upstream. Nothing is asked
    /// before somebody asks.
    pub fn new(
        store: &Store,
        config: &CacheConfig,
        connect: impl FnMut(&UpstreamConfig) -> Result<Arc<dyn Upstream>, Fault>,
    ) -> Result<Cache, Fault> {
        let clock: Clock = Arc::new(|| {
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs())
        });
        Cache::with_pace(store, config, connect, (Pace::default(), clock))
    }

    pub(crate) fn with_pace(
        store: &Store,
        config: &CacheConfig,
        mut connect: impl FnMut(&UpstreamConfig) -> Result<Arc<dyn Upstream>, Fault>,
        (pace, clock): (Pace, Clock),
    ) -> Result<Cache, Fault> {
        config.check()?;
        let mut sources = Vec::new();
        for upstream in &config.upstreams {
            let port = connect(upstream)?;
            sources.push(Arc::new(Source::new(upstream, port, pace, &clock)));
        }
        Ok(Cache {
            shared: Arc::new(Shared {
                store: store.clone(),
                rows: Rows::new(store),
                places: place::Places::new(config),
                sources,
                pace,
                clock,
                manifests: Arc::default(),
                lists: Arc::default(),
                listed: Mutex::default(),
                missing: Mutex::default(),
                flows: Mutex::default(),
                prefetches: Semaphore::new(1),
                max_size: config.max_size,
                max_age: config.max_age,
                kept: AtomicU64::new(0),
                is_counted: AtomicBool::new(false),
                expired_at: AtomicU64::new(0),
                expiring: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// Whose repository this is: none when it is this registry's own. `namespace` is what the request says as `?ns=`. Rights
    /// are asked for the name that comes back.
    pub fn place(&self, namespace: Option<&str>, repository: &str) -> Option<Place> {
        self.shared.places.find(namespace, repository)
    }

    /// The other registry that a request means by its namespace (`?ns=`); none when it means this one. Where it has no
    /// [`Cache::place`], nothing here is what the request is about.
    pub fn other<'a>(&self, namespace: Option<&'a str>) -> Option<&'a str> {
        self.shared.places.other(namespace)
    }

    /// Whether a repository of the store belongs to the cache.
    pub fn has(&self, repository: &str) -> bool {
        self.shared.places.is_cached(repository)
    }

    /// A manifest by tag or digest, for GET and HEAD alike: whoever asks for the head takes the rest next. When this is back, the
    /// manifest is in the store and a member of [`Place::repository`].
    pub async fn manifest(
        &self,
        place: &Place,
        reference: &str,
    ) -> Result<CachedManifest, CacheError> {
        self.shared.manifest(place, reference).await
    }

    /// A blob: in the store, or on its way.
    pub async fn blob(&self, place: &Place, digest: &Digest) -> Result<CachedBlob, CacheError> {
        self.shared.blob(place, digest).await
    }

    /// The tags of a repository as its upstream lists them, sorted; while it is away, those that are here.
    pub async fn tags(&self, place: &Place) -> Result<(Arc<[String]>, Freshness), CacheError> {
        let (shared, at) = (Arc::clone(&self.shared), place.clone());
        let list = || async move { shared.list(&at).await };
        self.shared.lists.join(place.repository.clone(), list).await
    }

    /// The refusal of whoever wants to write into a repository of the cache (`DENIED`).
    pub fn refuse_push(&self, place: &Place) -> CacheError {
        let name = self.shared.sources.get(place.upstream).map_or("", |source| &source.name);
        CacheError::new(
            Kind::Forbidden,
            format!("`{}` is a cache of `{name}`; nothing can be pushed to it", place.repository),
        )
        .with_hint(format!(
            "push to `{name}` itself, or to a repository that is this registry's own"
        ))
    }

    /// Lets content go that is beyond the bounds of the configuration. Also done when content comes.
    pub async fn expire(&self) -> Result<Expired, CacheError> {
        self.shared.expire().await
    }

    /// Bytes that the cache holds; none before they were counted.
    pub fn kept(&self) -> Option<u64> {
        let is_counted = self.shared.is_counted.load(Ordering::Relaxed);
        is_counted.then(|| self.shared.kept.load(Ordering::Relaxed))
    }

    /// What was done for each upstream.
    pub fn figures(&self) -> Vec<Figures> {
        self.shared.sources.iter().map(|source| source.figures()).collect()
    }
}

impl Shared {
    fn now(&self) -> u64 {
        (self.clock)()
    }

    fn source(&self, place: &Place) -> Result<Arc<Source>, CacheError> {
        self.sources.get(place.upstream).map(Arc::clone).ok_or_else(|| {
            CacheError::new(Kind::Internal, format!("no upstream of `{}`", place.repository))
        })
    }

    fn missing(&self) -> MutexGuard<'_, manifests::Missing> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flows(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<Flow>>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listed(&self) -> MutexGuard<'_, Lists> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list(&self, place: &Place) -> Result<(Arc<[String]>, Freshness), CacheError> {
        let source = self.source(place)?;
        let known = self.listed().get(&place.repository).cloned();
        let checked = known.as_ref().map_or(0, |(checked, _)| *checked);
        let state = decide::Known::Tag { checked };
        if let Some((_, tags)) = &known
            && decide::decide(self.now(), state, false, &source.policy) == decide::Action::Serve
        {
            figures::count(&source.counters.hits);
            return Ok((Arc::clone(tags), Freshness::Fresh));
        }
        match source.tags(&place.remote).await {
            Ok(mut tags) => {
                figures::count(&source.counters.misses);
                tags.truncate(MOST_TAGS);
                tags.sort_unstable();
                tags.dedup();
                let tags: Arc<[String]> = tags.into();
                let mut listed = self.listed();
                if listed.len() >= MOST_LISTS {
                    listed.clear();
                }
                listed.insert(place.repository.clone(), (self.now(), Arc::clone(&tags)));
                Ok((tags, Freshness::Fresh))
            }
            Err(error) if error.is_passing() && source.policy.max_stale.is_some() => {
                let here = || self.store.repositories.tags(&place.repository);
                let (age, tags) = match known {
                    Some((checked, tags)) => (self.now().saturating_sub(checked), tags),
                    None => (0, here().into()),
                };
                let is_old = source.policy.max_stale.is_some_and(|bound| age > bound);
                if tags.is_empty() || is_old {
                    return Err(error);
                }
                figures::count(&source.counters.stale);
                tracing::warn!(
                    upstream = source.name,
                    repository = place.repository,
                    "the upstream is away: listing the tags that are known"
                );
                Ok((tags, Freshness::Stale { upstream: source.name.clone(), age }))
            }
            Err(error) => Err(error),
        }
    }
}

/// Runs what may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, CacheError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(CacheError::new(Kind::Internal, format!("the cache failed: {error}")))
    })
}

#[cfg(test)]
mod tests;
