//! Processes of steps that know no measure.

use super::{build, command, context, daemon, is_well};
use integration_tests::{Daemon, until};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The most memory that the daemon has had, in KiB.
#[track_caller]
fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()))
        .expect("a running daemon");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux says it");
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn a_gigabyte_of_output_costs_no_memory() {
    let daemon = daemon();
    let dir = context(
        &daemon,
        "c",
        &[(
            "Dockerfile",
            "FROM box\nRUN yes $(head -c 1000 /dev/zero | tr '\\000' x) | head -c 1000000000; echo; echo the end\n",
        )],
    );
    let before = peak(&daemon);
    let since = Instant::now();
    let done = build(&daemon, &[], &dir).ok();
    let (took, more) = (since.elapsed(), peak(&daemon) - before);
    println!("a gigabyte took {took:?}, {more} KiB more, {} bytes shown", done.stderr.len());
    assert!(done.stderr.contains("the end"), "{} bytes", done.stderr.len());
    assert!(more < 64 << 10, "the daemon had {more} KiB more");
    // No line end at all.
    let dir = context(
        &daemon,
        "d",
        &[("Dockerfile", "FROM box\nRUN head -c 100000000 /dev/zero | tr '\\000' x\n")],
    );
    build(&daemon, &["-q"], &dir).ok();
    assert!(
        peak(&daemon) - before < 64 << 10,
        "the daemon had {} KiB more",
        peak(&daemon) - before
    );
    is_well(&daemon);
}

#[test]
fn forks_without_bound_are_bounded() {
    let daemon = daemon();
    let dir =
        context(&daemon, "c", &[("Dockerfile", "FROM box\nRUN b() { b | b & }; b; sleep 1000\n")]);
    // So that the machine is of use to others meanwhile.
    let mut command = command(&daemon, &["--cpu-quota", "20000", "--cpu-period", "100000", "-q"]);
    let mut child =
        command.arg(&dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the client");
    let started = until(Duration::from_secs(30), || (descendants(&daemon) > 100).then_some(()));
    let mut most = 0;
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        most = most.max(descendants(&daemon));
        assert_eq!(
            daemon.naru(&["run", "--rm", "--network", "none", "box", "echo", "hi"]).ok().text(),
            "hi"
        );
    }
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    assert!(started.is_some(), "it never forked");
    println!("{most} processes at most");
    assert!(most < 5000, "{most} processes");
    let ended = until(Duration::from_secs(30), || (descendants(&daemon) < 3).then_some(()));
    assert!(ended.is_some(), "{} go on", descendants(&daemon));
    is_well(&daemon);
}

/// How many processes the daemon's monitor has.
fn descendants(daemon: &Daemon) -> usize {
    let Some(monitor) = daemon.monitor_pid() else { return 0 };
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    let mut ours = std::collections::BTreeSet::from([monitor]);
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| ours.contains(parent) && !ours.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return ours.len() - 1;
        }
        ours.extend(more);
    }
}

#[test]
fn memory_without_bound_is_said_to_be_it() {
    let daemon = daemon();
    let dir = context(
        &daemon,
        "c",
        &[("Dockerfile", "FROM box\nRUN head -c 200000000 /dev/zero | tail\n")],
    );
    let done = build(&daemon, &["--memory", "32m"], &dir);
    assert!(done.code == 1 && done.stderr.contains("out of memory"), "{done:?}");
    is_well(&daemon);
}
