//! Clients that go away in the middle.

use super::{context, daemon, is_well};
use integration_tests::{leftovers, until};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_client_that_goes_away_while_it_sends_leaves_nothing() {
    let daemon = daemon();
    let mut tar = tar::Builder::new(Vec::new());
    integration_tests::image::append(
        &mut tar,
        "Dockerfile",
        tar::EntryType::Regular,
        0o644,
        b"FROM box\n",
    );
    integration_tests::image::append(
        &mut tar,
        "big",
        tar::EntryType::Regular,
        0o644,
        &vec![9; 4 << 20],
    );
    let tar = tar.into_inner().expect("a tar in memory");
    let files = daemon.data_root().join("build");
    let bytes = || {
        let list = integration_tests::run(std::process::Command::new("find").arg(&files).args([
            "-type",
            "f",
            "-path",
            "*/staging/*",
        ]));
        list.stdout
    };
    for (part, orderly) in
        [(600, true), (tar.len() / 2, true), (tar.len() / 2, false), (tar.len() - 1, false)]
    {
        let mut stream = UnixStream::connect(daemon.socket()).expect("the daemon");
        let head = format!(
            "POST /v1.43/build?t=cut HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            tar.len()
        );
        stream.write_all(head.as_bytes()).expect("the daemon reads");
        stream.write_all(&tar[..part]).expect("the daemon reads");
        if orderly {
            // Still there to hear of it.
            stream.shutdown(std::net::Shutdown::Write).expect("a socket");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok();
            assert!(
                answer.is_empty()
                    || answer.starts_with("HTTP/1.1 4")
                    || answer.starts_with("HTTP/1.1 5"),
                "{answer}"
            );
        }
        drop(stream);
        let gone = until(LIMIT, || bytes().is_empty().then_some(()));
        assert!(gone.is_some(), "{part}: {}", bytes());
    }
    daemon.naru(&["inspect", "cut"]).fails(1, "No such");
    is_well(&daemon);
}

#[test]
fn a_step_without_end_ends_with_its_client_and_all_it_started() {
    let daemon = daemon();
    let marker = format!("7{:07}", std::process::id());
    // Out of its session, deaf to signals, and in the background: all of it.
    let script = format!(
        "FROM box\nRUN --mount=type=tmpfs,target=/t --mount=type=cache,target=/c (setsid sh -c 'trap \"\" TERM INT HUP; sleep {marker}' &) ; \
         (sleep {marker} &) ; trap '' TERM; while true; do sleep {marker}; done\n"
    );
    let dir = context(&daemon, "c", &[("Dockerfile", &script)]);
    let sleeping = || {
        let all = integration_tests::daemon::processes();
        let is_ours = |words: &[String]| {
            words.first().is_some_and(|word| word == "sleep") && words.get(1) == Some(&marker)
        };
        all.iter().filter(|(_, words)| is_ours(words)).count()
    };
    let path = daemon.dir().to_string_lossy().into_owned();
    let before = leftovers::mentioning(&path).len();
    for by_docker in [false, true] {
        let mut command = match by_docker {
            false => daemon.command(&["build", "--network", "none", "-q"]),
            true => daemon.docker_command(&["build", "--network", "none", "-q"]),
        };
        let mut child = command
            .arg(&dir)
            .env("DOCKER_BUILDKIT", "0")
            .env("XDG_CACHE_HOME", daemon.dir().join("cache"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("a client");
        let started = until(LIMIT, || (sleeping() == 3).then_some(()));
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        assert!(started.is_some(), "{} processes", sleeping());
        let ended = until(LIMIT, || (sleeping() == 0).then_some(()));
        assert!(ended.is_some(), "{} processes go on", sleeping());
        let clean =
            until(LIMIT, || (leftovers::mentioning(&path).len() <= before + 1).then_some(()));
        // The monitor may have come.
        assert!(clean.is_some(), "{:?}", leftovers::mentioning(&path));
    }
    is_well(&daemon);
}
