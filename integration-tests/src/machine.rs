//! A machine played by a network namespace: it has interfaces, routes and packet rules of its own, so that a daemon in it
//! changes nothing of this machine's. Acts: as root; what holds the namespace is a process that ends with the value.

use crate::run::{Done, run, until};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A network namespace with loopback up.
#[derive(Debug)]
pub struct Machine {
    holder: Child,
}

impl Machine {
    /// Makes one.
    #[track_caller]
    pub fn new() -> Machine {
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "infinity"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("util-linux is installed");
        let machine = Machine { holder };
        let own = namespace(std::process::id());
        let apart = || namespace(machine.holder.id()).filter(|there| Some(*there) != own);
        assert!(until(Duration::from_secs(10), apart).is_some(), "no namespace was made");
        machine.ip("link set lo up");
        machine
    }

    /// Words that run what follows them in it.
    pub fn prefix(&self) -> Vec<String> {
        let net = format!("--net=/proc/{}/ns/net", self.holder.id());
        vec!["nsenter".to_owned(), net, "--".to_owned()]
    }

    /// A program in it.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let prefix = self.prefix();
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).arg(program).args(args);
        command
    }

    /// Runs a program in it.
    #[track_caller]
    pub fn run(&self, program: &str, args: &[&str]) -> Done {
        run(&mut self.command(program, args))
    }

    /// Runs `ip` with these words and ends the test if that fails.
    #[track_caller]
    pub fn ip(&self, words: &str) -> String {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        self.run("ip", &words).ok().stdout
    }

    /// Runs `nft` with this text and ends the test if that fails.
    #[track_caller]
    pub fn nft(&self, text: &str) -> String {
        self.run("nft", &[text]).ok().stdout
    }

    /// Lays a cable to another machine: 192.0.2.1 here and 192.0.2.2 there, which sends everything to here.
    #[track_caller]
    pub fn cable(&self, other: &Machine) {
        let there = other.holder.id();
        self.ip(&format!("link add wire type veth peer name wire netns {there}"));
        self.ip("address add 192.0.2.1/24 dev wire");
        // Addresses that the kernel makes up would come a moment later.
        self.ip("link set wire addrgenmode none");
        other.ip("link set wire addrgenmode none");
        self.ip("link set wire up");
        other.ip("address add 192.0.2.2/24 dev wire");
        other.ip("link set wire up");
        other.ip("route add default via 192.0.2.1");
    }

    /// Everything that a daemon could leave in it: interfaces with addresses, routes, rules of packets and of routing.
    #[track_caller]
    pub fn shown(&self) -> String {
        let cat = |path: &str| self.run("cat", &[path]).ok().stdout;
        [
            self.ip("-o address"),
            self.ip("-o link"),
            self.ip("-o -4 route show table all"),
            self.ip("-o -6 route show table all"),
            self.ip("rule"),
            self.nft("list ruleset"),
            cat("/proc/net/route"),
        ]
        .join("---\n")
    }
}

impl Default for Machine {
    fn default() -> Machine {
        Machine::new()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

fn namespace(pid: u32) -> Option<u64> {
    std::fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|found| found.ino())
}
