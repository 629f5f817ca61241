//! `naru registry ls|tags|rm|gc|du`, quotas, audit and figures: against the registry inside the daemon, against Debian's, and on the
//! store of one that does not run. Acts: as root, with the built binary; every daemon has a network of its own.

mod catalog;

use integration_tests::peer_registry::{Options, PASSWORD, PeerRegistry, USER};
use integration_tests::{Daemon, Done, binary, run, run_with_input};
use serde_json::Value;
use std::process::Command;

const REGISTRY: &str = "127.0.0.1:5000";
const PEER: &str = "127.0.0.1:5001";
/// Where nobody is on loopback.
const FAR: &str = "10.9.9.9";

/// The client beside the daemon, with a configuration of the test's own.
fn client(daemon: &Daemon, words: &[&str]) -> Command {
    let mut command = daemon.neighbour(binary().to_str().expect("a path"));
    command.env("DOCKER_CONFIG", daemon.dir().join("config")).args(words);
    command
}

fn registry(daemon: &Daemon, words: &[&str]) -> Done {
    run(&mut client(daemon, &[&["registry"], words].concat()))
}

fn push(daemon: &Daemon, name: &str) -> Done {
    daemon.naru(&["tag", "box", name]).ok();
    daemon.naru(&["push", "-q", name])
}

