//! Further contexts (`--build-context`): directories, images, layouts, archives and repositories under a name of the Dockerfile.

use super::repositories::{git, put, repositories};
use super::server::{Server, git_backend, said};
use super::{build, cat, context, daemon};
use integration_tests::{Daemon, run};
use std::process::Command;

/// A build with further contexts.
fn with(daemon: &Daemon, name: &str, file: &str, more: &[&str]) -> integration_tests::Done {
    let dir = context(daemon, name, &[("Dockerfile", file), ("own", "of the context\n")]);
    let flags: Vec<&str> = more.iter().flat_map(|more| ["--build-context", more]).collect();
    build(daemon, &[&["-t", name], flags.as_slice()].concat(), &dir)
}

#[test]
fn a_directory_is_copied_from_mounted_and_started_from() {
    let daemon = daemon();
    let other = context(
        &daemon,
        "other",
        &[
            ("a", "one\n"),
            ("d/b", "two\n"),
            ("left-out", "three\n"),
            (".dockerignore", "left-out\n"),
        ],
    );
    let other = format!("lib={}", other.display());
    let file = "FROM box\nCOPY --from=lib . /lib/\n\
        RUN --mount=type=bind,from=lib,source=d,target=/m cat /m/b > /mounted\n\
        RUN --mount=type=bind,from=lib,target=/m,rw echo more >> /m/a && cat /m/a > /written\n\
        RUN --mount=type=cache,from=lib,source=d,target=/c cat /c/b > /seeded\n\
        COPY own /own\nRUN ls -A /lib > /list\n";
    let first = with(&daemon, "n", file, &[&other]).ok();
    assert!(first.stderr.contains("[context lib] load from client"), "{}", first.stderr);
    for (path, text) in [
        ("/lib/d/b", "two"),
        ("/mounted", "two"),
        ("/written", "one\nmore"),
        ("/seeded", "two"),
        ("/own", "of the context"),
        ("/list", ".dockerignore\na\nd"),
    ] {
        assert_eq!(cat(&daemon, "n", path), text, "{path}");
    }
    // What is the same is in the cache, and nothing is sent twice; what changed is made anew.
    let again = with(&daemon, "n", file, &[&other]).ok();
    assert_eq!(again.stderr.matches("CACHED").count(), 7, "{}", again.stderr);
    assert!(again.stderr.contains("transferring 0B"), "{}", again.stderr);
    put(&daemon.dir().join("other"), "a", "four\n");
    let changed = with(&daemon, "n", file, &[&other]).ok();
    assert_eq!(changed.stderr.matches("CACHED").count(), 1, "{}", changed.stderr);
    assert_eq!(cat(&daemon, "n", "/lib/a"), "four");
    // A stage that starts from it has its files, in one layer.
    let file = "FROM lib\nCOPY own /own\n";
    with(&daemon, "f", file, &[&other]).ok();
    let layers = ["image", "inspect", "-f", "{{len .RootFS.Layers}}", "f"];
    assert_eq!(daemon.naru(&layers).ok().text(), "2");
    let place = daemon.dir().join("out");
    let output = format!("type=local,dest={}", place.display());
    let dir = daemon.dir().join("f");
    build(&daemon, &["--output", &output, "--build-context", &other], &dir).ok();
    assert_eq!(std::fs::read_to_string(place.join("d/b")).expect("a file"), "two\n");
    assert!(place.join("own").exists() && !place.join("left-out").exists());
}

#[test]
fn images_and_layouts_take_the_place_of_images_and_stages() {
    let daemon = daemon();
    let dir = context(&daemon, "made", &[("Dockerfile", "FROM box\nRUN echo made > /made\n")]);
    build(&daemon, &["-t", "made:1"], &dir).ok();
    // An image, by any of its names, whatever it would mean.
    let file = "FROM docker.io/library/absent:latest\nRUN cp /made /found\n";
    with(&daemon, "image", file, &["absent=docker-image://made:1"]).ok();
    assert_eq!(cat(&daemon, "image", "/found"), "made");
    // A stage: nothing of it is built, nor of what only it needs, and it is found by its number, too.
    let file = "FROM box AS deps\nRUN false\nFROM deps AS stage\nRUN false\n\
        FROM box\nCOPY --from=stage /made /one\nCOPY --from=1 /made /two\n\
        FROM stage AS last\nCOPY --from=2 /one /two /\n";
    let done = with(&daemon, "stage", file, &["stage=docker-image://made:1"]).ok();
    assert!(!done.stderr.contains("RUN false"), "{}", done.stderr);
    assert_eq!(cat(&daemon, "stage", "/two"), "made");
    // A layout, by tag, by digest, or because it has only one image; nothing of it is an image here.
    let layout = daemon.dir().join("layout");
    let place = layout.display().to_string();
    daemon.naru(&["copy", "store:made:1", &format!("oci:{place}:v1")]).ok();
    let index = std::fs::read_to_string(layout.join("index.json")).expect("a file");
    let index: serde_json::Value = serde_json::from_str(&index).expect("JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
    daemon.naru(&["rmi", "-f", "made:1", "image", "stage"]).ok();
    for (number, place) in
        [place.clone(), format!("{place}:v1"), format!("{place}@{digest}")].iter().enumerate()
    {
        let name = format!("l{number}");
        let file = "FROM absent AS a\nRUN cp /made /found\nFROM box\nCOPY --from=a /found /found\nCOPY --from=absent /made /\n";
        with(&daemon, &name, file, &[&format!("absent=oci-layout://{place}")]).ok();
        assert_eq!(cat(&daemon, &name, "/found"), "made");
    }
    let listed = daemon.naru(&["images", "-a", "--format", "{{.Repository}}"]).ok().stdout;
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["box", "l0", "l1", "l2"]);
    for (place, words) in [
        (format!("oci-layout://{place}:v2"), "v2"),
        ("oci-layout:///nowhere".to_owned(), "/nowhere"),
        ("/nowhere".to_owned(), "path \"/nowhere\" not found"),
        ("docker-image://127.0.0.1:1/x".to_owned(), "127.0.0.1:1"),
    ] {
        let failed = with(&daemon, "bad", "FROM absent\nRUN true\n", &[&format!("absent={place}")]);
        assert!(failed.code != 0 && failed.stderr.contains(words), "{place}: {failed:?}");
    }
}

