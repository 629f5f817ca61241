//! A disk that is full: the data root lies on a small file system in memory, in a mount namespace of the daemon's own.

use super::{build, context};
use integration_tests::{Daemon, room, until};
use std::time::Duration;

const SMALL: &str = r#"mkdir -p "$3" && mount -t tmpfs -o size=48m small "$3" && exec "$0" "$@""#;

#[test]
fn steps_that_fill_the_disk_fail_and_give_it_back() {
    let before = ["unshare", "--mount", "sh", "-c", SMALL].map(str::to_owned);
    let daemon = Daemon::start_under(&before, &[]).with_busybox("box");
    let warm = context(&daemon, "w", &[("Dockerfile", "FROM box\nRUN echo x > /x\n")]);
    build(&daemon, &[], &warm).ok();
    let had = room(&daemon);
    let big = daemon.dir().join("c/big");
    let random = "FROM box\nRUN head -c 28000000 /dev/urandom > /x\n";
    for (dockerfile, says) in [
        // The process itself finds no room; what it says is what is said.
        ("FROM box\nRUN dd if=/dev/zero of=/x bs=1M count=100\n", &["No space left on device"][..]),
        // The files find room, their layer does not.
        (random, &["no space", "No space"]),
        ("FROM box\nCOPY big /big\n", &["no space", "No space"]),
        (
            "FROM box\nRUN --mount=type=cache,target=/c dd if=/dev/zero of=/c/x bs=1M count=100\n",
            &["No space left on device"],
        ),
    ] {
        let dir = context(&daemon, "c", &[("Dockerfile", dockerfile)]);
        if dockerfile.contains("COPY") {
            std::fs::write(&big, vec![3; 60_000_000]).expect("a file");
        }
        let done = build(&daemon, &[], &dir);
        std::fs::remove_file(&big).ok();
        assert_eq!(done.code, 1, "{dockerfile}: {done:?}");
        assert!(says.iter().any(|word| done.stderr.contains(word)), "{dockerfile}: {done:?}");
        if dockerfile.contains("type=cache") {
            // What is in a cache is kept until it is pruned.
            daemon.naru(&["builder", "prune", "-af"]).ok();
        }
        let back = until(Duration::from_secs(20), || (room(&daemon) + 2000 > had).then_some(()));
        assert!(
            back.is_some(),
            "{dockerfile}: {} KiB of {had} are free\n{}",
            room(&daemon),
            daemon.log()
        );
        let verified = daemon.naru(&["system", "verify"]).ok();
        assert!(verified.text().ends_with("no problems found"), "{}", verified.text());
        build(&daemon, &["--no-cache"], &warm).ok();
    }
}
