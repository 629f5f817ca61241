//! Starts that fail, and ends. Acts.

use crate::daemon::{Daemon, LIMIT, reader};
use crate::fake::FakePlan;
use naru_kernel::pidfd;
use naru_monitor::protocol::{ExitStatus, Position, ProcessKey, Refusal, Stream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

pub fn exits_are_told_once_and_kept() {
    let mut daemon = Daemon::new();
    daemon.shell("a", "exit 4");
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(4));
    let request = {
        daemon.shell("b", "exec sleep 100");
        daemon.try_forget("b")
    };
    assert_eq!(daemon.refused(request).0, Refusal::Conflict);
    // While no daemon is there, what ends is written down too.
    daemon.shell("c", "sleep 0.3; exit 6");
    daemon.disconnect();
    let record = daemon.path("c.exit");
    let deadline = Instant::now() + LIMIT;
    let exit = loop {
        if let Some(exit) = naru_monitor::exit_record::read(&record) {
            break exit;
        }
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    };
    assert_eq!(exit.status, ExitStatus::Code(6));
    daemon.replace_daemon();
    assert_eq!(daemon.told, 1);
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(4));
    assert_eq!(daemon.exit_of("c"), ExitStatus::Code(6));
    daemon.forget("a");
    daemon.forget("c");
    assert!(!record.exists());
    daemon.exits.clear();
    daemon.list();
    assert!(daemon.exits.is_empty());
    // Its name is free again.
    daemon.shell("a", "exit 8");
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(8));
}

pub fn descendants_do_not_hold_up_an_exit() {
    let mut daemon = Daemon::new();
    let (attachment, pipes) = reader(1, Position::At(0), Position::At(0));
    let spec = daemon.spec("a");
    let script = "(sleep 3; echo late) & echo early; exit 9";
    daemon.start(&spec, &["/bin/sh", "-c", script], &[attachment]);
    let started = Instant::now();
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(9));
    assert!(started.elapsed() < Duration::from_millis(2900), "{:?}", started.elapsed());
    // The reader gets its end, the log gets everything.
    assert_eq!(pipes.read().0, "early\n");
    assert!(started.elapsed() < Duration::from_millis(2900), "{:?}", started.elapsed());
    let log = daemon.log("a");
    daemon.wait(|_| std::fs::read_to_string(&log).unwrap().contains("late"));
    assert_eq!(daemon.logged("a", Stream::Stdout), "early\nlate\n");
    daemon.forget("a");
}

pub fn a_hung_start_blocks_nobody() {
    let mut daemon = Daemon::new();
    let spec = daemon.spec("hung");
    let command = ["/bin/sleep", "100"].map(str::to_owned).to_vec();
    let plan = FakePlan { command, hang: true, ..FakePlan::default() };
    let request = daemon.ask(&spec, &plan, &[]);
    daemon.writer("a", 1000, 3, 0);
    daemon.check_writer("a", 1000, 3);
    // Whoever waits for it ends it by its cgroup; here by its name, because it has no other.
    let children = format!("/proc/{0}/task/{0}/children", daemon.monitor);
    let children = std::fs::read_to_string(children).unwrap();
    for child in children.split_whitespace() {
        pidfd::send_signal(pidfd::open(child.parse().unwrap()).unwrap(), 9).unwrap();
    }
    let (refusal, message) = daemon.refused(request);
    assert_eq!(refusal, Refusal::Other);
    assert!(message.contains("before it could execute"), "{message}");
}

pub fn failed_starts_say_why() {
    let mut daemon = Daemon::new();
    let mut spec = daemon.spec("a");
    let command = vec!["/nonexistent".to_owned()];
    let request = daemon.ask(&spec, &FakePlan { command, ..FakePlan::default() }, &[]);
    assert_eq!(daemon.refused(request).0, Refusal::CommandNotFound);
    let command = ["/bin/sleep", "100"].map(str::to_owned).to_vec();
    let plan = FakePlan { command, fail: Some("no".to_owned()), ..FakePlan::default() };
    let request = daemon.ask(&spec, &plan, &[]);
    assert_eq!(daemon.refused(request), (Refusal::CommandNotExecutable, "no".to_owned()));
    spec.log.as_mut().unwrap().path = "/nonexistent/log".into();
    let request = daemon.ask(&spec, &plan, &[]);
    let (_, message) = daemon.refused(request);
    assert!(message.contains("/nonexistent/log"), "{message}");
    // Nothing is left of them.
    daemon.list();
    assert!(daemon.handles.is_empty());
    let children = format!("/proc/{0}/task/{0}/children", daemon.monitor);
    assert_eq!(std::fs::read_to_string(children).unwrap(), "");
    daemon.shell("a", "exit 1");
    let spec = daemon.spec("a");
    let command = vec!["/bin/true".to_owned()];
    let request = daemon.ask(&spec, &FakePlan { command, ..FakePlan::default() }, &[]);
    assert_eq!(daemon.refused(request).0, Refusal::AlreadyExists);
}

