//! The registry inside the daemon, with foreign clients: what they push runs at once, what we push they pull. Acts: as root, with the
//! built binary; every daemon has a network of its own.

use integration_tests::{Daemon, Done, run};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const REGISTRY: &str = "127.0.0.1:5000";

fn embedded() -> Daemon {
    Daemon::start_apart(&["--registry", REGISTRY]).with_busybox("box")
}

/// The blobs of the daemon's store: names and inodes.
fn blobs(daemon: &Daemon) -> Vec<String> {
    let directory = daemon.data_root().join("content/blobs/sha256");
    let entries = std::fs::read_dir(directory).expect("the store's blobs");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    names
}

fn run_image(daemon: &Daemon, name: &str, word: &str) -> Done {
    daemon.naru(&["run", "--rm", "--network", "none", name, "echo", word])
}

/// The digest that skopeo sees.
fn skopeo_digest(daemon: &Daemon, name: &str) -> String {
    let mut skopeo = daemon.neighbour("skopeo");
    skopeo.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"]);
    run(skopeo.arg(format!("docker://{name}"))).ok().text().to_owned()
}

fn save(daemon: &Daemon, archive: &Path) {
    daemon.naru(&["save", "-o", archive.to_str().expect("a path"), "box"]).ok();
}

#[test]
fn what_skopeo_pushes_runs_at_once_without_a_pull_and_without_a_second_copy() {
    let daemon = embedded();
    let archive = daemon.dir().join("box.tar");
    save(&daemon, &archive);
    let name = format!("{REGISTRY}/team/app:1");
    let mut skopeo = daemon.neighbour("skopeo");
    skopeo.args(["copy", "-q", "--dest-tls-verify=false", "--format", "oci"]);
    run(skopeo
        .arg(format!("docker-archive:{}", archive.display()))
        .arg(format!("docker://{name}")))
    .ok();
    let before = blobs(&daemon);
    let done = run_image(&daemon, &name, "hi").ok();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("hi\n", ""), "nothing is pulled");
    assert_eq!(blobs(&daemon), before, "nothing is copied");
    // The engine's name goes, the registry's image stays; and the other way round.
    daemon.naru(&["rmi", &name]).ok();
    run_image(&daemon, &name, "again").ok();
    let mut skopeo = daemon.neighbour("skopeo");
    run(skopeo.args(["delete", "--tls-verify=false"]).arg(format!("docker://{name}"))).ok();
    run_image(&daemon, &name, "still").ok();
}

#[test]
fn a_tag_that_moves_at_the_registry_is_seen_by_the_next_run() {
    let daemon = embedded();
    let name = format!("{REGISTRY}/app:1");
    for word in ["first", "second"] {
        // Another image each time: its configuration differs.
        let change = format!("ENV WORD={word}");
        let root = integration_tests::image::busybox_tar();
        daemon.naru_with_input(&["import", "-c", &change, "-", "made"], &root).ok();
        let archive = daemon.dir().join(format!("{word}.tar"));
        daemon.naru(&["save", "-o", archive.to_str().expect("a path"), "made"]).ok();
        let mut skopeo = daemon.neighbour("skopeo");
        skopeo.args(["copy", "-q", "--dest-tls-verify=false"]);
        skopeo.arg(format!("docker-archive:{}", archive.display()));
        run(skopeo.arg(format!("docker://{name}"))).ok();
        let done = daemon
            .naru(&["run", "--rm", "--network", "none", &name, "sh", "-c", "echo $WORD"])
            .ok();
        assert_eq!(done.stdout, format!("{word}\n"));
    }
}

#[test]
fn a_push_to_the_own_registry_moves_no_bytes_and_others_pull_it_with_the_same_digest() {
    let daemon = embedded();
    // 300 MB that do not compress, so that moving them would take its time.
    let big = daemon.dir().join("root/big");
    std::fs::create_dir_all(big.parent().expect("a directory")).expect("a directory");
    let mut random = std::fs::File::open("/dev/urandom")
        .map(|file| std::io::Read::take(file, 300 << 20))
        .expect("bytes");
    std::io::copy(&mut random, &mut std::fs::File::create(&big).expect("a file")).expect("a file");
    let tar = daemon.dir().join("root.tar");
    run(Command::new("tar").arg("-C").arg(daemon.dir().join("root")).arg("-cf").arg(&tar).arg("."))
        .ok();
    let name = format!("{REGISTRY}/big:1");
    daemon.naru(&["import", tar.to_str().expect("a path"), &name]).ok();
    let before = blobs(&daemon);
    let begun = Instant::now();
    let pushed = daemon.naru(&["push", &name]).ok();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "a push by rows took {took:?}");
    assert_eq!(blobs(&daemon), before, "no byte is moved");
    let digest = skopeo_digest(&daemon, &name);
    assert!(pushed.stdout.contains(&format!("1: digest: {digest} size: ")), "{}", pushed.stdout);
    let layout = daemon.dir().join("layout");
    let mut skopeo = daemon.neighbour("skopeo");
    skopeo
        .args(["copy", "-q", "--src-tls-verify=false", "--preserve-digests"])
        .arg(format!("docker://{name}"));
    run(skopeo.arg(format!("oci:{}:x", layout.display()))).ok();
    let index = std::fs::read_to_string(layout.join("index.json")).expect("a layout");
    assert!(index.contains(&digest), "{index}");
}

