//! Blobs.

use super::fake::{Mood, Script};
use super::scene::{Scene, drain};
use crate::cache::{CachedBlob, Place, UpstreamConfig};
use bytes::Bytes;
use futures_util::StreamExt as _;
use naru_errdefs::{Failure as _, Kind};
use naru_oci::{Descriptor, Digest, Manifest, media_type};
use naru_store::{Batch, Member};
use std::io::Write as _;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_ask_one_cold_blob_and_the_upstream_is_asked_once() {
    let gate = Arc::new(Semaphore::new(0));
    let scene = Scene::with(Some(Arc::clone(&gate)), |_| ());
    let (digest, bytes) = scene.fake.put_blob(1, 3_000_000);
    let mut clients = Vec::new();
    let first = scene.coming(&digest).await;
    clients.push(tokio::spawn(drain(first)));
    scene.fake.asked();
    for _ in 1..50 {
        let reader = scene.coming(&digest).await;
        clients.push(tokio::spawn(drain(reader)));
    }
    gate.add_permits(1000);
    for client in clients {
        let (got, end) = client.await.unwrap();
        assert_eq!(end, Ok(()));
        assert!(got == bytes, "{} bytes", got.len());
    }
    scene.landed(&digest).await;
    assert_eq!(scene.fake.asked(), [""; 0]);
    assert!(scene.store.repositories.is_member("hub/library/debian", &digest));
    let stored = scene.cache.blob(&scene.place(), &digest).await.unwrap();
    assert!(matches!(stored, CachedBlob::Stored { size: 3_000_000 }));
    assert_eq!(scene.fake.asked(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_client_goes_and_the_others_get_it_all() {
    let gate = Arc::new(Semaphore::new(3));
    let scene = Scene::with(Some(Arc::clone(&gate)), |_| ());
    let (digest, bytes) = scene.fake.put_blob(1, 200_000);
    let mut first = Box::pin(scene.coming(&digest).await.stream(0, None));
    assert!(!first.next().await.unwrap().unwrap().is_empty());
    let second = scene.coming(&digest).await;
    drop(first);
    gate.add_permits(1000);
    let (got, end) = drain(second).await;
    assert_eq!(end, Ok(()));
    assert!(got == bytes);
    assert_eq!(scene.fake.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_have_gone_the_fetch_stops_and_the_next_goes_on_from_there() {
    let gate = Arc::new(Semaphore::new(5));
    let scene = Scene::with(Some(Arc::clone(&gate)), |_| ());
    let (digest, bytes) = scene.fake.put_blob(1, 200_000);
    let mut first = Box::pin(scene.coming(&digest).await.stream(0, None));
    let mut seen = 0;
    while seen < 49_999 {
        seen += first.next().await.unwrap().unwrap().len();
    }
    drop(first);
    scene.landed(&digest).await;
    assert!(!scene.store.content.has(&digest));
    gate.add_permits(1000);
    let (got, end) = drain(scene.coming(&digest).await).await;
    assert_eq!(end, Ok(()));
    assert!(got == bytes);
    let short = digest.short();
    assert_eq!(scene.fake.asked(), [format!("BLOB {short} 0"), format!("BLOB {short} 50000")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drops_and_stalls_in_the_middle_are_not_seen_by_clients() {
    let scene = Scene::new();
    let (digest, bytes) = scene.fake.put_blob(1, 200_000);
    for script in [Script::Cut(0), Script::Cut(70_000), Script::End(80_001), Script::Stall(90_000)]
    {
        scene.fake.script(script);
    }
    let (got, end) = drain(scene.coming(&digest).await).await;
    assert_eq!(end, Ok(()));
    assert!(got == bytes);
    let offsets: Vec<String> = scene
        .fake
        .asked()
        .iter()
        .map(|asked| asked.rsplit(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(offsets, ["0", "0", "70000", "80001", "90000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_stays_away_breaks_off_and_what_came_is_kept() {
    let scene = Scene::new();
    let (digest, bytes) = scene.fake.put_blob(1, 200_000);
    for _ in 0..4 {
        scene.fake.script(Script::Cut(70_000));
    }
    let (got, end) = scene.pull(&digest).await;
    assert_eq!(end.unwrap_err().kind(), Kind::Unavailable);
    assert!(bytes.starts_with(&got));
    scene.landed(&digest).await;
    scene.fake.asked();
    let (got, end) = drain(scene.coming(&digest).await).await;
    assert_eq!(end, Ok(()));
    assert!(got == bytes);
    assert_eq!(scene.fake.asked(), [format!("BLOB {} 70000", digest.short())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lies_gives_no_client_the_last_byte_and_nothing_is_stored() {
    let right: Bytes = vec![7; 100_000].into();
    let wrong: Bytes = vec![8; 100_000].into();
    let long: Bytes = vec![7; 100_001].into();
    for (script, whole) in [
        (Script::Instead(wrong.clone()), 100_000),
        (Script::Instead(long), 100_000),
        (Script::Unsaid(wrong), 100_000),
        (Script::Unsaid(right.slice(..99_999)), 99_999),
    ] {
        let scene = Scene::new();
        let digest = Digest::of(&right);
        scene.fake.blobs.lock().unwrap().insert(digest, right.clone());
        scene.fake.script(script.clone());
        let (got, end) = scene.pull(&digest).await;
        assert_eq!(end.unwrap_err().kind(), Kind::Unavailable);
        assert!(got.len() < whole, "{} bytes", got.len());
        scene.landed(&digest).await;
        assert!(!scene.store.content.has(&digest));
        assert_eq!(scene.cache.figures()[0].lies, 1);
        // Nothing of the lie is left to go on from.
        scene.fake.asked();
        let (got, end) = drain(scene.coming(&digest).await).await;
        assert_eq!((got.len(), end), (100_000, Ok(())));
        assert_eq!(scene.fake.asked(), [format!("BLOB {} 0", digest.short())]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_other_than_the_manifests_is_a_lie() {
    let scene = Scene::new();
    let [_, _, layer] = scene.fake.put_image("latest", 1);
    scene.cache.manifest(&scene.place(), "latest").await.unwrap();
    scene.fake.script(Script::Says(50_001));
    // A manifest has said the length, so a client waits for no more than a refusal.
    let error = scene.cache.blob(&scene.place(), &layer).await.unwrap_err();
    assert!(error.to_string().contains("its manifest says 50000"), "{error}");
    let (got, end) = drain(scene.coming(&layer).await).await;
    assert_eq!((got.len(), end), (50_000, Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_read_from_a_blob_that_comes() {
    let scene = Scene::new();
    let (digest, bytes) = scene.fake.put_blob(1, 200_000);
    let reader = scene.coming(&digest).await;
    assert_eq!(reader.total(), Some(200_000));
    let pieces: Vec<_> = reader.stream(150_000, Some(160_000)).collect().await;
    let got: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
    assert!(got == bytes[150_000..160_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_passed_on_and_no_such_blob_is_remembered_for_a_moment() {
    let scene = Scene::new();
    let unknown = Digest::of(b"unknown");
    for _ in 0..3 {
        let error = scene.cache.blob(&scene.place(), &unknown).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
    }
    assert_eq!(scene.fake.asked().len(), 1);
    let (digest, _) = scene.fake.put_blob(1, 10);
    scene.fake.be(Mood::Limited(77));
    let error = scene.cache.blob(&scene.place(), &digest).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (Kind::ResourceExhausted, Some(77)));
    // While it wants a pause, it gets one; the rest of it is said.
    scene.fake.be(Mood::Well);
    scene.later(70);
    let error = scene.cache.blob(&scene.place(), &digest).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(7));
    scene.later(7);
    assert_eq!(drain(scene.coming(&digest).await).await.0.len(), 10);
    assert_eq!(scene.fake.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_is_here_is_readable_only_where_the_upstream_gives_it_out() {
    let scene = Scene::with(None, |config| config.upstreams.push(UpstreamConfig::new("q.example")));
    let (digest, _) = scene.fake.put_blob(1, 10);
    drain(scene.coming(&digest).await).await.1.unwrap();
    scene.landed(&digest).await;
    let other = scene.cache.place(None, "q.example/x").unwrap();
    scene.fake.be(Mood::Refusing);
    let error = scene.cache.blob(&other, &digest).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(!scene.store.repositories.is_member("q.example/x", &digest));
    scene.fake.be(Mood::Well);
    scene.fake.asked();
    let stored = scene.cache.blob(&other, &digest).await.unwrap();
    assert!(matches!(stored, CachedBlob::Stored { size: 10 }));
    assert!(scene.store.repositories.is_member("q.example/x", &digest));
    assert_eq!(scene.fake.asked().len(), 1);
}

/// Lets a manifest of the upstream name this blob as its layer; its place there.
async fn named_at(scene: &Scene, repository: &str, digest: &Digest, size: u64) -> Place {
    let (config, bytes) = scene.fake.put_blob(90, 100);
    let of = |kind: &str, digest, size| Descriptor::new(kind, digest, size);
    let manifest = Manifest::oci(
        of(media_type::OCI_CONFIG, config, bytes.len() as u64),
        vec![of(media_type::OCI_LAYER, *digest, size)],
    );
    let bytes = serde_json::to_vec(&manifest).unwrap();
    scene.fake.put_manifest("forged", media_type::OCI_MANIFEST, bytes);
    let place = scene.cache.place(None, repository).unwrap();
    scene.cache.manifest(&place, "forged").await.unwrap();
    scene.fake.asked();
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_names_a_private_blob_does_not_give_it_out() {
    let scene = Scene::new();
    let lease = scene.store.leases.create(std::time::Duration::from_secs(60));
    let private = scene.store.content.put(lease.id(), b"for members only").unwrap();
    let digest = private.digest;
    let mut batch = Batch::new();
    batch.put_member("team/app", &digest, &Member::blob(private.size));
    scene.store.commit(batch).unwrap();
    let place = named_at(&scene, "hub/debian", &digest, private.size).await;
    for _ in 0..3 {
        let error = scene.cache.blob(&place, &digest).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
    }
    assert_eq!(scene.fake.asked().len(), 1);
    assert!(!scene.store.repositories.is_member(&place.repository, &digest));
    // Who cannot be asked has proven nothing.
    scene.later(60);
    scene.fake.be(Mood::Away);
    let error = scene.cache.blob(&place, &digest).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    scene.later(60);
    scene.fake.be(Mood::Well);
    scene.fake.blobs.lock().unwrap().insert(digest, Bytes::from_static(b"for members only"));
    scene.fake.asked();
    // One proof, which stands also while the upstream is away.
    for mood in [Mood::Well, Mood::Away] {
        scene.fake.be(mood);
        let stored = scene.cache.blob(&place, &digest).await.unwrap();
        assert!(matches!(stored, CachedBlob::Stored { size: 16 }));
    }
    assert_eq!(scene.fake.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_names_a_blob_on_its_way_to_others_does_not_give_it_out() {
    let gate = Arc::new(Semaphore::new(0));
    let scene = Scene::with(Some(Arc::clone(&gate)), |config| {
        config.upstreams.push(UpstreamConfig::new("q.example"));
    });
    let (digest, bytes) = scene.fake.put_blob(1, 100_000);
    let first = scene.coming(&digest).await;
    // The upstream has it no more for whoever asks from now on.
    scene.fake.blobs.lock().unwrap().remove(&digest);
    let place = named_at(&scene, "q.example/x", &digest, 100_000).await;
    let error = scene.cache.blob(&place, &digest).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    gate.add_permits(1000);
    let (got, end) = drain(first).await;
    assert_eq!(end, Ok(()));
    assert!(got == bytes);
    scene.landed(&digest).await;
    assert!(!scene.store.repositories.is_member("q.example/x", &digest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_repository_is_refused_says_nothing_of_another_that_waits_for_the_same() {
    for kind in [Kind::NotFound, Kind::Unauthorized, Kind::Forbidden] {
        let scene =
            Scene::with(None, |config| config.upstreams.push(UpstreamConfig::new("q.example")));
        let (digest, bytes) = scene.fake.put_blob(1, 100_000);
        let go = Arc::new(Semaphore::new(0));
        let refusal = (kind, Arc::clone(&go));
        scene.fake.refusals.lock().unwrap().insert("library/debian".to_owned(), refusal);
        let ask = |place: Place| {
            let cache = scene.cache.clone();
            tokio::spawn(async move { cache.blob(&place, &digest).await })
        };
        let first = ask(scene.place());
        scene.fake.is_asked(1).await;
        // It has boarded when its proof is asked for.
        let second = ask(scene.cache.place(None, "q.example/x").unwrap());
        scene.fake.is_asked(2).await;
        go.add_permits(1);
        assert_eq!(first.await.unwrap().unwrap_err().kind(), kind);
        let CachedBlob::Coming(reader) = second.await.unwrap().unwrap() else {
            panic!("it is stored already")
        };
        let (got, end) = drain(reader).await;
        assert_eq!(end, Ok(()));
        assert!(got == bytes);
        scene.landed(&digest).await;
        assert!(scene.store.repositories.is_member("q.example/x", &digest));
        assert!(!scene.store.repositories.is_member("hub/library/debian", &digest));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_somebody_elses_fetch_is_not_given_out_unasked() {
    let scene = Scene::new();
    let (digest, bytes) = scene.fake.put_blob(1, 1000);
    scene.fake.blobs.lock().unwrap().remove(&digest);
    let lease = scene.store.leases.create(std::time::Duration::from_secs(60));
    let mut left = scene.store.content.resume(lease.id(), &digest).unwrap();
    left.write_all(&bytes).unwrap();
    drop(left);
    let place = named_at(&scene, "hub/debian", &digest, 1000).await;
    let error = scene.cache.blob(&place, &digest).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(!scene.store.content.has(&digest));
    // With the upstream's word it is all there is to do.
    scene.later(60);
    scene.fake.blobs.lock().unwrap().insert(digest, bytes.clone());
    let (got, end) = drain(scene.coming(&digest).await).await;
    assert_eq!(end, Ok(()));
    assert!(got == bytes);
    let asked = format!("BLOB {} 0", digest.short());
    assert_eq!(scene.fake.asked(), [asked.clone(), asked]);
}
