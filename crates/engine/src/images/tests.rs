//! Acts: the image service over a real store.

use super::*;
use crate::{EventFilter, EventStream};
use naru_errdefs::Kind;
use naru_test_support::{Item, TinyImage};
use std::io::Cursor;
use std::sync::Mutex;

struct House {
    images: Images,
    users: Arc<Mutex<Vec<ImageUser>>>,
    events: EventStream,
    root: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let events = Events::default();
        let users: Arc<Mutex<Vec<ImageUser>>> = Arc::default();
        let asked = Arc::clone(&users);
        let images = Images::new(
            store,
            registries(),
            events.clone(),
            Arc::new(move || asked.lock().unwrap().clone()),
        );
        House { images, users, events: events.subscribe(EventFilter::default()), root }
    }

    async fn load(&self, archive: Vec<u8>) -> Result<String, Fault> {
        told(self.images.load(Cursor::new(archive))).await
    }

    async fn names(&self, filter: ImageFilter) -> Vec<String> {
        let rows = self.images.list(filter).await.unwrap();
        let mut names: Vec<String> = rows.into_iter().flat_map(|row| row.repo_tags).collect();
        names.sort();
        names
    }

    async fn saved(&self, names: &[&str], format: SaveFormat) -> Result<Vec<u8>, Fault> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut stream = self.images.save(&names, format).await?;
        let mut archive = Vec::new();
        while let Some(piece) = stream.next().await {
            archive.extend_from_slice(&piece?);
        }
        Ok(archive)
    }

    /// Blobs and layers that are in the store, and what lies in the places where things are made.
    fn content(&self) -> (usize, usize, usize) {
        self.images.store.settle();
        let staged = ["content/ingests", "snapshots/pending", "trash"]
            .iter()
            .map(|place| std::fs::read_dir(self.root.path().join(place)).unwrap().count())
            .sum();
        let store = &self.images.store;
        (store.content.list().unwrap().len(), store.snapshots.list().unwrap().len(), staged)
    }
}

fn registries() -> Registries {
    let own = vec!["localhost:5000".to_owned()];
    Registries::new(RegistriesConfig { own, ..RegistriesConfig::default() })
}

async fn told(mut stream: ProgressStream) -> Result<String, Fault> {
    let mut text = String::new();
    while let Some(progress) = stream.next().await {
        let progress = progress?;
        text.push_str(&progress.stream.or(progress.status).unwrap_or_default());
    }
    Ok(text)
}

fn archive(name: &str, content: &str) -> Vec<u8> {
    TinyImage::new(
        name,
        [
            vec![Item::dir("base/"), Item::file("base/file", "same")],
            vec![Item::file("top", content)],
        ],
    )
    .docker_archive()
}

#[tokio::test]
async fn an_image_comes_in_is_looked_at_and_goes() {
    let mut house = House::new();
    let text = house.load(archive("x:1", "one")).await.unwrap();
    assert!(text.contains("Loaded image: x:1\n"), "{text}");
    house.images.tag("x:1", "y").await.unwrap();
    assert_eq!(house.names(ImageFilter::default()).await, ["x:1", "y:latest"]);
    let view = house.images.inspect("y").await.unwrap();
    assert_eq!(view.layers.len(), 2);
    assert_eq!(view.lower_dirs.len(), 2);
    assert!(view.lower_dirs[0].join("top").exists() && view.last_tagged.is_some());
    assert_eq!(view.size, 7);
    let history = house.images.history("x:1").await.unwrap();
    assert_eq!(history[0].id, Some(view.id));
    assert_eq!(history.iter().map(|step| step.size).collect::<Vec<_>>(), [3, 4]);
    let usage = house.images.disk_usage().await.unwrap();
    assert_eq!((usage.layers_size, usage.images.len()), (7, 1));

    let id = view.id.to_string();
    let gone = house.images.remove("x:1", RemoveImageOptions::default()).await.unwrap();
    assert_eq!(gone, [Deleted::Untagged("x:1".to_owned())]);
    let gone = house.images.remove(&id[7..19], RemoveImageOptions::default()).await.unwrap();
    assert_eq!(gone[..2], [Deleted::Untagged("y:latest".to_owned()), Deleted::Deleted(id)]);
    assert_eq!(gone.len(), 4, "the image and its two layers: {gone:?}");
    assert_eq!(house.content(), (0, 0, 0));
    let mut actions = Vec::new();
    for _ in 0..5 {
        actions.push(house.events.next().await.unwrap().action.clone());
    }
    assert_eq!(actions, ["load", "tag", "untag", "untag", "delete"]);
}

