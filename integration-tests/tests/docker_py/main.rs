//! Docker's library for Python as a judge of networks, volumes, ports and builds: our own checks of each behaviour, and its own
//! tests when they are at hand. Acts: as root, with the built binary.
//!
//! The library's tests are not ours to keep, and Debian has them nowhere, so `pip` brings them into an environment below the target
//! directory. Where it reaches nothing, `NARU_DOCKER_PY_TESTS` names the directory with their package `tests` in it, and
//! `NARU_DOCKER_PY_PYTHON` an interpreter that has the library, `pytest` and `paramiko`.

use integration_tests::python::{Environment, interpreter};
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

/// The library, and what its tests need. Its sources of 7.1.0 come without its tests; those of 7.0.0 are the same but for the order of
/// imports, as far as they are chosen here.
const ENVIRONMENT: Environment<'_> = Environment {
    name: "docker-py",
    packages: &[
        "docker==7.1.0",
        "pytest==8.4.2",
        "paramiko==3.5.1",
        "requests==2.32.5",
        "urllib3==2.5.0",
    ],
    probe: "import docker, pytest, paramiko",
    // Alone: the library of that version is not what is tested.
    source: Some(("docker==7.0.0", "docker-7.0.0/tests")),
    variable: "NARU_DOCKER_PY_PYTHON, with NARU_DOCKER_PY_TESTS,",
};

/// The directory with its tests, and the interpreter for them.
#[track_caller]
fn tests() -> (PathBuf, PathBuf) {
    let given = |name: &str| std::env::var_os(name).filter(|given| !given.is_empty());
    if let Some(dir) = given("NARU_DOCKER_PY_TESTS") {
        let python = given("NARU_DOCKER_PY_PYTHON").unwrap_or("python3".into());
        return (dir.into(), python.into());
    }
    let place = ENVIRONMENT.place(Path::new(env!("CARGO_TARGET_TMPDIR")));
    (place.join("sources/docker-7.0.0"), interpreter(&place))
}

/// The library's tests that are chosen of some of its files; those that fail are those that are expected to.
#[track_caller]
fn its_own(files: &[&str], about: &str, beyond: &[(&str, &str)], at_least: usize) {
    let (dir, python) = tests();
    let daemon = daemon(&["alpine:3.10", "alpine:latest", "busybox:latest"]);
    let done = run(Command::new(python)
        .args(["-m", "pytest", "-q", "-rA", "--tb=short", "-p", "no:cacheprovider"])
        .args(["-p", "patient", "-k", about])
        .args(files.iter().map(|file| format!("tests/integration/{file}")))
        .current_dir(&dir)
        .env("DOCKER_HOST", daemon.host())
        .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docker_py"))
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

/// Of its tests of builds and images those that pull from Docker Hub, which a test cannot rely on.
const PULLING: [&str; 7] = [
    "test_list",
    "test_list_with_repository",
    "test_pull",
    "test_pull_with_tag",
    "test_pull_with_sha",
    "test_pull_multiple",
    "test_tag_and_remove",
];

#[test]
fn its_own_tests_of_builds() {
    let others = PULLING.map(|name| format!(" and not ({name})")).concat();
    let about = format!("(BuildTest or ImageCollectionTest){others}");
    its_own(&["api_build_test.py", "models_images_test.py"], &about, &[], 28);
}
