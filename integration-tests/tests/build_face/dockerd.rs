//! Debian's dockerd on roots of its own, without networks. Acts.

use integration_tests::{run, run_with_input, until};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running one.
pub struct Dockerd {
    dir: PathBuf,
    child: Child,
}

impl Dockerd {
    /// Starts one below a directory, with busybox as the image `box`.
    pub fn start(dir: &Path) -> Dockerd {
        let dir = dir.join("dockerd");
        std::fs::create_dir_all(&dir).expect("a directory");
        let log = std::fs::File::create(dir.join("log")).expect("a log");
        let path = |name: &str| dir.join(name).to_str().expect("a path in UTF-8").to_owned();
        // With mounts of its own: it leaves one on its data behind.
        let child = Command::new("unshare")
            .args(["--mount", "dockerd", "--data-root", &path("data")])
            .args(["--exec-root", &path("exec"), "-p", &path("pid")])
            .args(["-H", &format!("unix://{}", path("sock")), "--storage-driver", "overlay2"])
            .args([
                "--bridge",
                "none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Debian's docker.io is installed");
        let dockerd = Dockerd { dir, child };
        let ready = until(Duration::from_secs(60), || {
            (run(&mut dockerd.command(&["version"])).code == 0).then_some(())
        });
        assert!(ready.is_some(), "dockerd does not answer");
        let mut import = dockerd.command(&["import", "-c", "CMD [\"sh\"]", "-", "box"]);
        run_with_input(&mut import, &integration_tests::image::busybox_tar()).ok();
        dockerd
    }

    /// Where it listens.
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.join("sock").display())
    }

    /// docker's client for it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).args(args);
        command
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // It ends its containers and its containerd, and takes its mounts with it.
        integration_tests::daemon::signal(self.child.id(), Signal::TERM);
        self.child.wait().ok();
    }
}
