//! Builds as people and their tools ask for them: docker's own client in its classic way, docker's library for Python,
//! docker-compose, and our own client, against our daemon and against Debian's. Acts: as root, with the built binary.

mod dockerd;
mod flags;
mod history;
mod ours;

use dockerd::Dockerd;
use integration_tests::{Daemon, Done, context, run, run_with_input};
use std::path::Path;
use std::process::Command;

/// A daemon with busybox as the image `box`.
fn daemon() -> Daemon {
    let daemon = Daemon::start();
    let import = ["import", "-c", "CMD [\"sh\"]", "-", "box"];
    run_with_input(&mut daemon.command(&import), &integration_tests::image::busybox_tar()).ok();
    daemon
}

/// docker's client without BuildKit.
fn classic(daemon: &Daemon, args: &[&str], dir: &Path) -> Done {
    let dir = dir.to_str().expect("a path in UTF-8");
    let mut command = daemon.docker_command(&["build", "--network", "none"]);
    run(command.args(args).arg(dir).env("DOCKER_BUILDKIT", "0"))
}

/// Each step writes to one stream: the order of two is nobody's to promise.
const DOCKERFILE: &str = "# a comment\nFROM box AS base\nARG X=1\nENV A=b \\\n    C=d\nRUN echo hello\n\
    COPY a.txt /a.txt\nLABEL x=\"y z\"\n\nFROM base\nRUN echo \"second $A\" >&2\nCOPY --from=base /a.txt /b.txt\nCMD [\"cat\", \"/b.txt\"]\n";

/// What the classic stream says, without digits.
fn told(done: &Done) -> Vec<String> {
    let digits = |line: String, before: &str| match line.split_once(before) {
        Some((start, id)) if id.chars().all(|letter| letter.is_ascii_hexdigit()) => {
            format!("{start}{before}{} digits", id.len())
        }
        _ => line,
    };
    let shapes =
        [" ---> Running in ", "Removing intermediate container ", "Successfully built ", " ---> "];
    let shaped =
        |line: &str| shapes.iter().fold(line.to_owned(), |line, shape| digits(line, shape));
    // docker removes the container of an instruction that ran nothing without a word; after coloured output there is no
    // line end.
    done.stdout.lines().map(shaped).collect()
}

#[test]
fn docker_s_client_is_told_what_its_own_daemon_tells() {
    let daemon = daemon();
    let reference = Dockerd::start(daemon.dir());
    let dir = context(&daemon, "c", &[("Dockerfile", DOCKERFILE), ("a.txt", "text\n")]);
    let theirs = |args: &[&str], dir: &Path| {
        let mut command = reference.command(&["build", "--network", "none"]);
        run(command.args(args).arg(dir).env("DOCKER_BUILDKIT", "0"))
    };
    // Each step as docker tells it, but for the digits: at first, and when it is known; and nothing has no ID.
    let empty = context(
        &daemon,
        "e",
        &[("Dockerfile", "FROM scratch\nLABEL a=b\nCOPY a.txt /\nCMD [\"x\"]\n"), ("a.txt", "")],
    );
    for dir in [&dir, &empty] {
        for _ in 0..2 {
            let ours = told(&classic(&daemon, &[], dir).ok());
            assert_eq!(ours, told(&theirs(&[], dir).ok()), "{}", dir.display());
        }
    }
    let args = ["-t", "one:1", "-t", "two", "--label", "l=m"];
    let (a, b) = (classic(&daemon, &args, &dir).ok(), theirs(&args, &dir).ok());
    let (a, b) = (told(&a), told(&b));
    // A label of the command line is a further step there.
    let label = b.iter().position(|line| line.contains(": LABEL l=m")).expect("the label's step");
    let b: Vec<String> = b[..label]
        .iter()
        .chain(b[label..].iter().skip_while(|line| !line.starts_with("Successfully")))
        .map(|line| line.replace("/11 :", "/10 :"))
        .collect();
    assert_eq!(a, b);
    let again = classic(&daemon, &args, &dir).ok();
    assert!(again.stdout.matches(" ---> Using cache").count() >= 8, "{}", again.stdout);
    // Quiet is the ID alone.
    let id = classic(&daemon, &["-q"], &dir).ok();
    assert!(id.text().starts_with("sha256:") && id.text().len() == 71, "{}", id.stdout);
    assert_eq!(daemon.naru(&["run", "--rm", "--network", "none", "one:1"]).ok().text(), "text");
    let label = ["inspect", "-f", "{{index .Config.Labels \"l\"}}", "one:1"];
    assert_eq!(daemon.naru(&label).ok().text(), "m");
}

