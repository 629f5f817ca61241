//! Output, input, terminals and logs. Acts.

use crate::daemon::{Daemon, LIMIT, check_same, reader};
use naru_monitor::protocol::{ExitStatus, LogSpec, Position, ProcessKey, Stream};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

pub fn a_process_is_logged_and_its_exit_told() {
    let mut daemon = Daemon::new();
    daemon.shell("a", "echo one; echo two >&2; printf three; exit 3");
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(3));
    assert_eq!(daemon.logged("a", Stream::Stdout), "one\nthree");
    assert_eq!(daemon.logged("a", Stream::Stderr), "two\n");
    daemon.forget("a");
    daemon.shell("b", "kill -9 $$");
    assert_eq!(daemon.exit_of("b"), ExitStatus::Signal(9));
    daemon.writer("c", 50_000, 7, 0);
    daemon.check_writer("c", 50_000, 7);
}

pub fn readers_get_every_byte() {
    let mut daemon = Daemon::new();
    let (first, from_start) = reader(1, Position::At(0), Position::At(0));
    let spec = daemon.spec("a");
    daemon.write_with(&spec, 100_000, (0, 0), &[first]);
    // Nobody reads yet, so the process waits and is still there to be attached to.
    let (second, from_now) = reader(2, Position::Now, Position::Now);
    let (at, _) = daemon.attach("a", &second);
    drop(second);
    let late = std::thread::spawn(move || from_now.read());
    let (stdout, stderr) = from_start.read();
    let expected: String = (0..100_000).map(|number| format!("out {number}\n")).collect();
    check_same("stdout", &stdout, &expected);
    assert_eq!(stderr.lines().count(), 100_000 / 7 + 1);
    let (rest, _) = late.join().unwrap();
    check_same("rest", &rest, &expected[usize::try_from(at).unwrap()..]);
    daemon.check_writer("a", 100_000, 0);
}

pub fn a_slow_reader_makes_the_process_wait() {
    let mut daemon = Daemon::new();
    let (attachment, pipes) = reader(1, Position::At(0), Position::At(0));
    let spec = daemon.spec("a");
    daemon.write_with(&spec, 1_000_000, (0, 0), std::slice::from_ref(&attachment));
    drop(attachment);
    let log = daemon.log("a");
    let settled = steady(|| std::fs::metadata(&log).unwrap().len());
    // A mebibyte of spool, and what the pipes hold; each line of a dozen bytes is one of about 80 in the log.
    assert!(settled < 20 * 1024 * 1024, "{settled}");
    daemon.detach("a", 1);
    drop(pipes);
    daemon.check_writer("a", 1_000_000, 0);
}

/// Waits until a number has stopped to change.
fn steady(mut read: impl FnMut() -> u64) -> u64 {
    let deadline = Instant::now() + LIMIT;
    let mut last = (read(), Instant::now());
    while last.1.elapsed() < Duration::from_millis(500) || last.0 == 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
        let now = read();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    last.0
}

pub fn readers_that_go_away_are_dropped() {
    let mut daemon = Daemon::new();
    daemon.shell(
        "a",
        "read line < /dev/null; trap 'exit 5' TERM; while :; do echo x; sleep 0.01; done",
    );
    // From its first word on it hears the signal.
    daemon.wait(|daemon| !daemon.logged("a", Stream::Stdout).is_empty());
    let count = || std::fs::read_dir(format!("/proc/{}/fd", daemon.monitor)).unwrap().count();
    let before = count();
    for id in 0..20 {
        let (attachment, pipes) = reader(id, Position::Now, Position::Now);
        daemon.attach("a", &attachment);
        drop((attachment, pipes));
    }
    let monitor = daemon.monitor;
    let count = || std::fs::read_dir(format!("/proc/{monitor}/fd")).unwrap().count();
    daemon.wait(|_| count() <= before);
    let key = ProcessKey::container("a");
    naru_kernel::pidfd::send_signal(&daemon.handles[&key].pidfd, 15).unwrap();
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(5));
}

pub fn standard_input_is_held_until_closed() {
    let mut daemon = Daemon::new();
    let mut spec = daemon.spec("a");
    spec.stdin = true;
    daemon.start(&spec, &["/bin/cat"], &[]);
    let key = ProcessKey::container("a");
    let write = |daemon: &Daemon, text: &[u8]| {
        let stdin = daemon.handles[&key].stdin.as_ref().unwrap().try_clone().unwrap();
        std::fs::File::from(stdin).write_all(text).unwrap();
    };
    write(&daemon, b"one\n");
    // The death of the daemon closes its copy only.
    daemon.replace_daemon();
    write(&daemon, b"two\n");
    daemon.replace_monitor(|_| Vec::new());
    write(&daemon, b"three\n");
    daemon.close_stdin("a");
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(0));
    assert_eq!(daemon.logged("a", Stream::Stdout), "one\ntwo\nthree\n");
}

