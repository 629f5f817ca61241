//! `copy` and `manifest` between Debian's docker-registry, archives, layouts and the store, looked at by skopeo.
//! Acts: as root, with the built binary; every test has a network of its own.

use integration_tests::peer_registry::{Options, PASSWORD, PeerRegistry, USER};
use integration_tests::{Daemon, Done, run};
use std::path::PathBuf;

const FIRST: &str = "127.0.0.1:5000";
const SECOND: &str = "127.0.0.1:5001";
const SECURE: Options = Options { password: true, tls: true };

struct Place {
    daemon: Daemon,
    config: PathBuf,
}

impl Place {
    #[track_caller]
    fn new() -> Place {
        let daemon = Daemon::start_apart(&[]).with_busybox("box");
        let config = daemon.dir().join("docker-config");
        std::fs::create_dir(&config).expect("a directory");
        Place { daemon, config }
    }

    #[track_caller]
    fn naru(&self, words: &[&str]) -> Done {
        run(self.daemon.command(words).env("DOCKER_CONFIG", &self.config))
    }

    fn path(&self, name: &str) -> String {
        self.daemon.dir().join(name).display().to_string()
    }

    /// Copies, and says which manifest was copied.
    #[track_caller]
    fn copy(&self, flags: &[&str], from: &str, to: &str) -> String {
        let file = self.path("digest");
        let head = ["copy", "-q", "--digestfile", &file];
        self.naru(&[&head, flags, &[from, to]].concat()).ok();
        std::fs::read_to_string(&file).expect("a digest")
    }

    /// The digest of what skopeo sees at a place.
    #[track_caller]
    fn seen(&self, place: &str) -> String {
        let mut skopeo = self.daemon.neighbour("skopeo");
        let format = "{{.Digest}}";
        skopeo.args(["inspect", "--tls-verify=false", "--format", format]);
        if place.starts_with("docker://127.0.0.1:5001") {
            skopeo.args(["--creds", &format!("{USER}:{PASSWORD}")]);
        }
        run(skopeo.arg(place)).ok().text().to_owned()
    }

    fn blobs(&self) -> usize {
        let root = self.daemon.data_root().join("content/blobs/sha256");
        std::fs::read_dir(root).expect("a directory").count()
    }
}

#[test]
fn an_image_goes_round_and_stays_the_same() {
    let place = Place::new();
    let first = PeerRegistry::start(&place.daemon, FIRST, Options::default());
    let second = PeerRegistry::start(&place.daemon, SECOND, SECURE);
    let at = |registry: &PeerRegistry, name: &str| format!("docker://{}", registry.name(name));
    let creds = format!("{USER}:{PASSWORD}");
    let digest = place.copy(&[], "store:box", &at(&first, "a:1"));
    assert_eq!(place.seen(&at(&first, "a:1")), digest);
    let before = place.blobs();
    // Registry to registry: across hosts, and within one.
    let flags = ["--dest-creds", &creds];
    assert_eq!(place.copy(&flags, &at(&first, "a:1"), &at(&second, "deep/er/b:2")), digest);
    assert_eq!(place.seen(&at(&second, "deep/er/b:2")), digest);
    assert_eq!(place.copy(&[], &at(&first, "a:1"), &at(&first, "c:1")), digest);
    assert_eq!(place.blobs(), before, "nothing is left of what passed through");
    // Who may not is told so.
    place
        .naru(&["copy", &at(&second, "deep/er/b:2"), &at(&first, "d:1")])
        .fails(1, "pull access denied");
    // Archives and layouts, there and back.
    for kind in ["docker-archive", "oci-archive", "oci"] {
        let file = format!("{kind}:{}:x/y:1", place.path(kind));
        let secure = ["--src-creds", &creds];
        assert_eq!(place.copy(&secure, &at(&second, "deep/er/b:2"), &file), digest, "{kind}");
        if kind != "docker-archive" {
            // Skopeo writes a manifest of its own for docker's form.
            assert_eq!(place.seen(&file), digest, "{kind}");
        } else {
            place.seen(&file);
        }
        let name = at(&first, &format!("from-{kind}:1"));
        assert_eq!(place.copy(&[], &file, &name), digest, "{kind}");
        assert_eq!(place.copy(&[], &file, &format!("store:kept-{kind}:1")), digest, "{kind}");
        let kept = format!("kept-{kind}:1");
        let done = place.naru(&["run", "--rm", "--network", "none", &kept, "echo", "hi"]).ok();
        assert_eq!(done.stdout, "hi\n");
    }
    // A second image in the same layout; the first one stays.
    let layout = place.path("oci");
    place.copy(&[], "store:box", &format!("oci:{layout}:other"));
    assert_eq!(place.seen(&format!("oci:{layout}:x/y:1")), digest);
    assert_eq!(place.seen(&format!("oci:{layout}:other")), digest);
    // What others write is taken as it is: skopeo has compressed the layer.
    let theirs = place.path("theirs");
    run(place.daemon.neighbour("skopeo").args([
        "copy",
        "-q",
        "--src-tls-verify=false",
        &at(&first, "a:1"),
        &format!("oci:{theirs}:v1"),
    ]))
    .ok();
    let (theirs, again) = (format!("oci:{theirs}:v1"), at(&first, "again:1"));
    let copied = place.copy(&[], &theirs, &again);
    assert_eq!((place.seen(&theirs), place.seen(&again)), (copied.clone(), copied));
}

