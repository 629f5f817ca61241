//! A network namespace that plays another machine. It lives as long as a process of ours that waits in it, even when the
//! test is killed. Acts.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// The namespace, with its loopback up.
#[derive(Debug)]
pub struct Machine {
    /// Its end ends the process that keeps the namespace.
    stdin: Option<ChildStdin>,
    keeper: Child,
}

impl Machine {
    /// Makes one.
    #[track_caller]
    pub fn start() -> Machine {
        let mut keeper = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo up && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a network namespace");
        let stdin = keeper.stdin.take();
        let mut line = String::new();
        let stdout = keeper.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a word of it");
        assert_eq!(line, "up\n", "no loopback in a network namespace of our own");
        Machine { stdin, keeper }
    }

    fn namespace(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.keeper.id()).into()
    }

    /// A command that runs on it. Its process is the one that is started: `nsenter` becomes it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(self.entrance()).arg(program);
        command
    }

    /// How `nsenter` is told to go there.
    pub(crate) fn entrance(&self) -> String {
        format!("--net={}", self.namespace().display())
    }

    /// Does something on it, in a thread that is there for nothing else.
    #[track_caller]
    pub fn on<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.namespace()).expect("the namespace");
        let done = std::thread::scope(|scope| {
            let inside = || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root can enter it");
                work()
            };
            scope.spawn(inside).join()
        });
        match done {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.keeper.wait());
    }
}
