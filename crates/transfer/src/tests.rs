//! Archives through a whole store.

use crate::{
    Import, LoadedImage, Progress, PullRequest, SaveFormat, Source, hello_image, import, is_hello,
    load, pull_hello, save,
};
use naru_errdefs::{Fault, Kind};
use naru_oci::{Digest, Reference};
use naru_store::Store;
use naru_test_support::tiny_image::gzip;
use naru_test_support::{Item, TarFile, TinyImage, list};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

struct World {
    store: Store,
    dir: TempDir,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        World { store: Store::open(&dir.path().join("store")).unwrap(), dir }
    }

    fn load(&self, archive: &[u8]) -> Result<Vec<LoadedImage>, Fault> {
        load(&self.store, Source::Stream(Box::new(archive)), &|_| {})
    }

    fn load_lines(&self, archive: &[u8]) -> Vec<String> {
        let lines = std::sync::Mutex::new(Vec::new());
        let report = |line: Progress| lines.lock().unwrap().extend(line.stream);
        load(&self.store, Source::Stream(Box::new(archive)), &report).unwrap();
        lines.into_inner().unwrap()
    }

    fn save(&self, names: &[&str], format: SaveFormat) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut bytes = Vec::new();
        save(&self.store, &names, format, &mut bytes).unwrap();
        bytes
    }

    /// The files of an image's topmost layer.
    fn top_layer(&self, name: &str) -> std::path::PathBuf {
        let image = self.store.images.resolve(name).unwrap();
        self.store.snapshots.lower_dirs(&image.record.chain.unwrap()).unwrap().remove(0)
    }

    /// Nothing may be seen, and nothing may lie about.
    fn assert_empty(&self) {
        assert!(self.store.images.list().unwrap().is_empty());
        assert!(self.store.snapshots.list().unwrap().is_empty());
        let pending = self.dir.path().join("store/snapshots/pending");
        let left = std::fs::read_dir(pending).map(Iterator::count).unwrap_or(0);
        assert_eq!(left, 0, "unpacked layers were left behind");
    }
}

fn tiny() -> TinyImage {
    TinyImage::new(
        "tiny:1",
        [
            vec![Item::dir("etc/"), Item::file("etc/name", "below"), Item::file("etc/gone", "x")],
            vec![Item::file("etc/name", "above"), Item::file("etc/.wh.gone", "")],
            vec![Item::file("hello", "#!/bin/sh\n").mode(0o755)],
        ],
    )
}

fn id_of(image: &TinyImage) -> Digest {
    Digest::of(&image.config_bytes())
}

fn reference(name: &str) -> Reference {
    name.parse::<Reference>().unwrap().or_latest()
}

#[test]
fn every_form_of_archive_gives_the_same_image() {
    let image = tiny();
    let hybrid = {
        let mut items: Vec<Item> =
            image.oci_files().into_iter().map(|(name, bytes)| Item::file(name, bytes)).collect();
        let layers: Vec<String> = image
            .layers
            .iter()
            .map(|layer| format!("blobs/sha256/{}", Digest::of(&gzip(layer)).hex()))
            .collect();
        let config = format!("blobs/sha256/{}", id_of(&image).hex());
        items.push(Item::file(
            "manifest.json",
            json!([{"Config": config, "RepoTags": ["tiny:1", "tiny:2"], "Layers": layers}])
                .to_string(),
        ));
        TarFile::of(items).finish()
    };
    for (form, archive, names) in [
        ("docker", image.docker_archive(), 1),
        ("docker, gzip", gzip(&image.docker_archive()), 1),
        ("oci", image.oci_archive(), 1),
        ("oci, gzip", gzip(&image.oci_archive()), 1),
        ("both", hybrid, 2),
    ] {
        let world = World::new();
        let loaded = world.load(&archive).unwrap();
        assert_eq!(loaded.len(), 1, "{form}");
        assert_eq!((loaded[0].id.0, loaded[0].names.len()), (id_of(&image), names), "{form}");
        let found = world.store.images.resolve("tiny:1").unwrap();
        let layers = world.store.snapshots.lower_dirs(&found.record.chain.unwrap()).unwrap();
        assert_eq!(layers.len(), 3);
        assert_eq!(std::fs::read(layers[1].join("etc/name")).unwrap(), b"above");
        assert_eq!(std::fs::read(layers[2].join("etc/gone")).unwrap(), b"x");
        // The directory without an entry of its own looks like the one below.
        assert_eq!(list(&layers[1]).unwrap()[Path::new("etc")].modified.seconds, 1_600_000_000);
    }
}

