//! The file with the daemon's process id. Acts: writes and removes it.

use naru_errdefs::{Fault, ResultExt};
use std::path::{Path, PathBuf};

/// Removes the file when the daemon ends in order.
#[derive(Debug)]
pub struct Pidfile(PathBuf);

impl Pidfile {
    /// Writes our process id; refuses while the process named there lives and is a daemon of ours.
    pub fn write(path: &Path) -> Result<Pidfile, Fault> {
        if let Some(other) =
            std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok())
            && other != std::process::id()
            && is_daemon(other)
        {
            return Err(Fault::conflict(format!("process with PID {other} is still running"))
                .with_hint(format!(
                    "end it, or choose another file with --pidfile instead of `{}`",
                    path.display()
                )));
        }
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)
                .during(|| format!("cannot make the directory `{}`", dir.display()))?;
        }
        naru_kernel::fs::write_atomic(path, std::process::id().to_string().as_bytes(), 0o644)
            .during(|| format!("cannot write the pid file `{}`", path.display()))?;
        Ok(Pidfile(path.to_owned()))
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // A newer daemon may have put its own id there.
        if std::fs::read_to_string(&self.0)
            .is_ok_and(|text| text.trim() == std::process::id().to_string())
        {
            std::fs::remove_file(&self.0).ok();
        }
    }
}

/// Process ids are used again, so the number alone says nothing.
fn is_daemon(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == b"daemon")
}

#[cfg(test)]
mod tests {
    use super::Pidfile;

    #[test]
    fn a_stale_file_is_replaced_and_ours_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x/naru.pid");
        std::fs::create_dir(dir.path().join("x")).unwrap();
        for stale in ["4194303", "nonsense", "1"] {
            naru_kernel::fs::write_atomic(&path, stale.as_bytes(), 0o644).unwrap();
            let file = Pidfile::write(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), std::process::id().to_string());
            drop(file);
            assert!(!path.exists());
        }
    }
}
