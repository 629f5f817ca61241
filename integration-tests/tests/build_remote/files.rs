//! ADD of files of the network, and contexts that lie at an address.

use super::server::{Heard, Server, said};
use super::{build, cat, context, daemon};
use integration_tests::run;
use std::process::Command;

const DATE: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
const ONE: &str = "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";

/// `one`, with a tag; what was tagged is not sent again.
fn tagged(heard: &Heard) -> Vec<u8> {
    match heard.header("if-none-match") {
        Some("\"1\"") => said("304 Not Modified", "ETag: \"1\"\r\n", b""),
        _ => said("200 OK", &format!("ETag: \"1\"\r\n{DATE}"), b"one"),
    }
}

#[test]
fn a_file_of_the_network_is_as_docker_makes_it() {
    let daemon = daemon();
    let reference = super::dockerd::Dockerd::start(daemon.dir());
    let server = Server::start(tagged);
    let dockerfile = format!(
        "FROM box\nADD {0} /named\nADD {0} /dir/\nADD --chown=1000:2000 {0} /owned\n",
        server.at("/a/file.txt?x=y")
    );
    let dir = context(&daemon, "c", &[("Dockerfile", &dockerfile)]);
    build(&daemon, &["-t", "ours"], &dir).ok();
    let mut theirs = reference.command(&["build", "--network", "none", "-t", "theirs"]);
    run(theirs.arg(&dir).env("DOCKER_BUILDKIT", "0")).ok();
    let stat = "stat -c '%n %a %u:%g %Y %s' /named /dir /dir/file.txt /owned | sed '/^.dir 755/s/[0-9]* [0-9]*$//'";
    let ask = ["run", "--rm", "--network", "none"];
    let ours = daemon.naru(&[&ask[..], &["ours", "sh", "-c", stat]].concat()).ok();
    let mut command = reference.command(&[&ask[..], &["theirs", "sh", "-c", stat]].concat());
    assert_eq!(ours.stdout, run(&mut command).ok().stdout);
    assert!(ours.stdout.contains("/dir/file.txt 600 0:0 784111777 3"), "{}", ours.stdout);
}

#[test]
fn a_file_is_asked_about_and_not_fetched_again() {
    let daemon = daemon();
    let server = Server::start(tagged);
    let file = format!("FROM box\nADD {} /x\nRUN echo made > /made\n", server.at("/one"));
    let dir = context(&daemon, "c", &[("Dockerfile", &file)]);
    build(&daemon, &["-t", "a"], &dir).ok();
    let again = build(&daemon, &["-t", "a"], &dir).ok();
    assert_eq!(again.stderr.matches("CACHED").count(), 3, "{}", again.stderr);
    // A daemon that was ended asks all the same.
    let mut daemon = daemon;
    daemon.terminate();
    daemon.launch();
    build(&daemon, &["-t", "a"], &dir).ok();
    let tags: Vec<bool> =
        server.heard().iter().map(|heard| heard.header("if-none-match").is_some()).collect();
    assert_eq!(tags, [false, true, true]);
    assert_eq!(cat(&daemon, "a", "/x"), "one");
    // Without a tag it is fetched, and what is the same is no reason to do anything anew.
    let plain = Server::start(|_| said("200 OK", "", b"one"));
    let file = format!("FROM box\nADD {} /x\nRUN echo made > /made\n", plain.at("/one"));
    let dir = context(&daemon, "d", &[("Dockerfile", &file)]);
    let same = build(&daemon, &["-t", "b"], &dir).ok();
    assert_eq!(same.stderr.matches("CACHED").count(), 3, "{}", same.stderr);
}

#[test]
fn a_checksum_is_kept_and_asks_nobody_when_it_is_known() {
    let daemon = daemon();
    let server = Server::start(|_| said("200 OK", "", b"one"));
    let add = |sum: &str| {
        format!("FROM box\nARG SUM={sum}\nADD --checksum=$SUM {} /x\n", server.at("/one"))
    };
    let dir = context(&daemon, "c", &[("Dockerfile", &add(ONE))]);
    build(&daemon, &["-t", "a"], &dir).ok();
    build(&daemon, &["-t", "a"], &dir).ok();
    assert_eq!(server.heard().len(), 1);
    let other = ONE.replace("7692", "7693");
    let dir = context(&daemon, "d", &[("Dockerfile", &add(&other))]);
    build(&daemon, &[], &dir).fails(1, &format!("digest mismatch {ONE}: {other}"));
    let dir = context(&daemon, "e", &[("Dockerfile", &add("sha256:1"))]);
    build(&daemon, &[], &dir).fails(1, "invalid checksum");
    let dir = context(
        &daemon,
        "f",
        &[("Dockerfile", &format!("FROM box\nADD --checksum={ONE} Dockerfile /x\n"))],
    );
    build(&daemon, &[], &dir).fails(1, "checksum requires HTTP(S) or Git sources");
}

#[test]
fn an_archive_is_unpacked_when_that_is_asked_for() {
    let daemon = daemon();
    let tar = integration_tests::image::busybox_tar_with(&[], &[("extra", 0o640, b"inside")]);
    let server = Server::start(move |_| said("200 OK", "", &tar));
    let file = format!(
        "FROM scratch\nADD --unpack=true {0} /in/\nADD {0} /kept.tar\n",
        server.at("/a.tar")
    );
    let dir = context(&daemon, "c", &[("Dockerfile", &file)]);
    let out = daemon.dir().join("out");
    build(&daemon, &["-o", out.to_str().expect("UTF-8")], &dir).ok();
    assert_eq!(std::fs::read(out.join("in/extra")).expect("a file"), b"inside");
    assert!(std::fs::metadata(out.join("kept.tar")).expect("a file").len() > 1 << 20);
}