#[test]
fn a_layout_may_be_a_directory() {
    let image = tiny();
    let world = World::new();
    let place = world.dir.path().join("layout");
    for (name, bytes) in image.oci_files() {
        let path = place.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create_new(path).unwrap().write_all(&bytes).unwrap();
    }
    let loaded = load(&world.store, Source::Directory(place), &|_| {}).unwrap();
    assert_eq!(loaded[0].id.0, id_of(&image));
    let error = load(&world.store, Source::Directory(world.dir.path().join("nowhere")), &|_| {})
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn an_archive_from_before_docker_1_10_is_read() {
    let image = tiny();
    let ids = ["a".repeat(64), "b".repeat(64), "c".repeat(64)];
    let mut items = Vec::new();
    for (index, layer) in image.layers.iter().enumerate() {
        let parent = index.checked_sub(1).map(|parent| ids[parent].clone());
        let config = json!({"id": ids[index], "parent": parent, "created": "2014-01-01T00:00:00Z", "config": {"Cmd": ["/hello"], "Env": null},
            "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ADD"]}, "architecture": "amd64", "os": "linux"});
        items.push(Item::file(format!("{}/VERSION", ids[index]), "1.0"));
        items.push(Item::file(format!("{}/json", ids[index]), config.to_string()));
        items.push(Item::file(format!("{}/layer.tar", ids[index]), layer));
    }
    items.push(Item::file("repositories", json!({"old": {"1": ids[2], "2": ids[2]}}).to_string()));
    let world = World::new();
    let loaded = world.load(&TarFile::of(items.clone()).finish()).unwrap();
    assert_eq!((loaded.len(), loaded[0].names.len()), (1, 2));
    assert!(world.top_layer("old:2").join("hello").exists());
    // A layer that is its own parent must not be followed for ever.
    items[1] = Item::file(format!("{}/json", ids[0]), json!({"parent": ids[2]}).to_string());
    assert_eq!(
        World::new().load(&TarFile::of(items).finish()).unwrap_err().kind(),
        Kind::InvalidInput
    );
}

#[test]
fn layers_may_be_links_to_one_another() {
    let layer = tiny().layers.remove(0);
    let digest = Digest::of(&layer).to_string();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest, digest, digest]}}).to_string();
    let manifest = json!([{"Config": "c.json", "RepoTags": ["twice:1"], "Layers": ["a/layer.tar", "b/layer.tar", "./c/layer.tar"]}]);
    let archive = TarFile::of([
        Item::file("a/layer.tar", &layer),
        Item::link("b/layer.tar", "../a/layer.tar"),
        Item::hard_link("c/layer.tar", "a/layer.tar"),
        Item::file("c.json", config),
        Item::file("manifest.json", manifest.to_string()),
    ]);
    let world = World::new();
    world.load(&archive.finish()).unwrap();
    let image = world.store.images.resolve("twice:1").unwrap();
    assert_eq!(world.store.snapshots.lower_dirs(&image.record.chain.unwrap()).unwrap().len(), 3);
}

