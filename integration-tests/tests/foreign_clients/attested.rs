//! What `naru build` pushes with documents about it: an index in which they stand beside the image. Everybody takes the image.

use super::{ADDRESS, Site, digest_in};
use integration_tests::own_registry::Challenge;
use integration_tests::peer_docker::PeerDocker;
use integration_tests::peer_registry::{PASSWORD, USER};
use integration_tests::{Done, context, run};
use serde_json::Value;

#[test]
fn images_with_documents_run_everywhere() {
    let site = Site::new(Challenge::Token);
    site.login();
    let files = [("Dockerfile", "FROM box\nCOPY a /a\nCMD [\"cat\", \"/a\"]\n"), ("a", "it runs")];
    let dir = context(&site.daemon, "c", &files);
    let build = |words: &[&str]| {
        let head = ["build", "-q", "--network", "none", "--sbom=true", "--provenance=mode=max"];
        site.naru(&[&head[..], words, &[dir.to_str().expect("a path")]].concat()).ok();
    };
    // Both ways of saying it.
    let (flag, output) = (site.name("by/flag:1"), site.name("by/output:1"));
    build(&["-t", &flag, "--push"]);
    build(&["--output", &format!("type=image,name={output},push=true")]);
    let index = site.get("by/flag/manifests/1");
    let kinds = |index: &Value| {
        let entries = index["manifests"].as_array().expect("an index");
        let kind = |entry: &Value| entry["annotations"]["vnd.docker.reference.type"].clone();
        entries.iter().map(kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&index), [Value::Null, "attestation-manifest".into()]);
    assert_eq!(kinds(&site.get("by/output/manifests/1")), kinds(&index));
    let image = index["manifests"][0]["digest"].as_str().expect("a digest");
    let [certs, storage] = ["certs", "layout"].map(|name| site.path(name));
    std::fs::create_dir(&certs).expect("a directory");
    std::fs::copy(site.registry.authority(), format!("{certs}/ca.crt")).expect("a certificate");

    // skopeo: the image alone for this platform, and all of it without a byte changed.
    let skopeo = |words: &[&str]| -> Done {
        let mut command = site.daemon.neighbour("skopeo");
        run(command.env("REGISTRY_AUTH_FILE", site.auth_file()).args(words)).ok()
    };
    skopeo(&["login", "--cert-dir", &certs, "-u", USER, "-p", PASSWORD, ADDRESS]);
    let from = format!("docker://{flag}");
    let config = skopeo(&["inspect", "--cert-dir", &certs, "--config", &from]).stdout;
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["cat", "/a"]));
    let to = format!("docker://{}", site.name("by/skopeo:all"));
    let both = ["copy", "-q", "--src-cert-dir", &certs, "--dest-cert-dir", &certs];
    skopeo(&[&both[..], &["--all", "--preserve-digests", &from, &to]].concat());
    assert_eq!(site.digest("by/skopeo", "all"), site.digest("by/flag", "1"));
    skopeo(&[&both[..4], &["--preserve-digests", &from, &format!("oci:{storage}:one")]].concat());
    let layout = std::fs::read_to_string(format!("{storage}/index.json")).expect("a layout");
    assert_eq!(digest_in(&layout), image);

    // podman, docker's client through our daemon, and dockerd.
    let podman = |words: &[&str]| -> Done {
        let mut command = site.with_storage("podman");
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        run(command.args(["--runtime", "runc"]).args(words)).ok()
    };
    let dockerd = PeerDocker::start(&site.daemon, ADDRESS, &site.registry.authority());
    let docker = |words: &[&str]| run(&mut dockerd.command(words)).ok();
    docker(&["login", "-u", USER, "-p", PASSWORD, ADDRESS]);
    for name in [&flag, &output, &site.name("by/skopeo:all")] {
        podman(&["pull", "-q", "--cert-dir", &certs, name]);
        assert_eq!(podman(&["run", "--rm", "--network", "none", name]).text(), "it runs");
        site.naru(&["rmi", name]);
        site.docker(&["pull", "-q", name]).ok();
        let ran = site.docker(&["run", "--rm", "--network", "none", name]).ok();
        assert_eq!(ran.text(), "it runs");
        docker(&["pull", "-q", name]);
        assert_eq!(docker(&["run", "--rm", "--network", "none", name]).text(), "it runs");
    }
}