#[test]
fn what_cannot_be_fetched_is_said_with_its_address() {
    let daemon = daemon();
    let server = Server::start(|heard| match heard.target.as_str() {
        "/secret" => said("403 Forbidden", "", b""),
        "/round" => said("302 Found", "Location: /round\r\n", b""),
        _ => said("404 Not Found", "", b""),
    });
    let with_password = server.at("/secret").replace("http://", "http://me:pass-w0rd@");
    for (number, (address, words)) in [
        (server.at("/nothing"), "404"),
        (server.at("/round"), "redirected without end"),
        (with_password, "403"),
        ("http://127.0.0.1:1/x".to_owned(), "cannot fetch a file"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("FROM box\nADD {address} /x\n");
        let dir = context(&daemon, &format!("c{number}"), &[("Dockerfile", &file)]);
        build(&daemon, &["-q"], &dir).fails(1, words);
    }
    assert!(!daemon.log().contains("pass-w0rd"));
    let file = format!("FROM box\nADD {} /x/\n", server.at("/").trim_end_matches('/'));
    let dir = context(&daemon, "d", &[("Dockerfile", &file)]);
    build(&daemon, &[], &dir).fails(1, "404");
    // Nor is there a name for what has no path.
    let server = Server::start(|_| said("200 OK", "", b"one"));
    let address = server.at("/");
    for (name, address) in [("e", address.trim_end_matches('/')), ("g", &address)] {
        let file = format!("FROM box\nADD {address} /x/\n");
        let dir = context(&daemon, name, &[("Dockerfile", &file)]);
        build(&daemon, &[], &dir).fails(1, "cannot determine filename for source");
        let file = format!("FROM box\nADD {address} /x\n");
        let dir = context(&daemon, name, &[("Dockerfile", &file)]);
        build(&daemon, &["-t", name], &dir).ok();
        assert_eq!(cat(&daemon, name, "/x"), "one");
    }
}

#[test]
fn a_context_at_an_address_is_an_archive_or_a_dockerfile() {
    let daemon = daemon();
    let files = [
        ("Dockerfile", "FROM box\nCOPY a /a\n"),
        ("other/File", "FROM box\nCOPY a /other\n"),
        ("a", "from the archive"),
    ];
    let dir = context(&daemon, "c", &files);
    let packed = Command::new("tar").arg("-C").arg(&dir).args(["-cz", "."]).output().expect("tar");
    let server = Server::start(move |heard| match heard.target.as_str() {
        "/ctx.tar.gz" => said("200 OK", "Content-Type: application/gzip\r\n", &packed.stdout),
        "/Dockerfile" => {
            said("200 OK", "Content-Type: text/plain\r\n", b"FROM box\nENV FROM=address\n")
        }
        "/junk" => said("200 OK", "", b"\xff\xfe\x00"),
        _ => said("404 Not Found", "", b""),
    });
    let ours = |args: &[&str], path: &str| {
        let address = server.at(path);
        daemon.naru(
            &[&["build", "--network", "none", "--progress", "plain"], args, &[&address]].concat(),
        )
    };
    ours(&["-t", "a"], "/ctx.tar.gz").ok();
    assert_eq!(cat(&daemon, "a", "/a"), "from the archive");
    ours(&["-t", "b", "-f", "other/File"], "/ctx.tar.gz").ok();
    assert_eq!(cat(&daemon, "b", "/other"), "from the archive");
    ours(&["-t", "e"], "/Dockerfile").ok();
    let env = ["inspect", "-f", "{{json .Config.Env}}", "e"];
    assert!(daemon.naru(&env).ok().text().contains("FROM=address"));
    ours(&[], "/junk").fails(1, "neither an archive nor a Dockerfile");
    ours(&[], "/nothing").fails(1, "404");
    // A Dockerfile of one's own, with files from there.
    let address = server.at("/ctx.tar.gz");
    let own = ["build", "--network", "none", "-q", "-t", "o", "-f", "-", &address];
    daemon.naru_with_input(&own, b"FROM box\nCOPY a /own\n").ok();
    assert_eq!(cat(&daemon, "o", "/own"), "from the archive");
    // docker's own client asks for the same.
    let docker = |args: &[&str], path: &str| {
        let mut command = daemon.docker_command(&["build", "--network", "none"]);
        run(command.args(args).arg(server.at(path)).env("DOCKER_BUILDKIT", "0"))
    };
    docker(&["-t", "d"], "/ctx.tar.gz").ok();
    assert_eq!(cat(&daemon, "d", "/a"), "from the archive");
    docker(&["-t", "f"], "/Dockerfile").ok();
    assert_ne!(docker(&[], "/nothing").code, 0);
    assert_eq!(
        daemon.naru(&["inspect", "-f", "{{.Id}}", "f"]).ok().text(),
        daemon.naru(&["inspect", "-f", "{{.Id}}", "e"]).ok().text()
    );
}

#[test]
fn the_environment_says_by_which_proxy() {
    let proxy = Server::start(|_| said("200 OK", "", b"by proxy"));
    let before =
        ["env".to_owned(), format!("http_proxy={}", proxy.at("/")), "no_proxy=".to_owned()];
    let daemon = integration_tests::Daemon::start_under(&before, &[]).with_busybox("box");
    let file = "FROM box\nADD http://far.invalid/file /x\n";
    let dir = context(&daemon, "c", &[("Dockerfile", file)]);
    build(&daemon, &["-t", "a"], &dir).ok();
    assert_eq!(cat(&daemon, "a", "/x"), "by proxy");
    assert_eq!(
        proxy.heard().first().map(|heard| heard.target.as_str()),
        Some("http://far.invalid/file")
    );
}
