//! Images of several platforms, and what is refused of them.

use super::{Site, build, context};
use integration_tests::run;
use serde_json::Value;

fn platforms(index: &Value) -> Vec<String> {
    let entries = index["manifests"].as_array().expect("an index");
    let name = |entry: &Value| {
        let field = |name: &str| entry["platform"][name].as_str().expect("a platform").to_owned();
        format!("{}/{}", field("os"), field("architecture"))
    };
    entries.iter().map(name).collect()
}

#[test]
fn what_is_only_copied_is_built_for_every_platform() {
    let site = Site::new();
    let text = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH.txt /arch.txt\nCOPY busybox /bin/busybox\nLABEL arch=$TARGETARCH\n\
        ENV PATH=/bin\nCMD [\"busybox\", \"cat\", \"/arch.txt\"]\n";
    let files = [("Dockerfile", text), ("amd64.txt", "amd64\n"), ("arm64.txt", "arm64\n")];
    let dir = context(&site.daemon, "c", &files);
    std::fs::copy("/bin/busybox", dir.join("busybox")).expect("busybox");
    let (one, two) = (site.name("multi:1"), site.name("multi:2"));
    let both = ["--platform", "linux/amd64,linux/arm64", "-t", &one, "-t", &two, "--push"];
    let mut words = vec!["build", "-q"];
    words.extend(both);
    let dir_name = dir.to_str().expect("a path");
    words.push(dir_name);
    site.daemon.naru(&words).ok();
    // Under every name, and byte for byte the same.
    assert_eq!(platforms(&site.raw("multi:1")), ["linux/amd64", "linux/arm64"]);
    assert_eq!(site.raw("multi:1"), site.raw("multi:2"));
    let shown = site.daemon.naru(&["manifest", "inspect", "--insecure", &one]).ok();
    assert!(shown.stdout.contains("arm64") && shown.stdout.contains("amd64"), "{}", shown.stdout);
    for arch in ["amd64", "arm64"] {
        let mut command = site.daemon.neighbour("skopeo");
        command.args(["--override-arch", arch, "inspect", "--config", "--tls-verify=false"]);
        let config = run(command.arg(format!("docker://{one}"))).ok();
        let config: Value = serde_json::from_str(&config.stdout).expect("a configuration");
        assert_eq!(config["architecture"], arch);
        assert_eq!(config["config"]["Labels"]["arch"], arch);
    }
    let ran = site.daemon.naru(&["run", "--rm", "--network", "none", &one]).ok();
    assert_eq!(ran.text(), "amd64");
    let listed = site.daemon.naru(&["images", "-q", &one]).ok();
    assert_eq!(listed.stdout.lines().count(), 1, "{}", listed.stdout);

    // Such an image is a base for both, here and from the registry, and its name goes on meaning what runs here.
    let text = format!("FROM {one}\nCOPY amd64.txt /more\n");
    std::fs::write(dir.join("Dockerfile"), &text).expect("a file");
    let fresh = site.fresh();
    for daemon in [&site.daemon, &fresh] {
        let name = site.name("derived");
        let words = ["--platform", "linux/amd64,linux/arm64", "-t", &name, "--push"];
        build(daemon, &dir, &words).ok();
        assert_eq!(platforms(&site.raw("derived")), ["linux/amd64", "linux/arm64"]);
        let ran = daemon.naru(&["run", "--rm", "--network", "none", &one]).ok();
        assert_eq!(ran.text(), "amd64");
        let ran = daemon.naru(&["run", "--rm", "--network", "none", &name]).ok();
        assert_eq!(ran.text(), "amd64");
        daemon.naru(&["system", "verify"]).ok();
    }
    // Its digest is a name of it, with a tag and without.
    let index = site.raw("multi:1");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    for base in [format!("{}@{digest}", site.name("multi")), format!("{one}@{digest}")] {
        std::fs::write(dir.join("Dockerfile"), format!("FROM {base}\nCOPY arm64.txt /more\n"))
            .expect("a file");
        build(&fresh, &dir, &["--no-cache"]).ok();
        let words =
            ["run", "--rm", "--network", "none", "img", "busybox", "cat", "/arch.txt", "/more"];
        assert_eq!(fresh.naru(&words).ok().stdout, "amd64\narm64\n", "{base}");
    }
    std::fs::write(dir.join("Dockerfile"), text).expect("a file");
    let failed = build(&fresh, &dir, &["--platform", "linux/s390x"]);
    assert!(failed.code != 0 && failed.stderr.contains("linux/amd64, linux/arm64"), "{failed:?}");

    // Nothing of another platform runs here.
    let text = format!(
        "FROM --platform=$BUILDPLATFORM {one} AS tools\nRUN [\"busybox\", \"cp\", \"/arch.txt\", \"/made\"]\n\
         FROM {one}\nCOPY --from=tools /made /made\nRUN [\"busybox\", \"true\"]\n"
    );
    std::fs::write(dir.join("Dockerfile"), text).expect("a file");
    let failed = build(&site.daemon, &dir, &["--platform", "linux/arm64"]);
    assert!(failed.code != 0, "{failed:?}");
    for words in [
        "Dockerfile:5",
        "RUN [\"busybox\", \"true\"]",
        "linux/arm64",
        "FROM --platform=$BUILDPLATFORM",
    ] {
        assert!(failed.stderr.contains(words), "{words}: {}", failed.stderr);
    }
}
