//! Builds that take from elsewhere: files of the network, contexts at an address, git repositories, agents of ssh; and
//! results that go elsewhere. Acts: as root, with the built binary.

mod agents;
#[path = "../build_face/dockerd.rs"]
mod dockerd;
mod files;
mod hosts;
mod named;
mod outputs;
mod repositories;
mod server;

use integration_tests::{Daemon, Done, context, run};
use std::path::Path;

/// A daemon with busybox as the image `box`.
fn daemon() -> Daemon {
    Daemon::start().with_busybox("box")
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
