//! Images that carry no keys as a cache: what docker's own builder wrote is used as its own daemon uses it.

use super::{Dockerd, classic, daemon, told};
use integration_tests::{context, run};

/// Every instruction that a line of a history tells of; what runs is never twice the same.
const DOCKERFILE: &str = "FROM box\nARG WORD=one\nENV A=b C=\"d e\"\nLABEL x=\"y z\"\nWORKDIR /app\nCOPY a.txt /a.txt\n\
    COPY dir /app/dir\nCOPY a.txt b.txt ./\nADD . /all/\nCOPY --chown=1:2 *.txt /globbed/\n\
    RUN echo $WORD $A > /said; cat /proc/sys/kernel/random/uuid > /uuid\nRUN [\"true\"]\nEXPOSE 80\n\
    HEALTHCHECK --interval=5s CMD true\nVOLUME /data\nUSER 1:1\nSTOPSIGNAL 9\nENTRYPOINT [\"cat\"]\nCMD [\"/said\"]\n";

const LAYERS: [&str; 3] = ["inspect", "-f", "{{json .RootFS.Layers}}"];

#[test]
fn images_of_docker_s_builder_are_a_cache_line_by_line() {
    let daemon = daemon();
    let reference = Dockerd::start(daemon.dir());
    let theirs = |args: &[&str]| run(reference.command(args).env("DOCKER_BUILDKIT", "0"));
    let files = [
        ("Dockerfile", DOCKERFILE),
        ("a.txt", "text\n"),
        ("b.txt", ""),
        ("dir/deep/c", "c\n"),
        (".dockerignore", "left\n"),
        ("left", "out"),
    ];
    let dir = context(&daemon, "c", &files);
    for (target, name) in
        [("../a.txt", "dir/link"), ("deep", "dir/also"), ("nowhere", "dir/broken")]
    {
        std::os::unix::fs::symlink(target, dir.join(name)).expect("a link");
    }
    // Of a program's capabilities only the history of docker's builder tells.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(dir.join("dir/deep/c"), "security.capability", &capability, flags)
        .expect("an attribute");
    let path = dir.to_str().expect("a path");
    let archive = daemon.dir().join("classic.tar").display().to_string();
    let build = ["build", "--network", "none", "-t", "classic", path];
    theirs(&build).ok();
    theirs(&["save", "-o", &archive, "box", "classic"]).ok();
    let built = theirs(&[&LAYERS[..], &["classic"]].concat()).ok();
    // What it knew of the steps goes, as on another host.
    theirs(&["rmi", "classic", "box"]).ok();
    theirs(&["load", "-i", &archive]).ok();
    daemon.naru(&["rmi", "box"]).ok();
    daemon.naru(&["load", "-i", &archive]).ok();

    // The same steps are known to both, the layers are the image's, and it works.
    let from = ["--cache-from", "classic", "-t", "again"];
    let again = theirs(&[&["build", "--network", "none"], &from[..], &[path]].concat()).ok();
    assert_eq!(again.stdout.matches(" ---> Using cache").count(), 18, "{}", again.stdout);
    let ours = classic(&daemon, &from, &dir).ok();
    let mut lines = told(&ours);
    assert!(lines.remove(1).starts_with("[Warning] `dir/deep/c` has capabilities"), "{lines:?}");
    assert_eq!(lines, told(&again));
    assert_eq!(daemon.naru(&[&LAYERS[..], &["again"]].concat()).ok().stdout, built.stdout);
    let said = daemon.naru(&["run", "--rm", "--network", "none", "again"]).ok();
    assert_eq!(said.text(), "one b");
    daemon.naru(&["builder", "prune", "-af"]).ok();
    let naru = |words: &[&str]| {
        let head = ["build", "--progress", "plain", "--network", "none"];
        daemon.naru(&[&head[..], words, &[path]].concat()).ok()
    };
    let done = naru(&["--cache-from", "classic", "-t", "naru"]);
    assert_eq!(daemon.naru(&[&LAYERS[..], &["naru"]].concat()).ok().stdout, built.stdout);
    assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    assert!(done.stderr.contains("`dir/deep/c` has capabilities"), "{}", done.stderr);

    // A build argument is part of what runs.
    let other = [&from[..], &["--build-arg", "WORD=two"]].concat();
    let again = theirs(&[&["build", "--network", "none"], &other[..], &[path]].concat()).ok();
    let ours = classic(&daemon, &other, &dir).ok();
    let count = |text: &str| text.matches(" ---> Using cache").count();
    assert_eq!((count(&ours.stdout), count(&again.stdout)), (9, 9), "{}", ours.stdout);
    let said = daemon.naru(&["run", "--rm", "--network", "none", "again"]).ok();
    assert_eq!(said.text(), "two b");
    // So is what is copied, and from there on all is made.
    std::fs::write(dir.join("b.txt"), "changed\n").expect("a file");
    daemon.naru(&["builder", "prune", "-af"]).ok();
    let again = theirs(&[&["build", "--network", "none"], &from[..], &[path]].concat()).ok();
    let ours = classic(&daemon, &from, &dir).ok();
    assert_eq!((count(&ours.stdout), count(&again.stdout)), (6, 6), "{}", ours.stdout);
}

#[test]
fn an_image_that_cannot_be_a_cache_is_warned_of_by_name() {
    let daemon = daemon();
    let files =
        [("Dockerfile", "FROM box\nRUN echo a > /a\nCOPY a /b\nRUN echo c > /c\n"), ("a", "a")];
    let dir = context(&daemon, "c", &files);
    let build = |words: &[&str]| {
        let head = ["build", "--progress", "plain", "--network", "none"];
        daemon.naru(&[&head[..], words, &[dir.to_str().expect("a path")]].concat()).ok().stderr
    };
    // A history in BuildKit's words, which this builder writes too.
    build(&["-t", "kit"]);
    let from = ["--cache-from", "kit", "-t", "again"];
    let told = build(&from);
    assert!(!told.contains("kit`"), "the own cache had all of it: {told}");
    daemon.naru(&["builder", "prune", "-af"]).ok();
    // Its time makes another layer of it.
    let file = std::fs::File::options().append(true).open(dir.join("a")).expect("a file");
    file.set_modified(std::time::UNIX_EPOCH).expect("a time");
    let told = build(&from);
    let warned = "nothing more is taken from the image `kit`, which carries no keys of this cache: its history has `COPY a /b` from BuildKit";
    assert!(told.contains(warned) && told.contains("CACHED"), "{told}");
    let first = |name: &str| {
        let format = "{{json .RootFS.Layers}}";
        let listed = daemon.naru(&["inspect", "-f", format, name]).ok();
        listed.stdout.split(',').take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(first("kit"), first("again"));
    // A mount is in no line, so what ran with one is made anew; and an image of another base gives nothing.
    std::fs::write(
        dir.join("Dockerfile"),
        "FROM box\nRUN --mount=type=bind,target=/m echo a > /a\n",
    )
    .expect("a file");
    let told = build(&["--cache-from", "kit"]);
    assert!(told.contains("nothing is taken from the image `kit`"), "{told}");
    std::fs::write(dir.join("Dockerfile"), "FROM scratch\nCOPY a /a\n").expect("a file");
    let told = build(&["--cache-from", "kit"]);
    assert!(told.contains("nothing is taken from the image `kit`"), "{told}");
}
