//! Daemon and monitor are killed at random instants, and replaced by other binaries: containers live, no line is missing
//! or doubled, exit codes are right. Acts: as root.

use integration_tests::daemon::{Signal, signal};
use integration_tests::{Daemon, binary, leftovers, until};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Counts until it is told to stop, on both streams, and says how far it came.
const COUNTER: &str = "i=0; while [ ! -e /stop ]; do echo out $i; echo err $i >&2; i=$((i+1)); \
                       [ $((i % 10)) -ne 0 ] || usleep 20000; done; echo end $i; exit 7";

/// Instants that look random; the seed is printed with a failed test.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = now.map_or(1, |now| u64::from(now.subsec_nanos())) << 20 | 0xabcde;
        println!("seed {seed}");
        Random(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Lets the containers work for a moment.
    fn pass_time(&mut self, limit: Duration) {
        let micros = self.below(u64::try_from(limit.as_micros()).expect("short"));
        let end = Instant::now() + Duration::from_micros(micros);
        until(limit, || (Instant::now() >= end).then_some(()));
    }
}

fn daemon() -> Daemon {
    Daemon::start().with_busybox("box")
}

/// Starts a container in the background that is not removed when it ends.
fn start(daemon: &Daemon, name: &str, options: &[&str], script: &str) {
    let mut args = vec!["run", "-d", "--network", "none", "--name", name];
    args.extend_from_slice(options);
    args.extend_from_slice(&["box", "sh", "-c", script]);
    daemon.naru(&args).ok();
}

/// Kills the monitor and waits until the daemon has started another one and handed its containers over: between the two
/// deaths somebody must hold their streams.
#[track_caller]
fn kill_monitor(daemon: &Daemon, containers: usize) {
    let before = daemon.monitor_pid().expect("a monitor");
    signal(before, Signal::KILL);
    let other = || {
        let monitor = daemon.monitor_pid().filter(|pid| *pid != before)?;
        (held(monitor) >= containers).then_some(())
    };
    assert!(until(LIMIT, other).is_some(), "no other monitor:\n{}", daemon.log());
}

/// How many containers a monitor holds.
fn held(monitor: u32) -> usize {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{monitor}/fd")) else { return 0 };
    let links = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("naru-state")).count()
}

fn kill_daemon(daemon: &mut Daemon) {
    daemon.kill();
    daemon.launch();
}

/// The process number of each container; every one must be running.
#[track_caller]
fn pids(daemon: &Daemon, names: &[&str]) -> BTreeMap<String, String> {
    let pid_of = |name: &&str| {
        let format = "{{.State.Running}} {{.State.Pid}}";
        let state = daemon.naru(&["inspect", "--format", format, name]).ok();
        let pid = state.text().strip_prefix("true ");
        let pid = pid.unwrap_or_else(|| panic!("{name}: {}\n{}", state.text(), daemon.log()));
        ((*name).to_owned(), pid.to_owned())
    };
    names.iter().map(pid_of).collect()
}

/// Checks the log of a counter that has stopped: every number once and in order on its stream.
#[track_caller]
fn check_counter(daemon: &Daemon, name: &str, terminal: bool) {
    assert_eq!(daemon.naru(&["wait", name]).ok().text(), "7", "{name}");
    let logs = daemon.naru(&["logs", name]).ok();
    let (stdout, stderr) = if terminal {
        let text = logs.stdout.replace("\r\n", "\n");
        let (err, out) = text.lines().partition::<Vec<_>, _>(|line| line.starts_with("err"));
        (out.join("\n"), err.join("\n"))
    } else {
        (logs.stdout.trim_end().to_owned(), logs.stderr.trim_end().to_owned())
    };
    let (lines, end) = stdout.rsplit_once('\n').expect("lines");
    let count: usize = end.strip_prefix("end ").expect("the last line").parse().expect("a number");
    assert_eq!(lines.lines().count(), count, "{name}");
    for (number, (out, err)) in lines.lines().zip(stderr.lines()).enumerate() {
        assert_eq!((out, err), (&*format!("out {number}"), &*format!("err {number}")), "{name}");
    }
    assert_eq!(stderr.lines().count(), count, "{name}");
}

