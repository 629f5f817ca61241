//! Networks through the front door: docker's client and ours. Acts: as root, with the built
//! binary.

mod flags;

use integration_tests::{Daemon, run_with_input, until};
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

#[track_caller]
fn daemon() -> Daemon {
    let daemon = Daemon::start();
    let import = ["import", "-c", "CMD [\"sh\"]", "-", "box"];
    run_with_input(&mut daemon.command(&import), &integration_tests::image::busybox_tar()).ok();
    daemon
}

/// A container that says its name on a port.
#[track_caller]
fn speaker(daemon: &Daemon, name: &str, flags: &[&str]) {
    let head = ["run", "-d", "--name", name];
    let tail = ["box", "nc", "-ll", "-p", "7000", "-e", "echo", name];
    daemon.docker(&[&head, flags, &tail].concat()).ok();
}

fn heard(daemon: &Daemon, listener: &str, name: &str) -> Option<String> {
    let done = daemon.docker(&["exec", listener, "timeout", "5", "nc", name, "7000"]);
    (done.code == 0).then(|| done.text().to_owned())
}

#[test]
fn docker_s_commands_make_and_remove_networks() {
    let daemon = daemon();
    let id = daemon.docker(&["network", "create", "--label", "a=b", "lan"]).ok().text().to_owned();
    assert_eq!(id.len(), 64, "{id}");
    daemon.docker(&["network", "create", "lan"]).fails(1, "network with name lan already exists");
    let listed = daemon.docker(&[
        "network",
        "ls",
        "--filter",
        "label=a",
        "--format",
        "{{.Name}} {{.Driver}}",
    ]);
    assert_eq!(listed.ok().text(), "lan bridge");
    let all = daemon.docker(&["network", "ls", "--format", "{{.Name}}"]).ok();
    assert_eq!(all.stdout, "bridge\nhost\nlan\nnone\n");
    for client in ["docker", "naru"] {
        let args = ["network", "inspect", "-f", "{{.Name}} {{.Scope}} {{len .IPAM.Config}}", "lan"];
        let done = if client == "docker" { daemon.docker(&args) } else { daemon.naru(&args) };
        assert_eq!(done.ok().text(), "lan local 1", "{client}");
    }
    daemon
        .docker(&["network", "rm", "bridge"])
        .fails(1, "bridge is a pre-defined network and cannot be removed");
    daemon.docker(&["network", "rm", "nosuch"]).fails(1, "network nosuch not found");
    daemon.docker(&["network", "rm", "lan"]).ok();
    daemon.docker(&["network", "create", "old"]).ok();
    let pruned = daemon.docker(&["network", "prune", "-f"]).ok();
    assert_eq!(pruned.stdout.trim(), "Deleted Networks:\nold");
}

#[test]
fn names_are_known_within_a_network_and_not_across() {
    let daemon = daemon();
    for network in ["left", "right"] {
        daemon.docker(&["network", "create", network]).ok();
    }
    speaker(&daemon, "one", &["--network", "left", "--network-alias", "uno"]);
    speaker(&daemon, "two", &["--network", "left"]);
    speaker(&daemon, "three", &["--network", "right"]);
    for name in ["one", "uno"] {
        let one = until(DEADLINE, || heard(&daemon, "two", name));
        assert_eq!(one.as_deref(), Some("one"), "{name}");
    }
    assert_eq!(heard(&daemon, "three", "one"), None);
    daemon.docker(&["network", "connect", "--alias", "bridge-to-left", "left", "three"]).ok();
    assert_eq!(until(DEADLINE, || heard(&daemon, "three", "one")).as_deref(), Some("one"));
    assert_eq!(heard(&daemon, "one", "bridge-to-left").as_deref(), Some("three"));
    daemon.docker(&["network", "disconnect", "left", "three"]).ok();
    assert_eq!(heard(&daemon, "three", "one"), None);
    daemon.docker(&["network", "rm", "left"]).fails(1, "has active endpoints");
}

#[test]
fn a_published_port_answers_and_is_shown() {
    let daemon = daemon();
    speaker(&daemon, "web", &["-p", "127.0.0.1::7000"]);
    let place = daemon.docker(&["port", "web", "7000"]).ok().text().to_owned();
    assert_eq!(daemon.naru(&["port", "web", "7000"]).ok().text(), place);
    let told = until(DEADLINE, || {
        let mut stream = TcpStream::connect(&place).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        (!text.is_empty()).then_some(text)
    });
    assert_eq!(told.as_deref(), Some("web\n"));
    let column = daemon.docker(&["ps", "--format", "{{.Ports}}"]).ok();
    assert_eq!(column.text(), format!("{place}->7000/tcp"));
    assert_eq!(daemon.naru(&["ps", "--format", "{{.Ports}}"]).ok().text(), column.text());
    let taken = ["run", "--rm", "-p", &format!("{place}:7000"), "box", "true"];
    daemon.docker(&taken).fails(125, "port is already allocated");
}

#[test]
fn every_container_without_a_network_has_a_loopback_of_its_own() {
    let daemon = daemon();
    let look = "readlink /proc/self/ns/net; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls /sys/class/net; ip -o link show up";
    let mut seen = Vec::new();
    // The first is made when it is needed, others have waited.
    for _ in 0..4 {
        let said = daemon.naru(&["run", "--rm", "--network", "none", "box", "sh", "-c", look]).ok();
        let lines: Vec<String> = said.text().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!((lines[1].as_str(), lines[2].as_str()), ("0", "lo"), "{lines:?}");
        assert!(lines[3].contains("LOOPBACK"), "{lines:?}");
        seen.push(lines[0].clone());
    }
    let home = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
    assert!(!seen.contains(&home.display().to_string()), "{seen:?}");
}