#[test]
fn the_platform_of_the_host_is_chosen_and_the_others_are_kept() {
    let mut here = tiny();
    here.names = Vec::new();
    let mut there = tiny();
    there.architecture = "s390x".to_owned();
    there.layers.truncate(1);
    there.names = Vec::new();
    let mut files = there.oci_files();
    files.extend(here.oci_files());
    let entry = |image: &TinyImage| -> Value {
        let index = image.oci_files().pop().unwrap().1;
        let mut entry = serde_json::from_slice::<Value>(&index).unwrap()["manifests"][0].clone();
        entry["platform"] = json!({"os": "linux", "architecture": image.architecture});
        entry
    };
    let absent = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7, "digest": Digest::of(b"absent").to_string(),
        "platform": {"os": "linux", "architecture": "riscv64"}});
    let inner = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [absent, entry(&there), entry(&here)]}).to_string();
    let outer = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "size": inner.len(),
        "digest": Digest::of(inner.as_bytes()).to_string(), "annotations": {"org.opencontainers.image.ref.name": "multi:1"}}]});
    files.retain(|(name, _)| name.starts_with("blobs/"));
    files.push((
        format!("blobs/sha256/{}", Digest::of(inner.as_bytes()).hex()),
        inner.clone().into_bytes(),
    ));
    files.push(("index.json".to_owned(), outer.to_string().into_bytes()));
    let archive = TarFile::of(files.iter().map(|(name, bytes)| Item::file(name, bytes))).finish();
    let world = World::new();
    let loaded = world.load(&archive).unwrap();
    assert_eq!(loaded[0].id.0, id_of(&here));
    let image = world.store.images.resolve("multi:1").unwrap();
    assert_eq!(image.record.target.digest, Digest::of(inner.as_bytes()));
    for blob in [id_of(&there), Digest::of(&gzip(&there.layers[0]))] {
        assert!(world.store.content.has(&blob), "{blob} was not kept");
    }
    // Both platforms go out again.
    let again = World::new();
    again.load(&world.save(&["multi:1"], SaveFormat::Docker)).unwrap();
    assert!(again.store.content.has(&id_of(&there)));
    assert_eq!(again.store.images.resolve("multi:1").unwrap().record.target, image.record.target);
}

#[test]
fn a_name_moves_to_the_newer_image() {
    let world = World::new();
    let first = tiny();
    let mut second = tiny();
    second.config = json!({"Cmd": ["/other"]});
    assert_eq!(world.load_lines(&first.docker_archive()), ["Loaded image: tiny:1\n"]);
    let lines = world.load_lines(&second.docker_archive());
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].contains("renaming the old one with ID")
            && lines[0].contains(&id_of(&first).to_string())
    );
    assert_eq!(world.store.images.resolve("tiny:1").unwrap().id().0, id_of(&second));
    assert!(world.store.images.resolve(&id_of(&first).hex()).unwrap().names.is_empty());
    assert_eq!(world.load_lines(&second.docker_archive()), ["Loaded image: tiny:1\n"]);
    let mut nameless = tiny();
    nameless.names = Vec::new();
    nameless.config = json!({"User": "1"});
    assert_eq!(
        world.load_lines(&nameless.docker_archive()),
        [format!("Loaded image ID: {}\n", id_of(&nameless))]
    );
}

