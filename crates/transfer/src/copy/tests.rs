//! Every pair of places, against a docker-registry and skopeo.

use crate::reference::{Reference, block, listener, skopeo_raw, statuses, write};
use crate::{
    AtRegistry, CopySource, Credentials, Platforms, PushRequest, SaveFormat, Source, begin_copy,
    load, push,
};
use naru_errdefs::{Fault, Kind};
use naru_oci::{Digest, Platform};
use naru_store::Store;
use naru_test_support::{Item, TarFile, TinyImage};
use serde_json::{Value, json};
use std::io::Cursor;

struct World {
    store: Store,
    dir: tempfile::TempDir,
    there: Reference,
}

impl World {
    fn new(there: Reference) -> World {
        let dir = tempfile::tempdir().unwrap();
        World { store: Store::open(&dir.path().join("store")).unwrap(), dir, there }
    }

    fn load(&self, archive: &[u8]) {
        load(&self.store, Source::Stream(Box::new(archive)), &|_| {}).unwrap();
    }

    fn at(&self, name: &str) -> AtRegistry {
        AtRegistry {
            registries: self.there.registries(),
            reference: format!("{}/{name}", self.there.address).parse().unwrap(),
            credentials: self.there.credentials(),
        }
    }

    fn push(&self, name: &str, all_tags: bool) -> Result<Vec<String>, Fault> {
        let (teller, told) = listener();
        let request = PushRequest {
            reference: format!("{}/{name}", self.there.address).parse().unwrap(),
            all_tags,
            platform: None,
            credentials: self.there.credentials(),
            limit_rate: None,
        };
        block(push(&self.store, &self.there.registries(), &request, &teller))?;
        Ok(statuses(&told))
    }

    fn copy_to_registry(
        &self,
        source: CopySource,
        platforms: &Platforms,
        name: &str,
    ) -> Result<(Digest, Vec<String>), Fault> {
        let (teller, told) = listener();
        let digest = block(async {
            let copying = begin_copy(&self.store, source, platforms, None, &teller).await?;
            let digest = copying.root().digest;
            copying.to_registry(&self.at(name), None).await?;
            Ok::<Digest, Fault>(digest)
        })?;
        Ok((digest, statuses(&told)))
    }

    fn copy_to_archive(
        &self,
        source: CopySource,
        platforms: &Platforms,
        (format, name): (SaveFormat, &str),
    ) -> Result<(Digest, Vec<u8>), Fault> {
        let (teller, _) = listener();
        block(async {
            let copying = begin_copy(&self.store, source, platforms, None, &teller).await?;
            let ready = copying.ready_for_archive(format).await?;
            let digest = ready.root().digest;
            let mut bytes = Vec::new();
            ready.write(format, Some(name), &mut bytes)?;
            Ok((digest, bytes))
        })
    }

    fn copy_to_store(&self, source: CopySource, platforms: &Platforms, name: &str) -> Digest {
        let (teller, _) = listener();
        block(async {
            let copying = begin_copy(&self.store, source, platforms, None, &teller).await.unwrap();
            let digest = copying.root().digest;
            copying.to_store(&name.parse().unwrap()).await.unwrap();
            digest
        })
    }

    /// No image, no blob.
    fn is_empty(&self) -> bool {
        self.store.settle();
        self.store.images.list().unwrap().is_empty()
            && self.store.content.list().unwrap().is_empty()
    }
}

fn tiny(text: &str) -> TinyImage {
    TinyImage::new(
        "tiny:1",
        [
            vec![Item::dir("etc/"), Item::file("etc/shared", "shared")],
            vec![Item::file("etc/own", text)],
        ],
    )
}

/// An OCI layout with an index of two platforms, and the digest of the index.
fn both_platforms() -> (Vec<u8>, Digest) {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut entries = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let mut image = tiny(architecture);
        image.architecture = architecture.to_owned();
        for (name, bytes) in image.oci_files() {
            if name == "index.json" {
                let index: Value = serde_json::from_slice(&bytes).unwrap();
                let mut entry = index["manifests"][0].clone();
                entry.as_object_mut().unwrap().remove("annotations");
                entries.push(entry);
            } else if !files.iter().any(|(known, _)| *known == name) {
                files.push((name, bytes));
            }
        }
    }
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).to_string();
    let digest = Digest::of(index.as_bytes());
    let root = json!({
        "mediaType": kind, "digest": digest.to_string(), "size": index.len(),
        "annotations": {"org.opencontainers.image.ref.name": "both"},
    });
    files.push((format!("blobs/sha256/{}", digest.hex()), index.into_bytes()));
    let top = json!({"schemaVersion": 2, "manifests": [root]}).to_string();
    files.push(("index.json".to_owned(), top.into_bytes()));
    let items = files.into_iter().map(|(name, bytes)| Item::file(name, bytes));
    (TarFile::of(items).finish(), digest)
}

fn archive(bytes: &[u8]) -> CopySource {
    CopySource::Archive { input: Box::new(Cursor::new(bytes.to_vec())), name: None }
}

