//! Manifests, tags, expiry.

use super::fake::Mood;
use super::scene::{Scene, TTL, drain};
use crate::cache::{CachedBlob, Freshness};
use naru_errdefs::{Failure as _, Kind};
use naru_oci::{Descriptor, Digest, Index, Platform, media_type};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_is_served_within_its_ttl_and_then_checked_by_one_head() {
    let scene = Scene::new();
    let place = scene.place();
    let [first, ..] = scene.fake.put_image("latest", 1);
    let many: Vec<_> = (0..50)
        .map(|_| {
            let (cache, place) = (scene.cache.clone(), place.clone());
            tokio::spawn(async move { cache.manifest(&place, "latest").await })
        })
        .collect();
    for one in many {
        let got = one.await.unwrap().unwrap();
        assert_eq!((got.descriptor.digest, got.freshness), (first, Freshness::Fresh));
    }
    assert_eq!(scene.fake.asked(), ["GET latest"]);
    scene.later(TTL - 1);
    scene.cache.manifest(&place, "latest").await.unwrap();
    assert_eq!(scene.fake.asked(), [""; 0]);
    scene.later(1);
    let (a, b) = tokio::join!(
        scene.cache.manifest(&place, "latest"),
        scene.cache.manifest(&place, "latest")
    );
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(scene.fake.asked(), ["HEAD latest"]);
    // It means something else now.
    let [second, ..] = scene.fake.put_image("latest", 9);
    scene.later(TTL);
    let got = scene.cache.manifest(&place, "latest").await.unwrap();
    assert_eq!(got.descriptor.digest, second);
    assert_eq!(scene.fake.asked(), ["HEAD latest".to_owned(), format!("GET {second}")]);
    // What a digest names never changes.
    scene.later(TTL * 1000);
    scene.cache.manifest(&place, &first.to_string()).await.unwrap();
    assert_eq!(scene.fake.asked(), [""; 0]);
    assert_eq!(scene.store.repositories.tags("hub/library/debian"), ["latest"]);
    let bytes = scene.store.content.read(&second, 1 << 20).unwrap();
    assert_eq!(Digest::of(&bytes), second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_away_is_served_for_and_it_is_said() {
    let scene = Scene::with(None, |config| config.upstreams[0].max_stale = TTL * 10);
    let place = scene.place();
    scene.fake.put_image("latest", 1);
    scene.cache.manifest(&place, "latest").await.unwrap();
    for mood in [Mood::Away, Mood::Limited(5), Mood::Stuck] {
        scene.fake.be(mood);
        scene.later(TTL);
        scene.fake.asked();
        let stale = scene.cache.manifest(&place, "latest").await.unwrap();
        let warnings = stale.freshness.warnings();
        assert!(warnings.len() == 1 && warnings[0].starts_with("299 - "), "{warnings:?}");
        assert!(warnings[0].contains("docker.io is away"), "{warnings:?}");
        // Nobody else waits for it within the next moment.
        scene.cache.manifest(&place, "latest").await.unwrap();
        assert_eq!(scene.fake.asked(), ["HEAD latest"]);
    }
    assert_eq!(scene.cache.figures()[0].stale, 6);
    // There is a bound on it.
    scene.later(TTL * 8);
    let error = scene.cache.manifest(&place, "latest").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    // And it is over when the upstream is back.
    scene.fake.be(Mood::Well);
    let fresh = scene.cache.manifest(&place, "latest").await.unwrap();
    assert_eq!(fresh.freshness, Freshness::Fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_served_stale_that_was_not_asked_for_or_is_refused() {
    let scene = Scene::with(None, |config| config.upstreams[0].serve_stale = false);
    let place = scene.place();
    scene.fake.put_image("latest", 1);
    scene.cache.manifest(&place, "latest").await.unwrap();
    scene.later(TTL);
    scene.fake.be(Mood::Away);
    assert_eq!(scene.cache.manifest(&place, "latest").await.unwrap_err().kind(), Kind::Unavailable);
    let scene = Scene::new();
    scene.fake.put_image("latest", 1);
    scene.cache.manifest(&place, "latest").await.unwrap();
    scene.later(TTL);
    scene.fake.be(Mood::Refusing);
    assert_eq!(
        scene.cache.manifest(&place, "latest").await.unwrap_err().kind(),
        Kind::Unauthorized
    );
    scene.fake.be(Mood::Limited(30));
    let error = scene.cache.manifest(&place, "never-seen").await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (Kind::ResourceExhausted, Some(30)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_at_the_upstream_is_gone_here_and_remembered_for_a_moment() {
    let scene = Scene::new();
    let place = scene.place();
    scene.fake.put_image("latest", 1);
    scene.cache.manifest(&place, "latest").await.unwrap();
    scene.fake.tags.lock().unwrap().clear();
    scene.later(TTL);
    scene.fake.asked();
    for _ in 0..5 {
        let error = scene.cache.manifest(&place, "latest").await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
    }
    assert_eq!(scene.fake.asked(), ["HEAD latest"]);
    assert_eq!(scene.store.repositories.tags("hub/library/debian"), [""; 0]);
    let [back, ..] = scene.fake.put_image("latest", 2);
    scene.later(30);
    assert_eq!(scene.cache.manifest(&place, "latest").await.unwrap().descriptor.digest, back);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_manifest_is_refused_and_nothing_is_stored() {
    let scene = Scene::new();
    let place = scene.place();
    let huge = format!(r#"{{"schemaVersion":2,"manifests":[],"x":"{}"}}"#, "x".repeat(5 << 20));
    let many = Index::oci(
        (0..5000u32)
            .map(|n| Descriptor::new(media_type::OCI_MANIFEST, Digest::of(&n.to_le_bytes()), 1))
            .collect(),
    );
    for (tag, bytes) in [
        ("html", b"<html>Please log in to this network</html>".to_vec()),
        ("empty", Vec::new()),
        ("json", b"{}".to_vec()),
        ("old", br#"{"schemaVersion":1}"#.to_vec()),
        ("huge", huge.into_bytes()),
        ("many", serde_json::to_vec(&many).unwrap()),
    ] {
        let digest = scene.fake.put_manifest(tag, media_type::OCI_MANIFEST, bytes);
        let error = scene.cache.manifest(&place, tag).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{tag}: {error}");
        assert!(!scene.store.content.has(&digest), "{tag}");
    }
    // Other bytes than the digest says.
    let [digest, ..] = scene.fake.put_image("ok", 1);
    scene.fake.manifests.lock().unwrap().get_mut(&digest).unwrap().1 =
        (&b"{\"schemaVersion\":2,\"manifests\":[]}"[..]).into();
    let error = scene.cache.manifest(&place, &digest.to_string()).await.unwrap_err();
    assert!(error.to_string().contains("instead of"), "{error}");
    assert_eq!(scene.cache.figures()[0].lies, 7);
    assert!(!scene.store.repositories.exists("hub/library/debian"));
}

fn index(scene: &Scene) -> ([Digest; 3], [Digest; 3]) {
    let (amd, arm) = (scene.fake.put_image("", 1), scene.fake.put_image("", 11));
    let entry = |digest: Digest, architecture: &str| {
        let size = scene.fake.manifests.lock().unwrap()[&digest].1.len() as u64;
        let mut entry = Descriptor::new(media_type::OCI_MANIFEST, digest, size);
        entry.platform = Some(Platform::new("linux", architecture));
        entry
    };
    let index = Index::oci(vec![entry(amd[0], "amd64"), entry(arm[0], "arm64")]);
    scene.fake.put_manifest("latest", media_type::OCI_INDEX, serde_json::to_vec(&index).unwrap());
    (amd, arm)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_index_only_what_is_asked_for_comes() {
    let scene = Scene::new();
    let place = scene.place();
    let (amd, _) = index(&scene);
    scene.cache.manifest(&place, "latest").await.unwrap();
    scene.cache.manifest(&place, &amd[0].to_string()).await.unwrap();
    drain(scene.coming(&amd[2]).await).await.1.unwrap();
    let asked = scene.fake.asked();
    let expected =
        ["GET latest".to_owned(), format!("GET {}", amd[0]), format!("BLOB {} 0", amd[2].short())];
    assert_eq!(asked, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configured_platforms_come_by_themselves_and_no_others() {
    let scene = Scene::with(None, |config| {
        config.upstreams[0].platforms = vec![Platform::new("linux", "arm64")];
    });
    let place = scene.place();
    let (amd, arm) = index(&scene);
    scene.cache.manifest(&place, "latest").await.unwrap();
    let is_here = || {
        arm.iter().all(|digest| scene.store.repositories.is_member("hub/library/debian", digest))
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while !is_here() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert!(amd.iter().all(|digest| !scene.store.content.has(digest)));
    // With the upstream away, the whole image is here.
    scene.fake.be(Mood::Away);
    scene.cache.manifest(&place, &arm[0].to_string()).await.unwrap();
    for blob in [arm[1], arm[2]] {
        assert!(matches!(
            scene.cache.blob(&place, &blob).await.unwrap(),
            CachedBlob::Stored { .. }
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_tags_are_remembered_and_stay_when_the_upstream_is_away() {
    let scene = Scene::new();
    let place = scene.place();
    scene.fake.put_image("b", 1);
    scene.fake.put_image("a", 2);
    for _ in 0..3 {
        let (tags, freshness) = scene.cache.tags(&place).await.unwrap();
        assert_eq!(
            (&tags[..], freshness),
            (&["a".to_owned(), "b".to_owned()][..], Freshness::Fresh)
        );
    }
    assert_eq!(scene.fake.asked(), ["TAGS"]);
    scene.later(TTL);
    scene.fake.be(Mood::Away);
    let (tags, freshness) = scene.cache.tags(&place).await.unwrap();
    assert_eq!(tags.len(), 2);
    assert_eq!(freshness, Freshness::Stale { upstream: "docker.io".to_owned(), age: TTL });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_beyond_the_bounds_expires_with_its_tags_and_comes_again() {
    let scene = Scene::with(None, |config| config.max_age = Some(100_000));
    let place = scene.place();
    let [manifest, _, layer] = scene.fake.put_image("latest", 1);
    scene.cache.manifest(&place, "latest").await.unwrap();
    drain(scene.coming(&layer).await).await.1.unwrap();
    scene.landed(&layer).await;
    assert_eq!(scene.cache.expire().await.unwrap().members, 0);
    scene.later(100_001);
    let expired = scene.cache.expire().await.unwrap();
    assert_eq!((expired.members, expired.kept), (2, 0));
    assert!(expired.bytes > 50_000);
    assert!(!scene.store.repositories.exists("hub/library/debian"));
    assert_eq!(scene.store.repositories.tags("hub/library/debian"), [""; 0]);
    assert_eq!(scene.cache.manifest(&place, "latest").await.unwrap().descriptor.digest, manifest);
}

#[tokio::test]
async fn pushes_are_refused_with_the_reason() {
    let scene = Scene::new();
    let error = scene.cache.refuse_push(&scene.place());
    assert_eq!(error.kind(), Kind::Forbidden);
    assert_eq!(
        error.to_string(),
        "`hub/library/debian` is a cache of `docker.io`; nothing can be pushed to it"
    );
    assert!(error.hint().is_some());
}
