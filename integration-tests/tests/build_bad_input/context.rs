//! Contexts.

use super::{build, command, context, daemon, is_well};
use integration_tests::image::{append, link};
use integration_tests::{run, run_with_input};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn what_is_not_in_the_context_is_said_with_what_hid_it() {
    let daemon = daemon();
    let files = [
        ("Dockerfile", "FROM box\nCOPY secret.key /k\n"),
        (".dockerignore", "# keys\n*.key\n!other.key\n"),
        ("secret.key", ""),
        ("main.c", ""),
    ];
    let dir = context(&daemon, "c", &files);
    let done = build(&daemon, &[], &dir);
    assert!(done.code == 1 && done.stderr.contains("`*.key`"), "{done:?}");
    // By docker's client too, which leaves it out itself.
    let mut docker = daemon.docker_command(&["build"]);
    let done = run(docker.arg(&dir).env("DOCKER_BUILDKIT", "0"));
    assert!(done.code == 1 && done.stderr.contains(".dockerignore"), "{done:?}");
    // A name that is nearly right.
    let dir = context(&daemon, "d", &[("Dockerfile", "FROM box\nCOPY mian.c /\n"), ("main.c", "")]);
    let done = build(&daemon, &[], &dir);
    assert!(done.code == 1 && done.stderr.contains("mian.c"), "{done:?}");
    for (name, ignore) in [("e", "*\n"), ("f", "**\n"), ("g", "*\n!nothing\n")] {
        let files = [
            ("Dockerfile", "FROM box\nCOPY . /c\nRUN echo there are $(ls -A /c | wc -l)\n"),
            (".dockerignore", ignore),
            ("x/y", ""),
        ];
        let done = build(&daemon, &["--no-cache"], &context(&daemon, name, &files)).ok();
        assert!(done.stderr.contains("there are 0"), "{done:?}");
        let files =
            [("Dockerfile", "FROM box\nCOPY x /c\n"), (".dockerignore", ignore), ("x/y", "")];
        let done = build(&daemon, &[], &context(&daemon, name, &files));
        assert!(
            done.code == 1 && done.stderr.contains(ignore.lines().next().expect("one")),
            "{done:?}"
        );
    }
    is_well(&daemon);
}

#[test]
fn links_lead_nowhere_out_of_the_context() {
    let daemon = daemon();
    let outside = daemon.dir().join("outside");
    std::fs::write(&outside, "the host's own").expect("a file");
    let dir = context(&daemon, "c", &[("sub/file", "")]);
    for (name, target) in [
        ("absolute", outside.to_str().expect("UTF-8")),
        ("relative", "../outside"),
        ("sub/up", "../../outside"),
        ("dir", "/"),
    ] {
        std::os::unix::fs::symlink(target, dir.join(name)).expect("a link");
    }
    // What is named is looked for in the context, what is among others is a link in the image too.
    for source in ["absolute", "relative", "sub/up", "dir/etc/hostname"] {
        std::fs::write(dir.join("Dockerfile"), format!("FROM box\nCOPY {source} /x\n"))
            .expect("a file");
        let done = build(&daemon, &[], &dir);
        assert!(done.code == 1 && done.stderr.contains(source), "{done:?}");
    }
    std::fs::write(dir.join("Dockerfile"), "FROM box\nCOPY . /c\nRUN ls -l /c && cat /c/absolute /c/relative /c/sub/up; test $? != 0\n").expect("a file");
    let done = build(&daemon, &[], &dir).ok();
    assert!(!done.stderr.contains("the host's own"), "{done:?}");
    // A link in the image does not lead a copy out of it either.
    std::fs::write(dir.join("Dockerfile"), format!("FROM box\nRUN ln -s {} /out && ln -s ../../../../../../.. /up\nCOPY sub/file /out/\nCOPY sub/file /up/here\nRUN test -f /here\n", daemon.dir().display())).expect("a file");
    build(&daemon, &[], &dir).ok();
    assert!(!daemon.dir().join("file").exists());
    is_well(&daemon);
}

