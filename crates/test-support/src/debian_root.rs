//! Acts: a minimal Debian root file system, made once on a machine and shared by all tests.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const PLACE: &str = "/tmp/naru-debian-root";

/// The directory of the root file system; the first caller makes it, the others wait for it. Treat it as read-only.
pub fn debian_root() -> io::Result<PathBuf> {
    let place = Path::new(PLACE);
    let done = place.join(".naru-complete");
    if done.exists() {
        return Ok(place.to_owned());
    }
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open("/tmp/naru-debian-root.lock")?;
    lock.lock()?;
    if done.exists() {
        return Ok(place.to_owned());
    }
    if place.exists() {
        std::fs::remove_dir_all(place)?;
    }
    let output =
        Command::new("debootstrap").args(["--variant=minbase", "bookworm", PLACE]).output()?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stdout);
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        return Err(io::Error::other(format!("debootstrap failed: {last:?}")));
    }
    File::create(done)?;
    Ok(place.to_owned())
}
