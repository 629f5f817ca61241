//! A tiny root file system and a spec as docker makes it, and a way to run it. Acts: launches real containers.

use naru_oci::runtime::Spec;
use naru_runtime::{
    ChildStdio, ExecOptions, Host, Launching, Plan, PlanOptions, Progress, Root, StartError,
    launch, launch_exec, plan, plan_exec,
};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nothing takes longer; who waits longer has found a bug.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const APPLETS: &str = "sh cat ls id hostname mount stat touch sleep env pwd echo test grep head tail readlink stty true \
                       false kill ps wc mkdir rm ln chmod chown umask ulimit dd tr cut sort find od ip xargs printf sync";

/// A root file system, a spec, and what else a launch needs.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) spec: Value,
    pub(crate) options: PlanOptions,
}

/// How a container ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) warnings: Vec<String>,
}

impl Fixture {
    /// An overlay on a root with busybox, and docker's default spec that runs a shell script.
    pub(crate) fn new(script: &str) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "lower/bin", "lower/etc", "lower/tmp", "lower/root"]
        {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let lower = dir.path().join("lower");
        std::fs::copy("/bin/busybox", lower.join("bin/busybox")).unwrap();
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", lower.join("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:web:/var/www:/bin/sh\n";
        std::fs::write(lower.join("etc/passwd"), passwd).unwrap();
        std::fs::write(lower.join("etc/group"), "root:x:0:\nwww:x:34:\naudio:x:29:www\n").unwrap();
        let root = Root::Overlay {
            base: dir.path().to_path_buf(),
            lower: vec!["lower".into()],
            upper: "upper".into(),
            work: "work".into(),
            volatile: true,
        };
        Fixture {
            dir,
            spec: default_spec(&["/bin/sh", "-c", script]),
            options: PlanOptions::new("test", root),
        }
    }

    pub(crate) fn lower(&self) -> PathBuf {
        self.dir.path().join("lower")
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.dir.path().join("upper")
    }

    /// What a volatile overlay leaves in its work directory, so that it is not mounted again by mistake.
    pub(crate) fn incompat(&self) -> PathBuf {
        ["work", "work", "incompat"]
            .iter()
            .fold(self.dir.path().to_owned(), |at, name| at.join(name))
    }

    /// Changes the spec at a JSON pointer.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Fixture {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match self.spec.pointer_mut(parent).unwrap() {
            Value::Object(map) => drop(map.insert(name.to_owned(), value)),
            Value::Array(list) if name == "-" => list.push(value),
            other => panic!("{other}"),
        }
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut PlanOptions)) -> Fixture {
        change(&mut self.options);
        self
    }

    /// Adds a mount.
    pub(crate) fn mount(
        self,
        destination: &str,
        kind: &str,
        source: &Path,
        options: &[&str],
    ) -> Fixture {
        let mount =
            json!({"destination": destination, "type": kind, "source": source, "options": options});
        self.set("/mounts/-", mount)
    }

    /// Leaves a namespace to the host.
    pub(crate) fn without_namespace(mut self, kind: &str) -> Fixture {
        self.spec["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .retain(|namespace| namespace["type"] != kind);
        self
    }

    /// The plan, as it travels to the monitor.
    pub(crate) fn plan(&self) -> Result<Plan, StartError> {
        let spec: Spec = serde_json::from_value(self.spec.clone()).unwrap();
        let plan = plan(&spec, &self.options, &Host::probe().unwrap())
            .map_err(|error| StartError::other(error.to_string()))?;
        Ok(serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap())
    }

    /// Starts it; the test follows.
    pub(crate) fn launch(&self, stdio: Option<ChildStdio>) -> Result<Launching, StartError> {
        launch(&self.plan()?, stdio)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Result<Outcome, StartError> {
        let (stdio, outputs) = pipes();
        finish(self.launch(Some(stdio))?, outputs)
    }

    /// What it printed; the test fails when anything else happened.
    pub(crate) fn stdout(&self) -> String {
        let outcome = self.run().unwrap();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        outcome.stdout
    }

    /// Why it could not be started.
    pub(crate) fn error(&self) -> StartError {
        self.run().unwrap_err()
    }

    /// Starts it and waits until the command runs.
    pub(crate) fn start(self) -> Running {
        let (stdio, outputs) = pipes();
        let mut launching = self.launch(Some(stdio)).unwrap();
        follow(&mut launching).unwrap();
        let (pid, pidfd, _) = launching.into_parts();
        Running { pid, pidfd, outputs, _fixture: self }
    }
}

/// A container whose command runs; killed when dropped.
pub(crate) struct Running {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) outputs: (File, File),
    /// Its files, which must not go before it does.
    _fixture: Fixture,
}

