//! Published ports under load while daemon and monitor are killed and replaced: no connection is refused, none breaks, and
//! names are answered again. Acts: as root, on machines that are played by network namespaces.

mod halves;

use integration_tests::daemon::{Signal, signal};
use integration_tests::machines::Machine;
use integration_tests::{Daemon, Scene, binary, until};
use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

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

    fn pass_time(&mut self, limit: Duration) {
        let micros = self.below(u64::try_from(limit.as_micros()).expect("short"));
        let end = Instant::now() + Duration::from_micros(micros);
        until(limit, || (Instant::now() >= end).then_some(()));
    }
}

/// A load of new connections, bounded, until it is told to stop.
struct Load {
    child: Child,
    what: String,
}

impl Load {
    fn start(machine: &Machine, daemon: &Daemon, url: &str) -> Load {
        // At most 400 pages a second on each.
        let script = daemon.dir().join("pause.lua");
        std::fs::write(&script, "function delay() return 10 end\n").expect("a script");
        let script = script.to_string_lossy();
        let args = ["wrk", "-t1", "-c4", "-d600", "--timeout", "10s", "-s", &script, url];
        let child = machine
            .command(&args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Debian's package wrk is installed");
        Load { child, what: url.to_owned() }
    }

    /// Stops it and answers how many pages came. There must not be one error.
    #[track_caller]
    fn stop(mut self) -> u64 {
        signal(self.child.id(), Signal::INT);
        let ended = until(LIMIT, || self.child.try_wait().expect("our own child"));
        assert!(ended.is_some(), "wrk goes on");
        let mut text = String::new();
        for pipe in [
            self.child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read>),
            self.child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read>),
        ] {
            pipe.expect("piped").read_to_string(&mut text).expect("text");
        }
        for bad in ["Socket errors", "Non-2xx", "unable"] {
            assert!(!text.contains(bad), "{}:\n{text}", self.what);
        }
        let line = text.lines().find(|line| line.contains(" requests in "));
        let count = line.and_then(|line| line.split_whitespace().next());
        let count = count.and_then(|count| count.parse().ok());
        let count = count.unwrap_or_else(|| panic!("{}:\n{text}", self.what));
        println!("{}: {count} pages", self.what);
        count
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A single connection that goes on for the whole test: what is sent comes back.
struct Line {
    child: Child,
    stdout: std::process::ChildStdout,
}

impl Line {
    fn open(machine: &Machine, address: &str, port: &str) -> Line {
        let mut child = machine
            .command(&["busybox", "nc", address, port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("busybox is installed");
        let stdout = child.stdout.take().expect("piped");
        Line { child, stdout }
    }

    #[track_caller]
    fn say(&mut self, text: &str) {
        use std::io::Write;
        let line = format!("{text}\n");
        self.child.stdin.as_mut().expect("piped").write_all(line.as_bytes()).expect("a reader");
        let mut back = vec![0; line.len()];
        self.stdout.read_exact(&mut back).expect("the line is open");
        assert_eq!(String::from_utf8_lossy(&back), line);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[track_caller]
fn kill_monitor(daemon: &Daemon) {
    let before = daemon.monitor_pid().expect("a monitor");
    signal(before, Signal::KILL);
    let other = || daemon.monitor_pid().filter(|pid| *pid != before);
    assert!(until(LIMIT, other).is_some(), "no other monitor:\n{}", daemon.log());
}

/// Containers of every kind beside the ones under load.
#[track_caller]
fn bystanders(scene: &Scene) {
    let daemon = &scene.daemon;
    scene.pages("goes", &["--rm", "--network", "lan", "-p", "8081:80"]);
    scene.pages("again", &["--restart", "always", "--network", "lan", "-p", "8082:80"]);
    scene.pages("both", &["--network", "lan", "-p", "8083:80"]);
    daemon.naru(&["network", "connect", "far", "both"]).ok();
    scene.pages("frozen", &["--network", "lan", "-p", "8084:80"]);
    daemon.naru(&["pause", "frozen"]).ok();
    scene.pages("far-one", &["--network", "far"]);
    scene.pages("halted", &["--network", "lan", "-p", "8085:80"]);
    daemon.naru(&["stop", "-t", "0", "halted"]).ok();
}

#[test]
fn published_ports_under_load_do_not_feel_kills_and_upgrades() {
    let mut random = Random::new();
    let mut scene = Scene::new(&[]);
    let before = scene.host.shown();
    scene.daemon.naru(&["network", "create", "lan"]).ok();
    scene.daemon.naru(&["network", "create", "far"]).ok();
    scene.pages("web", &["--network", "lan", "-p", "8080:80"]);
    scene.run("echo", &["-p", "7000:7000"], &["nc", "-ll", "-p", "7000", "-e", "cat"]);
    scene.run("asker", &["--network", "lan"], &["sleep", "100000"]);
    bystanders(&scene);
    assert!(until(LIMIT, || scene.fetched(8080)).is_some(), "{}", scene.daemon.log());
    let named = ["web", "echo", "asker", "goes", "again", "both", "frozen", "far-one", "halted"];
    let states: Vec<String> = named.iter().map(|name| scene.state(name)).collect();

    let loads = [
        Load::start(&scene.host, &scene.daemon, "http://127.0.0.1:8080/"),
        Load::start(&scene.host, &scene.daemon, "http://192.0.2.1:8080/"),
        Load::start(&scene.other, &scene.daemon, "http://192.0.2.1:8080/"),
    ];
    let mut lines = [
        Line::open(&scene.host, "127.0.0.1", "7000"),
        Line::open(&scene.other, "192.0.2.1", "7000"),
    ];
    let copies: Vec<_> =
        (0..2).map(|number| scene.daemon.dir().join(format!("naru-{number}"))).collect();
    for copy in &copies {
        std::fs::copy(binary(), copy).expect("room for a copy");
    }
    for round in 0..30_usize {
        random.pass_time(Duration::from_millis(150));
        match round {
            0..20 => scene.daemon.kill(),
            20..25 => {
                scene.daemon.use_binary(&copies[round % 2]);
                scene.daemon.terminate();
            }
            _ => kill_monitor(&scene.daemon),
        }
        for line in &mut lines {
            line.say(&format!("round {round}"));
        }
        if round < 25 {
            // Some time without a daemon.
            random.pass_time(Duration::from_millis(100));
            scene.daemon.launch();
        }
        scene.resolves("asker", "web");
        scene.resolves("asker", "both");
        for line in &mut lines {
            line.say(&format!("round {round} is over"));
        }
        let now: Vec<String> = named.iter().map(|name| scene.state(name)).collect();
        assert_eq!(now, states, "round {round}\n{}", scene.daemon.log());
    }
    for load in loads {
        assert!(load.stop() > 100);
    }
    drop(lines);

    // Everybody is what it was, and does what it should.
    scene.resolves("both", "far-one");
    scene.resolves("far-one", "both");
    for (port, name) in [(8081, "goes"), (8082, "again"), (8083, "both")] {
        assert_eq!(scene.fetched(port), Some(format!("page of {name}")));
    }
    scene.daemon.naru(&["unpause", "frozen"]).ok();
    assert_eq!(until(LIMIT, || scene.fetched(8084)).as_deref(), Some("page of frozen"));
    scene.daemon.naru(&["start", "halted"]).ok();
    assert_eq!(until(LIMIT, || scene.fetched(8085)).as_deref(), Some("page of halted"));
    // One that ends by itself is started again by its policy, with its port; one with `--rm` goes, and its port is free.
    let pid = scene.state("again").split_once(' ').map(|(_, pid)| pid.parse().expect("a pid"));
    signal(pid.expect("a pid"), Signal::KILL);
    assert_eq!(until(LIMIT, || scene.fetched(8082)).as_deref(), Some("page of again"));
    scene.daemon.naru(&["stop", "-t", "0", "goes"]).ok();
    let free = until(LIMIT, || scene.fetched(8081).is_none().then_some(()));
    assert!(free.is_some());
    scene.pages("next", &["--network", "lan", "-p", "8081:80"]);
    scene.nothing_is_left(&before);
}

/// What happens while nobody looks: containers that end give everything back when the next daemon comes.
#[test]
fn containers_that_end_while_the_daemon_is_away_give_their_places_back() {
    let mut scene = Scene::new(&[]);
    let before = scene.host.shown();
    scene.daemon.naru(&["network", "create", "--subnet", "10.9.0.0/24", "lan"]).ok();
    let fixed = ["--network", "lan", "--ip", "10.9.0.9", "-p", "8080:80"];
    for (name, flags) in
        [("stays", &[][..]), ("goes", &["--rm"]), ("again", &["--restart", "always"])]
    {
        scene.pages(name, &[&fixed, flags].concat());
        let pid = scene.state(name).split_once(' ').map(|(_, pid)| pid.to_owned()).expect("a pid");
        scene.daemon.kill();
        signal(pid.parse().expect("a pid"), Signal::KILL);
        let path = format!("/proc/{pid}");
        let gone = until(LIMIT, || (!std::path::Path::new(&path).exists()).then_some(()));
        assert!(gone.is_some());
        scene.daemon.launch();
        if name == "again" {
            let page = until(LIMIT, || scene.fetched(8080));
            assert_eq!(page.as_deref(), Some("page of again"), "{}", scene.daemon.log());
            scene.daemon.naru(&["rm", "-f", name]).ok();
        }
        if name == "stays" {
            scene.daemon.naru(&["wait", name]).ok();
            assert!(scene.state(name).starts_with("exited "));
        } else {
            let absent = || (scene.daemon.naru(&["inspect", name]).code != 0).then_some(());
            assert!(until(LIMIT, absent).is_some(), "{}", scene.daemon.log());
        }
    }
    scene.nothing_is_left(&before);
}
