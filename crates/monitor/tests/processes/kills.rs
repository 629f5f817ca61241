//! Kills and upgrades at random instants. Acts.

use crate::daemon::{Daemon, Pipes, check_same, reader};
use naru_monitor::protocol::{ExitStatus, Position, ProcessKey, Stream};
use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

/// Instants that look random and are the same in every run that prints the same seed.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap() | 1;
        println!("seed {seed}");
        Random(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Lets the processes work for a while; the messages of the monitor are taken in.
    fn pass_time(&mut self, daemon: &mut Daemon, limit: Duration) {
        let micros = self.below(u64::try_from(limit.as_micros()).unwrap());
        let until = Instant::now() + Duration::from_micros(micros);
        daemon.wait(|_| Instant::now() >= until);
    }
}

const WRITERS: u64 = 4;

fn start_writers(daemon: &mut Daemon, random: &mut Random, round: u64) -> Vec<(String, u64, u8)> {
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let name = format!("w{round}-{number}");
        let (count, pause) = match number % 3 {
            0 => (3000 + random.below(5000), 0),
            1 => (200 + random.below(300), 50),
            // These end at about the time of the kill.
            _ => (random.below(300), random.below(100)),
        };
        let code = u8::try_from(random.below(200)).unwrap();
        daemon.writer(&name, count, code, pause);
        writers.push((name, count, code));
    }
    writers
}

fn check_all(daemon: &mut Daemon, writers: Vec<(String, u64, u8)>) {
    for (name, count, code) in writers {
        daemon.check_writer(&name, count, code);
        daemon.forget(&name);
        std::fs::remove_file(daemon.log(&name)).unwrap();
    }
}

pub fn killed_monitors_lose_nothing() {
    let mut random = Random::new();
    let mut daemon = Daemon::new();
    for round in 0..50 {
        let writers = start_writers(&mut daemon, &mut random, round);
        for _ in 0..=random.below(3) {
            random.pass_time(&mut daemon, Duration::from_millis(40));
            daemon.replace_monitor(|_| Vec::new());
        }
        check_all(&mut daemon, writers);
    }
}

pub fn killed_daemons_lose_nothing() {
    let mut random = Random::new();
    let mut daemon = Daemon::new();
    for round in 0..50 {
        let writers = start_writers(&mut daemon, &mut random, round);
        for _ in 0..=random.below(4) {
            random.pass_time(&mut daemon, Duration::from_millis(20));
            match random.below(3) {
                0 => daemon.replace_monitor(|_| Vec::new()),
                _ => daemon.replace_daemon(),
            }
        }
        check_all(&mut daemon, writers);
    }
}

pub fn upgrades_lose_nothing() {
    let mut random = Random::new();
    let mut daemon = Daemon::new();
    let program = std::env::current_exe().unwrap();
    for round in 0..50 {
        let writers = start_writers(&mut daemon, &mut random, round);
        for _ in 0..=random.below(3) {
            random.pass_time(&mut daemon, Duration::from_millis(20));
            let (before, monitor) = (daemon.welcomes(), daemon.monitor);
            let request = daemon.upgrade(&program);
            daemon.wait_done(request);
            daemon.wait(|daemon| daemon.welcomes() > before);
            assert_eq!(daemon.monitor, monitor);
            if random.below(4) == 0 {
                daemon.replace_daemon();
            }
        }
        check_all(&mut daemon, writers);
    }
    // What is no program changes nothing.
    daemon.shell("a", "sleep 0.3; echo still here; exit 5");
    let text = daemon.path("text");
    std::fs::write(&text, "this is no program").unwrap();
    let request = daemon.upgrade(&text);
    assert!(daemon.refused(request).1.contains("cannot execute"));
    assert_eq!(daemon.exit_of("a"), ExitStatus::Code(5));
    assert_eq!(daemon.logged("a", Stream::Stdout), "still here\n");
}

pub fn two_hundred_at_once() {
    let mut daemon = Daemon::new();
    let names: Vec<String> = (0..200).map(|number| format!("c{number}")).collect();
    for (code, name) in (0u8..).zip(&names) {
        daemon.writer(name, 50, code, 2000);
    }
    daemon.replace_monitor(|_| Vec::new());
    daemon.replace_daemon();
    for (code, name) in (0u8..).zip(&names) {
        daemon.check_writer(name, 50, code);
        daemon.forget(name);
    }
}

pub fn terminals_survive_a_killed_monitor() {
    let mut random = Random::new();
    let mut daemon = Daemon::new();
    for round in 0..10 {
        let name = format!("t{round}");
        let mut spec = daemon.spec(&name);
        spec.terminal = true;
        daemon.start(&spec, &["/bin/sh", "-c", "seq 30000; sleep 0.05; seq 10; exit 7"], &[]);
        for _ in 0..=random.below(3) {
            random.pass_time(&mut daemon, Duration::from_millis(20));
            daemon.replace_monitor(|_| Vec::new());
        }
        assert_eq!(daemon.exit_of(&name), ExitStatus::Code(7));
        let expected: String =
            (1..=30_000).chain(1..=10).map(|number| format!("{number}\r\n")).collect();
        check_same(&name, &daemon.logged(&name, Stream::Stdout), &expected);
        daemon.forget(&name);
    }
}

/// Reads what is there until the other end closes, into `text`.
fn drain(pipes: Pipes, text: &mut (String, String)) {
    let (stdout, stderr) = pipes.read();
    text.0.push_str(&stdout);
    text.1.push_str(&stderr);
}

pub fn readers_go_on_exactly_after_a_kill() {
    let mut random = Random::new();
    let mut daemon = Daemon::new();
    for round in 0..20 {
        let name = format!("r{round}");
        let key = ProcessKey::container(&name);
        let spec = daemon.spec(&name);
        let (attachment, pipes) = reader(1, Position::At(0), Position::At(0));
        daemon.write_with(&spec, 30_000, (3, 0), std::slice::from_ref(&attachment));
        drop(attachment);
        let mut text = (String::new(), String::new());
        let mut open = Some(pipes);
        for _ in 0..=random.below(3) {
            // Some of it is read before the kill.
            if let Some(pipes) = &mut open {
                let mut buffer = vec![0; usize::try_from(1 + random.below(30_000)).unwrap()];
                let count = pipes.stdout.read(&mut buffer).unwrap();
                text.0.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            }
            random.pass_time(&mut daemon, Duration::from_millis(3));
            let mut next = BTreeMap::new();
            daemon.replace_monitor(|adopted| {
                assert_eq!(*adopted, key);
                drain(open.take().unwrap(), &mut text);
                let at = |text: &String| Position::At(text.len() as u64);
                let (attachment, pipes) = reader(2, at(&text.0), at(&text.1));
                next.insert((), pipes);
                vec![attachment]
            });
            open = next.remove(&());
        }
        drain(open.take().unwrap(), &mut text);
        let expected: String = (0..30_000).map(|number| format!("out {number}\n")).collect();
        check_same(&name, &text.0, &expected);
        let expected: String =
            (0..30_000).step_by(7).map(|number| format!("err {number}\n")).collect();
        check_same(&name, &text.1, &expected);
        daemon.check_writer(&name, 30_000, 3);
        daemon.forget(&name);
    }
}
