//! Bad input through the command line and the raw API: a clear error that names the thing, the right status and exit
//! code, and nothing left behind. Acts: as root, with the built binary.

use integration_tests::{Daemon, run, until};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

fn daemon() -> Daemon {
    Daemon::start().with_busybox("box")
}

/// Sends bytes to the API and reads until the daemon closes or falls silent.
fn raw(daemon: &Daemon, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A refusal may come before all of it is sent.
    stream.write_all(request).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A POST with a JSON body; the connection closes after the answer.
fn post(daemon: &Daemon, path: &str, body: &str) -> String {
    let length = body.len();
    raw(daemon, format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").as_bytes())
}

#[test]
fn unknown_and_ambiguous_names() {
    let daemon = daemon();
    daemon
        .naru(&["run", "--rm", "--pull", "never", "no/such:1"])
        .fails(125, "No such image: no/such:1");
    daemon.naru(&["inspect", "nothing"]).fails(1, "No such object: nothing");
    for command in [
        &["start", "nothing"][..],
        &["stop", "nothing"],
        &["rm", "nothing"],
        &["logs", "nothing"],
        &["kill", "nothing"],
        &["wait", "nothing"],
    ] {
        daemon.naru(command).fails(1, "No such container: nothing");
    }
    daemon.naru(&["exec", "nothing", "true"]).fails(1, "No such container: nothing");
    daemon.naru(&["rmi", "nothing"]).fails(1, "No such image: nothing");
    let mut ids = Vec::new();
    // Seventeen IDs cannot all start with another digit.
    for _ in 0..17 {
        ids.push(daemon.naru(&["create", "--network", "none", "box"]).ok().text().to_owned());
    }
    let first: Vec<char> = ids.iter().filter_map(|id| id.chars().next()).collect();
    let twice = first
        .iter()
        .find(|digit| first.iter().filter(|other| other == digit).count() > 1)
        .unwrap()
        .to_string();
    let done = daemon.naru(&["start", &twice]);
    assert!(
        done.code == 1 && done.stderr.to_lowercase().contains("multiple ids"),
        "{}",
        done.stderr
    );
}

#[test]
fn names_in_use_and_bad_names() {
    let daemon = daemon();
    daemon.naru(&["create", "--name", "taken", "--network", "none", "box"]).ok();
    daemon
        .naru(&["create", "--name", "taken", "--network", "none", "box"])
        .fails(1, "The container name \"/taken\" is already in use by container");
    daemon
        .naru(&["run", "--name", "taken", "--network", "none", "box"])
        .fails(125, "already in use");
    daemon.naru(&["run", "--name", "-bad", "--network", "none", "box"]).fails(125, "");
    daemon
        .naru(&["run", "--name", "b/d", "--network", "none", "box"])
        .fails(125, "Invalid container name (b/d)");
    daemon.naru(&["tag", "box", "UPPER"]).fails(1, "must be lowercase");
    daemon.naru(&["rm", "taken"]).ok();
    assert_eq!(daemon.naru(&["ps", "-aq"]).text(), "");
}

#[test]
fn bad_values_of_flags() {
    let daemon = daemon();
    for (flags, words) in [
        (&["-m", "lots"][..], "invalid"),
        (&["-m", "1m"], "Minimum memory limit allowed is 6MB"),
        (&["--cpus", "-1"], ""),
        (&["--pids-limit", "x"], "invalid"),
        (&["--ulimit", "nofile"], "invalid"),
        (
            &["-u", "nobody-here"],
            "unable to find user nobody-here: no matching entries in passwd file",
        ),
        (&["-v", "relative/x:/y:what"], "invalid"),
        (
            &["--mount", "type=bind,source=/no/such/place,target=/x"],
            "bind source path does not exist: /no/such/place",
        ),
        (&["--mount", "type=bind"], ""),
        (&["--network", "no-such-network"], "no-such-network"),
        (&["--cap-add", "NONSENSE"], "NONSENSE"),
        (&["--security-opt", "seccomp=/no/such/file"], "/no/such/file"),
        (&["--restart", "sometimes"], "sometimes"),
        (&["--ipc", "weird"], "weird"),
        (&["--sysctl", "kernel.no_such=1"], "kernel.no_such"),
        (&["--device", "/dev/no-such"], "/dev/no-such"),
    ] {
        let mut args = vec!["run", "--rm"];
        if !flags.contains(&"--network") {
            args.extend_from_slice(&["--network", "none"]);
        }
        args.extend_from_slice(flags);
        args.extend_from_slice(&["box", "true"]);
        let done = daemon.naru(&args);
        assert!(
            done.code == 125 && done.stderr.contains(words),
            "{flags:?}: exit code {}\n{}",
            done.code,
            done.stderr
        );
    }
    daemon.naru(&["run", "--no-such-flag", "box"]).fails(125, "--no-such-flag");
    assert_eq!(daemon.naru(&["ps", "-aq"]).text(), "");
}

#[test]
fn commands_that_cannot_start() {
    let daemon = daemon();
    let base = ["run", "--rm", "--network", "none", "box"];
    daemon
        .naru(&[&base[..], &["nonsense"]].concat())
        .fails(127, "executable file not found in $PATH");
    daemon.naru(&[&base[..], &["/no/such"]].concat()).fails(127, "no such file or directory");
    daemon.naru(&[&base[..], &["/etc/passwd"]].concat()).fails(126, "permission denied");
    daemon.naru(&[&base[..], &["/etc"]].concat()).fails(126, "");
    assert_eq!(daemon.naru(&["ps", "-aq"]).text(), "");
}

#[test]
fn removing_what_is_used() {
    let daemon = daemon();
    let id = daemon
        .naru(&["run", "-d", "--network", "none", "box", "sleep", "100"])
        .ok()
        .text()
        .to_owned();
    daemon
        .naru(&["rm", &id])
        .fails(1, "Stop the container before attempting removal or force remove");
    let done = daemon.naru(&["rmi", "box"]);
    assert!(done.code == 1 && done.stderr.contains("conflict"), "{}", done.stderr);
    daemon.naru(&["rm", "-f", &id]).ok();
    daemon.naru(&["rmi", "box"]).ok();
}

#[test]
fn requests_that_are_no_requests() {
    let daemon = daemon();
    let create = "/v1.41/containers/create";
    for (body, words) in [
        ("{", "400 Bad Request"),
        ("[]", "400 Bad Request"),
        ("{\"Image\":7}", "400 Bad Request"),
        ("{} trailing", "400 Bad Request"),
    ] {
        let answer = post(&daemon, create, body);
        assert!(
            answer.starts_with("HTTP/1.1 ")
                && answer.contains(words)
                && answer.contains("\"message\""),
            "{body}: {answer}"
        );
    }
    let huge = format!("{{\"Image\":\"{}\"}}", "x".repeat(20 << 20));
    let answer = post(&daemon, create, &huge);
    assert!(
        answer.is_empty() || answer.contains("HTTP/1.1 4"),
        "{}",
        answer.chars().take(300).collect::<String>()
    );
    assert!(raw(&daemon, b"nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    let get = |path: &str| {
        raw(
            &daemon,
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        )
    };
    assert!(get("/v1.41/nothing/here").contains("page not found"));
    assert!(
        get("/v1.99/version")
            .contains("client version 1.99 is too new. Maximum supported API version is 1.51")
    );
    assert!(get("/v1.12/version").contains("too old"));
    assert!(get("/v1.24/version").starts_with("HTTP/1.1 200"));
    assert!(get("/version").starts_with("HTTP/1.1 200"));
    // Refused by name, not ignored.
    let answer =
        post(&daemon, create, "{\"Image\":\"box\",\"HostConfig\":{\"Isolation\":\"hyperv\"}}");
    assert!(answer.contains("HTTP/1.1 4") || answer.contains("HTTP/1.1 501"), "{answer}");
    assert_eq!(daemon.naru(&["ps", "-aq"]).text(), "");
}

#[test]
fn half_a_request_does_not_hold_the_daemon() {
    let daemon = daemon();
    let mut half: Vec<UnixStream> = Vec::new();
    for _ in 0..50 {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        stream.write_all(b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Le").unwrap();
        half.push(stream);
    }
    daemon.naru(&["version"]).ok();
    let mut first = half.remove(0);
    first.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
    let mut rest = Vec::new();
    // The daemon closes it after its header timeout; that is the event waited for.
    first.read_to_end(&mut rest).unwrap();
}

#[test]
fn a_thousand_clients_at_once() {
    let daemon = daemon();
    let socket = daemon.socket();
    let mut clients = Vec::new();
    for _ in 0..1000 {
        let mut stream =
            until(Duration::from_secs(20), || UnixStream::connect(&socket).ok()).unwrap();
        stream
            .write_all(b"GET /containers/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        clients.push(stream);
    }
    for mut stream in clients {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn archives_that_lie() {
    let daemon = daemon();
    daemon
        .naru_with_input(
            &["load"],
            b"not an archive at all, but long enough to look like something",
        )
        .fails(1, "");
    let tar = integration_tests::image::busybox_tar();
    daemon.naru_with_input(&["import", "-", "cut"], &tar[..tar.len() / 2]).fails(1, "");
    daemon.naru_with_input(&["load"], &tar).fails(1, "");
    daemon.naru(&["save", "-o", daemon.dir().join("box.tar").to_str().unwrap(), "box"]).ok();
    let mut bytes = std::fs::read(daemon.dir().join("box.tar")).unwrap();
    daemon.naru(&["rmi", "box"]).ok();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    daemon.naru_with_input(&["load"], &bytes).fails(1, "");
    assert_eq!(daemon.naru(&["images", "-aq"]).text(), "");
    let verify = daemon.naru(&["system", "verify"]);
    assert_eq!(verify.code, 0, "{}{}", verify.stdout, verify.stderr);
}

#[test]
fn roots_that_cannot_be_used() {
    let daemon = daemon();
    let second = |data: &str| {
        run(Command::new(integration_tests::binary())
            .args(["daemon", "--data-root", data, "--exec-root"])
            .arg(daemon.dir().join("second"))
            .arg("-H")
            .arg(format!("unix://{}/second.sock", daemon.dir().display())))
    };
    second(daemon.data_root().to_str().unwrap()).fails(1, daemon.data_root().to_str().unwrap());
    let future = daemon.dir().join("future");
    std::fs::create_dir(&future).unwrap();
    std::fs::write(future.join("version"), "naru-store 999\n").unwrap();
    second(future.to_str().unwrap()).fails(1, "999");
    second("/proc/no-such").fails(1, "/proc/no-such");
}
