//! A disk that is full in the middle of a pull, or of a copy from one registry to another: the store lies on a small file system in memory, in a mount namespace of the daemon's
//! own. Acts: as root.

use crate::place::{archive, parts};
use crate::random::Random;
use integration_tests::{Daemon, binary, room, run, run_with_input, until};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Mounts the file system where the daemon's data root will be (`$3`), and becomes the daemon.
const SMALL: &str = r#"mkdir -p "$3" && mount -t tmpfs -o size=45m small "$3" && exec "$0" "$@""#;

/// A registry at a port that the kernel chose.
struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    #[track_caller]
    fn start(root: &std::path::Path) -> Registry {
        let mut child = Command::new(binary())
            .args(["registry", "serve", "--listen", "127.0.0.1:0", "--root"])
            .arg(root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built binary");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let rest = line.split_once("registry: listening address=")?.1;
            Some(rest.split_whitespace().next()?.to_owned())
        });
        // Whatever else it says is taken off its hands.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Registry { child, address: address.expect("it says where it listens") }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Everything large that lies on the daemon's disk.
fn files(daemon: &Daemon) -> String {
    let pid = daemon.pid().to_string();
    let mut find = Command::new("nsenter");
    find.args(["-m", "-t", &pid, "find"]).arg(daemon.data_root());
    run(find.args(["-size", "+100k", "-printf", "%s %p\\n"])).stdout
}

#[test]
fn a_full_disk_in_the_middle_of_a_pull_leaves_nothing_and_the_next_pull_works() {
    let mut random = Random::new();
    let place = tempfile::Builder::new().prefix("naru-full").tempdir_in("/tmp").expect("one");
    let registry = Registry::start(&place.path().join("registry"));
    let name = format!("{}/team/x:1", registry.address);
    let source = Daemon::start();
    let (image, _) = archive(&mut random);
    run_with_input(&mut source.command(&["load", "-q"]), &image).ok();
    source.naru(&["tag", "made", &name]).ok();
    source.naru(&["push", "-q", &name]).ok();
    drop(source);

    let before = ["unshare", "--mount", "sh", "-c", SMALL].map(str::to_owned);
    let daemon = Daemon::start_under(&before, &[]).with_busybox("box");
    let (had, log) = (room(&daemon), || daemon.log());
    for _ in 0..2 {
        let done = daemon.naru(&["pull", "-q", &name]);
        assert_ne!(done.code, 0, "72 MB do not fit into 45");
        let said = ["No space left on device", "no space is left for the store"];
        assert!(said.iter().any(|text| done.stderr.contains(text)), "{}\n{}", done.stderr, log());
        assert!(done.stderr.contains("naru system prune"), "{}", done.stderr);
        // Nothing is acknowledged, nothing is broken, and the room is there again.
        let names = daemon.naru(&["images", "--format", "{{.Repository}}"]).ok();
        assert_eq!(names.text(), "box");
        let verified = daemon.naru(&["system", "verify"]).ok();
        assert!(verified.text().ends_with("no problems found"), "{}", verified.text());
        let back = until(std::time::Duration::from_secs(20), || {
            (room(&daemon) + 3000 > had).then_some(())
        });
        assert!(
            back.is_some(),
            "{} KiB of {had} are free\n{}{}",
            room(&daemon),
            files(&daemon),
            log()
        );
        let ran = daemon.naru(&["run", "--rm", "--network", "none", "box", "echo", "hi"]).ok();
        assert_eq!(ran.text(), "hi");
    }
    let pid = daemon.pid().to_string();
    let mut mount = Command::new("nsenter");
    mount.args(["-m", "-t", &pid, "mount", "-o", "remount,size=300m"]).arg(daemon.data_root());
    run(&mut mount).ok();
    daemon.naru(&["pull", "-q", &name]).ok();
    let verified = daemon.naru(&["system", "verify"]).ok();
    assert!(verified.text().ends_with("no problems found"), "{}", verified.text());
    let mut list = Command::new("nsenter");
    list.args(["-m", "-t", &pid, "ls"]).arg(daemon.data_root().join("content/ingests"));
    assert_eq!(run(&mut list).ok().text(), "");
    assert!(parts(&daemon.data_root()).is_empty(), "the store is on its own file system only");
}

/// Runs a command where the daemon sees its disk.
fn inside(daemon: &Daemon, words: &[&str]) -> integration_tests::Done {
    let pid = daemon.pid().to_string();
    run(Command::new("nsenter").args(["-m", "-t", &pid]).args(words))
}

#[test]
fn a_full_disk_in_the_middle_of_a_copy_gives_everything_back_and_the_next_copy_works() {
    let mut random = Random::new();
    let place = tempfile::Builder::new().prefix("naru-full").tempdir_in("/tmp").expect("one");
    let (from, to) =
        (Registry::start(&place.path().join("from")), Registry::start(&place.path().join("to")));
    let name = format!("{}/team/x:1", from.address);
    let source = Daemon::start();
    let (image, _) = archive(&mut random);
    run_with_input(&mut source.command(&["load", "-q"]), &image).ok();
    source.naru(&["tag", "made", &name]).ok();
    source.naru(&["push", "-q", &name]).ok();
    drop(source);

    let before = ["unshare", "--mount", "sh", "-c", SMALL].map(str::to_owned);
    let daemon = Daemon::start_under(&before, &[]).with_busybox("box");
    // Two layers fit, three that are fetched side by side do not.
    let filler = daemon.data_root().join("filler");
    let filler = filler.to_str().expect("a path");
    let spare = 11 << 10;
    let fill = format!("{}K", room(&daemon) - spare);
    inside(&daemon, &["fallocate", "-l", &fill, filler]).ok();
    let had = room(&daemon);
    let there = format!("docker://{}/team/y:1", to.address);
    let copy = || daemon.naru(&["copy", &format!("docker://{name}"), &there]);
    for _ in 0..2 {
        let done = copy();
        assert_ne!(done.code, 0, "three layers do not fit into {spare} KiB: {done:?}");
        let said = ["No space left on device", "no space is left for the store"];
        assert!(said.iter().any(|text| done.stderr.contains(text)), "{done:?}\n{}", daemon.log());
        let hint = "hint: make room on the disk (`naru system prune`) and copy again";
        assert!(done.stderr.contains(hint), "{}", done.stderr);
        let back = until(std::time::Duration::from_secs(20), || {
            (room(&daemon) + 1000 > had).then_some(())
        });
        assert!(back.is_some(), "{} KiB of {had} are free\n{}", room(&daemon), files(&daemon));
        let ingests = daemon.data_root().join("content/ingests");
        let left = inside(&daemon, &["ls", ingests.to_str().expect("a path")]).ok();
        assert_eq!(left.text(), "");
        let verified = daemon.naru(&["system", "verify"]).ok();
        assert!(verified.text().ends_with("no problems found"), "{}", verified.text());
        daemon.naru(&["manifest", "inspect", &format!("{}/team/y:1", to.address)]).fails(1, "");
    }
    inside(&daemon, &["rm", filler]).ok();
    copy().ok();
    let digest = |name: &str| {
        let words = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}"];
        run(Command::new("skopeo").args(words).arg(format!("docker://{name}"))).ok().stdout
    };
    assert_eq!(digest(&format!("{}/team/y:1", to.address)), digest(&name));
    assert_eq!(daemon.naru(&["images", "--format", "{{.Repository}}"]).ok().text(), "box");
}
