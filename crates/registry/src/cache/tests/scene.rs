//! A store, a fake upstream, a clock that a test turns, and a cache over them.

use super::fake::Fake;
use crate::cache::{
    BlobReader, Cache, CacheConfig, CacheError, CachedBlob, Clock, Pace, Place, UpstreamConfig,
};
use crate::upstream::Upstream;
use futures_util::StreamExt as _;
use naru_oci::Digest;
use naru_store::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

pub(super) struct Scene {
    pub(super) fake: Arc<Fake>,
    pub(super) cache: Cache,
    pub(super) store: Store,
    now: Arc<AtomicU64>,
    _root: tempfile::TempDir,
}

pub(super) const TTL: u64 = 600;

impl Scene {
    pub(super) fn new() -> Scene {
        Scene::with(None, |_| ())
    }

    pub(super) fn with(
        gate: Option<Arc<Semaphore>>,
        change: impl FnOnce(&mut CacheConfig),
    ) -> Scene {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let fake = Fake::new(gate);
        let hub =
            UpstreamConfig { prefix: Some("hub".to_owned()), ..UpstreamConfig::new("docker.io") };
        let mut config = CacheConfig {
            upstreams: vec![hub],
            local: vec![],
            names: vec![],
            max_size: None,
            max_age: None,
        };
        change(&mut config);
        let now = Arc::new(AtomicU64::new(1_000_000));
        let time = Arc::clone(&now);
        let clock: Clock = Arc::new(move || time.load(Ordering::SeqCst));
        let pace = Pace {
            open: Duration::from_millis(500),
            stall: Duration::from_millis(200),
            attempts: 4,
            back_off: Duration::from_millis(1),
            linger: Duration::from_millis(100),
            ..Pace::default()
        };
        let port = Arc::clone(&fake);
        let connect = move |_: &UpstreamConfig| Ok(Arc::clone(&port) as Arc<dyn Upstream>);
        let cache = Cache::with_pace(&store, &config, connect, (pace, clock)).unwrap();
        Scene { fake, cache, store, now, _root: root }
    }

    pub(super) fn later(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(super) fn place(&self) -> Place {
        self.cache.place(None, "hub/debian").unwrap()
    }

    pub(super) async fn coming(&self, digest: &Digest) -> BlobReader {
        match self.cache.blob(&self.place(), digest).await.unwrap() {
            CachedBlob::Coming(reader) => reader,
            CachedBlob::Stored { .. } => panic!("it is stored already"),
        }
    }

    /// What a client gets of a blob that comes, be it refused at once or broken off.
    pub(super) async fn pull(&self, digest: &Digest) -> (Vec<u8>, Result<(), CacheError>) {
        match self.cache.blob(&self.place(), digest).await {
            Ok(CachedBlob::Coming(reader)) => drain(reader).await,
            Ok(CachedBlob::Stored { .. }) => panic!("it is stored already"),
            Err(error) => (Vec::new(), Err(error)),
        }
    }

    /// Waits until a blob's fetch is off the list.
    pub(super) async fn landed(&self, digest: &Digest) {
        let landed = self.cache.shared.flows().get(digest).map(|flow| flow.landed());
        if let Some(landed) = landed {
            landed.await;
        }
    }
}

/// What a client gets: the bytes, and whether the stream ended well.
pub(super) async fn drain(reader: BlobReader) -> (Vec<u8>, Result<(), CacheError>) {
    let mut stream = Box::pin(reader.stream(0, None));
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (bytes, Err(error)),
        }
    }
    (bytes, Ok(()))
}
