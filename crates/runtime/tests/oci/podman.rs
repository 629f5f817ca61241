//! Podman with this runtime. Acts.

use crate::bundle::{make_root, program};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Podman with roots of its own.
struct Podman {
    dir: tempfile::TempDir,
}

impl Podman {
    fn new() -> Podman {
        let podman = Podman { dir: tempfile::tempdir().unwrap() };
        let root = podman.dir.path().join("rootfs");
        make_root(&root);
        let tar = podman.dir.path().join("root.tar");
        let made = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status()
            .unwrap();
        assert!(made.success());
        podman.ok(&["import", tar.to_str().unwrap(), "tiny"]);
        podman
    }

    fn run(&self, words: &[&str]) -> Output {
        let at = |name: &str| self.dir.path().join(name);
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(at("storage"))
            .arg("--runroot")
            .arg(at("run"))
            .arg("--tmpdir")
            .arg(at("tmp"));
        command.args([
            "--storage-driver",
            "vfs",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "none",
        ]);
        command
            .arg("--runtime")
            .arg(program())
            .args(words)
            .current_dir(Path::new("/"))
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        drop(self.run(&["rm", "--all", "--force", "--time", "0"]));
        drop(self.run(&["rmi", "--all", "--force"]));
    }
}

#[test]
fn podman_runs_containers_with_it() {
    let podman = Podman::new();
    let run = ["run", "--rm", "--network", "none"];
    let with = |words: &[&str]| podman.run(&[&run[..], words].concat());
    let output = with(&["tiny", "sh", "-c", "echo hello; id -u; exit 4"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(output.stdout, b"hello\n0\n");
    assert_eq!(with(&["tiny", "nope"]).status.code(), Some(127));
    assert_eq!(with(&["tiny", "/etc/passwd"]).status.code(), Some(126));
    let output = with(&["--read-only", "--user", "33:34", "tiny", "sh", "-c", "id -u; echo > /x"]);
    assert_eq!((output.status.code(), output.stdout), (Some(1), b"33\n".to_vec()));

    podman.ok(&[
        "run",
        "--detach",
        "--name",
        "c",
        "--network",
        "none",
        "--memory",
        "64m",
        "tiny",
        "sleep",
        "1000",
    ]);
    assert_eq!(
        podman.ok(&[
            "exec",
            "c",
            "sh",
            "-c",
            "grep Seccomp: /proc/self/status; grep -c sleep /proc/1/cmdline"
        ]),
        "Seccomp:\t2\n1\n"
    );
    assert_eq!(podman.run(&["exec", "c", "nope"]).status.code(), Some(127));
    assert_eq!(
        podman.ok(&["exec", "--tty", "c", "sh", "-c", "test -t 0 && echo terminal"]),
        "terminal\r\n"
    );
    podman.ok(&["pause", "c"]);
    assert_eq!(podman.ok(&["ps", "--all", "--format", "{{.Status}}"]), "Paused\n");
    podman.ok(&["unpause", "c"]);
    podman.ok(&["stop", "--time", "0", "c"]);
    podman.ok(&["start", "c"]);
    assert!(podman.ok(&["ps", "--all", "--format", "{{.Status}}"]).starts_with("Up"));
    podman.ok(&["rm", "--force", "--time", "0", "c"]);
}
