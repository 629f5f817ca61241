//! Hosts of repositories by ssh: the real `sshd`, on loopback, in a mount namespace of its own.

use super::agents::Agent;
use super::repositories::repositories;
use super::{cat, context};
use integration_tests::{Daemon, Done, run, until};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running server with a key of its own; whoever has the agent's key gets in.
struct Sshd {
    child: Child,
    port: u16,
}

impl Sshd {
    fn start(dir: &Path, port: u16, key: &Path, authorized: &Path) -> Sshd {
        let config = dir.join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nLogLevel ERROR\n\
             AcceptEnv GIT_PROTOCOL\n",
            key.display(),
            authorized.display()
        );
        std::fs::write(&config, text).expect("a file");
        // It wants a directory below /run; the host's stays as it is.
        let inside = "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec /usr/sbin/sshd -D -e -f \"$0\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", inside]).arg(&config);
        let log = std::fs::File::create(dir.join("sshd.log")).expect("a file");
        let child = command.stdin(Stdio::null()).stderr(log).spawn().expect("util-linux");
        let server = Sshd { child, port };
        let answers = || TcpStream::connect(("127.0.0.1", port)).ok();
        until(Duration::from_secs(20), answers).expect("Debian's package openssh-server");
        server
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn keygen(dir: &Path, name: &str) -> PathBuf {
    let key = dir.join(name);
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"];
    run(Command::new("ssh-keygen").args(args).arg(&key)).ok();
    key
}

fn public(key: &Path) -> String {
    let text = std::fs::read_to_string(key.with_extension("pub")).expect("a file");
    let mut words = text.split_whitespace();
    format!("{} {}", words.next().expect("a kind"), words.next().expect("a key"))
}

#[test]
fn a_host_is_who_it_was_and_who_its_user_knows() {
    let daemon = Daemon::start().with_busybox("box");
    let dir = daemon.dir().join("ssh");
    std::fs::create_dir_all(&dir).expect("a directory");
    let root = repositories(&daemon);
    let agent = Agent::start(&dir, "mine");
    let (first, second) = (keygen(&dir, "first"), keygen(&dir, "second"));
    let port = TcpListener::bind("127.0.0.1:0").and_then(|at| at.local_addr());
    let port = port.expect("a port of loopback").port();
    let authorized = dir.join("mine.key.pub");
    let server = Sshd::start(&dir, port, &first, &authorized);
    let address = format!("ssh://root@127.0.0.1:{}{}/lib.git", server.port, root.display());
    // With what its user knows of hosts.
    let build = |home: &str, known: Option<String>| -> Done {
        let home = dir.join(home);
        std::fs::create_dir_all(home.join(".ssh")).expect("a directory");
        if let Some(text) = known {
            std::fs::write(home.join(".ssh/known_hosts"), text).expect("a file");
        }
        let file = format!("FROM box\nADD {address} /src\n");
        let place = context(&daemon, "c", &[("Dockerfile", &file)]);
        let lent = format!("default={}", agent.socket.display());
        let args = ["build", "--no-cache", "--network", "none", "-t", "a", "--ssh", &lent];
        run(daemon.command(&args).arg(place).env("HOME", home))
    };
    let entry = |key: &Path| format!("[127.0.0.1]:{port} {}\n", public(key));
    // Who knows another key of it is not let near it, whatever others saw; nor is it noted.
    build("other", Some(entry(&second))).fails(1, "is not the one that is known");
    // Who knows it gets in, also where its name is hashed.
    build("knows", Some(entry(&first))).ok();
    assert_eq!(cat(&daemon, "a", "/src/lib.txt"), "of the library");
    let hashing = dir.join("knows/.ssh/known_hosts");
    run(Command::new("ssh-keygen").arg("-q").arg("-H").arg("-f").arg(&hashing)).ok();
    assert!(!std::fs::read_to_string(&hashing).expect("a file").contains("127.0.0.1"));
    build("knows", None).ok();
    // Who does not know it takes it the first time, and it is noted for the next time.
    let noted = daemon.data_root().join("build/known_hosts");
    assert!(!noted.exists(), "nobody should have been noted yet");
    build("nothing", None).ok();
    let text = std::fs::read_to_string(&noted).expect("the host is noted");
    assert!(text.contains(&public(&first)), "{text}");
    build("nothing", Some("elsewhere.example ssh-ed25519 AAAA\n".to_owned())).ok();
    // Another one in its place.
    drop(server);
    let _other = Sshd::start(&dir, port, &second, &authorized);
    let failed = build("nothing", None);
    failed.fails(1, "is not the one that is known");
    build("knows", None).fails(1, "ssh-keygen -R");
    build("other", None).ok();
    assert_eq!(std::fs::read_to_string(&noted).expect("a file"), text);
}
