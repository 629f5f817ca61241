//! The kernel floor: what namespaces, an overlay root and an exec cost with nothing around them. Acts: as root.

use naru_network::ipam::Mac;
use naru_network::link::{BridgeSpec, Links};
use naru_network::sandbox::{Attachment, Sandbox, SandboxSpec};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::process::{chdir, pivot_root};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::os::fd::AsFd;
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

    /// The same with an interface on a bridge, which is made by [`make_bridge`].
    pub fn networked(&self) -> Command {
        let mut command = self.command();
        command.arg("networked");
        command
    }
}

/// The bridge of the networked floor.
const BRIDGE: &str = "floor0";

/// Makes the bridge that [`Floor::networked`] attaches to.
pub fn make_bridge() -> Result<(), String> {
    let spec = BridgeSpec {
        name: BRIDGE.to_owned(),
        mac: Mac::local([2; 6]),
        mtu: None,
        addresses: vec!["198.18.0.1/24".parse().map_err(|_net| "not a subnet")?],
        alias: None,
    };
    let made = Links::open().and_then(|links| links.create_bridge(&spec));
    made.map(drop).map_err(|error| format!("cannot make a bridge: {error}"))
}

/// A network namespace whose interface is up on the bridge, with an address and a way out.
fn plug() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let spec = SandboxSpec { ipv6: false, low_ports: false, resolver: false };
    let (sandbox, _) = Sandbox::make(&spec)?;
    let host = Links::open()?;
    let attachment = Attachment {
        name: "eth0".to_owned(),
        mac: None,
        mtu: None,
        addresses: vec!["198.18.0.2/24".parse()?],
        gateway_v4: Some("198.18.0.1".parse()?),
        gateway_v6: None,
        routes: Vec::new(),
    };
    let outer = format!("floor-{}", std::process::id());
    sandbox.attach(&host, &outer, host.find(BRIDGE)?.index, &attachment)?;
    Ok(sandbox)
}

/// Unshares the namespaces a container gets, mounts an overlay, pivots into it and runs `true` there.
pub fn enter(dir: &Path, networked: bool) -> ExitCode {
    match try_enter(dir, networked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

#[expect(
    deprecated,
    reason = "the replacement is unsafe, and these flags leave the descriptor table alone"
)]
fn try_enter(dir: &Path, networked: bool) -> Result<bool, Box<dyn std::error::Error>> {
    let flags =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    if networked {
        let sandbox = plug()?;
        rustix::thread::unshare(flags)?;
        move_into_link_name_space(sandbox.as_fd(), Some(LinkNameSpaceType::Network))?;
    } else {
        rustix::thread::unshare(flags | UnshareFlags::NEWNET)?;
    }
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