#[test]
fn the_registry_of_a_daemon_is_managed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (audit, config) = (dir.path().join("audit"), dir.path().join("registry.json"));
    let text = format!(
        r#"{{"audit": {{"file": "{}"}}, "metrics": {{"enabled": true}},
            "quotas": [{{"repositories": ["small/*"], "tags": 2}}],
            "retention": [{{"repositories": ["ci/*"], "keep-pulled-within": "30d"}}]}}"#,
        audit.display()
    );
    std::fs::write(&config, text).expect("a file");
    let config = config.to_str().expect("a path");
    let options = ["--registry", ":5000", "--registry-config", config, "--registry-name", REGISTRY];
    let daemon = Daemon::start_apart(&options).with_busybox("box");

    // A quota holds for rows and for bytes.
    let name = |rest: &str| format!("{REGISTRY}/{rest}");
    push(&daemon, &name("small/app:1")).ok();
    push(&daemon, &name("small/app:2")).ok();
    push(&daemon, &name("small/app:2")).ok();
    let refused = "denied: the quota of `small/app` is 2 tags; 2 are used, and 1 more do not fit";
    push(&daemon, &name("small/app:3")).fails(1, refused);
    let mut skopeo = daemon.neighbour("skopeo");
    skopeo.args(["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    let copied = run(skopeo
        .arg(format!("docker://{}", name("small/app:1")))
        .arg(format!("docker://{}", name("small/app:3"))));
    copied.fails(1, "the quota of `small/app` is 2 tags");
    push(&daemon, &name("ci/app:new")).ok();

    // Lists, as docker's.
    let ls = registry(&daemon, &["ls", REGISTRY]).ok();
    assert_eq!(ls.stdout, "REPOSITORY\nci/app\nsmall/app\n");
    let ls = registry(&daemon, &["ls", "--url", &format!("http://{REGISTRY}"), "-q"]).ok();
    assert_eq!(ls.stdout, "ci/app\nsmall/app\n");
    assert_eq!(registry(&daemon, &["ls", "-q"]).ok().stdout, ls.stdout, "the default is here");
    let tags = registry(&daemon, &["tags", &name("small/app"), "--format", "{{.Reference}}"]).ok();
    assert_eq!(tags.stdout, format!("{0}/small/app:1\n{0}/small/app:2\n", REGISTRY));
    let digests = registry(&daemon, &["tags", "--digests", "small/app"]).ok().stdout;
    let digest = digests.lines().nth(1).expect("a tag").split_whitespace().nth(1);
    let digest = digest.expect("a digest").to_owned();
    assert!(digests.starts_with("TAG       DIGEST ") && digest.starts_with("sha256:"), "{digests}");
    let du = registry(&daemon, &["du", "--format", "json"]).ok();
    let usage: Value = serde_json::from_str(du.stdout.lines().nth(1).expect("two")).expect("JSON");
    assert_eq!((&usage["Repository"], &usage["Tags"]), (&"small/app".into(), &"2".into()));
    assert_eq!(usage["UniqueSize"], "0B", "all of it is in the other one too: {usage}");
    registry(&daemon, &["tags", "nothing"]).fails(1, "repository does not exist");
    registry(&daemon, &["rm", "small/app:9"]).fails(1, "manifest unknown");
    registry(&daemon, &["rm", "Small/app:9"]).fails(1, "invalid repository name `Small/app`");
    registry(&daemon, &["rm"]).fails(1, "requires at least 1 argument");
    registry(&daemon, &["ls", "--frobnicate"]).fails(125, "unknown flag: --frobnicate");
    registry(&daemon, &["gc", "127.0.0.1:1"]).fails(1, "Connection refused");

    // A tag goes, and makes room for another.
    let gone = registry(&daemon, &["rm", &name("small/app:2")]).ok();
    assert_eq!(gone.stdout, format!("Untagged: {REGISTRY}/small/app:2\n"));
    push(&daemon, &name("small/app:3")).ok();
    let asked = run_with_input(&mut client(&daemon, &["registry", "rm", "ci/app"]), b"n\n");
    asked.fails(1, "was not confirmed");
    let gone = registry(&daemon, &["rm", "-f", "ci/app"]).ok();
    assert_eq!(gone.stdout, "Deleted: localhost:5000/ci/app\n");
    registry(&daemon, &["rm", "-f", "ci/app"]).fails(1, "name unknown");
    let gone = registry(&daemon, &["rm", &format!("small/app@{digest}")]).ok();
    assert_eq!(gone.stdout, format!("Deleted: localhost:5000/small/app@{digest}\n"));
    assert_eq!(registry(&daemon, &["tags", "-q", "small/app"]).ok().stdout, "");
    let told = registry(&daemon, &["gc", "--grace", "0s", "--dry-run"]).ok();
    assert_eq!(told.stdout.matches("Deleted: localhost:5000/small/app@sha256:").count(), 2);
    registry(&daemon, &["gc", "--grace", "soon"]).fails(125, "unknown unit");
    let done = registry(&daemon, &["gc", "--grace", "0s", "--format", "json"]).ok();
    let done: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(done["blobs"], 0, "the engine has its image still: {done}");
    assert_eq!(registry(&daemon, &["ls", "-q"]).ok().stdout, "");
    daemon.naru(&["run", "--rm", "--network", "none", "box", "true"]).ok();

    // Only this host may ask where there are no users.
    run(daemon.neighbour("ip").args(["addr", "add", &format!("{FAR}/32"), "dev", "lo"])).ok();
    let far = format!("http://{FAR}:5000");
    let denied = run(daemon
        .neighbour("curl")
        .args(["-s", "--interface", FAR])
        .arg(format!("{far}/admin/usage")));
    assert!(denied.ok().stdout.contains("DENIED"));

    // Who did what, and how much of it.
    let figures = run(daemon.neighbour("curl").args(["-s", &format!("http://{REGISTRY}/metrics")]))
        .ok()
        .stdout;
    for line in [
        "naru_registry_upkeep_runs_total 1",
        "naru_registry_sweep_members_total 2",
        "naru_registry_uploads_open 0",
    ] {
        assert!(figures.lines().any(|it| it == line), "{line}\n{figures}");
    }
    let text = std::fs::read_to_string(&audit).expect("an audit");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let has = |action: &str, reference: &str, status: u64, by_rows: bool| {
        lines.iter().any(|line| {
            line["action"] == action
                && line["reference"] == reference
                && line["status"] == status
                && line["peer"].is_null() == by_rows
        })
    };
    assert!(has("push", "1", 201, true) && has("push", "3", 403, true), "{text}");
    assert!(has("push", "3", 403, false) && has("delete", "2", 202, false), "{text}");
    assert!(has("admin", "gc", 200, false) && has("admin", "usage", 403, false), "{text}");
}

