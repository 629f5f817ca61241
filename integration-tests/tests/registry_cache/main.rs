//! Our registry as a cache of Debian's docker-registry, which then goes away. Acts: as root, with the built binary.

use integration_tests::peer_registry::{Options, PASSWORD, PeerRegistry, USER};
use integration_tests::{Daemon, binary, run, until};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

const UPSTREAM: &str = "127.0.0.1:5000";
const CACHE: &str = "127.0.0.1:5001";
const DEADLINE: Duration = Duration::from_secs(60);

/// A `naru registry serve` that ends with the test.
struct Registry(Child);

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[track_caller]
fn serve(daemon: &Daemon) -> Registry {
    let dir = daemon.dir();
    let credentials = dir.join("credentials");
    std::fs::write(&credentials, format!("{USER}:{PASSWORD}\n")).expect("a file");
    let config = dir.join("registry.json");
    let text = format!(
        r#"{{"cache":{{"local":["own"],"upstreams":[
            {{"name":"docker.io","prefix":"","url":"http://{UPSTREAM}","ttl":"1s","credentials":"{}"}}]}}}}"#,
        credentials.display()
    );
    std::fs::write(&config, text).expect("a file");
    let log = std::fs::File::create(dir.join("registry.log")).expect("a log");
    let child = daemon
        .neighbour(binary().to_str().expect("a path"))
        .args(["registry", "serve", "--listen", CACHE, "--root"])
        .arg(dir.join("registry"))
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the built binary");
    let registry = Registry(child);
    let target: SocketAddr = CACHE.parse().expect("an address");
    let ready = daemon.nearby(|| until(DEADLINE, || TcpStream::connect(target).ok().map(drop)));
    assert!(ready.is_some(), "the registry does not answer");
    registry
}

#[test]
fn what_was_pulled_through_is_served_when_the_upstream_is_gone_and_it_is_said() {
    let mirror = format!("--registry-mirror=http://{CACHE}");
    let daemon = Daemon::start_apart(&[&mirror]).with_busybox("box");
    let upstream = PeerRegistry::start(&daemon, UPSTREAM, Options { password: true, tls: false });
    let archive = daemon.dir().join("box.tar");
    let archive = archive.to_str().expect("a path");
    run(&mut daemon.command(&["save", "-o", archive, "box"])).ok();
    let pushed = format!("docker://{UPSTREAM}/library/box:v1");
    let source = format!("docker-archive:{archive}");
    let who = format!("{USER}:{PASSWORD}");
    let words = ["copy", "-q", "--dest-tls-verify=false", "--dest-creds", &who, &source, &pushed];
    run(daemon.neighbour("skopeo").args(words)).ok();

    let registry = serve(&daemon);
    let pull = |into: &str| {
        let into = format!("dir:{}", daemon.dir().join(into).display());
        let from = format!("docker://{CACHE}/box:v1");
        run(daemon.neighbour("skopeo").args(["copy", "-q", "--src-tls-verify=false", &from, &into]))
    };
    let head = || {
        let url = format!("http://{CACHE}/v2/library/box/manifests/v1");
        run(daemon.neighbour("curl").args(["-sI", &url])).ok().stdout
    };
    pull("cold").ok();
    assert!(!head().to_lowercase().contains("warning:"));

    drop(upstream);
    let stale = until(DEADLINE, || Some(head()).filter(|head| head.contains("299 - ")));
    let stale = stale.expect("a warning");
    assert!(stale.contains(" 200 ") && stale.contains("docker.io is away"), "{stale}");
    pull("stale").ok();
    let (cold, stale) = (daemon.dir().join("cold"), daemon.dir().join("stale"));
    run(std::process::Command::new("diff").arg("-r").args([&cold, &stale])).ok();
    // Docker's client and our engine, to which the cache is Docker Hub's mirror.
    run(&mut daemon.docker_command(&["pull", "-q", "library/box:v1"])).ok();
    let said =
        run(&mut daemon.docker_command(&["run", "--rm", "library/box:v1", "echo", "hi"])).ok();
    assert_eq!(said.text(), "hi");
    let log = std::fs::read_to_string(daemon.dir().join("registry.log")).expect("the log");
    assert!(log.contains("the upstream is away: serving"), "{log}");
    // Nothing can be pushed there, but to what is our own.
    for (name, code) in [("box", "403"), ("own/box", "202")] {
        let url = format!("http://{CACHE}/v2/{name}/blobs/uploads/");
        let words = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", &url];
        assert_eq!(run(daemon.neighbour("curl").args(words)).ok().text(), code, "{name}");
    }
    drop(registry);
}

