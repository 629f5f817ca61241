//! A bundle with busybox, and the runtime's command line. Acts.

use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The runtime as a program of its own, built beside the tests.
pub(crate) fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/naru-oci");
    assert!(program.exists(), "{} is not built", program.display());
    program
}

/// Fills a directory with a small root file system.
pub(crate) fn make_root(root: &Path) {
    for name in ["bin", "etc", "tmp", "root"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in "sh cat ls id echo sleep test stty hostname true grep readlink wc tr".split(' ') {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    std::fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/:/bin/sh\n",
    )
    .unwrap();
    std::fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
}

/// A bundle, a place for states, and a name that no other test uses. Whatever is left is removed when dropped.
pub(crate) struct Bundle {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) id: String,
    pub(crate) program: PathBuf,
}

impl Bundle {
    pub(crate) fn new(args: &[&str]) -> Bundle {
        let dir = tempfile::tempdir().unwrap();
        make_root(&dir.path().join("rootfs"));
        let name = dir.path().file_name().unwrap().to_string_lossy().replace('.', "");
        let bundle = Bundle { dir, id: format!("naru-test-{name}"), program: program() };
        bundle.write(|spec| spec["process"]["args"] = json!(args));
        bundle
    }

    /// Uses a copy of the runtime that no other test executes.
    pub(crate) fn with_own_program(mut self) -> Bundle {
        let own = self.dir.path().join("runtime");
        std::fs::copy(&self.program, &own).unwrap();
        self.program = own;
        self
    }

    /// Writes the configuration, changed.
    pub(crate) fn write(&self, change: impl FnOnce(&mut Value)) {
        let file = self.dir.path().join("config.json");
        let mut spec = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).unwrap(),
            Err(_) => default_spec(),
        };
        change(&mut spec);
        std::fs::write(file, spec.to_string()).unwrap();
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.dir.path().join("state")).args(words);
        command.current_dir(self.dir.path()).stdin(std::process::Stdio::null());
        command
    }

    /// Runs a command of the runtime to its end.
    pub(crate) fn oci(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// The same, and it must succeed.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.oci(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, and it must fail with this code; what it says on standard error.
    pub(crate) fn fails(&self, words: &[&str], code: i32) -> String {
        let output = self.oci(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Makes the container; its standard streams lead nowhere, so that nobody waits for their end.
    pub(crate) fn create(&self, words: &[&str]) {
        let all = [&["create"], words, &[self.id.as_str()]].concat();
        let mut command = self.command(&all);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        assert!(command.status().unwrap().success(), "{words:?}");
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.ok(&["state", &self.id])).unwrap()
    }

    /// Waits until it has this status.
    pub(crate) fn wait_for(&self, status: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.state()["status"] != status {
            assert!(Instant::now() < deadline, "never {status}: {}", self.state());
        }
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        drop(self.command(&["delete", "--force", &self.id]).output());
    }
}

fn default_spec() -> Value {
    let caps = json!(["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": {"uid": 0, "gid": 0}, "args": ["true"], "env": ["PATH=/bin"], "cwd": "/",
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs"},
        "hostname": "bundle",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "maskedPaths": ["/proc/keys"], "readonlyPaths": ["/proc/sys"],
        },
    })
}
