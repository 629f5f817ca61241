//! Agents of ssh that are lent to a build. The real `ssh-agent` has the key.

use super::{build, context, daemon};
use integration_tests::{Daemon, run, until};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Asks the agent of its environment for its keys, and prints the answer in hexadecimal digits.
const CLIENT: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_un place = { .sun_family = AF_UNIX };
    strncpy(place.sun_path, getenv("SSH_AUTH_SOCK"), sizeof place.sun_path - 1);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&place, sizeof place)) { perror("connect"); return 2; }
    if (write(s, "\0\0\0\1\13", 5) != 5) return 3;
    unsigned char head[4], byte;
    for (int i = 0; i < 4; i++) if (read(s, head + i, 1) != 1) return 4;
    int left = head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
    while (left-- > 0) { if (read(s, &byte, 1) != 1) return 5; printf("%02x", byte); }
    puts("");
    return 0;
}
"#;

/// A running agent with a key of its own.
pub(super) struct Agent {
    child: Child,
    pub(super) socket: PathBuf,
}

impl Agent {
    pub(super) fn start(dir: &Path, name: &str) -> Agent {
        let socket = dir.join(format!("{name}.sock"));
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        let child = command.stdout(Stdio::null()).spawn().expect("Debian's package openssh-client");
        let agent = Agent { child, socket };
        until(Duration::from_secs(20), || agent.socket.exists().then_some(())).expect("an agent");
        let key = dir.join(format!("{name}.key"));
        let generate = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"];
        run(Command::new("ssh-keygen").args(generate).arg(&key)).ok();
        run(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &agent.socket)).ok();
        agent
    }

    /// What it says of its keys.
    fn keys(&self) -> String {
        let mut stream = UnixStream::connect(&self.socket).expect("an agent");
        stream.write_all(&[0, 0, 0, 1, 11]).expect("an agent");
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("an agent");
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer).expect("an agent");
        answer.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A context with the client.
fn with_client(daemon: &Daemon, name: &str, dockerfile: &str) -> PathBuf {
    let dir = context(daemon, name, &[("Dockerfile", dockerfile), ("keys.c", CLIENT)]);
    let mut gcc = Command::new("gcc");
    run(gcc.args(["-static", "-Os", "-o", "keys", "keys.c"]).current_dir(&dir)).ok();
    dir
}

#[test]
fn a_step_asks_the_agents_of_whoever_builds() {
    let daemon = daemon();
    let (one, two) = (Agent::start(daemon.dir(), "one"), Agent::start(daemon.dir(), "two"));
    assert_ne!(one.keys(), two.keys());
    let file = "FROM box\nCOPY keys /keys\n\
        RUN --mount=type=ssh /keys > /default && test -S /run/buildkit/ssh_agent.0\n\
        RUN --mount=type=ssh,id=other,target=/agent test \"$SSH_AUTH_SOCK\" = /agent && /keys > /other\n\
        RUN --mount=type=ssh for n in $(seq 40); do /keys > /many.$n & done; wait; cat /many.* | sort -u > /many\n\
        USER 1000\nRUN --mount=type=ssh ! /keys\n\
        RUN --mount=type=ssh,uid=1000,mode=0400 stat -c '%a %u' $SSH_AUTH_SOCK > /tmp/stat\n\
        RUN --mount=type=ssh,uid=1000,gid=5,mode=600 /keys > /tmp/user\n\
        RUN --mount=type=ssh,id=nobody test -z \"$SSH_AUTH_SOCK\"\n";
    let dir = with_client(&daemon, "c", file);
    let other = format!("other={}", two.socket.display());
    let mut command = daemon.command(&["build", "--network", "none", "--progress", "plain"]);
    command.args(["--ssh", "default", "--ssh", &other, "-t", "a"]).arg(&dir);
    run(command.env("SSH_AUTH_SOCK", &one.socket)).ok();
    let show = "cat /default /other /many /tmp/stat /tmp/user";
    let shown = daemon.naru(&["run", "--rm", "--network", "none", "a", "sh", "-c", show]).ok();
    let (one, two) = (one.keys(), two.keys());
    assert_eq!(shown.stdout, format!("{one}\n{two}\n{one}\n400 1000\n{one}\n"));
    // Nothing of it is in the image, and what was made is found again without any agent.
    let list =
        ["run", "--rm", "--network", "none", "a", "sh", "-c", "ls -A /run/buildkit; ls /agent"];
    assert!(!daemon.naru(&list).stdout.contains("agent"));
    let again = build(&daemon, &["-t", "b"], &dir).ok();
    assert!(again.stderr.matches("CACHED").count() >= 9, "{}", again.stderr);
}

#[test]
fn an_agent_that_is_missing_or_goes_is_said() {
    let daemon = daemon();
    let agent = Agent::start(daemon.dir(), "gone");
    let file = "FROM box\nCOPY keys /keys\nRUN --mount=type=ssh,required /keys\n";
    let dir = with_client(&daemon, "c", file);
    build(&daemon, &[], &dir).fails(1, "unset ssh forward key default");
    let socket = agent.socket.display().to_string();
    drop(agent);
    // Its socket is still there, but nobody answers.
    let failed = build(&daemon, &["--ssh", &format!("default={socket}")], &dir);
    assert!(failed.code == 1, "{failed:?}");
    build(&daemon, &["--ssh", "default=/nothing"], &dir).fails(125, "is no socket of an SSH agent");
}

#[test]
fn repositories_by_ssh_are_fetched_with_the_agent() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let script =
        format!("#!/bin/sh\nssh-add -L >> {} 2>&1\necho 'no more' >&2\nexit 255\n", log.display());
    let ssh = dir.path().join("ssh");
    std::fs::write(&ssh, script).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&ssh, mode).expect("a mode");
    let path = std::env::var("PATH").expect("a path");
    let before = ["env".to_owned(), format!("PATH={}:{path}", dir.path().display())];
    let daemon = Daemon::start_under(&before, &[]).with_busybox("box");
    let agent = Agent::start(dir.path(), "mine");
    let file = "FROM box\nADD git@host.invalid:a/b.git /src\n";
    let dir = context(&daemon, "c", &[("Dockerfile", file)]);
    let lent = format!("default={}", agent.socket.display());
    build(&daemon, &["--ssh", &lent], &dir).fails(1, "no more");
    let noted = std::fs::read_to_string(&log).expect("a file");
    assert!(noted.starts_with("ssh-ed25519 ") && noted.trim_end().ends_with(" mine"), "{noted}");
}