/// The bound on bytes a second is for everything that the daemon transfers, also what it caches for others.
#[test]
fn the_daemons_rate_binds_its_cache() {
    const OWN: &str = "127.0.0.1:5002";
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("registry.json");
    let text = format!(
        r#"{{"cache":{{"upstreams":[{{"name":"docker.io","prefix":"","url":"http://{UPSTREAM}","ttl":"1s"}}]}}}}"#
    );
    std::fs::write(&config, text).expect("a file");
    let config = config.to_str().expect("a path");
    let words = ["--registry", OWN, "--registry-config", config, "--limit-rate", "256k"];
    let daemon = Daemon::start_apart(&words);
    let upstream = PeerRegistry::start(&daemon, UPSTREAM, Options::default());
    // What does not compress stays as large as it is.
    let blob: Vec<u8> = (0..1_u32 << 17)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let file = dir.path().join("blob");
    std::fs::write(&file, &blob).expect("a file");
    let digest = naru_oci::Digest::of(&blob);
    let asked = ["-s", "-D", "-", "-o", "/dev/null", "-X", "POST"];
    let url = format!("http://{UPSTREAM}/v2/library/box/blobs/uploads/");
    let opened = run(daemon.neighbour("curl").args(asked).arg(&url)).ok().stdout;
    let place = opened.lines().find_map(|line| line.strip_prefix("Location: ")).expect("a place");
    let put = format!("{}&digest={digest}", place.trim());
    let words = ["-s", "-f", "-X", "PUT", "-T", file.to_str().expect("a path"), &put];
    run(daemon.neighbour("curl").args(words)).ok();

    let get = || {
        let url = format!("http://{OWN}/v2/library/box/blobs/{digest}");
        let words = ["-s", "-f", "-w", "%{time_total} %{size_download}", "-o", "/dev/null", &url];
        let done = run(daemon.neighbour("curl").args(words)).ok();
        let (time, size) = done.text().split_once(' ').expect("two numbers");
        assert_eq!(size, "524288");
        time.parse::<f64>().expect("seconds")
    };
    // Two seconds' worth, less the short burst.
    let cold = get();
    assert!((1.7..10.0).contains(&cold), "{cold} s");
    // What is there is not transferred again.
    let warm = get();
    assert!(warm < cold / 2.0, "{warm} s after {cold} s");
    drop(upstream);
}

/// The daemon is a client of its own registry's cache like everybody.
#[test]
fn the_daemon_pulls_through_its_own_cache_and_pushes_nothing_into_it() {
    const OWN: &str = "127.0.0.1:5003";
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("registry.json");
    let text = format!(
        r#"{{"cache":{{"upstreams":[{{"name":"docker.io","prefix":"hub","url":"http://{UPSTREAM}"}}]}}}}"#
    );
    std::fs::write(&config, text).expect("a file");
    let config = config.to_str().expect("a path");
    let daemon = Daemon::start_apart(&["--registry", OWN, "--registry-config", config]);
    let daemon = daemon.with_busybox("box");
    let upstream = PeerRegistry::start(&daemon, UPSTREAM, Options::default());
    let at_home = format!("{UPSTREAM}/library/box:v1");
    daemon.naru(&["tag", "box", &at_home]).ok();
    daemon.naru(&["push", &at_home]).ok();
    // Nothing is here but what is pulled now.
    daemon.naru(&["rmi", "-f", &at_home, "box"]).ok();
    let name = format!("{OWN}/hub/box:v1");
    let done = daemon.naru(&["run", "--rm", "--network", "none", &name, "echo", "hi"]).ok();
    assert_eq!(done.text(), "hi");
    for pushed in ["hub/box:v2", "hub/library/box:v1"] {
        let pushed = format!("{OWN}/{pushed}");
        daemon.naru(&["tag", &name, &pushed]).ok();
        let done = daemon.naru(&["push", &pushed]).fails(1, "is a cache of `docker.io`");
        assert!(done.stderr.contains("denied: "), "{}", done.stderr);
        assert!(done.stderr.contains("that is this registry's own"), "{}", done.stderr);
    }
    let own = format!("{OWN}/own/box:v1");
    daemon.naru(&["tag", &name, &own]).ok();
    daemon.naru(&["push", &own]).ok();
    drop(upstream);
}
