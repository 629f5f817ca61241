//! Real builds with no network but Debian's packages: compilers, interpreters and their packages are installed by `apt-get` and
//! `pip` as people do it, from a repository that is mounted into the steps. Each image then runs and answers. Acts: as root, with
//! the built binary.

use integration_tests::{Daemon, Done, debian, run, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a service may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon on a network of its own, with Debian as `debian:12` and what is installed upon it as `packages`.
#[track_caller]
fn daemon() -> Daemon {
    let (tar, packages) = (debian::root_tar(), debian::for_builds().join("packages"));
    let daemon = Daemon::start_apart(&[]);
    let tar = tar.to_str().expect("a path in UTF-8");
    daemon.naru(&["import", "-c", "CMD [\"bash\"]", tar, "debian:12"]).ok();
    let file = daemon.dir().join("Packages.dockerfile");
    std::fs::write(&file, "FROM scratch\nCOPY . /\n").expect("a file");
    let build = ["build", "-q", "-t", "packages", "-f"];
    run(daemon.command(&build).arg(file).arg(packages)).ok();
    daemon
}

/// A copy of one of the directories beside this file.
#[track_caller]
fn context(daemon: &Daemon, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_builds").join(name);
    let dir = daemon.dir().join(name);
    run(Command::new("cp").arg("-r").arg(source).arg(&dir)).ok();
    dir
}

/// `naru build`, with plain lines.
#[track_caller]
fn build(daemon: &Daemon, name: &str, args: &[&str], dir: &Path) -> Done {
    let mut command = daemon.command(&["build", "--progress", "plain", "-t", name]);
    run(command.args(args).arg(dir).env("XDG_CACHE_HOME", daemon.dir().join("cache"))).ok()
}

/// Whether a step of a build came from the cache.
#[track_caller]
fn was_cached(done: &Done, step: &str) -> bool {
    let number = done
        .stderr
        .lines()
        .find(|line| line.contains(step))
        .and_then(|line| line.split(' ').next());
    let number = number.unwrap_or_else(|| panic!("no step `{step}` in\n{}", done.stderr));
    done.stderr.lines().any(|line| line == format!("{number} CACHED"))
}

/// What a server in the daemon's network answers to `GET`, when it does.
fn get(daemon: &Daemon, port: u16, path: &str) -> Option<String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = daemon.nearby(ask).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.trim().to_owned())
}

/// Runs an image as a service at a port, asks it, and stops it.
#[track_caller]
fn answer(daemon: &Daemon, image: &str, ports: (u16, u16), path: &str) -> String {
    let publish = format!("127.0.0.1:{}:{}", ports.0, ports.1);
    daemon.naru(&["run", "-d", "--name", "service", "-p", &publish, image]).ok();
    let answer = until(PATIENCE, || get(daemon, ports.0, path));
    let logs = daemon.naru(&["logs", "service"]).ok();
    let answer = answer.unwrap_or_else(|| panic!("{image} does not answer: {logs:?}"));
    daemon.naru(&["stop", "-t", "60", "service"]).ok();
    daemon.naru(&["rm", "service"]).ok();
    answer
}

