//! The most memory of a command and of the daemons behind it while it runs. Acts.

use crate::bench::memory;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(25);

/// What memory was looked at.
#[derive(Debug)]
pub struct Peak;

impl Peak {
    /// Runs a command to its end: the most memory (PSS, KiB) that it, what it started and the `servers` with
    /// what they started had together.
    pub fn watch(servers: Vec<u32>, command: &mut Command) -> Result<u64, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("cannot run {command:?}: {error}"))?;
        let pid = child.id();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let watcher = std::thread::spawn(move || {
            let mut peak = 0;
            loop {
                let mut pids = memory::family(pid);
                for server in &servers {
                    pids.extend(memory::family(*server));
                }
                pids.sort_unstable();
                pids.dedup();
                peak = pids.into_iter().map(memory::pss_kib).sum::<u64>().max(peak);
                if stopped.recv_timeout(EVERY) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    return peak;
                }
            }
        });
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        drop(stop);
        let peak = watcher.join().map_err(|_panic| "the watcher of memory ended by panic")?;
        if output.status.success() {
            return Ok(peak);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{command:?} failed: {}\n{said}", output.status))
    }
}
