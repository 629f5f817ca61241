//! Debian's docker-compose (1.29) with files as people write them. Acts: as root, with the built binary.

use integration_tests::{Daemon, Done, run, run_with_input, until};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon, a copy of one of the directories beside this file, and docker-compose in it.
struct Project {
    daemon: Daemon,
    dir: PathBuf,
}

impl Project {
    #[track_caller]
    fn start(name: &str) -> Project {
        let daemon = Daemon::start();
        let import = ["import", "-c", "CMD [\"sh\"]", "-", "box"];
        run_with_input(&mut daemon.command(&import), &integration_tests::image::busybox_tar()).ok();
        let dir = daemon.dir().join(name);
        copy(&source(name), &dir);
        Project { daemon, dir }
    }

    /// Takes everything down; nothing may be left of it.
    #[track_caller]
    fn down(&self) {
        self.compose(&["down", "-v", "-t", "5"]).ok();
        assert_eq!(self.daemon.naru(&["ps", "-aq"]).ok().text(), "");
        let networks = self.daemon.naru(&["network", "ls", "--format", "{{.Name}}"]).ok();
        assert_eq!(networks.stdout.lines().collect::<Vec<_>>(), ["bridge", "host", "none"]);
    }

    fn compose(&self, args: &[&str]) -> Done {
        run(compose(&self.dir).env("DOCKER_HOST", self.daemon.host()).args(args))
    }

    /// Names of the project's running containers.
    fn running(&self) -> Vec<String> {
        let done = self.daemon.naru(&["ps", "--format", "{{.Names}}"]).ok();
        let mut names: Vec<String> = done.stdout.lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose").join(name)
}

/// docker-compose in this directory, deaf to the environment of whoever runs the test.
fn compose(dir: &Path) -> Command {
    let mut command = Command::new("docker-compose");
    for name in ["COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "DOCKER_TLS_VERIFY", "DOCKER_CONTEXT"] {
        command.env_remove(name);
    }
    command.env("HOME", dir).current_dir(dir);
    command
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("the project") {
        let entry = entry.expect("the project");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn every_file_is_one_that_docker_compose_reads() {
    for name in ["shop", "scaled", "fixed", "hermits"] {
        run(compose(&source(name)).args(["config", "--quiet"])).ok();
    }
}

#[test]
fn services_without_a_network_come_up_scale_restart_and_go() {
    let project = Project::start("hermits");
    project.compose(&["up", "-d"]).ok();
    assert_eq!(project.running(), ["hermits_clock_1", "hermits_reader_1"]);
    // Nothing changed, so nothing is made anew.
    let again = project.compose(&["up", "-d"]).ok();
    assert!(again.stderr.contains("is up-to-date"), "{}", again.stderr);
    project.compose(&["up", "-d", "--scale", "reader=3"]).ok();
    assert_eq!(
        project.running(),
        ["hermits_clock_1", "hermits_reader_1", "hermits_reader_2", "hermits_reader_3"]
    );
    let listed = project.compose(&["ps"]).ok();
    assert_eq!(listed.stdout.matches("Up").count(), 4, "{}", listed.stdout);
    let read = || {
        let now = project.compose(&["exec", "-T", "reader", "cat", "/shared/now"]);
        (now.code == 0 && now.text().parse::<u64>().is_ok()).then_some(())
    };
    assert!(until(DEADLINE, read).is_some(), "the clock's file is not there for the reader");
    let logs = project.compose(&["logs", "--no-color", "reader"]).ok();
    assert_eq!(logs.stdout.matches("reader is up").count(), 3, "{}", logs.stdout);
    project.compose(&["restart", "-t", "5", "clock"]).ok();
    project.compose(&["up", "-d", "--scale", "reader=1"]).ok();
    assert_eq!(project.running(), ["hermits_clock_1", "hermits_reader_1"]);
    project.compose(&["stop", "-t", "5"]).ok();
    assert!(project.running().is_empty());
    project.compose(&["start"]).ok();
    assert_eq!(project.running().len(), 2);
    project.compose(&["down", "-v", "-t", "5"]).ok();
    assert_eq!(project.daemon.naru(&["ps", "-aq"]).ok().text(), "");
}

#[test]
fn several_behind_one_name() {
    let project = Project::start("scaled");
    project.compose(&["up", "-d", "--scale", "echo=3"]).ok();
    let mut answered = BTreeSet::new();
    let all = until(DEADLINE, || {
        let ask = ["exec", "-T", "asker", "wget", "-qO-", "http://echo:8000/cgi-bin/name"];
        let done = project.compose(&ask);
        if done.code == 0 {
            answered.insert(done.text().to_owned());
        }
        (answered.len() == 3).then_some(())
    });
    assert!(all.is_some(), "only {answered:?} answered");
    let hosts = project.compose(&["exec", "-T", "asker", "cat", "/etc/hosts"]).ok();
    assert!(hosts.stdout.contains("192.0.2.7\telsewhere"), "{}", hosts.stdout);
    let conf = project.compose(&["exec", "-T", "asker", "cat", "/etc/resolv.conf"]).ok();
    assert!(conf.stdout.contains("search mesh.example"), "{}", conf.stdout);
    project.compose(&["up", "-d", "--scale", "echo=1"]).ok();
    let only = until(DEADLINE, || {
        let ask = ["exec", "-T", "asker", "wget", "-qO-", "http://echo:8000/cgi-bin/name"];
        (project.compose(&ask).code == 0).then_some(())
    });
    assert!(only.is_some());
    project.down();
}