#[test]
fn what_is_compiled_runs_without_its_compilers() {
    let daemon = daemon();
    let [c, rust, nginx] = ["c", "rust", "nginx"].map(|name| context(&daemon, name));
    for source in std::fs::read_dir(debian::for_builds().join("sources")).expect("the fixture") {
        let source = source.expect("the fixture").path();
        std::fs::copy(&source, nginx.join(source.file_name().expect("a file"))).expect("a copy");
    }
    // All three at once, one of them by docker's client.
    let classic = |word: &str| {
        let mut classic = daemon.docker_command(&["build", "-t", "c", "--build-arg", word]);
        run(classic.arg(&c).env("DOCKER_BUILDKIT", "0")).ok()
    };
    let (by_docker, by_rust, by_nginx) = std::thread::scope(|scope| {
        let c = scope.spawn(|| classic("WORD=hello"));
        let rust = scope.spawn(|| build(&daemon, "rust", &[], &rust));
        let nginx = scope.spawn(|| build(&daemon, "nginx", &[], &nginx));
        let join = "a build ends";
        (c.join().expect(join), rust.join().expect(join), nginx.join().expect(join))
    });
    assert!(by_docker.stdout.ends_with("Successfully tagged c:latest\n"), "{by_docker:?}");
    // The compilers were installed once, while all of them were told of it.
    for told in [&by_docker.stdout, &by_rust.stderr, &by_nginx.stderr] {
        assert!(told.contains("Setting up gcc (4:12.2.0-3)"), "{told}");
    }
    let records = daemon.naru(&["builder", "du"]).ok();
    assert_eq!(records.stdout.matches("target=/packages <<EOF").count(), 1, "{records:?}");

    assert_eq!(answer(&daemon, "c", (8001, 8080), "/"), "C says hello as 65534");
    assert_eq!(answer(&daemon, "nginx", (8002, 80), "/old/index.html"), "nginx says built");
    // `/` has the binary and what every container gets.
    let said = answer(&daemon, "rust", (8003, 8080), "/");
    assert!(said.starts_with("Rust says "), "{said}");
    let size = ["image", "inspect", "-f", "{{len .RootFS.Layers}} {{.Size}}", "rust"];
    let size = daemon.naru(&size).ok().text().to_owned();
    let (layers, bytes) = size.split_once(' ').expect("two numbers");
    assert!(layers == "1" && bytes.parse::<u64>().expect("bytes") < 8_000_000, "{size}");

    // A changed source is compiled again, and nothing is installed again.
    std::fs::write(
        c.join("http.c"),
        std::fs::read_to_string(c.join("http.c")).expect("a file").replace("200 OK", "200 Fine"),
    )
    .expect("a file");
    let again = classic("WORD=again");
    assert!(again.stdout.contains("cc -O1") && !again.stdout.contains("apt-get:"), "{again:?}");
    assert!(!again.stdout.contains("Setting up gcc"), "{again:?}");
    assert_eq!(answer(&daemon, "c", (8001, 8080), "/"), "C says again as 65534");
    // Nothing changed: nothing is done but to look at the context.
    let again = build(&daemon, "nginx", &[], &nginx);
    assert!(was_cached(&again, "RUN make -s -j"), "{again:?}");
    assert!(again.stderr.contains(": 20 steps, 19 from the cache"), "{again:?}");
}

#[test]
fn what_is_interpreted_brings_its_packages() {
    let daemon = daemon();
    let [python, node] = ["python", "node"].map(|name| context(&daemon, name));
    let wheels = debian::for_builds().join("wheels");
    run(Command::new("cp").arg("-r").arg(wheels).arg(&python)).ok();
    std::thread::scope(|scope| {
        scope.spawn(|| build(&daemon, "node", &[], &node));
        let python = build(&daemon, "python", &[], &python);
        assert!(python.stderr.contains("Building wheel for bottle"), "{python:?}");
    });
    assert_eq!(answer(&daemon, "node", (8001, 3000), "/where"), "Node says production for /where");
    assert_eq!(answer(&daemon, "python", (8002, 8000), "/"), "Python says bottle 0.13.4");

    // Other requirements: `pip` runs again, and finds in its cache what it has built before.
    let list = python.join("requirements.txt");
    std::fs::write(&list, "waitress==3.0.2\nbottle==0.13.4\n").expect("a file");
    let again = build(&daemon, "python", &[], &python);
    assert!(!was_cached(&again, "RUN --mount=type=cache"), "{again:?}");
    assert!(!again.stderr.contains("Building wheel for bottle"), "{again:?}");
    // The cache is no part of the image.
    let list = ["run", "--rm", "-u", "root", "python", "ls", "-A", "/root"];
    assert!(!daemon.naru(&list).ok().stdout.contains(".cache"));
}