#[test]
fn a_push_sends_what_is_missing_and_says_it_in_dockers_words() {
    let world = World::new(Reference::start());
    world.load(&tiny("a").oci_archive());
    let image = world.store.images.resolve("tiny:1").unwrap();
    let mut batch = naru_store::Batch::new();
    for name in ["first/x:1", "first/x:2", "second/x:1"] {
        let name = format!("{}/{name}", world.there.address).parse().unwrap();
        batch.put_name(&name, &image.record);
    }
    world.store.commit(batch).unwrap();

    let told = world.push("first/x:1", false).unwrap();
    let address = &world.there.address;
    assert_eq!(told[0], format!("The push refers to repository [{address}/first/x]"));
    assert!(told.contains(&"Pushed".to_owned()), "{told:?}");
    let target = &image.record.target;
    let last = format!("1: digest: {} size: {}", target.digest, target.size);
    assert_eq!(told.last(), Some(&last));
    assert_eq!(world.there.digest("first/x:1"), target.digest);

    let told = world.push("first/x", true).unwrap();
    assert!(told.contains(&"Layer already exists".to_owned()), "{told:?}");
    assert!(!told.contains(&"Pushed".to_owned()), "{told:?}");
    assert_eq!(world.there.digest("first/x:2"), target.digest);

    let told = world.push("second/x:1", false).unwrap();
    assert!(told.contains(&"Mounted from first/x".to_owned()), "{told:?}");
    assert!(!told.contains(&"Pushed".to_owned()), "{told:?}");
    assert_eq!(world.there.digest("second/x:1"), target.digest);

    let fault = world.push("third/x:1", false).unwrap_err();
    assert_eq!(fault.kind(), Kind::NotFound);
    assert!(fault.message().contains("An image does not exist locally"), "{fault}");
}

#[test]
fn a_copy_keeps_to_its_rate_both_ways() {
    let world = World::new(Reference::start());
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    let bytes: Vec<u8> = (0..50_000).flat_map(|_| noise()).collect();
    let rate = Some(bytes.len() as u64 / 2);
    let image = TinyImage::new("tiny:1", [vec![Item::file("noise", bytes)]]).oci_archive();
    let (teller, _) = listener();
    // But for a fifth of a second's worth that may come at once.
    let least = std::time::Duration::from_millis(1700);
    let begun = std::time::Instant::now();
    block(async {
        let source = archive(&image);
        let copying = begin_copy(&world.store, source, &Platforms::Host, rate, &teller).await?;
        copying.to_registry(&world.at("x:1"), rate).await
    })
    .unwrap();
    assert!(begun.elapsed() > least, "{:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    block(async {
        let source = CopySource::Registry(world.at("x:1"));
        let copying = begin_copy(&world.store, source, &Platforms::Host, rate, &teller).await?;
        copying.ready_for_archive(SaveFormat::Oci).await.map(drop)
    })
    .unwrap();
    assert!(begun.elapsed() > least, "{:?}", begun.elapsed());
}

#[test]
fn users_and_certificates_are_checked() {
    let world = World::new(Reference::secure());
    let image = tiny("a").oci_archive();
    let (digest, _) = world.copy_to_registry(archive(&image), &Platforms::Host, "x:1").unwrap();
    assert_eq!(world.there.digest("x:1"), digest);
    let (teller, _) = listener();
    for credentials in [
        Credentials::Anonymous,
        Credentials::Basic { user: "alice".to_owned(), password: "wrong".to_owned() },
    ] {
        let there = AtRegistry { credentials, ..world.at("x:1") };
        let fault = block(async {
            let copying =
                begin_copy(&world.store, archive(&image), &Platforms::Host, None, &teller).await?;
            copying.to_registry(&there, None).await
        });
        assert_eq!(fault.unwrap_err().kind(), Kind::Unauthorized);
    }
}

#[test]
fn an_image_is_the_same_at_every_place() {
    let world = World::new(Reference::start());
    let original = tiny("a").oci_archive();
    let host = Platforms::Host;
    // Archive to registry, registry to registry.
    let (digest, _) = world.copy_to_registry(archive(&original), &host, "a:1").unwrap();
    assert_eq!(world.there.digest("a:1"), digest);
    let from = || CopySource::Registry(world.at("a:1"));
    let (copied, told) = world.copy_to_registry(from(), &host, "b/c:2").unwrap();
    assert_eq!((copied, world.there.digest("b/c:2")), (digest, digest));
    assert!(told.contains(&"Mounted from a".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line == "Pushed" || line == "Downloading"), "{told:?}");
    assert!(world.is_empty(), "what passed through is gone");
    // Registry to archives, which others read.
    let path = |name: &str| world.dir.path().join(name);
    let (copied, bytes) = world.copy_to_archive(from(), &host, (SaveFormat::Oci, "v1")).unwrap();
    assert_eq!(copied, digest);
    let place = write(&path("oci.tar"), &bytes);
    assert_eq!(Digest::of(&skopeo_raw(&format!("oci-archive:{place}:v1"))), digest);
    let (again, _) = world.copy_to_registry(archive(&bytes), &host, "d:1").unwrap();
    assert_eq!(again, digest);
    let (copied, bytes) =
        world.copy_to_archive(from(), &host, (SaveFormat::Docker, "name/x:1")).unwrap();
    assert_eq!(copied, digest);
    let place = write(&path("docker.tar"), &bytes);
    skopeo_raw(&format!("docker-archive:{place}:name/x:1"));
    let (again, _) = world.copy_to_registry(archive(&bytes), &host, "e:1").unwrap();
    assert_eq!(again, digest);
    assert!(world.is_empty(), "what passed through is gone");
    // To the store, and from there on.
    assert_eq!(world.copy_to_store(from(), &host, "kept:1"), digest);
    let image = world.store.images.resolve("kept:1").unwrap();
    assert_eq!(image.record.target.digest, digest);
    assert!(image.record.chain.is_some());
    let kept = || CopySource::Store("kept:1".to_owned());
    assert_eq!(world.copy_to_registry(kept(), &host, "f:1").unwrap().0, digest);
    assert_eq!(world.there.digest("f:1"), digest);
    let (copied, _) = world.copy_to_archive(kept(), &host, (SaveFormat::Oci, "x")).unwrap();
    assert_eq!(copied, digest);
    assert_eq!(world.copy_to_store(archive(&original), &host, "other:1"), digest);
}