#[tokio::test]
async fn layers_are_shared_and_go_with_their_last_image() {
    let house = House::new();
    house.load(archive("a", "one")).await.unwrap();
    house.load(archive("b", "two")).await.unwrap();
    let rows = house.images.list(ImageFilter::default()).await.unwrap();
    assert!(rows.iter().all(|row| (row.size, row.shared_size) == (7, 4)), "{rows:?}");
    assert_eq!(house.content().1, 3);
    let gone = house.images.remove("a", RemoveImageOptions::default()).await.unwrap();
    assert_eq!(gone.len(), 3, "{gone:?}");
    assert_eq!(house.content().1, 2);
    assert_eq!(house.images.verify(false).await.unwrap(), []);
}

#[tokio::test]
async fn a_name_that_moves_leaves_an_image_that_prune_takes() {
    let house = House::new();
    house.load(archive("x", "one")).await.unwrap();
    let old = house.images.inspect("x").await.unwrap().id;
    let text = house.load(archive("x", "two")).await.unwrap();
    assert!(text.contains("The image x:latest already exists, renaming the old one"), "{text}");
    let dangling = ImageFilter { dangling: Some(true), ..ImageFilter::default() };
    assert_eq!(house.images.list(dangling.clone()).await.unwrap()[0].id, old);
    let pruned = house.images.prune(ImagePruneFilter::default()).await.unwrap();
    assert!(
        pruned.deleted.contains(&Deleted::Deleted(old.to_string())) && pruned.space_reclaimed > 0
    );
    assert!(house.images.list(dangling).await.unwrap().is_empty());
    let all = ImagePruneFilter { dangling: false, ..ImagePruneFilter::default() };
    let id = house.images.inspect("x").await.unwrap().id;
    *house.users.lock().unwrap() = vec![ImageUser {
        container: "c".repeat(64),
        image: id,
        name: "x".to_owned(),
        running: false,
    }];
    assert!(house.images.prune(all.clone()).await.unwrap().deleted.is_empty());
    let error = house.images.remove("x", RemoveImageOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.message().starts_with("conflict: unable to remove repository reference \"x\" (must force) - container cccccccccccc is using"), "{}", error.message());
    house.users.lock().unwrap().clear();
    assert_eq!(house.images.prune(all).await.unwrap().deleted.len(), 4);
    assert_eq!(house.content(), (0, 0, 0));
}

#[tokio::test]
async fn lists_are_filtered() {
    let house = House::new();
    for name in ["deb:1", "deb:2", "r.example/deb:1"] {
        house.load(archive(name, name)).await.unwrap();
    }
    let by = |pattern: &str| ImageFilter {
        reference: vec![pattern.to_owned()],
        ..ImageFilter::default()
    };
    assert_eq!(house.names(by("deb")).await, ["deb:1", "deb:2"]);
    assert_eq!(house.names(by("deb:2")).await, ["deb:2"]);
    assert_eq!(house.names(by("*/deb")).await, ["r.example/deb:1"]);
    let error = house.images.list(by("[")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput);
    let before = ImageFilter { before: vec!["nobody".to_owned()], ..ImageFilter::default() };
    let error = house.images.list(before).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::NotFound, "No such image: nobody:latest"));
    let label = ImageFilter { label: vec!["a=b".to_owned()], ..ImageFilter::default() };
    assert!(house.names(label).await.is_empty());
}

#[tokio::test]
async fn what_is_saved_can_be_loaded_elsewhere() {
    let house = House::new();
    house.load(archive("x:1", "one")).await.unwrap();
    house.load(archive("x:2", "two")).await.unwrap();
    for format in [SaveFormat::Docker, SaveFormat::Oci] {
        let archive = house.saved(&["x"], format).await.unwrap();
        let other = House::new();
        other.load(archive).await.unwrap();
        assert_eq!(other.names(ImageFilter::default()).await, ["x:1", "x:2"]);
        assert_eq!(other.images.verify(false).await.unwrap(), []);
        let id = other.images.inspect("x:1").await.unwrap().id;
        assert_eq!(id, house.images.inspect("x:1").await.unwrap().id);
    }
    let error = house.saved(&["x:1", "nobody"], SaveFormat::Docker).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::NotFound, "No such image: nobody:latest"));
}

