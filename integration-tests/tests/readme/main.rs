//! The README's commands, run as printed. Acts: as root, in a mount namespace of its own.

use integration_tests::{binary, run};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The lines of the fenced blocks that open with this info string.
fn blocks(info: &str) -> String {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (mut inside, mut lines) = (false, String::new());
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(word) => inside = !inside && word == info,
            None if inside => {
                lines.push_str(line);
                lines.push('\n');
            }
            None => {}
        }
    }
    assert!(!lines.is_empty(), "the README has no block `{info}`");
    lines
}

/// Runs a script with the default roots of the daemon replaced by empty directories that only it sees, and ends the
/// daemon that the client started.
fn in_a_fresh_host(script: &str) -> integration_tests::Done {
    let dir = tempfile::Builder::new().prefix("naru-readme").tempdir_in("/tmp").unwrap();
    let fresh = ["/var/lib/naru", "/run/naru"].map(|path| (path, !Path::new(path).exists()));
    let mut setup = String::from("set -e\n");
    for (number, (path, _)) in fresh.iter().enumerate() {
        let own = dir.path().join(number.to_string());
        std::fs::create_dir(&own).unwrap();
        setup.push_str(&format!("mkdir -p {path}\nmount --bind {} {path}\n", own.display()));
    }
    // What a command that failed has left running goes, too.
    let end = "status=$?\nset +e\n\
               for id in $(BINARY ps -aq); do BINARY rm -f $id; done\nkill \"$(cat /run/naru/naru.pid)\"\n\
               for try in $(seq 100); do test -e /run/naru/monitor.sock || break; sleep 0.1; done\nexit $status\n";
    let end = end.replace("BINARY", &binary().to_string_lossy());
    let setup = format!("ip link set lo up\n{setup}");
    let whole = format!("{setup}trap '{}' EXIT\n{script}", end.replace('\'', "'\\''"));
    let done = run(Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--net", "sh", "-c", &whole])
        .current_dir(root()));
    for (path, was_absent) in fresh {
        if was_absent {
            drop(std::fs::remove_dir(path));
        }
    }
    done
}

#[test]
fn the_first_command_runs_a_container_with_no_daemon_started_by_hand() {
    let command = blocks("sh").lines().next().unwrap().to_owned();
    assert_eq!(command, "cargo run --release -- run --rm naru/hello");
    // The build itself is what built the binary under test; here it is run in cargo's place.
    let script = command.replace("cargo run --release --", &binary().to_string_lossy());
    let done = in_a_fresh_host(&script).ok();
    assert!(done.stdout.contains("Naru"), "{}", done.stdout);
    assert!(done.stderr.contains("daemon"), "the start of the daemon is said: {}", done.stderr);
}

#[test]
fn the_second_command_exists() {
    assert!(blocks("sh").lines().any(|line| line == "cargo xtask test"));
    let config = std::fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    assert!(config.contains("xtask = "));
    let tasks = std::fs::read_to_string(root().join("xtask/src/main.rs")).unwrap();
    assert!(tasks.contains("\"test\" => "));
}

#[test]
fn the_tour_works_as_printed() {
    let script = blocks("sh tour")
        .replace("target/x86_64-unknown-linux-gnu/release/naru", &binary().to_string_lossy());
    let script =
        script.replace("/tmp/naru-tour", &format!("/tmp/naru-tour-{}", std::process::id()));
    // The loop stops at the first command that fails, and shows which one.
    let done = in_a_fresh_host(&format!("set -x\n{script}"));
    let done = done.ok();
    assert!(done.stdout.contains("hello from a container"), "{}", done.stdout);
    assert!(done.stdout.contains("running 33554432"), "{}", done.stdout);
}
