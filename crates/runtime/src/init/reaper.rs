//! Acts: our own process 1 (`--init`): it starts the command as its child, passes signals on to it, reaps whatever ends,
//! and ends with the command's exit code. No file of the container is needed for it.

use super::lockdown::{self, Last};
use super::{Attempt, new_session, streams};
use crate::plan::ProcessPlan;
use crate::start_error::StartError;
use naru_kernel::{clone, exec, reap};
use std::os::fd::OwnedFd;

const SIGCHLD: i32 = 17;

/// Starts the command and stays. The exit code is the command's.
pub(super) fn stay(
    process: &ProcessPlan,
    terminal: Option<streams::Terminal>,
    root: OwnedFd,
    last: Last<'_>,
) -> Result<u8, StartError> {
    let identity = super::identity(process, &root)?;
    let side = last.side;
    // In a session of its own, so that the terminal's signals and its end are the command's.
    let child = clone::spawn(0, None, || match new_session(terminal) {
        Ok(()) => last.execute(&root),
        Err(error) => {
            side.error(&error);
            1
        }
    })
    .attempt(|| "make the command's process")?;
    reap::block_signals().attempt(|| "block signals")?;
    // No more rights than the command; the socket must go, for its end is how the caller knows that the command runs.
    lockdown::assume(&process.capabilities, &identity, 0)?;
    exec::close_from(0).attempt(|| "close descriptors")?;
    clone::exit_now(watch(child.pid))
}

fn watch(command: u32) -> u8 {
    loop {
        // Before the first wait, too: a command that ended before signals were blocked has told nobody.
        while let Ok(Some((pid, code))) = reap::reap() {
            if pid == command {
                return code;
            }
        }
        match reap::next_signal() {
            Ok(SIGCHLD) => {}
            // The command may have ended a moment ago, or may be somebody else by now.
            Ok(signal) => drop(reap::signal(command, signal)),
            Err(_) => return 255,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Process 1 loses the race: its command has ended, and its SIGCHLD has gone, before signals are blocked.
    #[test]
    fn a_command_that_ended_before_signals_were_blocked_has_ended() {
        let init = clone::spawn(0, None, || {
            let ended = || {
                clone::reset_signals()?;
                let command = clone::spawn(0, None, || 7)?;
                reap::ended_within(&command.pidfd, None)?;
                reap::block_signals()?;
                Ok::<_, std::io::Error>(watch(command.pid))
            };
            ended().unwrap_or(255)
        })
        .unwrap();
        let is_over = reap::ended_within(&init.pidfd, Some(Duration::from_secs(4))).unwrap();
        if !is_over {
            reap::kill(&init.pidfd).unwrap();
        }
        assert_eq!(reap::wait(&init.pidfd).unwrap(), 7, "it waits for ever");
    }
}