#[tokio::test]
async fn who_goes_away_while_an_archive_is_saved_ends_the_work() {
    let house = House::new();
    house.load(archive("x", &"long".repeat(1 << 20))).await.unwrap();
    let mut stream = house.images.save(&["x".to_owned()], SaveFormat::Docker).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    // The lease of the work ends with it: then everything can be removed.
    house.images.remove("x", RemoveImageOptions::default()).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while house.content() != (0, 0, 0) {
        assert!(std::time::Instant::now() < deadline, "{:?}", house.content());
        let store = house.images.store.clone();
        tokio::task::spawn_blocking(move || store.collect().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_bad_archive_is_refused_and_leaves_nothing() {
    let house = House::new();
    let whole = archive("x", &"long".repeat(10_000));
    for part in 1..12 {
        let cut = whole[..whole.len() * part / 16].to_vec();
        let error = house.load(cut).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidInput, "{part}: {error:?}");
        assert_eq!(house.content(), (0, 0, 0), "{part}");
    }
    for junk in [&b""[..], b"<html>", &[0; 2048]] {
        assert_eq!(house.load(junk.to_vec()).await.unwrap_err().kind(), Kind::InvalidInput);
    }
    assert!(house.names(ImageFilter::default()).await.is_empty());
}

#[tokio::test]
async fn a_root_file_system_becomes_an_image() {
    let house = House::new();
    let root =
        naru_test_support::TarFile::of([Item::dir("etc/"), Item::file("etc/name", "x")]).finish();
    let request = ImportRequest {
        reference: Some("made:1".parse().unwrap()),
        changes: vec!["CMD [\"sh\"]".to_owned(), "ENV A=b".to_owned()],
        message: "by hand".to_owned(),
        platform: None,
    };
    let text = told(house.images.import(Cursor::new(root.clone()), request.clone())).await.unwrap();
    let view = house.images.inspect("made:1").await.unwrap();
    assert!(text.ends_with(&view.id.to_string()), "{text}");
    assert_eq!(view.config.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
    assert_eq!(house.images.history("made:1").await.unwrap()[0].comment, "by hand");
    house.images.remove("made:1", RemoveImageOptions::default()).await.unwrap();
    let bad = ImportRequest { changes: vec!["RUN x".to_owned()], ..request.clone() };
    assert!(told(house.images.import(Cursor::new(root.clone()), bad)).await.is_err());
    let bad = ImportRequest { platform: Some("nonsense".to_owned()), ..request };
    assert!(told(house.images.import(Cursor::new(root), bad)).await.is_err());
    assert_eq!(house.content(), (0, 0, 0));
}

#[tokio::test]
async fn damage_is_found_and_layers_are_unpacked_again() {
    let house = House::new();
    house.load(archive("x", "one")).await.unwrap();
    let view = house.images.inspect("x").await.unwrap();
    let file = view.lower_dirs[0].join("top");
    std::fs::remove_file(&file).unwrap();
    naru_kernel::fs::create_new(&file, 0o644).unwrap();
    let findings = house.images.verify(false).await.unwrap();
    assert!(findings[0].message.contains("`/top`") && findings[0].repair.is_none(), "{findings:?}");
    let findings = house.images.verify(true).await.unwrap();
    assert_eq!(findings[0].repair.as_deref(), Some("unpacked it again"), "{findings:?}");
    assert_eq!(house.images.verify(false).await.unwrap(), []);
    let view = house.images.inspect("x").await.unwrap();
    assert_eq!(std::fs::read(view.lower_dirs[0].join("top")).unwrap(), b"one");
}

#[tokio::test]
async fn an_image_that_lacks_a_part_is_not_saved_and_comes_back_by_a_load() {
    let house = House::new();
    house.load(archive("x", "one")).await.unwrap();
    let blobs = house.images.store.content.list().unwrap();
    let largest = blobs.iter().max_by_key(|blob| blob.size).unwrap();
    let path = house.images.store.content.path(&largest.digest).unwrap();
    std::fs::remove_file(path).unwrap();
    let error = house.saved(&["x"], SaveFormat::Docker).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DataLoss);
    assert!(error.message().contains(&largest.digest.to_string()), "{}", error.message());
    let findings = house.images.verify(true).await.unwrap();
    let repaired: Vec<bool> = findings.iter().map(|finding| finding.repair.is_some()).collect();
    assert_eq!(repaired, [true, false], "{findings:?}");
    assert!(
        findings[1]
            .message
            .ends_with("(not repaired: load the image again to bring the blob back)")
    );
    house.load(archive("x", "one")).await.unwrap();
    assert_eq!(house.images.verify(false).await.unwrap(), []);
    house.saved(&["x"], SaveFormat::Docker).await.unwrap();
}

#[tokio::test]
async fn names_that_mean_nothing_are_refused_as_docker_refuses_them() {
    let house = House::new();
    house.load(archive("x", "one")).await.unwrap();
    let error = house.images.inspect("nobody").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::NotFound, "No such image: nobody:latest"));
    assert_eq!(house.images.inspect("Bad:Name:").await.unwrap_err().kind(), Kind::InvalidInput);
    let digest = naru_oci::Digest::of(b"");
    let error = house.images.tag("x", &format!("y@{digest}")).await.unwrap_err();
    assert_eq!(error.message(), "refusing to create a tag with a digest reference");
    assert_eq!(house.images.tag("x", "Y").await.unwrap_err().kind(), Kind::InvalidInput);
    assert_eq!(house.images.tag("nobody", "y").await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn half_an_archive_and_then_silence_is_given_up() {
    let mut house = House::new();
    house.images.patience = Duration::from_millis(100);
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let whole = archive("x", "one");
    tokio::io::AsyncWriteExt::write_all(&mut client, &whole[..whole.len() / 2]).await.unwrap();
    let error = told(house.images.load(server)).await.unwrap_err();
    assert!(naru_errdefs::one_line(&error).contains("nothing came for 0 seconds"), "{error:?}");
    drop(client);
    assert_eq!(house.content(), (0, 0, 0));
}

#[tokio::test]
async fn many_archives_wait_their_turn() {
    let house = House::new();
    let mut streams = Vec::new();
    for number in 0..40 {
        streams.push(house.images.load(Cursor::new(archive(&format!("x:{number}"), "one"))));
    }
    for stream in streams {
        told(stream).await.unwrap();
    }
    assert_eq!(house.names(ImageFilter::default()).await.len(), 40);
    assert_eq!(house.images.verify(false).await.unwrap(), []);
}

fn push(name: &str) -> PushRequest {
    PushRequest {
        reference: name.parse().unwrap(),
        all_tags: false,
        platform: None,
        credentials: Credentials::Anonymous,
        limit_rate: None,
    }
}

fn pull(name: &str) -> PullRequest {
    PullRequest {
        reference: name.parse().unwrap(),
        all_tags: false,
        platform: None,
        credentials: Credentials::Anonymous,
        limit_rate: None,
    }
}

#[tokio::test]
async fn what_is_pushed_to_the_own_registry_is_here_whenever_it_is_named() {
    let mut house = House::new();
    house.load(archive("localhost:5000/app:1", "one")).await.unwrap();
    let told_of = told(house.images.push(push("localhost:5000/app:1"))).await.unwrap();
    assert!(told_of.starts_with("The push refers to repository [localhost:5000/app]"), "{told_of}");
    let blobs = house.content();
    house.images.remove("localhost:5000/app:1", RemoveImageOptions::default()).await.unwrap();
    assert_eq!(house.content().0, blobs.0, "the registry holds its blobs");
    let view = house.images.inspect("localhost:5000/app:1").await.unwrap();
    assert_eq!(view.repo_digests, [format!("localhost:5000/app@{}", view.target.digest)]);
    assert_eq!(house.content(), blobs);
    assert_eq!(house.images.history("localhost:5000/app:1").await.unwrap().len(), 2);
    assert!(!house.saved(&["localhost:5000/app:1"], SaveFormat::Oci).await.unwrap().is_empty());
    let told_of = told(house.images.pull(pull("localhost:5000/app:1"))).await.unwrap();
    assert!(told_of.ends_with("Status: Image is up to date for localhost:5000/app:1"), "{told_of}");
    let reference: naru_oci::Reference = "localhost:5000/app:1".parse().unwrap();
    let info =
        house.images.inspect_distribution(&reference, &Credentials::Anonymous).await.unwrap();
    assert_eq!((info.descriptor, info.platforms.len()), (view.target, 1));
    let mut actions = Vec::new();
    for _ in 0..7 {
        let event = house.events.next().await.unwrap();
        let is_registry = matches!(event.action.as_str(), "push" | "pull");
        if is_registry {
            assert_eq!(event.id, "localhost:5000/app:1");
            assert_eq!(event.attributes["name"], "localhost:5000/app");
        }
        actions.push(event.action.clone());
    }
    assert_eq!(actions, ["load", "push", "untag", "untag", "delete", "save", "pull"]);
}

#[tokio::test]
async fn a_push_or_pull_of_nothing_fails_before_the_first_line() {
    let house = House::new();
    for mut stream in [
        house.images.push(push("localhost:5000/app:1")),
        house.images.pull(pull("localhost:5000/app:1")),
    ] {
        let first = stream.next().await.unwrap();
        assert_eq!(first.unwrap_err().kind(), Kind::NotFound);
        assert!(stream.next().await.is_none());
    }
}
