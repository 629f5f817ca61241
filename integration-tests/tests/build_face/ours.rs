//! Our own client: what it sends, shows and writes.

use super::{context, daemon};
use integration_tests::{Daemon, Done, run, until};
use std::path::Path;
use std::time::Duration;

/// `naru build` with a cache of digests of its own.
fn build(daemon: &Daemon, args: &[&str], dir: &Path) -> Done {
    let mut command = daemon.command(&["build", "--network", "none", "--progress", "plain"]);
    run(command.args(args).arg(dir).env("XDG_CACHE_HOME", daemon.dir().join("cache")))
}

#[test]
fn only_what_changed_is_sent() {
    let daemon = daemon();
    let big = "x".repeat(3_000_000);
    let files = [
        ("Dockerfile", "FROM box\nCOPY . /c\n"),
        ("big", big.as_str()),
        ("small", "one"),
        ("same", "one"),
    ];
    let dir = context(&daemon, "c", &files);
    let first = build(&daemon, &["-t", "a"], &dir).ok();
    assert!(first.stderr.contains("4 files, 3MB; transferring 3MB"), "{}", first.stderr);
    let second = build(&daemon, &["-t", "a"], &dir).ok();
    assert!(second.stderr.contains("transferring 0B"), "{}", second.stderr);
    std::fs::write(dir.join("small"), "another").expect("a file");
    let third = build(&daemon, &["-t", "b"], &dir).ok();
    assert!(third.stderr.contains("transferring 7B"), "{}", third.stderr);
    let shown =
        daemon.naru(&["run", "--rm", "--network", "none", "b", "cat", "/c/small", "/c/same"]);
    assert_eq!(shown.ok().text(), "anotherone");
    // What was built before is as it was.
    let shown = daemon.naru(&["run", "--rm", "--network", "none", "a", "cat", "/c/small"]);
    assert_eq!(shown.ok().text(), "one");
}

#[test]
fn the_ignore_file_beside_the_dockerfile_wins() {
    let daemon = daemon();
    let files = [
        ("web.Dockerfile", "FROM box\nCOPY . /c\nRUN ls /c > /list\nCMD cat /list\n"),
        ("web.Dockerfile.dockerignore", "a\nd/*\n!d/kept\n"),
        (".dockerignore", "b\n"),
        ("a", ""),
        ("b", ""),
        ("d/kept", ""),
        ("d/left", ""),
    ];
    let dir = context(&daemon, "c", &files);
    let file = dir.join("web.Dockerfile");
    build(&daemon, &["-t", "w", "-f", file.to_str().expect("UTF-8")], &dir).ok();
    let run = ["run", "--rm", "--network", "none", "w"];
    let list = daemon.naru(&run).ok();
    let names: Vec<&str> = list.stdout.lines().collect();
    assert_eq!(names, ["b", "d", "web.Dockerfile", "web.Dockerfile.dockerignore"]);
    let inside = daemon.naru(&["run", "--rm", "--network", "none", "w", "ls", "/c/d"]);
    assert_eq!(inside.ok().text(), "kept");
    // What is missing because of a rule is said with the rule.
    let dir = context(
        &daemon,
        "e",
        &[("Dockerfile", "FROM box\nCOPY x /\n"), (".dockerignore", "x*\n"), ("x", "")],
    );
    let failed = build(&daemon, &[], &dir);
    assert!(failed.code == 1 && failed.stderr.contains("`x*`"), "{failed:?}");
}

#[test]
fn a_secret_is_nowhere_but_where_it_is_mounted() {
    const SECRET: &str = "s3cr3t-Kq9vX2";
    let daemon = daemon();
    let dockerfile = "FROM box\nRUN --mount=type=secret,id=token test \"$(cat /run/secrets/token)\" = s3cr3t-Kq9v$(echo X2)\n";
    let dir = context(&daemon, "c", &[("Dockerfile", dockerfile), ("../token", SECRET)]);
    let source = format!("id=token,src={}", daemon.dir().join("token").display());
    build(&daemon, &["-t", "s", "--secret", &source], &dir).ok();
    let history = daemon.naru(&["history", "--no-trunc", "s"]).ok();
    assert!(!history.stdout.contains(SECRET) && !daemon.log().contains(SECRET));
    let searched = run(std::process::Command::new("grep").args(["-raF", "-l", SECRET]).args([
        daemon.data_root(),
        daemon.exec_root(),
        daemon.dir().join("cache"),
    ]));
    assert_eq!(searched.stdout, "", "{searched:?}");
}

#[test]
fn a_client_that_goes_away_ends_its_build_with_all_it_started() {
    let daemon = daemon();
    let dir = context(&daemon, "c", &[("Dockerfile", "FROM box\nRUN sleep 54321\n")]);
    let sleeping = || {
        let all = integration_tests::daemon::processes();
        all.iter().any(|(_, words)| words.iter().any(|word| word == "54321"))
    };
    let mut command = daemon.command(&["build", "--network", "none", "-q"]);
    let mut child = command.arg(&dir).spawn().expect("the binary");
    let started = until(Duration::from_secs(30), || sleeping().then_some(()));
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    assert!(started.is_some(), "the step never began");
    let ended = until(Duration::from_secs(30), || (!sleeping()).then_some(()));
    assert!(ended.is_some(), "the step goes on without anybody");
    assert_eq!(daemon.naru(&["images", "-q", "--filter", "dangling=true"]).ok().text(), "");
}

