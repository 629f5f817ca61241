//! A disk that is full in the middle of a pull, or of a copy from one registry to another: the store lies on a small file system in
//! memory, in a mount namespace of the daemon's own. Acts: as root.

use crate::place::{archive, parts};
use crate::random::Random;
use integration_tests::{Daemon, Done, PlainRegistry, room, run, run_with_input, until};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Mounts the file system where the daemon's data root will be (`$3`), and becomes the daemon.
const SMALL: &str = r#"mkdir -p "$3" && mount -t tmpfs -o size=45m small "$3" && exec "$0" "$@""#;

/// A registry on a root of its own.
#[track_caller]
fn registry(root: &Path) -> PlainRegistry {
    let listen = ["--listen", "127.0.0.1:0", "--root"].map(OsStr::new);
    PlainRegistry::start(&[&listen[..], &[root.as_ref()]].concat())
}

/// A registry with an image of 72 MB, and its name there.
#[track_caller]
fn filled(root: &Path) -> (PlainRegistry, String) {
    let registry = registry(root);
    let name = format!("{}/team/x:1", registry.address);
    let source = Daemon::start();
    let (image, _) = archive(&mut Random::new());
    run_with_input(&mut source.command(&["load", "-q"]), &image).ok();
    source.naru(&["tag", "made", &name]).ok();
    source.naru(&["push", "-q", &name]).ok();
    (registry, name)
}

/// A daemon whose disk is small.
#[track_caller]
fn cramped() -> Daemon {
    let before = ["unshare", "--mount", "sh", "-c", SMALL].map(str::to_owned);
    Daemon::start_under(&before, &[]).with_busybox("box")
}

/// Runs a command where the daemon sees its disk.
fn inside(daemon: &Daemon, words: &[&str]) -> Done {
    let pid = daemon.pid().to_string();
    run(Command::new("nsenter").args(["-m", "-t", &pid]).args(words))
}

/// A path of the daemon's disk.
fn path(daemon: &Daemon, name: &str) -> String {
    daemon.data_root().join(name).to_str().expect("a path in UTF-8").to_owned()
}

/// It told of a full disk, and what to do.
#[track_caller]
fn was_full(done: &Done, daemon: &Daemon) {
    let said = ["No space left on device", "no space is left for the store"];
    assert!(said.iter().any(|text| done.stderr.contains(text)), "{done:?}\n{}", daemon.log());
}

/// The room that was there is there again, but for so many KiB.
#[track_caller]
fn has_room_again(daemon: &Daemon, had: u64, but: u64) {
    let back = until(Duration::from_secs(20), || (room(daemon) + but > had).then_some(()));
    let left = || format!("{}{}", files(daemon), daemon.log());
    assert!(back.is_some(), "{} KiB of {had} are free\n{}", room(daemon), left());
}

#[track_caller]
fn is_whole(daemon: &Daemon) {
    let verified = daemon.naru(&["system", "verify"]).ok();
    assert!(verified.text().ends_with("no problems found"), "{}", verified.text());
}

/// Everything large that lies on the daemon's disk.
fn files(daemon: &Daemon) -> String {
    inside(daemon, &["find", &path(daemon, ""), "-size", "+100k", "-printf", "%s %p\\n"]).stdout
}

#[test]
fn a_full_disk_in_the_middle_of_a_pull_leaves_nothing_and_the_next_pull_works() {
    let place = tempfile::Builder::new().prefix("naru-full").tempdir_in("/tmp").expect("one");
    let (_registry, name) = filled(&place.path().join("registry"));
    let daemon = cramped();
    let had = room(&daemon);
    for _ in 0..2 {
        let done = daemon.naru(&["pull", "-q", &name]);
        assert_ne!(done.code, 0, "72 MB do not fit into 45");
        was_full(&done, &daemon);
        assert!(done.stderr.contains("naru system prune"), "{}", done.stderr);
        // Nothing is acknowledged, nothing is broken, and the room is there again.
        let names = daemon.naru(&["images", "--format", "{{.Repository}}"]).ok();
        assert_eq!(names.text(), "box");
        is_whole(&daemon);
        has_room_again(&daemon, had, 3000);
        let ran = daemon.naru(&["run", "--rm", "--network", "none", "box", "echo", "hi"]).ok();
        assert_eq!(ran.text(), "hi");
    }
    inside(&daemon, &["mount", "-o", "remount,size=300m", &path(&daemon, "")]).ok();
    daemon.naru(&["pull", "-q", &name]).ok();
    is_whole(&daemon);
    assert_eq!(inside(&daemon, &["ls", &path(&daemon, "content/ingests")]).ok().text(), "");
    assert!(parts(&daemon.data_root()).is_empty(), "the store is on its own file system only");
}

#[test]
fn a_full_disk_in_the_middle_of_a_copy_gives_everything_back_and_the_next_copy_works() {
    let place = tempfile::Builder::new().prefix("naru-full").tempdir_in("/tmp").expect("one");
    let (_from, name) = filled(&place.path().join("from"));
    let to = registry(&place.path().join("to"));
    let daemon = cramped();
    // Two layers fit, three that are fetched side by side do not.
    let filler = path(&daemon, "filler");
    let spare = 11 << 10;
    let fill = format!("{}K", room(&daemon) - spare);
    inside(&daemon, &["fallocate", "-l", &fill, &filler]).ok();
    let had = room(&daemon);
    let there = format!("docker://{}/team/y:1", to.address);
    let copy = || daemon.naru(&["copy", &format!("docker://{name}"), &there]);
    for _ in 0..2 {
        let done = copy();
        assert_ne!(done.code, 0, "three layers do not fit into {spare} KiB: {done:?}");
        was_full(&done, &daemon);
        let hint = "hint: make room on the disk (`naru system prune`) and copy again";
        assert!(done.stderr.contains(hint), "{}", done.stderr);
        has_room_again(&daemon, had, 1000);
        assert_eq!(inside(&daemon, &["ls", &path(&daemon, "content/ingests")]).ok().text(), "");
        is_whole(&daemon);
        daemon.naru(&["manifest", "inspect", &format!("{}/team/y:1", to.address)]).fails(1, "");
    }
    inside(&daemon, &["rm", &filler]).ok();
    copy().ok();
    let digest = |name: &str| {
        let words = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}"];
        run(Command::new("skopeo").args(words).arg(format!("docker://{name}"))).ok().stdout
    };
    assert_eq!(digest(&format!("{}/team/y:1", to.address)), digest(&name));
    assert_eq!(daemon.naru(&["images", "--format", "{{.Repository}}"]).ok().text(), "box");
}
