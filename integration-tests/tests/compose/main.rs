//! Debian's docker-compose (1.29) with files as people write them. Acts: as root, with the built binary.

use integration_tests::{Daemon, Done, debian, run, run_with_input, until};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
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
        let daemon = Daemon::start_apart(&[]);
        let import = ["import", "-c", "CMD [\"sh\"]", "-", "box"];
        run_with_input(&mut daemon.command(&import), &integration_tests::image::busybox_tar()).ok();
        let dir = daemon.dir().join(name);
        copy(&source(name), &dir);
        Project { daemon, dir }
    }

    /// The same with Debian's nginx and redis in an image.
    #[track_caller]
    fn with_debian(name: &str) -> Project {
        let project = Project::start(name);
        let tar = debian::root_tar();
        let tar = tar.to_str().expect("a path in UTF-8");
        project.daemon.naru(&["import", "-c", "CMD [\"bash\"]", tar, "debian:12"]).ok();
        project
    }

    /// Where a port of a service is published.
    #[track_caller]
    fn published(&self, service: &str, port: &str) -> String {
        let place = self.compose(&["port", service, port]).ok().text().to_owned();
        place.replace("0.0.0.0", "127.0.0.1")
    }

    /// Takes everything down; nothing may be left of it.
    #[track_caller]
    fn down(&self) {
        self.compose(&["down", "-v", "-t", "5"]).ok();
        assert_eq!(self.daemon.naru(&["ps", "-aq"]).ok().text(), "");
        let networks = self.daemon.naru(&["network", "ls", "--format", "{{.Name}}"]).ok();
        assert_eq!(networks.stdout.lines().collect::<Vec<_>>(), ["bridge", "host", "none"]);
        let volumes = self.daemon.docker(&["volume", "ls", "-q"]).ok();
        assert_eq!(volumes.text(), "");
        let links = self.daemon.nearby(|| run(Command::new("ip").args(["-o", "link"]))).ok();
        let left: Vec<&str> = links
            .stdout
            .lines()
            .filter(|line| line.contains(" veth") || line.contains(" br-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// The body that a server of HTTP answers with, if it answers.
    fn get(&self, place: &str, path: &str) -> Option<String> {
        self.daemon.nearby(|| get(place, path))
    }

    /// Everything that a service on a port says.
    fn told(&self, place: &str) -> Option<String> {
        self.daemon.nearby(|| told(place))
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

/// The body that a server of HTTP answers with, if it answers.
fn get(place: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(place).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: shop\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.trim().to_owned())
}

/// Everything that a service on a port says.
fn told(place: &str) -> Option<String> {
    let mut stream = TcpStream::connect(place).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

#[test]
fn every_file_is_one_that_docker_compose_reads() {
    for name in ["shop", "scaled", "fixed", "hermits", "guarded"] {
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
fn a_service_waits_until_another_is_healthy() {
    let project = Project::start("guarded");
    project.compose(&["up", "-d"]).ok();
    assert_eq!(project.running(), ["guarded_reader_1", "guarded_store_1"]);
    let listed = project.compose(&["ps"]).ok();
    assert!(listed.stdout.contains("Up (healthy)"), "{}", listed.stdout);
    let read = || {
        let logs = project.compose(&["logs", "--no-color", "reader"]).ok();
        logs.stdout.contains("it is ready").then_some(())
    };
    assert!(until(DEADLINE, read).is_some(), "the reader came too early");
    project.compose(&["down", "-v", "-t", "5"]).ok();
    assert_eq!(project.daemon.naru(&["ps", "-aq"]).ok().text(), "");
}

#[test]
fn a_shop_of_nginx_redis_and_a_worker() {
    let project = Project::with_debian("shop");
    project.compose(&["up", "-d"]).ok();
    assert_eq!(project.running(), ["shop_cache_1", "shop_web_1", "shop_worker_1"]);
    let place = project.published("web", "8080");
    let rounds = || project.get(&place, "/rounds")?.parse::<u64>().ok();
    let first = until(DEADLINE, rounds).expect("the worker's page");
    assert!(until(DEADLINE, || rounds().filter(|now| *now > first)).is_some(), "it counts on");
    // The server sees the client, not a gateway that took its place: from the host that is the bridge's own address.
    assert!(
        project
            .get(&place, "/whoami")
            .is_some_and(|client| client.parse::<std::net::IpAddr>().is_ok())
    );
    // By service, by alias, by container; never across.
    for name in ["cache", "store", "shop_cache_1", "worker"] {
        project.compose(&["exec", "-T", "web", "getent", "hosts", name]).ok();
    }
    let listed = project.compose(&["ps"]).ok();
    assert_eq!(listed.stdout.matches("Up").count(), 3, "{}", listed.stdout);
    assert!(listed.stdout.contains("->8080/tcp"), "{}", listed.stdout);
    let logs = project.compose(&["logs", "--no-color", "web"]).ok();
    assert!(logs.stdout.contains("GET /rounds HTTP/1.0"), "{}", logs.stdout);
    let networks = ["inspect", "-f", "{{len .NetworkSettings.Networks}}", "shop_web_1"];
    assert_eq!(project.daemon.naru(&networks).ok().text(), "2");
    project.compose(&["up", "-d", "--scale", "worker=3"]).ok();
    assert_eq!(project.running().len(), 5);
    project.compose(&["restart", "-t", "5"]).ok();
    let place = project.published("web", "8080");
    let last = until(DEADLINE, || project.get(&place, "/rounds")?.parse::<u64>().ok());
    // Redis wrote down what it counted, so the numbers go on.
    assert!(last.is_some_and(|last| last > first), "{last:?} after {first}");
    project.compose(&["stop", "-t", "5"]).ok();
    assert!(project.running().is_empty());
    project.compose(&["start"]).ok();
    assert_eq!(project.running().len(), 5);
    let place = project.published("web", "8080");
    let after = until(DEADLINE, || project.get(&place, "/rounds")?.parse::<u64>().ok());
    assert!(after >= last, "{after:?} after {last:?}");
    project.down();
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

#[test]
fn what_is_fixed_stays_fixed() {
    let project = Project::start("fixed");
    project.compose(&["up", "-d"]).ok();
    let shown = |container: &str, format: &str| {
        project.daemon.naru(&["inspect", "-f", format, container]).ok().text().to_owned()
    };
    let lan =
        "{{with .NetworkSettings.Networks.fixed_lan}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}";
    let check = || {
        assert_eq!(shown("fixed-front", lan), "172.30.77.16 fd30:77::16");
        let link = ["exec", "-T", "front", "cat", "/sys/class/net/eth0/address"];
        assert_eq!(project.compose(&link).ok().text(), "02:42:ac:1e:00:10");
        assert_eq!(project.told("127.0.0.1:17000").as_deref(), Some("front"));
        let place = project.compose(&["port", "--protocol=udp", "front", "7010"]).ok();
        assert!(place.text().starts_with("127.0.0.1:"), "{}", place.text());
        for name in ["gate", "gate.fixed.example", "entry", "fixed-front", "front"] {
            let ask = ["exec", "-T", "back", "nc", name, "7000"];
            assert_eq!(project.compose(&ask).ok().text(), "front", "{name}");
        }
        // It lives in the other's network namespace.
        let guest = project.compose(&["exec", "-T", "guest", "nc", "127.0.0.1", "7000"]).ok();
        assert_eq!(guest.text(), "back");
    };
    check();
    let ports = project.daemon.naru(&["port", "fixed-front"]).ok();
    assert!(ports.stdout.contains("7001/tcp -> 127.0.0.1:17001"), "{}", ports.stdout);
    let pools = ["network", "inspect", "-f", "{{json .IPAM.Config}}", "fixed_lan"];
    let pools = project.daemon.naru(&pools).ok();
    assert!(pools.stdout.contains("172.30.77.128/25"), "{}", pools.stdout);
    // The guest needs its host to run, and docker-compose restarts side by side.
    project.compose(&["restart", "-t", "5", "front", "back"]).ok();
    project.compose(&["restart", "-t", "5", "guest"]).ok();
    check();
    project.down();
}
