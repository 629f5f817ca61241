//! The flags of docker's client in its classic way: what each does here is what it does with docker's own daemon.

use super::{Dockerd, context, daemon};
use integration_tests::{Daemon, Done, run_with_input};
use std::path::Path;

/// The same words for both daemons, which have an image `box` and a context.
struct Both {
    ours: Daemon,
    theirs: Dockerd,
}

impl Both {
    #[track_caller]
    fn start() -> Both {
        let ours = daemon();
        let theirs = Dockerd::start(ours.dir());
        Both { ours, theirs }
    }

    /// Builds with both, ours first.
    #[track_caller]
    fn build(&self, args: &[&str], dir: &Path, input: &[u8]) -> [Done; 2] {
        let words = [&["build"], args].concat();
        [self.ours.docker_command(&words), self.theirs.command(&words)].map(|mut command| {
            let command =
                command.current_dir(dir).env("DOCKER_BUILDKIT", "0").env("GIVEN", "by env");
            run_with_input(command, input)
        })
    }

    /// What both say of an image; it is the same.
    #[track_caller]
    fn inspect(&self, image: &str, format: &str) -> String {
        let words = ["image", "inspect", "-f", format, image];
        let ours = self.ours.docker(&words).ok();
        let theirs = integration_tests::run(&mut self.theirs.command(&words)).ok();
        assert_eq!(ours.text(), theirs.text(), "{image} {format}");
        ours.text().to_owned()
    }
}

/// What steps have shown of themselves.
fn seen(done: &Done) -> Vec<&str> {
    done.stdout.lines().filter(|line| line.starts_with("seen ")).collect()
}