#[test]
fn foreign_clients_push_list_and_pull() {
    let daemon = embedded();
    let archive = daemon.dir().join("box.tar");
    save(&daemon, &archive);
    let from = format!("docker-archive:{}", archive.display());
    // Both formats of manifests.
    for format in ["oci", "v2s2"] {
        let mut skopeo = daemon.neighbour("skopeo");
        skopeo.args(["copy", "-q", "--dest-tls-verify=false", "--format", format, &from]);
        run(skopeo.arg(format!("docker://{REGISTRY}/formats:{format}"))).ok();
        run_image(&daemon, &format!("{REGISTRY}/formats:{format}"), "hi").ok();
    }
    let mut skopeo = daemon.neighbour("skopeo");
    let tags = run(skopeo
        .args(["list-tags", "--tls-verify=false"])
        .arg(format!("docker://{REGISTRY}/formats")))
    .ok();
    assert!(tags.stdout.contains("\"oci\"") && tags.stdout.contains("\"v2s2\""), "{}", tags.stdout);
    let synced = daemon.dir().join("synced");
    let mut skopeo = daemon.neighbour("skopeo");
    skopeo.args(["sync", "--src-tls-verify=false", "--src", "docker", "--dest", "dir"]);
    run(skopeo.arg(format!("{REGISTRY}/formats")).arg(&synced)).ok();
    // podman and buildah, each with a store of its own.
    for program in ["podman", "buildah"] {
        let storage = daemon.dir().join(program);
        let on = |words: &[&str]| {
            let mut command = daemon.neighbour(program);
            command
                .arg("--root")
                .arg(storage.join("root"))
                .arg("--runroot")
                .arg(storage.join("run"));
            command.args(["--storage-driver", "vfs"]).args(words);
            run(&mut command).ok()
        };
        let pulled = format!("{REGISTRY}/formats:oci");
        let pushed = format!("{REGISTRY}/by/{program}:1");
        on(&["pull", "-q", "--tls-verify=false", &pulled]);
        on(&["tag", &pulled, &pushed]);
        on(&["push", "-q", "--tls-verify=false", &pushed]);
        run_image(&daemon, &pushed, "hi").ok();
    }
    // The docker CLI, through our daemon.
    let pushed = format!("{REGISTRY}/by/docker:1");
    daemon.docker(&["tag", "box", &pushed]).ok();
    daemon.docker(&["push", &pushed]).ok();
    let catalog = daemon.nearby(|| {
        let mut curl = Command::new("curl");
        run(curl.args(["-s", &format!("http://{REGISTRY}/v2/_catalog")])).ok().stdout
    });
    for repository in ["by/buildah", "by/docker", "by/podman", "formats"] {
        assert!(catalog.contains(&format!("\"{repository}\"")), "{catalog}");
    }
}

#[test]
fn what_is_built_is_pushed_to_the_own_registry_with_what_is_said_of_it() {
    let daemon = embedded();
    let files = [("Dockerfile", "FROM box\nRUN echo made > /a\nCMD [\"cat\", \"/a\"]\n")];
    let dir = integration_tests::context(&daemon, "c", &files);
    let dir = dir.to_str().expect("a path");
    let head = ["build", "-q", "--network", "none"];
    let (flag, output) = (format!("{REGISTRY}/by/flag:1"), format!("{REGISTRY}/by/output:1"));
    let by_output = format!("type=image,name={output},push=true");
    daemon.naru(&[&head[..], &["-t", &flag, "--push", dir]].concat()).ok();
    daemon.naru(&[&head[..], &["--sbom=true", "--output", &by_output, dir]].concat()).ok();
    // An image alone has a manifest, one with documents an index.
    for (name, field) in [(&flag, "layers"), (&output, "manifests")] {
        let mut skopeo = daemon.neighbour("skopeo");
        skopeo.args(["inspect", "--raw", "--tls-verify=false"]);
        let raw = run(skopeo.arg(format!("docker://{name}"))).ok().stdout;
        assert!(raw.contains(&format!("\"{field}\":[")), "{raw}");
        // It is there without the engine's name too.
        daemon.naru(&["rmi", name]).ok();
        let ran = daemon.naru(&["run", "--rm", "--network", "none", name]).ok();
        assert_eq!((ran.text(), ran.stderr.as_str()), ("made", ""), "nothing is pulled");
    }
    daemon.naru(&["system", "verify"]).ok();
}
