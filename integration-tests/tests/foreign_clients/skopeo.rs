//! skopeo, which has no store: every format there and back, looking, deleting, and whole repositories.

use super::{ADDRESS, Site};
use integration_tests::own_registry::Challenge;
use integration_tests::peer_registry::{PASSWORD, USER};
use integration_tests::{Done, run};
use serde_json::Value;

fn copies_looks_deletes_and_syncs(challenge: Challenge) {
    let site = Site::new(challenge);
    site.login();
    let digest = site.push("by/naru:1");
    let certs = site.cert_dir().display().to_string();
    let skopeo = |words: &[&str]| -> Done {
        let mut command = site.daemon.neighbour("skopeo");
        run(command.env("REGISTRY_AUTH_FILE", site.auth_file()).args(words))
    };
    let at = |rest: &str| format!("docker://{}", site.name(rest));
    let looks = ["inspect", "--cert-dir", certs.as_str()];
    let seen = |place: &str| {
        let format = ["--format", "{{.Digest}}", place];
        skopeo(&[&looks[..], &format[..]].concat()).ok().text().to_owned()
    };
    skopeo(&[&looks[..], &[&at("by/naru:1")]].concat()).fails(1, "");
    let login = ["login", "--cert-dir", &certs, "-u", USER];
    skopeo(&[&login[..], &["-p", "wrong", ADDRESS]].concat()).fails(1, "");
    skopeo(&[&login[..], &["-p", PASSWORD, ADDRESS]].concat()).ok();
    assert_eq!(seen(&at("by/naru:1")), digest);
    let copy = |more: &[&str], from: &str, to: &str| {
        let head = ["copy", "-q", "--src-cert-dir", &certs, "--dest-cert-dir", &certs];
        skopeo(&[&head[..], more, &[from, to]].concat()).ok();
    };
    // Into every format and back. What has a manifest of its own is the same again.
    for kind in ["oci", "oci-archive", "dir", "docker-archive"] {
        let tag = if kind == "dir" { "" } else { ":x/y:1" };
        let place = format!("{kind}:{}{tag}", site.path(kind));
        copy(&[], &at("by/naru:1"), &place);
        for format in ["oci", "v2s2"] {
            let name = format!("by/skopeo-{kind}:{format}");
            copy(&["--format", format], &place, &at(&name));
            site.runs_here(&site.name(&name));
            let raw = skopeo(&[&looks[..], &["--raw", &at(&name)]].concat()).ok().stdout;
            let manifest: Value = serde_json::from_str(&raw).expect("JSON");
            let media_type = manifest["mediaType"].as_str().expect("a media type");
            assert_eq!(media_type.starts_with("application/vnd.oci."), format == "oci", "{raw}");
        }
    }
    for kind in ["oci", "oci-archive", "dir"] {
        let tag = if kind == "dir" { "" } else { ":z:1" };
        let place = format!("{kind}:{}-same{tag}", site.path(kind));
        copy(&["--preserve-digests"], &at("by/naru:1"), &place);
        copy(&["--preserve-digests"], &place, &at(&format!("same/{kind}:1")));
        assert_eq!(seen(&at(&format!("same/{kind}:1"))), digest, "{kind}");
    }
    // Within the registry.
    copy(&["--preserve-digests"], &at("by/naru:1"), &at("else/where:2"));
    assert_eq!(seen(&at("else/where:2")), digest);
    let config = skopeo(&[&looks[..], &["--config", &at("else/where:2")]].concat()).ok();
    assert!(config.stdout.contains("\"rootfs\""), "{config:?}");
    // Whole repositories: out, back in elsewhere, and from place to place.
    let both = ["sync", "--src-cert-dir", &certs, "--dest-cert-dir", &certs];
    let synced = site.path("synced");
    let repository = site.name("by/skopeo-oci");
    let out = ["--src", "docker", "--dest", "dir", &repository, &synced];
    skopeo(&[&both[..], &out].concat()).ok();
    let back = ["--src", "dir", "--dest", "docker", &synced, &site.name("back")];
    skopeo(&[&both[..], &back].concat()).ok();
    let across = ["--src", "docker", "--dest", "docker", &repository, &site.name("across")];
    skopeo(&[&both[..], &across].concat()).ok();
    for name in ["by/skopeo-oci", "back/skopeo-oci", "across/skopeo-oci"] {
        let tags = ["list-tags", "--cert-dir", &certs, &at(name)];
        let tags: Value = serde_json::from_str(&skopeo(&tags).ok().stdout).expect("JSON");
        assert_eq!(tags["Tags"], serde_json::json!(["oci", "v2s2"]), "{name}");
        let tag = format!("{name}:v2s2");
        assert_eq!(seen(&at(&tag)), seen(&at("by/skopeo-oci:v2s2")), "{name}");
    }
    // Deleting a tag takes its manifest, in this repository alone.
    skopeo(&["delete", "--cert-dir", &certs, &at("across/skopeo-oci:oci")]).ok();
    skopeo(&[&looks[..], &[&at("across/skopeo-oci:oci")]].concat()).fails(1, "manifest unknown");
    seen(&at("back/skopeo-oci:oci"));
    skopeo(&["logout", ADDRESS]).ok();
    skopeo(&[&looks[..], &[&at("by/naru:1")]].concat()).fails(1, "");
}

#[test]
fn by_passwords() {
    copies_looks_deletes_and_syncs(Challenge::Basic);
}

#[test]
fn by_tokens() {
    copies_looks_deletes_and_syncs(Challenge::Token);
}