pub fn a_terminal_is_logged_as_stdout() {
    let mut daemon = Daemon::new();
    let (attachment, pipes) = reader(1, Position::At(0), Position::At(0));
    let mut spec = daemon.spec("a");
    spec.terminal = true;
    let script = "echo hello; echo error >&2; read word; echo got $word; seq 20000";
    daemon.start(&spec, &["/bin/sh", "-c", script], &[attachment]);
    let key = ProcessKey::container("a");
    let console = daemon.handles[&key].console.as_ref().unwrap().try_clone().unwrap();
    std::fs::File::from(console).write_all(b"word\n").unwrap();
    let (stdout, stderr) = pipes.read();
    assert_eq!(stderr, "");
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(0));
    let numbers: String = (1..=20_000).map(|number| format!("{number}\r\n")).collect();
    // The echo of what was typed may come before or after the greeting.
    let expected = format!("got word\r\n{numbers}");
    assert!(stdout.starts_with("hello\r\n") || stdout.starts_with("word\r\n"), "{stdout:.100}");
    check_same("terminal", stdout.split_once("got").map(|(_, rest)| rest).unwrap(), &expected[3..]);
    check_same("log", &daemon.logged("a", Stream::Stdout), &stdout);
    assert_eq!(daemon.logged("a", Stream::Stderr), "");
}

/// A file system that is soon full.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf) -> SmallDisk {
        std::fs::create_dir(&path).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&path);
        assert!(command.status().unwrap().success());
        SmallDisk(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
    }
}

pub fn a_full_disk_leaves_a_note() {
    let mut daemon = Daemon::new();
    let disk = SmallDisk::mount(daemon.path("disk"));
    let filler = disk.0.join("filler");
    std::fs::write(&filler, vec![0; 50_000]).unwrap();
    let mut spec = daemon.spec("a");
    spec.stdin = true;
    let log = disk.0.join("a.log");
    spec.log = Some(LogSpec { max_size: None, ..LogSpec::bounded(&log) });
    let script = "echo first; read go; seq 100000; echo written; read go; echo last";
    let (attachment, mut pipes) = reader(1, Position::At(0), Position::At(0));
    daemon.start(&spec, &["/bin/sh", "-c", script], &[attachment]);
    let key = ProcessKey::container("a");
    let stdin = daemon.handles[&key].stdin.as_ref().unwrap().try_clone().unwrap();
    let mut stdin = std::fs::File::from(stdin);
    // A batch is written as a whole or not at all, so the first line goes ahead of the flood.
    daemon.wait(|_| std::fs::read_to_string(&log).unwrap().contains("first"));
    stdin.write_all(b"go\n").unwrap();
    // The container goes on, and its readers get everything.
    let mut text = String::new();
    let mut buffer = vec![0; 65536];
    while !text.contains("written") {
        let count = pipes.stdout.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    daemon.wait(|daemon| !daemon.warnings.is_empty());
    assert!(daemon.warnings[0].contains("No space left on device"), "{:?}", daemon.warnings);
    std::fs::remove_file(filler).unwrap();
    // Writing is tried again a second after it failed.
    let full = Instant::now();
    daemon.wait(|_| full.elapsed() > Duration::from_millis(1200));
    stdin.write_all(b"go\n").unwrap();
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(0));
    let records = std::fs::read_to_string(&log).unwrap();
    let note = records.lines().find(|line| line.contains("were not logged"));
    assert!(note.unwrap().contains("No space left on device"), "{note:?}");
    assert!(records.ends_with('\n') && records.contains("first") && records.contains("last"));
    assert!(
        records.lines().all(|line| naru_monitor::log_record::decode(line.as_bytes()).is_some())
    );
    daemon.forget("a");
}

pub fn logs_rotate() {
    let mut daemon = Daemon::new();
    let mut spec = daemon.spec("a");
    spec.log = Some(LogSpec { max_size: Some(100_000), max_files: 3, path: daemon.log("a") });
    // Both streams share the files, so a second one could push out all of the first.
    daemon.start(&spec, &["/usr/bin/seq", "30000"], &[]);
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(0));
    for number in 0..3 {
        let path = match number {
            0 => daemon.log("a"),
            number => naru_monitor::log_file::rotated(&daemon.log("a"), number),
        };
        assert!(std::fs::metadata(path).unwrap().len() <= 100_000);
    }
    assert!(!naru_monitor::log_file::rotated(&daemon.log("a"), 3).exists());
    let text = daemon.logged("a", Stream::Stdout);
    let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers.last(), Some(&30_000));
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
}

pub fn output_without_a_log_costs_no_memory() {
    let mut daemon = Daemon::new();
    let mut spec = daemon.spec("a");
    spec.log = None;
    spec.stdin = true;
    daemon.start(&spec, &["/bin/sh", "-c", "seq 3000000; read go"], &[]);
    let monitor = daemon.monitor;
    // The spool's memory is given back as soon as nobody needs it; its size is what has passed.
    let spool = || {
        let mut blocks = 0;
        let mut size = 0;
        for entry in std::fs::read_dir(format!("/proc/{monitor}/fd")).unwrap().flatten() {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            if target.to_string_lossy().contains("naru-spool") {
                let metadata = std::fs::metadata(entry.path()).unwrap();
                blocks += std::os::unix::fs::MetadataExt::blocks(&metadata);
                size += metadata.len();
            }
        }
        (size, blocks)
    };
    daemon.wait(|_| spool() == (22_888_896, 0));
    let key = ProcessKey::container("a");
    let stdin = daemon.handles[&key].stdin.as_ref().unwrap();
    naru_kernel::splice::try_write(stdin.as_fd(), b"go\n").unwrap();
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(0));
}
