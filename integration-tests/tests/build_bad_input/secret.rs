//! Secrets: looked for wherever a build leaves something.

use super::{command, context, daemon};
use integration_tests::{Daemon, run};
use std::process::Command;

const SECRET: &str = "k9-Zx81-never-to-be-seen";

/// Files with the secret in them, below a directory.
#[track_caller]
fn found(dir: &std::path::Path) -> String {
    let mut grep = Command::new("grep");
    run(grep.args(["-raFl", "--binary-files=text", SECRET]).arg(dir)).stdout
}

/// Everything that the daemon has says nothing of it: layers, unpacked and compressed, configurations, the cache, the log.
#[track_caller]
fn is_nowhere(daemon: &Daemon) {
    for dir in [daemon.data_root(), daemon.exec_root(), daemon.dir().join("cache")] {
        assert_eq!(found(&dir), "", "below {}", dir.display());
    }
    assert!(!daemon.log().contains(SECRET), "{}", daemon.log());
    for file in ["history", "inspect"] {
        let words: &[&str] =
            if file == "history" { &["history", "--no-trunc", "s"] } else { &["inspect", "s"] };
        assert!(!daemon.naru(words).ok().stdout.contains(SECRET));
    }
    let usage = daemon.naru(&["builder", "du", "--verbose"]).ok();
    assert!(!usage.stdout.contains(SECRET), "{usage:?}");
    // What is compressed is looked into as well.
    let saved = daemon.dir().join("saved.tar");
    daemon.naru(&["save", "-o", saved.to_str().expect("UTF-8"), "s"]).ok();
    let unpacked = daemon.dir().join("saved");
    std::fs::create_dir_all(&unpacked).expect("a directory");
    run(Command::new("tar").arg("-C").arg(&unpacked).arg("-xf").arg(&saved)).ok();
    let inflate = "find . -type f | while read f; do zcat -f \"$f\"; done | grep -caF -- \"$0\"";
    let done = run(Command::new("sh").args(["-c", inflate, SECRET]).current_dir(&unpacked));
    assert_eq!(done.text(), "0", "{done:?}");
    std::fs::remove_dir_all(unpacked).expect("ours");
    std::fs::remove_file(saved).expect("ours");
}

#[test]
fn a_secret_is_in_no_layer_history_cache_or_log() {
    let daemon = daemon();
    let dockerfile = "FROM box\n\
        RUN --mount=type=secret,id=token test -s /run/secrets/token && wc -c < /run/secrets/token > /length\n\
        RUN --mount=type=secret,id=token,target=/etc/app/key,mode=0400,uid=1000 test -s /etc/app/key\n\
        RUN --mount=type=secret,id=token,env=TOKEN test \"$TOKEN\" = \"$(printf %s \"$TOKEN\")\" && test -n \"$TOKEN\"\n\
        RUN --mount=type=secret,id=env,env=TOKEN <<-script\n\
        \ttest -n \"$TOKEN\"\n\
        script\n";
    let dir = context(&daemon, "c", &[("Dockerfile", dockerfile)]);
    let file = daemon.dir().join("token");
    std::fs::write(&file, SECRET).expect("a file");
    let source = format!("id=token,src={}", file.display());
    let words = ["-t", "s", "--secret", &source, "--secret", "id=env,env=VALUE"];
    let build = |dir: &std::path::Path| run(command(&daemon, &words).env("VALUE", SECRET).arg(dir));
    let done = build(&dir).ok();
    assert!(!done.stderr.contains(SECRET));
    is_nowhere(&daemon);
    let shown = daemon.naru(&[
        "run",
        "--rm",
        "--network",
        "none",
        "s",
        "sh",
        "-c",
        "cat /length; env; ls /etc/app /run/secrets",
    ]);
    assert!(
        shown.stdout.contains(&SECRET.len().to_string()) && !shown.stdout.contains(SECRET),
        "{shown:?}"
    );
    // Another value changes nothing: it is no part of any key.
    std::fs::write(&file, "another").expect("a file");
    let again = build(&dir).ok();
    assert!(
        !again
            .stderr
            .contains("RUN --mount=type=secret,id=token test -s /run/secrets/token && wc\nDONE"),
        "{again:?}"
    );
    std::fs::write(&file, SECRET).expect("a file");
    // Steps that fail, a value that does not arrive, a client that is told of the command.
    for last in [
        "RUN --mount=type=secret,id=token grep -q . /run/secrets/token && false\n",
        "RUN --mount=type=secret,id=missing,required cat /x\n",
    ] {
        let dir = context(&daemon, "f", &[("Dockerfile", &format!("{dockerfile}{last}"))]);
        let done = build(&dir);
        assert!(done.code == 1 && !done.stderr.contains(SECRET), "{done:?}");
    }
    let broken = daemon.naru(&[
        "build",
        "--secret",
        &format!("id=token,src={}x", file.display()),
        dir.to_str().expect("UTF-8"),
    ]);
    assert!(broken.code != 0 && broken.stderr.contains("tokenx"), "{broken:?}");
    is_nowhere(&daemon);
    // Not when everything has been written out, either.
    let mut daemon = daemon;
    daemon.terminate();
    daemon.launch();
    is_nowhere(&daemon);
}