#[test]
fn results_go_where_they_are_asked_to_go() {
    let daemon = daemon();
    let dir =
        context(&daemon, "c", &[("Dockerfile", "FROM scratch\nCOPY a /b/c\n"), ("a", "text")]);
    let place = |name: &str| daemon.dir().join(name).to_str().expect("UTF-8").to_owned();
    build(&daemon, &["-o", &place("out")], &dir).ok();
    assert_eq!(std::fs::read_to_string(daemon.dir().join("out/b/c")).expect("a file"), "text");
    // It is nowhere else.
    assert_eq!(daemon.naru(&["images", "-aq"]).ok().stdout.lines().count(), 1);
    build(&daemon, &["-o", &format!("type=tar,dest={}", place("t.tar"))], &dir).ok();
    let list = run(std::process::Command::new("tar").args(["-tf", &place("t.tar")])).ok();
    assert!(list.stdout.lines().any(|line| line.trim_start_matches("./") == "b/c"), "{list:?}");
    build(&daemon, &["-o", &format!("type=oci,dest={}", place("o.tar"))], &dir).ok();
    let seen = run(std::process::Command::new("skopeo")
        .args(["inspect", &format!("oci-archive:{}", place("o.tar"))]))
    .ok();
    assert!(seen.stdout.contains("\"Layers\""), "{seen:?}");
    let files = ["--iidfile", &place("iid"), "--metadata-file", &place("meta"), "-t", "x:1"];
    build(&daemon, &files, &dir).ok();
    let id = std::fs::read_to_string(place("iid")).expect("a file");
    assert_eq!(daemon.naru(&["inspect", "-f", "{{.Id}}", "x:1"]).ok().text(), id);
    let facts: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place("meta")).expect("a file")).expect("JSON");
    assert_eq!(facts["containerimage.config.digest"], id.as_str());
    assert_eq!(facts["image.name"], "docker.io/library/x:1");
}

#[test]
fn a_dockerfile_or_an_archive_comes_from_standard_input() {
    let daemon = daemon();
    let alone = daemon.naru_with_input(&["build", "-q", "-"], b"FROM box\nENV A=b\n").ok();
    assert!(alone.text().starts_with("sha256:"), "{alone:?}");
    let dir = context(&daemon, "c", &[("Dockerfile", "FROM box\nCOPY a /a\n"), ("a", "text")]);
    let tar = |flags: &str| {
        let mut command = std::process::Command::new("tar");
        command.arg("-C").arg(&dir).args([flags, "."]).output().expect("tar").stdout
    };
    let plain = daemon.naru_with_input(&["build", "-q", "-"], &tar("-c")).ok();
    let gzip = daemon.naru_with_input(&["build", "-q", "-"], &tar("-cz")).ok();
    assert_eq!(plain.text(), gzip.text());
    for flags in ["-cJ", "-cj"] {
        let other = daemon.naru_with_input(&["build", "-q", "-"], &tar(flags)).ok();
        assert_eq!(plain.text(), other.text());
    }
    daemon.naru_with_input(&["build", "-q", "-"], b"").fails(1, "it is empty");
    // A Dockerfile alone has no files to copy; those of stages and images it has.
    for word in ["COPY", "ADD"] {
        let file = format!("FROM box\n{word} a /a\n");
        let done = daemon.naru_with_input(&["build", "-q", "-"], file.as_bytes());
        assert!(done.stderr.contains("\"/a\": not found"), "{done:?}");
        done.fails(1, "a Dockerfile alone has no files");
    }
    let file = b"FROM box AS one\nRUN echo 1 > /1\nFROM scratch\nCOPY --from=one /1 /\nCOPY --from=box /etc/group /\n";
    daemon.naru_with_input(&["build", "-q", "--network", "none", "-"], file).ok();
    let check = daemon.naru_with_input(&["build", "--check", "-"], b"FROM box as a\nRUN x\n");
    assert!(check.code == 1 && check.stdout.contains("FromAsCasing"), "{check:?}");
}

#[test]
fn the_cache_is_shown_and_pruned() {
    let daemon = daemon();
    let dir = context(&daemon, "c", &[("Dockerfile", "FROM box\nRUN echo x > /x\n")]);
    build(&daemon, &["-t", "c"], &dir).ok();
    let usage = daemon.naru(&["builder", "du"]).ok();
    assert!(
        usage.stdout.contains("RUN echo x > /x") && usage.stdout.contains("Total:"),
        "{usage:?}"
    );
    let docker = daemon.docker(&["system", "df", "-v"]).ok();
    assert!(docker.stdout.contains("Build cache usage"), "{docker:?}");
    let pruned = daemon.naru(&["builder", "prune", "-af"]).ok();
    assert!(pruned.stdout.contains("Total reclaimed space:"), "{pruned:?}");
    assert!(!daemon.naru(&["builder", "du"]).ok().stdout.contains("RUN echo x"));
    // The image is whole all the same.
    let shown = daemon.naru(&["run", "--rm", "--network", "none", "c", "cat", "/x"]);
    assert_eq!(shown.ok().text(), "x");
}