impl Running {
    /// Waits for a line on its standard output, so that it is known to have come that far.
    pub(crate) fn wait_for_line(&mut self, line: &str) {
        let mut seen = String::new();
        let mut byte = [0];
        while !seen.lines().any(|found| found == line) || !seen.ends_with('\n') {
            assert_eq!(self.outputs.0.read(&mut byte).unwrap(), 1, "ended after {seen:?}");
            seen.push(char::from(byte[0]));
        }
    }

    /// Runs a further process to its end.
    pub(crate) fn exec(
        &self,
        process: Value,
        options: &ExecOptions,
    ) -> Result<Outcome, StartError> {
        let process = serde_json::from_value(process).unwrap();
        let plan = plan_exec(&process, options, &Host::probe().unwrap())
            .map_err(|error| StartError::other(error.to_string()))?;
        let (stdio, outputs) = pipes();
        finish(launch_exec(&plan, self.pidfd.as_fd(), Some(stdio))?, outputs)
    }

    /// Runs a shell script as a further process.
    pub(crate) fn shell(&self, script: &str) -> Outcome {
        self.exec(process(&["/bin/sh", "-c", script]), &ExecOptions::default()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(naru_kernel::reap::kill(&self.pidfd));
        drop(naru_kernel::reap::wait(&self.pidfd));
    }
}

/// Reads the handshake until the command runs, or cannot.
pub(crate) fn follow(launching: &mut Launching) -> Result<Option<OwnedFd>, StartError> {
    let mut console = None;
    loop {
        match launching.advance() {
            Ok(Progress::Running) => return Ok(console),
            Ok(Progress::Console(master)) => console = Some(master),
            Ok(Progress::Gated) => launching.release()?,
            Ok(Progress::Waiting) => {
                let told =
                    naru_kernel::reap::ended_within(launching.handshake_fd(), Some(PATIENCE))
                        .unwrap();
                assert!(told, "the launch hangs");
            }
            Err(error) => {
                naru_kernel::reap::wait(launching.pidfd()).unwrap();
                return Err(error);
            }
        }
    }
}

pub(crate) fn finish(
    mut launching: Launching,
    outputs: (File, File),
) -> Result<Outcome, StartError> {
    follow(&mut launching)?;
    let (_, pidfd, warnings) = launching.into_parts();
    let read = |mut file: File| {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    };
    let (stdout, stderr) = (read(outputs.0), read(outputs.1));
    assert!(naru_kernel::reap::ended_within(&pidfd, Some(PATIENCE)).unwrap(), "the command hangs");
    let code = naru_kernel::reap::wait(&pidfd).unwrap();
    Ok(Outcome { code, stdout, stderr, warnings })
}

pub(crate) fn pipes() -> (ChildStdio, (File, File)) {
    let (out, stdout) = std::io::pipe().unwrap();
    let (err, stderr) = std::io::pipe().unwrap();
    let stdin = File::open("/dev/null").unwrap().into();
    let stdio = ChildStdio { stdin, stdout: stdout.into(), stderr: stderr.into() };
    (stdio, (OwnedFd::from(out).into(), OwnedFd::from(err).into()))
}

/// A process as docker asks for it.
pub(crate) fn process(args: &[&str]) -> Value {
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    json!({
        "args": args,
        "cwd": "/",
        "env": ["PATH=/bin", "TERM=xterm"],
        "user": {"uid": 0, "gid": 0},
        "capabilities": {"bounding": capabilities, "permitted": capabilities, "effective": capabilities},
    })
}

fn default_spec(args: &[&str]) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": process(args),
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]},
        ],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "network"}, {"type": "uts"}, {"type": "pid"}, {"type": "ipc"},
                           {"type": "cgroup"}],
            "maskedPaths": ["/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                            "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                            "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