#[test]
fn what_is_saved_can_be_loaded_and_is_always_the_same() {
    let world = World::new();
    let mut other = tiny();
    other.names = vec!["other:2".to_owned(), "tiny:b".to_owned()];
    other.config = json!({"Cmd": ["/other"]});
    world.load(&tiny().docker_archive()).unwrap();
    world.load(&other.oci_archive()).unwrap();
    for format in [SaveFormat::Docker, SaveFormat::Oci] {
        let archive = world.save(&["tiny", "other:2"], format);
        assert!(archive == world.save(&["tiny", "other:2"], format));
        let again = World::new();
        let loaded = again.load(&archive).unwrap();
        assert_eq!(loaded.len(), 2);
        for name in ["tiny:1", "tiny:b", "other:2"] {
            let (before, after) = (
                world.store.images.resolve(name).unwrap(),
                again.store.images.resolve(name).unwrap(),
            );
            assert_eq!(
                (before.id(), before.names, before.record.target),
                (after.id(), after.names, after.record.target)
            );
            assert_eq!(
                list(&world.top_layer(name)).unwrap(),
                list(&again.top_layer(name)).unwrap()
            );
        }
        assert!(archive == again.save(&["tiny", "other:2"], format));
    }
    let by_id = world.save(&[&id_of(&tiny()).hex()[..12]], SaveFormat::Docker);
    assert!(World::new().load(&by_id).unwrap()[0].names.is_empty());
    let error =
        save(&world.store, &["nothing".to_owned()], SaveFormat::Docker, Vec::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(
        save(&world.store, &[], SaveFormat::Docker, Vec::new()).unwrap_err().kind(),
        Kind::InvalidInput
    );
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn skopeo_and_umoci_accept_what_is_saved_and_we_accept_what_they_write() {
    let world = World::new();
    world.load(&tiny().oci_archive()).unwrap();
    let path = |name: &str| world.dir.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::File::create_new(path(name)).unwrap().write_all(bytes).unwrap()
    };
    write("docker.tar", &world.save(&["tiny:1"], SaveFormat::Docker));
    write("oci.tar", &world.save(&["tiny:1"], SaveFormat::Oci));
    let expected = id_of(&tiny()).to_string();
    for from in [
        format!("docker-archive:{}:tiny:1", path("docker.tar")),
        format!("oci-archive:{}", path("oci.tar")),
        format!("oci-archive:{}", path("docker.tar")),
    ] {
        let raw = run("skopeo", &["inspect", "--config", "--raw", &from]);
        assert_eq!(Digest::of(raw.as_bytes()).to_string(), expected, "{from}");
        // Copying checks every digest.
        let place =
            format!("dir:{}", path(&format!("copy-{}", Digest::of(from.as_bytes()).short())));
        run("skopeo", &["copy", "--insecure-policy", &from, &place]);
    }
    for (number, to) in ["docker-archive", "oci-archive", "oci"].iter().enumerate() {
        let place = path(&format!("theirs-{number}"));
        run(
            "skopeo",
            &[
                "copy",
                "--insecure-policy",
                &format!("oci-archive:{}", path("oci.tar")),
                &format!("{to}:{place}:theirs:{number}"),
            ],
        );
        let source = match *to {
            "oci" => Source::Directory(place.into()),
            _ => Source::Stream(Box::new(std::fs::File::open(place).unwrap())),
        };
        let loaded = load(&world.store, source, &|_| {}).unwrap();
        assert_eq!(loaded[0].names, [reference(&format!("theirs:{number}"))]);
        let name = format!("theirs:{number}");
        assert_eq!(
            list(&world.top_layer(&name)).unwrap(),
            list(&world.top_layer("tiny:1")).unwrap()
        );
    }
    let layout = path("layout");
    std::fs::create_dir(&layout).unwrap();
    run("tar", &["-xf", &path("oci.tar"), "-C", &layout]);
    run("umoci", &["unpack", "--image", &format!("{layout}:1"), &path("bundle")]);
    assert!(Path::new(&path("bundle")).join("rootfs/hello").exists());
    assert!(!Path::new(&path("bundle")).join("rootfs/etc/gone").exists());
}

#[test]
fn a_root_file_system_is_imported() {
    let world = World::new();
    let tar = TarFile::of([Item::dir("bin/"), Item::file("bin/true", "x").mode(0o755)]).finish();
    let options = Import {
        reference: Some(reference("root:1")),
        changes: vec!["CMD [\"/bin/true\"]".to_owned(), "ENV A=b".to_owned()],
        message: Some("by hand".to_owned()),
        platform: Some("linux/arm64/v8".parse().unwrap()),
    };
    for archive in [tar.clone(), gzip(&tar)] {
        let id = import(&world.store, &archive[..], &options, &|_| {}).unwrap();
        let image = world.store.images.resolve("root:1").unwrap();
        assert_eq!(image.id(), id);
        let config: Value =
            serde_json::from_slice(&world.store.content.read(&id.0, 1 << 20).unwrap()).unwrap();
        assert_eq!(config["config"]["Cmd"], json!(["/bin/true"]));
        assert_eq!(config["config"]["Env"], json!(["A=b"]));
        assert_eq!((&config["architecture"], &config["variant"]), (&json!("arm64"), &json!("v8")));
        assert_eq!(config["history"][0]["comment"], "by hand");
        assert_eq!(config["rootfs"]["diff_ids"], json!([Digest::of(&tar).to_string()]));
        assert!(world.top_layer("root:1").join("bin/true").exists());
    }
    let fails = |bytes: &[u8], options: &Import| {
        let world = World::new();
        let error = import(&world.store, bytes, options, &|_| {}).unwrap_err();
        world.assert_empty();
        error.kind()
    };
    assert_eq!(fails(&tar[..1024], &Import::default()), Kind::InvalidInput);
    assert_eq!(fails(b"", &Import::default()), Kind::InvalidInput);
    assert_eq!(fails(b"\x04\x22\x4d\x18...", &Import::default()), Kind::Unsupported);
    assert_eq!(fails(b"\xfd7zXZ\0...", &Import::default()), Kind::InvalidInput);
    assert_eq!(
        fails(&tar, &Import { changes: vec!["RUN x".to_owned()], ..Import::default() }),
        Kind::InvalidInput
    );
    let windows = Some("windows/amd64".parse().unwrap());
    assert_eq!(fails(&tar, &Import { platform: windows, ..Import::default() }), Kind::Unsupported);
}

#[test]
fn the_embedded_image_is_made_once_and_stays_the_same() {
    let world = World::new();
    let exe = world.dir.path().join("program");
    std::fs::File::create_new(&exe).unwrap().write_all(b"\x7fELF").unwrap();
    let id = hello_image(&world.store, &exe).unwrap();
    assert_eq!(hello_image(&world.store, &exe).unwrap(), id);
    // A pull of it asks no registry, and makes it where it is not.
    let request = |name: &str| PullRequest {
        reference: name.parse().unwrap(),
        all_tags: false,
        platform: None,
        credentials: crate::Credentials::Anonymous,
        limit_rate: None,
    };
    assert!(is_hello(&request("naru/hello")) && !is_hello(&request("naru/hello:other")));
    assert!(!is_hello(&request("example.com/naru/hello")));
    let other = World::new();
    let told = std::sync::Mutex::new(Vec::new());
    let report = |line: Progress| told.lock().unwrap().extend(line.status);
    for _ in 0..2 {
        let pulled = pull_hello(&other.store, &exe, &request("naru/hello"), &report).unwrap();
        assert_eq!((pulled[0].id, pulled[0].is_new), (id, false));
    }
    let last = told.lock().unwrap().last().cloned();
    assert_eq!(last.as_deref(), Some("Status: Image is up to date for naru/hello:latest"));
    assert_eq!(world.store.images.resolve("naru/hello").unwrap().id(), id);
    assert_eq!(std::fs::read(world.top_layer("naru/hello").join("naru")).unwrap(), b"\x7fELF");
}

#[test]
fn archives_that_lie_are_refused_and_leave_nothing() {
    let image = tiny();
    let files = image.oci_files();
    let archive = |files: &[(String, Vec<u8>)]| {
        TarFile::of(files.iter().map(|(name, bytes)| Item::file(name, bytes))).finish()
    };
    let check = |what: &str, archive: &[u8], expected: &str| {
        let world = World::new();
        let error = world.load(archive).unwrap_err();
        let text = naru_errdefs::one_line(&error);
        assert!(text.contains(expected), "{what}: {text}");
        assert!(
            matches!(error.kind(), Kind::InvalidInput | Kind::Unsupported | Kind::DataLoss),
            "{what}: {:?}",
            error.kind()
        );
        world.assert_empty();
    };
    let without = |name: &str| {
        archive(
            &files.iter().filter(|(known, _)| !known.contains(name)).cloned().collect::<Vec<_>>(),
        )
    };
    let layer = Digest::of(&gzip(&image.layers[1])).hex();
    check("a missing layer", &without(&layer), &layer);
    check("a missing config", &without(&id_of(&image).hex()), &id_of(&image).hex());
    check("no index", &without("index.json"), "not an image");
    check("an empty archive", &TarFile::default().finish(), "not an image");
    check("an empty stream", b"", "not an image");
    check("no archive", &[b'x'; 2000], "corrupt header");
    check("lz4", b"\x04\x22\x4d\x18more", "lz4");
    check("no xz", b"\xfd7zXZ\0more", "cannot read the archive");
    let whole = archive(&files);
    check("a truncated archive", &whole[..whole.len() / 2], "truncated");
    let packed = gzip(&whole);
    check("a truncated stream", &packed[..packed.len() / 2], "archive");
    for (number, what) in [(1, "layer"), (4, "config"), (5, "manifest")] {
        let mut broken = files.clone();
        let middle = broken[number].1.len() / 2;
        broken[number].1[middle] ^= 1;
        let hex = broken[number].0.rsplit('/').next().unwrap().to_owned();
        check(what, &archive(&broken), &hex);
    }
    let mut twice = files.clone();
    twice.push(twice.last().unwrap().clone());
    check("two indexes", &archive(&twice), "twice");
    let mut huge = files.clone();
    huge.last_mut().unwrap().1 = vec![b' '; 5 << 20];
    check("a huge index", &archive(&huge), "larger than");
    let mut json = files.clone();
    json.last_mut().unwrap().1 = b"{nonsense".to_vec();
    check("an index that is no JSON", &archive(&json), "not valid JSON");
    json.last_mut().unwrap().1 = b"[1, 2]".to_vec();
    check("an index of another shape", &archive(&json), "not valid JSON");
}

fn docker(config: &Value, layers: &[(&str, &[u8])], tags: Value) -> Vec<u8> {
    let names: Vec<&str> = layers.iter().map(|(name, _)| *name).collect();
    let manifest = json!([{"Config": "config.json", "RepoTags": tags, "Layers": names}]);
    let mut items: Vec<Item> = layers.iter().map(|(name, bytes)| Item::file(name, bytes)).collect();
    items.push(Item::file("config.json", config.to_string()));
    items.push(Item::file("manifest.json", manifest.to_string()));
    TarFile::of(items).finish()
}

#[test]
fn docker_archives_that_lie_are_refused_and_leave_nothing() {
    let layer = TarFile::of([Item::file("a", "a")]).finish();
    let config = |ids: &[Digest]| json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ids}});
    let right = config(&[Digest::of(&layer)]);
    let check = |what: &str, archive: Vec<u8>, expected: &str| {
        let world = World::new();
        let error = world.load(&archive).unwrap_err();
        let text = naru_errdefs::one_line(&error);
        assert!(text.contains(expected), "{what}: {text}");
        assert_eq!(error.kind(), Kind::InvalidInput, "{what}: {text}");
        world.assert_empty();
    };
    assert!(World::new().load(&docker(&right, &[("l.tar", &layer)], json!(["x:1"]))).is_ok());
    assert!(World::new().load(&docker(&right, &[("l.tar", &layer)], Value::Null)).is_ok());
    check(
        "another layer",
        docker(&config(&[Digest::of(b"other")]), &[("l.tar", &layer)], json!(["x:1"])),
        "unpacks to",
    );
    check("too few layers", docker(&config(&[]), &[("l.tar", &layer)], json!(["x:1"])), "layers");
    check("a bad name", docker(&right, &[("l.tar", &layer)], json!(["UPPER:1"])), "UPPER");
    let escape = TarFile::of([Item::file("../../escape", "x")]).finish();
    check(
        "an escape",
        docker(&config(&[Digest::of(&escape)]), &[("l.tar", &escape)], json!(["x:1"])),
        "leaves the layer",
    );
    let mut cut = TarFile::of([Item::file("a", vec![1u8; 4000])]).finish();
    cut.truncate(2048);
    check(
        "a cut layer",
        docker(&config(&[Digest::of(&cut)]), &[("l.tar", &cut)], json!(["x:1"])),
        "truncated",
    );
    let outside = TarFile::of([
        Item::link("l.tar", "../../../etc/passwd"),
        Item::file("config.json", right.to_string()),
        Item::file(
            "manifest.json",
            json!([{"Config": "config.json", "Layers": ["l.tar"]}]).to_string(),
        ),
    ]);
    check("a layer that is a link to outside", outside.finish(), "which is not in it");
    let circle = TarFile::of([
        Item::link("l.tar", "m.tar"),
        Item::link("m.tar", "l.tar"),
        Item::file("config.json", right.to_string()),
        Item::file(
            "manifest.json",
            json!([{"Config": "config.json", "Layers": ["l.tar"]}]).to_string(),
        ),
    ]);
    check("links in a circle", circle.finish(), "which is not in it");
    let huge = TarFile::of([Item::file("manifest.json", vec![b'['; 100 << 20])]);
    check("a manifest of 100 MB", huge.finish(), "larger than");
    // When one of two images cannot be loaded, neither is.
    let first = docker(&right, &[("l.tar", &layer)], json!(["x:1"]));
    assert!(first.len() > 1024);
    let both = TarFile::of([
        Item::file("l.tar", &layer),
        Item::file("config.json", right.to_string()),
        Item::file("bad.json", config(&[Digest::of(b"no")]).to_string()),
        Item::file("manifest.json", json!([{"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["l.tar"]}, {"Config": "bad.json", "Layers": ["l.tar"]}]).to_string()),
    ]);
    let world = World::new();
    assert!(world.load(&both.finish()).is_err());
    assert!(world.store.images.list().unwrap().is_empty());
}
