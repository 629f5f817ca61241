//! Extended attributes, which the reference calls metadata of a file: what becomes of them from a context, an archive, a stage and
//! a process, in images that are saved.

use crate::attributes::{CAPABILITY, append};
use crate::context::{self, Item};
use crate::image;
use crate::sentence::{Sentence, says};
use integration_tests::peer_docker::PeerDocker;
use integration_tests::{Daemon, run, run_with_input};
use std::path::Path;
use std::process::Command;

/// How an image shows [`CAPABILITY`].
const SHOWN: &str = "+security.capability=\\x01\\x00\\x00\\x02\\n\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00";

/// A file and a directory in it, all with attributes.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let note: (&str, &[u8]) = ("user.note", b"a\nb");
    for (name, kind, attributes) in [
        ("cap", tar::EntryType::Regular, &[("security.capability", CAPABILITY), note][..]),
        ("note", tar::EntryType::Regular, &[note]),
        ("d/", tar::EntryType::Directory, &[note]),
        ("d/e", tar::EntryType::Regular, &[("security.capability", CAPABILITY)]),
    ] {
        append(&mut tar, attributes);
        integration_tests::image::append(&mut tar, name, kind, 0o755, b"");
    }
    tar.into_inner().expect("a tar in memory")
}

/// Debian's `setfattr`, with what it is linked to, for `RUN --mount=target=/c /c/ld --library-path /c /c/setfattr`.
fn with_setfattr(sentence: Sentence) -> Sentence {
    let listed = run(Command::new("ldd").arg("/usr/bin/setfattr")).ok();
    let library = |part: &str| {
        let mut words = listed.stdout.split_whitespace();
        words.find(|word| word.starts_with('/') && word.contains(part)).map(str::to_owned)
    };
    let of = |part: &str| library(part).unwrap_or_else(|| panic!("no {part}: {}", listed.stdout));
    sentence
        .host("setfattr", Path::new("/usr/bin/setfattr"))
        .host("libc.so.6", Path::new(&of("libc.so.6")))
        .host("ld", Path::new(&of("/ld-linux")))
}

/// A context with attributes on everything.
fn noted(sentence: Sentence) -> Sentence {
    sentence
        .with("f", "f")
        .with_dir("d", 0o755)
        .with("d/in", "in")
        .with_dir("d/e", 0o755)
        .attribute("f", "user.note", b"f")
        .attribute("f", "security.capability", CAPABILITY)
        .attribute("d", "user.note", b"d")
        .attribute("d/in", "security.capability", CAPABILITY)
        .attribute("d/e", "user.note", b"e")
}

const SET: &str = "/c/ld --library-path /c /c/setfattr";

