//! Acts: pushers, pullers, removers and collectors at once, with threads.

use crate::{Batch, Lease, Member, Store, StoreError};
use naru_oci::{Descriptor, Digest, Manifest, media_type};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// A blob is held, looked for, and brought when it is not there.
fn bring(store: &Store, lease: &Lease, bytes: &[u8]) -> Descriptor {
    let digest = Digest::of(bytes);
    lease.hold_blob(&digest).unwrap();
    if !store.content.has(&digest) {
        assert_eq!(store.content.put(lease.id(), bytes).unwrap().digest, digest);
    }
    Descriptor::new(media_type::OCI_LAYER, digest, u64::try_from(bytes.len()).unwrap())
}

/// Pushes an image of one layer of a few that all share, and one of its own.
fn push(store: &Store, repository: &str, tag: &str, shared: u64, own: u64) {
    let lease = store.leases.create(MINUTE);
    let config = bring(store, &lease, format!("{{\"config\":{}}}", own % 7).as_bytes());
    let layers = vec![
        bring(store, &lease, format!("shared {shared}").as_bytes()),
        bring(store, &lease, format!("own {own}").as_bytes()),
    ];
    for blob in layers.iter().chain([&config]) {
        let mut batch = Batch::new();
        batch.put_member(repository, &blob.digest, &Member::blob(0));
        store.commit(batch).unwrap();
    }
    let manifest = serde_json::to_vec(&Manifest::oci(config, layers)).unwrap();
    let target = bring(store, &lease, &manifest);
    let mut batch = Batch::new();
    let member = &Member::blob(0);
    batch.put_member(repository, &target.digest, member);
    batch.put_tag(repository, tag, &target);
    store.commit(batch).unwrap();
}

/// Reads everything behind a tag under a lease; says whether there was anything.
fn pull(store: &Store, repository: &str, tag: &str) -> bool {
    let lease = store.leases.create(MINUTE);
    let Some(target) = store.repositories.tag(repository, tag).unwrap() else { return false };
    lease.hold_blob(&target.digest).unwrap();
    if !store.content.has(&target.digest) {
        // It was removed and collected between our look at the tag and our hold.
        return false;
    }
    let bytes = store.content.read(&target.digest, 1 << 20).unwrap();
    let manifest: Manifest = serde_json::from_slice(&bytes).unwrap();
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        let bytes = store.content.read(&blob.digest, 1 << 20).unwrap();
        assert_eq!(Digest::of(&bytes), blob.digest);
    }
    true
}

/// Takes a tag and all members of its repository away, unless somebody changes it meanwhile.
fn clear(store: &Store, repository: &str) {
    let mut batch = Batch::new();
    for tag in store.repositories.tags(repository) {
        batch.remove_tag(repository, &tag);
    }
    for (digest, _) in store.repositories.members(repository).unwrap() {
        batch.remove_member(repository, &digest, &Member::blob(0));
    }
    store.commit(batch).unwrap();
}

/// How long the crowd goes on; longer by the environment, for a soak.
fn duration() -> Duration {
    let seconds = std::env::var("NARU_GC_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(4))
}

#[test]
fn twenty_clients_push_and_pull_while_collections_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (pushes, pulls, collections) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let slowest = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let until = Instant::now() + duration();
    std::thread::scope(|scope| {
        for client in 0..20u64 {
            let (store, pushes, pulls, slowest) = (&store, &pushes, &pulls, &slowest);
            scope.spawn(move || {
                // Each pushes to its own repository, clears it now and then, and pulls from everybody.
                let own = format!("r{client}");
                let mut round = 0;
                while Instant::now() < until {
                    round += 1;
                    let began = Instant::now();
                    push(
                        store,
                        &own,
                        &format!("t{}", round % 3),
                        round % 5,
                        client * 1000 + round % 11,
                    );
                    let took = u64::try_from(began.elapsed().as_millis()).unwrap();
                    slowest.fetch_max(took, Ordering::Relaxed);
                    pushes.fetch_add(1, Ordering::Relaxed);
                    for other in 0..3 {
                        let from = format!("r{}", (client + other * 7) % 20);
                        if pull(store, &from, &format!("t{}", (round + other) % 3)) {
                            pulls.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    if round % 4 == 0 {
                        clear(store, &own);
                    }
                }
            });
        }
        let (store, collections, over) = (&store, &collections, &over);
        scope.spawn(move || {
            let mut taken = 0;
            while !over.load(Ordering::Relaxed) && Instant::now() < until {
                taken += store.collect().unwrap().blobs.len();
                collections.fetch_add(1, Ordering::Relaxed);
            }
            assert!(taken > 0, "nothing was ever collected");
        });
    });
    over.store(true, Ordering::Relaxed);
    for repository in (0..20).map(|n| format!("r{n}")) {
        for tag in store.repositories.tags(&repository) {
            assert!(pull(&store, &repository, &tag), "{repository}:{tag} was taken");
        }
    }
    store.collect().unwrap();
    let mut wanted = std::collections::BTreeSet::new();
    for repository in (0..20).map(|n| format!("r{n}")) {
        for (digest, _) in store.repositories.members(&repository).unwrap() {
            wanted.insert(digest);
            let targets = store.content.references(&digest).unwrap();
            wanted.extend(targets.iter().flat_map(|targets| targets.iter().copied()));
        }
    }
    let left: std::collections::BTreeSet<Digest> =
        store.content.list().unwrap().into_iter().map(|blob| blob.digest).collect();
    assert_eq!(left, wanted);
    store.settle();
    let files = std::fs::read_dir(dir.path().join("content/blobs/sha256")).unwrap().count();
    assert_eq!(files, wanted.len(), "files without rows");
    let figure = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let totals = store.collections();
    eprintln!(
        "{} pushes (slowest {} ms), {} pulls, {} collections, {} blobs taken",
        figure(&pushes),
        figure(&slowest),
        figure(&pulls),
        figure(&collections),
        totals.blobs
    );
    assert!(figure(&collections) > 1 && figure(&pushes) > 20);
}

/// A reader that has a blob's row and no hold is told that there is no such blob, not that the store is damaged.
#[test]
fn who_reads_without_a_hold_is_told_that_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let until = Instant::now() + Duration::from_secs(1);
    std::thread::scope(|scope| {
        for _ in 0..2u8 {
            let store = &store;
            scope.spawn(move || {
                let mut found = 0u32;
                while Instant::now() < until {
                    for number in 0..8u8 {
                        match store.content.open(&Digest::of(&[number, 0])) {
                            Ok(_) => found += 1,
                            Err(StoreError::NoBlob { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
                assert!(found > 0);
            });
        }
        scope.spawn(|| {
            while Instant::now() < until {
                for number in 0..8u8 {
                    let lease = store.leases.create(MINUTE);
                    store.content.put(lease.id(), &[number, 0]).unwrap();
                }
                store.collect().unwrap();
            }
        });
    });
}
