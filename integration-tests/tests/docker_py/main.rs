//! Docker's library for Python as a judge of networks, volumes, ports and builds: our own checks of each behaviour, and its own
//! tests when they are at hand. Acts: as root, with the built binary.
//!
//! The library's tests are not ours to keep. `NARU_DOCKER_PY_TESTS` names the directory with its package `tests` in it,
//! and `NARU_DOCKER_PY_PYTHON` an interpreter that has the library, `pytest` and `paramiko`.

use integration_tests::{Daemon, run, run_with_input};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[track_caller]
fn daemon(images: &[&str]) -> Daemon {
    let daemon = Daemon::start_apart(&[]);
    let tar = integration_tests::image::busybox_tar();
    for image in images {
        let import = ["import", "-c", "CMD [\"sh\"]", "-", image];
        run_with_input(&mut daemon.command(&import), &tar).ok();
    }
    daemon
}

#[test]
fn what_it_does_with_networks_volumes_and_ports() {
    let daemon = daemon(&["box"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker_py/ours.py");
    // Debian's own interpreter has Debian's package python3-docker.
    let done = run(Command::new("/usr/bin/python3").arg(script).arg(daemon.socket())).ok();
    assert!(done.stdout.ends_with("all is well\n"), "{}", done.stdout);
}

/// Tests of the library that need what Naru does not have, with what that is.
const BEYOND: [(&str, &str); 3] = [
    ("test_create_network_attachable", "cluster mode"),
    ("test_create_network_ingress", "cluster mode"),
    ("test_create_inspect_network_with_scope", "cluster mode"),
];

/// The files of the library's tests that are about networks and volumes, and of others the tests that are.
const FILES: [&str; 6] = [
    "api_network_test.py",
    "models_networks_test.py",
    "api_volume_test.py",
    "models_volumes_test.py",
    "api_container_test.py",
    "models_containers_test.py",
];
const ABOUT: &str = "NetworkTest or NetworkCollectionTest or TestNetworks or TestVolumes or VolumesTest \
    or VolumeBindTest or PortTest or LinkTest or ArchiveTest \
    or link or mac_address or volume or network or ports";

/// The library's tests that are chosen of some of its files; those that fail are those that are expected to.
#[track_caller]
fn its_own(files: &[&str], about: &str, beyond: &[(&str, &str)], at_least: usize) {
    let Some(dir) = std::env::var_os("NARU_DOCKER_PY_TESTS").filter(|dir| !dir.is_empty()) else {
        eprintln!(
            "NOT TESTED: docker-py's own tests. Set NARU_DOCKER_PY_TESTS to the directory with its package `tests`, \
             and NARU_DOCKER_PY_PYTHON to an interpreter with docker, pytest and paramiko."
        );
        return;
    };
    let dir = PathBuf::from(dir);
    let python = std::env::var_os("NARU_DOCKER_PY_PYTHON").unwrap_or("python3".into());
    let daemon = daemon(&["alpine:3.10", "alpine:latest", "busybox:latest"]);
    let done = run(Command::new(python)
        .args(["-m", "pytest", "-q", "-rA", "--tb=short", "-p", "no:cacheprovider", "-k", about])
        .args(files.iter().map(|file| format!("tests/integration/{file}")))
        .current_dir(&dir)
        .env("DOCKER_HOST", daemon.host())
        .env("PYTHONDONTWRITEBYTECODE", "1"));
    // `FAILED tests/integration/x_test.py::Class::test - why`
    let outcome = |word: &str| -> BTreeSet<&str> {
        let names =
            done.stdout.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        names.filter_map(|name| name.split_whitespace().next()).collect()
    };
    let failed: BTreeSet<&str> =
        outcome("FAILED").into_iter().filter_map(|name| name.rsplit("::").next()).collect();
    let beyond: BTreeSet<&str> = beyond.iter().map(|(name, _)| *name).collect();
    assert_eq!(failed, beyond, "{}\n{}", done.stdout, done.stderr);
    assert!(outcome("ERROR").is_empty(), "{}\n{}", done.stdout, done.stderr);
    let passed = outcome("PASSED").len();
    assert!(passed > at_least, "only {passed} tests were found:\n{}", done.stdout);
}

#[test]
fn its_own_tests() {
    its_own(&FILES, ABOUT, &BEYOND, 60);
}

/// Of its tests of builds and images those that need no registry, without three that read what a process has written while it
/// may still be about to write it (`in_context`).
const ABOUT_BUILDS: &str =
    "BuildTest and not in_context or ImageCollectionTest and (build or save or load)";

#[test]
fn its_own_tests_of_builds() {
    let files = ["api_build_test.py", "models_images_test.py"];
    let beyond =
        [("test_build_with_cache_from", "a cache that is named is used besides the daemon's own")];
    its_own(&files, ABOUT_BUILDS, &beyond, 22);
}
