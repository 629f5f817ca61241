//! oras' client for Python: artifacts that are no images, and what is attached to others.
//!
//! It is no Debian package, so `pip` brings it into an environment below the target directory. `NARU_ORAS_PYTHON` names an
//! interpreter that has it, where `pip` reaches nothing.

use super::{ADDRESS, Site};
use integration_tests::own_registry::Challenge;
use integration_tests::peer_registry::{PASSWORD, USER};
use integration_tests::python::{Environment, interpreter};
use integration_tests::{image, run};
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The package, of the version that the script is written for.
const PACKAGE: &str = "oras==0.2.43";

/// An interpreter that has it.
#[track_caller]
fn python() -> OsString {
    if let Some(python) = std::env::var_os("NARU_ORAS_PYTHON").filter(|name| !name.is_empty()) {
        return python;
    }
    let environment = Environment {
        name: PACKAGE,
        packages: &[PACKAGE],
        probe: "import oras.client",
        source: None,
        variable: "NARU_ORAS_PYTHON",
    };
    interpreter(&environment.place(Path::new(env!("CARGO_TARGET_TMPDIR")))).into()
}

fn artifacts_come_and_go(challenge: Challenge) {
    let site = Site::new(challenge);
    site.login();
    let work = site.daemon.dir().join("oras");
    std::fs::create_dir(&work).expect("a directory");
    // An image of one layer, by hand: what oras pushes may be one too.
    std::fs::write(work.join("layer.tar"), image::busybox_tar()).expect("a file");
    let sum = run(Command::new("sha256sum").arg(work.join("layer.tar"))).ok();
    let sum = sum.text().split(' ').next().expect("a sum").to_owned();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]},
    });
    std::fs::write(work.join("config.json"), config.to_string()).expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_clients/artifacts.py");
    let mut oras = site.daemon.neighbour(python().to_str().expect("a path"));
    oras.arg(script).args([ADDRESS, USER, PASSWORD]).arg(site.registry.authority());
    let done = run(oras.current_dir(&work).env("DOCKER_CONFIG", &work).env("HOME", &work)).ok();
    assert!(done.stdout.ends_with("all is well\n"), "{done:?}");
    site.runs_here(&site.name("by/oras:image"));
    // What is attached is told, as the script said it, by kind too.
    let said: Value =
        serde_json::from_str(done.stdout.lines().next().expect("a line")).expect("JSON");
    let subject = said["subject"].as_str().expect("a digest");
    let referrers = site.get(&format!("by/oras/referrers/{subject}"));
    let listed = referrers["manifests"].as_array().expect("a list");
    assert_eq!(listed.len(), 1, "{referrers}");
    assert_eq!(listed[0]["digest"], said["attached"], "{referrers}");
    assert_eq!(listed[0]["artifactType"], "application/vnd.example.config+json", "{referrers}");
    assert_eq!(listed[0]["annotations"]["kind"], "bill", "{referrers}");
    // Our own copy takes an artifact as it is.
    let digest = site.digest("by/oras", "artifact");
    let from = format!("docker://{}", site.name("by/oras:artifact"));
    let to = format!("docker://{}", site.name("copied/oras:artifact"));
    site.naru(&["copy", "-q", "--all", &from, &to]).ok();
    assert_eq!(site.digest("copied/oras", "artifact"), digest);
}

#[test]
fn by_passwords() {
    artifacts_come_and_go(Challenge::Basic);
}

#[test]
fn by_tokens() {
    artifacts_come_and_go(Challenge::Token);
}