#[test]
fn archives_that_are_no_context_are_refused() {
    let daemon = daemon();
    let dockerfile = b"FROM box\nCOPY . /c\nRUN cat /c/x; ls -l /c\n";
    let made = |name: &str, kind, content: &[u8]| {
        let mut tar = tar::Builder::new(Vec::new());
        append(&mut tar, "Dockerfile", tar::EntryType::Regular, 0o644, dockerfile);
        // The writer refuses such names; the bytes of the header do not.
        append(&mut tar, &"x".repeat(name.len()), kind, 0o644, content);
        let mut bytes = tar.into_inner().expect("a tar in memory");
        rename(&mut bytes, name);
        bytes
    };
    for name in ["../up", "a/../../up"] {
        let bytes = made(name, tar::EntryType::Regular, b"out");
        let done =
            run_with_input(command(&daemon, &["-"]).stdin(std::process::Stdio::piped()), &bytes);
        assert!(
            done.code == 1 && done.stderr.contains("leads out of the build context"),
            "{done:?}"
        );
    }
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "Dockerfile", tar::EntryType::Regular, 0o644, dockerfile);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    tar.append_link(&mut header, "x", "etc/passwd").expect("a tar in memory");
    let done = run_with_input(&mut command(&daemon, &["-"]), &tar.into_inner().expect("a tar"));
    assert!(
        done.code == 1 && done.stderr.contains("links to a file that is not in it"),
        "{done:?}"
    );
    // Through a link of the archive itself: it is looked up in the context, where it leads nowhere.
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "Dockerfile", tar::EntryType::Regular, 0o644, b"FROM box\nCOPY d/passwd /x\n");
    link(&mut tar, "d", "/etc");
    let done = run_with_input(&mut command(&daemon, &["-"]), &tar.into_inner().expect("a tar"));
    assert!(done.code == 1 && done.stderr.contains("d/passwd"), "{done:?}");
    // Cut off, and damaged.
    let whole = made("x", tar::EntryType::Regular, &[7; 5000]);
    for bytes in [&whole[..530], &whole[..3000], &b"\x1f\x8b\x08\x00nonsense"[..], &[0x42; 4096]] {
        let done = run_with_input(&mut command(&daemon, &["-"]), bytes);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(!done.stderr.is_empty() && done.stderr.len() < 5000, "{done:?}");
    }
    is_well(&daemon);
}

/// Gives the second entry of an archive another name of the same length, with a checksum that fits.
fn rename(bytes: &mut [u8], name: &str) {
    let header = &mut bytes[1024..1536];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn a_context_that_changes_meanwhile_is_one_state_or_refused() {
    let daemon = daemon();
    let dir = context(&daemon, "c", &[("Dockerfile", "FROM box\nCOPY f /f\n")]);
    let states = ["a", "b"].map(|letter| letter.repeat(3_000_000));
    std::fs::write(dir.join("f"), &states[0]).expect("a file");
    let over = AtomicBool::new(false);
    let mut built = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Written in place, and it grows and shrinks.
            for state in states.iter().cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                std::fs::write(dir.join("f"), state).ok();
                std::fs::write(dir.join("g"), state.get(..1000).expect("shorter")).ok();
                std::fs::remove_file(dir.join("g")).ok();
            }
        });
        for number in 0..6 {
            let name = format!("i{number}");
            let done = build(&daemon, &["-t", &name], &dir);
            if done.code == 0 {
                built += 1;
            } else {
                assert!(
                    done.stderr.contains("changed")
                        || done.stderr.contains("cannot locate")
                        || done.stderr.contains("COPY failed"),
                    "{done:?}"
                );
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    println!("{built} of 6 were built");
    // Whatever was sent, what is in an image is what its digest says; and when it rests, it is built.
    std::fs::write(dir.join("f"), &states[1]).expect("a file");
    build(&daemon, &["-t", "rests"], &dir).ok();
    let sum = [
        "run",
        "--rm",
        "--network",
        "none",
        "rests",
        "sh",
        "-c",
        "wc -c < /f; head -c 1 /f; tail -c 1 /f",
    ];
    let text = daemon.naru(&sum).ok().stdout;
    assert_eq!(text.split_whitespace().collect::<String>(), "3000000bb");
    is_well(&daemon);
}

#[test]
fn files_that_are_none_stay_where_they_are() {
    let daemon = daemon();
    let dir = context(
        &daemon,
        "c",
        &[("Dockerfile", "FROM box\nCOPY . /c\nRUN echo there are $(ls -A /c | wc -l)\n")],
    );
    run(Command::new("mkfifo").arg(dir.join("pipe"))).ok();
    run(Command::new("mknod").arg(dir.join("zero")).args(["c", "1", "5"])).ok();
    let _socket = std::os::unix::net::UnixListener::bind(dir.join("socket")).expect("a socket");
    // Nobody writes into the pipe, and the device never ends.
    let done = build(&daemon, &[], &dir).ok();
    assert!(done.stderr.contains("there are 1"), "{done:?}");
}
