//! The embedded registry's rows over a whole store.

use super::*;
use crate::progress::Report;
use crate::record::LEASE;
use crate::{Credentials, Progress, PullRequest, PushRequest, RegistriesConfig, Source, load};
use naru_errdefs::Kind;
use naru_oci::{Descriptor, Index, Manifest, Platform, media_type};
use naru_store::{Batch, Member, MemberKind};
use naru_test_support::{Item, TinyImage};
use std::sync::Mutex;

struct World {
    store: Store,
    registries: Registries,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let own = own_names("127.0.0.1:5000".parse().unwrap(), &["reg.example".to_owned()]);
        World {
            store: Store::open(&dir.path().join("store")).unwrap(),
            registries: Registries::new(RegistriesConfig { own, ..RegistriesConfig::default() }),
            _dir: dir,
        }
    }

    fn load(&self, name: &str, content: &str) -> String {
        let image =
            TinyImage::new(name, [vec![Item::dir("base/")], vec![Item::file("top", content)]]);
        load(&self.store, Source::Stream(Box::new(&image.docker_archive()[..])), &|_| ()).unwrap()
            [0]
        .id
        .to_string()
    }

    fn push(&self, name: &str) -> Result<Vec<String>, Fault> {
        let request = PushRequest {
            reference: reference(name),
            all_tags: !name.contains(":1") && !name.contains(":2"),
            platform: None,
            credentials: Credentials::Anonymous,
            limit_rate: None,
        };
        told(|report| push_own(&self.store, &self.registries, &request, report).map(drop))
    }

    fn pull(&self, name: &str, all_tags: bool) -> Result<Vec<String>, Fault> {
        let request = PullRequest {
            reference: reference(name),
            all_tags,
            platform: None,
            credentials: Credentials::Anonymous,
            limit_rate: None,
        };
        told(|report| pull_own(&self.store, &self.registries, &request, report).map(drop))
    }

    fn refresh(&self, name: &str) -> Result<(), Fault> {
        refresh_own(&self.store, &self.registries, name)
    }

    fn id(&self, name: &str) -> Option<String> {
        self.store.images.resolve(name).ok().map(|image| image.id().to_string())
    }

    fn blobs(&self) -> usize {
        self.store.content.list().unwrap().len()
    }
}

