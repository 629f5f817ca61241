//! Directories that tests build from, and the disks that daemons lie on. Acts: on the directory of a test's daemon.

use crate::{Daemon, run};
use std::path::PathBuf;
use std::process::Command;

/// A directory of a daemon's test with these files, to be built from.
#[track_caller]
pub fn context(daemon: &Daemon, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = daemon.dir().join(name);
    std::fs::create_dir_all(&dir).expect("a directory");
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
    dir
}

/// The room that is left on a daemon's disk, in KiB.
#[track_caller]
pub fn room(daemon: &Daemon) -> u64 {
    let pid = daemon.pid().to_string();
    let mut df = Command::new("nsenter");
    df.args(["-m", "-t", &pid, "df", "--output=avail", "-k"]).arg(daemon.data_root());
    let done = run(&mut df).ok();
    done.stdout.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("a number")
}
