//! A real Debian root, made once by debootstrap and kept for the tests that need one. Acts.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the root has beyond the minimum.
const PACKAGES: &str = "nginx-light,redis-server,redis-tools,perl-base";
const SUITE: &str = "bookworm";

/// The root as a tar; made on first use, while others wait for it.
#[track_caller]
pub fn root_tar() -> PathBuf {
    let dir = std::env::temp_dir().join("naru-debian-fixture");
    std::fs::create_dir_all(&dir).expect("a directory for the fixture");
    let tar = dir.join(format!("{SUITE}-services.tar"));
    let lock = std::fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("lock"))
        .expect("a lock file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    if !tar.exists() {
        make(&dir, &tar);
    }
    tar
}

fn make(dir: &Path, tar: &Path) {
    let root = tempfile::Builder::new().prefix("root").tempdir_in(dir).expect("a directory");
    let target = root.path().join("debian");
    let include = format!("--include={PACKAGES}");
    let done = Command::new("debootstrap")
        .args(["--variant=minbase", &include, SUITE])
        .arg(&target)
        .output()
        .expect("Debian's package debootstrap is installed");
    assert!(
        done.status.success(),
        "debootstrap failed:\n{}\n{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    let partial = tar.with_extension("partial");
    let done = Command::new("tar")
        .arg("-C")
        .arg(&target)
        .arg("--xattrs")
        .arg("-cf")
        .arg(&partial)
        .arg(".")
        .status();
    assert!(done.is_ok_and(|status| status.success()), "tar failed");
    std::fs::rename(&partial, tar).expect("the fixture in its place");
}