fn told(work: impl FnOnce(Report<'_>) -> Result<(), Fault>) -> Result<Vec<String>, Fault> {
    let lines = Mutex::new(Vec::new());
    work(&|line: Progress| {
        let id = line.id.map(|id| format!("{id}: ")).unwrap_or_default();
        lines.lock().unwrap().push(id + &line.status.unwrap_or_default());
    })?;
    Ok(lines.into_inner().unwrap())
}

fn reference(name: &str) -> Reference {
    name.parse().unwrap()
}

#[test]
fn a_registry_has_the_names_that_lead_to_it() {
    for (listen, public, names) in [
        ("127.0.0.1:5000", &[][..], "127.0.0.1:5000 [::1]:5000 localhost:5000"),
        ("0.0.0.0:80", &["r.example"], "127.0.0.1:80 [::1]:80 localhost:80 r.example"),
        ("10.1.2.3:5000", &["10.1.2.3:5000"], "10.1.2.3:5000"),
        ("[::1]:5000", &[], "127.0.0.1:5000 [::1]:5000 localhost:5000"),
    ] {
        let public: Vec<String> = public.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(own_names(listen.parse().unwrap(), &public).join(" "), names, "{listen}");
    }
}

#[test]
fn other_registries_are_not_ours() {
    let world = World::new();
    for (name, own) in [
        ("localhost:5000/x", true),
        ("LOCALHOST:5000/x", true),
        ("reg.example/a/b:1", true),
        ("[::1]:5000/x", true),
        ("localhost:5001/x", false),
        ("reg.example:443/x", false),
        ("x", false),
    ] {
        assert_eq!(world.registries.owns(&reference(name)), own, "{name}");
    }
}

#[test]
fn a_push_is_rows_and_a_pull_is_rows() {
    let world = World::new();
    let id = world.load("localhost:5000/a/app:1", "one");
    let before = world.blobs();
    let lines = world.push("localhost:5000/a/app:1").unwrap();
    assert_eq!(lines[0], "The push refers to repository [localhost:5000/a/app]");
    assert!(lines[1].ends_with(": Pushed") && lines[2].ends_with(": Pushed"), "{lines:?}");
    let target = world.store.repositories.tag("a/app", "1").unwrap().unwrap();
    assert_eq!(lines[3], format!("1: digest: {} size: {}", target.digest, target.size));
    let again = world.push("localhost:5000/a/app:1").unwrap();
    assert!(again[1].ends_with(": Layer already exists"), "{again:?}");

    // The engine's own name goes; what the registry holds stays, and comes back without a byte.
    world.store.images.remove_image(&id.parse::<Digest>().map(naru_oci::ImageId).unwrap()).unwrap();
    world.store.collect().unwrap();
    assert_eq!((world.blobs(), world.id("localhost:5000/a/app:1")), (before, None));
    world.refresh("127.0.0.1:5000/a/app:1").unwrap();
    assert_eq!(world.id("127.0.0.1:5000/a/app:1").as_deref(), Some(&*id));
    assert_eq!(world.blobs(), before);
    let by_digest = format!("reg.example/a/app@{}", target.digest);
    assert_eq!(
        world.pull(&by_digest, false).unwrap(),
        [
            format!("{}: Pulling from a/app", target.digest),
            format!("Digest: {}", target.digest),
            format!("Status: Downloaded newer image for {by_digest}"),
        ]
    );
    let lines = world.pull("127.0.0.1:5000/a/app:1", false).unwrap();
    assert_eq!(lines[2], "Status: Image is up to date for 127.0.0.1:5000/a/app:1");

    // And the other way round.
    let mut batch = Batch::new();
    batch.remove_tag("a/app", "1");
    for (digest, member) in world.store.repositories.members("a/app").unwrap() {
        batch.remove_member("a/app", &digest, &member);
    }
    world.store.commit(batch).unwrap();
    world.store.collect().unwrap();
    world.refresh("127.0.0.1:5000/a/app:1").unwrap();
    assert_eq!(world.id("127.0.0.1:5000/a/app:1").as_deref(), Some(&*id));
    assert_eq!(world.blobs(), before);
}

#[test]
fn whoever_named_it_last_wins() {
    let world = World::new();
    let one = world.load("localhost:5000/app:1", "one");
    world.push("localhost:5000/app:1").unwrap();
    // A name that was given here after the push stands.
    let two = world.load("localhost:5000/app:1", "two");
    world.refresh("localhost:5000/app:1").unwrap();
    assert_eq!(world.id("localhost:5000/app:1").as_deref(), Some(&*two));
    // Until the tag moves at the registry.
    let three = world.load("localhost:5000/other:1", "three");
    world.push("localhost:5000/other:1").unwrap();
    let moved = world.store.repositories.tag("other", "1").unwrap().unwrap();
    let mut batch = Batch::new();
    for (digest, member) in world.store.repositories.members("other").unwrap() {
        batch.put_member("app", &digest, &member);
    }
    batch.put_tag("app", "1", &moved);
    world.store.commit(batch).unwrap();
    world.refresh("localhost:5000/app:1").unwrap();
    assert_eq!(world.id("localhost:5000/app:1").as_deref(), Some(&*three));
    // A pull takes what is there, whatever the name means here.
    world
        .store
        .images
        .tag(&reference("localhost:5000/app:1"), &one.parse().map(naru_oci::ImageId).unwrap())
        .unwrap();
    world.refresh("localhost:5000/app:1").unwrap();
    assert_eq!(world.id("localhost:5000/app:1").as_deref(), Some(&*one));
    world.pull("localhost:5000/app:1", false).unwrap();
    assert_eq!(world.id("localhost:5000/app:1").as_deref(), Some(&*three));
}

#[test]
fn all_tags_go_and_come() {
    let world = World::new();
    world.load("localhost:5000/app:1", "one");
    world.load("localhost:5000/app:2", "two");
    let lines = world.push("localhost:5000/app").unwrap();
    assert_eq!(lines.iter().filter(|line| line.contains(": digest: ")).count(), 2, "{lines:?}");
    let lines = world.pull("reg.example/app", true).unwrap();
    assert_eq!(lines.iter().filter(|line| line.contains("Pulling from app")).count(), 2);
    assert_eq!(lines.last().unwrap(), "Status: Downloaded newer image for reg.example/app");
    assert!(world.id("reg.example/app:1").is_some() && world.id("reg.example/app:2").is_some());
}

#[test]
fn an_index_goes_whole_when_it_is_here_whole() {
    let world = World::new();
    world.load("localhost:5000/app:1", "one");
    let image = world.store.images.resolve("localhost:5000/app:1").unwrap();
    let lease = world.store.leases.create(LEASE);
    let own = Descriptor { platform: Some(Platform::host()), ..image.record.target.clone() };
    let foreign = world.store.content.read(&own.digest, LONGEST).unwrap();
    let mut foreign: Manifest = serde_json::from_slice(&foreign).unwrap();
    foreign.annotations.insert("for".to_owned(), "another".to_owned());
    let bytes = serde_json::to_vec(&foreign).unwrap();
    let other = Descriptor {
        platform: Some(Platform::new("linux", "s390x")),
        ..Descriptor::new(media_type::OCI_MANIFEST, Digest::of(&bytes), bytes.len() as u64)
    };
    let index = serde_json::to_vec(&Index::oci(vec![own, other.clone()])).unwrap();
    let blob = world.store.content.put(lease.id(), &index).unwrap();
    let target = Descriptor::new(media_type::OCI_INDEX, blob.digest, blob.size);
    let record = naru_store::ImageRecord { target: target.clone(), ..image.record.clone() };
    world.store.images.put(&reference("localhost:5000/app:1"), &record).unwrap();
    let tag = || world.store.repositories.tag("app", "1").unwrap().unwrap().digest;

    world.push("localhost:5000/app:1").unwrap();
    assert_eq!(tag(), image.record.manifest);
    world.store.content.put(lease.id(), &bytes).unwrap();
    world.push("localhost:5000/app:1").unwrap();
    assert_eq!(tag(), target.digest);
    let member = |digest| world.store.repositories.member("app", &digest).unwrap();
    let other_member = member(other.digest).unwrap();
    assert_eq!(other_member.kind, MemberKind::Manifest);
    assert_eq!(other_member.media_type.as_deref(), Some(media_type::OCI_MANIFEST));
    assert_eq!(other_member.size, other.size);
    // The host's platform is the one that runs; another one can be asked for.
    world.refresh("reg.example/app:1").unwrap();
    let adopted = world.store.images.resolve("reg.example/app:1").unwrap();
    assert_eq!(adopted.record.manifest, image.record.manifest);
    let mut request = PullRequest {
        reference: reference("reg.example/app:1"),
        all_tags: false,
        platform: Some(Platform::new("linux", "s390x")),
        credentials: Credentials::Anonymous,
        limit_rate: None,
    };
    pull_own(&world.store, &world.registries, &request, &|_| ()).unwrap();
    let adopted = world.store.images.resolve("reg.example/app:1").unwrap();
    assert_eq!(adopted.record.manifest, other.digest);
    request.platform = Some(Platform::new("linux", "riscv64"));
    let fault = pull_own(&world.store, &world.registries, &request, &|_| ()).unwrap_err();
    assert!(fault.message().starts_with("no matching manifest for linux/riscv64"), "{fault}");
}

#[test]
fn what_is_not_there_is_said() {
    let world = World::new();
    let not_found = |result: Result<Vec<String>, Fault>, text: &str| {
        let fault = result.unwrap_err();
        assert_eq!(fault.kind(), Kind::NotFound, "{fault}");
        assert!(fault.message().contains(text), "{fault}");
    };
    not_found(
        world.push("localhost:5000/app:1"),
        "An image does not exist locally with the tag: localhost:5000/app",
    );
    not_found(
        world.pull("localhost:5000/app:1", false),
        "manifest for localhost:5000/app:1 not found",
    );
    not_found(world.pull("localhost:5000/app", true), "repository localhost:5000/app not found");
    world.refresh("localhost:5000/app:1").unwrap();
    world.refresh("not a name").unwrap();

    // A blob of somebody else's repository does not make an image here.
    world.load("localhost:5000/app:1", "one");
    world.push("localhost:5000/app:1").unwrap();
    not_found(world.push("localhost:5000/app:2"), "tag does not exist: localhost:5000/app:2");
    let target = world.store.repositories.tag("app", "1").unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put_member("thief", &target.digest, &Member::manifest(&*target.media_type, target.size));
    batch.put_tag("thief", "1", &target);
    world.store.commit(batch).unwrap();
    let fault = world.refresh("localhost:5000/thief:1").unwrap_err();
    assert!(fault.message().contains("is not in its repository"), "{fault}");
    assert_eq!(world.id("localhost:5000/thief:1"), None);
}

#[test]
fn an_artifact_is_no_image() {
    let world = World::new();
    let lease = world.store.leases.create(LEASE);
    let config = world.store.content.put(lease.id(), b"{}").unwrap();
    let config = Descriptor::new(media_type::OCI_EMPTY, config.digest, config.size);
    let bytes = serde_json::to_vec(&Manifest::oci(config.clone(), vec![config.clone()])).unwrap();
    let blob = world.store.content.put(lease.id(), &bytes).unwrap();
    let mut batch = Batch::new();
    batch.put_member("chart", &config.digest, &Member::blob(config.size));
    batch.put_member("chart", &blob.digest, &Member::manifest(media_type::OCI_MANIFEST, blob.size));
    let target = Descriptor::new(media_type::OCI_MANIFEST, blob.digest, blob.size);
    batch.put_tag("chart", "latest", &target);
    world.store.commit(batch).unwrap();
    let fault = world.refresh("localhost:5000/chart").unwrap_err();
    assert!(fault.message().contains("is not an image"), "{fault}");
}

/// A registry that takes so many tags, and hears of everything.
#[derive(Debug, Default)]
struct Strict {
    tags: u64,
    heard: Mutex<Vec<String>>,
}

impl OwnRegistry for Strict {
    fn is_cached(&self, repository: &str) -> bool {
        repository.starts_with("hub/")
    }

    fn allow(&self, repository: &str, more: OwnMore) -> Result<OwnClaim, Fault> {
        let news = format!("{repository} {} {}", more.manifests, more.tags);
        self.heard.lock().unwrap().push(format!("asked {news}"));
        if more.tags <= self.tags {
            return Ok(OwnClaim::default());
        }
        Err(Fault::new(Kind::Forbidden, "the quota is full").with_hint("make room"))
    }

    fn pushed(&self, repository: &str, tag: &str, is_done: bool) {
        self.heard.lock().unwrap().push(format!("pushed {repository} {tag} {is_done}"));
    }

    fn pulled(&self, repository: &str, reference: &str) {
        self.heard.lock().unwrap().push(format!("pulled {repository} {reference}"));
    }
}

#[test]
fn the_registry_has_its_word_in_what_goes_by_rows() {
    let world = World::new();
    world.load("localhost:5000/app:1", "one");
    let strict = Arc::new(Strict { tags: 1, ..Strict::default() });
    world.registries.attach_own(Arc::clone(&strict) as Arc<dyn OwnRegistry>);
    world.push("localhost:5000/app:1").unwrap();
    world.push("localhost:5000/app:1").unwrap();
    world.pull("localhost:5000/app:1", false).unwrap();
    let heard = std::mem::take(&mut *strict.heard.lock().unwrap());
    let expected = [
        "asked app 1 1",
        "pushed app 1 true",
        "asked app 0 0",
        "pushed app 1 true",
        "pulled app 1",
    ];
    assert_eq!(heard, expected);

    let world = World::new();
    world.load("localhost:5000/app:1", "one");
    let strict = Arc::new(Strict::default());
    world.registries.attach_own(Arc::clone(&strict) as Arc<dyn OwnRegistry>);
    let fault = world.push("localhost:5000/app:1").unwrap_err();
    assert_eq!(fault.kind(), Kind::Forbidden);
    assert!(fault.message().contains("denied: the quota is full"), "{fault}");
    assert_eq!(fault.hint(), Some("make room"));
    assert_eq!(world.store.repositories.names(), [""; 0]);
    assert_eq!(*strict.heard.lock().unwrap(), ["asked app 1 1", "pushed app 1 false"]);
}

#[test]
fn names_of_the_cache_are_not_taken_from_rows() {
    let world = World::new();
    let (own, cached) = ("localhost:5000/app:1", "localhost:5000/hub/app:1");
    for name in [own, cached] {
        world.load(name, name);
        // As if they had been brought over the protocol.
        world.push(name).unwrap();
        world.store.images.remove(&reference(name)).unwrap();
    }
    let strict = Arc::new(Strict { tags: 1, ..Strict::default() });
    world.registries.attach_own(strict as Arc<dyn OwnRegistry>);
    let others = reference("other.example/hub/app:1");
    for (name, owns, holds) in
        [(reference(own), true, true), (reference(cached), true, false), (others, false, false)]
    {
        assert_eq!((world.registries.owns(&name), world.registries.holds(&name)), (owns, holds));
    }
    for name in [own, cached] {
        world.refresh(name).unwrap();
    }
    assert!(world.id(own).is_some());
    assert_eq!(world.id(cached), None);
}
