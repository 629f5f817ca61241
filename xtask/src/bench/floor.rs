//! The kernel floor: what namespaces, an overlay root and an exec cost with nothing around them. Acts: as root.

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::process::{chdir, pivot_root};
use rustix::thread::UnshareFlags;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Directories for the floor's overlay.
#[derive(Debug)]
pub struct Floor {
    dir: tempfile::TempDir,
}

impl Floor {
    /// A lower directory with a busybox, and the rest of an overlay.
    pub fn new() -> Result<Floor, String> {
        let dir = tempfile::Builder::new()
            .prefix("naru-floor")
            .tempdir_in("/tmp")
            .map_err(|error| error.to_string())?;
        for name in ["lower/bin", "upper", "work", "merged"] {
            std::fs::create_dir_all(dir.path().join(name)).map_err(|error| error.to_string())?;
        }
        std::fs::copy("/bin/busybox", dir.path().join("lower/bin/true"))
            .map_err(|error| error.to_string())?;
        Ok(Floor { dir })
    }

    /// This program again, in the role of [`enter`].
    pub fn command(&self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg("floor").arg(self.dir.path());
        command
    }
}

/// Unshares the namespaces a container gets, mounts an overlay, pivots into it and runs `true` there.
pub fn enter(dir: &Path) -> ExitCode {
    match try_enter(dir) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

#[expect(
    deprecated,
    reason = "the replacement is unsafe, and these flags leave the descriptor table alone"
)]
fn try_enter(dir: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    let flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC;
    rustix::thread::unshare(flags)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    chdir(dir)?;
    let options = c"lowerdir=lower,upperdir=upper,workdir=work";
    mount("overlay", "merged", "overlay", MountFlags::empty(), options)?;
    chdir("merged")?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    Ok(Command::new("/bin/true").status()?.success())
}