/// The sentences.
pub fn all() -> Vec<Sentence> {
    let unpacked = |sentence: Sentence, below: &'static [&'static str; 4]| {
        sentence
            .with_mode("a.tar", &archive(), 0o644)
            .is(below[0], &format!("755 0:0 \"\" {SHOWN} +user.note=a\\nb"))
            .is(below[1], "755 0:0 \"\" +user.note=a\\nb")
            .is(below[2], "755 0:0 / +user.note=a\\nb")
            .is(below[3], &format!("755 0:0 \"\" {SHOWN}"))
    };
    const BELOW: [&str; 4] = ["x/cap", "x/note", "x/d", "x/d/e"];
    let two = "FROM scratch AS one\nADD a.tar /y/\nFROM scratch\n";
    let run = |rest: &str| format!("FROM box\nADD a.tar /x/\nRUN --mount=target=/c {rest}\n");
    let value =
        format!("0x{}", CAPABILITY.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    vec![
        noted(says("a file's attributes stay in the context", "FROM scratch\nCOPY f /f\nCOPY --chmod=755 f /m\nADD f /a\n"))
            .is("f", "644 0:0 \"f\"")
            .is("m", "755 0:0 \"f\"")
            .is("a", "644 0:0 \"f\"")
            .shows("`d/in` and 1 more of the context have capabilities"),
        noted(says("a directory's attributes stay there, too", "FROM scratch\nCOPY d /d\nCOPY . /all/\n"))
            .is("d", "755 0:0 /")
            .is("d/in", "644 0:0 \"in\"")
            .is("d/e", "755 0:0 /")
            .is("all/d", "755 0:0 /"),
        noted(says("--link, --chown and --parents take none along", "FROM scratch\nCOPY --link --chown=5:6 d /d/\nCOPY --parents d/in /p/\n"))
            .newer()
            .is("d/in", "644 5:6 \"in\"")
            .is("d/e", "755 5:6 /")
            .is("p/d", "755 0:0 /")
            .is("p/d/in", "644 0:0 \"in\""),
        unpacked(says("ADD unpacks attributes", "FROM scratch\nADD a.tar /x/\n"), &BELOW),
        unpacked(says("ADD --link unpacks attributes", "FROM box\nRUN true\nADD --link a.tar /x/\n"), &BELOW).newer(),
        says("ADD --chown keeps attributes", "FROM scratch\nADD --chown=7:8 a.tar /x/\n")
            .newer()
            .with_mode("a.tar", &archive(), 0o644)
            .is("x/cap", &format!("755 7:8 \"\" {SHOWN} +user.note=a\\nb"))
            .is("x/d", "755 7:8 / +user.note=a\\nb"),
        unpacked(says("COPY --from keeps attributes", &format!("{two}COPY --from=one /y /x\n")), &BELOW),
        says("COPY --from with a pattern keeps attributes", &format!("{two}COPY --from=one /y/* /x/\n"))
            .with_mode("a.tar", &archive(), 0o644)
            .is("x/cap", &format!("755 0:0 \"\" {SHOWN} +user.note=a\\nb"))
            .is("x/note", "755 0:0 \"\" +user.note=a\\nb")
            .is("x/e", &format!("755 0:0 \"\" {SHOWN}")),
        unpacked(says("COPY --link --from keeps attributes", &format!("{two}COPY --link --from=one /y /x\n")), &BELOW).newer(),
        says("COPY --from keeps attributes under another owner and mode", &format!("{two}COPY --from=one --chown=7:8 /y /x\nCOPY --from=one --chmod=700 /y/cap /m\n"))
            .with_mode("a.tar", &archive(), 0o644)
            .is("x/cap", &format!("755 7:8 \"\" {SHOWN} +user.note=a\\nb"))
            .is("x/d", "755 7:8 / +user.note=a\\nb")
            .is("m", &format!("700 0:0 \"\" {SHOWN} +user.note=a\\nb")),
        says("COPY --from --parents keeps attributes of directories above", &format!("{two}COPY --from=one --parents /y/./d/e /x/\n"))
            .newer()
            .with_mode("a.tar", &archive(), 0o644)
            .is("x/d", "755 0:0 / +user.note=a\\nb")
            .is("x/d/e", &format!("755 0:0 \"\" {SHOWN}")),
        with_setfattr(says("RUN sets attributes", &run(&format!("touch /n /m && mkdir /e && {SET} -n user.note -v n /n && {SET} -n user.note -v e /e && {SET} -n security.capability -v {value} /m"))))
            .with_mode("a.tar", &archive(), 0o644)
            .is("n", "644 0:0 \"\" +user.note=n")
            .is("e", "755 0:0 / +user.note=e")
            .is("m", &format!("644 0:0 \"\" {SHOWN}")),
        with_setfattr(says("RUN changes and takes away attributes of what is below", &run(&format!("{SET} -n user.note -v new /x/note && {SET} -x security.capability /x/cap && {SET} -x user.note /x/d"))))
            .with_mode("a.tar", &archive(), 0o644)
            .is("x/note", "755 0:0 \"\" +user.note=new")
            .is("x/cap", "755 0:0 \"\" +user.note=a\\nb")
            .is("x/d", "755 0:0 /")
            .is("x/d/e", &format!("755 0:0 \"\" {SHOWN}")),
        says("attributes go along when RUN moves and links", "FROM box\nADD a.tar /x/\nRUN mv /x/cap /x/moved && ln /x/moved /x/other && chmod 700 /x/note\n")
            .with_mode("a.tar", &archive(), 0o644)
            .is("x/moved", &format!("755 0:0 \"\" {SHOWN} +user.note=a\\nb"))
            .is("x/other", &format!("755 0:0 \"\" {SHOWN} +user.note=a\\nb"))
            .is("x/note", "700 0:0 \"\" +user.note=a\\nb")
            .lacks("x/cap"),
        says("what had attributes is removed, and comes again without", "FROM box\nADD a.tar /x/\nRUN rm -r /x/cap /x/d && mkdir /x/d && touch /x/d/new /x/cap\n")
            .with_mode("a.tar", &archive(), 0o644)
            .is("x/cap", "644 0:0 \"\"")
            .is("x/d", "755 0:0 /")
            .is("x/d/new", "644 0:0 \"\"")
            .lacks("x/d/e"),
        says("writing to a program and giving it away take its capabilities", "FROM box\nADD a.tar /x/\nRUN echo x >> /x/cap && chown 5:6 /x/d/e\n")
            .with_mode("a.tar", &archive(), 0o644)
            .is("x/cap", "755 0:0 \"x\\n\" +user.note=a\\nb")
            .is("x/d/e", "755 5:6 \"\""),
        says("COPY and ADD over a file take its attributes away", "FROM scratch\nADD a.tar /x/\nCOPY cap note /x/\n")
            .with_mode("a.tar", &archive(), 0o644)
            .with("cap", "c")
            .with("note", "n")
            .is("x/cap", "644 0:0 \"c\"")
            .is("x/note", "644 0:0 \"n\"")
            .is("x/d", "755 0:0 / +user.note=a\\nb"),
        says("a directory that is copied into keeps its attributes", "FROM scratch\nADD a.tar /x/\nCOPY f /x/d/\n")
            .with_mode("a.tar", &archive(), 0o644)
            .with("f", "f")
            .is("x/d", "755 0:0 / +user.note=a\\nb")
            .is("x/d/f", "644 0:0 \"f\"")
            .is("x/d/e", &format!("755 0:0 \"\" {SHOWN}")),
    ]
}

