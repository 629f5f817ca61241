//! The peers, each on roots and sockets of its own, with one and the same image. Acts: starts and ends what it started.

use super::memory;
use super::net::Machine;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Name of the image everywhere.
pub const IMAGE: &str = "bench/box";

/// Debian's dockerd with its containerd, on private roots.
#[derive(Debug)]
pub struct Docker {
    dir: PathBuf,
    child: Child,
}

impl Docker {
    /// Starts it without networks and imports the image.
    pub fn start(dir: &Path, tar: &Path) -> Result<Docker, String> {
        let off = ["--bridge", "none", "--iptables=false", "--ip-forward=false"];
        Docker::start_by(Command::new("dockerd"), &off, dir, tar)
    }

    /// Starts it with its bridge and packet rules on a machine of its own.
    pub fn start_on(machine: &Machine, dir: &Path, tar: &Path) -> Result<Docker, String> {
        Docker::start_by(machine.command("dockerd"), &[], dir, tar)
    }

    fn start_by(
        mut dockerd: Command,
        options: &[&str],
        dir: &Path,
        tar: &Path,
    ) -> Result<Docker, String> {
        let dir = dir.join("docker");
        std::fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"))
            .map_err(|error| error.to_string())?;
        let child = dockerd
            .arg("--data-root")
            .arg(dir.join("data"))
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("-H")
            .arg(format!("unix://{}", dir.join("sock").display()))
            .arg("-p")
            .arg(dir.join("pid"))
            .args(["--storage-driver", "overlay2"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start dockerd: {error}"))?;
        let docker = Docker { dir, child };
        wait_for("dockerd", || {
            docker.command(&["version"]).output().is_ok_and(|output| output.status.success())
        })?;
        super::measure::timed(&mut docker.command(&["import", &tar.to_string_lossy(), IMAGE]))?;
        Ok(docker)
    }

    /// The docker CLI against it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", format!("unix://{}", self.dir.join("sock").display()))
            .args(args);
        command
    }

    /// Memory of dockerd, containerd and the shims, in KiB.
    pub fn pss_kib(&self) -> u64 {
        self.pids().into_iter().map(memory::pss_kib).sum()
    }

    /// dockerd, containerd and the shims.
    pub fn pids(&self) -> Vec<u32> {
        let exec = self.dir.join("exec").to_string_lossy().into_owned();
        let mut pids = memory::family(self.child.id());
        for (pid, words) in integration_tests::daemon::processes() {
            if words.iter().any(|word| word.contains(&exec)) && !pids.contains(&pid) {
                pids.push(pid);
            }
        }
        pids
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        integration_tests::daemon::signal(self.child.id(), integration_tests::daemon::Signal::TERM);
        drop(self.child.wait());
    }
}

/// podman on private roots.
#[derive(Debug)]
pub struct Podman {
    dir: PathBuf,
    /// What it is run by, when not directly.
    before: Vec<OsString>,
}

impl Podman {
    /// Imports the image.
    pub fn start(dir: &Path, tar: &Path) -> Result<Podman, String> {
        Podman::start_by(Vec::new(), dir, tar)
    }

    /// Imports the image, to be run with its bridge on a machine of its own.
    pub fn start_on(machine: &Machine, dir: &Path, tar: &Path) -> Result<Podman, String> {
        let nsenter = machine.command("podman");
        let before = std::iter::once(nsenter.get_program()).chain(nsenter.get_args());
        let mut before: Vec<OsString> = before.map(OsString::from).collect();
        before.pop();
        Podman::start_by(before, dir, tar)
    }

    fn start_by(before: Vec<OsString>, dir: &Path, tar: &Path) -> Result<Podman, String> {
        let podman = Podman { dir: dir.join("podman"), before };
        let networks = podman.dir.join("networks");
        std::fs::create_dir_all(&networks).map_err(|error| error.to_string())?;
        // Its own default is above what a process without CAP_SYS_RESOURCE may set.
        let limits =
            "[containers]\ndefault_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]\n";
        let network = format!(
            "[network]\nnetwork_backend = \"cni\"\nnetwork_config_dir = \"{}\"\n",
            networks.display()
        );
        super::report::write(&podman.dir.join("containers.conf"), &format!("{limits}{network}"))?;
        super::measure::timed(&mut podman.command(&["import", &tar.to_string_lossy(), IMAGE]))?;
        Ok(podman)
    }

    /// podman with its private roots.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut words = self.before.iter().cloned().chain([OsString::from("podman")]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env("CONTAINERS_CONF", self.dir.join("containers.conf"));
        command.arg("--root").arg(self.dir.join("root")).arg("--runroot").arg(self.dir.join("run"));
        command
            .args([
                "--cgroup-manager",
                "cgroupfs",
                "--events-backend",
                "none",
                "--storage-driver",
                "overlay",
                // The same as docker's; crun does not run beside a unified tree that has no controllers.
                "--runtime",
                "runc",
            ])
            .args(args);
        command
    }
}

impl Podman {
    /// buildah on the same roots.
    pub fn buildah(&self, args: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        command.env("CONTAINERS_CONF", self.dir.join("containers.conf"));
        command.arg("--root").arg(self.dir.join("root")).arg("--runroot").arg(self.dir.join("run"));
        command.args(["--storage-driver", "overlay"]).args(args);
        command
    }
}

/// runc with a bundle of its own: a runtime without daemon, image or overlay.
#[derive(Debug)]
pub struct Runc {
    dir: PathBuf,
}

impl Runc {
    /// Unpacks the image into a bundle.
    pub fn start(dir: &Path, tar: &Path) -> Result<Runc, String> {
        let runc = Runc { dir: dir.join("runc") };
        let rootfs = runc.dir.join("bundle/rootfs");
        std::fs::create_dir_all(&rootfs).map_err(|error| error.to_string())?;
        super::measure::timed(Command::new("tar").arg("-C").arg(&rootfs).arg("-xf").arg(tar))?;
        super::measure::timed(
            Command::new("runc").arg("spec").arg("--bundle").arg(runc.dir.join("bundle")),
        )?;
        let path = runc.dir.join("bundle/config.json");
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let mut spec: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if let Some(process) = spec.get_mut("process").and_then(serde_json::Value::as_object_mut) {
            process.insert("terminal".to_owned(), false.into());
            process.insert("args".to_owned(), serde_json::json!(["true"]));
            process.remove("rlimits");
        }
        super::report::write(&path, &spec.to_string())?;
        Ok(runc)
    }

    /// `runc run` of the bundle.
    pub fn run(&self, id: &str) -> Command {
        let mut command = Command::new("runc");
        command
            .arg("--root")
            .arg(self.dir.join("state"))
            .arg("run")
            .arg("--bundle")
            .arg(self.dir.join("bundle"))
            .arg(id);
        command
    }
}

fn wait_for(what: &str, mut ready: impl FnMut() -> bool) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(60);
    while !ready() {
        if Instant::now() > end {
            return Err(format!("{what} did not get ready within a minute"));
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    Ok(())
}