#[test]
fn a_foreign_registry_is_managed_by_the_protocol() {
    let daemon = Daemon::start_apart(&[]).with_busybox("box");
    let peer = PeerRegistry::start(&daemon, PEER, Options { password: true, tls: false });
    let config = daemon.dir().join("config");
    std::fs::create_dir(&config).expect("a directory");
    registry(&daemon, &["ls", PEER]).fails(1, "unauthorized");
    let mut login = daemon.command(&["login", "-u", USER, "--password-stdin", peer.address()]);
    run_with_input(login.env("DOCKER_CONFIG", &config), PASSWORD.as_bytes()).ok();
    for tag in ["a/app:1", "a/app:2", "b/app:1"] {
        let name = peer.name(tag);
        daemon.naru(&["tag", "box", &name]).ok();
        run(daemon.command(&["push", "-q", &name]).env("DOCKER_CONFIG", &config)).ok();
    }
    assert_eq!(registry(&daemon, &["ls", "-q", PEER]).ok().stdout, "a/app\nb/app\n");
    assert_eq!(registry(&daemon, &["tags", "-q", &peer.name("a/app")]).ok().stdout, "1\n2\n");
    let du = registry(&daemon, &["du", PEER]).ok();
    assert!(du.stderr.contains("added up from what its tags lead to"), "{}", du.stderr);
    let row: Vec<&str> = du.stdout.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row.get(..4), Some(&["a/app", "2", "1", "2"][..]), "{}", du.stdout);
    registry(&daemon, &["gc", PEER]).fails(1, "cannot be asked to collect");
    // It removes by digest only, and says so.
    registry(&daemon, &["rm", &peer.name("a/app:1")]).fails(1, "remove by digest only");
    let gone = registry(&daemon, &["rm", "-f", &peer.name("a/app")]).ok();
    assert_eq!(gone.stdout, format!("Deleted: {}\n", peer.name("a/app")));
    let left = run(daemon.command(&["pull", &peer.name("a/app:2")]).env("DOCKER_CONFIG", &config));
    left.fails(1, "not found");
    assert_eq!(registry(&daemon, &["tags", "-q", &peer.name("b/app")]).ok().stdout, "1\n");
}

#[test]
fn the_content_of_a_registry_that_does_not_run_is_managed() {
    let mut daemon = Daemon::start_apart(&["--registry", REGISTRY]).with_busybox("box");
    push(&daemon, &format!("{REGISTRY}/app:1")).ok();
    push(&daemon, &format!("{REGISTRY}/app:2")).ok();
    let root = daemon.data_root();
    let root = root.to_str().expect("a path").to_owned();
    let on =
        |daemon: &Daemon, words: &[&str]| registry(daemon, &[words, &["--root", &root]].concat());
    let pid = daemon.pid();
    let held = on(&daemon, &["ls"]);
    assert!(held.stderr.contains("leaving `--root` out"), "{}", held.stderr);
    held.fails(1, &format!("in use by process {pid}"));
    daemon.terminate();
    assert_eq!(on(&daemon, &["ls", "-q"]).ok().stdout, "app\n");
    assert_eq!(on(&daemon, &["tags", "-q", "app"]).ok().stdout, "1\n2\n");
    assert_eq!(on(&daemon, &["rm", "app:1"]).ok().stdout, "Untagged: app:1\n");
    on(&daemon, &["rm", "app:1"]).fails(1, "there is no `app:1`");
    assert!(on(&daemon, &["du"]).ok().stdout.contains("\napp          1         1           2 "));
    on(&daemon, &["rm", "-f", "app"]).ok();
    on(&daemon, &["tags", "app"]).fails(1, "there is no `app`");
    let gc = on(&daemon, &["gc", "--grace", "0s"]).ok();
    assert!(gc.stdout.contains("Total reclaimed space: 0B"), "the engine holds it: {}", gc.stdout);
    registry(&daemon, &["ls", "--root", "/nowhere"]).fails(1, "there is no registry's content");
    daemon.launch();
    daemon.naru(&["run", "--rm", "--network", "none", "box", "true"]).ok();
    assert_eq!(registry(&daemon, &["ls", "-q", REGISTRY]).ok().stdout, "");
}
