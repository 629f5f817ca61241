//! podman, with a store of its own.

use super::{ADDRESS, Site};
use integration_tests::own_registry::Challenge;
use integration_tests::peer_registry::{PASSWORD, USER};
use integration_tests::{Done, run};

fn comes_and_goes(challenge: Challenge) {
    let site = Site::new(challenge);
    site.login();
    let digest = site.push("by/naru:1");
    let ours = site.name("by/naru:1");
    let certs = site.cert_dir().display().to_string();
    let certs = ["--cert-dir", certs.as_str()];
    let podman = |words: &[&str]| -> Done {
        let mut command = site.with_storage("podman");
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        run(command.args(["--runtime", "runc"]).args(words))
    };
    let over = |verb: &[&str], names: &[&str]| podman(&[verb, &certs[..], names].concat());
    podman(&["pull", &ours]).fails(125, "certificate");
    assert_eq!(over(&["pull"], &[&ours]).code, 125, "without the password");
    over(&["login", "-u", USER, "-p", "wrong"], &[ADDRESS]).fails(125, "");
    let done = over(&["login", "-u", USER, "-p", PASSWORD], &[ADDRESS]).ok();
    assert_eq!(done.text(), "Login Succeeded!");
    over(&["pull", "-q"], &[&ours]).ok();
    let format = "{{.Digest}}";
    assert_eq!(podman(&["image", "inspect", "--format", format, &ours]).ok().text(), digest);
    let run_it = |name: &str| podman(&["run", "--rm", "--network", "none", name, "echo", "hi"]);
    assert_eq!(run_it(&ours).ok().stdout, "hi\n");
    // Both formats of manifests, and a container's changes.
    podman(&["run", "--name", "made", "--network", "none", &ours, "touch", "/made"]).ok();
    podman(&["commit", "-q", "made", "made:1"]).ok();
    podman(&["rm", "made"]).ok();
    for format in ["oci", "v2s2"] {
        let name = site.name(&format!("by/podman:{format}"));
        podman(&["tag", "made:1", &name]).ok();
        let file = site.path("digest");
        over(&["push", "-q", "--format", format, "--digestfile", &file], &[&name]).ok();
        let pushed = std::fs::read_to_string(&file).expect("a digest");
        assert_eq!(site.digest("by/podman", format), pushed, "{format}");
        site.runs_here(&name);
        site.naru(&["run", "--rm", "--network", "none", &name, "test", "-e", "/made"]).ok();
        podman(&["rmi", &name]).ok();
        let by_digest = site.name(&format!("by/podman@{pushed}"));
        over(&["pull", "-q"], &[&by_digest]).ok();
        assert_eq!(run_it(&by_digest).ok().stdout, "hi\n");
    }
    assert_eq!(site.get("by/podman/tags/list")["tags"], serde_json::json!(["oci", "v2s2"]));
    podman(&["logout", ADDRESS]).ok();
    podman(&["rmi", "-f", &ours]).ok();
    assert_eq!(over(&["pull"], &[&ours]).code, 125, "after the logout");
}

#[test]
fn by_passwords() {
    comes_and_goes(Challenge::Basic);
}

#[test]
fn by_tokens() {
    comes_and_goes(Challenge::Token);
}
