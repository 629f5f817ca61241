//! An image as people have them, of many layers and hundreds of megabytes: it goes everywhere and stays the same, and what is in it
//! runs. Acts: as root, with the built binary; every daemon has a network of its own.

use integration_tests::own_registry::{Challenge, OwnRegistry};
use integration_tests::peer_registry::{Options, PASSWORD, PeerRegistry, USER};
use integration_tests::{Daemon, Done, debian, run, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Our registry, which only lets those in who have the password and the certificate.
const OURS: &str = "10.9.9.9:5000";
/// Debian's.
const THEIRS: &str = "127.0.0.1:5001";
const DEADLINE: Duration = Duration::from_secs(60);

/// A JSON document of a layout.
#[track_caller]
fn document(path: &Path) -> Value {
    let bytes = std::fs::read(path).expect("a document");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// The digest of the image in its layout, and its manifest.
#[track_caller]
fn image() -> (String, Value) {
    let layout = debian::layered_layout();
    let index = document(&layout.join("index.json"));
    let entry = &index["manifests"][0];
    assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], debian::LAYERED_TAG);
    let digest = entry["digest"].as_str().expect("a digest").to_owned();
    let manifest = document(&layout.join("blobs").join(digest.replacen(':', "/", 1)));
    (digest, manifest)
}

/// Where the image is at first, as `copy` names it.
fn source() -> String {
    format!("oci:{}:{}", debian::layered_layout().display(), debian::LAYERED_TAG)
}

/// The blobs of a layout. Their names are the digests that whoever wrote them has verified.
#[track_caller]
fn blobs(layout: &Path) -> BTreeSet<(String, u64)> {
    let entries = std::fs::read_dir(layout.join("blobs/sha256")).expect("blobs");
    let entry = |entry: std::fs::DirEntry| {
        let size = entry.metadata().expect("a blob").len();
        (entry.file_name().into_string().expect("a digest"), size)
    };
    entries.map(|found| entry(found.expect("an entry"))).collect()
}

#[test]
fn it_is_as_large_as_it_is_said_to_be() {
    let (_, manifest) = image();
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), debian::LAYER_COUNT);
    let size: u64 = layers.iter().filter_map(|layer| layer["size"].as_u64()).sum();
    assert!(size > 300_000_000, "{size} bytes in layers");
}

struct Place {
    ours: OwnRegistry,
    theirs: PeerRegistry,
    daemon: Daemon,
    _certs: tempfile::TempDir,
}

impl Place {
    /// A daemon that trusts our registry, and a client that knows the password.
    #[track_caller]
    fn new() -> Place {
        let certs = tempfile::tempdir().expect("a directory");
        let daemon = Daemon::start_apart(&["--certs-dir", certs.path().to_str().expect("a path")]);
        run(daemon.neighbour("ip").args(["addr", "add", "10.9.9.9/32", "dev", "lo"])).ok();
        let ours = OwnRegistry::start(&daemon, OURS, Challenge::Token);
        let theirs = PeerRegistry::start(&daemon, THEIRS, Options::default());
        let own = certs.path().join(OURS);
        std::fs::create_dir(&own).expect("a directory");
        std::fs::copy(ours.authority(), own.join("ca.crt")).expect("a certificate");
        let place = Place { ours, theirs, daemon, _certs: certs };
        place.naru(&["login", "-u", USER, "-p", PASSWORD, OURS]).ok();
        place
    }

    #[track_caller]
    fn naru(&self, words: &[&str]) -> Done {
        let config = self.daemon.dir().join("docker-config");
        run(self.daemon.command(words).env("DOCKER_CONFIG", config))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.daemon.dir().join(name)
    }

    /// Copies, and says which manifest was copied.
    #[track_caller]
    fn copy(&self, from: &str, to: &str) -> String {
        let file = self.path("digest");
        let named = file.to_str().expect("a path");
        self.naru(&["copy", "-q", "--digestfile", named, from, to]).ok();
        std::fs::read_to_string(&file).expect("a digest")
    }

