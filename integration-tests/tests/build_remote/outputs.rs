//! Where results go, as others read them; and archives that others packed.

use super::{build, context, daemon};
use integration_tests::{Daemon, run, run_with_input};
use std::path::PathBuf;
use std::process::Command;

const FILE: &str = "FROM box\nCOPY --chmod=640 a /made/a\nRUN ln -s a /made/link && chown 7:8 /made/a\nLABEL x=y\n";

fn place(daemon: &Daemon, name: &str) -> String {
    daemon.dir().join(name).to_str().expect("UTF-8").to_owned()
}

/// IDs of all images, with those that have no name.
fn images(daemon: &Daemon) -> Vec<String> {
    let list = daemon.naru(&["images", "-aq", "--no-trunc"]).ok();
    list.stdout.lines().map(str::to_owned).collect()
}

fn made(daemon: &Daemon) -> PathBuf {
    context(daemon, "c", &[("Dockerfile", FILE), ("a", "text")])
}

#[test]
fn files_are_written_as_a_directory_and_as_an_archive() {
    let daemon = daemon();
    let dir = made(&daemon);
    let before = images(&daemon);
    // Twice: what is cached leaves no image behind either.
    for round in ["1", "2"] {
        let out = place(&daemon, &format!("out{round}"));
        build(&daemon, &["-o", &out], &dir).ok();
        let stat = ["-c", "%a %F %N", "a", "link"];
        let shown = run(Command::new("stat").args(stat).current_dir(format!("{out}/made"))).ok();
        assert_eq!(shown.stdout, "640 regular file 'a'\n777 symbolic link 'link' -> 'a'\n");
        assert_eq!(images(&daemon), before, "round {round}");
    }
    let tar = place(&daemon, "t.tar");
    build(&daemon, &["-o", &format!("type=tar,dest={tar}")], &dir).ok();
    let list = run(Command::new("tar").args(["--numeric-owner", "-tvf", &tar])).ok();
    let line = list.stdout.lines().find(|line| line.ends_with("made/a")).expect("the file");
    assert!(line.starts_with("-rw-r----- 7/8 "), "{line}");
    let mut command = daemon.command(&["build", "--network", "none", "-q", "-o", "-"]);
    let piped = command.arg(&dir).output().expect("the binary");
    assert!(piped.status.success());
    let piped =
        run_with_input(Command::new("tar").args(["--numeric-owner", "-tvf", "-"]), &piped.stdout);
    // The root itself has the time of its export.
    let inner = |list: &str| {
        list.lines().filter(|line| !line.ends_with(" ./")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(inner(&piped.ok().stdout), inner(&list.stdout));
    assert_eq!(images(&daemon), before);
    // An image that was there stays.
    build(&daemon, &["-t", "kept"], &dir).ok();
    let with = images(&daemon);
    build(&daemon, &["-o", &place(&daemon, "out3")], &dir).ok();
    assert_eq!(images(&daemon), with);
}

#[test]
fn archives_of_images_are_read_by_others() {
    let daemon = daemon();
    let dir = made(&daemon);
    let before = images(&daemon);
    let (oci, docker) = (place(&daemon, "oci.tar"), place(&daemon, "docker.tar"));
    for (kind, path) in [("oci", &oci), ("docker", &docker)] {
        let output = format!("type={kind},dest={path}");
        build(&daemon, &["-t", "named:v1", "-o", &output], &dir).ok();
        assert_eq!(images(&daemon), before, "{kind}");
    }
    for source in [
        format!("oci-archive:{oci}"),
        format!("docker-archive:{docker}:docker.io/library/named:v1"),
    ] {
        let seen = run(Command::new("skopeo").args(["inspect", &source])).ok();
        let seen: serde_json::Value = serde_json::from_str(&seen.stdout).expect("JSON");
        assert_eq!(seen["Labels"]["x"], "y", "{source}");
        assert_eq!(seen["Layers"].as_array().map(Vec::len), Some(3), "{source}");
        let copied = format!("dir:{}", place(&daemon, "copied"));
        run(Command::new("skopeo").args(["copy", "-q", &source, &copied])).ok();
    }
    // And by ourselves, under its name.
    let loaded = daemon.naru(&["load", "-i", &docker]).ok();
    assert!(loaded.stdout.contains("named:v1"), "{loaded:?}");
    let run = ["run", "--rm", "--network", "none", "named:v1", "cat", "/made/a"];
    assert_eq!(daemon.naru(&run).ok().text(), "text");
    // An image, and files besides.
    let out = place(&daemon, "both");
    let both = ["-o", "type=image,name=other:1", "-o", &format!("type=local,dest={out}")];
    build(&daemon, &both, &dir).ok();
    assert!(std::fs::exists(format!("{out}/made/a")).expect("a directory"));
    daemon.naru(&["inspect", "other:1"]).ok();
}

#[test]
fn add_unpacks_what_xz_bzip2_and_zstd_packed() {
    let daemon = daemon();
    let dir =
        context(&daemon, "c", &[("Dockerfile", ""), ("in/file", "inside"), ("plain", "plain")]);
    let shell = "set -e; for c in xz bzip2 zstd gzip; do tar -C in -c --use-compress-program=$c -f $c.tar .; done; \
        xz -k plain; bzip2 -k plain; head -c 300 xz.tar > cut.tar.xz; head -c 3000000 /dev/urandom > in/noise; \
        tar -C in -cjf large.tar.bz2 .";
    run(Command::new("sh").args(["-c", shell]).current_dir(&dir)).ok();
    let file = "FROM box\nADD xz.tar /xz/\nADD bzip2.tar /bzip2/\nADD zstd.tar /zstd/\nADD gzip.tar /gzip/\n\
        ADD large.tar.bz2 /large/\nADD plain.xz plain.bz2 /kept/\nADD --unpack=false xz.tar /kept/\n\
        RUN cat /xz/file /bzip2/file /zstd/file /gzip/file /large/file > /all && ls /kept > /names\n";
    std::fs::write(dir.join("Dockerfile"), file).expect("a file");
    build(&daemon, &["-t", "a"], &dir).ok();
    assert_eq!(super::cat(&daemon, "a", "/all"), "inside".repeat(5));
    assert_eq!(super::cat(&daemon, "a", "/names"), "plain.bz2\nplain.xz\nxz.tar");
    let size = ["run", "--rm", "--network", "none", "a", "stat", "-c", "%s", "/large/noise"];
    assert_eq!(daemon.naru(&size).ok().text(), "3000000");
}