/// Short containers end at about the time of a kill.
struct Short {
    name: String,
    lines: u64,
    code: u64,
}

impl Short {
    fn start(daemon: &Daemon, random: &mut Random, round: u32) -> Short {
        let short = Short {
            name: format!("short{round}"),
            lines: 1 + random.below(3000),
            code: random.below(120),
        };
        let script = format!("seq {}; exit {}", short.lines, short.code);
        start(daemon, &short.name, &[], &script);
        short
    }

    #[track_caller]
    fn check(&self, daemon: &Daemon) {
        let code = daemon.naru(&["wait", &self.name]).ok();
        assert_eq!(code.text(), self.code.to_string(), "{}\n{}", self.name, daemon.log());
        let logs = daemon.naru(&["logs", &self.name]).ok();
        let expected: String = (1..=self.lines).map(|line| format!("{line}\n")).collect();
        assert!(logs.stdout == expected, "{}: the log is not exact", self.name);
        daemon.naru(&["rm", &self.name]).ok();
    }
}

const LONG: [&str; 3] = ["plain", "terminal", "plain2"];

fn start_counters(daemon: &Daemon) {
    start(daemon, "plain", &[], COUNTER);
    start(daemon, "terminal", &["-t"], COUNTER);
    start(daemon, "plain2", &["--init"], COUNTER);
}

#[track_caller]
fn stop_counters(daemon: &Daemon) {
    for name in LONG {
        daemon.naru(&["exec", name, "touch", "/stop"]).ok();
    }
    for name in LONG {
        check_counter(daemon, name, name == "terminal");
        daemon.naru(&["rm", name]).ok();
    }
}

#[track_caller]
fn nothing_is_left(mut daemon: Daemon) {
    assert_eq!(daemon.naru(&["ps", "-aq"]).ok().text(), "", "{}", daemon.log());
    let dir = daemon.dir().to_string_lossy().into_owned();
    daemon.terminate();
    drop(daemon);
    let left = until(LIMIT, || leftovers::mentioning(&dir).is_empty().then_some(()));
    assert!(left.is_some(), "{:?}", leftovers::mentioning(&dir));
}

#[test]
fn fifty_kills_of_the_daemon() {
    let (mut random, mut daemon) = (Random::new(), daemon());
    start_counters(&daemon);
    let before = pids(&daemon, &LONG);
    for round in 0..50 {
        let short = Short::start(&daemon, &mut random, round);
        random.pass_time(Duration::from_millis(20));
        kill_daemon(&mut daemon);
        assert_eq!(pids(&daemon, &LONG), before, "round {round}");
        short.check(&daemon);
    }
    stop_counters(&daemon);
    nothing_is_left(daemon);
}

#[test]
fn fifty_kills_of_the_monitor() {
    let (mut random, daemon) = (Random::new(), daemon());
    start_counters(&daemon);
    let before = pids(&daemon, &LONG);
    for round in 0..50 {
        let short = Short::start(&daemon, &mut random, round);
        random.pass_time(Duration::from_millis(20));
        kill_monitor(&daemon, LONG.len());
        assert_eq!(pids(&daemon, &LONG), before, "round {round}");
        short.check(&daemon);
    }
    stop_counters(&daemon);
    nothing_is_left(daemon);
}

#[test]
fn fifty_kills_of_either() {
    let (mut random, mut daemon) = (Random::new(), daemon());
    start_counters(&daemon);
    let before = pids(&daemon, &LONG);
    for round in 0..50 {
        let short = Short::start(&daemon, &mut random, round);
        for _ in 0..=random.below(3) {
            random.pass_time(Duration::from_millis(10));
            if random.below(2) == 0 {
                kill_daemon(&mut daemon);
            } else {
                kill_monitor(&daemon, LONG.len());
            }
        }
        assert_eq!(pids(&daemon, &LONG), before, "round {round}");
        short.check(&daemon);
    }
    stop_counters(&daemon);
    nothing_is_left(daemon);
}