    /// What skopeo sees under a name of either registry.
    #[track_caller]
    fn seen(&self, name: &str) -> String {
        let mut skopeo = self.daemon.neighbour("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"]);
        if name.starts_with(OURS) {
            skopeo.args(["--creds", &format!("{USER}:{PASSWORD}")]);
        }
        run(skopeo.arg(format!("docker://{name}"))).ok().text().to_owned()
    }

    /// How many bytes of content our registry was sent for a repository, and how many uploads it began. Its audit comes a moment
    /// later than its answers, in their order: it is waited for until the manifest is there.
    #[track_caller]
    fn received(&self, repository: &str, tag: &str) -> (u64, usize) {
        let lines = || -> Option<Vec<Value>> {
            let audit = self.ours.audit();
            let all = audit.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let all: Vec<Value> = all
                .filter(|line| line["repository"] == repository && line["action"] == "push")
                .collect();
            all.iter().any(|line| line["reference"] == tag && line["status"] == 201).then_some(all)
        };
        let lines = until(DEADLINE, lines).expect("the manifest in the audit");
        let content = || lines.iter().filter(|line| line["reference"] != tag);
        let bytes = content().filter_map(|line| line["bytes"].as_u64()).sum();
        (bytes, content().filter(|line| line["status"] == 202).count())
    }
}

#[test]
fn it_is_pulled_pushed_mounted_and_copied_and_stays_the_same() {
    let (digest, _) = image();
    let place = Place::new();
    let (ours, theirs) = (|rest: &str| place.ours.name(rest), |rest: &str| place.theirs.name(rest));
    let at = |name: String| format!("docker://{name}");
    let blobs_of_source = blobs(&debian::layered_layout());
    let content: u64 = blobs_of_source.iter().map(|(_, size)| size).sum();
    // Into our registry, whole.
    assert_eq!(place.copy(&source(), &at(ours("real/services:1"))), digest);
    assert_eq!(place.seen(&ours("real/services:1")), digest);
    let (bytes, _) = place.received("real/services", "1");
    assert!(bytes > content / 10 * 9, "{bytes} of {content}");
    // Pulled, and pushed on to Debian's registry.
    let pulled = place.naru(&["pull", &ours("real/services:1")]).ok().stdout;
    assert!(pulled.contains(&format!("\nDigest: {digest}\n")), "{pulled}");
    assert_eq!(pulled.matches(": Pull complete").count(), debian::LAYER_COUNT, "{pulled}");
    let push = |name: &str| {
        place.naru(&["tag", &ours("real/services:1"), name]).ok();
        place.naru(&["push", name]).ok().stdout
    };
    let pushed = push(&theirs("real/services:1"));
    assert!(pushed.contains(&format!("1: digest: {digest} size: ")), "{pushed}");
    assert_eq!(place.seen(&theirs("real/services:1")), digest);
    // Into other repositories of both: no byte of content goes.
    for (name, from) in
        [(ours("else/where:1"), "real/services"), (theirs("else/where:1"), "real/services")]
    {
        let pushed = push(&name);
        let mounted = format!(": Mounted from {from}");
        assert_eq!(pushed.matches(&mounted).count(), debian::LAYER_COUNT, "{pushed}");
        assert!(pushed.contains(&format!("1: digest: {digest} size: ")), "{pushed}");
        assert_eq!(place.seen(&name), digest);
    }
    assert_eq!(place.received("else/where", "1"), (0, 0), "bytes and uploads");
    // Pushed once more, and pulled once more: there is nothing to do.
    let again = place.naru(&["push", &ours("else/where:1")]).ok().stdout;
    assert_eq!(again.matches(": Layer already exists").count(), debian::LAYER_COUNT, "{again}");
    let again = place.naru(&["pull", &theirs("else/where:1")]).ok().stdout;
    assert!(again.contains(&format!("\nDigest: {digest}\n")), "{again}");
    // Copied: within our registry, which mounts; from registry to registry; by a layout and an archive; back.
    assert_eq!(place.copy(&at(ours("real/services:1")), &at(ours("copied/within:1"))), digest);
    assert_eq!(place.received("copied/within", "1"), (0, 0), "bytes and uploads");
    assert_eq!(place.copy(&at(theirs("real/services:1")), &at(ours("copied/across:1"))), digest);
    let layout = format!("oci:{}:x", place.path("layout").display());
    let archive = format!("oci-archive:{}:x", place.path("archive.tar").display());
    assert_eq!(place.copy(&at(ours("copied/across:1")), &layout), digest);
    assert_eq!(blobs(&place.path("layout")), blobs_of_source);
    assert_eq!(place.copy(&layout, &archive), digest);
    assert_eq!(place.copy(&archive, &at(theirs("copied/back:1"))), digest);
    // Somebody else takes it out of there, and has what was there at first.
    let end = place.path("end");
    let mut skopeo = place.daemon.neighbour("skopeo");
    skopeo.args(["copy", "-q", "--preserve-digests", "--src-tls-verify=false"]);
    skopeo.arg(at(theirs("copied/back:1"))).arg(format!("oci:{}:x", end.display()));
    run(&mut skopeo).ok();
    assert_eq!(blobs(&end), blobs_of_source);
}