pub fn orphans_are_reaped() {
    let mut daemon = Daemon::new();
    daemon.shell("a", "(sleep 0.2 & echo $!) ; exit 0");
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(0));
    let orphan: u32 = daemon.logged("a", Stream::Stdout).trim().parse().unwrap();
    // Gone, not a zombie.
    daemon.wait(|_| !std::path::Path::new(&format!("/proc/{orphan}")).exists());
}

pub fn what_a_dead_monitor_started_is_reaped() {
    let mut daemon = Daemon::new();
    let spec = daemon.spec("hung");
    let command = ["/bin/sleep", "0.2"].map(str::to_owned).to_vec();
    let plan = FakePlan { command, hang: true, ..FakePlan::default() };
    let request = daemon.ask(&spec, &plan, &[]);
    daemon.shell("first", "exit 1");
    assert_eq!(daemon.exit_of("first"), ExitStatus::Code(1));
    assert!(!daemon.failures.contains_key(&request));
    daemon.forget("first");
    daemon.replace_monitor(|_| Vec::new());
    // Its zombie is ours and goes with the next end.
    let children = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let lists =
            tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap());
        lists.map(|list| list.split_whitespace().count()).sum::<usize>()
    };
    assert_eq!(children(), 2);
    let started = Instant::now();
    daemon.wait(|_| started.elapsed() > Duration::from_millis(500));
    daemon.shell("second", "exit 2");
    assert_eq!(daemon.exit_of("second"), ExitStatus::Code(2));
    assert_eq!(children(), 1);
}

pub fn an_idle_monitor_sleeps_and_ends() {
    let mut daemon = Daemon::new();
    daemon.shell("a", "exec sleep 100");
    let monitor = daemon.monitor;
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{monitor}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
        line.unwrap().to_owned()
    };
    // A second after the last thing that happened it gives memory back, once; from then on it sleeps.
    let started = Instant::now();
    daemon.wait(|_| started.elapsed() > Duration::from_millis(2000));
    let before = switches();
    daemon.wait(|_| started.elapsed() > Duration::from_millis(4000));
    assert_eq!(switches(), before);
    let key = ProcessKey::container("a");
    pidfd::send_signal(&daemon.handles[&key].pidfd, 15).unwrap();
    assert_eq!(daemon.exit_of("a"), ExitStatus::Signal(15));
    daemon.forget("a");
    let process = pidfd::open(monitor).unwrap();
    let started = Instant::now();
    daemon.disconnect();
    assert!(naru_kernel::poll::readable(process.as_fd(), Some(LIMIT)).unwrap());
    assert!(started.elapsed() > Duration::from_secs(9), "{:?}", started.elapsed());
    assert!(!daemon.path("monitor.sock").exists());
    pidfd::reap(&process).ok();
}

pub fn nonsense_is_refused() {
    let mut daemon = Daemon::new();
    let socket = naru_kernel::socket::connect(&daemon.path("monitor.sock")).unwrap();
    let mut buffer = vec![0; 4096];
    for packet in [
        "",
        "x",
        "{}",
        "[]",
        r#"{"request":3,"body":"explode"}"#,
        r#"{"request":3,"fds":["plan"],"body":{"start":{"spec":{"key":{"container":"x"},"terminal":false,"stdin":false,"log":null},"attachments":[]}}}"#,
    ] {
        if packet.is_empty() {
            continue;
        }
        naru_kernel::socket::send(&socket, &[packet.as_bytes()], &[]).unwrap();
        let received = naru_kernel::socket::receive(&socket, &mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..received.length]).unwrap();
        assert!(text.contains("invalid-input"), "{packet}: {text}");
    }
    // A packet that is too long ends the connection, not the monitor.
    naru_kernel::socket::send(&socket, &[&vec![b'x'; 100_000]], &[]).unwrap();
    assert_eq!(naru_kernel::socket::receive(&socket, &mut buffer).map_or(0, |got| got.length), 0);
    daemon.replace_daemon();
    daemon.shell("a", "exit 2");
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(2));
}

pub fn starts_of_a_dead_daemon_are_listed() {
    let mut daemon = Daemon::new();
    for round in 0..20 {
        let name = format!("s{round}");
        let spec = daemon.spec(&name);
        let command = ["/bin/sleep", "100"].map(str::to_owned).to_vec();
        daemon.ask(&spec, &FakePlan { command, ..FakePlan::default() }, &[]);
        // The answer goes to nobody.
        daemon.replace_daemon();
        assert!(daemon.handles.contains_key(&ProcessKey::container(name)), "{round}");
    }
    let spec = daemon.spec("hung");
    let command = ["/bin/sleep", "100"].map(str::to_owned).to_vec();
    daemon.ask(&spec, &FakePlan { command, hang: true, ..FakePlan::default() }, &[]);
    let started = Instant::now();
    daemon.replace_daemon();
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(daemon.handles.len(), 20);
}
