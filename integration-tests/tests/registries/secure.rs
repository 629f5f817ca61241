//! Everything our client does with a registry, by a certificate of its own authority and with a password at once.

use super::{Client, FAR, Place};
use integration_tests::peer_registry::{Options, PASSWORD, PeerRegistry, USER};
use integration_tests::{Done, run};

/// What somebody without a password is told.
#[track_caller]
fn is_refused(done: &Done) {
    let said = done.stderr.to_lowercase();
    let known = ["denied", "unauthorized", "authentication required", "no basic auth"];
    assert!(done.code == 1 && known.iter().any(|word| said.contains(word)), "{done:?}");
}

#[test]
fn everything_goes_by_certificate_and_password() {
    let certs = tempfile::tempdir().expect("a directory");
    let place = Place::new(&["--certs-dir", certs.path().to_str().expect("a path")]);
    let registry = PeerRegistry::start(&place.daemon, FAR, Options { password: true, tls: true });
    let own = certs.path().join(FAR);
    std::fs::create_dir(&own).expect("a directory");
    std::fs::copy(registry.certificate(), own.join("ca.crt")).expect("a certificate");
    let name = |rest: &str| registry.name(rest);
    let at = |rest: &str| format!("docker://{}", registry.name(rest));
    let path = |rest: &str| place.daemon.dir().join(rest).display().to_string();
    let list = name("team/box:list");
    let layout = format!("oci:{}:x", path("layout"));
    for tag in ["1", "2", "three"] {
        place.naru(&["tag", "box", &name(&format!("team/box:{tag}"))]).ok();
    }
    let all_refused = || {
        for words in [
            &["push", &name("team/box:1")][..],
            &["push", "-a", &name("team/box")],
            &["pull", &name("team/box:1")],
            &["pull", "-a", &name("team/box")],
            &["copy", &at("team/box:1"), &layout],
            &["copy", "store:box", &at("team/box:1")],
            &["manifest", "inspect", &name("team/box:1")],
        ] {
            is_refused(&place.naru(words));
        }
    };
    all_refused();
    place.login(&registry).ok();
    // All tags, by our client and by docker's.
    let pushed = place.naru(&["push", "-a", &name("team/box")]).ok().stdout;
    assert_eq!(pushed.matches(": digest: sha256:").count(), 3, "{pushed}");
    let digest = pushed.split_whitespace().find(|word| word.starts_with("sha256:"));
    let digest = digest.expect("a digest").to_owned();
    for client in [Client::Naru, Client::Docker] {
        for tag in ["1", "2", "three"] {
            place.naru(&["rmi", &name(&format!("team/box:{tag}"))]).ok();
        }
        place.run(client, &["pull", "-a", &name("team/box")]).ok();
        let format = ["images", "--format", "{{.Tag}} {{.Digest}}", &name("team/box")];
        let listed = place.run(client, &format).ok().stdout;
        let mut lines: Vec<&str> = listed.lines().collect();
        lines.sort_unstable();
        let line = |tag: &str| format!("{tag} {digest}");
        assert_eq!(lines, [line("1"), line("2"), line("three")]);
        place.run(client, &["push", "-a", &name("team/box")]).ok();
    }
    // By digest.
    for tag in ["1", "2", "three"] {
        place.naru(&["rmi", &name(&format!("team/box:{tag}"))]).ok();
    }
    let by_digest = name(&format!("team/box@{digest}"));
    let said = place.naru(&["run", "--rm", "--network", "none", &by_digest, "echo", "hi"]).ok();
    assert_eq!(said.stdout, "hi\n");
    // Copies: within the registry, out and in again, by tag and by digest, into the store.
    let file = path("digest");
    let copied = |from: &str, to: &str| {
        place.naru(&["copy", "-q", "--digestfile", &file, from, to]).ok();
        std::fs::read_to_string(&file).expect("a digest")
    };
    assert_eq!(copied(&at("team/box:1"), &at("other/box:1")), digest);
    assert_eq!(copied(&at(&format!("team/box@{digest}")), &layout), digest);
    assert_eq!(copied(&layout, &at("third/box:1")), digest);
    assert_eq!(copied(&at("third/box:1"), "store:third:1"), digest);
    let seen =
        run(place.daemon.neighbour("skopeo").args(["inspect", "--cert-dir"]).arg(&own).args([
            "--creds",
            &format!("{USER}:{PASSWORD}"),
            "--format",
            "{{.Digest}}",
            &at("third/box:1"),
        ]));
    assert_eq!(seen.ok().text(), digest);
    // An index of what is in other repositories.
    place.naru(&["manifest", "create", &list, &name("other/box:1")]).ok();
    place.naru(&["manifest", "annotate", &list, &name("other/box:1"), "--arch", "arm64"]).ok();
    place.naru(&["manifest", "push", "--purge", &list]).ok();
    let shown = place.naru(&["manifest", "inspect", &list]).ok().stdout;
    assert!(shown.contains(&digest) && shown.contains("\"arm64\""), "{shown}");
    place.naru(&["pull", "-q", "--platform", "linux/arm64", &list]).ok();
    place.naru(&["pull", &name("team/none:1")]).fails(1, "not found");
    place.naru(&["logout", FAR]).ok();
    for tag in ["1", "2", "three"] {
        place.naru(&["tag", "box", &name(&format!("team/box:{tag}"))]).ok();
    }
    all_refused();
}
