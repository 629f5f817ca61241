//! Starting the local daemon from the client when none runs. Acts: spawns this binary again and waits until it is ready.

use naru_errdefs::{Fault, Kind, ResultExt};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the daemon writes to standard output when it listens.
pub const READY: &[u8] = b"ready\n";

/// Starts the daemon for the default socket and returns when it listens. It leaves the caller's session and outlives it.
pub fn start(socket: &Path) -> Result<(), Fault> {
    let exec_root = socket.parent().unwrap_or(Path::new("/run/naru"));
    std::fs::create_dir_all(exec_root)
        .during(|| format!("cannot make the directory `{}` for the daemon", exec_root.display()))
        .map_err(|fault| {
            fault
                .with_hint("run as root, or name a running daemon with `-H unix:///path/to/socket`")
        })?;
    let log_path = exec_root.join("daemon.log");
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&log_path)
        .during(|| format!("cannot open the daemon's log `{}`", log_path.display()))?;
    let start = log.metadata().map_or(0, |facts| facts.len());
    let mut child = Command::new("/proc/self/exe")
        .args(["daemon", "--background"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .during(|| "cannot start the daemon".to_owned())?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        // One read is enough: the daemon either says that it is ready, or ends and closes its output.
        let mut buffer = [0u8; 64];
        let count = stdout.read(&mut buffer).during(|| "cannot hear from the daemon".to_owned())?;
        said.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    if said == READY {
        return Ok(());
    }
    let status = child.wait().during(|| "cannot wait for the daemon".to_owned())?;
    let log = std::fs::read(&log_path).unwrap_or_default();
    let new = log.get(usize::try_from(start).unwrap_or(usize::MAX)..).unwrap_or_default();
    let words = String::from_utf8_lossy(new).trim().to_owned();
    Err(Fault::new(Kind::Unavailable, format!("the daemon ended at once ({status})\n{words}"))
        .with_hint(format!("its log is `{}`", log_path.display())))
}