#[test]
fn archives_and_repositories_are_fetched_by_the_daemon() {
    let daemon = daemon();
    let root = repositories(&daemon);
    let dir = context(&daemon, "packed", &[("in/a", "of the archive\n")]);
    let archive = daemon.dir().join("a.tgz");
    let mut packing = Command::new("tar");
    run(packing.arg("-C").arg(&dir).arg("-czf").arg(&archive).arg("in")).ok();
    let archive = std::fs::read(&archive).expect("a file");
    let backend = root.clone();
    let server = Server::start(move |heard| match heard.target.as_str() {
        "/a.tgz" => said("200 OK", "ETag: \"1\"\r\n", &archive),
        "/private.tgz" if heard.header("authorization") == Some("Bearer t0ken-of-mine") => {
            said("200 OK", "", &archive)
        }
        "/private.tgz" => said("401 Unauthorized", "", b""),
        "/away.tgz" => said("302 Found", "Location: /private.tgz\r\n", b""),
        "/plain" => said("200 OK", "", b"FROM box\n"),
        _ => git_backend(&backend, heard),
    });
    let (tar, app) =
        (format!("t={}", server.at("/a.tgz")), format!("g={}#v1:dir", server.at("/app.git")));
    let file = "FROM box\nCOPY --from=t in/a /a\nCOPY --from=g text /b\nRUN --mount=type=bind,from=g,target=/m cat /m/text > /c\nFROM g AS base\nFROM box\nCOPY --from=0 /a /b /c /\nCOPY --from=base /text /d\n";
    with(&daemon, "r", file, &[&tar, &app]).ok();
    for (path, text) in [("/a", "of the archive"), ("/b", "one"), ("/c", "one"), ("/d", "one")] {
        assert_eq!(cat(&daemon, "r", path), text, "{path}");
    }
    let bad = format!("t={}", server.at("/plain"));
    with(&daemon, "p", "FROM box\nCOPY --from=t a /\n", &[&bad]).fails(1, "is no archive");
    // A repository keeps its `.git` when that is asked for.
    let all = format!("g={}", server.at("/app.git"));
    let dir = context(&daemon, "k", &[("Dockerfile", "FROM scratch\nCOPY --from=g . /\n")]);
    let place = daemon.dir().join("kept");
    let output = format!("type=local,dest={}", place.display());
    let keep = "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1";
    build(&daemon, &["--output", &output, "--build-arg", keep, "--build-context", &all], &dir).ok();
    assert_eq!(git(&place, &["-c", "safe.directory=*", "status", "--porcelain"]), "");
    // Who has a token for the host of an archive gets it, and the token stays out of everything.
    let host = server.at("").replace("http://", "");
    let token = daemon.dir().join("token");
    std::fs::write(&token, "t0ken-of-mine\n").expect("a file");
    let secret = format!("id=HTTP_AUTH_TOKEN_{host},src={}", token.display());
    let file = format!("FROM box\nADD --unpack=true {} /x/\n", server.at("/away.tgz"));
    let dir = context(&daemon, "s", &[("Dockerfile", &file)]);
    build(&daemon, &[], &dir).fails(1, "401");
    build(&daemon, &["-t", "s", "--secret", &secret], &dir).ok();
    assert_eq!(cat(&daemon, "s", "/x/in/a"), "of the archive");
    assert!(!daemon.log().contains("t0ken"));
}

#[test]
fn what_means_nothing_is_said_and_what_means_something_counts() {
    let daemon = daemon();
    // The platform of a stage that starts from another one, and arguments of other builders.
    let file = "FROM box AS one\nFROM --platform=linux/s390x one\nARG A\nRUN test -z \"$A\"\n";
    let dir = context(&daemon, "n", &[("Dockerfile", file)]);
    let done = build(&daemon, &["--build-arg", "BUILDKIT_MULTI_PLATFORM=1"], &dir).ok();
    for words in
        ["--platform=linux/s390x means nothing here", "BUILDKIT_MULTI_PLATFORM changes nothing"]
    {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    let file =
        "FROM --platform=$BUILDPLATFORM box AS one\nFROM --platform=$BUILDPLATFORM one\nENV A=b\n";
    let dir = context(&daemon, "s", &[("Dockerfile", file)]);
    assert!(!build(&daemon, &[], &dir).ok().stderr.contains("means nothing"));
    // The argument goes before the directive.
    let file = "# check=error=true\nFROM box as one\nENV A=b\n";
    let dir = context(&daemon, "c", &[("Dockerfile", file)]);
    build(&daemon, &[], &dir).fails(1, "FromAsCasing");
    build(&daemon, &["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"], &dir).ok();
    build(&daemon, &["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=nonsense"], &dir)
        .fails(1, "invalid check option");
    // A tmpfs that cannot be written to.
    let file = "FROM box\nRUN --mount=type=tmpfs,target=/t,ro ! touch /t/x\nRUN --mount=type=tmpfs,target=/t touch /t/x\n";
    let dir = context(&daemon, "t", &[("Dockerfile", file)]);
    build(&daemon, &[], &dir).ok();
}
