//! These run as root on whatever hierarchies the host has, and once more as if it had no unified one. In the virtual
//! machine of `cargo xtask vm-test` they run with nothing but the unified one.

use super::*;
use naru_kernel::pidfd;
use naru_kernel::poll;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

mod devices;
mod hierarchies;
mod life;
mod limits;

const PATIENCE: Duration = Duration::from_secs(60);

/// The hierarchies of the host, and the host without its unified one where v1 has the controllers.
fn hosts() -> Vec<Hierarchies> {
    let host = Hierarchies::probe().unwrap();
    let mut hosts = vec![host.clone()];
    if !host.is_unified() && host.unified.is_some() {
        hosts.push(host.without_unified());
    }
    hosts
}

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

/// A cgroup that is gone with everything in it at the end of the test.
struct Guarded {
    cgroup: Cgroup,
    host: Hierarchies,
}

/// A path that no other test has.
fn fresh_path() -> CgroupPath {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    CgroupPath::new(&format!("/naru-test-{}-{number}", std::process::id()), "container").unwrap()
}

impl Guarded {
    fn new(host: &Hierarchies, json: &str) -> Guarded {
        let path = fresh_path();
        let created = Cgroup::create(host, &path, &resources(json));
        if created.is_err() {
            Cgroup::remove_empty_parents(host, &path);
        }
        let Created { cgroup, .. } = created.unwrap();
        Guarded { cgroup, host: host.clone() }
    }

    /// Runs a shell script inside.
    fn run(&self, script: &str) -> Running {
        let files = self.cgroup.membership().files();
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!(
                "for file in \"$@\"; do echo 0 > \"$file\" || exit 99; done\necho in\n{script}"
            ))
            .arg("sh")
            .args(files)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output: OwnedFd = child.stdout.take().unwrap().into();
        let running = Running { pidfd: pidfd::open(child.id()).unwrap(), child, output };
        assert_eq!(running.line(), "in");
        running
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.cgroup.thaw().unwrap();
        self.cgroup.kill_all().unwrap();
        self.cgroup.remove(PATIENCE).unwrap();
        Cgroup::remove_empty_parents(&self.host, self.cgroup.path());
    }
}

/// A process of a test. It is waited for at the latest when the test ends.
struct Running {
    child: Child,
    pidfd: OwnedFd,
    output: OwnedFd,
}

impl Running {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One line of its output; empty at the end.
    fn line(&self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            assert!(poll::readable(self.output.as_fd(), Some(PATIENCE)).unwrap(), "no output");
            let mut file = std::fs::File::from(self.output.try_clone().unwrap());
            if std::io::Read::read(&mut file, &mut byte).unwrap() == 0 || byte == *b"\n" {
                return String::from_utf8(line).unwrap();
            }
            line.extend(byte);
        }
    }

    fn ended_within(&self, patience: Duration) -> bool {
        poll::readable(self.pidfd.as_fd(), Some(patience)).unwrap()
    }

    fn wait(&mut self) -> std::process::ExitStatus {
        assert!(self.ended_within(PATIENCE), "it does not end");
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(pidfd::send_signal(&self.pidfd, 9));
        drop(self.child.wait());
    }
}

/// Asks again and again, as there is no event for it.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// Every directory of these hierarchies that belongs to a path.
fn left_over(host: &Hierarchies, path: &CgroupPath) -> Vec<PathBuf> {
    let legacy = host.legacy.iter().map(|hierarchy| &hierarchy.mount);
    let unified = host.unified.iter().map(|unified| &unified.mount);
    legacy
        .chain(unified)
        .map(|mount| mount.join(path.relative()))
        .filter(|directory| directory.exists())
        .collect()
}
