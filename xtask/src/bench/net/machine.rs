//! Machines to measure on: network namespaces with an uplink to another one that plays a neighbour. Acts: as root, by `ip`,
//! `unshare` and `nsenter`; nothing is left when a machine is dropped.

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;
use std::io::BufRead;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The machine's own address on its uplink.
pub const HERE: &str = "198.51.100.1";
/// The neighbour's address, which is also the way to everywhere else.
const THERE: &str = "198.51.100.2";
/// Longer than any benchmark; a benchmark that is killed leaves nothing for longer.
const SECONDS: &str = "1800";

/// A network of its own, with a neighbour.
#[derive(Debug)]
pub struct Machine {
    pid: u32,
    holder: Option<Child>,
    neighbour: Child,
}

/// Takes this process, and all that it starts from here on, off the host's network and mounts. There is one thread yet.
#[expect(
    deprecated,
    reason = "the replacement is unsafe, and these flags leave the descriptor table alone"
)]
pub fn leave_the_host() -> Result<(), String> {
    let step =
        |what: &'static str| move |error: rustix::io::Errno| format!("cannot {what}: {error}");
    rustix::thread::unshare(UnshareFlags::NEWNS | UnshareFlags::NEWNET)
        .map_err(step("leave the host's network (as root?)"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(step("make the mounts private"))?;
    // Sockets, locks and names of namespaces of the peers, that are not to meet those of the host.
    for dir in ["/run", "/var/lib/cni"] {
        if Path::new(dir).is_dir() {
            keep_in_memory(Path::new(dir))?;
        }
    }
    Ok(())
}

/// Puts a directory of state into memory, where `/run` is on any host. After [`leave_the_host`], so that nobody else sees it.
pub fn keep_in_memory(dir: &Path) -> Result<(), String> {
    std::fs::create_dir_all(dir)
        .map_err(|error| error.to_string())
        .and_then(|()| {
            mount("tmpfs", dir, "tmpfs", MountFlags::NOSUID, c"mode=755")
                .map_err(|error| error.to_string())
        })
        .map_err(|error| format!("cannot keep `{}` in memory: {error}", dir.display()))
}

impl Machine {
    /// The machine that this process is on, after [`leave_the_host`].
    pub fn own() -> Result<Machine, String> {
        Machine::with(std::process::id(), None)
    }

    /// Another machine.
    pub fn new() -> Result<Machine, String> {
        let holder = hold()?;
        Machine::with(holder.id(), Some(holder))
    }

    fn with(pid: u32, holder: Option<Child>) -> Result<Machine, String> {
        let machine = Machine { pid, holder, neighbour: hold()? };
        let there = machine.neighbour.id().to_string();
        let here = format!("{HERE}/24");
        for line in [
            vec!["link", "set", "lo", "up"],
            vec![
                "link", "add", "uplink", "type", "veth", "peer", "name", "uplink", "netns", &there,
            ],
            vec!["address", "add", &here, "dev", "uplink"],
            vec!["link", "set", "uplink", "up"],
            vec!["route", "add", "default", "via", THERE],
        ] {
            ip(machine.command("ip"), &line)?;
        }
        let their = format!("{THERE}/24");
        for line in [
            vec!["link", "set", "lo", "up"],
            vec!["address", "add", &their, "dev", "uplink"],
            vec!["link", "set", "uplink", "up"],
        ] {
            ip(machine.command_of_neighbour("ip"), &line)?;
        }
        Ok(machine)
    }

    /// A program on this machine.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        inside(self.pid, program)
    }

    /// A program on its neighbour.
    pub fn command_of_neighbour(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        inside(self.neighbour.id(), program)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in self.holder.iter_mut().chain([&mut self.neighbour]) {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn inside(pid: u32, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net")).arg(program);
    command
}

fn ip(mut command: Command, words: &[&str]) -> Result<(), String> {
    super::super::measure::timed(command.args(words)).map(drop)
}

/// A process that holds a namespace.
fn hold() -> Result<Child, String> {
    let mut child = Command::new("unshare")
        .args(["--net", "sh", "-c", "echo; exec sleep \"$0\"", SECONDS])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run `unshare`: {error}"))?;
    // Its word says that it is in its namespace.
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        std::io::BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    }
    if line.is_empty() {
        return Err("cannot make a network namespace".to_owned());
    }
    Ok(child)
}