#[test]
fn what_is_in_it_runs() {
    let daemon = Daemon::start_apart(&[]);
    daemon.naru(&["copy", "-q", &source(), "store:services"]).ok();
    let alone = ["run", "--rm", "--network", "none", "services"];
    let run = |words: &[&str]| daemon.naru(&[&alone[..], words].concat()).ok().stdout;
    let python = "import sqlite3, json; print(json.dumps({'answer': sum(range(4)) * 7}))";
    assert_eq!(run(&["python3", "-c", python]), "{\"answer\": 42}\n");
    let git = "cd /srv && git init -q . && git add word && git -c user.name=x -c user.email=x commit -qm first && git log --format=%s && git fsck";
    assert_eq!(run(&["sh", "-c", git]), "first\n");
    assert_eq!(run(&["sqlite3", ":memory:", "select 6 * 7"]), "42\n");
    // The last layer's file is there, and what it took away is not.
    let last =
        "cat /srv/word; test ! -e /usr/share/doc && test -d /usr/share/fonts && dpkg --audit";
    assert_eq!(run(&["sh", "-c", last]), "nine layers\n");
    // Services, and clients beside them.
    let start = |name: &str, words: &[&str]| {
        let run = ["run", "-d", "--name", name, "--network", "none", "services"];
        daemon.naru(&[&run[..], words].concat()).ok();
    };
    let beside = |name: &str, words: &[&str]| {
        let network = format!("container:{name}");
        let run = ["run", "--rm", "--network", &network, "services"];
        let answer = || {
            let done = daemon.naru(&[&run[..], words].concat());
            (done.code == 0 && !done.stdout.contains("refused")).then_some(done.stdout)
        };
        until(DEADLINE, answer).unwrap_or_else(|| panic!("no answer of {name}"))
    };
    start("web", &["nginx", "-g", "daemon off;"]);
    start("db", &["redis-server", "--save", "", "--dir", "/tmp"]);
    let get =
        "from urllib.request import urlopen; print(urlopen('http://127.0.0.1/').read().decode())";
    assert!(beside("web", &["python3", "-c", get]).contains("Welcome to nginx"));
    assert_eq!(beside("db", &["redis-cli", "incr", "visits"]), "1\n");
    for name in ["web", "db"] {
        daemon.naru(&["stop", name]).ok();
        let state = daemon.naru(&["inspect", "--format", "{{.State.ExitCode}}", name]).ok();
        assert_eq!(state.text(), "0", "{name}");
    }
}
