//! Acts: device nodes, and the links that programs expect under `/dev`.

use super::{Attempt, root};
use crate::plan::{DevicePlan, Plan};
use crate::start_error::StartError;
use naru_kernel::mount;
use naru_kernel::node::{self, NodeKind};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Makes the devices and the links of a plan.
pub(super) fn make_all(plan: &Plan, root: &OwnedFd) -> Result<(), StartError> {
    if !plan.dev_links {
        return Ok(());
    }
    let dev = root::make_directories(root, Path::new("/dev")).attempt(|| "make `/dev`")?;
    for device in &plan.devices {
        let made = if device.bind { bind(device, root) } else { make(device, root, &dev) };
        made.attempt(|| format!("make the device `{}`", device.path.display()))?;
    }
    for (name, target) in LINKS {
        link(&dev, name, target).attempt(|| format!("make the link `/dev/{name}`"))?;
    }
    Ok(())
}

fn make(device: &DevicePlan, root: &OwnedFd, dev: &OwnedFd) -> io::Result<()> {
    let (parent, name) = root::parent_and_name(&device.path)?;
    let other;
    let parent = if parent == Path::new("/dev") {
        dev
    } else {
        other = root::make_directories(root, parent)?;
        &other
    };
    let kind = match device.kind {
        'b' => NodeKind::BlockDevice,
        'p' => NodeKind::Fifo,
        _ => NodeKind::CharDevice,
    };
    let number = (device.major, device.minor);
    match node::make_node(parent, name, kind, device.mode, number) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // An image may bring nodes of its own; they stay only if they are what they are called.
            let found = node::status_at(parent, name)?;
            let same = found.kind == kind && (kind == NodeKind::Fifo || found.rdev == number);
            if !same {
                node::unlink(parent, name)?;
                node::make_node(parent, name, kind, device.mode, number)?;
            }
        }
        result => result?,
    }
    if (device.uid, device.gid) != (0, 0) {
        node::set_owner_at(parent, name, device.uid, device.gid)?;
    }
    Ok(())
}

fn bind(device: &DevicePlan, root: &OwnedFd) -> io::Result<()> {
    let place = root::file_without_links(root, &device.path)?;
    let tree = mount::clone_path(&device.path, false)?;
    let status = node::status(&tree)?;
    if !matches!(status.kind, NodeKind::CharDevice | NodeKind::BlockDevice)
        || status.rdev != (device.major, device.minor)
    {
        return Err(io::Error::other("the host has another thing of that name"));
    }
    mount::attach(tree, place)
}

fn link(dev: &OwnedFd, name: &str, target: &str) -> io::Result<()> {
    match node::make_link(Path::new(target), dev, Path::new(name)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = node::status_at(dev, Path::new(name))?.kind;
            if name != "ptmx" || found == NodeKind::Link {
                return Ok(());
            }
            // A node of that number would lead to the host's terminals.
            node::unlink(dev, Path::new(name))?;
            node::make_link(Path::new(target), dev, Path::new(name))
        }
        result => result,
    }
}