#[test]
fn each_flag_does_what_it_does_with_docker_s_daemon() {
    let both = Both::start();
    let limits = "FROM box\nRUN echo seen $(ulimit -n) $(ulimit -Hn) $(df -k /dev/shm | awk 'NR==2{print $2}') \\\n \
        $(for name in memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset/cpuset.cpus; \
        do cat /sys/fs/cgroup/$name; done)\n";
    let files = [
        ("Dockerfile", "FROM box\nCOPY a /a\n"),
        ("a", "text"),
        ("args", "FROM box\nARG A\nARG B=default\nARG GIVEN\nRUN echo \"seen $A, $B, $GIVEN\"\n"),
        ("stages", "FROM box AS one\nRUN echo seen one\nFROM box AS two\nRUN echo seen two\n"),
        ("hosts", "FROM box\nRUN grep example /etc/hosts | sed 's/^/seen /'\n"),
        ("network", "FROM box\nRUN echo seen $(ls /sys/class/net | wc -l)\n"),
        ("limits", limits),
        ("remote", "FROM localhost:1/box\n"),
        ("fails", "FROM box\nRUN false\n"),
        ("sub/Dockerfile", "FROM box\nCOPY a /b\nRUN echo seen $(cat /b)\n"),
    ];
    let dir = context(&both.ours, "c", &files);
    let none = |rest: &[&'static str]| [&["--network", "none", "."], rest].concat();
    for daemon in [&both.ours.docker_command(&[]), &both.theirs.command(&[])] {
        let mut tag = std::process::Command::new("docker");
        tag.args(["tag", "box", "localhost:1/box"]);
        for (name, value) in daemon.get_envs() {
            tag.env(name, value.expect("a value"));
        }
        integration_tests::run(&mut tag).ok();
    }
    for (args, shows, code) in [
        (none(&["-f", "args"]), &["seen , default, "][..], 0),
        (
            none(&["-f", "args", "--build-arg", "A=1", "--build-arg", "GIVEN"]),
            &["seen 1, default, by env"],
            0,
        ),
        (none(&["-f", "args", "--build-arg", "A", "--build-arg", "B="]), &["seen , , "], 0),
        (none(&["-f", "stages", "--target", "one"]), &["seen one"], 0),
        (none(&["-f", "stages", "--target", "TWO"]), &["seen two"], 0),
        (none(&["-f", "stages", "--target", "three"]), &[], 1),
        (
            none(&[
                "-f",
                "hosts",
                "--add-host",
                "a.example:192.0.2.1",
                "--add-host",
                "b.example:2001:db8::1",
            ]),
            &["seen 192.0.2.1\ta.example", "seen 2001:db8::1\tb.example"],
            0,
        ),
        (none(&["-f", "hosts", "--add-host", "nonsense"]), &[], 125),
        (none(&["-f", "network", "--no-cache"]), &["seen 1"], 0),
        (vec![".", "-f", "network", "--no-cache", "--network", "nowhere"], &[], 1),
        (
            none(&[
                "-f",
                "limits",
                "--no-cache",
                "--memory",
                "96m",
                "--memory-swap",
                "128m",
                "--cpu-shares",
                "512",
                "--cpu-period",
                "50000",
                "--cpu-quota",
                "25000",
                "--cpuset-cpus",
                "0",
                "--ulimit",
                "nofile=100:200",
                "--shm-size",
                "32m",
            ]),
            &["seen 100 200 32768 100663296 512 25000 50000 0"],
            0,
        ),
        (none(&["-f", "limits", "--no-cache", "--memory", "1k"]), &[], 1),
        (none(&["-f", "remote"]), &[], 0),
        (none(&["-f", "remote", "--pull"]), &[], 1),
        (none(&["-f", "fails", "--force-rm"]), &[], 1),
        (
            none(&["-f", "sub/Dockerfile", "--no-cache", "--compress", "--rm=false"]),
            &["seen text"],
            0,
        ),
        (none(&["-f", "sub"]), &[], 1),
        (none(&["-f", "nowhere"]), &[], 1),
        (none(&["-f", "args", "--no-cache", "--isolation", "default"]), &["seen , default, "], 0),
        (none(&["-f", "args", "--isolation", "hyperv"]), &[], 1),
        (none(&["--squash"]), &[], 1),
        (none(&["-t", "a/UPPER"]), &[], 125),
        (none(&["--cache-from", "box"]), &[], 0),
    ] {
        let [ours, theirs] = both.build(&args, &dir, b"");
        let told = format!("{args:?}\nours: {ours:?}\ntheirs: {theirs:?}");
        assert_eq!((ours.code, theirs.code), (code, code), "{told}");
        assert_eq!(seen(&ours), seen(&theirs), "{told}");
        assert_eq!(seen(&ours), shows, "{told}");
    }
    for args in [&["--build-arg", "UNKNOWN=1"][..], &["--build-arg", "X=1", "--build-arg", "Y=2"]] {
        for done in both.build(&none(args), &dir, b"") {
            let warned = "[Warning] One or more build-args [";
            assert!(done.stdout.contains(warned) || done.stderr.contains(warned), "{done:?}");
        }
    }
}

#[test]
fn dockerfiles_contexts_and_ids_go_where_they_are_told() {
    let both = Both::start();
    let dir = context(&both.ours, "c", &[("Dockerfile", "FROM box\nCOPY a /a\n"), ("a", "text")]);
    let none = ["--network", "none"];
    // A Dockerfile on its own, one for a context, and a context.
    for done in
        both.build(&[&none[..], &["-t", "alone", "-"]].concat(), &dir, b"FROM box\nENV A=b\n")
    {
        assert!(done.ok().stdout.contains("Successfully tagged alone:latest"));
    }
    let file = b"FROM box\nCOPY a /b\nRUN echo seen $(cat /b)\n";
    for done in both.build(&[&none[..], &["-f", "-", "."]].concat(), &dir, file) {
        assert_eq!(seen(&done.ok()), ["seen text"]);
    }
    let tar = std::process::Command::new("tar")
        .args(["-C", ".", "-cz", "a", "Dockerfile"])
        .current_dir(&dir)
        .output();
    let tar = tar.expect("tar").stdout;
    for done in both.build(&[&none[..], &["-t", "piped", "-"]].concat(), &dir, &tar) {
        assert!(done.ok().stdout.contains("Successfully tagged piped:latest"));
    }
    both.inspect("piped", "{{len .RootFS.Layers}} {{.Config.Cmd}}");
    assert!(both.inspect("alone", "{{.Config.Env}}").contains("A=b"));
    // The ID alone, and in a file; labels of the command line win.
    let words =
        ["-q", "--iidfile", "id", "--label", "l=m", "--label", "empty", "-t", "labelled", "."];
    let done = both.build(&[&none[..], &words].concat(), &dir, b"");
    let inspected = both.ours.docker(&["inspect", "-f", "{{.Id}}", "labelled"]).ok();
    let [ours, theirs] = done.map(Done::ok);
    assert_eq!(ours.text(), inspected.text());
    // Both wrote it, docker's daemon last.
    assert_eq!(std::fs::read_to_string(dir.join("id")).expect("a file").trim_end(), theirs.text());
    assert_eq!(both.inspect("labelled", "{{json .Config.Labels}}"), r#"{"empty":"","l":"m"}"#);
    // Once more, and without the cache.
    for (args, cached) in [(&["."][..], true), (&["--no-cache", "."], false)] {
        for done in both.build(&[&none[..], args].concat(), &dir, b"") {
            assert_eq!(done.ok().stdout.contains("Using cache"), cached, "{args:?}");
        }
    }
}