#[test]
fn archives_of_dockers_own_form_are_taken() {
    let world = World::new(Reference::start());
    let image = tiny("a");
    let source = || CopySource::Archive {
        input: Box::new(Cursor::new(image.docker_archive())),
        name: Some("tiny:1".to_owned()),
    };
    let (digest, _) = world.copy_to_registry(source(), &Platforms::Host, "a:1").unwrap();
    assert_eq!(world.there.digest("a:1"), digest);
    let other = CopySource::Archive {
        input: Box::new(Cursor::new(image.docker_archive())),
        name: Some("other:1".to_owned()),
    };
    let fault = world.copy_to_registry(other, &Platforms::Host, "b:1").unwrap_err();
    assert!(fault.hint().unwrap().contains("tiny:1"), "{fault}");
}

#[test]
fn an_index_is_copied_whole_or_by_platform() {
    let world = World::new(Reference::start());
    let (bytes, index) = both_platforms();
    let (digest, _) = world.copy_to_registry(archive(&bytes), &Platforms::All, "all:1").unwrap();
    assert_eq!((digest, world.there.digest("all:1")), (index, index));
    let from = || CopySource::Registry(world.at("all:1"));
    let (copied, _) = world.copy_to_registry(from(), &Platforms::All, "copy:1").unwrap();
    assert_eq!((copied, world.there.digest("copy:1")), (index, index));
    let (_, whole) =
        world.copy_to_archive(from(), &Platforms::All, (SaveFormat::Oci, "t")).unwrap();
    let place = write(&world.dir.path().join("all.tar"), &whole);
    assert_eq!(Digest::of(&skopeo_raw(&format!("oci-archive:{place}:t"))), index);
    let docker = world.copy_to_archive(from(), &Platforms::All, (SaveFormat::Docker, "t:1"));
    assert_eq!(docker.unwrap_err().kind(), Kind::Unsupported);
    let one = |text: &str| Platforms::One(text.parse::<Platform>().unwrap());
    let (arm, _) = world.copy_to_registry(from(), &one("linux/arm64"), "arm:1").unwrap();
    let text = String::from_utf8(world.there.raw("all:1")).unwrap();
    assert!(arm != index && text.contains(&arm.to_string()));
    // A single image is checked against what was asked for.
    let single = || CopySource::Registry(world.at("arm:1"));
    let fault = world.copy_to_registry(single(), &one("linux/amd64"), "x:1").unwrap_err();
    assert_eq!(fault.kind(), Kind::NotFound, "{fault}");
    let fault = world.copy_to_registry(from(), &one("linux/riscv64"), "x:1").unwrap_err();
    assert!(fault.hint().unwrap().contains("`linux/arm64`"), "{fault}");
    // Kept whole, pushed whole.
    assert_eq!(world.copy_to_store(from(), &Platforms::All, "both:1"), index);
    let kept = CopySource::Store("both:1".to_owned());
    assert_eq!(world.copy_to_registry(kept, &Platforms::All, "again:1").unwrap().0, index);
    assert_eq!(world.there.digest("again:1"), index);
}

#[test]
fn what_does_not_fit_is_refused() {
    let world = World::new(Reference::start());
    let image = tiny("a").oci_archive();
    let gone = CopySource::Registry(world.at("nothing:1"));
    let fault = world.copy_to_registry(gone, &Platforms::Host, "x:1").unwrap_err();
    assert_eq!(fault.kind(), Kind::NotFound, "{fault}");
    let wrong = format!("x@{}", Digest::of(b"another"));
    let fault = world.copy_to_registry(archive(&image), &Platforms::Host, &wrong).unwrap_err();
    assert_eq!(fault.kind(), Kind::InvalidInput, "{fault}");
    let fault = world.copy_to_registry(archive(b"no archive"), &Platforms::Host, "x:1");
    assert_eq!(fault.unwrap_err().kind(), Kind::InvalidInput);
}
