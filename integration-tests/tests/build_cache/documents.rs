//! What goes along with an image: what is in it, and how it was made.

use super::{Site, build, context};
use integration_tests::run;
use serde_json::Value;

/// The statements about the first image of an index at the registry, by what they say, and the index.
fn statements(site: &Site, name: &str) -> (Value, Vec<(String, Value)>) {
    let index = site.raw(name);
    let entries = index["manifests"].as_array().expect("an index");
    let about = entries.last().expect("an entry");
    assert_eq!(about["annotations"]["vnd.docker.reference.type"], "attestation-manifest");
    assert_eq!(about["annotations"]["vnd.docker.reference.digest"], entries[0]["digest"]);
    assert_eq!(about["platform"]["os"], "unknown");
    let digest = about["digest"].as_str().expect("a digest");
    let manifest = site.raw(&format!("{name}@{digest}"));
    let mut found = Vec::new();
    for layer in manifest["layers"].as_array().expect("layers") {
        assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
        let kind = layer["annotations"]["in-toto.io/predicate-type"].as_str().expect("a type");
        let digest = layer["digest"].as_str().expect("a digest");
        let address = format!("http://{}/v2/{name}/blobs/{digest}", super::ADDRESS);
        let text = run(site.daemon.neighbour("curl").args(["-sf", &address])).ok();
        let statement: Value = serde_json::from_str(&text.stdout).expect("a statement");
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v0.1");
        assert_eq!(statement["predicateType"], kind);
        let subject = &statement["subject"][0]["digest"]["sha256"];
        let wanted = entries[0]["digest"].as_str().expect("a digest");
        assert_eq!(format!("sha256:{}", subject.as_str().expect("digits")), wanted);
        found.push((kind.to_owned(), statement["predicate"].clone()));
    }
    (index, found)
}

#[test]
fn documents_go_along_and_the_image_stays_one() {
    let site = Site::new();
    let status = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
    let text = "FROM box AS base\nARG TOKEN\nARG SHAPE=round\nCOPY status /var/lib/dpkg/status\n\
        COPY METADATA /usr/lib/python3/dist-packages/six.dist-info/METADATA\n\
        COPY package.json /app/node_modules/@a/b/package.json\nCOPY release /etc/os-release\n\
        COPY apk /lib/apk/db/installed\nCMD [\"echo\", \"it runs\"]\n";
    let files = [
        ("Dockerfile", text),
        ("status", status),
        ("METADATA", "Metadata-Version: 2.1\nName: six\nVersion: 1.16\n\n"),
        ("package.json", r#"{"name":"@a/b","version":"3.0.1","license":"MIT"}"#),
        ("release", "ID=debian\nVERSION_ID=\"13\"\n"),
        ("apk", "P:musl\nV:1.2.5\nA:x86_64\n\n"),
        ("key", "hunter2"),
    ];
    let dir = context(&site.daemon, "c", &files);
    let secret = format!("id=key,src={}", dir.join("key").display());
    let arguments = [
        "--build-arg",
        "TOKEN=opensesame",
        "--build-arg",
        "HTTP_PROXY=http://u:pass@p",
        "--secret",
        &secret,
    ];
    for mode in ["true", "mode=max"] {
        let name = site.name("told");
        let provenance = format!("--provenance={mode}");
        let mut words = vec!["--sbom=true", provenance.as_str(), "-t", &name, "--push"];
        words.extend(arguments);
        build(&site.daemon, &dir, &words).ok();
        let (index, found) = statements(&site, "told");
        assert_eq!(index["manifests"].as_array().expect("entries").len(), 2);
        let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["https://spdx.dev/Document", "https://slsa.dev/provenance/v0.2"]);
        let spdx = &found[0].1;
        assert_eq!(spdx["spdxVersion"], "SPDX-2.3");
        let urls: Vec<&str> = spdx["packages"]
            .as_array()
            .expect("packages")
            .iter()
            .filter_map(|package| package["externalRefs"][0]["referenceLocator"].as_str())
            .collect();
        assert_eq!(
            urls,
            [
                "pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-13",
                "pkg:apk/debian/musl@1.2.5?arch=x86_64&distro=debian-13",
                "pkg:npm/%40a/b@3.0.1",
                "pkg:pypi/six@1.16",
            ]
        );
        let made = &found[1].1;
        let base = &made["materials"][0];
        assert_eq!(base["uri"], "pkg:docker/box@latest?platform=linux%2Famd64");
        assert_eq!(base["digest"]["sha256"].as_str().map(str::len), Some(64));
        let all = made.to_string();
        assert!(!all.contains("hunter2") && !all.contains("u:pass"), "{all}");
        let is_max = mode == "mode=max";
        assert_eq!(all.contains("opensesame"), is_max, "{all}");
        assert_eq!(all.contains("COPY status"), is_max, "{all}");
        assert_eq!(made["metadata"]["completeness"]["parameters"], is_max);
    }

    // For everybody it is the image that it was.
    let name = site.name("told");
    assert_eq!(
        site.daemon.naru(&["run", "--rm", "--network", "none", &name]).ok().text(),
        "it runs"
    );
    let history = site.daemon.naru(&["history", "-q", &name]).ok();
    assert!(history.stdout.lines().count() > 3, "{}", history.stdout);
    site.daemon.naru(&["system", "verify"]).ok();
    let fresh = site.fresh();
    fresh.naru(&["pull", "-q", &name]).ok();
    assert_eq!(fresh.naru(&["run", "--rm", "--network", "none", &name]).ok().text(), "it runs");
    let again = site.name("again");
    fresh.naru(&["tag", &name, &again]).ok();
    fresh.naru(&["push", "-q", &again]).ok();
    let target = site.daemon.dir().join("all");
    let mut command = site.daemon.neighbour("skopeo");
    command.args(["copy", "-q", "--all", "--src-tls-verify=false"]);
    run(command.arg(format!("docker://{name}")).arg(format!("oci:{}", target.display()))).ok();
    // Nobody asked, so nothing goes along.
    let plain = site.name("plain");
    build(&site.daemon, &dir, &["-t", &plain, "--push", "--provenance=false"]).ok();
    assert!(site.raw("plain")["layers"].is_array());
}

