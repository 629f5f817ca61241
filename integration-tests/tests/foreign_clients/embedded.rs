//! The registry inside the daemon, by TLS and password too: what others push there runs at once.

use super::{ADDRESS, USER};
use integration_tests::peer_docker::PeerDocker;
use integration_tests::peer_registry::PASSWORD;
use integration_tests::{Daemon, image, run, run_with_input};
use std::path::Path;
use std::process::Command;

/// The names of the blobs in the daemon's store.
fn blobs(daemon: &Daemon) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(daemon.data_root().join("content/blobs/sha256"));
    let mut names: Vec<_> =
        entries.expect("the store").map(|entry| entry.expect("a blob").file_name()).collect();
    names.sort();
    names
}

/// A configuration with users, and a certificate for the address.
fn configuration(dir: &Path) -> String {
    let (host, _) = ADDRESS.split_once(':').expect("a port");
    let users = dir.join("htpasswd");
    let line = run(Command::new("htpasswd").args(["-nbB", USER, PASSWORD])).ok();
    std::fs::write(&users, line.stdout).expect("a file");
    let config = serde_json::json!({
        "listen": ":5000", "tls": {"auto": [host]}, "auth": {"htpasswd": users, "challenge": "token"},
    });
    let file = dir.join("registry.json");
    std::fs::write(&file, config.to_string()).expect("a file");
    file.display().to_string()
}

#[test]
fn what_dockerd_and_skopeo_push_into_the_daemon_runs_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = configuration(dir.path());
    let daemon = Daemon::start_apart(&["--registry-config", &config, "--registry-name", ADDRESS]);
    let (host, _) = ADDRESS.split_once(':').expect("a port");
    run(daemon.neighbour("ip").args(["addr", "add", &format!("{host}/32"), "dev", "lo"])).ok();
    let authority = daemon.data_root().join("registry/tls/ca.crt");
    let dockerd = PeerDocker::start(&daemon, ADDRESS, &authority);
    let docker = |words: &[&str]| run(&mut dockerd.command(words));
    let import = ["import", "-c", "CMD [\"sh\"]", "-", "box"];
    run_with_input(&mut dockerd.command(&import), &image::busybox_tar()).ok();
    let name = format!("{ADDRESS}/by/dockerd:1");
    docker(&["tag", "box", &name]).ok();
    assert!(docker(&["push", &name]).code != 0, "without the password");
    docker(&["login", "-u", USER, "-p", PASSWORD, ADDRESS]).ok();
    docker(&["push", &name]).ok();
    // Within the registry, by somebody else.
    let copied = format!("{ADDRESS}/by/skopeo:1");
    let mut skopeo = daemon.neighbour("skopeo");
    skopeo.args(["copy", "-q", "--preserve-digests", "--src-creds"]);
    skopeo.arg(format!("{USER}:{PASSWORD}")).arg("--dest-creds").arg(format!("{USER}:{PASSWORD}"));
    let certs = dir.path().join("certs");
    std::fs::create_dir(&certs).expect("a directory");
    std::fs::copy(&authority, certs.join("ca.crt")).expect("a certificate");
    skopeo.arg("--src-cert-dir").arg(&certs).arg("--dest-cert-dir").arg(&certs);
    run(skopeo.arg(format!("docker://{name}")).arg(format!("docker://{copied}"))).ok();
    let before = blobs(&daemon);
    for name in [&name, &copied] {
        let done = daemon.naru(&["run", "--rm", "--network", "none", name, "echo", "hi"]).ok();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("hi\n", ""), "nothing is pulled");
    }
    assert_eq!(blobs(&daemon), before, "nothing is copied");
    // What the engine has is theirs by a push that moves nothing.
    daemon.naru(&["tag", &name, &format!("{ADDRESS}/by/naru:1")]).ok();
    daemon.naru(&["push", &format!("{ADDRESS}/by/naru:1")]).ok();
    docker(&["pull", &format!("{ADDRESS}/by/naru:1")]).ok();
    assert_eq!(blobs(&daemon), before, "nothing is copied");
}
