//! ADD of git repositories, and contexts that are some. The real `git` serves them.

use super::server::{Server, git_backend, said};
use super::{build, cat, context, daemon};
use integration_tests::{Daemon, run, run_with_input};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn git(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "user.name=n",
            "-c",
            "user.email=n@example.org",
        ])
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000");
    run(&mut command).ok().text().to_owned()
}

pub(super) fn put(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
    std::fs::write(path, text).expect("a file");
}

/// A repository `app.git` with branches, a tag, a submodule `lib.git` and a Dockerfile.
pub(super) fn repositories(daemon: &Daemon) -> PathBuf {
    let root = daemon.dir().join("repositories");
    let lib = root.join("lib.git");
    std::fs::create_dir_all(&lib).expect("a directory");
    git(&lib, &["init", "-q"]);
    put(&lib, "lib.txt", "of the library\n");
    put(&lib, "deep/file", "deep\n");
    git(&lib, &["add", "-A"]);
    git(&lib, &["commit", "-qm", "lib"]);
    let app = root.join("app.git");
    std::fs::create_dir_all(&app).expect("a directory");
    git(&app, &["init", "-q"]);
    put(&app, "Dockerfile", "FROM box\nCOPY . /all/\n");
    put(&app, "dir/Dockerfile", "FROM box\nCOPY text /from-dir\n");
    put(&app, "dir/text", "one\n");
    put(&app, "run", "#!/bin/sh\n");
    std::fs::set_permissions(app.join("run"), std::fs::Permissions::from_mode(0o755))
        .expect("a mode");
    std::os::unix::fs::symlink("dir/text", app.join("link")).expect("a link");
    git(&app, &["add", "-A"]);
    git(&app, &["commit", "-qm", "one"]);
    git(&app, &["tag", "-a", "-m", "a tag", "v1"]);
    git(&app, &["branch", "side"]);
    put(&app, "dir/text", "two\n");
    let url = lib.to_str().expect("UTF-8");
    git(&app, &["submodule", "add", "-q", url, "dir/lib"]);
    git(&app, &["config", "-f", ".gitmodules", "submodule.dir/lib.url", "../lib.git"]);
    git(&app, &["add", "-A"]);
    git(&app, &["commit", "-qm", "two"]);
    root
}

fn add(daemon: &Daemon, name: &str, image: &str, instruction: &str) {
    let file = format!("FROM box\n{instruction}\n");
    let dir = context(daemon, name, &[("Dockerfile", &file)]);
    build(daemon, &["-t", image], &dir).ok();
}