#[test]
fn a_copy_that_cannot_be_is_refused() {
    let place = Place::new();
    let dir = place.path("full");
    std::fs::create_dir(&dir).expect("a directory");
    std::fs::write(format!("{dir}/x"), "x").expect("a file");
    for (from, to, text) in [
        ("store:box", "box", "is no place to copy from or to"),
        ("containers-storage:x", "store:x", "podman and buildah is not supported"),
        ("store:nothing", "oci-archive:/tmp/x", "No such image"),
        ("store:box", "store:x@sha256:0", "invalid"),
        ("store:box", &format!("oci:{dir}"), "neither empty nor an OCI layout"),
        ("oci-archive:/nothing", "store:x", "cannot read the archive"),
    ] {
        place.naru(&["copy", from, to]).fails(1, text);
    }
    let file = place.path("a.tar");
    place
        .naru(&["copy", "--all", "store:box", &format!("docker-archive:{file}")])
        .fails(1, "holds one platform");
    place
        .naru(&["copy", "--platform", "linux/riscv64", "store:box", &format!("oci-archive:{file}")])
        .fails(1, "not there for `linux/riscv64`");
    place.naru(&["copy", "--format", "oci", "store:box", "store:x"]).fails(125, "not supported");
    assert!(!std::path::Path::new(&file).exists());
}

#[test]
fn an_index_is_put_together_and_pushed() {
    let place = Place::new();
    let registry = PeerRegistry::start(&place.daemon, FIRST, Options::default());
    let name = |rest: &str| registry.name(rest);
    let at = |rest: &str| format!("docker://{}", registry.name(rest));
    // Two images that say another platform each, in repositories of their own.
    let amd = place.copy(&[], "store:box", &at("amd:1"));
    let list = name("both:1");
    place.naru(&["manifest", "create", &list, &name("amd:1")]).ok();
    place
        .naru(&["manifest", "create", &list, &name("amd:1")])
        .fails(1, "refusing to amend an existing manifest list with no --amend flag");
    // The same platform twice is a mistake, until it is told apart.
    place.copy(&[], "store:box", &at("both:second"));
    let second = name("both:second");
    place
        .naru(&["manifest", "create", "--amend", &list, &second])
        .fails(1, "are both for linux/amd64");
    place
        .naru(&["manifest", "annotate", &list, &name("amd:1"), "--arch", "zx80"])
        .fails(1, "unsupported os/arch combination: linux/zx80");
    place
        .naru(&["manifest", "annotate", &list, &name("amd:1"), "--arch", "arm", "--variant", "v7"])
        .ok();
    place.naru(&["manifest", "create", "--amend", &list, &second]).ok();
    let local = place.naru(&["manifest", "inspect", &list]).ok().stdout;
    assert!(local.starts_with("{\n\t\"schemaVersion\": 2,"), "{local}");
    assert!(local.contains("\"variant\": \"v7\""), "{local}");
    let pushed = place.naru(&["manifest", "push", "--purge", &list]).ok().stdout;
    let (brought, digest) = pushed.trim().split_once('\n').expect("two lines");
    assert_eq!(brought, format!("Pushed ref {}@{amd} with digest: {amd}", name("both")));
    let raw = run(place.daemon.neighbour("skopeo").args([
        "inspect",
        "--raw",
        "--tls-verify=false",
        &at("both:1"),
    ]))
    .ok()
    .stdout;
    assert_eq!(raw.matches(&amd).count(), 2, "{raw}");
    // What is there now is shown as it is, and copied whole.
    place.naru(&["manifest", "rm", &list]).fails(1, "No such manifest");
    let remote = place.naru(&["manifest", "inspect", &list]).ok().stdout;
    assert_eq!(
        remote.split_whitespace().collect::<String>(),
        raw.split_whitespace().collect::<String>()
    );
    let verbose = place.naru(&["manifest", "inspect", "-v", &second]).ok().stdout;
    assert!(verbose.contains(&format!("\"Ref\": \"{second}\"")), "{verbose}");
    assert_eq!(place.copy(&["--all"], &at("both:1"), &at("copied/both:1")), digest);
    assert_eq!(place.copy(&["--platform", "linux/amd64"], &at("both:1"), &at("one:1")), amd);
    place.naru(&["manifest", "create", "x:1", &list]).fails(1, "is a manifest list");
    place.naru(&["manifest", "inspect", &name("nothing:1")]).fails(1, "not found");
}
