//! Bad input of builds through the built binary: Dockerfiles, contexts, processes and clients that nobody wishes for. Each gets a
//! clear answer in bounded time, and nothing is left. Acts: as root, with the built binary.

mod client;
mod context;
mod file;
mod full;
mod process;
mod secret;

use integration_tests::{Daemon, Done, context, run};
use std::path::{Path, PathBuf};

/// A daemon with busybox as the image `box`.
fn daemon() -> Daemon {
    Daemon::start().with_busybox("box")
}

/// `naru build` without a network, with a cache of digests of its own.
#[track_caller]
fn build(daemon: &Daemon, args: &[&str], dir: &Path) -> Done {
    run(command(daemon, args).arg(dir))
}

fn command(daemon: &Daemon, args: &[&str]) -> std::process::Command {
    let mut command = daemon.command(&["build", "--network", "none", "--progress", "plain"]);
    command.args(args).env("XDG_CACHE_HOME", daemon.dir().join("cache"));
    command
}

/// The daemon answers, nothing of its store is wrong, and nothing of a build is under way or left.
#[track_caller]
fn is_well(daemon: &Daemon) {
    assert_eq!(
        daemon.naru(&["run", "--rm", "--network", "none", "box", "echo", "hi"]).ok().text(),
        "hi"
    );
    let verified = daemon.naru(&["system", "verify"]).ok();
    assert!(verified.text().ends_with("no problems found"), "{}", verified.text());
    let left = |dir: PathBuf| -> Vec<_> {
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    for dir in ["containers", "content/ingests"] {
        let dir = daemon.data_root().join(dir);
        let gone = integration_tests::until(std::time::Duration::from_secs(20), || {
            left(dir.clone()).is_empty().then_some(())
        });
        assert!(gone.is_some(), "{:?}\n{}", left(dir), daemon.log());
    }
}
