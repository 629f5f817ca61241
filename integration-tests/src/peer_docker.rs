//! Debian's dockerd beside a daemon, on roots of its own and in mounts of its own. Acts: as root.

use crate::Daemon;
use crate::daemon::{Signal, signal};
use crate::run::{run, until};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A dockerd with its containerd, in the daemon's network; both end with the test.
#[derive(Debug)]
pub struct PeerDocker {
    child: Child,
    dir: tempfile::TempDir,
}

impl PeerDocker {
    /// Starts one on an empty network of its own.
    #[track_caller]
    pub fn apart() -> PeerDocker {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount"]);
        PeerDocker::launch(unshare, |_etc| {})
    }

    /// Starts one that trusts this certificate for this registry, by a `certs.d` directory as sites have it.
    #[track_caller]
    pub fn start(daemon: &Daemon, registry: &str, authority: &Path) -> PeerDocker {
        let mut unshare = daemon.neighbour("unshare");
        unshare.arg("--mount");
        PeerDocker::launch(unshare, |etc| {
            let certs = etc.join("docker/certs.d").join(registry);
            std::fs::create_dir_all(&certs).expect("a directory");
            std::fs::copy(authority, certs.join("ca.crt")).expect("a certificate");
        })
    }

    #[track_caller]
    fn launch(mut unshare: Command, prepare: impl FnOnce(&Path)) -> PeerDocker {
        let dir =
            tempfile::Builder::new().prefix("naru-dd").tempdir_in("/tmp").expect("a directory");
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("etc/docker")).expect("a directory");
        prepare(&at("etc"));
        std::fs::write(at("etc/docker/daemon.json"), "{}").expect("a file");
        std::fs::create_dir(at("work")).expect("a directory");
        let log = std::fs::File::create(at("log")).expect("a log");
        // dockerd and its client look nowhere but in /etc, so they get one of their own on top of the machine's.
        let etc = format!("lowerdir=/etc,upperdir={0}/etc,workdir={0}/work", dir.path().display());
        let script = "mount -t overlay overlay -o \"$0\" /etc && exec \"$@\"";
        let child = unshare
            .args(["sh", "-c", script, &etc, "dockerd", "--data-root"])
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("-H")
            .arg(format!("unix://{}", at("sock").display()))
            .args(["--storage-driver", "overlay2", "--bridge", "none", "--iptables=false"])
            .args(["--ip-forward=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("unshare starts");
        let docker = PeerDocker { child, dir };
        let answers = || (run(&mut docker.command(&["version"])).code == 0).then_some(());
        assert!(until(Duration::from_secs(60), answers).is_some(), "no dockerd:\n{}", docker.log());
        docker
    }

    /// The docker CLI against it, where it is.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.enter(None);
        command.arg("docker").args(words);
        command
    }

    /// A build in this directory, seen from there, by the BuildKit inside it. Only Debian's own client asks for it without
    /// a plugin.
    pub fn build(&self, dir: &Path, words: &[&str], context: &str) -> Command {
        let mut command = self.enter(Some(dir));
        command.args(["/usr/bin/docker", "build", "--progress", "plain"]);
        command.args(words).arg(context).env("DOCKER_BUILDKIT", "1");
        command
    }

    /// The same by its classic builder, which wants to know where the context is: `.` is nowhere, seen from there.
    pub fn build_classic(&self, dir: &Path, words: &[&str], context: &str) -> Command {
        let mut command = self.enter(Some(dir));
        command.args(["/usr/bin/docker", "build"]);
        command.args(words).arg(context).env("DOCKER_BUILDKIT", "0");
        command
    }

    fn enter(&self, dir: Option<&Path>) -> Command {
        let namespaces = format!("/proc/{}/ns", self.child.id());
        let mut command = Command::new("nsenter");
        command
            .args([&format!("--net={namespaces}/net"), &format!("--mount={namespaces}/mnt")])
            .args(dir.map(|dir| format!("--wd={}", dir.display())))
            .env("DOCKER_HOST", format!("unix://{}", self.dir.path().join("sock").display()))
            .env("DOCKER_CONFIG", self.dir.path().join("config"));
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for PeerDocker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- dockerd ---\n{}", self.log());
        }
        signal(self.child.id(), Signal::TERM);
        let ended = until(Duration::from_secs(20), || self.child.try_wait().ok().flatten());
        if ended.is_none() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