/// A client that follows a container is not cut off by the death of the monitor, and misses nothing.
#[test]
fn an_attached_client_survives_the_monitor() {
    let (mut random, daemon) = (Random::new(), daemon());
    for round in 0..10 {
        let script = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; exit 9";
        let mut command =
            daemon.command(&["run", "--rm", "--network", "none", "box", "sh", "-c", script]);
        let mut child = command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the client starts");
        let mut stdout = child.stdout.take().expect("piped");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stdout, &mut text).expect("text");
            text
        });
        // It is started by now, or is not yet; both must do.
        random.pass_time(Duration::from_millis(60));
        kill_monitor(&daemon, 0);
        let status = until(LIMIT, || child.try_wait().expect("our own child"));
        let text = reader.join().expect("a reader");
        let mut words = String::new();
        let mut stderr = child.stderr.take().expect("piped");
        std::io::Read::read_to_string(&mut stderr, &mut words).expect("text");
        assert_eq!(
            status.and_then(|status| status.code()),
            Some(9),
            "{round}: {words}\n{}",
            daemon.log()
        );
        let expected: String = (0..3000).map(|line| format!("{line}\n")).collect();
        assert!(text == expected, "round {round}: {} bytes of {}", text.len(), expected.len());
    }
    nothing_is_left(daemon);
}

/// A container that ends while nobody looks: its exit is known, and its restart policy honoured.
#[test]
fn exits_while_the_daemon_is_away_are_known() {
    let mut daemon = daemon();
    let script = "while [ ! -e /stop ]; do usleep 1000; done; echo bye; exit 42";
    start(&daemon, "stays", &[], script);
    start(&daemon, "goes", &["--rm"], script);
    let pids = pids(&daemon, &["stays", "goes"]);
    daemon.kill();
    for pid in pids.values() {
        std::fs::write(format!("/proc/{pid}/root/stop"), "").expect("its root");
    }
    let gone = || pids.values().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(until(LIMIT, || gone().then_some(())).is_some());
    daemon.launch();
    assert_eq!(daemon.naru(&["wait", "stays"]).ok().text(), "42");
    assert_eq!(daemon.naru(&["logs", "stays"]).ok().stdout, "bye\n");
    daemon.naru(&["rm", "stays"]).ok();
    let empty = || daemon.naru(&["ps", "-aq"]).ok().text().is_empty().then_some(());
    assert!(until(LIMIT, empty).is_some(), "{}", daemon.naru(&["ps", "-a"]).stdout);
    nothing_is_left(daemon);
}

/// Another binary takes over from daemon and monitor while containers log.
#[test]
fn both_are_upgraded_in_place() {
    let (mut random, mut daemon) = (Random::new(), daemon());
    start_counters(&daemon);
    let before = pids(&daemon, &LONG);
    let monitor = daemon.monitor_pid().expect("a monitor");
    let copies: Vec<_> = (0..2).map(|number| daemon.dir().join(format!("naru-{number}"))).collect();
    for copy in &copies {
        std::fs::copy(binary(), copy).expect("room for a copy");
    }
    let inode = |path: &str| {
        std::fs::metadata(path).map(|found| std::os::unix::fs::MetadataExt::ino(&found)).ok()
    };
    for round in 0..10 {
        let copy = copies.get(round % 2).expect("two copies");
        daemon.use_binary(copy);
        let short = Short::start(&daemon, &mut random, u32::try_from(round).expect("small"));
        random.pass_time(Duration::from_millis(20));
        if random.below(2) == 0 {
            daemon.terminate();
        } else {
            daemon.kill();
        }
        daemon.launch();
        assert_eq!(pids(&daemon, &LONG), before, "round {round}");
        // The same process goes on as the other binary.
        assert_eq!(daemon.monitor_pid(), Some(monitor), "round {round}");
        assert_eq!(inode(&format!("/proc/{monitor}/exe")), inode(&copy.to_string_lossy()));
        short.check(&daemon);
    }
    stop_counters(&daemon);
    nothing_is_left(daemon);
}
