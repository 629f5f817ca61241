//! A launcher that starts ordinary processes, and what they do. Acts.

use naru_kernel::{pidfd, pty, splice};
use naru_monitor::launch::{Launcher, Starting};
use naru_runtime::{ChildStdio, Progress, Reason, StartError};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// What the fake launcher is asked for.
#[derive(Default, Serialize, Deserialize)]
pub struct FakePlan {
    /// The command.
    pub command: Vec<String>,
    /// Gives it a terminal.
    pub terminal: bool,
    /// Its handshake never ends.
    pub hang: bool,
    /// It fails with this message after the process was made.
    pub fail: Option<String>,
}

struct Fake;

struct FakeStarting {
    pid: u32,
    pidfd: OwnedFd,
    handshake: OwnedFd,
    /// Keeps a hanging handshake silent.
    _silent: Option<OwnedFd>,
    console: Option<OwnedFd>,
    fail: Option<String>,
    hang: bool,
}

impl Launcher for Fake {
    fn launch(
        &mut self,
        plan: &[u8],
        _target: Option<BorrowedFd<'_>>,
        stdio: Option<ChildStdio>,
    ) -> Result<Box<dyn Starting>, StartError> {
        let plan: FakePlan =
            serde_json::from_slice(plan).map_err(|error| StartError::other(error.to_string()))?;
        let (program, arguments) =
            plan.command.split_first().ok_or_else(|| StartError::other("no command"))?;
        if !Path::new(program).exists() {
            return Err(StartError::new(
                Reason::NotFound,
                format!("exec: \"{program}\": not found"),
            ));
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("clean").arg(program).args(arguments);
        let mut console = None;
        match stdio {
            Some(stdio) => {
                command.stdin(stdio.stdin).stdout(stdio.stdout).stderr(stdio.stderr);
            }
            None => {
                let pty = pty::open().unwrap();
                let copy = || Stdio::from(pty.slave.try_clone().unwrap());
                command.stdin(copy()).stdout(copy()).stderr(copy());
                console = Some(pty.master);
            }
        }
        let child = command.spawn().map_err(|error| StartError::other(error.to_string()))?;
        let (handshake, silent) = splice::pipe().unwrap();
        Ok(Box::new(FakeStarting {
            pid: child.id(),
            pidfd: pidfd::open(child.id()).unwrap(),
            handshake,
            _silent: plan.hang.then_some(silent),
            console,
            fail: plan.fail,
            hang: plan.hang,
        }))
    }
}

impl Starting for FakeStarting {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn handshake(&self) -> BorrowedFd<'_> {
        self.handshake.as_fd()
    }

    fn advance(&mut self) -> Result<Progress, StartError> {
        if let Some(console) = self.console.take() {
            return Ok(Progress::Console(console));
        }
        if let Some(message) = &self.fail {
            return Err(StartError::new(Reason::NotExecutable, message.clone()));
        }
        Ok(if self.hang { Progress::Waiting } else { Progress::Running })
    }

    fn finish(self: Box<Self>) -> (OwnedFd, Vec<String>) {
        (self.pidfd, vec!["this is a fake".to_owned()])
    }
}

/// The role of the monitor.
pub fn monitor(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match naru_monitor::serve_with(arguments, &mut Fake) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Resets signals, as every launch must, and becomes a program: `clean PROGRAM ARGUMENT…`.
pub fn clean(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command: Vec<OsString> = arguments.collect();
    naru_kernel::clone::reset_signals().unwrap();
    let program = std::fs::File::open(&command[0]).unwrap();
    let error = naru_kernel::command::replace(program, &command);
    panic!("cannot execute: {error}")
}

/// Writes numbered lines to both streams and exits: `write COUNT CODE PAUSE-MICROSECONDS`.
pub fn write(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let numbers: Vec<u64> = arguments.map(|word| word.to_str().unwrap().parse().unwrap()).collect();
    let [count, code, pause] = numbers[..] else { panic!("three numbers") };
    let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
    for number in 0..count {
        writeln!(stdout, "out {number}").unwrap();
        if number % 7 == 0 {
            writeln!(stderr, "err {number}").unwrap();
        }
        if pause > 0 {
            idle(pause);
        }
    }
    ExitCode::from(u8::try_from(code).unwrap())
}

/// This is the load, not a wait for something.
fn idle(microseconds: u64) {
    std::thread::sleep(std::time::Duration::from_micros(microseconds));
}