#[test]
fn failures_have_docker_s_words_and_codes() {
    let daemon = daemon();
    let reference = Dockerd::start(daemon.dir());
    for (number, (dockerfile, args, words)) in [
        ("FROM box\nRUN echo a; exit 3\n", &[][..], "returned a non-zero code: 3"),
        ("FROM box\nRUNN x\n", &[], "unknown instruction: RUNN"),
        ("FROM box\nCOPY nope /x\n", &[], "COPY failed"),
        ("FROM box\n", &["--target", "zz"], "zz"),
        ("", &[], "cannot be empty"),
        ("RUN x\n", &[], "no build stage in current context"),
    ]
    .into_iter()
    .enumerate()
    {
        let dir = context(&daemon, &format!("f{number}"), &[("Dockerfile", dockerfile)]);
        let ours = classic(&daemon, args, &dir);
        let mut command = reference.command(&["build", "--network", "none"]);
        let theirs = run(command.args(args).arg(&dir).env("DOCKER_BUILDKIT", "0"));
        assert_eq!(ours.code, theirs.code, "{dockerfile}: {ours:?} {theirs:?}");
        for done in [&ours, &theirs] {
            assert!(done.stderr.contains(words), "{dockerfile}: {done:?}");
        }
    }
}

#[test]
fn docker_s_library_for_python_builds() {
    let daemon = daemon();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/build_face/docker_py.py");
    let done = run(Command::new("/usr/bin/python3").arg(script).arg(daemon.socket())).ok();
    assert!(done.stdout.ends_with("all is well\n"), "{}", done.stdout);
}

#[test]
fn docker_compose_builds_what_it_runs() {
    let daemon = Daemon::start_apart(&[]);
    let import = ["import", "-c", "CMD [\"sh\"]", "-", "box"];
    run_with_input(&mut daemon.command(&import), &integration_tests::image::busybox_tar()).ok();
    let dir = context(
        &daemon,
        "project",
        &[
            (
                "docker-compose.yml",
                "version: '2.4'\nservices:\n  web:\n    build:\n      context: web\n      dockerfile: Web.dockerfile\n      target: last\n      \
                 network: none\n      args:\n        WORD: given\n      labels:\n        a: b\n    image: web:built\n    command: cat /word\n",
            ),
            (
                "web/Web.dockerfile",
                "FROM box AS last\nARG WORD=default\nRUN echo $WORD > /word\nFROM nothing-like-this\n",
            ),
        ],
    );
    let compose = |args: &[&str]| {
        let mut command = Command::new("docker-compose");
        run(command.args(args).current_dir(&dir).env("DOCKER_HOST", daemon.host()))
    };
    let built = compose(&["build"]).ok();
    assert!(built.stdout.contains("Successfully tagged web:built"), "{built:?}");
    let up = compose(&["up", "--no-color", "--abort-on-container-exit"]);
    assert!(up.stdout.contains("given"), "{up:?}");
    compose(&["down", "-t", "1"]).ok();
    let label = ["inspect", "-f", "{{index .Config.Labels \"a\"}}", "web:built"];
    assert_eq!(daemon.naru(&label).ok().text(), "b");
}

#[test]
fn our_client_builds_with_docker_s_daemon_too() {
    let daemon = daemon();
    let reference = Dockerd::start(daemon.dir());
    let files = [
        ("d/Dockerfile", "FROM box\nCOPY . /c\nRUN ls -A /c > /list\nCMD [\"cat\", \"/list\"]\n"),
        ("d/.dockerignore", "*.log\n"),
        ("d/keep", ""),
        ("d/x.log", ""),
        ("elsewhere", "FROM box\nCOPY keep /k\n"),
    ];
    let dir = context(&daemon, "c", &files);
    let naru = |args: &[&str]| {
        let mut command = integration_tests::naru();
        run(command.args(["-H", &reference.host()]).args(args).current_dir(&dir))
    };
    let done = naru(&["build", "--network", "none", "-t", "there", "d"]).ok();
    assert!(done.stdout.contains("Successfully tagged there:latest"), "{done:?}");
    let id = naru(&["build", "--network", "none", "-q", "-f", "elsewhere", "d"]).ok();
    assert!(id.text().starts_with("sha256:"), "{id:?}");
    let list = run(&mut reference.command(&["run", "--rm", "--network", "none", "there"])).ok();
    assert!(list.stdout.contains("keep") && !list.stdout.contains("x.log"), "{list:?}");
    let secret = naru(&["build", "--secret", "id=x,src=d/keep", "d"]);
    secret.fails(1, "flag `--secret` is not supported by the daemon that was asked");
}