#[test]
fn the_cache_of_builds_goes_with_what_nobody_uses() {
    let daemon = integration_tests::Daemon::start().with_busybox("box");
    let dir =
        context(&daemon, "c", &[("Dockerfile", "FROM box\nRUN echo a > /a\nRUN echo b > /b\n")]);
    build(&daemon, &dir, &[]).ok();
    let records = |words: &[&str]| {
        let mut all = vec!["builder", "du", "--format", "{{.ID}} {{.Shared}}"];
        all.extend(words);
        let listed = daemon.naru(&all).ok();
        listed.stdout.lines().filter(|line| !line.is_empty()).count()
    };
    assert_eq!(records(&["--filter", "type=regular"]), 2);
    // What images are made of stays, and what was used just now.
    daemon.naru(&["builder", "prune", "-f"]).ok();
    assert_eq!(records(&["--filter", "type=regular"]), 2);
    daemon.naru(&["rmi", "img"]).ok();
    daemon.naru(&["builder", "prune", "-f", "--filter", "until=1h"]).ok();
    daemon.naru(&["builder", "prune", "-f", "--keep-storage", "1g"]).ok();
    assert_eq!(records(&["--filter", "type=regular"]), 2);
    let warned = daemon.naru_with_input(&["system", "prune"], b"n\n");
    assert!(warned.stdout.contains("  - unused build cache\n"), "{}", warned.stdout);
    let pruned = daemon.naru(&["system", "prune", "-f", "--filter", "label=x"]).ok();
    assert!(!pruned.stdout.contains("build cache"), "{}", pruned.stdout);
    assert_eq!(records(&["--filter", "type=regular"]), 2);
    let pruned = daemon.naru(&["system", "prune", "-f"]).ok();
    assert!(pruned.stdout.contains("Deleted build cache objects:\n"), "{}", pruned.stdout);
    assert_eq!(records(&["--filter", "type=regular"]), 0);
    // A bound takes the oldest first.
    build(&daemon, &dir, &[]).ok();
    daemon.naru(&["rmi", "img"]).ok();
    daemon.naru(&["builder", "prune", "-af", "--keep-storage", "1"]).ok();
    assert!(records(&[]) <= 1);
}