#[test]
fn a_repository_is_added_as_git_checks_it_out() {
    let daemon = daemon();
    let root = repositories(&daemon);
    let backend = root.clone();
    let server = Server::start(move |heard| git_backend(&backend, heard));
    let app = server.at("/app.git");
    add(&daemon, "head", "head", &format!("ADD {app} /src"));
    // The same files as git's own, with their modes and links.
    let judge = daemon.dir().join("judge");
    let judged = judge.to_str().expect("UTF-8");
    git(daemon.dir(), &["clone", "-q", "--recurse-submodules", &app, judged]);
    let list = "cd $0 && find . -name .git -prune -o -type f -print -o -type l -print | sort | xargs stat -c '%n %a %F'; cat dir/lib/lib.txt dir/text";
    let theirs = run(Command::new("sh").args(["-c", list, judged])).ok();
    let ours = ["run", "--rm", "--network", "none", "head", "sh", "-c", list, "/src"];
    assert_eq!(daemon.naru(&ours).ok().stdout, theirs.stdout);
    assert!(
        theirs.stdout.contains("./run 755 regular file")
            && theirs.stdout.contains("of the library")
    );
    let time = ["run", "--rm", "--network", "none", "head", "stat", "-c", "%Y %u", "/src/run"];
    assert_eq!(daemon.naru(&time).ok().text(), "1700000000 0");
    // A tag, a branch with a directory, a commit that only all branches together have.
    add(&daemon, "tag", "tag", &format!("ADD {app}#v1:dir /src/"));
    assert_eq!(cat(&daemon, "tag", "/src/text"), "one");
    add(&daemon, "side", "side", &format!("ADD --chown=5:6 --chmod=604 {app}#side:dir /src"));
    let stat = ["run", "--rm", "--network", "none", "side", "stat", "-c", "%a %u:%g", "/src/text"];
    assert_eq!(daemon.naru(&stat).ok().text(), "604 5:6");
    // What is left out is, and a layer of its own holds the same files.
    add(&daemon, "less", "less", &format!("ADD --exclude=*file --exclude=dir/text {app} /src"));
    add(&daemon, "link", "link", &format!("ADD --link --exclude=dir {app}#main /src"));
    let list = |image: &str| {
        daemon.naru(&["run", "--rm", "--network", "none", image, "ls", "/src", "/src/dir"]).stdout
    };
    assert_eq!(list("less"), "/src:\ndir\nlink\nrun\n\n/src/dir:\nDockerfile\nlib\n");
    assert_eq!(list("link"), "/src:\nDockerfile\nlink\nrun\n");
    let first = git(&root.join("app.git"), &["rev-parse", "HEAD~1"]);
    git(&root.join("app.git"), &["tag", "-d", "v1"]);
    git(&root.join("app.git"), &["branch", "-D", "side"]);
    add(&daemon, "hash", "hash", &format!("ADD {app}#{first} /src"));
    assert_eq!(cat(&daemon, "hash", "/src/dir/text"), "one");
    let before = server.heard().len();
    let dir = daemon.dir().join("hash");
    let again = build(&daemon, &[], &dir).ok();
    assert_eq!(again.stderr.matches("CACHED").count(), 2, "{}", again.stderr);
    assert_eq!(server.heard().len(), before, "a commit named by its hash is asked about");
}

#[test]
fn a_branch_is_made_anew_when_it_moved_and_only_then() {
    let daemon = daemon();
    let root = repositories(&daemon);
    let backend = root.clone();
    let server = Server::start(move |heard| git_backend(&backend, heard));
    let app = server.at("/app.git");
    let file = format!("FROM box\nADD {app}#main:dir /src\n");
    let dir = context(&daemon, "c", &[("Dockerfile", &file)]);
    build(&daemon, &["-t", "a"], &dir).ok();
    let posts = || server.heard().iter().filter(|heard| heard.method == "POST").count();
    let before = posts();
    let same = build(&daemon, &["-t", "a"], &dir).ok();
    assert!(same.stderr.matches("CACHED").count() == 2 && posts() == before + 1, "{same:?}");
    put(&root.join("app.git"), "dir/text", "three\n");
    git(&root.join("app.git"), &["commit", "-qam", "three"]);
    build(&daemon, &["-t", "a"], &dir).ok();
    assert_eq!(cat(&daemon, "a", "/src/text"), "three");
    // A checksum is the commit, or what it begins with.
    let commit = git(&root.join("app.git"), &["rev-parse", "HEAD"]);
    for sum in [&commit, &commit[..7], &commit[..1]] {
        add(&daemon, "d", "d", &format!("ADD --checksum={sum} {app}#main:dir /src"));
    }
    let file =
        format!("FROM box\nADD --checksum={} {app} /src\n", commit.replace(&commit[..2], "zz"));
    let dir = context(&daemon, "e", &[("Dockerfile", &file)]);
    build(&daemon, &[], &dir).fails(1, "expected checksum to match");
}

