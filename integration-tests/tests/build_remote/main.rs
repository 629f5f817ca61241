//! Builds that take from elsewhere: files of the network, contexts at an address, git repositories, agents of ssh; and
//! results that go elsewhere. Acts: as root, with the built binary.

mod agents;
#[path = "../build_face/dockerd.rs"]
mod dockerd;
mod files;
mod outputs;
mod repositories;
mod server;

use integration_tests::{Daemon, Done, run};
use std::path::{Path, PathBuf};

/// A daemon with busybox as the image `box`.
fn daemon() -> Daemon {
    Daemon::start().with_busybox("box")
}

/// A directory with these files.
fn context(daemon: &Daemon, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = daemon.dir().join(name);
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
    dir
}

/// `naru build` with a cache of digests of its own.
fn build(daemon: &Daemon, args: &[&str], dir: &Path) -> Done {
    let mut command = daemon.command(&["build", "--network", "none", "--progress", "plain"]);
    run(command.args(args).arg(dir).env("XDG_CACHE_HOME", daemon.dir().join("cache")))
}

/// What a file of an image says.
fn cat(daemon: &Daemon, image: &str, path: &str) -> String {
    let command = ["run", "--rm", "--network", "none", image, "cat", path];
    daemon.naru(&command).ok().text().to_owned()
}