/// The same context on every way that there is to us and, as far as they have it, to docker's two builders.
pub fn whoever_sends() {
    let daemon = Daemon::start().with_busybox("box");
    let docker = PeerDocker::apart();
    let mut import = docker.command(&["import", "-c", "CMD [\"sh\"]", "-", "box"]);
    run_with_input(&mut import, &integration_tests::image::busybox_tar()).ok();
    let dir = daemon.dir().join("c");
    let items = [
        ("f", Item::File(b"f".to_vec(), 0o644)),
        ("d", Item::Directory(0o755)),
        ("d/in", Item::File(b"in".to_vec(), 0o755)),
        ("f", Item::Attribute("user.note", b"f".to_vec())),
        ("f", Item::Attribute("security.capability", CAPABILITY.to_vec())),
        ("d", Item::Attribute("user.note", b"d".to_vec())),
        ("d/in", Item::Attribute("security.capability", CAPABILITY.to_vec())),
    ];
    context::write(&items, &dir, "FROM box\nCOPY f /f\nCOPY d /x/d/\nCOPY . /all/\n");
    run(Command::new("tar")
        .current_dir(&dir)
        .args(["-czf", "../c.tar.gz", "--xattrs", "--format=pax"])
        .args(["--xattrs-include=*", "."]))
    .ok();
    let packed = std::fs::read(daemon.dir().join("c.tar.gz")).expect("an archive");
    let naru = |tag: &str, words: &[&str]| {
        let mut command = daemon.command(&["build", "--network", "none", "-t", tag]);
        command.args(words).current_dir(&dir).env("XDG_CACHE_HOME", daemon.dir().join("cache"));
        command
    };
    let docker_to_us = |tag: &str, place: &str| {
        let mut command = daemon.docker_command(&["build", "--network", "none", "-t", tag]);
        command.arg(place).current_dir(&dir).env("DOCKER_BUILDKIT", "0");
        command
    };
    run(&mut naru("a", &["."])).ok();
    let told = run_with_input(&mut naru("b", &["--progress", "plain", "-"]), &packed).ok();
    assert!(told.stderr.contains("`d/in` and 1 more of the context have capabilities"), "{told:?}");
    run(&mut docker_to_us("c", ".")).ok();
    run_with_input(&mut docker_to_us("d", "-"), &packed).ok();
    let named =
        "FROM box\nCOPY --from=own f /f\nCOPY --from=own d /x/d/\nCOPY --from=own . /all/\n";
    run_with_input(&mut naru("e", &["-f", "-", "--build-context", "own=.", "."]), named.as_bytes())
        .ok();
    let place = dir.to_str().expect("a path in UTF-8");
    let words = |tag: &'static str| ["--network", "none", "-t", tag];
    run(&mut docker.build(&dir, &words("a"), ".")).ok();
    run_with_input(
        &mut docker.build(&dir, &[&words("b")[..], &["--no-cache"]].concat(), "-"),
        &packed,
    )
    .ok();
    run(&mut docker.build_classic(&dir, &words("c"), place)).ok();
    run_with_input(&mut docker.build_classic(&dir, &words("d"), "-"), &packed).ok();
    let tags = ["a", "b", "c", "d", "e"];
    let archive = daemon.dir().join("all.tar");
    let read = |mut save: Command, tags: &[&str]| {
        run(save.arg("-o").arg(&archive).args(tags)).ok();
        image::read(&std::fs::read(&archive).expect("an archive"), u64::MAX)
    };
    let ours = read(daemon.command(&["save"]), &tags);
    let theirs = read(docker.command(&["save"]), &tags[..4]);
    assert_eq!((ours.len(), theirs.len()), (5, 4));
    let attributes = |image: &image::Image, path: &str| {
        image.tree[path].to_string().split_once(" +").map(|(_, rest)| rest.to_owned())
    };
    for (whose, images) in [("ours", &ours), ("docker's", &theirs)] {
        for (tag, image) in images {
            for path in ["f", "x/d", "x/d/in", "all/f", "all/d", "all/d/in"] {
                let found = attributes(image, path);
                // Only BuildKit takes capabilities along, and only out of an archive.
                let kept = whose != "ours" && tag == "b:latest" && !path.ends_with('d');
                let wanted = kept.then(|| SHOWN.trim_start_matches('+').to_owned());
                assert_eq!(found, wanted, "{whose} {tag} {path}");
            }
        }
    }
}