#[test]
fn a_query_says_what_of_a_repository_is_meant() {
    let daemon = daemon();
    let root = repositories(&daemon);
    let backend = root.clone();
    let server = Server::start(move |heard| git_backend(&backend, heard));
    let app = server.at("/app.git");
    let commit = git(&root.join("app.git"), &["rev-parse", "HEAD"]);
    for (number, (query, path, text)) in [
        ("branch=side&subdir=dir", "/src/text", "one"),
        ("tag=v1", "/src/dir/text", "one"),
        ("ref=main&subdir=/dir/./", "/src/lib/lib.txt", "of the library"),
        ("subdir=dir", "/src/text", "two"),
        // What lies in a submodule, and all of one.
        ("branch=main&subdir=dir/lib/deep", "/src/file", "deep"),
        ("subdir=dir/lib", "/src/deep/file", "deep"),
        (&format!("branch=main&checksum={}", &commit[..7]), "/src/dir/text", "two"),
        (&format!("commit={commit}"), "/src/dir/text", "two"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("q{number}");
        add(&daemon, &name, &name, &format!("ADD {app}?{query} /src"));
        assert_eq!(cat(&daemon, &name, path), text, "{query}");
    }
    for (number, (query, words)) in [
        ("branch=v1", "does not contain ref refs/heads/v1"),
        ("tag=main", "does not contain ref refs/tags/main"),
        ("subdir=dir/lib/nothing", "no directory `nothing`"),
        ("subdir=dir/lib/lib.txt", "`lib.txt` is no directory"),
        ("branch=side&checksum=0000", "expected checksum to match 0000, got "),
        ("keep-git-dir=true", "a flag of it, such as `--keep-git-dir`"),
        ("branch=main#side", "a query and a fragment"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("FROM box\nADD {app}?{query} /src\n");
        let dir = context(&daemon, &format!("w{number}"), &[("Dockerfile", &file)]);
        build(&daemon, &[], &dir).fails(1, words);
    }
    // A context has one, too.
    let at = format!("{app}?tag=v1&subdir=dir");
    daemon.naru(&["build", "--network", "none", "-q", "-t", "c", &at]).ok();
    assert_eq!(cat(&daemon, "c", "/from-dir"), "one");
}

#[test]
fn a_repository_is_a_context() {
    let daemon = daemon();
    let root = repositories(&daemon);
    put(&root.join("app.git"), ".dockerignore", "run\n");
    git(&root.join("app.git"), &["add", "-A"]);
    git(&root.join("app.git"), &["commit", "-qm", "ignore"]);
    let modes = root.join("app.git");
    let server = Server::start(move |heard| git_backend(&root, heard));
    let app = server.at("/app.git");
    let ours = ["build", "--network", "none", "--progress", "plain", "-t", "a", &app];
    daemon.naru(&ours).ok();
    assert_eq!(cat(&daemon, "a", "/all/dir/lib/lib.txt"), "of the library");
    let list = ["run", "--rm", "--network", "none", "a", "ls", "/all"];
    assert_eq!(daemon.naru(&list).ok().stdout, "Dockerfile\ndir\nlink\n");
    // Whatever the modes are there, they are one of two here.
    let stat =
        ["run", "--rm", "--network", "none", "a", "stat", "-c", "%a", "/all/dir", "/all/dir/text"];
    assert_eq!(daemon.naru(&stat).ok().stdout, "755\n644\n");
    std::fs::set_permissions(modes.join("dir/text"), std::fs::Permissions::from_mode(0o711))
        .expect("a mode");
    git(&modes, &["commit", "-qam", "executable"]);
    daemon.naru(&ours).ok();
    assert_eq!(daemon.naru(&stat).ok().stdout, "755\n755\n");
    let at = format!("{app}#v1:dir");
    let mut docker = daemon.docker_command(&["build", "--network", "none", "-t", "b"]);
    // docker's own client fetches repositories itself; its daemon is asked with `remote`.
    let _ = run(docker.arg(&at).env("DOCKER_BUILDKIT", "0"));
    let path = format!("/v1.41/build?t=c&networkmode=none&remote={}", at.replace('#', "%23"));
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-X", "POST", "--unix-socket"]).arg(daemon.socket());
    let told = run(curl.arg(format!("http://d{path}"))).ok();
    assert!(told.stdout.contains("Successfully tagged c:latest"), "{}", told.stdout);
    assert_eq!(cat(&daemon, "c", "/from-dir"), "one");
}

/// What git says of a repository that came out of a build.
fn judged(dir: &Path, args: &[&str]) -> String {
    git(dir, &[&["-c", "safe.directory=*"], args].concat())
}

/// The files of a build of this Dockerfile, by way of `--output`.
fn out(daemon: &Daemon, name: &str, file: &str, more: &[&str]) -> PathBuf {
    let dir = context(daemon, name, &[("Dockerfile", file)]);
    let place = daemon.dir().join(format!("{name}.out"));
    let output = format!("type=local,dest={}", place.display());
    build(daemon, &[&["--output", &output], more].concat(), &dir).ok();
    place
}

#[test]
fn a_git_directory_is_kept_and_git_can_work_with_it() {
    let daemon = daemon();
    let root = repositories(&daemon);
    // What a pack of the server's may have: differences.
    let app = root.join("app.git");
    let long: String = (0..4000).map(|number| format!("line {number}\n")).collect();
    put(&app, "long", &long);
    put(&app, "longer", &format!("{long}and more\n"));
    put(&app, "odd \u{e9} name", "");
    git(&app, &["add", "-A"]);
    git(&app, &["commit", "-qm", "three"]);
    git(&app, &["repack", "-adq"]);
    let commit = git(&app, &["rev-parse", "HEAD"]);
    let first = git(&app, &["rev-parse", "v1^{commit}"]);
    let tag = git(&app, &["rev-parse", "v1"]);
    let backend = root.clone();
    let server = Server::start(move |heard| git_backend(&backend, heard));
    let url = server.at("/app.git").replace("http://", "http://me:pass@");
    let file = |what: &str| format!("FROM scratch\nADD --keep-git-dir=true {what} /src\n");
    let src = out(&daemon, "head", &file(&url), &[]).join("src");
    assert_eq!(judged(&src, &["log", "--format=%H %s"]), format!("{commit} three"));
    assert_eq!(judged(&src, &["status", "--porcelain"]), "");
    assert_eq!(judged(&src, &["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD");
    assert_eq!(judged(&src, &["rev-parse", "main"]), commit);
    assert_eq!(judged(&src, &["remote", "get-url", "origin"]), server.at("/app.git"));
    judged(&src, &["fsck", "--strict"]);
    let modules = judged(&src, &["submodule", "status"]);
    assert!(modules.starts_with(' ') || modules.len() > 40, "{modules}");
    assert_eq!(judged(&src.join("dir/lib"), &["log", "--format=%s"]), "lib");
    assert_eq!(judged(&src.join("dir/lib"), &["status", "--porcelain"]), "");
    // It is a repository to work in.
    put(&src, "long", "another\n");
    assert_eq!(judged(&src, &["status", "--porcelain"]), "M long");
    judged(&src, &["commit", "-qam", "of mine"]);
    judged(&src, &["fetch", "-q", "--unshallow"]);
    assert_eq!(judged(&src, &["log", "--format=%s"]), "of mine\nthree\ntwo\none");
    // A tag is there with what it says; a commit by its hash has no name; a directory has no `.git`.
    let src = out(&daemon, "tag", &file(&format!("{url}#v1")), &[]).join("src");
    assert_eq!(judged(&src, &["describe"]), "v1");
    assert_eq!(judged(&src, &["rev-parse", "v1", "HEAD"]), format!("{tag}\n{first}"));
    assert_eq!(judged(&src, &["status", "--porcelain"]), "");
    judged(&src, &["fsck", "--strict"]);
    let src = out(&daemon, "hash", &file(&format!("{url}#{first}")), &[]).join("src");
    assert_eq!(judged(&src, &["log", "--format=%H"]), first);
    assert_eq!(judged(&src, &["for-each-ref"]), "");
    let dir = context(&daemon, "dir", &[("Dockerfile", &file(&format!("{url}#v1:dir")))]);
    let place = daemon.dir().join("dir.out");
    let output = format!("type=local,dest={}", place.display());
    let warned = build(&daemon, &["--output", &output], &dir).ok();
    assert!(warned.stderr.contains("--keep-git-dir means nothing"), "{}", warned.stderr);
    assert!(place.join("src/text").exists() && !place.join("src/.git").exists());
    // The same again is the same, whatever pack the server makes of it, and nothing of it tells of this machine.
    let layers = |daemon: &Daemon| {
        let dir = context(daemon, "same", &[("Dockerfile", &file(&url))]);
        build(daemon, &["--build-arg", "SOURCE_DATE_EPOCH=1", "-t", "same"], &dir).ok();
        daemon.naru(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", "same"]).ok().stdout
    };
    let ours = layers(&daemon);
    git(&app, &["-c", "pack.compression=1", "repack", "-adFq", "--depth=1"]);
    assert_eq!(layers(&Daemon::start()), ours);
    // A context has one when that is asked for.
    put(&app, "Dockerfile", "FROM scratch\nCOPY . /\n");
    git(&app, &["commit", "-qam", "four"]);
    let place = daemon.dir().join("context.out");
    let output = format!("type=local,dest={}", place.display());
    for (argument, has) in [("1", true), ("0", false)] {
        let argument = format!("BUILDKIT_CONTEXT_KEEP_GIT_DIR={argument}");
        let at = server.at("/app.git");
        let args = ["build", "--output", &output, "--build-arg", &argument, &at];
        daemon.naru(&args).ok();
        assert_eq!(place.join(".git").exists(), has);
        if has {
            assert_eq!(judged(&place, &["status", "--porcelain"]), "");
            std::fs::remove_dir_all(&place).expect("what was written now");
        }
    }
}

#[test]
fn a_commit_is_fetched_once() {
    let daemon = daemon();
    let root = repositories(&daemon);
    let backend = root.clone();
    let server = Server::start(move |heard| git_backend(&backend, heard));
    let app = server.at("/app.git");
    let fetches = || {
        let heard = server.heard();
        let asks = |body: &[u8]| body.windows(13).any(|part| part == b"command=fetch");
        heard.iter().filter(|heard| asks(&heard.body)).count()
    };
    let from = |more: &[&str]| {
        let start = ["build", "--network", "none", "--progress", "plain", "-t", "a"];
        daemon.naru(&[&start, more, &[&app]].concat()).ok()
    };
    from(&[]);
    // The repository and its submodule.
    assert_eq!(fetches(), 2);
    let asked = server.heard().len();
    from(&["--no-cache"]);
    // It is asked what the branch is, and nothing else.
    assert_eq!((fetches(), server.heard().len() - asked), (2, 2));
    assert_eq!(cat(&daemon, "a", "/all/dir/lib/lib.txt"), "of the library");
    // ADD of it knows the files, too, and by its hash the server is not asked at all.
    let commit = git(&root.join("app.git"), &["rev-parse", "HEAD"]);
    let asked = server.heard().len();
    add(&daemon, "same", "same", &format!("ADD {app}#{commit} /src"));
    assert_eq!(server.heard().len(), asked);
    assert_eq!(cat(&daemon, "same", "/src/dir/text"), "two");
    // Another commit is another one.
    put(&root.join("app.git"), "dir/text", "three\n");
    git(&root.join("app.git"), &["commit", "-qam", "three"]);
    from(&[]);
    assert_eq!((fetches(), cat(&daemon, "a", "/all/dir/text").as_str()), (4, "three"));
    // With its `.git`, it is not what was kept without.
    from(&["--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"]);
    assert_eq!(fetches(), 6);
}

#[test]
fn what_is_wrong_with_a_repository_is_said() {
    let daemon = daemon();
    let root = repositories(&daemon);
    let backend = root.clone();
    let server = Server::start(move |heard| {
        let is_known =
            heard.header("authorization").is_some_and(|value| value.starts_with("Basic "));
        match heard.target.as_str() {
            target if target.starts_with("/private/") && !is_known => {
                said("401 Unauthorized", "", b"")
            }
            target if target.starts_with("/plain.git") => {
                said("200 OK", "Content-Type: text/html\r\n", b"<html>")
            }
            target if target.starts_with("/broken.git") => said(
                "200 OK",
                "Content-Type: application/x-git-upload-pack-advertisement\r\n",
                b"0010ERR go away\n",
            ),
            target => {
                let mut heard = heard.clone();
                heard.target = target.replace("/private/", "/");
                git_backend(&backend, &heard)
            }
        }
    });
    let app = server.at("/app.git");
    for (number, (source, words)) in [
        (format!("{app}#nothing"), "repository does not contain ref nothing"),
        (format!("{app}#main:nothing"), "no directory `nothing`"),
        (format!("{app}#main:run"), "is no directory"),
        (format!("{app}#main:../x"), "leads out of the repository"),
        (format!("{app}#{}", "1".repeat(40)), "lacks the object"),
        (server.at("/none.git"), "404"),
        (server.at("/plain.git"), "smart protocol"),
        (server.at("/broken.git"), "refuses: go away"),
        (server.at("/private/app.git"), "GIT_AUTH_TOKEN"),
        ("git://127.0.0.1:1/x.git".to_owned(), "cannot connect to the git server"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("FROM box\nADD {source} /src\n");
        let dir = context(&daemon, &format!("c{number}"), &[("Dockerfile", &file)]);
        build(&daemon, &[], &dir).fails(1, words);
    }
    // Who has a token gets in, and the token stays out of everything.
    let token = daemon.dir().join("token");
    std::fs::write(&token, "t0ken-of-mine\n").expect("a file");
    let secret = format!("id=GIT_AUTH_TOKEN,src={}", token.display());
    let file = format!("FROM box\nADD {} /src\n", server.at("/private/app.git"));
    let dir = context(&daemon, "p", &[("Dockerfile", &file)]);
    build(&daemon, &["-t", "p", "--secret", &secret], &dir).ok();
    assert_eq!(cat(&daemon, "p", "/src/dir/text"), "two");
    assert!(!daemon.log().contains("t0ken"));
}

#[test]
fn repositories_come_by_git_s_own_service_and_by_ssh() {
    let dir = tempfile::tempdir().expect("a directory");
    // An `ssh` that only knows this machine, and notes what it was asked.
    let log = dir.path().join("log");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$GIT_PROTOCOL\" \"$SSH_AUTH_SOCK\" \"$@\" >> {}\nfor last; do :; done\n\
         case \"$*\" in *nobody@*) echo 'Permission denied (publickey).' >&2; exit 255;; esac\nexec sh -c \"$last\"\n",
        log.display()
    );
    let ssh = dir.path().join("ssh");
    std::fs::write(&ssh, script).expect("a file");
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = std::env::var("PATH").expect("a path");
    let before = [
        "env".to_owned(),
        format!("PATH={}:{path}", dir.path().display()),
        "SSH_AUTH_SOCK=/nobody".to_owned(),
    ];
    let daemon = Daemon::start_under(&before, &[]).with_busybox("box");
    let root = repositories(&daemon);
    let at = root.join("app.git").display().to_string();
    add(&daemon, "s", "s", &format!("ADD ssh://git@localhost:2222{at}#v1 /src"));
    assert_eq!(cat(&daemon, "s", "/src/dir/text"), "one");
    add(&daemon, "t", "t", &format!("ADD git@localhost:{at}#side:dir /src"));
    assert_eq!(cat(&daemon, "t", "/src/text"), "one");
    let noted = std::fs::read_to_string(&log).expect("a file");
    assert!(noted.contains("version=2\n\n-o\nBatchMode=yes\n"), "{noted}");
    assert!(noted.contains("-p\n2222\n-T\n--\ngit@localhost\ngit-upload-pack '"), "{noted}");
    let denied = context(
        &daemon,
        "n",
        &[("Dockerfile", &format!("FROM box\nADD nobody@localhost:{at} /src\n"))],
    );
    build(&daemon, &[], &denied).fails(1, "Permission denied (publickey).");
    // git's own service.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let place = listener.local_addr().expect("a port of loopback");
    let base = format!("--base-path={}", root.display());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let output = stream.try_clone().expect("a descriptor");
            let mut command = Command::new("git");
            command.args(["daemon", "--inetd", "--export-all", &base]);
            command.stdin(OwnedFd::from(stream)).stdout(OwnedFd::from(output));
            drop(command.status());
        }
    });
    add(&daemon, "g", "g", &format!("ADD git://{place}/app.git#v1 /src"));
    assert_eq!(cat(&daemon, "g", "/src/dir/text"), "one");
    // As nobody is asked, the standard input of whoever is there is not needed.
    let context = format!("git://{place}/app.git#main:dir");
    run_with_input(
        &mut daemon.command(&["build", "-q", "--network", "none", "-t", "x", &context]),
        b"",
    )
    .ok();
    assert_eq!(cat(&daemon, "x", "/from-dir"), "two");
}
